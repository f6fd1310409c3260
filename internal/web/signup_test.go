package web_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/internal/apitest"
	"github.com/ideaegg/latchkey/internal/passlist"
)

func TestSignUp(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		a := s.Post("/sign_up", `{"username":"john_smith","email":"john@example.com","password":"test1234","password_confirmation":"test1234"}`)
		want(t, a, http.StatusOK)
		wantMembers(t, a, signedInMembers)
		if got := a.ID(); got < 1 {
			t.Errorf("got id %d, want a positive integer", got)
		}
		for name, want := range map[string]string{
			"username": "john_smith", "email": "john@example.com", "fullname": "john_smith", "created_at": "2026-06-06T14:20:57.024Z",
		} {
			if got := a.Text(name); got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
		user := wantAlive(t, s, a.Token())
		if user.Object["guest"] != false || user.Object["email_verified"] != false || user.Object["avatar"] != nil {
			t.Errorf("got %s, want a full user whose address is not verified, without avatar", user.Body)
		}

		t.Run("the username is stored in lower case and the address as it was typed", func(t *testing.T) {
			s := s.For(t)
			a := s.Post("/sign_up", object{"username": "Mary.Poppins-2", "email": "Mary@Example.COM", "password": password, "password_confirmation": password})
			want(t, a, http.StatusOK)
			if a.Text("username") != "mary.poppins-2" || a.Text("fullname") != "mary.poppins-2" || a.Text("email") != "Mary@Example.COM" {
				t.Errorf("got %s", a.Body)
			}
		})
		t.Run("an international domain is stored in its ASCII form", func(t *testing.T) {
			s := s.For(t)
			body := signUpBody("idn_user")
			body["email"] = "user@例子.中国"
			a := s.Post("/sign_up", body)
			want(t, a, http.StatusOK)
			if got, want := a.Text("email"), "user@xn--fsqu00a.xn--fiqs8s"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			body["username"], body["email"] = "idn_user2", "USER@XN--FSQU00A.xn--fiqs8s"
			wantInvalid(t, s.Post("/sign_up", body), "email taken")
		})
		t.Run("a name or address that somebody has is taken in every spelling", func(t *testing.T) {
			s := s.For(t)
			signUp(t, s, "taken_name")
			for _, test := range []struct {
				username, email string
				faults          []string
			}{
				{"taken_name", "other@example.com", []string{"username taken"}},
				{"TAKEN_Name", "other@example.com", []string{"username taken"}},
				{"other", "taken_name@example.com", []string{"email taken"}},
				{"other", "Taken_Name@EXAMPLE.com", []string{"email taken"}},
				{"Taken_name", "TAKEN_NAME@example.com", []string{"username taken", "email taken"}},
			} {
				body := signUpBody(test.username)
				body["email"] = test.email
				wantInvalid(t, s.Post("/sign_up", body), test.faults...)
			}
		})
		t.Run("unknown members set nothing", func(t *testing.T) {
			s := s.For(t)
			body := signUpBody("plain_user")
			for name, value := range map[string]any{
				"id": 4711, "guest": true, "email_verified": true, "admin": true, "fullname": "Boss", "avatar": "a.png", "phone_number": "123",
				"private_token": "lk_x", "created_at": "2012-05-23T08:00:58Z", "status": 1, "password_hash": "x", "": "", "__proto__": object{},
			} {
				body[name] = value
			}
			a := s.Post("/sign_up", body)
			want(t, a, http.StatusOK)
			user := wantAlive(t, s, a.Token())
			if a.ID() == 4711 || user.Text("fullname") != "plain_user" || user.Object["guest"] != false ||
				user.Object["email_verified"] != false || user.Object["avatar"] != nil || user.Object["phone_number"] != nil {
				t.Errorf("got %s", user.Body)
			}
		})
		t.Run("what is refused has created nothing", func(t *testing.T) {
			s := s.For(t)
			for _, member := range []string{"username", "email", "password", "password_confirmation"} {
				body := signUpBody("nobody_yet")
				body[member] = ""
				want(t, s.Post("/sign_up", body), http.StatusUnprocessableEntity)
			}
			want(t, s.Post("/sign_in", object{"login": "nobody_yet", "password": password}), http.StatusUnauthorized)
			signUp(t, s, "nobody_yet")
		})
	})
}

