package mail_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/mail"
	"github.com/ideaegg/latchkey/internal/passhash"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

// house is a whole service with a database of its own, but for the mail's way out.
type house struct {
	t       *testing.T
	clock   *clock
	store   *sqlstore.Store
	service *auth.Service
	waker   mail.Waker
	log     *syncBuffer
	john    auth.User

	composed atomic.Int64
	outbox   mail.Outbox // the store, unless a test puts something before it
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, clock: &clock{now: time.Date(2026, 6, 6, 14, 20, 57, 0, time.UTC)}, waker: mail.NewWaker(), log: new(syncBuffer)}
	cfg := dbtest.SQLite(t)
	cache := auth.NewSessionCache()
	cfg.Now, cfg.Cache = h.clock.Now, cache
	var err error
	if h.store, err = sqlstore.Open(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.store.Close() })
	h.outbox = h.store
	hasher, err := passhash.New(passhash.Config{Params: passhash.Params{MemoryKiB: 8, Passes: 1, Lanes: 1}, MaxWait: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hasher.Close() })
	h.service, err = auth.New(auth.Config{
		Store: h.store, Identities: h.store, Codes: h.store, SignUps: h.store, Limits: h.store, AuditLog: h.store, Cache: cache, Hasher: hasher, Mailer: h.waker, Logger: slog.New(slog.DiscardHandler), Now: h.clock.Now,
		PublicURL: "https://accounts.example.com", PlaceholderDomain: dbtest.PlaceholderDomain, PasswordMinLength: 8,
		SessionIdle: time.Hour, GuestIdle: time.Hour, AuditKeep: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	signedIn, err := h.service.SignUp(t.Context(), auth.SignUp{
		Username: "john", Email: "john@example.org", Password: "rice-and-beans", PasswordConfirmation: "rice-and-beans",
	}, nil, auth.Origin{Language: auth.English})
	if err != nil {
		t.Fatal(err)
	}
	h.john = signedIn.User
	// What signing up queues is not part of these tests.
	for _, m := range h.lease() {
		if err := h.store.RemoveMail(t.Context(), m.ID); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// lease returns up to 1,000 messages that are due and makes them due again in a second.
func (h *house) lease() []auth.OutboxMessage {
	h.t.Helper()
	list, err := h.store.LeaseMail(h.t.Context(), h.clock.Now(), h.clock.Now().Add(time.Second), 1000)
	if err != nil {
		h.t.Fatal(err)
	}
	return list
}

// notify queues a notice to john that tells its number by the address of whoever did what it is about.
func (h *house) notify(n int) {
	h.t.Helper()
	h.queue(auth.OutboxMessage{Kind: auth.MailPasswordChanged, UserID: h.john.ID, Recipient: h.john.Email, Origin: auth.Origin{Address: address(n), Language: auth.English}})
}

func address(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 77, byte(n >> 8), byte(n)}) }

func (h *house) queue(m auth.OutboxMessage) {
	h.t.Helper()
	m.QueuedAt = h.clock.Now()
	if m.NotAfter.IsZero() {
		m.NotAfter = m.QueuedAt.Add(30 * time.Minute)
	}
	if _, err := h.store.QueueMail(h.t.Context(), m); err != nil {
		h.t.Fatal(err)
	}
	h.waker.Wake()
}

// ComposeLetter implements mail.Composer and counts.
func (h *house) ComposeLetter(ctx context.Context, m auth.OutboxMessage) (auth.Letter, error) {
	h.composed.Add(1)
	return h.service.ComposeLetter(ctx, m)
}

// start runs a worker until the test ends, or until stop, which waits for it.
func (h *house) start(senders ...mail.Sender) (stop func()) {
	return h.startWith(h.waker, senders...)
}

func (h *house) startWith(waker mail.Waker, senders ...mail.Sender) (stop func()) {
	h.t.Helper()
	w, err := mail.New(mail.Config{
		Outbox: h.outbox, Composer: h, Senders: senders, From: "IdeaEgg <no-reply@accounts.example.com>", AppName: "IdeaEgg",
		Now: h.clock.Now, Logger: slog.New(slog.NewTextHandler(h.log, nil)),
	}, waker)
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	h.t.Cleanup(stop)
	return stop
}

// advance moves the clock and has the worker look.
func (h *house) advance(d time.Duration) {
	h.clock.advance(d)
	h.waker.Wake()
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

const patience = 20 * time.Second

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("got no %s in %v", what, patience)
		}
	}
}

