package attack_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// limited returns an arena whose program has its limits on, behind a proxy that is trusted: each request comes from an
// address of its own unless it says from where.
func (a *arena) limited() *arena {
	a.Helper()
	if a.withLimits == nil {
		a.withLimits = a.another("--rate-limits=on", "--trusted-proxies=127.0.0.0/8")
	}
	return &arena{T: a.T, service: a.withLimits, crowd: true}
}

// from is the header of a client at an address, as the proxy writes it.
func from(address string) string { return "X-Forwarded-For: " + address }

// newAddress returns an address that nobody else has.
func newAddress() string {
	n := serial.Add(1)
	return fmt.Sprintf("11.%d.%d.%d", n>>16&255, n>>8&255, n&255)
}

// guess tries a wrong password.
func (a *arena) guess(login string, headers ...string) answer {
	a.Helper()
	return a.post("/sign_in", members{"login": login, "password": "a wrong password"}, headers...)
}

// waits checks for the refusal of a limit: 429 with everything that a client needs to come back in time.
func (a *arena) waits(got answer) {
	a.Helper()
	if got.status != http.StatusTooManyRequests || got.text("code") != "rate_limited" || strings.Trim(got.header.Get("Retry-After"), "0123456789") != "" || got.header.Get("Retry-After") == "" || got.header.Get("RateLimit") == "" {
		a.Errorf("got %d %.200s with %v, want 429 with Retry-After and RateLimit", got.status, got.body, got.header)
	}
}

// lockedOut guesses until there is a wait.
func (a *arena) lockedOut(p person) {
	a.Helper()
	for range 10 {
		a.want(a.guess(p.name), http.StatusUnauthorized)
	}
	a.waits(a.guess(p.name))
}

// inLimits is a case against the program with limits.
func inLimits(name, against string, try func(a *arena)) attack {
	return attack{name, against, func(a *arena) { try(a.limited()) }}
}

func limitAttacks() []attack {
	return slices.Concat(guessSeries(), guessesFromAddresses(), limitsOnOthers())
}

