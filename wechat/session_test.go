package wechat_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/internal/wechattest"
	"github.com/ideaegg/latchkey/wechat"
)

func TestExchangeCodeOfEveryKind(t *testing.T) {
	t.Parallel()
	tests := []struct {
		kind       wechattest.Kind
		scope      string
		group      string
		hasUnionID bool
		hasToken   bool
	}{
		{kind: wechattest.MiniProgram, group: "g", hasUnionID: true},
		{kind: wechattest.MiniProgram},
		{kind: wechattest.Mobile, group: "g", hasUnionID: true, hasToken: true},
		{kind: wechattest.Mobile, hasToken: true},
		{kind: wechattest.Website, group: "g", hasUnionID: true, hasToken: true},
		{kind: wechattest.OfficialAccount, group: "g", hasUnionID: true, hasToken: true},
		{kind: wechattest.OfficialAccount, scope: wechattest.ScopeBase, group: "g", hasToken: true},
	}
	for _, tt := range tests {
		t.Run(string(tt.kind)+" "+tt.scope+" "+tt.group, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			app := w.AddApp(wechattest.App{Kind: tt.kind, Group: tt.group})
			code := w.CodeWith(app, w.person, wechattest.CodeOptions{Scope: tt.scope})
			before := w.Now()
			got, err := w.client.ExchangeCode(t.Context(), appOf(app), wechat.Code(code))
			if err != nil {
				t.Fatal(err)
			}
			if got.OpenID != wechat.OpenID(w.OpenID(app, w.person)) {
				t.Errorf("got openid %q, want %q", got.OpenID, w.OpenID(app, w.person))
			}
			want := ""
			if tt.hasUnionID {
				want = w.UnionID(app, w.person)
			}
			if string(got.UnionID) != want {
				t.Errorf("got unionid %q, want %q", got.UnionID, want)
			}
			if (got.Token != "") != tt.hasToken {
				t.Fatalf("got a token: %t, want %t", got.Token != "", tt.hasToken)
			}
			if !tt.hasToken {
				return
			}
			if life := got.ExpiresAt.Sub(before); life < 2*time.Hour || life > 2*time.Hour+time.Minute {
				t.Errorf("got a token that lives %v, want 2 h", life)
			}
			if got.Scope == "" || tt.scope != "" && got.Scope != tt.scope {
				t.Errorf("got scope %q, want %q", got.Scope, tt.scope)
			}
			if err := w.client.VerifyUserToken(t.Context(), got.OpenID, got.Token); err != nil {
				t.Errorf("the token does not work: %v", err)
			}
		})
	}
}

func TestUnionIDIsTheSameInAGroupAndNowhereElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.AddApp(wechattest.App{Kind: wechattest.Mobile, Group: "other"})
	exchange := func(app wechattest.App) wechat.Session {
		s, err := w.client.ExchangeCode(t.Context(), appOf(app), wechat.Code(w.Code(app, w.person)))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	mini, website, foreign := exchange(w.mini), exchange(w.website), exchange(other)
	if mini.UnionID == "" || mini.UnionID != website.UnionID {
		t.Errorf("got unionids %q and %q in one group, want the same", mini.UnionID, website.UnionID)
	}
	if mini.UnionID == foreign.UnionID {
		t.Errorf("got unionid %q in two groups", mini.UnionID)
	}
	if mini.OpenID == website.OpenID {
		t.Errorf("got openid %q in two apps", mini.OpenID)
	}
}

