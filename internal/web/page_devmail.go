package web

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/web/ui"
)

// DevMessage is a message of the dev inbox.
type DevMessage struct {
	To      string
	Subject string
	Text    string
	Date    time.Time
}

type wireDevMessage struct {
	To      string        `json:"to"`
	Subject string        `json:"subject"`
	Text    string        `json:"text"`
	Date    latchkey.Time `json:"date"`
}

// devMail shows every message, as a page or, to whoever asks for JSON, as a list.
func (s *Server) devMail(c *call) error {
	messages := s.cfg.DevInbox()
	if strings.HasPrefix(c.r.Header.Get("Accept"), "application/json") {
		list := make([]wireDevMessage, 0, len(messages))
		for _, m := range messages {
			list = append(list, wireDevMessage{m.To, m.Subject, m.Text, latchkey.Time(m.Date)})
		}
		return c.json(http.StatusOK, list)
	}
	var view ui.DevMail
	for _, m := range messages {
		view.Messages = append(view.Messages, ui.DevMessage(m))
	}
	return c.page(view)
}

// pagePolicy lets a page show itself and nothing else.
const pagePolicy = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// page answers with a page.
func (c *call) page(view interface{ Render(w io.Writer) error }) error {
	var b bytes.Buffer
	if err := view.Render(&b); err != nil {
		return err
	}
	h := c.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Referrer-Policy", "no-referrer")
	_, _ = c.w.Write(b.Bytes())
	return nil
}
