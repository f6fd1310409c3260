package wechattest

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// Scopes, as WeChat writes them.
const (
	ScopeLogin    = "snsapi_login"
	ScopeBase     = "snsapi_base"
	ScopeUserInfo = "snsapi_userinfo"
)

const (
	shortCodeLife = 5 * time.Minute  // wx.login, 网页授权, 获取手机号
	longCodeLife  = 10 * time.Minute // 网站应用授权登录, 移动应用授权登录
	tokenLife     = 2 * time.Hour
)

// code is what a device got.
type code struct {
	app      *app
	person   *Person
	forPhone bool
	scope    string
	snapshot bool
	made     time.Time
	used     bool
}

func (c *code) expired(now time.Time) bool {
	life := shortCodeLife
	if !c.forPhone && (c.app.Kind == Website || c.app.Kind == Mobile) {
		life = longCodeLife
	}
	return now.Sub(c.made) > life
}

// userToken is the access token of a person in an app.
type userToken struct {
	app       *app
	person    *Person
	openID    string
	scope     string
	snapshot  bool
	expiresAt time.Time
}

// CodeOptions are options of CodeWith.
type CodeOptions struct {
	// Scope is what the person allowed; "" means everything that the kind of app can ask for.
	Scope string

	// Snapshot makes the code one of a made-up person, as 快照页 does it for official accounts.
	Snapshot bool
}

// Code returns a new code with which the app can prove the person: what wx.login, WeChat's SDK or a page gives.
func (w *WeChat) Code(a App, p Person) string { return w.CodeWith(a, p, CodeOptions{}) }

// CodeWith is Code with options.
func (w *WeChat) CodeWith(a App, p Person, opts CodeOptions) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.newCode(w.mustApp(a), w.mustPerson(p), opts)
}

// newCode makes a code; the caller holds mu.
func (w *WeChat) newCode(a *app, p *Person, opts CodeOptions) string {
	if opts.Scope == "" {
		opts.Scope = a.fullScope()
	}
	value := "0" + randomToken(31)
	w.codes[value] = &code{app: a, person: p, scope: opts.Scope, snapshot: opts.Snapshot, made: w.time()}
	return value
}

// PhoneCode returns a new code for the person's phone number in a mini program: what its button gives.
func (w *WeChat) PhoneCode(a App, p Person) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	known, person := w.mustApp(a), w.mustPerson(p)
	if known.Kind != MiniProgram {
		panic("wechattest: no mini program: " + a.ID)
	}
	if person.PhoneNumber == "" {
		panic("wechattest: a person without a phone number: " + p.ID)
	}
	value := randomHex(32)
	w.codes[value] = &code{app: known, person: person, forPhone: true, made: w.time()}
	return value
}

// UserToken returns a new access token of the person in the app, as if a code had been exchanged; not for mini programs.
func (w *WeChat) UserToken(a App, p Person) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.mustApp(a)
	if known.Kind == MiniProgram {
		panic("wechattest: a mini program has no user tokens: " + a.ID)
	}
	return w.newUserToken(&code{app: known, person: w.mustPerson(p), scope: known.fullScope()})
}

// newUserToken makes a token for what the code stands for; the caller holds mu.
func (w *WeChat) newUserToken(c *code) string {
	value := "88_" + randomToken(85)
	w.userTokens[value] = &userToken{
		app: c.app, person: c.person, openID: w.openID(c.app, c.person.ID, c.snapshot), scope: c.scope,
		snapshot: c.snapshot, expiresAt: w.time().Add(tokenLife),
	}
	return value
}

// OpenID returns the person's openid in the app.
func (w *WeChat) OpenID(a App, p Person) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.openID(w.mustApp(a), w.mustPerson(p).ID, false)
}

// UnionID returns the person's unionid in the app, "" if the app is bound to no Open Platform account.
func (w *WeChat) UnionID(a App, p Person) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.unionID(w.mustApp(a), w.mustPerson(p).ID, false)
}

// openID returns an openid of 28 characters, as WeChat's are. Made-up people share one openid in each app: WeChat says
// that theirs mean nothing, and developers saw one for several people.
func (w *WeChat) openID(a *app, person string, snapshot bool) string {
	if snapshot {
		person = "a made-up person"
	}
	return "o" + w.derive(20, "openid", a.ID, person)
}

func (w *WeChat) unionID(a *app, person string, snapshot bool) string {
	if a.Group == "" {
		return ""
	}
	if snapshot {
		person = "a made-up person"
	}
	return "o" + w.derive(20, "unionid", a.Group, person)
}

// derive returns 27 characters for every 20 bytes, always the same ones for the same seed and parts.
func (w *WeChat) derive(n int, parts ...string) string {
	mac := hmac.New(sha256.New, w.seed)
	mac.Write([]byte(strings.Join(parts, "\x00")))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:n])
}

// fullScope is everything that the kind of app can ask for.
func (a *app) fullScope() string {
	switch a.Kind {
	case Website:
		return ScopeLogin
	case Mobile, OfficialAccount:
		return ScopeUserInfo
	}
	return ""
}

// scopes are the scopes that a page of the kind of app may ask for.
func (a *app) scopes() []string {
	switch a.Kind {
	case Website:
		return []string{ScopeLogin}
	case OfficialAccount:
		return []string{ScopeBase, ScopeUserInfo}
	}
	return nil
}

// tellsProfile says whether a scope allows the profile, and with it the unionid.
func tellsProfile(scope string) bool {
	return slices.Contains([]string{ScopeLogin, ScopeUserInfo}, scope)
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// randomToken returns n random characters of [A-Za-z0-9_-].
func randomToken(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)[:n]
}
