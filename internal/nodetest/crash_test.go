//go:build linux

package nodetest_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"
)

// TestNodesOutliveACrashOfTheDatabase kills PostgreSQL again and again while people sign up on two nodes.
func TestNodesOutliveACrashOfTheDatabase(t *testing.T) {
	const soon = 5 * time.Second // in which the nodes must serve again
	server := ownServer(t)
	url := server.url(server.newDatabase(t))
	a, b := startNode(t, "a", url), startNode(t, "b", url)

	var all []accepted
	var recoveries []time.Duration
	refused := 0
	slowest := time.Duration(0)
	for round := range times(10, 2) {
		s := newStorm(t, fmt.Sprintf("round-%d", round), 4, a, b)
		time.Sleep(time.Duration(200+rand.IntN(400)) * time.Millisecond)
		server.kill()
		dead := time.Now()
		time.Sleep(time.Duration(300+rand.IntN(500)) * time.Millisecond)
		restarted := time.Now()
		if err := server.start(); err != nil {
			t.Fatal(err)
		}
		took := s.servesAfter(time.Now())
		time.Sleep(100 * time.Millisecond)
		list := s.end()

		wantNoneBetween(t, list, dead, restarted)
		wantKept(t, url, list, a, b)
		if took > soon {
			t.Errorf("round %d: the nodes served again after %v, want at most %v", round, took, soon)
		}
		if s.refused == 0 || len(list) == 0 {
			t.Errorf("round %d: got %d accepted and %d refused, want some of each: the test shows nothing", round, len(list), s.refused)
		}
		all = append(all, list...)
		recoveries = append(recoveries, took)
		refused += s.refused
		slowest = max(slowest, s.slowest)
	}
	wantKept(t, url, all, a, b) // what one crash left may be lost with the next
	for _, who := range all {
		if who.password != "" { // one is enough: the hash is in the row with the rest
			a.call(t, http.StatusOK, http.MethodPost, "/sign_in", "", members{"login": who.Email, "password": who.password})
			break
		}
	}
	t.Logf("%d accepted and none lost, %d refused; served again after p50 %v, at most %v; slowest refusal %v", len(all), refused,
		percentile(recoveries, 50).Round(time.Millisecond), percentile(recoveries, 100).Round(time.Millisecond), slowest.Round(time.Millisecond))
}