// never fails if the condition holds within a moment: long enough for what would happen at once.
func never(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(150 * time.Millisecond); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if condition() {
			t.Fatalf("got %s, want none", what)
		}
	}
}

// notes is an outbox that remembers what it was told and has taken in, and can fail.
type notes struct {
	mail.Outbox

	mu      sync.Mutex
	removed []auth.MessageID
	retried []time.Time
	reasons []string // of RetryMail
	failed  []string // of FailMail
	busy    int      // leased and not noted
	leased  int      // most of them at once
	refuse  error    // what RemoveMail returns
}

func (n *notes) LeaseMail(ctx context.Context, now, until time.Time, limit int) ([]auth.OutboxMessage, error) {
	list, err := n.Outbox.LeaseMail(ctx, now, until, limit)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.busy += len(list)
	n.leased = max(n.leased, n.busy)
	return list, err
}

func (n *notes) RemoveMail(ctx context.Context, id auth.MessageID) error {
	n.mu.Lock()
	err := n.refuse
	n.mu.Unlock()
	if err == nil {
		err = n.Outbox.RemoveMail(ctx, id)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.busy--
	if err == nil {
		n.removed = append(n.removed, id)
	}
	return err
}

func (n *notes) RetryMail(ctx context.Context, id auth.MessageID, at time.Time, why string) error {
	err := n.Outbox.RetryMail(ctx, id, at, why)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.busy--
	n.retried, n.reasons = append(n.retried, at), append(n.reasons, why)
	return err
}

func (n *notes) FailMail(ctx context.Context, id auth.MessageID, why string) error {
	err := n.Outbox.FailMail(ctx, id, why)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.busy--
	n.failed = append(n.failed, why)
	return err
}

func (n *notes) refuseRemoval(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refuse = err
}

// told returns what the outbox was told until now.
func (n *notes) told() notes {
	n.mu.Lock()
	defer n.mu.Unlock()
	return notes{removed: slices.Clone(n.removed), retried: slices.Clone(n.retried), reasons: slices.Clone(n.reasons), failed: slices.Clone(n.failed), leased: n.leased}
}

var numberPattern = regexp.MustCompile(` from 10\.77\.(\d+)\.(\d+)\r\n`)

// numbers counts the notices that a server got, by number.
func numbers(t *testing.T, list []envelope, n int) (counts []int) {
	t.Helper()
	counts = make([]int, n)
	for _, m := range list {
		found := numberPattern.FindStringSubmatch(m.text)
		if found == nil {
			t.Fatalf("got no number in %s", m.text)
		}
		high, _ := strconv.Atoi(found[1])
		low, _ := strconv.Atoi(found[2])
		counts[high<<8|low]++
	}
	return counts
}

// isNumber3 says whether raw is the notice of this number.
func isNumber3(raw string) bool { return strings.Contains(raw, " from 10.77.0.3\r\n") }

func TestEveryMessageIsSentOnce(t *testing.T) {
	t.Parallel()
	const messages, workers = 500, 4
	h := newHouse(t)
	server := startServer(t, serverOptions{})
	for i := range messages {
		h.notify(i)
	}
	seen := &notes{Outbox: h.store}
	h.outbox = seen
	for range workers {
		h.startWith(mail.NewWaker(), newSMTP(t, local(server.port)))
	}
	eventually(t, "end of the outbox", func() bool { return len(seen.told().removed) >= messages })
	for n, count := range numbers(t, server.received(), messages) {
		if count != 1 {
			t.Errorf("got message %d sent %d times, want once", n, count)
		}
	}
	if most := server.mostConnections(); most > 8*workers {
		t.Errorf("got %d connections at once, want 8 a worker at most", most)
	}
	if told := seen.told(); told.leased > 8*workers {
		t.Errorf("got %d messages leased at once, want no more than are under way", told.leased)
	}
}

func TestRetriesWaitLongerEachTime(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var refusals atomic.Int64
	refusals.Store(9)
	server := startServer(t, serverOptions{Rcpt: func(string) error {
		if refusals.Add(-1) >= 0 {
			return reply(451, "try later")
		}
		return nil
	}})
	seen := &notes{Outbox: h.store}
	h.outbox = seen
	h.start(newSMTP(t, local(server.port)))
	h.queue(auth.OutboxMessage{Kind: auth.MailPasswordChanged, UserID: h.john.ID, Recipient: h.john.Email, NotAfter: h.clock.Now().Add(24 * time.Hour)})
	for i, wait := range []time.Duration{5, 10, 20, 40, 80, 160, 300, 300, 300} {
		wait *= time.Second
		eventually(t, "refusal", func() bool { return len(seen.told().retried) == i+1 })
		if told := seen.told(); told.retried[i].Sub(h.clock.Now()) != wait || told.reasons[i] != "RCPT TO: 451 4.1.1 try later" {
			t.Fatalf("got retry %d in %v (%s), want it in %v", i, told.retried[i].Sub(h.clock.Now()), told.reasons[i], wait)
		}
		h.advance(wait - time.Microsecond)
		if i < 2 {
			never(t, "early retry", func() bool { return refusals.Load() < int64(8-i) })
		}
		h.advance(time.Microsecond)
	}
	eventually(t, "message", func() bool { return len(server.received()) == 1 && len(seen.told().removed) == 1 })
	if left := h.lease(); len(left) != 0 {
		t.Errorf("got %v left in the outbox, want nothing", left)
	}
}

func TestPermanentRefusalIsRecordedOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	server := startServer(t, serverOptions{Rcpt: func(to string) error { return reply(550, to+" is unknown") }})
	seen := &notes{Outbox: h.store}
	h.outbox = seen
	h.start(newSMTP(t, local(server.port)))
	h.notify(1)
	eventually(t, "refusal", func() bool { return len(seen.told().failed) == 1 })
	if got := seen.told().failed[0]; got != "RCPT TO: 550 5.1.1 [recipient] is unknown" {
		t.Errorf("got reason %q", got)
	}
	h.advance(time.Hour)
	never(t, "second attempt", func() bool { return h.composed.Load() > 1 })
	if log := h.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "mail refused") || strings.Contains(log, "john") {
		t.Errorf("got log %q, want one line without the address", log)
	}
}

