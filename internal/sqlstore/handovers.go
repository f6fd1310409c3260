package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

var _ auth.Handovers = (*Store)(nil)

// CreateHandover implements auth.Handovers.
func (s *Store) CreateHandover(ctx context.Context, h auth.Handover) error {
	return s.engine.write(ctx, func(ctx context.Context, q querier) error {
		_, err := q.exec(ctx, insertHandover, h.CodeHash[:], h.AppID, h.OpenID, nullable(h.UnionID), nullable(h.CodeChallenge), micros(h.ExpiresAt))
		return err
	})
}

// ConsumeHandover implements auth.Handovers.
func (s *Store) ConsumeHandover(ctx context.Context, hash auth.TokenHash, now time.Time) (auth.Handover, error) {
	var h auth.Handover
	var unionID, challenge *string
	var expiresAt int64
	err := s.engine.write(ctx, func(ctx context.Context, q querier) error {
		return q.row(ctx, deleteHandover, []any{hash[:], micros(now)}, &h.AppID, &h.OpenID, &unionID, &challenge, &expiresAt)
	})
	switch {
	case errors.Is(err, errNoRows):
		return auth.Handover{}, auth.ErrTokenInvalid
	case err != nil:
		return auth.Handover{}, err
	}
	h.CodeHash, h.UnionID, h.CodeChallenge, h.ExpiresAt = hash, text(unionID), text(challenge), fromMicros(expiresAt)
	return h, nil
}
