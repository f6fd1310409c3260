package web_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/apitest"
	"github.com/ideaegg/latchkey/internal/dbtest"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		for _, path := range []string{"/healthz", "/readyz"} {
			a := s.Get(path)
			want(t, a, http.StatusOK)
			if got := string(a.Body); got != `{"status":"ok"}` {
				t.Errorf("%s: got %s", path, got)
			}
			want(t, s.Get(path, "PRIVATE-TOKEN: bad", "Authorization: Bearer worse"), http.StatusOK) // probes are nobody
		}
	})
}

func TestDevInboxIsThereInDevelopmentOnly(t *testing.T) {
	t.Parallel()
	t.Run("in production", func(t *testing.T) {
		t.Parallel()
		s := apitest.OnSQLite(t, apitest.Options{BelieveBareUID: true})
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			wantProblem(t, s.Do(method, "/dev/mail", nil), http.StatusNotFound, latchkey.CodeNotFound, "path invalid")
		}
		for _, route := range s.Web.Table() {
			if strings.HasPrefix(route[1], "/dev") {
				t.Errorf("got the route %s", route[1])
			}
		}
	})
	t.Run("in development", func(t *testing.T) {
		t.Parallel()
		s := apitest.OnSQLite(t, apitest.Options{Dev: true})
		empty := s.Get("/dev/mail", "Accept: application/json")
		want(t, empty, http.StatusOK)
		if got := string(empty.Body); got != "[]" {
			t.Errorf("got %s, want an empty list", got)
		}
		signUp(t, s, "john_smith")
		askReset(t, s, "john_smith@example.com")
		m := askReset(t, s, "john_smith@example.com", `User-Agent: <script>alert("x")</script>`)

		a := s.Get("/dev/mail", "Accept: application/json, text/html;q=0.5")
		want(t, a, http.StatusOK)
		if len(a.List) != 3 {
			t.Fatalf("got %d messages, want that of the sign-up and 2", len(a.List))
		}
		id, ok := a.List[0]["id"].(json.Number)
		if !ok {
			t.Fatalf("got id %v, want a number", a.List[0]["id"])
		}
		if diff := cmp.Diff(map[string]any{
			"to": m.To, "subject": m.Subject, "text": m.Text, "date": "2026-06-06T14:20:57.024Z", "id": id, "html": m.HTML, "code": m.Code,
		}, a.List[0]); diff != "" {
			t.Errorf("newest message (-want +got):\n%s", diff)
		}

		page := s.Get("/dev/mail", "Accept: text/html")
		want(t, page, http.StatusOK)
		if got := page.Header.Get("Content-Type"); got != "text/html; charset=utf-8" {
			t.Errorf("got Content-Type %q", got)
		}
		for _, text := range []string{m.Subject, m.Code, "To <b>john_smith@example.com</b>", "2026-06-06 14:20:57", `href="/dev/mail/` + id.String() + `"`} {
			if !strings.Contains(string(page.Body), text) {
				t.Errorf("the page lacks %q", text)
			}
		}
		if strings.Contains(string(page.Body), "<script>") {
			t.Error("the page has a script that a client sent")
		}
		for header, want := range map[string]string{"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"} {
			if got := page.Header.Get(header); got != want {
				t.Errorf("got %s %q, want %q", header, got, want)
			}
		}
		policy := page.Header.Get("Content-Security-Policy")
		for _, directive := range []string{"default-src 'none'", "script-src 'self';", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
			if !strings.Contains(policy, directive) {
				t.Errorf("policy %q lacks %q", policy, directive)
			}
		}
		if strings.Contains(policy, "unsafe") {
			t.Errorf("policy %q lets the scripts of messages run", policy)
		}
	})
}

// Nothing in the files of the database opens an account: tokens, codes and passwords are there as hashes only.
func TestDatabaseHoldsNoSecret(t *testing.T) {
	t.Parallel()
	db := dbtest.SQLite(t)
	s := apitest.Start(t, db, apitest.Options{Dev: true})
	john := signUp(t, s, "john_smith")
	signIn(t, s, "john_smith")
	signUp(t, s, "upgraded_guest", apitest.Bearing(signUpGuest(t, s).Token()))
	signInWithWeChat(t, s, "openid_1")
	used := askReset(t, s, "john_smith@example.com")
	want(t, resetBy(t, s, object{"token": used.Token}), http.StatusNoContent)
	waiting := askReset(t, s, "upgraded_guest@example.com")
	want(t, s.Post("/sign_in", object{"login": "john_smith", "password": "a wrong password"}), http.StatusUnauthorized)

	secrets := s.Secrets()
	for _, secret := range []string{john.Token(), used.Token, waiting.Token, waiting.Code, password, newPassword} {
		if !slices.Contains(secrets, secret) {
			t.Error("a secret is not among those that are looked for")
		}
	}
	files, err := filepath.Glob(db.SQLitePath + "*")
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		total += len(content)
		for _, secret := range secrets {
			if strings.Contains(string(content), secret) {
				t.Errorf("%s has the secret %q", filepath.Base(file), secret)
			}
		}
		if strings.Contains(string(content), "john_smith@example.com") {
			total += 1 << 30 // the test looks where the data is
		}
	}
	if total < 1<<30 {
		t.Errorf("got %d bytes in %d files without any user", total, len(files))
	}
}

// Each request is one line of the log, with the pattern of its path, never the path: that may hold anything.
func TestLogHasOneLineForEachRequest(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{})
	token := signUp(t, s, "john_smith").Token()
	type line struct {
		Msg       string `json:"msg"`
		Method    string `json:"method"`
		Route     string `json:"route"`
		Status    int    `json:"status"`
		IP        string `json:"ip"`
		RequestID string `json:"request_id"`
	}
	for _, test := range []struct {
		method, path string
		body         any
		route        string
		status       int
	}{
		{http.MethodGet, "/user?private_token=" + token, nil, "/user", 200},
		{http.MethodHead, "/user", nil, "/user", 200},
		{http.MethodHead, "/docs", nil, "/docs", 200},
		{http.MethodGet, "/healthz", nil, "/healthz", 200},
		{http.MethodGet, "/" + token, nil, "unknown", 404},
		{http.MethodDelete, "/user/sessions/4711", nil, "/user/sessions/{id}", 404},
		{http.MethodPost, "/sign_in_with/" + token, `{}`, "/sign_in_with/{provider}", 422},
		{http.MethodPatch, "/user/" + token, nil, "unknown", 404},
		{http.MethodPost, "/reset_password", object{"email": "private@example.com"}, "/reset_password", 204},
	} {
		before := len(s.Log())
		a := s.Do(test.method, test.path, test.body, apitest.Bearing(token))
		var got []line
		for lines := bufio.NewScanner(strings.NewReader(s.Log()[before:])); lines.Scan(); {
			var l line
			if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
				t.Fatal(err)
			}
			if l.Msg == "request" {
				got = append(got, l)
			}
			if strings.Contains(lines.Text(), "private@") {
				t.Errorf("an address has been logged: %s", lines.Text())
			}
		}
		want := []line{{"request", test.method, test.route, test.status, "127.0.0.1", a.Header.Get("X-Request-Id")}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", test.method, test.route, diff)
		}
	}
}
