package main

import (
	"log/slog"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/config"
	"github.com/ideaegg/latchkey/internal/wechatapi"
	"github.com/ideaegg/latchkey/wechat"
)

// newAppTokens returns the access tokens of the apps that can have one.
func newAppTokens(cfg config.Settings, store auth.AppTokenStore, logger *slog.Logger) (*wechatapi.AppTokens, error) {
	client, err := wechat.New(wechat.Config{BaseURL: cfg.WeChatAPI})
	if err != nil {
		return nil, err
	}
	var apps []wechat.App
	for _, a := range cfg.WeChatApps {
		if hasAppToken(a) {
			apps = append(apps, wechat.App{ID: wechat.AppID(a.AppID), Secret: wechat.AppSecret(a.Secret.Reveal()), Kind: wechat.Kind(a.Kind)})
		}
	}
	return wechatapi.NewAppTokens(wechatapi.AppTokensConfig{Store: store, Client: client, Apps: apps, Now: time.Now, Logger: logger})
}

func appTokenApps(cfg config.Settings) []string {
	var ids []string
	for _, a := range cfg.WeChatApps {
		if hasAppToken(a) {
			ids = append(ids, a.AppID)
		}
	}
	return ids
}

// hasAppToken says whether the app can have an access token of its own: mobile apps and websites have people's alone.
func hasAppToken(a config.WeChatApp) bool {
	return a.Kind == config.WeChatMiniProgram || a.Kind == config.WeChatOfficialAccount
}
