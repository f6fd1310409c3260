package storetest

import (
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

// testCleanUp runs one test after another: what is due is due whoever made it. Each test lets one kind be due, and
// times of that kind alone lie where the test looks.
func testCleanUp(t *testing.T, db Database) {
	f := newFixture(t, db)
	testExpired(t, f)
	testUnusedGuests(t, f)
	testHeldNames(t, f)
	testOldMail(t, f)
	testOldGuesses(t, f)

	t.Run("all kinds are counted together, and when nothing is due nothing happens", func(t *testing.T) {
		guest := f.newGuest()
		guest.Key = f.guestKey()
		f.create(t, guest) // its session and key, then itself
		n := f.newUser()
		user := f.create(t, n) // its session
		f.issue(t, f.token(t, user.ID, n.Email))
		held := f.newUser()
		must(t, "DeleteUser", f.DeleteUser(t.Context(), f.create(t, held).ID, held.PasswordHash, noon))
		f.queue(t, f.message(auth.MailResetPassword, 0, n.Email.Key))
		f.fail(t, f.lane(), 2, noon)
		asked := f.message(auth.MailResetPassword, 0, f.email().Key)
		must(t, "QueueLimited", f.QueueLimited(t.Context(), asked, f.lane().Key, auth.MailLimit{Burst: 3, Interval: time.Hour}))
		before := f.stateOf(t, user.ID)
		f.expectCleanUp(t, auth.Due{}, 0)
		f.expectState(t, before)

		everything := auth.Due{Now: distant, GuestsBefore: distant, DeletedBefore: distant, FailedMailBefore: distant, GuessesBefore: distant}
		for {
			got, err := f.CleanUp(t.Context(), everything, 1)
			must(t, "CleanUp", err)
			if got > 8 {
				t.Errorf("CleanUp deleted %d rows, want at most one of each of eight kinds", got)
			}
			if got == 0 {
				break
			}
		}
		f.expectState(t, state{User: user, Password: n.PasswordHash})
		if got := f.queued(t, n.Email.Key); len(got) > 0 {
			t.Errorf("got %d messages, want none", len(got))
		}
	})
}

// expectCleanUp cleans up and fails the test unless so many rows went.
func (f fixture) expectCleanUp(t *testing.T, due auth.Due, want int) {
	t.Helper()
	got, err := f.CleanUp(t.Context(), due, 1000)
	must(t, "CleanUp", err)
	if got != want {
		t.Errorf("CleanUp deleted %d rows, want %d", got, want)
	}
}

func testOldGuesses(t *testing.T, f fixture) {
	t.Run("failures that nobody goes on with are forgotten, but a disabled password stays disabled", func(t *testing.T) {
		few, waiting, disabled := f.lane(), f.lane(), f.lane()
		f.fail(t, few, 2, noon)
		f.fail(t, waiting, 3, noon)
		f.fail(t, disabled, 6, noon.Add(-time.Hour))
		f.expectCleanUp(t, auth.Due{GuessesBefore: noon.Add(-time.Microsecond)}, 0)
		expectWait(t, "CheckLane", f.CheckLane(t.Context(), waiting.Key, noon), noon.Add(30*time.Second))
		f.expectCleanUp(t, auth.Due{GuessesBefore: noon}, 2)
		must(t, "CheckLane", f.CheckLane(t.Context(), waiting.Key, noon))
		expectDisabled(t, "CheckLane", f.CheckLane(t.Context(), disabled.Key, distant))
		f.fail(t, few, 2, noon)
		must(t, "CheckLane", f.CheckLane(t.Context(), few.Key, noon))
		must(t, "ClearFailures", f.ClearFailures(t.Context(), few.Key, noon))
	})

	t.Run("requests for mail are forgotten once they bound nothing any more", func(t *testing.T) {
		key, to := f.lane().Key, f.email().Key
		limit := auth.MailLimit{Burst: 1, Interval: time.Minute}
		must(t, "QueueLimited", f.QueueLimited(t.Context(), f.message(auth.MailResetPassword, 0, to), key, limit))
		f.expectCleanUp(t, auth.Due{Now: noon.Add(time.Minute - time.Microsecond)}, 0)
		must(t, "QueueLimited", f.QueueLimited(t.Context(), f.message(auth.MailResetPassword, 0, to), key, limit))
		if got := len(f.queued(t, to)); got != 1 {
			t.Errorf("got %d messages, want 1", got)
		}
		f.expectCleanUp(t, auth.Due{Now: noon.Add(time.Minute)}, 1)
	})
}

func testExpired(t *testing.T, f fixture) {
	t.Run("expired sessions go, so many at once, and the others stay", func(t *testing.T) {
		user := f.create(t, f.newUser())
		due := auth.Due{Now: noon.Add(time.Hour)}
		var expired []auth.SessionID
		for i := range 5 {
			s := f.session(noon)
			s.ExpiresAt = due.Now.Add(time.Duration(-i) * time.Microsecond)
			_, err := f.CreateSession(t.Context(), auth.SignIn{UserID: user.ID, Session: s})
			must(t, "CreateSession", err)
			expired = append(expired, s.ID)
		}
		alive := f.session(noon)
		alive.ExpiresAt = due.Now.Add(time.Microsecond)
		_, err := f.CreateSession(t.Context(), auth.SignIn{UserID: user.ID, Session: alive})
		must(t, "CreateSession", err)

		for _, want := range []int{2, 2, 1, 0} {
			got, err := f.CleanUp(t.Context(), due, 2)
			must(t, "CleanUp", err)
			if got != want {
				t.Errorf("CleanUp deleted %d rows, want %d", got, want)
			}
		}
		f.expectNoSession(t, expired...)
		alive.UserID = user.ID
		f.expectSession(t, alive)
	})

	t.Run("expired tokens go and the others stay", func(t *testing.T) {
		n := f.newUser()
		user := f.create(t, n)
		due := auth.Due{Now: noon.Add(30 * time.Minute)}
		expired, alive := f.issue(t, f.token(t, user.ID, n.Email)), f.token(t, user.ID, n.Email)
		alive.ExpiresAt = due.Now.Add(time.Microsecond)
		alive = f.issue(t, alive)
		f.expectCleanUp(t, auth.Due{Now: due.Now.Add(-time.Microsecond)}, 0)
		f.expectToken(t, expired, nil)
		f.expectCleanUp(t, due, 1)
		f.expectToken(t, expired, auth.ErrTokenInvalid)
		f.expectToken(t, alive, nil)
	})
}

func testUnusedGuests(t *testing.T, f fixture) {
	ctx := t.Context()
	due := auth.Due{Now: noon, GuestsBefore: noon}
	// signOut ends the only session that a user has.
	signOut := func(t *testing.T, n auth.NewUser) auth.User {
		t.Helper()
		user := f.create(t, n)
		must(t, "RevokeSession", f.RevokeSession(ctx, user.ID, n.Session.ID))
		return user
	}

	t.Run("a guest with a live session is never cleaned up", func(t *testing.T) {
		n := f.newGuest()
		n.Now = noon.AddDate(-5, 0, 0)
		before := f.stateOf(t, f.create(t, n).ID)
		f.expectCleanUp(t, due, 1)
		f.expectState(t, before)
		f.expectCleanUp(t, due, 0) // it is not looked at again
		must(t, "RevokeSession", f.RevokeSession(ctx, before.User.ID, n.Session.ID))
		f.expectCleanUp(t, auth.Due{Now: noon, GuestsBefore: distant}, 1)
	})

	t.Run("a guest who signed in lately is not cleaned up", func(t *testing.T) {
		n := f.newGuest()
		n.Now = noon.Add(time.Microsecond)
		before := f.stateOf(t, signOut(t, n).ID)

		old := f.newGuest()
		old.Now = noon.AddDate(-1, 0, 0)
		guest := f.create(t, old)
		again := f.signIn(t, guest.ID, noon.Add(time.Microsecond))
		must(t, "RevokeOtherSessions", f.RevokeOtherSessions(ctx, guest.ID, nobodys))
		f.expectNoSession(t, again.ID)
		oldBefore := f.stateOf(t, guest.ID)

		f.expectCleanUp(t, due, 0)
		f.expectState(t, before)
		f.expectState(t, oldBefore)
		f.expectCleanUp(t, auth.Due{Now: noon, GuestsBefore: noon.Add(time.Microsecond)}, 2)
		f.expectFree(t, n.Username, nil, nil)
		f.expectFree(t, old.Username, nil, nil)
	})

	t.Run("whoever has a password, an address or an identity is no guest and stays", func(t *testing.T) {
		full := f.newUser()
		identified := f.newUser()
		identified.Email, identified.PasswordHash, identified.Identities = nil, "", f.identities()
		upgraded := f.create(t, f.newGuest())
		s := f.session(noon)
		_, err := f.UpgradeGuest(ctx, auth.GuestUpgrade{UserID: upgraded.ID, Identities: f.identities(), Now: noon, Session: s})
		must(t, "UpgradeGuest", err)
		must(t, "RevokeSession", f.RevokeSession(ctx, upgraded.ID, s.ID))
		states := []state{
			f.stateOf(t, signOut(t, full).ID), f.stateOf(t, signOut(t, identified).ID), f.stateOf(t, upgraded.ID),
		}
		f.expectCleanUp(t, auth.Due{Now: noon, GuestsBefore: distant}, 0)
		for _, s := range states {
			f.expectState(t, s)
		}
	})

	t.Run("a guest who cannot come back goes, with name and id, and the id is never given out again", func(t *testing.T) {
		n := f.newGuest()
		guest := signOut(t, n)
		f.expectCleanUp(t, auth.Due{Now: noon, GuestsBefore: noon.Add(-time.Microsecond)}, 0)
		f.expectCleanUp(t, due, 1)
		f.expectFree(t, n.Username, nil, nil)
		_, _, err := f.FindUser(ctx, guest.ID)
		expectError(t, "FindUser", err, auth.ErrNotFound)
		n.Session, n.Guest = f.session(noon), false
		if again := f.create(t, n); again.ID <= guest.ID {
			t.Errorf("the new user got id %d, want one beyond %d", again.ID, guest.ID)
		}
	})

	t.Run("a guest whose session has expired goes together with it", func(t *testing.T) {
		n := f.newGuest()
		n.Session.ExpiresAt = noon.Add(-time.Hour)
		f.create(t, n)
		f.expectCleanUp(t, auth.Due{Now: noon.Add(-time.Hour), GuestsBefore: noon}, 2)
		f.expectFree(t, n.Username, nil, nil)
	})
}

// testGuestsInUse has tests of which each leaves no guest behind.
func testGuestsInUse(t *testing.T, db Database) {
	f := newFixture(t, db)
	ctx := t.Context()
	// idle is how long guests may be here.
	const idle = time.Hour
	dueAt := func(now time.Time) auth.Due { return auth.Due{Now: now, GuestsBefore: now.Add(-idle)} }
	// guest is one whose session ends when it was not used for that long.
	guest := func(t *testing.T, made time.Time) (auth.User, auth.SessionID) {
		t.Helper()
		n := f.newGuest()
		n.Now, n.Session = made, f.session(made)
		n.Session.ExpiresAt = made.Add(idle)
		return f.create(t, n), n.Session.ID
	}
	touch := func(t *testing.T, id auth.SessionID, at time.Time) {
		t.Helper()
		must(t, "TouchSessions", f.TouchSessions(ctx, []auth.SessionUse{{ID: id, UsedAt: at, ExpiresAt: at.Add(idle)}}))
	}
	expectGone := func(t *testing.T, id auth.UserID) {
		t.Helper()
		_, _, err := f.FindUser(ctx, id)
		expectError(t, "FindUser", err, auth.ErrNotFound)
	}

	t.Run("a guest is cleaned up by last use, not by age, and looked at once in that time", func(t *testing.T) {
		user, session := guest(t, noon)
		for hours := range 5 {
			used := noon.Add(time.Duration(hours)*idle + idle/2)
			touch(t, session, used)
			f.expectCleanUp(t, dueAt(used.Add(idle/2)), 1)
			f.expectCleanUp(t, dueAt(used.Add(idle-time.Microsecond)), 0)
		}
		end := noon.Add(5*idle + idle/2)
		before := f.stateOf(t, user.ID)
		f.expectCleanUp(t, dueAt(end.Add(-time.Microsecond)), 0)
		f.expectState(t, before)
		f.expectCleanUp(t, dueAt(end), 2) // the session and the guest
		expectGone(t, user.ID)
	})

	t.Run("a guest whose session is ended in any way stays as long after its last use", func(t *testing.T) {
		used := noon.Add(10 * idle)
		for name, end := range map[string]func(t *testing.T, user auth.UserID, session auth.SessionID){
			"signed out": func(t *testing.T, user auth.UserID, session auth.SessionID) {
				must(t, "RevokeSession", f.RevokeSession(ctx, user, session))
			},
			"signed out elsewhere": func(t *testing.T, user auth.UserID, _ auth.SessionID) {
				must(t, "RevokeOtherSessions", f.RevokeOtherSessions(ctx, user, nobodys))
			},
			"too old": func(t *testing.T, _ auth.UserID, session auth.SessionID) {
				at := used.Add(time.Microsecond)
				must(t, "TouchSessions", f.TouchSessions(ctx, []auth.SessionUse{{ID: session, UsedAt: at, ExpiresAt: at}}))
				f.expectCleanUp(t, auth.Due{Now: at}, 1)
			},
		} {
			t.Run(name, func(t *testing.T) {
				user, session := guest(t, noon)
				touch(t, session, used)
				end(t, user.ID, session)
				f.expectCleanUp(t, dueAt(used.Add(idle-time.Microsecond)), 0)
				f.expectState(t, state{User: user})
				f.expectCleanUp(t, dueAt(used.Add(idle+time.Microsecond)), 1)
				expectGone(t, user.ID)
			})
		}
	})

	t.Run("of guests whose sessions were made to last longer, each is looked at once, and goes with the session", func(t *testing.T) {
		const guests = 7
		var ids []auth.UserID
		for range guests {
			n := f.newGuest() // with a session of a day
			ids = append(ids, f.create(t, n).ID)
		}
		looked := 0
		for {
			n, err := f.CleanUp(ctx, dueAt(noon.Add(3*idle)), 2)
			must(t, "CleanUp", err)
			if looked += n; n == 0 {
				break
			}
		}
		if looked != guests {
			t.Errorf("CleanUp looked at %d guests, want each of %d once", looked, guests)
		}
		f.expectCleanUp(t, dueAt(noon.Add(24*time.Hour-time.Microsecond)), 0)
		f.expectCleanUp(t, dueAt(noon.Add(24*time.Hour)), 2*guests)
		for _, id := range ids {
			expectGone(t, id)
		}
	})
}

// nobodys is the id of no session.
const nobodys auth.SessionID = 1

func testHeldNames(t *testing.T, f fixture) {
	t.Run("the username of a deleted user is held until then and free afterwards, and the id never given out again", func(t *testing.T) {
		ctx := t.Context()
		var ids []auth.UserID
		var names []string
		for i := range 2 {
			n := f.newUser()
			ids, names = append(ids, f.create(t, n).ID), append(names, n.Username)
			must(t, "DeleteUser", f.DeleteUser(ctx, ids[i], n.PasswordHash, noon.Add(time.Duration(i)*time.Microsecond)))
		}
		take := func(name string) (auth.User, error) {
			n := f.newUser()
			n.Username = name
			return f.CreateUser(ctx, n)
		}
		f.expectCleanUp(t, auth.Due{DeletedBefore: noon.Add(-time.Microsecond)}, 0)
		_, err := take(names[0])
		expectError(t, "CreateUser", err, &auth.TakenError{Username: true})

		f.expectCleanUp(t, auth.Due{DeletedBefore: noon}, 1)
		user, err := take(names[0])
		must(t, "CreateUser", err)
		_, err = take(names[1])
		expectError(t, "CreateUser", err, &auth.TakenError{Username: true})

		f.expectCleanUp(t, auth.Due{DeletedBefore: distant}, 1)
		_, err = take(names[1])
		must(t, "CreateUser", err)
		if user.ID == ids[1] { // ids are never given out again
			t.Errorf("the new user got the id %d of a user who is gone", user.ID)
		}
		f.expectCleanUp(t, auth.Due{DeletedBefore: distant}, 0)
	})
}

func testOldMail(t *testing.T, f fixture) {
	t.Run("messages are forgotten some time after they expired, sent or not", func(t *testing.T) {
		const recipient = "old@example.com"
		due := auth.Due{FailedMailBefore: noon.Add(-time.Hour)}
		var queued []auth.OutboxMessage
		for _, notAfter := range []time.Time{due.FailedMailBefore, due.FailedMailBefore, due.FailedMailBefore.Add(time.Microsecond)} {
			m := f.message(auth.MailResetPassword, 0, recipient)
			m.QueuedAt, m.NotAfter = noon.Add(-2*time.Hour), notAfter
			queued = append(queued, f.queue(t, m))
		}
		must(t, "FailMail", f.FailMail(t.Context(), f.queued(t, recipient)[0].ID, "too late"))
		f.expectQueued(t, []string{recipient}, queued[1:]...)
		f.expectCleanUp(t, due, 2)
		f.expectQueued(t, []string{recipient}, queued[2])
		f.expectCleanUp(t, due, 0)
	})
}