func TestNothingIsSentTooLate(t *testing.T) {
	t.Parallel()
	t.Run("a message that waited too long", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		server := startServer(t, serverOptions{})
		seen := &notes{Outbox: h.store}
		h.outbox = seen
		h.notify(1)
		h.clock.advance(30 * time.Minute)
		h.start(newSMTP(t, local(server.port)))
		eventually(t, "note", func() bool { return len(seen.told().failed) == 1 })
		if got := seen.told().failed[0]; !strings.HasPrefix(got, "not sent before it was too late") {
			t.Errorf("got reason %q", got)
		}
		if len(server.received()) != 0 || h.composed.Load() != 0 {
			t.Error("got it composed or sent")
		}
	})
	t.Run("a message that waits for the server until it is too late", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		const left = 300 * time.Millisecond
		server := startServer(t, serverOptions{Rcpt: func(string) error {
			time.Sleep(2 * left)
			h.clock.advance(left)
			return nil
		}})
		seen := &notes{Outbox: h.store}
		h.outbox = seen
		h.start(newSMTP(t, local(server.port)))
		h.queue(auth.OutboxMessage{Kind: auth.MailPasswordChanged, UserID: h.john.ID, Recipient: h.john.Email, NotAfter: h.clock.Now().Add(left)})
		eventually(t, "note", func() bool { return len(seen.told().failed) == 1 })
		if len(server.received()) != 0 {
			t.Error("got it sent")
		}
		if strings.Contains(h.log.String(), "no mail can be sent") {
			t.Errorf("got log %s, want no trouble of the server's", h.log)
		}
	})
	t.Run("one last attempt is made shortly before", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		server := startServer(t, serverOptions{Rcpt: func(string) error { return reply(451, "later") }})
		seen := &notes{Outbox: h.store}
		h.outbox = seen
		h.start(newSMTP(t, local(server.port)))
		end := h.clock.Now().Add(time.Minute)
		h.queue(auth.OutboxMessage{Kind: auth.MailPasswordChanged, UserID: h.john.ID, Recipient: h.john.Email, NotAfter: end})
		for i, want := range []time.Duration{5, 15, 35, 50} { // the next would be at 75
			eventually(t, "refusal", func() bool { return len(seen.told().retried) == i+1 })
			if got := seen.told().retried[i]; !got.Equal(end.Add(want*time.Second - time.Minute)) {
				t.Fatalf("got retry %d at %v, want it after %d s", i, got, want)
			}
			h.advance(seen.told().retried[i].Sub(h.clock.Now()))
		}
		eventually(t, "note", func() bool { return len(seen.told().failed) == 1 })
		if got := seen.told().failed[0]; got != "not sent before it was too late; RCPT TO: 451 4.1.1 later" {
			t.Errorf("got reason %q", got)
		}
	})
}

