package sqlstore_test

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

// heard is a cache that writes down what it is told. Numbers are users, in the order in which they were named.
type heard struct {
	onClear func() // called by Clear, nil for nothing

	mu        sync.Mutex
	users     []auth.UserID
	cleared   int
	confirmed time.Time
}

func (h *heard) Invalidate(user auth.UserID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.users = append(h.users, user)
}

func (h *heard) Confirm(at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.confirmed = at
}

func (h *heard) Clear() {
	h.mu.Lock()
	h.cleared++
	onClear := h.onClear
	h.mu.Unlock()
	if onClear != nil {
		onClear()
	}
}

// take returns what was heard since the last time.
func (h *heard) take() (users []auth.UserID, cleared int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	users, cleared = h.users, h.cleared
	h.users, h.cleared = nil, 0
	return users, cleared
}

// following is a follower that a test moves by hand, with a clock that only the test moves.
type following struct {
	*sqlstore.Follower
	t     *testing.T
	store *sqlstore.Store
	cache *heard
	now   time.Time
}

// follow opens a database with a follower that has looked once.
func follow(t *testing.T, cfg sqlstore.Config) *following {
	t.Helper()
	f := &following{t: t, cache: new(heard), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	cfg.Cache, cfg.Now, cfg.Logger = f.cache, func() time.Time { return f.now }, slog.New(slog.DiscardHandler)
	var err error
	if f.store, err = sqlstore.Open(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.store.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	f.Follower = sqlstore.NewFollower(f.store)
	f.look()
	f.cache.take()
	return f
}

// write commits one invalidation with the number as its user.
func (f *following) write(numbers ...int64) {
	f.t.Helper()
	for _, seq := range numbers {
		f.writeRange(auth.UserID(seq), seq, seq)
	}
}

func (f *following) writeRange(user auth.UserID, from, to int64) {
	f.t.Helper()
	if err := f.store.WriteInvalidations(f.t.Context(), f.now, user, from, to); err != nil {
		f.t.Fatal(err)
	}
}

// look looks once; that must succeed and be confirmed with the time at which it began.
func (f *following) look() {
	f.t.Helper()
	if err := f.Look(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	if !f.cache.confirmed.Equal(f.now) {
		f.t.Errorf("confirmed %v, want %v", f.cache.confirmed, f.now)
	}
}

// wantHeard looks and compares what the cache was told.
func (f *following) wantHeard(want ...auth.UserID) {
	f.t.Helper()
	f.look()
	got, cleared := f.cache.take()
	if diff := cmp.Diff(want, got); diff != "" {
		f.t.Errorf("users (-want +got):\n%s", diff)
	}
	if cleared != 0 {
		f.t.Errorf("the cache was cleared %d times, want never", cleared)
	}
}

// wantAnew looks and wants the cache cleared before it is told of the users, if any.
func (f *following) wantAnew(want ...auth.UserID) {
	f.t.Helper()
	f.look()
	got, cleared := f.cache.take()
	if cleared == 0 {
		f.t.Error("the cache was not cleared, want it")
	}
	for _, user := range want {
		if !slices.Contains(got, user) {
			f.t.Errorf("user %d was not passed on, want it", user)
		}
	}
}

func TestFollowPassesEachChangeOnOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		f := follow(t, cfg)
		f.wantHeard()
		f.write(1, 2)
		f.wantHeard(1, 2)
		f.wantHeard()
		f.write(3)
		f.wantHeard(3)
	})
}

// TestFollowWaitsForLowerNumbers writes numbers in the order in which slow transactions may commit them.
func TestFollowWaitsForLowerNumbers(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		f := follow(t, cfg)
		f.write(1, 5)
		f.wantHeard(1, 5)
		f.write(3)
		f.wantHeard(3)
		f.write(6)
		f.wantHeard(6)
		f.now = f.now.Add(sqlstore.GapPatience) // to the last moment
		f.write(2)
		f.wantHeard(2)
		f.write(4)
		f.wantHeard(4)
		f.wantHeard()
	})
}

