//go:build linux

package nodetest_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ideaegg/latchkey"
)

// startPgbouncer starts a pgbouncer in transaction mode in front of the server and returns its port. Its settings are the
// defaults but for few server connections: each transaction may get another one.
func startPgbouncer(t *testing.T, s *server) (port int) {
	t.Helper()
	p, err := findPrograms("pgbouncer")
	need(t, err)
	folder, err := newFolder("pgbouncer")
	if err != nil {
		t.Fatal(err)
	}
	port = freePort()
	files := map[string]string{
		"users": fmt.Sprintf("%q %q\n", "latchkey", run.password),
		"ini": fmt.Sprintf(`[databases]
* = host=127.0.0.1 port=%d
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %s
pool_mode = transaction
default_pool_size = 5
`, s.port, port, filepath.Join(folder, "users")),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil { // the folder is the other user's alone
			t.Fatal(err)
		}
	}
	command := slices.Concat(asPostgres(), []string{p["pgbouncer"], filepath.Join(folder, "ini")})
	log := new(output)
	cmd := exec.Command(command[0], command[1:]...) //nolint:noctx // ended below
	cmd.Dir, cmd.Stdout, cmd.Stderr = folder, log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		late := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		defer late.Stop()
		_ = cmd.Process.Signal(syscall.SIGTERM) // its immediate shutdown
		_ = cmd.Wait()                          // how it ended is no matter
		if t.Failed() {
			t.Logf("the end of pgbouncer's log:\n%s", endOfLog(log.String()))
		}
	})
	eventually(t, "pgbouncer answers", patience, func() bool {
		conn, err := pgx.Connect(t.Context(), postgresURL("postgres", nil, port))
		if err == nil {
			_ = conn.Close(t.Context())
		}
		return err == nil
	})
	return port
}

// TestEverythingWorksThroughPgbouncer runs two nodes behind pgbouncer in transaction mode, which gives each transaction
// whichever connection is free.
func TestEverythingWorksThroughPgbouncer(t *testing.T) {
	server := sharedServer(t)
	name := server.newDatabase(t)
	port := startPgbouncer(t, server)
	pooled, direct := postgresURL(name, nil, port), server.url(name)
	listen := "--database-listen=" + direct
	a, b := startNode(t, "a", pooled, "--dev", listen), startNode(t, "b", pooled, "--dev", listen)

	t.Run("every call", func(t *testing.T) { everyCall(t, a.api, b.api) })
	t.Run("a crowd", func(t *testing.T) { crowd(t, a.api, b.api, times(1000, 100)) })
	t.Run("revocations reach the other node", func(t *testing.T) {
		revokeMany(t, direct, a.api, b.api, times(200, 20))
	})
	const listening = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'latchkey listen'"
	operator := connect(t, direct)
	eventually(t, "each node has a connection for LISTEN", patience, func() bool { return query[int](t, operator, listening)[0] == 2 })
	t.Run("a lock", func(t *testing.T) { overcomeLock(t, operator, a.api, b.api) })
	t.Run("a command", func(t *testing.T) {
		guest := a.guest(t)
		a.call(t, http.StatusOK, http.MethodGet, "/user", guest.PrivateToken, nil)
		manage(t, "disable", guest.Username, pooled)
		eventually(t, "the token is refused", patience, func() bool {
			got, err := a.user(guest.PrivateToken)
			return err == nil && got.status == http.StatusUnauthorized
		})
		stdout, stderr, code := runCommand(t, "migrate", "show", "--json", "--database="+pooled)
		if code != 0 || stderr.String() != "" {
			t.Errorf("migrate show: got exit code %d, %q and %q", code, stdout, stderr)
		}
	})
}

var codePattern = regexp.MustCompile(`(?s)/account/reset_password\?token=\w+.*?\b([0-9]{8})\b`)

