package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// AuditKind says what an AuditEvent is about.
type AuditKind string

// The kinds of audit events. docs/operations.md says what each of them means.
const (
	AuditSignUp           AuditKind = "sign_up"
	AuditSignUpRequested  AuditKind = "sign_up_requested"
	AuditSignIn           AuditKind = "sign_in"
	AuditSignOut          AuditKind = "sign_out"
	AuditGuestUpgraded    AuditKind = "guest_upgraded"
	AuditGuestsDeleted    AuditKind = "guests_deleted" // appended by the Store's CleanUp
	AuditSessionRevoked   AuditKind = "session_revoked"
	AuditSessionsRevoked  AuditKind = "other_sessions_revoked"
	AuditPasswordChanged  AuditKind = "password_changed"
	AuditResetRequested   AuditKind = "password_reset_requested"
	AuditResetMailed      AuditKind = "password_reset_mailed"
	AuditPasswordReset    AuditKind = "password_reset"
	AuditVerifyRequested  AuditKind = "email_verification_requested"
	AuditEmailVerified    AuditKind = "email_verified"
	AuditChangeRequested  AuditKind = "email_change_requested"
	AuditEmailChanged     AuditKind = "email_changed"
	AuditEmailUndone      AuditKind = "email_change_undone"
	AuditUserDeleted      AuditKind = "user_deleted"
	AuditUserDisabled     AuditKind = "user_disabled"
	AuditUserEnabled      AuditKind = "user_enabled"
	AuditUsersMerged      AuditKind = "users_merged"
	AuditIdentityLinked   AuditKind = "identity_linked"
	AuditIdentityUnlinked AuditKind = "identity_unlinked"
	AuditIdentityConflict AuditKind = "identity_conflict"
	AuditWeChatTokenRead  AuditKind = "wechat_token_read"
	AuditBreachUnchecked  AuditKind = "breach_unchecked"
	AuditRateLimited      AuditKind = "rate_limited"
	AuditLockedOut        AuditKind = "locked_out"
	AuditUnlocked         AuditKind = "unlocked"
)

// AuditKinds returns every kind.
func AuditKinds() []AuditKind {
	return []AuditKind{
		AuditSignUp, AuditSignUpRequested, AuditSignIn, AuditSignOut, AuditGuestUpgraded, AuditGuestsDeleted,
		AuditSessionRevoked, AuditSessionsRevoked, AuditPasswordChanged, AuditResetRequested, AuditResetMailed,
		AuditPasswordReset, AuditVerifyRequested, AuditEmailVerified, AuditChangeRequested, AuditEmailChanged,
		AuditEmailUndone, AuditUserDeleted, AuditUserDisabled, AuditUserEnabled, AuditUsersMerged, AuditIdentityLinked,
		AuditIdentityUnlinked, AuditIdentityConflict, AuditWeChatTokenRead, AuditBreachUnchecked,
		AuditRateLimited, AuditLockedOut, AuditUnlocked,
	}
}

// isLasting says whether a success of this kind is written down before it is acknowledged: what changes who can get
// into an account. All else is written within a second.
func (k AuditKind) isLasting() bool {
	switch k {
	case AuditGuestUpgraded, AuditSessionRevoked, AuditSessionsRevoked, AuditPasswordChanged, AuditPasswordReset, AuditEmailChanged,
		AuditEmailUndone, AuditUserDeleted, AuditUserDisabled, AuditUserEnabled, AuditUsersMerged, AuditIdentityLinked,
		AuditIdentityUnlinked, AuditUnlocked:
		return true
	}
	return false
}

// AuditOutcome says how it ended.
type AuditOutcome string

// The outcomes.
const (
	AuditOK      AuditOutcome = "ok"
	AuditRefused AuditOutcome = "refused"
)

// AuditProof says what the caller proved themselves with, or tried to.
type AuditProof string

