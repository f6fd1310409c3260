package wechatapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/sqlstore"
	"github.com/ideaegg/latchkey/internal/wechatapi"
	"github.com/ideaegg/latchkey/internal/wechattest"
	"github.com/ideaegg/latchkey/wechat"
)

// nodes are programs on one database, with the stand-in that all of them ask. All have its clock.
type nodes struct {
	*wechattest.Server
	db   sqlstore.Config
	mini wechattest.App
	log  *safeBuffer
}

func newNodes(t *testing.T, db sqlstore.Config) nodes {
	t.Helper()
	n := nodes{Server: wechattest.NewServer(t, wechattest.Config{}), db: db, log: new(safeBuffer)}
	n.mini = n.AddApp(wechattest.App{Kind: wechattest.MiniProgram})
	return n
}

// node is one of them.
type node struct {
	*wechatapi.AppTokens
	store *sqlstore.Store
	app   wechat.App
}

// start starts one, with the app's secret as it is.
func (n nodes) start(t *testing.T) node {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), n.db)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	client, err := wechat.New(wechat.Config{BaseURL: n.URL, Now: n.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	app := wechat.App{ID: wechat.AppID(n.mini.ID), Secret: wechat.AppSecret(n.mini.Secret), Kind: wechat.MiniProgram}
	tokens, err := wechatapi.NewAppTokens(wechatapi.AppTokensConfig{
		Store: store, Client: client, Apps: []wechat.App{app}, Now: n.Now, Logger: slog.New(slog.NewTextHandler(n.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tokens.Wait)
	return node{tokens, store, app}
}

// get returns the node's token.
func (n node) get(t *testing.T, stale wechat.AppAccessToken) wechat.AppToken {
	t.Helper()
	token, err := n.AppToken(t.Context(), n.app, stale)
	if err != nil {
		t.Fatal(err)
	}
	n.Wait()
	return token
}

// wantFetches fails the test unless WeChat was asked so often for a token.
func (n nodes) wantFetches(t *testing.T, want int) {
	t.Helper()
	if got := len(n.Requests(wechattest.PathAppToken)); got != want {
		t.Errorf("got %d fetches, want %d", got, want)
	}
}

// each runs the test with nodes on each engine.
func each(t *testing.T, test func(t *testing.T, n nodes)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, db sqlstore.Config) { test(t, newNodes(t, db)) })
}

func TestOneNodeFetchesForAll(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, n nodes) {
		n.Fail(wechattest.PathAppToken, wechattest.Delay(100*time.Millisecond))
		all := []node{n.start(t), n.start(t)}
		got := make(chan string, 20)
		var group sync.WaitGroup
		for i := range 20 {
			group.Go(func() {
				token, err := all[i%2].AppToken(t.Context(), all[i%2].app, "")
				if err != nil {
					t.Error(err)
				}
				got <- token.Token.Reveal()
			})
		}
		group.Wait()
		close(got)
		want := n.AppToken(n.mini)
		for token := range got {
			if token != want {
				t.Error("got another token than WeChat's current one")
			}
		}
		n.wantFetches(t, 1)
		for _, node := range append(all, n.start(t)) { // also one that starts later
			if token := node.get(t, ""); token.Token.Reveal() != want || !token.ExpiresAt.After(n.Now().Add(119*time.Minute)) {
				t.Error("got another token, or one that lives shorter than WeChat said")
			}
		}
		n.wantFetches(t, 1)
	})
}

func TestTokenIsReplacedWhenWeChatHasANewOne(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, n nodes) {
		first, second := n.start(t), n.start(t)
		old := first.get(t, "")
		second.get(t, "")
		n.Advance(2*time.Hour - 5*time.Minute - time.Second)
		first.get(t, "")
		n.wantFetches(t, 1)
		n.Advance(32 * time.Second)
		if token := first.get(t, ""); token.Token != old.Token {
			t.Error("got the new token at once, want nobody to wait for it")
		}
		n.wantFetches(t, 2)
		fresh := first.get(t, "")
		if fresh.Token == old.Token || !fresh.ExpiresAt.After(n.Now().Add(119*time.Minute)) {
			t.Error("got the old token, want the next one two hours before its end")
		}
		second.get(t, "")
		if token := second.get(t, ""); token.Token != fresh.Token {
			t.Error("the other node has another token")
		}
		n.wantFetches(t, 2)
	})
}

func TestStaleTokenIsFetchedAnewOnceForAll(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, n nodes) {
		all := []node{n.start(t), n.start(t)}
		old := all[0].get(t, "")
		all[1].get(t, "")
		n.EndAppTokens(n.mini)
		n.Fail(wechattest.PathAppToken, wechattest.Delay(50*time.Millisecond))
		var group sync.WaitGroup
		for i := range 20 {
			group.Go(func() {
				token, err := all[i%2].AppToken(t.Context(), all[i%2].app, old.Token)
				if err != nil || token.Token == old.Token {
					t.Errorf("got the stale token or error %v, want another token", err)
				}
			})
		}
		group.Wait()
		n.wantFetches(t, 2)
		want := n.AppToken(n.mini)
		for _, node := range all {
			if token := node.get(t, ""); token.Token.Reveal() != want {
				t.Error("a node has not kept the new token")
			}
		}
	})
}

