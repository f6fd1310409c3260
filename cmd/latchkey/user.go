package main

import (
	"errors"
	"fmt"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/config"
)

type userCommand struct {
	Disable disableCommand `cmd:"" help:"Keep a user out: no sign-in, and every session is refused at once. Example: latchkey user disable john@example.com"`
	Enable  enableCommand  `cmd:"" help:"Let a disabled user in again. Example: latchkey user enable john_smith"`
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

func (f userFlags) setStatus(w world, status auth.Status, done string) (err error) {
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
	if err := store.SetStatus(w.ctx, user.ID, status); err != nil {
		return fmt.Errorf("set status: %w", err)
	}
	_, err = fmt.Fprintf(w.stdout, "%s user %d (%s)\n", done, user.ID, user.Username)
	return err
}
