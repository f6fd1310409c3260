package auth_test

import (
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ideaegg/latchkey/internal/auth"
)

func TestFullname(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		code auth.FieldCode
	}{
		{"john_smith", ""},
		{"John Smith", ""},
		{"王小明", ""},
		{"José Ñandú", ""},
		{"Jose\u0301", ""},
		{"Владимир", ""},
		{"Ἀριστοτέλης", ""},
		{"محمد بن سلمان", ""},
		{"שָׁלוֹם", ""},
		{"สมชาย", ""},
		{"नरेन्द्र", ""},
		{"ක්\u200dෂ", ""},     // a joiner between Sinhala letters
		{"می\u200cخواهم", ""}, // a non-joiner between Persian letters
		{"김철수", ""},
		{"山田 太郎", ""},
		{"山田\u3000太郎", ""},
		{"O'Brien-Smith, Jr.", ""},
		{"<b>John</b> & \"Co\"", ""},
		{"𠮷野家", ""}, // beyond the Basic Multilingual Plane
		{"🐝", ""},
		{"👍🏽", ""},                          // with a skin tone
		{"👨\u200d👩\u200d👧\u200d👦", ""},      // a family
		{"❤\ufe0f\u200d🔥", ""},              // with a variation selector
		{"🏳\ufe0f\u200d🌈", ""},              // a flag
		{"👩🏽\u200d💻", ""},                   // a skin tone and a joiner
		{"🏃\u200d♀\ufe0f\u200d➡\ufe0f", ""}, // running right
		{"🙂\u200d↔\ufe0f", ""},              // shaking the head
		{"🇨🇳", ""},
		{"1\ufe0f\u20e3", ""}, // a keycap
		{strings.Repeat("名", 120), ""},
		{strings.Repeat("👨", 120), ""},

		{"", auth.Required},
		{" ", auth.Required},
		{"\t\n", auth.Required},
		{"\u3000\u00a0", auth.Required},
		{strings.Repeat("a", 121), auth.TooLong},
		{strings.Repeat("名", 121), auth.TooLong},
		{strings.Repeat("\x00", 121), auth.TooLong},

		{"John\x00", auth.Invalid},
		{"John\nSmith", auth.Invalid},
		{"John\tSmith", auth.Invalid},
		{"John\r", auth.Invalid},
		{"\x1b[31mJohn", auth.Invalid},
		{"John\x7f", auth.Invalid},
		{"John\u0085", auth.Invalid},
		{"John\u2028Smith", auth.Invalid},    // line separator
		{"John\u2029Smith", auth.Invalid},    // paragraph separator
		{"\u202eJohn", auth.Invalid},         // right-to-left override
		{"\u202dJohn", auth.Invalid},         // left-to-right override
		{"\u202aJohn\u202c", auth.Invalid},   // embedding
		{"\u2066John\u2069", auth.Invalid},   // isolate
		{"John\u200e", auth.Invalid},         // left-to-right mark
		{"John\u200f", auth.Invalid},         // right-to-left mark
		{"John\u061c", auth.Invalid},         // Arabic letter mark
		{"Jo\u200bhn", auth.Invalid},         // zero-width space
		{"Jo\u2060hn", auth.Invalid},         // word joiner
		{"Jo\ufeffhn", auth.Invalid},         // byte order mark
		{"Jo\u00adhn", auth.Invalid},         // soft hyphen
		{"Jo\u200dhn", auth.Invalid},         // a joiner between Latin letters
		{"Jo\u200chn", auth.Invalid},         // a non-joiner there
		{"Иван\u200dов", auth.Invalid},       // a joiner between Cyrillic letters
		{"王\u200d明", auth.Invalid},           // a joiner between Han characters
		{"👨\u200d", auth.Invalid},            // a joiner at the end
		{"\u200d👨", auth.Invalid},            // a joiner at the start
		{"👨\u200d\u200d👩", auth.Invalid},     // two joiners
		{"👨\u200dJohn", auth.Invalid},        // a joiner to Latin
		{"\u3164", auth.Invalid},             // Hangul filler
		{"John\u115f", auth.Invalid},         // Hangul choseong filler
		{"John\u034f", auth.Invalid},         // combining grapheme joiner
		{"John\u180e", auth.Invalid},         // Mongolian vowel separator
		{"John\ue000", auth.Invalid},         // private use
		{"John\ufdd0", auth.Invalid},         // a noncharacter
		{"John\uffff", auth.Invalid},         // another
		{"John\U000e0041", auth.Invalid},     // a tag letter
		{"John\xff", auth.Invalid},           // no UTF-8
		{"John\xed\xa0\x80", auth.Invalid},   // a surrogate
		{"John\xc0\x80", auth.Invalid},       // an overlong NUL
		{"John\U000f0000", auth.Invalid},     // private use, in plane 15
		{"\ufff9John\ufffb", auth.Invalid},   // interlinear annotation
		{"John\U0001d173x", auth.Invalid},    // a musical format character
		{"John\u206a", auth.Invalid},         // a deprecated format character
		{"\u2067\u05d0\u2069", auth.Invalid}, // isolates around Hebrew
	} {
		got := auth.CheckFullname(test.text)
		var want []auth.FieldError
		if test.code != "" {
			want = []auth.FieldError{{Field: auth.FieldFullname, Code: test.code}}
			if test.code == auth.TooLong {
				want[0].Limit = 120
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%.40q (-want +got):\n%s", test.text, diff)
		}
	}
}

