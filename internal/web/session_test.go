package web_test

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/apitest"
	"github.com/ideaegg/latchkey/internal/dbtest"
)

// sessionsOf lists the sessions of the token's user.
func sessionsOf(t *testing.T, s *apitest.Server, token string) []map[string]any {
	t.Helper()
	a := s.For(t).Get("/user/sessions", apitest.Bearing(token))
	want(t, a, http.StatusOK)
	return a.List
}

// currentSession is the id of the token's own session.
func currentSession(t *testing.T, s *apitest.Server, token string) string {
	t.Helper()
	for _, session := range sessionsOf(t, s, token) {
		if session["current"] == true {
			return session["id"].(json.Number).String()
		}
	}
	t.Fatal("got no current session")
	return ""
}

func TestListSessions(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		first := signUp(t, s, "john_smith", "User-Agent: IdeaEgg/2.1 (iPhone; iOS 8.4)").Token()
		s.Clock.Advance(time.Hour)
		second := signIn(t, s, "john_smith", "User-Agent: 微信/8.0")
		s.Clock.Advance(time.Hour)
		third := signIn(t, s, "john_smith", "User-Agent: "+strings.Repeat("x", 600))
		signUp(t, s, "somebody_else")

		a := s.Get("/user/sessions", apitest.Bearing(second))
		want(t, a, http.StatusOK)
		var raw []json.RawMessage
		if err := json.Unmarshal(a.Body, &raw); err != nil {
			t.Fatal(err)
		}
		for _, session := range raw {
			if diff := gocmp.Diff(sessionMembers, apitest.MemberNames(session)); diff != "" {
				t.Errorf("members (-want +got):\n%s", diff)
			}
		}
		for _, token := range []string{first, second, third} {
			if strings.Contains(string(a.Body), token) {
				t.Error("the list has a token")
			}
		}
		for i := range a.List {
			id, err := a.List[i]["id"].(json.Number).Int64()
			if err != nil || id < 1 || id >= 1<<53 {
				t.Errorf("got id %v, want one below 2^53", a.List[i]["id"])
			}
			delete(a.List[i], "id")
		}
		if diff := gocmp.Diff([]map[string]any{
			{
				"created_at": "2026-06-06T16:20:57.024Z", "last_used_at": "2026-06-06T16:20:57.024Z", "expires_at": "2026-09-04T16:20:57.024Z",
				"ip": "127.0.0.1", "user_agent": strings.Repeat("x", 512), "current": false,
			},
			{
				"created_at": "2026-06-06T15:20:57.024Z", "last_used_at": "2026-06-06T15:20:57.024Z", "expires_at": "2026-09-04T15:20:57.024Z",
				"ip": "127.0.0.1", "user_agent": "微信/8.0", "current": true,
			},
			{
				"created_at": "2026-06-06T14:20:57.024Z", "last_used_at": "2026-06-06T14:20:57.024Z", "expires_at": "2026-09-04T14:20:57.024Z",
				"ip": "127.0.0.1", "user_agent": "IdeaEgg/2.1 (iPhone; iOS 8.4)", "current": false,
			},
		}, a.List); diff != "" {
			t.Errorf("sessions, newest first (-want +got):\n%s", diff)
		}

		t.Run("use moves last use and expiry on", func(t *testing.T) {
			s.Settle()
			session := sessionsOf(t, s, third)[1]
			if session["last_used_at"] != "2026-06-06T16:20:57.024Z" || session["expires_at"] != "2026-09-04T16:20:57.024Z" {
				t.Errorf("got %v, want the time of the request before", session)
			}
		})
	})
}

func TestRevokedSessionIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		current := signUp(t, s, "john_smith").Token()
		revoke := func(t *testing.T, id string, token string) apitest.Answer {
			t.Helper()
			return s.For(t).Delete("/user/sessions/"+id, nil, apitest.Bearing(token))
		}

		t.Run("by its id", func(t *testing.T) {
			other := signIn(t, s, "john_smith")
			s.For(t).Remember(other)
			id := currentSession(t, s, other)
			want(t, revoke(t, id, current), http.StatusNoContent)
			wantDead(t, s, other)
			wantAlive(t, s, current)
			wantProblem(t, revoke(t, id, current), http.StatusNotFound, latchkey.CodeNotFound, "id invalid")
		})
		t.Run("with all others", func(t *testing.T) {
			s := s.For(t)
			others := []string{signIn(t, s, "john_smith"), signIn(t, s, "john_smith"), signIn(t, s, "john_smith")}
			for _, token := range others {
				s.Remember(token)
			}
			want(t, s.Delete("/user/sessions", nil, apitest.Bearing(current)), http.StatusNoContent)
			for _, token := range others {
				wantDead(t, s, token)
			}
			wantAlive(t, s, current)
			want(t, s.Delete("/user/sessions", `{}`, apitest.Bearing(current)), http.StatusNoContent)
			if got := len(sessionsOf(t, s, current)); got != 1 {
				t.Errorf("got %d sessions, want 1", got)
			}
		})
		t.Run("by signing out", func(t *testing.T) {
			s := s.For(t)
			other := signIn(t, s, "john_smith")
			s.Remember(other)
			want(t, s.Post("/sign_out", nil, "Authorization: Bearer "+other), http.StatusNoContent)
			wantDead(t, s, other)
			wantUnauthorized(t, s.Post("/sign_out", nil, apitest.Bearing(other)))
			wantAlive(t, s, current)
		})
		t.Run("by its own token", func(t *testing.T) {
			other := signIn(t, s, "john_smith")
			want(t, revoke(t, currentSession(t, s, other), other), http.StatusNoContent)
			wantDead(t, s, other)
		})
		t.Run("while it is used all the time", func(t *testing.T) {
			s := s.For(t)
			for range 5 {
				other := signIn(t, s, "john_smith")
				revoked := make(chan struct{})
				answers := atOnce(4, func(i int) apitest.Answer {
					if i == 0 {
						defer close(revoked)
						return s.Post("/sign_out", nil, apitest.Bearing(other))
					}
					for {
						select {
						case <-revoked:
							return s.Get("/user", apitest.Bearing(other)) // begins after the acknowledgement
						default:
							_ = s.Get("/user", apitest.Bearing(other))
						}
					}
				})
				want(t, answers[0], http.StatusNoContent)
				for _, a := range answers[1:] {
					wantUnauthorized(t, a)
				}
			}
		})
	})
}

func TestSomebodyElsesSessionIsNotFound(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		john, mary := signUp(t, s, "john_smith").Token(), signUp(t, s, "mary_smith").Token()
		foreign := currentSession(t, s, mary)
		for _, id := range []string{
			foreign, "0", "1", "-1", "+1", "abc", "1e3", "0x10", "9007199254740991", "9007199254740992", "9223372036854775807", "9223372036854775808",
			strings.Repeat("9", 100), "%00", "1%20", "%D9%A1", foreign + "0", "1;DROP%20TABLE%20sessions",
		} {
			a := s.Delete("/user/sessions/"+id, nil, apitest.Bearing(john))
			wantProblem(t, a, http.StatusNotFound, latchkey.CodeNotFound, "id invalid")
		}
		for _, path := range []string{"/user/sessions/", "/user/sessions/" + foreign + "/", "/user/sessions/" + foreign + "/x", "/user/sessions/a%2Fb"} {
			wantProblem(t, s.Delete(path, nil, apitest.Bearing(john)), http.StatusNotFound, latchkey.CodeNotFound, "path invalid")
		}
		wantAlive(t, s, mary)
		want(t, s.Delete("/user/sessions", nil, apitest.Bearing(john)), http.StatusNoContent)
		wantAlive(t, s, mary)
	})
}

