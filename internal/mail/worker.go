// Package mail writes and sends what stands in the outbox.
package mail

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

// Outbox is where messages wait. Its methods return auth.ErrUnavailable (wrapped) when the database does not answer.
type Outbox interface {
	// LeaseMail returns up to limit messages that are due and makes them due again at until; of concurrent callers
	// each gets other messages.
	LeaseMail(ctx context.Context, now, until time.Time, limit int) ([]auth.OutboxMessage, error)
	// RemoveMail forgets a message that was sent or has nobody to go to.
	RemoveMail(context.Context, auth.MessageID) error
	// RetryMail makes a message due again at the given time and notes why.
	RetryMail(ctx context.Context, id auth.MessageID, at time.Time, why string) error
	// FailMail gives a message up and notes why.
	FailMail(ctx context.Context, id auth.MessageID, why string) error
}

// Composer makes what a message is to say. It returns auth.ErrNotFound if there is nobody to write to.
type Composer interface {
	ComposeLetter(context.Context, auth.OutboxMessage) (auth.Letter, error)
}

const (
	// hands is how many messages are under way at once. Mail servers allow one client 10 to 20 connections.
	hands = 8
	// leaseTime outlives an attempt and its note, so that nobody else takes up a message that is under way.
	leaseTime   = 2 * time.Minute
	attemptTime = time.Minute
	noteTime    = 10 * time.Second
	// drainTime is how long messages under way may take when Run is to end.
	drainTime = 5 * time.Second

	pollInterval = time.Second // for what another process queued, and for what is due again

	// mostBroken is how many messages in a row may break their connection before that is the server's trouble and not
	// theirs: one address must not stop the mail of all.
	mostBroken = 3

	mostUnnoted = 1000 // a bound; it takes a failure of the database for each, and nothing is leased while that lasts

	retryFirst   = 5 * time.Second // doubled with every attempt
	retryLongest = 5 * time.Minute
	retryLast    = 10 * time.Second // before it is too late, there is one more

	// While nothing can be sent, Run looks whether it can: soon if that may pass by itself, seldom if the server refuses
	// us, since it might lock the account of who goes on knocking.
	probeFirst     = time.Second // doubled every time
	probeLongest   = 10 * time.Second
	knockFirst     = 5 * time.Second
	knockLongest   = 5 * time.Minute
	complaintAgain = time.Minute
)

// Config is what a Worker needs; all but Overrides and Logger are required.
type Config struct {
	Outbox    Outbox
	Composer  Composer
	Senders   []Sender // each message goes to all of them, in this order
	From      string   // RFC 5322 mailbox
	AppName   string
	Overrides fs.FS // templates that take the place of the program's own; nil: none
	Now       func() time.Time
	Logger    *slog.Logger // nil: slog.Default
}

// Worker sends what stands in the outbox: each message once, or twice if it dies between sending and noting that.
//
// Up to 8 messages are under way at once, and no others are leased. When the way out is closed (a *SendError says so) the
// Worker leases nothing until a probe finds it open, then one message, and with every success one more at a time.
// So nothing is composed that cannot go out, and nothing waits long once it can.
type Worker struct {
	cfg       Config
	templates *templates
	wake      <-chan struct{}
}

// Waker wakes a Worker when there is a message. The zero value is not usable; it implements auth.Mailer.
type Waker chan struct{}

// NewWaker returns a Waker; one Worker listens to it.
func NewWaker() Waker { return make(Waker, 1) }

// Wake implements auth.Mailer.
func (w Waker) Wake() {
	select {
	case w <- struct{}{}:
	default: // it is about to look anyway
	}
}

