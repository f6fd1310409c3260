package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Purpose says what a one-time token is for; it is good for nothing else.
type Purpose string

// The purposes.
const (
	PurposeResetPassword   Purpose = "reset_password"
	PurposeVerifyEmail     Purpose = "verify_email"      // proves the address that the user has
	PurposeChangeEmail     Purpose = "change_email"      // proves another address, which becomes the user's
	PurposeUndoEmailChange Purpose = "undo_email_change" // gives the user the old address back
)

// ProvesOwnAddress says whether a token of this purpose is worth something only while its address is the user's.
func (p Purpose) ProvesOwnAddress() bool { return p == PurposeResetPassword || p == PurposeVerifyEmail }

const (
	resetTTL  = 30 * time.Minute // long enough for greylisted mail, short enough for a shared inbox
	verifyTTL = 24 * time.Hour   // nobody is locked out meanwhile
)

// UndoTTL is how long a change of address can be undone, and how long a Store holds the old address: a week's holiday
// from mail.
const UndoTTL = 7 * 24 * time.Hour

// Bounds that a Store keeps.
const (
	MaxOutstanding  = 3 // a person who asks again and again may use any of the last mails
	MaxCodeAttempts = 5 // of 10^8: a guesser's chance is 1 in 20 million a mail
)

// OneTimeTokenID names a one-time token.
type OneTimeTokenID int64

// OneTimeToken is the proof that a mail carries, as a link's token and as a code. Whoever has either controls the address.
type OneTimeToken struct {
	ID        OneTimeTokenID
	MessageID MessageID // the message that carries it
	UserID    UserID
	Purpose   Purpose
	Address   string // the address that it was issued for
	EmailKey  string // the same, as addresses are compared
	TokenHash TokenHash
	// CodeHash is argon2id of the code, not SHA-256: 10^8 codes would be tried in a second by whoever reads the table.
	// It is zero when there is no code.
	CodeHash  [sha256.Size]byte
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// Codes is what gives an attempt back.
type Codes interface {
	// ReturnOneTimeCodeAttempt takes back one attempt that AttemptOneTimeCode counted against this very token. A token that
	// is gone or was replaced meanwhile is left as it is.
	ReturnOneTimeCodeAttempt(context.Context, OneTimeToken) error
}

// codeOwner is the user as the owner of codes.
func codeOwner(user UserID) string { return strconv.FormatInt(int64(user), 10) }

// hashCode returns what the database keeps of a code. All codes of one owner, a user or an address, share a salt, which is
// another one in every installation, so that one hash serves to compare a typed code with all that are outstanding.
func (s *Service) hashCode(ctx context.Context, client, owner string, code OneTimeCode) ([sha256.Size]byte, error) {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "latchkey one-time code\x00%s\x00%s", s.cfg.PublicURL, owner)
	return s.cfg.Hasher.Derive(ctx, client, code.Reveal(), h.Sum(nil)[:16])
}

// hashTypedCode is hashCode for what somebody typed. A code that cannot be hashed is no attempt.
func (s *Service) hashTypedCode(ctx context.Context, client, owner string, code OneTimeCode) ([sha256.Size]byte, error) {
	if len(code) != codeDigits {
		code = "" // nobody's, and nothing that the hasher would refuse for its length
	}
	hash, err := s.hashCode(ctx, client, owner, code)
	if err != nil {
		return hash, fmt.Errorf("hash code: %w", err)
	}
	return hash, nil
}

// verifyCode returns the user's outstanding token that the code belongs to, or ErrTokenInvalid after the same work,
// also for user 0, who does not exist. It counts as an attempt against all of them.
func (s *Service) verifyCode(ctx context.Context, client string, user UserID, purposes [2]Purpose, code OneTimeCode, now time.Time) (OneTimeToken, error) {
	hash, err := s.hashTypedCode(ctx, client, codeOwner(user), code)
	if err != nil {
		return OneTimeToken{}, err
	}
	live, err := s.cfg.Store.AttemptOneTimeCode(ctx, user, purposes, now)
	if err != nil {
		return OneTimeToken{}, fmt.Errorf("attempt code: %w", err)
	}
	for _, t := range live {
		if subtle.ConstantTimeCompare(hash[:], t.CodeHash[:]) == 1 {
			return t, nil
		}
	}
	return OneTimeToken{}, ErrTokenInvalid
}

// findToken returns the token behind a mailed link without using it up, whichever of the purposes it has, and its user.
// It returns a *ValidationError on the token.
func (s *Service) findToken(ctx context.Context, secret string, purposes ...Purpose) (OneTimeToken, User, error) {
	for _, p := range purposes {
		token, user, err := s.cfg.Store.FindOneTimeToken(ctx, p, OneTimeSecret(secret).Hash(), s.cfg.Now().UTC())
		switch {
		case err == nil:
			return token, user, nil
		case !errors.Is(err, ErrTokenInvalid):
			return OneTimeToken{}, User{}, fmt.Errorf("find %s token: %w", p, err)
		}
	}
	return OneTimeToken{}, User{}, invalid(FieldToken, Invalid)
}