func TestExchangeCodeRefusals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		app        wechattest.Kind
		prepare    func(w world, app *wechat.App, a wechattest.App, code *wechat.Code)
		class      error
		code       int
		retryAfter time.Duration
		text       string // in the error
		asked      bool   // whether WeChat got a request
	}{
		{
			name: "unknown code", app: wechattest.Website, class: wechat.ErrInvalidCode, code: 40029, asked: true,
			prepare: func(_ world, _ *wechat.App, _ wechattest.App, code *wechat.Code) { *code = "nobodys" },
		},
		{
			name: "used code", app: wechattest.Mobile, class: wechat.ErrInvalidCode, code: 40163, asked: true,
			prepare: func(w world, app *wechat.App, _ wechattest.App, code *wechat.Code) { w.use(app, *code) },
		},
		{
			name: "used code of a mini program", app: wechattest.MiniProgram, class: wechat.ErrInvalidCode, code: 40163, asked: true,
			prepare: func(w world, app *wechat.App, _ wechattest.App, code *wechat.Code) { w.use(app, *code) },
		},
		{
			name: "expired code", app: wechattest.Website, class: wechat.ErrInvalidCode, code: 42003, asked: true,
			prepare: func(w world, _ *wechat.App, _ wechattest.App, _ *wechat.Code) {
				w.Advance(10*time.Minute + time.Second)
			},
		},
		{
			name: "expired code of a mini program", app: wechattest.MiniProgram, class: wechat.ErrInvalidCode, code: 40029, asked: true,
			prepare: func(w world, _ *wechat.App, _ wechattest.App, _ *wechat.Code) { w.Advance(5*time.Minute + time.Second) },
		},
		{
			name: "code of another app", app: wechattest.Website, class: wechat.ErrInvalidCode, code: 40029, asked: true,
			prepare: func(w world, _ *wechat.App, _ wechattest.App, code *wechat.Code) {
				*code = wechat.Code(w.Code(w.website, w.person))
			},
		},
		{
			name: "phone code", app: wechattest.MiniProgram, class: wechat.ErrInvalidCode, code: 40029, asked: true,
			prepare: func(w world, _ *wechat.App, a wechattest.App, code *wechat.Code) {
				*code = wechat.Code(w.PhoneCode(a, w.person))
			},
		},
		{
			name: "empty code", app: wechattest.Website, class: wechat.ErrInvalidCode,
			prepare: func(_ world, _ *wechat.App, _ wechattest.App, code *wechat.Code) { *code = "" },
		},
		{
			name: "code with a line break", app: wechattest.Website, class: wechat.ErrInvalidCode,
			prepare: func(_ world, _ *wechat.App, _ wechattest.App, code *wechat.Code) { *code = "a\nb" },
		},
		{
			name: "endless code", app: wechattest.Website, class: wechat.ErrInvalidCode,
			prepare: func(_ world, _ *wechat.App, _ wechattest.App, code *wechat.Code) {
				*code = wechat.Code(strings.Repeat("x", 513))
			},
		},
		{
			name: "blocked person", app: wechattest.MiniProgram, class: wechat.ErrBlocked, code: 40226, asked: true,
			prepare: func(w world, _ *wechat.App, _ wechattest.App, _ *wechat.Code) { w.Block(w.person) },
		},
		{
			name: "quota of the person", app: wechattest.MiniProgram, class: wechat.ErrBusy, code: 45011, retryAfter: time.Minute, asked: true,
			prepare: func(w world, _ *wechat.App, _ wechattest.App, _ *wechat.Code) {
				w.SetQuota(wechattest.PathMiniProgramCode, 0)
			},
		},
		{
			name: "quota of the day", app: wechattest.Website, class: wechat.ErrBusy, code: 45009, retryAfter: 10 * time.Minute, asked: true,
			prepare: func(w world, _ *wechat.App, _ wechattest.App, _ *wechat.Code) {
				w.Fail(wechattest.PathCode, wechattest.Errcode(45009))
			},
		},
		{
			name: "busy", app: wechattest.Website, class: wechat.ErrBusy, code: -1, retryAfter: time.Second, asked: true,
			prepare: func(w world, _ *wechat.App, _ wechattest.App, _ *wechat.Code) {
				w.Fail(wechattest.PathCode, wechattest.Errcode(-1))
			},
		},
		{
			name: "old secret", app: wechattest.Website, class: wechat.ErrMisconfigured, code: 40125, asked: true,
			prepare: func(w world, _ *wechat.App, a wechattest.App, _ *wechat.Code) { w.ResetSecret(a) },
		},
		{
			name: "unknown app", app: wechattest.Website, class: wechat.ErrMisconfigured, code: 40013, asked: true,
			prepare: func(_ world, app *wechat.App, _ wechattest.App, _ *wechat.Code) { app.ID = "wxnobody" },
		},
		{
			name: "address not on the list", app: wechattest.MiniProgram, class: wechat.ErrMisconfigured, code: 40164, text: "address 127.0.0.1 is not", asked: true,
			prepare: func(w world, _ *wechat.App, a wechattest.App, _ *wechat.Code) { w.DenyAddress(a) },
		},
		{
			name: "code of a website for a mini program", app: wechattest.MiniProgram, class: wechat.ErrInvalidCode, code: 40029, asked: true,
			prepare: func(_ world, app *wechat.App, _ wechattest.App, _ *wechat.Code) { app.Kind = wechat.Website },
		},
		{
			name: "no secret", app: wechattest.Website, class: wechat.ErrMisconfigured,
			prepare: func(_ world, app *wechat.App, _ wechattest.App, _ *wechat.Code) { app.Secret = "" },
		},
		{
			name: "malformed app id", app: wechattest.Website, class: wechat.ErrMisconfigured,
			prepare: func(_ world, app *wechat.App, _ wechattest.App, _ *wechat.Code) { app.ID = "wx 1" },
		},
		{
			name: "unknown kind", app: wechattest.Website, class: wechat.ErrMisconfigured,
			prepare: func(_ world, app *wechat.App, _ wechattest.App, _ *wechat.Code) { app.Kind = "toaster" },
		},
		{
			name: "unknown errcode", app: wechattest.Website, class: wechat.ErrRefused, code: 99999, asked: true,
			prepare: func(w world, _ *wechat.App, _ wechattest.App, _ *wechat.Code) {
				w.Fail(wechattest.PathCode, wechattest.Errcode(99999))
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a := w.AddApp(wechattest.App{Kind: tt.app})
			app, code := appOf(a), wechat.Code(w.Code(a, w.person))
			tt.prepare(w, &app, a, &code)
			before := len(w.Requests())
			got, err := w.client.ExchangeCode(t.Context(), app, code)
			e := asError(t, err, tt.class)
			if got != (wechat.Session{}) {
				t.Errorf("got session %+v beside the error", got)
			}
			if e.Code != tt.code || e.RetryAfter != tt.retryAfter {
				t.Errorf("got errcode %d, retry after %v, want %d, %v", e.Code, e.RetryAfter, tt.code, tt.retryAfter)
			}
			if tt.code != 0 && (e.RequestID == "" || !strings.Contains(err.Error(), "rid "+e.RequestID)) {
				t.Errorf("got request id %q in %q, want WeChat's", e.RequestID, err)
			}
			if !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %q, want %q in it", err, tt.text)
			}
			if asked := len(w.Requests()) > before; asked != tt.asked {
				t.Errorf("WeChat was asked: %t, want %t", asked, tt.asked)
			}
		})
	}
}

