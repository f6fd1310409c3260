package auth

import (
	"context"
	"errors"
	"fmt"
)

// UpdateProfile changes the given members of the profile and returns the user. It returns a *ValidationError,
// ErrUnauthorized if the user is gone meanwhile, or ErrUnavailable.
func (s *Service) UpdateProfile(ctx context.Context, c Current, change ProfileChange) (User, error) {
	var f faults
	if change.Fullname != nil {
		checkFullname(&f, *change.Fullname)
	}
	if change.Avatar != nil && *change.Avatar != "" {
		checkAvatar(&f, *change.Avatar)
	}
	if change.PhoneNumber != nil && *change.PhoneNumber != "" {
		checkPhoneNumber(&f, *change.PhoneNumber)
	}
	if err := f.err(); err != nil {
		return User{}, err
	}
	user, err := s.cfg.Store.UpdateProfile(ctx, c.User.ID, change)
	switch {
	case errors.Is(err, ErrNotFound):
		return User{}, ErrUnauthorized
	case err != nil:
		return User{}, fmt.Errorf("update profile: %w", err)
	}
	return user, nil
}

// NewPassword is a change of password by the signed-in user.
type NewPassword struct {
	Current              string
	Password             string
	PasswordConfirmation string
}

// ChangePassword replaces the password, ends every session, the current one too, and returns a new one. A user without a
// password sets the first one within 10 minutes of signing in through WeChat (ErrForbidden later); guests sign up
// instead (ErrGuest). It returns a *ValidationError, on the current password if that is missing or wrong.
func (s *Service) ChangePassword(ctx context.Context, c Current, in NewPassword, origin Origin) (SignedIn, error) {
	current, err := s.currentHash(ctx, c)
	if err != nil {
		return SignedIn{}, err
	}
	var f faults
	if in.Current == "" && current != "" {
		f.add(FieldCurrentPassword, Required)
	}
	password := s.checkNewPassword(&f, in.Password, in.PasswordConfirmation)
	if len(f) == 0 {
		email, _ := parseEmail(c.User.Email)
		s.checkPasswordContext(&f, password, c.User.Username, email)
	}
	if err := f.err(); err != nil {
		return SignedIn{}, err
	}
	var signedIn SignedIn
	var message *OutboxMessage
	var verified, hash PasswordHash
	err = twice(func() error {
		var err error
		switch {
		case in.Current != "":
			if verified, err = s.currentHash(ctx, c); err == nil {
				err = s.verifyCurrentPassword(ctx, c, verified, in.Current, origin)
			}
		case c.User.Guest:
			err = ErrGuest
		default:
			verified, err = s.provePresence(ctx, c, "", origin)
		}
		if err != nil {
			return err
		}
		if hash, err = s.hashNewPassword(ctx, password, origin); err != nil {
			return err
		}
		var current SessionID
		if verified == "" {
			current = c.Session.ID
		}
		now := s.cfg.Now().UTC()
		message = notice(MailPasswordChanged, c.User, origin, now)
		signedIn, err = s.withSession(origin, now, false, func(session Session) (User, error) {
			return s.cfg.Store.ChangePassword(ctx, PasswordChange{
				UserID: c.User.ID, Verified: verified, Current: current, New: hash, Now: now, Session: session, Notice: message,
			})
		})
		return err
	})
	switch {
	case errors.Is(err, ErrChanged) && verified == "": // the session ended, or somebody else set a first password
		return SignedIn{}, ErrUnauthorized
	case errors.Is(err, ErrChanged):
		s.Audit(ctx, refused(AuditPasswordChanged, ReasonChanged, c.User.ID, presenceProof(verified), origin))
		return SignedIn{}, invalid(FieldCurrentPassword, Invalid)
	case err != nil:
		s.auditRefused(ctx, c.event(AuditPasswordChanged, 0, "", origin), err)
		return SignedIn{}, fmt.Errorf("change password: %w", err)
	}
	s.Audit(ctx, signedIn.event(AuditPasswordChanged, presenceProof(verified), origin))
	if origin.Device != "" { // that of before died with the password
		device, known := origin.Device.device(c.User.ID, verified)
		if !known {
			device = newDeviceID()
		}
		signedIn.Device = newDeviceToken(c.User.ID, device, hash)
	}
	if message != nil {
		s.cfg.Mailer.Wake()
	}
	return signedIn, nil
}

