package web_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/web"
)

// pages are those that need no link.
var pages = []string{
	"/account/forgot_password", "/account/mail_sent", "/account/enter_code", "/account/password_changed",
	"/account/email_verified", "/account/email_changed", "/account/email_restored",
}

// forms are where pages post to.
var forms = []string{"/account/forgot_password", "/account/enter_code", "/account/reset_password", "/account/verify_email", "/account/undo_email_change"}

// TestPagesCarryTheirHeaders checks all of them, on pages that tell of errors too.
func TestPagesCarryTheirHeaders(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	answers := map[string]page{
		"set password": d.get(d.resetLink()),
		"verify":       d.get(d.verifyLink()),
		"undo":         d.get(d.undoLink()),
		"dead link":    d.get("/account/reset_password?token=x"),
		"fault":        d.post("/account/forgot_password", nil),
		"no page":      d.get("/account/nothing"),
		"method":       d.do(http.MethodDelete, "/account/forgot_password", nil),
		"cross-origin": d.post("/account/forgot_password", nil, header{"Sec-Fetch-Site", "cross-site"}),
		"media type":   d.do(http.MethodPost, "/account/forgot_password", strings.NewReader("{}"), header{"Content-Type", "application/json"}),
	}
	for _, path := range pages {
		answers[path] = d.get(path)
	}
	want := map[string]string{
		"Content-Type":               "text/html; charset=utf-8",
		"Content-Language":           "en",
		"Content-Security-Policy":    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		"Referrer-Policy":            "no-referrer",
		"Cache-Control":              "no-store",
		"X-Content-Type-Options":     "nosniff",
		"Cross-Origin-Opener-Policy": "same-origin",
		"X-Robots-Tag":               "noindex",
	}
	for name, p := range answers {
		for field, value := range want {
			if got := p.header.Values(field); len(got) != 1 || got[0] != value {
				t.Errorf("%s: got %s %q, want %q", name, field, got, value)
			}
		}
		if p.header.Get("X-Request-Id") == "" || p.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: got request id %q and cookie %q, want an id and no cookie", name, p.header.Get("X-Request-Id"), p.header.Get("Set-Cookie"))
		}
	}
}

func TestFormsOfOtherOriginsAreRefused(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	refused := map[string][]header{
		"another site":                        {{"Sec-Fetch-Site", "cross-site"}},
		"another site that claims to be ours": {{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}, {"Referer", public + "/account/reset_password"}},
		"another host of our site":            {{"Sec-Fetch-Site", "same-site"}, {"Origin", "https://www.example.com"}},
		"a word that browsers do not say":     {{"Sec-Fetch-Site", "Same-Origin"}},
		"old browser, another host":           {{"Origin", "https://evil.example"}},
		"old browser, our name in front":      {{"Origin", "https://accounts.example.com.evil.example"}},
		"old browser, our name as user":       {{"Origin", "https://accounts.example.com@evil.example"}},
		"old browser, another port":           {{"Origin", "https://accounts.example.com:8443"}},
		"old browser, sandboxed frame":        {{"Origin", "null"}},
		"old browser, nonsense":               {{"Origin", "%%%"}},
		"old browser, data":                   {{"Origin", "data:"}},
	}
	accepted := map[string][]header{
		"our own page":                       {{"Sec-Fetch-Site", "same-origin"}, {"Origin", "null"}}, // no-referrer makes it null
		"typed or from an app":               {{"Sec-Fetch-Site", "none"}},
		"old browser, our own page":          {{"Origin", public}},
		"a program":                          nil,
		"our own page behind a proxy's host": {{"Origin", public}, {"X-Forwarded-Host", "accounts.example.com"}},
	}
	reset, verify, undo := tokenIn(d.resetLink()), "", tokenIn(d.undoLink())
	verify = tokenIn(d.changeLink("new@example.com"))
	form := func(path string) url.Values {
		return url.Values{
			"email": {"no address"}, "password": {chosenPassword}, "password_confirmation": {chosenPassword},
			"token": {map[string]string{"/account/reset_password": reset, "/account/verify_email": verify, "/account/undo_email_change": undo}[path]},
		}
	}
	for _, path := range forms {
		for name, headers := range refused {
			got := d.post(path, form(path), headers...)
			got.has(t, http.StatusForbidden, "<h1>This form came from somewhere else</h1>")
			if strings.Contains(got.body, "evil") {
				t.Errorf("%s: got something of the request in the page:\n%s", name, got.body)
			}
		}
	}
	for name, headers := range accepted {
		if got := d.post("/account/forgot_password", url.Values{"email": {address}}, headers...); got.status != http.StatusSeeOther {
			t.Errorf("%s: got status %d, want the form accepted", name, got.status)
		}
	}
	if !d.signsIn(username, deskPassword) || d.user(username, deskPassword).Email != "other@example.com" {
		t.Error("got something done by a form that was refused")
	}
	// Nothing was used up either; the reset goes last, because it ends the others.
	for _, path := range []string{"/account/verify_email", "/account/undo_email_change"} {
		if got := d.get(path + "?token=" + form(path).Get("token")); got.status != http.StatusOK {
			t.Errorf("%s: got status %d, want the link usable", path, got.status)
		}
	}
}

