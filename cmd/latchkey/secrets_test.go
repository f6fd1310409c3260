package main_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/sqlstore"
	"github.com/ideaegg/latchkey/internal/wechattest"
)

// TestNoSecretAtRestOrInLogs drives every flow through the program and then looks for every secret that occurred in
// what the program wrote: its database, its log at the most talkative level, its output, its metrics.
// Only mail carries secrets, in files that nobody else can read.
func TestNoSecretAtRestOrInLogs(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		f := newFlows(t, cfg)
		f.passwords()
		f.guests()
		f.appTokens()
		f.weChat()
		f.browsers()
		f.resets()
		f.pages()
		f.addresses()
		f.wrongPlaces()
		f.nonsense()
		if cfg.SQLitePath != "" {
			f.lockedDatabase(cfg.SQLitePath)
		}
		f.ends()
		f.learnAll()

		metrics := newAPI(t, "http://"+f.opsAddress).call(t, http.StatusOK, http.MethodGet, "/metrics", nil).body
		f.search("metrics", string(metrics), "latchkey_http_requests_total")
		if cfg.SQLitePath != "" {
			f.search("database file while it is open", fileAndJournals(t, cfg.SQLitePath), "flows-user")
			copied := filepath.Join(t.TempDir(), "copy.db")
			if _, err := openSQLite(t, cfg.SQLitePath).ExecContext(withTimeout(t), "VACUUM INTO $1", copied); err != nil {
				t.Fatal(err)
			}
			f.search("copy of the database", readFile(t, copied), "flows-user")
		} else {
			f.search("dump of the database", dumpPostgres(t, cfg.PostgresURL), "flows-user")
		}
		f.p.terminate()
		if cfg.SQLitePath != "" {
			f.search("database file", fileAndJournals(t, cfg.SQLitePath), "flows-user")
			wantPrivate(t, cfg.SQLitePath)
		} else {
			u, err := url.Parse(cfg.PostgresURL)
			if err != nil {
				t.Fatal(err)
			}
			password, _ := u.User.Password()
			f.secret("database password", password)
		}
		f.search("standard output", f.p.stdout.String(), "latchkey")
		f.search("log", f.p.stderr.String(), `"route":"/sign_up"`, `"level":"INFO"`)
		wantPrivate(t, f.mail)
		for _, message := range f.letters() {
			wantPrivate(t, message)
		}
	})
}

// flows is a walk through all that a client can do, with a list of the secrets that occur on it.
type flows struct {
	t          *testing.T
	p          *program
	mail       string // folder
	opsAddress string
	standIn    *wechattest.Server
	mobile     wechattest.App
	mini       wechattest.App
	website    wechattest.App
	secrets    map[string]string // secret → what it is
	seen       map[string]bool   // letters
}

const (
	serverKey    = "server-key-4kzYw8Qe"
	weChatSecret = "wechat-secret-9sd8fhs"
	redirectTo   = "https://app.example.com/signed-in"
)

func newFlows(t *testing.T, cfg sqlstore.Config) *flows {
	t.Helper()
	f := &flows{t: t, mail: filepath.Join(t.TempDir(), "mail"), secrets: make(map[string]string), seen: make(map[string]bool)}
	f.secret("server key", serverKey)
	f.secret("WeChat app's secret", weChatSecret)
	f.standIn = wechattest.NewServer(t, wechattest.Config{})
	f.mobile = f.standIn.AddApp(wechattest.App{ID: "wx1", Secret: weChatSecret, Kind: wechattest.Mobile, Group: "one"})
	f.mini = f.standIn.AddApp(wechattest.App{ID: "wx2", Kind: wechattest.MiniProgram, Group: "one"})
	f.website = f.standIn.AddApp(wechattest.App{ID: "wx3", Secret: weChatSecret, Kind: wechattest.Website, Group: "one"})
	f.secret("mini program's secret", f.mini.Secret)
	f.p = produce(t, cfg, "--log-level=debug", "--log-format=json", "--mail=dir:"+f.mail, "--server-keys="+serverKey, "--ops-listen=127.0.0.1:0",
		"--wechat-api="+f.standIn.URL, `--wechat-apps=[{"app_id":"wx1","secret":"`+weChatSecret+`","kind":"mobile","group":"one"},
			{"app_id":"wx2","secret":"`+f.mini.Secret+`","kind":"mini_program","group":"one"},
			{"app_id":"wx3","secret":"`+weChatSecret+`","kind":"website","group":"one"}]`, "--wechat-redirects="+redirectTo)
	f.opsAddress = opsAddress(t, f.p)
	return f
}

