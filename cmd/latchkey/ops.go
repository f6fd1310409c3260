package main

import (
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/passhash"
)

// newRegistry holds the metrics of the process; those of the requests are added by the server.
func newRegistry(hasher *passhash.Hasher, service *auth.Service) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&hasherCollector{hasher},
		&auditCollector{service},
	)
	return r
}

// opsHandler serves metrics and profiles. It belongs on a listener that the public cannot reach.
func opsHandler(r *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// hasherCollector reports the state of the hash governor.
type hasherCollector struct{ hasher *passhash.Hasher }

var (
	descWaiting  = prometheus.NewDesc("latchkey_hash_waiting", "Passwords that wait to be hashed.", nil, nil)
	descRunning  = prometheus.NewDesc("latchkey_hash_running", "Passwords that are being hashed.", nil, nil)
	descHashes   = prometheus.NewDesc("latchkey_hashes_total", "Passwords hashed.", nil, nil)
	descRefused  = prometheus.NewDesc("latchkey_hash_refused_total", "Requests refused because too many waited.", nil, nil)
	descRestarts = prometheus.NewDesc("latchkey_hash_helper_restarts_total", "Times that the helper process died and was started again.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c *hasherCollector) Describe(ch chan<- *prometheus.Desc) {
	prometheus.DescribeByCollect(c, ch)
}

// Collect implements prometheus.Collector.
func (c *hasherCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.hasher.Stats()
	ch <- prometheus.MustNewConstMetric(descWaiting, prometheus.GaugeValue, float64(s.Waiting))
	ch <- prometheus.MustNewConstMetric(descRunning, prometheus.GaugeValue, float64(s.Running))
	ch <- prometheus.MustNewConstMetric(descHashes, prometheus.CounterValue, float64(s.Hashes))
	ch <- prometheus.MustNewConstMetric(descRefused, prometheus.CounterValue, float64(s.Refused))
	ch <- prometheus.MustNewConstMetric(descRestarts, prometheus.CounterValue, float64(s.Restarts))
}

// auditCollector reports how many facts of security this process has recorded.
type auditCollector struct{ service *auth.Service }

var (
	descAudits       = prometheus.NewDesc("latchkey_audit_events_total", "Audit events by kind and outcome.", []string{"kind", "outcome"}, nil)
	descAuditDropped = prometheus.NewDesc("latchkey_audit_events_dropped_total", "Audit events lost because too many waited to be written.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c *auditCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- descAudits
	ch <- descAuditDropped
}

// Collect implements prometheus.Collector.
func (c *auditCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.service.AuditStats()
	for e, n := range s.Events {
		ch <- prometheus.MustNewConstMetric(descAudits, prometheus.CounterValue, float64(n), string(e.Kind), string(e.Outcome))
	}
	ch <- prometheus.MustNewConstMetric(descAuditDropped, prometheus.CounterValue, float64(s.Dropped))
}
