package attack_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// mallory is the address of whoever attacks.
const mallory = "mallory@evil.example"

// chosen is the password that attackers try to set.
const chosen = "mallory's own choice"

func resetAttacks() []attack {
	return slices.Concat(resetAddresses(), resetHeaders(), resetTokens(), resetCodes(), resetSteps(), resetEnds())
}

// resetAddress is a request for a reset of the user whose address stands for %s. It must be answered with the status, and
// with a mail to exactly that user or to nobody.
func resetAddress(name, against, body string, status int, mailed bool) attack {
	return attack{name, against, func(a *arena) {
		p := a.regularPerson()
		before := len(a.allMail())
		a.want(a.post("/reset_password", strings.ReplaceAll(body, "%s", p.address)), status)
		list := a.allMail()[before:]
		switch {
		case mailed && (len(list) != 1 || list[0].to != p.address):
			a.Errorf("got mail %v, want one to %s", list, p.address)
		case !mailed && len(list) != 0:
			a.Errorf("got a mail to %s, want none", list[0].to)
		}
		a.unharmed(p)
		a.opens(a.resetMail(p))
	}}
}

func resetAddresses() []attack {
	const (
		gitlab   = "GitLab CVE-2023-7028"
		django   = "Django CVE-2019-19844"
		types    = "ASVS 15.3.5"
		headers  = "ASVS 1.3.11, CWE-93"
		one      = "RFC 5321 §4.1.2"
		strict   = "RFC 8259 §4"
		no, mail = false, true
	)
	return []attack{
		resetAddress("two addresses in an array", gitlab, `{"email":["%s","`+mallory+`"]}`, 422, no),
		resetAddress("the attacker's address first in an array", gitlab, `{"email":["`+mallory+`","%s"]}`, 422, no),
		resetAddress("one address in an array", gitlab, `{"email":["%s"]}`, 422, no),
		resetAddress("an array in an array", gitlab, `{"email":[["%s","`+mallory+`"]]}`, 422, no),
		resetAddress("an object of addresses", gitlab, `{"email":{"0":"%s","1":"`+mallory+`"}}`, 422, no),
		resetAddress("an object with the address", types, `{"email":{"email":"%s"}}`, 422, no),
		resetAddress("an operator of a query language", "CWE-943", `{"email":{"$ne":"%s"}}`, 422, no),
		resetAddress("a number as address", types, `{"email":1}`, 422, no),
		resetAddress("true as address", types, `{"email":true}`, 422, no),
		resetAddress("null as address", types, `{"email":null}`, 422, no),
		resetAddress("no address", types, `{}`, 422, no),
		resetAddress("an empty address", types, `{"email":""}`, 422, no),
		resetAddress("a list with commas", gitlab, `{"email":"%s,`+mallory+`"}`, 422, no),
		resetAddress("a list with semicolons", gitlab, `{"email":"%s;`+mallory+`"}`, 422, no),
		resetAddress("a list with spaces", gitlab, `{"email":"%s `+mallory+`"}`, 422, no),
		resetAddress("a list with a bar", gitlab, `{"email":"%s|`+mallory+`"}`, 422, no),
		resetAddress("a header behind a line break", headers, `{"email":"%s\r\nBcc: `+mallory+`"}`, 422, no),
		resetAddress("a header behind a line feed", headers, `{"email":"%s\nCc: `+mallory+`"}`, 422, no),
		resetAddress("a header behind a line break that is escaped", headers, `{"email":"%s%0d%0aBcc:`+mallory+`"}`, 422, no),
		resetAddress("an SMTP command behind the address", headers, `{"email":"%s>\r\nRCPT TO:<`+mallory+`"}`, 422, no),
		resetAddress("a display name before the address", one, `{"email":"\"`+mallory+`\" <%s>"}`, 422, no),
		resetAddress("the address as the display name of another", one, `{"email":"%s <`+mallory+`>"}`, 422, no),
		resetAddress("angle brackets", one, `{"email":"<%s>"}`, 422, no),
		resetAddress("a source route", "RFC 5321 §3.6.1", `{"email":"@evil.example:%s"}`, 422, no),
		resetAddress("a comment in the address", "RFC 5322 §3.2.2", `{"email":"(x)%s"}`, 422, no),
		resetAddress("a NUL behind the address", "CWE-158", `{"email":"%s\u0000@evil.example"}`, 422, no),
		resetAddress("a NUL at the end", "CWE-158", `{"email":"%s\u0000"}`, 422, no),
		resetAddress("a space before the address", one, `{"email":" %s"}`, 422, no),
		resetAddress("a tab behind the address", one, `{"email":"%s\t"}`, 422, no),
		resetAddress("two at signs", one, `{"email":"%s@evil.example"}`, 422, no),
		resetAddress("a dot at the end of the domain", one, `{"email":"%s."}`, 422, no),
		resetAddress("a mailto link", one, `{"email":"mailto:%s?cc=`+mallory+`"}`, 422, no),
		resetAddress("a percent hack", one, `{"email":"person%example.org@evil.example"}`, 204, no),
		resetAddress("a bang path", one, `{"email":"evil.example!%s"}`, 204, no),
		resetAddress("a pattern for every address", "CWE-89", `{"email":"%@example.org"}`, 204, no),
		resetAddress("an end of an SQL text", "CWE-89, ASVS 1.2.4", `{"email":"%s' OR '1'='1"}`, 422, no),
		resetAddress("an SQL text that is an address", "CWE-89, ASVS 1.2.4", `{"email":"'or'1'='1@example.org"}`, 204, no),
		resetAddress("a tag behind the address", one, `{"email":"person+x@example.org"}`, 204, no),
		resetAddress("a zero-width space in the address", django, `{"email":"\u200b%s"}`, 422, no),
		resetAddress("a soft hyphen in the address", django, `{"email":"\u00ad%s"}`, 422, no),
		resetAddress("a full-width at sign", django, `{"email":"person＠example.org"}`, 422, no),
		resetAddress("a full-width full stop in the domain", django, `{"email":"person@example．org"}`, 422, no),
		resetAddress("an ideographic full stop in the domain", django, `{"email":"person@example。org"}`, 422, no),
		resetAddress("a letter of another script in the domain", django, `{"email":"person@ex\u0430mple.org"}`, 422, no),
		resetAddress("that letter as an A-label", django, `{"email":"person@xn--exmple-4nf.org"}`, 422, no),
		resetAddress("two members of one name", strict, `{"email":"%s","email":"`+mallory+`"}`, 400, no),
		resetAddress("two members of one name, one escaped", strict, `{"email":"%s","\u0065mail":"`+mallory+`"}`, 400, no),
		resetAddress("a second member in capitals", strict, `{"email":"%s","Email":"`+mallory+`"}`, 400, no),
		resetAddress("a second object behind the first", strict, `{"email":"%s"}{"email":"`+mallory+`"}`, 400, no),
		resetAddress("another member with another address", "ASVS 15.3.3",
			`{"email":"%s","to":"`+mallory+`","cc":"`+mallory+`","emails":["`+mallory+`"],"recipient":"`+mallory+`","user_id":1,"new_email":"`+mallory+`"}`, 204, mail),
		{"the address in capitals is mailed as it is stored", django, func(a *arena) {
			p := a.person()
			before := len(a.allMail())
			a.want(a.post("/reset_password", members{"email": strings.ToUpper(p.address)}), http.StatusNoContent)
			list := a.allMail()[before:]
			if len(list) != 1 || list[0].to != p.address {
				a.Fatalf("got mail %v, want one to %s", list, p.address)
			}
			a.works(p, list[0])
		}},
		{"a letter that becomes another in lower case", django, func(a *arena) {
			// The Kelvin sign, the long s and the dotless i fold to k, s and i.
			name := "kisk" + newName()
			got := a.must(a.post("/sign_up", signUpOf(name)), http.StatusOK)
			p := person{got.text("id"), name, name + "@example.org", personsPassword + name, got.token()}
			a.mailsNobody(func() {
				for _, spelling := range []string{"\u212aisk", "k\u0131sk", "ki\u017fk", "K\u0130SK"} {
					typed := strings.Replace(p.address, "kisk", spelling, 1)
					a.want(a.post("/reset_password", members{"email": typed}), http.StatusUnprocessableEntity)
					a.want(a.signIn(typed, p.password), http.StatusUnauthorized)
				}
			})
			a.works(p, a.resetMail(p))
		}},
		{"an address of 100 KB", "CWE-1284", func(a *arena) {
			a.want(a.post("/reset_password", members{"email": strings.Repeat("a", 100_000) + "@example.org"}), http.StatusRequestEntityTooLarge)
			a.want(a.post("/reset_password", members{"email": strings.Repeat("a", 15_000) + "@example.org"}), http.StatusUnprocessableEntity)
			a.resetMail(a.person())
		}},
		{"a form with an array of addresses", gitlab, func(a *arena) {
			p := a.person()
			a.mailsNobody(func() {
				body := "email[]=" + p.address + "&email[]=" + mallory
				a.want(a.post("/reset_password", body, "Content-Type: application/x-www-form-urlencoded"), http.StatusUnsupportedMediaType)
				a.want(a.post("/account/forgot_password", body, "Content-Type: application/x-www-form-urlencoded"), http.StatusBadRequest)
				twice := "email=" + p.address + "&email=" + mallory
				a.want(a.post("/account/forgot_password", twice, "Content-Type: application/x-www-form-urlencoded"), http.StatusBadRequest)
			})
			a.want(a.post("/account/forgot_password", "email="+p.address, "Content-Type: application/x-www-form-urlencoded"), http.StatusSeeOther)
			a.works(p, a.newest(p.address, resetPage))
		}},
		{"another address in the URL", "CWE-235, ASVS 15.3.7", func(a *arena) {
			p := a.person()
			before := len(a.allMail())
			a.want(a.post("/reset_password?email="+mallory+"&to="+mallory, members{"email": p.address}), http.StatusNoContent)
			if list := a.allMail()[before:]; len(list) != 1 || list[0].to != p.address {
				a.Fatalf("got mail %v, want one to %s", list, p.address)
			}
			a.unharmed(p)
		}},
		{"nobody with a real address is written to", "ASVS 6.3.8", func(a *arena) {
			guest, fan := a.guest(), a.fan("nobody-to-write-to"+newName())
			disabled, deleted := a.person(), a.person()
			a.command(a.T, "user", "disable", disabled.name)
			a.want(a.do(http.MethodDelete, "/user", members{"current_password": deleted.password}, bearer(deleted.token)), http.StatusNoContent)
			known := a.person()
			a.mailsNobody(func() {
				for _, address := range []string{guest.address, fan.address, disabled.address, deleted.address, "unknown@example.org"} {
					got := a.post("/reset_password", members{"email": address})
					if got.status != http.StatusNoContent || got.body != "" {
						a.Errorf("got %d %s for %s, want 204 and nothing", got.status, got.body, address)
					}
				}
			})
			a.works(known, a.resetMail(known))
		}},
	}
}

