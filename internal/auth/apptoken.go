package auth

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"time"
)

// AppToken is the access token of a WeChat app. Whoever has it can act as the app until it ends.
type AppToken struct {
	Token     AppAccessToken
	ExpiresAt time.Time
}

// AppAccessToken is the secret of an AppToken. It prints as [redacted].
type AppAccessToken string

// Reveal returns the secret itself.
func (t AppAccessToken) Reveal() string { return string(t) }

func (t AppAccessToken) hash() TokenHash { return sha256.Sum256([]byte(t)) }

// Format writes [redacted] for every verb.
func (AppAccessToken) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }

// MarshalText makes every text encoding write [redacted].
func (AppAccessToken) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// AppTokens has the access tokens of WeChat apps, one at a time for all nodes.
type AppTokens interface {
	// FindAppToken returns the app's token. It returns ErrUpstream or an *UpstreamBusyError if there is none and WeChat
	// gives none within five seconds, ErrUnavailable.
	FindAppToken(ctx context.Context, appID string) (AppToken, error)
}

// AppToken gives a trusted backend, which the caller is sure of, the access token of a mini program or official account;
// appID may be empty while exactly one is configured. It returns a *ValidationError for an app that is missing or
// unknown or cannot have such a token, ErrUpstream, an *UpstreamBusyError, ErrUnavailable.
func (s *Service) AppToken(ctx context.Context, appID string, origin Origin) (AppToken, error) {
	app, err := s.wechatAppOf(appID, WeChatMiniProgram, WeChatOfficialAccount)
	if err != nil {
		return AppToken{}, err
	}
	token, err := s.cfg.AppTokens.FindAppToken(ctx, app.ID)
	if err != nil {
		return AppToken{}, fmt.Errorf("find access token: %w", err)
	}
	s.Audit(ctx, AuditEvent{
		Kind: AuditWeChatTokenRead, Outcome: AuditOK, Proof: ProofServerKey, Token: token.Token.hash().String(), Origin: origin,
	})
	return token, nil
}

// wechatAppOf returns the app with this id if it is of one of the kinds. The id may be empty while there is one such app.
func (s *Service) wechatAppOf(id string, kinds ...WeChatKind) (WeChatApp, error) {
	var found []WeChatApp
	for _, app := range s.cfg.WeChatApps {
		if slices.Contains(kinds, app.Kind) && (id == "" || app.ID == id) {
			found = append(found, app)
		}
	}
	switch len(found) {
	case 0:
		return WeChatApp{}, invalid(FieldAppID, Unsupported)
	case 1:
		return found[0], nil
	}
	return WeChatApp{}, invalid(FieldAppID, Required)
}

// SealedAppToken is what the database keeps of an app's token: nothing that is of use to whoever reads it alone.
type SealedAppToken struct {
	// Generation counts the tokens that were stored for the app; 0: none so far.
	Generation int64
	Sealed     []byte
	ExpiresAt  time.Time
}

// AppTokenLease is the right to fetch the app's next token.
type AppTokenLease struct {
	AppID      string
	Generation int64     // of the token that is to be replaced; 0: there is none
	Until      time.Time // later than any lease before
}

// AppTokenStore keeps the tokens of WeChat apps for all nodes. Every method returns ErrUnavailable (wrapped) when the
// database cannot be reached or cannot write.
type AppTokenStore interface {
	// FindAppToken returns what was stored last for the app; ErrNotFound if there is nothing.
	FindAppToken(ctx context.Context, appID string) (SealedAppToken, error)
	// LeaseAppToken takes the lease. It returns ErrChanged if somebody else's has not ended at now, or if the app's
	// token is of another generation; of concurrent callers exactly one succeeds.
	LeaseAppToken(ctx context.Context, lease AppTokenLease, now time.Time) error
	// StoreAppToken stores the token that the lease was for, as the next generation, and ends the lease. It returns
	// ErrChanged if the lease is not the last one any more: somebody else fetches or has stored a newer token.
	StoreAppToken(ctx context.Context, lease AppTokenLease, token SealedAppToken) error
	// ReleaseAppToken ends the lease, if it is still held, without a token.
	ReleaseAppToken(ctx context.Context, lease AppTokenLease) error
}
