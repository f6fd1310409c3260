package passhash

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// derive queues one computation and waits for its end, in the caller's goroutine.
func (h *Hasher) derive(ctx context.Context, client string, p Params, salt []byte, size int, secret string) ([]byte, error) {
	if len(secret) > maxSecret {
		return nil, ErrTooLong
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("queue a password hash: %w", err)
	}
	wait := h.maxWait
	if client == Background {
		wait *= backgroundWait
	}
	j := &job{
		client:   client,
		work:     request{params: p, keySize: size, salt: salt, secret: []byte(secret)},
		deadline: h.now().Add(wait),
		done:     make(chan outcome, 1),
	}
	if err := h.enqueue(j); err != nil {
		return nil, err
	}
	late := time.NewTimer(wait)
	defer late.Stop()
	for {
		select {
		case o := <-j.done:
			return o.key, o.err
		case <-late.C:
			h.expire(j) // a job that is being computed is waited for
		case <-ctx.Done():
			h.withdraw(j)
			return nil, fmt.Errorf("wait for a password hash: %w", ctx.Err())
		}
	}
}

// enqueue lets j wait, or returns ErrUnavailable or *OverloadedError.
func (h *Hasher) enqueue(j *job) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closing {
		return ErrUnavailable
	}
	displaced, admitted := h.queue.push(j)
	if displaced != nil {
		h.refuse(displaced)
	}
	if !admitted {
		h.stats.Refused++
		return h.overloaded()
	}
	if h.process == nil {
		h.want()
	}
	if !h.armed {
		h.arm()
	}
	h.wake.Signal()
	return nil
}

// expire refuses j if it still waits.
func (h *Hasher) expire(j *job) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.queue.remove(j) {
		h.refuse(j)
	}
}

// withdraw takes j out if it still waits. Once begun it goes on, and its worker with it: otherwise whoever
// hangs up early could have any number of hashes computed at once.
func (h *Hasher) withdraw(j *job) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.queue.remove(j)
}

// work is one worker: it takes a job when there is somewhere to compute it, and keeps to it until it is done.
func (h *Hasher) work() {
	for {
		j, p := h.next()
		switch {
		case j == nil:
			return
		case p != nil:
			key, err := p.derive(j.work)
			h.finish(j, p, key, err)
		default:
			h.finish(j, nil, j.work.key(), nil)
		}
	}
}

// next waits for a job and for a place to compute it: a helper, or this process if the helper is nil. It returns no
// job when the Hasher is being closed.
func (h *Hasher) next() (*job, *process) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for !h.closing {
		if h.process != nil || h.local && h.busyHere < h.workers {
			if j := h.take(); j != nil {
				h.busy++
				if h.process == nil {
					h.busyHere++
				}
				return j, h.process
			}
		}
		h.wake.Wait()
	}
	return nil, nil
}

// take moves the next job from the queue to the running ones, and refuses those before it that have waited too long.
// Their own timers do that as well, but a process that is short of processor time may notice them late.
func (h *Hasher) take() *job {
	now := h.now()
	for {
		j := h.queue.pop()
		if j == nil {
			return nil
		}
		if now.Before(j.deadline) {
			j.began = now
			h.running = append(h.running, j)
			return j
		}
		h.refuse(j)
	}
}

// finish is the end of a worker's job.
func (h *Hasher) finish(j *job, p *process, key []byte, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.busy--
	if p == nil {
		h.busyHere--
	} else {
		h.used = h.now()
	}
	if err == nil {
		took := h.now().Sub(j.began)
		h.each += (took - h.each) / 8
		if h.fastest == 0 || took < h.fastest {
			h.fastest = took
		}
	}
	h.answer(j, key, err)
	if h.closing {
		h.wake.Broadcast() // Close counts
	}
}

// answer gives j its outcome, once.
func (h *Hasher) answer(j *job, key []byte, err error) {
	if j.answered {
		return
	}
	j.answered = true
	j.done <- outcome{key: key, err: err}
	if i := slices.Index(h.running, j); i >= 0 {
		h.running = slices.Delete(h.running, i, i+1)
	}
	if err == nil {
		h.stats.Hashes++
		h.arm()
	}
}

// refuse answers j, which is no longer in the queue, with OverloadedError.
func (h *Hasher) refuse(j *job) {
	h.stats.Refused++
	h.answer(j, nil, h.overloaded())
}

func (h *Hasher) overloaded() error {
	return &OverloadedError{RetryAfter: retryAfter(h.queue.waiting, h.workers, h.each)}
}

// retryAfter estimates how long the workers need for what waits: whole seconds from 1 to 30.
func retryAfter(waiting, workers int, each time.Duration) time.Duration {
	drain := each * time.Duration(waiting) / time.Duration(workers)
	return min(max(drain.Truncate(time.Second)+time.Second, time.Second), 30*time.Second)
}

// arm starts the time after which the lender steps in, anew. It has to be called whenever a hash is finished.
func (h *Hasher) arm() {
	if len(h.running)+h.queue.waiting == 0 {
		h.armed = false
		h.starved.Stop()
		return
	}
	h.armed = true
	h.starved.Reset(max(starvedAfter, 4*h.fastest)) // on a slow machine a hash may just be slow
}

// lend computes one hash in this process, because none has finished for a while although somebody waits: the helper
// gets no processor, or there is none right now. Whoever has waited longest gets it. If that is a job that the helper
// is computing, the first result counts.
func (h *Hasher) lend() {
	h.mu.Lock()
	h.armed = false
	if h.lending || h.local {
		h.mu.Unlock()
		return
	}
	var j *job
	if i := slices.IndexFunc(h.running, func(j *job) bool { return !j.lent }); i >= 0 {
		j = h.running[i]
	} else if j = h.take(); j == nil {
		h.mu.Unlock()
		return
	}
	j.lent = true
	h.lending = true
	h.working.Add(1) // not from zero, even while Close waits: the worker with this job, or all of them, are still there
	defer h.working.Done()
	h.stats.Lent++
	h.mu.Unlock()

	key := j.work.key()

	h.mu.Lock()
	defer h.mu.Unlock()
	h.lending = false
	h.answer(j, key, nil)
	h.arm()
	go runtime.GC() // the next one uses the same block of memory then, instead of a second and a third
	if h.closing {
		h.wake.Broadcast() // Close counts
	}
}