// resetHeaders send headers that links have been built from.
func resetHeaders() []attack {
	var list []attack
	for _, header := range []string{
		"Host: evil.example", "Host: accounts.example.com.evil.example", "Host: accounts.example.com:8@evil.example", "Host: evil.example:80",
		"X-Forwarded-Host: evil.example", "X-Forwarded-Server: evil.example", "X-Forwarded-Proto: http", "X-Forwarded-Port: 8443", "X-Forwarded-Prefix: /evil",
		"X-Host: evil.example", "X-HTTP-Host-Override: evil.example", "X-Original-Host: evil.example", "X-Original-URL: //evil.example/", "X-Rewrite-URL: //evil.example/",
		"Forwarded: host=evil.example;proto=http", "Origin: https://evil.example", "Referer: https://evil.example/",
		"X-Real-IP: evil.example", "X-Base-URL: https://evil.example", "Via: 1.1 evil.example",
	} {
		list = append(list, attack{"a link from the header " + header, "Zitadel CVE-2025-64101, CWE-640", func(a *arena) {
			p := a.regularPerson()
			got := a.post("/reset_password", members{"email": p.address}, header)
			a.must(got, http.StatusNoContent)
			l := a.newest(p.address, resetPage)
			if !strings.HasPrefix(l.link, publicURL+resetPage+"?token=") || strings.Contains(l.text, "evil") {
				a.Errorf("got the link %s in %q, want one of %s and nothing of the header", l.link, l.text, publicURL)
			}
			a.opens(l)
		}})
	}
	return append(list,
		attack{"a link from an absolute request target", "Zitadel CVE-2025-64101, RFC 9112 §3.2.2", func(a *arena) {
			p := a.person()
			body := `{"email":"` + p.address + `"}`
			got := a.raw(a.T, fmt.Sprintf("POST http://evil.example/reset_password HTTP/1.1\r\nHost: accounts.example.com\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body))
			if !strings.HasPrefix(got, "HTTP/1.1 204") {
				a.Errorf("got %q, want 204", got)
			}
			if l := a.newest(p.address, resetPage); !strings.HasPrefix(l.link, publicURL+"/") || strings.Contains(l.text, "evil") {
				a.Errorf("got the link %s, want one of %s", l.link, publicURL)
			}
		}},
		attack{"a link and markup in the name of the device", "CWE-79, CWE-451", func(a *arena) {
			p := a.person()
			a.must(a.post("/reset_password", members{"email": p.address}, `User-Agent: <a href="https://evil.example">click</a> https://evil.example/ evil.example`), http.StatusNoContent)
			l := a.newest(p.address, resetPage)
			if strings.Contains(l.text, "evil.example") {
				a.Errorf("got what the device says in the mail: %s", l.text)
			}
			a.works(p, l)
		}},
		attack{"a language with a header in it", "CWE-93", func(a *arena) {
			p := a.person()
			a.must(a.post("/reset_password", members{"email": p.address}, "Accept-Language: evil-example, ../../etc/passwd;q=1, %0d%0aBcc:"+mallory), http.StatusNoContent)
			l := a.newest(p.address, resetPage)
			if strings.Contains(l.text, "evil") {
				a.Errorf("got %q, want nothing of the header", l.text)
			}
			a.works(p, l)
		}},
	)
}

// opens checks that a link leads to the form, so that its token is as good as it was.
func (a *arena) opens(l letter) {
	a.Helper()
	a.want(a.get(strings.TrimPrefix(l.link, publicURL)), http.StatusOK)
}

// resetToken tries what it makes of a good token, or of something else in its place; the good one must still be good.
func resetToken(name, against string, forge func(a *arena, p person, token string) any) attack {
	return attack{name, against, func(a *arena) {
		p := a.regularPerson()
		l := a.resetMail(p)
		forged := forge(a, p, l.token)
		a.want(a.put("/reset_password", resetWith(forged, chosen)), http.StatusUnprocessableEntity)
		if text, ok := forged.(string); ok {
			a.want(a.post(resetPage, form("token", text, "password", chosen, "password_confirmation", chosen), formType), http.StatusUnprocessableEntity)
		}
		a.want(a.signIn(p.name, chosen), http.StatusUnauthorized)
		a.unharmed(p)
		a.opens(l)
	}}
}

func resetTokens() []attack {
	const (
		whole  = "Zitadel CVE-2026-27840"
		bound  = "ASVS 6.6.2"
		single = "ASVS 6.5.1"
		types  = "ASVS 15.3.5"
	)
	plain := func(change func(token string) any) func(*arena, person, string) any {
		return func(_ *arena, _ person, token string) any { return change(token) }
	}
	return []attack{
		resetToken("a token without its last character", whole, plain(func(s string) any { return s[:len(s)-1] })),
		resetToken("a token without its first character", whole, plain(func(s string) any { return s[1:] })),
		resetToken("half a token", whole, plain(func(s string) any { return s[:len(s)/2] })),
		resetToken("a token and one character more", whole, plain(func(s string) any { return s + "0" })),
		resetToken("a token twice", whole, plain(func(s string) any { return s + s })),
		resetToken("a token with a space behind it", whole, plain(func(s string) any { return s + " " })),
		resetToken("a token with a line break behind it", whole, plain(func(s string) any { return s + "\n" })),
		resetToken("a token with a NUL behind it", "CWE-158", plain(func(s string) any { return s + "\x00" })),
		resetToken("a token with padding", whole, plain(func(s string) any { return s + "=" })),
		resetToken("a token in the other case", whole, plain(func(s string) any { return swapCase(s) })),
		resetToken("a token in full-width characters", whole, plain(func(s string) any { return wide(s) })),
		resetToken("a token with another last character", whole, plain(func(s string) any { return s[:len(s)-1] + other(s[len(s)-1]) })),
		resetToken("a token in an array", types, plain(func(s string) any { return []string{s} })),
		resetToken("a token in an object", types, plain(func(s string) any { return members{"token": s} })),
		resetToken("an operator for any token", "CWE-943", plain(func(string) any { return members{"$ne": ""} })),
		resetToken("true as token", types, plain(func(string) any { return true })),
		resetToken("zero as token", types, plain(func(string) any { return 0 })),
		resetToken("null as token", "CWE-287", plain(func(string) any { return nil })),
		resetToken("an empty token", "CWE-287", plain(func(string) any { return "" })),
		resetToken("the words null and undefined", "CWE-287", plain(func(string) any { return "undefined" })),
		resetToken("an SQL text as token", "CWE-89, ASVS 1.2.4", plain(func(string) any { return "' OR 1=1 --" })),
		resetToken("a pattern as token", "CWE-89, ASVS 1.2.4", plain(func(string) any { return "%" })),
		resetToken("a link as token", whole, plain(func(s string) any { return publicURL + resetPage + "?token=" + s })),
		resetToken("a code as token", bound, func(a *arena, p person, _ string) any { return a.newest(p.address, resetPage).code }),
		resetToken("the token's hash from the database", "ASVS 6.5.2", func(a *arena, p person, _ string) any {
			return fmt.Sprintf("%x", query[[]byte](a.T, a.service, "SELECT token_hash FROM one_time_tokens WHERE email_key = $1 AND purpose = 'reset_password' ORDER BY id DESC LIMIT 1", p.address))
		}),
		resetToken("a session's token", bound, func(_ *arena, p person, _ string) any { return p.token }),
		resetToken("the token that proves an address", bound, func(a *arena, p person, _ string) any { return a.newest(p.address, verifyPage).token }),
		resetToken("the token of a change of address", bound, func(a *arena, p person, _ string) any {
			address := newName() + "@example.net"
			a.must(a.put("/user/email", members{"email": address, "current_password": p.password}, bearer(p.token)), http.StatusAccepted)
			return a.newest(address, verifyPage).token
		}),
		resetToken("the token of an expired reset", "ASVS 6.5.5", func(a *arena, _ person, _ string) any {
			late := a.person()
			token := a.resetMail(late).token
			a.exec(a.T, "UPDATE one_time_tokens SET expires_at = $1 WHERE email_key = $2 AND purpose = 'reset_password'", time.Now().Add(-time.Second).UnixMicro(), late.address)
			return token
		}),
		resetToken("the token of a user who is disabled since", "ASVS 7.4.2", func(a *arena, _ person, _ string) any {
			gone := a.person()
			token := a.resetMail(gone).token
			a.command(a.T, "user", "disable", gone.name)
			return token
		}),
		resetToken("the token of a user who is deleted since", "ASVS 7.4.2", func(a *arena, _ person, _ string) any {
			gone := a.person()
			token := a.resetMail(gone).token
			a.must(a.do(http.MethodDelete, "/user", members{"current_password": gone.password}, bearer(gone.token)), http.StatusNoContent)
			return token
		}),
		{"a token that was used", single, func(a *arena) {
			p := a.person()
			l := a.resetMail(p)
			a.works(p, l)
			a.want(a.put("/reset_password", resetWith(l.token, chosen)), http.StatusUnprocessableEntity)
			a.want(a.put("/reset_password", resetByCode(p.address, l.code, chosen)), http.StatusUnprocessableEntity)
			a.want(a.signIn(p.name, chosen), http.StatusUnauthorized)
			a.want(a.signIn(p.name, personsPassword+"renewed"), http.StatusOK)
		}},
		{"a token of one's own and the address of another", "Keycloak CVE-2026-18963, ASVS 6.6.2", func(a *arena) {
			own, victim := a.person(), a.person()
			l := a.resetMail(own)
			body := resetWith(l.token, chosen)
			body["email"], body["username"], body["user_id"], body["id"], body["login"] = victim.address, victim.name, victim.id, victim.id, victim.name
			a.want(a.put("/reset_password?email="+victim.address, body), http.StatusNoContent, http.StatusUnprocessableEntity)
			a.want(a.signIn(victim.name, chosen), http.StatusUnauthorized)
			a.unharmed(victim)
		}},
		{"a code of one's own and the address of another", "Keycloak CVE-2026-18963, ASVS 6.6.2", func(a *arena) {
			own, victim := a.person(), a.person()
			l := a.resetMail(own)
			theirs := a.resetMail(victim)
			a.want(a.put("/reset_password", resetByCode(victim.address, l.code, chosen)), http.StatusUnprocessableEntity)
			a.want(a.signIn(victim.name, chosen), http.StatusUnauthorized)
			a.unharmed(victim)
			a.works(victim, theirs)
			a.works(own, l)
		}},
		{"twenty times at once with one token", "CWE-362, ASVS 15.4.2", func(a *arena) {
			p := a.person()
			l := a.resetMail(p)
			a.exactlyOne(p, 20, func(i int) members { return resetWith(l.token, fmt.Sprintf("%s %d", chosen, i)) })
		}},
		{"with the token and with the code at once", "Parse GHSA-2299-ghjr-6vjp, CWE-362", func(a *arena) {
			p := a.person()
			l := a.resetMail(p)
			a.exactlyOne(p, 8, func(i int) members {
				if i%2 == 0 {
					return resetWith(l.token, fmt.Sprintf("%s %d", chosen, i))
				}
				return resetByCode(p.address, l.code, fmt.Sprintf("%s %d", chosen, i))
			})
		}},
		{"with the tokens of three mails at once", "CWE-362, ASVS 15.4.2", func(a *arena) {
			p := a.person()
			var letters []letter
			for range 3 {
				letters = append(letters, a.resetMail(p))
			}
			a.exactlyOne(p, 9, func(i int) members { return resetWith(letters[i%3].token, fmt.Sprintf("%s %d", chosen, i)) })
		}},
	}
}

// exactlyOne resets at once in many ways, of which one may succeed: its password is then the only one.
func (a *arena) exactlyOne(p person, n int, body func(i int) members) {
	a.Helper()
	answers, count := a.atOnce(n, func(i int) answer { return a.put("/reset_password", body(i)) })
	if count[http.StatusNoContent] != 1 || count[http.StatusUnprocessableEntity] != n-1 {
		a.Fatalf("got the statuses %v, want 204 once and 422 else", count)
	}
	for i, got := range answers {
		want := http.StatusUnauthorized
		if got.status == http.StatusNoContent {
			want = http.StatusOK
		}
		a.want(a.signIn(p.name, fmt.Sprint(body(i)["password"])), want)
	}
	a.want(a.signIn(p.name, p.password), http.StatusUnauthorized)
	a.dead(p.token)
}

func resetCodes() []attack {
	const guessed = "ASVS 6.6.3"
	// wrongCode returns a code that is not this one.
	wrongCode := func(code string) string { return string('0'+(code[0]-'0'+1)%10) + code[1:] }
	inForm := func(name, against string, write func(code string) any) attack {
		return attack{name, against, func(a *arena) {
			p := a.person()
			l := a.resetMail(p)
			a.want(a.put("/reset_password", resetByCode(p.address, write(l.code), chosen)), http.StatusUnprocessableEntity)
			a.want(a.signIn(p.name, chosen), http.StatusUnauthorized)
			a.alive(p)
			a.want(a.put("/reset_password", resetByCode(p.address, l.code, chosen)), http.StatusNoContent)
		}}
	}
	return []attack{
		inForm("a code in an array", "ASVS 15.3.5", func(c string) any { return []string{c} }),
		inForm("a code as a number", "ASVS 15.3.5", func(string) any { return 12345678 }),
		inForm("true as code", "ASVS 15.3.5", func(string) any { return true }),
		inForm("an empty code", "CWE-287", func(string) any { return "" }),
		inForm("a code without its last digit", "Zitadel CVE-2026-27840", func(c string) any { return c[:7] }),
		inForm("a code and one digit more", "Zitadel CVE-2026-27840", func(c string) any { return c + "0" }),
		inForm("a code with a NUL behind it", "CWE-158", func(c string) any { return c + "\x00" }),
		inForm("a pattern as code", "CWE-89, ASVS 1.2.4", func(string) any { return "%%%%%%%%" }),
		{"five wrong codes kill the code and not the link", guessed, func(a *arena) {
			p := a.person()
			l := a.resetMail(p)
			for range 5 {
				a.want(a.put("/reset_password", resetByCode(p.address, wrongCode(l.code), chosen)), http.StatusUnprocessableEntity)
			}
			a.want(a.put("/reset_password", resetByCode(p.address, l.code, chosen)), http.StatusUnprocessableEntity)
			a.unharmed(p)
			a.works(p, l)
		}},
		{"four wrong codes leave it, and the fifth may be right", guessed, func(a *arena) {
			p := a.person()
			l := a.resetMail(p)
			for range 4 {
				a.want(a.put("/reset_password", resetByCode(p.address, wrongCode(l.code), chosen)), http.StatusUnprocessableEntity)
			}
			a.want(a.put("/reset_password", resetByCode(p.address, l.code, chosen)), http.StatusNoContent)
		}},
		{"fifty wrong codes at once, and then the right one", "Parse GHSA-2299-ghjr-6vjp, CWE-362", func(a *arena) {
			p := a.person()
			l := a.resetMail(p)
			_, count := a.atOnce(50, func(i int) answer {
				return a.put("/reset_password", resetByCode(p.address, fmt.Sprintf("%08d", i), chosen))
			})
			if count[http.StatusNoContent] != 0 {
				a.Errorf("got the statuses %v, want none accepted", count)
			}
			a.want(a.put("/reset_password", resetByCode(p.address, l.code, chosen)), http.StatusUnprocessableEntity)
			a.unharmed(p)
			a.works(p, l)
		}},
		{"wrong codes over several spellings of the address", "Authelia CVE-2025-24806", func(a *arena) {
			p := a.person()
			l := a.resetMail(p)
			for i := range 5 {
				spelling := strings.ToUpper(p.address[:i]) + p.address[i:]
				a.want(a.put("/reset_password", resetByCode(spelling, wrongCode(l.code), chosen)), http.StatusUnprocessableEntity)
			}
			a.want(a.put("/reset_password", resetByCode(p.address, l.code, chosen)), http.StatusUnprocessableEntity)
			a.works(p, l)
		}},
		{"wrong codes on the page and in the API together", "ASVS 6.3.3", func(a *arena) {
			p := a.person()
			l := a.resetMail(p)
			wrong := wrongCode(l.code)
			for i := range 5 {
				if i%2 == 0 {
					a.want(a.put("/reset_password", resetByCode(p.address, wrong, chosen)), http.StatusUnprocessableEntity)
				} else {
					a.want(a.post("/account/enter_code", form("email", p.address, "code", wrong, "password", chosen, "password_confirmation", chosen), formType), http.StatusUnprocessableEntity)
				}
			}
			a.want(a.put("/reset_password", resetByCode(p.address, l.code, chosen)), http.StatusUnprocessableEntity)
			a.works(p, l)
		}},
		{"a wrong code tells nothing that an unknown address does not", "ASVS 6.3.8", func(a *arena) {
			p := a.person()
			l := a.resetMail(p)
			known := a.put("/reset_password", resetByCode(p.address, wrongCode(l.code), chosen))
			unknown := a.put("/reset_password", resetByCode("unknown@example.org", wrongCode(l.code), chosen))
			if known.but() != unknown.but() {
				a.Errorf("got %s for a known address and %s for an unknown one, want the same", known.but(), unknown.but())
			}
			a.works(p, l)
		}},
		{"the code that proves an address", "ASVS 6.6.2", func(a *arena) {
			p := a.person()
			other := a.newest(p.address, verifyPage)
			l := a.resetMail(p)
			a.want(a.put("/reset_password", resetByCode(p.address, other.code, chosen)), http.StatusUnprocessableEntity)
			a.want(a.post("/user/email/verify", members{"code": l.code}, bearer(p.token)), http.StatusUnprocessableEntity)
			a.unharmed(p)
			a.want(a.post("/user/email/verify", members{"code": other.code}, bearer(p.token)), http.StatusOK)
			a.works(p, l)
		}},
	}
}

func resetSteps() []attack {
	const (
		keycloak = "Keycloak CVE-2026-18963, ASVS 2.3.1"
		scanner  = "ASVS 3.5.3, RFC 9110 §9.2.1"
	)
	skip := func(name string, body func(p person) members) attack {
		return attack{name, keycloak, func(a *arena) {
			p := a.person()
			l := a.resetMail(p)
			a.want(a.put("/reset_password", body(p)), http.StatusUnprocessableEntity)
			a.want(a.signIn(p.name, chosen), http.StatusUnauthorized)
			a.unharmed(p)
			a.works(p, l)
		}}
	}
	looks := func(name string, look func(a *arena, l letter)) attack {
		return attack{name, scanner, func(a *arena) {
			p := a.person()
			l := a.resetMail(p)
			look(a, l)
			a.alive(p)
			a.works(p, l)
		}}
	}
	path := func(l letter) string { return strings.TrimPrefix(l.link, publicURL) }
	return []attack{
		skip("a new password and nothing else", func(person) members {
			return members{"password": chosen, "password_confirmation": chosen}
		}),
		skip("an address without a code", func(p person) members {
			return members{"email": p.address, "password": chosen, "password_confirmation": chosen}
		}),
		skip("an address and a code of null", func(p person) members { return resetByCode(p.address, nil, chosen) }),
		skip("an empty token beside an address", func(p person) members {
			body := resetWith("", chosen)
			body["email"] = p.address
			return body
		}),
		skip("members that say that all is verified", func(p person) members {
			return members{
				"email": p.address, "password": chosen, "password_confirmation": chosen,
				"verified": true, "step": 3, "email_verified": true, "force": true, "admin": true, "user_id": p.id,
			}
		}),
		skip("a session's token and no proof", func(p person) members {
			return members{"private_token": p.token, "email": p.address, "password": chosen, "password_confirmation": chosen}
		}),
		{"the proof in the URL", "ASVS 14.2.1", func(a *arena) {
			p := a.person()
			l := a.resetMail(p)
			body := members{"password": chosen, "password_confirmation": chosen}
			a.want(a.put("/reset_password?token="+l.token, body), http.StatusUnprocessableEntity)
			a.want(a.post(path(l), form("password", chosen, "password_confirmation", chosen), formType), http.StatusUnprocessableEntity)
			a.want(a.get(path(l)+"&password="+chosen[:7]+"&password_confirmation="+chosen[:7]), http.StatusOK)
			a.unharmed(p)
			a.works(p, l)
		}},
		{"the page of success", keycloak, func(a *arena) {
			p := a.person()
			l := a.resetMail(p)
			a.want(a.get("/account/password_changed?token="+l.token+"&password=x"), http.StatusOK)
			a.want(a.post("/account/password_changed", form("token", l.token, "password", chosen, "password_confirmation", chosen), formType), http.StatusMethodNotAllowed)
			a.unharmed(p)
			a.works(p, l)
		}},
		{"a reset by other methods", "ASVS 4.1.4", func(a *arena) {
			p := a.person()
			l := a.resetMail(p)
			for _, method := range []string{"PATCH", "DELETE", "GET", "OPTIONS", "TRACE", "put", "PROPFIND"} {
				a.want(a.do(method, "/reset_password", resetWith(l.token, chosen)), http.StatusMethodNotAllowed)
			}
			a.want(a.post("/reset_password", resetWith(l.token, chosen), "X-HTTP-Method-Override: PUT", "X-Method-Override: PUT", "X-HTTP-Method: PUT"), http.StatusUnprocessableEntity)
			a.want(a.post("/reset_password?_method=PUT", resetWith(l.token, chosen)), http.StatusUnprocessableEntity)
			a.unharmed(p)
			a.works(p, l)
		}},
		{"a password that is refused leaves the link", "ASVS 6.2.1", func(a *arena) {
			p := a.person()
			l := a.resetMail(p)
			for _, bad := range []members{
				resetWith(l.token, "short"), resetWith(l.token, "password1"), resetWith(l.token, p.name), resetWith(l.token, p.address),
				{"token": l.token, "password": chosen, "password_confirmation": chosen + "x"},
				{"token": l.token, "password": chosen},
				resetWith(l.token, strings.Repeat("x", 257)),
			} {
				a.want(a.put("/reset_password", bad), http.StatusUnprocessableEntity)
			}
			a.unharmed(p)
			a.works(p, l)
		}},
		looks("a scanner that opens the link fifty times", func(a *arena, l letter) {
			for range 50 {
				a.want(a.get(path(l), "User-Agent: Mozilla/5.0 (compatible; Safe Links)"), http.StatusOK)
			}
		}),
		looks("a scanner that asks for the head", func(a *arena, l letter) { a.want(a.do(http.MethodHead, path(l), nil), http.StatusOK) }),
		looks("a browser that loads the page in advance", func(a *arena, l letter) {
			a.want(a.get(path(l), "Sec-Purpose: prefetch;prerender", "Purpose: prefetch", "X-Moz: prefetch"), http.StatusOK)
		}),
		looks("a scanner that posts the empty form", func(a *arena, l letter) {
			a.want(a.post(path(l), form(), formType), http.StatusUnprocessableEntity)
			a.want(a.post(path(l), form("token", l.token), formType), http.StatusUnprocessableEntity)
		}),
		looks("a scanner with other methods", func(a *arena, l letter) {
			for _, method := range []string{"OPTIONS", "PUT", "DELETE", "PATCH", "PROPFIND"} {
				a.want(a.do(method, path(l), nil), http.StatusMethodNotAllowed)
			}
		}),
		looks("the link as part of another address", func(a *arena, l letter) {
			for _, path := range []string{"/account/reset_password/?token=", "/account//reset_password?token=", "/reset_password?token=", "/account/Reset_Password?token="} {
				a.want(a.get(path+l.token), http.StatusNotFound, http.StatusMethodNotAllowed)
			}
		}),
	}
}

func resetEnds() []attack {
	const ends = "ASVS 7.4.3"
	return []attack{
		{"a session that a thief has", ends, func(a *arena) {
			p := a.person()
			var stolen []string
			for range 3 {
				stolen = append(stolen, a.must(a.signIn(p.name, p.password), http.StatusOK).token())
			}
			for _, token := range stolen {
				a.want(a.get("/user", bearer(token)), http.StatusOK) // and so it is in the cache
			}
			a.works(p, a.resetMail(p))
			for _, token := range append(stolen, p.token) {
				a.dead(token)
			}
		}},
		{"other links and codes that a thief asked for", ends, func(a *arena) {
			p := a.person()
			first, second, last := a.resetMail(p), a.resetMail(p), a.resetMail(p)
			a.works(p, last)
			for _, l := range []letter{first, second, last} {
				a.want(a.put("/reset_password", resetWith(l.token, chosen)), http.StatusUnprocessableEntity)
				a.want(a.put("/reset_password", resetByCode(p.address, l.code, chosen)), http.StatusUnprocessableEntity)
				a.want(a.get(strings.TrimPrefix(l.link, publicURL)), http.StatusUnprocessableEntity)
			}
			a.want(a.signIn(p.name, chosen), http.StatusUnauthorized)
		}},
		{"a change of address that a thief has pending", "CWE-613, CWE-640", func(a *arena) {
			p := a.person()
			address := "thief." + p.address
			a.must(a.put("/user/email", members{"email": address, "current_password": p.password}, bearer(p.token)), http.StatusAccepted)
			pending := a.newest(address, verifyPage)
			a.works(p, a.resetMail(p))
			a.want(a.post(verifyPage, form("token", pending.token), formType), http.StatusUnprocessableEntity)
			got := a.must(a.signIn(p.name, personsPassword+"renewed"), http.StatusOK)
			if got.text("email") != p.address {
				a.Errorf("got the address %s, want %s", got.text("email"), p.address)
			}
		}},
		{"a reset of the old address after a change", "CWE-640", func(a *arena) {
			p := a.person()
			l := a.resetMail(p)
			address := "moved." + p.address
			a.must(a.put("/user/email", members{"email": address, "current_password": p.password}, bearer(p.token)), http.StatusAccepted)
			a.must(a.post(verifyPage, form("token", a.newest(address, verifyPage).token), formType), http.StatusSeeOther)
			a.want(a.put("/reset_password", resetWith(l.token, chosen)), http.StatusUnprocessableEntity)
			a.want(a.put("/reset_password", resetByCode(p.address, l.code, chosen)), http.StatusUnprocessableEntity)
			a.mailsNobody(func() { a.want(a.post("/reset_password", members{"email": p.address}), http.StatusNoContent) })
			p.address = address
			a.unharmed(p)
			a.works(p, a.resetMail(p))
		}},
		{"a reset from before a change of password", ends, func(a *arena) {
			p := a.person()
			l := a.resetMail(p)
			next := personsPassword + "of my own"
			a.must(a.put("/user/password", members{"current_password": p.password, "password": next, "password_confirmation": next}, bearer(p.token)), http.StatusOK)
			a.want(a.put("/reset_password", resetWith(l.token, chosen)), http.StatusUnprocessableEntity)
			a.want(a.put("/reset_password", resetByCode(p.address, l.code, chosen)), http.StatusUnprocessableEntity)
			a.want(a.signIn(p.name, next), http.StatusOK)
		}},
		{"more than three outstanding", "ASVS 2.4.1", func(a *arena) {
			p := a.person()
			var letters []letter
			for range 5 {
				letters = append(letters, a.resetMail(p))
			}
			for _, l := range letters[:2] {
				a.want(a.put("/reset_password", resetWith(l.token, chosen)), http.StatusUnprocessableEntity)
			}
			a.unharmed(p)
			a.works(p, letters[2])
		}},
		{"the user hears of it", "ASVS 6.3.6", func(a *arena) {
			p := a.person()
			a.works(p, a.resetMail(p))
			if list := a.mail(p.address, "password of your"); len(list) != 1 {
				a.Errorf("got %d notices, want one", len(list))
			}
		}},
	}
}
