package auth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/ideaegg/latchkey/internal/passhash"
)

// MaxSignUpMails is how many mails about sign-ups an address gets within SignUpMailWindow: whoever types somebody else's
// address again and again must not fill their mailbox.
const (
	MaxSignUpMails   = 3
	SignUpMailWindow = time.Hour
)

// Bounds of a pending sign-up that a Store keeps.
const (
	MaxLinkAttempts = MaxCodeAttempts // at its password, with the link
	// MaxTakenAnswers is how often whoever confirms is told that a name is taken: enough to find one that is free, and
	// nothing to collect names with.
	MaxTakenAnswers = 10
)

// SignUpID names a pending sign-up.
type SignUpID int64

// PendingSignUp is what somebody gave to sign up, while nobody has proved the address: there is no user yet, and
// neither name nor address is held. From ExpiresAt on nothing is left of it.
type PendingSignUp struct {
	ID           SignUpID
	Username     string
	Email        Email
	PasswordHash PasswordHash
	Language     Language
	TokenHash    TokenHash         // zero until a mail was written
	CodeHash     [sha256.Size]byte // as that of a OneTimeToken
	ExpiresAt    time.Time
}

// SignUps keeps pending sign-ups. Each method is atomic and durable, and returns ErrUnavailable as those of Store do.
type SignUps interface {
	// RequestSignUp keeps the sign-up and queues the message that belongs to it. It does the same whether name and address
	// are free or taken.
	RequestSignUp(context.Context, PendingSignUp, OutboxMessage) error
	// MailSignUp notes that the message of a sign-up is written, with hashes of what it carries (those of earlier
	// attempts to send it die) or without any, and returns the sign-up. It returns ErrNotFound if that is gone, or if
	// the address has had most mails within SignUpMailWindow before now.
	MailSignUp(ctx context.Context, message MessageID, token TokenHash, code [sha256.Size]byte, most int, now time.Time) (PendingSignUp, error)
	// FindSignUp returns the sign-up with this token without using it up, or ErrTokenInvalid, also if the attempts at its
	// password are used up.
	FindSignUp(ctx context.Context, hash TokenHash, now time.Time) (PendingSignUp, error)
	// AttemptSignUpCode counts one attempt against every live code of the address and returns those sign-ups whose code may
	// still be compared, each at most MaxCodeAttempts times whatever the concurrency.
	AttemptSignUpCode(ctx context.Context, emailKey string, now time.Time) ([]PendingSignUp, error)
	// AttemptSignUpLink is FindSignUp for whoever goes on to compare the password: it counts one attempt, at most
	// MaxLinkAttempts whatever the concurrency.
	AttemptSignUpLink(ctx context.Context, hash TokenHash, now time.Time) (PendingSignUp, error)
	// ReturnSignUpCodeAttempt takes back one attempt that AttemptSignUpCode counted against this sign-up,
	// ReturnSignUpLinkAttempt one of AttemptSignUpLink.
	ReturnSignUpCodeAttempt(context.Context, PendingSignUp) error
	ReturnSignUpLinkAttempt(context.Context, PendingSignUp) error
	// CountTakenAnswer counts one answer that a name or an address is taken, before it is given. With the last of
	// MaxTakenAnswers the sign-up dies. It returns ErrTokenInvalid if it is gone, dead or was mailed again.
	CountTakenAnswer(context.Context, PendingSignUp) error
	// ConfirmSignUp uses up the sign-up and every other one with the address, and creates the user or upgrades the guest;
	// the address is verified. It returns ErrTokenInvalid if the sign-up is gone, expired or was mailed again; of
	// concurrent callers exactly one succeeds. Otherwise it fails as CreateUser and UpgradeGuest do.
	ConfirmSignUp(context.Context, SignUpConfirmation) (User, error)
}

// SignUpConfirmation is a sign-up whose address was proved.
type SignUpConfirmation struct {
	SignUp  PendingSignUp
	GuestID UserID // who becomes the user; 0: a new one
	Now     time.Time
	Session Session // the zero Session: none
}

// VerifiesFirst says whether an account exists only once its address is proved.
func (s *Service) VerifiesFirst() bool { return s.cfg.VerifyFirst }

// RequestSignUp keeps what was given until whoever reads the address confirms it. It tells nothing of whether name and
// address are taken, and does the same work for both. It returns what SignUp does for what needs no database to judge.
func (s *Service) RequestSignUp(ctx context.Context, in SignUp, origin Origin) error {
	n, err := s.checkSignUp(in)
	if err != nil {
		return err
	}
	hash, err := s.hashNewPassword(ctx, n.password, origin)
	if err != nil {
		return err
	}
	now := s.cfg.Now().UTC()
	message := *verificationMail(&n.email, origin, now)
	message.Kind = MailConfirmSignUp
	err = s.cfg.SignUps.RequestSignUp(ctx, PendingSignUp{
		Username: n.username, Email: n.email, PasswordHash: hash, Language: origin.Language, ExpiresAt: now.Add(verifyTTL),
	}, message)
	if err != nil {
		return fmt.Errorf("request sign-up: %w", err)
	}
	s.Audit(ctx, AuditEvent{Kind: AuditSignUpRequested, Outcome: AuditOK, Login: s.audits.loginFingerprint(n.email.Key), Origin: origin})
	s.cfg.Mailer.Wake()
	return nil
}

