package wechat

import (
	"context"
	"net/url"
	"time"
)

const (
	maxCode  = 512  // those that are seen have 32 or 64 characters
	maxToken = 2048 // WeChat asks for room for 512
)

// Session is what WeChat says to a code: who the person is in the app.
//
// The session_key of a mini program is not part of it, and not read: who has it can forge what WeChat signs for the
// mini program, and nothing here needs it.
type Session struct {
	OpenID OpenID

	// UnionID is empty if the app is not bound to an Open Platform account, and for an official account also if
	// Scope is not snsapi_userinfo.
	UnionID UnionID

	Token     UserToken // empty for a mini program
	ExpiresAt time.Time // of Token, UTC
	Scope     string    // what Token may be used for, as WeChat writes it: names with commas between
}

// ExchangeCode exchanges a code for the person who proved themselves to the app: at /sns/jscode2session for a mini
// program (小程序登录凭证校验), at /sns/oauth2/access_token for the other kinds (换取用户授权凭证, 授权后接口调用).
// Of concurrent calls with one code at most one succeeds.
//
// The classes of its errors are ErrInvalidCode, ErrBlocked, ErrSnapshotUser, ErrBusy, ErrMisconfigured, ErrRefused,
// ErrBadAnswer and ErrUnavailable.
func (c *Client) ExchangeCode(ctx context.Context, app App, code Code) (Session, error) {
	r := request{by: withSecret}
	codeName := "code"
	switch app.Kind {
	case MiniProgram:
		r.path, codeName = "/sns/jscode2session", "js_code"
	case Mobile, Website, OfficialAccount:
		r.path = "/sns/oauth2/access_token"
	default:
		return Session{}, &Error{Class: ErrMisconfigured, Call: "exchange of a code", detail: "the app's kind is unknown"}
	}
	if err := app.check(r.path); err != nil {
		return Session{}, err
	}
	if !isToken(string(code), maxCode) {
		return Session{}, &Error{Class: ErrInvalidCode, Call: r.path, detail: "malformed"}
	}
	r.query = url.Values{
		"appid":      {string(app.ID)},
		"secret":     {app.Secret.Reveal()},
		codeName:     {code.Reveal()},
		"grant_type": {"authorization_code"},
	}
	asked := c.now()
	a, err := c.do(ctx, r)
	if err != nil {
		return Session{}, err
	}
	if a.isSnapshot() {
		return Session{}, &Error{Class: ErrSnapshotUser, Call: r.path}
	}
	return a.session(asked)
}

// session reads a Session from an answer to a request of the time asked. Only the openid must be there.
func (a answer) session(asked time.Time) (Session, error) {
	openID, unionID, err := a.person()
	if err != nil {
		return Session{}, err
	}
	s := Session{OpenID: openID, UnionID: unionID}
	token, err := a.token("access_token")
	if err != nil || token == "" {
		return s, err
	}
	lifetime, err := a.lifetime()
	if err != nil {
		return Session{}, err
	}
	scope, err := a.text("scope")
	if err != nil {
		return Session{}, err
	}
	s.Token, s.ExpiresAt, s.Scope = UserToken(token), asked.Add(lifetime).UTC(), scope
	return s, nil
}
