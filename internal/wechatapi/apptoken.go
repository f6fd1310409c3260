package wechatapi

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/wechat"
)

const (
	// refreshBefore is when before its end a token is replaced. WeChat has a new one from five minutes before the end,
	// when both are valid; whoever asks earlier gets the old one again. Half a minute is for clocks that differ and for
	// answers that took long; four and a half are left to try again while WeChat is away.
	refreshBefore = 4*time.Minute + 30*time.Second

	// usableFor is how long a token must live to be given out: longer than a request with it takes.
	usableFor = time.Minute

	// maxWait is for everything that one caller may have to wait for: they have promised an answer within five seconds.
	maxWait = 4500 * time.Millisecond

	// leaseTime is how long a node that died keeps the others from fetching. It is longer than maxWait, so that of
	// those that live none loses its lease.
	leaseTime = 10 * time.Second

	// retryPause is between two attempts of a node to replace a token that can still be used, and how long a token is
	// believed that WeChat gave out again when it was said to be stale.
	retryPause = 10 * time.Second

	// pollInterval is between two looks whether the node that fetches has done it.
	pollInterval = 50 * time.Millisecond
)

// AppTokensConfig is what NewAppTokens needs. All but Logger are required.
type AppTokensConfig struct {
	Store  auth.AppTokenStore
	Client *wechat.Client // fetches; it must not have this source as its own
	Apps   []wechat.App
	Now    func() time.Time
	Logger *slog.Logger // nil: slog.Default
}

// AppTokens has the access tokens of apps, the same for all nodes that share a database: one of them fetches, all use.
// It is a wechat.AppTokenSource and an auth.AppTokens. Between two tokens it answers from memory.
//
// In the database a token is sealed under a key that is derived from the app's secret: every node has it, and whoever
// reads the database alone has not. A token that cannot be opened, because the secret is another one by now, is as good
// as none.
type AppTokens struct {
	cfg     AppTokensConfig
	running sync.WaitGroup

	mu    sync.Mutex
	slots map[wechat.AppID]*tokenSlot // never removed: there are as many as apps
}

// tokenSlot is what a node knows of one app's token.
type tokenSlot struct {
	kept    wechat.AppToken
	retryAt time.Time // kept is not replaced earlier, unless it is of no use

	// confirmed was said to be stale, and WeChat gave it out again; until confirmedUntil nobody asks again.
	confirmed      wechat.AppAccessToken
	confirmedUntil time.Time

	flights map[wechat.AppAccessToken]*flight // by the token that is said to be stale
}

// flight is an attempt to get another token. All who want one take part in it.
type flight struct {
	done  chan struct{}
	token wechat.AppToken // with err, to be read after done
	err   error
}

var (
	_ wechat.AppTokenSource = (*AppTokens)(nil)
	_ auth.AppTokens        = (*AppTokens)(nil)
)

