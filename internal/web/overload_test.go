package web_test

import (
	"context"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/apitest"
	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/passhash"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

// crowd is a list of breached passwords that knows none. While it is told to, it returns to a hasher that has no room, and
// has none until the crowd goes.
type crowd struct {
	hasher *passhash.Hasher
	others sync.WaitGroup
	rushes atomic.Bool
}

func (c *crowd) IsBreached(ctx context.Context, _ string) (bool, error) {
	if c.rushes.Load() {
		for i := range 8 { // more than can run and wait; who is refused comes again at once
			c.others.Go(func() {
				for c.rushes.Load() {
					_, _ = c.hasher.Hash(context.WithoutCancel(ctx), strconv.Itoa(i), "their password")
				}
			})
		}
		for c.hasher.Stats().Waiting == 0 {
			runtime.Gosched()
		}
	}
	return false, nil
}

// goes ends the rush.
func (c *crowd) goes() {
	c.rushes.Store(false)
	c.others.Wait()
}

// TestOverloadBehindARightCodeCostsNoAttempt: the mail would be worth nothing after five busy moments.
func TestOverloadBehindARightCodeCostsNoAttempt(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, db sqlstore.Config) {
		list := new(crowd)
		s := apitest.Start(t, db, apitest.Options{Faulty: true, Breaches: list, Hash: passhash.Config{
			Workers: 1, QueueLength: 1, Params: passhash.Params{MemoryKiB: 4096, Passes: 16, Lanes: 1},
		}})
		list.hasher = s.Hasher
		t.Cleanup(list.goes) // before the server waits for its requests
		signUp(t, s, "hurried")
		s.Mail("hurried@example.com")
		m := askReset(t, s, "hurried@example.com")
		for range auth.MaxCodeAttempts - 1 {
			wantInvalid(t, resetBy(t, s, object{"email": "hurried@example.com", "code": "00000000"}), "code invalid")
		}
		proof := object{"email": "hurried@example.com", "code": m.Code}
		list.rushes.Store(true)
		wantProblem(t, resetBy(t, s, proof), http.StatusServiceUnavailable, latchkey.CodeOverloaded)
		list.goes()
		want(t, resetBy(t, s, proof), http.StatusNoContent)
	})
}
