package web_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/apitest"
	"github.com/ideaegg/latchkey/internal/wechattest"
)

const appTokenKey = "Latchkey-Server-Key: first-server-key"

// weChat is a stand-in with the service's clock and an app of each of the kinds.
func newWeChat(t *testing.T, clock *apitest.Clock, kinds ...wechattest.Kind) (weChat *wechattest.Server, apps []wechattest.App) {
	t.Helper()
	weChat = wechattest.NewServer(t, wechattest.Config{Now: clock.Now})
	for _, kind := range kinds {
		apps = append(apps, weChat.AddApp(wechattest.App{Kind: kind}))
	}
	return weChat, apps
}

func TestTrustedBackendGetsTheAccessToken(t *testing.T) {
	t.Parallel()
	for _, basePath := range []string{"", "/api/v2"} {
		clock := apitest.NewClock()
		weChat, apps := newWeChat(t, clock, wechattest.Mobile, wechattest.MiniProgram, wechattest.Website)
		apitest.Each(t, apitest.Options{
			ServerKeys: []string{"first-server-key", "second-server-key"}, WeChat: weChat, Clock: clock, BasePath: basePath,
		}, func(t *testing.T, s *apitest.Server) {
			for _, path := range []string{"/wechat/access_token?app_id=" + apps[1].ID, "/wechat/access_token", "/wechat/access_token?app_id="} {
				for _, key := range []string{appTokenKey, "Latchkey-Server-Key: second-server-key"} {
					a := s.Get(path, key)
					want(t, a, http.StatusOK)
					wantMembers(t, a, []string{"access_token", "expires_in", "expires_at"})
					if a.Text("access_token") != weChat.AppToken(apps[1]) {
						t.Error("got another token than WeChat's current one")
					}
					at, err := time.Parse(time.RFC3339, a.Text("expires_at"))
					if left := at.Sub(clock.Now()); err != nil || left < 119*time.Minute || left > 2*time.Hour {
						t.Errorf("got expires_at %q, want about two hours from now", a.Text("expires_at"))
					}
					if seconds, err := a.Object["expires_in"].(json.Number).Int64(); err != nil || seconds != int64(at.Sub(clock.Now()).Round(time.Second)/time.Second) {
						t.Errorf("got expires_in %v, want what is left until %s", a.Object["expires_in"], a.Text("expires_at"))
					}
				}
			}
		})
	}
}

func TestAccessTokenNeedsAServerKey(t *testing.T) {
	t.Parallel()
	clock := apitest.NewClock()
	weChat, _ := newWeChat(t, clock, wechattest.OfficialAccount)
	s := apitest.OnSQLite(t, apitest.Options{Dev: true, ServerKeys: []string{"first-server-key"}, WeChat: weChat, Clock: clock})
	token := signUp(t, s, "john_smith").Token()
	for name, headers := range map[string][]string{
		"nothing":          nil,
		"a wrong key":      {"Latchkey-Server-Key: wrong-server-key"},
		"two keys":         {appTokenKey, appTokenKey},
		"a user's token":   {apitest.Bearing(token)},
		"a key as a token": {"Authorization: Bearer first-server-key"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/wechat/access_token", "/wechat/access_token?app_id=unknown", "/wechat/access_token?Latchkey-Server-Key=first-server-key"} {
				wantUnauthorized(t, s.For(t).Get(path, headers...))
			}
		})
	}
	if n := len(weChat.Requests()); n != 0 {
		t.Errorf("got %d requests to WeChat, want none", n)
	}
}

func TestAccessTokenIsOfAnAppThatHasOne(t *testing.T) {
	t.Parallel()
	clock := apitest.NewClock()
	weChat, apps := newWeChat(t, clock, wechattest.Mobile, wechattest.MiniProgram, wechattest.Website, wechattest.OfficialAccount)
	s := apitest.OnSQLite(t, apitest.Options{ServerKeys: []string{"first-server-key"}, WeChat: weChat, Clock: clock})
	get := func(query string) apitest.Answer { return s.Liberal().Get("/wechat/access_token"+query, appTokenKey) }
	for i, app := range apps {
		a := get("?app_id=" + app.ID)
		if i%2 == 0 {
			wantInvalid(t, a, "app_id unsupported")
			continue
		}
		want(t, a, http.StatusOK)
		if a.Text("access_token") != weChat.AppToken(app) {
			t.Error("got the token of another app")
		}
	}
	wantInvalid(t, get(""), "app_id required")
	wantInvalid(t, get("?app_id="+apps[1].ID+"&app_id="+apps[3].ID), "app_id required")
	for _, id := range []string{"wx_unknown", apps[1].ID + "%00", "%E7%94%A8", apps[1].ID + "%26secret%3Dx"} {
		wantInvalid(t, get("?app_id="+id), "app_id unsupported")
	}
	without := apitest.OnSQLite(t, apitest.Options{ServerKeys: []string{"first-server-key"}})
	wantInvalid(t, without.Get("/wechat/access_token", appTokenKey), "app_id unsupported")
}

func TestTroubleWithTheAccessTokenIsTold(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		mode       wechattest.Mode
		status     int
		code       latchkey.Code
		retryAfter int // 0: none
	}{
		{wechattest.Errcode(45011), http.StatusServiceUnavailable, latchkey.CodeUnavailable, 60},
		{wechattest.Errcode(-1), http.StatusServiceUnavailable, latchkey.CodeUnavailable, 1},
		{wechattest.Errcode(40125), http.StatusBadGateway, latchkey.CodeUpstreamFailed, 0},
		{wechattest.Null, http.StatusBadGateway, latchkey.CodeUpstreamFailed, 0},
		{wechattest.Reset, http.StatusServiceUnavailable, latchkey.CodeUnavailable, 1},
	} {
		t.Run(string(tt.mode), func(t *testing.T) {
			t.Parallel()
			clock := apitest.NewClock()
			weChat, apps := newWeChat(t, clock, wechattest.MiniProgram)
			s := apitest.OnSQLite(t, apitest.Options{ServerKeys: []string{"first-server-key"}, WeChat: weChat, Clock: clock, Faulty: true})
			weChat.Fail(wechattest.PathAppToken, tt.mode)
			a := s.Get("/wechat/access_token", appTokenKey)
			wantProblem(t, a, tt.status, tt.code)
			wantRetry := ""
			if tt.retryAfter > 0 {
				wantRetry = strconv.Itoa(tt.retryAfter)
			}
			if got := a.Header.Get("Retry-After"); got != wantRetry {
				t.Errorf("got Retry-After %q, want %q", got, wantRetry)
			}
			weChat.Heal(wechattest.PathAppToken)
			if a := s.Get("/wechat/access_token", appTokenKey); a.Text("access_token") != weChat.AppToken(apps[0]) {
				t.Errorf("got %d, want the token as soon as WeChat gives it", a.Status)
			}
		})
	}
}
