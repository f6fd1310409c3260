package web_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/apitest"
)

const day = 24 * time.Hour

func TestSignUpTemporarily(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		names := make(map[string]bool)
		for _, test := range []struct {
			name, path string
			body       any
		}{
			{"without a body", "/sign_up_temporarily", nil},
			{"with an empty object", "/sign_up_temporarily", `{}`},
			{"with unknown members", "/sign_up_temporarily", `{"username":"chosen","email":"a@example.com","guest":false,"id":1}`},
			{"by the path of the first description's example", "/sign_up_temporarily`", nil},
		} {
			t.Run(test.name, func(t *testing.T) {
				a := s.For(t).Post(test.path, test.body)
				want(t, a, http.StatusOK)
				wantMembers(t, a, signedInMembers)
				name := a.Text("username")
				if !generatedName.MatchString(name) || a.Text("email") != name+"@ideaegg.me" || a.Text("fullname") != name {
					t.Errorf("got %s", a.Body)
				}
				if names[name] {
					t.Errorf("got the name %s twice", name)
				}
				names[name] = true
				user := wantAlive(t, s, a.Token())
				if user.Object["guest"] != true || user.Object["email_verified"] != false {
					t.Errorf("got %s, want a guest", user.Body)
				}
			})
		}
		t.Run("a body that is no object is refused", func(t *testing.T) {
			s := s.For(t)
			for _, body := range []string{`[]`, `null`, `""`, `1`, ` `, `{`} {
				wantProblem(t, s.Post("/sign_up_temporarily", body), http.StatusBadRequest, latchkey.CodeInvalidJSON, "body invalid")
			}
			wantProblem(t, s.Post("/sign_up_temporarily", `{}`, "Content-Type:"), http.StatusUnsupportedMediaType, latchkey.CodeUnsupportedMediaType, "body unsupported")
		})
	})
}

func TestGuestBecomesUserInPlace(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{Dev: true}, func(t *testing.T, s *apitest.Server) {
		wantFull := func(t *testing.T, guest, full apitest.Answer) apitest.Answer {
			t.Helper()
			want(t, full, http.StatusOK)
			if full.ID() != guest.ID() || full.Text("created_at") != guest.Text("created_at") {
				t.Errorf("got %s, want the guest's id %d and creation %s", full.Body, guest.ID(), guest.Text("created_at"))
			}
			if full.Token() == guest.Token() {
				t.Error("got the guest's token again")
			}
			wantDead(t, s, guest.Token())
			user := wantAlive(t, s, full.Token())
			if user.Object["guest"] != false {
				t.Errorf("got %s, want a full user", user.Body)
			}
			return user
		}

		t.Run("by sign-up", func(t *testing.T) {
			guest := signUpGuest(t, s)
			s.For(t).Remember(guest.Token())
			s.Clock.Advance(time.Hour)
			full := signUp(t, s, "john_smith", apitest.Bearing(guest.Token()))
			wantMembers(t, full, signedInMembers)
			user := wantFull(t, guest, full)
			if user.Text("username") != "john_smith" || user.Text("fullname") != "john_smith" || user.Text("email") != "john_smith@example.com" {
				t.Errorf("got %s", user.Body)
			}
			signIn(t, s, "john_smith")
		})
		t.Run("by sign-up with a Bearer token", func(t *testing.T) {
			guest := signUpGuest(t, s)
			wantFull(t, guest, signUp(t, s, "bearing_guest", "Authorization: Bearer "+guest.Token()))
		})
		t.Run("the profile stays", func(t *testing.T) {
			s := s.For(t)
			guest := signUpGuest(t, s)
			want(t, s.Put("/user", object{"fullname": "王小明", "avatar": "a.png", "phone_number": "+86 138"}, apitest.Bearing(guest.Token())), http.StatusOK)
			user := wantFull(t, guest, signUp(t, s, "profiled", apitest.Bearing(guest.Token())))
			if user.Text("fullname") != "王小明" || user.Text("avatar") != "a.png" || user.Text("phone_number") != "+86 138" {
				t.Errorf("got %s", user.Body)
			}
		})
		t.Run("by WeChat with a uid alone the name stays", func(t *testing.T) {
			guest := signUpGuest(t, s)
			full := signInWithWeChat(t, s, "guest_uid", apitest.Bearing(guest.Token()))
			wantMembers(t, full, wechatMembers)
			user := wantFull(t, guest, full)
			if user.Text("username") != guest.Text("username") || user.Text("email") != guest.Text("email") {
				t.Errorf("got %s, want the names of %s", user.Body, guest.Body)
			}
			if again := signInWithWeChat(t, s, "guest_uid"); again.ID() != guest.ID() {
				t.Errorf("got user %d, want %d", again.ID(), guest.ID())
			}
		})
		t.Run("by WeChat with names and a profile", func(t *testing.T) {
			guest := signUpGuest(t, s)
			s.For(t).Remember(guest.Token())
			full := s.For(t).Post("/sign_in_with/wechat", object{
				"uid": "profiled_uid", "username": "wei_xin", "email": "wei@example.com", "fullname": "微信", "avatar": "b.png", "phone_number": "139",
			}, apitest.Bearing(guest.Token()))
			user := wantFull(t, guest, full)
			if user.Text("username") != "wei_xin" || user.Text("email") != "wei@example.com" || user.Text("fullname") != "微信" ||
				user.Text("avatar") != "b.png" || user.Text("phone_number") != "139" {
				t.Errorf("got %s", user.Body)
			}
		})
		t.Run("by WeChat with the guest's own generated address", func(t *testing.T) {
			guest := signUpGuest(t, s)
			full := s.For(t).Post("/sign_in_with/wechat", object{"uid": "own_address_uid", "email": guest.Text("email")}, apitest.Bearing(guest.Token()))
			if user := wantFull(t, guest, full); user.Text("email") != guest.Text("email") {
				t.Errorf("got %s", user.Body)
			}
		})
	})
}

