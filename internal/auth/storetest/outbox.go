package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ideaegg/latchkey/internal/auth"
)

// testMail runs one test after another: whoever leases mail takes it from everybody else.
func testMail(t *testing.T, db Database) {
	f := newFixture(t, db)
	testLeases(t, f)
	testNotices(t, f)
	testMailOfTheGone(t, f)
}

// lease returns what is due at now, the longest due first, and leases it until then.
func (f fixture) lease(t *testing.T, now, until time.Time, limit int) []auth.OutboxMessage {
	t.Helper()
	list, err := f.LeaseMail(t.Context(), now, until, limit)
	must(t, "LeaseMail", err)
	slices.SortFunc(list, func(a, b auth.OutboxMessage) int { return a.QueuedAt.Compare(b.QueuedAt) })
	return list
}

func (f fixture) expectLease(t *testing.T, now time.Time, want ...auth.OutboxMessage) {
	t.Helper()
	if diff := cmp.Diff(want, f.lease(t, now, now.Add(time.Minute), 100), sameMessage...); diff != "" {
		t.Errorf("LeaseMail at %v (-want +got):\n%s", now, diff)
	}
}

// empty empties the outbox.
func (f fixture) empty(t *testing.T) {
	t.Helper()
	for _, m := range f.lease(t, distant, distant, 1_000_000) {
		must(t, "RemoveMail", f.RemoveMail(t.Context(), m.ID))
	}
}

func testLeases(t *testing.T, f fixture) {
	t.Run("a message comes out as it was queued, and counts its attempts", func(t *testing.T) {
		f.empty(t)
		user := f.create(t, f.newUser())
		known := f.queue(t, f.message(auth.MailPasswordChanged, user.ID, user.Email))
		unknown := f.message(auth.MailResetPassword, 0, "who@example.com")
		unknown.Origin = auth.Origin{Language: auth.English}
		unknown.QueuedAt = noon.Add(time.Microsecond + 999) // what is below a microsecond is cut off
		f.queue(t, unknown)
		unknown.QueuedAt = noon.Add(time.Microsecond)

		now := noon.Add(time.Minute)
		for attempt := 1; attempt <= 3; attempt++ {
			known.Attempts, unknown.Attempts = attempt, attempt
			got := f.lease(t, now, now, 10)
			want := []auth.OutboxMessage{known, unknown}
			if diff := cmp.Diff(want, got, append(cmp.Options{cmpopts.IgnoreFields(auth.OutboxMessage{}, "ID")}, exactly...)); diff != "" {
				t.Errorf("LeaseMail, attempt %d (-want +got):\n%s", attempt, diff)
			}
			if got[0].ID <= 0 || got[0].ID == got[1].ID {
				t.Errorf("got ids %d and %d, want two positive ones", got[0].ID, got[1].ID)
			}
		}
	})

	t.Run("what is due longest is leased first, to nobody else until the lease ends", func(t *testing.T) {
		f.empty(t)
		var queued []auth.OutboxMessage
		for i := range 5 {
			m := f.message(auth.MailResetPassword, 0, "a@example.com")
			m.QueuedAt = noon.Add(time.Duration(i) * time.Second)
			queued = append(queued, f.queue(t, m))
		}
		f.expectLease(t, noon.Add(-time.Microsecond))
		now, until := noon.Add(3*time.Second), noon.Add(time.Hour)
		for _, want := range [][]auth.OutboxMessage{queued[:2], queued[2:4], nil} {
			if diff := cmp.Diff(want, f.lease(t, now, until, 2), sameMessage...); diff != "" {
				t.Errorf("LeaseMail (-want +got):\n%s", diff)
			}
		}
		f.expectLease(t, until.Add(-time.Microsecond), queued[4])
		f.expectLease(t, until, queued[:4]...)
	})

	t.Run("a message that was removed never comes back", func(t *testing.T) {
		f.empty(t)
		m := f.message(auth.MailResetPassword, 0, "a@example.com")
		f.queue(t, m)
		id := f.lease(t, noon, noon, 10)[0].ID
		f.queue(t, m)
		must(t, "RemoveMail", f.RemoveMail(t.Context(), id))
		must(t, "RemoveMail, once more", f.RemoveMail(t.Context(), id))
		list := f.lease(t, distant, distant, 10)
		if len(list) != 1 || list[0].ID == id {
			t.Errorf("got %v, want the other message", list)
		}
	})

	t.Run("a message that is to be tried again is due then", func(t *testing.T) {
		f.empty(t)
		m := f.queue(t, f.message(auth.MailResetPassword, 0, "a@example.com"))
		id := f.lease(t, noon, distant, 10)[0].ID
		at := noon.Add(5 * time.Second)
		must(t, "RetryMail", f.RetryMail(t.Context(), id, at, "451 nicht jetzt, 请稍后再试"))
		f.expectLease(t, at.Add(-time.Microsecond))
		f.expectLease(t, at, m)
		must(t, "RetryMail of no message", f.RetryMail(t.Context(), id+1000, at, "gone"))
	})

	t.Run("a message that was given up is never due again", func(t *testing.T) {
		f.empty(t)
		f.queue(t, f.message(auth.MailResetPassword, 0, "a@example.com"))
		id := f.lease(t, noon, noon, 10)[0].ID
		must(t, "FailMail", f.FailMail(t.Context(), id, "550 查无此人"))
		f.expectLease(t, distant)
		must(t, "FailMail of no message", f.FailMail(t.Context(), id+1000, "gone"))
	})
}

