package load

import (
	"time"

	"golang.org/x/sys/unix"
)

// sleep blocks the thread: some 60 µs more than asked for, where the runtime's timers can take a millisecond.
func sleep(d time.Duration) {
	left := unix.NsecToTimespec(d.Nanoseconds())
	for unix.Nanosleep(&left, &left) == unix.EINTR { // with what is left
		continue
	}
}