// everyCall goes through the calls of the API, each on another node than the one before.
func everyCall(t *testing.T, a, b api) {
	in := newUser("john_smith")
	user := decode[latchkey.SignedIn](t, a.call(t, http.StatusOK, http.MethodPost, "/sign_up", "", in))
	b.call(t, http.StatusUnprocessableEntity, http.MethodPost, "/sign_up", "", in)
	signIn := members{"login": in["email"], "password": in["password"]}
	second := decode[latchkey.SignedIn](t, b.call(t, http.StatusOK, http.MethodPost, "/sign_in", "", signIn))
	b.call(t, http.StatusUnauthorized, http.MethodPost, "/sign_in", "", members{"login": in["email"], "password": "a wrong one"})
	b.call(t, http.StatusOK, http.MethodPut, "/user", user.PrivateToken, members{"fullname": "张三", "avatar": "www.test.com/test.png"})
	if got := decode[latchkey.User](t, a.call(t, http.StatusOK, http.MethodGet, "/user", second.PrivateToken, nil)); got.Fullname != "张三" {
		t.Errorf("got fullname %q, want 张三", got.Fullname)
	}
	sessions := decode[[]latchkey.Session](t, a.call(t, http.StatusOK, http.MethodGet, "/user/sessions", user.PrivateToken, nil))
	if len(sessions) != 2 {
		t.Fatalf("got %d sessions, want 2", len(sessions))
	}
	b.call(t, http.StatusNoContent, http.MethodDelete, "/user/sessions/"+strconv.FormatInt(sessions[0].ID, 10), user.PrivateToken, nil)
	a.call(t, http.StatusOK, http.MethodPost, "/sign_in", "", signIn)
	b.call(t, http.StatusNoContent, http.MethodDelete, "/user/sessions", user.PrivateToken, nil)
	changed := decode[latchkey.SignedIn](t, a.call(t, http.StatusOK, http.MethodPut, "/user/password", user.PrivateToken, members{
		"current_password": in["password"], "password": "another password", "password_confirmation": "another password",
	}))

	guest := a.guest(t)
	upgraded := decode[latchkey.SignedIn](t, b.call(t, http.StatusOK, http.MethodPost, "/sign_up", guest.PrivateToken, newUser("jane")))
	if upgraded.ID != guest.ID {
		t.Errorf("got user %d, want the guest's id %d", upgraded.ID, guest.ID)
	}
	wechat := members{"uid": "test_uid", "fullname": "李四"}
	first := decode[latchkey.SignedIn](t, a.call(t, http.StatusOK, http.MethodPost, "/sign_in_with/wechat", "", wechat))
	again := decode[latchkey.SignedIn](t, b.call(t, http.StatusOK, http.MethodPost, "/sign_in_with/wechat", "", wechat))
	if first.ID != again.ID {
		t.Errorf("got user %d and then %d for one WeChat user", first.ID, again.ID)
	}

	a.call(t, http.StatusNoContent, http.MethodPost, "/reset_password", "", members{"email": in["email"]})
	var code string
	eventually(t, "the mail is sent by one of the nodes", patience, func() bool {
		for _, n := range []api{a, b} {
			page := n.call(t, http.StatusOK, http.MethodGet, "/dev/mail", "", nil).body
			if found := codePattern.FindSubmatch(page); found != nil {
				code = string(found[1])
				return true
			}
		}
		return false
	})
	b.call(t, http.StatusNoContent, http.MethodPut, "/reset_password", "", members{
		"email": in["email"], "code": code, "password": "a third password", "password_confirmation": "a third password",
	})
	a.call(t, http.StatusOK, http.MethodPost, "/sign_in", "", members{"login": "john_smith", "password": "a third password"})
	eventually(t, "the sessions of before are over on node a", patience, func() bool {
		got, err := a.user(changed.PrivateToken)
		return err == nil && got.status == http.StatusUnauthorized
	})
	a.call(t, http.StatusNoContent, http.MethodPost, "/sign_out", first.PrivateToken, nil)
	b.call(t, http.StatusNoContent, http.MethodDelete, "/user", again.PrivateToken, nil)
	a.call(t, http.StatusOK, http.MethodGet, "/readyz", "", nil)
}

