package web_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ideaegg/latchkey/internal/web"
)

// BenchmarkCachedToken is what the service adds to net/http for a token that it has verified before: log line, metrics and
// headers included, the log's file not.
func BenchmarkCachedToken(b *testing.B) {
	d := openDesk(b, func(c *web.Config) {
		c.Logger = slog.New(slog.NewJSONHandler(io.Discard, nil))
		c.Registry = prometheus.NewRegistry()
	})
	go d.store.Follow(b.Context())
	token := d.signUp("jane", "jane@example.com").Token.Reveal()
	for _, path := range []string{"/user", "/verify"} {
		b.Run(path, func(b *testing.B) {
			r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, path, http.NoBody)
			r.RemoteAddr = "127.0.0.1:40000"
			r.Header.Set("Authorization", "Bearer "+token)
			w := &nowhere{header: make(http.Header)}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header) // net/http makes a new one for each request
				d.server.ServeHTTP(w, r)
			}
			if w.status != http.StatusOK {
				b.Errorf("got %d, want 200", w.status)
			}
		})
	}
}

// nowhere is a client that looks at the status alone.
type nowhere struct {
	header http.Header
	status int
}

func (w *nowhere) Header() http.Header         { return w.header }
func (w *nowhere) WriteHeader(status int)      { w.status = status }
func (w *nowhere) Write(b []byte) (int, error) { return len(b), nil }
