package web_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/web"
)

const chosenPassword = "battery-staple"

func TestResetPageSetsThePassword(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	session, err := d.service.SignIn(t.Context(), username, deskPassword, origin)
	if err != nil {
		t.Fatal(err)
	}
	first, second := d.resetLink(), d.resetLink()

	form := d.get(first)
	form.has(t, http.StatusOK, "<h1>Set a new password</h1>", `value="john_smith"`, "At least 8 characters")
	done := d.fill(form, map[string]string{"password": chosenPassword, "password_confirmation": chosenPassword})
	done.leadsTo(t, "/account/password_changed")
	d.get("/account/password_changed").has(t, http.StatusOK, "<h1>Your new password is set</h1>")

	if d.signsIn(username, deskPassword) || !d.signsIn(username, chosenPassword) {
		t.Error("got the old password working or the new one not, want the new one only")
	}
	if _, err := d.service.Authenticate(t.Context(), session.Token); err == nil {
		t.Error("got a session that outlived the reset, want it ended")
	}
	for name, link := range map[string]string{"used": first, "outstanding": second} {
		d.get(link).has(t, http.StatusUnprocessableEntity, "<h1>This link does not work any more</h1>")
		again := d.post("/account/reset_password", url.Values{
			"token": {tokenIn(link)}, "password": {"another-one"}, "password_confirmation": {"another-one"},
		})
		again.has(t, http.StatusUnprocessableEntity, "<h1>This link does not work any more</h1>")
		if d.signsIn(username, "another-one") {
			t.Errorf("got the %s link working, want it dead", name)
		}
	}
}

// TestForgotPageIsTheSameForEveryAddress: it tells nobody who has an account.
func TestForgotPageIsTheSameForEveryAddress(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	if _, err := d.service.SignUpGuest(t.Context(), origin); err != nil {
		t.Fatal(err)
	}
	page := d.get("/account/forgot_password")
	page.has(t, http.StatusOK, "<h1>Forgot your password?</h1>", `autocomplete="email"`, `inputmode="email"`)
	var first http.Header
	for _, typed := range []string{address, "JOHN@Example.com", "  " + address + " ", "nobody@example.com", "someone@ideaegg.me"} {
		got := d.fill(page, map[string]string{"email": typed})
		got.leadsTo(t, "/account/mail_sent")
		got.header.Del("X-Request-Id")
		if first == nil {
			first = got.header
		}
		if diff := cmp.Diff(first, got.header); diff != "" || got.body != "" {
			t.Errorf("answer for %q differs (-first +got):\n%s%s", typed, diff, got.body)
		}
	}
	d.get("/account/mail_sent").has(t, http.StatusOK, "<h1>Check your mail</h1>", "If there is an account with this address")
	if n := len(d.letters()); n != 3 {
		t.Errorf("got %d letters, want 3: one for each spelling of the known address", n)
	}
}

func TestForgotPageRefusesWhatIsNoAddress(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	for typed, want := range map[string]string{
		"":                     "Enter your e-mail address.",
		"john":                 "This is not a complete e-mail address.",
		`"><script>x</script>`: "This is not a complete e-mail address.",
		strings.Repeat("a", 300) + "@example.com":   "E-mail address may have at most 64 characters before the @.",
		"abcd@" + strings.Repeat("a.", 124) + "com": "E-mail address may have at most 254 bytes.",
		"john@example.com\r\nBcc: x@example.com":    "This is not a complete e-mail address.",
	} {
		got := d.fill(d.get("/account/forgot_password"), map[string]string{"email": typed})
		got.has(t, http.StatusUnprocessableEntity, `role="alert"`, `<a href="#email">`+want+`</a>`, `<p class="fault" id="email-fault">`+want, `aria-invalid="true"`)
		if strings.Contains(got.body, "<script>") {
			t.Errorf("got a script in the page:\n%s", got.body)
		}
	}
	d.post("/account/forgot_password", url.Values{"email": {"john"}, "lang": {"zh-CN"}}).
		has(t, http.StatusUnprocessableEntity, "邮箱地址不完整或有误。", `value="john"`, `<html lang="zh-CN">`, `<input type="hidden" name="lang" value="zh-CN">`)
	if n := len(d.letters()); n != 0 {
		t.Errorf("got %d letters, want none", n)
	}
}

