package mail_test

import (
	"fmt"
	"html"
	"io/fs"
	"mime"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/mail"
)

var kinds = []auth.MailKind{
	auth.MailResetPassword, auth.MailVerifyEmail, auth.MailConfirmSignUp, auth.MailAddressTaken, auth.MailPasswordChanged, auth.MailEmailChanged, auth.MailNewDevice,
}

const chromeOnWindows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"

// letterOf is a letter as the service composes it.
func letterOf(kind auth.MailKind, language auth.Language) auth.Letter {
	l := auth.Letter{
		ID: 7, Kind: kind, To: "john@example.org", Username: "john_smith", At: time.Date(2026, 6, 6, 14, 20, 57, 0, time.UTC),
		Origin: auth.Origin{Address: netip.MustParseAddr("192.0.2.7"), UserAgent: chromeOnWindows, Language: language},
	}
	switch kind {
	case auth.MailResetPassword:
		l.Link, l.Code, l.LinkTTL = link, code, 30*time.Minute
	case auth.MailVerifyEmail:
		l.Link, l.Code, l.LinkTTL = "https://accounts.example.com/account/verify_email?token="+token, code, 24*time.Hour
	case auth.MailConfirmSignUp:
		l.Link, l.Code, l.LinkTTL = "https://accounts.example.com/account/confirm_sign_up?token="+token, code, 24*time.Hour
	case auth.MailAddressTaken:
		l.Link = "https://accounts.example.com/account/forgot_password"
	case auth.MailEmailChanged:
		l.Link, l.LinkTTL = "https://accounts.example.com/account/undo_email_change?token="+token, 7*24*time.Hour
		l.NewEmail = "smith@example.net"
	}
	return l
}

// eachLetter runs the test for every kind of letter in every language.
func eachLetter(t *testing.T, test func(t *testing.T, l auth.Letter)) {
	t.Helper()
	for _, kind := range kinds {
		for _, language := range []auth.Language{auth.English, auth.SimplifiedChinese} {
			t.Run(fmt.Sprintf("%s in %s", kind, language), func(t *testing.T) {
				t.Parallel()
				test(t, letterOf(kind, language))
			})
		}
	}
}

func newTemplates(t *testing.T, appName string, overrides fs.FS) mail.Templates {
	t.Helper()
	templates, err := mail.NewTemplates(appName, overrides)
	if err != nil {
		t.Fatal(err)
	}
	return templates
}

func render(t *testing.T, templates mail.Templates, l auth.Letter) mail.Message {
	t.Helper()
	m, err := templates.Render(l)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestLettersAreGolden(t *testing.T) {
	t.Parallel()
	templates := newTemplates(t, "IdeaEgg", nil)
	eachLetter(t, func(t *testing.T, l auth.Letter) {
		m := render(t, templates, l)
		wantGolden(t, fmt.Sprintf("%s.%s.txt", l.Kind, l.Origin.Language), "Subject: "+m.Subject+"\n\n"+m.Text)
		wantGolden(t, fmt.Sprintf("%s.%s.html", l.Kind, l.Origin.Language), m.HTML)
	})
	t.Run("a whole message", func(t *testing.T) {
		t.Parallel()
		m := render(t, templates, letterOf(auth.MailResetPassword, auth.SimplifiedChinese))
		m.From, m.Date = "IdeaEgg <no-reply@accounts.example.com>", time.Date(2026, 6, 6, 14, 21, 0, 0, time.UTC)
		raw := strings.ReplaceAll(writeMessage(t, m, true), "\r\n", "\n")
		raw = regexp.MustCompile(`<[0-9A-Z]{26}@`).ReplaceAllString(raw, "<RANDOM@")
		raw = regexp.MustCompile(`[0-9a-f]{60}`).ReplaceAllString(raw, "BOUNDARY")
		wantGolden(t, "message.eml", raw)
	})
	t.Run("a test", func(t *testing.T) {
		t.Parallel()
		m, err := mail.ComposeTest("IdeaEgg", nil, "no-reply@accounts.example.com", "john@example.org", time.Date(2026, 6, 6, 14, 21, 0, 0, time.UTC))
		if err != nil || m.From != "no-reply@accounts.example.com" || m.To != "john@example.org" {
			t.Errorf("got %+v (%v)", m, err)
		}
		wantGolden(t, "test.en.txt", "Subject: "+m.Subject+"\n\n"+m.Text)
		wantGolden(t, "test.en.html", m.HTML)
	})
}

func wantGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(readFile(t, path), got); diff != "" {
		t.Errorf("%s (-want +got); go test ./internal/mail -update writes it anew:\n%s", path, diff)
	}
}

