package auth

import "time"

// The internals that the tests reach, under their own names.
var (
	ParseEmail        = parseEmail
	CanonicalUsername = canonicalUsername
	NewSessionToken   = newSessionToken
	NewOneTimeSecret  = newOneTimeSecret
	NewOneTimeCode    = newOneTimeCode
	NewGeneratedName  = newGeneratedName
	RandomBase62      = randomBase62
	NormalizePassword = normalizePassword
	IsOpenID          = isOpenID
	Client            = client
	ReservedUsernames = reservedUsernames
)

// NewDevice makes a token for a new device.
func NewDevice(user UserID, hash PasswordHash) DeviceToken {
	return newDeviceToken(user, newDeviceID(), hash)
}

// IsDeviceOf says whether the token is genuine.
func (t DeviceToken) IsDeviceOf(user UserID, hash PasswordHash) bool {
	_, ok := t.device(user, hash)
	return ok
}

// SignInRule is that of a user's sign-ins.
func SignInRule() GuessRule { return userLane(1).Rule }

// MaxSessionID is the largest id that a token may hold.
const MaxSessionID = maxSessionID

// SessionIDs makes ids as one node does.
type SessionIDs struct{ ids sessionIDs }

// Next returns the next id.
func (s *SessionIDs) Next(now time.Time) SessionID { return s.ids.next(now) }

// CheckProfile returns what is wrong with what is given.
func CheckProfile(p Profile) []FieldError {
	var f faults
	p.check(&f)
	return f
}

// CheckFullname returns what is wrong with a full name that must be given.
func CheckFullname(s string) []FieldError {
	var f faults
	checkFullname(&f, s)
	return f
}

// PasswordRules are those that an operator sets.
type PasswordRules struct {
	AppName   string
	MinLength int
	Common    func(string) bool
}

// Check returns what is wrong with a new password of a user with these names.
func (r PasswordRules) Check(password, confirmation, username, address string) []FieldError {
	s := &Service{cfg: Config{AppName: r.AppName, PasswordMinLength: r.MinLength, CommonPassword: r.Common}}
	var f faults
	p := s.checkNewPassword(&f, password, confirmation)
	if len(f) == 0 {
		email, _ := parseEmail(address)
		s.checkPasswordContext(&f, p, username, email)
	}
	return f
}
