package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/wechat"
)

// begin runs the command and returns its base URL and what it printed.
func begin(t *testing.T) (base, printed string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"--listen", "127.0.0.1:0"}, w, io.Discard)
		_ = w.Close()
		ended <- err
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("got %v at the end, want none", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("it does not end")
		}
	})
	var text strings.Builder
	for lines := bufio.NewScanner(r); lines.Scan(); {
		text.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "/fake/fail") {
			break
		}
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	m := regexp.MustCompile(`listens on (\S+)`).FindStringSubmatch(text.String())
	if m == nil {
		t.Fatalf("got %q, want the address", text.String())
	}
	return m[1], text.String()
}

// post sends a form and returns status and body.
func post(t *testing.T, target string, form url.Values, header http.Header) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// grantOf asks for a grant as the printed curl lines do.
func grantOf(t *testing.T, base, what, app, person string) grant {
	t.Helper()
	status, body := post(t, base+"/fake/"+what, url.Values{"app": {app}, "person": {person}}, http.Header{})
	var g grant
	if err := json.Unmarshal([]byte(body), &g); err != nil || status != http.StatusOK {
		t.Fatalf("got %d %s, %v, want a grant", status, body, err)
	}
	return g
}

func TestPrintedSettingsAreTheServersSettings(t *testing.T) {
	t.Parallel()
	base, printed := begin(t)
	m := regexp.MustCompile(`latchkey serve --dev --wechat-api=(\S+) --wechat-apps='([^']+)'`).FindStringSubmatch(printed)
	if m == nil {
		t.Fatalf("got %s, want the flags", printed)
	}
	var apps []struct {
		ID     string `json:"app_id"`
		Secret string `json:"secret"`
		Kind   string `json:"kind"`
		Group  string `json:"group"`
	}
	list := json.NewDecoder(strings.NewReader(m[2]))
	list.DisallowUnknownFields()
	if err := list.Decode(&apps); err != nil || m[1] != base {
		t.Fatalf("got %s, %v, want %s and a list of apps", m[1], err, base)
	}
	kinds, groups := make(map[string]bool), make(map[string]bool)
	for _, a := range apps {
		kinds[a.Kind], groups[a.Group] = true, true
		if a.ID == "" || a.Secret == "" {
			t.Errorf("got %+v, want id and secret", a)
		}
	}
	if len(kinds) != 4 || len(groups) != 2 {
		t.Errorf("got kinds %v and groups %v, want all four and two", kinds, groups)
	}
}

func TestSigningInWithWhatItGives(t *testing.T) {
	t.Parallel()
	base, _ := begin(t)
	client, err := wechat.New(wechat.Config{BaseURL: base})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	app := func(id string, kind wechat.Kind) wechat.App {
		return wechat.App{ID: wechat.AppID(id), Secret: wechat.AppSecret("fake-secret-of-" + id), Kind: kind}
	}
	mini := app("wx-mini", wechat.MiniProgram)

	code := grantOf(t, base, "code", "wx-mini", "li-lei")
	session, err := client.ExchangeCode(t.Context(), mini, wechat.Code(code.Code))
	if err != nil || session.UnionID == "" {
		t.Fatalf("got %v, %v, want a session with a unionid", session, err)
	}
	phone := grantOf(t, base, "phone_code", "wx-mini", "li-lei")
	number, err := client.PhoneNumber(t.Context(), mini, session.OpenID, wechat.Code(phone.Phone))
	if err != nil || number.E164() != "+8613800138000" {
		t.Errorf("got %v, %v, want the number", number, err)
	}
	token := grantOf(t, base, "token", "wx-mobile", "han-meimei")
	if err := client.VerifyUserToken(t.Context(), wechat.OpenID(token.OpenID), wechat.UserToken(token.Token)); err != nil {
		t.Errorf("got %v, want a valid token", err)
	}
	second := grantOf(t, base, "code", "wx-mobile-2", "li-lei")
	other, err := client.ExchangeCode(t.Context(), app("wx-mobile-2", wechat.Mobile), wechat.Code(second.Code))
	if err != nil || other.UnionID == session.UnionID {
		t.Errorf("got %v, %v, want another unionid in the second group", other, err)
	}
	website := app("wx-website", wechat.Website)
	pages, err := wechat.New(wechat.Config{BaseURL: base, PageBaseURL: base})
	if err != nil {
		t.Fatal(err)
	}
	page, err := pages.PageURL(website, wechat.Page{RedirectURL: "https://app.example/cb", State: "s1"})
	if err != nil {
		t.Fatal(err)
	}
	back := redirectOf(t, strings.TrimSuffix(page, "#wechat_redirect"), url.Values{"person": {"lucy"}})
	if _, err := client.ExchangeCode(t.Context(), website, wechat.Code(back.Get("code"))); err != nil || back.Get("state") != "s1" {
		t.Errorf("got %v with state %q, want a session", err, back.Get("state"))
	}
}

