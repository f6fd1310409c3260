package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/ideaegg/latchkey/internal/auth"
)

const (
	maxGroup = 256 // writes in one commit: enough to hide the fsync, and a few milliseconds of work
	// writeWait is how long a write may wait for its turn before the caller is told to come back.
	writeWait = 1800 * time.Millisecond
)

// sqliteEngine is the embedded database. One goroutine owns the writing connection: it takes all writes that wait, runs
// each inside a savepoint of its own, and commits them together, so that one fsync serves all of them.
type sqliteEngine struct {
	db      *sql.DB           // readers
	reads   *sqliteStatements // on db
	queue   chan *groupWrite
	closing chan struct{}
	done    chan struct{}
	writer  sqliteWriter

	closeOnce sync.Once
}

// errClosed is what a closed database answers.
var errClosed = fmt.Errorf("database is closed: %w", auth.ErrUnavailable)

// groupWrite is one write that waits to be part of a commit.
type groupWrite struct {
	f     func(context.Context, querier) error
	state atomic.Int32 // waiting, taken or abandoned: whoever moves it away from waiting decides
	err   error        // f's own error
	done  chan error   // the commit's error, once; capacity 1
}

const (
	waiting int32 = iota
	taken
	abandoned
)

// openSQLite opens the database file, whose schema is up to date.
func openSQLite(path string) (*sqliteEngine, error) {
	readers, err := sql.Open("sqlite", sqliteDSN(path, "query_only(1)", readerCache))
	if err != nil {
		return nil, fmt.Errorf("open database for reading: %w", err)
	}
	readers.SetMaxOpenConns(max(4, 2*runtime.GOMAXPROCS(0)))
	readers.SetMaxIdleConns(max(4, 2*runtime.GOMAXPROCS(0)))
	e := &sqliteEngine{
		db:      readers,
		reads:   &sqliteStatements{on: readers},
		queue:   make(chan *groupWrite, 4*maxGroup),
		closing: make(chan struct{}),
		done:    make(chan struct{}),
		writer:  sqliteWriter{path: path},
	}
	go e.writeLoop()
	return e, nil
}

