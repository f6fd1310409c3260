//go:build linux

package nodetest_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ideaegg/latchkey"
)

// slowestRefusal is two seconds, and some noise of a busy machine.
const slowestRefusal = 2500 * time.Millisecond

// serves is when a node first did what it was asked after a time.
type serves struct {
	after atomic.Pointer[time.Time]
	at    atomic.Pointer[time.Time]
}

// storm is a crowd that signs up on nodes, whatever happens to their database, and keeps a ledger of what was
// acknowledged to it.
type storm struct {
	t       *testing.T
	nodes   []*node
	stop    chan struct{}
	clients sync.WaitGroup
	served  []serves // of each node

	mu       sync.Mutex
	accepted []accepted
	refused  int
	late     int           // refusals that took longer than slowestRefusal
	slowest  time.Duration // refusal of somebody who does not need a hash
}

// accepted is a sign-up that was answered with 200.
type accepted struct {
	latchkey.SignedIn
	began, ended time.Time
	password     string // "" for a guest
}

// newStorm begins: for each node some guests, and one user with a password. Names begin with the prefix.
func newStorm(t *testing.T, prefix string, guests int, nodes ...*node) *storm {
	t.Helper()
	s := &storm{t: t, nodes: nodes, stop: make(chan struct{}), served: make([]serves, len(nodes))}
	for i, n := range nodes {
		for range guests {
			s.clients.Go(func() {
				for s.goesOn() {
					s.signUp(i, n, "/sign_up_temporarily", nil)
				}
			})
		}
		s.clients.Go(func() {
			for k := 0; s.goesOn(); k++ {
				s.signUp(i, n, "/sign_up", newUser(fmt.Sprintf("%s-%s-%d", prefix, n.name, k)))
			}
		})
	}
	return s
}

func (s *storm) goesOn() bool {
	select {
	case <-s.stop:
		return false
	default:
		return true
	}
}

func (s *storm) signUp(i int, n *node, path string, body members) {
	got, err := n.do(http.MethodPost, path, "", body)
	if err != nil {
		s.t.Errorf("%s on node %s: %v", path, n.name, err)
		time.Sleep(time.Second)
		return
	}
	if got.status != http.StatusOK {
		err := checkUnavailable(got)
		if problem, _ := parse[latchkey.Problem](got); err != nil && (body == nil || problem.Code != latchkey.CodeOverloaded) {
			s.t.Errorf("%s on node %s: %v", path, n.name, err)
		}
		s.mu.Lock()
		s.refused++
		if body == nil {
			s.slowest = max(s.slowest, got.took)
			if got.took > slowestRefusal {
				s.late++
			}
		}
		s.mu.Unlock()
		time.Sleep(20 * time.Millisecond)
		return
	}
	signedIn, err := parse[latchkey.SignedIn](got)
	if err != nil {
		s.t.Errorf("%s on node %s: %v", path, n.name, err)
		return
	}
	ended := got.began.Add(got.took)
	if after := s.served[i].after.Load(); after != nil && got.began.After(*after) {
		s.served[i].at.CompareAndSwap(nil, &ended)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepted = append(s.accepted, accepted{signedIn, got.began, ended, body["password"]})
}

// servesAfter waits until each node has accepted somebody who asked after the given time, and returns how long that took.
func (s *storm) servesAfter(at time.Time) (took time.Duration) {
	s.t.Helper()
	for i := range s.served {
		s.served[i].at.Store(nil)
		s.served[i].after.Store(&at)
	}
	for i := range s.served {
		eventually(s.t, "node "+s.nodes[i].name+" serves again", 2*patience, func() bool { return s.served[i].at.Load() != nil })
		took = max(took, s.served[i].at.Load().Sub(at))
	}
	return took
}

// end ends the storm, checks how refusals were told, and returns what was accepted.
func (s *storm) end() []accepted {
	s.t.Helper()
	close(s.stop)
	s.clients.Wait()
	if s.late > s.refused/100 { // a busy machine holds a few back
		s.t.Errorf("%d of %d refusals came after more than %v, the slowest after %v", s.late, s.refused, slowestRefusal, s.slowest)
	}
	return s.accepted
}

// wantNoneBetween checks that nobody was accepted who asked after from and was answered before to.
func wantNoneBetween(t *testing.T, list []accepted, from, to time.Time) {
	t.Helper()
	for _, a := range list {
		if a.began.After(from) && a.ended.Before(to) {
			t.Errorf("user %d was accepted %v after the database was gone", a.ID, a.ended.Sub(from))
		}
	}
}

// wantKept checks that everybody who was accepted is in the database with their session, once, and asks the nodes about
// the last of them.
func wantKept(t *testing.T, url string, list []accepted, nodes ...*node) {
	t.Helper()
	db := connect(t, url)
	names := make(map[int64]string)
	for _, row := range query[string](t, db, "SELECT id || ' ' || username FROM users") {
		var id int64
		var name string
		if _, err := fmt.Sscan(row, &id, &name); err != nil {
			t.Fatal(err)
		}
		names[id] = name
	}
	sessions := make(map[string]bool)
	for _, hash := range query[string](t, db, "SELECT encode(token_hash, 'hex') FROM sessions") {
		sessions[hash] = true
	}
	seen := make(map[int64]bool)
	for _, a := range list {
		hash := sha256.Sum256([]byte(a.PrivateToken))
		switch {
		case seen[a.ID]:
			t.Errorf("two users were given id %d", a.ID)
		case names[a.ID] != a.Username:
			t.Errorf("user %d (%s) was accepted and is lost: got %q", a.ID, a.Username, names[a.ID])
		case !sessions[hex.EncodeToString(hash[:])]:
			t.Errorf("the session of user %d was accepted and is lost", a.ID)
		}
		seen[a.ID] = true
	}
	for _, n := range nodes {
		for _, a := range list[max(0, len(list)-20):] {
			got := n.call(t, http.StatusOK, http.MethodGet, "/user", a.PrivateToken, nil)
			if user := decode[latchkey.User](t, got); user.ID != a.ID {
				t.Errorf("got user %d for a token on node %s, want %d", user.ID, n.name, a.ID)
			}
		}
	}
}
