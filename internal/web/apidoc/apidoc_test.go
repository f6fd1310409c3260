package apidoc_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/internal/web/apidoc"
)

const problemType = "application/problem+json"

// load returns the document as the tests of the API use it: with relative servers, which match on any host.
func load(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(apidoc.Document("", ""))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// operations yields every operation by "METHOD /path", in a fixed order.
func operations(doc *openapi3.T) func(yield func(string, *openapi3.Operation) bool) {
	return func(yield func(string, *openapi3.Operation) bool) {
		for _, path := range slices.Sorted(maps.Keys(doc.Paths.Map())) {
			byMethod := doc.Paths.Value(path).Operations()
			for _, method := range slices.Sorted(maps.Keys(byMethod)) {
				if !yield(method+" "+path, byMethod[method]) {
					return
				}
			}
		}
	}
}

func TestDocumentIsValidOpenAPI(t *testing.T) {
	t.Parallel()
	doc := load(t)
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") {
		t.Errorf("got OpenAPI %s, want 3.1", doc.OpenAPI)
	}
	// From 3.1 on Validate follows JSON Schema 2020-12 by itself. It also checks the examples of bodies and parameters.
	err := doc.Validate(t.Context(), openapi3.EnableSchemaFormatValidation(), openapi3.EnableMultiError())
	if err != nil {
		t.Error(err)
	}
}

func TestDocumentCoversTheseOperations(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"POST /sign_up":                 "signUp",
		"POST /sign_up/confirm":         "confirmSignUp",
		"POST /sign_in":                 "signIn",
		"POST /sign_in_with/{provider}": "signInWith",
		"POST /sign_in_with/code":       "signInWithCode",
		"POST /reset_password":          "requestPasswordReset",
		"PUT /reset_password":           "resetPassword",
		"POST /sign_up_temporarily":     "signUpTemporarily",
		"GET /user":                     "getUser",
		"PUT /user":                     "updateUser",
		"DELETE /user":                  "deleteUser",
		"PUT /user/password":            "changePassword",
		"PUT /user/email":               "changeEmail",
		"POST /user/email/verify":       "verifyEmail",
		"POST /user/email/verification": "requestEmailVerification",
		"GET /user/identities":          "listIdentities",
		"POST /user/identities/wechat":  "linkWeChat",
		"DELETE /user/identities/{id}":  "unlinkIdentity",
		"POST /sign_out":                "signOut",
		"GET /user/sessions":            "listSessions",
		"DELETE /user/sessions":         "revokeOtherSessions",
		"DELETE /user/sessions/{id}":    "revokeSession",
		"GET /verify":                   "verifyToken",
		"GET /wechat/access_token":      "getWeChatAccessToken",
		"POST /introspect":              "introspectToken",
		"GET /healthz":                  "getHealth",
		"GET /readyz":                   "getReadiness",
		"GET /openapi.json":             "getOpenAPI",
		"GET /docs":                     "getDocs",
	}
	got := make(map[string]string)
	for name, operation := range operations(load(t)) {
		got[name] = operation.OperationID
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("operations and their ids (-want +got):\n%s", diff)
	}
}

func TestOperationIDsAreUnique(t *testing.T) {
	t.Parallel()
	seen := make(map[string]string)
	for name, operation := range operations(load(t)) {
		if first, ok := seen[operation.OperationID]; ok {
			t.Errorf("%s and %s are both %q", first, name, operation.OperationID)
		}
		seen[operation.OperationID] = name
	}
}

func TestEveryOperationIsExplained(t *testing.T) {
	t.Parallel()
	doc := load(t)
	for name, operation := range operations(doc) {
		if operation.Summary == "" || operation.Description == "" {
			t.Errorf("%s has no summary or no description", name)
		}
		if operation.Security == nil {
			t.Errorf("%s does not say whether it needs a token", name)
		}
		if len(operation.Tags) != 1 || doc.Tags.Get(operation.Tags[0]) == nil {
			t.Errorf("%s has the tags %q, want one that the document describes", name, operation.Tags)
		}
	}
}