func TestAvatar(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		code auth.FieldCode
	}{
		{"www.test.com/test.png", ""},
		{"www.test.com:8080/test.png", ""},
		{"www.test.com:8080", ""},
		{"https://www.test.com/test.png", ""},
		{"http://www.test.com/test.png", ""},
		{"HTTPS://www.test.com/test.png", ""},
		{"https://www.test.com:8443/a?b=c&d=%20#e", ""},
		{"https://例子.中国/头像.png", ""},
		{"https://[2001:db8::1]/a.png", ""},
		{"/avatars/1.png", ""},
		{"avatars/1.png", ""},
		{"1.png?size=large", ""},
		{"avatar-7", ""},
		{"头像 7", ""},
		{"a/b:c", ""},
		{"?a:b", ""},
		{"#:x", ""},
		{strings.Repeat("a", 2048), ""},

		{strings.Repeat("a", 2049), auth.TooLong},
		{"https://www.test.com/" + strings.Repeat("名", 700), auth.TooLong},

		{"javascript:alert(1)", auth.Invalid},
		{"JavaScript:alert(1)", auth.Invalid},
		{"javascript://www.test.com/%0aalert(1)", auth.Invalid},
		{"javascript:", auth.Invalid},
		{" javascript:alert(1)", auth.Invalid},
		{"\tjavascript:alert(1)", auth.Invalid},
		{"java\tscript:alert(1)", auth.Invalid},
		{"java\nscript:alert(1)", auth.Invalid},
		{"java\r\nscript:alert(1)", auth.Invalid},
		{"\x01javascript:alert(1)", auth.Invalid},
		{"\x00javascript:alert(1)", auth.Invalid},
		{"\u00a0javascript:alert(1)", auth.Invalid},
		{"\ufeffjavascript:alert(1)", auth.Invalid},
		{"java script:alert(1)", auth.Invalid},
		{"javascript:1", auth.Invalid},
		{"data:text/html,<script>alert(1)</script>", auth.Invalid},
		{"data:image/png;base64,AAAA", auth.Invalid},
		{"DATA:,x", auth.Invalid},
		{"vbscript:msgbox(1)", auth.Invalid},
		{"file:///etc/passwd", auth.Invalid},
		{"ftp://www.test.com/a.png", auth.Invalid},
		{"blob:https://www.test.com/1", auth.Invalid},
		{"about:blank", auth.Invalid},
		{"view-source:https://www.test.com", auth.Invalid},
		{"mailto:a@example.com", auth.Invalid},
		{"tel:123", auth.Invalid},
		{"wss://www.test.com/", auth.Invalid},
		{"x:y", auth.Invalid},
		{":x", auth.Invalid},
		{"://x", auth.Invalid},
		{"//www.test.com/a.png", auth.Invalid},
		{"///www.test.com/a.png", auth.Invalid},
		{`\\www.test.com\a.png`, auth.Invalid},
		{`/\www.test.com/a.png`, auth.Invalid},
		{`\/www.test.com/a.png`, auth.Invalid},
		{`/\www.test.com:80/a.png`, auth.Invalid},
		{"http:", auth.Invalid},
		{"http://", auth.Invalid},
		{"https:///a.png", auth.Invalid},
		{"https:www.test.com", auth.Invalid},
		{"https:/www.test.com", auth.Invalid},
		{`https:\\www.test.com`, auth.Invalid},
		{"https://user@www.test.com/", auth.Invalid},
		{"https://user:pass@www.test.com/", auth.Invalid},
		{"https://www.test.com@evil.example/", auth.Invalid},
		{"https://www.test.com:port/", auth.Invalid},
		{"https://www.test.com/%zz", auth.Invalid},
		{"https://www.test.com/a\nb", auth.Invalid},
		{"https://www.test.com/a\u202eb", auth.Invalid},
		{" https://www.test.com/", auth.Invalid},
		{"https://www.test.com/ ", auth.Invalid},
		{"www.test.com:80x/a.png", auth.Invalid},
		{"www.test.com:/a.png", auth.Invalid},
		{"localhost:80", auth.Invalid},
		{"a\x00b", auth.Invalid},
		{"a\xffb", auth.Invalid},
	} {
		got := auth.CheckProfile(auth.Profile{Avatar: test.text})
		var want []auth.FieldError
		if test.code != "" {
			want = []auth.FieldError{{Field: auth.FieldAvatar, Code: test.code}}
			if test.code == auth.TooLong {
				want[0].Limit = 2048
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%.60q (-want +got):\n%s", test.text, diff)
		}
	}
}