// A worker that dies leaves behind what it had under way: sent, but not noted. Who takes it up sends it again, once.
func TestCrashDoublesOnlyWhatWasUnderWay(t *testing.T) {
	t.Parallel()
	const messages = 60
	h := newHouse(t)
	for i := range messages {
		h.notify(i)
	}
	var sent atomic.Int64
	dead := make(chan struct{})
	server := startServer(t, serverOptions{Data: func(string) error {
		if sent.Add(1) == 20 {
			close(dead)
		}
		return nil
	}})
	// From the moment of its death nothing that the worker does reaches the database.
	h.outbox = &crashing{Outbox: h.store, dead: dead}
	stop := h.start(newSMTP(t, local(server.port)))
	<-dead
	stop()
	before := len(server.received())

	seen := &notes{Outbox: h.store}
	h.outbox = seen
	h.clock.advance(2 * time.Minute)
	left := len(h.lease())
	h.clock.advance(time.Second)
	h.start(newSMTP(t, local(server.port)))
	// The clock must not run past the lease of what is still under way, or that is sent once more.
	eventually(t, "end of the outbox", func() bool { return len(seen.told().removed) == left })
	h.advance(10 * time.Minute)
	never(t, "third copy", func() bool { return len(server.received()) > messages+8 })
	doubled := 0
	for n, count := range numbers(t, server.received(), messages) {
		if count < 1 || count > 2 {
			t.Errorf("got message %d sent %d times, want once or twice", n, count)
		}
		doubled += count - 1
	}
	if doubled == 0 || doubled > 8 {
		t.Errorf("got %d messages sent twice, %d before the crash, want one for each of the 8 that were under way at most", doubled, before)
	}
}

type crashing struct {
	mail.Outbox
	dead chan struct{}
}

var errDead = errors.New("the process is dead")

func (c *crashing) LeaseMail(ctx context.Context, now, until time.Time, limit int) ([]auth.OutboxMessage, error) {
	select {
	case <-c.dead:
		return nil, errDead
	default:
		return c.Outbox.LeaseMail(ctx, now, until, limit)
	}
}

func (c *crashing) RemoveMail(ctx context.Context, id auth.MessageID) error {
	select {
	case <-c.dead:
		return errDead
	default:
		return c.Outbox.RemoveMail(ctx, id)
	}
}

func (c *crashing) RetryMail(context.Context, auth.MessageID, time.Time, string) error {
	return errDead
}

func (c *crashing) FailMail(context.Context, auth.MessageID, string) error { return errDead }

// What was sent is not sent again because the database did not take the note of it.
func TestSentMessagesAreNotSentAgainWhenTheDatabaseFails(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	server := startServer(t, serverOptions{})
	seen := &notes{Outbox: h.store}
	seen.refuseRemoval(fmt.Errorf("remove: %w", auth.ErrUnavailable))
	h.outbox = seen
	h.start(newSMTP(t, local(server.port)))
	h.notify(1)
	eventually(t, "complaint", func() bool { return strings.Contains(h.log.String(), "outbox cannot be told") })
	h.advance(2 * time.Minute) // its lease is over
	eventually(t, "second complaint", func() bool { return strings.Count(h.log.String(), "outbox cannot be told") == 2 })
	seen.refuseRemoval(nil)
	h.advance(2 * time.Minute)
	eventually(t, "note", func() bool { return len(seen.told().removed) == 1 })
	if n := len(server.received()); n != 1 || h.composed.Load() != 1 {
		t.Errorf("got it composed %d times and sent %d times, want once", h.composed.Load(), n)
	}
}

