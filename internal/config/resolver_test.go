package config_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/internal/config"
)

func TestPrecedenceIsFlagEnvironmentFileDefault(t *testing.T) {
	t.Parallel()
	file := write(t, `{"app-name": "from file"}`)
	tests := []struct {
		name string
		env  map[string]string
		args []string
		want string
	}{
		{"default", nil, nil, "Latchkey"},
		{"file beats default", nil, []string{"--config=" + file}, "from file"},
		{"file is named by the environment", map[string]string{"LATCHKEY_CONFIG": file}, nil, "from file"},
		{"flag beats the environment in naming the file", map[string]string{"LATCHKEY_CONFIG": "/nonexistent"}, []string{"--config", file}, "from file"},
		{"environment beats file", map[string]string{"LATCHKEY_APP_NAME": "from environment"}, []string{"--config=" + file}, "from environment"},
		{"empty environment counts as unset", map[string]string{"LATCHKEY_APP_NAME": ""}, []string{"--config=" + file}, "from file"},
		{"flag beats environment", map[string]string{"LATCHKEY_APP_NAME": "from environment"}, []string{"--app-name=from flag", "--config=" + file}, "from flag"},
		{"last flag wins", nil, []string{"--app-name=first", "--app-name=last"}, "last"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := serve(t, tt.env, append([]string{"--dev"}, tt.args...)...)
			if err != nil || got.AppName != tt.want {
				t.Errorf("got %q and error %v, want %q", got.AppName, err, tt.want)
			}
		})
	}
	t.Run("empty flag beats environment", func(t *testing.T) {
		t.Parallel()
		got, err := serve(t, map[string]string{"LATCHKEY_BASE_PATH": "/api"}, "--dev", "--base-path=")
		if err != nil || got.BasePath != "" {
			t.Errorf("got %q and error %v, want it empty", got.BasePath, err)
		}
	})
}

func TestEverySettingHasAnEnvironmentVariableAndAKey(t *testing.T) {
	t.Parallel()
	table, err := config.Table()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{
		"dev": "false", "listen": "127.0.0.1:1", "public-url": "https://a.example", "base-path": "/b", "trusted-proxies": "10.0.0.0/8", "ops-listen": "127.0.0.1:2",
		"database": "sqlite:x", "database-listen": "postgres://h/d", "migrate": "off", "mail": "dir:x", "mail-from": "a@b.example", "app-name": "X", "templates": "testdata", "app-url": "x://y", "app-logo": "testdata/logo.svg", "password-min-length": "9", "placeholder-email-domain": "c.example",
		"session-idle": "1h", "session-max-age": "2h", "guest-idle": "3h", "notify-new-device": "on", "sign-up": "verify-first", "breached-passwords": "hibp", "rate-limits": "off", "server-keys": "0123456789abcdef",
		"wechat-apps": `[{"app_id":"a","secret":"s","kind":"mobile"}]`, "wechat-api": "https://d.example", "wechat-redirects": "https://e.example/", "log-level": "warn", "log-format": "text", "audit-keep": "4h",
	}
	env := make(map[string]string)
	var args, keys, underscored []string
	for _, setting := range table {
		if setting.Flag == "config" {
			continue
		}
		value, ok := values[setting.Flag]
		if !ok {
			t.Fatalf("got no value for --%s, want one in this test", setting.Flag)
		}
		env[setting.Env] = value
		args = append(args, "--"+setting.Flag+"="+value)
		quoted := `"` + strings.ReplaceAll(value, `"`, `\"`) + `"`
		keys = append(keys, `"`+setting.Flag+`": `+quoted)
		underscored = append(underscored, `"`+strings.ReplaceAll(setting.Flag, "-", "_")+`": `+quoted)
	}
	want := mustServe(t, args...)
	sources := map[string]func() (config.Settings, error){
		"environment": func() (config.Settings, error) { return serve(t, env) },
		"file": func() (config.Settings, error) {
			return serve(t, nil, "--config="+write(t, "{"+strings.Join(keys, ",")+"}"))
		},
		"file with underscores": func() (config.Settings, error) {
			return serve(t, nil, "--config="+write(t, "{"+strings.Join(underscored, ",")+"}"))
		},
	}
	for name, source := range sources {
		got, err := source()
		if err != nil {
			t.Fatalf("%s: got error %v, want none", name, err)
		}
		if diff := cmp.Diff(want, got, compareOptions()); diff != "" {
			t.Errorf("settings from %s differ from those of flags (-want +got):\n%s", name, diff)
		}
	}
}

