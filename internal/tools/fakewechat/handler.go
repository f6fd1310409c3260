package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"html/template"
	"io"
	"maps"
	"net/http"
	"slices"

	"github.com/ideaegg/latchkey/internal/wechattest"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// maxShown is how many requests and violations the page shows.
const maxShown = 20

// grant is something that a device could have got.
type grant struct {
	App    string `json:"app_id"`
	Person string `json:"person"`
	Code   string `json:"code,omitempty"`
	Phone  string `json:"phone_code,omitempty"`
	Token  string `json:"access_token,omitempty"`
	OpenID string `json:"uid,omitempty"`
}

// action is what a form asks for; the name stands in the path of the JSON calls and in the page's buttons.
type action func(f *fake, r *http.Request) (*grant, error)

func actions() map[string]action {
	return map[string]action{"code": (*fake).code, "phone_code": (*fake).phoneCode, "token": (*fake).token, "fail": (*fake).fail}
}

// handler returns what the stand-in answers: its own page and calls beside WeChat's.
func (f *fake) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", f.wechat)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { f.render(w, http.StatusOK, pageView{}) })
	mux.HandleFunc("POST /{$}", f.act)
	for name, do := range actions() {
		mux.HandleFunc("POST /fake/"+name, func(w http.ResponseWriter, r *http.Request) { f.answer(w, r, do) })
	}
	// Another site in the same browser has no business here.
	return new(http.CrossOriginProtection).Handler(mux)
}

// answer does an action and answers with JSON.
func (f *fake) answer(w http.ResponseWriter, r *http.Request, do action) {
	w.Header().Set("Content-Type", "application/json")
	got, err := do(f, r)
	var out any = got
	switch {
	case err != nil:
		w.WriteHeader(http.StatusBadRequest)
		out = map[string]string{"error": err.Error()}
	case got == nil:
		out = map[string]any{"failures": f.wechat.Failures()}
	case r.PostFormValue("plain") != "": // for shells: what was asked for and nothing else
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, got.Code+got.Phone+got.Token)
		return
	}
	_ = json.NewEncoder(w).Encode(out) // the client went away
}

// act does the action of a button and shows the page with what came of it.
func (f *fake) act(w http.ResponseWriter, r *http.Request) {
	do, ok := actions()[r.PostFormValue("action")]
	if !ok {
		f.render(w, http.StatusBadRequest, pageView{Fault: "there is no such action"})
		return
	}
	got, err := do(f, r)
	if err != nil {
		f.render(w, http.StatusBadRequest, pageView{Fault: err.Error()})
		return
	}
	f.render(w, http.StatusOK, pageView{Got: got})
}

func (f *fake) code(r *http.Request) (*grant, error) {
	a, p, err := f.chosen(r)
	if err != nil {
		return nil, err
	}
	if snapshot := r.PostFormValue("snapshot"); snapshot != "" {
		if a.Kind != wechattest.OfficialAccount {
			return nil, errors.New("only an official account has snapshot pages")
		}
		return &grant{App: a.ID, Person: p.ID, Code: f.wechat.CodeWith(a, p, wechattest.CodeOptions{Snapshot: true})}, nil
	}
	return &grant{App: a.ID, Person: p.ID, Code: f.wechat.Code(a, p)}, nil
}

func (f *fake) phoneCode(r *http.Request) (*grant, error) {
	a, p, err := f.chosen(r)
	switch {
	case err != nil:
		return nil, err
	case a.Kind != wechattest.MiniProgram:
		return nil, errors.New("only a mini program gets phone codes")
	case p.PhoneNumber == "":
		return nil, errors.New("this person has no phone number")
	}
	return &grant{App: a.ID, Person: p.ID, Phone: f.wechat.PhoneCode(a, p)}, nil
}

func (f *fake) token(r *http.Request) (*grant, error) {
	a, p, err := f.chosen(r)
	switch {
	case err != nil:
		return nil, err
	case a.Kind == wechattest.MiniProgram:
		return nil, errors.New("a mini program gets no access tokens of people")
	}
	return &grant{App: a.ID, Person: p.ID, Token: f.wechat.UserToken(a, p), OpenID: f.wechat.OpenID(a, p)}, nil
}

// fail makes a path misbehave, or ends that if there is no mode.
func (f *fake) fail(r *http.Request) (*grant, error) {
	path, text := r.PostFormValue("path"), r.PostFormValue("mode")
	if text == "" {
		f.wechat.Heal(path)
		return nil, nil
	}
	mode, err := wechattest.ParseMode(text)
	if err != nil {
		return nil, err
	}
	f.wechat.Fail(path, mode)
	return nil, nil
}

// chosen returns the app and the person of a form.
func (f *fake) chosen(r *http.Request) (wechattest.App, wechattest.Person, error) {
	apps, people := f.wechat.Apps(), f.wechat.People()
	a := slices.IndexFunc(apps, func(a wechattest.App) bool { return a.ID == r.PostFormValue("app") })
	p := slices.IndexFunc(people, func(p wechattest.Person) bool { return p.ID == r.PostFormValue("person") })
	switch {
	case a < 0:
		return wechattest.App{}, wechattest.Person{}, errors.New("app is missing or unknown")
	case p < 0:
		return wechattest.App{}, wechattest.Person{}, errors.New("person is missing or unknown")
	}
	return apps[a], people[p], nil
}

// pageView is what page.html shows.
type pageView struct {
	Got   *grant
	Fault string

	Settings   string
	URL        string
	Apps       []wechattest.App
	People     []wechattest.Person
	Paths      []string
	Modes      []wechattest.Mode
	Failing    []string
	Requests   []wechattest.Request // the latest first
	Violations []string             // likewise
}

// render shows the page.
func (f *fake) render(w http.ResponseWriter, status int, view pageView) {
	view.Settings, view.URL = f.settings(), f.url
	view.Apps, view.People, view.Modes = f.wechat.Apps(), f.wechat.People(), wechattest.Modes()
	view.Paths = []string{
		wechattest.PathMiniProgramCode, wechattest.PathCode, wechattest.PathVerify, wechattest.PathProfile,
		wechattest.PathAppToken, wechattest.PathPhone,
	}
	failures := f.wechat.Failures()
	for _, path := range slices.Sorted(maps.Keys(failures)) {
		name := path
		if name == "" {
			name = "all calls"
		}
		view.Failing = append(view.Failing, name+": "+string(failures[path]))
	}
	view.Requests = latest(f.wechat.Requests())
	view.Violations = latest(f.wechat.Violations())
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'")
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = pageTemplate.Execute(w, view) // the browser went away
}

// latest returns the last elements, the latest first.
func latest[T any](all []T) []T {
	all = slices.Clone(all[max(0, len(all)-maxShown):])
	slices.Reverse(all)
	return all
}