func TestEveryReferenceResolves(t *testing.T) {
	t.Parallel()
	var doc any
	if err := json.Unmarshal(apidoc.Document("", ""), &doc); err != nil {
		t.Fatal(err)
	}
	used := make(map[string]bool)
	walk(doc, "#", func(at string, node map[string]any) {
		ref, ok := node["$ref"].(string)
		if !ok {
			return
		}
		used[ref] = true
		if _, err := resolve(doc, ref); err != nil {
			t.Errorf("%s: %v", at, err)
		}
	})

	// What nothing refers to is a leftover, except for the answers that no operation of its own can give.
	components, err := resolve(doc, "#/components")
	if err != nil {
		t.Fatal(err)
	}
	for kind, members := range components.(map[string]any) {
		for name := range members.(map[string]any) {
			ref := "#/components/" + kind + "/" + name
			if kind != "securitySchemes" && !used[ref] && ref != "#/components/responses/MethodNotAllowed" {
				t.Errorf("%s is used nowhere", ref)
			}
		}
	}
}

// walk calls visit for every object below node, with its JSON pointer.
func walk(node any, at string, visit func(at string, node map[string]any)) {
	switch node := node.(type) {
	case map[string]any:
		visit(at, node)
		for key, value := range node {
			walk(value, at+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(key), visit)
		}
	case []any:
		for i, value := range node {
			walk(value, at+"/"+strconv.Itoa(i), visit)
		}
	}
}

// resolve follows a JSON pointer (RFC 6901) that starts with "#/".
func resolve(doc any, ref string) (any, error) {
	pointer, ok := strings.CutPrefix(ref, "#/")
	if !ok {
		return nil, fmt.Errorf("%s leaves the document", ref)
	}
	for token := range strings.SplitSeq(pointer, "/") {
		object, ok := doc.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s: nothing at %s", ref, token)
		}
		if doc, ok = object[strings.NewReplacer("~1", "/", "~0", "~").Replace(token)]; !ok {
			return nil, fmt.Errorf("%s: nothing at %s", ref, token)
		}
	}
	return doc, nil
}

