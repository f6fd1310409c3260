package attack_test

import (
	"fmt"
	"net/http"
	"strings"
)

// auditAttacks leave traces, or try to leave none, or wrong ones.
func auditAttacks() []attack {
	const events = "ASVS 16.3.1"
	// recorded waits until there are so many events of a kind about a user.
	recorded := func(a *arena, p person, kind, outcome string, n int64) {
		a.Helper()
		eventually(a.T, fmt.Sprintf("%d events %s %s", n, kind, outcome), func() bool {
			return query[int64](a.T, a.service, "SELECT COUNT(*) FROM audit_events WHERE user_id = CAST($1 AS BIGINT) AND kind = $2 AND outcome = $3", p.id, kind, outcome) >= n
		})
	}
	// all returns what is kept, as text.
	all := func(a *arena) string {
		a.Helper()
		rows, err := a.db.QueryContext(a.Context(), "SELECT kind || ' ' || outcome || ' ' || reason || ' ' || proof || ' ' || token || ' ' || login || ' ' || ip || ' ' || user_agent FROM audit_events")
		if err != nil {
			a.Fatal(err)
		}
		defer rows.Close()
		var text strings.Builder
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				a.Fatal(err)
			}
			text.WriteString(line + "\n")
		}
		if err := rows.Err(); err != nil {
			a.Fatal(err)
		}
		return text.String()
	}
	return []attack{
		{"guesses are on record", events, func(a *arena) {
			p := a.person()
			for range 3 {
				a.want(a.signIn(p.name, "wrong password"), http.StatusUnauthorized)
			}
			recorded(a, p, "sign_in", "refused", 3)
			a.unharmed(p)
			recorded(a, p, "sign_in", "ok", 1)
		}},
		{"a takeover by mail is on record", events, func(a *arena) {
			p := a.person()
			l := a.resetMail(p)
			a.works(p, l)
			recorded(a, p, "password_reset_mailed", "ok", 1)
			recorded(a, p, "password_reset", "ok", 1)
		}},
		{"a deleted user's events stay", "ASVS 16.4.2", func(a *arena) {
			p := a.person()
			a.must(a.do(http.MethodDelete, "/user", members{"current_password": p.password}, bearer(p.token)), http.StatusNoContent)
			recorded(a, p, "sign_up", "ok", 1)
			recorded(a, p, "user_deleted", "ok", 1)
		}},
		{"no secret and nothing that was typed is on record", "ASVS 16.2.5, CWE-532", func(a *arena) {
			p := a.person()
			l := a.resetMail(p)
			a.want(a.signIn("typed-login-zz", "typed-password-zz"), http.StatusUnauthorized)
			a.want(a.signIn("typed-address-zz@example.org", p.password), http.StatusUnauthorized)
			a.want(a.signIn(p.address, "typed-password-zz"), http.StatusUnauthorized)
			a.want(a.put("/reset_password", resetWith(l.token+"x", chosen)), http.StatusUnprocessableEntity)
			a.want(a.put("/reset_password", resetByCode(p.address, "00000000", chosen)), http.StatusUnprocessableEntity)
			a.works(p, l)
			recorded(a, p, "password_reset", "ok", 1)
			recorded(a, p, "sign_in", "refused", 1)
			text := all(a)
			for _, secret := range []string{p.password, p.token, p.token[idEnd:secretEnd], l.token, l.code, p.address, "typed-", chosen, "$argon2", serverKey} {
				if strings.Contains(text, secret) {
					a.Errorf("got %q in the events, want it never", secret)
				}
			}
		}},
		{"a forged event in the name of a device", "ASVS 16.4.1, CWE-117", func(a *arena) {
			p := a.person()
			name := "31mforged-" + p.name
			a.want(a.post("/sign_in", members{"login": p.name, "password": p.password}, "User-Agent: \u009b"+name+"\u202e\xff sign_in ok"), http.StatusOK)
			eventually(a.T, "the event is there", func() bool { return strings.Contains(all(a), name) })
			text := all(a)
			for _, bad := range []string{"\u009b", "\u202e", "\xff", "\x1b"} {
				if strings.Contains(text, bad) {
					a.Errorf("got %q in the events, want it taken away", bad)
				}
			}
			a.alive(p)
		}},
		{"a guest by a key that is easily thought of", "CWE-330, CWE-639", func(a *arena) {
			a.makesNobody(func() {
				for _, key := range []string{"1", "abc", "guest", "0000", "aaaaaaa"} {
					a.want(a.post("/sign_up_temporarily", nil, "Idempotency-Key: "+key), http.StatusBadRequest, http.StatusUnprocessableEntity)
				}
			})
			key := "Idempotency-Key: key-of-" + newName() + "-that-is-long-enough"
			first := a.must(a.post("/sign_up_temporarily", nil, key), http.StatusOK)
			again := a.must(a.post("/sign_up_temporarily", nil, key), http.StatusOK)
			if first.text("id") != again.text("id") {
				a.Errorf("got guests %s and %s for one key, want one", first.text("id"), again.text("id"))
			}
		}},
		{"the key of a guest who became a user", "CWE-639, CWE-613", func(a *arena) {
			key := "Idempotency-Key: key-of-" + newName() + "-that-is-long-enough"
			first := a.must(a.post("/sign_up_temporarily", nil, key), http.StatusOK)
			name := newName()
			user := a.must(a.post("/sign_up", signUpOf(name), bearer(first.token())), http.StatusOK)
			got := a.post("/sign_up_temporarily", nil, key)
			if got.token() != "" && got.text("id") == user.text("id") {
				a.Errorf("got %s, want no session of the user", got.body)
			}
			a.unharmed(person{user.text("id"), name, name + "@example.org", personsPassword + name, user.token()})
		}},
	}
}