// What every letter must say, whatever its words.
func TestLettersSayWhatTheyMust(t *testing.T) {
	t.Parallel()
	templates := newTemplates(t, "IdeaEgg", nil)
	eachLetter(t, func(t *testing.T, l auth.Letter) {
		m := render(t, templates, l)
		if m.ID != l.ID || m.To != l.To || m.Language != l.Origin.Language || m.Link != l.Link || m.Code != l.Code {
			t.Errorf("got %#v, want what the letter has", m)
		}
		device, not := "Chrome on Windows", "If that was not you"
		if l.Origin.Language == auth.SimplifiedChinese {
			device, not = "Windows 上的 Chrome", "如果这不是您本人的操作"
		}
		page := html.UnescapeString(m.HTML)
		for _, body := range []string{m.Text, page} {
			for _, word := range []string{"IdeaEgg", "john_smith", "2026-06-06 14:20 UTC", "192.0.2.7", device, not, l.Link, l.Code.Reveal()} {
				if !strings.Contains(body, word) {
					t.Errorf("got no %q in\n%s", word, body)
				}
			}
			if strings.Contains(body, "smith@example.net") || l.NewEmail != "" && !strings.Contains(body, "s…@example.net") {
				t.Errorf("got a new address that is not shortened in\n%s", body)
			}
		}
		if !strings.Contains(m.Subject, "IdeaEgg") {
			t.Errorf("got subject %q, want the app's name in it", m.Subject)
		}
		if l.Link != "" && (!strings.Contains(m.Text, "\n"+l.Link+"\n") || strings.Count(page, l.Link) != 3) {
			t.Errorf("got no link on a line of its own, or not one button and one plain link:\n%s\n%s", m.Text, page)
		}
		if n := strings.Count(page, "<a "); l.Link == "" && n > 0 {
			t.Errorf("got %d links in a letter that has none", n)
		}
		for _, remote := range []string{"<img", "src=", "url(", "@import", "<script", "<link", "http-equiv"} {
			if strings.Contains(strings.ToLower(m.HTML), remote) {
				t.Errorf("got %q, want nothing that is loaded or run:\n%s", remote, m.HTML)
			}
		}
	})
}

// hostile is what people might call themselves, their app or their device.
var hostile = []string{
	"a\r\nBcc: mary@example.org\r\n\r\nhello", "a\nSubject: b", "<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`,
	"</title></style><a href=\"https://evil.example\">", "{{.Link}} {{template \"code\" .}}", "javascript:alert(1)", "\u202egnihsihp\u2066",
	"a\u2028b\u2029c\u0085d\u200be\ufefff", "\x00\x07\x1b[31m\x7f", "\xff\xfe broken", "--boundary--\r\n.\r\nQUIT", "=?utf-8?q?=0D=0ABcc=3A_x?=",
	strings.Repeat("W", 10_000), strings.Repeat("字", 5_000), strings.Repeat("\n", 10_000) + "x", strings.Repeat("a b", 4_000),
}

