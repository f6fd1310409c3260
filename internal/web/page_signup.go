package web

import (
	"cmp"
	"errors"
	"net/http"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/web/ui"
)

func (s *Server) confirmSignUpPage(c *call) error {
	token := c.query("token")
	pending, err := s.cfg.Service.PeekSignUp(c.r.Context(), token)
	if err != nil {
		return c.deadLink(ui.LinkSignUp, err)
	}
	return c.show(http.StatusOK, ui.ConfirmSignUp{Page: c.tokenView(token), Address: pending.Email.Address, Username: pending.Username})
}

// postConfirmSignUp asks for the password of the sign-up, and for another username if the first one was taken meanwhile.
func (s *Server) postConfirmSignUp(c *call) error {
	form, err := c.form()
	if err != nil {
		return err
	}
	token, username := form["token"], form["username"]
	pending, err := s.cfg.Service.PeekSignUp(c.r.Context(), token)
	if err != nil {
		return c.deadLink(ui.LinkSignUp, err)
	}
	proof := auth.SignUpProof{Token: token, Password: form["password"], Username: username}
	err = c.guess(func() error { return s.cfg.Service.ConfirmSignUpOnPage(c.r.Context(), proof, c.origin()) })
	if blamesMember(err, auth.FieldToken, auth.FieldEmail) { // used up or taken meanwhile
		return c.deadLink(ui.LinkSignUp, err)
	}
	if faults, status := c.refused(err); faults != nil {
		page := c.tokenView(token)
		return c.show(status, ui.ConfirmSignUp{
			Page: page, Address: pending.Email.Address, Username: cmp.Or(username, pending.Username),
			AnotherName: username != "" || blamesMember(err, auth.FieldUsername), Faults: aboutChosenPassword(page, err, faults),
		})
	}
	if err != nil {
		return err
	}
	return c.seeOther("signed_up")
}

// aboutChosenPassword puts the fault of a password into the words of a form that sets no new one.
func aboutChosenPassword(page ui.Page, err error, faults []ui.Fault) []ui.Fault {
	validation, ok := errors.AsType[*auth.ValidationError](err)
	if !ok {
		return faults
	}
	for i, f := range validation.Fields { // each is one of the faults
		if f.Field != auth.FieldPassword {
			continue
		}
		faults[i].Text = page.Fault("chosen_password", latchkey.FieldCode(f.Code), 0, faults[i].Text).Text
		if f.Code == auth.TooCommon { // it is the username: another one mends it
			faults[i].Field = string(auth.FieldUsername)
		}
	}
	return faults
}

func (s *Server) signedUpPage(c *call) error {
	return c.show(http.StatusOK, ui.SignedUp{Page: c.view()})
}