// TestFollowGivesLostNumbersUp is about numbers of transactions that were rolled back: they never come, and waiting for
// them costs reading again what stands behind them.
func TestFollowGivesLostNumbersUp(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		f := follow(t, cfg)
		f.write(10)
		f.wantHeard(10)
		if got := f.Gaps(); got != 9 {
			t.Errorf("got %d numbers waited for, want 9", got)
		}
		f.now = f.now.Add(sqlstore.GapPatience + time.Microsecond)
		f.wantHeard()
		if got := f.Gaps(); got != 0 {
			t.Errorf("got %d numbers waited for after %v, want none", got, sqlstore.GapPatience)
		}
		f.write(12)
		f.wantHeard(12)
	})
}

// TestFollowHearsOfTransactionsThatWereUnderWay holds real transactions open: they have their numbers before they commit.
func TestFollowHearsOfTransactionsThatWereUnderWay(t *testing.T) {
	t.Parallel()
	cfg := dbtest.Postgres(t)
	f := follow(t, cfg)
	const number = "INSERT INTO invalidations (user_id, created_at) VALUES ($1, 0)"
	begin := func(user int) pgx.Tx {
		conn, err := pgx.Connect(t.Context(), cfg.PostgresURL)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
		tx, err := conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), number, user); err != nil {
			t.Fatal(err)
		}
		return tx
	}
	end := func(how func(context.Context) error) {
		t.Helper()
		if err := how(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	first, second, third, fourth := begin(1), begin(2), begin(3), begin(4)
	f.wantHeard()
	end(third.Commit)
	f.wantHeard(3)
	f.wantHeard()
	end(second.Rollback)
	f.wantHeard()
	end(first.Commit)
	f.wantHeard(1)
	end(fourth.Commit)
	f.wantHeard(4)
	if got := f.Gaps(); got != 1 {
		t.Errorf("got %d numbers waited for, want the one that was rolled back", got)
	}

	// A follower that begins now does not know what is under way, and hears of it all the same.
	late := begin(5)
	end(begin(6).Commit)
	f.Follower = sqlstore.NewFollower(f.store)
	f.look()
	f.cache.take()
	end(late.Commit)
	f.wantHeard(5)
}

func TestFollowReadsMoreThanABatch(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		f := follow(t, cfg)
		const last = 2*sqlstore.FollowBatch + 2
		f.writeRange(7, 2, sqlstore.FollowBatch) // without the first, so that everything is read again
		f.wantHeard(slices.Repeat([]auth.UserID{7}, sqlstore.FollowBatch-1)...)
		f.writeRange(8, sqlstore.FollowBatch+1, last)
		f.writeRange(9, 1, 1)
		f.wantHeard(append([]auth.UserID{9}, slices.Repeat([]auth.UserID{8}, last-sqlstore.FollowBatch)...)...)
	})
}

// TestFollowSurvivesAJumpOfTheNumbers is about a sequence that somebody has set: what is missing is not worth knowing.
func TestFollowSurvivesAJumpOfTheNumbers(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		f := follow(t, cfg)
		f.write(1, 2)
		f.wantHeard(1, 2)
		const far = int64(1) << 40
		f.write(far)
		f.wantAnew(auth.UserID(far))
		if got := f.Gaps(); got > sqlstore.MaxGaps {
			t.Errorf("got %d numbers waited for, want at most %d", got, sqlstore.MaxGaps)
		}
		f.write(far + 2)
		f.wantHeard(auth.UserID(far + 2))
		f.write(far + 1)
		f.wantHeard(auth.UserID(far + 1))
	})
}

// TestFollowBeginsAnewWhenItHasSleptTooLong is about a node that was away for so long that what it missed may have been
// cleaned up.
func TestFollowBeginsAnewWhenItHasSleptTooLong(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		f := follow(t, cfg)
		f.write(1)
		f.wantHeard(1)
		f.write(2)
		f.now = f.now.Add(sqlstore.InvalidationsKept / 2)
		f.wantHeard(2)
		f.write(3)
		f.now = f.now.Add(sqlstore.InvalidationsKept/2 + time.Microsecond)
		f.wantAnew()
		f.write(4)
		f.wantHeard(4)
	})
}

