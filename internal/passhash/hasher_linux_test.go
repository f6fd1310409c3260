package passhash_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ideaegg/latchkey/internal/passhash"
)

// running reports whether pid is a process that has not ended; a zombie has.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}

// helperOf waits for the helper of h, which somebody must want.
func helperOf(t testing.TB, h *passhash.Hasher) int {
	t.Helper()
	await(t, "a helper", func() bool { return h.HelperPID() != 0 })
	return h.HelperPID()
}

// begin gives h its first job and waits for the helper, and until nothing runs there.
func begin(t testing.TB, h *passhash.Hasher) (pid int) {
	t.Helper()
	if _, err := h.Hash(t.Context(), "first", "password"); err != nil {
		t.Fatal(err)
	}
	pid = helperOf(t, h)
	await(t, "nothing runs", func() bool { return h.Stats().Running == 0 })
	return pid
}

// signal sends sig to pid.
func signal(t testing.TB, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Errorf("send %v: %v", sig, err)
	}
}

// stopped returns a Hasher whose helper has computed one hash and gets no processor time from now on.
func stopped(t testing.TB, cfg passhash.Config) (h *passhash.Hasher, pid int) {
	t.Helper()
	cfg.Helper = helper(t)
	h = open(t, cfg)
	pid = begin(t, h)
	signal(t, pid, syscall.SIGSTOP)
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) }) // or Close waits long for a good end
	return h, pid
}

func TestHelperRunsOnlyWhenNobodyElseWants(t *testing.T) {
	t.Parallel()
	h := open(t, passhash.Config{Helper: helper(t), Params: cheap, Workers: 4})
	pid := begin(t, h)
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil || len(threads) < 2 {
		t.Fatalf("got threads %v, %v, want some", threads, err)
	}
	for _, thread := range threads {
		tid, err := strconv.Atoi(filepath.Base(thread))
		if err != nil {
			t.Fatal(err)
		}
		attr, err := unix.SchedGetAttr(tid, 0)
		if errors.Is(err, unix.ESRCH) {
			continue // ended meanwhile
		}
		if err != nil {
			t.Fatal(err)
		}
		if attr.Policy != unix.SCHED_IDLE {
			t.Errorf("thread %d: got policy %d, want SCHED_IDLE", tid, attr.Policy)
		}
	}
}

func TestHelperKnowsNoSecretsAndNoSignals(t *testing.T) {
	t.Parallel()
	h := open(t, passhash.Config{Helper: helper(t), Params: cheap})
	pid := begin(t, h)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		signal(t, pid, sig)
	}
	if _, err := h.Hash(t.Context(), "client", "password"); err != nil {
		t.Errorf("after the signals: got %v, want a hash", err)
	}
	if got := h.HelperPID(); got != pid {
		t.Errorf("got helper %d after the signals, want still %d", got, pid)
	}
	group, err := syscall.Getpgid(pid)
	if err != nil || group != pid {
		t.Errorf("got process group %d, %v, want %d", group, err, pid)
	}
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil || len(environ) != 0 {
		t.Errorf("got environment %q, %v, want an empty one", environ, err)
	}
	arguments, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || strings.Contains(string(arguments), "password") {
		t.Errorf("got arguments %q, %v, want no password", arguments, err)
	}
}

func TestCloseLeavesNoProcess(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"idle", "busy", "stopped"} {
		t.Run("when the helper is "+state, func(t *testing.T) {
			t.Parallel()
			h, err := passhash.New(passhash.Config{Helper: helper(t), Workers: 1})
			if err != nil {
				t.Fatal(err)
			}
			pid := begin(t, h)
			ctx, cancel := context.WithCancel(t.Context())
			var callers sync.WaitGroup
			switch state {
			case "busy":
				for range 4 {
					callers.Go(func() { _, _ = h.Hash(ctx, "client", "password") })
				}
				await(t, "a hash is under way", func() bool { return h.Stats().Running > 0 })
			case "stopped":
				signal(t, pid, syscall.SIGSTOP)
			}
			if err := h.Close(); err != nil {
				t.Error(err)
			}
			if running(pid) {
				t.Errorf("helper %d is left", pid)
			}
			cancel()
			callers.Wait()
		})
	}
}