// secret puts a secret on the list and returns it.
func (f *flows) secret(what, value string) string {
	f.secrets[value] = what
	return value
}

// token puts the token of an answer on the list.
func (f *flows) token(s latchkey.SignedIn) string { return f.secret("session token", s.PrivateToken) }

// password makes one up and puts it on the list.
func (f *flows) password() string {
	return f.secret("password", fmt.Sprintf("Pw%dSecret%d", len(f.secrets), time.Now().UnixNano()))
}

func (f *flows) signUp(name string, header ...string) (token, password string) {
	f.t.Helper()
	password = f.password()
	return f.token(f.p.signedIn(f.t, "/sign_up", members{
		"username": name, "email": name + "@example.com", "password": password, "password_confirmation": password,
	}, header...)), password
}

func (f *flows) passwords() {
	f.t.Helper()
	token, password := f.signUp("flows-user")
	f.token(f.p.signedIn(f.t, "/sign_in", members{"login": "flows-user", "password": password}))
	f.token(f.p.signedIn(f.t, "/sign_in", members{"login": "flows-user@example.com", "password": password}))
	f.p.call(f.t, http.StatusUnauthorized, "POST", "/sign_in", members{"login": "flows-user", "password": f.password()})
	f.p.call(f.t, http.StatusUnauthorized, "POST", "/sign_in", members{"login": "flows-nobody", "password": f.password()})
	f.p.call(f.t, http.StatusUnauthorized, "POST", "/sign_in", members{"login": password, "password": password}) // in the wrong field
	f.p.call(f.t, http.StatusUnprocessableEntity, "POST", "/sign_up", members{
		"username": "flows-user", "email": "flows-user@example.com", "password": password, "password_confirmation": password,
	})
	f.p.call(f.t, http.StatusUnprocessableEntity, "POST", "/sign_up", members{
		"username": "flows-other", "email": "flows-other@example.com", "password": f.password(), "password_confirmation": f.password(),
	})
	f.p.user(f.t, token)
	f.p.call(f.t, http.StatusOK, "GET", "/user", nil, "PRIVATE-TOKEN: "+token)
	f.p.call(f.t, http.StatusOK, "PUT", "/user", members{"fullname": "Flows User"}, bearer(token))
	f.p.call(f.t, http.StatusOK, "GET", "/user/sessions", nil, bearer(token))

	changed := f.password()
	change := members{"current_password": f.password(), "password": changed, "password_confirmation": changed}
	f.p.call(f.t, http.StatusUnprocessableEntity, "PUT", "/user/password", change, bearer(token))
	change["current_password"] = password
	token = f.token(decode[latchkey.SignedIn](f.t, f.p.call(f.t, http.StatusOK, "PUT", "/user/password", change, bearer(token))))
	f.letter("flows-user@example.com", noticeOfPassword)
	f.p.call(f.t, http.StatusNoContent, "DELETE", "/user/sessions", nil, bearer(token))
	f.p.call(f.t, http.StatusNoContent, "POST", "/sign_out", nil, bearer(token))
	f.p.call(f.t, http.StatusUnauthorized, "GET", "/user", nil, bearer(token))
}

func (f *flows) guests() {
	f.t.Helper()
	token := f.token(f.p.guest(f.t))
	f.p.user(f.t, token)
	upgraded, _ := f.signUp("flows-upgraded", bearer(token))
	f.p.call(f.t, http.StatusUnauthorized, "GET", "/user", nil, bearer(token))
	f.p.user(f.t, upgraded)
}

