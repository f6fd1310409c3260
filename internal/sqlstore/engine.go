package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// errUnique says that a unique index or primary key refused a row.
var errUnique = errors.New("unique index refused the row")

// errNoRows says that there is no row. pgx.ErrNoRows is the same to errors.Is.
var errNoRows = sql.ErrNoRows

// engine is a database that runs the statements of statements.go. Its errors are auth.ErrUnavailable (wrapped) for
// whatever a healthy database would not have said, and errUnique for a row that a unique index refused.
type engine interface {
	// read runs f outside a transaction of its own; each statement sees what was committed before it began.
	read(ctx context.Context, f func(context.Context, querier) error) error
	// write runs f in a transaction that is durable before write returns nil. If f returns an error nothing of it
	// stays. f may be run more than once; only the last run counts.
	write(ctx context.Context, f func(context.Context, querier) error) error
	// poll is read on a connection of its own: how busy the others are does not delay it.
	poll(ctx context.Context, f func(context.Context, querier) error) error
	// listen calls wake whenever another node has written an invalidation, as far as the engine can tell, until ctx ends.
	listen(ctx context.Context, wake func())
	// notify tells the other nodes' listen.
	notify(ctx context.Context) error
	// newUserID returns an id that no user has or had, for the next one; 0: the database makes it with the row.
	newUserID(ctx context.Context) (int64, error)
	// forgetUserIDs has newUserID ask the database again.
	forgetUserIDs()
	// leaseSQL is the engine's text for leasing messages.
	leaseSQL() string
	ping(ctx context.Context) error
	close() error
}

// querier runs one statement. Parameters are $1, $2, …; all values are int64, string, []byte, or a pointer to one of
// them, nil for NULL.
type querier interface {
	// exec returns how many rows were written.
	exec(ctx context.Context, sql string, args ...any) (int64, error)
	// row scans the first row into dest; it returns errNoRows if there is none.
	row(ctx context.Context, sql string, args []any, dest ...any) error
	// rows calls scan for each row.
	rows(ctx context.Context, sql string, args []any, scan func(scan func(dest ...any) error) error) error
	// later runs the statement behind those before it, at the latest before the transaction is committed: at once where
	// that costs nothing, else together with the next that is waited for. Its error may be that of another call, or of
	// the transaction.
	later(ctx context.Context, s statement) error
}

// statement is one whose answer the transaction's function does not wait for.
type statement struct {
	doing string // what its errors begin with
	sql   string
	args  []any
	// dest is where its first row goes, if there is one; nil: it has none. It is there behind the next statement that is
	// waited for, and when the transaction has been committed.
	dest []any
	// check refuses the answer, with the error of which the transaction ends; rows is how many rows were written, or
	// scanned into dest. It runs no statement. nil: any answer will do.
	check func(rows int64) error
}

// run runs the statement at once.
func (s statement) run(ctx context.Context, q querier) error {
	if s.dest == nil {
		n, err := q.exec(ctx, s.sql, s.args...)
		return s.answer(n, err)
	}
	return s.answer(1, q.row(ctx, s.sql, s.args, s.dest...))
}

// answer returns what becomes of the transaction: rows is how many rows there are, unless err says that there is none.
func (s statement) answer(rows int64, err error) error {
	if s.dest != nil && errors.Is(err, errNoRows) {
		rows, err = 0, nil
	}
	if err == nil && s.check != nil {
		err = s.check(rows)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.doing, err)
	}
	return nil
}

// orElse is a check that there is a row.
func orElse(absent error) func(int64) error {
	return func(rows int64) error {
		if rows == 0 {
			return absent
		}
		return nil
	}
}
