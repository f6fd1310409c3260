package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

const (
	wechatProvider = "wechat"
	maxOpenID      = 128
)

// WeChatSignIn is what a WeChat sign-in gives. Profile, Username and Email matter only the first time.
type WeChatSignIn struct {
	UID      string // the openid
	AppID    string // which app the openid is a name in; may be empty while at most one is configured
	Username string
	Email    string
	Profile
	// FromTrustedBackend says that the caller is a backend that proved itself and did the exchange with WeChat.
	FromTrustedBackend bool
}

func (in WeChatSignIn) proof() AuditProof {
	if in.FromTrustedBackend {
		return ProofServerKey
	}
	return ProofBareUID
}

// SignInWithWeChat signs in the user that a WeChat openid belongs to, and creates one the first time; if guest is not
// nil, that guest becomes the user and keeps the id. An openid is a name, not a secret: without a proof it returns
// ErrInvalidCredentials. It returns ErrIdentityTaken if a guest's upgrade meets an openid that has a user; a
// *ValidationError for a taken name or address, never a link to the other account.
func (s *Service) SignInWithWeChat(ctx context.Context, in WeChatSignIn, guest *Current, origin Origin) (SignedIn, error) {
	if in.UID == "" && (in.FromTrustedBackend || s.cfg.BelieveBareUID) {
		return SignedIn{}, invalid(FieldUID, Required)
	}
	if !in.FromTrustedBackend && !s.cfg.BelieveBareUID {
		s.Audit(ctx, refused(AuditSignIn, ReasonNoProof, 0, ProofBareUID, origin))
		return SignedIn{}, ErrInvalidCredentials
	}
	if !isOpenID(in.UID) {
		return SignedIn{}, invalid(FieldUID, Invalid)
	}
	appID, err := s.wechatApp(in.AppID)
	if err != nil {
		return SignedIn{}, err
	}
	identity := Identity{Provider: wechatProvider, AppID: appID, Subject: in.UID}
	upgrading := guest != nil && guest.User.Guest

	// Two first sign-ins of one openid at once: the loser of the race finds the winner's user the second time round.
	for attempt := 0; ; attempt++ {
		user, err := s.cfg.Store.FindIdentity(ctx, identity)
		switch {
		case err == nil && upgrading:
			s.Audit(ctx, refused(AuditIdentityConflict, ReasonTaken, guest.User.ID, in.proof(), origin))
			return SignedIn{}, ErrIdentityTaken
		case err == nil:
			signedIn, err := s.signInAs(ctx, SignIn{UserID: user.ID}, user.Guest, in.proof(), origin)
			if errors.Is(err, ErrChanged) { // disabled
				return SignedIn{}, ErrInvalidCredentials
			}
			return signedIn, err
		case !errors.Is(err, ErrNotFound):
			return SignedIn{}, fmt.Errorf("find identity: %w", err)
		}
		var signedIn SignedIn
		if upgrading {
			signedIn, err = s.upgradeWithWeChat(ctx, in, identity, guest.User, origin)
		} else {
			signedIn, err = s.signUpWithWeChat(ctx, in, identity, origin)
		}
		if errors.Is(err, ErrIdentityTaken) && attempt < 3 {
			continue
		}
		return signedIn, err
	}
}

// wechatApp returns the id of the app that an openid is a name in.
func (s *Service) wechatApp(id string) (string, error) {
	switch {
	case id == "" && len(s.cfg.WeChatApps) == 0:
		return "", nil
	case id == "" && len(s.cfg.WeChatApps) == 1:
		return s.cfg.WeChatApps[0], nil
	case id == "":
		return "", invalid(FieldAppID, Required)
	case !slices.Contains(s.cfg.WeChatApps, id):
		return "", invalid(FieldAppID, Unsupported)
	}
	return id, nil
}

// isOpenID says whether s could be an openid: letters, digits, "_" and "-".
func isOpenID(s string) bool {
	if s == "" || len(s) > maxOpenID {
		return false
	}
	for i := range len(s) {
		if c := s[i]; base62Digit(c) < 0 && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// checkNewWeChatUser judges the profile of a first sign-in. A username or address that is not given comes back empty.
func (s *Service) checkNewWeChatUser(in WeChatSignIn, currentName string) (username string, email *Email, err error) {
	var f faults
	if in.Username != "" {
		name, fault := canonicalUsername(in.Username)
		if fault != nil {
			f = append(f, *fault)
		}
		username = name
	}
	if in.Email != "" {
		e, code := parseEmail(in.Email)
		own := username
		if own == "" {
			own = currentName
		}
		switch {
		case code == TooLong:
			f.addLimit(FieldEmail, code, maxEmail)
		case code != "":
			f.add(FieldEmail, code)
		case e.domain() == s.cfg.PlaceholderDomain && own != "" && e.local() == own: // its own generated address
		case s.isPlaceholderDomain(e.domain()):
			f.add(FieldEmail, Reserved)
		default:
			email = &e
		}
	}
	in.check(&f)
	return username, email, f.err()
}

func (s *Service) signUpWithWeChat(ctx context.Context, in WeChatSignIn, identity Identity, origin Origin) (SignedIn, error) {
	username, email, err := s.checkNewWeChatUser(in, "")
	if err != nil {
		return SignedIn{}, err
	}
	now := s.cfg.Now().UTC()
	for attempt := 0; ; attempt++ {
		name := username
		if name == "" {
			name = newGeneratedName()
		}
		profile := in.Profile
		if profile.Fullname == "" {
			profile.Fullname = name
		}
		signedIn, err := s.withSession(origin, now, false, func(session Session) (User, error) {
			return s.cfg.Store.CreateUser(ctx, NewUser{
				Username: name, Email: email, Profile: profile, Identity: &identity,
				Language: origin.Language, Now: now, Session: session, Mail: verificationMail(email, origin, now),
			})
		})
		var taken *TakenError
		switch {
		case errors.As(err, &taken) && username == "" && taken.Username && !taken.Email && attempt < generatedNameAttempts:
			continue
		case errors.As(err, &taken):
			return SignedIn{}, taken.validation()
		case err != nil:
			return SignedIn{}, fmt.Errorf("create user: %w", err)
		}
		s.Audit(ctx, signedIn.event(AuditSignUp, in.proof(), origin))
		s.cfg.Mailer.Wake()
		return signedIn, nil
	}
}

func (s *Service) upgradeWithWeChat(ctx context.Context, in WeChatSignIn, identity Identity, guest User, origin Origin) (SignedIn, error) {
	username, email, err := s.checkNewWeChatUser(in, guest.Username)
	if err != nil {
		return SignedIn{}, err
	}
	now := s.cfg.Now().UTC()
	signedIn, err := s.withSession(origin, now, false, func(session Session) (User, error) {
		return s.cfg.Store.UpgradeGuest(ctx, GuestUpgrade{
			UserID: guest.ID, Username: username, Email: email, Profile: in.Profile, Identity: &identity,
			Now: now, Session: session, Mail: verificationMail(email, origin, now),
		})
	})
	var taken *TakenError
	switch {
	case errors.As(err, &taken):
		return SignedIn{}, taken.validation()
	case errors.Is(err, ErrChanged):
		return SignedIn{}, ErrUnauthorized
	case err != nil:
		return SignedIn{}, fmt.Errorf("upgrade guest: %w", err)
	}
	s.Audit(ctx, signedIn.event(AuditGuestUpgraded, in.proof(), origin))
	s.cfg.Mailer.Wake()
	return signedIn, nil
}
