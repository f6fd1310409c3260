package storetest

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

// rule is that of the lanes under test: three guesses are free.
var rule = auth.GuessRule{Policy: "test", Free: 3, DisableAt: 6}

// lane returns a lane that nobody else uses.
func (f fixture) lane() auth.Lane {
	var key auth.LaneKey
	binary.BigEndian.PutUint64(key[:], uint64(f.next()))
	return auth.Lane{Key: key, Rule: rule}
}

// countFailure is CountFailure for tests that know how many there are.
func (f fixture) countFailure(ctx context.Context, lane auth.Lane, now time.Time) error {
	_, err := f.CountFailure(ctx, lane, now)
	return err
}

// fail counts n wrong guesses, each as soon as the wait before it is over, and returns when the last one was made.
func (f fixture) fail(t *testing.T, lane auth.Lane, n int, now time.Time) time.Time {
	t.Helper()
	for i := range n {
		if i > 0 {
			wait, _ := lane.Rule.Wait(i)
			now = now.Add(wait)
		}
		failures, err := f.CountFailure(t.Context(), lane, now)
		must(t, "CountFailure", err)
		if failures != i+1 {
			t.Errorf("got %d failures in a row, want %d", failures, i+1)
		}
	}
	return now
}

// expectWait fails the test unless a wait runs in the lane at now that ends at until.
func expectWait(t *testing.T, what string, err error, until time.Time) {
	t.Helper()
	locked, ok := errors.AsType[*auth.LockedError](err)
	if !ok || locked.Forever || !locked.Until.Equal(until) {
		t.Errorf("%s: got %v (%+v), want a wait until %v", what, err, locked, until)
	}
}

func expectDisabled(t *testing.T, what string, err error) {
	t.Helper()
	if locked, ok := errors.AsType[*auth.LockedError](err); !ok || !locked.Forever {
		t.Errorf("%s: got %v, want a wait without end", what, err)
	}
}