func TestTokenThatWeChatInsistsOnIsNotAskedForAgainAndAgain(t *testing.T) {
	t.Parallel()
	n := newNodes(t, dbtest.SQLite(t))
	node := n.start(t)
	token := node.get(t, "")
	for range 5 {
		if again := node.get(t, token.Token); again.Token != token.Token {
			t.Error("got another token than WeChat has")
		}
	}
	n.wantFetches(t, 2)
	n.Advance(11 * time.Second)
	n.EndAppTokens(n.mini) // now it is stale indeed
	if again := node.get(t, token.Token); again.Token == token.Token {
		t.Error("got the stale token")
	}
	n.wantFetches(t, 3)
}

func TestOldTokenServesWhileWeChatIsAway(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, n nodes) {
		first, second := n.start(t), n.start(t)
		old := first.get(t, "")
		n.Advance(2*time.Hour - 4*time.Minute)
		n.Fail("", wechattest.Status502)
		for range 3 {
			for _, node := range []node{first, second} {
				if token := node.get(t, ""); token.Token != old.Token {
					t.Error("got another token than the old one")
				}
			}
		}
		n.wantFetches(t, 2) // one attempt of one node
		n.Advance(11 * time.Second)
		first.get(t, "")
		second.get(t, "")
		n.wantFetches(t, 3) // and one more later
		if !strings.Contains(n.log.String(), "HTTP status is not 200") {
			t.Errorf("the log has %q, want the reason", n.log)
		}

		n.Advance(4*time.Minute - time.Minute - 10*time.Second)
		for _, node := range []node{first, second} {
			_, err := node.FindAppToken(t.Context(), n.mini.ID)
			if !errors.Is(err, auth.ErrUpstream) {
				t.Errorf("got error %v of a token about to end, want %v", err, auth.ErrUpstream)
			}
		}
		n.Heal("")
		if token := second.get(t, ""); token.Token == old.Token {
			t.Error("got the old token, want the new one as soon as there is one")
		}
	})
}

func TestWaitingForWeChatHasAnEnd(t *testing.T) {
	t.Parallel()
	n := newNodes(t, dbtest.SQLite(t))
	n.Fail(wechattest.PathAppToken, wechattest.Hang)
	all := []node{n.start(t), n.start(t)}
	begun := time.Now()
	var group sync.WaitGroup
	for i := range 10 {
		group.Go(func() {
			_, err := all[i%2].FindAppToken(t.Context(), n.mini.ID)
			_, busy := errors.AsType[*auth.UpstreamBusyError](err)
			if !busy && !errors.Is(err, auth.ErrUpstream) && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got error %v, want one about WeChat", err)
			}
		})
	}
	group.Wait()
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %v, want less than 5 s", took)
	}
}

func TestWhoGoesAwayDoesNotTakeTheTokenAlong(t *testing.T) {
	t.Parallel()
	n := newNodes(t, dbtest.SQLite(t))
	n.Fail(wechattest.PathAppToken, wechattest.Delay(200*time.Millisecond))
	node := n.start(t)
	hurried, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := node.AppToken(hurried, node.app, ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got error %v, want %v", err, context.DeadlineExceeded)
	}
	node.get(t, "")
	n.wantFetches(t, 1)
}

func TestChangedSecretMakesTheStoredTokenWorthless(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, n nodes) {
		old := n.start(t).get(t, "")
		n.mini.Secret = n.ResetSecret(n.mini)
		n.EndAppTokens(n.mini)
		after := n.start(t)
		if token := after.get(t, ""); token.Token == old.Token {
			t.Error("got a token that was sealed under another secret")
		}
		n.wantFetches(t, 2)
		n.start(t).get(t, "")
		n.wantFetches(t, 2)
	})
}

// TestStoredTokenBelongsToItsApp gives one app the row of another with the same secret, as who can write to the database
// might.
func TestStoredTokenBelongsToItsApp(t *testing.T) {
	t.Parallel()
	n := newNodes(t, dbtest.SQLite(t))
	node := n.start(t)
	token := node.get(t, "")
	row, err := node.store.FindAppToken(t.Context(), n.mini.ID)
	if err != nil {
		t.Fatal(err)
	}
	n.mini = n.AddApp(wechattest.App{Kind: wechattest.MiniProgram, Secret: n.mini.Secret})
	for name, change := range map[string]func([]byte) []byte{
		"as it is":           bytes.Clone,
		"of another version": func(b []byte) []byte { b = bytes.Clone(b); b[0]++; return b },
		"cut short":          func(b []byte) []byte { return b[:5] },
		"empty":              func([]byte) []byte { return []byte{} },
	} {
		lease := auth.AppTokenLease{AppID: n.mini.ID, Until: n.Now().Add(time.Minute)}
		if stored, err := node.store.FindAppToken(t.Context(), n.mini.ID); err == nil {
			lease.Generation = stored.Generation
		}
		forged := auth.SealedAppToken{Sealed: change(row.Sealed), ExpiresAt: row.ExpiresAt}
		if err := errors.Join(node.store.LeaseAppToken(t.Context(), lease, n.Now()), node.store.StoreAppToken(t.Context(), lease, forged)); err != nil {
			t.Fatal(err)
		}
		if got := n.start(t).get(t, ""); got.Token == token.Token || got.Token.Reveal() != n.AppToken(n.mini) {
			t.Errorf("%s: got the token of another app", name)
		}
	}
}

