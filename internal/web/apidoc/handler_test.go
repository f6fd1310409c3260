package apidoc_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/ideaegg/latchkey/internal/web/apidoc"
)

// serve answers one request by a handler mounted as the service mounts it.
func serve(t *testing.T, method, target string, header http.Header) *httptest.ResponseRecorder {
	t.Helper()
	h := apidoc.New(apidoc.Config{
		PublicURL: "https://accounts.example.com",
		BasePath:  "/api",
		NotFound: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "ours", http.StatusNotFound)
		}),
	})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /openapi.json", h.ServeDocument)
	mux.HandleFunc("GET /docs", h.ServeDocs)
	mux.HandleFunc("GET /docs/{asset}", h.ServeAsset)

	r := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w
}

func TestServeDocument(t *testing.T) {
	t.Parallel()
	response := serve(t, http.MethodGet, "/openapi.json", nil)
	if got, want := response.Header().Get("Content-Type"), "application/json"; got != want {
		t.Errorf("Content-Type: got %q, want %q", got, want)
	}
	if got, want := response.Header().Get("Cache-Control"), "no-store"; got != want {
		t.Errorf("Cache-Control: got %q, want %q", got, want)
	}
	want := string(apidoc.Document("https://accounts.example.com", "/api"))
	if got := response.Body.String(); got != want {
		t.Errorf("got %d bytes that are not the document's %d", len(got), len(want))
	}
}

func TestPageLoadsNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	response := serve(t, http.MethodGet, "/docs", nil)
	policy := response.Header().Get("Content-Security-Policy")
	for _, directive := range []string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'",
		"font-src 'self' data:", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'",
	} {
		if !strings.Contains(policy, directive+";") && !strings.HasSuffix(policy, directive) {
			t.Errorf("policy %q lacks %q", policy, directive)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q weakens itself", policy)
	}

	page := response.Body.String()
	for _, inline := range []string{"<style", " style=", " onload=", "javascript:"} {
		if strings.Contains(page, inline) {
			t.Errorf("the page has %q, which its policy forbids", inline)
		}
	}
	if regexp.MustCompile(`<script[^>]*>[^<]`).MatchString(page) {
		t.Error("the page has an inline script, which its policy forbids")
	}
	links := regexp.MustCompile(` (?:src|href|data-document)="([^"]*)"`).FindAllStringSubmatch(page, -1)
	if len(links) < 6 {
		t.Errorf("got %d links, want every one of the page: %q", len(links), links)
	}
	for _, link := range links {
		if link[1] == "data:," { // no icon: keeps the browser from asking for /favicon.ico
			continue
		}
		if strings.HasPrefix(link[1], "/") || strings.Contains(link[1], ":") {
			t.Errorf("%s is not relative, so it breaks below a prefix", link[1])
		}
		if got := serve(t, http.MethodGet, "/"+link[1], nil).Code; got != http.StatusOK {
			t.Errorf("%s: got %d, want 200", link[1], got)
		}
	}
}

func TestAssetComesPackedAndUnpacked(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"swagger-ui-bundle.js", "swagger-ui.css"} {
		packed := serve(t, http.MethodGet, "/docs/"+name, http.Header{"Accept-Encoding": {"br, gzip"}})
		if got, want := packed.Header().Get("Content-Encoding"), "gzip"; got != want {
			t.Errorf("%s: got encoding %q, want %q", name, got, want)
		}
		zr, err := gzip.NewReader(strings.NewReader(packed.Body.String()))
		if err != nil {
			t.Fatal(err)
		}
		unpacked, err := io.ReadAll(zr)
		if err != nil {
			t.Fatal(err)
		}

		plain := serve(t, http.MethodGet, "/docs/"+name, nil)
		if got := plain.Header().Get("Content-Encoding"); got != "" {
			t.Errorf("%s: got encoding %q, want none", name, got)
		}
		if !bytes.Equal(unpacked, plain.Body.Bytes()) {
			t.Errorf("%s differs between its packed and its plain form", name)
		}
		for _, response := range []*httptest.ResponseRecorder{packed, plain} {
			if got, want := response.Header().Get("Vary"), "Accept-Encoding"; got != want {
				t.Errorf("%s: got Vary %q, want %q", name, got, want)
			}
			if got, want := response.Header().Get("X-Content-Type-Options"), "nosniff"; got != want {
				t.Errorf("%s: got X-Content-Type-Options %q, want %q", name, got, want)
			}
		}
		if packed.Header().Get("ETag") == plain.Header().Get("ETag") {
			t.Errorf("%s has one ETag for two forms", name)
		}
	}
}

