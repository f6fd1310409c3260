package web

import (
	"errors"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/ratelimit"
)

// limits bound what one address may do on this node. They stand here and not beside the rules because an address is all
// that they know, and this package finds it. What is counted by user or by mailbox is in auth, for all nodes.
type limits struct {
	guesses addressLimit // wrong passwords, codes and links
	signUps addressLimit
	guests  addressLimit
	resets  addressLimit
	told    addressLimit // of refusals: one audit event for each of the others and address a minute
}

// addressLimit is one of them: by address, or by /64 of IPv6, which is one household's.
type addressLimit struct {
	policy string
	*ratelimit.Table[string]
}

// limitedAddresses is how many addresses each limit remembers: about 6 MiB, if that many come.
const limitedAddresses = 1 << 16

func limitSignUps(l *limits) addressLimit { return l.signUps }
func limitGuests(l *limits) addressLimit  { return l.guests }
func limitResets(l *limits) addressLimit  { return l.resets }

func newLimits(now func() time.Time) *limits {
	limited := func(policy string, limit ratelimit.Limit) addressLimit {
		return addressLimit{policy, ratelimit.NewTable[string](limit, limitedAddresses, now)}
	}
	table := func(policy string, burst int, period time.Duration) addressLimit {
		return limited(policy, ratelimit.Limit{Burst: burst, Period: period})
	}
	return &limits{
		// The overdraft is for guesses that were under way at once.
		guesses: limited("sign-in-address", ratelimit.Limit{Burst: 30, Period: time.Minute, Overdraft: 8}),
		signUps: table("sign-up-address", 20, time.Hour),
		guests:  table("guest-address", 30, time.Hour),
		resets:  table("reset-address", 10, time.Hour),
		told:    table("audit", 1, time.Minute),
	}
}

// exceeded is the error of a request that was one too many.
func (c *call) exceeded(l addressLimit, who string, wait time.Duration) error {
	if c.server.limits.told.Take(l.policy+" "+who) == 0 {
		c.server.cfg.Service.Audit(c.r.Context(), auth.AuditEvent{
			Kind: auth.AuditRateLimited, Outcome: auth.AuditRefused, Reason: auth.ReasonTooManyRequests, Origin: c.origin(),
		})
	}
	limit := l.Limit()
	return &auth.RateLimitError{Policy: l.policy, Quota: limit.Burst, Window: limit.Period, RetryAfter: wait}
}

// guess runs an attempt at a secret, and counts it against the address if it was wrong: a household where everybody knows
// their password meets no limit. As many as are under way at once may go beyond it, and are paid for afterwards; how
// often one user's password is tried is counted exactly, in the database.
func (c *call) guess(attempt func() error) error {
	if c.server.limits == nil {
		return attempt()
	}
	limit, who := c.server.limits.guesses, c.origin().Client()
	if wait := limit.Check(who); wait > 0 {
		return c.exceeded(limit, who, wait)
	}
	err := attempt()
	if wasWrongGuess(err) {
		limit.Charge(who)
	}
	return err
}

// guessUnless is guess for what trusted backends do for their users, who share the backend's address: those are not counted.
func (c *call) guessUnless(trusted bool, attempt func() error) error {
	if trusted {
		return attempt()
	}
	return c.guess(attempt)
}

// wasWrongGuess says whether an error is about a password, token or code that was given and is not the right one.
func wasWrongGuess(err error) bool {
	if errors.Is(err, auth.ErrInvalidCredentials) || errors.Is(err, errServerKey) {
		return true
	}
	return blames(err, func(f auth.FieldError) bool {
		return f.Code == auth.Invalid && (f.Field == auth.FieldToken || f.Field == auth.FieldOneTimeCode || f.Field == auth.FieldPassword)
	})
}

// spend counts a request against the address before it does its work, however many come at once. What turns out to be no
// more than a mistyped form, or could not be done at all, is taken back; a name that is taken is not, because that answer is
// worth something to whoever collects names.
func (c *call) spend(limit func(*limits) addressLimit, work func() error) error {
	if c.server.limits == nil {
		return work()
	}
	l, who := limit(c.server.limits), c.origin().Client()
	if wait := l.Take(who); wait > 0 {
		return c.exceeded(l, who, wait)
	}
	err := work()
	if wasNoWork(err) {
		l.GiveBack(who)
	}
	return err
}

func wasNoWork(err error) bool {
	var overloaded *auth.OverloadedError
	if errors.As(err, &overloaded) || errors.Is(err, auth.ErrUnavailable) || errors.Is(err, auth.ErrHashUnavailable) ||
		errors.Is(err, auth.ErrKeyInvalid) {
		return true
	}
	_, invalid := errors.AsType[*auth.ValidationError](err)
	return invalid && !blames(err, func(f auth.FieldError) bool { return f.Code == auth.Taken })
}

// blames says whether an error is about input of which one fault is like this.
func blames(err error, like func(auth.FieldError) bool) bool {
	validation, ok := errors.AsType[*auth.ValidationError](err)
	if !ok {
		return false
	}
	for _, f := range validation.Fields {
		if like(f) {
			return true
		}
	}
	return false
}