func TestTokenIsNotInTheDatabaseOrTheLog(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, n nodes) {
		node := n.start(t)
		token := node.get(t, "")
		row, err := node.store.FindAppToken(t.Context(), n.mini.ID)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(row.Sealed, []byte(token.Token.Reveal())) || bytes.Contains(row.Sealed, []byte(token.Token.Reveal()[:20])) {
			t.Error("the token is in the database")
		}
		n.Advance(2*time.Hour - 4*time.Minute)
		n.Fail("", wechattest.Errcode(40125))
		node.get(t, "")
		found, err := node.FindAppToken(t.Context(), n.mini.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, printed := range []string{n.log.String(), fmt.Sprintf("%v %+v %#v %s", found, found, found, found.Token)} {
			if strings.Contains(printed, token.Token.Reveal()) || strings.Contains(printed, n.mini.Secret) {
				t.Errorf("a secret is in %q", printed)
			}
		}
		if !strings.Contains(n.log.String(), "40125") {
			t.Error("there is nothing in the log: the test proves nothing")
		}
	})
}

func TestTroubleOfWeChatIsTold(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		mode  wechattest.Mode
		retry time.Duration // negative: auth.ErrUpstream
	}{
		{wechattest.Errcode(-1), time.Second},
		{wechattest.Errcode(45011), time.Minute},
		{wechattest.Errcode(45009), 10 * time.Minute},
		{wechattest.Errcode(40013), -1},
		{wechattest.Errcode(40125), -1},
		{wechattest.Errcode(40164), -1},
		{wechattest.Errcode(4711), -1},
		{wechattest.EmptyObject, -1},
		{wechattest.HTML, -1},
		{wechattest.Reset, 0},
		{wechattest.NoToken, -1},
		{wechattest.BadLifetime, -1},
	} {
		t.Run(string(tt.mode), func(t *testing.T) {
			t.Parallel()
			n := newNodes(t, dbtest.SQLite(t))
			n.Fail(wechattest.PathAppToken, tt.mode)
			node := n.start(t)
			for range 2 { // the second does not wait for a lease that the first left behind
				begun := time.Now()
				_, err := node.FindAppToken(t.Context(), n.mini.ID)
				busy, ok := errors.AsType[*auth.UpstreamBusyError](err)
				switch {
				case tt.retry < 0 && (ok || !errors.Is(err, auth.ErrUpstream)):
					t.Errorf("got error %v, want %v", err, auth.ErrUpstream)
				case tt.retry >= 0 && (!ok || busy.RetryAfter != tt.retry):
					t.Errorf("got error %v, want to be told to come back in %v", err, tt.retry)
				}
				if took := time.Since(begun); took > 3*time.Second {
					t.Errorf("it took %v", took)
				}
			}
			n.Heal(wechattest.PathAppToken)
			node.get(t, "")
		})
	}
}

func TestTokenInMemoryServesWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	n := newNodes(t, dbtest.SQLite(t))
	node := n.start(t)
	want := node.get(t, "")
	if err := node.store.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := node.FindAppToken(t.Context(), n.mini.ID); err != nil || got.Token.Reveal() != want.Token.Reveal() {
		t.Errorf("got error %v, want the token that is kept", err)
	}
	n.Advance(2 * time.Hour)
	if _, err := node.FindAppToken(t.Context(), n.mini.ID); !errors.Is(err, auth.ErrUnavailable) {
		t.Errorf("got error %v, want %v", err, auth.ErrUnavailable)
	}
	n.wantFetches(t, 1)
}

func TestReplacedTokenReachesBackendsOfOtherNodes(t *testing.T) {
	t.Parallel()
	n := newNodes(t, dbtest.SQLite(t))
	first, second := n.start(t), n.start(t)
	old := second.get(t, "")
	first.get(t, "")
	n.Advance(time.Second)
	n.EndAppTokens(n.mini)
	fresh := first.get(t, old.Token)
	if got, err := second.FindAppToken(t.Context(), n.mini.ID); err != nil || got.Token.Reveal() != fresh.Token.Reveal() {
		t.Errorf("got the old token or error %v, want what the first node fetched", err)
	}
}

func TestNewAppTokensNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	if _, err := wechatapi.NewAppTokens(wechatapi.AppTokensConfig{}); err == nil || !strings.Contains(err.Error(), "Store") {
		t.Errorf("got error %v", err)
	}
}

type safeBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
