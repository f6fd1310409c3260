package auth

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Verification is an address that was proved, or is about to be.
type Verification struct {
	Address string
	// Change says that the address takes the place of the one that the user has.
	Change bool
}

// verificationMail is the message that asks whoever reads a new address to confirm it; nil for a generated one.
func verificationMail(email *Email, origin Origin, now time.Time) *OutboxMessage {
	if email == nil {
		return nil
	}
	return &OutboxMessage{
		Kind: MailVerifyEmail, Recipient: email.Address, Origin: origin, QueuedAt: now, NotAfter: now.Add(verifyTTL),
	}
}

// RequestVerification mails the link and code for the user's own address again; a verified one, and one that enough mails
// went to just now, gets nothing.
// It returns a *ValidationError if the address is a generated one.
func (s *Service) RequestVerification(ctx context.Context, c Current, origin Origin) error {
	if c.User.EmailGenerated {
		return invalid(FieldEmail, Invalid)
	}
	if c.User.EmailVerified {
		return nil
	}
	now := s.cfg.Now().UTC()
	err := s.queueLimited(ctx, c.User.Email, OutboxMessage{
		Kind: MailVerifyEmail, UserID: c.User.ID, Recipient: c.User.Email, Origin: origin, QueuedAt: now, NotAfter: now.Add(verifyTTL),
	})
	if err != nil {
		return fmt.Errorf("queue mail: %w", err)
	}
	s.Audit(ctx, c.event(AuditVerifyRequested, 0, "", origin))
	s.cfg.Mailer.Wake()
	return nil
}

// RequestEmailChange mails a link and a code to the new address; the user's address changes once either is confirmed.
// It needs the current password or, of users without one, a sign-in within the last 10 minutes (else ErrForbidden).
// Guests have nothing to prove themselves with later: ErrGuest. It returns a *ValidationError.
func (s *Service) RequestEmailChange(ctx context.Context, c Current, address, currentPassword string, origin Origin) error {
	if c.User.Guest {
		return ErrGuest
	}
	var f faults
	email, code := parseEmail(address)
	switch {
	case code != "":
		f.addEmail(code, address)
	case s.isPlaceholderDomain(email.domain()):
		f.add(FieldEmail, Reserved)
	}
	if err := f.err(); err != nil {
		return err
	}
	verified, err := s.provePresence(ctx, c, currentPassword, origin)
	if err != nil {
		s.auditRefused(ctx, c.event(AuditChangeRequested, 0, "", origin), err)
		return err
	}
	if !s.cfg.VerifyFirst { // where nobody is told what is taken, no mail goes out then
		switch taken, err := s.isTaken(ctx, email.Key); {
		case err != nil:
			return err
		case taken:
			return invalid(FieldEmail, Taken)
		}
	}
	if err := s.spendMail(ctx, MailChangeEmail, email.Key); err != nil {
		return err
	}
	message := *verificationMail(&email, origin, s.cfg.Now().UTC())
	message.Kind, message.UserID = MailChangeEmail, c.User.ID
	if err := s.cfg.Store.RequestEmailChange(ctx, message); err != nil {
		return fmt.Errorf("request change of address: %w", err)
	}
	s.Audit(ctx, c.event(AuditChangeRequested, 0, verified, origin))
	s.cfg.Mailer.Wake()
	return nil
}

// isTaken says whether a user has the address.
func (s *Service) isTaken(ctx context.Context, emailKey string) (bool, error) {
	_, _, err := s.cfg.Store.FindLogin(ctx, Login{EmailKey: emailKey})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return false, fmt.Errorf("find address: %w", err)
	}
	return err == nil, nil
}

// PeekVerification returns what the token of a mailed link proves, without using it up, or a *ValidationError on it.
func (s *Service) PeekVerification(ctx context.Context, token string) (Verification, error) {
	t, _, err := s.findToken(ctx, token, PurposeVerifyEmail, PurposeChangeEmail)
	if err != nil {
		return Verification{}, err
	}
	return Verification{Address: t.Address, Change: t.Purpose == PurposeChangeEmail}, nil
}