func TestConfigFileMayHoldJSONTypes(t *testing.T) {
	t.Parallel()
	got, err := serve(t, nil, "--config="+write(t, `{
		"dev": true, "password_min_length": 10, "session-max-age": 0,
		"trusted-proxies": ["10.0.0.0/8", "::1"], "server-keys": ["aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"],
		"wechat-apps": [{"app_id": "a", "secret": "s", "kind": "mobile"}]}`))
	if err != nil {
		t.Fatalf("got error %v, want none", err)
	}
	if !got.Dev || got.PasswordMinLength != 10 || got.SessionMaxAge != 0 || len(got.TrustedProxies) != 2 || len(got.ServerKeys) != 2 || len(got.WeChatApps) != 1 {
		t.Errorf("got settings %+v, want those of the file", got)
	}
}

func TestConfigFileFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text, fault string
	}{
		{"unknown key", `{"publik-url": "x"}`, `has the unknown key "publik-url"`},
		{"key in another case", `{"Listen": "x"}`, `has the unknown key "Listen"`},
		{"flag that is no setting", `{"email": "x"}`, `has the unknown key "email"`},
		{"config in the config file", `{"config": "x"}`, `has the unknown key "config"`},
		{"help", `{"help": true}`, `has the unknown key "help"`},
		{"key twice", `{"listen": "127.0.0.1:1", "listen": "127.0.0.1:1"}`, `has the key "listen" twice`},
		{"key in both spellings", `{"log-level": "info", "log_level": "info"}`, `has the key "log-level" twice`},
		{"null", `{"mail": null}`, `has null for the key "mail", write a string`},
		{"object", `{"mail": {}}`, `has an object for the key "mail", write a string`},
		{"list for a text", `{"mail": ["x"]}`, `has a list for the key "mail", write a string`},
		{"object for a list", `{"server-keys": {}}`, `has an object for the key "server-keys", write a string or a list of strings`},
		{"object for the apps", `{"wechat-apps": {}}`, `has an object for the key "wechat-apps", write a list or a string`},
		{"list with a number", `{"server-keys": ["aaaaaaaaaaaaaaaa", 1]}`, `something else than strings`},
		{"list with a comma in a string", `{"server-keys": ["aaaaaaaaaaaaaaaa,bbbbbbbbbbbbbbbb"]}`, `without commas`},
		{"no JSON", `listen: x`, `is not valid JSON (line 1, byte 1 of the line)`},
		{"syntax error in line 2", "{\"mail\": \"\",\n \"listen\" 1}", `is not valid JSON (line 2, byte 11 of the line)`},
		{"unfinished", `{"mail": "`, `ends too early`},
		{"empty", ``, `ends too early`},
		{"no object", `["mail"]`, `does not hold a JSON object`},
		{"text after the object", `{} {}`, `goes on after its JSON object`},
		{"broken UTF-8", "{\"mail\": \"\xff\"}", `is not valid JSON`},
		{"too large", `{"app-name": "` + strings.Repeat("x", 64<<10) + `"}`, `larger than 64 KiB`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := write(t, tt.text)
			_, err := serve(t, nil, "--dev", "--config="+file)
			wantFault(t, err, "config", tt.fault)
			if err != nil && !strings.Contains(err.Error(), file) {
				t.Errorf("got error %q, want the file named", err)
			}
		})
	}
	t.Run("every key with a fault is named", func(t *testing.T) {
		t.Parallel()
		_, err := serve(t, nil, "--dev", "--config="+write(t, `{"a": 1, "mail": null, "b": 2, "log-level": "loud"}`))
		faults, _ := errors.AsType[config.Faults](err)
		var flags []string
		for _, fault := range faults {
			flags = append(flags, fault.Flag)
		}
		if diff := cmp.Diff([]string{"config", "config", "config", "log-level"}, flags); diff != "" {
			t.Errorf("faults (-want +got):\n%s", diff)
		}
	})
	t.Run("missing file", func(t *testing.T) {
		t.Parallel()
		_, err := serve(t, nil, "--dev", "--config=/nonexistent/a\nb.json")
		wantFault(t, err, "config", `cannot open file "/nonexistent/a\nb.json" (no such file or directory)`)
	})
}

