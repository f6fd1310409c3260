package web_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/apitest"
	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/web"
	"github.com/ideaegg/latchkey/internal/web/apidoc"
)

func TestNegotiate(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]auth.Language{
		"":                                    auth.English,
		"en":                                  auth.English,
		"en-US,en;q=0.9":                      auth.English,
		"zh":                                  auth.SimplifiedChinese,
		"zh-CN":                               auth.SimplifiedChinese,
		"zh-cn":                               auth.SimplifiedChinese,
		"ZH-CN":                               auth.SimplifiedChinese,
		"zh-Hans":                             auth.SimplifiedChinese,
		"zh-Hans-CN":                          auth.SimplifiedChinese,
		"zh-SG":                               auth.SimplifiedChinese,
		"zh-CN,zh;q=0.9,en;q=0.8":             auth.SimplifiedChinese,
		"en,zh-CN;q=0.9":                      auth.English,
		"en;q=0.5,zh-CN;q=0.9":                auth.SimplifiedChinese,
		"fr,zh;q=0.5":                         auth.SimplifiedChinese,
		"fr,de;q=0.5":                         auth.English,
		"fr":                                  auth.English,
		"*":                                   auth.English,
		"zh;q=0":                              auth.English,
		"zh;q=0,en":                           auth.English,
		"zh-CN;q=0.001":                       auth.SimplifiedChinese,
		"zh_CN":                               auth.SimplifiedChinese, // as some apps write it
		"zh;q=x":                              auth.English,
		"no language at all":                  auth.English,
		";;;,,,":                              auth.English,
		"\x00":                                auth.English,
		"zh-CN" + strings.Repeat(",fr", 1000): auth.English, // longer than any client's
		strings.Repeat("zh-", 100):            auth.English,
	} {
		if got := web.Negotiate(header); got != want {
			t.Errorf("%.40q: got %s, want %s", header, got, want)
		}
	}
}

func TestProblemsSpeakTheLanguageThatWasAskedFor(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{})
	signUp(t, s, "john_smith")
	for _, test := range []struct {
		accept, language, message, first, second string
	}{
		{"", "en", "Username is already taken. E-mail address is already taken.", "Username is already taken.", "E-mail address is already taken."},
		{"zh-CN,zh;q=0.9", "zh-CN", "用户名已被占用。 邮箱地址已被占用。", "用户名已被占用。", "邮箱地址已被占用。"},
		{"fr", "en", "Username is already taken. E-mail address is already taken.", "Username is already taken.", "E-mail address is already taken."},
	} {
		a := s.Post("/sign_up", signUpBody("john_smith"), "Accept-Language: "+test.accept)
		wantInvalid(t, a, "username taken", "email taken")
		if got := a.Header.Get("Content-Language"); got != test.language {
			t.Errorf("%s: got Content-Language %q, want %q", test.accept, got, test.language)
		}
		p := a.Problem()
		if p.Message != test.message || p.Errors[0].Message != test.first || p.Errors[1].Message != test.second {
			t.Errorf("%s: got %s", test.accept, a.Body)
		}
		if p.Type != "about:blank" || p.Title != "Unprocessable Content" {
			t.Errorf("%s: got type %q and title %q", test.accept, p.Type, p.Title)
		}
	}
}

// constants returns the values of the text constants of a type in a source file.
func constants(t *testing.T, file, typeName string) []string {
	t.Helper()
	source, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	ast.Inspect(source, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); !ok || name.Name != typeName {
			return true
		}
		for _, value := range spec.Values {
			if literal, ok := value.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				text, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				values = append(values, text)
			}
		}
		return true
	})
	if len(values) < 5 {
		t.Fatalf("got %d constants of type %s in %s, want all of them", len(values), typeName, file)
	}
	return values
}

// wantReadable checks that a message is a sentence in its language with nothing left to fill in.
func wantReadable(t *testing.T, what, message string, l auth.Language) {
	t.Helper()
	han := strings.ContainsFunc(message, func(r rune) bool { return unicode.Is(unicode.Han, r) })
	switch {
	case message == "401 Unauthorized": // the same words in every language
	case message == "" || strings.Contains(message, "%"):
		t.Errorf("%s in %s: got %q, want a whole sentence", what, l, message)
	case han != (l == auth.SimplifiedChinese):
		t.Errorf("%s in %s: got %q, want the other language", what, l, message)
	case l == auth.English && !strings.HasSuffix(message, "."), l == auth.SimplifiedChinese && !strings.HasSuffix(message, "。"):
		t.Errorf("%s in %s: got %q, want a full stop at its end", what, l, message)
	}
}

var bothLanguages = []auth.Language{auth.English, auth.SimplifiedChinese}

