package web_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/apitest"
	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/wechattest"
)

const (
	signedInAt = "https://app.example.com/signed-in?tab=1&x=%2F"
	inApp      = "com.example.app:/signed-in"
)

var browserOptions = apitest.Options{WeChatRedirects: []string{signedInAt, inApp}}

// newBrowserService starts a service with a WeChat of its own.
func newBrowserService(t *testing.T) (*apitest.Server, *stage) {
	t.Helper()
	w, o := newStage(t), browserOptions
	o.WeChat = w.Server
	return apitest.OnSQLite(t, o), w
}

// traveller is a browser on its way over WeChat's page: it keeps cookies and follows nothing by itself.
type traveller struct {
	t       *testing.T
	s       *apitest.Server
	w       *stage
	cookies map[string]string
}

func newTraveller(t *testing.T, s *apitest.Server, w *stage) *traveller {
	return &traveller{t: t, s: s, w: w, cookies: make(map[string]string)}
}

// stop is what a traveller gets to see at one address.
type stop struct {
	status int
	header http.Header
	body   string
}

// location is where the browser is sent.
func (p stop) location() *url.URL {
	u, err := url.Parse(p.header.Get("Location"))
	if err != nil {
		panic(err)
	}
	return u
}

// get asks for a path below the base path. It fails the test for cookies that are not as they must be.
func (b *traveller) get(path string, headers ...string) stop {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.s.URL+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(b.cookies)) {
		r.Header.Add("Cookie", name+"="+b.cookies[name])
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range answer.Cookies() {
		if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge > 600 {
			b.t.Errorf("got cookie %s, want it for this host and HTTP alone", c)
		}
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c.Value
		}
	}
	for header, want := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"} {
		if got := answer.Header.Get(header); got != want {
			b.t.Errorf("%s: got %s %q, want %q", path, header, got, want)
		}
	}
	return stop{answer.StatusCode, answer.Header, string(body)}
}

// begin goes to WeChat's page and returns the state that WeChat is to send back.
func (b *traveller) begin(parameters url.Values) (state string) {
	b.t.Helper()
	p := b.get("/sign_in_with/wechat/authorize?" + parameters.Encode())
	if p.status != http.StatusFound {
		b.t.Fatalf("got %d, want to be sent to WeChat: %s", p.status, p.body)
	}
	return p.location().Query().Get("state")
}

// back comes back from WeChat.
func (b *traveller) back(code, state string) stop {
	b.t.Helper()
	return b.get("/sign_in_with/wechat/callback?" + url.Values{"code": {code}, "state": {state}}.Encode())
}

// request is what an app asks for that wants somebody to sign in at the website, with more parameters.
func (w *stage) request(more ...string) url.Values {
	values := url.Values{"app_id": {w.website.ID}, "redirect_to": {signedInAt}}
	for i := 0; i < len(more); i += 2 {
		values.Set(more[i], more[i+1])
	}
	return values
}

// arrive goes the whole way and returns the code that the app gets.
func (b *traveller) arrive(parameters url.Values) string {
	b.t.Helper()
	state := b.begin(parameters)
	p := b.back(b.w.Code(b.w.website, b.w.wei), state)
	code := p.location().Query().Get("code")
	if p.status != http.StatusFound || code == "" {
		b.t.Fatalf("got %d %s, want to be sent to the app with a code", p.status, p.header.Get("Location"))
	}
	return code
}

func wantUnproven(t *testing.T, a apitest.Answer) {
	t.Helper()
	if p := a.Problem(); a.Status != http.StatusUnauthorized || p.Code != latchkey.CodeInvalidCredentials {
		t.Errorf("got %d %s, want 401 %s", a.Status, a.Body, latchkey.CodeInvalidCredentials)
	}
}

// wantPage fails the test unless people are shown a page and sent nowhere.
func wantPage(t *testing.T, p stop, status int, text string) {
	t.Helper()
	if p.status != status || p.header.Get("Location") != "" || !strings.HasPrefix(p.header.Get("Content-Type"), "text/html") || !strings.Contains(p.body, text) {
		t.Errorf("got %d, Location %q and %s, want %d and a page with %q", p.status, p.header.Get("Location"), p.body, status, text)
	}
}

