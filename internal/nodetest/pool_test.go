//go:build linux

package nodetest_test

import (
	"net/http"
	"slices"
	"testing"
	"time"
)

// TestUsedUpPoolIsToldAndOvercome takes a lock that requests wait for until all connections of the node's pool wait.
func TestUsedUpPoolIsToldAndOvercome(t *testing.T) {
	const pool = 2
	server := sharedServer(t)
	name := server.newDatabase(t)
	n := startNode(t, "a", server.url(name, "pool_max_conns=2"))
	operator := connect(t, server.url(name))

	known := n.guest(t) // whose token the node knows by heart
	n.call(t, http.StatusOK, http.MethodGet, "/user", known.PrivateToken, nil)
	unknown := n.guests(t, 8)

	locks := []struct {
		name, sql string
		// waiting are requests that need what is locked; the others need only a connection.
		waiting []call
		others  []call
	}{
		{
			name: "a lock on the table of users", sql: "LOCK TABLE users IN ACCESS EXCLUSIVE MODE",
			waiting: append(
				slices.Repeat([]call{{method: http.MethodPost, path: "/sign_up_temporarily"}}, 8),
				call{method: http.MethodGet, path: "/user", token: unknown[0].PrivateToken},
				call{method: http.MethodGet, path: "/user", token: unknown[1].PrivateToken},
				call{method: http.MethodPost, path: "/sign_in", body: members{"login": "somebody", "password": "whatever it is"}},
			),
		},
		{
			name: "a lock on one user's row", sql: "SELECT 1 FROM users WHERE username = '" + known.Username + "' FOR UPDATE",
			waiting: slices.Repeat([]call{{
				method: http.MethodPut, path: "/user", token: known.PrivateToken, body: members{"fullname": "Another Name"},
			}}, 8),
			others: append(
				slices.Repeat([]call{{method: http.MethodPost, path: "/sign_up_temporarily"}}, 4),
				call{method: http.MethodGet, path: "/user", token: unknown[2].PrivateToken},
				call{method: http.MethodGet, path: "/user", token: unknown[3].PrivateToken},
			),
		},
	}
	for _, lock := range locks {
		t.Run(lock.name, func(t *testing.T) {
			execSQL(t, operator, "BEGIN")
			execSQL(t, operator, lock.sql)
			stop := background(func() error { // tokens that are known cost no connection
				got, err := n.user(known.PrivateToken)
				if err == nil && got.status != http.StatusOK {
					t.Errorf("got %d for a token that the node knows, want 200", got.status)
				}
				time.Sleep(5 * time.Millisecond)
				return err
			})
			calls := slices.Concat(lock.waiting, lock.others)
			refused := make([]time.Duration, len(calls))
			inParallel(len(calls), len(calls), func(i int) {
				r := calls[i]
				got, err := n.do(r.method, r.path, r.token, r.body)
				switch {
				case err != nil:
					t.Errorf("%s %s: %v", r.method, r.path, err)
				case got.status == http.StatusOK && i >= len(lock.waiting): // it came before the others
				default:
					refused[i] = got.took
					if err := checkUnavailable(got); err != nil {
						t.Errorf("%s %s: %v", r.method, r.path, err)
					}
				}
				if got.took > slowestRefusal {
					t.Errorf("%s %s: answered after %v, want at most %v", r.method, r.path, got.took, slowestRefusal)
				}
			})
			if err := stop(); err != nil {
				t.Error(err)
			}
			execSQL(t, operator, "ROLLBACK")
			released := time.Now()
			for i, r := range calls {
				if r.path == "/sign_in" {
					continue // nobody's
				}
				eventually(t, "request "+r.method+" "+r.path+" is served again", 5*time.Second, func() bool {
					got, err := n.do(r.method, r.path, r.token, r.body)
					return err == nil && got.status == http.StatusOK
				})
				if i == 0 {
					t.Logf("refused after %v at most, served again %v after the lock was released",
						slices.Max(refused).Round(time.Millisecond), time.Since(released).Round(time.Millisecond))
				}
			}
			const count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'latchkey'"
			if got := query[int](t, operator, count)[0]; got > pool {
				t.Errorf("got %d connections, want at most %d", got, pool)
			}
		})
	}
}
