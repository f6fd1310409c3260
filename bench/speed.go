package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ideaegg/latchkey/bench/fill"
	"github.com/ideaegg/latchkey/bench/load"
	"github.com/ideaegg/latchkey/bench/report"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

// measurement is a part of a run that can be asked for by name.
type measurement struct {
	name    string
	measure func(context.Context, *bench) ([]report.Row, error)
}

// speed is the table of what a node does with few users.
var speed = []measurement{
	{"user", measureUser},
	{"verify", measureVerify},
	{"sign_in", measureSignIn},
	{"sign_up", measureSignUp},
	{"storm", measureStorm},
	{"crowd", measureCrowd},
	{"guest", measureGuest},
	{"start", measureStart},
	{"idle", measureIdle},
	{"size", measureSize},
}

func measurementNames() string {
	var names []string
	for _, m := range append(append([]measurement(nil), speed...), growth...) {
		names = append(names, m.name)
	}
	return strings.Join(names, ", ")
}

const (
	checkers  = 64 // connections that show tokens
	signers   = 16 // connections that sign in or up
	stormers  = 64 // connections that sign in, in a storm
	crowd     = 512
	checkRate = 2000 // a second, in an open loop
)

func measureUser(ctx context.Context, b *bench) ([]report.Row, error) {
	return b.withService(ctx, func(s *service) ([]report.Row, error) {
		return b.besideBare(ctx, s, b.check(s.address, "/user", b.tokens(preparedUsers)), report.Row{
			Name: "user", What: "GET /user, 64 connections, cached | bare net/http handler",
		})
	})
}

func measureVerify(ctx context.Context, b *bench) ([]report.Row, error) {
	return b.withService(ctx, func(s *service) ([]report.Row, error) {
		return b.besideBare(ctx, s, b.check(s.address, "/verify", b.tokens(preparedUsers)), report.Row{
			Name: "verify", What: "GET /verify, 64 connections, cached | bare net/http handler",
		})
	})
}

// plan asks for the usual time.
func (b *bench) plan(address, method, path string) load.Plan {
	return load.Plan{
		Address: address, Method: method, Path: path,
		Connections: checkers, WarmUp: b.options.duration / 10, Duration: b.options.duration,
	}
}

// check is a plan that shows tokens, over and over.
func (b *bench) check(address, path string, tokens []string) load.Plan {
	p := b.plan(address, http.MethodGet, path)
	p.Header, p.Values = withToken(load.Placeholder), tokens
	return p
}

// besideBare measures the plan beside a server that gives the same answer for nothing.
func (b *bench) besideBare(ctx context.Context, s *service, p load.Plan, row report.Row) ([]report.Row, error) {
	bare, err := startBareTwin(ctx, s, p.Method, p.Path, withToken(b.population.Token(0)))
	if err != nil {
		return nil, err
	}
	defer bare.stop()
	side := func(name, address string) turn {
		p := p
		p.Address = address
		return func(ctx context.Context) (map[string]float64, error) {
			if err := s.cutLog(); err != nil {
				return nil, err
			}
			r, err := b.load(ctx, p)
			return figures(name, r.Good), err
		}
	}
	f, err := b.rounds(ctx, side("ours", s.address), side("bare", bare.address))
	if err != nil {
		return nil, err
	}
	rate, tail := row, row
	rate.Unit, rate.Ours, rate.Limit = "/s", report.Of(f["ours rate"]...), report.Of(f["bare rate"]...)
	rate.Ratio, rate.Goal = report.RatioOf(f["ours rate"], f["bare rate"]), &report.Goal{AtLeast: .85}
	rate.Details = medians(f, "ours p50", "ours p99.9", "ours max", "bare p50", "bare p99.9", "bare max")
	tail.Name, tail.What, tail.Unit = row.Name+"_p99", "  its p99", "ms"
	tail.Ours, tail.Limit = report.Of(f["ours p99"]...), report.Of(f["bare p99"]...)
	tail.Ratio, tail.Goal = report.RatioOf(f["ours p99"], f["bare p99"]), &report.Goal{AtMost: 1.3}
	return []report.Row{rate, tail}, nil
}

// figures are those of a series, under names that begin with name; times in milliseconds.
func figures(name string, s load.Series) map[string]float64 {
	return map[string]float64{
		name + " rate": s.Rate, name + " p50": millis(s.P50), name + " p99": millis(s.P99), name + " p99.9": millis(s.P999), name + " max": millis(s.Max),
	}
}

func medians(f map[string][]float64, names ...string) map[string]float64 {
	m := make(map[string]float64, len(names))
	for _, name := range names {
		if figure := report.Of(f[name]...); figure != nil {
			m[name] = figure.Median
		}
	}
	return m
}

