package sqlstore_test

import (
	"testing"

	"github.com/ideaegg/latchkey/internal/auth/storetest"
	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

func TestStore(t *testing.T) {
	t.Parallel()
	for name, create := range map[string]func(testing.TB) sqlstore.Config{
		"sqlite":   dbtest.SQLite,
		"postgres": dbtest.Postgres,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t *testing.T) storetest.Database {
				cfg := create(t)
				return func(t *testing.T) storetest.Store {
					t.Helper()
					store, err := sqlstore.Open(t.Context(), cfg)
					if err != nil {
						t.Fatal(err)
					}
					return store
				}
			})
		})
	}
}
