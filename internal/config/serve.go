// Package config reads the settings of Latchkey's commands from flags, the environment and a config file, in this order
// of precedence, and checks all of them at once.
//
// A command embeds or is one of the structs with raw values here (Serve, DatabaseOnly); they hold text only, so that the flag
// parser never stops at the first wrong value. Their Settings methods give typed values, or one error that names every fault.
// The package reads files that are named in settings, but not the environment, the network or the clock.
package config

import (
	"fmt"

	"github.com/alecthomas/kong"
)

// Each field with a `setting` tag can be set by flag, by environment variable (EnvName) and, unless the tag says "env", by a
// key of the config file. The tag's value says which JSON the file may hold for it: "text" a string, number or boolean,
// "list" also a list of strings, "json" also a list of anything.

// Serve holds the raw settings of `latchkey serve`. Use it as a kong command with the option WithEnvironment.
type Serve struct {
	ConfigFile

	Dev Switch `name:"dev" setting:"text" default:"off" group:"Start" help:"Development mode: needs no other setting, listens on loopback only, shows every mail at /dev/mail, leaves the list of common passwords off and believes a bare WeChat uid. Never for production. Example: --dev"`

	Listen string `name:"listen" setting:"text" default:"127.0.0.1:8080" placeholder:"HOST:PORT" group:"Addresses" help:"Address of the public listener, port 0 for any free one. Example: --listen=0.0.0.0:8080"`
	PublicURLFlag
	BasePath       string `name:"base-path" setting:"text" placeholder:"PATH" group:"Addresses" help:"Prefix of every API path. Health checks and hosted pages stay at the root. Example: --base-path=/api/v2"`
	TrustedProxies string `name:"trusted-proxies" setting:"list" placeholder:"CIDR,..." group:"Addresses" help:"Proxies whose X-Forwarded-For and Forwarded headers are believed, as networks or single addresses. Example: --trusted-proxies=10.0.0.0/8,192.168.1.7"`
	OpsListen      string `name:"ops-listen" setting:"text" default:"off" placeholder:"HOST:PORT" group:"Addresses" help:"Separate listener for /metrics and profiling, which are never on the public one. Example: --ops-listen=127.0.0.1:9090"`

	DatabaseFlag
	DatabaseListen string `name:"database-listen" setting:"text" placeholder:"URL" group:"Storage" help:"URL of the same PostgreSQL without a pooler between, for LISTEN: behind pgbouncer in transaction mode other nodes hear of changes a little sooner with it. Without it: --database. Example: --database-listen=postgres://latchkey:secret@db1/latchkey"`
	Migrate        string `name:"migrate" setting:"text" default:"on" placeholder:"on|off" group:"Storage" help:"Bring the schema of the database up to date at start. With off an older schema is refused, and latchkey migrate up does it. Example: --migrate=off"`

	MailFlags

	AppURL  string `name:"app-url" setting:"text" placeholder:"URL" group:"Hosted pages" help:"Where the link back to your app leads: https, http on a loopback host, or your app's own scheme. Without it there is no such link. Example: --app-url=myapp://open"`
	AppLogo string `name:"app-logo" setting:"text" placeholder:"PATH" group:"Hosted pages" help:"Your app's logo, an SVG, PNG, JPEG or WebP file of at most 256 KiB, read at start. Without it the pages show the app's name. Example: --app-logo=/etc/latchkey/logo.svg"`

	SignUp                 string `name:"sign-up" setting:"text" default:"open" placeholder:"MODE" group:"Accounts" help:"open creates an account at once, and tells which names and addresses are taken. verify-first always answers the same and creates it once the mailed link or code is confirmed, which needs --mail and an app that asks for the code. Example: --sign-up=verify-first"`
	PasswordMinLength      string `name:"password-min-length" setting:"text" default:"8" placeholder:"N" group:"Accounts" help:"Least number of characters (code points) of a new password, 1 to 128. Example: --password-min-length=12"`
	BreachedPasswords      string `name:"breached-passwords" setting:"text" default:"off" placeholder:"off|hibp" group:"Accounts" help:"hibp refuses new passwords that Have I Been Pwned knows from breaches. It is told the first 5 of 40 hex digits of the SHA-1, and when it does not answer within a second the password is accepted. Example: --breached-passwords=hibp"`
	PlaceholderEmailDomain string `name:"placeholder-email-domain" setting:"text" default:"ideaegg.me" placeholder:"DOMAIN" group:"Accounts" help:"Domain of the addresses that are made up for users without one. They are never mailed, and nobody can sign up under the domain. Example: --placeholder-email-domain=users.example.com"`
	SessionIdle            string `name:"session-idle" setting:"text" default:"90d" placeholder:"DURATION" group:"Accounts" help:"A session ends when it has not been used for so long, 1m to 3650d. Example: --session-idle=30d"`
	SessionMaxAge          string `name:"session-max-age" setting:"text" default:"0" placeholder:"DURATION" group:"Accounts" help:"A session ends so long after the sign-in however often it is used, 1m to 3650d, 0 for never. Example: --session-max-age=365d"`
	GuestIdle              string `name:"guest-idle" setting:"text" default:"30d" placeholder:"DURATION" group:"Accounts" help:"A guest who has not been seen for so long is deleted, 1m to 3650d. Example: --guest-idle=12h"`
	NotifyNewDevice        string `name:"notify-new-device" setting:"text" default:"off" placeholder:"on|off" group:"Accounts" help:"Mail users when they sign in with a password on a device whose like has no session of theirs yet. Example: --notify-new-device=on"`
	RateLimits             string `name:"rate-limits" setting:"text" default:"on" placeholder:"on|off" group:"Accounts" help:"Limits on sign-ins, sign-ups and resets. Off is for load tests only. Example: --rate-limits=off"`

	ServerKeys string `name:"server-keys" setting:"list" placeholder:"KEY,..." group:"Trusted backends and WeChat" help:"Secrets of backends that are trusted, separated by commas, random and at least 16 characters each. Each may be file:PATH, a file with one key a line. Example: --server-keys=file:/run/secrets/server-key"`
	WeChatApps string `name:"wechat-apps" setting:"json" placeholder:"JSON" group:"Trusted backends and WeChat" help:"WeChat apps whose users may sign in, as a JSON list, or file:PATH for a file with it. The kinds are mobile, website, mini_program and official_account. Apps with one group share unionids. A secret may be file:PATH. Example: --wechat-apps='[{\"app_id\":\"wx1\",\"secret\":\"s\",\"kind\":\"mini_program\",\"group\":\"main\"}]'"`
	WeChatAPI  string `name:"wechat-api" setting:"text" default:"https://api.weixin.qq.com" placeholder:"URL" group:"Trusted backends and WeChat" help:"Base URL of WeChat's API: https, or http on a loopback host, so that tests can point it at a stand-in. Example: --wechat-api=http://127.0.0.1:9000"`

	WeChatRedirects string `name:"wechat-redirects" setting:"list" placeholder:"URL,..." group:"Trusted backends and WeChat" help:"Addresses that a browser may be sent to with the result of a WeChat sign-in, compared letter for letter: https, http on a loopback host, or a scheme of your app's own with a dot in it. Example: --wechat-redirects=https://app.example.com/signed-in,com.example.app:/signed-in"`

	LogLevel  string `name:"log-level" setting:"text" default:"info" placeholder:"LEVEL" group:"Logs" help:"Least important level that is logged: debug, info, warn or error. Example: --log-level=debug"`
	LogFormat string `name:"log-format" setting:"text" default:"auto" placeholder:"FORMAT" group:"Logs" help:"Form of the log: json, text, or auto for text on a terminal and json elsewhere. Example: --log-format=json"`
	AuditKeep string `name:"audit-keep" setting:"text" default:"180d" placeholder:"DURATION" group:"Logs" help:"Audit events, which latchkey audit shows, are deleted at this age, 1m to 3650d. Example: --audit-keep=365d"`
}

