package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/mail"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of --password-min-length in code points. A password may have 256 code points (the API's upper bound), and people must be able
// to find one: a minimum near the maximum would make sign-up impossible, and a minimum of 0 would allow empty passwords.
const (
	minPasswordMinLength = 1
	maxPasswordMinLength = 128
)

// maxAppName is the longest app name in code points: it stands in subjects of mails and in titles of pages.
const maxAppName = 60

// maxPlaceholderDomain is the longest placeholder domain in bytes: an address may have 254, a username 30 and the @ one.
const maxPlaceholderDomain = 254 - 30 - 1

// LogFormat is the form of the log.
type LogFormat string

// The forms of the log.
const (
	LogAuto LogFormat = "auto" // text on a terminal, JSON elsewhere
	LogJSON LogFormat = "json"
	LogText LogFormat = "text"
)

// Settings are the checked settings of `latchkey serve`.
type Settings struct {
	Dev bool

	Listen         string         // HOST:PORT; the host may be empty for all addresses, the port 0 for any free one
	PublicURL      string         // without a slash at the end; empty only with Dev: http://127.0.0.1:PORT, filled in after listening
	BasePath       string         // prefix of the API paths, empty or "/…" without a slash at the end
	TrustedProxies []netip.Prefix // masked, without repetitions, IPv4 never in IPv6 form
	OpsListen      string         // HOST:PORT of the listener for metrics and profiling; empty if there is none

	Database       Database
	DatabaseListen Secret // connection URL for LISTEN; empty: that of Database
	MigrateOff     bool

	Mail      Mail
	MailFrom  mail.Address // zero if not given; use Sender
	AppName   string       // 1 to 60 code points, one line
	Templates string       // folder with templates of mails; empty if there is none

	AppURL  string // of the link back to the app, of a scheme that is safe to follow; empty: there is no link
	AppLogo Logo

	VerifyFirst            bool          // accounts exist only once their address is confirmed
	PasswordMinLength      int           // in code points, 1 to 128
	LookUpBreaches         bool          // new passwords are looked up at Have I Been Pwned
	PlaceholderEmailDomain string        // lower-case ASCII with at least one dot
	SessionIdle            time.Duration // a session ends when it has not been used for so long
	SessionMaxAge          time.Duration // a session ends so long after the sign-in; 0 for no such end
	GuestIdle              time.Duration // a guest who has not been seen for so long is deleted
	NotifyNewDevice        bool
	RateLimitsOff          bool

	ServerKeys []Secret // each 1 to 1,024 characters of printable ASCII, without repetitions; see ShortServerKey
	WeChatApps []WeChatApp
	WeChatAPI  string // base URL without a slash at the end

	WeChatRedirects []string // letter for letter

	LogLevel  slog.Level
	LogFormat LogFormat
	AuditKeep time.Duration // audit events are deleted at this age
}

// Sender returns the sender of every mail: MailFrom, or no-reply at the host of the public URL, which is localhost for an IP address.
// The URL is a parameter because with Dev it is known only after listening.
func (s Settings) Sender(publicURL string) mail.Address {
	if s.MailFrom.Address != "" {
		return s.MailFrom
	}
	return deriveSender(publicURL)
}

// Settings checks the raw settings, reads the files that are named in them, and returns them typed. If anything is wrong
// the error is Faults: one line with every fault of every setting and of the config file, and no secret.
func (s Serve) Settings() (Settings, error) {
	faults := s.ConfigFile.faults()
	before := len(faults)
	dev := read(&faults, "dev", string(s.Dev), parseSwitch)
	devKnown := len(faults) == before

	listen := parseListen
	if dev {
		listen = parseLoopbackListen
	}
	t := Settings{
		Dev:            dev,
		Listen:         read(&faults, "listen", s.Listen, listen),
		PublicURL:      s.readPublicURL(&faults, dev || !devKnown || s.incomplete),
		BasePath:       read(&faults, "base-path", s.BasePath, parseBasePath),
		TrustedProxies: read(&faults, "trusted-proxies", s.TrustedProxies, parseProxies),
	}
	t.OpsListen = s.readOpsListen(&faults, t.Listen, listen)
	t.Database = read(&faults, "database", s.Database, ParseDatabase)
	t.DatabaseListen = read(&faults, "database-listen", s.DatabaseListen, parseDatabaseListen)
	t.MigrateOff = read(&faults, "migrate", s.Migrate, parseOff)
	s.readMail(&faults, &t)
	t.AppURL = read(&faults, "app-url", s.AppURL, parseAppURL)
	t.AppLogo = read(&faults, "app-logo", s.AppLogo, parseLogo)
	t.VerifyFirst = read(&faults, "sign-up", s.SignUp, parseSignUp)
	t.PasswordMinLength = read(&faults, "password-min-length", s.PasswordMinLength, parsePasswordMinLength)
	t.LookUpBreaches = read(&faults, "breached-passwords", s.BreachedPasswords, parseBreachedPasswords)
	t.PlaceholderEmailDomain = read(&faults, "placeholder-email-domain", s.PlaceholderEmailDomain, parsePlaceholderDomain)
	t.SessionIdle = read(&faults, "session-idle", s.SessionIdle, parseLifetime)
	t.SessionMaxAge = read(&faults, "session-max-age", s.SessionMaxAge, parseMaxAge)
	t.GuestIdle = read(&faults, "guest-idle", s.GuestIdle, parseLifetime)
	notifyOff := read(&faults, "notify-new-device", s.NotifyNewDevice, parseOff)
	t.NotifyNewDevice = !notifyOff
	t.RateLimitsOff = read(&faults, "rate-limits", s.RateLimits, parseOff)
	t.ServerKeys = read(&faults, "server-keys", s.ServerKeys, parseServerKeys)
	t.WeChatApps = read(&faults, "wechat-apps", s.WeChatApps, func(raw string) ([]WeChatApp, error) {
		return parseWeChatApps(raw, expand)
	})
	t.WeChatAPI = read(&faults, "wechat-api", s.WeChatAPI, parseBaseURL)
	t.WeChatRedirects = read(&faults, "wechat-redirects", s.WeChatRedirects, parseRedirects)
	t.LogLevel = read(&faults, "log-level", s.LogLevel, parseLogLevel)
	t.LogFormat = read(&faults, "log-format", s.LogFormat, parseLogFormat)
	t.AuditKeep = read(&faults, "audit-keep", s.AuditKeep, parseLifetime)
	if err := faults.err(); err != nil {
		return Settings{}, err
	}
	return t, nil
}

