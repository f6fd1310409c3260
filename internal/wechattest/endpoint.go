package wechattest

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// endpoint is a call of the API. serve is called with mu held.
type endpoint struct {
	method      string
	contentType string
	separator   string // before "rid: …" in an errmsg
	serve       func(query url.Values, body []byte, from string) (any, *refusal)
}

// refusal is an error of WeChat's.
type refusal struct {
	code int
	text string
}

// errorAnswer is what an error looks like, with status 200.
type errorAnswer struct {
	Code    int    `json:"errcode"`
	Message string `json:"errmsg"`
}

// ServeHTTP answers the API and the pages.
func (w *WeChat) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case PathQRConnect, PathAuthorize:
		w.servePage(rw, r)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, 1<<20))
	if err != nil {
		http.Error(rw, "the body cannot be read", http.StatusRequestEntityTooLarge)
		return
	}
	mode := w.record(r, body)
	switch {
	case !mode.changesAnswer():
		w.misbehave(rw, r, mode)
	case w.delay(r, mode):
		w.answer(rw, r, body, mode)
	}
}

// answer answers as WeChat would, and then changes the answer as mode says.
func (w *WeChat) answer(rw http.ResponseWriter, r *http.Request, body []byte, mode Mode) {
	e, ok := w.routes[r.URL.Path]
	if !ok {
		e = endpoint{r.Method, "application/json; encoding=utf-8", " ", nil}
	}
	from, _, _ := net.SplitHostPort(r.RemoteAddr)
	w.mu.Lock()
	now := w.time()
	var good any
	var bad *refusal
	switch {
	case !ok:
		bad = &refusal{40066, "invalid url"}
	case r.Method != e.method && e.method == http.MethodPost:
		bad = &refusal{43002, "require POST method"}
	case r.Method != e.method:
		bad = &refusal{43001, "require GET method"}
	default:
		good, bad = e.serve(r.URL.Query(), body, from)
	}
	w.mu.Unlock()

	if bad != nil {
		good = errorAnswer{bad.code, bad.text + e.separator + requestID(now)}
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(good); err != nil {
		panic(err) // our own structs
	}
	text := mode.change(bytes.TrimSpace(out.Bytes()))
	if mode == ResetBody {
		reset(rw, fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text[:len(text)/2]))
		return
	}
	rw.Header().Set("Content-Type", e.contentType)
	_, _ = rw.Write(text)
}

// requestID returns what WeChat puts at the end of every errmsg.
func requestID(now time.Time) string {
	return fmt.Sprintf("rid: %08x-%s-%s", uint32(now.Unix()%(1<<32)), randomHex(4), randomHex(4))
}

// credentials judges appid and secret of a request from an address.
func (w *WeChat) credentials(id, secret, from string) (*app, *refusal) {
	switch a := w.findApp(id); {
	case id == "":
		return nil, &refusal{41002, "appid missing"}
	case secret == "":
		return nil, &refusal{41004, "appsecret missing"}
	case a == nil:
		return nil, &refusal{40013, "invalid appid"}
	case subtle.ConstantTimeCompare([]byte(a.Secret), []byte(secret)) != 1:
		return nil, &refusal{40125, "invalid appsecret"}
	case a.deniedIP:
		return nil, &refusal{40164, fmt.Sprintf("invalid ip %s ipv6 ::ffff:%s, not in whitelist", from, from)}
	default:
		return a, nil
	}
}

// consume uses up a code of the app. A refused code stays as it was.
func (w *WeChat) consume(value string, a *app, forPhone bool) (*code, *refusal) {
	c, ok := w.codes[value]
	switch {
	case !ok, c.app != a, c.forPhone != forPhone:
		return nil, &refusal{40029, "invalid code"}
	case c.used && forPhone: // 获取手机号 has no other code
		return nil, &refusal{40029, "invalid code"}
	case c.used:
		return nil, &refusal{40163, "code been used"}
	case c.expired(w.time()) && (forPhone || a.Kind == MiniProgram): // their pages have no other code
		return nil, &refusal{40029, "invalid code"}
	case c.expired(w.time()):
		return nil, &refusal{42003, "code expired"}
	case a.Kind == MiniProgram && !forPhone && !w.takes(PathMiniProgramCode, c.person.ID):
		return nil, overQuota()
	case a.Kind == MiniProgram && !forPhone && c.person.Blocked:
		return nil, &refusal{40226, "code blocked"}
	}
	c.used = true
	return c, nil
}

func overQuota() *refusal {
	return &refusal{45011, "api minute-quota reach limit, must slower, retry next minute"}
}

type miniProgramAnswer struct {
	SessionKey string `json:"session_key"`
	OpenID     string `json:"openid"`
	UnionID    string `json:"unionid,omitempty"`
}

