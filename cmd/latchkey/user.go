package main

import (
	"errors"
	"fmt"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/config"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

type userCommand struct {
	Disable disableCommand `cmd:"" help:"Keep a user out: no sign-in, and every session is refused at once. Example: latchkey user disable john@example.com"`
	Enable  enableCommand  `cmd:"" help:"Let a disabled user in again. Example: latchkey user enable john_smith"`
	Unlock  unlockCommand  `cmd:"" help:"Forget the wrong passwords that were tried at a user, and the waits that they began. Example: latchkey user unlock john_smith"`
}

// userFlags name one user in a database.
type userFlags struct {
	config.DatabaseOnly
	Login string `arg:"" help:"Username or e-mail address."`
}

type disableCommand struct{ userFlags }

// Run disables the user.
func (c disableCommand) Run(w world) error { return c.setStatus(w, auth.StatusDisabled, "disabled") }

type enableCommand struct{ userFlags }

// Run enables the user.
func (c enableCommand) Run(w world) error { return c.setStatus(w, auth.StatusActive, "enabled") }

type unlockCommand struct{ userFlags }

// Run lets passwords of the user be tried again.
func (c unlockCommand) Run(w world) error {
	return c.change(w, "unlocked", func(store *sqlstore.Store, user auth.UserID) error { return store.Unlock(w.ctx, user) })
}

func (f userFlags) setStatus(w world, status auth.Status, done string) error {
	return f.change(w, done, func(store *sqlstore.Store, user auth.UserID) error { return store.SetStatus(w.ctx, user, status) })
}

// change does something to the user and says so.
func (f userFlags) change(w world, done string, do func(*sqlstore.Store, auth.UserID) error) (err error) {
	db, err := f.Settings()
	if err != nil {
		return err
	}
	login, err := auth.ParseLogin(f.Login, noPlaceholderDomain)
	if err != nil {
		return fmt.Errorf("%q is no username and no e-mail address", f.Login)
	}
	store, err := openExisting(w.ctx, db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	user, _, err := store.FindLogin(w.ctx, login)
	switch {
	case errors.Is(err, auth.ErrNotFound):
		return fmt.Errorf("there is no user %q", f.Login)
	case err != nil:
		return fmt.Errorf("find user: %w", err)
	}
	if err := do(store, user.ID); err != nil {
		return fmt.Errorf("change user: %w", err)
	}
	_, err = fmt.Fprintf(w.stdout, "%s user %d (%s)\n", done, user.ID, user.Username)
	return err
}
