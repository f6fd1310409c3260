// Package apitest runs the whole service inside a test, database, hashes and mail included, behind a client that holds
// every request and every answer against the OpenAPI document.
//
// Nothing in it is a stand-in but the clock, which stands still until a test moves it, and the mail's way out, which
// ends in memory.
package apitest

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/mail"
	"github.com/ideaegg/latchkey/internal/passhash"
	"github.com/ideaegg/latchkey/internal/sqlstore"
	"github.com/ideaegg/latchkey/internal/web"
	"github.com/ideaegg/latchkey/internal/wechattest"
)

// What a Server has unless its Options say otherwise.
const (
	// PublicURL is the base of mailed links. It is not where the Server listens: no request may lead there.
	PublicURL         = "https://accounts.example.com"
	PasswordMinLength = 8
	SessionIdle       = 90 * 24 * time.Hour
	GuestIdle         = 30 * 24 * time.Hour
	AuditKeep         = 180 * 24 * time.Hour
)

// Options are what differs from `latchkey serve` with nothing set but what is required and --rate-limits=off.
type Options struct {
	// Dev is --dev: a dev inbox at /dev/mail, and BelieveBareUID.
	Dev            bool
	BelieveBareUID bool

	PublicURL      string
	BasePath       string
	TrustedProxies []netip.Prefix
	ServerKeys     []string
	// WeChat, if not nil, is asked by the service, which has all its apps.
	WeChat *wechattest.Server
	// WeChatApps are what the service has when there is no WeChat that could be asked.
	WeChatApps      []auth.WeChatApp
	WeChatRedirects []string

	VerifyFirst       bool
	PasswordMinLength int
	CommonPassword    func(normalized string) bool // nil: no list
	Breaches          auth.Breaches                // nil: none
	SessionIdle       time.Duration
	SessionMaxAge     time.Duration
	GuestIdle         time.Duration

	// Limits turns the limits and the lockout on. Tests share one address, and most of them make more users than one
	// address may: without it there are none, as with --rate-limits=off.
	Limits bool

	Clock *Clock          // nil: one of its own
	Hash  passhash.Config // without Params: the cheapest there are
	// Sender, if not nil, gets every message before the inbox does, and may refuse it.
	Sender mail.Sender
	// Store, if not nil, stands between the service and its database, to make that fail.
	Store func(auth.Store) auth.Store
	// AuditLog, if not nil, does the same for the audit log.
	AuditLog func(auth.AuditLog) auth.AuditLog
	// Faulty says that answers of 500 and above are part of the test. Without it each of them is a failure.
	Faulty bool
}

// Server is a running service and a client of it. Its methods may be called at the same time; they report to the test
// that the Server was started for, or that For names.
type Server struct {
	URL     string // where the API is, base path included
	Origin  string // URL without the base path
	Clock   *Clock
	Service *auth.Service
	Store   *sqlstore.Store
	Hasher  *passhash.Hasher
	Web     *web.Server

	t       testing.TB
	liberal bool
	*running
}

// running is what all copies of a Server share.
type running struct {
	options Options
	client  *http.Client
	checker *Checker
	inbox   *mail.Inbox
	outbox  *outbox
	waker   mail.Waker
	lookups *lookups
	log     *log
}

// cheap are the cheapest parameters of argon2id: a hash takes microseconds, and is otherwise like any other.
var cheap = passhash.Params{MemoryKiB: 8, Passes: 1, Lanes: 1}

// Each runs the test once on each engine, as dbtest.Each does, with a Server of its own.
func Each(t *testing.T, o Options, test func(t *testing.T, s *Server)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, db sqlstore.Config) { test(t, Start(t, db, o)) })
}

// OnSQLite starts a Server for a test of what no engine has a part in.
func OnSQLite(t testing.TB, o Options) *Server {
	t.Helper()
	return Start(t, dbtest.SQLite(t), o)
}

