package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

var _ auth.AppTokenStore = (*Store)(nil)

// FindAppToken implements auth.AppTokenStore.
func (s *Store) FindAppToken(ctx context.Context, appID string) (auth.SealedAppToken, error) {
	var token auth.SealedAppToken
	var expiresAt int64
	err := s.engine.read(ctx, func(ctx context.Context, q querier) error {
		return q.row(ctx, selectAppToken, []any{appID}, &token.Generation, &token.Sealed, &expiresAt)
	})
	switch {
	case errors.Is(err, errNoRows):
		return auth.SealedAppToken{}, auth.ErrNotFound
	case err != nil:
		return auth.SealedAppToken{}, err
	}
	token.ExpiresAt = fromMicros(expiresAt)
	return token, nil
}

// LeaseAppToken implements auth.AppTokenStore.
func (s *Store) LeaseAppToken(ctx context.Context, lease auth.AppTokenLease, now time.Time) error {
	return s.changeAppToken(ctx, leaseAppToken, lease, micros(now))
}

// StoreAppToken implements auth.AppTokenStore.
func (s *Store) StoreAppToken(ctx context.Context, lease auth.AppTokenLease, token auth.SealedAppToken) error {
	return s.changeAppToken(ctx, updateAppToken, lease, token.Sealed, micros(token.ExpiresAt))
}

// ReleaseAppToken implements auth.AppTokenStore.
func (s *Store) ReleaseAppToken(ctx context.Context, lease auth.AppTokenLease) error {
	err := s.changeAppToken(ctx, updateAppTokenReleased, lease)
	if errors.Is(err, auth.ErrChanged) { // not held any more
		return nil
	}
	return err
}

// changeAppToken runs one statement about a lease; auth.ErrChanged if it changes nothing.
func (s *Store) changeAppToken(ctx context.Context, statement string, lease auth.AppTokenLease, args ...any) error {
	args = append([]any{lease.AppID, lease.Generation, micros(lease.Until)}, args...)
	return s.engine.write(ctx, func(ctx context.Context, q querier) error {
		n, err := q.exec(ctx, statement, args...)
		switch {
		case err != nil:
			return fmt.Errorf("change token of app: %w", err)
		case n == 0:
			return auth.ErrChanged
		}
		return nil
	})
}