func TestEveryExampleMatchesItsSchema(t *testing.T) {
	t.Parallel()
	doc := load(t)
	matched := 0
	match := func(at string, schema *openapi3.SchemaRef, example any) {
		t.Helper()
		matched++
		if err := schema.Value.VisitJSON(example, openapi3.EnableJSONSchema2020()); err != nil {
			t.Errorf("%s: %v", at, err)
		}
	}
	content := func(at string, content openapi3.Content) {
		t.Helper()
		for mediaType, media := range content {
			if media.Schema == nil {
				continue
			}
			if media.Example == nil && len(media.Examples) == 0 {
				t.Errorf("%s %s has no example", at, mediaType)
			}
			if media.Example != nil {
				match(at+" "+mediaType, media.Schema, media.Example)
			}
			for name, example := range media.Examples {
				match(at+" "+mediaType+" "+name, media.Schema, example.Value.Value)
			}
		}
	}

	for name, operation := range operations(doc) {
		if body := operation.RequestBody; body != nil {
			content(name, body.Value.Content)
		}
		for status, response := range operation.Responses.Map() {
			content(name+" "+status, response.Value.Content)
		}
	}
	for name, response := range doc.Components.Responses {
		content(name, response.Value.Content)
	}
	for name, header := range doc.Components.Headers {
		match("header "+name, header.Value.Schema, header.Value.Example)
	}
	for name, parameter := range doc.Components.Parameters {
		match("parameter "+name, parameter.Value.Schema, parameter.Value.Example)
	}
	err := doc.WalkSchemas(func(at string, schema *openapi3.SchemaRef) error {
		for _, example := range schema.Value.Examples {
			match(at, schema, example)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if matched < 100 {
		t.Errorf("got %d examples, want more than 100: some are not looked at", matched)
	}
}

// The examples of requests are those of the API's first description (2015), member for member: its clients still send
// them.
func TestRequestExamplesAreTheFirstDescriptions(t *testing.T) {
	t.Parallel()
	doc := load(t)
	for path, want := range map[string]string{
		"/sign_up":                 `{"username":"john_smith","email":"john@example.com","password":"test1234","password_confirmation":"test1234"}`,
		"/sign_in":                 `{"login":"john@example.com","password":"test1234"}`,
		"/sign_in_with/{provider}": `{"uid":"test_uid","username":"cb41b7b2","email":"cb41b7b2@ideaegg.me","fullname":"cb41b7b2","avatar":"www.test.com/test.png","phone_number":"13800000000"}`,
		"/reset_password":          `{"email":"test@qq.com"}`,
		"/sign_up_temporarily":     `{}`,
	} {
		var example any
		if err := json.Unmarshal([]byte(want), &example); err != nil {
			t.Fatal(err)
		}
		got := doc.Paths.Value(path).Post.RequestBody.Value.Content.Get("application/json").Example
		if diff := cmp.Diff(example, got); diff != "" {
			t.Errorf("POST %s (-want +got):\n%s", path, diff)
		}
	}
}

// The five first endpoints answer exactly these members; clients of 2015 break on others.
func TestSignedInHasExactlyTheDocumentedMembers(t *testing.T) {
	t.Parallel()
	doc := load(t)
	signedIn := []string{"id", "username", "email", "fullname", "private_token", "created_at"}
	for name, want := range map[string][]string{
		"SignedIn":           signedIn,
		"SignedInWithWeChat": append(slices.Clone(signedIn), "avatar", "phone_number"),
		"User":               {"id", "username", "email", "fullname", "avatar", "phone_number", "created_at", "guest", "email_verified"},
		"Session":            {"id", "created_at", "last_used_at", "expires_at", "ip", "user_agent", "current"},
		"Problem":            {"type", "title", "status", "code", "message", "request_id", "errors"},
		"FieldError":         {"field", "code", "message"},
	} {
		schema := doc.Components.Schemas[name].Value
		if diff := cmp.Diff(want, schema.Required); diff != "" {
			t.Errorf("%s, required (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(slices.Sorted(slices.Values(want)), slices.Sorted(maps.Keys(schema.Properties))); diff != "" {
			t.Errorf("%s, properties (-want +got):\n%s", name, diff)
		}
	}
}

func TestAnswersAreStrictAndRequestsAreOpen(t *testing.T) {
	t.Parallel()
	for name, schema := range load(t).Components.Schemas {
		if !schema.Value.Type.Is("object") {
			continue
		}
		request := strings.HasSuffix(name, "Request") || strings.HasPrefix(name, "NewPasswordBy")
		open := schema.Value.AdditionalProperties.Has == nil || *schema.Value.AdditionalProperties.Has
		if open != request {
			t.Errorf("%s: got unknown members allowed: %v, want %v", name, open, request)
		}
	}
}

func TestEveryAnswerHasTheCommonHeaders(t *testing.T) {
	t.Parallel()
	for name, operation := range operations(load(t)) {
		for status, response := range operation.Responses.Map() {
			for _, header := range []string{"X-Request-Id", "Cache-Control", "X-Content-Type-Options"} {
				if h := response.Value.Headers[header]; h == nil || !h.Value.Required {
					t.Errorf("%s %s does not promise %s", name, status, header)
				}
			}
			if h := response.Value.Headers["Content-Language"]; (h != nil && h.Value.Required) != (status >= "400") {
				t.Errorf("%s %s: got Content-Language promised %v, want it of problems and of nothing else", name, status, h != nil)
			}
			if status == "429" {
				if h := response.Value.Headers["Retry-After"]; h == nil || !h.Value.Required {
					t.Errorf("%s %s does not promise Retry-After", name, status)
				}
			}
			if status == "503" && response.Value.Headers["Retry-After"] == nil {
				t.Errorf("%s %s does not mention Retry-After", name, status)
			}
		}
	}
}

func TestEveryErrorIsAProblemDocument(t *testing.T) {
	t.Parallel()
	statusOf := map[string]int{
		"invalid_json": 400, "invalid_request": 400, "token_conflict": 400,
		"invalid_credentials": 401, "unauthorized": 401,
		"forbidden": 403, "not_found": 404, "method_not_allowed": 405, "conflict": 409,
		"too_large": 413, "unsupported_media_type": 415, "validation_failed": 422, "rate_limited": 429,
		"internal": 500, "upstream_failed": 502, "overloaded": 503, "unavailable": 503,
	}
	doc := load(t)
	var codes []string
	for _, code := range doc.Components.Schemas["Problem"].Value.Properties["code"].Value.Enum {
		codes = append(codes, code.(string))
	}
	slices.Sort(codes)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(statusOf)), codes); diff != "" {
		t.Errorf("codes (-want +got):\n%s", diff)
	}

	check := func(name string, status int, response *openapi3.Response) {
		t.Helper()
		if status < 400 {
			return
		}
		media := response.Content.Get(problemType)
		if len(response.Content) != 1 || media == nil {
			t.Errorf("%s %d is not %s and nothing else", name, status, problemType)
			return
		}
		if media.Schema.Ref != "#/components/schemas/Problem" {
			t.Errorf("%s %d has the schema %q, want Problem", name, status, media.Schema.Ref)
		}
		if len(media.Examples) == 0 {
			t.Errorf("%s %d has no example", name, status)
		}
		for which, example := range media.Examples {
			problem := example.Value.Value.(map[string]any)
			code := problem["code"].(string)
			if problem["status"] != float64(status) || statusOf[code] != status {
				t.Errorf("%s %d, example %s: got %v %s", name, status, which, problem["status"], code)
			}
		}
	}
	for name, operation := range operations(doc) {
		for text, response := range operation.Responses.Map() {
			status, err := strconv.Atoi(text)
			if err != nil {
				t.Errorf("%s answers %q, want a status", name, text)
				continue
			}
			check(name, status, response.Value)
		}
	}
	check("another method", http.StatusMethodNotAllowed, doc.Components.Responses["MethodNotAllowed"].Value)
}

// What can go wrong with any request of a kind has to be documented for each of that kind.
func TestEveryOperationDocumentsItsErrors(t *testing.T) {
	t.Parallel()
	for name, operation := range operations(load(t)) {
		want := []string{"500"}
		method, path, _ := strings.Cut(name, " ")
		service := operation.Tags[0] == "Service"
		if method != http.MethodGet {
			want = append(want, "400", "413", "415")
		}
		if operation.RequestBody != nil && path != "/sign_up_temporarily" {
			want = append(want, "422")
		}
		if !service {
			want = append(want, "503")
		}
		if len(*operation.Security) > 0 {
			want = append(want, "400", "401")
		}
		for _, status := range want {
			if operation.Responses.Value(status) == nil {
				t.Errorf("%s does not document %s", name, status)
			}
		}
	}
}

func TestDocumentNamesTheInstallation(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, publicURL, basePath string
		api, root                 string
	}{
		{"nothing is known", "", "", "/", "/"},
		{"only a base path", "", "/api/v2", "/api/v2", "/"},
		{"only a public address", "https://accounts.example.com", "", "https://accounts.example.com", "https://accounts.example.com"},
		{"both", "https://example.com", "/api/v2", "https://example.com/api/v2", "https://example.com"},
		{"slashes at the joints", "https://example.com/", "api/v2/", "https://example.com/api/v2", "https://example.com"},
		{"a public address with a path", "https://example.com/accounts", "/api", "https://example.com/accounts/api", "https://example.com/accounts"},
		{"characters that JSON escapes", `https://example.com/"},{"\`, "/<&>", `https://example.com/"},{"\/<&>`, `https://example.com/"},{"\`},
		{"the placeholder itself", "https://latchkey.invalid", "/base-path", "https://latchkey.invalid/base-path", "https://latchkey.invalid"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			text := apidoc.Document(test.publicURL, test.basePath)
			var doc struct {
				Servers []struct{ URL string }
				Paths   map[string]struct{ Servers []struct{ URL string } }
			}
			if err := json.Unmarshal(text, &doc); err != nil {
				t.Fatal(err)
			}
			if len(doc.Servers) != 1 || doc.Servers[0].URL != test.api {
				t.Errorf("got the servers %v, want %q", doc.Servers, test.api)
			}
			for path, item := range doc.Paths {
				switch path {
				case "/healthz", "/readyz", "/openapi.json", "/docs":
					if len(item.Servers) != 1 || item.Servers[0].URL != test.root {
						t.Errorf("%s: got the servers %v, want %q", path, item.Servers, test.root)
					}
				default:
					if len(item.Servers) != 0 {
						t.Errorf("%s: got the servers %v, want none of its own", path, item.Servers)
					}
				}
			}
			if !strings.Contains(test.publicURL, "latchkey.invalid") && strings.Contains(string(text), "latchkey.invalid") {
				t.Error("a placeholder is left")
			}
		})
	}
}