// DeleteUser removes the signed-in user, after the current password or, for users without one, within 10 minutes of
// signing in (ErrForbidden later). It returns a *ValidationError if the password is missing or wrong.
func (s *Service) DeleteUser(ctx context.Context, c Current, currentPassword string, origin Origin) error {
	var verified PasswordHash
	err := twice(func() (err error) {
		if verified, err = s.provePresence(ctx, c, currentPassword, origin); err != nil {
			return err
		}
		return s.cfg.Store.DeleteUser(ctx, c.User.ID, verified, s.cfg.Now().UTC())
	})
	switch {
	case errors.Is(err, ErrChanged) && verified == "": // deleted or upgraded meanwhile: the token is dead
		return ErrUnauthorized
	case errors.Is(err, ErrChanged):
		s.Audit(ctx, refused(AuditUserDeleted, ReasonChanged, c.User.ID, ProofPassword, origin))
		return invalid(FieldCurrentPassword, Invalid)
	case err != nil:
		s.auditRefused(ctx, c.event(AuditUserDeleted, 0, "", origin), err)
		return fmt.Errorf("delete user: %w", err)
	}
	s.Audit(ctx, c.event(AuditUserDeleted, 0, verified, origin))
	return nil
}

// provePresence makes sure that it is the user who asks, and not just somebody with their device: by the current
// password, or for users without one by a sign-in within the last 10 minutes (ErrForbidden later). It returns the hash
// that the password belongs to, "" without one, or a *ValidationError if the password is missing or wrong.
func (s *Service) provePresence(ctx context.Context, c Current, currentPassword string, origin Origin) (PasswordHash, error) {
	hash, err := s.currentHash(ctx, c)
	switch {
	case err != nil:
		return "", err
	case hash == "" && s.cfg.Now().Sub(c.Session.CreatedAt) > freshSignIn:
		return "", ErrForbidden
	case hash == "":
		return "", nil
	case currentPassword == "":
		return "", invalid(FieldCurrentPassword, Required)
	}
	if err := s.verifyCurrentPassword(ctx, c, hash, currentPassword, origin); err != nil {
		return "", err
	}
	return hash, nil
}

// currentHash returns the password hash of the signed-in user, "" without one, or ErrUnauthorized if the user is gone.
func (s *Service) currentHash(ctx context.Context, c Current) (PasswordHash, error) {
	_, hash, err := s.cfg.Store.FindUser(ctx, c.User.ID)
	switch {
	case errors.Is(err, ErrNotFound):
		return "", ErrUnauthorized
	case err != nil:
		return "", fmt.Errorf("find user: %w", err)
	}
	return hash, nil
}

// verifyCurrentPassword returns nil if the hash is that of the password, a *ValidationError after the same work when it is
// not or the user has none, or a *RateLimitError after too many of these.
func (s *Service) verifyCurrentPassword(ctx context.Context, c Current, hash PasswordHash, password string, origin Origin) error {
	lane := presenceLane(c.User.ID)
	if err := s.admit(ctx, lane); err != nil {
		return err
	}
	verdict, err := s.verifyPassword(ctx, hash, password, origin)
	if err != nil {
		return err
	}
	if !verdict.Match {
		return s.refuse(ctx, lane, refused(AuditLockedOut, ReasonWrongPassword, c.User.ID, ProofPassword, origin), invalid(FieldCurrentPassword, Invalid))
	}
	return s.accept(ctx, lane)
}
