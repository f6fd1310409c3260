package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

// TestNodesThatStartAtOnceMigrateOnce starts a crowd of nodes on an empty database.
func TestNodesThatStartAtOnceMigrateOnce(t *testing.T) {
	t.Parallel()
	cfg := dbtest.Postgres(t)
	var nodes []*program
	for range 8 {
		nodes = append(nodes, spawn(t, launch{args: []string{"serve", "--dev", "--listen=127.0.0.1:0", database(cfg)}}))
	}
	for _, n := range nodes {
		n.await(t)
	}
	guest := nodes[0].guest(t)
	for _, n := range nodes {
		n.user(t, guest.PrivateToken)
	}
	wantMigratedOnce(t, cfg)
}

// TestCommandsThatMigrateAtOnceMigrateOnce does the same with the command, on the embedded database too.
func TestCommandsThatMigrateAtOnceMigrateOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		var commands []*program
		for range 4 {
			commands = append(commands, spawn(t, launch{args: []string{"migrate", "up", database(cfg)}}))
		}
		for _, c := range commands {
			if code := c.wait(); code != 0 || c.stderr.String() != "" {
				t.Errorf("got exit code %d and %q, want 0 and nothing", code, c.stderr)
			}
		}
		wantMigratedOnce(t, cfg)
	})
}

// await waits until a program that was spawned serves.
func (p *program) await(t *testing.T) {
	t.Helper()
	select {
	case <-p.stdout.firstLine:
	case <-p.exited:
		t.Fatalf("the program ended (%v) before it served:\n%s", p.state, p.stderr)
	case <-time.After(patience):
		t.Fatalf("the program did not say that it serves:\n%s", p.stderr)
	}
	p.line, _, _ = strings.Cut(p.stdout.String(), "\n")
	p.api = newAPI(t, "http://"+parseStartLine(t, p.line).address)
}

