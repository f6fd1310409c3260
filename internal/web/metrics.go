package web

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts requests. A nil *metrics counts nothing.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(r *prometheus.Registry) *metrics {
	if r == nil {
		return nil
	}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "latchkey_http_requests_total", Help: "Requests by method, route and status.",
		}, []string{"method", "route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "latchkey_http_request_seconds", Help: "Time from the first byte of a request's headers read to its answer.",
			Buckets: []float64{.0001, .0003, .001, .003, .01, .03, .1, .3, 1, 3},
		}, []string{"route"}),
	}
	r.MustRegister(m.requests, m.seconds)
	return m
}

// of returns where requests of a kind are counted, nil without metrics. The method is one of a fixed set.
func (m *metrics) of(k kind) (prometheus.Counter, prometheus.Observer) {
	if m == nil {
		return nil, nil
	}
	return m.requests.WithLabelValues(k.method, k.route, strconv.Itoa(k.status)), m.seconds.WithLabelValues(k.route)
}
