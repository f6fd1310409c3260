// Package web is the HTTP interface: it decodes requests, calls one method of auth.Service each, and encodes answers.
package web

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/web/apidoc"
	"github.com/ideaegg/latchkey/internal/web/ui"
)

// Config is what a Server needs. Service, Now and PublicURL are required.
type Config struct {
	Service        *auth.Service
	Now            func() time.Time
	Logger         *slog.Logger // nil: slog.Default
	RequestLog     io.Writer    // takes the line of each request in one Write, as slog.JSONHandler has them; nil: the Logger does
	PublicURL      string       // base of the document's links, without trailing slash
	BasePath       string       // prefix of every API path
	TrustedProxies []netip.Prefix
	ServerKeys     []string // secrets of trusted backends
	// What the hosted pages say and show.
	AppName           string // empty: Latchkey
	AppURL            string // of the link back to the app, of a scheme that is safe to follow; empty: there is no link
	Logo              Logo   // empty: the app's name is shown
	PasswordMinLength int    // as the Service has it; for the text of the rules
	// LimitsOff lets an address sign up, fail and ask as often as it likes. For load tests only.
	LimitsOff bool
	// ProxyHint has it said once in the log if there seems to be a proxy that TrustedProxies, which is empty, lacks.
	ProxyHint bool
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
	observer   *observer
	idSources  sync.Pool           // of *idSource
	limits     *limits             // nil: none
	proxyHint  *proxyHint          // nil: nobody to tell
	serverKeys [][sha256.Size]byte // hashed, so that comparing tells nothing about lengths

	// Of the hosted pages.
	site        ui.Site
	pageRoot    string // path of pageFolder as browsers see it
	crossOrigin *http.CrossOriginProtection
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
	public, err := url.Parse(cfg.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("web: PublicURL: %w", err)
	}
	crossOrigin, err := newCrossOriginProtection(public)
	if err != nil {
		return nil, fmt.Errorf("web: PublicURL: %w", err)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	s := &Server{cfg: cfg, observer: newObserver(cfg.Logger, cfg.RequestLog, cfg.Registry), crossOrigin: crossOrigin}
	s.pageRoot = strings.TrimSuffix(public.EscapedPath(), "/") + pageFolder
	s.site = ui.Site{
		AppName: cmp.Or(cfg.AppName, "Latchkey"), AppURL: template.URL(cfg.AppURL),
		HasLogo: len(cfg.Logo.Content) > 0, PasswordMinLength: cfg.PasswordMinLength,
	}
	if !cfg.LimitsOff {
		s.limits = newLimits(cfg.Now)
	}
	if cfg.ProxyHint && len(cfg.TrustedProxies) == 0 {
		s.proxyHint = &proxyHint{now: cfg.Now, warn: func(proxy netip.Addr) {
			cfg.Logger.Warn("many users share one private address: is it a proxy that --trusted-proxies should name? They share its limits",
				"address", proxy.String())
		}}
	}
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
	c := &call{w: responseWriter{ResponseWriter: w}, r: r, server: s, ids: [1]string{s.newRequestID()}, began: s.cfg.Now()}
	s.entry(c)
}
