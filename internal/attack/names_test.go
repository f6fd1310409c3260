package attack_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

func nameAttacks() []attack {
	return slices.Concat(usernames(), addresses(), logins(), nameRaces())
}

// signUpAs is a sign-up with a member replaced by raw JSON. It must be refused and create nobody; with the honest member
// it goes through.
func signUpAs(name, against, member, raw string, status int) attack {
	return attack{name, against, func(a *arena) {
		who := newName()
		honest := signUpOf(who)
		good := fmt.Sprintf(`{"username":%q,"email":%q,"password":%q,"password_confirmation":%q}`, who, honest["email"], honest["password"], honest["password"])
		bad := strings.Replace(good, fmt.Sprintf("%q:%q", member, honest[member]), fmt.Sprintf("%q:%s", member, raw), 1)
		if bad == good {
			a.Fatal("got the honest request, want another")
		}
		a.makesNobody(func() { a.want(a.post("/sign_up", bad), status) })
		a.want(a.post("/sign_up", good), http.StatusOK)
	}}
}

func usernames() []attack {
	const (
		allowed   = "ASVS 2.2.1"
		lookAlike = "CWE-1007, UTS #39"
		utf8      = "RFC 8259 §8.1, CWE-176"
	)
	username := func(name, against, raw string) attack {
		return signUpAs("a name "+name, against, "username", raw, http.StatusUnprocessableEntity)
	}
	broken := func(name, against, raw string) attack {
		return signUpAs("a name "+name, against, "username", raw, http.StatusBadRequest)
	}
	return []attack{
		username("in full-width letters", lookAlike, `"ａｄｍｉｎ"`),
		username("with a zero-width space", lookAlike, `"adm\u200bin"`),
		username("with a zero-width joiner", lookAlike, `"adm\u200din"`),
		username("with a zero-width non-joiner", lookAlike, `"adm\u200cin"`),
		username("with a byte order mark", lookAlike, `"\ufeffmallory"`),
		username("with a soft hyphen", lookAlike, `"mal\u00adlory"`),
		username("with an override of direction", "CVE-2021-42574", `"\u202eyrollam"`),
		username("with a Cyrillic letter", lookAlike, `"\u0430dmin"`),
		username("with a Greek letter", lookAlike, `"r\u03bfot"`),
		username("with the Kelvin sign", "Django CVE-2019-19844", `"\u212aelvin"`),
		username("with the long s", "Django CVE-2019-19844", `"\u017fupport"`),
		username("with a dotless i", "Django CVE-2019-19844", `"adm\u0131n"`),
		username("with a dotted capital I", "Django CVE-2019-19844", `"ADM\u0130N"`),
		username("with a combining mark", lookAlike, `"mallo\u0308ry"`),
		username("with a mathematical letter", lookAlike, `"\ud835\udc1a\ud835\udc1b"`),
		username("with a NUL", "CWE-158", `"mallory\u0000"`),
		username("with a NUL in the middle", "CWE-158", `"admin\u0000mallory"`),
		username("with a line feed", "CWE-93, ASVS 16.4.1", `"mallory\nroot"`),
		username("with a carriage return", "CWE-93, ASVS 16.4.1", `"mallory\r"`),
		username("with a tab", allowed, `"mal\tlory"`),
		username("with an escape character", "CWE-150", `"\u001b[31mmallory"`),
		username("with a delete character", allowed, `"mallory\u007f"`),
		username("with a next-line character", allowed, `"mallory\u0085"`),
		username("with a line separator", allowed, `"mallory\u2028"`),
		username("with a space before it", allowed, `" mallory"`),
		username("with a space behind it", allowed, `"mallory "`),
		username("with a no-break space", allowed, `"mal\u00a0lory"`),
		username("of spaces", allowed, `"   "`),
		username("that looks like an address", "CWE-178", `"mallory@example.org"`),
		username("with only an at sign", "CWE-178", `"@@"`),
		username("that is a route", "CWE-183", `"sign_in"`),
		username("that is a route in capitals", "CWE-183", `"Sign_In_With"`),
		username("that is the document", "CWE-183", `"openapi.json"`),
		username("of an administrator", "CWE-183", `"administrator"`),
		username("of the administrator in capitals", "CWE-178", `"ADMIN"`),
		username("of root", "CWE-183", `"root"`),
		username("that is null", "CWE-183", `"null"`),
		username("that is undefined", "CWE-183", `"undefined"`),
		username("that is me", "CWE-183", `"me"`),
		username("that is the folder above", "CWE-22", `".."`),
		username("with a slash", "CWE-22", `"../mallory"`),
		username("with a backslash", "CWE-22", `"..\\mallory"`),
		username("with an escaped slash", "CWE-22", `"mallory%2f"`),
		username("that begins with a dash", "CWE-88", `"-mallory"`),
		username("that begins with a dot", "CWE-22", `".htaccess"`),
		username("with an SQL text", "CWE-89, ASVS 1.2.4", `"a'; DROP TABLE users; --"`),
		username("with a script", "CWE-79, ASVS 1.2.1", `"<script>alert(1)</script>"`),
		username("with a template", "CWE-1336, ASVS 1.3.7", `"{{.Token}}"`),
		username("with a format", "CWE-134, ASVS 1.3.10", `"%s%n%d"`),
		username("with a look-up", "CVE-2021-44228", `"${jndi:ldap://evil.example}"`),
		username("with a formula", "CWE-1236", `"=1+1"`),
		username("of one character", allowed, `"a"`),
		username("of 31 characters", allowed, `"`+strings.Repeat("a", 31)+`"`),
		username("of 10,000 characters", allowed, `"`+strings.Repeat("a", 10_000)+`"`),
		username("of smileys", allowed, `"🐝🐝"`),
		username("in an array", "ASVS 15.3.5", `["mallory"]`),
		username("in an object", "ASVS 15.3.5", `{"$gt":""}`),
		username("that is a number", "ASVS 15.3.5", `12345`),
		username("that is true", "ASVS 15.3.5", `true`),
		username("of JSON's null", "ASVS 15.3.5", `null`),
		broken("with a lone surrogate", utf8, `"mallory\ud800"`),
		broken("with a low surrogate first", utf8, `"\udc00\ud800mallory"`),
		broken("of invalid UTF-8", utf8, "\"mallory\xff\""),
		broken("with an overlong slash", "CVE-2000-0884, RFC 3629 §3", "\"mallory\xc0\xaf\""),
		broken("with a surrogate in UTF-8", "RFC 3629 §3", "\"mallory\xed\xa0\x80\""),
		broken("beyond Unicode", "RFC 3629 §3", "\"mallory\xf4\x90\x80\x80\""),
		broken("with a bare control character", "RFC 8259 §7", "\"mal\x01lory\""),
		broken("with an unknown escape", "RFC 8259 §7", `"mallory\x41"`),
		{"a name that a user has, in other letters", "CWE-178", func(a *arena) {
			p := a.person()
			a.makesNobody(func() {
				for _, name := range []string{p.name, strings.ToUpper(p.name), strings.ToUpper(p.name[:1]) + p.name[1:]} {
					body := signUpOf(newName())
					body["username"] = name
					a.want(a.post("/sign_up", body), http.StatusUnprocessableEntity)
				}
			})
			a.unharmed(p)
		}},
		{"the name of a deleted user", "CWE-694", func(a *arena) {
			p := a.person()
			a.must(a.do(http.MethodDelete, "/user", members{"current_password": p.password}, bearer(p.token)), http.StatusNoContent)
			body := signUpOf(newName())
			honest := body["username"]
			body["username"] = p.name
			a.makesNobody(func() { a.want(a.post("/sign_up", body), http.StatusUnprocessableEntity) })
			body["username"] = honest
			a.want(a.post("/sign_up", body), http.StatusOK)
		}},
		{"the name of a guest", "CWE-178", func(a *arena) {
			guest := a.guest()
			body := signUpOf(guest.name)
			a.makesNobody(func() { a.want(a.post("/sign_up", body), http.StatusUnprocessableEntity) })
			a.alive(guest)
		}},
	}
}

