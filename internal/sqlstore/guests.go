package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

// useGuestKey notes that the key made the guest. It returns errKeyUsed if it made another one that it still leads to.
func (s *Store) useGuestKey(ctx context.Context, q querier, key *auth.GuestKey, guest auth.UserID, now time.Time) error {
	if key == nil {
		return nil
	}
	n, err := q.exec(ctx, upsertGuestKey, key.Hash[:], int64(guest), micros(key.ExpiresAt), micros(now))
	switch {
	case err != nil:
		return fmt.Errorf("use guest key: %w", err)
	case n == 0:
		return errKeyUsed
	}
	return nil
}

var errKeyUsed = errors.New("guest key is used")

// whoseKey returns a *auth.GuestKeyUsedError that names the guest, or auth.ErrChanged if the clean-up was just there.
func (s *Store) whoseKey(ctx context.Context, key *auth.GuestKey, now time.Time) error {
	var guest int64
	err := s.engine.read(ctx, func(ctx context.Context, q querier) error {
		return q.row(ctx, selectUserOfGuestKey, []any{key.Hash[:], micros(now)}, &guest)
	})
	switch {
	case errors.Is(err, errNoRows):
		return auth.ErrChanged
	case err != nil:
		return fmt.Errorf("find guest of key: %w", err)
	}
	return &auth.GuestKeyUsedError{UserID: auth.UserID(guest)}
}

// cleanUpGuests moves those guests on who are in use, and deletes those who are not. It returns how many of both.
func (s *Store) cleanUpGuests(ctx context.Context, due auth.Due, limit int) (int64, error) {
	before, now := micros(due.GuestsBefore), micros(due.Now)
	var moved, deleted int64
	err := s.engine.write(ctx, func(ctx context.Context, q querier) (err error) {
		if moved, err = q.exec(ctx, updateGuestsInUse, before, int64(limit), now, now-before); err != nil {
			return err
		}
		if deleted, err = q.exec(ctx, deleteUnusedGuests, before, int64(limit)); err != nil {
			return err
		}
		return s.insertGuestsDeleted(ctx, q, deleted, due.Now)
	})
	if err != nil {
		return 0, fmt.Errorf("delete guests that are due: %w", err)
	}
	return moved + deleted, nil
}

// insertGuestsDeleted appends to the audit log how many guests were deleted.
func (s *Store) insertGuestsDeleted(ctx context.Context, q querier, n int64, now time.Time) error {
	if n == 0 {
		return nil
	}
	return s.insertAuditEvent(ctx, q, auth.AuditEvent{Kind: auth.AuditGuestsDeleted, Outcome: auth.AuditOK, At: now, Count: int(n)})
}

// pruneBatch is how many guests a transaction looks at: a few milliseconds of the writer.
const pruneBatch = 500

// CountUnusedGuests returns how many guests are unused, and changes nothing.
func (s *Store) CountUnusedGuests(ctx context.Context, p auth.Pruning) (int64, error) {
	var total int64
	err := s.eachGuestPage(ctx, p, func(_, _ guestPlace, unused int64) error {
		total += unused
		return nil
	})
	return total, err
}

// PruneGuests deletes the guests that are unused, in small batches, calls progress after each with the number so far, and
// returns how many it deleted, also with an error. Whoever comes back meanwhile is left alone.
func (s *Store) PruneGuests(ctx context.Context, p auth.Pruning, progress func(deleted int64)) (int64, error) {
	var total int64
	err := s.eachGuestPage(ctx, p, func(from, to guestPlace, unused int64) error {
		if unused == 0 {
			return nil
		}
		var deleted int64
		err := s.engine.write(ctx, func(ctx context.Context, q querier) (err error) {
			deleted, err = q.exec(ctx, deleteGuestPage, micros(p.Before), from.seenAt, from.id, micros(p.LiveAt), to.seenAt, to.id)
			if err != nil {
				return err
			}
			return s.insertGuestsDeleted(ctx, q, deleted, s.now())
		})
		if err != nil {
			return fmt.Errorf("delete guests: %w", err)
		}
		total += deleted
		progress(total)
		return nil
	})
	return total, err
}

// guestPlace is a guest's place in the order of pages.
type guestPlace struct{ seenAt, id int64 }

// eachGuestPage calls do for each page of guests that were not seen since p.Before, with the last guest before it, its last
// one, and how many of them are unused.
func (s *Store) eachGuestPage(ctx context.Context, p auth.Pruning, do func(from, to guestPlace, unused int64) error) error {
	from := guestPlace{seenAt: math.MinInt64}
	for ctx.Err() == nil {
		to, size, unused, err := s.guestPage(ctx, p, from)
		if err != nil {
			return fmt.Errorf("look for unused guests: %w", err)
		}
		if size == 0 {
			return nil
		}
		if err := do(from, to, unused); err != nil {
			return err
		}
		from = to
	}
	return ctx.Err()
}

func (s *Store) guestPage(ctx context.Context, p auth.Pruning, from guestPlace) (to guestPlace, size int, unused int64, err error) {
	err = s.engine.read(ctx, func(ctx context.Context, q querier) error {
		size, unused = 0, 0
		args := []any{micros(p.Before), from.seenAt, from.id, micros(p.LiveAt), int64(pruneBatch)}
		return q.rows(ctx, selectGuestPage, args, func(scan func(...any) error) error {
			var sessions int64
			if err := scan(&to.id, &to.seenAt, &sessions); err != nil {
				return err
			}
			size++
			if sessions == 0 {
				unused++
			}
			return nil
		})
	})
	return to, size, unused, err
}
