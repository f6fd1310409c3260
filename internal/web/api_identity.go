package web

import (
	"net/http"
	"strconv"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/auth"
)

func (s *Server) listIdentities(c *call) error {
	identities, err := s.cfg.Service.ListIdentities(c.r.Context(), *c.current)
	if err != nil {
		return err
	}
	list := make([]latchkey.Identity, 0, len(identities))
	for _, i := range identities {
		list = append(list, wireIdentity(i))
	}
	return c.json(http.StatusOK, list)
}

func (s *Server) linkWeChat(c *call) error {
	var proof proofMembers
	var current text
	if err := c.decode(append(proof.members(), member{"current_password", &current})...); err != nil {
		return err
	}
	proven, err := proof.of(c)
	if err != nil {
		return err
	}
	var identity auth.LinkedIdentity
	err = c.guessUnless(proven.FromTrustedBackend, func() error {
		identity, err = s.cfg.Service.LinkWeChat(c.r.Context(), *c.current, proven, current.value, c.origin())
		return err
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, wireIdentity(identity))
}

func (s *Server) deleteIdentity(c *call) error {
	var current text
	if err := c.decodeOptional(member{"current_password", &current}); err != nil {
		return err
	}
	id, err := strconv.ParseInt(c.wildcard, 10, 64)
	if err != nil {
		return auth.ErrNotFound
	}
	if err := s.cfg.Service.UnlinkIdentity(c.r.Context(), *c.current, auth.IdentityID(id), current.value, c.origin()); err != nil {
		return err
	}
	return c.noContent()
}

func wireIdentity(i auth.LinkedIdentity) latchkey.Identity {
	return latchkey.Identity{
		ID:        int64(i.ID),
		Provider:  i.Provider,
		AppID:     i.AppID,
		CreatedAt: latchkey.Time(i.CreatedAt),
	}
}
