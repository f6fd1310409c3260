package web_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/apitest"
	"github.com/ideaegg/latchkey/internal/web/apidoc"
	"github.com/ideaegg/latchkey/internal/wechattest"
)

// Every route is in the OpenAPI document, and every operation there is a route.
func TestRoutesAreThoseOfTheDocument(t *testing.T) {
	t.Parallel()
	for _, basePath := range []string{"", "/api/v2"} {
		s := apitest.OnSQLite(t, apitest.Options{Dev: true, BasePath: basePath})
		routes := make(map[string]bool)
		for _, route := range s.Web.Routes() {
			method, path := route[0], route[1]
			beside := basePath != "" && (strings.HasPrefix(path, basePath+"/docs") || path == basePath+"/openapi.json") // the same again
			if path == "/dev/mail" || strings.HasSuffix(path, "/docs/{asset}") || strings.HasSuffix(path, "`") || beside {
				continue
			}
			if routes[method+" "+path] {
				t.Errorf("%s %s is there twice", method, path)
			}
			routes[method+" "+path] = true
		}
		doc, err := openapi3.NewLoader().LoadFromData(apidoc.Document("", basePath))
		if err != nil {
			t.Fatal(err)
		}
		documented := make(map[string]bool)
		for path, item := range doc.Paths.Map() {
			prefix := basePath
			if len(item.Servers) > 0 { // of its own: at the root
				prefix = ""
			}
			for method := range item.Operations() {
				documented[method+" "+prefix+path] = true
			}
		}
		if diff := gocmp.Diff(documented, routes); diff != "" {
			t.Errorf("base path %q: routes (-document +service):\n%s", basePath, diff)
		}
	}
}

// pathOf is a path that a route matches.
func pathOf(route string) string {
	return strings.NewReplacer("{provider}", "wechat", "{id}", "1", "{asset}", "docs.css").Replace(route)
}

func TestWrongMethodIsToldWhichAreRight(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{Dev: true, BasePath: "/api/v2"})
	byPath := make(map[string][]string)
	for _, route := range s.Web.Routes() {
		methods := byPath[pathOf(route[1])]
		methods = append(methods, route[0])
		if route[0] == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
		slices.Sort(methods)
		byPath[pathOf(route[1])] = methods
	}
	all := []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, http.MethodTrace,
		"PROPFIND", "QUERY", "get", "X",
	}
	delete(byPath, "/api/v2/verify") // TestVerifyAnswersWhateverAProxySends
	for path, allowed := range byPath {
		for _, method := range all {
			if slices.Contains(allowed, method) {
				continue
			}
			a := s.AtRoot().Do(method, path, nil)
			if got, want := a.Header.Get("Allow"), strings.Join(allowed, ", "); a.Status != http.StatusMethodNotAllowed || got != want {
				t.Errorf("%s %s: got %d and Allow %q, want 405 and %q", method, path, a.Status, got, want)
			}
			if method != http.MethodHead {
				wantProblem(t, a, http.StatusMethodNotAllowed, latchkey.CodeMethodNotAllowed, "method unsupported")
			}
		}
	}
}

func TestUnknownPathsAreNotFound(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{})
	token := signUp(t, s, "john_smith").Token()
	for _, path := range []string{
		"/", "/nothing", "/sign_up/", "/sign_up/x", "/Sign_up", "/SIGN_UP", "/sign_up.json", "/sign_up%20", "/sign%2Fup", "//sign_up", "/./sign_up",
		"/x/../sign_up", "/sign_up;x=1", "/sign_up%00", "/user/", "/user/1", "/users", "/user/password/", "/user/sessions/", "/user//sessions",
		"/%F0%9F%90%9D", "/%ff", "/.env", "/.git/config", "/wp-login.php", "/metrics", "/debug/pprof/", "/dev/mail", "/dev", "/healthz/", "/docs/",
		"/docs/../openapi.json", "/sign_up_temporarily%60%60", "/" + strings.Repeat("a", 4000),
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPatch} {
			a := s.Do(method, path, nil, apitest.Bearing(token))
			wantProblem(t, a, http.StatusNotFound, latchkey.CodeNotFound, "path invalid")
		}
		want(t, s.Do(http.MethodHead, path, nil), http.StatusNotFound)
	}
	for _, path := range []string{"/docs/nothing", "/docs/swagger-ui", "/docs/openapi.json", "/docs/%2e%2e"} {
		wantProblem(t, s.Get(path), http.StatusNotFound, latchkey.CodeNotFound, "path invalid")
	}
}

// A path is compared as it is decoded: however a client escapes it, it is the same.
func TestEscapedPathIsTheSamePath(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{})
	signUp(t, s, "john_smith")
	for _, path := range []string{"/sign_in", "/sign%5Fin", "/%73ign_in", "/sign_in?", "/sign_in?login=x&password=y"} {
		want(t, s.Post(path, signInBody), http.StatusOK)
	}
	want(t, s.Post("/sign_up_temporarily%60", nil), http.StatusOK) // the first description's example
}

