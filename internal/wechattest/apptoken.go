package wechattest

import (
	"net/url"
	"slices"
	"strconv"
	"time"
)

const (
	// 获取稳定版接口调用凭据: a new token five minutes before the end of the old one, both valid until then; at least
	// 30 s between two refreshes that are forced, and 20 a day.
	tokenOverlap    = 5 * time.Minute
	refreshInterval = 30 * time.Second
	refreshesADay   = 20
)

// appToken is the access token of an app.
type appToken struct {
	value     string
	expiresAt time.Time
}

type appTokenRequest struct {
	GrantType    string `json:"grant_type"`
	AppID        string `json:"appid"`
	Secret       string `json:"secret"`
	ForceRefresh bool   `json:"force_refresh"`
}

type appTokenAnswer struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int    `json:"expires_in"`
}

// appToken: 获取稳定版接口调用凭据.
func (w *WeChat) appToken(_ url.Values, body []byte, from string) (any, *refusal) {
	var in appTokenRequest
	if bad := readBody(body, &in); bad != nil {
		return nil, bad
	}
	a, bad := w.credentials(in.AppID, in.Secret, from)
	switch {
	case bad != nil:
		return nil, bad
	case in.GrantType != "client_credential":
		return nil, &refusal{40002, "invalid grant_type"}
	case a.Kind != MiniProgram && a.Kind != OfficialAccount: // undocumented
		return nil, &refusal{40013, "invalid appid"}
	case !w.takes(PathAppToken, a.ID):
		return nil, overQuota()
	}
	if in.ForceRefresh {
		if bad := w.forceRefresh(a); bad != nil {
			return nil, bad
		}
	}
	token := w.currentToken(a)
	return appTokenAnswer{token.value, int(token.expiresAt.Sub(w.time()) / time.Second)}, nil
}

// currentToken returns the app's token, a new one if there is none that lives for more than five minutes.
func (w *WeChat) currentToken(a *app) *appToken {
	now := w.time()
	a.tokens = slices.DeleteFunc(a.tokens, func(t *appToken) bool { return now.Sub(t.expiresAt) > tokenLife })
	if n := len(a.tokens); n > 0 && a.tokens[n-1].expiresAt.Sub(now) > tokenOverlap {
		return a.tokens[n-1]
	}
	token := &appToken{value: "99_" + randomToken(133), expiresAt: now.Add(tokenLife)}
	a.tokens = append(a.tokens, token)
	return token
}

// forceRefresh ends all of the app's tokens, unless it did so less than 30 s ago.
func (w *WeChat) forceRefresh(a *app) *refusal {
	now := w.time()
	a.refreshed = slices.DeleteFunc(a.refreshed, func(at time.Time) bool { return now.Sub(at) > 24*time.Hour })
	if n := len(a.refreshed); n > 0 && now.Sub(a.refreshed[n-1]) < refreshInterval {
		return nil
	}
	if len(a.refreshed) >= refreshesADay { // undocumented: which code it is
		return &refusal{45009, "reach max api daily quota limit"}
	}
	a.refreshed = append(a.refreshed, now)
	a.tokens = nil
	return nil
}

// AppToken returns the app's access token, as a normal fetch would.
func (w *WeChat) AppToken(a App) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.currentToken(w.mustApp(a)).value
}

// EndAppTokens ends the app's access tokens, as if somebody else had forced a refresh.
func (w *WeChat) EndAppTokens(a App) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mustApp(a).tokens = nil
}

// appOf returns the app whose access token it is.
func (w *WeChat) appOf(token string) (*app, *refusal) {
	if token == "" {
		return nil, &refusal{41001, "access_token missing"}
	}
	for _, a := range w.apps {
		for _, t := range a.tokens {
			switch {
			case t.value != token:
			case w.time().After(t.expiresAt):
				return nil, &refusal{42001, "access_token expired"}
			default:
				return a, nil
			}
		}
	}
	return nil, &refusal{40001, "invalid credential, access_token is invalid or not latest, could get access_token by " +
		"getStableAccessToken, more details at https://mmbizurl.cn/s/JtxxFh33r"}
}

type phoneAnswer struct {
	errorAnswer
	PhoneInfo phoneInfo `json:"phone_info"`
}

type phoneInfo struct {
	PhoneNumber     string    `json:"phoneNumber"`
	PurePhoneNumber string    `json:"purePhoneNumber"`
	CountryCode     string    `json:"countryCode"`
	Watermark       watermark `json:"watermark"`
}

type watermark struct {
	Timestamp int64  `json:"timestamp"`
	AppID     string `json:"appid"`
}

// phoneNumber: 获取手机号.
func (w *WeChat) phoneNumber(query url.Values, body []byte, _ string) (any, *refusal) {
	a, bad := w.appOf(query.Get("access_token"))
	switch {
	case bad != nil:
		return nil, bad
	case a.Kind != MiniProgram:
		return nil, &refusal{48001, "api unauthorized"}
	case !w.takes(PathPhone, a.ID):
		return nil, overQuota()
	}
	var in struct {
		Code   string `json:"code"`
		OpenID string `json:"openid"`
	}
	if bad := readBody(body, &in); bad != nil {
		return nil, bad
	}
	// Undocumented: which code it is when the openid is of another person.
	if c, ok := w.codes[in.Code]; ok && in.OpenID != "" && in.OpenID != w.openID(a, c.person.ID, false) {
		return nil, &refusal{40003, "invalid openid"}
	}
	c, bad := w.consume(in.Code, a, true)
	if bad != nil {
		return nil, &refusal{bad.code, bad.text + " hint: [" + strconv.Itoa(bad.code) + "]"}
	}
	full := c.person.PhoneNumber
	if c.person.CountryCode != "86" {
		full = "+" + c.person.CountryCode + full // 获取手机号: numbers abroad have it
	}
	return phoneAnswer{
		errorAnswer: errorAnswer{0, "ok"},
		PhoneInfo: phoneInfo{
			PhoneNumber: full, PurePhoneNumber: c.person.PhoneNumber, CountryCode: c.person.CountryCode,
			Watermark: watermark{Timestamp: c.made.Unix(), AppID: a.ID},
		},
	}, nil
}
