package wechat

import (
	"fmt"
	"io"
	"log/slog"
)

// Secrets print as [redacted] with every formatting verb, in slog and in every text encoding, also inside a struct or a
// slice; the structs of this package that have one do, too. There are three places where a value is not asked how it wants to be
// printed: an unexported field of a struct that is printed as a whole, the key of a map in encoding/json, and a struct
// behind a pointer that fmt has no verb for and complains of with "%!s(*T=…)".

const redacted = "[redacted]"

// AppSecret is the secret of an app. Whoever has it can act as the app.
type AppSecret string

// Code is what WeChat gave to an app on a device to prove the person: it can be exchanged once, by the app that it was
// made for, for 5 minutes (mini programs, official accounts, phone numbers) or 10 (mobile apps and websites).
type Code string

// UserToken is the access token of one person in one app. It is valid for two hours and good for nothing but that
// person's profile: 换取用户授权凭证.
type UserToken string

// AppAccessToken is the access token of an app, 接口调用凭据. Whoever has it can act as the app for up to two hours.
type AppAccessToken string

// Reveal returns the secret itself.
func (s AppSecret) Reveal() string { return string(s) }

// String returns [redacted].
func (AppSecret) String() string { return redacted }

// Format writes [redacted] for every verb.
func (AppSecret) Format(f fmt.State, _ rune) { redact(f) }

// LogValue implements slog.LogValuer.
func (AppSecret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText makes every text encoding write [redacted].
func (AppSecret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Reveal returns the code itself.
func (c Code) Reveal() string { return string(c) }

// String returns [redacted].
func (Code) String() string { return redacted }

// Format writes [redacted] for every verb.
func (Code) Format(f fmt.State, _ rune) { redact(f) }

// LogValue implements slog.LogValuer.
func (Code) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText makes every text encoding write [redacted].
func (Code) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Reveal returns the token itself.
func (t UserToken) Reveal() string { return string(t) }

// String returns [redacted].
func (UserToken) String() string { return redacted }

// Format writes [redacted] for every verb.
func (UserToken) Format(f fmt.State, _ rune) { redact(f) }

// LogValue implements slog.LogValuer.
func (UserToken) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText makes every text encoding write [redacted].
func (UserToken) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Reveal returns the token itself.
func (t AppAccessToken) Reveal() string { return string(t) }

// String returns [redacted].
func (AppAccessToken) String() string { return redacted }

// Format writes [redacted] for every verb.
func (AppAccessToken) Format(f fmt.State, _ rune) { redact(f) }

// LogValue implements slog.LogValuer.
func (AppAccessToken) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText makes every text encoding write [redacted].
func (AppAccessToken) MarshalText() ([]byte, error) { return []byte(redacted), nil }

func redact(f fmt.State) { _, _ = io.WriteString(f, redacted) }

// Format writes the app without its secret, for every verb.
func (a App) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "{ID:%s Secret:%s Kind:%s}", a.ID, redacted, a.Kind)
}

// Format writes the session without its token, for every verb.
func (s Session) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "{OpenID:%s UnionID:%s Token:%s ExpiresAt:%v Scope:%s}", s.OpenID, s.UnionID, redacted, s.ExpiresAt, s.Scope)
}

// Format writes the token's end, for every verb.
func (t AppToken) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "{Token:%s ExpiresAt:%v}", redacted, t.ExpiresAt)
}

// Format writes where the client's requests go, for every verb.
func (c *Client) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "wechat.Client(%s)", c.base) }

// isToken says whether s could be a code or a token: 1 to limit characters of printable ASCII. WeChat documents no form,
// only that an app's token may have 512 characters.
func isToken(s string, limit int) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
