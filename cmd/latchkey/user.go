package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/config"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

type userCommand struct {
	Disable disableCommand `cmd:"" help:"Keep a user out: no sign-in, and every session is refused at once. Example: latchkey user disable john@example.com"`
	Enable  enableCommand  `cmd:"" help:"Let a disabled user in again. Example: latchkey user enable john_smith"`
}

// userFlags name one user in a database.
type userFlags struct {
	config.DatabaseOnly
	Login string `arg:"" help:"Username, e-mail address or id:N."`
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
	find, err := f.finder()
	if err != nil {
		return err
	}
	store, err := openExisting(w.ctx, db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	user, _, err := find(w.ctx, store)
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

// finder returns how to find the user who is named: id:N, which no username can be, an address or a username.
func (f userFlags) finder() (func(context.Context, *sqlstore.Store) (auth.User, auth.PasswordHash, error), error) {
	if digits, ok := strings.CutPrefix(f.Login, "id:"); ok {
		id, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || id < 1 {
			return nil, fmt.Errorf("%q is no id of a user, write id:17 for example", f.Login)
		}
		return func(ctx context.Context, s *sqlstore.Store) (auth.User, auth.PasswordHash, error) {
			return s.FindUser(ctx, auth.UserID(id))
		}, nil
	}
	login, err := auth.ParseLogin(f.Login, noPlaceholderDomain)
	if err != nil {
		return nil, fmt.Errorf("%q is no username, no e-mail address and no id:N", f.Login)
	}
	return func(ctx context.Context, s *sqlstore.Store) (auth.User, auth.PasswordHash, error) {
		return s.FindLogin(ctx, login)
	}, nil
}
