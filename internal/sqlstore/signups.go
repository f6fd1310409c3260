package sqlstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

var _ auth.SignUps = (*Store)(nil)

// signUpRow is a row of signUpColumns.
type signUpRow struct {
	id, expiresAt                                     int64
	username, email, emailKey, passwordHash, language string
	tokenHash, codeHash                               []byte
}

func (r *signUpRow) dest() []any {
	return []any{&r.id, &r.username, &r.email, &r.emailKey, &r.passwordHash, &r.language, &r.tokenHash, &r.codeHash, &r.expiresAt}
}

func (r *signUpRow) signUp() auth.PendingSignUp {
	p := auth.PendingSignUp{
		ID:           auth.SignUpID(r.id),
		Username:     r.username,
		Email:        auth.Email{Address: r.email, Key: r.emailKey},
		PasswordHash: auth.PasswordHash(r.passwordHash),
		Language:     auth.Language(r.language),
		ExpiresAt:    fromMicros(r.expiresAt),
	}
	copy(p.TokenHash[:], r.tokenHash)
	copy(p.CodeHash[:], r.codeHash)
	return p
}

// querySignUp runs a statement that returns signUpColumns; no row is the error absent.
func querySignUp(ctx context.Context, q querier, absent error, sql string, args ...any) (auth.PendingSignUp, error) {
	var r signUpRow
	switch err := q.row(ctx, sql, args, r.dest()...); {
	case errors.Is(err, errNoRows):
		return auth.PendingSignUp{}, absent
	case err != nil:
		return auth.PendingSignUp{}, err
	}
	return r.signUp(), nil
}

// RequestSignUp implements auth.SignUps.
func (s *Store) RequestSignUp(ctx context.Context, p auth.PendingSignUp, m auth.OutboxMessage) error {
	return s.engine.write(ctx, func(ctx context.Context, q querier) error {
		message, err := s.queue(ctx, q, &m)
		if err != nil {
			return err
		}
		return q.later(ctx, statement{doing: "insert sign-up", sql: insertSignUp, args: []any{
			int64(message), p.Username, p.Email.Address, p.Email.Key, string(p.PasswordHash), string(p.Language), micros(p.ExpiresAt),
		}})
	})
}

// MailSignUp implements auth.SignUps.
func (s *Store) MailSignUp(ctx context.Context, message auth.MessageID, token auth.TokenHash, code [sha256.Size]byte, most int, now time.Time) (auth.PendingSignUp, error) {
	var p auth.PendingSignUp
	err := s.engine.write(ctx, func(ctx context.Context, q querier) (err error) {
		if p, err = querySignUp(ctx, q, auth.ErrNotFound, selectSignUpOfMessage, int64(message)); err != nil {
			return err
		}
		if _, err := q.exec(ctx, lockSignUps, p.Email.Key); err != nil { // of mails that are written at once each counts the others
			return fmt.Errorf("lock sign-ups: %w", err)
		}
		var mails int64
		args := []any{p.Email.Key, int64(message), micros(now.Add(-auth.SignUpMailWindow))}
		switch err := q.row(ctx, selectSignUpMails, args, &mails); {
		case err != nil:
			return fmt.Errorf("count mails: %w", err)
		case mails >= int64(most):
			return auth.ErrNotFound
		}
		var tokenHash, codeHash []byte
		if token != (auth.TokenHash{}) {
			tokenHash, codeHash = token[:], code[:]
		}
		p, err = querySignUp(ctx, q, auth.ErrNotFound, updateSignUpMailed, int64(message), tokenHash, codeHash, micros(now))
		return err
	})
	return p, err
}

// FindSignUp implements auth.SignUps.
func (s *Store) FindSignUp(ctx context.Context, hash auth.TokenHash, now time.Time) (p auth.PendingSignUp, err error) {
	err = s.engine.read(ctx, func(ctx context.Context, q querier) error {
		p, err = querySignUp(ctx, q, auth.ErrTokenInvalid, selectSignUp, hash[:], micros(now), int64(auth.MaxLinkAttempts))
		return err
	})
	return p, err
}