// hashes is the turn of argon2id, "hashes" a second.
func (b *bench) hashes(ctx context.Context) (map[string]float64, error) {
	rate, err := runChild[float64](ctx, "child-argon2", hashWork{Duration: b.options.duration})
	return map[string]float64{"hashes": rate}, err
}

func (b *bench) signIn(address string, logins []string) load.Plan {
	p := b.plan(address, http.MethodPost, "/sign_in")
	p.Body, p.Values, p.Connections = `{"login":"`+load.Placeholder+`","password":"`+fill.Password+`"}`, logins, signers
	p.Expect = signedOrRefused
	return p
}

// signedOrRefused: whoever comes when too many wait is refused, and on a machine that is busy with other things few are
// too many. Those refused do not count as served, and are shown.
var signedOrRefused = []int{http.StatusOK, http.StatusServiceUnavailable}

// signUps makes names that nobody has yet, also not in a database that was used before.
var signUps atomic.Int64

func (b *bench) signUp(address string, lasts time.Duration) load.Plan {
	const fastest = 200 // more than a core can hash in a second
	most := signers + int((lasts.Seconds()+1)*fastest*float64(b.report.Machine.Cores))
	run := time.Now().UnixMilli()
	p := b.plan(address, http.MethodPost, "/sign_up")
	p.Body = `{"username":"` + load.Placeholder + `","email":"` + load.Placeholder + `@new.example","password":"` + fill.Password +
		`","password_confirmation":"` + fill.Password + `"}`
	p.Values, p.Once = list(most, func(int) string { return fmt.Sprintf("n%d.%d", run, signUps.Add(1)) }), true
	p.Connections, p.Duration, p.Expect = signers, lasts, signedOrRefused
	return p
}

func measureSignIn(ctx context.Context, b *bench) ([]report.Row, error) {
	return b.withService(ctx, func(s *service) ([]report.Row, error) {
		return b.besideHashes(ctx, func() load.Plan { return b.signIn(s.address, b.logins(200)) }, report.Row{
			Name: "sign_in", What: "sign-in, 16 connections | argon2id in a loop", Goal: &report.Goal{AtLeast: .95},
		})
	})
}

func measureSignUp(ctx context.Context, b *bench) ([]report.Row, error) {
	return b.withService(ctx, func(s *service) ([]report.Row, error) {
		return b.besideHashes(ctx, func() load.Plan { return b.signUp(s.address, b.options.duration) }, report.Row{
			Name: "sign_up", What: "sign-up, 16 connections | argon2id in a loop", Goal: &report.Goal{AtLeast: .93},
			Note: "without --mail: the code in a verification mail costs another hash",
		})
	})
}

func (b *bench) besideHashes(ctx context.Context, plan func() load.Plan, row report.Row) ([]report.Row, error) {
	ours := func(ctx context.Context) (map[string]float64, error) {
		r, err := b.load(ctx, plan())
		return map[string]float64{
			"ours": r.Good.Rate, "p50 ms": millis(r.Good.P50), "p99 ms": millis(r.Good.P99), "503s/s": r.Refused.Rate,
		}, err
	}
	f, err := b.rounds(ctx, ours, b.hashes)
	if err != nil {
		return nil, err
	}
	row.Unit, row.Ours, row.Limit, row.Ratio = "/s", report.Of(f["ours"]...), report.Of(f["hashes"]...), report.RatioOf(f["ours"], f["hashes"])
	row.Details = medians(f, "p50 ms", "p99 ms", "503s/s")
	return []report.Row{row}, nil
}

