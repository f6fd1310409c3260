package wechat

import (
	"errors"
	"net/url"
)

// Scope is what a person is asked to allow on a page of WeChat's.
type Scope string

// The scopes of the kinds that have pages.
const (
	ScopeLogin    Scope = "snsapi_login"    // websites; openid, unionid and profile
	ScopeBase     Scope = "snsapi_base"     // official accounts, without asking; the openid alone
	ScopeUserInfo Scope = "snsapi_userinfo" // official accounts, asking; openid, unionid and profile
)

// maxState is WeChat's limit in bytes: 网页授权.
const maxState = 128

// Page describes a page of WeChat's on which a person signs in.
type Page struct {
	// RedirectURL is where WeChat sends the browser, with code and state added to the query; without code if the
	// person refused, though the QR page just stays. It is https, or http on a loopback host, and its host must be the
	// one that the operator registered at WeChat.
	RedirectURL string

	// State comes back as it is: 1 to 128 letters and digits, random and bound to the browser, so that nobody can make
	// a browser use the code of another person.
	State string

	// Scope is for official accounts: ScopeBase, which the zero value means, or ScopeUserInfo.
	Scope Scope
}

// PageURL returns the address of the page: a QR code to scan with WeChat for a website (网站应用授权登录), one that works only inside
// WeChat for an official account (网页授权). Other kinds have no page. The errors are about the arguments; the request to
// WeChat is made by the browser.
func (c *Client) PageURL(app App, page Page) (string, error) {
	path, scope := "", page.Scope
	switch {
	case app.Kind == Website && (scope == "" || scope == ScopeLogin):
		path, scope = "/connect/qrconnect", ScopeLogin
	case app.Kind == OfficialAccount && (scope == "" || scope == ScopeBase || scope == ScopeUserInfo):
		path = "/connect/oauth2/authorize"
		if scope == "" {
			scope = ScopeBase
		}
	case app.Kind == Website, app.Kind == OfficialAccount:
		return "", errors.New("wechat: Page.Scope is not for this kind of app")
	default:
		return "", errors.New("wechat: this kind of app has no page")
	}
	if !isName(string(app.ID), maxAppID) {
		return "", errors.New("wechat: App.ID is malformed")
	}
	if !isState(page.State) {
		return "", errors.New("wechat: Page.State is not 1 to 128 letters and digits")
	}
	redirect, err := url.Parse(page.RedirectURL)
	switch {
	case err != nil, redirect.Host == "", redirect.User != nil, redirect.Fragment != "":
		return "", errors.New("wechat: Page.RedirectURL is no absolute URL without user and fragment")
	case redirect.Scheme != "https" && (redirect.Scheme != "http" || !isLoopback(redirect.Hostname())):
		return "", errors.New("wechat: Page.RedirectURL is not https")
	}
	// Written by hand, because the order counts: WeChat matches the address against a pattern (网页授权).
	return c.pages.JoinPath(path).String() +
		"?appid=" + url.QueryEscape(string(app.ID)) +
		"&redirect_uri=" + url.QueryEscape(page.RedirectURL) +
		"&response_type=code" +
		"&scope=" + string(scope) +
		"&state=" + page.State +
		"#wechat_redirect", nil
}

func isState(s string) bool {
	if s == "" || len(s) > maxState {
		return false
	}
	for i := range len(s) {
		if !isAlphanumeric(s[i]) {
			return false
		}
	}
	return true
}
