package web

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/auth"
)

// introspect tells a trusted backend about a token that it was shown (RFC 7662). Of one that is not good, for whatever
// reason, it tells nothing but that.
func (s *Server) introspect(c *call) error {
	if err := c.needServerKey(); err != nil {
		return err
	}
	token, err := c.introspected()
	if err != nil {
		return err
	}
	current, err := s.cfg.Service.Authenticate(c.r.Context(), token)
	switch {
	case errors.Is(err, auth.ErrUnauthorized):
		return c.json(http.StatusOK, latchkey.Inactive{})
	case err != nil:
		return err
	}
	return c.json(http.StatusOK, latchkey.Introspection{
		Active:    true,
		Subject:   strconv.FormatInt(int64(current.User.ID), 10),
		Username:  current.User.Username,
		Guest:     current.User.Guest,
		TokenType: "Bearer",
		IssuedAt:  current.Session.CreatedAt.Unix(),
		ExpiresAt: current.Session.ExpiresAt.Unix(),
	})
}

// introspected reads the token that is asked about, from a form, as RFC 7662 has it, or from JSON. Members that are not
// known, such as the RFC's token_type_hint, are ignored.
func (c *call) introspected() (auth.SessionToken, error) {
	var token text
	if isPlain(c.r.Header, formType) {
		f, err := c.form()
		if err != nil {
			return "", err
		}
		token.value = f["token"]
	} else if err := c.decode(member{"token", &token}); err != nil {
		return "", err
	}
	if token.value == "" {
		return "", &auth.ValidationError{Fields: []auth.FieldError{{Field: auth.FieldToken, Code: auth.Required}}}
	}
	return auth.SessionToken(token.value), nil
}
