package attack_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

func jsonAttacks() []attack { return slices.Concat(massAssignments(), jsonBodies(), mediaTypes()) }

// columns are those of the users table, and what an attacker would like to see in them.
var columns = map[string]any{
	"id":                1,
	"username":          "admin",
	"email":             mallory,
	"email_key":         mallory,
	"email_verified_at": 1,
	"fullname":          "Mallory",
	"avatar":            "https://evil.example/a.png",
	"phone_number":      "10086",
	"password_hash":     "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
	"guest":             1,
	"status":            0,
	"language":          "zh-CN",
	"created_at":        1,
	"signed_in_at":      1,
	"deleted_at":        1,

	"phone_number_verified_at": 1,
}

// massAssignments set every column of the database, and every member that other services have.
func massAssignments() []attack {
	const mass = "ASVS 15.3.3, CWE-915"
	// profile are the members that PUT /user may set.
	profile := []string{"fullname", "avatar", "phone_number"}
	list := []attack{{"the columns of the database are those that are tried", mass, func(a *arena) {
		rows, err := a.db.QueryContext(a.Context(), "SELECT * FROM users WHERE id = 0")
		if err != nil {
			a.Fatal(err)
		}
		defer rows.Close()
		names, err := rows.Columns()
		if err != nil || rows.Err() != nil {
			a.Fatal(err, rows.Err())
		}
		for _, name := range names {
			if columns[name] == nil {
				a.Errorf("got the column %s, want it among those that are tried", name)
			}
		}
	}}}
	row := func(a *arena, p person) string {
		a.Helper()
		return query[string](a.T, a.service, `SELECT username || ' ' || email || ' ' || email_key || ' ' || COALESCE(CAST(email_verified_at AS TEXT), '-') || ' ' || fullname || ' ' ||
			COALESCE(avatar, '-') || ' ' || COALESCE(phone_number, '-') || ' ' || password_hash || ' ' || guest || ' ' || status || ' ' || language || ' ' || created_at || ' ' ||
			COALESCE(CAST(deleted_at AS TEXT), '-') || ' ' || COALESCE(CAST(phone_number_verified_at AS TEXT), '-') FROM users WHERE id = CAST($1 AS BIGINT)`, p.id)
	}
	names := make([]string, 0, len(columns))
	for name := range columns {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if slices.Contains(profile, name) {
			continue
		}
		list = append(list, attack{"a change of profile sets " + name, mass, func(a *arena) {
			p := a.person()
			before := row(a, p)
			a.want(a.put("/user", members{name: columns[name]}, bearer(p.token)), http.StatusOK)
			if after := row(a, p); after != before {
				a.Errorf("got the row %s, want %s", after, before)
			}
			got := a.want2(a.put("/user", members{"fullname": "As I like it", name: columns[name]}, bearer(p.token)), http.StatusOK)
			if got.text("fullname") != "As I like it" {
				a.Errorf("got %s, want the change that is allowed", got.body)
			}
		}})
	}
	return append(list, []attack{
		{"a sign-up sets every column", mass, func(a *arena) {
			honest := a.person()
			name := newName()
			body := signUpOf(name)
			for column, value := range columns {
				if body[column] == nil {
					body[column] = value
				}
			}
			got := a.must(a.post("/sign_up", body), http.StatusOK)
			p := person{got.text("id"), name, name + "@example.org", personsPassword + name, got.token()}
			a.unharmed(p)
			user := a.get("/user", bearer(p.token))
			if user.text("guest") != "false" || user.text("email_verified") != "false" || user.text("fullname") != name || user.text("avatar") != "" || user.text("phone_number") != "" || p.id == "1" {
				a.Errorf("got %s, want a user like any other", user.body)
			}
			if fields := strings.Fields(row(a, p)); fields[3] != "-" || fields[8] != "0" || fields[9] != "0" || fields[11] == "1" || fields[12] != "-" || fields[13] != "-" {
				a.Errorf("got the row %v, want one like any other", fields)
			}
			a.unharmed(honest)
		}},
		{"a sign-up with the members of other services", mass, func(a *arena) {
			name := newName()
			body := signUpOf(name)
			for _, member := range []string{"admin", "is_admin", "isAdmin", "role", "roles", "is_superuser", "is_staff", "permissions", "scope", "email_verified", "emailVerified", "confirmed", "verified", "confirmed_at", "private_token", "token", "user_id", "userId", "uuid", "_id", "provider", "identities", "app_metadata", "__proto__", "constructor", "$set"} {
				body[member] = "admin"
			}
			got := a.must(a.post("/sign_up", body), http.StatusOK)
			if got.token() == "admin" || strings.Contains(got.body, "admin") {
				a.Errorf("got %s, want nothing of the other members", got.body)
			}
			if user := a.get("/user", bearer(got.token())); strings.Contains(user.body, "admin") || user.text("email_verified") != "false" {
				a.Errorf("got %s, want nothing of the other members", user.body)
			}
		}},
		{"a guest who says what they are", mass, func(a *arena) {
			got := a.must(a.post("/sign_up_temporarily", columns), http.StatusOK)
			user := a.get("/user", bearer(got.token()))
			if user.text("guest") != "true" || user.text("username") == "admin" || user.text("email") == mallory || user.text("avatar") != "" {
				a.Errorf("got %s, want a guest like any other", user.body)
			}
		}},
		{"a WeChat sign-in sets what it may not", mass, func(a *arena) {
			uid := "mass-" + newName()
			got := a.must(a.post("/sign_in_with/wechat", members{"uid": uid, "id": 1, "guest": true, "status": 0, "email_verified": true, "password_hash": "x", "created_at": 1}, "Latchkey-Server-Key: "+serverKey), http.StatusOK)
			if user := a.get("/user", bearer(got.token())); user.text("guest") != "false" || user.text("email_verified") != "false" || user.text("id") == "1" {
				a.Errorf("got %s, want a user like any other", user.body)
			}
		}},
		{"a sign-in as another user", mass, func(a *arena) {
			victim, attacker := a.person(), a.person()
			got := a.must(a.post("/sign_in", members{"login": attacker.name, "password": attacker.password, "id": victim.id, "user_id": victim.id, "username": victim.name, "email": victim.address}), http.StatusOK)
			if got.text("id") != attacker.id {
				a.Errorf("got user %s, want %s", got.text("id"), attacker.id)
			}
		}},
		{"a change of password of another user", mass, func(a *arena) {
			victim, attacker := a.person(), a.person()
			a.want(a.put("/user/password", members{
				"current_password": attacker.password, "password": chosen, "password_confirmation": chosen, "id": victim.id, "user_id": victim.id, "username": victim.name, "email": victim.address,
			}, bearer(attacker.token)), http.StatusOK)
			a.unharmed(victim)
			a.want(a.signIn(attacker.name, chosen), http.StatusOK)
		}},
	}...)
}

