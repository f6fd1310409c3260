package web_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/internal/apitest"
)

func TestGetUser(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{Dev: true}, func(t *testing.T, s *apitest.Server) {
		john := signUp(t, s, "john_smith")
		a := s.Get("/user", apitest.Bearing(john.Token()))
		want(t, a, http.StatusOK)
		wantMembers(t, a, userMembers)
		if diff := cmp.Diff(map[string]any{
			"id": john.Object["id"], "username": "john_smith", "email": "john_smith@example.com", "fullname": "john_smith",
			"avatar": nil, "phone_number": nil, "created_at": "2026-06-06T14:20:57.024Z", "guest": false, "email_verified": false,
		}, a.Object); diff != "" {
			t.Errorf("user (-want +got):\n%s", diff)
		}

		t.Run("HEAD is answered as GET is, without the body", func(t *testing.T) {
			s := s.For(t)
			head := s.Do(http.MethodHead, "/user", nil, apitest.Bearing(john.Token()))
			want(t, head, http.StatusOK)
			if got := head.Header.Get("Content-Type"); got != "application/json" {
				t.Errorf("got Content-Type %q", got)
			}
			want(t, s.Do(http.MethodHead, "/user", nil), http.StatusUnauthorized)
		})
		t.Run("guests and users from WeChat have the same members", func(t *testing.T) {
			for _, token := range []string{signUpGuest(t, s).Token(), signInWithWeChat(t, s, "openid_1").Token()} {
				wantMembers(t, wantAlive(t, s, token), userMembers)
			}
		})
		t.Run("a body is not looked at", func(t *testing.T) {
			a := s.For(t).Liberal().Do(http.MethodGet, "/user", "not JSON", apitest.Bearing(john.Token()), "Content-Type: text/plain")
			want(t, a, http.StatusOK)
		})
	})
}