// The proofs. An event without one is of somebody who needed none.
const (
	ProofPassword  AuditProof = "password"
	ProofSession   AuditProof = "session"    // the token of a session
	ProofGuest     AuditProof = "guest"      // the token of a guest
	ProofWeChat    AuditProof = "wechat"     // WeChat's own word
	ProofServerKey AuditProof = "server_key" // a trusted backend's word
	ProofBareUID   AuditProof = "bare_uid"   // none: believed in development, refused elsewhere
	ProofResetLink AuditProof = "reset_link"
	ProofResetCode AuditProof = "reset_code"
	ProofEmailLink AuditProof = "email_link"
	ProofEmailCode AuditProof = "email_code"
	ProofUndoLink  AuditProof = "undo_link"
	ProofGuestKey  AuditProof = "idempotency_key"
	ProofOperator  AuditProof = "operator" // whoever can run commands on the database
)

// AuditReason says why something was refused. It is never told to the caller.
type AuditReason string

// The reasons.
const (
	ReasonUnknownLogin    AuditReason = "unknown_login"
	ReasonWrongPassword   AuditReason = "wrong_password"
	ReasonNoPassword      AuditReason = "no_password" // the user has none
	ReasonDisabled        AuditReason = "disabled"
	ReasonChanged         AuditReason = "changed"           // the password was right, but meanwhile replaced, or the user disabled
	ReasonNoProof         AuditReason = "no_proof"          // nothing that proves the identity
	ReasonBlocked         AuditReason = "blocked"           // by WeChat, or made up by it
	ReasonTwoUsers        AuditReason = "two_users"         // openid and unionid of one person belong to different users
	ReasonTaken           AuditReason = "taken"             // the identity or address is somebody else's, or the user has another there
	ReasonLastWayIn       AuditReason = "last_way_in"       // nobody could sign in any more
	ReasonStaleSession    AuditReason = "stale_session"     // signed in too long ago for a user without a password
	ReasonUnavailable     AuditReason = "unavailable"       // who was asked does not answer
	ReasonTooManyGuesses  AuditReason = "too_many_guesses"  // a wait began, or the password was disabled
	ReasonTooManyRequests AuditReason = "too_many_requests" // from one address
	ReasonInvalidToken    AuditReason = "invalid_token"     // unknown, used up, expired or for something else
	ReasonWrongCode       AuditReason = "wrong_code"        // the same of a code
)

// AuditEvent is one fact of security: who, what, from where, with which proof, and why it was refused. It holds no secret
// and nothing that somebody typed. There is one event for each fact.
type AuditEvent struct {
	ID      int64 // given by the log
	At      time.Time
	Kind    AuditKind
	Outcome AuditOutcome
	Reason  AuditReason // of a refusal
	// UserID is whom it is about, 0 if that is nobody or not known.
	UserID UserID
	// OtherID is the other user of a kind that is about two, else 0.
	OtherID UserID
	Proof   AuditProof
	// Session is the session that began, ended or, of AuditSessionsRevoked, stayed; 0: none, or all of the user's.
	Session SessionID
	// Token is the fingerprint of the token that was handed out or shown: the first 8 hex digits of its SHA-256.
	Token string
	// Login tells repeated logins and addresses apart while it is not known whose they are: the first 8 hex digits of an
	// HMAC under a key that is made at each start and kept nowhere. People type passwords there; a plain hash could be
	// tried against a list of them.
	Login  string
	Count  int    // how many it is about; 0: one
	Origin Origin // its Language is not kept
}

// AuditFilter chooses audit events. Its zero members choose all.
type AuditFilter struct {
	UserID  UserID
	Kind    AuditKind
	Outcome AuditOutcome
	Network netip.Prefix
	Since   time.Time
	Until   time.Time // events before it
	Limit   int       // the newest so many; at least 1
}

// AuditLog keeps audit events. It only grows, but for what CleanUp takes away when it is old.
type AuditLog interface {
	// AppendAuditEvents adds the events in their order, all or none. It returns ErrUnavailable (wrapped), after which
	// they may be there all the same.
	AppendAuditEvents(context.Context, []AuditEvent) error
}