// Help is the detail that kong shows above the flags.
func (Serve) Help() string {
	return "Every setting is a flag, an environment variable and a key of the JSON file that --config names, in this order of precedence. " +
		"An empty environment variable counts as unset. " +
		"--database, --mail, --server-keys and --wechat-apps may be given as file:PATH, so that a secret need not be in the command line or the environment."
}

// DatabaseFlag holds the raw --database setting, to be embedded in every command that opens the database.
type DatabaseFlag struct {
	Database string `name:"database" setting:"text" default:"sqlite:latchkey.db" placeholder:"DATABASE" group:"Storage" help:"sqlite:PATH for an embedded database, postgres://user:pass@host/name for several nodes, or file:PATH for a file that holds one of these. Example: --database=postgres://latchkey:secret@db1,db2/latchkey?target_session_attrs=read-write"`
}

// DatabaseOnly holds the raw settings of a command that needs the database and nothing else. Embed it in the command's struct.
type DatabaseOnly struct {
	ConfigFile
	DatabaseFlag
}

// Settings returns the database, or Faults with everything that is wrong with the config file and the setting.
func (d DatabaseOnly) Settings() (Database, error) {
	faults := d.ConfigFile.faults()
	db := read(&faults, "database", d.Database, ParseDatabase)
	if err := faults.err(); err != nil {
		return Database{}, err
	}
	return db, nil
}

