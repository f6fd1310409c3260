package config_test

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/ideaegg/latchkey/internal/config"
)

var update = flag.Bool("update", false, "write the golden files anew")

// cli is shaped like the program's own.
type cli struct {
	Serve   config.Serve `cmd:"" help:"Run the service."`
	Migrate struct {
		config.DatabaseOnly
	} `cmd:"" help:"Bring the database up to date."`
	TestMail struct {
		config.MailOnly
	} `cmd:"" help:"Send one message."`
	User struct {
		Email string `help:"No setting, although a flag."`
	} `cmd:"" help:"Administer users."`
}

func newParser(t *testing.T, env map[string]string) (*cli, *kong.Kong) {
	t.Helper()
	var c cli
	parser, err := kong.New(&c, kong.Name("latchkey"), kong.Writers(io.Discard, io.Discard), kong.Exit(func(int) {}),
		config.WithEnvironment(func(name string) (string, bool) {
			v, ok := env[name]
			return v, ok
		}))
	if err != nil {
		t.Fatal(err)
	}
	return &c, parser
}

// serve reads the settings of `latchkey serve` as the program does.
func serve(t *testing.T, env map[string]string, args ...string) (config.Settings, error) {
	t.Helper()
	c, parser := newParser(t, env)
	if _, err := parser.Parse(append([]string{"serve"}, args...)); err != nil {
		t.Fatalf("got error %v from the flag parser, want every fault from Settings", err)
	}
	return c.Serve.Settings()
}

// mustServe is serve for settings without a fault.
func mustServe(t *testing.T, args ...string) config.Settings {
	t.Helper()
	s, err := serve(t, nil, args...)
	if err != nil {
		t.Fatalf("got error %v, want none", err)
	}
	return s
}

// wantFault checks that the settings have one fault only, that it is about the flag, and that it says what is expected.
func wantFault(t *testing.T, err error, flag, text string) {
	t.Helper()
	if err == nil {
		t.Fatalf("got no error, want a fault of --%s", flag)
	}
	message := err.Error()
	if !strings.HasPrefix(message, "--"+flag+": ") || !strings.Contains(message, text) || strings.ContainsAny(message, ";\n") {
		t.Errorf("got error %q, want one fault of --%s with %q", message, flag, text)
	}
}

// write puts text into a new file and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
