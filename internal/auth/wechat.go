package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	wechatProvider = "wechat"
	maxOpenID      = 128
	// groupPrefix stands before the name of a group where an app's id stands otherwise; ids of apps have no colon.
	groupPrefix = "group:"
	// noApp stands for the app of openids from before any app was configured.
	noApp = ""
	// wechatTime bounds all calls to WeChat of one request, so that its answer is there within 5 s.
	wechatTime = 4500 * time.Millisecond
	// wechatNoName is what WeChat shows in the place of a nickname that a person keeps to themselves.
	wechatNoName = "微信用户"
)

// WeChat asks WeChat who somebody is. Its errors are ErrInvalidCredentials for a code or token that proves nobody in the
// app, ErrBlocked for a person whom WeChat holds to be risky, ErrSnapshotUser for one that it made up, ErrUpstream
// (wrapped) for an answer that makes no sense or that only the operator can put right, and *UpstreamBusyError.
type WeChat interface {
	// ExchangeCode exchanges the code that the app got on a device. Each code works once. The unionid may be empty.
	ExchangeCode(ctx context.Context, appID string, code WeChatCode) (openID, unionID string, err error)
	// VerifyAccessToken returns nil if the token is one of the person with this openid. It says nothing of the app, but
	// that mini programs have no such tokens: ErrInvalidCredentials.
	VerifyAccessToken(ctx context.Context, appID, openID string, token WeChatAccessToken) error
	// PhoneNumber exchanges the phone code of a mini program for the number, in the form +8613800138000, that the person
	// with this openid chose to show; ErrInvalidCredentials if it is of somebody else, used or old.
	PhoneNumber(ctx context.Context, appID, openID string, code WeChatCode) (string, error)
	// PageURL returns the address of the page on which a person signs in to a website or official account. Nobody is
	// asked for it.
	PageURL(page WeChatPage) (string, error)
}

// WeChatApp is a configured app.
type WeChatApp struct {
	ID    string
	Kind  WeChatKind
	Group string // apps with one group share unionids; empty: shares with none
}

// WeChatKind is a kind of app. What an app can do depends on it.
type WeChatKind string

// The kinds of apps.
const (
	WeChatMobile          WeChatKind = "mobile"
	WeChatWebsite         WeChatKind = "website"
	WeChatMiniProgram     WeChatKind = "mini_program"
	WeChatOfficialAccount WeChatKind = "official_account"
)

// WeChatProof is what a caller shows to be somebody in an app. An openid is a name, not a secret, so one of these must be
// there: Code, UID with AccessToken, or UID from a trusted backend.
type WeChatProof struct {
	AppID       string // may be empty while at most one app is configured
	UID         string // the openid; with Code it must be the one that WeChat tells
	Code        WeChatCode
	AccessToken WeChatAccessToken
	PhoneCode   WeChatCode // sets a verified phone number; of mini programs
	// FromTrustedBackend says that the caller is a backend that proved itself and did the exchange with WeChat.
	FromTrustedBackend bool
	UnionID            string // believed of trusted backends alone
}

// WeChatPerson is somebody who proved to be the person with this openid in this app.
type WeChatPerson struct {
	AppID       string
	OpenID      string
	UnionID     string // empty if WeChat told none
	PhoneNumber string // verified by WeChat; empty if none was asked for

	proof AuditProof
}

// WeChatProfile is what a new user starts with. It counts the first time alone, and links to nobody.
type WeChatProfile struct {
	Username string // empty: generated
	Email    string // empty: generated
	Profile
}

// SignInWithWeChat signs in the user that a WeChat account belongs to, and creates one the first time; if guest is not
// nil, that guest becomes the user and keeps the id. Without a proof it returns ErrUnproven; ErrIdentityTaken if a
// guest's upgrade meets an account that has a user; a *ValidationError for a taken name or address, never a link to the
// other account; and the errors of WeChat.
func (s *Service) SignInWithWeChat(ctx context.Context, proof WeChatProof, profile WeChatProfile, guest *Current, origin Origin) (SignedIn, error) {
	person, err := s.proveWeChat(ctx, proof)
	if err != nil {
		s.auditRefused(ctx, AuditEvent{Kind: AuditSignIn, Proof: person.proof, Origin: origin}, err)
		return SignedIn{}, err
	}
	return s.signInPerson(ctx, person, profile, guest, origin)
}

