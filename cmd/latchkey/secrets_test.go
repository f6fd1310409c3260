package main_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

// TestNoSecretAtRestOrInLogs drives every flow through the program and then looks for every secret that occurred in
// what the program wrote: its database, its log at the most talkative level, its output, its metrics.
// Only mail carries secrets, in files that nobody else can read.
func TestNoSecretAtRestOrInLogs(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		f := newFlows(t, cfg)
		f.passwords()
		f.guests()
		f.weChat()
		f.resets()
		f.wrongPlaces()
		f.nonsense()
		if cfg.SQLitePath != "" {
			f.lockedDatabase(cfg.SQLitePath)
		}
		f.ends()

		metrics := newAPI(t, "http://"+f.opsAddress).call(t, http.StatusOK, http.MethodGet, "/metrics", nil).body
		f.search("metrics", string(metrics), "latchkey_http_requests_total")
		if cfg.SQLitePath != "" {
			f.search("database file while it is open", fileAndJournals(t, cfg.SQLitePath), "flows-user")
			copied := filepath.Join(t.TempDir(), "copy.db")
			if _, err := openSQLite(t, cfg.SQLitePath).ExecContext(withTimeout(t), "VACUUM INTO $1", copied); err != nil {
				t.Fatal(err)
			}
			f.search("copy of the database", readFile(t, copied), "flows-user")
		} else {
			f.search("dump of the database", dumpPostgres(t, cfg.PostgresURL), "flows-user")
		}
		f.p.terminate()
		if cfg.SQLitePath != "" {
			f.search("database file", fileAndJournals(t, cfg.SQLitePath), "flows-user")
			wantPrivate(t, cfg.SQLitePath)
		} else {
			u, err := url.Parse(cfg.PostgresURL)
			if err != nil {
				t.Fatal(err)
			}
			password, _ := u.User.Password()
			f.secret("database password", password)
		}
		f.search("standard output", f.p.stdout.String(), "latchkey")
		f.search("log", f.p.stderr.String(), `"route":"/sign_up"`, `"level":"INFO"`)
		wantPrivate(t, f.mail)
		for _, message := range f.letters() {
			wantPrivate(t, message)
		}
	})
}

// flows is a walk through all that a client can do, with a list of the secrets that occur on it.
type flows struct {
	t          *testing.T
	p          *program
	mail       string // folder
	opsAddress string
	secrets    map[string]string // secret → what it is
	seen       map[string]bool   // letters
}

const (
	serverKey    = "server-key-4kzYw8Qe"
	weChatSecret = "wechat-secret-9sd8fhs"
)

func newFlows(t *testing.T, cfg sqlstore.Config) *flows {
	t.Helper()
	f := &flows{t: t, mail: filepath.Join(t.TempDir(), "mail"), secrets: make(map[string]string), seen: make(map[string]bool)}
	f.secret("server key", serverKey)
	f.secret("WeChat app's secret", weChatSecret)
	f.p = produce(t, cfg, "--log-level=debug", "--log-format=json", "--mail=dir:"+f.mail, "--server-keys="+serverKey, "--ops-listen=127.0.0.1:0",
		`--wechat-apps=[{"app_id":"wx1","secret":"`+weChatSecret+`","kind":"mobile"}]`)
	f.opsAddress = opsAddress(t, f.p)
	return f
}

// secret puts a secret on the list and returns it.
func (f *flows) secret(what, value string) string {
	f.secrets[value] = what
	return value
}

// token puts the token of an answer on the list.
func (f *flows) token(s latchkey.SignedIn) string { return f.secret("session token", s.PrivateToken) }

// password makes one up and puts it on the list.
func (f *flows) password() string {
	return f.secret("password", fmt.Sprintf("Pw%dSecret%d", len(f.secrets), time.Now().UnixNano()))
}

func (f *flows) signUp(name string, header ...string) (token, password string) {
	f.t.Helper()
	password = f.password()
	return f.token(f.p.signedIn(f.t, "/sign_up", members{
		"username": name, "email": name + "@example.com", "password": password, "password_confirmation": password,
	}, header...)), password
}

