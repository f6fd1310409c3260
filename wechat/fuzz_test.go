package wechat_test

import (
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/wechat"
)

// FuzzAnswer gives one answer to all calls. Whatever it is, a call gives something well-formed or a *wechat.Error, and
// the error shows nothing of the answer but numbers.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"openid":"oHAUs6LSuwgHqmlnFrffKXw3QYM0","session_key":"tiihtNczf5v6AKRyjwEUhQ==","unionid":"o6_bmasdasdsad6_2sgVt7hMZOPf"}`,
		`{"access_token":"t","expires_in":7200,"refresh_token":"r","openid":"o1","scope":"snsapi_userinfo","is_snapshotuser":1}`,
		`{"errcode":0,"errmsg":"ok","phone_info":{"phoneNumber":"13800138000","purePhoneNumber":"13800138000","countryCode":86,"watermark":{"timestamp":1637744274,"appid":"wx1"}}}`,
		`{"errcode":40029,"errmsg":"invalid code, rid: 66c69111-4157f271-729ca238"}`,
		`{"errcode":40164,"errmsg":"invalid ip 192.0.2.7 ipv6 ::ffff:192.0.2.7, not in whitelist rid: 66c69111-4157f271-729ca238"}`,
		`{"errcode":0,"errmsg":"ok"}`,
	} {
		f.Add([]byte(seed), 200)
	}
	name := regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	now := time.Unix(1637744274, 0)
	f.Fuzz(func(t *testing.T, body []byte, status int) {
		client, err := wechat.New(wechat.Config{
			Now: func() time.Time { return now },
			Transport: roundTripper(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(string(body)))}, nil
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		check := func(err error) bool {
			if err == nil {
				if status != http.StatusOK {
					t.Fatalf("status %d was taken", status)
				}
				return true
			}
			e, ok := errors.AsType[*wechat.Error](err)
			if !ok || e.Class == nil || e.Call == "" {
				t.Fatalf("got %#v, want a *wechat.Error with class and call", err)
			}
			if (e.RetryAfter > 0) != errors.Is(err, wechat.ErrBusy) {
				t.Fatalf("got %v to wait with %v", e.RetryAfter, err)
			}
			// A text of WeChat's would bring quotes, line breaks or what is not ASCII.
			if text := err.Error(); len(text) > 250 || strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c > '~' || c == '"' }) {
				t.Fatalf("got %q, which is not of this package's own words", text)
			}
			return false
		}
		for _, kind := range []wechat.Kind{wechat.MiniProgram, wechat.OfficialAccount} {
			s, err := client.ExchangeCode(t.Context(), wechat.App{ID: "wx1", Secret: "s", Kind: kind}, "c")
			switch {
			case !check(err):
			case !name.MatchString(string(s.OpenID)), s.UnionID != "" && !name.MatchString(string(s.UnionID)):
				t.Fatalf("got openid %q and unionid %q", s.OpenID, s.UnionID)
			case s.Token != "" && !s.ExpiresAt.After(now):
				t.Fatalf("got a token that ended at %v", s.ExpiresAt)
			}
		}
		_ = check(client.VerifyUserToken(t.Context(), "o1", "t"))
		if p, err := client.FindProfile(t.Context(), "o1", "t"); check(err) && p.OpenID != "o1" {
			t.Fatalf("got the profile of %q, want o1's", p.OpenID)
		}
		token, err := client.FetchAppToken(t.Context(), wechat.App{ID: "wx1", Secret: "s"}, wechat.AppTokenOptions{})
		if check(err) && (token.Token == "" || !token.ExpiresAt.After(now)) {
			t.Fatalf("got an empty token or one that ended at %v", token.ExpiresAt)
		}
		fuzzPhone(t, body, now, check)
	})
}

// fuzzPhone gives the answer to the exchange of a phone code; the app's token before it is right.
func fuzzPhone(t *testing.T, body []byte, now time.Time, check func(error) bool) {
	t.Helper()
	client, err := wechat.New(wechat.Config{
		Now: func() time.Time { return now },
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			answer := string(body)
			if strings.HasSuffix(r.URL.Path, "stable_token") {
				answer = `{"access_token":"t","expires_in":7200}`
			}
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(answer))}, nil
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	p, err := client.PhoneNumber(t.Context(), wechat.App{ID: "wx1", Secret: "s", Kind: wechat.MiniProgram}, "o1", "c")
	if err == nil {
		if !regexp.MustCompile(`^\+[1-9][0-9]{3,18}$`).MatchString(p.E164()) {
			t.Fatalf("got number %q", p.E164())
		}
		return
	}
	_ = check(err)
}
