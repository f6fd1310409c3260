package auth_test

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ideaegg/latchkey/internal/auth"
)

func TestCanonicalUsername(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		typed, want string
		code        auth.FieldCode
	}{
		{"ab", "ab", ""},
		{"john_smith", "john_smith", ""},
		{"John_Smith", "john_smith", ""},
		{"JOHN", "john", ""},
		{"0c60b755", "0c60b755", ""},
		{"a.b-c_d", "a.b-c_d", ""},
		{"a..b", "a..b", ""},
		{"a-", "a-", ""},
		{"9z", "9z", ""},
		{strings.Repeat("a", 30), strings.Repeat("a", 30), ""},
		{"adminx", "adminx", ""},

		{"", "", auth.Required},
		{"a", "", auth.TooShort},
		{"-", "", auth.TooShort},
		{strings.Repeat("a", 31), "", auth.TooLong},
		{strings.Repeat("a", 100_000), "", auth.TooLong},
		{".ab", "", auth.Invalid},
		{"_ab", "", auth.Invalid},
		{"-ab", "", auth.Invalid},
		{"..", "", auth.Invalid},
		{"a b", "", auth.Invalid},
		{" ab", "", auth.Invalid},
		{"ab ", "", auth.Invalid},
		{"ab\t", "", auth.Invalid},
		{"ab\n", "", auth.Invalid},
		{"ab\x00", "", auth.Invalid},
		{"\x7fab", "", auth.Invalid},
		{"a@b", "", auth.Invalid},
		{"a/b", "", auth.Invalid},
		{"a%20b", "", auth.Invalid},
		{"a+b", "", auth.Invalid},
		{"a'b", "", auth.Invalid},
		{"é", "", auth.Invalid},
		{"josé", "", auth.Invalid},
		{"jose\u0301", "", auth.Invalid},
		{"用户名", "", auth.Invalid},
		{"аdmin", "", auth.Invalid},       // Cyrillic а
		{"\u212aelvin", "", auth.Invalid}, // Kelvin sign, whose lower case is k
		{"s\u017fs", "", auth.Invalid},    // long s, whose upper case is S
		{"ＡＢ", "", auth.Invalid},          // full-width
		{"a\u200bb", "", auth.Invalid},    // zero-width space
		{"a\u00adb", "", auth.Invalid},    // soft hyphen
		{"\u202eab", "", auth.Invalid},    // right-to-left override
		{"\ufeffab", "", auth.Invalid},    // byte order mark
		{"a\xffb", "", auth.Invalid},
		{"🐝🐝", "", auth.Invalid},
		{strings.Repeat("é", 40), "", auth.Invalid},

		{"admin", "", auth.Reserved},
		{"Admin", "", auth.Reserved},
		{"ADMINISTRATOR", "", auth.Reserved},
		{"sign_up", "", auth.Reserved},
		{"openapi.json", "", auth.Reserved},
		{"me", "", auth.Reserved},
		{"null", "", auth.Reserved},
		{"undefined", "", auth.Reserved},
	} {
		got, fault := auth.CanonicalUsername(test.typed)
		var code auth.FieldCode
		if fault != nil {
			code = fault.Code
			if fault.Field != auth.FieldUsername {
				t.Errorf("%q: got a fault of %s", test.typed, fault.Field)
			}
		}
		if got != test.want || code != test.code {
			t.Errorf("%.40q: got %q and %q, want %q and %q", test.typed, got, code, test.want, test.code)
		}
	}
}

func TestUsernameFaultsTellTheirLimits(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]int{"a": 2, strings.Repeat("a", 31): 30, "-a": 0} {
		if _, fault := auth.CanonicalUsername(typed); fault == nil || fault.Limit != want {
			t.Errorf("%q: got %+v, want the limit %d", typed, fault, want)
		}
	}
}

// The contract's reserved names, and those of the service's routes.
func TestNamesOfTheServiceAreReserved(t *testing.T) {
	t.Parallel()
	for _, name := range strings.Fields(`admin administrator root support help system api me null undefined
		sign_up sign_in sign_in_with sign_up_temporarily reset_password user sign_out healthz readyz openapi.json docs dev account verify introspect metrics`) {
		if _, fault := auth.CanonicalUsername(name); fault == nil || fault.Code != auth.Reserved {
			t.Errorf("%s: got %v, want reserved", name, fault)
		}
	}
	for name := range auth.ReservedUsernames {
		if _, fault := auth.CanonicalUsername(strings.ToUpper(name)); fault == nil || fault.Code != auth.Reserved {
			t.Errorf("%s is in the list and not reserved: %v", name, fault)
		}
	}
}

var canonicalName = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{1,29}$`)

func TestEveryUsernameHasOneForm(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		typed := rapid.StringMatching(`[a-zA-Z0-9][a-zA-Z0-9_.-]{1,29}`).Draw(t, "typed")
		name, fault := auth.CanonicalUsername(typed)
		if fault != nil {
			if fault.Code != auth.Reserved {
				t.Errorf("%q: got %s", typed, fault.Code)
			}
			return
		}
		if !canonicalName.MatchString(name) || !strings.EqualFold(name, typed) {
			t.Errorf("%q: got %q", typed, name)
		}
		if again, fault := auth.CanonicalUsername(strings.ToUpper(name)); fault != nil || again != name {
			t.Errorf("%q in capitals: got %q, %v", name, again, fault)
		}
	})
}

func FuzzUsername(f *testing.F) {
	f.Fuzz(func(t *testing.T, typed string) {
		name, fault := auth.CanonicalUsername(typed)
		if (fault == nil) != (name != "") {
			t.Fatalf("got %q and %v", name, fault)
		}
		if fault != nil {
			return
		}
		if !canonicalName.MatchString(name) {
			t.Errorf("took %q as %q", typed, name)
		}
		if again, fault := auth.CanonicalUsername(name); fault != nil || again != name {
			t.Errorf("%q is %q at first and %q, %v then", typed, name, again, fault)
		}
	})
}
