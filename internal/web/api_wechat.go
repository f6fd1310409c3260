package web

import (
	"errors"
	"net/http"
	"time"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/auth"
)

// appToken answers trusted backends alone: a token of an app can do more than any user's.
func (s *Server) appToken(c *call) error {
	if err := c.needServerKey(); err != nil {
		if errors.Is(err, errServerKey) {
			s.cfg.Service.Audit(c.r.Context(), auth.AuditEvent{
				Kind: auth.AuditWeChatTokenRead, Outcome: auth.AuditRefused, Reason: auth.ReasonNoProof, Origin: c.origin(),
			})
		}
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
