package attack_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

func tokenAttacks() []attack {
	return slices.Concat(forgedTokens(), tokenHeaders(), endedTokens(), otherSessions())
}

// The parts of a session token: lk_, 11 characters of the session's id, 32 of secret, 6 of checksum.
const (
	idEnd     = 3 + 11
	secretEnd = idEnd + 32
)

// forged tries tokens that are made of a good one; none opens anything, and the good one still does.
func forged(name, against string, forge func(token string) []string) attack {
	return attack{name, against, func(a *arena) {
		p := a.guest()
		a.alive(p) // and so the session is in the cache
		list := forge(p.token)
		for _, token := range list {
			got := a.get("/user", bearer(token))
			if token == p.token || got.status != http.StatusUnauthorized {
				a.Errorf("got %d for the token %q made of %q, want 401", got.status, token, p.token)
			}
		}
		if len(list) == 0 {
			a.Error("got no token to try")
		}
		a.alive(p)
	}}
}

func one(change func(token string) string) func(string) []string {
	return func(token string) []string { return []string{change(token)} }
}

func forgedTokens() []attack {
	const (
		whole   = "Zitadel CVE-2026-27840"
		entropy = "ASVS 7.2.3, CWE-330"
		types   = "CWE-287"
	)
	return []attack{
		forged("every beginning of a token", whole, func(s string) (list []string) {
			for i := 1; i < len(s); i++ {
				list = append(list, s[:i])
			}
			return list
		}),
		forged("every end of a token", whole, func(s string) (list []string) {
			for i := 1; i < len(s); i++ {
				list = append(list, s[i:])
			}
			return list
		}),
		forged("a token without one of its characters", whole, func(s string) (list []string) {
			for i := range s {
				list = append(list, s[:i]+s[i+1:])
			}
			return list
		}),
		forged("a token with every character changed to every other", whole, func(s string) (list []string) {
			for i := range s {
				for _, c := range base62 {
					if byte(c) != s[i] {
						list = append(list, s[:i]+string(c)+s[i+1:])
					}
				}
			}
			return list
		}),
		forged("a token with every character of the secret changed and a right checksum", entropy, func(s string) (list []string) {
			for i := idEnd; i < secretEnd; i++ {
				list = append(list, sealed(s[:i]+other(s[i])+s[i+1:secretEnd]))
			}
			return list
		}),
		forged("a token with every character in the other case and a right checksum", whole, func(s string) (list []string) {
			for i := idEnd; i < secretEnd; i++ {
				if c := swapCase(s[i : i+1]); c != s[i:i+1] {
					list = append(list, sealed(s[:i]+c+s[i+1:secretEnd]))
				}
			}
			return list
		}),
		forged("a token with neighbours exchanged and a right checksum", whole, func(s string) (list []string) {
			for i := 3; i < secretEnd-1; i++ {
				if s[i] != s[i+1] {
					list = append(list, sealed(s[:i]+s[i+1:i+2]+s[i:i+1]+s[i+2:secretEnd]))
				}
			}
			return list
		}),
		forged("the ids around a session's, with its secret and a right checksum", "CWE-639, "+entropy, func(s string) (list []string) {
			for _, d := range []byte(base62) {
				if d != s[idEnd-1] {
					list = append(list, sealed(s[:idEnd-1]+string(d)+s[idEnd:secretEnd]))
				}
			}
			return list
		}),
		forged("a session's id with secrets that are easily thought of", entropy, func(s string) (list []string) {
			for _, c := range []string{"0", "z", "A"} {
				list = append(list, sealed(s[:idEnd]+strings.Repeat(c, 32)))
			}
			return append(list, sealed(s[:idEnd]), s[:idEnd])
		}),
		forged("a token with an id of zero, and with the largest", "CWE-190", func(s string) []string {
			return []string{sealed("lk_00000000000" + s[idEnd:secretEnd]), sealed("lk_zzzzzzzzzzz" + s[idEnd:secretEnd]), sealed("lk_AzL8n0Y58m8" + s[idEnd:secretEnd])}
		}),
		forged("a token with another prefix", whole, func(s string) []string {
			return []string{"LK_" + s[3:], s[3:], "lk-" + s[3:], "sk_" + s[3:], sealed("lk " + s[3:secretEnd])}
		}),
		forged("a token in capitals, and in small letters", whole, func(s string) []string {
			return []string{strings.ToUpper(s), strings.ToLower(s), swapCase(s)}
		}),
		forged("a token with something behind it", whole, func(s string) []string {
			return []string{s + "0", s + "=", s + ".", s + "\t.", s + s, s + "," + s, s + "; x", s + "%00", s + " x", `"` + s + `"`, "'" + s + "'"}
		}),
		forged("a token with something before it", whole, func(s string) []string {
			return []string{"0" + s, "." + s, "token " + s, "Bearer " + s, "token=" + s, `"` + s}
		}),
		forged("a token in another encoding", whole, func(s string) []string {
			return []string{hex.EncodeToString([]byte(s)), base64.StdEncoding.EncodeToString([]byte(s)), wide(s), strings.ReplaceAll(s, "_", "%5F")}
		}),
		forged("words that are no tokens", types, func(string) []string {
			return []string{"null", "undefined", "true", "false", "0", "1", "-1", "[]", "{}", "*", "%", "_", "NaN", "' OR '1'='1", "../../etc/passwd", "admin"}
		}),
		forged("a token of 15 KB", "CWE-770", one(func(s string) string { return s + strings.Repeat("0", 15_000) })),
		forged("a token signed with no algorithm", "CVE-2015-9235", one(func(string) string { return "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0." })),
		{"the ids and names of a user as tokens", "CWE-287", func(a *arena) {
			p := a.person()
			for _, token := range []string{p.id, p.name, p.address, p.password} {
				a.dead(token)
			}
			a.alive(p)
		}},
		{"what the database keeps of a token", "ASVS 13.3.1, CWE-522", func(a *arena) {
			p := a.person()
			hash := query[[]byte](a.T, a.service, "SELECT token_hash FROM sessions WHERE user_id = CAST($1 AS BIGINT)", p.id)
			for _, token := range []string{string(hex.EncodeToString(hash)), base64.StdEncoding.EncodeToString(hash), base64.RawURLEncoding.EncodeToString(hash), sealed(p.token[:idEnd] + hex.EncodeToString(hash)[:32])} {
				a.dead(token)
			}
			a.alive(p)
		}},
		{"the secret of one session with the id of another", "CWE-639", func(a *arena) {
			p, q := a.person(), a.person()
			a.alive(p)
			a.alive(q)
			a.dead(sealed(p.token[:idEnd] + q.token[idEnd:secretEnd]))
			a.dead(sealed(q.token[:idEnd] + p.token[idEnd:secretEnd]))
			a.alive(p)
			a.alive(q)
		}},
		{"no part of a secret comes twice", entropy, func(a *arena) {
			tokens := make(map[string]bool)
			for range 20 {
				secret := a.guest().token[idEnd:secretEnd]
				for i := range len(secret) - 8 {
					if tokens[secret[i:i+8]] {
						a.Errorf("got %s again", secret[i:i+8])
					}
					tokens[secret[i:i+8]] = true
				}
			}
		}},
	}
}

