package sqlstore_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

// TestNodesThatStartAtOnceMigrateOnce opens a new database many times at once.
func TestNodesThatStartAtOnceMigrateOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		var group sync.WaitGroup
		for range 6 {
			group.Go(func() {
				store, err := sqlstore.Open(context.Background(), cfg)
				if err != nil {
					t.Error(err)
					return
				}
				defer store.Close()
				if _, err := store.CreateUser(context.Background(), newGuest()); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		users := query(t, raw(t, cfg), "SELECT COUNT(*) FROM users", func(n *int) []any { return []any{n} })
		if users[0] != 6 {
			t.Errorf("got %d users, want one of each node", users[0])
		}
	})
}

// TestProcessesThatStartAtOnceMigrateOnce is the same with processes, which share nothing but the file.
func TestProcessesThatStartAtOnceMigrateOnce(t *testing.T) {
	const path = "LATCHKEY_TEST_OPEN"
	if child := os.Getenv(path); child != "" {
		cfg := dbtest.SQLite(t)
		cfg.SQLitePath = child
		must(t, open(t, cfg).Ping(t.Context()))
		return
	}
	t.Parallel()
	cfg := dbtest.SQLite(t)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
			cmd.Env = append(os.Environ(), path+"="+cfg.SQLitePath)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	group.Wait()
	must(t, open(t, cfg).Ping(t.Context()))
}

func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		must(t, open(t, cfg).Close())
		execute(t, raw(t, cfg), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (4711, "+trueOf(cfg)+")")
		_, err := sqlstore.Open(t.Context(), cfg)
		newer, ok := errors.AsType[*sqlstore.NewerSchemaError](err)
		if !ok {
			t.Fatalf("got error %v, want a *NewerSchemaError", err)
		}
		if newer.Database != 4711 || newer.Program < 1 || newer.Program >= 4711 {
			t.Errorf("got %+v, want 4711 and what this program knows", *newer)
		}
		if text := err.Error(); strings.Contains(text, "\n") || !strings.Contains(text, "4711") || !strings.Contains(text, "newer latchkey") {
			t.Errorf("got %q, want one line with the schema and what to do", text)
		}
	})
}

func trueOf(cfg sqlstore.Config) string {
	if cfg.PostgresURL != "" {
		return "TRUE"
	}
	return "1"
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for _, tt := range []struct {
		name string
		// cfg has all that is needed but a database.
		change func(cfg *sqlstore.Config)
		want   string
	}{
		{"no domain", func(cfg *sqlstore.Config) { cfg.PlaceholderDomain = "" }, "PlaceholderDomain"},
		{"no cache", func(cfg *sqlstore.Config) { cfg.Cache = nil }, "Cache"},
		{"no clock", func(cfg *sqlstore.Config) { cfg.Now = nil }, "Now"},
		{"no database", func(*sqlstore.Config) {}, "SQLitePath"},
		{"two databases", func(cfg *sqlstore.Config) { cfg.SQLitePath, cfg.PostgresURL = "x", "postgres://x" }, "PostgresURL"},
		{"memory", func(cfg *sqlstore.Config) { cfg.SQLitePath = ":memory:" }, ":memory:"},
		{"no folder", func(cfg *sqlstore.Config) { cfg.SQLitePath = filepath.Join(folder, "no", "x.db") }, "no such file"},
		{"a folder", func(cfg *sqlstore.Config) { cfg.SQLitePath = folder }, folder},
		{"a URL that is none", func(cfg *sqlstore.Config) { cfg.PostgresURL = "postgres://u:secret@host:port/" }, "URL cannot be read"},
		{"no server", func(cfg *sqlstore.Config) { cfg.PostgresURL = "postgres://u:secret@127.0.0.1:1/x" }, "connect"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := dbtest.SQLite(t)
			cfg.SQLitePath = ""
			tt.change(&cfg)
			_, err := sqlstore.Open(t.Context(), cfg)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got error %v, want one about %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the password is in %q", err)
			}
			if _, err := os.Stat(":memory:"); err == nil {
				t.Error("there is a file :memory:")
			}
		})
	}

	t.Run("a file that is no database stays as it is", func(t *testing.T) {
		t.Parallel()
		cfg, content := dbtest.SQLite(t), []byte(strings.Repeat("This is no database. ", 100))
		must(t, os.WriteFile(cfg.SQLitePath, content, 0o600))
		if _, err := sqlstore.Open(t.Context(), cfg); err == nil {
			t.Error("got no error")
		}
		if after, err := os.ReadFile(cfg.SQLitePath); err != nil || !bytes.Equal(after, content) {
			t.Error("the file was changed")
		}
	})
}
