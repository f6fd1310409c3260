package storetest

import (
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

func testPasswords(t *testing.T, db Database) {
	f := newFixture(t, db)

	t.Run("a new password ends every session and outstanding reset", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n := f.newUser()
		user := f.create(t, n)
		second := f.signIn(t, user.ID, noon)
		reset := f.issue(t, f.token(t, user.ID, n.Email))
		verify := f.token(t, user.ID, n.Email)
		verify.Purpose = auth.PurposeVerifyEmail
		verify = f.issue(t, verify)

		later := noon.Add(time.Minute)
		change := auth.PasswordChange{UserID: user.ID, Verified: n.PasswordHash, New: f.password(), Now: later, Session: f.session(later)}
		got, err := f.ChangePassword(ctx, change)
		must(t, "ChangePassword", err)
		expectUser(t, "ChangePassword", got, user)
		change.Session.UserID = user.ID
		f.expectState(t, state{User: user, Password: change.New, Sessions: []auth.Session{change.Session}})
		f.expectNoSession(t, n.Session.ID, second.ID)
		f.expectToken(t, reset, auth.ErrTokenInvalid)
		f.expectToken(t, verify, nil)
		err = f.ResetPassword(ctx, auth.PasswordReset{Token: reset, Password: f.password(), Now: later})
		expectError(t, "ResetPassword", err, auth.ErrTokenInvalid)

		_, err = f.CreateSession(ctx, auth.SignIn{UserID: user.ID, Session: f.session(later), Verified: &n.PasswordHash})
		expectError(t, "CreateSession with the old password", err, auth.ErrChanged)
		_, err = f.CreateSession(ctx, auth.SignIn{UserID: user.ID, Session: f.session(later), Verified: &change.New})
		must(t, "CreateSession with the new password", err)
	})

	t.Run("a new password ends nothing of anybody else", func(t *testing.T) {
		t.Parallel()
		n, other := f.newUser(), f.newUser()
		user, otherUser := f.create(t, n), f.create(t, other)
		token := f.issue(t, f.token(t, otherUser.ID, other.Email))
		before := f.stateOf(t, otherUser.ID)
		_, err := f.ChangePassword(t.Context(), auth.PasswordChange{
			UserID: user.ID, Verified: n.PasswordHash, New: f.password(), Now: noon, Session: f.session(noon),
		})
		must(t, "ChangePassword", err)
		f.expectState(t, before)
		f.expectToken(t, token, nil)
	})

	owner := f.newUser()
	f.create(t, owner)
	for _, tt := range []struct {
		name   string
		status auth.Status
		change func(*auth.NewUser, *auth.PasswordChange)
		want   error
	}{
		{name: "that is not the one that was verified", change: func(_ *auth.NewUser, c *auth.PasswordChange) { c.Verified = f.password() }, want: auth.ErrChanged},
		{name: "of a user who has one, without it", change: func(_ *auth.NewUser, c *auth.PasswordChange) { c.Verified = "" }, want: auth.ErrChanged},
		{name: "of a user who has none", change: func(n *auth.NewUser, _ *auth.PasswordChange) { n.PasswordHash = "" }, want: auth.ErrChanged},
		{
			name: "of a guest",
			change: func(n *auth.NewUser, c *auth.PasswordChange) {
				n.Guest, n.PasswordHash, c.Verified = true, "", ""
			},
			want: auth.ErrChanged,
		},
		{name: "of a disabled user", status: auth.StatusDisabled, change: func(*auth.NewUser, *auth.PasswordChange) {}, want: auth.ErrChanged},
		{
			name:   "with a session's id that is taken",
			change: func(_ *auth.NewUser, c *auth.PasswordChange) { c.Session.ID = owner.Session.ID },
			want:   auth.ErrSessionIDTaken,
		},
	} {
		t.Run("a change of the password "+tt.name+" changes nothing", func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			n := f.newUser()
			change := auth.PasswordChange{Verified: n.PasswordHash, New: f.password(), Now: noon, Session: f.session(noon)}
			own := change.Session.ID
			tt.change(&n, &change)
			user := f.create(t, n)
			change.UserID = user.ID
			token := f.issue(t, f.token(t, user.ID, n.Email))
			must(t, "SetStatus", f.SetStatus(ctx, user.ID, tt.status))
			before := f.stateOf(t, user.ID)

			_, err := f.ChangePassword(ctx, change)
			expectError(t, "ChangePassword", err, tt.want)
			f.expectState(t, before)
			f.expectNoSession(t, own)
			must(t, "SetStatus", f.SetStatus(ctx, user.ID, auth.StatusActive))
			f.expectToken(t, token, nil)
		})
	}

	t.Run("of several first passwords at once one is the first", func(t *testing.T) {
		t.Parallel()
		n := f.newUser()
		n.PasswordHash = ""
		user := f.create(t, n)
		passwords := []auth.PasswordHash{f.password(), f.password(), f.password(), f.password()}
		errs := inParallel(len(passwords), func(i int) error {
			_, err := f.ChangePassword(t.Context(), auth.PasswordChange{
				UserID: user.ID, New: passwords[i], Now: noon, Session: f.session(noon),
			})
			return err
		})
		winner := expectOneWinner(t, errs, auth.ErrChanged)
		if _, got, err := f.FindUser(t.Context(), user.ID); err != nil || got != passwords[winner] {
			t.Errorf("got another password than the winner's, or %v", err)
		}
	})

	t.Run("nobody has a password to change", func(t *testing.T) {
		t.Parallel()
		s := f.session(noon)
		_, err := f.ChangePassword(t.Context(), auth.PasswordChange{UserID: nobody, New: f.password(), Now: noon, Session: s})
		expectError(t, "ChangePassword", err, auth.ErrChanged)
		f.expectNoSession(t, s.ID)
	})
}
