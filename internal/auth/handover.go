package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// handoverTTL is enough for an app to exchange what the browser brings, and little for whoever reads the browser's
	// history.
	handoverTTL = 60 * time.Second

	maxAppState       = 512 // characters; it goes along in a cookie
	challengeLength   = 43  // of SHA-256 in base64url, RFC 7636 §4.2
	minVerifierLength = 43  // RFC 7636 §4.1
	maxVerifierLength = 128
	challengeMethod   = "S256" // the only one: "plain" shows the verifier to whom it is to be kept from
)

// BrowserSignIn is what an app asks for when it sends a browser to WeChat's page. It goes there and back with the
// browser, which may change it: it is checked at both ends of the way.
type BrowserSignIn struct {
	AppID               string // a website or official account; may be empty while there is one
	RedirectTo          string // where the result goes: one of Config.WeChatRedirects, letter for letter
	State               string // the app's own, which it gets back; may be empty
	CodeChallenge       string // RFC 7636; empty: whoever has the result may use it
	CodeChallengeMethod string // S256 with a challenge
}

// WeChatPage says which of WeChat's pages a browser is sent to.
type WeChatPage struct {
	AppID  string
	BackTo string // our own address to which WeChat sends the browser
	State  string // letters and digits that come back with it
}

// Handover is a person who proved themselves in a browser and whom an app is yet to sign in.
type Handover struct {
	CodeHash      TokenHash
	AppID         string
	OpenID        string
	UnionID       string // empty if WeChat told none
	CodeChallenge string // empty: none
	ExpiresAt     time.Time
}

// Handovers keeps them for the minute between a browser and its app. Both methods return ErrUnavailable (wrapped) when
// the database cannot be reached or cannot write.
type Handovers interface {
	CreateHandover(context.Context, Handover) error
	// ConsumeHandover removes the handover with this hash and returns it. It returns ErrTokenInvalid if there is none or
	// it expired at now; of concurrent callers exactly one succeeds.
	ConsumeHandover(ctx context.Context, hash TokenHash, now time.Time) (Handover, error)
}

// BeginBrowserSignIn returns the address of the page of WeChat's on which the person signs in, and b with the app's id.
// It returns a *ValidationError for what is not set up: then the browser must not be sent anywhere.
func (s *Service) BeginBrowserSignIn(b BrowserSignIn, page WeChatPage) (BrowserSignIn, string, error) {
	b, err := s.checkBrowserSignIn(b)
	if err != nil {
		return BrowserSignIn{}, "", err
	}
	page.AppID = b.AppID
	address, err := s.cfg.WeChat.PageURL(page)
	if err != nil {
		return BrowserSignIn{}, "", fmt.Errorf("address of WeChat's page: %w", err)
	}
	return b, address, nil
}

// FinishBrowserSignIn exchanges the code that WeChat sent the browser back with, and returns the code with which the app
// signs the person in. Nobody is signed in yet, and nobody created. It returns a *ValidationError if b is not what
// BeginBrowserSignIn allowed: then the browser must not be sent to b.RedirectTo. Otherwise it returns ErrDeclined
// without a code, ErrUnproven, ErrUnavailable, and the errors of WeChat.
func (s *Service) FinishBrowserSignIn(ctx context.Context, b BrowserSignIn, code WeChatCode, origin Origin) (OneTimeSecret, error) {
	b, err := s.checkBrowserSignIn(b)
	switch {
	case err != nil:
		return "", err
	case code == "":
		return "", ErrDeclined
	}
	person, err := s.proveWeChat(ctx, WeChatProof{AppID: b.AppID, Code: code})
	if err != nil {
		s.auditRefused(ctx, AuditEvent{Kind: AuditSignIn, Proof: person.proof, Origin: origin}, err)
		return "", err
	}
	handover := newOneTimeSecret()
	err = s.cfg.Handovers.CreateHandover(ctx, Handover{
		CodeHash: handover.Hash(), AppID: person.AppID, OpenID: person.OpenID, UnionID: person.UnionID,
		CodeChallenge: b.CodeChallenge, ExpiresAt: s.cfg.Now().UTC().Add(handoverTTL),
	})
	if err != nil {
		return "", fmt.Errorf("create handover: %w", err)
	}
	return handover, nil
}

