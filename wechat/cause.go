package wechat

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
)

// transportError returns the *Error for a request that got no answer. The text of err is not used: it comes from a
// RoundTripper that may be anybody's, and many put the URL into it, which has the secret. What is said instead is
// chosen by the type of the error.
func transportError(call string, err error) *Error {
	e := &Error{Class: ErrUnavailable, Call: call, detail: describe(err)}
	switch {
	case errors.Is(err, context.Canceled):
		e.cause = context.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		e.cause = context.DeadlineExceeded
	}
	return e
}

// describe says in this package's own words what kind of error err is.
func describe(err error) string {
	var (
		timeout    interface{ Timeout() bool }
		lookup     *net.DNSError
		authority  x509.UnknownAuthorityError
		host       x509.HostnameError
		invalid    x509.CertificateInvalidError
		noTLS      tls.RecordHeaderError
		alert      tls.AlertError
		errno      syscall.Errno
		isTimeout  = errors.As(err, &timeout) && timeout.Timeout()
		isDeadline = errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
	)
	switch {
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.As(err, &lookup) && lookup.IsNotFound:
		return "no such host"
	case isDeadline, isTimeout:
		return "no answer in time"
	case errors.As(err, &lookup):
		return "the host's name cannot be looked up"
	case errors.As(err, &authority):
		return "certificate signed by an unknown authority"
	case errors.As(err, &host):
		return "certificate of another host"
	case errors.As(err, &invalid):
		return "certificate is invalid or has expired"
	case errors.As(err, &noTLS):
		return "no TLS there"
	case errors.As(err, &alert):
		return "TLS was refused"
	case errors.As(err, &errno):
		return errno.Error() // a text of the system's: "connection refused"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed early"
	}
	return fmt.Sprintf("request failed (%T)", err)
}
