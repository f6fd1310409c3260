package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Engine is a database engine.
type Engine string

// The engines.
const (
	SQLite   Engine = "sqlite"
	Postgres Engine = "postgres"
)

// Database says where users and sessions are stored.
type Database struct {
	Engine Engine
	Path   string // SQLite: the file, relative to the working directory or absolute
	DSN    Secret // Postgres: the connection URL, which usually has a password in it
}

// ParseDatabase parses sqlite:PATH, postgres://… (also postgresql://…, also with several hosts), or file:PATH for a file that
// holds one of these. The error says what to write and never shows the value, since a wrong one may have a password anywhere.
func ParseDatabase(raw string) (Database, error) {
	raw, err := expand(raw)
	if err != nil {
		return Database{}, err
	}
	if path, ok := strings.CutPrefix(raw, "sqlite:"); ok {
		return parseSQLite(path)
	}
	scheme, _, isURL := strings.Cut(raw, "://")
	switch {
	case raw == "":
		return Database{}, errors.New("is empty, write sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME")
	case scheme == "postgres" || scheme == "postgresql":
		if _, err := splitPostgresURL(raw); err != nil {
			return Database{}, err
		}
		return Database{Engine: Postgres, DSN: Secret(raw)}, nil
	case isURL:
		return Database{}, errors.New("is of an unknown kind, write sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME")
	case strings.Contains(raw, "="):
		return Database{}, errors.New("key=value connection strings are not accepted, write postgres://USER:PASSWORD@HOST/NAME")
	}
	return Database{}, errors.New("does not name its kind, write sqlite:PATH for a file, or postgres://USER:PASSWORD@HOST/NAME")
}

// parseDatabaseListen parses the URL of --database-listen, which only PostgreSQL has a use for.
func parseDatabaseListen(raw string) (Secret, error) {
	if raw == "" {
		return "", nil
	}
	db, err := ParseDatabase(raw)
	switch {
	case err != nil:
		return "", err
	case db.Engine != Postgres:
		return "", errors.New("is for PostgreSQL, write postgres://USER:PASSWORD@HOST/NAME or leave it out")
	}
	return db.DSN, nil
}

func parseSQLite(path string) (Database, error) {
	switch {
	case path == "":
		return Database{}, errors.New("sqlite: names no file, write sqlite:PATH")
	case strings.HasPrefix(path, "//"):
		return Database{}, errors.New("sqlite: is not followed by //, write sqlite:PATH, for example sqlite:/var/lib/latchkey.db")
	case strings.HasPrefix(path, ":"), strings.HasPrefix(path, "file:"):
		return Database{}, errors.New("sqlite: names no plain file, write sqlite:PATH (there is no database in memory, use a temporary directory)")
	case strings.Contains(path, "?"):
		return Database{}, errors.New("sqlite: takes no parameters, write sqlite:PATH without ?")
	case strings.HasSuffix(path, "/"):
		return Database{}, errors.New("sqlite: names a directory, add the name of a file")
	case !isPlainLine(path):
		return Database{}, errors.New("sqlite: has a path with control characters or broken UTF-8, choose another path")
	}
	return Database{Engine: SQLite, Path: path}, nil
}

// Redacted returns the database for people to read, without password and parameters: sqlite:PATH, or a URL with user, hosts and name.
func (d Database) Redacted() string {
	if d.Engine == SQLite {
		return "sqlite:" + d.Path
	}
	parts, err := splitPostgresURL(d.DSN.Reveal())
	if err != nil {
		return redacted
	}
	var b strings.Builder
	b.WriteString("postgres://")
	if parts.user != "" {
		b.WriteString(parts.user + "@")
	}
	b.WriteString(parts.hosts + "/" + parts.name)
	for i, param := range parts.shown {
		b.WriteString([]string{"?", "&"}[min(i, 1)] + param)
	}
	return b.String()
}

// String returns what Redacted returns.
func (d Database) String() string { return d.Redacted() }

// postgresURL is a connection URL in parts, all of them still percent-encoded.
type postgresURL struct {
	user  string
	hosts string   // host[:port], separated by commas; may be empty
	name  string   // of the database; may be empty
	shown []string // parameters of the form key=value that say where the database is
}

// splitPostgresURL takes a connection URL apart as libpq does (PostgreSQL documentation §34.1.1.2). net/url cannot: it knows no
// lists of hosts. Characters that libpq gives a second meaning, or that could move a part of an unencoded password
// into a part that is shown, are refused. No error shows any of the URL.
func splitPostgresURL(raw string) (postgresURL, error) {
	var parts postgresURL
	encode := errors.New("is no usable postgres URL, write postgres://USER:PASSWORD@HOST:PORT/NAME with special characters in user and password percent-encoded")
	_, rest, _ := strings.Cut(raw, "://")
	if !isPlainLine(raw) || strings.ContainsAny(rest, "# ") || !isEncoded(rest) {
		return parts, encode
	}
	if i := strings.IndexAny(rest, "@/"); i >= 0 && rest[i] == '@' {
		var password string
		parts.user, password, _ = strings.Cut(rest[:i], ":")
		if parts.user == "" && password != "" {
			return parts, errors.New("has a password without a user, write postgres://USER:PASSWORD@HOST/NAME")
		}
		rest = rest[i+1:]
	}
	if strings.Contains(rest, "@") {
		return parts, encode
	}
	rest, query, _ := strings.Cut(rest, "?")
	parts.hosts, parts.name, _ = strings.Cut(rest, "/")
	if strings.Contains(parts.name, "/") {
		return parts, encode
	}
	if parts.hosts != "" {
		for i, host := range strings.Split(parts.hosts, ",") {
			if !isPostgresHost(host) {
				return parts, fmt.Errorf("host %d of the postgres URL is no HOST or HOST:PORT, correct it and percent-encode special characters in user and password", i+1)
			}
		}
	}
	if query == "" {
		return parts, nil
	}
	for param := range strings.SplitSeq(query, "&") {
		key, value, ok := strings.Cut(param, "=")
		if !ok || key == "" || strings.Contains(value, "=") {
			return parts, errors.New("has a parameter that is not key=value, correct what follows the ?")
		}
		switch key {
		case "host", "port", "user", "dbname":
			parts.shown = append(parts.shown, param)
		}
	}
	return parts, nil
}

// isPostgresHost reports whether s is a host name, an IP address (IPv6 in brackets) or a percent-encoded socket directory, with or without a port.
func isPostgresHost(s string) bool {
	var host, port string
	var hasPort bool
	if v6, ok := strings.CutPrefix(s, "["); ok {
		var after string
		host, after, ok = strings.Cut(v6, "]")
		if !ok || !strings.Contains(host, ":") || after != "" && after[0] != ':' {
			return false
		}
		_, port, hasPort = strings.Cut(after, ":")
	} else {
		host, port, hasPort = strings.Cut(s, ":")
	}
	if _, ok := parsePort(port, 1); hasPort && !ok {
		return false
	}
	decoded, err := url.PathUnescape(host)
	return err == nil && (isHost(decoded) || strings.HasPrefix(decoded, "/") && isPlainLine(decoded))
}

// isEncoded reports whether every % in s begins an escape, and none of them stands for a NUL, which PostgreSQL cannot take.
func isEncoded(s string) bool {
	decoded, err := url.PathUnescape(s)
	return err == nil && !strings.Contains(decoded, "\x00")
}