func TestBrowserSignsInOverWeChatsPage(t *testing.T) {
	t.Parallel()
	for _, basePath := range []string{"", "/api/v2"} {
		o := browserOptions
		o.BasePath = basePath
		eachWithWeChat(t, o, func(t *testing.T, s *apitest.Server, w *stage) {
			for _, app := range []wechattest.App{w.website, w.official} {
				b := newTraveller(t, s, w)
				p := b.get("/sign_in_with/wechat/authorize?" + w.request("app_id", app.ID, "state", "the app's own: ü=&").Encode())
				if p.status != http.StatusUnprocessableEntity {
					t.Errorf("got %d for a state with a letter that is not ASCII, want 422", p.status)
				}
				p = b.get("/sign_in_with/wechat/authorize?" + w.request("app_id", app.ID, "state", "the app's own: =&").Encode())
				page := p.location()
				wantPath, wantScope := wechattest.PathQRConnect, "snsapi_login"
				if app.Kind == wechattest.OfficialAccount {
					wantPath, wantScope = wechattest.PathAuthorize, "snsapi_userinfo"
				}
				if p.status != http.StatusFound || !strings.HasPrefix(page.String(), w.URL+wantPath+"?") || page.Query().Get("scope") != wantScope {
					t.Errorf("got %d and %s, want to be sent to %s with %s", p.status, page, wantPath, wantScope)
				}
				if got, want := page.Query().Get("redirect_uri"), apitest.PublicURL+basePath+"/sign_in_with/wechat/callback"; got != want {
					t.Errorf("got redirect_uri %q, want %q", got, want)
				}

				p = b.back(w.Code(app, w.wei), page.Query().Get("state"))
				at := p.location()
				code := at.Query().Get("code")
				want := signedInAt + "&" + url.Values{"code": {code}, "state": {"the app's own: =&"}}.Encode()
				if p.status != http.StatusFound || at.String() != want || len(code) != 32 {
					t.Errorf("got %d and %s, want 302 and %s with a code", p.status, at, want)
				}
				if len(b.cookies) != 0 {
					t.Errorf("got the cookies %v left, want none", b.cookies)
				}

				first := s.Post("/sign_in_with/code", object{"code": code})
				wantMembers(t, first, wechatMembers)
				wantAlive(t, s, first.Token())
				again := s.Post("/sign_in_with/wechat", w.body(app, w.wei))
				if first.ID() != again.ID() {
					t.Errorf("got users %d and %d, want one whichever way they come", first.ID(), again.ID())
				}
			}
		})
	}
}

// The session is created by the exchange, and until then nobody is: what a browser does alone leaves no user behind.
func TestBrowserAloneCreatesNobody(t *testing.T) {
	t.Parallel()
	eachWithWeChat(t, browserOptions, func(t *testing.T, s *apitest.Server, w *stage) {
		code := newTraveller(t, s, w).arrive(w.request("redirect_to", inApp))
		somebody := signUp(t, s, "somebody")
		a := s.Post("/sign_in_with/code", object{"code": code})
		if a.ID() != somebody.ID()+1 {
			t.Errorf("got user %d, want it created after user %d", a.ID(), somebody.ID())
		}
	})
}

func TestCodeOfABrowserWorksOnceAndForAMinute(t *testing.T) {
	t.Parallel()
	eachWithWeChat(t, browserOptions, func(t *testing.T, s *apitest.Server, w *stage) {
		b := newTraveller(t, s, w)
		code := b.arrive(w.request())
		want(t, s.Post("/sign_in_with/code", object{"code": code}), http.StatusOK)
		wantUnproven(t, s.Post("/sign_in_with/code", object{"code": code}))
		for _, body := range []object{{}, {"code": ""}, {"code": nil}, {"code": code + "x"}, {"code": strings.Repeat("x", 5000)}, {"code": w.Code(w.website, w.wei)}} {
			wantUnproven(t, s.Liberal().Post("/sign_in_with/code", body))
		}
		wantInvalid(t, s.Post("/sign_in_with/code", object{"code": 7}), "code invalid")

		code = b.arrive(w.request())
		answers := atOnce(20, func(int) apitest.Answer { return s.Post("/sign_in_with/code", object{"code": code}) })
		if ok := withStatus(answers, http.StatusOK); len(ok) != 1 {
			t.Errorf("%d of 20 exchanged the code, want 1", len(ok))
		}
		if refused := withStatus(answers, http.StatusUnauthorized); len(refused) != 19 {
			t.Errorf("%d of 20 were refused, want 19", len(refused))
		}

		code = b.arrive(w.request())
		s.Clock.Advance(time.Minute)
		wantUnproven(t, s.Post("/sign_in_with/code", object{"code": code}))
		for _, path := range []string{"/user", "/user?code=" + code} {
			wantUnauthorized(t, s.Get(path, apitest.Bearing(code)))
		}
	})
}

