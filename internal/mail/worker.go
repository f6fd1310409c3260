// Package mail writes and sends what stands in the outbox.
package mail

import (
	"context"
	"errors"
	"fmt"
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
	pollInterval = time.Second // for what another process queued, and for what is due again
	leaseTime    = 2 * time.Minute
	leaseSize    = 20
	retryFirst   = 5 * time.Second // doubled with every attempt
	retryLongest = 5 * time.Minute
)

// Config is what a Worker needs; all but Logger are required.
type Config struct {
	Outbox   Outbox
	Composer Composer
	Senders  []Sender // each message goes to all of them
	From     string   // RFC 5322 mailbox
	AppName  string
	Now      func() time.Time
	Logger   *slog.Logger // nil: slog.Default
}

// Worker sends what stands in the outbox: each message once, or twice if it dies between sending and noting that.
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

// New returns a Worker that also looks when wake says so. The error names what is missing.
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
	t, err := newTemplates(cfg.AppName)
	if err != nil {
		return nil, err
	}
	return &Worker{cfg: cfg, templates: t, wake: wake}, nil
}

// Run sends until ctx ends.
func (w *Worker) Run(ctx context.Context) {
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		case <-poll.C:
		}
		for {
			n, err := w.sendDue(ctx)
			if err != nil && ctx.Err() == nil {
				w.cfg.Logger.Warn("outbox", "error", err)
			}
			if n < leaseSize || err != nil {
				break
			}
		}
	}
}

// sendDue sends one batch and returns how many messages it held.
func (w *Worker) sendDue(ctx context.Context) (int, error) {
	now := w.cfg.Now().UTC()
	batch, err := w.cfg.Outbox.LeaseMail(ctx, now, now.Add(leaseTime), leaseSize)
	if err != nil {
		return 0, err
	}
	for _, m := range batch {
		if err := w.send(ctx, m); err != nil {
			return len(batch), err
		}
	}
	return len(batch), nil
}

// send sends one message and notes how that ended; the error is that of noting it.
func (w *Worker) send(ctx context.Context, m auth.OutboxMessage) error {
	now := w.cfg.Now().UTC()
	if !now.Before(m.NotAfter) {
		return w.cfg.Outbox.FailMail(ctx, m.ID, "not sent before it was too late")
	}
	err := w.deliver(ctx, m, now)
	switch {
	case err == nil, errors.Is(err, auth.ErrNotFound):
		return w.cfg.Outbox.RemoveMail(ctx, m.ID)
	case ctx.Err() != nil:
		return ctx.Err()
	}
	wait := min(retryFirst<<min(m.Attempts-1, 10), retryLongest)
	w.cfg.Logger.Warn("mail not sent", "message", m.ID, "kind", m.Kind, "attempt", m.Attempts, "retry_in", wait, "error", err)
	return w.cfg.Outbox.RetryMail(ctx, m.ID, now.Add(wait), err.Error())
}

func (w *Worker) deliver(ctx context.Context, m auth.OutboxMessage, now time.Time) error {
	letter, err := w.cfg.Composer.ComposeLetter(ctx, m)
	if err != nil {
		return fmt.Errorf("compose: %w", err)
	}
	subject, text, err := w.templates.render(letter)
	if err != nil {
		return err
	}
	message := Message{ID: m.ID, From: w.cfg.From, To: letter.To, Subject: subject, Text: text, Date: now}
	for _, s := range w.cfg.Senders {
		if err := s.Send(ctx, message); err != nil {
			return fmt.Errorf("send: %w", err)
		}
	}
	return nil
}
