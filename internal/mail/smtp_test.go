package mail_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/mail"
)

const (
	token = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
	link  = "https://accounts.example.com/account/reset_password?token=" + token
	code  = auth.OneTimeCode("31415926")
)

func sample() mail.Message {
	return mail.Message{
		ID: 7, From: `"Example App" <no-reply@accounts.example.com>`, To: "john@example.org", Subject: "Hello", Language: auth.English,
		Text: "Open\n\n" + link + "\n\nor type 31415926\n.\n", HTML: "<p>" + link + " 31415926</p>\n", Link: link, Code: code, Date: time.Now(),
	}
}

// wantTrouble checks the class of an error and that it says something, but no secret.
func wantTrouble(t *testing.T, err error, want mail.Trouble, says ...string) {
	t.Helper()
	trouble, ok := errors.AsType[*mail.SendError](err)
	if !ok {
		t.Fatalf("got error %v, want a SendError", err)
	}
	if trouble.Trouble != want {
		t.Errorf("got trouble %d (%v), want %d", trouble.Trouble, err, want)
	}
	for _, text := range says {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("got error %q, want it to say %q", err, text)
		}
	}
	for _, secret := range []string{token, code.Reveal(), password, base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password)), "john@"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("got error %q, want nothing secret in it", err)
		}
	}
	if strings.Contains(err.Error(), "->") {
		t.Errorf("got error %q, want the same words for the same trouble", err)
	}
}

func TestSMTPDelivers(t *testing.T) {
	t.Parallel()
	certificate := certificateFor("mail.example.com", "127.0.0.1")
	tests := []struct {
		name      string
		server    serverOptions
		client    func(port int) mail.SMTPConfig
		signsInBy string
	}{
		{"over STARTTLS", serverOptions{TLS: certificate}, remote, ""},
		{"over implicit TLS", serverOptions{TLS: certificate, Implicit: true}, remote, ""},
		{"over STARTTLS on this machine when it is offered", serverOptions{TLS: certificate, NeedAuth: true, Mechanisms: []string{"PLAIN"}}, local, "PLAIN"},
		{"without TLS on this machine when none is offered", serverOptions{}, local, ""},
		{"with a password without TLS on this machine", serverOptions{InsecureAuth: true, NeedAuth: true, Mechanisms: []string{"LOGIN"}}, local, "LOGIN"},
		{"with PLAIN", serverOptions{TLS: certificate, NeedAuth: true, Mechanisms: []string{"LOGIN", "PLAIN", "XOAUTH2"}}, remote, "PLAIN"},
		{"with LOGIN", serverOptions{TLS: certificate, NeedAuth: true, Mechanisms: []string{"XOAUTH2", "LOGIN"}}, remote, "LOGIN"},
		{"with SCRAM if it can", serverOptions{TLS: certificate, Implicit: true, NeedAuth: true, Mechanisms: []string{"PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"}}, remote, "SCRAM-SHA-256"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := startServer(t, tt.server)
			cfg := tt.client(server.port)
			cfg.ImplicitTLS = tt.server.Implicit
			if tt.signsInBy != "" {
				cfg.User, cfg.Password = user, password
			}
			s := newSMTP(t, cfg)
			if err := s.Probe(t.Context()); err != nil {
				t.Fatalf("probe: %v", err)
			}
			m := sample()
			if err := s.Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			got := server.received()
			if len(got) != 1 || got[0].from != "no-reply@accounts.example.com" || got[0].to != m.To {
				t.Fatalf("got %+v, want one message", got)
			}
			text, html := parts(t, got[0].text)
			if text != m.Text || html != m.HTML {
				t.Errorf("got text %q and HTML %q, want those that were sent", text, html)
			}
			if mechanisms := server.mechanisms(); tt.signsInBy != "" && (len(mechanisms) != 2 || mechanisms[1] != tt.signsInBy) {
				t.Errorf("got sign-ins by %v, want one by %s each for probe and message", mechanisms, tt.signsInBy)
			}
		})
	}
}