func guessSeries() []attack {
	const (
		series = "ASVS 6.3.1, CWE-307"
		lock   = "ASVS 6.1.1, CWE-645" // malicious lockout
	)
	// wrongGuesses makes many at once or in a row; at most ten may have been looked at.
	atMostTen := func(a *arena, p person, answers []answer) {
		a.Helper()
		count := make(map[int]int)
		for _, got := range answers {
			count[got.status]++
		}
		if count[http.StatusUnauthorized] != 10 || count[http.StatusUnauthorized]+count[http.StatusTooManyRequests] != len(answers) {
			a.Errorf("got the statuses %v, want 401 ten times and 429 else", count)
		}
		a.waits(a.signIn(p.name, p.password)) // the right one too: nobody looks at it
		a.alive(p)
	}
	inARow := func(a *arena, n int, guess func(i int) answer) (list []answer) {
		for i := range n {
			list = append(list, guess(i))
		}
		return list
	}
	return []attack{
		inLimits("thirty guesses in a row", series, func(a *arena) {
			p := a.person()
			atMostTen(a, p, inARow(a, 30, func(int) answer { return a.guess(p.name) }))
		}),
		inLimits("two hundred guesses at once", "Keycloak CVE-2024-4629, CWE-362", func(a *arena) {
			p := a.person()
			answers, _ := a.atOnce(200, func(int) answer { return a.guess(p.name) })
			atMostTen(a, p, answers)
		}),
		inLimits("guesses over all spellings of the login", "Authelia CVE-2025-24806", func(a *arena) {
			p := a.person()
			spellings := []string{p.name, p.address, strings.ToUpper(p.name), strings.ToUpper(p.address), strings.ToUpper(p.name[:1]) + p.name[1:], p.name + "@EXAMPLE.org", strings.ToUpper(p.name) + "@example.org"}
			atMostTen(a, p, inARow(a, 30, func(i int) answer { return a.guess(spellings[i%len(spellings)]) }))
		}),
		inLimits("guesses over all spellings at once", "Authelia CVE-2025-24806, Keycloak CVE-2024-4629", func(a *arena) {
			p := a.person()
			spellings := []string{p.name, p.address, strings.ToUpper(p.name), strings.ToUpper(p.address)}
			answers, _ := a.atOnce(60, func(i int) answer { return a.guess(spellings[i%len(spellings)]) })
			atMostTen(a, p, answers)
		}),
		inLimits("guesses from many addresses", series, func(a *arena) {
			p := a.person()
			atMostTen(a, p, inARow(a, 20, func(int) answer { return a.guess(p.name, from(newAddress())) }))
		}),
		inLimits("guesses with many names of devices", series, func(a *arena) {
			p := a.person()
			atMostTen(a, p, inARow(a, 20, func(i int) answer {
				return a.guess(p.name, fmt.Sprint("User-Agent: device ", i), fmt.Sprint("Latchkey-Device: ld1_", i), fmt.Sprintf("X-Request-Id: %d", i), "Accept-Language: zh-CN")
			}))
		}),
		inLimits("guesses over the restart of the service", series, func(a *arena) {
			// A second program on the database has nothing of the first one's memory, as after a restart or on another node.
			p := a.person()
			second := &arena{T: a.T, service: start(a.T, a.config, "--rate-limits=on", "--trusted-proxies=127.0.0.0/8"), crowd: true}
			atMostTen(a, p, inARow(a, 24, func(i int) answer {
				if i%2 == 0 {
					return a.guess(p.name)
				}
				return second.guess(p.name)
			}))
			second.waits(second.signIn(p.name, p.password))
		}),
		inLimits("an unknown login meets the same waits", "ASVS 6.3.8, CWE-204", func(a *arena) {
			p := a.person()
			unknown := "unknown" + newName()
			for i := range 14 {
				known, other := a.guess(p.name), a.guess(unknown)
				if known.but() != other.but() || names(known.header) != names(other.header) {
					a.Errorf("guess %d: got %s for a user and %s for nobody, want the same", i, known.but(), other.but())
				}
			}
			a.alive(p)
		}),
		inLimits("guesses at the current password of a stolen session", series, func(a *arena) {
			p := a.person()
			guess := func(int) answer {
				return a.put("/user/password", members{"current_password": "a wrong password", "password": chosen, "password_confirmation": chosen}, bearer(p.token))
			}
			list := inARow(a, 14, guess)
			for i, got := range list {
				if want := http.StatusUnprocessableEntity; i < 10 {
					a.want(got, want)
				} else {
					a.waits(got)
				}
			}
			a.waits(a.do(http.MethodDelete, "/user", members{"current_password": p.password}, bearer(p.token)))
			a.unharmed(p) // a thief's guesses keep nobody from signing in
		}),
		inLimits("a locked-out user keeps the session and may reset", lock, func(a *arena) {
			p := a.person()
			a.lockedOut(p)
			a.alive(p)
			a.works(p, a.resetMail(p))
		}),
		inLimits("a locked-out user is let in by the operator", lock, func(a *arena) {
			p := a.person()
			a.lockedOut(p)
			a.command(a.T, "user", "unlock", p.name)
			a.unharmed(p)
		}),
		inLimits("a device that signed in before has a lane of its own", lock, func(a *arena) {
			p, other := a.person(), a.person()
			device := func(p person) string {
				token := a.must(a.post("/sign_in", members{"login": p.name, "password": p.password}, "Latchkey-Device: new"), http.StatusOK).header.Get("Latchkey-Device")
				if token == "" {
					a.Fatal("got no token of the device")
				}
				return "Latchkey-Device: " + token
			}
			own, foreign := device(p), device(other)
			a.lockedOut(p)
			right := func(header string) answer {
				return a.post("/sign_in", members{"login": p.name, "password": p.password}, header)
			}
			for _, bad := range []string{"Latchkey-Device: new", foreign, own[:len(own)-1], own + "A", own[:len(own)-2] + other2(own), "Latchkey-Device: ld1_", strings.ToUpper(own)} {
				a.waits(right(bad))
			}
			a.want(right(own), http.StatusOK)
			for range 5 {
				a.want(a.guess(p.name, own), http.StatusUnauthorized)
			}
			a.waits(right(own))
			a.dead(strings.TrimPrefix(own, "Latchkey-Device: "))
			a.alive(p)
		}),
		inLimits("a victim on a known device while ten thousand guesses run", lock+", ASVS 15.2.2", func(a *arena) {
			p := a.person()
			token := a.must(a.post("/sign_in", members{"login": p.name, "password": p.password}, "Latchkey-Device: new"), http.StatusOK).header.Get("Latchkey-Device")
			n := 2000
			if long() {
				n = 10_000
			}
			var verified, refused, guesses atomic.Int64
			var done atomic.Bool
			var running sync.WaitGroup
			for range 32 {
				running.Go(func() {
					for guesses.Add(1) <= int64(n) || !done.Load() {
						switch got := a.guess(p.name); got.status {
						case http.StatusUnauthorized:
							verified.Add(1)
						case http.StatusTooManyRequests:
							refused.Add(1)
						default:
							a.Errorf("got %d %s for a guess, want 401 or 429", got.status, got.body)
						}
					}
				})
			}
			eventually(a.T, "the guesses are refused", func() bool { return refused.Load() > 100 })
			var times []time.Duration
			for range 15 {
				began := time.Now()
				a.want(a.post("/sign_in", members{"login": p.name, "password": p.password}, "Latchkey-Device: "+token), http.StatusOK)
				times = append(times, time.Since(began))
			}
			done.Store(true)
			running.Wait()
			slices.Sort(times)
			median, slowest := times[len(times)/2], times[len(times)-1]
			if median > time.Second {
				a.Errorf("got sign-ins after %v, want them within 1 s", times)
			}
			total := verified.Load() + refused.Load()
			if verified.Load() > 10 || total < int64(n) {
				a.Errorf("got %d guesses looked at of %d, want at most 10", verified.Load(), total)
			}
			a.Logf("%d guesses, %d of them looked at; the victim's sign-ins: median %v, slowest %v", total, verified.Load(), median, slowest)
			a.alive(p)
		}),
	}
}

