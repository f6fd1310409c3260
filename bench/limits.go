package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/crypto/argon2"
	_ "modernc.org/sqlite" // the driver

	"github.com/ideaegg/latchkey/bench/fill"
	"github.com/ideaegg/latchkey/internal/passhash"
)

// hashWork is how long child-argon2 hashes on all cores.
type hashWork struct {
	Duration time.Duration
	Idle     bool // only when nobody else wants a core, as the service's helper does, where the system can
}

// hashLoop returns hashes a second.
func hashLoop(_ context.Context, work hashWork) (float64, error) {
	if work.Idle {
		if err := becomeIdle(); err != nil {
			return 0, err
		}
	}
	p := passhash.DefaultParams
	rates := make([]float64, runtime.NumCPU())
	var running sync.WaitGroup
	for core := range rates {
		running.Go(func() {
			begun, hashes := time.Now(), 0
			for time.Since(begun) < work.Duration {
				argon2.IDKey([]byte(fill.Password), []byte("0123456789abcdef"), p.Passes, p.MemoryKiB, p.Lanes, 32)
				hashes++
			}
			rates[core] = float64(hashes) / time.Since(begun).Seconds()
		})
	}
	running.Wait()
	total := 0.0
	for _, rate := range rates {
		total += rate
	}
	return total, nil
}

// insertWork is what child-inserts inserts for how long: guests, each with a session, Group of them in a commit.
type insertWork struct {
	Database fill.Config
	Group    int
	Duration time.Duration
}

// guestRow is one guest and their session, of the shape that the service writes.
type guestRow struct {
	name    string
	session int64
	hash    []byte
	now     int64
}

func newGuestRow(session int64) guestRow {
	hash := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(session)))
	return guestRow{name: hex.EncodeToString(hash[:4]), session: session, hash: hash[:], now: time.Now().UnixMicro()}
}

const (
	insertGuest = `INSERT INTO users (username, fullname, guest, status, language, created_at, signed_in_at)
		VALUES ($1, $1, 1, 0, 'en', $2, $2) ON CONFLICT DO NOTHING`
	insertGuestSession = `INSERT INTO sessions (id, user_id, token_hash, created_at, last_used_at, expires_at, ip, user_agent)
		VALUES ($1, $2, $3, $4, $4, $5, '127.0.0.1', '')`
	guestLasts = int64(30 * 24 * time.Hour / time.Microsecond)
)

// insertLoop returns durable rows a second.
func insertLoop(ctx context.Context, work insertWork) (float64, error) {
	if work.Database.PostgresURL != "" {
		return insertPostgres(ctx, work)
	}
	return insertSQLite(ctx, work)
}

// insertSQLite is one writer, as there can be no more, whose every commit is Group guests.
func insertSQLite(ctx context.Context, work insertWork) (float64, error) {
	// The pragmas of internal/sqlstore.
	db, err := sql.Open("sqlite", "file:"+work.Database.SQLitePath+
		"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_pragma=temp_store(MEMORY)&_pragma=cache_size(-8000)")
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	statements := make([]*sql.Stmt, 0, 4)
	for _, text := range []string{"BEGIN IMMEDIATE", insertGuest, insertGuestSession, "COMMIT"} {
		s, err := conn.PrepareContext(ctx, text)
		if err != nil {
			return 0, err
		}
		defer func() { _ = s.Close() }()
		statements = append(statements, s)
	}
	begin, guest, session, commit := statements[0], statements[1], statements[2], statements[3]

	id := firstSession()
	begun, rows := time.Now(), 0
	for time.Since(begun) < work.Duration {
		if _, err := begin.ExecContext(ctx); err != nil {
			return 0, err
		}
		for range work.Group {
			id++
			g := newGuestRow(id)
			result, err := guest.ExecContext(ctx, g.name, g.now)
			if err != nil {
				return 0, err
			}
			if n, err := result.RowsAffected(); err != nil || n == 0 { // the name is taken
				continue
			}
			user, err := result.LastInsertId()
			if err != nil {
				return 0, err
			}
			if _, err := session.ExecContext(ctx, g.session, user, g.hash, g.now, g.now+guestLasts); err != nil {
				return 0, err
			}
			rows++
		}
		if _, err := commit.ExecContext(ctx); err != nil {
			return 0, err
		}
	}
	return float64(rows) / time.Since(begun).Seconds(), nil
}

// insertPostgres has as many connections as the service, each of which commits one guest in one round trip; the server
// groups what it writes to its log.
func insertPostgres(ctx context.Context, work insertWork) (float64, error) {
	const connections = 16
	const text = `WITH new AS (` + insertGuest + ` RETURNING id)
		INSERT INTO sessions (id, user_id, token_hash, created_at, last_used_at, expires_at, ip, user_agent)
		SELECT $3, id, $4, $2, $2, $5, '127.0.0.1', '' FROM new`
	var id, rows atomic.Int64
	id.Store(firstSession())
	failed := make(chan error, connections)
	var running sync.WaitGroup
	begun := time.Now()
	for range connections {
		running.Go(func() {
			conn, err := pgx.Connect(ctx, work.Database.PostgresURL)
			if err != nil {
				failed <- err
				return
			}
			defer func() { _ = conn.Close(ctx) }()
			for time.Since(begun) < work.Duration {
				g := newGuestRow(id.Add(1))
				tag, err := conn.Exec(ctx, text, g.name, g.now, g.session, g.hash, g.now+guestLasts)
				if err != nil {
					failed <- err
					return
				}
				rows.Add(tag.RowsAffected())
			}
		})
	}
	running.Wait()
	seconds := time.Since(begun).Seconds()
	select {
	case err := <-failed:
		return 0, fmt.Errorf("insert: %w", err)
	default:
		return float64(rows.Load()) / seconds, nil
	}
}

// firstSession is an id that grows from one run to the next.
func firstSession() int64 { return time.Now().UnixMilli() << 12 }
