// Package passlist knows the passwords that everybody tries first.
//
// Its list is the dictionary "passwords-common" of the npm package @zxcvbn-ts/language-common, version 4.1.3
// (MIT, see LICENSE): 49,233 entries of 3 to 20 characters, all of them printable ASCII without capital letters.
// They take 170 KiB of the program and nothing of its heap: they are searched where they lie, and nothing is
// unpacked or built at start.
//
// passwords.bin and LICENSE are generated; internal/tools/passlistgen says how.
package passlist

import (
	_ "embed"
	"sort"
)

// The format of passwords.bin, which internal/tools/passlistgen writes.
//
// The entries, sorted by their bytes, are laid into pages of pageSize bytes; none crosses the end of its page.
// An entry is one byte mark+n and then what follows the n bytes that it shares with the entry before: exactly
// those, neither fewer nor more. The first of a page shares none, so that every page can be read alone. What is
// left of a page is zero. Entries are ASCII without control characters, so no byte of theirs looks like a mark
// or like zero.
//
// 128 bytes are a good thirty entries, and two cache lines: shorter pages repeat more beginnings, longer ones take
// longer to read.
const (
	pageSize = 128
	mark     = 0x80
)

//go:embed passwords.bin
var pages string

//go:embed LICENSE
var license string

// Contains reports whether the password is an entry of the list. It is exact: entries are compared whole, not by a
// checksum or a filter.
//
// The capital letters A to Z count as their small ones, nothing else does: "PassWord" is an entry because "password"
// is; "password ", "passwords!" and "p@55word" are looked up as they stand. The password should be in NFKC, so that
// "ｐａｓｓｗｏｒｄ" in full-width letters is found too. In NFKC this rule is Unicode's simple case folding: the other
// letters that fold to ASCII, the long s and the Kelvin sign, are gone.
// Every string may be asked for, of any length and also one that is not UTF-8. The empty string is no entry.
//
// It takes less than a microsecond and allocates nothing.
func Contains(password string) bool {
	// The page is the last one that does not begin after the password.
	after := sort.Search(len(pages)/pageSize, func(i int) bool {
		p := page(i)
		return compare(p[1:entryEnd(p, 1)], password) > 0
	})
	return after > 0 && pageContains(page(after-1), password)
}

// License returns the licence of the list, which asks to be passed on with every copy.
func License() string { return license }

func page(i int) string { return pages[i*pageSize : (i+1)*pageSize] }

// pageContains reads the page from its start, without putting its entries together: it is enough to know how
// many bytes the password has in common with the entry before, which is smaller than the password.
func pageContains(page, password string) bool {
	common := 0
	for at := 0; at < len(page) && page[at] >= mark; {
		shared := int(page[at] - mark)
		end := entryEnd(page, at+1)
		switch rest := page[at+1 : end]; {
		case shared < common:
			return false // it rose where the one before still agreed with the password
		case shared == common:
			n := commonPrefix(rest, password[common:])
			order := compare(rest[n:], password[common+n:])
			if order >= 0 {
				return order == 0
			}
			common += n
		default:
			// It differs from the password where the one before did, and by the same byte: it is smaller too.
		}
		at = end
	}
	return false
}

// entryEnd returns where the entry ends whose characters begin at start.
func entryEnd(page string, start int) int {
	end := start
	for end < len(page) && page[end] != 0 && page[end] < mark {
		end++
	}
	return end
}

// compare orders an entry, or what is left of one, and a password by their bytes; of the password the capital
// letters count as small ones.
func compare(entry, password string) int {
	n := commonPrefix(entry, password)
	switch {
	case n == len(entry) && n == len(password):
		return 0
	case n == len(entry):
		return -1
	case n == len(password) || entry[n] > lower(password[n]):
		return 1
	default:
		return -1
	}
}

// commonPrefix returns how many bytes an entry and a password have in common at their beginnings, under the rule of
// compare.
func commonPrefix(entry, password string) int {
	n := 0
	for n < len(entry) && n < len(password) && entry[n] == lower(password[n]) {
		n++
	}
	return n
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}
