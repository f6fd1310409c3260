package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// becomeIdle gives every thread of this process the priority of the service's helper: the class SCHED_IDLE (sched(7)), or
// nice 19 where that is refused. Threads that are started later inherit it from one of them.
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
			err = unix.SchedSetAttr(tid, attr, 0)
			if err != nil {
				err = unix.Setpriority(unix.PRIO_PROCESS, tid, 19)
			}
			if err != nil && !errors.Is(err, unix.ESRCH) { // it has ended
				return fmt.Errorf("lower the priority: %w", err)
			}
		}
	}
	return nil
}
