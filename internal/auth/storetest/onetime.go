package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/internal/auth"
)

func testOneTimeTokens(t *testing.T, db Database) {
	f := newFixture(t, db)
	testIssues(t, f)
	testCodes(t, f)
	testResets(t, f)
}

func testIssues(t *testing.T, f fixture) {
	t.Run("a token is found as it was issued, as often as one looks, until it expires", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n := f.newUser()
		user := f.create(t, n)
		issued := f.token(t, user.ID, n.Email)
		must(t, "IssueOneTimeToken", f.IssueOneTimeToken(ctx, issued))
		for _, now := range []time.Time{noon, issued.ExpiresAt.Add(-time.Microsecond)} {
			got, found, err := f.FindOneTimeToken(ctx, issued.Purpose, issued.TokenHash, now)
			must(t, "FindOneTimeToken", err)
			if got.ID <= 0 {
				t.Errorf("got id %d, want a positive one", got.ID)
			}
			issued.ID = got.ID
			if diff := cmp.Diff(issued, got, exactly...); diff != "" {
				t.Errorf("FindOneTimeToken (-want +got):\n%s", diff)
			}
			expectUser(t, "FindOneTimeToken", found, user)
		}

		for _, now := range []time.Time{issued.ExpiresAt, distant} {
			_, _, err := f.FindOneTimeToken(ctx, issued.Purpose, issued.TokenHash, now)
			expectError(t, "FindOneTimeToken when it has expired", err, auth.ErrTokenInvalid)
		}
		_, _, err := f.FindOneTimeToken(ctx, auth.PurposeVerifyEmail, issued.TokenHash, noon)
		expectError(t, "FindOneTimeToken for another purpose", err, auth.ErrTokenInvalid)
		_, _, err = f.FindOneTimeToken(ctx, issued.Purpose, f.hash(), noon)
		expectError(t, "FindOneTimeToken of no token", err, auth.ErrTokenInvalid)
		_, _, err = f.FindOneTimeToken(ctx, issued.Purpose, issued.CodeHash, noon)
		expectError(t, "FindOneTimeToken by the hash of the code", err, auth.ErrTokenInvalid)
	})

	n, disabled := f.newUser(), f.newUser()
	user, disabledUser := f.create(t, n), f.create(t, disabled)
	must(t, "SetStatus", f.SetStatus(t.Context(), disabledUser.ID, auth.StatusDisabled))
	for _, tt := range []struct {
		name  string
		token auth.OneTimeToken
	}{
		{"for an address that the user has not", f.token(t, user.ID, f.email())},
		{"for an address that somebody else has", f.token(t, user.ID, disabled.Email)},
		{"for a generated address", f.token(t, user.ID, &auth.Email{Address: n.Username + "@" + PlaceholderDomain, Key: n.Username + "@" + PlaceholderDomain})},
		{"for a disabled user", f.token(t, disabledUser.ID, disabled.Email)},
		{"for nobody", f.token(t, nobody, n.Email)},
	} {
		t.Run("no token is issued "+tt.name, func(t *testing.T) {
			t.Parallel()
			expectError(t, "IssueOneTimeToken", f.IssueOneTimeToken(t.Context(), tt.token), auth.ErrChanged)
			f.expectToken(t, tt.token, auth.ErrTokenInvalid)
			f.attempt(t, tt.token.UserID)
		})
	}

	t.Run("a token of a user who is disabled meanwhile is not valid until they are let in again", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n := f.newUser()
		user := f.create(t, n)
		token := f.issue(t, f.token(t, user.ID, n.Email))
		must(t, "SetStatus", f.SetStatus(ctx, user.ID, auth.StatusDisabled))
		before := f.stateOf(t, user.ID)
		f.expectToken(t, token, auth.ErrTokenInvalid)
		err := f.ResetPassword(ctx, auth.PasswordReset{Token: token, Password: f.password(), Now: noon})
		expectError(t, "ResetPassword", err, auth.ErrTokenInvalid)
		f.expectState(t, before)
		must(t, "SetStatus", f.SetStatus(ctx, user.ID, auth.StatusActive))
		f.expectToken(t, token, nil)
	})

	t.Run("a message that is sent again has a new token in place of the first", func(t *testing.T) {
		t.Parallel()
		n := f.newUser()
		user := f.create(t, n)
		first := f.issue(t, f.token(t, user.ID, n.Email))
		for range auth.MaxCodeAttempts {
			f.attempt(t, user.ID, first)
		}
		f.attempt(t, user.ID)

		second := f.token(t, user.ID, n.Email)
		second.MessageID = first.MessageID
		second = f.issue(t, second)
		f.expectToken(t, first, auth.ErrTokenInvalid)
		f.attempt(t, user.ID, second) // a new code has attempts of its own
		before := f.stateOf(t, user.ID)
		err := f.ResetPassword(t.Context(), auth.PasswordReset{Token: first, Password: f.password(), Now: noon})
		expectError(t, "ResetPassword with the first", err, auth.ErrTokenInvalid)
		f.expectState(t, before)
		f.expectToken(t, second, nil)
		must(t, "ResetPassword with the second", f.ResetPassword(t.Context(), auth.PasswordReset{Token: second, Password: f.password(), Now: noon}))
	})

	t.Run("a message that was taken out of the outbox gets no token, and loses none that it has", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n := f.newUser()
		user := f.create(t, n)
		sent := f.issue(t, f.token(t, user.ID, n.Email))
		removed := f.token(t, user.ID, n.Email)
		for _, id := range []auth.MessageID{sent.MessageID, removed.MessageID} {
			must(t, "RemoveMail", f.RemoveMail(ctx, id))
		}
		again := f.unsent(user.ID, n.Email)
		again.MessageID = sent.MessageID
		for _, token := range []auth.OneTimeToken{removed, again, f.unsent(user.ID, n.Email)} {
			expectError(t, "IssueOneTimeToken", f.IssueOneTimeToken(ctx, token), auth.ErrChanged)
			f.expectToken(t, token, auth.ErrTokenInvalid)
		}
		f.attempt(t, user.ID, sent)
	})

	t.Run("the oldest tokens beyond the most that may be outstanding die, of this user and purpose alone", func(t *testing.T) {
		t.Parallel()
		n, other := f.newUser(), f.newUser()
		user, otherUser := f.create(t, n), f.create(t, other)
		foreign := f.issue(t, f.token(t, otherUser.ID, other.Email))
		verify := f.token(t, user.ID, n.Email)
		verify.Purpose = auth.PurposeVerifyEmail
		verify = f.issue(t, verify)

		var tokens []auth.OneTimeToken
		for i := range auth.MaxOutstanding + 2 {
			issued := f.token(t, user.ID, n.Email)
			issued.IssuedAt = noon.Add(time.Duration(i-10) * time.Minute)
			tokens = append(tokens, f.issue(t, issued))
		}
		for _, dead := range tokens[:2] {
			f.expectToken(t, dead, auth.ErrTokenInvalid)
		}
		f.attempt(t, user.ID, tokens[2:]...)

		late := f.token(t, user.ID, n.Email) // asked for before the others, sent after them
		late.IssuedAt = noon.Add(-time.Hour)
		must(t, "IssueOneTimeToken", f.IssueOneTimeToken(t.Context(), late))
		f.expectToken(t, late, auth.ErrTokenInvalid)
		f.attempt(t, user.ID, tokens[2:]...)
		f.expectToken(t, foreign, nil)
		f.expectToken(t, verify, nil)
	})
}

