package wechattest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// maxRequests is how many requests are kept, the latest ones.
const maxRequests = 10_000

// Request is a request that arrived at the API.
type Request struct {
	At     time.Time
	Method string
	Path   string
	Query  url.Values
	Header http.Header
	Body   []byte
}

// Requests returns the requests to the API, oldest first: all, or those to the given paths.
func (w *WeChat) Requests(paths ...string) []Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []Request
	for _, r := range w.requests {
		if len(paths) == 0 || slices.Contains(paths, r.Path) {
			found = append(found, r)
		}
	}
	return found
}

// Violations returns what was wrong with requests to the API, in words without secrets: a secret in a place that WeChat
// does not document for it, a parameter that it does not document or that is there twice, a body of a GET, a POST that is
// not called JSON.
func (w *WeChat) Violations() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.violations)
}

// ForgetViolations empties what Violations returns: for a test that makes them on purpose.
func (w *WeChat) ForgetViolations() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.violations = nil
}

// kindOfSecret is what a value must not be known as elsewhere.
type kindOfSecret string

const (
	noSecret  kindOfSecret = ""
	appSecret kindOfSecret = "an app's secret"
	codeValue kindOfSecret = "a code"
	userValue kindOfSecret = "a user's access token"
	appValue  kindOfSecret = "an app's access token"
)

// places are the documented parameters of a path, and what secret each holds.
type places struct {
	query, body map[string]kindOfSecret
}

func documented(path string) places {
	switch path {
	case PathMiniProgramCode:
		return places{query: map[string]kindOfSecret{"appid": "", "secret": appSecret, "js_code": codeValue, "grant_type": ""}}
	case PathCode:
		return places{query: map[string]kindOfSecret{"appid": "", "secret": appSecret, "code": codeValue, "grant_type": ""}}
	case PathVerify:
		return places{query: map[string]kindOfSecret{"access_token": userValue, "openid": ""}}
	case PathProfile:
		return places{query: map[string]kindOfSecret{"access_token": userValue, "openid": "", "lang": ""}}
	case PathAppToken:
		return places{body: map[string]kindOfSecret{"grant_type": "", "appid": "", "secret": appSecret, "force_refresh": ""}}
	case PathPhone:
		return places{
			query: map[string]kindOfSecret{"access_token": appValue},
			body:  map[string]kindOfSecret{"code": codeValue, "openid": ""},
		}
	}
	return places{}
}

// record keeps the request, judges it, and returns how its answer is to misbehave.
func (w *WeChat) record(r *http.Request, body []byte) Mode {
	w.mu.Lock()
	defer w.mu.Unlock()
	request := Request{
		At: w.time(), Method: r.Method, Path: r.URL.Path, Query: r.URL.Query(), Header: r.Header.Clone(), Body: body,
	}
	if len(w.requests) >= maxRequests {
		w.requests = slices.Delete(w.requests, 0, maxRequests/10)
	}
	w.requests = append(w.requests, request)
	for _, v := range w.judge(request) {
		if len(w.violations) < maxRequests {
			w.violations = append(w.violations, request.Method+" "+request.Path+": "+v)
		}
	}
	return w.nextMode(r.URL.Path)
}

// judge returns what is wrong with a request.
func (w *WeChat) judge(r Request) []string {
	known := documented(r.Path)
	var wrong []string
	look := func(where, value string, allowed kindOfSecret) {
		for _, kind := range w.secretsIn(value) {
			if kind != allowed {
				wrong = append(wrong, fmt.Sprintf("%s holds %s", where, kind))
			}
		}
	}
	look("the path", r.Path, noSecret)
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		look("header "+name, strings.Join(r.Header[name], " "), noSecret)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Query)) {
		kind, ok := known.query[name]
		switch values := r.Query[name]; {
		case !ok:
			wrong = append(wrong, fmt.Sprintf("query parameter %q is undocumented", name))
			look("an undocumented query parameter", strings.Join(values, " "), noSecret)
		case len(values) > 1:
			wrong = append(wrong, "query parameter "+name+" is there more than once")
		default:
			look("query parameter "+name, values[0], kind)
		}
	}
	return append(wrong, w.judgeBody(r, known.body, look)...)
}

func (w *WeChat) judgeBody(r Request, known map[string]kindOfSecret, look func(where, value string, allowed kindOfSecret)) []string {
	if known == nil {
		look("the body", string(r.Body), noSecret)
		if len(r.Body) > 0 {
			return []string{"there is a body"}
		}
		return nil
	}
	var wrong []string
	if t, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); t != "application/json" {
		wrong = append(wrong, "the body is not called JSON")
	}
	var object map[string]any
	if json.Unmarshal(r.Body, &object) != nil {
		look("a body that is no JSON object", string(r.Body), noSecret)
		return append(wrong, "the body is no JSON object")
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		kind, ok := known[name]
		if !ok {
			wrong = append(wrong, fmt.Sprintf("member %q of the body is undocumented", name))
		}
		look("member "+name+" of the body", fmt.Sprint(object[name]), kind)
	}
	return wrong
}

// secretsIn returns the kinds of the secrets that stand in a text.
func (w *WeChat) secretsIn(text string) []kindOfSecret {
	var found []kindOfSecret
	add := func(kind kindOfSecret) {
		if !slices.Contains(found, kind) {
			found = append(found, kind)
		}
	}
	for _, a := range w.apps {
		if strings.Contains(text, a.Secret) {
			add(appSecret)
		}
		for _, t := range a.tokens {
			if strings.Contains(text, t.value) {
				add(appValue)
			}
		}
	}
	// There may be many of these, so a text is taken apart instead.
	for _, word := range strings.FieldsFunc(text, func(c rune) bool { return !idPattern.MatchString(string(c)) }) {
		if _, ok := w.codes[word]; ok {
			add(codeValue)
		}
		if _, ok := w.userTokens[word]; ok {
			add(userValue)
		}
	}
	return found
}
