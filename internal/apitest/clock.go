package apitest

import (
	"sync/atomic"
	"time"
)

// Clock is a clock that only tests move. It says the time of China, as the machines of the first users do: whoever
// forgets to convert to UTC is found out.
type Clock struct{ micros atomic.Int64 }

var china = time.FixedZone("CST", 8*60*60)

// NewClock returns a Clock at 2026-06-06T14:20:57.024680Z.
func NewClock() *Clock {
	c := new(Clock)
	c.micros.Store(time.Date(2026, 6, 6, 14, 20, 57, 24_680_000, time.UTC).UnixMicro())
	return c
}

// Now returns the time.
func (c *Clock) Now() time.Time { return time.UnixMicro(c.micros.Load()).In(china) }

// Advance moves the clock on.
func (c *Clock) Advance(d time.Duration) { c.micros.Add(d.Microseconds()) }
