package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ideaegg/latchkey/internal/passhash"
)

// MessageID names a message in the outbox.
type MessageID int64

// MailKind says what a message is about.
type MailKind string

// The kinds of mail.
const (
	MailResetPassword   MailKind = "reset_password"   // a link and a code that set a new password
	MailVerifyEmail     MailKind = "verify_email"     // a link and a code that prove the user's address, to that address
	MailChangeEmail     MailKind = "change_email"     // the same for the address that is to take its place; written as MailVerifyEmail
	MailConfirmSignUp   MailKind = "confirm_sign_up"  // a link and a code that prove the address of a pending sign-up
	MailAddressTaken    MailKind = "address_taken"    // what MailConfirmSignUp becomes if somebody has the address; its link holds no token
	MailPasswordChanged MailKind = "password_changed" // notice
	MailEmailChanged    MailKind = "email_changed"    // notice to the old address, with a link that undoes the change
	MailNewDevice       MailKind = "new_device"       // notice of a sign-in on a device that was not seen before
)

// OutboxMessage is a message that is to be written and sent. It holds no secret: a token is made when the message is
// sent, so that nothing in the database opens an account.
type OutboxMessage struct {
	ID        MessageID
	Kind      MailKind
	UserID    UserID // 0 while it is not known whether there is a user
	Recipient string // address; of a reset the key of the address that it was asked for
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
	NewEmail string // MailEmailChanged: the address that replaced To
	Origin   Origin // who asked or did it; Language is what the letter is written in
	At       time.Time
	Link     string // empty when the kind has none; holds a token
	Code     OneTimeCode
	LinkTTL  time.Duration
}

// ComposeLetter makes what an outbox message is to say, with a fresh token where its kind needs one. It returns
// ErrNotFound if there is nobody to write to (any more): the message is then to be forgotten. Asking for a reset
// therefore costs the same whether the address is known or not.
func (s *Service) ComposeLetter(ctx context.Context, m OutboxMessage) (Letter, error) {
	if m.Kind == MailConfirmSignUp {
		return s.composeSignUp(ctx, m)
	}
	user, err := s.findRecipient(ctx, m)
	if err != nil {
		return Letter{}, err
	}
	letter := Letter{ID: m.ID, Kind: m.Kind, To: m.Recipient, Username: user.Username, Origin: m.Origin, At: m.QueuedAt}
	token := OneTimeToken{MessageID: m.ID, UserID: user.ID, Address: m.Recipient, IssuedAt: m.QueuedAt}
	path := ""
	switch m.Kind {
	case MailResetPassword:
		letter.To = user.Email // as it is stored: a spelling that was typed may lead elsewhere
		token.Purpose, token.Address, token.ExpiresAt, path = PurposeResetPassword, user.Email, m.QueuedAt.Add(resetTTL), pageReset
	case MailVerifyEmail:
		if user.EmailVerified {
			return Letter{}, ErrNotFound
		}
		token.Purpose, token.ExpiresAt, path = PurposeVerifyEmail, m.QueuedAt.Add(verifyTTL), pageVerify
	case MailChangeEmail:
		if s.cfg.VerifyFirst { // then nobody was told that it is taken: see RequestEmailChange
			if taken, err := s.isTaken(ctx, strings.ToLower(m.Recipient)); err != nil || taken {
				return Letter{}, cmp.Or(err, ErrNotFound)
			}
		}
		letter.Kind = MailVerifyEmail
		token.Purpose, token.ExpiresAt, path = PurposeChangeEmail, m.QueuedAt.Add(verifyTTL), pageVerify
	case MailEmailChanged:
		letter.NewEmail = user.Email
		token.Purpose, token.ExpiresAt, path = PurposeUndoEmailChange, m.QueuedAt.Add(UndoTTL), pageUndo
	default: // notices
		return letter, nil
	}
	if err := s.issueToken(ctx, token, path, &letter); err != nil {
		return Letter{}, err
	}
	return letter, nil
}

// The pages that links lead to.
const (
	pageForgot        = "/account/forgot_password"
	pageReset         = "/account/reset_password"
	pageVerify        = "/account/verify_email"
	pageUndo          = "/account/undo_email_change"
	pageConfirmSignUp = "/account/confirm_sign_up"
)

// findRecipient returns the active user that a message is for, or ErrNotFound.
func (s *Service) findRecipient(ctx context.Context, m OutboxMessage) (user User, err error) {
	if m.Kind == MailResetPassword { // it is found out here whether there is one
		user, _, err = s.cfg.Store.FindLogin(ctx, Login{EmailKey: m.Recipient})
	} else {
		user, _, err = s.cfg.Store.FindUser(ctx, m.UserID)
	}
	if err != nil {
		return User{}, fmt.Errorf("find user to write to: %w", err)
	}
	if user.Status != StatusActive {
		return User{}, ErrNotFound
	}
	return user, nil
}

// issueToken makes a token and, unless it undoes something, a code, stores their hashes, and puts both into the letter.
func (s *Service) issueToken(ctx context.Context, t OneTimeToken, path string, letter *Letter) (err error) {
	secret := newOneTimeSecret()
	t.TokenHash, t.EmailKey = secret.Hash(), strings.ToLower(t.Address)
	if t.Purpose != PurposeUndoEmailChange {
		letter.Code = newOneTimeCode()
		if t.CodeHash, err = s.hashCode(ctx, passhash.Background, codeOwner(t.UserID), letter.Code); err != nil {
			return fmt.Errorf("hash code: %w", err)
		}
	}
	switch err := s.cfg.Store.IssueOneTimeToken(ctx, t); {
	case errors.Is(err, ErrChanged):
		return ErrNotFound
	case err != nil:
		return fmt.Errorf("issue %s token: %w", t.Purpose, err)
	}
	if t.Purpose == PurposeResetPassword {
		s.Audit(ctx, t.event(AuditResetMailed, "", letter.Origin)) // the first moment that it is known whose reset it is
	}
	letter.Link = s.cfg.PublicURL + path + "?token=" + secret.Reveal()
	letter.LinkTTL = t.ExpiresAt.Sub(t.IssuedAt)
	return nil
}

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