func TestGuestIsUpgradedByTheCodeOfABrowser(t *testing.T) {
	t.Parallel()
	eachWithWeChat(t, browserOptions, func(t *testing.T, s *apitest.Server, w *stage) {
		guest := s.Post("/sign_up_temporarily", nil)
		b := newTraveller(t, s, w)
		code := b.arrive(w.request())
		wantUnauthorized(t, s.Post("/sign_in_with/code", object{"code": code}, apitest.Bearing(guest.Token()+"x"))) // and the code is still good
		a := s.Post("/sign_in_with/code", object{"code": code}, apitest.Bearing(guest.Token()))
		want(t, a, http.StatusOK)
		if a.ID() != guest.ID() {
			t.Errorf("got user %d, want the guest %d", a.ID(), guest.ID())
		}
		wantDead(t, s, guest.Token())

		other := s.Post("/sign_up_temporarily", nil)
		conflict := s.Post("/sign_in_with/code", object{"code": b.arrive(w.request())}, apitest.Bearing(other.Token()))
		if conflict.Status != http.StatusConflict {
			t.Errorf("got %d %s, want 409", conflict.Status, conflict.Body)
		}
		wantAlive(t, s, other.Token())
	})
}

func TestCodeNeedsTheVerifierOfItsChallenge(t *testing.T) {
	t.Parallel()
	// RFC 7636 appendix B.
	const verifier, challenge = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	eachWithWeChat(t, browserOptions, func(t *testing.T, s *apitest.Server, w *stage) {
		b := newTraveller(t, s, w)
		bound := w.request("code_challenge", challenge, "code_challenge_method", "S256")
		want(t, s.Post("/sign_in_with/code", object{"code": b.arrive(bound), "code_verifier": verifier}), http.StatusOK)
		for _, wrong := range []any{nil, "", challenge, verifier[1:] + "A", verifier + "\n", strings.Repeat("a", 129), "plain"} {
			code := b.arrive(bound)
			body := object{"code": code, "code_verifier": wrong}
			wantUnproven(t, s.Liberal().Post("/sign_in_with/code", body))
			wantUnproven(t, s.Post("/sign_in_with/code", object{"code": code, "code_verifier": verifier})) // used up
		}
		// Somebody took the challenge away on the way to us: the app still sends its verifier.
		wantUnproven(t, s.Post("/sign_in_with/code", object{"code": b.arrive(w.request()), "code_verifier": verifier}))

		long := strings.Repeat("a", 128)
		hash := sha256.Sum256([]byte(long))
		bound.Set("code_challenge", base64.RawURLEncoding.EncodeToString(hash[:]))
		want(t, s.Post("/sign_in_with/code", object{"code": b.arrive(bound), "code_verifier": long}), http.StatusOK)
		short := strings.Repeat("a", 42)
		hash = sha256.Sum256([]byte(short))
		bound.Set("code_challenge", base64.RawURLEncoding.EncodeToString(hash[:]))
		wantUnproven(t, s.Post("/sign_in_with/code", object{"code": b.arrive(bound), "code_verifier": short}))
	})
}

