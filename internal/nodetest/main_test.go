//go:build linux

package nodetest_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// patience bounds the waits for what takes a second on a quiet machine.
const patience = 30 * time.Second

// run is what all tests of this run share. Each part is made when it is first asked for.
var run struct {
	folder   string // for everything; other users may go through it, as the database's must
	password string // of every server's superuser
	program  func() (string, error)
	server   func() (*server, error)
	nodes    []*node // all that were started
}

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if run.folder, err = os.MkdirTemp("", "latchkey-nodetest."); err != nil {
			panic(err)
		}
		defer func() { _ = os.RemoveAll(run.folder) }()
		if err := os.Chmod(run.folder, 0o711); err != nil {
			panic(err)
		}
		run.password = rand.Text()
		run.program = sync.OnceValues(buildProgram)
		var shared *server
		run.server = sync.OnceValues(func() (*server, error) {
			s, err := newServer()
			if err == nil {
				err = s.start()
			}
			shared = s
			return s, err
		})
		defer func() {
			if shared != nil {
				shared.stop()
			}
		}()
		return m.Run()
	}())
}

func buildProgram() (string, error) {
	path := filepath.Join(run.folder, "latchkey")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	args := append([]string{"build", "-o", path}, buildFlags...)
	out, err := exec.CommandContext(ctx, "go", append(args, "github.com/ideaegg/latchkey/cmd/latchkey")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return path, nil
}

// times is how often something is done: less often with -short.
func times(full, short int) int {
	if testing.Short() {
		return short
	}
	return full
}

// withTimeout is a context for what takes a second on a quiet machine. It outlives the test's own, for cleaning up.
func withTimeout(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until the condition holds, for at most the given time, and returns how long that took.
func eventually(t *testing.T, what string, within time.Duration, condition func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !condition() {
		if time.Since(began) > within {
			t.Fatalf("not within %v: %s", within, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(began)
}
