package mail

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ideaegg/latchkey/internal/auth"
)

// letterView is what templates may use. Everything in it is one line of plain text; what is not known, or what the kind of
// letter does not have, is empty.
type letterView struct {
	App      string // the app's name
	Username string
	Link     string // what the button does
	Code     string // 8 digits that do the same in the app
	ValidFor string // how long after the request link and code work, "30 minutes"
	NewEmail string // the address that took the place of this one, shortened: "j…@example.com"
	Time     string // when it was asked for or done
	Address  string // IP address of whoever did
	Device   string // roughly, of whoever did: "Chrome on Windows"
	Language string // of the letter, as BCP 47 tag
	Subject  string // in HTML only
}

func newView(appName string, l auth.Letter) (letterView, error) {
	v := letterView{
		App:      oneLine(appName, 100),
		Username: oneLine(l.Username, 100),
		Link:     l.Link,
		Code:     oneLine(l.Code.Reveal(), 20),
		ValidFor: duration(l.LinkTTL, l.Origin.Language),
		NewEmail: shortAddress(oneLine(l.NewEmail, 254)),
		Time:     moment(l.At, l.Origin.Language),
		Device:   deviceName(l.Origin.UserAgent, l.Origin.Language),
		Language: string(l.Origin.Language),
	}
	if l.Origin.Address.IsValid() {
		v.Address = l.Origin.Address.Unmap().WithZone("").String()
	}
	if strings.ContainsFunc(l.Link, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return letterView{}, errors.New("the link is no URL")
	}
	return v, nil
}

// shortAddress shows as much of an address as its owner needs to know it again: the old mailbox may be an employer's.
func shortAddress(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 1 {
		return ""
	}
	_, size := utf8.DecodeRuneInString(address)
	return address[:size] + "…" + address[at:]
}

// moment says when something was; Chinese readers are told the time of their zone, too.
func moment(t time.Time, language auth.Language) string {
	const form = "2006-01-02 15:04"
	utc := t.UTC().Format(form) + " UTC"
	if language == auth.SimplifiedChinese {
		return t.In(beijing).Format(form) + " 北京时间（" + utc + "）"
	}
	return utc
}

// beijing has had no summer time since 1991.
var beijing = time.FixedZone("CST", 8*60*60)

// duration says a time in the largest unit in which it is a whole number: minutes, hours or days.
func duration(d time.Duration, language auth.Language) string {
	unit, n := 0, int(d/time.Minute)
	switch {
	case n <= 0:
		return ""
	case n%(24*60) == 0 && n > 24*60:
		unit, n = 2, n/(24*60)
	case n%60 == 0:
		unit, n = 1, n/60
	}
	if language == auth.SimplifiedChinese {
		return fmt.Sprint(n, " ", [...]string{"分钟", "小时", "天"}[unit])
	}
	word := [...]string{"minute", "hour", "day"}[unit]
	if n != 1 {
		word += "s"
	}
	return fmt.Sprint(n, " ", word)
}

// ComposeTest returns a message by which an operator finds out whether mail arrives. The error is that of CheckTemplates.
func ComposeTest(appName string, overrides fs.FS, from, to string, now time.Time) (Message, error) {
	t, err := newTemplates(appName, overrides)
	if err != nil {
		return Message{}, err
	}
	m, err := t.render(auth.Letter{Kind: kindTest, To: to, At: now, Origin: auth.Origin{Language: auth.English}})
	if err != nil {
		return Message{}, err
	}
	m.From, m.Date = from, now.UTC()
	return m, nil
}
