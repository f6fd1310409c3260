package config_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestListen(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		value string
		dev   bool
		want  string // a part of the fault; empty for none
	}{
		{"IPv4 address", "0.0.0.0:8080", false, ""},
		{"IPv6 address", "[::]:8080", false, ""},
		{"IPv6 address with a zone", "[fe80::1%eth0]:8080", false, ""},
		{"host name", "latchkey_1.internal:8080", false, ""},
		{"empty host is every address", ":8080", false, ""},
		{"port 0 is any free one", "127.0.0.1:0", false, ""},
		{"port is missing", "127.0.0.1", false, "is not HOST:PORT"},
		{"value is empty", "", false, "is not HOST:PORT"},
		{"port is empty", "127.0.0.1:", false, "0 to 65535"},
		{"port is a name", "127.0.0.1:http", false, "0 to 65535"},
		{"port is too large", "127.0.0.1:65536", false, "0 to 65535"},
		{"port has a sign", "127.0.0.1:+80", false, "0 to 65535"},
		{"host has a space", "a b:80", false, "neither a name nor an IP address"},
		{"host name is in brackets", "[localhost]:80", false, "neither a name nor an IP address"},
		{"IPv6 address has no brackets", "::1:80", false, "is not HOST:PORT"},
		{"URL is no address", "http://127.0.0.1:80", false, "is not HOST:PORT"},
		{"dev on IPv4 loopback", "127.0.0.1:8080", true, ""},
		{"dev elsewhere in 127.0.0.0/8", "127.9.9.9:8080", true, ""},
		{"dev on IPv6 loopback", "[::1]:8080", true, ""},
		{"dev on localhost", "localhost:0", true, ""},
		{"dev on every address by an empty host", ":8080", true, "is not a loopback address"},
		{"dev on every IPv4 address", "0.0.0.0:8080", true, "is not a loopback address"},
		{"dev on every IPv6 address", "[::]:8080", true, "is not a loopback address"},
		{"dev on a private address", "192.168.1.7:8080", true, "is not a loopback address"},
		{"dev on a name that begins like loopback", "127.0.0.1.example.com:8080", true, "is not a loopback address"},
		{"dev on loopback with a zone", "[::1%eth0]:8080", true, "is not a loopback address"},
		{"dev on a short form that not everything reads alike", "127.1:8080", true, "is not a loopback address"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			args := []string{"--public-url=https://a.example", "--listen=" + tt.value}
			if tt.dev {
				args = append(args, "--dev")
			}
			got, err := serve(t, nil, args...)
			if tt.want != "" {
				wantFault(t, err, "listen", tt.want)
				return
			}
			if err != nil || got.Listen != tt.value {
				t.Errorf("got %q and error %v, want %q", got.Listen, err, tt.value)
			}
		})
	}
}

func TestOpsListen(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, listen, ops string
		dev               bool
		want, fault       string
	}{
		{name: "off is off", listen: "127.0.0.1:80", ops: "off"},
		{name: "empty is off", listen: "127.0.0.1:80", ops: ""},
		{name: "another port", listen: "127.0.0.1:80", ops: "127.0.0.1:81", want: "127.0.0.1:81"},
		{name: "another address", listen: "127.0.0.1:80", ops: "127.0.0.2:80", want: "127.0.0.2:80"},
		{name: "port 0 twice gives two ports", listen: "127.0.0.1:0", ops: "127.0.0.1:0", want: "127.0.0.1:0"},
		{name: "the same address", listen: "127.0.0.1:80", ops: "127.0.0.1:80", fault: "the same as --listen"},
		{name: "the same address in another spelling", listen: "localhost:80", ops: "127.0.0.1:080", fault: "the same as --listen"},
		{name: "listen has every address", listen: ":80", ops: "127.0.0.1:80", fault: "the same as --listen"},
		{name: "ops has every address", listen: "127.0.0.1:80", ops: "[::]:80", fault: "the same as --listen"},
		{name: "no port", listen: "127.0.0.1:80", ops: "127.0.0.1", fault: "is not HOST:PORT"},
		{name: "dev listens on loopback only", listen: "127.0.0.1:80", ops: "0.0.0.0:81", dev: true, fault: "is not a loopback address"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			args := []string{"--public-url=https://a.example", "--listen=" + tt.listen, "--ops-listen=" + tt.ops}
			if tt.dev {
				args = append(args, "--dev")
			}
			got, err := serve(t, nil, args...)
			if tt.fault != "" {
				wantFault(t, err, "ops-listen", tt.fault)
				return
			}
			if err != nil || got.OpsListen != tt.want {
				t.Errorf("got %q and error %v, want %q", got.OpsListen, err, tt.want)
			}
		})
	}
}

