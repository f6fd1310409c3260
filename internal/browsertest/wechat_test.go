package browsertest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/ideaegg/latchkey/internal/wechattest"
)

// TestSignInOverWeChatsPage goes the whole way: from a website to WeChat's page, back to us and on to the website, which
// exchanges what it gets. The cookie on the way is Secure, which chromium takes from a loopback host without TLS.
func TestSignInOverWeChatsPage(t *testing.T) {
	t.Parallel()
	weChat := wechattest.NewServer(t, wechattest.Config{})
	app := weChat.AddApp(wechattest.App{Kind: wechattest.Website, Name: "Ideaegg"})
	person := weChat.AddPerson(wechattest.Person{Nickname: "小伟"})
	website := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		icon := `<!doctype html><html lang="en"><title>Ideaegg</title><link rel="icon" href="data:,">`
		_, _ = io.WriteString(w, icon+"<h1>You are back</h1><p>"+map[bool]string{true: "referred", false: "not referred"}[r.Referer() != ""])
	}))
	t.Cleanup(website.Close)
	back := website.URL + "/back?from=wechat"
	p := start(t, "--wechat-api="+weChat.URL, "--wechat-redirects="+back,
		fmt.Sprintf(`--wechat-apps=[{"app_id":%q,"secret":%q,"kind":"website"}]`, app.ID, app.Secret))
	b := open(t, p, english.language)
	b.expect(weChat.URL, website.URL)
	begin := p.url + "/sign_in_with/wechat/authorize?" + url.Values{"redirect_to": {back}, "state": {"the-website's-own"}}.Encode()

	b.visit(begin)
	b.says("Confirm as 小伟")
	b.load(click(fmt.Sprintf("button[value=%q]", person.ID)))
	b.heading("You are back")
	b.says("not referred")
	at, err := url.Parse(eval[string](b, "location.href"))
	if err != nil {
		t.Fatal(err)
	}
	query := at.Query()
	if got := at.Scheme + "://" + at.Host + at.Path; got != website.URL+"/back" || query.Get("from") != "wechat" || query.Get("state") != "the-website's-own" {
		t.Errorf("got %s, want the website's address with its state", at)
	}
	user := p.must(http.StatusOK, http.MethodPost, "/sign_in_with/code", "", map[string]string{"code": query.Get("code")})
	p.must(http.StatusOK, http.MethodGet, "/user", fmt.Sprint(user["private_token"]), nil)
	p.must(http.StatusUnauthorized, http.MethodPost, "/sign_in_with/code", "", map[string]string{"code": query.Get("code")})
	if cookies := eval[string](b, "document.cookie"); cookies != "" {
		t.Errorf("a script can read the cookies %q", cookies)
	}

	// Two tabs, and then the first comes back a second time.
	b.visit(begin)
	first := eval[string](b, "location.href")
	b.visit(begin)
	b.load(click(fmt.Sprintf("button[value=%q]", person.ID)))
	b.heading("You are back")
	b.visit(first)
	b.load(click(fmt.Sprintf("button[value=%q]", person.ID)))
	b.heading("You are back")
	state := stateOf(t, first)
	b.visit(p.url + "/sign_in_with/wechat/callback?code=" + weChat.Code(app, person) + "&state=" + state)
	b.heading("This sign-in is over")
	b.accessible("sign_in_over")
	b.picture("sign_in_over")

	b.visit(p.url + "/sign_in_with/wechat/authorize?redirect_to=" + url.QueryEscape("https://evil.example/"))
	b.heading("This sign-in cannot begin")
	b.says("redirect_to is not supported.")
	b.accessible("bad_sign_in")
	b.picture("bad_sign_in")
}

// stateOf is the state that WeChat's page sends back.
func stateOf(t *testing.T, page string) string {
	t.Helper()
	u, err := url.Parse(page)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("state")
}