// The name in EHLO is the one that is configured, or the address of this end.
func TestSMTPIntroducesItself(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ hello, want string }{{"accounts.example.com", "EHLO accounts.example.com"}, {"", "EHLO [127.0.0.1]"}} {
		heard := make(chan string, 1)
		port := startScript(t, func(_ context.Context, conn net.Conn) { heard <- say(conn, "220 hi", "250 hi", "221 bye") })
		cfg := local(port)
		cfg.Hello = test.hello
		if err := newSMTP(t, cfg).Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := <-heard; got != test.want+"\r\nQUIT\r\n" {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestSMTPNeverGoesUnencrypted(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		replies []string
		want    mail.Trouble
		says    string
	}{
		{"the server offers no STARTTLS", []string{"220 hi", "250-hi\r\n250 AUTH PLAIN LOGIN"}, mail.TroubleUnwelcome, "does not offer it"},
		{"an attacker takes STARTTLS out of the offer", []string{"220 hi", "250-hi\r\n250-XXXXXXXX\r\n250 AUTH PLAIN"}, mail.TroubleUnwelcome, "does not offer it"},
		{"the server refuses STARTTLS", []string{"220 hi", "250-hi\r\n250 STARTTLS", "454 4.7.0 TLS not available"}, mail.TroubleUnreachable, "454 4.7.0 TLS not available"},
		{"the server refuses it for good", []string{"220 hi", "250-hi\r\n250 STARTTLS", "502 no"}, mail.TroubleUnwelcome, "502 no"},
		{"the server speaks on in clear text", []string{"220 hi", "250-hi\r\n250 STARTTLS", "220 go", "250-hi\r\n250 AUTH PLAIN"}, mail.TroubleUnreachable, "TLS"},
		{"replies come before the handshake", []string{"220 hi", "250-hi\r\n250 STARTTLS", "220 go\r\n250 hi\r\n235 in\r\n250 ok\r\n250 ok\r\n354 go\r\n250 ok"}, mail.TroubleUnreachable, "TLS"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			heard := make(chan string, 1)
			port := startScript(t, func(_ context.Context, conn net.Conn) { heard <- say(conn, tt.replies...) })
			cfg := remote(port)
			cfg.User, cfg.Password = user, password
			wantTrouble(t, newSMTP(t, cfg).Send(t.Context(), sample()), tt.want, tt.says)
			if got := <-heard; strings.Contains(got, "AUTH") || strings.Contains(got, "MAIL") {
				t.Errorf("got %q sent without TLS", got)
			}
		})
	}
}

// A host that only calls itself loopback, or a loopback name that leads elsewhere, is no loopback.
func TestSMTPLoopbackIsDecidedByNameAndAddress(t *testing.T) {
	t.Parallel()
	port := startServer(t, serverOptions{}).port
	for _, host := range []string{"localhost.example.com", "127.0.0.1.example.com", "192.0.2.1"} {
		cfg := remote(port)
		cfg.Host = host
		wantTrouble(t, newSMTP(t, cfg).Probe(t.Context()), mail.TroubleUnwelcome, "STARTTLS")
	}
	cfg := local(port)
	dial := remote(port).Dial
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return elsewhere{conn}, err
	}
	wantTrouble(t, newSMTP(t, cfg).Probe(t.Context()), mail.TroubleUnwelcome, "STARTTLS")
}

// elsewhere is a connection that leads to another machine.
type elsewhere struct{ net.Conn }

func (elsewhere) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 25} }

