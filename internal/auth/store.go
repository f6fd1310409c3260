package auth

import (
	"context"
	"time"
)

// Store keeps everything that outlives a request. Each method is one atomic use case: it happens whole or not at all,
// and what it acknowledges is durable and seen by every later call. Uniqueness and races are decided by the database.
//
// Every method returns ErrUnavailable (wrapped) when the database cannot be reached or cannot write; a write may then
// have happened all the same. Deleted users are absent to every method.
type Store interface {
	// CreateUser creates the user with its first session, its identities and its mail if any. It returns a
	// *TakenError if the name or address is taken (of concurrent callers exactly one succeeds), ErrIdentityTaken if an
	// identity has a user, a *GuestKeyUsedError if the key has made a guest, ErrChanged if that was just cleaned up,
	// ErrSessionIDTaken.
	CreateUser(context.Context, NewUser) (User, error)
	// UpgradeGuest turns the guest into a full user in place, ends the guest's sessions and creates a new one.
	// It returns ErrChanged if the user is no guest any more, and otherwise fails as CreateUser does.
	UpgradeGuest(context.Context, GuestUpgrade) (User, error)
	// FindLogin returns the user with this name or address and the password hash, "" for a user without one; or ErrNotFound.
	FindLogin(context.Context, Login) (User, PasswordHash, error)
	// FindUser returns the user and the password hash, "" for a user without one; or ErrNotFound.
	FindUser(context.Context, UserID) (User, PasswordHash, error)
	// FindIdentity returns the user that the identity belongs to, or ErrNotFound.
	FindIdentity(context.Context, Identity) (User, error)
	// CreateSession signs an existing user in and ends the user's oldest sessions beyond MaxSessions. It returns
	// ErrChanged if the user is not active, if the password is not the one that was verified, if the identity is not theirs
	// any more, or if there must be a guest and is none; ErrSessionIDTaken; a *LockedError if a wait runs in the lane of the guess, whose failures it forgets
	// otherwise.
	CreateSession(context.Context, SignIn) (User, error)
	// FindSession returns the session and its user, expired or disabled ones too, or ErrNotFound.
	FindSession(context.Context, SessionID) (Session, User, error)
	// TouchSessions moves last use and expiry of sessions on, never back. Sessions that are gone are skipped.
	TouchSessions(context.Context, []SessionUse) error
	// ListSessions returns the user's sessions that have not expired, newest first, at most MaxSessions.
	ListSessions(ctx context.Context, user UserID, now time.Time) ([]Session, error)
	// RevokeSession ends one session of the user; ErrNotFound if the user has none with this id.
	RevokeSession(context.Context, UserID, SessionID) error
	// RevokeOtherSessions ends all sessions of the user but one.
	RevokeOtherSessions(ctx context.Context, user UserID, keep SessionID) error
	// ChangePassword replaces the password, ends every session and outstanding reset, forgets the failures of UserLanes, and
	// creates a new session. It returns ErrChanged if the password is not the one that was verified, or the user is a guest
	// or not active; ErrSessionIDTaken.
	ChangePassword(context.Context, PasswordChange) (User, error)
	// UpdateProfile changes the members that are given and returns the user; ErrNotFound if there is none that is active.
	UpdateProfile(context.Context, UserID, ProfileChange) (User, error)
	// DeleteUser ends the user's sessions and removes all personal data; the username stays taken until CleanUp.
	// It returns ErrChanged if the password is not the one that was verified, or the user is not active.
	DeleteUser(ctx context.Context, user UserID, verified PasswordHash, now time.Time) error
	// SetStatus lets a user in or keeps them out; sessions are kept. It returns ErrNotFound if there is no such user.
	SetStatus(context.Context, UserID, Status) error
	// QueueMail puts one message into the outbox and returns its id there.
	QueueMail(context.Context, OutboxMessage) (MessageID, error)
	// IssueOneTimeToken stores a token for an active user. One message has one token: a second attempt to send it
	// replaces the first one's. The oldest of the user and purpose beyond MaxOutstanding die, except those that undo.
	// It returns ErrChanged if the message is not in the outbox any more (whoever took it out wanted no token to go out),
	// if the user is not active, or if the purpose is about the user's own address and that is another one by now.
	IssueOneTimeToken(context.Context, OneTimeToken) error
	// FindOneTimeToken returns the token with this hash and its user without using it up; ErrTokenInvalid if it is
	// absent, expired at now, or of another purpose.
	FindOneTimeToken(ctx context.Context, purpose Purpose, hash TokenHash, now time.Time) (OneTimeToken, User, error)
	// AttemptOneTimeCode counts one attempt against every live code of the user for these purposes and returns those that
	// may still be compared, each at most MaxCodeAttempts times whatever the concurrency.
	AttemptOneTimeCode(ctx context.Context, user UserID, purposes [2]Purpose, now time.Time) ([]OneTimeToken, error)
	// ResetPassword uses up the token, sets the password, marks the address verified, ends every session and every
	// other outstanding reset, forgets the failures of UserLanes, and queues the notice. If the address was not verified
	// before, the user's identities go too: whoever linked them never proved that the address was theirs. It returns
	// ErrTokenInvalid if the token is absent or expired, or the user is gone or has another address; of concurrent
	// callers exactly one succeeds.
	ResetPassword(context.Context, PasswordReset) error
	// RequestEmailChange makes earlier changes that were asked for worthless and queues the mail to the new address.
	RequestEmailChange(context.Context, OutboxMessage) error
	// ConfirmEmail uses up a token of PurposeVerifyEmail or PurposeChangeEmail: the address that it was issued for is
	// verified, or becomes the user's in the place of the one that the caller saw; then every other token for the old
	// address dies, the notice to it is queued, and it is held for the user until the change cannot be undone any more.
	// It returns ErrTokenInvalid if the token cannot be used or the user's address is another one by now, a *TakenError
	// if the new address is somebody else's; of concurrent callers exactly one succeeds. It returns the user as they are then.
	ConfirmEmail(context.Context, EmailConfirmation) (User, error)
	// UndoEmailChange uses up a token of PurposeUndoEmailChange: the user has the old address back, and every session
	// and one-time token of the user ends, except older undos. It returns ErrTokenInvalid or a *TakenError.
	UndoEmailChange(ctx context.Context, token OneTimeToken, now time.Time) error
	// CleanUp deletes up to limit rows of each kind that is due, and returns how many of all kinds. Guests who seemed due
	// but have a live session are counted too: they are not looked at again before they can be due. Whoever signs a guest
	// in, upgrades one or writes down a use at the same moment comes first. Of guests who were deleted it appends an
	// AuditGuestsDeleted with their number to the AuditLog.
	CleanUp(ctx context.Context, due Due, limit int) (int, error)
	// Ping returns nil if the database answers.
	Ping(context.Context) error
}

