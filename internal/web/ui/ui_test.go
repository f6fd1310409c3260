package ui_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/web/ui"
)

var update = flag.Bool("update", false, "write the golden files anew")

var languages = []auth.Language{auth.English, auth.SimplifiedChinese}

type view interface{ Render(w io.Writer) error }

// views are all pages in all their forms, by the name of their golden file.
func views(l auth.Language) map[string]view {
	site := ui.Site{AppName: "Ideaegg", PasswordMinLength: 8}
	plain := ui.Page{Site: site, Language: l, Root: "/account/"}
	dressed := plain // with everything that is optional
	dressed.AppURL, dressed.HasLogo, dressed.Chosen = "myapp://open", true, l
	linked := plain
	linked.Token = "FDZbAYGDNDBOgSkCbRCbTmmdoVBTNZRs"
	last := plain
	last.NoSwitch = true
	faults := []ui.Fault{
		{Field: "password", Text: "This password is too easy to guess. Choose another one."},
		{Field: "password_confirmation", Text: "The two passwords are not the same."},
	}
	all := map[string]view{
		"forgot_password":         ui.ForgotPassword{Page: plain},
		"forgot_password_dressed": ui.ForgotPassword{Page: dressed},
		"forgot_password_fault": ui.ForgotPassword{
			Page: plain, Email: "john@", Faults: []ui.Fault{{Field: "email", Text: "This is not a complete e-mail address."}},
		},
		"mail_sent":         ui.MailSent{Page: dressed},
		"enter_code":        ui.EnterCode{Page: plain},
		"enter_code_faults": ui.EnterCode{Page: plain, Email: "john@example.com", Code: "1234567", Faults: faults},
		"set_password":      ui.SetPassword{Page: linked, Username: "john_smith"},
		"set_password_faults": ui.SetPassword{
			Page: linked, Username: "john_smith", Faults: append(faults, ui.Fault{Text: "Please try again in a moment."}),
		},
		"password_changed":     ui.PasswordChanged{Page: dressed},
		"confirm_email":        ui.ConfirmEmail{Page: linked, Address: "john@example.com"},
		"confirm_email_change": ui.ConfirmEmail{Page: linked, Address: "john@new.example.com", Change: true},
		"email_verified":       ui.EmailConfirmed{Page: plain},
		"email_changed":        ui.EmailConfirmed{Page: dressed, Change: true},
		"undo_email_change":    ui.UndoEmailChange{Page: linked, Address: "john@example.com"},
		"email_restored":       ui.EmailRestored{Page: plain},
		"dead_link_reset":      ui.DeadLink{Page: plain, Kind: ui.LinkReset},
		"dead_link_verify":     ui.DeadLink{Page: dressed, Kind: ui.LinkVerify},
		"dead_link_undo":       ui.DeadLink{Page: plain, Kind: ui.LinkUndo},
		"bad_sign_in":          ui.BadSignIn{Page: last, Faults: []string{"redirect_to is not supported.", "App id is required."}},
		"bad_sign_in_over":     ui.BadSignIn{Page: last, Over: true},
		"dead_link_taken":      ui.DeadLink{Page: plain, Kind: ui.LinkVerify, Taken: true},
		"confirm_sign_up":      ui.ConfirmSignUp{Page: linked, Address: "john@example.com", Username: "john_smith"},
		"confirm_sign_up_fault": ui.ConfirmSignUp{
			Page: linked, Address: "john@example.com", Username: "john_smith", AnotherName: true,
			Faults: []ui.Fault{linked.Fault("username", latchkey.FieldTaken, 0, "")},
		},
		"confirm_sign_up_password": ui.ConfirmSignUp{
			Page: linked, Address: "john@example.com", Username: "john_smith",
			Faults: []ui.Fault{{Field: "password", Text: linked.Fault("chosen_password", latchkey.FieldInvalid, 0, "").Text}},
		},
		"signed_up":         ui.SignedUp{Page: dressed},
		"dead_link_sign_up": ui.DeadLink{Page: plain, Kind: ui.LinkSignUp},
	}
	for _, code := range []latchkey.Code{
		latchkey.CodeNotFound, latchkey.CodeMethodNotAllowed, latchkey.CodeForbidden, latchkey.CodeTooLarge,
		latchkey.CodeUnsupportedMediaType, latchkey.CodeInvalidRequest, latchkey.CodeUnavailable, latchkey.CodeInternal,
	} {
		all["trouble_"+string(code)] = ui.Trouble{Page: last, Code: code, RequestID: "X5NCE7QRGDQ2NMRDVPR4"}
	}
	all["trouble_overloaded"] = ui.Trouble{Page: last, Code: latchkey.CodeOverloaded, RetryAfter: 12 * time.Second, RequestID: "X5NCE7QRGDQ2NMRDVPR4"}
	all["trouble_rate_limited"] = ui.Trouble{Page: last, Code: latchkey.CodeRateLimited, RetryAfter: 40 * time.Minute, RequestID: "X5NCE7QRGDQ2NMRDVPR4"}
	return all
}