func (f *flows) passwords() {
	f.t.Helper()
	token, password := f.signUp("flows-user")
	f.token(f.p.signedIn(f.t, "/sign_in", members{"login": "flows-user", "password": password}))
	f.token(f.p.signedIn(f.t, "/sign_in", members{"login": "flows-user@example.com", "password": password}))
	f.p.call(f.t, http.StatusUnauthorized, "POST", "/sign_in", members{"login": "flows-user", "password": f.password()})
	f.p.call(f.t, http.StatusUnauthorized, "POST", "/sign_in", members{"login": "flows-nobody", "password": f.password()})
	f.p.call(f.t, http.StatusUnauthorized, "POST", "/sign_in", members{"login": password, "password": password}) // in the wrong field
	f.p.call(f.t, http.StatusUnprocessableEntity, "POST", "/sign_up", members{
		"username": "flows-user", "email": "flows-user@example.com", "password": password, "password_confirmation": password,
	})
	f.p.call(f.t, http.StatusUnprocessableEntity, "POST", "/sign_up", members{
		"username": "flows-other", "email": "flows-other@example.com", "password": f.password(), "password_confirmation": f.password(),
	})
	f.p.user(f.t, token)
	f.p.call(f.t, http.StatusOK, "GET", "/user", nil, "PRIVATE-TOKEN: "+token)
	f.p.call(f.t, http.StatusOK, "PUT", "/user", members{"fullname": "Flows User"}, bearer(token))
	f.p.call(f.t, http.StatusOK, "GET", "/user/sessions", nil, bearer(token))

	changed := f.password()
	change := members{"current_password": f.password(), "password": changed, "password_confirmation": changed}
	f.p.call(f.t, http.StatusUnprocessableEntity, "PUT", "/user/password", change, bearer(token))
	change["current_password"] = password
	token = f.token(decode[latchkey.SignedIn](f.t, f.p.call(f.t, http.StatusOK, "PUT", "/user/password", change, bearer(token))))
	f.letter("flows-user@example.com") // which tells about the change
	f.p.call(f.t, http.StatusNoContent, "DELETE", "/user/sessions", nil, bearer(token))
	f.p.call(f.t, http.StatusNoContent, "POST", "/sign_out", nil, bearer(token))
	f.p.call(f.t, http.StatusUnauthorized, "GET", "/user", nil, bearer(token))
}

func (f *flows) guests() {
	f.t.Helper()
	token := f.token(f.p.guest(f.t))
	f.p.user(f.t, token)
	upgraded, _ := f.signUp("flows-upgraded", bearer(token))
	f.p.call(f.t, http.StatusUnauthorized, "GET", "/user", nil, bearer(token))
	f.p.user(f.t, upgraded)
}

func (f *flows) weChat() {
	f.t.Helper()
	const path = "/sign_in_with/wechat"
	key := "Latchkey-Server-Key: " + serverKey
	for range 2 { // a new user, and a known one
		f.token(f.p.signedIn(f.t, path, members{"uid": "flows-openid"}, key))
	}
	f.p.call(f.t, http.StatusUnauthorized, "POST", path, members{"uid": "flows-openid"})
	f.p.call(f.t, http.StatusUnauthorized, "POST", path, members{"uid": "flows-openid"}, "Latchkey-Server-Key: "+f.secret("wrong server key", serverKey+"x"))
	guest := f.token(f.p.guest(f.t))
	f.p.call(f.t, http.StatusConflict, "POST", path, members{"uid": "flows-openid"}, key, bearer(guest))
	f.token(f.p.signedIn(f.t, path, members{"uid": "flows-openid-2"}, key, bearer(guest)))
}

func (f *flows) resets() {
	f.t.Helper()
	const address = "flows-forgot@example.com"
	f.signUp("flows-forgot")
	ask := func() (token, code string) {
		f.p.call(f.t, http.StatusNoContent, "POST", "/reset_password", members{"email": address})
		text := f.letter(address)
		link := regexp.MustCompile(regexp.QuoteMeta(publicURL) + `/account/reset_password\?token=(\S+)`).FindStringSubmatch(text)
		digits := regexp.MustCompile(`\b\d{8}\b`).FindString(text)
		if link == nil || digits == "" {
			f.t.Fatalf("got letter %s, want a link and a code", text)
		}
		return f.secret("reset token", link[1]), f.secret("reset code", digits)
	}
	put := func(want int, proof members, password string) {
		f.t.Helper()
		proof["password"], proof["password_confirmation"] = password, password
		f.p.call(f.t, want, "PUT", "/reset_password", proof)
	}

	token, code := ask()
	put(http.StatusUnprocessableEntity, members{"token": token}, "short")
	put(http.StatusUnprocessableEntity, members{"token": f.secret("wrong reset token", token[1:]+"x")}, f.password())
	f.p.call(f.t, http.StatusNotFound, "GET", "/account/reset_password/"+token, nil)
	password := f.password()
	put(http.StatusNoContent, members{"token": token}, password)
	put(http.StatusUnprocessableEntity, members{"token": token}, f.password()) // used up
	put(http.StatusUnprocessableEntity, members{"email": address, "code": code}, f.password())
	f.token(f.p.signedIn(f.t, "/sign_in", members{"login": address, "password": password}))
	f.letter(address) // which tells about the change

	_, code = ask()
	put(http.StatusUnprocessableEntity, members{"email": address, "code": "x" + code}, f.password())
	password = f.password()
	put(http.StatusNoContent, members{"email": address, "code": code}, password)
	f.token(f.p.signedIn(f.t, "/sign_in", members{"login": address, "password": password}))
	f.letter(address)

	f.p.call(f.t, http.StatusNoContent, "POST", "/reset_password", members{"email": "flows-nobody@example.com"})
	ask() // and nothing comes of it
}