// TestReadingFromAnotherSiteIsAllowed: a link in a web mailer is cross-site.
func TestReadingFromAnotherSiteIsAllowed(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	d.get(d.resetLink(), header{"Sec-Fetch-Site", "cross-site"}, header{"Referer", "https://mail.example/"}).has(t, http.StatusOK, "<h1>Set a new password</h1>")
}

func TestOnlyPlainFormsAreRead(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	const good = "email=nobody@example.com"
	tests := []struct {
		name, body string
		headers    []header
		status     int
		heading    string
	}{
		{"form", good, []header{formType}, http.StatusSeeOther, ""},
		{"form that says UTF-8", good, []header{{"Content-Type", "application/x-www-form-urlencoded; charset=UTF-8"}}, http.StatusSeeOther, ""},
		{"form of another charset", good, []header{{"Content-Type", "application/x-www-form-urlencoded; charset=gbk"}}, http.StatusUnsupportedMediaType, "could not be read"},
		{"JSON", `{"email":"nobody@example.com"}`, []header{{"Content-Type", "application/json"}}, http.StatusUnsupportedMediaType, "could not be read"},
		{"multipart", "--x\r\n", []header{{"Content-Type", "multipart/form-data; boundary=x"}}, http.StatusUnsupportedMediaType, "could not be read"},
		{"text", good, []header{{"Content-Type", "text/plain"}}, http.StatusUnsupportedMediaType, "could not be read"},
		{"no type", good, nil, http.StatusUnsupportedMediaType, "could not be read"},
		{"no type and nothing", "", nil, http.StatusUnsupportedMediaType, "could not be read"},
		{"broken type", good, []header{{"Content-Type", ";;"}}, http.StatusUnsupportedMediaType, "could not be read"},
		{"compressed", good, []header{formType, {"Content-Encoding", "gzip"}}, http.StatusUnsupportedMediaType, "could not be read"},
		{"16 KiB", good + "&x=" + strings.Repeat("x", 16<<10-len(good)-3), []header{formType}, http.StatusSeeOther, ""},
		{"a byte more", good + "&x=" + strings.Repeat("x", 16<<10-len(good)-2), []header{formType}, http.StatusRequestEntityTooLarge, "too much"},
		{"a megabyte", strings.Repeat("x", 1<<20), []header{formType}, http.StatusRequestEntityTooLarge, "too much"},
		{"a megabyte of JSON", strings.Repeat("x", 1<<20), []header{{"Content-Type", "application/json"}}, http.StatusRequestEntityTooLarge, "too much"},
		{"broken escape", "email=%zz", []header{formType}, http.StatusBadRequest, "could not be read"},
		{"semicolon", "email=a;b=c", []header{formType}, http.StatusBadRequest, "could not be read"},
		{"input twice", good + "&email=x@example.com", []header{formType}, http.StatusBadRequest, "could not be read"},
		{"not UTF-8", "email=%ff%fe", []header{formType}, http.StatusBadRequest, "could not be read"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := d.in(t).do(http.MethodPost, "/account/forgot_password", strings.NewReader(tt.body), tt.headers...)
			got.has(t, tt.status, tt.heading)
			if tt.status != http.StatusSeeOther && !strings.Contains(got.body, "</html>") {
				t.Errorf("got no page, want one: %q", got.body)
			}
		})
	}
}