func TestMessagesToNobodyAreForgotten(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	server := startServer(t, serverOptions{})
	seen := &notes{Outbox: h.store}
	h.outbox = seen
	h.start(newSMTP(t, local(server.port)))
	if err := h.service.RequestReset(t.Context(), "nobody@example.org", auth.Origin{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "note", func() bool { return len(seen.told().removed) == 1 })
	if len(server.received()) != 0 || h.log.String() != "" {
		t.Errorf("got %v sent and log %q, want neither", server.received(), h.log)
	}
}

// When the process is asked to end, what is under way is finished, and nothing else is begun.
func TestRunFinishesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	begun, goOn := make(chan struct{}, 100), make(chan struct{})
	server := startServer(t, serverOptions{Data: func(string) error {
		begun <- struct{}{}
		<-goOn
		return nil
	}})
	seen := &notes{Outbox: h.store}
	h.outbox = seen
	for i := range 40 {
		h.notify(i)
	}
	stop := h.start(newSMTP(t, local(server.port)))
	<-begun // the first one is alone until it is known that mail goes out
	time.AfterFunc(300*time.Millisecond, func() { close(goOn) })
	stop()
	if sent, told := len(server.received()), seen.told(); sent != 1 || len(told.removed) != 1 {
		t.Errorf("got %d sent and %d noted, want the one that was under way", sent, len(told.removed))
	}
}

// A server that does not answer holds up the end for no longer than is said.
func TestRunEndsWhileAServerIsSilent(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	reached := make(chan struct{}, 1)
	var probes atomic.Int64
	port := startScript(t, func(ctx context.Context, conn net.Conn) {
		if probes.Add(1) == 1 {
			say(conn, "220 hi", "250 hi", "221 bye")
			return
		}
		reached <- struct{}{}
		silenceAfterContent(ctx, conn)
	})
	seen := &notes{Outbox: h.store}
	h.outbox = seen
	h.notify(1)
	stop := h.start(newSMTP(t, local(port)))
	<-reached
	begun := time.Now()
	stop()
	if took := time.Since(begun); took > 7*time.Second {
		t.Errorf("got Run back after %v, want it after 5 s", took)
	}
	if told := seen.told(); len(told.removed)+len(told.retried)+len(told.failed) != 0 {
		t.Error("got the message noted, want it left leased: nobody knows how far it got")
	}
}

// deadServers are those to which no mail can be sent.
func deadServers(t *testing.T) map[string]int {
	return map[string]int{
		"refusing":  closedPort(t),
		"silent":    startScript(t, silence),
		"dribbling": startScript(t, dribble),
		"dying":     startScript(t, func(_ context.Context, conn net.Conn) { say(conn, "220 hi", "250 hi") }),
		"dying over every message": startScript(t, func(_ context.Context, conn net.Conn) {
			say(conn, "220 hi", "250 hi", "250 ok", "250 ok", "354 go")
		}),
		"busy": startScript(t, func(_ context.Context, conn net.Conn) { say(conn, "421 too many connections") }),
	}
}

// Whatever the mail server does, asking for a reset costs an insert, and what waits costs nothing.
func TestDeadServersAreNotFelt(t *testing.T) {
	t.Parallel()
	type patient struct {
		*house
		slowest           time.Duration
		dials, open, most atomic.Int64
	}
	patients := make(map[string]*patient)
	before := runtime.NumGoroutine()
	for name, port := range deadServers(t) {
		p := &patient{house: newHouse(t)}
		patients[name] = p
		cfg := local(port)
		cfg.SendTimeout = 500 * time.Millisecond
		cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			p.dials.Add(1)
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			p.most.Store(max(p.most.Load(), p.open.Add(1)))
			return &countedConn{conn, sync.OnceFunc(func() { p.open.Add(-1) })}, nil
		}
		p.start(newSMTP(t, cfg))
		for range 100 {
			begun := time.Now()
			if err := p.service.RequestReset(t.Context(), "john@example.org", auth.Origin{Language: auth.English}); err != nil {
				t.Fatal(err)
			}
			p.slowest = max(p.slowest, time.Since(begun))
		}
	}
	time.Sleep(2 * time.Second)
	grown := runtime.NumGoroutine() - before
	for name, p := range patients {
		if p.slowest > time.Second {
			t.Errorf("%s: got a request that took %v, want milliseconds", name, p.slowest)
		}
		// The dying ones let us in, so that a message is tried now and then; three at first, if it dies over those.
		if n := p.composed.Load(); n > 8 || !strings.HasPrefix(name, "dying") && n > 0 {
			t.Errorf("%s: got %d messages composed that cannot go out", name, n)
		}
		if n := p.dials.Load(); n == 0 || n > 16 {
			t.Errorf("%s: got %d connections tried, want a few", name, n)
		}
		if n := p.most.Load(); n > 1 {
			t.Errorf("%s: got %d connections at once, want one", name, n)
		}
		if log := p.log.String(); !strings.Contains(log, "level=ERROR") || strings.Count(log, "\n") > 16 {
			t.Errorf("%s: got log\n%s, want an error for the operator, and not many", name, log)
		}
	}
	if grown > 60*len(patients) { // of other tests, too
		t.Errorf("got %d goroutines more", grown)
	}
}

