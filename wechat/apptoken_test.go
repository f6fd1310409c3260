package wechat_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/internal/wechattest"
	"github.com/ideaegg/latchkey/wechat"
)

func TestFetchAppToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fetch := func(opts wechat.AppTokenOptions) wechat.AppToken {
		t.Helper()
		token, err := w.client.FetchAppToken(t.Context(), appOf(w.mini), opts)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	first := fetch(wechat.AppTokenOptions{})
	if life := first.ExpiresAt.Sub(w.Now()); life < 119*time.Minute || life > 2*time.Hour {
		t.Errorf("got a token that lives %v, want 2 h", life)
	}
	w.Advance(time.Hour)
	if again := fetch(wechat.AppTokenOptions{}); again.Token != first.Token {
		t.Error("got another token, want the same one until five minutes before its end")
	}
	forced := fetch(wechat.AppTokenOptions{ForceRefresh: true})
	if forced.Token == first.Token {
		t.Error("got the same token, want a new one when forced")
	}
	w.Advance(29 * time.Second)
	if again := fetch(wechat.AppTokenOptions{ForceRefresh: true}); again.Token != forced.Token {
		t.Error("got a new token, want none within 30 s")
	}
	w.Advance(116 * time.Minute)
	if next := fetch(wechat.AppTokenOptions{}); next.Token == forced.Token || !next.ExpiresAt.After(w.Now().Add(5*time.Minute)) {
		t.Error("got the token that is about to end, want a new one")
	}
}

func TestFetchAppTokenRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wrong := appOf(w.mini)
	wrong.Secret = "wrong"
	_, err := w.client.FetchAppToken(t.Context(), wrong, wechat.AppTokenOptions{})
	if e := asError(t, err, wechat.ErrMisconfigured); e.Code != 40125 {
		t.Errorf("got errcode %d, want 40125", e.Code)
	}
	_, err = w.client.FetchAppToken(t.Context(), wechat.App{ID: "wx1"}, wechat.AppTokenOptions{})
	wantClass(t, err, wechat.ErrMisconfigured)
	if n := len(w.Requests()); n != 1 {
		t.Errorf("got %d requests, want none for an app without a secret", n)
	}
}

func TestAppTokenIsKeptUntilShortlyBeforeItsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	phone := w.calls()[wechattest.PathPhone]
	fetches := func() int { return len(w.Requests(wechattest.PathAppToken)) }
	for range 3 {
		if err := phone(t); err != nil {
			t.Fatal(err)
		}
	}
	if fetches() != 1 {
		t.Errorf("got %d fetches for three numbers, want 1", fetches())
	}
	w.Advance(2*time.Hour - 30*time.Second)
	if err := phone(t); err != nil {
		t.Fatal(err)
	}
	if fetches() != 2 {
		t.Errorf("got %d fetches, want a second one half a minute before the end", fetches())
	}
}

func TestStaleAppTokenIsFetchedAnewOnce(t *testing.T) {
	t.Parallel()
	t.Run("somebody else forced a refresh", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		phone := w.calls()[wechattest.PathPhone]
		if err := phone(t); err != nil {
			t.Fatal(err)
		}
		w.EndAppTokens(w.mini)
		if err := phone(t); err != nil {
			t.Errorf("got %v, want the number with a new token", err)
		}
		if n := len(w.Requests(wechattest.PathAppToken)); n != 2 {
			t.Errorf("got %d fetches, want 2", n)
		}
	})
	t.Run("the new one is the old one", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.Fail(wechattest.PathPhone, wechattest.Errcode(42001))
		err := w.calls()[wechattest.PathPhone](t)
		wantClass(t, err, wechat.ErrStaleAppToken)
		wantClass(t, err, wechat.ErrMisconfigured)
		if n := len(w.Requests(wechattest.PathPhone)); n != 1 {
			t.Errorf("got %d requests with one token, want 1", n)
		}
	})
	t.Run("the new one is stale as well", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		phone := w.calls()[wechattest.PathPhone]
		if err := phone(t); err != nil {
			t.Fatal(err)
		}
		w.EndAppTokens(w.mini)
		w.Fail(wechattest.PathPhone, wechattest.Errcode(40001))
		wantClass(t, phone(t), wechat.ErrStaleAppToken)
		if n := len(w.Requests(wechattest.PathPhone)); n != 3 {
			t.Errorf("got %d requests, want one and one more after the first", n)
		}
	})
	t.Run("a new one cannot be had", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		phone := w.calls()[wechattest.PathPhone]
		if err := phone(t); err != nil {
			t.Fatal(err)
		}
		w.EndAppTokens(w.mini)
		w.Fail(wechattest.PathAppToken, wechattest.Errcode(-1))
		wantClass(t, phone(t), wechat.ErrBusy)
	})
}

func TestWaitingForAnAppTokenHasAnEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.client = newClient(t, wechat.Config{BaseURL: w.URL, Now: w.Now, Timeout: 100 * time.Millisecond})
	w.Fail(wechattest.PathAppToken, wechattest.Hang)
	phone := w.calls()[wechattest.PathPhone]
	begun := time.Now()
	done := make(chan error)
	for range 30 {
		go func() { done <- phone(t) }()
	}
	for range 30 {
		wantClass(t, <-done, wechat.ErrUnavailable)
	}
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("30 calls took %v, want about 100 ms: nobody waits for all who came before", took)
	}
}

// givenTokens is an AppTokenSource that gives out its tokens one after the other and remembers what it was asked.
type givenTokens struct {
	tokens []wechat.AppAccessToken
	stale  []wechat.AppAccessToken
	err    error
}

func (g *givenTokens) AppToken(_ context.Context, _ wechat.App, stale wechat.AppAccessToken) (wechat.AppToken, error) {
	g.stale = append(g.stale, stale)
	if len(g.tokens) == 0 {
		return wechat.AppToken{}, g.err
	}
	token := g.tokens[0]
	g.tokens = g.tokens[1:]
	return wechat.AppToken{Token: token}, nil
}

func TestAppTokensMayComeFromElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ended := wechat.AppAccessToken(w.AppToken(w.mini))
	w.EndAppTokens(w.mini)
	source := &givenTokens{tokens: []wechat.AppAccessToken{ended, wechat.AppAccessToken(w.AppToken(w.mini))}, err: errors.New("no more")}
	w.client = newClient(t, wechat.Config{BaseURL: w.URL, Now: w.Now, AppTokens: source})
	phone := w.calls()[wechattest.PathPhone]
	if err := phone(t); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"", string(ended)}, reveal(source.stale)); diff != "" {
		t.Errorf("tokens that were said to be stale (-want +got):\n%s", diff)
	}
	if err := phone(t); !errors.Is(err, source.err) {
		t.Errorf("got error %v, want the source's own", err)
	}
	if n := len(w.Requests(wechattest.PathAppToken)); n != 0 {
		t.Errorf("got %d fetches, want none by the client", n)
	}
}

func reveal(tokens []wechat.AppAccessToken) []string {
	var list []string
	for _, t := range tokens {
		list = append(list, t.Reveal())
	}
	return list
}
