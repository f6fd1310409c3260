//go:build linux

package nodetest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/ideaegg/latchkey"
)

// TestConnectionLostAtCOMMIT breaks the connection at the one moment at which nobody can know what has become of a
// change: before the database has heard COMMIT, or before its answer is heard. The client is told 503, never that all
// went well, and finds out by asking or by trying again.
func TestConnectionLostAtCOMMIT(t *testing.T) {
	server := sharedServer(t)
	name := server.newDatabase(t)
	network := newProxy(t, server)
	a, b := startNode(t, "a", network.url(name)), startNode(t, "b", server.url(name))
	direct := newStack(t, storeConfig(server.url(name)))

	c := &cutCalls{t: t, a: a.api, b: b.api, signUp: func(name string) string {
		t.Helper()
		token, err := direct.signUp(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}}
	calls := []struct {
		name string
		// prepare returns the call, and how it is found out afterwards whether it was done.
		prepare func(user string) (call call, check func(done bool))
	}{
		{"sign-up", c.signUpCall},
		{"guest", c.guestCall},
		{"upgrade of a guest", c.upgradeCall},
		{"sign-in", c.signInCall},
		{"sign-out", c.signOutCall},
		{"profile", c.profileCall},
		{"password", c.passwordCall},
		{"deletion", c.deletionCall},
	}
	fates := []struct {
		name string
		fate commitFate
		done bool
	}{
		{"before the database hears it", commitLost, false},
		{"before its answer is heard", commitUnanswered, true},
	}
	for i, tt := range calls {
		for j, f := range fates {
			t.Run(tt.name+", "+f.name, func(t *testing.T) {
				defer c.reportTo(t)()
				lost := 0
				request, check := tt.prepare(fmt.Sprintf("user-%d-%d", i, j))
				network.decideCommits(func(l *link) commitFate {
					if l.application != "latchkey" || strings.Contains(l.transaction, "audit_events") { // those are written every second
						return commitPasses
					}
					if lost++; lost > 1 {
						return commitPasses
					}
					return f.fate
				})
				got, err := a.do(request.method, request.path, request.token, request.body)
				network.decideCommits(nil)
				if err != nil {
					t.Fatal(err)
				}
				if lost != 1 {
					t.Fatalf("got %d COMMITs, want one: the test shows nothing", lost)
				}
				if err := checkUnavailable(got); err != nil {
					t.Fatal(err)
				}
				check(f.done)
				a.guest(t) // it goes on
			})
		}
	}
}

// call is a request.
type call struct {
	method, path, token string
	body                members
}

// cutCalls are the calls whose COMMIT is cut, on node a. Node b shares the database.
type cutCalls struct {
	t      *testing.T
	a, b   api
	signUp func(name string) (token string)
}

// reportTo has failures reported to a subtest until the function that it returns is called.
func (c *cutCalls) reportTo(t *testing.T) (end func()) {
	whole := c.t
	c.t = t
	return func() { c.t = whole }
}

func (c *cutCalls) want(status int, on api, r call) answer {
	c.t.Helper()
	return on.call(c.t, status, r.method, r.path, r.token, r.body)
}

// wantToken checks what a token is worth, on node b as soon as it may have heard of it.
func (c *cutCalls) wantToken(token string, alive bool) {
	c.t.Helper()
	status := http.StatusUnauthorized
	if alive {
		status = http.StatusOK
	}
	c.want(status, c.a, call{http.MethodGet, "/user", token, nil})
	eventually(c.t, "node b knows what the token is worth", patience, func() bool {
		got, err := c.b.user(token)
		return err == nil && got.status == status
	})
}

func (c *cutCalls) wantSignIn(status int, name, password string) answer {
	c.t.Helper()
	return c.want(status, c.b, call{http.MethodPost, "/sign_in", "", members{"login": name, "password": password}})
}

func (c *cutCalls) signUpCall(name string) (call, func(bool)) {
	request := call{http.MethodPost, "/sign_up", "", newUser(name)}
	return request, func(done bool) {
		if !done {
			c.want(http.StatusOK, c.a, request)
		} else {
			c.wantTaken(c.want(http.StatusUnprocessableEntity, c.a, request))
		}
		c.wantSignIn(http.StatusOK, name, request.body["password"])
	}
}

// wantTaken checks that a repeated sign-up is told that name and address are taken.
func (c *cutCalls) wantTaken(a answer) {
	c.t.Helper()
	problem := decode[latchkey.Problem](c.t, a)
	for _, e := range problem.Errors {
		if e.Code != latchkey.FieldTaken {
			c.t.Errorf("got %s %s, want it taken", e.Field, e.Code)
		}
	}
	if len(problem.Errors) != 2 {
		c.t.Errorf("got %d faults, want two: username and email", len(problem.Errors))
	}
}

func (c *cutCalls) guestCall(string) (call, func(bool)) {
	request := call{http.MethodPost, "/sign_up_temporarily", "", nil}
	return request, func(bool) { c.want(http.StatusOK, c.a, request) }
}

func (c *cutCalls) upgradeCall(name string) (call, func(bool)) {
	guest := c.a.guest(c.t)
	request := call{http.MethodPost, "/sign_up", guest.PrivateToken, newUser(name)}
	return request, func(done bool) {
		c.wantToken(guest.PrivateToken, !done)
		if !done {
			c.want(http.StatusOK, c.a, request)
		}
		user := decode[latchkey.SignedIn](c.t, c.wantSignIn(http.StatusOK, name, request.body["password"]))
		if user.ID != guest.ID {
			c.t.Errorf("got user %d, want the guest's id %d", user.ID, guest.ID)
		}
	}
}

func (c *cutCalls) signInCall(name string) (call, func(bool)) {
	token := c.signUp(name)
	request := call{http.MethodPost, "/sign_in", "", members{"login": name, "password": newUser(name)["password"]}}
	return request, func(done bool) {
		c.wantToken(token, true)
		sessions := decode[[]latchkey.Session](c.t, c.want(http.StatusOK, c.a, call{http.MethodGet, "/user/sessions", token, nil}))
		if want := map[bool]int{false: 1, true: 2}[done]; len(sessions) != want {
			c.t.Errorf("got %d sessions, want %d", len(sessions), want)
		}
		c.want(http.StatusOK, c.a, request)
	}
}

func (c *cutCalls) signOutCall(string) (call, func(bool)) {
	guest := c.a.guest(c.t)
	c.wantToken(guest.PrivateToken, true) // both nodes know it by heart now
	request := call{http.MethodPost, "/sign_out", guest.PrivateToken, nil}
	return request, func(done bool) {
		c.wantToken(guest.PrivateToken, !done)
		if !done {
			c.want(http.StatusNoContent, c.a, request)
			c.wantToken(guest.PrivateToken, false)
		}
	}
}

func (c *cutCalls) profileCall(string) (call, func(bool)) {
	guest := c.a.guest(c.t)
	c.wantToken(guest.PrivateToken, true)
	request := call{http.MethodPut, "/user", guest.PrivateToken, members{"fullname": "Another Name"}}
	return request, func(done bool) {
		want := guest.Fullname
		if done {
			want = "Another Name"
		}
		user := decode[latchkey.User](c.t, c.want(http.StatusOK, c.a, call{http.MethodGet, "/user", guest.PrivateToken, nil}))
		if user.Fullname != want {
			c.t.Errorf("got fullname %q, want %q", user.Fullname, want)
		}
		c.want(http.StatusOK, c.a, request)
	}
}

func (c *cutCalls) passwordCall(name string) (call, func(bool)) {
	token := c.signUp(name)
	c.wantToken(token, true)
	before, after := newUser(name)["password"], "another password"
	request := call{http.MethodPut, "/user/password", token, members{
		"current_password": before, "password": after, "password_confirmation": after,
	}}
	return request, func(done bool) {
		c.wantToken(token, !done)
		if !done {
			c.want(http.StatusOK, c.a, request)
			c.wantToken(token, false)
		}
		c.wantSignIn(http.StatusUnauthorized, name, before)
		c.wantSignIn(http.StatusOK, name, after)
	}
}

func (c *cutCalls) deletionCall(string) (call, func(bool)) {
	guest := c.a.guest(c.t)
	c.wantToken(guest.PrivateToken, true)
	request := call{http.MethodDelete, "/user", guest.PrivateToken, nil}
	return request, func(done bool) {
		c.wantToken(guest.PrivateToken, !done)
		if !done {
			c.want(http.StatusNoContent, c.a, request)
			c.wantToken(guest.PrivateToken, false)
		}
	}
}
