package config_test

import (
	"errors"
	"log/slog"
	"net/mail"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ideaegg/latchkey/internal/config"
)

// compareOptions compare settings by value; a Secret is a string to go-cmp.
func compareOptions() cmp.Options {
	return cmp.Options{cmpopts.EquateComparable(netip.Prefix{}), cmpopts.EquateEmpty()}
}

func TestDevNeedsNoOtherSetting(t *testing.T) {
	t.Parallel()
	got := mustServe(t, "--dev")
	want := config.Settings{
		Dev:                    true,
		Listen:                 "127.0.0.1:8080",
		Database:               config.Database{Engine: config.SQLite, Path: "latchkey.db"},
		AppName:                "Latchkey",
		PasswordMinLength:      8,
		PlaceholderEmailDomain: "ideaegg.me",
		SessionIdle:            90 * 24 * time.Hour,
		GuestIdle:              30 * 24 * time.Hour,
		WeChatAPI:              "https://api.weixin.qq.com",
		LogLevel:               slog.LevelInfo,
		LogFormat:              config.LogAuto,
		AuditKeep:              180 * 24 * time.Hour,
	}
	if diff := cmp.Diff(want, got, compareOptions()); diff != "" {
		t.Errorf("settings of --dev (-want +got):\n%s", diff)
	}
}