func TestAcceptEncodingIsObeyed(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"":                      "",
		"gzip":                  "gzip",
		"GZIP":                  "gzip",
		"deflate, gzip;q=0.5":   "gzip",
		"gzip; q=0":             "",
		"gzip;q=0.000":          "",
		"*":                     "gzip",
		"*;q=0":                 "",
		"*, gzip;q=0":           "",
		"*;q=0, gzip":           "gzip",
		"identity":              "",
		"x-gzip-like, notgzip":  "",
		"gzip;q=nonsense, iden": "gzip",
	} {
		response := serve(t, http.MethodGet, "/docs/swagger-ui.css", http.Header{"Accept-Encoding": {value}})
		if got := response.Header().Get("Content-Encoding"); got != want {
			t.Errorf("Accept-Encoding: %s: got %q, want %q", value, got, want)
		}
	}
}

func TestAssetIsNotSentTwice(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"gzip", "identity"} {
		for _, name := range []string{"docs.js", "swagger-ui-bundle.js"} {
			accept := http.Header{"Accept-Encoding": {encoding}}
			tag := serve(t, http.MethodGet, "/docs/"+name, accept).Header().Get("ETag")
			for value, want := range map[string]int{
				tag:                        http.StatusNotModified,
				`"other", W/` + tag:        http.StatusNotModified,
				"*":                        http.StatusNotModified,
				`"other"`:                  http.StatusOK,
				strings.Trim(tag, `"`):     http.StatusOK,
				`"` + strings.ToUpper(tag): http.StatusOK,
			} {
				accept.Set("If-None-Match", value)
				response := serve(t, http.MethodGet, "/docs/"+name, accept)
				if response.Code != want {
					t.Errorf("%s, If-None-Match: %s: got %d, want %d", name, value, response.Code, want)
				}
				if want == http.StatusNotModified && response.Body.String() != "" {
					t.Errorf("%s, If-None-Match: %s: got a body", name, value)
				}
			}
		}
	}
}

func TestHeadHasNoBody(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"/openapi.json", "/docs", "/docs/docs.js", "/docs/swagger-ui.css"} {
		response := serve(t, http.MethodHead, target, nil)
		if response.Code != http.StatusOK || response.Body.String() != "" {
			t.Errorf("HEAD %s: got %d and a body, want 200 and none", target, response.Code)
		}
	}
}

func TestUnknownAssetIsNotFound(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"/docs/openapi.json", "/docs/docs.html", "/docs/swagger-ui.css.gz", "/docs/apidoc.go", "/docs/..%2fopenapi.json"} {
		response := serve(t, http.MethodGet, target, nil)
		if got := response.Body.String(); response.Code != http.StatusNotFound || got != "ours\n" {
			t.Errorf("%s: got %d %q, want the configured answer", target, response.Code, got)
		}
	}
	w := httptest.NewRecorder()
	apidoc.New(apidoc.Config{}).ServeAsset(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/docs/none", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("without a NotFound: got %d, want 404", w.Code)
	}
}

// The licences of what is embedded come with it.
func TestLicencesAreServed(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"LICENSE":                          "Apache License",
		"NOTICE":                           "swagger-ui",
		"swagger-ui-bundle.js.LICENSE.txt": "MIT",
	} {
		if got := serve(t, http.MethodGet, "/docs/"+name, nil).Body.String(); !strings.Contains(got, want) {
			t.Errorf("%s does not mention %q", name, want)
		}
	}
}