func TestPagesTakeTheirOwnMethodsOnly(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	link := d.resetLink()
	for path, want := range map[string]string{
		"/account/forgot_password": "GET, HEAD, POST", "/account/reset_password": "GET, HEAD, POST", "/account/mail_sent": "GET, HEAD", "/account/style.css": "GET, HEAD",
	} {
		for _, method := range []string{http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, http.MethodTrace, "BREW"} {
			got := d.do(method, path, strings.NewReader("token="+tokenIn(link)), formType)
			got.has(t, http.StatusMethodNotAllowed, "<h1>There is nothing here</h1>")
			if allow := got.header.Get("Allow"); allow != want {
				t.Errorf("%s %s: got Allow %q, want %q", method, path, allow, want)
			}
		}
	}
	// What frameworks let a form say, this one does not.
	for _, h := range []header{{"X-HTTP-Method-Override", "DELETE"}, {"X-HTTP-Method", "PUT"}, {"X-Method-Override", "GET"}} {
		d.post("/account/forgot_password", url.Values{"email": {"nobody@example.com"}, "_method": {"put"}}, h).leadsTo(t, "/account/mail_sent")
		d.get(link+"&_method=post&password="+chosenPassword+"&password_confirmation="+chosenPassword, h).has(t, http.StatusOK, "<h1>Set a new password</h1>")
	}
	if !d.signsIn(username, deskPassword) {
		t.Error("got the password changed, want it as it was")
	}
}

// TestPostReadsItsBodyOnly: what stands in the URL of a form counts for nothing.
func TestPostReadsItsBodyOnly(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	link := d.resetLink()
	d.post(link+"&password="+chosenPassword+"&password_confirmation="+chosenPassword, url.Values{}).has(t, http.StatusUnprocessableEntity, "This link does not work any more")
	d.get(link).has(t, http.StatusOK)
}

func TestPagesSpeakTheLanguageThatIsAskedFor(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	chinese, english := `<html lang="zh-CN">`, `<html lang="en">`
	tests := []struct {
		name, target, accept, want string
	}{
		{"nothing asked", "/account/forgot_password", "", english},
		{"browser in Chinese", "/account/forgot_password", "zh-CN,zh;q=0.9,en;q=0.8", chinese},
		{"browser in traditional Chinese", "/account/forgot_password", "zh-TW,zh;q=0.9", chinese},
		{"browser in German", "/account/forgot_password", "de", english},
		{"parameter beats the browser", "/account/forgot_password?lang=en", "zh-CN", english},
		{"parameter", "/account/forgot_password?lang=zh-CN", "", chinese},
		{"unknown parameter", "/account/forgot_password?lang=fr", "zh-CN", chinese},
		{"parameter in other letters", "/account/forgot_password?lang=zh-cn", "", english},
		{"parameter twice", "/account/forgot_password?lang=zh-CN&lang=en", "", english},
		{"parameter with markup", "/account/forgot_password?lang=%22%3E%3Cscript%3E", "", english},
		{"page that does not exist", "/account/nothing?lang=zh-CN", "", chinese},
		{"dead link", "/account/verify_email?token=x&lang=zh-CN", "", chinese},
	}
	for _, tt := range tests {
		got := d.get(tt.target, header{"Accept-Language", tt.accept})
		if !strings.Contains(got.body, tt.want) {
			t.Errorf("%s: got no %s, want it", tt.name, tt.want)
		}
		if strings.Contains(got.body, "<script") {
			t.Errorf("%s: got a script:\n%s", tt.name, got.body)
		}
	}
}

