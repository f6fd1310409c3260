package attack_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

func httpAttacks() []attack {
	return slices.Concat(httpMethods(), httpPaths(), httpMessages(), httpFloods())
}

func httpMethods() []attack {
	override := func(header string) attack {
		return attack{"a deletion by " + header, "CWE-436, ASVS 4.1.4", func(a *arena) {
			p := a.person()
			a.want(a.post("/user", members{"current_password": p.password}, bearer(p.token), header), http.StatusMethodNotAllowed)
			a.want(a.get("/user", bearer(p.token), header), http.StatusOK)
			a.want(a.post("/user?_method=DELETE", members{"current_password": p.password, "_method": "DELETE"}, bearer(p.token), header), http.StatusMethodNotAllowed)
			a.unharmed(p)
			a.want(a.do(http.MethodDelete, "/user", members{"current_password": p.password}, bearer(p.token)), http.StatusNoContent)
		}}
	}
	return []attack{
		override("X-HTTP-Method-Override: DELETE"),
		override("X-HTTP-Method: DELETE"),
		override("X-Method-Override: DELETE"),
		{"every operation of the document without a token", "ASVS 8.3.1, CWE-306", func(a *arena) {
			var document struct {
				Paths map[string]map[string]json.RawMessage `json:"paths"`
			}
			if err := json.Unmarshal([]byte(a.get("/openapi.json").body), &document); err != nil {
				a.Fatal(err)
			}
			p := a.person()
			guarded := 0
			for path, operations := range document.Paths {
				for method := range operations {
					method = strings.ToUpper(method)
					if !slices.Contains([]string{"GET", "PUT", "POST", "DELETE"}, method) || !strings.HasPrefix(path, "/user") && path != "/sign_out" {
						continue
					}
					guarded++
					target := strings.ReplaceAll(path, "{id}", "1")
					for _, header := range []string{"X-None: x", "Private-Token: x", "Authorization: Bearer", "Authorization: Basic " + p.token, "Cookie: private_token=" + p.token, "X-User-Id: " + p.id, "X-Forwarded-User: " + p.name, "Latchkey-User-Id: " + p.id} {
						if got := a.do(method, target, nil, header); got.status != http.StatusUnauthorized || got.header.Get("WWW-Authenticate") != "Bearer" {
							a.Errorf("%s %s with %s: got %d %s, want 401", method, path, header, got.status, got.body)
						}
					}
				}
			}
			if guarded < 11 {
				a.Errorf("got %d operations that need a token, want at least 11", guarded)
			}
			a.unharmed(p)
		}},
		{"other methods on every route", "ASVS 4.1.4", func(a *arena) {
			p := a.person()
			for _, path := range []string{"/sign_up", "/sign_in", "/sign_in_with/wechat", "/sign_up_temporarily", "/reset_password", "/user", "/user/password", "/user/email", "/user/sessions", "/sign_out"} {
				for _, method := range []string{"PATCH", "OPTIONS", "TRACE", "PROPFIND", "get", "FOO", "POSTX"} {
					got := a.do(method, path, nil, bearer(p.token))
					if got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") == "" {
						a.Errorf("%s %s: got %d, want 405 with Allow", method, path, got.status)
					}
				}
			}
			a.unharmed(p)
		}},
		{"a trace that would show the token", "CWE-693, RFC 9110 §9.3.8", func(a *arena) {
			p := a.person()
			got := a.do("TRACE", "/user", nil, bearer(p.token))
			a.want(got, http.StatusMethodNotAllowed)
			if strings.Contains(got.body, p.token) {
				a.Errorf("got the token in the answer: %s", got.body)
			}
			a.alive(p)
		}},
		{"changes by GET", "ASVS 3.5.3", func(a *arena) {
			p := a.person()
			for _, path := range []string{"/sign_out", "/user/password?password=" + chosen[:7], "/user/email", "/sign_in?login=" + p.name} {
				a.want(a.get(path, bearer(p.token)), http.StatusMethodNotAllowed)
			}
			a.unharmed(p)
		}},
		{"a script of another site asks first", "ASVS 3.4.2, CWE-942", func(a *arena) {
			p := a.person()
			got := a.do(http.MethodOptions, "/user", nil, "Origin: https://evil.example", "Access-Control-Request-Method: DELETE", "Access-Control-Request-Headers: private-token")
			a.want(got, http.StatusMethodNotAllowed)
			for _, origin := range []string{"https://evil.example", "null", publicURL + ".evil.example", "https://evil.example:443"} {
				for _, got := range []answer{got, a.get("/user", bearer(p.token), "Origin: "+origin), a.signIn(p.name, p.password)} {
					for name := range got.header {
						if strings.HasPrefix(name, "Access-Control-") {
							a.Errorf("got %s %q for %s, want none", name, got.header.Get(name), origin)
						}
					}
				}
			}
			a.unharmed(p)
		}},
		{"what every answer must carry", "ASVS 3.4.4, ASVS 14.2.2", func(a *arena) {
			p := a.person()
			for _, got := range []answer{
				a.get("/user", bearer(p.token)), a.get("/user"), a.get("/nothing"), a.do("PATCH", "/user", nil), a.post("/sign_in", "{"), a.signIn(p.name, p.password), a.signIn(p.name, "wrong password"),
				a.post("/sign_in", strings.Repeat("x", 17<<10)), a.get("/user/sessions", bearer(p.token)), a.post("/reset_password", members{"email": p.address}),
			} {
				if got.header.Get("Cache-Control") != "no-store" || got.header.Get("X-Content-Type-Options") != "nosniff" || got.header.Get("X-Request-Id") == "" || got.header.Get("Set-Cookie") != "" || got.header.Get("Server") != "" {
					a.Errorf("got %d with %v, want no-store, nosniff, a request id and no cookie", got.status, got.header)
				}
			}
		}},
		{"a request id of the client's", "CWE-93, ASVS 16.4.1", func(a *arena) {
			got := a.get("/user", "X-Request-Id: forged\"}{\"level\":\"ERROR")
			a.want(got, http.StatusUnauthorized)
			if strings.Contains(got.body+got.header.Get("X-Request-Id"), "forged") {
				a.Errorf("got the client's own id in %s", got.body)
			}
			a.alive(a.person())
		}},
		{"what is for operators and developers", "ASVS 15.2.3, CWE-489", func(a *arena) {
			for _, path := range []string{
				"/metrics", "/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/dev/mail", "/dev/mail/1", "/dev/mail.js", "/admin", "/.env", "/.git/config", "/latchkey.db", "/config", "/server-status",
				"/actuator/health", "/console", "/graphql", "/swagger.json", "/docs/../openapi.json", "/docs/%2e%2e/%2e%2e/etc/passwd", "/docs/..%2f..%2fserve.go", "/account/..%2f..%2fetc%2fpasswd",
			} {
				a.want(a.get(path), http.StatusNotFound)
			}
			a.want(a.get("/healthz"), http.StatusOK)
			a.want(a.get("/docs"), http.StatusOK)
		}},
	}
}

