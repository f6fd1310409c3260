package apitest

import (
	"sync/atomic"
	"time"
)

// Clock is a clock that tests move. It says the time of China, as the machines of the first users do: whoever forgets to
// convert to UTC is found out.
type Clock struct {
	micros  atomic.Int64
	started time.Time // zero: it stands still
}

var china = time.FixedZone("CST", 8*60*60)

// NewClock returns a Clock that stands at 2026-06-06T14:20:57.024680Z.
func NewClock() *Clock {
	c := new(Clock)
	c.micros.Store(time.Date(2026, 6, 6, 14, 20, 57, 24_680_000, time.UTC).UnixMicro())
	return c
}

// NewRunningClock returns a Clock that goes on from there by itself, for tests of how quick something is.
func NewRunningClock() *Clock {
	c := NewClock()
	c.started = time.Now()
	return c
}

// Now returns the time.
func (c *Clock) Now() time.Time {
	now := time.UnixMicro(c.micros.Load()).In(china)
	if !c.started.IsZero() {
		now = now.Add(time.Since(c.started))
	}
	return now
}

// Advance moves the clock on.
func (c *Clock) Advance(d time.Duration) { c.micros.Add(d.Microseconds()) }
