package sqlstore

import (
	"context"
	"database/sql"
	"errors"
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
}
