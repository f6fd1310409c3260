package attack_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // for databases that are written to behind the program's back
	_ "modernc.org/sqlite"

	"github.com/ideaegg/latchkey/internal/sqlstore"
)

const (
	// publicURL is what every mailed link must begin with, whatever a request says.
	publicURL = "https://accounts.example.com"
	// serverKey is that of the trusted backend.
	serverKey = "server-key-of-the-attack-suite"
)

// service is a running `latchkey serve` as in production, and what an operator has beside it: its database, its mail and
// its log.
type service struct {
	address  string // HOST:PORT
	url      string
	client   *http.Client
	db       *sql.DB
	postgres bool
	setting  string // --database
	letters  *letterbox
	regular  *person // see arena.regularPerson
	log      *output
	pid      int

	whole   *testing.T                     // that of all cases
	another func(flags ...string) *service // starts one on a database of its own; it ends with all cases
	weChat  *weChatWorld                   // see arena.inWeChat

	withLimits *service // see arena.limited
	config     sqlstore.Config
}

var listensAt = regexp.MustCompile(` at (127\.0\.0\.1:\d+) \|`)

// start starts a program on a database; it ends with the test. Limits are off unless a flag says otherwise.
func start(t *testing.T, db sqlstore.Config, flags ...string) *service {
	t.Helper()
	path, err := run.program()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	s := &service{config: db, letters: newLetterbox(filepath.Join(folder, "mail")), log: new(output)}
	driver, source := "sqlite", "file:"+db.SQLitePath+"?_pragma=busy_timeout(10000)"
	s.setting = "--database=sqlite:" + db.SQLitePath
	if db.PostgresURL != "" {
		driver, source, s.postgres, s.setting = "pgx", db.PostgresURL, true, "--database="+db.PostgresURL
	}
	cmd := exec.Command(path, append([]string{ //nolint:noctx // it is ended below
		"serve", "--listen=127.0.0.1:0", "--public-url=" + publicURL, s.setting, "--mail=dir:" + s.letters.folder,
		"--server-keys=" + serverKey, "--rate-limits=off",
	}, flags...)...)
	cmd.Dir, cmd.Env = folder, []string{"TMPDIR=" + os.TempDir()}
	stdout := new(output)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = stdout, s.log, time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.pid = cmd.Process.Pid
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait() // how it ended is in its state
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-exited:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			<-exited
		}
		if code := cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("got exit code %d, want 0", code)
		}
		s.checkLog(t)
	})
	eventually(t, "the program serves", func() bool {
		select {
		case <-exited:
			t.Fatalf("the program ended before it served:\n%s", s.log)
		default:
		}
		m := listensAt.FindStringSubmatch(stdout.String())
		if m != nil {
			s.address = m[1]
		}
		return m != nil
	})
	s.url = "http://" + s.address
	transport := &http.Transport{MaxIdleConnsPerHost: 128, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	s.client = &http.Client{
		Transport: transport, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if s.db, err = sql.Open(driver, source); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.db.Close() })
	return s
}

// checkLog looks for faults, and for secrets, which none of the attacks may bring into the log.
func (s *service) checkLog(t *testing.T) {
	t.Helper()
	log := s.log.String()
	for _, bad := range []string{`"msg":"panic"`, "fatal error:", "goroutine 1 [", `"status":500`, personsPassword, "/account/reset_password?", "lk_0"} {
		if at := strings.Index(log, bad); at >= 0 {
			line := log[strings.LastIndexByte(log[:at], '\n')+1:]
			line, _, _ = strings.Cut(line, "\n")
			t.Errorf("got %q in the log, want it never:\n%s", bad, line)
		}
	}
}

// command runs a command of the program on the service's database.
func (s *service) command(t *testing.T, args ...string) {
	t.Helper()
	path, err := run.program()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, append(args, s.setting)...)
	cmd.Dir, cmd.Env = t.TempDir(), []string{}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("latchkey %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// query reads one value from the database.
func query[T any](t *testing.T, s *service, text string, args ...any) T {
	t.Helper()
	var v T
	if err := s.db.QueryRowContext(t.Context(), text, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// exec writes to the database behind the program's back.
func (s *service) exec(t *testing.T, text string, args ...any) {
	t.Helper()
	result, err := s.db.ExecContext(t.Context(), text, args...)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		t.Fatalf("%s: got %d rows and %v, want some", text, n, err)
	}
}

// dial opens a connection of its own for bytes that no well-behaved client sends.
func (s *service) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(t.Context(), "tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// raw sends bytes on a connection of their own and returns everything that comes back until the server closes. When it
// has been silent for a second it is told that nothing more will come; earlier, it would drop what it is still doing.
func (s *service) raw(t *testing.T, request string) string {
	t.Helper()
	conn := s.dial(t)
	_, _ = io.WriteString(conn, request) // the server may have hung up before all of it was sent
	var answer bytes.Buffer
	part := make([]byte, 64<<10)
	for told := false; ; {
		if !told {
			_ = conn.SetReadDeadline(time.Now().Add(time.Second))
		}
		n, err := conn.Read(part)
		answer.Write(part[:n])
		if c, ok := conn.(*net.TCPConn); ok && !told && errors.Is(err, os.ErrDeadlineExceeded) {
			told = true
			_ = conn.SetReadDeadline(time.Now().Add(patience))
			_ = c.CloseWrite()
			continue
		}
		if err != nil {
			return answer.String()
		}
	}
}

// output gathers what a process prints.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for began := time.Now(); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > patience {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// letter is a message that was sent.
type letter struct {
	to, text string
	link     string // with the token
	token    string
	code     string
}

// letterbox is the folder that mail goes to.
type letterbox struct {
	folder string

	mu   sync.Mutex
	read []letter
}

func newLetterbox(folder string) *letterbox {
	return &letterbox{folder: folder}
}

var (
	toLine   = regexp.MustCompile(`(?m)^To: <(.*)>\r?$`)
	linkText = regexp.MustCompile(`https?://\S+[?&]token=([0-9A-Za-z]+)`)
	codeText = regexp.MustCompile(`: ([0-9]{8})\b`)
)

// all returns the messages that were sent, oldest first. What was read is taken out of the folder.
func (l *letterbox) all() ([]letter, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	files, err := filepath.Glob(filepath.Join(l.folder, "*.eml")) // sorted, and their names begin with the time
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		found, err := readLetter(file)
		if err != nil {
			return nil, err
		}
		l.read = append(l.read, found)
		if err := os.Remove(file); err != nil {
			return nil, err
		}
	}
	return slices.Clone(l.read), nil
}

func readLetter(file string) (letter, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return letter{}, err
	}
	header, body, _ := strings.Cut(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n\n")
	to := toLine.FindAllStringSubmatch(header, -1)
	if len(to) != 1 || strings.Contains(header, "\nCc:") || strings.Contains(header, "\nBcc:") {
		return letter{}, fmt.Errorf("got %d recipients in %q, want one", len(to), header)
	}
	found := letter{to: to[0][1], text: body}
	if m := linkText.FindStringSubmatch(body); m != nil {
		found.link, found.token = m[0], m[1]
	}
	if m := codeText.FindStringSubmatch(body); m != nil {
		found.code = m[1]
	}
	return found, nil
}
