//go:build linux

package nodetest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// server is a PostgreSQL of the tests' own, which syncs to the disk as one in production does. Its methods are for one
// goroutine at a time.
type server struct {
	folder string // its own: "data" and "log" in it
	port   int
	extra  []string // more arguments

	cmd    *exec.Cmd // nil while it does not run
	exited chan struct{}
}

// programs are the paths of the programs that a server needs, and of pgbouncer.
type programs map[string]string

var errMissing = errors.New("PostgreSQL's programs are missing")

// findPrograms returns the paths of the named programs, PostgreSQL's newest version where there are several.
func findPrograms(names ...string) (programs, error) {
	folders, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // Debian's
	slices.Sort(folders)
	slices.Reverse(folders)
	folders = append(folders, "/usr/sbin", "/sbin")
	found := make(programs)
	for _, name := range names {
		path, err := exec.LookPath(name)
		for _, folder := range folders {
			if err != nil {
				path, err = exec.LookPath(filepath.Join(folder, name))
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s", errMissing, name)
		}
		found[name] = path
	}
	return found, nil
}

// need skips the test where the error says that programs are missing, or fails it if LATCHKEY_TEST_FULL is set, as
// ./test does. Any other error is a failure.
func need(t *testing.T, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, errMissing) && os.Getenv("LATCHKEY_TEST_FULL") == "":
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}

// sharedServer returns the server that tests share which do it no harm.
func sharedServer(t *testing.T) *server {
	t.Helper()
	s, err := run.server()
	need(t, err)
	return s
}

// ownServer returns a running server that the test may kill.
func ownServer(t *testing.T, extra ...string) *server {
	t.Helper()
	s, err := newServer(extra...)
	need(t, err)
	t.Cleanup(s.stop)
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// asPostgres is how to run a program that refuses to be run as root. It dies with the tests.
func asPostgres() []string {
	if os.Geteuid() != 0 {
		return nil
	}
	return []string{"setpriv", "--pdeathsig=KILL", "--reuid=postgres", "--regid=postgres", "--init-groups"}
}

// newFolder returns a new folder that belongs to the database's user.
func newFolder(name string) (string, error) {
	folder, err := os.MkdirTemp(run.folder, name+".")
	if err != nil || os.Geteuid() != 0 {
		return folder, err
	}
	owner, err := user.Lookup("postgres")
	if err != nil {
		return "", fmt.Errorf("%w: no user postgres", errMissing)
	}
	uid, _ := strconv.Atoi(owner.Uid)
	gid, _ := strconv.Atoi(owner.Gid)
	return folder, os.Chown(folder, uid, gid)
}

// runAsPostgres runs a program to its end in the folder.
func runAsPostgres(folder, path string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	command := slices.Concat(asPostgres(), []string{path}, args)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(path), err, out)
	}
	return nil
}

// newServer makes a server that is not started yet. Its superuser is latchkey, with the password of all servers here.
func newServer(extra ...string) (*server, error) {
	p, err := findPrograms("initdb", "postgres", "pg_ctl", "pg_basebackup")
	if err != nil {
		return nil, err
	}
	folder, err := newFolder("postgres")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(folder, "password")
	if err := os.WriteFile(file, []byte(run.password), 0o644); err != nil { // the folder is the other user's alone
		return nil, err
	}
	s := &server{folder: folder, port: freePort(), extra: extra}
	return s, runAsPostgres(folder, p["initdb"], "-D", s.data(), "-U", "latchkey", "-E", "UTF8", "--locale=C.UTF-8",
		"--auth=scram-sha-256", "--pwfile="+file, "--no-sync")
}

func (s *server) data() string { return filepath.Join(s.folder, "data") }

// start starts the server and waits until it answers.
func (s *server) start() error {
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		err := s.startOnce()
		// After a kill the last of its processes may hold the memory for another moment.
		if err == nil || !strings.Contains(err.Error(), "pre-existing shared memory block") || time.Now().After(end) {
			return err
		}
		if err := os.Truncate(filepath.Join(s.folder, "log"), 0); err != nil { // or the next error would look the same
			return err
		}
	}
}

func (s *server) startOnce() error {
	p, err := findPrograms("postgres")
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(s.folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	// Not UTC, so that code that relies on the server's time zone is found out.
	command := slices.Concat(asPostgres(), []string{
		p["postgres"], "-D", s.data(), "-k", "", "-h", "127.0.0.1", "-p", strconv.Itoa(s.port),
		"-c", "timezone=Asia/Shanghai", "-c", "max_connections=200", "-c", "fsync=on",
	}, s.extra)
	cmd := exec.Command(command[0], command[1:]...) //nolint:noctx // it outlives whoever starts it, and is ended by stop
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.folder, log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd, s.exited = cmd, make(chan struct{})
	go func(exited chan struct{}) {
		defer close(exited)
		_ = cmd.Wait() // how it ended stands in its log
	}(s.exited)
	for end := time.Now().Add(2 * patience); ; time.Sleep(10 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		conn, err := pgx.Connect(ctx, s.url("postgres"))
		if err == nil {
			err = conn.Close(ctx)
		}
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("PostgreSQL ended:\n%s", s.endOfLog())
		default:
		}
		if time.Now().After(end) {
			return fmt.Errorf("PostgreSQL does not answer: %w\n%s", err, s.endOfLog())
		}
	}
}

