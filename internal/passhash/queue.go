package passhash

import (
	"container/list"
	"time"
)

// job is one request on its way through the governor.
type job struct {
	client   string
	work     request
	deadline time.Time    // waiting past it is pointless
	done     chan outcome // of capacity 1: whoever answers never waits for the caller

	// Owned by the queue while the job waits.
	lane  *lane
	place *list.Element

	// Guarded by Hasher.mu.
	began    time.Time // when a worker took it
	lent     bool      // this process computes it too
	answered bool
}

// Background is the client of work that nobody looks at while it is done, such as the codes of outgoing mail. It is
// served when nobody else waits, and every backgroundTurn-th time when somebody does, so that a storm neither feels it
// nor keeps it from getting done; it may wait backgroundWait times as long as others, and is never refused for a full
// queue: its only user bounds how much of it there is at once.
const (
	Background     = "background"
	backgroundTurn = 16
	backgroundWait = 10
)

// outcome is the answer to a job: a key or an error.
type outcome struct {
	key []byte
	err error
}

// queue holds the waiting jobs, at most limit of them. It serves the clients in turn, one job each, and the
// jobs of one client in the order of their arrival, so a client that floods waits for itself. It is pure data:
// no clock, no lock.
type queue struct {
	limit   int
	waiting int
	lanes   map[string]*lane
	turns   *list.List // of *lane, each with at least one job; the front is served next
	passed  int        // how often others were served since Background was, while it waited
}

// lane holds the waiting jobs of one client, oldest first.
type lane struct {
	client string
	jobs   *list.List    // of *job
	turn   *list.Element // nil for Background
}

func newQueue(limit int) *queue {
	return &queue{limit: limit, lanes: make(map[string]*lane), turns: list.New()}
}

// push lets j wait. When the queue is full, j takes the place of the newest job of the client with the most
// waiting jobs, which push returns, provided that this leaves the two clients more equal than before; otherwise
// j is not admitted. (Against a client with only one job more there is nothing to gain: the two would merely
// swap their shares, and with a crowd of one-job clients every newcomer would push out somebody who has waited.)
func (q *queue) push(j *job) (displaced *job, admitted bool) {
	if q.waiting >= q.limit && j.client != Background {
		longest := q.longest()
		if longest == nil || longest.jobs.Len() <= q.waitingOf(j.client)+1 {
			return nil, false
		}
		displaced, _ = longest.jobs.Back().Value.(*job)
		q.remove(displaced)
	}
	l := q.lanes[j.client]
	if l == nil {
		l = &lane{client: j.client, jobs: list.New()}
		if j.client != Background {
			l.turn = q.turns.PushBack(l)
		}
		q.lanes[j.client] = l
	}
	j.lane, j.place = l, l.jobs.PushBack(j)
	q.waiting++
	return displaced, true
}

// pop takes out the job that is to be served next, or returns nil.
func (q *queue) pop() *job {
	l := q.next()
	if l == nil {
		return nil
	}
	j, _ := l.jobs.Front().Value.(*job)
	q.remove(j)
	return j
}

// next returns the lane that is to be served next, or nil.
func (q *queue) next() *lane {
	background, front := q.lanes[Background], q.turns.Front()
	if background != nil && (front == nil || q.passed >= backgroundTurn-1) {
		q.passed = 0
		return background
	}
	if front == nil {
		return nil
	}
	if background != nil {
		q.passed++
	}
	l, _ := front.Value.(*lane)
	q.turns.MoveToBack(front)
	return l
}

// remove takes j out and reports whether it was waiting.
func (q *queue) remove(j *job) bool {
	l := j.lane
	if l == nil {
		return false
	}
	l.jobs.Remove(j.place)
	j.lane, j.place = nil, nil
	q.waiting--
	if l.jobs.Len() == 0 {
		if l.turn != nil {
			q.turns.Remove(l.turn)
		}
		delete(q.lanes, l.client)
	}
	return true
}

// waitingOf returns how many jobs of client wait.
func (q *queue) waitingOf(client string) int {
	if l := q.lanes[client]; l != nil {
		return l.jobs.Len()
	}
	return 0
}

// longest returns the lane with the most jobs, of equals the one whose turn is furthest away, or nil. It looks
// at every lane, which costs about a microsecond for each hundred and happens only when the queue is full.
func (q *queue) longest() *lane {
	var longest *lane
	for e := q.turns.Back(); e != nil; e = e.Prev() {
		if l, _ := e.Value.(*lane); longest == nil || l.jobs.Len() > longest.jobs.Len() {
			longest = l
		}
	}
	return longest
}
