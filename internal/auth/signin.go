package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ideaegg/latchkey/internal/passhash"
)

// SignIn signs a user in with a password. A login with "@" is an e-mail address and nothing else, any other a username.
// It returns ErrInvalidCredentials, the same after the same work, for an unknown login, a wrong password, a user without
// a password and a disabled one; a *RateLimitError after too many of these, the same for all of them; a
// *ValidationError for missing members; *passhash.OverloadedError, passhash.ErrUnavailable or ErrUnavailable.
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
	var signedIn SignedIn
	err := twice(func() (err error) {
		signedIn, err = s.signInWithPassword(ctx, login, password, origin)
		return err
	})
	if errors.Is(err, ErrChanged) { // the password changed between reading and writing: it was not the right one any more
		s.Audit(ctx, refused(AuditSignIn, ReasonChanged, signedIn.User.ID, ProofPassword, origin))
		return SignedIn{}, ErrInvalidCredentials
	}
	return signedIn, err
}

// twice calls f again if it returns ErrChanged: another sign-in may have stored a new hash of the same password.
func twice(f func() error) error {
	err := f()
	if errors.Is(err, ErrChanged) {
		err = f()
	}
	return err
}

// signInWithPassword is SignIn, but returns ErrChanged, with the user, if the stored hash was replaced while the password was
// compared with it.
func (s *Service) signInWithPassword(ctx context.Context, login, password string, origin Origin) (SignedIn, error) {
	var user User
	var hash PasswordHash
	named, err := ParseLogin(login, s.cfg.PlaceholderDomain)
	lane := unknownLane(named, login)
	if err == nil {
		user, hash, err = s.cfg.Store.FindLogin(ctx, named)
	}
	switch {
	case err == nil && named.GeneratedFor == "": // a wait that the two names shared would tell that there is a user
		lane = userLane(user.ID)
	case err != nil && !errors.Is(err, ErrNotFound):
		return SignedIn{}, fmt.Errorf("find login: %w", err)
	}
	device, known := origin.Device.device(user.ID, hash)
	if known {
		lane = deviceLane(user.ID, device)
	} else {
		device = newDeviceID()
	}
	if err := s.admit(ctx, lane); err != nil {
		return SignedIn{}, err
	}
	if err != nil || user.Status != StatusActive {
		hash = ""
	}
	verdict, err := s.verifyPassword(ctx, hash, password, origin)
	if err != nil {
		return SignedIn{}, err
	}
	if !verdict.Match {
		e := s.signInRefused(login, user, hash, origin)
		err := s.refuse(ctx, lane, e, ErrInvalidCredentials)
		if errors.Is(err, ErrInvalidCredentials) {
			s.Audit(ctx, e)
		}
		return SignedIn{}, err
	}
	in := SignIn{UserID: user.ID, Verified: &hash}
	if !s.cfg.LimitsOff {
		in.Lane = &lane.Key
	}
	if verdict.Rehash {
		if in.Rehashed, err = s.cfg.Hasher.Hash(ctx, client(origin), normalizePassword(password).normalized); err != nil {
			in.Rehashed = "" // the next sign-in does it
		}
	}
	if s.cfg.NotifyNewDevice {
		in.NewDevice = notice(MailNewDevice, user, origin, s.cfg.Now().UTC())
	}
	signedIn, err := s.signInAs(ctx, in, user.Guest, ProofPassword, origin)
	if err != nil {
		return SignedIn{User: user}, limited(err, lane, s.cfg.Now().UTC())
	}
	if origin.Device != "" {
		signedIn.Device = newDeviceToken(user.ID, device, cmp.Or(in.Rehashed, hash))
	}
	return signedIn, nil
}

// signInAs creates a session for a user whose proof was checked.
func (s *Service) signInAs(ctx context.Context, in SignIn, guest bool, proof AuditProof, origin Origin) (SignedIn, error) {
	signedIn, err := s.withSession(origin, s.cfg.Now().UTC(), guest, func(session Session) (User, error) {
		in.Session = session
		return s.cfg.Store.CreateSession(ctx, in)
	})
	if err != nil {
		return SignedIn{}, fmt.Errorf("create session: %w", err)
	}
	s.Audit(ctx, signedIn.event(AuditSignIn, proof, origin))
	if in.NewDevice != nil {
		s.cfg.Mailer.Wake()
	}
	return signedIn, nil
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
