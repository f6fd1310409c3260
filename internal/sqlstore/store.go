// Package sqlstore keeps users, sessions, one-time tokens and outgoing mail in SQLite or PostgreSQL.
// Both engines run the same statements; what differs is how they are opened and how they commit.
package sqlstore

import (
	"context"
	"errors"
	"fmt"
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
	// PlaceholderDomain is the domain of generated addresses, which are stored as their absence. Required.
	PlaceholderDomain string
}

// Store is an auth.Store, and the outbox of package mail. It is safe for concurrent use.
type Store struct {
	engine      engine
	placeholder string
}

var _ auth.Store = (*Store)(nil)

// Open opens the database and brings its schema up to date. It returns a *NewerSchemaError if a later program has
// changed the schema already.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.PlaceholderDomain == "" {
		return nil, errors.New("sqlstore: no PlaceholderDomain")
	}
	if (cfg.SQLitePath == "") == (cfg.PostgresURL == "") {
		return nil, errors.New("sqlstore: either SQLitePath or PostgresURL is needed")
	}
	var e engine
	var err error
	if cfg.PostgresURL != "" {
		e, err = openPostgres(ctx, cfg.PostgresURL)
	} else {
		e, err = openSQLite(ctx, cfg.SQLitePath)
	}
	if err != nil {
		return nil, fmt.Errorf("sqlstore: %w", err)
	}
	return &Store{engine: e, placeholder: cfg.PlaceholderDomain}, nil
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

// writeUser runs f in a write transaction and returns the user that it returned.
func (s *Store) writeUser(ctx context.Context, f func(context.Context, querier) (auth.User, error)) (auth.User, error) {
	var user auth.User
	err := s.engine.write(ctx, func(ctx context.Context, q querier) (err error) {
		user, err = f(ctx, q)
		return err
	})
	if err != nil {
		return auth.User{}, err
	}
	return user, nil
}
