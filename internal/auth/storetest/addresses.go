package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

// proof issues a token of this purpose for the address.
func (f fixture) proof(t *testing.T, purpose auth.Purpose, user auth.UserID, address *auth.Email) auth.OneTimeToken {
	t.Helper()
	token := f.token(t, user, address)
	token.Purpose = purpose
	return f.issue(t, token)
}

// change is the confirmation that replaces the user's address by the token's, with a notice to the old one.
func (f fixture) change(token auth.OneTimeToken, old *auth.Email) auth.EmailConfirmation {
	notice := f.message(auth.MailEmailChanged, token.UserID, old.Address)
	return auth.EmailConfirmation{Token: token, Old: old.Address, Now: noon, Notice: &notice}
}

// confirm is ConfirmEmail without the user.
func (f fixture) confirm(ctx context.Context, c auth.EmailConfirmation) error {
	_, err := f.ConfirmEmail(ctx, c)
	return err
}

// undoToken sends the notice that waits for the address, and returns the token that goes with it.
func (f fixture) undoToken(t *testing.T, user auth.UserID, old *auth.Email) auth.OneTimeToken {
	t.Helper()
	batch, err := f.LeaseMail(t.Context(), noon, distant, 1000)
	must(t, "LeaseMail", err)
	for _, m := range batch {
		if m.Kind == auth.MailEmailChanged && m.Recipient == old.Address {
			token := f.token(t, user, old)
			token.Purpose, token.MessageID, token.ExpiresAt = auth.PurposeUndoEmailChange, m.ID, noon.Add(auth.UndoTTL)
			return f.issue(t, token)
		}
	}
	t.Fatalf("no notice waits for %s", old.Address)
	return auth.OneTimeToken{}
}

