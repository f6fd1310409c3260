package apitest

import (
	"log/slog"
	"testing"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/wechatapi"
	"github.com/ideaegg/latchkey/wechat"
)

// weChat returns how the service asks WeChat, and which apps it has.
func (o *Options) weChat(t testing.TB, store auth.AppTokenStore, logger *slog.Logger) (auth.WeChat, auth.AppTokens, []auth.WeChatApp) {
	t.Helper()
	cfg := wechat.Config{BaseURL: "http://127.0.0.1:1"} // nobody answers there
	apps := o.WeChatApps
	var known []wechat.App
	if o.WeChat != nil {
		cfg.BaseURL, cfg.PageBaseURL = o.WeChat.URL, o.WeChat.URL
		for _, app := range o.WeChat.Apps() {
			apps = append(apps, auth.WeChatApp{ID: app.ID, Kind: auth.WeChatKind(app.Kind), Group: app.Group})
			known = append(known, wechat.App{ID: wechat.AppID(app.ID), Secret: wechat.AppSecret(app.Secret), Kind: wechat.Kind(app.Kind)})
		}
	}
	client := func(cfg wechat.Config) *wechat.Client {
		c, err := wechat.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.CloseIdleConnections)
		return c
	}
	fetching := cfg
	fetching.Now = o.Clock.Now
	tokens, err := wechatapi.NewAppTokens(wechatapi.AppTokensConfig{
		Store: store, Client: client(fetching), Apps: known, Now: o.Clock.Now, Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tokens.Wait) // before the store is closed
	cfg.AppTokens = tokens
	return wechatapi.New(client(cfg), known), tokens, apps
}