func TestPasswordRefusedByThePageLeavesTheLinkUsable(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	link := d.resetLink()
	tests := []struct {
		name, deskPassword, confirmation, field, want string
	}{
		{"too short", "seven77", "seven77", "password", "Take at least 8 characters for the new password."},
		{"empty", "", "", "password", "Choose a new password."},
		{"too long", strings.Repeat("x", 257), strings.Repeat("x", 257), "password", "Take at most 256 characters for the new password."},
		{"another confirmation", chosenPassword, "battery-stable", "password_confirmation", "The two passwords are not the same."},
		{"no confirmation", chosenPassword, "", "password_confirmation", "Enter the new password once more."},
		{"common", "password1", "password1", "password", "This password is too easy to guess. Choose another one."},
		{"own name", "John_Smith", "John_Smith", "password", "This password is too easy to guess. Choose another one."},
		{"own address", "john@example.com", "john@example.com", "password", "This password is too easy to guess. Choose another one."},
	}
	page := d.get(link)
	for _, tt := range tests {
		page = d.fill(page, map[string]string{"password": tt.deskPassword, "password_confirmation": tt.confirmation})
		page.has(t, http.StatusUnprocessableEntity, `role="alert"`, `<a href="#`+tt.field+`">`+tt.want+`</a>`, `id="`+tt.field+`-fault">`+tt.want,
			`value="john_smith"`, `<input type="hidden" name="token" value="`+tokenIn(link)+`">`)
		if tt.deskPassword != "" && strings.Contains(page.body, `value="`+tt.deskPassword) && tt.deskPassword != "john@example.com" {
			t.Errorf("%s: got what was typed in the page, want it sent back never", tt.name)
		}
	}
	d.fill(page, map[string]string{"password": chosenPassword, "password_confirmation": chosenPassword}).leadsTo(t, "/account/password_changed")
	if !d.signsIn(username, chosenPassword) {
		t.Error("got the new password refused, want it to work")
	}
}

// TestDeadLinksAllLookAlike: what is wrong with a link is nobody's business, and the way on is the same.
func TestDeadLinksAllLookAlike(t *testing.T) {
	t.Parallel()
	d := openDesk(t, func(c *web.Config) { c.LimitsOff = true }) // there are more than an address may try
	d.signUp("jane", "jane@example.com")
	expired := tokenIn(d.resetLink())
	d.later(31 * time.Minute)
	used := tokenIn(d.resetLink())
	d.post("/account/reset_password", url.Values{"token": {used}, "password": {chosenPassword}, "password_confirmation": {chosenPassword}}).
		leadsTo(t, "/account/password_changed")
	d.post("/account/reset_password", url.Values{"token": {tokenIn(d.resetLink())}, "password": {deskPassword}, "password_confirmation": {deskPassword}}).
		leadsTo(t, "/account/password_changed")
	good := make(map[string]string)
	good["/account/undo_email_change"] = tokenIn(d.undoLink())
	good["/account/verify_email"] = tokenIn(d.changeLink("new@example.com"))
	if err := d.service.RequestReset(t.Context(), "other@example.com", origin); err != nil { // it was changed above
		t.Fatal(err)
	}
	good["/account/reset_password"] = tokenIn(d.link(d.letter(auth.MailResetPassword)))
	for path, live := range good {
		t.Run(path, func(t *testing.T) {
			d := d.in(t)
			broken := map[string]string{
				"none": "", "used": used, "expired": expired, "unknown": strings.Repeat("A", 32),
				"shortened": live[:31], "lengthened": live + "A", "without its first": live[1:], "upper case": strings.ToUpper(live), "lower case": strings.ToLower(live),
				"space in front": " " + live, "line break behind": live + "\n", "NUL behind": live + "\x00", "doubled": live + live,
				"full stop behind": live + ".", "bracket behind": live + ">", "script": `"><script>alert(1)</script>`, "SQL": "' OR 1=1 --",
				"invalid UTF-8": "\xff\xfe", "huge": strings.Repeat("A", 4000), "path": "../../etc/passwd", "template": "{{.}}",
			}
			for other, foreign := range good {
				if other != path {
					broken["of "+other] = foreign
				}
			}
			want := normal(d.get(path + "?token=unknown"))
			want.has(t, http.StatusUnprocessableEntity, "<h1>This link does not work any more</h1>")
			for name, token := range broken {
				got := normal(d.get(path + "?token=" + url.QueryEscape(token)))
				if diff := cmp.Diff(want, got, cmp.AllowUnexported(page{})); diff != "" {
					t.Errorf("%s, by GET, looks different (-want +got):\n%s", name, diff)
				}
				if name == "invalid UTF-8" {
					continue // no form at all: 400
				}
				got = normal(d.post(path, url.Values{"token": {token}, "password": {"another-one"}, "password_confirmation": {"another-one"}}))
				if diff := cmp.Diff(want, got, cmp.AllowUnexported(page{})); diff != "" {
					t.Errorf("%s, by POST, looks different (-want +got):\n%s", name, diff)
				}
			}
			for name, target := range map[string]string{
				"no query": path, "two tokens": path + "?token=" + live + "&token=" + live, "broken escape": path + "?token=%zz" + live,
				"semicolon": path + "?x;token=" + live, "other name": path + "?Token=" + live,
			} {
				if diff := cmp.Diff(want, normal(d.get(target)), cmp.AllowUnexported(page{})); diff != "" {
					t.Errorf("%s looks different (-want +got):\n%s", name, diff)
				}
			}
			d.get(path+"?token="+live).has(t, http.StatusOK, `name="token" value="`+live+`"`)
		})
	}
}

