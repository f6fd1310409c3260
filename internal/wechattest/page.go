package wechattest

import (
	_ "embed"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// pageView is what page.html shows: a choice of people, or a fault.
type pageView struct {
	App     App
	People  []Person
	Scope   string
	Refused bool
	Fault   string
}

// servePage answers the pages on which a person signs in: 网站应用授权登录 and 网页授权. Instead of a QR code there is a
// button for each person. What is chosen comes back with POST to the same address.
func (w *WeChat) servePage(rw http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	w.mu.Lock()
	a, fault := w.judgePage(r.URL.Path, query)
	w.mu.Unlock()
	view := pageView{Scope: query.Get("scope"), Fault: fault}
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodPost:
		rw.Header().Set("Allow", "GET, POST")
		http.Error(rw, "GET or POST", http.StatusMethodNotAllowed)
		return
	case fault != "":
		renderPage(rw, view)
		return
	case r.Method == http.MethodGet:
		view.App, view.People = a, w.People()
		renderPage(rw, view)
		return
	}
	w.confirm(rw, r, a)
}

// judgePage returns the app of a page, or the fault that WeChat would show. The caller holds mu.
func (w *WeChat) judgePage(path string, query url.Values) (App, string) {
	a := w.findApp(query.Get("appid"))
	redirect, err := url.Parse(query.Get("redirect_uri"))
	wanted := map[string]Kind{PathQRConnect: Website, PathAuthorize: OfficialAccount}[path]
	switch {
	case query.Get("appid") == "":
		return App{}, "appid is missing (10012)"
	case a == nil:
		return App{}, "appid is unknown"
	case a.Kind != wanted:
		return App{}, "the app is of another kind (10016)"
	case query.Get("redirect_uri") == "":
		return App{}, "redirect_uri is missing (10011)"
	case err != nil, redirect.Host == "", redirect.Scheme != "http" && redirect.Scheme != "https":
		return App{}, "redirect_uri is no absolute URL"
	case a.RedirectHost != "" && redirect.Host != a.RedirectHost:
		return App{}, "the host of redirect_uri is not the one that is registered (10003)"
	case query.Get("response_type") != "code":
		return App{}, "response_type is not code"
	case query.Get("scope") == "":
		return App{}, "scope is missing (10010)"
	case !slices.Contains(a.scopes(), query.Get("scope")):
		return App{}, "the app has no right to this scope (10005)"
	case len(query.Get("state")) > 128:
		return App{}, "state is longer than 128 bytes"
	}
	return a.App, ""
}

// confirm sends the browser back: with a code of the person that was chosen, or without one.
func (w *WeChat) confirm(rw http.ResponseWriter, r *http.Request, a App) {
	query := r.URL.Query()
	chosen := r.PostFormValue("person")
	if chosen == "" && r.URL.Path == PathQRConnect { // 网站应用授权登录: nothing happens
		renderPage(rw, pageView{App: a, Refused: true})
		return
	}
	redirect, err := url.Parse(query.Get("redirect_uri"))
	if err != nil { // judgePage has seen to it
		panic(err)
	}
	// The parameters of redirect_uri stay as they are, in their order.
	added := "state=" + url.QueryEscape(query.Get("state"))
	if chosen != "" {
		w.mu.Lock()
		p := w.findPerson(chosen)
		if p == nil {
			w.mu.Unlock()
			renderPage(rw, pageView{App: a, Fault: "there is no such person"})
			return
		}
		opts := CodeOptions{Scope: query.Get("scope"), Snapshot: r.PostFormValue("snapshot") != ""}
		added = "code=" + w.newCode(w.findApp(a.ID), p, opts) + "&" + added
		w.mu.Unlock()
	}
	redirect.RawQuery = strings.TrimPrefix(redirect.RawQuery+"&"+added, "&")
	http.Redirect(rw, r, redirect.String(), http.StatusFound)
}

func renderPage(rw http.ResponseWriter, view pageView) {
	header := rw.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	header.Set("Referrer-Policy", "same-origin") // a form with no-referrer would come with Origin: null
	header.Set("Cache-Control", "no-store")
	if view.Fault != "" {
		rw.WriteHeader(http.StatusBadRequest)
	}
	_ = pageTemplate.Execute(rw, view) // the browser went away
}
