//go:build linux

package nodetest_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"runtime"
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
		p := newPost(t, cfg)
		p.queue(500)
		for range 4 {
			p.work(nil)
		}
		p.awaitRows(0)
		for to, n := range p.delivered() {
			if n != 1 {
				t.Errorf("%s got %d messages, want 1", to, n)
			}
		}
		if got := len(p.delivered()); got != 500 {
			t.Errorf("%d people got a message, want 500", got)
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
		var last atomic.Pointer[string]
		died := make(chan struct{})
		sent := 0
		p.work(func(m mail.Message) {
			if sent++; sent == 7 {
				last.Store(&m.To)
				close(died)
				runtime.Goexit() // as SIGKILL does, it leaves everything as it stands
			}
		})
		<-died
		for range 3 {
			p.work(nil)
		}
		const held = 20 - 6 // of its batch it had noted six
		p.awaitRows(held)
		time.Sleep(1500 * time.Millisecond) // all have looked again
		p.awaitRows(held)                   // and taken nothing from a worker that may only be slow

		p.later.Add(int64(leaseTime + time.Second))
		p.awaitRows(0)
		for to, n := range p.delivered() {
			want := 1
			if to == *last.Load() {
				want = 2
			}
			if n != want {
				t.Errorf("%s got %d messages, want %d", to, n, want)
			}
		}
		if got := len(p.delivered()); got != messages {
			t.Errorf("%d people got a message, want %d", got, messages)
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
	if _, err := p.service.signUp(t.Context(), "reader"); err != nil {
		t.Fatal(err)
	}
	user, _, err := p.service.store.FindLogin(t.Context(), auth.Login{Username: "reader"})
	if err != nil {
		t.Fatal(err)
	}
	p.user = user.ID
	return p
}

// queue puts n messages into the outbox, each to another address.
func (p *post) queue(n int) {
	p.t.Helper()
	inParallel(8, n, func(i int) {
		now := p.cfg.Now()
		err := p.service.store.QueueMail(p.t.Context(), auth.OutboxMessage{
			Kind: auth.MailPasswordChanged, UserID: p.user, Recipient: fmt.Sprintf("reader-%d@example.com", i),
			Origin: auth.Origin{Language: auth.English}, QueuedAt: now, NotAfter: now.Add(24 * time.Hour),
		})
		if err != nil {
			p.t.Errorf("queue: %v", err)
		}
	})
}

// work starts a worker with a store of its own. onSend, if not nil, is called after each message that it has sent.
func (p *post) work(onSend func(mail.Message)) {
	p.t.Helper()
	own := newStack(p.t, p.cfg)
	w, err := mail.New(mail.Config{
		Outbox: own.store, Composer: own.service, Senders: []mail.Sender{sendFunc(func(m mail.Message) {
			p.mu.Lock()
			p.count[m.To]++
			p.mu.Unlock()
			if onSend != nil {
				onSend(m)
			}
		})},
		Now: p.cfg.Now, From: "no-reply@example.com", AppName: "IdeaEgg",
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

// sendFunc is a mail.Sender that always succeeds.
type sendFunc func(mail.Message)

func (f sendFunc) Send(_ context.Context, m mail.Message) error {
	f(m)
	return nil
}

func (p *post) delivered() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

// awaitRows waits until the outbox has n messages.
func (p *post) awaitRows(n int) {
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
	got := -1
	eventually(p.t, fmt.Sprintf("%d messages are in the outbox", n), patience, func() bool {
		if err := db.QueryRowContext(p.t.Context(), "SELECT COUNT(*) FROM outbox").Scan(&got); err != nil {
			p.t.Fatal(err)
		}
		return got == n
	})
}
