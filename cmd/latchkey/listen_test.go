package main_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

func TestStartLineSaysWhereAndHow(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		wantDatabase := "sqlite:" + cfg.SQLitePath
		if cfg.PostgresURL != "" {
			wantDatabase = withoutPassword(t, cfg.PostgresURL)
		}

		p := develop(t, cfg)
		got := parseStartLine(t, p.line)
		if got.url != p.base || got.database != wantDatabase {
			t.Errorf("got %q, want URL %s and database %s", p.line, p.base, wantDatabase)
		}
		for _, relaxed := range []string{"DEVELOPMENT", p.base + "/dev/mail", "common passwords", "WeChat uid"} {
			if !strings.Contains(got.mode, relaxed) {
				t.Errorf("got mode %q of --dev, want it to say %q", got.mode, relaxed)
			}
		}
		p.terminate()
		wantOneLine(t, p)

		p = produce(t, cfg, "--base-path=/api/v2")
		got = parseStartLine(t, p.line)
		if got.url != publicURL+"/api/v2" || got.database != wantDatabase || got.mode != "production mode" {
			t.Errorf("got %q, want URL %s/api/v2, database %s and production mode", p.line, publicURL, wantDatabase)
		}
		p.terminate()
		wantOneLine(t, p)
	})
}

// wantOneLine checks that a program has printed its start line and nothing else.
func wantOneLine(t *testing.T, p *program) {
	t.Helper()
	if got := p.stdout.String(); got != p.line+"\n" {
		t.Errorf("got output %q, want one line", got)
	}
}

// withoutPassword is how a PostgreSQL URL is shown to people.
func withoutPassword(t *testing.T, database string) string {
	t.Helper()
	database, _, _ = strings.Cut(database, "?")
	before, host, _ := strings.Cut(database, "@")
	user, _, _ := strings.Cut(strings.TrimPrefix(before, "postgres://"), ":")
	return "postgres://" + user + "@" + host
}

func TestDevListensOnIPv6LoopbackToo(t *testing.T) {
	t.Parallel()
	p := start(t, launch{args: []string{"serve", "--dev", "--listen=[::1]:0", database(dbtest.SQLite(t))}})
	if !strings.HasPrefix(p.base, "http://[::1]:") {
		t.Errorf("got base %s, want the address that it listens on", p.base)
	}
	p.call(t, http.StatusOK, http.MethodGet, "/healthz", nil)
}

func TestMetricsAndProfilesAreNotPublic(t *testing.T) {
	t.Parallel()
	p := produce(t, dbtest.SQLite(t), "--ops-listen=127.0.0.1:0")
	ops := newAPI(t, "http://"+opsAddress(t, p))
	p.signedIn(t, "/sign_up", newUser("measured"))

	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/heap", "/debug/pprof/profile", "/debug/vars"} {
		if got := p.status(t, http.MethodGet, path); got != http.StatusNotFound {
			t.Errorf("got %d for %s on the public listener, want 404", got, path)
		}
	}
	metrics := string(ops.call(t, http.StatusOK, http.MethodGet, "/metrics", nil).body)
	for _, name := range []string{
		`latchkey_http_requests_total{method="POST",route="/sign_up",status="200"} 1`,
		"latchkey_hashes_total 1", "latchkey_hash_helper_restarts_total 0", "latchkey_hash_waiting 0", `latchkey_audit_events_total{kind="sign_up",outcome="ok"} 1`, "latchkey_audit_events_dropped_total 0", "go_goroutines", "process_resident_memory_bytes",
	} {
		if !strings.Contains(metrics, name) {
			t.Errorf("got metrics without %q, want it", name)
		}
	}
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/goroutine"} {
		ops.call(t, http.StatusOK, http.MethodGet, path, nil)
	}
	for _, path := range []string{"/user", "/healthz", "/docs", "/dev/mail"} {
		if got := ops.status(t, http.MethodGet, path); got != http.StatusNotFound {
			t.Errorf("got %d for %s on the listener for metrics, want 404", got, path)
		}
	}
}

func TestProductionHasNothingOfDevelopment(t *testing.T) {
	t.Parallel()
	p := produce(t, dbtest.SQLite(t))
	if got := p.status(t, http.MethodGet, "/dev/mail"); got != http.StatusNotFound {
		t.Errorf("got %d for /dev/mail, want 404", got)
	}
	p.call(t, http.StatusUnauthorized, http.MethodPost, "/sign_in_with/wechat", members{"uid": "test_uid"})
	in := newUser("common")
	in["password"], in["password_confirmation"] = "test1234", "test1234"
	p.call(t, http.StatusUnprocessableEntity, http.MethodPost, "/sign_up", in)
	eventually(t, "a warning that mail is not sent", func() bool { return strings.Contains(p.stderr.String(), "no --mail is set") })
}

func TestDevInboxShowsMail(t *testing.T) {
	t.Parallel()
	p := develop(t, dbtest.SQLite(t))
	in := newUser("reader")
	p.signedIn(t, "/sign_up", in)
	p.call(t, http.StatusNoContent, http.MethodPost, "/reset_password", members{"email": in["email"]})
	eventually(t, "a message with a link in the dev inbox", func() bool {
		page := p.call(t, http.StatusOK, http.MethodGet, "/dev/mail", nil)
		return strings.Contains(string(page.body), p.base+"/account/reset_password?token=")
	})
}

func TestBasePathMovesTheAPIAlone(t *testing.T) {
	t.Parallel()
	p := develop(t, dbtest.SQLite(t), "--base-path=/api/v2")
	moved := newAPI(t, p.base+"/api/v2")
	guest := moved.guest(t)
	moved.user(t, guest.PrivateToken)
	for _, path := range []string{"/sign_up_temporarily", "/user"} {
		if got := p.status(t, http.MethodPost, path); got != http.StatusNotFound {
			t.Errorf("got %d for %s at the root, want 404", got, path)
		}
	}
	for _, path := range []string{"/healthz", "/readyz", "/dev/mail"} {
		p.call(t, http.StatusOK, http.MethodGet, path, nil)
		if got := moved.status(t, http.MethodGet, path); got != http.StatusNotFound {
			t.Errorf("got %d for %s behind the base path, want 404", got, path)
		}
	}
}

func TestDocumentsAreServed(t *testing.T) {
	t.Parallel()
	p := produce(t, dbtest.SQLite(t), "--base-path=/api")
	for path, want := range map[string]string{
		"/openapi.json": "application/json", "/docs": "text/html",
		"/api/openapi.json": "application/json", "/api/docs": "text/html",
	} {
		got := p.call(t, http.StatusOK, http.MethodGet, path, nil)
		if contentType := got.header.Get("Content-Type"); !strings.HasPrefix(contentType, want) {
			t.Errorf("%s: got Content-Type %q, want %s", path, contentType, want)
		}
		if want == "application/json" && !strings.Contains(string(got.body), publicURL+"/api") {
			t.Errorf("%s: got no server %s/api in the document, want it", path, publicURL)
		}
	}
}

func TestRateLimitsOffWarns(t *testing.T) {
	t.Parallel()
	const warning = "--rate-limits=off"
	p := produce(t, dbtest.SQLite(t))
	eventually(t, "a warning", func() bool { return strings.Contains(p.stderr.String(), warning) })
	p = develop(t, dbtest.SQLite(t))
	p.guest(t)
	if strings.Contains(p.stderr.String(), warning) {
		t.Error("got a warning about rate limits that are on, want none")
	}
}
