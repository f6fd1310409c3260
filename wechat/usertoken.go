package wechat

import (
	"context"
	"net/url"
)

// VerifyUserToken returns nil if the token is a valid access token of the person with this openid: 检验用户授权凭证. Mini
// programs have no such tokens.
//
// It does not say of which app the openid is: an openid of any app in the world, with a token for it, passes. That is
// no way into somebody else's account as long as accounts are found by the openid alone, which is another one in every
// app; but it proves neither an app nor a unionid.
//
// The classes of its errors are ErrInvalidToken, ErrBusy, ErrMisconfigured, ErrRefused, ErrBadAnswer and
// ErrUnavailable.
func (c *Client) VerifyUserToken(ctx context.Context, openID OpenID, token UserToken) error {
	r, err := userTokenRequest("/sns/auth", openID, token)
	if err != nil {
		return err
	}
	a, err := c.do(ctx, r)
	if err != nil {
		return err
	}
	// Here errcode 0 is the whole answer, so one that is missing is no yes.
	if !a.code {
		return badAnswer(r.path, "errcode is missing")
	}
	return nil
}

// Profile is what a person shows of themselves. Its texts are the person's own: any characters, and any address.
type Profile struct {
	OpenID    OpenID
	UnionID   UnionID // empty if the app is not bound to an Open Platform account
	Nickname  string  // often just 微信用户
	AvatarURL string  // empty if there is none; it stops working when the person changes the picture
}

// FindProfile returns the profile of the person whose token it is: 获取授权用户信息. The token's scope must be
// snsapi_userinfo or snsapi_login, else the class is ErrMisconfigured.
//
// The classes of its errors are those of VerifyUserToken, and ErrSnapshotUser.
func (c *Client) FindProfile(ctx context.Context, openID OpenID, token UserToken) (Profile, error) {
	r, err := userTokenRequest("/sns/userinfo", openID, token)
	if err != nil {
		return Profile{}, err
	}
	a, err := c.do(ctx, r)
	if err != nil {
		return Profile{}, err
	}
	if a.isSnapshot() {
		return Profile{}, &Error{Class: ErrSnapshotUser, Call: r.path}
	}
	var p Profile
	if p.OpenID, p.UnionID, err = a.person(); err != nil {
		return Profile{}, err
	}
	if p.OpenID != openID {
		return Profile{}, badAnswer(r.path, "openid is another one")
	}
	if p.Nickname, err = a.text("nickname"); err != nil {
		return Profile{}, err
	}
	if p.AvatarURL, err = a.text("headimgurl"); err != nil {
		return Profile{}, err
	}
	return p, nil
}

func userTokenRequest(path string, openID OpenID, token UserToken) (request, error) {
	if !isName(string(openID), maxOpenID) || !isToken(string(token), maxToken) {
		return request{}, &Error{Class: ErrInvalidToken, Call: path, detail: "malformed"}
	}
	return request{path: path, by: withUserToken, query: url.Values{
		"access_token": {token.Reveal()},
		"openid":       {string(openID)},
	}}, nil
}