func addresses() []attack {
	const one = "RFC 5321 §4.1.2"
	address := func(name, against, raw string) attack {
		return signUpAs("an address "+name, against, "email", raw, http.StatusUnprocessableEntity)
	}
	long := strings.Repeat("a", 63)
	return []attack{
		address("in quotes", one, `"\"mallory\"@example.org"`),
		address("with a quoted space", one, `"\"mal lory\"@example.org"`),
		address("in an array", "ASVS 15.3.5", `["mallory@example.org"]`),
		address("with a local part of 65 bytes", "RFC 5321 §4.5.3.1.1", `"`+strings.Repeat("a", 65)+`@example.org"`),
		address("of 255 bytes", "RFC 5321 §4.5.3.1.3", `"`+long+"@"+long+"."+long+"."+strings.Repeat("a", 59)+`.org"`),
		address("at a literal", one, `"mallory@[127.0.0.1]"`),
		address("at a number", one, `"mallory@2130706433"`),
		address("at an address of IPv4", one, `"mallory@127.0.0.1"`),
		address("at this host", one, `"mallory@localhost"`),
		address("without a local part", one, `"@example.org"`),
		address("without a domain", one, `"mallory@"`),
		address("with two dots", one, `"mal..lory@example.org"`),
		address("with a dot in front", one, `".mallory@example.org"`),
		address("with letters beyond ASCII before the at sign", "RFC 6531", `"mällory@example.org"`),
		address("with a NUL", "CWE-158", `"mallory@example.org\u0000.evil.example"`),
		address("with a header", "CWE-93, ASVS 1.3.11", `"mallory@example.org\r\nBcc: all@example.org"`),
		address("under the placeholder domain", "CWE-290", `"mallory@ideaegg.me"`),
		address("under the placeholder domain in capitals", "CWE-178", `"mallory@IDEAEGG.ME"`),
		address("under a part of the placeholder domain", "CWE-290", `"mallory@mail.ideaegg.me"`),
		address("under the placeholder domain with a dot behind it", "CWE-290", `"mallory@ideaegg.me."`),
		address("under the placeholder domain in full-width letters", "CWE-178", `"mallory@ｉｄｅａｅｇｇ.me"`),
		address("with an emoji in the domain", "RFC 5892", `"mallory@💩.la"`),
		address("with two scripts in one label", "CWE-1007, UTS #39", `"mallory@p\u0430ypal.com"`),
		address("with an A-label that decodes to nothing", "RFC 5891 §5.4", `"mallory@xn--a.com"`),
		{"an address that a user has, in other letters", "CWE-178", func(a *arena) {
			p := a.person()
			a.makesNobody(func() {
				for _, address := range []string{p.address, strings.ToUpper(p.address), strings.ToUpper(p.name) + "@example.org", p.name + "@Example.ORG"} {
					body := signUpOf(newName())
					body["email"] = address
					a.want(a.post("/sign_up", body), http.StatusUnprocessableEntity)
				}
			})
			a.unharmed(p)
		}},
		{"a domain and its A-label", "CWE-178, RFC 5891", func(a *arena) {
			name := newName()
			first := signUpOf(name)
			first["email"] = name + "@bücher.example"
			a.must(a.post("/sign_up", first), http.StatusOK)
			a.makesNobody(func() {
				for _, domain := range []string{"xn--bcher-kva.example", "XN--BCHER-KVA.example", "BÜCHER.example", "bu\u0308cher.example"} {
					again := signUpOf(newName())
					again["email"] = name + "@" + domain
					a.want(a.post("/sign_up", again), http.StatusUnprocessableEntity)
				}
			})
			a.want(a.signIn(name+"@xn--bcher-kva.example", personsPassword+name), http.StatusOK)
		}},
		{"a tag makes another address, which gets nothing of the first", "CWE-178", func(a *arena) {
			p := a.person()
			body := signUpOf(newName())
			body["email"] = p.name + "+tag@example.org"
			got := a.must(a.post("/sign_up", body), http.StatusOK)
			if got.text("id") == p.id {
				a.Error("got the other user, want another")
			}
			a.unharmed(p)
		}},
		{"a WeChat user at somebody else's address", "CWE-290", func(a *arena) {
			p := a.person()
			a.makesNobody(func() {
				for _, address := range []string{p.address, strings.ToUpper(p.address)} {
					a.want(a.post("/sign_in_with/wechat", members{"uid": "at-anothers-" + p.name, "email": address}, "Latchkey-Server-Key: "+serverKey), http.StatusUnprocessableEntity)
				}
			})
			a.unharmed(p)
			a.fan("at-anothers-" + p.name)
		}},
		{"a WeChat user at another's placeholder address", "CWE-290", func(a *arena) {
			guest := a.guest()
			uid := "placeholder-of-" + guest.name
			a.makesNobody(func() {
				for _, body := range []members{
					{"uid": uid, "email": guest.address},
					{"uid": uid, "username": newName(), "email": guest.address},
					{"uid": uid, "username": guest.name, "email": guest.address},
				} {
					a.want(a.post("/sign_in_with/wechat", body, "Latchkey-Server-Key: "+serverKey), http.StatusUnprocessableEntity)
				}
			})
			a.alive(guest)
			a.fan(uid)
		}},
	}
}

