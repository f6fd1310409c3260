package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"
)

// Limits keeps what is counted against guessing and flooding, for all nodes together. Every method is atomic and
// returns ErrUnavailable (wrapped) as those of Store do. The other half of it is in Store: CreateSession settles a right
// guess, ResetPassword and ChangePassword forget the failures of the user's lanes, CleanUp those that are old.
type Limits interface {
	// CheckLane returns a *LockedError while a wait runs in the lane at now.
	CheckLane(ctx context.Context, lane LaneKey, now time.Time) error
	// CountFailure counts a wrong guess, begins the wait that the lane's rule asks for, and returns the number of failures
	// in a row. It returns a *LockedError, and counts nothing, if a wait runs at now: of concurrent callers no more are
	// counted than would be one after another.
	CountFailure(ctx context.Context, lane Lane, now time.Time) (failures int, err error)
	// ClearFailures settles a right guess: it forgets the failures, or returns a *LockedError and changes nothing if a
	// wait runs at now.
	ClearFailures(ctx context.Context, lane LaneKey, now time.Time) error
	// Unlock forgets the failures of the user's lanes, those that disabled the password too. It is no error if there are none.
	Unlock(context.Context, UserID) error
	// TakeMail counts a request for mail under the key, or says that as many as the limit allows were counted.
	TakeMail(ctx context.Context, key LaneKey, limit MailLimit, now time.Time) (ok bool, err error)
	// QueueLimited puts the message into the outbox, unless as many as the limit allows were queued under the key.
	QueueLimited(ctx context.Context, m OutboxMessage, key LaneKey, limit MailLimit) error
}

// LaneKey names what is counted. It is a hash, so that the table tells nobody what people typed as a login.
type LaneKey [sha256.Size]byte

func newLaneKey(parts ...string) LaneKey {
	return sha256.Sum256([]byte(strings.Join(parts, "\x00")))
}

// Lane is where wrong guesses of one secret are counted, one after another, whoever makes them.
type Lane struct {
	Key  LaneKey
	Rule GuessRule
}

// GuessRule says what wrong guesses in a row cost.
type GuessRule struct {
	Policy    string // its name, as clients see it
	Free      int    // the last of so many failures, and each one after it, begins a wait
	DisableAt int    // so many failures end guessing until the password is replaced; 0: waits go on
}

const (
	firstWait   = 30 * time.Second // it doubles with every failure
	longestWait = time.Hour        // 24 guesses a day, until DisableAt
)

// Wait returns how long nothing is verified after so many failures in a row, or forever.
func (r GuessRule) Wait(failures int) (wait time.Duration, forever bool) {
	switch {
	case r.DisableAt > 0 && failures >= r.DisableAt:
		return 0, true
	case failures < r.Free:
		return 0, false
	}
	const doublings = 7 // beyond longestWait
	return min(firstWait<<min(failures-r.Free, doublings), longestWait), false
}

// userLane is where the failures of everybody are counted who shows no token of a known device.
func userLane(id UserID) Lane {
	return Lane{newLaneKey("user", idText(id)), GuessRule{Policy: "sign-in", Free: 10, DisableAt: 100}}
}

// unknownLane is the lane of a login that nobody has, and of generated addresses whether or not somebody has one. It has the
// rule of userLane, so that waits tell nothing. What ParseLogin reads as one login has one lane; what it cannot read comes
// as the zero Login, is nobody's for ever, and is told apart by what was typed.
func unknownLane(l Login, typed string) Lane {
	unread := ""
	if l == (Login{}) {
		unread = strings.ToLower(norm.NFKC.String(typed))
	}
	lane := userLane(0)
	lane.Key = newLaneKey("login", l.Username, l.EmailKey, l.GeneratedFor, unread)
	return lane
}

// deviceLane is that of one device that the user has signed in on before.
func deviceLane(id UserID, device deviceID) Lane {
	return Lane{newLaneKey("device", idText(id), string(device[:])), GuessRule{Policy: "sign-in-device", Free: 5}}
}

