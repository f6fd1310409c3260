package attack_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

func passwordAttacks() []attack {
	return slices.Concat(passwordEquivalents(), passwordRules(), hostileHashes(), passwordOracles())
}

// withPassword signs somebody up who has this password.
func (a *arena) withPassword(password string) person {
	a.Helper()
	name := newName()
	body := signUpOf(name)
	body["password"], body["password_confirmation"] = password, password
	got := a.must(a.post("/sign_up", body), http.StatusOK)
	return person{got.text("id"), name, name + "@example.org", password, got.token()}
}

// passwordEquivalents try passwords that a careless service takes for the right one.
func passwordEquivalents() []attack {
	const (
		exact  = "ASVS 6.2.8"
		bcrypt = "CWE-303, ASVS 6.2.8, ASVS 6.2.9" // bcrypt reads 72 bytes
		forms  = "NIST SP 800-63B-4 §3.1.1.2, UAX #15"
	)
	differ := func(name, against, right string, wrong ...string) attack {
		return attack{name, against, func(a *arena) {
			p := a.withPassword(right)
			for _, password := range wrong {
				a.want(a.signIn(p.name, password), http.StatusUnauthorized)
			}
			a.unharmed(p)
		}}
	}
	same := func(name, right string, typed ...string) attack {
		return attack{name, forms, func(a *arena) {
			p := a.withPassword(right)
			for _, password := range typed {
				a.want(a.signIn(p.name, password), http.StatusOK)
			}
			a.want(a.signIn(p.name, right+"x"), http.StatusUnauthorized)
		}}
	}
	first72 := strings.Repeat("a1b2c3d4e", 8)
	return []attack{
		differ("73 bytes with the same first 72", bcrypt, first72+"X", first72+"Y", first72, first72+"XX"),
		differ("200 bytes with the same first 72", bcrypt, first72+strings.Repeat("r", 128), first72+strings.Repeat("s", 128), first72),
		differ("256 characters that differ in the last", "ASVS 6.2.9", strings.Repeat("x", 255)+"1", strings.Repeat("x", 255)+"2", strings.Repeat("x", 255)),
		differ("1,024 bytes that differ in the last", "ASVS 6.2.9", strings.Repeat("🐝", 255)+"🐞", strings.Repeat("🐝", 255)+"🐛", strings.Repeat("🐝", 255)),
		differ("a password up to its NUL", "CWE-158", "before\x00behind", "before", "before\x00", "before\x00other", "beforebehind"),
		differ("a space before it", exact, " spaces matter", "spaces matter", "  spaces matter"),
		differ("a space behind it", exact, "spaces matter ", "spaces matter", "spaces matter  "),
		differ("a line break behind it", exact, "one line only", "one line only\n", "one line only\r\n", "one line only\x00"),
		differ("the other case", exact, "Case Matters", "case matters", "CASE MATTERS", "cASE mATTERS"),
		differ("a tab for a space", exact, "tabs and spaces", "tabs\tand spaces"),
		differ("fewer spaces", exact, "two  spaces", "two spaces"),
		differ("an accent that is missing", exact, "pässwörter sind", "passworter sind", "pa\u0308ssworter sind"),
		differ("a look-alike of another script", "CWE-1007", "correct h\u043erse", "correct horse"),
		differ("a zero-width space more", exact, "zero width here", "zero\u200b width here", "zero width here\u200b"),
		differ("escapes that nobody undoes", "ASVS 1.1.1", "100%25 sure &amp; safe", "100% sure & safe", "100%25 sure & safe"),
		same("the composed and the decomposed form", "pässwörter", "pa\u0308sswo\u0308rter"),
		same("the decomposed form first", "pa\u0308sswo\u0308rter", "pässwörter"),
		same("full-width characters for the ordinary", "ｗｉｄｅ　ｃｈａｒｓ", "wide chars"),
		same("a ligature and a superscript", "ﬁne print²", "fine print2"),
		same("the Hangul syllables and their letters", "비밀번호비밀번호", "\u1107\u1175\u1106\u1175\u11af\u1107\u1165\u11ab\u1112\u1169\u1107\u1175\u1106\u1175\u11af\u1107\u1165\u11ab\u1112\u1169"),
		{"the hash as password", "CWE-836", func(a *arena) {
			p := a.person()
			hash := query[string](a.T, a.service, "SELECT password_hash FROM users WHERE username = $1", p.name)
			for _, part := range append(strings.Split(hash, "$"), hash) {
				if part != "" {
					a.want(a.signIn(p.name, part), http.StatusUnauthorized)
				}
			}
			a.unharmed(p)
		}},
		{"a password of 1 MB", "CWE-770, ASVS 15.2.2", func(a *arena) {
			p := a.person()
			began := time.Now()
			a.want(a.signIn(p.name, strings.Repeat("x", 1<<20)), http.StatusRequestEntityTooLarge)
			a.want(a.signIn(p.name, strings.Repeat("x", 15_000)), http.StatusUnauthorized)
			a.want(a.signIn(p.name, strings.Repeat("\ufdfa", 1200)), http.StatusUnauthorized) // 18 times as long in NFKC
			a.makesNobody(func() {
				body := signUpOf(newName())
				long := strings.Repeat("\ufdfa", 250)
				body["password"], body["password_confirmation"] = long, long
				a.want(a.post("/sign_up", body), http.StatusUnprocessableEntity)
			})
			if took := time.Since(began); took > 10*time.Second {
				a.Errorf("got the answers after %v, want them promptly", took)
			}
			a.unharmed(p)
		}},
	}
}

