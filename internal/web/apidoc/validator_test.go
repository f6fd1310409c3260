package apidoc_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/ideaegg/latchkey/internal/web/apidoc"
)

// validator checks live requests and answers against the document. The tests here make sure that the library reads
// the document as JSON Schema 2020-12 has it, so that the API's tests may rely on it.
type validator struct {
	router  routers.Router
	options *openapi3filter.Options
}

func newValidator(t *testing.T, basePath string) *validator {
	t.Helper()
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(apidoc.Document("", basePath))
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &validator{router: router, options: &openapi3filter.Options{
		AuthenticationFunc:    credentialPresent,
		IncludeResponseStatus: true, // an undocumented status is an error
		MultiError:            true,
		SkipSettingDefaults:   true, // never rewrites the request
	}}
}

// credentialPresent accepts any value of the scheme's header: whether it is good is the service's to say.
func credentialPresent(_ context.Context, input *openapi3filter.AuthenticationInput) error {
	name := "Authorization"
	if input.SecurityScheme.Type == "apiKey" {
		name = input.SecurityScheme.Name
	}
	if input.RequestValidationInput.Request.Header.Get(name) == "" {
		return input.NewError(nil)
	}
	return nil
}

func (v *validator) request(r *http.Request) (*openapi3filter.RequestValidationInput, error) {
	route, parameters, err := v.router.FindRoute(r)
	if err != nil {
		return nil, err
	}
	input := &openapi3filter.RequestValidationInput{Request: r, PathParams: parameters, Route: route, Options: v.options}
	return input, openapi3filter.ValidateRequest(r.Context(), input)
}

func (v *validator) response(r *http.Request, status int, header http.Header, body string) error {
	route, parameters, err := v.router.FindRoute(r)
	if err != nil {
		return err
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: parameters, Route: route},
		Status:                 status,
		Header:                 header,
		Options:                v.options,
	}
	return openapi3filter.ValidateResponse(r.Context(), input.SetBodyBytes([]byte(body)))
}

func newRequest(t *testing.T, operation, body string, header ...string) *http.Request {
	t.Helper()
	method, target, _ := strings.Cut(operation, " ")
	r := httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:4321"+target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	return r
}

func TestValidatorReadsRequestsAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	v := newValidator(t, "/api/v2")
	const (
		token  = "PRIVATE-TOKEN: lk_any"
		reset  = `"password":"correct horse","password_confirmation":"correct horse"`
		signUp = `{"username":"John_Smith","email":"john@example.com","password":"test1234","password_confirmation":"test1234"%s}`
	)
	for _, test := range []struct {
		name, operation, body string
		header                []string
		fits                  bool
	}{
		{"the example", "POST /api/v2/sign_in", `{"login":"john@example.com","password":"test1234"}`, nil, true},
		{"unknown members are ignored", "POST /api/v2/sign_up", fmt.Sprintf(signUp, `,"id":7,"admin":true`), nil, true},
		{"an optional token is there", "POST /api/v2/sign_up", fmt.Sprintf(signUp, ""), []string{token}, true},
		{"a required member is missing", "POST /api/v2/sign_in", `{"login":"john@example.com"}`, nil, false},
		{"a member has the wrong type", "POST /api/v2/sign_in", `{"login":1,"password":"test1234"}`, nil, false},
		{"a body is required", "POST /api/v2/sign_in", "", nil, false},
		{"a body is optional", "POST /api/v2/sign_up_temporarily", "", nil, true},
		{"an optional body is there", "POST /api/v2/sign_up_temporarily", `{}`, nil, true},
		{"an optional body is no object", "POST /api/v2/sign_up_temporarily", `[]`, nil, false},
		{"a password is short", "POST /api/v2/sign_up", `{"username":"ab","email":"a@b","password":"test123","password_confirmation":"test123"}`, nil, false},
		{"a password is short in bytes only", "PUT /api/v2/reset_password", `{"token":"x","password":"密码密码密码密码","password_confirmation":"密码密码密码密码"}`, nil, true},
		{"a pattern does not match", "POST /api/v2/sign_up", `{"username":"-ab","email":"a@b","password":"test1234","password_confirmation":"test1234"}`, nil, false},
		{"an unknown provider", "POST /api/v2/sign_in_with/other", `{"uid":"test_uid"}`, nil, false},
		{"a server key", "POST /api/v2/sign_in_with/wechat", `{"uid":"test_uid"}`, []string{"Latchkey-Server-Key: x"}, true},
		{"optional members of WeChat that are empty", "POST /api/v2/sign_in_with/wechat", `{"uid":"test_uid","app_id":"","username":"","email":"","fullname":"","avatar":"","phone_number":""}`, nil, true},
		{"optional members of WeChat that are null", "POST /api/v2/sign_in_with/wechat", `{"uid":"test_uid","app_id":null,"username":null,"email":null,"fullname":null,"avatar":null,"phone_number":null}`, nil, true},
		{"a uid that is too long", "POST /api/v2/sign_in_with/wechat", `{"uid":"` + strings.Repeat("x", 129) + `"}`, nil, false},
		{"an optional member of WeChat that is wrong", "POST /api/v2/sign_in_with/wechat", `{"uid":"test_uid","phone_number":"12"}`, nil, false},
		{"the first of two forms", "PUT /api/v2/reset_password", `{"token":"x",` + reset + `}`, nil, true},
		{"the second of two forms", "PUT /api/v2/reset_password", `{"email":"a@b","code":"12345678",` + reset + `}`, nil, true},
		{"neither of two forms", "PUT /api/v2/reset_password", `{"email":"a@b",` + reset + `}`, nil, false},
		{"null where null clears", "PUT /api/v2/user", `{"avatar":null,"phone_number":null}`, []string{token}, true},
		{"null where it does not", "PUT /api/v2/user", `{"fullname":null}`, []string{token}, false},
		{"a number where text or null may be", "PUT /api/v2/user", `{"avatar":7}`, []string{token}, false},
		{"empty text clears as null does", "PUT /api/v2/user", `{"avatar":"","phone_number":""}`, []string{token}, true},
		{"text of a nullable member is checked", "PUT /api/v2/user", `{"phone_number":"abc"}`, []string{token}, false},
		{"a needed token by the one header", "GET /api/v2/user", "", []string{token}, true},
		{"a needed token by the other header", "GET /api/v2/user", "", []string{"Authorization: Bearer lk_any"}, true},
		{"a needed token is missing", "GET /api/v2/user", "", nil, false},
		{"an id", "DELETE /api/v2/user/sessions/9007199254740991", "", []string{token}, true},
		{"an id beyond 2^53", "DELETE /api/v2/user/sessions/9007199254740992", "", []string{token}, false},
		{"an id that is no number", "DELETE /api/v2/user/sessions/abc", "", []string{token}, false},
		{"the base path is missing", "GET /user", "", []string{token}, false},
		{"a path at the root", "GET /healthz", "", nil, true},
		{"a path that stays at the root", "GET /api/v2/healthz", "", nil, false},
		{"an unknown path", "GET /api/v2/users", "", nil, false},
		{"another method", "PATCH /api/v2/user", `{}`, []string{token}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if _, err := v.request(newRequest(t, test.operation, test.body, test.header...)); (err == nil) != test.fits {
				t.Errorf("got %v, want a fit: %v", err, test.fits)
			}
		})
	}
}

func TestValidatorReadsAnswersAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	v := newValidator(t, "")
	const (
		user     = `{"id":1,"username":"john_smith","email":"john@example.com","fullname":"John","avatar":%s,"phone_number":%s,"created_at":"%s","guest":false,"email_verified":true%s}`
		now      = "2015-06-06T14:20:57.024Z"
		signedIn = `{"id":1,"username":"john_smith","email":"john@example.com","fullname":"John","private_token":"%s","created_at":"2015-06-06T14:20:57.024Z"}`
		problem  = `{"type":"about:blank","title":"T","status":%d,"code":"%s","message":"M","request_id":"R","errors":[%s]}`
		fault    = `{"field":"username","code":"taken","message":"M"}`
	)
	token := "lk_" + strings.Repeat("a", 49)
	for _, test := range []struct {
		name, operation string
		status          int
		body            string
		change          string // of the usual header: "Name: value", or "Name: " for none
		fits            bool
	}{
		{"nulls", "GET /user", 200, fmt.Sprintf(user, "null", "null", now, ""), "", true},
		{"texts", "GET /user", 200, fmt.Sprintf(user, `"a.png"`, `"138"`, now, ""), "", true},
		{"a number where text or null may be", "GET /user", 200, fmt.Sprintf(user, "7", "null", now, ""), "", false},
		{"a nullable text is checked", "GET /user", 200, fmt.Sprintf(user, "null", `"x"`, now, ""), "", false},
		{"one member too many", "GET /user", 200, fmt.Sprintf(user, "null", "null", now, `,"password_hash":"x"`), "", false},
		{"one member too few", "GET /user", 200, `{"id":1}`, "", false},
		{"a time without milliseconds", "GET /user", 200, fmt.Sprintf(user, "null", "null", "2015-06-06T14:20:57Z", ""), "", false},
		{"a time that is none", "GET /user", 200, fmt.Sprintf(user, "null", "null", "2015-13-06T14:20:57.024Z", ""), "", false},
		{"a token", "POST /sign_in", 200, fmt.Sprintf(signedIn, token), "", true},
		{"a token of another form", "POST /sign_in", 200, fmt.Sprintf(signedIn, token+"a"), "", false},
		{"a list of none", "GET /user/sessions", 200, `[]`, "", true},
		{"a list of something else", "GET /user/sessions", 200, `[1]`, "", false},
		{"no body", "POST /sign_out", 204, "", "Content-Type: ", true},
		{"an undocumented status", "POST /sign_out", 201, "", "", false},
		{"another content type", "GET /user", 200, fmt.Sprintf(user, "null", "null", now, ""), "Content-Type: text/plain", false},
		{"a parameter of the content type", "GET /user", 200, fmt.Sprintf(user, "null", "null", now, ""), "Content-Type: application/json; charset=utf-8", true},
		{"no request id", "GET /user", 200, fmt.Sprintf(user, "null", "null", now, ""), "X-Request-Id: ", false},
		{"a cacheable answer", "GET /user", 200, fmt.Sprintf(user, "null", "null", now, ""), "Cache-Control: max-age=60", false},
		{"a problem", "POST /sign_up", 422, fmt.Sprintf(problem, 422, "validation_failed", fault), "", true},
		{"a problem in Chinese", "POST /sign_up", 422, fmt.Sprintf(problem, 422, "validation_failed", fault), "Content-Language: zh-CN", true},
		{"a problem in French", "POST /sign_up", 422, fmt.Sprintf(problem, 422, "validation_failed", fault), "Content-Language: fr", false},
		{"a problem in no language", "POST /sign_up", 422, fmt.Sprintf(problem, 422, "validation_failed", fault), "Content-Language: ", false},
		{"a status that a token without effect never gets", "POST /sign_up", 403, fmt.Sprintf(problem, 403, "forbidden", fault), "", false},
		{"a problem as plain JSON", "POST /sign_up", 422, fmt.Sprintf(problem, 422, "validation_failed", fault), "Content-Type: application/json", false},
		{"a problem below 500 without faults", "POST /sign_up", 422, fmt.Sprintf(problem, 422, "validation_failed", ""), "", false},
		{"a problem from 500 without faults", "POST /sign_up", 500, fmt.Sprintf(problem, 500, "internal", ""), "", true},
		{"an unknown code", "POST /sign_up", 422, fmt.Sprintf(problem, 422, "oops", fault), "", false},
		{"an unknown code of a fault", "POST /sign_up", 422, fmt.Sprintf(problem, 422, "validation_failed", `{"field":"x","code":"oops","message":"M"}`), "", false},
		{"a wait that is promised", "POST /sign_in", 429, fmt.Sprintf(problem, 429, "rate_limited", fault), "Retry-After: 30", true},
		{"a promised wait is missing", "POST /sign_in", 429, fmt.Sprintf(problem, 429, "rate_limited", fault), "", false},
		{"a wait that is no number", "POST /sign_in", 429, fmt.Sprintf(problem, 429, "rate_limited", fault), "Retry-After: soon", false},
		{"a limit without its name", "POST /sign_in", 429, fmt.Sprintf(problem, 429, "rate_limited", fault), "RateLimit-Policy: q=30", false},
		{"the server's being well", "GET /healthz", 200, `{"status":"ok"}`, "", true},
		{"another word for it", "GET /healthz", 200, `{"status":"fine"}`, "", false},
		{"a page", "GET /docs", 200, "<!doctype html>", "Content-Type: text/html; charset=utf-8", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{
				"Content-Type":           {"application/json"},
				"Cache-Control":          {"no-store"},
				"X-Content-Type-Options": {"nosniff"},
				"X-Request-Id":           {"R"},
				"Www-Authenticate":       {"Bearer"},
				"Content-Language":       {"en"},
				"Ratelimit-Policy":       {`"sign-in-address";q=30;w=60`},
				"Ratelimit":              {`"sign-in-address";r=0;t=2`},
			}
			if test.status >= 400 {
				header.Set("Content-Type", problemType)
			}
			if name, value, ok := strings.Cut(test.change, ": "); ok {
				header.Del(name)
				if value != "" {
					header.Set(name, value)
				}
			}
			err := v.response(newRequest(t, test.operation, ""), test.status, header, test.body)
			if (err == nil) != test.fits {
				t.Errorf("got %v, want a fit: %v", err, test.fits)
			}
		})
	}
}

// The documentation's own routes answer as the document says, but for the request id, which the service's middleware
// adds.
func TestOwnRoutesMatchTheDocument(t *testing.T) {
	t.Parallel()
	v := newValidator(t, "")
	for _, target := range []string{"/openapi.json", "/docs"} {
		response := serve(t, http.MethodGet, target, nil)
		response.Header().Set("X-Request-Id", "R")
		r := newRequest(t, "GET "+target, "")
		if err := v.response(r, response.Code, response.Header(), response.Body.String()); err != nil {
			t.Errorf("%s: %v", target, err)
		}
	}
}