// readPublicURL reads --public-url. It is optional with --dev, and when it may stand in a part of the config file that
// could not be used.
func (p PublicURLFlag) readPublicURL(faults *Faults, optional bool) string {
	return read(faults, "public-url", p.PublicURL, func(raw string) (string, error) {
		switch {
		case raw != "":
			return parseBaseURL(raw)
		case optional:
			return "", nil
		}
		return "", errors.New("is required, write https://HOST as people reach the service, or use --dev to try it out")
	})
}

// readMail reads the settings of mail into t.
func (m MailFlags) readMail(faults *Faults, t *Settings) {
	t.Mail = read(faults, "mail", m.Mail, parseMail)
	t.MailFrom = read(faults, "mail-from", m.MailFrom, parseMailFrom)
	t.AppName = read(faults, "app-name", m.AppName, parseAppName)
	t.Templates = read(faults, "templates", m.Templates, parseTemplates)
}

// readOpsListen reads --ops-listen, given the checked --listen (empty if that is wrong) and the parser for both.
func (s Serve) readOpsListen(faults *Faults, listen string, parse func(string) (string, error)) string {
	if isOff(s.OpsListen) {
		return ""
	}
	return read(faults, "ops-listen", s.OpsListen, func(raw string) (string, error) {
		ops, err := parse(raw)
		if err == nil && listen != "" && sameListener(listen, ops) {
			return "", fmt.Errorf("%s is the same as --listen, choose another port", quote(raw))
		}
		return ops, err
	})
}

// parseSwitch parses a bool as people write it in flags, environments and JSON.
func parseSwitch(raw string) (bool, error) {
	switch strings.ToLower(raw) {
	case "true", "1", "on", "yes":
		return true, nil
	case "false", "0", "off", "no", "":
		return false, nil
	}
	return false, fmt.Errorf("%s is neither on nor off, write true, 1, on or yes, or false, 0, off or no", quote(raw))
}

// parseOff parses on and off strictly, so that switching something off is never a slip.
func parseOff(raw string) (off bool, err error) {
	switch raw {
	case "on":
		return false, nil
	case "off":
		return true, nil
	}
	return false, fmt.Errorf("%s is neither on nor off, write on or off", quote(raw))
}

func parseAppName(raw string) (string, error) {
	switch {
	case strings.TrimSpace(raw) == "":
		return "", errors.New("is empty, write the name of your app")
	case !isPlainLine(raw):
		return "", errors.New("has line breaks, control characters or broken UTF-8, leave them out")
	case utf8.RuneCountInString(raw) > maxAppName:
		return "", fmt.Errorf("is longer than %d characters, shorten it", maxAppName)
	}
	return strings.TrimSpace(raw), nil
}

func parseSignUp(raw string) (verifyFirst bool, err error) {
	switch raw {
	case "open":
		return false, nil
	case "verify-first":
		return true, nil
	}
	return false, fmt.Errorf("%s is no way to sign up, write open or verify-first", quote(raw))
}

func parsePasswordMinLength(raw string) (int, error) {
	n, err := strconv.Atoi(raw)
	if err != nil || n < minPasswordMinLength || n > maxPasswordMinLength {
		return 0, fmt.Errorf("%s is no number from %d to %d, choose one (0 would allow empty passwords, and a password may have no more than 256 characters)",
			quote(raw), minPasswordMinLength, maxPasswordMinLength)
	}
	return n, nil
}

func parseBreachedPasswords(raw string) (lookUp bool, err error) {
	switch raw {
	case "off":
		return false, nil
	case "hibp":
		return true, nil
	}
	return false, fmt.Errorf("%s is no list of breached passwords, write off or hibp", quote(raw))
}

func parsePlaceholderDomain(raw string) (string, error) {
	if !isDomain(raw) || !strings.Contains(raw, ".") || len(raw) > maxPlaceholderDomain {
		return "", fmt.Errorf("%s is no domain, write one in lower-case ASCII with a dot and at most %d characters, for example users.example.com", quote(raw), maxPlaceholderDomain)
	}
	return raw, nil
}

func parseLogLevel(raw string) (slog.Level, error) {
	switch raw {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("%s is no level, write debug, info, warn or error", quote(raw))
}

func parseLogFormat(raw string) (LogFormat, error) {
	switch format := LogFormat(raw); format {
	case LogAuto, LogJSON, LogText:
		return format, nil
	}
	return "", fmt.Errorf("%s is no format, write auto, json or text", quote(raw))
}