func passwordRules() []attack {
	const common = "ASVS 6.2.4"
	refused := func(name, against, raw string) attack {
		return attack{"a new password " + name, against, func(a *arena) {
			who := newName()
			const request = `{"username":"%[1]s","email":"%[1]s@example.org","password":%[2]s,"password_confirmation":%[2]s}`
			a.makesNobody(func() { a.want(a.post("/sign_up", fmt.Sprintf(request, who, raw)), http.StatusUnprocessableEntity) })
			a.want(a.post("/sign_up", fmt.Sprintf(request, who, `"correct horse battery"`)), http.StatusOK)
		}}
	}
	// everywhere tries a password at every door that sets one.
	everywhere := func(name, against string, password func(p person) string) attack {
		return attack{name, against, func(a *arena) {
			p := a.person()
			l := a.resetMail(p)
			bad := password(p)
			a.want(a.put("/user/password", members{"current_password": p.password, "password": bad, "password_confirmation": bad}, bearer(p.token)), http.StatusUnprocessableEntity)
			a.want(a.put("/reset_password", resetWith(l.token, bad)), http.StatusUnprocessableEntity)
			a.want(a.post(resetPage, form("token", l.token, "password", bad, "password_confirmation", bad), formType), http.StatusUnprocessableEntity)
			a.makesNobody(func() {
				body := signUpOf(newName())
				body["password"], body["password_confirmation"] = bad, bad
				if strings.Contains(strings.ToLower(bad), p.name) { // it is that user's own name that is refused
					body["username"], body["email"] = p.name, p.address
				}
				a.want(a.post("/sign_up", body), http.StatusUnprocessableEntity)
			})
			a.want(a.signIn(p.name, bad), http.StatusUnauthorized)
			a.unharmed(p)
			a.works(p, l)
		}}
	}
	fixed := func(s string) func(person) string { return func(person) string { return s } }
	return []attack{
		refused("in an array", "ASVS 15.3.5", `["correct horse battery"]`),
		refused("that is a number", "ASVS 15.3.5", `1234567890`),
		refused("that is null", "ASVS 15.3.5", `null`),
		refused("that is true", "ASVS 15.3.5", `true`),
		refused("that is empty", "ASVS 6.2.1", `""`),
		signUpAs("a new password that its confirmation is not", "ASVS 2.2.3", "password", `"correct horse battery"`, http.StatusUnprocessableEntity),
		everywhere("seven characters", "ASVS 6.2.1", fixed("zq7!kd9")),
		everywhere("eight bytes that are two characters", "ASVS 6.2.1", fixed("🐝🐝")),
		everywhere("eight characters that are four in NFKC", "ASVS 6.2.1", fixed("a\u0308a\u0308a\u0308a\u0308")),
		everywhere("257 characters", "CWE-1284", fixed(strings.Repeat("zq", 128)+"z")),
		everywhere("the most common password", common, fixed("password")),
		everywhere("a common password of digits", common, fixed("12345678")),
		everywhere("a common password with a digit", common, fixed("password1")),
		everywhere("a common password in full-width characters", common, fixed("ｐａｓｓｗｏｒｄ")),
		everywhere("one's own name", "ASVS 6.2.11", func(p person) string { return p.name }),
		everywhere("one's own name in capitals", "ASVS 6.2.11", func(p person) string { return strings.ToUpper(p.name) }),
		everywhere("one's own address", "ASVS 6.2.11", func(p person) string { return p.address }),
		{"a password that is not ruled by kinds of characters", "ASVS 6.2.5", func(a *arena) {
			for _, password := range []string{"aaaaaaab", "        ", "密码密码密码密码", "🐝🐞🐛🦋🐌🐜🦗🕷", "no capitals no digits", "\x01\x02\x03\x04\x05\x06\x07\x0e"} {
				a.unharmed(a.withPassword(password))
			}
		}},
	}
}