func TestEveryAnswerHasTheCommonHeaders(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{Dev: true})
	token := apitest.Bearing(signUp(t, s, "john_smith").Token())
	ids := make(map[string]bool)
	for name, a := range map[string]apitest.Answer{
		"200":            s.Get("/user", token),
		"200 to HEAD":    s.Do(http.MethodHead, "/user", nil, token),
		"200 of a list":  s.Get("/user/sessions", token),
		"204":            s.Post("/reset_password", object{"email": "a@example.com"}),
		"400":            s.Post("/sign_in", "{"),
		"401":            s.Get("/user"),
		"401 to HEAD":    s.Do(http.MethodHead, "/user", nil),
		"404":            s.Get("/nothing"),
		"404 of a file":  s.Get("/docs/nothing"),
		"405":            s.Do(http.MethodPatch, "/user", nil),
		"413":            s.Post("/sign_in", strings.Repeat("x", 17<<10)),
		"415":            s.Post("/sign_in", "x", "Content-Type: text/plain"),
		"422":            s.Post("/sign_in", "{}"),
		"health":         s.Get("/healthz"),
		"readiness":      s.Get("/readyz"),
		"the document":   s.Get("/openapi.json"),
		"its page":       s.Get("/docs"),
		"the dev inbox":  s.Get("/dev/mail"),
		"a chosen id":    s.Get("/healthz", "X-Request-Id: chosen"),
		"a cache's wish": s.Get("/user", token, "Cache-Control: max-age=3600", "If-None-Match: *", "If-Modified-Since: Sat, 06 Jun 2026 14:20:57 GMT", "Range: bytes=0-1"),
	} {
		for header, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
			if got := a.Header.Values(header); !slices.Equal(got, []string{want}) {
				t.Errorf("%s: got %s %q, want %q once", name, header, got, want)
			}
		}
		id := a.Header.Get("X-Request-Id")
		if len(id) < 16 || id == "chosen" || ids[id] {
			t.Errorf("%s: got X-Request-Id %q, want a long one of its own", name, id)
		}
		ids[id] = true
		for _, header := range []string{"Set-Cookie", "Server", "X-Powered-By", "ETag", "Access-Control-Allow-Origin", "Location"} {
			if got := a.Header.Get(header); got != "" {
				t.Errorf("%s: got %s %q, want none", name, header, got)
			}
		}
	}
}

func TestHeadIsAnsweredAsGetIs(t *testing.T) {
	t.Parallel()
	weChat := wechattest.NewServer(t, wechattest.Config{})
	weChat.AddApp(wechattest.App{Kind: wechattest.MiniProgram})
	s := apitest.OnSQLite(t, apitest.Options{Dev: true, ServerKeys: []string{"server-key"}, WeChat: weChat})
	token, key := apitest.Bearing(signUp(t, s, "john_smith").Token()), "Latchkey-Server-Key: server-key"
	for _, route := range s.Web.Routes() {
		if route[0] != http.MethodGet {
			continue
		}
		path := pathOf(route[1])
		get, head := s.Get(path, token, key), s.Do(http.MethodHead, path, nil, token, key)
		if head.Status != http.StatusOK || head.Status != get.Status || len(head.Body) != 0 {
			t.Errorf("%s: got %d with %d bytes, want %d with none", path, head.Status, len(head.Body), get.Status)
		}
		for _, header := range slices.Sorted(maps.Keys(get.Header)) {
			if header == "Content-Length" || header == "Date" || header == "X-Request-Id" {
				continue
			}
			if got, want := head.Header.Get(header), get.Header.Get(header); got != want {
				t.Errorf("%s: got %s %q, want %q as to GET", path, header, got, want)
			}
		}
	}
}

func TestBasePathIsThePrefixOfTheAPI(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{Dev: true, BasePath: "/api/v2"})
	john := signUp(t, s, "john_smith")
	token := apitest.Bearing(john.Token())
	want(t, s.Get("/user", token), http.StatusOK)
	want(t, s.Get("/user/sessions", token), http.StatusOK)
	signInWithWeChat(t, s, "openid_1")
	want(t, s.Post("/sign_up_temporarily`", nil), http.StatusOK)
	m := askReset(t, s, "john_smith@example.com")
	if got, want := m.Link, apitest.PublicURL+"/account/reset_password?token="+m.Token; got != want {
		t.Errorf("got the link %s, want hosted pages at the root: %s", got, want)
	}
	for _, path := range []string{"/user", "/sign_in", "/sign_up_temporarily", "/api/v2", "/api/v2/", "/api/v1/user", "/api/v2user", "/api/v2/api/v2/user", "/API/V2/user"} {
		wantProblem(t, s.AtRoot().Get(path, token), http.StatusNotFound, latchkey.CodeNotFound, "path invalid")
	}
	for _, path := range []string{"/healthz", "/readyz", "/dev/mail"} {
		want(t, s.AtRoot().Get(path), http.StatusOK)
		wantProblem(t, s.Get(path), http.StatusNotFound, latchkey.CodeNotFound, "path invalid")
	}
	for _, path := range []string{"/openapi.json", "/docs", "/docs/docs.css"} {
		root, beside := s.AtRoot().Get(path), s.Get(path)
		want(t, root, http.StatusOK)
		want(t, beside, http.StatusOK)
		if string(root.Body) != string(beside.Body) {
			t.Errorf("%s: got another one beside the API than at the root", path)
		}
	}
	servers := s.AtRoot().Get("/openapi.json").Object["servers"]
	if got, want := servers.([]any)[0].(map[string]any)["url"], apitest.PublicURL+"/api/v2"; got != want {
		t.Errorf("the document says that the API is at %v, want %s", got, want)
	}
}

func TestNamesOfRoutesAreReserved(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{Dev: true})
	for _, route := range s.Web.Routes() {
		name, _, _ := strings.Cut(route[1][1:], "/")
		if strings.HasSuffix(name, "`") {
			continue
		}
		body := signUpBody("x")
		body["username"], body["email"] = name, "somebody@example.com"
		wantInvalid(t, s.Post("/sign_up", body), "username reserved")
	}
}
