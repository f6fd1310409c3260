package sqlstore

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

var _ auth.AuditLog = (*Store)(nil)

// AppendAuditEvents implements auth.AuditLog.
func (s *Store) AppendAuditEvents(ctx context.Context, events []auth.AuditEvent) error {
	return s.engine.write(ctx, func(ctx context.Context, q querier) error {
		for _, e := range events {
			if err := s.insertAuditEvent(ctx, q, e); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) insertAuditEvent(ctx context.Context, q querier, e auth.AuditEvent) error {
	_, err := q.exec(ctx, insertAuditEvent, micros(e.At), string(e.Kind), string(e.Outcome), string(e.Reason), idOrNull(e.UserID),
		idOrNull(e.OtherID), string(e.Proof), idOrNull(e.Session), e.Token, e.Login, int64(e.Count), addressText(e.Origin.Address), e.Origin.UserAgent)
	if err != nil {
		return fmt.Errorf("insert audit event: %w", err)
	}
	return nil
}

// auditPage is how many events are read at once. Those of a network are picked here: no index knows networks.
const auditPage = 1000

// ListAuditEvents returns the newest events that the filter chooses, oldest first.
func (s *Store) ListAuditEvents(ctx context.Context, f auth.AuditFilter) ([]auth.AuditEvent, error) {
	var list []auth.AuditEvent
	before := auth.AuditEvent{At: f.Until}
	if f.Until.IsZero() {
		before.At = endOfTime
	}
	for {
		page, err := s.auditEventsBefore(ctx, f, before)
		if err != nil {
			return nil, fmt.Errorf("list audit events: %w", err)
		}
		for _, e := range page {
			if f.Network == (netip.Prefix{}) || f.Network.Contains(e.Origin.Address) {
				list = append(list, e)
			}
			if len(list) == f.Limit {
				break
			}
		}
		if len(list) == f.Limit || len(page) < auditPage {
			slices.Reverse(list)
			return list, nil
		}
		before = page[len(page)-1]
	}
}

// endOfTime is later than any event, and far from where its microseconds overflow.
var endOfTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// auditEventsBefore returns the newest events older than the given one, newest first, at most a page of them.
func (s *Store) auditEventsBefore(ctx context.Context, f auth.AuditFilter, before auth.AuditEvent) ([]auth.AuditEvent, error) {
	var page []auth.AuditEvent
	sql := selectAuditEvents
	args := []any{micros(before.At), before.ID, micros(f.Since), string(f.Kind), string(f.Outcome), int64(auditPage)}
	if f.UserID != 0 {
		sql, args = selectAuditEventsOfUser, append(args, int64(f.UserID))
	}
	err := s.engine.read(ctx, func(ctx context.Context, q querier) error {
		page = page[:0]
		return q.rows(ctx, sql, args, func(scan func(...any) error) error {
			var e auth.AuditEvent
			var at, count int64
			var user, other, session *int64
			var kind, outcome, reason, proof, ip string
			if err := scan(&e.ID, &at, &kind, &outcome, &reason, &user, &other, &proof, &session, &e.Token, &e.Login, &count, &ip, &e.Origin.UserAgent); err != nil {
				return err
			}
			e.At, e.Count, e.Origin.Address = fromMicros(at), int(count), parseAddress(ip)
			e.Kind, e.Outcome, e.Reason, e.Proof = auth.AuditKind(kind), auth.AuditOutcome(outcome), auth.AuditReason(reason), auth.AuditProof(proof)
			if user != nil {
				e.UserID = auth.UserID(*user)
			}
			if other != nil {
				e.OtherID = auth.UserID(*other)
			}
			if session != nil {
				e.Session = auth.SessionID(*session)
			}
			page = append(page, e)
			return nil
		})
	})
	return page, err
}
