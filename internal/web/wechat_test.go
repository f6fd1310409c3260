package web_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/apitest"
	"github.com/ideaegg/latchkey/internal/auth"
)

var generatedName = regexp.MustCompile(`^[0-9a-f]{8}$`)

func TestSignInWithWeChat(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{Dev: true}, func(t *testing.T, s *apitest.Server) {
		first := s.Post("/sign_in_with/wechat", `{"uid":"test_uid","username":"cb41b7b2","email":"cb41b7b2@ideaegg.me","fullname":"cb41b7b2","avatar":"www.test.com/test.png","phone_number":"13800000000"}`)
		want(t, first, http.StatusOK)
		wantMembers(t, first, wechatMembers)
		for name, want := range map[string]string{
			"username": "cb41b7b2", "email": "cb41b7b2@ideaegg.me", "fullname": "cb41b7b2",
			"avatar": "www.test.com/test.png", "phone_number": "13800000000", "created_at": "2026-06-06T14:20:57.024Z",
		} {
			if got := first.Text(name); got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}

		t.Run("later the same user is signed in and the profile is ignored", func(t *testing.T) {
			s := s.For(t)
			signUp(t, s, "somebody")
			again := s.Liberal().Post("/sign_in_with/wechat", object{
				"uid": "test_uid", "username": "somebody", "email": "somebody@example.com", "fullname": "New", "avatar": "javascript:x", "phone_number": "x",
			})
			want(t, again, http.StatusOK)
			wantMembers(t, again, wechatMembers)
			if again.Token() == first.Token() {
				t.Error("got one token twice")
			}
			wantAlive(t, s, first.Token())
			if diff := cmp.Diff(withoutToken(first), withoutToken(again)); diff != "" {
				t.Errorf("the user changed (-first +again):\n%s", diff)
			}
		})
		t.Run("a uid alone makes a name of 8 hex digits", func(t *testing.T) {
			a := signInWithWeChat(t, s, "only_uid")
			wantMembers(t, a, wechatMembers)
			name := a.Text("username")
			if !generatedName.MatchString(name) || a.Text("email") != name+"@ideaegg.me" || a.Text("fullname") != name {
				t.Errorf("got %s", a.Body)
			}
			if a.Object["avatar"] != nil || a.Object["phone_number"] != nil {
				t.Errorf("got avatar %v and phone number %v, want null", a.Object["avatar"], a.Object["phone_number"])
			}
			if user := wantAlive(t, s, a.Token()); user.Object["guest"] != false || user.Object["email_verified"] != false {
				t.Errorf("got %s, want a full user without a verified address", user.Body)
			}
		})
		t.Run("what is empty or null is not given", func(t *testing.T) {
			s := s.For(t)
			for uid, value := range map[string]any{"empty_uid": "", "null_uid": nil} {
				a := s.Post("/sign_in_with/wechat", object{
					"uid": uid, "app_id": value, "username": value, "email": value, "fullname": value, "avatar": value, "phone_number": value,
				})
				want(t, a, http.StatusOK)
				if !generatedName.MatchString(a.Text("username")) || a.Text("fullname") != a.Text("username") || a.Object["avatar"] != nil {
					t.Errorf("got %s", a.Body)
				}
			}
		})
		t.Run("a real address may be given", func(t *testing.T) {
			s := s.For(t)
			a := s.Post("/sign_in_with/wechat", object{"uid": "real_address", "username": "Wei_Xin", "email": "Wei@Example.com"})
			want(t, a, http.StatusOK)
			if a.Text("username") != "wei_xin" || a.Text("email") != "Wei@Example.com" || a.Text("fullname") != "wei_xin" {
				t.Errorf("got %s", a.Body)
			}
		})
		t.Run("members that are wrong are told", func(t *testing.T) {
			s := s.For(t)
			for _, test := range []struct {
				body   object
				faults []string
			}{
				{object{}, []string{"uid required"}},
				{object{"uid": ""}, []string{"uid required"}},
				{object{"uid": nil}, []string{"uid required"}},
				{object{"uid": 7}, []string{"uid invalid"}},
				{object{"uid": []string{"a"}}, []string{"uid invalid"}},
				{object{"uid": "with space"}, []string{"uid invalid"}},
				{object{"uid": "nul\x00"}, []string{"uid invalid"}},
				{object{"uid": "用户"}, []string{"uid invalid"}},
				{object{"uid": strings.Repeat("x", 129)}, []string{"uid invalid"}},
				{object{"uid": "new_uid", "app_id": "wx_unknown"}, []string{"app_id unsupported"}},
				{object{"uid": "new_uid", "username": "x"}, []string{"username too_short"}},
				{object{"uid": "new_uid", "username": "admin"}, []string{"username reserved"}},
				{object{"uid": "new_uid", "username": "王小明"}, []string{"username invalid"}},
				{object{"uid": "new_uid", "email": "a@b@c"}, []string{"email invalid"}},
				{object{"uid": "new_uid", "email": strings.Repeat("a", 65) + "@example.com"}, []string{"email too_long"}},
				{object{"uid": "new_uid", "fullname": "  "}, []string{"fullname required"}},
				{object{"uid": "new_uid", "fullname": "a\u202eb"}, []string{"fullname invalid"}},
				{object{"uid": "new_uid", "fullname": strings.Repeat("名", 121)}, []string{"fullname too_long"}},
				{object{"uid": "new_uid", "avatar": "javascript:alert(1)"}, []string{"avatar invalid"}},
				{object{"uid": "new_uid", "avatar": "data:text/html,x"}, []string{"avatar invalid"}},
				{object{"uid": "new_uid", "avatar": strings.Repeat("a", 2049)}, []string{"avatar too_long"}},
				{object{"uid": "new_uid", "phone_number": "12"}, []string{"phone_number too_short"}},
				{object{"uid": "new_uid", "phone_number": strings.Repeat("1", 21)}, []string{"phone_number too_long"}},
				{object{"uid": "new_uid", "phone_number": "١٢٣٤"}, []string{"phone_number invalid"}},
				{
					object{"uid": "new_uid", "username": "-", "email": "x", "fullname": "\x00", "avatar": "//x", "phone_number": "abc"},
					[]string{"username too_short", "email invalid", "fullname invalid", "avatar invalid", "phone_number invalid"},
				},
				{
					object{"uid": "new_uid", "username": 1, "email": true, "fullname": []int{}, "avatar": object{}, "phone_number": 138},
					[]string{"username invalid", "email invalid", "fullname invalid", "avatar invalid", "phone_number invalid"},
				},
			} {
				wantInvalid(t, s.Post("/sign_in_with/wechat", test.body), test.faults...)
			}
		})
		t.Run("a generated address may be given for its own name only", func(t *testing.T) {
			s := s.For(t)
			for _, test := range []struct{ username, email string }{
				{"", "somebody@ideaegg.me"}, {"own_name", "other_name@ideaegg.me"}, {"own_name", "own_name@sub.ideaegg.me"},
			} {
				wantInvalid(t, s.Post("/sign_in_with/wechat", object{"uid": "foreign_uid", "username": test.username, "email": test.email}), "email reserved")
			}
			a := s.Post("/sign_in_with/wechat", object{"uid": "own_uid", "username": "Own_Name", "email": "OWN_NAME@IdeaEgg.me"})
			want(t, a, http.StatusOK)
			if got := a.Text("email"); got != "own_name@ideaegg.me" {
				t.Errorf("got %q, want the address as it is generated", got)
			}
		})
		t.Run("another provider is not supported", func(t *testing.T) {
			s := s.For(t)
			for _, provider := range []string{"weibo", "WeChat", "wechat.", "%00", "用户"} {
				wantInvalid(t, s.Post("/sign_in_with/"+provider, object{"uid": "test_uid"}), "provider unsupported")
			}
			for _, path := range []string{"/sign_in_with", "/sign_in_with/", "/sign_in_with/wechat/", "/sign_in_with/..%2Fuser"} {
				wantProblem(t, s.Post(path, object{"uid": "test_uid"}), http.StatusNotFound, latchkey.CodeNotFound, "path invalid")
			}
		})
		t.Run("the token of a full user has no effect", func(t *testing.T) {
			s := s.For(t)
			john := signUp(t, s, "full_user")
			a := signInWithWeChat(t, s, "fresh_uid", apitest.Bearing(john.Token()))
			if a.ID() == john.ID() {
				t.Error("the openid was given to the user")
			}
			if again := signInWithWeChat(t, s, "fresh_uid"); again.ID() != a.ID() {
				t.Errorf("got user %d, want %d", again.ID(), a.ID())
			}
			wantAlive(t, s, john.Token())
		})
	})
}

