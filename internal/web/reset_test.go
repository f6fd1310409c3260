package web_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/apitest"
	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/mail"
)

const newPassword = "battery staple 8"

// askReset asks for a reset and returns the mail that comes of it.
func askReset(t *testing.T, s *apitest.Server, address string, headers ...string) apitest.Mail {
	t.Helper()
	a := s.For(t).Post("/reset_password", object{"email": address}, headers...)
	want(t, a, http.StatusNoContent)
	return s.For(t).Mail(address)
}

// resetBy sets newPassword with a proof: the members token, or email and code.
func resetBy(t *testing.T, s *apitest.Server, proof object) apitest.Answer {
	t.Helper()
	return s.For(t).Put("/reset_password", withNewPassword(proof))
}

func withNewPassword(proof object) object {
	body := object{"password": newPassword, "password_confirmation": newPassword}
	for name, value := range proof {
		body[name] = value
	}
	return body
}

func TestResetEndsEverySession(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		for _, way := range []struct {
			name  string
			proof func(address string, m apitest.Mail) object
		}{
			{"link", func(_ string, m apitest.Mail) object { return object{"token": m.Token} }},
			{"code", func(address string, m apitest.Mail) object {
				return object{"email": strings.ToUpper(address), "code": m.Code}
			}},
		} {
			t.Run("by "+way.name, func(t *testing.T) {
				s := s.For(t)
				name := way.name + "_user"
				address := name + "@example.com"
				tokens := []string{signUp(t, s, name).Token(), signIn(t, s, name), signIn(t, s, address)}
				bystander := signUp(t, s, "bystander_of_"+name).Token()
				other := askReset(t, s, address)
				m := askReset(t, s, address)
				for _, token := range tokens {
					s.Remember(token) // asking changes nothing
				}

				a := resetBy(t, s, way.proof(address, m))
				want(t, a, http.StatusNoContent)
				if len(a.Body) != 0 {
					t.Errorf("got the body %q", a.Body)
				}
				for _, token := range tokens {
					wantDead(t, s, token)
				}
				wantAlive(t, s, bystander)
				want(t, s.Post("/sign_in", object{"login": name, "password": password}), http.StatusUnauthorized)
				signedIn := s.Post("/sign_in", object{"login": name, "password": newPassword})
				want(t, signedIn, http.StatusOK)
				if user := wantAlive(t, s, signedIn.Token()); user.Object["email_verified"] != true {
					t.Errorf("got %s, want a verified address: its owner has shown up", user.Body)
				}

				// Every other outstanding link and code is dead, and the one that was used is too.
				for _, m := range []apitest.Mail{m, other} {
					wantInvalid(t, resetBy(t, s, object{"token": m.Token}), "token invalid")
					wantInvalid(t, resetBy(t, s, object{"email": address, "code": m.Code}), "code invalid")
				}
				notice := s.Mail(address)
				if notice.Subject != "Your IdeaEgg password was changed" || notice.Link != "" || notice.Code != "" {
					t.Errorf("got %+v, want a notice without link and code", notice)
				}
			})
		}
	})
}

func TestRefusedPasswordCostsNoAttemptOfARightCode(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		signUp(t, s, "stubborn_user")
		m := askReset(t, s, "stubborn_user@example.com")
		for _, refused := range []string{"stubborn_user", "Stubborn_User@example.com"} {
			for range auth.MaxCodeAttempts + 1 {
				a := s.Put("/reset_password", object{
					"email": "stubborn_user@example.com", "code": m.Code, "password": refused, "password_confirmation": refused,
				})
				wantInvalid(t, a, "password too_common")
			}
		}
		// What can be told without a code is told without looking at it, and a wrong one learns no more.
		a := s.Put("/reset_password", object{
			"email": "nobody@example.com", "code": "00000000", "password": "nobody@example.com", "password_confirmation": "nobody@example.com",
		})
		wantInvalid(t, a, "password too_common")
		a = s.Put("/reset_password", object{
			"email": "stubborn_user@example.com", "code": "00000000", "password": "stubborn_users", "password_confirmation": "stubborn_users",
		})
		wantInvalid(t, a, "code invalid")
		want(t, resetBy(t, s, object{"email": "stubborn_user@example.com", "code": m.Code}), http.StatusNoContent)
	})
}

