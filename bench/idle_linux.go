package main

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// becomeIdle puts every thread of this process into the class SCHED_IDLE (sched(7)). Those that are started later inherit
// it from one of them.
func becomeIdle() error {
	attr := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}
	for range 2 { // the second time for threads that were started meanwhile
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, thread := range threads {
			tid, err := strconv.Atoi(thread.Name())
			if err != nil {
				return err
			}
			if err := unix.SchedSetAttr(tid, attr, 0); err != nil {
				return fmt.Errorf("SCHED_IDLE: %w", err)
			}
		}
	}
	return nil
}
