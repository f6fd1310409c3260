// Command latchkey is the accounts-and-sessions service of an app.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/ideaegg/latchkey/internal/config"
	"github.com/ideaegg/latchkey/internal/passhash"
)

// hashHelper is the hidden subcommand that computes password hashes for the service, in a process of its own.
const hashHelper = "hash-helper"

func main() {
	if len(os.Args) > 1 && os.Args[1] == hashHelper {
		os.Exit(passhash.HelperMain(os.Args[2:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "latchkey:", oneLine(err))
		os.Exit(1)
	}
}

// oneLine puts an error's text on one line: that of a database that cannot be reached has one for every address tried.
func oneLine(err error) string {
	var b strings.Builder
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimSpace(line)
		switch {
		case b.Len() == 0, line == "":
		case strings.HasSuffix(b.String(), ":"):
			b.WriteString(" ")
		default:
			b.WriteString("; ")
		}
		b.WriteString(line)
	}
	return b.String()
}

// cli is the command line.
type cli struct {
	Serve   serveCommand   `cmd:"" help:"Serve the API. Example: latchkey serve --dev"`
	Migrate migrateCommand `cmd:"" help:"Look after the schema of the database."`
	Copy    copyCommand    `cmd:"" help:"Move everything from the embedded database to PostgreSQL. Example: latchkey copy --from=sqlite:latchkey.db --to=postgres://latchkey:secret@db1/latchkey"`
	Mail    mailCommand    `cmd:"" help:"Find out whether mail arrives, and what it looks like."`
	User    userCommand    `cmd:"" help:"Look after single users."`
	Guests  guestsCommand  `cmd:"" help:"Look after guests."`
	Audit   auditCommand   `cmd:"" help:"List facts of security, newest last: who signed in, changed a password or was refused, from where, and why. Example: latchkey audit --user=john_smith --since=24h"`
	Version versionCommand `cmd:"" help:"Print the version."`
}

// world is what a command may touch.
type world struct {
	ctx    context.Context
	stdout io.Writer
	stderr io.Writer
}

// run runs the command line args until it is done or ctx ends. Errors are one line for people.
func run(ctx context.Context, args []string, env func(string) (string, bool), stdout, stderr io.Writer) error {
	exited := errors.New("exited") // kong prints its help and wants to leave
	parser, err := kong.New(&cli{},
		kong.Name("latchkey"),
		kong.Description("Accounts and sessions for apps: sign-up, sign-in, WeChat, guests, forgotten passwords."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(int) { panic(exited) }),
		config.WithEnvironment(env),
		kong.UsageOnError(),
	)
	if err != nil {
		return fmt.Errorf("command line: %w", err)
	}
	command, err := parse(parser, args, exited)
	switch {
	case errors.Is(err, exited):
		return nil
	case err != nil:
		return fmt.Errorf("%w (see latchkey --help)", err)
	}
	return command.Run(world{ctx, stdout, stderr})
}

func parse(parser *kong.Kong, args []string, exited error) (command *kong.Context, err error) {
	defer func() {
		if v := recover(); v != nil {
			if v != any(exited) {
				panic(v)
			}
			err = exited
		}
	}()
	return parser.Parse(args)
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(w world) error {
	_, err := fmt.Fprintln(w.stdout, "latchkey", version())
	return err
}

// version is that of the module, or the commit for a build from a checkout.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(unknown version)"
	}
	return info.Main.Version
}
