package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

//go:embed migrations
var migrationFiles embed.FS

// Schema compares the schema of a database with the program's. Versions count from 1; 0 is an empty database.
type Schema struct {
	Database int64
	Program  int64
}

// NewerSchemaError says that a later program has changed the schema; this one would not understand it.
type NewerSchemaError struct{ Schema }

func (e *NewerSchemaError) Error() string {
	return fmt.Sprintf("the database has schema %d, but this program knows only up to %d: run a newer latchkey", e.Database, e.Program)
}

// OlderSchemaError says that the schema must be migrated first, and that Open was told not to do it.
type OlderSchemaError struct{ Schema }

func (e *OlderSchemaError) Error() string {
	return fmt.Sprintf("the database has schema %d, but this program needs %d: run latchkey migrate up", e.Database, e.Program)
}

// ReadSchema returns where the schema of the database stands, and changes nothing but creating an empty database file
// and goose's table of versions.
func ReadSchema(ctx context.Context, cfg Config) (Schema, error) {
	m, err := newMigrator(cfg)
	if err != nil {
		return Schema{}, err
	}
	defer m.close()
	return m.read(ctx)
}

// Migrate brings the schema up to date and returns where it stood before. Of several programs that do it at once one
// migrates and the others wait for it; one that is killed halfway leaves whole migrations behind. It returns a
// *NewerSchemaError if a later program was there already.
func Migrate(ctx context.Context, cfg Config) (before Schema, err error) {
	m, err := newMigrator(cfg)
	if err != nil {
		return Schema{}, err
	}
	defer m.close()
	before, err = m.read(ctx)
	switch {
	case err != nil:
		return before, err
	case before.Database > before.Program:
		return before, &NewerSchemaError{before}
	case before.Database == before.Program:
		return before, nil
	}
	return before, m.up(ctx)
}

// checkSchema is Migrate, or only looks if the configuration says so.
func checkSchema(ctx context.Context, cfg Config) error {
	if !cfg.KeepSchema {
		_, err := Migrate(ctx, cfg)
		return err
	}
	schema, err := ReadSchema(ctx, cfg)
	switch {
	case err != nil:
		return err
	case schema.Database > schema.Program:
		return &NewerSchemaError{schema}
	case schema.Database < schema.Program:
		return &OlderSchemaError{schema}
	}
	return nil
}

// migrator runs the migrations of one engine on connections of its own.
type migrator struct {
	db       *sql.DB
	provider *goose.Provider
	postgres bool
}

func newMigrator(cfg Config) (*migrator, error) {
	m := &migrator{postgres: cfg.PostgresURL != ""}
	dialect, folder := goose.DialectSQLite3, "migrations/sqlite"
	if m.postgres {
		dialect, folder = goose.DialectPostgres, "migrations/postgres"
		pg, err := parsePostgres(cfg.PostgresURL)
		if err != nil {
			return nil, err
		}
		m.db = stdlib.OpenDB(*pg.ConnConfig)
	} else {
		if err := createPrivate(cfg.SQLitePath); err != nil {
			return nil, err
		}
		db, err := sql.Open("sqlite", sqliteDSN(cfg.SQLitePath))
		if err != nil {
			return nil, fmt.Errorf("open database: %w", err)
		}
		db.SetMaxOpenConns(1)
		m.db = db
	}
	files, err := fs.Sub(migrationFiles, folder)
	if err == nil {
		m.provider, err = goose.NewProvider(dialect, m.db, files)
	}
	if err != nil {
		m.close()
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return m, nil
}

func (m *migrator) close() { _ = m.db.Close() }

func (m *migrator) read(ctx context.Context) (s Schema, err error) {
	err = m.insist(ctx, func() error {
		s.Database, s.Program, err = m.provider.GetVersions(ctx)
		return err
	})
	if err != nil {
		return Schema{}, fmt.Errorf("read schema version: %w", err)
	}
	return s, nil
}

// migrationLock is the key of the advisory lock under which one node at a time migrates. It is held by a transaction,
// which pgbouncer keeps on one connection and which ends with its node, however that ends.
const migrationLock = 0x6c617463686b6579 // "latchkey"

func (m *migrator) up(ctx context.Context) error {
	if m.postgres {
		tx, err := m.lock(ctx)
		if err != nil {
			return fmt.Errorf("wait for another node's migration: %w", err)
		}
		defer func() { _ = tx.Rollback() }()
	}
	err := m.insist(ctx, func() error {
		_, err := m.provider.Up(ctx) // what another program did meanwhile is not done again
		return err
	})
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// lock waits for its turn and returns the transaction that holds the lock. It waits outside the database: behind a pooler,
// transactions that wait would take the connections that the one node needs to migrate.
func (m *migrator) lock(ctx context.Context) (*sql.Tx, error) {
	for {
		tx, err := m.db.BeginTx(ctx, nil)
		if err != nil {
			return nil, err
		}
		var mine bool
		err = tx.QueryRowContext(ctx, "SELECT pg_try_advisory_xact_lock($1)", int64(migrationLock)).Scan(&mine)
		if err == nil && mine {
			return tx, nil
		}
		_ = tx.Rollback()
		if err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// insist tries again for a second: another program that starts at the same time may hold the lock of the file, or have
// just made the same table.
func (m *migrator) insist(ctx context.Context, f func() error) error {
	const attempts = 20
	for attempt := 1; ; attempt++ {
		err := f()
		var unreachable *pgconn.ConnectError
		if err == nil || attempt == attempts || ctx.Err() != nil || errors.As(err, &unreachable) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}
