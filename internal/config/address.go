package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// patterns for the parts of addresses. A host may have underscores, which Docker's service names have, and the dot at the
// end of a fully qualified name; a domain, which goes into mail addresses, may not.
var (
	hostPattern    = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\.?$`)
	domainPattern  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)
	segmentPattern = regexp.MustCompile(`^[A-Za-z0-9._~-]+$`)
	digitsPattern  = regexp.MustCompile(`^[0-9]+$`)
)

// isHost reports whether s is an IP address or looks like a host name of at most 253 bytes.
func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	return len(s) <= 253 && hostPattern.MatchString(s)
}

// isDomain reports whether s is a lower-case ASCII domain name of at most 253 bytes (RFC 1123 §2.1), and no IPv4 address.
func isDomain(s string) bool {
	last := s[strings.LastIndex(s, ".")+1:]
	return len(s) <= 253 && domainPattern.MatchString(s) && !digitsPattern.MatchString(last)
}

// isLoopback reports whether nothing outside the machine can reach the host: 127.0.0.0/8, ::1 or localhost. Other names
// are not looked up, and an address with a zone is none.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Zone() == "" && addr.Unmap().IsLoopback()
}

// parsePort parses a port from first to 65535.
func parsePort(s string, first int) (int, bool) {
	port, err := strconv.ParseUint(s, 10, 16)
	if err != nil || int(port) < first {
		return 0, false
	}
	return int(port), true
}

// parseListen checks HOST:PORT. The host may be empty (every address of the machine), the port 0 (any free one).
func parseListen(raw string) (string, error) {
	host, port, err := net.SplitHostPort(raw)
	if err != nil {
		return "", fmt.Errorf("%s is not HOST:PORT, write for example 127.0.0.1:8080 or [::1]:8080", quote(raw))
	}
	if host != "" && !isHost(host) || strings.HasPrefix(raw, "[") != strings.Contains(host, ":") {
		return "", fmt.Errorf("%s has a host that is neither a name nor an IP address, correct it", quote(raw))
	}
	if _, ok := parsePort(port, 0); !ok {
		return "", fmt.Errorf("%s has a port that is no number from 0 to 65535, correct it", quote(raw))
	}
	return raw, nil
}

// parseLoopbackListen is parseListen for --dev, which shows mail to everybody who asks.
func parseLoopbackListen(raw string) (string, error) {
	listen, err := parseListen(raw)
	if err != nil {
		return "", err
	}
	if host, _, _ := net.SplitHostPort(listen); !isLoopback(host) {
		return "", fmt.Errorf("%s is not a loopback address, with --dev listen on 127.0.0.1, [::1] or localhost", quote(raw))
	}
	return listen, nil
}

// isOff reports whether an optional listener is switched off.
func isOff(raw string) bool { return raw == "" || raw == "off" }

// sameListener reports whether two checked addresses cannot both be listened on: the same port, and hosts that overlap.
func sameListener(a, b string) bool {
	hostA, portA, _ := net.SplitHostPort(a)
	hostB, portB, _ := net.SplitHostPort(b)
	numberA, _ := parsePort(portA, 0)
	numberB, _ := parsePort(portB, 0)
	if numberA != numberB || numberA == 0 {
		return false // each port 0 becomes a free one
	}
	everywhere := func(host string) bool {
		addr, err := netip.ParseAddr(host)
		return host == "" || err == nil && addr.IsUnspecified()
	}
	localhost := func(host string) bool { return strings.EqualFold(host, "localhost") }
	switch {
	case strings.EqualFold(hostA, hostB), everywhere(hostA), everywhere(hostB):
		return true
	case localhost(hostA):
		return isLoopback(hostB)
	case localhost(hostB):
		return isLoopback(hostA)
	}
	return false
}

// parseBaseURL checks a URL that paths are appended to: https, or http on a loopback host, with nothing but host, port and path.
// It returns it with the host in lower case, and without a default port or a slash at the end.
func parseBaseURL(raw string) (string, error) {
	const advice = "write https://HOST or https://HOST/PATH"
	if strings.Contains(raw, "@") {
		return "", errors.New("has user information, leave it out") // which is why the value is not shown
	}
	u, err := url.Parse(raw)
	if err != nil || !isPlainLine(raw) || u.Scheme == "" || u.Opaque != "" || u.Host == "" {
		return "", fmt.Errorf("%s is not a full URL, %s", quote(raw), advice)
	}
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if !isHost(host) || strings.Contains(host, "%") {
		return "", fmt.Errorf("%s has a host that is neither a name in ASCII nor an IP address, correct it", quote(raw))
	}
	if _, ok := parsePort(port, 1); !ok && (port != "" || strings.HasSuffix(u.Host, ":")) {
		return "", fmt.Errorf("%s has a port that is no number from 1 to 65535, correct it", quote(raw))
	}
	switch {
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(host):
	case u.Scheme == "http":
		return "", fmt.Errorf("%s is not encrypted, use https: (http: is for loopback hosts only)", quote(raw))
	default:
		return "", fmt.Errorf("%s is neither https: nor http:, %s", quote(raw), advice)
	}
	if strings.ContainsAny(raw, "?#") {
		return "", fmt.Errorf("%s has a query or a fragment, leave it out", quote(raw))
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	if path != "" {
		for segment := range strings.SplitSeq(path[1:], "/") {
			if decoded, err := url.PathUnescape(segment); err != nil || decoded == "" || decoded == "." || decoded == ".." {
				return "", fmt.Errorf("%s has an empty or dotted path segment, leave it out", quote(raw))
			}
		}
	}
	authority := host
	if strings.Contains(host, ":") {
		authority = "[" + host + "]"
	}
	if port != "" && (u.Scheme != "https" || port != "443") && (u.Scheme != "http" || port != "80") {
		authority += ":" + port
	}
	return u.Scheme + "://" + authority + path, nil
}

// parseBasePath checks the prefix of the API paths: empty, or segments of unreserved characters (RFC 3986 §2.3), 256 bytes at most.
func parseBasePath(raw string) (string, error) {
	if raw == "" {
		return "", nil
	}
	switch {
	case raw == "/":
		return "", errors.New(`"/" is the root already, leave it empty`)
	case !strings.HasPrefix(raw, "/"):
		return "", fmt.Errorf("%s does not start with /, write for example /api/v2", quote(raw))
	case strings.HasSuffix(raw, "/"):
		return "", fmt.Errorf("%s ends with /, leave that out", quote(raw))
	case len(raw) > 256:
		return "", fmt.Errorf("%s is longer than 256 bytes, shorten it", quote(raw))
	}
	segments := strings.Split(raw[1:], "/")
	for _, segment := range segments {
		if !segmentPattern.MatchString(segment) || segment == "." || segment == ".." {
			return "", fmt.Errorf("%s has the segment %s, use letters, digits and ._~- in each, and no empty or dotted one", quote(raw), quote(segment))
		}
	}
	switch segments[0] {
	case "healthz", "readyz", "account", "dev", "docs", "openapi.json": // served at the root, whatever the base path is
		return "", fmt.Errorf("%s collides with /%s, which stays at the root, choose another first segment", quote(raw), segments[0])
	}
	return raw, nil
}

// parseProxies parses networks and single addresses, separated by commas or spaces. Host bits are cleared,
// IPv4 addresses in IPv6 form become IPv4, repetitions are dropped.
func parseProxies(raw string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	var wrong problems
	for _, field := range strings.FieldsFunc(raw, func(r rune) bool { return r == ',' || r == ' ' }) {
		prefix, ok := parsePrefix(field)
		if !ok {
			wrong = append(wrong, fmt.Sprintf("%s is neither an IP address nor a network, write for example 10.0.0.0/8 or 192.168.1.7", quote(field)))
			continue
		}
		if !slices.Contains(prefixes, prefix) {
			prefixes = append(prefixes, prefix)
		}
	}
	return prefixes, wrong.err()
}

// parsePrefix parses a network or an address without a zone, as parseProxies describes.
func parsePrefix(s string) (netip.Prefix, bool) {
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		addr, err := netip.ParseAddr(s)
		if err != nil || addr.Zone() != "" {
			return netip.Prefix{}, false
		}
		prefix = netip.PrefixFrom(addr, addr.BitLen())
	}
	if prefix.Addr().Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked(), true
}