// reset are the purposes of a code that resets the password.
var reset = [2]auth.Purpose{auth.PurposeResetPassword, auth.PurposeResetPassword}

// attempt attempts a code of resetting the password and fails the test unless these are to be compared with it.
func (f fixture) attempt(t *testing.T, user auth.UserID, want ...auth.OneTimeToken) {
	t.Helper()
	got, err := f.AttemptOneTimeCode(t.Context(), user, reset, noon)
	must(t, "AttemptOneTimeCode", err)
	byID := func(a, b auth.OneTimeToken) int { return int(a.ID - b.ID) }
	slices.SortFunc(got, byID)
	if diff := cmp.Diff(want, got, exactly...); diff != "" {
		t.Errorf("AttemptOneTimeCode (-want +got):\n%s", diff)
	}
}

func testCodes(t *testing.T, f fixture) {
	t.Run("every live code may be compared as often as it may, and no more", func(t *testing.T) {
		t.Parallel()
		n := f.newUser()
		user := f.create(t, n)
		first := f.issue(t, f.token(t, user.ID, n.Email))
		f.attempt(t, user.ID, first)
		f.attempt(t, user.ID, first)
		second := f.issue(t, f.token(t, user.ID, n.Email))
		for range auth.MaxCodeAttempts - 2 {
			f.attempt(t, user.ID, first, second)
		}
		f.attempt(t, user.ID, second)
		f.attempt(t, user.ID, second)
		f.attempt(t, user.ID)
		f.attempt(t, user.ID)
		f.expectToken(t, first, nil) // the link in the same mail is no guess
		must(t, "ResetPassword", f.ResetPassword(t.Context(), auth.PasswordReset{Token: second, Password: f.password(), Now: noon}))
	})

	t.Run("an attempt that is given back may be made again, with this code alone", func(t *testing.T) {
		t.Parallel()
		n := f.newUser()
		user := f.create(t, n)
		token, other := f.issue(t, f.token(t, user.ID, n.Email)), f.issue(t, f.token(t, user.ID, n.Email))
		replaced := token
		replaced.TokenHash = f.hash()
		must(t, "ReturnOneTimeCodeAttempt before any", f.ReturnOneTimeCodeAttempt(t.Context(), token))
		for range auth.MaxCodeAttempts {
			f.attempt(t, user.ID, token, other)
		}
		must(t, "ReturnOneTimeCodeAttempt", f.ReturnOneTimeCodeAttempt(t.Context(), token))
		must(t, "ReturnOneTimeCodeAttempt of a token that was replaced", f.ReturnOneTimeCodeAttempt(t.Context(), replaced))
		f.attempt(t, user.ID, token)
		f.attempt(t, user.ID)
	})

	t.Run("an attempt counts for the codes of the user and purpose alone", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n, other := f.newUser(), f.newUser()
		user, otherUser := f.create(t, n), f.create(t, other)
		token, foreign := f.issue(t, f.token(t, user.ID, n.Email)), f.issue(t, f.token(t, otherUser.ID, other.Email))
		verify := f.token(t, user.ID, n.Email)
		verify.Purpose = auth.PurposeVerifyEmail
		verify = f.issue(t, verify)
		for range auth.MaxCodeAttempts + 1 {
			_, err := f.AttemptOneTimeCode(ctx, user.ID, [2]auth.Purpose{auth.PurposeVerifyEmail, auth.PurposeChangeEmail}, noon)
			must(t, "AttemptOneTimeCode", err)
			f.attempt(t, 0)
		}
		for range auth.MaxCodeAttempts {
			f.attempt(t, user.ID, token)
			f.attempt(t, otherUser.ID, foreign)
		}
		f.attempt(t, user.ID)
		f.attempt(t, otherUser.ID)
		f.expectToken(t, verify, nil)
	})

	t.Run("an expired code is not compared, and no attempt counts for it", func(t *testing.T) {
		t.Parallel()
		n := f.newUser()
		user := f.create(t, n)
		token := f.issue(t, f.token(t, user.ID, n.Email))
		for range auth.MaxCodeAttempts {
			live, err := f.AttemptOneTimeCode(t.Context(), user.ID, reset, token.ExpiresAt)
			must(t, "AttemptOneTimeCode", err)
			if len(live) > 0 {
				t.Errorf("got %d codes that have expired", len(live))
			}
		}
		f.attempt(t, user.ID, token)
	})
}

