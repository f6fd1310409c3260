package fill

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	_ "modernc.org/sqlite" // the driver
)

const rowsAStatement = 64

func (p Population) sqlite(ctx context.Context, cfg Config, progress Progress) error {
	db, err := sql.Open("sqlite", "file:"+cfg.SQLitePath+"?_pragma=synchronous(OFF)&_pragma=cache_size(-200000)&_pragma=temp_store(FILE)")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	for _, t := range p.tables() {
		if err := p.sqliteTable(ctx, db, t, progress); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	_, err = db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	return err
}

func (p Population) sqliteTable(ctx context.Context, db *sql.DB, t table, progress Progress) error {
	indexes, err := sqliteIndexes(ctx, db, t.name)
	if err != nil {
		return err
	}
	for _, i := range indexes {
		if _, err := db.ExecContext(ctx, "DROP INDEX "+i.name); err != nil {
			return err
		}
	}
	const rowsATransaction = 200 * rowsAStatement // what the log of the database must hold at once
	for done := 0; done < p.Users; done += rowsATransaction {
		if err := p.sqliteRows(ctx, db, t, done, min(done+rowsATransaction, p.Users)); err != nil {
			return err
		}
		progress(t.name, done, p.Users)
	}
	progress(t.name, p.Users, p.Users)
	for n, i := range indexes {
		progress("index "+i.name, n, len(indexes))
		if _, err := db.ExecContext(ctx, i.definition); err != nil {
			return err
		}
	}
	return nil
}

// sqliteRows inserts the rows of users from to before to in one transaction.
func (p Population) sqliteRows(ctx context.Context, db *sql.DB, t table, from, to int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	var values []any
	for at := from; at < to; {
		rows := min(rowsAStatement, to-at)
		values = values[:0]
		for i := range rows {
			values = t.row(at+i, values)
		}
		if _, err := tx.ExecContext(ctx, insert(t, rows), values...); err != nil {
			return err
		}
		at += rows
	}
	return tx.Commit()
}

func insert(t table, rows int) string {
	one := "(?" + strings.Repeat(",?", len(t.columns)-1) + ")"
	return "INSERT INTO " + t.name + " (" + strings.Join(t.columns, ",") + ") VALUES " + one + strings.Repeat(","+one, rows-1)
}

func sqliteIndexes(ctx context.Context, db *sql.DB, table string) ([]index, error) {
	rows, err := db.QueryContext(ctx, "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = $1 AND sql IS NOT NULL", table)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var list []index
	for rows.Next() {
		var i index
		if err := rows.Scan(&i.name, &i.definition); err != nil {
			return nil, err
		}
		list = append(list, i)
	}
	return list, rows.Err()
}