// normal takes out what differs from one request to the next.
func normal(p page) page {
	p.header = p.header.Clone()
	p.header.Del("X-Request-Id")
	return p
}

// TestScannersUseNothingUp: mail programs and proxies follow links before people do.
func TestScannersUseNothingUp(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	reset := d.resetLink()
	visit := func(link string) {
		for range 10 {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				for _, h := range []header{{"Sec-Purpose", "prefetch"}, {"Purpose", "prefetch"}, {"X-Moz", "prefetch"}, {"User-Agent", "Mozilla/5.0 (compatible; bingbot/2.0)"}} {
					d.do(method, link, nil, h).has(t, http.StatusOK)
				}
			}
		}
	}
	visit(reset)
	d.fill(d.get(reset), map[string]string{"password": chosenPassword, "password_confirmation": chosenPassword}).leadsTo(t, "/account/password_changed")
	d.fill(d.get(d.resetLink()), map[string]string{"password": deskPassword, "password_confirmation": deskPassword}).leadsTo(t, "/account/password_changed")

	change := d.changeLink("new@example.com")
	visit(change)
	d.fill(d.get(change), nil).leadsTo(t, "/account/email_changed")
	undo := d.link(d.letter(auth.MailEmailChanged))
	visit(undo)
	d.fill(d.get(undo), nil).leadsTo(t, "/account/email_restored")
}

func TestCodePageSetsThePassword(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	if err := d.service.RequestReset(t.Context(), address, origin); err != nil {
		t.Fatal(err)
	}
	code := d.letter(auth.MailResetPassword).Code.Reveal()
	wrong := "00000000"
	if code == wrong {
		wrong = "00000001"
	}
	page := d.get("/account/enter_code")
	page.has(t, http.StatusOK, `autocomplete="one-time-code"`, `inputmode="numeric"`, `autocomplete="username"`, `autocomplete="new-password"`)
	page = d.fill(page, map[string]string{})
	page.has(t, http.StatusUnprocessableEntity, "Enter your e-mail address.", "Enter the code from the mail.", "Choose a new password.")

	typed := map[string]string{"email": address, "code": wrong, "password": chosenPassword, "password_confirmation": chosenPassword}
	page = d.fill(page, typed)
	page.has(t, http.StatusUnprocessableEntity, `<a href="#code">This code does not work. It is mistyped, used or too old.</a>`, `value="`+address+`"`, `value="`+wrong+`"`)

	typed["email"] = "nobody@example.com"
	d.fill(page, typed).has(t, http.StatusUnprocessableEntity, `<a href="#code">This code does not work. It is mistyped, used or too old.</a>`)

	typed["email"], typed["code"], typed["password"] = address, code, "short"
	page = d.fill(page, typed)
	page.has(t, http.StatusUnprocessableEntity, "Take at least 8 characters for the new password.")

	typed["code"], typed["password"] = " "+code[:4]+" "+wide(code[4:])+" ", chosenPassword
	d.fill(page, typed).leadsTo(t, "/account/password_changed")
	if !d.signsIn(username, chosenPassword) {
		t.Error("got the new password refused, want it to work")
	}
	d.fill(page, typed).has(t, http.StatusUnprocessableEntity, "This code does not work. It is mistyped, used or too old.")
}

