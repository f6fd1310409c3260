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
	n, err := s.checkSignUp(in)
	if err != nil {
		return SignedIn{}, err
	}
	hash, err := s.hashNewPassword(ctx, n.password, origin)
	if err != nil {
		return SignedIn{}, err
	}
	now := s.cfg.Now().UTC()
	mail := verificationMail(&n.email, origin, now)
	signedIn, err := s.withSession(origin, now, false, func(session Session) (User, error) {
		if guest != nil && guest.User.Guest {
			return s.cfg.Store.UpgradeGuest(ctx, GuestUpgrade{
				UserID: guest.User.ID, Username: n.username, Email: &n.email, PasswordHash: hash,
				Now: now, Session: session, Mail: mail,
			})
		}
		return s.cfg.Store.CreateUser(ctx, NewUser{
			Username: n.username, Email: &n.email, Profile: Profile{Fullname: n.username}, PasswordHash: hash,
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

// checkedSignUp is a SignUp that passed what needs no database to judge.
type checkedSignUp struct {
	username string
	email    Email
	password Password
}

// checkSignUp judges what was given, or returns a *ValidationError.
func (s *Service) checkSignUp(in SignUp) (checkedSignUp, error) {
	var f faults
	username, fault := canonicalUsername(in.Username)
	if fault != nil {
		f = append(f, *fault)
	}
	email, code := parseEmail(in.Email)
	switch {
	case code != "":
		f.addEmail(code, in.Email)
	case s.isPlaceholderDomain(email.domain()):
		f.add(FieldEmail, Reserved)
	}
	password := s.checkNewPassword(&f, in.Password, in.PasswordConfirmation)
	if len(f) == 0 {
		s.checkPasswordContext(&f, password, username, email)
	}
	return checkedSignUp{username, email, password}, f.err()
}

// generatedNameAttempts bounds the search for a free name of 2^32: with a hundred million users each try fails once
// in forty.
const generatedNameAttempts = 10

// isPlaceholderDomain says whether addresses at this domain are made up by the service.
func (s *Service) isPlaceholderDomain(domain string) bool {
	return domain == s.cfg.PlaceholderDomain || strings.HasSuffix(domain, "."+s.cfg.PlaceholderDomain)
}
