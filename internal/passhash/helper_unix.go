//go:build unix && !linux

package passhash

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// lowerPriority sets nice 19, which here holds for the whole process. A refusal is no reason not to hash.
func lowerPriority() {
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 19)
}

func nameProcess() {}

// helperAttr keeps a terminal's signals from the helper.
func helperAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
