package main_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

// seedSum is the SHA-256 of testdata/sessions.md, which is the document that the API was specified with, word for word.
const seedSum = "14f4948c6ee1d0a606127e83748c3fe5f8ca3c1ebf6655d4265c72b9ac69faa2"

// TestSeedExamples runs the examples of the document, word for word and in its order, against `latchkey serve --dev`.
func TestSeedExamples(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("testdata/sessions.md")
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(document); hex.EncodeToString(sum[:]) != seedSum {
		t.Fatalf("got testdata/sessions.md with SHA-256 %x, want %s: it is not ours to change", sum, seedSum)
	}
	withCRLF := strings.ReplaceAll(string(document), "\n", "\r\n")

	t.Run("with the document's line ends", func(t *testing.T) {
		t.Parallel()
		dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) { runExamples(t, cfg, string(document)) })
	})
	t.Run("with CRLF everywhere", func(t *testing.T) {
		t.Parallel()
		runExamples(t, dbtest.SQLite(t), withCRLF)
	})
	t.Run("the sixth path without its stray backtick, and percent-encoded", func(t *testing.T) {
		t.Parallel()
		p := develop(t, dbtest.SQLite(t))
		for _, path := range []string{"/sign_up_temporarily", "/sign_up_temporarily%60"} {
			got := p.signedIn(t, path, nil)
			if !generatedPattern.MatchString(got.Username) {
				t.Errorf("%s: got username %q, want 8 hex digits", path, got.Username)
			}
		}
	})
	t.Run("a WeChat uid alone gets a generated user", func(t *testing.T) {
		t.Parallel()
		p := develop(t, dbtest.SQLite(t))
		got := p.call(t, http.StatusOK, http.MethodPost, "/sign_in_with/wechat", members{"uid": "test_uid"})
		want := []string{"id", "username", "email", "fullname", "private_token", "created_at", "avatar", "phone_number"}
		if diff := cmp.Diff(want, memberNames(t, got.body)); diff != "" {
			t.Errorf("members (-want +got):\n%s", diff)
		}
		user := decode[latchkey.SignedInWithWeChat](t, got)
		wantGenerated(t, user.SignedIn)
		if user.Avatar != nil || user.PhoneNumber != nil {
			t.Errorf("got avatar %v and phone_number %v, want null", user.Avatar, user.PhoneNumber)
		}
	})
}

// example is a request of the document with its answer.
type example struct {
	request string // as it is written
	status  string // first line of the answer, without the reason phrase, which says nothing (RFC 9112 §4)
	header  []string
	body    string
}

// parseExamples returns the ```http blocks of a document in pairs. Line ends stay as they are.
func parseExamples(t *testing.T, document string) []example {
	t.Helper()
	var examples []example
	for i, m := range regexp.MustCompile("(?s)```http\r?\n(.*?)```").FindAllStringSubmatch(document, -1) {
		if i%2 == 0 {
			examples = append(examples, example{request: m[1]})
			continue
		}
		e := &examples[len(examples)-1]
		head, body, _ := strings.Cut(strings.ReplaceAll(m[1], "\r\n", "\n"), "\n\n")
		lines := strings.Split(strings.TrimSpace(head), "\n")
		e.status = strings.Join(strings.Fields(lines[0])[:2], " ")
		e.header, e.body = lines[1:], body
	}
	if len(examples) != 5 || examples[4].status == "" {
		t.Fatalf("got %d examples, want 5 of a request and an answer each", len(examples))
	}
	return examples
}

// runExamples runs the examples of a document in its order on a new database and compares the answers with it.
func runExamples(t *testing.T, cfg sqlstore.Config, document string) {
	t.Helper()
	p := develop(t, cfg)
	var signedIn []latchkey.SignedIn
	for _, e := range parseExamples(t, document) {
		requestLine, _, _ := strings.Cut(e.request, "\n")
		statusLine, header, body := exchange(t, p, e.request)
		if status, ok := strings.CutPrefix(statusLine, e.status+" "); !ok {
			t.Fatalf("%s: got %q (%s), want %s", requestLine, statusLine, body, status)
		}
		for _, line := range e.header {
			name, want, _ := strings.Cut(line, ": ")
			if got := header.Get(name); got != want {
				t.Errorf("%s: got %s %q, want %q", requestLine, name, got, want)
			}
		}
		if strings.TrimSpace(e.body) == "" {
			if len(body) > 0 {
				t.Errorf("%s: got body %q, want none", requestLine, body)
			}
			continue
		}
		if diff := cmp.Diff(memberNames(t, []byte(e.body)), memberNames(t, body)); diff != "" {
			t.Errorf("%s: members (-want +got):\n%s", requestLine, diff)
		}
		generated := !strings.Contains(e.request, "{") // no parameters: only the form is as in the document
		compareMembers(t, requestLine, []byte(e.body), body, generated)
		signedIn = append(signedIn, decode[latchkey.SignedIn](t, answer{body: body}))
	}

	up, in := signedIn[0], signedIn[1]
	if up.ID != in.ID || !time.Time(up.CreatedAt).Equal(time.Time(in.CreatedAt)) {
		t.Errorf("got user %d of %v at the sign-in, want %d of %v as at the sign-up", in.ID, in.CreatedAt, up.ID, up.CreatedAt)
	}
	tokens := make(map[string]bool)
	for _, s := range signedIn {
		tokens[s.PrivateToken] = true
		if got := p.user(t, s.PrivateToken); got.ID != s.ID {
			t.Errorf("got user %d for the token, want %d", got.ID, s.ID)
		}
	}
	if len(tokens) != len(signedIn) {
		t.Errorf("got %d different tokens, want %d", len(tokens), len(signedIn))
	}
}

