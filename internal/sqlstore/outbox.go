package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

// QueueMail implements auth.Store.
func (s *Store) QueueMail(ctx context.Context, m auth.OutboxMessage) (id auth.MessageID, err error) {
	err = s.engine.write(ctx, func(ctx context.Context, q querier) (err error) {
		id, err = s.queue(ctx, q, &m)
		return err
	})
	return id, err
}

func (s *Store) insertMessage(ctx context.Context, q querier, m *auth.OutboxMessage) error {
	if m == nil {
		return nil
	}
	return q.later(ctx, statement{doing: "insert message", sql: insertMessage, args: messageParams(m)})
}

// queue is insertMessage, for who needs the message's id.
func (s *Store) queue(ctx context.Context, q querier, m *auth.OutboxMessage) (auth.MessageID, error) {
	var id int64
	if err := q.row(ctx, insertMessage, messageParams(m), &id); err != nil {
		return 0, fmt.Errorf("insert message: %w", err)
	}
	return auth.MessageID(id), nil
}

func messageParams(m *auth.OutboxMessage) []any {
	return []any{
		string(m.Kind), idOrNull(m.UserID), m.Recipient, string(m.Origin.Language),
		addressText(m.Origin.Address), m.Origin.UserAgent, micros(m.QueuedAt), micros(m.NotAfter),
	}
}

// LeaseMail returns up to limit messages that are due and makes them due again at until, so that nobody else sends
// them before; of concurrent callers each gets other messages.
func (s *Store) LeaseMail(ctx context.Context, now, until time.Time, limit int) ([]auth.OutboxMessage, error) {
	var list []auth.OutboxMessage
	err := s.engine.write(ctx, func(ctx context.Context, q querier) error {
		list = list[:0]
		return q.rows(ctx, s.engine.leaseSQL(), []any{micros(now), micros(until), int64(limit)}, func(scan func(...any) error) error {
			var id, queuedAt, notAfter, attempts int64
			var userID *int64
			var kind, recipient, language, ip, userAgent string
			if err := scan(&id, &kind, &userID, &recipient, &language, &ip, &userAgent, &queuedAt, &notAfter, &attempts); err != nil {
				return err
			}
			m := auth.OutboxMessage{
				ID:        auth.MessageID(id),
				Kind:      auth.MailKind(kind),
				Recipient: recipient,
				Origin:    auth.Origin{Address: parseAddress(ip), UserAgent: userAgent, Language: auth.Language(language)},
				QueuedAt:  fromMicros(queuedAt),
				NotAfter:  fromMicros(notAfter),
				Attempts:  int(attempts),
			}
			if userID != nil {
				m.UserID = auth.UserID(*userID)
			}
			list = append(list, m)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("lease mail: %w", err)
	}
	return list, nil
}

// RemoveMail forgets a message that was sent or has nobody to go to.
func (s *Store) RemoveMail(ctx context.Context, id auth.MessageID) error {
	return s.engine.write(ctx, func(ctx context.Context, q querier) error {
		return q.later(ctx, statement{doing: "delete message", sql: deleteMessage, args: []any{int64(id)}})
	})
}

// RetryMail makes a message due again at the given time and notes why.
func (s *Store) RetryMail(ctx context.Context, id auth.MessageID, at time.Time, why string) error {
	return s.engine.write(ctx, func(ctx context.Context, q querier) error {
		return q.later(ctx, statement{doing: "retry message", sql: updateMessageRetry, args: []any{int64(id), micros(at), why}})
	})
}

// FailMail gives a message up and notes why; it stays for the operator to see until CleanUp.
func (s *Store) FailMail(ctx context.Context, id auth.MessageID, why string) error {
	return s.engine.write(ctx, func(ctx context.Context, q querier) error {
		return q.later(ctx, statement{doing: "give message up", sql: updateMessageFailed, args: []any{int64(id), why}})
	})
}
