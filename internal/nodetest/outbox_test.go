//go:build linux

package nodetest_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // driver "pgx"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/mail"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

// leaseTime is how long a worker keeps messages to itself, package mail's.
const leaseTime = 2 * time.Minute

// TestEachMessageIsSentOnce has four workers with a store each send what stands in one outbox.
func TestEachMessageIsSentOnce(t *testing.T) {
	eachEngine(t, func(t *testing.T, cfg sqlstore.Config) {
		const messages = 500
		p := newPost(t, cfg)
		p.queue(messages)
		for range 4 {
			p.work(p.deliver)
		}
		eventually(t, "everybody has got a message", 2*patience, func() bool { return len(p.delivered()) == messages })
		time.Sleep(200 * time.Millisecond)
		for to, n := range p.delivered() {
			if n != 1 {
				t.Errorf("%s got %d messages, want 1", to, n)
			}
		}
		// What the outbox could not be told in time, on a busy machine, it is told when the lease is over.
		if got := p.rows(); got > messages/50 {
			t.Errorf("%d messages are still in the outbox, want almost none", got)
		}
	})
}

// TestWorkerThatDiesHoldsNothingBack kills one of four workers right after it has sent a message, before it can note
// that. What it had taken is sent by the others when its time is up; that one message goes out twice.
func TestWorkerThatDiesHoldsNothingBack(t *testing.T) {
	eachEngine(t, func(t *testing.T, cfg sqlstore.Config) {
		const messages = 200
		p := newPost(t, cfg)
		p.queue(messages)
		var mu sync.Mutex
		var last string // to whom the dead worker sent without noting it
		sent, held := 0, 0
		died, buried := make(chan struct{}), make(chan struct{})
		p.work(func(m mail.Message) error {
			mu.Lock()
			if sent < 7 {
				_ = p.deliver(m)
				sent++
			}
			if sent < 7 {
				mu.Unlock()
				return nil
			}
			if held++; held == 1 {
				last = m.To
				close(died)
			}
			mu.Unlock()
			<-buried // nothing is done any more, as after SIGKILL
			return errors.New("the worker is dead")
		})
		t.Cleanup(func() { close(buried) })
		<-died
		for range 3 {
			p.work(p.deliver)
		}
		holds := func() int {
			mu.Lock()
			defer mu.Unlock()
			return held
		}
		eventually(t, "all but what the dead worker holds is sent", 2*patience, func() bool { return p.rows() == holds() })
		time.Sleep(1500 * time.Millisecond) // all have looked again, and took nothing from a worker that may only be slow
		if got, want := p.rows(), holds(); got != want {
			t.Errorf("%d messages are in the outbox, want the %d that the dead worker holds", got, want)
		}

		p.later.Add(int64(leaseTime + time.Second))
		eventually(t, "everybody has got a message", 2*patience, func() bool { return len(p.delivered()) == messages && p.rows() == 0 })
		for to, n := range p.delivered() {
			want := 1
			if to == last {
				want = 2
			}
			if n != want {
				t.Errorf("%s got %d messages, want %d", to, n, want)
			}
		}
	})
}

// eachEngine runs the test on both engines.
func eachEngine(t *testing.T, test func(t *testing.T, cfg sqlstore.Config)) {
	t.Run("sqlite", func(t *testing.T) {
		test(t, sqlstore.Config{SQLitePath: filepath.Join(t.TempDir(), "latchkey.db")})
	})
	t.Run("postgres", func(t *testing.T) {
		server := sharedServer(t)
		test(t, storeConfig(server.url(server.newDatabase(t))))
	})
}

// post is an outbox and its workers.
type post struct {
	t       *testing.T
	cfg     sqlstore.Config
	service *stack
	user    auth.UserID
	later   atomic.Int64 // nanoseconds that the clock is fast

	mu    sync.Mutex
	count map[string]int // messages by recipient
}

func newPost(t *testing.T, cfg sqlstore.Config) *post {
	t.Helper()
	p := &post{t: t, cfg: cfg, count: make(map[string]int)}
	p.cfg.Now = func() time.Time { return time.Now().Add(time.Duration(p.later.Load())) }
	p.service = newStack(t, p.cfg)
	guest, err := p.service.service.SignUpGuest(t.Context(), auth.Origin{}) // who gets no mail of their own
	if err != nil {
		t.Fatal(err)
	}
	p.user = guest.User.ID
	return p
}

// queue puts n messages into the outbox, each to another address.
func (p *post) queue(n int) {
	p.t.Helper()
	inParallel(8, n, func(i int) {
		now := p.cfg.Now()
		_, err := p.service.store.QueueMail(p.t.Context(), auth.OutboxMessage{
			Kind: auth.MailPasswordChanged, UserID: p.user, Recipient: fmt.Sprintf("reader-%d@example.com", i),
			Origin: auth.Origin{Language: auth.English}, QueuedAt: now, NotAfter: now.Add(24 * time.Hour),
		})
		if err != nil {
			p.t.Errorf("queue: %v", err)
		}
	})
}

// work starts a worker with a store of its own.
func (p *post) work(send sendFunc) {
	p.t.Helper()
	own := newStack(p.t, p.cfg)
	w, err := mail.New(mail.Config{
		Outbox: own.store, Composer: own.service, Senders: []mail.Sender{send},
		Now: p.cfg.Now, From: "no-reply@example.com", AppName: "IdeaEgg", Logger: slog.New(slog.DiscardHandler),
	}, mail.NewWaker())
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(p.t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	p.t.Cleanup(func() {
		stop()
		running.Wait()
	})
}

// sendFunc is a mail.Sender.
type sendFunc func(mail.Message) error

func (f sendFunc) Send(_ context.Context, m mail.Message) error { return f(m) }

// deliver counts the message; it is a sendFunc that always succeeds.
func (p *post) deliver(m mail.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count[m.To]++
	return nil
}

// delivered returns how many messages each recipient has got.
func (p *post) delivered() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.count)
}

// rows returns how many messages the outbox has.
func (p *post) rows() (n int) {
	p.t.Helper()
	driver, source := "pgx", p.cfg.PostgresURL
	if p.cfg.SQLitePath != "" {
		driver, source = "sqlite", "file:"+p.cfg.SQLitePath+"?_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		p.t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRowContext(p.t.Context(), "SELECT COUNT(*) FROM outbox").Scan(&n); err != nil {
		p.t.Fatal(err)
	}
	return n
}
