package auth_test

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ideaegg/latchkey/internal/auth"
)

// confirmedAt is when the caches of these tests are confirmed; it is now for most of them.
var confirmedAt = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newCache() *auth.SessionCache {
	c := auth.NewSessionCache()
	c.Confirm(confirmedAt)
	return c
}

// stored is a session and its user as a database holds them. The version is told by the user's fullname.
func stored(id auth.SessionID, user auth.UserID, fullname string) (auth.Session, auth.User) {
	return auth.Session{ID: id, UserID: user, ExpiresAt: confirmedAt.Add(time.Hour)}, auth.User{ID: user, Fullname: fullname}
}

func load(c *auth.SessionCache, id auth.SessionID, user auth.UserID, fullname string) {
	began := c.BeginLoad()
	s, u := stored(id, user, fullname)
	c.EndLoad(began, s, u)
}

func wantCached(t *testing.T, c *auth.SessionCache, id auth.SessionID, fullname string) {
	t.Helper()
	got, ok := c.Find(id, confirmedAt)
	if !ok {
		t.Errorf("session %d is not answered from the cache, want it", id)
		return
	}
	if got.Session.ID != id || got.User.Fullname != fullname {
		t.Errorf("got session %d of %q, want %d of %q", got.Session.ID, got.User.Fullname, id, fullname)
	}
}

func wantNotCached(t *testing.T, c *auth.SessionCache, id auth.SessionID) {
	t.Helper()
	if got, ok := c.Find(id, confirmedAt); ok {
		t.Errorf("got session %d of %q from the cache, want nothing", got.Session.ID, got.User.Fullname)
	}
}

