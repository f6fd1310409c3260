package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/breach"
	"github.com/ideaegg/latchkey/internal/config"
	"github.com/ideaegg/latchkey/internal/mail"
	"github.com/ideaegg/latchkey/internal/passhash"
	"github.com/ideaegg/latchkey/internal/passlist"
	"github.com/ideaegg/latchkey/internal/web"
)

// drainTime is how long requests under way may take after SIGTERM.
const drainTime = 10 * time.Second

type serveCommand struct {
	config.Serve
}

// Run serves until the context ends.
func (c serveCommand) Run(w world) error {
	settings, err := c.Settings()
	if err != nil {
		return err
	}
	return serve(w.ctx, settings, w.stdout, w.stderr)
}

// serve wires everything together, serves, and drains when ctx ends.
func serve(ctx context.Context, cfg config.Settings, stdout, stderr io.Writer) (err error) {
	log := newLogger(cfg, stderr)
	defer log.lines.close() // also when this panics
	logger := log.Logger
	if err := checkTemplates(cfg); err != nil {
		return err
	}

	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	defer func() { _ = listener.Close() }()
	if cfg.PublicURL == "" { // with --dev
		cfg.PublicURL = "http://" + listener.Addr().String() // 127.0.0.1:PORT, unless another loopback address was asked for
	}

	cache := auth.NewSessionCache()
	db := storeConfig(cfg.Database)
	db.PlaceholderDomain, db.ListenURL, db.KeepSchema = cfg.PlaceholderEmailDomain, cfg.DatabaseListen.Reveal(), cfg.MigrateOff
	db.Cache, db.Logger = cache, logger
	if cfg.MigrateOff { // a new file would be an older schema, and be left behind
		if err := mustExist(cfg.Database); err != nil {
			return fmt.Errorf("--database: %w; without --migrate=off it is made", err)
		}
	}
	store, err := openStore(ctx, db)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil // asked to end before it began
	case err != nil:
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()

	helper, err := passhash.HelperCommand(hashHelper)
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	hasher, err := passhash.New(passhash.Config{Helper: helper, Logger: logger})
	if err != nil {
		return fmt.Errorf("hash governor: %w", err)
	}
	defer func() { _ = hasher.Close() }()

	weChat, appTokens, err := newWeChat(cfg, store, logger)
	if err != nil {
		return err
	}
	defer appTokens.Wait() // before the store is closed
	waker := mail.NewWaker()
	service, err := auth.New(auth.Config{
		Store: store, Identities: store, Codes: store, SignUps: store, Limits: store, AuditLog: store, Cache: cache, Hasher: hasher, Mailer: waker, WeChat: weChat, AppTokens: appTokens, Handovers: store, Logger: logger, Now: time.Now,
		PublicURL:         cfg.PublicURL,
		PlaceholderDomain: cfg.PlaceholderEmailDomain,
		AppName:           cfg.AppName,
		PasswordMinLength: cfg.PasswordMinLength,
		CommonPassword:    commonPassword(cfg),
		SessionIdle:       cfg.SessionIdle,
		SessionMaxAge:     cfg.SessionMaxAge,
		GuestIdle:         cfg.GuestIdle,
		AuditKeep:         cfg.AuditKeep,
		NotifyNewDevice:   cfg.NotifyNewDevice,
		VerifyFirst:       cfg.VerifyFirst,
		Breaches:          breaches(cfg),
		WeChatApps:        weChatApps(cfg),
		LimitsOff:         cfg.RateLimitsOff,
		WeChatRedirects:   cfg.WeChatRedirects,
		BelieveBareUID:    cfg.Dev,
	})
	if err != nil {
		return err
	}
	senders, inbox, err := newSenders(cfg)
	if err != nil {
		return err
	}
	sendMail, err := newMailer(cfg, mail.Config{Outbox: store, Composer: service, Senders: senders, Now: time.Now, Logger: logger}, waker)
	if err != nil {
		return err
	}

	registry := newRegistry(hasher, service)
	handler, err := web.New(web.Config{
		Service: service, Now: time.Now, Logger: logger, RequestLog: log.requests,
		PublicURL:      cfg.PublicURL,
		BasePath:       cfg.BasePath,
		TrustedProxies: cfg.TrustedProxies,
		ServerKeys:     reveal(cfg.ServerKeys),
		AppName:        cfg.AppName,
		AppURL:         cfg.AppURL,
		Logo:           web.Logo(cfg.AppLogo),
		LimitsOff:      cfg.RateLimitsOff,
		ProxyHint:      !cfg.Dev,
		DevInbox:       devInbox(inbox),
		Registry:       registry,

		PasswordMinLength: cfg.PasswordMinLength,
	})
	if err != nil {
		return err
	}

	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer running.Wait()
	defer stopBackground()
	running.Go(func() { service.Run(background) })
	running.Go(func() { store.Follow(background) })
	running.Go(func() { sendMail(background) })
	warnOfSettings(cfg, logger)
	if cfg.OpsListen != "" {
		ops, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.OpsListen)
		if err != nil {
			return fmt.Errorf("--ops-listen: %w", err)
		}
		opsServer := newHTTPServer(opsHandler(registry), logger)
		defer func() { _ = opsServer.Close() }()
		logger.Info("metrics and profiles are served", "address", ops.Addr().String())
		running.Go(func() { _ = opsServer.Serve(ops) })
	}

	if _, err := fmt.Fprintln(stdout, startLine(cfg, listener.Addr())); err != nil {
		return fmt.Errorf("print start line: %w", err)
	}
	defer tuneMemory()()
	return serveHTTP(ctx, newHTTPServer(handler, logger), lazyListener{listener})
}

