package wechat_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/wechattest"
	"github.com/ideaegg/latchkey/wechat"
)

// printed returns v in every way in which something is printed by accident.
func printed(t *testing.T, v any) []string {
	t.Helper()
	var all []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%U"} {
		all = append(all, fmt.Sprintf(verb, v), fmt.Sprintf(verb, []any{v}))
	}
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("message", "value", v, slog.Group("group", "value", []any{v}))
	}
	all = append(all, log.String())
	if b, err := json.Marshal(v); err == nil {
		all = append(all, string(b))
	}
	if b, err := xml.Marshal(v); err == nil {
		all = append(all, string(b))
	}
	return all
}

func TestSecretsPrintAsRedacted(t *testing.T) {
	t.Parallel()
	const hidden = "hunter2hunter2"
	forms := []string{hidden, fmt.Sprintf("%x", hidden), fmt.Sprintf("%X", hidden), "104 117 110", "U+0068"}
	values := map[string]any{
		"app":          wechat.App{ID: "wx1", Secret: hidden, Kind: wechat.Website},
		"app pointer":  &wechat.App{Secret: hidden},
		"app secret":   wechat.AppSecret(hidden),
		"code":         wechat.Code(hidden),
		"user token":   wechat.UserToken(hidden),
		"app token":    wechat.AppAccessToken(hidden),
		"fetched":      wechat.AppToken{Token: hidden},
		"session":      wechat.Session{OpenID: "o1", Token: hidden},
		"session list": []*wechat.Session{{OpenID: "o1", Token: hidden}},
		"in a map":     map[string]wechat.AppSecret{"wx1": hidden},
	}
	for name, v := range values {
		for _, text := range printed(t, v) {
			for _, form := range forms {
				if strings.Contains(text, form) {
					t.Errorf("%s: a secret shows in %s", name, text)
				}
			}
		}
	}
	for _, v := range []interface{ Reveal() string }{
		wechat.AppSecret(hidden), wechat.Code(hidden), wechat.UserToken(hidden), wechat.AppAccessToken(hidden),
	} {
		if v.Reveal() != hidden {
			t.Errorf("%T: got %q, want the secret", v, v.Reveal())
		}
		if s, ok := v.(fmt.Stringer); !ok || s.String() != "[redacted]" {
			t.Errorf("%T: want [redacted]", v)
		}
	}
}

func TestClientShowsNoSecretWhenPrinted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.calls()[wechattest.PathPhone](t); err != nil { // keeps the app's token
		t.Fatal(err)
	}
	for _, text := range printed(t, w.client) {
		if strings.Contains(text, w.mini.Secret) || strings.Contains(text, w.AppToken(w.mini)) {
			t.Errorf("a secret shows in %s", text)
		}
	}
}

// roundTripper is a transport as somebody might write it.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// everything returns all that a request has.
func everything(r *http.Request) string {
	body := ""
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			panic(err)
		}
		body = string(b)
	}
	return r.Method + " " + r.URL.String() + " " + fmt.Sprint(r.URL.Query()) + " " + body
}

// chatty is an error that says everything and claims to be many things.
type chatty struct {
	text    string
	timeout bool
}

func (e chatty) Error() string { return e.text }
func (e chatty) Timeout() bool { return e.timeout }

