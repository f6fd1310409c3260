package passhash

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// lowerPriority sets the idle priority class for the whole process. A refusal is no reason not to hash.
func lowerPriority() {
	_ = windows.SetPriorityClass(windows.CurrentProcess(), windows.IDLE_PRIORITY_CLASS)
}

func nameProcess() {}

// helperAttr keeps a console's Ctrl-C from the helper.
func helperAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}
