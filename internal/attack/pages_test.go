package attack_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

func pageAttacks() []attack {
	return slices.Concat(crossSitePosts(), framing(), redirects(), storedScripts())
}

// crossSitePosts send the forms of the pages from somebody else's.
func crossSitePosts() []attack {
	const csrf = "ASVS 3.5.1, CWE-352"
	var list []attack
	for _, from := range []struct {
		name    string
		headers []string
	}{
		{"another site", []string{"Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}},
		{"another site, without Origin", []string{"Sec-Fetch-Site: cross-site"}},
		{"another host of the same site", []string{"Sec-Fetch-Site: same-site", "Origin: https://evil.example.com"}},
		{"an old browser on another site", []string{"Origin: https://evil.example"}},
		{"a page without an origin", []string{"Sec-Fetch-Site: cross-site", "Origin: null"}},
		{"an old browser without an origin", []string{"Origin: null"}},
		{"a host whose name begins with ours", []string{"Origin: " + publicURL + ".evil.example"}},
		{"a host whose name ends with ours", []string{"Origin: https://evil-accounts.example.com"}},
		{"the same host without TLS", []string{"Origin: http://accounts.example.com"}},
		{"another port of the same host", []string{"Origin: https://accounts.example.com:8443"}},
		{"a host with ours as its user", []string{"Origin: https://accounts.example.com@evil.example"}},
		{"another site that names us in Host", []string{"Origin: https://evil.example", "X-Forwarded-Host: evil.example", "Forwarded: host=evil.example"}},
		{"an extension", []string{"Sec-Fetch-Site: cross-site", "Origin: chrome-extension://abcdef"}},
		{"a file", []string{"Sec-Fetch-Site: cross-site", "Origin: file://"}},
	} {
		list = append(list, attack{"forms of " + from.name, csrf, func(a *arena) {
			p := a.person()
			verify := a.newest(p.address, verifyPage)
			l := a.resetMail(p)
			headers := append([]string{formType}, from.headers...)
			a.mailsNobody(func() {
				for path, body := range map[string]string{
					"/account/forgot_password":   form("email", p.address),
					"/account/reset_password":    form("token", l.token, "password", chosen, "password_confirmation", chosen),
					"/account/enter_code":        form("email", p.address, "code", l.code, "password", chosen, "password_confirmation", chosen),
					"/account/verify_email":      form("token", verify.token),
					"/account/undo_email_change": form("token", verify.token),
				} {
					a.want(a.post(path, body, headers...), http.StatusForbidden)
				}
			})
			a.want(a.signIn(p.name, chosen), http.StatusUnauthorized)
			if got := a.get("/user", bearer(p.token)); got.text("email_verified") != "false" {
				a.Errorf("got %s, want the address not proved", got.body)
			}
			own := []string{formType, "Sec-Fetch-Site: same-origin", "Origin: " + publicURL}
			a.want(a.post(verifyPage, form("token", verify.token), own...), http.StatusSeeOther)
			a.want(a.post(resetPage, form("token", l.token, "password", chosen, "password_confirmation", chosen), own...), http.StatusSeeOther)
			a.want(a.signIn(p.name, chosen), http.StatusOK)
		}})
	}
	return append(list, []attack{
		{"a form in another encoding", csrf, func(a *arena) {
			p := a.person()
			l := a.resetMail(p)
			body := form("token", l.token, "password", chosen, "password_confirmation", chosen)
			for _, typ := range []string{"text/plain", "multipart/form-data; boundary=x", "application/json", "application/xml", ""} {
				a.want(a.post(resetPage, body, "Content-Type: "+typ), http.StatusUnsupportedMediaType)
			}
			a.want(a.signIn(p.name, chosen), http.StatusUnauthorized)
			a.want(a.post(resetPage, body, formType), http.StatusSeeOther)
		}},
		{"a form that looks like JSON to the API", "ASVS 3.5.2, CWE-352", func(a *arena) {
			p := a.person()
			body := `{"email":"` + p.address + `","x":"="}`
			a.mailsNobody(func() {
				for _, typ := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain; charset=utf-8"} {
					a.want(a.post("/reset_password", body, "Content-Type: "+typ, "Origin: https://evil.example", "Sec-Fetch-Site: cross-site"), http.StatusUnsupportedMediaType)
				}
			})
			a.want(a.post("/reset_password", body), http.StatusNoContent)
		}},
		{"an input twice", "ASVS 15.3.7, CWE-235", func(a *arena) {
			p := a.person()
			l := a.resetMail(p)
			for _, body := range []string{
				"token=x&token=" + l.token + "&password=a+long+enough+one&password_confirmation=a+long+enough+one",
				"token=" + l.token + "&password=a+long+enough+one&password=another+long+one&password_confirmation=a+long+enough+one",
				"token=" + l.token + ";password=x", "token=%zz" + l.token, "token=%ff",
			} {
				a.want(a.post(resetPage, body, formType), http.StatusBadRequest)
			}
			a.works(p, l)
		}},
		{"a form of 16 KiB and one byte", "CWE-770", func(a *arena) {
			p := a.person()
			l := a.resetMail(p)
			a.want(a.post(resetPage, form("token", l.token, "x", strings.Repeat("x", 17<<10)), formType), http.StatusRequestEntityTooLarge)
			a.works(p, l)
		}},
	}...)
}

// pagesOf are the pages that anybody may open, and one with a token each.
func pagesOf(token string) []string {
	return []string{
		"/account/forgot_password", "/account/mail_sent", "/account/enter_code", "/account/password_changed", "/account/email_verified", "/account/email_changed", "/account/email_restored",
		"/account/reset_password?token=" + token, "/account/reset_password?token=x", "/account/verify_email?token=x", "/account/undo_email_change?token=x", "/account/nothing", "/account/",
	}
}

func framing() []attack {
	return []attack{
		{"a page in a frame of another site", "ASVS 3.4.6, CWE-1021", func(a *arena) {
			p := a.regularPerson()
			l := a.resetMail(p)
			for _, path := range pagesOf(l.token) {
				got := a.get(path)
				policy := got.header.Get("Content-Security-Policy")
				for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
					if !strings.Contains(policy, want) {
						a.Errorf("%s: got the policy %q, want %s in it", path, policy, want)
					}
				}
				if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") || strings.Contains(policy, "script-src") {
					a.Errorf("%s: got the policy %q, want nothing unsafe in it", path, policy)
				}
			}
			a.opens(l)
		}},
		{"a page whose address leaks", "ASVS 3.4.5, CWE-200", func(a *arena) {
			p := a.regularPerson()
			l := a.resetMail(p)
			for _, path := range pagesOf(l.token) {
				got := a.get(path)
				if got.header.Get("Referrer-Policy") != "no-referrer" || got.header.Get("Cache-Control") != "no-store" || got.header.Get("Set-Cookie") != "" || got.header.Get("X-Content-Type-Options") != "nosniff" {
					a.Errorf("%s: got %v, want no-referrer, no-store, nosniff and no cookie", path, got.header)
				}
				for part := range strings.SplitSeq(got.body, "href=") {
					if link, _, _ := strings.Cut(strings.TrimPrefix(part, `"`), `"`); strings.Contains(link, l.token) || strings.HasPrefix(part, `"http`) || strings.HasPrefix(part, `"//`) {
						a.Errorf("%s: got the link %q, want none with the token and none to elsewhere", path, link)
					}
				}
			}
			a.opens(l)
		}},
		{"a page with a script", "ASVS 3.4.3, CWE-79", func(a *arena) {
			p := a.regularPerson()
			l := a.resetMail(p)
			for _, path := range pagesOf(l.token) {
				got := a.get(path)
				for _, bad := range []string{"<script", " on", "javascript:", "<iframe", "<object", "<embed"} {
					if bad == " on" {
						if strings.Contains(got.body, " onclick") || strings.Contains(got.body, " onload") || strings.Contains(got.body, " onerror") {
							a.Errorf("%s: got an event handler in %s", path, got.body)
						}
						continue
					}
					if strings.Contains(got.body, bad) {
						a.Errorf("%s: got %q in the page", path, bad)
					}
				}
			}
			a.opens(l)
		}},
		{"a page that tells another user's address", "ASVS 15.3.1", func(a *arena) {
			p := a.regularPerson()
			l := a.resetMail(p)
			got := a.get("/account/reset_password?token=" + l.token)
			if a.want(got, http.StatusOK); strings.Contains(got.body, p.address) {
				a.Errorf("got the address in the page for a link: %s", got.body)
			}
			dead := a.get("/account/reset_password?token=" + l.token + "x")
			if a.want(dead, http.StatusUnprocessableEntity); strings.Contains(dead.body, p.name) {
				a.Errorf("got the name in the page for a dead link: %s", dead.body)
			}
			a.opens(l)
		}},
		{"an answer of the API in a browser", "ASVS 3.2.1, ASVS 4.1.1", func(a *arena) {
			p := a.regularPerson()
			for _, got := range []answer{a.get("/user", bearer(p.token), "Accept: text/html"), a.get("/user", "Accept: text/html"), a.get("/<script>alert(1)</script>", "Accept: text/html")} {
				if typ := got.header.Get("Content-Type"); !strings.HasSuffix(typ, "json") || got.header.Get("X-Content-Type-Options") != "nosniff" || strings.Contains(got.body, "<script") {
					a.Errorf("got %s of type %s, want JSON that is nothing else", got.body, typ)
				}
			}
		}},
	}
}

