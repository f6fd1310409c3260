package mail

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html"
	htmltemplate "html/template"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	texttemplate "text/template"
	"text/template/parse"
	"time"
	"unicode/utf8"

	"github.com/ideaegg/latchkey/internal/auth"
)

// Templates are two files for each kind of letter and language: KIND.LANGUAGE.txt, whose first line is the subject, and
// KIND.LANGUAGE.html, which layout.html puts a page around; parts.html has what several of these use.
//
//go:embed templates
var templateFiles embed.FS

const (
	layoutFile = "layout.html"
	partsFile  = "parts.html"
)

// kindTest is the letter of a test by the operator; it has a template in English alone.
const kindTest auth.MailKind = "test"

var (
	kinds = []auth.MailKind{
		auth.MailResetPassword, auth.MailVerifyEmail, auth.MailConfirmSignUp, auth.MailAddressTaken, auth.MailPasswordChanged, auth.MailEmailChanged, auth.MailNewDevice,
	}
	languages = []auth.Language{auth.English, auth.SimplifiedChinese}
)

// page names the templates of a kind in a language.
type page struct {
	kind     auth.MailKind
	language auth.Language
}

func (p page) text() string { return string(p.kind) + "." + string(p.language) + ".txt" }
func (p page) html() string { return string(p.kind) + "." + string(p.language) + ".html" }

func pages() []page {
	list := []page{{kindTest, auth.English}}
	for _, k := range kinds {
		for _, l := range languages {
			list = append(list, page{k, l})
		}
	}
	return list
}

// hasLink and hasCode say what a kind is for: without it a letter is useless.
func (p page) hasLink() bool {
	return p.hasCode() || p.kind == auth.MailEmailChanged || p.kind == auth.MailAddressTaken
}

func (p page) hasCode() bool {
	return p.kind == auth.MailResetPassword || p.kind == auth.MailVerifyEmail || p.kind == auth.MailConfirmSignUp
}

// templates put letters into words.
type templates struct {
	appName string
	text    map[page]*texttemplate.Template
	html    map[page]*htmltemplate.Template
}

// newTemplates reads the templates; files of overrides take the place of those in the program. If there are any, every
// template is tried: the error names the file that cannot be used, and why.
func newTemplates(appName string, overrides fs.FS) (*templates, error) {
	own, err := fs.Sub(templateFiles, "templates")
	if err != nil {
		return nil, fmt.Errorf("mail templates: %w", err)
	}
	files, overridden, err := readTemplates(own, overrides)
	if err != nil {
		return nil, err
	}
	t := &templates{appName: appName, text: make(map[page]*texttemplate.Template), html: make(map[page]*htmltemplate.Template)}
	frame := htmltemplate.New(layoutFile).Funcs(htmltemplate.FuncMap{"button": newButton})
	if _, err := frame.Parse(files[layoutFile]); err != nil {
		return nil, templateError(layoutFile, err)
	}
	if _, err := frame.New(partsFile).Parse(files[partsFile]); err != nil {
		return nil, templateError(partsFile, err)
	}
	for _, p := range pages() {
		if t.text[p], err = texttemplate.New(p.text()).Parse(files[p.text()]); err != nil {
			return nil, templateError(p.text(), err)
		}
		if t.html[p], err = parsePage(frame, p.html(), files[p.html()]); err != nil {
			return nil, templateError(p.html(), err)
		}
	}
	if len(overridden) > 0 {
		return t, t.check(overridden)
	}
	return t, nil
}

// parsePage returns the frame with the page as its content.
func parsePage(frame *htmltemplate.Template, name, source string) (*htmltemplate.Template, error) {
	t, err := frame.Clone()
	if err != nil {
		return nil, err
	}
	content, err := t.New(name).Parse(source) // under its own name, which is in errors
	if err != nil {
		return nil, err
	}
	if content.Tree == nil || parse.IsEmptyTree(content.Tree.Root) {
		return nil, errors.New("it is empty")
	}
	_, err = t.AddParseTree("content", content.Tree)
	return t, err
}

// CheckTemplates returns nil if New would take the templates.
func CheckTemplates(appName string, overrides fs.FS) error {
	_, err := newTemplates(appName, overrides)
	return err
}

// readTemplates returns all files by name, and which of them are not the program's own.
func readTemplates(own, overrides fs.FS) (files map[string]string, overridden []string, err error) {
	files = make(map[string]string)
	entries, err := fs.ReadDir(own, ".")
	if err != nil {
		return nil, nil, fmt.Errorf("mail templates: %w", err)
	}
	for _, e := range entries {
		if files[e.Name()], err = readTemplate(own, e.Name()); err != nil {
			return nil, nil, err
		}
	}
	if overrides == nil {
		return files, nil, nil
	}
	if entries, err = fs.ReadDir(overrides, "."); err != nil {
		return nil, nil, fmt.Errorf("cannot be read: %w", reason(err))
	}
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") { // what file managers, version control and mounted volumes leave
			continue
		}
		if _, known := files[name]; !known {
			return nil, nil, templateError(name, errors.New("there is no such template, see latchkey mail templates for their names"))
		}
		if files[name], err = readTemplate(overrides, name); err != nil {
			return nil, nil, err
		}
		overridden = append(overridden, name)
	}
	return files, overridden, nil
}

const largestTemplate = 256 << 10

