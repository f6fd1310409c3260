package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Identity is a name that an outside service has for a user.
type Identity struct {
	Provider string // "wechat"
	// AppID is the app that the subject is a name in, empty when no app is configured, or "group:" and a group of apps.
	AppID   string
	Subject string // WeChat's openid; of a group of apps the unionid
}

// IdentityID names an identity that is linked to a user.
type IdentityID int64

// LinkedIdentity is an identity of a user. Its subject is nobody's business but WeChat's.
type LinkedIdentity struct {
	ID        IdentityID
	Provider  string
	AppID     string
	CreatedAt time.Time
}

// MaxIdentities bounds how many identities a user may have: one for each app that can be configured, and its group.
const MaxIdentities = 400

// Identities keeps which outside names belong to which user. What Store says of all its methods holds here too.
type Identities interface {
	// AttachIdentities gives an active user the identities that are not theirs yet, all or none. It returns
	// ErrIdentityTaken if one belongs to another user, ErrHasIdentity if the user has another subject in the same app or
	// group, ErrChanged if the user is not active or a guest.
	AttachIdentities(ctx context.Context, user UserID, add []Identity, now time.Time) error
	// ListIdentities returns the user's identities, oldest first, at most MaxIdentities.
	ListIdentities(ctx context.Context, user UserID) ([]LinkedIdentity, error)
	// DetachIdentities takes the identities from the user, those that are gone aside. It returns ErrLastWayIn if neither a
	// password nor another identity would be left; ErrChanged if the user is not active.
	DetachIdentities(ctx context.Context, user UserID, remove []IdentityID) error
	// MergeUsers gives all identities of one user to another and deletes the first as Store.DeleteUser does. It returns
	// ErrHasIdentity if both have a subject in one app or group, ErrChanged if one is not active or the second is a guest.
	MergeUsers(ctx context.Context, from, into UserID, now time.Time) error
	// SetVerifiedPhoneNumber sets the phone number of an active user, and that it was verified now; else ErrChanged.
	SetVerifiedPhoneNumber(ctx context.Context, user UserID, number string, now time.Time) error
}

// ListIdentities returns how the user can sign in through others, oldest first.
func (s *Service) ListIdentities(ctx context.Context, c Current) ([]LinkedIdentity, error) {
	list, err := s.cfg.Identities.ListIdentities(ctx, c.User.ID)
	if err != nil {
		return nil, fmt.Errorf("list identities: %w", err)
	}
	return slices.DeleteFunc(list, func(i LinkedIdentity) bool { return isGroup(i.AppID) }), nil
}

// LinkWeChat gives the signed-in user one more way in: the WeChat account of whoever made the proof, which is the same as
// for a sign-in. The user must be present: signed in within the last 10 minutes, or with the current password
// (ErrForbidden, or a *ValidationError). Guests become users by signing in with WeChat instead: ErrGuest.
// It returns ErrIdentityTaken for an account of somebody else, ErrHasIdentity if the user has another in the same app.
func (s *Service) LinkWeChat(ctx context.Context, c Current, proof WeChatProof, currentPassword string, origin Origin) (LinkedIdentity, error) {
	if c.User.Guest {
		return LinkedIdentity{}, ErrGuest
	}
	event := c.event(AuditIdentityLinked, 0, "", origin)
	if _, err := s.proveRecentPresence(ctx, c, currentPassword, origin); err != nil {
		s.auditRefused(ctx, event, err)
		return LinkedIdentity{}, err
	}
	person, err := s.proveWeChat(ctx, proof)
	event.Proof = person.proof
	if err != nil {
		s.auditRefused(ctx, event, err)
		return LinkedIdentity{}, err
	}
	now := s.cfg.Now().UTC()
	err = s.cfg.Identities.AttachIdentities(ctx, c.User.ID, s.identities(person), now)
	s.auditRefused(ctx, event, err)
	switch {
	case errors.Is(err, ErrChanged):
		return LinkedIdentity{}, ErrUnauthorized
	case err != nil:
		return LinkedIdentity{}, fmt.Errorf("attach identities: %w", err)
	}
	s.Audit(ctx, event)
	if err := s.setPhoneNumber(ctx, c.User.ID, person, now); err != nil {
		return LinkedIdentity{}, err
	}
	list, err := s.cfg.Identities.ListIdentities(ctx, c.User.ID)
	if err != nil {
		return LinkedIdentity{}, fmt.Errorf("list identities: %w", err)
	}
	for _, i := range list {
		if i.Provider == wechatProvider && i.AppID == person.AppID {
			return i, nil
		}
	}
	return LinkedIdentity{}, ErrUnauthorized // deleted meanwhile
}

// UnlinkIdentity takes a way in from the signed-in user. Apps of one group see one WeChat account: it goes from all of
// them, or the next sign-in would bring it back. The user must be present, as for LinkWeChat. It returns ErrNotFound if
// the user has no such identity, ErrLastWayIn if nobody could sign in afterwards.
func (s *Service) UnlinkIdentity(ctx context.Context, c Current, id IdentityID, currentPassword string, origin Origin) error {
	verified, err := s.proveRecentPresence(ctx, c, currentPassword, origin)
	event := c.event(AuditIdentityUnlinked, 0, verified, origin)
	if err != nil {
		s.auditRefused(ctx, event, err)
		return err
	}
	list, err := s.cfg.Identities.ListIdentities(ctx, c.User.ID)
	if err != nil {
		return fmt.Errorf("list identities: %w", err)
	}
	at := slices.IndexFunc(list, func(i LinkedIdentity) bool { return i.ID == id && !isGroup(i.AppID) })
	if at < 0 {
		return ErrNotFound
	}
	remove := []IdentityID{id}
	if group := s.group(list[at].AppID); group != "" {
		for _, i := range list {
			if i.Provider == list[at].Provider && i.ID != id && (i.AppID == groupPrefix+group || s.group(i.AppID) == group) {
				remove = append(remove, i.ID)
			}
		}
	}
	err = s.cfg.Identities.DetachIdentities(ctx, c.User.ID, remove)
	s.auditRefused(ctx, event, err)
	switch {
	case errors.Is(err, ErrChanged):
		return ErrUnauthorized
	case err != nil:
		return fmt.Errorf("detach identities: %w", err)
	}
	s.Audit(ctx, event)
	return nil
}

// proveRecentPresence makes sure that it is the user who asks, and not just somebody with their device, of users who may
// have a password and another way in: by a sign-in within the last 10 minutes, or else by the current password. It
// returns what provePresence does.
func (s *Service) proveRecentPresence(ctx context.Context, c Current, currentPassword string, origin Origin) (PasswordHash, error) {
	if currentPassword == "" && s.cfg.Now().Sub(c.Session.CreatedAt) <= freshSignIn {
		return "", nil
	}
	if currentPassword == "" {
		return "", ErrForbidden
	}
	return s.provePresence(ctx, c, currentPassword, origin)
}
