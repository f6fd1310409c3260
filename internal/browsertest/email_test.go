package browsertest

import (
	"net/http"
	"testing"
)

func TestAddressIsVerified(t *testing.T) {
	t.Parallel()
	eachLanguage(t, func(t *testing.T, p *program, b *browser, w words) {
		token := p.signUp("john")
		link := p.verifyLink("john")
		b.visit(link)
		b.heading(w.verify)
		b.says("john@example.com")
		if user := p.must(http.StatusOK, http.MethodGet, "/user", token, nil); user["email_verified"] != false {
			t.Error("got the address verified by looking, want it after the button")
		}
		b.press()
		b.heading(w.verified)
		b.path("/account/email_verified")
		if user := p.must(http.StatusOK, http.MethodGet, "/user", token, nil); user["email_verified"] != true {
			t.Error("got the address not verified")
		}
		b.visit(link)
		b.heading(w.dead)
	})
}

func TestAddressIsChangedAndTheChangeUndone(t *testing.T) {
	t.Parallel()
	eachLanguage(t, func(t *testing.T, p *program, b *browser, w words) {
		token := p.signUp("john")
		b.visit(p.changeLink(token, "john@new.example.com"))
		b.heading(w.change)
		b.says("john@new.example.com")
		b.press()
		b.heading(w.changedEmail)
		if user := p.must(http.StatusOK, http.MethodGet, "/user", token, nil); user["email"] != "john@new.example.com" || user["email_verified"] != true {
			t.Errorf("got address %v, want the new one, verified", user["email"])
		}

		undo := p.link(p.mail("john@example.com", "/account/undo_email_change"), "undo_email_change")
		b.visit(undo)
		b.heading(w.undo)
		b.says("john@example.com")
		b.press()
		b.heading(w.restored)
		p.must(http.StatusUnauthorized, http.MethodGet, "/user", token, nil)
		status, token := p.signIn("john@example.com", password)
		if status != http.StatusOK {
			t.Fatalf("got status %d for the old address, want 200", status)
		}
		if user := p.must(http.StatusOK, http.MethodGet, "/user", token, nil); user["email"] != "john@example.com" {
			t.Errorf("got address %v, want the old one", user["email"])
		}
		b.visit(undo)
		b.heading(w.dead)
	})
}
