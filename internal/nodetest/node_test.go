//go:build linux

package nodetest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ideaegg/latchkey"
)

// node is a running `latchkey serve`.
type node struct {
	api
	name   string
	t      *testing.T
	cmd    *exec.Cmd
	stdout *output
	stderr *output
	exited chan struct{}
	asked  bool // to end
	killed bool
}

// startNode starts a node on a database and waits until it serves. It must not end before the test does.
func startNode(t *testing.T, name, database string, args ...string) *node {
	t.Helper()
	n := spawnNode(t, name, database, args...)
	n.await()
	return n
}

// spawnNode starts a node and does not wait.
func spawnNode(t *testing.T, name, database string, args ...string) *node {
	t.Helper()
	path, err := run.program()
	if err != nil {
		t.Fatal(err)
	}
	n := &node{name: name, t: t, stdout: new(output), stderr: new(output), exited: make(chan struct{})}
	n.cmd = exec.Command(path, append([]string{ //nolint:noctx // it is ended by cleanUp
		"serve", "--listen=127.0.0.1:0", "--public-url=https://accounts.example.com", "--rate-limits=off", "--log-level=warn",
		"--database=" + database,
	}, args...)...)
	n.cmd.Env = []string{"GORACE=atexit_sleep_ms=0"} // and nothing of the tests' environment; a second each is long
	n.cmd.Dir, n.cmd.Stdout, n.cmd.Stderr = t.TempDir(), n.stdout, n.stderr
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	n.cmd.WaitDelay = time.Second
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(n.exited)
		_ = n.cmd.Wait() // its error is in the state
	}()
	run.nodes = append(run.nodes, n)
	t.Cleanup(n.cleanUp)
	return n
}

var listensAt = regexp.MustCompile(` at (127\.0\.0\.1:\d+) \|`)

// await waits until the node serves.
func (n *node) await() {
	n.t.Helper()
	var at []string
	eventually(n.t, "node "+n.name+" says that it serves", patience, func() bool {
		select {
		case <-n.exited:
			n.t.Fatalf("node %s ended (%v) before it served:\n%s", n.name, n.cmd.ProcessState, n.stderr)
		default:
		}
		at = listensAt.FindStringSubmatch(n.stdout.String())
		return at != nil
	})
	n.api = newAPI(n.t, "http://"+at[1])
}

// kill ends the node at once, as a power cut would.
func (n *node) kill() {
	n.asked, n.killed = true, true
	_ = n.cmd.Process.Kill()
	<-n.exited
}

// terminate asks the node to end and does not wait.
func (n *node) terminate() {
	if !n.asked {
		_ = n.cmd.Process.Signal(syscall.SIGTERM)
	}
	n.asked = true
}

func (n *node) cleanUp() {
	select {
	case <-n.exited:
		if !n.asked {
			n.t.Errorf("node %s ended by itself: %v", n.name, n.cmd.ProcessState)
		}
	default:
	}
	for _, other := range run.nodes {
		if other.t == n.t {
			other.terminate() // all of the test at once: with the race detector each takes a second to end
		}
	}
	select {
	case <-n.exited:
		if code := n.cmd.ProcessState.ExitCode(); code != 0 && !n.killed {
			n.t.Errorf("node %s: got exit code %d after SIGTERM, want 0", n.name, code)
		}
	case <-time.After(patience):
		n.kill()
		n.t.Errorf("node %s did not end within %v", n.name, patience)
	}
	log := n.stderr.String()
	for _, bad := range []string{"DATA RACE", `"msg":"panic"`, "fatal error:", "goroutine 1 ["} {
		if strings.Contains(log, bad) {
			n.t.Errorf("got %q in the log of node %s, want it never", bad, n.name)
		}
	}
	if n.t.Failed() {
		n.t.Logf("the end of the log of node %s:\n%s", n.name, endOfLog(log))
	}
}