// other2 returns two characters that differ from the last two.
func other2(s string) string { return other(s[len(s)-2]) + other(s[len(s)-1]) }

// thirtyAMinute guesses until that is refused. No more may be looked at than thirty, and one in two seconds since.
func (a *arena) thirtyAMinute(guess func(i int) answer) {
	a.Helper()
	began := time.Now()
	for i := range 200 {
		got := guess(i)
		if got.status == http.StatusUnauthorized {
			continue
		}
		a.waits(got)
		if most := 30 + int(time.Since(began)/(2*time.Second)); i > most {
			a.Errorf("got %d guesses looked at, want at most %d", i, most)
		}
		return
	}
	a.Error("got 200 guesses looked at, want a limit")
}

func guessesFromAddresses() []attack {
	const (
		forged = "authentik CVE-2024-47070, ASVS 4.1.3"
		spray  = "ASVS 6.3.1, CWE-307"
	)
	// sprayed guesses once at each of many users from an address.
	sprayed := func(name, against string, headers func(i int, address string) []string) attack {
		return inLimits(name, against, func(a *arena) {
			p := a.person()
			address := newAddress()
			a.thirtyAMinute(func(i int) answer { return a.guess("nobody"+newName(), headers(i, address)...) })
			a.unharmed(p)
		})
	}
	return []attack{
		sprayed("one password for many users", spray, func(_ int, address string) []string { return []string{from(address)} }),
		sprayed("forged hops in front of the client's", forged, func(i int, address string) []string {
			return []string{from(fmt.Sprintf("203.0.113.%d, %s", i, address))}
		}),
		sprayed("forged headers in front of the proxy's", forged, func(i int, address string) []string {
			return []string{from(fmt.Sprintf("203.0.113.%d", i)), from(address)}
		}),
		sprayed("other headers with other addresses", forged, func(i int, address string) []string {
			forged := fmt.Sprintf("203.0.113.%d", i)
			return []string{from(address), "X-Real-IP: " + forged, "True-Client-IP: " + forged, "CF-Connecting-IP: " + forged, "X-Client-IP: " + forged, "X-Originating-IP: " + forged, "X-Cluster-Client-IP: " + forged}
		}),
		sprayed("trusted hops behind the client's", forged, func(i int, address string) []string {
			return []string{from(fmt.Sprintf("203.0.113.%d, %s, 127.0.0.%d", i, address, i+2))}
		}),
		sprayed("one household of IPv6", "RFC 6177, ASVS 6.3.1", func(i int, address string) []string {
			var x, y, z int
			_, _ = fmt.Sscanf(address, "11.%d.%d.%d", &x, &y, &z)
			return []string{from(fmt.Sprintf("2001:db8:%x:%x::%x", x<<8|y, z, i+1))}
		}),
		sprayed("IPv4 written as IPv6", forged, func(i int, address string) []string {
			if i%2 == 0 {
				return []string{from("::ffff:" + address)}
			}
			return []string{from(address)}
		}),
		sprayed("an address with many ports", forged, func(i int, address string) []string {
			return []string{from(fmt.Sprintf("%s:%d", address, 1024+i))}
		}),
		inLimits("addresses that cannot be read share the proxy's limit", forged, func(a *arena) {
			p := a.person()
			bad := []string{"unknown", "999.1.1.1", "_hidden", "203.0.113.1, garbage", "1.2.3.4;x", "", "[", "1.2.3"}
			a.thirtyAMinute(func(i int) answer { return a.guess("nobody"+newName(), from(bad[i%len(bad)])) })
			a.unharmed(p)
		}),
		inLimits("a Forwarded that says otherwise", forged+", RFC 7239", func(a *arena) {
			// Two headers that disagree: the socket's address counts.
			a.thirtyAMinute(func(i int) answer {
				return a.guess("nobody"+newName(), from(newAddress()), fmt.Sprintf("Forwarded: for=203.0.113.%d", i))
			})
			a.unharmed(a.person())
		}),
		{"forged addresses without a trusted proxy", forged, func(outer *arena) {
			a := &arena{T: outer.T, service: start(outer.T, outer.config, "--rate-limits=on")}
			a.thirtyAMinute(func(i int) answer {
				return a.guess("nobody"+newName(), from(newAddress()), fmt.Sprintf("Forwarded: for=203.0.113.%d", i))
			})
			a.waits(a.guess("nobody" + newName()))
			outer.unharmed(outer.person()) // on the program without limits, the same database
		}},
	}
}

