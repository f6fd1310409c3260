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
		switch err := q.row(ctx, selectFailureWait, []any{lane[:]}, &until); {
		case errors.Is(err, errNoRows):
			return nil
		case err != nil:
			return fmt.Errorf("look for a wait: %w", err)
		}
		return locked(until, now)
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
			if err := q.row(ctx, selectFailureWait, []any{lane.Key[:]}, &until); err != nil {
				return fmt.Errorf("look for the wait: %w", err)
			}
			return locked(until, now)
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
		return q.later(ctx, statement{doing: "begin wait", sql: updateFailureWait, args: []any{lane.Key[:], until}})
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
	return q.later(ctx, statement{
		doing: "forget failures", sql: deleteFailures, args: []any{lane[:]}, dest: []any{&until},
		check: func(rows int64) error {
			if rows == 0 {
				return nil
			}
			return locked(until, now)
		},
	})
}

// locked returns the *auth.LockedError for a wait that runs at now, or nil.
func locked(until *int64, now time.Time) error {
	switch {
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
	return q.later(ctx, statement{doing: "forget failures", sql: deleteFailuresOfUser, args: []any{lanes[0][:], lanes[1][:]}})
}

// QueueLimited implements auth.Limits.
func (s *Store) QueueLimited(ctx context.Context, m auth.OutboxMessage, key auth.LaneKey, limit auth.MailLimit) error {
	return s.engine.write(ctx, func(ctx context.Context, q querier) error {
		ok, err := takeMail(ctx, q, key, limit, m.QueuedAt)
		if err != nil || !ok {
			return err
		}
		return s.insertMessage(ctx, q, &m)
	})
}

// TakeMail implements auth.Limits.
func (s *Store) TakeMail(ctx context.Context, key auth.LaneKey, limit auth.MailLimit, now time.Time) (ok bool, err error) {
	err = s.engine.write(ctx, func(ctx context.Context, q querier) (err error) {
		ok, err = takeMail(ctx, q, key, limit, now)
		return err
	})
	return ok, err
}

func takeMail(ctx context.Context, q querier, key auth.LaneKey, limit auth.MailLimit, now time.Time) (ok bool, err error) {
	room := now.Add(time.Duration(limit.Burst-1) * limit.Interval) // a request more fits while full_at is not beyond it
	n, err := q.exec(ctx, upsertMailRequest, key[:], micros(now), micros(now.Add(limit.Interval)), limit.Interval.Microseconds(), micros(room))
	if err != nil {
		return false, fmt.Errorf("count request: %w", err)
	}
	return n > 0, nil
}
