// Package ui holds the pages that people see, one typed view each, in every language of its catalogs. No page needs a
// script or another host; only the dev inbox has a script, which it can do without.
//
// A page stands directly under /account/ and names everything there by relative addresses, so that it also works behind
// a proxy that puts a path in front.
package ui

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"path"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/ideaegg/latchkey/internal/auth"
)

//go:embed templates static catalog
var files embed.FS

// pages are the templates by the name of their page: each has the layout, the parts and its own "main".
// They are parsed when the first one is asked for: most starts of the program need none.
var pages = sync.OnceValue(parsePages)

func parsePages() map[string]*template.Template {
	shared := template.Must(template.ParseFS(files, "templates/layout.html", "templates/parts.html"))
	names, err := files.ReadDir("templates")
	if err != nil {
		panic(err) // embedded
	}
	all := make(map[string]*template.Template)
	for _, entry := range names {
		page := template.Must(template.Must(shared.Clone()).ParseFS(files, path.Join("templates", entry.Name())))
		all[strings.TrimSuffix(entry.Name(), ".html")] = page
	}
	return all
}

// render writes a page in the layout.
func render(w io.Writer, name string, view any) error {
	if err := pages()[name].ExecuteTemplate(w, "layout", view); err != nil {
		return fmt.Errorf("render page %s: %w", name, err)
	}
	return nil
}

// Static returns a file that pages refer to: style.css, icon.svg, devmail.css, devmail.js. It panics for any other name.
func Static(name string) []byte {
	b, err := files.ReadFile("static/" + name)
	if err != nil {
		panic(err) // embedded
	}
	return b
}

// Site is what all pages of an installation have in common.
type Site struct {
	AppName           string
	AppURL            template.URL // of the link back to the app, which is trusted; empty: there is no link
	HasLogo           bool         // it is at /account/logo
	PasswordMinLength int
}

// Initial is what stands for a logo where there is none: the app name's first letter or digit.
func (s Site) Initial() string {
	r, _ := utf8.DecodeRuneInString(s.AppName)
	if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
		return ""
	}
	return string(unicode.ToUpper(r))
}

// Page is what every page has.
type Page struct {
	Site
	Language auth.Language
	// Chosen is the language that was asked for by parameter, which goes along with links and forms; empty: none was.
	Chosen auth.Language
	Root   string // of /account/, relative to this page: "" or "../" a few times
	Token  string // of the link that was followed; it goes into hidden fields and nowhere else
	// NoSwitch leaves out the choice of language, on pages that cannot be asked for again.
	NoSwitch bool
}

// T returns a text of the catalog in the page's language. Pairs are the names and values of its placeholders; {app} is
// always known.
func (p Page) T(key string, pairs ...string) (string, error) {
	return catalogs.text(p.Language, key, append(pairs, "app", p.AppName))
}

// title is the page's title, in the form that all have.
func (p Page) title(key string, faults []Fault) (string, error) {
	text, err := p.T(key)
	if err != nil {
		return "", err
	}
	if len(faults) > 0 { // what a screen reader says first
		if text, err = p.T("page.error_title", "title", text); err != nil {
			return "", err
		}
	}
	return p.T("page.title", "title", text)
}

// To is the address of another page, in the language that was chosen.
func (p Page) To(name string) string {
	if p.Chosen != "" {
		name += "?lang=" + string(p.Chosen)
	}
	return p.Root + name
}

// Switch says whether the language can be chosen here.
func (p Page) Switch() bool { return !p.NoSwitch }

// BackFirst says whether the way back to the app is the page's button, and so not in its footer.
func (p Page) BackFirst() bool { return false }

// languageChoice is one entry of the choice of language.
type languageChoice struct {
	Tag     auth.Language
	Name    string // in that language
	Current bool
}

// Languages lists the languages in their own names.
func (p Page) Languages() []languageChoice {
	return []languageChoice{
		{auth.English, "English", p.Language == auth.English},
		{auth.SimplifiedChinese, "简体中文", p.Language == auth.SimplifiedChinese},
	}
}