func TestBaseURLs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, value, want, fault string
	}{
		{name: "https", value: "https://a.example", want: "https://a.example"},
		{name: "slash at the end goes", value: "https://a.example/", want: "https://a.example"},
		{name: "path stays", value: "https://a.example/x/y/", want: "https://a.example/x/y"},
		{name: "host becomes lower case", value: "HTTPS://A.Example:8443", want: "https://a.example:8443"},
		{name: "default port goes", value: "https://a.example:443", want: "https://a.example"},
		{name: "http on an IPv4 loopback address", value: "http://127.0.0.1:8080", want: "http://127.0.0.1:8080"},
		{name: "http on an IPv6 loopback address", value: "http://[::1]:8080", want: "http://[::1]:8080"},
		{name: "http on localhost", value: "http://localhost", want: "http://localhost"},
		{name: "https on an IPv6 address", value: "https://[2001:db8::1]", want: "https://[2001:db8::1]"},
		{name: "http elsewhere", value: "http://a.example", fault: "is not encrypted"},
		{name: "http on a name that looks like loopback", value: "http://localhost.example", fault: "is not encrypted"},
		{name: "another scheme", value: "ftp://a.example", fault: "neither https: nor http:"},
		{name: "no scheme", value: "a.example", fault: "is not a full URL"},
		{name: "no scheme but a port", value: "a.example:443", fault: "is not a full URL"},
		{name: "no host", value: "https:///x", fault: "is not a full URL"},
		{name: "no slashes", value: "https:a.example", fault: "is not a full URL"},
		{name: "user information", value: "https://u@a.example", fault: "has user information"},
		{name: "query", value: "https://a.example?x=1", fault: "a query or a fragment"},
		{name: "empty query", value: "https://a.example/?", fault: "a query or a fragment"},
		{name: "fragment", value: "https://a.example/#x", fault: "a query or a fragment"},
		{name: "empty fragment", value: "https://a.example/#", fault: "a query or a fragment"},
		{name: "empty port", value: "https://a.example:", fault: "1 to 65535"},
		{name: "port 0", value: "https://a.example:0", fault: "1 to 65535"},
		{name: "port too large", value: "https://a.example:65536", fault: "1 to 65535"},
		{name: "host not in ASCII", value: "https://例子.example", fault: "neither a name in ASCII"},
		{name: "line break", value: "https://a.example/\nx", fault: "is not a full URL"},
		{name: "space in the host", value: "https://a b.example", fault: "is not a full URL"},
		{name: "empty path segment", value: "https://a.example/x//y", fault: "path segment"},
		{name: "dotted path segment", value: "https://a.example/x/../y", fault: "path segment"},
		{name: "encoded dotted path segment", value: "https://a.example/%2e%2e/y", fault: "path segment"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := serve(t, nil, "--public-url="+tt.value)
			gotAPI, errAPI := serve(t, nil, "--dev", "--wechat-api="+tt.value)
			if tt.fault != "" {
				wantFault(t, err, "public-url", tt.fault)
				wantFault(t, errAPI, "wechat-api", tt.fault)
				return
			}
			if err != nil || got.PublicURL != tt.want {
				t.Errorf("got public URL %q and error %v, want %q", got.PublicURL, err, tt.want)
			}
			if errAPI != nil || gotAPI.WeChatAPI != tt.want {
				t.Errorf("got WeChat API %q and error %v, want %q", gotAPI.WeChatAPI, errAPI, tt.want)
			}
		})
	}
	t.Run("WeChat API is not empty", func(t *testing.T) {
		t.Parallel()
		_, err := serve(t, nil, "--dev", "--wechat-api=")
		wantFault(t, err, "wechat-api", "is not a full URL")
	})
}

