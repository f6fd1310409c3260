package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/ideaegg/latchkey/internal/config"
)

const (
	// logDelay is how long a line waits for company. At full load 100 and more share one write.
	logDelay = 5 * time.Millisecond
	// logRoom bounds what waits, in bytes: some 5,000 requests.
	logRoom = 1 << 20
	// logPatience is how long the program waits for a log that is not read, in all, before it lets lines go: long enough
	// for whoever rotates it, too short for clients to give up.
	logPatience = time.Second
)

// logger is the program's log, and where its lines wait.
type logger struct {
	*slog.Logger
	lines    *lineBuffer
	requests io.Writer // lines, if those of requests are wanted and JSON; nil: they are the Logger's
}

// newLogger returns a log that is written to w some milliseconds later, warnings and errors at once. The caller closes
// its lines at the end.
func newLogger(cfg config.Settings, w io.Writer) logger {
	asText := cfg.LogFormat == config.LogText
	if f, ok := w.(*os.File); ok && cfg.LogFormat == config.LogAuto {
		asText = term.IsTerminal(int(f.Fd()))
	}
	handler := func(w io.Writer) slog.Handler {
		options := &slog.HandlerOptions{Level: cfg.LogLevel}
		if asText {
			return slog.NewTextHandler(w, options)
		}
		return slog.NewJSONHandler(w, options)
	}
	direct := slog.New(handler(w))
	lines := newLineBuffer(w, func(dropped int) {
		direct.Warn("the log was not read in time: lines are missing", "lines", dropped)
	})
	l := logger{Logger: slog.New(promptHandler{handler(lines), lines}), lines: lines}
	if !asText && cfg.LogLevel <= slog.LevelInfo {
		l.requests = lines
	}
	return l
}

// promptHandler has warnings and errors written before it returns, unless that takes too long: the program may be about
// to end.
type promptHandler struct {
	slog.Handler
	lines *lineBuffer
}

// Handle implements slog.Handler.
func (h promptHandler) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelWarn {
		h.lines.flush()
	}
	return err
}

// WithAttrs implements slog.Handler.
func (h promptHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return promptHandler{h.Handler.WithAttrs(attrs), h.lines}
}

// WithGroup implements slog.Handler.
func (h promptHandler) WithGroup(name string) slog.Handler {
	return promptHandler{h.Handler.WithGroup(name), h.lines}
}

// lineBuffer gathers lines and writes many of them at once, in their order. While its writer is stuck it holds up to
// logRoom bytes and then lets lines go, and says how many once it can.
type lineBuffer struct {
	w       io.Writer       // only the goroutine run uses it, and after that write
	lost    func(lines int) // writes to w
	begun   chan struct{}   // something waits; capacity 1
	hurry   chan struct{}   // and somebody for it; capacity 1
	closing chan struct{}   // closed by close
	ended   chan struct{}   // closed when run has ended
	once    sync.Once       // closes closing

	mu      sync.Mutex
	waiting []byte
	spare   []byte        // empty; the memory of lines that have been written
	count   int           // lines that were taken
	written int           // lines of these that were written
	dropped int           // lines that were not taken and have not been reported
	stuck   bool          // somebody waited in vain since the last write
	wrote   chan struct{} // closed after the next write
	over    bool          // run has ended: write directly
}

func newLineBuffer(w io.Writer, lost func(lines int)) *lineBuffer {
	b := &lineBuffer{
		w: w, lost: lost,
		begun: make(chan struct{}, 1), hurry: make(chan struct{}, 1), closing: make(chan struct{}), ended: make(chan struct{}),
		wrote: make(chan struct{}),
	}
	go b.run()
	return b
}

// Write takes one line. It returns at once unless the buffer is full, and never an error.
func (b *lineBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	if len(b.waiting)+len(line) > logRoom && !b.over {
		b.await(func() bool { return len(b.waiting)+len(line) <= logRoom || b.over })
	}
	switch {
	case b.over:
		_, _ = b.w.Write(line)
	case len(b.waiting)+len(line) > logRoom:
		b.dropped++
	default:
		if len(b.waiting) == 0 {
			nudge(b.begun)
		}
		b.waiting = append(b.waiting, line...)
		b.count++
	}
	b.mu.Unlock() // not deferred: every request comes through here
	return len(line), nil
}

// flush returns when all lines that were taken before have been written, or when that takes too long.
func (b *lineBuffer) flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	nudge(b.hurry)
	last := b.count
	b.await(func() bool { return b.written >= last || b.over })
}

// await waits until done returns true. It gives up after logPatience, and then at once until something has been written.
// b.mu is held when done is called, and before and after.
func (b *lineBuffer) await(done func() bool) {
	var late <-chan time.Time
	for !done() && !b.stuck {
		if late == nil {
			timer := time.NewTimer(logPatience)
			defer timer.Stop()
			late = timer.C
		}
		wrote := b.wrote
		b.mu.Unlock()
		var gaveUp bool
		select {
		case <-wrote:
		case <-late:
			gaveUp = true
		}
		b.mu.Lock()
		b.stuck = b.stuck || gaveUp
	}
}

// close writes what waits. What is written later is written directly.
func (b *lineBuffer) close() {
	b.once.Do(func() { close(b.closing) })
	late := time.NewTimer(logPatience)
	defer late.Stop()
	select {
	case <-b.ended:
	case <-late.C: // nobody reads it
	}
}

func (b *lineBuffer) run() {
	defer close(b.ended)
	timer := time.NewTimer(logDelay)
	for {
		select {
		case <-b.begun:
		case <-b.closing:
			b.writeOut(true)
			return
		}
		timer.Reset(logDelay)
		select {
		case <-timer.C:
		case <-b.hurry:
		case <-b.closing:
		}
		b.writeOut(false)
	}
}

// writeOut writes what waits; the last time, what comes meanwhile waits for it.
func (b *lineBuffer) writeOut(last bool) {
	const keep = 64 << 10 // of the memory; more was an exception

	b.mu.Lock()
	defer b.mu.Unlock()
	lines, count, dropped := b.waiting, b.count, b.dropped
	b.waiting, b.spare, b.dropped, b.over = b.spare, nil, 0, last
	if !last {
		b.mu.Unlock()
	}
	if len(lines) > 0 {
		_, _ = b.w.Write(lines) // a log that cannot be written has nowhere to say so
	}
	if dropped > 0 {
		b.lost(dropped)
	}
	if !last {
		b.mu.Lock()
	}
	if cap(lines) <= keep {
		b.spare = lines[:0]
	}
	b.written, b.stuck = count, false
	close(b.wrote)
	b.wrote = make(chan struct{})
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