// hostileHashes are written into the database, as somebody could who can write there: nobody is signed in by them, and
// they cost nothing.
func hostileHashes() []attack {
	const (
		dear = "CWE-400, CWE-789"
		salt = "c29tZXNhbHRzb21lc2FsdA"
		key  = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	)
	hash := func(name, against, phc string) attack {
		return attack{"a stored hash " + name, against, func(a *arena) {
			p := a.person()
			good := query[string](a.T, a.service, "SELECT password_hash FROM users WHERE username = $1", p.name)
			hostile := strings.NewReplacer("%g", good, "%h", good[:len(good)-1], "%p", p.password).Replace(phc)
			a.exec(a.T, "UPDATE users SET password_hash = $1 WHERE username = $2", hostile, p.name)
			began := time.Now()
			for _, password := range []string{p.password, "wrong password", hostile} {
				if password != "" {
					a.want(a.signIn(p.name, password), http.StatusUnauthorized)
				}
			}
			a.want(a.put("/user/password", members{"current_password": p.password, "password": chosen, "password_confirmation": chosen}, bearer(p.token)), http.StatusUnprocessableEntity)
			if took := time.Since(began); took > 8*time.Second {
				a.Errorf("got the answers after %v, want them promptly", took)
			}
			a.bounded()
			a.exec(a.T, "UPDATE users SET password_hash = $1 WHERE username = $2", good, p.name)
			a.unharmed(p)
		}}
	}
	argon := func(params string) string { return "$argon2id$v=19$" + params + "$" + salt + "$" + key }
	return []attack{
		hash("with 4 GiB of memory", dear, argon("m=4194304,t=1,p=1")),
		hash("with all the memory that can be written", dear, argon("m=4294967295,t=1,p=1")),
		hash("with memory beyond 32 bits", "CWE-190", argon("m=4294967304,t=1,p=1")),
		hash("with memory beyond 64 bits", "CWE-190", argon("m=18446744073709551624,t=1,p=1")),
		hash("with a thousand million passes", dear, argon("m=19456,t=1000000000,p=1")),
		hash("with 255 lanes", dear, argon("m=19456,t=2,p=255")),
		hash("with 256 lanes", "CWE-190", argon("m=19456,t=2,p=256")),
		hash("with 257 lanes, which are one in 8 bits", "CWE-190", argon("m=19456,t=2,p=257")),
		hash("without memory", "CWE-369", argon("m=0,t=2,p=1")),
		hash("without passes", "CWE-369", argon("m=19456,t=0,p=1")),
		hash("without lanes", "CWE-369", argon("m=19456,t=2,p=0")),
		hash("with negative memory", "CWE-190", argon("m=-1,t=2,p=1")),
		hash("as dear as two limits together allow", dear, argon("m=262144,t=16,p=16")),
		hash("without its last character", "Zitadel CVE-2026-27840", "%h"),
		hash("without a key", "CWE-20", "$argon2id$v=19$m=19456,t=2,p=1$"+salt+"$"),
		hash("with a key of one byte", "CWE-916", "$argon2id$v=19$m=19456,t=2,p=1$"+salt+"$AA"),
		hash("without a salt", "CWE-759", "$argon2id$v=19$m=19456,t=2,p=1$$"+key),
		hash("with a salt of 10,000 bytes", dear, "$argon2id$v=19$m=19456,t=2,p=1$"+strings.Repeat("A", 10_000)+"$"+key),
		hash("without fields", "CWE-20", "$argon2id$"),
		hash("of another version", "CWE-20", "$argon2id$v=16$m=19456,t=2,p=1$"+salt+"$"+key),
		hash("of argon2i", "CWE-20", "$argon2i$v=19$m=19456,t=2,p=1$"+salt+"$"+key),
		hash("of bcrypt", "CWE-20", "$2a$31$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuuabcdefghij"),
		hash("of MD5", "CWE-328", "5f4dcc3b5aa765d61d8327deb882cf99"),
		hash("that is the password itself", "CWE-256", "%p"),
		hash("that is empty", "CWE-258", ""),
		hash("with a good one twice", "CWE-20", "%g%g"),
		hash("with a space before a good one", "CWE-20", " %g"),
		hash("with a line break behind a good one", "CWE-20", "%g\n"),
		hash("with a parameter twice", "CWE-20", argon("m=19456,m=8,t=2,p=1")),
		hash("with parameters in another order", "CWE-20", argon("t=2,m=19456,p=1")),
		hash("with the secret of another", "CWE-20", argon("m=19456,t=2,p=1,keyid=AA")),
	}
}

