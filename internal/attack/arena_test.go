package attack_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// arena is where one case takes place.
type arena struct {
	*testing.T
	*service
	// crowd says that requests come from an address each, by a trusted proxy, unless they say from where.
	crowd bool
}

// members is a JSON object.
type members map[string]any

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// text returns a member of the answer's object as text, "" for one that is not there.
func (g answer) text(name string) string {
	var object map[string]any
	if err := json.Unmarshal([]byte(g.body), &object); err != nil || object[name] == nil {
		return ""
	}
	return fmt.Sprint(object[name])
}

func (g answer) token() string { return g.text("private_token") }

// but returns the answer without what differs from request to request.
func (g answer) but(names ...string) string {
	body := g.body
	for _, name := range append(names, "request_id") {
		if v := g.text(name); v != "" {
			body = strings.ReplaceAll(body, v, "…")
		}
	}
	return fmt.Sprintf("%d %s %s", g.status, g.header.Get("Content-Type"), body)
}

// leaks are texts that no answer may have: they would tell of the inside.
var leaks = []string{"goroutine ", ".go:", "panic", "sqlite", "SQLSTATE", "pgconn", "SELECT ", "INSERT ", "$argon2", "/tmp/"}

// do sends a request. The body is nil for none, a string as it is, an io.Reader in chunks, anything else as JSON; headers
// are lines, and "Name:" takes one away. What a busy machine refuses with 503 is sent again. Every answer must be one that
// tells nothing of the inside. It may be called by several goroutines.
func (a *arena) do(method, path string, body any, headers ...string) answer {
	a.Helper()
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		got := a.once(method, path, body, headers...)
		if _, isReader := body.(io.Reader); got.status != http.StatusServiceUnavailable || isReader || time.Since(began) > patience {
			return got
		}
	}
}

func (a *arena) once(method, path string, body any, headers ...string) answer {
	a.Helper()
	var source io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		source = strings.NewReader(b)
	case io.Reader:
		source = b
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			a.Errorf("%s %s: %v", method, path, err)
			return answer{}
		}
		source = bytes.NewReader(encoded)
	}
	r, err := http.NewRequestWithContext(a.Context(), method, a.url+path, source)
	if err != nil {
		a.Errorf("%s %s: %v", method, path, err)
		return answer{}
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if a.crowd && !slices.ContainsFunc(headers, func(line string) bool { return strings.HasPrefix(line, "X-Forwarded-For:") }) {
		r.Header.Set("X-Forwarded-For", newAddress())
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ":")
		switch value = strings.TrimPrefix(value, " "); {
		case strings.EqualFold(name, "Host"):
			r.Host = value
		case value == "":
			r.Header.Del(name)
		case strings.EqualFold(name, "Content-Type"), strings.EqualFold(name, "User-Agent"):
			r.Header.Set(name, value)
		default:
			r.Header.Add(name, value)
		}
	}
	response, err := a.client.Do(r)
	if err != nil {
		a.Errorf("%s %s: %v", method, path, err)
		return answer{}
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		a.Errorf("%s %s: read the answer: %v", method, path, err)
	}
	got := answer{status: response.StatusCode, header: response.Header, body: string(b)}
	if got.status >= http.StatusInternalServerError && got.status != http.StatusServiceUnavailable && got.status != http.StatusBadGateway {
		a.Errorf("%s %s: got %d %s, want no failure", method, path, got.status, got.body)
	}
	if !strings.HasPrefix(path, "/docs") && !strings.HasPrefix(path, "/openapi") {
		for _, leak := range leaks {
			if strings.Contains(got.body, leak) {
				a.Errorf("%s %s: got %q in the answer, want nothing of the inside: %s", method, path, leak, got.body)
			}
		}
	}
	return got
}

func (a *arena) get(path string, headers ...string) answer {
	a.Helper()
	return a.do(http.MethodGet, path, nil, headers...)
}

func (a *arena) post(path string, body any, headers ...string) answer {
	a.Helper()
	return a.do(http.MethodPost, path, body, headers...)
}

func (a *arena) put(path string, body any, headers ...string) answer {
	a.Helper()
	return a.do(http.MethodPut, path, body, headers...)
}

// want checks the status, which may be one of several.
func (a *arena) want(got answer, statuses ...int) {
	a.Helper()
	if !slices.Contains(statuses, got.status) {
		a.Errorf("got %d %.300s, want %v", got.status, got.body, statuses)
	}
}

// must is want for what the rest of the case needs.
func (a *arena) must(got answer, status int) answer {
	a.Helper()
	if got.status != status {
		a.Fatalf("got %d %.300s, want %d", got.status, got.body, status)
	}
	return got
}

// bearer is the header with a token.
func bearer(token string) string { return "Private-Token: " + token }

// atOnce runs n requests at the same time and returns how many were answered with each status.
func (a *arena) atOnce(n int, request func(i int) answer) (answers []answer, count map[int]int) {
	a.Helper()
	answers, count = make([]answer, n), make(map[int]int)
	begin := make(chan struct{})
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() {
			<-begin
			answers[i] = request(i)
		})
	}
	close(begin)
	running.Wait()
	for _, got := range answers {
		count[got.status]++
	}
	return answers, count
}

// person is an honest user.
type person struct {
	id, name, address, password, token string
}

// personsPassword is what every password here begins with; the log must not have it.
const personsPassword = "correct horse "

// serial makes names that nobody else has.
var serial atomic.Int64

func newName() string { return fmt.Sprintf("person%d", serial.Add(1)) }

// signUpOf is the request that makes a person.
func signUpOf(name string) members {
	return members{
		"username": name, "email": name + "@example.org",
		"password": personsPassword + name, "password_confirmation": personsPassword + name,
	}
}