func testGuesses(t *testing.T, db Database) {
	f := newFixture(t, db)
	nodes := nodes{f, f.on(open(t, db))}

	t.Run("the last free failure begins a wait, and each later one a longer one", func(t *testing.T) {
		t.Parallel()
		lane, now := f.lane(), noon
		must(t, "CheckLane", f.CheckLane(t.Context(), lane.Key, now))
		f.fail(t, lane, 2, now)
		must(t, "CheckLane", f.CheckLane(t.Context(), lane.Key, now))
		for _, wait := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute} {
			must(t, "CountFailure", f.countFailure(t.Context(), lane, now))
			end := now.Add(wait)
			for _, during := range []time.Time{now, end.Add(-time.Microsecond)} {
				expectWait(t, "CheckLane", f.CheckLane(t.Context(), lane.Key, during), end)
				expectWait(t, "CountFailure", f.countFailure(t.Context(), lane, during), end) // and counts nothing
				expectWait(t, "ClearFailures", f.ClearFailures(t.Context(), lane.Key, during), end)
			}
			must(t, "CheckLane", f.CheckLane(t.Context(), lane.Key, end))
			now = end
		}
		must(t, "CountFailure", f.countFailure(t.Context(), lane, now)) // the sixth
		for _, at := range []time.Time{now, distant} {
			expectDisabled(t, "CheckLane", f.CheckLane(t.Context(), lane.Key, at))
			expectDisabled(t, "CountFailure", f.countFailure(t.Context(), lane, at))
			expectDisabled(t, "ClearFailures", f.ClearFailures(t.Context(), lane.Key, at))
		}
	})

	t.Run("of many wrong guesses at once no more are counted than are free", func(t *testing.T) {
		t.Parallel()
		lane := f.lane()
		lane.Rule.Free, lane.Rule.DisableAt = 10, 100
		errs := inParallel(200, func(i int) error { return nodes.of(i).countFailure(t.Context(), lane, noon) })
		counted := 0
		for _, err := range errs {
			if err == nil {
				counted++
			} else {
				expectWait(t, "CountFailure", err, noon.Add(30*time.Second))
			}
		}
		if counted != 10 {
			t.Errorf("got %d guesses counted, want 10", counted)
		}
	})

	t.Run("a right guess clears the lane", func(t *testing.T) {
		t.Parallel()
		lane := f.lane()
		must(t, "ClearFailures", f.ClearFailures(t.Context(), lane.Key, noon))
		f.fail(t, lane, 2, noon)
		must(t, "ClearFailures", f.ClearFailures(t.Context(), lane.Key, noon))
		f.fail(t, lane, 2, noon)
		must(t, "CheckLane", f.CheckLane(t.Context(), lane.Key, noon))
	})

	t.Run("a session is created and clears the lane unless a wait runs", func(t *testing.T) {
		t.Parallel()
		n := f.newUser()
		user := f.create(t, n)
		lane := f.lane()
		other := f.lane()
		f.fail(t, other, 3, noon)
		signIn := func(at time.Time) (auth.SessionID, error) {
			s := f.session(at)
			_, err := f.CreateSession(t.Context(), auth.SignIn{UserID: user.ID, Session: s, Verified: &n.PasswordHash, Lane: &lane.Key})
			return s.ID, err
		}
		f.fail(t, lane, 2, noon)
		first, err := signIn(noon)
		must(t, "CreateSession", err)
		last := f.fail(t, lane, 3, noon)
		before := f.stateOf(t, user.ID)
		withheld, err := signIn(last)
		expectWait(t, "CreateSession", err, last.Add(30*time.Second))
		f.expectNoSession(t, withheld)
		f.expectState(t, before)
		second, err := signIn(last.Add(30 * time.Second))
		must(t, "CreateSession", err)
		f.expectSessions(t, user.ID, second, first, n.Session.ID)
		f.fail(t, lane, 2, last)
		must(t, "CheckLane", f.CheckLane(t.Context(), lane.Key, last))
		expectWait(t, "CheckLane", f.CheckLane(t.Context(), other.Key, noon), noon.Add(30*time.Second))
	})

	t.Run("of a right guess among many wrong ones none succeeds during the wait", func(t *testing.T) {
		t.Parallel()
		n := f.newUser()
		user := f.create(t, n)
		lane := f.lane()
		lane.Rule.Free, lane.Rule.DisableAt = 10, 100
		const guesses = 60
		rights := make([]auth.Session, guesses)
		for i := range rights {
			rights[i] = f.session(noon)
		}
		errs := inParallel(guesses, func(i int) error {
			if i%6 != 0 {
				return nodes.of(i).countFailure(t.Context(), lane, noon)
			}
			_, err := nodes.of(i).CreateSession(t.Context(), auth.SignIn{UserID: user.ID, Session: rights[i], Verified: &n.PasswordHash, Lane: &lane.Key})
			return err
		})
		// Every verdict that was given came before the wait; whoever came later learned nothing.
		given := []auth.SessionID{n.Session.ID}
		locked := false
		for i, err := range errs {
			switch {
			case err != nil:
				expectWait(t, "settling", err, noon.Add(30*time.Second))
				locked = true
			case i%6 == 0:
				given = append(given, rights[i].ID)
			}
		}
		if state := f.stateOf(t, user.ID); len(state.Sessions) != len(given) {
			t.Errorf("got %d sessions, want the %d that were acknowledged", len(state.Sessions), len(given))
		}
		if err := f.CheckLane(t.Context(), lane.Key, noon); (err != nil) != locked {
			t.Errorf("got %v in the end, but a verdict withheld: %v", err, locked)
		}
	})

	t.Run("a new password and an operator clear the user's lanes, and nobody else's", func(t *testing.T) {
		t.Parallel()
		n, strange := f.newUser(), f.newUser()
		user, stranger := f.create(t, n), f.create(t, strange)
		lanesOf := func(id auth.UserID) (lanes [2]auth.Lane) {
			for i, key := range auth.UserLanes(id) {
				lanes[i] = auth.Lane{Key: key, Rule: rule}
			}
			return lanes
		}
		for _, lane := range lanesOf(stranger.ID) {
			f.fail(t, lane, 6, noon)
		}
		token := f.issue(t, f.token(t, user.ID, n.Email))
		hash := f.password()
		for _, tt := range []struct { // a change of the password ends the reset, so it comes last
			what  string
			clear func() error
		}{
			{"Unlock", func() error { return f.Unlock(t.Context(), user.ID) }},
			{"ResetPassword", func() error {
				return f.ResetPassword(t.Context(), auth.PasswordReset{Token: token, Password: n.PasswordHash, Now: noon})
			}},
			{"ChangePassword", func() error {
				_, err := f.ChangePassword(t.Context(), auth.PasswordChange{
					UserID: user.ID, Verified: n.PasswordHash, New: n.PasswordHash, Now: noon, Session: f.session(noon),
				})
				return err
			}},
		} {
			for _, lane := range lanesOf(user.ID) {
				f.fail(t, lane, 6, noon)
				expectDisabled(t, "CheckLane", f.CheckLane(t.Context(), lane.Key, distant))
			}
			must(t, tt.what, tt.clear())
			for _, lane := range lanesOf(user.ID) {
				must(t, "CheckLane after "+tt.what, f.CheckLane(t.Context(), lane.Key, noon))
			}
		}
		must(t, "Unlock", f.Unlock(t.Context(), user.ID)) // nothing to do
		for _, lane := range lanesOf(stranger.ID) {
			expectDisabled(t, "CheckLane", f.CheckLane(t.Context(), lane.Key, distant))
		}

		_, err := f.ChangePassword(t.Context(), auth.PasswordChange{
			UserID: stranger.ID, Verified: hash, New: hash, Now: noon, Session: f.session(noon),
		})
		expectError(t, "ChangePassword", err, auth.ErrChanged)
		expectDisabled(t, "CheckLane", f.CheckLane(t.Context(), lanesOf(stranger.ID)[0].Key, distant))
	})

	t.Run("failures outlive the node that counted them", func(t *testing.T) {
		t.Parallel()
		lane := f.lane()
		node := f.on(open(t, db))
		last := node.fail(t, lane, 4, noon)
		must(t, "Close", node.Close())
		expectWait(t, "CheckLane", f.CheckLane(t.Context(), lane.Key, last), last.Add(time.Minute))
	})
}

