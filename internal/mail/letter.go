package mail

import (
	"bytes"
	"embed"
	"fmt"
	"strings"
	"text/template"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

//go:embed templates
var templateFiles embed.FS

// Message is a letter in words, for one recipient.
type Message struct {
	ID      auth.MessageID
	From    string // RFC 5322 mailbox
	To      string // address
	Subject string
	Text    string
	Date    time.Time
}

// templates holds for every kind and language one text: its first line is the subject, the rest the body.
type templates struct {
	byName  *template.Template
	appName string
}

func newTemplates(appName string) (*templates, error) {
	t, err := template.New("").Option("missingkey=error").ParseFS(templateFiles, "templates/*.txt")
	if err != nil {
		return nil, fmt.Errorf("parse mail templates: %w", err)
	}
	return &templates{byName: t, appName: appName}, nil
}

// letterView is what a template may use. Everything in it is one line of plain text.
type letterView struct {
	App      string
	Username string
	Link     string
	Code     string
	Minutes  int
	Address  string // of whoever asked; may be empty
	Device   string // of whoever asked, as it calls itself; may be empty
	At       string
}

// render puts a letter into words.
func (t *templates) render(l auth.Letter) (subject, body string, err error) {
	language := l.Origin.Language
	if language != auth.SimplifiedChinese {
		language = auth.English
	}
	view := letterView{
		App:      t.appName,
		Username: l.Username,
		Link:     l.Link,
		Code:     l.Code.Reveal(),
		Minutes:  int(l.LinkTTL.Minutes()),
		Device:   shortDevice(l.Origin.UserAgent),
		At:       l.At.UTC().Format("2006-01-02 15:04 UTC"),
	}
	if l.Origin.Address.IsValid() {
		view.Address = l.Origin.Address.String()
	}
	var b bytes.Buffer
	if err := t.byName.ExecuteTemplate(&b, string(l.Kind)+"."+string(language)+".txt", view); err != nil {
		return "", "", fmt.Errorf("render %s letter: %w", l.Kind, err)
	}
	subject, body, _ = strings.Cut(b.String(), "\n")
	return strings.TrimSpace(subject), strings.TrimLeft(body, "\n"), nil
}

// shortDevice is as much of a User-Agent as tells people whether it was theirs. A full one is two lines of noise, and
// what an attacker writes there should not fill a screen.
func shortDevice(userAgent string) string {
	const most = 60
	runes := []rune(strings.Join(strings.Fields(userAgent), " "))
	if len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return string(runes)
}
