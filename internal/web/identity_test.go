package web_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/apitest"
	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/sqlstore"
	"github.com/ideaegg/latchkey/internal/wechattest"
)

// linked returns the ids of the user's linked accounts by app.
func linked(t *testing.T, s *apitest.Server, token string) map[string]int64 {
	t.Helper()
	a := s.Get("/user/identities", apitest.Bearing(token))
	want(t, a, http.StatusOK)
	ids := make(map[string]int64)
	for _, i := range a.List {
		ids[i["app_id"].(string)] = apitest.Answer{Object: i}.ID()
	}
	return ids
}

func identityPath(id int64) string { return fmt.Sprintf("/user/identities/%d", id) }

func TestLinkedAccountIsAWayIn(t *testing.T) {
	t.Parallel()
	eachWithWeChat(t, apitest.Options{}, func(t *testing.T, s *apitest.Server, w *stage) {
		john := signUp(t, s, "john_smith")
		if got := linked(t, s, john.Token()); len(got) != 0 {
			t.Errorf("got %v before anything is linked", got)
		}
		for range 2 { // again is no fault
			a := s.Post("/user/identities/wechat", w.body(w.mini, w.wei), apitest.Bearing(john.Token()))
			want(t, a, http.StatusOK)
			wantMembers(t, a, []string{"id", "provider", "app_id", "created_at"})
			if a.Text("app_id") != w.mini.ID || a.Text("provider") != "wechat" {
				t.Errorf("got %s", a.Body)
			}
		}
		for _, app := range []wechattest.App{w.mini, w.mobile} { // of one group
			a := s.Post("/sign_in_with/wechat", w.body(app, w.wei))
			want(t, a, http.StatusOK)
			if a.ID() != john.ID() {
				t.Errorf("got user %d, want %d", a.ID(), john.ID())
			}
		}
		ids := linked(t, s, john.Token())
		if len(ids) != 2 || ids[w.mini.ID] == 0 || ids[w.mobile.ID] == 0 {
			t.Fatalf("got %v, want both apps", ids)
		}

		t.Run("and none any more when it is unlinked, in all apps of the group", func(t *testing.T) {
			s := s.For(t)
			susan := signUp(t, s, "susan")
			wantProblem(t, s.Delete(identityPath(ids[w.mini.ID]), nil, apitest.Bearing(susan.Token())), http.StatusNotFound, latchkey.CodeNotFound, "id invalid")
			wantProblem(t, s.Liberal().Delete("/user/identities/x", nil, apitest.Bearing(susan.Token())), http.StatusNotFound, latchkey.CodeNotFound, "id invalid")
			want(t, s.Delete(identityPath(ids[w.mini.ID]), nil, apitest.Bearing(john.Token())), http.StatusNoContent)
			if got := linked(t, s, john.Token()); len(got) != 0 {
				t.Errorf("got %v left", got)
			}
			if a := s.Post("/sign_in_with/wechat", w.body(w.mobile, w.wei)); a.ID() == john.ID() {
				t.Error("the account still leads to the user")
			}
		})
	})
}

