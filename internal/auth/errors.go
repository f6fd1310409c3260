package auth

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ideaegg/latchkey/internal/passhash"
)

// The failures of the Service. Everything else that a method returns is unforeseen, and is to be shown to nobody.
var (
	// ErrNotFound says that the thing asked for does not exist, or belongs to somebody else.
	ErrNotFound = errors.New("not found")
	// ErrInvalidCredentials says that the caller did not prove who they are. It is the same error after the same work
	// for an unknown login, a wrong password, an account without a password and a disabled account.
	ErrInvalidCredentials = errors.New("invalid credentials")
	// ErrUnproven is the ErrInvalidCredentials of a WeChat sign-in.
	ErrUnproven = fmt.Errorf("%w: nothing proves the WeChat account", ErrInvalidCredentials)
	// ErrUnauthorized says that a session token is malformed, unknown, expired or revoked; which of these is never said.
	ErrUnauthorized = errors.New("unauthorized")
	// ErrForbidden says that the session is genuine but too old for what was asked: sign in again first.
	ErrForbidden = errors.New("forbidden")
	// ErrIdentityTaken says that the identity belongs to another user.
	ErrIdentityTaken = errors.New("identity belongs to another user")
	// ErrHasIdentity says that the user has another subject in the same app or group.
	ErrHasIdentity = errors.New("user has another identity in this app")
	// ErrLastWayIn says that the user could not sign in any more.
	ErrLastWayIn = errors.New("it is the only way to sign in")
	// ErrGuest says that guests cannot do this before they are users.
	ErrGuest = errors.New("not for guests")
	// ErrBlocked says that WeChat holds the person to be so risky that it does not let them sign in.
	ErrBlocked = errors.New("person is blocked by WeChat")
	// ErrSnapshotUser says that WeChat made the person up, to show a page without asking anybody.
	ErrSnapshotUser = errors.New("snapshot user")
	// ErrDeclined says that the person did not want to sign in.
	ErrDeclined = errors.New("person declined")
	// ErrUpstream says that a service which was asked gave no usable answer, or that only the operator can put it right.
	ErrUpstream = errors.New("upstream failed")
	// ErrKeyInvalid says that an idempotency key is too short, too long, or has other than visible ASCII characters.
	ErrKeyInvalid = errors.New("idempotency key is not valid")
	// ErrKeySpent says that the guest whom an idempotency key made is none any more: a full user, disabled or deleted.
	ErrKeySpent = errors.New("idempotency key is spent")
	// ErrTokenInvalid says that a one-time token or code is unknown, used, expired, or was issued for something else.
	ErrTokenInvalid = errors.New("one-time token is not valid")
	// ErrChanged says that a row was changed or deleted by somebody else since the caller read it. Nothing was written.
	ErrChanged = errors.New("changed meanwhile")
	// ErrSessionIDTaken says that another node made the same session id in the same millisecond. Nothing was written.
	ErrSessionIDTaken = errors.New("session id is taken")
	// ErrUnavailable says that the database cannot be reached or cannot write now. What was acknowledged before is safe.
	ErrUnavailable = errors.New("storage is unavailable")
)

// PasswordHash is what the database keeps of a password: a PHC string.
type PasswordHash = passhash.PasswordHash

// OverloadedError says that too many passwords wait to be hashed; it says when to come back.
type OverloadedError = passhash.OverloadedError

// ErrHashUnavailable says that the hash was lost with the process that computed it. Nothing was written.
var ErrHashUnavailable = passhash.ErrUnavailable

// UpstreamBusyError says that a service which must be asked cannot be reached or has too much to do.
type UpstreamBusyError struct {
	RetryAfter time.Duration // 0: soon
	Cause      error
}

func (e *UpstreamBusyError) Error() string { return "upstream is busy: " + e.Cause.Error() }

func (e *UpstreamBusyError) Unwrap() error { return e.Cause }

// TakenError says which unique names of a user are taken already. Nothing was written.
type TakenError struct {
	Username bool
	Email    bool
}