func TestEverySettingIsRead(t *testing.T) {
	t.Parallel()
	got := mustServe(t,
		"--listen=0.0.0.0:80", "--public-url=https://accounts.example.com", "--base-path=/api/v2",
		"--trusted-proxies=10.0.0.0/8", "--ops-listen=127.0.0.1:9090", "--database=postgres://u:pw@h/db",
		"--mail=smtps://u:pw@mail.example.com", "--mail-from=Example <a@example.com>", "--app-name=Example", "--templates=testdata",
		"--app-url=myapp://open", "--app-logo=testdata/logo.svg",
		"--password-min-length=12", "--placeholder-email-domain=users.example.com", "--session-idle=30d",
		"--session-max-age=365d", "--guest-idle=12h", "--rate-limits=off", "--server-keys=0123456789abcdef",
		`--wechat-apps=[{"app_id":"wx1","secret":"s1","kind":"mobile"}]`, "--wechat-api=http://127.0.0.1:9000/",
		"--wechat-redirects=https://app.example.com/signed-in",
		"--log-level=debug", "--log-format=json", "--audit-keep=365d")
	want := config.Settings{
		Listen:                 "0.0.0.0:80",
		PublicURL:              "https://accounts.example.com",
		BasePath:               "/api/v2",
		TrustedProxies:         []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		OpsListen:              "127.0.0.1:9090",
		Database:               config.Database{Engine: config.Postgres, DSN: "postgres://u:pw@h/db"},
		Mail:                   config.Mail{Kind: config.MailSMTPS, Host: "mail.example.com", Port: 465, User: "u", Password: "pw"},
		MailFrom:               mail.Address{Name: "Example", Address: "a@example.com"},
		AppName:                "Example",
		Templates:              "testdata",
		AppURL:                 "myapp://open",
		AppLogo:                readLogo(t),
		PasswordMinLength:      12,
		PlaceholderEmailDomain: "users.example.com",
		SessionIdle:            30 * 24 * time.Hour,
		SessionMaxAge:          365 * 24 * time.Hour,
		GuestIdle:              12 * time.Hour,
		RateLimitsOff:          true,
		ServerKeys:             []config.Secret{"0123456789abcdef"},
		WeChatApps:             []config.WeChatApp{{AppID: "wx1", Secret: "s1", Kind: config.WeChatMobile}},
		WeChatAPI:              "http://127.0.0.1:9000",
		WeChatRedirects:        []string{"https://app.example.com/signed-in"},
		LogLevel:               slog.LevelDebug,
		LogFormat:              config.LogJSON,
		AuditKeep:              365 * 24 * time.Hour,
	}
	if diff := cmp.Diff(want, got, compareOptions()); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestErrorNamesEveryFaultInOneLine(t *testing.T) {
	t.Parallel()
	file := write(t, `{"publik_url": "https://a.example", "mail": null}`)
	_, err := serve(t, map[string]string{"LATCHKEY_DEV": "maybe", "LATCHKEY_LOG_LEVEL": "loud\nvery"},
		"--config="+file, "--listen=nowhere", "--public-url=ftp://x.example", "--base-path=api", "--trusted-proxies=10.0.0.0/8,ten,eleven",
		"--ops-listen=x", "--database=users.db", "--database-listen=sqlite:a.db",
		"--migrate=yes", "--mail-from=nobody", "--app-name=", "--templates=nowhere", "--app-url=javascript:x", "--app-logo=/dev/null", "--password-min-length=0",
		"--placeholder-email-domain=localhost", "--session-idle=1s", "--session-max-age=x", "--guest-idle=-1h", "--notify-new-device=yes", "--sign-up=closed", "--breached-passwords=on", "--rate-limits=true",
		"--server-keys=short,short", "--wechat-apps={}", "--wechat-api=http://example.com", "--wechat-redirects=x", "--log-format=xml", "--audit-keep=0")
	if err == nil {
		t.Fatal("got no error, want one")
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("got error of several lines, want one:\n%v", err)
	}
	faults, ok := errors.AsType[config.Faults](err)
	if !ok {
		t.Fatalf("got error of type %T, want config.Faults", err)
	}
	var flags []string
	for _, fault := range faults {
		flags = append(flags, fault.Flag)
		if !strings.Contains(err.Error(), "--"+fault.Flag+": "+fault.Problem) {
			t.Errorf("got error %q, want it to contain the fault of --%s", err, fault.Flag)
		}
		if !strings.Contains(fault.Problem, ", ") {
			t.Errorf("got problem %q of --%s, want what is wrong, then what to do", fault.Problem, fault.Flag)
		}
	}
	want := []string{
		"config", "config", "dev", "listen", "public-url", "base-path", "trusted-proxies", "trusted-proxies", "ops-listen", "database",
		"database-listen", "migrate", "mail-from", "app-name", "templates", "app-url", "app-logo", "sign-up", "password-min-length", "breached-passwords", "placeholder-email-domain", "session-idle", "session-max-age", "guest-idle",
		"notify-new-device", "rate-limits", "server-keys", "wechat-apps", "wechat-api", "wechat-redirects", "log-level", "log-format", "audit-keep",
	}
	if diff := cmp.Diff(want, flags); diff != "" {
		t.Errorf("flags with a fault (-want +got):\n%s", diff)
	}
}

func TestSettingsAreEmptyWhenThereIsAFault(t *testing.T) {
	t.Parallel()
	got, err := serve(t, nil, "--dev", "--log-level=loud")
	wantFault(t, err, "log-level", "debug, info, warn or error")
	if diff := cmp.Diff(config.Settings{}, got, compareOptions()); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestOneFault(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, arg, text string
	}{
		{"dev takes only words for on and off", "--dev=maybe", `"maybe" is neither on nor off`},
		{"rate limits are not switched off by another word", "--rate-limits=false", `write on or off`},
		{"app name of 61 characters is too long", "--app-name=" + strings.Repeat("名", 61), "longer than 60 characters"},
		{"app name with a line break is refused", "--app-name=a\nb", "line breaks"},
		{"app name with a bidirectional override is refused", "--app-name=a\u202eb", "control characters"},
		{"app name of spaces is empty", "--app-name=  ", "is empty"},
		{"password minimum 0 is refused", "--password-min-length=0", "from 1 to 128"},
		{"password minimum 129 is refused", "--password-min-length=129", "no more than 256 characters"},
		{"password minimum must be a whole number", "--password-min-length=8.5", "from 1 to 128"},
		{"placeholder domain needs a dot", "--placeholder-email-domain=localhost", "with a dot"},
		{"placeholder domain is not in upper case", "--placeholder-email-domain=Example.com", "lower-case"},
		{"placeholder domain is in ASCII", "--placeholder-email-domain=例子.com", "ASCII"},
		{"placeholder domain is no IP address", "--placeholder-email-domain=10.0.0.1", "is no domain"},
		{"placeholder domain has no dot at the end", "--placeholder-email-domain=example.com.", "is no domain"},
		{"placeholder domain has no empty label", "--placeholder-email-domain=a..com", "is no domain"},
		{"placeholder domain has no hyphen at the edge of a label", "--placeholder-email-domain=-a.com", "is no domain"},
		{"placeholder domain has no label of 64 characters", "--placeholder-email-domain=" + strings.Repeat("a", 64) + ".com", "is no domain"},
		{"placeholder domain leaves room for a username", "--placeholder-email-domain=" + strings.Repeat("a.", 111) + "com", "at most 223 characters"},
		{"log level is one of four", "--log-level=INFO", "debug, info, warn or error"},
		{"log format is one of three", "--log-format=xml", "auto, json or text"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := serve(t, nil, "--public-url=https://a.example", tt.arg)
			flag, _, _ := strings.Cut(strings.TrimPrefix(tt.arg, "--"), "=")
			wantFault(t, err, flag, tt.text)
		})
	}
}