// logins sign in with what only looks like a login.
func logins() []attack {
	login := func(name, against string, write func(p person) any, status int) attack {
		return attack{"a login " + name, against, func(a *arena) {
			p := a.regularPerson()
			a.want(a.post("/sign_in", members{"login": write(p), "password": p.password}), status)
			a.unharmed(p)
		}}
	}
	const unauthorized, invalid = http.StatusUnauthorized, http.StatusUnprocessableEntity
	return []attack{
		login("in an array", "ASVS 15.3.5", func(p person) any { return []string{p.name} }, invalid),
		login("in an object", "CWE-943", func(person) any { return members{"$ne": nil} }, invalid),
		login("that is true", "ASVS 15.3.5", func(person) any { return true }, invalid),
		login("that is the user's number", "ASVS 15.3.5", func(p person) any { return p.id }, unauthorized),
		login("with a space behind it", "CWE-178", func(p person) any { return p.name + " " }, unauthorized),
		login("with a NUL behind it", "CWE-158", func(p person) any { return p.name + "\x00" }, unauthorized),
		login("in full-width letters", "CWE-178", func(p person) any { return wide(p.name) }, unauthorized),
		login("with a zero-width space", "CWE-178", func(p person) any { return p.name + "\u200b" }, unauthorized),
		login("with a pattern", "CWE-89, ASVS 1.2.4", func(p person) any { return p.name[:4] + "%" }, unauthorized),
		login("with an SQL text", "CWE-89, ASVS 1.2.4", func(p person) any { return p.name + "' --" }, unauthorized),
		login("that is an address with a display name", "RFC 5321 §4.1.2", func(p person) any { return "x <" + p.address + ">" }, unauthorized),
		login("that is a path", "CWE-22", func(p person) any { return "../" + p.name }, unauthorized),
		login("that is the name at the placeholder domain", "CWE-290", func(p person) any { return p.name + "@ideaegg.me" }, unauthorized),
		{"a login in capitals is the same user", "CWE-178", func(a *arena) {
			p := a.person()
			for _, spelling := range []string{strings.ToUpper(p.name), strings.ToUpper(p.address)} {
				if got := a.must(a.signIn(spelling, p.password), http.StatusOK); got.text("id") != p.id {
					a.Errorf("got user %s for %s, want %s", got.text("id"), spelling, p.id)
				}
			}
		}},
	}
}

