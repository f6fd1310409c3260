package web_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/apitest"
)

const signInBody = `{"login":"john_smith","password":"correct horse 9"}`

func TestBodyMustBeDeclaredAsJSON(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{})
	signUp(t, s, "john_smith")
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, _ = io.WriteString(w, signInBody)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		body    any
		headers []string
		ok      bool
	}{
		{"application/json", signInBody, []string{"Content-Type: application/json"}, true},
		{"in capitals", signInBody, []string{"Content-Type: Application/JSON"}, true},
		{"with its charset", signInBody, []string{"Content-Type: application/json; charset=utf-8"}, true},
		{"with its charset in capitals", signInBody, []string{"Content-Type: application/json;CHARSET=UTF-8"}, true},
		{"with its charset quoted", signInBody, []string{`Content-Type: application/json; charset="utf-8"`}, true},
		{"with another parameter", signInBody, []string{"Content-Type: application/json; version=1"}, true},
		{"with the encoding that is none", signInBody, []string{"Content-Encoding: identity"}, true},
		{"no type", signInBody, []string{"Content-Type:"}, false},
		{"plain text", signInBody, []string{"Content-Type: text/plain"}, false},
		{"text/json", signInBody, []string{"Content-Type: text/json"}, false},
		{"a relative of JSON", signInBody, []string{"Content-Type: application/problem+json"}, false},
		{"JSON lines", signInBody, []string{"Content-Type: application/jsonl"}, false},
		{"any type", signInBody, []string{"Content-Type: */*"}, false},
		{"two types", signInBody, []string{"Content-Type: application/json, text/plain"}, false},
		{"half a type", signInBody, []string{"Content-Type: application"}, false},
		{"a type with a broken parameter", signInBody, []string{"Content-Type: application/json; charset"}, false},
		{"another charset", signInBody, []string{"Content-Type: application/json; charset=gb2312"}, false},
		{"UTF-16", signInBody, []string{"Content-Type: application/json; charset=utf-16"}, false},
		{"a form", "login=john_smith&password=correct+horse+9", []string{"Content-Type: application/x-www-form-urlencoded"}, false},
		{"JSON as a form", signInBody, []string{"Content-Type: application/x-www-form-urlencoded"}, false},
		{"a form of parts", "--x\r\nContent-Disposition: form-data; name=\"login\"\r\n\r\njohn_smith\r\n--x--\r\n", []string{"Content-Type: multipart/form-data; boundary=x"}, false},
		{"gzip", zipped.Bytes(), []string{"Content-Encoding: gzip"}, false},
		{"gzip of nothing", signInBody, []string{"Content-Encoding: gzip"}, false},
		{"an unknown encoding", signInBody, []string{"Content-Encoding: br"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := s.For(t).Post("/sign_in", test.body, test.headers...)
			if test.ok {
				want(t, a, http.StatusOK)
				return
			}
			wantProblem(t, a, http.StatusUnsupportedMediaType, latchkey.CodeUnsupportedMediaType, "body unsupported")
		})
	}
	t.Run("chunks are as good as a length", func(t *testing.T) {
		want(t, s.For(t).Post("/sign_in", strings.NewReader(signInBody)), http.StatusOK)
	})
	t.Run("without a body no type is needed", func(t *testing.T) {
		s := s.For(t)
		want(t, s.Post("/sign_up_temporarily", nil), http.StatusOK)
		want(t, s.Post("/sign_up_temporarily", nil, "Content-Type: text/plain"), http.StatusOK)
		want(t, s.Post("/sign_up_temporarily", strings.NewReader(""), "Content-Type:"), http.StatusOK)
		wantProblem(t, s.Post("/sign_in", nil), http.StatusBadRequest, latchkey.CodeInvalidJSON, "body invalid")
	})
}

// padded is a good body of this many bytes.
func padded(size int) string {
	const start, end = `{"x":"`, `",` + `"login":"john_smith","password":"correct horse 9"}`
	return start + strings.Repeat("x", size-len(start)-len(end)) + end
}

