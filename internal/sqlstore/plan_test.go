package sqlstore_test

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

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