// measureStorm is what those notice who only show a token while others sign in. Beside it stands what the machine allows:
// the same tokens shown to a server that does nothing, while argon2id takes what is left of the cores.
func measureStorm(ctx context.Context, b *bench) ([]report.Row, error) {
	return b.withService(ctx, func(s *service) ([]report.Row, error) {
		checks := b.check(s.address, "/user", b.tokens(preparedUsers))
		// Twice as long as usual, so that there are some that 99 % are faster than.
		checks.Rate, checks.WarmUp, checks.Duration = checkRate, b.options.duration/4, 2*b.options.duration
		storm := b.signIn(s.address, b.logins(preparedUsers))
		storm.Connections, storm.WarmUp, storm.Duration = stormers, checks.WarmUp, checks.Duration
		bare, err := startBareTwin(ctx, s, checks.Method, checks.Path, withToken(b.population.Token(0)))
		if err != nil {
			return nil, err
		}
		defer bare.stop()
		bareChecks := checks
		bareChecks.Address = bare.address

		// beside runs the checks while others do something, and names what came of both.
		beside := func(name string, checks load.Plan, others func() (float64, error)) turn {
			return func(ctx context.Context) (map[string]float64, error) {
				var rate float64
				done := make(chan error, 1)
				go func() {
					var err error
					rate, err = others()
					done <- err
				}()
				r, err := b.load(ctx, checks)
				err = errors.Join(err, <-done)
				f := figures(name, r.Good)
				f[name+" generator late p99"], f[name+" others"] = millis(r.Late.P99), rate
				return f, err
			}
		}
		nobody := func() (float64, error) { return 0, nil }
		signIns := func() (float64, error) {
			r, err := b.load(ctx, storm)
			return r.Good.Rate, err
		}
		idleHashes := func() (float64, error) {
			return runChild[float64](ctx, "child-argon2", hashWork{Duration: checks.WarmUp + checks.Duration, Idle: true})
		}
		f, err := b.rounds(ctx,
			beside("quiet", checks, nobody), beside("storm", checks, signIns), b.hashes,
			beside("bare quiet", bareChecks, nobody), beside("bare storm", bareChecks, idleHashes))
		if err != nil {
			return nil, err
		}
		against := func(name, what, unit, ours, limit string, goal *report.Goal, details ...string) report.Row {
			row := report.Row{
				Name: name, What: what, Unit: unit, Goal: goal,
				Ours: report.Of(f[ours]...), Limit: report.Of(f[limit]...), Ratio: report.RatioOf(f[ours], f[limit]),
			}
			for _, of := range details {
				if row.Details == nil {
					row.Details = make(map[string]float64)
				}
				maps.Copy(row.Details, medians(f, of+" p50", of+" p99.9", of+" max", of+" generator late p99"))
			}
			return row
		}
		return []report.Row{
			against("storm_p99", "GET /user p99 at 2,000/s while 64 connections sign in | when quiet", "ms",
				"storm p99", "quiet p99", &report.Goal{AtMost: 1.5}, "storm", "quiet"),
			against("storm_sign_ins", "  sign-ins meanwhile | argon2id in a loop", "/s", "storm others", "hashes", &report.Goal{AtLeast: .8}),
			against("storm_bare_p99", "  a bare net/http handler's p99 beside argon2id of idle priority | when quiet", "ms",
				"bare storm p99", "bare quiet p99", nil, "bare storm", "bare quiet"),
			against("storm_bare_hashes", "  hashes beside that handler | argon2id in a loop", "/s", "bare storm others", "hashes", nil),
		}, nil
	})
}

// measureCrowd is what becomes of more sign-ins than can be served. It is one long round, between two short ones that tell
// what can be served.
func measureCrowd(ctx context.Context, b *bench) ([]report.Row, error) {
	return b.withService(ctx, func(s *service) ([]report.Row, error) {
		lasts, capacityLasts := 15*time.Second, max(2*b.options.duration, 5*time.Second)
		if b.options.quick {
			lasts, capacityLasts = 3*time.Second, time.Second
		}
		few := b.signIn(s.address, b.logins(200))
		few.Duration = capacityLasts
		many := b.signIn(s.address, b.logins(preparedUsers))
		many.Connections, many.Duration, many.WarmUp = crowd, lasts, 0 // the first moment counts too

		b.progress.show(b.name + ": what can be served")
		before, err := b.load(ctx, few)
		if err != nil {
			return nil, err
		}
		b.progress.show(b.name + ": 512 at once")
		r, err := b.load(ctx, many)
		if err != nil {
			return nil, err
		}
		m, known := memoryOf(s.cmd.Process.Pid)
		b.progress.show(b.name + ": what can be served")
		after, err := b.load(ctx, few)
		if err != nil {
			return nil, err
		}
		capacity := (before.Good.Rate + after.Good.Rate) / 2
		rows := []report.Row{
			{
				Name: "crowd", What: fmt.Sprintf("%d sign-ins at once for %v: goodput | sign-ins with 16 connections", crowd, lasts), Unit: "/s",
				Ours: report.Of(r.Good.Rate), Limit: report.Of(before.Good.Rate, after.Good.Rate),
				Ratio: report.RatioOf([]float64{r.Good.Rate}, []float64{capacity}), Goal: &report.Goal{AtLeast: .9},
				Details: map[string]float64{
					"200": float64(r.Statuses[http.StatusOK]), "503": float64(r.Statuses[http.StatusServiceUnavailable]),
					"p50 ms": millis(r.Good.P50), "p99 ms": millis(r.Good.P99), "max ms": millis(r.Good.Max), "503 p50 ms": millis(r.Refused.P50),
				},
			},
			{Name: "crowd_broken", What: "  broken connections", Unit: "connections", Ours: report.Of(float64(r.Broken)), Goal: &report.Goal{AtMost: 0}},
			{Name: "crowd_refused", What: "  longest time to a 503", Unit: "ms", Ours: report.Of(millis(r.Refused.Max)), Goal: &report.Goal{AtMost: 2000}},
			{Name: "crowd_memory", What: "  peak resident memory, helper included", Unit: "MiB", Goal: &report.Goal{AtMost: 150}, Note: "this system does not tell"},
		}
		if known {
			row := &rows[len(rows)-1]
			row.Ours, row.Note = report.Of(m.peak), ""
			row.Details = map[string]float64{"helper MiB afterwards": m.children, "both MiB afterwards": m.resident}
		}
		return rows, nil
	})
}

