package config_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/internal/config"
)

func TestRedirects(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		value string
		want  []string // nil with a fault
		fault string
	}{
		{value: "https://app.example.com/signed-in", want: []string{"https://app.example.com/signed-in"}},
		{
			value: "https://app.example.com/a?tab=1, http://127.0.0.1:3000/back,http://[::1]/,com.example.app:/signed-in,com.example.app://x",
			want: []string{
				"https://app.example.com/a?tab=1", "http://127.0.0.1:3000/back", "http://[::1]/", "com.example.app:/signed-in", "com.example.app://x",
			},
		},
		{value: "https://app.example.com/a,https://app.example.com/A", want: []string{"https://app.example.com/a", "https://app.example.com/A"}},
		{value: "https://app.example.com/a,https://app.example.com/a", fault: "there twice"},
		{value: "https://app.example.com/a,", fault: "empty address"},
		{value: "http://app.example.com/", fault: "not encrypted"},
		{value: "http://127.0.0.1.example.com/", fault: "not encrypted"},
		{value: "https://app.example.com/#x", fault: "fragment"},
		{value: "https://app.example.com/#", fault: "fragment"},
		{value: "https://user:hunter2@app.example.com/", fault: "user information"},
		{value: "https://app.example.com/?code=1", fault: "the parameter code"},
		{value: "https://app.example.com/?a=1&state=", fault: "the parameter state"},
		{value: "https://app.example.com/?%65rror=1", fault: "the parameter error"},
		{value: "https://app.example.com/?a=%zz", fault: "broken query"},
		{value: "https:///path", fault: "host"},
		{value: "https:app.example.com", fault: "not a full address"},
		{value: "HTTPS://app.example.com/", fault: "not a full address"},
		{value: "//app.example.com/", fault: "not a full address"},
		{value: "/signed-in", fault: "not a full address"},
		{value: `https:\\\\app.example.com`, fault: "not a full address"},
		{value: `https://app.example.com\\@evil.example/`, fault: "not a full address"},
		{value: "https://app.example.com/\r\nSet-Cookie: a=b", fault: "not a full address"},
		{value: "https://app.example.com/a b", fault: "not a full address"},
		{value: "https://用户.example.com/", fault: "not a full address"},
		{value: "javascript:/alert(1)", fault: "scheme"},
		{value: "data:/x", fault: "scheme"},
		{value: "myapp:/signed-in", fault: "scheme"},
		{value: "com.example.app:signed-in", fault: "not a full address"},
		{value: "https://app.example.com/" + strings.Repeat("x", 1024), fault: "more than 1024 bytes"},
	} {
		t.Run(tt.value, func(t *testing.T) {
			t.Parallel()
			got, err := serve(t, nil, "--dev", "--wechat-redirects="+tt.value)
			if tt.fault != "" {
				wantFault(t, err, "wechat-redirects", tt.fault)
				if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") {
					t.Errorf("got error %q, want one line without a password", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.WeChatRedirects); diff != "" {
				t.Errorf("redirects (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzRedirects checks that what is accepted is safe to send a browser to, with parameters at the end.
func FuzzRedirects(f *testing.F) {
	for _, seed := range []string{
		"https://app.example.com/a?b=c", "com.example.app:/signed-in", "http://127.0.0.1:3000", `https://a.example\@b.example`,
		"https://a.example/#x", "https://u@a.example/", "javascript:alert(1)", "a.b:/\r\nX: y", "https://a.example/?code=1", "a.b:/,c.d:/",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		list, err := config.ParseRedirects(raw)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("got error %q, want one line", err)
			}
			return
		}
		for _, redirect := range list {
			u, err := url.Parse(redirect + "?x=1")
			if err != nil || u.Fragment != "" || u.User != nil || !strings.HasSuffix(u.RawQuery, "x=1") || strings.ContainsAny(redirect, "\r\n\\ ,#") {
				t.Errorf("got %q, want it refused", redirect)
			}
			if u.Scheme != "https" && u.Scheme != "http" && !strings.Contains(u.Scheme, ".") {
				t.Errorf("got %q with a scheme that is no app's own", redirect)
			}
		}
	})
}