func TestChosenLanguageIsKept(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	page := d.get("/account/forgot_password?lang=zh-CN")
	page.has(t, http.StatusOK, `<input type="hidden" name="lang" value="zh-CN">`, `href="/account/enter_code?lang=zh-CN"`)
	sent := d.fill(page, map[string]string{"email": address})
	sent.leadsTo(t, "/account/mail_sent?lang=zh-CN")
	d.get(sent.header.Get("Location")).has(t, http.StatusOK, "请查收邮件", `href="/account/enter_code?lang=zh-CN"`)
	letter := d.letter(auth.MailResetPassword)
	if letter.Origin.Language != auth.SimplifiedChinese {
		t.Errorf("got the letter in %s, want it in the page's language", letter.Origin.Language)
	}
	page = d.get(d.link(letter) + "&lang=zh-CN")
	page = d.fill(page, map[string]string{"password": "short", "password_confirmation": "short"})
	page.has(t, http.StatusUnprocessableEntity, "新密码至少需要 8 个字符。", `<html lang="zh-CN">`)
	done := d.fill(page, map[string]string{"password": chosenPassword, "password_confirmation": chosenPassword})
	done.leadsTo(t, "/account/password_changed?lang=zh-CN")

	// Who chose nothing carries nothing along.
	page = d.get("/account/forgot_password", header{"Accept-Language", "zh-CN"})
	if strings.Contains(page.body, "lang=zh-CN") || strings.Contains(page.body, `name="lang" value="zh-CN">`) {
		t.Errorf("got a language carried along that nobody chose:\n%s", page.body)
	}
	// The language is chosen with a form, so that no link holds the token.
	link := d.resetLink()
	d.get(link).has(t, http.StatusOK, `<form class="languages" method="get"`, `<input type="hidden" name="token" value="`+tokenIn(link)+`">`, `<button name="lang" value="zh-CN"`)
}

// TestNothingOfTheRequestIsInLinks: a mailed link or a page must not lead where a header says.
func TestNothingOfTheRequestIsInLinks(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	hostile := []header{
		{"Host", "evil.example"},
		{"X-Forwarded-Host", "evil.example"},
		{"X-Forwarded-Proto", "http"},
		{"X-Forwarded-Prefix", "/evil"},
		{"Forwarded", "host=evil.example;proto=http"},
		{"X-Host", "evil.example"},
		{"X-Original-URL", "/evil"},
		{"X-Rewrite-URL", "/evil"},
		{"Referer", "https://evil.example/"},
	}
	link := d.resetLink()
	const redirects = "redirect=https://evil.example&redirect_uri=https://evil.example&return_to=//evil.example&next=//evil.example&app_url=javascript:evil&url=evil&continue=evil&token_=evil"
	targets := []string{link + "&" + redirects, "/account/nothing?" + redirects, "/account/evil"}
	for _, path := range append(pages, forms...) {
		targets = append(targets, path+"?"+redirects)
	}
	for _, target := range targets {
		got := d.get(target, hostile...)
		if strings.Contains(got.body, "evil") || strings.Contains(strings.Join(got.header.Values("Location"), ""), "evil") {
			t.Errorf("%s: got something of the request in the answer:\n%v\n%s", target, got.header, got.body)
		}
	}
	d.post("/account/forgot_password?"+redirects, url.Values{"email": {address}, "next": {"https://evil.example"}}, hostile[1:]...).leadsTo(t, "/account/mail_sent")
	if letter := d.letter(auth.MailResetPassword); !strings.HasPrefix(letter.Link, public+"/account/reset_password?token=") {
		t.Error("got a mailed link that leads elsewhere than the public URL")
	}
}

func TestHostileParametersAreInert(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	for _, text := range []string{
		`"><script>alert(1)</script>`, `' onmouseover='alert(1)`, `</title><svg onload=alert(1)>`, "{{.Token}}", "${7*7}", "\x00\x01\x1b[31m", "\u202etxt.exe",
		"\r\nSet-Cookie: a=b", "javascript:alert(1)", strings.Repeat("A", 1500), "%00%0d%0a", "٠١٢٣", "\ufeff",
	} {
		q := url.QueryEscape(text)
		for _, path := range append(pages, forms...) {
			got := d.get(path + "?token=" + q + "&lang=" + q + "&email=" + q + "&" + q + "=" + q)
			got.inert(t, path, text)
		}
		for _, path := range forms {
			form := url.Values{"token": {text}, "lang": {text}, "email": {text}, "code": {text}, "password": {text}, "password_confirmation": {text}, "username": {text}, text: {text}}
			got := d.post(path, form)
			got.inert(t, path, text)
			if got.status != http.StatusUnprocessableEntity {
				t.Errorf("%s with %.30q: got status %d, want 422", path, text, got.status)
			}
		}
	}
}

