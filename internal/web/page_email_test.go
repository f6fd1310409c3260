package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

func (d *desk) user(login, deskPassword string) auth.User {
	d.t.Helper()
	signedIn, err := d.service.SignIn(d.t.Context(), login, deskPassword, origin)
	if err != nil {
		d.t.Fatal(err)
	}
	return signedIn.User
}

func TestVerifyPageConfirmsTheAddress(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	link := d.verifyLink()
	page := d.get(link)
	page.has(t, http.StatusOK, "<h1>Confirm your address</h1>", "<bdi>john@example.com</bdi>", "Confirm this address</button>")
	if n := strings.Count(page.body, "<button class="); n != 1 {
		t.Errorf("got %d buttons, want one", n)
	}
	if d.user(username, deskPassword).EmailVerified {
		t.Error("got the address verified by looking at the page, want it after the button")
	}
	d.fill(page, nil).leadsTo(t, "/account/email_verified")
	if !d.user(username, deskPassword).EmailVerified {
		t.Error("got the address not verified, want it")
	}
	d.get("/account/email_verified").has(t, http.StatusOK, "<h1>Your address is confirmed</h1>")
	d.get(link).has(t, http.StatusUnprocessableEntity, "<h1>This link does not work any more</h1>", "have the app send you a new mail")
	d.fill(page, nil).has(t, http.StatusUnprocessableEntity, "<h1>This link does not work any more</h1>")
}

// TestAddressesAreText: an address may have characters that mean something in HTML and in templates.
func TestAddressesAreText(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	d.get(d.changeLink("o'neil&amp{{.}}`=x@example.com")).has(t, http.StatusOK, "<bdi>o&#39;neil&amp;amp{{.}}`=x@example.com</bdi>")
}

func TestVerifyPageChangesTheAddress(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	link := d.changeLink("john@new.example.com")
	page := d.get(link)
	page.has(t, http.StatusOK, "<h1>Change your address</h1>", "<bdi>john@new.example.com</bdi>", "Use this address</button>")
	if strings.Contains(page.body, address) {
		t.Error("got the old address on the page, want whoever has the link to learn nothing about the account")
	}
	if got := d.user(username, deskPassword).Email; got != address {
		t.Errorf("got address %s by looking at the page, want it changed after the button", got)
	}
	d.fill(page, nil).leadsTo(t, "/account/email_changed")
	if got := d.user(username, deskPassword); got.Email != "john@new.example.com" || !got.EmailVerified {
		t.Errorf("got address %s, verified %t, want the new one, verified", got.Email, got.EmailVerified)
	}
	d.get("/account/email_changed").has(t, http.StatusOK, "<h1>Your address is changed</h1>")
	d.get(link).has(t, http.StatusUnprocessableEntity, "<h1>This link does not work any more</h1>")
}

func TestVerifyPageSaysThatTheAddressWasTaken(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	page := d.get(d.changeLink("wanted@example.com"))
	d.signUp("quicker", "wanted@example.com")
	d.fill(page, nil).has(t, http.StatusUnprocessableEntity, "<h1>This link does not work any more</h1>", "belongs to another account by now")
	if got := d.user(username, deskPassword).Email; got != address {
		t.Errorf("got address %s, want it as it was", got)
	}
}

func TestUndoPageBringsTheAddressBackAndSignsOut(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	link := d.undoLink()
	intruder, err := d.service.SignIn(t.Context(), username, deskPassword, origin)
	if err != nil {
		t.Fatal(err)
	}
	page := d.get(link)
	page.has(t, http.StatusOK, "<h1>Undo the change of address?</h1>", "<bdi>john@example.com</bdi>", "Undo the change</button>")
	if strings.Contains(page.body, "other@example.com") {
		t.Error("got the new address on the page, want it left out")
	}
	d.later(6 * 24 * time.Hour)
	d.fill(page, nil).leadsTo(t, "/account/email_restored")
	if got := d.user(username, deskPassword).Email; got != address {
		t.Errorf("got address %s, want the old one", got)
	}
	if _, err := d.service.Authenticate(t.Context(), intruder.Token); err == nil {
		t.Error("got a session that outlived the undoing, want it ended")
	}
	d.get("/account/email_restored").has(t, http.StatusOK, "<h1>Your address is back</h1>", `href="/account/forgot_password"`)
	d.get(link).has(t, http.StatusUnprocessableEntity, "<h1>This link does not work any more</h1>", "tell the people behind Ideaegg")
}

func TestUndoPageWorksForAWeek(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	link := d.undoLink()
	d.later(auth.UndoTTL - time.Minute)
	d.get(link).has(t, http.StatusOK)
	d.later(2 * time.Minute)
	d.get(link).has(t, http.StatusUnprocessableEntity)
	d.post("/account/undo_email_change", url.Values{"token": {tokenIn(link)}}).has(t, http.StatusUnprocessableEntity)
}

// TestLinksAreGoodForTheirOwnPageOnly: a token proves what its mail said, and nothing else.
func TestLinksAreGoodForTheirOwnPageOnly(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	links := map[string]string{"/account/undo_email_change": tokenIn(d.undoLink()), "/account/verify_email": tokenIn(d.changeLink("new@example.com"))}
	if err := d.service.RequestReset(t.Context(), "other@example.com", origin); err != nil {
		t.Fatal(err)
	}
	links["/account/reset_password"] = tokenIn(d.link(d.letter(auth.MailResetPassword)))
	for own, token := range links {
		for other := range links {
			if other == own {
				continue
			}
			d.get(other+"?token="+token).has(t, http.StatusUnprocessableEntity)
			d.post(other, url.Values{"token": {token}, "password": {chosenPassword}, "password_confirmation": {chosenPassword}}).
				has(t, http.StatusUnprocessableEntity)
		}
	}
	for own, token := range links {
		d.get(own+"?token="+token).has(t, http.StatusOK)
	}
	if !d.signsIn(username, deskPassword) || d.user(username, deskPassword).Email != "other@example.com" {
		t.Error("got the password or the address changed, want both as they were")
	}
}
