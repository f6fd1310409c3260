package apitest

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"testing"
)

// log keeps what the service logs, and the secrets that must not be in it.
type log struct {
	mu        sync.Mutex
	text      bytes.Buffer
	forbidden map[string]bool
}

func newLog() *log { return &log{forbidden: make(map[string]bool)} }

// minSecret is the length of the shortest text that is looked for: a shorter one may be in a log by chance.
const minSecret = 8

// forbid adds a secret.
func (l *log) forbid(secret string) {
	if len(secret) < minSecret {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forbidden[secret] = true
}

// Write implements io.Writer for the service's logger.
func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Logged returns how often the text is in the service's log.
func (s *Server) Logged(text string) int { return strings.Count(s.log.String(), text) }

// about returns the lines that name a request.
func (l *log) about(requestID string) string {
	var lines []string
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, requestID) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

func (l *log) secrets() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]string, 0, len(l.forbidden))
	for secret := range l.forbidden {
		list = append(list, secret)
	}
	slices.Sort(list)
	return list
}

// check fails the test for every secret in the log.
func (l *log) check(t testing.TB) {
	t.Helper()
	text := l.String()
	for _, secret := range l.secrets() {
		if at := strings.Index(text, secret); at >= 0 {
			start := strings.LastIndexByte(text[:at], '\n') + 1
			t.Errorf("the secret %q has been logged: %s…", secret, text[start:at+len(secret)])
		}
	}
}