func TestBasePath(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, value, fault string
	}{
		{"empty is the root", "", ""},
		{"two segments", "/api/v2", ""},
		{"every unreserved character", "/aZ0.9_~-", ""},
		{"names that only begin like a root path", "/accounts/docsy", ""},
		{"root path below the first segment", "/x/account", ""},
		{"slash alone", "/", "leave it empty"},
		{"no slash in front", "api", "does not start with /"},
		{"slash at the end", "/api/", "ends with /"},
		{"empty segment", "/api//v2", "has the segment"},
		{"two slashes in front", "//api", "has the segment"},
		{"dot", "/./api", "has the segment"},
		{"two dots", "/api/..", "has the segment"},
		{"percent sign", "/a%70i", "has the segment"},
		{"space", "/a pi", "has the segment"},
		{"braces of a route pattern", "/{id}", "has the segment"},
		{"collides with healthz", "/healthz", "collides with /healthz"},
		{"collides with readyz", "/readyz", "collides with /readyz"},
		{"collides with account", "/account/v2", "collides with /account"},
		{"collides with dev", "/dev", "collides with /dev"},
		{"collides with docs", "/docs", "collides with /docs"},
		{"collides with openapi.json", "/openapi.json", "collides with /openapi.json"},
		{"too long", "/" + strings.Repeat("a", 256), "longer than 256"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := serve(t, nil, "--dev", "--base-path="+tt.value)
			if tt.fault != "" {
				wantFault(t, err, "base-path", tt.fault)
				return
			}
			if err != nil || got.BasePath != tt.value {
				t.Errorf("got %q and error %v, want %q", got.BasePath, err, tt.value)
			}
		})
	}
}

func TestTrustedProxies(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, value string
		want        []string
		fault       string
	}{
		{name: "none", value: ""},
		{name: "networks and addresses, commas and spaces", value: "10.0.0.0/8, 192.168.1.7 2001:db8::/32", want: []string{"10.0.0.0/8", "192.168.1.7/32", "2001:db8::/32"}},
		{name: "host bits are cleared", value: "10.1.2.3/8", want: []string{"10.0.0.0/8"}},
		{name: "IPv6 address", value: "::1", want: []string{"::1/128"}},
		{name: "IPv4 address in IPv6 form", value: "::ffff:10.0.0.1", want: []string{"10.0.0.1/32"}},
		{name: "IPv4 network in IPv6 form", value: "::ffff:10.1.2.3/104", want: []string{"10.0.0.0/8"}},
		{name: "repetitions go", value: "10.0.0.0/8,10.9.9.9/8", want: []string{"10.0.0.0/8"}},
		{name: "name", value: "proxy.example", fault: `"proxy.example" is neither`},
		{name: "too many bits", value: "10.0.0.0/33", fault: "is neither"},
		{name: "zone", value: "fe80::1%eth0", fault: "is neither"},
		{name: "address with a port", value: "10.0.0.1:80", fault: "is neither"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			settings, err := serve(t, nil, "--dev", "--trusted-proxies="+tt.value)
			if tt.fault != "" {
				wantFault(t, err, "trusted-proxies", tt.fault)
				return
			}
			if err != nil {
				t.Fatalf("got error %v, want none", err)
			}
			var want []netip.Prefix
			for _, s := range tt.want {
				want = append(want, netip.MustParsePrefix(s))
			}
			if diff := cmp.Diff(want, settings.TrustedProxies, compareOptions()); diff != "" {
				t.Errorf("prefixes (-want +got):\n%s", diff)
			}
		})
	}
}