func nameRaces() []attack {
	const race = "CWE-362, ASVS 15.4.2"
	// oneWinner runs n requests at once, of which one may succeed and create one user.
	oneWinner := func(a *arena, n int, request func(i int) answer) {
		a.Helper()
		before := a.users()
		_, count := a.atOnce(n, request)
		if count[http.StatusOK] != 1 || count[http.StatusUnprocessableEntity] != n-1 || a.users() != before+1 {
			a.Errorf("got the statuses %v and %d users more, want 200 once and 422 else", count, a.users()-before)
		}
	}
	spelled := func(s string, i int) string { // another spelling for every i
		b := []byte(s)
		for at := range b {
			if i>>at&1 == 1 && 'a' <= b[at] && b[at] <= 'z' {
				b[at] -= 'a' - 'A'
			}
		}
		return string(b)
	}
	return []attack{
		{"sixteen spellings of one name at once", race, func(a *arena) {
			name := newName()
			oneWinner(a, 16, func(i int) answer {
				body := signUpOf(name + fmt.Sprint("x", i))
				body["username"] = spelled(name, i)
				return a.post("/sign_up", body)
			})
		}},
		{"sixteen spellings of one address at once", race, func(a *arena) {
			address := newName() + "@example.org"
			oneWinner(a, 16, func(i int) answer {
				body := signUpOf(newName())
				body["email"] = spelled(address, i)
				return a.post("/sign_up", body)
			})
		}},
		{"one WeChat user sixteen times at once", race, func(a *arena) {
			uid := "at-once-" + newName()
			before := a.users()
			answers, count := a.atOnce(16, func(int) answer {
				return a.post("/sign_in_with/wechat", members{"uid": uid}, "Latchkey-Server-Key: "+serverKey)
			})
			ids := make(map[string]bool)
			for _, got := range answers {
				ids[got.text("id")] = true
			}
			if count[http.StatusOK] != 16 || len(ids) != 1 || a.users() != before+1 {
				a.Errorf("got the statuses %v for %d users, want 200 for one", count, len(ids))
			}
		}},
		{"sixteen WeChat users take one name at once", race, func(a *arena) {
			name := newName()
			oneWinner(a, 16, func(i int) answer {
				return a.post("/sign_in_with/wechat", members{"uid": fmt.Sprint(name, "-", i), "username": name}, "Latchkey-Server-Key: "+serverKey)
			})
		}},
		{"a guest becomes sixteen users at once", race, func(a *arena) {
			guest := a.guest()
			before := a.users()
			_, count := a.atOnce(16, func(int) answer { return a.post("/sign_up", signUpOf(newName()), bearer(guest.token)) })
			if count[http.StatusOK] != 1 || count[http.StatusUnauthorized] != 15 || a.users() != before {
				a.Errorf("got the statuses %v and %d users more, want 200 once, 401 else and nobody new", count, a.users()-before)
			}
			a.dead(guest.token)
		}},
		{"two guests become one name at once", race, func(a *arena) {
			guests := []person{a.guest(), a.guest()}
			name := newName()
			_, count := a.atOnce(2, func(i int) answer {
				body := signUpOf(name)
				body["email"] = newName() + "@example.org"
				return a.post("/sign_up", body, bearer(guests[i].token))
			})
			if count[http.StatusOK] != 1 || count[http.StatusUnprocessableEntity] != 1 {
				a.Errorf("got the statuses %v, want 200 and 422", count)
			}
			left := 0
			for _, guest := range guests {
				if got := a.get("/user", bearer(guest.token)); got.status == http.StatusOK && got.text("guest") == "true" && got.text("username") == guest.name {
					left++
				}
			}
			if left != 1 {
				a.Errorf("got %d guests as they were, want one", left)
			}
		}},
		{"two users move to one address at once", race, func(a *arena) {
			people := []person{a.person(), a.person()}
			address := "both." + people[0].address
			var tokens []string
			for _, p := range people {
				a.must(a.put("/user/email", members{"email": address, "current_password": p.password}, bearer(p.token)), http.StatusAccepted)
				list := a.mail(address, verifyPage)
				tokens = append(tokens, list[len(list)-1].token)
			}
			_, count := a.atOnce(2, func(i int) answer { return a.post(verifyPage, form("token", tokens[i]), formType) })
			if count[http.StatusSeeOther] != 1 || count[http.StatusUnprocessableEntity] != 1 {
				a.Errorf("got the statuses %v, want 303 and 422", count)
			}
			if n := query[int64](a.T, a.service, "SELECT COUNT(*) FROM users WHERE email_key = $1", address); n != 1 {
				a.Errorf("got the address %d times, want once", n)
			}
		}},
	}
}
