package passlist_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"github.com/ideaegg/latchkey/internal/passlist"
)

// What the documentation of the package says about its list.
const (
	wantCount    = 49_233
	wantShortest = 3
	wantLongest  = 20

	// Of the entries, sorted by bytes and each followed by a line feed:
	// jq -r '.[]' package/src/passwords.json | LC_ALL=C sort | sha256sum
	wantSum = "fa7af65ae53f72367c0fa6b6417884107b5c26550445a18f75b0039e693ba8e1"
)

func TestCommonPasswordsAreFound(t *testing.T) {
	t.Parallel()
	for _, password := range []string{
		"test1234", "password", "12345678", "qwertyuiop", "123456", "letmein", "iloveyou", "1qaz2wsx",
		"Password", "PASSWORD", "pASSWORD", "QwertyUiop", "Test1234",
	} {
		if !passlist.Contains(password) {
			t.Errorf("%q is not found", password)
		}
	}
}

func TestOtherPasswordsAreNotFound(t *testing.T) {
	t.Parallel()
	for _, password := range []string{
		"", " ", "p", "zzzzzzzzzzzzzzzzzzzzzzzz", "correct horse battery staple",
		" password", "password ", "password\n", "password\x00", "pass word", "passwordpassword1234", "test-1234",
		"\x00", "\x80", "\xff", "password\x80", "\x80password", "~~~~~~~~", strings.Repeat("a", 1024),
		"пароль", "密码密码", "pässword",
		// These are in NFKC and look like an entry, but no case of their letters makes it one.
		"pıssword", "MİCHAEL", "mıchael", "ραssword", "pаssword",
	} {
		if passlist.Contains(password) {
			t.Errorf("%q is found", password)
		}
	}
}

func TestRandomPasswordsAreNotFound(t *testing.T) {
	t.Parallel()
	for range 10_000 {
		if password := rand.Text()[:12]; passlist.Contains(password) { // 60 random bits
			t.Errorf("%q is found", password)
		}
	}
}

func TestFullWidthLettersAreFoundInNFKC(t *testing.T) {
	t.Parallel()
	if password := norm.NFKC.String("ｐａｓｓｗｏｒｄ"); !passlist.Contains(password) {
		t.Errorf("%q is not found", password)
	}
}

func TestEveryEntryIsFound(t *testing.T) {
	t.Parallel()
	for _, entry := range entries(t) {
		if !passlist.Contains(entry) {
			t.Errorf("%q is not found", entry)
		}
		if upper := strings.ToUpper(entry); !passlist.Contains(upper) {
			t.Errorf("%q is not found", upper)
		}
	}
}

// TestNeighboursOfEntries asks for what lies closest to each entry in the order of the list.
func TestNeighboursOfEntries(t *testing.T) {
	t.Parallel()
	list := entries(t)
	known := setOf(list)
	for _, entry := range list {
		most, last := entry[:len(entry)-1], entry[len(entry)-1]
		for _, password := range []string{
			most,
			most + string(rune(last-1)),
			most + string(rune(last+1)),
			entry + "\x00",
			entry + "0",
			entry + "~",
			entry + "\x7f",
			"\x00" + entry,
			most + "\x80",
			most + "\xff",
		} {
			if got, want := passlist.Contains(password), isListed(known, password); got != want {
				t.Errorf("got %v for %q, want %v", got, password, want)
			}
		}
	}
}

// TestContainsComparesLikeAMap holds the look-up to a map of the entries, for passwords that are near to an entry
// and for any others.
func TestContainsComparesLikeAMap(t *testing.T) {
	t.Parallel()
	list := entries(t)
	known := setOf(list)
	rapid.Check(t, func(t *rapid.T) {
		password := rapid.OneOf(
			rapid.String(),
			rapid.StringMatching(`[a-zA-Z0-9._*-]{1,8}`),
			rapid.Custom(func(t *rapid.T) string { return varied(t, rapid.SampledFrom(list).Draw(t, "entry")) }),
		).Draw(t, "password")
		password = norm.NFKC.String(password)
		if got, want := passlist.Contains(password), isListed(known, password); got != want {
			t.Fatalf("got %v for %q, want %v", got, password, want)
		}
	})
}

// varied is an entry as somebody might type it: some letters in capitals, perhaps one character more, less or
// different.
func varied(t *rapid.T, entry string) string {
	password := []rune(entry)
	for i := range password {
		if rapid.Bool().Draw(t, "capital") {
			password[i] = []rune(strings.ToUpper(string(password[i])))[0]
		}
	}
	at := rapid.IntRange(0, len(password)-1).Draw(t, "at")
	switch rapid.SampledFrom([]string{"keep", "insert", "remove", "replace"}).Draw(t, "change") {
	case "insert":
		password = slices.Insert(password, at, rapid.Rune().Draw(t, "inserted"))
	case "remove":
		password = slices.Delete(password, at, at+1)
	case "replace":
		password[at] = rapid.Rune().Draw(t, "replacement")
	}
	return string(password)
}

