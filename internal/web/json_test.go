package web_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/apitest"
)

// What is not one JSON object in UTF-8, with each member once and spelled as documented, is refused before anything in
// it counts.
func TestBodyMustBeOneStrictJSONObject(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{})
	const (
		rest = `"email":"new@example.com","password":"correct horse 9","password_confirmation":"correct horse 9"`
		good = `{"username":"new_name",` + rest + `}`
	)
	for _, test := range []struct{ name, body string }{
		{"nothing", ""},
		{"white space", " \t\r\n"},
		{"null", `null`},
		{"true", `true`},
		{"a string", `"username"`},
		{"a number", `1`},
		{"an array", `[]`},
		{"an array of the object", `[` + good + `]`},
		{"a string of the object", `"{\"username\":\"new_name\"}"`},
		{"a form", "username=new_name&email=new%40example.com"},
		{"XML", `<?xml version="1.0"?><!DOCTYPE x SYSTEM "http://example.com/x"><username>new_name</username>`},
		{"an open object", `{`},
		{"an object without its end", good[:len(good)-1]},
		{"an object cut in a string", good[:len(good)-4]},
		{"a lone closing brace", `}`},
		{"a name without a value", `{"username"}`},
		{"a name without a colon", `{"username" "x"}`},
		{"a comma at the end", `{"username":"new_name",` + rest + `,}`},
		{"two commas", `{"username":"new_name",,` + rest + `}`},
		{"names without quotes", `{username:"new_name",` + rest + `}`},
		{"single quotes", `{'username':'new_name'}`},
		{"a comment", `{/* who */"username":"new_name",` + rest + `}`},
		{"two objects", good + good},
		{"an object and a brace", good + `}`},
		{"an object and text", good + ` x`},
		{"an object and a NUL", good + "\x00"},
		{"a NUL before the object", "\x00" + good},
		{"a byte order mark", "\ufeff" + good},
		{"UTF-16", "{\x00\"\x00}\x00"},
		{"a key twice", `{"username":"new_name","username":"new_name",` + rest + `}`},
		{"a key twice with other values", `{"username":"admin","username":"new_name",` + rest + `}`},
		{"a key twice, once escaped", `{"username":"new_name","user\u006eame":"new_name",` + rest + `}`},
		{"a key twice, both escaped in other ways", `{"\u0075sername":"new_name","\u0075\u0073ername":"new_name",` + rest + `}`},
		{"an unknown key twice", `{"x":1,"x":1,"username":"new_name",` + rest + `}`},
		{"an unknown key twice inside", `{"x":{"y":1,"y":2},"username":"new_name",` + rest + `}`},
		{"an unknown key twice deep inside", `{"x":[[{"y":{"z":1,"z":2}}]],"username":"new_name",` + rest + `}`},
		{"a key in the wrong case", `{"Username":"new_name",` + rest + `}`},
		{"a key in capitals", `{"USERNAME":"new_name",` + rest + `}`},
		{"a key in the wrong case beside the right one", `{"username":"new_name","userName":"new_name",` + rest + `}`},
		{"a key with the long s", `{"u` + "\u017f" + `ername":"new_name",` + rest + `}`},
		{"a key in the wrong case, escaped", `{"\u0055sername":"new_name",` + rest + `}`},
		{"invalid UTF-8 in a value", `{"username":"new_` + "\xff" + `name",` + rest + `}`},
		{"invalid UTF-8 in a password", `{"username":"new_name","email":"new@example.com","password":"12345678` + "\x80" + `","password_confirmation":"12345678` + "\x80" + `"}`},
		{"invalid UTF-8 in an unknown value", `{"x":"` + "\xc3\x28" + `","username":"new_name",` + rest + `}`},
		{"invalid UTF-8 in a name", `{"` + "\xff" + `":"x","username":"new_name",` + rest + `}`},
		{"an overlong slash", `{"username":"new_name` + "\xc0\xaf" + `",` + rest + `}`},
		{"an encoded surrogate", `{"x":"` + "\xed\xa0\x80" + `","username":"new_name",` + rest + `}`},
		{"a lone high surrogate", `{"x":"\ud800","username":"new_name",` + rest + `}`},
		{"a lone low surrogate", `{"x":"\udc00","username":"new_name",` + rest + `}`},
		{"a lone surrogate in a known member", `{"username":"new\ud83dname",` + rest + `}`},
		{"surrogates in the wrong order", `{"x":"\ude00\ud83d","username":"new_name",` + rest + `}`},
		{"a raw line break in a string", "{\"x\":\"a\nb\",\"username\":\"new_name\"," + rest + "}"},
		{"a raw NUL in a string", "{\"username\":\"new\x00name\"," + rest + "}"},
		{"an unknown escape", `{"x":"\x41","username":"new_name",` + rest + `}`},
		{"a short escape", `{"x":"\u00","username":"new_name",` + rest + `}`},
		{"NaN", `{"x":NaN,"username":"new_name",` + rest + `}`},
		{"Infinity", `{"x":-Infinity,"username":"new_name",` + rest + `}`},
		{"a number with a leading zero", `{"x":01,"username":"new_name",` + rest + `}`},
		{"a number with a plus", `{"x":+1,"username":"new_name",` + rest + `}`},
		{"a number without its fraction", `{"x":1.,"username":"new_name",` + rest + `}`},
		{"a hexadecimal number", `{"x":0x1,"username":"new_name",` + rest + `}`},
		{"True", `{"x":True,"username":"new_name",` + rest + `}`},
		{"brackets 12,000 deep", `{"x":` + strings.Repeat("[", 12_000)},
		{"objects 3,000 deep without an end", strings.Repeat(`{"x":`, 3_000)},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := s.For(t)
			wantProblem(t, s.Post("/sign_up", test.body), http.StatusBadRequest, latchkey.CodeInvalidJSON, "body invalid")
		})
	}
	t.Run("brackets 100,000 deep are too much to look at", func(t *testing.T) {
		wantProblem(t, s.For(t).Post("/sign_up", strings.Repeat("[", 100_000)), http.StatusRequestEntityTooLarge, latchkey.CodeTooLarge, "body too_long")
	})
	t.Run("nothing of it counted", func(t *testing.T) {
		a := s.For(t).Post("/sign_up", good)
		want(t, a, http.StatusOK)
		if a.ID() != 1 {
			t.Errorf("got id %d, want the first", a.ID())
		}
	})
}

