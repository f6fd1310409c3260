package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/ideaegg/latchkey/internal/auth"
)

// verifyPath is where proxies ask whether a request may pass. Some of them ask with the request's own method, and with
// its path behind this one: docs/decisions/0012-verify-for-proxies.md.
const verifyPath = "/verify"

// verify tells whose token it is by headers alone. All three are always there, so that a proxy that copies them replaces
// whatever its client made up.
func (s *Server) verify(c *call) error {
	p := c.prepared()
	h := c.w.Header()
	h["Latchkey-User-Id"] = p.values[preparedID:][:1]
	h["Latchkey-Username"] = p.values[preparedUsername:][:1]
	h["Latchkey-Guest"] = p.values[preparedGuest:][:1]
	c.w.WriteHeader(http.StatusOK)
	return nil
}

// prepared is what is answered about a user, ready to be sent.
type prepared struct {
	body   []byte // of GET /user
	err    error  // of making it
	values [3]string
}

// The values of headers.
const (
	preparedID = iota
	preparedUsername
	preparedGuest
)

// prepared returns the answers about the call's user, which are made once for as long as the session is remembered.
func (c *call) prepared() *prepared {
	return c.current.Prepared(prepareAnswers).(*prepared)
}

func prepareAnswers(u auth.User) any {
	body, err := json.Marshal(wireUser(u))
	if err != nil {
		err = fmt.Errorf("encode user: %w", err)
	}
	return &prepared{body: body, err: err, values: [...]string{
		preparedID:       strconv.FormatInt(int64(u.ID), 10),
		preparedUsername: u.Username,
		preparedGuest:    strconv.FormatBool(u.Guest),
	}}
}