// Whatever is wrong with what the app asked for: people are shown a page, and the browser is sent nowhere.
func TestBrowserIsNeverSentToWhatIsNotConfigured(t *testing.T) {
	t.Parallel()
	w := newStage(t)
	o := browserOptions
	o.WeChat, o.WeChatRedirects = w.Server, append(slices.Clone(o.WeChatRedirects), "https://app.example.com/")
	s := apitest.OnSQLite(t, o)
	b := newTraveller(t, s, w)
	const challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	refused := map[string]url.Values{
		"a mobile app":                  w.request("app_id", w.mobile.ID),
		"a mini program":                w.request("app_id", w.mini.ID),
		"an unknown app":                w.request("app_id", "wx_unknown"),
		"no app of two":                 w.request("app_id", ""),
		"a long state":                  w.request("state", strings.Repeat("x", 513)),
		"a state with a line break":     w.request("state", "a\r\nSet-Cookie: a=b"),
		"a challenge without a method":  w.request("code_challenge", challenge),
		"a plain challenge":             w.request("code_challenge", challenge, "code_challenge_method", "plain"),
		"a method without a challenge":  w.request("code_challenge_method", "S256"),
		"a short challenge":             w.request("code_challenge", challenge[1:], "code_challenge_method", "S256"),
		"a padded challenge":            w.request("code_challenge", challenge+"=", "code_challenge_method", "S256"),
		"a challenge with a line break": w.request("code_challenge", challenge[1:]+"\n", "code_challenge_method", "S256"),
		"a challenge with stray bits":   w.request("code_challenge", challenge[:42]+"N", "code_challenge_method", "S256"),
	}
	for name, redirect := range map[string]string{
		"nothing": "", "a prefix": signedInAt[:len(signedInAt)-1], "a suffix": signedInAt + "x", "another path": "https://app.example.com/signed-in",
		"other letters": strings.ToUpper(signedInAt), "a host in other letters": strings.Replace(signedInAt, "app.", "APP.", 1),
		"userinfo": "https://app.example.com@evil.example/", "userinfo of ours": "https://evil@app.example.com/",
		"no scheme": "//app.example.com/", "two slashes more": "https:////app.example.com/", "a backslash": `https://app.example.com\@evil.example/`,
		"backslashes": `https:\\app.example.com/`, "a line break": "https://app.example.com/\r\nLocation: https://evil.example", "a line break at the end": "https://app.example.com/\n",
		"a space": " https://app.example.com/", "a fragment": "https://app.example.com/#", "a port": "https://app.example.com:443/",
		"a dot": "https://app.example.com./", "a path of dots": "https://app.example.com/x/..", "encoded": "https%3A%2F%2Fapp.example.com%2F", "encoded letters": "https://app.example.com/%73igned-in?tab=1&x=%2F",
		"http": "http://app.example.com/", "a script": "javascript:alert(1)//https://app.example.com/", "data": "data:text/html,x", "another app": "com.example.app2:/signed-in",
		"the path alone": "/signed-in", "a NUL": "https://app.example.com/\x00", "two": signedInAt + "," + inApp, "a letter that looks alike": "https://app.ехample.com/", "ours": apitest.PublicURL + "/",
	} {
		refused["redirect_to: "+name] = w.request("redirect_to", redirect)
	}
	for name, parameters := range refused {
		t.Run(name, func(t *testing.T) {
			b := newTraveller(t, s, w)
			wantPage(t, b.get("/sign_in_with/wechat/authorize?"+parameters.Encode()), http.StatusUnprocessableEntity, "This sign-in cannot begin")
			if len(b.cookies) != 0 {
				t.Errorf("got the cookies %v, want none", b.cookies)
			}
		})
	}
	t.Run("a parameter twice", func(t *testing.T) {
		wantPage(t, b.get("/sign_in_with/wechat/authorize?"+w.request().Encode()+"&redirect_to="+url.QueryEscape(inApp)), http.StatusBadRequest, "")
		wantPage(t, b.get("/sign_in_with/wechat/authorize?"+w.request().Encode()+"&x=%zz"), http.StatusBadRequest, "")
	})
	t.Run("people read it in their language", func(t *testing.T) {
		wantPage(t, b.get("/sign_in_with/wechat/authorize", "Accept-Language: zh-CN"), http.StatusUnprocessableEntity, "无法开始登录")
		wantPage(t, b.get("/sign_in_with/wechat/callback", "Accept-Language: zh-CN"), http.StatusUnprocessableEntity, "此次登录已结束")
	})
	t.Run("without apps there is nothing", func(t *testing.T) {
		b := newTraveller(t, apitest.OnSQLite(t, apitest.Options{WeChatRedirects: browserOptions.WeChatRedirects}), w)
		wantPage(t, b.get("/sign_in_with/wechat/authorize?"+w.request("app_id", "").Encode()), http.StatusUnprocessableEntity, "This sign-in cannot begin")
		wantUnproven(t, b.s.Post("/sign_in_with/code", object{"code": "x"}))
	})
	if n := len(w.Requests()); n != 0 {
		t.Errorf("got %d requests to WeChat, want none", n)
	}
}