func TestHelperDiesWithItsParent(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"running", "stopped"} {
		t.Run("when it is "+state, func(t *testing.T) {
			t.Parallel()
			parent := exec.CommandContext(t.Context(), helper(t)[0], playParent)
			if _, err := parent.StdinPipe(); err != nil {
				t.Fatal(err)
			}
			out, err := parent.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := parent.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			pid, err := strconv.Atoi(strings.TrimSpace(line))
			if err != nil || !running(pid) {
				t.Fatalf("got helper %q, want a running one", line)
			}
			if state == "stopped" {
				signal(t, pid, syscall.SIGSTOP)
			}
			signal(t, parent.Process.Pid, syscall.SIGKILL)
			_ = parent.Wait()
			await(t, "the helper has ended", func() bool { return !running(pid) })
		})
	}
}

func TestFullQueueRefusesAtOnce(t *testing.T) {
	t.Parallel()
	h, _ := stopped(t, passhash.Config{Params: cheap, Workers: 1, QueueLength: 3, MaxWait: time.Minute})
	ctx, cancel := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	for i := range 5 { // two on their way to the helper, three in the queue
		callers.Go(func() { _, _ = h.Hash(ctx, "client", "password") })
		await(t, "it is let in", func() bool { s := h.Stats(); return s.Running == min(i+1, 2) && s.Running+s.Waiting == i+1 })
	}
	began := time.Now()
	_, err := h.Hash(t.Context(), "client", "password")
	var refused *passhash.OverloadedError
	if !errors.As(err, &refused) {
		t.Fatalf("got %v, want *OverloadedError", err)
	}
	if refused.RetryAfter < time.Second || refused.RetryAfter%time.Second != 0 {
		t.Errorf("got RetryAfter %v, want whole seconds", refused.RetryAfter)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("refused after %v, want at once", took)
	}
	if got := h.Stats().Refused; got != 1 {
		t.Errorf("got %d refused, want 1", got)
	}
	cancel()
	callers.Wait()
}

// TestNewcomerTakesAFloodersPlace is TestFullQueueTakesFromTheLongestLane from outside.
func TestNewcomerTakesAFloodersPlace(t *testing.T) {
	t.Parallel()
	h, pid := stopped(t, passhash.Config{Params: cheap, Workers: 1, QueueLength: 3, MaxWait: time.Minute})
	var callers sync.WaitGroup
	var refused atomic.Int64
	for i := range 5 {
		callers.Go(func() {
			var overloaded *passhash.OverloadedError
			if _, err := h.Hash(t.Context(), "flood", "password"); errors.As(err, &overloaded) {
				refused.Add(1)
			} else if err != nil {
				t.Errorf("flood: got %v", err)
			}
		})
		await(t, "it is let in", func() bool { s := h.Stats(); return s.Running == min(i+1, 2) && s.Running+s.Waiting == i+1 })
	}
	callers.Go(func() {
		if _, err := h.Hash(t.Context(), "other", "password"); err != nil {
			t.Errorf("other: got %v, want a hash", err)
		}
	})
	await(t, "somebody is refused", func() bool { return h.Stats().Refused == 1 })
	signal(t, pid, syscall.SIGCONT)
	callers.Wait()
	if got := refused.Load(); got != 1 {
		t.Errorf("got %d of the flood refused, want 1", got)
	}
}