// want2 is want that passes the answer on.
func (a *arena) want2(got answer, statuses ...int) answer {
	a.Helper()
	a.want(got, statuses...)
	return got
}

// body is a sign-in with a body that a parser may read in another way than is meant; %n and %p stand for name and password.
func body(name, against, text string, status int) attack {
	return attack{name, against, func(a *arena) {
		p := a.regularPerson()
		filled := strings.NewReplacer("%n", p.name, "%p", p.password).Replace(text)
		got := a.post("/sign_in", filled)
		a.want(got, status)
		if status != http.StatusOK && got.token() != "" {
			a.Errorf("got a token, want none: %s", got.body)
		}
		a.unharmed(p)
	}}
}

func jsonBodies() []attack {
	const (
		names   = "RFC 8259 §4, ASVS 1.5.3"
		grammar = "RFC 8259 §2"
		utf8    = "RFC 8259 §8.1"
		types   = "ASVS 15.3.5"
		bad     = http.StatusBadRequest
		invalid = http.StatusUnprocessableEntity
		good    = `"login":"%n","password":"%p"`
	)
	return []attack{
		body("a member twice", names, `{"login":"admin",`+good+`}`, bad),
		body("a member twice, once escaped", names, `{"l\u006fgin":"admin",`+good+`}`, bad),
		body("an unknown member twice", names, `{"x":1,"x":2,`+good+`}`, bad),
		body("a member twice deep inside", names, `{"x":{"y":{"z":1,"z":2}},`+good+`}`, bad),
		body("a member in capitals", names, `{"LOGIN":"%n","password":"%p"}`, bad),
		body("a member in capitals beside the right one", names, `{"Login":"admin",`+good+`}`, bad),
		body("a member with the long s", "Django CVE-2019-19844, RFC 8259 §4", `{"login":"%n","pa\u017fsword":"x","password":"%p"}`, bad),
		body("an escaped name alone is the name", "RFC 8259 §8.3", `{"\u006cogin":"%n","password":"%p"}`, http.StatusOK),
		body("an array at the top", types, `[{`+good+`}]`, bad),
		body("a text at the top", types, `"%n"`, bad),
		body("a number at the top", types, `1`, bad),
		body("null at the top", types, `null`, bad),
		body("nothing", grammar, ``, bad),
		body("only spaces", grammar, `   `, bad),
		body("data behind the object", grammar, `{`+good+`}x`, bad),
		body("a second object", grammar, `{`+good+`}{"login":"admin"}`, bad),
		body("a comma too many", grammar, `{`+good+`,}`, bad),
		body("a comment", grammar, `{/*x*/`+good+`}`, bad),
		body("single quotes", grammar, `{'login':'%n','password':'%p'}`, bad),
		body("names without quotes", grammar, `{login:"%n",password:"%p"}`, bad),
		body("an object that does not end", grammar, `{`+good, bad),
		body("a text that does not end", grammar, `{"login":"%n`, bad),
		body("NaN", grammar, `{"x":NaN,`+good+`}`, bad),
		body("a number with a zero in front", grammar, `{"x":01,`+good+`}`, bad),
		body("a hexadecimal number", grammar, `{"x":0x1,`+good+`}`, bad),
		body("a byte order mark", utf8, "\ufeff{"+good+"}", bad),
		body("UTF-16", utf8, "\xff\xfe{\x00\"\x00", bad),
		body("invalid UTF-8 in a value", utf8, "{\"x\":\"\xff\","+good+"}", bad),
		body("invalid UTF-8 in a name", utf8, "{\"\xc3\x28\":1,"+good+"}", bad),
		body("a lone surrogate in a value", "RFC 8259 §8.2", `{"x":"\ud800",`+good+`}`, bad),
		body("a NUL between members", grammar, "{\x00"+good+"}", bad),
		body("an end of line in a text", grammar, "{\"x\":\"a\nb\","+good+"}", bad),
		body("a depth of 10,001 arrays", "CWE-674", `{"x":`+strings.Repeat("[", 10_001), bad),
		body("a depth of 3,000 objects", "CWE-674", `{"x":`+strings.Repeat(`{"a":`, 3000), bad),
		body("a depth of 5,000 that is closed again", "CWE-674", `{"x":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)+`,`+good+`}`, http.StatusOK),
		body("1e400 in an unknown member", "RFC 8259 §6, CWE-190", `{"x":1e400,`+good+`}`, http.StatusOK),
		body("1e400 as password", types, `{"login":"%n","password":1e400}`, invalid),
		body("a number of 10,000 digits", "CWE-1284", `{"x":`+strings.Repeat("9", 10_000)+`,`+good+`}`, http.StatusOK),
		body("a password of true", types, `{"login":"%n","password":true}`, invalid),
		body("a password of 0", types, `{"login":"%n","password":0}`, invalid),
		body("a password of null", types, `{"login":"%n","password":null}`, invalid),
		body("a password in an array", types, `{"login":"%n","password":["%p"]}`, invalid),
		body("a password that is an operator", "CWE-943", `{"login":"%n","password":{"$gt":""}}`, invalid),
		body("no password", types, `{"login":"%n"}`, invalid),
		body("an empty password", types, `{"login":"%n","password":""}`, invalid),
		body("a prototype", "CWE-1321", `{"__proto__":{"login":"admin"},"constructor":{"prototype":{"x":1}},`+good+`}`, http.StatusOK),
		body("an entity of XML", "CWE-611, ASVS 1.5.1", `<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>`, bad),
		body("2,000 members", "CWE-407", `{`+manyMembers(2000)+good+`}`, http.StatusOK),
		{"a body of 16 KiB and one byte", "CWE-770", func(a *arena) {
			p := a.person()
			fill := func(size int) string {
				b := fmt.Sprintf(`{"login":%q,"password":%q,"x":"`, p.name, p.password)
				return b + strings.Repeat("x", size-len(b)-2) + `"}`
			}
			a.want(a.post("/sign_in", fill(16<<10)), http.StatusOK)
			a.want(a.post("/sign_in", fill(16<<10+1)), http.StatusRequestEntityTooLarge)
			a.want(a.post("/sign_in", &chunked{strings.NewReader(fill(16<<10 + 1))}), http.StatusRequestEntityTooLarge)
			a.want(a.post("/sign_in", fill(1<<20)), http.StatusRequestEntityTooLarge)
			a.unharmed(p)
		}},
	}
}