// proveWeChat returns who the proof is of, or if it proves nobody only what kind of proof it was. Nothing is read or
// written but at WeChat.
func (s *Service) proveWeChat(ctx context.Context, p WeChatProof) (WeChatPerson, error) {
	ctx, cancel := context.WithTimeout(ctx, wechatTime)
	defer cancel()
	person, err := s.askWeChat(ctx, p)
	if errors.Is(err, ErrInvalidCredentials) {
		err = fmt.Errorf("%w: %w", ErrUnproven, err)
	}
	switch {
	case len(s.cfg.WeChatApps) > 0 && (p.Code != "" || p.AccessToken != "" && !p.FromTrustedBackend):
		person.proof = ProofWeChat
	case p.FromTrustedBackend:
		person.proof = ProofServerKey
	default:
		person.proof = ProofBareUID
	}
	return person, err
}

func (s *Service) askWeChat(ctx context.Context, p WeChatProof) (WeChatPerson, error) {
	if p.Code != "" && len(s.cfg.WeChatApps) > 0 {
		return s.proveByCode(ctx, p)
	}
	byToken := p.AccessToken != "" && len(s.cfg.WeChatApps) > 0
	believed := p.FromTrustedBackend || s.cfg.BelieveBareUID
	switch {
	case !believed && (!byToken || p.UID == ""):
		return WeChatPerson{}, ErrInvalidCredentials
	case p.UID == "":
		return WeChatPerson{}, invalid(FieldUID, Required)
	case !isOpenID(p.UID):
		return WeChatPerson{}, invalid(FieldUID, Invalid)
	}
	app, err := s.wechatApp(p.AppID)
	if err != nil {
		return WeChatPerson{}, err
	}
	person := WeChatPerson{AppID: app.ID, OpenID: p.UID}
	if p.FromTrustedBackend && p.UnionID != "" {
		if !isOpenID(p.UnionID) {
			return WeChatPerson{}, invalid(FieldUnionID, Invalid)
		}
		person.UnionID = p.UnionID
	}
	if byToken && !p.FromTrustedBackend {
		if err := s.cfg.WeChat.VerifyAccessToken(ctx, app.ID, p.UID, p.AccessToken); err != nil {
			return WeChatPerson{}, fmt.Errorf("verify WeChat access token: %w", err)
		}
	}
	return s.withPhoneNumber(ctx, person, p.PhoneCode)
}

func (s *Service) proveByCode(ctx context.Context, p WeChatProof) (WeChatPerson, error) {
	app, err := s.wechatApp(p.AppID)
	if err != nil {
		return WeChatPerson{}, err
	}
	openID, unionID, err := s.cfg.WeChat.ExchangeCode(ctx, app.ID, p.Code)
	switch {
	case err != nil:
		return WeChatPerson{}, fmt.Errorf("exchange WeChat code: %w", err)
	case p.UID != "" && p.UID != openID:
		return WeChatPerson{}, ErrInvalidCredentials
	}
	return s.withPhoneNumber(ctx, WeChatPerson{AppID: app.ID, OpenID: openID, UnionID: unionID}, p.PhoneCode)
}

// withPhoneNumber adds the number that the code stands for. A code that is of somebody else is a fault of that member:
// who the person is, is proved already.
func (s *Service) withPhoneNumber(ctx context.Context, person WeChatPerson, code WeChatCode) (WeChatPerson, error) {
	if code == "" {
		return person, nil
	}
	if len(s.cfg.WeChatApps) == 0 {
		return WeChatPerson{}, invalid(FieldPhoneCode, Unsupported)
	}
	number, err := s.cfg.WeChat.PhoneNumber(ctx, person.AppID, person.OpenID, code)
	switch {
	case errors.Is(err, ErrInvalidCredentials):
		return WeChatPerson{}, invalid(FieldPhoneCode, Invalid)
	case err != nil:
		return WeChatPerson{}, fmt.Errorf("ask WeChat for a phone number: %w", err)
	}
	person.PhoneNumber = number
	return person, nil
}

