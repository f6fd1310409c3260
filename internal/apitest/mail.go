package apitest

import (
	"context"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

// Mail is a message as the person reads it who gets it.
type Mail struct {
	To      string
	Subject string
	Text    string
	HTML    string // the same
	Link    string // empty if there is none
	Token   string // the link's
	Code    string // empty if there is none
}

var (
	linkPattern = regexp.MustCompile(`https?://\S+[?&]token=([^\s&]+)`)
	codePattern = regexp.MustCompile(`\b[0-9]{8}\b`)
)

// Mail returns the newest message to an address, when everything that is due has been sent. Without one the test ends.
func (s *Server) Mail(to string) Mail {
	s.t.Helper()
	list := s.Mails(to)
	if len(list) == 0 {
		s.t.Fatalf("got no mail to %s", to)
	}
	return list[0]
}

// Mails returns all messages to an address, newest first, when everything that is due has been sent.
func (s *Server) Mails(to string) []Mail {
	s.t.Helper()
	s.sendAll()
	var list []Mail
	for _, m := range s.inbox.List() {
		if m.To != to {
			continue
		}
		found := Mail{To: m.To, Subject: m.Subject, Text: m.Text, HTML: m.HTML, Code: codePattern.FindString(m.Text)}
		if link := linkPattern.FindStringSubmatch(m.Text); link != nil {
			found.Link, found.Token = link[0], link[1]
		}
		s.log.forbid(found.Token)
		s.log.forbid(found.Code)
		list = append(list, found)
	}
	return list
}

// MailCount returns how many messages went out to anybody, when everything that is due has been sent.
func (s *Server) MailCount() int {
	s.t.Helper()
	s.sendAll()
	return len(s.inbox.List())
}

// sendAll returns when nothing that was queued before is still to be sent.
func (s *Server) sendAll() {
	s.t.Helper()
	begun := s.outbox.looks.Load()
	deadline := time.Now().Add(20 * time.Second)
	for s.outbox.empty.Load() <= begun {
		if time.Now().After(deadline) {
			s.t.Fatalf("mail is still waiting after 20 s; the log:\n%s", s.Log())
		}
		s.waker.Wake()
		time.Sleep(time.Millisecond)
	}
}

// outbox is the store's, and tells when it was found empty with nothing under way.
type outbox struct {
	*sqlstore.Store
	looks    atomic.Int64 // looks that have begun
	empty    atomic.Int64 // the number of the last look that found nothing
	underWay atomic.Int64 // messages that are leased and not noted yet
}

// LeaseMail implements mail.Outbox.
func (o *outbox) LeaseMail(ctx context.Context, now, until time.Time, limit int) ([]auth.OutboxMessage, error) {
	look, idle := o.looks.Add(1), o.underWay.Load() == 0
	list, err := o.Store.LeaseMail(ctx, now, until, limit)
	o.underWay.Add(int64(len(list)))
	if err == nil && len(list) == 0 && idle {
		o.empty.Store(look)
	}
	return list, err
}

// RemoveMail implements mail.Outbox.
func (o *outbox) RemoveMail(ctx context.Context, id auth.MessageID) error {
	defer o.underWay.Add(-1)
	return o.Store.RemoveMail(ctx, id)
}

// RetryMail implements mail.Outbox.
func (o *outbox) RetryMail(ctx context.Context, id auth.MessageID, at time.Time, why string) error {
	defer o.underWay.Add(-1)
	return o.Store.RetryMail(ctx, id, at, why)
}

// FailMail implements mail.Outbox.
func (o *outbox) FailMail(ctx context.Context, id auth.MessageID, why string) error {
	defer o.underWay.Add(-1)
	return o.Store.FailMail(ctx, id, why)
}