func TestFlagsThatAreNoSettingsAreLeftAlone(t *testing.T) {
	t.Parallel()
	c, parser := newParser(t, map[string]string{"LATCHKEY_EMAIL": "x", "LATCHKEY_PORT": "tcp://10.0.0.1:80", "LATCHKEY_HELP": "true"})
	if _, err := parser.Parse([]string{"user"}); err != nil {
		t.Fatalf("got error %v, want none", err)
	}
	if c.User.Email != "" {
		t.Errorf("got %q, want nothing from the environment", c.User.Email)
	}
}

func TestParserCanBeUsedTwice(t *testing.T) {
	t.Parallel()
	c, parser := newParser(t, nil)
	for _, args := range [][]string{{"serve", "--dev", "--config=/nonexistent"}, {"serve", "--dev"}} {
		if _, err := parser.Parse(args); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Serve.Settings(); err != nil {
		t.Errorf("got error %v of the first use, want none", err)
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	table, err := config.Table()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, s := range table {
		got[s.Flag+" "+s.Env] = s.Default
		if s.Group == "" || !strings.Contains(s.Help, "Example: --"+s.Flag) {
			t.Errorf("got help %q in group %q for --%s, want a group and an example", s.Help, s.Group, s.Flag)
		}
	}
	want := map[string]string{
		"config LATCHKEY_CONFIG":                                     "",
		"notify-new-device LATCHKEY_NOTIFY_NEW_DEVICE":               "off",
		"breached-passwords LATCHKEY_BREACHED_PASSWORDS":             "off",
		"sign-up LATCHKEY_SIGN_UP":                                   "open",
		"database-listen LATCHKEY_DATABASE_LISTEN":                   "",
		"migrate LATCHKEY_MIGRATE":                                   "on",
		"dev LATCHKEY_DEV":                                           "off",
		"listen LATCHKEY_LISTEN":                                     "127.0.0.1:8080",
		"database LATCHKEY_DATABASE":                                 "sqlite:latchkey.db",
		"public-url LATCHKEY_PUBLIC_URL":                             "",
		"base-path LATCHKEY_BASE_PATH":                               "",
		"mail LATCHKEY_MAIL":                                         "",
		"mail-from LATCHKEY_MAIL_FROM":                               "",
		"rate-limits LATCHKEY_RATE_LIMITS":                           "on",
		"trusted-proxies LATCHKEY_TRUSTED_PROXIES":                   "",
		"ops-listen LATCHKEY_OPS_LISTEN":                             "off",
		"password-min-length LATCHKEY_PASSWORD_MIN_LENGTH":           "8",
		"placeholder-email-domain LATCHKEY_PLACEHOLDER_EMAIL_DOMAIN": "ideaegg.me",
		"server-keys LATCHKEY_SERVER_KEYS":                           "",
		"wechat-apps LATCHKEY_WECHAT_APPS":                           "",
		"wechat-api LATCHKEY_WECHAT_API":                             "https://api.weixin.qq.com",
		"wechat-redirects LATCHKEY_WECHAT_REDIRECTS":                 "",
		"app-name LATCHKEY_APP_NAME":                                 "Latchkey",
		"templates LATCHKEY_TEMPLATES":                               "",
		"app-url LATCHKEY_APP_URL":                                   "",
		"app-logo LATCHKEY_APP_LOGO":                                 "",
		"session-idle LATCHKEY_SESSION_IDLE":                         "90d",
		"session-max-age LATCHKEY_SESSION_MAX_AGE":                   "0",
		"guest-idle LATCHKEY_GUEST_IDLE":                             "30d",
		"log-level LATCHKEY_LOG_LEVEL":                               "info",
		"log-format LATCHKEY_LOG_FORMAT":                             "auto",
		"audit-keep LATCHKEY_AUDIT_KEEP":                             "180d",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings and defaults (-want +got):\n%s", diff)
	}
}

// TestHelpIsGolden is not parallel: kong takes the width of the terminal from the environment.
func TestHelpIsGolden(t *testing.T) {
	t.Setenv("COLUMNS", "100")
	var c cli
	var out bytes.Buffer
	parser, err := kong.New(&c, kong.Name("latchkey"), kong.Writers(&out, &out), kong.Exit(func(int) {}),
		config.WithEnvironment(func(string) (string, bool) { return "", false }))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"serve", "--help"}); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "help.txt")
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("help (-want +got); go test ./internal/config -update writes it anew:\n%s", diff)
	}
	table, err := config.Table()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range table {
		if !strings.Contains(out.String(), "["+s.Env) {
			t.Errorf("got help without %s, want it named", s.Env)
		}
	}
}
