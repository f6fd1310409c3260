package sqlstore_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

func TestSQLiteKeepsWhatItAcknowledges(t *testing.T) {
	t.Parallel()
	store := open(t, dbtest.SQLite(t))
	for pragma, want := range map[string]string{
		"journal_mode": "wal",
		"synchronous":  "2", // FULL: each commit is fsynced
		"foreign_keys": "1",
	} {
		var got string
		must(t, store.QueryWriter(t.Context(), "PRAGMA "+pragma, &got))
		if got != want {
			t.Errorf("on the connection that writes, %s is %s, want %s", pragma, got, want)
		}
	}
	var mode string
	must(t, store.QueryReader(t.Context(), "PRAGMA query_only", &mode))
	if mode != "1" {
		t.Errorf("on a connection that reads, query_only is %s, want 1", mode)
	}
}

func TestSQLiteFilesAreTheirOwnersAlone(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such modes")
	}
	cfg := dbtest.SQLite(t)
	store := open(t, cfg)
	_, err := store.CreateUser(t.Context(), newGuest())
	must(t, err)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		file, err := os.Stat(cfg.SQLitePath + suffix)
		must(t, err)
		if got := file.Mode().Perm(); got != 0o600 {
			t.Errorf("%s has mode %o, want 600", file.Name(), got)
		}
	}
}

// TestClosedSQLiteDatabaseIsOneFile: whoever stops the service and copies the file has everything.
func TestClosedSQLiteDatabaseIsOneFile(t *testing.T) {
	t.Parallel()
	cfg := dbtest.SQLite(t)
	store := open(t, cfg)
	_, err := store.CreateUser(t.Context(), newUser("somebody"))
	must(t, err)
	if !exists(t, store, "somebody") {
		t.Error("what was written is not there")
	}
	must(t, store.Close())
	files, err := filepath.Glob(cfg.SQLitePath + "*")
	must(t, err)
	if len(files) != 1 {
		t.Errorf("got files %v, want the database alone", files)
	}
}

func TestSQLitePathsMayHaveAnyName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"with space", "50%25#1?mode=ro&x=", "数据库.db", "a:b", "it's"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := dbtest.SQLite(t)
			folder := filepath.Dir(cfg.SQLitePath)
			cfg.SQLitePath = filepath.Join(folder, name)
			_, err := open(t, cfg).CreateUser(t.Context(), newUser("somebody"))
			must(t, err)
			if !exists(t, open(t, cfg), "somebody") {
				t.Error("what was written is not there")
			}
			files, err := filepath.Glob(filepath.Join(folder, "*"))
			must(t, err)
			for _, file := range files {
				if base := filepath.Base(file); base != name && base != name+"-wal" && base != name+"-shm" {
					t.Errorf("there is a file %q", base)
				}
			}
		})
	}
}

// TestConcurrentWritesShareOneCommit lets writes wait for a lock, and counts the commits that they come to.
func TestConcurrentWritesShareOneCommit(t *testing.T) {
	t.Parallel()
	const writes = 200
	cfg := dbtest.SQLite(t)
	store := open(t, cfg)
	must(t, store.Ping(t.Context()))
	unlock := lock(t, cfg)
	before := commits(t, cfg)
	errs := make(chan error, writes)
	for range writes {
		go func() {
			_, err := store.CreateUser(context.Background(), newGuest())
			errs <- err
		}()
	}
	time.Sleep(300 * time.Millisecond) // for all to wait; whoever comes late costs another commit
	unlock()
	for range writes {
		must(t, <-errs)
	}
	if got := commits(t, cfg) - before; got > writes/20 {
		t.Errorf("%d writes made %d commits, want a few", writes, got)
	}
}

// commits returns how many commits the write-ahead log has.
func commits(t *testing.T, cfg sqlstore.Config) int {
	t.Helper()
	// https://www.sqlite.org/fileformat.html#the_write_ahead_log, read 2026-11-22.
	const headerLen, frameHeaderLen = 32, 24
	log, err := os.ReadFile(cfg.SQLitePath + "-wal")
	must(t, err)
	if len(log) < headerLen {
		return 0
	}
	frameLen := frameHeaderLen + int(binary.BigEndian.Uint32(log[8:]))
	salt := string(log[16:24])
	n := 0
	for frames := log[headerLen:]; len(frames) >= frameLen && string(frames[8:16]) == salt; frames = frames[frameLen:] {
		if binary.BigEndian.Uint32(frames[4:]) != 0 { // the size of the database after a commit
			n++
		}
	}
	return n
}