// Whatever is refused leaves the guest exactly as it was, token included.
func TestRefusedUpgradeLeavesTheGuestAsItWas(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{Dev: true}, func(t *testing.T, s *apitest.Server) {
		signUp(t, s, "john_smith")
		owner := signInWithWeChat(t, s, "owned_uid")
		guest := signUpGuest(t, s)
		before := wantAlive(t, s, guest.Token())
		with := func(name string, value any) object {
			body := signUpBody("free_name")
			body[name] = value
			return body
		}
		for _, test := range []struct {
			name, path string
			body       any
			status     int
			code       latchkey.Code
			faults     []string
		}{
			{"a taken name", "/sign_up", with("username", "JOHN_smith"), 422, latchkey.CodeValidationFailed, []string{"username taken"}},
			{"a taken address", "/sign_up", with("email", "john_smith@EXAMPLE.com"), 422, latchkey.CodeValidationFailed, []string{"email taken"}},
			{"both taken", "/sign_up", signUpBody("john_smith"), 422, latchkey.CodeValidationFailed, []string{"username taken", "email taken"}},
			{"a short password", "/sign_up", with("password", "x"), 422, latchkey.CodeValidationFailed, []string{"password too_short", "password_confirmation mismatch"}},
			{"a wrong type", "/sign_up", with("username", 1), 422, latchkey.CodeValidationFailed, []string{"username invalid"}},
			{"no JSON", "/sign_up", "{", 400, latchkey.CodeInvalidJSON, []string{"body invalid"}},
			{"a taken name by WeChat", "/sign_in_with/wechat", object{"uid": "free_uid", "username": "john_smith"}, 422, latchkey.CodeValidationFailed, []string{"username taken"}},
			{"a taken address by WeChat", "/sign_in_with/wechat", object{"uid": "free_uid", "email": "john_smith@example.com"}, 422, latchkey.CodeValidationFailed, []string{"email taken"}},
			{"a bad avatar by WeChat", "/sign_in_with/wechat", object{"uid": "free_uid", "avatar": "data:x"}, 422, latchkey.CodeValidationFailed, []string{"avatar invalid"}},
			{"another provider", "/sign_in_with/weibo", object{"uid": "free_uid"}, 422, latchkey.CodeValidationFailed, []string{"provider unsupported"}},
			{"somebody's openid", "/sign_in_with/wechat", object{"uid": "owned_uid", "fullname": "Thief"}, 409, latchkey.CodeConflict, []string{"uid taken"}},
		} {
			t.Run(test.name, func(t *testing.T) {
				a := s.For(t).Post(test.path, test.body, apitest.Bearing(guest.Token()))
				wantProblem(t, a, test.status, test.code, test.faults...)
				if diff := cmp.Diff(before.Object, wantAlive(t, s, guest.Token()).Object); diff != "" {
					t.Errorf("the guest changed (-before +after):\n%s", diff)
				}
			})
		}
		t.Run("and nothing of it was kept", func(t *testing.T) {
			if a := signInWithWeChat(t, s, "owned_uid"); a.ID() != owner.ID() || a.Text("fullname") == "Thief" {
				t.Errorf("got %s, want the owner as before", a.Body)
			}
			if a := signInWithWeChat(t, s, "free_uid"); a.ID() == guest.ID() {
				t.Error("the openid had been given to the guest")
			}
			signUp(t, s, "free_name")
		})
	})
}

