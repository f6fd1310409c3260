package web

import (
	"fmt"
	"net/http"
	"time"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/auth"
)

// errServerKey is the auth.ErrUnauthorized of a request that only a trusted backend may make.
var errServerKey = fmt.Errorf("%w: no server key", auth.ErrUnauthorized)

// appToken answers trusted backends alone: a token of an app can do more than any user's.
func (s *Server) appToken(c *call) error {
	err := c.guess(func() error {
		if trusted, err := c.fromTrustedBackend(); err != nil || !trusted {
			s.cfg.Service.Audit(c.r.Context(), auth.AuditEvent{
				Kind: auth.AuditWeChatTokenRead, Outcome: auth.AuditRefused, Reason: auth.ReasonNoProof, Origin: c.origin(),
			})
			return errServerKey
		}
		return nil
	})
	if err != nil {
		return err
	}
	token, err := s.cfg.Service.AppToken(c.r.Context(), c.query("app_id"), c.origin())
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, latchkey.AppToken{
		AccessToken: token.Token.Reveal(),
		ExpiresIn:   int64(token.ExpiresAt.Sub(s.cfg.Now()) / time.Second),
		ExpiresAt:   latchkey.Time(token.ExpiresAt),
	})
}