func testEmailAddresses(t *testing.T, db Database) {
	f := newFixture(t, db)

	// Those that look at the outbox take all that is in it, so they are not parallel.
	t.Run("a change is told to the old address, which can take it back for itself and ends every session", func(t *testing.T) {
		ctx := t.Context()
		n, next := f.newUser(), f.email()
		user := f.create(t, n)
		reset := f.issue(t, f.token(t, user.ID, n.Email))
		other := f.proof(t, auth.PurposeChangeEmail, user.ID, f.email())
		token := f.proof(t, auth.PurposeChangeEmail, user.ID, next)
		changed, err := f.ConfirmEmail(ctx, f.change(token, n.Email))
		must(t, "ConfirmEmail", err)

		want := f.stateOf(t, user.ID)
		expectUser(t, "ConfirmEmail", changed, want.User)
		if want.User.Email != next.Address || !want.User.EmailVerified || len(want.Sessions) != 1 {
			t.Errorf("after the change: got %+v with %d sessions", want.User, len(want.Sessions))
		}
		for _, dead := range []auth.OneTimeToken{token, reset, other} {
			f.expectToken(t, dead, auth.ErrTokenInvalid)
		}

		undo := f.undoToken(t, user.ID, n.Email)
		thief := f.newUser()
		thief.Email = n.Email
		_, err = f.CreateUser(ctx, thief)
		if taken, ok := errors.AsType[*auth.TakenError](err); !ok || !taken.Email {
			t.Errorf("sign-up with an address that may be taken back: got %v, want it taken", err)
		}

		later := f.proof(t, auth.PurposeChangeEmail, user.ID, f.email())
		must(t, "UndoEmailChange", f.UndoEmailChange(ctx, undo, noon))
		got := f.stateOf(t, user.ID)
		if got.User.Email != n.Email.Address || len(got.Sessions) != 0 || got.Password != n.PasswordHash {
			t.Errorf("after the undo: got %+v with %d sessions", got.User, len(got.Sessions))
		}
		for _, dead := range []auth.OneTimeToken{undo, later} {
			f.expectToken(t, dead, auth.ErrTokenInvalid)
		}
		expectError(t, "UndoEmailChange, once more", f.UndoEmailChange(ctx, undo, noon), auth.ErrTokenInvalid)
		f.create(t, func() auth.NewUser { n := f.newUser(); n.Email = next; return n }()) // free again
	})

	t.Run("a request makes earlier ones worthless, sent or not", func(t *testing.T) {
		ctx := t.Context()
		n := f.newUser()
		user := f.create(t, n)
		sent := f.proof(t, auth.PurposeChangeEmail, user.ID, f.email())
		first, second := f.email(), f.email()
		must(t, "RequestEmailChange", f.RequestEmailChange(ctx, f.message(auth.MailChangeEmail, user.ID, first.Address)))
		must(t, "RequestEmailChange", f.RequestEmailChange(ctx, f.message(auth.MailChangeEmail, user.ID, second.Address)))
		f.expectToken(t, sent, auth.ErrTokenInvalid)
		batch, err := f.LeaseMail(ctx, noon, distant, 1000)
		must(t, "LeaseMail", err)
		recipients := []string{}
		for _, m := range batch {
			recipients = append(recipients, m.Recipient)
		}
		if slices.Contains(recipients, first.Address) || !slices.Contains(recipients, second.Address) {
			t.Errorf("got mail to %v, want it to the second address and not to the first", recipients)
		}
	})

	t.Run("a new user's mail is queued with the user, and not without", func(t *testing.T) {
		ctx := t.Context()
		n := f.newUser()
		m := f.message(auth.MailVerifyEmail, 0, n.Email.Address)
		n.Mail = &m
		user := f.create(t, n)
		again := n
		again.Session = f.session(noon)
		_, err := f.CreateUser(ctx, again)
		if err == nil {
			t.Fatal("got the same name twice")
		}
		batch, err := f.LeaseMail(ctx, noon, distant, 1000)
		must(t, "LeaseMail", err)
		found := 0
		for _, got := range batch {
			if got.Recipient == n.Email.Address {
				found++
				if got.UserID != user.ID {
					t.Errorf("got user %d in the message, want %d", got.UserID, user.ID)
				}
			}
		}
		if found != 1 {
			t.Errorf("got %d messages to the new user, want 1", found)
		}
	})

	t.Run("one message tells of a new device, and none of a known one", func(t *testing.T) {
		ctx := t.Context()
		n := f.newUser()
		user := f.create(t, n)
		notice := f.message(auth.MailNewDevice, user.ID, n.Email.Address)
		for _, agent := range []string{n.Session.Origin.UserAgent, "another", "another"} {
			s := f.session(noon)
			s.Origin.UserAgent = agent
			_, err := f.CreateSession(ctx, auth.SignIn{UserID: user.ID, Session: s, NewDevice: &notice})
			must(t, "CreateSession", err)
		}
		batch, err := f.LeaseMail(ctx, noon, distant, 1000)
		must(t, "LeaseMail", err)
		found := 0
		for _, got := range batch {
			if got.Kind == auth.MailNewDevice && got.UserID == user.ID {
				found++
			}
		}
		if found != 1 {
			t.Errorf("got %d notices, want 1", found)
		}
	})

	t.Run("to verify an address changes nothing but that it is verified", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n := f.newUser()
		user := f.create(t, n)
		token := f.proof(t, auth.PurposeVerifyEmail, user.ID, n.Email)
		want := f.stateOf(t, user.ID)
		verified, err := f.ConfirmEmail(ctx, auth.EmailConfirmation{Token: token, Now: noon})
		must(t, "ConfirmEmail", err)
		want.User.EmailVerified = true
		expectUser(t, "ConfirmEmail", verified, want.User)
		f.expectState(t, want)
		expectError(t, "ConfirmEmail, once more", f.confirm(ctx, auth.EmailConfirmation{Token: token, Now: noon}), auth.ErrTokenInvalid)
	})

	t.Run("a token that cannot be used confirms nothing", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n, other := f.newUser(), f.newUser()
		user := f.create(t, n)
		f.create(t, other)
		token := f.proof(t, auth.PurposeChangeEmail, user.ID, f.email())
		want := f.stateOf(t, user.ID)
		for name, spoil := range map[string]func(*auth.EmailConfirmation){
			"expired":                        func(c *auth.EmailConfirmation) { c.Now = c.Token.ExpiresAt },
			"replaced":                       func(c *auth.EmailConfirmation) { c.Token.TokenHash = f.hash() },
			"of another purpose":             func(c *auth.EmailConfirmation) { c.Token.Purpose = auth.PurposeVerifyEmail },
			"for another address than there": func(c *auth.EmailConfirmation) { c.Old = f.email().Address },
			"of nobody":                      func(c *auth.EmailConfirmation) { c.Token.UserID = nobody },
		} {
			c := f.change(token, n.Email)
			spoil(&c)
			expectError(t, "ConfirmEmail of a token "+name, f.confirm(ctx, c), auth.ErrTokenInvalid)
		}
		taken := f.proof(t, auth.PurposeChangeEmail, user.ID, other.Email)
		err := f.confirm(ctx, f.change(taken, n.Email))
		if e, ok := errors.AsType[*auth.TakenError](err); !ok || !e.Email {
			t.Errorf("ConfirmEmail of an address that somebody has: got %v, want it taken", err)
		}
		f.expectState(t, want)
		f.expectToken(t, token, nil)
		f.expectToken(t, taken, nil)
	})

	t.Run("of two changes that are confirmed at once one happens, whole", func(t *testing.T) {
		t.Parallel()
		n := f.newUser()
		user := f.create(t, n)
		addresses := []*auth.Email{f.email(), f.email(), f.email()}
		changes := make([]auth.EmailConfirmation, len(addresses))
		for i, a := range addresses {
			changes[i] = f.change(f.proof(t, auth.PurposeChangeEmail, user.ID, a), n.Email)
		}
		errs := inParallel(len(changes), func(i int) error { return f.confirm(t.Context(), changes[i]) })
		won := -1
		for i, err := range errs {
			switch {
			case err == nil && won >= 0:
				t.Errorf("two changes were confirmed")
			case err == nil:
				won = i
			default:
				expectError(t, "ConfirmEmail that lost", err, auth.ErrTokenInvalid)
			}
		}
		if won < 0 {
			t.Fatal("no change was confirmed")
		}
		if got := f.stateOf(t, user.ID).User.Email; got != addresses[won].Address {
			t.Errorf("got address %s, want %s, whose change was acknowledged", got, addresses[won].Address)
		}
	})

	t.Run("a new password makes a change of address worthless that somebody else may have asked for", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n := f.newUser()
		user := f.create(t, n)
		for _, set := range []func() error{
			func() error {
				_, err := f.ChangePassword(ctx, auth.PasswordChange{
					UserID: user.ID, Verified: n.PasswordHash, New: f.password(), Now: noon, Session: f.session(noon),
				})
				return err
			},
			func() error {
				return f.ResetPassword(ctx, auth.PasswordReset{Token: f.issue(t, f.token(t, user.ID, n.Email)), Password: f.password(), Now: noon})
			},
		} {
			pending := f.proof(t, auth.PurposeChangeEmail, user.ID, f.email())
			must(t, "a new password", set())
			f.expectToken(t, pending, auth.ErrTokenInvalid)
			expectError(t, "ConfirmEmail", f.confirm(ctx, f.change(pending, n.Email)), auth.ErrTokenInvalid)
		}
	})

	t.Run("an older undo outranks a newer one", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n, second, third := f.newUser(), f.email(), f.email()
		user := f.create(t, n)
		change := func(from, to *auth.Email) {
			must(t, "ConfirmEmail", f.confirm(ctx, auth.EmailConfirmation{
				Token: f.proof(t, auth.PurposeChangeEmail, user.ID, to), Old: from.Address, Now: noon,
			}))
		}
		undo := func(to *auth.Email, issued time.Time) auth.OneTimeToken {
			token := f.token(t, user.ID, to)
			token.Purpose, token.IssuedAt, token.ExpiresAt = auth.PurposeUndoEmailChange, issued, noon.Add(auth.UndoTTL)
			return f.issue(t, token)
		}
		change(n.Email, second)
		owners := undo(n.Email, noon)
		change(second, third)
		thiefs := undo(second, noon.Add(time.Minute))
		must(t, "UndoEmailChange of the thief", f.UndoEmailChange(ctx, thiefs, noon.Add(time.Hour)))
		must(t, "UndoEmailChange of the owner", f.UndoEmailChange(ctx, owners, noon.Add(time.Hour)))
		if got := f.stateOf(t, user.ID).User.Email; got != n.Email.Address {
			t.Errorf("got the address %s, want the owner's", got)
		}
	})

	t.Run("a generated address is replaced without a word", func(t *testing.T) {
		t.Parallel()
		n := f.newUser()
		n.Email = nil
		user := f.create(t, n)
		token := f.proof(t, auth.PurposeChangeEmail, user.ID, f.email())
		must(t, "ConfirmEmail", f.confirm(t.Context(), auth.EmailConfirmation{Token: token, Now: noon}))
		if got := f.stateOf(t, user.ID).User; got.Email != token.Address || got.EmailGenerated {
			t.Errorf("got %+v, want the new address", got)
		}
	})
}