// NewUser is a user to be created, with the session that signs them in.
type NewUser struct {
	Username string
	Email    *Email // nil: generated
	Profile
	PasswordHash PasswordHash // "": none
	Guest        bool
	Identities   []Identity
	Key          *GuestKey // of guests; nil: none
	Language     Language
	Now          time.Time
	Session      Session        // UserID is set by the store
	Mail         *OutboxMessage // nil: none; UserID is set by the store
}

// GuestKey is what is kept of an IdempotencyKey. From ExpiresAt on it is as good as new.
type GuestKey struct {
	Hash      TokenHash
	ExpiresAt time.Time
}

// GuestUpgrade is what a guest becomes. Empty profile members keep what the guest had.
type GuestUpgrade struct {
	UserID       UserID
	Username     string // "": the guest's own
	Email        *Email // nil: stays generated
	Profile             // a guest whose fullname is still the old username gets the new one
	PasswordHash PasswordHash
	Identities   []Identity
	Now          time.Time
	Session      Session
	Mail         *OutboxMessage // nil: none
}

// Login is what a person types to sign in: exactly one of the members is set.
type Login struct {
	Username string
	EmailKey string
	// GeneratedFor is the username of a generated address; a user with that name and a real address does not match.
	GeneratedFor string
}

// SignIn is a new session of a user whose proof was checked.
type SignIn struct {
	UserID  UserID
	Session Session
	// Identity led to the user and must be theirs still; nil when it was no identity.
	Identity *Identity
	// Verified is the password hash that the proof was checked against, nil when it was no password.
	Verified *PasswordHash
	// GuestOnly refuses a user who is no guest any more. Guests have no password: Verified is nil then.
	GuestOnly bool
	// Rehashed replaces Verified if not empty: the same password under today's parameters.
	Rehashed PasswordHash
	// Lane is where a wrong guess would have been counted; nil: nowhere.
	Lane *LaneKey
	// NewDevice is queued if no other session of the user comes from the same user agent; nil: nobody to tell.
	NewDevice *OutboxMessage
}

// SessionUse says that a session was used.
type SessionUse struct {
	ID        SessionID
	UsedAt    time.Time
	ExpiresAt time.Time
}

// PasswordChange is a new password of a user who gave the current one, or has none.
type PasswordChange struct {
	UserID   UserID
	Verified PasswordHash // "": there was none
	// Current is the session that proves the user in the place of a password; it must not have ended. 0: none.
	Current SessionID
	New     PasswordHash
	Now     time.Time
	Session Session
	Notice  *OutboxMessage // nil: nobody to tell
}

// ProfileChange is a change of the profile: nil members stay, empty Avatar and PhoneNumber are cleared.
type ProfileChange struct {
	Fullname    *string
	Avatar      *string
	PhoneNumber *string
}

// PasswordReset is a new password of a user who has a one-time token.
type PasswordReset struct {
	Token    OneTimeToken
	Password PasswordHash
	Now      time.Time
	Notice   *OutboxMessage // nil: nobody to tell
}

// EmailConfirmation is a proof of an address.
type EmailConfirmation struct {
	Token OneTimeToken
	// Old is the address that the user had when the token was found; empty when it was generated.
	Old    string
	Now    time.Time
	Notice *OutboxMessage // to the old address; nil: nobody to tell
}

// Pruning says which guests are unused: those who have no live session and were not seen since Before.
type Pruning struct {
	Before time.Time
	// LiveAt: sessions that end later are live.
	LiveAt time.Time
}

// NotSeenFor is Pruning of guests who were not seen for so long. It should be longer than clocks of nodes may differ.
func NotSeenFor(d time.Duration, now time.Time) Pruning {
	now = now.UTC()
	return Pruning{Before: now.Add(-d), LiveAt: now.Add(-usesFlushGrace)}
}

// Due says what CleanUp deletes.
type Due struct {
	// Now is when sessions, one-time tokens and guest keys must have expired.
	Now time.Time
	// GuestsBefore: guests without a session who were last seen before this are deleted.
	GuestsBefore time.Time
	// DeletedBefore: usernames of users deleted before this become free.
	DeletedBefore time.Time
	// FailedMailBefore: messages that expired before this are forgotten.
	FailedMailBefore time.Time
	// AuditBefore: audit events from before this are deleted.
	AuditBefore time.Time
	// GuessesBefore: failures in lanes where none was counted since are forgotten, unless they disabled a password.
	GuessesBefore time.Time
}
