// Package auth holds the rules of accounts and sessions: who may have which name, what proves a person, when a session
// ends. It knows nothing of HTTP, SQL or mail; those are adapters around it.
package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ideaegg/latchkey/internal/passhash"
)

const (
	usernameHold = 30 * 24 * time.Hour
	guessHold    = 24 * time.Hour     // wrong guesses that nobody goes on with are forgotten
	failedHold   = 7 * 24 * time.Hour // time for an operator to look why mail failed
	// freshSignIn is how long a session counts as a proof of presence for users who have no password to give.
	freshSignIn = 10 * time.Minute
)

// MaxSessions is how many sessions a user may have. A Store lets the oldest go, so that a client that signs in at
// every start cannot fill the table.
const MaxSessions = 100

// Mailer sends what is in the outbox.
type Mailer interface {
	// Wake says that there is a new message. It returns at once.
	Wake()
}

// Config is what a Service needs. Store, Identities, Codes, SignUps, Limits, AuditLog, Cache, Hasher, Mailer, PublicURL, PlaceholderDomain, the
// lifetimes but SessionMaxAge, and Now are required.
type Config struct {
	Store      Store
	Identities Identities    // of the same database
	Codes      Codes         // likewise
	SignUps    SignUps       // likewise
	Limits     Limits        // likewise
	AuditLog   AuditLog      // likewise
	Cache      *SessionCache // the one that Store invalidates
	Hasher     *passhash.Hasher
	Mailer     Mailer
	WeChat     WeChat       // required with WeChatApps
	AppTokens  AppTokens    // likewise
	Handovers  Handovers    // likewise; of the same database
	Logger     *slog.Logger // nil: slog.Default
	Now        func() time.Time

	PublicURL         string                       // base of every mailed link, without trailing slash
	PlaceholderDomain string                       // of generated addresses; nobody can sign up under it
	AppName           string                       // no password may be it; "": none
	PasswordMinLength int                          // code points
	CommonPassword    func(normalized string) bool // nil: no list

	Breaches Breaches // nil: new passwords are not looked up

	SessionIdle   time.Duration // a session ends when unused for this long
	SessionMaxAge time.Duration // and at this age; 0: at no age
	GuestIdle     time.Duration // the same for guests, who are deleted then
	AuditKeep     time.Duration // audit events are deleted at this age

	// LimitsOff lets anybody guess and ask for mail as often as they like. For load tests only.
	LimitsOff bool
	// VerifyFirst has accounts exist only once their address is proved, so that sign-up tells nothing of who has one.
	VerifyFirst bool
	// NotifyNewDevice mails users when they sign in on a device that was not seen before.
	NotifyNewDevice bool
	WeChatApps      []WeChatApp
	// WeChatRedirects are the addresses that a browser may be sent to with the result of a sign-in.
	WeChatRedirects []string
	// BelieveBareUID lets anybody sign in as any openid. For development only.
	BelieveBareUID bool
}

// Service applies the rules. Its methods are safe for concurrent use.
type Service struct {
	cfg    Config
	ids    sessionIDs
	uses   sessionUses
	audits *audits

	uncheckedWarned atomic.Int64 // when warnUnchecked last warned, in unix seconds
}

// New returns a Service; the error names the setting that is missing.
func New(cfg Config) (*Service, error) {
	switch {
	case cfg.Store == nil:
		return nil, errors.New("auth: no Store")
	case cfg.Identities == nil:
		return nil, errors.New("auth: no Identities")
	case cfg.AuditLog == nil:
		return nil, errors.New("auth: no AuditLog")
	case cfg.Codes == nil:
		return nil, errors.New("auth: no Codes")
	case cfg.SignUps == nil:
		return nil, errors.New("auth: no SignUps")
	case cfg.Cache == nil:
		return nil, errors.New("auth: no Cache")
	case cfg.Limits == nil:
		return nil, errors.New("auth: no Limits")
	case cfg.Hasher == nil:
		return nil, errors.New("auth: no Hasher")
	case cfg.Mailer == nil:
		return nil, errors.New("auth: no Mailer")
	case (cfg.WeChat == nil || cfg.AppTokens == nil || cfg.Handovers == nil) && len(cfg.WeChatApps) > 0:
		return nil, errors.New("auth: no WeChat, no AppTokens or no Handovers")
	case cfg.Now == nil:
		return nil, errors.New("auth: no Now")
	case cfg.PublicURL == "":
		return nil, errors.New("auth: no PublicURL")
	case cfg.PlaceholderDomain == "":
		return nil, errors.New("auth: no PlaceholderDomain")
	case cfg.PasswordMinLength < 1:
		return nil, errors.New("auth: no PasswordMinLength")
	case cfg.SessionIdle <= 0 || cfg.GuestIdle <= 0:
		return nil, errors.New("auth: no SessionIdle or GuestIdle")
	case cfg.AuditKeep <= 0:
		return nil, errors.New("auth: no AuditKeep")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	s := &Service{cfg: cfg, audits: newAudits()}
	s.uses.pending = make(map[SessionID]SessionUse)
	return s, nil
}

// Run does the periodic work, writing down which sessions were used and what is to be audited and deleting what is over,
// until ctx ends.
func (s *Service) Run(ctx context.Context) {
	var auditing sync.WaitGroup // beside the clean-up, which may take its time
	defer auditing.Wait()
	auditing.Go(func() { s.runAudits(ctx) })
	flush := time.NewTicker(usesFlushInterval)
	defer flush.Stop()
	cleanUp := time.NewTicker(cleanUpInterval)
	defer cleanUp.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			s.flushUses(last)
			return
		case <-flush.C:
			s.flushUses(ctx)
		case <-cleanUp.C:
			if _, err := s.CleanUp(ctx); err != nil && ctx.Err() == nil {
				s.cfg.Logger.Warn("clean-up", "error", err)
			}
		}
	}
}

const (
	cleanUpInterval = time.Minute
	cleanUpBatch    = 500 // rows of a kind in one transaction: a few milliseconds of the writer
)

// CleanUp deletes expired sessions and tokens, guests that nobody can come back to, names whose hold is over, old mail
// and old audit events and wrong guesses, in small batches until nothing is due. It returns the number of rows, with guests who turned out
// to be in use.
func (s *Service) CleanUp(ctx context.Context) (int, error) {
	now := s.cfg.Now().UTC()
	due := Due{
		Now:              now.Add(-usesFlushGrace),
		GuestsBefore:     now.Add(-usesFlushGrace - s.cfg.GuestIdle),
		DeletedBefore:    now.Add(-usernameHold),
		FailedMailBefore: now.Add(-failedHold),
		AuditBefore:      now.Add(-s.cfg.AuditKeep),
		GuessesBefore:    now.Add(-guessHold),
	}
	total := 0
	for {
		n, err := s.cfg.Store.CleanUp(ctx, due, cleanUpBatch)
		total += n
		if err != nil {
			return total, fmt.Errorf("clean up: %w", err)
		}
		if n == 0 {
			return total, nil
		}
	}
}

// Ready returns nil if the database answers.
func (s *Service) Ready(ctx context.Context) error { return s.cfg.Store.Ping(ctx) }

// client is whom the hash governor bills for a request.
func client(o Origin) string { return o.Client() }

// Client names whoever shares the address: one address, or one /64 of IPv6, which is one household's.
func (o Origin) Client() string {
	a := o.Address.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	if a == (netip.Addr{}) {
		return ""
	}
	return a.String()
}