func (p page) inert(t *testing.T, path, text string) {
	t.Helper()
	for _, banned := range []string{"<script", "<svg onload", "' onmouseover", "onmouseover='", "\x00", "\x1b", "\u202e"} {
		if strings.Contains(p.body, banned) {
			t.Errorf("%s with %.30q: got %q in the page", path, text, banned)
		}
	}
	if p.header.Get("Set-Cookie") != "" || p.status >= http.StatusInternalServerError {
		t.Errorf("%s with %.30q: got status %d and cookie %q", path, text, p.status, p.header.Get("Set-Cookie"))
	}
}

func TestTokensAndWhatIsTypedAreNeverLogged(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	link := d.resetLink()
	secrets := []string{tokenIn(link), chosenPassword, "wrong-password-77"}
	page := d.get(link)
	d.do(http.MethodPut, link, nil)
	d.get("/account/nothing" + strings.TrimPrefix(link, "/account/reset_password"))
	d.get("/account/" + tokenIn(link))
	d.do(http.MethodPost, link, strings.NewReader("%zz"+tokenIn(link)), formType)
	d.post(link, url.Values{"token": {tokenIn(link)}}, header{"Sec-Fetch-Site", "cross-site"})
	d.fill(page, map[string]string{"password": "wrong-password-77", "password_confirmation": chosenPassword})
	d.fill(page, map[string]string{"password": chosenPassword, "password_confirmation": chosenPassword})
	d.get(link)
	log := d.log.String()
	if !strings.Contains(log, `"route":"/account/reset_password"`) {
		t.Fatalf("got no line for the page, want one:\n%s", log)
	}
	for i, secret := range secrets {
		if strings.Contains(log, secret) {
			t.Errorf("got secret %d in the log, want none:\n%s", i, log)
		}
	}
}

func TestPathsWithoutAPageAnswerWithAPage(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	for _, path := range []string{"/account", "/account/", "/account/nothing", "/account/reset_password/", "/account/a/b/c", "/account/logo", "/account/..%2fuser", "/account/%3Cscript%3E"} {
		got := d.get(path)
		got.has(t, http.StatusNotFound, "<h1>There is nothing here</h1>", `href="/account/forgot_password"`, `href="/account/style.css"`)
		if strings.Contains(got.body, "script") {
			t.Errorf("%s: got the path in the page:\n%s", path, got.body)
		}
	}
	for _, path := range []string{"/accounts", "/nothing", "/dev/mail"} { // programs come there
		got := d.get(path)
		if got.status != http.StatusNotFound || got.header.Get("Content-Type") != "application/problem+json" || !json.Valid([]byte(got.body)) {
			t.Errorf("%s: got status %d of type %s, want a problem document", path, got.status, got.header.Get("Content-Type"))
		}
	}
}

func TestFilesOfPagesAreAskedForAgain(t *testing.T) {
	t.Parallel()
	logo := web.Logo{MediaType: "image/svg+xml", Content: []byte(`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`)}
	d := openDesk(t, func(c *web.Config) { c.Logo = logo })
	for path, mediaType := range map[string]string{"/account/style.css": "text/css; charset=utf-8", "/account/icon.svg": "image/svg+xml", "/account/logo": "image/svg+xml"} {
		got := d.get(path)
		got.has(t, http.StatusOK)
		for field, want := range map[string]string{
			"Content-Type": mediaType, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff",
			"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
		} {
			if got := got.header.Get(field); got != want {
				t.Errorf("%s: got %s %q, want %q", path, field, got, want)
			}
		}
		tag := got.header.Get("ETag")
		if again := d.get(path, header{"If-None-Match", tag}); tag == "" || again.status != http.StatusNotModified || again.body != "" {
			t.Errorf("%s: got status %d for tag %q, want 304", path, again.status, tag)
		}
		if again := d.get(path, header{"If-None-Match", `"other"`}); again.status != http.StatusOK || again.body != got.body {
			t.Errorf("%s: got status %d for another tag, want the file", path, again.status)
		}
	}
	d.get("/account/forgot_password").has(t, http.StatusOK, `<img class="logo" src="/account/logo" alt="Ideaegg">`, `<link rel="icon" href="/account/logo">`)
}

