package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

const (
	defaultConnectTimeout = 10 * time.Second // a server that is there answers within one
	defaultSendTimeout    = 30 * time.Second // content filters take their time
	quitTime              = time.Second      // the message is sent by then: QUIT is but a courtesy
	// mostReceived is how many bytes a server may say in one connection, certificates included.
	mostReceived = 256 << 10
)

// Password is that of the account at the mail server. It prints as [redacted].
type Password string

// Format and MarshalText keep the value out of messages, logs and JSON.
func (Password) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "[redacted]") }

func (Password) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// SMTPConfig says how to reach a mail server. Host and Port are required.
type SMTPConfig struct {
	Host string // name or IP address; the certificate must be valid for it
	Port int
	// ImplicitTLS is for servers that speak TLS from the first byte. All others must offer STARTTLS; only on a
	// loopback host, to which no wire leads, mail and password may go without.
	ImplicitTLS bool
	User        string // empty: no authentication
	Password    Password
	Hello       string         // name of this machine, for EHLO; empty: the address literal of the connection
	RootCAs     *x509.CertPool // nil: the system's

	ConnectTimeout time.Duration // until there is a connection; 0: 10 s
	SendTimeout    time.Duration // from the connection to the answer for the message; 0: 30 s
	// Dial makes the connection; nil: a net.Dialer does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Trace gets what both sides say, a line each, without content, password, link and code; nil: nobody does.
	Trace io.Writer
}

// SMTP is a Sender that hands messages to a mail server, each over a connection of its own. A certificate that is not
// valid for the host is refused, and so is TLS below 1.2.
//
// The dialogue is spoken here, with messages and SASL mechanisms from go-mail: that module's client forgets the context
// once it is connected, leaves the connection open when TLS or AUTH fails, and does not tell what the server said.
type SMTP struct {
	cfg      SMTPConfig
	tls      *tls.Config
	loopback bool // by its name
}

// NewSMTP returns an SMTP; the error names what is missing. It does not connect.
func NewSMTP(cfg SMTPConfig) (*SMTP, error) {
	switch {
	case cfg.Host == "":
		return nil, errors.New("mail: no Host")
	case cfg.Port <= 0:
		return nil, errors.New("mail: no Port")
	case (cfg.User == "") != (cfg.Password == ""):
		return nil, errors.New("mail: User without Password, or the reverse")
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = defaultConnectTimeout
	}
	if cfg.SendTimeout == 0 {
		cfg.SendTimeout = defaultSendTimeout
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{}).DialContext
	}
	return &SMTP{
		cfg:      cfg,
		loopback: isLoopback(cfg.Host),
		tls:      &tls.Config{ServerName: strings.TrimSuffix(cfg.Host, "."), RootCAs: cfg.RootCAs, MinVersion: tls.VersionTLS12},
	}, nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// Send implements Sender.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	from, to, err := m.mailboxes()
	if err != nil {
		return &SendError{Trouble: TroubleNever, Phase: "compose", Reason: err.Error()}
	}
	return s.converse(ctx, newCleaner(s.cfg, m), func(ctx context.Context, d *dialogue) error {
		return d.deliver(ctx, from.Address, to.Address, m)
	})
}

// Probe implements prober: it connects, authenticates, and leaves.
func (s *SMTP) Probe(ctx context.Context) error {
	return s.converse(ctx, newCleaner(s.cfg, Message{}), func(_ context.Context, d *dialogue) error {
		d.quit()
		return nil
	})
}

// converse connects, introduces itself and does what there is to do. All of it is over after SendTimeout, or when ctx
// ends: the connection is closed then, and who reads from it or writes to it returns.
func (s *SMTP) converse(ctx context.Context, clean *cleaner, do func(context.Context, *dialogue) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.SendTimeout)
	defer cancel()
	d := &dialogue{clean: clean, trace: s.cfg.Trace}
	err := s.connect(ctx, d)
	if err == nil {
		defer d.close()
		err = s.introduce(ctx, d)
	}
	if err == nil {
		err = do(ctx, d)
	}
	if trouble, ok := errors.AsType[*SendError](err); ok && ctx.Err() != nil && trouble.Code == 0 {
		trouble.Reason = "stopped"
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			trouble.Reason = "timed out"
		}
	}
	return err
}

func (s *SMTP) connect(ctx context.Context, d *dialogue) error {
	dialing, cancel := context.WithTimeout(ctx, s.cfg.ConnectTimeout)
	defer cancel()
	address := net.JoinHostPort(s.cfg.Host, strconv.Itoa(s.cfg.Port))
	d.note(aside, "connecting to %s", address)
	conn, err := s.cfg.Dial(dialing, "tcp", address)
	if err != nil {
		return d.failed("connect", err)
	}
	d.use(&limitedConn{Conn: conn, left: mostReceived})
	d.release = context.AfterFunc(ctx, func() { _ = conn.Close() })
	return nil
}

// introduce sets up TLS and authenticates.
func (s *SMTP) introduce(ctx context.Context, d *dialogue) error {
	if s.cfg.ImplicitTLS {
		if err := d.startTLS(ctx, s.tls); err != nil {
			return err
		}
	}
	if err := d.greet(s.hello(d.conn)); err != nil {
		return err
	}
	if !s.cfg.ImplicitTLS {
		if err := s.upgrade(ctx, d); err != nil {
			return err
		}
	}
	if s.cfg.User == "" {
		return nil
	}
	return d.authenticate(s.cfg.User, s.cfg.Password)
}

// upgrade turns the connection into TLS by STARTTLS. Without TLS it goes on only to this machine, and only if the server
// offers none: what was begun is never continued in clear text.
func (s *SMTP) upgrade(ctx context.Context, d *dialogue) error {
	if _, offered := d.extensions["STARTTLS"]; offered {
		err := d.upgrade(ctx, s.tls, s.hello(d.conn))
		if trouble, ok := errors.AsType[*SendError](err); ok && s.loopback && trouble.Trouble == TroubleUnwelcome {
			trouble.Reason += " (give the server a certificate for " + s.cfg.Host + ", or let it offer no STARTTLS on this address)"
		}
		return err
	}
	if s.loopback && isLoopbackAddr(d.conn.RemoteAddr()) {
		return nil
	}
	return &SendError{
		Trouble: TroubleUnwelcome, Phase: "STARTTLS",
		Reason: "the server does not offer it, and neither mail nor password goes over an unencrypted connection",
	}
}

func isLoopbackAddr(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// hello is the name to say in EHLO.
func (s *SMTP) hello(conn net.Conn) string {
	if s.cfg.Hello != "" {
		return s.cfg.Hello
	}
	addr, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return "localhost"
	}
	ip := addr.Addr().Unmap().WithZone("")
	if ip.Is6() {
		return "[IPv6:" + ip.String() + "]" // RFC 5321 §4.1.3
	}
	return "[" + ip.String() + "]"
}

// limitedConn ends a connection whose other side never stops talking.
type limitedConn struct {
	net.Conn
	left int
}

func (c *limitedConn) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, errors.New("the server says too much")
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}
