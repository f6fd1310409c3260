package main

import (
	"errors"
	"math"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// lazyListener accepts connections whose deadlines cost next to nothing to move. net/http moves those of a connection
// seven times a request, each time a timer of the runtime's; here a timer is touched only where somebody would otherwise
// wait too long, or has waited long enough to look again.
type lazyListener struct{ net.Listener }

// Accept implements net.Listener.
func (l lazyListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		return newLazyConn(tcp), err
	}
	return c, err
}

// lazyConn is a connection that remembers its deadlines and tells the socket of an earlier one only. A socket that still
// has one that was moved since ends its wait too early; then the wait goes on. It has none of the short cuts of a TCPConn
// (ReadFrom, WriteTo): those would end too early. Unlike a TCPConn it may have one Write at a time, as net/http does.
type lazyConn struct {
	net.Conn

	tcp         *net.TCPConn // the same
	read, write lazyDeadline
}

func newLazyConn(tcp *net.TCPConn) *lazyConn {
	c := &lazyConn{Conn: tcp, tcp: tcp}
	c.read.init(tcp.SetReadDeadline)
	c.write.init(tcp.SetWriteDeadline)
	return c
}

// Read implements net.Conn.
func (c *lazyConn) Read(b []byte) (n int, err error) {
	c.read.waiting.Add(1)
	defer c.read.waiting.Add(-1)
	for {
		if err := c.read.begin(); err != nil {
			return 0, err
		}
		if n, err = c.tcp.Read(b); err == nil || !c.read.goOn(err) {
			return n, err
		}
	}
}

// Write implements net.Conn.
func (c *lazyConn) Write(b []byte) (n int, err error) {
	c.write.waiting.Add(1)
	defer c.write.waiting.Add(-1)
	for {
		if err := c.write.begin(); err != nil {
			return n, err
		}
		written, err := c.tcp.Write(b[n:])
		if n += written; err == nil || !c.write.goOn(err) {
			return n, err
		}
	}
}

// CloseWrite lets the client read the last answer before the connection ends; net/http looks for it.
func (c *lazyConn) CloseWrite() error { return c.tcp.CloseWrite() }

// SetDeadline implements net.Conn.
func (c *lazyConn) SetDeadline(t time.Time) error {
	return errors.Join(c.read.move(t), c.write.move(t))
}

// SetReadDeadline implements net.Conn.
func (c *lazyConn) SetReadDeadline(t time.Time) error { return c.read.move(t) }

// SetWriteDeadline implements net.Conn.
func (c *lazyConn) SetWriteDeadline(t time.Time) error { return c.write.move(t) }

// lazyDeadline is one direction's. While somebody waits the socket's deadline is never later than the one that is wanted:
// whoever begins to wait says so before looking at what is wanted, and whoever moves it looks for who waits after
// having said what is wanted, so that one of them sees the other.
type lazyDeadline struct {
	tell    func(time.Time) error // the socket
	epoch   time.Time             // what deadlines are counted from, by the monotonic clock
	waiting atomic.Int32
	wanted  atomic.Int64 // as since returns

	mu   sync.Mutex   // while the socket is told
	told atomic.Int64 // what the socket knows
}

// never is a deadline that does not come.
const never = math.MaxInt64

// since is t in nanoseconds after the epoch. A t long ago, which is how net/http ends a wait, is negative.
func (d *lazyDeadline) since(t time.Time) int64 {
	if t.IsZero() {
		return never
	}
	return int64(t.Sub(d.epoch))
}

func (d *lazyDeadline) init(tell func(time.Time) error) {
	d.tell, d.epoch = tell, time.Now()
	d.wanted.Store(never)
	d.told.Store(never)
}

func (d *lazyDeadline) move(t time.Time) error {
	d.wanted.Store(d.since(t))
	if d.waiting.Load() > 0 {
		return d.hasten()
	}
	return nil
}

// begin comes before each wait. waiting has been counted up.
func (d *lazyDeadline) begin() error {
	wanted := d.wanted.Load()
	switch {
	case wanted < 0:
		return os.ErrDeadlineExceeded
	case wanted < d.told.Load():
		return d.hasten()
	}
	return nil
}

// hasten sees to it that the socket's deadline is not later than the one that is wanted.
func (d *lazyDeadline) hasten() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if wanted := d.wanted.Load(); wanted < d.told.Load() {
		return d.pass(wanted)
	}
	return nil
}

// goOn says whether a wait that ended with err ended too early. Then the socket knows the deadline that is wanted.
func (d *lazyDeadline) goOn(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	wanted := d.wanted.Load()
	if wanted <= int64(time.Since(d.epoch)) {
		return false
	}
	return d.pass(wanted) == nil
}

// pass tells the socket. d.mu is held.
func (d *lazyDeadline) pass(at int64) error {
	d.told.Store(at)
	if at == never {
		return d.tell(time.Time{})
	}
	return d.tell(d.epoch.Add(time.Duration(at)))
}
