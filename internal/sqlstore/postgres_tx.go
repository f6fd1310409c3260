package sqlstore

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"
)

// postgresTx is a transaction that spares trips to the server, which is usually another machine: BEGIN goes with the first
// statement that is waited for, those of later with the next one, COMMIT with the last. So a transaction takes two trips where
// something must be known before it ends, and one otherwise.
type postgresTx struct {
	conn   *pgx.Conn
	queued []statement
	begun  bool
}

func (t *postgresTx) later(_ context.Context, s statement) error {
	t.queued = append(t.queued, s)
	return nil
}

func (t *postgresTx) exec(ctx context.Context, sql string, args ...any) (rows int64, err error) {
	err = t.send(ctx, sql, args, func(results pgx.BatchResults) error {
		tag, err := results.Exec()
		rows = tag.RowsAffected()
		return classifyPostgres(err)
	})
	return rows, err
}

func (t *postgresTx) row(ctx context.Context, sql string, args []any, dest ...any) error {
	return t.send(ctx, sql, args, func(results pgx.BatchResults) error {
		return classifyPostgres(results.QueryRow().Scan(dest...))
	})
}

func (t *postgresTx) rows(ctx context.Context, sql string, args []any, scan func(func(dest ...any) error) error) error {
	return t.send(ctx, sql, args, func(results pgx.BatchResults) error {
		rows, err := results.Query()
		return eachPostgresRow(rows, err, scan)
	})
}

const (
	postgresBegin  = "begin"
	postgresCommit = "commit"
)

// commit makes the transaction durable. Statements whose answer may refuse it are waited for first.
func (t *postgresTx) commit(ctx context.Context) error {
	if slices.ContainsFunc(t.queued, func(s statement) bool { return s.check != nil }) {
		if err := t.send(ctx, "", nil, nil); err != nil {
			return err
		}
	}
	if !t.begun && len(t.queued) == 0 {
		return nil
	}
	return t.send(ctx, postgresCommit, nil, func(results pgx.BatchResults) error {
		tag, err := results.Exec()
		if err == nil && tag.String() == "ROLLBACK" { // what COMMIT answers if a statement's error was passed over
			err = pgx.ErrTxCommitRollback
		}
		return classifyPostgres(err)
	})
}

// rollback leaves the connection outside a transaction, if it can.
func (t *postgresTx) rollback(ctx context.Context) {
	if c := t.conn.PgConn(); !c.IsClosed() && c.TxStatus() != 'I' { // idle
		_, _ = t.conn.Exec(ctx, "rollback")
	}
}

// send sends what is queued and the given statement, if it is one, and has read take the latter's answer. It
// returns the first error of any of them, with which the transaction must end.
func (t *postgresTx) send(ctx context.Context, sql string, args []any, read func(pgx.BatchResults) error) (err error) {
	var batch pgx.Batch
	begins := !t.begun
	if begins {
		batch.Queue(postgresBegin)
	}
	queued := t.queued
	for _, s := range queued {
		batch.Queue(s.sql, s.args...)
	}
	if read != nil {
		batch.Queue(sql, args...)
	}
	t.begun, t.queued = true, nil
	results := t.conn.SendBatch(ctx, &batch)
	defer func() {
		if closeErr := results.Close(); err == nil {
			err = classifyPostgres(closeErr)
		}
	}()
	if begins {
		if _, err := results.Exec(); err != nil {
			return classifyPostgres(err)
		}
	}
	for _, s := range queued {
		if err := takePostgres(s, results); err != nil {
			return err
		}
	}
	if read == nil {
		return nil
	}
	return read(results)
}

func takePostgres(s statement, results pgx.BatchResults) error {
	if s.dest != nil {
		return s.answer(1, classifyPostgres(results.QueryRow().Scan(s.dest...)))
	}
	tag, err := results.Exec()
	return s.answer(tag.RowsAffected(), classifyPostgres(err))
}
