package auth_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

// However a secret gets into a message, a log or JSON, it does not show.
func TestSecretsDoNotShow(t *testing.T) {
	t.Parallel()
	const hidden = "s3cr3t-value"
	for name, value := range map[string]any{
		"SessionToken":  auth.SessionToken(hidden),
		"OneTimeSecret": auth.OneTimeSecret(hidden),
		"OneTimeCode":   auth.OneTimeCode(hidden),
		"Password":      auth.NormalizePassword(hidden),
		"PasswordHash":  auth.PasswordHash(hidden),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for how, text := range shown(t, value) {
				if strings.Contains(text, hidden) || strings.Contains(text, fmt.Sprintf("%x", hidden)) {
					t.Errorf("%s shows %q", how, text)
				}
			}
		})
	}
}

func TestSecretsInsideOtherValuesDoNotShow(t *testing.T) {
	t.Parallel()
	const hidden = "s3cr3t-value"
	for name, value := range map[string]any{
		"what a sign-in answers": auth.SignedIn{Token: hidden},
		"a pointer to it":        &auth.SignedIn{Token: hidden},
		"a letter":               auth.Letter{Code: hidden},
		"a list":                 []auth.SessionToken{hidden},
		"a map":                  map[string]auth.OneTimeCode{"code": hidden},
		"a new user":             auth.NewUser{PasswordHash: hidden},
		"a change of password":   auth.PasswordChange{Verified: hidden, New: hidden},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for how, text := range shown(t, value) {
				if strings.Contains(text, hidden) || strings.Contains(text, fmt.Sprintf("%x", hidden)) {
					t.Errorf("%s shows %q", how, text)
				}
			}
		})
	}
}

// shown is a value in all the ways in which values come to be read.
func shown(t *testing.T, value any) map[string]string {
	t.Helper()
	ways := make(map[string]string)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%T", "%10.3s", "% x", "%08v"} {
		ways["fmt "+verb] = fmt.Sprintf(verb, value)
	}
	ways["fmt.Sprint"] = fmt.Sprint(value)
	ways["an error"] = fmt.Errorf("sign in: %w: %v", errors.New("no"), value).Error()
	content, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	ways["json"] = string(content)
	for name, handler := range map[string]func(b *bytes.Buffer) slog.Handler{
		"slog text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"slog JSON": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var b bytes.Buffer
		logger := slog.New(handler(&b))
		logger.Info("message", "value", value, slog.Any("again", value), slog.Group("group", "value", value))
		logger.With("value", value).WithGroup("group").Error(fmt.Sprint("message of ", value))
		ways[name] = b.String()
	}
	return ways
}

func TestSecretsAreRevealedOnDemand(t *testing.T) {
	t.Parallel()
	for _, got := range []string{auth.SessionToken("x").Reveal(), auth.OneTimeSecret("x").Reveal(), auth.OneTimeCode("x").Reveal(), auth.DeviceToken("x").Reveal()} {
		if got != "x" {
			t.Errorf("got %q, want x", got)
		}
	}
	if got := fmt.Sprint(auth.SessionToken("x")); got != "[redacted]" {
		t.Errorf("got %q, want [redacted]", got)
	}
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	if _, err := auth.New(auth.Config{}); err == nil || !strings.HasPrefix(err.Error(), "auth: no ") {
		t.Errorf("got %v, want an error that names the setting", err)
	}
	_, err := auth.New(auth.Config{SessionIdle: time.Hour})
	if err == nil {
		t.Error("got a service of nothing")
	}
}

func TestValidationErrorNamesItsFaults(t *testing.T) {
	t.Parallel()
	err := &auth.ValidationError{Fields: []auth.FieldError{
		{Field: auth.FieldUsername, Code: auth.Taken}, {Field: auth.FieldPassword, Code: auth.TooShort, Limit: 8},
	}}
	if got, want := err.Error(), "username taken, password too_short"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
