package passhash

import (
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// lowerPriority puts this process into the class SCHED_IDLE (sched(7)): it gets the processor when nobody else
// wants it, and a weight of 3 against 1,024 when somebody does. Where that is refused, nice 19.
//
// Linux schedules threads, and those of the Go runtime exist already. So it lowers its own thread and executes
// the program again from it: the new threads inherit from that one. It returns if nothing could be lowered,
// or the program cannot be executed again; hashing at full priority is worse for the neighbours, but right.
func lowerPriority() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	attr := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}
	if err := unix.SchedSetAttr(0, attr, 0); err != nil {
		// On Linux "process 0" of setpriority is the calling thread.
		if err := unix.Setpriority(unix.PRIO_PROCESS, 0, 19); err != nil {
			return
		}
	}
	_ = syscall.Exec("/proc/self/exe", append(os.Args[:len(os.Args):len(os.Args)], loweredArg), []string{})
}

// nameProcess gives ps and top something better to show than "exe", the last part of /proc/self/exe.
func nameProcess() {
	_ = os.WriteFile("/proc/self/comm", []byte("latchkey-hash"), 0)
}

// helperAttr keeps a terminal's signals from the helper by a process group of its own. It must not be a session of
// its own: with autogroups, the kernel would weigh that session against the parent's as equals, and SCHED_IDLE would
// count only within it.
//
// Pdeathsig kills the helper when the thread that started it ends, even a helper that is stopped and cannot see the
// end of its input. Hasher.supervise stays on one thread for that reason.
func helperAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
