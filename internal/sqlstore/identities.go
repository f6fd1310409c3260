package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

var _ auth.Identities = (*Store)(nil)

// AttachIdentities implements auth.Identities.
func (s *Store) AttachIdentities(ctx context.Context, a auth.Attachment) error {
	return s.engine.write(ctx, func(ctx context.Context, q querier) error {
		user, _, err := s.queryUser(ctx, q, auth.ErrChanged, lockUser, int64(a.UserID))
		switch {
		case err != nil:
			return fmt.Errorf("lock user: %w", err)
		case user.Guest:
			return auth.ErrChanged
		}
		if a.Known != nil {
			err = mustOwn(ctx, q, a.UserID, *a.Known)
		} else {
			err = mustLive(ctx, q, a.UserID, a.Session)
		}
		if err != nil {
			return err
		}
		for _, identity := range a.Add {
			if err := s.attachIdentity(ctx, q, a.UserID, identity, a.Now); err != nil {
				return err
			}
		}
		return nil
	})
}

// mustLive returns auth.ErrChanged if the user's session has ended. Whoever holds the user's row knows it until the end of
// the transaction: what ends sessions of a user for a reason of safety locks that row first.
func mustLive(ctx context.Context, q querier, user auth.UserID, session auth.SessionID) error {
	var n int64
	if err := q.row(ctx, selectSessionCount, []any{int64(session), int64(user)}, &n); err != nil {
		return fmt.Errorf("look for the session: %w", err)
	}
	if n == 0 {
		return auth.ErrChanged
	}
	return nil
}

// mustOwn returns auth.ErrChanged, or has the transaction end with it, if the identity is not the user's any more.
func mustOwn(ctx context.Context, q querier, user auth.UserID, i auth.Identity) error {
	var owner int64
	return q.later(ctx, statement{
		doing: "find owner of identity", sql: selectIdentityOwner, args: []any{i.Provider, i.AppID, i.Subject}, dest: []any{&owner},
		check: func(rows int64) error {
			if rows == 0 || auth.UserID(owner) != user {
				return auth.ErrChanged
			}
			return nil
		},
	})
}

func (s *Store) attachIdentity(ctx context.Context, q querier, user auth.UserID, i auth.Identity, now time.Time) error {
	added, err := q.exec(ctx, insertIdentity, int64(user), i.Provider, i.AppID, i.Subject, micros(now))
	if err != nil {
		return fmt.Errorf("insert identity: %w", err)
	}
	if added > 0 {
		return nil
	}
	var owner int64
	switch err := q.row(ctx, selectIdentityOwner, []any{i.Provider, i.AppID, i.Subject}, &owner); {
	case errors.Is(err, errNoRows):
		return auth.ErrHasIdentity // it was the user's other subject in this app that was in the way
	case err != nil:
		return fmt.Errorf("find owner of identity: %w", err)
	case auth.UserID(owner) != user:
		return auth.ErrIdentityTaken
	}
	return nil
}

// ListIdentities implements auth.Identities.
func (s *Store) ListIdentities(ctx context.Context, user auth.UserID) (list []auth.LinkedIdentity, err error) {
	err = s.engine.read(ctx, func(ctx context.Context, q querier) error {
		list, err = listIdentities(ctx, q, user)
		return err
	})
	return list, err
}

func listIdentities(ctx context.Context, q querier, user auth.UserID) ([]auth.LinkedIdentity, error) {
	var list []auth.LinkedIdentity
	err := q.rows(ctx, selectIdentitiesOfUser, []any{int64(user), int64(auth.MaxIdentities)}, func(scan func(...any) error) error {
		var i auth.LinkedIdentity
		var id, createdAt int64
		if err := scan(&id, &i.Provider, &i.AppID, &createdAt); err != nil {
			return err
		}
		i.ID, i.CreatedAt = auth.IdentityID(id), fromMicros(createdAt)
		list = append(list, i)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list identities: %w", err)
	}
	return list, nil
}

// DetachIdentities implements auth.Identities.
func (s *Store) DetachIdentities(ctx context.Context, d auth.Detachment) error {
	return s.engine.write(ctx, func(ctx context.Context, q querier) error {
		_, password, err := s.queryUser(ctx, q, auth.ErrChanged, lockUser, int64(d.UserID))
		if err != nil {
			return fmt.Errorf("lock user: %w", err)
		}
		if err := mustLive(ctx, q, d.UserID, d.Session); err != nil {
			return err
		}
		var removed int64
		for _, appID := range d.AppIDs {
			n, err := q.exec(ctx, deleteIdentity, int64(d.UserID), d.Provider, appID)
			if err != nil {
				return fmt.Errorf("delete identity: %w", err)
			}
			removed += n
		}
		if removed == 0 {
			return auth.ErrNotFound
		}
		if password != "" {
			return nil
		}
		left, err := listIdentities(ctx, q, d.UserID)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(left, func(i auth.LinkedIdentity) bool { return slices.Contains(d.WaysIn, i.AppID) }) {
			return auth.ErrLastWayIn
		}
		return nil
	})
}

// MergeUsers implements auth.Identities.
func (s *Store) MergeUsers(ctx context.Context, from, into auth.UserID, now time.Time) error {
	defer s.cache.Invalidate(into)
	err := s.change(ctx, from, func(ctx context.Context, q querier) error {
		// Always in this order: two merges of the same users at once do not wait for each other.
		var gone auth.User
		for _, id := range []auth.UserID{min(from, into), max(from, into)} {
			user, _, err := s.queryUser(ctx, q, auth.ErrChanged, lockUser, int64(id))
			switch {
			case err != nil:
				return fmt.Errorf("lock user: %w", err)
			case id == from:
				gone = user
			case user.Guest:
				return auth.ErrChanged
			}
		}
		if _, err := q.exec(ctx, updateIdentitiesOwner, int64(from), int64(into)); err != nil {
			return fmt.Errorf("move identities: %w", err)
		}
		if err := s.eraseUser(ctx, q, gone, now); err != nil {
			return err
		}
		return s.insertInvalidation(ctx, q, into)
	})
	if errors.Is(err, errUnique) {
		return auth.ErrHasIdentity
	}
	return err
}

// SetVerifiedPhoneNumber implements auth.Identities.
func (s *Store) SetVerifiedPhoneNumber(ctx context.Context, user auth.UserID, number string, now time.Time) error {
	return s.change(ctx, user, func(ctx context.Context, q querier) error {
		n, err := q.exec(ctx, updateUserVerifiedPhone, int64(user), number, micros(now))
		if err == nil && n == 0 {
			return auth.ErrChanged
		}
		return err
	})
}
