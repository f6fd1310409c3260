package sqlstore_test

import (
	"testing"

	"github.com/ideaegg/latchkey/internal/auth/storetest"
	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

func TestSQLiteIsAStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Database { return database(dbtest.SQLite(t)) })
}

func TestPostgresIsAStore(t *testing.T) {
	t.Parallel()
	dbtest.Postgres(t) // without a server this test is skipped, not each of its parts
	storetest.Run(t, func(t *testing.T) storetest.Database { return database(dbtest.Postgres(t)) })
}

func database(cfg sqlstore.Config) storetest.Database {
	return func(t *testing.T) storetest.Store {
		t.Helper()
		store, err := sqlstore.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
}
