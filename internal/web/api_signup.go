package web

import "github.com/ideaegg/latchkey/internal/auth"

// confirmSignUp creates the account of a sign-up that waits for its address to be proved.
func (s *Server) confirmSignUp(c *call) error {
	var token, email, code, password, username text
	if err := c.decode(
		member{"token", &token},
		member{"email", &email},
		member{"code", &code},
		member{"password", &password},
		member{"username", &username},
	); err != nil {
		return err
	}
	proof := auth.SignUpProof{
		Token: token.value, Email: email.value, Code: code.value, Password: password.value, Username: username.value,
	}
	var signedIn auth.SignedIn
	if err := c.guess(func() (err error) {
		signedIn, err = s.cfg.Service.ConfirmSignUp(c.r.Context(), proof, c.current, c.origin())
		return err
	}); err != nil {
		return err
	}
	return c.signedIn(signedIn)
}
