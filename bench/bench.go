package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/ideaegg/latchkey/bench/fill"
	"github.com/ideaegg/latchkey/bench/load"
	"github.com/ideaegg/latchkey/bench/report"
)

// bench is one run.
type bench struct {
	options   options
	dir       string // temporary
	program   string
	databases databases
	report    report.Report
	faults    sync.Mutex // while report.Faults gets another one
	progress  *progressLine
	name      string // of the measurement under way

	prepared   *fill.Config // the database of the speed measurements, once it is there
	population fill.Population

	many, few *sized // the databases of the growth measurements, once they are there
}

func newBench(ctx context.Context, o options) (*bench, error) {
	dir, err := os.MkdirTemp("", "latchkey-bench.")
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, dir: dir, program: o.program, progress: newProgressLine(os.Stderr), name: "start"}
	b.databases = databases{server: o.database, dir: dir}
	b.progress.show("build the program")
	if b.program == "" {
		if b.program, err = buildProgram(ctx, dir); err != nil {
			return nil, errors.Join(err, b.close())
		}
	}
	b.report.Machine = describeMachine(b.program, dir)
	if b.report.Machine.Commit == "" && o.program == "" {
		b.report.Machine.Commit = checkedOut(ctx)
	}
	b.report.Machine.Engine, b.report.Machine.Note = b.databases.version(ctx), o.note
	b.report.Settings = report.Settings{Rounds: o.rounds, Seconds: o.duration.Seconds(), Users: o.users, Quick: o.quick}
	return b, nil
}

// close throws away what was made for the run.
func (b *bench) close() error {
	b.progress.end()
	return errors.Join(b.databases.drop(), os.RemoveAll(b.dir))
}

// turn is one side of a measurement, which takes turns with the others. It returns figures by names that no other turn
// uses.
type turn func(context.Context) (map[string]float64, error)

// rounds lets the turns alternate, and returns the figures of each name, one a round.
func (b *bench) rounds(ctx context.Context, turns ...turn) (map[string][]float64, error) {
	all := map[string][]float64{}
	for round := range b.options.rounds {
		for n, t := range turns {
			b.progress.show(fmt.Sprintf("%s: round %d of %d, turn %d of %d", b.name, round+1, b.options.rounds, n+1, len(turns)))
			figures, err := t(ctx)
			if err != nil {
				return nil, err
			}
			for name, v := range figures {
				all[name] = append(all[name], v)
			}
		}
	}
	return all, nil
}

// load runs the plan in a process of its own, and notes what was not answered as expected.
func (b *bench) load(ctx context.Context, p load.Plan) (load.Result, error) {
	r, err := runChild[load.Result](ctx, "child-load", p)
	if err != nil {
		return r, err
	}
	if fault := r.Fault(); fault != "" {
		b.faults.Lock()
		defer b.faults.Unlock()
		b.report.Faults = append(b.report.Faults, fmt.Sprintf("%s, %s %s: %s", b.name, p.Method, p.Path, fault))
	}
	return r, nil
}

// service starts the program on the database and waits until it answers the token's owner.
func (b *bench) service(ctx context.Context, database fill.Config, token string) (*service, error) {
	s, err := launch(ctx, b.program, b.dir, database)
	if err != nil {
		return nil, err
	}
	if err := s.awaitUser(ctx, token); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// preparedUsers are those of the database of the speed measurements: enough that no two connections need be one user's,
// and all of them in the cache.
const preparedUsers = 1000

// withService runs f beside the program on a database with preparedUsers.
func (b *bench) withService(ctx context.Context, f func(*service) ([]report.Row, error)) (rows []report.Row, err error) {
	if err := b.prepare(ctx); err != nil {
		return nil, err
	}
	s, err := b.service(ctx, *b.prepared, b.population.Token(0))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	return f(s)
}

func (b *bench) prepare(ctx context.Context) error {
	if b.prepared != nil {
		return nil
	}
	b.progress.show("prepare users")
	database, err := b.databases.create(ctx, "speed")
	if err != nil {
		return err
	}
	if b.population, err = fill.New(ctx, preparedUsers, time.Now()); err != nil {
		return err
	}
	if err := b.population.Database(ctx, database, b.progress.part); err != nil {
		return err
	}
	b.prepared = &database
	return nil
}

// tokens are those of the first n prepared users, and logins how they sign in.
func (b *bench) tokens(n int) []string { return list(n, b.population.Token) }
func (b *bench) logins(n int) []string { return list(n, b.population.Email) }

func list(n int, of func(int) string) []string {
	values := make([]string, n)
	for i := range values {
		values[i] = of(i)
	}
	return values
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// progressLine says on a terminal what is being done; elsewhere it says nothing.
type progressLine struct {
	out   *os.File // nil: no terminal
	drawn bool
	last  time.Time
}

func newProgressLine(out *os.File) *progressLine {
	if !term.IsTerminal(int(out.Fd())) {
		return &progressLine{}
	}
	return &progressLine{out: out}
}

func (p *progressLine) show(text string) {
	if p.out != nil {
		p.drawn = true
		fmt.Fprintf(p.out, "\r%s\x1b[K", text)
	}
}

// part is a fill.Progress.
func (p *progressLine) part(what string, done, total int) {
	if now := time.Now(); done == total || now.Sub(p.last) > 100*time.Millisecond {
		p.last = now
		const width = 30
		filled := width * done / max(total, 1)
		p.show(fmt.Sprintf("%-28s [%s%s] %d/%d", what, strings.Repeat("#", filled), strings.Repeat(".", width-filled), done, total))
	}
}

// end takes the line away.
func (p *progressLine) end() {
	if p.drawn {
		p.drawn = false
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
