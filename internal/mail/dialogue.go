package mail

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

// dialogue is one connection to a mail server (RFC 5321). Its errors are *SendError.
type dialogue struct {
	conn       net.Conn
	release    func() bool // lets the context go that closes conn
	text       *textproto.Conn
	encrypted  bool
	extensions map[string]string // EHLO keyword → parameters
	clean      *cleaner
	trace      io.Writer // nil: nobody follows
}

// use speaks over the connection from now on.
func (d *dialogue) use(conn net.Conn) {
	d.conn, d.text = conn, textproto.NewConn(conn)
}

func (d *dialogue) close() {
	d.release()
	_ = d.conn.Close()
}

// note writes a line for whoever follows the dialogue: who says it, and what.
func (d *dialogue) note(who, format string, args ...any) {
	if d.trace != nil {
		fmt.Fprintln(d.trace, who, oneLine(d.clean.secretless(fmt.Sprintf(format, args...)), longestReason))
	}
}

// Who says a line of the dialogue.
const (
	client = ">"
	server = "<"
	aside  = " "
)

// command sends a line and reads the reply, whose code must begin with expect's digits. What is shown of the line is
// another text if it holds a secret.
func (d *dialogue) command(phase string, expect int, line, shown string) (code int, reply string, err error) {
	d.note(client, "%s", shown)
	if err := d.text.PrintfLine("%s", line); err != nil {
		return 0, "", d.failed(phase, err)
	}
	return d.reply(phase, expect)
}

func (d *dialogue) reply(phase string, expect int) (code int, reply string, err error) {
	code, reply, err = d.text.ReadResponse(expect)
	_, refused := errors.AsType[*textproto.Error](err)
	if err == nil || refused {
		shown := reply
		if code == 334 { // RFC 4954 §4: a challenge
			shown = "[redacted]"
		}
		lines := strings.Split(shown, "\n")
		for i, line := range lines {
			between := "-"
			if i == len(lines)-1 {
				between = " "
			}
			d.note(server, "%d%s%s", code, between, line)
		}
	}
	if err != nil {
		return code, reply, d.failed(phase, err)
	}
	return code, reply, nil
}

// greet reads the greeting and introduces itself.
func (d *dialogue) greet(name string) error {
	if _, _, err := d.reply("greeting", 220); err != nil {
		return err
	}
	return d.hello(name)
}

func (d *dialogue) hello(name string) error {
	d.extensions = make(map[string]string)
	_, reply, err := d.command("EHLO", 250, "EHLO "+name, "EHLO "+name)
	if err != nil {
		return err
	}
	lines := strings.Split(reply, "\n")
	for _, line := range lines[1:] {
		keyword, parameters, _ := strings.Cut(strings.Replace(line, "AUTH=", "AUTH ", 1), " ") // the form before RFC 2554
		d.extensions[strings.ToUpper(keyword)] += " " + parameters
	}
	return nil
}

// upgrade is STARTTLS (RFC 3207). What the server said before is forgotten, whether it came from the server or not.
func (d *dialogue) upgrade(ctx context.Context, cfg *tls.Config, name string) error {
	if _, _, err := d.command("STARTTLS", 220, "STARTTLS", "STARTTLS"); err != nil {
		return err
	}
	if err := d.startTLS(ctx, cfg); err != nil {
		return err
	}
	return d.hello(name)
}

func (d *dialogue) startTLS(ctx context.Context, cfg *tls.Config) error {
	conn := tls.Client(d.conn, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		return d.failed("TLS", err)
	}
	d.use(conn)
	d.encrypted = true
	state := conn.ConnectionState()
	d.note(aside, "%s, certificate of %s", tls.VersionName(state.Version), state.PeerCertificates[0].Subject)
	return nil
}

// mechanisms are the ways to authenticate, best first: with the first two the password itself is not sent. Those that
// bind to the TLS connection (…-PLUS) are left out: servers disagree on what to bind to, and the certificate is checked.
var mechanisms = []struct {
	name string
	auth func(user string, password Password, server string) smtp.Auth
}{
	{"SCRAM-SHA-256", func(u string, p Password, _ string) smtp.Auth { return smtp.ScramSHA256Auth(u, string(p)) }},
	{"SCRAM-SHA-1", func(u string, p Password, _ string) smtp.Auth { return smtp.ScramSHA1Auth(u, string(p)) }},
	{"PLAIN", func(u string, p Password, s string) smtp.Auth { return smtp.PlainAuth("", u, string(p), s, true) }},
	{"LOGIN", func(u string, p Password, s string) smtp.Auth { return smtp.LoginAuth(u, string(p), s, true) }},
	{"CRAM-MD5", func(u string, p Password, _ string) smtp.Auth { return smtp.CRAMMD5Auth(u, string(p)) }},
}

const (
	mostChallenges = 10 // twice what any mechanism needs
	// mostIterations bounds what a server may have this machine compute for SCRAM: under a second.
	mostIterations = 1_000_000
)

var iterations = regexp.MustCompile(`^r=[^,]*,s=[^,]*,i=([0-9]+)`)

// authenticate is AUTH (RFC 4954). The caller has made sure that the connection is encrypted, or leads nowhere.
func (d *dialogue) authenticate(user string, password Password) error {
	offered := strings.Fields(strings.ToUpper(d.extensions["AUTH"]))
	const name = "server" // known to be the right one by its certificate
	for _, m := range mechanisms {
		if slices.Contains(offered, m.name) {
			return d.authenticateBy(m.name, m.auth(user, password, name), &smtp.ServerInfo{Name: name, TLS: d.encrypted, Auth: offered})
		}
	}
	return &SendError{
		Trouble: TroubleUnwelcome, Phase: "AUTH",
		Reason: d.clean.line("the server offers no way to sign in that is known here; it offers: " + strings.Join(offered, " ")),
	}
}

