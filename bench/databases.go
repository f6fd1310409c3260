package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ideaegg/latchkey/bench/fill"
)

// databases makes databases of the run's engine and drops them at its end.
type databases struct {
	server string // "sqlite", or the URL of a PostgreSQL
	dir    string // of SQLite's files
	made   []string
}

func (d *databases) isPostgres() bool { return d.server != "sqlite" }

// create makes a database that drop drops.
func (d *databases) create(ctx context.Context, name string) (fill.Config, error) {
	if !d.isPostgres() {
		return fill.Config{SQLitePath: filepath.Join(d.dir, name+".db")}, nil
	}
	name = fmt.Sprintf("latchkey_bench_%s_%d", name, time.Now().UnixNano())
	if err := d.administer(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return fill.Config{}, err
	}
	d.made = append(d.made, name)
	return d.named(name)
}

// recreate makes way for a database that is filled anew.
func (d *databases) recreate(ctx context.Context, database fill.Config, name string) error {
	if !d.isPostgres() {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if err := os.Remove(database.SQLitePath + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	}
	quoted := pgx.Identifier{name}.Sanitize()
	if err := d.administer(ctx, "DROP DATABASE IF EXISTS "+quoted+" WITH (FORCE)"); err != nil {
		return err
	}
	return d.administer(ctx, "CREATE DATABASE "+quoted)
}

// named is the server's database of that name.
func (d *databases) named(name string) (fill.Config, error) {
	u, err := url.Parse(d.server)
	if err != nil {
		return fill.Config{}, errors.New("-database: the URL cannot be read")
	}
	u.Path = "/" + name
	return fill.Config{PostgresURL: u.String()}, nil
}

func (d *databases) drop() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var errs []error
	for _, name := range d.made {
		errs = append(errs, d.administer(ctx, "DROP DATABASE "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)"))
	}
	d.made = nil
	return errors.Join(errs...)
}

func (d *databases) administer(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, d.server)
	if err != nil {
		return fmt.Errorf("-database: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

// version is the engine's name.
func (d *databases) version(ctx context.Context) string {
	if !d.isPostgres() {
		return "SQLite"
	}
	conn, err := pgx.Connect(ctx, d.server)
	if err != nil {
		return "PostgreSQL"
	}
	defer func() { _ = conn.Close(ctx) }()
	var version string
	if err := conn.QueryRow(ctx, "SHOW server_version").Scan(&version); err != nil {
		return "PostgreSQL"
	}
	return "PostgreSQL " + version
}
