// Package web is the HTTP interface: it decodes requests, calls one method of auth.Service each, and encodes answers.
package web

import (
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/web/apidoc"
)

// Config is what a Server needs. Service, Now and PublicURL are required.
type Config struct {
	Service        *auth.Service
	Now            func() time.Time
	Logger         *slog.Logger // nil: slog.Default
	PublicURL      string       // base of the document's links, without trailing slash
	BasePath       string       // prefix of every API path
	TrustedProxies []netip.Prefix
	ServerKeys     []string // secrets of trusted backends
	// DevInbox lists the messages of the dev inbox; nil: there is none.
	DevInbox func() []DevMessage
	// Registry takes the metrics; nil: there are none.
	Registry *prometheus.Registry
}

// Server answers requests. It is an http.Handler.
type Server struct {
	cfg        Config
	doc        *apidoc.Handler
	routes     routes
	entry      step
	metrics    *metrics
	serverKeys [][sha256.Size]byte // hashed, so that comparing tells nothing about lengths
}

// New returns a Server; the error names the setting that is missing.
func New(cfg Config) (*Server, error) {
	switch {
	case cfg.Service == nil:
		return nil, errors.New("web: no Service")
	case cfg.Now == nil:
		return nil, errors.New("web: no Now")
	case cfg.PublicURL == "":
		return nil, errors.New("web: no PublicURL")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	s := &Server{cfg: cfg, metrics: newMetrics(cfg.Registry)}
	for _, key := range cfg.ServerKeys {
		s.serverKeys = append(s.serverKeys, sha256.Sum256([]byte(key)))
	}
	s.doc = apidoc.New(apidoc.Config{PublicURL: cfg.PublicURL, BasePath: cfg.BasePath, NotFound: http.HandlerFunc(s.notFound)})
	s.routes = newRoutes(s.table())
	s.entry = s.middleware(s.dispatch)
	return s, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{w: responseWriter{ResponseWriter: w}, r: r, server: s, id: newRequestID(), began: s.cfg.Now()}
	s.entry(c)
}