// TestErrorsNeverHoldTheRequest gives transports and answers all that a request has, and looks for it in the errors.
func TestErrorsNeverHoldTheRequest(t *testing.T) {
	t.Parallel()
	respond := func(status int, body string) (*http.Response, error) {
		return &http.Response{StatusCode: status, Status: body, Header: http.Header{"X": {body}}, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
	quoted := func(s string) string {
		b, err := json.Marshal(s)
		if err != nil {
			panic(err)
		}
		return string(b)
	}
	transports := map[string]roundTripper{
		"plain error": func(r *http.Request) (*http.Response, error) { return nil, errors.New(everything(r)) },
		"url.Error": func(r *http.Request) (*http.Response, error) {
			return nil, &url.Error{Op: "Get", URL: everything(r), Err: errors.New(everything(r))}
		},
		"wrapped EOF": func(r *http.Request) (*http.Response, error) { return nil, fmt.Errorf("%s: %w", everything(r), io.EOF) },
		"timeout":     func(r *http.Request) (*http.Response, error) { return nil, chatty{everything(r), true} },
		"deadline": func(r *http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("%s: %w", everything(r), os.ErrDeadlineExceeded)
		},
		"no timeout": func(r *http.Request) (*http.Response, error) { return nil, chatty{everything(r), false} },
		"OpError": func(r *http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: everything(r), Net: "tcp", Err: chatty{everything(r), false}}
		},
		"DNSError": func(r *http.Request) (*http.Response, error) {
			return nil, &net.DNSError{Err: everything(r), Name: everything(r), Server: everything(r)}
		},
		"joined": func(r *http.Request) (*http.Response, error) {
			return nil, errors.Join(errors.New(everything(r)), io.ErrUnexpectedEOF)
		},
		"neither": func(*http.Request) (*http.Response, error) { return nil, nil },
		"no body": func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: 200}, nil },
		"broken body": func(r *http.Request) (*http.Response, error) {
			resp, err := respond(200, "")
			resp.Body = io.NopCloser(io.MultiReader(strings.NewReader("{"), failingReader{everything(r)}))
			return resp, err
		},
		"status": func(r *http.Request) (*http.Response, error) { return respond(500, everything(r)) },
		"redirect": func(r *http.Request) (*http.Response, error) {
			resp, err := respond(302, "")
			resp.Header.Set("Location", "https://elsewhere.example/?"+r.URL.RawQuery)
			return resp, err
		},
		"echo":         func(r *http.Request) (*http.Response, error) { return respond(200, everything(r)) },
		"echo in JSON": func(r *http.Request) (*http.Response, error) { return respond(200, quoted(everything(r))) },
		"errmsg": func(r *http.Request) (*http.Response, error) {
			return respond(200, `{"errcode":40029,"errmsg":`+quoted("invalid code "+everything(r)+" rid: "+everything(r))+`}`)
		},
		"address": func(r *http.Request) (*http.Response, error) {
			return respond(200, `{"errcode":40164,"errmsg":`+quoted("invalid ip "+everything(r)+", not in whitelist")+`}`)
		},
		"every member": func(r *http.Request) (*http.Response, error) {
			all := quoted(everything(r))
			return respond(200, `{"openid":`+all+`,"unionid":`+all+`,"access_token":`+all+`,"errcode":0,"expires_in":`+all+
				`,"phone_info":{"watermark":{"appid":`+all+`,"timestamp":`+all+`},"purePhoneNumber":`+all+`}}`)
		},
		"names of members": func(r *http.Request) (*http.Response, error) {
			return respond(200, `{`+quoted(everything(r))+`:1,`+quoted(everything(r))+`:2}`)
		},
		"errcode": func(r *http.Request) (*http.Response, error) {
			return respond(200, `{"errcode":`+quoted(everything(r))+`}`)
		},
	}
	const secret, code, user, state = "SECRET7f3a+/&=", "CODE9c1d&x=%", "USERTOKEN5e2b/+", "APPTOKEN4d8e"
	app := wechat.App{ID: "wx1", Secret: secret, Kind: wechat.Website}
	mini := wechat.App{ID: "wx2", Secret: secret, Kind: wechat.MiniProgram}
	fragments := []string{"7f3a", "9c1d", "5e2b", "4d8e", "grant_type", "access_token=", "elsewhere"}
	for name, transport := range transports {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, wechat.Config{Transport: transport})
			// The app's token comes right, so that the phone code is sent.
			afterToken := newClient(t, wechat.Config{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.URL.Path == wechattest.PathAppToken {
					return respond(200, `{"access_token":"`+state+`","expires_in":7200}`)
				}
				return transport(r)
			})})
			calls := map[string]func() error{
				"website":      func() error { _, err := c.ExchangeCode(t.Context(), app, code); return err },
				"mini program": func() error { _, err := c.ExchangeCode(t.Context(), mini, code); return err },
				"verify":       func() error { return c.VerifyUserToken(t.Context(), "o1", user) },
				"profile":      func() error { _, err := c.FindProfile(t.Context(), "o1", user); return err },
				"app token":    func() error { _, err := c.FetchAppToken(t.Context(), mini, wechat.AppTokenOptions{}); return err },
				"phone":        func() error { _, err := afterToken.PhoneNumber(t.Context(), mini, "o1", code); return err },
			}
			for call, do := range calls {
				err := do()
				if call == "verify" && name == "every member" { // errcode 0 is all that it looks at
					continue
				}
				e, ok := errors.AsType[*wechat.Error](err)
				if !ok {
					t.Errorf("%s: got %v, want a *wechat.Error", call, err)
					continue
				}
				for _, text := range append(printed(t, e), chain(err)...) {
					for _, fragment := range fragments {
						if strings.Contains(text, fragment) {
							t.Errorf("%s: %q shows in %s", call, fragment, text)
						}
					}
				}
			}
		})
	}
}

type failingReader struct{ text string }

func (r failingReader) Read([]byte) (int, error) { return 0, errors.New(r.text) }

// chain returns the texts of an error and of everything below it.
func chain(err error) []string {
	if err == nil {
		return nil
	}
	all := []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)}
	switch e := err.(type) { //nolint:errorlint // this walks the chain itself
	case interface{ Unwrap() error }:
		all = append(all, chain(e.Unwrap())...)
	case interface{ Unwrap() []error }:
		for _, below := range e.Unwrap() {
			all = append(all, chain(below)...)
		}
	}
	return all
}

// TestSecretsGoOnlyWhereTheyBelong relies on the stand-in, which looks for secrets everywhere and fails the test.
func TestSecretsGoOnlyWhereTheyBelong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for path, call := range w.calls() {
		if err := call(t); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, r := range w.Requests() {
		if ua := r.Header.Get("Referer") + r.Header.Get("Cookie") + r.Header.Get("Authorization"); ua != "" {
			t.Errorf("%s: got a header that nobody needs: %q", r.Path, ua)
		}
	}
	w.Advance(time.Second)
	if len(w.Requests()) < 6 {
		t.Errorf("got %d requests, want one of each", len(w.Requests()))
	}
}
