package storetest

import (
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/internal/auth"
)

// request keeps a sign-up and returns it with the message that belongs to it.
func (f fixture) request(t *testing.T, email *auth.Email) (auth.PendingSignUp, auth.MessageID) {
	t.Helper()
	p := auth.PendingSignUp{
		Username: f.username(), Email: *email, PasswordHash: f.password(), Language: auth.SimplifiedChinese,
		ExpiresAt: noon.Add(24 * time.Hour),
	}
	must(t, "RequestSignUp", f.RequestSignUp(t.Context(), p, f.message(auth.MailConfirmSignUp, 0, email.Address)))
	queued := f.queued(t, email.Address)
	if len(queued) == 0 {
		t.Fatal("no message belongs to the sign-up")
	}
	return p, queued[len(queued)-1].ID
}

// pending is a sign-up whose mail was written.
func (f fixture) pending(t *testing.T, email *auth.Email) (auth.PendingSignUp, auth.MessageID) {
	t.Helper()
	want, message := f.request(t, email)
	want.TokenHash, want.CodeHash = f.hash(), f.hash()
	got, err := f.MailSignUp(t.Context(), message, want.TokenHash, want.CodeHash, auth.MaxSignUpMails, noon)
	must(t, "MailSignUp", err)
	want.ID = got.ID
	if diff := cmp.Diff(want, got, exactly...); diff != "" {
		t.Errorf("the sign-up (-want +got):\n%s", diff)
	}
	return got, message
}

func (f fixture) expectSignUp(t *testing.T, p auth.PendingSignUp, want error) {
	t.Helper()
	got, err := f.FindSignUp(t.Context(), p.TokenHash, noon)
	expectError(t, "FindSignUp", err, want)
	if want == nil {
		if diff := cmp.Diff(p, got, exactly...); diff != "" {
			t.Errorf("FindSignUp (-want +got):\n%s", diff)
		}
	}
}

// attemptSignUp attempts a code for the address and fails the test unless these are to be compared with it.
func (f fixture) attemptSignUp(t *testing.T, email auth.Email, now time.Time, want ...auth.PendingSignUp) {
	t.Helper()
	got, err := f.AttemptSignUpCode(t.Context(), email.Key, now)
	must(t, "AttemptSignUpCode", err)
	if diff := cmp.Diff(want, got, exactly...); diff != "" {
		t.Errorf("AttemptSignUpCode (-want +got):\n%s", diff)
	}
}

func (f fixture) confirmation(p auth.PendingSignUp) auth.SignUpConfirmation {
	return auth.SignUpConfirmation{SignUp: p, Now: noon, Session: f.session(noon)}
}