// Start starts a Server on the database; it ends with the test, which fails if a secret has been logged meanwhile.
func Start(t testing.TB, db sqlstore.Config, o Options) *Server {
	t.Helper()
	o.setDefaults()
	s := &Server{Clock: o.Clock, t: t, running: &running{
		options: o, checker: newChecker(t, o.BasePath), inbox: new(mail.Inbox), waker: mail.NewWaker(), log: newLog(),
	}}
	for _, key := range o.ServerKeys {
		s.log.forbid(key)
	}
	logger := slog.New(slog.NewJSONHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	t.Cleanup(func() { s.log.check(t) })

	cache := auth.NewSessionCache()
	db.Cache, db.Now, db.Logger = cache, s.Clock.Now, logger
	var err error
	if s.Store, err = sqlstore.Open(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { report(t, s.Store.Close()) })
	o.Hash.Logger = logger
	if s.Hasher, err = passhash.New(o.Hash); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { report(t, s.Hasher.Close()) })

	s.lookups = &lookups{Store: s.Store}
	var store auth.Store = s.lookups
	if o.Store != nil {
		store = o.Store(store)
	}
	var auditLog auth.AuditLog = s.Store
	if o.AuditLog != nil {
		auditLog = o.AuditLog(auditLog)
	}
	weChat, appTokens, apps := o.weChat(t, s.Store, logger)
	s.Service, err = auth.New(auth.Config{
		Store: store, Identities: s.Store, Codes: s.Store, SignUps: s.Store, Limits: s.Store, AuditLog: auditLog, WeChat: weChat, AppTokens: appTokens, Handovers: s.Store, WeChatApps: apps, Cache: cache, Hasher: s.Hasher, Mailer: s.waker, Logger: logger, Now: s.Clock.Now,
		PublicURL:         o.PublicURL,
		PlaceholderDomain: dbtest.PlaceholderDomain,
		PasswordMinLength: o.PasswordMinLength,
		CommonPassword:    o.CommonPassword,
		SessionIdle:       o.SessionIdle,
		SessionMaxAge:     o.SessionMaxAge,
		GuestIdle:         o.GuestIdle,
		WeChatRedirects:   o.WeChatRedirects,
		AuditKeep:         AuditKeep,
		LimitsOff:         !o.Limits,
		BelieveBareUID:    o.BelieveBareUID,
		VerifyFirst:       o.VerifyFirst,
		Breaches:          o.Breaches,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.outbox = &outbox{Store: s.Store}
	senders := []mail.Sender{s.inbox}
	if o.Sender != nil {
		senders = []mail.Sender{o.Sender, s.inbox}
	}
	worker, err := mail.New(mail.Config{
		Outbox: s.outbox, Composer: s.Service, Senders: senders, Now: s.Clock.Now, Logger: logger,
		From: "Latchkey <no-reply@accounts.example.com>", AppName: "IdeaEgg",
	}, s.waker)
	if err != nil {
		t.Fatal(err)
	}
	s.Web, err = web.New(web.Config{
		Service: s.Service, Now: s.Clock.Now, Logger: logger,
		PublicURL:      o.PublicURL,
		BasePath:       o.BasePath,
		TrustedProxies: o.TrustedProxies,
		ServerKeys:     o.ServerKeys,
		LimitsOff:      !o.Limits,
		ProxyHint:      !o.Dev,
		DevInbox:       s.devInbox(),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.run(worker)
	s.listen(logger)
	return s
}

func (o *Options) setDefaults() {
	if o.Dev {
		o.BelieveBareUID = true
	}
	if o.PublicURL == "" {
		o.PublicURL = PublicURL
	}
	if o.PasswordMinLength == 0 {
		o.PasswordMinLength = PasswordMinLength
	}
	if o.SessionIdle == 0 {
		o.SessionIdle = SessionIdle
	}
	if o.GuestIdle == 0 {
		o.GuestIdle = GuestIdle
	}
	if o.Clock == nil {
		o.Clock = NewClock()
	}
	if o.Hash.Params == (passhash.Params{}) {
		o.Hash.Params = cheap
	}
	if o.Hash.MaxWait == 0 {
		o.Hash.MaxWait = 20 * time.Second // a busy machine is no fault of the service
	}
}

// run sends mail and follows other nodes' changes until the test ends. The Service's own periodic work is left to CleanUp
// and Settle, so that tests say when it happens.
func (s *Server) run(worker *mail.Worker) {
	ctx, stop := context.WithCancel(context.Background())
	var background sync.WaitGroup
	background.Go(func() { worker.Run(ctx) })
	background.Go(func() { s.Store.Follow(ctx) })
	s.t.Cleanup(func() {
		stop()
		background.Wait()
	})
}

// listen serves as cmd/latchkey does.
func (s *Server) listen(logger *slog.Logger) {
	server := httptest.NewUnstartedServer(s.Web)
	server.Config.ReadHeaderTimeout = 10 * time.Second
	server.Config.ReadTimeout = 20 * time.Second
	server.Config.WriteTimeout = 30 * time.Second
	server.Config.MaxHeaderBytes = 16 << 10
	server.Config.ErrorLog = slog.NewLogLogger(logger.Handler(), slog.LevelDebug)
	server.Start()
	s.t.Cleanup(server.Close)
	s.Origin, s.URL = server.URL, server.URL+s.options.BasePath

	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
	s.t.Cleanup(transport.CloseIdleConnections)
	s.client = &http.Client{
		Transport: transport,
		Timeout:   time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
}

// For returns the same Server for a subtest to report to.
func (s *Server) For(t testing.TB) *Server {
	c := *s
	c.t = t
	return &c
}

// AtRoot returns the same Server as it is without the base path, for what is not part of the API.
func (s *Server) AtRoot() *Server {
	c := *s
	c.URL = c.Origin
	return &c
}

// CleanUp does what the service does every minute: it deletes what is over.
func (s *Server) CleanUp() {
	s.t.Helper()
	s.Settle()
	if _, err := s.Service.CleanUp(context.Background()); err != nil {
		s.t.Errorf("clean up: %v", err)
	}
}

// Settle does what the service does every few seconds: it writes down which sessions were used and what is to be audited.
func (s *Server) Settle() {
	ended, end := context.WithCancel(context.Background())
	end()
	s.Service.Run(ended) // does it a last time before it returns
}

// Remember uses a token until the service answers for it from memory, so that the test is about what is remembered.
func (s *Server) Remember(token string) {
	s.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		before := s.lookups.sessions.Load()
		if a := s.Get("/user", Bearing(token)); a.Status != http.StatusOK {
			s.t.Errorf("got %d %s, want a token that is good", a.Status, a.Body)
			return
		}
		if s.lookups.sessions.Load() == before {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatal("every request asks the database for the session")
		}
	}
}

// lookups counts how often the database is asked for a session.
type lookups struct {
	auth.Store
	sessions atomic.Int64
}

// FindSession implements auth.Store.
func (l *lookups) FindSession(ctx context.Context, id auth.SessionID) (auth.Session, auth.User, error) {
	l.sessions.Add(1)
	return l.Store.FindSession(ctx, id)
}

// Log returns all that was logged until now, one JSON object a line.
func (s *Server) Log() string { return s.log.String() }

// Secrets returns all that has been learned until now and that nobody else may learn: tokens, codes and passwords.
func (s *Server) Secrets() []string { return s.log.secrets() }

// Liberal returns the same Server for requests that it takes though the document does not describe them. Answers are checked
// all the same.
func (s *Server) Liberal() *Server {
	c := *s
	c.liberal = true
	return &c
}

func (s *Server) devInbox() func() []web.DevMessage {
	if !s.options.Dev {
		return nil
	}
	return func() []web.DevMessage {
		var list []web.DevMessage
		for _, m := range s.inbox.List() {
			list = append(list, web.DevMessage{
				ID: int64(m.ID), To: m.To, Subject: m.Subject, Text: m.Text, HTML: m.HTML, Code: m.Code.Reveal(), Date: m.Date,
			})
		}
		return list
	}
}

func report(t testing.TB, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}
