package apitest

import (
	"log/slog"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/wechatapi"
	"github.com/ideaegg/latchkey/internal/wechattest"
	"github.com/ideaegg/latchkey/wechat"
)

// weChat is what the service has to do with WeChat; nothing at all in the zero value.
type weChat struct {
	ids          []string
	appTokenApps []string
	appTokens    *wechatapi.AppTokens
}

func newWeChat(t testing.TB, standIn *wechattest.Server, store auth.AppTokenStore, now func() time.Time, logger *slog.Logger) weChat {
	t.Helper()
	if standIn == nil {
		return weChat{}
	}
	var w weChat
	var apps []wechat.App
	for _, a := range standIn.Apps() {
		w.ids = append(w.ids, a.ID)
		if a.Kind == wechattest.MiniProgram || a.Kind == wechattest.OfficialAccount {
			w.appTokenApps = append(w.appTokenApps, a.ID)
			apps = append(apps, wechat.App{ID: wechat.AppID(a.ID), Secret: wechat.AppSecret(a.Secret), Kind: wechat.Kind(a.Kind)})
		}
	}
	client, err := wechat.New(wechat.Config{BaseURL: standIn.URL, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	w.appTokens, err = wechatapi.NewAppTokens(wechatapi.AppTokensConfig{Store: store, Client: client, Apps: apps, Now: now, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	return w
}
