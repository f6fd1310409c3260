package web

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/web/ui"
)

// DevMessage is a message of the dev inbox.
type DevMessage struct {
	ID      int64
	To      string
	Subject string
	Text    string
	HTML    string // empty: the message is text only
	Code    string // the one-time code in it; empty: there is none
	Date    time.Time
}

type wireDevMessage struct {
	To      string        `json:"to"`
	Subject string        `json:"subject"`
	Text    string        `json:"text"`
	Date    latchkey.Time `json:"date"`
	ID      int64         `json:"id"`
	HTML    string        `json:"html"`
	Code    string        `json:"code"`
}

func wireDev(m DevMessage) wireDevMessage {
	return wireDevMessage{m.To, m.Subject, m.Text, latchkey.Time(m.Date), m.ID, m.HTML, m.Code}
}

// devRoutes are those of the dev inbox.
func (s *Server) devRoutes() []route {
	return []route{
		{http.MethodGet, "/dev/mail", outside, s.devMail},
		{http.MethodGet, "/dev/mail.css", outside, asset("text/css; charset=utf-8", ui.Static("devmail.css"))},
		{http.MethodGet, "/dev/mail.js", outside, asset("text/javascript; charset=utf-8", ui.Static("devmail.js"))},
		{http.MethodGet, "/dev/mail/{id}", outside, s.devMessage},
	}
}

// devPolicy is pagePolicy with the dev inbox's own script, what that fetches, and frames for the HTML of messages.
const devPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; frame-src 'self'; " +
	"form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

// devMail shows every message, as a page or, to whoever asks for JSON, as a list.
func (s *Server) devMail(c *call) error {
	messages := s.cfg.DevInbox()
	if c.wantsJSON() {
		list := make([]wireDevMessage, 0, len(messages))
		for _, m := range messages {
			list = append(list, wireDev(m))
		}
		return c.json(http.StatusOK, list)
	}
	var view ui.DevMail
	for _, m := range messages {
		view.Messages = append(view.Messages, ui.DevMessage(m))
	}
	return c.page(http.StatusOK, devPolicy, view)
}

// devMessage shows one message; its HTML alone is at <id>.html.
func (s *Server) devMessage(c *call) error {
	number, asHTML := strings.CutSuffix(c.wildcard, ".html")
	id, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return auth.ErrNotFound
	}
	for _, m := range s.cfg.DevInbox() {
		switch {
		case m.ID != id:
		case asHTML:
			return c.mailHTML(m.HTML)
		case c.wantsJSON():
			return c.json(http.StatusOK, wireDev(m))
		default:
			return c.page(http.StatusOK, devPolicy, ui.DevMessage(m))
		}
	}
	return auth.ErrNotFound
}

func (c *call) wantsJSON() bool {
	return strings.HasPrefix(c.r.Header.Get("Accept"), "application/json")
}

// mailPolicy shows the HTML of a message as a mail program would: no script, no form, nothing from any other host. Its
// links open in new tabs, which are no part of the sandbox.
const mailPolicy = "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; " +
	"form-action 'none'; frame-ancestors 'self'"

var headTag = regexp.MustCompile(`(?i)<head[^>]*>`)

func (c *call) mailHTML(html string) error {
	const newTabs = `<base target="_blank">`
	if at := headTag.FindStringIndex(html); at != nil {
		html = html[:at[1]] + newTabs + html[at[1]:]
	} else {
		html = newTabs + html
	}
	return c.html(http.StatusOK, mailPolicy, []byte(html))
}