// exchange sends a request as it is written in the document, byte for byte, with nothing but the header lines that
// every client adds: Host, and Content-Length if there is a body.
func exchange(t *testing.T, p *program, request string) (statusLine string, header http.Header, body []byte) {
	t.Helper()
	end := "\n"
	if strings.Contains(request, "\r\n") {
		end = "\r\n"
	}
	head, payload, _ := strings.Cut(request, end+end)
	head = strings.TrimRight(head, end)
	host := strings.TrimPrefix(p.base, "http://")
	head += end + "Host: " + host + end + "Connection: close"
	if payload != "" {
		head += fmt.Sprintf("%sContent-Length: %d", end, len(payload))
	}

	conn, err := new(net.Dialer).DialContext(withTimeout(t), "tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, head+end+end+payload); err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	statusLine, _, _ = strings.Cut(string(raw), "\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), nil)
	if err != nil {
		t.Fatalf("read answer %q: %v", raw, err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return statusLine, resp.Header, body
}

// Forms of the members whose values nobody can foresee.
var (
	timePattern      = regexp.MustCompile(`^"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"$`)
	tokenPattern     = regexp.MustCompile(`^"lk_[0-9A-Za-z]{49}"$`)
	idPattern        = regexp.MustCompile(`^[1-9][0-9]*$`)
	generatedPattern = regexp.MustCompile(`^[0-9a-f]{8}$`)
)

// compareMembers compares an answer with the document's: values where the request gave them, forms elsewhere.
func compareMembers(t *testing.T, what string, want, got []byte, generated bool) {
	t.Helper()
	var wanted, given map[string]json.RawMessage
	if err := json.Unmarshal(want, &wanted); err != nil {
		t.Fatalf("%s: the document's answer: %v", what, err)
	}
	if err := json.Unmarshal(got, &given); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	forms := map[string]*regexp.Regexp{"id": idPattern, "private_token": tokenPattern, "created_at": timePattern}
	for name, value := range given {
		switch form, ok := forms[name]; {
		case ok && !form.Match(value):
			t.Errorf("%s: got %s %s, want %v", what, name, value, form)
		case !ok && !generated && !bytes.Equal(value, wanted[name]):
			t.Errorf("%s: got %s %s, want %s", what, name, value, wanted[name])
		}
	}
	user := decode[latchkey.SignedIn](t, answer{body: got})
	if age := time.Since(time.Time(user.CreatedAt)).Abs(); age > time.Minute {
		t.Errorf("%s: got created_at %s, want now", what, given["created_at"])
	}
	if generated {
		wantGenerated(t, user)
	}
}

// wantGenerated checks the names of a user who gave none.
func wantGenerated(t *testing.T, user latchkey.SignedIn) {
	t.Helper()
	if !generatedPattern.MatchString(user.Username) {
		t.Errorf("got username %q, want 8 hex digits", user.Username)
	}
	if want := user.Username + "@ideaegg.me"; user.Email != want {
		t.Errorf("got email %q, want %q", user.Email, want)
	}
	if user.Fullname != user.Username {
		t.Errorf("got fullname %q, want %q", user.Fullname, user.Username)
	}
}

// memberNames returns the names of a JSON object's members in their order.
func memberNames(t *testing.T, object []byte) []string {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(object))
	if _, err := dec.Token(); err != nil {
		t.Fatalf("%s: %v", object, err)
	}
	var names []string
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			t.Fatalf("%s: %v", object, err)
		}
		names = append(names, fmt.Sprint(name))
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			t.Fatalf("%s: %v", object, err)
		}
	}
	return names
}