func (f *flows) weChat() {
	f.t.Helper()
	const path = "/sign_in_with/wechat"
	key := "Latchkey-Server-Key: " + serverKey
	believed := func(uid string) members { return members{"app_id": f.mobile.ID, "uid": uid} }
	for range 2 { // a new user, and a known one
		f.token(f.p.signedIn(f.t, path, believed("flows-openid"), key))
	}
	f.p.call(f.t, http.StatusUnauthorized, "POST", path, believed("flows-openid"))
	f.p.call(f.t, http.StatusUnauthorized, "POST", path, believed("flows-openid"), "Latchkey-Server-Key: "+f.secret("wrong server key", serverKey+"x"))
	guest := f.token(f.p.guest(f.t))
	f.p.call(f.t, http.StatusConflict, "POST", path, believed("flows-openid"), key, bearer(guest))
	f.token(f.p.signedIn(f.t, path, believed("flows-openid-2"), key, bearer(guest)))

	person := f.standIn.AddPerson(wechattest.Person{PhoneNumber: "13800138000"})
	code := func() string { return f.secret("WeChat code", f.standIn.Code(f.mini, person)) }
	phoneCode := f.secret("WeChat phone code", f.standIn.PhoneCode(f.mini, person))
	used := members{"app_id": f.mini.ID, "code": code(), "phone_code": phoneCode}
	token := f.token(f.p.signedIn(f.t, path, used))
	f.p.call(f.t, http.StatusUnauthorized, "POST", path, used)
	access := f.secret("WeChat access token", f.standIn.UserToken(f.mobile, person))
	f.token(f.p.signedIn(f.t, path, members{"app_id": f.mobile.ID, "uid": f.standIn.OpenID(f.mobile, person), "access_token": access}))
	f.p.call(f.t, http.StatusUnauthorized, "POST", path, members{"app_id": f.mobile.ID, "uid": "flows-other", "access_token": access})
	f.p.call(f.t, http.StatusOK, "POST", "/user/identities/wechat", members{"app_id": f.mini.ID, "code": code()}, bearer(token))
	for _, mode := range []wechattest.Mode{wechattest.Errcode(40125), wechattest.HTML, wechattest.ResetBody, wechattest.Status500} {
		f.standIn.FailTimes("", mode, 1)
		if a, err := f.p.do("POST", path, members{"app_id": f.mini.ID, "code": code()}); err != nil || a.status < 500 {
			f.t.Errorf("%s: got %d and %v, want 502 or 503", mode, a.status, err)
		}
	}
	f.secret("app's access token", f.standIn.AppToken(f.mini))
}

// appTokens gets the access token of an app, which is in the database from then on, sealed. Nobody has needed it before.
func (f *flows) appTokens() {
	f.t.Helper()
	const path = "/wechat/access_token"
	key := "Latchkey-Server-Key: " + serverKey
	for _, mode := range []wechattest.Mode{wechattest.Errcode(40125), wechattest.Empty, wechattest.TwoObjects} {
		f.standIn.Fail(wechattest.PathAppToken, mode)
		f.p.call(f.t, http.StatusBadGateway, "GET", path, nil, key)
	}
	f.standIn.Heal(wechattest.PathAppToken)
	f.p.call(f.t, http.StatusUnauthorized, "GET", path, nil, "Latchkey-Server-Key: "+f.secret("wrong server key", serverKey+"y"))
	token := decode[latchkey.AppToken](f.t, f.p.call(f.t, http.StatusOK, "GET", path, nil, key))
	if token.AccessToken != f.standIn.AppToken(f.mini) {
		f.t.Error("got another access token than WeChat's current one")
	}
	f.secret("access token of a WeChat app", token.AccessToken)
	f.p.call(f.t, http.StatusNotFound, "GET", path+"/"+token.AccessToken, nil, key)
	f.p.call(f.t, http.StatusUnprocessableEntity, "GET", path+"?app_id="+token.AccessToken, nil, key)
}

// browsers goes over WeChat's page twice. The second time the app does not exchange what it gets, so that this is still
// in the database.
func (f *flows) browsers() {
	f.t.Helper()
	person := f.standIn.AddPerson(wechattest.Person{})
	location := func(a answer) *url.URL {
		u, err := url.Parse(a.header.Get("Location"))
		if err != nil {
			f.t.Fatal(err)
		}
		return u
	}
	arrive := func() string {
		away := f.p.call(f.t, http.StatusFound, "GET", "/sign_in_with/wechat/authorize?state="+f.secret("state of the app", rand.Text())+"&redirect_to="+redirectTo, nil)
		state := f.secret("state of a browser", location(away).Query().Get("state"))
		cookie, _, _ := strings.Cut(away.header.Get("Set-Cookie"), ";")
		callback := "/sign_in_with/wechat/callback?state=" + state + "&code="
		f.p.call(f.t, http.StatusUnprocessableEntity, "GET", callback+f.secret("unused WeChat code", f.standIn.Code(f.website, person)), nil)
		back := f.p.call(f.t, http.StatusFound, "GET", callback+f.secret("WeChat code", f.standIn.Code(f.website, person)), nil, "Cookie: "+cookie)
		return f.secret("code of a browser", location(back).Query().Get("code"))
	}
	const path = "/sign_in_with/code"
	code := arrive()
	f.token(f.p.signedIn(f.t, path, members{"code": code}))
	f.p.call(f.t, http.StatusUnauthorized, "POST", path, members{"code": code})
	f.p.call(f.t, http.StatusNotFound, "GET", path+"/"+code, nil)
	arrive()
}