// use uses up a code.
func (w world) use(app *wechat.App, code wechat.Code) {
	if _, err := w.client.ExchangeCode(context.Background(), *app, code); err != nil {
		panic(err)
	}
}

func TestOneCodeGivesOneSession(t *testing.T) {
	t.Parallel()
	for _, kind := range []wechattest.Kind{wechattest.MiniProgram, wechattest.Mobile} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a := w.AddApp(wechattest.App{Kind: kind})
			code := wechat.Code(w.Code(a, w.person))
			errs := make([]error, 20)
			var wg sync.WaitGroup
			for i := range errs {
				wg.Go(func() { _, errs[i] = w.client.ExchangeCode(t.Context(), appOf(a), code) })
			}
			wg.Wait()
			sessions := 0
			for _, err := range errs {
				if err == nil {
					sessions++
					continue
				}
				if e := asError(t, err, wechat.ErrInvalidCode); e.Code != 40163 {
					t.Errorf("got errcode %d, want 40163", e.Code)
				}
			}
			if sessions != 1 {
				t.Errorf("got %d sessions of one code, want 1", sessions)
			}
		})
	}
}

func TestSnapshotUserGetsNoSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	account := w.AddApp(wechattest.App{Kind: wechattest.OfficialAccount, Group: "main"})
	code := w.CodeWith(account, w.person, wechattest.CodeOptions{Snapshot: true})
	got, err := w.client.ExchangeCode(t.Context(), appOf(account), wechat.Code(code))
	wantClass(t, err, wechat.ErrSnapshotUser)
	if got != (wechat.Session{}) {
		t.Errorf("got %+v, want nothing of a made-up person", got)
	}

	w.Fail(wechattest.PathCode, wechattest.SnapshotTrue)
	_, err = w.client.ExchangeCode(t.Context(), appOf(account), wechat.Code(w.Code(account, w.person)))
	wantClass(t, err, wechat.ErrSnapshotUser)
}