func httpPaths() []attack {
	const paths = "CWE-436, CWE-22"
	var list []attack
	for _, path := range []string{
		"//user", "/user/", "/user//", "/./user", "/x/../user", "/USER", "/User", "/user;x=1", "/user.json", "/user%00", "/user%20", "/user%2f", "/user%2e", "/user/.", "/user?/../sign_in", "/user%3f", `/\user`, "/user%0d%0a", "/user/sessions/", "/user/sessions/../..", "/user/sessions/%2e%2e", "/%2e/user", "/%75ser", "/%2575ser", "/us%65r",
	} {
		list = append(list, attack{"the user's data at " + path, paths, func(a *arena) {
			p := a.regularPerson()
			request := "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
			for _, headers := range []string{"", "Private-Token: x\r\n", "Authorization: Bearer\r\n"} {
				got := a.raw(a.T, request+headers+"\r\n")
				if strings.HasPrefix(got, "HTTP/1.1 2") || !strings.HasPrefix(got, "HTTP/1.1 4") || strings.Contains(got, p.address) {
					a.Errorf("got %.200q without a token, want a refusal", got)
				}
			}
			if got := a.raw(a.T, request+"Private-Token: "+p.token+"\r\n\r\n"); strings.HasPrefix(got, "HTTP/1.1 2") && !strings.Contains(got, `"`+p.address+`"`) {
				a.Errorf("got %.300q with a token, want the user or a refusal", got)
			}
			a.alive(p)
		}})
	}
	return list
}