func TestLinkingNeedsAProofAndAFreeAccount(t *testing.T) {
	t.Parallel()
	eachWithWeChat(t, apitest.Options{}, func(t *testing.T, s *apitest.Server, w *stage) {
		owner := s.Post("/sign_in_with/wechat", w.body(w.mini, w.wei))
		john := signUp(t, s, "john_smith")
		post := func(body any) apitest.Answer {
			return s.Post("/user/identities/wechat", body, apitest.Bearing(john.Token()))
		}
		wantProblem(t, post(object{"app_id": w.mini.ID, "uid": w.OpenID(w.mini, w.wei)}), http.StatusUnauthorized, latchkey.CodeInvalidCredentials, "code invalid")
		wantProblem(t, post(w.body(w.mini, w.wei)), http.StatusConflict, latchkey.CodeConflict, "uid taken")
		// By the unionid too: it is the same account in another app.
		wantProblem(t, post(w.body(w.mobile, w.wei)), http.StatusConflict, latchkey.CodeConflict, "uid taken")
		if got := linked(t, s, john.Token()); len(got) != 0 {
			t.Errorf("got %v, want nothing linked", got)
		}
		other := w.AddPerson(wechattest.Person{})
		want(t, post(w.body(w.website, other)), http.StatusOK)
		wantProblem(t, post(w.body(w.website, w.wei)), http.StatusConflict, latchkey.CodeConflict, "app_id taken")
		wantAlive(t, s, owner.Token())

		guest := signUpGuest(t, s)
		wantProblem(t, s.Post("/user/identities/wechat", w.body(w.official, w.wei), apitest.Bearing(guest.Token())),
			http.StatusForbidden, latchkey.CodeForbidden, "token invalid")
	})
}

// Who has nothing but a stolen token must not make a way in of their own.
func TestLinkingNeedsPresence(t *testing.T) {
	t.Parallel()
	eachWithWeChat(t, apitest.Options{}, func(t *testing.T, s *apitest.Server, w *stage) {
		john := signUp(t, s, "john_smith")
		s.Clock.Advance(11 * time.Minute)
		post := func(current any) apitest.Answer {
			body := w.body(w.mini, w.wei)
			body["current_password"] = current
			return s.Post("/user/identities/wechat", body, apitest.Bearing(john.Token()))
		}
		wantProblem(t, post(nil), http.StatusForbidden, latchkey.CodeForbidden, "token invalid")
		wantInvalid(t, post("wrong horse 9"), "current_password invalid")
		want(t, post(password), http.StatusOK)

		id := linked(t, s, john.Token())[w.mini.ID]
		wantProblem(t, s.Delete(identityPath(id), nil, apitest.Bearing(john.Token())), http.StatusForbidden, latchkey.CodeForbidden, "token invalid")
		want(t, s.Delete(identityPath(id), object{"current_password": password}, apitest.Bearing(john.Token())), http.StatusNoContent)
	})
}

func TestLastWayInStays(t *testing.T) {
	t.Parallel()
	eachWithWeChat(t, apitest.Options{}, func(t *testing.T, s *apitest.Server, w *stage) {
		a := s.Post("/sign_in_with/wechat", w.body(w.mini, w.wei))
		id := linked(t, s, a.Token())[w.mini.ID]
		wantProblem(t, s.Delete(identityPath(id), nil, apitest.Bearing(a.Token())), http.StatusConflict, latchkey.CodeConflict, "id invalid")
		if got := linked(t, s, a.Token()); len(got) != 1 {
			t.Errorf("got %v, want it as before", got)
		}
		changed := s.Put("/user/password", object{"password": newPassword, "password_confirmation": newPassword}, apitest.Bearing(a.Token()))
		want(t, changed, http.StatusOK)
		want(t, s.Delete(identityPath(id), nil, apitest.Bearing(changed.Token())), http.StatusNoContent)
		want(t, s.Post("/sign_in", object{"login": a.Text("username"), "password": newPassword}), http.StatusOK)
	})
}

