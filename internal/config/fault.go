package config

import (
	"errors"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Fault is one thing that is wrong with one setting.
type Fault struct {
	Flag    string // without the dashes, e.g. "public-url"
	Problem string // what is wrong and what to do, one line, never with a secret in it
}

// Faults is the error for wrong settings: all of them, in the order in which the flags are declared.
type Faults []Fault

// Error returns one line: "--flag: what is wrong, what to do; --flag: …".
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = "--" + fault.Flag + ": " + fault.Problem
	}
	return strings.Join(lines, "; ")
}

// err returns f as an error, nil if there is no fault.
func (f Faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// problems is the error of a parser that can find several things wrong with one value.
type problems []string

func (p problems) Error() string { return strings.Join(p, ", ") }

// err returns p as an error, nil if there is no problem.
func (p problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

// read parses the raw value of one flag and adds what is wrong with it to faults. It returns the zero T for a wrong value.
func read[T any](faults *Faults, flag, raw string, parse func(raw string) (T, error)) T {
	v, err := parse(raw)
	if err == nil {
		return v
	}
	all, ok := errors.AsType[problems](err)
	if !ok {
		all = problems{err.Error()}
	}
	for _, problem := range all {
		*faults = append(*faults, Fault{Flag: flag, Problem: problem})
	}
	var zero T
	return zero
}

// quote shows a value that is no secret in a message: on one line, and at most 80 characters of it.
func quote(s string) string {
	const limit = 80
	if r := []rune(s); len(r) > limit {
		s = string(r[:limit]) + "…"
	}
	return strconv.Quote(s)
}

// isPlainLine reports whether s is valid UTF-8 on one line: no control characters, no line or paragraph separators, and no
// bidirectional controls, which make a text look different from what it is. U+FFFD counts as invalid: it is what the
// flag parser turns invalid bytes into.
func isPlainLine(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r == utf8.RuneError || unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
	})
}
