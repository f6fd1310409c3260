package attack_test

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/ideaegg/latchkey/internal/wechattest"
)

// weChatWorld is a program with WeChat apps, and a WeChat to ask.
type weChatWorld struct {
	*service
	*wechattest.Server
	mobile, mini, stranger wechattest.App // stranger is not the service's
}

// inWeChat returns an arena whose program has WeChat apps.
func (a *arena) inWeChat() (*arena, *weChatWorld) {
	a.Helper()
	if a.weChat == nil {
		w := &weChatWorld{Server: wechattest.NewServer(a.whole, wechattest.Config{})}
		w.mobile = w.AddApp(wechattest.App{Kind: wechattest.Mobile, Group: "ours"})
		w.mini = w.AddApp(wechattest.App{Kind: wechattest.MiniProgram, Group: "ours"})
		w.stranger = w.AddApp(wechattest.App{Kind: wechattest.Mobile})
		apps := fmt.Sprintf(`--wechat-apps=[{"app_id":%q,"secret":%q,"kind":"mobile","group":"ours"},{"app_id":%q,"secret":%q,"kind":"mini_program","group":"ours"}]`,
			w.mobile.ID, w.mobile.Secret, w.mini.ID, w.mini.Secret)
		w.service = a.another(apps, "--wechat-api="+w.URL)
		a.weChat = w
	}
	return &arena{T: a.T, service: a.weChat.service}, a.weChat
}

// weChatAttack tries to be signed in as somebody with WeChat. Body makes the request; victim is a WeChat user who is
// there already, mallory a person who is not. The request must be refused with one of the statuses.
func weChatAttack(name, against string, body func(w *weChatWorld, victim, mallory wechattest.Person) members, statuses ...int) attack {
	return attack{name, against, func(outer *arena) {
		a, w := outer.inWeChat()
		victim, evil := w.AddPerson(wechattest.Person{Nickname: "Victim"}), w.AddPerson(wechattest.Person{Nickname: "Mallory"})
		byCode := func(p wechattest.Person) answer {
			return a.post("/sign_in_with/wechat", members{"app_id": w.mobile.ID, "code": w.Code(w.mobile, p)})
		}
		first := a.must(byCode(victim), http.StatusOK)
		a.makesNobody(func() {
			got := a.post("/sign_in_with/wechat", body(w, victim, evil))
			a.want(got, statuses...)
			if got.token() != "" {
				a.Errorf("got a token, want none: %s", got.body)
			}
		})
		if again := a.must(byCode(victim), http.StatusOK); again.text("id") != first.text("id") {
			a.Errorf("got user %s, want %s", again.text("id"), first.text("id"))
		}
		if own := a.must(byCode(evil), http.StatusOK); own.text("id") == first.text("id") {
			a.Error("got the victim's account for somebody else")
		}
	}}
}