// redirectOf submits a form and returns the query of where it redirects to.
func redirectOf(t *testing.T, target string, form url.Values) url.Values {
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
	defer resp.Body.Close()
	to, err := resp.Location()
	if err != nil {
		t.Fatalf("got %s, %v, want a redirect", resp.Status, err)
	}
	return to.Query()
}

func TestNamesAreTheSameAtEveryStart(t *testing.T) {
	t.Parallel()
	first, _ := begin(t)
	second, _ := begin(t)
	a, b := grantOf(t, first, "token", "wx-mobile", "lucy"), grantOf(t, second, "token", "wx-mobile", "lucy")
	if a.OpenID != b.OpenID {
		t.Errorf("got openids %s and %s, want the same", a.OpenID, b.OpenID)
	}
	if a.Token == b.Token {
		t.Error("got the same token twice")
	}
}

func TestPage(t *testing.T) {
	t.Parallel()
	base, _ := begin(t)
	tests := []struct {
		name   string
		form   url.Values
		status int
		want   string
	}{
		{"code", url.Values{"action": {"code"}, "app": {"wx-mini"}, "person": {"li-lei"}}, 200, `"code":"0`},
		{"snapshot", url.Values{"action": {"code"}, "app": {"wx-account"}, "person": {"lucy"}, "snapshot": {"1"}}, 200, `"code":"0`},
		{"snapshot elsewhere", url.Values{"action": {"code"}, "app": {"wx-mini"}, "person": {"lucy"}, "snapshot": {"1"}}, 400, "only an official account"},
		{"phone code", url.Values{"action": {"phone_code"}, "app": {"wx-mini"}, "person": {"li-lei"}}, 200, "phone_code"},
		{"phone code elsewhere", url.Values{"action": {"phone_code"}, "app": {"wx-mobile"}, "person": {"li-lei"}}, 400, "only a mini program"},
		{"phone code without a number", url.Values{"action": {"phone_code"}, "app": {"wx-mini"}, "person": {"wei-hua"}}, 400, "no phone number"},
		{"token", url.Values{"action": {"token"}, "app": {"wx-mobile"}, "person": {"li-lei"}}, 200, "access_token"},
		{"token elsewhere", url.Values{"action": {"token"}, "app": {"wx-mini"}, "person": {"li-lei"}}, 400, "no access tokens"},
		{"unknown app", url.Values{"action": {"code"}, "app": {"wx1"}, "person": {"li-lei"}}, 400, "app is missing or unknown"},
		{"unknown person", url.Values{"action": {"code"}, "app": {"wx-mini"}, "person": {"x"}}, 400, "person is missing or unknown"},
		{"unknown action", url.Values{"action": {"x"}}, 400, "no such action"},
		{"fail", url.Values{"action": {"fail"}, "path": {"/sns/auth"}, "mode": {"html"}}, 200, "/sns/auth: html"},
		{"fail all", url.Values{"action": {"fail"}, "mode": {"delay:1s"}}, 200, "all calls: delay:1s"},
		{"fail somehow", url.Values{"action": {"fail"}, "mode": {"nonsense"}}, 400, "no such mode"},
	}
	for _, tt := range tests {
		status, body := post(t, base+"/", tt.form, http.Header{})
		if status != tt.status || !strings.Contains(body, tt.want) || !strings.Contains(body, "韩梅梅") {
			t.Errorf("%s: got %d and a page of %d bytes, want %d and %q in it", tt.name, status, len(body), tt.status, tt.want)
		}
	}
	for _, form := range []url.Values{{"path": {"/sns/auth"}}, {"path": {""}}} {
		if status, body := post(t, base+"/fake/fail", form, http.Header{}); status != 200 || strings.Contains(body, `"`+form.Get("path")+`":`) {
			t.Errorf("got %d %s, want the path healed", status, body)
		}
	}
	if status, _ := post(t, base+"/fake/code", nil, http.Header{}); status != 400 {
		t.Errorf("got %d without app and person, want 400", status)
	}
}

func TestOtherSitesAreKeptOut(t *testing.T) {
	t.Parallel()
	base, _ := begin(t)
	form := url.Values{"mode": {"html"}}
	if status, _ := post(t, base+"/fake/fail", form, http.Header{"Origin": {"https://evil.example"}}); status != http.StatusForbidden {
		t.Errorf("got %d, want 403", status)
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"--listen", "0.0.0.0:0"},
		{"--listen", ":0"},
		{"--listen", "192.0.2.7:0"},
		{"--listen", "example.com:0"},
		{"--listen", "x"},
		{"--listen", "[::]:0"},
		{"--nonsense"},
		{"extra"},
	} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q: got no error", args)
		}
	}
	if err := run(t.Context(), []string{"-h"}, io.Discard, io.Discard); err != nil {
		t.Errorf("got %v for -h, want none", err)
	}
	for _, listen := range []string{"127.0.0.1:0", "[::1]:9090", "localhost:9090", "127.8.8.8:1"} {
		if err := checkLoopback(listen); err != nil {
			t.Errorf("%s: got %v, want none", listen, err)
		}
	}
}