// VerifyEmail uses up the token of a mailed link: exactly the address that it was issued for is verified, or becomes the
// user's. It returns a *ValidationError on the token, or on the address if that is somebody else's by now.
func (s *Service) VerifyEmail(ctx context.Context, token string, origin Origin) (Verification, error) {
	t, user, err := s.findToken(ctx, token, PurposeVerifyEmail, PurposeChangeEmail)
	if err != nil {
		s.auditRefused(ctx, t.event(AuditEmailVerified, ProofEmailLink, origin), err)
		return Verification{}, err
	}
	if _, err := s.confirmEmail(ctx, t, user, FieldToken, origin); err != nil {
		return Verification{}, err
	}
	return Verification{Address: t.Address, Change: t.Purpose == PurposeChangeEmail}, nil
}

// VerifyEmailByCode is VerifyEmail with the code of the mail, for the signed-in user that it was sent to. Five wrong
// codes kill those that are outstanding; the links stay.
func (s *Service) VerifyEmailByCode(ctx context.Context, c Current, code string, origin Origin) (User, error) {
	if code == "" {
		return User{}, invalid(FieldOneTimeCode, Required)
	}
	purposes := [2]Purpose{PurposeVerifyEmail, PurposeChangeEmail}
	t, err := s.verifyCode(ctx, client(origin), c.User.ID, purposes, OneTimeCode(code), s.cfg.Now().UTC())
	switch {
	case errors.Is(err, ErrTokenInvalid):
		s.Audit(ctx, refused(AuditEmailVerified, ReasonWrongCode, c.User.ID, ProofEmailCode, origin))
		return User{}, invalid(FieldOneTimeCode, Invalid)
	case err != nil:
		return User{}, err
	}
	user, _, err := s.cfg.Store.FindUser(ctx, c.User.ID)
	if err != nil {
		return User{}, fmt.Errorf("find user: %w", err)
	}
	return s.confirmEmail(ctx, t, user, FieldOneTimeCode, origin)
}

// confirmEmail uses up the token and returns the user; field is what is to blame if that cannot be done.
func (s *Service) confirmEmail(ctx context.Context, t OneTimeToken, user User, field Field, origin Origin) (User, error) {
	now := s.cfg.Now().UTC()
	kind, proof := AuditEmailVerified, ProofEmailLink
	if field == FieldOneTimeCode {
		proof = ProofEmailCode
	}
	confirmation := EmailConfirmation{Token: t, Now: now}
	if t.Purpose == PurposeChangeEmail {
		kind = AuditEmailChanged
	}
	if t.Purpose == PurposeChangeEmail && !user.EmailGenerated {
		confirmation.Old = user.Email
		confirmation.Notice = notice(MailEmailChanged, user, origin, now)
	}
	user, err := s.cfg.Store.ConfirmEmail(ctx, confirmation)
	var taken *TakenError
	switch {
	case errors.As(err, &taken):
		err = taken.validation()
	case errors.Is(err, ErrTokenInvalid):
		err = invalid(field, Invalid)
	case err != nil:
		err = fmt.Errorf("confirm address: %w", err)
	}
	if err != nil {
		s.auditRefused(ctx, t.event(kind, proof, origin), err)
		return User{}, err
	}
	s.Audit(ctx, t.event(kind, proof, origin))
	s.cfg.Mailer.Wake()
	return user, nil
}

// PeekUndo returns the address that the token of a notice brings back, without using it up, or a *ValidationError on it.
func (s *Service) PeekUndo(ctx context.Context, token string) (address string, err error) {
	t, _, err := s.findToken(ctx, token, PurposeUndoEmailChange)
	return t.Address, err
}

// UndoEmailChange gives the user the old address back and ends every session: somebody else may be signed in. It
// returns a *ValidationError on the token.
func (s *Service) UndoEmailChange(ctx context.Context, token string, origin Origin) (address string, err error) {
	t, _, err := s.findToken(ctx, token, PurposeUndoEmailChange)
	if err == nil {
		err = s.cfg.Store.UndoEmailChange(ctx, t, s.cfg.Now().UTC())
	}
	var taken *TakenError
	switch {
	case errors.As(err, &taken):
		err = taken.validation()
	case errors.Is(err, ErrTokenInvalid):
		err = invalid(FieldToken, Invalid)
	}
	if err != nil {
		s.auditRefused(ctx, t.event(AuditEmailUndone, ProofUndoLink, origin), err)
		return "", fmt.Errorf("undo change of address: %w", err)
	}
	s.Audit(ctx, t.event(AuditEmailUndone, ProofUndoLink, origin))
	return t.Address, nil
}
