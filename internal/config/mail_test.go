package config_test

import (
	"errors"
	"net/mail"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/internal/config"
)

func TestMail(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, value string
		want        config.Mail
		shown       string
		fault       string
	}{
		{name: "empty is unset", value: ""},
		{name: "directory", value: "dir:/var/mail out", want: config.Mail{Kind: config.MailDirectory, Dir: "/var/mail out"}, shown: "dir:/var/mail out"},
		{
			name: "SMTP with everything", value: "smtp://u:p%40ss@mail.example:2525",
			want:  config.Mail{Kind: config.MailSMTP, Host: "mail.example", Port: 2525, User: "u", Password: "p@ss"},
			shown: "smtp://u@mail.example:2525",
		},
		{
			name: "address as user", value: "smtp://me@a.example:pw@mail.example",
			want:  config.Mail{Kind: config.MailSMTP, Host: "mail.example", Port: 587, User: "me@a.example", Password: "pw"},
			shown: "smtp://me%40a.example@mail.example:587",
		},
		{name: "SMTP without a user", value: "smtp://127.0.0.1:25", want: config.Mail{Kind: config.MailSMTP, Host: "127.0.0.1", Port: 25}, shown: "smtp://127.0.0.1:25"},
		{name: "SMTP has port 587", value: "smtp://mail.example/", want: config.Mail{Kind: config.MailSMTP, Host: "mail.example", Port: 587}, shown: "smtp://mail.example:587"},
		{name: "SMTPS has port 465", value: "smtps://mail.example", want: config.Mail{Kind: config.MailSMTPS, Host: "mail.example", Port: 465}, shown: "smtps://mail.example:465"},
		{name: "IPv6 host", value: "smtps://[::1]:4650", want: config.Mail{Kind: config.MailSMTPS, Host: "::1", Port: 4650}, shown: "smtps://[::1]:4650"},
		{name: "directory without a path", value: "dir:", fault: "names no directory"},
		{name: "directory with a line break", value: "dir:a\nb", fault: "names no directory"},
		{name: "another scheme", value: "https://mail.example", fault: "unknown kind"},
		{name: "host alone", value: "mail.example:25", fault: "unknown kind"},
		{name: "no host", value: "smtp://", fault: "no usable smtp URL"},
		{name: "user without a host", value: "smtp://u:p@", fault: "no usable smtp URL"},
		{name: "path", value: "smtp://mail.example/x", fault: "no usable smtp URL"},
		{name: "query", value: "smtp://mail.example?x=1", fault: "no usable smtp URL"},
		{name: "unencoded # in the password", value: "smtp://u:p#x@mail.example", fault: "percent-encoded"},
		{name: "unencoded percent sign in the password", value: "smtp://u:100%@mail.example", fault: "percent-encoded"},
		{name: "empty port", value: "smtp://mail.example:", fault: "1 to 65535"},
		{name: "port 0", value: "smtp://mail.example:0", fault: "1 to 65535"},
		{name: "port is a word", value: "smtp://mail.example:smtp", fault: "no usable smtp URL"},
		{name: "user without a password", value: "smtp://u@mail.example", fault: "write both or none"},
		{name: "password without a user", value: "smtp://:p@mail.example", fault: "write both or none"},
		{name: "line break in the password", value: "smtp://u:p%0d%0aQUIT@mail.example", fault: "control characters"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := serve(t, nil, "--dev", "--mail="+tt.value)
			if tt.fault != "" {
				wantFault(t, err, "mail", tt.fault)
				return
			}
			if err != nil {
				t.Fatalf("got error %v, want none", err)
			}
			if diff := cmp.Diff(tt.want, got.Mail); diff != "" {
				t.Errorf("mail (-want +got):\n%s", diff)
			}
			if got := got.Mail.String(); got != tt.shown {
				t.Errorf("got %q shown, want %q", got, tt.shown)
			}
		})
	}
}

func TestMailMayBeUnsetWithoutDev(t *testing.T) {
	t.Parallel()
	if got := mustServe(t, "--public-url=https://a.example"); got.Mail.Kind != config.MailUnset {
		t.Errorf("got mail %v, want none", got.Mail)
	}
}

