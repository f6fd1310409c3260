package web

import (
	"net/http"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/auth"
)

func (s *Server) signUp(c *call) error {
	var username, email, password, confirmation text
	if err := c.decode(
		member{"username", &username},
		member{"email", &email},
		member{"password", &password},
		member{"password_confirmation", &confirmation},
	); err != nil {
		return err
	}
	in := auth.SignUp{
		Username: username.value, Email: email.value, Password: password.value, PasswordConfirmation: confirmation.value,
	}
	if s.cfg.Service.VerifiesFirst() {
		err := c.spend(limitSignUps, func() error { return s.cfg.Service.RequestSignUp(c.r.Context(), in, c.origin()) })
		if err != nil {
			return err
		}
		return c.accepted()
	}
	var signedIn auth.SignedIn
	if err := c.spend(limitSignUps, func() (err error) {
		signedIn, err = s.cfg.Service.SignUp(c.r.Context(), in, c.current, c.origin())
		return err
	}); err != nil {
		return err
	}
	return c.signedIn(signedIn)
}

func (s *Server) signIn(c *call) error {
	var login, password text
	if err := c.decode(member{"login", &login}, member{"password", &password}); err != nil {
		return err
	}
	var signedIn auth.SignedIn
	if err := c.guess(func() (err error) {
		signedIn, err = s.cfg.Service.SignIn(c.r.Context(), login.value, password.value, c.origin())
		return err
	}); err != nil {
		return err
	}
	return c.signedIn(signedIn)
}

func (s *Server) signInWith(c *call) error {
	if c.wildcard != "wechat" {
		return &fieldsError{fields: []latchkey.FieldError{{Field: "provider", Code: latchkey.FieldUnsupported}}}
	}
	var proof proofMembers
	var username, email, fullname, avatar, phone text
	if err := c.decode(append(proof.members(),
		member{"username", &username},
		member{"email", &email},
		member{"fullname", &fullname},
		member{"avatar", &avatar},
		member{"phone_number", &phone},
	)...); err != nil {
		return err
	}
	proven, err := proof.of(c)
	if err != nil {
		return err
	}
	profile := auth.WeChatProfile{
		Username: username.value, Email: email.value,
		Profile: auth.Profile{Fullname: fullname.value, Avatar: avatar.value, PhoneNumber: phone.value},
	}
	var signedIn auth.SignedIn
	err = c.guessUnless(proven.FromTrustedBackend, func() error {
		signedIn, err = s.cfg.Service.SignInWithWeChat(c.r.Context(), proven, profile, c.current, c.origin())
		return err
	})
	if err != nil {
		return err
	}
	if !proven.FromTrustedBackend { // that speaks for all of its users
		s.proxyHint.signedIn(c.address, signedIn.User.ID)
	}
	return c.json(http.StatusOK, wireSignedInWithWeChat(signedIn))
}