func TestHostileNamesInjectNothing(t *testing.T) {
	t.Parallel()
	templates := newTemplates(t, "IdeaEgg", nil)
	for i, name := range hostile {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			theirs := newTemplates(t, name, nil)
			eachLetter(t, func(t *testing.T, l auth.Letter) {
				tame := render(t, templates, l)
				l.Username, l.Origin.UserAgent = name, name
				if l.NewEmail != "" {
					l.NewEmail = name + "@example.net"
				}
				m := render(t, theirs, l)
				m.From = `"Example" <no-reply@accounts.example.com>`
				for _, eightBit := range []bool{true, false} {
					header, text, page := parse(t, writeMessage(t, m, eightBit))
					if len(header) != 10 || len(header["To"]) != 1 || len(header["Subject"]) != 1 {
						t.Errorf("got headers %v, want the usual ten", header)
					}
					subject, err := new(mime.WordDecoder).DecodeHeader(header.Get("Subject"))
					if err != nil || !strings.Contains(m.Subject, subject) || strings.ContainsFunc(subject, unicode.IsControl) {
						t.Errorf("got subject %q (%v), want %q", subject, err, m.Subject)
					}
					if got, want := strings.Count(text, "\n"), strings.Count(tame.Text, "\n"); got != want {
						t.Errorf("got %d lines of text, want %d:\n%s", got, want, text)
					}
					if got, want := tags(page), tags(tame.HTML); !slices.Equal(got, want) {
						t.Errorf("got tags %v, want %v", got, want)
					}
					if strings.ContainsFunc(text+page, func(r rune) bool {
						return r != '\n' && r < ' ' || r == 0x7f || r == '\u202e' || r == '\u2066' || r == '\u2028' || r == '\ufffd'
					}) {
						t.Errorf("got control characters in\n%q\n%q", text, page)
					}
					if len(text) > 6000 || len(page) > 16000 {
						t.Errorf("got %d bytes of text and %d of HTML", len(text), len(page))
					}
				}
			})
		})
	}
}

// tags lists the tags of a page with their attributes, but for the link's value.
func tags(page string) []string {
	return regexp.MustCompile(`<[^>]*>`).FindAllString(page, -1)
}

func TestLetterLanguageFallsBackToEnglish(t *testing.T) {
	t.Parallel()
	templates := newTemplates(t, "IdeaEgg", nil)
	for _, language := range []auth.Language{"", "de", "zh"} {
		l := letterOf(auth.MailResetPassword, language)
		if m := render(t, templates, l); m.Subject != "Reset your IdeaEgg password" || m.Language != auth.English {
			t.Errorf("%q: got subject %q in %s, want the English one", language, m.Subject, m.Language)
		}
	}
	if _, err := templates.Render(letterOf("birthday", auth.English)); err == nil {
		t.Error("got no error for a kind that does not exist")
	}
	l := letterOf(auth.MailResetPassword, auth.English)
	l.Link = "https://a.example/\r\nBcc: x"
	if _, err := templates.Render(l); err == nil {
		t.Error("got no error for a link of several lines")
	}
}

func TestLetterSaysHowLongTheLinkIsGood(t *testing.T) {
	t.Parallel()
	templates := newTemplates(t, "IdeaEgg", nil)
	for _, test := range []struct {
		ttl              time.Duration
		english, chinese string
	}{
		{time.Minute, "within 1 minute of", " 1 分钟内"},
		{30 * time.Minute, "within 30 minutes of", " 30 分钟内"},
		{90 * time.Minute, "within 90 minutes of", " 90 分钟内"},
		{time.Hour, "within 1 hour of", " 1 小时内"},
		{24 * time.Hour, "within 24 hours of", " 24 小时内"},
		{7 * 24 * time.Hour, "within 7 days of", " 7 天内"},
	} {
		for language, want := range map[auth.Language]string{auth.English: test.english, auth.SimplifiedChinese: test.chinese} {
			l := letterOf(auth.MailResetPassword, language)
			l.LinkTTL = test.ttl
			if m := render(t, templates, l); !strings.Contains(m.Text, want) || !strings.Contains(m.HTML, want) {
				t.Errorf("got no %q in\n%s", want, m.Text)
			}
		}
	}
}

