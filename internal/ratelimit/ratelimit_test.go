package ratelimit_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ideaegg/latchkey/internal/ratelimit"
)

// clock is a clock that stands still until a test moves it.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.nanos.Store(time.Date(2026, 6, 6, 14, 20, 57, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time                { return time.Unix(0, c.nanos.Load()) }
func (c *clock) advance(d time.Duration)       { c.nanos.Add(int64(d)) }
func interval(l ratelimit.Limit) time.Duration { return l.Period / time.Duration(l.Burst) }

func drawLimit(t *rapid.T) ratelimit.Limit {
	return ratelimit.Limit{
		Burst:  rapid.IntRange(1, 40).Draw(t, "burst"),
		Period: time.Duration(rapid.Int64Range(int64(time.Second), int64(24*time.Hour)).Draw(t, "period")),
	}
}

// In any stretch of time no more events are let through than the burst and those that come due meanwhile.
func TestNoStretchOfTimeHasMoreThanTheLimit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit, c := drawLimit(t), newClock()
		table := ratelimit.NewTable[string](limit, 4, c.now)
		var allowed []int64
		for range rapid.IntRange(1, 200).Draw(t, "events") {
			c.advance(time.Duration(rapid.Int64Range(0, int64(2*interval(limit))).Draw(t, "pause")))
			if table.Take("k") == 0 {
				allowed = append(allowed, c.nanos.Load())
			}
		}
		for i := range allowed {
			for j := i; j < len(allowed); j++ {
				most := limit.Burst + int((allowed[j]-allowed[i])/int64(interval(limit)))
				if n := j - i + 1; n > most {
					t.Fatalf("got %d events within %v, want at most %d", n, time.Duration(allowed[j]-allowed[i]), most)
				}
			}
		}
	})
}

// Whoever waits as long as they are told gets through, and nobody does who comes a moment earlier.
func TestTheWaitIsExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit, c := drawLimit(t), newClock()
		table := ratelimit.NewTable[int](limit, 4, c.now)
		for range limit.Burst {
			if wait := table.Take(1); wait != 0 {
				t.Fatalf("got a wait of %v within the burst", wait)
			}
		}
		c.advance(time.Duration(rapid.Int64Range(0, int64(interval(limit))-1).Draw(t, "pause")))
		wait := table.Take(1)
		if wait <= 0 || wait > interval(limit) {
			t.Fatalf("got a wait of %v, want one of up to %v", wait, interval(limit))
		}
		c.advance(wait - 1)
		if got := table.Check(1); got != 1 {
			t.Errorf("got %v to go, want 1ns", got)
		}
		c.advance(1)
		if got := table.Take(1); got != 0 {
			t.Errorf("got %v after the wait, want to be let through", got)
		}
	})
}

func TestCheckCountsNothingAndGiveBackTakesBack(t *testing.T) {
	t.Parallel()
	table := ratelimit.NewTable[string](ratelimit.Limit{Burst: 2, Period: time.Minute}, 4, newClock().now)
	for range 10 {
		if got := table.Check("k"); got != 0 {
			t.Fatalf("got a wait of %v for looking", got)
		}
	}
	for range 10 { // each is taken back
		if got := table.Take("k"); got != 0 {
			t.Fatalf("got a wait of %v, want what was taken back to be there", got)
		}
		table.GiveBack("k")
	}
	table.GiveBack("somebody else")
	table.Take("k")
	table.Take("k")
	if got := table.Take("k"); got != 30*time.Second {
		t.Errorf("got %v, want 30 s", got)
	}
	if got := table.Take("other"); got != 0 {
		t.Errorf("got %v for another key, want none", got)
	}
}

// Giving back more than was taken gains nothing.
func TestNobodyHasMoreThanTheBurst(t *testing.T) {
	t.Parallel()
	table := ratelimit.NewTable[string](ratelimit.Limit{Burst: 2, Period: time.Minute}, 4, newClock().now)
	table.Take("k")
	for range 10 {
		table.GiveBack("k")
	}
	table.Take("k")
	table.Take("k")
	if got := table.Take("k"); got == 0 {
		t.Error("got a third event out of a burst of two")
	}
}

// A clock that is set back makes nobody wait for longer than the period.
func TestClockSetBackLocksNobodyOut(t *testing.T) {
	t.Parallel()
	c := newClock()
	table := ratelimit.NewTable[string](ratelimit.Limit{Burst: 3, Period: time.Minute}, 4, c.now)
	for range 3 {
		table.Take("k")
	}
	c.advance(-24 * time.Hour)
	for _, ask := range []func(string) time.Duration{table.Take, table.Check} {
		if got := ask("k"); got != 20*time.Second {
			t.Errorf("got a wait of %v, want 20 s", got)
		}
	}
	c.advance(20 * time.Second)
	if got := table.Take("k"); got != 0 {
		t.Errorf("got a wait of %v after the wait", got)
	}
}

// Whoever goes beyond the limit by many events at once pays for them afterwards, up to the overdraft.
func TestChargesBeyondTheLimitArePaidFor(t *testing.T) {
	t.Parallel()
	c := newClock()
	table := ratelimit.NewTable[string](ratelimit.Limit{Burst: 3, Period: time.Minute, Overdraft: 2}, 4, c.now)
	for range 5 {
		table.Charge("k")
	}
	if got := table.Check("k"); got != time.Minute {
		t.Errorf("got a wait of %v, want that for two events beyond the burst and one more", got)
	}
	for range 100 {
		table.Charge("k")
	}
	if got := table.Take("k"); got != 2*time.Minute+20*time.Second {
		t.Errorf("got a wait of %v, want that of the whole overdraft", got)
	}
	c.advance(2*time.Minute + 20*time.Second)
	if got := table.Take("k"); got != 0 {
		t.Errorf("got a wait of %v after the wait", got)
	}
}

// However many keys come once, a key at its limit stays there, and memory stays bounded.
func TestManyKeysDoNotPushOutOneAtItsLimit(t *testing.T) {
	t.Parallel()
	const capacity = 1000
	c := newClock()
	table := ratelimit.NewTable[int](ratelimit.Limit{Burst: 5, Period: time.Hour}, capacity, c.now)
	for range 5 {
		table.Take(-1)
	}
	for key := range 100 * capacity {
		table.Take(key)
		if table.Len() > capacity {
			t.Fatalf("got %d keys, want at most %d", table.Len(), capacity)
		}
	}
	if table.Take(-1) == 0 {
		t.Error("the key was forgotten")
	}
}

func TestParallelEventsGetNoMoreThanTheBurst(t *testing.T) {
	t.Parallel()
	table := ratelimit.NewTable[string](ratelimit.Limit{Burst: 20, Period: time.Hour}, 4, newClock().now)
	var allowed atomic.Int64
	var running sync.WaitGroup
	for range 500 {
		running.Go(func() {
			if table.Take("k") == 0 {
				allowed.Add(1)
			}
		})
	}
	running.Wait()
	if got := allowed.Load(); got != 20 {
		t.Errorf("got %d events through, want 20", got)
	}
}

func BenchmarkTakeOfAFullTable(b *testing.B) {
	table := ratelimit.NewTable[int](ratelimit.Limit{Burst: 5, Period: time.Hour}, 65536, newClock().now)
	for key := range 65536 {
		table.Take(key)
	}
	key := 65536
	for b.Loop() {
		table.Take(key)
		key++
	}
}