// Every fault is told at once, in the order of the documented members.
func TestSignUpTellsEveryFault(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{CommonPassword: func(p string) bool { return p == "password1" }})
	valid := signUpBody("valid_name")
	for _, test := range []struct {
		name   string
		change object
		faults []string
	}{
		{
			"all members are missing",
			object{"username": nil, "email": nil, "password": nil, "password_confirmation": nil},
			[]string{"username required", "email required", "password required", "password_confirmation required"},
		},
		{
			"all members are empty",
			object{"username": "", "email": "", "password": "", "password_confirmation": ""},
			[]string{"username required", "email required", "password required", "password_confirmation required"},
		},
		{
			"all members are wrong",
			object{"username": "-", "email": "x", "password": "short", "password_confirmation": "Short"},
			[]string{"username too_short", "email invalid", "password too_short", "password_confirmation mismatch"},
		},

		{"a username of one character", object{"username": "a"}, []string{"username too_short"}},
		{"a username of 31 characters", object{"username": strings.Repeat("a", 31)}, []string{"username too_long"}},
		{"a username that starts with a dot", object{"username": ".abc"}, []string{"username invalid"}},
		{"a username that starts with an underscore", object{"username": "_abc"}, []string{"username invalid"}},
		{"a username that starts with a hyphen", object{"username": "-abc"}, []string{"username invalid"}},
		{"a username with @", object{"username": "a@example.com"}, []string{"username invalid"}},
		{"a username with a space", object{"username": "john smith"}, []string{"username invalid"}},
		{"a username with a space around it", object{"username": " john"}, []string{"username invalid"}},
		{"a username in Chinese", object{"username": "用户名"}, []string{"username invalid"}},
		{"a username with a Cyrillic look-alike", object{"username": "pаypal"}, []string{"username invalid"}},
		{"a username with the Kelvin sign", object{"username": "\u212aelvin"}, []string{"username invalid"}},
		{"a username in full-width letters", object{"username": "ａｂｃ"}, []string{"username invalid"}},
		{"a username with a NUL", object{"username": "john\x00smith"}, []string{"username invalid"}},
		{"a username with a line break", object{"username": "john\n"}, []string{"username invalid"}},
		{"a username with a zero-width space", object{"username": "john\u200bsmith"}, []string{"username invalid"}},
		{"a username with a right-to-left override", object{"username": "john\u202esmith"}, []string{"username invalid"}},
		{"a reserved username", object{"username": "admin"}, []string{"username reserved"}},
		{"a reserved username in capitals", object{"username": "ROOT"}, []string{"username reserved"}},
		{"the name of a route", object{"username": "sign_up"}, []string{"username reserved"}},

		{"an address with two @", object{"email": "a@b@c.com"}, []string{"email invalid"}},
		{"an address with two @ and short labels", object{"email": "a@b@c"}, []string{"email invalid"}},
		{"an address without @", object{"email": "example.com"}, []string{"email invalid"}},
		{"an address of one label", object{"email": "john@localhost"}, []string{"email invalid"}},
		{"an address with a display name", object{"email": "John <john@example.com>"}, []string{"email invalid"}},
		{"an address with a line break", object{"email": "john@example.com\r\nBcc: all@example.com"}, []string{"email invalid"}},
		{"an address with a NUL", object{"email": "john\x00@example.com"}, []string{"email invalid"}},
		{"an address with a right-to-left override", object{"email": "john\u202e@example.com"}, []string{"email invalid"}},
		{"an address with a zero-width space", object{"email": "john@exa\u200bmple.com"}, []string{"email invalid"}},
		{"an address whose domain mixes scripts", object{"email": "john@exаmple.com"}, []string{"email invalid"}},
		{"an address of 255 bytes", object{"email": "john@" + strings.Repeat("a.", 123) + "abcd"}, []string{"email too_long"}},
		{"an address at the placeholder domain", object{"email": "john@ideaegg.me"}, []string{"email reserved"}},
		{"an address at the placeholder domain in capitals", object{"email": "valid_name@IDEAEGG.ME"}, []string{"email reserved"}},
		{"an address below the placeholder domain", object{"email": "john@mail.ideaegg.me"}, []string{"email reserved"}},

		{"a password of 7 characters", object{"password": "1234567", "password_confirmation": "1234567"}, []string{"password too_short"}},
		{"a password of 7 characters and 28 bytes", object{"password": "🐝🐝🐝🐝🐝🐝🐝", "password_confirmation": "🐝🐝🐝🐝🐝🐝🐝"}, []string{"password too_short"}},
		{"a password of 257 characters", object{"password": strings.Repeat("x", 257), "password_confirmation": strings.Repeat("x", 257)}, []string{"password too_long"}},
		{"a password of 1,028 bytes", object{"password": strings.Repeat("🐝", 257), "password_confirmation": strings.Repeat("🐝", 257)}, []string{"password too_long"}},
		{"a common password", object{"password": "password1", "password_confirmation": "password1"}, []string{"password too_common"}},
		{"a common password in full-width letters", object{"password": "ｐassword1", "password_confirmation": "ｐassword1"}, []string{"password too_common"}},
		{"the username as password", object{"password": "VALID_NAME", "password_confirmation": "VALID_NAME"}, []string{"password too_common"}},
		{"the address as password", object{"password": "valid_name@example.com", "password_confirmation": "valid_name@example.com"}, []string{"password too_common"}},
		{"the local part as password", object{"email": "some.local.part@example.com", "password": "Some.Local.Part", "password_confirmation": "Some.Local.Part"}, []string{"password too_common"}},
		{"a confirmation that differs in case", object{"password_confirmation": strings.ToUpper(password)}, []string{"password_confirmation mismatch"}},
		{"a confirmation with a space more", object{"password_confirmation": password + " "}, []string{"password_confirmation mismatch"}},

		{"an array for text", object{"username": []string{"john"}}, []string{"username invalid"}},
		{
			"arrays for every text",
			object{"username": []int{}, "email": []int{}, "password": []int{}, "password_confirmation": []int{}},
			[]string{"username invalid", "email invalid", "password invalid", "password_confirmation invalid"},
		},
		{"an object for text", object{"email": object{"$ne": ""}}, []string{"email invalid"}},
		{"a number for text", object{"password": 12345678}, []string{"password invalid"}},
		{"a boolean for text", object{"username": true}, []string{"username invalid"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			body := make(object)
			for name, value := range valid {
				body[name] = value
			}
			for name, value := range test.change {
				body[name] = value
			}
			wantInvalid(t, s.For(t).Post("/sign_up", body), test.faults...)
		})
	}
	t.Run("no user came of any of it", func(t *testing.T) {
		if a := signUp(t, s, "valid_name"); a.ID() != 1 {
			t.Errorf("got id %d, want the first", a.ID())
		}
	})
}

