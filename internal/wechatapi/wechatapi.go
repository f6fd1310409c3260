// Package wechatapi is how the rules ask WeChat: it turns apps' ids into apps, and what package wechat reports into the
// errors of package auth.
package wechatapi

import (
	"context"
	"errors"
	"fmt"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/wechat"
)

// Adapter is an auth.WeChat. It is safe for concurrent use.
type Adapter struct {
	client *wechat.Client
	apps   map[string]wechat.App
}

var _ auth.WeChat = (*Adapter)(nil)

// New returns an Adapter for the apps, whose ids differ.
func New(client *wechat.Client, apps []wechat.App) *Adapter {
	a := &Adapter{client: client, apps: make(map[string]wechat.App, len(apps))}
	for _, app := range apps {
		a.apps[string(app.ID)] = app
	}
	return a
}

// ExchangeCode implements auth.WeChat.
func (a *Adapter) ExchangeCode(ctx context.Context, appID string, code auth.WeChatCode) (openID, unionID string, err error) {
	session, err := a.client.ExchangeCode(ctx, a.apps[appID], wechat.Code(code.Reveal()))
	if err != nil {
		return "", "", translate(err)
	}
	return string(session.OpenID), string(session.UnionID), nil
}

// VerifyAccessToken implements auth.WeChat.
func (a *Adapter) VerifyAccessToken(ctx context.Context, appID, openID string, token auth.WeChatAccessToken) error {
	if kind := a.apps[appID].Kind; kind == wechat.MiniProgram {
		return fmt.Errorf("%w: mini programs have no access tokens of persons", auth.ErrInvalidCredentials)
	}
	return translate(a.client.VerifyUserToken(ctx, wechat.OpenID(openID), wechat.UserToken(token.Reveal())))
}

// PhoneNumber implements auth.WeChat.
func (a *Adapter) PhoneNumber(ctx context.Context, appID, openID string, code auth.WeChatCode) (string, error) {
	app := a.apps[appID]
	if app.Kind != wechat.MiniProgram {
		return "", fmt.Errorf("%w: only mini programs have phone codes", auth.ErrInvalidCredentials)
	}
	number, err := a.client.PhoneNumber(ctx, app, wechat.OpenID(openID), wechat.Code(code.Reveal()))
	if err != nil {
		return "", translate(err)
	}
	return number.E164(), nil
}

// PageURL implements auth.WeChat. Official accounts ask the person, so that there is a unionid.
func (a *Adapter) PageURL(p auth.WeChatPage) (string, error) {
	app := a.apps[p.AppID]
	page := wechat.Page{RedirectURL: p.BackTo, State: p.State}
	if app.Kind == wechat.OfficialAccount {
		page.Scope = wechat.ScopeUserInfo
	}
	return a.client.PageURL(app, page)
}

// translate says which error of the rules an error of package wechat is. Its text, which holds no secret, stays for the
// operator's log. Other errors, of where app tokens come from, are of the rules already.
func translate(err error) error {
	var e *wechat.Error
	switch {
	case !errors.As(err, &e):
		return err
	case errors.Is(err, wechat.ErrInvalidCode), errors.Is(err, wechat.ErrInvalidToken):
		return fmt.Errorf("%w: %w", auth.ErrInvalidCredentials, err)
	case errors.Is(err, wechat.ErrBlocked):
		return fmt.Errorf("%w: %w", auth.ErrBlocked, err)
	case errors.Is(err, wechat.ErrSnapshotUser):
		return fmt.Errorf("%w: %w", auth.ErrSnapshotUser, err)
	case errors.Is(err, wechat.ErrBusy):
		return &auth.UpstreamBusyError{RetryAfter: e.RetryAfter, Cause: err}
	case errors.Is(err, wechat.ErrUnavailable):
		return &auth.UpstreamBusyError{Cause: err}
	}
	return fmt.Errorf("%w: %w", auth.ErrUpstream, err)
}