func TestResetRequestTellsNothing(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{Dev: true}, func(t *testing.T, s *apitest.Server) {
		signUp(t, s, "known_user")
		disabled := signUp(t, s, "disabled_user")
		if err := s.Store.SetStatus(t.Context(), auth.UserID(disabled.ID()), auth.StatusDisabled); err != nil {
			t.Fatal(err)
		}
		guest := signUpGuest(t, s).Text("email")
		wechat := signInWithWeChat(t, s, "openid_1").Text("email")

		var headers http.Header
		for _, test := range []struct {
			name, address string
			mails         int
		}{
			{"a known address", "known_user@example.com", 1},
			{"a known address in capitals", "KNOWN_USER@EXAMPLE.COM", 1},
			{"an unknown address", "unknown_user@example.com", 0},
			{"a disabled user's", "disabled_user@example.com", 0},
			{"a guest's", guest, 0},
			{"a user's from WeChat", wechat, 0},
			{"a placeholder that is nobody's", "nobody@ideaegg.me", 0},
			{"a username at the placeholder domain", "known_user@ideaegg.me", 0},
			{"one of an international domain", "nobody@例子.中国", 0},
		} {
			t.Run(test.name, func(t *testing.T) {
				s := s.For(t)
				mails := s.MailCount()
				a := s.Post("/reset_password", object{"email": test.address})
				want(t, a, http.StatusNoContent)
				if len(a.Body) != 0 {
					t.Errorf("got the body %q", a.Body)
				}
				a.Header.Del("X-Request-Id")
				a.Header.Del("Date")
				if headers == nil {
					headers = a.Header
				}
				if got, want := fmt.Sprint(a.Header), fmt.Sprint(headers); got != want {
					t.Errorf("got headers %s, want those of the first answer, %s", got, want)
				}
				if got := s.MailCount() - mails; got != test.mails {
					t.Errorf("got %d messages, want %d", got, test.mails)
				}
			})
		}
		t.Run("what is no address is told", func(t *testing.T) {
			s := s.For(t)
			for _, test := range []struct {
				body  any
				fault string
			}{
				{`{}`, "email required"},
				{`{"email":""}`, "email required"},
				{`{"email":null}`, "email required"},
				{`{"login":"known_user"}`, "email required"},
				{`{"email":"known_user"}`, "email invalid"},
				{`{"email":"a@b@c"}`, "email invalid"},
				{`{"email":"known_user@example.com\u0000"}`, "email invalid"},
				{`{"email":"known_user@example.com, other@example.com"}`, "email invalid"},
				{`{"email":["known_user@example.com"]}`, "email invalid"},
				{`{"email":["known_user@example.com","attacker@example.com"]}`, "email invalid"},
				{`{"email":{"0":"known_user@example.com"}}`, "email invalid"},
				{object{"email": strings.Repeat("a", 300) + "@example.com"}, "email too_long"},
			} {
				wantInvalid(t, s.Post("/reset_password", test.body), test.fault)
			}
		})
	})
}

// A reset for an address is mailed to the address as its user typed it, never as somebody else did.
func TestResetIsMailedToTheUsersOwnSpelling(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{})
	body := signUpBody("mary_smith")
	body["email"] = "Mary.Smith@Example.com"
	want(t, s.Post("/sign_up", body), http.StatusOK)
	want(t, s.Post("/reset_password", object{"email": "mary.smith@EXAMPLE.COM"}), http.StatusNoContent)
	m := s.Mail("Mary.Smith@Example.com")
	want(t, resetBy(t, s, object{"token": m.Token}), http.StatusNoContent)
}

