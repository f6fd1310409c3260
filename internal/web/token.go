package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"

	"github.com/ideaegg/latchkey/internal/auth"
)

// authenticate finds the session that the request's token belongs to. Without a token it returns auth.ErrUnauthorized
// if the route needs one; a bad token is refused also where one may be given.
func (c *call) authenticate(a access) error {
	if a == outside || a == hosted {
		return nil
	}
	token, err := c.sessionToken()
	if err != nil || a == open {
		return err
	}
	if token == "" {
		if a == requiredAuth || a == forProxies {
			return auth.ErrUnauthorized
		}
		return nil
	}
	c.current, err = c.server.cfg.Service.Authenticate(c.r.Context(), token)
	return err
}

// sessionToken returns the request's token, "" if there is none, or errTokenConflict for two that differ.
// Tokens are read from PRIVATE-TOKEN and from Authorization: Bearer (RFC 6750 §2.1), and from nowhere else.
func (c *call) sessionToken() (auth.SessionToken, error) {
	var found string
	take := func(token string) error {
		if token == "" || token == found {
			return nil
		}
		if found != "" {
			return errTokenConflict
		}
		found = token
		return nil
	}
	for _, v := range c.r.Header["Private-Token"] {
		if err := take(v); err != nil {
			return "", err
		}
	}
	for _, v := range c.r.Header["Authorization"] {
		scheme, credentials, _ := strings.Cut(v, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			continue
		}
		credentials = strings.Trim(credentials, " ")
		if credentials == "" {
			credentials = " " // a Bearer without a token is a malformed one, not an absent one
		}
		if err := take(credentials); err != nil {
			return "", err
		}
	}
	return auth.SessionToken(found), nil
}

// fromTrustedBackend says whether the request carries one of the server keys. It returns auth.ErrUnproven for
// a key that is none.
func (c *call) fromTrustedBackend() (bool, error) {
	keys := c.r.Header["Latchkey-Server-Key"]
	if len(keys) == 0 {
		return false, nil
	}
	if len(keys) > 1 {
		return false, auth.ErrUnproven
	}
	hash := sha256.Sum256([]byte(keys[0]))
	match := 0
	for _, known := range c.server.serverKeys {
		match |= subtle.ConstantTimeCompare(hash[:], known[:])
	}
	if match == 0 {
		return false, auth.ErrUnproven
	}
	return true, nil
}

// needServerKey returns errServerKey if the request does not come from a trusted backend, and counts that against the
// address.
func (c *call) needServerKey() error {
	return c.guess(func() error {
		if trusted, err := c.fromTrustedBackend(); err != nil || !trusted {
			return errServerKey
		}
		return nil
	})
}

// errServerKey is the auth.ErrUnauthorized of a request that only a trusted backend may make.
var errServerKey = fmt.Errorf("%w: no server key", auth.ErrUnauthorized)

var errTokenConflict = errors.New("two different tokens in one request")
