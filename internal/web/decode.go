package web

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/ideaegg/latchkey"
)

const (
	drainTime = 3 * time.Second
	maxBody   = 16 << 10 // bytes
	// maxDrain is how much of a request that is refused is still read, so that the client, busy sending, gets to see why:
	// a photo that was sent to the wrong address, not a film.
	maxDrain = 8 << 20
)

// text is a member of a request: a string, null, or absent.
type text struct {
	value   string
	present bool // null too
	null    bool
	wrong   bool // some other type
}

// pointer returns nil for an absent member and for null a pointer to "".
func (t text) pointer() *string {
	if !t.present {
		return nil
	}
	return &t.value
}

// member is a known member of a request and where its value goes.
type member struct {
	name string
	dest *text
}

// decode reads the request's JSON object into the known members. Unknown members are ignored: they can set nothing.
// It returns errMediaType, errTooLarge, errBadJSON (wrapped) or a *fieldsError for values of the wrong type.
func (c *call) decode(members ...member) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	return decodeObject(body, members)
}

// decodeOptional is decode for routes where the body may be left out.
func (c *call) decodeOptional(members ...member) error {
	body, err := c.body()
	if err != nil || len(body) == 0 {
		return err
	}
	return decodeObject(body, members)
}

// body reads the request's body, which may be empty.
func (c *call) body() ([]byte, error) {
	body, err := c.read()
	switch {
	case err != nil, len(body) == 0:
		return nil, err
	case !isPlain(c.r.Header, "application/json"):
		return nil, errMediaType
	}
	return body, nil
}

// read reads the request's body, whatever its type.
func (c *call) read() ([]byte, error) {
	if c.r.ContentLength > maxBody {
		return nil, errTooLarge
	}
	c.bodyAsked = true
	body, err := io.ReadAll(io.LimitReader(c.r.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: read body: %w", errBadRequest, err)
	case len(body) > maxBody:
		return nil, errTooLarge
	}
	return body, nil
}

// drain reads the rest of the body. A client that asked first (Expect: 100-continue) and was not told to go on sends none.
func (c *call) drain() {
	if c.bodyLeft {
		return
	}
	if c.r.Header.Get("Expect") == "" || c.bodyAsked {
		// Who announces a body and holds it back gets the answer all the same.
		_ = http.NewResponseController(&c.w).SetReadDeadline(time.Now().Add(drainTime)) //nolint:forbidigo // a deadline of the real clock
		_, _ = io.CopyN(io.Discard, c.r.Body, maxDrain)
	}
}

// leaveBody has the request answered without a look at its body. Whoever announced one may never send it; then net/http
// would wait for it to keep the connection.
func (c *call) leaveBody() {
	if c.r.ContentLength != 0 {
		c.bodyLeft = true
		c.w.Header()["Connection"] = closeConnection
	}
}

// isPlain says whether the body is declared as this media type in UTF-8, and not compressed.
func isPlain(h http.Header, want string) bool {
	if enc := h.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return false
	}
	mediaType, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || mediaType != want {
		return false
	}
	charset, given := params["charset"]
	return !given || strings.EqualFold(charset, "utf-8")
}

// decodeObject reads exactly one JSON object (RFC 8259) of valid UTF-8 without duplicate names, at any depth. A name
// that is a known one in other letters is an error: the client surely meant it.
func decodeObject(body []byte, members []member) error {
	dec := jsontext.NewDecoder(bytes.NewBuffer(body)) // refuses duplicates and invalid UTF-8 by default
	if dec.PeekKind() != '{' {
		if _, err := dec.ReadValue(); err != nil {
			return badJSON(err)
		}
		return badJSON(errors.New("the body is not an object"))
	}
	if _, err := dec.ReadToken(); err != nil {
		return badJSON(err)
	}
	for dec.PeekKind() == '"' {
		token, err := dec.ReadToken()
		if err != nil {
			return badJSON(err)
		}
		dest, err := findMember(members, token.String())
		if err != nil {
			return err
		}
		if dest == nil {
			dest = new(text)
		}
		if err := dest.decode(dec); err != nil {
			return badJSON(err)
		}
	}
	if _, err := dec.ReadToken(); err != nil { // the closing brace
		return badJSON(err)
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return badJSON(errors.New("data behind the object"))
	}
	return wrongTypes(members)
}

func findMember(members []member, name string) (*text, error) {
	for _, m := range members {
		if m.name == name {
			return m.dest, nil
		}
		if strings.EqualFold(m.name, name) {
			return nil, badJSON(fmt.Errorf("%q must be written %q", name, m.name))
		}
	}
	return nil, nil
}

func (t *text) decode(dec *jsontext.Decoder) error {
	t.present = true
	switch dec.PeekKind() {
	case '"':
		token, err := dec.ReadToken()
		if err != nil {
			return err
		}
		t.value = token.String()
		return nil
	case 'n':
		t.null = true
	default:
		t.wrong = true
	}
	return dec.SkipValue()
}

func wrongTypes(members []member) error {
	var fields []latchkey.FieldError
	for _, m := range members {
		if m.dest.wrong {
			fields = append(fields, latchkey.FieldError{Field: m.name, Code: latchkey.FieldInvalid})
		}
	}
	if len(fields) == 0 {
		return nil
	}
	return &fieldsError{fields: fields, wrongType: true}
}