func TestSMTPRefusesWrongCertificates(t *testing.T) {
	t.Parallel()
	old := certificateFor("mail.example.com")
	old.MaxVersion = tls.VersionTLS11
	old.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
	old.MinVersion = tls.VersionTLS10
	tests := []struct {
		name        string
		certificate *tls.Config
		change      func(*mail.SMTPConfig)
		want        mail.Trouble
		says        string
	}{
		{"for another name", certificateFor("mail.example.net"), nil, mail.TroubleUnwelcome, "valid for mail.example.net, not mail.example.com"},
		{"of an unknown authority", certificateFor("mail.example.com"), func(c *mail.SMTPConfig) { c.RootCAs = nil }, mail.TroubleUnwelcome, "unknown authority"},
		{"on this machine, too", certificateFor("mail.example.net"), func(c *mail.SMTPConfig) { c.Host = "localhost" }, mail.TroubleUnwelcome, "let it offer no STARTTLS"},
		{"under TLS 1.1", old, nil, mail.TroubleUnreachable, "TLS"},
	}
	for _, tt := range tests {
		for _, implicit := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, implicit %t", tt.name, implicit), func(t *testing.T) {
				t.Parallel()
				server := startServer(t, serverOptions{TLS: tt.certificate, Implicit: implicit, Mechanisms: []string{"PLAIN"}})
				cfg := remote(server.port)
				cfg.ImplicitTLS = implicit
				cfg.User, cfg.Password = user, password
				if tt.change != nil {
					tt.change(&cfg)
				}
				says := tt.says
				if implicit && cfg.Host == "localhost" {
					says = "not localhost"
				}
				wantTrouble(t, newSMTP(t, cfg).Send(t.Context(), sample()), tt.want, says)
				if len(server.mechanisms()) > 0 || len(server.received()) > 0 {
					t.Error("got a password or a message sent to whoever that was")
				}
			})
		}
	}
}

func TestSMTPAuthenticationTrouble(t *testing.T) {
	t.Parallel()
	certificate := certificateFor("mail.example.com")
	tests := []struct {
		name     string
		options  serverOptions
		user     string
		password mail.Password
		says     string
	}{
		{"wrong password, by PLAIN", serverOptions{Mechanisms: []string{"PLAIN"}}, user, wrongPassword, "AUTH PLAIN: 535 5.7.8 Authentication failed for [redacted]"},
		{"wrong password, by LOGIN", serverOptions{Mechanisms: []string{"LOGIN"}}, user, wrongPassword, "AUTH LOGIN: 535"},
		{"wrong password, by SCRAM", serverOptions{Mechanisms: []string{"SCRAM-SHA-256"}}, user, wrongPassword, "AUTH SCRAM-SHA-256: 535"},
		{"wrong user", serverOptions{Mechanisms: []string{"PLAIN"}}, "somebody", password, "AUTH PLAIN: 535"},
		{"no mechanism that is known", serverOptions{Mechanisms: []string{"XOAUTH2", "NTLM"}}, user, password, "it offers: XOAUTH2 NTLM"},
		{"no AUTH at all", serverOptions{}, user, password, "no way to sign in"},
		{"too much work asked for", serverOptions{Mechanisms: []string{"SCRAM-SHA-1"}}, user, password, "too many iterations"},
		{"no password where one is needed", serverOptions{NeedAuth: true}, "", "", "MAIL FROM: 530"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.options.TLS = certificate
			server := startServer(t, tt.options)
			cfg := remote(server.port)
			if tt.password != "" {
				cfg.User, cfg.Password = tt.user, tt.password
			}
			wantTrouble(t, newSMTP(t, cfg).Send(t.Context(), sample()), mail.TroubleUnwelcome, tt.says)
		})
	}
}

// A server that lets everybody in without proof that it knows the password is not the one that is meant.
func TestSMTPWantsProofOfSCRAMServers(t *testing.T) {
	t.Parallel()
	port := startScript(t, func(_ context.Context, conn net.Conn) {
		say(conn, "220 hi", "250-hi\r\n250 AUTH SCRAM-SHA-256", "334 ", "235 welcome")
	})
	cfg := local(port)
	cfg.User, cfg.Password = user, password
	wantTrouble(t, newSMTP(t, cfg).Probe(t.Context()), mail.TroubleUnwelcome, "without proof")
}