// serveHTTP serves until ctx ends and then lets what is under way finish.
func serveHTTP(ctx context.Context, server *http.Server, listener net.Listener) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		_ = server.Close() // some client did not finish in time
	}
	return nil
}

func newHTTPServer(h http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       20 * time.Second, // 16 KiB over the worst of phones
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug), // broken connections, handshakes: clients' affairs
	}
}

// warnOfSettings names what is allowed but seldom meant.
func warnOfSettings(cfg config.Settings, logger *slog.Logger) {
	if cfg.Mail.Kind == config.MailUnset && !cfg.Dev {
		logger.Warn("no --mail is set: messages wait in the database and are not sent")
	}
	if cfg.RateLimitsOff {
		logger.Warn("--rate-limits=off is for load tests only")
	}
	for _, key := range cfg.ServerKeys {
		if len(key.Reveal()) < config.ShortServerKey {
			logger.Warn("a key in --server-keys has fewer than 16 characters and might be guessed")
		}
	}
}

// startLine says where the service is, where it keeps its users, and which mode it is in. The listener's address is
// there if the public URL does not tell it: with port 0 nobody else knows.
func startLine(cfg config.Settings, listening net.Addr) string {
	at := ""
	if cfg.PublicURL != "http://"+listening.String() {
		at = " at " + listening.String()
	}
	mode := "production mode"
	if cfg.Dev {
		mode = "DEVELOPMENT MODE: mail is shown at " + cfg.PublicURL + "/dev/mail, common passwords are accepted, any WeChat uid is believed"
	}
	return fmt.Sprintf("latchkey %s serves %s%s%s | database %s | %s", version(), cfg.PublicURL, cfg.BasePath, at, cfg.Database.Redacted(), mode)
}

// commonPassword is the list of passwords that everybody uses; development does without, so that the examples of the
// documentation work.
func commonPassword(cfg config.Settings) func(string) bool {
	if cfg.Dev {
		return nil
	}
	return passlist.Contains
}

// breaches is where new passwords are looked up, nil if they are not.
func breaches(cfg config.Settings) auth.Breaches {
	if !cfg.LookUpBreaches {
		return nil
	}
	return breach.New(breach.Config{})
}

func reveal(secrets []config.Secret) []string {
	var list []string
	for _, s := range secrets {
		list = append(list, s.Reveal())
	}
	return list
}

func devInbox(inbox *mail.Inbox) func() []web.DevMessage {
	if inbox == nil {
		return nil
	}
	return func() []web.DevMessage {
		var list []web.DevMessage
		for _, m := range inbox.List() {
			list = append(list, web.DevMessage{
				ID: int64(m.ID), To: m.To, Subject: m.Subject, Text: m.Text, HTML: m.HTML, Code: m.Code.Reveal(), Date: m.Date,
			})
		}
		return list
	}
}
