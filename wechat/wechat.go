// Package wechat speaks WeChat's sign-in protocol: it turns the code that an app, a mini program, a website or an
// official account got from WeChat into the openid of a person, checks a person's access token, and asks for a verified
// phone number.
//
// What proves what: a code proves a person to the one app that it was made for, once and for a few minutes. An openid is
// a name, not a secret, and it is another one in every app; a unionid is the same in all apps of one Open Platform
// account.
//
// The requests carry secrets in their URLs, because WeChat wants them there. Nothing of a request's query or body, and
// nothing of an answer, is ever part of an error or of anything else that this package prints; secrets have types that
// print as [redacted]. A RoundTripper that the caller gives sees everything: it must not log URLs.
//
// WeChat's documentation is cited by the name of the page on developers.weixin.qq.com. All were read on 2026-11-22,
// some of them in copies that are older:
//
//   - 小程序登录凭证校验 (code2Session), /miniprogram/dev/server/API/user-login/api_code2session
//   - 换取用户授权凭证 (snsAccessToken), /doc/service/api/webdev/access/api_snsaccesstoken
//   - 检验用户授权凭证 (snsAuth), /doc/service/api/webdev/access/api_snsauth
//   - 获取授权用户信息 (snsUserInfo), /doc/service/api/webdev/access/api_snsuserinfo
//   - 授权后接口调用 (UnionID), /doc/oplatform/Website_App/WeChat_Login/Authorized_Interface_Calling_UnionID
//   - 获取稳定版接口调用凭据 (getStableAccessToken), /doc/service/api/base/api_getstableaccesstoken
//   - 获取手机号 (getPhoneNumber), /miniprogram/dev/server/API/user-info/phone-number/api_getphonenumber
//   - 网站应用授权登录, /doc/oplatform/developers/dev/auth/web
//   - 网页授权, /doc/offiaccount/OA_Web_Apps/Wechat_webpage_authorization.html
//   - UnionID 机制说明, /miniprogram/dev/framework/open-ability/union-id.html
//   - 全局返回码 (Global Return Code), /doc/service/en/Getting_Started/Global_Return_Code.html
//   - 服务端 API 调用说明, /doc/service/guide/dev/api
//   - 服务端 API 问题定位与解决, /doc/oplatform/developers/troubleshooting
package wechat

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

const (
	defaultBaseURL     = "https://api.weixin.qq.com"
	defaultPageBaseURL = "https://open.weixin.qq.com"

	// defaultTimeout leaves a second to a caller who has promised an answer within five.
	defaultTimeout = 4 * time.Second
)

// Config is what New needs. The zero value talks to WeChat itself.
type Config struct {
	BaseURL     string // of the API: https, or http on a loopback host; "" means https://api.weixin.qq.com
	PageBaseURL string // of the pages that people see, likewise; "" means https://open.weixin.qq.com

	// Timeout is how long a method may take, all its requests and answers included; 0 means 4 s. A context with an
	// earlier deadline counts.
	Timeout time.Duration

	// Transport sends the requests; nil means one of its own, without a proxy.
	Transport http.RoundTripper

	// Now is the clock, for ages and expiries; nil means time.Now.
	Now func() time.Time

	// AppTokens has the apps' access tokens; nil means that the Client fetches its own and keeps them in memory.
	AppTokens AppTokenSource
}

// Client talks to WeChat. Its methods may be called at the same time.
type Client struct {
	base, pages *url.URL
	timeout     time.Duration
	now         func() time.Time

	// transport is used without an http.Client, whose redirects would take the secret in the query, or in a Referer,
	// to another place, and whose errors begin with the whole URL.
	transport http.RoundTripper
	appTokens AppTokenSource
}

// New returns a Client, or an error that names the faulty field of cfg.
func New(cfg Config) (*Client, error) {
	base, err := parseBase(cfg.BaseURL, defaultBaseURL)
	if err != nil {
		return nil, fmt.Errorf("wechat: Config.BaseURL %w", err)
	}
	pages, err := parseBase(cfg.PageBaseURL, defaultPageBaseURL)
	if err != nil {
		return nil, fmt.Errorf("wechat: Config.PageBaseURL %w", err)
	}
	if cfg.Timeout < 0 {
		return nil, errors.New("wechat: Config.Timeout is negative")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Transport == nil {
		cfg.Transport = newTransport()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now //nolint:forbidigo // a public package cannot ask every caller for a clock
	}
	c := &Client{base: base, pages: pages, timeout: cfg.Timeout, now: cfg.Now, transport: cfg.Transport, appTokens: cfg.AppTokens}
	if c.appTokens == nil {
		c.appTokens = &keptTokens{client: c, slots: make(map[AppID]*tokenSlot)}
	}
	return c, nil
}

// CloseIdleConnections closes connections that no request is using. The Client can still be used.
func (c *Client) CloseIdleConnections() {
	if t, ok := c.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// newTransport returns a transport for one host that many requests go to. It has no proxy: the environment is the
// caller's to read.
func newTransport() *http.Transport {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    3 * time.Second,
		MaxIdleConnsPerHost:    32,
		IdleConnTimeout:        60 * time.Second,
		MaxResponseHeaderBytes: 32 << 10,
	}
}

// parseBase parses a base URL, or def if raw is empty. Its errors show nothing of raw, in which somebody may have put a
// password.
func parseBase(raw, def string) (*url.URL, error) {
	if raw == "" {
		raw = def
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("is no URL")
	case u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "":
		return nil, errors.New("is no https URL with a host")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return nil, errors.New("is http on a host that is not loopback: secrets would go in the clear")
	case u.User != nil, u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return nil, errors.New("has more than scheme, host and path")
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), ""
	return u, nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