func TestFiftySignUpsOfOneNameHaveOneWinner(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		spellings := []string{"racing_name", "Racing_Name", "RACING_NAME", "rAcInG_nAmE"}
		answers := atOnce(50, func(i int) apitest.Answer {
			body := signUpBody(spellings[i%len(spellings)])
			body["email"] = "racer" + strings.Repeat("x", i) + "@example.com"
			return s.Post("/sign_up", body)
		})
		winners := withStatus(answers, http.StatusOK)
		if len(winners) != 1 {
			t.Fatalf("got %d winners, want 1", len(winners))
		}
		for _, a := range answers {
			if a.Status != http.StatusOK {
				wantInvalid(t, a, "username taken")
			}
		}
		if got := wantAlive(t, s, winners[0].Token()).Text("username"); got != "racing_name" {
			t.Errorf("got %q, want racing_name", got)
		}
	})
}

func TestFiftySignUpsOfOneAddressHaveOneWinner(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		spellings := []string{"race@example.com", "Race@example.com", "RACE@EXAMPLE.COM", "race@Example.Com"}
		answers := atOnce(50, func(i int) apitest.Answer {
			body := signUpBody("racer" + strings.Repeat("x", i/2))
			body["email"] = spellings[i%len(spellings)]
			return s.Post("/sign_up", body)
		})
		if got := len(withStatus(answers, http.StatusOK)); got != 1 {
			t.Fatalf("got %d winners, want 1", got)
		}
		if got := len(withStatus(answers, http.StatusUnprocessableEntity)); got != 49 {
			t.Errorf("got %d refused with 422, want 49", got)
		}
	})
}