// wrongPlaces sends genuine secrets where they do not belong.
func (f *flows) wrongPlaces() {
	f.t.Helper()
	token := f.token(f.p.guest(f.t))
	other := f.token(f.p.guest(f.t))
	password := f.password()
	q := url.QueryEscape(token)
	for _, get := range []string{
		"/user?private_token=" + q, "/user?access_token=" + q, "/user/" + q, "/" + q, "/user/sessions/" + q, "/account/reset_password/" + q,
		"/sign_in_with/" + q, "/healthz?" + q, "/readyz?" + q, "/openapi.json?" + q, "/docs/" + q, "/sign_up?password=" + password, "/dev/mail?" + q,
	} {
		if got := f.p.status(f.t, "GET", get); got == http.StatusOK && strings.HasPrefix(get, "/user") {
			f.t.Errorf("got 200 for a token in the path or query, want it not looked at")
		}
		f.p.status(f.t, "DELETE", get, bearer(other))
	}
	f.p.call(f.t, http.StatusUnprocessableEntity, "POST", "/sign_in_with/"+q, members{"uid": "flows"})
	f.p.call(f.t, http.StatusUnauthorized, "GET", "/user", nil, "Cookie: private_token="+token)
	f.p.call(f.t, http.StatusUnauthorized, "GET", "/user", nil, "Referer: https://example.com/?"+q)
	f.p.call(f.t, http.StatusUnauthorized, "GET", "/user", nil, "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("flows-user:"+password)))
	f.p.call(f.t, http.StatusUnauthorized, "GET", "/user", nil, bearer(token[:len(token)-1]))
	f.p.call(f.t, http.StatusUnauthorized, "GET", "/user", nil, bearer(f.secret("no token", token[:len(token)-6]+"000000")))
	f.p.call(f.t, http.StatusBadRequest, "GET", "/user", nil, bearer(token), "PRIVATE-TOKEN: "+other)
	f.p.call(f.t, http.StatusUnauthorized, "POST", "/sign_in", members{"login": token, "password": token, "private_token": token})
	f.p.call(f.t, http.StatusNoContent, "POST", "/reset_password", members{"email": password + "@example.com"}) // is an address, which is queued
	delete(f.secrets, password)                                                                                 // and so no secret any more
}

// nonsense sends what no client should.
func (f *flows) nonsense() {
	f.t.Helper()
	token, password := f.token(f.p.guest(f.t)), f.password()
	for _, body := range []string{
		`{"login":"flows-user","password":"` + password + `"`,
		`{"login":"flows-user","password":"` + password + `"} x`,
		`{"Login":"flows-user","password":"` + password + `"}`,
		`{"password":"` + password + `","password":"` + password + `"}`,
		`{"login":["` + password + `"],"password":{"x":"` + password + `"}}`,
		`"` + password + `"`,
		`{"login":"` + password + strings.Repeat("x", 17<<10) + `"}`,
		"login=flows-user&password=" + password,
	} {
		for _, contentType := range []string{"application/json", "application/x-www-form-urlencoded"} {
			got, err := f.p.send("POST", "/sign_in", strings.NewReader(body), "Content-Type: "+contentType)
			if err != nil || got.status < 400 || got.status >= 500 {
				f.t.Errorf("got %d (%v) for nonsense, want a 4xx", got.status, err)
			}
			if bytes.Contains(got.body, []byte(password)) {
				f.t.Errorf("got %s, want the password not repeated", got.body)
			}
		}
	}
	for _, raw := range []string{
		"GET /user HTTP/1.1\r\nHost: x\r\nPRIVATE-TOKEN: " + token + "\r\n" + token + "\r\n\r\n",
		"GET /user?" + token + " HTTP/9.9\r\n\r\n",
		"POST /sign_in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n" + password,
		token + " " + password + "\r\n\r\n",
		"\x16\x03\x01" + token + password,
	} {
		f.sendRaw(raw)
	}
}

// sendRaw writes bytes to the public listener and lets the connection go.
func (f *flows) sendRaw(raw string) {
	f.t.Helper()
	conn, err := new(net.Dialer).DialContext(withTimeout(f.t), "tcp", strings.TrimPrefix(f.p.base, "http://"))
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(raw)); err != nil {
		f.t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	_, _ = conn.Read(make([]byte, 4096)) // an answer or none
}

// lockedDatabase makes requests with secrets fail inside.
func (f *flows) lockedDatabase(path string) {
	f.t.Helper()
	token := f.token(f.p.guest(f.t))
	unlock := lockSQLite(f.t, path)
	password := f.password()
	f.p.call(f.t, http.StatusServiceUnavailable, "POST", "/sign_up", members{
		"username": "flows-late", "email": "flows-late@example.com", "password": password, "password_confirmation": password,
	})
	f.p.call(f.t, http.StatusServiceUnavailable, "POST", "/sign_out", nil, bearer(token))
	unlock()
	if !strings.Contains(f.p.stderr.String(), "request failed") {
		f.t.Error("got no line about a failed request in the log, want one: the test shows nothing")
	}
}

// ends deletes a user.
func (f *flows) ends() {
	f.t.Helper()
	token, password := f.signUp("flows-leaver")
	f.p.call(f.t, http.StatusUnprocessableEntity, "DELETE", "/user", members{"current_password": f.password()}, bearer(token))
	f.p.call(f.t, http.StatusNoContent, "DELETE", "/user", members{"current_password": password}, bearer(token))
	token = f.token(f.p.guest(f.t))
	f.p.call(f.t, http.StatusNoContent, "DELETE", "/user", nil, bearer(token))
}

// letters returns the paths of all messages that were sent.
func (f *flows) letters() []string {
	paths, err := filepath.Glob(filepath.Join(f.mail, "*.eml"))
	if err != nil {
		f.t.Fatal(err)
	}
	slices.Sort(paths)
	return paths
}

// letter waits for the next message to the address and returns it.
func (f *flows) letter(address string) (text string) {
	f.t.Helper()
	eventually(f.t, "a letter to "+address, func() bool {
		for _, path := range f.letters() {
			if text = readFile(f.t, path); !f.seen[path] && strings.Contains(text, "<"+address+">") {
				f.seen[path] = true
				return true
			}
		}
		return false
	})
	return text
}

// search looks for every secret in what the program wrote, and for some words that must be in it if it is the right
// thing to look at.
func (f *flows) search(where, text string, words ...string) {
	f.t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			f.t.Errorf("got no %q in the %s, want it: this is not what the search is for", word, where)
		}
	}
	for secret, what := range f.secrets {
		for _, form := range []string{secret, hex.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte(secret)), url.QueryEscape(secret)} {
			for at := 0; ; at++ {
				next := strings.Index(text[at:], form)
				if next < 0 {
					break
				}
				if at += next; !partOfNumber(text, at, at+len(form)) {
					f.t.Errorf("got a %s in the %s, want none: …%q…", what, where, text[max(0, at-60):min(len(text), at+len(form)+20)])
					break
				}
			}
		}
	}
}