func TestBodyMayHave16KiB(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{})
	token := signUp(t, s, "john_smith").Token()
	for _, size := range []int{16<<10 - 1, 16 << 10} {
		want(t, s.Post("/sign_in", padded(size)), http.StatusOK)
		want(t, s.Post("/sign_in", strings.NewReader(padded(size))), http.StatusOK)
	}
	for _, size := range []int{16<<10 + 1, 17 << 10, 100 << 10, 1 << 20, 5 << 20} {
		t.Run(fmt.Sprintf("%d bytes", size), func(t *testing.T) {
			s := s.For(t)
			for _, body := range []any{padded(size), strings.NewReader(padded(size))} {
				wantProblem(t, s.Post("/sign_in", body), http.StatusRequestEntityTooLarge, latchkey.CodeTooLarge, "body too_long")
			}
			// What a body is declared as does not matter any more, nor which route it is for.
			for _, request := range []struct{ method, path string }{
				{http.MethodPost, "/sign_up_temporarily"}, {http.MethodPut, "/user"}, {http.MethodPost, "/sign_out"}, {http.MethodDelete, "/user/sessions"},
			} {
				a := s.Do(request.method, request.path, strings.Repeat("x", size), "Content-Type: text/plain", apitest.Bearing(token))
				if request.path == "/sign_up_temporarily" {
					a = s.Do(request.method, request.path, strings.Repeat("x", size), "Content-Type: text/plain")
				}
				wantProblem(t, a, http.StatusRequestEntityTooLarge, latchkey.CodeTooLarge, "body too_long")
			}
		})
	}
	wantAlive(t, s, token)
}

// conversation is a connection on which bytes are sent as they are.
type conversation struct {
	t      *testing.T
	conn   net.Conn
	reader *bufio.Reader
}

func converse(t *testing.T, s *apitest.Server) *conversation {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.Origin, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &conversation{t, conn, bufio.NewReader(conn)}
}

func (c *conversation) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Errorf("send %d bytes: %v", len(text), err)
	}
}

// answer reads the next answer.
func (c *conversation) answer() (status int, header http.Header, body []byte) {
	c.t.Helper()
	response, err := http.ReadResponse(c.reader, &http.Request{Method: http.MethodPost})
	if err != nil {
		c.t.Fatalf("read the answer: %v", err)
	}
	defer func() { _ = response.Body.Close() }()
	if body, err = io.ReadAll(response.Body); err != nil {
		c.t.Errorf("read the answer's body: %v", err)
	}
	return response.StatusCode, response.Header, body
}

// wantProblem reads the next answer and checks that it is this problem.
func (c *conversation) wantProblem(want int, code latchkey.Code) {
	c.t.Helper()
	status, header, body := c.answer()
	var p latchkey.Problem
	if err := json.Unmarshal(body, &p); err != nil {
		c.t.Fatalf("got %d %q, want a problem: %v", status, body, err)
	}
	if status != want || p.Status != want || p.Code != code || p.Message == "" || len(p.Errors) == 0 {
		c.t.Errorf("got %d %s, want %d %s", status, body, want, code)
	}
	if got := header.Get("Content-Type"); got != "application/problem+json" {
		c.t.Errorf("got Content-Type %q", got)
	}
}

// wantOK reads the next answer and checks that it is a success.
func (c *conversation) wantOK() {
	c.t.Helper()
	if status, _, body := c.answer(); status != http.StatusOK {
		c.t.Errorf("got %d %s, want 200", status, body)
	}
}

func request(line, body string, headers ...string) string {
	text := line + " HTTP/1.1\r\nHost: accounts.example.com\r\n"
	for _, h := range headers {
		text += h + "\r\n"
	}
	return text + "\r\n" + body
}

const jsonType = "Content-Type: application/json"

func length(body string) string { return fmt.Sprintf("Content-Length: %d", len(body)) }