func (d *dialogue) authenticateBy(name string, auth smtp.Auth, info *smtp.ServerInfo) error {
	phase := "AUTH " + name
	_, first, err := auth.Start(info)
	if err != nil {
		return d.unwelcome(phase, err)
	}
	line, shown := "AUTH "+name, "AUTH "+name
	if len(first) > 0 {
		line, shown = line+" "+base64.StdEncoding.EncodeToString(first), shown+" [redacted]"
	}
	proved := !strings.HasPrefix(name, "SCRAM-") // the server must prove in its turn that it knows the password
	for range mostChallenges {
		code, challenge, err := d.command(phase, 0, line, shown)
		switch {
		case err != nil:
			return err
		case code == 235 && !proved:
			return d.unwelcome(phase, errors.New("the server let us in without proof that it knows the password"))
		case code == 235:
			return nil
		case code != 334:
			return d.failed(phase, &textproto.Error{Code: code, Msg: challenge})
		}
		decoded, err := base64.StdEncoding.DecodeString(challenge)
		if err != nil && name != "LOGIN" { // whose challenges mean nothing
			return d.unwelcome(phase, errors.New("the server's challenge is not base64"))
		}
		if i := iterations.FindSubmatch(decoded); i != nil {
			if n, err := strconv.Atoi(string(i[1])); err != nil || n > mostIterations {
				return d.unwelcome(phase, errors.New("the server asks for too many iterations"))
			}
		}
		answer, err := auth.Next(decoded, true)
		if err != nil {
			return d.unwelcome(phase, errors.New("the server's challenge makes no sense, or is not from who knows the password"))
		}
		proved = proved || bytes.HasPrefix(decoded, []byte("v="))
		line, shown = base64.StdEncoding.EncodeToString(answer), "[redacted]"
	}
	return d.unwelcome(phase, errors.New("the server goes on asking"))
}

// deliver hands the message over. The last look whether it may still be sent is right before its content.
func (d *dialogue) deliver(ctx context.Context, from, to string, m Message) error {
	_, eightBit := d.extensions["8BITMIME"]
	content, err := m.encode(eightBit)
	if err != nil {
		return &SendError{Trouble: TroubleNever, Phase: "compose", Reason: d.clean.line(err.Error())}
	}
	sender := "MAIL FROM:<" + from + ">"
	if eightBit && !isASCII(content) {
		sender += " BODY=8BITMIME" // RFC 6152 §3
	}
	if _, _, err := d.command("MAIL FROM", 250, sender, sender); err != nil {
		return err
	}
	recipient := "RCPT TO:<" + to + ">"
	if _, _, err := d.command("RCPT TO", 25, recipient, recipient); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return d.failed("DATA", err)
	}
	if _, _, err := d.command("DATA", 354, "DATA", "DATA"); err != nil {
		return err
	}
	d.note(client, "(%d bytes)", len(content))
	w := d.text.DotWriter()
	_, err = w.Write(content)
	if err := errors.Join(err, w.Close()); err != nil {
		return d.failed("message", err)
	}
	if _, _, err := d.reply("message", 250); err != nil {
		return err
	}
	d.quit()
	return nil
}

func (d *dialogue) quit() {
	stop := time.AfterFunc(quitTime, func() { _ = d.conn.Close() })
	defer stop.Stop()
	_, _, _ = d.command("QUIT", 221, "QUIT", "QUIT")
}

// failed makes a SendError of what went wrong.
func (d *dialogue) failed(phase string, err error) error {
	if said, ok := errors.AsType[*textproto.Error](err); ok {
		return &SendError{Trouble: troubleOf(phase, said.Code), Phase: phase, Code: said.Code, Reason: d.clean.line(said.Msg)}
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return d.unwelcome(phase, err)
	}
	reason := err.Error()
	if broken, ok := errors.AsType[*net.OpError](err); ok && broken.Op != "dial" {
		reason = broken.Err.Error() // without this end's port, which is another each time: the same trouble reads the same
	}
	network, ok := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded), ok && network.Timeout():
		reason = "timed out"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		reason = "the server closed the connection"
	}
	return &SendError{Trouble: lost(phase), Phase: phase, Reason: d.clean.line(reason)}
}

func (d *dialogue) unwelcome(phase string, err error) error {
	return &SendError{Trouble: TroubleUnwelcome, Phase: phase, Reason: d.clean.line(err.Error())}
}

// aboutMessage says that what goes wrong in the phase may be due to the message. Before, it is due to the server or to
// this service, whatever the message.
func aboutMessage(phase string) bool {
	return phase == "RCPT TO" || phase == "DATA" || phase == "message"
}

// lost is the trouble of a connection that ends in the phase.
func lost(phase string) Trouble {
	if aboutMessage(phase) {
		return TroubleBroken
	}
	return TroubleUnreachable
}

// troubleOf says what a reply means.
func troubleOf(phase string, code int) Trouble {
	switch code {
	case 421: // RFC 5321 §3.8: the server is going away
		return lost(phase)
	case 530, 535, 538: // RFC 4954 §6: authentication required, refused, or without TLS
		return TroubleUnwelcome
	}
	permanent := code >= 500
	switch {
	case permanent && aboutMessage(phase):
		return TroubleNever
	case permanent: // MAIL FROM, too: it is the same sender always
		return TroubleUnwelcome
	case aboutMessage(phase), phase == "MAIL FROM":
		return TroubleLater
	}
	return TroubleUnreachable
}
