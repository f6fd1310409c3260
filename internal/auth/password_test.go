package auth_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ideaegg/latchkey/internal/auth"
)

func TestNewPassword(t *testing.T) {
	t.Parallel()
	rules := auth.PasswordRules{AppName: "Egg Basket", MinLength: 8, Common: func(p string) bool { return p == "password1" || p == "letmein123" }}
	const right = "correct horse"
	fault := func(field auth.Field, code auth.FieldCode, limit int) auth.FieldError {
		return auth.FieldError{Field: field, Code: code, Limit: limit}
	}
	var (
		tooShort = fault(auth.FieldPassword, auth.TooShort, 8)
		tooLong  = fault(auth.FieldPassword, auth.TooLong, 256)
		tooEasy  = fault(auth.FieldPassword, auth.TooCommon, 0)
		required = fault(auth.FieldPassword, auth.Required, 0)
		confirm  = fault(auth.FieldPasswordConfirmation, auth.Required, 0)
		mismatch = fault(auth.FieldPasswordConfirmation, auth.Mismatch, 0)
	)
	for _, test := range []struct {
		name                   string
		password, confirmation string // "=" is the password
		faults                 []auth.FieldError
	}{
		{"a good one", right, "=", nil},
		{"nothing", "", "", []auth.FieldError{required, confirm}},
		{"no confirmation", right, "", []auth.FieldError{confirm}},
		{"another confirmation", right, right + "x", []auth.FieldError{mismatch}},
		{"a short one and another confirmation", "short", "shorT", []auth.FieldError{tooShort, mismatch}},

		{"7 characters", "1234567", "=", []auth.FieldError{tooShort}},
		{"8 characters", "12345678", "=", nil},
		{"7 characters of 28 bytes", strings.Repeat("🐝", 7), "=", []auth.FieldError{tooShort}},
		{"8 characters of 32 bytes", strings.Repeat("🐝", 8), "=", nil},
		{"8 letters of which two make one in NFKC", "1234567e\u0301", "=", nil},
		{"8 code points that are 7 in NFKC", "123456e\u0301", "=", []auth.FieldError{tooShort}},
		{"3 code points that are 9 in NFKC", "ﬃﬃﬃ", "=", nil},
		{"8 spaces", strings.Repeat(" ", 8), "=", nil},
		{"8 control characters", strings.Repeat("\x00", 8), "=", nil},
		{"256 characters", strings.Repeat("x", 256), "=", nil},
		{"257 characters", strings.Repeat("x", 257), "=", []auth.FieldError{tooLong}},
		{"256 characters of 1,024 bytes", strings.Repeat("🐝", 256), "=", nil},
		{"one character that is 18 in NFKC, 15 times", strings.Repeat("\ufdfa", 15), "=", []auth.FieldError{tooLong}},
		{"400 code points that are 200 in NFKC", strings.Repeat("e\u0301", 200), "=", nil},
		{"16,000 characters", strings.Repeat("x", 16_000), "=", []auth.FieldError{tooLong}},

		{"one character again and again", strings.Repeat("a", 8), "=", nil},
		{"lower case alone", "abcdefgh", "=", nil},
		{"a common one", "password1", "=", []auth.FieldError{tooEasy}},
		{"a common one in full-width", "ｐａｓｓｗｏｒｄ１", "=", []auth.FieldError{tooEasy}},
		{"a common one with a space", "password1 ", "=", nil},

		{"the username", "john_smith", "=", []auth.FieldError{tooEasy}},
		{"the username in capitals", "JOHN_SMITH", "=", []auth.FieldError{tooEasy}},
		{"the username in full-width", "ｊｏｈｎ＿ｓｍｉｔｈ", "=", []auth.FieldError{tooEasy}},
		{"the address", "j.smith.1970@example.com", "=", []auth.FieldError{tooEasy}},
		{"the address in other letters", "J.Smith.1970@Example.Com", "=", []auth.FieldError{tooEasy}},
		{"the local part", "J.Smith.1970", "=", []auth.FieldError{tooEasy}},
		{"more than the username", "john_smith!", "=", nil},
		{"the app's name", "egg basket", "=", []auth.FieldError{tooEasy}},
		{"the app's name as one word", "EggBasket", "=", []auth.FieldError{tooEasy}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			confirmation := test.confirmation
			if confirmation == "=" {
				confirmation = test.password
			}
			got := rules.Check(test.password, confirmation, "john_smith", "j.smith.1970@example.com")
			if diff := cmp.Diff(test.faults, got); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWithoutAListNoPasswordIsCommon(t *testing.T) {
	t.Parallel()
	if got := (auth.PasswordRules{MinLength: 8}).Check("test1234", "test1234", "john_smith", "john@example.com"); len(got) > 0 {
		t.Errorf("got %v, want the documentation's example to be good", got)
	}
}

func TestMinimumLengthIsASetting(t *testing.T) {
	t.Parallel()
	for minimum, password := range map[int]string{1: "x", 15: "fifteen letters", 256: strings.Repeat("x", 256)} {
		rules := auth.PasswordRules{MinLength: minimum}
		if got := rules.Check(password, password, "john_smith", "john@example.com"); len(got) > 0 {
			t.Errorf("%d: got %v", minimum, got)
		}
		shorter := password[1:]
		if got := rules.Check(shorter, shorter, "john_smith", "john@example.com"); len(got) == 0 {
			t.Errorf("%d: %d characters were good", minimum, len(shorter))
		}
	}
}

// Passwords that differ stay different, but for what NFKC makes one: nothing is cut off, trimmed or folded.
func TestPasswordsThatDifferStayDifferent(t *testing.T) {
	t.Parallel()
	same := [][2]string{{"caf\u00e9", "cafe\u0301"}, {"ｐａｓｓ", "pass"}, {"ﬁne", "fine"}, {"Ⅷ", "VIII"}, {"\u212b", "\u00c5"}, {"가", "\u1100\u1161"}}
	for _, pair := range same {
		if auth.NormalizePassword(pair[0]) != auth.NormalizePassword(pair[1]) {
			t.Errorf("%q and %q are two", pair[0], pair[1])
		}
	}
	long := strings.Repeat("x", 72)
	different := [][2]string{
		{long + "a", long + "b"},
		{long, long + "x"},
		{"pass", "pass "},
		{" pass", "pass"},
		{"Pass", "pass"},
		{"pass\x00a", "pass\x00b"},
		{"pass", "pass\x00"},
		{"pass\n", "pass"},
		{"stra\u00dfe", "strasse"},
		{"\u0130", "i"},
		{"a\u200bb", "ab"},
		{"", " "},
	}
	for _, pair := range different {
		if auth.NormalizePassword(pair[0]) == auth.NormalizePassword(pair[1]) {
			t.Errorf("%q and %q are one", pair[0], pair[1])
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.StringMatching(`[ -~]{0,300}`).Draw(t, "a")
		b := rapid.StringMatching(`[ -~]{0,300}`).Draw(t, "b")
		if (auth.NormalizePassword(a) == auth.NormalizePassword(b)) != (a == b) {
			t.Errorf("%q and %q", a, b)
		}
	})
}