func TestPutUser(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		john := signUp(t, s, "john_smith")
		s.Remember(john.Token())
		put := func(t *testing.T, body any) apitest.Answer {
			t.Helper()
			return s.For(t).Put("/user", body, apitest.Bearing(john.Token()))
		}
		wantProfile := func(t *testing.T, a apitest.Answer, fullname string, avatar, phone any) {
			t.Helper()
			want(t, a, http.StatusOK)
			wantMembers(t, a, userMembers)
			if a.Text("fullname") != fullname || a.Object["avatar"] != avatar || a.Object["phone_number"] != phone {
				t.Errorf("got %s, want %q, %v, %v", a.Body, fullname, avatar, phone)
			}
			if diff := cmp.Diff(a.Object, wantAlive(t, s, john.Token()).Object); diff != "" {
				t.Errorf("GET /user says something else (-put +get):\n%s", diff)
			}
		}

		t.Run("all members change at once", func(t *testing.T) {
			wantProfile(t, put(t, object{"fullname": "王小明", "avatar": "www.test.com/test.png", "phone_number": "13800000000"}), "王小明", "www.test.com/test.png", "13800000000")
		})
		t.Run("a member that is missing stays", func(t *testing.T) {
			wantProfile(t, put(t, object{"fullname": "John Smith"}), "John Smith", "www.test.com/test.png", "13800000000")
			wantProfile(t, put(t, object{"avatar": "https://example.com/a.png"}), "John Smith", "https://example.com/a.png", "13800000000")
			wantProfile(t, put(t, object{"phone_number": "+86 138-0000"}), "John Smith", "https://example.com/a.png", "+86 138-0000")
			wantProfile(t, put(t, object{}), "John Smith", "https://example.com/a.png", "+86 138-0000")
		})
		t.Run("the same again changes nothing", func(t *testing.T) {
			wantProfile(t, put(t, object{"phone_number": "+86 138-0000"}), "John Smith", "https://example.com/a.png", "+86 138-0000")
		})
		t.Run("null clears avatar and phone number", func(t *testing.T) {
			wantProfile(t, put(t, `{"avatar":null}`), "John Smith", nil, "+86 138-0000")
			wantProfile(t, put(t, `{"phone_number":null}`), "John Smith", nil, nil)
			wantProfile(t, put(t, `{"avatar":"a","phone_number":"123"}`), "John Smith", "a", "123")
			wantProfile(t, put(t, `{"avatar":null,"phone_number":null}`), "John Smith", nil, nil)
		})
		t.Run("empty text clears them too", func(t *testing.T) {
			wantProfile(t, put(t, `{"avatar":"a","phone_number":"123"}`), "John Smith", "a", "123")
			wantProfile(t, put(t, `{"avatar":"","phone_number":""}`), "John Smith", nil, nil)
		})
		t.Run("the full name cannot be cleared", func(t *testing.T) {
			for _, body := range []string{`{"fullname":null}`, `{"fullname":""}`, `{"fullname":"  "}`, `{"fullname":"\u3000"}`} {
				wantInvalid(t, put(t, body), "fullname required")
			}
		})
		t.Run("one wrong member keeps the others from changing", func(t *testing.T) {
			wantInvalid(t, put(t, object{"fullname": "New", "avatar": "javascript:alert(1)", "phone_number": "123"}), "avatar invalid")
			wantInvalid(t, put(t, object{"fullname": "New", "phone_number": 123}), "phone_number invalid")
			wantInvalid(t, put(t, object{"fullname": "\u202eNew", "avatar": "//host", "phone_number": "call me"}),
				"fullname invalid", "avatar invalid", "phone_number invalid")
			wantProfile(t, put(t, object{}), "John Smith", nil, nil)
		})
		t.Run("nothing else can be set", func(t *testing.T) {
			before := wantAlive(t, s, john.Token())
			want(t, put(t, object{
				"id": 99, "username": "boss", "email": "boss@example.com", "email_verified": true, "guest": true, "created_at": "2012-05-23T08:00:58Z",
				"password": "other password", "password_hash": "x", "status": 1, "language": "zh-CN",
			}), http.StatusOK)
			if diff := cmp.Diff(before.Object, wantAlive(t, s, john.Token()).Object); diff != "" {
				t.Errorf("the user changed (-before +after):\n%s", diff)
			}
			signIn(t, s, "john_smith")
		})
		t.Run("text is kept as it is", func(t *testing.T) {
			for _, name := range []string{
				"O'Brien; DROP TABLE users", `<script>alert("x")</script>`, "%s %d %!", "{{.}}", "👨\u200d👩\u200d👧\u200d👦 family", "می\u200cخواهم", "José", "Jose\u0301",
				" spaces around ", "a\u00a0b", strings.Repeat("名", 120), `\"quoted\"`, "ＦＵＬＬ",
			} {
				wantProfile(t, put(t, object{"fullname": name}), name, nil, nil)
			}
		})
		t.Run("a guest has a profile too", func(t *testing.T) {
			guest := signUpGuest(t, s)
			a := s.For(t).Put("/user", object{"fullname": "Guest"}, apitest.Bearing(guest.Token()))
			want(t, a, http.StatusOK)
			if a.Text("fullname") != "Guest" || a.Object["guest"] != true {
				t.Errorf("got %s", a.Body)
			}
		})
	})
}

