package storetest

import (
	"context"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/internal/auth"
)

func testRestarts(t *testing.T, db Database) {
	t.Run("what was acknowledged is there after a restart", func(t *testing.T) {
		f := newFixture(t, db)
		ctx := t.Context()
		n := f.newUser()
		n.Identities = f.identities()
		user := f.create(t, n)
		second := f.signIn(t, user.ID, noon)
		used := noon.Add(time.Minute)
		must(t, "TouchSessions", f.TouchSessions(ctx, []auth.SessionUse{{ID: second.ID, UsedAt: used, ExpiresAt: distant}}))
		_, err := f.UpdateProfile(ctx, user.ID, auth.ProfileChange{Fullname: new("王小明"), Avatar: new("a.png")})
		must(t, "UpdateProfile", err)
		token := f.issue(t, f.token(t, user.ID, n.Email))
		message := f.queue(t, f.message(auth.MailResetPassword, 0, n.Email.Key))
		guest := f.create(t, f.newGuest())
		must(t, "SetStatus", f.SetStatus(ctx, guest.ID, auth.StatusDisabled))
		deleted := f.newUser()
		gone := f.create(t, deleted)
		must(t, "DeleteUser", f.DeleteUser(ctx, gone.ID, deleted.PasswordHash, noon))
		states := []state{f.stateOf(t, user.ID), f.stateOf(t, guest.ID)}

		for range 2 {
			must(t, "Close", f.Close())
			f = f.on(open(t, db))
			for _, s := range states {
				f.expectState(t, s)
			}
			_, err := f.FindIdentity(t.Context(), n.Identities[0])
			must(t, "FindIdentity", err)
			f.expectToken(t, token, nil)
			f.expectQueued(t, []string{n.Email.Key}, message)
			deleted.Session = f.session(noon)
			_, err = f.CreateUser(t.Context(), deleted)
			expectError(t, "CreateUser", err, &auth.TakenError{Username: true})
		}
	})

	t.Run("an id is never given out again, also after a restart", func(t *testing.T) {
		f := newFixture(t, db)
		n := f.newGuest()
		n.Username, n.Now = "last-of-all", noon.AddDate(-9, 0, 0)
		n.Session = f.session(n.Now)
		guest := f.create(t, n)
		must(t, "RevokeSession", f.RevokeSession(t.Context(), guest.ID, n.Session.ID))
		f.expectCleanUp(t, auth.Due{GuestsBefore: noon.AddDate(-8, 0, 0)}, 1)
		must(t, "Close", f.Close())
		f = f.on(open(t, db))
		n.Session.ID += 1 << 40
		if again := f.create(t, n); again.ID <= guest.ID {
			t.Errorf("the new user got id %d, want one beyond %d", again.ID, guest.ID)
		}
	})

	t.Run("what is acknowledged while the store is being closed is there after a restart", func(t *testing.T) {
		f := newFixture(t, db)
		const writers = 16
		var mu sync.Mutex
		var acknowledged []auth.User
		var running, group sync.WaitGroup
		running.Add(writers)
		for range writers {
			group.Go(func() {
				for j := 0; ; j++ {
					n := f.newUser()
					n.Username, n.Email = "closing-"+n.Username, nil
					n.Session.ID += 1 << 41
					user, err := f.CreateUser(context.WithoutCancel(t.Context()), n)
					if j == 0 {
						running.Done()
					}
					if err != nil {
						expectError(t, "CreateUser", err, auth.ErrUnavailable)
						return
					}
					mu.Lock()
					acknowledged = append(acknowledged, user)
					mu.Unlock()
				}
			})
		}
		running.Wait()
		must(t, "Close", f.Close())
		group.Wait()
		if len(acknowledged) < writers {
			t.Errorf("only %d users were created before the store was closed", len(acknowledged))
		}
		f = f.on(open(t, db))
		for _, user := range acknowledged {
			found, _, err := f.FindUser(t.Context(), user.ID)
			must(t, "FindUser", err)
			expectUser(t, "FindUser", found, user)
		}
	})

	t.Run("every method of a closed store says at once that it is unavailable", func(t *testing.T) {
		f := newFixture(t, db)
		must(t, "Close", f.Close())
		begun := time.Now()
		covered := map[string]bool{"Close": true}
		for name, call := range everyMethod(f) {
			covered[name] = true
			expectError(t, name, call(t.Context()), auth.ErrUnavailable)
		}
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("it took %v to say so", took)
		}
		must(t, "Close, once more", f.Close())

		all := make(map[string]bool)
		for m := range reflect.TypeFor[Store]().Methods() {
			all[m.Name] = true
		}
		if diff := cmp.Diff(all, covered); diff != "" {
			t.Errorf("not all methods were called (-all +called):\n%s", diff)
		}
	})
}

