package main_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/ideaegg/latchkey/internal/dbtest"
)

// TestCopiedDatabaseServesTheSamePeople moves from the embedded database to PostgreSQL and serves from there.
func TestCopiedDatabaseServesTheSamePeople(t *testing.T) {
	t.Parallel()
	to := dbtest.Postgres(t)
	from := dbtest.SQLite(t)
	p := develop(t, from)
	in := newUser("mover")
	user := p.signedIn(t, "/sign_up", in)
	guest := p.guest(t)
	weChat := p.signedIn(t, "/sign_in_with/wechat", members{"uid": "moving-openid"})
	ended := p.guest(t)
	p.call(t, http.StatusNoContent, http.MethodPost, "/sign_out", nil, bearer(ended.PrivateToken))
	p.terminate()

	arguments := []string{"copy", "--from=sqlite:" + from.SQLitePath, "--to=" + to.PostgresURL}
	stdout, stderr, code := run(t, launch{args: arguments})
	if code != 0 || stderr != "" || !strings.Contains(stdout, "users") {
		t.Fatalf("got exit code %d, output %q and %q, want 0 and the numbers of rows", code, stdout, stderr)
	}
	if _, stderr, code = run(t, launch{args: arguments}); code == 0 || strings.Count(stderr, "\n") != 1 {
		t.Errorf("got exit code %d and %q for a target that is not empty, want a refusal of one line", code, stderr)
	}

	p = develop(t, to)
	for _, token := range []string{user.PrivateToken, guest.PrivateToken, weChat.PrivateToken} {
		p.user(t, token)
	}
	p.call(t, http.StatusUnauthorized, http.MethodGet, "/user", nil, bearer(ended.PrivateToken))
	if again := p.signedIn(t, "/sign_in", members{"login": in["email"], "password": in["password"]}); again.ID != user.ID {
		t.Errorf("got user %d, want %d as before", again.ID, user.ID)
	}
	if again := p.signedIn(t, "/sign_in_with/wechat", members{"uid": "moving-openid"}); again.ID != weChat.ID {
		t.Errorf("got user %d, want %d as before", again.ID, weChat.ID)
	}
	if next := p.guest(t); next.ID <= ended.ID {
		t.Errorf("got id %d for a new user, want a new one above %d", next.ID, ended.ID)
	}
}
