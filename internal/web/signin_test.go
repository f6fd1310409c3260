package web_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/apitest"
	"github.com/ideaegg/latchkey/internal/auth"
)

func TestSignIn(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		john := signUp(t, s, "john_smith")

		t.Run("by name or address, in any case", func(t *testing.T) {
			s := s.For(t)
			for _, login := range []string{"john_smith", "John_Smith", "JOHN_SMITH", "john_smith@example.com", "John_Smith@Example.COM"} {
				a := s.Post("/sign_in", object{"login": login, "password": password})
				want(t, a, http.StatusOK)
				wantMembers(t, a, signedInMembers)
				if a.ID() != john.ID() || a.Text("username") != "john_smith" || a.Text("email") != "john_smith@example.com" || a.Text("created_at") != "2026-06-06T14:20:57.024Z" {
					t.Errorf("%s: got %s", login, a.Body)
				}
			}
		})
		t.Run("each sign-in has a session of its own", func(t *testing.T) {
			first, second := signIn(t, s, "john_smith"), signIn(t, s, "john_smith")
			if first == second || first == john.Token() {
				t.Error("got one token twice")
			}
			for _, token := range []string{john.Token(), first, second} {
				wantAlive(t, s, token)
			}
		})
		t.Run("a login with @ is an address and nothing else", func(t *testing.T) {
			s := s.For(t)
			for _, login := range []string{"john_smith@ideaegg.me", "john_smith@", "@john_smith", "@example.com", "john_smith@example.org"} {
				wantProblem(t, s.Post("/sign_in", object{"login": login, "password": password}),
					http.StatusUnauthorized, latchkey.CodeInvalidCredentials, "login invalid")
			}
		})
		t.Run("what cannot be a login is an unknown one", func(t *testing.T) {
			s := s.For(t)
			for _, login := range []string{
				" ", " john_smith", "john_smith ", "john_smith\x00", "john\u200b_smith", "'; DROP TABLE users; --", "%", "_", "用户",
				strings.Repeat("a", 10_000), strings.Repeat("@", 10_000), strings.Repeat("a", 10_000) + "@example.com", "\u202ejohn_smith",
			} {
				wantProblem(t, s.Post("/sign_in", object{"login": login, "password": password}),
					http.StatusUnauthorized, latchkey.CodeInvalidCredentials, "login invalid")
			}
		})
		t.Run("a password that nobody can have is a wrong one", func(t *testing.T) {
			s := s.For(t)
			for _, p := range []string{"x", strings.Repeat("x", 257), strings.Repeat("🐝", 3000), strings.Repeat("x", 16_000), "\x00", password + "\x00"} {
				wantProblem(t, s.Post("/sign_in", object{"login": "john_smith", "password": p}),
					http.StatusUnauthorized, latchkey.CodeInvalidCredentials, "login invalid")
			}
		})
		t.Run("missing members are told", func(t *testing.T) {
			s := s.For(t)
			for _, test := range []struct {
				body   any
				faults []string
			}{
				{`{}`, []string{"login required", "password required"}},
				{`{"login":"","password":""}`, []string{"login required", "password required"}},
				{`{"login":null,"password":null}`, []string{"login required", "password required"}},
				{`{"login":"john_smith"}`, []string{"password required"}},
				{`{"password":"x"}`, []string{"login required"}},
				{`{"username":"john_smith","password":"x"}`, []string{"login required"}},
				{`{"login":["john_smith"],"password":"x"}`, []string{"login invalid"}},
				{`{"login":1,"password":{}}`, []string{"login invalid", "password invalid"}},
			} {
				wantInvalid(t, s.Post("/sign_in", test.body), test.faults...)
			}
		})
	})
}

