package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/config"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

// noPlaceholderDomain stands where a command has no use for generated addresses: their users are named by username.
const noPlaceholderDomain = "placeholder.invalid"

// storeConfig is what a command needs to open a database; serve sets more.
func storeConfig(db config.Database) sqlstore.Config {
	return sqlstore.Config{
		SQLitePath: db.Path, PostgresURL: db.DSN.Reveal(), PlaceholderDomain: noPlaceholderDomain,
		Cache: auth.NewSessionCache(), Now: time.Now,
	}
}

// mustExist is for commands that make no database: to open a file that is missing would make it.
func mustExist(db config.Database) error {
	if db.Engine != config.SQLite {
		return nil
	}
	if _, err := os.Stat(db.Path); err != nil {
		return fmt.Errorf("there is no database %s: %w", db.Redacted(), err)
	}
	return nil
}

func openStore(ctx context.Context, cfg sqlstore.Config) (*sqlstore.Store, error) {
	store, err := sqlstore.Open(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("--database: %w", err)
	}
	return store, nil
}

// openExisting opens the database for a command that makes none.
func openExisting(ctx context.Context, db config.Database) (*sqlstore.Store, error) {
	if err := mustExist(db); err != nil {
		return nil, fmt.Errorf("--database: %w", err)
	}
	return openStore(ctx, storeConfig(db))
}

type migrateCommand struct {
	Show migrateShowCommand `cmd:"" help:"Show where the schema stands, and change nothing. Example: latchkey migrate show --json"`
	Up   migrateUpCommand   `cmd:"" help:"Bring the schema up to date. Safe while nodes are running and when several do it at once. Example: latchkey migrate up --database=postgres://latchkey:secret@db1/latchkey"`
}

type migrateShowCommand struct {
	config.DatabaseOnly
	JSON bool `name:"json" help:"Print JSON for programs."`
}

// Run prints the versions of the schema.
func (c migrateShowCommand) Run(w world) error {
	db, err := c.Settings()
	if err != nil {
		return err
	}
	if err := mustExist(db); err != nil {
		return fmt.Errorf("--database: %w", err)
	}
	schema, err := sqlstore.ReadSchema(w.ctx, storeConfig(db))
	if err != nil {
		return fmt.Errorf("--database: %w", err)
	}
	if c.JSON {
		_, err = fmt.Fprintf(w.stdout, "{\"database\":%d,\"program\":%d}\n", schema.Database, schema.Program)
		return err
	}
	advice := "up to date"
	switch {
	case schema.Database < schema.Program:
		advice = "older than this program: run latchkey migrate up, or serve, which does it at start"
	case schema.Database > schema.Program:
		advice = "newer than this program: run a newer latchkey"
	}
	_, err = fmt.Fprintf(w.stdout, "database  %s\nschema    %d (this program: %d), %s\n", db.Redacted(), schema.Database, schema.Program, advice)
	return err
}

type migrateUpCommand struct{ config.DatabaseOnly }

// Run migrates.
func (c migrateUpCommand) Run(w world) error {
	db, err := c.Settings()
	if err != nil {
		return err
	}
	before, err := sqlstore.Migrate(w.ctx, storeConfig(db))
	if err != nil {
		return fmt.Errorf("--database: %w", err)
	}
	if before.Database == before.Program {
		_, err = fmt.Fprintf(w.stdout, "schema %d is up to date\n", before.Program)
		return err
	}
	_, err = fmt.Fprintf(w.stdout, "migrated from schema %d to %d\n", before.Database, before.Program)
	return err
}
