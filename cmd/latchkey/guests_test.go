package main_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/dbtest"
)

// TestPruneBesideTheService deletes guests with one program while another one serves: those alone who were not seen for
// long and have no live session.
func TestPruneBesideTheService(t *testing.T) {
	t.Parallel()
	cfg := dbtest.SQLite(t)
	p := develop(t, cfg)
	live, unused, late := p.guest(t), p.guest(t), p.guest(t)
	user := p.signedIn(t, "/sign_up", newUser("john_smith"))
	for _, token := range []string{unused.PrivateToken, late.PrivateToken, user.PrivateToken} {
		p.call(t, http.StatusNoContent, http.MethodPost, "/sign_out", nil, bearer(token))
	}
	db := openSQLite(t, cfg.SQLitePath)
	long := time.Now().Add(-31 * 24 * time.Hour)
	if _, err := db.ExecContext(withTimeout(t), "UPDATE users SET signed_in_at = $1 WHERE id <> $2", long.UnixMicro(), late.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(withTimeout(t), "UPDATE sessions SET last_used_at = $1", long.UnixMicro()); err != nil {
		t.Fatal(err)
	}

	// prune runs the command with JSON, and checks its counts.
	prune := func(t *testing.T, found, deleted int64, args ...string) {
		t.Helper()
		stdout, stderr, code := run(t, launch{args: append([]string{"guests", "prune", "--json", database(cfg)}, args...)})
		var got struct{ Unused, Deleted int64 }
		if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 0 || stderr != "" {
			t.Fatalf("got exit code %d, output %q and %q (%v)", code, stdout, stderr, err)
		}
		if got.Unused != found || got.Deleted != deleted {
			t.Errorf("got %d unused and %d deleted, want %d and %d", got.Unused, got.Deleted, found, deleted)
		}
	}
	prune(t, 1, 0, "--dry-run")
	prune(t, 0, 0, "--older-than=32d")
	prune(t, 1, 1, "--older-than=30d")
	prune(t, 0, 0)
	p.user(t, live.PrivateToken)
	var left string
	if err := db.QueryRowContext(withTimeout(t), "SELECT group_concat(id, ' ') FROM (SELECT id FROM users ORDER BY id)").Scan(&left); err != nil {
		t.Fatal(err)
	}
	if want := "1 3 4"; left != want {
		t.Errorf("got users %s, want %s", left, want)
	}

	stdout, _, _ := run(t, launch{args: []string{"guests", "prune", "--dry-run", "--older-than=1h", database(cfg)}})
	if !strings.HasPrefix(stdout, "0 guests not seen since ") {
		t.Errorf("got %q, want no guest", stdout)
	}
}