// TestListIsWellFormed reads the embedded file independently of the package.
func TestListIsWellFormed(t *testing.T) {
	t.Parallel()
	list := entries(t)
	if len(list) != wantCount {
		t.Errorf("got %d entries, want %d", len(list), wantCount)
	}
	shortest, longest := len(list[0]), 0
	sum := sha256.New()
	for i, entry := range list {
		if i > 0 && entry <= list[i-1] {
			t.Errorf("%q comes after %q, want sorted and unique", entry, list[i-1])
		}
		if strings.ContainsFunc(entry, func(r rune) bool { return r <= ' ' || r > '~' || 'A' <= r && r <= 'Z' }) {
			t.Errorf("%q is not of printable ASCII without capital letters", entry)
		}
		shortest, longest = min(shortest, len(entry)), max(longest, len(entry))
		sum.Write([]byte(entry + "\n"))
	}
	if shortest != wantShortest || longest != wantLongest {
		t.Errorf("got entries of %d to %d characters, want %d to %d", shortest, longest, wantShortest, wantLongest)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != wantSum {
		t.Errorf("got checksum %s, want %s", got, wantSum)
	}
}

func TestLicenseIsThatOfTheList(t *testing.T) {
	t.Parallel()
	for _, want := range []string{"@zxcvbn-ts", "Dan Wheeler and Dropbox, Inc.", "Permission is hereby granted, free of charge"} {
		if !strings.Contains(passlist.License(), want) {
			t.Errorf("the licence does not say %q", want)
		}
	}
}

// FuzzContains holds the look-up to a map of the entries, as it is asked by those who normalise and by those who
// forget to.
func FuzzContains(f *testing.F) {
	known := setOf(entries(f))
	f.Fuzz(func(t *testing.T, raw string) {
		password := norm.NFKC.String(raw)
		if got, want := passlist.Contains(password), isListed(known, password); got != want {
			t.Errorf("got %v for %q, want %v", got, password, want)
		}
		if raw != password && passlist.Contains(raw) {
			t.Errorf("%q is found, though entries are in NFKC in either case of their letters", raw)
		}
	})
}

func BenchmarkContains(b *testing.B) {
	list := entries(b)
	for _, bb := range []struct{ name, password string }{
		{"common", "qwertyuiop"},
		{"not common", "correct horse battery staple"},
		{"of 1024 bytes", strings.Repeat("password", 128)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				passlist.Contains(bb.password)
			}
		})
	}
	b.Run("each in turn", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			passlist.Contains(list[i*7919%len(list)]) // in leaps, so that no page is at hand from the call before
			i++
		}
	})
}

// isListed is what Contains promises of a password in NFKC, said with a map of the entries. EqualFold drops what
// ToLower makes of letters that are another letter (İ).
func isListed(known map[string]bool, password string) bool {
	small := strings.ToLower(password)
	return known[small] && strings.EqualFold(small, password)
}

func setOf(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, entry := range list {
		set[entry] = true
	}
	return set
}

// entries decodes the file that the package embeds, and fails unless it has exactly the form that the package
// relies on.
func entries(tb testing.TB) []string {
	tb.Helper()
	const (
		pageSize = 128
		mark     = 0x80
	)
	pages, err := os.ReadFile("passwords.bin")
	if err != nil {
		tb.Fatal(err)
	}
	if len(pages) == 0 || len(pages)%pageSize != 0 {
		tb.Fatalf("got %d bytes, want whole pages of %d", len(pages), pageSize)
	}
	var list []string
	for page := range slices.Chunk(pages, pageSize) {
		before := ""
		for first := true; len(page) > 0 && page[0] != 0; first = false {
			if page[0] < mark {
				tb.Fatalf("after %q: got byte %#x, want an entry's mark", before, page[0])
			}
			shared := int(page[0] - mark)
			page = page[1:]
			n := slices.IndexFunc(page, func(c byte) bool { return c >= mark || c == 0 })
			if n < 0 {
				n = len(page)
			}
			if shared > len(before) || first && shared != 0 {
				tb.Fatalf("after %q: the next entry cannot share %d bytes", before, shared)
			}
			entry := before[:shared] + string(page[:n])
			if n == 0 || shared < len(before) && entry[shared] == before[shared] {
				tb.Fatalf("after %q: %q shares other than %d bytes", before, entry, shared)
			}
			list = append(list, entry)
			before, page = entry, page[n:]
		}
		if before == "" {
			tb.Fatal("a page has no entry")
		}
		if slices.ContainsFunc(page, func(c byte) bool { return c != 0 }) {
			tb.Fatalf("after %q: the page goes on behind its end", before)
		}
	}
	return list
}