func TestUpgradesOfOneGuestAtOnceHaveOneWinner(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{Dev: true}, func(t *testing.T, s *apitest.Server) {
		guest := signUpGuest(t, s)
		names := []string{"first_name", "second_name", "third_name", "fourth_name", "fifth_name", "sixth_name"}
		answers := atOnce(12, func(i int) apitest.Answer {
			if i%2 == 0 {
				return s.Post("/sign_in_with/wechat", object{"uid": names[i/2]}, apitest.Bearing(guest.Token()))
			}
			return s.Post("/sign_up", signUpBody(names[i/2]), apitest.Bearing(guest.Token()))
		})
		winners := withStatus(answers, http.StatusOK)
		if len(winners) != 1 || winners[0].ID() != guest.ID() {
			t.Fatalf("got %d winners, want 1 with the guest's id", len(winners))
		}
		for _, a := range answers {
			if a.Status != http.StatusOK {
				wantUnauthorized(t, a) // the guest's token had died
			}
		}
		wantDead(t, s, guest.Token())
		wantAlive(t, s, winners[0].Token())
	})
}

// A bad token is never taken for no token: that would make a second account instead of an upgrade.
func TestBadTokenNeverSignsUpAnew(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{Dev: true}, func(t *testing.T, s *apitest.Server) {
		gone := signUpGuest(t, s)
		want(t, s.Post("/sign_out", nil, apitest.Bearing(gone.Token())), http.StatusNoContent)
		expired := signUpGuest(t, s)
		s.Clock.Advance(31 * day)
		for name, token := range map[string]string{
			"malformed": "lk_x", "ended": gone.Token(), "expired": expired.Token(), "of another kind": "focmQrCFdk9DJHx9KvdL",
		} {
			t.Run(name, func(t *testing.T) {
				s := s.For(t)
				wantUnauthorized(t, s.Post("/sign_up", signUpBody("new_name"), apitest.Bearing(token)))
				wantUnauthorized(t, s.Post("/sign_in_with/wechat", object{"uid": "new_uid"}, apitest.Bearing(token)))
				wantUnauthorized(t, s.Post("/sign_up", signUpBody("new_name"), "Authorization: Bearer "+token))
			})
		}
		wantUnauthorized(t, s.Post("/sign_up", signUpBody("new_name"), "Authorization: Bearer"))
		signUp(t, s, "new_name") // still free
		if a := signInWithWeChat(t, s, "new_uid"); a.ID() != 4 {
			t.Errorf("got user %d, want the fourth", a.ID())
		}
	})
}

func TestTokenOfAFullUserHasNoEffectOnSignUp(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		john := signUp(t, s, "john_smith")
		mary := signUp(t, s, "mary_smith", apitest.Bearing(john.Token()))
		if mary.ID() == john.ID() {
			t.Errorf("got %s, want another user", mary.Body)
		}
		if a := wantAlive(t, s, john.Token()); a.Text("username") != "john_smith" {
			t.Errorf("got %s", a.Body)
		}
	})
}

func TestUnusedGuestsAreDeletedAndUsedOnesAreNot(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		idle, used := signUpGuest(t, s), signUpGuest(t, s)
		s.Clock.Advance(29 * day)
		wantAlive(t, s, used.Token())
		s.CleanUp()
		s.Clock.Advance(day + time.Minute) // the 30 days are over, and the time that the clean-up keeps away from their end
		s.CleanUp()
		wantDead(t, s, idle.Token())
		wantAlive(t, s, used.Token())

		signUp(t, s, idle.Text("username"))
		wantInvalid(t, s.Post("/sign_up", signUpBody(used.Text("username"))), "username taken")
		s.Clock.Advance(30 * day)
		wantDead(t, s, used.Token())
	})
}
