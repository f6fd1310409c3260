package auth

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// SignedIn is a user with the token of a session that was just made. The token is not kept: this is the only time that
// it is seen.
type SignedIn struct {
	User  User
	Token SessionToken
	// Device is for the device to show at its next sign-in with a password, if it asked for one.
	Device DeviceToken
}

// Current is the session that a request came with, and its user. One that Authenticate returned is shared by the requests
// that show the token: nobody changes it.
type Current struct {
	Session Session
	User    User

	prepared *atomic.Value // of one reading of the user, however often its session is used; nil: nowhere to keep it
}

// Prepared returns what prepare made of the user, kept for the next request that shows the token until anything about the
// user changes. It may be called more than once at the same time; what it returns is shared, and always of one type.
func (c *Current) Prepared(prepare func(User) any) any {
	if c.prepared == nil {
		return prepare(c.User)
	}
	v := c.prepared.Load()
	if v == nil {
		v = prepare(c.User)
		c.prepared.Store(v)
	}
	return v
}

// Authenticate returns the session that the token belongs to, from memory if it was verified before. It returns
// ErrUnauthorized for a token that is malformed, unknown, expired or revoked, or whose user is not active, and
// ErrUnavailable.
func (s *Service) Authenticate(ctx context.Context, token SessionToken) (*Current, error) {
	id, err := token.claimedID()
	if err != nil {
		return nil, err
	}
	now := s.cfg.Now() // not in UTC yet: that would take the monotonic clock away
	current, kept := s.cfg.Cache.find(id, now)
	now = now.UTC()
	if current != nil && now.Before(current.Session.ExpiresAt) {
		if !token.Hash().Equal(current.Session.TokenHash) {
			return nil, ErrUnauthorized
		}
		if used, due := s.use(current, now); due {
			kept.replace(current, used)
			return used, nil
		}
		return current, nil
	}

	if _, err := token.SessionID(); err != nil { // before the database is asked
		return nil, err
	}
	began := s.cfg.Cache.beginLoad()
	session, user, err := s.cfg.Store.FindSession(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, ErrUnauthorized
	case err != nil:
		return nil, fmt.Errorf("find session: %w", err)
	}
	if !token.Hash().Equal(session.TokenHash) || !now.Before(session.ExpiresAt) || user.Status != StatusActive {
		return nil, ErrUnauthorized
	}
	current = &Current{Session: session, User: user, prepared: new(atomic.Value)}
	if used, due := s.use(current, now); due {
		current = used
	}
	s.cfg.Cache.endLoad(began, current)
	return current, nil
}

// use notes that a session is used, if that is to be written down again, and returns it as it is from now on.
func (s *Service) use(c *Current, now time.Time) (used *Current, due bool) {
	if now.Sub(c.Session.LastUsedAt) < s.touchInterval(c.User.Guest) {
		return nil, false
	}
	next := *c
	next.Session.LastUsedAt, next.Session.ExpiresAt = now, s.expiry(c.Session.CreatedAt, now, c.User.Guest)
	s.uses.add(SessionUse{ID: c.Session.ID, UsedAt: now, ExpiresAt: next.Session.ExpiresAt})
	return &next, true
}

// newSession makes a session and its token.
func (s *Service) newSession(origin Origin, now time.Time, guest bool) (Session, SessionToken) {
	origin.Device = "" // a secret of the device's
	id := s.ids.next(now)
	token := newSessionToken(id)
	return Session{
		ID:         id,
		TokenHash:  token.Hash(),
		CreatedAt:  now,
		LastUsedAt: now,
		ExpiresAt:  s.expiry(now, now, guest),
		Origin:     origin,
	}, token
}

// withSession calls create with a fresh session, and again with another one when two nodes made the same id at once.
func (s *Service) withSession(origin Origin, now time.Time, guest bool, create func(Session) (User, error)) (SignedIn, error) {
	for attempt := 0; ; attempt++ {
		session, token := s.newSession(origin, now, guest)
		user, err := create(session)
		if errors.Is(err, ErrSessionIDTaken) && attempt < 5 {
			continue
		}
		if err != nil {
			return SignedIn{}, err
		}
		return SignedIn{User: user, Token: token}, nil
	}
}

