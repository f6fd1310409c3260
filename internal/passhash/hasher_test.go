package passhash_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/crypto/argon2"

	"github.com/ideaegg/latchkey/internal/passhash"
)

// The test binary plays other programs when it is started with one of these as its first argument.
const (
	playHelper = "hash-helper"   // the real one
	playExit   = "exit-at-once"  // a program that is no helper
	playNoise  = "print-noise"   // another one
	playLiar   = "answer-nobody" // a helper that answers what nobody asked
	playParent = "become-parent" // a service with a helper, which prints the helper's process id
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case playHelper:
			syscall.Exit(passhash.HelperMain(os.Args[2:])) // os.Exit sleeps for a second under the race detector
		case playExit:
			syscall.Exit(0)
		case playNoise:
			fmt.Println(strings.Repeat("noise ", 100))
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(0)
		case playLiar:
			lie()
			os.Exit(0)
		case playParent:
			beParent()
			os.Exit(0)
		}
	}
	goleak.VerifyTestMain(m)
}

// lie greets like a helper and answers every byte with a key for a request that does not exist.
func lie() {
	in, _ := io.Pipe()
	go func() { _ = passhash.ServeHelper(in, os.Stdout, 1) }()
	for {
		if _, err := os.Stdin.Read(make([]byte, 4096)); err != nil {
			return
		}
		frame := binary.BigEndian.AppendUint32(nil, 8+32)
		_, _ = os.Stdout.Write(append(frame, bytes.Repeat([]byte{9}, 8+32)...))
	}
}

