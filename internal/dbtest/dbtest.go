// Package dbtest gives tests a new, empty database of each engine.
package dbtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

// PlaceholderDomain is that of every database here.
const PlaceholderDomain = "ideaegg.me"

// Each runs the test once on each engine, as subtests named after it, with a database of its own.
//
// PostgreSQL is the server whose superuser's URL is in LATCHKEY_TEST_POSTGRES; without one its subtest is skipped, or
// fails if LATCHKEY_TEST_FULL is set, as ./test does.
func Each(t *testing.T, test func(t *testing.T, cfg sqlstore.Config)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, SQLite(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, Postgres(t))
	})
}

// SQLite returns a new database file in a folder of the test.
func SQLite(t testing.TB) sqlstore.Config {
	cfg := config()
	cfg.SQLitePath = filepath.Join(t.TempDir(), "latchkey.db")
	return cfg
}

// Postgres returns a new database on the test server, dropped when the test ends.
func Postgres(t testing.TB) sqlstore.Config {
	t.Helper()
	server := os.Getenv("LATCHKEY_TEST_POSTGRES")
	if server == "" {
		if os.Getenv("LATCHKEY_TEST_FULL") != "" {
			t.Fatal("LATCHKEY_TEST_POSTGRES is not set: ./test starts a server and sets it")
		}
		t.Skip("no PostgreSQL: LATCHKEY_TEST_POSTGRES is not set")
	}
	name := fmt.Sprintf("test_%s_%d", strings.ToLower(strings.Map(lettersOnly, t.Name())), time.Now().UnixNano())
	if len(name) > 63 { // PostgreSQL's limit
		name = "test_" + name[len(name)-58:]
	}
	administer(t, server, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
	t.Cleanup(func() { administer(t, server, "DROP DATABASE "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)") })
	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("LATCHKEY_TEST_POSTGRES: %v", err)
	}
	u.Path = "/" + name
	cfg := config()
	cfg.PostgresURL = u.String()
	return cfg
}

func config() sqlstore.Config {
	return sqlstore.Config{Cache: auth.NewSessionCache(), Now: time.Now, PlaceholderDomain: PlaceholderDomain}
}

func lettersOnly(r rune) rune {
	if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
		return r
	}
	return -1
}

func administer(t testing.TB, server, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatalf("connect to the test server: %v", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}