func TestSessionsEndWhenUnused(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		used, idle := signUp(t, s, "john_smith").Token(), signIn(t, s, "john_smith")
		s.Remember(idle)
		s.Clock.Advance(89 * day)
		wantAlive(t, s, used)
		s.Settle()
		if got := sessionsOf(t, s, used)[1]["expires_at"]; got != "2026-12-02T14:20:57.024Z" {
			t.Errorf("got expiry %v, want 90 days after the last use", got)
		}
		s.Clock.Advance(day - time.Second)
		if got := len(sessionsOf(t, s, used)); got != 2 {
			t.Errorf("got %d sessions, want 2", got)
		}
		s.Clock.Advance(time.Second)
		wantDead(t, s, idle)
		if got := len(sessionsOf(t, s, used)); got != 1 {
			t.Errorf("got %d sessions, want the expired one to be gone", got)
		}
		s.CleanUp()
		wantDead(t, s, idle)

		s.Clock.Advance(90*day - time.Minute)
		wantAlive(t, s, used)
		s.Settle()
		s.Clock.Advance(90 * day)
		wantDead(t, s, used)
		s.CleanUp()
		wantDead(t, s, used)
		signIn(t, s, "john_smith")
	})
}

func TestSessionsEndAtTheirMaximumAge(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{SessionIdle: 10 * day, SessionMaxAge: 25 * day}, func(t *testing.T, s *apitest.Server) {
		token := signUp(t, s, "john_smith").Token()
		for range 3 {
			s.Clock.Advance(8 * day)
			wantAlive(t, s, token)
			s.Settle()
		}
		if got := sessionsOf(t, s, token)[0]["expires_at"]; got != "2026-07-01T14:20:57.024Z" {
			t.Errorf("got expiry %v, want 25 days after the sign-in", got)
		}
		s.Clock.Advance(day)
		wantDead(t, s, token)
	})
}

func TestOldestOfAHundredSessionsMakesRoom(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		tokens := []string{signUp(t, s, "john_smith").Token()}
		for len(tokens) < 101 {
			tokens = append(tokens, signIn(t, s, "john_smith"))
		}
		wantDead(t, s, tokens[0])
		wantAlive(t, s, tokens[1])
		list := sessionsOf(t, s, tokens[100])
		if len(list) != 100 {
			t.Fatalf("got %d sessions, want 100", len(list))
		}
		ids := make([]int64, len(list))
		for i, session := range list {
			id, err := strconv.ParseInt(session["id"].(json.Number).String(), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			ids[i] = id
		}
		if !slices.IsSortedFunc(ids, func(a, b int64) int { return cmp.Compare(b, a) }) {
			t.Errorf("got %v, want the newest first", ids)
		}
	})
}

// Nodes that share a database agree within 250 ms about which sessions have ended.
func TestSessionRevokedOnOneNodeEndsOnTheOther(t *testing.T) {
	t.Parallel()
	db, clock := dbtest.Postgres(t), apitest.NewRunningClock()
	one := apitest.Start(t, db, apitest.Options{Clock: clock})
	two := apitest.Start(t, db, apitest.Options{Clock: clock})
	current := signUp(t, one, "john_smith").Token()
	for name, end := range map[string]func(token string) apitest.Answer{
		"by signing out": func(token string) apitest.Answer { return one.Post("/sign_out", nil, apitest.Bearing(token)) },
		"with all others": func(string) apitest.Answer {
			return one.Delete("/user/sessions", nil, apitest.Bearing(current))
		},
		"by its id": func(token string) apitest.Answer {
			return one.Delete("/user/sessions/"+currentSession(t, one, token), nil, apitest.Bearing(current))
		},
	} {
		t.Run(name, func(t *testing.T) {
			token := signIn(t, one, "john_smith")
			two.For(t).Remember(token)
			want(t, end(token), http.StatusNoContent)
			time.Sleep(250 * time.Millisecond)
			wantDead(t, two, token)
			wantAlive(t, two, current)
		})
	}
}

// What is remembered of a session does not outlive it.
func TestExpiredSessionIsRefusedFromMemoryToo(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{SessionIdle: 2 * time.Minute}, func(t *testing.T, s *apitest.Server) {
		idle := signUp(t, s, "john_smith").Token()
		s.Remember(idle)
		s.Clock.Advance(2 * time.Minute)
		s.Remember(signIn(t, s, "john_smith")) // memory is in use again at the new time
		wantDead(t, s, idle)
	})
}
