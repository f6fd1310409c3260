package sqlstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

// sessionRow is a row of sessionColumns.
type sessionRow struct {
	id, userID, createdAt, lastUsedAt, expiresAt int64
	tokenHash                                    []byte
	ip, userAgent                                string
}

func (r *sessionRow) dest() []any {
	return []any{&r.id, &r.userID, &r.tokenHash, &r.createdAt, &r.lastUsedAt, &r.expiresAt, &r.ip, &r.userAgent}
}

func (r *sessionRow) session() auth.Session {
	s := auth.Session{
		ID:         auth.SessionID(r.id),
		UserID:     auth.UserID(r.userID),
		CreatedAt:  fromMicros(r.createdAt),
		LastUsedAt: fromMicros(r.lastUsedAt),
		ExpiresAt:  fromMicros(r.expiresAt),
		Origin:     auth.Origin{Address: parseAddress(r.ip), UserAgent: r.userAgent},
	}
	copy(s.TokenHash[:], r.tokenHash)
	return s
}

func (s *Store) insertSession(ctx context.Context, q querier, user auth.UserID, n auth.Session) error {
	return q.later(ctx, statement{doing: "insert session", sql: insertSession, args: []any{
		int64(n.ID), int64(user), n.TokenHash[:], micros(n.CreatedAt), micros(n.LastUsedAt),
		micros(n.ExpiresAt), addressText(n.Origin.Address), n.Origin.UserAgent,
	}})
}

// endSessions ends all sessions of the user.
func endSessions(ctx context.Context, q querier, user auth.UserID) error {
	return q.later(ctx, statement{doing: "delete sessions", sql: deleteSessionsOfUser, args: []any{int64(user)}})
}

// CreateSession implements auth.Store.
func (s *Store) CreateSession(ctx context.Context, in auth.SignIn) (auth.User, error) {
	sql, args := updateUserSignedIn, []any{int64(in.UserID), micros(in.Session.CreatedAt)}
	switch {
	case in.GuestOnly:
		sql = updateGuestSignedIn
	case in.Verified != nil:
		sql, args = updateUserSignedInWithPassword, append(args, string(*in.Verified), nullable(in.Rehashed))
	}
	var user userRow
	var ended int64
	err := s.engine.write(ctx, func(ctx context.Context, q querier) (err error) {
		if err := q.later(ctx, statement{doing: "update user", sql: sql, args: args, dest: user.dest(), check: orElse(auth.ErrChanged)}); err != nil {
			return err
		}
		if in.Identity != nil {
			if err := mustOwn(ctx, q, in.UserID, *in.Identity); err != nil {
				return err
			}
		}
		if in.Lane != nil {
			if err := settle(ctx, q, *in.Lane, in.Session.CreatedAt); err != nil {
				return err
			}
		}
		var known int64 // sessions from the device, before this one
		if in.NewDevice != nil {
			if err := q.later(ctx, statement{
				doing: "look for the device", sql: selectSessionsFromDevice,
				args: []any{int64(in.UserID), in.Session.Origin.UserAgent}, dest: []any{&known},
			}); err != nil {
				return err
			}
		}
		if err := s.insertSession(ctx, q, in.UserID, in.Session); err != nil {
			return err
		}
		if ended, err = q.exec(ctx, deleteOldestSessions, int64(in.UserID), int64(auth.MaxSessions)); err != nil {
			return fmt.Errorf("delete oldest sessions: %w", err)
		}
		if known == 0 {
			if err := s.insertMessage(ctx, q, in.NewDevice); err != nil {
				return err
			}
		}
		if ended == 0 {
			return nil
		}
		return s.insertInvalidation(ctx, q, in.UserID)
	})
	if ended > 0 {
		s.cache.Invalidate(in.UserID)
		s.tellOthers()
	}
	switch {
	case errors.Is(err, errUnique):
		return auth.User{}, auth.ErrSessionIDTaken
	case err != nil:
		return auth.User{}, err
	}
	return s.user(user), nil
}

// FindSession implements auth.Store.
func (s *Store) FindSession(ctx context.Context, id auth.SessionID) (auth.Session, auth.User, error) {
	var session sessionRow
	var user userRow
	err := s.engine.read(ctx, func(ctx context.Context, q querier) error {
		return q.row(ctx, selectSession, []any{int64(id)}, append(session.dest(), user.dest()...)...)
	})
	switch {
	case errors.Is(err, errNoRows):
		return auth.Session{}, auth.User{}, auth.ErrNotFound
	case err != nil:
		return auth.Session{}, auth.User{}, err
	}
	return session.session(), s.user(user), nil
}

// TouchSessions implements auth.Store.
func (s *Store) TouchSessions(ctx context.Context, uses []auth.SessionUse) error {
	// Two nodes that lock in the same order cannot wait for each other.
	uses = slices.SortedFunc(slices.Values(uses), func(a, b auth.SessionUse) int { return cmp.Compare(a.ID, b.ID) })
	return s.engine.write(ctx, func(ctx context.Context, q querier) error {
		for _, u := range uses {
			if err := q.later(ctx, statement{
				doing: "update session", sql: updateSessionUse, args: []any{int64(u.ID), micros(u.UsedAt), micros(u.ExpiresAt)},
			}); err != nil {
				return err
			}
		}
		return nil
	})
}

// ListSessions implements auth.Store.
func (s *Store) ListSessions(ctx context.Context, user auth.UserID, now time.Time) ([]auth.Session, error) {
	var list []auth.Session
	err := s.engine.read(ctx, func(ctx context.Context, q querier) error {
		list = list[:0]
		return q.rows(ctx, selectSessionsOfUser, []any{int64(user), micros(now), int64(auth.MaxSessions)}, func(scan func(...any) error) error {
			var r sessionRow
			if err := scan(r.dest()...); err != nil {
				return err
			}
			list = append(list, r.session())
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// RevokeSession implements auth.Store.
func (s *Store) RevokeSession(ctx context.Context, user auth.UserID, id auth.SessionID) error {
	return s.change(ctx, user, func(ctx context.Context, q querier) error {
		if err := s.noteGuestSeen(ctx, q, user); err != nil {
			return err
		}
		n, err := q.exec(ctx, deleteSession, int64(id), int64(user))
		if err == nil && n == 0 {
			return auth.ErrNotFound
		}
		return err
	})
}

// RevokeOtherSessions implements auth.Store.
func (s *Store) RevokeOtherSessions(ctx context.Context, user auth.UserID, keep auth.SessionID) error {
	return s.change(ctx, user, func(ctx context.Context, q querier) error {
		if err := s.noteGuestSeen(ctx, q, user); err != nil {
			return err
		}
		return q.later(ctx, statement{doing: "delete sessions", sql: deleteOtherSessions, args: []any{int64(user), int64(keep)}})
	})
}

// noteGuestSeen keeps of sessions that end when the guest was last seen, if the user is one.
func (s *Store) noteGuestSeen(ctx context.Context, q querier, user auth.UserID) error {
	return q.later(ctx, statement{doing: "note when the guest was seen", sql: updateGuestSeen, args: []any{int64(user)}})
}