func TestEveryFaultHasAMessageInBothLanguages(t *testing.T) {
	t.Parallel()
	fields := append(constants(t, "../auth/errors.go", "Field"), "provider", "body", "id", "path", "method")
	for _, field := range fields {
		for _, code := range constants(t, "../../problem.go", "FieldCode") {
			for _, l := range bothLanguages {
				what := field + " " + code
				message := web.Message(field, latchkey.FieldCode(code), 4711, l)
				wantReadable(t, what, message, l)
				if bounded := code == "too_short" || code == "too_long"; bounded != strings.Contains(message, "4711") {
					t.Errorf("%s in %s: got %q, want the limit in it: %v", what, l, message, bounded)
				}
			}
		}
	}
	if diff := slices.Compare(constants(t, "../auth/errors.go", "FieldCode"), constants(t, "../../problem.go", "FieldCode")); diff != 0 {
		t.Error("the rules and the contract have different field codes")
	}
}

// failures are errors that a request can end with, and what the client is told of each.
func failures() map[string]struct {
	err    error
	status int
	code   latchkey.Code
	fields []string
} {
	type failure = struct {
		err    error
		status int
		code   latchkey.Code
		fields []string
	}
	own := web.Faults()
	return map[string]failure{
		"validation":          {&auth.ValidationError{Fields: []auth.FieldError{{Field: auth.FieldUsername, Code: auth.TooShort, Limit: 2}, {Field: auth.FieldEmail, Code: auth.Taken}}}, 422, latchkey.CodeValidationFailed, []string{"username too_short", "email taken"}},
		"wrong types":         {web.WrongTypes("login", "uid"), 422, latchkey.CodeValidationFailed, []string{"login invalid", "uid invalid"}},
		"no session":          {auth.ErrUnauthorized, 401, latchkey.CodeUnauthorized, []string{"token invalid"}},
		"no proof":            {auth.ErrInvalidCredentials, 401, latchkey.CodeInvalidCredentials, []string{"login invalid"}},
		"no proof of WeChat":  {auth.ErrUnproven, 401, latchkey.CodeInvalidCredentials, []string{"code invalid"}},
		"guest":               {auth.ErrGuest, 403, latchkey.CodeForbidden, []string{"token invalid"}},
		"blocked by WeChat":   {auth.ErrBlocked, 403, latchkey.CodeForbidden, []string{"code invalid"}},
		"snapshot user":       {auth.ErrSnapshotUser, 403, latchkey.CodeForbidden, []string{"code invalid"}},
		"another identity":    {auth.ErrHasIdentity, 409, latchkey.CodeConflict, []string{"app_id taken"}},
		"last way in":         {auth.ErrLastWayIn, 409, latchkey.CodeConflict, []string{"id invalid"}},
		"upstream":            {auth.ErrUpstream, 502, latchkey.CodeUpstreamFailed, nil},
		"upstream busy":       {&auth.UpstreamBusyError{RetryAfter: time.Minute, Cause: errors.New("cause")}, 503, latchkey.CodeUnavailable, nil},
		"phone code":          {&auth.ValidationError{Fields: []auth.FieldError{{Field: auth.FieldPhoneCode, Code: auth.Invalid}}}, 422, latchkey.CodeValidationFailed, []string{"phone_code invalid"}},
		"stale session":       {auth.ErrForbidden, 403, latchkey.CodeForbidden, []string{"token invalid"}},
		"nothing there":       {auth.ErrNotFound, 404, latchkey.CodeNotFound, []string{"id invalid"}},
		"no route":            {own["no route"], 404, latchkey.CodeNotFound, []string{"path invalid"}},
		"method":              {own["method"], 405, latchkey.CodeMethodNotAllowed, []string{"method unsupported"}},
		"identity taken":      {auth.ErrIdentityTaken, 409, latchkey.CodeConflict, []string{"uid taken"}},
		"key spent":           {auth.ErrKeySpent, 409, latchkey.CodeConflict, []string{"idempotency_key taken"}},
		"key invalid":         {auth.ErrKeyInvalid, 400, latchkey.CodeInvalidRequest, []string{"idempotency_key invalid"}},
		"token conflict":      {own["token conflict"], 400, latchkey.CodeTokenConflict, []string{"token invalid"}},
		"bad JSON":            {own["bad JSON"], 400, latchkey.CodeInvalidJSON, []string{"body invalid"}},
		"bad request":         {own["bad request"], 400, latchkey.CodeInvalidRequest, []string{"body invalid"}},
		"too large":           {own["too large"], 413, latchkey.CodeTooLarge, []string{"body too_long"}},
		"media type":          {own["media type"], 415, latchkey.CodeUnsupportedMediaType, []string{"body unsupported"}},
		"rate limited":        {&auth.RateLimitError{Policy: "sign-in", Quota: 10, RetryAfter: 30 * time.Second}, 429, latchkey.CodeRateLimited, []string{" invalid"}},
		"overloaded":          {&auth.OverloadedError{RetryAfter: 1500 * time.Millisecond}, 503, latchkey.CodeOverloaded, nil},
		"database":            {auth.ErrUnavailable, 503, latchkey.CodeUnavailable, nil},
		"hash helper":         {auth.ErrHashUnavailable, 503, latchkey.CodeUnavailable, nil},
		"unforeseen":          {errors.New("dial tcp 10.0.0.1:5432: secret"), 500, latchkey.CodeInternal, nil},
		"unforeseen by rules": {auth.ErrChanged, 500, latchkey.CodeInternal, nil},
	}
}