func testResets(t *testing.T, f fixture) {
	t.Run("a reset sets the password, verifies the address and ends every session and other reset", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n := f.newUser()
		user := f.create(t, n)
		second := f.signIn(t, user.ID, noon)
		token, outstanding := f.issue(t, f.token(t, user.ID, n.Email)), f.issue(t, f.token(t, user.ID, n.Email))
		verify := f.token(t, user.ID, n.Email)
		verify.Purpose = auth.PurposeVerifyEmail
		verify = f.issue(t, verify)

		reset := auth.PasswordReset{Token: token, Password: f.password(), Now: noon.Add(time.Minute)}
		must(t, "ResetPassword", f.ResetPassword(ctx, reset))
		want := state{User: user, Password: reset.Password}
		want.User.EmailVerified = true
		f.expectState(t, want)
		f.expectNoSession(t, n.Session.ID, second.ID)
		f.expectToken(t, outstanding, auth.ErrTokenInvalid)
		f.expectToken(t, verify, nil)
		f.attempt(t, user.ID)
		_, err := f.CreateSession(ctx, auth.SignIn{UserID: user.ID, Session: f.session(noon), Verified: &n.PasswordHash})
		expectError(t, "CreateSession with the old password", err, auth.ErrChanged)

		for _, used := range []auth.OneTimeToken{token, outstanding} {
			reset.Token, reset.Password = used, f.password()
			expectError(t, "ResetPassword, once more", f.ResetPassword(ctx, reset), auth.ErrTokenInvalid)
		}
		f.expectState(t, want)

		reset.Token = f.issue(t, f.token(t, user.ID, n.Email)) // and so it goes for an address that is verified
		must(t, "ResetPassword", f.ResetPassword(ctx, reset))
		want.Password = reset.Password
		f.expectState(t, want)
	})

	t.Run("a reset gives a password to a user who had none", func(t *testing.T) {
		t.Parallel()
		n := f.newUser()
		n.PasswordHash = ""
		user := f.create(t, n)
		reset := auth.PasswordReset{Token: f.issue(t, f.token(t, user.ID, n.Email)), Password: f.password(), Now: noon}
		must(t, "ResetPassword", f.ResetPassword(t.Context(), reset))
		expectPassword(t, f.stateOf(t, user.ID).Password, reset.Password)
	})

	for _, tt := range []struct {
		name   string
		change func(*auth.PasswordReset)
	}{
		{"that has expired", func(r *auth.PasswordReset) { r.Now = r.Token.ExpiresAt }},
		{"that there is not", func(r *auth.PasswordReset) { r.Token.ID += 1 << 40 }},
		{"of another purpose", func(r *auth.PasswordReset) { r.Token.Purpose = auth.PurposeVerifyEmail }},
		{"for an address that the user has not", func(r *auth.PasswordReset) { r.Token.EmailKey = f.email().Key }},
		{"for nobody", func(r *auth.PasswordReset) { r.Token.UserID = nobody }},
	} {
		t.Run("a token "+tt.name+" resets nothing", func(t *testing.T) {
			t.Parallel()
			n := f.newUser()
			user := f.create(t, n)
			token := f.issue(t, f.token(t, user.ID, n.Email))
			before := f.stateOf(t, user.ID)
			reset := auth.PasswordReset{Token: token, Password: f.password(), Now: noon}
			tt.change(&reset)
			expectError(t, "ResetPassword", f.ResetPassword(t.Context(), reset), auth.ErrTokenInvalid)
			f.expectState(t, before)
			f.expectToken(t, token, nil)
		})
	}

	t.Run("a reset ends nothing of anybody else", func(t *testing.T) {
		t.Parallel()
		n, other := f.newUser(), f.newUser()
		user, otherUser := f.create(t, n), f.create(t, other)
		token := f.issue(t, f.token(t, otherUser.ID, other.Email))
		before := f.stateOf(t, otherUser.ID)
		reset := auth.PasswordReset{Token: f.issue(t, f.token(t, user.ID, n.Email)), Password: f.password(), Now: noon}
		must(t, "ResetPassword", f.ResetPassword(t.Context(), reset))
		f.expectState(t, before)
		f.expectToken(t, token, nil)
	})
}
