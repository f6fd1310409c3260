package web

import (
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

const formType = "application/x-www-form-urlencoded"

// form is what a page's form sent, by the names of its inputs.
type form map[string]string

// form reads the request's form and notes the language that it was shown in. It returns errMediaType, errTooLarge or
// errBadRequest (wrapped).
func (c *call) form() (form, error) {
	body, err := c.read()
	if err != nil {
		return nil, err
	}
	if !isPlain(c.r.Header, formType) {
		return nil, errMediaType
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, fmt.Errorf("%w: not a form", errBadRequest) // the error would quote what was typed
	}
	f := make(form, len(values))
	for name, list := range values {
		if len(list) != 1 || !utf8.ValidString(list[0]) {
			return nil, fmt.Errorf("%w: an input twice or not UTF-8", errBadRequest)
		}
		f[name] = list[0]
	}
	c.choose(f["lang"])
	return f, nil
}

// address returns an address as it was typed, without the spaces that copying brings along.
func (f form) address() string { return strings.TrimSpace(f["email"]) }

// code returns a code as it was typed, without the spaces and dashes between its digits; an input method for Chinese
// may write them wide.
func (f form) code() string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ' || r == '-' || r == '\u00a0' || r == '\u3000':
			return -1
		case '０' <= r && r <= '９':
			return r - '０' + '0'
		}
		return r
	}, strings.TrimSpace(f["code"]))
}
