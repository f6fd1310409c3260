package load

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A Result is what became of a plan.
type Result struct {
	// Statuses counts all answers, those of the warm-up too.
	Statuses map[int]int64 `json:"statuses"`
	// Broken counts requests without an answer: refused connections, connections that ended, and timeouts.
	Broken      int64  `json:"broken"`
	FirstBroken string `json:"first_broken,omitempty"`
	// Unexpected counts answers with a status that the plan does not expect.
	Unexpected      int64  `json:"unexpected"`
	FirstUnexpected string `json:"first_unexpected,omitempty"`
	// Good are the answers below 400, Refused those with 503.
	Good    Series `json:"good"`
	Refused Series `json:"refused"`
	// Late is by how much the generator itself missed the times at which requests of an open loop were due. It is part of
	// what Good says.
	Late Series `json:"late,omitzero"`
}

// A Series describes the answers of one kind. Latencies are those of requests that were begun, or in an open loop due,
// while it was measured.
type Series struct {
	Rate  float64       `json:"rate"` // answers a second that arrived while it was measured
	Count int64         `json:"count"`
	Mean  time.Duration `json:"mean_ns"`
	P50   time.Duration `json:"p50_ns"`
	P90   time.Duration `json:"p90_ns"`
	P99   time.Duration `json:"p99_ns"`
	P999  time.Duration `json:"p999_ns"`
	Max   time.Duration `json:"max_ns"`
}

// Fault says what went wrong in the run, or "".
func (r Result) Fault() string {
	switch {
	case r.Unexpected > 0:
		return fmt.Sprintf("%d unexpected answers, the first: %s", r.Unexpected, r.FirstUnexpected)
	case r.Broken > 0:
		return fmt.Sprintf("%d requests without an answer, the first: %s", r.Broken, r.FirstBroken)
	}
	return ""
}

// recorder gathers a Result.
type recorder struct {
	expected map[int]bool
	from, to time.Time // what is measured

	good, refused         Histogram
	goodRate, refusedRate atomic.Int64
	late                  Histogram
	statuses              [1000]atomic.Int64

	mu     sync.Mutex
	result Result
}

func newRecorder(expected map[int]bool, from, to time.Time) *recorder {
	return &recorder{expected: expected, from: from, to: to}
}

// answer notes an answer, with a status of three digits, to a request that was begun or due at the given time.
func (r *recorder) answer(status int, body func() string, begun, ended time.Time) {
	histogram, rate := &r.good, &r.goodRate
	if status == http.StatusServiceUnavailable {
		histogram, rate = &r.refused, &r.refusedRate
	}
	if status < http.StatusBadRequest || status == http.StatusServiceUnavailable {
		if r.isMeasured(begun) {
			histogram.Add(ended.Sub(begun))
		}
		if r.isMeasured(ended) {
			rate.Add(1)
		}
	}
	r.statuses[status].Add(1)
	if r.expected[status] {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.result.Unexpected++; r.result.Unexpected == 1 {
		r.result.FirstUnexpected = fmt.Sprintf("%d %s", status, body())
	}
}

func (r *recorder) broke(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.result.Broken++; r.result.Broken == 1 {
		r.result.FirstBroken = err.Error()
	}
}

func (r *recorder) isMeasured(t time.Time) bool { return !t.Before(r.from) && t.Before(r.to) }

// finish returns the Result. A run that ended early, at the given time, was measured for a shorter while.
func (r *recorder) finish(ended time.Time) Result {
	if ended.After(r.to) {
		ended = r.to
	}
	seconds := ended.Sub(r.from).Seconds()
	r.result.Statuses = make(map[int]int64)
	for status := range r.statuses {
		if n := r.statuses[status].Load(); n > 0 {
			r.result.Statuses[status] = n
		}
	}
	r.result.Good = series(&r.good, r.goodRate.Load(), seconds)
	r.result.Refused = series(&r.refused, r.refusedRate.Load(), seconds)
	r.result.Late = series(&r.late, r.late.Count(), seconds)
	return r.result
}

func series(h *Histogram, arrived int64, seconds float64) Series {
	if seconds <= 0 {
		seconds, arrived = 1, 0
	}
	return Series{
		Rate: float64(arrived) / seconds, Count: h.Count(), Mean: h.Mean(),
		P50: h.Quantile(.5), P90: h.Quantile(.9), P99: h.Quantile(.99), P999: h.Quantile(.999), Max: h.Max(),
	}
}
