package auth

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxFullname  = 120  // code points
	maxAvatar    = 2048 // bytes
	minPhone     = 3
	maxPhone     = 20
	maxUserAgent = 512
)

// Profile is what people may write about themselves. Empty means not given.
type Profile struct {
	Fullname    string
	Avatar      string
	PhoneNumber string
	// PhoneNumberVerified says that somebody other than the person vouches for the number.
	PhoneNumberVerified bool
}

func (p Profile) check(f *faults) {
	if p.Fullname != "" {
		checkFullname(f, p.Fullname)
	}
	if p.Avatar != "" {
		checkAvatar(f, p.Avatar)
	}
	if p.PhoneNumber != "" {
		checkPhoneNumber(f, p.PhoneNumber)
	}
}

// checkFullname accepts text of any script that shows what it is: no control characters, nothing invisible, nothing
// that turns the direction of the text around it.
func checkFullname(f *faults, s string) {
	switch {
	case strings.TrimSpace(s) == "":
		f.add(FieldFullname, Required)
	case utf8.RuneCountInString(s) > maxFullname:
		f.addLimit(FieldFullname, TooLong, maxFullname)
	case !isPlainText(s):
		f.add(FieldFullname, Invalid)
	}
}

func checkAvatar(f *faults, s string) {
	switch {
	case len(s) > maxAvatar:
		f.addLimit(FieldAvatar, TooLong, maxAvatar)
	case !isPlainText(s) || !harmlessAddress(s):
		f.add(FieldAvatar, Invalid)
	}
}

// harmlessAddress says whether s is text without a scheme, or an http(s) address with a host. Browsers skip white
// space and control characters before and inside a scheme, so none may stand there.
func harmlessAddress(s string) bool {
	if s != strings.TrimSpace(s) {
		return false
	}
	colon := strings.IndexByte(s, ':')
	if colon < 0 || strings.ContainsAny(s[:colon], "/?#") {
		// A scheme-relative address would take the page's own; browsers read a backslash as a slash (WHATWG URL §4.4).
		return !strings.HasPrefix(strings.ReplaceAll(s, `\`, "/"), "//")
	}
	u, err := url.Parse(s)
	if err != nil {
		return false
	}
	if u.Scheme == "http" || u.Scheme == "https" {
		return u.Host != "" && u.User == nil
	}
	// host:port/path without a scheme, as in www.test.com:8080/a.png
	port, _, _ := strings.Cut(s[colon+1:], "/")
	return strings.Contains(s[:colon], ".") && port != "" && strings.Trim(port, "0123456789") == ""
}

func checkPhoneNumber(f *faults, s string) {
	digits := 0
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9':
			digits++
		case c == ' ' || c == '+' || c == '-':
		default:
			f.add(FieldPhoneNumber, Invalid)
			return
		}
	}
	switch {
	case len(s) < minPhone:
		f.addLimit(FieldPhoneNumber, TooShort, minPhone)
	case len(s) > maxPhone:
		f.addLimit(FieldPhoneNumber, TooLong, maxPhone)
	case digits == 0:
		f.add(FieldPhoneNumber, Invalid)
	}
}

// isPlainText says whether s is valid UTF-8 in which every character can be seen or is a space. The zero-width joiner
// and non-joiner are letters of a kind in Persian, in Indic scripts and in emoji, and pass between two of those.
func isPlainText(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	runes := []rune(s)
	for i, r := range runes {
		switch {
		case r == '\u200c' || r == '\u200d':
			if i == 0 || i == len(runes)-1 || !joins(runes[i-1]) || !joins(runes[i+1]) {
				return false
			}
		case r == '\u2028' || r == '\u2029': // line and paragraph separators
			return false
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs):
			return false
		case r == '\u115f' || r == '\u1160' || r == '\u3164' || r == '\uffa0' || r == '\u034f' || r == '\u180e': // letters and marks without a shape
			return false
		case r >= 0xfdd0 && r <= 0xfdef || r&0xfffe == 0xfffe: // noncharacters
			return false
		}
	}
	return true
}

// joins says whether a zero-width joiner has a meaning beside r.
func joins(r rune) bool {
	if r == '\u2194' { // the arrow of a head that is shaken counts as mathematics
		return true
	}
	return r > unicode.MaxASCII && unicode.In(r, unicode.L, unicode.M, unicode.So, unicode.Sk) && !unicode.In(r, unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Han)
}

// CleanUserAgent returns what is kept of a User-Agent header: valid UTF-8 without control characters, at most 512 bytes.
func CleanUserAgent(s string) string {
	s = strings.ToValidUTF8(s, "")
	s = strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.C) {
			return -1
		}
		return r
	}, s)
	if len(s) > maxUserAgent {
		s = strings.ToValidUTF8(s[:maxUserAgent], "")
	}
	return s
}
