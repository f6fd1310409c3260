package web

import (
	"net/http"

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

// postConfirmSignUp asks for another username if the first one was taken meanwhile.
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
	err = s.cfg.Service.ConfirmSignUpOnPage(c.r.Context(), token, username, c.origin())
	if blamesMember(err, auth.FieldToken, auth.FieldEmail) { // used up or taken meanwhile
		return c.deadLink(ui.LinkSignUp, err)
	}
	if faults, status := c.refused(err); faults != nil {
		if username == "" {
			username = pending.Username
		}
		for i := range faults { // also one of a password that is the username: another username mends it
			faults[i].Field = string(auth.FieldUsername)
		}
		return c.show(status, ui.ConfirmSignUp{
			Page: c.tokenView(token), Address: pending.Email.Address, Username: username, Faults: faults,
		})
	}
	if err != nil {
		return err
	}
	return c.seeOther("signed_up")
}

func (s *Server) signedUpPage(c *call) error {
	return c.show(http.StatusOK, ui.SignedUp{Page: c.view()})
}
