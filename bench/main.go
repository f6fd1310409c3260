// Command bench measures Latchkey from outside, beside its physical limits, in one run on one machine: an empty net/http
// handler, argon2id in a loop, durable inserts of the same driver. What counts is the ratio. See docs/benchmarks.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ideaegg/latchkey/bench/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil && ctx.Err() != nil: // what was being done broke off, and there is nothing wrong with that
		fmt.Fprintln(os.Stderr, "bench: interrupted")
		os.Exit(1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 1 {
		if run, ok := children[args[0]]; ok {
			return run(ctx, os.Stdin, os.Stdout)
		}
	}
	o, err := parseOptions(args, os.Stderr)
	if err != nil {
		return err
	}
	if o.new != "" {
		return compareFiles(o.compare, o.new)
	}
	return measure(ctx, o)
}

// options are the command line.
type options struct {
	database string
	rounds   int
	duration time.Duration
	quick    bool
	only     *regexp.Regexp
	json     string
	compare  string
	new      string // compared with compare, and nothing is measured
	users    int
	data     string
	program  string
	note     string
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	o := options{}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.database, "database", "sqlite", "`engine`: sqlite, in a temporary folder (TMPDIR), or the postgres:// URL of a server on which databases may be made")
	f.IntVar(&o.rounds, "rounds", 5, "`rounds`, in each of which the service and its limit take turns")
	f.DurationVar(&o.duration, "duration", 2*time.Second, "how `long` each turn lasts; where few things happen it lasts longer")
	f.BoolVar(&o.quick, "quick", false, "one short round of everything, to see that all of it works; the figures mean nothing")
	only := f.String("only", "", "measure only what matches this `regexp`: "+measurementNames())
	f.StringVar(&o.json, "json", "", "write everything as JSON to this `file` too, - for stdout, to which the table then does not go")
	f.StringVar(&o.compare, "compare", "", "print what moved since this JSON `file` was written, beyond the spread of the rounds of both; with another file behind the flags that is compared, and nothing is measured. What moved does not change the exit code")
	f.IntVar(&o.users, "users", 0, "compare 10,000 users with `N`, which are filled into a database first, instead of measuring the rest")
	f.StringVar(&o.data, "data", "", "`folder` in which filled databases are kept for the next time; with PostgreSQL the server keeps them")
	f.StringVar(&o.program, "program", "", "measure the program at this `path` instead of building it")
	f.StringVar(&o.note, "note", "", "a `sentence` about the machine that the report should carry")
	f.Usage = func() {
		fmt.Fprintln(stderr, "Usage: go run ./bench [flags]\n       go run ./bench -compare old.json new.json\n\n"+
			"Exit code 1 if anything could not be measured, or the service did not answer as expected. Goals that are missed do not count.")
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil {
		return o, err
	}
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		return o, fmt.Errorf("-only: %w", err)
	}
	o.new = f.Arg(0)
	switch {
	case f.NArg() > 1 || o.new != "" && o.compare == "":
		return o, fmt.Errorf("%q is not understood, see -help", f.Args())
	case o.rounds < 1 || o.duration <= 0:
		return o, errors.New("-rounds and -duration must be more than nothing")
	case o.database != "sqlite" && !strings.HasPrefix(o.database, "postgres://") && !strings.HasPrefix(o.database, "postgresql://"):
		return o, errors.New("-database is sqlite or a postgres:// URL")
	case o.users != 0 && o.users <= fewUsers:
		return o, fmt.Errorf("-users must be more than %d", fewUsers)
	}
	if o.quick {
		o.rounds, o.duration = 1, 400*time.Millisecond
	}
	return o, nil
}

func compareFiles(old, new string) error {
	before, err := report.Read(old)
	if err != nil {
		return err
	}
	after, err := report.Read(new)
	if err != nil {
		return err
	}
	report.Compare(os.Stdout, before, after)
	return nil
}

// measure measures what the options ask for, and prints it.
func measure(ctx context.Context, o options) (err error) {
	var old report.Report
	if o.compare != "" {
		if old, err = report.Read(o.compare); err != nil { // before the minutes, not after them
			return err
		}
	}
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	measurements := speed
	if o.users > 0 {
		measurements = growth
	}
	for _, m := range measurements {
		if !o.only.MatchString(m.name) {
			continue
		}
		b.name = m.name
		rows, err := m.measure(ctx, b)
		if err != nil {
			b.progress.end()
			return fmt.Errorf("%s: %w", m.name, err)
		}
		b.report.Rows = append(b.report.Rows, rows...)
	}
	b.progress.end()
	return b.publish(old)
}

// publish prints the report, and says so if the service did not answer as expected.
func (b *bench) publish(old report.Report) error {
	table := io.Writer(os.Stdout)
	if b.options.json == "-" {
		table = os.Stderr
	}
	if err := b.report.WriteTable(table); err != nil {
		return err
	}
	if b.options.compare != "" {
		fmt.Fprintln(table)
		if b.options.only.String() != "" { // what was not asked for is not gone
			old.Rows = slices.DeleteFunc(old.Rows, func(row report.Row) bool { return !b.report.Has(row.Name) })
		}
		report.Compare(table, old, b.report)
	}
	if err := b.writeJSON(); err != nil {
		return err
	}
	if n := len(b.report.Faults); n > 0 {
		return fmt.Errorf("%d faults, see above", n)
	}
	return nil
}

func (b *bench) writeJSON() error {
	switch b.options.json {
	case "":
		return nil
	case "-":
		return b.report.WriteJSON(os.Stdout)
	}
	f, err := os.Create(b.options.json)
	if err != nil {
		return err
	}
	return errors.Join(b.report.WriteJSON(f), f.Close())
}