// tokenHeaders show a token in places and in ways. Each line is a request with these headers; %t is the person's token and
// %o another person's.
func tokenHeaders() []attack {
	shown := func(name, against string, status int, headers ...string) attack {
		return attack{name, against, func(a *arena) {
			p, q := a.guest(), a.guest()
			filled := make([]string, len(headers))
			for i, line := range headers {
				filled[i] = strings.NewReplacer("%t", p.token, "%o", q.token).Replace(line)
			}
			got := a.get("/user", filled...)
			a.want(got, status)
			if status == http.StatusOK && got.text("id") != p.id {
				a.Errorf("got user %s, want %s", got.text("id"), p.id)
			}
			a.alive(p)
			a.alive(q)
		}}
	}
	const (
		conflict = "RFC 6750 §2, ASVS 15.3.7"
		place    = "ASVS 14.2.1, RFC 6750 §2.3"
		no, two  = http.StatusUnauthorized, http.StatusBadRequest
	)
	return []attack{
		shown("two tokens in two headers", conflict, two, "Private-Token: %t", "Authorization: Bearer %o"),
		shown("two tokens in one kind of header", conflict, two, "Private-Token: %t", "Private-Token: %o"),
		shown("two bearer tokens", conflict, two, "Authorization: Bearer %t", "Authorization: Bearer %o"),
		shown("a good token and a bad one", conflict, two, "Private-Token: %t", "Authorization: Bearer x"),
		shown("a bad token and a good one", conflict, two, "Private-Token: x", "Private-Token: %t"),
		shown("a good token and an empty bearer", conflict, two, "Private-Token: %t", "Authorization: Bearer"),
		shown("two tokens in one header", conflict, no, "Private-Token: %t,%o"),
		shown("two tokens in one bearer", conflict, no, "Authorization: Bearer %t %o"),
		shown("the same token twice", conflict, http.StatusOK, "Private-Token: %t", "Authorization: Bearer %t"),
		shown("a bearer in small letters", "RFC 9110 §11.1", http.StatusOK, "Authorization: bearer %t"),
		shown("a token of another scheme", "RFC 9110 §11.1", no, "Authorization: Token %t"),
		shown("a token as Basic", "RFC 7617", no, "Authorization: Basic %t"),
		shown("a token without a scheme", "RFC 9110 §11.1", no, "Authorization: %t"),
		shown("a token in a cookie", "ASVS 3.5.1, CWE-352", no, "Cookie: private_token=%t; PRIVATE-TOKEN=%t; token=%t; session=%t"),
		shown("a token in other headers", place, no, "X-Private-Token: %t", "X-Auth-Token: %t", "X-Access-Token: %t", "Proxy-Authorization: Bearer %t", "X-Api-Key: %t"),
		{"a token in the URL", place, func(a *arena) {
			p := a.regularPerson()
			for _, name := range []string{"private_token", "access_token", "token", "PRIVATE-TOKEN", "bearer_token", "api_key"} {
				a.want(a.get("/user?"+name+"="+p.token), no)
			}
			a.want(a.get("/user/"+p.token), http.StatusNotFound)
			a.alive(p)
		}},
		{"a token in the body", place, func(a *arena) {
			p := a.regularPerson()
			a.want(a.put("/user", members{"private_token": p.token, "access_token": p.token, "fullname": "Mallory"}), no)
			a.want(a.put("/user", form("access_token", p.token), formType), no)
			a.alive(p)
		}},
		{"a token with spaces around it", "RFC 9110 §5.5", func(a *arena) {
			p := a.regularPerson()
			got := a.raw(a.T, "GET /user HTTP/1.1\r\nHost: x\r\nConnection: close\r\nPrivate-Token: \t "+p.token+" \t\r\n\r\n")
			if !strings.HasPrefix(got, "HTTP/1.1 200") {
				a.Errorf("got %.100q, want spaces around a header's value taken away", got)
			}
			a.want(a.get("/user", "Private-Token: "+p.token[:10]+" "+p.token[10:]), no)
		}},
		{"every bad token gets one answer", "ASVS 6.3.8", func(a *arena) {
			p := a.regularPerson()
			ended := a.must(a.signIn(p.name, p.password), http.StatusOK).token()
			a.must(a.post("/sign_out", nil, bearer(ended)), http.StatusNoContent)
			want := a.get("/user").but()
			for _, token := range []string{"x", ended, p.token[:51], sealed(p.token[:idEnd] + strings.Repeat("0", 32)), sealed("lk_00000000001" + strings.Repeat("0", 32))} {
				if got := a.get("/user", bearer(token)).but(); got != want {
					a.Errorf("got %s for the token %s, want %s", got, token, want)
				}
			}
			a.alive(p)
		}},
	}
}

