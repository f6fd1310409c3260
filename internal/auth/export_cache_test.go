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
	current, _ := c.find(id, now)
	if current == nil {
		return Current{}, false
	}
	return *current, true
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

// CheckBooks returns an error if the cache would answer a session that Invalidate does not reach, keeps a user without
// one, or has more than it may. Nothing else may be under way.
func (c *SessionCache) CheckBooks() error {
	reached := make(map[*cachedSession]bool)
	for user, sessions := range c.users {
		if len(sessions) == 0 {
			return fmt.Errorf("user %d is kept without a session", user)
		}
		for _, e := range sessions {
			switch current := e.current.Load(); {
			case current == nil:
				return fmt.Errorf("user %d is kept with a session that is worthless", user)
			case e.user != user || current.User.ID != user || current.Session.UserID != user:
				return fmt.Errorf("session %d of user %d is kept for user %d", current.Session.ID, current.Session.UserID, user)
			case c.shard(current.Session.ID).sessions[current.Session.ID] != e:
				return fmt.Errorf("session %d is kept for user %d alone", current.Session.ID, user)
			}
			reached[e] = true
		}
	}
	for i := range c.shards {
		s := &c.shards[i]
		if n := len(s.sessions); n > cacheCapacity/cacheShards {
			return fmt.Errorf("shard %d has %d sessions, more than %d", i, n, cacheCapacity/cacheShards)
		}
		for id, e := range s.sessions {
			current := e.current.Load()
			switch {
			case current == nil:
			case current.Session.ID != id:
				return fmt.Errorf("session %d stands under %d", current.Session.ID, id)
			case !reached[e]:
				return fmt.Errorf("session %d would be answered although its user %d is not known to Invalidate", id, e.user)
			}
		}
	}
	return nil
}