func TestPutPassword(t *testing.T) {
	t.Parallel()
	const newPassword = "battery staple 8"
	apitest.Each(t, apitest.Options{Dev: true}, func(t *testing.T, s *apitest.Server) {
		t.Run("every session ends and a new one begins", func(t *testing.T) {
			s := s.For(t)
			john := signUp(t, s, "john_smith")
			other := signIn(t, s, "john_smith")
			bystander := signUp(t, s, "bystander")
			for _, token := range []string{john.Token(), other, bystander.Token()} {
				s.Remember(token)
			}
			a := s.Put("/user/password", object{"current_password": password, "password": newPassword, "password_confirmation": newPassword}, apitest.Bearing(john.Token()))
			want(t, a, http.StatusOK)
			wantMembers(t, a, signedInMembers)
			if diff := cmp.Diff(withoutToken(john), withoutToken(a)); diff != "" {
				t.Errorf("the user changed (-before +after):\n%s", diff)
			}
			wantDead(t, s, john.Token())
			wantDead(t, s, other)
			wantAlive(t, s, a.Token())
			wantAlive(t, s, bystander.Token())
			want(t, s.Post("/sign_in", object{"login": "john_smith", "password": password}), http.StatusUnauthorized)
			want(t, s.Post("/sign_in", object{"login": "john_smith", "password": newPassword}), http.StatusOK)
			if got := s.Mail("john_smith@example.com").Subject; got != "Your IdeaEgg password was changed" {
				t.Errorf("got mail %q, want a notice", got)
			}
		})
		t.Run("what is refused changes nothing", func(t *testing.T) {
			s := s.For(t)
			mary := signUp(t, s, "mary_smith")
			before := len(s.Mails("mary_smith@example.com")) // to verify the address
			body := func(current, new, confirmation any) object {
				return object{"current_password": current, "password": new, "password_confirmation": confirmation}
			}
			for _, test := range []struct {
				body   object
				faults []string
			}{
				{object{}, []string{"current_password required", "password required", "password_confirmation required"}},
				{body("", newPassword, newPassword), []string{"current_password required"}},
				{body(nil, newPassword, newPassword), []string{"current_password required"}},
				{body("wrong horse 9", newPassword, newPassword), []string{"current_password invalid"}},
				{body(strings.Repeat("x", 2000), newPassword, newPassword), []string{"current_password invalid"}},
				{body(password, "short", "short"), []string{"password too_short"}},
				{body(password, newPassword, "something else"), []string{"password_confirmation mismatch"}},
				{body(password, "mary_smith", "mary_smith"), []string{"password too_common"}},
				{body(password, "Mary_Smith@Example.com", "Mary_Smith@Example.com"), []string{"password too_common"}},
				{body("wrong horse 9", "short", "x"), []string{"password too_short", "password_confirmation mismatch"}},
				{body([]string{password}, 1, nil), []string{"current_password invalid", "password invalid"}},
			} {
				wantInvalid(t, s.Put("/user/password", test.body, apitest.Bearing(mary.Token())), test.faults...)
			}
			wantAlive(t, s, mary.Token())
			signIn(t, s, "mary_smith")
			if got := len(s.Mails("mary_smith@example.com")) - before; got != 0 {
				t.Errorf("got %d messages more, want none", got)
			}
		})
		t.Run("whoever has no password cannot give it", func(t *testing.T) {
			s := s.For(t)
			for _, token := range []string{signUpGuest(t, s).Token(), signInWithWeChat(t, s, "openid_1").Token()} {
				wantInvalid(t, s.Put("/user/password", object{"current_password": "x", "password": newPassword, "password_confirmation": newPassword}, apitest.Bearing(token)),
					"current_password invalid")
				wantAlive(t, s, token)
			}
		})
		t.Run("outstanding resets die", func(t *testing.T) {
			s := s.For(t)
			susan := signUp(t, s, "susan_smith")
			want(t, s.Post("/reset_password", object{"email": "susan_smith@example.com"}), http.StatusNoContent)
			mail := s.Mail("susan_smith@example.com")
			want(t, s.Put("/user/password", object{"current_password": password, "password": newPassword, "password_confirmation": newPassword}, apitest.Bearing(susan.Token())), http.StatusOK)
			wantInvalid(t, s.Put("/reset_password", object{"token": mail.Token, "password": "third password", "password_confirmation": "third password"}), "token invalid")
		})
		t.Run("of changes at once one wins", func(t *testing.T) {
			racer := signUp(t, s, "racing_smith")
			answers := atOnce(8, func(int) apitest.Answer {
				return s.Put("/user/password", object{"current_password": password, "password": newPassword, "password_confirmation": newPassword}, apitest.Bearing(racer.Token()))
			})
			winners := withStatus(answers, http.StatusOK)
			if len(winners) != 1 {
				t.Fatalf("got %d winners, want 1", len(winners))
			}
			wantAlive(t, s, winners[0].Token())
			wantDead(t, s, racer.Token())
		})
	})
}

