package web

import (
	"net/http"
	"slices"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/web/ui"
)

func (s *Server) forgotPage(c *call) error {
	return c.show(http.StatusOK, ui.ForgotPassword{Page: c.view()})
}

// postForgot goes on to the same page whether anybody has the address or not.
func (s *Server) postForgot(c *call) error {
	form, err := c.form()
	if err != nil {
		return err
	}
	err = c.askReset(form.address())
	if faults, status := c.refused(err); faults != nil {
		return c.show(status, ui.ForgotPassword{Page: c.view(), Email: form.address(), Faults: faults})
	}
	if err != nil {
		return err
	}
	return c.seeOther("mail_sent")
}

func (s *Server) mailSentPage(c *call) error {
	return c.show(http.StatusOK, ui.MailSent{Page: c.view()})
}

func (s *Server) resetPage(c *call) error {
	token := c.query("token")
	user, err := s.cfg.Service.PeekReset(c.r.Context(), token)
	if err != nil {
		return c.deadLink(ui.LinkReset, err)
	}
	return c.show(http.StatusOK, ui.SetPassword{Page: c.tokenView(token), Username: user.Username})
}

// postReset looks at the link first: whoever has a dead one need not choose a password.
func (s *Server) postReset(c *call) error {
	form, err := c.form()
	if err != nil {
		return err
	}
	token := form["token"]
	user, err := s.cfg.Service.PeekReset(c.r.Context(), token)
	if err != nil {
		return c.deadLink(ui.LinkReset, err)
	}
	err = c.reset(auth.PasswordResetInput{
		Token: token, Password: form["password"], PasswordConfirmation: form["password_confirmation"],
	})
	if blamesToken(err) { // used up meanwhile
		return c.deadLink(ui.LinkReset, err)
	}
	if faults, status := c.refused(err); faults != nil {
		return c.show(status, ui.SetPassword{Page: c.tokenView(token), Username: user.Username, Faults: faults})
	}
	if err != nil {
		return err
	}
	return c.seeOther("password_changed")
}

func (s *Server) codePage(c *call) error {
	return c.show(http.StatusOK, ui.EnterCode{Page: c.view()})
}

func (s *Server) postCode(c *call) error {
	form, err := c.form()
	if err != nil {
		return err
	}
	err = c.reset(auth.PasswordResetInput{
		Email: form.address(), Code: form.code(),
		Password: form["password"], PasswordConfirmation: form["password_confirmation"],
	})
	faults, status := c.refused(err)
	if blamesToken(err) { // neither address nor code was typed
		const missing = latchkey.FieldRequired
		faults = slices.Replace(faults, 0, 1, c.fault(fieldFault{field: "email", code: missing}), c.fault(fieldFault{field: "code", code: missing}))
	}
	if faults != nil {
		return c.show(status, ui.EnterCode{Page: c.view(), Email: form.address(), Code: form.code(), Faults: faults})
	}
	if err != nil {
		return err
	}
	return c.seeOther("password_changed")
}

func (s *Server) passwordChangedPage(c *call) error {
	return c.show(http.StatusOK, ui.PasswordChanged{Page: c.view()})
}
