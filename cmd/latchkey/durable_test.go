package main_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

// TestAcknowledgedSurvivesSIGKILL kills the program again and again while it is busy. Whatever it had answered by then
// must still be so when it serves again: users exist, their tokens work, and ended sessions stay ended.
func TestAcknowledgedSurvivesSIGKILL(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		cfg := dbtest.SQLite(t)
		surviveKills(t, cfg, 20)
		if got := integrity(t, cfg.SQLitePath); got != "ok" {
			t.Errorf("got %q from the integrity check, want ok", got)
		}
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		surviveKills(t, dbtest.Postgres(t), 4)
	})
}

func surviveKills(t *testing.T, cfg sqlstore.Config, rounds int) {
	t.Helper()
	all := new(ledger)
	p := produce(t, cfg)
	for round := range rounds {
		acknowledged := storm(t, p, round, time.Duration(20+rand.IntN(380))*time.Millisecond)
		p = produce(t, cfg)
		acknowledged.check(t, p.api, 1)
		all.add(acknowledged)
	}
	t.Logf("%d sessions, %d passwords and %d sign-outs acknowledged", len(all.sessions), len(all.users), len(all.signedOut))
	if len(all.sessions) == 0 || len(all.users) == 0 || len(all.signedOut) == 0 {
		t.Error("want some of each: the test shows nothing")
	}
	all.check(t, p.api, 5) // what one crash left behind may be lost with the next
	ids := make(map[int64]bool)
	for _, s := range all.sessions {
		ids[s.ID] = true
	}
	if len(ids) != len(all.sessions) {
		t.Errorf("got %d ids for %d users, want one each", len(ids), len(all.sessions))
	}
}

// storm lets clients sign up and out until it kills the program, and returns what was acknowledged.
func storm(t *testing.T, p *program, round int, lasting time.Duration) *ledger {
	t.Helper()
	l := new(ledger)
	first := newUser(fmt.Sprintf("user-%d", round)) // so that there is one in each round
	l.sessions = append(l.sessions, p.signedIn(t, "/sign_up", first))
	l.users = append(l.users, first)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var clients sync.WaitGroup
	guests, users := 5, 1
	if round%2 == 1 { // passwords are hashed in what the guests leave of the processor
		guests, users = 1, 3
	}
	for range guests {
		clients.Go(func() { l.signUpGuests(ctx, p.api) })
	}
	for client := range users {
		clients.Go(func() { l.signUpUsers(ctx, p.api, fmt.Sprintf("user-%d-%d", round, client)) })
	}
	time.Sleep(lasting)
	p.kill()
	cancel()
	clients.Wait()
	for _, status := range l.unexpected {
		t.Errorf("got status %d before the program was killed, want 200 or 204", status)
	}
	return l
}

// ledger is what the program has acknowledged. What was asked but not answered is in none of its lists.
type ledger struct {
	mu         sync.Mutex
	sessions   []latchkey.SignedIn // that were not ended, of guests and users
	users      []members           // sign-ups with a password
	signedOut  []string            // tokens
	unexpected []int
}

// signUpGuests signs guests up, and every third one out again, until the program is gone.
func (l *ledger) signUpGuests(ctx context.Context, a api) {
	for n := 0; ctx.Err() == nil; n++ {
		guest, ok := l.signUp(a, "/sign_up_temporarily", nil)
		if !ok {
			return
		}
		if n%3 != 0 {
			l.mu.Lock()
			l.sessions = append(l.sessions, guest)
			l.mu.Unlock()
			continue
		}
		got, err := a.do(http.MethodPost, "/sign_out", nil, bearer(guest.PrivateToken))
		if err != nil {
			return // it may have been done or not
		}
		l.mu.Lock()
		if got.status == http.StatusNoContent {
			l.signedOut = append(l.signedOut, guest.PrivateToken)
		} else {
			l.unexpected = append(l.unexpected, got.status)
		}
		l.mu.Unlock()
	}
}

