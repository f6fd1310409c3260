//go:build linux

package nodetest_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDisabledUserIsRefusedByTheRunningProgram disables a user by a command beside a running program, on the embedded
// database too: the program must refuse the user's token 250 ms after the command has said that it is done.
func TestDisabledUserIsRefusedByTheRunningProgram(t *testing.T) {
	engines := []struct {
		name     string
		database func(t *testing.T) string
	}{
		{"sqlite", func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "latchkey.db") }},
		{"postgres", func(t *testing.T) string {
			server := sharedServer(t)
			return server.url(server.newDatabase(t))
		}},
	}
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			database := engine.database(t)
			n := startNode(t, "a", database)
			guest := n.guest(t)
			var delays []time.Duration
			for range times(4, 2) {
				w := watch(n.api, guest.PrivateToken, time.Millisecond)
				said := manage(t, "disable", guest.Username, database)
				delay, err := w.await(said)
				if err != nil {
					t.Error(err)
				}
				delays = append(delays, delay)
				manage(t, "enable", guest.Username, database)
				eventually(t, "the user is let in again", patience, func() bool {
					got, err := n.user(guest.PrivateToken)
					return err == nil && got.status == 200
				})
			}
			t.Logf("still accepted by the running program: p50 %v, at most %v",
				percentile(delays, 50).Round(100*time.Microsecond), percentile(delays, 100).Round(100*time.Microsecond))
		})
	}
}

// manage runs `latchkey user disable` or `enable`, and returns when it said that it was done.
func manage(t *testing.T, command, username, database string) (said time.Time) {
	t.Helper()
	stdout, stderr, code := runCommand(t, "user", command, "--database="+database, username)
	if text := stdout.String(); code != 0 || !strings.HasPrefix(text, command+"d user ") {
		t.Fatalf("%s: got exit code %d, %q and %q", command, code, text, stderr)
	}
	return stdout.began
}