func endedTokens() []attack {
	const ended = "ASVS 7.4.1, CWE-613"
	return []attack{
		{"a token after signing out", ended, func(a *arena) {
			p := a.person()
			other := a.must(a.signIn(p.name, p.password), http.StatusOK).token()
			a.alive(p)
			a.must(a.post("/sign_out", nil, bearer(p.token)), http.StatusNoContent)
			a.dead(p.token)
			a.want(a.post("/sign_out", nil, bearer(p.token)), http.StatusUnauthorized)
			p.token = other
			a.unharmed(p)
		}},
		{"the token of a disabled user", "ASVS 7.4.2", func(a *arena) {
			p, q := a.person(), a.person()
			a.alive(p) // in the cache
			a.command(a.T, "user", "disable", p.name)
			eventually(a.T, "the program hears of it", func() bool { return a.get("/user", bearer(p.token)).status == http.StatusUnauthorized })
			for _, path := range []string{"/user", "/user/sessions"} {
				a.want(a.get(path, bearer(p.token)), http.StatusUnauthorized)
			}
			a.want(a.put("/user", members{"fullname": "Still here"}, bearer(p.token)), http.StatusUnauthorized)
			a.want(a.signIn(p.name, p.password), http.StatusUnauthorized)
			a.unharmed(q)
			a.command(a.T, "user", "enable", p.name)
			a.want(a.signIn(p.name, p.password), http.StatusOK)
		}},
		{"a disabled WeChat user", "ASVS 7.4.2, ASVS 6.3.3", func(a *arena) {
			uid := "disabled-" + newName()
			fan := a.fan(uid)
			a.command(a.T, "user", "disable", fan.name)
			a.makesNobody(func() {
				a.want(a.post("/sign_in_with/wechat", members{"uid": uid}, "Latchkey-Server-Key: "+serverKey), http.StatusUnauthorized)
			})
			a.command(a.T, "user", "enable", fan.name)
			if got := a.fan(uid); got.id != fan.id {
				a.Errorf("got user %s, want %s", got.id, fan.id)
			}
		}},
		{"the token of a deleted user", "ASVS 7.4.2", func(a *arena) {
			p := a.person()
			other := a.must(a.signIn(p.name, p.password), http.StatusOK).token()
			a.want(a.get("/user", bearer(other)), http.StatusOK)
			a.must(a.do(http.MethodDelete, "/user", members{"current_password": p.password}, bearer(p.token)), http.StatusNoContent)
			a.dead(p.token)
			a.dead(other)
			a.want(a.signIn(p.name, p.password), http.StatusUnauthorized)
			a.want(a.signIn(p.address, p.password), http.StatusUnauthorized)
		}},
		{"an expired token", "ASVS 7.3.1", func(a *arena) {
			p := a.person()
			late := a.must(a.signIn(p.name, p.password), http.StatusOK).token()
			other := a.must(a.signIn(p.name, p.password), http.StatusOK).token()
			newest := query[int64](a.T, a.service, "SELECT MAX(id) FROM sessions WHERE user_id = CAST($1 AS BIGINT)", p.id)
			a.exec(a.T, "UPDATE sessions SET expires_at = $1 WHERE user_id = CAST($2 AS BIGINT) AND id < $3", time.Now().Add(-time.Second).UnixMicro(), p.id, newest)
			a.dead(late)
			a.want(a.get("/user", bearer(other)), http.StatusOK)
			p.token = other
			a.unharmed(p)
		}},
		{"the tokens of a guest who became a user", "ASVS 7.2.4, CWE-384", func(a *arena) {
			guest := a.guest()
			a.alive(guest)
			name := newName()
			got := a.must(a.post("/sign_up", signUpOf(name), bearer(guest.token)), http.StatusOK)
			a.dead(guest.token)
			a.unharmed(person{guest.id, name, name + "@example.org", personsPassword + name, got.token()})
		}},
		{"the tokens from before a change of password", "ASVS 7.4.3", func(a *arena) {
			p := a.person()
			stolen := a.must(a.signIn(p.name, p.password), http.StatusOK).token()
			a.want(a.get("/user", bearer(stolen)), http.StatusOK)
			next := personsPassword + "changed"
			got := a.must(a.put("/user/password", members{"current_password": p.password, "password": next, "password_confirmation": next}, bearer(p.token)), http.StatusOK)
			a.dead(stolen)
			a.dead(p.token)
			a.want(a.signIn(p.name, p.password), http.StatusUnauthorized)
			p.token, p.password = got.token(), next
			a.unharmed(p)
		}},
		{"the oldest of more than a hundred sessions", "ASVS 7.1.2", func(a *arena) {
			uid := "many-" + newName()
			fan := a.fan(uid)
			var last person
			for range 100 {
				last = a.fan(uid)
			}
			a.dead(fan.token)
			a.alive(last)
		}},
		{"two hundred changes with a token that ends meanwhile", "CWE-367, ASVS 15.4.2", func(a *arena) {
			p := a.person()
			other := a.must(a.signIn(p.name, p.password), http.StatusOK).token()
			var after atomic.Int64
			var signedOut atomic.Bool
			a.atOnce(20, func(i int) answer {
				if i == 10 {
					got := a.post("/sign_out", nil, bearer(p.token))
					signedOut.Store(true)
					return got
				}
				for range 10 {
					begunAfter := signedOut.Load()
					if got := a.put("/user", members{"phone_number": "10086"}, bearer(p.token)); got.status != http.StatusUnauthorized && begunAfter {
						after.Add(1)
					}
				}
				return answer{}
			})
			if n := after.Load(); n > 0 {
				a.Errorf("got %d changes accepted after the session ended, want none", n)
			}
			a.want(a.get("/user", bearer(other)), http.StatusOK)
		}},
		revokedUnderLoad("by signing out", func(a *arena, p person, _ string) answer {
			return a.post("/sign_out", nil, bearer(p.token))
		}),
		revokedUnderLoad("from another device", func(a *arena, _ person, other string) answer {
			return a.do(http.MethodDelete, "/user/sessions", nil, bearer(other))
		}),
		revokedUnderLoad("by a reset", func(a *arena, p person, _ string) answer {
			return a.put("/reset_password", resetWith(a.resetMail(p).token, personsPassword+"renewed"))
		}),
	}
}

