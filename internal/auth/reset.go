package auth

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// RequestReset queues a mail with a link and a code for whoever has this address, and returns nil also when nobody
// has: who that is, is found out when the mail is written, so the answer and its time tell nothing. It returns nil too, and
// queues nothing, for an address that enough mails went to just now: one of them still works. It returns a
// *ValidationError for what is no address at all, or ErrUnavailable.
func (s *Service) RequestReset(ctx context.Context, address string, origin Origin) error {
	email, code := parseEmail(address)
	if code != "" {
		var f faults
		f.addEmail(code, address)
		return f.err()
	}
	now := s.cfg.Now().UTC()
	err := s.queueLimited(ctx, email.Key, OutboxMessage{
		Kind: MailResetPassword, Recipient: email.Key, Origin: origin, QueuedAt: now, NotAfter: now.Add(resetTTL),
	})
	if err != nil {
		return fmt.Errorf("queue mail: %w", err)
	}
	s.Audit(ctx, AuditEvent{Kind: AuditResetRequested, Outcome: AuditOK, Login: s.audits.loginFingerprint(email.Key), Origin: origin})
	s.cfg.Mailer.Wake()
	return nil
}

// PasswordResetInput is a new password with what the mail proved: Token, or Email and Code.
type PasswordResetInput struct {
	Token                string
	Email                string
	Code                 string
	Password             string
	PasswordConfirmation string
}

// ResetPassword sets a new password, ends every session and every other outstanding reset, and tells the user by mail.
// It returns ErrTokenInvalid (with the member that it was in) as a *ValidationError for whatever cannot be used; a
// refused password leaves token and code usable; of concurrent callers exactly one succeeds.
func (s *Service) ResetPassword(ctx context.Context, in PasswordResetInput, origin Origin) error {
	var f faults
	byToken := in.Token != "" || in.Email == "" && in.Code == ""
	var email Email
	if byToken {
		if in.Token == "" {
			f.add(FieldToken, Required)
		}
	} else {
		var code FieldCode
		if email, code = parseEmail(in.Email); code != "" {
			f.addEmail(code, in.Email)
		}
		if in.Code == "" {
			f.add(FieldOneTimeCode, Required)
		}
	}
	password := s.checkNewPassword(&f, in.Password, in.PasswordConfirmation)
	if len(f) == 0 { // what was typed beside it can be checked before a code is tried
		s.checkPasswordContext(&f, password, "", email)
	}
	if err := f.err(); err != nil {
		return err
	}

	now := s.cfg.Now().UTC()
	field, proof := FieldToken, ProofResetLink
	var token OneTimeToken
	var user User
	var err error
	if byToken {
		token, user, err = s.findToken(ctx, in.Token, PurposeResetPassword)
	} else {
		field, proof = FieldOneTimeCode, ProofResetCode
		token, user, err = s.findResetByCode(ctx, email, OneTimeCode(in.Code), origin, now)
	}
	if err != nil {
		s.auditRefused(ctx, AuditEvent{Kind: AuditPasswordReset, UserID: user.ID, Proof: proof, Origin: origin}, err)
		return err
	}
	hash, err := s.hashResetPassword(ctx, password, token, user, origin)
	if err != nil && !byToken { // the code was the right one, so that giving the attempt back helps nobody who guesses
		if err := s.cfg.Codes.ReturnOneTimeCodeAttempt(ctx, token); err != nil {
			return fmt.Errorf("return attempt: %w", err)
		}
	}
	if err != nil {
		return err
	}
	err = s.cfg.Store.ResetPassword(ctx, PasswordReset{
		Token: token, Password: hash, Now: now, Notice: notice(MailPasswordChanged, user, origin, now),
	})
	switch {
	case errors.Is(err, ErrTokenInvalid):
		s.auditRefused(ctx, token.event(AuditPasswordReset, proof, origin), invalid(field, Invalid))
		return invalid(field, Invalid)
	case err != nil:
		return fmt.Errorf("reset password: %w", err)
	}
	s.Audit(ctx, token.event(AuditPasswordReset, proof, origin))
	s.cfg.Mailer.Wake()
	return nil
}

// hashResetPassword returns the hash of a user's new password, or a *ValidationError for one that must not be theirs.
func (s *Service) hashResetPassword(ctx context.Context, password Password, token OneTimeToken, user User, origin Origin) (PasswordHash, error) {
	var f faults
	email, _ := parseEmail(token.EmailKey)
	s.checkPasswordContext(&f, password, user.Username, email)
	if err := f.err(); err != nil {
		return "", err
	}
	return s.hashNewPassword(ctx, password, origin)
}

// findResetByCode returns the token that the code belongs to, and its user, or a *ValidationError on the code and who has
// the address, after the same work for an address that nobody has.
func (s *Service) findResetByCode(ctx context.Context, email Email, code OneTimeCode, origin Origin, now time.Time) (OneTimeToken, User, error) {
	user, _, err := s.cfg.Store.FindLogin(ctx, Login{EmailKey: email.Key})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return OneTimeToken{}, User{}, fmt.Errorf("find user: %w", err)
	}
	token, err := s.verifyCode(ctx, client(origin), user.ID, [2]Purpose{PurposeResetPassword, PurposeResetPassword}, code, now)
	switch {
	case errors.Is(err, ErrTokenInvalid):
		return OneTimeToken{}, user, invalid(FieldOneTimeCode, Invalid)
	case err != nil:
		return OneTimeToken{}, User{}, err
	}
	return token, user, nil
}

// PeekReset returns whose reset the token is, without using it up, or a *ValidationError on the token.
func (s *Service) PeekReset(ctx context.Context, token string) (User, error) {
	_, user, err := s.findToken(ctx, token, PurposeResetPassword)
	return user, err
}
