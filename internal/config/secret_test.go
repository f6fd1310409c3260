package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/ideaegg/latchkey/internal/config"
)

func TestSecretIsRedactedWhereverItIsPrinted(t *testing.T) {
	t.Parallel()
	const value = "hunter2"
	secret := config.Secret(value)
	marshal := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	log := func(newHandler func(*bytes.Buffer) slog.Handler) string {
		var b bytes.Buffer
		slog.New(newHandler(&b)).Info("message", "secret", secret, "app", config.WeChatApp{Secret: secret}, "keys", []config.Secret{secret})
		return b.String()
	}
	printed := map[string]string{
		"v":         fmt.Sprintf("%v", secret),
		"plus v":    fmt.Sprintf("%+v", secret),
		"sharp v":   fmt.Sprintf("%#v", secret),
		"s":         fmt.Sprintf("%s", secret),
		"width":     fmt.Sprintf("%-20.3s", secret),
		"q":         fmt.Sprintf("%q", secret),
		"x":         fmt.Sprintf("%x", secret),
		"X":         fmt.Sprintf("% X", secret),
		"d":         fmt.Sprintf("%d", any(secret)),
		"Println":   fmt.Sprintln(secret),
		"String":    secret.String(),
		"pointer":   fmt.Sprintf("%v", &secret),
		"slice":     fmt.Sprintf("%q", []config.Secret{secret}),
		"map key":   fmt.Sprintf("%v", map[config.Secret]config.Secret{secret: secret}),
		"struct":    fmt.Sprintf("%#v", config.Mail{Password: secret}),
		"error":     fmt.Errorf("wrapped: %w", fmt.Errorf("%v", secret)).Error(),
		"JSON":      marshal(map[string]any{"key": []any{secret, &secret, config.WeChatApp{Secret: secret}}}),
		"JSON log":  log(func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) }),
		"text log":  log(func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) }),
		"log value": secret.LogValue().String(),
	}
	for name, got := range printed {
		if strings.Contains(got, value) || strings.Contains(strings.ToLower(strings.ReplaceAll(got, " ", "")), fmt.Sprintf("%x", value)) {
			t.Errorf("%s: got %q, want nothing of the secret", name, got)
		}
		if !strings.Contains(got, "[redacted]") {
			t.Errorf("%s: got %q, want [redacted] in it", name, got)
		}
	}
	if got := secret.Reveal(); got != value {
		t.Errorf("got %q revealed, want %q", got, value)
	}
}

func TestPrintedSettingsShowNoSecret(t *testing.T) {
	t.Parallel()
	secrets := []string{"hunter2-db", "hunter2-mail", "hunter2-server-key", "hunter2-wechat"}
	s := mustServe(t, "--public-url=https://a.example", "--database=postgres://u:"+secrets[0]+"@h/db", "--mail=smtp://u:"+secrets[1]+"@h",
		"--server-keys="+secrets[2], `--wechat-apps=[{"app_id":"a","secret":"`+secrets[3]+`","kind":"mobile"}]`)
	j, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("settings", "settings", s)
	for _, got := range []string{fmt.Sprint(s), fmt.Sprintf("%+v", s), fmt.Sprintf("%#v", s), fmt.Sprintf("%+v", &s), string(j), log.String()} {
		if strings.Contains(got, "hunter2") {
			t.Errorf("got %s, want no secret in it", got)
		}
	}
}