func (f *flows) resets() {
	f.t.Helper()
	const address = "flows-forgot@example.com"
	f.signUp("flows-forgot")
	ask := func() (token, code string) {
		f.p.call(f.t, http.StatusNoContent, "POST", "/reset_password", members{"email": address})
		token, code = f.letter(address, pageReset)
		if token == "" || code == "" {
			f.t.Fatal("got a letter without a link or without a code, want both")
		}
		return token, code
	}
	put := func(want int, proof members, password string) {
		f.t.Helper()
		proof["password"], proof["password_confirmation"] = password, password
		f.p.call(f.t, want, "PUT", "/reset_password", proof)
	}

	token, code := ask()
	put(http.StatusUnprocessableEntity, members{"token": token}, "short")
	put(http.StatusUnprocessableEntity, members{"token": f.secret("wrong reset token", token[1:]+"x")}, f.password())
	f.p.call(f.t, http.StatusNotFound, "GET", "/account/reset_password/"+token, nil)
	password := f.password()
	put(http.StatusNoContent, members{"token": token}, password)
	put(http.StatusUnprocessableEntity, members{"token": token}, f.password()) // used up
	put(http.StatusUnprocessableEntity, members{"email": address, "code": code}, f.password())
	f.token(f.p.signedIn(f.t, "/sign_in", members{"login": address, "password": password}))
	f.letter(address, noticeOfPassword)

	_, code = ask()
	put(http.StatusUnprocessableEntity, members{"email": address, "code": "x" + code}, f.password())
	password = f.password()
	put(http.StatusNoContent, members{"email": address, "code": code}, password)
	f.token(f.p.signedIn(f.t, "/sign_in", members{"login": address, "password": password}))
	f.letter(address, noticeOfPassword)

	f.p.call(f.t, http.StatusNoContent, "POST", "/reset_password", members{"email": "flows-nobody@example.com"})
	ask() // and nothing comes of it
}

// pages goes the ways of resets and addresses that lead over the hosted pages.
func (f *flows) pages() {
	f.t.Helper()
	const address = "flows-reader@example.com"
	f.signUp("flows-reader")
	token, _ := f.letter(address, pageVerify)
	f.p.call(f.t, http.StatusOK, "GET", pageVerify+token, nil)
	f.post(http.StatusSeeOther, "/account/verify_email", url.Values{"token": {token}})
	f.post(http.StatusUnprocessableEntity, "/account/verify_email", url.Values{"token": {token}}) // used up
	f.p.call(f.t, http.StatusUnprocessableEntity, "GET", pageVerify+token, nil)

	choose := func(want int, path string, form url.Values, password string) {
		f.t.Helper()
		form.Set("password", password)
		form.Set("password_confirmation", password)
		f.post(want, path, form)
	}
	f.post(http.StatusSeeOther, "/account/forgot_password", url.Values{"email": {address}})
	token, _ = f.letter(address, pageReset)
	f.p.call(f.t, http.StatusOK, "GET", pageReset+token, nil)
	f.p.call(f.t, http.StatusForbidden, "POST", pageReset+token, nil, "Sec-Fetch-Site: cross-site")
	f.p.call(f.t, http.StatusUnsupportedMediaType, "POST", pageReset+token, members{"token": token, "password": f.password()})
	choose(http.StatusUnprocessableEntity, "/account/reset_password", url.Values{"token": {token}}, "short")
	choose(http.StatusSeeOther, "/account/reset_password", url.Values{"token": {token}}, f.password())
	choose(http.StatusUnprocessableEntity, "/account/reset_password", url.Values{"token": {token}}, f.password()) // used up

	f.post(http.StatusSeeOther, "/account/forgot_password", url.Values{"email": {address}})
	_, code := f.letter(address, pageReset)
	choose(http.StatusUnprocessableEntity, "/account/enter_code", url.Values{"email": {address}, "code": {"x" + code}}, f.password())
	password := f.password()
	choose(http.StatusSeeOther, "/account/enter_code", url.Values{"email": {address}, "code": {code}}, password)
	f.token(f.p.signedIn(f.t, "/sign_in", members{"login": address, "password": password}))
}

