package main

import (
	"runtime"
	"runtime/debug"
	"time"
)

const (
	// gcRoom is memory that is reserved and never touched, so that none of it is resident. The garbage collector counts
	// it as in use and so runs once in some 15 MiB of garbage instead of once in 4, where it took a fifth of the time
	// of a busy service whose sessions are few. A percentage would do the same, but also multiply what a large cache or
	// a hash in this process holds.
	gcRoom = 12 << 20
	// settleAfter is when the start is over and what it needed is given back to the system.
	settleAfter = time.Second
)

// tuneMemory is for as long as the service runs, which ends with the function that it returns.
func tuneMemory() (end func()) {
	room := make([]byte, gcRoom)
	settle := time.AfterFunc(settleAfter, debug.FreeOSMemory)
	return func() {
		settle.Stop()
		runtime.KeepAlive(room)
	}
}