// partOfNumber says whether text[from:to] are digits in a longer number, such as a time in a log: any code of eight
// digits stands in one of those now and then.
func partOfNumber(text string, from, to int) bool {
	digit := func(i int) bool { return i >= 0 && i < len(text) && '0' <= text[i] && text[i] <= '9' }
	for i := from; i < to; i++ {
		if !digit(i) {
			return false
		}
	}
	return digit(from-1) || digit(to)
}

// fileAndJournals returns a database file and what SQLite keeps beside it.
func fileAndJournals(t *testing.T, path string) string {
	t.Helper()
	paths, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, p := range paths {
		all.WriteString(readFile(t, p))
	}
	return all.String()
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// wantPrivate checks that nobody but its owner can open a file or folder.
func wantPrivate(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	want := os.FileMode(0o600)
	if info.IsDir() {
		want = 0o700
	}
	if got := info.Mode().Perm(); got != want {
		t.Errorf("got mode %v of %s, want %v", got, filepath.Base(path), want)
	}
}

// dumpPostgres returns every row of every table as text.
func dumpPostgres(t *testing.T, database string) string {
	t.Helper()
	ctx := withTimeout(t)
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	var dump bytes.Buffer
	for _, table := range tables {
		if _, err := conn.PgConn().CopyTo(ctx, &dump, "COPY "+pgx.Identifier{table}.Sanitize()+" TO STDOUT"); err != nil {
			t.Fatal(err)
		}
	}
	return dump.String()
}

// lockSQLite keeps the program from writing until unlock is called.
func lockSQLite(t *testing.T, path string) (unlock func()) {
	t.Helper()
	db := openSQLite(t, path)
	if _, err := db.ExecContext(withTimeout(t), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if _, err := db.ExecContext(context.Background(), "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
	}
}

// opsAddress returns where the program serves its metrics, which it says in its log.
func opsAddress(t *testing.T, p *program) (address string) {
	t.Helper()
	said := regexp.MustCompile(`"msg":"metrics and profiles are served","address":"([^"]+)"`)
	eventually(t, "the address of the metrics in the log", func() bool {
		m := said.FindStringSubmatch(p.stderr.String())
		if m != nil {
			address = m[1]
		}
		return m != nil
	})
	return address
}