func TestFirstPasswordNeedsAFreshWeChatSignIn(t *testing.T) {
	t.Parallel()
	eachWithWeChat(t, apitest.Options{}, func(t *testing.T, s *apitest.Server, w *stage) {
		set := func(token string, more ...any) apitest.Answer {
			body := object{"password": newPassword, "password_confirmation": newPassword}
			if len(more) > 0 {
				body["current_password"] = more[0]
			}
			return s.Put("/user/password", body, apitest.Bearing(token))
		}
		stale := s.Post("/sign_in_with/wechat", w.body(w.mini, w.wei))
		s.Clock.Advance(10*time.Minute + time.Second)
		wantProblem(t, set(stale.Token()), http.StatusForbidden, latchkey.CodeForbidden, "token invalid")
		wantInvalid(t, set(stale.Token(), "guessed-one"), "current_password invalid")

		fresh := s.Post("/sign_in_with/wechat", w.body(w.mini, w.wei))
		short := s.Put("/user/password", object{"password": "short", "password_confirmation": "short"}, apitest.Bearing(fresh.Token()))
		wantInvalid(t, short, "password too_short")
		changed := set(fresh.Token())
		want(t, changed, http.StatusOK)
		wantDead(t, s, fresh.Token())
		wantDead(t, s, stale.Token())
		want(t, s.Post("/sign_in", object{"login": fresh.Text("username"), "password": newPassword}), http.StatusOK)
		wantInvalid(t, set(changed.Token()), "current_password required")

		// Users with a password prove it, however they signed in; guests sign up.
		again := s.Post("/sign_in_with/wechat", w.body(w.mini, w.wei))
		wantInvalid(t, set(again.Token()), "current_password required")
		guest := signUpGuest(t, s)
		wantProblem(t, set(guest.Token()), http.StatusForbidden, latchkey.CodeForbidden, "token invalid")
	})
}

// Asking WeChat takes time, in which the account may have been taken back from whoever asks.
func TestLinkInFlightDiesWithItsSession(t *testing.T) {
	t.Parallel()
	eachWithWeChat(t, apitest.Options{}, func(t *testing.T, s *apitest.Server, w *stage) {
		john := signUp(t, s, "john_smith")
		stolen := signIn(t, s, "john_smith")
		body := w.body(w.mini, w.wei)
		w.FailTimes(wechattest.PathMiniProgramCode, wechattest.Delay(time.Second), 1)
		linking := make(chan apitest.Answer)
		go func() { linking <- s.Post("/user/identities/wechat", body, apitest.Bearing(stolen)) }()
		for len(w.Requests(wechattest.PathMiniProgramCode)) == 0 {
			time.Sleep(time.Millisecond)
		}
		change := object{"current_password": password, "password": newPassword, "password_confirmation": newPassword}
		want(t, s.Put("/user/password", change, apitest.Bearing(john.Token())), http.StatusOK)
		wantUnauthorized(t, <-linking)
		if a := s.Post("/sign_in_with/wechat", w.body(w.mini, w.wei)); a.Status != http.StatusOK || a.ID() == john.ID() {
			t.Errorf("got %d %s, want another user: the link was made by a session that had ended", a.Status, a.Body)
		}
	})
}

// A group that is renamed or left out in the settings leaves rows behind that are no way in.
func TestLastWayInStaysAfterAChangeOfGroups(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, db sqlstore.Config) {
		w := newStage(t)
		before := apitest.Start(t, db, apitest.Options{WeChat: w.Server})
		a := before.Post("/sign_in_with/wechat", w.body(w.mini, w.wei))
		want(t, a, http.StatusOK)
		w.BindGroup(w.mini, "")
		w.BindGroup(w.mobile, "")
		s := apitest.Start(t, db, apitest.Options{WeChat: w.Server})
		token := s.Post("/sign_in_with/wechat", w.body(w.mini, w.wei)).Token()
		id := linked(t, s, token)[w.mini.ID]
		wantProblem(t, s.Delete(identityPath(id), nil, apitest.Bearing(token)), http.StatusConflict, latchkey.CodeConflict, "id invalid")

		changed := s.Put("/user/password", object{"password": newPassword, "password_confirmation": newPassword}, apitest.Bearing(token))
		want(t, changed, http.StatusOK)
		want(t, s.Delete(identityPath(id), nil, apitest.Bearing(changed.Token())), http.StatusNoContent)
		w.BindGroup(w.mini, "one")
		w.BindGroup(w.mobile, "one")
		again := apitest.Start(t, db, apitest.Options{WeChat: w.Server})
		if b := again.Post("/sign_in_with/wechat", w.body(w.mobile, w.wei)); b.ID() == a.ID() {
			t.Error("the unionid is a way in that nobody saw and nobody could take away")
		}
	})
}