// httpMessages are requests that a proxy in front may read in another way.
func httpMessages() []attack {
	const (
		smuggling = "RFC 9112 §11.2, CWE-444, ASVS 4.2.1"
		syntax    = "RFC 9112 §2.2, CWE-444"
	)
	// message sends raw bytes. The answer to the first request has the status, and nothing in them ends the session of
	// the person whose token stands for %t.
	message := func(name, against, text string, statuses ...string) attack {
		return attack{name, against, func(a *arena) {
			p := a.guest()
			smuggled := "POST /sign_out HTTP/1.1\r\nHost: x\r\nPrivate-Token: " + p.token + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
			got := a.raw(a.T, strings.NewReplacer("%s", smuggled, "%l", fmt.Sprint(len(smuggled)), "%x", fmt.Sprintf("%x", len(smuggled)), "%t", p.token).Replace(text))
			if len(got) < 12 || !slices.Contains(statuses, got[9:12]) {
				a.Errorf("got %.300q, want status %v", got, statuses)
			}
			a.alive(p)
			// The positive control: as a request of its own it does end the session.
			if got := a.raw(a.T, smuggled); !strings.HasPrefix(got, "HTTP/1.1 204") {
				a.Errorf("got %.100q for the honest request, want 204", got)
			}
			a.dead(p.token)
		}}
	}
	const post = "POST /sign_in HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	return []attack{
		message("two lengths", smuggling, post+"Content-Length: 0\r\nContent-Length: %l\r\n\r\n%s", "400"),
		message("two lengths in one header", smuggling, post+"Content-Length: 0, %l\r\n\r\n%s", "400"),
		message("a length with a sign", smuggling, post+"Content-Length: +%l\r\n\r\n%s", "400"),
		message("a negative length", smuggling, post+"Content-Length: -1\r\n\r\n%s", "400"),
		message("a hexadecimal length", smuggling, post+"Content-Length: 0x10\r\n\r\n%s", "400"),
		message("a length with a space inside", smuggling, post+"Content-Length: 1 0\r\n\r\n%s", "400"),
		message("a length beyond all numbers", smuggling, post+"Content-Length: 99999999999999999999\r\n\r\n%s", "400"),
		message("an empty length", smuggling, post+"Content-Length: \r\n\r\n%s", "400"),
		message("a length that holds the second request", smuggling, post+"Content-Length: %l\r\nConnection: close\r\n\r\n%s", "400"),
		message("chunks that hold the second request", smuggling, post+"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", "400"),
		message("an unknown transfer encoding", smuggling, post+"Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n%s", "501", "400"),
		message("two transfer encodings", smuggling, post+"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n%s", "501", "400"),
		message("two transfer encodings in one header", smuggling, post+"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n%s", "501", "400"),
		message("a transfer encoding behind a tab", smuggling, post+"Transfer-Encoding:\x0bchunked\r\nContent-Length: 0\r\n\r\n%s", "501", "400"),
		message("a space before the colon", "RFC 9112 §5.1, CWE-444", post+"Content-Length : 0\r\n\r\n%s", "400"),
		message("a transfer encoding with a space before the colon", "RFC 9112 §5.1, CWE-444", post+"Transfer-Encoding : chunked\r\nContent-Length: 0\r\n\r\n%s", "400"),
		message("a header that goes on in the next line", "RFC 9112 §5.2, CWE-444", post+"X-A: b\r\n Content-Length: 0\r\nContent-Length: %l\r\nConnection: close\r\n\r\n%s", "400"),
		message("a first header line that begins with a space", "RFC 9112 §2.2, CWE-444", "POST /sign_in HTTP/1.1\r\n Host: x\r\nHost: x\r\n\r\n%s", "400"),
		message("a NUL in a header", "RFC 9110 §5.5, CWE-158", post+"X-A: a\x00b\r\nContent-Length: 0\r\n\r\n%s", "400"),
		message("a bare carriage return in a header", syntax, post+"X-A: a\rContent-Length: 0\r\nContent-Length: 0\r\n\r\n%s", "400"),
		message("a header without a colon", syntax, post+"X-A\r\nContent-Length: 0\r\n\r\n%s", "400"),
		message("a header without a name", syntax, post+": x\r\nContent-Length: 0\r\n\r\n%s", "400"),
		message("a header name that is none", "RFC 9110 §5.1", post+"X\x01A: x\r\nContent-Length: 0\r\n\r\n%s", "400"),
		message("a chunk size that overflows", "CVE-2013-2028, RFC 9112 §7.1", post+"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n%s", "400"),
		message("a negative chunk size", "RFC 9112 §7.1", post+"Transfer-Encoding: chunked\r\n\r\n-1\r\n%s", "400"),
		message("a chunk that is longer than it says", "RFC 9112 §7.1", post+"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n%s", "400"),
		message("a chunk with an endless extension", "CVE-2023-39326", post+"Transfer-Encoding: chunked\r\n\r\n1;"+strings.Repeat("x", 20_000)+"\r\na\r\n0\r\n\r\n%s", "400"),
		message("a body that never comes", "CWE-400", post+"Content-Length: 100\r\nConnection: close\r\n\r\n{", "400"),
		message("no host", "RFC 9112 §3.2", "POST /sign_in HTTP/1.1\r\nContent-Length: 0\r\n\r\n%s", "400"),
		message("two hosts", "RFC 9112 §3.2", "POST /sign_in HTTP/1.1\r\nHost: x\r\nHost: y\r\nContent-Length: 0\r\n\r\n%s", "400"),
		message("a host with a space", "RFC 9112 §3.2", "POST /sign_in HTTP/1.1\r\nHost: a b\r\nContent-Length: 0\r\n\r\n%s", "400"),
		message("a later version of HTTP", "RFC 9110 §15.6.6", "POST /sign_in HTTP/3.7\r\nHost: x\r\n\r\n%s", "505", "400"),
		message("no version of HTTP", "RFC 9112 §3", "POST /sign_in\r\n\r\n%s", "400"),
		message("a target with a space", "RFC 9112 §3.2", "GET /user x HTTP/1.1\r\nHost: x\r\n\r\n%s", "400"),
		message("a target that is no path", "RFC 9112 §3.2", "GET user HTTP/1.1\r\nHost: x\r\n\r\n%s", "400"),
		message("an invalid escape in the target", "RFC 3986 §2.1", "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n%s", "400"),
		message("a tunnel to somewhere else", "CWE-441, RFC 9110 §9.3.6", "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\nConnection: close\r\n\r\n", "404", "405", "400"),
		message("another host's target", "CWE-441", "GET http://evil.example/user HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "401"),
		message("an upgrade to HTTP/2 without TLS", "RFC 9113 §3.1", "GET /user HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", "401"),
		message("an upgrade to a socket", "RFC 6455 §4.2", "GET /user HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", "401"),
		message("a token in a trailer", "RFC 9110 §6.5.1", "POST /sign_out HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nTrailer: Private-Token\r\nConnection: close\r\n\r\n0\r\nPrivate-Token: %t\r\n\r\n", "401"),
		message("a token that Connection takes away", "RFC 9110 §7.6.1", "GET /user HTTP/1.1\r\nHost: x\r\nConnection: close, Private-Token\r\nX-Private-Token: %t\r\n\r\n", "401"),
		// By the length the second request would be the body. The chunks count, and then the connection is closed.
		message("a length and chunks", "RFC 9112 §6.1, CWE-444, ASVS 4.2.1", post+"Content-Length: 1%l\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n%s", "400"),
		message("chunks and a length", "RFC 9112 §6.1, CWE-444, ASVS 4.2.1", post+"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n%s", "400"),
		{"a body that is announced too long is not asked for", "RFC 9110 §10.1.1, CWE-770", func(a *arena) {
			conn := a.dial(a.T)
			_, _ = io.WriteString(conn, post+"Content-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n")
			answer := make([]byte, 12)
			if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "HTTP/1.1 413" {
				a.Errorf("got %q and %v, want 413", answer, err)
			}
			a.unharmed(a.person())
		}},
	}
}