func TestMailFrom(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, value string
		want        mail.Address
		fault       string
	}{
		{name: "address", value: "a@example.com", want: mail.Address{Address: "a@example.com"}},
		{name: "display name", value: "Example <a@example.com>", want: mail.Address{Name: "Example", Address: "a@example.com"}},
		{name: "quoted display name", value: `"Example, Inc." <a@example.com>`, want: mail.Address{Name: "Example, Inc.", Address: "a@example.com"}},
		{name: "display name in Chinese", value: "例子 <a@example.com>", want: mail.Address{Name: "例子", Address: "a@example.com"}},
		{name: "encoded display name", value: "=?utf-8?q?=C3=A9?= <a@example.com>", want: mail.Address{Name: "é", Address: "a@example.com"}},
		{name: "localhost", value: "a@localhost", want: mail.Address{Address: "a@localhost"}},
		{name: "no address", value: "Example", fault: "is not a mail address"},
		{name: "two addresses", value: "a@example.com, b@example.com", fault: "is not a mail address"},
		{name: "header injection", value: "a@example.com\r\nBcc: b@example.com", fault: "line breaks"},
		{name: "encoded header injection", value: "=?utf-8?q?x=0D=0ABcc?= <a@example.com>", fault: "display name with control characters"},
		{name: "domain literal", value: "a@[127.0.0.1]", fault: "not every mail server takes"},
		{name: "IP address as domain", value: "a@127.0.0.1", fault: "not every mail server takes"},
		{name: "address not in ASCII", value: "é@example.com", fault: "not every mail server takes"},
		{name: "address too long", value: "a@" + strings.Repeat("a.", 126) + "com", fault: "not every mail server takes"},
		{name: "display name too long", value: strings.Repeat("a", 101) + " <a@example.com>", fault: "more than 100 characters"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := serve(t, nil, "--dev", "--mail-from="+tt.value)
			if tt.fault != "" {
				wantFault(t, err, "mail-from", tt.fault)
				return
			}
			if err != nil {
				t.Fatalf("got error %v, want none", err)
			}
			if diff := cmp.Diff(tt.want, got.Sender("https://public.example")); diff != "" {
				t.Errorf("sender (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSenderIsDerivedFromThePublicURL(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, publicURL, want string
	}{
		{"domain", "https://accounts.example.com/x", "no-reply@accounts.example.com"},
		{"domain with a port", "https://accounts.example.com:8443", "no-reply@accounts.example.com"},
		{"domain in upper case with a dot at the end", "https://Accounts.Example.com./", "no-reply@accounts.example.com"},
		{"IPv4 address", "http://127.0.0.1:8080", "no-reply@localhost"},
		{"IPv6 address", "http://[::1]:8080", "no-reply@localhost"},
		{"localhost", "http://localhost:8080", "no-reply@localhost"},
		{"host that is no mail domain", "https://my_host", "no-reply@localhost"},
		{"nothing", "", "no-reply@localhost"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := mail.Address{Address: tt.want}
			if diff := cmp.Diff(want, config.Settings{}.Sender(tt.publicURL)); diff != "" {
				t.Errorf("sender (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tests := []struct {
		name, value, want, fault string
	}{
		{name: "empty is none", value: ""},
		{name: "folder", value: dir, want: dir},
		{name: "nothing there", value: dir + "/x", fault: "there is no folder"},
		{name: "file", value: write(t, "x"), fault: "is no folder"},
		{name: "control characters", value: dir + "\t", fault: "control characters"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := serve(t, nil, "--dev", "--templates="+tt.value)
			if tt.fault != "" {
				wantFault(t, err, "templates", tt.fault)
				return
			}
			if err != nil || got.Templates != tt.want {
				t.Errorf("got %q and error %v, want %q", got.Templates, err, tt.want)
			}
		})
	}
}

// mailOnly reads the settings of a command that only sends mail.
func mailOnly(t *testing.T, env map[string]string, args ...string) (config.Settings, error) {
	t.Helper()
	c, parser := newParser(t, env)
	if _, err := parser.Parse(append([]string{"test-mail"}, args...)); err != nil {
		t.Fatalf("got error %v from the flag parser, want every fault from Settings", err)
	}
	return c.TestMail.Settings()
}

func TestMailOnly(t *testing.T) {
	t.Parallel()
	t.Run("reads what serve reads", func(t *testing.T) {
		t.Parallel()
		file := write(t, `{"public-url": "https://accounts.example.com/", "app-name": "Example", "listen": "127.0.0.1:80", "dev": true}`)
		got, err := mailOnly(t, map[string]string{"LATCHKEY_MAIL": "smtp://u:pw@mail.example.com"}, "--config="+file, "--mail-from=a@example.com")
		want := config.Settings{
			PublicURL: "https://accounts.example.com",
			Mail:      config.Mail{Kind: config.MailSMTP, Host: "mail.example.com", Port: 587, User: "u", Password: "pw"},
			MailFrom:  mail.Address{Address: "a@example.com"},
			AppName:   "Example",
		}
		if diff := cmp.Diff(want, got, compareOptions()); diff != "" || err != nil {
			t.Errorf("got error %v, settings (-want +got):\n%s", err, diff)
		}
	})
	t.Run("needs to know where mail goes", func(t *testing.T) {
		t.Parallel()
		_, err := mailOnly(t, nil)
		wantFault(t, err, "mail", "is required")
	})
	t.Run("does not miss what may stand in an unreadable file", func(t *testing.T) {
		t.Parallel()
		_, err := mailOnly(t, nil, "--config=/nonexistent/latchkey.json")
		wantFault(t, err, "config", "/nonexistent/latchkey.json")
	})
	t.Run("names every fault", func(t *testing.T) {
		t.Parallel()
		_, err := mailOnly(t, nil, "--public-url=x", "--mail=x", "--mail-from=x", "--app-name= ", "--templates=x")
		faults, ok := errors.AsType[config.Faults](err)
		var flags []string
		for _, fault := range faults {
			flags = append(flags, fault.Flag)
		}
		if diff := cmp.Diff([]string{"public-url", "mail", "mail-from", "app-name", "templates"}, flags); diff != "" || !ok {
			t.Errorf("flags with a fault (-want +got):\n%s", diff)
		}
	})
}