// TestCleanUpKeepsWhatAFollowerMayStillNeed has the rows cleaned up at the last moment at which a follower does not yet
// begin anew.
func TestCleanUpKeepsWhatAFollowerMayStillNeed(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		f := follow(t, cfg)
		f.write(1)
		f.now = f.now.Add(sqlstore.InvalidationsKept / 2)
		if _, err := f.store.CleanUp(t.Context(), auth.Due{Now: f.now}, 100); err != nil {
			t.Fatal(err)
		}
		f.wantHeard(1)
		f.now = f.now.Add(sqlstore.InvalidationsKept)
		if n, err := f.store.CleanUp(t.Context(), auth.Due{Now: f.now}, 100); n != 1 || err != nil {
			t.Errorf("got %d rows cleaned up (%v), want the one that is old", n, err)
		}
		f.look()
		f.cache.take()
		f.write(2)
		f.wantHeard(2)
	})
}

// TestFollowMissesNothingWhileItBegins has a crowd of changes happen at the moment at which a follower clears the cache
// to begin. A session that is loaded just before them would otherwise be kept for ever.
func TestFollowMissesNothingWhileItBegins(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		f := follow(t, cfg)
		f.Follower = sqlstore.NewFollower(f.store)
		f.cache.onClear = func() {
			f.cache.onClear = nil
			f.writeRange(1, 1, 1)
			f.writeRange(2, 2, 2+2*sqlstore.FollowFrom)
		}
		f.wantAnew(1, 2)
	})
}

// TestFollowBeginsAnewAfterTrouble is about a standby that took over without the last numbers of its predecessor: it
// gives them out again.
func TestFollowBeginsAnewAfterTrouble(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		f := follow(t, cfg)
		f.writeRange(1, 1, 100)
		f.look()
		f.cache.take()

		ended, end := context.WithCancel(t.Context())
		end()
		confirmed := f.cache.confirmed
		f.now = f.now.Add(time.Second)
		if err := f.Look(ended); err == nil {
			t.Fatal("a look without a database succeeded")
		}
		if f.cache.confirmed != confirmed {
			t.Error("a look without a database was confirmed")
		}
		if err := f.store.ForgetInvalidations(t.Context(), 90); err != nil {
			t.Fatal(err)
		}
		f.writeRange(2, 91, 95)
		f.wantAnew(2)
		f.write(96)
		f.wantHeard(96)
	})
}

// TestFollowConfirmsNothingWithoutADatabase closes the database under Follow.
func TestFollowConfirmsNothingWithoutADatabase(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		cache := new(heard)
		cfg.Cache, cfg.Logger = cache, slog.New(slog.DiscardHandler)
		store, err := sqlstore.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { store.Follow(ctx) })
		confirmed := func() time.Time {
			cache.mu.Lock()
			defer cache.mu.Unlock()
			return cache.confirmed
		}
		for end := time.Now().Add(10 * time.Second); confirmed().IsZero(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("Follow confirmed nothing for 10 s")
			}
		}
		if err := store.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		last := confirmed()
		time.Sleep(300 * time.Millisecond)
		if got := confirmed(); got.Sub(last) > 100*time.Millisecond { // one that was under way
			t.Errorf("confirmed %v after the database was closed, want it never", got.Sub(last))
		}
		stop()
		running.Wait()
	})
}

