package sqlstore_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

// TestLockedTableIsUnavailable: as when somebody changes the schema by hand.
func TestLockedTableIsUnavailable(t *testing.T) {
	t.Parallel()
	cfg := dbtest.Postgres(t)
	store := open(t, cfg)
	tx, err := raw(t, cfg).BeginTx(context.Background(), nil)
	must(t, err)
	defer func() { _ = tx.Rollback() }()
	_, err = tx.ExecContext(t.Context(), "LOCK TABLE users")
	must(t, err)

	begun := time.Now()
	_, err = store.CreateUser(context.Background(), newUser("late"))
	expectUnavailable(t, err)
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("it took %v to say so", took)
	}
	must(t, tx.Rollback())
	_, err = store.CreateUser(context.Background(), newUser("after"))
	must(t, err)
	if exists(t, store, "late") {
		t.Error("a write was told that it failed, and was written all the same")
	}
}

// TestLostRaceIsTriedAgain has two transactions wait for each other. PostgreSQL ends that of the store.
func TestLostRaceIsTriedAgain(t *testing.T) {
	t.Parallel()
	cfg := dbtest.Postgres(t)
	u, err := url.Parse(cfg.PostgresURL)
	must(t, err)
	parameters := u.Query()
	parameters.Set("deadlock_timeout", "500ms") // of waiting, then it is looked for, once
	u.RawQuery = parameters.Encode()
	cfg.PostgresURL = u.String()
	store := open(t, cfg)
	ctx := context.Background()
	first, second := newGuest(), newGuest()
	for _, n := range []auth.NewUser{first, second} {
		_, err := store.CreateUser(ctx, n)
		must(t, err)
	}
	used := noon.Add(time.Hour)
	touched := make(chan error, 1)
	tx, err := raw(t, cfg).BeginTx(ctx, nil)
	must(t, err)
	defer func() { _ = tx.Rollback() }()
	for _, s := range []struct {
		text string
		args []any
	}{
		{"SET LOCAL deadlock_timeout = '1min'", nil}, // the store's looks for it first, and so is ended
		{"UPDATE sessions SET ip = '' WHERE id = $1", []any{int64(second.Session.ID)}},
	} {
		_, err := tx.ExecContext(ctx, s.text, s.args...)
		must(t, err)
	}
	go func() {
		touched <- store.TouchSessions(ctx, []auth.SessionUse{
			{ID: first.Session.ID, UsedAt: used, ExpiresAt: used}, {ID: second.Session.ID, UsedAt: used, ExpiresAt: used},
		})
	}()
	time.Sleep(200 * time.Millisecond) // for it to wait
	_, err = tx.ExecContext(ctx, "UPDATE sessions SET ip = '' WHERE id = $1", int64(first.Session.ID))
	must(t, err)
	must(t, tx.Commit())
	must(t, <-touched)
	for _, n := range []auth.NewUser{first, second} {
		session, _, err := store.FindSession(ctx, n.Session.ID)
		must(t, err)
		if !session.LastUsedAt.Equal(used) {
			t.Errorf("session %d was last used %v, want %v", n.Session.ID, session.LastUsedAt, used)
		}
	}
}

// TestServerThatGoesAwayIsUnavailable takes a database away in the ways that a server has, and brings it back.
func TestServerThatGoesAwayIsUnavailable(t *testing.T) {
	t.Parallel()
	cfg := dbtest.Postgres(t)
	store := open(t, cfg)
	_, err := store.CreateUser(context.Background(), newUser("before"))
	must(t, err)

	u, err := url.Parse(cfg.PostgresURL)
	must(t, err)
	name := strings.TrimPrefix(u.Path, "/")
	database, away := pgx.Identifier{name}.Sanitize(), pgx.Identifier{name[1:]}.Sanitize()
	server := raw(t, sqlstore.Config{PostgresURL: os.Getenv("LATCHKEY_TEST_POSTGRES")})
	unavailable := func(why string) {
		t.Helper()
		for range 3 {
			begun := time.Now()
			expectUnavailable(t, store.Ping(context.Background()))
			_, err := store.CreateUser(context.Background(), newGuest())
			expectUnavailable(t, err)
			if took := time.Since(begun); took > 4*time.Second {
				t.Errorf("%s: it took %v to say so twice", why, took)
			}
		}
	}
	back := func(why string) {
		t.Helper()
		for begun := time.Now(); store.Ping(context.Background()) != nil; time.Sleep(20 * time.Millisecond) {
			if time.Since(begun) > 5*time.Second {
				t.Fatalf("%s: the store did not come back", why)
			}
		}
		if !exists(t, store, "before") {
			t.Errorf("%s: what was acknowledged is gone", why)
		}
	}
	const terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "

	execute(t, server, terminate+"'"+name+"'")
	back("connections were ended")

	execute(t, server, "ALTER DATABASE "+database+" ALLOW_CONNECTIONS false", terminate+"'"+name+"'")
	unavailable("connections are not allowed")
	execute(t, server, "ALTER DATABASE "+database+" RENAME TO "+away)
	unavailable("there is no such database")
	execute(t, server, "ALTER DATABASE "+away+" RENAME TO "+database, "ALTER DATABASE "+database+" ALLOW_CONNECTIONS true")
	back("the database is there again")
}

// TestIDsThatAreGivenOutAgain: a standby that takes over may lack the last ids that its predecessor gave out. A node that
// gets such an id for a user is refused once, not for as long as its ids last, and leaves the id's user alone.
func TestIDsThatAreGivenOutAgain(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, n := range []auth.NewUser{newGuest(), newUser("late")} {
		cfg := dbtest.Postgres(t)
		before, after := open(t, cfg), open(t, cfg)
		known := make(map[auth.UserID]bool)
		create := func(s *sqlstore.Store, n auth.NewUser) error {
			user, err := s.CreateUser(ctx, n)
			if err == nil && known[user.ID] {
				t.Errorf("id %d belongs to two users", user.ID)
			}
			known[user.ID] = true
			return err
		}
		for range 3 {
			must(t, create(before, newGuest()))
		}
		execute(t, raw(t, cfg), "SELECT setval(pg_get_serial_sequence('users', 'id'), 1)")
		if err := create(after, n); !errors.Is(err, auth.ErrSessionIDTaken) {
			t.Errorf("got %v for an id that is in use, want %v", err, auth.ErrSessionIDTaken)
		}
		if sessions, err := after.ListSessions(ctx, 2, noon); err != nil || len(sessions) != 1 {
			t.Errorf("got %d sessions and error %v of the id's user, want theirs alone", len(sessions), err)
		}
		must(t, create(after, n))
		for range 100 {
			must(t, create(after, newGuest()))
			must(t, create(before, newGuest()))
		}
	}
}