func TestResetLinkNeverFollowsTheRequest(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{PublicURL: "https://example.com/accounts", TrustedProxies: loopback})
	signUp(t, s, "john_smith")
	pattern := regexp.MustCompile(`^https://example\.com/accounts/account/reset_password\?token=[0-9A-Za-z]{32}$`)
	for _, headers := range [][]string{
		nil,
		{"Host: evil.example"},
		{"X-Forwarded-Host: evil.example"},
		{"Forwarded: for=192.0.2.1;host=evil.example;proto=http"},
		{"Host: evil.example", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: http", "X-Forwarded-Port: 81", "X-Original-URL: /evil.example"},
		{"X-Host: evil.example", "X-Forwarded-Server: evil.example", "Origin: https://evil.example", "Referer: https://evil.example/"},
		{"X-Forwarded-Prefix: //evil.example", "X-Rewrite-URL: https://evil.example"},
	} {
		m := askReset(t, s, "john_smith@example.com", headers...)
		if !pattern.MatchString(m.Link) {
			t.Errorf("%v: got the link %s", headers, m.Link)
		}
		if strings.Contains(m.Text, "evil") {
			t.Errorf("%v: the request speaks in the mail:\n%s", headers, m.Text)
		}
	}
}

func TestAtMostThreeResetsAreOutstanding(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		signUp(t, s, "john_smith")
		var mails []apitest.Mail
		for range 4 {
			mails = append(mails, askReset(t, s, "john_smith@example.com"))
			s.Clock.Advance(time.Second)
		}
		wantInvalid(t, resetBy(t, s, object{"token": mails[0].Token}), "token invalid")
		wantInvalid(t, resetBy(t, s, object{"email": "john_smith@example.com", "code": mails[0].Code}), "code invalid")
		want(t, resetBy(t, s, object{"email": "john_smith@example.com", "code": mails[1].Code}), http.StatusNoContent)
	})
}

func TestFiveWrongCodesKillTheCodeButNotTheLink(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		const address = "john_smith@example.com"
		wrong := func(m apitest.Mail, i int) object {
			code := fmt.Sprintf("%08d", i)
			if code == m.Code {
				code = "99999999"
			}
			return object{"email": address, "code": code}
		}
		signUp(t, s, "john_smith")

		t.Run("four leave it alive", func(t *testing.T) {
			m := askReset(t, s, address)
			for i := range 4 {
				wantInvalid(t, resetBy(t, s, wrong(m, i)), "code invalid")
			}
			want(t, resetBy(t, s, object{"email": address, "code": m.Code}), http.StatusNoContent)
		})
		t.Run("five do not, also at once", func(t *testing.T) {
			m := askReset(t, s, address)
			for _, a := range atOnce(5, func(i int) apitest.Answer { return s.Put("/reset_password", withNewPassword(wrong(m, i))) }) {
				wantInvalid(t, a, "code invalid")
			}
			wantInvalid(t, resetBy(t, s, object{"email": address, "code": m.Code}), "code invalid")
			want(t, resetBy(t, s, object{"token": m.Token}), http.StatusNoContent)
		})
		t.Run("a refused password is no attempt", func(t *testing.T) {
			m := askReset(t, s, address)
			for range 6 {
				wantInvalid(t, s.For(t).Put("/reset_password", object{"email": address, "code": m.Code, "password": "short", "password_confirmation": "short"}), "password too_short")
			}
			want(t, resetBy(t, s, object{"email": address, "code": m.Code}), http.StatusNoContent)
		})
	})
}

func TestRefusedPasswordLeavesTheLinkUsable(t *testing.T) {
	t.Parallel()
	common := func(p string) bool { return p == "password1" }
	apitest.Each(t, apitest.Options{CommonPassword: common}, func(t *testing.T, s *apitest.Server) {
		token := signUp(t, s, "john_smith").Token()
		m := askReset(t, s, "john_smith@example.com")
		for _, test := range []struct {
			password, confirmation any
			faults                 []string
		}{
			{nil, nil, []string{"password required", "password_confirmation required"}},
			{"", "", []string{"password required", "password_confirmation required"}},
			{"short", "short", []string{"password too_short"}},
			{strings.Repeat("x", 257), strings.Repeat("x", 257), []string{"password too_long"}},
			{"password1", "password1", []string{"password too_common"}},
			{"john_smith", "john_smith", []string{"password too_common"}},
			{"John_Smith@example.com", "John_Smith@example.com", []string{"password too_common"}},
			{newPassword, "something else", []string{"password_confirmation mismatch"}},
			{newPassword, nil, []string{"password_confirmation required"}},
			{[]string{newPassword}, newPassword, []string{"password invalid"}},
		} {
			a := s.Put("/reset_password", object{"token": m.Token, "password": test.password, "password_confirmation": test.confirmation})
			wantInvalid(t, a, test.faults...)
		}
		wantAlive(t, s, token)
		signIn(t, s, "john_smith")
		want(t, resetBy(t, s, object{"token": m.Token}), http.StatusNoContent)
	})
}

