package main_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/dbtest"
)

// TestFullDiskIsToldAndOvercome fills a small file system under the database and makes room again. It needs the right
// to mount; without that TestFileSizeLimitIsAFullDisk has to do.
func TestFullDiskIsToldAndOvercome(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		t.Logf("no small disk can be made: %v", err)
		return
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := dbtest.SQLite(t)
	cfg.SQLitePath = filepath.Join(dir, "latchkey.db")

	p := produce(t, cfg)
	acknowledged := fillUp(t, p)
	p.call(t, http.StatusOK, http.MethodGet, "/healthz", nil)
	for _, guest := range acknowledged {
		wantSession(t, p.api, guest)
	}

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventually(t, "guests are let in again", func() bool {
		return p.status(t, http.MethodPost, "/sign_up_temporarily") == http.StatusOK
	})
	if got := p.status(t, http.MethodGet, "/readyz"); got != http.StatusOK {
		t.Errorf("got %d from /readyz, want 200", got)
	}
	p.kill()
	p = produce(t, cfg)
	for _, guest := range acknowledged {
		wantSession(t, p.api, guest)
	}
	p.guest(t)
}

// TestKilledHelperCostsNobodyMoreThanARetry kills the process that hashes passwords again and again.
func TestKilledHelperCostsNobodyMoreThanARetry(t *testing.T) {
	t.Parallel()
	p := produce(t, dbtest.SQLite(t))
	in := newUser("patient")
	p.signedIn(t, "/sign_up", in)

	var clients sync.WaitGroup
	stop := make(chan struct{})
	for client := range 3 {
		clients.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				right := (client+n)%2 == 0
				password := in["password"]
				if !right {
					password += "!"
				}
				got, err := p.do(http.MethodPost, "/sign_in", members{"login": in["username"], "password": password})
				switch {
				case err != nil:
					t.Errorf("sign in: %v", err)
					return
				case right && got.status == http.StatusOK, !right && got.status == http.StatusUnauthorized:
				default:
					wantRefused(t, got, latchkey.CodeUnavailable, latchkey.CodeOverloaded)
				}
			}
		})
	}
	killed := make(map[int]bool)
	for len(killed) < 10 {
		var helper int
		eventually(t, "there is a helper", func() bool {
			helper = helperOf(t, p.process.Pid)
			return helper != 0 && !killed[helper]
		})
		time.Sleep(30 * time.Millisecond) // for it to be given work
		if err := syscall.Kill(helper, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
		killed[helper] = true
	}
	close(stop)
	clients.Wait()

	eventually(t, "sign-ins are served again", func() bool {
		got, err := p.do(http.MethodPost, "/sign_in", members{"login": in["username"], "password": in["password"]})
		if err != nil {
			t.Fatal(err)
		}
		return got.status == http.StatusOK
	})
	helper := helperOf(t, p.process.Pid)
	if code, _ := p.terminate(); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
	wantGone(t, helper)
}

func TestNoHelperOutlivesTheProgram(t *testing.T) {
	t.Parallel()
	t.Run("that ends by itself", func(t *testing.T) {
		t.Parallel()
		p := develop(t, dbtest.SQLite(t))
		helper := awaitHelper(t, p)
		p.terminate()
		wantGone(t, helper)
	})
	t.Run("that is killed", func(t *testing.T) {
		t.Parallel()
		p := develop(t, dbtest.SQLite(t))
		helper := awaitHelper(t, p)
		p.kill()
		eventually(t, "the helper is gone", func() bool { return isGone(helper) })
	})
	t.Run("that is killed while the helper is stopped", func(t *testing.T) {
		t.Parallel()
		p := develop(t, dbtest.SQLite(t))
		helper := awaitHelper(t, p)
		if err := syscall.Kill(helper, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		p.kill()
		eventually(t, "the helper is gone", func() bool { return isGone(helper) })
	})
}

// TestHelperIsIdleAndKnowsNoSecret looks at the helper from outside.
func TestHelperIsIdleAndKnowsNoSecret(t *testing.T) {
	t.Parallel()
	cfg := dbtest.SQLite(t)
	p := start(t, launch{
		args: []string{"serve", "--dev", "--listen=127.0.0.1:0", database(cfg)},
		env:  []string{"LATCHKEY_SERVER_KEYS=" + serverKey},
	})
	helper := awaitHelper(t, p)
	if got := policies(t, helper); len(got) != 1 || got[unix.SCHED_IDLE] == 0 {
		t.Errorf("got scheduling policies %v (policy: threads), want all threads in SCHED_IDLE (%d)", got, unix.SCHED_IDLE)
	}
	if got := policies(t, p.process.Pid); got[unix.SCHED_IDLE] != 0 {
		t.Errorf("got scheduling policies %v (policy: threads) of the program itself, want no SCHED_IDLE (%d)", got, unix.SCHED_IDLE)
	}
	for _, file := range []string{"environ", "cmdline"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", helper, file))
		if err != nil {
			t.Fatal(err)
		}
		if file == "environ" && len(b) > 0 {
			t.Errorf("got environment %q, want none", b)
		}
		if strings.Contains(string(b), serverKey) {
			t.Errorf("got %s %q, want no secret in it", file, b)
		}
	}
}

// policies returns how many threads of a process have which scheduling policy.
func policies(t *testing.T, pid int) map[int]int {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[int]int)
	for _, thread := range threads {
		tid, err := strconv.Atoi(filepath.Base(thread))
		if err != nil {
			t.Fatal(err)
		}
		attr, err := unix.SchedGetAttr(tid, 0)
		if errors.Is(err, unix.ESRCH) {
			continue // it has just ended
		}
		if err != nil {
			t.Fatal(err)
		}
		found[int(attr.Policy)]++
	}
	return found
}

// awaitHelper signs somebody up, which starts the program's helper, and waits until it hashes, at its final priority.
func awaitHelper(t *testing.T, p *program) (pid int) {
	t.Helper()
	p.signedIn(t, "/sign_up", newUser("somebody"))
	eventually(t, "there is a helper", func() bool {
		pid = helperOf(t, p.process.Pid)
		return pid != 0
	})
	return pid
}

// helperOf returns the process id of the program's child that has the name of a helper, or 0.
func helperOf(t *testing.T, program int) int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, stat := range stats {
		// proc_pid_stat(5): pid (comm) state ppid …
		b, err := os.ReadFile(stat)
		if err != nil {
			continue // it has just ended
		}
		pid, rest, _ := strings.Cut(string(b), " (")
		name, after, _ := strings.Cut(rest, ") ")
		fields := strings.Fields(after)
		if name == "latchkey-hash" && len(fields) > 1 && fields[0] != "Z" && fields[1] == strconv.Itoa(program) {
			id, err := strconv.Atoi(pid)
			if err != nil {
				t.Fatal(err)
			}
			return id
		}
	}
	return 0
}

func wantGone(t *testing.T, pid int) {
	t.Helper()
	if !isGone(pid) {
		t.Errorf("got helper %d still running, want it gone with the program", pid)
	}
}

// isGone says whether no process has this id any more, or only its exit code is left.
func isGone(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, after, _ := strings.Cut(string(b), ") ")
	return strings.HasPrefix(after, "Z")
}
