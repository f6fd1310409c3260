package load

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// A Histogram counts durations in buckets whose width grows with their value: 128 to every doubling, so that what it
// says is at most 0.8 % too much. It is safe for concurrent use; the zero value is empty.
type Histogram struct {
	counts [buckets]atomic.Uint64
	total  atomic.Uint64
	sum    atomic.Int64
	max    atomic.Int64
}

const (
	linearBits = 7                                             // below 2^7 ns a bucket is one nanosecond wide
	maxBits    = 38                                            // 2^38 ns are 4.6 minutes; what takes longer counts as that
	buckets    = (maxBits - linearBits + 1) << linearBits      // one linear part, and one more for every doubling
	longest    = time.Duration(1)<<maxBits - 1*time.Nanosecond // the longest that has a bucket
)

// Add counts d; what is negative counts as nothing.
func (h *Histogram) Add(d time.Duration) {
	d = min(max(d, 0), longest)
	h.counts[bucketOf(d)].Add(1)
	h.total.Add(1)
	h.sum.Add(int64(d))
	for {
		old := h.max.Load()
		if int64(d) <= old || h.max.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

// Count is how many durations were added.
func (h *Histogram) Count() int64 { return int64(h.total.Load()) }

// Mean is zero for an empty histogram.
func (h *Histogram) Mean() time.Duration {
	if n := h.Count(); n > 0 {
		return time.Duration(h.sum.Load() / n)
	}
	return 0
}

// Max is the longest duration, exactly.
func (h *Histogram) Max() time.Duration { return time.Duration(h.max.Load()) }

// Quantile returns a duration that the share q of all durations does not exceed: 0.99 for the 99th percentile. It is
// zero for an empty histogram.
func (h *Histogram) Quantile(q float64) time.Duration {
	total := h.total.Load()
	if total == 0 {
		return 0
	}
	rank := max(uint64(math.Ceil(q*float64(total))), 1)
	var seen uint64
	for i := range h.counts {
		if seen += h.counts[i].Load(); seen >= rank {
			return min(upperBound(i), h.Max())
		}
	}
	return h.Max()
}

func bucketOf(d time.Duration) int {
	if d < 1<<linearBits {
		return int(d)
	}
	shift := bits.Len64(uint64(d)) - linearBits - 1
	return (shift+1)<<linearBits + int(d>>shift) - 1<<linearBits
}

// upperBound is the longest duration of the bucket.
func upperBound(i int) time.Duration {
	if i < 1<<linearBits {
		return time.Duration(i)
	}
	shift := i>>linearBits - 1
	mantissa := i&(1<<linearBits-1) + 1<<linearBits
	return time.Duration(mantissa+1)<<shift - 1
}