// wantMigratedOnce checks that every step of the schema was taken once, and the one that goose takes first.
func wantMigratedOnce(t *testing.T, cfg sqlstore.Config) {
	t.Helper()
	migrations, err := filepath.Glob("../../internal/sqlstore/migrations/sqlite/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	want := len(migrations) + 1
	const sql = "SELECT COUNT(*), COUNT(DISTINCT version_id) FROM goose_db_version"
	var steps, versions int
	if err := queryRow(t, cfg, sql, &steps, &versions); err != nil {
		t.Fatal(err)
	}
	if steps != want || versions != want {
		t.Errorf("got %d steps to %d versions, want %d", steps, versions, want)
	}
}

// TestKilledMigrationBlocksNobody kills a node in the middle of its migration, which a table that somebody is about to
// make holds up. The next node must get its turn and the whole schema.
func TestKilledMigrationBlocksNobody(t *testing.T) {
	t.Parallel()
	cfg := dbtest.Postgres(t)
	obstacle := connect(t, cfg.PostgresURL)
	execute(t, obstacle, "BEGIN")
	execute(t, obstacle, "CREATE TABLE users (id BIGINT)")
	waiting := func(n int) func() bool {
		return func() bool {
			const sql = `SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()
				AND wait_event_type = 'Lock' AND query LIKE 'CREATE TABLE users%'`
			var got int
			err := queryRow(t, cfg, sql, &got)
			return err == nil && got == n
		}
	}
	args := []string{"serve", "--dev", "--listen=127.0.0.1:0", database(cfg)}
	first := spawn(t, launch{args: args})
	eventually(t, "the first node waits for the table", waiting(1))
	first.kill()

	second := spawn(t, launch{args: args})
	eventually(t, "the second node is where the first was", waiting(2)) // the server has not noticed that the first is gone
	execute(t, obstacle, "ROLLBACK")
	second.await(t)
	second.user(t, second.guest(t).PrivateToken)
	wantMigratedOnce(t, cfg)
}

// TestMigrationWaitsForAnotherNode has somebody else hold the lock under which nodes migrate.
func TestMigrationWaitsForAnotherNode(t *testing.T) {
	t.Parallel()
	cfg := dbtest.Postgres(t)
	other := connect(t, cfg.PostgresURL)
	execute(t, other, "SELECT pg_advisory_lock(x'6c617463686b6579'::BIGINT)")
	args := []string{"migrate", "up", database(cfg)}
	impatient, patient := spawn(t, launch{args: args}), spawn(t, launch{args: args})
	time.Sleep(2 * time.Second) // longer than any statement of a node that serves may take
	for _, p := range []*program{impatient, patient} {
		select {
		case <-p.exited:
			t.Errorf("a migration did not wait: %v\n%s", p.state, p.stderr)
		default:
		}
	}
	impatient.signal(syscall.SIGTERM)
	if code := impatient.wait(); code == 0 || strings.Count(impatient.stderr.String(), "\n") != 1 {
		t.Errorf("got exit code %d and %q after SIGTERM, want a failure of one line", code, impatient.stderr)
	}
	execute(t, other, "SELECT pg_advisory_unlock(x'6c617463686b6579'::BIGINT)")
	if code := patient.wait(); code != 0 {
		t.Errorf("got exit code %d and %q, want 0", code, patient.stderr)
	}
	wantMigratedOnce(t, cfg)
}

// TestSchemaThatDoesNotFitIsRefusedInOneLine goes through what does not serve: an older schema that must not be touched,
// and one of a later program.
func TestSchemaThatDoesNotFitIsRefusedInOneLine(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		show := func(want, wantJSON string) {
			t.Helper()
			stdout, stderr, code := run(t, launch{args: []string{"migrate", "show", database(cfg)}})
			if code != 0 || stderr != "" || !strings.Contains(stdout, want) {
				t.Errorf("show: got exit code %d, %q and %q, want 0, %q and nothing", code, stdout, stderr, want)
			}
			stdout, stderr, code = run(t, launch{args: []string{"migrate", "show", "--json", database(cfg)}})
			if code != 0 || stderr != "" || stdout != wantJSON+"\n" {
				t.Errorf("show --json: got exit code %d, %q and %q, want 0, %q and nothing", code, stdout, stderr, wantJSON)
			}
		}
		refuse := func(want string, args ...string) {
			t.Helper()
			stdout, stderr, code := run(t, launch{args: append(args, database(cfg))})
			if code != 1 || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, want) {
				t.Errorf("%s: got exit code %d, %q and %q, want 1, nothing and one line with %q",
					strings.Join(args, " "), code, stdout, stderr, want)
			}
		}
		serve := []string{"serve", "--dev", "--listen=127.0.0.1:0"}

		if cfg.SQLitePath != "" { // the command makes no database, but this one is there and empty
			if err := os.WriteFile(cfg.SQLitePath, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		program := programSchema(t)
		show("older than this program", fmt.Sprintf(`{"database":0,"program":%d}`, program))
		refuse(fmt.Sprintf("the database has schema 0, but this program needs %d: run latchkey migrate up", program), append(serve, "--migrate=off")...)
		show("older than this program", fmt.Sprintf(`{"database":0,"program":%d}`, program)) // it was left as it is

		stdout, stderr, code := run(t, launch{args: []string{"migrate", "up", database(cfg)}})
		if want := fmt.Sprintf("migrated from schema 0 to %d\n", program); code != 0 || stderr != "" || stdout != want {
			t.Errorf("up: got exit code %d, %q and %q, want 0, %q and nothing", code, stdout, stderr, want)
		}
		show("up to date", fmt.Sprintf(`{"database":%d,"program":%[1]d}`, program))
		p := start(t, launch{args: append(serve, "--migrate=off", database(cfg))})
		guest := p.guest(t)
		p.terminate()

		if err := queryRow(t, cfg, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, TRUE) RETURNING 1", new(int)); err != nil {
			t.Fatal(err)
		}
		show("newer than this program", fmt.Sprintf(`{"database":999,"program":%d}`, program))
		newer := fmt.Sprintf("the database has schema 999, but this program knows only up to %d: run a newer latchkey", program)
		refuse(newer, serve...)
		refuse(newer, append(serve, "--migrate=off")...)
		refuse(newer, "migrate", "up")
		refuse(newer, "user", "disable", guest.Username)
		show("newer than this program", fmt.Sprintf(`{"database":999,"program":%d}`, program))
	})
}

// programSchema returns the version of the program's schema.
func programSchema(t *testing.T) int {
	t.Helper()
	cfg := dbtest.SQLite(t)
	schema, err := sqlstore.Migrate(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return int(schema.Program)
}

// queryRow scans the first row of a query on either engine.
func queryRow(t *testing.T, cfg sqlstore.Config, sql string, dest ...any) error {
	t.Helper()
	if cfg.SQLitePath != "" {
		db := openSQLite(t, cfg.SQLitePath)
		defer db.Close()
		return db.QueryRowContext(withTimeout(t), sql).Scan(dest...)
	}
	conn := connect(t, cfg.PostgresURL)
	defer conn.Close(withTimeout(t))
	return conn.QueryRow(withTimeout(t), sql).Scan(dest...)
}

// connect returns a connection that is closed when the test ends.
func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(withTimeout(t), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(withTimeout(t)) })
	return conn
}

func execute(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(withTimeout(t), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}