func (s *server) endOfLog() string {
	b, _ := os.ReadFile(filepath.Join(s.folder, "log"))
	return string(b[max(0, len(b)-3000):])
}

// stop ends the server, whatever state it is in.
func (s *server) stop() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGINT) // its fast shutdown: it does not wait for clients
	select {
	case <-s.exited:
		s.cmd = nil
	case <-time.After(10 * time.Second):
		s.kill()
	}
}

// kill ends the server and all its processes at once, as a power cut would.
func (s *server) kill() {
	pids := append(s.children(), s.cmd.Process.Pid)
	for _, pid := range slices.Backward(pids) { // the one that starts others first
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-s.exited
	for _, pid := range pids {
		for range 500 { // until the last has let go of the memory that they share
			if state := processState(pid); state == "" || state == "Z" {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	s.cmd = nil
}

// freeze stops the server and all its processes where they are, as a machine does whose disk hangs. Connections stay
// open. What it was about to say is said after kill, if at all.
func (s *server) freeze() {
	for _, pid := range append([]int{s.cmd.Process.Pid}, s.children()...) {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
	}
}

// newStandby makes a running standby of the server, which listens on the port once it is started.
func (s *server) newStandby(t *testing.T, port int) *server {
	t.Helper()
	p, err := findPrograms("pg_basebackup")
	need(t, err)
	folder, err := newFolder("standby")
	if err != nil {
		t.Fatal(err)
	}
	standby := &server{folder: folder, port: port, extra: s.extra}
	err = runAsPostgres(folder, p["pg_basebackup"], "-d", s.url("postgres"), "-D", standby.data(), "-R", "--checkpoint=fast", "--no-sync")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(standby.stop)
	if err := standby.start(); err != nil {
		t.Fatal(err)
	}
	return standby
}

// promote makes a standby a primary and returns once it is one.
func (s *server) promote(t *testing.T) {
	t.Helper()
	p, err := findPrograms("pg_ctl")
	need(t, err)
	if err := runAsPostgres(s.folder, p["pg_ctl"], "promote", "-w", "-D", s.data()); err != nil {
		t.Fatal(err)
	}
}

// children returns the processes that the server has started.
func (s *server) children() (pids []int) {
	parent := strconv.Itoa(s.cmd.Process.Pid)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := bytes.Cut(b, []byte(") ")) // behind the name: state, parent
		if fields := strings.Fields(string(rest)); len(fields) > 1 && fields[1] == parent {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// processState returns the letter of proc(5), or "" for a process that is gone.
func processState(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, _ := bytes.Cut(b, []byte(") "))
	state, _, _ := strings.Cut(string(rest), " ")
	return state
}

// url returns the URL of a database on the server. Parameters are of the form name=value.
func (s *server) url(database string, params ...string) string {
	return postgresURL(database, params, s.port)
}

func postgresURL(database string, params []string, ports ...int) string {
	var hosts []string
	for _, port := range ports {
		hosts = append(hosts, "127.0.0.1:"+strconv.Itoa(port))
	}
	return "postgres://latchkey:" + run.password + "@" + strings.Join(hosts, ",") + "/" + database + "?" +
		strings.Join(append([]string{"sslmode=disable"}, params...), "&")
}

// newDatabase makes an empty database, which goes with its server, and returns its name.
func (s *server) newDatabase(t *testing.T) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", time.Now().UnixNano())
	conn := connect(t, s.url("postgres"))
	defer conn.Close(withTimeout(t))
	execSQL(t, conn, "CREATE DATABASE "+name)
	return name
}

// connect returns a connection that is closed when the test ends.
func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(withTimeout(t), url)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close(withTimeout(t)) })
	return conn
}

func execSQL(t *testing.T, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(withTimeout(t), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// query returns the rows of a query with one column.
func query[T any](t *testing.T, conn *pgx.Conn, sql string, args ...any) []T {
	t.Helper()
	rows, err := conn.Query(withTimeout(t), sql, args...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return list
}

var ports struct {
	mu   sync.Mutex
	next int
}

// freePort returns a port on which nobody listens, below those that the system gives out itself: who is killed and comes
// back must find it free.
func freePort() int {
	ports.mu.Lock()
	defer ports.mu.Unlock()
	if ports.next == 0 {
		ports.next = 20000 + os.Getpid()*37%10000
	}
	for {
		ports.next++
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(ports.next)) //nolint:noctx // closed at once
		if err == nil {
			l.Close()
			return ports.next
		}
	}
}
