package wechattest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/ideaegg/latchkey/internal/wechattest"
)

// submit sends a form to a page and returns where it redirects to, "" for nowhere.
func submit(t *testing.T, target string, form url.Values) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.Header.Get("Location")
}

// queryOf returns the query of an address.
func queryOf(t *testing.T, address string) url.Values {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil || address == "" {
		t.Fatalf("got a redirect to %q, %v, want an address", address, err)
	}
	return u.Query()
}

func TestPagesSendBackWithACode(t *testing.T) {
	t.Parallel()
	w, base := start(t)
	p := w.AddPerson(wechattest.Person{ID: "li-lei", Nickname: `<b>李雷</b>`})
	tests := []struct {
		path, scope string
		kind        wechattest.Kind
	}{
		{wechattest.PathQRConnect, "snsapi_login", wechattest.Website},
		{wechattest.PathAuthorize, "snsapi_base", wechattest.OfficialAccount},
		{wechattest.PathAuthorize, "snsapi_userinfo", wechattest.OfficialAccount},
	}
	for _, tt := range tests {
		a := w.AddApp(wechattest.App{Kind: tt.kind, Group: "g", Name: "App & Co"})
		query := url.Values{
			"appid": {a.ID}, "redirect_uri": {"https://app.example/cb?b=2&a=1"}, "response_type": {"code"},
			"scope": {tt.scope}, "state": {"s1"},
		}
		page := send(t, base, tt.path, query, "").body
		if !strings.Contains(page, "Confirm as &lt;b&gt;李雷&lt;/b&gt;") || !strings.Contains(page, "App &amp; Co asks") {
			t.Errorf("%s: got page %s, want a button for the person", tt.path, page)
		}
		to := submit(t, base+tt.path+"?"+query.Encode(), url.Values{"person": {p.ID}})
		back := queryOf(t, to)
		if !strings.HasPrefix(to, "https://app.example/cb?b=2&a=1&code=") || back.Get("state") != "s1" {
			t.Errorf("%s: got %s, want code and state behind the redirect_uri", tt.path, to)
		}
		m := object(t, base, wechattest.PathCode, codeQuery(a, back.Get("code")), "")
		if m["openid"] != w.OpenID(a, p) || m["scope"] != tt.scope || (m["unionid"] != nil) != (tt.scope != "snsapi_base") {
			t.Errorf("%s: got %v, want the person", tt.path, m)
		}
	}
}

func TestRefusingOnAPage(t *testing.T) {
	t.Parallel()
	w, base := start(t)
	for path, kind := range map[string]wechattest.Kind{
		wechattest.PathQRConnect: wechattest.Website, wechattest.PathAuthorize: wechattest.OfficialAccount,
	} {
		a := w.AddApp(wechattest.App{Kind: kind})
		scope := map[string]string{wechattest.PathQRConnect: "snsapi_login", wechattest.PathAuthorize: "snsapi_base"}[path]
		query := url.Values{
			"appid": {a.ID}, "redirect_uri": {"https://app.example/cb"}, "response_type": {"code"}, "scope": {scope}, "state": {"s1"},
		}
		switch to := submit(t, base+path+"?"+query.Encode(), nil); {
		case path == wechattest.PathQRConnect && to != "":
			t.Errorf("%s: got %s, want nothing to happen", path, to)
		case path == wechattest.PathAuthorize && to != "https://app.example/cb?state=s1":
			t.Errorf("%s: got %s, want state alone", path, to)
		}
	}
}

func TestSnapshotPage(t *testing.T) {
	t.Parallel()
	w, base := start(t)
	a := w.AddApp(wechattest.App{Kind: wechattest.OfficialAccount, Group: "g"})
	p := w.AddPerson(wechattest.Person{})
	query := url.Values{
		"appid": {a.ID}, "redirect_uri": {"https://app.example/cb"}, "response_type": {"code"}, "scope": {"snsapi_userinfo"},
	}
	back := queryOf(t, submit(t, base+wechattest.PathAuthorize+"?"+query.Encode(), url.Values{"person": {p.ID}, "snapshot": {"1"}}))
	m := object(t, base, wechattest.PathCode, codeQuery(a, back.Get("code")), "")
	if m["is_snapshotuser"] != 1.0 || m["openid"] == w.OpenID(a, p) || m["unionid"] == w.UnionID(a, p) {
		t.Errorf("got %v, want a made-up person", m)
	}
	user := url.Values{"access_token": {m["access_token"].(string)}, "openid": {m["openid"].(string)}}
	if m := object(t, base, wechattest.PathProfile, user, ""); m["is_snapshotuser"] != 1.0 || m["nickname"] != "微信用户" {
		t.Errorf("got %v, want a made-up profile", m)
	}
}

func TestPagesShowFaults(t *testing.T) {
	t.Parallel()
	w, base := start(t)
	website := w.AddApp(wechattest.App{Kind: wechattest.Website, RedirectHost: "app.example"})
	account := w.AddApp(wechattest.App{Kind: wechattest.OfficialAccount})
	tests := []struct {
		path, name, value, want string
	}{
		{wechattest.PathQRConnect, "appid", "", "10012"},
		{wechattest.PathQRConnect, "appid", "wxnobody", "unknown"},
		{wechattest.PathQRConnect, "appid", account.ID, "10016"},
		{wechattest.PathQRConnect, "redirect_uri", "", "10011"},
		{wechattest.PathQRConnect, "redirect_uri", "javascript:alert(1)", "no absolute URL"},
		{wechattest.PathQRConnect, "redirect_uri", "https://evil.example/", "10003"},
		{wechattest.PathQRConnect, "response_type", "token", "response_type"},
		{wechattest.PathQRConnect, "scope", "", "10010"},
		{wechattest.PathQRConnect, "scope", "snsapi_userinfo", "10005"},
		{wechattest.PathQRConnect, "state", strings.Repeat("s", 129), "128 bytes"},
	}
	for _, tt := range tests {
		query := url.Values{
			"appid": {website.ID}, "redirect_uri": {"https://app.example/cb"}, "response_type": {"code"},
			"scope": {"snsapi_login"}, "state": {"s"},
		}
		query.Set(tt.name, tt.value)
		page := send(t, base, tt.path, query, "")
		if page.status != http.StatusBadRequest || !strings.Contains(page.body, tt.want) {
			t.Errorf("%s=%s: got %d %s, want a fault with %q", tt.name, tt.value, page.status, page.body, tt.want)
		}
		if to := submit(t, base+tt.path+"?"+query.Encode(), url.Values{"person": {"x"}}); to != "" {
			t.Errorf("%s=%s: got a redirect to %s, want none", tt.name, tt.value, to)
		}
	}
}