// What a reply means for the message: whether it is tried again, and whether others are.
func TestSMTPRefusals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		o    serverOptions
		want mail.Trouble
		says string
	}{
		{"unknown recipient", serverOptions{Rcpt: func(to string) error { return reply(550, "<"+strings.ToUpper(to)+">: no such user") }}, mail.TroubleNever, "RCPT TO: 550 5.1.1 <[recipient]>: no such user"},
		{"greylisting", serverOptions{Rcpt: func(string) error { return reply(451, "try later") }}, mail.TroubleLater, "RCPT TO: 451 4.1.1 try later"},
		{"server goes away at RCPT", serverOptions{Rcpt: func(string) error { return reply(421, "busy") }}, mail.TroubleBroken, "RCPT TO: 421"},
		{"server goes away at MAIL", serverOptions{Mail: func(string) error { return reply(421, "busy") }}, mail.TroubleUnreachable, "MAIL FROM: 421"},
		{"content needs a password", serverOptions{Data: func(string) error { return reply(530, "sign in") }}, mail.TroubleUnwelcome, "message: 530"},
		{"sender refused", serverOptions{Mail: func(string) error { return reply(553, "not yours") }}, mail.TroubleUnwelcome, "MAIL FROM: 553"},
		{"sender refused for now", serverOptions{Mail: func(string) error { return reply(452, "full") }}, mail.TroubleLater, "MAIL FROM: 452"},
		{"content refused", serverOptions{Data: func(string) error { return reply(554, "spam: "+link+" and 3141-5926") }}, mail.TroubleNever, "message: 554 5.1.1 spam: [redacted] and [redacted]"},
		{"content refused with a part of the link", serverOptions{Data: func(string) error {
			return reply(550, "blocked https://accounts.example.com/account/reset_password?token="+token[:20]+" see https://filter.example.net/why?id=7")
		}}, mail.TroubleNever, "blocked [link] see https://filter.example.net/why?id=7"},
		{"content refused for now", serverOptions{Data: func(string) error { return reply(451, "scanner is busy") }}, mail.TroubleLater, "message: 451"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := startServer(t, tt.o)
			wantTrouble(t, newSMTP(t, local(server.port)).Send(t.Context(), sample()), tt.want, tt.says)
		})
	}
}

func TestSMTPBrokenServers(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("250-"+strings.Repeat("x", 500)+"\r\n", 40_000) // 20 MB
	tests := []struct {
		name    string
		replies []string
		want    mail.Trouble
		says    string
	}{
		{"closes at once", nil, mail.TroubleUnreachable, "greeting: the server closed the connection"},
		{"turns us away", []string{"554 5.7.1 go away"}, mail.TroubleUnwelcome, "greeting: 554 5.7.1 go away"},
		{"is too busy", []string{"421 4.3.2 later"}, mail.TroubleUnreachable, "greeting: 421"},
		{"dies after EHLO", []string{"220 hi", "250 hi"}, mail.TroubleUnreachable, "MAIL FROM: "},
		{"dies in the content", []string{"220 hi", "250 hi", "250 ok", "250 ok", "354 go"}, mail.TroubleBroken, "message: "},
		{"is a web server", []string{"HTTP/1.1 400 Bad Request"}, mail.TroubleUnreachable, "greeting: "},
		{"never stops talking", []string{"220 hi", long}, mail.TroubleUnreachable, "says too much"},
		{"never ends its line", []string{"220 hi", "250-" + strings.Repeat("x", 20_000_000)}, mail.TroubleUnreachable, "says too much"},
		{"talks in control characters", []string{"220 hi", "250 hi", "451 \x1b[31mred\x07 \u202egniht\r"}, mail.TroubleLater, "MAIL FROM: 451 [31mred gniht"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			port := startScript(t, func(_ context.Context, conn net.Conn) { say(conn, tt.replies...) })
			wantTrouble(t, newSMTP(t, local(port)).Send(t.Context(), sample()), tt.want, tt.says)
		})
	}
	t.Run("is not there", func(t *testing.T) {
		t.Parallel()
		cfg := local(closedPort(t))
		wantTrouble(t, newSMTP(t, cfg).Send(t.Context(), sample()), mail.TroubleUnreachable, "connect: ", "refused")
	})
	t.Run("answers the message after it was sent by hanging up on QUIT", func(t *testing.T) {
		t.Parallel()
		port := startScript(t, func(_ context.Context, conn net.Conn) {
			say(conn, "220 hi", "250 hi", "250 ok", "250 ok", "354 go", "250 taken")
		})
		if err := newSMTP(t, local(port)).Send(t.Context(), sample()); err != nil {
			t.Errorf("got error %v, want none: the message was taken", err)
		}
	})
}