func TestWaitingEndsAtTheDeadline(t *testing.T) {
	t.Parallel()
	const wait = 100 * time.Millisecond
	h, _ := stopped(t, passhash.Config{Params: cheap, Workers: 1, MaxWait: wait})
	ctx, cancel := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	for range 2 {
		callers.Go(func() { _, _ = h.Hash(ctx, "client", "password") })
	}
	await(t, "the workers are busy", func() bool { return h.Stats().Running == 2 })
	began := time.Now()
	_, err := h.Hash(t.Context(), "client", "password")
	var refused *passhash.OverloadedError
	if !errors.As(err, &refused) {
		t.Errorf("got %v, want *OverloadedError", err)
	}
	if took := time.Since(began); took < wait || took > 10*time.Second {
		t.Errorf("refused after %v, want %v", took, wait)
	}
	if got := h.Stats(); got.Waiting != 0 || got.Refused != 1 {
		t.Errorf("got %+v, want none waiting and 1 refused", got)
	}
	cancel()
	callers.Wait()
}

func TestCallerThatLeavesWhileWaitingIsForgotten(t *testing.T) {
	t.Parallel()
	h, pid := stopped(t, passhash.Config{Params: cheap, Workers: 1, MaxWait: time.Minute})
	var callers sync.WaitGroup
	for range 2 {
		callers.Go(func() {
			if _, err := h.Hash(t.Context(), "client", "password"); err != nil {
				t.Errorf("who stays: got %v, want a hash", err)
			}
		})
	}
	await(t, "the workers are busy", func() bool { return h.Stats().Running == 2 })
	ctx, cancel := context.WithCancel(t.Context())
	callers.Go(func() {
		if _, err := h.Hash(ctx, "client", "password"); !errors.Is(err, context.Canceled) {
			t.Errorf("who leaves: got %v, want context.Canceled", err)
		}
	})
	await(t, "the third waits", func() bool { return h.Stats().Waiting == 1 })
	cancel()
	await(t, "nobody waits", func() bool { return h.Stats().Waiting == 0 })
	signal(t, pid, syscall.SIGCONT)
	callers.Wait()
	if got := h.Stats(); got.Hashes != 1+2 || got.Refused != 0 {
		t.Errorf("got %+v, want the first and 2 hashes, and none refused", got)
	}
}

// TestCallerThatLeavesFreesNothingEarly is what keeps a client that connects and hangs up from having more hashes computed
// at once than there are workers.
func TestCallerThatLeavesFreesNothingEarly(t *testing.T) {
	t.Parallel()
	h, pid := stopped(t, passhash.Config{Params: cheap, Workers: 1, MaxWait: time.Minute})
	ctx, cancel := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	for range 2 {
		callers.Go(func() {
			if _, err := h.Hash(ctx, "client", "password"); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want context.Canceled", err)
			}
		})
	}
	await(t, "the workers are busy", func() bool { return h.Stats().Running == 2 })
	cancel()
	callers.Wait()
	if got := h.Stats().Running; got != 2 {
		t.Errorf("got %d running after the callers left, want still 2", got)
	}
	signal(t, pid, syscall.SIGCONT)
	await(t, "the workers are free", func() bool { return h.Stats().Running == 0 })
	if got := h.Stats().Hashes; got != 1+2 {
		t.Errorf("got %d hashes, want the first and 2", got)
	}
}

// TestStarvedHelperDoesNotStopSignIns is the floor below the lowest priority.
func TestStarvedHelperDoesNotStopSignIns(t *testing.T) {
	t.Parallel()
	h, _ := stopped(t, passhash.Config{Params: cheap, Workers: 1, MaxWait: time.Minute})
	before := h.Stats()
	var callers sync.WaitGroup
	began := time.Now()
	for range 4 { // two within the helper, two waiting
		callers.Go(func() {
			hash, err := h.Hash(t.Context(), "client", "password")
			if err != nil {
				t.Errorf("got %v, want a hash", err)
				return
			}
			if p, err := passhash.ParsePHC(hash); err != nil || string(p.Compute("password")) != string(p.Key) {
				t.Errorf("got a wrong hash, %v", err)
			}
		})
	}
	callers.Wait()
	if took := time.Since(began); took < 4*passhash.StarvedAfter {
		t.Errorf("4 hashes took %v, want at least %v each: the helper comes first", took, passhash.StarvedAfter)
	}
	if got := h.Stats(); got.Lent-before.Lent != 4 || got.Hashes-before.Hashes != 4 {
		t.Errorf("got %+v after %+v, want 4 hashes, all lent", got, before)
	}
}

