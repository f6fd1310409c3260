package config

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Bounds of the list: far more apps than one WeChat Open Platform account can bind, and far longer secrets than the 32 characters
// that WeChat gives out.
const (
	maxWeChatApps   = 200
	maxWeChatSecret = 256
)

// DefaultWeChatAPI is what --wechat-api is when it is not given: WeChat itself.
const DefaultWeChatAPI = "https://api.weixin.qq.com"

// wechatIDPattern is what an app_id and a group look like. Their length is looked at apart: counted here it would make
// the pattern one of a quarter of a megabyte.
var wechatIDPattern = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

const maxWeChatID = 64

// WeChatKind is a kind of WeChat app. It decides which of WeChat's interfaces its sign-in codes belong to.
type WeChatKind string

// The kinds of WeChat apps.
const (
	WeChatMobile          WeChatKind = "mobile"
	WeChatWebsite         WeChatKind = "website"
	WeChatMiniProgram     WeChatKind = "mini_program"
	WeChatOfficialAccount WeChatKind = "official_account"
)

// WeChatApp is an app whose users may sign in.
type WeChatApp struct {
	AppID  string // 1 to 64 of [A-Za-z0-9_-], unique
	Secret Secret
	Kind   WeChatKind
	Group  string // apps with the same group share unionids; empty: shares with none
}

// parseWeChatApps parses a JSON list of objects with the members app_id, secret, kind and, if wanted, group; load turns file:PATH,
// which the list and each secret may be, into what the file holds. Each problem names the app by its index from 0, and
// the member. No value is shown, since a secret may stand in the wrong place.
func parseWeChatApps(raw string, load func(raw string) (string, error)) ([]WeChatApp, error) {
	raw, err := load(raw)
	if err != nil || raw == "" {
		return nil, err
	}
	syntax := func(err error) ([]WeChatApp, error) {
		return nil, fmt.Errorf("is not valid JSON (%s), correct it", position(raw, err))
	}
	dec := jsontext.NewDecoder(strings.NewReader(raw), jsontext.AllowDuplicateNames(true))
	if dec.PeekKind() != '[' {
		if _, err := dec.ReadValue(); err != nil {
			return syntax(err)
		}
		return nil, errors.New(`is no JSON list, write [{"app_id":"…","secret":"…","kind":"…"}]`)
	}
	if _, err := dec.ReadToken(); err != nil {
		return syntax(err)
	}
	var apps []WeChatApp
	var wrong problems
	index := make(map[string]int) // app_id → index
	for i := 0; dec.PeekKind() != ']'; i++ {
		value, err := dec.ReadValue()
		if err != nil {
			return syntax(err)
		}
		app, found := parseWeChatApp(value, load)
		for _, problem := range found {
			wrong = append(wrong, fmt.Sprintf("[%d]%s", i, problem))
		}
		apps = append(apps, app)
		if app.AppID == "" {
			continue // a problem already
		}
		if first, twice := index[app.AppID]; twice {
			wrong = append(wrong, fmt.Sprintf("[%d].app_id is the same as [%d].app_id, leave one out", i, first))
			continue
		}
		index[app.AppID] = i
	}
	if _, err := dec.ReadToken(); err != nil {
		return syntax(err)
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errors.New("goes on after its JSON list, remove the rest")
	}
	if len(apps) > maxWeChatApps {
		wrong = append(wrong, fmt.Sprintf("has %d apps, leave out all but %d", len(apps), maxWeChatApps))
	}
	return apps, wrong.err()
}

// parseWeChatApp parses one element of the list. A problem begins with the member (".kind …"), or with a space if it is
// about the whole element. A member with a problem is empty in the result.
func parseWeChatApp(value jsontext.Value, load func(raw string) (string, error)) (WeChatApp, problems) {
	if value.Kind() != '{' {
		return WeChatApp{}, problems{` is no object, write {"app_id":"…","secret":"…","kind":"…"}`}
	}
	members, wrong := stringMembers(value, "app_id", "secret", "kind", "group")
	if _, ok := members["group"]; !ok {
		members["group"] = new("")
	}
	member := func(name string, parse func(v string) (string, error)) string {
		v, ok := members[name]
		if !ok {
			wrong = append(wrong, fmt.Sprintf(".%s is missing, add it", name))
		}
		if v == nil {
			return ""
		}
		parsed, err := parse(*v)
		if err != nil {
			wrong = append(wrong, fmt.Sprintf(".%s %s", name, err))
			return ""
		}
		return parsed
	}
	app := WeChatApp{
		AppID:  member("app_id", parseWeChatID),
		Secret: Secret(member("secret", func(v string) (string, error) { return parseWeChatSecret(v, load) })),
		Kind:   WeChatKind(member("kind", parseWeChatKind)),
		Group:  member("group", parseWeChatGroup),
	}
	return app, wrong
}

func isWeChatID(v string) bool { return len(v) <= maxWeChatID && wechatIDPattern.MatchString(v) }

func parseWeChatID(v string) (string, error) {
	if !isWeChatID(v) {
		return "", errors.New("is not 1 to 64 letters, digits, _ and -, copy it from WeChat")
	}
	return v, nil
}

func parseWeChatSecret(v string, load func(raw string) (string, error)) (string, error) {
	v, err := load(v)
	if err != nil {
		return "", fmt.Errorf("is unusable: %w", err)
	}
	if v == "" || len(v) > maxWeChatSecret || !isVisibleASCII(v) {
		return "", fmt.Errorf("is not 1 to %d characters of printable ASCII without spaces, copy it from WeChat", maxWeChatSecret)
	}
	return v, nil
}

func parseWeChatKind(v string) (string, error) {
	switch WeChatKind(v) {
	case WeChatMobile, WeChatWebsite, WeChatMiniProgram, WeChatOfficialAccount:
		return v, nil
	}
	return "", errors.New("is unknown, write mobile, website, mini_program or official_account")
}

func parseWeChatGroup(v string) (string, error) {
	if v != "" && !isWeChatID(v) {
		return "", errors.New("is not up to 64 letters, digits, _ and -, choose another name")
	}
	return v, nil
}

// stringMembers reads a JSON object that may have members of the given names, all strings. A member of another type
// is nil in the result, so that it is not reported as missing too.
func stringMembers(object jsontext.Value, names ...string) (map[string]*string, problems) {
	members := make(map[string]*string)
	var wrong problems
	dec := jsontext.NewDecoder(strings.NewReader(string(object)), jsontext.AllowDuplicateNames(true))
	if _, err := dec.ReadToken(); err != nil {
		return members, problems{" is not valid JSON, correct it"}
	}
	for dec.PeekKind() != '}' {
		token, err := dec.ReadToken()
		if err != nil {
			return members, problems{" is not valid JSON, correct it"}
		}
		name := token.String() // before the next read, which invalidates the token
		value, err := dec.ReadValue()
		if err != nil {
			return members, problems{" is not valid JSON, correct it"}
		}
		_, twice := members[name]
		switch {
		case !slices.Contains(names, name):
			wrong = append(wrong, fmt.Sprintf(" has the unknown member %s, use %s", quote(name), strings.Join(names, ", ")))
		case twice:
			wrong = append(wrong, fmt.Sprintf(".%s is there twice, keep one", name))
		case value.Kind() != '"':
			wrong = append(wrong, fmt.Sprintf(".%s is no string, write it in quotes", name))
			members[name] = nil
		default:
			members[name] = new(unquote(value))
		}
	}
	return members, wrong
}
