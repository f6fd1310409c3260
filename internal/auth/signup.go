package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// SignUp is what a person gives to become a user.
type SignUp struct {
	Username             string
	Email                string
	Password             string
	PasswordConfirmation string
}

// SignUp creates a user and signs them in; if guest is not nil, that guest becomes the user and keeps the id.
// It returns a *ValidationError, *passhash.OverloadedError, passhash.ErrUnavailable or ErrUnavailable.
func (s *Service) SignUp(ctx context.Context, in SignUp, guest *Current, origin Origin) (SignedIn, error) {
	var f faults
	username, fault := canonicalUsername(in.Username)
	if fault != nil {
		f = append(f, *fault)
	}
	email, code := parseEmail(in.Email)
	switch {
	case code == TooLong:
		f.addLimit(FieldEmail, code, maxEmail)
	case code != "":
		f.add(FieldEmail, code)
	case s.isPlaceholderDomain(email.domain()):
		f.add(FieldEmail, Reserved)
	}
	password := s.checkNewPassword(&f, in.Password, in.PasswordConfirmation)
	if len(f) == 0 {
		checkPasswordContext(&f, password, username, email)
	}
	if err := f.err(); err != nil {
		return SignedIn{}, err
	}
	hash, err := s.cfg.Hasher.Hash(ctx, client(origin), password.normalized)
	if err != nil {
		return SignedIn{}, fmt.Errorf("hash password: %w", err)
	}
	now := s.cfg.Now().UTC()
	mail := verificationMail(&email, origin, now)
	signedIn, err := s.withSession(origin, now, false, func(session Session) (User, error) {
		if guest != nil && guest.User.Guest {
			return s.cfg.Store.UpgradeGuest(ctx, GuestUpgrade{
				UserID: guest.User.ID, Username: username, Email: &email, PasswordHash: hash,
				Now: now, Session: session, Mail: mail,
			})
		}
		return s.cfg.Store.CreateUser(ctx, NewUser{
			Username: username, Email: &email, Profile: Profile{Fullname: username}, PasswordHash: hash,
			Language: origin.Language, Now: now, Session: session, Mail: mail,
		})
	})
	var taken *TakenError
	switch {
	case errors.As(err, &taken):
		return SignedIn{}, taken.validation()
	case errors.Is(err, ErrChanged): // the guest was upgraded or deleted meanwhile: the token is dead
		return SignedIn{}, ErrUnauthorized
	case err != nil:
		return SignedIn{}, fmt.Errorf("create user: %w", err)
	}
	if guest != nil && guest.User.Guest {
		s.Audit(ctx, signedIn.event(AuditGuestUpgraded, ProofGuest, origin))
	} else {
		s.Audit(ctx, signedIn.event(AuditSignUp, ProofPassword, origin))
	}
	if origin.Device != "" {
		signedIn.Device = newDeviceToken(signedIn.User.ID, newDeviceID(), hash)
	}
	s.cfg.Mailer.Wake()
	return signedIn, nil
}

// generatedNameAttempts bounds the search for a free name of 2^32: with a hundred million users each try fails once
// in forty.
const generatedNameAttempts = 10

// isPlaceholderDomain says whether addresses at this domain are made up by the service.
func (s *Service) isPlaceholderDomain(domain string) bool {
	return domain == s.cfg.PlaceholderDomain || strings.HasSuffix(domain, "."+s.cfg.PlaceholderDomain)
}
