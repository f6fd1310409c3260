package auth

import (
	"fmt"
	"time"
)

// What the tests of SessionCache see of it.
const (
	CacheFreshness = cacheFreshness
	CacheCapacity  = cacheCapacity
	CacheShards    = cacheShards
	RecentChanges  = recentChanges
)

// ShardOf returns the number of the shard that a session belongs to.
func (c *SessionCache) ShardOf(id SessionID) int {
	for i := range c.shards {
		if c.shard(id) == &c.shards[i] {
			return i
		}
	}
	return -1
}

// Find returns what the cache answers for a session at now.
func (c *SessionCache) Find(id SessionID, now time.Time) (Current, bool) {
	e, ok := c.find(id, now)
	if !ok {
		return Current{}, false
	}
	return *e.current.Load(), true
}

// BeginLoad and EndLoad stand around a look into the database.
func (c *SessionCache) BeginLoad() int64 { return c.beginLoad() }

func (c *SessionCache) EndLoad(began int64, session Session, user User) {
	c.endLoad(began, &Current{Session: session, User: user})
}

// Size returns how many sessions and users the cache keeps.
func (c *SessionCache) Size() (sessions, users int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.shards {
		c.shards[i].mu.Lock()
		sessions += len(c.shards[i].sessions)
		c.shards[i].mu.Unlock()
	}
	return sessions, len(c.users)
}

// CheckBooks returns an error if the cache keeps a user for whom it has no session, a session whose user it has
// forgotten, or more than it may. Nothing else may be under way.
func (c *SessionCache) CheckBooks() error {
	cached := make(map[*cachedUser]int)
	for i := range c.shards {
		s := &c.shards[i]
		if n := len(s.sessions); n > cacheCapacity/cacheShards {
			return fmt.Errorf("shard %d has %d sessions, more than %d", i, n, cacheCapacity/cacheShards)
		}
		for id, e := range s.sessions {
			session, user := e.current.Load().Session, e.current.Load().User.ID
			if session.ID != id || session.UserID != user {
				return fmt.Errorf("session %d of user %d stands under %d", session.ID, session.UserID, id)
			}
			cached[e.owner]++
			if u := c.users[user]; u != e.owner && !e.owner.changed.Load() {
				return fmt.Errorf("session %d would be answered although its user %d is not known to Invalidate", id, user)
			}
		}
	}
	for id, u := range c.users {
		switch {
		case u.changed.Load():
			return fmt.Errorf("user %d is kept although changed: nothing that is loaded for them is ever used", id)
		case cached[u] == 0:
			return fmt.Errorf("user %d is kept without a session", id)
		case cached[u] != u.cached:
			return fmt.Errorf("user %d has %d sessions, but %d are counted", id, cached[u], u.cached)
		}
	}
	return nil
}