func TestTemplatesCanBeOverridden(t *testing.T) {
	t.Parallel()
	overrides := fstest.MapFS{
		"reset_password.en.txt":     {Data: []byte("\ufeffNew password, {{.Username}}?\r\n\r\nHere: {{.Link}} {{.Code}}\r\n")},
		"reset_password.zh-CN.html": {Data: []byte("<p>{{.Link}} {{.Code}}</p>\n")},
		"layout.html":               {Data: []byte("<html><title>{{.Subject}}</title>ours {{template \"content\" .}}</html>\n")},
		".DS_Store":                 {Data: []byte("x")},
		"..data/x":                  {Data: []byte("x")},
	}
	templates := newTemplates(t, "IdeaEgg", overrides)
	get := func(kind auth.MailKind, language auth.Language) mail.Message {
		return render(t, templates, letterOf(kind, language))
	}
	if m := get(auth.MailResetPassword, auth.English); m.Subject != "New password, john_smith?" || m.Text != "Here: "+link+" 31415926\n" ||
		!strings.HasPrefix(m.HTML, "<html><title>New password, john_smith?</title>ours <p>Hello john_smith") {
		t.Errorf("got %q, %q, %q", m.Subject, m.Text, m.HTML)
	}
	if m := get(auth.MailResetPassword, auth.SimplifiedChinese); m.HTML != "<html><title>重置您的 IdeaEgg 密码</title>ours <p>"+link+" 31415926</p>\n</html>\n" {
		t.Errorf("got %q", m.HTML)
	}
	if m := get(auth.MailNewDevice, auth.English); m.Subject != "New sign-in to your IdeaEgg account" {
		t.Errorf("got subject %q, want the program's own", m.Subject)
	}
}

