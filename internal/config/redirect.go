package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Bounds of --wechat-redirects: an address goes along in a cookie, and all headers together may have 16 KiB.
const (
	maxRedirects = 100
	maxRedirect  = 1024 // bytes
)

// answerParameters are those that are added to the address of a redirect. With one of them in it already nobody could
// tell which counts.
var answerParameters = []string{"code", "state", "error"}

// parseRedirects parses the addresses that browsers may be sent to after a sign-in, separated by commas. They are kept
// letter for letter, as they are compared.
func parseRedirects(raw string) ([]string, error) {
	if raw == "" {
		return nil, nil
	}
	var list []string
	var wrong problems
	for entry := range strings.SplitSeq(raw, ",") {
		entry = strings.Trim(entry, " ")
		err := checkRedirect(entry)
		switch {
		case err != nil:
			wrong = append(wrong, err.Error())
		case slices.Contains(list, entry):
			wrong = append(wrong, fmt.Sprintf("%s is there twice, leave one out", quote(entry)))
		default:
			list = append(list, entry)
		}
	}
	if len(list) > maxRedirects {
		wrong = append(wrong, fmt.Sprintf("has %d addresses, leave out all but %d", len(list), maxRedirects))
	}
	return list, wrong.err()
}

// checkRedirect says what is wrong with one of the addresses. An app's own scheme needs a dot (RFC 8252 §7.1), so that
// it is a domain of the app's and nothing that browsers know.
func checkRedirect(raw string) error {
	const advice = "write https://HOST/PATH, or com.example.app:/PATH with a scheme of your app's own"
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return errors.New("has an empty address, leave out the comma or write the address")
	case len(raw) > maxRedirect:
		return fmt.Errorf("has an address of more than %d bytes, shorten it", maxRedirect)
	case err != nil, !isVisibleASCII(raw), strings.ContainsAny(raw, `\"<>^{|}`+"`"), !strings.HasPrefix(raw, u.Scheme+":/"):
		return fmt.Errorf("%s is not a full address in ASCII, %s", quote(raw), advice)
	case strings.Contains(raw, "#"):
		return fmt.Errorf("%s has a fragment, leave it out", quote(raw))
	case u.User != nil:
		return errors.New("has an address with user information, leave that out")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return fmt.Errorf("%s has a broken query, correct it", quote(raw))
	}
	for _, name := range answerParameters {
		if query.Has(name) {
			return fmt.Errorf("%s has the parameter %s, which the answer needs, leave it out", quote(raw), name)
		}
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http" && !strings.Contains(u.Scheme, "."):
		return fmt.Errorf("%s has a scheme that other apps may have too, %s", quote(raw), advice)
	case u.Scheme != "https" && u.Scheme != "http":
		return nil
	case !isHost(u.Hostname()):
		return fmt.Errorf("%s has a host that is neither a name in ASCII nor an IP address, correct it", quote(raw))
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return fmt.Errorf("%s is not encrypted, use https: (http: is for loopback hosts only)", quote(raw))
	}
	return nil
}
