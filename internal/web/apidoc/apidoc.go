// Package apidoc holds the OpenAPI 3.1 document of the service, openapi.json, and the page that shows it. The document
// is written by hand; the API's tests check every request and response against it.
//
// The page is Swagger UI, embedded, under a Content-Security-Policy that lets it load nothing from any other host.
package apidoc

//go:generate go run ./gen

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

//go:embed openapi.json docs.html docs.css docs.js swagger-ui
var files embed.FS

// The server addresses in openapi.json stand for the installation's own: apiServer for the paths under the base path,
// rootServer for the few that stay at the root. They are whole JSON strings, quotes included, so that putting other
// JSON strings in their place leaves JSON.
const (
	apiServer  = `"https://latchkey.invalid/base-path"`
	rootServer = `"https://latchkey.invalid"`
)

// contentSecurityPolicy lets the page run its own scripts and talk to its own host, and nothing else. Swagger UI draws
// its icons from data: addresses and sets styles through the DOM, which needs no 'unsafe-inline'.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; font-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// Document returns the OpenAPI document with publicURL and basePath as its servers: publicURL+basePath for the API,
// publicURL for the health checks and the documentation. Slashes at the joints do not matter. With an empty publicURL
// the servers are paths, which match on any host. The text is the same for the same arguments.
func Document(publicURL, basePath string) []byte {
	text := mustRead("openapi.json")
	root := strings.TrimRight(publicURL, "/")
	api := root
	if base := strings.Trim(basePath, "/"); base != "" {
		api += "/" + base
	}
	return []byte(strings.NewReplacer(apiServer, jsonServer(api), rootServer, jsonServer(root)).Replace(string(text)))
}

// jsonServer returns a server's address as a JSON string; a relative one is "/" at least (OpenAPI 3.1 §4.8.5).
func jsonServer(address string) string {
	if address == "" {
		address = "/"
	}
	text, err := json.Marshal(address)
	if err != nil {
		panic(err) // a string always has a JSON form
	}
	return string(text)
}

// Config says where the service is. The zero value is a service whose address is not known: the document's servers are
// then relative to wherever it was fetched.
type Config struct {
	PublicURL string       // as in links, without the base path
	BasePath  string       // prefix of the API's paths, e.g. /api/v2
	NotFound  http.Handler // answers for assets that do not exist; nil is http.NotFoundHandler
}

// Handler serves the document, the page and the page's assets. The routes must be siblings, /openapi.json, /docs and
// /docs/{asset}, under any prefix: the page names the other two by relative addresses. Its methods are meant for GET
// and HEAD, and for any number of goroutines.
type Handler struct {
	document func() []byte
	assets   map[string]*asset
	notFound http.Handler
}

// New returns a Handler. Nothing is read, unpacked or hashed before it is asked for, and no asset is kept in memory:
// few installations ever show the page.
func New(config Config) *Handler {
	h := &Handler{
		document: sync.OnceValue(func() []byte { return Document(config.PublicURL, config.BasePath) }),
		assets:   make(map[string]*asset),
		notFound: config.NotFound,
	}
	if h.notFound == nil {
		h.notFound = http.NotFoundHandler()
	}
	h.add("docs.css", "text/css; charset=utf-8")
	h.add("docs.js", "text/javascript; charset=utf-8")
	h.add("swagger-ui/swagger-ui.css.gz", "text/css; charset=utf-8")
	h.add("swagger-ui/swagger-ui-bundle.js.gz", "text/javascript; charset=utf-8")
	// The licences ask to come with every copy.
	h.add("swagger-ui/swagger-ui-bundle.js.LICENSE.txt", "text/plain; charset=utf-8")
	h.add("swagger-ui/LICENSE", "text/plain; charset=utf-8")
	h.add("swagger-ui/NOTICE", "text/plain; charset=utf-8")
	return h
}

// ServeDocument answers GET /openapi.json.
func (h *Handler) ServeDocument(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	send(w, r, h.document())
}

