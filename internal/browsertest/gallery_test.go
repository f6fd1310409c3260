package browsertest

import (
	"fmt"
	"net/http"
	"os"
	"testing"
)

// gallery is every page with the address under which it can be seen, over and over: looking uses nothing up.
func gallery(t *testing.T, p *program) []exhibit {
	t.Helper()
	john := p.signUp("john_smith")
	verify := p.verifyLink("john_smith")
	change := p.changeLink(john, "john.smith@new.example.com")
	reset := p.resetLink("john_smith")

	jane := p.signUp("jane")
	b := open(t, p, english.language)
	b.visit(p.changeLink(jane, "somebody.else@example.com"))
	b.press()
	undo := p.link(p.mail("jane@example.com", "/account/undo_email_change"), "undo_email_change")

	page := func(name string) string { return p.url + "/account/" + name + "?" }
	return []exhibit{
		{"forgot_password", page("forgot_password"), http.StatusOK, nil},
		{"forgot_password_fault", page("forgot_password"), http.StatusUnprocessableEntity, func(b *browser) { b.write("email", "john@") }},
		{"mail_sent", page("mail_sent"), http.StatusOK, nil},
		{"enter_code", page("enter_code"), http.StatusOK, nil},
		{"enter_code_faults", page("enter_code"), http.StatusUnprocessableEntity, func(b *browser) { b.write("email", "john@example.com") }},
		{"set_password", reset + "&", http.StatusOK, nil},
		{"set_password_faults", reset + "&", http.StatusUnprocessableEntity, func(b *browser) { b.write("password", "john_smith") }},
		{"password_changed", page("password_changed"), http.StatusOK, nil},
		{"confirm_email", verify + "&", http.StatusOK, nil},
		{"confirm_email_change", change + "&", http.StatusOK, nil},
		{"email_verified", page("email_verified"), http.StatusOK, nil},
		{"email_changed", page("email_changed"), http.StatusOK, nil},
		{"undo_email_change", undo + "&", http.StatusOK, nil},
		{"email_restored", page("email_restored"), http.StatusOK, nil},
		{"dead_link_reset", page("reset_password"), http.StatusUnprocessableEntity, nil},
		{"dead_link_verify", page("verify_email"), http.StatusUnprocessableEntity, nil},
		{"dead_link_undo", page("undo_email_change"), http.StatusUnprocessableEntity, nil},
		{"trouble_not_found", page("nothing"), http.StatusNotFound, nil},
	}
}

// strictGallery is the pages of a program that was started with --sign-up=verify-first.
func strictGallery(p *program) []exhibit {
	p.must(http.StatusOK, http.MethodPost, "/sign_up/confirm", "", map[string]string{
		"token": tokenOf(p.signUpLink("jane", "jane")), "password": password,
	})
	page := func(name string) string { return p.url + "/account/" + name + "?" }
	return []exhibit{
		{"confirm_sign_up", p.signUpLink("john_smith", "john_smith") + "&", http.StatusOK, nil},
		{"confirm_sign_up_password", p.signUpLink("john_smith", "john") + "&", http.StatusUnprocessableEntity, func(*browser) {}},
		// Ten times at most: as often as there are languages, screens and schemes.
		{"confirm_sign_up_fault", p.signUpLink("jane", "late") + "&", http.StatusUnprocessableEntity, func(b *browser) { b.write("password", password) }},
		{"signed_up", page("signed_up"), http.StatusOK, nil},
		{"dead_link_sign_up", page("confirm_sign_up"), http.StatusUnprocessableEntity, nil},
	}
}

// exhibit is one page of the gallery.
type exhibit struct {
	name    string
	address string // lacks the language
	status  int64
	fill    func(*browser) // what to type before the form is sent; nil: it is not sent
}

func (e exhibit) visit(b *browser, language string) {
	b.t.Helper()
	status := b.visit(e.address + "lang=" + language)
	if e.fill != nil {
		e.fill(b)
		status = b.press()
	}
	if status != e.status {
		b.t.Errorf("%s: got status %d, want %d", e.name, status, e.status)
	}
}