// TestEveryChangeOfAUserIsPassedOn goes through what ends a session or is seen in one. Another node must hear of each.
func TestEveryChangeOfAUserIsPassedOn(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		f := follow(t, cfg)
		origin := auth.Origin{Address: netip.MustParseAddr("192.0.2.1")}
		nextSession := auth.SessionID(0)
		session := func() auth.Session {
			nextSession++
			return auth.Session{
				ID: nextSession, TokenHash: auth.TokenHash{byte(nextSession)}, CreatedAt: f.now, LastUsedAt: f.now,
				ExpiresAt: f.now.Add(time.Hour), Origin: origin,
			}
		}
		create := func(name string, guest bool) auth.User {
			t.Helper()
			n := auth.NewUser{Username: name, Profile: auth.Profile{Fullname: name}, Guest: guest, Language: auth.English, Now: f.now, Session: session()}
			if !guest {
				n.PasswordHash, n.Email = "hash", &auth.Email{Address: name + "@example.com", Key: name + "@example.com"}
			}
			user, err := f.store.CreateUser(t.Context(), n)
			if err != nil {
				t.Fatal(err)
			}
			return user
		}
		user, guest := create("user", false), create("guest", true)
		f.wantHeard() // a new user is in no cache

		fullname := "Another Name"
		changes := []struct {
			name string
			user auth.UserID
			do   func(context.Context) error
		}{
			{"sign-out", user.ID, func(ctx context.Context) error { return f.store.RevokeSession(ctx, user.ID, 1) }},
			{"end of the other sessions", user.ID, func(ctx context.Context) error { return f.store.RevokeOtherSessions(ctx, user.ID, 1) }},
			{"profile", user.ID, func(ctx context.Context) error {
				_, err := f.store.UpdateProfile(ctx, user.ID, auth.ProfileChange{Fullname: &fullname})
				return err
			}},
			{"password", user.ID, func(ctx context.Context) error {
				_, err := f.store.ChangePassword(ctx, auth.PasswordChange{UserID: user.ID, Verified: "hash", New: "other", Now: f.now, Session: session()})
				return err
			}},
			{"disabling", user.ID, func(ctx context.Context) error { return f.store.SetStatus(ctx, user.ID, auth.StatusDisabled) }},
			{"enabling", user.ID, func(ctx context.Context) error { return f.store.SetStatus(ctx, user.ID, auth.StatusActive) }},
			{"more sessions than a user may have", user.ID, func(ctx context.Context) error {
				for range auth.MaxSessions { // one is left of the change of password
					if _, err := f.store.CreateSession(ctx, auth.SignIn{UserID: user.ID, Session: session()}); err != nil {
						return err
					}
				}
				return nil
			}},
			{"deletion", user.ID, func(ctx context.Context) error { return f.store.DeleteUser(ctx, user.ID, "other", f.now) }},
			{"upgrade of a guest", guest.ID, func(ctx context.Context) error {
				_, err := f.store.UpgradeGuest(ctx, auth.GuestUpgrade{UserID: guest.ID, Username: "upgraded", PasswordHash: "hash", Now: f.now, Session: session()})
				return err
			}},
		}
		for _, c := range changes {
			f.cache.take()
			if err := c.do(t.Context()); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			// Once by the store that did it, before it returned, and once as another node hears of it.
			if got, _ := f.cache.take(); !slices.Equal(got, []auth.UserID{c.user}) {
				t.Errorf("%s: got %v on the node itself, want user %d", c.name, got, c.user)
			}
			f.look()
			if got, _ := f.cache.take(); !slices.Equal(got, []auth.UserID{c.user}) {
				t.Errorf("%s: got %v on another node, want user %d", c.name, got, c.user)
			}
		}
	})
}

// TestRowsAboutNobodyReachNoCache: what writes one to take as long as a change must not fill the memory of recent changes.
func TestRowsAboutNobodyReachNoCache(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		f := follow(t, cfg)
		f.writeRange(0, 1, 3)
		f.write(4)
		f.writeRange(0, 6, 6)
		f.write(5)
		f.look()
		if users, cleared := f.cache.take(); cleared != 0 || !slices.Equal(users, []auth.UserID{4, 5}) {
			t.Errorf("got %v and %d times everything, want the users 4 and 5", users, cleared)
		}
	})
}
