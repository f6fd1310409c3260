package auth

import (
	"context"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	maxPasswordRunes = 256
	maxPasswordBytes = 1024
)

// Password is a password as it is hashed: in NFKC, so that the same keys on two devices give the same bytes.
// It prints as [redacted].
type Password struct{ normalized string }

// Format keeps the password out of messages and logs.
func (Password) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// normalizePassword returns the password as it is hashed. Nothing is cut off, trimmed or folded.
func normalizePassword(s string) Password { return Password{norm.NFKC.String(s)} }

// fits says whether the password is one that this service could have stored.
func (p Password) fits() bool {
	return len(p.normalized) <= maxPasswordBytes && utf8.RuneCountInString(p.normalized) <= maxPasswordRunes
}

// checkNewPassword judges a password that is to be set. There are no composition rules (NIST SP 800-63B-4 §3.1.1.2).
func (s *Service) checkNewPassword(f *faults, password, confirmation string) Password {
	p := normalizePassword(password)
	runes := utf8.RuneCountInString(p.normalized)
	switch {
	case password == "":
		f.add(FieldPassword, Required)
	case runes < s.cfg.PasswordMinLength:
		f.addLimit(FieldPassword, TooShort, s.cfg.PasswordMinLength)
	case !p.fits():
		f.addLimit(FieldPassword, TooLong, maxPasswordRunes)
	case s.cfg.CommonPassword != nil && s.cfg.CommonPassword(p.normalized):
		f.add(FieldPassword, TooCommon)
	}
	switch {
	case confirmation == "":
		f.add(FieldPasswordConfirmation, Required)
	case confirmation != password:
		f.add(FieldPasswordConfirmation, Mismatch)
	}
	return p
}

// Breaches knows passwords that were stolen somewhere.
type Breaches interface {
	// IsBreached says whether the password, in NFKC, is known. It answers within about a second; an error means that
	// nobody knows.
	IsBreached(ctx context.Context, password string) (bool, error)
}

// hashNewPassword returns the hash of a password that passed every other check, or a *ValidationError if it is known from
// a breach. Where that cannot be found out it is allowed.
func (s *Service) hashNewPassword(ctx context.Context, p Password, origin Origin) (PasswordHash, error) {
	if s.cfg.Breaches != nil {
		breached, err := s.cfg.Breaches.IsBreached(ctx, p.normalized)
		switch {
		case ctx.Err() != nil: // whoever asked has gone away; the hasher says so
		case err != nil:
			s.warnUnchecked(ctx, err, origin)
		case breached:
			return "", invalid(FieldPassword, TooCommon)
		}
	}
	hash, err := s.cfg.Hasher.Hash(ctx, client(origin), p.normalized)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return hash, nil
}

// warnUnchecked says, in the log and the audit log and once a minute, that new passwords are not compared with those of breaches.
func (s *Service) warnUnchecked(ctx context.Context, err error, origin Origin) {
	now := s.cfg.Now().Unix()
	last := s.uncheckedWarned.Load()
	if now-last >= 60 && s.uncheckedWarned.CompareAndSwap(last, now) {
		s.cfg.Logger.Warn("new passwords are accepted unchecked: the list of breached ones does not answer", "error", err)
		s.Audit(ctx, refused(AuditBreachUnchecked, ReasonUnavailable, 0, ProofPassword, origin))
	}
}

// checkPasswordContext refuses a password that is the user's own name or address, or the app's name: the first things that
// anybody tries. What only contains one of them is allowed: the documented examples add four digits to a name.
func (s *Service) checkPasswordContext(f *faults, p Password, username string, email Email) {
	words := []string{username, s.cfg.AppName, strings.ReplaceAll(s.cfg.AppName, " ", "")}
	if email.Key != "" {
		words = append(words, email.Key, email.local())
	}
	for _, w := range words {
		if w != "" && strings.EqualFold(p.normalized, w) {
			f.add(FieldPassword, TooCommon)
			return
		}
	}
}