// TestHelperIsReplacedWhenKilled kills the helper again and again under load. Nobody may see anything but a right
// result or ErrUnavailable.
func TestHelperIsReplacedWhenKilled(t *testing.T) {
	t.Parallel()
	kills := 10
	if os.Getenv("LATCHKEY_TEST_LONG") != "" {
		kills = 100
	}
	h := open(t, passhash.Config{
		Helper: helper(t), Params: passhash.Params{MemoryKiB: 256, Passes: 1, Lanes: 1}, Workers: 2, MaxWait: time.Minute,
	})
	hash, err := h.Hash(t.Context(), "client", "password")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	var right, failed atomic.Int64
	for i := range 8 {
		load.Go(func() {
			for ctx.Err() == nil {
				password := []string{"password", "wrong"}[i%2]
				got, err := h.Verify(t.Context(), strconv.Itoa(i), hash, password)
				switch {
				case err == nil && got == (passhash.Verdict{Match: i%2 == 0}):
					right.Add(1)
				case errors.Is(err, passhash.ErrUnavailable):
					failed.Add(1)
				default:
					t.Errorf("got %+v, %v, want the right verdict or ErrUnavailable", got, err)
				}
			}
		})
	}
	for range kills {
		before := right.Load()
		pid := helperOf(t, h)
		await(t, "a few right answers", func() bool { return right.Load() > before+10 })
		_ = syscall.Kill(pid, syscall.SIGKILL)
		await(t, "the helper is another one", func() bool { now := h.HelperPID(); return now != 0 && now != pid })
	}
	stop()
	load.Wait()
	if got, err := h.Verify(t.Context(), "client", hash, "password"); err != nil || !got.Match {
		t.Errorf("afterwards: got %+v, %v, want a match", got, err)
	}
	if got := h.Stats().Restarts; got != uint64(kills) {
		t.Errorf("got %d restarts, want %d", got, kills)
	}
	t.Logf("%d right, %d failed", right.Load(), failed.Load())
}

func TestNoHelperBeforeTheFirstHash(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	h := open(t, passhash.Config{Helper: helper(t), Params: cheap, Logger: debugLog(&log)})
	time.Sleep(100 * time.Millisecond) // in which one that is not wanted would start
	if log.String() != "" || h.HelperPID() != 0 {
		t.Errorf("got helper %d and log %q before the first hash, want none", h.HelperPID(), log.String())
	}
	begin(t, h)
	if got := started(t, &log); len(got) != 1 {
		t.Errorf("got helpers %v after the first hash, want one", got)
	}
}

func TestHelperEndsWhenIdleAndComesBack(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	h := open(t, passhash.Config{Helper: helper(t), Params: cheap, HelperIdle: 50 * time.Millisecond, Logger: debugLog(&log)})
	for round := range 2 {
		if _, err := h.Hash(t.Context(), "client", "password"); err != nil {
			t.Fatal(err)
		}
		await(t, "a helper has started", func() bool { return len(started(t, &log)) > round })
		pid := started(t, &log)[round]
		await(t, "the helper has ended", func() bool { return h.HelperPID() == 0 && !running(pid) })
		time.Sleep(100 * time.Millisecond) // in which another one would start
		if got := started(t, &log); len(got) != round+1 {
			t.Errorf("round %d: got helpers %v, want no more while nobody needs one", round, got)
		}
	}
	if got := h.Stats().Restarts; got != 0 {
		t.Errorf("got %d restarts, want 0: none died", got)
	}
	if strings.Contains(log.String(), "level=WARN") || strings.Count(log.String(), "nobody needs it") != 2 {
		t.Errorf("got this log, want two ends and no warning:\n%s", log.String())
	}
}

