package auth

import (
	"strings"
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

const (
	maxEmail = 254 // RFC 5321 §4.5.3.1.3 less the angle brackets
	maxHost  = 253
)

// MaxEmailLocal is how many bytes may stand before the @ (RFC 5321 §4.5.3.1.1). A FieldError with this Limit is about
// that part of the address.
const MaxEmailLocal = 64

// Email is an address that passed parseEmail.
type Email struct {
	Address string // as typed, but for a domain that was not ASCII: that is stored as its A-labels
	Key     string // what addresses are compared by: lower case
}

func (e Email) local() string  { return e.Key[:strings.LastIndexByte(e.Key, '@')] }
func (e Email) domain() string { return e.Key[strings.LastIndexByte(e.Key, '@')+1:] }

// hostProfile is IDNA 2008 registration without the leniencies of look-up, so that no two spellings reach one host
// and no label mixes directions.
var hostProfile = idna.New(
	idna.MapForLookup(),
	idna.BidiRule(),
	idna.StrictDomainName(true),
	idna.ValidateLabels(true),
	idna.VerifyDNSLength(true),
	idna.CheckHyphens(false), // xn-- labels are checked by decoding them; r3---sn-like hosts exist
	idna.CheckJoiners(true),
)

// parseEmail reads one plain address: a dot-atom of ASCII (RFC 5321 §4.1.2 without quoted strings, comments, literals
// and UTF-8 local parts), "@", and a host name of at least two labels. It returns the code of the fault, or "".
func parseEmail(s string) (Email, FieldCode) {
	if s == "" {
		return Email{}, Required
	}
	if len(s) > 4*maxEmail { // nothing this long fits, whatever its domain becomes in ASCII
		return Email{}, TooLong
	}
	at := strings.IndexByte(s, '@')
	if at < 0 || strings.IndexByte(s[at+1:], '@') >= 0 {
		return Email{}, Invalid
	}
	local, host := s[:at], s[at+1:]
	if !isDotAtom(local) {
		return Email{}, Invalid
	}
	ascii, ok := asciiHost(host)
	if !ok {
		return Email{}, Invalid
	}
	if isASCII(host) {
		ascii = host
	}
	address := local + "@" + ascii
	if len(local) > MaxEmailLocal || len(address) > maxEmail {
		return Email{}, TooLong
	}
	return Email{Address: address, Key: strings.ToLower(address)}, "" // ASCII by now
}

// addEmail adds a fault that parseEmail found in the address, with the limit that was missed.
func (f *faults) addEmail(code FieldCode, address string) {
	if code != TooLong {
		f.add(FieldEmail, code)
		return
	}
	limit := maxEmail
	if strings.IndexByte(address, '@') > MaxEmailLocal {
		limit = MaxEmailLocal
	}
	f.addLimit(FieldEmail, TooLong, limit)
}

// isDotAtom says whether s is a dot-atom of RFC 5322 §3.2.3.
func isDotAtom(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" {
			return false
		}
		for i := range len(atom) {
			c := atom[i]
			letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
			if !letter && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", rune(c)) {
				return false
			}
		}
	}
	return true
}

// asciiHost returns the host name in its ASCII form, or false for one that is no name of a mail domain: an address
// literal, a single label, a numeric top level, a label that mixes scripts.
func asciiHost(host string) (string, bool) {
	if norm.NFKC.String(host) != host {
		return "", false // full-width letters, the Kelvin sign: look-alikes that a mapping would smooth over
	}
	if hasSymbols(host) {
		return "", false
	}
	ascii, err := hostProfile.ToASCII(host)
	if err != nil || len(ascii) > maxHost {
		return "", false
	}
	labels := strings.Split(ascii, ".")
	if len(labels) < 2 {
		return "", false
	}
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "", false
		}
		u, err := hostProfile.ToUnicode(label)
		if err != nil || hasSymbols(u) || mixesScripts(u) { // also of a label that was typed as xn--
			return "", false
		}
	}
	top := labels[len(labels)-1]
	if len(top) < 2 || strings.Trim(top, "0123456789") == "" {
		return "", false
	}
	return ascii, true
}

// hasSymbols says whether s has characters beyond ASCII that are neither letters nor digits nor their marks, which no
// host name may have (RFC 5892 §2).
func hasSymbols(s string) bool {
	for _, r := range s {
		if r > unicode.MaxASCII && !unicode.In(r, unicode.L, unicode.M, unicode.N) {
			return true
		}
	}
	return false
}

// mixesScripts says whether a label is written in more than one script. Chinese, Japanese and Korean are written
// with several at once, and with Latin beside (Unicode UTS #39 §5.2, "highly restrictive").
func mixesScripts(label string) bool {
	const (
		latin = 1 << iota
		han
		kana
		bopomofo
		hangul
		other
	)
	seen, otherName := 0, ""
	for _, r := range label {
		switch {
		case !unicode.IsLetter(r):
		case unicode.Is(unicode.Latin, r):
			seen |= latin
		case unicode.Is(unicode.Han, r):
			seen |= han
		case unicode.In(r, unicode.Hiragana, unicode.Katakana):
			seen |= kana
		case unicode.Is(unicode.Bopomofo, r):
			seen |= bopomofo
		case unicode.Is(unicode.Hangul, r):
			seen |= hangul
		default:
			name := scriptOf(r)
			if otherName != "" && otherName != name {
				return true
			}
			seen, otherName = seen|other, name
		}
	}
	switch {
	case seen&other != 0:
		return seen != other
	case seen&hangul != 0:
		return seen&(kana|bopomofo) != 0
	case seen&bopomofo != 0:
		return seen&kana != 0
	}
	return false
}

func scriptOf(r rune) string {
	for name, table := range unicode.Scripts {
		if name != "Common" && name != "Inherited" && unicode.Is(table, r) {
			return name
		}
	}
	return "Common"
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