// A name or an address that somebody has never leads to the account of that somebody.
func TestWeChatNeverLinksByNameOrAddress(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{Dev: true}, func(t *testing.T, s *apitest.Server) {
		signUp(t, s, "john_smith")
		for _, test := range []struct {
			username, email string
			faults          []string
		}{
			{"john_smith", "", []string{"username taken"}},
			{"John_Smith", "", []string{"username taken"}},
			{"john_smith", "john_smith@ideaegg.me", []string{"username taken"}},
			{"", "john_smith@example.com", []string{"email taken"}},
			{"", "JOHN_SMITH@EXAMPLE.COM", []string{"email taken"}},
			{"john_smith", "john_smith@example.com", []string{"username taken", "email taken"}},
		} {
			wantInvalid(t, s.Post("/sign_in_with/wechat", object{"uid": "attacker", "username": test.username, "email": test.email}), test.faults...)
		}
		if a := signInWithWeChat(t, s, "attacker"); a.Text("username") == "john_smith" || a.ID() == 1 {
			t.Errorf("got %s", a.Body)
		}
	})
}

func TestFirstSignInsOfOneOpenIDMeetInOneUser(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{Dev: true}, func(t *testing.T, s *apitest.Server) {
		answers := atOnce(20, func(i int) apitest.Answer {
			body := object{"uid": "racing_uid"}
			if i%2 == 0 {
				body["username"] = "racing_name"
			}
			return s.Post("/sign_in_with/wechat", body)
		})
		ids := make(map[int64]bool)
		for _, a := range answers {
			want(t, a, http.StatusOK)
			ids[a.ID()] = true
		}
		if len(ids) != 1 {
			t.Errorf("got %d users, want 1", len(ids))
		}
	})
}

