package load_test

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/bench/load"
)

func TestHistogramIsRightWithinOnePercent(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var h load.Histogram
	var all []time.Duration
	for range 20_000 {
		d := time.Duration(1) << random.IntN(34)
		d += time.Duration(random.Int64N(int64(d)))
		all = append(all, d)
		h.Add(d)
	}
	slices.Sort(all)
	for _, q := range []float64{0.0001, 0.1, 0.5, 0.9, 0.99, 0.999, 1} {
		want := all[max(int(q*float64(len(all))+0.999999)-1, 0)]
		got := h.Quantile(q)
		if got < want || float64(got) > float64(want)*1.008+1 {
			t.Errorf("quantile %v: got %v, want %v or up to 0.8%% more", q, got, want)
		}
	}
	if h.Max() != all[len(all)-1] || h.Count() != int64(len(all)) {
		t.Errorf("got max %v of %d, want %v of %d", h.Max(), h.Count(), all[len(all)-1], len(all))
	}
}

func TestHistogramOfTheExtremes(t *testing.T) {
	t.Parallel()
	var h load.Histogram
	if h.Quantile(.99) != 0 || h.Mean() != 0 || h.Max() != 0 {
		t.Errorf("got %v, %v, %v of nothing, want zeros", h.Quantile(.99), h.Mean(), h.Max())
	}
	for _, d := range []time.Duration{-time.Second, 0, 127, 128, 255, 256, time.Hour} {
		h.Add(d)
	}
	if got := h.Count(); got != 7 {
		t.Errorf("got %d, want 7", got)
	}
	if got := h.Quantile(4. / 7); got != 128 {
		t.Errorf("got %d ns for the fourth of seven, want 128", got)
	}
	if got := h.Quantile(1); got > 5*time.Minute || got < 4*time.Minute {
		t.Errorf("got %v for what is longer than any bucket, want the longest bucket", got)
	}
}

func TestHistogramCountsConcurrentAdditions(t *testing.T) {
	t.Parallel()
	var h load.Histogram
	var adding sync.WaitGroup
	for range 8 {
		adding.Go(func() {
			for i := range 1000 {
				h.Add(time.Duration(i) * time.Microsecond)
			}
		})
	}
	adding.Wait()
	if h.Count() != 8000 || h.Max() != 999*time.Microsecond {
		t.Errorf("got %d up to %v, want 8000 up to 999µs", h.Count(), h.Max())
	}
}