// testSignUps runs what leases mail one after another.
func testSignUps(t *testing.T, db Database) {
	f := newFixture(t, db)
	other := f.on(open(t, db))

	t.Run("a sign-up holds nothing, and is found by its token once that was mailed, until it expires", func(t *testing.T) {
		ctx := t.Context()
		owner := f.newUser()
		f.create(t, owner)
		taken, _ := f.request(t, owner.Email) // the same as any other
		f.expectSignUp(t, taken, auth.ErrTokenInvalid)
		f.attemptSignUp(t, *owner.Email, noon)

		p, _ := f.pending(t, f.email())
		f.expectFree(t, p.Username, &p.Email, nil)
		f.expectSignUp(t, p, nil)
		_, err := f.FindSignUp(ctx, p.TokenHash, p.ExpiresAt)
		expectError(t, "FindSignUp when it has expired", err, auth.ErrTokenInvalid)
		_, err = f.FindSignUp(ctx, auth.TokenHash{}, noon)
		expectError(t, "FindSignUp without a token", err, auth.ErrTokenInvalid)
		_, err = f.FindSignUp(ctx, p.CodeHash, noon)
		expectError(t, "FindSignUp by the hash of the code", err, auth.ErrTokenInvalid)
		_, err = f.MailSignUp(ctx, 1<<40, f.hash(), f.hash(), auth.MaxSignUpMails, noon)
		expectError(t, "MailSignUp of no message", err, auth.ErrNotFound)
	})

	t.Run("a message that is sent again has a new token and code, and counts once", func(t *testing.T) {
		email := f.email()
		first, message := f.pending(t, email)
		for range auth.MaxSignUpMails + 2 {
			again := first
			again.TokenHash, again.CodeHash = f.hash(), f.hash()
			_, err := f.MailSignUp(t.Context(), message, again.TokenHash, again.CodeHash, auth.MaxSignUpMails, noon)
			must(t, "MailSignUp, again", err)
			f.expectSignUp(t, first, auth.ErrTokenInvalid)
			f.expectSignUp(t, again, nil)
			f.attemptSignUp(t, *email, noon, again)
			first = again
		}
	})

	t.Run("an address gets no more mails than it may, with a token or without, whichever node writes them", func(t *testing.T) {
		ctx := t.Context()
		email := f.email()
		messages := make([]auth.MessageID, auth.MaxSignUpMails+5)
		for i := range messages {
			_, messages[i] = f.request(t, email)
		}
		errs := inParallel(len(messages), func(i int) error {
			token := f.hash()
			if i%2 == 0 {
				token = auth.TokenHash{}
			}
			node := f
			if i%3 == 0 {
				node = other
			}
			_, err := node.MailSignUp(ctx, messages[i], token, f.hash(), auth.MaxSignUpMails, noon)
			return err
		})
		mailed := 0
		for i, err := range errs {
			if err == nil {
				mailed++
				messages[i] = 0
				continue
			}
			expectError(t, "MailSignUp of one too many", err, auth.ErrNotFound)
		}
		if mailed != auth.MaxSignUpMails {
			t.Errorf("got %d mails, want %d", mailed, auth.MaxSignUpMails)
		}
		for _, message := range messages {
			if message != 0 {
				_, err := f.MailSignUp(ctx, message, f.hash(), f.hash(), auth.MaxSignUpMails, noon.Add(auth.SignUpMailWindow))
				must(t, "MailSignUp when the first ones are long ago", err)
				break
			}
		}
		f.pending(t, f.email()) // another address
	})

	t.Run("a code is compared as often as it may, and an attempt that is given back may be made again", func(t *testing.T) {
		email := f.email()
		p, _ := f.pending(t, email)
		foreign, _ := f.pending(t, f.email())
		must(t, "ReturnSignUpCodeAttempt before any", f.ReturnSignUpCodeAttempt(t.Context(), p))
		f.attemptSignUp(t, *email, p.ExpiresAt) // not when it has expired
		for range auth.MaxCodeAttempts {
			f.attemptSignUp(t, *email, noon, p)
		}
		f.attemptSignUp(t, *email, noon)
		must(t, "ReturnSignUpCodeAttempt", f.ReturnSignUpCodeAttempt(t.Context(), p))
		f.attemptSignUp(t, *email, noon, p)
		f.attemptSignUp(t, *email, noon)
		f.expectSignUp(t, p, nil) // the link is no guess
		f.attemptSignUp(t, foreign.Email, noon, foreign)
	})

	t.Run("the password is compared with a link as often as it may be, whichever node does it, and codes do not count there", func(t *testing.T) {
		ctx := t.Context()
		email := f.email()
		p, message := f.pending(t, email)
		foreign, _ := f.pending(t, f.email())
		must(t, "ReturnSignUpLinkAttempt before any", f.ReturnSignUpLinkAttempt(ctx, p))
		_, err := f.AttemptSignUpLink(ctx, p.TokenHash, p.ExpiresAt)
		expectError(t, "AttemptSignUpLink when it has expired", err, auth.ErrTokenInvalid)
		_, err = f.AttemptSignUpLink(ctx, f.hash(), noon)
		expectError(t, "AttemptSignUpLink without a sign-up", err, auth.ErrTokenInvalid)
		for range auth.MaxCodeAttempts {
			f.attemptSignUp(t, *email, noon, p)
		}
		attempts := inParallel(auth.MaxLinkAttempts+5, func(i int) error {
			node := f
			if i%2 == 1 {
				node = other
			}
			got, err := node.AttemptSignUpLink(ctx, p.TokenHash, noon)
			if err == nil && !cmp.Equal(p, got, exactly...) {
				t.Errorf("AttemptSignUpLink: got %+v, want %+v", got, p)
			}
			return err
		})
		counted := 0
		for _, err := range attempts {
			if err == nil {
				counted++
				continue
			}
			expectError(t, "AttemptSignUpLink of one too many", err, auth.ErrTokenInvalid)
		}
		if counted != auth.MaxLinkAttempts {
			t.Errorf("got %d attempts, want %d", counted, auth.MaxLinkAttempts)
		}
		f.expectSignUp(t, p, auth.ErrTokenInvalid)
		f.attemptSignUp(t, *email, noon) // a link gives no code its attempts back
		must(t, "ReturnSignUpLinkAttempt", f.ReturnSignUpLinkAttempt(ctx, p))
		f.expectSignUp(t, p, nil)
		_, err = f.AttemptSignUpLink(ctx, p.TokenHash, noon)
		must(t, "AttemptSignUpLink that was given back", err)
		f.expectSignUp(t, foreign, nil)
		_, err = f.MailSignUp(ctx, message, p.TokenHash, p.CodeHash, auth.MaxSignUpMails, noon)
		must(t, "MailSignUp, again", err)
		f.expectSignUp(t, p, nil)
	})

	t.Run("a sign-up that was told too often that a name is taken is dead, and still counts as a mail", func(t *testing.T) {
		ctx := t.Context()
		email := f.email()
		p, _ := f.pending(t, email)
		rival, _ := f.pending(t, email)
		told := inParallel(auth.MaxTakenAnswers+5, func(i int) error {
			node := f
			if i%2 == 1 {
				node = other
			}
			return node.CountTakenAnswer(ctx, p)
		})
		answers := 0
		for _, err := range told {
			if err == nil {
				answers++
				continue
			}
			expectError(t, "CountTakenAnswer of one too many", err, auth.ErrTokenInvalid)
		}
		if answers != auth.MaxTakenAnswers {
			t.Errorf("got %d answers, want %d", answers, auth.MaxTakenAnswers)
		}
		f.expectSignUp(t, p, auth.ErrTokenInvalid)
		f.attemptSignUp(t, *email, noon, rival)
		_, err := f.ConfirmSignUp(ctx, f.confirmation(p))
		expectError(t, "ConfirmSignUp of a dead one", err, auth.ErrTokenInvalid)
		f.pending(t, email)
		_, message := f.request(t, email)
		_, err = f.MailSignUp(ctx, message, f.hash(), f.hash(), auth.MaxSignUpMails, noon)
		expectError(t, "MailSignUp of one too many", err, auth.ErrNotFound)
		_, err = f.MailSignUp(ctx, message, f.hash(), f.hash(), auth.MaxSignUpMails+1, noon)
		must(t, "MailSignUp where more are allowed", err)
	})

	t.Run("what is pending for an address ends when a user proves it, and not before", func(t *testing.T) {
		n, wanted := f.newUser(), f.email()
		user := f.create(t, n)
		for _, tt := range []struct {
			purpose auth.Purpose
			email   *auth.Email
		}{{auth.PurposeVerifyEmail, n.Email}, {auth.PurposeChangeEmail, wanted}} {
			p, _ := f.pending(t, tt.email)
			foreign, _ := f.pending(t, f.email())
			token := f.proof(t, tt.purpose, user.ID, tt.email)
			unknown := token
			unknown.TokenHash = f.hash()
			expectError(t, "ConfirmEmail with another token", f.confirm(t.Context(), auth.EmailConfirmation{Token: unknown, Now: noon}), auth.ErrTokenInvalid)
			f.expectSignUp(t, p, nil)
			must(t, "ConfirmEmail", f.confirm(t.Context(), auth.EmailConfirmation{Token: token, Old: n.Email.Address, Now: noon}))
			f.expectSignUp(t, p, auth.ErrTokenInvalid)
			f.attemptSignUp(t, *tt.email, noon)
			f.expectSignUp(t, foreign, nil)
		}
	})

	t.Run("a confirmation creates the user as sign-up does, with a verified address, and ends what else is pending for it", func(t *testing.T) {
		ctx := t.Context()
		email := f.email()
		p, _ := f.pending(t, email)
		rival, _ := f.pending(t, email)
		foreign, _ := f.pending(t, f.email())
		c := f.confirmation(p)
		user, err := f.ConfirmSignUp(ctx, c)
		must(t, "ConfirmSignUp", err)
		c.Session.UserID = user.ID
		want := state{
			User: auth.User{
				ID: user.ID, Username: p.Username, Email: email.Address, EmailVerified: true, Fullname: p.Username,
				Language: auth.SimplifiedChinese, CreatedAt: noon,
			},
			Password: p.PasswordHash, Sessions: []auth.Session{c.Session},
		}
		expectUser(t, "ConfirmSignUp", user, want.User)
		f.expectState(t, want)
		for _, used := range []auth.PendingSignUp{p, rival} {
			f.expectSignUp(t, used, auth.ErrTokenInvalid)
			_, err := f.ConfirmSignUp(ctx, f.confirmation(used))
			expectError(t, "ConfirmSignUp, once more", err, auth.ErrTokenInvalid)
		}
		f.attemptSignUp(t, *email, noon)
		f.expectSignUp(t, foreign, nil)
		must(t, "ConfirmSignUp without a session", func() error {
			_, err := f.ConfirmSignUp(ctx, auth.SignUpConfirmation{SignUp: foreign, Now: noon})
			return err
		}())
		owner, _, err := f.FindLogin(ctx, auth.Login{Username: foreign.Username})
		must(t, "FindLogin", err)
		f.expectSessions(t, owner.ID)
	})

	t.Run("a guest who confirms keeps the id and no session", func(t *testing.T) {
		ctx := t.Context()
		n := f.newGuest()
		guest := f.create(t, n)
		p, _ := f.pending(t, f.email())
		c := f.confirmation(p)
		c.GuestID = guest.ID
		user, err := f.ConfirmSignUp(ctx, c)
		must(t, "ConfirmSignUp", err)
		if user.ID != guest.ID || user.Guest || !user.EmailVerified || user.Username != p.Username {
			t.Errorf("got %+v", user)
		}
		f.expectNoSession(t, n.Session.ID)
		f.expectSessions(t, guest.ID, c.Session.ID)
		late, _ := f.pending(t, f.email())
		c = f.confirmation(late)
		c.GuestID = guest.ID
		_, err = f.ConfirmSignUp(ctx, c)
		expectError(t, "ConfirmSignUp by whoever is no guest any more", err, auth.ErrChanged)
		f.expectSignUp(t, late, nil)
	})

	t.Run("a confirmation that fails leaves the sign-up and the guest as they were", func(t *testing.T) {
		ctx := t.Context()
		owner := f.newUser()
		f.create(t, owner)
		guest := f.create(t, f.newGuest())
		before := f.stateOf(t, guest.ID)
		p, _ := f.pending(t, f.email())
		for name, tt := range map[string]struct {
			change func(*auth.SignUpConfirmation)
			want   error
		}{
			"expired":                {func(c *auth.SignUpConfirmation) { c.Now = p.ExpiresAt }, auth.ErrTokenInvalid},
			"mailed again":           {func(c *auth.SignUpConfirmation) { c.SignUp.TokenHash = f.hash() }, auth.ErrTokenInvalid},
			"whose name is taken":    {func(c *auth.SignUpConfirmation) { c.SignUp.Username = owner.Username }, &auth.TakenError{Username: true}},
			"whose session id is":    {func(c *auth.SignUpConfirmation) { c.Session.ID = owner.Session.ID }, auth.ErrSessionIDTaken},
			"of a guest who is gone": {func(c *auth.SignUpConfirmation) { c.GuestID = nobody }, auth.ErrChanged},
		} {
			c := f.confirmation(p)
			tt.change(&c)
			_, err := f.ConfirmSignUp(ctx, c)
			expectError(t, "ConfirmSignUp of a sign-up "+name, err, tt.want)
			if c.GuestID == 0 {
				c.GuestID = guest.ID
				_, err = f.ConfirmSignUp(ctx, c)
				expectError(t, "ConfirmSignUp by a guest of a sign-up "+name, err, tt.want)
			}
		}
		f.expectSignUp(t, p, nil)
		f.expectState(t, before)

		taken := f.newUser()
		taken.Email = &p.Email
		f.create(t, taken)
		_, err := f.ConfirmSignUp(ctx, f.confirmation(p))
		expectError(t, "ConfirmSignUp with a taken address", err, &auth.TakenError{Email: true})
	})

	t.Run("of confirmations at once one wins, of one sign-up and of several for one address or name", func(t *testing.T) {
		ctx := t.Context()
		for round := range 10 {
			email := f.email()
			var pending []auth.PendingSignUp
			for range auth.MaxSignUpMails {
				p, _ := f.pending(t, email)
				pending = append(pending, p, p)
			}
			namesake, _ := f.pending(t, f.email())
			namesake.Username = pending[0].Username
			pending = append(pending, namesake)
			errs := inParallel(len(pending), func(i int) error {
				node := f
				if i%2 == 1 {
					node = other
				}
				_, err := node.ConfirmSignUp(ctx, node.confirmation(pending[i]))
				return err
			})
			won := 0
			for _, err := range errs[:len(errs)-1] {
				_, taken := errors.AsType[*auth.TakenError](err)
				switch {
				case err == nil:
					won++
				case !taken:
					expectError(t, "ConfirmSignUp that lost", err, auth.ErrTokenInvalid)
				}
			}
			if won > 1 || won == 0 && errs[len(errs)-1] != nil {
				t.Errorf("round %d: got %d winners: %v", round, won, errs)
			}
		}
	})

	t.Run("what expires is deleted, and what is pending for the address of whoever is deleted", func(t *testing.T) {
		ctx := t.Context()
		n := f.newUser()
		user := f.create(t, n)
		_, toOwner := f.request(t, n.Email)
		must(t, "DeleteUser", f.DeleteUser(ctx, user.ID, n.PasswordHash, noon))
		_, err := f.MailSignUp(ctx, toOwner, f.hash(), [sha256.Size]byte{}, auth.MaxSignUpMails, noon)
		expectError(t, "MailSignUp for a deleted user's address", err, auth.ErrNotFound)

		p, message := f.pending(t, f.email())
		due := auth.Due{Now: p.ExpiresAt.Add(-time.Microsecond)}
		_, err = f.CleanUp(ctx, due, 1000)
		must(t, "CleanUp", err)
		f.expectSignUp(t, p, nil)
		due.Now = p.ExpiresAt
		_, err = f.CleanUp(ctx, due, 1000)
		must(t, "CleanUp", err)
		f.expectSignUp(t, p, auth.ErrTokenInvalid)
		_, err = f.MailSignUp(ctx, message, f.hash(), f.hash(), auth.MaxSignUpMails, noon)
		expectError(t, "MailSignUp when it was deleted", err, auth.ErrNotFound)
	})
}
