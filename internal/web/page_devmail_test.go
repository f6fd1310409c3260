package web_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/internal/web"
)

var devMessages = []web.DevMessage{
	{
		ID: 7, To: "john@example.com", Subject: "Reset <b>your</b> password", Text: "Open http://127.0.0.1:8080/account/reset_password?token=abc\nor type 61529897",
		HTML: `<!doctype html><html><head><title>x</title></head><body><script>alert(1)</script><a href="http://127.0.0.1:8080/account/reset_password?token=abc">link</a></body></html>`,
		Code: "61529897", Date: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
	},
	{ID: 3, To: "jane@example.com", Subject: "密码已修改", Text: `</pre><script>alert("x")</script>`, Date: time.Date(2026, 11, 22, 11, 0, 0, 0, time.UTC)},
}

func openDevDesk(t *testing.T, messages ...web.DevMessage) *desk {
	t.Helper()
	return openDesk(t, func(c *web.Config) { c.DevInbox = func() []web.DevMessage { return messages } })
}

const devPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; frame-src 'self'; " +
	"form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

func TestDevInboxShowsEveryMessage(t *testing.T) {
	t.Parallel()
	d := openDevDesk(t, devMessages...)
	page := d.get("/dev/mail")
	page.has(t, http.StatusOK, `href="/dev/mail/7"`, `href="/dev/mail/3"`, "http://127.0.0.1:8080/account/reset_password?token=abc", `data-copy="61529897"`,
		"Reset &lt;b&gt;your&lt;/b&gt; password", "密码已修改", `<noscript><meta http-equiv="refresh" content="5"></noscript>`, `<script src="/dev/mail.js" defer></script>`)
	if strings.Contains(page.body, "<script>") {
		t.Errorf("got a message's script in the page:\n%s", page.body)
	}
	if got := page.header.Get("Content-Security-Policy"); got != devPolicy {
		t.Errorf("got policy %q, want %q", got, devPolicy)
	}
	openDevDesk(t).get("/dev/mail").has(t, http.StatusOK, "<h2>No mail yet</h2>")
}

func TestDevInboxIsAListForPrograms(t *testing.T) {
	t.Parallel()
	d := openDevDesk(t, devMessages...)
	got := d.get("/dev/mail", header{"Accept", "application/json"})
	var list []map[string]any
	if err := json.Unmarshal([]byte(got.body), &list); err != nil || got.header.Get("Content-Type") != "application/json" {
		t.Fatalf("got type %s and error %v, want JSON", got.header.Get("Content-Type"), err)
	}
	want := map[string]any{
		"to": "john@example.com", "subject": devMessages[0].Subject, "text": devMessages[0].Text, "date": "2026-11-22T12:00:00.000Z",
		"id": 7.0, "html": devMessages[0].HTML, "code": "61529897",
	}
	if len(list) != 2 {
		t.Fatalf("got %d messages, want 2", len(list))
	}
	if diff := cmp.Diff(want, list[0]); diff != "" {
		t.Errorf("first message (-want +got):\n%s", diff)
	}
	one := d.get("/dev/mail/7", header{"Accept", "application/json"})
	var message map[string]any
	if err := json.Unmarshal([]byte(one.body), &message); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, message); diff != "" {
		t.Errorf("message alone (-want +got):\n%s", diff)
	}
	if got := openDevDesk(t).get("/dev/mail", header{"Accept", "application/json"}); got.body != "[]" {
		t.Errorf("got %q for an empty inbox, want []", got.body)
	}
}

func TestDevMessageIsShownWithoutItsScripts(t *testing.T) {
	t.Parallel()
	d := openDevDesk(t, devMessages...)
	page := d.get("/dev/mail/7")
	page.has(t, http.StatusOK, `<iframe src="/dev/mail/7.html" title="The message as HTML" sandbox="allow-popups allow-popups-to-escape-sandbox"></iframe>`, "or type 61529897")
	if strings.Contains(page.body, "alert(") {
		t.Errorf("got the message's HTML in the page, want it in a frame:\n%s", page.body)
	}
	frame := d.get("/dev/mail/7.html")
	frame.has(t, http.StatusOK, `<head><base target="_blank">`, ">link</a>")
	const want = "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; frame-ancestors 'self'"
	if got := frame.header.Get("Content-Security-Policy"); got != want {
		t.Errorf("got policy %q, want %q", got, want)
	}
	if text := d.get("/dev/mail/3"); strings.Contains(text.body, "<iframe") || strings.Contains(text.body, "<script>") {
		t.Errorf("got a frame or a script for a message that is text only:\n%s", text.body)
	}
	for _, path := range []string{"/dev/mail/8", "/dev/mail/0", "/dev/mail/x", "/dev/mail/7.htm", "/dev/mail/", "/dev/mail/7/x"} {
		if got := d.get(path); got.status != http.StatusNotFound {
			t.Errorf("%s: got status %d, want 404", path, got.status)
		}
	}
}

func TestDevInboxIsForDevelopmentOnly(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	for _, path := range []string{"/dev/mail", "/dev/mail/1", "/dev/mail/1.html", "/dev/mail.js", "/dev/mail.css"} {
		if got := d.get(path); got.status != http.StatusNotFound {
			t.Errorf("%s: got status %d, want 404", path, got.status)
		}
	}
}
