package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/config"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

type userCommand struct {
	Disable disableCommand `cmd:"" help:"Keep a user out: no sign-in, and every session is refused at once. Example: latchkey user disable john@example.com"`
	Enable  enableCommand  `cmd:"" help:"Let a disabled user in again. Example: latchkey user enable john_smith"`
	Merge   mergeCommand   `cmd:"" help:"Make two users of one person one: the ways in of FROM become those of INTO, and FROM is deleted with its profile and sessions. Example: latchkey user merge id:17 john_smith"`
	Unlock  unlockCommand  `cmd:"" help:"Forget the wrong passwords that were tried at a user, and the waits that they began. Example: latchkey user unlock john_smith"`
}

// userFlags name one user in a database.
type userFlags struct {
	config.DatabaseOnly
	Login string `arg:"" help:"Username, e-mail address or id:N."`
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
	find, err := parseUser(f.Login)
	if err != nil {
		return err
	}
	store, err := openExisting(w.ctx, db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	user, err := find(w.ctx, store)
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
	From string `arg:"" help:"Username, e-mail address or id:N of the user who is deleted."`
	Into string `arg:"" help:"Username, e-mail address or id:N of the user who stays, unchanged but for the new ways in."`
}

// Run merges the users.
func (c mergeCommand) Run(w world) (err error) {
	db, err := c.Settings()
	if err != nil {
		return err
	}
	findFrom, err := parseUser(c.From)
	if err != nil {
		return err
	}
	findInto, err := parseUser(c.Into)
	if err != nil {
		return err
	}
	store, err := openExisting(w.ctx, db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	from, err := findFrom(w.ctx, store)
	if err != nil {
		return err
	}
	into, err := findInto(w.ctx, store)
	if err != nil {
		return err
	}
	if from.ID == into.ID {
		return fmt.Errorf("%q and %q are the same user", c.From, c.Into)
	}
	now := time.Now().UTC()
	switch err := store.MergeUsers(w.ctx, from.ID, into.ID, now); {
	case errors.Is(err, auth.ErrHasIdentity):
		return errors.New("both users have a WeChat account in the same app; one of them has to unlink it first (DELETE /user/identities/{id}), after setting a password if that is the only way in")
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

// userFinder finds a user who was named.
type userFinder func(context.Context, *sqlstore.Store) (auth.User, error)

// parseUser reads how people name a user: id:N, which no username can be, an e-mail address or a username.
func parseUser(typed string) (userFinder, error) {
	var find func(context.Context, *sqlstore.Store) (auth.User, auth.PasswordHash, error)
	switch id, ok, err := parseUserID(typed); {
	case err != nil:
		return nil, err
	case ok:
		find = func(ctx context.Context, s *sqlstore.Store) (auth.User, auth.PasswordHash, error) {
			return s.FindUser(ctx, id)
		}
	default:
		login, err := auth.ParseLogin(typed, noPlaceholderDomain)
		if err != nil {
			return nil, fmt.Errorf("%q is no username, no e-mail address and no id:N", typed)
		}
		find = func(ctx context.Context, s *sqlstore.Store) (auth.User, auth.PasswordHash, error) {
			return s.FindLogin(ctx, login)
		}
	}
	return func(ctx context.Context, s *sqlstore.Store) (auth.User, error) {
		user, _, err := find(ctx, s)
		switch {
		case errors.Is(err, auth.ErrNotFound):
			return auth.User{}, fmt.Errorf("there is no user %q", typed)
		case err != nil:
			return auth.User{}, fmt.Errorf("find user: %w", err)
		}
		return user, nil
	}, nil
}

// parseUserID reads id:N, and says whether it is that form at all.
func parseUserID(typed string) (id auth.UserID, ok bool, err error) {
	digits, ok := strings.CutPrefix(typed, "id:")
	if !ok {
		return 0, false, nil
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 1 {
		return 0, true, fmt.Errorf("%q is no id of a user, write id:17 for example", typed)
	}
	return auth.UserID(n), true, nil
}

// auditOperator records what a command did.
func auditOperator(ctx context.Context, store *sqlstore.Store, e auth.AuditEvent) error {
	e.At, e.Outcome, e.Proof = time.Now().UTC(), auth.AuditOK, auth.ProofOperator
	if err := store.AppendAuditEvents(ctx, []auth.AuditEvent{e}); err != nil {
		return fmt.Errorf("it is done, but the audit event could not be written: %w", err)
	}
	return nil
}
