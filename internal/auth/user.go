package auth

import (
	"net/netip"
	"time"
)

// UserID names a user. Ids are given out in order and never again, also after a user is gone.
type UserID int64

// Status says whether a user can sign in.
type Status int8

// The statuses, as the database stores them.
const (
	StatusActive   Status = 0
	StatusDisabled Status = 1 // by the operator: no sign-in, and every session refused
	StatusDeleted  Status = 2 // a row without personal data that keeps the username taken for usernameHold
)

// User is a person who has an account.
type User struct {
	ID       UserID
	Username string
	// Email is as the user typed it, but with an ASCII domain; of a generated address the username at the placeholder domain.
	Email string
	// EmailGenerated says that the address was made up and is never mailed.
	EmailGenerated bool
	EmailVerified  bool
	Fullname       string
	Avatar         string // empty when unknown
	PhoneNumber    string // empty when unknown
	// PhoneNumberVerified says that WeChat told the number, and the user has not changed it since.
	PhoneNumberVerified bool
	// Guest says that the user has neither credential nor identity: only the session that was made with it.
	Guest     bool
	Status    Status
	Language  Language
	CreatedAt time.Time
}

// Session is a signed-in device. Its token is known to the device alone.
type Session struct {
	ID         SessionID
	UserID     UserID
	TokenHash  TokenHash
	CreatedAt  time.Time
	LastUsedAt time.Time // at most a minute old while the device is in use
	ExpiresAt  time.Time // moves on with LastUsedAt
	Origin     Origin
}

// Origin is where a request came from. All of it is hearsay but the address.
type Origin struct {
	Address   netip.Addr
	UserAgent string // at most maxUserAgent bytes of valid UTF-8 without control characters
	Language  Language
	// Device is what came as the token of a known device, anything if the client has none yet and asks for one; empty: it
	// has not heard of them. It is not kept.
	Device DeviceToken
}

// Language is one of the languages that people are written to in.
type Language string

// The languages, by their BCP 47 tags.
const (
	English           Language = "en"
	SimplifiedChinese Language = "zh-CN"
)
