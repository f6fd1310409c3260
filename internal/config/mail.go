package config

import (
	"errors"
	"fmt"
	"net/mail"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"unicode/utf8"
)

// MailKind is a way of sending mail.
type MailKind string

// The ways of sending mail.
const (
	MailUnset     MailKind = ""      // not given: the dev inbox with --dev, else mail stays in the queue
	MailDirectory MailKind = "dir"   // one .eml file a message
	MailSMTP      MailKind = "smtp"  // plain connection that is upgraded with STARTTLS
	MailSMTPS     MailKind = "smtps" // TLS from the first byte
)

// Mail says where mail goes.
type Mail struct {
	Kind     MailKind
	Dir      string // MailDirectory: the directory
	Host     string // SMTP: a name or an IP address, without brackets
	Port     int    // SMTP: 587 for smtp and 465 for smtps unless given (RFC 8314 §3.3)
	User     string // SMTP: empty for no authentication
	Password Secret // SMTP: not empty if User is not
}

// String returns where mail goes, for people to read, without the password. It is empty for MailUnset.
func (m Mail) String() string {
	switch m.Kind {
	case MailUnset:
		return ""
	case MailDirectory:
		return "dir:" + m.Dir
	}
	u := url.URL{Scheme: string(m.Kind), Host: hostPort(m.Host, m.Port)}
	if m.User != "" {
		u.User = url.User(m.User)
	}
	return u.String()
}

func hostPort(host string, port int) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return fmt.Sprintf("%s:%d", host, port)
}

// parseMail parses dir:PATH, smtp://… and smtps://…, or file:PATH for a file that holds one of these; empty is MailUnset.
// No error shows the value.
func parseMail(raw string) (Mail, error) {
	raw, err := expand(raw)
	if err != nil || raw == "" {
		return Mail{}, err
	}
	if dir, ok := strings.CutPrefix(raw, "dir:"); ok {
		if dir == "" || !isPlainLine(dir) {
			return Mail{}, errors.New("dir: names no directory, write dir:PATH")
		}
		return Mail{Kind: MailDirectory, Dir: dir}, nil
	}
	scheme, _, isURL := strings.Cut(raw, "://")
	kind := MailKind(strings.ToLower(scheme))
	if !isURL || kind != MailSMTP && kind != MailSMTPS {
		return Mail{}, errors.New("is of an unknown kind, write smtp://USER:PASSWORD@HOST:PORT, smtps://USER:PASSWORD@HOST:PORT or dir:PATH")
	}
	return parseSMTP(kind, raw)
}

func parseSMTP(kind MailKind, raw string) (Mail, error) {
	u, err := url.Parse(raw)
	// An unencoded /, ? or # in the password ends the host early.
	if err != nil || !isPlainLine(raw) || strings.ContainsAny(raw, "?#") || u.Path != "" && u.Path != "/" || !isHost(u.Hostname()) {
		return Mail{}, fmt.Errorf("is no usable %[1]s URL, write %[1]s://USER:PASSWORD@HOST:PORT with special characters in user and password percent-encoded", kind)
	}
	m := Mail{Kind: kind, Host: u.Hostname(), Port: 587}
	if kind == MailSMTPS {
		m.Port = 465
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		number, ok := parsePort(port, 1)
		if !ok {
			return Mail{}, errors.New("has a port that is no number from 1 to 65535, correct it")
		}
		m.Port = number
	}
	if u.User != nil {
		password, _ := u.User.Password()
		m.User, m.Password = u.User.Username(), Secret(password)
		if m.User == "" || password == "" {
			return Mail{}, errors.New("has a user without a password or the reverse, write both or none")
		}
		if !isPlainLine(m.User) || !isPlainLine(password) {
			return Mail{}, errors.New("has control characters or broken UTF-8 in user or password, correct them")
		}
	}
	return m, nil
}

// parseMailFrom parses an address (RFC 5322 §3.4) with or without a display name; empty is the zero Address. The address itself must be
// plain ASCII of at most 254 bytes with a domain name, since not every mail server on the way takes anything else.
func parseMailFrom(raw string) (mail.Address, error) {
	if raw == "" {
		return mail.Address{}, nil
	}
	if !isPlainLine(raw) {
		return mail.Address{}, errors.New("has line breaks, control characters or broken UTF-8, leave them out")
	}
	addr, err := mail.ParseAddress(raw)
	if err != nil {
		return mail.Address{}, fmt.Errorf("%s is not a mail address, write accounts@example.com or 'Example <accounts@example.com>'", quote(raw))
	}
	ascii := !strings.ContainsFunc(addr.Address, func(r rune) bool { return r <= ' ' || r > '~' })
	domain := addr.Address[strings.LastIndex(addr.Address, "@")+1:]
	if !ascii || len(addr.Address) > 254 || !isDomain(strings.ToLower(domain)) {
		return mail.Address{}, fmt.Errorf("%s has an address that not every mail server takes, use ASCII, a domain name and at most 254 bytes", quote(raw))
	}
	// The name may have been an encoded word (RFC 2047), in which anything can hide.
	if !isPlainLine(addr.Name) || utf8.RuneCountInString(addr.Name) > 100 {
		return mail.Address{}, fmt.Errorf("%s has a display name with control characters or of more than 100 characters, change it", quote(raw))
	}
	return *addr, nil
}

// parseTemplates checks that there is a folder. What is in it, package mail checks.
func parseTemplates(raw string) (string, error) {
	if raw == "" {
		return "", nil
	}
	switch at, err := os.Stat(raw); {
	case !isPlainLine(raw):
		return "", fmt.Errorf("%s has line breaks, control characters or broken UTF-8, choose another folder", quote(raw))
	case err != nil:
		return "", fmt.Errorf("there is no folder %s (%w), correct the path or leave it out", quote(raw), reason(err))
	case !at.IsDir():
		return "", fmt.Errorf("%s is no folder, name the one that the templates are in", quote(raw))
	}
	return raw, nil
}

// deriveSender returns no-reply at the host of the public URL, or at localhost if that is an IP address or no URL.
func deriveSender(publicURL string) mail.Address {
	domain := "localhost"
	if u, err := url.Parse(publicURL); err == nil {
		host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
		if _, err := netip.ParseAddr(host); err != nil && isDomain(host) {
			domain = host
		}
	}
	return mail.Address{Address: "no-reply@" + domain}
}