func TestBareUIDIsNoProof(t *testing.T) {
	t.Parallel()
	const key, other = "first-server-key", "second-server-key"
	apitest.Each(t, apitest.Options{ServerKeys: []string{key, other}}, func(t *testing.T, s *apitest.Server) {
		bearer := signUp(t, s, "full_user").Token()
		for _, test := range []struct {
			name    string
			body    object
			headers []string
		}{
			{"a uid alone", object{"uid": "test_uid"}, nil},
			{"nothing at all", object{}, nil},
			{"a uid with a code", object{"uid": "test_uid", "code": "x"}, nil},
			{"a code alone", object{"code": "x"}, nil},
			{"a uid with an access token", object{"uid": "test_uid", "access_token": "x"}, nil},
			{"a wrong key", object{"uid": "test_uid"}, []string{"Latchkey-Server-Key: wrong-server-key"}},
			{"a key cut short", object{"uid": "test_uid"}, []string{"Latchkey-Server-Key: first-server-ke"}},
			{"a key in other letters", object{"uid": "test_uid"}, []string{"Latchkey-Server-Key: FIRST-SERVER-KEY"}},
			{"both keys in one line", object{"uid": "test_uid"}, []string{"Latchkey-Server-Key: " + key + "," + other}},
			{"both keys in two lines", object{"uid": "test_uid"}, []string{"Latchkey-Server-Key: " + key, "Latchkey-Server-Key: " + other}},
			{"a key in another header", object{"uid": "test_uid"}, []string{"Authorization: Basic " + key}},
			{"a key in the body", object{"uid": "test_uid", "server_key": key, "Latchkey-Server-Key": key}, nil},
			{"somebody's token", object{"uid": "test_uid"}, []string{apitest.Bearing(bearer)}},
		} {
			t.Run(test.name, func(t *testing.T) {
				a := s.For(t).Post("/sign_in_with/wechat", test.body, test.headers...)
				wantProblem(t, a, http.StatusUnauthorized, latchkey.CodeInvalidCredentials, "code invalid")
			})
		}
		t.Run("a key in the address is not looked at", func(t *testing.T) {
			a := s.For(t).Post("/sign_in_with/wechat?server_key="+key+"&Latchkey-Server-Key="+key, object{"uid": "test_uid"})
			wantProblem(t, a, http.StatusUnauthorized, latchkey.CodeInvalidCredentials, "code invalid")
		})
		t.Run("each of the keys is a proof", func(t *testing.T) {
			s := s.For(t)
			first := signInWithWeChat(t, s, "test_uid", "Latchkey-Server-Key: "+key)
			second := signInWithWeChat(t, s, "test_uid", "Latchkey-Server-Key: "+other)
			if first.ID() != second.ID() || first.ID() != 2 {
				t.Errorf("got users %d and %d, want the second user twice: nobody came of what was refused", first.ID(), second.ID())
			}
			wantInvalid(t, s.Post("/sign_in_with/wechat", object{}, "Latchkey-Server-Key: "+key), "uid required")
		})
		t.Run("a key is nobody's token", func(t *testing.T) {
			wantDead(t, s, key)
			wantUnauthorized(t, s.For(t).Get("/user", "Latchkey-Server-Key: "+key))
		})
	})
}

