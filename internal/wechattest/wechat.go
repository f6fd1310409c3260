// Package wechattest is a stand-in for WeChat: its sign-in calls and pages, for tests and for people who develop. It
// shares no code with package wechat, so that a mistake there is not made twice.
//
// It knows apps, people and what it gave out to them, and is as strict as WeChat about codes (once, a few minutes, one
// app), tokens and quotas; its answers have the documented members, the types of content and the error texts with an id of
// the request at the end. It can be told to misbehave (Fail), its clock can be moved (Advance), it keeps all requests
// (Requests), and it notices secrets in places where they do not belong (Violations).
//
// The sources are those that package wechat names. What no page says is decided here and marked with "undocumented".
//
// It keeps everything in memory and is for loopback only: anybody may sign in as anybody.
package wechattest

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"regexp"
	"sync"
	"time"
)

// Config is what New needs. The zero value is right for tests.
type Config struct {
	// Seed makes openids and unionids the same in every stand-in that has it; "" means random ones.
	Seed string

	// Now is the clock, to which Advance adds; nil means time.Now.
	Now func() time.Time
}

// Paths that the stand-in answers.
const (
	PathMiniProgramCode = "/sns/jscode2session"
	PathCode            = "/sns/oauth2/access_token"
	PathVerify          = "/sns/auth"
	PathProfile         = "/sns/userinfo"
	PathAppToken        = "/cgi-bin/stable_token"
	PathPhone           = "/wxa/business/getuserphonenumber"
	PathQRConnect       = "/connect/qrconnect"
	PathAuthorize       = "/connect/oauth2/authorize"
)

// Kind is a kind of app.
type Kind string

// The kinds of apps.
const (
	Mobile          Kind = "mobile"
	Website         Kind = "website"
	MiniProgram     Kind = "mini_program"
	OfficialAccount Kind = "official_account"
)

// App is an app that WeChat knows.
type App struct {
	ID     string // AddApp makes one if it is empty
	Secret string // likewise
	Kind   Kind
	Name   string

	// Group is the Open Platform account that the app is bound to; "" means none, and then nobody has a unionid in it.
	Group string

	// RedirectHost is the one host, with its port, that the pages may send a browser back to; "" means any.
	RedirectHost string
}

// Person is somebody with WeChat on the phone.
type Person struct {
	ID          string // AddPerson makes one if it is empty
	Nickname    string
	AvatarURL   string
	CountryCode string // "" means "86"
	PhoneNumber string // digits without the country code; "" means that there is no number to show

	// Blocked people get errcode 40226 from PathMiniProgramCode.
	Blocked bool
}

// WeChat is the stand-in, an http.Handler. Its methods may be called at the same time. Those that are given an app or
// a person that was not added panic: the test is wrong.
type WeChat struct {
	seed   []byte
	now    func() time.Time
	routes map[string]endpoint
	closed chan struct{}
	close  func()

	mu         sync.Mutex
	ahead      time.Duration // what Advance added
	apps       []*app        // in the order in which they were added
	people     []*Person
	codes      map[string]*code
	userTokens map[string]*userToken
	quotas     map[string]int // per minute: by path for each app, and for each person at PathMiniProgramCode
	used       map[string]int // of the quotas in the minute of usedAt
	usedAt     time.Time
	failures   map[string]*failure
	requests   []Request
	violations []string
}

// app is an App with what belongs to it.
type app struct {
	App
	deniedIP  bool
	tokens    []*appToken // those that may still be valid, the newest last
	refreshed []time.Time // when a token was forced, in the last day
}

var idPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// New returns a stand-in without apps and people.
func New(cfg Config) *WeChat {
	if cfg.Seed == "" {
		cfg.Seed = rand.Text()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	w := &WeChat{
		seed: []byte(cfg.Seed), now: cfg.Now, closed: make(chan struct{}),
		codes: make(map[string]*code), userTokens: make(map[string]*userToken),
		failures: make(map[string]*failure),
		quotas: map[string]int{
			PathMiniProgramCode: 100, // 小程序登录凭证校验: for each person
			PathCode:            50_000,
			PathProfile:         50_000,
			PathAppToken:        10_000,
		},
		used: make(map[string]int),
	}
	w.close = sync.OnceFunc(func() { close(w.closed) })
	w.routes = map[string]endpoint{
		PathMiniProgramCode: {http.MethodGet, "text/plain", ", ", w.exchangeMiniProgramCode},
		PathCode:            {http.MethodGet, "text/plain", ", ", w.exchangeCode},
		PathVerify:          {http.MethodGet, "text/plain", ", ", w.verify},
		PathProfile:         {http.MethodGet, "text/plain", ", ", w.profile},
		PathAppToken:        {http.MethodPost, "application/json; encoding=utf-8", " ", w.appToken},
		PathPhone:           {http.MethodPost, "application/json; encoding=utf-8", " ", w.phoneNumber},
	}
	return w
}

// Close lets go of requests that are kept hanging. Those that come later are answered.
func (w *WeChat) Close() { w.close() }

// AddApp adds an app and returns it with its id and secret.
func (w *WeChat) AddApp(a App) App {
	if a.ID == "" {
		a.ID = "wx" + randomHex(8)
	}
	if a.Secret == "" {
		a.Secret = randomHex(16)
	}
	switch a.Kind {
	case Mobile, Website, MiniProgram, OfficialAccount:
	default:
		panic(fmt.Sprintf("wechattest: App.Kind is %q", a.Kind))
	}
	if !idPattern.MatchString(a.ID) {
		panic(fmt.Sprintf("wechattest: App.ID is %q", a.ID))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.findApp(a.ID) != nil {
		panic("wechattest: there is an app " + a.ID)
	}
	w.apps = append(w.apps, &app{App: a})
	return a
}

// AddPerson adds a person and returns them with their id.
func (w *WeChat) AddPerson(p Person) Person {
	if p.ID == "" {
		p.ID = "person-" + randomHex(4)
	}
	if p.CountryCode == "" {
		p.CountryCode = "86"
	}
	if !idPattern.MatchString(p.ID) {
		panic(fmt.Sprintf("wechattest: Person.ID is %q", p.ID))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.findPerson(p.ID) != nil {
		panic("wechattest: there is a person " + p.ID)
	}
	w.people = append(w.people, &p)
	return p
}

// Apps returns all apps in the order in which they were added.
func (w *WeChat) Apps() []App {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]App, 0, len(w.apps))
	for _, a := range w.apps {
		all = append(all, a.App)
	}
	return all
}

// People returns all people in the order in which they were added.
func (w *WeChat) People() []Person {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]Person, 0, len(w.people))
	for _, p := range w.people {
		all = append(all, *p)
	}
	return all
}

// BindGroup binds the app to an Open Platform account; "" ends that.
func (w *WeChat) BindGroup(a App, group string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mustApp(a).Group = group
}

// ResetSecret gives the app a new secret and returns it. The old one is refused from now on.
func (w *WeChat) ResetSecret(a App) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.mustApp(a)
	known.Secret = randomHex(16)
	return known.Secret
}

// DenyAddress takes the caller's address off the app's list: what needs the app's secret answers errcode 40164.
func (w *WeChat) DenyAddress(a App) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mustApp(a).deniedIP = true
}

// Block makes WeChat refuse the person at PathMiniProgramCode.
func (w *WeChat) Block(p Person) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mustPerson(p).Blocked = true
}

// SetQuota sets how many requests a minute a path takes of each app, or of each person for PathMiniProgramCode. Beyond
// it the answer is errcode 45011.
func (w *WeChat) SetQuota(path string, perMinute int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.quotas[path] = perMinute
}

// Advance moves the clock on.
func (w *WeChat) Advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ahead += d
}

// Now returns the stand-in's time.
func (w *WeChat) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.time()
}

// time returns the time; the caller holds mu, as for everything below.
func (w *WeChat) time() time.Time { return w.now().Add(w.ahead).UTC() }

func (w *WeChat) findApp(id string) *app {
	for _, a := range w.apps {
		if a.ID == id {
			return a
		}
	}
	return nil
}

func (w *WeChat) findPerson(id string) *Person {
	for _, p := range w.people {
		if p.ID == id {
			return p
		}
	}
	return nil
}

func (w *WeChat) mustApp(a App) *app {
	known := w.findApp(a.ID)
	if known == nil {
		panic("wechattest: no such app: " + a.ID)
	}
	return known
}

func (w *WeChat) mustPerson(p Person) *Person {
	known := w.findPerson(p.ID)
	if known == nil {
		panic("wechattest: no such person: " + p.ID)
	}
	return known
}

// takes counts a request for the quota of path that who shares, and reports false if it is used up.
func (w *WeChat) takes(path, who string) bool {
	limit, ok := w.quotas[path]
	if !ok {
		return true
	}
	if minute := w.time().Truncate(time.Minute); !minute.Equal(w.usedAt) {
		w.usedAt = minute
		clear(w.used)
	}
	key := path + " " + who
	w.used[key]++
	return w.used[key] <= limit
}