func TestPhoneNumber(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text  string
		code  auth.FieldCode
		limit int
	}{
		{"13800000000", "", 0},
		{"+86 138-0000-0000", "", 0},
		{"110", "", 0},
		{"0 0", "", 0},
		{"+49 89 1234567890123", "", 0},
		{strings.Repeat("1", 20), "", 0},
		{"12", auth.TooShort, 3},
		{"+", auth.TooShort, 3},
		{strings.Repeat("1", 21), auth.TooLong, 20},
		{strings.Repeat("1", 10_000), auth.TooLong, 20},
		{"+++", auth.Invalid, 0},
		{"   ", auth.Invalid, 0},
		{"- + -", auth.Invalid, 0},
		{"138 000 000 x", auth.Invalid, 0},
		{"(089) 123", auth.Invalid, 0},
		{"089/123", auth.Invalid, 0},
		{"138\n000", auth.Invalid, 0},
		{"138\x00000", auth.Invalid, 0},
		{"138\u00a0000", auth.Invalid, 0},
		{"１３８００００", auth.Invalid, 0},
		{"١٢٣٤٥", auth.Invalid, 0},
		{"tel:123", auth.Invalid, 0},
		{"138−000", auth.Invalid, 0}, // a minus sign
		{strings.Repeat("x", 10_000), auth.Invalid, 0},
	} {
		got := auth.CheckProfile(auth.Profile{PhoneNumber: test.text})
		var want []auth.FieldError
		if test.code != "" {
			want = []auth.FieldError{{Field: auth.FieldPhoneNumber, Code: test.code, Limit: test.limit}}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%.40q (-want +got):\n%s", test.text, diff)
		}
	}
}

// What is not given is not wrong.
func TestEmptyProfileIsFine(t *testing.T) {
	t.Parallel()
	if got := auth.CheckProfile(auth.Profile{}); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestOpenID(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]bool{
		"test_uid": true, "oGZUI0egBJY1zhBYw2KhdUfwVJJE": true, "o-_9": true, "x": true, strings.Repeat("x", 128): true,
		"": false, strings.Repeat("x", 129): false, "a b": false, "a\x00": false, "a@b": false, "用户": false, "a.b": false, "a/b": false, "\xff": false,
	} {
		if got := auth.IsOpenID(id); got != want {
			t.Errorf("%.20q: got %v, want %v", id, got, want)
		}
	}
}

func TestCleanUserAgent(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"":                                   "",
		"IdeaEgg/2.1 (iPhone; iOS 8.4)":      "IdeaEgg/2.1 (iPhone; iOS 8.4)",
		"微信/8.0":                             "微信/8.0",
		"a\x00b\x1b[31mc\nd\te":              "ab[31mcde",
		"a\u202eb\u200bc":                    "abc",
		"a\xffb\xc3":                         "ab",
		strings.Repeat("x", 513):             strings.Repeat("x", 512),
		strings.Repeat("x", 511) + "微":       strings.Repeat("x", 511), // no half characters
		strings.Repeat("\x00", 600) + "tail": "tail",
	} {
		if got := auth.CleanUserAgent(header); got != want {
			t.Errorf("%.30q: got %q, want %q", header, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		got := auth.CleanUserAgent(string(rapid.SliceOfN(rapid.Byte(), 0, 1200).Draw(t, "header")))
		if len(got) > 512 || !utf8.ValidString(got) || auth.CleanUserAgent(got) != got {
			t.Errorf("got %q", got)
		}
	})
}

// Hashes are billed to a household: to an address, or to a /64 of IPv6.
func TestClientOfAnOrigin(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"203.0.113.7":          "203.0.113.7",
		"::ffff:203.0.113.7":   "203.0.113.7",
		"2001:db8:1:2::7":      "2001:db8:1:2::/64",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
		"fe80::1%eth0":         "fe80::/64",
	} {
		if got := auth.Client(auth.Origin{Address: netip.MustParseAddr(address)}); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
	if got := auth.Client(auth.Origin{}); got != "" {
		t.Errorf("without an address: got %q, want none", got)
	}
}
