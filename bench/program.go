package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/ideaegg/latchkey/bench/fill"
)

// buildProgram builds the program as it is given to people, without cgo and symbols, and returns its path.
func buildProgram(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "latchkey")
	build := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", path, "github.com/ideaegg/latchkey/cmd/latchkey")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program (run this inside the module): %w\n%s", err, out)
	}
	return path, nil
}

// service is the real program, running on a database.
type service struct {
	address string
	cmd     *exec.Cmd
	logPath string
	log     *os.File
}

// launch starts the program and does not wait for it.
func launch(ctx context.Context, path, dir string, database fill.Config) (*service, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	name := "sqlite:" + database.SQLitePath
	if database.PostgresURL != "" {
		name = database.PostgresURL
	}
	s := &service{address: address, logPath: filepath.Join(dir, "latchkey.log")}
	// A file, as a service's log is one in the end. It is cut before it weighs on the disk.
	if s.log, err = os.OpenFile(s.logPath, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return nil, err
	}
	s.cmd = exec.CommandContext(ctx, path, "serve",
		"--listen="+address, "--public-url=http://"+address, "--rate-limits=off")
	s.cmd.Env = append(withoutSettings(os.Environ()), "LATCHKEY_DATABASE="+name) // not an argument: the URL has a password
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		_ = s.log.Close()
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	return s, nil
}

// withoutSettings keeps a developer's own settings from the program that is measured.
func withoutSettings(environment []string) []string {
	var kept []string
	for _, entry := range environment {
		if !strings.HasPrefix(entry, "LATCHKEY_") {
			kept = append(kept, entry)
		}
	}
	return kept
}

// freeAddress is a loopback address that nobody listens on, though somebody could at any moment.
func freeAddress(ctx context.Context) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// awaitUser asks for the user of the token until the answer is 200.
func (s *service) awaitUser(ctx context.Context, token string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		a, err := capture(ctx, http.MethodGet, s.url("/user"), withToken(token))
		if err == nil && a.Status == http.StatusOK {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), fmt.Errorf("the program does not answer: %s", s.tail()))
		case <-time.After(200 * time.Microsecond):
		}
	}
}

func (s *service) url(path string) string { return "http://" + s.address + path }

func withToken(token string) map[string]string { return map[string]string{"Private-Token": token} }

// cutLog throws away what was logged so far.
func (s *service) cutLog() error { return s.log.Truncate(0) }

// tail is the end of the log.
func (s *service) tail() string {
	b, err := os.ReadFile(s.logPath)
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(b[max(0, len(b)-2000):]))
}

// stop ends the program as an operator does; that it does not end well is an error.
func (s *service) stop() error {
	defer func() { _ = s.log.Close() }()
	if err := stopProcess(s.cmd); err != nil {
		return fmt.Errorf("the program ended badly: %w: %s", err, s.tail())
	}
	return nil
}