// composeSignUp is ComposeLetter for a pending sign-up. Whoever has the address already is told so, and how to get in.
func (s *Service) composeSignUp(ctx context.Context, m OutboxMessage) (Letter, error) {
	most := MaxSignUpMails
	if s.cfg.LimitsOff {
		most = math.MaxInt
	}
	letter := Letter{ID: m.ID, Kind: m.Kind, To: m.Recipient, Origin: m.Origin, At: m.QueuedAt}
	key := strings.ToLower(m.Recipient)
	owner, _, err := s.cfg.Store.FindLogin(ctx, Login{EmailKey: key})
	switch {
	case err != nil && !errors.Is(err, ErrNotFound):
		return Letter{}, fmt.Errorf("find user to write to: %w", err)
	case err == nil && owner.Status != StatusActive:
		return Letter{}, ErrNotFound
	case err == nil:
		letter.Kind, letter.To, letter.Username = MailAddressTaken, owner.Email, owner.Username
		letter.Link = s.cfg.PublicURL + pageForgot
		if _, err := s.cfg.SignUps.MailSignUp(ctx, m.ID, TokenHash{}, [sha256.Size]byte{}, most, s.cfg.Now().UTC()); err != nil {
			return Letter{}, fmt.Errorf("note mail: %w", err)
		}
		return letter, nil
	}
	secret := newOneTimeSecret()
	letter.Code = newOneTimeCode()
	codeHash, err := s.hashCode(ctx, passhash.Background, key, letter.Code)
	if err != nil {
		return Letter{}, fmt.Errorf("hash code: %w", err)
	}
	pending, err := s.cfg.SignUps.MailSignUp(ctx, m.ID, secret.Hash(), codeHash, most, s.cfg.Now().UTC())
	if err != nil {
		return Letter{}, fmt.Errorf("issue sign-up token: %w", err)
	}
	letter.Username = pending.Username
	letter.Link = s.cfg.PublicURL + pageConfirmSignUp + "?token=" + secret.Reveal()
	letter.LinkTTL = pending.ExpiresAt.Sub(m.QueuedAt)
	return letter, nil
}

// SignUpProof is what the mail proved, Token or Email and Code; the password, which proves that it is one person who signed
// up and who reads the address; and another username if the first one was taken.
type SignUpProof struct {
	Token    string
	Email    string
	Code     string
	Password string
	Username string // "": the one that was asked for
}

// mailProof is what of the mail was sent back.
func (p SignUpProof) mailProof() AuditProof {
	if p.Token != "" || p.Email == "" && p.Code == "" {
		return ProofEmailLink
	}
	return ProofEmailCode
}

// ConfirmSignUp creates the user of a pending sign-up and signs them in; if guest is not nil, that guest becomes the user
// and keeps the id. It returns a *ValidationError: on token or code if that cannot be used, the same whatever the
// reason; on the password if it is not the one that was chosen, which counts as a wrong code, or with the token as an
// attempt of its own; or on a name or address that is taken by now, which leaves token and code usable MaxTakenAnswers
// times. Of concurrent callers exactly one succeeds. Five wrong codes kill those that are outstanding for the address; the
// links stay.
func (s *Service) ConfirmSignUp(ctx context.Context, proof SignUpProof, guest *Current, origin Origin) (SignedIn, error) {
	now := s.cfg.Now().UTC()
	var confirmed SignedIn
	err := s.confirmSignUp(ctx, proof, origin, func(c SignUpConfirmation) (err error) {
		if guest != nil && guest.User.Guest {
			c.GuestID = guest.User.ID
		}
		confirmed, err = s.withSession(origin, now, false, func(session Session) (User, error) {
			c.Session = session
			return s.cfg.SignUps.ConfirmSignUp(ctx, c)
		})
		if err == nil && origin.Device != "" {
			confirmed.Device = newDeviceToken(confirmed.User.ID, newDeviceID(), c.SignUp.PasswordHash)
		}
		return err
	})
	kind, mail := AuditSignUp, proof.mailProof()
	if guest != nil && guest.User.Guest {
		kind = AuditGuestUpgraded
	}
	if err != nil {
		s.auditRefused(ctx, AuditEvent{Kind: kind, Proof: mail, Origin: origin}, err)
		return SignedIn{}, err
	}
	s.Audit(ctx, confirmed.event(kind, mail, origin))
	return confirmed, nil
}

// ConfirmSignUpOnPage is ConfirmSignUp for the page that the link leads to, where nobody can be signed in.
func (s *Service) ConfirmSignUpOnPage(ctx context.Context, proof SignUpProof, origin Origin) error {
	event := AuditEvent{Kind: AuditSignUp, Outcome: AuditOK, Proof: ProofEmailLink, Origin: origin}
	err := s.confirmSignUp(ctx, proof, origin, func(c SignUpConfirmation) error {
		user, err := s.cfg.SignUps.ConfirmSignUp(ctx, c)
		event.UserID = user.ID
		return err
	})
	if err != nil {
		s.auditRefused(ctx, event, err)
		return err
	}
	s.Audit(ctx, event)
	return nil
}