// Nobody can make a browser use somebody else's code: the state must be one that this browser was sent away with.
func TestStateBelongsToOneBrowserAndWorksOnce(t *testing.T) {
	t.Parallel()
	s, w := newBrowserService(t)
	const over = "This sign-in is over"
	// refused comes back to the browser with a code of WeChat's, which must not be used.
	refused := func(t *testing.T, b *traveller, state string) {
		t.Helper()
		code := w.Code(w.website, w.wei)
		before := len(w.Requests())
		wantPage(t, b.back(code, state), http.StatusUnprocessableEntity, over)
		if n := len(w.Requests()); n != before {
			t.Error("WeChat was asked, want the state looked at first")
		}
		want(t, s.Post("/sign_in_with/wechat", object{"app_id": w.website.ID, "code": code}), http.StatusOK) // it was still good
	}
	t.Run("missing and made up", func(t *testing.T) {
		b := newTraveller(t, s, w)
		state := b.begin(w.request())
		for _, wrong := range []string{"", "x", strings.ToLower(state), state[1:], state + "x", strings.Repeat("x", 5000)} {
			refused(t, b, wrong)
		}
		wantPage(t, b.get("/sign_in_with/wechat/callback?code=x&state="+state+"&state="+state), http.StatusBadRequest, "")
		if p := b.back(w.Code(w.website, w.wei), state); p.status != http.StatusFound {
			t.Errorf("got %d, want the browser's own state to work after all that", p.status)
		}
	})
	t.Run("of another browser", func(t *testing.T) {
		attacker, victim := newTraveller(t, s, w), newTraveller(t, s, w)
		refused(t, victim, attacker.begin(w.request()))
		victim.begin(w.request()) // with a cookie of its own
		refused(t, victim, attacker.begin(w.request()))
	})
	t.Run("with the cookie of another state", func(t *testing.T) {
		b := newTraveller(t, s, w)
		b.begin(w.request())
		var value string
		for _, v := range b.cookies {
			value = v
		}
		other := newTraveller(t, s, w)
		state := other.begin(w.request())
		for name := range other.cookies {
			other.cookies[name] = value
		}
		refused(t, other, state)
	})
	t.Run("used", func(t *testing.T) {
		b := newTraveller(t, s, w)
		state := b.begin(w.request())
		if p := b.back(w.Code(w.website, w.wei), state); p.status != http.StatusFound {
			t.Errorf("got %d, want 302", p.status)
		}
		refused(t, b, state)
	})
	t.Run("too old", func(t *testing.T) {
		b := newTraveller(t, s, w)
		state := b.begin(w.request())
		s.Clock.Advance(10 * time.Minute)
		refused(t, b, state)
	})
	t.Run("with a cookie that says it is younger than it can be", func(t *testing.T) {
		b := newTraveller(t, s, w)
		state := b.begin(w.request())
		b.change(func(v url.Values) { v.Set("expires", fmt.Sprint(s.Clock.Now().Add(time.Hour).Unix())) })
		refused(t, b, state)
	})
	t.Run("with a cookie that is none", func(t *testing.T) {
		for _, value := range []string{"", "x", "%zz", "expires=1&expires=2", strings.Repeat("a=b&", 500)} {
			b := newTraveller(t, s, w)
			state := b.begin(w.request())
			for name := range b.cookies {
				b.cookies[name] = value
			}
			refused(t, b, state)
		}
	})
	t.Run("two tabs", func(t *testing.T) {
		b := newTraveller(t, s, w)
		first, second := b.begin(w.request("state", "first")), b.begin(w.request("state", "second", "redirect_to", inApp))
		for _, tab := range []struct{ ours, apps, at string }{{first, "first", "https://app.example.com/"}, {second, "second", "com.example.app:/"}} {
			p := b.back(w.Code(w.website, w.wei), tab.ours)
			if got := p.location(); got.Query().Get("state") != tab.apps || got.Query().Get("code") == "" || !strings.HasPrefix(got.String(), tab.at) {
				t.Errorf("got %d and %s, want a code and state %s", p.status, got, tab.apps)
			}
		}
	})
	t.Run("the cookies are few and small", func(t *testing.T) {
		b := newTraveller(t, s, w)
		var last string
		for range 10 {
			last = b.begin(w.request("state", strings.Repeat("%", 512)))
			s.Clock.Advance(time.Second)
		}
		size := 0
		for name, value := range b.cookies {
			size += len(name) + len(value)
		}
		if len(b.cookies) != 4 || size > 12<<10 {
			t.Errorf("got %d cookies of %d bytes, want 4 and room for other headers", len(b.cookies), size)
		}
		if p := b.back(w.Code(w.website, w.wei), last); p.status != http.StatusFound {
			t.Errorf("got %d for the newest, want 302", p.status)
		}
	})
}

