package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ideaegg/latchkey/bench/fill"
	"github.com/ideaegg/latchkey/bench/load"
	"github.com/ideaegg/latchkey/bench/report"
	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

// fewUsers is what many users are compared with.
const fewUsers = 10_000

// growth is the table of what many users change. Ours is with many of them, the limit with few.
var growth = []measurement{
	{"cold", measureCold},
	{"warm", measureWarm},
	{"many_sign_in", measureManySignIn},
	{"many_sign_up", measureManySignUp},
	{"list", measureList},
	{"clean_up", measureCleanUp},
	{"space", measureSpace},
}

// sized is one of the two databases that are compared.
type sized struct {
	fill.Population
	database fill.Config
	service  *service // while one runs
}

// sizes returns the databases with many and with few users, which are filled the first time.
func (b *bench) sizes(ctx context.Context) (many, few *sized, err error) {
	if b.many == nil {
		if b.few, err = b.filled(ctx, fewUsers); err != nil {
			return nil, nil, err
		}
		if b.many, err = b.filled(ctx, b.options.users); err != nil {
			return nil, nil, err
		}
	}
	return b.many, b.few, nil
}

// filled returns a database with so many users: one that was kept, or a new one.
func (b *bench) filled(ctx context.Context, users int) (*sized, error) {
	name := fmt.Sprintf("users_%d", users)
	if b.options.data == "" {
		database, err := b.databases.create(ctx, name)
		if err != nil {
			return nil, err
		}
		return b.fillAnew(ctx, users, database)
	}
	if err := os.MkdirAll(b.options.data, 0o700); err != nil {
		return nil, err
	}
	kept := filepath.Join(b.options.data, name+".json")
	database := fill.Config{SQLitePath: filepath.Join(b.options.data, name+".db")}
	if b.databases.isPostgres() {
		var err error
		kept = filepath.Join(b.options.data, name+".postgres.json")
		if database, err = b.databases.named("latchkey_bench_" + name); err != nil {
			return nil, err
		}
	}
	p, err := fill.Load(kept, time.Now())
	switch {
	case err == nil && exists(ctx, database):
		return &sized{Population: p, database: database}, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if err := b.databases.recreate(ctx, database, "latchkey_bench_"+name); err != nil { // one whose filling was interrupted
		return nil, err
	}
	s, err := b.fillAnew(ctx, users, database)
	if err != nil {
		return nil, err
	}
	return s, s.Save(kept)
}

func (b *bench) fillAnew(ctx context.Context, users int, database fill.Config) (*sized, error) {
	p, err := fill.New(ctx, users, time.Now())
	if err != nil {
		return nil, err
	}
	return &sized{Population: p, database: database}, p.Database(ctx, database, b.progress.part)
}

func exists(ctx context.Context, database fill.Config) bool {
	if database.PostgresURL == "" {
		_, err := os.Stat(database.SQLitePath)
		return err == nil
	}
	conn, err := pgx.Connect(ctx, database.PostgresURL)
	if err != nil {
		return false
	}
	return conn.Close(ctx) == nil
}

// start starts the program on the database; its cache is empty, but everything else has been used.
func (s *sized) start(ctx context.Context, b *bench) (err error) {
	if s.service, err = b.service(ctx, s.database, s.Token(0)); err != nil {
		return err
	}
	warm := b.check(s.service.address, "/user", []string{s.Token(0)})
	warm.Connections, warm.Duration = signers, 200*time.Millisecond
	_, err = b.load(ctx, warm)
	return err
}

func (s *sized) stop() error {
	if s.service == nil {
		return nil
	}
	err := s.service.stop()
	s.service = nil
	return err
}

// sample returns something of n users, all different.
func (s *sized) sample(n int, of func(int) string) []string {
	taken := make(map[int]bool, n)
	values := make([]string, 0, n)
	for len(values) < min(n, s.Users-1) {
		if i := 1 + rand.IntN(s.Users-1); !taken[i] { // user 0 has been asked for
			taken[i] = true
			values = append(values, of(i))
		}
	}
	return values
}

// compareSizes measures the same plan on both databases in turns, and says how the 99th percentiles compare.
func (b *bench) compareSizes(ctx context.Context, row report.Row, fresh bool, plan func(*sized) load.Plan) (rows []report.Row, err error) {
	many, few, err := b.sizes(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, many.stop(), few.stop()) }()
	side := func(name string, s *sized) turn {
		return func(ctx context.Context) (map[string]float64, error) {
			if fresh {
				if err := s.stop(); err != nil {
					return nil, err
				}
			}
			if s.service == nil {
				if err := s.start(ctx, b); err != nil {
					return nil, err
				}
			}
			r, err := b.load(ctx, plan(s))
			return figures(name, r.Good), err
		}
	}
	f, err := b.rounds(ctx, side("many", many), side("few", few))
	if err != nil {
		return nil, err
	}
	row.What = fmt.Sprintf("%s, p99, %s users | 10,000", row.What, thousands(many.Users))
	row.Unit, row.Ours, row.Limit = "ms", report.Of(f["many p99"]...), report.Of(f["few p99"]...)
	row.Ratio = report.RatioOf(f["many p99"], f["few p99"])
	row.Details = medians(f, "many p50", "few p50", "many max", "few max", "many rate", "few rate")
	return []report.Row{row}, nil
}