func TestUnusableResetTokensAreAlike(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		session := signUp(t, s, "john_smith").Token()
		signUp(t, s, "mary_smith")
		expired := askReset(t, s, "john_smith@example.com")
		s.Clock.Advance(30 * time.Minute)
		m := askReset(t, s, "john_smith@example.com")
		foreign := askReset(t, s, "mary_smith@example.com")

		swapped := strings.Map(func(r rune) rune {
			if strings.ToUpper(string(r)) != string(r) {
				return []rune(strings.ToUpper(string(r)))[0]
			}
			return []rune(strings.ToLower(string(r)))[0]
		}, m.Token)
		for name, token := range map[string]string{
			"unknown": strings.Repeat("a", 32), "expired": expired.Token, "cut short": m.Token[:31], "cut at the front": m.Token[1:],
			"with one character more": m.Token + "a", "in the other case": swapped, "in upper case": strings.ToUpper(m.Token) + "x",
			"with a space": m.Token + " ", "with a line break": m.Token + "\n", "with a NUL": m.Token + "\x00", "as a link": m.Link,
			"a session's": session, "the code": m.Code, "very long": strings.Repeat("a", 10_000), "a wildcard": "%", "a star": "*",
		} {
			t.Run("token "+name, func(t *testing.T) {
				wantInvalid(t, resetBy(t, s, object{"token": token}), "token invalid")
			})
		}
		t.Run("code expired", func(t *testing.T) {
			wantInvalid(t, resetBy(t, s, object{"email": "john_smith@example.com", "code": expired.Code}), "code invalid")
		})
		t.Run("code of somebody else", func(t *testing.T) {
			wantInvalid(t, resetBy(t, s, object{"email": "john_smith@example.com", "code": foreign.Code}), "code invalid")
		})
		t.Run("code for an unknown address", func(t *testing.T) {
			wantInvalid(t, resetBy(t, s, object{"email": "nobody@example.com", "code": m.Code}), "code invalid")
		})
		t.Run("the link's token as code", func(t *testing.T) {
			wantInvalid(t, resetBy(t, s, object{"email": "john_smith@example.com", "code": m.Token}), "code invalid")
		})
		t.Run("a very long code", func(t *testing.T) {
			wantInvalid(t, resetBy(t, s, object{"email": "nobody@example.com", "code": strings.Repeat("1", 10_000)}), "code invalid")
		})
		t.Run("a code in other digits", func(t *testing.T) {
			wantInvalid(t, resetBy(t, s, object{"email": "nobody@example.com", "code": "１２３４５６７８"}), "code invalid")
		})
		t.Run("a token counts before a code", func(t *testing.T) {
			wantInvalid(t, resetBy(t, s, object{"token": "x", "email": "john_smith@example.com", "code": m.Code}), "token invalid")
		})
		t.Run("no proof at all", func(t *testing.T) {
			s := s.For(t)
			for _, test := range []struct {
				proof  object
				faults []string
			}{
				{object{}, []string{"token required"}},
				{object{"token": ""}, []string{"token required"}},
				{object{"token": nil}, []string{"token required"}},
				{object{"email": "john_smith@example.com"}, []string{"code required"}},
				{object{"code": m.Code}, []string{"email required"}},
				{object{"email": "john_smith", "code": m.Code}, []string{"email invalid"}},
				{object{"token": []string{m.Token}}, []string{"token invalid"}},
				{object{"token": true, "email": 1, "code": 12345678}, []string{"token invalid", "email invalid", "code invalid"}},
			} {
				wantInvalid(t, s.Put("/reset_password", withNewPassword(test.proof)), test.faults...)
			}
		})
		t.Run("the messages do not tell them apart", func(t *testing.T) {
			unknown := withoutRequestID(t, resetBy(t, s, object{"token": "unknown"}))
			if got := withoutRequestID(t, resetBy(t, s, object{"token": expired.Token})); got.Message != unknown.Message {
				t.Errorf("got %q, want %q", got.Message, unknown.Message)
			}
		})
		t.Run("and the good one is still good", func(t *testing.T) {
			want(t, resetBy(t, s, object{"token": m.Token}), http.StatusNoContent)
			wantInvalid(t, resetBy(t, s, object{"token": m.Token}), "token invalid")
		})
	})
}

