package mail_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/ideaegg/latchkey/internal/mail"
)

const (
	user     = "latchkey@example.com"
	password = "correct horse, battery staple"
	// wrongPassword is one that the server quotes in its refusal.
	wrongPassword = password + "!"
)

// serverOptions say how a mail server behaves; the zero value takes everything from everybody, without TLS.
type serverOptions struct {
	TLS          *tls.Config
	Implicit     bool     // TLS from the first byte instead of STARTTLS
	Mechanisms   []string // of AUTH; none: it offers no AUTH
	InsecureAuth bool     // AUTH without TLS, too
	NeedAuth     bool     // before MAIL
	Mail         func(from string) error
	Rcpt         func(to string) error
	Data         func(text string) error // after the content has come
}

// mailServer is a real mail server on a loopback port, until the test ends.
type mailServer struct {
	options serverOptions
	port    int

	mu         sync.Mutex
	messages   []envelope
	sessions   int
	open, most int      // connections at once
	signedIn   []string // mechanisms
}

// envelope is a message as the server got it.
type envelope struct {
	from, to, text string
	body           smtp.BodyType
}

func startServer(t testing.TB, o serverOptions) *mailServer {
	t.Helper()
	return startServerOn(t, o, "127.0.0.1:0")
}

func startServerOn(t testing.TB, o serverOptions, address string) *mailServer {
	t.Helper()
	s := &mailServer{options: o}
	server := smtp.NewServer(s)
	server.Domain = "mail.example.com"
	server.TLSConfig = o.TLS
	server.AllowInsecureAuth = o.InsecureAuth
	server.ErrorLog = log.New(io.Discard, "", 0)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s.port = listener.Addr().(*net.TCPAddr).Port
	listener = countingListener{listener, s}
	if o.Implicit {
		listener = tls.NewListener(listener, o.TLS)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return s
}

// NewSession implements smtp.Backend.
func (s *mailServer) NewSession(*smtp.Conn) (smtp.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions++
	return &session{server: s}, nil
}

// received returns the messages that were accepted.
func (s *mailServer) received() []envelope {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

func (s *mailServer) mechanisms() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.signedIn)
}

func (s *mailServer) mostConnections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most
}

// session is one connection, or what follows STARTTLS in it.
type session struct {
	server   *mailServer
	signedIn bool
	current  envelope
}

func (c *session) AuthMechanisms() []string { return c.server.options.Mechanisms }

func (c *session) Auth(mechanism string) (sasl.Server, error) {
	verify := func(ok bool) error {
		if !ok {
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "Authentication failed for " + wrongPassword}
		}
		c.signedIn = true
		c.server.mu.Lock()
		defer c.server.mu.Unlock()
		c.server.signedIn = append(c.server.signedIn, mechanism)
		return nil
	}
	switch mechanism {
	case "PLAIN":
		return sasl.NewPlainServer(func(_, u, p string) error { return verify(u == user && p == password) }), nil
	case "LOGIN":
		return &loginServer{verify: func(u, p string) error { return verify(u == user && p == password) }}, nil
	case "SCRAM-SHA-256":
		return &scramServer{verify: verify, iterations: 4096}, nil
	case "SCRAM-SHA-1": // offered by a server that wants too much of us
		return &scramServer{verify: verify, iterations: 1 << 30}, nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

func (c *session) Mail(from string, o *smtp.MailOptions) error {
	if c.server.options.NeedAuth && !c.signedIn {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Authentication required"}
	}
	c.current = envelope{from: from, body: o.Body}
	return call(c.server.options.Mail, from)
}

func (c *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	c.current.to = to
	return call(c.server.options.Rcpt, to)
}

func (c *session) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	c.current.text = string(text)
	if err := call(c.server.options.Data, c.current.text); err != nil {
		return err
	}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.server.messages = append(c.server.messages, c.current)
	return nil
}

func (*session) Reset()        {}
func (*session) Logout() error { return nil }

func call(f func(string) error, s string) error {
	if f == nil {
		return nil
	}
	return f(s)
}

func reply(code int, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: text}
}