func thousands(n int) string {
	if n >= 1000 {
		return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
	}
	return fmt.Sprint(n)
}

// measureCold shows tokens that the program has not seen since it started, so that each needs the database.
func measureCold(ctx context.Context, b *bench) ([]report.Row, error) {
	row := report.Row{Name: "cold", What: "GET /user at 2,000/s, tokens never shown before", Goal: &report.Goal{AtMost: 1.2}}
	return b.compareSizes(ctx, row, true, func(s *sized) load.Plan {
		p := b.check(s.service.address, "/user", s.sample(min(int(checkRate*b.options.duration.Seconds()), fewUsers), s.Token))
		p.Rate, p.Once, p.WarmUp = checkRate, true, 0
		return p
	})
}

func measureWarm(ctx context.Context, b *bench) ([]report.Row, error) {
	row := report.Row{Name: "warm", What: "GET /user at 2,000/s, tokens in the cache", Goal: &report.Goal{AtMost: 1.2}}
	return b.compareSizes(ctx, row, false, func(s *sized) load.Plan {
		p := b.check(s.service.address, "/user", s.sample(preparedUsers, s.Token))
		p.Rate, p.WarmUp = checkRate, time.Second // in which each has been shown
		return p
	})
}

func measureManySignIn(ctx context.Context, b *bench) ([]report.Row, error) {
	row := report.Row{Name: "many_sign_in", What: "sign-in, 16 connections", Goal: &report.Goal{AtMost: 1.2}}
	return b.compareSizes(ctx, row, false, func(s *sized) load.Plan {
		p := b.signIn(s.service.address, s.sample(preparedUsers, s.Email))
		p.Duration = 2 * b.options.duration
		return p
	})
}

func measureManySignUp(ctx context.Context, b *bench) ([]report.Row, error) {
	row := report.Row{Name: "many_sign_up", What: "sign-up, 16 connections", Goal: &report.Goal{AtMost: 1.2}}
	return b.compareSizes(ctx, row, false, func(s *sized) load.Plan {
		return b.signUp(s.service.address, 2*b.options.duration)
	})
}

func measureList(ctx context.Context, b *bench) ([]report.Row, error) {
	row := report.Row{Name: "list", What: "GET /user/sessions, 16 connections", Goal: &report.Goal{AtMost: 1.2}}
	return b.compareSizes(ctx, row, false, func(s *sized) load.Plan {
		p := b.check(s.service.address, "/user/sessions", s.sample(preparedUsers, s.Token))
		p.Connections = signers
		return p
	})
}

// measureCleanUp times one round of the clean-up with as many ended sessions as it deletes at once. It asks the program's
// own package, since the program decides for itself when to clean up.
func measureCleanUp(ctx context.Context, b *bench) ([]report.Row, error) {
	many, few, err := b.sizes(ctx)
	if err != nil {
		return nil, err
	}
	side := func(name string, s *sized) turn {
		return func(ctx context.Context) (map[string]float64, error) {
			took, err := s.cleanUp(ctx)
			return map[string]float64{name: millis(took)}, err
		}
	}
	f, err := b.rounds(ctx, side("many", many), side("few", few))
	if err != nil {
		return nil, err
	}
	return []report.Row{{
		Name: "clean_up", What: fmt.Sprintf("clean-up of %d ended sessions, %s users | 10,000", endedSessions, thousands(many.Users)), Unit: "ms",
		Ours: report.Of(f["many"]...), Limit: report.Of(f["few"]...), Ratio: report.RatioOf(f["many"], f["few"]),
	}}, nil
}

