package web

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// observer writes a log line for each request and counts it. What all requests of one kind have in common is made once.
type observer struct {
	log     slog.Handler
	metrics *metrics

	known atomic.Pointer[map[kind]*observed] // replaced, never changed
	mu    sync.Mutex                         // while it is replaced
}

// kind is what requests have in common. There are a few hundred at most: clients cannot make up new ones.
type kind struct {
	method string
	route  string
	status int
}

// observed is where requests of one kind go.
type observed struct {
	log      slog.Handler // has the kind in it
	requests prometheus.Counter
	seconds  prometheus.Observer
}

func newObserver(logger *slog.Logger, r *prometheus.Registry) *observer {
	o := &observer{log: logger.Handler(), metrics: newMetrics(r)}
	o.known.Store(new(map[kind]*observed))
	return o
}

// observe is called once the call has been answered, at now.
func (o *observer) observe(c *call, now time.Time) {
	k := kind{method: c.r.Method, route: "unknown", status: c.w.status} // the path of an unknown route may hold anything, a token too
	if c.route != nil {
		k.route = c.route.path
	}
	to, took := o.of(k), now.Sub(c.began)
	if to.requests != nil {
		to.requests.Inc()
		to.seconds.Observe(took.Seconds())
	}
	ctx := context.Background()
	if !to.log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	line := slog.NewRecord(now, slog.LevelInfo, "request", 0)
	line.AddAttrs( // a record has room for five
		slog.Int("bytes", c.w.bytes),
		slog.Duration("took", took),
		slog.String("ip", c.address.String()),
		slog.String("request_id", c.id()),
	)
	_ = to.log.Handle(ctx, line) // as slog.Logger does: a log that cannot be written has nowhere to say so
}

func (o *observer) of(k kind) *observed {
	if to, ok := (*o.known.Load())[k]; ok {
		return to
	}
	to := &observed{log: o.log.WithAttrs([]slog.Attr{
		slog.String("method", k.method), slog.String("route", k.route), slog.Int("status", k.status),
	})}
	switch k.method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete:
		to.requests, to.seconds = o.metrics.of(k)
	default: // anything at all: it is not kept
		k.method = "other"
		to.requests, to.seconds = o.metrics.of(k)
		return to
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	known := maps.Clone(*o.known.Load())
	if known == nil {
		known = make(map[kind]*observed)
	}
	known[k] = to
	o.known.Store(&known)
	return to
}