// loginServer is AUTH LOGIN.
type loginServer struct {
	user, state string
	verify      func(user, password string) error
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	switch l.state {
	case "":
		l.state = "user"
		return []byte("Username:"), false, nil
	case "user":
		l.state, l.user = "password", string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, l.verify(l.user, string(response))
}

// scramServer is AUTH SCRAM-SHA-256 (RFC 5802, RFC 7677).
type scramServer struct {
	verify               func(bool) error
	iterations           int
	step                 int
	clientBare, messages string
}

func (s *scramServer) Next(response []byte) (challenge []byte, done bool, err error) {
	s.step++
	switch s.step {
	case 1:
		return nil, false, nil
	case 2:
		var ok bool
		if s.clientBare, ok = strings.CutPrefix(string(response), "n,,"); !ok {
			return nil, false, errors.New("no SCRAM")
		}
		_, nonce, _ := strings.Cut(s.clientBare, ",r=")
		first := fmt.Sprintf("r=%sserver,s=%s,i=%d", nonce, base64.StdEncoding.EncodeToString([]byte("salt")), s.iterations)
		s.messages = s.clientBare + "," + first
		return []byte(first), false, nil
	case 3:
		withoutProof, proof, _ := strings.Cut(string(response), ",p=")
		s.messages += "," + withoutProof
		salted, err := pbkdf2.Key(sha256.New, password, []byte("salt"), s.iterations, sha256.Size)
		if err != nil {
			return nil, false, err
		}
		sign := func(key []byte, text string) []byte {
			h := hmac.New(sha256.New, key)
			_, _ = io.WriteString(h, text)
			return h.Sum(nil)
		}
		clientKey := sign(salted, "Client Key")
		stored := sha256.Sum256(clientKey)
		want := sign(stored[:], s.messages)
		subtle.XORBytes(want, want, clientKey)
		got, _ := base64.StdEncoding.DecodeString(proof)
		if err := s.verify(hmac.Equal(got, want)); err != nil {
			return nil, false, err
		}
		return []byte("v=" + base64.StdEncoding.EncodeToString(sign(sign(salted, "Server Key"), s.messages))), false, nil
	}
	return nil, true, nil
}

// countingListener counts connections at once.
type countingListener struct {
	net.Listener
	server *mailServer
}

func (l countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.server.mu.Lock()
	defer l.server.mu.Unlock()
	l.server.open++
	l.server.most = max(l.server.most, l.server.open)
	return &countedConn{Conn: conn, closed: sync.OnceFunc(func() {
		l.server.mu.Lock()
		defer l.server.mu.Unlock()
		l.server.open--
	})}, nil
}

type countedConn struct {
	net.Conn
	closed func()
}

func (c *countedConn) Close() error {
	c.closed()
	return c.Conn.Close()
}

// startScript runs serve for every connection to a loopback port, until the test ends: for servers that are none.
func startScript(t testing.TB, serve func(ctx context.Context, conn net.Conn)) (port int) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
				defer conn.Close()
				serve(ctx, conn)
			})
		}
	})
	t.Cleanup(func() {
		stop()
		_ = listener.Close()
		running.Wait()
	})
	return listener.Addr().(*net.TCPAddr).Port
}

// say greets with the first of the replies and answers each line of the client, or its content after 354, with the next
// one. After the last it hangs up. It returns what the client said.
func say(conn net.Conn, replies ...string) (heard string) {
	r := bufio.NewReader(conn)
	content := false
	for i, reply := range replies {
		for i > 0 {
			line, err := r.ReadString('\n')
			if heard += line; err != nil {
				return heard
			}
			if !content || line == ".\r\n" {
				break
			}
		}
		content = strings.HasPrefix(reply, "354")
		if _, err := io.WriteString(conn, reply+"\r\n"); err != nil {
			return heard
		}
	}
	return heard
}

// authority is a certificate authority that nobody knows but these tests.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

var newAuthority = sync.OnceValue(func() authority {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return authority{must(x509.ParseCertificate(der)), key}
})

func roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(newAuthority().certificate)
	return pool
}

// certificateFor returns the TLS configuration of a server with these names.
func certificateFor(names ...string) *tls.Config {
	ca := newAuthority()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: names[0]},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der := must(x509.CreateCertificate(rand.Reader, template, ca.certificate, key.Public(), ca.key))
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// remote makes a server on a loopback port one that is reached as mail.example.com.
func remote(port int) mail.SMTPConfig {
	return mail.SMTPConfig{
		Host: "mail.example.com", Port: 25, RootCAs: roots(),
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", port))
		},
	}
}

// local reaches a server as one on this machine.
func local(port int) mail.SMTPConfig {
	return mail.SMTPConfig{Host: "127.0.0.1", Port: port, RootCAs: roots()}
}

func newSMTP(t testing.TB, cfg mail.SMTPConfig) *mail.SMTP {
	t.Helper()
	s, err := mail.NewSMTP(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