func TestEveryRouteReadsItsBodyStrictly(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{Dev: true})
	token := signUp(t, s, "john_smith").Token()
	session := currentSession(t, s, token)
	for _, route := range []struct {
		method, path string
		members      []string
		wanted       bool // a body is
	}{
		{http.MethodPost, "/sign_up", []string{"username", "email", "password", "password_confirmation"}, true},
		{http.MethodPost, "/sign_in", []string{"login", "password"}, true},
		{http.MethodPost, "/sign_in_with/wechat", []string{"uid", "app_id", "username", "email", "fullname", "avatar", "phone_number"}, true},
		{http.MethodPost, "/sign_up_temporarily", nil, false},
		{http.MethodPost, "/reset_password", []string{"email"}, true},
		{http.MethodPut, "/reset_password", []string{"token", "email", "code", "password", "password_confirmation"}, true},
		{http.MethodPut, "/user", []string{"fullname", "avatar", "phone_number"}, true},
		{http.MethodPut, "/user/password", []string{"current_password", "password", "password_confirmation"}, true},
		{http.MethodDelete, "/user", []string{"current_password"}, false},
		{http.MethodPost, "/sign_out", nil, false},
		{http.MethodDelete, "/user/sessions", nil, false},
		{http.MethodDelete, "/user/sessions/" + session, nil, false},
	} {
		t.Run(route.method+" "+route.path, func(t *testing.T) {
			s := s.For(t)
			var headers []string
			if strings.HasPrefix(route.path, "/user") || route.path == "/sign_out" {
				headers = append(headers, apitest.Bearing(token))
			}
			bodies := []string{`[]`, `null`, `{`, `{} {}`, `{"x":1,"x":1}`, "{\"x\":\"\xff\"}", `{"x":"\ud800"}`, `"{}"`}
			if route.wanted {
				bodies = append(bodies, "")
			}
			for _, name := range route.members {
				bodies = append(bodies,
					`{"`+strings.ToUpper(name)+`":"x"}`,
					`{"`+strings.ToUpper(name[:1])+name[1:]+`":null}`,
					`{"`+name+`":"x","`+name+`":"x"}`)
			}
			for _, body := range bodies {
				wantProblem(t, s.Do(route.method, route.path, body, headers...), http.StatusBadRequest, latchkey.CodeInvalidJSON, "body invalid")
			}
			for _, name := range route.members {
				a := s.Do(route.method, route.path, `{"`+name+`":[]}`, headers...)
				wantInvalid(t, a, name+" invalid")
			}
		})
	}
	if got := wantAlive(t, s, token).Text("fullname"); got != "john_smith" {
		t.Errorf("got full name %q, want the first one", got)
	}
}

// Members that no request has are ignored, whatever they hold.
func TestUnknownMembersAreIgnored(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{})
	signUp(t, s, "john_smith")
	for name, member := range map[string]string{
		"a string":                 `"x":"y"`,
		"a number too large":       `"x":1e400`,
		"a number of many digits":  `"x":` + strings.Repeat("9", 5000),
		"a small number":           `"x":-0.1e-9999`,
		"nested arrays":            `"x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
		"nested objects":           `"x":` + strings.Repeat(`{"x":`, 2000) + "1" + strings.Repeat("}", 2000),
		"an empty name":            `"":1`,
		"a name with a NUL":        `"\u0000":1`,
		"a name near a known one":  `"login ":"other"`,
		"a name in an object":      `"user":{"login":"other"}`,
		"a pair of surrogates":     `"x":"\ud83d\ude00"`,
		"a name of a prototype":    `"__proto__":{"login":"other"}`,
		"a known name of no route": `"username":"other"`,
		"escaped control letters":  `"x":"\u0000\b\f\n\r\t\u001f"`,
	} {
		t.Run(name, func(t *testing.T) {
			s := s.For(t).Liberal() // the checker's decoder has bounds of its own
			want(t, s.Post("/sign_in", `{`+member+`,"login":"john_smith","password":"correct horse 9"}`), http.StatusOK)
			want(t, s.Post("/sign_in", " \n{\t\"login\" : \"john_smith\" , \"password\":\"correct\\u0020horse 9\", "+member+"} \r\n"), http.StatusOK)
		})
	}
}

// A value of the wrong type is a fault of its member, and told as such.
func TestWrongTypesAreToldByMember(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{})
	for _, value := range []string{`1`, `1e400`, `-0`, `true`, `false`, `[]`, `{}`, `["john_smith"]`, `{"login":"john_smith"}`, `[[[[]]]]`} {
		a := s.Post("/sign_in", `{"login":`+value+`,"password":"x"}`)
		wantInvalid(t, a, "login invalid")
		if got, want := a.Text("message"), "Login must be text."; got != want {
			t.Errorf("got message %q, want %q", got, want)
		}
	}
	wantInvalid(t, s.Post("/sign_in", `{"password":1,"login":2}`), "login invalid", "password invalid")
	wantInvalid(t, s.Post("/sign_in", `{"login":null,"password":null}`), "login required", "password required")
}