// addresses verifies one, changes it, and takes the change back.
func (f *flows) addresses() {
	f.t.Helper()
	const address, other = "flows-mover@example.com", "flows-moved@example.com"
	session, password := f.signUp("flows-mover")
	f.letter(address, pageVerify) // and nothing comes of it
	verify := func(want int, code string) {
		f.t.Helper()
		f.p.call(f.t, want, "POST", "/user/email/verify", members{"code": code}, bearer(session))
	}
	f.p.call(f.t, http.StatusAccepted, "POST", "/user/email/verification", nil, bearer(session))
	_, code := f.letter(address, pageVerify)
	verify(http.StatusUnprocessableEntity, "x"+code)
	verify(http.StatusOK, code)
	verify(http.StatusUnprocessableEntity, code) // used up

	change := members{"email": other, "current_password": f.password()}
	f.p.call(f.t, http.StatusUnprocessableEntity, "PUT", "/user/email", change, bearer(session))
	change["current_password"] = password
	f.p.call(f.t, http.StatusAccepted, "PUT", "/user/email", change, bearer(session))
	_, code = f.letter(other, pageVerify)
	verify(http.StatusOK, code)
	undo, _ := f.letter(address, pageUndo)
	f.p.call(f.t, http.StatusOK, "GET", pageUndo+undo, nil)
	f.post(http.StatusSeeOther, "/account/undo_email_change", url.Values{"token": {undo}})
	f.p.call(f.t, http.StatusUnauthorized, "GET", "/user", nil, bearer(session))
	f.token(f.p.signedIn(f.t, "/sign_in", members{"login": address, "password": password}))
}

// post sends a form as a page does.
func (f *flows) post(want int, path string, form url.Values) {
	f.t.Helper()
	got, err := f.p.send("POST", path, strings.NewReader(form.Encode()), "Content-Type: application/x-www-form-urlencoded", "Sec-Fetch-Site: same-origin")
	if err != nil {
		f.t.Fatal(err)
	}
	if got.status != want {
		f.t.Fatalf("POST %s: got %d %s, want %d", path, got.status, got.body, want)
	}
}

