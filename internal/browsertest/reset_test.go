package browsertest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

const newPassword = "battery-staple-9"

// words are what the pages say in one language.
type words struct {
	language                                               string
	forgot, sent, set, changed, dead, tooShort, mismatch   string
	verify, verified, change, changedEmail, undo, restored string
}

var (
	english = words{
		language: "en-US,en;q=0.9",
		forgot:   "Forgot your password?", sent: "Check your mail", set: "Set a new password", changed: "Your new password is set",
		dead: "This link does not work any more", tooShort: "Take at least 8 characters for the new password.",
		mismatch: "The two passwords are not the same.",
		verify:   "Confirm your address", verified: "Your address is confirmed", change: "Change your address", changedEmail: "Your address is changed",
		undo: "Undo the change of address?", restored: "Your address is back",
	}
	chinese = words{
		language: "zh-CN,zh;q=0.9",
		forgot:   "忘记密码？", sent: "请查收邮件", set: "设置新密码", changed: "新密码已生效", dead: "此链接已失效", tooShort: "新密码至少需要 8 个字符。",
		mismatch: "两次输入的密码不一致。",
		verify:   "确认邮箱地址", verified: "邮箱已确认", change: "更换邮箱地址", changedEmail: "邮箱已更换", undo: "撤销更换邮箱？", restored: "原邮箱已恢复",
	}
)

// eachLanguage runs the test once a language, with a program and a browser of its own.
func eachLanguage(t *testing.T, test func(t *testing.T, p *program, b *browser, w words)) {
	t.Helper()
	for name, w := range map[string]words{"en": english, "zh-CN": chinese} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			test(t, p, open(t, p, w.language), w)
		})
	}
}

func TestForgottenPasswordIsSetAnew(t *testing.T) {
	t.Parallel()
	eachLanguage(t, func(t *testing.T, p *program, b *browser, w words) {
		token := p.signUp("john")

		b.visit(p.url + "/account/forgot_password")
		b.heading(w.forgot)
		b.write("email", "john@example.com")
		b.press()
		b.heading(w.sent)
		b.path("/account/mail_sent")

		mail := p.mail("john@example.com", "/account/reset_password")
		if isChinese := strings.Contains(mail.Subject, "密码"); isChinese != (w.language == chinese.language) {
			t.Errorf("got the subject %q, want the mail in the language of the page", mail.Subject)
		}
		link := p.link(mail, "reset_password")
		b.visit(link)
		b.heading(w.set)
		if got := eval[string](b, "document.querySelector('#username').value"); got != "john" {
			t.Errorf("got the username %q, want john", got)
		}
		b.write("password", "short")
		b.write("password_confirmation", "shore")
		if status := b.press(); status != http.StatusUnprocessableEntity {
			t.Errorf("got status %d for a bad password, want 422", status)
		}
		b.path("/account/reset_password")
		b.says(w.tooShort)
		b.says(w.mismatch)
		if !eval[bool](b, "document.activeElement.matches('.summary')") {
			t.Error("got the focus elsewhere, want it on what is wrong")
		}
		if !eval[bool](b, "document.querySelector('#password').value === ''") {
			t.Error("got the password back, want it sent back never")
		}

		b.write("password", newPassword)
		b.write("password_confirmation", newPassword)
		b.press()
		b.heading(w.changed)
		b.path("/account/password_changed")

		p.must(http.StatusUnauthorized, http.MethodGet, "/user", token, nil)
		if status, _ := p.signIn("john", password); status != http.StatusUnauthorized {
			t.Errorf("got status %d for the old password, want 401", status)
		}
		if status, _ := p.signIn("john@example.com", newPassword); status != http.StatusOK {
			t.Errorf("got status %d for the new password, want 200", status)
		}
		if status := b.visit(link); status != http.StatusUnprocessableEntity {
			t.Errorf("got status %d for the used link, want 422", status)
		}
		b.heading(w.dead)
		b.write("email", "john@example.com") // a new one can be asked for right there
		b.press()
		b.heading(w.sent)
	})
}

func TestPasswordIsSetWithTheCode(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.signUp("john")
	b := open(t, p, english.language)
	p.must(http.StatusNoContent, http.MethodPost, "/reset_password", "", map[string]string{"email": "john@example.com"})
	mail := p.mail("john@example.com", "/account/reset_password")
	if len(mail.Code) != 8 {
		t.Fatalf("got a code of %d digits in the inbox, want 8", len(mail.Code))
	}
	b.visit(p.url + "/account/enter_code")
	b.write("email", "john@example.com")
	b.write("code", mail.Code[:4]+" "+mail.Code[4:])
	b.write("password", newPassword)
	b.write("password_confirmation", newPassword)
	b.press()
	b.heading(english.changed)
	if status, _ := p.signIn("john", newPassword); status != http.StatusOK {
		t.Errorf("got status %d for the new password, want 200", status)
	}
}

// TestResetWorksWithTheKeyboardAlone: every step can be reached, and the focus is always seen.
func TestResetWorksWithTheKeyboardAlone(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.signUp("john")
	b := open(t, p, english.language)
	b.visit(p.url + "/account/forgot_password")
	b.tabTo("#email")
	b.keys("john@example.com")
	b.tabTo("main form button")
	b.load(enter())
	b.heading(english.sent)

	b.visit(p.link(p.mail("john@example.com", "/account/reset_password"), "reset_password"))
	b.tabTo("#password")
	b.keys("short")
	b.tabTo("#password_confirmation")
	b.keys("short")
	b.load(enter()) // Enter in a field sends the form
	b.says(english.tooShort)
	b.tabTo(".summary a")
	b.do(enter()) // leads to the field
	b.await("document.activeElement.id === 'password'")
	b.keys(newPassword)
	b.tabTo("#password_confirmation")
	b.keys(newPassword)
	b.tabTo("main form button")
	b.load(chromedp.KeyEvent(" "))
	b.heading(english.changed)
	if status, _ := p.signIn("john", newPassword); status != http.StatusOK {
		t.Errorf("got status %d for the new password, want 200", status)
	}
}

// TestLanguageIsChosenOnThePage: it stays chosen, and no link holds the token.
func TestLanguageIsChosenOnThePage(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.signUp("john")
	b := open(t, p, english.language)
	link := p.resetLink("john")
	_, token, _ := strings.Cut(link, "token=")
	b.visit(link)
	b.heading(english.set)
	b.load(click(".languages button"))
	b.heading(chinese.set)
	if eval[bool](b, "Array.from(document.links).some(a => a.getAttribute('href').includes('"+token+"'))") {
		t.Error("got a link with the token in it")
	}
	b.write("password", "short")
	b.write("password_confirmation", "short")
	b.press()
	b.says(chinese.tooShort)
	b.load(click(".languages button"))
	b.heading(english.set)
	b.load(click(".languages button"))
	b.write("password", newPassword)
	b.write("password_confirmation", newPassword)
	b.press()
	b.heading(chinese.changed)
	b.path("/account/password_changed?lang=zh-CN")
	b.load(click(".languages button"))
	b.heading(english.changed)
}
