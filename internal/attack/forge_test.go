package attack_test

import (
	"hash/crc32"
	"net/url"
	"strings"
	"unicode"
)

// What attackers make of what they have.

// formType is the header of a form.
const formType = "Content-Type: application/x-www-form-urlencoded"

// form encodes names and values in turn.
func form(pairs ...string) string {
	values := make(url.Values)
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return values.Encode()
}

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsUpper(r) {
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, s)
}

// wide writes ASCII in the full-width forms of Unicode.
func wide(s string) string {
	return strings.Map(func(r rune) rune { return r + 0xfee0 }, s)
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// other returns another character of base 62.
func other(c byte) string {
	return string(base62[(strings.IndexByte(base62, c)+1)%len(base62)])
}

// sealed puts a right checksum behind a session token's other parts.
func sealed(body string) string {
	sum, digits := uint64(crc32.ChecksumIEEE([]byte(body))), make([]byte, 6)
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i], sum = base62[sum%62], sum/62
	}
	return body + string(digits)
}
