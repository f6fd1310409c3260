package web_test

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/ideaegg/latchkey/internal/apitest"
	"github.com/ideaegg/latchkey/internal/web"
)

func prefixes(list ...string) []netip.Prefix {
	var trusted []netip.Prefix
	for _, p := range list {
		trusted = append(trusted, netip.MustParsePrefix(p))
	}
	return trusted
}

var (
	loopback = prefixes("127.0.0.0/8", "::1/128")
	proxies  = prefixes("10.0.0.0/8", "fd00::/8")
)

func TestClientAddress(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, remote string
		xff, fwd     []string
		want         string
	}{
		{"no proxy", "203.0.113.7:1234", nil, nil, "203.0.113.7"},
		{"no proxy and a forged header", "203.0.113.7:1234", []string{"192.0.2.1"}, nil, "203.0.113.7"},
		{"no proxy and a forged Forwarded", "203.0.113.7:1234", nil, []string{"for=192.0.2.1"}, "203.0.113.7"},
		{"no proxy, IPv6", "[2001:db8::7]:1234", nil, nil, "2001:db8::7"},
		{"a proxy without headers", "10.0.0.1:1234", nil, nil, "10.0.0.1"},

		{"one hop", "10.0.0.1:1234", []string{"203.0.113.7"}, nil, "203.0.113.7"},
		{"one hop through an IPv6 proxy", "[fd00::1]:1234", []string{"2001:db8::7"}, nil, "2001:db8::7"},
		{"one hop through an IPv4 proxy seen as IPv6", "[::ffff:10.0.0.1]:1234", []string{"203.0.113.7"}, nil, "203.0.113.7"},
		{"a client's own header in front", "10.0.0.1:1234", []string{"192.0.2.1, 203.0.113.7"}, nil, "203.0.113.7"},
		{"a client that claims to be a proxy", "10.0.0.1:1234", []string{"10.9.9.9, 203.0.113.7"}, nil, "203.0.113.7"},
		{"nonsense in front of the client", "10.0.0.1:1234", []string{"<script>, 203.0.113.7"}, nil, "203.0.113.7"},
		{"two proxies", "10.0.0.1:1234", []string{"192.0.2.1, 203.0.113.7, 10.0.0.2"}, nil, "203.0.113.7"},
		{"two lines", "10.0.0.1:1234", []string{"192.0.2.1", "203.0.113.7, 10.0.0.2"}, nil, "203.0.113.7"},
		{"a line of the client before the proxy's", "10.0.0.1:1234", []string{"192.0.2.1", "203.0.113.7"}, nil, "203.0.113.7"},
		{"proxies all the way", "10.0.0.1:1234", []string{"10.0.0.3, 10.0.0.2"}, nil, "10.0.0.3"},
		{"spaces and tabs", "10.0.0.1:1234", []string{" 203.0.113.7\t,  10.0.0.2 "}, nil, "203.0.113.7"},
		{"no spaces", "10.0.0.1:1234", []string{"192.0.2.1,203.0.113.7,10.0.0.2"}, nil, "203.0.113.7"},
		{"a port", "10.0.0.1:1234", []string{"203.0.113.7:4711"}, nil, "203.0.113.7"},
		{"an IPv6 port", "10.0.0.1:1234", []string{"[2001:db8::7]:4711"}, nil, "2001:db8::7"},
		{"brackets", "10.0.0.1:1234", []string{"[2001:db8::7]"}, nil, "2001:db8::7"},
		{"half of the brackets", "10.0.0.1:1234", []string{"[2001:db8::7"}, nil, "10.0.0.1"},
		{"too many brackets", "10.0.0.1:1234", []string{"[[2001:db8::7]]"}, nil, "10.0.0.1"},
		{"a zone and a port", "10.0.0.1:1234", []string{"[fe80::1%eth0]:4711"}, nil, "fe80::1"},
		{"a port that is none", "10.0.0.1:1234", []string{"203.0.113.7:http"}, nil, "10.0.0.1"},
		{"IPv4 as IPv6", "10.0.0.1:1234", []string{"::ffff:203.0.113.7"}, nil, "203.0.113.7"},
		{"a zone", "10.0.0.1:1234", []string{"fe80::1%eth0"}, nil, "fe80::1"},

		{"nothing in the header", "10.0.0.1:1234", []string{""}, nil, "10.0.0.1"},
		{"a comma at the end", "10.0.0.1:1234", []string{"203.0.113.7,"}, nil, "10.0.0.1"},
		{"a name", "10.0.0.1:1234", []string{"client.example.com"}, nil, "10.0.0.1"},
		{"unknown", "10.0.0.1:1234", []string{"unknown"}, nil, "10.0.0.1"},
		{"nonsense at the proxy", "10.0.0.1:1234", []string{"203.0.113.7, nonsense, 10.0.0.2"}, nil, "10.0.0.1"},
		{"an octal address", "10.0.0.1:1234", []string{"0313.0.113.7"}, nil, "10.0.0.1"},
		{"a prefix", "10.0.0.1:1234", []string{"203.0.113.0/24"}, nil, "10.0.0.1"},
		{"three numbers", "10.0.0.1:1234", []string{"203.0.113"}, nil, "10.0.0.1"},

		{"Forwarded", "10.0.0.1:1234", nil, []string{"for=203.0.113.7"}, "203.0.113.7"},
		{"Forwarded with all parameters", "10.0.0.1:1234", nil, []string{"proto=https;by=10.0.0.1;for=203.0.113.7;host=example.com"}, "203.0.113.7"},
		{"Forwarded in capitals", "10.0.0.1:1234", nil, []string{"FOR=203.0.113.7"}, "203.0.113.7"},
		{"Forwarded quoted", "10.0.0.1:1234", nil, []string{`for="203.0.113.7:4711"`}, "203.0.113.7"},
		{"Forwarded with IPv6", "10.0.0.1:1234", nil, []string{`For="[2001:db8::7]:4711"`}, "2001:db8::7"},
		{"Forwarded over two proxies", "10.0.0.1:1234", nil, []string{"for=192.0.2.1, for=203.0.113.7;proto=https, for=10.0.0.2"}, "203.0.113.7"},
		{"Forwarded in two lines", "10.0.0.1:1234", nil, []string{"for=192.0.2.1", "for=203.0.113.7"}, "203.0.113.7"},
		{"Forwarded without for", "10.0.0.1:1234", nil, []string{"proto=https"}, "10.0.0.1"},
		{"Forwarded by an obfuscated name", "10.0.0.1:1234", nil, []string{"for=_hidden"}, "10.0.0.1"},
		{"Forwarded by unknown", "10.0.0.1:1234", nil, []string{"for=unknown"}, "10.0.0.1"},
		{"Forwarded with half a quote", "10.0.0.1:1234", nil, []string{`for="203.0.113.7`}, "10.0.0.1"},
		{"Forwarded with a quote alone", "10.0.0.1:1234", nil, []string{`for="`}, "10.0.0.1"},
		{"Forwarded empty", "10.0.0.1:1234", nil, []string{""}, "10.0.0.1"},
		{"a comma inside a quoted parameter", "10.0.0.1:1234", nil, []string{`for=203.0.113.7;ext="a,b"`}, "10.0.0.1"},

		{"both agree", "10.0.0.1:1234", []string{"192.0.2.1, 203.0.113.7"}, []string{"for=203.0.113.7"}, "203.0.113.7"},
		{"both disagree", "10.0.0.1:1234", []string{"203.0.113.7"}, []string{"for=192.0.2.1"}, "10.0.0.1"},
		{"one of both is nonsense", "10.0.0.1:1234", []string{"203.0.113.7"}, []string{"for=unknown"}, "10.0.0.1"},
		{"the other of both is nonsense", "10.0.0.1:1234", []string{"x"}, []string{"for=203.0.113.7"}, "10.0.0.1"},

		{"a socket without an address", "@", []string{"203.0.113.7"}, nil, "invalid IP"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := &http.Request{RemoteAddr: test.remote, Header: http.Header{}}
			r.Header["X-Forwarded-For"], r.Header["Forwarded"] = test.xff, test.fwd
			if got := web.ClientAddress(r, proxies).String(); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			socket := web.ClientAddress(&http.Request{RemoteAddr: test.remote}, nil)
			if got := web.ClientAddress(r, nil); got != socket {
				t.Errorf("got %s without trusted proxies, want the socket's %s", got, socket)
			}
		})
	}
}