// change rewrites the browser's cookies, which it may do.
func (b *traveller) change(change func(url.Values)) {
	b.t.Helper()
	for name, value := range b.cookies {
		values, err := url.ParseQuery(value)
		if err != nil {
			b.t.Fatal(err)
		}
		change(values)
		b.cookies[name] = values.Encode()
	}
}

// What a cookie holds is checked as if it came for the first time.
func TestCookieIsNotBelieved(t *testing.T) {
	t.Parallel()
	s, w := newBrowserService(t)
	for name, change := range map[string]func(url.Values){
		"another redirect":    func(v url.Values) { v.Set("redirect_to", "https://evil.example/") },
		"a mobile app":        func(v url.Values) { v.Set("app_id", w.mobile.ID) },
		"an unknown app":      func(v url.Values) { v.Set("app_id", "wx_unknown") },
		"a broken state":      func(v url.Values) { v.Set("state", "a\nb") },
		"a plain challenge":   func(v url.Values) { v.Set("code_challenge", "x"); v.Set("code_challenge_method", "plain") },
		"no redirect at all":  func(v url.Values) { v.Set("redirect_to", "") },
		"a redirect and more": func(v url.Values) { v.Set("redirect_to", signedInAt+"\r\nX: y") },
	} {
		t.Run(name, func(t *testing.T) {
			for _, code := range []string{w.Code(w.website, w.wei), ""} {
				b := newTraveller(t, s, w)
				state := b.begin(w.request())
				b.change(change)
				wantPage(t, b.back(code, state), http.StatusUnprocessableEntity, "This sign-in cannot begin")
			}
		})
	}
	if n := len(w.Requests()); n != 0 {
		t.Errorf("got %d requests to WeChat, want none", n)
	}
}

func TestAppIsToldWhatWentWrongInTheBrowser(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		mode wechattest.Mode
		code func(w *stage) string
		want string
	}{
		"declined":            {code: func(*stage) string { return "" }, want: "access_denied"},
		"a made-up code":      {code: func(*stage) string { return "made-up" }, want: "access_denied"},
		"a code of other app": {code: func(w *stage) string { return w.Code(w.mobile, w.wei) }, want: "access_denied"},
		"a code and more":     {code: func(w *stage) string { return w.Code(w.website, w.wei) + "&appid=x" }, want: "access_denied"},
		"a snapshot user": {code: func(w *stage) string {
			return w.CodeWith(w.official, w.wei, wechattest.CodeOptions{Scope: wechattest.ScopeUserInfo, Snapshot: true})
		}, want: "access_denied"},
		"a blocked person": {mode: wechattest.Errcode(40226), want: "access_denied"},
		"a quota":          {mode: wechattest.Errcode(45011), want: "temporarily_unavailable"},
		"a hiccup":         {mode: wechattest.Errcode(-1), want: "temporarily_unavailable"},
		"a dead line":      {mode: wechattest.Reset, want: "temporarily_unavailable"},
		"a wrong secret":   {mode: wechattest.Errcode(40125), want: "server_error"},
		"nonsense":         {mode: wechattest.EmptyArray, want: "server_error"},
		"no openid":        {mode: wechattest.NoOpenID, want: "server_error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, w := newBrowserService(t)
			b := newTraveller(t, s, w)
			request := w.request("state", "xyz", "redirect_to", inApp)
			if name == "a snapshot user" {
				request.Set("app_id", w.official.ID)
			}
			state := b.begin(request)
			if tt.mode != "" {
				w.Fail(wechattest.PathCode, tt.mode)
			}
			if tt.code == nil {
				tt.code = func(w *stage) string { return w.Code(w.website, w.wei) }
			}
			p := b.back(tt.code(w), state)
			if got, want := p.header.Get("Location"), inApp+"?error="+tt.want+"&state=xyz"; p.status != http.StatusFound || got != want {
				t.Errorf("got %d and %q, want 302 and %q", p.status, got, want)
			}
			if got := p.header.Get("Retry-After"); got != "" {
				t.Errorf("got Retry-After %q, want none", got)
			}
			if tt.want == "server_error" && !strings.Contains(s.Log(), "request failed") {
				t.Error("the log says nothing to the operator")
			}
			if len(b.cookies) != 0 {
				t.Errorf("got the cookies %v left, want none", b.cookies)
			}
		})
	}
}