// wechatApp returns the app that an openid is a name in; the zero one if none is configured.
func (s *Service) wechatApp(id string) (WeChatApp, error) {
	apps := s.cfg.WeChatApps
	switch {
	case id == "" && len(apps) == 0:
		return WeChatApp{}, nil
	case id == "" && len(apps) == 1:
		return apps[0], nil
	case id == "":
		return WeChatApp{}, invalid(FieldAppID, Required)
	}
	for _, app := range apps {
		if app.ID == id {
			return app, nil
		}
	}
	return WeChatApp{}, invalid(FieldAppID, Unsupported)
}

// group returns the group of an app, "" if it has none or is not configured any more.
func (s *Service) group(appID string) string {
	for _, app := range s.cfg.WeChatApps {
		if app.ID == appID {
			return app.Group
		}
	}
	return ""
}

func isGroup(appID string) bool { return strings.HasPrefix(appID, groupPrefix) }

// identities returns the names that the person is known by: in the app, and in its group if WeChat told a unionid.
func (s *Service) identities(p WeChatPerson) []Identity {
	list := []Identity{{Provider: wechatProvider, AppID: p.AppID, Subject: p.OpenID}}
	if group := s.group(p.AppID); group != "" && p.UnionID != "" {
		list = append(list, Identity{Provider: wechatProvider, AppID: groupPrefix + group, Subject: p.UnionID})
	}
	return list
}

