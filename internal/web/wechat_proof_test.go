package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/apitest"
	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/sqlstore"
	"github.com/ideaegg/latchkey/internal/wechattest"
)

// stage is a WeChat with an app of every kind, two of them of one group, and somebody with a phone.
type stage struct {
	*wechattest.Server
	mini, mobile, website, official, elsewhere wechattest.App
	wei                                        wechattest.Person
}

func newStage(t *testing.T) *stage {
	t.Helper()
	w := &stage{Server: wechattest.NewServer(t, wechattest.Config{})}
	w.mini = w.AddApp(wechattest.App{Kind: wechattest.MiniProgram, Group: "one"})
	w.mobile = w.AddApp(wechattest.App{Kind: wechattest.Mobile, Group: "one"})
	w.website = w.AddApp(wechattest.App{Kind: wechattest.Website})
	w.official = w.AddApp(wechattest.App{Kind: wechattest.OfficialAccount, Group: "two"})
	w.elsewhere = w.AddApp(wechattest.App{Kind: wechattest.Mobile, Group: "two"})
	w.wei = w.AddPerson(wechattest.Person{Nickname: "小伟", PhoneNumber: "13800138000"})
	return w
}

// body is a sign-in of the person with a fresh code.
func (w *stage) body(app wechattest.App, p wechattest.Person) object {
	return object{"app_id": app.ID, "code": w.Code(app, p)}
}

// eachWithWeChat runs the test on each engine in production mode, with a WeChat of its own.
func eachWithWeChat(t *testing.T, o apitest.Options, test func(t *testing.T, s *apitest.Server, w *stage)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, db sqlstore.Config) {
		w := newStage(t)
		o := o
		o.WeChat = w.Server
		test(t, apitest.Start(t, db, o), w)
	})
}

func TestEveryKindOfAppSignsIn(t *testing.T) {
	t.Parallel()
	eachWithWeChat(t, apitest.Options{}, func(t *testing.T, s *apitest.Server, w *stage) {
		for _, app := range []wechattest.App{w.mini, w.mobile, w.website, w.official} {
			first := s.Post("/sign_in_with/wechat", w.body(app, w.wei))
			want(t, first, http.StatusOK)
			wantMembers(t, first, wechatMembers)
			body := w.body(app, w.wei)
			body["uid"] = w.OpenID(app, w.wei)
			again := s.Post("/sign_in_with/wechat", body)
			want(t, again, http.StatusOK)
			if first.ID() != again.ID() || first.Token() == again.Token() {
				t.Errorf("%s: got users %d and %d, want one with two sessions", app.Kind, first.ID(), again.ID())
			}
			wantAlive(t, s, first.Token())
			wantAlive(t, s, again.Token())
		}
		for _, app := range []wechattest.App{w.mobile, w.website, w.official} {
			byToken := s.Post("/sign_in_with/wechat", object{"app_id": app.ID, "uid": w.OpenID(app, w.wei), "access_token": w.UserToken(app, w.wei)})
			byCode := s.Post("/sign_in_with/wechat", w.body(app, w.wei))
			want(t, byToken, http.StatusOK)
			if byToken.ID() != byCode.ID() {
				t.Errorf("%s: got users %d and %d, want one", app.Kind, byToken.ID(), byCode.ID())
			}
		}
	})
}

func TestOnePersonIsOneUserAmongTheAppsOfOneGroup(t *testing.T) {
	t.Parallel()
	eachWithWeChat(t, apitest.Options{}, func(t *testing.T, s *apitest.Server, w *stage) {
		ids := make(map[string]int64)
		for _, app := range []wechattest.App{w.mini, w.mobile, w.official, w.elsewhere, w.website} {
			a := s.Post("/sign_in_with/wechat", w.body(app, w.wei))
			want(t, a, http.StatusOK)
			ids[app.ID] = a.ID()
		}
		if ids[w.mini.ID] != ids[w.mobile.ID] || ids[w.official.ID] != ids[w.elsewhere.ID] {
			t.Errorf("got %v, want one user in each group", ids)
		}
		if ids[w.mini.ID] == ids[w.official.ID] || ids[w.website.ID] == ids[w.mini.ID] || ids[w.website.ID] == ids[w.official.ID] {
			t.Errorf("got %v, want different users in two groups and without one", ids)
		}
	})
}