func (s *Service) expiry(created, used time.Time, guest bool) time.Time {
	idle := s.cfg.SessionIdle
	if guest {
		idle = s.cfg.GuestIdle
	}
	at := used.Add(idle)
	if end := created.Add(s.cfg.SessionMaxAge); s.cfg.SessionMaxAge > 0 && end.Before(at) {
		at = end
	}
	return at
}

// touchInterval is how often the use of a session is written down: once a minute, or more often when sessions are so
// short that a minute would matter.
func (s *Service) touchInterval(guest bool) time.Duration {
	idle := s.cfg.SessionIdle
	if guest {
		idle = s.cfg.GuestIdle
	}
	return min(time.Minute, idle/4)
}

// SignOut ends the current session. It is no error if that has ended already.
func (s *Service) SignOut(ctx context.Context, c Current, origin Origin) error {
	err := s.cfg.Store.RevokeSession(ctx, c.User.ID, c.Session.ID)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("revoke session: %w", err)
	}
	s.Audit(ctx, c.event(AuditSignOut, c.Session.ID, "", origin))
	return nil
}

// ListSessions returns the user's live sessions, newest first, at most 100.
func (s *Service) ListSessions(ctx context.Context, c Current) ([]Session, error) {
	list, err := s.cfg.Store.ListSessions(ctx, c.User.ID, s.cfg.Now().UTC())
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	return list, nil
}

// RevokeSession ends one of the user's sessions, or returns ErrNotFound.
func (s *Service) RevokeSession(ctx context.Context, c Current, id SessionID, origin Origin) error {
	if err := s.cfg.Store.RevokeSession(ctx, c.User.ID, id); err != nil {
		return fmt.Errorf("revoke session: %w", err)
	}
	s.Audit(ctx, c.event(AuditSessionRevoked, id, "", origin))
	return nil
}

// RevokeOtherSessions ends all of the user's sessions but the current one.
func (s *Service) RevokeOtherSessions(ctx context.Context, c Current, origin Origin) error {
	if err := s.cfg.Store.RevokeOtherSessions(ctx, c.User.ID, c.Session.ID); err != nil {
		return fmt.Errorf("revoke other sessions: %w", err)
	}
	s.Audit(ctx, c.event(AuditSessionsRevoked, c.Session.ID, "", origin))
	return nil
}

const (
	usesFlushInterval = 5 * time.Second
	// usesFlushGrace is how much later than it could the clean-up comes: in its last seconds a session may have been used
	// on a node that has not written that down yet, or by a request that is still at work.
	usesFlushGrace = time.Minute
	maxPendingUses = 100_000 // 5 MiB; beyond it a use is written a little later
)

// sessionUses gathers the uses of sessions between two writes, so that being asked costs no write.
type sessionUses struct {
	mu      sync.Mutex
	pending map[SessionID]SessionUse
}

func (u *sessionUses) add(use SessionUse) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, known := u.pending[use.ID]; known || len(u.pending) < maxPendingUses {
		u.pending[use.ID] = use
	}
}

func (u *sessionUses) take() []SessionUse {
	u.mu.Lock()
	defer u.mu.Unlock()
	list := make([]SessionUse, 0, len(u.pending))
	for _, use := range u.pending {
		list = append(list, use)
	}
	clear(u.pending)
	return list
}

func (s *Service) flushUses(ctx context.Context) {
	const batch = 100 // a transaction that is done in time when the database is some milliseconds away
	list := s.uses.take()
	for len(list) > 0 {
		n := min(batch, len(list))
		if err := s.cfg.Store.TouchSessions(ctx, list[:n]); err != nil {
			s.cfg.Logger.Warn("write down session uses", "error", err) // the next use is written instead
			return
		}
		list = list[n:]
	}
}