func weChatAttacks() []attack {
	const (
		name    = "CWE-290, CWE-287" // an openid is a name, not a proof
		bound   = "CWE-346, RFC 9700 §4.4"
		replay  = "CWE-294, RFC 6749 §10.5"
		no      = http.StatusUnauthorized
		invalid = http.StatusUnprocessableEntity
	)
	type world = *weChatWorld
	type person = wechattest.Person
	list := []attack{
		weChatAttack("a bare openid of a user", name, func(w world, v, _ person) members {
			return members{"app_id": w.mobile.ID, "uid": w.OpenID(w.mobile, v)}
		}, no),
		weChatAttack("a code and the openid of another", name, func(w world, v, m person) members {
			return members{"app_id": w.mobile.ID, "uid": w.OpenID(w.mobile, v), "code": w.Code(w.mobile, m)}
		}, no),
		weChatAttack("an access token and the openid of another", name, func(w world, v, m person) members {
			return members{"app_id": w.mobile.ID, "uid": w.OpenID(w.mobile, v), "access_token": w.UserToken(w.mobile, m)}
		}, no),
		weChatAttack("an invented access token", name, func(w world, v, _ person) members {
			return members{"app_id": w.mobile.ID, "uid": w.OpenID(w.mobile, v), "access_token": "invented"}
		}, no),
		weChatAttack("an access token for a mini program", bound, func(w world, v, m person) members {
			return members{"app_id": w.mini.ID, "uid": w.OpenID(w.mini, v), "access_token": w.UserToken(w.mobile, m)}
		}, no),
		weChatAttack("the openid as access token", name, func(w world, v, _ person) members {
			return members{"app_id": w.mobile.ID, "uid": w.OpenID(w.mobile, v), "access_token": w.OpenID(w.mobile, v)}
		}, no),
		weChatAttack("an invented code", name, func(w world, _, _ person) members { return members{"app_id": w.mobile.ID, "code": "invented"} }, no),
		weChatAttack("an invented code and the openid of a user", name, func(w world, v, _ person) members {
			return members{"app_id": w.mobile.ID, "code": "invented", "uid": w.OpenID(w.mobile, v)}
		}, no),
		weChatAttack("a code of another app of ours", bound, func(w world, v, _ person) members {
			return members{"app_id": w.mini.ID, "code": w.Code(w.mobile, v)}
		}, no),
		weChatAttack("a code of somebody else's app", bound, func(w world, v, _ person) members {
			return members{"app_id": w.mobile.ID, "code": w.Code(w.stranger, v)}
		}, no),
		weChatAttack("somebody else's app", bound, func(w world, v, _ person) members {
			return members{"app_id": w.stranger.ID, "code": w.Code(w.stranger, v)}
		}, invalid),
		weChatAttack("no app", bound, func(w world, v, _ person) members { return members{"code": w.Code(w.mobile, v)} }, invalid),
		weChatAttack("a phone's code as sign-in", bound, func(w world, _, _ person) members {
			return members{"app_id": w.mini.ID, "code": w.PhoneCode(w.mini, w.AddPerson(person{PhoneNumber: "13800138000"}))}
		}, no, invalid),
		weChatAttack("a code in an array", "ASVS 15.3.5", func(w world, v, _ person) members {
			return members{"app_id": w.mobile.ID, "code": []string{w.Code(w.mobile, v)}}
		}, invalid),
		weChatAttack("a unionid that is only claimed", name, func(w world, v, _ person) members {
			return members{"app_id": w.mobile.ID, "unionid": w.UnionID(w.mobile, v)}
		}, no),
		weChatAttack("a code with more parameters in it", "CWE-88, ASVS 1.2.2", func(w world, v, _ person) members {
			return members{"app_id": w.mobile.ID, "code": "x&openid=" + w.OpenID(w.mobile, v) + "#"}
		}, no),
		weChatAttack("a blocked person's code", "ASVS 6.3.3", func(w world, _, _ person) members {
			blocked := w.AddPerson(wechattest.Person{Blocked: true})
			return members{"app_id": w.mini.ID, "code": w.Code(w.mini, blocked)}
		}, no, http.StatusForbidden),
		{"a code twice", replay, func(outer *arena) {
			a, w := outer.inWeChat()
			code := w.Code(w.mobile, w.AddPerson(wechattest.Person{}))
			body := members{"app_id": w.mobile.ID, "code": code}
			a.must(a.post("/sign_in_with/wechat", body), http.StatusOK)
			a.makesNobody(func() { a.want(a.post("/sign_in_with/wechat", body), no) })
		}},
		{"a code ten times at once", replay, func(outer *arena) {
			a, w := outer.inWeChat()
			before := a.users()
			body := members{"app_id": w.mobile.ID, "code": w.Code(w.mobile, w.AddPerson(wechattest.Person{}))}
			_, count := a.atOnce(10, func(int) answer { return a.post("/sign_in_with/wechat", body) })
			if count[http.StatusOK] != 1 || count[no] != 9 || a.users() != before+1 {
				a.Errorf("got the statuses %v and %d users more, want 200 once, 401 else and one more", count, a.users()-before)
			}
		}},
		{"another's phone number", bound, func(outer *arena) {
			a, w := outer.inWeChat()
			victim, evil := w.AddPerson(wechattest.Person{PhoneNumber: "13800138000"}), w.AddPerson(wechattest.Person{PhoneNumber: "13900139000"})
			a.makesNobody(func() {
				got := a.post("/sign_in_with/wechat", members{"app_id": w.mini.ID, "code": w.Code(w.mini, evil), "phone_code": w.PhoneCode(w.mini, victim)})
				a.want(got, invalid)
			})
			own := a.must(a.post("/sign_in_with/wechat", members{"app_id": w.mini.ID, "code": w.Code(w.mini, evil), "phone_code": w.PhoneCode(w.mini, evil)}), http.StatusOK)
			if !strings.Contains(own.text("phone_number"), "13900139000") {
				a.Errorf("got %s, want the own number", own.body)
			}
		}},
		{"another user's WeChat account is linked", "CWE-639", func(outer *arena) {
			a, w := outer.inWeChat()
			victim := w.AddPerson(wechattest.Person{})
			first := a.must(a.post("/sign_in_with/wechat", members{"app_id": w.mobile.ID, "code": w.Code(w.mobile, victim)}), http.StatusOK)
			p := a.person()
			link := func(app wechattest.App) answer {
				return a.post("/user/identities/wechat", members{"app_id": app.ID, "code": w.Code(app, victim), "current_password": p.password}, bearer(p.token))
			}
			a.want(link(w.mobile), http.StatusConflict)
			a.want(link(w.mini), http.StatusConflict) // the same person, by the unionid
			a.unharmed(p)
			again := a.must(a.post("/sign_in_with/wechat", members{"app_id": w.mobile.ID, "code": w.Code(w.mobile, victim)}), http.StatusOK)
			if again.text("id") != first.text("id") {
				a.Errorf("got user %s, want %s", again.text("id"), first.text("id"))
			}
		}},
		{"an account is linked without the password", "ASVS 7.5.1", func(outer *arena) {
			a, w := outer.inWeChat()
			p := a.person() // who signed in more than ten minutes ago
			a.exec(a.T, "UPDATE sessions SET created_at = created_at - 660000000 WHERE user_id = CAST($1 AS BIGINT)", p.id)
			evil := w.AddPerson(wechattest.Person{})
			for _, password := range []any{nil, "", "wrong password", []string{p.password}} {
				body := members{"app_id": w.mobile.ID, "code": w.Code(w.mobile, evil), "current_password": password}
				a.want(a.post("/user/identities/wechat", body, bearer(p.token)), invalid, http.StatusForbidden)
			}
			a.want(a.post("/user/identities/wechat", members{"app_id": w.mobile.ID, "uid": w.OpenID(w.mobile, evil), "current_password": p.password}, bearer(p.token)), no)
			own := a.must(a.post("/sign_in_with/wechat", members{"app_id": w.mobile.ID, "code": w.Code(w.mobile, evil)}), http.StatusOK)
			if own.text("id") == p.id {
				a.Error("got the victim's account, want another")
			}
			a.unharmed(p)
			friend := w.AddPerson(wechattest.Person{})
			a.want(a.post("/user/identities/wechat", members{"app_id": w.mobile.ID, "code": w.Code(w.mobile, friend), "current_password": p.password}, bearer(p.token)), http.StatusOK)
			back := a.must(a.post("/sign_in_with/wechat", members{"app_id": w.mobile.ID, "code": w.Code(w.mobile, friend)}), http.StatusOK)
			if back.text("id") != p.id {
				a.Errorf("got user %s for the linked account, want %s", back.text("id"), p.id)
			}
		}},
		{"another user's linked account is taken away", "CWE-639, ASVS 8.2.2", func(outer *arena) {
			a, w := outer.inWeChat()
			victim := w.AddPerson(wechattest.Person{})
			first := a.must(a.post("/sign_in_with/wechat", members{"app_id": w.mobile.ID, "code": w.Code(w.mobile, victim)}), http.StatusOK)
			id := query[int64](a.T, a.service, "SELECT MIN(id) FROM identities WHERE user_id = CAST($1 AS BIGINT)", first.text("id"))
			p := a.person()
			a.want(a.do(http.MethodDelete, fmt.Sprint("/user/identities/", id), members{"current_password": p.password}, bearer(p.token)), http.StatusNotFound)
			again := a.must(a.post("/sign_in_with/wechat", members{"app_id": w.mobile.ID, "code": w.Code(w.mobile, victim)}), http.StatusOK)
			if again.text("id") != first.text("id") {
				a.Errorf("got user %s, want %s", again.text("id"), first.text("id"))
			}
		}},
	}
	for _, mode := range []wechattest.Mode{
		wechattest.Empty, wechattest.EmptyObject, wechattest.EmptyArray, wechattest.Null, wechattest.HTML, wechattest.Garbage, wechattest.Huge, wechattest.Redirect, wechattest.Reset, wechattest.ResetBody,
		wechattest.Truncated, wechattest.TwoObjects, wechattest.DoubleMember, wechattest.WrongCase, wechattest.StringErrcode, wechattest.NoOpenID, wechattest.EmptyOpenID, wechattest.NumberOpenID,
		wechattest.ArrayOpenID, wechattest.BadOpenID, wechattest.LongOpenID, wechattest.BadUnionID, wechattest.NumberUnionID, wechattest.Errcode(-1), wechattest.Errcode(45011), wechattest.Hang,
	} {
		list = append(list, attack{"WeChat's answer is " + string(mode), "ASVS 16.5.3, CWE-636", func(outer *arena) {
			a, w := outer.inWeChat()
			p := w.AddPerson(wechattest.Person{})
			body := members{"app_id": w.mobile.ID, "code": w.Code(w.mobile, p)}
			w.Fail(wechattest.PathCode, mode)
			a.Cleanup(func() { w.Heal(wechattest.PathCode) })
			began := time.Now()
			a.makesNobody(func() {
				got := a.once(http.MethodPost, "/sign_in_with/wechat", body)
				a.want(got, http.StatusBadGateway, http.StatusServiceUnavailable)
				if strings.Contains(got.body, w.mobile.Secret) || strings.Contains(got.body, w.URL) {
					a.Errorf("got the app's secret or WeChat's address in %s", got.body)
				}
			})
			if took := time.Since(began); took > 10*time.Second { // 5 s, and as much for the machine
				a.Errorf("got the answer after %v, want it within 5 s", took)
			}
			w.Heal(wechattest.PathCode)
			a.want(a.post("/sign_in_with/wechat", members{"app_id": w.mobile.ID, "code": w.Code(w.mobile, p)}), http.StatusOK)
		}})
	}
	return list
}
