package web_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ideaegg/latchkey/internal/web"
)

// BenchmarkCachedToken is what the service adds to net/http for a token that it has verified before: log line, metrics and
// headers included, the log's file not.
func BenchmarkCachedToken(b *testing.B) {
	d := openDesk(b, func(c *web.Config) {
		c.RequestLog = io.Discard
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

// TestRequestLogIsWhatTheLoggerWouldWrite compares the two ways that a line can go, field by field and in their order.
func TestRequestLogIsWhatTheLoggerWouldWrite(t *testing.T) {
	t.Parallel()
	lines := new(syncBuffer)
	prompt, logged := openDesk(t, func(c *web.Config) { c.RequestLog = lines }), openDesk(t)
	id := regexp.MustCompile(`"request_id":"[A-Z2-7]{20}"`)
	for _, test := range []struct{ method, path, address string }{
		{http.MethodGet, "/user", "192.0.2.7:4711"},
		{http.MethodGet, "/healthz", "[2001:db8::1%eth0]:4711"},
		{http.MethodHead, "/docs", "[::ffff:192.0.2.7]:4711"},
		{http.MethodPost, "/sign_up_temporarily%60", "192.0.2.7:4711"},
		{http.MethodDelete, `/"nowhere"`, "@"}, // as of a Unix socket
		{"<&'M`~>", "/user", "192.0.2.7:4711"},
	} {
		before := len(logged.log.String())
		*lines = syncBuffer{}
		for _, d := range []*desk{prompt, logged} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
			r.Method, r.RemoteAddr = test.method, test.address
			r.URL.Path = strings.ReplaceAll(test.path, "%60", "`")
			d.server.ServeHTTP(&nowhere{header: make(http.Header)}, r)
		}
		got, want := lines.String(), logged.log.String()[before:]
		if !strings.HasSuffix(want, "}\n") || strings.Count(want, "\n") != 1 {
			t.Fatalf("%s %s: the logger wrote %q, want one line", test.method, test.path, want)
		}
		if len(id.FindAllString(got, -1)) != 1 {
			t.Errorf("%s %s: got %q, want one request_id", test.method, test.path, got)
		}
		got, want = id.ReplaceAllString(got, ""), id.ReplaceAllString(want, "")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s %s (-logger +request log):\n%s", test.method, test.path, diff)
		}
	}
}
