// Package browsertest uses the hosted pages as people do: with a real browser, against the real program.
//
// It needs chromium on the PATH; without one its tests are skipped, or fail if LATCHKEY_TEST_FULL is set, as ./test does.
package browsertest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds every single wait: many times what anything takes here, on a machine that does much else.
const patience = time.Minute

// scratch is a folder for what all tests share; TestMain removes it.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "latchkey-browsertest"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(scratch)
	os.Exit(code)
}

// build builds the program, once.
var build = sync.OnceValues(func() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	path := filepath.Join(scratch, "latchkey")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", path, "../../cmd/latchkey").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// program is a running `latchkey serve --dev` with a database of its own.
type program struct {
	t      *testing.T
	url    string
	client *http.Client
}

var startLine = regexp.MustCompile(`serves (http://127\.0\.0\.1:[0-9]+) `)

// start starts the program; it ends with the test.
func start(t *testing.T, flags ...string) *program {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	args := append([]string{"serve", "--dev", "--listen=127.0.0.1:0", "--rate-limits=off", "--database=sqlite:" + filepath.Join(folder, "latchkey.db"), "--log-level=warn"}, flags...)
	cmd := exec.CommandContext(context.Background(), path, args...)
	cmd.Dir, cmd.Env = folder, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + folder, "TMPDIR=" + os.TempDir()}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	first := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(stdout).ReadString('\n')
		first <- line
		_, _ = io.Copy(io.Discard, stdout)
		ended <- cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the program ended with %v:\n%s", err, stderr.String())
			}
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			t.Error("the program did not end")
		}
		if strings.Contains(stderr.String(), `"level":"ERROR"`) {
			t.Errorf("the program logged an error:\n%s", stderr.String())
		}
	})
	select {
	case line := <-first:
		m := startLine.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("got start line %q, want the address in it", line)
		}
		return &program{t: t, url: m[1], client: &http.Client{Timeout: patience}}
	case <-time.After(patience):
		t.Fatal("the program did not start")
	}
	return nil
}

// call calls the API and decodes the answer.
func (p *program) call(method, path, token string, body map[string]string) (int, map[string]any) {
	p.t.Helper()
	var encoded io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			p.t.Fatal(err)
		}
		encoded = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, encoded)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Accept", "application/json")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("PRIVATE-TOKEN", token)
	}
	answer, err := p.client.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	var decoded map[string]any
	if err := json.NewDecoder(answer.Body).Decode(&decoded); err != nil && !errors.Is(err, io.EOF) {
		p.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer.StatusCode, decoded
}

// must is call for what is to be answered with this status.
func (p *program) must(status int, method, path, token string, body map[string]string) map[string]any {
	p.t.Helper()
	got, decoded := p.call(method, path, token, body)
	if got != status {
		p.t.Fatalf("%s %s: got status %d, want %d: %v", method, path, got, status, decoded)
	}
	return decoded
}

const password = "correct-horse"

// signUp creates a user and returns their token.
func (p *program) signUp(username string) string {
	p.t.Helper()
	user := p.must(http.StatusOK, http.MethodPost, "/sign_up", "", map[string]string{
		"username": username, "email": username + "@example.com", "password": password, "password_confirmation": password,
	})
	return fmt.Sprint(user["private_token"])
}

func (p *program) signIn(login, password string) (status int, token string) {
	p.t.Helper()
	status, user := p.call(http.MethodPost, "/sign_in", "", map[string]string{"login": login, "password": password})
	return status, fmt.Sprint(user["private_token"])
}

// message is one of the dev inbox.
type message struct {
	ID      int64
	To      string
	Subject string
	Text    string
	Code    string
}

// mail waits for a message to this address that has the text in it, and returns the newest.
func (p *program) mail(to, text string) message {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		for _, m := range p.inbox(ctx) {
			if m.To == to && strings.Contains(m.Text, text) {
				return m
			}
		}
		select {
		case <-ctx.Done():
			p.t.Fatalf("got no mail to %s with %q", to, text)
		case <-again.C:
		}
	}
}

func (p *program) inbox(ctx context.Context) []message {
	p.t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/dev/mail", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Accept", "application/json")
	answer, err := p.client.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	var list []message
	if err := json.NewDecoder(answer.Body).Decode(&list); err != nil {
		p.t.Fatal(err)
	}
	return list
}

// link returns the link to a page that the message holds.
func (p *program) link(m message, page string) string {
	p.t.Helper()
	link := regexp.MustCompile(regexp.QuoteMeta(p.url+"/account/"+page) + `\?token=[0-9A-Za-z]+`).FindString(m.Text)
	if link == "" {
		p.t.Fatalf("got no link to %s in %q", page, m.Subject)
	}
	return link
}

// The links of this user's mails, each asked for as people do.

// signUpLink is that of a strict program, whose users have their address before their name.
func (p *program) signUpLink(username, at string) string {
	p.t.Helper()
	address := at + "@example.com"
	p.must(http.StatusAccepted, http.MethodPost, "/sign_up", "", map[string]string{
		"username": username, "email": address, "password": password, "password_confirmation": password,
	})
	return p.link(p.mail(address, "/account/confirm_sign_up"), "confirm_sign_up")
}

// tokenOf is the token that a link holds.
func tokenOf(link string) string {
	_, token, _ := strings.Cut(link, "?token=")
	return token
}

func (p *program) resetLink(username string) string {
	p.t.Helper()
	address := username + "@example.com"
	p.must(http.StatusNoContent, http.MethodPost, "/reset_password", "", map[string]string{"email": address})
	return p.link(p.mail(address, "/account/reset_password"), "reset_password")
}

func (p *program) verifyLink(username string) string {
	p.t.Helper()
	return p.link(p.mail(username+"@example.com", "/account/verify_email"), "verify_email")
}

func (p *program) changeLink(token, address string) string {
	p.t.Helper()
	p.must(http.StatusAccepted, http.MethodPut, "/user/email", token, map[string]string{"email": address, "current_password": password})
	return p.link(p.mail(address, "/account/verify_email"), "verify_email")
}