// TestHelperThatHasWorkIsNotIdle has one hash that takes many times as long as a helper is kept.
func TestHelperThatHasWorkIsNotIdle(t *testing.T) {
	t.Parallel()
	slow := passhash.Params{MemoryKiB: 64 << 10, Passes: 4, Lanes: 1}
	h := open(t, passhash.Config{Helper: helper(t), Params: slow, HelperIdle: time.Millisecond, MaxWait: time.Minute})
	if _, err := h.Hash(t.Context(), "client", "password"); err != nil { // ErrUnavailable, if the helper were ended
		t.Errorf("got %v, want a hash", err)
	}
}

// TestHashesAtTheMomentOfRetirementSucceed asks just when the helper ends, again and again.
func TestHashesAtTheMomentOfRetirementSucceed(t *testing.T) {
	t.Parallel()
	const idle = 2 * time.Millisecond
	var log lockedBuffer
	h := open(t, passhash.Config{Helper: helper(t), Params: cheap, HelperIdle: idle, MaxWait: time.Minute, Logger: debugLog(&log)})
	const rounds, clients = 60, 3
	for round := range rounds {
		var callers sync.WaitGroup
		for client := range clients {
			callers.Go(func() {
				if _, err := h.Hash(t.Context(), strconv.Itoa(client), "password"); err != nil {
					t.Errorf("round %d: got %v, want a hash", round, err)
				}
			})
		}
		callers.Wait()
		time.Sleep(idle + time.Duration(round%5-2)*100*time.Microsecond)
	}
	if got := h.Stats(); got.Hashes != rounds*clients || got.Refused != 0 || got.Restarts != 0 {
		t.Errorf("got %+v, want %d hashes, none refused and no helper dead", got, rounds*clients)
	}
	if got := strings.Count(log.String(), "nobody needs it"); got < rounds/10 {
		t.Errorf("got %d helpers ended, want at least %d for the test to mean something", got, rounds/10)
	}
	t.Logf("%d of %d rounds ended a helper", strings.Count(log.String(), "nobody needs it"), rounds)
}

func TestCloseWhileNoHelperIsWanted(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	h := open(t, passhash.Config{Helper: helper(t), Params: cheap, Logger: debugLog(&log)})
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if log.String() != "" {
		t.Errorf("got log %q, want nothing started", log.String())
	}
}

func TestCloseWaitsForARetiredHelper(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	h := open(t, passhash.Config{Helper: helper(t), Params: cheap, HelperIdle: time.Millisecond, Logger: debugLog(&log)})
	if _, err := h.Hash(t.Context(), "client", "password"); err != nil {
		t.Fatal(err)
	}
	await(t, "the helper is retired", func() bool { return strings.Contains(log.String(), "nobody needs it") })
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if pid := started(t, &log)[0]; running(pid) {
		t.Errorf("helper %d is left", pid)
	}
}

func TestHelperThatDiesIdleIsNotReplacedUntilWanted(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	h := open(t, passhash.Config{Helper: helper(t), Params: cheap, Logger: debugLog(&log)})
	first := begin(t, h)
	signal(t, first, syscall.SIGKILL)
	await(t, "its death is noticed", func() bool { return h.Stats().Restarts == 1 })
	time.Sleep(100 * time.Millisecond) // in which another one would start
	if got := started(t, &log); len(got) != 1 || h.HelperPID() != 0 {
		t.Errorf("got helpers %v and now %d, want no other while nobody needs it", got, h.HelperPID())
	}
	if second := begin(t, h); second == first {
		t.Errorf("got helper %d again, want another one", second)
	}
}

func debugLog(log *lockedBuffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// started returns the process ids of the helpers that log tells of.
func started(t testing.TB, log *lockedBuffer) (pids []int) {
	t.Helper()
	for line := range strings.Lines(log.String()) {
		_, text, ok := strings.Cut(line, `"hash helper started" pid=`)
		if !ok {
			continue
		}
		pid, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}