// SignInWithHandover signs in the person whom the code stands for, as SignInWithWeChat does. It returns ErrUnproven if
// the code is unknown, used or expired, or if the verifier is not the one of its challenge; then the code is used up all
// the same. It is used up before anything else is done, so any later error, a taken identity say, leaves it used up.
func (s *Service) SignInWithHandover(ctx context.Context, code OneTimeSecret, verifier string, guest *Current, origin Origin) (SignedIn, error) {
	person, err := s.takeOver(ctx, code, verifier)
	if err != nil {
		s.auditRefused(ctx, AuditEvent{Kind: AuditSignIn, Proof: ProofWeChat, Origin: origin}, err)
		return SignedIn{}, err
	}
	return s.signInPerson(ctx, person, WeChatProfile{}, guest, origin)
}

// takeOver uses the code up and returns the person whom it stands for.
func (s *Service) takeOver(ctx context.Context, code OneTimeSecret, verifier string) (WeChatPerson, error) {
	if len(s.cfg.WeChatApps) == 0 || code == "" {
		return WeChatPerson{}, ErrUnproven
	}
	h, err := s.cfg.Handovers.ConsumeHandover(ctx, code.Hash(), s.cfg.Now().UTC())
	switch {
	case errors.Is(err, ErrTokenInvalid):
		return WeChatPerson{}, ErrUnproven
	case err != nil:
		return WeChatPerson{}, fmt.Errorf("consume handover: %w", err)
	case !verifies(verifier, h.CodeChallenge):
		return WeChatPerson{}, ErrUnproven
	}
	return WeChatPerson{AppID: h.AppID, OpenID: h.OpenID, UnionID: h.UnionID, proof: ProofWeChat}, nil
}

// checkBrowserSignIn returns b with the app's id and the challenge's method, or what is wrong with it.
func (s *Service) checkBrowserSignIn(b BrowserSignIn) (BrowserSignIn, error) {
	var f faults
	app, err := s.wechatAppOf(b.AppID, WeChatWebsite, WeChatOfficialAccount)
	var wrong *ValidationError
	if errors.As(err, &wrong) {
		f = append(f, wrong.Fields...)
	}
	b.AppID = app.ID
	switch {
	case b.RedirectTo == "":
		f.add(FieldRedirectTo, Required)
	case !slices.Contains(s.cfg.WeChatRedirects, b.RedirectTo):
		f.add(FieldRedirectTo, Unsupported)
	}
	switch {
	case len(b.State) > maxAppState:
		f.addLimit(FieldState, TooLong, maxAppState)
	case !isPrintable(b.State):
		f.add(FieldState, Invalid)
	}
	switch {
	case b.CodeChallenge == "" && b.CodeChallengeMethod != "":
		f.add(FieldCodeChallenge, Required)
	case b.CodeChallenge == "":
	case b.CodeChallengeMethod != challengeMethod:
		f.add(FieldCodeChallengeMethod, Unsupported)
	case !isChallenge(b.CodeChallenge):
		f.add(FieldCodeChallenge, Invalid)
	}
	return b, f.err()
}

// isPrintable says whether s has nothing but printable ASCII: RFC 6749 appendix A.5.
func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// isChallenge says whether s is 32 bytes in base64url without padding.
func isChallenge(s string) bool {
	_, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(s) == challengeLength && isVerifier(s) // decoding skips line breaks
}

// isVerifier says whether s is of the form of RFC 7636 §4.1.
func isVerifier(s string) bool {
	if len(s) < minVerifierLength || len(s) > maxVerifierLength {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isBase62(c) && c != '-' && c != '.' && c != '_' && c != '~' {
			return false
		}
	}
	return true
}

// verifies says whether the verifier is the one of the challenge: RFC 7636 §4.6. A verifier without a challenge is
// refused: somebody may have taken the challenge away on the browser's way to us (RFC 9700 §4.8.2).
func verifies(verifier, challenge string) bool {
	if challenge == "" {
		return verifier == ""
	}
	hash := sha256.Sum256([]byte(verifier))
	computed := base64.RawURLEncoding.EncodeToString(hash[:])
	return isVerifier(verifier) && subtle.ConstantTimeCompare([]byte(computed), []byte(challenge)) == 1
}
