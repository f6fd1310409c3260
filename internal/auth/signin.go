package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ideaegg/latchkey/internal/passhash"
)

// SignIn signs a user in with a password. A login with "@" is an e-mail address and nothing else, any other a username.
// It returns ErrInvalidCredentials, the same after the same work, for an unknown login, a wrong password, a user without
// a password and a disabled one; a *ValidationError for missing members; *passhash.OverloadedError,
// passhash.ErrUnavailable or ErrUnavailable.
func (s *Service) SignIn(ctx context.Context, login, password string, origin Origin) (SignedIn, error) {
	var f faults
	if login == "" {
		f.add(FieldLogin, Required)
	}
	if password == "" {
		f.add(FieldPassword, Required)
	}
	if err := f.err(); err != nil {
		return SignedIn{}, err
	}
	user, hash, err := s.findLogin(ctx, login)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return SignedIn{}, fmt.Errorf("find login: %w", err)
	}
	if err != nil || user.Status != StatusActive {
		hash = ""
	}
	verdict, err := s.verifyPassword(ctx, hash, password, origin)
	if err != nil {
		return SignedIn{}, err
	}
	if !verdict.Match {
		return SignedIn{}, ErrInvalidCredentials
	}
	in := SignIn{UserID: user.ID, Verified: &hash}
	if verdict.Rehash {
		if in.Rehashed, err = s.cfg.Hasher.Hash(ctx, client(origin), normalizePassword(password).normalized); err != nil {
			in.Rehashed = "" // the next sign-in does it
		}
	}
	if s.cfg.NotifyNewDevice {
		in.NewDevice = notice(MailNewDevice, user, origin, s.cfg.Now().UTC())
	}
	signedIn, err := s.signInAs(ctx, in, user.Guest, origin)
	if errors.Is(err, ErrChanged) { // the password changed between reading and writing: it was not the right one any more
		return SignedIn{}, ErrInvalidCredentials
	}
	return signedIn, err
}

// signInAs creates a session for a user whose proof was checked.
func (s *Service) signInAs(ctx context.Context, in SignIn, guest bool, origin Origin) (SignedIn, error) {
	signedIn, err := s.withSession(origin, s.cfg.Now().UTC(), guest, func(session Session) (User, error) {
		in.Session = session
		return s.cfg.Store.CreateSession(ctx, in)
	})
	if err != nil {
		return SignedIn{}, fmt.Errorf("create session: %w", err)
	}
	if in.NewDevice != nil {
		s.cfg.Mailer.Wake()
	}
	return signedIn, nil
}

// findLogin finds the user that a login names. What cannot be a name or an address names nobody: ErrNotFound.
func (s *Service) findLogin(ctx context.Context, login string) (User, PasswordHash, error) {
	l, err := ParseLogin(login, s.cfg.PlaceholderDomain)
	if err != nil {
		return User{}, "", err
	}
	return s.cfg.Store.FindLogin(ctx, l)
}

// ParseLogin reads what a person types to sign in: with "@" an e-mail address and nothing else, any other a username.
// It returns ErrNotFound for what can be neither.
func ParseLogin(login, placeholderDomain string) (Login, error) {
	if !strings.Contains(login, "@") {
		username, fault := foldUsername(login)
		if fault != nil {
			return Login{}, ErrNotFound
		}
		return Login{Username: username}, nil
	}
	email, code := parseEmail(login)
	switch {
	case code != "":
		return Login{}, ErrNotFound
	case email.domain() == placeholderDomain:
		return Login{GeneratedFor: email.local()}, nil
	}
	return Login{EmailKey: email.Key}, nil
}

// verifyPassword compares a typed password with the hash, and does the same work when there is none to compare with.
func (s *Service) verifyPassword(ctx context.Context, hash PasswordHash, password string, origin Origin) (passhash.Verdict, error) {
	p := normalizePassword(password)
	if hash == "" || !p.fits() {
		if !p.fits() {
			p.normalized = ""
		}
		if err := s.cfg.Hasher.VerifyNothing(ctx, client(origin), p.normalized); err != nil {
			return passhash.Verdict{}, fmt.Errorf("verify nothing: %w", err)
		}
		return passhash.Verdict{}, nil
	}
	verdict, err := s.cfg.Hasher.Verify(ctx, client(origin), hash, p.normalized)
	if errors.Is(err, passhash.ErrMalformed) { // somebody wrote into the database
		s.cfg.Logger.Error("a stored password hash is malformed; its user must reset the password")
		return s.verifyPassword(ctx, "", password, origin)
	}
	if err != nil {
		return passhash.Verdict{}, fmt.Errorf("verify password: %w", err)
	}
	return verdict, nil
}