// limitsOnOthers are limits on what costs others something: accounts, mail.
func limitsOnOthers() []attack {
	const flood = "ASVS 2.4.1, CWE-799"
	bounded := func(name string, limit int, request func(a *arena, i int, header string) answer, good int) attack {
		return inLimits(name, flood, func(a *arena) {
			header := from(newAddress())
			for i := range limit {
				a.want(request(a, i, header), good)
			}
			a.makesNobody(func() {
				a.mailsNobody(func() { a.waits(request(a, limit, header)) })
			})
			a.want(request(a, limit+1, from(newAddress())), good)
		})
	}
	signUp := func(a *arena, _ int, header string) answer { return a.post("/sign_up", signUpOf(newName()), header) }
	reset := func(a *arena, _ int, header string) answer {
		return a.post("/reset_password", members{"email": newName() + "@example.org"}, header)
	}
	return []attack{
		bounded("twenty sign-ups from one address", 20, signUp, http.StatusOK),
		bounded("thirty guests from one address", 30, func(a *arena, _ int, header string) answer { return a.post("/sign_up_temporarily", nil, header) }, http.StatusOK),
		bounded("ten resets from one address", 10, reset, http.StatusNoContent),
		bounded("ten resets from one address, on the page and in the API", 10, func(a *arena, i int, header string) answer {
			if i%2 == 1 || i == 10 {
				return reset(a, i, header)
			}
			got := a.post("/account/forgot_password", form("email", newName()+"@example.org"), formType, header)
			if got.status == http.StatusSeeOther {
				got.status = http.StatusNoContent
			}
			return got
		}, http.StatusNoContent),
		inLimits("forty sign-ups at once from one address", flood+", CWE-362", func(a *arena) {
			header := from(newAddress())
			before := a.users()
			_, count := a.atOnce(40, func(i int) answer { return signUp(a, i, header) })
			if count[http.StatusOK] != 20 || count[http.StatusTooManyRequests] != 20 || a.users() != before+20 {
				a.Errorf("got the statuses %v and %d users more, want 20 of each", count, a.users()-before)
			}
		}),
		inLimits("a flood of one victim's mailbox", "CWE-799, CWE-640", func(a *arena) {
			p := a.person()
			for i := range 20 {
				address := p.address
				if i%2 == 1 {
					address = strings.ToUpper(p.address)
				}
				got := a.post("/reset_password", members{"email": address})
				if got.status != http.StatusNoContent || got.body != "" {
					a.Errorf("got %d %s, want 204 each time", got.status, got.body)
				}
			}
			list := a.mail(p.address, resetPage)
			if len(list) != 3 {
				a.Fatalf("got %d mails, want 3", len(list))
			}
			a.works(p, list[2])
		}),
		inLimits("a flood of confirmations", "CWE-799", func(a *arena) {
			p := a.person()
			for range 10 {
				a.want(a.post("/user/email/verification", nil, bearer(p.token)), http.StatusAccepted, http.StatusTooManyRequests)
			}
			if list := a.mail(p.address, verifyPage); len(list) > 4 || len(list) == 0 {
				a.Errorf("got %d mails, want at most four", len(list))
			}
			a.alive(p)
		}),
	}
}
