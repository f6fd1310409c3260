package auth

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// cacheFreshness is how old the last look at the invalidations may be while the cache is used. It bounds the time in
	// which a session that another node ended is still accepted here.
	cacheFreshness = 250 * time.Millisecond
	cacheShards    = 64
	// cacheCapacity bounds the cache to some 95 MiB, a third of it answers that are ready to be sent. A session that is not in
	// it costs a query by primary key.
	cacheCapacity = 100_000
	// recentChanges is how many changes of users are remembered for loads under way. A load that is overtaken by more
	// than that is not kept.
	recentChanges = 4096
)

// SessionCache keeps sessions that were verified, so that verifying them again asks no database. Its rules:
//
//   - What is known of a user is dropped before the change of that user is acknowledged (Invalidate), on this node by the
//     store that makes the change, for other nodes by whoever follows the invalidations.
//   - What was read before a change is never kept after it: a load notes where the changes stand before it reads.
//   - Without a look at the invalidations within the last 250 ms (Confirm) nothing is answered from it.
//
// The zero value is not usable; see NewSessionCache. It is safe for concurrent use.
type SessionCache struct {
	confirmed atomic.Pointer[time.Time]
	shards    [cacheShards]cacheShard

	mu      sync.Mutex
	users   map[UserID][]*cachedSession // that may be answered; none is empty
	changes int64                       // how many there were
	recent  [recentChanges]UserID       // change n stands at n % recentChanges
}

type cacheShard struct {
	mu       sync.Mutex
	sessions map[SessionID]*cachedSession
	_        [64 - 16]byte // to a cache line of its own: cores that look into two shards do not disturb each other
}

// cachedSession is a session and its user as they were read, nil once anything about the user has changed: then it never
// comes back. Only the session's use moves on, by another Current.
type cachedSession struct {
	user    UserID
	current atomic.Pointer[Current]
}

// replace puts what the session is from now on in the place of what it was, unless that is worthless by now.
func (e *cachedSession) replace(was, is *Current) { e.current.CompareAndSwap(was, is) }

// NewSessionCache returns an empty cache, which answers nothing before the first Confirm.
func NewSessionCache() *SessionCache {
	c := &SessionCache{users: make(map[UserID][]*cachedSession)}
	for i := range c.shards {
		c.shards[i].sessions = make(map[SessionID]*cachedSession)
	}
	return c
}

// Confirm says that every change that was acknowledged before at has been passed to Invalidate.
func (c *SessionCache) Confirm(at time.Time) { c.confirmed.Store(&at) }

// Invalidate drops what is known of the user, and keeps loads that began before from being kept.
func (c *SessionCache) Invalidate(user UserID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recent[c.changes%recentChanges] = user
	c.changes++
	for _, e := range c.users[user] {
		e.current.Store(nil)
	}
	delete(c.users, user)
}

// Clear drops everything, for when changes may have been missed.
func (c *SessionCache) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()            // to the end: a load that ends between the two parts would lose its session and leave its user
	c.changes += recentChanges + 1 // overtakes every load under way
	for _, sessions := range c.users {
		for _, e := range sessions {
			e.current.Store(nil)
		}
	}
	clear(c.users)
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		clear(s.sessions)
		s.mu.Unlock()
	}
}

// isFresh says whether a look that began at the given time still counts at now. Both clocks are asked: the wall clock may
// be set back, and the monotonic one stands still while the machine sleeps.
func isFresh(at, now time.Time) bool {
	monotonic, wall := now.Sub(at), now.Round(0).Sub(at.Round(0))
	return monotonic.Abs() <= cacheFreshness && wall.Abs() <= cacheFreshness
}

// find returns the session if it is known and may be answered from memory at now, and where it is kept; otherwise nil.
func (c *SessionCache) find(id SessionID, now time.Time) (*Current, *cachedSession) {
	if at := c.confirmed.Load(); at == nil || !isFresh(*at, now) {
		return nil, nil
	}
	s := c.shard(id)
	s.mu.Lock()
	e := s.sessions[id]
	s.mu.Unlock()
	if e == nil {
		return nil, nil
	}
	return e.current.Load(), e
}

// beginLoad notes where the changes stand. It is called before the database is read.
func (c *SessionCache) beginLoad() (began int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changes
}

// endLoad keeps what was read, unless its user changed since the load began.
func (c *SessionCache) endLoad(began int64, current *Current) {
	session, user := current.Session.ID, current.User.ID
	e := &cachedSession{user: user}
	e.current.Store(current)

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes-began > recentChanges {
		return
	}
	for n := began; n < c.changes; n++ {
		if c.recent[n%recentChanges] == user {
			return
		}
	}

	s := c.shard(session)
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.sessions[session]; ok {
		c.release(old)
	} else if len(s.sessions) >= cacheCapacity/cacheShards {
		for id, victim := range s.sessions { // any one: the order of a map is random
			delete(s.sessions, id)
			c.release(victim)
			break
		}
	}
	s.sessions[session] = e
	c.users[user] = append(c.users[user], e)
}

// release forgets that the session may be answered. c.mu is held.
func (c *SessionCache) release(e *cachedSession) {
	kept := slices.DeleteFunc(c.users[e.user], func(other *cachedSession) bool { return other == e })
	if len(kept) == 0 {
		delete(c.users, e.user)
		return
	}
	c.users[e.user] = kept
}

func (c *SessionCache) shard(id SessionID) *cacheShard {
	return &c.shards[uint64(id)*0x9e3779b97f4a7c15>>58] // the ids of one millisecond differ in their low bits
}
