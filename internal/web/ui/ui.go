// Package ui holds the pages, one typed view each. No page needs a script or another host.
package ui

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"time"
)

//go:embed *.html
var files embed.FS

var pages = template.Must(template.ParseFS(files, "*.html"))

// DevMail is the dev inbox.
type DevMail struct {
	Messages []DevMessage // newest first
}

// DevMessage is one message of the dev inbox.
type DevMessage struct {
	To      string
	Subject string
	Text    string
	Date    time.Time
}

// Render writes the page.
func (v DevMail) Render(w io.Writer) error {
	if err := pages.ExecuteTemplate(w, "devmail.html", v); err != nil {
		return fmt.Errorf("render dev inbox: %w", err)
	}
	return nil
}
