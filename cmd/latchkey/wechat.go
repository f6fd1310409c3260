package main

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/config"
	"github.com/ideaegg/latchkey/internal/wechatapi"
	"github.com/ideaegg/latchkey/wechat"
)

// newWeChat returns how the rules ask WeChat, and the access tokens of the apps. Fetching those is another client's
// work: the first one needs them.
func newWeChat(cfg config.Settings, store auth.AppTokenStore, logger *slog.Logger) (*wechatapi.Adapter, *wechatapi.AppTokens, error) {
	var apps []wechat.App
	for _, app := range cfg.WeChatApps {
		apps = append(apps, wechat.App{
			ID: wechat.AppID(app.AppID), Secret: wechat.AppSecret(app.Secret.Reveal()), Kind: wechat.Kind(app.Kind),
		})
	}
	settings := wechat.Config{BaseURL: cfg.WeChatAPI}
	if cfg.WeChatAPI != config.DefaultWeChatAPI { // a stand-in has the pages beside the API
		settings.PageBaseURL = cfg.WeChatAPI
	}
	fetching, err := wechat.New(settings)
	if err != nil {
		return nil, nil, fmt.Errorf("--wechat-api: %w", err)
	}
	tokens, err := wechatapi.NewAppTokens(wechatapi.AppTokensConfig{Store: store, Client: fetching, Apps: apps, Now: time.Now, Logger: logger})
	if err != nil {
		return nil, nil, err
	}
	settings.AppTokens = tokens
	client, err := wechat.New(settings)
	if err != nil {
		return nil, nil, fmt.Errorf("--wechat-api: %w", err)
	}
	return wechatapi.New(client, apps), tokens, nil
}

func weChatApps(cfg config.Settings) []auth.WeChatApp {
	var apps []auth.WeChatApp
	for _, app := range cfg.WeChatApps {
		apps = append(apps, auth.WeChatApp{ID: app.AppID, Kind: auth.WeChatKind(app.Kind), Group: app.Group})
	}
	return apps
}
