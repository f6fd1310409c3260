package web

import (
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/auth"
)

// ClientAddress is clientAddress.
func ClientAddress(r *http.Request, trusted []netip.Prefix) netip.Addr {
	return clientAddress(r, trusted)
}

// Negotiate is negotiate.
func Negotiate(acceptLanguage string) auth.Language { return negotiate(acceptLanguage) }

// Message is what people read about a fault of a member.
func Message(field string, code latchkey.FieldCode, limit int, l auth.Language) string {
	return fieldFault{field: field, code: code, limit: limit}.text(l)
}

// Table lists method and path of every route, those that are no part of the API too.
func (s *Server) Table() [][2]string {
	var list [][2]string
	for _, r := range s.table() {
		list = append(list, [2]string{r.method, r.path})
	}
	return list
}

// Fail answers a request with the problem for an error, as a call does.
func Fail(w http.ResponseWriter, r *http.Request, err error) {
	logger := slog.New(slog.DiscardHandler)
	c := &call{w: responseWriter{ResponseWriter: w}, r: r, server: &Server{cfg: Config{Logger: logger}}, ids: [1]string{"R"}}
	c.fail(err)
}

// WrongTypes is the error for members that are no text.
func WrongTypes(names ...string) error {
	e := &fieldsError{wrongType: true}
	for _, name := range names {
		e.fields = append(e.fields, latchkey.FieldError{Field: name, Code: latchkey.FieldInvalid})
	}
	return e
}

// Faults are the errors of this package that a request can end with.
func Faults() map[string]error {
	return map[string]error{
		"no route": errNoRoute, "media type": errMediaType, "too large": errTooLarge, "bad JSON": errBadJSON,
		"bad request": errBadRequest, "method": &methodError{allowed: "GET"}, "token conflict": errTokenConflict,
	}
}

// DecodeObject reads an object with these members and returns those that are text, or null as "".
func DecodeObject(body []byte, names ...string) (map[string]string, error) {
	dest := make([]text, len(names))
	var members []member
	for i, name := range names {
		members = append(members, member{name, &dest[i]})
	}
	if err := decodeObject(body, members); err != nil {
		return nil, err
	}
	values := make(map[string]string)
	for i, name := range names {
		if dest[i].present {
			values[name] = dest[i].value
		}
	}
	return values, nil
}

// ErrBadJSON is errBadJSON.
var ErrBadJSON = errBadJSON

// RewriteFlow reads a cookie of a browser's way over WeChat's page and writes it again; "" if it is none.
func RewriteFlow(value string) (rewritten string, in auth.BrowserSignIn) {
	f, err := parseFlow(value)
	if err != nil {
		return "", auth.BrowserSignIn{}
	}
	return f.encode(), f.BrowserSignIn
}

// WithQuery is withQuery.
func WithQuery(address string, add url.Values) string { return withQuery(address, add) }
