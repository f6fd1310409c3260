package browsertest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/wechattest"
)

// website is a server with the page that README.md has for people to copy, and the backend that this page talks to.
type website struct {
	url  string
	page string
	sent chan []byte // to the backend
}

func newWebsite(t *testing.T) *website {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```html\n(.*?)```").FindSubmatch(readme)
	if block == nil {
		t.Fatal("README.md has no page to copy")
	}
	w := &website{page: string(block[1]), sent: make(chan []byte, 10)}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

// ServeHTTP implements http.Handler.
func (w *website) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		body, _ := io.ReadAll(r.Body)
		w.sent <- body
		return
	}
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	referred := map[bool]string{true: "referred", false: "not referred"}[r.Referer() != ""]
	_, _ = io.WriteString(rw, `<!doctype html><html lang="en"><title>Ideaegg</title><link rel="icon" href="data:,"><h1>Ideaegg</h1><p>`+referred+"</p>"+w.page)
}

// TestSignInOverWeChatsPage goes the whole way: from a website to WeChat's page, back to us and on to the website, whose
// backend exchanges what it gets. The cookie on the way is Secure, which chromium takes from a loopback host without TLS.
func TestSignInOverWeChatsPage(t *testing.T) {
	t.Parallel()
	weChat := wechattest.NewServer(t, wechattest.Config{})
	app := weChat.AddApp(wechattest.App{Kind: wechattest.Website, Name: "Ideaegg"})
	person := weChat.AddPerson(wechattest.Person{Nickname: "小伟"})
	w := newWebsite(t)
	p := start(t, "--wechat-api="+weChat.URL, "--wechat-redirects="+w.url+"/",
		fmt.Sprintf(`--wechat-apps=[{"app_id":%q,"secret":%q,"kind":"website"}]`, app.ID, app.Secret))
	w.page = strings.NewReplacer("http://127.0.0.1:8080", p.url, "http://127.0.0.1:3000", w.url, "wx-website", app.ID).Replace(w.page)
	b := open(t, p, english.language)
	b.expect(weChat.URL, w.url)

	b.visit(w.url)
	b.load(click("#wechat"))
	b.says("Confirm as 小伟")
	confirm := click(fmt.Sprintf("button[value=%q]", person.ID))
	b.load(confirm)
	b.heading("Ideaegg")
	b.says("not referred")
	var exchange map[string]string
	select {
	case body := <-w.sent:
		if err := json.Unmarshal(body, &exchange); err != nil {
			t.Fatalf("the website's backend got %q", body)
		}
	case <-time.After(patience):
		t.Fatal("the website's backend got nothing")
	}
	b.path("/")
	p.must(http.StatusUnauthorized, http.MethodPost, "/sign_in_with/code", "", map[string]string{"code": "x" + exchange["code"]})
	user := p.must(http.StatusOK, http.MethodPost, "/sign_in_with/code", "", exchange)
	p.must(http.StatusOK, http.MethodGet, "/user", fmt.Sprint(user["private_token"]), nil)
	p.must(http.StatusUnauthorized, http.MethodPost, "/sign_in_with/code", "", exchange)
	begin := p.url + "/sign_in_with/wechat/authorize?redirect_to=" + url.QueryEscape(w.url+"/")

	// Two tabs, and then the first comes back a second time.
	b.visit(begin)
	first := eval[string](b, "location.href")
	b.visit(begin)
	b.load(confirm)
	b.heading("Ideaegg")
	b.visit(first)
	b.load(confirm)
	b.heading("Ideaegg")
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