// measureGuest is how many rows get to the disk. The limit is what an empty handler and the inserts would do one after the
// other.
func measureGuest(ctx context.Context, b *bench) ([]report.Row, error) {
	rowsOnly, err := b.databases.create(ctx, "inserts")
	if err != nil {
		return nil, err
	}
	if _, err := sqlstore.Migrate(ctx, rowsOnly.Store()); err != nil {
		return nil, err
	}
	return b.withService(ctx, func(s *service) ([]report.Row, error) {
		const path = "/sign_up_temporarily"
		bare, err := startBareTwin(ctx, s, http.MethodPost, path, nil)
		if err != nil {
			return nil, err
		}
		defer bare.stop()
		side := func(name, address string) turn {
			p := b.plan(address, http.MethodPost, path)
			return func(ctx context.Context) (map[string]float64, error) {
				r, err := b.load(ctx, p)
				return map[string]float64{name: r.Good.Rate, name + " p50 ms": millis(r.Good.P50), name + " p99 ms": millis(r.Good.P99)}, err
			}
		}
		inserts := func(ctx context.Context) (map[string]float64, error) {
			rate, err := runChild[float64](ctx, "child-inserts", insertWork{Database: rowsOnly, Group: checkers, Duration: b.options.duration})
			return map[string]float64{"inserts": rate}, err
		}
		f, err := b.rounds(ctx, side("ours", s.address), side("bare", bare.address), inserts)
		if err != nil {
			return nil, err
		}
		var limit []float64
		for i := range f["inserts"] {
			limit = append(limit, 1/(1/f["bare"][i]+1/f["inserts"][i]))
		}
		row := report.Row{
			Name: "guest", What: "guest sign-up, 64 connections | empty handler and durable inserts in series", Unit: "/s",
			Ours: report.Of(f["ours"]...), Limit: report.Of(limit...), Ratio: report.RatioOf(f["ours"], limit),
			Details: medians(f, "bare", "inserts", "ours p50 ms", "ours p99 ms"),
		}
		if !b.databases.isPostgres() {
			row.Goal = &report.Goal{AtLeast: .5}
		}
		return []report.Row{row}, nil
	})
}

// measureStart is the time from before the process exists to the first answer to a token.
func measureStart(ctx context.Context, b *bench) ([]report.Row, error) {
	if err := b.prepare(ctx); err != nil {
		return nil, err
	}
	starts := 11
	if b.options.quick {
		starts = 3
	}
	var took []float64
	for n := range starts {
		b.progress.show(fmt.Sprintf("%s: %d of %d", b.name, n+1, starts))
		begun := time.Now()
		s, err := b.service(ctx, *b.prepared, b.population.Token(0))
		if err != nil {
			return nil, err
		}
		took = append(took, millis(time.Since(begun)))
		if err := s.stop(); err != nil {
			return nil, err
		}
	}
	return []report.Row{{
		Name: "start", What: "start to first 200, existing database", Unit: "ms", Ours: report.Of(took...), Goal: &report.Goal{AtMost: 20},
	}}, nil
}

func measureIdle(ctx context.Context, b *bench) ([]report.Row, error) {
	return b.withService(ctx, func(s *service) ([]report.Row, error) {
		row := report.Row{Name: "idle", What: "idle resident memory, helper included", Unit: "MiB", Goal: &report.Goal{AtMost: 26}, Note: "this system does not tell"}
		wait := 3 * time.Second // until what the start needed is given back or not
		if b.options.quick {
			wait = time.Second
		}
		time.Sleep(wait)
		if m, ok := memoryOf(s.cmd.Process.Pid); ok {
			row.Ours, row.Note = report.Of(m.resident), ""
			row.Details = map[string]float64{"helper MiB": m.children, "with shared pages counted once (PSS) MiB": m.shared}
		}
		return []report.Row{row}, nil
	})
}

func measureSize(_ context.Context, b *bench) ([]report.Row, error) {
	info, err := os.Stat(b.program)
	if err != nil {
		return nil, err
	}
	return []report.Row{{
		Name: "size", What: "stripped binary", Unit: "MB", Ours: report.Of(float64(info.Size()) / 1e6), Goal: &report.Goal{AtMost: 32},
	}}, nil
}