// presenceLane is where wrong current passwords are counted, which need a session: whoever stole one cannot keep the
// user from signing in.
func presenceLane(id UserID) Lane {
	return Lane{newLaneKey("presence", idText(id)), GuessRule{Policy: "current-password", Free: 10, DisableAt: 100}}
}

// UserLanes are the lanes that belong to a user and the password that they have.
func UserLanes(id UserID) [2]LaneKey { return [2]LaneKey{userLane(id).Key, presenceLane(id).Key} }

func idText(id UserID) string { return strconv.FormatInt(int64(id), 10) }

// admit returns a *RateLimitError while a wait runs in the lane: a guess is then neither verified nor counted.
func (s *Service) admit(ctx context.Context, lane Lane) error {
	if s.cfg.LimitsOff {
		return nil
	}
	now := s.cfg.Now().UTC()
	return limited(s.cfg.Limits.CheckLane(ctx, lane.Key, now), lane, now)
}

// refuse counts a wrong guess, which e is about, and returns wrong; or a *RateLimitError that withholds the verdict if a
// wait began in the lane since the guess was admitted. So guesses in parallel learn as much as guesses in a row.
func (s *Service) refuse(ctx context.Context, lane Lane, e AuditEvent, wrong error) error {
	if s.cfg.LimitsOff {
		return wrong
	}
	now := s.cfg.Now().UTC()
	failures, err := s.cfg.Limits.CountFailure(ctx, lane, now)
	if err != nil {
		return limited(err, lane, now)
	}
	if wait, forever := lane.Rule.Wait(failures); wait > 0 || forever {
		e.Kind, e.Reason, e.Count = AuditLockedOut, ReasonTooManyGuesses, failures
		s.Audit(ctx, e)
	}
	return wrong
}

// accept settles a right guess, or returns a *RateLimitError as refuse does.
func (s *Service) accept(ctx context.Context, lane Lane) error {
	if s.cfg.LimitsOff {
		return nil
	}
	now := s.cfg.Now().UTC()
	return limited(s.cfg.Limits.ClearFailures(ctx, lane.Key, now), lane, now)
}

// limited turns the *LockedError of a lane into what the client is told; any other error stays as it is.
func limited(err error, lane Lane, now time.Time) error {
	locked, ok := errors.AsType[*LockedError](err)
	if !ok {
		return err
	}
	wait := longestWait
	if !locked.Forever {
		wait = max(locked.Until.Sub(now), 0)
	}
	return &RateLimitError{Policy: lane.Rule.Policy, Quota: lane.Rule.Free, RetryAfter: wait}
}

// MailLimit bounds how many mails of a kind go to one address: so many at once, and one more each interval.
type MailLimit struct {
	Burst    int
	Interval time.Duration
}

// queueLimited puts a message that anybody may ask for into the outbox, if no more than three of its kind went to the
// address within an hour. After three there is one more each 20 minutes, not three more after an hour: a reset lasts for
// 30 minutes, so whoever floods an address does not keep its owner from having one that works.
func (s *Service) queueLimited(ctx context.Context, address string, m OutboxMessage) error {
	if s.cfg.LimitsOff {
		_, err := s.cfg.Store.QueueMail(ctx, m)
		return err
	}
	return s.cfg.Limits.QueueLimited(ctx, m, mailKey(m.Kind, address), mailLimit)
}

// mailLimit bounds the mails of a kind to an address that somebody asks for.
var mailLimit = MailLimit{Burst: 3, Interval: 20 * time.Minute}

func mailKey(kind MailKind, address string) LaneKey {
	return newLaneKey("mail", string(kind), strings.ToLower(address))
}

// spendMail counts a mail that a signed-in user asks for, or returns a *RateLimitError.
func (s *Service) spendMail(ctx context.Context, kind MailKind, address string) error {
	if s.cfg.LimitsOff {
		return nil
	}
	ok, err := s.cfg.Limits.TakeMail(ctx, mailKey(kind, address), mailLimit, s.cfg.Now().UTC())
	switch {
	case err != nil:
		return fmt.Errorf("count mail: %w", err)
	case !ok:
		return &RateLimitError{Policy: "mail", Quota: mailLimit.Burst, RetryAfter: mailLimit.Interval}
	}
	return nil
}