// Whoever cannot sign in learns nothing about why: the answer is the same, and so is the work that it took.
func TestUnknownLoginAndWrongPasswordAreAlike(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{Dev: true}, func(t *testing.T, s *apitest.Server) {
		signUp(t, s, "known_user")
		disabled := signUp(t, s, "disabled_user")
		if err := s.Store.SetStatus(t.Context(), auth.UserID(disabled.ID()), auth.StatusDisabled); err != nil {
			t.Fatal(err)
		}
		deleted := signUp(t, s, "deleted_user")
		want(t, s.Delete("/user", object{"current_password": password}, apitest.Bearing(deleted.Token())), http.StatusNoContent)
		fromWeChat := signInWithWeChat(t, s, "openid_1").Text("username")
		guest := signUpGuest(t, s).Text("username")
		s.MailCount() // what is mailed has codes, which are hashed too: not while we count

		var first *latchkey.Problem
		for _, test := range []struct{ name, login, password string }{
			{"a wrong password", "known_user", "wrong horse 9"},
			{"a wrong password by address", "known_user@example.com", "wrong horse 9"},
			{"an unknown name", "unknown_user", password},
			{"an unknown address", "unknown_user@example.com", password},
			{"a user from WeChat", fromWeChat, password},
			{"a user from WeChat by placeholder address", fromWeChat + "@ideaegg.me", password},
			{"a guest", guest, password},
			{"a guest by placeholder address", guest + "@ideaegg.me", password},
			{"a disabled user", "disabled_user", password},
			{"a disabled user and a wrong password", "disabled_user", "wrong horse 9"},
			{"a deleted user", "deleted_user", password},
			{"what cannot be a name", "john smith", password},
			{"what cannot be an address", "john@", password},
			{"a password that is too long", "known_user", strings.Repeat("x", 2000)},
			{"a password that is too long for an unknown name", "unknown_user", strings.Repeat("x", 2000)},
		} {
			t.Run(test.name, func(t *testing.T) {
				before := s.Hasher.Stats().Hashes
				a := s.For(t).Post("/sign_in", object{"login": test.login, "password": test.password})
				wantProblem(t, a, http.StatusUnauthorized, latchkey.CodeInvalidCredentials, "login invalid")
				if got := s.Hasher.Stats().Hashes - before; got != 1 {
					t.Errorf("got %d hashes, want 1", got)
				}
				problem := withoutRequestID(t, a)
				if first == nil {
					first = &problem
				}
				if diff := cmp.Diff(*first, problem); diff != "" {
					t.Errorf("differs from the answer to a wrong password:\n%s", diff)
				}
				if got := a.Header.Get("WWW-Authenticate"); got != "Bearer" {
					t.Errorf("got WWW-Authenticate %q, want Bearer", got)
				}
			})
		}
	})
}

func TestDisabledUserIsShutOutUntilEnabled(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{Dev: true}, func(t *testing.T, s *apitest.Server) {
		a := signUp(t, s, "john_smith")
		wechat := signInWithWeChat(t, s, "openid_1")
		mails := s.MailCount() // to verify the address
		wantAlive(t, s, a.Token())
		s.Remember(a.Token())
		s.Remember(wechat.Token())
		setStatus := func(status auth.Status) {
			t.Helper()
			for _, id := range []int64{a.ID(), wechat.ID()} {
				if err := s.Store.SetStatus(t.Context(), auth.UserID(id), status); err != nil {
					t.Fatal(err)
				}
			}
		}
		setStatus(auth.StatusDisabled)
		wantDead(t, s, a.Token())
		wantDead(t, s, wechat.Token())
		wantProblem(t, s.Post("/sign_in", object{"login": "john_smith", "password": password}),
			http.StatusUnauthorized, latchkey.CodeInvalidCredentials, "login invalid")
		wantProblem(t, s.Post("/sign_in_with/wechat", object{"uid": "openid_1"}),
			http.StatusUnauthorized, latchkey.CodeInvalidCredentials, "code invalid")
		wantUnauthorized(t, s.Post("/sign_out", nil, apitest.Bearing(a.Token())))
		wantUnauthorized(t, s.Delete("/user", object{"current_password": password}, apitest.Bearing(a.Token())))
		want(t, s.Post("/reset_password", object{"email": "john_smith@example.com"}), http.StatusNoContent)
		if got := s.MailCount() - mails; got != 0 {
			t.Errorf("got %d messages more, want none to a disabled user", got)
		}
		wantInvalid(t, s.Post("/sign_up", signUpBody("john_smith")), "username taken", "email taken")

		setStatus(auth.StatusActive)
		wantAlive(t, s, a.Token())
		signIn(t, s, "john_smith")
		signInWithWeChat(t, s, "openid_1")
	})
}
