// Package breach asks Have I Been Pwned whether a password is known from a breach, without telling it which one: by the
// first 5 of the 40 hex digits of its SHA-1, to which hundreds of passwords belong.
//
// Source: https://haveibeenpwned.com/API/v3#PwnedPasswords (searching by range, padding), read on 2026-11-22.
package breach

import (
	"bufio"
	"context"
	"crypto/sha1" //nolint:gosec // what the service compares by; nothing is protected with it
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	defaultBaseURL = "https://api.pwnedpasswords.com"
	// patience is how long somebody who chooses a password waits for the answer at most.
	patience = time.Second
	// largest is many times what a padded range has: 1,000 lines of 40 bytes.
	largest   = 1 << 20
	prefixLen = 5
	maxConns  = 16 // beyond that requests wait for each other, within their patience
)

// Config is what New takes; the zero Config is Have I Been Pwned's own service.
type Config struct {
	BaseURL string // empty: Have I Been Pwned; without a slash at the end
}

// Ranges is a service that tells ranges of breached passwords. It is safe for concurrent use.
type Ranges struct {
	base   string
	client *http.Client
}

// New returns Ranges, which ask nobody before they are asked.
func New(cfg Config) *Ranges {
	if cfg.BaseURL == "" {
		cfg.BaseURL = defaultBaseURL
	}
	return &Ranges{base: cfg.BaseURL, client: &http.Client{
		Timeout: patience,
		Transport: &http.Transport{ // without a proxy: the environment is the command's to read
			MaxConnsPerHost: maxConns, MaxIdleConnsPerHost: maxConns, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// IsBreached says whether the password was seen in a breach. It answers within a second; an error means that nobody knows.
func (r *Ranges) IsBreached(ctx context.Context, password string) (bool, error) {
	sum := sha1.Sum([]byte(password)) //nolint:gosec // see the import
	digits := strings.ToUpper(hex.EncodeToString(sum[:]))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base+"/range/"+digits[:prefixLen], nil)
	if err != nil {
		return false, fmt.Errorf("breach: %w", err)
	}
	request.Header.Set("Add-Padding", "true") // the length of the answer would tell an eavesdropper the range
	request.Header.Set("User-Agent", "latchkey")
	answer, err := r.client.Do(request)
	if err != nil {
		return false, fmt.Errorf("breach: %w", withoutURL(err))
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return false, fmt.Errorf("breach: status %d", answer.StatusCode)
	}
	return find(io.LimitReader(answer.Body, largest), digits[prefixLen:])
}

// CloseIdleConnections closes what is kept open for the next question.
func (r *Ranges) CloseIdleConnections() { r.client.CloseIdleConnections() }

// find looks for the rest of a hash among lines of the form SUFFIX:COUNT. Padding has the count 0.
func find(body io.Reader, suffix string) (bool, error) {
	lines := bufio.NewScanner(body)
	known := 0
	for lines.Scan() {
		rest, count, ok := strings.Cut(strings.TrimSpace(lines.Text()), ":")
		if !ok || len(rest) != len(suffix) {
			return false, errors.New("breach: the answer is no range")
		}
		known++
		if rest == suffix {
			return strings.Trim(count, "0") != "", nil
		}
	}
	switch err := lines.Err(); {
	case err != nil:
		return false, fmt.Errorf("breach: read range: %w", err)
	case known == 0:
		return false, errors.New("breach: the answer is empty")
	}
	return false, nil
}

// withoutURL takes the address out of an error: it holds the prefix, which is for nobody's log.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
