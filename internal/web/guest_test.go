package web_test

import (
	"bytes"
	"crypto/sha256"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/apitest"
	"github.com/ideaegg/latchkey/internal/dbtest"
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

const idempotencyKey = "6f1e4f5c-31f2-4f0f-9c34-0a5b9c7a2f11"

func TestRetryWithOneKeyMakesOneGuest(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{Dev: true}, func(t *testing.T, s *apitest.Server) {
		retry := func(t *testing.T, key string) apitest.Answer {
			t.Helper()
			a := s.For(t).Post("/sign_up_temporarily", nil, "Idempotency-Key: "+key)
			want(t, a, http.StatusOK)
			wantMembers(t, a, signedInMembers)
			return a
		}
		wantSpent := func(t *testing.T, key string) {
			t.Helper()
			a := s.For(t).Post("/sign_up_temporarily", nil, "Idempotency-Key: "+key)
			wantProblem(t, a, http.StatusConflict, latchkey.CodeConflict, "idempotency_key taken")
		}

		t.Run("with a token of its own each time, and for a day", func(t *testing.T) {
			first := retry(t, idempotencyKey)
			s.Clock.Advance(day - time.Second)
			second := retry(t, idempotencyKey)
			if second.ID() != first.ID() || second.Text("username") != first.Text("username") || second.Token() == first.Token() {
				t.Errorf("got %s, want the guest of %s with another token", second.Body, first.Body)
			}
			wantAlive(t, s, first.Token())
			wantAlive(t, s, second.Token())
			s.Clock.Advance(time.Second)
			if third := retry(t, idempotencyKey); third.ID() == first.ID() {
				t.Errorf("got %s after a day, want another guest", third.Body)
			}
			wantAlive(t, s, first.Token())
		})
		t.Run("also after the clean-up of keys", func(t *testing.T) {
			first := retry(t, "a-key-of-16-char")
			s.Clock.Advance(day - time.Second)
			s.CleanUp()
			if a := retry(t, "a-key-of-16-char"); a.ID() != first.ID() {
				t.Errorf("got %s, want the guest of %s", a.Body, first.Body)
			}
			s.Clock.Advance(day)
			s.CleanUp()
			if a := retry(t, "a-key-of-16-char"); a.ID() == first.ID() {
				t.Errorf("got %s, want another guest", a.Body)
			}
		})
		t.Run("another key makes another guest", func(t *testing.T) {
			if retry(t, idempotencyKey+"-2").ID() == retry(t, idempotencyKey+"-3").ID() {
				t.Error("got one guest, want two")
			}
		})
		t.Run("the key dies with the upgrade and with the deletion", func(t *testing.T) {
			guest := retry(t, "key-of-the-upgraded")
			user := signUp(t, s, "john_smith", apitest.Bearing(guest.Token()))
			wantSpent(t, "key-of-the-upgraded")
			wantAlive(t, s, user.Token())
			signInWithWeChat(t, s, "spent_uid", apitest.Bearing(retry(t, "key-of-the-upgraded-by-wechat").Token()))
			wantSpent(t, "key-of-the-upgraded-by-wechat")
			gone := retry(t, "key-of-the-deleted")
			want(t, s.Delete("/user", nil, apitest.Bearing(gone.Token())), http.StatusNoContent)
			wantSpent(t, "key-of-the-deleted")
		})
		t.Run("a guest who signed out comes back with the key", func(t *testing.T) {
			guest := retry(t, "key-of-the-signed-out")
			want(t, s.Post("/sign_out", nil, apitest.Bearing(guest.Token())), http.StatusNoContent)
			if again := retry(t, "key-of-the-signed-out"); again.ID() != guest.ID() {
				t.Errorf("got %s, want the guest of %s", again.Body, guest.Body)
			}
			wantDead(t, s, guest.Token())
		})
		t.Run("of many at once too", func(t *testing.T) {
			answers := withStatus(atOnce(20, func(int) apitest.Answer {
				return s.Post("/sign_up_temporarily", nil, "Idempotency-Key: key-of-twenty-at-once")
			}), http.StatusOK)
			if len(answers) != 20 {
				t.Fatalf("got %d answers with 200, want 20", len(answers))
			}
			tokens := make(map[string]bool)
			for _, a := range answers {
				if a.ID() != answers[0].ID() {
					t.Errorf("got guests %d and %d, want one", answers[0].ID(), a.ID())
				}
				tokens[a.Token()] = true
				wantAlive(t, s, a.Token())
			}
			if len(tokens) != 20 {
				t.Errorf("got %d tokens, want 20", len(tokens))
			}
		})
		t.Run("and the key is in no log", func(t *testing.T) {
			for _, key := range []string{idempotencyKey, "key-of-"} {
				if strings.Contains(s.Log(), key) {
					t.Errorf("got %s in the log, want it nowhere", key)
				}
			}
		})
	})
}

func TestIdempotencyKeyMustBeHardToGuess(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{}).Liberal()
	for name, lines := range map[string][]string{
		"one character":  {"1"},
		"15 characters":  {"123456789012345"},
		"129 characters": {strings.Repeat("x", 129)},
		"a blank in it":  {"1234567890 1234567890"},
		"a tab in it":    {"1234567890\t1234567890"},
		"not ASCII":      {"1234567890123456é"},
		"two lines":      {idempotencyKey, idempotencyKey + "2"},
		"one line twice": {idempotencyKey, idempotencyKey},
	} {
		t.Run(name, func(t *testing.T) {
			headers := []string{"Accept-Language: zh"}
			for _, line := range lines {
				headers = append(headers, "Idempotency-Key: "+line)
			}
			a := s.For(t).Post("/sign_up_temporarily", nil, headers...)
			wantProblem(t, a, http.StatusBadRequest, latchkey.CodeInvalidRequest, "idempotency_key invalid")
			if !strings.Contains(a.Text("message"), "16 到 128") {
				t.Errorf("got message %q", a.Text("message"))
			}
		})
	}
	for _, key := range []string{strings.Repeat("!", 16), strings.Repeat("~", 128), `"8e03978e-40d5-43dd-bc93-6894a57f9324"`} {
		want(t, s.Post("/sign_up_temporarily", nil, "Idempotency-Key: "+key), http.StatusOK)
	}
}

