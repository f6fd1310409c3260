package web

import (
	"net/http"
	"net/netip"
	"strings"
)

// clientAddress is the address of whoever asks: the socket's, or, behind trusted proxies, the right-most hop of
// X-Forwarded-For or Forwarded (RFC 7239) that no trusted proxy has. Anything that cannot be read, and two headers that
// disagree, mean the socket's: a forged header may cost the forger a shared limit, but never lifts one.
func clientAddress(r *http.Request, trusted []netip.Prefix) netip.Addr {
	socket := socketAddress(r.RemoteAddr)
	if len(trusted) == 0 || !isTrusted(socket, trusted) {
		return socket
	}
	xff, forwarded := r.Header.Values("X-Forwarded-For"), r.Header.Values("Forwarded")
	var found netip.Addr
	if len(xff) > 0 {
		a, ok := rightmostUntrusted(strings.Split(strings.Join(xff, ","), ","), trusted, parseHop)
		if !ok {
			return socket
		}
		found = a
	}
	if len(forwarded) > 0 {
		a, ok := rightmostUntrusted(strings.Split(strings.Join(forwarded, ","), ","), trusted, parseForwardedElement)
		if !ok || found.IsValid() && found != a {
			return socket
		}
		found = a
	}
	if !found.IsValid() {
		return socket
	}
	return found
}

// rightmostUntrusted walks the hops from the nearest one. If all are trusted the farthest one is the client.
func rightmostUntrusted(hops []string, trusted []netip.Prefix, parse func(string) (netip.Addr, bool)) (netip.Addr, bool) {
	var last netip.Addr
	for i := len(hops) - 1; i >= 0; i-- {
		a, ok := parse(strings.Trim(hops[i], " \t"))
		if !ok {
			return netip.Addr{}, false
		}
		last = a
		if !isTrusted(a, trusted) {
			break
		}
	}
	return last, last.IsValid()
}

// parseHop reads an address, or an address with a port.
func parseHop(s string) (netip.Addr, bool) {
	bare := s
	if len(s) >= 2 && s[0] == '[' && s[len(s)-1] == ']' {
		bare = s[1 : len(s)-1]
	}
	if a, err := netip.ParseAddr(bare); err == nil {
		return a.Unmap().WithZone(""), true
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	return netip.Addr{}, false
}

// parseForwardedElement reads the "for" parameter of one element of a Forwarded header; "unknown" and obfuscated names
// are no addresses.
func parseForwardedElement(s string) (netip.Addr, bool) {
	for pair := range strings.SplitSeq(s, ";") {
		name, value, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
		if strings.EqualFold(name, "for") {
			if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
				value = value[1 : len(value)-1]
			}
			return parseHop(value)
		}
	}
	return netip.Addr{}, false
}

func socketAddress(remote string) netip.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

func isTrusted(a netip.Addr, trusted []netip.Prefix) bool {
	for _, p := range trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
