package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

//go:embed migrations
var migrationFiles embed.FS

// NewerSchemaError says that a later program has changed the schema; this one would not understand it.
type NewerSchemaError struct {
	Database int64
	Program  int64
}

func (e *NewerSchemaError) Error() string {
	return fmt.Sprintf("the database has schema %d, but this program knows only up to %d: run a newer latchkey", e.Database, e.Program)
}

// migrateSQLite brings the schema up to date. Two programs that start at once are let in one after the other by the
// database's lock; the second finds nothing left to do.
func migrateSQLite(ctx context.Context, path string) error {
	files, err := fs.Sub(migrationFiles, "migrations/sqlite")
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	db, err := sql.Open("sqlite", sqliteDSN(path))
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)

	for attempt := 0; ; attempt++ {
		err := migrate(ctx, goose.DialectSQLite3, db, files)
		if err == nil || attempt == 10 || ctx.Err() != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond) // the other program holds the lock or has just made the same table
	}
}

func migrate(ctx context.Context, dialect goose.Dialect, db *sql.DB, files fs.FS) error {
	provider, err := goose.NewProvider(dialect, db, files)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	has, want, err := provider.GetVersions(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("read schema version: %w", err)
	case has == want:
		return nil
	case has > want:
		return &NewerSchemaError{Database: has, Program: want}
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate from schema %d to %d: %w", has, want, err)
	}
	return nil
}

// migrationLock is the key of the advisory lock under which one node at a time migrates. It is held by a transaction,
// which pgbouncer keeps on one connection and which ends with its node, however that ends.
const migrationLock = 0x6c617463686b6579 // "latchkey"

// migratePostgres brings the schema up to date, once, whatever the number of nodes that start at the same time.
func migratePostgres(ctx context.Context, cfg *pgx.ConnConfig) error {
	files, err := fs.Sub(migrationFiles, "migrations/postgres")
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	db := stdlib.OpenDB(*cfg)
	defer func() { _ = db.Close() }()

	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", int64(migrationLock)); err != nil {
		return fmt.Errorf("wait for another node's migration: %w", err)
	}
	return migrate(ctx, goose.DialectPostgres, db, files)
}