// wrongPlaces sends genuine secrets where they do not belong.
func (f *flows) wrongPlaces() {
	f.t.Helper()
	token := f.token(f.p.guest(f.t))
	other := f.token(f.p.guest(f.t))
	password := f.password()
	q := url.QueryEscape(token)
	for _, get := range []string{
		"/user?private_token=" + q, "/user?access_token=" + q, "/user/" + q, "/" + q, "/user/sessions/" + q, "/account/reset_password/" + q, "/account/" + q, pageReset + q,
		"/sign_in_with/" + q, "/healthz?" + q, "/readyz?" + q, "/openapi.json?" + q, "/docs/" + q, "/sign_up?password=" + password, "/dev/mail?" + q,
	} {
		if got := f.p.status(f.t, "GET", get); got == http.StatusOK && strings.HasPrefix(get, "/user") {
			f.t.Errorf("got 200 for a token in the path or query, want it not looked at")
		}
		f.p.status(f.t, "DELETE", get, bearer(other))
	}
	f.p.call(f.t, http.StatusUnprocessableEntity, "POST", "/sign_in_with/"+q, members{"uid": "flows"})
	f.p.call(f.t, http.StatusUnauthorized, "GET", "/user", nil, "Cookie: private_token="+token)
	f.p.call(f.t, http.StatusUnauthorized, "GET", "/user", nil, "Referer: https://example.com/?"+q)
	f.p.call(f.t, http.StatusUnauthorized, "GET", "/user", nil, "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("flows-user:"+password)))
	f.p.call(f.t, http.StatusUnauthorized, "GET", "/user", nil, bearer(token[:len(token)-1]))
	f.p.call(f.t, http.StatusUnauthorized, "GET", "/user", nil, bearer(f.secret("no token", token[:len(token)-6]+"000000")))
	f.p.call(f.t, http.StatusBadRequest, "GET", "/user", nil, bearer(token), "PRIVATE-TOKEN: "+other)
	f.p.call(f.t, http.StatusUnauthorized, "POST", "/sign_in", members{"login": token, "password": token, "private_token": token})
	f.p.call(f.t, http.StatusNoContent, "POST", "/reset_password", members{"email": password + "@example.com"}) // is an address, which is queued
	delete(f.secrets, password)                                                                                 // and so no secret any more
}

// nonsense sends what no client should.
func (f *flows) nonsense() {
	f.t.Helper()
	token, password := f.token(f.p.guest(f.t)), f.password()
	for _, body := range []string{
		`{"login":"flows-user","password":"` + password + `"`,
		`{"login":"flows-user","password":"` + password + `"} x`,
		`{"Login":"flows-user","password":"` + password + `"}`,
		`{"password":"` + password + `","password":"` + password + `"}`,
		`{"login":["` + password + `"],"password":{"x":"` + password + `"}}`,
		`"` + password + `"`,
		`{"login":"` + password + strings.Repeat("x", 17<<10) + `"}`,
		"login=flows-user&password=" + password,
	} {
		for _, contentType := range []string{"application/json", "application/x-www-form-urlencoded"} {
			got, err := f.p.send("POST", "/sign_in", strings.NewReader(body), "Content-Type: "+contentType)
			if err != nil || got.status < 400 || got.status >= 500 {
				f.t.Errorf("got %d (%v) for nonsense, want a 4xx", got.status, err)
			}
			if bytes.Contains(got.body, []byte(password)) {
				f.t.Errorf("got %s, want the password not repeated", got.body)
			}
		}
	}
	for _, raw := range []string{
		"GET /user HTTP/1.1\r\nHost: x\r\nPRIVATE-TOKEN: " + token + "\r\n" + token + "\r\n\r\n",
		"GET /user?" + token + " HTTP/9.9\r\n\r\n",
		"POST /sign_in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n" + password,
		token + " " + password + "\r\n\r\n",
		"\x16\x03\x01" + token + password,
	} {
		f.sendRaw(raw)
	}
}

// sendRaw writes bytes to the public listener and lets the connection go.
func (f *flows) sendRaw(raw string) {
	f.t.Helper()
	conn, err := new(net.Dialer).DialContext(withTimeout(f.t), "tcp", strings.TrimPrefix(f.p.base, "http://"))
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(raw)); err != nil {
		f.t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	_, _ = conn.Read(make([]byte, 4096)) // an answer or none
}

// lockedDatabase makes requests with secrets fail inside.
func (f *flows) lockedDatabase(path string) {
	f.t.Helper()
	token := f.token(f.p.guest(f.t))
	unlock := lockSQLite(f.t, path)
	password := f.password()
	f.p.call(f.t, http.StatusServiceUnavailable, "POST", "/sign_up", members{
		"username": "flows-late", "email": "flows-late@example.com", "password": password, "password_confirmation": password,
	})
	f.p.call(f.t, http.StatusServiceUnavailable, "POST", "/sign_out", nil, bearer(token))
	unlock()
	if !strings.Contains(f.p.stderr.String(), "request failed") {
		f.t.Error("got no line about a failed request in the log, want one: the test shows nothing")
	}
}

// ends deletes a user.
func (f *flows) ends() {
	f.t.Helper()
	token, password := f.signUp("flows-leaver")
	f.p.call(f.t, http.StatusUnprocessableEntity, "DELETE", "/user", members{"current_password": f.password()}, bearer(token))
	f.p.call(f.t, http.StatusNoContent, "DELETE", "/user", members{"current_password": password}, bearer(token))
	token = f.token(f.p.guest(f.t))
	f.p.call(f.t, http.StatusNoContent, "DELETE", "/user", nil, bearer(token))
}

// letters returns the paths of all messages that were sent.
func (f *flows) letters() []string {
	paths, err := filepath.Glob(filepath.Join(f.mail, "*.eml"))
	if err != nil {
		f.t.Fatal(err)
	}
	slices.Sort(paths)
	return paths
}

// What a letter is known by: the page that its link leads to, or its subject.
const (
	pageReset        = "/account/reset_password?token="
	pageVerify       = "/account/verify_email?token="
	pageUndo         = "/account/undo_email_change?token="
	noticeOfPassword = "password was changed"
)

var (
	mailedLink   = regexp.MustCompile(regexp.QuoteMeta(publicURL) + `/account/\w+\?token=(\w+)`)
	mailedDigits = regexp.MustCompile(`\b\d{8}\b`)
)

// letter waits for the next message to the address that has the words in it, and returns the token of its link and its
// code, if there are any.
func (f *flows) letter(address, words string) (token, code string) {
	f.t.Helper()
	eventually(f.t, "a letter to "+address+" with "+words, func() bool {
		for _, path := range f.letters() {
			if text := readFile(f.t, path); !f.seen[path] && strings.Contains(text, "<"+address+">") && strings.Contains(text, words) {
				f.seen[path] = true
				token, code = f.learn(text)
				return true
			}
		}
		return false
	})
	return token, code
}

// learn puts token and code of a letter on the list.
func (f *flows) learn(text string) (token, code string) {
	if link := mailedLink.FindStringSubmatch(text); link != nil {
		token = f.secret("mailed token", link[1])
		if code = mailedDigits.FindString(text); code != "" {
			f.secret("mailed code", code)
		}
	}
	return token, code
}

// learnAll does that for letters that no flow waited for, too: every sign-up sends one.
func (f *flows) learnAll() {
	f.t.Helper()
	learned := 0
	for _, path := range f.letters() {
		if token, _ := f.learn(readFile(f.t, path)); token != "" {
			learned++
		}
	}
	if learned < 12 {
		f.t.Errorf("got %d letters with a link, want one of each sign-up, reset and change of address", learned)
	}
}

// search looks for every secret in what the program wrote, and for some words that must be in it if it is the right
// thing to look at.
func (f *flows) search(where, text string, words ...string) {
	f.t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			f.t.Errorf("got no %q in the %s, want it: this is not what the search is for", word, where)
		}
	}
	for secret, what := range f.secrets {
		for _, form := range []string{secret, hex.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte(secret)), url.QueryEscape(secret)} {
			for at := 0; ; at++ {
				next := strings.Index(text[at:], form)
				if next < 0 {
					break
				}
				if at += next; !partOfNumber(text, at, at+len(form)) {
					f.t.Errorf("got a %s in the %s, want none: …%q…", what, where, text[max(0, at-60):min(len(text), at+len(form)+20)])
					break
				}
			}
		}
	}
}

