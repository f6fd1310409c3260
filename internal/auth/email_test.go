package auth_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ideaegg/latchkey/internal/auth"
)

func TestParseEmail(t *testing.T) {
	t.Parallel()
	same := func(s string) auth.Email { return auth.Email{Address: s, Key: strings.ToLower(s)} }
	label63 := strings.Repeat("a", 63)
	for _, test := range []struct {
		typed string
		want  auth.Email
		code  auth.FieldCode
	}{
		// Plain ones, kept as they are typed and compared in lower case.
		{"john@example.com", same("john@example.com"), ""},
		{"John.Smith@Example.COM", same("John.Smith@Example.COM"), ""},
		{"a@b.co", same("a@b.co"), ""},
		{"john+tag@example.com", same("john+tag@example.com"), ""},
		{"12345678@qq.com", same("12345678@qq.com"), ""},
		{"!#$%&'*+-/=?^_`{|}~@example.com", same("!#$%&'*+-/=?^_`{|}~@example.com"), ""},
		{"john@sub.sub.example.co.uk", same("john@sub.sub.example.co.uk"), ""},
		{"john@1and1.com", same("john@1and1.com"), ""},
		{"john@123.com", same("john@123.com"), ""},
		{"john@r3---sn.example.com", same("john@r3---sn.example.com"), ""},
		{"john@" + label63 + ".com", same("john@" + label63 + ".com"), ""},
		{strings.Repeat("a", 64) + "@example.com", same(strings.Repeat("a", 64) + "@example.com"), ""},
		{"abcd@" + strings.Repeat("a.", 121) + "abcdefg", same("abcd@" + strings.Repeat("a.", 121) + "abcdefg"), ""}, // 254 bytes

		// International domains, kept in their ASCII form.
		{"user@例子.中国", same("user@xn--fsqu00a.xn--fiqs8s"), ""},
		{"user@münchen.de", same("user@xn--mnchen-3ya.de"), ""},
		{"user@MÜNCHEN.DE", same("user@xn--mnchen-3ya.de"), ""},
		{"user@xn--mnchen-3ya.de", same("user@xn--mnchen-3ya.de"), ""},
		{"user@XN--MNCHEN-3YA.de", same("user@XN--MNCHEN-3YA.de"), ""},
		{"user@straße.de", same("user@xn--strae-oqa.de"), ""},
		{"user@пример.рф", same("user@xn--e1afmkfd.xn--p1ai"), ""},
		{"user@例え.テスト", same("user@xn--r8jz45g.xn--zckzah"), ""},
		{"user@αβγ.gr", same("user@xn--mxacd.gr"), ""},
		{"user@한국.kr", same("user@xn--3e0b707e.kr"), ""},
		{"user@b例子.com", same("user@xn--b-lb7ap09a.com"), ""}, // Latin with Han, as is written

		// No address at all.
		{"", auth.Email{}, auth.Required},
		{"john", auth.Email{}, auth.Invalid},
		{"@", auth.Email{}, auth.Invalid},
		{"john@", auth.Email{}, auth.Invalid},
		{"@example.com", auth.Email{}, auth.Invalid},
		{"a@b@c", auth.Email{}, auth.Invalid},
		{"a@b@example.com", auth.Email{}, auth.Invalid},
		{"john@@example.com", auth.Email{}, auth.Invalid},

		// Local parts.
		{".john@example.com", auth.Email{}, auth.Invalid},
		{"john.@example.com", auth.Email{}, auth.Invalid},
		{"john..smith@example.com", auth.Email{}, auth.Invalid},
		{"john smith@example.com", auth.Email{}, auth.Invalid},
		{`"john smith"@example.com`, auth.Email{}, auth.Invalid},
		{`"john"@example.com`, auth.Email{}, auth.Invalid},
		{`john\@x@example.com`, auth.Email{}, auth.Invalid},
		{"john(comment)@example.com", auth.Email{}, auth.Invalid},
		{"john,mary@example.com", auth.Email{}, auth.Invalid},
		{"john:mary@example.com", auth.Email{}, auth.Invalid},
		{"<john@example.com>", auth.Email{}, auth.Invalid},
		{"John <john@example.com>", auth.Email{}, auth.Invalid},
		{"mailto:john@example.com", auth.Email{}, auth.Invalid},
		{" john@example.com", auth.Email{}, auth.Invalid},
		{"john@example.com ", auth.Email{}, auth.Invalid},
		{"john@example.com\n", auth.Email{}, auth.Invalid},
		{"john@example.com\r\nBcc: all@example.com", auth.Email{}, auth.Invalid},
		{"john\x00@example.com", auth.Email{}, auth.Invalid},
		{"john\x7f@example.com", auth.Email{}, auth.Invalid},
		{"jöhn@example.com", auth.Email{}, auth.Invalid},
		{"用户@example.com", auth.Email{}, auth.Invalid},
		{"ｊohn@example.com", auth.Email{}, auth.Invalid},
		{"john\u200b@example.com", auth.Email{}, auth.Invalid},
		{"\u202ejohn@example.com", auth.Email{}, auth.Invalid},
		{"\u212aelvin@example.com", auth.Email{}, auth.Invalid},
		{"john\xff@example.com", auth.Email{}, auth.Invalid},

		// Hosts.
		{"john@localhost", auth.Email{}, auth.Invalid},
		{"john@com", auth.Email{}, auth.Invalid},
		{"john@example.c", auth.Email{}, auth.Invalid},
		{"john@example.123", auth.Email{}, auth.Invalid},
		{"john@127.0.0.1", auth.Email{}, auth.Invalid},
		{"john@[127.0.0.1]", auth.Email{}, auth.Invalid},
		{"john@[IPv6:2001:db8::1]", auth.Email{}, auth.Invalid},
		{"john@0x7f.1", auth.Email{}, auth.Invalid},
		{"john@.example.com", auth.Email{}, auth.Invalid},
		{"john@example..com", auth.Email{}, auth.Invalid},
		{"john@example.com.", auth.Email{}, auth.Invalid},
		{"john@-example.com", auth.Email{}, auth.Invalid},
		{"john@example-.com", auth.Email{}, auth.Invalid},
		{"john@exa_mple.com", auth.Email{}, auth.Invalid},
		{"john@exa mple.com", auth.Email{}, auth.Invalid},
		{"john@example.com:25", auth.Email{}, auth.Invalid},
		{"john@example.com/x", auth.Email{}, auth.Invalid},
		{"john@exa%6dple.com", auth.Email{}, auth.Invalid},
		{"john@*.com", auth.Email{}, auth.Invalid},
		{"john@" + label63 + "a.com", auth.Email{}, auth.Invalid},
		{"john@example\x00.com", auth.Email{}, auth.Invalid},
		{"john@example\t.com", auth.Email{}, auth.Invalid},
		{"john@example.\xff", auth.Email{}, auth.Invalid},

		// Hosts that look like others, or that another program would read as another.
		{"john@exаmple.com", auth.Email{}, auth.Invalid},            // Cyrillic а among Latin letters
		{"john@раypal.com", auth.Email{}, auth.Invalid},             // Cyrillic and Latin
		{"john@xn--pypal-4ve.com", auth.Email{}, auth.Invalid},      // the same, as an A-label
		{"john@αbc.com", auth.Email{}, auth.Invalid},                // Greek and Latin
		{"john@кorea한.com", auth.Email{}, auth.Invalid},             // three scripts
		{"john@ｅxample.com", auth.Email{}, auth.Invalid},            // full-width
		{"john@example。com", auth.Email{}, auth.Invalid},            // ideographic full stop
		{"john@example．com", auth.Email{}, auth.Invalid},            // full-width full stop
		{"john@\u212aelvin.com", auth.Email{}, auth.Invalid},        // Kelvin sign
		{"john@ⓔxample.com", auth.Email{}, auth.Invalid},            // circled letter
		{"john@exam\u00adple.com", auth.Email{}, auth.Invalid},      // soft hyphen, which a mapping drops
		{"john@exam\u200bple.com", auth.Email{}, auth.Invalid},      // zero-width space
		{"john@exam\u200dple.com", auth.Email{}, auth.Invalid},      // joiner without a meaning
		{"john@\u202eexample.com", auth.Email{}, auth.Invalid},      // right-to-left override
		{"john@\ufeffexample.com", auth.Email{}, auth.Invalid},      // byte order mark
		{"john@☃.com", auth.Email{}, auth.Invalid},                  // a symbol
		{"john@🐝.com", auth.Email{}, auth.Invalid},                  // an emoji
		{"john@xn--bee-.com", auth.Email{}, auth.Invalid},           // no A-label
		{"john@xn--.com", auth.Email{}, auth.Invalid},               // nor this
		{"john@xn--a.com", auth.Email{}, auth.Invalid},              // nor this
		{"john@xn--example-.com", auth.Email{}, auth.Invalid},       // an A-label of ASCII alone
		{"john@xn--ls8h.com", auth.Email{}, auth.Invalid},           // an emoji as an A-label
		{"john@אab.com", auth.Email{}, auth.Invalid},                // both directions in one label
		{"john@examp\u0142e\u0432.com", auth.Email{}, auth.Invalid}, // Latin beyond ASCII and Cyrillic

		// Lengths.
		{strings.Repeat("a", 65) + "@example.com", auth.Email{}, auth.TooLong},
		{"abcd@" + strings.Repeat("a.", 121) + "abcdefgh", auth.Email{}, auth.TooLong}, // 255 bytes
		{strings.Repeat("a", 1017), auth.Email{}, auth.TooLong},
		{strings.Repeat("@", 100_000), auth.Email{}, auth.TooLong},
	} {
		got, code := auth.ParseEmail(test.typed)
		if got != test.want || code != test.code {
			t.Errorf("%.60q: got %+v and %q, want %+v and %q", test.typed, got, code, test.want, test.code)
		}
	}
}

