//go:build linux

package nodetest_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ideaegg/latchkey"
)

// promptly is how long another node may still take a token after its end was acknowledged.
const promptly = 250 * time.Millisecond

// TestRevokedTokenIsRefusedOnTheOtherNode ends sessions on node a in every way there is, while node b is asked without
// pause about exactly those tokens.
func TestRevokedTokenIsRefusedOnTheOtherNode(t *testing.T) {
	server := sharedServer(t)
	url := server.url(server.newDatabase(t))
	a, b := startNode(t, "a", url), startNode(t, "b", url)
	revokeMany(t, url, a.api, b.api, times(2000, 100))
}

// TestRevokedTokenIsRefusedWithoutLISTEN does the same while the connections for LISTEN are cut again and again, and
// while node b has none to begin with.
func TestRevokedTokenIsRefusedWithoutLISTEN(t *testing.T) {
	server := sharedServer(t)
	url := server.url(server.newDatabase(t))
	nowhere := postgresURL("nothing", nil, freePort())
	a, b := startNode(t, "a", url), startNode(t, "b", url, "--database-listen="+nowhere)

	operator := connect(t, url)
	cut := 0
	stop := background(func() error {
		const terminate = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'latchkey listen'`
		var n int
		if err := operator.QueryRow(t.Context(), terminate).Scan(&n); err != nil {
			return err
		}
		cut += n
		time.Sleep(10 * time.Millisecond)
		return nil
	})
	revokeMany(t, url, a.api, b.api, times(2000, 100))
	if err := stop(); err != nil {
		t.Error(err)
	}
	if cut == 0 {
		t.Error("no connection for LISTEN was cut: the test shows nothing")
	}
	t.Logf("%d connections for LISTEN cut", cut)
}

// background calls do again and again until stop is called or do fails; stop returns its error.
func background(do func() error) (stop func() error) {
	stopped, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stopped:
				ended <- nil
				return
			default:
			}
			if err := do(); err != nil {
				ended <- err
				return
			}
		}
	}()
	return func() error {
		close(stopped)
		return <-ended
	}
}

// ending is a session and the call that ends it.
type ending struct {
	token  string
	method string
	path   string
	body   members
	want   int
}

// endings makes n sessions and says how to end each: of twenty, one by a new password, four by deleting the user, the
// others by signing out or as one of the user's devices. Those with a password come last.
func endings(t *testing.T, url string, a api, n int) (list []ending, passwords int) {
	t.Helper()
	var last []ending
	guests := a.guests(t, n)
	direct := newStack(t, storeConfig(url))
	for i, guest := range guests {
		e := ending{token: guest.PrivateToken, method: http.MethodPost, path: "/sign_out", want: http.StatusNoContent}
		switch i % 20 {
		case 0:
			name := fmt.Sprintf("user-%d", guest.ID)
			token, err := direct.signUp(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			last = append(last, ending{token: token, method: http.MethodPut, path: "/user/password", want: http.StatusOK, body: members{
				"current_password": newUser(name)["password"], "password": "another password", "password_confirmation": "another password",
			}})
			continue
		case 1, 6, 11, 16:
			e.method, e.path = http.MethodDelete, "/user"
		case 2, 12:
			sessions := decode[[]struct{ ID int64 }](t, a.call(t, http.StatusOK, http.MethodGet, "/user/sessions", e.token, nil))
			e.method, e.path = http.MethodDelete, "/user/sessions/"+strconv.FormatInt(sessions[0].ID, 10)
		}
		list = append(list, e)
	}
	return append(list, last...), len(last)
}

// revokeMany ends n sessions on a while b is asked about them. It fails the test if b says yes to a request that began
// more than 250 ms after the end was acknowledged, or a to any that began after it.
func revokeMany(t *testing.T, url string, a, b api, n int) {
	t.Helper()
	list, passwords := endings(t, url, a, n)
	began := time.Now()
	var mu sync.Mutex
	var delays []time.Duration
	asked, unavailable := 0, 0
	revoke := func(e ending, pause time.Duration) {
		w := watch(b, e.token, pause)
		err := e.revoke(a)
		acknowledged := time.Now()
		if err == nil {
			var after answer
			if after, err = a.user(e.token); err == nil && after.status == http.StatusOK {
				err = errors.New("got 200 on the same node after it, want 401")
			}
		}
		delay, watchErr := w.await(acknowledged)
		if err := errors.Join(err, watchErr); err != nil {
			t.Errorf("%s %s: %v", e.method, e.path, err)
		}
		mu.Lock()
		defer mu.Unlock()
		delays = append(delays, delay)
		asked += w.asked
		unavailable += w.unavailable
	}
	inParallel(64, n-passwords, func(i int) { revoke(list[i], time.Millisecond) })
	// Passwords are hashed in what others leave of the machine.
	inParallel(4, passwords, func(i int) { revoke(list[n-passwords+i], 5*time.Millisecond) })
	t.Logf("%d revocations and %d questions in %v; still accepted on the other node: p50 %v, p99 %v, at most %v",
		n, asked, time.Since(began).Round(time.Millisecond),
		percentile(delays, 50).Round(100*time.Microsecond), percentile(delays, 99).Round(100*time.Microsecond),
		percentile(delays, 100).Round(100*time.Microsecond))
	if unavailable > asked/20 { // some may be, on a machine that is busy with other things
		t.Errorf("got 503 to %d of %d questions, want almost none", unavailable, asked)
	}
}

// revoke ends the session. While there is trouble it tries again; then 401 may be the first word about its end.
func (e ending) revoke(a api) error {
	maybe := false
	for {
		got, err := a.do(e.method, e.path, e.token, e.body)
		switch {
		case err != nil:
			return err
		case got.status == e.want, maybe && got.status == http.StatusUnauthorized:
			return nil
		case got.status != http.StatusServiceUnavailable:
			return fmt.Errorf("got %d %s, want %d", got.status, got.body, e.want)
		}
		problem, err := parse[latchkey.Problem](got)
		if err != nil {
			return err
		}
		maybe = maybe || problem.Code != latchkey.CodeOverloaded // which says that nothing was done
		time.Sleep(100 * time.Millisecond)
	}
}

// watcher asks a node about one token, again and again.
type watcher struct {
	pause        time.Duration // between questions while the token is accepted
	acknowledged chan time.Time
	done         chan struct{}

	// Read them after await.
	accepted    time.Time // when the last request began that was answered with 200
	asked       int
	unavailable int
	err         error
}

// watch begins to ask, and returns once the node has said yes twice and so knows the token by heart.
func watch(b api, token string, pause time.Duration) *watcher {
	w := &watcher{pause: pause, acknowledged: make(chan time.Time, 1), done: make(chan struct{})}
	known := make(chan struct{})
	go func() {
		defer close(w.done)
		w.ask(b, token, sync.OnceFunc(func() { close(known) }))
	}()
	select {
	case <-known:
	case <-w.done:
	}
	return w
}

// await returns for how long after the acknowledgement the token was still accepted, once a request that began more
// than 250 ms after it has been refused.
func (w *watcher) await(acknowledged time.Time) (time.Duration, error) {
	w.acknowledged <- acknowledged
	<-w.done
	delay := max(0, w.accepted.Sub(acknowledged))
	if w.err == nil && delay > promptly {
		w.err = fmt.Errorf("accepted %v later on the other node, want at most %v", delay, promptly)
	}
	return delay, w.err
}

func (w *watcher) ask(b api, token string, known func()) {
	var until time.Time // zero while the end is not acknowledged
	yes := 0
	for giveUp := time.Now().Add(2 * patience); ; {
		select {
		case at := <-w.acknowledged:
			until = at.Add(promptly)
		default:
		}
		got, err := b.user(token)
		if err != nil {
			w.err = err
			return
		}
		w.asked++
		switch got.status {
		case http.StatusOK:
			w.accepted = got.began
			if yes++; yes == 2 {
				known()
			}
			time.Sleep(w.pause)
		case http.StatusUnauthorized:
			if yes < 2 {
				w.err = errors.New("got 401 before anything was done, want 200")
				return
			}
			time.Sleep(60 * time.Millisecond) // leave the machine to those who wait for their end
		case http.StatusServiceUnavailable:
			w.unavailable++
			time.Sleep(10 * time.Millisecond)
		default:
			w.err = fmt.Errorf("got %d %s from the other node, want 200 or 401", got.status, got.body)
			return
		}
		if !until.IsZero() && got.began.After(until) && got.status != http.StatusServiceUnavailable {
			return
		}
		if time.Now().After(giveUp) {
			w.err = errors.New("never heard that the session has ended")
			return
		}
	}
}
