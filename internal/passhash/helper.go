package passhash

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// helperMemory is the least soft memory limit of a helper, in bytes.
	helperMemory = 100 << 20

	// idleRelease is how long a helper keeps the memory of its last hashes. Page-faulting 19 MiB again costs
	// a few milliseconds, so it is worth keeping them between one sign-in and the next of a busy minute.
	idleRelease = 5 * time.Second

	// helperBacklog bounds what a parent may send ahead of the answers; it sends one more than there are workers.
	helperBacklog = 1024
)

// memoryLimit returns the soft memory limit for a helper, in bytes: far above what it needs, because near the limit
// the runtime gives memory back to the system all the time, and up to half of the time goes into page faults.
func memoryLimit(workers int, p Params) int64 {
	return max(helperMemory, int64(workers)*int64(p.MemoryKiB)<<10*5/2)
}

// HelperCommand returns a value for Config.Helper that starts the running program again with one argument,
// subcommand. The program must hand that subcommand's arguments to HelperMain.
func HelperCommand(subcommand string) ([]string, error) {
	// On Linux this name means the very file that is running, even after an upgrade has replaced it on disk, so
	// parent and helper always speak the same protocol.
	const self = "/proc/self/exe"
	if runtime.GOOS == "linux" {
		if _, err := os.Stat(self); err == nil {
			return []string{self, subcommand}, nil
		}
	}
	path, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the running program: %w", err)
	}
	return []string{filepath.Clean(path), subcommand}, nil
}

// HelperMain is the whole life of a helper process and returns its exit code. args are the arguments after the
// hidden subcommand; os.Args must end with them. Call it before anything else in main: on Linux it gives
// the process the lowest scheduling class and executes the program a second time, because only then every thread of
// the Go runtime has it.
//
// The helper ends when its standard input does, which is when its parent ends, however that happens. It ignores
// the signals by which a terminal or a service manager asks all processes of a service to end, because the
// parent needs it for the requests that it still answers.
func HelperMain(args []string) int {
	opts, err := parseHelperOptions(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "this subcommand is for the program's own use:", err)
		return 2
	}
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	if !opts.lowered {
		lowerPriority() // returns only where there is nothing to execute again
	}
	nameProcess()
	debug.SetGCPercent(-1) // see helperServer.collect
	debug.SetMemoryLimit(opts.memoryLimit)
	debug.FreeOSMemory() // what the rest of the program made at its start
	if err := ServeHelper(os.Stdin, os.Stdout, opts.workers); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// helperOptions travel as arguments, not in the environment: a helper gets an empty one, because the service's own
// holds secrets.
type helperOptions struct {
	workers     int
	memoryLimit int64 // bytes
	lowered     bool  // the priority is set
}

const loweredArg = "lowered"

// args is the inverse of parseHelperOptions.
func (o helperOptions) args() []string {
	args := []string{"workers=" + strconv.Itoa(o.workers), "memory-limit=" + strconv.FormatInt(o.memoryLimit, 10)}
	if o.lowered {
		args = append(args, loweredArg)
	}
	return args
}

func parseHelperOptions(args []string) (helperOptions, error) {
	var o helperOptions
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		n, err := strconv.ParseInt(value, 10, 64)
		switch {
		case arg == loweredArg:
			o.lowered = true
		case name == "workers" && err == nil && n >= 1 && n <= maxWorkers:
			o.workers = int(n)
		case name == "memory-limit" && err == nil && n >= helperMemory:
			o.memoryLimit = n
		default:
			return helperOptions{}, errors.New("unknown argument")
		}
	}
	if o.workers == 0 || o.memoryLimit == 0 {
		return helperOptions{}, errors.New("missing argument")
	}
	return o, nil
}

// ServeHelper answers the requests of a Hasher that come from in, workers of them at a time, until in ends; then it
// returns nil at once. A hash under way goes on for its tens of milliseconds and is thrown away. It returns an
// error when in is not a Hasher's stream.
func ServeHelper(in io.Reader, out io.Writer, workers int) error {
	if _, err := out.Write(appendGreeting(nil)); err != nil {
		return fmt.Errorf("greet: %w", err)
	}
	release := time.AfterFunc(idleRelease, debug.FreeOSMemory)
	defer release.Stop()
	release.Stop() // nothing to release yet

	s := &helperServer{
		out:          out,
		release:      release,
		collectAfter: max(1, int64(workers)/4),
		todo:         make(chan numbered, helperBacklog),
		quit:         make(chan struct{}),
	}
	defer close(s.quit)
	for range workers {
		go s.work()
	}
	r := bufio.NewReader(in)
	for {
		body, err := readFrame(r, maxRequest)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read a request: %w", err)
		}
		id, req, err := parseRequest(body)
		if err != nil {
			return fmt.Errorf("read a request: %w", err)
		}
		select {
		case s.todo <- numbered{id: id, request: req}:
		default:
			return errors.New("passhash: more requests than a parent sends") // blocking here would hide the end of in
		}
	}
}

// numbered is a request with the id that its answer needs.
type numbered struct {
	id uint64
	request
}

type helperServer struct {
	release      *time.Timer  // gives memory back to the system after a while without work
	garbage      atomic.Int64 // finished hashes since the last collection
	collectAfter int64        // so many of them are collected at once
	todo         chan numbered
	quit         chan struct{}

	mu  sync.Mutex
	out io.Writer
}

func (s *helperServer) work() {
	for {
		select {
		case <-s.quit:
			return
		case n := <-s.todo:
			s.release.Stop()
			key := n.key()
			clear(n.secret)
			s.answer(n.id, key)
			s.collect()
			s.release.Reset(idleRelease)
		}
		select { // with both channels ready, quit comes first
		case <-s.quit:
			return
		default:
		}
	}
}

// collect runs the garbage collector when it is worth while, in place of the runtime's own pace. A hash leaves one
// block of 19 MiB without a pointer in it, so a collection takes some 0.1 ms, and with one after each hash two
// workers use the same two blocks for ever: measured, 41 MiB and 95 hashes/s, where GOGC=100 takes 97 MiB for 85
// hashes/s, and GOGC=400 within 100 MiB falls to 50 when the runtime hands memory back and faults it in again.
func (s *helperServer) collect() {
	if s.garbage.Add(1) >= s.collectAfter {
		s.garbage.Store(0)
		runtime.GC()
	}
}

// answer writes one frame. A failure means that the parent is gone, which the reader of in notices.
func (s *helperServer) answer(id uint64, key []byte) {
	frame := appendAnswer(nil, id, key)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = s.out.Write(frame)
}