// closedPort is a loopback port on which nobody listens.
func closedPort(t testing.TB) int {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// dribble keeps a connection busy with a byte now and then, for as long as it lasts, and never says anything.
func dribble(ctx context.Context, conn net.Conn) {
	for ctx.Err() == nil {
		if _, err := io.WriteString(conn, "2"); err != nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// silence never says anything.
func silence(ctx context.Context, conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// silenceAfterContent is silence that begins when the message is there.
func silenceAfterContent(ctx context.Context, conn net.Conn) {
	say(conn, "220 hi", "250 hi", "250 ok", "250 ok", "354 go")
	silence(ctx, conn)
}

func TestSMTPEveryPhaseIsBounded(t *testing.T) {
	t.Parallel()
	dribbleTLS := func(ctx context.Context, conn net.Conn) {
		_, _ = conn.Read(make([]byte, 1))                   // the client's turn comes first
		_, _ = io.WriteString(conn, "\x16\x03\x03\x40\x00") // the header of a long record
		dribble(ctx, conn)
	}
	tests := []struct {
		name     string
		serve    func(context.Context, net.Conn)
		implicit bool
		want     mail.Trouble
	}{
		{"silent server", silence, false, mail.TroubleUnreachable},
		{"dribbling server", dribble, false, mail.TroubleUnreachable},
		{"silent server, TLS", silence, true, mail.TroubleUnreachable},
		{"dribbling server, TLS", dribbleTLS, true, mail.TroubleUnreachable},
		{"dribbling server in the handshake of STARTTLS", func(ctx context.Context, conn net.Conn) {
			say(conn, "220 hi", "250-hi\r\n250 STARTTLS", "220 go")
			dribbleTLS(ctx, conn)
		}, false, mail.TroubleUnreachable},
		{"server that is silent after the content", silenceAfterContent, false, mail.TroubleBroken},
		{"server that is silent to QUIT", func(ctx context.Context, conn net.Conn) {
			say(conn, "220 hi", "250 hi", "250 ok", "250 ok", "354 go", "250 taken")
			silence(ctx, conn)
		}, false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := local(startScript(t, tt.serve))
			cfg.ImplicitTLS = tt.implicit
			cfg.SendTimeout = 300 * time.Millisecond
			begun := time.Now()
			err := newSMTP(t, cfg).Send(t.Context(), sample())
			if strings.HasSuffix(tt.name, "QUIT") {
				if err != nil {
					t.Errorf("got error %v, want none: the message was taken", err)
				}
			} else {
				wantTrouble(t, err, tt.want, "timed out")
			}
			if took := time.Since(begun); took > 2*time.Second {
				t.Errorf("got an answer after %v, want it soon after 300 ms", took)
			}
		})
	}
	t.Run("connecting", func(t *testing.T) {
		t.Parallel()
		cfg := local(1)
		cfg.ConnectTimeout = 100 * time.Millisecond
		cfg.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		wantTrouble(t, newSMTP(t, cfg).Send(t.Context(), sample()), mail.TroubleUnreachable, "connect: timed out")
	})
	t.Run("whoever asks for it can stop it", func(t *testing.T) {
		t.Parallel()
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, stop)
		begun := time.Now()
		wantTrouble(t, newSMTP(t, local(startScript(t, dribble))).Send(ctx, sample()), mail.TroubleUnreachable, "greeting: stopped")
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("got an answer after %v, want it at once", took)
		}
	})
}

// A message that is too late by the time the server is ready for it is not handed over.
func TestSMTPLooksAtTheClockRightBeforeTheContent(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	server := startServer(t, serverOptions{Rcpt: func(string) error {
		stop()
		return nil
	}})
	err := newSMTP(t, local(server.port)).Send(ctx, sample())
	if err == nil || len(server.received()) != 0 {
		t.Errorf("got error %v and messages %v, want none sent", err, server.received())
	}
}

func TestSMTPTransferEncodings(t *testing.T) {
	t.Parallel()
	send := func(t *testing.T, m mail.Message, extensions string) (heard string) {
		t.Helper()
		said := make(chan string, 1)
		port := startScript(t, func(_ context.Context, conn net.Conn) {
			said <- say(conn, "220 hi", "250-hi"+extensions+"\r\n250 HELP", "250 ok", "250 ok", "354 go", "250 taken", "221 bye")
		})
		if err := newSMTP(t, local(port)).Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		return <-said
	}
	chinese := sample()
	chinese.Text, chinese.HTML = "您好\n\n"+link+"\n", "<p>您好</p>\n"
	t.Run("8bit where the server takes it", func(t *testing.T) {
		t.Parallel()
		heard := send(t, chinese, "\r\n250-8BITMIME")
		if !strings.Contains(heard, "> BODY=8BITMIME\r\n") || !strings.Contains(heard, "您好\r\n\r\n"+link+"\r\n") {
			t.Errorf("got %q, want the text as it is", heard)
		}
	})
	t.Run("ASCII elsewhere", func(t *testing.T) {
		t.Parallel()
		heard := send(t, chinese, "")
		if strings.Contains(heard, "BODY=") || strings.ContainsFunc(heard, func(r rune) bool { return r >= 0x80 }) {
			t.Errorf("got %q, want ASCII alone", heard)
		}
		if text, html := parts(t, content(heard)); text != chinese.Text || html != chinese.HTML {
			t.Errorf("got text %q and HTML %q, want those that were sent", text, html)
		}
	})
	t.Run("English text stays readable everywhere", func(t *testing.T) {
		t.Parallel()
		if heard := send(t, sample(), ""); !strings.Contains(heard, "\r\n"+link+"\r\n") || strings.Contains(heard, "BODY=") {
			t.Errorf("got %q, want the link on a line", heard)
		}
	})
}

// content is what followed DATA.
func content(heard string) string {
	_, text, _ := strings.Cut(heard, "DATA\r\n")
	text, _, _ = strings.Cut(text, "\r\n.\r\n")
	return strings.ReplaceAll(text, "\r\n..", "\r\n.")
}

func TestSMTPTraceShowsTheDialogueWithoutSecrets(t *testing.T) {
	t.Parallel()
	server := startServer(t, serverOptions{TLS: certificateFor("mail.example.com"), NeedAuth: true, Mechanisms: []string{"PLAIN"}})
	var trace bytes.Buffer
	cfg := remote(server.port)
	cfg.User, cfg.Password, cfg.Trace, cfg.Hello = user, password, &trace, "accounts.example.com"
	if err := newSMTP(t, cfg).Send(t.Context(), sample()); err != nil {
		t.Fatal(err)
	}
	got := trace.String()
	for _, line := range []string{
		"  connecting to mail.example.com:25", "< 220 mail.example.com ESMTP Service Ready", "> EHLO accounts.example.com",
		"< 250-Hello accounts.example.com", "> STARTTLS", "< 220 2.0.0 Ready to start TLS", "  TLS 1.3, certificate of CN=mail.example.com",
		"> AUTH PLAIN [redacted]", "< 235 2.0.0 Authentication succeeded", "> MAIL FROM:<no-reply@accounts.example.com>",
		"> RCPT TO:<john@example.org>", "> DATA", "< 250 2.0.0 OK: queued", "> QUIT", "< 221 2.0.0 Bye",
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("got dialogue without %q:\n%s", line, got)
		}
	}
	for _, secret := range []string{password, token, code.Reveal(), base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))} {
		if strings.Contains(got, secret) {
			t.Errorf("got a secret in the dialogue:\n%s", got)
		}
	}
}

func TestSMTPLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	var open atomic.Int64
	cfg := local(startScript(t, func(_ context.Context, conn net.Conn) { say(conn, "220 hi", "250-hi\r\n250 AUTH PLAIN", "535 no") }))
	cfg.User, cfg.Password = user, password
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		open.Add(1)
		return &countedConn{conn, sync.OnceFunc(func() { open.Add(-1) })}, err
	}
	s := newSMTP(t, cfg)
	for range 20 {
		_ = s.Send(t.Context(), sample())
	}
	if n := open.Load(); n > 0 {
		t.Errorf("got %d connections left open", n)
	}
}

func TestNewSMTPNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]mail.SMTPConfig{
		"Host": {Port: 1}, "Port": {Host: "a"}, "Password": {Host: "a", Port: 1, User: "u"}, "User": {Host: "a", Port: 1, Password: "p"},
	} {
		if _, err := mail.NewSMTP(cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got error %v, want one about %s", err, name)
		}
	}
}

func TestPasswordsAreNotPrinted(t *testing.T) {
	t.Parallel()
	cfg := mail.SMTPConfig{User: user, Password: password}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if got := fmt.Sprintf(format, cfg.Password) + fmt.Sprintf(format, sample()); strings.Contains(got, password) || strings.Contains(got, token) {
			t.Errorf("%s: got %s", format, got)
		}
	}
	if got := fmt.Sprintf("%+v", cfg); strings.Contains(got, password) {
		t.Errorf("got %s", got)
	}
}