func devViews() map[string]view {
	messages := []ui.DevMessage{
		{
			ID: 2, To: "john@example.com", Subject: "Reset your password", Text: "Hello john,\n\ntype 61529897.\n", HTML: "<p>Hello</p>",
			Code: "61529897", Date: time.Date(2026, 11, 22, 14, 52, 11, 0, time.UTC),
		},
		{ID: 1, To: "jane@example.com", Subject: "密码已修改", Text: "您好", Date: time.Date(2026, 11, 22, 14, 50, 0, 0, time.UTC)},
	}
	return map[string]view{
		"dev_mail":         ui.DevMail{Messages: messages},
		"dev_mail_empty":   ui.DevMail{},
		"dev_message":      messages[0],
		"dev_message_text": messages[1],
	}
}

func render(t *testing.T, v view) string {
	t.Helper()
	var b bytes.Buffer
	if err := v.Render(&b); err != nil {
		t.Fatalf("got error %v, want none", err)
	}
	return b.String()
}

func TestPagesAreGolden(t *testing.T) {
	t.Parallel()
	compare := func(name string, v view) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := render(t, v)
			golden := filepath.Join("testdata", "golden", name+".html")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("page (-want +got); go test ./internal/web/ui -update writes it anew:\n%s", diff)
			}
		})
	}
	for _, l := range languages {
		for name, v := range views(l) {
			compare(name+"."+string(l), v)
		}
	}
	for name, v := range devViews() {
		compare(name, v)
	}
}

func TestPagesNeedNoScriptAndNoOtherHost(t *testing.T) {
	t.Parallel()
	for _, l := range languages {
		for name, v := range views(l) {
			page := render(t, v)
			for _, banned := range []string{"<script", "javascript:", " style=", "<style", " onclick", " onload", "http://", "https://", `href="//`, `src="//`} {
				if strings.Contains(page, banned) {
					t.Errorf("%s in %s: got %q in the page, want none", name, l, banned)
				}
			}
			if !strings.Contains(page, fmt.Sprintf(`<html lang="%s">`, l)) {
				t.Errorf("%s: got no lang=%q on <html>, want it", name, l)
			}
		}
	}
	for _, name := range []string{"style.css", "devmail.css"} {
		for _, banned := range []string{"url(", "@import", "//"} {
			if strings.Contains(string(ui.Static(name)), banned) {
				t.Errorf("%s: got %q, want nothing that is loaded from elsewhere", name, banned)
			}
		}
	}
}

// TestEveryPageHasOneHeadingAndOneMain holds for whoever finds the way by them.
func TestEveryPageHasOneHeadingAndOneMain(t *testing.T) {
	t.Parallel()
	for name, v := range views(auth.English) {
		page := render(t, v)
		for _, tag := range []string{"<h1>", "<main>", "<title>"} {
			if n := strings.Count(page, tag); n != 1 {
				t.Errorf("%s: got %d times %s, want 1", name, n, tag)
			}
		}
	}
}

// TestFaultsAreTiedToTheirInputs: the summary leads to each input, and each input names its fault.
func TestFaultsAreTiedToTheirInputs(t *testing.T) {
	t.Parallel()
	page := render(t, views(auth.English)["set_password_faults"])
	for _, want := range []string{
		`role="alert"`,
		`<li><a href="#password">This password is too easy to guess. Choose another one.</a></li>`,
		`<li>Please try again in a moment.</li>`,
		`<p class="fault" id="password-fault">This password is too easy to guess. Choose another one.</p>`,
		`aria-describedby="password-hint password-fault" aria-invalid="true"`,
		`aria-describedby="password_confirmation-fault" aria-invalid="true"`,
		`<title>Please check: Set a new password – Ideaegg</title>`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("got no %s, want it in\n%s", want, page)
		}
	}
}

// TestTokenIsInHiddenFieldsOnly: an address or a link with it could be copied, logged or sent on.
func TestTokenIsInHiddenFieldsOnly(t *testing.T) {
	t.Parallel()
	const token = "FDZbAYGDNDBOgSkCbRCbTmmdoVBTNZRs"
	for name, v := range views(auth.English) {
		page := render(t, v)
		hidden := strings.Count(page, `<input type="hidden" name="token" value="`+token+`">`)
		if all := strings.Count(page, token); all != hidden {
			t.Errorf("%s: got the token %d times, of these %d in hidden fields, want it there only", name, all, hidden)
		}
	}
}

// TestHostileTextIsInert puts markup into every text that comes from people or from requests.
func TestHostileTextIsInert(t *testing.T) {
	t.Parallel()
	const hostile = `"><script>alert(1)</script><img src=x onerror=alert(1)>'{{.}}` + "\u202e`javascript:alert(1)"
	for _, l := range languages {
		all := views(l)
		for name, v := range devViews() {
			all[name] = v
		}
		for name, v := range all {
			poisoned := reflect.New(reflect.TypeOf(v)).Elem()
			poisoned.Set(reflect.ValueOf(v))
			poison(poisoned, hostile)
			page := render(t, poisoned.Interface().(view))
			for _, banned := range []string{"<script>", "<img src=x", "onerror=alert(1)>", `""`} {
				if strings.Contains(page, banned) {
					t.Errorf("%s in %s: got %q in the page, want it inert:\n%s", name, l, banned, page)
				}
			}
		}
	}
}

