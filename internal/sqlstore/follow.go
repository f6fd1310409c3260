package sqlstore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

const (
	// followInterval is how often the invalidations are looked at: several times within the 250 ms that a cache may go
	// without, so that one slow query does not stop it.
	followInterval = 50 * time.Millisecond
	followBatch    = 5000
	// gapPatience is how long a number that was left out is waited for. Numbers are given out before the commit, so a
	// lower one may appear after a higher one; it has appeared, or never will, once its transaction cannot live any more.
	gapPatience = 10 * time.Second
	maxGaps     = 100_000
	// followFrom is how far back a node looks when it begins, for transactions that were under way then.
	followFrom = 1000
	// invalidationsKept is how long a change can be learnt of. A node that has not looked for half of that begins anew
	// with an empty cache.
	invalidationsKept = 10 * time.Minute
)

// Follow passes changes that were made by other nodes and programs to the cache, and confirms that it did, until ctx
// ends. While the database does not answer nothing is confirmed, and so the cache is not used.
func (s *Store) Follow(ctx context.Context) {
	woken := make(chan struct{}, 1)
	var helpers sync.WaitGroup
	defer helpers.Wait()
	helpers.Go(func() { s.notify(ctx) })
	listen := func() {
		s.engine.listen(ctx, func() {
			select {
			case woken <- struct{}{}:
			default:
			}
		})
	}
	f := follower{store: s}
	tick := time.NewTicker(followInterval)
	defer tick.Stop()
	failing, listening := false, false
	for {
		err := f.look(ctx)
		if ctx.Err() != nil {
			return
		}
		if (err != nil) != failing { // once when it begins and once when it ends
			failing = err != nil
			s.logFollowing(err)
		}
		if !listening { // not before the first look, which needs a connection sooner
			listening = true
			helpers.Go(listen)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-woken:
		}
	}
}

// notify wakes the other nodes after changes of this one. It is not done between two looks: it waits for the disk.
func (s *Store) notify(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.changed:
			_ = s.engine.notify(ctx) // others look by themselves if they do not hear it
		}
	}
}

func (s *Store) logFollowing(err error) {
	if err != nil {
		s.logger.Warn("other nodes' changes cannot be read: sessions are verified in the database", "error", err)
		return
	}
	s.logger.Info("other nodes' changes are read again")
}

// follower reads the invalidations in the order of their numbers.
type follower struct {
	store *Store
	began bool
	seen  time.Time // when the last look that succeeded began
	top   int64     // the highest number that was read
	// gaps are the numbers below top that were not there, and when that was noticed.
	gaps map[int64]time.Time
}

// look passes on what is new. After one that failed it begins anew: when the database answers again it may be a standby
// that took over, which may lack the last numbers and give them out again.
func (f *follower) look(ctx context.Context) (err error) {
	defer func() { f.began = err == nil }()
	began := f.store.now()
	// By both clocks: the monotonic one stands still while the machine sleeps.
	slept := max(began.Sub(f.seen), began.Round(0).Sub(f.seen.Round(0)))
	if !f.began || slept > invalidationsKept/2 {
		if err := f.begin(ctx); err != nil {
			return err
		}
	}
	since := f.top
	for gap := range f.gaps {
		since = min(since, gap-1)
	}
	for {
		n, last, err := f.read(ctx, since, began)
		if err != nil {
			return err
		}
		if n < followBatch {
			break
		}
		since = last
	}
	for gap, noticed := range f.gaps {
		if began.Sub(noticed) > gapPatience {
			delete(f.gaps, gap)
		}
	}
	f.seen = began
	f.store.cache.Confirm(began)
	return nil
}

func (f *follower) begin(ctx context.Context) error {
	err := f.store.engine.poll(ctx, func(ctx context.Context, q querier) error {
		return q.row(ctx, selectLastInvalidation, nil, &f.top)
	})
	if err != nil {
		return fmt.Errorf("read the last invalidation: %w", err)
	}
	f.store.cache.Clear() // not before: what is loaded from here on knows of every change up to the last one
	f.top = max(0, f.top-followFrom)
	f.gaps = make(map[int64]time.Time)
	return nil
}

// read passes on what stands behind since, and returns how many rows there were and the last one's number.
func (f *follower) read(ctx context.Context, since int64, now time.Time) (n int, last int64, err error) {
	err = f.store.engine.poll(ctx, func(ctx context.Context, q querier) error {
		return q.rows(ctx, selectInvalidationsSince, []any{since, int64(followBatch)}, func(scan func(...any) error) error {
			var user int64
			if err := scan(&last, &user); err != nil {
				return err
			}
			n++
			f.take(last, auth.UserID(user), now)
			return nil
		})
	})
	if err != nil {
		return 0, 0, fmt.Errorf("read invalidations: %w", err)
	}
	return n, last, nil
}

// take passes one invalidation on, unless it was seen before.
func (f *follower) take(seq int64, user auth.UserID, now time.Time) {
	if seq <= f.top {
		if _, missing := f.gaps[seq]; !missing {
			return
		}
		delete(f.gaps, seq)
	} else {
		if seq-f.top > maxGaps { // a restored or tampered sequence: it is not worth knowing which numbers are missing
			f.store.cache.Clear()
			f.top = seq - 1
		}
		for gap := f.top + 1; gap < seq; gap++ {
			f.gaps[gap] = now
		}
		f.top = seq
	}
	if user != 0 { // see insertNothing
		f.store.cache.Invalidate(user)
	}
}
