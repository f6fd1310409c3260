package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Bounds of the lifetimes of sessions and guests. Below a minute nobody could work; ten years is longer than any phone lives,
// and far from where adding to a time overflows.
const (
	minLifetime = time.Minute
	maxLifetime = 3650 * day
)

const day = 24 * time.Hour

// maxDays keeps a number of days within a time.Duration, which ends after some 106,751.
const maxDays = 100_000

// ParseDuration parses what time.ParseDuration does and, before that, whole days of 24 hours: 90d, 12h, 1d12h. It refuses negative values.
func ParseDuration(raw string) (time.Duration, error) {
	wrong := fmt.Errorf("%s is not a duration, write for example 90d, 12h or 30m", quote(raw))
	days, rest, hasDays := strings.Cut(raw, "d")
	var d time.Duration
	if hasDays {
		n, err := strconv.ParseUint(days, 10, 32)
		if err != nil || n > maxDays {
			return 0, wrong
		}
		d = time.Duration(n) * day
	} else {
		rest = raw
	}
	if hasDays && rest == "" {
		return d, nil
	}
	if strings.ContainsAny(rest, "+-") {
		return 0, wrong
	}
	r, err := time.ParseDuration(rest)
	if err != nil || d+r < d {
		return 0, wrong
	}
	return d + r, nil
}

// parseLifetime parses how long a session or guest lasts.
func parseLifetime(raw string) (time.Duration, error) {
	d, err := ParseDuration(raw)
	if err != nil {
		return 0, err
	}
	if d < minLifetime || d > maxLifetime {
		return 0, fmt.Errorf("%s is out of bounds, write 1m to %dd", quote(raw), maxLifetime/day)
	}
	return d, nil
}

// parseMaxAge is parseLifetime, but 0 means no end.
func parseMaxAge(raw string) (time.Duration, error) {
	if d, err := ParseDuration(raw); err == nil && d == 0 {
		return 0, nil
	}
	d, err := parseLifetime(raw)
	if err != nil {
		return 0, errors.New(err.Error() + ", or 0 for no end")
	}
	return d, nil
}
