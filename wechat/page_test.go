package wechat_test

import (
	"strings"
	"testing"

	"github.com/ideaegg/latchkey/wechat"
)

func TestPageURL(t *testing.T) {
	t.Parallel()
	website := wechat.App{ID: "wx1", Kind: wechat.Website}
	account := wechat.App{ID: "wx2", Kind: wechat.OfficialAccount}
	const callback = "https://app.example/cb?next=/a b&x=1"
	const escaped = "https%3A%2F%2Fapp.example%2Fcb%3Fnext%3D%2Fa+b%26x%3D1"
	tests := []struct {
		name string
		app  wechat.App
		page wechat.Page
		want string // the address, or what is in the error if it does not begin with https
	}{
		{
			"website", website,
			wechat.Page{RedirectURL: callback, State: "abc123"},
			"https://open.weixin.qq.com/connect/qrconnect?appid=wx1&redirect_uri=" + escaped + "&response_type=code&scope=snsapi_login&state=abc123#wechat_redirect",
		},
		{
			"official account", account,
			wechat.Page{RedirectURL: callback, State: "abc123"},
			"https://open.weixin.qq.com/connect/oauth2/authorize?appid=wx2&redirect_uri=" + escaped + "&response_type=code&scope=snsapi_base&state=abc123#wechat_redirect",
		},
		{
			"official account that asks for the profile", account,
			wechat.Page{RedirectURL: "https://app.example", State: strings.Repeat("a", 128), Scope: wechat.ScopeUserInfo},
			"https://open.weixin.qq.com/connect/oauth2/authorize?appid=wx2&redirect_uri=https%3A%2F%2Fapp.example&response_type=code&scope=snsapi_userinfo&state=" + strings.Repeat("a", 128) + "#wechat_redirect",
		},
		{
			"loopback without TLS", website,
			wechat.Page{RedirectURL: "http://127.0.0.1:8080/cb", State: "s"},
			"https://open.weixin.qq.com/connect/qrconnect?appid=wx1&redirect_uri=http%3A%2F%2F127.0.0.1%3A8080%2Fcb&response_type=code&scope=snsapi_login&state=s#wechat_redirect",
		},
		{"mini program", wechat.App{ID: "wx3", Kind: wechat.MiniProgram}, wechat.Page{RedirectURL: callback, State: "s"}, "no page"},
		{"mobile app", wechat.App{ID: "wx3", Kind: wechat.Mobile}, wechat.Page{RedirectURL: callback, State: "s"}, "no page"},
		{"scope of another kind", website, wechat.Page{RedirectURL: callback, State: "s", Scope: wechat.ScopeBase}, "Page.Scope"},
		{"scope of another kind", account, wechat.Page{RedirectURL: callback, State: "s", Scope: wechat.ScopeLogin}, "Page.Scope"},
		{"malformed app", wechat.App{ID: "wx&1", Kind: wechat.Website}, wechat.Page{RedirectURL: callback, State: "s"}, "App.ID"},
		{"no state", website, wechat.Page{RedirectURL: callback}, "Page.State"},
		{"state that adds a parameter", website, wechat.Page{RedirectURL: callback, State: "a&scope=b"}, "Page.State"},
		{"endless state", website, wechat.Page{RedirectURL: callback, State: strings.Repeat("a", 129)}, "Page.State"},
		{"no redirect", website, wechat.Page{State: "s"}, "Page.RedirectURL"},
		{"relative redirect", website, wechat.Page{RedirectURL: "/cb", State: "s"}, "Page.RedirectURL"},
		{"redirect with a fragment", website, wechat.Page{RedirectURL: "https://app.example/#x", State: "s"}, "Page.RedirectURL"},
		{"redirect with a user", website, wechat.Page{RedirectURL: "https://u@app.example/", State: "s"}, "Page.RedirectURL"},
		{"redirect that shows the code", website, wechat.Page{RedirectURL: "http://app.example/cb", State: "s"}, "Page.RedirectURL is not https"},
		{"redirect to a script", website, wechat.Page{RedirectURL: "javascript://x/%0aalert(1)", State: "s"}, "Page.RedirectURL is not https"},
	}
	c := newClient(t, wechat.Config{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := c.PageURL(tt.app, tt.page)
			switch wantURL := strings.HasPrefix(tt.want, "https:"); {
			case wantURL && (err != nil || got != tt.want):
				t.Errorf("got  %s, %v\nwant %s", got, err, tt.want)
			case !wantURL && (err == nil || !strings.Contains(err.Error(), tt.want) || got != ""):
				t.Errorf("got %q, %v, want an error with %q", got, err, tt.want)
			}
		})
	}
}
