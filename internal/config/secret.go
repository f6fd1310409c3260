package config

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted is what every printed Secret looks like, whatever its value or length.
const redacted = "[redacted]"

// Secret is text that must not be seen in logs, errors or answers: a password, a key, a connection string.
// It prints as [redacted] with every formatting verb, in slog and in JSON, also inside a struct or a slice.
//
// Three places are beyond its reach, because a value is not asked there how it wants to be printed: the verb %p (go vet refuses
// it), an unexported field of a struct that is printed as a whole, and the key of a map in encoding/json. Keep fields of
// this type exported, and make no map keys of it.
type Secret string

// Reveal returns the secret itself. Its callers are the places to look at when asking where a secret may go.
func (s Secret) Reveal() string { return string(s) }

// String returns [redacted].
func (Secret) String() string { return redacted }

// Format writes [redacted] for every verb, since %x and %q would not use String alone in a way that hides the length.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText makes encoding/json (and every other text encoding) write [redacted].
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