func (e *TakenError) Error() string { return "username or e-mail address is taken" }

// LockedError says that a wait runs in a Lane. Nothing was written.
type LockedError struct {
	Until   time.Time // zero if Forever
	Forever bool      // until the password is replaced
}

func (e *LockedError) Error() string { return "too many wrong guesses" }

// RateLimitError says that a limit is reached. Nothing was looked at, or the verdict is withheld; it does not say which.
type RateLimitError struct {
	Policy     string        // the name of the limit
	Quota      int           // how many it allows
	Window     time.Duration // in which time; 0: it has no such time
	RetryAfter time.Duration
}

func (e *RateLimitError) Error() string { return "limit " + e.Policy + " is reached" }

// GuestKeyUsedError says which user an idempotency key has made, as a guest. Nothing was written.
type GuestKeyUsedError struct {
	UserID UserID
}

func (e *GuestKeyUsedError) Error() string { return "idempotency key is used" }

// FieldCode says what is wrong with one member of the input. The values are those of the outward contract.
type FieldCode string

// The field codes that the rules of this package produce.
const (
	Required    FieldCode = "required"
	Invalid     FieldCode = "invalid"
	TooShort    FieldCode = "too_short"
	TooLong     FieldCode = "too_long"
	Taken       FieldCode = "taken"
	Mismatch    FieldCode = "mismatch"
	TooCommon   FieldCode = "too_common"
	Reserved    FieldCode = "reserved"
	Unsupported FieldCode = "unsupported"
)

// Field names one member of the input, as it is spelled outside.
type Field string

// The members that the rules of this package judge.
const (
	FieldUsername             Field = "username"
	FieldEmail                Field = "email"
	FieldPassword             Field = "password"
	FieldPasswordConfirmation Field = "password_confirmation"
	FieldCurrentPassword      Field = "current_password"
	FieldFullname             Field = "fullname"
	FieldAvatar               Field = "avatar"
	FieldPhoneNumber          Field = "phone_number"
	FieldLogin                Field = "login"
	FieldUID                  Field = "uid"
	FieldAppID                Field = "app_id"
	FieldRedirectTo           Field = "redirect_to"
	FieldState                Field = "state"
	FieldCodeChallenge        Field = "code_challenge"
	FieldCodeChallengeMethod  Field = "code_challenge_method"
	FieldUnionID              Field = "unionid"
	FieldPhoneCode            Field = "phone_code"
	FieldToken                Field = "token"
	FieldOneTimeCode          Field = "code"
)

// FieldError is one fault of the input.
type FieldError struct {
	Field Field
	Code  FieldCode
	// Limit is the bound that was missed, for TooShort and TooLong; 0 otherwise.
	Limit int
}

// ValidationError is the input's faults, all of them, in the order of the documented members. Nothing was written.
type ValidationError struct {
	Fields []FieldError
}

func (e *ValidationError) Error() string {
	parts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		parts[i] = string(f.Field) + " " + string(f.Code)
	}
	return strings.Join(parts, ", ")
}

// faults collects the FieldErrors of one request.
type faults []FieldError

func (f *faults) add(field Field, code FieldCode) {
	*f = append(*f, FieldError{Field: field, Code: code})
}

func (f *faults) addLimit(field Field, code FieldCode, limit int) {
	*f = append(*f, FieldError{Field: field, Code: code, Limit: limit})
}

// err returns the collected faults as a *ValidationError, or nil if there are none.
func (f *faults) err() error {
	if len(*f) == 0 {
		return nil
	}
	return &ValidationError{Fields: *f}
}

func invalid(field Field, code FieldCode) error {
	return &ValidationError{Fields: []FieldError{{Field: field, Code: code}}}
}

// validation turns the store's answer into what the client is told.
func (e *TakenError) validation() error {
	var f faults
	if e.Username {
		f.add(FieldUsername, Taken)
	}
	if e.Email {
		f.add(FieldEmail, Taken)
	}
	return f.err()
}