func (s *Server) signInWithCode(c *call) error {
	var code, verifier text
	if err := c.decode(member{"code", &code}, member{"code_verifier", &verifier}); err != nil {
		return err
	}
	trusted, err := c.fromTrustedBackend()
	if err != nil {
		return err
	}
	var signedIn auth.SignedIn
	err = c.guessUnless(trusted, func() error {
		signedIn, err = s.cfg.Service.SignInWithHandover(c.r.Context(), auth.OneTimeSecret(code.value), verifier.value, c.current, c.origin())
		return err
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, wireSignedInWithWeChat(signedIn))
}

// proofMembers are the members that prove who somebody is to WeChat.
type proofMembers struct {
	uid, appID, code, accessToken, phoneCode, unionID text
}

func (p *proofMembers) members() []member {
	return []member{
		{"uid", &p.uid},
		{"app_id", &p.appID},
		{"code", &p.code},
		{"access_token", &p.accessToken},
		{"phone_code", &p.phoneCode},
		{"unionid", &p.unionID},
	}
}

// of returns the proof that the request carries, the key of a trusted backend included.
func (p *proofMembers) of(c *call) (auth.WeChatProof, error) {
	trusted, err := c.fromTrustedBackend()
	if err != nil {
		return auth.WeChatProof{}, err
	}
	return auth.WeChatProof{
		AppID: p.appID.value, UID: p.uid.value, UnionID: p.unionID.value,
		Code:               auth.WeChatCode(p.code.value),
		AccessToken:        auth.WeChatAccessToken(p.accessToken.value),
		PhoneCode:          auth.WeChatCode(p.phoneCode.value),
		FromTrustedBackend: trusted,
	}, nil
}

func (s *Server) signUpTemporarily(c *call) error {
	if err := c.decodeOptional(); err != nil {
		return err
	}
	var signedIn auth.SignedIn
	if err := c.spend(limitGuests, func() (err error) {
		signedIn, err = c.signUpGuest()
		return err
	}); err != nil {
		return err
	}
	return c.signedIn(signedIn)
}

// signUpGuest creates a guest, or finds the one that the request's Idempotency-Key has made.
func (c *call) signUpGuest() (auth.SignedIn, error) {
	keys := c.r.Header["Idempotency-Key"]
	switch len(keys) {
	case 0:
		return c.server.cfg.Service.SignUpGuest(c.r.Context(), c.origin())
	case 1:
		return c.server.cfg.Service.SignUpGuestOnce(c.r.Context(), auth.IdempotencyKey(keys[0]), c.origin())
	}
	return auth.SignedIn{}, auth.ErrKeyInvalid
}

func (s *Server) requestReset(c *call) error {
	var email text
	if err := c.decode(member{"email", &email}); err != nil {
		return err
	}
	if err := c.askReset(email.value); err != nil {
		return err
	}
	return c.noContent()
}

func (s *Server) resetPassword(c *call) error {
	var token, email, code, password, confirmation text
	if err := c.decode(
		member{"token", &token},
		member{"email", &email},
		member{"code", &code},
		member{"password", &password},
		member{"password_confirmation", &confirmation},
	); err != nil {
		return err
	}
	in := auth.PasswordResetInput{
		Token: token.value, Email: email.value, Code: code.value,
		Password: password.value, PasswordConfirmation: confirmation.value,
	}
	if err := c.reset(in); err != nil {
		return err
	}
	return c.noContent()
}

// askReset asks for a reset within the limit of the address.
func (c *call) askReset(address string) error {
	return c.spend(limitResets, func() error {
		return c.server.cfg.Service.RequestReset(c.r.Context(), address, c.origin())
	})
}

// reset sets a new password; a wrong link or code counts against the address.
func (c *call) reset(in auth.PasswordResetInput) error {
	return c.guess(func() error { return c.server.cfg.Service.ResetPassword(c.r.Context(), in, c.origin()) })
}

// signedIn answers who signed up or in.
func (c *call) signedIn(in auth.SignedIn) error {
	c.server.proxyHint.signedIn(c.address, in.User.ID)
	if in.Device != "" {
		c.w.Header().Set(deviceHeader, in.Device.Reveal())
	}
	return c.json(http.StatusOK, wireSignedIn(in))
}

func wireSignedIn(in auth.SignedIn) latchkey.SignedIn {
	return latchkey.SignedIn{
		ID:           int64(in.User.ID),
		Username:     in.User.Username,
		Email:        in.User.Email,
		Fullname:     in.User.Fullname,
		PrivateToken: in.Token.Reveal(),
		CreatedAt:    latchkey.Time(in.User.CreatedAt),
	}
}

func wireSignedInWithWeChat(in auth.SignedIn) latchkey.SignedInWithWeChat {
	return latchkey.SignedInWithWeChat{
		SignedIn: wireSignedIn(in), Avatar: orNull(in.User.Avatar), PhoneNumber: orNull(in.User.PhoneNumber),
	}
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
