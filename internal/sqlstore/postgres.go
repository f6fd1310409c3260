package sqlstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ideaegg/latchkey/internal/auth"
)

const (
	// postgresWait bounds a whole use case, waiting for a connection included, so that trouble is told within 2 s.
	postgresWait = 1800 * time.Millisecond
	// postgresConns is how many connections a node opens at most, unless the URL says pool_max_conns: enough to keep a
	// database of some cores busy, and few enough for five nodes on a server with the usual limit of 100.
	postgresConns = 16
	// postgresFarewell is how long a connection that was given up may keep its place in the pool.
	postgresFarewell = 500 * time.Millisecond
	// postgresServerLimit, in milliseconds, is above postgresWait and below gapPatience.
	postgresServerLimit = "5000"
	// postgresRetries is how often a transaction is tried that lost against another one.
	postgresRetries = 5
)

// postgresEngine is a PostgreSQL database, 15 or newer, that several nodes may use at once.
type postgresEngine struct {
	pool         *pgxpool.Pool
	polls        *pgxpool.Pool // one connection, for the follower alone
	listenConfig *pgx.ConnConfig
	userIDs      idBlock
}

// postgresExecMode has statements described once a connection and sent without a name: pgbouncer in transaction mode,
// which may send the next one to another server connection, knows no prepared statements.
const postgresExecMode = pgx.QueryExecModeCacheDescribe

// errPostgresURL stands for pgx' own error, which may quote the URL, password and all.
var errPostgresURL = errors.New("postgres: the URL cannot be read")

// parsePostgres reads a URL. Its connections lead to a server that can be written to, whatever the URL says of others: a
// standby that lags would say yes to a token that has ended.
func parsePostgres(url string) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errPostgresURL
	}
	cfg.ConnConfig.ConnectTimeout = postgresWait
	cfg.ConnConfig.DefaultQueryExecMode = postgresExecMode
	cfg.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	return cfg, nil
}

// limitTransactions has the server end what a node cannot end itself, because it lost power or its network: a
// transaction that goes on would keep its locks.
func limitTransactions(cfg *pgx.ConnConfig) {
	for _, name := range []string{"statement_timeout", "idle_in_transaction_session_timeout"} {
		if _, set := cfg.RuntimeParams[name]; !set {
			cfg.RuntimeParams[name] = postgresServerLimit
		}
	}
}

// connectPool returns a pool that has made its first connection, and the configuration that it was made with: cfg with
// limitTransactions. pgbouncer refuses such parameters unless it is told to ignore them; behind one the server's own
// settings count, and cfg comes back as it was.
func connectPool(ctx context.Context, cfg *pgxpool.Config) (*pgxpool.Pool, *pgxpool.Config, error) {
	connect := func(cfg *pgxpool.Config) (*pgxpool.Pool, error) {
		pool, err := pgxpool.NewWithConfig(ctx, cfg)
		if err != nil {
			return nil, err
		}
		conn, err := pool.Acquire(ctx)
		if err != nil {
			pool.Close()
			return nil, err
		}
		conn.Release()
		return pool, nil
	}
	limited := cfg.Copy()
	limitTransactions(limited.ConnConfig)
	pool, err := connect(limited)
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "08P01" { // protocol_violation: unsupported startup parameter
		pool, err = connect(cfg)
		return pool, cfg, err
	}
	return pool, limited, err
}

// limitFarewells has the pool replace a connection whose server says nothing any more within postgresFarewell. pgx would
// ask that server for 15 s to cancel the statement and then wait for its last word, and so long the pool would have one
// connection less: none, if a primary hangs whose standby has long taken over.
func limitFarewells(cfg *pgxpool.Config) {
	cfg.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		connected := new(atomic.Bool)
		c.AfterConnect = func(context.Context, *pgconn.PgConn) error {
			connected.Store(true)
			return nil
		}
		dial := c.DialFunc
		c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			if !connected.Load() {
				return dial(ctx, network, address)
			}
			// Once it is connected, the only other connection is the one that asks to cancel.
			ctx, cancel := context.WithTimeout(ctx, postgresFarewell)
			defer cancel()
			conn, err := dial(ctx, network, address)
			if err == nil {
				time.AfterFunc(postgresFarewell, func() { _ = conn.Close() })
			}
			return conn, err
		}
		return nil
	}
	cfg.BeforeClose = func(c *pgx.Conn) {
		if c.IsClosed() { // by an error; a healthy one takes its leave by itself
			_ = c.PgConn().Conn().Close()
		}
	}
}