func TestDeleteUser(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{Dev: true}, func(t *testing.T, s *apitest.Server) {
		t.Run("with the current password", func(t *testing.T) {
			s := s.For(t)
			john := signUp(t, s, "john_smith")
			other := signIn(t, s, "john_smith")
			for _, test := range []struct {
				body   any
				faults []string
			}{
				{nil, []string{"current_password required"}},
				{`{}`, []string{"current_password required"}},
				{`{"current_password":null}`, []string{"current_password required"}},
				{`{"current_password":""}`, []string{"current_password required"}},
				{`{"current_password":"wrong horse 9"}`, []string{"current_password invalid"}},
				{`{"current_password":["correct horse 9"]}`, []string{"current_password invalid"}},
				{object{"current_password": strings.Repeat("x", 3000)}, []string{"current_password invalid"}},
			} {
				wantInvalid(t, s.Delete("/user", test.body, apitest.Bearing(john.Token())), test.faults...)
			}
			s.Remember(john.Token())
			s.Remember(other)

			s.Clock.Advance(day) // however long ago the sign-in was
			a := s.Delete("/user", object{"current_password": password}, apitest.Bearing(john.Token()))
			want(t, a, http.StatusNoContent)
			wantDead(t, s, john.Token())
			wantDead(t, s, other)
			wantUnauthorized(t, s.Delete("/user", object{"current_password": password}, apitest.Bearing(john.Token())))
			want(t, s.Post("/sign_in", object{"login": "john_smith", "password": password}), http.StatusUnauthorized)
			want(t, s.Post("/sign_in", object{"login": "john_smith@example.com", "password": password}), http.StatusUnauthorized)
		})
		t.Run("without a password within 10 minutes of signing in", func(t *testing.T) {
			s := s.For(t)
			tokens := []string{signUpGuest(t, s).Token(), signInWithWeChat(t, s, "openid_1").Token()}
			s.Clock.Advance(10 * time.Minute)
			for _, token := range tokens {
				want(t, s.Delete("/user", nil, apitest.Bearing(token)), http.StatusNoContent)
				wantDead(t, s, token)
			}
		})
		t.Run("without a password later the sign-in is too old", func(t *testing.T) {
			s := s.For(t)
			guest, wechat := signUpGuest(t, s), signInWithWeChat(t, s, "openid_2")
			s.Clock.Advance(10*time.Minute + time.Second)
			for _, token := range []string{guest.Token(), wechat.Token()} {
				wantProblem(t, s.Delete("/user", nil, apitest.Bearing(token)), http.StatusForbidden, "forbidden", "token invalid")
				wantAlive(t, s, token)
			}
			fresh := signInWithWeChat(t, s, "openid_2")
			want(t, s.Delete("/user", `{}`, apitest.Bearing(fresh.Token())), http.StatusNoContent)
			wantDead(t, s, wechat.Token())
		})
		t.Run("a session that was used lately is no fresher", func(t *testing.T) {
			s := s.For(t)
			guest := signUpGuest(t, s)
			s.Clock.Advance(9 * time.Minute)
			wantAlive(t, s, guest.Token())
			s.Clock.Advance(2 * time.Minute)
			wantProblem(t, s.Delete("/user", nil, apitest.Bearing(guest.Token())), http.StatusForbidden, "forbidden", "token invalid")
		})
		t.Run("of deletions at once one wins", func(t *testing.T) {
			racer := signUp(t, s, "racing_smith")
			answers := atOnce(6, func(int) apitest.Answer {
				return s.Delete("/user", object{"current_password": password}, apitest.Bearing(racer.Token()))
			})
			if got := len(withStatus(answers, http.StatusNoContent)); got != 1 {
				t.Errorf("got %d winners, want 1", got)
			}
		})
		t.Run("also of a guest's, and the others' token is dead", func(t *testing.T) {
			guest := signUpGuest(t, s)
			answers := atOnce(6, func(int) apitest.Answer { return s.Delete("/user", nil, apitest.Bearing(guest.Token())) })
			if got := len(withStatus(answers, http.StatusNoContent)); got != 1 {
				t.Errorf("got %d winners, want 1", got)
			}
			for _, a := range answers {
				if a.Status != http.StatusNoContent {
					wantUnauthorized(t, a) // nobody asked for a password
				}
			}
		})
	})
}