// crowd has guests do what guests do, many at once. Nothing of it may fail.
func crowd(t *testing.T, a, b api, guests int) {
	var requests, late atomic.Int64
	began := time.Now()
	inParallel(16, guests, func(i int) {
		mine, other := a, b
		if i%2 == 1 {
			mine, other = b, a
		}
		got, err := mine.do(http.MethodPost, "/sign_up_temporarily", "", nil)
		if err != nil || got.status != http.StatusOK {
			t.Errorf("sign up: got %d %s (%v), want 200", got.status, got.body, err)
			return
		}
		guest, err := parse[latchkey.SignedIn](got)
		if err != nil {
			t.Error(err)
			return
		}
		steps := []struct {
			on     api
			call   call
			status int
		}{
			{other, call{http.MethodGet, "/user", guest.PrivateToken, nil}, http.StatusOK},
			{mine, call{http.MethodPut, "/user", guest.PrivateToken, members{"fullname": fmt.Sprint("Guest ", i)}}, http.StatusOK},
			{other, call{http.MethodGet, "/user/sessions", guest.PrivateToken, nil}, http.StatusOK},
			{other, call{http.MethodPost, "/sign_out", guest.PrivateToken, nil}, http.StatusNoContent},
			{other, call{http.MethodGet, "/user", guest.PrivateToken, nil}, http.StatusUnauthorized},
		}
		for _, s := range steps {
			got, err := s.on.do(s.call.method, s.call.path, s.call.token, s.call.body)
			if err == nil && got.status == http.StatusServiceUnavailable && got.took > time.Second {
				late.Add(1) // for want of time on a busy machine, not because of pgbouncer
				return
			}
			if err != nil || got.status != s.status {
				t.Errorf("%s %s: got %d %s (%v), want %d", s.call.method, s.call.path, got.status, got.body, err, s.status)
				return
			}
		}
		requests.Add(int64(1 + len(steps)))
	})
	if late.Load() > int64(guests)/50 {
		t.Errorf("%d of %d guests were refused for want of time, want almost none", late.Load(), guests)
	}
	t.Logf("%d requests in %v, none failed", requests.Load(), time.Since(began).Round(time.Millisecond))
}

// overcomeLock has a crowd wait for a lock until its time is up, when each asks the database to forget it.
func overcomeLock(t *testing.T, operator *pgx.Conn, nodes ...api) {
	t.Helper()
	execSQL(t, operator, "BEGIN")
	execSQL(t, operator, "LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
	inParallel(32, 32, func(i int) {
		got, err := nodes[i%len(nodes)].do(http.MethodPost, "/sign_up_temporarily", "", nil)
		if err == nil {
			err = checkUnavailable(got)
		}
		if err == nil && got.took > slowestRefusal {
			err = fmt.Errorf("refused after %v, want at most %v", got.took, slowestRefusal)
		}
		if err != nil {
			t.Errorf("sign up while the table is locked: %v", err)
		}
	})
	execSQL(t, operator, "ROLLBACK")
	for _, n := range nodes {
		took := eventually(t, "the node serves again", 5*time.Second, func() bool {
			got, err := n.do(http.MethodPost, "/sign_up_temporarily", "", nil)
			return err == nil && got.status == http.StatusOK
		})
		t.Logf("served again %v after the lock was released", took.Round(time.Millisecond))
	}
}

// TestManyNodesStartThroughPgbouncer starts more nodes at once on an empty database than pgbouncer has connections: those
// that wait for the one that migrates must leave it some.
func TestManyNodesStartThroughPgbouncer(t *testing.T) {
	server := sharedServer(t)
	name := server.newDatabase(t)
	pooled := postgresURL(name, nil, startPgbouncer(t, server))
	nodes := make([]*node, 8)
	for i := range nodes {
		nodes[i] = spawnNode(t, strconv.Itoa(i), pooled)
	}
	for _, n := range nodes {
		n.await()
	}
	guest := nodes[0].guest(t)
	for _, n := range nodes {
		n.call(t, http.StatusOK, http.MethodGet, "/user", guest.PrivateToken, nil)
	}
}
