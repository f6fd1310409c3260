package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/web/ui"
)

// The two ends of a browser's way over WeChat's page. They are pages, below the base path: what goes wrong is seen by
// people.
const (
	authorizePath = "/sign_in_with/wechat/authorize"
	callbackPath  = "/sign_in_with/wechat/callback"
)

// browserError is an error of RFC 6749 §4.1.2.1, as the app is told it.
type browserError string

const (
	accessDenied           browserError = "access_denied"
	temporarilyUnavailable browserError = "temporarily_unavailable"
	serverError            browserError = "server_error"
)

// authorize sends the browser to WeChat's page.
func (s *Server) authorize(c *call) error {
	in, err := c.parameters("app_id", "redirect_to", "state", "code_challenge", "code_challenge_method")
	if err != nil {
		return err
	}
	f, state := newFlow(s.cfg.Now())
	signIn, page, err := s.cfg.Service.BeginBrowserSignIn(auth.BrowserSignIn{
		AppID: in["app_id"], RedirectTo: in["redirect_to"], State: in["state"],
		CodeChallenge: in["code_challenge"], CodeChallengeMethod: in["code_challenge_method"],
	}, auth.WeChatPage{BackTo: s.cfg.PublicURL + s.cfg.BasePath + callbackPath, State: state})
	if err != nil {
		return c.badSignIn(err)
	}
	f.BrowserSignIn = signIn
	c.keep(f)
	return c.found(page)
}

// callback takes the browser that WeChat sent back, and sends it on to the app. The state is looked at before anything
// else happens, so that nobody can have a browser use the code of another person.
func (s *Server) callback(c *call) error {
	in, err := c.parameters("code", "state")
	if err != nil {
		return err
	}
	f, err := c.flow(in["state"], s.cfg.Now())
	if err != nil {
		return c.show(http.StatusUnprocessableEntity, ui.BadSignIn{Page: c.lastView(), Over: true})
	}
	c.forget(f)
	answer := make(url.Values)
	var code auth.OneTimeSecret
	err = c.guess(func() error {
		code, err = s.cfg.Service.FinishBrowserSignIn(c.r.Context(), f.BrowserSignIn, auth.WeChatCode(in["code"]), c.origin())
		return err
	})
	var wrong *auth.ValidationError
	switch {
	case errors.As(err, &wrong):
		return c.badSignIn(err)
	case err != nil:
		answer.Set("error", string(c.toldToApp(err)))
	default:
		answer.Set("code", code.Reveal())
	}
	if f.BrowserSignIn.State != "" {
		answer.Set("state", f.BrowserSignIn.State)
	}
	return c.found(withQuery(f.RedirectTo, answer))
}

// toldToApp returns what the app is told of an error. The rest stays in the log.
func (c *call) toldToApp(err error) browserError {
	for _, denied := range []error{auth.ErrDeclined, auth.ErrInvalidCredentials, auth.ErrBlocked, auth.ErrSnapshotUser} {
		if errors.Is(err, denied) {
			return accessDenied
		}
	}
	a := c.report(err)
	c.w.Header().Del("Retry-After") // for the browser it is a redirect like any other
	if a.status == http.StatusServiceUnavailable || a.status == http.StatusTooManyRequests {
		return temporarilyUnavailable
	}
	return serverError
}

// badSignIn answers with the page for a sign-in that cannot begin or go on; any error but a *auth.ValidationError it
// returns. The browser is sent nowhere: redirect_to may be anybody's.
func (c *call) badSignIn(err error) error {
	wrong, ok := errors.AsType[*auth.ValidationError](err)
	if !ok {
		return err
	}
	view := ui.BadSignIn{Page: c.lastView()}
	for _, f := range wrong.Fields {
		view.Faults = append(view.Faults, fieldFault{field: string(f.Field), code: latchkey.FieldCode(f.Code), limit: f.Limit}.text(c.language()))
	}
	return c.show(answerTo(err).status, view)
}

// parameters returns these parameters of the URL, "" for those that are missing. It returns errBadRequest (wrapped) for
// one that is there twice (RFC 6749 §3.1), and a *methodError for HEAD: a look must not use anything up.
func (c *call) parameters(names ...string) (map[string]string, error) {
	if c.r.Method != http.MethodGet {
		return nil, &methodError{allowed: http.MethodGet}
	}
	values, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("%w: broken query", errBadRequest)
	}
	in := make(map[string]string, len(names))
	for _, name := range names {
		if len(values[name]) > 1 {
			return nil, fmt.Errorf("%w: %s is there twice", errBadRequest, name)
		}
		in[name] = values.Get(name)
	}
	return in, nil
}

// found sends the browser to another place, without telling it where it comes from.
func (c *call) found(address string) error {
	h := c.w.Header()
	h.Set("Location", address)
	h.Set("Referrer-Policy", "no-referrer")
	c.w.WriteHeader(http.StatusFound)
	return nil
}

// withQuery adds parameters to an address that has no fragment. What it has stays as it is, letter for letter.
func withQuery(address string, add url.Values) string {
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}
	return address + separator + add.Encode()
}
