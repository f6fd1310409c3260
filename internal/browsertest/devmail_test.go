package browsertest

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// logo writes a logo and returns its path.
func logo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "logo.svg")
	const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 32"><rect width="32" height="32" rx="16" fill="#e8622c"/>` +
		`<rect x="42" y="10" width="78" height="12" rx="6" fill="#e8622c"/><script>document.title = "run"</script></svg>`
	if err := os.WriteFile(path, []byte(svg), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDevInboxShowsMailAsItComes(t *testing.T) {
	t.Parallel()
	p := start(t)
	b := open(t, p, english.language)
	b.show(desktop, nil)
	b.visit(p.url + "/dev/mail")
	b.says("No mail yet")
	b.accessible("empty dev inbox")
	b.picture("dev_mail_empty.desktop.en.light")

	p.signUp("john")
	p.must(http.StatusNoContent, http.MethodPost, "/reset_password", "", map[string]string{"email": "john@example.com"})
	mail := p.mail("john@example.com", "/account/reset_password")
	b.await("document.body.innerText.includes('" + mail.Subject + "')") // by itself
	for _, scheme := range []string{"light", "dark"} {
		b.show(desktop, map[string]string{"prefers-color-scheme": scheme})
		b.accessible("dev inbox, " + scheme)
		b.picture("dev_mail.desktop.en." + scheme)
		b.show(phone, map[string]string{"prefers-color-scheme": scheme})
		b.picture("dev_mail.phone.en." + scheme)
	}

	b.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		for _, name := range []string{"clipboard-read", "clipboard-write"} {
			if _, err := chromedp.CallBrowser(ctx, cdpbrowser.SetPermission, cdpbrowser.SetPermissionParams{
				Permission: &cdpbrowser.PermissionDescriptor{Name: name}, Setting: cdpbrowser.PermissionSettingGranted, Origin: p.url,
			}); err != nil {
				return err
			}
		}
		return nil
	}))
	b.do(click("[data-copy='" + mail.Code + "']"))
	b.await("document.body.innerText.includes('Copied')")
	if got := eval[string](b, "navigator.clipboard.readText()"); got != mail.Code {
		t.Error("got something else in the clipboard, want the code")
	}
}

// TestDevInboxShowsMessagesWithoutTheirScripts, and their links open in a tab of their own.
func TestDevInboxShowsMessagesWithoutTheirScripts(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.signUp("john")
	p.resetLink("john")
	b := open(t, p, english.language)
	b.show(desktop, nil)
	b.visit(p.url + "/dev/mail")
	b.load(click("article h2 a"))
	b.says("HTML")
	b.picture("dev_message.desktop.en.light")
	b.accessible("message of the dev inbox")

	// The frame's content alone, as it is in the frame.
	b.visit(eval[string](b, "document.querySelector('iframe').src"))
	if got := eval[string](b, "self.origin"); got != "null" {
		t.Errorf("got the message's HTML in origin %s, want it in none", got)
	}
	opened := chromedp.WaitNewTarget(b.ctx, func(info *target.Info) bool { return strings.Contains(info.URL, "/account/reset_password") })
	b.do(click("a[href*='/account/reset_password']"))
	select {
	case id := <-opened:
		if id == "" {
			t.Error("got no tab for the link, want one")
		}
	case <-time.After(patience):
		t.Error("got no tab for the link, want one")
	}
}
