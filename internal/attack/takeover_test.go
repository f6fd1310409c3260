package attack_test

import (
	"net/http"
	"strings"
)

// takeoverAttacks prepare an account for a victim who comes later, or hand theirs over. The classes of pre-hijacking are
// those of Sudhodanan and Paverd, "Pre-hijacked accounts", USENIX Security 2022.
func takeoverAttacks() []attack {
	const prehijack = "pre-hijacking (USENIX Security 2022), CWE-287"
	return []attack{
		{"a stranger registers the victim's address and keeps the password", prehijack, func(a *arena) {
			p := a.person() // whose address belongs to somebody else
			a.works(p, a.resetMail(p))
		}},
		{"a stranger registers the victim's address and keeps a session", prehijack, func(a *arena) {
			p := a.person()
			another := a.must(a.signIn(p.name, p.password), http.StatusOK).token()
			a.works(p, a.resetMail(p))
			a.dead(p.token)
			a.dead(another)
		}},
		{"a stranger registers the victim's address and leaves a change of address pending", prehijack, func(a *arena) {
			p := a.person()
			address := "stranger." + p.address
			a.must(a.put("/user/email", members{"email": address, "current_password": p.password}, bearer(p.token)), http.StatusAccepted)
			pending := a.newest(address, verifyPage)
			a.works(p, a.resetMail(p))
			a.want(a.post(verifyPage, form("token", pending.token), formType), http.StatusUnprocessableEntity)
			a.mailsNobody(func() { a.want(a.post("/reset_password", members{"email": address}), http.StatusNoContent) })
		}},
		{"a stranger registers the victim's address and asks for resets in advance", prehijack, func(a *arena) {
			p := a.person()
			early := a.resetMail(p)
			a.works(p, a.resetMail(p))
			a.want(a.put("/reset_password", resetWith(early.token, chosen)), http.StatusUnprocessableEntity)
		}},
		{"a stranger registers the victim's address before a WeChat sign-in with it", prehijack, func(a *arena) {
			p := a.person()
			a.makesNobody(func() {
				a.want(a.post("/sign_in_with/wechat", members{"uid": "owner-of-" + p.name, "email": p.address}, "Latchkey-Server-Key: "+serverKey), http.StatusUnprocessableEntity)
			})
			victim := a.fan("owner-of-" + p.name)
			if victim.id == p.id {
				a.Error("got the stranger's account, want another")
			}
			a.unharmed(p)
		}},
		{"a stranger signs up first with the victim's address, where it must be proved", prehijack, func(outer *arena) {
			a := outer.strict()
			name := newName()
			stranger, victim := signUpOf(name), signUpOf(name)
			stranger["password"], stranger["password_confirmation"] = "password of the stranger", "password of the stranger"
			for range 3 { // all the mails that the address gets within an hour
				a.must(a.post("/sign_up", stranger), http.StatusAccepted)
			}
			address := name + "@example.org"
			mails := a.mail(address, confirmPage)
			a.must(a.post("/sign_up", victim), http.StatusAccepted)
			if after := a.mail(address, confirmPage); len(mails) != 3 || len(after) != 3 {
				a.Fatalf("got %d mails and then %d, want 3", len(mails), len(after))
			}
			a.makesNobody(func() {
				for _, m := range mails {
					a.want(a.post("/sign_up/confirm", members{"token": m.token, "password": victim["password"]}), http.StatusUnprocessableEntity)
					a.want(a.post("/sign_up/confirm", members{"token": m.token}), http.StatusUnprocessableEntity)
					a.want(a.post("/sign_up/confirm", members{"email": address, "code": m.code, "password": victim["password"]}), http.StatusUnprocessableEntity)
					a.want(a.post(confirmPage, form("token", m.token), formType), http.StatusUnprocessableEntity)
				}
			})
			a.want(a.signIn(name, "password of the stranger"), http.StatusUnauthorized)
		}},
		{"an address that is not proved counts as not proved", "ASVS 6.4.3, CWE-345", func(a *arena) {
			p := a.person()
			proved := func() string { return a.get("/user", bearer(p.token)).text("email_verified") }
			for _, try := range []func() answer{
				func() answer { return a.post(verifyPage, form("token", ""), formType) },
				func() answer { return a.post(verifyPage, form("token", p.token), formType) },
				func() answer {
					return a.post("/user/email/verify", members{"code": "00000000", "email_verified": true}, bearer(p.token))
				},
				func() answer { return a.post("/user/email/verify", members{"code": nil}, bearer(p.token)) },
			} {
				a.want(try(), http.StatusUnprocessableEntity)
			}
			a.want(a.put("/user", members{"email_verified": true, "email_verified_at": 1}, bearer(p.token)), http.StatusOK)
			if got := proved(); got != "false" {
				a.Errorf("got email_verified %s, want false", got)
			}
			a.must(a.post(verifyPage, form("token", a.newest(p.address, verifyPage).token), formType), http.StatusSeeOther)
			if got := proved(); got != "true" {
				a.Errorf("got email_verified %s, want true", got)
			}
		}},
		{"a pending change reserves no address", "CWE-694", func(a *arena) {
			p := a.person()
			name := newName()
			wanted := name + "@example.org"
			a.must(a.put("/user/email", members{"email": wanted, "current_password": p.password}, bearer(p.token)), http.StatusAccepted)
			pending := a.newest(wanted, verifyPage)
			a.want(a.signIn(wanted, p.password), http.StatusUnauthorized)
			victim := a.must(a.post("/sign_up", signUpOf(name)), http.StatusOK)
			a.want(a.post(verifyPage, form("token", pending.token), formType), http.StatusUnprocessableEntity)
			a.unharmed(p)
			a.unharmed(person{victim.text("id"), name, wanted, personsPassword + name, victim.token()})
		}},
		{"a change of address without the password", "ASVS 7.5.1", func(a *arena) {
			p := a.person()
			address := "stolen." + p.address
			a.mailsNobody(func() {
				for _, body := range []members{
					{"email": address},
					{"email": address, "current_password": ""},
					{"email": address, "current_password": nil},
					{"email": address, "current_password": "wrong password"},
					{"email": address, "current_password": []string{p.password}},
					{"email": address, "password": p.password},
					{"email": []string{address}, "current_password": p.password},
				} {
					a.want(a.put("/user/email", body, bearer(p.token)), http.StatusUnprocessableEntity)
				}
			})
			a.unharmed(p)
			a.want(a.put("/user/email", members{"email": address, "current_password": p.password}, bearer(p.token)), http.StatusAccepted)
		}},
		{"a change to an address that somebody has", "CWE-290", func(a *arena) {
			p, victim := a.person(), a.person()
			a.mailsNobody(func() {
				for _, address := range []string{victim.address, strings.ToUpper(victim.address), "x@ideaegg.me", "x@mail.ideaegg.me"} {
					a.want(a.put("/user/email", members{"email": address, "current_password": p.password}, bearer(p.token)), http.StatusUnprocessableEntity)
				}
			})
			a.unharmed(victim)
			a.unharmed(p)
		}},
		{"the owner undoes a thief's change of address", "ASVS 6.3.6", func(a *arena) {
			p := a.person()
			address := "thief." + p.address
			a.must(a.put("/user/email", members{"email": address, "current_password": p.password}, bearer(p.token)), http.StatusAccepted)
			a.must(a.post(verifyPage, form("token", a.newest(address, verifyPage).token), formType), http.StatusSeeOther)
			undo := a.newest(p.address, undoPage)
			if strings.Contains(undo.text, address) {
				a.Errorf("got the thief's whole address in the notice: %s", undo.text)
			}
			a.makesNobody(func() { // the old address is held meanwhile
				body := signUpOf(newName())
				body["email"] = p.address
				a.want(a.post("/sign_up", body), http.StatusUnprocessableEntity)
			})
			a.must(a.post(undoPage, form("token", undo.token), formType), http.StatusSeeOther)
			a.dead(p.token)
			a.want(a.post(undoPage, form("token", undo.token), formType), http.StatusUnprocessableEntity)
			a.mailsNobody(func() { a.want(a.post("/reset_password", members{"email": address}), http.StatusNoContent) })
			a.works(p, a.resetMail(p))
		}},
		{"the token of an undo opens nothing else", "ASVS 6.6.2", func(a *arena) {
			p := a.person()
			address := "moved." + p.address
			a.must(a.put("/user/email", members{"email": address, "current_password": p.password}, bearer(p.token)), http.StatusAccepted)
			a.must(a.post(verifyPage, form("token", a.newest(address, verifyPage).token), formType), http.StatusSeeOther)
			undo := a.newest(p.address, undoPage)
			a.want(a.put("/reset_password", resetWith(undo.token, chosen)), http.StatusUnprocessableEntity)
			a.want(a.post(verifyPage, form("token", undo.token), formType), http.StatusUnprocessableEntity)
			a.dead(undo.token)
			p.address = address
			a.unharmed(p)
		}},
		{"an attacker's guest session, handed to the victim", "CWE-384, ASVS 7.2.4", func(a *arena) {
			guest := a.guest() // made by the attacker, who knows its token
			name := newName()
			got := a.must(a.post("/sign_up", signUpOf(name), bearer(guest.token)), http.StatusOK)
			if got.text("id") != guest.id || got.token() == guest.token {
				a.Errorf("got user %s, want guest %s with a new token", got.text("id"), guest.id)
			}
			a.dead(guest.token)
			a.unharmed(person{guest.id, name, name + "@example.org", personsPassword + name, got.token()})
		}},
		{"a sign-in with an attacker's token in the request", "CWE-384, ASVS 7.2.4", func(a *arena) {
			attacker, victim := a.person(), a.person()
			got := a.must(a.post("/sign_in", members{"login": victim.name, "password": victim.password, "private_token": attacker.token}, bearer(attacker.token)), http.StatusOK)
			if got.text("id") != victim.id || got.token() == attacker.token || got.token() == victim.token {
				a.Errorf("got %s, want a session of the victim's own", got.body)
			}
			a.alive(attacker)
		}},
		{"a sign-up with the token of a full user", "CWE-639", func(a *arena) {
			p := a.person()
			name := newName()
			got := a.must(a.post("/sign_up", signUpOf(name), bearer(p.token)), http.StatusOK)
			if got.text("id") == p.id {
				a.Error("got the same user, want another")
			}
			a.unharmed(p)
		}},
		{"a sign-up with a bad token", "ASVS 7.2.1", func(a *arena) {
			p := a.person()
			body := signUpOf(newName())
			a.makesNobody(func() {
				for _, token := range []string{"x", p.token[:51] + other(p.token[51]), "null"} {
					a.want(a.post("/sign_up", body, bearer(token)), http.StatusUnauthorized)
				}
			})
			a.want(a.post("/sign_up", body), http.StatusOK)
		}},
		{"a bare openid", "CWE-290, CWE-287", func(a *arena) {
			fan := a.fan("known-" + newName())
			uid := "known-" + newName()
			a.makesNobody(func() {
				a.want(a.post("/sign_in_with/wechat", members{"uid": uid}), http.StatusUnauthorized)
				a.want(a.post("/sign_in_with/wechat", members{}), http.StatusUnauthorized, http.StatusUnprocessableEntity)
			})
			a.alive(fan)
			a.fan(uid)
		}},
		{"an openid with a forged key of a server", "CWE-287", func(a *arena) {
			uid := "forged-" + newName()
			a.makesNobody(func() {
				for _, headers := range [][]string{
					{"Latchkey-Server-Key: " + serverKey + "x"},
					{"Latchkey-Server-Key: " + serverKey[:20]},
					{"Latchkey-Server-Key: " + strings.ToUpper(serverKey)},
					{"Latchkey-Server-Key: wrong", "Latchkey-Server-Key: " + serverKey},
					{"Latchkey-Server-Key: " + serverKey, "Latchkey-Server-Key: " + serverKey},
					{"Authorization: Bearer " + serverKey},
					{"X-Latchkey-Server-Key: " + serverKey},
				} {
					a.want(a.post("/sign_in_with/wechat", members{"uid": uid}, headers...), http.StatusUnauthorized)
				}
				a.want(a.post("/sign_in_with/wechat?server_key="+serverKey, members{"uid": uid, "server_key": serverKey}), http.StatusUnauthorized)
			})
			a.fan(uid)
		}},
		{"an openid that is none", "ASVS 2.2.1", func(a *arena) {
			a.makesNobody(func() {
				for _, uid := range []any{"", "a b", "a\x00b", "%", "x' OR '1'='1", strings.Repeat("a", 129), []string{"a"}, 1, nil, true, members{"$ne": ""}, "ｏｐｅｎｉｄ"} {
					a.want(a.post("/sign_in_with/wechat", members{"uid": uid}, "Latchkey-Server-Key: "+serverKey), http.StatusUnprocessableEntity)
				}
			})
			a.fan("ordinary-" + newName())
		}},
		{"another provider in the path", "ASVS 2.2.1", func(a *arena) {
			uid := "provider-" + newName()
			a.makesNobody(func() {
				for _, provider := range []string{"WECHAT", "wechat%00", "wechat%20", "alipay", "..", "wechat;x=1", "%77echat%2f"} {
					got := a.post("/sign_in_with/"+provider, members{"uid": uid}, "Latchkey-Server-Key: "+serverKey)
					a.want(got, http.StatusUnprocessableEntity, http.StatusNotFound, http.StatusMovedPermanently)
				}
			})
			a.fan(uid)
		}},
		{"a guest takes a WeChat user's openid", "CWE-639", func(a *arena) {
			uid := "owned-" + newName()
			owner := a.fan(uid)
			guest := a.guest()
			a.want(a.post("/sign_in_with/wechat", members{"uid": uid}, bearer(guest.token), "Latchkey-Server-Key: "+serverKey), http.StatusConflict)
			a.alive(owner)
			a.alive(guest)
			if again := a.fan(uid); again.id != owner.id {
				a.Errorf("got user %s, want %s", again.id, owner.id)
			}
		}},
		{"a guest takes the name or address of a user", "CWE-639", func(a *arena) {
			victim, guest := a.person(), a.guest()
			for _, body := range []members{signUpOf(victim.name), {
				"username": newName(), "email": strings.ToUpper(victim.address), "password": chosen, "password_confirmation": chosen,
			}} {
				a.want(a.post("/sign_up", body, bearer(guest.token)), http.StatusUnprocessableEntity)
			}
			a.want(a.post("/sign_in_with/wechat", members{"uid": "new-" + victim.name, "username": victim.name}, bearer(guest.token), "Latchkey-Server-Key: "+serverKey), http.StatusUnprocessableEntity)
			a.alive(guest)
			a.unharmed(victim)
		}},
		{"a later WeChat sign-in changes no profile", "ASVS 15.3.3", func(a *arena) {
			uid := "profile-" + newName()
			fan := a.fan(uid)
			got := a.must(a.post("/sign_in_with/wechat", members{
				"uid": uid, "username": newName(), "email": mallory, "fullname": "Mallory", "avatar": "https://evil.example/a.png", "phone_number": "10086",
			}, "Latchkey-Server-Key: "+serverKey), http.StatusOK)
			if got.text("username") != fan.name || got.text("email") != fan.address || got.text("fullname") != fan.name || got.text("avatar") != "" {
				a.Errorf("got %s, want the profile as it was", got.body)
			}
		}},
		{"a change of password without the old one", "ASVS 6.2.3", func(a *arena) {
			p := a.person()
			for _, current := range []any{nil, "", "wrong password", []string{p.password}, true, members{}} {
				a.want(a.put("/user/password", members{"current_password": current, "password": chosen, "password_confirmation": chosen}, bearer(p.token)), http.StatusUnprocessableEntity)
			}
			a.want(a.signIn(p.name, chosen), http.StatusUnauthorized)
			a.unharmed(p)
			a.want(a.put("/user/password", members{"current_password": p.password, "password": chosen, "password_confirmation": chosen}, bearer(p.token)), http.StatusOK)
		}},
		{"a deletion without the password", "ASVS 7.5.3", func(a *arena) {
			p := a.person()
			for _, body := range []any{nil, members{}, members{"current_password": ""}, members{"current_password": "wrong password"}, members{"password": p.password}} {
				a.want(a.do(http.MethodDelete, "/user", body, bearer(p.token)), http.StatusUnprocessableEntity)
			}
			a.unharmed(p)
			a.want(a.do(http.MethodDelete, "/user", members{"current_password": p.password}, bearer(p.token)), http.StatusNoContent)
		}},
	}
}

// strict returns an arena whose program creates nobody before the address is proved. Its limits are on, and each request
// comes from an address of its own.
func (a *arena) strict() *arena {
	a.Helper()
	return &arena{T: a.T, service: a.another("--sign-up=verify-first", "--rate-limits=on", "--trusted-proxies=127.0.0.0/8"), crowd: true}
}
