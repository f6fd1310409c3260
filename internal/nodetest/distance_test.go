//go:build linux

package nodetest_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

// TestUsesOfSessionsAreWrittenDownAtADistance has a node use many sessions whose database is some milliseconds away. If
// it did not write that down in time, sessions would end although they are in use.
func TestUsesOfSessionsAreWrittenDownAtADistance(t *testing.T) {
	const sessions = 500
	server := sharedServer(t)
	name := server.newDatabase(t)
	near := newStack(t, storeConfig(server.url(name)))
	tokens := make([]auth.SessionToken, sessions)
	inParallel(32, sessions, func(i int) {
		guest, err := near.service.SignUpGuest(t.Context(), auth.Origin{})
		if err != nil {
			t.Error(err)
		}
		tokens[i] = guest.Token
	})

	network := newProxy(t, server)
	network.delay = 2 * time.Millisecond // four there and back
	cfg := storeConfig(network.url(name))
	cfg.Now = func() time.Time { return time.Now().Add(10 * time.Minute) } // when a use is worth a write
	far := newStack(t, cfg)
	inParallel(32, sessions, func(i int) {
		if _, err := far.service.Authenticate(t.Context(), tokens[i]); err != nil {
			t.Error(err)
		}
	})
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { far.service.Run(ctx) })
	defer running.Wait()
	defer stop()
	operator := connect(t, server.url(name))
	const used = "SELECT count(*) FROM sessions WHERE last_used_at > created_at + 60000000" // microseconds
	took := eventually(t, "every use is written down", patience, func() bool { return query[int](t, operator, used)[0] == sessions })
	t.Logf("%d uses written down within %v", sessions, took.Round(100*time.Millisecond))
}