// fits checks that nothing has to be scrolled to the side, and that what is to be touched is large enough for a thumb.
func (b *browser) fits(name string) {
	b.t.Helper()
	if wide := eval[int](b, "document.documentElement.scrollWidth - document.documentElement.clientWidth"); wide > 0 {
		b.t.Errorf("%s: got a page %d px wider than the screen", name, wide)
	}
	small := eval[[]string](b, `Array.from(document.querySelectorAll("button, .button, input:not([type=hidden])"))
		.filter(e => e.getBoundingClientRect().height < 44).map(e => e.outerHTML)`)
	for _, element := range small {
		b.t.Errorf("%s: got something lower than 44 px to touch: %s", name, element)
	}
}

// TestEveryPage looks at every page in every language, on every screen and in every colour scheme: it must fit, axe-core
// must find nothing, and there is a picture of it in screenshots. Without LATCHKEY_TEST_FULL the screen is a phone's, light
// in English and dark in Chinese.
func TestEveryPage(t *testing.T) {
	t.Parallel()
	p := start(t, "--app-name=Ideaegg", "--app-url=myapp://open")
	p.lookAt(t, gallery(t, p))
}

func TestEveryPageOfStrictSignUp(t *testing.T) {
	t.Parallel()
	p := start(t, "--app-name=Ideaegg", "--app-url=myapp://open", "--sign-up=verify-first")
	p.lookAt(t, strictGallery(p))
}

func (p *program) lookAt(t *testing.T, exhibits []exhibit) {
	t.Helper()
	full := os.Getenv("LATCHKEY_TEST_FULL") != ""
	for _, language := range []string{"en", "zh-CN"} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			b := open(t, p, english.language)
			for _, scheme := range []string{"light", "dark"} {
				if !full && (language == "en") != (scheme == "light") {
					continue
				}
				for _, s := range []screen{phone, desktop, narrow} {
					if s == narrow && scheme == "dark" || s != phone && !full {
						continue // the narrow one is as wide as in the light
					}
					b.show(s, map[string]string{"prefers-color-scheme": scheme})
					for _, e := range exhibits {
						name := fmt.Sprintf("%s.%s.%s.%s", e.name, s.name, language, scheme)
						e.visit(b, language)
						b.fits(name)
						if s == phone {
							b.accessible(name)
						}
						b.picture(name)
					}
				}
			}
		})
	}
}

// TestPagesFollowWhatPeoplePrefer: more contrast, colours of their own, no motion.
func TestPagesFollowWhatPeoplePrefer(t *testing.T) {
	t.Parallel()
	p := start(t, "--app-name=Ideaegg", "--app-logo="+logo(t))
	p.signUp("john_smith")
	e := exhibit{"set_password_faults", p.resetLink("john_smith") + "&", http.StatusUnprocessableEntity, func(b *browser) { b.write("password", "x") }}
	b := open(t, p, english.language)
	for name, preferences := range map[string]map[string]string{
		"contrast":      {"prefers-contrast": "more"},
		"contrast_dark": {"prefers-contrast": "more", "prefers-color-scheme": "dark"},
		"own_colours":   {"forced-colors": "active"},
	} {
		b.show(phone, preferences)
		e.visit(b, "en")
		b.accessible(name)
		b.picture("preference_" + name)
	}
	b.show(phone, map[string]string{"prefers-reduced-motion": "reduce"})
	e.visit(b, "en")
	if got := eval[string](b, "getComputedStyle(document.querySelector('main form button')).transitionDuration"); got != "0s" {
		t.Errorf("got a transition of %s, want none", got)
	}
	if !eval[bool](b, "document.querySelector('.logo').naturalWidth > 0") {
		t.Error("got no logo, want it")
	}

	// Letters of twice the size: nothing is cut off.
	b.show(phone, nil)
	e.visit(b, "en")
	eval[any](b, "document.documentElement.style.fontSize = '200%'")
	b.fits("letters of twice the size")
	b.picture("preference_large_letters")
}