func TestSessionsShowTheClientsAddress(t *testing.T) {
	t.Parallel()
	const header = "X-Forwarded-For: 192.0.2.1, 203.0.113.7"
	for name, test := range map[string]struct {
		trusted []netip.Prefix
		want    string
	}{
		"behind a trusted proxy": {loopback, "203.0.113.7"},
		"behind no proxy":        {nil, "127.0.0.1"},
		"behind another proxy":   {proxies, "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := apitest.OnSQLite(t, apitest.Options{TrustedProxies: test.trusted})
			token := signUp(t, s, "john_smith", header).Token()
			if got := sessionsOf(t, s, token)[0]["ip"]; got != test.want {
				t.Errorf("got %v, want %s", got, test.want)
			}
		})
	}
}

func FuzzClientAddress(f *testing.F) {
	f.Fuzz(func(t *testing.T, xff, fwd string) {
		address := func(remote string, header http.Header, trusted []netip.Prefix) netip.Addr {
			return web.ClientAddress(&http.Request{RemoteAddr: remote, Header: header}, trusted)
		}
		header := http.Header{}
		if xff != "" {
			header["X-Forwarded-For"] = []string{xff}
		}
		if fwd != "" {
			header["Forwarded"] = []string{fwd}
		}
		got := address("10.0.0.1:1", header, proxies)
		if !got.IsValid() || got.Zone() != "" || got.Is4In6() {
			t.Errorf("got %v, want a plain address", got)
		}
		if got := address("203.0.113.7:1", header, proxies); got.String() != "203.0.113.7" {
			t.Errorf("got %v from a socket that is no proxy", got)
		}
		if got := address("10.0.0.1:1", header, nil); got.String() != "10.0.0.1" {
			t.Errorf("got %v without trusted proxies", got)
		}
		// What a trusted proxy appends is the client, whatever the client sent.
		if got := address("10.0.0.1:1", http.Header{"X-Forwarded-For": {xff, "203.0.113.9"}}, proxies); got.String() != "203.0.113.9" {
			t.Errorf("got %v, want the hop that the proxy saw", got)
		}
		if got := address("10.0.0.1:1", http.Header{"Forwarded": {fwd, "for=203.0.113.9"}}, proxies); got.String() != "203.0.113.9" {
			t.Errorf("got %v, want the hop that the proxy saw", got)
		}
	})
}