// answerTo returns the problem for an error in a language.
func answerTo(t *testing.T, err error, l auth.Language) (*httptest.ResponseRecorder, latchkey.Problem) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.Header.Set("Accept-Language", string(l))
	w := httptest.NewRecorder()
	web.Fail(w, r, fmt.Errorf("wrapped once: %w", fmt.Errorf("and again: %w", err)))
	var p latchkey.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	return w, p
}

func TestEveryFailureHasItsStatusCodeAndMessage(t *testing.T) {
	t.Parallel()
	told := make(map[latchkey.Code]bool)
	for name, f := range failures() {
		t.Run(name, func(t *testing.T) {
			for _, l := range bothLanguages {
				w, p := answerTo(t, f.err, l)
				if w.Code != f.status || p.Status != f.status || p.Code != f.code {
					t.Errorf("got %d, status %d, code %s, want %d %s", w.Code, p.Status, p.Code, f.status, f.code)
				}
				var fields []string
				for _, e := range p.Errors {
					fields = append(fields, e.Field+" "+string(e.Code))
					wantReadable(t, e.Field, e.Message, l)
				}
				if !slices.Equal(fields, f.fields) {
					t.Errorf("got errors %q, want %q", fields, f.fields)
				}
				wantReadable(t, name, p.Message, l)
				if p.Title == "" || p.Type != "about:blank" || p.Errors == nil {
					t.Errorf("got %s", w.Body)
				}
				if got := w.Header().Get("Retry-After"); (got != "") != (f.status == 503 || f.status == 429) {
					t.Errorf("got Retry-After %q with %d", got, f.status)
				}
				if got := w.Header().Get("WWW-Authenticate"); (got == "Bearer") != (f.status == 401) {
					t.Errorf("got WWW-Authenticate %q with %d", got, f.status)
				}
				for _, inside := range []string{"wrapped", "secret", "5432"} {
					if strings.Contains(w.Body.String(), inside) {
						t.Errorf("the answer tells %q: %s", inside, w.Body)
					}
				}
			}
		})
		told[f.code] = true
	}
	w, _ := answerTo(t, &auth.OverloadedError{RetryAfter: 1500 * time.Millisecond}, auth.English)
	if got := w.Header().Get("Retry-After"); got != "2" {
		t.Errorf("got Retry-After %q, want whole seconds, rounded up", got)
	}
	for _, code := range constants(t, "../../problem.go", "Code") {
		if c := latchkey.Code(code); !told[c] && c != latchkey.CodeUpstreamFailed {
			t.Errorf("no failure has the code %s", code)
		}
	}
}

// The examples of the document are what the service says.
func TestExamplesOfTheDocumentSayWhatTheServiceSays(t *testing.T) {
	t.Parallel()
	said := make(map[string]bool)
	for _, l := range bothLanguages {
		for _, field := range append(constants(t, "../auth/errors.go", "Field"), "provider") {
			for _, code := range constants(t, "../../problem.go", "FieldCode") {
				for _, limit := range []int{8, 64, 120, 254} {
					said[field+" "+code+" "+web.Message(field, latchkey.FieldCode(code), limit, l)] = true
				}
			}
		}
		for _, f := range failures() {
			_, p := answerTo(t, f.err, l)
			for _, e := range p.Errors {
				said[e.Field+" "+string(e.Code)+" "+e.Message] = true
			}
			if len(p.Errors) == 0 {
				said[string(p.Code)+" "+p.Message] = true
			}
		}
	}
	var doc any
	if err := json.Unmarshal(apidoc.Document("", ""), &doc); err != nil {
		t.Fatal(err)
	}
	found := 0
	var walk func(node any)
	walk = func(node any) {
		switch node := node.(type) {
		case []any:
			for _, v := range node {
				walk(v)
			}
		case map[string]any:
			if node["type"] != "about:blank" {
				for _, v := range node {
					walk(v)
				}
				return
			}
			found++
			var messages []string
			for _, e := range node["errors"].([]any) {
				e := e.(map[string]any)
				messages = append(messages, e["message"].(string))
				if text := fmt.Sprint(e["field"], " ", e["code"], " ", e["message"]); !said[text] {
					t.Errorf("the service never says %q", text)
				}
			}
			message := node["message"].(string)
			switch {
			case len(messages) > 0 && message != strings.Join(messages, " "):
				t.Errorf("got message %q, want its errors' messages in a row", message)
			case len(messages) == 0 && !said[fmt.Sprint(node["code"], " ", message)]:
				t.Errorf("the service never says %q with %s", message, node["code"])
			}
		}
	}
	walk(doc)
	if found < 20 {
		t.Errorf("got %d examples of problems, want all of them", found)
	}
}