// TestLoadOvertakenByAChangeIsNotKept goes through the orders in which a load and a change of its user can meet.
func TestLoadOvertakenByAChangeIsNotKept(t *testing.T) {
	t.Parallel()
	const user, other = auth.UserID(7), auth.UserID(8)
	tests := []struct {
		name      string
		meanwhile func(*auth.SessionCache) // between the beginning of the load and its end
		kept      bool
	}{
		{name: "nothing happens", meanwhile: func(*auth.SessionCache) {}, kept: true},
		{name: "the user changes", meanwhile: func(c *auth.SessionCache) { c.Invalidate(user) }},
		{name: "another user changes", meanwhile: func(c *auth.SessionCache) { c.Invalidate(other) }, kept: true},
		{name: "the user changes among others", meanwhile: func(c *auth.SessionCache) {
			c.Invalidate(other)
			c.Invalidate(user)
			c.Invalidate(other)
		}},
		{name: "the user changes, and then as many others as are remembered", meanwhile: func(c *auth.SessionCache) {
			c.Invalidate(user)
			for range auth.RecentChanges - 1 {
				c.Invalidate(other)
			}
		}},
		{name: "the user changes, and then more others than are remembered", meanwhile: func(c *auth.SessionCache) {
			c.Invalidate(user)
			for range auth.RecentChanges {
				c.Invalidate(other)
			}
		}},
		{name: "as many others change as are remembered", meanwhile: func(c *auth.SessionCache) {
			for range auth.RecentChanges {
				c.Invalidate(other)
			}
		}, kept: true},
		{name: "more others change than are remembered", meanwhile: func(c *auth.SessionCache) {
			for range auth.RecentChanges + 1 {
				c.Invalidate(other)
			}
		}},
		{name: "everything is dropped", meanwhile: (*auth.SessionCache).Clear},
		{name: "another load ends before the change", meanwhile: func(c *auth.SessionCache) {
			load(c, 1, user, "old")
			c.Invalidate(user)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newCache()
			began := c.BeginLoad()
			session, u := stored(1, user, "old")
			tt.meanwhile(c)
			c.EndLoad(began, session, u)
			if tt.kept {
				wantCached(t, c, 1, "old")
			} else {
				wantNotCached(t, c, 1)
			}
			c.Invalidate(user)
			wantNotCached(t, c, 1)
			load(c, 1, user, "new")
			wantCached(t, c, 1, "new")
			if err := c.CheckBooks(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestChangeDropsEverySessionOfTheUserAndNoOther(t *testing.T) {
	t.Parallel()
	c := newCache()
	for id := auth.SessionID(1); id <= 300; id++ {
		load(c, id, auth.UserID(id%3), "read")
	}
	c.Invalidate(1)
	for id := auth.SessionID(1); id <= 300; id++ {
		if id%3 == 1 {
			wantNotCached(t, c, id)
		} else {
			wantCached(t, c, id, "read")
		}
	}
}

func TestNothingIsAnsweredFromACacheThatWasNotConfirmedLately(t *testing.T) {
	t.Parallel()
	c := auth.NewSessionCache()
	load(c, 1, 1, "read")
	wantNotCached(t, c, 1) // never confirmed

	c.Confirm(confirmedAt)
	tests := []struct {
		name string
		at   time.Duration // after the confirmation
		want bool
	}{
		{name: "at the moment", at: 0, want: true},
		{name: "after 249.999999999 ms", at: auth.CacheFreshness - 1, want: true},
		{name: "after exactly 250 ms", at: auth.CacheFreshness, want: true},
		{name: "after 250.000000001 ms", at: auth.CacheFreshness + 1},
		{name: "after a day", at: 24 * time.Hour},
		{name: "a moment before, for a request that came first", at: -time.Millisecond, want: true},
		{name: "long before, since the clock was set back", at: -auth.CacheFreshness - 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, ok := c.Find(1, confirmedAt.Add(tt.at)); ok != tt.want {
				t.Errorf("got %v from the cache, want %v", ok, tt.want)
			}
		})
	}
}

func TestConfirmingAgainMakesWhatWasKeptUsable(t *testing.T) {
	t.Parallel()
	c := newCache()
	load(c, 1, 1, "read")
	later := confirmedAt.Add(time.Minute)
	if _, ok := c.Find(1, later); ok {
		t.Error("got an answer a minute after the confirmation, want none")
	}
	c.Confirm(later)
	if _, ok := c.Find(1, later); !ok {
		t.Error("got no answer after another confirmation, want one")
	}
}

func TestClearDropsEverything(t *testing.T) {
	t.Parallel()
	c := newCache()
	for id := auth.SessionID(1); id <= 1000; id++ {
		load(c, id, auth.UserID(id/2), "read")
	}
	c.Clear()
	if sessions, users := c.Size(); sessions != 0 || users != 0 {
		t.Errorf("got %d sessions of %d users, want none", sessions, users)
	}
	load(c, 1, 1, "read again")
	wantCached(t, c, 1, "read again")
}

// TestCacheIsBounded loads more sessions than the cache may keep, each of another user, and users that change.
func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	c := newCache()
	for id := auth.SessionID(1); id <= 3*auth.CacheCapacity/2; id++ {
		load(c, id, auth.UserID(id), "read")
		if id%3 == 0 {
			c.Invalidate(auth.UserID(id))
		}
	}
	if err := c.CheckBooks(); err != nil {
		t.Error(err)
	}
	sessions, users := c.Size()
	if sessions > auth.CacheCapacity || users > sessions {
		t.Errorf("got %d sessions of %d users, want at most %d", sessions, users, auth.CacheCapacity)
	}
	if sessions < auth.CacheCapacity*9/10 {
		t.Errorf("got %d sessions, want the shards used evenly, up to %d in all", sessions, auth.CacheCapacity)
	}
}

// TestCacheAgreesWithAModel does what comes to rapid's mind to a cache that is full in one place, and compares with a
// map. The cache may have forgotten a session, but must not answer with anything else than the model.
func TestCacheAgreesWithAModel(t *testing.T) {
	t.Parallel()
	const room = auth.CacheCapacity / auth.CacheShards
	var ids []auth.SessionID // of one shard
	for c, id := auth.NewSessionCache(), auth.SessionID(1); len(ids) < room+20; id++ {
		if c.ShardOf(id) == 0 {
			ids = append(ids, id)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		c := newCache()
		model := make(map[auth.SessionID]string) // what may be answered
		owners := make(map[auth.SessionID]auth.UserID)
		for _, id := range ids[20:] {
			load(c, id, 1000, "first")
			model[id], owners[id] = "first", 1000
		}
		type underWay struct {
			began    int64
			id       auth.SessionID
			user     auth.UserID
			fullname string
			overrun  bool
		}
		var loads []*underWay
		version := 0
		forget := func(gone func(auth.UserID) bool) {
			for id, user := range owners {
				if gone(user) {
					delete(model, id)
					delete(owners, id)
				}
			}
			for _, l := range loads {
				l.overrun = l.overrun || gone(l.user)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"begin a load": func(t *rapid.T) {
				version++
				id := rapid.SampledFrom(ids[:25]).Draw(t, "session")
				loads = append(loads, &underWay{
					began: c.BeginLoad(), id: id, user: auth.UserID(id % 5), fullname: string(rune('a' + version%26)),
				})
			},
			"end a load": func(t *rapid.T) {
				if len(loads) == 0 {
					t.Skip("none is under way")
				}
				i := rapid.IntRange(0, len(loads)-1).Draw(t, "load")
				l := loads[i]
				loads = append(loads[:i:i], loads[i+1:]...)
				s, u := stored(l.id, l.user, l.fullname)
				c.EndLoad(l.began, s, u)
				if !l.overrun {
					model[l.id], owners[l.id] = l.fullname, l.user
				}
			},
			"change a user": func(t *rapid.T) {
				user := auth.UserID(rapid.IntRange(0, 5).Draw(t, "user"))
				c.Invalidate(user)
				forget(func(u auth.UserID) bool { return u == user })
			},
			"drop everything": func(*rapid.T) {
				c.Clear()
				forget(func(auth.UserID) bool { return true })
			},
			"": func(t *rapid.T) {
				for _, id := range ids[:30] {
					got, ok := c.Find(id, confirmedAt)
					if want, known := model[id]; ok && (!known || got.User.Fullname != want) {
						t.Fatalf("got %q for session %d, want %q (known: %v)", got.User.Fullname, id, want, known)
					}
				}
				if err := c.CheckBooks(); err != nil {
					t.Fatal(err)
				}
			},
		})
	})
}

// TestNoStaleSessionWhateverTheRace has goroutines change users, load and ask at the same time. Whoever asks after a
// change was acknowledged must not see what was before it.
func TestNoStaleSessionWhateverTheRace(t *testing.T) {
	t.Parallel()
	const users, sessionsEach = 8, 3
	var database, acknowledged [users]atomic.Int64 // versions; the second follows the first
	c := newCache()
	end := time.Now().Add(2 * time.Second)
	var hits, changes atomic.Int64

	var work sync.WaitGroup
	for range 2 { // nodes' writes: the store invalidates before it acknowledges
		work.Go(func() {
			for time.Now().Before(end) {
				user := rand.IntN(users)
				v := database[user].Add(1)
				c.Invalidate(auth.UserID(user))
				for seen := acknowledged[user].Load(); seen < v && !acknowledged[user].CompareAndSwap(seen, v); {
					seen = acknowledged[user].Load()
				}
				changes.Add(1)
				if rand.IntN(200) == 0 {
					c.Clear()
				}
				if rand.IntN(4) == 0 { // so that there is something to answer now and then
					time.Sleep(time.Duration(rand.IntN(100)) * time.Microsecond)
				}
			}
		})
	}
	for range 6 {
		work.Go(func() {
			for time.Now().Before(end) {
				user := rand.IntN(users)
				id := auth.SessionID(1 + user*sessionsEach + rand.IntN(sessionsEach))
				atLeast := acknowledged[user].Load()
				if got, ok := c.Find(id, confirmedAt); ok {
					hits.Add(1)
					if version := got.User.CreatedAt.UnixMicro(); version < atLeast {
						t.Errorf("got version %d of user %d after %d was acknowledged", version, user, atLeast)
						return
					}
					continue
				}
				began := c.BeginLoad()
				version := database[user].Load()
				if rand.IntN(4) == 0 {
					time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
				}
				session, u := stored(id, auth.UserID(user), "")
				u.CreatedAt = time.UnixMicro(version)
				c.EndLoad(began, session, u)
			}
		})
	}
	work.Wait()
	if hits.Load() < 100 || changes.Load() < 100 {
		t.Errorf("got %d answers and %d changes, want hundreds: the test shows nothing", hits.Load(), changes.Load())
	}
	if err := c.CheckBooks(); err != nil {
		t.Error(err)
	}
}

// TestLoadsDuringClearAreKeptOrForgottenWhole has loads end while everything is dropped. A user of whom half is left
// would never be answered from memory again.
func TestLoadsDuringClearAreKeptOrForgottenWhole(t *testing.T) {
	t.Parallel()
	const users = 16
	c := newCache()
	end := time.Now().Add(500 * time.Millisecond)
	var work sync.WaitGroup
	work.Go(func() {
		for time.Now().Before(end) {
			c.Clear()
		}
	})
	for range 3 {
		work.Go(func() {
			for time.Now().Before(end) {
				user := rand.IntN(users)
				load(c, auth.SessionID(1+user), auth.UserID(user), "read")
			}
		})
	}
	work.Wait()
	if err := c.CheckBooks(); err != nil {
		t.Error(err)
	}
	for user := range users {
		load(c, auth.SessionID(1+user), auth.UserID(user), "read again")
		wantCached(t, c, auth.SessionID(1+user), "read again")
	}
}