// createPrivate makes the file readable by its owner alone before SQLite would create it for everybody.
// ":memory:" is refused: nothing would outlive a restart.
func createPrivate(path string) error {
	if path == ":memory:" {
		return errors.New("sqlite: :memory: is no file")
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	return nil
}

// What a connection keeps of the file in memory, in KiB. Pages that are not there are in the operating system's memory if
// that has room, once for all connections. Readers look rows up by their key: what they need over and over is the upper
// part of the trees. The writer keeps what it changes until the commit.
const (
	readerCache = "cache_size(-2000)"
	writerCache = "cache_size(-8000)"
)

func sqliteDSN(path string, pragmas ...string) string {
	q := url.Values{}
	for _, p := range append([]string{
		"busy_timeout(5000)",
		"journal_mode(WAL)",
		"synchronous(FULL)", // an acknowledged write has been fsynced
		"foreign_keys(1)",
		"temp_store(MEMORY)",
	}, pragmas...) {
		q.Add("_pragma", p)
	}
	return "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + q.Encode()
}

func (e *sqliteEngine) read(ctx context.Context, f func(context.Context, querier) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// The driver would start a goroutine for every statement whose context can end; these take microseconds.
	return classifySQLite(f(context.WithoutCancel(ctx), sqliteReader{e}))
}

func (e *sqliteEngine) write(ctx context.Context, f func(context.Context, querier) error) error {
	w := &groupWrite{f: f, done: make(chan error, 1)}
	timer := time.NewTimer(writeWait)
	defer timer.Stop()
	select {
	case e.queue <- w:
	case <-e.closing:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return fmt.Errorf("too many writes wait: %w", auth.ErrUnavailable)
	}
	var gaveUp error
	select {
	case err := <-w.done:
		return w.result(err)
	case <-ctx.Done():
		gaveUp = ctx.Err()
	case <-timer.C:
		gaveUp = fmt.Errorf("database is busy: %w", auth.ErrUnavailable)
	case <-e.done: // it came into the queue behind the last one that was written
		gaveUp = errClosed
	}
	if w.state.CompareAndSwap(waiting, abandoned) {
		return gaveUp
	}
	return w.result(<-w.done) // it is being written: only its end tells whether it was
}

func (w *groupWrite) result(commitErr error) error {
	if commitErr != nil {
		return commitErr
	}
	return w.err
}

func (e *sqliteEngine) writeLoop() {
	defer close(e.done)
	for {
		select {
		case w := <-e.queue:
			e.writer.commit(w, e.queue)
		case <-e.closing:
			select { // what is queued already is still written
			case w := <-e.queue:
				e.writer.commit(w, e.queue)
			default:
				e.writer.close()
				return
			}
		}
	}
}

// newUserID leaves it to AUTOINCREMENT: the row is inserted before anything else that needs its id.
func (e *sqliteEngine) newUserID(context.Context) (int64, error) { return 0, nil }

func (e *sqliteEngine) forgetUserIDs() {}

func (e *sqliteEngine) poll(ctx context.Context, f func(context.Context, querier) error) error {
	return e.read(ctx, f)
}

// Other processes that write to the file, such as an operator's command, are noticed by polling.
func (e *sqliteEngine) listen(context.Context, func()) {}

func (e *sqliteEngine) notify(context.Context) error { return nil }

func (e *sqliteEngine) leaseSQL() string { return leaseMessages }

func (e *sqliteEngine) ping(ctx context.Context) error {
	// A write that changes nothing: a database that can be read but not written serves nobody.
	return e.write(ctx, func(ctx context.Context, q querier) error {
		var one int64
		return q.row(ctx, selectOne, nil, &one)
	})
}

func (e *sqliteEngine) close() error {
	e.closeOnce.Do(func() { close(e.closing) })
	<-e.done
	return e.db.Close()
}

// sqliteWriter owns the one connection that writes. Only the write loop uses it.
type sqliteWriter struct {
	*sqliteStatements // on conn

	path string
	db   *sql.DB
	conn *sql.Conn
}

// commit runs first and all that waits behind it in one transaction, and tells each member how it ended.
// Members are taken only once the database is locked for writing: until then each may still give up waiting.
func (w *sqliteWriter) commit(first *groupWrite, queue <-chan *groupWrite) {
	if first.state.Load() == abandoned { // as all are that waited while the database was locked
		return
	}
	ctx := context.Background()
	group := []*groupWrite{first}
	err := w.begin(ctx)
	if err == nil {
		for len(group) < maxGroup && len(queue) > 0 { // this is the only receiver
			group = append(group, <-queue)
		}
	}
	group = slices.DeleteFunc(group, func(m *groupWrite) bool { return !m.state.CompareAndSwap(waiting, taken) })
	if err == nil {
		err = w.run(ctx, group)
	}
	if err != nil {
		err = classifySQLite(err)
		w.close() // whatever state the connection is in, the next group gets a new one
	}
	for _, m := range group {
		m.done <- err
	}
}

func (w *sqliteWriter) begin(ctx context.Context) error {
	if err := w.open(ctx); err != nil {
		return err
	}
	if _, err := w.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	return nil
}

// run gives each member a savepoint of its own and commits. An error is the whole group's.
func (w *sqliteWriter) run(ctx context.Context, group []*groupWrite) error {
	for _, m := range group {
		if _, err := w.exec(ctx, "SAVEPOINT member"); err != nil {
			return fmt.Errorf("savepoint: %w", err)
		}
		m.err = classifySQLite(m.f(ctx, w))
		if errors.Is(m.err, auth.ErrUnavailable) {
			return m.err // a full disk may have rolled back the whole transaction already
		}
		if m.err != nil {
			if _, err := w.exec(ctx, "ROLLBACK TO member"); err != nil {
				return fmt.Errorf("roll back to savepoint: %w", err)
			}
		}
		if _, err := w.exec(ctx, "RELEASE member"); err != nil {
			return fmt.Errorf("release savepoint: %w", err)
		}
	}
	if _, err := w.exec(ctx, "COMMIT"); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

func (w *sqliteWriter) open(ctx context.Context) error {
	if w.conn != nil {
		return nil
	}
	db, err := sql.Open("sqlite", sqliteDSN(w.path, writerCache))
	if err != nil {
		return fmt.Errorf("open database for writing: %w", err)
	}
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(ctx)
	if err != nil {
		_ = db.Close()
		return fmt.Errorf("open database for writing: %w", err)
	}
	w.db, w.conn, w.sqliteStatements = db, conn, &sqliteStatements{on: conn}
	return nil
}

func (w *sqliteWriter) close() {
	if w.conn == nil {
		return
	}
	_, _ = w.conn.ExecContext(context.Background(), "ROLLBACK") // fails when nothing is open
	w.sqliteStatements.close()
	_ = w.conn.Close()
	_ = w.db.Close()
	w.db, w.conn, w.sqliteStatements = nil, nil, nil
}

func (w *sqliteWriter) later(ctx context.Context, s statement) error { return s.run(ctx, w) }

// sqliteReader runs statements on the pool of reading connections.
type sqliteReader struct{ e *sqliteEngine }

func (r sqliteReader) exec(context.Context, string, ...any) (int64, error) {
	return 0, errors.New("sqlite: a write outside a write transaction")
}

func (r sqliteReader) row(ctx context.Context, query string, args []any, dest ...any) error {
	return r.unlessClosed(r.e.reads.row(ctx, query, args, dest...))
}

func (r sqliteReader) rows(ctx context.Context, query string, args []any, scan func(func(dest ...any) error) error) error {
	return r.unlessClosed(r.e.reads.rows(ctx, query, args, scan))
}

func (r sqliteReader) later(ctx context.Context, s statement) error { return s.run(ctx, r) }

// unlessClosed replaces the error of a pool that is being closed, which has no name in database/sql.
func (r sqliteReader) unlessClosed(err error) error {
	if err == nil || errors.Is(err, errNoRows) {
		return err
	}
	select {
	case <-r.e.closing:
		return errClosed
	default:
		return err
	}
}

// sqliteStatements runs statements that it has prepared before, once for each connection: reading the text of a short one
// takes longer than running it. It is safe for concurrent use if what they are prepared on is.
type sqliteStatements struct {
	on interface {
		PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	}
	known sync.Map // from the text to its *sql.Stmt
}

func (p *sqliteStatements) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := p.known.Load(query); ok {
		return s.(*sql.Stmt), nil
	}
	s, err := p.on.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if first, late := p.known.LoadOrStore(query, s); late {
		defer func() { _ = s.Close() }()
		return first.(*sql.Stmt), nil
	}
	return s, nil
}

func (p *sqliteStatements) exec(ctx context.Context, query string, args ...any) (int64, error) {
	s, err := p.stmt(ctx, query) //nolint:sqlclosecheck // kept as long as the connections
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (p *sqliteStatements) row(ctx context.Context, query string, args []any, dest ...any) error {
	s, err := p.stmt(ctx, query) //nolint:sqlclosecheck // kept as long as the connections
	if err != nil {
		return err
	}
	return s.QueryRowContext(ctx, args...).Scan(dest...)
}

func (p *sqliteStatements) rows(ctx context.Context, query string, args []any, scan func(func(dest ...any) error) error) error {
	s, err := p.stmt(ctx, query) //nolint:sqlclosecheck // kept as long as the connections
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(ctx, args...)
	return eachRow(rows, err, scan)
}

// close ends the statements, for a connection that is ended before its time.
func (p *sqliteStatements) close() {
	p.known.Range(func(_, s any) bool {
		_ = s.(*sql.Stmt).Close()
		return true
	})
}

func eachRow(rows *sql.Rows, err error, scan func(func(dest ...any) error) error) error {
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// classifySQLite marks a unique index's refusal as errUnique, and what is the fault of the disk, of a lock or of the
// file as auth.ErrUnavailable. What is left is a fault of this program.
func classifySQLite(err error) error {
	var e *sqlite.Error
	if err == nil || !errors.As(err, &e) || errors.Is(err, auth.ErrUnavailable) || errors.Is(err, errUnique) {
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_CONSTRAINT:
		if code := e.Code(); code == sqlite3.SQLITE_CONSTRAINT_UNIQUE || code == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY {
			return fmt.Errorf("%w: %w", errUnique, err)
		}
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY,
		sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL,
		sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_ABORT:
		return fmt.Errorf("%w: %w", auth.ErrUnavailable, err)
	}
	return err
}