func beParent() {
	helper, err := passhash.HelperCommand(playHelper)
	if err != nil {
		panic(err)
	}
	h, err := passhash.New(passhash.Config{Helper: helper, Params: cheap})
	if err != nil {
		panic(err)
	}
	if _, err := h.Hash(context.Background(), "c", "p"); err != nil {
		panic(err)
	}
	for h.HelperPID() == 0 { // the first hash may have been done without it
		time.Sleep(time.Millisecond)
	}
	fmt.Println(h.HelperPID())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// cheap costs microseconds, for tests where the cost does not matter.
var cheap = passhash.Params{MemoryKiB: 8, Passes: 1, Lanes: 1}

// open returns a Hasher that is closed at the end of the test.
func open(t testing.TB, cfg passhash.Config) *passhash.Hasher {
	t.Helper()
	h, err := passhash.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// helper returns the command line of the helper.
func helper(t testing.TB) []string {
	t.Helper()
	argv, err := passhash.HelperCommand(playHelper)
	if err != nil {
		t.Fatal(err)
	}
	return argv
}

// await polls until done holds.
func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// bothWays runs test with a Hasher that uses a helper and with one that does not.
func bothWays(t *testing.T, cfg passhash.Config, test func(t *testing.T, h *passhash.Hasher)) {
	t.Run("in process", func(t *testing.T) {
		t.Parallel()
		test(t, open(t, cfg))
	})
	t.Run("in the helper", func(t *testing.T) {
		t.Parallel()
		withHelper := cfg
		withHelper.Helper = helper(t)
		test(t, open(t, withHelper))
	})
}

func TestHashIsArgon2id(t *testing.T) {
	t.Parallel()
	bothWays(t, passhash.Config{MaxWait: time.Minute}, func(t *testing.T, h *passhash.Hasher) {
		hash, err := h.Hash(t.Context(), "client", "correct horse")
		if err != nil {
			t.Fatal(err)
		}
		got, err := passhash.ParsePHC(hash)
		if err != nil {
			t.Fatal(err)
		}
		want := passhash.PHC{
			Params: passhash.Params{MemoryKiB: 19456, Passes: 2, Lanes: 1},
			Salt:   got.Salt,
			Key:    argon2.IDKey([]byte("correct horse"), got.Salt, 2, 19456, 1, 32),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if len(got.Salt) != 16 {
			t.Errorf("got a salt of %d bytes, want 16", len(got.Salt))
		}
	})
}

// TestVerifyAcceptsTheReferenceImplementation uses a hash from the tests of the reference implementation of
// argon2 (phc-winner-argon2, src/test.c).
func TestVerifyAcceptsTheReferenceImplementation(t *testing.T) {
	t.Parallel()
	const hash = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	bothWays(t, passhash.Config{MaxWait: time.Minute}, func(t *testing.T, h *passhash.Hasher) {
		got, err := h.Verify(t.Context(), "client", hash, "password")
		if want := (passhash.Verdict{Match: true}); err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	})
}

func TestVerify(t *testing.T) {
	t.Parallel()
	bothWays(t, passhash.Config{Params: passhash.Params{MemoryKiB: 64, Passes: 2, Lanes: 2}}, func(t *testing.T, h *passhash.Hasher) {
		hash, err := h.Hash(t.Context(), "client", "pässword")
		if err != nil {
			t.Fatal(err)
		}
		other, err := h.Hash(t.Context(), "client", "pässword")
		if err != nil {
			t.Fatal(err)
		}
		if string(hash) == string(other) {
			t.Error("the same password got the same hash twice")
		}
		old := passhash.PHC{Params: cheap, Salt: make([]byte, 16), Key: make([]byte, 32)}
		old.Key = old.Compute("pässword")
		for _, tt := range []struct {
			name     string
			hash     passhash.PasswordHash
			password string
			want     passhash.Verdict
		}{
			{"the right password matches", hash, "pässword", passhash.Verdict{Match: true}},
			{"a wrong password does not", hash, "password", passhash.Verdict{}},
			{"an empty password does not", hash, "", passhash.Verdict{}},
			{"a longer password does not", hash, "pässword ", passhash.Verdict{}},
			{"a password with a zero byte at the end does not", hash, "pässword\x00", passhash.Verdict{}},
			{"a cheaper hash is to be replaced", passhash.FormatPHC(old), "pässword", passhash.Verdict{Match: true, Rehash: true}},
			{"but not with a wrong password", passhash.FormatPHC(old), "password", passhash.Verdict{}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				got, err := h.Verify(t.Context(), "client", tt.hash, tt.password)
				if err != nil || got != tt.want {
					t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
				}
			})
		}
		if _, err := h.Verify(t.Context(), "client", "$2b$12$x", "pässword"); !errors.Is(err, passhash.ErrMalformed) {
			t.Errorf("a foreign hash: got %v, want ErrMalformed", err)
		}
	})
}

// TestUnknownLoginCostsAsMuchAsAWrongPassword does not run beside the other tests, because it measures time.
func TestUnknownLoginCostsAsMuchAsAWrongPassword(t *testing.T) {
	for _, way := range []struct {
		name   string
		helper []string
	}{{"in process", nil}, {"in the helper", helper(t)}} {
		t.Run(way.name, func(t *testing.T) {
			h := open(t, passhash.Config{Helper: way.helper, Workers: 1, MaxWait: time.Minute})
			hash, err := h.Hash(t.Context(), "client", "password")
			if err != nil {
				t.Fatal(err)
			}
			before := h.Stats().Hashes
			for range 5 {
				if _, err := h.Verify(t.Context(), "client", hash, "wrong"); err != nil {
					t.Fatal(err)
				}
				if err := h.VerifyNothing(t.Context(), "client", "wrong"); err != nil {
					t.Fatal(err)
				}
			}
			// Counted, not timed: a busy machine makes any two times differ.
			if got := h.Stats().Hashes - before; got != 10 {
				t.Errorf("got %d hashes, want 10", got)
			}
		})
	}
}

func TestDeriveDependsOnSecretSaltAndParamsOnly(t *testing.T) {
	t.Parallel()
	salt := []byte("a salt of sixteen")
	want := [32]byte(argon2.IDKey([]byte("12345678"), salt, cheap.Passes, cheap.MemoryKiB, cheap.Lanes, 32))
	bothWays(t, passhash.Config{Params: cheap, MaxWait: time.Minute}, func(t *testing.T, h *passhash.Hasher) {
		if got, err := h.Derive(t.Context(), "client", "12345678", salt); err != nil || got != want {
			t.Errorf("got %x, %v, want %x", got, err, want)
		}
		for _, size := range []int{0, 7, 65} {
			if _, err := h.Derive(t.Context(), "client", "12345678", make([]byte, size)); err == nil {
				t.Errorf("salt of %d bytes: got no error", size)
			}
		}
	})
}

func TestLongSecretsAreRefused(t *testing.T) {
	t.Parallel()
	bothWays(t, passhash.Config{Params: cheap}, func(t *testing.T, h *passhash.Hasher) {
		longest := strings.Repeat("x", passhash.MaxSecret)
		hash, err := h.Hash(t.Context(), "client", longest)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := h.Verify(t.Context(), "client", hash, longest); err != nil || !got.Match {
			t.Errorf("the longest secret: got %+v, %v, want a match", got, err)
		}
		if _, err := h.Hash(t.Context(), "client", longest+"x"); !errors.Is(err, passhash.ErrTooLong) {
			t.Errorf("one byte more: got %v, want ErrTooLong", err)
		}
	})
}

func TestNewNamesTheFaultyField(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		field string
		cfg   passhash.Config
	}{
		{"Workers", passhash.Config{Workers: -1}},
		{"QueueLength", passhash.Config{QueueLength: -1}},
		{"MaxWait", passhash.Config{MaxWait: -1}},
		{"HelperIdle", passhash.Config{HelperIdle: -1}},
		{"Params", passhash.Config{Params: passhash.Params{MemoryKiB: 1 << 30, Passes: 1, Lanes: 1}}},
		{"Params", passhash.Config{Params: passhash.Params{MemoryKiB: 19456}}},
		{"Helper", passhash.Config{Helper: []string{""}}},
	} {
		h, err := passhash.New(tt.cfg)
		if err == nil {
			_ = h.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "Config."+tt.field) {
			t.Errorf("got %v, want Config.%s in it", err, tt.field)
		}
	}
}

func TestCallerThatIsGoneAlreadyIsNotQueued(t *testing.T) {
	t.Parallel()
	h := open(t, passhash.Config{Params: cheap})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Hash(ctx, "client", "password"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if got := h.Stats().Hashes; got != 0 {
		t.Errorf("got %d hashes, want 0", got)
	}
}

// TestFloodDoesNotDelayOthers lets one client keep a full queue while another asks for one hash after the other.
func TestFloodDoesNotDelayOthers(t *testing.T) {
	t.Parallel()
	slow := passhash.Params{MemoryKiB: 2048, Passes: 2, Lanes: 1}
	bothWays(t, passhash.Config{Params: slow, Workers: 1, QueueLength: 16, MaxWait: time.Minute}, func(t *testing.T, h *passhash.Hasher) {
		ctx, stop := context.WithCancel(t.Context())
		var flood sync.WaitGroup
		for range 64 {
			flood.Go(func() {
				for ctx.Err() == nil {
					var refused *passhash.OverloadedError
					if _, err := h.Hash(ctx, "flood", "x"); errors.As(err, &refused) {
						time.Sleep(time.Millisecond)
					}
				}
			})
		}
		await(t, "the queue is full", func() bool { return h.Stats().Waiting == 16 })
		var meanwhile []uint64
		for range 20 {
			before := h.Stats().Hashes
			if _, err := h.Hash(t.Context(), "other", "y"); err != nil {
				t.Errorf("got %v, want a hash", err)
			}
			meanwhile = append(meanwhile, h.Stats().Hashes-before)
		}
		// Those under way, the flood's next turn, and a few that finished while the figures were read. A machine that
		// lets this goroutine wait has more of the last, so most of the times count and not the worst.
		slices.Sort(meanwhile)
		if median := meanwhile[len(meanwhile)/2]; median > 8 {
			t.Errorf("got a median of %d hashes meanwhile, want at most 8: %v", median, meanwhile)
		}
		stop()
		flood.Wait()
	})
}

func TestRetryAfterIsTheTimeToDrain(t *testing.T) {
	t.Parallel()
	const each = 50 * time.Millisecond
	for _, tt := range []struct {
		waiting, workers int
		each, want       time.Duration
	}{
		{0, 2, each, time.Second},
		{30, 2, each, time.Second},
		{128, 2, each, 4 * time.Second},
		{100000, 2, each, 30 * time.Second},
		{5, 1, time.Minute, 30 * time.Second},
	} {
		if got := passhash.RetryAfter(tt.waiting, tt.workers, tt.each); got != tt.want {
			t.Errorf("%d waiting, %d workers: got %v, want %v", tt.waiting, tt.workers, got, tt.want)
		}
	}
}

func TestRestartsComeAtOnceAndThenAtMostASecondApart(t *testing.T) {
	t.Parallel()
	if got := passhash.RestartPause(0); got != 0 {
		t.Errorf("first restart: got %v, want 0", got)
	}
	for deaths := 1; deaths < 100; deaths++ {
		got := passhash.RestartPause(deaths)
		if got <= 0 || got > time.Second || got < passhash.RestartPause(deaths-1) {
			t.Errorf("after %d deaths: got %v, want it growing to at most 1 s", deaths, got)
		}
		if got := passhash.StartPause(deaths); got <= 0 || got > 30*time.Second {
			t.Errorf("after %d failed starts: got %v, want at most 30 s", deaths, got)
		}
	}
}

func TestCloseRefusesEverythingAfterwards(t *testing.T) {
	t.Parallel()
	bothWays(t, passhash.Config{Params: cheap}, func(t *testing.T, h *passhash.Hasher) {
		var closers sync.WaitGroup
		for range 3 {
			closers.Go(func() {
				if err := h.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		closers.Wait()
		if _, err := h.Hash(t.Context(), "client", "password"); !errors.Is(err, passhash.ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
		if got := h.HelperPID(); got != 0 {
			t.Errorf("got helper %d, want none", got)
		}
	})
}

func TestCloseFinishesWhatHasBegun(t *testing.T) {
	t.Parallel()
	slow := passhash.Params{MemoryKiB: 64 << 10, Passes: 4, Lanes: 1}
	bothWays(t, passhash.Config{Params: slow, Workers: 1, MaxWait: time.Minute}, func(t *testing.T, h *passhash.Hasher) {
		var answered, refused atomic.Int64
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				switch _, err := h.Hash(t.Context(), "client", "password"); {
				case err == nil:
					answered.Add(1)
				case errors.Is(err, passhash.ErrUnavailable):
					refused.Add(1)
				default:
					t.Errorf("got %v, want a hash or ErrUnavailable", err)
				}
			})
		}
		var running int
		await(t, "the worker is busy and the others wait", func() bool {
			s := h.Stats()
			running = s.Running
			return running > 0 && s.Running+s.Waiting == 8
		})
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		callers.Wait()
		if got := int(answered.Load()); got < running {
			t.Errorf("got %d answers, want the %d that had begun", got, running)
		}
		if refused.Load() == 0 {
			t.Error("nothing was refused, want those that waited")
		}
	})
}

func TestHashingGoesOnWithoutAHelper(t *testing.T) {
	t.Parallel()
	self := helper(t)[0]
	for _, tt := range []struct {
		name string
		argv []string
	}{
		{"the program does not exist", []string{filepath.Join(t.TempDir(), "absent")}},
		{"the program ends at once", []string{self, playExit}},
		{"the program is something else", []string{self, playNoise}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var log lockedBuffer
			h := open(t, passhash.Config{
				Helper: tt.argv, Params: cheap, MaxWait: 20 * time.Second, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			})
			for range 3 {
				hash, err := h.Hash(t.Context(), "client", "the password")
				if err != nil {
					t.Fatal(err)
				}
				if got, err := h.Verify(t.Context(), "client", hash, "the password"); err != nil || !got.Match {
					t.Errorf("got %+v, %v, want a match", got, err)
				}
			}
			await(t, "a line in the log", func() bool { return strings.Contains(log.String(), "in process") })
			if got := strings.Count(log.String(), "level=WARN"); got != 1 {
				t.Errorf("got %d warnings, want 1:\n%s", got, log.String())
			}
			if h.HelperPID() != 0 {
				t.Errorf("got helper %d, want none", h.HelperPID())
			}
		})
	}
}

// TestLyingHelperIsDropped has a helper that answers requests which do not exist. The requests that it was given fail, or are computed
// in process after a while; none gets a wrong result.
func TestLyingHelperIsDropped(t *testing.T) {
	t.Parallel()
	h := open(t, passhash.Config{Helper: []string{helper(t)[0], playLiar}, Params: cheap})
	for range 3 {
		if _, err := h.Hash(t.Context(), "client", "x"); err != nil && !errors.Is(err, passhash.ErrUnavailable) {
			t.Errorf("got %v, want a hash or ErrUnavailable", err)
		}
	}
	await(t, "the helper is replaced", func() bool { return h.Stats().Restarts > 0 })
}

func TestServeHelperEndsWithItsInput(t *testing.T) {
	t.Parallel()
	work := passhash.PHC{Params: cheap, Salt: make([]byte, 16), Key: make([]byte, 32)}
	frame := passhash.RequestFrame(1, work, "x")
	expensive := passhash.RequestFrame(1, passhash.PHC{
		Params: passhash.Params{MemoryKiB: 1 << 31, Passes: 2, Lanes: 1}, Salt: make([]byte, 16), Key: make([]byte, 32),
	}, "x")
	for _, tt := range []struct {
		name  string
		in    []byte
		wants bool // an error
	}{
		{"nothing is a good end", nil, false},
		{"an end between two requests is a good end", frame, false},
		{"an end within a length is an error", append(slices.Clone(frame), 0, 0), true},
		{"an end within a request is an error", frame[:len(frame)-1], true},
		{"a huge length is an error", []byte{0xff, 0xff, 0xff, 0xff, 0}, true},
		{"an empty request is an error", []byte{0, 0, 0, 0}, true},
		{"costs beyond the limits are an error", expensive, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := passhash.ServeHelper(bytes.NewReader(tt.in), io.Discard, 2); (err != nil) != tt.wants {
				t.Errorf("got %v, want an error: %v", err, tt.wants)
			}
		})
	}
}

func TestHelperIsNotForPeople(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"", "workers=2", "memory-limit=104857600", "workers=0 memory-limit=104857600", "workers=2 memory-limit=1", "-h"} {
		cmd := exec.CommandContext(t.Context(), helper(t)[0], append([]string{playHelper}, strings.Fields(args)...)...)
		out, err := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != 2 || !strings.Contains(string(out), "own use") {
			t.Errorf("%q: got exit code %d, %v, %q, want 2 and a word of explanation", args, got, err, out)
		}
	}
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// BenchmarkHash compares the helper with a plain loop on every core; 16 callers wait for the helper at any time.
func BenchmarkHash(b *testing.B) {
	perSecond := func(b *testing.B) { b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "hashes/s") }
	produce := func(b *testing.B, callers int, hash func()) {
		b.ReportAllocs()
		done, stop := make(chan struct{}), make(chan struct{})
		var all sync.WaitGroup
		for range callers {
			all.Go(func() {
				for {
					hash()
					select {
					case done <- struct{}{}:
					case <-stop:
						return
					}
				}
			})
		}
		for range callers { // until the pipeline is full
			<-done
		}
		for b.Loop() {
			<-done
		}
		perSecond(b)
		close(stop)
		all.Wait()
	}
	b.Run("plain", func(b *testing.B) {
		salt := make([]byte, 16)
		produce(b, runtime.GOMAXPROCS(0), func() { argon2.IDKey([]byte("password"), salt, 2, 19456, 1, 32) })
	})
	for _, way := range []struct {
		name   string
		helper []string
	}{{"in process", nil}, {"helper", helper(b)}} {
		b.Run(way.name, func(b *testing.B) {
			h := open(b, passhash.Config{Helper: way.helper, MaxWait: time.Minute})
			produce(b, 16, func() {
				if err := h.VerifyNothing(context.Background(), "client", "password"); err != nil {
					b.Error(err)
				}
			})
		})
	}
}
