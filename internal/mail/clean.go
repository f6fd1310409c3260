package mail

import (
	"encoding/base64"
	"net/url"
	"regexp"
	"strings"
)

// longestReason is how much of a server's words is kept, in characters.
const longestReason = 300

// cleaner takes what must not be seen out of what servers say: they like to quote.
type cleaner struct {
	secrets   *strings.Replacer
	host      string         // of the message's link; empty: it has none
	recipient *regexp.Regexp // nil: there is none
}

// quotedURL is a URL, or the end of one, in a server's words: filters quote those that they do not like, and ours lets
// people in. Other hosts' are there to help.
var quotedURL = regexp.MustCompile(`(?i)\b[a-z]+://\S+|\btoken=\S+`)

func newCleaner(cfg SMTPConfig, m Message) *cleaner {
	var pairs []string
	hide := func(secret string) {
		if secret != "" {
			pairs = append(pairs, secret, "[redacted]", base64.StdEncoding.EncodeToString([]byte(secret)), "[redacted]")
		}
	}
	if cfg.Password != "" {
		hide("\x00" + cfg.User + "\x00" + string(cfg.Password))
		hide(string(cfg.Password))
		hide(cfg.User + ":" + string(cfg.Password))
	}
	if code := m.Code.Reveal(); code != "" {
		hide(code)
		half := len(code) / 2
		hide(code[:half] + " " + code[half:])
		hide(code[:half] + "-" + code[half:])
	}
	c := &cleaner{}
	hide(m.Link)
	if u, err := url.Parse(m.Link); err == nil {
		hide(u.Query().Get("token"))
		c.host = u.Host
	}
	c.secrets = strings.NewReplacer(pairs...)
	if m.To != "" {
		c.recipient = regexp.MustCompile(`(?i)` + regexp.QuoteMeta(m.To))
	}
	return c
}

// line returns a text without what must not be seen, on one line of at most 300 characters.
func (c *cleaner) line(s string) string {
	s = c.secretless(s)
	if c.recipient != nil {
		s = c.recipient.ReplaceAllLiteralString(s, "[recipient]")
	}
	return oneLine(s, longestReason)
}

func (c *cleaner) secretless(s string) string {
	s = c.secrets.Replace(s)
	if c.host == "" {
		return s
	}
	return quotedURL.ReplaceAllStringFunc(s, func(found string) string {
		if strings.Contains(found, "://") && !strings.Contains(found, c.host) {
			return found
		}
		return "[link]"
	})
}
