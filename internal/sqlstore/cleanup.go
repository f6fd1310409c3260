package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

// CleanUp implements auth.Store. Each kind is a transaction of its own, so that others get their turn between them.
func (s *Store) CleanUp(ctx context.Context, due auth.Due, limit int) (int, error) {
	kinds := []struct {
		name   string
		sql    string
		before time.Time
		// first, if there is one, notes what the rows are the last to know. What it writes does not count.
		first string
	}{
		{"sessions", deleteExpiredSessions, due.Now, updateGuestsOfExpiredSessions},
		{"one-time tokens", deleteExpiredOneTimeTokens, due.Now, ""},
		{"handovers", deleteExpiredHandovers, due.Now, ""},
		{"sign-ups", deleteExpiredSignUps, due.Now, ""},
		{"guest keys", deleteExpiredGuestKeys, due.Now, ""},
		{"usernames", deleteHeldUsernames, due.DeletedBefore, ""},
		{"messages", deleteOldMessages, due.FailedMailBefore, ""},
		{"audit events", deleteOldAuditEvents, due.AuditBefore, ""},
		{"failures", deleteOldFailures, due.GuessesBefore, ""},
		{"mail requests", deleteOldMailRequests, due.Now, ""},
		{"invalidations", deleteOldInvalidations, due.Now.Add(-invalidationsKept), ""},
	}
	total := int64(0)
	for _, k := range kinds {
		var n int64
		err := s.engine.write(ctx, func(ctx context.Context, q querier) (err error) {
			if k.first != "" {
				if _, err := q.exec(ctx, k.first, micros(k.before), int64(limit)); err != nil {
					return err
				}
			}
			n, err = q.exec(ctx, k.sql, micros(k.before), int64(limit))
			return err
		})
		if err != nil {
			return int(total), fmt.Errorf("delete %s that are due: %w", k.name, err)
		}
		total += n
	}
	guests, err := s.cleanUpGuests(ctx, due, limit)
	return int(total + guests), err
}
