package apitest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/apitest"
)

// What is not as the document says is told, whichever side it is on.
func TestCheckerFindsWhatIsNotDocumented(t *testing.T) {
	t.Parallel()
	checker, err := apitest.NewChecker("/api/v2")
	if err != nil {
		t.Fatal(err)
	}
	const (
		signIn   = `{"login":"john@example.com","password":"test1234"}`
		signedIn = `{"id":1,"username":"john_smith","email":"john@example.com","fullname":"John","private_token":"lk_%s","created_at":"2015-06-06T14:20:57.024Z"}`
		problem  = `{"type":"about:blank","title":"T","status":%d,"code":"%s","message":"%s","request_id":"%s","errors":[{"field":"path","code":"invalid","message":"M"}]}`
	)
	good := fmt.Sprintf(signedIn, strings.Repeat("a", 49))
	for _, test := range []struct {
		name, operation, request string
		status                   int
		answer                   string
		change                   string // of the usual headers: "Name: value", or "Name: " for none
		liberal                  bool
		fault                    string // "": none
	}{
		{"as documented", "POST /api/v2/sign_in", signIn, 200, good, "", false, ""},
		{"a request that is not documented", "POST /api/v2/sign_in", `{"login":"john@example.com"}`, 200, good, "", false, "the request was accepted"},
		{"the same where any request may be sent", "POST /api/v2/sign_in", `{"login":"john@example.com"}`, 200, good, "", true, ""},
		{"an answer with a member more", "POST /api/v2/sign_in", signIn, 200, strings.Replace(good, "{", `{"admin":true,`, 1), "", false, "does not allow the answer"},
		{"an answer without a header", "POST /api/v2/sign_in", signIn, 200, good, "X-Request-Id: ", false, "does not allow the answer"},
		{"a status that is not documented", "POST /api/v2/sign_in", signIn, 201, good, "", false, "does not allow the answer"},
		{"a body where there is none", "POST /api/v2/reset_password", `{"email":"a@example.com"}`, 204, "{}", "", false, "knows no body"},
		{"an unknown path", "GET /api/v2/nothing", "", 404, fmt.Sprintf(problem, 404, "not_found", "M", "R"), "", false, ""},
		{"an unknown path that is answered", "GET /api/v2/nothing", "", 200, "{}", "", false, "does not allow the answer"},
		{"another method", "PATCH /api/v2/user", "", 405, fmt.Sprintf(problem, 405, "method_not_allowed", "M", "R"), "Allow: GET", false, ""},
		{"another method without Allow", "PATCH /api/v2/user", "", 405, fmt.Sprintf(problem, 405, "method_not_allowed", "M", "R"), "", false, "does not allow the answer"},
		{"another method that is not found", "PATCH /api/v2/user", "", 404, fmt.Sprintf(problem, 404, "not_found", "M", "R"), "", false, "does not allow the answer"},
		{"a problem of another status", "GET /api/v2/user", "", 401, fmt.Sprintf(problem, 403, "unauthorized", "M", "R"), "", false, "the problem says 403"},
		{"a problem of another request", "GET /api/v2/user", "", 401, fmt.Sprintf(problem, 401, "unauthorized", "M", "S"), "", false, "the problem says request S"},
		{"a problem that is not filled in", "GET /api/v2/user", "", 401, fmt.Sprintf(problem, 401, "unauthorized", "at most %!d(MISSING)", "R"), "", false, "not filled in"},
		{"the alias of a path", "POST /api/v2/sign_up_temporarily%60", "", 200, good, "", false, ""},
		{"a file of the documentation", "GET /docs/docs.css", "", 200, "body {}", "Content-Type: text/css", false, ""},
		{"HEAD", "HEAD /api/v2/user", "", 200, "", "", false, ""},
		{"HEAD with a body", "HEAD /api/v2/user", "", 200, "{}", "", false, "in answer to HEAD"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			method, path, _ := strings.Cut(test.operation, " ")
			r, err := http.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:4321"+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if test.request != "" {
				r.Header.Set("Content-Type", "application/json")
			}
			header := http.Header{
				"Content-Type": {"application/json"}, "Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"}, "X-Request-Id": {"R"},
			}
			if test.status >= 400 {
				header.Set("Content-Type", "application/problem+json")
				header.Set("Content-Language", "en")
			}
			if name, value, ok := strings.Cut(test.change, ": "); ok {
				header.Del(name)
				if value != "" {
					header.Set(name, value)
				}
			}
			err = checker.Check(apitest.Exchange{
				Request: r, RequestBody: []byte(test.request), AnyRequest: test.liberal, Status: test.status, Header: header, Body: []byte(test.answer),
			})
			switch {
			case test.fault == "" && err != nil:
				t.Errorf("got %v, want nothing", err)
			case test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)):
				t.Errorf("got %v, want %q", err, test.fault)
			}
			if err != nil && strings.Contains(err.Error(), "aaaaaaaa") {
				t.Errorf("the fault quotes a token: %v", err)
			}
		})
	}
}

// recorder is a test that fails without failing this one.
type recorder struct {
	testing.TB
	cleanups []func()
	errors   []string
}

func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Helper()          {}
func (r *recorder) Error(args ...any) {
	r.errors = append(r.errors, fmt.Sprint(args...))
}

func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func (r *recorder) end() {
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
}

func TestLoggedSecretFailsTheTest(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]string{"not logged": "a-server-key-of-24-bytes", "logged": `"method":"GET"`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &recorder{TB: t}
			s := apitest.OnSQLite(r, apitest.Options{ServerKeys: []string{key}})
			s.Get("/healthz")
			r.end()
			if got, want := len(r.errors) > 0, name == "logged"; got != want {
				t.Errorf("got %q, want a failure: %v", r.errors, want)
			}
		})
	}
}

func TestFaultOfTheServiceFailsTheTest(t *testing.T) {
	t.Parallel()
	r := &recorder{TB: t}
	s := apitest.OnSQLite(r, apitest.Options{})
	if err := s.Store.Close(); err != nil {
		t.Fatal(err)
	}
	if got := s.Get("/readyz").Status; got != http.StatusServiceUnavailable || len(r.errors) == 0 {
		t.Errorf("got %d and %q, want 503 and a failure", got, r.errors)
	}
	r.end()
}

func TestClockMovesOnlyWhenMoved(t *testing.T) {
	t.Parallel()
	c := apitest.NewClock()
	before := c.Now()
	if got := c.Now(); !got.Equal(before) {
		t.Errorf("got %v after %v", got, before)
	}
	c.Advance(time.Hour)
	if got := c.Now().Sub(before); got != time.Hour {
		t.Errorf("got %v later, want an hour", got)
	}
}