func TestTemplatesThatCannotBeUsedAreRefused(t *testing.T) {
	t.Parallel()
	good := "S\n\n{{.Link}}\n{{.Code}}\n"
	tests := []struct {
		name, file, content, says string
	}{
		{"unknown name", "reset.en.txt", good, "reset.en.txt: there is no such template"},
		{"unknown language", "reset_password.de.txt", good, "reset_password.de.txt: there is no such template"},
		{"name in another case", "Layout.html", "x", "Layout.html: there is no such template"},
		{"copy of an editor", "layout.html~", "x", "layout.html~: there is no such template"},
		{"text that cannot be parsed", "reset_password.en.txt", "S\n\n{{.Link}\n", "reset_password.en.txt:3: "},
		{"HTML that cannot be parsed", "reset_password.en.html", "{{if}}", "reset_password.en.html:1: "},
		{"layout that cannot be parsed", "layout.html", "{{end}}", "layout.html:1: "},
		{"parts that cannot be parsed", "parts.html", "{{define}}", "parts.html:1: "},
		{"unknown member", "new_device.en.txt", "S\n\n{{.Password}}", "new_device.en.txt:3:"},
		{"unknown member in HTML", "new_device.en.html", "{{.Password}}", "new_device.en.html:1:"},
		{"unknown function", "new_device.en.html", "{{env \"HOME\"}}", "function \"env\" not defined"},
		{"unknown template", "new_device.en.html", "{{template \"x\"}}", "new_device.en.html"},
		{"parts that are missing", "parts.html", "{{define \"button\"}}{{end}}", "no such template"},
		{"HTML that is in no context", "new_device.en.html", "<a href='{{if .Link}}\"{{end}}>x", "new_device.en.html"},
		{"empty file", "new_device.en.txt", "", "new_device.en.txt: its first line, the subject, is empty"},
		{"empty subject", "new_device.en.txt", "\nS\n\ntext\n", "new_device.en.txt: its first line, the subject, is empty"},
		{"subject that is empty for some", "new_device.en.txt", "{{.Device}}\n\ntext\n", "new_device.en.txt: its first line, the subject, is empty"},
		{"subject of two lines", "new_device.en.txt", "S\nT\n\ntext\n", "new_device.en.txt: its second line is not empty"},
		{"subject of two lines by a template", "new_device.en.txt", "S{{print \"\\n\"}}T\n\ntext\n", "new_device.en.txt: its second line is not empty"},
		{"no text", "new_device.en.txt", "S\n\n \n", "new_device.en.txt: it has no text"},
		{"no HTML", "new_device.en.html", "", "new_device.en.html"},
		{"text without the link", "reset_password.en.txt", "S\n\n{{.Code}}\n", "reset_password.en.txt: the link is missing"},
		{"text without the code", "verify_email.zh-CN.txt", "S\n\n{{.Link}}\n", "verify_email.zh-CN.txt: the code is missing"},
		{"text with a link that goes on", "email_changed.en.txt", "S\n\nOpen {{.Link}}.\n", "email_changed.en.txt: something is right behind the link"},
		{"HTML without the link", "email_changed.en.html", "<p>x</p>", "email_changed.en.html: the link is missing"},
		{"HTML without the code", "reset_password.en.html", "<p>{{.Link}}</p>", "reset_password.en.html: the code is missing"},
		{"link under a condition", "reset_password.en.txt", "S\n\n{{.Code}}{{if .Address}} {{.Link}} {{end}}\n", "reset_password.en.txt: the link is missing"},
		{"layout without the content", "layout.html", "<html>{{.Subject}}</html>", "layout.html: the link is missing"},
		{"button without the link", "parts.html", "{{define \"button\"}}{{end}}{{define \"code\"}}{{.}}{{end}}{{define \"link\"}}{{end}}", "parts.html: the link is missing"},
		{"another encoding", "layout.html", "\xd6\xd8", "layout.html: it is not in UTF-8"},
		{"too large", "layout.html", strings.Repeat("x", 300<<10), "layout.html: it is larger than 256 KiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := mail.CheckTemplates("IdeaEgg", fstest.MapFS{tt.file: {Data: []byte(tt.content)}})
			if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got error %v, want one line that says %q", err, tt.says)
			}
		})
	}
	t.Run("folder in the place of a file", func(t *testing.T) {
		t.Parallel()
		err := mail.CheckTemplates("IdeaEgg", fstest.MapFS{"layout.html/x": {}})
		if err == nil || !strings.HasPrefix(err.Error(), "layout.html: ") {
			t.Errorf("got error %v, want one about layout.html", err)
		}
	})
	t.Run("no folder", func(t *testing.T) {
		t.Parallel()
		if err := mail.CheckTemplates("IdeaEgg", os.DirFS(filepath.Join(t.TempDir(), "x"))); err == nil {
			t.Error("got no error")
		}
	})
}

// What WriteTemplates writes is what the program uses without it.
func TestWrittenTemplatesAreTheProgramsOwn(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "templates")
	paths, err := mail.WriteTemplates(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) != 2*(len(kinds)*2+1)+2 {
		t.Errorf("got %d files, want two for each kind and language, and the frame", len(paths))
	}
	templates, written := newTemplates(t, "IdeaEgg", nil), newTemplates(t, "IdeaEgg", os.DirFS(dir))
	for _, kind := range kinds {
		l := letterOf(kind, auth.SimplifiedChinese)
		if diff := cmp.Diff(render(t, templates, l), render(t, written, l)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
	}
	if err := os.Remove(paths[0]); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(paths[1], []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := mail.WriteTemplates(dir); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("got error %v, want one about a file that is there", err)
	}
	if _, err := os.Stat(paths[0]); err == nil || readFile(t, paths[1]) != "mine" {
		t.Error("got files written, want none")
	}
}

func BenchmarkTemplates(b *testing.B) {
	for b.Loop() {
		if err := mail.CheckTemplates("IdeaEgg", nil); err != nil {
			b.Fatal(err)
		}
	}
}
