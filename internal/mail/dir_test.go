package mail_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ideaegg/latchkey/internal/mail"
)

func TestDirWritesPrivateReadableFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a", "b")
	dir, err := mail.NewDir(path)
	if err != nil {
		t.Fatal(err)
	}
	m := sample()
	m.Text, m.HTML = "您好\n\n"+link+"\n\n验证码：31415926\n", "<p>您好 "+link+"</p>\n"
	file, err := dir.Write(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(path)
	if err != nil || len(entries) != 1 || filepath.Join(path, entries[0].Name()) != file || !strings.HasSuffix(file, "-7.eml") {
		t.Fatalf("got files %v (%v), want one, %s", entries, err, file)
	}
	for _, name := range []string{path, file} {
		at, err := os.Stat(name)
		if err != nil || at.Mode().Perm()&0o077 != 0 {
			t.Errorf("got mode %v (%v) of %s, want it to be its owner's alone", at.Mode(), err, name)
		}
	}
	raw := readFile(t, file)
	for _, line := range []string{"\r\n您好\r\n", "\r\n" + link + "\r\n", "\r\n验证码：31415926\r\n"} {
		if !strings.Contains(raw, line) {
			t.Errorf("got a file without the line %q:\n%s", line, raw)
		}
	}
	if text, html := parts(t, raw); text != m.Text || html != m.HTML {
		t.Errorf("got text %q and HTML %q, want those of the message", text, html)
	}
}

func TestDirTrouble(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	dir, err := mail.NewDir(filepath.Join(path, "mail"))
	if err != nil {
		t.Fatal(err)
	}
	if err := dir.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Run("a message that is too late is not written", func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if err := dir.Send(ctx, sample()); err == nil {
			t.Error("got no error")
		}
	})
	entries, err := os.ReadDir(filepath.Join(path, "mail"))
	if err != nil || len(entries) != 0 {
		t.Errorf("got files %v (%v), want none", entries, err)
	}
	t.Run("a folder that is gone concerns every message", func(t *testing.T) {
		if err := os.Remove(filepath.Join(path, "mail")); err != nil {
			t.Fatal(err)
		}
		wantTrouble(t, dir.Send(t.Context(), sample()), mail.TroubleUnreachable, "write: "+filepath.Join(path, "mail")+": no such file or directory")
		wantTrouble(t, dir.Probe(t.Context()), mail.TroubleUnreachable, "no such file or directory")
	})
	t.Run("a file is no folder", func(t *testing.T) {
		file := filepath.Join(path, "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := mail.NewDir(file); err == nil {
			t.Error("got no error")
		}
	})
}

func TestInboxKeepsTheLast200(t *testing.T) {
	t.Parallel()
	var inbox mail.Inbox
	for i := range 201 {
		m := sample()
		m.Subject = strings.Repeat("x", i)
		if err := inbox.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	list := inbox.List()
	if len(list) != 200 || len(list[0].Subject) != 200 || len(list[199].Subject) != 1 {
		t.Errorf("got %d messages, want the last 200, newest first", len(list))
	}
	if list[0].Link != link || list[0].Code != code || list[0].HTML == "" {
		t.Errorf("got %+v, want link, code and HTML kept", list[0])
	}
}
