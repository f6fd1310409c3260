package web

import (
	"net/http"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/web/ui"
)

func (s *Server) verifyPage(c *call) error {
	token := c.query("token")
	v, err := s.cfg.Service.PeekVerification(c.r.Context(), token)
	if err != nil {
		return c.deadLink(ui.LinkVerify, err)
	}
	return c.show(http.StatusOK, ui.ConfirmEmail{Page: c.tokenView(token), Address: v.Address, Change: v.Change})
}

func (s *Server) postVerify(c *call) error {
	form, err := c.form()
	if err != nil {
		return err
	}
	var v auth.Verification
	err = c.guess(func() error {
		v, err = s.cfg.Service.VerifyEmail(c.r.Context(), form["token"], c.origin())
		return err
	})
	switch {
	case err != nil:
		return c.deadLink(ui.LinkVerify, err)
	case v.Change:
		return c.seeOther("email_changed")
	}
	return c.seeOther("email_verified")
}

func (s *Server) emailVerifiedPage(c *call) error {
	return c.show(http.StatusOK, ui.EmailConfirmed{Page: c.view()})
}

func (s *Server) emailChangedPage(c *call) error {
	return c.show(http.StatusOK, ui.EmailConfirmed{Page: c.view(), Change: true})
}

func (s *Server) undoPage(c *call) error {
	token := c.query("token")
	address, err := s.cfg.Service.PeekUndo(c.r.Context(), token)
	if err != nil {
		return c.deadLink(ui.LinkUndo, err)
	}
	return c.show(http.StatusOK, ui.UndoEmailChange{Page: c.tokenView(token), Address: address})
}

func (s *Server) postUndo(c *call) error {
	form, err := c.form()
	if err != nil {
		return err
	}
	err = c.guess(func() error {
		_, err := s.cfg.Service.UndoEmailChange(c.r.Context(), form["token"], c.origin())
		return err
	})
	if err != nil {
		return c.deadLink(ui.LinkUndo, err)
	}
	return c.seeOther("email_restored")
}

func (s *Server) emailRestoredPage(c *call) error {
	return c.show(http.StatusOK, ui.EmailRestored{Page: c.view()})
}
