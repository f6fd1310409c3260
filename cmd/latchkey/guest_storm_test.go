package main_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

// TestAcknowledgedUpgradesSurviveSIGKILL has workers upgrade many guests, some of whom want the same name, the same openid
// or to be two users at once, and kills the program in between and at the end. Whatever was answered holds: users keep the
// guests' ids and their new tokens, tokens of upgraded guests are dead, and whoever lost is still a guest.
func TestAcknowledgedUpgradesSurviveSIGKILL(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		serve := func() *program { return develop(t, cfg, "--rate-limits=off", "--log-level=warn") }
		p := serve()
		s := newGuestStorm(t, p)
		s.run(t, p, len(s.upgrades)*2/3)
		p = serve()
		s.check(t, p.api)
		s.run(t, p, len(s.upgrades))
		p.kill()
		p = serve()
		s.check(t, p.api)
		s.checkWinners(t, p.api)
	})
}

const (
	stormGuests  = 1000
	stormWorkers = 8
)

// guestStorm is what happens to many guests, and what was answered.
type guestStorm struct {
	guests   []latchkey.SignedIn
	upgrades []*guestUpgrade
	next     atomic.Int64 // upgrade that is asked for
}

// guestUpgrade is one request to upgrade a guest. Several may be about the same guest.
type guestUpgrade struct {
	guest   int
	path    string
	body    members
	contest string // upgrades of one contest are for the same thing, which one may get; "": nobody else wants it

	asked    bool
	status   int // 0: there was no answer
	signedIn latchkey.SignedIn
}

// newGuestStorm signs the guests up.
func newGuestStorm(t *testing.T, p *program) *guestStorm {
	t.Helper()
	s := &guestStorm{guests: make([]latchkey.SignedIn, stormGuests)}
	atOnce(stormWorkers, func(worker int) {
		for i := worker; i < stormGuests; i += stormWorkers {
			got, err := p.do(http.MethodPost, "/sign_up_temporarily", nil)
			if err == nil {
				s.guests[i], err = parse[latchkey.SignedIn](got)
			}
			if err != nil || got.status != http.StatusOK {
				t.Errorf("sign a guest up: got %d (%v), want 200", got.status, err)
			}
		}
	})
	for i := range s.guests {
		name, uid := fmt.Sprintf("storm-%d", i), fmt.Sprintf("uid-%d", i)
		u := &guestUpgrade{guest: i, path: "/sign_in_with/wechat"}
		switch group := fmt.Sprintf("shared-%d", i/10); i % 10 {
		case 0, 1, 2: // who want one name
			u.contest, name = group, group
		case 3, 4: // who have one openid
			u.contest, uid = group+" uid", group
		case 5: // who wants to be two users
			u.contest = name
			s.upgrades = append(s.upgrades, &guestUpgrade{
				guest: i, path: u.path, body: members{"uid": uid + "-2", "username": name + "-2"}, contest: u.contest,
			})
		}
		if u.body = (members{"uid": uid, "username": name}); i%100 == 2 || i%100 == 9 { // by a password, which is slow
			u.path, u.body = "/sign_up", newUser(name)
		}
		s.upgrades = append(s.upgrades, u)
	}
	return s
}

// run has workers ask for the upgrades, and kills the program after so many in all.
func (s *guestStorm) run(t *testing.T, p *program, until int) {
	t.Helper()
	atOnce(stormWorkers, func(int) {
		for {
			i := int(s.next.Add(1)) - 1
			if i >= len(s.upgrades) {
				return
			}
			u := s.upgrades[i]
			token := s.guests[u.guest].PrivateToken
			u.asked = true
			got, err := u.ask(p.api, token)
			if err != nil {
				return // killed
			}
			if u.status = got.status; got.status == http.StatusServiceUnavailable {
				u.status = 0 // the machine is busy: it may have been done or not
			}
			if got.status == http.StatusOK {
				if u.signedIn, err = parse[latchkey.SignedIn](got); err != nil {
					t.Error(err)
				}
				if old, err := p.do(http.MethodGet, "/user", nil, bearer(token)); err == nil && old.status != http.StatusUnauthorized {
					t.Errorf("got %d for the token of a guest who has just been upgraded, want 401", old.status)
				}
			}
			if i == until-1 && until < len(s.upgrades) {
				p.kill()
			}
		}
	})
}

