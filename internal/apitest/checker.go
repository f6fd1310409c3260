package apitest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/ideaegg/latchkey/internal/web/apidoc"
)

// Checker holds requests and answers against the OpenAPI document.
type Checker struct {
	doc     *openapi3.T
	router  routers.Router
	options *openapi3filter.Options
	verify  string // path
}

// checkers has one Checker for each base path: reading the document takes longer than most tests.
var checkers sync.Map // of func() (*Checker, error)

func newChecker(t testing.TB, basePath string) *Checker {
	t.Helper()
	load, _ := checkers.LoadOrStore(basePath, sync.OnceValues(func() (*Checker, error) { return NewChecker(basePath) }))
	c, err := load.(func() (*Checker, error))()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// NewChecker returns a Checker for a service with this base path.
func NewChecker(basePath string) (*Checker, error) {
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(apidoc.Document("", basePath))
	if err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	if err := doc.Validate(loader.Context); err != nil {
		return nil, fmt.Errorf("validate the document: %w", err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		return nil, fmt.Errorf("route by the document: %w", err)
	}
	options := &openapi3filter.Options{
		AuthenticationFunc:    presentCredential,
		IncludeResponseStatus: true, // an undocumented status is an error
		MultiError:            true,
		SkipSettingDefaults:   true,
	}
	// The library's own words quote the value, which may be a token.
	options.WithCustomSchemaErrorFunc(func(err *openapi3.SchemaError) string {
		return "/" + strings.Join(err.JSONPointer(), "/") + ": " + err.Reason
	})
	return &Checker{doc: doc, router: router, options: options, verify: basePath + "/verify"}, nil
}

// Document returns the document that is checked against.
func (c *Checker) Document() *openapi3.T { return c.doc }

// presentCredential accepts any value of the scheme's header: whether it is good is the service's to say.
func presentCredential(_ context.Context, input *openapi3filter.AuthenticationInput) error {
	name := "Authorization"
	if input.SecurityScheme.Type == "apiKey" {
		name = input.SecurityScheme.Name
	}
	if input.RequestValidationInput.Request.Header.Get(name) == "" {
		return input.NewError(nil)
	}
	return nil
}

// Exchange is a request and its answer.
type Exchange struct {
	Request     *http.Request // its Body has been read
	RequestBody []byte
	// AnyRequest says that the request may be one that the document does not describe.
	AnyRequest bool

	Status int
	Header http.Header
	Body   []byte
}

// Check returns what in an answer, or in a request that was answered with success, is not as the document says.
func (c *Checker) Check(e Exchange) error {
	r, status := e.Request, e.Status
	if r.Method == http.MethodHead {
		return checkHead(e.Body)
	}
	r = r.Clone(context.Background())
	r.URL.Path, r.URL.RawPath = strings.TrimSuffix(r.URL.Path, "`"), "" // an alias: what is said of /sign_up_temporarily holds for it
	if strings.HasPrefix(r.URL.Path+"/", c.verify+"/") {                // what is said of GET holds for every method and every path below
		r.Method, r.URL.Path = http.MethodGet, c.verify
	}
	r.Body = io.NopCloser(bytes.NewReader(e.RequestBody))
	r.ContentLength = int64(len(e.RequestBody))

	route, params, err := c.router.FindRoute(r)
	switch {
	case errors.Is(err, routers.ErrPathNotFound) && status < 300 && isUndocumented(r.URL.Path):
		return nil
	case errors.Is(err, routers.ErrPathNotFound) && status == http.StatusMethodNotAllowed && isUndocumented(r.URL.Path):
		route = c.fallback(http.StatusMethodNotAllowed, "MethodNotAllowed")
	case errors.Is(err, routers.ErrPathNotFound):
		route = c.fallback(http.StatusNotFound, "NotFound")
	case errors.Is(err, routers.ErrMethodNotAllowed):
		route = c.fallback(http.StatusMethodNotAllowed, "MethodNotAllowed")
	case err != nil:
		return fmt.Errorf("find the operation: %w", err)
	}
	input := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route, Options: c.options}
	if status < 300 && !e.AnyRequest {
		if err := openapi3filter.ValidateRequest(r.Context(), input); err != nil {
			return fmt.Errorf("the request was accepted, and the document does not allow it: %w", err)
		}
	}
	answer := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: status, Header: e.Header, Options: c.options,
	}
	if err := openapi3filter.ValidateResponse(r.Context(), answer.SetBodyBytes(e.Body)); err != nil {
		return fmt.Errorf("the document does not allow the answer: %w", err)
	}
	if documented := route.Operation.Responses.Status(status); len(documented.Value.Content) == 0 && len(e.Body) > 0 {
		return fmt.Errorf("the document knows no body of this answer, got %d bytes", len(e.Body))
	}
	if status >= 400 {
		return checkProblem(status, e.Header, e.Body)
	}
	return nil
}

// isUndocumented says whether the path is one that the document leaves out on purpose: the dev inbox, the files of the
// documentation, and the documentation where it stands a second time, beside an API with a base path.
func isUndocumented(path string) bool {
	return path == "/dev/mail" || strings.Contains(path, "/docs/") || strings.HasSuffix(path, "/docs") || strings.HasSuffix(path, "/openapi.json")
}

// fallback is the route of requests that no operation stands for: they can have this answer alone.
func (c *Checker) fallback(status int, component string) *routers.Route {
	return &routers.Route{
		Spec:     c.doc,
		PathItem: &openapi3.PathItem{},
		Operation: &openapi3.Operation{
			Responses: openapi3.NewResponses(openapi3.WithStatus(status, c.doc.Components.Responses[component])),
		},
	}
}

func checkHead(body []byte) error {
	if len(body) > 0 {
		return fmt.Errorf("got %d bytes of body in answer to HEAD", len(body))
	}
	return nil
}

// checkProblem holds what a problem says against the answer that it came in.
func checkProblem(status int, header http.Header, body []byte) error {
	var p struct {
		Status    int    `json:"status"`
		RequestID string `json:"request_id"`
		Message   string `json:"message"`
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return fmt.Errorf("read the problem: %w", err)
	}
	switch {
	case p.Status != status:
		return fmt.Errorf("the problem says %d, the answer %d", p.Status, status)
	case p.RequestID != header.Get("X-Request-Id"):
		return fmt.Errorf("the problem says request %s, the header %s", p.RequestID, header.Get("X-Request-Id"))
	case bytes.Contains(body, []byte("%!")):
		return fmt.Errorf("a message is not filled in: %s", body)
	}
	return nil
}