// PublicURLFlag holds the raw --public-url setting.
type PublicURLFlag struct {
	PublicURL string `name:"public-url" setting:"text" placeholder:"URL" group:"Addresses" help:"Base of every link that is mailed, as people reach the service from outside: https, or http on a loopback host. Required unless --dev. Example: --public-url=https://accounts.example.com"`
}

// MailFlags holds the raw settings of mail.
type MailFlags struct {
	Mail      string `name:"mail" setting:"text" placeholder:"URL" group:"Mail" help:"Where mail goes: smtp://user:pass@host:port (STARTTLS, port 587), smtps://user:pass@host:port (port 465), dir:PATH for one .eml file a message, or file:PATH for a file that holds one of these. Percent-encode special characters in user and password. With --dev the default is the dev inbox. Example: --mail=smtps://latchkey:secret@mail.example.com"`
	MailFrom  string `name:"mail-from" setting:"text" placeholder:"ADDRESS" group:"Mail" help:"Sender of every mail, with or without a display name. Without it: no-reply at the host of the public URL. Example: --mail-from='Example <accounts@example.com>'"`
	AppName   string `name:"app-name" setting:"text" default:"Latchkey" placeholder:"NAME" group:"Mail" help:"Name of your app in mails and on hosted pages, at most 60 characters. Example: --app-name='Example App'"`
	Templates string `name:"templates" setting:"text" placeholder:"DIR" group:"Mail" help:"Folder with templates of mails that take the place of the program's own, which latchkey mail templates writes out. Example: --templates=/etc/latchkey/mail"`
}

// MailOnly holds the raw settings of a command that sends mail and does nothing else. Embed it in the command's struct.
type MailOnly struct {
	ConfigFile
	PublicURLFlag
	MailFlags
}

// Settings returns the settings of mail and the public URL, which may be missing; --mail may not. The error is Faults with
// everything that is wrong with the config file and the settings.
func (m MailOnly) Settings() (Settings, error) {
	faults := m.ConfigFile.faults()
	t := Settings{PublicURL: m.readPublicURL(&faults, true)}
	m.readMail(&faults, &t)
	if m.Mail == "" && !m.incomplete {
		faults = append(faults, Fault{Flag: "mail", Problem: "is required, write smtp://USER:PASSWORD@HOST:PORT, smtps://USER:PASSWORD@HOST:PORT or dir:PATH"})
	}
	if err := faults.err(); err != nil {
		return Settings{}, err
	}
	return t, nil
}

// Switch is a flag that is on or off. It keeps the word that was given, so that a wrong one is reported together with all
// other faults. As a flag it needs no value: --dev is --dev=on.
type Switch string

// Decode implements kong.MapperValue.
func (s *Switch) Decode(ctx *kong.DecodeContext) error {
	*s = "on"
	if ctx.Scan.Peek().Type == kong.FlagValueToken {
		*s = Switch(fmt.Sprint(ctx.Scan.Pop().Value))
	}
	return nil
}

// IsBool tells kong that the flag needs no value.
func (Switch) IsBool() bool { return true }
