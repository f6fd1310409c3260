package wechat_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/wechattest"
	"github.com/ideaegg/latchkey/wechat"
)

// TestNonsenseIsNeverTaken lets every call meet every kind of nonsense.
func TestNonsenseIsNeverTaken(t *testing.T) {
	t.Parallel()
	const (
		mini, code, verify = wechattest.PathMiniProgramCode, wechattest.PathCode, wechattest.PathVerify
		profile, appToken  = wechattest.PathProfile, wechattest.PathAppToken
		phone              = wechattest.PathPhone
	)
	all := []string{mini, code, verify, profile, appToken, phone}
	withOpenID := []string{mini, code, profile}
	tests := []struct {
		modes []wechattest.Mode
		paths []string
		class error
	}{
		{
			[]wechattest.Mode{
				wechattest.Empty, wechattest.EmptyObject, wechattest.EmptyArray, wechattest.Null, wechattest.HTML,
				wechattest.Garbage, wechattest.Huge, wechattest.Status500, wechattest.Status502, wechattest.Redirect,
				wechattest.Truncated, wechattest.TwoObjects, wechattest.DoubleMember, wechattest.WrongCase,
				wechattest.StringErrcode,
			},
			all, wechat.ErrBadAnswer,
		},
		{
			[]wechattest.Mode{
				wechattest.NoOpenID, wechattest.EmptyOpenID, wechattest.NumberOpenID, wechattest.ArrayOpenID,
				wechattest.BadOpenID, wechattest.LongOpenID, wechattest.BadUnionID, wechattest.NumberUnionID,
			},
			withOpenID, wechat.ErrBadAnswer,
		},
		{[]wechattest.Mode{wechattest.NoErrcode}, []string{verify}, wechat.ErrBadAnswer},
		{[]wechattest.Mode{wechattest.OtherOpenID}, []string{profile}, wechat.ErrBadAnswer},
		{[]wechattest.Mode{wechattest.NumberToken, wechattest.BadLifetime, wechattest.StringLifetime}, []string{code, appToken}, wechat.ErrBadAnswer},
		{[]wechattest.Mode{wechattest.NoToken}, []string{appToken}, wechat.ErrBadAnswer},
		{
			[]wechattest.Mode{
				wechattest.NoPhoneInfo, wechattest.BadPhone, wechattest.OtherWatermark, wechattest.FutureWatermark,
				wechattest.NoWatermark, wechattest.StringTimestamp,
			},
			[]string{phone},
			wechat.ErrBadAnswer,
		},
		{[]wechattest.Mode{wechattest.OldWatermark}, []string{phone}, wechat.ErrInvalidCode},
		{[]wechattest.Mode{wechattest.Reset, wechattest.ResetBody}, all, wechat.ErrUnavailable},
	}
	var tried []wechattest.Mode
	for _, tt := range tests {
		tried = append(tried, tt.modes...)
		for _, path := range tt.paths {
			t.Run(strings.TrimPrefix(path, "/")+" "+string(tt.modes[0]), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				call := w.calls()[path]
				for _, mode := range tt.modes {
					w.Fail(path, mode)
					if err := call(t); !errors.Is(err, tt.class) {
						t.Errorf("%s: got error %v, want one of class %q", mode, err, tt.class)
					}
				}
				w.Heal(path)
				if err := call(t); err != nil {
					t.Errorf("got %v after WeChat came back to its senses, want success", err)
				}
				if n := len(w.Requests(wechattest.PathElsewhere)); n > 0 {
					t.Errorf("got %d requests where a redirect pointed, want none", n)
				}
			})
		}
	}
	elsewhere := []wechattest.Mode{ // tested by name in other tests
		wechattest.Hang, wechattest.Drip, wechattest.ZeroErrcode, wechattest.NullUnionID, wechattest.NumberCountry, wechattest.SnapshotTrue,
	}
	for _, mode := range wechattest.Modes() {
		if !slices.Contains(tried, mode) && !slices.Contains(elsewhere, mode) {
			t.Errorf("mode %s is not tested", mode)
		}
	}
}

func TestAnswerLate(t *testing.T) {
	t.Parallel()
	for _, mode := range []wechattest.Mode{wechattest.Hang, wechattest.Drip, wechattest.Delay(time.Minute)} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.client = newClient(t, wechat.Config{BaseURL: w.URL, Now: w.Now, Timeout: 60 * time.Millisecond})
			for path, call := range w.calls() {
				w.Fail(path, mode)
				begun := time.Now()
				err := call(t)
				took := time.Since(begun)
				w.Heal(path)
				wantClass(t, err, wechat.ErrUnavailable)
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s: got %v, want context.DeadlineExceeded", path, err)
				}
				if took > 3*time.Second {
					t.Errorf("%s: took %v, want about 60 ms", path, took)
				}
			}
		})
	}
}

func TestCanceledContextEndsACall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Fail("", wechattest.Hang)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(30*time.Millisecond, cancel)
	_, err := w.client.ExchangeCode(ctx, appOf(w.mini), wechat.Code(w.Code(w.mini, w.person)))
	wantClass(t, err, wechat.ErrUnavailable)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestCallersDeadlineCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Fail("", wechattest.Hang)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	begun := time.Now()
	_, err := w.client.ExchangeCode(ctx, appOf(w.mini), wechat.Code(w.Code(w.mini, w.person)))
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("took %v, want about 30 ms", took)
	}
	wantClass(t, err, wechat.ErrUnavailable)
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	nobody := httptest.NewServer(nil)
	nobody.Close()
	tls := httptest.NewUnstartedServer(http.NotFoundHandler())
	tls.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of the client, which is right to go away
	tls.StartTLS()
	t.Cleanup(tls.Close)
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	tests := []struct{ name, url, want string }{
		{"nobody listens", nobody.URL, "connection refused"},
		{"unknown authority", tls.URL, "certificate signed by an unknown authority"},
		{"no TLS", strings.Replace(plain.URL, "http:", "https:", 1), "no TLS there"},
		{"no such host", "https://host.invalid", "host"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, wechat.Config{BaseURL: tt.url, Timeout: 2 * time.Second})
			err := c.VerifyUserToken(t.Context(), "o1", "t1")
			wantClass(t, err, wechat.ErrUnavailable)
			if tt.name != "no such host" && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, want %q in it", err, tt.want)
			}
		})
	}
}