// Once the server is back, what waited goes out soon.
func TestMailGoesOutSoonAfterAnOutage(t *testing.T) {
	t.Parallel()
	const messages = 50
	h := newHouse(t)
	port := closedPort(t)
	h.start(newSMTP(t, local(port)))
	for i := range messages {
		h.notify(i)
	}
	eventually(t, "complaint", func() bool { return strings.Contains(h.log.String(), "no mail can be sent") })
	if h.composed.Load() != 0 {
		t.Errorf("got %d messages composed, want none", h.composed.Load())
	}
	server := startServerOn(t, serverOptions{}, fmt.Sprintf("127.0.0.1:%d", port))
	begun := time.Now()
	eventually(t, "message each", func() bool { return len(server.received()) == messages })
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("got the messages after %v, want them soon", took)
	}
	if log := h.log.String(); !strings.Contains(log, "mail can be sent again") || strings.Count(log, "\n") != 2 {
		t.Errorf("got log\n%s, want a line each for the beginning and the end", log)
	}
}

// An outage that begins while many messages are under way wastes no more than those.
func TestOutageStopsTheRest(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var down atomic.Bool
	server := startServer(t, serverOptions{Mail: func(string) error {
		if down.Load() {
			return reply(421, "shutting down")
		}
		return nil
	}})
	for i := range 20 {
		h.notify(i)
	}
	seen := &notes{Outbox: h.store}
	h.outbox = seen
	h.start(newSMTP(t, local(server.port)))
	eventually(t, "first messages", func() bool { return len(server.received()) == 20 })
	down.Store(true)
	composed := h.composed.Load()
	for i := range 100 {
		h.notify(20 + i)
	}
	time.Sleep(1500 * time.Millisecond)
	if n := h.composed.Load() - composed; n > 8+2 { // and one after each of two probes
		t.Errorf("got %d messages composed during the outage, want those that were under way, and one now and then", n)
	}
	down.Store(false)
	h.advance(time.Minute)
	eventually(t, "the rest", func() bool {
		h.waker.Wake()
		return len(server.received()) == 120
	})
	for n, count := range numbers(t, server.received(), 120) {
		if count != 1 {
			t.Errorf("got message %d sent %d times, want once", n, count)
		}
	}
}

// One address whose mail breaks the connection does not stop the mail of all.
func TestOneMessageThatBreaksTheConnectionIsNoOutage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	server := startServer(t, serverOptions{Data: func(text string) error {
		if isNumber3(text) {
			return reply(421, "I did not like that")
		}
		return nil
	}})
	for i := range 30 {
		h.notify(i)
	}
	h.start(newSMTP(t, local(server.port)))
	eventually(t, "other messages", func() bool { return len(server.received()) == 29 })
	if log := h.log.String(); strings.Contains(log, "no mail can be sent") || !strings.Contains(log, "mail not sent") {
		t.Errorf("got log %s, want the trouble of one message alone", log)
	}
}

// An operator must change the password; meanwhile messages wait, and the account is not knocked at all the time.
func TestWrongPasswordIsTheOperatorsTrouble(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var attempts atomic.Int64
	port := startScript(t, func(_ context.Context, conn net.Conn) {
		attempts.Add(1)
		say(conn, "220 hi", "250-hi\r\n250 AUTH PLAIN", "535 5.7.8 no")
	})
	cfg := local(port)
	cfg.User, cfg.Password = user, password
	h.start(newSMTP(t, cfg))
	if err := h.service.RequestReset(t.Context(), "john@example.org", auth.Origin{}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	if attempts.Load() != 1 || h.composed.Load() != 0 {
		t.Errorf("got %d sign-ins and %d messages composed, want one and none", attempts.Load(), h.composed.Load())
	}
	if log := h.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "AUTH PLAIN: 535 5.7.8 no") {
		t.Errorf("got log %q, want one error", log)
	}
	if left := h.lease(); len(left) != 1 || left[0].Attempts != 1 {
		t.Errorf("got %v waiting, want the message, never tried", left)
	}
}

