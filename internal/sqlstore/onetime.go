package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

// oneTimeTokenRow is a row of oneTimeTokenColumns.
type oneTimeTokenRow struct {
	id, messageID, userID, issuedAt, expiresAt int64
	purpose, address, emailKey                 string
	tokenHash, codeHash                        []byte
}

func (r *oneTimeTokenRow) dest() []any {
	return []any{&r.id, &r.messageID, &r.userID, &r.purpose, &r.address, &r.emailKey, &r.tokenHash, &r.codeHash, &r.issuedAt, &r.expiresAt}
}

func (r *oneTimeTokenRow) token() auth.OneTimeToken {
	t := auth.OneTimeToken{
		ID:        auth.OneTimeTokenID(r.id),
		MessageID: auth.MessageID(r.messageID),
		UserID:    auth.UserID(r.userID),
		Purpose:   auth.Purpose(r.purpose),
		Address:   r.address,
		EmailKey:  r.emailKey,
		IssuedAt:  fromMicros(r.issuedAt),
		ExpiresAt: fromMicros(r.expiresAt),
	}
	copy(t.TokenHash[:], r.tokenHash)
	copy(t.CodeHash[:], r.codeHash)
	return t
}

// IssueOneTimeToken implements auth.Store.
func (s *Store) IssueOneTimeToken(ctx context.Context, t auth.OneTimeToken) error {
	return s.engine.write(ctx, func(ctx context.Context, q querier) error {
		// With the row locked, of tokens that are issued at once each sees the others, and none outlives its user.
		user, _, err := s.queryUser(ctx, q, auth.ErrChanged, lockUser, int64(t.UserID))
		switch {
		case err != nil:
			return fmt.Errorf("lock user: %w", err)
		case t.Purpose.ProvesOwnAddress() && (user.EmailGenerated || !strings.EqualFold(user.Email, t.Address)):
			return auth.ErrChanged
		}
		// Behind the lock: whoever ends the user's resets or changes of address takes their messages out under it.
		var queued int64
		switch err := q.row(ctx, selectMessage, []any{int64(t.MessageID)}, &queued); {
		case errors.Is(err, errNoRows):
			return auth.ErrChanged
		case err != nil:
			return fmt.Errorf("look for message: %w", err)
		}
		return s.putOneTimeToken(ctx, q, t)
	})
}

func (s *Store) putOneTimeToken(ctx context.Context, q querier, t auth.OneTimeToken) error {
	if err := q.later(ctx, statement{doing: "insert token", sql: upsertOneTimeToken, args: []any{
		int64(t.MessageID), int64(t.UserID), string(t.Purpose), t.Address, t.EmailKey,
		t.TokenHash[:], t.CodeHash[:], micros(t.IssuedAt), micros(t.ExpiresAt),
	}}); err != nil {
		return err
	}
	if t.Purpose == auth.PurposeUndoEmailChange { // each is for another address
		return nil
	}
	return q.later(ctx, statement{
		doing: "delete oldest tokens", sql: deleteOldestOneTimeTokens,
		args: []any{int64(t.UserID), string(t.Purpose), int64(auth.MaxOutstanding)},
	})
}

// FindOneTimeToken implements auth.Store.
func (s *Store) FindOneTimeToken(ctx context.Context, purpose auth.Purpose, hash auth.TokenHash, now time.Time) (auth.OneTimeToken, auth.User, error) {
	var token oneTimeTokenRow
	var user userRow
	err := s.engine.read(ctx, func(ctx context.Context, q querier) error {
		return q.row(ctx, selectOneTimeToken, []any{hash[:], string(purpose), micros(now)}, append(token.dest(), user.dest()...)...)
	})
	switch {
	case errors.Is(err, errNoRows):
		return auth.OneTimeToken{}, auth.User{}, auth.ErrTokenInvalid
	case err != nil:
		return auth.OneTimeToken{}, auth.User{}, err
	}
	return token.token(), s.user(user), nil
}