func readTemplate(from fs.FS, name string) (string, error) {
	b, err := fs.ReadFile(from, name)
	switch {
	case err != nil:
		return "", templateError(name, reason(err))
	case len(b) > largestTemplate:
		return "", templateError(name, fmt.Errorf("it is larger than %d KiB", largestTemplate>>10))
	case !utf8.Valid(b):
		return "", templateError(name, errors.New("it is not in UTF-8"))
	}
	return strings.ReplaceAll(strings.TrimPrefix(string(b), "\ufeff"), "\r\n", "\n"), nil
}

// reason takes the path out of a file error.
func reason(err error) error {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		return at.Err
	}
	return err
}

// templateError names the file, once, and is one line.
func templateError(file string, err error) error {
	text := oneLine(err.Error(), 500)
	for _, prefix := range []string{"template: ", "html/template: ", "html/template:"} {
		text = strings.TrimPrefix(text, prefix)
	}
	if strings.HasPrefix(text, file+":") {
		return errors.New(text)
	}
	return fmt.Errorf("%s: %s", file, text)
}

// render puts a letter into words.
func (t *templates) render(l auth.Letter) (Message, error) {
	if !slices.Contains(languages, l.Origin.Language) {
		l.Origin.Language = auth.English
	}
	p := page{l.Kind, l.Origin.Language}
	if t.text[p] == nil {
		return Message{}, fmt.Errorf("render %s letter: there is no template", l.Kind)
	}
	m, _, err := t.renderPage(p, l)
	if err != nil {
		return Message{}, fmt.Errorf("render %s letter: %w", l.Kind, err)
	}
	return m, nil
}

// renderPage returns the message, or the file whose fault it is that there is none.
func (t *templates) renderPage(p page, l auth.Letter) (m Message, blame string, err error) {
	view, err := newView(t.appName, l)
	if err != nil {
		return Message{}, p.text(), err
	}
	var b bytes.Buffer
	if err := t.text[p].Execute(&b, view); err != nil {
		return Message{}, p.text(), err
	}
	subject, rest, _ := strings.Cut(b.String(), "\n")
	subject = strings.TrimSpace(subject)
	next, body, _ := strings.Cut(rest, "\n")
	switch {
	case subject == "":
		return Message{}, p.text(), errors.New("its first line, the subject, is empty")
	case strings.TrimSpace(next) != "":
		return Message{}, p.text(), errors.New("its second line is not empty: the subject is the first line alone")
	case strings.TrimSpace(body) == "":
		return Message{}, p.text(), errors.New("it has no text after the subject")
	}
	view.Subject = subject
	b = bytes.Buffer{}
	if err := t.html[p].Execute(&b, view); err != nil {
		return Message{}, p.html(), err
	}
	return Message{
		ID: l.ID, To: l.To,
		Subject: strings.ReplaceAll(oneLine(subject, 200), "=?", "= ?"), // which would begin an encoded word
		Text:    strings.TrimLeft(body, "\n"), HTML: b.String(),
		Language: l.Origin.Language, Link: l.Link, Code: l.Code,
	}, "", nil
}

// check tries every template with a full letter and with one in which all is empty that can be.
func (t *templates) check(overridden []string) error {
	const link, code = "https://app.example.com/account/page?token=0123456789abcdefghijklmnopqrstuv", "31415926"
	for _, p := range pages() {
		full := auth.Letter{
			Kind: p.kind, To: "john@example.com", Username: "john_smith", NewEmail: "smith@example.com", Link: link, Code: code,
			At: time.Unix(0, 0), LinkTTL: 30 * time.Minute,
			Origin: auth.Origin{Address: netip.IPv6Loopback(), UserAgent: "sample/1.0", Language: p.language},
		}
		bare := full
		bare.Origin = auth.Origin{Language: p.language}
		for _, letter := range []auth.Letter{full, bare} {
			m, blame, err := t.renderPage(p, letter)
			if err != nil {
				return templateError(blame, err)
			}
			if err := p.complete(m.Text, link, code); err != nil {
				return templateError(p.text(), err)
			}
			if err := p.complete(html.UnescapeString(m.HTML), link, code); err != nil {
				return templateError(culprit(p, overridden), err)
			}
		}
	}
	return nil
}

// complete says what a letter lacks that it is useless without.
func (p page) complete(body, link, code string) error {
	_, after, found := strings.Cut(body, link)
	switch {
	case p.hasLink() && !found:
		return errors.New("the link is missing, write {{.Link}} where it belongs")
	case p.hasLink() && after != "" && !strings.ContainsAny(after[:1], " \n\"'<"):
		return errors.New("something is right behind the link and would become a part of it, write a space or a line break after {{.Link}}")
	case p.hasCode() && !strings.Contains(body, code):
		return errors.New("the code is missing, write {{.Code}} where it belongs")
	}
	return nil
}

// culprit is the file to name when a page lacks something: the page itself, unless it is the program's own.
func culprit(p page, overridden []string) string {
	for _, name := range []string{p.html(), layoutFile, partsFile} {
		if slices.Contains(overridden, name) {
			return name
		}
	}
	return p.html()
}

// button is what the template "button" takes.
type button struct{ Link, Label string }

func newButton(link, label string) button { return button{link, label} }

// WriteTemplates writes the program's own templates into a folder, which is made if it is missing, and returns their
// paths. A file that is there already is an error, and nothing is written then.
func WriteTemplates(dir string) (paths []string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	entries, err := templateFiles.ReadDir("templates")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s is there already", path)
		}
		paths = append(paths, path)
	}
	for i, e := range entries {
		b, err := templateFiles.ReadFile("templates/" + e.Name())
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(paths[i], b, 0o644); err != nil {
			return nil, err
		}
	}
	return paths, nil
}