// TestOneFailureInACommitHurtsNobodyElse lets writes that fail wait together with writes that do not.
func TestOneFailureInACommitHurtsNobodyElse(t *testing.T) {
	t.Parallel()
	const writes = 100
	cfg := dbtest.SQLite(t)
	store := open(t, cfg)
	_, err := store.CreateUser(t.Context(), newUser("taken"))
	must(t, err)
	unlock := lock(t, cfg)
	users, errs := make([]auth.NewUser, writes), make([]error, writes)
	var group sync.WaitGroup
	for i := range users {
		users[i] = newUser(fmt.Sprintf("user%d", i))
		if i%2 == 1 { // the user is inserted and then taken back: the second statement fails
			users[i].Session.ID = 1 << 45
		}
		if i%5 == 0 {
			users[i].Username = "taken"
		}
		group.Go(func() { _, errs[i] = store.CreateUser(context.Background(), users[i]) })
	}
	time.Sleep(200 * time.Millisecond)
	unlock()
	group.Wait()
	sessions := 0 // of those with one id the first succeeds
	for i, err := range errs {
		_, taken := errors.AsType[*auth.TakenError](err)
		switch {
		case i%5 == 0:
			if !taken {
				t.Errorf("user %d: got error %v, want a *auth.TakenError", i, err)
			}
			continue
		case i%2 == 1 && err == nil:
			sessions++
		case i%2 == 1 && !errors.Is(err, auth.ErrSessionIDTaken), i%2 == 0 && err != nil:
			t.Errorf("user %d: %v", i, err)
		}
		if exists(t, store, users[i].Username) != (err == nil) {
			t.Errorf("user %d: got error %v, and the opposite in the database", i, err)
		}
	}
	if sessions != 1 {
		t.Errorf("%d sessions with one id began, want 1", sessions)
	}
}

// lock keeps everybody from writing until the returned function is called.
func lock(t *testing.T, cfg sqlstore.Config) (unlock func()) {
	t.Helper()
	conn, err := raw(t, cfg).Conn(context.Background())
	must(t, err)
	_, err = conn.ExecContext(context.Background(), "BEGIN IMMEDIATE")
	must(t, err)
	var once sync.Once
	unlock = func() {
		once.Do(func() {
			_, _ = conn.ExecContext(context.Background(), "ROLLBACK")
			_ = conn.Close()
		})
	}
	t.Cleanup(unlock)
	return unlock
}

// TestLockedDatabaseIsUnavailable: as when somebody looks into it with another program and forgets to commit.
func TestLockedDatabaseIsUnavailable(t *testing.T) {
	t.Parallel()
	cfg := dbtest.SQLite(t)
	store := open(t, cfg)
	_, err := store.CreateUser(t.Context(), newUser("before"))
	must(t, err)
	unlock := lock(t, cfg)

	begun := time.Now()
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if i%2 == 1 { // a client that goes away
				time.AfterFunc(100*time.Millisecond, cancel)
			}
			_, err := store.CreateUser(ctx, newUser(fmt.Sprintf("late%d", i)))
			if i%2 == 1 {
				if !errors.Is(err, context.Canceled) {
					t.Errorf("got error %v, want %v", err, context.Canceled)
				}
				return
			}
			expectUnavailable(t, err)
		})
	}
	if !exists(t, store, "before") {
		t.Error("a locked database cannot be read")
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("reading took %v", took)
	}
	group.Wait()
	expectUnavailable(t, store.Ping(context.Background()))
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %v to say twice that the database cannot be written", took)
	}

	unlock()
	_, err = store.CreateUser(context.Background(), newUser("after"))
	must(t, err)
	for i := range 20 {
		if name := fmt.Sprintf("late%d", i); exists(t, store, name) {
			t.Errorf("%s was told that it failed, and was written all the same", name)
		}
	}
}

// TestCloseDoesNotWaitForTheAbandoned: each write that still waited for a lock would wait again.
func TestCloseDoesNotWaitForTheAbandoned(t *testing.T) {
	t.Parallel()
	cfg := dbtest.SQLite(t)
	store := open(t, cfg)
	must(t, store.Ping(t.Context()))
	lock(t, cfg)
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			_, err := store.CreateUser(context.Background(), newGuest())
			expectUnavailable(t, err)
		})
	}
	group.Wait()
	begun := time.Now()
	must(t, store.Close())
	if took := time.Since(begun); took > 8*time.Second {
		t.Errorf("closing took %v", took)
	}
}

// TestTwoProgramsWriteOneFile: the command line writes while the service runs.
func TestTwoProgramsWriteOneFile(t *testing.T) {
	t.Parallel()
	cfg := dbtest.SQLite(t)
	stores := []*sqlstore.Store{open(t, cfg), open(t, cfg)}
	var group sync.WaitGroup
	for i := range 40 {
		group.Go(func() {
			_, err := stores[i%2].CreateUser(context.Background(), newUser(fmt.Sprintf("user%d", i)))
			if err != nil {
				t.Errorf("user %d: %v", i, err)
				return
			}
			if !exists(t, stores[(i+1)%2], fmt.Sprintf("user%d", i)) {
				t.Errorf("user %d was created by one program and is not there for the other", i)
			}
		})
	}
	group.Wait()
}
