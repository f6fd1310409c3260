package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // "pgx"
	"go.uber.org/goleak"
	_ "modernc.org/sqlite" // "sqlite"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

func TestMain(m *testing.M) {
	// What rapid finds stands in the test's output. A file in the tree would be committed by accident, and depends on a
	// database that is gone.
	if err := flag.Set("rapid.nofailfile", "true"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// open opens the database; the store is closed when the test ends.
func open(t testing.TB, cfg sqlstore.Config) *sqlstore.Store {
	t.Helper()
	store, err := sqlstore.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// raw opens the database beside the store.
func raw(t testing.TB, cfg sqlstore.Config) *sql.DB {
	t.Helper()
	driver, name := "sqlite", "file:"+cfg.SQLitePath+"?_pragma=busy_timeout(5000)"
	if cfg.PostgresURL != "" {
		driver, name = "pgx", cfg.PostgresURL
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// execute runs the statements, on one connection.
func execute(t testing.TB, db *sql.DB, statements ...string) {
	t.Helper()
	conn, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, s := range statements {
		if _, err := conn.ExecContext(context.Background(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// query returns the rows that the query yields, each as scan reads it.
func query[T any](t testing.TB, db *sql.DB, text string, scan func(row *T) []any, args ...any) []T {
	t.Helper()
	rows, err := db.QueryContext(context.Background(), text, args...)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	defer rows.Close()
	var list []T
	for rows.Next() {
		var row T
		if err := rows.Scan(scan(&row)...); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		list = append(list, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return list
}

var noon = time.Date(2026, time.March, 4, 12, 0, 0, 0, time.UTC)

// serial numbers what tests make, so that nothing is taken.
var serial atomic.Int64

// newUser is a full user; newGuest has nothing but a session.
func newUser(name string) auth.NewUser {
	n := newGuest()
	n.Username, n.Fullname, n.Guest = name, name, false
	n.Email = &auth.Email{Address: name + "@example.com", Key: name + "@example.com"}
	n.PasswordHash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMQ"
	return n
}

func newGuest() auth.NewUser {
	i := serial.Add(1)
	name := fmt.Sprintf("%08x", i)
	return auth.NewUser{
		Username: name,
		Profile:  auth.Profile{Fullname: name},
		Guest:    true,
		Language: auth.English,
		Now:      noon,
		Session: auth.Session{
			ID: auth.SessionID(1<<45 + i), CreatedAt: noon, LastUsedAt: noon, ExpiresAt: noon.Add(24 * time.Hour),
		},
	}
}

// exists says whether there is a user with this name.
func exists(t testing.TB, store *sqlstore.Store, username string) bool {
	t.Helper()
	_, _, err := store.FindLogin(context.Background(), auth.Login{Username: username})
	switch {
	case err == nil:
		return true
	case !errors.Is(err, auth.ErrNotFound):
		t.Fatal(err)
	}
	return false
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// expectUnavailable fails the test unless err says that the database cannot do it now.
func expectUnavailable(t testing.TB, err error) {
	t.Helper()
	if !errors.Is(err, auth.ErrUnavailable) {
		t.Errorf("got error %v, want %v", err, auth.ErrUnavailable)
	}
}
