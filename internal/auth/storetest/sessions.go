package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/internal/auth"
)

func testSessions(t *testing.T, db Database) {
	f := newFixture(t, db)
	testSignIns(t, f)
	testTouches(t, f)
	testRevocations(t, f)
}

func testSignIns(t *testing.T, f fixture) {
	t.Run("each sign-in is a session of its own", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n := f.newUser()
		user := f.create(t, n)
		s := f.session(noon.Add(time.Minute))
		got, err := f.CreateSession(ctx, auth.SignIn{UserID: user.ID, Session: s})
		must(t, "CreateSession", err)
		expectUser(t, "CreateSession", got, user)
		s.UserID, n.Session.UserID = user.ID, user.ID
		f.expectSession(t, s)
		f.expectSession(t, n.Session)
		f.expectSessions(t, user.ID, s.ID, n.Session.ID)
	})

	t.Run("a sign-in with the password that the user has succeeds, and may replace its hash", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n := f.newUser()
		user := f.create(t, n)
		_, err := f.CreateSession(ctx, auth.SignIn{UserID: user.ID, Session: f.session(noon), Verified: &n.PasswordHash})
		must(t, "CreateSession", err)
		expectPassword(t, f.stateOf(t, user.ID).Password, n.PasswordHash)

		rehashed := f.password()
		_, err = f.CreateSession(ctx, auth.SignIn{UserID: user.ID, Session: f.session(noon), Verified: &n.PasswordHash, Rehashed: rehashed})
		must(t, "CreateSession", err)
		expectPassword(t, f.stateOf(t, user.ID).Password, rehashed)
		f.expectSession(t, auth.Session{ // a new hash of the same password ends no session
			ID: n.Session.ID, UserID: user.ID, TokenHash: n.Session.TokenHash, CreatedAt: noon, LastUsedAt: noon,
			ExpiresAt: n.Session.ExpiresAt, Origin: n.Session.Origin,
		})
	})

	withPassword, without, disabled := f.create(t, f.newUser()), f.create(t, f.newGuest()), f.create(t, f.newUser())
	must(t, "SetStatus", f.SetStatus(t.Context(), disabled.ID, auth.StatusDisabled))
	for _, tt := range []struct {
		name     string
		user     auth.UserID
		verified *auth.PasswordHash
	}{
		{"with a password that is not the user's any more", withPassword.ID, new(f.password())},
		{"with no password, as a proof that somebody gave one", withPassword.ID, new(auth.PasswordHash)},
		{"with a password, of a user who has none", without.ID, new(f.password())},
		{"with an empty password, of a user who has none", without.ID, new(auth.PasswordHash)},
		{"of a disabled user", disabled.ID, nil},
		{"of nobody", nobody, nil},
	} {
		t.Run("a sign-in "+tt.name+" changes nothing", func(t *testing.T) {
			t.Parallel()
			s := f.session(noon)
			_, err := f.CreateSession(t.Context(), auth.SignIn{UserID: tt.user, Session: s, Verified: tt.verified, Rehashed: f.password()})
			expectError(t, "CreateSession", err, auth.ErrChanged)
			f.expectNoSession(t, s.ID)
			if tt.user == withPassword.ID || tt.user == without.ID {
				_, err = f.CreateSession(t.Context(), auth.SignIn{UserID: tt.user, Session: s})
				must(t, "CreateSession without a password to compare", err)
			}
		})
	}

	t.Run("a session's id that is taken changes nothing", func(t *testing.T) {
		t.Parallel()
		n, other := f.newUser(), f.newUser()
		user, otherUser := f.create(t, n), f.create(t, other)
		before, otherBefore := f.stateOf(t, user.ID), f.stateOf(t, otherUser.ID)
		for _, id := range []auth.SessionID{n.Session.ID, other.Session.ID} {
			s := f.session(noon)
			s.ID = id
			_, err := f.CreateSession(t.Context(), auth.SignIn{UserID: user.ID, Session: s, Verified: &n.PasswordHash, Rehashed: f.password()})
			expectError(t, "CreateSession", err, auth.ErrSessionIDTaken)
		}
		f.expectState(t, before)
		f.expectState(t, otherBefore)
	})

	t.Run("beyond the most that a user may have, the oldest sessions go", func(t *testing.T) {
		t.Parallel()
		other := f.newUser()
		otherUser := f.create(t, other)
		n := f.newUser()
		user := f.create(t, n)
		ids := []auth.SessionID{n.Session.ID}
		for range auth.MaxSessions + 2 {
			ids = append(ids, f.signIn(t, user.ID, noon).ID)
		}
		f.expectNoSession(t, ids[:3]...)
		ids = ids[3:]
		slices.Reverse(ids)
		f.expectSessions(t, user.ID, ids...)
		f.expectSessions(t, otherUser.ID, other.Session.ID)
	})
}