// endOfLog returns the last lines of a log, and few of those about requests that were refused for want of a database.
func endOfLog(log string) string {
	lines := strings.Split(log, "\n")
	refused := 0
	for i := len(lines) - 1; i >= 0; i-- {
		if strings.Contains(lines[i], `"msg":"request failed"`) {
			if refused++; refused > 5 {
				lines[i] = ""
			}
		}
	}
	lines = slices.DeleteFunc(lines, func(line string) bool { return line == "" })
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

// output gathers what a process prints.
type output struct {
	mu    sync.Mutex
	began time.Time // when it printed first
	text  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.began.IsZero() {
		o.began = time.Now()
	}
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// api is a client of a node.
type api struct {
	base   string
	client *http.Client
}

func newAPI(t *testing.T, base string) api {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 512, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return api{base: base, client: &http.Client{Transport: transport, Timeout: patience}}
}

// members is a JSON object of a request.
type members map[string]string

// answer is what a node answered, and when it was asked.
type answer struct {
	status int
	header http.Header
	body   []byte
	began  time.Time // before the request was sent
	took   time.Duration
}

// do sends a request with a token, unless that is "", and a JSON body, unless that is nil.
func (a api) do(method, path, token string, body members) (answer, error) {
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		payload = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(context.Background(), method, a.base+path, payload) // the client has a timeout
	if err != nil {
		return answer{}, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Private-Token", token)
	}
	got := answer{began: time.Now()}
	resp, err := a.client.Do(r)
	if err != nil {
		return got, err
	}
	defer resp.Body.Close()
	got.body, err = io.ReadAll(resp.Body)
	got.status, got.header, got.took = resp.StatusCode, resp.Header, time.Since(got.began)
	return got, err
}

// user asks who a token belongs to.
func (a api) user(token string) (answer, error) { return a.do(http.MethodGet, "/user", token, nil) }

// call is do for the test's own goroutine; the status must be the wanted one.
func (a api) call(t *testing.T, want int, method, path, token string, body members) answer {
	t.Helper()
	got, err := a.do(method, path, token, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if got.status != want {
		t.Fatalf("%s %s: got %d %s, want %d", method, path, got.status, got.body, want)
	}
	return got
}

func (a api) guest(t *testing.T) latchkey.SignedIn {
	t.Helper()
	return decode[latchkey.SignedIn](t, a.call(t, http.StatusOK, http.MethodPost, "/sign_up_temporarily", "", nil))
}

// guests signs many guests up at once.
func (a api) guests(t *testing.T, n int) []latchkey.SignedIn {
	t.Helper()
	list := make([]latchkey.SignedIn, n)
	inParallel(16, n, func(i int) {
		got, err := a.do(http.MethodPost, "/sign_up_temporarily", "", nil)
		if err == nil && got.status == http.StatusOK {
			list[i], err = parse[latchkey.SignedIn](got)
		} else if err == nil {
			err = fmt.Errorf("got %d %s, want 200", got.status, got.body)
		}
		if err != nil {
			t.Errorf("sign a guest up: %v", err)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	return list
}

// newUser is a sign-up that is accepted, with a password that nobody else has.
func newUser(name string) members {
	password := "pass of " + name
	return members{"username": name, "email": name + "@example.com", "password": password, "password_confirmation": password}
}

// inParallel calls do for 0 to n-1, at most width at once.
func inParallel(width, n int, do func(i int)) {
	var work sync.WaitGroup
	next := make(chan int)
	for range width {
		work.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	work.Wait()
}

func decode[T any](t *testing.T, a answer) T {
	t.Helper()
	v, err := parse[T](a)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// parse is decode for any goroutine.
func parse[T any](a answer) (v T, err error) {
	if err := json.Unmarshal(a.body, &v); err != nil {
		return v, fmt.Errorf("decode %d %s: %w", a.status, a.body, err)
	}
	return v, nil
}

// checkUnavailable returns an error unless the answer is the one that says to come back soon.
func checkUnavailable(a answer) error {
	if a.status != http.StatusServiceUnavailable {
		return fmt.Errorf("got %d %s, want 503", a.status, a.body)
	}
	problem, err := parse[latchkey.Problem](a)
	if err != nil {
		return err
	}
	if problem.Code != latchkey.CodeUnavailable {
		return fmt.Errorf("got code %q, want %q", problem.Code, latchkey.CodeUnavailable)
	}
	if after := a.header.Get("Retry-After"); after == "" || strings.Trim(after, "0123456789") != "" {
		return fmt.Errorf("got Retry-After %q, want seconds", after)
	}
	return nil
}

// percentile returns the value that p of 100 do not exceed.
func percentile(list []time.Duration, p int) time.Duration {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[min(len(sorted)-1, len(sorted)*p/100)]
}

// runCommand runs a command of the program to its end.
func runCommand(t *testing.T, args ...string) (stdout, stderr *output, code int) {
	t.Helper()
	path, err := run.program()
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr = new(output), new(output)
	cmd := exec.CommandContext(withTimeout(t), path, args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = []string{"GORACE=atexit_sleep_ms=0"}, t.TempDir(), stdout, stderr
	if err := cmd.Run(); err != nil {
		if _, ok := errors.AsType[*exec.ExitError](err); !ok {
			t.Fatal(err)
		}
	}
	return stdout, stderr, cmd.ProcessState.ExitCode()
}