// Messages under way are bounded also when a server is slow, and one slow message does not hold up the others.
func TestSlowRecipientsDoNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	release := make(chan struct{})
	server := startServer(t, serverOptions{Data: func(text string) error {
		if isNumber3(text) {
			<-release
		}
		return nil
	}})
	for i := range 30 {
		h.notify(i)
	}
	h.start(newSMTP(t, local(server.port)))
	eventually(t, "other messages", func() bool { return len(server.received()) == 29 })
	close(release)
	eventually(t, "slow one", func() bool { return len(server.received()) == 30 })
	if most := server.mostConnections(); most > 8 {
		t.Errorf("got %d connections at once, want 8 at most", most)
	}
}

// No link, code, password or address gets into the log, whatever the server quotes.
func TestLogsAndNotesKeepSecrets(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var mu sync.Mutex
	var secrets []string
	server := startServer(t, serverOptions{Data: func(raw string) error {
		text, _ := parts(t, raw)
		_, after, _ := strings.Cut(text, "token=")
		token, _, _ := strings.Cut(after, "\n")
		_, after, _ = strings.Cut(text, "in the app: ")
		code, _, _ := strings.Cut(after, "\n")
		mu.Lock()
		defer mu.Unlock()
		secrets = append(secrets, token, code)
		return reply(451, "suspicious: https://accounts.example.com/account/reset_password?token="+token+" "+token+" "+code+" for john@example.org")
	}})
	seen := &notes{Outbox: h.store}
	h.outbox = seen
	h.start(newSMTP(t, local(server.port)))
	if err := h.service.RequestReset(t.Context(), "john@example.org", auth.Origin{Language: auth.English}); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		eventually(t, "refusal", func() bool { return len(seen.told().reasons) == i+1 })
		h.advance(time.Minute)
	}
	all := h.log.String() + strings.Join(seen.told().reasons, "\n")
	mu.Lock()
	defer mu.Unlock()
	if len(secrets) < 6 || len(secrets[0]) != 32 || len(secrets[1]) != 8 {
		t.Fatalf("got secrets %q, want some", secrets)
	}
	for _, secret := range append(secrets, "john@") {
		if strings.Contains(all, secret) {
			t.Errorf("got %q in\n%s", secret, all)
		}
	}
}

// Every sender gets each message, and all that was said holds for folders and inboxes.
func TestWorkerWritesToFolderAndInbox(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	path := t.TempDir()
	dir, err := mail.NewDir(path)
	if err != nil {
		t.Fatal(err)
	}
	inbox := new(mail.Inbox)
	h.start(dir, inbox)
	if err := h.service.RequestReset(t.Context(), "john@example.org", auth.Origin{Language: auth.SimplifiedChinese}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "message", func() bool { return len(inbox.List()) == 1 })
	m := inbox.List()[0]
	if m.To != "john@example.org" || m.Subject != "重置您的 IdeaEgg 密码" || m.From != "IdeaEgg <no-reply@accounts.example.com>" ||
		len(m.Code) != 8 || !strings.Contains(m.Text, "\n"+m.Link+"\n") || !strings.Contains(m.HTML, m.Code.Reveal()) || !m.Date.Equal(h.clock.Now()) {
		t.Errorf("got %#v", m)
	}
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	full := mail.Config{Outbox: &notes{}, Composer: &house{}, Senders: []mail.Sender{new(mail.Inbox)}, From: "a@example.com", AppName: "A", Now: time.Now}
	if _, err := mail.New(full, mail.NewWaker()); err != nil {
		t.Fatal(err)
	}
	for name, drop := range map[string]func(*mail.Config){
		"Outbox": func(c *mail.Config) { c.Outbox = nil }, "Composer": func(c *mail.Config) { c.Composer = nil },
		"Senders": func(c *mail.Config) { c.Senders = nil }, "From": func(c *mail.Config) { c.From = "" },
		"AppName": func(c *mail.Config) { c.AppName = "" }, "Now": func(c *mail.Config) { c.Now = nil },
	} {
		cfg := full
		drop(&cfg)
		if _, err := mail.New(cfg, mail.NewWaker()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got error %v, want one about %s", err, name)
		}
	}
}