func testTouches(t *testing.T, f fixture) {
	t.Run("a use moves last use and expiry on, and an earlier one nothing back", func(t *testing.T) {
		t.Parallel()
		user := f.create(t, f.newUser())
		s, beside := f.signIn(t, user.ID, noon), f.signIn(t, user.ID, noon)
		touch := func(used time.Duration) {
			t.Helper()
			must(t, "TouchSessions", f.TouchSessions(t.Context(), []auth.SessionUse{
				{ID: s.ID, UsedAt: noon.Add(used), ExpiresAt: noon.Add(used + 24*time.Hour)},
			}))
		}
		touch(time.Hour)
		s.LastUsedAt, s.ExpiresAt = noon.Add(time.Hour), noon.Add(25*time.Hour)
		f.expectSession(t, s)
		touch(time.Hour - time.Microsecond)
		f.expectSession(t, s)
		touch(time.Hour + time.Microsecond)
		s.LastUsedAt, s.ExpiresAt = s.LastUsedAt.Add(time.Microsecond), s.ExpiresAt.Add(time.Microsecond)
		f.expectSession(t, s)
		f.expectSession(t, beside)
	})

	t.Run("uses of many sessions are written at once, and those that are gone are skipped", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		user := f.create(t, f.newUser())
		sessions := []auth.Session{f.signIn(t, user.ID, noon), f.signIn(t, user.ID, noon), f.signIn(t, user.ID, noon)}
		gone := f.signIn(t, user.ID, noon)
		must(t, "RevokeSession", f.RevokeSession(ctx, user.ID, gone.ID))
		var uses []auth.SessionUse
		for i, s := range append(sessions, gone, f.session(noon)) {
			later := noon.Add(time.Duration(i+1) * time.Minute)
			uses = append(uses, auth.SessionUse{ID: s.ID, UsedAt: later, ExpiresAt: later.Add(time.Hour * 48)})
		}
		slices.Reverse(uses) // those that are gone come first
		must(t, "TouchSessions", f.TouchSessions(ctx, uses))
		for i, s := range sessions {
			s.LastUsedAt = noon.Add(time.Duration(i+1) * time.Minute)
			s.ExpiresAt = s.LastUsedAt.Add(time.Hour * 48)
			f.expectSession(t, s)
		}
		f.expectNoSession(t, gone.ID)
		must(t, "TouchSessions without a use", f.TouchSessions(ctx, nil))
	})

	t.Run("an expired session is found and not listed", func(t *testing.T) {
		t.Parallel()
		n := f.newUser()
		user := f.create(t, n)
		s := f.session(noon)
		s.ExpiresAt = noon.Add(time.Hour)
		_, err := f.CreateSession(t.Context(), auth.SignIn{UserID: user.ID, Session: s})
		must(t, "CreateSession", err)
		s.UserID = user.ID
		f.expectSession(t, s)
		for now, want := range map[time.Time][]auth.SessionID{
			s.ExpiresAt.Add(-time.Microsecond): {s.ID, n.Session.ID},
			s.ExpiresAt:                        {n.Session.ID},
			distant:                            {},
		} {
			list, err := f.ListSessions(t.Context(), user.ID, now)
			must(t, "ListSessions", err)
			if diff := cmp.Diff(want, sessionIDs(list)); diff != "" {
				t.Errorf("ListSessions at %v (-want +got):\n%s", now, diff)
			}
		}
	})

	t.Run("the list has the sessions as they are found, newest first", func(t *testing.T) {
		t.Parallel()
		user := f.create(t, f.newUser())
		f.create(t, f.newUser())
		for range 3 {
			f.signIn(t, user.ID, noon.Add(time.Minute))
		}
		list := f.stateOf(t, user.ID).Sessions
		if len(list) != 4 {
			t.Errorf("got %d sessions, want 4", len(list))
		}
		if !slices.IsSortedFunc(list, func(a, b auth.Session) int { return int(b.ID - a.ID) }) {
			t.Errorf("got %v, want the newest first", sessionIDs(list))
		}
		for _, s := range list {
			f.expectSession(t, s)
		}
		f.expectSessions(t, nobody)
	})
}

func testRevocations(t *testing.T, f fixture) {
	t.Run("a session is revoked, once, by the user who has it", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n, other := f.newUser(), f.newUser()
		user, otherUser := f.create(t, n), f.create(t, other)
		second := f.signIn(t, user.ID, noon)
		for _, stranger := range []auth.UserID{otherUser.ID, nobody} {
			expectError(t, "RevokeSession of somebody else's", f.RevokeSession(ctx, stranger, second.ID), auth.ErrNotFound)
		}
		f.expectSessions(t, user.ID, second.ID, n.Session.ID)

		must(t, "RevokeSession", f.RevokeSession(ctx, user.ID, second.ID))
		f.expectNoSession(t, second.ID)
		f.expectSessions(t, user.ID, n.Session.ID)
		expectError(t, "RevokeSession, once more", f.RevokeSession(ctx, user.ID, second.ID), auth.ErrNotFound)
		expectError(t, "RevokeSession of no session", f.RevokeSession(ctx, user.ID, f.session(noon).ID), auth.ErrNotFound)
		f.expectSessions(t, otherUser.ID, other.Session.ID)
	})

	t.Run("all other sessions are revoked, of this user alone", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n, other := f.newUser(), f.newUser()
		user, otherUser := f.create(t, n), f.create(t, other)
		second, third := f.signIn(t, user.ID, noon), f.signIn(t, user.ID, noon)
		for range 2 {
			must(t, "RevokeOtherSessions", f.RevokeOtherSessions(ctx, user.ID, second.ID))
			f.expectSessions(t, user.ID, second.ID)
			f.expectNoSession(t, n.Session.ID, third.ID)
		}
		f.expectSessions(t, otherUser.ID, other.Session.ID)

		must(t, "RevokeOtherSessions", f.RevokeOtherSessions(ctx, user.ID, other.Session.ID))
		f.expectSessions(t, user.ID) // what is kept is somebody else's
		f.expectSessions(t, otherUser.ID, other.Session.ID)
		must(t, "RevokeOtherSessions of nobody", f.RevokeOtherSessions(ctx, nobody, other.Session.ID))
	})
}
