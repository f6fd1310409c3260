package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	minIdempotencyKey = 16 // a guess must be hopeless: whoever has the key gets a token
	maxIdempotencyKey = 128
	// guestKeyTTL is how long a retry finds the guest: a day covers a phone that was out of reach, and what is kept stays small.
	guestKeyTTL = 24 * time.Hour
)

// IdempotencyKey is a secret that a client makes up, so that asking again does not make another guest. It prints as
// [redacted].
type IdempotencyKey string

// Format and MarshalText keep the value out of messages, logs and JSON.
func (IdempotencyKey) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

func (IdempotencyKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// check returns ErrKeyInvalid unless the key has 16 to 128 visible ASCII characters.
func (k IdempotencyKey) check() error {
	if len(k) < minIdempotencyKey || len(k) > maxIdempotencyKey {
		return ErrKeyInvalid
	}
	for i := range len(k) {
		if k[i] <= ' ' || k[i] > '~' {
			return ErrKeyInvalid
		}
	}
	return nil
}

// SignUpGuest creates a guest: a user with nothing but the session that is returned.
func (s *Service) SignUpGuest(ctx context.Context, origin Origin) (SignedIn, error) {
	return s.signUpGuest(ctx, nil, origin, s.cfg.Now().UTC())
}

// SignUpGuestOnce is SignUpGuest for a client that may have to ask again: within 24 hours a key makes one guest, whatever
// the concurrency, and each call returns a new session of that guest; earlier ones go on. It returns ErrKeyInvalid, or
// ErrKeySpent if the guest was upgraded, disabled or deleted since.
func (s *Service) SignUpGuestOnce(ctx context.Context, key IdempotencyKey, origin Origin) (SignedIn, error) {
	if err := key.check(); err != nil {
		return SignedIn{}, err
	}
	now := s.cfg.Now().UTC()
	return s.signUpGuest(ctx, &GuestKey{Hash: sha256.Sum256([]byte(key)), ExpiresAt: now.Add(guestKeyTTL)}, origin, now)
}

func (s *Service) signUpGuest(ctx context.Context, key *GuestKey, origin Origin, now time.Time) (SignedIn, error) {
	for attempt := 0; ; attempt++ {
		name := newGeneratedName()
		signedIn, err := s.withSession(origin, now, true, func(session Session) (User, error) {
			return s.cfg.Store.CreateUser(ctx, NewUser{
				Username: name, Profile: Profile{Fullname: name}, Guest: true, Key: key,
				Language: origin.Language, Now: now, Session: session,
			})
		})
		var taken *TakenError
		var used *GuestKeyUsedError
		switch {
		case errors.As(err, &used):
			return s.signInGuest(ctx, used.UserID, origin)
		case (errors.As(err, &taken) || errors.Is(err, ErrChanged)) && attempt < generatedNameAttempts:
			continue
		case err != nil:
			return SignedIn{}, fmt.Errorf("create guest: %w", err)
		}
		return signedIn, nil
	}
}

// signInGuest answers a retry.
func (s *Service) signInGuest(ctx context.Context, guest UserID, origin Origin) (SignedIn, error) {
	signedIn, err := s.signInAs(ctx, SignIn{UserID: guest, GuestOnly: true}, true, ProofGuestKey, origin)
	if errors.Is(err, ErrChanged) {
		return SignedIn{}, ErrKeySpent
	}
	return signedIn, err
}
