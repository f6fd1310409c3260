package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/config"
)

// pipe is a writer that can be stopped, as a pipe is that nobody reads.
type pipe struct {
	mu     sync.Mutex // held while it is stopped
	text   bytes.Buffer
	writes int
}

func (p *pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writes++
	return p.text.Write(b)
}

// read returns what came, and in how many writes.
func (p *pipe) read() (text string, writes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String(), p.writes
}

func openLog(t *testing.T) (*pipe, logger) {
	t.Helper()
	p := new(pipe)
	log := newLogger(config.Settings{LogFormat: config.LogJSON, LogLevel: slog.LevelInfo}, p)
	t.Cleanup(log.lines.close)
	return p, log
}

func TestLogKeepsEveryLineInOrder(t *testing.T) {
	t.Parallel()
	p, log := openLog(t)
	const writers, each = 8, 500
	var running sync.WaitGroup
	for writer := range writers {
		running.Go(func() {
			log := log.With("writer", writer)
			for n := range each {
				log.Info("line", "n", n)
			}
		})
	}
	running.Wait()
	log.lines.close()
	log.lines.close()
	log.Info("after the end")

	text, writes := p.read()
	var next [writers]int
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for _, line := range lines[:len(lines)-1] {
		var writer, n int
		_, message, _ := strings.Cut(line, `"msg":"line",`)
		if _, err := fmt.Sscanf(message, `"writer":%d,"n":%d}`, &writer, &n); err != nil {
			t.Fatalf("got the line %q: %v", line, err)
		}
		if n != next[writer] {
			t.Fatalf("got line %d of writer %d, want %d", n, writer, next[writer])
		}
		next[writer]++
	}
	if len(lines) != writers*each+1 || !strings.Contains(lines[len(lines)-1], "after the end") {
		t.Errorf("got %d lines, the last one %q; want %d", len(lines), lines[len(lines)-1], writers*each+1)
	}
	if writes > len(lines)/2 {
		t.Errorf("got %d writes for %d lines, want few", writes, len(lines))
	}
}

// Whoever logs a warning may end the program at once.
func TestWarningIsWrittenBeforeItReturns(t *testing.T) {
	t.Parallel()
	p, log := openLog(t)
	for _, warn := range []func(string, ...any){log.Warn, log.Error, log.WithGroup("g").Warn, log.With("a", 1).Error} {
		log.Info("before")
		before, _ := p.read()
		warn("trouble")
		after, _ := p.read()
		if got := after[len(before):]; !strings.Contains(got, `"trouble"`) || !strings.Contains(after, `"before"`) {
			t.Errorf("got %q when the warning returned", got)
		}
	}
}

func TestLineIsWrittenWithoutAnother(t *testing.T) {
	t.Parallel()
	p, log := openLog(t)
	log.Info("alone")
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if text, _ := p.read(); strings.Contains(text, `"alone"`) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the line was not written")
		}
	}
}

// A log that nobody reads costs the program a second, a megabyte and the lines beyond that, and says how many those were.
func TestLogThatIsNotReadStopsNothing(t *testing.T) {
	t.Parallel()
	p, log := openLog(t)
	line := strings.Repeat("x", 1000)
	p.mu.Lock()
	begun := time.Now()
	const count = 5000
	for range count {
		log.Info(line)
	}
	log.Warn("trouble")
	took := time.Since(begun)
	log.lines.mu.Lock()
	if got := len(log.lines.waiting); got > logRoom {
		t.Errorf("%d bytes wait, want at most %d", got, logRoom)
	}
	log.lines.mu.Unlock()
	p.mu.Unlock()
	if took > 15*time.Second { // a second for all, on a machine that has time
		t.Errorf("the program was held up for %v", took)
	}

	log.lines.close()
	log.Info("later")
	text, _ := p.read()
	kept, missing := strings.Count(text, line), 0
	_, after, ok := strings.Cut(text, `"msg":"the log was not read in time: lines are missing","lines":`)
	if _, err := fmt.Sscanf(after, "%d}", &missing); err != nil || !ok {
		t.Fatalf("nothing is said of lines that are missing (%v)", err)
	}
	if trouble := strings.Count(text, `"trouble"`); kept+trouble+missing != count+1 || kept < logRoom/1100 {
		t.Errorf("got %d lines and %d missing, want %d in all", kept+trouble, missing, count+1)
	}
	if !strings.Contains(text, `"later"`) {
		t.Error("nothing is written after the trouble")
	}
}
