package wechat_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/internal/wechattest"
	"github.com/ideaegg/latchkey/wechat"
)

func TestVerifyUserToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.AddPerson(wechattest.Person{})
	id := wechat.OpenID(w.OpenID(w.website, w.person))
	token := wechat.UserToken(w.UserToken(w.website, w.person))
	if err := w.client.VerifyUserToken(t.Context(), id, token); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		id    wechat.OpenID
		token wechat.UserToken
		code  int // 0 if WeChat is not asked
	}{
		{"somebody else's openid", wechat.OpenID(w.OpenID(w.website, other)), token, 40003},
		{"the person's openid in another app", wechat.OpenID(w.OpenID(w.mini, w.person)), token, 40003},
		{"somebody else's token", id, wechat.UserToken(w.UserToken(w.website, other)), 40003},
		{"unknown token", id, "nobodys", 40001},
		{"token of the app", id, wechat.UserToken(w.AppToken(w.mini)), 40001},
		{"no token", id, "", 0},
		{"token with a line break", id, "a\nb", 0},
		{"endless token", id, wechat.UserToken(strings.Repeat("x", 2049)), 0},
		{"no openid", "", token, 0},
		{"openid that is none", "o/../x", token, 0},
		{"endless openid", wechat.OpenID(strings.Repeat("o", 129)), token, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := w.client.VerifyUserToken(t.Context(), tt.id, tt.token)
			if e := asError(t, err, wechat.ErrInvalidToken); e.Code != tt.code {
				t.Errorf("got errcode %d, want %d", e.Code, tt.code)
			}
		})
	}
	w.Advance(2*time.Hour + time.Second)
	if e := asError(t, w.client.VerifyUserToken(t.Context(), id, token), wechat.ErrInvalidToken); e.Code != 42001 {
		t.Errorf("got errcode %d of an expired token, want 42001", e.Code)
	}
	// WeChat must have seen the token of the app where a person's belongs; that is what the case is about.
	if v := w.Violations(); len(v) != 1 {
		t.Errorf("got violations %q, want one", v)
	}
	w.ForgetViolations()
}

func TestFindProfile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := wechat.OpenID(w.OpenID(w.website, w.person))
	got, err := w.client.FindProfile(t.Context(), id, wechat.UserToken(w.UserToken(w.website, w.person)))
	if err != nil {
		t.Fatal(err)
	}
	want := wechat.Profile{
		OpenID: id, UnionID: wechat.UnionID(w.UnionID(w.website, w.person)),
		Nickname: "李雷", AvatarURL: "https://thirdwx.qlogo.cn/mmopen/x/132",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("profile differs (-want +got):\n%s", diff)
	}

	_, err = w.client.FindProfile(t.Context(), id, "nobodys")
	wantClass(t, err, wechat.ErrInvalidToken)
}

func TestFindProfileNeedsItsScope(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	account := w.AddApp(wechattest.App{Kind: wechattest.OfficialAccount})
	exchange := func(opts wechattest.CodeOptions) wechat.Session {
		s, err := w.client.ExchangeCode(t.Context(), appOf(account), wechat.Code(w.CodeWith(account, w.person, opts)))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	base := exchange(wechattest.CodeOptions{Scope: wechattest.ScopeBase})
	_, err := w.client.FindProfile(t.Context(), base.OpenID, base.Token)
	if e := asError(t, err, wechat.ErrMisconfigured); e.Code != 48001 {
		t.Errorf("got errcode %d, want 48001", e.Code)
	}
	full := exchange(wechattest.CodeOptions{Scope: wechattest.ScopeUserInfo})
	if _, err := w.client.FindProfile(t.Context(), full.OpenID, full.Token); err != nil {
		t.Errorf("got %v, want the profile", err)
	}
	w.Fail(wechattest.PathProfile, wechattest.SnapshotTrue)
	_, err = w.client.FindProfile(t.Context(), full.OpenID, full.Token)
	wantClass(t, err, wechat.ErrSnapshotUser)
}