// AttemptSignUpCode implements auth.SignUps.
func (s *Store) AttemptSignUpCode(ctx context.Context, emailKey string, now time.Time) ([]auth.PendingSignUp, error) {
	var list []auth.PendingSignUp
	err := s.engine.write(ctx, func(ctx context.Context, q querier) error {
		list = list[:0]
		if err := s.insertNothing(ctx, q); err != nil {
			return err
		}
		args := []any{emailKey, micros(now), int64(auth.MaxCodeAttempts)}
		return q.rows(ctx, updateSignUpCodeAttempt, args, func(scan func(...any) error) error {
			var r signUpRow
			if err := scan(r.dest()...); err != nil {
				return err
			}
			list = append(list, r.signUp())
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// AttemptSignUpLink implements auth.SignUps.
func (s *Store) AttemptSignUpLink(ctx context.Context, hash auth.TokenHash, now time.Time) (p auth.PendingSignUp, err error) {
	err = s.engine.write(ctx, func(ctx context.Context, q querier) error {
		p, err = querySignUp(ctx, q, auth.ErrTokenInvalid, updateSignUpLinkAttempt, hash[:], micros(now), int64(auth.MaxLinkAttempts))
		return err
	})
	return p, err
}

// ReturnSignUpCodeAttempt implements auth.SignUps.
func (s *Store) ReturnSignUpCodeAttempt(ctx context.Context, p auth.PendingSignUp) error {
	return s.returnSignUpAttempt(ctx, updateSignUpCodeAttemptBack, p)
}

// ReturnSignUpLinkAttempt implements auth.SignUps.
func (s *Store) ReturnSignUpLinkAttempt(ctx context.Context, p auth.PendingSignUp) error {
	return s.returnSignUpAttempt(ctx, updateSignUpLinkAttemptBack, p)
}

func (s *Store) returnSignUpAttempt(ctx context.Context, sql string, p auth.PendingSignUp) error {
	return s.engine.write(ctx, func(ctx context.Context, q querier) error {
		_, err := q.exec(ctx, sql, int64(p.ID), p.TokenHash[:])
		return err
	})
}

// CountTakenAnswer implements auth.SignUps.
func (s *Store) CountTakenAnswer(ctx context.Context, p auth.PendingSignUp) error {
	return s.engine.write(ctx, func(ctx context.Context, q querier) error {
		return q.later(ctx, statement{
			doing: "count answer", sql: updateSignUpTaken, args: []any{int64(p.ID), p.TokenHash[:], int64(auth.MaxTakenAnswers)},
			check: orElse(auth.ErrTokenInvalid),
		})
	})
}

// ConfirmSignUp implements auth.SignUps.
func (s *Store) ConfirmSignUp(ctx context.Context, c auth.SignUpConfirmation) (auth.User, error) {
	p := c.SignUp
	row := userRow{id: int64(c.GuestID)}
	confirm := func(ctx context.Context, q querier) error {
		for _, st := range []statement{
			{doing: "lock sign-ups", sql: lockSignUps, args: []any{p.Email.Key}},
			{
				doing: "use up sign-up", sql: deleteSignUp, args: []any{int64(p.ID), p.TokenHash[:], micros(c.Now)},
				check: orElse(auth.ErrTokenInvalid),
			},
			{doing: "delete sign-ups", sql: deleteSignUpsTo, args: []any{p.Email.Key}},
		} {
			if err := q.later(ctx, st); err != nil {
				return err
			}
		}
		if err := s.becomeUser(ctx, q, c, &row); err != nil {
			return err
		}
		return q.later(ctx, statement{
			doing: "verify address", sql: updateUserEmailVerified, args: []any{row.id, p.Email.Key, micros(c.Now)},
			dest: row.dest(), check: orElse(auth.ErrChanged),
		})
	}
	var err error
	if c.GuestID != 0 {
		err = s.change(ctx, c.GuestID, confirm)
	} else if row.id, err = s.engine.newUserID(ctx); err == nil {
		err = s.engine.write(ctx, confirm)
	}
	switch {
	case errors.Is(err, errUnique):
		return auth.User{}, s.whatIsTaken(ctx, c.GuestID, p.Username, &p.Email, nil)
	case err != nil:
		return auth.User{}, err
	}
	return s.user(row), nil
}

// becomeUser creates the user of a sign-up, or upgrades the guest; either fills row.
func (s *Store) becomeUser(ctx context.Context, q querier, c auth.SignUpConfirmation, row *userRow) error {
	p := c.SignUp
	if c.GuestID != 0 {
		return s.upgradeGuest(ctx, q, auth.GuestUpgrade{
			UserID: c.GuestID, Username: p.Username, Email: &p.Email, PasswordHash: p.PasswordHash, Now: c.Now, Session: c.Session,
		}, row)
	}
	return s.createUser(ctx, q, auth.NewUser{
		Username: p.Username, Email: &p.Email, Profile: auth.Profile{Fullname: p.Username}, PasswordHash: p.PasswordHash,
		Language: p.Language, Now: c.Now, Session: c.Session,
	}, row)
}