// bounded checks that the program and its helper take no more memory than they may.
func (a *arena) bounded() {
	a.Helper()
	if runtime.GOOS != "linux" {
		return
	}
	total := 0
	children, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", a.pid))
	pids := []string{strconv.Itoa(a.pid)}
	for _, file := range children {
		b, _ := os.ReadFile(file)
		pids = append(pids, strings.Fields(string(b))...)
	}
	for _, pid := range pids {
		b, _ := os.ReadFile("/proc/" + pid + "/status")
		_, rest, found := strings.Cut(string(b), "VmHWM:") // the most that it ever had
		if fields := strings.Fields(rest); found && len(fields) > 0 {
			kib, _ := strconv.Atoi(fields[0])
			total += kib
		}
	}
	if limit := 400 << 10; total == 0 || total > limit {
		a.Errorf("got %d KiB at most in %d processes, want more than nothing and at most %d", total, len(pids), limit)
	}
}

func passwordOracles() []attack {
	const oracle = "ASVS 6.3.8, CWE-204"
	return []attack{
		{"a refused sign-in tells nothing of the user", oracle, func(a *arena) {
			known, disabled, deleted, broken := a.person(), a.person(), a.person(), a.person()
			guest, fan := a.guest(), a.fan("oracle-"+newName())
			a.command(a.T, "user", "disable", disabled.name)
			a.must(a.do(http.MethodDelete, "/user", members{"current_password": deleted.password}, bearer(deleted.token)), http.StatusNoContent)
			a.exec(a.T, "UPDATE users SET password_hash = 'x' WHERE username = $1", broken.name)
			want := a.signIn("nobody-at-all", "wrong password")
			a.want(want, http.StatusUnauthorized)
			for _, try := range [][2]string{
				{known.name, "wrong password"},
				{known.address, "wrong password"},
				{disabled.name, disabled.password},
				{disabled.name, "wrong password"},
				{deleted.name, deleted.password},
				{guest.name, "wrong password"},
				{guest.address, "wrong password"},
				{fan.name, "wrong password"},
				{fan.address, "wrong password"},
				{broken.name, broken.password},
				{"nobody@example.org", "wrong password"},
				{"not a name", "wrong password"},
				{"a@b@c", "wrong password"},
				{known.name, strings.Repeat("x", 2000)},
				{strings.Repeat("x", 2000), "wrong password"},
			} {
				got := a.signIn(try[0], try[1])
				if got.but() != want.but() {
					a.Errorf("%.40s: got %s, want %s", try[0], got.but(), want.but())
				}
				if names(got.header) != names(want.header) {
					a.Errorf("%.40s: got the headers %s, want %s", try[0], names(got.header), names(want.header))
				}
			}
			a.unharmed(known)
		}},
		{"an answer to a reset tells nothing of the user", oracle, func(a *arena) {
			known, disabled := a.person(), a.person()
			guest := a.guest()
			a.command(a.T, "user", "disable", disabled.name)
			want := a.post("/reset_password", members{"email": "nobody@example.org"})
			a.want(want, http.StatusNoContent)
			page := a.post("/account/forgot_password", form("email", "nobody@example.org"), formType)
			for _, address := range []string{known.address, disabled.address, guest.address, strings.ToUpper(known.address)} {
				if got := a.post("/reset_password", members{"email": address}); got.but() != want.but() || names(got.header) != names(want.header) {
					a.Errorf("%s: got %s, want %s", address, got.but(), want.but())
				}
				if got := a.post("/account/forgot_password", form("email", address), formType); got.but() != page.but() || got.header.Get("Location") != page.header.Get("Location") {
					a.Errorf("%s: got %s, want %s", address, got.but(), page.but())
				}
			}
			a.newest(known.address, resetPage)
		}},
		{"the user of a guest's or WeChat's account has no password", "CWE-258", func(a *arena) {
			guest, fan := a.guest(), a.fan("none-"+newName())
			for _, p := range []person{guest, fan} {
				for _, password := range []string{" ", "null", p.name, "password", "\x00"} {
					a.want(a.signIn(p.name, password), http.StatusUnauthorized)
				}
				a.want(a.put("/user/password", members{"current_password": "x", "password": chosen, "password_confirmation": chosen}, bearer(p.token)), http.StatusUnprocessableEntity)
				a.want(a.signIn(p.name, chosen), http.StatusUnauthorized)
				a.alive(p)
			}
		}},
	}
}

// names lists the headers of an answer.
func names(h http.Header) string {
	list := make([]string, 0, len(h))
	for name := range h {
		list = append(list, name)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}
