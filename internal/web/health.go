package web

import (
	"context"
	"net/http"
	"time"
)

type health struct {
	Status string `json:"status"`
}

// healthz says that the process answers.
func (s *Server) healthz(c *call) error { return c.json(http.StatusOK, health{"ok"}) }

// readyz says that the database answers too.
func (s *Server) readyz(c *call) error {
	ctx, cancel := context.WithTimeout(c.r.Context(), 2*time.Second)
	defer cancel()
	if err := s.cfg.Service.Ready(ctx); err != nil {
		return err
	}
	return c.json(http.StatusOK, health{"ok"})
}
