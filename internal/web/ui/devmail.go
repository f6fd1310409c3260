package ui

import (
	"fmt"
	"io"
	"time"
)

// DevMail is the dev inbox. It holds the text of every message, so that scripts can look for it.
type DevMail struct {
	Messages []DevMessage // newest first
}

// State changes when a message comes; the page's script compares it.
func (v DevMail) State() string {
	newest := int64(0)
	if len(v.Messages) > 0 {
		newest = v.Messages[0].ID
	}
	return fmt.Sprintf("%d %d", len(v.Messages), newest)
}

// Render writes the page.
func (v DevMail) Render(w io.Writer) error { return renderDev(w, "dev-inbox", v) }

// DevMessage is one message of the dev inbox, and the page that shows it.
type DevMessage struct {
	ID      int64
	To      string
	Subject string
	Text    string
	HTML    string // empty: there is none; shown from an address of its own, without scripts
	Code    string // empty: there is none
	Date    time.Time
}

// Render writes the page.
func (v DevMessage) Render(w io.Writer) error { return renderDev(w, "dev-message", v) }

func renderDev(w io.Writer, name string, view any) error {
	if err := pages()["dev_mail"].ExecuteTemplate(w, name, view); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	return nil
}
