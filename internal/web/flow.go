package web

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

const (
	// flowTTL is for finding the phone, unlocking it and scanning a code.
	flowTTL = 10 * time.Minute

	// maxFlows is how many a browser may be in at once: their cookies come with every request, and all headers together
	// may have 16 KiB.
	maxFlows = 4

	// flowCookie begins the names of the cookies. With __Host- no other host, and nobody without TLS, can set one for us
	// (RFC 6265bis §4.1.3.2).
	flowCookie = "__Host-latchkey-wechat-"
)

// flow is one way of a browser to WeChat's page and back, kept by the browser in a cookie of its own. What comes back
// with the cookie's state comes to the browser that was sent away with it. A browser can write its cookies as it likes,
// but only its own: nothing in here is believed, but that it is the same browser.
type flow struct {
	auth.BrowserSignIn

	stateHash string // hex
	expiresAt time.Time
}

var errNoFlow = errors.New("no such way to WeChat and back")

// newFlow returns a new one, with the state that WeChat is to send back.
func newFlow(now time.Time) (f flow, state string) {
	state = rand.Text() // 130 bits, letters and digits
	return flow{stateHash: hashState(state), expiresAt: now.Add(flowTTL)}, state
}

func hashState(state string) string {
	hash := sha256.Sum256([]byte(state))
	return hex.EncodeToString(hash[:])
}

// flowName is the name of the cookie for a state.
func flowName(stateHash string) string { return flowCookie + stateHash[:16] }

// The parameters in a cookie.
const (
	flowApp       = "app_id"
	flowRedirect  = "redirect_to"
	flowAppState  = "state"
	flowChallenge = "code_challenge"
	flowMethod    = "code_challenge_method"
	flowHash      = "state_hash"
	flowExpiry    = "expires"
)

var flowParameters = []string{flowApp, flowRedirect, flowAppState, flowChallenge, flowMethod, flowHash, flowExpiry}

// encode writes the flow as a cookie's value: parameters of a form, which need no other escaping.
func (f flow) encode() string {
	return url.Values{
		flowApp: {f.AppID}, flowRedirect: {f.RedirectTo}, flowAppState: {f.BrowserSignIn.State},
		flowChallenge: {f.CodeChallenge}, flowMethod: {f.CodeChallengeMethod},
		flowHash: {f.stateHash}, flowExpiry: {strconv.FormatInt(f.expiresAt.Unix(), 10)},
	}.Encode()
}

// parseFlow reads what encode wrote. It returns errNoFlow for anything else.
func parseFlow(value string) (flow, error) {
	values, err := url.ParseQuery(value)
	if err != nil || len(values) != len(flowParameters) {
		return flow{}, errNoFlow
	}
	for _, name := range flowParameters {
		if len(values[name]) != 1 {
			return flow{}, errNoFlow
		}
	}
	expires, err := strconv.ParseInt(values.Get(flowExpiry), 10, 64)
	hash := values.Get(flowHash)
	if raw, hexErr := hex.DecodeString(hash); err != nil || hexErr != nil || len(raw) != sha256.Size || expires < 0 || expires > 1<<40 {
		return flow{}, errNoFlow
	}
	return flow{
		BrowserSignIn: auth.BrowserSignIn{
			AppID: values.Get(flowApp), RedirectTo: values.Get(flowRedirect), State: values.Get(flowAppState),
			CodeChallenge: values.Get(flowChallenge), CodeChallengeMethod: values.Get(flowMethod),
		},
		stateHash: hash,
		expiresAt: time.Unix(expires, 0),
	}, nil
}

// flow returns the flow that the browser was sent away with. It returns errNoFlow if the state is another browser's, or
// of a flow that is over.
func (c *call) flow(state string, now time.Time) (flow, error) {
	if state == "" {
		return flow{}, errNoFlow
	}
	hash := hashState(state)
	cookies := c.r.CookiesNamed(flowName(hash))
	if len(cookies) != 1 {
		return flow{}, errNoFlow
	}
	f, err := parseFlow(cookies[0].Value)
	switch {
	case err != nil:
		return flow{}, err
	case subtle.ConstantTimeCompare([]byte(f.stateHash), []byte(hash)) != 1,
		!now.Before(f.expiresAt), f.expiresAt.Sub(now) > flowTTL:
		return flow{}, errNoFlow
	}
	return f, nil
}

// keep has the browser keep the flow, and lets those go that are too many: the ones that end first.
func (c *call) keep(f flow) {
	type kept struct {
		name      string
		expiresAt time.Time // zero if it cannot be read
	}
	var others []kept
	for _, cookie := range c.r.Cookies() {
		if strings.HasPrefix(cookie.Name, flowCookie) {
			other, _ := parseFlow(cookie.Value)
			others = append(others, kept{cookie.Name, other.expiresAt})
		}
	}
	slices.SortFunc(others, func(a, b kept) int { return cmp.Or(b.expiresAt.Compare(a.expiresAt), cmp.Compare(a.name, b.name)) })
	for i, other := range others {
		if i >= maxFlows-1 {
			c.setCookie(other.name, "", -1)
		}
	}
	c.setCookie(flowName(f.stateHash), f.encode(), int(flowTTL/time.Second))
}

// forget has the browser forget the flow: its state works once.
func (c *call) forget(f flow) { c.setCookie(flowName(f.stateHash), "", -1) }

// setCookie sets a cookie for maxAge seconds, or deletes it if that is negative. Lax lets it come along when WeChat's page
// sends the browser back. Chromium and Firefox take Secure on loopback hosts without TLS, too; Safari does not.
func (c *call) setCookie(name, value string, maxAge int) {
	http.SetCookie(&c.w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: maxAge, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}