// revokedUnderLoad ends a session while 1,000 requests a second verify its token: none that began after the answer may
// be accepted.
func revokedUnderLoad(name string, revoke func(a *arena, p person, other string) answer) attack {
	return attack{"1,000 checks a second while a session ends " + name, "CWE-613, CWE-367", func(a *arena) {
		p := a.person()
		other := a.must(a.signIn(p.name, p.password), http.StatusOK).token()
		var (
			revoked           atomic.Bool
			before, late, bad atomic.Int64
			running           sync.WaitGroup
			stop              = make(chan struct{})
		)
		for range 10 { // each 100 a second
			running.Go(func() {
				tick := time.NewTicker(10 * time.Millisecond)
				defer tick.Stop()
				for {
					select {
					case <-stop:
						return
					case <-tick.C:
					}
					begunAfter := revoked.Load()
					r, err := http.NewRequestWithContext(a.Context(), http.MethodGet, a.url+"/user", nil)
					if err != nil {
						bad.Add(1)
						return
					}
					r.Header.Set("Private-Token", p.token)
					resp, err := a.client.Do(r)
					if err != nil {
						bad.Add(1)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
					switch {
					case resp.StatusCode == http.StatusOK && begunAfter:
						late.Add(1)
					case resp.StatusCode == http.StatusOK:
						before.Add(1)
					}
				}
			})
		}
		time.Sleep(500 * time.Millisecond)
		got := revoke(a, p, other)
		revoked.Store(true)
		time.Sleep(500 * time.Millisecond)
		close(stop)
		running.Wait()
		a.want(got, http.StatusNoContent)
		if late.Load() != 0 || bad.Load() != 0 || before.Load() < 50 {
			a.Errorf("got %d accepted before, %d after and %d broken, want many, none and none", before.Load(), late.Load(), bad.Load())
		}
		a.dead(p.token)
	}}
}

func otherSessions() []attack {
	const foreign = "ASVS 8.2.2, CWE-639"
	ids := func(a *arena, token string) (list []string) {
		a.Helper()
		var sessions []struct {
			ID      json.Number `json:"id"`
			Current bool        `json:"current"`
		}
		got := a.must(a.get("/user/sessions", bearer(token)), http.StatusOK)
		if err := json.Unmarshal([]byte(got.body), &sessions); err != nil {
			a.Fatal(err)
		}
		for _, s := range sessions {
			list = append(list, s.ID.String())
		}
		return list
	}
	return []attack{
		{"another user's session by its id", foreign, func(a *arena) {
			victim, attacker := a.person(), a.person()
			id := ids(a, victim.token)[0]
			a.want(a.do(http.MethodDelete, "/user/sessions/"+id, nil, bearer(attacker.token)), http.StatusNotFound)
			a.unharmed(victim)
			a.want(a.do(http.MethodDelete, "/user/sessions/"+id, nil, bearer(victim.token)), http.StatusNoContent)
			a.dead(victim.token)
		}},
		{"a session's id that is none", "ASVS 2.2.1", func(a *arena) {
			p := a.person()
			for _, id := range []string{"0", "-1", "1e3", "9999999999999999999999", "0x1", "%2e%2e", "all", "*", "1%20OR%201=1", "null", "1,2", "+1", "%D9%A1"} {
				a.want(a.do(http.MethodDelete, "/user/sessions/"+id, nil, bearer(p.token)), http.StatusNotFound)
			}
			a.unharmed(p)
		}},
		{"the other sessions are one's own only", foreign, func(a *arena) {
			victim, attacker := a.person(), a.person()
			a.want(a.do(http.MethodDelete, "/user/sessions?user_id="+victim.id, members{"user_id": victim.id, "all": true}, bearer(attacker.token)), http.StatusNoContent)
			a.unharmed(victim)
			a.unharmed(attacker)
		}},
		{"the list of sessions shows no token", "ASVS 15.3.1", func(a *arena) {
			p := a.person()
			second := a.must(a.signIn(p.name, p.password), http.StatusOK).token()
			got := a.must(a.get("/user/sessions", bearer(p.token)), http.StatusOK)
			for _, secret := range []string{p.token[idEnd:secretEnd], second[idEnd:secretEnd], "hash", "lk_"} {
				if strings.Contains(got.body, secret) {
					a.Errorf("got %q in %s, want no secret", secret, got.body)
				}
			}
			if n := len(ids(a, p.token)); n < 2 {
				a.Errorf("got %d sessions, want two", n)
			}
		}},
		{"the user's data shows no secret", "ASVS 15.3.1", func(a *arena) {
			p := a.person()
			for _, got := range []answer{a.get("/user", bearer(p.token)), a.put("/user", members{}, bearer(p.token))} {
				if a.want(got, http.StatusOK); strings.Contains(got.body, "token") || strings.Contains(got.body, "password") || strings.Contains(got.body, "hash") {
					a.Errorf("got %s, want no secret", got.body)
				}
			}
		}},
		{"twenty-five users at once see only themselves", "CWE-488", func(a *arena) {
			people := make([]person, 25)
			for i := range people {
				people[i] = a.guest()
			}
			answers, _ := a.atOnce(200, func(i int) answer { return a.get("/user", bearer(people[i%25].token)) })
			for i, got := range answers {
				if got.text("id") != people[i%25].id {
					a.Errorf("got user %s for the token of %s", got.text("id"), people[i%25].id)
				}
			}
		}},
	}
}