func TestDeletedUserLeavesNothing(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{Dev: true}, func(t *testing.T, s *apitest.Server) {
		john := signUp(t, s, "john_smith")
		want(t, s.Post("/reset_password", object{"email": "john_smith@example.com"}), http.StatusNoContent)
		reset := s.Mail("john_smith@example.com")
		want(t, s.Delete("/user", object{"current_password": password}, apitest.Bearing(john.Token())), http.StatusNoContent)
		wechat := signInWithWeChat(t, s, "openid_1")
		want(t, s.Delete("/user", nil, apitest.Bearing(wechat.Token())), http.StatusNoContent)
		mails := s.MailCount()

		t.Run("a reset that was asked for before is worthless", func(t *testing.T) {
			s := s.For(t)
			for _, proof := range []object{{"token": reset.Token}, {"email": "john_smith@example.com", "code": reset.Code}} {
				proof["password"], proof["password_confirmation"] = "third password", "third password"
				want(t, s.Put("/reset_password", proof), http.StatusUnprocessableEntity)
			}
		})
		t.Run("and no other is sent", func(t *testing.T) {
			s := s.For(t)
			want(t, s.Post("/reset_password", object{"email": "john_smith@example.com"}), http.StatusNoContent)
			if got := s.MailCount(); got != mails {
				t.Errorf("got %d messages more", got-mails)
			}
		})
		t.Run("the openid is somebody new", func(t *testing.T) {
			if a := signInWithWeChat(t, s, "openid_1"); a.ID() <= wechat.ID() {
				t.Errorf("got id %d, want one that nobody had", a.ID())
			}
		})
		t.Run("the name is held for 30 days and the address is free at once", func(t *testing.T) {
			s := s.For(t)
			body := signUpBody("new_smith")
			body["email"] = "john_smith@example.com"
			heir := s.Post("/sign_up", body)
			want(t, heir, http.StatusOK)
			if heir.ID() <= john.ID() {
				t.Errorf("got id %d, want one that nobody had", heir.ID())
			}
			s.Clock.Advance(30*day - time.Second)
			s.CleanUp()
			body = signUpBody("John_Smith")
			body["email"] = "other@example.com"
			wantInvalid(t, s.Post("/sign_up", body), "username taken")
			s.Clock.Advance(time.Second)
			s.CleanUp()
			a := s.Post("/sign_up", body)
			want(t, a, http.StatusOK)
			if a.ID() <= heir.ID() {
				t.Errorf("got id %d, want one that nobody had", a.ID())
			}
		})
	})
}

// A client of HTTP/1.0 keeps its connection only if it is told how long the answer is.
func TestAnswersSayHowLongTheyAre(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{})
	token := signUp(t, s, "john_smith").Token()
	for _, length := range []int{30, 1500, 2000} {
		avatar := "https://example.com/" + strings.Repeat("a", length-len("https://example.com/"))
		want(t, s.Put("/user", object{"avatar": avatar}, apitest.Bearing(token)), http.StatusOK)
		a, head := s.Get("/user", apitest.Bearing(token)), s.Do(http.MethodHead, "/user", nil, apitest.Bearing(token))
		for method, got := range map[string]string{"GET": a.Header.Get("Content-Length"), "HEAD": head.Header.Get("Content-Length")} {
			if want := strconv.Itoa(len(a.Body)); got != want {
				t.Errorf("%s with an avatar of %d: got Content-Length %q, want %q", method, length, got, want)
			}
		}
	}
}
