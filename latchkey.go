// Package latchkey holds what a client of the Latchkey service sees: the bodies of its answers and the codes of its errors.
//
// It depends on the standard library alone. The HTTP interface itself is described by the OpenAPI document that every
// server answers at GET /openapi.json.
package latchkey

import (
	"fmt"
	"time"
)

// Time is an instant as the API writes it: RFC 3339, UTC, always with three digits of milliseconds.
type Time time.Time

const timeLayout = "2006-01-02T15:04:05.000Z"

// MarshalJSON writes the time as a JSON string such as "2015-06-06T14:20:57.024Z".
func (t Time) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, len(timeLayout)+2)
	b = append(b, '"')
	b = time.Time(t).UTC().AppendFormat(b, timeLayout)
	return append(b, '"'), nil
}

// UnmarshalJSON reads an RFC 3339 time in a JSON string; the error names the text that is none.
func (t *Time) UnmarshalJSON(b []byte) error {
	if len(b) < 2 || b[0] != '"' || b[len(b)-1] != '"' {
		return fmt.Errorf("time %s is not a string", b)
	}
	v, err := time.Parse(time.RFC3339Nano, string(b[1:len(b)-1]))
	if err != nil {
		return fmt.Errorf("parse time: %w", err)
	}
	*t = Time(v)
	return nil
}

// SignedIn is the answer of every call that signs a user in. Its members and their order are those of the API document.
type SignedIn struct {
	ID           int64  `json:"id"`
	Username     string `json:"username"`
	Email        string `json:"email"`
	Fullname     string `json:"fullname"`
	PrivateToken string `json:"private_token"`
	CreatedAt    Time   `json:"created_at"`
}

// SignedInWithWeChat is the answer of a WeChat sign-in: SignedIn and two more members, null when unknown.
type SignedInWithWeChat struct {
	SignedIn
	Avatar      *string `json:"avatar"`
	PhoneNumber *string `json:"phone_number"`
}

// AppToken is the access token of a WeChat app as GET /wechat/access_token answers it. Whoever has it can act as the app.
type AppToken struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int64  `json:"expires_in"` // seconds, at least 1
	ExpiresAt   Time   `json:"expires_at"`
}

// Introspection is the answer of POST /introspect about a good token (RFC 7662 §2.2). About any other it is Inactive.
type Introspection struct {
	Active    bool   `json:"active"` // true
	Subject   string `json:"sub"`    // the user's id
	Username  string `json:"username"`
	Guest     bool   `json:"guest"`
	TokenType string `json:"token_type"` // Bearer
	IssuedAt  int64  `json:"iat"`        // when the session was made, in unix seconds
	ExpiresAt int64  `json:"exp"`        // when it ends unless it is used before, in unix seconds
}

// Inactive is the answer of POST /introspect about a token that is not good, for whatever reason.
type Inactive struct {
	Active bool `json:"active"` // false
}

// User is the signed-in user as GET /user answers it. Avatar and PhoneNumber are nil when unknown.
type User struct {
	ID            int64   `json:"id"`
	Username      string  `json:"username"`
	Email         string  `json:"email"`
	Fullname      string  `json:"fullname"`
	Avatar        *string `json:"avatar"`
	PhoneNumber   *string `json:"phone_number"`
	CreatedAt     Time    `json:"created_at"`
	Guest         bool    `json:"guest"`
	EmailVerified bool    `json:"email_verified"`
}

// Identity is a way to sign in through another service.
type Identity struct {
	ID       int64  `json:"id"`
	Provider string `json:"provider"` // "wechat"
	// AppID is the app in which the user is known; empty when the service has none configured.
	AppID     string `json:"app_id"`
	CreatedAt Time   `json:"created_at"`
}

// Session is one signed-in device of the user. It never holds a token.
type Session struct {
	// ID is below 2^53, so that JavaScript reads it exactly.
	ID         int64  `json:"id"`
	CreatedAt  Time   `json:"created_at"`
	LastUsedAt Time   `json:"last_used_at"`
	ExpiresAt  Time   `json:"expires_at"`
	IP         string `json:"ip"`
	UserAgent  string `json:"user_agent"`
	Current    bool   `json:"current"`
}