// poison replaces every plain string in v; types of their own (language, kind, code, trusted URL) are not free text.
func poison(v reflect.Value, hostile string) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).Name != "Root" { // from a setting that is a URL
				poison(v.Field(i), hostile)
			}
		}
	case reflect.Slice:
		copied := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(copied, v)
		v.Set(copied)
		for i := range v.Len() {
			poison(v.Index(i), hostile)
		}
	case reflect.String:
		if v.Type() == reflect.TypeFor[string]() {
			v.SetString(hostile)
		}
	}
}

func readCatalog(t *testing.T, l auth.Language) map[string]string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("catalog", string(l)+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var texts map[string]string
	if err := json.Unmarshal(b, &texts); err != nil {
		t.Fatalf("%s: %v", l, err)
	}
	if lines := regexp.MustCompile(`(?m)^  "`).FindAll(b, -1); len(lines) != len(texts) {
		t.Errorf("%s: got %d texts on %d lines, want each key once", l, len(texts), len(lines))
	}
	return texts
}

func TestCatalogsHaveTheSameTexts(t *testing.T) {
	t.Parallel()
	placeholder := regexp.MustCompile(`\{[a-z]+\}`)
	english, chinese := readCatalog(t, auth.English), readCatalog(t, auth.SimplifiedChinese)
	for key, en := range english {
		zh, ok := chinese[key]
		if !ok {
			t.Errorf("zh-CN has no text %q", key)
			continue
		}
		want, got := placeholder.FindAllString(en, -1), placeholder.FindAllString(zh, -1)
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("placeholders of %q (-en +zh-CN):\n%s", key, diff)
		}
		if en == "" || zh == "" || en == zh && key != "page.title" {
			t.Errorf("text %q is %q in en and %q in zh-CN, want both, and different", key, en, zh)
		}
	}
	for key := range chinese {
		if _, ok := english[key]; !ok {
			t.Errorf("en has no text %q", key)
		}
	}
}

// TestEveryTextIsUsed looks for the keys in templates and sources. Those that are put together at run time are listed by
// what they begin with; the golden pages have all of them.
func TestEveryTextIsUsed(t *testing.T) {
	t.Parallel()
	var sources bytes.Buffer
	for _, pattern := range []string{"templates/*.html", "*.go"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("got no files %s, want some (%v)", pattern, err)
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			sources.Write(b)
		}
	}
	built := []string{"fault.", "dead.reset.", "dead.verify.", "dead.sign_up.", "dead.undo.", "trouble."}
	english := readCatalog(t, auth.English)
	for key := range english {
		isBuilt := slices.ContainsFunc(built, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
		if !isBuilt && !strings.Contains(sources.String(), `"`+key+`"`) {
			t.Errorf("nothing uses the text %q", key)
		}
	}
	for _, m := range regexp.MustCompile(`\.T "([^"]+)"`).FindAllStringSubmatch(sources.String(), -1) {
		if _, ok := english[m[1]]; !ok {
			t.Errorf("a template uses the text %q, which en does not have", m[1])
		}
	}
}

func TestMissingTextIsAnError(t *testing.T) {
	t.Parallel()
	for _, p := range []ui.Page{{Language: "fr"}, {}} {
		if err := (ui.MailSent{Page: p}).Render(io.Discard); err == nil {
			t.Errorf("got no error for language %q, want one", p.Language)
		}
	}
	if _, err := (ui.Page{Language: auth.English}).T("no.such.text"); err == nil {
		t.Error("got no error for an unknown key, want one")
	}
}

func TestTextsInTextsAreNotFilledInTwice(t *testing.T) {
	t.Parallel()
	p := ui.Page{Site: ui.Site{AppName: "{title}{least}"}, Language: auth.English}
	got, err := p.T("page.title", "title", "A {app}")
	if want := "A {app} – {title}{least}"; err != nil || got != want {
		t.Errorf("got %q and error %v, want %q", got, err, want)
	}
}

func TestInitial(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"ideaegg": "I", "名片": "名", "9gag": "9", "École": "É", "🐣 App": "", "": "", "\xff": ""} {
		if got := (ui.Site{AppName: name}).Initial(); got != want {
			t.Errorf("got %q for %q, want %q", got, name, want)
		}
	}
}

func TestWaitIsRoundedUp(t *testing.T) {
	t.Parallel()
	for wait, want := range map[time.Duration]string{
		0: "", 4 * time.Second: "", 4500 * time.Millisecond: "", 12 * time.Second: "Try again in 12 seconds.",
		90 * time.Second: "Try again in 90 seconds.", 91 * time.Second: "Try again in 2 minutes.", time.Hour: "Try again in 60 minutes.",
	} {
		got, err := ui.Trouble{Page: ui.Page{Language: auth.English}, RetryAfter: wait}.Wait()
		if err != nil || got != want {
			t.Errorf("got %q and error %v for %v, want %q", got, err, wait, want)
		}
	}
}