// exchangeMiniProgramCode: 小程序登录凭证校验.
func (w *WeChat) exchangeMiniProgramCode(query url.Values, _ []byte, from string) (any, *refusal) {
	a, bad := w.exchange(query, "js_code", from)
	if bad != nil {
		return nil, bad
	}
	if a.Kind != MiniProgram {
		return nil, &refusal{40029, "invalid code"}
	}
	c, bad := w.consume(query.Get("js_code"), a, false)
	if bad != nil {
		return nil, bad
	}
	return miniProgramAnswer{
		SessionKey: randomToken(22) + "==",
		OpenID:     w.openID(a, c.person.ID, false),
		UnionID:    w.unionID(a, c.person.ID, false),
	}, nil
}

type codeAnswer struct {
	AccessToken    string `json:"access_token"`
	ExpiresIn      int    `json:"expires_in"`
	RefreshToken   string `json:"refresh_token"`
	OpenID         string `json:"openid"`
	Scope          string `json:"scope"`
	IsSnapshotUser int    `json:"is_snapshotuser,omitempty"`
	UnionID        string `json:"unionid,omitempty"`
}

// exchangeCode: 换取用户授权凭证, 授权后接口调用.
func (w *WeChat) exchangeCode(query url.Values, _ []byte, from string) (any, *refusal) {
	a, bad := w.exchange(query, "code", from)
	switch {
	case bad != nil:
		return nil, bad
	case a.Kind == MiniProgram:
		return nil, &refusal{40029, "invalid code"}
	case !w.takes(PathCode, a.ID):
		return nil, overQuota()
	}
	c, bad := w.consume(query.Get("code"), a, false)
	if bad != nil {
		return nil, bad
	}
	out := codeAnswer{
		AccessToken: w.newUserToken(c), ExpiresIn: int(tokenLife / time.Second), RefreshToken: "88_" + randomToken(85),
		OpenID: w.openID(a, c.person.ID, c.snapshot), Scope: c.scope,
	}
	if tellsProfile(c.scope) {
		out.UnionID = w.unionID(a, c.person.ID, c.snapshot)
	}
	if c.snapshot {
		out.IsSnapshotUser = 1
	}
	return out, nil
}

// exchange judges what both exchanges of codes have in common.
func (w *WeChat) exchange(query url.Values, codeName, from string) (*app, *refusal) {
	a, bad := w.credentials(query.Get("appid"), query.Get("secret"), from)
	switch {
	case bad != nil:
		return nil, bad
	case query.Get("grant_type") != "authorization_code":
		return nil, &refusal{40002, "invalid grant_type"}
	case query.Get(codeName) == "":
		return nil, &refusal{41008, "missing code"}
	}
	return a, nil
}

// findUserToken judges access_token and openid of a request.
func (w *WeChat) findUserToken(query url.Values) (*userToken, *refusal) {
	token, ok := w.userTokens[query.Get("access_token")]
	switch {
	case query.Get("access_token") == "":
		return nil, &refusal{41001, "access_token missing"}
	case query.Get("openid") == "":
		return nil, &refusal{41009, "missing openid"}
	case !ok:
		return nil, &refusal{40001, "invalid credential, access_token is invalid or not latest"}
	case w.time().After(token.expiresAt):
		return nil, &refusal{42001, "access_token expired"}
	case token.openID != query.Get("openid"):
		return nil, &refusal{40003, "invalid openid"}
	}
	return token, nil
}

// verify: 检验用户授权凭证.
func (w *WeChat) verify(query url.Values, _ []byte, _ string) (any, *refusal) {
	if _, bad := w.findUserToken(query); bad != nil {
		return nil, bad
	}
	return errorAnswer{0, "ok"}, nil
}

type profileAnswer struct {
	OpenID         string   `json:"openid"`
	Nickname       string   `json:"nickname"`
	Sex            int      `json:"sex"` // no longer told since 2021-10-20, like the next four
	Language       string   `json:"language"`
	City           string   `json:"city"`
	Province       string   `json:"province"`
	Country        string   `json:"country"`
	AvatarURL      string   `json:"headimgurl"`
	Privilege      []string `json:"privilege"`
	UnionID        string   `json:"unionid,omitempty"`
	IsSnapshotUser int      `json:"is_snapshotuser,omitempty"`
}

// profile: 获取授权用户信息.
func (w *WeChat) profile(query url.Values, _ []byte, _ string) (any, *refusal) {
	token, bad := w.findUserToken(query)
	switch {
	case bad != nil:
		return nil, bad
	case !tellsProfile(token.scope):
		return nil, &refusal{48001, "api unauthorized"}
	case !w.takes(PathProfile, token.app.ID):
		return nil, overQuota()
	case token.snapshot:
		return profileAnswer{OpenID: token.openID, Nickname: "微信用户", Privilege: []string{}, IsSnapshotUser: 1}, nil
	}
	return profileAnswer{
		OpenID: token.openID, Nickname: token.person.Nickname, AvatarURL: token.person.AvatarURL, Privilege: []string{},
		UnionID: w.unionID(token.app, token.person.ID, false),
	}, nil
}

// readBody reads the JSON object of a POST.
func readBody(body []byte, into any) *refusal {
	switch {
	case len(strings.TrimSpace(string(body))) == 0:
		return &refusal{44002, "empty post data"}
	case json.Unmarshal(body, into) != nil:
		return &refusal{47001, "data format error"}
	}
	return nil
}