// An app is bound to an Open Platform account after it has users: nobody becomes a new user by that.
func TestUnionIDThatShowsUpLaterIsAttachedInPlace(t *testing.T) {
	t.Parallel()
	eachWithWeChat(t, apitest.Options{}, func(t *testing.T, s *apitest.Server, w *stage) {
		w.BindGroup(w.mini, "")
		before := s.Post("/sign_in_with/wechat", w.body(w.mini, w.wei))
		w.BindGroup(w.mini, "one")
		after := s.Post("/sign_in_with/wechat", w.body(w.mini, w.wei))
		onPhone := s.Post("/sign_in_with/wechat", w.body(w.mobile, w.wei))
		for _, a := range []apitest.Answer{before, after, onPhone} {
			want(t, a, http.StatusOK)
			if a.ID() != before.ID() {
				t.Errorf("got user %d, want %d", a.ID(), before.ID())
			}
		}
	})
}

// Two users of one person, from before the apps were bound together, stay two until somebody merges them.
func TestNothingIsMergedSilently(t *testing.T) {
	t.Parallel()
	eachWithWeChat(t, apitest.Options{}, func(t *testing.T, s *apitest.Server, w *stage) {
		w.BindGroup(w.mini, "")
		inMini := s.Post("/sign_in_with/wechat", w.body(w.mini, w.wei))
		onPhone := s.Post("/sign_in_with/wechat", w.body(w.mobile, w.wei)) // has the unionid
		w.BindGroup(w.mini, "one")
		if inMini.ID() == onPhone.ID() {
			t.Fatal("there are not two users to begin with")
		}
		for range 2 {
			if a := s.Post("/sign_in_with/wechat", w.body(w.mini, w.wei)); a.Status != http.StatusOK || a.ID() != inMini.ID() {
				t.Errorf("got %d %s, want the openid's user", a.Status, a.Body)
			}
			if a := s.Post("/sign_in_with/wechat", w.body(w.mobile, w.wei)); a.Status != http.StatusOK || a.ID() != onPhone.ID() {
				t.Errorf("got %d %s, want the openid's user", a.Status, a.Body)
			}
		}
		if !strings.Contains(s.Log(), "one WeChat account has two users") {
			t.Error("nobody is told that a person has two users")
		}
	})
}