// person signs somebody up who nobody else is.
func (a *arena) person() person {
	a.Helper()
	name := newName()
	got := a.must(a.post("/sign_up", signUpOf(name)), http.StatusOK)
	return person{got.text("id"), name, name + "@example.org", personsPassword + name, got.token()}
}

// guest signs a guest up.
func (a *arena) guest() person {
	a.Helper()
	got := a.must(a.post("/sign_up_temporarily", nil), http.StatusOK)
	return person{id: got.text("id"), name: got.text("username"), address: got.text("email"), token: got.token()}
}

// fan signs a WeChat user in, by the trusted backend.
func (a *arena) fan(uid string, more ...string) person {
	a.Helper()
	got := a.must(a.post("/sign_in_with/wechat", members{"uid": uid}, append(more, "Latchkey-Server-Key: "+serverKey)...), http.StatusOK)
	return person{id: got.text("id"), name: got.text("username"), address: got.text("email"), token: got.token()}
}

// signIn tries a password.
func (a *arena) signIn(login, password string) answer {
	a.Helper()
	return a.post("/sign_in", members{"login": login, "password": password})
}

// alive checks that a token opens its owner's account.
func (a *arena) alive(p person) {
	a.Helper()
	got := a.get("/user", bearer(p.token))
	if got.status != http.StatusOK || got.text("id") != p.id || got.text("username") != p.name || got.text("email") != p.address {
		a.Errorf("got %d %s for the token of user %s, want them as they were", got.status, got.body, p.id)
	}
}

// dead checks that a token opens nothing.
func (a *arena) dead(token string) {
	a.Helper()
	a.want(a.get("/user", bearer(token)), http.StatusUnauthorized)
}

// unharmed checks that nothing happened to somebody: session, name, address and password are as they were.
func (a *arena) unharmed(p person) {
	a.Helper()
	a.alive(p)
	got := a.signIn(p.address, p.password)
	if got.status != http.StatusOK || got.text("id") != p.id {
		a.Errorf("got %d %s for the password of user %s, want them signed in", got.status, got.body, p.id)
		return
	}
	a.want(a.post("/sign_out", nil, bearer(got.token())), http.StatusNoContent)
}

// regularPerson is somebody who is there for many cases, each of which must leave them unharmed: signing people up costs
// hashes. After a case that failed there is somebody else.
func (a *arena) regularPerson() person {
	a.Helper()
	if a.regular == nil {
		p := a.person()
		a.regular = &p
	}
	a.Cleanup(func() {
		if a.Failed() {
			a.regular = nil
		}
	})
	return *a.regular
}

// users is how many there are.
func (a *arena) users() int64 {
	a.Helper()
	return query[int64](a.T, a.service, "SELECT COUNT(*) FROM users")
}

// makesNobody checks that there is nobody new after what was done.
func (a *arena) makesNobody(what func()) {
	a.Helper()
	before := a.users()
	what()
	if after := a.users(); after != before {
		a.Errorf("got %d users more, want none", after-before)
	}
}

// allMail returns every message that was sent, once everything that is due has been.
func (a *arena) allMail() []letter {
	a.Helper()
	eventually(a.T, "all mail is sent", func() bool {
		return query[int64](a.T, a.service, "SELECT COUNT(*) FROM outbox WHERE next_attempt_at IS NOT NULL") == 0
	})
	list, err := a.letters.all()
	if err != nil {
		a.Fatal(err)
	}
	return list
}

// mail returns all messages to an address whose text has the given part, oldest first.
func (a *arena) mail(to, part string) []letter {
	a.Helper()
	return slices.DeleteFunc(a.allMail(), func(l letter) bool { return !strings.EqualFold(l.to, to) || !strings.Contains(l.text, part) })
}

// newest returns the last message to an address whose text has the given part.
func (a *arena) newest(to, part string) letter {
	a.Helper()
	list := a.mail(to, part)
	if len(list) == 0 {
		a.Fatalf("got no mail to %s with %q", to, part)
	}
	return list[len(list)-1]
}

// The parts of links by which messages are known.
const (
	resetPage  = "/account/reset_password"
	verifyPage = "/account/verify_email"
	undoPage   = "/account/undo_email_change"

	confirmPage = "/account/confirm_sign_up"
)

// resetMail asks for a reset as people do, and returns the message.
func (a *arena) resetMail(p person) letter {
	a.Helper()
	a.must(a.post("/reset_password", members{"email": p.address}), http.StatusNoContent)
	return a.newest(p.address, resetPage)
}

// resetWith is the request that sets a new password with a token.
func resetWith(token any, password string) members {
	return members{"token": token, "password": password, "password_confirmation": password}
}

// resetByCode is the request that sets a new password with a code.
func resetByCode(address string, code any, password string) members {
	return members{"email": address, "code": code, "password": password, "password_confirmation": password}
}

// works uses a reset up, and so shows that what was tried before left it as it was.
func (a *arena) works(p person, l letter) {
	a.Helper()
	password := personsPassword + "renewed"
	a.want(a.put("/reset_password", resetWith(l.token, password)), http.StatusNoContent)
	a.want(a.signIn(p.name, password), http.StatusOK)
	a.want(a.signIn(p.name, p.password), http.StatusUnauthorized)
}

// mailsNobody checks that what is done sends no message to anybody.
func (a *arena) mailsNobody(what func()) {
	a.Helper()
	before := len(a.allMail())
	what()
	if after := a.allMail(); len(after) != before {
		a.Errorf("got %d messages more, the last to %s, want none", len(after)-before, after[len(after)-1].to)
	}
}