func httpFloods() []attack {
	const slow = "CWE-400, CVE-2007-6750"
	headers := func(name string, lines string, statuses ...string) attack {
		return attack{name, "CWE-770", func(a *arena) {
			p := a.regularPerson()
			got := a.raw(a.T, "GET /user HTTP/1.1\r\nHost: x\r\nConnection: close\r\nPrivate-Token: "+p.token+"\r\n"+lines+"\r\n")
			if len(got) < 12 || !slices.Contains(statuses, got[9:12]) {
				a.Errorf("got %.200q, want status %v", got, statuses)
			}
			a.unharmed(p)
		}}
	}
	var many strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&many, "X-%d: %d\r\n", i, i)
	}
	// crowd holds many connections open in a way; honest requests must not notice.
	crowd := func(name string, n int, begin string) attack {
		return attack{name, slow, func(a *arena) {
			p := a.regularPerson()
			var conns []net.Conn
			for range n {
				conn := a.dial(a.T)
				_, _ = io.WriteString(conn, begin)
				conns = append(conns, conn)
			}
			began := time.Now()
			a.unharmed(p)
			if took := time.Since(began); took > 5*time.Second {
				a.Errorf("got answers after %v while %d connections were held, want them at once", took, n)
			}
			for _, conn := range conns {
				_ = conn.Close()
			}
		}}
	}
	return []attack{
		headers("10,000 headers", many.String(), "431"),
		headers("a header of 100 KB", "X-A: "+strings.Repeat("x", 100_000)+"\r\n", "431"),
		headers("1,000 cookies", strings.Repeat("Cookie: a=b\r\n", 1000), "200"),
		headers("300 tokens that differ", manyTokens(300), "400"),
		headers("a hundred languages", "Accept-Language: "+strings.Repeat("zh-CN;q=0.1,", 700)+"en\r\n", "200"),
		{"a path of 100 KB", "CWE-770", func(a *arena) {
			if got := a.raw(a.T, "GET /"+strings.Repeat("x", 100_000)+" HTTP/1.1\r\nHost: x\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 431") && !strings.HasPrefix(got, "HTTP/1.1 414") {
				a.Errorf("got %.100q, want 431", got)
			}
			a.unharmed(a.regularPerson())
		}},
		{"1,000 requests in one packet", "CWE-770", func(a *arena) {
			p := a.regularPerson()
			request := "GET /user HTTP/1.1\r\nHost: x\r\n\r\n"
			got := a.raw(a.T, strings.Repeat(request, 999)+"GET /user HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			if n := strings.Count(got, "HTTP/1.1 401"); n != 1000 {
				a.Errorf("got %d refusals, want 1000", n)
			}
			a.unharmed(p)
		}},
		crowd("200 connections that say nothing", 200, ""),
		crowd("200 connections in the middle of their headers", 200, "POST /sign_in HTTP/1.1\r\nHost: x\r\nX-A: "),
		crowd("200 connections in the middle of their bodies", 200, "POST /sign_in HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"),
		crowd("100 connections in the middle of a chunk", 100, "POST /sign_in HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"),
		{"a connection that never finishes its headers is closed", slow, func(a *arena) {
			if !long() {
				a.Skip("takes 10 s: in the long run")
			}
			conn := a.dial(a.T)
			_, _ = io.WriteString(conn, "GET /user HTTP/1.1\r\nHost: x\r\n")
			began := time.Now()
			_, _ = io.ReadAll(conn)
			if took := time.Since(began); took > 15*time.Second {
				a.Errorf("got the end after %v, want it after 10 s", took)
			}
		}},
		{"a body that comes a byte a second is cut off", slow, func(a *arena) {
			if !long() {
				a.Skip("takes 25 s: in the long run")
			}
			conn := a.dial(a.T)
			_, _ = io.WriteString(conn, "POST /sign_in HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
			began := time.Now()
			go func() {
				for range 60 {
					if _, err := io.WriteString(conn, " "); err != nil {
						return
					}
					time.Sleep(time.Second)
				}
			}()
			_, _ = io.ReadAll(conn)
			if took := time.Since(began); took > 30*time.Second {
				a.Errorf("got the end after %v, want it after 20 s", took)
			}
		}},
	}
}

func manyTokens(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "Private-Token: %d\r\n", i)
	}
	return b.String()
}