// What does not prove the person in the app gets the same 401 and creates nobody.
func TestWeChatProofsOfOthersAreRefused(t *testing.T) {
	t.Parallel()
	eachWithWeChat(t, apitest.Options{}, func(t *testing.T, s *apitest.Server, w *stage) {
		victim := s.Post("/sign_in_with/wechat", w.body(w.mini, w.wei))
		want(t, victim, http.StatusOK)
		mallory := w.AddPerson(wechattest.Person{PhoneNumber: "13900139000"})
		openID := w.OpenID(w.mini, w.wei)
		used := w.body(w.mini, w.wei)
		want(t, s.Post("/sign_in_with/wechat", used), http.StatusOK)
		expired := w.body(w.mini, w.wei)
		w.Advance(11 * time.Minute)
		for _, test := range []struct {
			name string
			body object
		}{
			{"a bare openid", object{"app_id": w.mini.ID, "uid": openID}},
			{"a bare openid without an app", object{"uid": openID}},
			{"a used code", used},
			{"an expired code", expired},
			{"a made-up code", object{"app_id": w.mini.ID, "code": "0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}},
			{"a code of another app", object{"app_id": w.mini.ID, "code": w.Code(w.mobile, w.wei)}},
			{"a code of another app of the kind", object{"app_id": w.mobile.ID, "code": w.Code(w.elsewhere, w.wei)}},
			{"a phone code in the place of a code", object{"app_id": w.mini.ID, "code": w.PhoneCode(w.mini, w.wei)}},
			{"a code with another app behind it", object{"app_id": w.mini.ID, "code": w.Code(w.mobile, w.wei) + "&appid=" + w.mobile.ID}},
			{"a code with another secret behind it", object{"app_id": w.mini.ID, "code": w.Code(w.mini, w.wei) + "&secret=x"}},
			{"a code with a fragment", object{"app_id": w.mini.ID, "code": w.Code(w.mini, w.wei) + "#"}},
			{"a code with a line break", object{"app_id": w.mini.ID, "code": w.Code(w.mini, w.wei) + "\r\nHost: x"}},
			{"a code that is too long", object{"app_id": w.mini.ID, "code": strings.Repeat("0", 600)}},
			{"the attacker's code with the victim's openid", object{"app_id": w.mini.ID, "uid": openID, "code": w.Code(w.mini, mallory)}},
			{"the attacker's access token with the victim's openid", object{
				"app_id": w.mobile.ID, "uid": w.OpenID(w.mobile, w.wei), "access_token": w.UserToken(w.mobile, mallory),
			}},
			{"an access token with the openid of another app", object{
				"app_id": w.mobile.ID, "uid": openID, "access_token": w.UserToken(w.mobile, w.wei),
			}},
			{"an access token for a mini program", object{"app_id": w.mini.ID, "uid": openID, "access_token": w.UserToken(w.mobile, w.wei)}},
			{"an access token without an openid", object{"app_id": w.mobile.ID, "access_token": w.UserToken(w.mobile, w.wei)}},
			{"a unionid", object{"app_id": w.mobile.ID, "unionid": w.UnionID(w.mini, w.wei)}},
			{"a unionid with a foreign openid", object{"app_id": w.mobile.ID, "uid": "o_mallory", "unionid": w.UnionID(w.mini, w.wei)}},
		} {
			t.Run(test.name, func(t *testing.T) {
				a := s.For(t).Liberal().Post("/sign_in_with/wechat", test.body)
				wantProblem(t, a, http.StatusUnauthorized, latchkey.CodeInvalidCredentials, "code invalid")
			})
		}
		next := signUp(t, s, "next_user")
		if next.ID() != victim.ID()+1 {
			t.Errorf("the next user is %d, want %d: somebody came of what was refused", next.ID(), victim.ID()+1)
		}
	})
}

func TestUnionIDOfTheClientIsNotBelieved(t *testing.T) {
	t.Parallel()
	const key = "first-server-key"
	eachWithWeChat(t, apitest.Options{ServerKeys: []string{key}}, func(t *testing.T, s *apitest.Server, w *stage) {
		victim := s.Post("/sign_in_with/wechat", w.body(w.mini, w.wei))
		mallory := w.AddPerson(wechattest.Person{})
		byCode := w.body(w.mobile, mallory)
		byCode["unionid"] = w.UnionID(w.mini, w.wei)
		byToken := object{
			"app_id": w.elsewhere.ID, "uid": w.OpenID(w.elsewhere, mallory), "access_token": w.UserToken(w.elsewhere, mallory),
			"unionid": w.UnionID(w.mini, w.wei),
		}
		for _, body := range []object{byCode, byToken} {
			a := s.Post("/sign_in_with/wechat", body)
			want(t, a, http.StatusOK)
			if a.ID() == victim.ID() {
				t.Error("the client's unionid leads to the victim")
			}
		}
		trusted := s.Post("/sign_in_with/wechat", object{
			"app_id": w.mobile.ID, "uid": w.OpenID(w.mobile, w.wei), "unionid": w.UnionID(w.mini, w.wei),
		}, "Latchkey-Server-Key: "+key)
		want(t, trusted, http.StatusOK)
		if trusted.ID() != victim.ID() {
			t.Error("a trusted backend's unionid does not lead to the person's user")
		}
		wantInvalid(t, s.Post("/sign_in_with/wechat", object{"app_id": w.mobile.ID, "uid": "openid", "unionid": "a b"}, "Latchkey-Server-Key: "+key), "unionid invalid")
	})
}

func TestCodeIsGoodForOneOfParallelSignIns(t *testing.T) {
	t.Parallel()
	eachWithWeChat(t, apitest.Options{}, func(t *testing.T, s *apitest.Server, w *stage) {
		body := w.body(w.mini, w.wei)
		answers := atOnce(20, func(int) apitest.Answer { return s.Post("/sign_in_with/wechat", body) })
		if got := len(withStatus(answers, http.StatusOK)); got != 1 {
			t.Errorf("got %d sign-ins with one code, want 1", got)
		}
		if got := len(withStatus(answers, http.StatusUnauthorized)); got != 19 {
			t.Errorf("got %d refusals, want 19", got)
		}
	})
}

func TestFirstSignInsOfOnePersonMeetInOneUser(t *testing.T) {
	t.Parallel()
	eachWithWeChat(t, apitest.Options{}, func(t *testing.T, s *apitest.Server, w *stage) {
		answers := atOnce(20, func(i int) apitest.Answer {
			app := w.mini
			if i%2 == 0 {
				app = w.mobile
			}
			return s.Post("/sign_in_with/wechat", w.body(app, w.wei))
		})
		for _, a := range answers {
			want(t, a, http.StatusOK)
			if a.ID() != answers[0].ID() {
				t.Errorf("got users %d and %d, want one", a.ID(), answers[0].ID())
			}
			wantAlive(t, s, a.Token())
		}
	})
}

// Whatever WeChat does, nobody is signed in or created who was not proved, and the answer is there in time.
func TestTroubleWithWeChatCreatesNobody(t *testing.T) {
	t.Parallel()
	eachWithWeChat(t, apitest.Options{Faulty: true}, func(t *testing.T, s *apitest.Server, w *stage) {
		for _, test := range []struct {
			mode   wechattest.Mode
			status int
			code   latchkey.Code
		}{
			{wechattest.Errcode(40029), http.StatusUnauthorized, latchkey.CodeInvalidCredentials},
			{wechattest.Errcode(40163), http.StatusUnauthorized, latchkey.CodeInvalidCredentials},
			{wechattest.Errcode(41008), http.StatusUnauthorized, latchkey.CodeInvalidCredentials},
			{wechattest.Errcode(42003), http.StatusUnauthorized, latchkey.CodeInvalidCredentials},
			{wechattest.Errcode(40226), http.StatusForbidden, latchkey.CodeForbidden},
			{wechattest.Errcode(45011), http.StatusServiceUnavailable, latchkey.CodeUnavailable},
			{wechattest.Errcode(45009), http.StatusServiceUnavailable, latchkey.CodeUnavailable},
			{wechattest.Errcode(-1), http.StatusServiceUnavailable, latchkey.CodeUnavailable},
			{wechattest.Errcode(40013), http.StatusBadGateway, latchkey.CodeUpstreamFailed},
			{wechattest.Errcode(40125), http.StatusBadGateway, latchkey.CodeUpstreamFailed},
			{wechattest.Errcode(40001), http.StatusBadGateway, latchkey.CodeUpstreamFailed},
			{wechattest.Errcode(40164), http.StatusBadGateway, latchkey.CodeUpstreamFailed},
			{wechattest.Errcode(99999), http.StatusBadGateway, latchkey.CodeUpstreamFailed},
			{wechattest.Empty, http.StatusBadGateway, latchkey.CodeUpstreamFailed},
			{wechattest.EmptyObject, http.StatusBadGateway, latchkey.CodeUpstreamFailed},
			{wechattest.EmptyArray, http.StatusBadGateway, latchkey.CodeUpstreamFailed},
			{wechattest.Null, http.StatusBadGateway, latchkey.CodeUpstreamFailed},
			{wechattest.HTML, http.StatusBadGateway, latchkey.CodeUpstreamFailed},
			{wechattest.Huge, http.StatusBadGateway, latchkey.CodeUpstreamFailed},
			{wechattest.NoOpenID, http.StatusBadGateway, latchkey.CodeUpstreamFailed},
			{wechattest.EmptyOpenID, http.StatusBadGateway, latchkey.CodeUpstreamFailed},
			{wechattest.NumberOpenID, http.StatusBadGateway, latchkey.CodeUpstreamFailed},
			{wechattest.ArrayOpenID, http.StatusBadGateway, latchkey.CodeUpstreamFailed},
			{wechattest.DoubleMember, http.StatusBadGateway, latchkey.CodeUpstreamFailed},
			{wechattest.NumberUnionID, http.StatusBadGateway, latchkey.CodeUpstreamFailed},
			{wechattest.Hang, http.StatusServiceUnavailable, latchkey.CodeUnavailable},
			{wechattest.Reset, http.StatusServiceUnavailable, latchkey.CodeUnavailable},
		} {
			w.Fail("", test.mode)
			began := time.Now()
			a := s.Post("/sign_in_with/wechat", w.body(w.mini, w.wei))
			if took := time.Since(began); took > 6*time.Second { // 5 s, and what a busy machine adds
				t.Errorf("%s: answered after %v", test.mode, took)
			}
			if a.Status != test.status || a.Problem().Code != test.code {
				t.Errorf("%s: got %d %s, want %d %s", test.mode, a.Status, a.Body, test.status, test.code)
			}
			if got := a.Header.Get("Retry-After"); (got == "") != (test.status != http.StatusServiceUnavailable) {
				t.Errorf("%s: got %d with Retry-After %q", test.mode, a.Status, got)
			}
			w.Heal("")
		}
		if first := signUp(t, s, "first_user"); first.ID() != 1 {
			t.Errorf("the first user is %d, want 1: somebody came of trouble", first.ID())
		}
		want(t, s.Post("/sign_in_with/wechat", w.body(w.mini, w.wei)), http.StatusOK)
		for _, app := range w.Apps() {
			if strings.Contains(s.Log(), app.Secret) {
				t.Error("an app's secret is in the log")
			}
		}
	})
}

func TestSnapshotUsersAreRefused(t *testing.T) {
	t.Parallel()
	eachWithWeChat(t, apitest.Options{}, func(t *testing.T, s *apitest.Server, w *stage) {
		code := w.CodeWith(w.official, w.wei, wechattest.CodeOptions{Snapshot: true})
		a := s.Post("/sign_in_with/wechat", object{"app_id": w.official.ID, "code": code})
		wantProblem(t, a, http.StatusForbidden, latchkey.CodeForbidden, "code invalid")
		if first := signUp(t, s, "first_user"); first.ID() != 1 {
			t.Error("a made-up person became a user")
		}
	})
}

func TestPhoneNumberIsTheOneThatWeChatVerified(t *testing.T) {
	t.Parallel()
	eachWithWeChat(t, apitest.Options{Faulty: true}, func(t *testing.T, s *apitest.Server, w *stage) {
		mallory := w.AddPerson(wechattest.Person{PhoneNumber: "13900139000"})
		with := func(p wechattest.Person, phoneCode string, more ...string) apitest.Answer {
			body := w.body(w.mini, p)
			body["phone_code"] = phoneCode
			for i := 0; i < len(more); i += 2 {
				body[more[i]] = more[i+1]
			}
			return s.Post("/sign_in_with/wechat", body)
		}
		used := w.PhoneCode(w.mini, mallory)
		for name, code := range map[string]string{
			"of another user": w.PhoneCode(w.mini, w.wei), "made up": strings.Repeat("0", 64), "a sign-in code": w.Code(w.mini, mallory),
		} {
			if a := with(mallory, code); a.Status != http.StatusUnprocessableEntity {
				t.Errorf("%s: got %d %s", name, a.Status, a.Body)
			}
		}
		for _, mode := range []wechattest.Mode{wechattest.OtherWatermark, wechattest.NoWatermark, wechattest.BadPhone, wechattest.NoPhoneInfo} {
			w.FailTimes(wechattest.PathPhone, mode, 1)
			if a := with(mallory, w.PhoneCode(w.mini, mallory)); a.Status != http.StatusBadGateway {
				t.Errorf("%s: got %d %s", mode, a.Status, a.Body)
			}
		}
		w.FailTimes(wechattest.PathPhone, wechattest.OldWatermark, 1)
		wantInvalid(t, with(mallory, w.PhoneCode(w.mini, mallory)), "phone_code invalid")

		first := with(mallory, used, "phone_number", "110")
		want(t, first, http.StatusOK)
		if got := first.Text("phone_number"); first.ID() != 1 || got != "+8613900139000" {
			t.Errorf("got user %d with %q, want the first one, with the number that WeChat told", first.ID(), got)
		}
		wantInvalid(t, with(mallory, used), "phone_code invalid")

		wei := s.Post("/sign_in_with/wechat", w.body(w.mini, w.wei))
		if wei.Object["phone_number"] != nil {
			t.Errorf("got %s", wei.Body)
		}
		if later := with(w.wei, w.PhoneCode(w.mini, w.wei)); later.Text("phone_number") != "+8613800138000" || later.ID() != wei.ID() {
			t.Errorf("a later phone code: got %s", later.Body)
		}
		if got := wantAlive(t, s, wei.Token()).Text("phone_number"); got != "+8613800138000" {
			t.Errorf("an earlier session sees %q", got)
		}
		mobile := w.body(w.mobile, w.wei)
		mobile["phone_code"] = w.PhoneCode(w.mini, w.wei)
		wantInvalid(t, s.Post("/sign_in_with/wechat", mobile), "phone_code invalid")
	})
}

func TestWhatTheClientSaysOfThePersonIsProfileTextOnly(t *testing.T) {
	t.Parallel()
	eachWithWeChat(t, apitest.Options{}, func(t *testing.T, s *apitest.Server, w *stage) {
		signUp(t, s, "somebody")
		named := w.body(w.mini, w.wei)
		named["fullname"], named["username"] = "微信用户", "wei"
		a := s.Post("/sign_in_with/wechat", named)
		want(t, a, http.StatusOK)
		if a.Text("fullname") != "wei" {
			t.Errorf("got fullname %q, want the username: 微信用户 is what WeChat shows for nobody", a.Text("fullname"))
		}
		other := w.AddPerson(wechattest.Person{})
		for _, member := range []string{"username", "email"} {
			body := w.body(w.mobile, other)
			body[member] = map[string]string{"username": "somebody", "email": "somebody@example.com"}[member]
			wantInvalid(t, s.Post("/sign_in_with/wechat", body), member+" taken")
		}
	})
}

func TestGuestBecomesThePersonInPlace(t *testing.T) {
	t.Parallel()
	eachWithWeChat(t, apitest.Options{}, func(t *testing.T, s *apitest.Server, w *stage) {
		guest := signUpGuest(t, s)
		a := s.Post("/sign_in_with/wechat", w.body(w.mini, w.wei), apitest.Bearing(guest.Token()))
		want(t, a, http.StatusOK)
		if a.ID() != guest.ID() || a.Text("username") != guest.Text("username") {
			t.Errorf("got %s, want the guest %d", a.Body, guest.ID())
		}
		wantDead(t, s, guest.Token())

		// The same person in another app of the group, as another guest: that person has a user.
		second := signUpGuest(t, s)
		taken := s.Post("/sign_in_with/wechat", w.body(w.mobile, w.wei), apitest.Bearing(second.Token()))
		wantProblem(t, taken, http.StatusConflict, latchkey.CodeConflict, "uid taken")
		if got := wantAlive(t, s, second.Token()); got.Object["guest"] != true {
			t.Errorf("got %s, want a guest as before", got.Body)
		}
		free := s.Post("/sign_in_with/wechat", w.body(w.website, w.wei), apitest.Bearing(second.Token()))
		want(t, free, http.StatusOK)
		if free.ID() != second.ID() {
			t.Errorf("got user %d, want %d", free.ID(), second.ID())
		}
	})
}
