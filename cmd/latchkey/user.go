package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/config"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

type userCommand struct {
	Disable disableCommand `cmd:"" help:"Keep a user out: no sign-in, and every session is refused at once. Example: latchkey user disable john@example.com"`
	Enable  enableCommand  `cmd:"" help:"Let a disabled user in again. Example: latchkey user enable john_smith"`
	Merge   mergeCommand   `cmd:"" help:"Make two users of one person one: the ways in of FROM become those of INTO, and FROM is deleted with its profile and sessions. Example: latchkey user merge 9f86d081 john_smith"`
	Unlock  unlockCommand  `cmd:"" help:"Forget the wrong passwords that were tried at a user, and the waits that they began. Example: latchkey user unlock john_smith"`
}

// userFlags name one user in a database.
type userFlags struct {
	config.DatabaseOnly
	Login string `arg:"" help:"Username or e-mail address."`
}

type disableCommand struct{ userFlags }

// Run disables the user.
func (c disableCommand) Run(w world) error {
	return c.setStatus(w, auth.StatusDisabled, auth.AuditUserDisabled, "disabled")
}

type enableCommand struct{ userFlags }

// Run enables the user.
func (c enableCommand) Run(w world) error {
	return c.setStatus(w, auth.StatusActive, auth.AuditUserEnabled, "enabled")
}

type unlockCommand struct{ userFlags }

// Run lets passwords of the user be tried again.
func (c unlockCommand) Run(w world) error {
	return c.change(w, "unlocked", auth.AuditUnlocked, func(store *sqlstore.Store, user auth.UserID) error {
		return store.Unlock(w.ctx, user)
	})
}

func (f userFlags) setStatus(w world, status auth.Status, kind auth.AuditKind, done string) error {
	return f.change(w, done, kind, func(store *sqlstore.Store, user auth.UserID) error {
		return store.SetStatus(w.ctx, user, status)
	})
}

// change does something to the user, records it and says so.
func (f userFlags) change(w world, done string, kind auth.AuditKind, do func(*sqlstore.Store, auth.UserID) error) (err error) {
	db, err := f.Settings()
	if err != nil {
		return err
	}
	login, err := parseLogin(f.Login)
	if err != nil {
		return err
	}
	store, err := openExisting(w.ctx, db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	user, err := findUser(w.ctx, store, login, f.Login)
	if err != nil {
		return err
	}
	if err := do(store, user.ID); err != nil {
		return fmt.Errorf("change user: %w", err)
	}
	if err := auditOperator(w.ctx, store, auth.AuditEvent{Kind: kind, UserID: user.ID}); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w.stdout, "%s user %d (%s)\n", done, user.ID, user.Username)
	return err
}

type mergeCommand struct {
	config.DatabaseOnly
	From string `arg:"" help:"Username or e-mail address of the user who is deleted."`
	Into string `arg:"" help:"Username or e-mail address of the user who stays, unchanged but for the new ways in."`
}

// Run merges the users.
func (c mergeCommand) Run(w world) (err error) {
	db, err := c.Settings()
	if err != nil {
		return err
	}
	fromLogin, err := parseLogin(c.From)
	if err != nil {
		return err
	}
	intoLogin, err := parseLogin(c.Into)
	if err != nil {
		return err
	}
	store, err := openExisting(w.ctx, db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	from, err := findUser(w.ctx, store, fromLogin, c.From)
	if err != nil {
		return err
	}
	into, err := findUser(w.ctx, store, intoLogin, c.Into)
	if err != nil {
		return err
	}
	if from.ID == into.ID {
		return fmt.Errorf("%q and %q are the same user", c.From, c.Into)
	}
	now := time.Now().UTC()
	switch err := store.MergeUsers(w.ctx, from.ID, into.ID, now); {
	case errors.Is(err, auth.ErrHasIdentity):
		return errors.New("both users have a WeChat account in the same app; unlink one of them first (DELETE /user/identities/{id})")
	case errors.Is(err, auth.ErrChanged):
		return errors.New("one of the users is disabled, or the user who is to stay is a guest; nothing was changed")
	case err != nil:
		return fmt.Errorf("merge users: %w", err)
	}
	err = auditOperator(w.ctx, store, auth.AuditEvent{Kind: auth.AuditUsersMerged, UserID: into.ID, OtherID: from.ID})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w.stdout, "merged user %d (%s) into user %d (%s)\n", from.ID, from.Username, into.ID, into.Username)
	return err
}

// parseLogin reads a username or an e-mail address.
func parseLogin(typed string) (auth.Login, error) {
	login, err := auth.ParseLogin(typed, noPlaceholderDomain)
	if err != nil {
		return auth.Login{}, fmt.Errorf("%q is no username and no e-mail address", typed)
	}
	return login, nil
}

// findUser finds the user that was typed.
func findUser(ctx context.Context, store *sqlstore.Store, login auth.Login, typed string) (auth.User, error) {
	user, _, err := store.FindLogin(ctx, login)
	switch {
	case errors.Is(err, auth.ErrNotFound):
		return auth.User{}, fmt.Errorf("there is no user %q", typed)
	case err != nil:
		return auth.User{}, fmt.Errorf("find user: %w", err)
	}
	return user, nil
}

// auditOperator records what a command did.
func auditOperator(ctx context.Context, store *sqlstore.Store, e auth.AuditEvent) error {
	e.At, e.Outcome, e.Proof = time.Now().UTC(), auth.AuditOK, auth.ProofOperator
	if err := store.AppendAuditEvents(ctx, []auth.AuditEvent{e}); err != nil {
		return fmt.Errorf("it is done, but the audit event could not be written: %w", err)
	}
	return nil
}