func TestEveryCharacterOfAPasswordCounts(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{})
	long := strings.Repeat("0123456789", 8) // bcrypt would look at 72 bytes
	for i, test := range []struct {
		name          string
		right         string
		alike, unlike []string
	}{
		{"behind the 72nd byte", long + "a", nil, []string{long + "b", long, long[:72]}},
		{"up to the 256th", strings.Repeat("x", 255) + "a", nil, []string{strings.Repeat("x", 255) + "b", strings.Repeat("x", 255), strings.Repeat("x", 256)}},
		{"behind a NUL", "before\x00after", nil, []string{"before\x00", "before", "before\x00After"}},
		{"spaces at the ends", "  spaced  ", nil, []string{"spaced", "  spaced", "spaced  "}},
		{"case", "MixedCase", nil, []string{"mixedcase", "MIXEDCASE"}},
		{"no more than a form of Unicode", "caf\u00e9 caf\u00e9", []string{"cafe\u0301 cafe\u0301"}, []string{"cafe cafe"}},
		{"of eight code points", "密码密码密码密码", nil, []string{"密码密码密码密"}},
		{"of eight of four bytes", "🐝🐝🐝🐝🐝🐝🐝🐝", nil, []string{"🐝🐝🐝🐝🐝🐝🐝"}},
		{"though none is asked for", "aaaaaaaa", nil, []string{"aaaaaaa", "aaaaaaaaa"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := s.For(t)
			name := "counted" + strings.Repeat("x", i)
			want(t, s.Post("/sign_up", object{
				"username": name, "email": name + "@example.com", "password": test.right, "password_confirmation": test.right,
			}), http.StatusOK)
			for _, p := range append(test.alike, test.right) {
				want(t, s.Post("/sign_in", object{"login": name, "password": p}), http.StatusOK)
			}
			for _, p := range test.unlike {
				want(t, s.Post("/sign_in", object{"login": name, "password": p}), http.StatusUnauthorized)
			}
		})
	}
}

// The operator may ask for longer passwords; the message then says so.
func TestMinimumLengthIsTheOperators(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{PasswordMinLength: 12})
	body := signUpBody("patient_user")
	body["password"], body["password_confirmation"] = "eleven char", "eleven char"
	a := s.Post("/sign_up", body)
	wantInvalid(t, a, "password too_short")
	if diff := cmp.Diff("Password must have at least 12 characters.", a.Text("message")); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
	body["password"], body["password_confirmation"] = "twelve chars", "twelve chars"
	want(t, s.Post("/sign_up", body), http.StatusOK)
}

// The example of the first description works in development, where there is no list of common passwords, and nowhere else.
func TestCommonPasswordsAreRefusedInProduction(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{CommonPassword: passlist.Contains})
	for _, common := range []string{"test1234", "TEST1234", "password", "12345678", "qwertyuiop", "iloveyou"} {
		body := signUpBody("john_smith")
		body["password"], body["password_confirmation"] = common, common
		wantInvalid(t, s.Post("/sign_up", body), "password too_common")
	}
	signUp(t, s, "john_smith")
}
