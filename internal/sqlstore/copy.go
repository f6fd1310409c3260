package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// copiedTables are all tables with something to keep, those first that others refer to. Invalidations are for caches of
// running nodes, access tokens of WeChat apps are fetched again, handovers live for a minute and requests for mail matter
// for an hour: they stay behind.
var copiedTables = []string{"users", "identities", "sessions", "outbox", "one_time_tokens", "guest_keys", "sign_ups", "guess_failures", "audit_events"}

// ErrNotEmpty says that the database to copy to has users or something else already.
var ErrNotEmpty = errors.New("the database to copy to is not empty")

// CopiedTable says how many rows a table has on both sides after copying. The two are equal.
type CopiedTable struct {
	Name string `json:"table"`
	From int64  `json:"from"`
	To   int64  `json:"to"`
}

// Copy copies everything from a SQLite database to an empty PostgreSQL database: users with their ids, sessions whose
// tokens go on working, identities, one-time tokens, the outbox and audit events. Both schemas are brought up to date first.
//
// It is one transaction on either side: while it runs nobody else can write to the source (a service that still does
// answers 503, so that nothing is acknowledged and left behind), and if it is interrupted the target is as empty as
// before. progress is called after every few thousand rows, and at the end of each table. It returns ErrNotEmpty,
// *NewerSchemaError, and an error if the counts differ at the end.
func Copy(ctx context.Context, from, to Config, progress func(table string, done, total int64)) ([]CopiedTable, error) {
	for _, cfg := range []Config{from, to} {
		if _, err := Migrate(ctx, cfg); err != nil {
			return nil, err
		}
	}
	source, err := openCopySource(ctx, from.SQLitePath)
	if err != nil {
		return nil, err
	}
	defer source.close()

	cfg, err := parsePostgres(to.PostgresURL)
	if err != nil {
		return nil, err
	}
	target, err := pgx.ConnectConfig(ctx, cfg.ConnConfig)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = target.Close(context.WithoutCancel(ctx)) }()

	var result []CopiedTable
	err = pgx.BeginFunc(ctx, target, func(tx pgx.Tx) error {
		if err := lockEmpty(ctx, tx); err != nil {
			return err
		}
		for _, table := range copiedTables {
			copied, err := copyTable(ctx, source, tx, table, progress)
			if err != nil {
				return fmt.Errorf("copy %s: %w", table, err)
			}
			result = append(result, copied)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// lockEmpty keeps others from writing to the target and makes sure that it is empty.
func lockEmpty(ctx context.Context, tx pgx.Tx) error {
	for _, table := range copiedTables {
		if _, err := tx.Exec(ctx, "LOCK TABLE "+table+" IN SHARE ROW EXCLUSIVE MODE"); err != nil {
			return fmt.Errorf("lock %s: %w", table, err)
		}
		var used bool
		if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM "+table+")").Scan(&used); err != nil {
			return fmt.Errorf("look into %s: %w", table, err)
		}
		if used {
			return fmt.Errorf("%w: %s has rows", ErrNotEmpty, table)
		}
	}
	return nil
}

func copyTable(ctx context.Context, source *copySource, tx pgx.Tx, table string, progress func(string, int64, int64)) (CopiedTable, error) {
	result := CopiedTable{Name: table}
	if err := source.conn.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+table).Scan(&result.From); err != nil {
		return result, fmt.Errorf("count: %w", err)
	}
	columns, err := source.columns(ctx, table)
	if err != nil {
		return result, err
	}
	rows, err := source.conn.QueryContext(ctx, "SELECT "+strings.Join(columns, ", ")+" FROM "+table+" ORDER BY 1") // the primary key
	if err != nil {
		return result, fmt.Errorf("read: %w", err)
	}
	defer func() { _ = rows.Close() }()

	var done int64
	values := make([]any, len(columns))
	pointers := make([]any, len(columns))
	for i := range values {
		pointers[i] = &values[i]
	}
	_, err = tx.CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromFunc(func() ([]any, error) {
		if !rows.Next() {
			return nil, rows.Err()
		}
		if err := rows.Scan(pointers...); err != nil {
			return nil, err
		}
		if done++; done%5000 == 0 {
			progress(table, done, result.From)
		}
		return values, nil
	}))
	if err != nil {
		return result, fmt.Errorf("write: %w", err)
	}
	progress(table, done, result.From)
	if err := source.continueIDs(ctx, tx, table); err != nil {
		return result, err
	}
	if err := tx.QueryRow(ctx, "SELECT COUNT(*) FROM "+table).Scan(&result.To); err != nil {
		return result, fmt.Errorf("count: %w", err)
	}
	if result.From != result.To {
		return result, fmt.Errorf("%d rows became %d", result.From, result.To)
	}
	return result, nil
}

// copySource is a SQLite database that nobody else can write to until it is closed.
type copySource struct {
	db   *sql.DB
	conn *sql.Conn
}

func openCopySource(ctx context.Context, path string) (*copySource, error) {
	db, err := sql.Open("sqlite", sqliteDSN(path))
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	s := &copySource{db: db}
	if s.conn, err = db.Conn(ctx); err != nil {
		s.close()
		return nil, fmt.Errorf("open database: %w", err)
	}
	if _, err := s.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		s.close()
		return nil, fmt.Errorf("lock the database to copy from: %w", err)
	}
	return s, nil
}

func (s *copySource) close() {
	if s.conn != nil {
		_, _ = s.conn.ExecContext(context.Background(), "ROLLBACK")
		_ = s.conn.Close()
	}
	_ = s.db.Close()
}

func (s *copySource) columns(ctx context.Context, table string) ([]string, error) {
	rows, err := s.conn.QueryContext(ctx, "SELECT name FROM pragma_table_info($1) ORDER BY cid", table)
	if err != nil {
		return nil, fmt.Errorf("read columns: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("read columns: %w", err)
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// continueIDs has the target give out ids behind the last one that the source gave out, also of rows that are gone.
func (s *copySource) continueIDs(ctx context.Context, tx pgx.Tx, table string) error {
	var last int64
	err := s.conn.QueryRowContext(ctx, "SELECT seq FROM sqlite_sequence WHERE name = $1", table).Scan(&last)
	switch {
	case errors.Is(err, errNoRows): // ids that nodes make, or none so far
		return nil
	case err != nil:
		return fmt.Errorf("read the last id: %w", err)
	case last == 0:
		return nil
	}
	if _, err := tx.Exec(ctx, "SELECT setval(pg_get_serial_sequence($1, 'id'), $2)", table, last); err != nil {
		return fmt.Errorf("continue ids: %w", err)
	}
	return nil
}