// isOpenID says whether s could be an openid or a unionid: letters, digits, "_" and "-".
func isOpenID(s string) bool {
	if s == "" || len(s) > maxOpenID {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isBase62(c) && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// signInPerson signs in the user that the person is, and creates one the first time.
func (s *Service) signInPerson(ctx context.Context, person WeChatPerson, profile WeChatProfile, guest *Current, origin Origin) (SignedIn, error) {
	upgrading := guest != nil && guest.User.Guest
	// Two first sign-ins of one person at once: the loser of the race finds the winner's user the second time round.
	for attempt := 0; ; attempt++ {
		var signedIn SignedIn
		found, err := s.findPerson(ctx, person, origin)
		switch {
		case err == nil && upgrading && found.user.ID != guest.User.ID:
			s.Audit(ctx, refused(AuditIdentityConflict, ReasonTaken, guest.User.ID, person.proof, origin))
			return SignedIn{}, ErrIdentityTaken
		case err == nil:
			signedIn, err = s.signInOwner(ctx, found, person, origin)
		case !errors.Is(err, ErrNotFound):
			return SignedIn{}, fmt.Errorf("find identity: %w", err)
		case upgrading:
			signedIn, err = s.upgradeWithWeChat(ctx, person, profile, guest.User, origin)
		default:
			signedIn, err = s.signUpWithWeChat(ctx, person, profile, origin)
		}
		switch {
		case (errors.Is(err, ErrIdentityTaken) || errors.Is(err, ErrChanged)) && attempt < 3:
			continue
		case errors.Is(err, ErrChanged) && upgrading: // the guest was upgraded or deleted meanwhile: the token is dead
			return SignedIn{}, ErrUnauthorized
		case errors.Is(err, ErrChanged):
			return SignedIn{}, ErrUnproven
		}
		return signedIn, err
	}
}

// foundPerson is a user that a person is.
type foundPerson struct {
	user    User
	by      Identity   // that led there
	missing []Identity // those of the person that are nobody's yet
}

// findPerson returns the user that the person is, or ErrNotFound. When openid and unionid lead to two users, the openid's is
// the one: nothing is merged without being asked. An openid from before the app was configured counts if nothing else does.
func (s *Service) findPerson(ctx context.Context, person WeChatPerson, origin Origin) (foundPerson, error) {
	var found foundPerson
	for _, identity := range s.identities(person) {
		owner, err := s.cfg.Store.FindIdentity(ctx, identity)
		switch {
		case errors.Is(err, ErrNotFound):
			found.missing = append(found.missing, identity)
		case err != nil:
			return foundPerson{}, err
		case found.user.ID == 0:
			found.user, found.by = owner, identity
		case owner.ID != found.user.ID:
			s.cfg.Logger.Warn("one WeChat account has two users; latchkey user merge id:FROM id:INTO makes them one",
				"openid_user", found.user.ID, "unionid_user", owner.ID)
			e := refused(AuditIdentityConflict, ReasonTwoUsers, found.user.ID, person.proof, origin)
			e.OtherID = owner.ID
			s.Audit(ctx, e)
		}
	}
	if found.user.ID != 0 {
		return found, nil
	}
	if person.AppID == noApp {
		return foundPerson{}, ErrNotFound
	}
	var err error
	found.by = Identity{Provider: wechatProvider, AppID: noApp, Subject: person.OpenID}
	found.user, err = s.cfg.Store.FindIdentity(ctx, found.by)
	return found, err
}

// signInOwner signs in a user that the person is known to be. It returns ErrChanged if that is not so any more.
func (s *Service) signInOwner(ctx context.Context, found foundPerson, person WeChatPerson, origin Origin) (SignedIn, error) {
	user := found.user
	if user.Status != StatusActive {
		s.Audit(ctx, refused(AuditSignIn, ReasonDisabled, user.ID, person.proof, origin))
		return SignedIn{}, ErrUnproven
	}
	now := s.cfg.Now().UTC()
	if len(found.missing) > 0 {
		err := s.cfg.Identities.AttachIdentities(ctx, Attachment{UserID: user.ID, Add: found.missing, Now: now, Known: &found.by})
		switch {
		case errors.Is(err, ErrHasIdentity): // another WeChat account of the user is linked there: this one is proved all the same
		case err != nil:
			return SignedIn{}, fmt.Errorf("attach identities: %w", err)
		default:
			s.Audit(ctx, AuditEvent{Kind: AuditIdentityLinked, Outcome: AuditOK, UserID: user.ID, Proof: person.proof, Origin: origin})
		}
	}
	if err := s.setPhoneNumber(ctx, user.ID, person, now); err != nil {
		return SignedIn{}, err
	}
	return s.signInAs(ctx, SignIn{UserID: user.ID, Identity: &found.by}, user.Guest, person.proof, origin)
}

func (s *Service) setPhoneNumber(ctx context.Context, user UserID, person WeChatPerson, now time.Time) error {
	if person.PhoneNumber == "" {
		return nil
	}
	if err := s.cfg.Identities.SetVerifiedPhoneNumber(ctx, user, person.PhoneNumber, now); err != nil {
		return fmt.Errorf("set phone number: %w", err)
	}
	return nil
}

// checkWeChatProfile judges what a first sign-in gave. A username or address that is not given comes back empty.
func (s *Service) checkWeChatProfile(in WeChatProfile, currentName string) (username string, email *Email, err error) {
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
		case code != "":
			f.addEmail(code, in.Email)
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

// profileOf is the profile that a person starts with: what they gave, and the number that WeChat verified.
func profileOf(person WeChatPerson, in WeChatProfile) Profile {
	p := in.Profile
	if p.Fullname == wechatNoName {
		p.Fullname = ""
	}
	if person.PhoneNumber != "" {
		p.PhoneNumber, p.PhoneNumberVerified = person.PhoneNumber, true
	}
	return p
}

func (s *Service) signUpWithWeChat(ctx context.Context, person WeChatPerson, in WeChatProfile, origin Origin) (SignedIn, error) {
	in.Profile = profileOf(person, in)
	username, email, err := s.checkWeChatProfile(in, "")
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
				Username: name, Email: email, Profile: profile, Identities: s.identities(person),
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
		s.Audit(ctx, signedIn.event(AuditSignUp, person.proof, origin))
		s.cfg.Mailer.Wake()
		return signedIn, nil
	}
}

func (s *Service) upgradeWithWeChat(ctx context.Context, person WeChatPerson, in WeChatProfile, guest User, origin Origin) (SignedIn, error) {
	in.Profile = profileOf(person, in)
	username, email, err := s.checkWeChatProfile(in, guest.Username)
	if err != nil {
		return SignedIn{}, err
	}
	now := s.cfg.Now().UTC()
	signedIn, err := s.withSession(origin, now, false, func(session Session) (User, error) {
		return s.cfg.Store.UpgradeGuest(ctx, GuestUpgrade{
			UserID: guest.ID, Username: username, Email: email, Profile: in.Profile, Identities: s.identities(person),
			Now: now, Session: session, Mail: verificationMail(email, origin, now),
		})
	})
	var taken *TakenError
	switch {
	case errors.As(err, &taken):
		return SignedIn{}, taken.validation()
	case err != nil:
		return SignedIn{}, fmt.Errorf("upgrade guest: %w", err)
	}
	s.Audit(ctx, signedIn.event(AuditGuestUpgraded, person.proof, origin))
	s.cfg.Mailer.Wake()
	return signedIn, nil
}