func redirects() []attack {
	const open = "ASVS 3.7.2, CWE-601"
	var list []attack
	for _, target := range []string{
		"https://evil.example/", "//evil.example/", `/\evil.example/`, `\\evil.example/`, "///evil.example", "https:evil.example", "javascript:alert(1)", "data:text/html,x", "/%09/evil.example", "/%5cevil.example", "https://accounts.example.com@evil.example/", "https://accounts.example.com.evil.example/", "//evil%E3%80%82example",
	} {
		list = append(list, attack{"a redirect to " + target, open, func(a *arena) {
			p := a.regularPerson()
			quoted := url.QueryEscape(target)
			query := "?"
			for _, name := range []string{"redirect", "redirect_uri", "redirect_to", "return", "return_to", "returnUrl", "next", "continue", "url", "target", "dest", "goto", "callback", "back", "app_url", "lang"} {
				query += name + "=" + quoted + "&"
			}
			got := a.post("/account/forgot_password"+query, form("email", p.address, "next", target, "redirect", target, "lang", target), formType, "Referer: "+target)
			if a.want(got, http.StatusSeeOther); got.header.Get("Location") != "/account/mail_sent" {
				a.Errorf("got Location %q, want /account/mail_sent", got.header.Get("Location"))
			}
			for _, path := range append(pagesOf("x"), "/", "/user") {
				sep := query
				if strings.Contains(path, "?") {
					sep = "&" + query[1:]
				}
				if got := a.get(path + sep); got.header.Get("Location") != "" || strings.Contains(got.body, "evil") || strings.Contains(got.body, "alert(1)") {
					a.Errorf("%s: got Location %q, want none and nothing of it in the page: %s", path, got.header.Get("Location"), got.body)
				}
			}
			a.opens(a.newest(p.address, resetPage))
		}})
	}
	return append(list, []attack{
		{"a path that begins with two slashes", open, func(a *arena) {
			for _, path := range []string{"//evil.example", "//evil.example/..", "//evil.example/account/forgot_password", `/\evil.example`, "/%2f%2fevil.example", "/%5c%5cevil.example", "///evil.example/", "/.//evil.example", "/account//evil.example", "/;//evil.example", "/account/%0d%0aLocation:%20https://evil.example"} {
				got := a.raw(a.T, "GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
				if !strings.HasPrefix(got, "HTTP/1.1 4") || strings.Contains(got, "\r\nLocation:") {
					a.Errorf("%s: got %.300q, want a refusal and no Location", path, got)
				}
			}
			a.want(a.get("/account/forgot_password"), http.StatusOK)
		}},
		{"a header in a parameter", "CWE-113, ASVS 4.2.4", func(a *arena) {
			for _, path := range pagesOf("x") {
				sep := "?"
				if strings.Contains(path, "?") {
					sep = "&"
				}
				got := a.get(path + sep + "lang=en%0d%0aSet-Cookie:%20a=b&x=%0d%0aX-Forged:%201")
				if got.header.Get("Set-Cookie") != "" || got.header.Get("X-Forged") != "" {
					a.Errorf("%s: got %v, want nothing of the parameter", path, got.header)
				}
			}
			a.want(a.get("/account/forgot_password?lang=zh-CN"), http.StatusOK)
		}},
	}...)
}

// storedScripts put markup wherever text is kept or shown again.
func storedScripts() []attack {
	const (
		xss    = "CWE-79, ASVS 1.2.1"
		scheme = "CWE-79, ASVS 1.2.2"
	)
	avatar := func(name, value string) attack {
		return attack{"an avatar " + name, scheme, func(a *arena) {
			p := a.guest()
			a.want(a.put("/user", members{"avatar": value}, bearer(p.token)), http.StatusUnprocessableEntity)
			uid := "avatar-" + newName()
			a.makesNobody(func() {
				a.want(a.post("/sign_in_with/wechat", members{"uid": uid, "avatar": value}, "Latchkey-Server-Key: "+serverKey), http.StatusUnprocessableEntity)
			})
			if got := a.get("/user", bearer(p.token)).text("avatar"); got != "" {
				a.Errorf("got the avatar %q, want none", got)
			}
			a.want(a.put("/user", members{"avatar": "https://example.org/a.png"}, bearer(p.token)), http.StatusOK)
		}}
	}
	fullname := func(name, against, raw string, status int) attack {
		return attack{"a full name " + name, against, func(a *arena) {
			p := a.guest()
			a.want(a.put("/user", `{"fullname":`+raw+`}`, bearer(p.token)), status)
			if got := a.get("/user", bearer(p.token)).text("fullname"); got != p.name {
				a.Errorf("got the full name %q, want %q", got, p.name)
			}
			a.want(a.put("/user", members{"fullname": "Zoë 张三 O'Brien-Ελένη"}, bearer(p.token)), http.StatusOK)
		}}
	}
	const invalid = http.StatusUnprocessableEntity
	return []attack{
		avatar("that is a script", "javascript:alert(1)"),
		avatar("that is a script in capitals", "JaVaScRiPt:alert(1)"),
		avatar("that is a script behind a space", " javascript:alert(1)"),
		avatar("that is a script behind a control character", "\x01javascript:alert(1)"),
		avatar("that is a script with a tab inside", "java\tscript:alert(1)"),
		avatar("that is a script with a line break inside", "java\nscript:alert(1)"),
		avatar("of Visual Basic", "vbscript:msgbox(1)"),
		avatar("with its data in it", "data:text/html;base64,PHNjcmlwdD4="),
		avatar("that is an image of data with a script", "data:image/svg+xml,<svg onload=alert(1)>"),
		avatar("that is a file", "file:///etc/passwd"),
		avatar("of another scheme", "ftp://evil.example/a"),
		avatar("of an app's scheme", "intent://evil#Intent;end"),
		avatar("that is a blob", "blob:https://evil.example/1"),
		avatar("without a scheme, at another host", "//evil.example/a.png"),
		avatar("with backslashes, at another host", `\\evil.example\a.png`),
		avatar("with mixed slashes, at another host", `/\evil.example/a.png`),
		avatar("with a user in it", "https://accounts.example.com@evil.example/a.png"),
		avatar("without a host", "https:///a.png"),
		avatar("with a NUL", "https://example.org/\x00a.png"),
		avatar("of 2,049 bytes", "https://example.org/"+strings.Repeat("a", 2029)),
		fullname("with an override of direction", "CVE-2021-42574", `"moc.elpmaxe\u202e"`, invalid),
		fullname("with a NUL", "CWE-158", `"a\u0000b"`, invalid),
		fullname("with a line break", "CWE-93", `"a\nb"`, invalid),
		fullname("with an escape character", "CWE-150", `"a\u001b[31m"`, invalid),
		fullname("of zero-width spaces", "CWE-1007", `"\u200b\u200b"`, invalid),
		fullname("of spaces", "ASVS 2.2.1", `"   "`, invalid),
		fullname("of Hangul fillers", "CWE-1007", `"\u3164"`, invalid),
		fullname("with tags that nobody sees", "CWE-1007", `"a\udb40\udc41"`, invalid),
		fullname("of 121 characters", "ASVS 2.2.1", `"`+strings.Repeat("a", 121)+`"`, invalid),
		fullname("in an array", "ASVS 15.3.5", `["a"]`, invalid),
		fullname("with a lone surrogate", "RFC 8259 §8.2", `"a\ud800"`, http.StatusBadRequest),
		{"a script as full name is text", xss, func(a *arena) {
			p := a.person()
			const script = `<script>alert("x")</script>"'><img src=x onerror=alert(1)>{{7*7}}`
			a.want(a.put("/user", members{"fullname": script}, bearer(p.token)), http.StatusOK)
			got := a.get("/user", bearer(p.token))
			if got.text("fullname") != script || strings.Contains(got.body, "<script") || !strings.HasPrefix(got.header.Get("Content-Type"), "application/json") {
				a.Errorf("got %s of type %s, want the name as text, its markup escaped", got.body, got.header.Get("Content-Type"))
			}
			l := a.resetMail(p)
			if strings.Contains(l.text, "alert(1)") || strings.Contains(a.get(strings.TrimPrefix(l.link, publicURL)).body, "alert(1)") {
				a.Error("got the full name in mail or page, want the username there")
			}
			a.works(p, l)
		}},
		{"a script as the name of a device is text", xss, func(a *arena) {
			p := a.person()
			const script = `<script>alert("x")</script>'"><img src=x onerror=alert(1)>`
			got := a.must(a.post("/sign_in", members{"login": p.name, "password": p.password}, "User-Agent: "+script), http.StatusOK)
			list := a.get("/user/sessions", bearer(got.token()))
			var sessions []map[string]any
			if err := json.Unmarshal([]byte(list.body), &sessions); err != nil || len(sessions) == 0 || sessions[0]["user_agent"] != script || strings.Contains(list.body, "<script") {
				a.Errorf("got %s, want the device's name as text, its markup escaped", list.body)
			}
			a.must(a.post("/reset_password", members{"email": p.address}, "User-Agent: "+script), http.StatusNoContent)
			l := a.newest(p.address, resetPage)
			_, html, _ := strings.Cut(l.text, "text/html")
			if html == "" || strings.Contains(html, "<script") || strings.Contains(html, "<img") {
				a.Errorf("got the device's name as markup in the mail: %s", html)
			}
		}},
		{"a device's name of 8 KB, and of control characters", "CWE-770, CWE-117", func(a *arena) {
			p := a.person()
			got := a.must(a.post("/sign_in", members{"login": p.name, "password": p.password}, "User-Agent: "+strings.Repeat("é", 4000)), http.StatusOK)
			list := a.must(a.get("/user/sessions", bearer(got.token())), http.StatusOK)
			if len(list.body) > 2000 {
				a.Errorf("got %d bytes, want the name cut off", len(list.body))
			}
			a.alive(p)
		}},
		{"markup in a form that is shown again", "CWE-79, ASVS 1.2.1", func(a *arena) {
			const script = `"><script>alert(1)</script>`
			for _, path := range []string{"/account/forgot_password", "/account/enter_code", "/account/reset_password", "/account/verify_email", "/account/undo_email_change"} {
				got := a.post(path, form("email", script, "token", script, "code", script, "password", script, "password_confirmation", script, "lang", script), formType)
				a.want(got, http.StatusUnprocessableEntity)
				if strings.Contains(got.body, "<script") || strings.Contains(got.body, `"">`) {
					a.Errorf("%s: got markup in the page: %s", path, got.body)
				}
			}
			p := a.person()
			a.works(p, a.resetMail(p))
		}},
		{"a password that is shown again", "ASVS 14.2.6, CWE-549", func(a *arena) {
			p := a.person()
			l := a.resetMail(p)
			const typed = "typed and refused 7"
			got := a.post(resetPage, form("token", l.token, "password", typed, "password_confirmation", typed+"x"), formType)
			a.want(got, http.StatusUnprocessableEntity)
			if strings.Contains(got.body, typed) {
				a.Errorf("got the password in the page: %s", got.body)
			}
			a.works(p, l)
		}},
		{"a message of an error repeats nothing", "CWE-209, ASVS 16.5.1", func(a *arena) {
			p := a.person()
			const secret = "zz-secret-zz"
			for _, got := range []answer{
				a.signIn(secret, secret), a.signIn(p.name, secret), a.post("/sign_in", `{"login":"`+secret+`"`), a.post("/sign_up", members{"username": secret + "!", "email": secret, "password": secret, "password_confirmation": "x"}),
				a.put("/reset_password", resetWith(secret, personsPassword+"x")), a.get("/" + secret), a.get("/user", bearer(secret)), a.put("/user/password", members{"current_password": secret, "password": chosen, "password_confirmation": chosen}, bearer(p.token)),
			} {
				if got.status < 400 || strings.Contains(got.body, secret) {
					a.Errorf("got %d %s, want a refusal that repeats nothing", got.status, got.body)
				}
			}
			a.unharmed(p)
		}},
	}
}
