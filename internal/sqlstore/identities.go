package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

var _ auth.Identities = (*Store)(nil)

// AttachIdentities implements auth.Identities.
func (s *Store) AttachIdentities(ctx context.Context, user auth.UserID, add []auth.Identity, now time.Time) error {
	return s.engine.write(ctx, func(ctx context.Context, q querier) error {
		owner, _, err := s.queryUser(ctx, q, auth.ErrChanged, lockUser, int64(user))
		switch {
		case err != nil:
			return fmt.Errorf("lock user: %w", err)
		case owner.Guest:
			return auth.ErrChanged
		}
		for _, identity := range add {
			if err := s.attachIdentity(ctx, q, user, identity, now); err != nil {
				return err
			}
		}
		return nil
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
func (s *Store) ListIdentities(ctx context.Context, user auth.UserID) ([]auth.LinkedIdentity, error) {
	var list []auth.LinkedIdentity
	err := s.engine.read(ctx, func(ctx context.Context, q querier) error {
		list = nil
		return q.rows(ctx, selectIdentitiesOfUser, []any{int64(user), int64(auth.MaxIdentities)}, func(scan func(...any) error) error {
			var i auth.LinkedIdentity
			var id, createdAt int64
			if err := scan(&id, &i.Provider, &i.AppID, &createdAt); err != nil {
				return err
			}
			i.ID, i.CreatedAt = auth.IdentityID(id), fromMicros(createdAt)
			list = append(list, i)
			return nil
		})
	})
	return list, err
}

// DetachIdentities implements auth.Identities.
func (s *Store) DetachIdentities(ctx context.Context, user auth.UserID, remove []auth.IdentityID) error {
	return s.engine.write(ctx, func(ctx context.Context, q querier) error {
		_, password, err := s.queryUser(ctx, q, auth.ErrChanged, lockUser, int64(user))
		if err != nil {
			return fmt.Errorf("lock user: %w", err)
		}
		for _, id := range remove {
			if _, err := q.exec(ctx, deleteIdentity, int64(id), int64(user)); err != nil {
				return fmt.Errorf("delete identity: %w", err)
			}
		}
		if password != "" {
			return nil
		}
		var left int64
		if err := q.row(ctx, selectIdentityCount, []any{int64(user)}, &left); err != nil {
			return fmt.Errorf("count identities: %w", err)
		}
		if left == 0 {
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
