package storetest

import (
	"testing"

	"github.com/ideaegg/latchkey/internal/auth"
)

func testDeletedUsers(t *testing.T, db Database) {
	f := newFixture(t, db)

	t.Run("a deleted user is absent to every method", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n := f.newUser()
		n.Identities = f.identities()
		user := f.create(t, n)
		second := f.signIn(t, user.ID, noon)
		token := f.issue(t, f.token(t, user.ID, n.Email))
		must(t, "DeleteUser", f.DeleteUser(ctx, user.ID, n.PasswordHash, noon))

		_, _, err := f.FindUser(ctx, user.ID)
		expectError(t, "FindUser", err, auth.ErrNotFound)
		f.expectFree(t, n.Username, n.Email, n.Identities)
		f.expectNoSession(t, n.Session.ID, second.ID)
		f.expectSessions(t, user.ID)
		f.expectToken(t, token, auth.ErrTokenInvalid)

		_, err = f.CreateSession(ctx, auth.SignIn{UserID: user.ID, Session: f.session(noon)})
		expectError(t, "CreateSession", err, auth.ErrChanged)
		_, err = f.CreateSession(ctx, auth.SignIn{UserID: user.ID, Session: f.session(noon), Verified: &n.PasswordHash})
		expectError(t, "CreateSession with a password", err, auth.ErrChanged)
		must(t, "TouchSessions", f.TouchSessions(ctx, []auth.SessionUse{{ID: second.ID, UsedAt: distant, ExpiresAt: distant}}))
		f.expectNoSession(t, second.ID)
		expectError(t, "RevokeSession", f.RevokeSession(ctx, user.ID, second.ID), auth.ErrNotFound)
		must(t, "RevokeOtherSessions", f.RevokeOtherSessions(ctx, user.ID, second.ID))
		_, err = f.UpgradeGuest(ctx, auth.GuestUpgrade{UserID: user.ID, Now: noon, Session: f.session(noon)})
		expectError(t, "UpgradeGuest", err, auth.ErrChanged)
		_, err = f.ChangePassword(ctx, auth.PasswordChange{
			UserID: user.ID, Verified: n.PasswordHash, New: f.password(), Now: noon, Session: f.session(noon),
		})
		expectError(t, "ChangePassword", err, auth.ErrChanged)
		_, err = f.UpdateProfile(ctx, user.ID, auth.ProfileChange{Fullname: new("Ghost")})
		expectError(t, "UpdateProfile", err, auth.ErrNotFound)
		expectError(t, "SetStatus", f.SetStatus(ctx, user.ID, auth.StatusActive), auth.ErrNotFound)
		expectError(t, "IssueOneTimeToken", f.IssueOneTimeToken(ctx, f.token(t, user.ID, n.Email)), auth.ErrChanged)
		live, err := f.AttemptOneTimeCode(ctx, token.UserID, [2]auth.Purpose{token.Purpose, token.Purpose}, noon)
		must(t, "AttemptOneTimeCode", err)
		if len(live) > 0 {
			t.Errorf("AttemptOneTimeCode: got %d codes, want none", len(live))
		}
		err = f.ResetPassword(ctx, auth.PasswordReset{Token: token, Password: f.password(), Now: noon})
		expectError(t, "ResetPassword", err, auth.ErrTokenInvalid)
		expectError(t, "DeleteUser", f.DeleteUser(ctx, user.ID, n.PasswordHash, noon), auth.ErrChanged)
		expectError(t, "DeleteUser without a password", f.DeleteUser(ctx, user.ID, "", noon), auth.ErrChanged)
	})

	t.Run("the username of a deleted user stays taken; address, identity and session ids are free at once", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n := f.newUser()
		n.Identities = f.identities()
		deleted := f.create(t, n)
		must(t, "DeleteUser", f.DeleteUser(ctx, deleted.ID, n.PasswordHash, noon))

		_, err := f.CreateUser(ctx, n)
		expectError(t, "CreateUser", err, &auth.TakenError{Username: true})
		guest := f.newGuest()
		before := f.stateOf(t, f.create(t, guest).ID)
		_, err = f.UpgradeGuest(ctx, auth.GuestUpgrade{
			UserID: before.User.ID, Username: n.Username, Email: n.Email, Now: noon, Session: f.session(noon),
		})
		expectError(t, "UpgradeGuest", err, &auth.TakenError{Username: true})
		f.expectState(t, before)

		n.Username = f.username()
		again := f.create(t, n)
		if again.ID == deleted.ID { // ids are never given out again
			t.Errorf("the new user got the id %d of a user who is gone", again.ID)
		}
	})

	t.Run("one user is deleted, and everybody else is as before", func(t *testing.T) {
		t.Parallel()
		n, other := f.newUser(), f.newUser()
		user, otherUser := f.create(t, n), f.create(t, other)
		token := f.issue(t, f.token(t, otherUser.ID, other.Email))
		before := f.stateOf(t, otherUser.ID)
		must(t, "DeleteUser", f.DeleteUser(t.Context(), user.ID, n.PasswordHash, noon))
		f.expectState(t, before)
		f.expectToken(t, token, nil)
	})

	t.Run("a user without a password is deleted without one", func(t *testing.T) {
		t.Parallel()
		n := f.newGuest()
		guest := f.create(t, n)
		must(t, "DeleteUser", f.DeleteUser(t.Context(), guest.ID, "", noon))
		f.expectFree(t, n.Username, nil, nil)
		f.expectNoSession(t, n.Session.ID)
	})

	withPassword, without, disabled := f.newUser(), f.newGuest(), f.newUser()
	for _, tt := range []struct {
		name     string
		user     auth.NewUser
		status   auth.Status
		verified auth.PasswordHash
	}{
		{"whose password was changed", withPassword, auth.StatusActive, f.password()},
		{"who has a password, without it", withPassword, auth.StatusActive, ""},
		{"who has no password, with one", without, auth.StatusActive, f.password()},
		{"who is disabled", disabled, auth.StatusDisabled, disabled.PasswordHash},
	} {
		t.Run("a user "+tt.name+" is not deleted", func(t *testing.T) {
			t.Parallel()
			n := tt.user
			n.Username, n.Session, n.Identities = f.username(), f.session(noon), f.identities()
			if n.Email != nil {
				n.Email = f.email()
			}
			id := f.create(t, n).ID
			must(t, "SetStatus", f.SetStatus(t.Context(), id, tt.status))
			before := f.stateOf(t, id)
			expectError(t, "DeleteUser", f.DeleteUser(t.Context(), id, tt.verified, noon), auth.ErrChanged)
			f.expectState(t, before)
			_, err := f.FindIdentity(t.Context(), n.Identities[0])
			must(t, "FindIdentity", err)
		})
	}

	t.Run("nobody is not deleted", func(t *testing.T) {
		t.Parallel()
		expectError(t, "DeleteUser", f.DeleteUser(t.Context(), nobody, "", noon), auth.ErrChanged)
	})
}