// FuzzReplies checks that whatever a server says, a message ends as sent or with an error of one line, soon, and that no
// secret is in it.
func FuzzReplies(f *testing.F) {
	for _, replies := range []string{
		"220 hi\r\n250 hi\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n221 bye\r\n",
		"220 hi\r\n250-hi\r\n250-8BITMIME\r\n250 AUTH=PLAIN\r\n235 ok\r\n250 ok\r\n550 " + token + "\r\n",
		"220 hi\r\n250-hi\r\n250 AUTH SCRAM-SHA-256\r\n334 \r\n334 cj1hLHM9YixpPTE=\r\n",
		"220 hi\r\n250-hi\r\n250 AUTH LOGIN\r\n334 VXNlcm5hbWU6\r\n334 x\r\n535 " + password + "\r\n",
		"220 hi\r\n250-hi\r\n250 AUTH CRAM-MD5\r\n334 PDE+\r\n235 ok\r\n",
		"220-a\r\n220 b\r\n250-\r\n250-STARTTLS\r\n250 \r\n220 go\r\n\x16\x03\x01", "421\r\n", "999 \r\n", "220 \x00\u202e\r\n500 \n",
	} {
		f.Add([]byte(replies))
	}
	f.Fuzz(func(t *testing.T, replies []byte) {
		cfg := mail.SMTPConfig{Host: "127.0.0.1", Port: 25, User: user, Password: password, SendTimeout: 5 * time.Second}
		var answered sync.WaitGroup
		cfg.Dial = func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			answered.Go(func() { _, _ = io.Copy(io.Discard, theirs) })
			answered.Go(func() {
				_, _ = theirs.Write(replies)
				_ = theirs.Close()
			})
			return here{ours}, nil
		}
		s, err := mail.NewSMTP(cfg)
		if err != nil {
			t.Fatal(err)
		}
		err = s.Send(t.Context(), sample())
		answered.Wait()
		if err == nil {
			return
		}
		if _, ok := errors.AsType[*mail.SendError](err); !ok || strings.ContainsFunc(err.Error(), unicode.IsControl) || utf8.RuneCountInString(err.Error()) > 400 {
			t.Errorf("got error %q, want a SendError of one line", err)
		}
		for _, secret := range []string{token, code.Reveal(), password} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("got error %q with a secret in it", err)
			}
		}
	})
}

// here is a connection that leads to this machine.
type here struct{ net.Conn }

func (here) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 25} }
func (here) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40000} }
