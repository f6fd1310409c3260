package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

const (
	dialTimeout    = 10 * time.Second
	requestTimeout = 30 * time.Second
	maxHead        = 64 << 10
)

// client is one connection that is kept alive. It reads what net/http writes: an answer with Content-Length, in chunks, or
// without a body (RFC 9112 §6.3); nothing else.
type client struct {
	address string
	conn    net.Conn // nil: must be dialled again
	buffer  []byte   // what was read; the answer begins at 0
	content []byte   // the body of the last answer, in buffer; of one in chunks the first read
}

func (c *client) dial(ctx context.Context) error {
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", c.address)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	c.conn = conn
	return nil
}

func (c *client) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// body is the beginning of the last answer's body.
func (c *client) body() string { return string(c.content[:min(len(c.content), 300)]) }

// do sends a request and reads the whole answer. After an error the connection is of no more use.
func (c *client) do(ctx context.Context, request []byte) (status int, err error) {
	if c.conn == nil {
		if err := c.dial(ctx); err != nil {
			return 0, err
		}
	}
	if err := c.conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return 0, fmt.Errorf("set deadline: %w", err)
	}
	if _, err := c.conn.Write(request); err != nil {
		return 0, fmt.Errorf("send request: %w", err)
	}
	c.buffer, c.content = c.buffer[:0], nil
	head := 0
	for head == 0 {
		if len(c.buffer) > maxHead {
			return 0, errors.New("read answer: its headers never end")
		}
		if err := c.read(); err != nil {
			return 0, err
		}
		if at := bytes.Index(c.buffer, endOfHead); at >= 0 {
			head = at + len(endOfHead)
		}
	}
	if status, err = statusOf(c.buffer); err != nil {
		return 0, err
	}
	if err := c.readBody(status, head); err != nil {
		return 0, err
	}
	if _, closes := field(c.buffer[:head], "Connection: close"); closes {
		c.close()
	}
	return status, nil
}

var endOfHead = []byte("\r\n\r\n")

func (c *client) readBody(status, head int) error {
	if status == 204 || status == 304 {
		return nil
	}
	if text, ok := field(c.buffer[:head], "Content-Length: "); ok {
		length, err := strconv.Atoi(string(text))
		if err != nil {
			return fmt.Errorf("read answer: %w", err)
		}
		for len(c.buffer) < head+length {
			if err := c.read(); err != nil {
				return err
			}
		}
		c.content = c.buffer[head:]
		return nil
	}
	if _, ok := field(c.buffer[:head], "Transfer-Encoding: chunked"); !ok {
		return errors.New("read answer: it has neither Content-Length nor chunks")
	}
	for at := head; ; {
		end := bytes.Index(c.buffer[at:], []byte("\r\n"))
		if end < 0 {
			if err := c.read(); err != nil {
				return err
			}
			continue
		}
		size, err := strconv.ParseUint(string(c.buffer[at:at+end]), 16, 31)
		if err != nil {
			return fmt.Errorf("read chunk: %w", err)
		}
		at += end + 2 + int(size) + 2 // a trailer is not expected
		for len(c.buffer) < at {
			if err := c.read(); err != nil {
				return err
			}
		}
		if size == 0 {
			c.content = c.buffer[head:at]
			return nil
		}
	}
}

func (c *client) read() error {
	if cap(c.buffer)-len(c.buffer) < 4<<10 {
		grown := make([]byte, len(c.buffer), 2*cap(c.buffer)+8<<10)
		copy(grown, c.buffer)
		c.buffer = grown
	}
	n, err := c.conn.Read(c.buffer[len(c.buffer):cap(c.buffer)])
	c.buffer = c.buffer[:len(c.buffer)+n]
	if n == 0 && err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	return nil
}

// statusOf reads "HTTP/1.1 200 OK".
func statusOf(answer []byte) (int, error) {
	if len(answer) < len("HTTP/1.1 200") || !bytes.HasPrefix(answer, []byte("HTTP/1.")) {
		return 0, fmt.Errorf("read answer: %q is no HTTP/1", answer[:min(len(answer), 40)])
	}
	status, err := strconv.Atoi(string(answer[9:12]))
	if err != nil || status < 100 {
		return 0, fmt.Errorf("read answer: %q is no status", answer[9:12])
	}
	return status, nil
}

// field returns what stands behind the start of a header line, as net/http writes it.
func field(head []byte, start string) (value []byte, ok bool) {
	_, rest, ok := bytes.Cut(head, []byte("\r\n"+start))
	if !ok {
		return nil, false
	}
	value, _, _ = bytes.Cut(rest, []byte("\r\n"))
	return value, true
}