const (
	auditFlushInterval = time.Second // what a crash may lose
	maxPendingAudits   = 10_000      // some 5 MiB; beyond it events are dropped and counted
	auditBatch         = 100         // a transaction that is done in time when the database is some milliseconds away
	// auditWait is how long an acknowledgement waits for its event when the database has trouble. Then it is left to the flush.
	auditWait = 2 * time.Second
	// auditFlushWait is how long a flush may take, also at the end of the process: all that can wait, to a database nearby.
	auditFlushWait = 5 * time.Second
)

// Audit records a fact at the present time. It never fails, and waits for the database only where isLasting says so, so
// that it takes the same time whether a login is known or not. Adapters use it for what they refuse by themselves.
func (s *Service) Audit(ctx context.Context, e AuditEvent) {
	e.At = s.cfg.Now().UTC()
	s.audits.count(e)
	if e.Outcome == AuditOK && e.Kind.isLasting() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditWait) // it happened, whether the client waits or not
		defer cancel()
		err := s.cfg.AuditLog.AppendAuditEvents(ctx, []AuditEvent{e})
		if err == nil {
			return
		}
		s.cfg.Logger.Warn("an audit event could not be written yet", "error", err)
	}
	s.audits.add(e)
}

// auditRefused records the event as refused if the error says that the caller did not prove themselves. Faults of the
// input and of the database are no facts of security.
func (s *Service) auditRefused(ctx context.Context, e AuditEvent, err error) {
	if e.Reason = refusalReason(err); e.Reason == "" {
		return
	}
	e.Outcome = AuditRefused
	if e.Reason == ReasonWrongPassword {
		e.Proof = ProofPassword
	}
	s.Audit(ctx, e)
}

func refusalReason(err error) AuditReason {
	fault, ok := errors.AsType[*ValidationError](err)
	switch {
	case errors.Is(err, ErrForbidden):
		return ReasonStaleSession
	case errors.Is(err, ErrUnproven):
		return ReasonNoProof
	case errors.Is(err, ErrBlocked), errors.Is(err, ErrSnapshotUser):
		return ReasonBlocked
	case errors.Is(err, ErrIdentityTaken), errors.Is(err, ErrHasIdentity):
		return ReasonTaken
	case errors.Is(err, ErrLastWayIn):
		return ReasonLastWayIn
	case !ok || len(fault.Fields) != 1:
		return ""
	}
	switch fault.Fields[0] {
	case FieldError{Field: FieldCurrentPassword, Code: Invalid}:
		return ReasonWrongPassword
	case FieldError{Field: FieldToken, Code: Invalid}:
		return ReasonInvalidToken
	case FieldError{Field: FieldOneTimeCode, Code: Invalid}:
		return ReasonWrongCode
	case FieldError{Field: FieldEmail, Code: Taken}:
		return ReasonTaken
	}
	return ""
}

// event is what happened to a user who proved themselves and got a session.
func (in SignedIn) event(kind AuditKind, proof AuditProof, origin Origin) AuditEvent {
	id, _ := in.Token.SessionID() // it was just made
	return AuditEvent{
		Kind: kind, Outcome: AuditOK, UserID: in.User.ID, Proof: proof, Session: id, Token: in.Token.Hash().String(), Origin: origin,
	}
}

// event is what a signed-in user did, to one of their sessions if session is not 0. The proof is the session, unless a
// password was asked for and was right.
func (c Current) event(kind AuditKind, session SessionID, verified PasswordHash, origin Origin) AuditEvent {
	return AuditEvent{
		Kind: kind, Outcome: AuditOK, UserID: c.User.ID, Proof: presenceProof(verified), Session: session,
		Token: c.Session.TokenHash.String(), Origin: origin,
	}
}

// presenceProof is what provePresence was satisfied with.
func presenceProof(verified PasswordHash) AuditProof {
	if verified == "" {
		return ProofSession
	}
	return ProofPassword
}

// event is what was done with a one-time token or the code beside it, or was tried without there being one.
func (t OneTimeToken) event(kind AuditKind, proof AuditProof, origin Origin) AuditEvent {
	e := AuditEvent{Kind: kind, Outcome: AuditOK, UserID: t.UserID, Proof: proof, Origin: origin}
	if t.TokenHash != (TokenHash{}) { // no fingerprint of what somebody typed or pasted
		e.Token = t.TokenHash.String()
	}
	return e
}