func TestResetLinkIsGoodForHalfAnHour(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		signUp(t, s, "john_smith")
		m := askReset(t, s, "john_smith@example.com")
		if !strings.Contains(m.Text, "within 30 minutes") {
			t.Errorf("the mail does not say how long the link is good for:\n%s", m.Text)
		}
		s.Clock.Advance(30*time.Minute - time.Second)
		want(t, resetBy(t, s, object{"token": m.Token}), http.StatusNoContent)
		m = askReset(t, s, "john_smith@example.com")
		s.Clock.Advance(30 * time.Minute)
		wantInvalid(t, resetBy(t, s, object{"token": m.Token}), "token invalid")
	})
}

func TestParallelUsesOfOneResetHaveOneWinner(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		signUp(t, s, "john_smith")
		m := askReset(t, s, "john_smith@example.com")
		answers := atOnce(16, func(i int) apitest.Answer {
			p := fmt.Sprintf("password of racer %d", i)
			return s.Put("/reset_password", object{"token": m.Token, "password": p, "password_confirmation": p})
		})
		winner := slices.IndexFunc(answers, func(a apitest.Answer) bool { return a.Status == http.StatusNoContent })
		if got := len(withStatus(answers, http.StatusNoContent)); got != 1 {
			t.Fatalf("got %d winners, want 1", got)
		}
		for i, a := range answers {
			if i != winner {
				wantInvalid(t, a, "token invalid")
			}
		}
		want(t, s.Post("/sign_in", object{"login": "john_smith", "password": fmt.Sprintf("password of racer %d", winner)}), http.StatusOK)
		if got := len(s.Mails("john_smith@example.com")); got != 3 {
			t.Errorf("got %d messages, want that of the sign-up, the link and one notice", got)
		}
	})
}

func TestResetOfADisabledUserIsWorthless(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		john := signUp(t, s, "john_smith")
		m := askReset(t, s, "john_smith@example.com")
		if err := s.Store.SetStatus(t.Context(), auth.UserID(john.ID()), auth.StatusDisabled); err != nil {
			t.Fatal(err)
		}
		wantInvalid(t, resetBy(t, s, object{"token": m.Token}), "token invalid")
		wantInvalid(t, resetBy(t, s, object{"email": "john_smith@example.com", "code": m.Code}), "code invalid")
	})
}

func TestMailSpeaksTheReadersLanguage(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{})
	signUp(t, s, "john_smith", "Accept-Language: zh-CN,zh;q=0.9,en;q=0.8")
	const address = "john_smith@example.com"

	english := askReset(t, s, address, "Accept-Language: en-GB", "User-Agent: IdeaEgg/2.1")
	chinese := askReset(t, s, address, "Accept-Language: zh", "User-Agent: IdeaEgg/2.1")
	for _, test := range []struct {
		mail    apitest.Mail
		subject string
		says    []string
	}{
		{english, "Reset your IdeaEgg password", []string{"Hello john_smith,", "within 30 minutes", "2026-06-06 14:20 UTC", "127.0.0.1", "IdeaEgg/2.1", english.Code}},
		{chinese, "重置您的 IdeaEgg 密码", []string{"john_smith，您好", "30 分钟", "2026-06-06 14:20 UTC", "127.0.0.1", "IdeaEgg/2.1", chinese.Code}},
	} {
		if test.mail.Subject != test.subject {
			t.Errorf("got subject %q, want %q", test.mail.Subject, test.subject)
		}
		for _, text := range test.says {
			if !strings.Contains(test.mail.Text, text) {
				t.Errorf("%s: %q is missing in\n%s", test.subject, text, test.mail.Text)
			}
		}
	}
	// A notice is for the user, whoever caused it: it speaks the language that the user signed up in.
	want(t, s.Put("/reset_password", withNewPassword(object{"token": english.Token}), "Accept-Language: en"), http.StatusNoContent)
	if got, want := s.Mail(address).Subject, "您的 IdeaEgg 密码已更改"; got != want {
		t.Errorf("got subject %q, want %q", got, want)
	}
}