func TestWayBackToTheApp(t *testing.T) {
	t.Parallel()
	d := openDesk(t, func(c *web.Config) { c.AppURL = "myapp://open?from=latchkey&x=1" })
	const link = `href="myapp://open?from=latchkey&amp;x=1"`
	for _, path := range append(pages, "/account/verify_email?token=x", "/account/nothing") {
		if got := d.get(path); strings.Count(got.body, link) != 1 {
			t.Errorf("%s: got %d links to the app, want 1:\n%s", path, strings.Count(got.body, link), got.body)
		}
	}
	if got := openDesk(t).get("/account/password_changed"); strings.Contains(got.body, "Back to") {
		t.Errorf("got a link to an app that has no address:\n%s", got.body)
	}
}

func TestAppNameIsText(t *testing.T) {
	t.Parallel()
	d := openDesk(t, func(c *web.Config) { c.AppName = `<script>alert("x")</script> & Söhne {title}` })
	for _, path := range pages {
		got := d.get(path)
		if strings.Contains(got.body, "<script") || !strings.Contains(got.body, "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt; &amp; Söhne {title}") {
			t.Errorf("%s: got the app's name as markup, or not at all:\n%s", path, got.body)
		}
	}
}

// TestPagesStayAtTheRoot whatever the base path of the API is: mailed links lead there.
func TestPagesStayAtTheRoot(t *testing.T) {
	t.Parallel()
	d := openDesk(t, func(c *web.Config) { c.BasePath = "/api/v2" })
	d.get("/account/forgot_password").has(t, http.StatusOK)
	if got := d.get("/api/v2/account/forgot_password"); got.status != http.StatusNotFound {
		t.Errorf("got status %d below the base path, want 404", got.status)
	}
}

// TestPagesWorkBehindAPathOfAProxy: the public URL may have a path, which the proxy takes away.
func TestPagesWorkBehindAPathOfAProxy(t *testing.T) {
	t.Parallel()
	d := openDesk(t, func(c *web.Config) { c.PublicURL = public + "/id" })
	d.get("/account/forgot_password").has(t, http.StatusOK, `action="/id/account/forgot_password"`, `href="/id/account/style.css"`, `href="/id/account/enter_code"`)
	d.post("/account/forgot_password", url.Values{"email": {address}}).leadsTo(t, "/id/account/mail_sent")
}

func TestEveryPageIsInTheTableOfRoutes(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	var got []string
	for _, r := range d.server.Table() {
		if strings.HasPrefix(r[1], "/account/") {
			got = append(got, r[0]+" "+r[1])
		}
	}
	want := []string{
		"GET /account/forgot_password", "POST /account/forgot_password", "GET /account/mail_sent",
		"GET /account/reset_password", "POST /account/reset_password", "GET /account/enter_code", "POST /account/enter_code", "GET /account/password_changed",
		"GET /account/confirm_sign_up", "POST /account/confirm_sign_up", "GET /account/signed_up",
		"GET /account/verify_email", "POST /account/verify_email", "GET /account/email_verified", "GET /account/email_changed",
		"GET /account/undo_email_change", "POST /account/undo_email_change", "GET /account/email_restored",
		"GET /account/style.css", "GET /account/icon.svg",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
}

// FuzzForm sends anything as a form: the answer is always a page, and never a failure.
func FuzzForm(f *testing.F) {
	d := openDesk(f, func(c *web.Config) { c.Logger, c.LimitsOff = slog.New(slog.DiscardHandler), true })
	f.Fuzz(func(t *testing.T, body string) {
		got := d.in(t).do(http.MethodPost, "/account/verify_email", strings.NewReader(body), formType)
		switch got.status {
		case http.StatusUnprocessableEntity, http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		default:
			t.Errorf("got status %d, want the form refused", got.status)
		}
		if !strings.HasSuffix(got.body, "</html>\n") || strings.Contains(got.body, "<script") {
			t.Errorf("got no page, or one with a script:\n%s", got.body)
		}
	})
}
