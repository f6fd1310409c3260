package auth

import "strings"

const (
	minUsername = 2
	maxUsername = 30
)

// reservedUsernames are the names of the service's own routes and those that people take for the service itself.
var reservedUsernames = func() map[string]bool {
	names := strings.Fields(`
		account accounts admin administrator anonymous api app auth avatar billing callback config contact dev docs
		email false guest health healthz help hostmaster identities info introspect latchkey legal login
		logout mail mailer-daemon me metrics moderator no-reply nobody none noreply null oauth official openapi.json password postmaster privacy profile readyz register reset reset_password root security self
		service session sessions settings sign_in sign_in_with sign_out sign_up sign_up_temporarily signin signout signup
		status superuser support sysadmin system terms true undefined unknown user users
		verification verify verify_email webmaster wechat www`)
	set := make(map[string]bool, len(names))
	for _, n := range names {
		set[n] = true
	}
	return set
}()

// canonicalUsername returns the username as it is stored and compared, in lower case, or the code of what is wrong for
// somebody who wants to have it.
func canonicalUsername(s string) (string, *FieldError) {
	name, fault := foldUsername(s)
	if fault == nil && reservedUsernames[name] {
		return "", &FieldError{Field: FieldUsername, Code: Reserved}
	}
	return name, fault
}

// foldUsername is canonicalUsername for somebody who may have the name already: it may have been reserved since.
// Only ASCII letters are folded: the Kelvin sign is no k here.
func foldUsername(s string) (string, *FieldError) {
	fault := func(code FieldCode, limit int) (string, *FieldError) {
		return "", &FieldError{Field: FieldUsername, Code: code, Limit: limit}
	}
	switch {
	case s == "":
		return fault(Required, 0)
	case len(s) < minUsername:
		return fault(TooShort, minUsername)
	}
	b := []byte(s)
	for i, c := range b {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case 'A' <= c && c <= 'Z':
			b[i] = c + 'a' - 'A'
		case i > 0 && (c == '_' || c == '.' || c == '-'):
		default:
			return fault(Invalid, 0)
		}
	}
	if len(b) > maxUsername {
		return fault(TooLong, maxUsername)
	}
	return string(b), nil
}
