//go:build linux

package nodetest_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// proxy is the network between a node and its database: it can stand still, break, and lose an answer. It reads as much
// of PostgreSQL's protocol (PostgreSQL's manual, chapter 55) as it needs for that.
type proxy struct {
	port   int
	target string
	delay  time.Duration // of whatever passes, in either direction; set it before the first connection

	mu       sync.Mutex
	thawed   sync.Cond // something has changed
	listener net.Listener
	links    map[*link]struct{}
	frozen   func(application string) bool // whose connections carry nothing
	onCommit func(*link) commitFate        // nil: it passes
	ended    bool
}

// commitFate says what becomes of a COMMIT that a client sends.
type commitFate int

const (
	commitPasses     commitFate = iota
	commitLost                  // the connection breaks before the server hears of it
	commitUnanswered            // the server commits, and the connection breaks before its answer
)

// link is one connection through the proxy.
type link struct {
	client, server net.Conn
	application    string // application_name of the client, once it has said so
	parsed         string // the statement that the client's next messages are about
	transaction    string // the first statement of the client's transaction
	fate           commitFate
}

// newProxy starts a proxy to a server; it ends with the test.
func newProxy(t *testing.T, to *server) *proxy {
	t.Helper()
	p := &proxy{
		port: freePort(), target: "127.0.0.1:" + strconv.Itoa(to.port),
		links: make(map[*link]struct{}), frozen: func(string) bool { return false },
	}
	p.thawed.L = &p.mu
	if err := p.listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.mu.Lock()
		p.ended = true
		p.mu.Unlock()
		p.thaw()
		p.breakDown()
	})
	return p
}

// url returns the URL of a database behind the proxy.
func (p *proxy) url(database string, params ...string) string {
	return postgresURL(database, params, p.port)
}

func (p *proxy) listen() error {
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(p.port)) //nolint:noctx // closed by breakDown
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.listener = l
	p.mu.Unlock()
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go p.carry(client)
		}
	}()
	return nil
}

// freeze lets nothing pass any more of the connections that which names by the name of their application, new ones
// too. When it returns nothing does.
func (p *proxy) freeze(which func(application string) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = which
}

func everything(string) bool { return true }

// thaw lets everything pass again, what was held back first.
func (p *proxy) thaw() {
	p.freeze(func(string) bool { return false })
	p.thawed.Broadcast()
}

// breakDown breaks all connections and refuses new ones.
func (p *proxy) breakDown() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		p.listener.Close()
		p.listener = nil
	}
	for l := range p.links {
		l.cut()
	}
}

// repair accepts connections again after breakDown.
func (p *proxy) repair(t *testing.T) {
	t.Helper()
	if err := p.listen(); err != nil {
		t.Fatal(err)
	}
}

// decideCommits asks decide about each COMMIT from here on; nil lets all pass. It is called with the proxy locked.
func (p *proxy) decideCommits(decide func(*link) commitFate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.onCommit = decide
}

// cut breaks the connection as a lost machine does: without a word that it is over.
func (l *link) cut() {
	for _, c := range []net.Conn{l.client, l.server} {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		c.Close()
	}
}

func (p *proxy) carry(client net.Conn) {
	server, err := (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "tcp", p.target)
	if err != nil {
		(&link{client: client, server: client}).cut()
		return
	}
	l := &link{client: client, server: server}
	p.mu.Lock()
	p.links[l] = struct{}{}
	refused := p.listener == nil
	p.mu.Unlock()
	if refused {
		l.cut()
	}
	var both sync.WaitGroup
	both.Go(func() { p.carryRequests(l) })
	both.Go(func() { p.carryAnswers(l) })
	both.Wait()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
	l.client.Close()
	l.server.Close()
}

// pass writes to one side unless the connection is frozen; then it waits.
func (p *proxy) pass(l *link, to net.Conn, b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.frozen(l.application) {
		p.thawed.Wait()
	}
	if p.ended {
		return net.ErrClosed
	}
	_, err := to.Write(b) // what is written here is small: the buffers of the system take it
	return err
}

const (
	protocolVersion3 = 196608
	parseMessage     = 'P' // a name, then the statement
	bindMessage      = 'B' // what was parsed is about to be executed, not only described
)

func (p *proxy) carryRequests(l *link) {
	defer l.server.Close()
	client := bufio.NewReader(l.client)
	first, err := readMessage(client, nil)
	if err != nil {
		return
	}
	if binary.BigEndian.Uint32(first[4:]) == protocolVersion3 { // else it cancels another one's statement
		p.mu.Lock()
		l.application = startupParameter(first[8:], "application_name")
		p.mu.Unlock()
	}
	for message := first; err == nil; {
		if err = p.request(l, message); err != nil {
			return
		}
		var kind [1]byte
		together := client.Buffered() > 0 // with the one before
		if _, err = io.ReadFull(client, kind[:]); err == nil {
			message, err = readMessage(client, kind[:])
		}
		if !together {
			time.Sleep(p.delay)
		}
	}
}

// request carries one message of the client's.
func (p *proxy) request(l *link, message []byte) error {
	if message[0] == parseMessage {
		_, statement, _ := bytes.Cut(message[5:], []byte{0})
		statement, _, _ = bytes.Cut(statement, []byte{0})
		l.parsed = string(statement)
	}
	if message[0] == bindMessage {
		switch {
		case l.parsed == "begin":
			l.transaction = ""
		case l.transaction == "":
			l.transaction = l.parsed
		}
	}
	if message[0] == bindMessage && l.parsed == "commit" {
		p.mu.Lock()
		if p.onCommit != nil {
			l.fate = p.onCommit(l)
		}
		fate := l.fate
		p.mu.Unlock()
		if fate == commitLost {
			l.cut()
			return net.ErrClosed
		}
	}
	return p.pass(l, l.server, message)
}

func (p *proxy) carryAnswers(l *link) {
	defer l.client.Close()
	b := make([]byte, 64<<10)
	for {
		n, err := l.server.Read(b)
		if n > 0 {
			time.Sleep(p.delay)
			p.mu.Lock()
			fate := l.fate
			p.mu.Unlock()
			if fate == commitUnanswered {
				l.cut()
				return
			}
			if p.pass(l, l.client, b[:n]) != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// readMessage reads what follows the first byte of a message, which the first message does not have, and returns all of it.
func readMessage(r io.Reader, kind []byte) ([]byte, error) {
	head := append(slices.Clone(kind), 0, 0, 0, 0)
	if _, err := io.ReadFull(r, head[len(kind):]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[len(kind):]) // counts itself
	if n < 4 || n > 1<<20 {
		return nil, errors.New("proxy: a message of an impossible length")
	}
	message := append(head, make([]byte, n-4)...)
	_, err := io.ReadFull(r, message[len(head):])
	return message, err
}

// startupParameter returns a parameter of the message that begins a connection: names and values, each ended by a zero.
func startupParameter(params []byte, name string) string {
	words := strings.Split(string(params), "\x00")
	for i := 0; i+1 < len(words); i += 2 {
		if words[i] == name {
			return words[i+1]
		}
	}
	return ""
}