func TestDevIsABool(t *testing.T) {
	t.Parallel()
	tests := []struct {
		word string
		want bool
	}{
		{"true", true},
		{"1", true},
		{"on", true},
		{"yes", true},
		{"TRUE", true},
		{"false", false},
		{"0", false},
		{"off", false},
		{"no", false},
		{"", false},
	}
	for _, tt := range tests {
		t.Run("environment says "+tt.word, func(t *testing.T) {
			t.Parallel()
			got, err := serve(t, map[string]string{"LATCHKEY_DEV": tt.word}, "--public-url=https://a.example")
			if err != nil || got.Dev != tt.want {
				t.Errorf("got %t and error %v, want %t", got.Dev, err, tt.want)
			}
		})
	}
	t.Run("flag with a value beats the environment", func(t *testing.T) {
		t.Parallel()
		got, err := serve(t, map[string]string{"LATCHKEY_DEV": "1"}, "--public-url=https://a.example", "--dev=false")
		if err != nil || got.Dev {
			t.Errorf("got %t and error %v, want false", got.Dev, err)
		}
	})
}

func TestPublicURLIsRequiredUnlessDev(t *testing.T) {
	t.Parallel()
	t.Run("missing without dev is a fault", func(t *testing.T) {
		t.Parallel()
		_, err := serve(t, nil)
		wantFault(t, err, "public-url", "is required")
	})
	t.Run("missing is no second fault when dev is unreadable", func(t *testing.T) {
		t.Parallel()
		_, err := serve(t, nil, "--dev=maybe")
		wantFault(t, err, "dev", "neither on nor off")
	})
	t.Run("missing is no second fault when the config file is unreadable", func(t *testing.T) {
		t.Parallel()
		_, err := serve(t, nil, "--config=/nonexistent/latchkey.json")
		wantFault(t, err, "config", `"/nonexistent/latchkey.json"`)
	})
}

func TestFaultsKeepSecrets(t *testing.T) {
	t.Parallel()
	const secret = "hunter2hunter2"
	args := []string{
		"--database=postgres://u:" + secret + "@h:port/db",
		"--database=postgres://u:1/" + secret + "@h/db",
		"--database=postgres://u:pass@" + secret + "@h/db",
		"--database=postgres://u:" + secret + "%zz@h/db",
		"--database=postgres://u:" + secret + "#@h/db",
		"--database=postgres://h/db?password=" + secret + "&x",
		"--database=mysql://u:" + secret + "@h/db",
		"--database=host=h password=" + secret,
		"--database=" + secret,
		"--mail=smtp://u:" + secret + "@",
		"--mail=smtp://u:" + secret + "#@h",
		"--mail=smtp://u:1/" + secret + "@h",
		"--mail=smtp://u:" + secret + "%zz@h",
		"--mail=smtp://:" + secret + "@h",
		"--mail=" + secret,
		"--server-keys=" + secret + ",",
		"--server-keys=" + secret + "ü0000",
		"--server-keys=" + secret + "-00," + secret + "-00",
		`--wechat-apps=[{"app_id":"` + secret + `!","secret":"x","kind":"mobile"}]`,
		`--wechat-apps=[{"app_id":"a","secret":"x","kind":"` + secret + `"}]`,
		`--wechat-apps=[{"app_id":"a","secret":"` + secret + ` ","kind":"mobile"}]`,
		`--wechat-apps=[{"app_id":"a","secret":"` + secret + `","kind":"mobile"}`,
		`--wechat-apps=[{"app_id":"a","secret":` + secret + `,"kind":"mobile"}]`,
		`--wechat-apps=` + secret,
		"--public-url=https://u:" + secret + "@a.example",
		"--wechat-api=https://u:" + secret + "@a.example",
		"--config=" + write(t, `{"mail": "smtp://u:`+secret+`@h" x}`),
		"--config=" + write(t, `{"mail": ["`+secret+`"], "server-keys": ["a,`+secret+`"]}`),
		"--database=file:" + write(t, secret),
		"--mail=file:" + write(t, secret),
		"--server-keys=file:" + write(t, secret+","+secret),
		"--wechat-apps=file:" + write(t, secret),
	}
	for _, arg := range args {
		t.Run(arg, func(t *testing.T) {
			t.Parallel()
			_, err := serve(t, nil, "--dev", arg)
			if err == nil {
				t.Fatal("got no error, want one")
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got error %q, want none of the secret in it", err)
			}
		})
	}
}