// PeekSignUp returns the sign-up that the token of a mailed link confirms, without using it up, or a *ValidationError on it.
func (s *Service) PeekSignUp(ctx context.Context, token string) (PendingSignUp, error) {
	pending, err := s.cfg.SignUps.FindSignUp(ctx, OneTimeSecret(token).Hash(), s.cfg.Now().UTC())
	switch {
	case errors.Is(err, ErrTokenInvalid):
		return PendingSignUp{}, invalid(FieldToken, Invalid)
	case err != nil:
		return PendingSignUp{}, fmt.Errorf("find sign-up: %w", err)
	}
	return pending, nil
}

// check judges the form of what was given and brings the username into its own, or returns a *ValidationError.
func (p *SignUpProof) check() (Email, error) {
	var f faults
	var email Email
	switch byToken := p.mailProof() == ProofEmailLink; {
	case byToken && p.Token == "":
		f.add(FieldToken, Required)
	case !byToken:
		var code FieldCode
		if email, code = parseEmail(p.Email); code != "" {
			f.addEmail(code, p.Email)
		}
		if p.Code == "" {
			f.add(FieldOneTimeCode, Required)
		}
	}
	if p.Password == "" {
		f.add(FieldPassword, Required)
	}
	if p.Username != "" {
		username, fault := canonicalUsername(p.Username)
		switch {
		case fault != nil:
			f = append(f, *fault)
		case strings.EqualFold(normalizePassword(p.Password).normalized, username): // no password is its user's name
			f.add(FieldPassword, TooCommon)
		}
		p.Username = username
	}
	return email, f.err()
}

// confirmSignUp finds the sign-up that the proof is for, compares the password with its own, and has create use it up.
func (s *Service) confirmSignUp(ctx context.Context, proof SignUpProof, origin Origin, create func(SignUpConfirmation) error) error {
	email, err := proof.check()
	if err != nil {
		return err
	}
	now := s.cfg.Now().UTC()
	field, giveBack := FieldToken, s.cfg.SignUps.ReturnSignUpLinkAttempt
	var pending PendingSignUp
	if proof.mailProof() == ProofEmailLink {
		pending, err = s.cfg.SignUps.AttemptSignUpLink(ctx, OneTimeSecret(proof.Token).Hash(), now)
	} else {
		field, giveBack = FieldOneTimeCode, s.cfg.SignUps.ReturnSignUpCodeAttempt
		pending, err = s.findSignUpByCode(ctx, email, OneTimeCode(proof.Code), origin, now)
	}
	switch {
	case errors.Is(err, ErrTokenInvalid):
		return invalid(field, Invalid)
	case err != nil:
		return fmt.Errorf("find sign-up: %w", err)
	}
	// Whoever reads the mailbox need not be the one who signed up: somebody else may have chosen the password, to have it
	// when the owner of the address confirms what they think is theirs.
	verdict, err := s.verifyPassword(ctx, pending.PasswordHash, proof.Password, origin)
	if err == nil && !verdict.Match {
		return invalid(FieldPassword, Invalid)
	}
	if err == nil {
		pending.Username = cmp.Or(proof.Username, pending.Username)
		err = create(SignUpConfirmation{SignUp: pending, Now: now})
	}
	var taken *TakenError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrTokenInvalid):
		return invalid(field, Invalid)
	case errors.Is(err, ErrChanged): // the guest was upgraded or deleted meanwhile: the token is dead
		return ErrUnauthorized
	case errors.As(err, &taken):
		if err := s.cfg.SignUps.CountTakenAnswer(ctx, pending); errors.Is(err, ErrTokenInvalid) {
			return invalid(field, Invalid)
		} else if err != nil {
			return fmt.Errorf("count answer: %w", err)
		}
		err = taken.validation()
	default:
		err = fmt.Errorf("confirm sign-up: %w", err)
	}
	// Nothing is wrong with what was proved, so that giving the attempt back helps nobody who guesses.
	if err := giveBack(ctx, pending); err != nil {
		return fmt.Errorf("return attempt: %w", err)
	}
	return err
}

// findSignUpByCode returns the sign-up that the code belongs to, or ErrTokenInvalid, after the same work
// for an address with which nobody has signed up.
func (s *Service) findSignUpByCode(ctx context.Context, email Email, code OneTimeCode, origin Origin, now time.Time) (PendingSignUp, error) {
	hash, err := s.hashTypedCode(ctx, client(origin), email.Key, code)
	if err != nil {
		return PendingSignUp{}, err
	}
	live, err := s.cfg.SignUps.AttemptSignUpCode(ctx, email.Key, now)
	if err != nil {
		return PendingSignUp{}, fmt.Errorf("attempt code: %w", err)
	}
	for _, pending := range live {
		if subtle.ConstantTimeCompare(hash[:], pending.CodeHash[:]) == 1 {
			return pending, nil
		}
	}
	return PendingSignUp{}, ErrTokenInvalid
}
