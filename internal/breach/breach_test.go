package breach_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/breach"
)

// SHA-1 of "password" is 5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8.
const (
	prefix = "5BAA6"
	suffix = "1E4C9B93F3F0682250B6CF8331B7EE68FD8"
	other  = "0018A45C4D1DEF81644B54AB7F969B88D65"
)

// service is a stand-in that answers every range with the same.
func service(t *testing.T, handler http.HandlerFunc) *breach.Ranges {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	r := breach.New(breach.Config{BaseURL: server.URL})
	t.Cleanup(r.CloseIdleConnections)
	return r
}

func says(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, body) }
}

func TestIsBreached(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body    string
		want, trouble bool
	}{
		{"in the range", other + ":12\r\n" + suffix + ":9545824\r\n", true, false},
		{"in a range without a line break at the end", suffix + ":1", true, false},
		{"not in the range", other + ":12\r\n", false, false},
		{"only as padding", other + ":12\r\n" + suffix + ":0\r\n", false, false},
		{"an empty answer", "", false, true},
		{"a page", "<html>Please sign in to the network</html>", false, true},
		{"an endless line", strings.Repeat("A", 1<<20), false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := service(t, says(tt.body)).IsBreached(t.Context(), "password")
			if got != tt.want || (err != nil) != tt.trouble {
				t.Errorf("got %v, %v, want %v, an error: %v", got, err, tt.want, tt.trouble)
			}
		})
	}
}

func TestOnlyThePrefixIsSent(t *testing.T) {
	t.Parallel()
	r := service(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.RequestURI != "/range/"+prefix || r.ContentLength != 0 {
			t.Errorf("got %s %s with %d bytes, want GET /range/%s with none", r.Method, r.RequestURI, r.ContentLength, prefix)
		}
		if got := r.Header.Get("Add-Padding"); got != "true" {
			t.Errorf("got Add-Padding: %q, want true", got)
		}
		for name, values := range r.Header {
			if all := strings.ToUpper(strings.Join(values, " ")); strings.Contains(all, "PASSWORD") || strings.Contains(all, suffix[:6]) {
				t.Errorf("got %s: %s", name, all)
			}
		}
		says(other+":1\r\n")(w, r)
	})
	if got, err := r.IsBreached(t.Context(), "password"); got || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	r := service(t, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) > 1 {
			says(suffix+":1\r\n")(w, r)
			return
		}
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	})
	if got, err := r.IsBreached(t.Context(), "password"); got || err == nil || asked.Load() != 1 {
		t.Errorf("got %v, %v after %d requests, want an error after one", got, err, asked.Load())
	}
}

func TestTroubleIsToldSoonAndWithoutThePrefix(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"refuses": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"is slow": func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-time.After(time.Minute):
			}
		},
		"breaks off": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begun := time.Now()
			got, err := service(t, handler).IsBreached(t.Context(), "password")
			if got || err == nil || strings.Contains(err.Error(), prefix) {
				t.Errorf("got %v, %v, want an error without the prefix", got, err)
			}
			if took := time.Since(begun); took > 10*time.Second { // one, on a machine that is not busy
				t.Errorf("it took %v to say so", took)
			}
		})
	}
	ctx, end := context.WithCancel(t.Context())
	end()
	if _, err := service(t, says("")).IsBreached(ctx, "password"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v for a context that has ended", err)
	}
}
