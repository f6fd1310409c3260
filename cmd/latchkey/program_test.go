package main_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/sqlstore"
)

const (
	// patience bounds the waits for what takes milliseconds on a quiet machine.
	patience = 30 * time.Second
	// drainTime is how long the program may let requests under way finish after SIGTERM, and a little for the rest.
	drainTime = 10*time.Second + 5*time.Second
)

// launch says how to start the program.
type launch struct {
	args []string // after "latchkey"
	env  []string
	path string // of the program; empty: the test binary
	// shell is a command that is run before the program in its process, as `ulimit -f 100` is.
	shell string
}

// command returns the program, not started yet, in an empty folder.
func (l launch) command(t *testing.T) *exec.Cmd {
	t.Helper()
	path := l.path
	if path == "" {
		var err error
		if path, err = os.Executable(); err != nil {
			t.Fatal(err)
		}
	}
	cmd := &exec.Cmd{Path: path, Args: append([]string{"latchkey"}, l.args...), Env: l.env}
	if l.shell != "" {
		bash, err := exec.LookPath("bash") // whose exec -a gives a program a name
		if err != nil {
			t.Fatal(err)
		}
		cmd.Path, cmd.Args = bash, append([]string{"bash", "-c", l.shell + ` && exec -a latchkey "$0" "$@"`, path}, l.args...)
	}
	cmd.Env = append(l.env, "GORACE=atexit_sleep_ms=0") // and nothing of the tests' environment; a second each is long
	cmd.Dir = t.TempDir()
	cmd.WaitDelay = time.Second
	return cmd
}

// run runs a command of the program to its end.
func run(t *testing.T, l launch) (stdout, stderr string, code int) {
	t.Helper()
	var out, err output
	cmd := l.command(t)
	cmd.Stdout, cmd.Stderr = &out, &err
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	waitErr := cmd.Wait()
	if _, ok := errors.AsType[*exec.ExitError](waitErr); waitErr != nil && !ok {
		t.Fatal(waitErr)
	}
	return out.String(), err.String(), cmd.ProcessState.ExitCode()
}

// program is a running `latchkey serve`.
type program struct {
	api
	line   string // that it printed at its start
	stdout *output
	stderr *output

	t       *testing.T
	process *os.Process
	state   *os.ProcessState // once exited is closed
	exited  chan struct{}
	ended   bool // by the test itself
}

// database is the setting for a test database.
func database(cfg sqlstore.Config) string {
	if cfg.PostgresURL != "" {
		return "--database=" + cfg.PostgresURL
	}
	return "--database=sqlite:" + cfg.SQLitePath
}

// develop starts `latchkey serve --dev` on a free port.
func develop(t *testing.T, cfg sqlstore.Config, args ...string) *program {
	t.Helper()
	return start(t, launch{args: append([]string{"serve", "--dev", "--listen=127.0.0.1:0", database(cfg)}, args...)})
}

// publicURL is that of every program without --dev.
const publicURL = "https://accounts.example.com"

// produce starts `latchkey serve` as in production, on a free port, but without rate limits, which the tests would meet.
func produce(t *testing.T, cfg sqlstore.Config, args ...string) *program {
	t.Helper()
	return start(t, launch{args: append([]string{
		"serve", "--listen=127.0.0.1:0", "--public-url=" + publicURL, "--rate-limits=off", database(cfg),
	}, args...)})
}

// start starts a program and waits until it serves. When the test ends it is asked to end too, if it still runs.
func start(t *testing.T, l launch) *program {
	t.Helper()
	p := spawn(t, l)
	select {
	case <-p.stdout.firstLine:
	case <-p.exited:
		t.Fatalf("the program ended (%v) before it served:\n%s", p.state, p.stderr)
	case <-time.After(patience):
		t.Fatalf("the program did not say that it serves:\n%s", p.stderr)
	}
	p.line, _, _ = strings.Cut(p.stdout.String(), "\n")
	s := parseStartLine(t, p.line)
	p.api = newAPI(t, "http://"+s.address)
	return p
}