// chunks is a body in chunks of 1,000 bytes.
func chunks(body string) string {
	var b strings.Builder
	for len(body) > 0 {
		n := min(1000, len(body))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return b.String() + "0\r\n\r\n"
}

// A refused body does not end the connection, as long as it has a length and is not absurdly large; and whoever sends an absurdly large
// one, all of it before reading anything, still gets to read why it was refused.
func TestRefusedBodyLeavesTheAnswerReadable(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{})
	token := "PRIVATE-TOKEN: " + signUp(t, s, "john_smith").Token()
	good := request("POST /sign_in", signInBody, jsonType, length(signInBody))
	for _, size := range []int{17 << 10, 300 << 10, 1 << 20} {
		body := padded(size)
		t.Run(fmt.Sprintf("%d KiB with a length keep the connection", size>>10), func(t *testing.T) {
			c := converse(t, s)
			c.send(request("POST /sign_in", body, jsonType, length(body)))
			c.wantProblem(http.StatusRequestEntityTooLarge, latchkey.CodeTooLarge)
			c.send(good)
			c.wantOK()
		})
		t.Run(fmt.Sprintf("%d KiB in chunks are answered, and end it", size>>10), func(t *testing.T) { // RFC 9112 §6.1
			c := converse(t, s)
			c.send(request("POST /sign_in", chunks(body), jsonType, "Transfer-Encoding: chunked"))
			c.wantProblem(http.StatusRequestEntityTooLarge, latchkey.CodeTooLarge)
			if rest, err := io.ReadAll(c.reader); err != nil || len(rest) > 0 {
				t.Errorf("got %q and %v, want the end of the connection", rest, err)
			}
		})
	}
	large := strings.Repeat("x", 5<<20)
	for _, test := range []struct {
		name, line string
		headers    []string
		status     int
		code       latchkey.Code
	}{
		{"to a route that reads it", "POST /sign_in", []string{jsonType}, http.StatusRequestEntityTooLarge, latchkey.CodeTooLarge},
		{"to a route that needs none", "POST /sign_out", []string{jsonType, token}, http.StatusRequestEntityTooLarge, latchkey.CodeTooLarge},
		{"of another type", "POST /sign_in", []string{"Content-Type: image/png"}, http.StatusRequestEntityTooLarge, latchkey.CodeTooLarge},
		{"without the token", "PUT /user", []string{jsonType}, http.StatusUnauthorized, latchkey.CodeUnauthorized},
		{"to an unknown path", "POST /upload", nil, http.StatusNotFound, latchkey.CodeNotFound},
		{"by another method", "PATCH /user", []string{jsonType}, http.StatusMethodNotAllowed, latchkey.CodeMethodNotAllowed},
		{"for another provider", "POST /sign_in_with/weibo", []string{jsonType}, http.StatusUnprocessableEntity, latchkey.CodeValidationFailed},
	} {
		t.Run("5 MiB "+test.name, func(t *testing.T) {
			for _, raw := range []string{
				request(test.line, large, append(test.headers, length(large))...),
				request(test.line, chunks(large), append(test.headers, "Transfer-Encoding: chunked")...),
			} {
				c := converse(t, s)
				c.send(raw)
				c.wantProblem(test.status, test.code)
			}
		})
	}
	t.Run("whoever asks first is not made to send it", func(t *testing.T) {
		c := converse(t, s)
		c.send(request("POST /sign_in", "", jsonType, "Content-Length: 5242880", "Expect: 100-continue"))
		c.wantProblem(http.StatusRequestEntityTooLarge, latchkey.CodeTooLarge)
	})
	t.Run("a small body that was asked about first is taken", func(t *testing.T) {
		c := converse(t, s)
		c.send(request("POST /sign_in", "", jsonType, length(signInBody), "Expect: 100-continue"))
		if status, _, _ := c.answer(); status != http.StatusContinue {
			t.Fatalf("got %d, want 100", status)
		}
		c.send(signInBody)
		c.wantOK()
	})
}

func TestBodyThatBreaksOffIsABadRequest(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{})
	signUp(t, s, "john_smith")
	for name, raw := range map[string]string{
		"chunks that are none":         request("POST /sign_in", "this is no chunk\r\n", jsonType, "Transfer-Encoding: chunked"),
		"a chunk of a negative length": request("POST /sign_in", "-5\r\nabc\r\n", jsonType, "Transfer-Encoding: chunked"),
		"a chunk of a huge length":     request("POST /sign_in", "fffffffffffffffff\r\nabc\r\n", jsonType, "Transfer-Encoding: chunked"),
		"a chunk without its end":      request("POST /sign_in", "3\r\nabcdef\r\n0\r\n\r\n", jsonType, "Transfer-Encoding: chunked"),
	} {
		t.Run(name, func(t *testing.T) {
			c := converse(t, s)
			c.send(raw)
			c.wantProblem(http.StatusBadRequest, latchkey.CodeInvalidRequest)
		})
	}
	t.Run("a body that is shorter than its length", func(t *testing.T) {
		c := converse(t, s)
		c.send(request("POST /sign_in", signInBody, jsonType, "Content-Length: 100"))
		if err := c.conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		c.wantProblem(http.StatusBadRequest, latchkey.CodeInvalidRequest)
	})
}