// everyMethod returns a call of every method of the store but Close, by name.
func everyMethod(f fixture) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"CreateUser": func(ctx context.Context) error {
			_, err := f.CreateUser(ctx, f.newUser())
			return err
		},
		"UpgradeGuest": func(ctx context.Context) error {
			_, err := f.UpgradeGuest(ctx, auth.GuestUpgrade{UserID: 1, Now: noon, Session: f.session(noon)})
			return err
		},
		"CreateHandover": func(ctx context.Context) error { return f.CreateHandover(ctx, f.handover()) },
		"ConsumeHandover": func(ctx context.Context) error {
			_, err := f.ConsumeHandover(ctx, f.hash(), noon)
			return err
		},
		"FindAppToken": func(ctx context.Context) error {
			_, err := f.FindAppToken(ctx, "wx")
			return err
		},
		"LeaseAppToken": func(ctx context.Context) error {
			return f.LeaseAppToken(ctx, auth.AppTokenLease{AppID: "wx", Until: noon}, noon)
		},
		"StoreAppToken": func(ctx context.Context) error {
			return f.StoreAppToken(ctx, auth.AppTokenLease{AppID: "wx", Until: noon}, auth.SealedAppToken{})
		},
		"ReleaseAppToken": func(ctx context.Context) error {
			return f.ReleaseAppToken(ctx, auth.AppTokenLease{AppID: "wx", Until: noon})
		},
		"FindLogin": func(ctx context.Context) error {
			_, _, err := f.FindLogin(ctx, auth.Login{Username: "x"})
			return err
		},
		"FindUser": func(ctx context.Context) error {
			_, _, err := f.FindUser(ctx, 1)
			return err
		},
		"AttachIdentities": func(ctx context.Context) error {
			return f.AttachIdentities(ctx, auth.Attachment{UserID: 1, Add: f.identities(), Now: noon})
		},
		"DetachIdentities": func(ctx context.Context) error { return f.DetachIdentities(ctx, auth.Detachment{UserID: 1}) },
		"ListIdentities": func(ctx context.Context) error {
			_, err := f.ListIdentities(ctx, 1)
			return err
		},
		"MergeUsers":             func(ctx context.Context) error { return f.MergeUsers(ctx, 1, nobody, noon) },
		"SetVerifiedPhoneNumber": func(ctx context.Context) error { return f.SetVerifiedPhoneNumber(ctx, 1, "1", noon) },
		"FindIdentity": func(ctx context.Context) error {
			_, err := f.FindIdentity(ctx, f.identities()[0])
			return err
		},
		"CreateSession": func(ctx context.Context) error {
			_, err := f.CreateSession(ctx, auth.SignIn{UserID: 1, Session: f.session(noon)})
			return err
		},
		"FindSession": func(ctx context.Context) error {
			_, _, err := f.FindSession(ctx, 1)
			return err
		},
		"TouchSessions": func(ctx context.Context) error {
			return f.TouchSessions(ctx, []auth.SessionUse{{ID: 1, UsedAt: noon, ExpiresAt: noon}})
		},
		"ListSessions": func(ctx context.Context) error {
			_, err := f.ListSessions(ctx, 1, noon)
			return err
		},
		"RevokeSession":       func(ctx context.Context) error { return f.RevokeSession(ctx, 1, 1) },
		"RevokeOtherSessions": func(ctx context.Context) error { return f.RevokeOtherSessions(ctx, 1, 1) },
		"ChangePassword": func(ctx context.Context) error {
			_, err := f.ChangePassword(ctx, auth.PasswordChange{UserID: 1, New: f.password(), Now: noon, Session: f.session(noon)})
			return err
		},
		"UpdateProfile": func(ctx context.Context) error {
			_, err := f.UpdateProfile(ctx, 1, auth.ProfileChange{})
			return err
		},
		"DeleteUser": func(ctx context.Context) error { return f.DeleteUser(ctx, 1, "", noon) },
		"SetStatus":  func(ctx context.Context) error { return f.SetStatus(ctx, 1, auth.StatusActive) },
		"QueueMail": func(ctx context.Context) error {
			_, err := f.QueueMail(ctx, f.message(auth.MailResetPassword, 0, "a@b.example"))
			return err
		},
		"IssueOneTimeToken": func(ctx context.Context) error { return f.IssueOneTimeToken(ctx, f.unsent(1, f.email())) },
		"FindOneTimeToken": func(ctx context.Context) error {
			_, _, err := f.FindOneTimeToken(ctx, auth.PurposeResetPassword, f.hash(), noon)
			return err
		},
		"AttemptOneTimeCode": func(ctx context.Context) error {
			_, err := f.AttemptOneTimeCode(ctx, 1, reset, noon)
			return err
		},
		"ReturnOneTimeCodeAttempt": func(ctx context.Context) error {
			return f.ReturnOneTimeCodeAttempt(ctx, f.unsent(1, f.email()))
		},
		"RequestSignUp": func(ctx context.Context) error {
			return f.RequestSignUp(ctx, auth.PendingSignUp{Email: *f.email()}, f.message(auth.MailConfirmSignUp, 0, "a@b.example"))
		},
		"MailSignUp": func(ctx context.Context) error {
			_, err := f.MailSignUp(ctx, 1, f.hash(), f.hash(), 1, noon)
			return err
		},
		"FindSignUp": func(ctx context.Context) error {
			_, err := f.FindSignUp(ctx, f.hash(), noon)
			return err
		},
		"AttemptSignUpCode": func(ctx context.Context) error {
			_, err := f.AttemptSignUpCode(ctx, "a@b.example", noon)
			return err
		},
		"AttemptSignUpLink": func(ctx context.Context) error {
			_, err := f.AttemptSignUpLink(ctx, f.hash(), noon)
			return err
		},
		"ReturnSignUpLinkAttempt": func(ctx context.Context) error {
			return f.ReturnSignUpLinkAttempt(ctx, auth.PendingSignUp{})
		},
		"CountTakenAnswer": func(ctx context.Context) error {
			return f.CountTakenAnswer(ctx, auth.PendingSignUp{})
		},
		"ReturnSignUpCodeAttempt": func(ctx context.Context) error {
			return f.ReturnSignUpCodeAttempt(ctx, auth.PendingSignUp{})
		},
		"ConfirmSignUp": func(ctx context.Context) error {
			_, err := f.ConfirmSignUp(ctx, auth.SignUpConfirmation{SignUp: auth.PendingSignUp{Email: *f.email()}, Now: noon})
			return err
		},
		"ResetPassword": func(ctx context.Context) error {
			return f.ResetPassword(ctx, auth.PasswordReset{Token: f.unsent(1, f.email()), Password: f.password(), Now: noon})
		},
		"RequestEmailChange": func(ctx context.Context) error {
			return f.RequestEmailChange(ctx, f.message(auth.MailChangeEmail, 1, "a@b.example"))
		},
		"ConfirmEmail": func(ctx context.Context) error {
			return f.confirm(ctx, auth.EmailConfirmation{Token: f.unsent(1, f.email()), Now: noon})
		},
		"UndoEmailChange": func(ctx context.Context) error { return f.UndoEmailChange(ctx, f.unsent(1, f.email()), noon) },
		"CountUnusedGuests": func(ctx context.Context) error {
			_, err := f.CountUnusedGuests(ctx, auth.Pruning{Before: distant})
			return err
		},
		"PruneGuests": func(ctx context.Context) error {
			_, err := f.PruneGuests(ctx, auth.Pruning{Before: distant}, func(int64) {})
			return err
		},
		"CleanUp": func(ctx context.Context) error {
			_, err := f.CleanUp(ctx, auth.Due{}, 1)
			return err
		},
		"AppendAuditEvents": func(ctx context.Context) error {
			return f.AppendAuditEvents(ctx, []auth.AuditEvent{f.fact(1, noon)})
		},
		"ListAuditEvents": func(ctx context.Context) error {
			_, err := f.ListAuditEvents(ctx, auth.AuditFilter{Limit: 1})
			return err
		},
		"CheckLane":     func(ctx context.Context) error { return f.CheckLane(ctx, f.lane().Key, noon) },
		"CountFailure":  func(ctx context.Context) error { return f.countFailure(ctx, f.lane(), noon) },
		"ClearFailures": func(ctx context.Context) error { return f.ClearFailures(ctx, f.lane().Key, noon) },
		"Unlock":        func(ctx context.Context) error { return f.Unlock(ctx, 1) },
		"TakeMail": func(ctx context.Context) error {
			_, err := f.TakeMail(ctx, f.lane().Key, auth.MailLimit{Burst: 1, Interval: time.Hour}, noon)
			return err
		},
		"QueueLimited": func(ctx context.Context) error {
			return f.QueueLimited(ctx, f.message(auth.MailResetPassword, 0, "a@b.example"), f.lane().Key, auth.MailLimit{Burst: 1, Interval: time.Hour})
		},
		"Ping": func(ctx context.Context) error { return f.Ping(ctx) },
		"LeaseMail": func(ctx context.Context) error {
			_, err := f.LeaseMail(ctx, noon, noon, 1)
			return err
		},
		"RemoveMail": func(ctx context.Context) error { return f.RemoveMail(ctx, 1) },
		"RetryMail":  func(ctx context.Context) error { return f.RetryMail(ctx, 1, noon, "") },
		"FailMail":   func(ctx context.Context) error { return f.FailMail(ctx, 1, "") },
	}
}