// spawn starts a program and does not wait.
func spawn(t *testing.T, l launch) *program {
	t.Helper()
	p := &program{t: t, stdout: newOutput(), stderr: newOutput(), exited: make(chan struct{})}
	cmd := l.command(t)
	cmd.Stdout, cmd.Stderr = p.stdout, p.stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.process = cmd.Process
	go func() {
		defer close(p.exited)
		_ = cmd.Wait() // its error is in the state
		p.state = cmd.ProcessState
	}()
	t.Cleanup(p.cleanUp)
	return p
}

// terminate asks the program to end, and returns its exit code and how long it took.
func (p *program) terminate() (code int, took time.Duration) {
	p.t.Helper()
	began := time.Now()
	p.signal(syscall.SIGTERM)
	return p.wait(), time.Since(began)
}

func (p *program) signal(s os.Signal) {
	p.t.Helper()
	if err := p.process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("signal the program: %v", err)
	}
}

// wait waits for the end of a program that was asked to end, and returns its exit code.
func (p *program) wait() int {
	p.t.Helper()
	p.ended = true
	select {
	case <-p.exited:
	case <-time.After(drainTime):
		_ = p.process.Kill()
		<-p.exited
		p.t.Errorf("the program did not end within %v", drainTime)
	}
	return p.state.ExitCode()
}

// kill ends the program at once, as a power cut would.
func (p *program) kill() {
	p.ended = true
	_ = p.process.Kill() // SIGKILL
	<-p.exited
}

func (p *program) cleanUp() {
	if !p.ended {
		if code, _ := p.terminate(); code != 0 {
			p.t.Errorf("got exit code %d after SIGTERM, want 0", code)
		}
	}
	log := p.stderr.String()
	for _, bad := range []string{"DATA RACE", `"msg":"panic"`, "fatal error:", "goroutine 1 ["} {
		if strings.Contains(log, bad) {
			p.t.Errorf("got %q in the program's log, want it never", bad)
		}
	}
	if p.t.Failed() {
		p.t.Logf("the end of the program's log, without the requests that went well:\n%s", endOfLog(log))
	}
}

// endOfLog returns the last lines of a log that are about trouble.
func endOfLog(log string) string {
	lines := slices.DeleteFunc(strings.Split(log, "\n"), func(line string) bool {
		return strings.Contains(line, `"msg":"request"`) && !strings.Contains(line, `"status":5`)
	})
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

// output gathers what a program prints.
type output struct {
	firstLine chan struct{} // closed once the first line is complete; nil: nobody waits for it

	mu   sync.Mutex
	text bytes.Buffer
}

func newOutput() *output { return &output{firstLine: make(chan struct{})} }

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	before := bytes.IndexByte(o.text.Bytes(), '\n') >= 0
	n, err := o.text.Write(b)
	if o.firstLine != nil && !before && bytes.IndexByte(b, '\n') >= 0 {
		close(o.firstLine)
	}
	return n, err
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

var startLinePattern = regexp.MustCompile(`^latchkey (.+) serves (\S+?)(?: at (\S+))? \| database (.+?) \| (.+)$`)

// startLine is what the program says once it serves.
type startLine struct {
	version  string
	url      string // with the base path
	address  string // HOST:PORT that it listens on
	database string
	mode     string
}

func parseStartLine(t *testing.T, line string) startLine {
	t.Helper()
	m := startLinePattern.FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("got start line %q, want one that matches %v", line, startLinePattern)
	}
	s := startLine{version: m[1], url: m[2], address: m[3], database: m[4], mode: m[5]}
	if s.address == "" {
		s.address, _, _ = strings.Cut(strings.TrimPrefix(s.url, "http://"), "/")
	}
	if _, _, err := net.SplitHostPort(s.address); err != nil {
		t.Fatalf("got start line %q, want the address in it: %v", line, err)
	}
	return s
}

// eventually waits until the condition holds and returns how long that took.
func eventually(t *testing.T, what string, condition func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !condition() {
		if time.Since(began) > patience {
			t.Fatalf("not within %v: %s", patience, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(began)
}

// withTimeout is a context for what takes milliseconds on a quiet machine.
func withTimeout(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	t.Cleanup(cancel)
	return ctx
}

// newHTTPClient returns a client of its own, which keeps enough connections open for a crowd.
func newHTTPClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 512, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
