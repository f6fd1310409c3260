package auth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"
)

// MessageID names a message in the outbox.
type MessageID int64

// MailKind says what a message is about.
type MailKind string

// The kinds of mail.
const (
	MailResetPassword   MailKind = "reset_password"
	MailPasswordChanged MailKind = "password_changed"
)

// OutboxMessage is a message that is to be written and sent. It holds no secret: a token is made when the message is
// sent, so that nothing in the database opens an account.
type OutboxMessage struct {
	ID        MessageID
	Kind      MailKind
	UserID    UserID // 0 while it is not known whether there is a user
	Recipient string // address, or the key of the address that a reset was asked for
	Origin    Origin // who asked
	QueuedAt  time.Time
	NotAfter  time.Time // sent before this, or not at all
	Attempts  int       // made so far
}

// Letter is a message ready to be put into words.
type Letter struct {
	ID       MessageID
	Kind     MailKind
	To       string
	Username string
	Origin   Origin // Language is what the letter is written in
	At       time.Time
	Link     string // empty when the kind has none; holds a token
	Code     OneTimeCode
	LinkTTL  time.Duration
}

// ComposeLetter makes what an outbox message is to say, with a fresh token where its kind needs one. It returns
// ErrNotFound if there is nobody to write to (any more): the message is then to be forgotten. Asking for a reset
// therefore costs the same whether the address is known or not.
func (s *Service) ComposeLetter(ctx context.Context, m OutboxMessage) (Letter, error) {
	letter := Letter{ID: m.ID, Kind: m.Kind, To: m.Recipient, Origin: m.Origin, At: m.QueuedAt}
	switch m.Kind {
	case MailResetPassword:
		return s.composeReset(ctx, m, letter)
	case MailPasswordChanged:
		user, _, err := s.cfg.Store.FindUser(ctx, m.UserID)
		if err != nil {
			return Letter{}, fmt.Errorf("find user to notify: %w", err)
		}
		letter.Username = user.Username
		return letter, nil
	}
	return Letter{}, fmt.Errorf("outbox message of kind %q: %w", m.Kind, ErrNotFound)
}

func (s *Service) composeReset(ctx context.Context, m OutboxMessage, letter Letter) (Letter, error) {
	user, _, err := s.cfg.Store.FindLogin(ctx, Login{EmailKey: m.Recipient})
	if err != nil {
		return Letter{}, fmt.Errorf("find user to write to: %w", err)
	}
	if user.Status != StatusActive {
		return Letter{}, ErrNotFound
	}
	secret, code := newOneTimeSecret(), newOneTimeCode()
	t := OneTimeToken{
		MessageID: m.ID,
		UserID:    user.ID,
		Purpose:   PurposeResetPassword,
		EmailKey:  m.Recipient,
		TokenHash: secret.Hash(),
		IssuedAt:  m.QueuedAt,
		ExpiresAt: m.NotAfter,
	}
	if t.CodeHash, err = s.hashCode(ctx, outboxClient, t, code); err != nil {
		return Letter{}, fmt.Errorf("hash code: %w", err)
	}
	if err := s.cfg.Store.IssueOneTimeToken(ctx, t); err != nil {
		if errors.Is(err, ErrChanged) {
			return Letter{}, ErrNotFound
		}
		return Letter{}, fmt.Errorf("issue %s token: %w", t.Purpose, err)
	}
	letter.To, letter.Username, letter.Code, letter.LinkTTL = user.Email, user.Username, code, resetTTL
	letter.Link = s.cfg.PublicURL + "/account/reset_password?token=" + url.QueryEscape(secret.Reveal())
	return letter, nil
}

// outboxClient is whom the hash governor bills for the codes of outgoing mail, so that a storm of sign-ins cannot
// keep them from being made.
const outboxClient = "outbox"

const noticeTTL = 24 * time.Hour // a notice that is a day late would only frighten

// notice returns the message that tells the user about a change, or nil for a user who has no real address.
func notice(kind MailKind, user User, origin Origin, now time.Time) *OutboxMessage {
	if user.EmailGenerated {
		return nil
	}
	origin.Language = user.Language
	return &OutboxMessage{
		Kind: kind, UserID: user.ID, Recipient: user.Email, Origin: origin,
		QueuedAt: now, NotAfter: now.Add(noticeTTL),
	}
}
