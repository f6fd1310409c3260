package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// lazyPair is a connection as serve accepts it, and the client's end.
func lazyPair(t *testing.T) (c, client net.Conn) {
	t.Helper()
	plain, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := lazyListener{plain}
	t.Cleanup(func() { _ = listener.Close() })
	client, err = (&net.Dialer{}).DialContext(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	c, err = listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, ok := c.(*lazyConn); !ok {
		t.Fatalf("got %T, want *lazyConn", c)
	}
	return c, client
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Error(err)
	}
}

// read reads once.
func read(c net.Conn) (string, error) {
	b := make([]byte, 16)
	n, err := c.Read(b)
	return string(b[:n]), err
}

func wantRead(t *testing.T, c net.Conn, want string) {
	t.Helper()
	if got, err := read(c); err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func wantTimeout(t *testing.T, err error) {
	t.Helper()
	var timeout net.Error
	if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("got %v, want a timeout", err)
	}
}

func setDeadline(t *testing.T, set func(time.Time) error, at time.Time) {
	t.Helper()
	if err := set(at); err != nil {
		t.Error(err)
	}
}

// waitUntilRead waits until somebody reads from c.
func waitUntilRead(c net.Conn) {
	for c.(*lazyConn).read.waiting.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(10 * time.Millisecond) // until it has asked the socket
}

func TestDeadlineEndsTheWaitOfASilentClient(t *testing.T) {
	t.Parallel()
	c, client := lazyPair(t)
	for range 3 {
		at := time.Now().Add(50 * time.Millisecond)
		setDeadline(t, c.SetReadDeadline, at)
		_, err := read(c)
		wantTimeout(t, err)
		if now := time.Now(); now.Before(at) {
			t.Errorf("ended %v too early", at.Sub(now))
		}
	}
	setDeadline(t, c.SetReadDeadline, time.Time{})
	send(t, client, "still there")
	wantRead(t, c, "still there")
}

// moved is a deadline that a busy machine has time to move before it comes.
const moved = time.Second

func TestDeadlineMovesWhileSomebodyWaits(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name          string
		first, second time.Duration // 0: none
		want          string        // empty: a timeout
	}{
		{"later", moved, time.Hour, "late"},
		{"never", moved, 0, "late"},
		{"earlier", time.Hour, 50 * time.Millisecond, ""},
		{"from never", 0, 50 * time.Millisecond, ""},
		{"to the past", time.Hour, -time.Hour, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, client := lazyPair(t)
			after := func(d time.Duration) time.Time {
				if d == 0 {
					return time.Time{}
				}
				return time.Now().Add(d)
			}
			setDeadline(t, c.SetReadDeadline, after(test.first))
			type result struct {
				text string
				err  error
			}
			done := make(chan result, 1)
			go func() {
				text, err := read(c)
				done <- result{text, err}
			}()
			waitUntilRead(c)
			setDeadline(t, c.SetReadDeadline, after(test.second))
			if test.want != "" {
				time.Sleep(moved + 10*time.Millisecond) // beyond the first
				send(t, client, test.want)
			}
			got := <-done
			if test.want == "" {
				wantTimeout(t, got.err)
			} else if got.err != nil || got.text != test.want {
				t.Errorf("got %q, %v, want %q", got.text, got.err, test.want)
			}
		})
	}
}

// TestAbortedReadLosesNothing does what net/http does for each request: it lets one goroutine read, ends that with a
// moment long ago, and reads itself.
func TestAbortedReadLosesNothing(t *testing.T) {
	t.Parallel()
	c, client := lazyPair(t)
	go func() {
		for n := range 2000 {
			if n%7 == 0 {
				time.Sleep(100 * time.Microsecond)
			}
			_, _ = client.Write([]byte{byte(n)})
		}
		_ = client.Close()
	}()
	var got []byte
	for aborted := 0; ; {
		setDeadline(t, c.SetReadDeadline, time.Time{})
		var background sync.WaitGroup
		background.Go(func() {
			var b [1]byte
			n, err := c.Read(b[:])
			got = append(got, b[:n]...)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				aborted++
			} else if err != nil && !errors.Is(err, io.EOF) {
				t.Error(err)
			}
		})
		setDeadline(t, c.SetReadDeadline, time.Unix(1, 0))
		background.Wait()
		setDeadline(t, c.SetReadDeadline, time.Now().Add(time.Minute))
		var b [1]byte
		n, err := c.Read(b[:])
		got = append(got, b[:n]...)
		if errors.Is(err, io.EOF) {
			if aborted == 0 {
				t.Error("no read was aborted")
			}
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(got) != 2000 {
		t.Fatalf("got %d bytes, want 2000", len(got))
	}
	for n, b := range got {
		if b != byte(n) {
			t.Fatalf("byte %d is %d", n, b)
		}
	}
}

func TestWriteThatWaitsForTheClient(t *testing.T) {
	t.Parallel()
	content := make([]byte, 16<<20) // more than the sockets hold
	_, _ = rand.Read(content)
	t.Run("goes on when its deadline is moved", func(t *testing.T) {
		t.Parallel()
		c, client := lazyPair(t)
		setDeadline(t, c.SetWriteDeadline, time.Now().Add(moved))
		var writing sync.WaitGroup
		writing.Go(func() {
			if n, err := c.Write(content); err != nil || n != len(content) {
				t.Errorf("wrote %d, %v, want %d", n, err, len(content))
			}
			_ = c.(*lazyConn).CloseWrite()
		})
		time.Sleep(20 * time.Millisecond)
		setDeadline(t, c.SetWriteDeadline, time.Now().Add(time.Minute))
		time.Sleep(moved + 10*time.Millisecond) // beyond the first
		got, err := io.ReadAll(client)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("got %d bytes, %v, want the %d that were written", len(got), err, len(content))
		}
		writing.Wait()
	})
	t.Run("ends at its deadline", func(t *testing.T) {
		t.Parallel()
		c, _ := lazyPair(t)
		setDeadline(t, c.SetDeadline, time.Now().Add(50*time.Millisecond))
		n, err := c.Write(content)
		wantTimeout(t, err)
		if n == len(content) {
			t.Error("all of it was written")
		}
	})
}
