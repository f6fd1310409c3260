//go:build linux

package nodetest_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestNodeThatCannotPollAnswersFromTheDatabase stops node b's look at the invalidations and nothing else. What it knows
// by heart is then worth nothing.
func TestNodeThatCannotPollAnswersFromTheDatabase(t *testing.T) {
	server := sharedServer(t)
	name := server.newDatabase(t)
	network := newProxy(t, server)
	url := server.url(name)
	a, b := startNode(t, "a", url), startNode(t, "b", network.url(name, "application_name=node-b"))
	operator := connect(t, url)

	guest := a.guest(t)
	fullname := func() string {
		return decode[struct{ Fullname string }](t, b.call(t, http.StatusOK, http.MethodGet, "/user", guest.PrivateToken, nil)).Fullname
	}
	rename := func(to string) { // behind the back of everybody: a change without an invalidation
		execSQL(t, operator, "UPDATE users SET fullname = $1 WHERE id = $2", to, guest.ID)
	}
	versions := 0
	fromMemory := func() bool {
		before := fullname()
		versions++
		rename(fmt.Sprint("version ", versions))
		return fullname() == before
	}
	eventually(t, "node b answers from memory", patience, fromMemory)

	network.freeze(func(application string) bool { return application == "node-b poll" })
	time.Sleep(promptly)
	for i := range 20 {
		rename(fmt.Sprint(i))
		if got := fullname(); got != fmt.Sprint(i) {
			t.Fatalf("got fullname %q without a look at the invalidations, want %d, as in the database", got, i)
		}
		time.Sleep(20 * time.Millisecond)
	}
	revokeMany(t, url, a.api, b.api, times(400, 40))

	network.thaw()
	took := eventually(t, "node b answers from memory again", patience, fromMemory)
	t.Logf("node b answered from memory again %v after it could poll", took.Round(time.Millisecond))
	revokeMany(t, url, a.api, b.api, times(100, 20))
}

// TestNodeWithoutDatabaseRefusesWithin250ms takes the database away from node b, which knows tokens by heart.
func TestNodeWithoutDatabaseRefusesWithin250ms(t *testing.T) {
	ways := []struct {
		name         string
		lose, regain func(*testing.T, *proxy)
	}{
		{
			"connections break and are refused",
			func(_ *testing.T, p *proxy) { p.breakDown() },
			func(t *testing.T, p *proxy) { p.repair(t) },
		},
		{
			"nothing comes through",
			func(_ *testing.T, p *proxy) { p.freeze(everything) },
			func(_ *testing.T, p *proxy) { p.thaw() },
		},
		{
			"nothing comes through, and then connections break",
			func(_ *testing.T, p *proxy) { p.freeze(everything) },
			func(t *testing.T, p *proxy) {
				p.breakDown()
				p.thaw()
				p.repair(t)
			},
		},
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			server := sharedServer(t)
			name := server.newDatabase(t)
			network := newProxy(t, server)
			b := startNode(t, "b", network.url(name))
			guests := b.guests(t, 16)

			var mu sync.Mutex
			var answers []answer
			end := make(chan struct{})
			var clients sync.WaitGroup
			for _, guest := range guests {
				clients.Go(func() {
					for {
						select {
						case <-end:
							return
						default:
						}
						got, err := b.user(guest.PrivateToken)
						if err != nil {
							t.Errorf("ask: %v", err)
							return
						}
						mu.Lock()
						answers = append(answers, got)
						mu.Unlock()
						if got.status != http.StatusOK {
							time.Sleep(10 * time.Millisecond)
						}
					}
				})
			}
			time.Sleep(300 * time.Millisecond)
			way.lose(t, network)
			lost := time.Now() // nothing that began later has reached the database
			time.Sleep(2500 * time.Millisecond)
			regained := time.Now()
			way.regain(t, network)
			took := eventually(t, "node b answers again", patience, func() bool {
				got, err := b.user(guests[0].PrivateToken)
				return err == nil && got.status == http.StatusOK
			})
			close(end)
			clients.Wait()

			counts := make(map[string]int)
			var last, slowest time.Duration
			for _, got := range answers {
				since := got.began.Sub(lost)
				switch ended := got.began.Add(got.took); {
				case since < 0 && got.status == http.StatusOK:
					counts["before"]++
				case got.status == http.StatusOK && ended.Before(regained):
					counts["from the cache"]++
					last = max(last, since)
				case got.status != http.StatusOK:
					counts["refused"]++
					slowest = max(slowest, got.took)
					if err := checkUnavailable(got); err != nil {
						t.Errorf("without a database: %v", err)
					}
					if ended.Before(lost) {
						t.Errorf("got %d before contact was lost, want 200", got.status)
					}
				}
			}
			if last > promptly {
				t.Errorf("got 200 for a request that began %v after contact was lost, want it at most %v after", last, promptly)
			}
			if slowest > slowestRefusal {
				t.Errorf("a request was refused after %v, want at most %v", slowest, slowestRefusal)
			}
			if counts["refused"] == 0 || counts["before"] == 0 || counts["from the cache"] == 0 {
				t.Errorf("got %v, want answers of each kind: the test shows nothing", counts)
			}
			if took > 5*time.Second {
				t.Errorf("node b answered again after %v, want at most 5 s", took)
			}
			t.Logf("%s; last 200 began %v after the loss, slowest refusal took %v, answered again after %v",
				strings.Trim(fmt.Sprint(counts), "map[]"), last.Round(time.Millisecond), slowest.Round(time.Millisecond), took.Round(time.Millisecond))
		})
	}
}
