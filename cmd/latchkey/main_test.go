package main

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ideaegg/latchkey/internal/passhash"
)

// TestMain makes the test binary the program itself when it is called "latchkey", so that the tests run what they were
// compiled with, race detector included.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == hashHelper { // the program's helper is given another name, and no environment
		// As in main, but not through os.Exit, where the race detector would sleep for a second.
		syscall.Exit(passhash.HelperMain(os.Args[2:]))
	}
	testscript.Main(m, map[string]func(){"latchkey": program})
}

// program is main, but it ends with the tests, however they end.
func program() {
	parent := os.Getppid()
	go func() {
		for os.Getppid() == parent {
			time.Sleep(time.Second)
		}
		os.Exit(3)
	}()
	main()
}