const endedSessions = 500

func (s *sized) cleanUp(ctx context.Context) (took time.Duration, err error) {
	store, err := sqlstore.Open(ctx, s.database.Store())
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	now := time.Now().UTC()
	due := auth.Due{Now: now, GuestsBefore: now.AddDate(-1, 0, 0), DeletedBefore: now.AddDate(-1, 0, 0), FailedMailBefore: now.AddDate(-1, 0, 0)}
	for n := 1; n > 0; { // what earlier turns left
		if n, err = store.CleanUp(ctx, due, endedSessions); err != nil {
			return 0, err
		}
	}

	first := firstSession()
	var next atomic.Int64
	failed := make(chan error, signers)
	var signing sync.WaitGroup
	for range signers {
		signing.Go(func() {
			for n := next.Add(1); n <= endedSessions; n = next.Add(1) {
				session := auth.Session{
					ID: auth.SessionID(first + n), CreatedAt: now.Add(-time.Hour), LastUsedAt: now.Add(-time.Hour), ExpiresAt: now.Add(-time.Minute),
				}
				_, err := store.CreateSession(ctx, auth.SignIn{UserID: auth.UserID(1 + rand.IntN(s.Users)), Session: session})
				if err != nil {
					failed <- err
					return
				}
			}
		})
	}
	signing.Wait()
	select {
	case err := <-failed:
		return 0, fmt.Errorf("make ended sessions: %w", err)
	default:
	}

	begun := time.Now()
	n, err := store.CleanUp(ctx, due, endedSessions)
	took = time.Since(begun)
	if err == nil && n < endedSessions {
		err = fmt.Errorf("the clean-up deleted %d rows, not %d", n, endedSessions)
	}
	return took, err
}

// measureSpace is what users cost when nobody asks for them.
func measureSpace(ctx context.Context, b *bench) (rows []report.Row, err error) {
	many, few, err := b.sizes(ctx)
	if err != nil {
		return nil, err
	}
	millions := float64(many.Users-few.Users) / 1e6
	var megabytes, resident []float64
	for _, s := range []*sized{many, few} {
		bytes, err := sizeOf(ctx, s.database)
		if err != nil {
			return nil, err
		}
		megabytes = append(megabytes, float64(bytes)/1e6)
		m, err := s.residentInUse(ctx, b)
		if err != nil {
			return nil, err
		}
		resident = append(resident, m)
	}
	row := func(name, what, unit string, figures []float64) report.Row {
		r := report.Row{
			Name: name, What: fmt.Sprintf("%s, %s users | 10,000", what, thousands(many.Users)), Unit: unit,
			Ours: report.Of(figures[0]), Limit: report.Of(figures[1]),
		}
		if millions > .5 { // of fewer the difference is chance
			r.Details = map[string]float64{unit + " a million users": (figures[0] - figures[1]) / millions}
		}
		return r
	}
	rows = []report.Row{row("database_size", "size of the database", "MB", megabytes)}
	if resident[0] > 0 {
		rows = append(rows, row("memory", "resident memory after 5,000 tokens, helper included", "MiB", resident))
	}
	return rows, nil
}

// residentInUse is 0 where the system does not tell.
func (s *sized) residentInUse(ctx context.Context, b *bench) (resident float64, err error) {
	if err := s.start(ctx, b); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	p := b.check(s.service.address, "/user", s.sample(5000, s.Token))
	p.Once, p.WarmUp, p.Duration = true, 0, time.Minute
	if _, err := b.load(ctx, p); err != nil {
		return 0, err
	}
	m, _ := memoryOf(s.service.cmd.Process.Pid)
	return m.resident, nil
}

func sizeOf(ctx context.Context, database fill.Config) (bytes int64, err error) {
	if database.PostgresURL != "" {
		conn, err := pgx.Connect(ctx, database.PostgresURL)
		if err != nil {
			return 0, err
		}
		defer func() { _ = conn.Close(ctx) }()
		err = conn.QueryRow(ctx, "SELECT pg_database_size(current_database())").Scan(&bytes)
		return bytes, err
	}
	for _, suffix := range []string{"", "-wal"} {
		info, err := os.Stat(database.SQLitePath + suffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
		if err == nil {
			bytes += info.Size()
		}
	}
	return bytes, nil
}
