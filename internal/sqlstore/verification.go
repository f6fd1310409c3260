package sqlstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

// RequestEmailChange implements auth.Store.
func (s *Store) RequestEmailChange(ctx context.Context, m auth.OutboxMessage) error {
	return s.engine.write(ctx, func(ctx context.Context, q querier) error {
		// A token that is just being issued for an earlier change comes before, or finds its message gone.
		if _, err := q.exec(ctx, lockUser, int64(m.UserID)); err != nil {
			return fmt.Errorf("lock user: %w", err)
		}
		if _, err := q.exec(ctx, deleteOneTimeTokensFor, int64(m.UserID), string(auth.PurposeChangeEmail)); err != nil {
			return fmt.Errorf("delete tokens: %w", err)
		}
		if _, err := q.exec(ctx, deleteMessagesOfUserAndKind, int64(m.UserID), string(m.Kind)); err != nil {
			return fmt.Errorf("delete queued mail: %w", err)
		}
		return s.insertMessage(ctx, q, &m)
	})
}

// ConfirmEmail implements auth.Store.
func (s *Store) ConfirmEmail(ctx context.Context, c auth.EmailConfirmation) (auth.User, error) {
	t := c.Token
	var user auth.User
	err := s.change(ctx, t.UserID, func(ctx context.Context, q querier) (err error) {
		// Whoever asked for an account with the address cannot have it any more. First, as ConfirmSignUp locks in this order.
		if err := q.later(ctx, statement{doing: "delete sign-ups", sql: deleteSignUpsTo, args: []any{t.EmailKey}}); err != nil {
			return err
		}
		sql, args := updateUserEmailVerified, []any{int64(t.UserID), t.EmailKey, micros(c.Now)}
		if t.Purpose == auth.PurposeChangeEmail {
			sql = updateUserEmail
			args = []any{int64(t.UserID), t.Address, t.EmailKey, micros(c.Now), nullable(strings.ToLower(c.Old))}
			if err := s.lookTaken(ctx, q, t.UserID, "", t.EmailKey); err != nil {
				return err
			}
		}
		user, _, err = s.queryUser(ctx, q, auth.ErrTokenInvalid, sql, args...)
		if err != nil {
			return fmt.Errorf("update address: %w", err)
		}
		// Behind the update, which waits for whoever is just leaving the address.
		if err := s.refuseHeld(ctx, q, t.EmailKey, t.UserID, c.Now); err != nil {
			return err
		}
		if err := s.useUp(ctx, q, t, c.Now); err != nil {
			return err
		}
		return s.leaveOldEmail(ctx, q, c)
	})
	if errors.Is(err, errUnique) {
		return auth.User{}, &auth.TakenError{Email: true}
	}
	return user, err
}

// leaveOldEmail ends what was sent to prove the old address, tells it, and holds it for the user.
func (s *Store) leaveOldEmail(ctx context.Context, q querier, c auth.EmailConfirmation) error {
	for _, p := range []auth.Purpose{auth.PurposeVerifyEmail, auth.PurposeChangeEmail} {
		if _, err := q.exec(ctx, deleteOneTimeTokensFor, int64(c.Token.UserID), string(p)); err != nil {
			return fmt.Errorf("delete tokens: %w", err)
		}
	}
	if c.Token.Purpose != auth.PurposeChangeEmail || c.Old == "" {
		return nil
	}
	if err := s.endResets(ctx, q, c.Token.UserID, c.Old); err != nil {
		return err
	}
	if _, err := q.exec(ctx, deleteMessagesOfUserAndKind, int64(c.Token.UserID), string(auth.MailVerifyEmail)); err != nil {
		return fmt.Errorf("delete queued mail: %w", err)
	}
	if c.Notice == nil {
		return nil
	}
	id, err := s.queue(ctx, q, c.Notice)
	if err != nil {
		return err
	}
	// The token that the notice will carry is made when it is sent; until then this row holds its place and the address.
	held := auth.OneTimeToken{
		MessageID: id, UserID: c.Token.UserID, Purpose: auth.PurposeUndoEmailChange, Address: c.Old, EmailKey: strings.ToLower(c.Old),
		IssuedAt: c.Now, ExpiresAt: c.Now.Add(auth.UndoTTL),
	}
	_, _ = rand.Read(held.TokenHash[:])
	return s.putOneTimeToken(ctx, q, held)
}

// UndoEmailChange implements auth.Store.
func (s *Store) UndoEmailChange(ctx context.Context, t auth.OneTimeToken, now time.Time) error {
	err := s.change(ctx, t.UserID, func(ctx context.Context, q querier) error {
		if err := s.lookTaken(ctx, q, t.UserID, "", t.EmailKey); err != nil {
			return err
		}
		n, err := q.exec(ctx, updateUserEmailBack, int64(t.UserID), t.Address, t.EmailKey, micros(now))
		switch {
		case err != nil:
			return fmt.Errorf("update address: %w", err)
		case n == 0:
			return auth.ErrTokenInvalid
		}
		if err := s.useUp(ctx, q, t, now); err != nil {
			return err
		}
		// An older undo outranks a newer one: a thief who moved the address twice cannot shut its owner out with theirs.
		if _, err := q.exec(ctx, deleteOneTimeTokensOfUserSince, int64(t.UserID), string(t.Purpose), micros(t.IssuedAt)); err != nil {
			return fmt.Errorf("delete tokens: %w", err)
		}
		if _, err := q.exec(ctx, deleteMessagesOfUserSince, int64(t.UserID), string(auth.MailEmailChanged), micros(t.IssuedAt)); err != nil {
			return fmt.Errorf("delete queued mail: %w", err)
		}
		return endSessions(ctx, q, t.UserID)
	})
	if errors.Is(err, errUnique) {
		return &auth.TakenError{Email: true}
	}
	return err
}

// refuseHeld returns a *auth.TakenError for an address that another user may still take back.
func (s *Store) refuseHeld(ctx context.Context, q querier, emailKey string, user auth.UserID, now time.Time) error {
	var held int64
	return q.later(ctx, statement{
		doing: "look for held address", sql: selectEmailHeld,
		args: []any{emailKey, string(auth.PurposeUndoEmailChange), int64(user), micros(now)}, dest: []any{&held},
		check: func(int64) error {
			if held > 0 {
				return &auth.TakenError{Email: true}
			}
			return nil
		},
	})
}