// AttemptOneTimeCode implements auth.Store.
func (s *Store) AttemptOneTimeCode(ctx context.Context, user auth.UserID, purposes [2]auth.Purpose, now time.Time) ([]auth.OneTimeToken, error) {
	var list []auth.OneTimeToken
	err := s.engine.write(ctx, func(ctx context.Context, q querier) error {
		list = list[:0]
		// Who resets the password locks in this order too; nobody who guesses may keep them from it.
		if _, err := q.exec(ctx, lockUser, int64(user)); err != nil {
			return fmt.Errorf("lock user: %w", err)
		}
		if err := s.insertNothing(ctx, q); err != nil {
			return err
		}
		args := []any{int64(user), string(purposes[0]), string(purposes[1]), micros(now), int64(auth.MaxCodeAttempts)}
		return q.rows(ctx, updateOneTimeCodeAttempt, args, func(scan func(...any) error) error {
			var r oneTimeTokenRow
			if err := scan(r.dest()...); err != nil {
				return err
			}
			list = append(list, r.token())
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

var _ auth.Codes = (*Store)(nil)

// ReturnOneTimeCodeAttempt implements auth.Codes.
func (s *Store) ReturnOneTimeCodeAttempt(ctx context.Context, t auth.OneTimeToken) error {
	return s.engine.write(ctx, func(ctx context.Context, q querier) error {
		_, err := q.exec(ctx, updateOneTimeCodeAttemptBack, int64(t.ID), t.TokenHash[:])
		return err
	})
}

// ResetPassword implements auth.Store.
func (s *Store) ResetPassword(ctx context.Context, p auth.PasswordReset) error {
	t := p.Token
	return s.change(ctx, t.UserID, func(ctx context.Context, q querier) error {
		// The user's row first, as everywhere: two transactions that lock in the same order cannot wait for each other.
		user, _, err := s.queryUser(ctx, q, auth.ErrTokenInvalid, lockUser, int64(t.UserID))
		if err != nil {
			return fmt.Errorf("lock user: %w", err)
		}
		if !user.EmailVerified {
			if _, err := q.exec(ctx, deleteIdentitiesOfUser, int64(t.UserID)); err != nil {
				return fmt.Errorf("delete identities: %w", err)
			}
		}
		n, err := q.exec(ctx, updateUserResetPassword, int64(t.UserID), t.EmailKey, string(p.Password), micros(p.Now))
		switch {
		case err != nil:
			return fmt.Errorf("update password: %w", err)
		case n == 0:
			return auth.ErrTokenInvalid
		}
		if err := s.useUp(ctx, q, t, p.Now); err != nil {
			return err
		}
		if err := s.endResets(ctx, q, t.UserID, t.EmailKey); err != nil {
			return err
		}
		if err := unlock(ctx, q, t.UserID); err != nil {
			return err
		}
		if err := endSessions(ctx, q, t.UserID); err != nil {
			return err
		}
		return s.insertMessage(ctx, q, p.Notice)
	})
}

// useUp deletes the token, or returns auth.ErrTokenInvalid if it is not there any more or expired.
func (s *Store) useUp(ctx context.Context, q querier, t auth.OneTimeToken, now time.Time) error {
	n, err := q.exec(ctx, deleteOneTimeToken, int64(t.ID), t.TokenHash[:], string(t.Purpose), micros(now))
	switch {
	case err != nil:
		return fmt.Errorf("use up token: %w", err)
	case n == 0:
		return auth.ErrTokenInvalid
	}
	return nil
}

// endResets makes every reset and every change of address that was asked for before worthless, also those that are not
// sent yet: whoever asked may be the one who is being shut out.
func (s *Store) endResets(ctx context.Context, q querier, user auth.UserID, email string) error {
	for _, purpose := range []auth.Purpose{auth.PurposeResetPassword, auth.PurposeChangeEmail} {
		if err := q.later(ctx, statement{
			doing: "delete tokens", sql: deleteOneTimeTokensFor, args: []any{int64(user), string(purpose)},
		}); err != nil {
			return err
		}
	}
	if err := q.later(ctx, statement{
		doing: "delete queued changes of address", sql: deleteMessagesOfUserAndKind,
		args: []any{int64(user), string(auth.MailChangeEmail)},
	}); err != nil {
		return err
	}
	return q.later(ctx, statement{
		doing: "delete queued resets", sql: deleteMessagesTo, args: []any{strings.ToLower(email), string(auth.MailResetPassword)},
	})
}