// However a known address is spelled, it is compared as one.
func TestSpellingsOfAnAddressHaveOneKey(t *testing.T) {
	t.Parallel()
	for _, spellings := range [][]string{
		{"john@example.com", "JOHN@example.com", "john@EXAMPLE.COM", "John@Example.Com"},
		{"user@例子.中国", "user@xn--fsqu00a.xn--fiqs8s", "USER@XN--FSQU00A.XN--FIQS8S", "User@例子.xn--fiqs8s"},
		{"user@münchen.de", "user@MÜNCHEN.de", "user@xn--mnchen-3ya.de", "user@Xn--Mnchen-3Ya.DE"},
	} {
		first, code := auth.ParseEmail(spellings[0])
		if code != "" {
			t.Fatalf("%s: %s", spellings[0], code)
		}
		for _, s := range spellings {
			if got, code := auth.ParseEmail(s); code != "" || got.Key != first.Key {
				t.Errorf("%s: got key %q, %q, want %q", s, got.Key, code, first.Key)
			}
		}
	}
}

func TestEveryAddressIsItsOwnForm(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		typed := rapid.StringMatching(`[a-zA-Z0-9+_-]{1,20}(\.[a-zA-Z0-9]{1,10})?@([a-zA-Z0-9]{1,20}\.){1,3}[a-zA-Z]{2,10}`).Draw(t, "typed")
		got, code := auth.ParseEmail(typed)
		if code != "" || got.Address != typed || got.Key != strings.ToLower(typed) {
			t.Errorf("%q: got %+v and %q", typed, got, code)
		}
	})
}