func testNotices(t *testing.T, f fixture) {
	t.Run("a change of the password queues its notice, and forgets the resets that were asked for", func(t *testing.T) {
		n := f.newUser()
		user := f.create(t, n)
		recipients := []string{n.Email.Key, n.Email.Address}
		f.queue(t, f.message(auth.MailResetPassword, 0, n.Email.Key))
		earlier := f.queue(t, f.message(auth.MailPasswordChanged, user.ID, n.Email.Key))
		notice := f.message(auth.MailPasswordChanged, user.ID, n.Email.Address)
		notice.Origin.UserAgent = "this one"
		change := auth.PasswordChange{
			UserID: user.ID, Verified: n.PasswordHash, New: f.password(), Now: noon, Session: f.session(noon), Notice: &notice,
		}
		_, err := f.ChangePassword(t.Context(), change)
		must(t, "ChangePassword", err)
		f.expectQueued(t, recipients, earlier, notice)

		change.Verified, change.New, change.Session, change.Notice = change.New, f.password(), f.session(noon), nil
		_, err = f.ChangePassword(t.Context(), change)
		must(t, "ChangePassword without a notice", err)
		f.expectQueued(t, recipients, earlier, notice)
	})

	t.Run("a change of the password that fails queues and forgets nothing", func(t *testing.T) {
		n := f.newUser()
		user := f.create(t, n)
		reset := f.queue(t, f.message(auth.MailResetPassword, 0, n.Email.Key))
		notice := f.message(auth.MailPasswordChanged, user.ID, n.Email.Key)
		change := auth.PasswordChange{
			UserID: user.ID, Verified: f.password(), New: f.password(), Now: noon, Session: f.session(noon), Notice: &notice,
		}
		_, err := f.ChangePassword(t.Context(), change)
		expectError(t, "ChangePassword", err, auth.ErrChanged)

		other := f.newUser()
		f.create(t, other)
		change.Verified, change.Session.ID = n.PasswordHash, other.Session.ID
		_, err = f.ChangePassword(t.Context(), change)
		expectError(t, "ChangePassword", err, auth.ErrSessionIDTaken)
		f.expectQueued(t, []string{n.Email.Key}, reset)
	})

	t.Run("a reset queues its notice, and forgets every other reset of the address, also one that is being sent", func(t *testing.T) {
		n, other := f.newUser(), f.newUser()
		user := f.create(t, n)
		recipients := []string{n.Email.Key, n.Email.Address, other.Email.Key}
		for range 3 {
			f.queue(t, f.message(auth.MailResetPassword, 0, n.Email.Key))
		}
		ids := f.queued(t, n.Email.Key)
		must(t, "RetryMail", f.RetryMail(t.Context(), ids[0].ID, distant, "later"))
		must(t, "FailMail", f.FailMail(t.Context(), ids[1].ID, "never"))
		foreign := f.queue(t, f.message(auth.MailResetPassword, 0, other.Email.Key))
		notice := f.message(auth.MailPasswordChanged, user.ID, n.Email.Address)
		reset := auth.PasswordReset{Token: f.issue(t, f.token(t, user.ID, n.Email)), Password: f.password(), Now: noon, Notice: &notice}
		must(t, "ResetPassword", f.ResetPassword(t.Context(), reset))
		f.expectQueued(t, recipients, foreign, notice)

		expectError(t, "ResetPassword, once more", f.ResetPassword(t.Context(), reset), auth.ErrTokenInvalid)
		f.expectQueued(t, recipients, foreign, notice)
	})

	t.Run("a reset that fails queues and forgets nothing", func(t *testing.T) {
		n := f.newUser()
		user := f.create(t, n)
		asked := f.queue(t, f.message(auth.MailResetPassword, 0, n.Email.Key))
		notice := f.message(auth.MailPasswordChanged, user.ID, n.Email.Key)
		token := f.issue(t, f.token(t, user.ID, n.Email))
		err := f.ResetPassword(t.Context(), auth.PasswordReset{Token: token, Password: f.password(), Now: token.ExpiresAt, Notice: &notice})
		expectError(t, "ResetPassword", err, auth.ErrTokenInvalid)
		f.expectQueued(t, []string{n.Email.Key}, asked)
	})
}

func testMailOfTheGone(t *testing.T, f fixture) {
	t.Run("whoever is deleted gets no more mail, neither by id nor by address", func(t *testing.T) {
		n, other := f.newUser(), f.newUser()
		user, otherUser := f.create(t, n), f.create(t, other)
		f.queue(t, f.message(auth.MailPasswordChanged, user.ID, n.Email.Address))
		f.queue(t, f.message(auth.MailResetPassword, 0, n.Email.Key))
		kept := []auth.OutboxMessage{
			f.queue(t, f.message(auth.MailPasswordChanged, otherUser.ID, other.Email.Address)),
			f.queue(t, f.message(auth.MailResetPassword, 0, other.Email.Key)),
		}
		recipients := []string{n.Email.Address, n.Email.Key, other.Email.Address, other.Email.Key}
		expectError(t, "DeleteUser", f.DeleteUser(t.Context(), user.ID, "", noon), auth.ErrChanged)
		if got := f.queued(t, recipients...); len(got) != 4 {
			t.Errorf("got %d messages after a deletion that failed, want 4", len(got))
		}
		must(t, "DeleteUser", f.DeleteUser(t.Context(), user.ID, n.PasswordHash, noon))
		f.expectQueued(t, recipients, kept...)
	})

	t.Run("a user without an address has no mail to forget", func(t *testing.T) {
		n := f.newUser()
		n.Email = nil
		user := f.create(t, n)
		f.create(t, f.newGuest())
		must(t, "DeleteUser", f.DeleteUser(t.Context(), user.ID, n.PasswordHash, noon))
	})
}
