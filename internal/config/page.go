package config

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxLogo bounds the logo, in bytes: it is on every page, and kept in memory.
const maxLogo = 256 << 10

// maxAppURL bounds the link back to the app, in bytes: browsers take longer ones, people who read them do not.
const maxAppURL = 2048

// Logo is an image for the hosted pages.
type Logo struct {
	MediaType string // image/svg+xml, image/png, image/jpeg or image/webp; empty if there is no logo
	Content   []byte
}

// notAnApp are the schemes that browsers handle themselves. Behind some of them a link runs or shows what it holds.
var notAnApp = []string{
	"about", "blob", "chrome", "chrome-extension", "content", "data", "edge", "feed", "file", "filesystem", "ftp", "intent", "jar",
	"javascript", "livescript", "mailto", "mhtml", "mocha", "moz-extension", "resource", "sms", "tel", "urn", "vbscript", "view-source",
	"ws", "wss",
}

// parseAppURL checks where the hosted pages' link back to the app leads: https, http on a loopback host, or a scheme of the
// app's own, which needs two slashes: myapp://open. Empty is no link.
func parseAppURL(raw string) (string, error) {
	const advice = "write https://HOST/PATH, or SCHEME://… with your app's own scheme"
	if raw == "" {
		return "", nil
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || !isPlainLine(raw) || strings.Contains(raw, " ") || u.Scheme == "":
		return "", fmt.Errorf("%s is not a full URL, %s", quote(raw), advice)
	case len(raw) > maxAppURL:
		return "", fmt.Errorf("is longer than %d bytes, shorten it", maxAppURL)
	case slices.Contains(notAnApp, u.Scheme):
		return "", fmt.Errorf("%s has the scheme of something that is no app, %s", quote(raw), advice)
	case !strings.HasPrefix(raw[len(u.Scheme):], "://"):
		return "", fmt.Errorf("%s has no :// behind its scheme, %s", quote(raw), advice)
	case u.User != nil:
		return "", errors.New("has user information, leave it out")
	case u.Scheme != "https" && u.Scheme != "http":
		return raw, nil
	case !isHost(u.Hostname()):
		return "", fmt.Errorf("%s has a host that is neither a name in ASCII nor an IP address, correct it", quote(raw))
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return "", fmt.Errorf("%s is not encrypted, use https: (http: is for loopback hosts only)", quote(raw))
	}
	return raw, nil
}

// parseLogo reads the image at the path. What kind it is, its content says.
func parseLogo(path string) (Logo, error) {
	if path == "" {
		return Logo{}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return Logo{}, fmt.Errorf("cannot open file %s (%w), correct the path or its permissions", quote(path), reason(err))
	}
	defer func() { _ = f.Close() }() // only read from
	b, err := io.ReadAll(io.LimitReader(f, maxLogo+1))
	if err != nil {
		return Logo{}, fmt.Errorf("cannot read file %s (%w), name a readable file", quote(path), reason(err))
	}
	if len(b) > maxLogo {
		return Logo{}, fmt.Errorf("file %s is larger than %d KiB, make it smaller", quote(path), maxLogo>>10)
	}
	kind := imageType(b)
	if kind == "" {
		return Logo{}, fmt.Errorf("file %s is no SVG, PNG, JPEG or WebP image, name one", quote(path))
	}
	return Logo{MediaType: kind, Content: b}, nil
}

// imageType returns the media type of an image that browsers show, "" for anything else.
func imageType(b []byte) string {
	switch {
	case bytes.HasPrefix(b, []byte("\x89PNG\r\n\x1a\n")):
		return "image/png"
	case bytes.HasPrefix(b, []byte("\xff\xd8\xff")):
		return "image/jpeg"
	case len(b) >= 12 && string(b[:4]) == "RIFF" && string(b[8:12]) == "WEBP":
		return "image/webp"
	case isSVG(b):
		return "image/svg+xml"
	}
	return ""
}

// isSVG reports whether b is a well-formed XML document in UTF-8 whose root is an <svg> of the SVG namespace: without
// that, browsers do not draw it.
func isSVG(b []byte) bool {
	if !utf8.Valid(b) {
		return false
	}
	dec := xml.NewDecoder(bytes.NewReader(b))
	seen := false
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return seen
		}
		if err != nil {
			return false
		}
		if start, ok := token.(xml.StartElement); ok && !seen {
			if start.Name.Local != "svg" || start.Name.Space != "http://www.w3.org/2000/svg" {
				return false
			}
			seen = true
		}
	}
}
