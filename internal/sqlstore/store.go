// Package sqlstore keeps users, sessions, one-time tokens and outgoing mail in SQLite or PostgreSQL.
// Both engines run the same statements; what differs is how they are opened and how they commit.
package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

// Config says which database to open: one of SQLitePath and PostgresURL.
type Config struct {
	// SQLitePath is the file of the embedded database; it is created if it is missing.
	SQLitePath string
	// PostgresURL is a postgres:// URL, also of several hosts, also of pgbouncer in transaction mode.
	PostgresURL string
	// KeepSchema leaves the schema as it is: an older one is refused with *OlderSchemaError.
	KeepSchema bool
	// ListenURL reaches the same PostgreSQL without a pooler, for LISTEN; empty: PostgresURL. Without LISTEN, other
	// nodes' changes are noticed a little later.
	ListenURL string
	// Cache is told of changes before they are acknowledged, and of other nodes' by Follow. Required.
	Cache Cache
	// Now reads the time. Required.
	Now func() time.Time
	// Logger is for trouble in the background; nil: slog.Default.
	Logger *slog.Logger
	// PlaceholderDomain is the domain of generated addresses, which are stored as their absence. Required.
	PlaceholderDomain string
}

// Cache is what must hear of changes; *auth.SessionCache is one.
type Cache interface {
	// Invalidate says that the user, or a session of theirs, has changed or ended.
	Invalidate(auth.UserID)
	// Confirm says that every change that was acknowledged before at has been passed to Invalidate.
	Confirm(at time.Time)
	// Clear says that changes may have been missed.
	Clear()
}

// Store is an auth.Store, and the outbox of package mail. It is safe for concurrent use.
type Store struct {
	engine      engine
	cache       Cache
	now         func() time.Time
	logger      *slog.Logger
	placeholder string
	changed     chan struct{} // Follow tells other nodes
}

var _ auth.Store = (*Store)(nil)

// Open opens the database and brings its schema up to date, unless KeepSchema is set. It returns a *NewerSchemaError if
// a later program has changed the schema already.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.PlaceholderDomain == "" {
		return nil, errors.New("sqlstore: no PlaceholderDomain")
	}
	if cfg.Cache == nil || cfg.Now == nil {
		return nil, errors.New("sqlstore: no Cache or no Now")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if (cfg.SQLitePath == "") == (cfg.PostgresURL == "") {
		return nil, errors.New("sqlstore: either SQLitePath or PostgresURL is needed")
	}
	e, err := openEngine(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: %w", err)
	}
	return &Store{
		engine: e, cache: cfg.Cache, now: cfg.Now, logger: cfg.Logger, placeholder: cfg.PlaceholderDomain,
		changed: make(chan struct{}, 1),
	}, nil
}

// openEngine opens the engine of a database whose schema fits.
func openEngine(ctx context.Context, cfg Config) (engine, error) {
	if cfg.PostgresURL == "" {
		if err := checkSchema(ctx, cfg); err != nil {
			return nil, err
		}
		return openSQLite(cfg.SQLitePath)
	}
	// At the same time: making a connection takes a server longer than the look at the schema.
	checked := make(chan error, 1)
	go func() { checked <- checkSchema(ctx, cfg) }()
	e, err := openPostgres(ctx, cfg.PostgresURL, cfg.ListenURL)
	if schemaErr := <-checked; schemaErr != nil {
		if err == nil {
			_ = e.close() // nothing was written
		}
		return nil, schemaErr
	}
	return e, err
}

// Close writes what was accepted and closes the database. Later calls return auth.ErrUnavailable.
func (s *Store) Close() error { return s.engine.close() }

// Ping returns nil if the database answers and can be locked for writing.
func (s *Store) Ping(ctx context.Context) error { return s.engine.ping(ctx) }

// micros is how times are stored: unix microseconds.
func micros(t time.Time) int64 { return t.UnixMicro() }

func fromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }

// nullable is the text as a parameter, NULL if it is empty.
func nullable[S ~string](text S) *string {
	if text == "" {
		return nil
	}
	v := string(text)
	return &v
}

// idOrNull is the id as a parameter, NULL if it is 0.
func idOrNull[ID ~int64](id ID) *int64 {
	if id == 0 {
		return nil
	}
	v := int64(id)
	return &v
}

func text(v *string) string {
	if v == nil {
		return ""
	}
	return *v
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// addressText is how addresses are stored; the zero Addr as "".
func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func parseAddress(s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return a
}

// change runs f in a write transaction that changes the user or ends sessions of theirs, and makes that known: to this
// node's cache before change returns, to the other nodes' with the commit.
func (s *Store) change(ctx context.Context, user auth.UserID, f func(context.Context, querier) error) error {
	defer s.cache.Invalidate(user) // also when it is not known whether it was committed
	err := s.engine.write(ctx, func(ctx context.Context, q querier) error {
		if err := f(ctx, q); err != nil {
			return err
		}
		return s.insertInvalidation(ctx, q, user)
	})
	s.tellOthers()
	return err
}

func (s *Store) insertInvalidation(ctx context.Context, q querier, user auth.UserID) error {
	return q.later(ctx, statement{doing: "insert invalidation", sql: insertInvalidation, args: []any{int64(user), micros(s.now())}})
}

// insertNothing writes a row that is about nobody, for what must not tell by its time whether it found anything to change:
// a transaction that wrote something waits for the disk when it is committed, one that wrote nothing does not.
func (s *Store) insertNothing(ctx context.Context, q querier) error {
	return s.insertInvalidation(ctx, q, 0)
}

// tellOthers has Follow wake the other nodes. It returns at once.
func (s *Store) tellOthers() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}
