package sqlstore

import (
	"context"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

// What the tests of Follow see of it.
const (
	GapPatience       = gapPatience
	MaxGaps           = maxGaps
	FollowBatch       = followBatch
	FollowFrom        = followFrom
	InvalidationsKept = invalidationsKept
)

// Follower is that of Follow, to be asked for one look after the other.
type Follower struct{ f follower }

func NewFollower(s *Store) *Follower { return &Follower{follower{store: s}} }

func (f *Follower) Look(ctx context.Context) error { return f.f.look(ctx) }

// Gaps returns how many numbers it waits for.
func (f *Follower) Gaps() int { return len(f.f.gaps) }

// WriteInvalidations writes a row for each number from one to the other, both included.
func (s *Store) WriteInvalidations(ctx context.Context, at time.Time, user auth.UserID, from, to int64) error {
	const sql = `WITH RECURSIVE numbers (seq) AS
			(SELECT CAST($1 AS BIGINT) UNION ALL SELECT seq + 1 FROM numbers WHERE seq < CAST($2 AS BIGINT))
		INSERT INTO invalidations (seq, user_id, created_at) SELECT seq, CAST($3 AS BIGINT), CAST($4 AS BIGINT) FROM numbers`
	return s.engine.write(ctx, func(ctx context.Context, q querier) error {
		_, err := q.exec(ctx, sql, from, to, int64(user), micros(at))
		return err
	})
}

// ForgetInvalidations takes away all rows behind a number.
func (s *Store) ForgetInvalidations(ctx context.Context, behind int64) error {
	return s.engine.write(ctx, func(ctx context.Context, q querier) error {
		_, err := q.exec(ctx, "DELETE FROM invalidations WHERE seq > $1", behind)
		return err
	})
}