// The first users may come before any app is configured, through a trusted backend.
func TestUsersFromBeforeTheFirstAppStayWhoTheyAre(t *testing.T) {
	t.Parallel()
	const key = "Latchkey-Server-Key: first-server-key"
	dbtest.Each(t, func(t *testing.T, db sqlstore.Config) {
		w := newStage(t)
		before := apitest.Start(t, db, apitest.Options{ServerKeys: []string{"first-server-key"}})
		a := before.Post("/sign_in_with/wechat", object{"uid": w.OpenID(w.mini, w.wei)}, key)
		want(t, a, http.StatusOK)
		s := apitest.Start(t, db, apitest.Options{ServerKeys: []string{"first-server-key"}, WeChat: w.Server})
		for _, app := range []wechattest.App{w.mini, w.mobile, w.mini} { // the second one by the unionid of the first
			if got := s.Post("/sign_in_with/wechat", w.body(app, w.wei)); got.Status != http.StatusOK || got.ID() != a.ID() {
				t.Errorf("%s: got %d %s, want user %d", app.Kind, got.Status, got.Body, a.ID())
			}
		}
		if other := s.Post("/sign_in_with/wechat", w.body(w.website, w.wei)); other.ID() == a.ID() {
			t.Error("an openid of another app leads to the user")
		}
	})
}

func TestTwoUpgradesOfAGuestByOnePersonMeet(t *testing.T) {
	t.Parallel()
	eachWithWeChat(t, apitest.Options{}, func(t *testing.T, s *apitest.Server, w *stage) {
		guest := signUpGuest(t, s)
		w.FailTimes(wechattest.PathMiniProgramCode, wechattest.Delay(300*time.Millisecond), 4)
		answers := atOnce(4, func(int) apitest.Answer {
			return s.Post("/sign_in_with/wechat", w.body(w.mini, w.wei), apitest.Bearing(guest.Token()))
		})
		for _, a := range answers {
			want(t, a, http.StatusOK)
			if a.ID() != guest.ID() {
				t.Errorf("got user %d, want the guest %d", a.ID(), guest.ID())
			}
		}
	})
}

func TestWrongWeChatProofsAreLimited(t *testing.T) {
	t.Parallel()
	eachWithWeChat(t, apitest.Options{Limits: true, ServerKeys: []string{"first-server-key"}}, func(t *testing.T, s *apitest.Server, w *stage) {
		for range 15 {
			want(t, s.Post("/sign_in_with/wechat", object{"app_id": w.mini.ID, "code": "0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}), http.StatusUnauthorized)
			want(t, s.Post("/sign_in_with/code", object{"code": "0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}), http.StatusUnauthorized)
		}
		asked := len(w.Requests(wechattest.PathMiniProgramCode))
		for _, path := range []string{"/sign_in_with/wechat", "/sign_in_with/code"} {
			body := w.body(w.mini, w.wei)
			if path == "/sign_in_with/code" {
				body = object{"code": "0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}
			}
			if a := s.Post(path, body); a.Status != http.StatusTooManyRequests || a.Header.Get("Retry-After") == "" {
				t.Errorf("%s: got %d, want 429 with Retry-After", path, a.Status)
			}
		}
		if a := s.Get("/wechat/access_token?app_id="+w.mini.ID, "Latchkey-Server-Key: wrong-server-key"); a.Status != http.StatusTooManyRequests {
			t.Errorf("a wrong server key: got %d, want 429", a.Status)
		}
		if got := len(w.Requests(wechattest.PathMiniProgramCode)); got != asked {
			t.Error("WeChat was asked beyond the limit")
		}
		want(t, s.Post("/sign_in_with/wechat", object{"app_id": w.mini.ID, "uid": "openid"}, "Latchkey-Server-Key: first-server-key"), http.StatusOK)
	})
}