// partOfNumber says whether text[from:to] are digits in a longer number, such as a time in a log: any code of eight
// digits stands in one of those now and then.
func partOfNumber(text string, from, to int) bool {
	digit := func(i int) bool { return i >= 0 && i < len(text) && '0' <= text[i] && text[i] <= '9' }
	for i := from; i < to; i++ {
		if !digit(i) {
			return false
		}
	}
	return digit(from-1) || digit(to)
}

// fileAndJournals returns a database file and what SQLite keeps beside it.
func fileAndJournals(t *testing.T, path string) string {
	t.Helper()
	paths, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, p := range paths {
		all.WriteString(readFile(t, p))
	}
	return all.String()
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// wantPrivate checks that nobody but its owner can open a file or folder.
func wantPrivate(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	want := os.FileMode(0o600)
	if info.IsDir() {
		want = 0o700
	}
	if got := info.Mode().Perm(); got != want {
		t.Errorf("got mode %v of %s, want %v", got, filepath.Base(path), want)
	}
}

// dumpPostgres returns every row of every table as text.
func dumpPostgres(t *testing.T, database string) string {
	t.Helper()
	ctx := withTimeout(t)
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	var dump bytes.Buffer
	for _, table := range tables {
		if _, err := conn.PgConn().CopyTo(ctx, &dump, "COPY "+pgx.Identifier{table}.Sanitize()+" TO STDOUT"); err != nil {
			t.Fatal(err)
		}
	}
	return dump.String()
}

// lockSQLite keeps the program from writing until unlock is called.
func lockSQLite(t *testing.T, path string) (unlock func()) {
	t.Helper()
	db := openSQLite(t, path)
	if _, err := db.ExecContext(withTimeout(t), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if _, err := db.ExecContext(context.Background(), "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
	}
}

// opsAddress returns where the program serves its metrics, which it says in its log.
func opsAddress(t *testing.T, p *program) (address string) {
	t.Helper()
	said := regexp.MustCompile(`"msg":"metrics and profiles are served","address":"([^"]+)"`)
	eventually(t, "the address of the metrics in the log", func() bool {
		m := said.FindStringSubmatch(p.stderr.String())
		if m != nil {
			address = m[1]
		}
		return m != nil
	})
	return address
}
