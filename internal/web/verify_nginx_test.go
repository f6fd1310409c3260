package web_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/internal/apitest"
)

// startNginx runs nginx with the README's configuration between a service and a backend, and returns its address. Without
// nginx the test is skipped, or fails if LATCHKEY_TEST_FULL is set, as ./test does.
func startNginx(t *testing.T, service, backend string) (url string) {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/nginx") // Debian's, not on everybody's PATH
	}
	switch {
	case err != nil && os.Getenv("LATCHKEY_TEST_FULL") != "":
		t.Fatal("nginx is missing")
	case err != nil:
		t.Skip("nginx is missing")
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(readme), "```nginx\n")
	text, _, ok := strings.Cut(text, "```")
	if !ok {
		t.Fatal("the README has no configuration for nginx")
	}
	free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	for old, with := range map[string]string{
		"server 127.0.0.1:8080;": "server " + strings.TrimPrefix(service, "http://") + ";",
		"http://127.0.0.1:3000;": backend + ";",
		"listen 80;":             "listen " + address + ";",
	} {
		if strings.Count(text, old) != 1 {
			t.Fatalf("the README's configuration for nginx has not one %q", old)
		}
		text = strings.Replace(text, old, with, 1)
	}
	folder := t.TempDir()
	var paths strings.Builder
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&paths, "%s_temp_path %q;\n", kind, filepath.Join(folder, kind))
	}
	log := filepath.Join(folder, "error.log")
	config := filepath.Join(folder, "nginx.conf")
	text = fmt.Sprintf("daemon off;\nmaster_process off;\npid %q;\nerror_log %q;\nevents {}\nhttp {\naccess_log off;\n%s\n%s}\n",
		filepath.Join(folder, "pid"), log, &paths, text)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-p", folder, "-c", config, "-e", log) //nolint:noctx // ended below
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // how it ended is no matter
		if said, err := os.ReadFile(log); err == nil && t.Failed() {
			t.Logf("nginx's log:\n%s", said)
		}
	})
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err == nil {
			_ = conn.Close()
			return "http://" + address
		}
		if time.Now().After(deadline) {
			t.Fatalf("nginx does not answer: %v", err)
		}
	}
}

// TestNginxLetsThroughWhomVerifyKnows has a real nginx ask about each request before it reaches a backend.
func TestNginxLetsThroughWhomVerifyKnows(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{})
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		h := r.Header
		_, _ = fmt.Fprintf(w, "%s %s %q %q %q %s", r.Method, r.URL, h["Latchkey-User-Id"], h["Latchkey-Username"], h["Latchkey-Guest"], body)
	}))
	t.Cleanup(backend.Close)
	at := startNginx(t, s.Origin, backend.URL)

	john, guest := signUp(t, s, "john_smith"), signUpGuest(t, s)
	ended := signIn(t, s, "john_smith")
	s.Remember(ended)
	want(t, s.Post("/sign_out", nil, apitest.Bearing(ended)), http.StatusNoContent)

	ask := func(t *testing.T, method, path, body string, headers ...string) (status int, text string, header http.Header) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, at+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range headers {
			name, value, _ := strings.Cut(line, ": ")
			r.Header.Add(name, value)
		}
		a, err := backend.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = a.Body.Close() }()
		got, err := io.ReadAll(a.Body)
		if err != nil {
			t.Fatal(err)
		}
		return a.StatusCode, string(got), a.Header
	}
	forged := []string{"Latchkey-User-Id: 999", "latchkey-username: admin", "Latchkey-Guest: false"}
	for name, test := range map[string]struct {
		method, path, body string
		headers            []string
		want               string
	}{
		"a user": {
			"GET", "/orders?page=2", "",
			[]string{apitest.Bearing(john.Token())},
			fmt.Sprintf(`GET /orders?page=2 ["%d"] ["john_smith"] ["false"] `, john.ID()),
		},
		"a guest who says to be somebody else": {
			"GET", "/", "", append(forged, "Authorization: Bearer "+guest.Token()),
			fmt.Sprintf(`GET / ["%d"] [%q] ["true"] `, guest.ID(), guest.Text("username")),
		},
		"a body": {
			"POST", "/orders", "one pair of shoes",
			[]string{apitest.Bearing(john.Token())},
			fmt.Sprintf(`POST /orders ["%d"] ["john_smith"] ["false"] one pair of shoes`, john.ID()),
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 3 { // over one connection
				status, got, _ := ask(t, test.method, test.path, test.body, test.headers...)
				if diff := cmp.Diff(test.want, got); status != http.StatusOK || diff != "" {
					t.Errorf("got %d (-want +got):\n%s", status, diff)
				}
			}
		})
	}
	for name, test := range map[string]struct {
		status  int
		headers []string
	}{
		"nobody":                              {http.StatusUnauthorized, nil},
		"nobody who says to be somebody":      {http.StatusUnauthorized, forged},
		"a session that has ended":            {http.StatusUnauthorized, []string{apitest.Bearing(ended)}},
		"two tokens, for which nginx has 500": {http.StatusInternalServerError, []string{apitest.Bearing(john.Token()), "Authorization: Bearer " + guest.Token()}},
	} {
		t.Run(name, func(t *testing.T) {
			status, got, header := ask(t, "POST", "/orders", "one pair of shoes", test.headers...)
			if status != test.status || strings.Contains(got, "shoes") {
				t.Errorf("got %d %s, want %d", status, got, test.status)
			}
			if status == http.StatusUnauthorized && header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("got WWW-Authenticate %q, want Bearer", header.Get("WWW-Authenticate"))
			}
		})
	}
}
