package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"time"
)

// Purpose says what a one-time token is for; it is good for nothing else.
type Purpose string

// PurposeResetPassword is the purpose of a token that sets a new password.
const PurposeResetPassword Purpose = "reset_password"

const resetTTL = 30 * time.Minute // long enough for greylisted mail, short enough for a shared inbox

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
	EmailKey  string // the address that it was issued for
	TokenHash TokenHash
	// CodeHash is argon2id of the code, not SHA-256: 10^8 codes would be tried in a second by whoever reads the table.
	CodeHash  [sha256.Size]byte
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// hashCode returns what the database keeps of a code. All codes of one user and purpose share a salt, so that one hash
// serves to compare a typed code with all that are outstanding.
func (s *Service) hashCode(ctx context.Context, client string, t OneTimeToken, code OneTimeCode) ([sha256.Size]byte, error) {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "latchkey one-time code\x00%s\x00%s\x00", t.Purpose, t.EmailKey)
	_ = binary.Write(h, binary.BigEndian, int64(t.UserID))
	return s.cfg.Hasher.Derive(ctx, client, code.Reveal(), h.Sum(nil)[:16])
}

// verifyCode returns the outstanding token that the code belongs to, or ErrTokenInvalid after the same work.
func (s *Service) verifyCode(ctx context.Context, client string, purpose Purpose, emailKey string, code OneTimeCode, now time.Time) (OneTimeToken, error) {
	live, err := s.cfg.Store.AttemptOneTimeCode(ctx, purpose, emailKey, now)
	if err != nil {
		return OneTimeToken{}, fmt.Errorf("attempt code: %w", err)
	}
	if len(code) != codeDigits {
		code = "" // nobody's, and nothing that the hasher would refuse for its length
	}
	salted := OneTimeToken{Purpose: purpose, EmailKey: emailKey}
	if len(live) > 0 {
		salted.UserID = live[0].UserID
	}
	hash, err := s.hashCode(ctx, client, salted, code)
	if err != nil {
		return OneTimeToken{}, fmt.Errorf("hash code: %w", err)
	}
	for _, t := range live {
		if subtle.ConstantTimeCompare(hash[:], t.CodeHash[:]) == 1 {
			return t, nil
		}
	}
	return OneTimeToken{}, ErrTokenInvalid
}
