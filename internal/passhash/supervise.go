package passhash

import (
	"errors"
	"log/slog"
	"runtime"
	"time"
)

const (
	// startsBeforeFallback is how many starts must fail in a row before this process hashes itself.
	startsBeforeFallback = 3

	// retryStart is the longest pause between attempts to start a helper after that.
	retryStart = 30 * time.Second
)

// supervise starts a helper when a job wants one and ends it when none has for a while, until Close. One that dies
// over jobs is replaced: the first time at once, further ones that never answered anything after up to a second. Where
// no helper can be started the workers hash in this process, and it tries again from time to time, with a job.
func (h *Hasher) supervise(argv []string) {
	// Linux sends the helper's Pdeathsig when the thread that started it ends. Locked to it, this goroutine keeps
	// that thread alive.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	failures, deaths := 0, 0
	for h.awaitWanted() {
		p, err := h.start(argv)
		if errors.Is(err, errStopped) {
			return
		}
		if err != nil {
			failures++
			if failures < startsBeforeFallback {
				h.want() // still: the jobs wait
			}
			if failures == startsBeforeFallback {
				h.setLocal(true)
				h.log.Warn("hash helper cannot be started; passwords are hashed in process", slog.Any("err", err))
			}
			if !h.pause(startPause(failures)) {
				return
			}
			continue
		}
		if failures >= startsBeforeFallback {
			h.log.Info("hash helper started at last", slog.Int("pid", p.cmd.Process.Pid))
		}
		failures = 0
		h.log.Debug("hash helper started", slog.Int("pid", p.cmd.Process.Pid))
		h.setProcess(p)
		if died := h.attend(p); !died {
			continue
		}
		h.drop(p)
		if p.useful() {
			deaths = 0
		}
		h.countRestart()
		h.log.Warn("hash helper died", slog.Int("pid", p.cmd.Process.Pid), slog.String("exit", p.exit))
		if !h.pause(restartPause(deaths)) {
			return
		}
		deaths++
	}
}

// errStopped reports that the Hasher was closed while a helper was starting.
var errStopped = errors.New("passhash: stopped")

// start returns a helper that is ready, or an error after it is gone.
func (h *Hasher) start(argv []string) (*process, error) {
	p, err := startProcess(argv, h.helper)
	if err != nil {
		return nil, err
	}
	go p.serve(func() { h.drop(p) })
	late := time.NewTimer(greetTimeout)
	defer late.Stop()
	select {
	case <-p.greeted:
		return p, nil
	case <-p.gone:
		return nil, errors.New("passhash: helper ended before it was ready: " + p.exit)
	case <-late.C:
		p.end(0)
		return nil, errors.New("passhash: helper was not ready in time")
	case <-h.stop:
		p.end(0)
		return nil, errStopped
	}
}

// attend ends p when it has been without a job for long enough, or when the Hasher is closed. It reports whether p has
// died before.
func (h *Hasher) attend(p *process) (died bool) {
	idle := time.NewTimer(h.helperIdle)
	defer idle.Stop()
	for {
		select {
		case <-p.gone:
			return true
		case <-h.stop:
			p.end(endGrace)
			return false
		case <-idle.C:
		}
		if left := h.retire(p); left > 0 {
			idle.Reset(left)
			continue
		}
		h.log.Debug("hash helper ended, nobody needs it", slog.Int("pid", p.cmd.Process.Pid))
		h.working.Go(func() { p.end(endGrace) }) // a job that comes now does not wait for it
		return false
	}
}

// retire keeps the workers from using p any more if it has been without a job for long enough. Otherwise it returns
// how long that will take at least.
func (h *Hasher) retire(p *process) (left time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.process != p || h.busy+h.queue.waiting > 0 {
		return h.helperIdle
	}
	if left = h.helperIdle - h.now().Sub(h.used); left <= 0 {
		h.process = nil
	}
	return left
}

// startPause is how long to wait after so many failed starts in a row.
func startPause(failures int) time.Duration {
	if failures < startsBeforeFallback {
		return 50 * time.Millisecond
	}
	return min(retryStart, time.Second<<min(failures-startsBeforeFallback, 10))
}

// restartPause is how long to wait after a helper has died, when so many before it have died without having answered
// anything.
func restartPause(deaths int) time.Duration {
	if deaths == 0 {
		return 0
	}
	return min(time.Second, 50*time.Millisecond<<min(deaths, 10))
}

// pause waits, and reports false if the Hasher is closed meanwhile.
func (h *Hasher) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-h.stop:
		return false
	}
}

// awaitWanted waits until somebody wants a helper, and reports false if the Hasher is closed meanwhile.
func (h *Hasher) awaitWanted() bool {
	select {
	case <-h.wanted:
		return true
	case <-h.stop:
		return false
	}
}

// want has the supervisor start a helper.
func (h *Hasher) want() {
	select {
	case h.wanted <- struct{}{}:
	default: // it knows
	}
}

// setProcess makes p the helper that the workers use.
func (h *Hasher) setProcess(p *process) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.process, h.local, h.used = p, false, h.now()
	select {
	case <-h.wanted: // by those who have this one now
	default:
	}
	h.wake.Broadcast()
}

// drop keeps the workers from using p any more, and wants another one for those who need it.
func (h *Hasher) drop(p *process) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.process != p {
		return
	}
	h.process = nil
	if h.busy+h.queue.waiting > 0 {
		h.want()
	}
}

func (h *Hasher) setLocal(local bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.local = local
	h.wake.Broadcast()
}

func (h *Hasher) countRestart() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stats.Restarts++
}