// openPostgres connects to a database whose schema is up to date. listenURL is for LISTEN; empty: url.
func openPostgres(ctx context.Context, url, listenURL string) (*postgresEngine, error) {
	cfg, err := parsePostgres(url)
	if err != nil {
		return nil, err
	}
	if !strings.Contains(url, "pool_max_conns") {
		cfg.MaxConns = postgresConns
	}
	limitFarewells(cfg)
	// The names tell an operator in pg_stat_activity which connection is which: "latchkey poll", or of which node if the
	// URL says application_name.
	name := cmp.Or(cfg.ConnConfig.RuntimeParams["application_name"], "latchkey")
	cfg.ConnConfig.RuntimeParams["application_name"] = name
	pool, cfg, err := connectPool(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("postgres: connect: %w", err)
	}

	listen := cfg.ConnConfig.Copy()
	if listenURL != "" {
		other, err := parsePostgres(listenURL)
		if err != nil {
			pool.Close()
			return nil, fmt.Errorf("for LISTEN: %w", err)
		}
		listen = other.ConnConfig
	}
	listen.RuntimeParams["application_name"] = cmp.Or(listen.RuntimeParams["application_name"], name) + " listen"
	polls := cfg.Copy()
	polls.MinConns, polls.MaxConns = 0, 1
	polls.ConnConfig.RuntimeParams["application_name"] = name + " poll"
	e := &postgresEngine{pool: pool, listenConfig: listen}
	if e.polls, err = pgxpool.NewWithConfig(ctx, polls); err != nil {
		pool.Close()
		return nil, fmt.Errorf("postgres: %w", err)
	}
	return e, nil
}

func (e *postgresEngine) read(ctx context.Context, f func(context.Context, querier) error) error {
	ctx, cancel := e.bound(ctx)
	defer cancel()
	return f(ctx, postgresQuerier{e.pool})
}

func (e *postgresEngine) write(ctx context.Context, f func(context.Context, querier) error) error {
	ctx, cancel := e.bound(ctx)
	defer cancel()
	for attempt := 0; ; attempt++ {
		err := e.transact(ctx, f)
		if attempt == postgresRetries || !lostRace(err) {
			return err
		}
	}
}

// bound gives a use case its time. A client that goes away does not end it: pgx would close the connection, and a
// crowd of impatient clients would cost a reconnect each.
func (e *postgresEngine) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), postgresWait)
}

func (e *postgresEngine) transact(ctx context.Context, f func(context.Context, querier) error) error {
	conn, err := e.pool.Acquire(ctx)
	if err != nil {
		return classifyPostgres(err)
	}
	defer conn.Release() // closes a connection that is still in a transaction, which rolls back too
	tx := &postgresTx{conn: conn.Conn()}
	if err = f(ctx, tx); err == nil {
		err = tx.commit(ctx)
	}
	if err != nil {
		tx.rollback(ctx)
	}
	return err
}

// lostRace says whether the database ended the transaction in favour of another one: 40001 serialization_failure,
// 40P01 deadlock_detected (PostgreSQL's manual, appendix A).
func lostRace(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == "40001" || e.Code == "40P01")
}

func (e *postgresEngine) poll(ctx context.Context, f func(context.Context, querier) error) error {
	ctx, cancel := context.WithTimeout(ctx, postgresWait)
	defer cancel()
	return f(ctx, postgresQuerier{e.polls})
}

// listen waits for NOTIFY on a connection of its own, and tries again every second while there is none. Through
// pgbouncer in transaction mode nothing is ever heard, which does no harm.
func (e *postgresEngine) listen(ctx context.Context, wake func()) {
	for ctx.Err() == nil {
		e.listenOnce(ctx, wake)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (e *postgresEngine) listenOnce(ctx context.Context, wake func()) {
	conn, err := pgx.ConnectConfig(ctx, e.listenConfig)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "LISTEN latchkey_invalidations"); err != nil {
		return
	}
	for {
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return
		}
		wake()
	}
}

func (e *postgresEngine) notify(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, postgresWait)
	defer cancel()
	_, err := e.pool.Exec(ctx, notifyInvalidationPostgres)
	return err
}

