package apitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/ideaegg/latchkey"
)

// Members are those of a request's object.
type Members map[string]any

// Get asks for a path under the base path. Headers are lines such as "Accept-Language: zh-CN".
func (s *Server) Get(path string, headers ...string) Answer {
	s.t.Helper()
	return s.Do(http.MethodGet, path, nil, headers...)
}

// Post sends a body; see Do.
func (s *Server) Post(path string, body any, headers ...string) Answer {
	s.t.Helper()
	return s.Do(http.MethodPost, path, body, headers...)
}

// Put sends a body; see Do.
func (s *Server) Put(path string, body any, headers ...string) Answer {
	s.t.Helper()
	return s.Do(http.MethodPut, path, body, headers...)
}

// Delete sends a body; see Do.
func (s *Server) Delete(path string, body any, headers ...string) Answer {
	s.t.Helper()
	return s.Do(http.MethodDelete, path, body, headers...)
}

// Do sends a request and checks it and its answer. The body is nil for none; a string or []byte goes out as it is; an
// io.Reader goes out in chunks; anything else as its JSON. A body has the type application/json unless a header says
// otherwise: "Content-Type:" sends none, as any name without a value does.
//
// Whatever goes wrong is an error of the test; the Answer is then one of status 0.
func (s *Server) Do(method, path string, body any, headers ...string) Answer {
	s.t.Helper()
	content, chunked, err := encode(body)
	if err != nil {
		s.t.Errorf("%s %s: %v", method, path, err)
		return Answer{t: s.t}
	}
	var source io.Reader = bytes.NewReader(content)
	if chunked {
		source = io.MultiReader(source) // of unknown length
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, source)
	if err != nil {
		s.t.Errorf("%s %s: %v", method, path, err)
		return Answer{t: s.t}
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, line := range headers {
		set(r, line)
	}
	s.learnFromRequest(content)

	response, err := s.client.Do(r)
	if err != nil {
		s.t.Errorf("%s %s: %v", method, path, err)
		return Answer{t: s.t}
	}
	defer func() { _ = response.Body.Close() }()
	answer := Answer{Status: response.StatusCode, Header: response.Header, t: s.t}
	if answer.Body, err = io.ReadAll(response.Body); err != nil {
		s.t.Errorf("%s %s: %d, read the answer: %v", method, path, answer.Status, err)
	}
	answer.decode()
	s.log.forbid(answer.Token())
	s.log.forbid(answer.Header.Get("Latchkey-Device"))
	if answer.Status >= 500 && !s.options.Faulty {
		s.t.Errorf("%s %s: got %d, want no fault of the service; the log has\n%s", method, path, answer.Status, s.log.about(answer.Header.Get("X-Request-Id")))
	}
	exchange := Exchange{
		Request: r, RequestBody: content, AnyRequest: s.liberal, Status: answer.Status, Header: answer.Header, Body: answer.Body,
	}
	if err := s.checker.Check(exchange); err != nil {
		s.t.Errorf("%s %s: %d: %v", method, path, answer.Status, err)
	}
	return answer
}

func encode(body any) (content []byte, chunked bool, err error) {
	switch body := body.(type) {
	case nil:
		return nil, false, nil
	case string:
		return []byte(body), false, nil
	case []byte:
		return body, false, nil
	case io.Reader:
		content, err = io.ReadAll(body)
		return content, true, err
	}
	content, err = json.Marshal(body)
	return content, false, err
}

// set adds a header line to the request, or removes the header if there is no value.
func set(r *http.Request, line string) {
	name, value, _ := strings.Cut(line, ":")
	value = strings.TrimSpace(value)
	switch {
	case value == "":
		r.Header.Del(name)
	case strings.EqualFold(name, "Host"):
		r.Host = value
	case strings.EqualFold(name, "Content-Type"):
		r.Header.Set(name, value)
	default:
		r.Header.Add(name, value)
	}
}

// learnFromRequest remembers the secrets of a request, so that they can be looked for where they must not be.
func (s *Server) learnFromRequest(body []byte) {
	var members map[string]any
	if json.Unmarshal(body, &members) != nil {
		return
	}
	for _, name := range []string{"password", "password_confirmation", "current_password", "token", "code", "access_token", "phone_code"} {
		if secret, ok := members[name].(string); ok {
			s.log.forbid(secret)
		}
	}
}

// Answer is what the service answered.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte

	Names  []string         // the members of the body's object, in their order
	Object map[string]any   // the body if it is an object; numbers are json.Number
	List   []map[string]any // the body if it is an array of objects

	t testing.TB
}

func (a *Answer) decode() {
	if !strings.Contains(a.Header.Get("Content-Type"), "json") || len(a.Body) == 0 {
		return
	}
	decoder := json.NewDecoder(bytes.NewReader(a.Body))
	decoder.UseNumber()
	var into any = &a.Object
	if a.Body[0] == '[' {
		into = &a.List
	}
	if err := decoder.Decode(into); err != nil {
		a.t.Errorf("decode answer: %v in %q", err, a.Body)
	}
	a.Names = MemberNames(a.Body)
}

// MemberNames returns the names of the outermost object of a JSON text, in their order.
func MemberNames(text []byte) []string {
	var names []string
	decoder := json.NewDecoder(bytes.NewReader(text))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil
		}
		names = append(names, fmt.Sprint(name))
		var value json.RawMessage
		if decoder.Decode(&value) != nil {
			return nil
		}
	}
	return names
}

// Text returns a member that is text, or "".
func (a Answer) Text(name string) string {
	text, _ := a.Object[name].(string)
	return text
}

// ID returns the member id, or 0.
func (a Answer) ID() int64 {
	number, _ := a.Object["id"].(json.Number)
	id, err := number.Int64()
	if err != nil {
		return 0
	}
	return id
}

// Token returns the member private_token, or "".
func (a Answer) Token() string { return a.Text("private_token") }

// Problem returns the body as a problem document.
func (a Answer) Problem() latchkey.Problem {
	a.t.Helper()
	var p latchkey.Problem
	if err := json.Unmarshal(a.Body, &p); err != nil {
		a.t.Errorf("read problem: %v in %q", err, a.Body)
	}
	return p
}

// Faults returns member and code of each error of a problem, such as "username taken".
func (a Answer) Faults() []string {
	a.t.Helper()
	var list []string
	for _, e := range a.Problem().Errors {
		list = append(list, e.Field+" "+string(e.Code))
	}
	return list
}

// Bearing is the header line that a token goes in.
func Bearing(token string) string { return "PRIVATE-TOKEN: " + token }