// New returns a Worker that also looks when wake says so. The error names what is missing, or the template that cannot
// be used.
func New(cfg Config, wake Waker) (*Worker, error) {
	switch {
	case cfg.Outbox == nil:
		return nil, errors.New("mail: no Outbox")
	case cfg.Composer == nil:
		return nil, errors.New("mail: no Composer")
	case len(cfg.Senders) == 0:
		return nil, errors.New("mail: no Senders")
	case cfg.From == "":
		return nil, errors.New("mail: no From")
	case cfg.AppName == "":
		return nil, errors.New("mail: no AppName")
	case cfg.Now == nil:
		return nil, errors.New("mail: no Now")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	t, err := newTemplates(cfg.AppName, cfg.Overrides)
	if err != nil {
		return nil, err
	}
	return &Worker{cfg: cfg, templates: t, wake: wake}, nil
}

// Run sends until ctx ends. Then it leases nothing more, and returns when what is under way is sent, after 5 s at the
// latest; what is not sent by then stays leased, and is due again when its lease is over.
func (w *Worker) Run(ctx context.Context) {
	// Messages under way outlive ctx for a while.
	sending, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	r := newRound(w)
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for look := true; ; {
		if look && ctx.Err() == nil {
			r.take(ctx, sending)
		}
		select {
		case <-ctx.Done():
			defer time.AfterFunc(drainTime, cut).Stop()
			for r.busy > 0 {
				r.end(<-r.outcomes)
			}
			return
		case <-w.wake:
			look = true
		case <-poll.C:
			look = true
		case <-r.pause:
			r.pause, look = nil, true
		case o := <-r.outcomes:
			r.end(o)
			look = r.more
		}
	}
}

// outcome is how an attempt ended.
type outcome struct {
	id    auth.MessageID
	turn  int   // of the round when it began
	err   error // nil: sent, or nobody to write to
	heard bool  // the senders were asked, and it was sent or err is theirs
	noted bool  // the outbox knows
}

// round is what Run knows from one look to the next. It belongs to Run's goroutine.
type round struct {
	*Worker
	outcomes chan outcome
	busy     int                         // messages under way
	most     int                         // messages at once at present, 1 to hands
	more     bool                        // the last look did not see the end of what is due
	doubt    bool                        // the way out was closed when it was last tried, or never was tried: probe first
	turn     int                         // how often the way out was found closed: what began before that tells nothing new
	wait     time.Duration               // before the next probe, as of the last
	pause    <-chan time.Time            // nil while not waiting for the next probe
	sent     map[auth.MessageID]struct{} // what the outbox could not be told of: not to be sent again
	broken   int                         // connections in a row that broke over a message
	closed   complaint
	database complaint
}

func newRound(w *Worker) *round {
	return &round{Worker: w, outcomes: make(chan outcome, hands), most: 1, doubt: true, sent: make(map[auth.MessageID]struct{})}
}

// take leases as many messages as there are free hands for and sets them to work.
func (r *round) take(ctx, sending context.Context) {
	if r.pause != nil || !r.probe(ctx) {
		return
	}
	free := r.most - r.busy
	if free <= 0 {
		r.more = true
		return
	}
	now := r.cfg.Now().UTC()
	batch, err := r.cfg.Outbox.LeaseMail(ctx, now, now.Add(leaseTime), free)
	if err != nil {
		if ctx.Err() == nil && r.database.due(err, now) {
			r.cfg.Logger.Error("outbox cannot be read", "error", err)
		}
		r.more = false // the next look is soon enough
		return
	}
	r.database = complaint{}
	r.more = len(batch) == free
	for _, m := range batch {
		r.busy++
		turn := r.turn
		_, sent := r.sent[m.ID]
		go func() { r.outcomes <- r.attempt(sending, m, turn, sent) }()
	}
}

// probe reports whether it is worth trying to send something.
func (r *round) probe(ctx context.Context) bool {
	if !r.doubt {
		return true
	}
	for _, s := range r.cfg.Senders {
		p, ok := s.(prober)
		if !ok {
			continue
		}
		if err := p.Probe(ctx); err != nil {
			if ctx.Err() == nil {
				r.shut(err)
			}
			return false
		}
	}
	r.doubt = false
	if r.wait > 0 {
		r.cfg.Logger.Info("mail can be sent again")
	}
	return true
}

// end draws the conclusions from an attempt.
func (r *round) end(o outcome) {
	r.busy--
	if o.noted {
		delete(r.sent, o.id)
	} else if o.err == nil && len(r.sent) < mostUnnoted {
		r.sent[o.id] = struct{}{}
	}
	trouble, ok := errors.AsType[*SendError](o.err)
	switch {
	case !o.heard || o.turn != r.turn:
	case ok && trouble.closed():
		r.shut(o.err)
	case ok && trouble.Trouble == TroubleBroken:
		if r.broken++; r.broken >= mostBroken {
			r.shut(o.err)
		}
	default: // whatever was said of this message, the way out is open
		r.most, r.broken, r.wait, r.closed = min(r.most+1, hands), 0, 0, complaint{}
	}
}

// shut stops sending until the next probe.
func (r *round) shut(err error) {
	first, longest := probeFirst, probeLongest
	if trouble, ok := errors.AsType[*SendError](err); ok && trouble.Trouble == TroubleUnwelcome {
		first, longest = knockFirst, knockLongest
	}
	r.wait = min(max(2*r.wait, first), longest)
	r.turn++
	r.most, r.doubt, r.pause = 1, true, time.After(r.wait)
	if r.closed.due(err, r.cfg.Now()) {
		r.cfg.Logger.Error("no mail can be sent", "error", err)
	}
}

// complaint is a trouble that lasts: it is logged when it begins, when it changes, and once a minute.
type complaint struct {
	text string
	at   time.Time
}

func (c *complaint) due(err error, now time.Time) bool {
	if c.text == err.Error() && now.Sub(c.at) < complaintAgain {
		return false
	}
	c.text, c.at = err.Error(), now
	return true
}

// attempt sends one message, unless that was done already, and tells the outbox how it went.
func (w *Worker) attempt(ctx context.Context, m auth.OutboxMessage, turn int, sent bool) outcome {
	o := outcome{id: m.ID, turn: turn}
	left := m.NotAfter.Sub(w.cfg.Now())
	switch {
	case sent:
	case left <= 0:
		o.err = errors.New("it waited too long")
	default:
		trying, cancel := context.WithTimeout(ctx, min(attemptTime, left)) // never sent later than it may be
		o.heard, o.err = w.deliver(trying, m)
		o.heard = o.heard && (o.err == nil || trying.Err() == nil) // else it may have been the message's own time that was up
		cancel()
		if ctx.Err() != nil && o.err != nil {
			return o // cut off by the end of Run; who takes it up next cannot know more
		}
	}
	o.noted = w.note(ctx, m, o.err)
	return o
}

// deliver composes the message and gives it to the senders. heard says that they were asked.
func (w *Worker) deliver(ctx context.Context, m auth.OutboxMessage) (heard bool, err error) {
	letter, err := w.cfg.Composer.ComposeLetter(ctx, m)
	switch {
	case errors.Is(err, auth.ErrNotFound):
		return false, nil // nobody to write to: as good as done
	case err != nil:
		return false, fmt.Errorf("compose: %w", err)
	}
	message, err := w.templates.render(letter)
	if err != nil {
		return false, err
	}
	message.From, message.Date = w.cfg.From, w.cfg.Now().UTC()
	for _, s := range w.cfg.Senders {
		if err := s.Send(ctx, message); err != nil {
			return true, err
		}
	}
	return true, nil
}

// note tells the outbox how an attempt went, and the operator of what is not going as it should. It reports whether the
// outbox knows now.
func (w *Worker) note(ctx context.Context, m auth.OutboxMessage, err error) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
	defer cancel()
	now := w.cfg.Now().UTC()
	log := w.cfg.Logger.With("message", m.ID, "kind", m.Kind, "attempt", m.Attempts)
	trouble, isTrouble := errors.AsType[*SendError](err)
	again := now.Add(retryWait(m.Attempts))
	if !again.Before(m.NotAfter) {
		again = m.NotAfter.Add(-retryLast)
	}
	var noting error
	switch {
	case err == nil:
		noting = w.cfg.Outbox.RemoveMail(ctx, m.ID)
	case isTrouble && trouble.Trouble == TroubleNever:
		log.Warn("mail refused", "error", err)
		noting = w.cfg.Outbox.FailMail(ctx, m.ID, err.Error())
	case again.Before(now.Add(retryFirst)):
		log.Warn("mail given up: it would come too late", "error", err)
		noting = w.cfg.Outbox.FailMail(ctx, m.ID, "not sent before it was too late; "+err.Error())
	default:
		if !isTrouble || !trouble.closed() { // which is told once for all messages
			log.Warn("mail not sent", "retry_in", again.Sub(now), "error", err)
		}
		noting = w.cfg.Outbox.RetryMail(ctx, m.ID, again, err.Error())
	}
	if noting != nil {
		log.Error("outbox cannot be told", "error", noting)
	}
	return noting == nil
}

// retryWait is how long to wait after so many attempts.
func retryWait(attempts int) time.Duration {
	return min(retryFirst<<min(max(attempts-1, 0), 10), retryLongest)
}