// NewAppTokens returns an AppTokens; the error names what is missing.
func NewAppTokens(cfg AppTokensConfig) (*AppTokens, error) {
	if cfg.Store == nil || cfg.Client == nil || cfg.Now == nil {
		return nil, errors.New("wechatapi: AppTokensConfig has no Store, no Client or no Now")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &AppTokens{cfg: cfg, slots: make(map[wechat.AppID]*tokenSlot)}, nil
}

// Wait returns when nothing is under way any more, which is within a few seconds. The Store is to be closed after it.
func (t *AppTokens) Wait() { t.running.Wait() }

// FindAppToken implements auth.AppTokens. What it returns is kept by others, who do not say when it has become stale: it
// looks first whether another node has replaced the token.
func (t *AppTokens) FindAppToken(ctx context.Context, appID string) (auth.AppToken, error) {
	i := slices.IndexFunc(t.cfg.Apps, func(a wechat.App) bool { return a.ID == wechat.AppID(appID) })
	if i < 0 {
		return auth.AppToken{}, fmt.Errorf("app %s: %w", appID, auth.ErrNotFound)
	}
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	t.follow(ctx, t.cfg.Apps[i])
	token, err := t.AppToken(ctx, t.cfg.Apps[i], "")
	if err != nil {
		return auth.AppToken{}, translate(err)
	}
	return auth.AppToken{Token: auth.AppAccessToken(token.Token), ExpiresAt: token.ExpiresAt}, nil
}

// follow keeps the token that is stored, if it is a newer one.
func (t *AppTokens) follow(ctx context.Context, app wechat.App) {
	token, _, err := t.load(ctx, app)
	if err != nil { // then what is kept must do
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if slot := t.slot(app.ID); token.ExpiresAt.After(slot.kept.ExpiresAt) {
		slot.kept = token
	}
}

// AppToken implements wechat.AppTokenSource. The errors that are no *wechat.Error are auth.ErrUnavailable, an
// *auth.UpstreamBusyError when another node has been fetching for too long, and those of ctx.
func (t *AppTokens) AppToken(ctx context.Context, app wechat.App, stale wechat.AppAccessToken) (wechat.AppToken, error) {
	kept, attempt := t.look(ctx, app, stale)
	if attempt == nil {
		return kept, nil
	}
	select {
	case <-attempt.done:
		return attempt.token, attempt.err
	case <-ctx.Done():
		return wechat.AppToken{}, ctx.Err()
	}
}

// look returns a token that can be used now, or the attempt to get one. Whoever comes while a token is about to end
// starts the attempt to replace it, and does not wait.
func (t *AppTokens) look(ctx context.Context, app wechat.App, stale wechat.AppAccessToken) (wechat.AppToken, *flight) {
	t.mu.Lock()
	defer t.mu.Unlock()
	slot, now := t.slot(app.ID), t.cfg.Now()
	if stale != "" && stale == slot.confirmed && now.Before(slot.confirmedUntil) {
		stale = ""
	}
	usable := isUsable(slot.kept, stale, now)
	if usable && (!isDue(slot.kept, now) || now.Before(slot.retryAt)) {
		return slot.kept, nil
	}
	attempt, ok := slot.flights[stale]
	if !ok {
		attempt = &flight{done: make(chan struct{})}
		slot.flights[stale] = attempt
		slot.retryAt = now.Add(retryPause)
		// Others may come to wait for it, also after this caller has gone away.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxWait)
		t.running.Go(func() {
			defer cancel()
			t.fly(ctx, app, stale, attempt)
		})
	}
	if usable {
		return slot.kept, nil
	}
	return wechat.AppToken{}, attempt
}

// fly makes the attempt and keeps what comes of it.
func (t *AppTokens) fly(ctx context.Context, app wechat.App, stale wechat.AppAccessToken, attempt *flight) {
	attempt.token, attempt.err = t.renew(ctx, app, stale)
	t.mu.Lock()
	defer t.mu.Unlock()
	slot := t.slot(app.ID)
	delete(slot.flights, stale)
	if attempt.err == nil {
		slot.kept = attempt.token
		if stale != "" && attempt.token.Token == stale {
			slot.confirmed, slot.confirmedUntil = stale, t.cfg.Now().Add(retryPause)
		}
	}
	close(attempt.done)
}

// slot returns the app's slot; the caller holds mu.
func (t *AppTokens) slot(id wechat.AppID) *tokenSlot {
	slot, ok := t.slots[id]
	if !ok {
		slot = &tokenSlot{flights: make(map[wechat.AppAccessToken]*flight)}
		t.slots[id] = slot
	}
	return slot
}

// renew returns the token that the nodes share, and sees to it that it is a new one when it is time: it fetches one, or
// waits for the node that does. While the old one can be used, trouble is only logged.
func (t *AppTokens) renew(ctx context.Context, app wechat.App, stale wechat.AppAccessToken) (wechat.AppToken, error) {
	for first := int64(-1); ; {
		token, generation, err := t.load(ctx, app)
		if err != nil {
			return wechat.AppToken{}, err
		}
		if first < 0 {
			first = generation
		}
		if generation != first { // what WeChat gave out since is not stale, whatever it looks like
			stale = ""
		}
		now := t.cfg.Now()
		usable := isUsable(token, stale, now)
		if usable && !isDue(token, now) {
			return token, nil
		}
		lease := auth.AppTokenLease{AppID: string(app.ID), Generation: generation, Until: now.Add(leaseTime)}
		err = t.cfg.Store.LeaseAppToken(ctx, lease, now)
		switch {
		case err == nil:
			fresh, err := t.fetch(ctx, app, lease)
			switch {
			case err == nil:
				return fresh, nil
			case usable: // the lease stays, so that nobody else tries again at once
				t.cfg.Logger.Warn("no new access token of the WeChat app yet", "app_id", string(app.ID), "error", err)
				return token, nil
			}
			return wechat.AppToken{}, errors.Join(err, t.cfg.Store.ReleaseAppToken(ctx, lease))
		case usable:
			return token, nil
		case !errors.Is(err, auth.ErrChanged):
			return wechat.AppToken{}, fmt.Errorf("lease token of app %s: %w", app.ID, err)
		}
		select {
		case <-time.After(pollInterval):
		case <-ctx.Done():
			return wechat.AppToken{}, &auth.UpstreamBusyError{Cause: errors.New("another node is still fetching the access token")}
		}
	}
}

// fetch fetches a token and stores it for all nodes.
func (t *AppTokens) fetch(ctx context.Context, app wechat.App, lease auth.AppTokenLease) (wechat.AppToken, error) {
	token, err := t.cfg.Client.FetchAppToken(ctx, app, wechat.AppTokenOptions{})
	if err != nil {
		return wechat.AppToken{}, err
	}
	sealed, err := seal(app, token.Token)
	if err != nil {
		return wechat.AppToken{}, err
	}
	err = t.cfg.Store.StoreAppToken(ctx, lease, auth.SealedAppToken{Sealed: sealed, ExpiresAt: token.ExpiresAt})
	if err != nil { // the token is good all the same
		t.cfg.Logger.Warn("access token of the WeChat app is not stored for other nodes", "app_id", string(app.ID), "error", err)
	}
	return token, nil
}

// load returns the token that is stored and its generation: no token if there is none that can be opened.
func (t *AppTokens) load(ctx context.Context, app wechat.App) (wechat.AppToken, int64, error) {
	stored, err := t.cfg.Store.FindAppToken(ctx, string(app.ID))
	switch {
	case errors.Is(err, auth.ErrNotFound):
		return wechat.AppToken{}, 0, nil
	case err != nil:
		return wechat.AppToken{}, 0, fmt.Errorf("find token of app %s: %w", app.ID, err)
	}
	token, err := open(app, stored.Sealed)
	if err != nil {
		return wechat.AppToken{}, stored.Generation, nil
	}
	return wechat.AppToken{Token: token, ExpiresAt: stored.ExpiresAt}, stored.Generation, nil
}

// isUsable says whether the token can be given out to somebody who found stale to be stale.
func isUsable(t wechat.AppToken, stale wechat.AppAccessToken, now time.Time) bool {
	return t.Token != "" && t.Token != stale && now.Before(t.ExpiresAt.Add(-usableFor))
}

// isDue says whether it is time for the next token.
func isDue(t wechat.AppToken, now time.Time) bool {
	return !now.Before(t.ExpiresAt.Add(-refreshBefore))
}

// sealVersion begins a sealed token. Another version would be another way to seal.
const sealVersion = 1

// seal encrypts a token so that only who has the app's secret can open it, and only as a token of this app. What it
// returns is the version, a random nonce and the ciphertext.
func seal(app wechat.App, token wechat.AppAccessToken) ([]byte, error) {
	aead, err := sealer(app)
	if err != nil {
		return nil, err
	}
	return aead.Seal([]byte{sealVersion}, nil, []byte(token.Reveal()), sealedFor(app)), nil
}

// open decrypts what seal returned.
func open(app wechat.App, sealed []byte) (wechat.AppAccessToken, error) {
	if len(sealed) == 0 || sealed[0] != sealVersion {
		return "", errors.New("sealed in an unknown way")
	}
	aead, err := sealer(app)
	if err != nil {
		return "", err
	}
	token, err := aead.Open(nil, nil, sealed[1:], sealedFor(app))
	return wechat.AppAccessToken(token), err
}

// sealer is AES-256-GCM with random nonces, of which one key may see 2^32: one token an hour leaves time. WeChat's
// secrets are random, so that no slow hash is needed to make a key of one.
func sealer(app wechat.App) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, []byte(app.Secret.Reveal()), nil, "latchkey: access token of a WeChat app", 32)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func sealedFor(app wechat.App) []byte { return []byte(app.ID) }
