package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// runMain runs the command line as main does.
func runMain(t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var out bytes.Buffer
	err = run(ctx, args, func(string) (string, bool) { return "", false }, &out, io.Discard)
	return out.String(), err
}

// mailServer answers one client after the other with these replies, a line each but for the content of a message.
func mailServer(t *testing.T, replies ...string) (address string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			r, content := bufio.NewReader(conn), false
			for _, reply := range replies {
				_, _ = io.WriteString(conn, reply+"\r\n")
				content = strings.HasPrefix(reply, "354")
				for {
					if line, err := r.ReadString('\n'); err != nil || !content || line == ".\r\n" {
						break
					}
				}
			}
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return listener.Addr().String()
}

func TestMailTestShowsTheDialogue(t *testing.T) {
	t.Parallel()
	address := mailServer(t, "220 mx ready", "250-mx\r\n250 AUTH PLAIN", "235 welcome", "250 sender ok", "250 recipient ok", "354 go", "250 queued as 17", "221 bye")
	got, err := runMain(t, "mail", "test", "me@example.com", "--mail=smtp://me:hunter2hunter2@"+address, "--public-url=https://accounts.example.com",
		"--mail-from=Example <a@example.com>")
	if err != nil {
		t.Fatal(err)
	}
	want := `  connecting to ` + address + `
< 220 mx ready
> EHLO accounts.example.com
< 250-mx
< 250 AUTH PLAIN
> AUTH PLAIN [redacted]
< 235 welcome
> MAIL FROM:<a@example.com>
< 250 sender ok
> RCPT TO:<me@example.com>
< 250 recipient ok
> DATA
< 354 go
> (`
	_, end, _ := strings.Cut(got, " bytes)\n")
	if !strings.HasPrefix(got, want) || end != "< 250 queued as 17\n> QUIT\n< 221 bye\nThe server has taken the message from \"Example\" <a@example.com> to me@example.com.\n" {
		t.Errorf("got\n%s, want\n%s…", got, want)
	}
}

func TestMailTestSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	wrongPassword := mailServer(t, "220 hi", "250-hi\r\n250 AUTH PLAIN", "535 5.7.8 no hunter2hunter2")
	unknown := mailServer(t, "220 hi", "250 hi", "250 ok", "550 5.1.1 no such user")
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no address", nil, "expected \"<address>\""},
		{"nowhere to send it", []string{"me@example.com"}, "--mail: is required"},
		{"faults of settings", []string{"me@example.com", "--mail=smtp://", "--mail-from=x"}, "--mail: is no usable smtp URL"},
		{"no e-mail address", []string{"me", "--mail=dir:x"}, `"me" is no e-mail address`},
		{"two e-mail addresses", []string{"a@example.com,b@example.com", "--mail=dir:x"}, "is no e-mail address"},
		{"server not there", []string{"me@example.com", "--mail=smtp://127.0.0.1:1"}, "not sent: connect: dial tcp 127.0.0.1:1: connect: connection refused"},
		{"wrong password", []string{"me@example.com", "--mail=smtp://u:hunter2hunter2@" + wrongPassword}, "not sent: AUTH PLAIN: 535 5.7.8 no [redacted]"},
		{"refused recipient", []string{"me@example.com", "--mail=smtp://" + unknown}, "not sent: RCPT TO: 550 5.1.1 no such user"},
		{"folder that cannot be made", []string{"me@example.com", "--mail=dir:/dev/null/x"}, "--mail: mail folder: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			stdout, err := runMain(t, append([]string{"mail", "test"}, tt.args...)...)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one that says %q", err, tt.want)
			}
			if strings.Contains(stdout+fmt.Sprint(err), "hunter2") {
				t.Errorf("got the password in %q or %v", stdout, err)
			}
		})
	}
}

func TestMailTestWritesToAFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "out")
	got, err := runMain(t, "mail", "test", "me@example.com", "--mail=dir:"+dir, "--app-name=Example")
	if err != nil {
		t.Fatal(err)
	}
	path, ok := strings.CutPrefix(strings.TrimSuffix(got, "\n"), "written to ")
	text, err := os.ReadFile(path)
	if !ok || err != nil || !strings.Contains(string(text), "Subject: Test message from Example\r\n") || !strings.Contains(string(text), "<no-reply@localhost>") {
		t.Errorf("got %q (%v), and in the file\n%s", got, err, text)
	}
}

func TestTemplatesOfMailAreCheckedBeforeAnythingElse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	templates := filepath.Join(dir, "templates")
	if _, err := runMain(t, "mail", "templates", templates); err != nil {
		t.Fatal(err)
	}
	if _, err := runMain(t, "mail", "test", "me@example.com", "--mail=dir:"+dir, "--templates="+templates); err != nil {
		t.Errorf("got error %v with the program's own templates", err)
	}
	if err := os.WriteFile(filepath.Join(templates, "verify_email.en.html"), []byte("<p>{{.Code}}</p>"), 0o600); err != nil {
		t.Fatal(err)
	}
	const want = "--templates: verify_email.en.html: the link is missing, write {{.Link}} where it belongs"
	database := filepath.Join(dir, "latchkey.db")
	for _, args := range [][]string{
		{"mail", "test", "me@example.com", "--mail=dir:" + dir, "--templates=" + templates},
		{"serve", "--dev", "--listen=127.0.0.1:0", "--database=sqlite:" + database, "--templates=" + templates},
		{"serve", "--public-url=https://accounts.example.com", "--listen=127.0.0.1:0", "--database=sqlite:" + database, "--templates=" + templates},
	} {
		if _, err := runMain(t, args...); err == nil || err.Error() != want {
			t.Errorf("%v: got error %v, want %s", args, err, want)
		}
	}
	if _, err := os.Stat(database); err == nil {
		t.Error("got a database made although the start was refused")
	}
	if _, err := runMain(t, "mail", "templates", templates); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("got error %v, want one about a file that is there", err)
	}
}

// Under EHLO the program gives its name in public, if it has one.
func TestHelloName(t *testing.T) {
	t.Parallel()
	for publicURL, want := range map[string]string{
		"https://accounts.example.com": "accounts.example.com", "https://accounts.example.com.:8443/x": "accounts.example.com",
		"https://192.0.2.1": "", "https://[2001:db8::1]": "", "http://localhost:8080": "", "": "",
	} {
		if got := helloName(publicURL); got != want {
			t.Errorf("%s: got %q, want %q", publicURL, got, want)
		}
	}
}
