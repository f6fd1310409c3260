package mail

import (
	"strings"
	"unicode"
)

// oneLine makes one line of at most so many characters of what others wrote: without control characters, without what
// turns the direction of text or hides in it, and with single spaces.
func oneLine(s string, most int) string {
	var b strings.Builder
	n, space := 0, false
	for _, r := range strings.ToValidUTF8(s, "") {
		switch {
		case unicode.IsSpace(r): // line and paragraph separators are spaces, too
			space = n > 0
			continue
		case unicode.In(r, unicode.Cc, unicode.Bidi_Control, unicode.Noncharacter_Code_Point), r == '\u200b', r == '\ufeff':
			continue
		}
		if space {
			b.WriteByte(' ')
			n, space = n+1, false
		}
		if n >= most {
			return strings.TrimSuffix(b.String(), " ") + "…"
		}
		b.WriteRune(r)
		n++
	}
	return b.String()
}

// inert keeps mail programs from making a link of what a stranger wrote: a zero-width space parts what looks like a
// domain name, an address or a URL.
func inert(s string) string {
	var b strings.Builder
	joint := false // the last character holds names together
	for _, r := range s {
		if joint && (unicode.IsLetter(r) || r == '/') {
			b.WriteRune('\u200b')
		}
		b.WriteRune(r)
		joint = r == '.' || r == ':' || r == '@'
	}
	return b.String()
}
