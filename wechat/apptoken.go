package wechat

import (
	"context"
	"sync"
	"time"
)

const tokenPath = "/cgi-bin/stable_token"

// AppToken is an app's access token.
type AppToken struct {
	Token     AppAccessToken
	ExpiresAt time.Time // UTC, by this machine's clock; at most two hours from now
}

// AppTokenOptions are options of FetchAppToken. The zero value is right nearly always.
type AppTokenOptions struct {
	// ForceRefresh makes WeChat end the token that it gave out before, at once and for everybody, and make a new one.
	// It is for a token that has leaked: WeChat allows it 20 times a day, and within 30 s of the last time answers
	// with the token that there is.
	ForceRefresh bool
}

// FetchAppToken fetches the stable access token of a mini program or official account: 获取稳定版接口调用凭据. WeChat
// answers everybody who asks with the same token until five minutes before its end, and then with a new one while the
// old one lives on; so several programs and nodes may each fetch and keep it, without talking to each other. WeChat
// allows 10,000 calls a minute.
//
// The classes of its errors are ErrBusy, ErrMisconfigured, ErrRefused, ErrBadAnswer and ErrUnavailable.
func (c *Client) FetchAppToken(ctx context.Context, app App, opts AppTokenOptions) (AppToken, error) {
	if err := app.check(tokenPath); err != nil {
		return AppToken{}, err
	}
	asked := c.now()
	a, err := c.do(ctx, request{path: tokenPath, by: withSecret, body: struct {
		GrantType    string `json:"grant_type"`
		AppID        string `json:"appid"`
		Secret       string `json:"secret"`
		ForceRefresh bool   `json:"force_refresh,omitempty"`
	}{"client_credential", string(app.ID), app.Secret.Reveal(), opts.ForceRefresh}})
	if err != nil {
		return AppToken{}, err
	}
	token, err := a.token("access_token")
	if err != nil {
		return AppToken{}, err
	}
	if token == "" {
		return AppToken{}, badAnswer(tokenPath, "access_token is missing")
	}
	lifetime, err := a.lifetime()
	if err != nil {
		return AppToken{}, err
	}
	return AppToken{Token: AppAccessToken(token), ExpiresAt: asked.Add(lifetime).UTC()}, nil
}

// AppTokenSource has the access tokens of apps. One that several programs and nodes share spares WeChat most of their
// fetches; Client.FetchAppToken is what it is made with, of another Client than the one that it is given to.
type AppTokenSource interface {
	// AppToken returns a token of the app that lives for long enough to be used now. stale is a token that WeChat has
	// just refused (ErrStaleAppToken), "" if there was none: the result is another one, unless WeChat, asked again,
	// gives out the same. It must not wait for longer than ctx allows. Its errors are returned by the Client's methods
	// as they are; those of FetchAppToken are good ones.
	AppToken(ctx context.Context, app App, stale AppAccessToken) (AppToken, error)
}

// tokenMargin is how long before its end a kept token is no longer used: longer than a request takes, and less than the
// five minutes in which WeChat has a new one.
const tokenMargin = time.Minute

// keptTokens is the AppTokenSource of a Client that was given none: it keeps the tokens in memory.
type keptTokens struct {
	client *Client

	mu    sync.Mutex
	slots map[AppID]*tokenSlot // never removed: there are as many as apps
}

// A tokenSlot keeps the token of one app.
type tokenSlot struct {
	busy chan struct{} // holds one element while somebody uses the fields below

	token AppToken
}

// AppToken implements AppTokenSource. ctx has a deadline, so nobody waits for ever for those who fetch before.
func (k *keptTokens) AppToken(ctx context.Context, app App, stale AppAccessToken) (AppToken, error) {
	slot := k.slot(app.ID)
	select {
	case slot.busy <- struct{}{}:
		defer func() { <-slot.busy }()
	case <-ctx.Done():
		return AppToken{}, transportError(tokenPath, ctx.Err())
	}
	kept := slot.token
	if kept.Token != "" && kept.Token != stale && k.client.now().Before(kept.ExpiresAt.Add(-tokenMargin)) {
		return kept, nil
	}
	token, err := k.client.FetchAppToken(ctx, app, AppTokenOptions{})
	if err != nil {
		return AppToken{}, err
	}
	slot.token = token
	return token, nil
}

func (k *keptTokens) slot(id AppID) *tokenSlot {
	k.mu.Lock()
	defer k.mu.Unlock()
	slot, ok := k.slots[id]
	if !ok {
		slot = &tokenSlot{busy: make(chan struct{}, 1)}
		k.slots[id] = slot
	}
	return slot
}