func TestWithoutServerKeysEveryKeyIsWrong(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]apitest.Options{"in production": {}, "in development": {Dev: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := apitest.OnSQLite(t, options)
			wantProblem(t, s.Post("/sign_in_with/wechat", object{"uid": "test_uid"}, "Latchkey-Server-Key: some-key"),
				http.StatusUnauthorized, latchkey.CodeInvalidCredentials, "code invalid")
		})
	}
}

// An openid is a name in one app; the same one in two apps is two people.
func TestOpenIDBelongsToItsApp(t *testing.T) {
	t.Parallel()
	t.Run("of one app the id may be left out", func(t *testing.T) {
		t.Parallel()
		s := apitest.OnSQLite(t, apitest.Options{BelieveBareUID: true, WeChatApps: []auth.WeChatApp{{ID: "wx_one"}}})
		a := signInWithWeChat(t, s, "test_uid")
		b := s.Post("/sign_in_with/wechat", object{"uid": "test_uid", "app_id": "wx_one"})
		if a.ID() != b.ID() {
			t.Errorf("got users %d and %d, want one", a.ID(), b.ID())
		}
		wantInvalid(t, s.Post("/sign_in_with/wechat", object{"uid": "test_uid", "app_id": "wx_two"}), "app_id unsupported")
	})
	t.Run("of several it must be given", func(t *testing.T) {
		t.Parallel()
		s := apitest.OnSQLite(t, apitest.Options{BelieveBareUID: true, WeChatApps: []auth.WeChatApp{{ID: "wx_one"}, {ID: "wx_two"}}})
		wantInvalid(t, s.Post("/sign_in_with/wechat", object{"uid": "test_uid"}), "app_id required")
		a := s.Post("/sign_in_with/wechat", object{"uid": "test_uid", "app_id": "wx_one"})
		b := s.Post("/sign_in_with/wechat", object{"uid": "test_uid", "app_id": "wx_two"})
		want(t, a, http.StatusOK)
		want(t, b, http.StatusOK)
		if a.ID() == b.ID() {
			t.Error("two apps' users are one")
		}
	})
}

// withoutToken is a signed-in answer for comparing.
func withoutToken(a apitest.Answer) map[string]any {
	user := make(map[string]any)
	for name, value := range a.Object {
		if name != "private_token" {
			user[name] = value
		}
	}
	return user
}
