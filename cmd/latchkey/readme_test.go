package main_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/internal/config"
	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/wechattest"
)

const readme = "../../README.md"

// TestReadmeListsEverySetting compares the table of settings with the program's own.
func TestReadmeListsEverySetting(t *testing.T) {
	t.Parallel()
	settings, err := config.Table()
	if err != nil {
		t.Fatal(err)
	}
	type row struct{ Env, Default string }
	documented := make(map[string]row)
	pattern := regexp.MustCompile("(?m)^\\| `--([a-z-]+)` \\| `([A-Z_]+)` \\| *(.*?) *\\|")
	for _, m := range pattern.FindAllStringSubmatch(readFile(t, readme), -1) {
		documented[m[1]] = row{Env: m[2], Default: strings.Trim(m[3], "`")}
	}
	want := make(map[string]row)
	for _, s := range settings {
		want[s.Flag] = row{Env: s.Env, Default: s.Default}
		if d, ok := documented[s.Flag]; ok && s.Default == "" { // it says in words what the default depends on
			want[s.Flag] = row{Env: s.Env, Default: d.Default}
		}
	}
	if diff := cmp.Diff(want, documented); diff != "" {
		t.Errorf("rows of README.md's table of settings (-want +got):\n%s", diff)
	}
}

// TestDocumentsNameRealVariables looks for names of environment variables in every document.
func TestDocumentsNameRealVariables(t *testing.T) {
	t.Parallel()
	settings, err := config.Table()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range settings {
		names = append(names, s.Env)
	}
	documents := []string{readme}
	err = filepath.WalkDir("../../docs", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(entry.Name(), ".md") {
			documents = append(documents, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	variable := regexp.MustCompile(`\bLATCHKEY_[A-Z_]+\b`)
	for _, path := range documents {
		for _, name := range variable.FindAllString(readFile(t, path), -1) {
			if !slices.Contains(names, name) && !strings.HasPrefix(name, "LATCHKEY_TEST_") {
				t.Errorf("%s: got variable %s, want one that the program reads", path, name)
			}
		}
	}
}

// TestReadmeExamplesWork runs the curl commands of README.md in its order against `latchkey serve --dev`.
func TestReadmeExamplesWork(t *testing.T) {
	t.Parallel()
	weChat := wechattest.NewServer(t, wechattest.Config{})
	app := weChat.AddApp(wechattest.App{ID: "wx-mini", Kind: wechattest.MiniProgram})
	p := develop(t, dbtest.SQLite(t), "--server-keys="+serverKey, "--wechat-api="+weChat.URL,
		`--wechat-apps=[{"app_id":"wx-mini","secret":"`+app.Secret+`","kind":"mini_program"}]`)
	variables := map[string]string{"KEY": serverKey, "ONCE": "c0ffee5eedc0ffee5eedc0ffee5eed00", "CODE": weChat.Code(app, weChat.AddPerson(wechattest.Person{}))}
	ran := 0
	for _, args := range curls(t, readFile(t, readme)) {
		method, address, body, header := "", "", "", []string(nil)
		for i := 1; i < len(args); i++ {
			switch args[i] {
			case "-X":
				i++
				method = args[i]
			case "-d":
				i++
				body = os.Expand(args[i], func(name string) string { return variables[name] })
			case "-H":
				i++
				header = append(header, os.Expand(args[i], func(name string) string { return variables[name] }))
			default:
				address = args[i]
			}
		}
		if method == "" {
			method = http.MethodGet
			if body != "" {
				method = http.MethodPost
			}
		}
		if body != "" && !slices.ContainsFunc(header, func(line string) bool { return strings.HasPrefix(line, "Content-Type:") }) {
			header = append(header, "Content-Type: application/x-www-form-urlencoded") // as curl
		}
		path, ok := strings.CutPrefix(address, "http://127.0.0.1:8080")
		if !ok {
			t.Fatalf("got command %q, want one for the program on its default address", args)
		}
		what := method + " " + path
		if page, ok := pageOfCode[what]; ok {
			made := regexp.MustCompile(`"code": "(\d{8})"`).FindStringSubmatch(body)
			if made == nil {
				t.Fatalf("%s: got body %s, want a code of 8 digits in it", what, body)
			}
			body = strings.ReplaceAll(body, made[1], mailedCode(t, p, page))
		}
		got, err := p.send(method, path, strings.NewReader(body), header...)
		if err != nil {
			t.Fatal(err)
		}
		if got.status >= 300 {
			t.Fatalf("%s: got %d %s, want success", what, got.status, got.body)
		}
		ran++
		switch what {
		case "POST /sign_in":
			variables["TOKEN"] = tokenOf(t, got)
		case "POST /sign_up_temporarily":
			variables["GUEST"] = tokenOf(t, got)
		}
	}
	if ran < 8 {
		t.Errorf("got %d commands in README.md, want those of all the calls", ran)
	}
}

// curls returns the words of the curl commands in a document's ```sh blocks.
func curls(t *testing.T, document string) (commands [][]string) {
	t.Helper()
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(document, -1) {
		for _, command := range shellWords(t, block[1]) {
			if command[0] == "curl" {
				commands = append(commands, command)
			}
		}
	}
	return commands
}

// shellWords splits commands into words, with no more of the shell's grammar than quotes.
func shellWords(t *testing.T, text string) (commands [][]string) {
	t.Helper()
	var command []string
	var word bytes.Buffer
	inWord, quote := false, rune(0)
	end := func() {
		if inWord {
			command = append(command, word.String())
		}
		word.Reset()
		inWord = false
	}
	for _, r := range text {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, inWord = r, true
		case r == ' ':
			end()
		case r == '\n':
			end()
			if len(command) > 0 {
				commands = append(commands, command)
			}
			command = nil
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if quote != 0 || inWord {
		t.Fatalf("got commands %q, want every quote and line ended", text)
	}
	return commands
}

func tokenOf(t *testing.T, a answer) string {
	t.Helper()
	var signedIn struct {
		PrivateToken string `json:"private_token"`
	}
	if err := json.Unmarshal(a.body, &signedIn); err != nil || signedIn.PrivateToken == "" {
		t.Fatalf("got %s (%v), want a token", a.body, err)
	}
	return signedIn.PrivateToken
}

// pageOfCode is where the link of the mail leads whose code a call takes.
var pageOfCode = map[string]string{
	"PUT /reset_password":     "/account/reset_password?token=",
	"POST /user/email/verify": "/account/verify_email?token=",
}

// mailedCode waits for a message in the dev inbox with a link to the page, and returns the code of the newest.
func mailedCode(t *testing.T, p *program, page string) (code string) {
	t.Helper()
	eventually(t, "a message with a code", func() bool {
		inbox := decode[[]struct{ Text, Code string }](t, p.call(t, http.StatusOK, http.MethodGet, "/dev/mail", nil, "Accept: application/json"))
		for _, m := range inbox {
			if strings.Contains(m.Text, page) {
				code = m.Code
				return true
			}
		}
		return false
	})
	return code
}
