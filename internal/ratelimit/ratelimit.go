// Package ratelimit bounds how often something may happen, by the generic cell rate algorithm (GCRA, ITU-T I.371): a bucket
// that leaks evenly, of which no more is kept than when it will be empty.
package ratelimit

import (
	"sync"
	"time"
)

// Limit allows Burst events at once, and after that one each Period/Burst. Both are positive.
type Limit struct {
	Burst  int
	Period time.Duration
	// Overdraft is how many times Burst events Table.Charge may count beyond what is allowed.
	Overdraft int
}

// interval is what one event uses up.
func (l Limit) interval() time.Duration { return l.Period / time.Duration(l.Burst) }

// full is the debt at which nothing fits any more.
func (l Limit) full() time.Duration { return l.interval() * time.Duration(l.Burst) }

// bound returns a debt that is possible: a clock that was set back must not make anybody wait for longer.
func (l Limit) bound(debt time.Duration) time.Duration {
	return max(0, min(debt, l.full()*time.Duration(1+l.Overdraft)))
}

// Take decides about an event. Debt is how long it would take from now until none of the limit is used up any more; 0 for
// nobody who was seen before. If the event fits, wait is 0 and after is the debt with it; else after is the debt as it
// was, and wait is how long it takes until one fits.
func (l Limit) Take(debt time.Duration) (after, wait time.Duration) {
	debt = l.bound(debt)
	if over := debt + l.interval() - l.full(); over > 0 {
		return debt, over
	}
	return debt + l.interval(), 0
}

// Table applies one Limit to many keys in bounded memory. It is safe for concurrent use, and each method takes constant
// time.
//
// A full table forgets the one of a few keys, taken at random, that has used up the least. So whoever wants a key that has
// reached its limit to be forgotten has to bring most of the others near theirs first: capacity times Burst events within
// the Period. Keys that are used once, however many, only push each other out.
type Table[K comparable] struct {
	limit    Limit
	capacity int
	now      func() time.Time

	mu      sync.Mutex
	emptyAt map[K]int64 // unix nanoseconds: when the key's debt is 0
}

// candidates is how many keys are looked at to find one to forget.
const candidates = 16

// NewTable returns a Table for up to capacity keys.
func NewTable[K comparable](limit Limit, capacity int, now func() time.Time) *Table[K] {
	return &Table[K]{limit: limit, capacity: capacity, now: now, emptyAt: make(map[K]int64)}
}

// Limit returns the limit that the table applies.
func (t *Table[K]) Limit() Limit { return t.limit }

// Take counts an event of the key and returns 0, or counts nothing and returns how long to wait.
func (t *Table[K]) Take(key K) (wait time.Duration) {
	now := t.now().UnixNano()
	t.mu.Lock()
	defer t.mu.Unlock()
	debt, wait := t.limit.Take(t.debt(key, now))
	if wait == 0 {
		t.keep(key, now, debt)
	}
	return wait
}

// Charge counts an event of the key that has happened, whether it fits or not: whoever goes beyond the limit at once, by
// many events under way, waits for so much longer afterwards.
func (t *Table[K]) Charge(key K) {
	now := t.now().UnixNano()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keep(key, now, t.limit.bound(t.debt(key, now)+t.limit.interval()))
}

// keep writes down the debt of a key. t.mu is held.
func (t *Table[K]) keep(key K, now int64, debt time.Duration) {
	if _, known := t.emptyAt[key]; !known && len(t.emptyAt) >= t.capacity {
		t.forgetOne()
	}
	t.emptyAt[key] = now + int64(debt)
}

// Check returns what Take would, and counts nothing.
func (t *Table[K]) Check(key K) (wait time.Duration) {
	now := t.now().UnixNano()
	t.mu.Lock()
	defer t.mu.Unlock()
	_, wait = t.limit.Take(t.debt(key, now))
	return wait
}

// GiveBack takes back an event that was counted.
func (t *Table[K]) GiveBack(key K) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at, known := t.emptyAt[key]; known {
		t.emptyAt[key] = at - int64(t.limit.interval())
	}
}

// Len returns how many keys are known.
func (t *Table[K]) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.emptyAt)
}

// debt returns the debt of a key, and writes down less than there was if the clock was set back: it would not shrink
// before the clock is where it was. t.mu is held.
func (t *Table[K]) debt(key K, now int64) time.Duration {
	at, known := t.emptyAt[key]
	if !known {
		return 0
	}
	debt := t.limit.bound(time.Duration(at - now))
	if then := now + int64(debt); then < at {
		t.emptyAt[key] = then
	}
	return debt
}

// forgetOne makes room for a key.
func (t *Table[K]) forgetOne() {
	var victim K
	var least int64
	seen := 0
	for key, at := range t.emptyAt { // begins at a random place
		if seen == 0 || at < least {
			victim, least = key, at
		}
		if seen++; seen == candidates {
			break
		}
	}
	delete(t.emptyAt, victim)
}
