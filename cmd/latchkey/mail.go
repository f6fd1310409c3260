package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	netmail "net/mail"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/ideaegg/latchkey/internal/config"
	"github.com/ideaegg/latchkey/internal/mail"
)

type mailCommand struct {
	Test      mailTestCommand      `cmd:"" help:"Send one message now and show what the server answers. Example: latchkey mail test me@example.com --mail=smtps://latchkey:secret@mail.example.com"`
	Templates mailTemplatesCommand `cmd:"" help:"Write the templates of mails into a folder, to be changed and used with --templates. Example: latchkey mail templates ./mail"`
}

type mailTestCommand struct {
	config.MailOnly
	Address string `arg:"" help:"Who gets the message."`
}

// Help is the detail that kong shows above the flags.
func (mailTestCommand) Help() string {
	return "Takes the settings of latchkey serve, from flags, environment and config file. Passwords are not shown."
}

// Run sends the message.
func (c mailTestCommand) Run(w world) error {
	cfg, err := c.Settings()
	if err != nil {
		return err
	}
	to, err := netmail.ParseAddress(c.Address)
	if err != nil || to.Address != c.Address {
		return fmt.Errorf("%q is no e-mail address", c.Address)
	}
	message, err := mail.ComposeTest(cfg.AppName, templates(cfg), sender(cfg), to.Address, time.Now())
	if err != nil {
		return fmt.Errorf("--templates: %w", err)
	}
	if cfg.Mail.Kind == config.MailDirectory {
		dir, err := mail.NewDir(cfg.Mail.Dir)
		if err != nil {
			return fmt.Errorf("--mail: %w", err)
		}
		path, err := dir.Write(w.ctx, message)
		if err != nil {
			return fmt.Errorf("--mail: %w", err)
		}
		_, err = fmt.Fprintln(w.stdout, "written to", path)
		return err
	}
	server, err := newSMTP(cfg, w.stdout)
	if err != nil {
		return err
	}
	if err := server.Send(w.ctx, message); err != nil {
		return fmt.Errorf("not sent: %w", err)
	}
	_, err = fmt.Fprintf(w.stdout, "The server has taken the message from %s to %s.\n", message.From, message.To)
	return err
}

type mailTemplatesCommand struct {
	Dir string `arg:"" help:"Folder, made if it is missing."`
}

// Run writes the templates.
func (c mailTemplatesCommand) Run(w world) error {
	paths, err := mail.WriteTemplates(c.Dir)
	if err != nil {
		return err
	}
	for _, path := range paths {
		fmt.Fprintln(w.stdout, path)
	}
	return nil
}

// newSenders returns where mail goes; inbox is nil outside development.
func newSenders(cfg config.Settings) (senders []mail.Sender, inbox *mail.Inbox, err error) {
	switch cfg.Mail.Kind {
	case config.MailUnset:
	case config.MailDirectory:
		dir, err := mail.NewDir(cfg.Mail.Dir)
		if err != nil {
			return nil, nil, fmt.Errorf("--mail: %w", err)
		}
		senders = append(senders, dir)
	default:
		server, err := newSMTP(cfg, nil)
		if err != nil {
			return nil, nil, err
		}
		senders = append(senders, server)
	}
	if cfg.Dev {
		inbox = new(mail.Inbox)
		senders = append(senders, inbox)
	}
	return senders, inbox, nil
}

// newSMTP returns the sender for --mail; trace, if not nil, gets the dialogue.
func newSMTP(cfg config.Settings, trace io.Writer) (*mail.SMTP, error) {
	server, err := mail.NewSMTP(mail.SMTPConfig{
		Host: cfg.Mail.Host, Port: cfg.Mail.Port, ImplicitTLS: cfg.Mail.Kind == config.MailSMTPS,
		User: cfg.Mail.User, Password: mail.Password(cfg.Mail.Password.Reveal()),
		Hello: helloName(cfg.PublicURL), Trace: trace,
	})
	if err != nil {
		return nil, fmt.Errorf("--mail: %w", err)
	}
	return server, nil
}

// helloName is what this machine is called in public: the host of the public URL. It is empty if that has no name.
func helloName(publicURL string) string {
	u, err := url.Parse(publicURL)
	if err != nil || !strings.Contains(u.Hostname(), ".") {
		return ""
	}
	if _, err := netip.ParseAddr(u.Hostname()); err == nil {
		return ""
	}
	return strings.TrimSuffix(u.Hostname(), ".")
}

// sender is the mailbox that mail is from.
func sender(cfg config.Settings) string {
	from := cfg.Sender(cfg.PublicURL)
	return from.String()
}

// templates are the files that take the place of the program's own; nil if there are none.
func templates(cfg config.Settings) fs.FS {
	if cfg.Templates == "" {
		return nil
	}
	return os.DirFS(cfg.Templates)
}

// checkTemplates returns an error if --templates cannot be used.
func checkTemplates(cfg config.Settings) error {
	if cfg.Templates == "" {
		return nil
	}
	if err := mail.CheckTemplates(cfg.AppName, templates(cfg)); err != nil {
		return fmt.Errorf("--templates: %w", err)
	}
	return nil
}

// newMailer returns what sends mail until its context ends; with nowhere to send it, that does nothing.
func newMailer(cfg config.Settings, m mail.Config, waker mail.Waker) (run func(context.Context), err error) {
	if len(m.Senders) == 0 {
		return func(context.Context) {}, nil
	}
	m.From, m.AppName, m.Overrides = sender(cfg), cfg.AppName, templates(cfg)
	worker, err := mail.New(m, waker)
	if err != nil {
		return nil, err
	}
	return worker.Run, nil
}
