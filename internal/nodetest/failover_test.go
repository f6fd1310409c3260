//go:build linux

package nodetest_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// TestNodesFollowAFailover loses the primary again and again while people sign up on two nodes that know both servers.
// The standby is synchronous: what was acknowledged is on both. Node b is not told that it needs the one that can be
// written to, and looks at the other one first.
func TestNodesFollowAFailover(t *testing.T) {
	const soon = 10 * time.Second // in which the nodes must serve again
	primary := ownServer(t)
	name := primary.newDatabase(t)
	standby := primary.newStandby(t, freePort())
	requireStandby(t, primary)
	a := startNode(t, "a", postgresURL(name, []string{"target_session_attrs=read-write"}, primary.port, standby.port))
	b := startNode(t, "b", postgresURL(name, nil, standby.port, primary.port))
	b.guest(t)

	var all []accepted
	var recoveries []time.Duration
	slowest := time.Duration(0)
	rounds := times(5, 1)
	for round := range rounds {
		s := newStorm(t, fmt.Sprintf("round-%d", round), 4, a, b)
		time.Sleep(time.Duration(200+rand.IntN(300)) * time.Millisecond)
		primary.kill()
		dead := time.Now()
		time.Sleep(time.Duration(100+rand.IntN(300)) * time.Millisecond)
		deciding := time.Now()
		standby.promote(t)
		took := s.servesAfter(time.Now())
		time.Sleep(100 * time.Millisecond)
		list := s.end()

		wantNoneBetween(t, list, dead, deciding)
		wantKept(t, standby.url(name), list, a, b)
		if took > soon {
			t.Errorf("round %d: the nodes served again after %v, want at most %v", round, took, soon)
		}
		if s.refused == 0 || len(list) == 0 {
			t.Errorf("round %d: got %d accepted and %d refused, want some of each: the test shows nothing", round, len(list), s.refused)
		}
		all = append(all, list...)
		recoveries = append(recoveries, took)
		slowest = max(slowest, s.slowest)
		if round+1 < rounds {
			primary, standby = standby, standby.newStandby(t, primary.port)
			requireStandby(t, primary)
		} else {
			primary = standby
		}
	}
	wantKept(t, primary.url(name), all, a, b)
	t.Logf("%d accepted and none lost; served again after p50 %v, at most %v; slowest refusal %v", len(all),
		percentile(recoveries, 50).Round(time.Millisecond), percentile(recoveries, 100).Round(time.Millisecond), slowest.Round(time.Millisecond))
}

// requireStandby has the primary acknowledge nothing from here on that its standby has not written down.
func requireStandby(t *testing.T, primary *server) {
	t.Helper()
	conn := connect(t, primary.url("postgres"))
	defer conn.Close(withTimeout(t))
	execSQL(t, conn, "ALTER SYSTEM SET synchronous_standby_names = '*'")
	execSQL(t, conn, "SELECT pg_reload_conf()")
	eventually(t, "the standby is synchronous", patience, func() bool {
		return len(query[int](t, conn, "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'")) == 1
	})
}

// TestNodesFollowAFailoverFromAPrimaryThatHangs is about a primary that says nothing any more instead of going away: its
// disk hangs, or its machine has lost power, and nobody tells the nodes that their connections are dead.
func TestNodesFollowAFailoverFromAPrimaryThatHangs(t *testing.T) {
	const soon = 10 * time.Second
	primary := ownServer(t)
	name := primary.newDatabase(t)
	standby := primary.newStandby(t, freePort())
	requireStandby(t, primary)
	url := postgresURL(name, []string{"target_session_attrs=read-write"}, primary.port, standby.port)
	a, b := startNode(t, "a", url), startNode(t, "b", url)

	s := newStorm(t, "user", 24, a, b) // more than there are connections
	time.Sleep(time.Second)
	primary.freeze()
	time.Sleep(time.Second)
	standby.promote(t)
	took := s.servesAfter(time.Now())
	time.Sleep(100 * time.Millisecond)
	list := s.end()
	primary.kill()
	wantKept(t, standby.url(name), list, a, b)
	if took > soon {
		t.Errorf("the nodes served again after %v, want at most %v", took, soon)
	}
	t.Logf("%d accepted and none lost, %d refused, the slowest after %v; served again after %v",
		len(list), s.refused, s.slowest.Round(time.Millisecond), took.Round(time.Millisecond))
}