// ask asks until there is a processor free for the password.
func (u *guestUpgrade) ask(a api, token string) (answer, error) {
	for {
		got, err := a.do(http.MethodPost, u.path, u.body, bearer(token))
		if err != nil || got.status != http.StatusServiceUnavailable {
			return got, err
		}
		if problem, err := parse[latchkey.Problem](got); err != nil || problem.Code != latchkey.CodeOverloaded {
			return got, err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// check asks for every guest whom something was answered about.
func (s *guestStorm) check(t *testing.T, a api) {
	t.Helper()
	about := make([][]*guestUpgrade, len(s.guests))
	for _, u := range s.upgrades {
		about[u.guest] = append(about[u.guest], u)
	}
	atOnce(stormWorkers, func(worker int) {
		for i := worker; i < len(s.guests); i += stormWorkers {
			s.checkGuest(t, a, s.guests[i], about[i])
		}
	})
}

func (s *guestStorm) checkGuest(t *testing.T, a api, guest latchkey.SignedIn, about []*guestUpgrade) {
	t.Helper()
	var winner *guestUpgrade
	unknown := false
	for _, u := range about {
		switch {
		case u.asked && u.status == 0:
			unknown = true
		case u.status == http.StatusOK && winner != nil:
			t.Errorf("guest %d was upgraded twice", guest.ID)
		case u.status == http.StatusOK:
			winner = u
		}
	}
	got, err := a.do(http.MethodGet, "/user", nil, bearer(guest.PrivateToken))
	if err != nil {
		t.Error(err)
		return
	}
	switch {
	case winner != nil:
		if got.status != http.StatusUnauthorized {
			t.Errorf("got %d for the token of guest %d, who was upgraded, want 401", got.status, guest.ID)
		}
		if winner.signedIn.ID != guest.ID || winner.signedIn.Username != winner.body["username"] {
			t.Errorf("guest %d became %d (%s), want %s", guest.ID, winner.signedIn.ID, winner.signedIn.Username, winner.body["username"])
		}
		wantSession(t, a, winner.signedIn)
	case !unknown || got.status != http.StatusUnauthorized: // nobody knows of an upgrade that was not answered
		wantSession(t, a, guest)
		if user, err := parse[latchkey.User](got); err != nil || !user.Guest {
			t.Errorf("got %s (%v) for guest %d, who lost, want a guest still", got.body, err, guest.ID)
		}
	}
}

// checkWinners looks at what several wanted: one of them has it, unless the answer was lost.
func (s *guestStorm) checkWinners(t *testing.T, a api) {
	t.Helper()
	won, lost := make(map[string]int), make(map[string]bool)
	count := make(map[int]int)
	password := false
	for _, u := range s.upgrades {
		count[u.status]++
		switch u.status {
		case http.StatusOK:
			won[u.contest]++
			if u.path == "/sign_up" && !password {
				password = true
				a.signedIn(t, "/sign_in", members{"login": u.body["email"], "password": u.body["password"]})
			}
		case 0:
			lost[u.contest] = true
		case http.StatusUnprocessableEntity, http.StatusConflict, http.StatusUnauthorized:
			if u.contest == "" {
				t.Errorf("got %d for %v, which nobody else wants, want 200", u.status, u.body)
			}
		default:
			t.Errorf("got %d for %v", u.status, u.body)
		}
	}
	for _, u := range s.upgrades {
		if n := won[u.contest]; u.contest != "" && n != 1 && (n > 1 || !lost[u.contest]) {
			t.Errorf("got %d winners of %s, want 1", n, u.contest)
		}
	}
	for _, status := range []int{http.StatusOK, http.StatusUnprocessableEntity, http.StatusConflict, http.StatusUnauthorized} {
		if count[status] == 0 {
			t.Errorf("got no answer %d: the test shows nothing of it", status)
		}
	}
	if !password {
		t.Error("got nobody who signed up with a password: the test shows nothing of it")
	}
	t.Logf("answers by status (0: lost with the program): %v", count)
}

// atOnce runs so many workers to their ends.
func atOnce(workers int, work func(worker int)) {
	var running sync.WaitGroup
	for worker := range workers {
		running.Go(func() { work(worker) })
	}
	running.Wait()
}
