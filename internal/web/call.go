package web

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

// call is one request on its way through the server.
type call struct {
	w      responseWriter
	r      *http.Request
	server *Server
	ids    [1]string // X-Request-Id, as a header's value
	began  time.Time
	route  *route // nil until it is found
	// wildcard is the part of the path that the route's {…} stands for.
	wildcard string
	// bodyAsked says that the body was read from, which tells a client that waits for 100 Continue to send it.
	bodyAsked bool
	// bodyLeft says that the body is not read, and the connection closed instead.
	bodyLeft bool
	// current is the session that the request came with; nil without one.
	current *auth.Current
	address netip.Addr
	// chosen is the language that a hosted page was asked for in, by parameter; empty: none was.
	chosen auth.Language
}

// step is one link of the chain that a call goes through.
type step func(*call)

// origin is where the request came from, for the rules and for the user's list of devices.
func (c *call) origin() auth.Origin {
	return auth.Origin{
		Address:   c.address,
		UserAgent: auth.CleanUserAgent(c.r.UserAgent()),
		Language:  c.language(),
		Device:    auth.DeviceToken(c.r.Header.Get(deviceHeader)),
	}
}

// deviceHeader carries the token of a known device: to a request that signs in, and back if one was sent.
const deviceHeader = "Latchkey-Device"

// language is the one that was chosen on a page, or the one that Accept-Language asks for.
func (c *call) language() auth.Language {
	if c.chosen != "" {
		return c.chosen
	}
	return negotiate(c.r.Header.Get("Accept-Language"))
}

// json answers with a body.
func (c *call) json(status int, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	c.send(status, b)
	return nil
}

// bodyOfKnownLength is up to how many bytes net/http says by itself how long a body is (its bufferBeforeChunkingSize); of a
// longer one we do.
const bodyOfKnownLength = 2000

// send answers with JSON that is encoded already.
func (c *call) send(status int, body []byte) {
	h := c.w.Header()
	h["Content-Type"] = jsonType
	if len(body) > bodyOfKnownLength {
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	c.w.WriteHeader(status)
	_, _ = c.w.Write(body) // the client is gone: there is nobody to tell
}

// id is the request's X-Request-Id.
func (c *call) id() string { return c.ids[0] }

// noContent answers 204.
func (c *call) noContent() error {
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// accepted answers 202 without a body: a mail is on its way.
func (c *call) accepted() error {
	c.w.WriteHeader(http.StatusAccepted)
	return nil
}

// newRequestID returns 20 characters of base32 (RFC 4648): 100 random bits.
func (s *Server) newRequestID() string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	var id [20]byte
	random, ok := s.idSources.Get().(*idSource)
	if !ok {
		random = new(idSource)
	}
	if random.left < len(id) {
		_, _ = rand.Read(random.bytes[:]) // never fails: it ends the program instead
		random.left = len(random.bytes)
	}
	for i := range id {
		random.left--
		id[i] = alphabet[random.bytes[random.left]%32]
	}
	s.idSources.Put(random)
	return string(id[:])
}

// idSource has random bytes for 25 ids: asking the system for each took longer than all else about it.
type idSource struct {
	bytes [500]byte
	left  int
}

// responseWriter remembers what was answered.
type responseWriter struct {
	http.ResponseWriter
	status int
	bytes  int
}

func (w *responseWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *responseWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += n
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