// testMailLimits runs one test after another: whoever leases messages hides them from others for a moment.
func testMailLimits(t *testing.T, db Database) {
	f := newFixture(t, db)
	limit := auth.MailLimit{Burst: 3, Interval: 20 * time.Minute}

	ask := func(t *testing.T, node fixture, key auth.LaneKey, to string, at time.Time) {
		t.Helper()
		m := f.message(auth.MailResetPassword, 0, to)
		m.QueuedAt = at
		must(t, "QueueLimited", node.QueueLimited(t.Context(), m, key, limit))
	}
	expectMails := func(t *testing.T, to string, want int) {
		t.Helper()
		if got := len(f.queued(t, to)); got != want {
			t.Errorf("got %d messages to %s, want %d", got, to, want)
		}
	}

	t.Run("three go out, then one more each interval", func(t *testing.T) {
		key, to := f.lane().Key, f.email().Key
		for _, step := range []struct {
			after time.Duration
			want  int
		}{
			{0, 1},
			{0, 2},
			{0, 3},
			{0, 3},
			{20*time.Minute - time.Microsecond, 3},
			{20 * time.Minute, 4},
			{20 * time.Minute, 4},
			{40 * time.Minute, 5},
			{24 * time.Hour, 6},
			{24 * time.Hour, 7},
			{24 * time.Hour, 8},
			{24 * time.Hour, 8},
		} {
			ask(t, f, key, to, noon.Add(step.after))
			expectMails(t, to, step.want)
		}
		other := f.email().Key
		ask(t, f, f.lane().Key, other, noon)
		expectMails(t, other, 1)
	})

	t.Run("of many requests at once three go out", func(t *testing.T) {
		nodes := nodes{f, f.on(open(t, db))}
		key, to := f.lane().Key, f.email().Key
		for _, err := range inParallel(50, func(i int) error {
			return nodes.of(i).QueueLimited(t.Context(), f.message(auth.MailResetPassword, 0, to), key, limit)
		}) {
			must(t, "QueueLimited", err)
		}
		expectMails(t, to, 3)
	})
}