// fallibleSender refuses messages while it is down.
type fallibleSender struct{ down atomic.Bool }

func (f *fallibleSender) Send(context.Context, mail.Message) error {
	if f.down.Load() {
		return errors.New("connection refused")
	}
	return nil
}

func TestResetIsAnsweredWhileMailIsDown(t *testing.T) {
	t.Parallel()
	sender := new(fallibleSender)
	sender.down.Store(true)
	apitest.Each(t, apitest.Options{Sender: sender}, func(t *testing.T, s *apitest.Server) {
		signUp(t, s, "john_smith")
		for _, address := range []string{"john_smith@example.com", "nobody@example.com"} {
			want(t, s.Post("/reset_password", object{"email": address}), http.StatusNoContent)
		}
		if got := s.MailCount(); got != 0 {
			t.Fatalf("got %d messages", got)
		}
	})
	t.Run("and the mail comes when it is up again", func(t *testing.T) {
		t.Parallel()
		sender := new(fallibleSender)
		sender.down.Store(true)
		s := apitest.OnSQLite(t, apitest.Options{Sender: sender})
		signUp(t, s, "john_smith")
		want(t, s.Post("/reset_password", object{"email": "john_smith@example.com"}), http.StatusNoContent)
		if got := s.MailCount(); got != 0 {
			t.Fatalf("got %d messages", got)
		}
		sender.down.Store(false)
		s.Clock.Advance(time.Minute)
		m := s.Mail("john_smith@example.com")
		want(t, resetBy(t, s, object{"token": m.Token}), http.StatusNoContent)
	})
	t.Run("but not when the link would be too old", func(t *testing.T) {
		t.Parallel()
		sender := new(fallibleSender)
		sender.down.Store(true)
		s := apitest.OnSQLite(t, apitest.Options{Sender: sender})
		signUp(t, s, "john_smith")
		want(t, s.Post("/reset_password", object{"email": "john_smith@example.com"}), http.StatusNoContent)
		s.MailCount()
		sender.down.Store(false)
		s.Clock.Advance(30 * time.Minute)
		if got := s.Mail("john_smith@example.com"); !strings.Contains(got.Link, "/account/verify_email?") || s.MailCount() != 1 {
			t.Errorf("got %d messages, the last with %s, want only that of the sign-up, which is good for longer", s.MailCount(), got.Link)
		}
	})
}

// Somebody may have come by WeChat under an address that was not theirs; its owner takes the account by a reset.
func TestResetByAnUnverifiedAddressUnlinksStrangers(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{Dev: true}, func(t *testing.T, s *apitest.Server) {
		for _, test := range []struct {
			name, address string
			verified      bool
		}{
			{"unverified", "victim@example.com", false}, {"verified", "owner@example.com", true},
		} {
			body := object{"uid": "uid_" + test.name, "username": test.name + "_user", "email": test.address}
			a := s.Post("/sign_in_with/wechat", body)
			want(t, a, http.StatusOK)
			if test.verified {
				want(t, s.Post("/user/email/verify", object{"code": s.Mail(test.address).Code}, apitest.Bearing(a.Token())), http.StatusOK)
			}
			want(t, s.Post("/reset_password", object{"email": test.address}), http.StatusNoContent)
			code := s.Mail(test.address).Code
			want(t, s.Put("/reset_password", object{"email": test.address, "code": code, "password": newPassword, "password_confirmation": newPassword}), http.StatusNoContent)
			again := s.Post("/sign_in_with/wechat", object{"uid": "uid_" + test.name})
			want(t, again, http.StatusOK)
			if same := again.ID() == a.ID(); same != test.verified {
				t.Errorf("%s: WeChat leads to the same user: %v, want %v", test.name, same, test.verified)
			}
		}
	})
}
