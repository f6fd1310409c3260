package web_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/passhash"
	"github.com/ideaegg/latchkey/internal/sqlstore"
	"github.com/ideaegg/latchkey/internal/web"
)

// desk is a whole service behind its handler, where a test does what a person with a browser and a mailbox does. Time
// stands still but for later.
type desk struct {
	t       testing.TB
	service *auth.Service
	store   *sqlstore.Store
	faults  *tokenFaults // between service and store
	hasher  *passhash.Hasher
	server  *web.Server
	log     *syncBuffer
	now     *atomic.Pointer[time.Time]
}

const (
	public       = "https://accounts.example.com"
	username     = "john_smith"
	address      = "john@example.com"
	deskPassword = "correct-horse"
)

// openDesk opens a desk with the user john_smith, whose first mail has been read.
func openDesk(t testing.TB, change ...func(*web.Config)) *desk {
	t.Helper()
	d := &desk{t: t, log: new(syncBuffer), now: new(atomic.Pointer[time.Time])}
	begin := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	d.now.Store(&begin)
	logger := slog.New(slog.NewJSONHandler(d.log, &slog.HandlerOptions{Level: slog.LevelDebug}))

	db := dbtest.SQLite(t)
	cache := auth.NewSessionCache()
	db.Cache, db.Now, db.Logger = cache, d.clock, logger
	var err error
	if d.store, err = sqlstore.Open(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	d.faults = &tokenFaults{Store: d.store}
	d.hasher, err = passhash.New(passhash.Config{Params: passhash.Params{MemoryKiB: 64, Passes: 1, Lanes: 1}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = d.hasher.Close()
		_ = d.store.Close()
	})
	d.service, err = auth.New(auth.Config{
		Store: d.faults, Identities: d.store, Codes: d.store, SignUps: d.store, Limits: d.store, AuditLog: d.store, Cache: cache, Hasher: d.hasher, Mailer: noMailer{}, Logger: logger, Now: d.clock,
		PublicURL: public, PlaceholderDomain: dbtest.PlaceholderDomain, PasswordMinLength: 8,
		CommonPassword: func(s string) bool { return s == "password1" },
		SessionIdle:    time.Hour, GuestIdle: time.Hour, AuditKeep: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := web.Config{Service: d.service, Now: d.clock, Logger: logger, PublicURL: public, AppName: "Ideaegg", PasswordMinLength: 8}
	for _, f := range change {
		f(&cfg)
	}
	if d.server, err = web.New(cfg); err != nil {
		t.Fatal(err)
	}
	d.signUp(username, address)
	return d
}

// in returns the desk for a subtest.
func (d *desk) in(t testing.TB) *desk {
	other := *d
	other.t = t
	return &other
}

// tokenFaults fails to find one-time tokens while it has a fault.
type tokenFaults struct {
	auth.Store
	fault atomic.Pointer[error]
}

// FindOneTimeToken implements auth.Store.
func (f *tokenFaults) FindOneTimeToken(ctx context.Context, p auth.Purpose, h auth.TokenHash, now time.Time) (auth.OneTimeToken, auth.User, error) {
	if fault := f.fault.Load(); fault != nil {
		return auth.OneTimeToken{}, auth.User{}, *fault
	}
	return f.Store.FindOneTimeToken(ctx, p, h, now)
}

// noMailer leaves messages in the outbox, from where letters takes them.
type noMailer struct{}

func (noMailer) Wake() {}

func (d *desk) clock() time.Time { return *d.now.Load() }

func (d *desk) later(by time.Duration) {
	t := d.clock().Add(by)
	d.now.Store(&t)
}

var origin = auth.Origin{Language: auth.English}

// signUp creates a user and throws the first mail away.
func (d *desk) signUp(username, address string) auth.SignedIn {
	d.t.Helper()
	in := auth.SignUp{Username: username, Email: address, Password: deskPassword, PasswordConfirmation: deskPassword}
	signedIn, err := d.service.SignUp(d.t.Context(), in, nil, origin)
	if err != nil {
		d.t.Fatal(err)
	}
	d.letters()
	return signedIn
}

func (d *desk) signsIn(login, deskPassword string) bool {
	d.t.Helper()
	_, err := d.service.SignIn(d.t.Context(), login, deskPassword, origin)
	return err == nil
}

func (d *desk) current(token auth.SessionToken) auth.Current {
	d.t.Helper()
	current, err := d.service.Authenticate(d.t.Context(), token)
	if err != nil {
		d.t.Fatal(err)
	}
	return *current
}

// letters takes what waits in the outbox.
func (d *desk) letters() []auth.Letter {
	d.t.Helper()
	waiting, err := d.store.LeaseMail(d.t.Context(), d.clock(), d.clock().Add(time.Minute), 100)
	if err != nil {
		d.t.Fatal(err)
	}
	var letters []auth.Letter
	for _, m := range waiting {
		if letter, err := d.service.ComposeLetter(d.t.Context(), m); err == nil {
			letters = append(letters, letter)
		}
		if err := d.store.RemoveMail(d.t.Context(), m.ID); err != nil {
			d.t.Fatal(err)
		}
	}
	return letters
}

// letter takes the one letter of this kind that waits.
func (d *desk) letter(kind auth.MailKind) auth.Letter {
	d.t.Helper()
	var found []auth.Letter
	for _, l := range d.letters() {
		if l.Kind == kind {
			found = append(found, l)
		}
	}
	if len(found) != 1 {
		d.t.Fatalf("got %d letters of kind %s, want 1", len(found), kind)
	}
	return found[0]
}

// resetLink asks for a reset and returns the mailed link, as path and query.
func (d *desk) resetLink() string {
	d.t.Helper()
	if err := d.service.RequestReset(d.t.Context(), address, origin); err != nil {
		d.t.Fatal(err)
	}
	return d.link(d.letter(auth.MailResetPassword))
}

func (d *desk) verifyLink() string {
	d.t.Helper()
	signedIn, err := d.service.SignIn(d.t.Context(), username, deskPassword, origin)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := d.service.RequestVerification(d.t.Context(), d.current(signedIn.Token), origin); err != nil {
		d.t.Fatal(err)
	}
	return d.link(d.letter(auth.MailVerifyEmail))
}

func (d *desk) changeLink(address string) string {
	d.t.Helper()
	signedIn, err := d.service.SignIn(d.t.Context(), username, deskPassword, origin)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := d.service.RequestEmailChange(d.t.Context(), d.current(signedIn.Token), address, deskPassword, origin); err != nil {
		d.t.Fatal(err)
	}
	return d.link(d.letter(auth.MailVerifyEmail))
}

func (d *desk) undoLink() string {
	d.t.Helper()
	link := d.changeLink("other@example.com")
	if got := d.post("/account/verify_email", url.Values{"token": {tokenIn(link)}}); got.status != http.StatusSeeOther {
		d.t.Fatalf("got status %d, want the change confirmed", got.status)
	}
	return d.link(d.letter(auth.MailEmailChanged))
}

func (d *desk) link(l auth.Letter) string {
	d.t.Helper()
	path, ok := strings.CutPrefix(l.Link, public)
	if !ok {
		d.t.Fatalf("got a link that does not begin with %s, want one that does", public)
	}
	return path
}

// token returns the token of a link.
func tokenIn(link string) string {
	_, token, _ := strings.Cut(link, "token=")
	return token
}

// page is an answer.
type page struct {
	status int
	header http.Header
	body   string
}

// has checks that the page has all of these texts.
func (p page) has(t *testing.T, status int, texts ...string) {
	t.Helper()
	if p.status != status {
		t.Errorf("got status %d, want %d", p.status, status)
	}
	for _, text := range texts {
		if !strings.Contains(p.body, text) {
			_, main, _ := strings.Cut(p.body, "<main>")
			t.Errorf("got no %q in the page, want it:\n%s", text, main)
		}
	}
}

// leadsTo checks that the answer sends the browser to another page.
func (p page) leadsTo(t *testing.T, path string) {
	t.Helper()
	if got := p.header.Get("Location"); p.status != http.StatusSeeOther || got != path {
		t.Errorf("got status %d and location %q, want 303 and %q:\n%s", p.status, got, path, p.body)
	}
}

// header is a header field of a request.
type header struct{ name, value string }

func (d *desk) do(method, target string, body io.Reader, headers ...header) page {
	d.t.Helper()
	return d.doIn(d.t.Context(), method, target, body, headers...)
}

func (d *desk) doIn(ctx context.Context, method, target string, body io.Reader, headers ...header) page {
	d.t.Helper()
	r := httptest.NewRequestWithContext(ctx, method, target, body)
	r.Host = "accounts.example.com"
	for _, h := range headers {
		if h.name == "Host" {
			r.Host = h.value
			continue
		}
		r.Header.Add(h.name, h.value)
	}
	w := httptest.NewRecorder()
	d.server.ServeHTTP(w, r)
	return page{w.Code, w.Header(), w.Body.String()}
}

func (d *desk) get(target string, headers ...header) page {
	d.t.Helper()
	return d.do(http.MethodGet, target, nil, headers...)
}

var formType = header{"Content-Type", "application/x-www-form-urlencoded"}

// post sends a form as a browser does from the page itself.
func (d *desk) post(path string, form url.Values, headers ...header) page {
	d.t.Helper()
	return d.do(http.MethodPost, path, strings.NewReader(form.Encode()), append(headers, formType)...)
}

// fill takes the form of a page as it stands there, types into its inputs, and sends it where it leads.
func (d *desk) fill(p page, typed map[string]string) page {
	d.t.Helper()
	m := regexp.MustCompile(`(?s)<form method="post" action="([^"]+)".*?</form>`).FindStringSubmatch(p.body)
	if m == nil {
		d.t.Fatalf("got no form, want one:\n%s", p.body)
	}
	form := make(url.Values)
	for _, input := range regexp.MustCompile(`<input[^>]*>`).FindAllString(m[0], -1) {
		form.Set(attribute(input, "name"), attribute(input, "value"))
	}
	for name, value := range typed {
		if !form.Has(name) {
			d.t.Fatalf("got no input %q, want one:\n%s", name, m[0])
		}
		form.Set(name, value)
	}
	return d.post(m[1], form)
}

func attribute(tag, name string) string {
	m := regexp.MustCompile(` ` + name + `="([^"]*)"`).FindStringSubmatch(tag)
	if m == nil {
		return ""
	}
	return m[1]
}

// syncBuffer is a log for several goroutines.
type syncBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
