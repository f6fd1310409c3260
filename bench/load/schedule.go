package load

import (
	"context"
	"runtime"
	"time"
)

// schedule is when the requests of an open loop are due: evenly, whatever becomes of them.
type schedule struct {
	begun time.Time
	rate  float64 // a second
	count int
}

func newSchedule(begun time.Time, rate float64, lasts time.Duration) schedule {
	return schedule{begun: begun, rate: rate, count: int(rate * lasts.Seconds())}
}

// due is when request i, from 0, is to be sent.
func (s schedule) due(i int) time.Time {
	return s.begun.Add(time.Duration(float64(i) / s.rate * float64(time.Second)))
}

// release sends each time into released when it has come, and notes by how much it was late.
func (s schedule) release(ctx context.Context, released chan<- time.Time, late *Histogram) {
	runtime.LockOSThread() // it sleeps in the kernel, more precisely than the runtime's timers
	defer runtime.UnlockOSThread()
	for i := range s.count {
		due := s.due(i)
		if wait := time.Until(due); wait > 0 {
			sleep(wait)
		}
		if ctx.Err() != nil {
			return
		}
		late.Add(time.Since(due))
		released <- due
	}
}
