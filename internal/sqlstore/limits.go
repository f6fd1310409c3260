package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

var _ auth.Limits = (*Store)(nil)

// CheckLane implements auth.Limits.
func (s *Store) CheckLane(ctx context.Context, lane auth.LaneKey, now time.Time) error {
	return s.engine.read(ctx, func(ctx context.Context, q querier) error {
		var until *int64
		err := q.row(ctx, selectFailureWait, []any{lane[:]}, &until)
		if errors.Is(err, errNoRows) {
			return nil
		}
		return locked("look for a wait", err, until, now)
	})
}

// CountFailure implements auth.Limits.
func (s *Store) CountFailure(ctx context.Context, lane auth.Lane, now time.Time) (int, error) {
	var failures int64
	// Of a storm of guesses at one user, most come when a wait runs already: they need not stand in line for the row, with
	// a connection each.
	if err := s.CheckLane(ctx, lane.Key, now); err != nil {
		return 0, err
	}
	err := s.engine.write(ctx, func(ctx context.Context, q querier) error {
		err := q.row(ctx, upsertFailure, []any{lane.Key[:], micros(now)}, &failures)
		if errors.Is(err, errNoRows) { // a wait runs; the row is locked by now all the same
			var until *int64
			err = q.row(ctx, selectFailureWait, []any{lane.Key[:]}, &until)
			return locked("look for the wait", err, until, now)
		}
		if err != nil {
			return fmt.Errorf("count failure: %w", err)
		}
		wait, forever := lane.Rule.Wait(int(failures))
		if wait == 0 && !forever {
			return nil
		}
		var until *int64
		if !forever {
			end := micros(now.Add(wait))
			until = &end
		}
		if _, err := q.exec(ctx, updateFailureWait, lane.Key[:], until); err != nil {
			return fmt.Errorf("begin wait: %w", err)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return int(failures), nil
}

// ClearFailures implements auth.Limits.
func (s *Store) ClearFailures(ctx context.Context, lane auth.LaneKey, now time.Time) error {
	return s.engine.write(ctx, func(ctx context.Context, q querier) error { return settle(ctx, q, lane, now) })
}

// settle forgets the failures of a lane, or returns a *auth.LockedError, with which the transaction must end, if a wait
// runs there. Whoever counts a failure at the same time comes before or after.
func settle(ctx context.Context, q querier, lane auth.LaneKey, now time.Time) error {
	var until *int64
	err := q.row(ctx, deleteFailures, []any{lane[:]}, &until)
	if errors.Is(err, errNoRows) {
		return nil
	}
	return locked("forget failures", err, until, now)
}

// locked returns the *auth.LockedError for a wait that runs at now, the error of the statement that read it, or nil.
func locked(doing string, err error, until *int64, now time.Time) error {
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", doing, err)
	case until == nil:
		return &auth.LockedError{Forever: true}
	case *until > micros(now):
		return &auth.LockedError{Until: fromMicros(*until)}
	}
	return nil
}

// Unlock implements auth.Limits.
func (s *Store) Unlock(ctx context.Context, user auth.UserID) error {
	return s.engine.write(ctx, func(ctx context.Context, q querier) error { return unlock(ctx, q, user) })
}

// unlock forgets the failures of the user's lanes.
func unlock(ctx context.Context, q querier, user auth.UserID) error {
	lanes := auth.UserLanes(user)
	if _, err := q.exec(ctx, deleteFailuresOfUser, lanes[0][:], lanes[1][:]); err != nil {
		return fmt.Errorf("forget failures: %w", err)
	}
	return nil
}

// QueueLimited implements auth.Limits.
func (s *Store) QueueLimited(ctx context.Context, m auth.OutboxMessage, key auth.LaneKey, limit auth.MailLimit) error {
	now := m.QueuedAt
	room := now.Add(time.Duration(limit.Burst-1) * limit.Interval) // a request more fits while full_at is not beyond it
	return s.engine.write(ctx, func(ctx context.Context, q querier) error {
		n, err := q.exec(ctx, upsertMailRequest, key[:], micros(now), micros(now.Add(limit.Interval)), limit.Interval.Microseconds(), micros(room))
		switch {
		case err != nil:
			return fmt.Errorf("count request: %w", err)
		case n == 0:
			return nil
		}
		return s.insertMessage(ctx, q, &m)
	})
}
