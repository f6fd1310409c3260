//go:build unix

package main

import (
	"os/signal"
	"syscall"
)

// outliveFileSizeLimit makes a file size limit (setrlimit(2)) what a full disk is: an error of the write, not the end of
// the program.
func outliveFileSizeLimit() { signal.Ignore(syscall.SIGXFSZ) }
