package wechat_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/wechattest"
	"github.com/ideaegg/latchkey/wechat"
)

func TestNewNamesTheFaultyField(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		cfg  wechat.Config
		want string // in the error; "" means none
	}{
		{name: "zero value", cfg: wechat.Config{}},
		{name: "loopback without TLS", cfg: wechat.Config{BaseURL: "http://127.0.0.1:9090", PageBaseURL: "http://[::1]:9090"}},
		{name: "localhost with a path and a slash", cfg: wechat.Config{BaseURL: "http://localhost:9090/wx/"}},
		{name: "no URL", cfg: wechat.Config{BaseURL: "https://user:hunter2@[::1"}, want: "Config.BaseURL is no URL"},
		{name: "no host", cfg: wechat.Config{BaseURL: "https:///sns"}, want: "Config.BaseURL is no https URL"},
		{name: "another scheme", cfg: wechat.Config{PageBaseURL: "ftp://open.weixin.qq.com"}, want: "Config.PageBaseURL is no https URL"},
		{name: "secrets in the clear", cfg: wechat.Config{BaseURL: "http://api.weixin.qq.com"}, want: "Config.BaseURL is http"},
		{name: "a name that looks like loopback", cfg: wechat.Config{BaseURL: "http://127.0.0.1.example.com"}, want: "Config.BaseURL is http"},
		{name: "user and password", cfg: wechat.Config{BaseURL: "https://user:hunter2@api.weixin.qq.com"}, want: "Config.BaseURL has more"},
		{name: "query", cfg: wechat.Config{BaseURL: "https://api.weixin.qq.com?a=hunter2"}, want: "Config.BaseURL has more"},
		{name: "fragment", cfg: wechat.Config{PageBaseURL: "https://open.weixin.qq.com#x"}, want: "Config.PageBaseURL has more"},
		{name: "negative timeout", cfg: wechat.Config{Timeout: -time.Second}, want: "Config.Timeout"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := wechat.New(tt.cfg)
			switch {
			case tt.want == "" && (err != nil || c == nil):
				t.Fatalf("got %v, %v, want a client", c, err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Fatalf("got %v, want %q in the error", err, tt.want)
			case err != nil && strings.Contains(err.Error(), "hunter2"):
				t.Errorf("got %v, which shows a password", err)
			}
		})
	}
}

func TestBaseURLMayHaveAPath(t *testing.T) {
	t.Parallel()
	s := wechattest.New(wechattest.Config{})
	server := httptest.NewServer(http.StripPrefix("/a b/wx", s))
	t.Cleanup(server.Close)
	app, person := s.AddApp(wechattest.App{Kind: wechattest.MiniProgram}), s.AddPerson(wechattest.Person{})
	c := newClient(t, wechat.Config{BaseURL: server.URL + "/a%20b/wx/"})
	if _, err := c.ExchangeCode(t.Context(), appOf(app), wechat.Code(s.Code(app, person))); err != nil {
		t.Errorf("got %v, want a session", err)
	}
}

// world is a stand-in with a mini program, a website and a person, and a client for it.
type world struct {
	*wechattest.Server
	client        *wechat.Client
	mini, website wechattest.App
	person        wechattest.Person
}

func newWorld(t *testing.T) world {
	t.Helper()
	w := world{Server: wechattest.NewServer(t, wechattest.Config{})}
	w.mini = w.AddApp(wechattest.App{Kind: wechattest.MiniProgram, Group: "main"})
	w.website = w.AddApp(wechattest.App{Kind: wechattest.Website, Group: "main"})
	w.person = w.AddPerson(wechattest.Person{
		Nickname: "李雷", AvatarURL: "https://thirdwx.qlogo.cn/mmopen/x/132", PhoneNumber: "13800138000",
	})
	w.client = newClient(t, wechat.Config{BaseURL: w.URL, PageBaseURL: w.URL, Now: w.Now})
	return w
}

func newClient(t *testing.T, cfg wechat.Config) *wechat.Client {
	t.Helper()
	c, err := wechat.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func appOf(a wechattest.App) wechat.App {
	return wechat.App{ID: wechat.AppID(a.ID), Secret: wechat.AppSecret(a.Secret), Kind: wechat.Kind(a.Kind)}
}

// calls are all calls of a client, with arguments that are right if WeChat is.
func (w world) calls() map[string]func(t *testing.T) error {
	openID := wechat.OpenID(w.OpenID(w.website, w.person))
	return map[string]func(t *testing.T) error{
		wechattest.PathMiniProgramCode: func(t *testing.T) error {
			_, err := w.client.ExchangeCode(t.Context(), appOf(w.mini), wechat.Code(w.Code(w.mini, w.person)))
			return err
		},
		wechattest.PathCode: func(t *testing.T) error {
			_, err := w.client.ExchangeCode(t.Context(), appOf(w.website), wechat.Code(w.Code(w.website, w.person)))
			return err
		},
		wechattest.PathVerify: func(t *testing.T) error {
			return w.client.VerifyUserToken(t.Context(), openID, wechat.UserToken(w.UserToken(w.website, w.person)))
		},
		wechattest.PathProfile: func(t *testing.T) error {
			_, err := w.client.FindProfile(t.Context(), openID, wechat.UserToken(w.UserToken(w.website, w.person)))
			return err
		},
		wechattest.PathAppToken: func(t *testing.T) error {
			_, err := w.client.FetchAppToken(t.Context(), appOf(w.mini), wechat.AppTokenOptions{})
			return err
		},
		wechattest.PathPhone: func(t *testing.T) error {
			id := wechat.OpenID(w.OpenID(w.mini, w.person))
			_, err := w.client.PhoneNumber(t.Context(), appOf(w.mini), id, wechat.Code(w.PhoneCode(w.mini, w.person)))
			return err
		},
	}
}

// wantClass fails the test unless err is a *wechat.Error of the class.
func wantClass(t *testing.T, err, class error) {
	t.Helper()
	_ = asError(t, err, class)
}

// asError is wantClass and returns the error.
func asError(t *testing.T, err, class error) *wechat.Error {
	t.Helper()
	e, ok := errors.AsType[*wechat.Error](err)
	if !ok || !errors.Is(err, class) {
		t.Fatalf("got error %v, want one of class %q", err, class)
	}
	return e
}