// ServeDocs answers GET /docs.
func (h *Handler) ServeDocs(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", contentSecurityPolicy)
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	send(w, r, mustRead("docs.html"))
}

// ServeAsset answers GET /docs/{asset}; the last element of the path is the asset's name. What is stored gzipped goes
// out as it is to clients that accept it. Assets may be stored by caches, which ask again each time: a new release of
// the program never meets an old script.
func (h *Handler) ServeAsset(w http.ResponseWriter, r *http.Request) {
	a, ok := h.assets[path.Base(r.URL.Path)]
	if !ok {
		h.notFound.ServeHTTP(w, r)
		return
	}
	packed := a.gzipped && acceptsGzip(r.Header.Values("Accept-Encoding"))

	// Two forms of one asset need two strong tags (RFC 9110 §8.8.3.3).
	tag := `"` + a.hash() + `"`
	if packed {
		tag = `"` + a.hash() + `-gzip"`
	}
	header := w.Header()
	header.Set("Cache-Control", "no-cache")
	header.Set("ETag", tag)
	header.Set("X-Content-Type-Options", "nosniff")
	if a.gzipped {
		header.Set("Vary", "Accept-Encoding")
	}
	if matches(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Type", a.contentType)
	switch {
	case packed:
		header.Set("Content-Encoding", "gzip")
		send(w, r, mustRead(a.file))
	case a.gzipped:
		sendUnpacked(w, r, mustRead(a.file))
	default:
		send(w, r, mustRead(a.file))
	}
}

// asset is one file that the page needs.
type asset struct {
	file        string // in files
	contentType string
	gzipped     bool          // the file holds the gzipped form
	hash        func() string // of the file
}

// add makes the embedded file an asset under its base name, without .gz.
func (h *Handler) add(file, contentType string) {
	name, gzipped := strings.CutSuffix(path.Base(file), ".gz")
	h.assets[name] = &asset{
		file:        file,
		contentType: contentType,
		gzipped:     gzipped,
		hash: sync.OnceValue(func() string {
			sum := sha256.Sum256(mustRead(file))
			return hex.EncodeToString(sum[:16])
		}),
	}
}

// mustRead returns a copy of an embedded file; the names are constants, so a missing one is a fault of the build.
func mustRead(name string) []byte {
	content, err := files.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return content
}

func send(w http.ResponseWriter, r *http.Request, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(body) // fails only when the client is gone
}

// sendUnpacked streams the body without its gzip wrapping, so that no copy of it stays in memory.
func sendUnpacked(w http.ResponseWriter, r *http.Request, body []byte) {
	if r.Method == http.MethodHead {
		return
	}
	zr, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		panic(err) // embedded, and read by the tests
	}
	_, _ = io.Copy(w, zr) // fails only when the client is gone
}

// acceptsGzip reports whether Accept-Encoding names gzip, or *, with a weight above zero (RFC 9110 §12.5.3). What is
// named itself counts before *.
func acceptsGzip(values []string) bool {
	accepted := false
	for _, element := range list(values) {
		coding, parameters, _ := strings.Cut(element, ";")
		coding = strings.ToLower(strings.TrimSpace(coding))
		if coding != "gzip" && coding != "*" {
			continue
		}
		weight := 1.0
		if text, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(parameters)), "q="); ok {
			if q, err := strconv.ParseFloat(text, 64); err == nil {
				weight = q
			}
		}
		if coding == "gzip" {
			return weight > 0
		}
		accepted = weight > 0
	}
	return accepted
}

// matches reports whether If-None-Match names the tag, by the weak comparison (RFC 9110 §13.1.2).
func matches(values []string, tag string) bool {
	for _, element := range list(values) {
		if element == "*" || strings.TrimPrefix(element, "W/") == tag {
			return true
		}
	}
	return false
}

// list returns the elements of a comma-separated header.
func list(values []string) []string {
	elements := strings.Split(strings.Join(values, ","), ",")
	for i, element := range elements {
		elements[i] = strings.TrimSpace(element)
	}
	return elements
}
