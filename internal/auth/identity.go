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
	// group, ErrChanged if the user is not active or a guest, or if what entitles to it is gone.
	AttachIdentities(context.Context, Attachment) error
	// ListIdentities returns the user's identities, oldest first, at most MaxIdentities.
	ListIdentities(ctx context.Context, user UserID) ([]LinkedIdentity, error)
	// DetachIdentities takes identities from an active user. It returns ErrNotFound if the user has none of them,
	// ErrLastWayIn if neither a password nor another way in would be left, ErrChanged if the user is not active or the
	// session has ended.
	DetachIdentities(context.Context, Detachment) error
	// MergeUsers gives all identities of one user to another and deletes the first as Store.DeleteUser does. It returns
	// ErrHasIdentity if both have a subject in one app or group, ErrChanged if one is not active or the second is a guest.
	MergeUsers(ctx context.Context, from, into UserID, now time.Time) error
	// SetVerifiedPhoneNumber sets the phone number of an active user, and that it was verified now; else ErrChanged.
	SetVerifiedPhoneNumber(ctx context.Context, user UserID, number string, now time.Time) error
}

// Attachment is identities that a user is to have, and what entitles to that: one of Session and Known.
type Attachment struct {
	UserID  UserID
	Add     []Identity
	Now     time.Time
	Session SessionID // of the user who asks; it must not have ended
	Known   *Identity // it led to the user, and must be theirs still
}

// Detachment is identities that a user is to lose: those of the provider in these apps and groups.
type Detachment struct {
	UserID   UserID
	Session  SessionID // of the user who asks; it must not have ended
	Provider string
	AppIDs   []string
	// WaysIn are the apps and groups in which somebody can sign in today; an identity elsewhere is none.
	WaysIn []string
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
	err = s.cfg.Identities.AttachIdentities(ctx, Attachment{
		UserID: c.User.ID, Add: s.identities(person), Now: now, Session: c.Session.ID, // asking WeChat took time
	})
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
	err = s.cfg.Identities.DetachIdentities(ctx, Detachment{
		UserID: c.User.ID, Session: c.Session.ID, Provider: list[at].Provider,
		AppIDs: s.sameAccount(list, list[at].AppID), WaysIn: s.waysIn(),
	})
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

// sameAccount returns the apps and groups that know a user by the same WeChat account as one app does: those of its group.
// With the last app that a user sees, groups go that are not configured any more: nobody could take them away later.
func (s *Service) sameAccount(list []LinkedIdentity, appID string) []string {
	same := []string{appID}
	if group := s.group(appID); group != "" {
		same = append(same, groupPrefix+group, noApp)
		for _, app := range s.cfg.WeChatApps {
			if app.Group == group && app.ID != appID {
				same = append(same, app.ID)
			}
		}
	}
	isSame := func(i LinkedIdentity) bool { return isGroup(i.AppID) || slices.Contains(same, i.AppID) }
	if !slices.ContainsFunc(list, func(i LinkedIdentity) bool { return !isSame(i) }) {
		for _, i := range list {
			if isGroup(i.AppID) {
				same = append(same, i.AppID)
			}
		}
	}
	return same
}

// waysIn returns the apps and groups in which somebody can sign in.
func (s *Service) waysIn() []string {
	ways := []string{noApp}
	for _, app := range s.cfg.WeChatApps {
		ways = append(ways, app.ID)
		if app.Group != "" {
			ways = append(ways, groupPrefix+app.Group)
		}
	}
	return ways
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
