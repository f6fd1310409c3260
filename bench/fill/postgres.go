package fill

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

const reportEvery = 10_000 // rows between two reports of progress

func (p Population) postgres(ctx context.Context, cfg Config, progress Progress) error {
	conn, err := pgx.Connect(ctx, cfg.PostgresURL)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for _, setting := range []string{
		"SET synchronous_commit = off",
		"SET maintenance_work_mem = '512MB'",
		"SET session_replication_role = replica", // no looking up of each session's user
	} {
		if _, err := conn.Exec(ctx, setting); err != nil {
			return fmt.Errorf("%s: %w (a superuser may)", setting, err)
		}
	}
	for _, t := range p.tables() {
		if err := p.postgresTable(ctx, conn, t, progress); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	// Ids go on behind those that were given.
	if _, err := conn.Exec(ctx, "SELECT setval(pg_get_serial_sequence('users', 'id'), $1)", p.Users); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "VACUUM ANALYZE") // what the server would do by itself some time later
	return err
}

func (p Population) postgresTable(ctx context.Context, conn *pgx.Conn, t table, progress Progress) error {
	// Those that belong to a constraint stay.
	rows, err := conn.Query(ctx, `SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() AND tablename = $1
		AND indexname NOT IN (SELECT conname FROM pg_constraint)`, t.name)
	if err != nil {
		return err
	}
	indexes, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (i index, err error) {
		return i, row.Scan(&i.name, &i.definition)
	})
	if err != nil {
		return err
	}
	for _, i := range indexes {
		if _, err := conn.Exec(ctx, "DROP INDEX "+pgx.Identifier{i.name}.Sanitize()); err != nil {
			return err
		}
	}
	next := 0
	var values []any
	_, err = conn.CopyFrom(ctx, pgx.Identifier{t.name}, t.columns, pgx.CopyFromFunc(func() ([]any, error) {
		if next == p.Users {
			return nil, nil
		}
		if next%reportEvery == 0 {
			progress(t.name, next, p.Users)
		}
		values = t.row(next, values[:0])
		next++
		return values, nil
	}))
	if err != nil {
		return err
	}
	progress(t.name, p.Users, p.Users)
	for n, i := range indexes {
		progress("index "+i.name, n, len(indexes))
		if _, err := conn.Exec(ctx, i.definition); err != nil {
			return err
		}
	}
	return nil
}
