package attack_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

// long says whether what takes long is to be run.
func long() bool { return os.Getenv("LATCHKEY_TEST_LONG") != "" }

// TestTimesTellNothing measures answers for users that there are and that there are not, one after the other: their
// medians must not differ by more than a network hides. ASVS 6.3.8, CWE-208.
//
// It does not run beside other tests of this package. On a busy machine it measures up to three times; a difference that
// the service makes is there each time.
func TestTimesTellNothing(t *testing.T) { //nolint:paralleltest // it measures times
	dbs := []func(*testing.T) sqlstore.Config{
		func(t *testing.T) sqlstore.Config { return dbtest.SQLite(t) },
		func(t *testing.T) sqlstore.Config { return dbtest.Postgres(t) },
	}
	for i, name := range []string{"sqlite", "postgres"} {
		t.Run(name, func(t *testing.T) {
			a := &arena{T: t, service: start(t, dbs[i](t))}
			known := a.person()
			disabled, fan := a.person(), a.fan("no-password")
			a.command(t, "user", "disable", disabled.name)
			a.allMail()
			reset := func(address string) func() {
				return func() {
					a.want(a.once(http.MethodPost, "/reset_password", members{"email": address}), http.StatusNoContent)
				}
			}
			signIn := func(login string) func() {
				return func() {
					a.want(a.once(http.MethodPost, "/sign_in", members{"login": login, "password": "wrong password"}), http.StatusUnauthorized)
				}
			}
			signIns := 30
			if long() {
				signIns = 500
			}
			a.alike("a reset", 500, reset(known.address), reset("unknown@example.org"))
			a.alike("a sign-in by name", signIns, signIn(known.name), signIn("nobody-at-all"))
			a.alike("a sign-in by address", signIns, signIn(known.address), signIn("unknown@example.org"))
			a.alike("a sign-in of a disabled user", signIns, signIn(disabled.name), signIn("nobody-at-all"))
			a.alike("a sign-in of a user without password", signIns, signIn(fan.name), signIn("nobody-at-all"))
		})
	}
}

// alike checks that the medians of n of each request differ by at most 2 ms, or by a fifth: the times of hashes scatter
// with what else the machine does, and a hash that is left out is nearly all of a sign-in's.
func (a *arena) alike(what string, n int, known, unknown func()) {
	a.Helper()
	took := func(request func()) time.Duration {
		began := time.Now()
		request()
		return time.Since(began)
	}
	const most = 2 * time.Millisecond
	best, allowed := time.Hour, most
	var report string
	for range 3 {
		var times [2][]time.Duration
		for i := range n {
			for j := range 2 {
				which := (i + j) % 2 // neither is always the first
				times[which] = append(times[which], took([]func(){known, unknown}[which]))
			}
		}
		for i := range times {
			slices.Sort(times[i])
		}
		median := [2]time.Duration{times[0][n/2], times[1][n/2]}
		if difference := (median[0] - median[1]).Abs(); difference < best {
			best, allowed = difference, max(most, median[1]/5)
			report = fmt.Sprintf("%s: median %v for known and %v for unknown, %v apart", what, median[0], median[1], difference)
		}
		if best <= allowed {
			break
		}
	}
	a.Log(report)
	if best > allowed {
		a.Errorf("got medians %v apart for %s, want at most %v", best, what, allowed)
	}
}
