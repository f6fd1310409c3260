package sqlstore_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

// TestWritesTakeFewTrips: a node's database is usually another machine, so what a write costs is how often it waits for an
// answer: once, and once more where something must be known before COMMIT.
func TestWritesTakeFewTrips(t *testing.T) {
	t.Parallel()
	network := newWire(t, dbtest.Postgres(t), 0)
	store := open(t, network.config)
	for _, w := range writes {
		do := w.prepare(t, store)
		least := int64(1000) // of some: the first one has the statements described, and an idle connection may be looked at
		for range 4 {
			before := network.trips.Load()
			must(t, do())
			least = min(least, network.trips.Load()-before)
		}
		if least != w.trips {
			t.Errorf("%s takes %d trips to the database and back, want %d", w.name, least, w.trips)
		}
	}
}

// BenchmarkWritesAtADistance has the database a millisecond away, there and back.
func BenchmarkWritesAtADistance(b *testing.B) {
	store := open(b, newWire(b, dbtest.Postgres(b), time.Millisecond/2).config)
	for _, w := range writes {
		b.Run(w.name, func(b *testing.B) {
			do := w.prepare(b, store)
			for b.Loop() {
				must(b, do())
			}
		})
	}
}

// writes are what is written most often, and how many trips each takes.
var writes = []struct {
	name    string
	trips   int64
	prepare func(testing.TB, *sqlstore.Store) (do func() error)
}{
	{"a guest", 1, func(_ testing.TB, s *sqlstore.Store) func() error {
		return func() error {
			_, err := s.CreateUser(context.Background(), newGuest())
			return err
		}
	}},
	{"a guest with a key", 2, func(_ testing.TB, s *sqlstore.Store) func() error {
		return func() error {
			n := newGuest()
			n.Key = &auth.GuestKey{ExpiresAt: noon.Add(time.Hour)}
			_, _ = rand.Read(n.Key.Hash[:])
			_, err := s.CreateUser(context.Background(), n)
			return err
		}
	}},
	{"sign-up", 2, func(_ testing.TB, s *sqlstore.Store) func() error {
		return func() error {
			n := newUser("trip-" + rand.Text())
			n.Mail = letter(auth.MailVerifyEmail, n.Email.Address)
			_, err := s.CreateUser(context.Background(), n)
			return err
		}
	}},
	{"sign-in", 2, func(t testing.TB, s *sqlstore.Store) func() error {
		user, n := newMember(t, s)
		lane := auth.UserLanes(user.ID)[0]
		return func() error {
			_, err := s.CreateSession(context.Background(), auth.SignIn{
				UserID: user.ID, Verified: &n.PasswordHash, Session: newGuest().Session, Lane: &lane,
				NewDevice: letter(auth.MailNewDevice, user.Email),
			})
			return err
		}
	}},
	{"a guest who signs out again", 3, func(t testing.TB, s *sqlstore.Store) func() error {
		return func() error {
			n := newGuest()
			user, err := s.CreateUser(context.Background(), n) // one trip
			must(t, err)
			return s.RevokeSession(context.Background(), user.ID, n.Session.ID)
		}
	}},
	{"a new password", 2, func(t testing.TB, s *sqlstore.Store) func() error {
		user, n := newMember(t, s)
		return func() error {
			_, err := s.ChangePassword(context.Background(), auth.PasswordChange{
				UserID: user.ID, Verified: n.PasswordHash, New: n.PasswordHash, Now: noon, Session: newGuest().Session,
			})
			return err
		}
	}},
	{"200 uses of sessions", 1, func(t testing.TB, s *sqlstore.Store) func() error {
		var uses []auth.SessionUse
		for range 200 {
			n := newGuest()
			_, err := s.CreateUser(context.Background(), n)
			must(t, err)
			uses = append(uses, auth.SessionUse{ID: n.Session.ID})
		}
		at := noon
		return func() error {
			at = at.Add(time.Hour)
			for i := range uses {
				uses[i].UsedAt, uses[i].ExpiresAt = at, at.Add(time.Hour)
			}
			return s.TouchSessions(context.Background(), uses)
		}
	}},
	{"50 audit events", 1, func(_ testing.TB, s *sqlstore.Store) func() error {
		events := make([]auth.AuditEvent, 50)
		for i := range events {
			events[i] = auth.AuditEvent{Kind: auth.AuditSignIn, Outcome: auth.AuditOK, At: noon, UserID: 1}
		}
		return func() error { return s.AppendAuditEvents(context.Background(), events) }
	}},
}

func newMember(t testing.TB, s *sqlstore.Store) (auth.User, auth.NewUser) {
	t.Helper()
	n := newUser("member-" + rand.Text())
	user, err := s.CreateUser(context.Background(), n)
	must(t, err)
	return user, n
}

func letter(kind auth.MailKind, to string) *auth.OutboxMessage {
	return &auth.OutboxMessage{Kind: kind, Recipient: to, QueuedAt: noon, NotAfter: noon.Add(time.Hour)}
}

// wire is the way to a database server. It counts trips: how often the server has said that it waits for the next
// statement (PostgreSQL's manual, chapter 55, ReadyForQuery).
type wire struct {
	config sqlstore.Config // of the database at its end
	delay  time.Duration   // each way
	trips  atomic.Int64
}

func newWire(t testing.TB, to sqlstore.Config, delay time.Duration) *wire {
	t.Helper()
	u, err := url.Parse(to.PostgresURL)
	must(t, err)
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	must(t, err)
	server := u.Host
	u.Host = listener.Addr().String()
	w := &wire{config: to, delay: delay}
	w.config.PostgresURL = u.String()
	var carrying sync.WaitGroup
	carrying.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			carrying.Go(func() { w.carry(client, server) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		carrying.Wait() // the store was closed before
	})
	return w
}

func (w *wire) carry(client net.Conn, address string) {
	defer client.Close()
	server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", address)
	if err != nil {
		return
	}
	var asking sync.WaitGroup
	defer asking.Wait()
	defer server.Close()
	asking.Go(func() {
		defer server.Close()
		b := make([]byte, 64<<10)
		for {
			n, err := client.Read(b)
			if err != nil {
				return
			}
			time.Sleep(w.delay)
			if _, err := server.Write(b[:n]); err != nil {
				return
			}
		}
	})
	w.carryAnswers(client, bufio.NewReaderSize(server, 64<<10))
	client.Close()
}

// carryAnswers carries whole messages: a byte for their kind, and their length, which counts itself.
func (w *wire) carryAnswers(client io.Writer, server *bufio.Reader) {
	for {
		alone := server.Buffered() == 0
		head, err := server.Peek(5)
		if err != nil {
			return
		}
		if alone {
			time.Sleep(w.delay)
		}
		if head[0] == 'Z' {
			w.trips.Add(1)
		}
		if _, err := io.CopyN(client, server, 1+int64(binary.BigEndian.Uint32(head[1:]))); err != nil {
			return
		}
	}
}
