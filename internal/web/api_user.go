package web

import (
	"net/http"
	"strconv"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/auth"
)

func (s *Server) getUser(c *call) error {
	p := c.prepared()
	if p.err != nil {
		return p.err
	}
	c.send(http.StatusOK, p.body)
	return nil
}

func (s *Server) putUser(c *call) error {
	var fullname, avatar, phone text
	if err := c.decode(
		member{"fullname", &fullname},
		member{"avatar", &avatar},
		member{"phone_number", &phone},
	); err != nil {
		return err
	}
	change := auth.ProfileChange{Fullname: fullname.pointer(), Avatar: avatar.pointer(), PhoneNumber: phone.pointer()}
	user, err := s.cfg.Service.UpdateProfile(c.r.Context(), *c.current, change)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, wireUser(user))
}

func (s *Server) deleteUser(c *call) error {
	var current text
	if err := c.decodeOptional(member{"current_password", &current}); err != nil {
		return err
	}
	if err := s.cfg.Service.DeleteUser(c.r.Context(), *c.current, current.value, c.origin()); err != nil {
		return err
	}
	return c.noContent()
}

func (s *Server) putPassword(c *call) error {
	var current, password, confirmation text
	if err := c.decode(
		member{"current_password", &current},
		member{"password", &password},
		member{"password_confirmation", &confirmation},
	); err != nil {
		return err
	}
	in := auth.NewPassword{Current: current.value, Password: password.value, PasswordConfirmation: confirmation.value}
	signedIn, err := s.cfg.Service.ChangePassword(c.r.Context(), *c.current, in, c.origin())
	if err != nil {
		return err
	}
	return c.signedIn(signedIn)
}

func (s *Server) putEmail(c *call) error {
	var email, current text
	if err := c.decode(member{"email", &email}, member{"current_password", &current}); err != nil {
		return err
	}
	if err := c.spend(limitSignUps, func() error { // it tells what is taken, as a sign-up does
		return s.cfg.Service.RequestEmailChange(c.r.Context(), *c.current, email.value, current.value, c.origin())
	}); err != nil {
		return err
	}
	return c.accepted()
}

func (s *Server) verifyEmail(c *call) error {
	var code text
	if err := c.decode(member{"code", &code}); err != nil {
		return err
	}
	var user auth.User
	if err := c.guess(func() (err error) {
		user, err = s.cfg.Service.VerifyEmailByCode(c.r.Context(), *c.current, code.value, c.origin())
		return err
	}); err != nil {
		return err
	}
	return c.json(http.StatusOK, wireUser(user))
}

func (s *Server) requestVerification(c *call) error {
	if err := c.decodeOptional(); err != nil {
		return err
	}
	if err := c.spend(limitResets, func() error {
		return s.cfg.Service.RequestVerification(c.r.Context(), *c.current, c.origin())
	}); err != nil {
		return err
	}
	return c.accepted()
}

func (s *Server) signOut(c *call) error {
	if err := c.decodeOptional(); err != nil {
		return err
	}
	if err := s.cfg.Service.SignOut(c.r.Context(), *c.current, c.origin()); err != nil {
		return err
	}
	return c.noContent()
}

func (s *Server) listSessions(c *call) error {
	sessions, err := s.cfg.Service.ListSessions(c.r.Context(), *c.current)
	if err != nil {
		return err
	}
	list := make([]latchkey.Session, 0, len(sessions))
	for _, session := range sessions {
		list = append(list, wireSession(session, c.current.Session.ID))
	}
	return c.json(http.StatusOK, list)
}

func (s *Server) deleteSession(c *call) error {
	if err := c.decodeOptional(); err != nil {
		return err
	}
	id, err := strconv.ParseInt(c.wildcard, 10, 64)
	if err != nil {
		return auth.ErrNotFound
	}
	if err := s.cfg.Service.RevokeSession(c.r.Context(), *c.current, auth.SessionID(id), c.origin()); err != nil {
		return err
	}
	return c.noContent()
}

func (s *Server) deleteOtherSessions(c *call) error {
	if err := c.decodeOptional(); err != nil {
		return err
	}
	if err := s.cfg.Service.RevokeOtherSessions(c.r.Context(), *c.current, c.origin()); err != nil {
		return err
	}
	return c.noContent()
}

func wireUser(u auth.User) latchkey.User {
	return latchkey.User{
		ID:            int64(u.ID),
		Username:      u.Username,
		Email:         u.Email,
		Fullname:      u.Fullname,
		Avatar:        orNull(u.Avatar),
		PhoneNumber:   orNull(u.PhoneNumber),
		CreatedAt:     latchkey.Time(u.CreatedAt),
		Guest:         u.Guest,
		EmailVerified: u.EmailVerified,
	}
}

func wireSession(s auth.Session, current auth.SessionID) latchkey.Session {
	address := ""
	if s.Origin.Address.IsValid() {
		address = s.Origin.Address.String()
	}
	return latchkey.Session{
		ID:         int64(s.ID),
		CreatedAt:  latchkey.Time(s.CreatedAt),
		LastUsedAt: latchkey.Time(s.LastUsedAt),
		ExpiresAt:  latchkey.Time(s.ExpiresAt),
		IP:         address,
		UserAgent:  s.Origin.UserAgent,
		Current:    s.ID == current,
	}
}