func TestLookingUsesNoBrowserSignInUp(t *testing.T) {
	t.Parallel()
	s, w := newBrowserService(t)
	b := newTraveller(t, s, w)
	state := b.begin(w.request())
	for _, path := range []string{"/sign_in_with/wechat/authorize?" + w.request().Encode(), "/sign_in_with/wechat/callback?code=x&state=" + state} {
		for _, method := range []string{http.MethodHead, http.MethodPost, http.MethodPut} {
			r, err := http.NewRequestWithContext(context.Background(), method, s.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			for name, value := range b.cookies {
				r.Header.Add("Cookie", name+"="+value)
			}
			answer, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			if answer.StatusCode != http.StatusMethodNotAllowed || len(answer.Cookies()) != 0 {
				t.Errorf("%s %s: got %d and %d cookies, want 405 and none", method, path, answer.StatusCode, len(answer.Cookies()))
			}
		}
	}
	if p := b.back(w.Code(w.website, w.wei), state); p.status != http.StatusFound {
		t.Errorf("got %d, want the sign-in to go on", p.status)
	}
}

func TestNothingOfABrowserSignInIsLogged(t *testing.T) {
	t.Parallel()
	s, w := newBrowserService(t)
	b := newTraveller(t, s, w)
	state := b.begin(w.request("state", "state-of-the-app"))
	ofWeChat := w.Code(w.website, w.wei)
	code := b.back(ofWeChat, state).location().Query().Get("code")
	want(t, s.Post("/sign_in_with/code", object{"code": code}), http.StatusOK)
	for _, secret := range []string{state, ofWeChat, code, "state-of-the-app"} {
		if strings.Contains(s.Log(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}

func TestBrowserSignInsAndAppTokensAreAudited(t *testing.T) {
	t.Parallel()
	o := browserOptions
	o.ServerKeys = []string{"first-server-key"}
	eachWithWeChat(t, o, func(t *testing.T, s *apitest.Server, w *stage) {
		audit := &auditLog{s: s}
		expect := func(what string, want ...auth.AuditEvent) {
			t.Helper()
			if diff := cmp.Diff(want, audit.news(t), cmpopts.EquateComparable(netip.Addr{}), cmpopts.IgnoreFields(auth.AuditEvent{}, "ID", "At", "Session", "Token", "Origin")); diff != "" {
				t.Errorf("%s: events (-want +got):\n%s", what, diff)
			}
		}
		b := newTraveller(t, s, w)
		code := b.arrive(w.request())
		expect("a browser alone")
		first := s.Post("/sign_in_with/code", object{"code": code})
		expect("the first time", by(auth.AuditSignUp, first.ID(), auth.ProofWeChat))
		s.Post("/sign_in_with/code", object{"code": code})
		expect("a used code", refused(auth.AuditSignIn, auth.ReasonNoProof, 0, auth.ProofWeChat))
		s.Post("/sign_in_with/code", object{"code": b.arrive(w.request())})
		expect("later", by(auth.AuditSignIn, first.ID(), auth.ProofWeChat))
		b.back("made-up", b.begin(w.request()))
		expect("a code that WeChat does not know", refused(auth.AuditSignIn, auth.ReasonNoProof, 0, auth.ProofWeChat))
		b.back("made-up", "made-up")
		b.back("", b.begin(w.request()))
		expect("what is no proof at all")

		path := "/wechat/access_token?app_id=" + w.mini.ID
		token := s.Get(path, appTokenKey).Text("access_token")
		events := audit.news(t)
		if len(events) != 1 || events[0].Kind != auth.AuditWeChatTokenRead || events[0].Proof != auth.ProofServerKey ||
			events[0].Token == "" || strings.Contains(token, events[0].Token) {
			t.Errorf("got the events %+v, want one of a token that was read", events)
		}
		s.Get(path)
		expect("no key", refused(auth.AuditWeChatTokenRead, auth.ReasonNoProof, 0, ""))
	})
}