func TestIdempotencyKeyIsStoredAsHashOnly(t *testing.T) {
	t.Parallel()
	db := dbtest.SQLite(t)
	s := apitest.Start(t, db, apitest.Options{})
	want(t, s.Post("/sign_up_temporarily", nil, "Idempotency-Key: "+idempotencyKey), http.StatusOK)
	files, err := filepath.Glob(db.SQLitePath + "*")
	if err != nil {
		t.Fatal(err)
	}
	var stored []byte
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, b...)
	}
	hash := sha256.Sum256([]byte(idempotencyKey))
	if !bytes.Contains(stored, hash[:]) || bytes.Contains(stored, []byte(idempotencyKey)) {
		t.Error("want the hash in the database and the key nowhere")
	}
}

func TestTwoGuestsWhoWantOneNameAtOnceHaveOneWinner(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{Dev: true}, func(t *testing.T, s *apitest.Server) {
		for _, name := range []string{"first_name", "second_name", "third_name"} {
			guests := []apitest.Answer{signUpGuest(t, s), signUpGuest(t, s)}
			answers := atOnce(2, func(i int) apitest.Answer {
				if i == 0 {
					return s.Post("/sign_in_with/wechat", object{"uid": name, "username": name}, apitest.Bearing(guests[i].Token()))
				}
				return s.Post("/sign_up", signUpBody(name), apitest.Bearing(guests[i].Token()))
			})
			winner := 0
			if answers[1].Status == http.StatusOK {
				winner = 1
			}
			want(t, answers[winner], http.StatusOK)
			wantInvalid(t, answers[1-winner], "username taken")
			wantDead(t, s, guests[winner].Token())
			if user := wantAlive(t, s, guests[1-winner].Token()); user.Object["guest"] != true {
				t.Errorf("got %s, want a guest still", user.Body)
			}
			if user := wantAlive(t, s, answers[winner].Token()); user.ID() != guests[winner].ID() || user.Text("username") != name {
				t.Errorf("got %s, want %s with id %d", user.Body, name, guests[winner].ID())
			}
		}
	})
}

func TestUpgradeAgainstDeletionLeavesOneOfThem(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{Dev: true}, func(t *testing.T, s *apitest.Server) {
		for _, name := range []string{"first_name", "second_name", "third_name", "fourth_name"} {
			guest := signUpGuest(t, s)
			answers := atOnce(2, func(i int) apitest.Answer {
				if i == 0 {
					return s.Delete("/user", nil, apitest.Bearing(guest.Token()))
				}
				return s.Post("/sign_in_with/wechat", object{"uid": name, "username": name}, apitest.Bearing(guest.Token()))
			})
			wantDead(t, s, guest.Token())
			deleted, upgraded := answers[0], answers[1]
			switch {
			case upgraded.Status == http.StatusOK && deleted.Status != http.StatusNoContent:
				wantUnauthorized(t, deleted)
				wantAlive(t, s, upgraded.Token())
			case upgraded.Status == http.StatusOK: // first the one, then the other
				wantDead(t, s, upgraded.Token())
			default:
				want(t, deleted, http.StatusNoContent)
				wantUnauthorized(t, upgraded)
				signInWithWeChat(t, s, name) // free
				signUp(t, s, name)
			}
		}
	})
}

// TestOldGuestTokensAreDeadOnEveryRoute: the token is remembered when the guest is upgraded.
func TestOldGuestTokensAreDeadOnEveryRoute(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{Dev: true}, func(t *testing.T, s *apitest.Server) {
		first := s.Post("/sign_up_temporarily", nil, "Idempotency-Key: "+idempotencyKey)
		second := s.Post("/sign_up_temporarily", nil, "Idempotency-Key: "+idempotencyKey)
		s.Remember(first.Token())
		s.Remember(second.Token())
		user := signUp(t, s, "john_smith", apitest.Bearing(first.Token()))
		for _, token := range []string{first.Token(), second.Token()} {
			for _, r := range []struct {
				method, path string
				body         any
			}{
				{http.MethodGet, "/user", nil},
				{http.MethodPut, "/user", object{"fullname": "Thief"}},
				{http.MethodPut, "/user/password", object{"current_password": "test1234", "password": "thief-pass", "password_confirmation": "thief-pass"}},
				{http.MethodPut, "/user/email", object{"email": "thief@example.com", "current_password": "test1234"}},
				{http.MethodPost, "/user/email/verification", nil},
				{http.MethodPost, "/user/email/verify", object{"code": "12345678"}},
				{http.MethodDelete, "/user", object{"current_password": "test1234"}},
				{http.MethodGet, "/user/sessions", nil},
				{http.MethodDelete, "/user/sessions", nil},
				{http.MethodDelete, "/user/sessions/1", nil},
				{http.MethodPost, "/sign_up", signUpBody("mary_smith")},
				{http.MethodPost, "/sign_in_with/wechat", object{"uid": "thief"}},
				{http.MethodPost, "/sign_out", nil},
			} {
				wantUnauthorized(t, s.Do(r.method, r.path, r.body, apitest.Bearing(token)))
			}
		}
		if a := wantAlive(t, s, user.Token()); a.Text("fullname") != "john_smith" {
			t.Errorf("got %s, want the user as they were", a.Body)
		}
	})
}