func TestCodeCannotAddParameters(t *testing.T) {
	t.Parallel()
	for _, code := range []wechat.Code{
		"x&appid=wxother", "x&js_code=y&code=y", "x#", "x%26appid=wxother", "x+y;secret=z", "x?openid=o", `x","openid":"o`,
	} {
		t.Run(code.Reveal(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for path, app := range map[string]wechattest.App{wechattest.PathMiniProgramCode: w.mini, wechattest.PathCode: w.website} {
				_, err := w.client.ExchangeCode(t.Context(), appOf(app), code)
				wantClass(t, err, wechat.ErrInvalidCode)
				name := map[string]string{wechattest.PathMiniProgramCode: "js_code", wechattest.PathCode: "code"}[path]
				got := w.Requests(path)[0].Query
				want := map[string][]string{
					"appid": {app.ID}, "secret": {app.Secret}, name: {code.Reveal()}, "grant_type": {"authorization_code"},
				}
				if diff := cmp.Diff(want, map[string][]string(got)); diff != "" {
					t.Errorf("query differs (-want +got):\n%s", diff)
				}
			}
			id := wechat.OpenID(w.OpenID(w.mini, w.person))
			_, err := w.client.PhoneNumber(t.Context(), appOf(w.mini), id, code)
			wantClass(t, err, wechat.ErrInvalidCode)
		})
	}
}

func TestSuccessMayCarryErrcodeZero(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Fail("", wechattest.ZeroErrcode)
	for path, call := range w.calls() {
		if err := call(t); err != nil {
			t.Errorf("%s: got %v, want success", path, err)
		}
	}
}

func TestMembersThatSignInDoesNotNeedMayBeMissing(t *testing.T) {
	t.Parallel()
	for _, mode := range []wechattest.Mode{wechattest.NoToken, wechattest.NullUnionID} {
		w := newWorld(t)
		w.Fail("", mode)
		got, err := w.client.ExchangeCode(t.Context(), appOf(w.website), wechat.Code(w.Code(w.website, w.person)))
		if err != nil || got.OpenID == "" {
			t.Errorf("%s: got %+v, %v, want a session", mode, got, err)
		}
	}
}

func TestEveryErrcodeHasItsClass(t *testing.T) {
	t.Parallel()
	const secret, user, app = wechattest.PathCode, wechattest.PathVerify, wechattest.PathPhone
	tests := []struct {
		codes []int
		path  string
		class error
	}{
		{[]int{-1, 45009, 45011}, secret, wechat.ErrBusy},
		{[]int{-1, 45009, 45011}, user, wechat.ErrBusy},
		{[]int{-1, 45009, 45011}, app, wechat.ErrBusy},
		{[]int{40029, 40163, 41008, 42003}, secret, wechat.ErrInvalidCode},
		{[]int{40003, 40029, 40163, 41008, 42003}, app, wechat.ErrInvalidCode},
		{[]int{40226}, secret, wechat.ErrBlocked},
		{[]int{40001, 40003, 40014, 41009, 42001, 42007}, user, wechat.ErrInvalidToken},
		{[]int{40001, 40014, 42001}, app, wechat.ErrStaleAppToken},
		{[]int{40001, 40014, 42001}, app, wechat.ErrMisconfigured},
		{
			[]int{40001, 40013, 40125, 40164, 40243, 41002, 41004, 48001, 48004, 50002, 50004, 50007, 61004},
			secret, wechat.ErrMisconfigured,
		},
		{[]int{48001}, user, wechat.ErrMisconfigured},
		{[]int{40013, 48001}, app, wechat.ErrMisconfigured},
		{[]int{1, -2, 40002, 40003, 43002, 47001, 2147483647}, secret, wechat.ErrRefused},
	}
	w := newWorld(t)
	calls := w.calls()
	for _, tt := range tests {
		for _, code := range tt.codes {
			w.Fail(tt.path, wechattest.Errcode(code))
			err := calls[tt.path](t)
			w.Heal(tt.path)
			if e := asError(t, err, tt.class); e.Code != code || e.Call != tt.path {
				t.Errorf("%s %d: got %d of %s", tt.path, code, e.Code, e.Call)
			}
			if tt.path != app && errors.Is(err, wechat.ErrStaleAppToken) {
				t.Errorf("%s %d: got a stale token, want none", tt.path, code)
			}
		}
	}
}