// chunked hides the length of a body, which is then sent in chunks.
type chunked struct{ r *strings.Reader }

func (c *chunked) Read(b []byte) (int, error) { return c.r.Read(b) }

func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"%x":1,`, i)
	}
	return b.String()
}

func mediaTypes() []attack {
	const cors = "ASVS 3.5.2, CWE-352"
	mediaType := func(name, against string, headers []string, status int) attack {
		return attack{name, against, func(a *arena) {
			p := a.regularPerson()
			honest := fmt.Sprintf(`{"login":%q,"password":%q}`, p.name, p.password)
			a.want(a.post("/sign_in", honest, headers...), status)
			body := fmt.Sprintf(`{"email":%q}`, p.address)
			if status != http.StatusOK {
				a.mailsNobody(func() { a.want(a.post("/reset_password", body, headers...), status) })
			}
			a.unharmed(p)
		}}
	}
	const unsupported = http.StatusUnsupportedMediaType
	list := []attack{}
	for _, typ := range []string{
		"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json", "application/xml", "application/jsonp", "application/javascript",
		"application/json; charset=utf-16", "application/json; charset=utf-7", "application/json, text/plain", "text/plain; application/json", "application/json; charset", "*/*", "application/*", "json",
	} {
		list = append(list, mediaType("a body of type "+typ, cors, []string{"Content-Type: " + typ}, unsupported))
	}
	return append(
		list,
		mediaType("a body without a type", cors, []string{"Content-Type:"}, unsupported),
		mediaType("a body with charset=UTF-8", "RFC 8259 §8.1", []string{"Content-Type: application/json; charset=UTF-8"}, http.StatusOK),
		mediaType("a plain body that says it is compressed", "CWE-409", []string{"Content-Encoding: gzip"}, unsupported),
		mediaType("a body in an unknown encoding", "CWE-409", []string{"Content-Encoding: br"}, unsupported),
		mediaType("a body in two encodings", "CWE-409", []string{"Content-Encoding: identity, gzip"}, unsupported),
		attack{"a compressed body that would be 100 MB", "CWE-409", func(a *arena) {
			var b bytes.Buffer
			w := gzip.NewWriter(&b)
			block := bytes.Repeat([]byte{' '}, 1<<20)
			for range 10 {
				_, _ = w.Write(block)
			}
			_ = w.Close()
			a.want(a.post("/sign_in", b.String()[:min(b.Len(), 15<<10)], "Content-Encoding: gzip"), unsupported)
			a.unharmed(a.person())
		}},
	)
}