// postgresUserIDs is how many ids for users a node takes at once: few enough to lose them with each start, and so many that
// taking them costs nothing.
const postgresUserIDs = 64

// newUserID takes ids from the sequence ahead of their rows, so that a user's other rows can be sent together with the
// user's. Nodes never get the same ones, and what is left when a node ends is given to nobody.
func (e *postgresEngine) newUserID(ctx context.Context) (int64, error) {
	if id, ok := e.userIDs.take(); ok {
		return id, nil
	}
	var ids []int64
	err := e.read(ctx, func(ctx context.Context, q querier) error {
		return q.rows(ctx, selectNewUserIDsPostgres, []any{int64(postgresUserIDs)}, func(scan func(...any) error) error {
			var id int64
			err := scan(&id)
			ids = append(ids, id)
			return err
		})
	})
	if err != nil {
		return 0, err
	}
	e.userIDs.put(ids[1:])
	return ids[0], nil
}

func (e *postgresEngine) forgetUserIDs() { e.userIDs.clear() }

// idBlock holds ids that were taken and not given to a row.
type idBlock struct {
	mu  sync.Mutex
	ids []int64
}

func (b *idBlock) take() (int64, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.ids) == 0 {
		return 0, false
	}
	id := b.ids[0]
	b.ids = b.ids[1:]
	return id, true
}

func (b *idBlock) put(ids []int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ids = append(b.ids, ids...)
}

func (b *idBlock) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ids = nil
}

func (e *postgresEngine) leaseSQL() string { return leaseMessagesPostgres }

func (e *postgresEngine) ping(ctx context.Context) error {
	return e.read(ctx, func(ctx context.Context, q querier) error {
		var one int64
		return q.row(ctx, selectOne, nil, &one)
	})
}

func (e *postgresEngine) close() error {
	e.polls.Close()
	e.pool.Close()
	return nil
}

// postgresQuerier runs statements on a pool, each by itself.
type postgresQuerier struct{ db *pgxpool.Pool }

func (q postgresQuerier) exec(ctx context.Context, sql string, args ...any) (int64, error) {
	tag, err := q.db.Exec(ctx, sql, args...)
	return tag.RowsAffected(), classifyPostgres(err)
}

func (q postgresQuerier) row(ctx context.Context, sql string, args []any, dest ...any) error {
	return classifyPostgres(q.db.QueryRow(ctx, sql, args...).Scan(dest...))
}

func (q postgresQuerier) rows(ctx context.Context, sql string, args []any, scan func(func(dest ...any) error) error) error {
	rows, err := q.db.Query(ctx, sql, args...)
	return eachPostgresRow(rows, err, scan)
}

func (q postgresQuerier) later(ctx context.Context, s statement) error { return s.run(ctx, q) }

func eachPostgresRow(rows pgx.Rows, err error, scan func(func(dest ...any) error) error) error {
	if err != nil {
		return classifyPostgres(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows.Scan); err != nil {
			return err
		}
	}
	return classifyPostgres(rows.Err())
}

// classifyPostgres marks a unique index's refusal as errUnique, and as auth.ErrUnavailable whatever is the fault of the
// connection, of the server or of its load. What is left is a fault of this program.
func classifyPostgres(err error) error {
	if err == nil || errors.Is(err, errNoRows) {
		return err
	}
	if _, ok := errors.AsType[pgx.ScanArgError](err); ok {
		return err
	}
	_, noConnection := errors.AsType[*pgconn.ConnectError](err) // for whatever reason, a changed password too
	e, ok := errors.AsType[*pgconn.PgError](err)
	if noConnection || !ok { // no answer of the server: no connection, or none in time
		return fmt.Errorf("%w: %w", auth.ErrUnavailable, err)
	}
	if e.Code == "23505" { // unique_violation
		return fmt.Errorf("%w: %w", errUnique, err)
	}
	switch e.Code[:2] { // classes of PostgreSQL's manual, appendix A
	case "08", // connection exception
		"25", // read-only after a failover
		"40", // lost against others again and again
		"53", // too many connections, disk full
		"55", // lock not available
		"57", // shut down, statement timeout
		"58", // I/O error
		"XX": // internal error
		return fmt.Errorf("%w: %w", auth.ErrUnavailable, err)
	}
	return err
}
