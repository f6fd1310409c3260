package mail_test

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	netmail "net/mail"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/mail"
)

// parse reads a message as a mail program does and returns its headers and its two parts, whose lines end with LF.
func parse(t *testing.T, raw string) (header netmail.Header, text, html string) {
	t.Helper()
	for line := range strings.Lines(raw) {
		if len(line) > 998+2 {
			t.Errorf("got a line of %d bytes, want 998 at most", len(line))
		}
		if !strings.HasSuffix(line, "\r\n") {
			t.Errorf("got line %q, want CRLF at its end", line)
		}
		if strings.Contains(strings.TrimSuffix(line, "\r\n"), "\r") {
			t.Errorf("got line %q with a CR", line)
		}
	}
	m, err := netmail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatalf("%v in\n%s", err, raw)
	}
	kind, parameters, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("got content type %s (%v), want multipart/alternative", kind, err)
	}
	bodies := make(map[string]string)
	var order []string
	for r := multipart.NewReader(m.Body, parameters["boundary"]); ; {
		part, err := r.NextPart() // decodes quoted-printable
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		kind, parameters, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		if err != nil || !strings.EqualFold(parameters["charset"], "utf-8") {
			t.Errorf("got content type %s with %v (%v), want UTF-8", kind, parameters, err)
		}
		body, err := io.ReadAll(part)
		if err != nil {
			t.Fatal(err)
		}
		bodies[kind], order = strings.ReplaceAll(string(body), "\r\n", "\n"), append(order, kind)
	}
	if !slices.Equal(order, []string{"text/plain", "text/html"}) {
		t.Errorf("got parts %v, want text and then HTML, which readers prefer if they can", order)
	}
	return m.Header, bodies["text/plain"], bodies["text/html"]
}

// parts is parse for who only wants the bodies. Message bodies end with the line break that precedes a boundary.
func parts(t *testing.T, raw string) (text, html string) {
	t.Helper()
	_, text, html = parse(t, strings.TrimSuffix(raw, "\r\n")+"\r\n")
	return text, html
}

func writeMessage(t *testing.T, m mail.Message, eightBit bool) string {
	t.Helper()
	var b bytes.Buffer
	if err := mail.WriteMessage(&b, m, eightBit); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestMessageHeaders(t *testing.T) {
	t.Parallel()
	m := sample()
	m.Language, m.Subject = auth.SimplifiedChinese, "重置您的 密码"
	m.Date = time.Date(2026, 6, 6, 14, 20, 57, 0, time.UTC)
	header, _, _ := parse(t, writeMessage(t, m, true))
	for name, want := range map[string]string{
		"From": `"Example App" <no-reply@accounts.example.com>`, "To": "<john@example.org>", "Date": "Sat, 06 Jun 2026 14:20:57 +0000",
		"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All", "Content-Language": "zh-CN", "Mime-Version": "1.0",
		"User-Agent": "", "X-Mailer": "",
	} {
		if got := header.Get(name); got != want {
			t.Errorf("got %s: %q, want %q", name, got, want)
		}
	}
	if got, err := new(mime.WordDecoder).DecodeHeader(header.Get("Subject")); got != m.Subject || err != nil {
		t.Errorf("got subject %q (%v), want %q", got, err, m.Subject)
	}
	id := regexp.MustCompile(`^<[0-9A-Z]{26}@accounts\.example\.com>$`)
	again, _, _ := parse(t, writeMessage(t, m, true))
	if first, second := header.Get("Message-Id"), again.Get("Message-Id"); !id.MatchString(first) || first == second {
		t.Errorf("got message ids %s and %s, want two at the sender's domain", first, second)
	}
}

// The longest names that settings allow are folded into lines that every program can read.
func TestMessageFoldsLongHeaders(t *testing.T) {
	t.Parallel()
	m := sample()
	m.From = (&netmail.Address{Name: strings.Repeat("例子", 50), Address: "no-reply@" + strings.Repeat("a.", 110) + "example.com"}).String()
	m.To = strings.Repeat("x", 64) + "@" + strings.Repeat("b.", 90) + "example.com"
	m.Subject = "重置您的 " + strings.Repeat("应用", 30) + " 密码"
	for _, eightBit := range []bool{true, false} {
		header, _, _ := parse(t, writeMessage(t, m, eightBit))
		if got, err := new(mime.WordDecoder).DecodeHeader(header.Get("Subject")); got != m.Subject || err != nil {
			t.Errorf("got subject %q (%v), want %q", got, err, m.Subject)
		}
		from, err := header.AddressList("From")
		if err != nil || len(from) != 1 || from[0].String() != m.From {
			t.Errorf("got sender %v (%v), want %s", from, err, m.From)
		}
		if to, err := header.AddressList("To"); err != nil || len(to) != 1 || to[0].Address != m.To {
			t.Errorf("got recipient %v (%v), want %s", to, err, m.To)
		}
	}
}

func TestMessageBodiesArriveUnchanged(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"dots":            "a\n.\n..\n.b\n",
		"Chinese":         "您好，\n" + link + "\n",
		"long lines":      strings.Repeat("x", 5000) + "\n" + strings.Repeat("字", 2000) + "\nb\n",
		"equals signs":    "a=b=\n=3D\n",
		"trailing space":  "a \nb\t\n",
		"like a boundary": "--\n--x--\n",
	} {
		for _, eightBit := range []bool{true, false} {
			m := sample()
			m.Text, m.HTML = body, body
			if _, text, html := parse(t, writeMessage(t, m, eightBit)); text != body || html != body {
				t.Errorf("%s: got text %q and HTML %q, want %q", name, text, html, body)
			}
		}
	}
}

func TestMessageGoesToItsRecipientAlone(t *testing.T) {
	t.Parallel()
	server := startServer(t, serverOptions{})
	sender := newSMTP(t, local(server.port))
	dir, err := mail.NewDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{
		"", "john", "john@example.org, mary@example.org", "john@example.org\r\nBcc: mary@example.org", "john@example.org\r\nRCPT TO:<mary@example.org>",
		"John <john@example.org>", "<john@example.org>", "john@example.org>", "john@example.org (mary@example.org)", "group: john@example.org;", "jöhn@example.org",
		"john@exa\x00mple.org", " john@example.org",
	} {
		m := sample()
		m.To = to
		wantTrouble(t, sender.Send(t.Context(), m), mail.TroubleNever)
		wantTrouble(t, dir.Send(t.Context(), m), mail.TroubleNever)
	}
	if got := server.received(); len(got) != 0 {
		t.Errorf("got %+v, want nothing sent", got)
	}
	m := sample()
	m.To = "o'neil+tag/x=y@example.org"
	if err := sender.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if got := server.received(); len(got) != 1 || got[0].to != m.To {
		t.Errorf("got %+v, want one message to %s", got, m.To)
	}
}

// Whatever stands in a subject, it is the subject and no header.
func TestMessageSubjectIsOneHeader(t *testing.T) {
	t.Parallel()
	m := sample()
	m.Subject = "Hi\r\nBcc: mary@example.org\r\n\r\n<script>\x00"
	header, text, _ := parse(t, writeMessage(t, m, true))
	if header.Get("Bcc") != "" || text != m.Text {
		t.Errorf("got headers %v and text %q", header, text)
	}
}