// refused is what somebody was refused who showed no token.
func refused(kind AuditKind, reason AuditReason, user UserID, proof AuditProof, origin Origin) AuditEvent {
	return AuditEvent{Kind: kind, Outcome: AuditRefused, Reason: reason, UserID: user, Proof: proof, Origin: origin}
}

// signInRefused says why a password did not sign in; hash is what it was compared with, "" for nothing.
func (s *Service) signInRefused(login string, user User, hash PasswordHash, origin Origin) AuditEvent {
	e := refused(AuditSignIn, ReasonWrongPassword, user.ID, ProofPassword, origin)
	login = s.audits.loginFingerprint(login) // also of a login that is known: the same work
	switch {
	case user.ID == 0:
		e.Reason, e.Login = ReasonUnknownLogin, login
	case user.Status != StatusActive:
		e.Reason = ReasonDisabled
	case hash == "":
		e.Reason = ReasonNoPassword
	}
	return e
}

// AuditStats are the numbers of audit events since the start.
type AuditStats struct {
	Events  map[AuditKindOutcome]uint64
	Dropped uint64 // because too many waited to be written
}

// AuditKindOutcome is what events are counted by.
type AuditKindOutcome struct {
	Kind    AuditKind
	Outcome AuditOutcome
}

// AuditStats returns the numbers of audit events since the start.
func (s *Service) AuditStats() AuditStats { return s.audits.stats() }

// audits gathers events between two writes, so that recording one costs no write.
type audits struct {
	loginKey [32]byte

	mu      sync.Mutex
	pending []AuditEvent
	counts  map[AuditKindOutcome]uint64
	dropped uint64
}

func newAudits() *audits {
	a := &audits{counts: make(map[AuditKindOutcome]uint64)}
	_, _ = rand.Read(a.loginKey[:]) // never fails: it ends the program instead
	return a
}

func (a *audits) loginFingerprint(login string) string {
	h := hmac.New(sha256.New, a.loginKey[:])
	_, _ = h.Write([]byte(strings.ToLower(login)))
	return hex.EncodeToString(h.Sum(nil)[:4])
}

func (a *audits) count(e AuditEvent) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.counts[AuditKindOutcome{e.Kind, e.Outcome}]++
}

func (a *audits) add(e AuditEvent) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.pending) >= maxPendingAudits {
		a.dropped++
		return
	}
	a.pending = append(a.pending, e)
}

// take returns the oldest events that wait, at most one batch of them.
func (a *audits) take() []AuditEvent {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := min(auditBatch, len(a.pending))
	batch := a.pending[:n:n]
	if a.pending = a.pending[n:]; len(a.pending) == 0 {
		a.pending = nil // what was written can go
	}
	return batch
}

// putBack has a batch that could not be written wait again, before those that came meanwhile.
func (a *audits) putBack(batch []AuditEvent) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pending = append(batch[:len(batch):len(batch)], a.pending...)
}

func (a *audits) stats() AuditStats {
	a.mu.Lock()
	defer a.mu.Unlock()
	return AuditStats{Events: maps.Clone(a.counts), Dropped: a.dropped}
}

// runAudits writes events down every second until ctx ends, and then what is left.
func (s *Service) runAudits(ctx context.Context) {
	flush := time.NewTicker(auditFlushInterval)
	defer flush.Stop()
	for {
		select {
		case <-ctx.Done():
			s.flushAudits(ctx)
			return
		case <-flush.C:
			s.flushAudits(ctx)
		}
	}
}

// flushAudits writes down what waits. The end of ctx does not interrupt it: nobody would know whether it was written.
func (s *Service) flushAudits(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditFlushWait)
	defer cancel()
	for {
		batch := s.audits.take()
		if len(batch) == 0 {
			return
		}
		if err := s.cfg.AuditLog.AppendAuditEvents(ctx, batch); err != nil {
			s.audits.putBack(batch)
			s.cfg.Logger.Warn("audit events could not be written yet", "error", err)
			return
		}
	}
}
