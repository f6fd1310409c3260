package web

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/web/ui"
)

// pageFolder is where the hosted pages are. Mailed links lead there (auth.Letter).
const pageFolder = "/account/"

// errCrossOrigin says that a form was posted from somebody else's page.
var errCrossOrigin = errors.New("cross-origin request")

// pageRoutes are those of the hosted pages. What a page did is told on a page of its own, so that nothing is sent twice
// when that is loaded again.
func (s *Server) pageRoutes() []route {
	table := []route{
		{http.MethodGet, pageFolder + "forgot_password", hosted, s.forgotPage},
		{http.MethodPost, pageFolder + "forgot_password", hosted, s.postForgot},
		{http.MethodGet, pageFolder + "mail_sent", hosted, s.mailSentPage},
		{http.MethodGet, pageFolder + "reset_password", hosted, s.resetPage},
		{http.MethodPost, pageFolder + "reset_password", hosted, s.postReset},
		{http.MethodGet, pageFolder + "enter_code", hosted, s.codePage},
		{http.MethodPost, pageFolder + "enter_code", hosted, s.postCode},
		{http.MethodGet, pageFolder + "password_changed", hosted, s.passwordChangedPage},

		{http.MethodGet, pageFolder + "confirm_sign_up", hosted, s.confirmSignUpPage},
		{http.MethodPost, pageFolder + "confirm_sign_up", hosted, s.postConfirmSignUp},
		{http.MethodGet, pageFolder + "signed_up", hosted, s.signedUpPage},
		{http.MethodGet, pageFolder + "verify_email", hosted, s.verifyPage},
		{http.MethodPost, pageFolder + "verify_email", hosted, s.postVerify},
		{http.MethodGet, pageFolder + "email_verified", hosted, s.emailVerifiedPage},
		{http.MethodGet, pageFolder + "email_changed", hosted, s.emailChangedPage},
		{http.MethodGet, pageFolder + "undo_email_change", hosted, s.undoPage},
		{http.MethodPost, pageFolder + "undo_email_change", hosted, s.postUndo},
		{http.MethodGet, pageFolder + "email_restored", hosted, s.emailRestoredPage},

		{http.MethodGet, pageFolder + "style.css", hosted, asset("text/css; charset=utf-8", ui.Static("style.css"))},
		{http.MethodGet, pageFolder + "icon.svg", hosted, asset("image/svg+xml", ui.Static("icon.svg"))},
	}
	if len(s.cfg.Logo.Content) > 0 {
		table = append(table, route{http.MethodGet, pageFolder + "logo", hosted, asset(s.cfg.Logo.MediaType, s.cfg.Logo.Content)})
	}
	return table
}

// isHosted says whether the request is for a hosted page, also for one that does not exist: people come there.
func (c *call) isHosted() bool {
	path := c.r.URL.Path
	return strings.HasPrefix(path, pageFolder) || path == pageFolder[:len(pageFolder)-1] ||
		path == c.server.cfg.BasePath+authorizePath || path == c.server.cfg.BasePath+callbackPath
}

// choose notes the language that a parameter asks for; anything else but a language's tag asks for nothing.
func (c *call) choose(tag string) {
	switch l := auth.Language(tag); l {
	case auth.English, auth.SimplifiedChinese:
		c.chosen = l
	}
}

// query returns a parameter of the URL, "" if it is missing or there are several.
func (c *call) query(name string) string {
	if values := c.r.URL.Query()[name]; len(values) == 1 {
		return values[0]
	}
	return ""
}

// view is what every page has.
func (c *call) view() ui.Page {
	return ui.Page{Site: c.server.site, Language: c.language(), Chosen: c.chosen, Root: c.server.pageRoot}
}

// tokenView is view for a page whose form sends the token of the link.
func (c *call) tokenView(token string) ui.Page {
	p := c.view()
	p.Token = token
	return p
}

// lastView is view for a page that cannot be asked for again.
func (c *call) lastView() ui.Page {
	p := c.view()
	p.NoSwitch = true
	return p
}

// pagePolicy lets a page show its own style and images, and post to its own host. No page has a script.
const pagePolicy = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// show answers with a hosted page.
func (c *call) show(status int, view interface{ Render(io.Writer) error }) error {
	c.w.Header().Set("Content-Language", string(c.language()))
	return c.page(status, pagePolicy, view)
}

// page answers with a page under a Content-Security-Policy.
func (c *call) page(status int, policy string, view interface{ Render(io.Writer) error }) error {
	var b bytes.Buffer
	if err := view.Render(&b); err != nil {
		return err
	}
	return c.html(status, policy, b.Bytes())
}

func (c *call) html(status int, policy string, body []byte) error {
	h := c.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer") // the address of a page may hold a token
	h.Set("X-Robots-Tag", "noindex")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(body) // the client is gone: there is nobody to tell
	return nil
}

// seeOther sends the browser to another page, with GET.
func (c *call) seeOther(name string) error {
	c.w.Header().Set("Location", c.view().To(name))
	c.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// trouble answers with the page for an error.
func (c *call) trouble(a answer) {
	view := ui.Trouble{Page: c.lastView(), Code: a.code, RequestID: c.id()} // what was posted would be lost
	if a.retryAfter > retrySoon {
		view.RetryAfter = a.retryAfter.Round(time.Second)
	}
	if err := c.show(a.status, view); err != nil {
		c.server.cfg.Logger.Error("page of an error", "request_id", c.id(), "error", err)
		c.problem(a)
	}
}

// refused returns what a form is to say about an error, and the status; nothing if the form is the wrong place for it.
func (c *call) refused(err error) (faults []ui.Fault, status int) {
	if err == nil {
		return nil, 0
	}
	a := answerTo(err)
	switch a.status {
	case http.StatusUnprocessableEntity:
		for _, f := range a.fields {
			faults = append(faults, c.fault(f))
		}
	case http.StatusServiceUnavailable: // what was typed is still there: once more is easy
		c.report(err)
		faults = []ui.Fault{{Text: codeMessage(c.language(), a.code)}}
	}
	return faults, a.status
}

// fault puts a fault into the words of a form.
func (c *call) fault(f fieldFault) ui.Fault {
	return c.view().Fault(f.field, f.code, f.limit, f.text(c.language()))
}

// deadLink answers with the page for a link that is of no use; any other error it returns.
func (c *call) deadLink(kind ui.LinkKind, err error) error {
	validation, ok := errors.AsType[*auth.ValidationError](err)
	if !ok {
		return err
	}
	view := ui.DeadLink{Page: c.view(), Kind: kind}
	for _, f := range validation.Fields {
		view.Taken = view.Taken || f.Field == auth.FieldEmail
	}
	return c.show(answerTo(err).status, view)
}

// blamesToken says whether the token of a link is what an error is about.
func blamesToken(err error) bool { return blamesMember(err, auth.FieldToken) }

// blamesMember says whether an error is about one of these members.
func blamesMember(err error, members ...auth.Field) bool {
	return blames(err, func(f auth.FieldError) bool { return slices.Contains(members, f.Field) })
}

// newCrossOriginProtection refuses forms of other origins. The public URL is this service too, whatever a proxy in
// between makes of the Host header.
func newCrossOriginProtection(public *url.URL) (*http.CrossOriginProtection, error) {
	p := http.NewCrossOriginProtection()
	if err := p.AddTrustedOrigin(public.Scheme + "://" + public.Host); err != nil {
		return nil, err
	}
	return p, nil
}
