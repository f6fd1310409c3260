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

// supervise keeps a helper running until Close: the first restart is immediate, further ones of helpers that never
// answered anything wait up to a second. Where no helper can be started the workers hash in this process, and it
// tries again from time to time.
func (h *Hasher) supervise(argv []string) {
	// Linux sends the helper's Pdeathsig when the thread that started it ends. Locked to it, this goroutine keeps
	// that thread alive.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	failures, deaths := 0, 0
	for {
		p, err := h.start(argv)
		if errors.Is(err, errStopped) {
			return
		}
		if err != nil {
			failures++
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
		h.setProcess(p)
		select {
		case <-h.stop:
			p.end(endGrace)
			return
		case <-p.gone:
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

// setProcess makes p the helper that the workers use.
func (h *Hasher) setProcess(p *process) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.process, h.local = p, false
	h.wake.Broadcast()
}

// drop keeps the workers from using p any more.
func (h *Hasher) drop(p *process) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.process == p {
		h.process = nil
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