func (l *ledger) signUpUsers(ctx context.Context, a api, prefix string) {
	for n := 0; ctx.Err() == nil; n++ {
		in := newUser(fmt.Sprintf("%s-%d", prefix, n))
		user, ok := l.signUp(a, "/sign_up", in)
		if !ok {
			return
		}
		l.mu.Lock()
		l.users = append(l.users, in)
		l.sessions = append(l.sessions, user)
		l.mu.Unlock()
	}
}

// signUp reports false once the program is gone.
func (l *ledger) signUp(a api, path string, body members) (latchkey.SignedIn, bool) {
	got, err := a.do(http.MethodPost, path, body)
	if err != nil {
		return latchkey.SignedIn{}, false
	}
	user, err := parse[latchkey.SignedIn](got)
	if err != nil || got.status != http.StatusOK {
		l.mu.Lock()
		l.unexpected = append(l.unexpected, got.status)
		l.mu.Unlock()
		return latchkey.SignedIn{}, false
	}
	return user, true
}

func (l *ledger) add(other *ledger) {
	l.sessions = append(l.sessions, other.sessions...)
	l.users = append(l.users, other.users...)
	l.signedOut = append(l.signedOut, other.signedOut...)
}

// check asks for everything on the list, but of the passwords, which are slow, only for some and the last.
func (l *ledger) check(t *testing.T, a api, passwords int) {
	t.Helper()
	const clients = 4
	var checks sync.WaitGroup
	for client := range clients {
		checks.Go(func() {
			for i := client; i < len(l.sessions); i += clients {
				wantSession(t, a, l.sessions[i])
			}
			for i := client; i < len(l.signedOut); i += clients {
				got, err := a.do(http.MethodGet, "/user", nil, bearer(l.signedOut[i]))
				if err != nil || got.status != http.StatusUnauthorized {
					t.Errorf("got %d (%v) for a token that was signed out, want 401", got.status, err)
				}
			}
		})
	}
	checks.Wait()
	for i := range min(passwords, len(l.users)) {
		in := l.users[len(l.users)-1]
		if i > 0 {
			in = l.users[rand.IntN(len(l.users))]
		}
		a.signedIn(t, "/sign_in", members{"login": in["email"], "password": in["password"]})
	}
}

// wantSession checks that a token is its user's. It may be called in any goroutine.
func wantSession(t *testing.T, a api, want latchkey.SignedIn) {
	t.Helper()
	got, err := a.do(http.MethodGet, "/user", nil, bearer(want.PrivateToken))
	if err != nil || got.status != http.StatusOK {
		t.Errorf("got %d %s (%v) for the token of user %d, want 200", got.status, got.body, err, want.ID)
		return
	}
	if user, err := parse[latchkey.User](got); err != nil || user.ID != want.ID || user.Username != want.Username {
		t.Errorf("got user %d (%s) for a token, want %d (%s)", user.ID, user.Username, want.ID, want.Username)
	}
}

// TestKilledWhileItStarts kills the program while it makes its database, at some moment or other.
func TestKilledWhileItStarts(t *testing.T) {
	t.Parallel()
	for range 5 {
		cfg := dbtest.SQLite(t)
		for range 4 {
			p := spawn(t, launch{args: []string{"serve", "--dev", "--listen=127.0.0.1:0", database(cfg)}})
			time.Sleep(time.Duration(rand.IntN(80)) * time.Millisecond)
			p.kill()
		}
		p := develop(t, cfg)
		p.user(t, p.guest(t).PrivateToken)
		p.kill()
	}
}

// integrity returns what SQLite says about a database file.
func integrity(t *testing.T, path string) string {
	t.Helper()
	db := openSQLite(t, path)
	var result string
	if err := db.QueryRowContext(withTimeout(t), "PRAGMA integrity_check").Scan(&result); err != nil {
		t.Fatal(err)
	}
	return result
}

// openSQLite opens a database file beside the program.
func openSQLite(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	return db
}
