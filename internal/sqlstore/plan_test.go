package sqlstore_test

import (
	"database/sql"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

// scanAllowed are steps of plans that go through all of something, and why they may; by engine and statement.
var scanAllowed = map[string]string{
	"sqlite updateGuestsOfExpiredSessions: SCAN due":     "its own subquery, a batch of rows",
	"sqlite updateGuestsOfExpiredSessions: SCAN expired": "its own subquery, a batch of rows",
	"sqlite selectOne: SCAN CONSTANT ROW":                "no table",
}

// TestEveryPlanUsesAnIndex reads the plan of every statement on each engine: none reads a table or an index from one end to
// the other, whatever the table, as all of them grow. SQLite plans without statistics, as the program never collects any.
// PostgreSQL has many rows of everything, and is given values of which few rows are meant: what is sent without a name is
// planned for its values. This sees neither the work of foreign keys (see TestForeignKeysHaveAnIndex) nor how many rows an
// index yields.
func TestEveryPlanUsesAnIndex(t *testing.T) {
	t.Parallel()
	statements := statements(t)
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		open(t, cfg)
		db := raw(t, cfg)
		engine, other, scans := "sqlite", "Postgres", sqliteScans
		if cfg.PostgresURL != "" {
			engine, other, scans = "postgres", "SQLite", postgresScans
			fillPostgres(t, db, 10_000)
		}
		seen := make(map[string]bool)
		for _, name := range slices.Sorted(maps.Keys(statements)) {
			if strings.HasSuffix(name, other) {
				continue
			}
			var args []any
			for strings.Contains(statements[name], fmt.Sprintf("$%d", len(args)+1)) {
				args = append(args, "10") // of any type: PostgreSQL reads it
			}
			plan := explain(t, db, cfg, statements[name], args...)
			for _, step := range scans(plan) {
				key := engine + " " + name + ": " + step
				seen[key] = true
				if scanAllowed[key] == "" {
					t.Errorf("%s reads all of something:\n%s", key, plan)
				}
			}
		}
		for key := range scanAllowed {
			if strings.HasPrefix(key, engine+" ") && !seen[key] {
				t.Errorf("%s is not there any more, and needs no exception", key)
			}
		}
	})
}

// sqliteScans returns the steps of a plan that are no search (https://sqlite.org/eqp.html).
func sqliteScans(plan string) []string {
	return regexp.MustCompile(`(?m)^SCAN .*$`).FindAllString(plan, -1)
}

// postgresScans returns the steps of a plan that read a table, or an index without a condition.
func postgresScans(plan string) []string {
	var scans []string
	lines := strings.Split(plan, "\n")
	for i, line := range lines {
		step, _, _ := strings.Cut(strings.TrimLeft(line, " ->"), "  (cost")
		byIndex := strings.HasPrefix(step, "Index ") && strings.Contains(step, " Scan") || strings.HasPrefix(step, "Bitmap Index Scan")
		if strings.HasPrefix(step, "Seq Scan") || byIndex && !strings.Contains(lines[i+1], "Index Cond:") {
			scans = append(scans, step)
		}
	}
	return scans
}

// fillPostgres fills every table with rows, in each of which everything is the row's number.
func fillPostgres(t *testing.T, db *sql.DB, rows int) {
	t.Helper()
	columns, values := make(map[string][]string), make(map[string][]string)
	for _, c := range postgresSchema(t, db).Columns {
		value := map[string]string{"integer": "i", "text": "i::text", "bytes": "i::text::bytea"}[c.Type]
		if c.Name == "guest" || c.Name == "status" {
			value = "i % 2"
		}
		columns[c.Table], values[c.Table] = append(columns[c.Table], c.Name), append(values[c.Table], value)
	}
	tables := slices.Sorted(maps.Keys(columns))
	users := slices.Index(tables, "users") // others refer to them
	tables = append([]string{"users"}, slices.Delete(tables, users, users+1)...)
	for _, table := range tables {
		execute(t, db, fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM generate_series(1, %d) AS i",
			table, strings.Join(columns[table], ", "), strings.Join(values[table], ", "), rows))
	}
	execute(t, db, "ANALYZE")
}

// TestForeignKeysHaveAnIndex: whoever deletes a user has the database look for what refers to them.
func TestForeignKeysHaveAnIndex(t *testing.T) {
	t.Parallel()
	cfg := dbtest.SQLite(t) // the other engine's schema is the same, says TestSchemasAreTheSame
	open(t, cfg)
	s := sqliteSchema(t, raw(t, cfg))
	for _, key := range s.ForeignKeys {
		if !slices.ContainsFunc(s.Indexes, func(i index) bool {
			return i.Table == key.Table && !i.Partial && strings.HasPrefix(i.Columns+",", key.Column+",")
		}) {
			t.Errorf("no index of %s begins with %s", key.Table, key.Column)
		}
	}
}

// TestCleanUpOfGuestsReadsTheIndex: among many users, the few guests who are due are found by the index of guests, and
// their sessions by that of users.
func TestCleanUpOfGuestsReadsTheIndex(t *testing.T) {
	t.Parallel()
	statements := statements(t)
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		open(t, cfg)
		db := raw(t, cfg)
		noHash := "''"
		if cfg.SQLitePath != "" {
			noHash = "x''"
		}
		execute(t, db,
			`INSERT INTO users (username, fullname, guest, status, language, created_at, signed_in_at)
				WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
				SELECT 'user' || i, '', CASE WHEN i % 2 = 0 THEN 1 ELSE 0 END, 0, 'en', i, i FROM n`,
			`INSERT INTO sessions (id, user_id, token_hash, created_at, last_used_at, expires_at, ip, user_agent)
				SELECT id, id, `+noHash+`, signed_in_at, signed_in_at, signed_in_at + 1000, '', '' FROM users WHERE id % 3 > 0`,
			"ANALYZE",
		)
		for name, args := range map[string][]any{
			"updateGuestsInUse":  {int64(5000), int64(500), int64(150), int64(100)},
			"deleteUnusedGuests": {int64(5000), int64(500)},
			"selectGuestPage":    {int64(5000), int64(10), int64(10), int64(150), int64(500)},
			"deleteGuestPage":    {int64(5000), int64(10), int64(10), int64(150), int64(1000), int64(1000)},
		} {
			plan := explain(t, db, cfg, statements[name], args...)
			for _, index := range []string{"users_guests", "sessions_user"} {
				if !strings.Contains(plan, index) {
					t.Errorf("%s does not use the index %s:\n%s", name, index, plan)
				}
			}
			for _, scan := range []string{"Seq Scan on users", "SCAN users\n", "Seq Scan on sessions", "SCAN sessions\n"} {
				if strings.Contains(plan, scan) {
					t.Errorf("%s reads a whole table:\n%s", name, plan)
				}
			}
		}
	})
}

// explain returns the engine's plan for a statement, one step a line.
func explain(t *testing.T, db *sql.DB, cfg sqlstore.Config, statement string, args ...any) string {
	t.Helper()
	prefix, columns := "EXPLAIN ", 1
	if cfg.SQLitePath != "" {
		prefix, columns = "EXPLAIN QUERY PLAN ", 4
	}
	return strings.Join(query(t, db, prefix+statement, func(step *string) []any {
		dest := make([]any, columns)
		for i := range dest {
			dest[i] = new(any)
		}
		dest[columns-1] = step
		return dest
	}, args...), "\n") + "\n"
}