func TestParseLogin(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]auth.Login{
		"john_smith":            {Username: "john_smith"},
		"JOHN_Smith":            {Username: "john_smith"},
		"john@example.com":      {EmailKey: "john@example.com"},
		"John@EXAMPLE.com":      {EmailKey: "john@example.com"},
		"0c60b755@ideaegg.me":   {GeneratedFor: "0c60b755"},
		"0C60B755@IdeaEgg.ME":   {GeneratedFor: "0c60b755"},
		"john@mail.ideaegg.me":  {EmailKey: "john@mail.ideaegg.me"},
		"":                      {},
		"john smith":            {},
		"admin":                 {Username: "admin"}, // its owner may have had it before it was reserved
		"a@b@c":                 {},
		"john@":                 {},
		"john@localhost":        {},
		"john@example.com\x00":  {},
		strings.Repeat("a", 31): {},
	} {
		got, err := auth.ParseLogin(typed, "ideaegg.me")
		if got != want || (err == nil) != (want != auth.Login{}) {
			t.Errorf("%q: got %+v, %v, want %+v", typed, got, err, want)
		}
	}
}

func FuzzEmail(f *testing.F) {
	f.Fuzz(func(t *testing.T, typed string) {
		got, code := auth.ParseEmail(typed)
		if code != "" {
			if got != (auth.Email{}) {
				t.Errorf("got %+v with %s", got, code)
			}
			return
		}
		switch {
		case len(got.Address) > 254 || strings.Count(got.Address, "@") != 1:
			t.Errorf("took %q as %q", typed, got.Address)
		case strings.ContainsFunc(got.Address, func(r rune) bool { return r <= ' ' || r > '~' }):
			t.Errorf("took %q as %q, which is not printable ASCII", typed, got.Address)
		case strings.ContainsAny(got.Address, `<>()[]\,;:"`):
			t.Errorf("took %q as %q, which would mean something in a header", typed, got.Address)
		case got.Key != strings.ToLower(got.Address):
			t.Errorf("got key %q of %q", got.Key, got.Address)
		}
		if again, code := auth.ParseEmail(got.Address); code != "" || again != got {
			t.Errorf("%q is %+v at first and %+v, %q then", typed, got, again, code)
		}
		if key, code := auth.ParseEmail(got.Key); code != "" || key.Key != got.Key {
			t.Errorf("the key %q has the key %q, %q", got.Key, key.Key, code)
		}
	})
}
