package attack_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

// patience bounds every single wait: many times what anything takes here, on a machine that does much else.
const patience = time.Minute

// run is what all tests of this run share.
var run struct {
	folder  string
	program func() (string, error) // builds it, once

	sqlite, postgres atomic.Int64 // cases that held
	broken           atomic.Int64
}

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if run.folder, err = os.MkdirTemp("", "latchkey-attack."); err != nil {
			panic(err)
		}
		defer func() { _ = os.RemoveAll(run.folder) }()
		run.program = sync.OnceValues(buildProgram)
		code := m.Run()
		held := func(n int64) string {
			if n == 0 {
				return "not run"
			}
			return fmt.Sprintf("%d cases held", n)
		}
		fmt.Printf("attack suite: SQLite: %s; PostgreSQL: %s; broken: %d\n", held(run.sqlite.Load()), held(run.postgres.Load()), run.broken.Load())
		return code
	}())
}

func buildProgram() (string, error) {
	path := filepath.Join(run.folder, "latchkey")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute) // without a cache everything is compiled
	defer cancel()
	out, err := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/ideaegg/latchkey/cmd/latchkey").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return path, nil
}

// family is a table of attacks of one kind.
type family struct {
	name    string
	attacks []attack
}

// attack is one thing that a hostile client tries.
type attack struct {
	name    string // what is tried
	against string // what it is about: a CVE, an advisory, a clause of OWASP ASVS 5.0, a section of an RFC, a CWE
	try     func(a *arena)
}

func families() []family {
	return []family{
		{"reset", resetAttacks()},
		{"names", nameAttacks()},
		{"takeover", takeoverAttacks()},
		{"guessing", guessingAttacks()},
		{"json", jsonAttacks()},
		{"http", httpAttacks()},
		{"tokens", tokenAttacks()},
		{"passwords", passwordAttacks()},
		{"pages", pageAttacks()},
		{"wechat", weChatAttacks()},
		{"audit", auditAttacks()},
	}
}

// TestAttacks runs every case on both engines. The cases of an engine run one after the other against one program, so
// that each can say that nobody was created and nothing was mailed.
func TestAttacks(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, db sqlstore.Config) {
		s := start(t, db)
		s.whole = t
		s.another = func(flags ...string) *service {
			if s.postgres {
				return start(t, dbtest.Postgres(t), flags...)
			}
			return start(t, dbtest.SQLite(t), flags...)
		}
		held := &run.sqlite
		if s.postgres {
			held = &run.postgres
		}
		for _, f := range families() {
			t.Run(f.name, func(t *testing.T) {
				for _, c := range f.attacks {
					t.Run(fmt.Sprintf("%s [%s]", c.name, c.against), func(t *testing.T) {
						defer func() { // also when the case ends early
							switch {
							case t.Failed():
								run.broken.Add(1)
							case !t.Skipped():
								held.Add(1)
							}
						}()
						c.try(&arena{T: t, service: s})
					})
				}
			})
		}
	})
}

func TestEveryAttackHasANameOfItsOwn(t *testing.T) {
	t.Parallel()
	for _, f := range families() {
		seen := make(map[string]bool)
		for _, c := range f.attacks {
			if c.name == "" || c.against == "" || seen[c.name] {
				t.Errorf("%s: got the case %q against %q, want a name of its own and what it is about", f.name, c.name, c.against)
			}
			seen[c.name] = true
		}
	}
}