// wide writes digits as input methods for Chinese may.
func wide(digits string) string {
	return strings.Map(func(r rune) rune { return r - '0' + '０' }, digits)
}

func TestFiveWrongCodesOnThePageKillTheCodeButNotTheLink(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	if err := d.service.RequestReset(t.Context(), address, origin); err != nil {
		t.Fatal(err)
	}
	letter := d.letter(auth.MailResetPassword)
	form := url.Values{"email": {address}, "password": {chosenPassword}, "password_confirmation": {chosenPassword}}
	for i := range auth.MaxCodeAttempts {
		guess := "0000000" + string(rune('0'+i))
		if guess == letter.Code.Reveal() {
			guess = "99999999"
		}
		form.Set("code", guess)
		d.post("/account/enter_code", form).has(t, http.StatusUnprocessableEntity)
	}
	form.Set("code", letter.Code.Reveal())
	d.post("/account/enter_code", form).has(t, http.StatusUnprocessableEntity, "This code does not work. It is mistyped, used or too old.")
	d.get(d.link(letter)).has(t, http.StatusOK, "<h1>Set a new password</h1>")
}

// TestTroubleWithHashingKeepsTheForm: once more is all that is needed.
func TestTroubleWithHashingKeepsTheForm(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	page := d.get(d.resetLink())
	if err := d.hasher.Close(); err != nil {
		t.Fatal(err)
	}
	got := d.fill(page, map[string]string{"password": chosenPassword, "password_confirmation": chosenPassword})
	got.has(t, http.StatusServiceUnavailable, `role="alert"`, "The service is not available just now.", `value="john_smith"`, `name="token"`)
	if got.header.Get("Retry-After") == "" {
		t.Error("got no Retry-After, want one")
	}
	if !strings.Contains(d.log.String(), got.header.Get("X-Request-Id")) {
		t.Error("got nothing about the request in the log, want its reason there")
	}
}

func TestPagesWithoutADatabaseSaySo(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	link := d.resetLink()
	gone, cancel := context.WithCancel(t.Context()) // a database that does not answer in time looks the same
	cancel()
	form := func(path string) page {
		return d.doIn(gone, http.MethodPost, path, strings.NewReader("lang=zh-CN&email=john@example.com&token="+tokenIn(link)), formType)
	}
	for name, got := range map[string]page{
		"link": d.doIn(gone, http.MethodGet, link, nil),
		"undo": d.doIn(gone, http.MethodGet, "/account/undo_email_change?token="+tokenIn(link), nil),
	} {
		got.has(t, http.StatusServiceUnavailable, "<h1>One moment, please</h1>", "your link still works", "<code>"+got.header.Get("X-Request-Id")+"</code>")
		if got.header.Get("Retry-After") == "" {
			t.Errorf("%s: got no Retry-After, want one", name)
		}
	}
	for _, path := range []string{"/account/reset_password", "/account/verify_email", "/account/undo_email_change"} {
		form(path).has(t, http.StatusServiceUnavailable, "<h1>请稍候</h1>", "链接仍然有效")
	}
	form("/account/forgot_password").has(t, http.StatusServiceUnavailable, "服务暂时不可用，请稍后重试。", `value="john@example.com"`)
	d.get(link).has(t, http.StatusOK)
	if err := d.store.Close(); err != nil {
		t.Fatal(err)
	}
	d.get(link).has(t, http.StatusServiceUnavailable, "<h1>One moment, please</h1>", "your link still works")
	if strings.Contains(d.log.String(), tokenIn(link)) {
		t.Error("got the token in the log")
	}
}

// TestUnforeseenErrorsTellNothing: the reason is in the log, under the id that the page shows.
func TestUnforeseenErrorsTellNothing(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	link := d.resetLink()
	fault := errors.New("no such column: secret-detail")
	d.faults.fault.Store(&fault)
	got := d.get(link)
	id := got.header.Get("X-Request-Id")
	got.has(t, http.StatusInternalServerError, "<h1>That was our fault</h1>", "<code>"+id+"</code>")
	if strings.Contains(got.body, tokenIn(link)) || strings.Contains(got.body, "secret-detail") {
		t.Errorf("got the token or the reason in the page:\n%s", got.body)
	}
	if log := d.log.String(); !strings.Contains(log, id) || !strings.Contains(log, "secret-detail") || strings.Contains(log, tokenIn(link)) {
		t.Errorf("got this log, want request id and reason in it, and no token:\n%s", log)
	}
}
