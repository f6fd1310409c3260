package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/mail"
	"github.com/ideaegg/latchkey/internal/passhash"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

// TestCopiedDatabaseServesTheSamePeople moves from the embedded database to PostgreSQL and serves from there.
func TestCopiedDatabaseServesTheSamePeople(t *testing.T) {
	t.Parallel()
	to := dbtest.Postgres(t)
	from := dbtest.SQLite(t)
	p := develop(t, from)
	in := newUser("mover")
	user := p.signedIn(t, "/sign_up", in)
	guest := p.guest(t)
	weChat := p.signedIn(t, "/sign_in_with/wechat", members{"uid": "moving-openid"})
	ended := p.guest(t)
	p.call(t, http.StatusNoContent, http.MethodPost, "/sign_out", nil, bearer(ended.PrivateToken))
	p.terminate()

	arguments := []string{"copy", "--from=sqlite:" + from.SQLitePath, "--to=" + to.PostgresURL}
	stdout, stderr, code := run(t, launch{args: arguments})
	if code != 0 || stderr != "" || !strings.Contains(stdout, "users") {
		t.Fatalf("got exit code %d, output %q and %q, want 0 and the numbers of rows", code, stdout, stderr)
	}
	if _, stderr, code = run(t, launch{args: arguments}); code == 0 || strings.Count(stderr, "\n") != 1 {
		t.Errorf("got exit code %d and %q for a target that is not empty, want a refusal of one line", code, stderr)
	}

	p = develop(t, to)
	for _, token := range []string{user.PrivateToken, guest.PrivateToken, weChat.PrivateToken} {
		p.user(t, token)
	}
	p.call(t, http.StatusUnauthorized, http.MethodGet, "/user", nil, bearer(ended.PrivateToken))
	if again := p.signedIn(t, "/sign_in", members{"login": in["email"], "password": in["password"]}); again.ID != user.ID {
		t.Errorf("got user %d, want %d as before", again.ID, user.ID)
	}
	if again := p.signedIn(t, "/sign_in_with/wechat", members{"uid": "moving-openid"}); again.ID != weChat.ID {
		t.Errorf("got user %d, want %d as before", again.ID, weChat.ID)
	}
	if next := p.guest(t); next.ID <= ended.ID {
		t.Errorf("got id %d for a new user, want a new one above %d", next.ID, ended.ID)
	}
}

// TestCopyOfAFullDatabase copies 10,000 users, after it has interrupted the copy in every way, and serves from the copy.
func TestCopyOfAFullDatabase(t *testing.T) {
	to := dbtest.Postgres(t)
	from := dbtest.SQLite(t)
	users := 10_000
	if testing.Short() {
		users = 500
	}
	began := time.Now()
	people := fill(t, from, users)
	t.Logf("%d users made in %v", users, time.Since(began).Round(time.Millisecond))
	arguments := []string{"copy", "--from=sqlite:" + from.SQLitePath, "--to=" + to.PostgresURL}

	stdout, stderr, code := run(t, launch{args: []string{"migrate", "up", database(to)}})
	if code != 0 {
		t.Fatalf("migrate up: got exit code %d, %q and %q", code, stdout, stderr)
	}
	interruptCopy(t, from, to, people, arguments)

	lastID := forget(t, from)
	before := tables(t, from)
	began = time.Now()
	stdout, stderr, code = run(t, launch{args: append(arguments, "--json")})
	if code != 0 || stderr != "" { // no terminal, no progress
		t.Fatalf("got exit code %d, %q and %q, want 0 and nothing", code, stdout, stderr)
	}
	t.Logf("%d users copied in %v", users, time.Since(began).Round(time.Millisecond))
	var counts []sqlstore.CopiedTable
	if err := json.Unmarshal([]byte(stdout), &counts); err != nil {
		t.Fatalf("decode %q: %v", stdout, err)
	}
	for _, c := range counts {
		if c.From != c.To || int(c.From) != len(before[c.Name]) || c.From == 0 {
			t.Errorf("got %d rows of %s that became %d, want %d both times", c.From, c.Name, c.To, len(before[c.Name]))
		}
	}
	if len(counts) != len(before) {
		t.Errorf("got %d tables, want %d", len(counts), len(before))
	}
	for name, rows := range tables(t, to) {
		if diff := cmp.Diff(firstDifference(before[name], rows)); diff != "" {
			t.Errorf("%s (-from +to):\n%s", name, diff)
		}
	}
	if after := tables(t, from); !reflect.DeepEqual(before, after) {
		t.Error("the source has changed")
	}

	stdout, stderr, code = run(t, launch{args: arguments})
	if code != 1 || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "is not empty") {
		t.Errorf("got exit code %d, %q and %q for a target with users, want 1, nothing and one line", code, stdout, stderr)
	}
	serveCopy(t, to, people, lastID)
}

// interruptCopy stops a copy in the middle of the users: with SIGKILL, and with SIGINT. The target must be empty after it.
// Meanwhile the service still runs on the source; nothing may be acknowledged there that the copy would lack.
func interruptCopy(t *testing.T, from, to sqlstore.Config, people *people, arguments []string) {
	t.Helper()
	obstacle := connect(t, to.PostgresURL)
	execute(t, obstacle, `CREATE FUNCTION wait_here() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN PERFORM pg_advisory_xact_lock(77); RETURN NEW; END'`)
	execute(t, obstacle, fmt.Sprintf(`CREATE TRIGGER wait_here BEFORE INSERT ON users FOR EACH ROW WHEN (NEW.id = %d)
		EXECUTE FUNCTION wait_here()`, people.guests[len(people.guests)/2].id))
	busy := func(n int) func() bool {
		return func() bool {
			const sql = `SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'copy%' AND state <> 'idle'`
			var got int
			err := queryRow(t, to, sql, &got)
			return err == nil && got == n
		}
	}
	service := produce(t, from)
	for _, how := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT} {
		execute(t, obstacle, "SELECT pg_advisory_lock(77)")
		p := spawn(t, launch{args: arguments})
		eventually(t, "the copy is in the middle of the users", func() bool {
			const sql = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'"
			var got int
			err := queryRow(t, to, sql, &got)
			return err == nil && got == 1
		})
		service.user(t, people.guests[0].token) // who only shows a token notices nothing
		began := time.Now()
		got, err := service.do(http.MethodPost, "/sign_up_temporarily", nil)
		if err != nil {
			t.Fatal(err)
		}
		wantUnavailable(t, got, latchkey.CodeUnavailable)
		if took := time.Since(began); took > 2500*time.Millisecond {
			t.Errorf("got the refusal after %v, want it within 2 s", took)
		}

		if how == syscall.SIGKILL {
			p.kill()
		} else {
			p.signal(how)
			if code := p.wait(); code != 1 || strings.Count(p.stderr.String(), "\n") != 1 || !strings.Contains(p.stderr.String(), "nothing was copied") {
				t.Errorf("got exit code %d and %q after %v, want 1 and one line", code, p.stderr, how)
			}
		}
		eventually(t, "the service can write again", func() bool {
			got, err := service.do(http.MethodPost, "/sign_up_temporarily", nil)
			return err == nil && got.status == http.StatusOK
		})
		execute(t, obstacle, "SELECT pg_advisory_unlock(77)")
		eventually(t, "the database has noticed", busy(0))
		for name, rows := range tables(t, to) {
			if len(rows) != 0 {
				t.Errorf("got %d rows of %s after %v, want none", len(rows), name, how)
			}
		}
	}
	service.terminate()
	execute(t, obstacle, "DROP TRIGGER wait_here ON users")
	execute(t, obstacle, "DROP FUNCTION wait_here")
}

// serveCopy starts a node on the copy and looks for everybody. lastID is the last id that the source gave out.
func serveCopy(t *testing.T, to sqlstore.Config, people *people, lastID int64) {
	t.Helper()
	letters := t.TempDir()
	p := develop(t, to, "--mail=dir:"+letters)
	if next := p.guest(t); next.ID != lastID+1 {
		t.Errorf("got id %d for a new user, want %d: ids are never given out again", next.ID, lastID+1)
	}
	for i := 0; i < len(people.guests); i += max(1, len(people.guests)/300) {
		g := people.guests[i]
		if got := p.user(t, g.token); got.ID != g.id || got.Username != g.username {
			t.Errorf("got user %d (%s) for a token, want %d (%s)", got.ID, got.Username, g.id, g.username)
		}
	}
	for _, ended := range people.ended {
		p.call(t, http.StatusUnauthorized, http.MethodGet, "/user", nil, bearer(ended))
	}
	for i, name := range people.users[:3] {
		in := newUser(name)
		p.signedIn(t, "/sign_in", members{"login": []string{in["username"], in["email"]}[i%2], "password": in["password"]})
	}
	again := p.signedIn(t, "/sign_in_with/wechat", members{"uid": people.weChat[0].username})
	if again.ID != people.weChat[0].id {
		t.Errorf("got user %d for a WeChat user, want %d as before", again.ID, people.weChat[0].id)
	}
	reset := members{"token": people.resetToken, "password": "a new password", "password_confirmation": "a new password"}
	p.call(t, http.StatusNoContent, http.MethodPut, "/reset_password", reset)
	p.signedIn(t, "/sign_in", members{"login": people.resetUser, "password": "a new password"})
	taken := p.call(t, http.StatusUnprocessableEntity, http.MethodPost, "/sign_up", newUser(people.deleted))
	if problem := decode[latchkey.Problem](t, taken); len(problem.Errors) != 1 || problem.Errors[0].Code != latchkey.FieldTaken {
		t.Errorf("got %s for the name of a deleted user, want it taken", taken.body)
	}
	eventually(t, "the mail that was waiting is sent", func() bool {
		files, err := filepath.Glob(filepath.Join(letters, "*.eml"))
		return err == nil && len(files) >= people.queued
	})
}

// person is a user with one session, as they know it.
type person struct {
	id       int64
	username string // of a WeChat user the openid
	token    string
}

// people are the users of a database.
type people struct {
	guests []person
	users  []string // usernames, with the passwords of newUser
	weChat []person
	ended  []string // tokens

	deleted    string // a username that is held back
	resetUser  string
	resetToken string // of a mailed link
	queued     int    // messages
}

// fill makes n users of all kinds, in the tests' own process, where a hash costs nothing.
func fill(t *testing.T, cfg sqlstore.Config, n int) *people {
	t.Helper()
	cache := auth.NewSessionCache()
	cfg.Cache, cfg.Logger = cache, slog.New(slog.DiscardHandler)
	store, err := sqlstore.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	hasher, err := passhash.New(passhash.Config{Params: passhash.Params{MemoryKiB: 8, Passes: 1, Lanes: 1}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := auth.New(auth.Config{
		Store: store, Identities: store, Codes: store, SignUps: store, Limits: store, AuditLog: store, Cache: cache, Hasher: hasher, Mailer: mail.NewWaker(), Logger: cfg.Logger, Now: time.Now,
		PublicURL: publicURL, PlaceholderDomain: dbtest.PlaceholderDomain, PasswordMinLength: 8,
		SessionIdle: 90 * 24 * time.Hour, GuestIdle: 30 * 24 * time.Hour, AuditKeep: time.Hour, BelieveBareUID: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := hasher.Close(); err != nil {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	f := &filling{t: t, service: s, store: store, people: new(people)}
	const named, weChat, deleted, last = 100, 100, 50, 3
	f.crowd(n - named - weChat - deleted - last)
	f.named(named)
	f.weChat(weChat)
	f.deleted(deleted)
	f.resets(20)
	f.signUps(3)
	for range last {
		f.people.ended = append(f.people.ended, f.must(s.SignUpGuest(t.Context(), fillOrigin)).token)
	}
	if t.Failed() {
		t.FailNow()
	}
	return f.people
}

// forget takes the last users out of a database, as a clean-up may: only the sequence knows then that their ids were
// given out. It returns the last of them.
func forget(t *testing.T, cfg sqlstore.Config) (lastID int64) {
	t.Helper()
	if err := queryRow(t, cfg, "SELECT MAX(id) FROM users", &lastID); err != nil {
		t.Fatal(err)
	}
	db := openSQLite(t, cfg.SQLitePath)
	for _, sql := range []string{"DELETE FROM sessions WHERE user_id > $1", "DELETE FROM users WHERE id > $1"} {
		if _, err := db.ExecContext(withTimeout(t), sql, lastID-5); err != nil {
			t.Fatal(err)
		}
	}
	return lastID
}

type filling struct {
	t       *testing.T
	service *auth.Service
	store   *sqlstore.Store
	people  *people
}

var fillOrigin = auth.Origin{Address: netip.MustParseAddr("2001:db8::1"), UserAgent: "IdeaEgg/1.0 (蛋; 🥚)", Language: auth.SimplifiedChinese}

// must returns the person, or fails the test.
func (f *filling) must(in auth.SignedIn, err error) person {
	if err != nil {
		f.t.Error(err)
		return person{}
	}
	return person{int64(in.User.ID), in.User.Username, in.Token.Reveal()}
}

func (f *filling) current(token string) auth.Current {
	c, err := f.service.Authenticate(f.t.Context(), auth.SessionToken(token))
	if err != nil {
		f.t.Error(err)
		return auth.Current{}
	}
	return *c
}

// crowd makes guests, many at once, because each waits for the disk.
func (f *filling) crowd(n int) {
	f.people.guests = make([]person, n)
	var work sync.WaitGroup
	const workers = 64
	for w := range workers {
		work.Go(func() {
			for i := w; i < n; i += workers {
				if i%10 == 0 {
					key := auth.IdempotencyKey(fmt.Sprintf("key-of-guest-number-%d", i))
					f.people.guests[i] = f.must(f.service.SignUpGuestOnce(f.t.Context(), key, fillOrigin))
					continue
				}
				f.people.guests[i] = f.must(f.service.SignUpGuest(f.t.Context(), fillOrigin))
			}
		})
	}
	work.Wait()
	slices.SortFunc(f.people.guests, func(a, b person) int { return int(a.id - b.id) })
}

// named makes users with passwords, each with a profile and a second session; every fifth has ended the first.
func (f *filling) named(n int) {
	for i := range n {
		in := newUser(fmt.Sprintf("user-%d", i))
		sign := auth.SignUp{Username: in["username"], Email: in["email"], Password: in["password"], PasswordConfirmation: in["password"]}
		first := f.must(f.service.SignUp(f.t.Context(), sign, nil, fillOrigin))
		f.people.users = append(f.people.users, in["username"])
		fullname, avatar, phone := "张三 🥚 'quoted\\", "https://example.com/a.png?b=c%20d", "+86 138 0000 0000"
		change := auth.ProfileChange{Fullname: &fullname, Avatar: &avatar, PhoneNumber: &phone}
		if _, err := f.service.UpdateProfile(f.t.Context(), f.current(first.token), change); err != nil {
			f.t.Error(err)
		}
		f.must(f.service.SignIn(f.t.Context(), in["email"], in["password"], fillOrigin))
		if _, err := f.service.SignIn(f.t.Context(), in["email"], "a wrong password", fillOrigin); !errors.Is(err, auth.ErrInvalidCredentials) {
			f.t.Error(err)
		}
		if i%5 == 0 {
			if err := f.service.SignOut(f.t.Context(), f.current(first.token), auth.Origin{}); err != nil {
				f.t.Error(err)
			}
			f.people.ended = append(f.people.ended, first.token)
		}
	}
}

func (f *filling) weChat(n int) {
	for i := range n {
		in := auth.WeChatProof{UID: fmt.Sprintf("openid-%d", i)}
		p := f.must(f.service.SignInWithWeChat(f.t.Context(), in, auth.WeChatProfile{}, nil, fillOrigin))
		f.people.weChat = append(f.people.weChat, person{id: p.id, username: in.UID, token: p.token})
	}
}

// deleted makes users who have deleted their accounts: their names are held back.
func (f *filling) deleted(n int) {
	for range n {
		p := f.must(f.service.SignUpGuest(f.t.Context(), fillOrigin))
		if err := f.service.DeleteUser(f.t.Context(), f.current(p.token), "", fillOrigin); err != nil {
			f.t.Error(err)
		}
		f.people.ended = append(f.people.ended, p.token)
		f.people.deleted = p.username
	}
}

// readMail takes what waits to be sent: the mails that confirm the addresses of those who signed up.
func (f *filling) readMail() {
	now := time.Now()
	messages, err := f.store.LeaseMail(f.t.Context(), now, now.Add(time.Hour), 100_000)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, m := range messages {
		if err := f.store.RemoveMail(f.t.Context(), m.ID); err != nil {
			f.t.Error(err)
		}
	}
}

// resets has n users ask for new passwords; half of the mails are written, the others wait.
func (f *filling) resets(n int) {
	f.readMail()
	for i := range n {
		name := f.people.users[len(f.people.users)-1-i]
		if err := f.service.RequestReset(f.t.Context(), newUser(name)["email"], fillOrigin); err != nil {
			f.t.Error(err)
		}
	}
	now := time.Now()
	messages, err := f.store.LeaseMail(f.t.Context(), now, now, n/2)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, m := range messages {
		letter, err := f.service.ComposeLetter(f.t.Context(), m)
		if err != nil {
			f.t.Fatal(err)
		}
		_, f.people.resetToken, _ = strings.Cut(letter.Link, "token=")
		f.people.resetUser = letter.Username
		if err := f.store.RemoveMail(f.t.Context(), m.ID); err != nil {
			f.t.Error(err)
		}
	}
	f.people.queued = n - len(messages)
}

// signUps asks for sign-ups that nobody has confirmed.
func (f *filling) signUps(n int) {
	for i := range n {
		in := newUser(fmt.Sprintf("pending_%d", i))
		if err := f.service.RequestSignUp(f.t.Context(), auth.SignUp{
			Username: in["username"], Email: in["email"], Password: in["password"], PasswordConfirmation: in["password_confirmation"],
		}, fillOrigin); err != nil {
			f.t.Error(err)
		}
	}
	f.people.queued += n
}

// tables returns all rows of all tables that are copied, in the order of their keys.
func tables(t *testing.T, cfg sqlstore.Config) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	for _, name := range []string{"users", "identities", "sessions", "outbox", "one_time_tokens", "guest_keys", "sign_ups", "guess_failures", "audit_events"} {
		sql := "SELECT * FROM " + name + " ORDER BY 1"
		if cfg.PostgresURL != "" {
			all[name] = rowsOfPostgres(t, cfg.PostgresURL, sql)
		} else {
			all[name] = rowsOfSQLite(t, cfg.SQLitePath, sql)
		}
	}
	return all
}

func rowsOfPostgres(t *testing.T, url, sql string) []string {
	t.Helper()
	conn := connect(t, url)
	defer conn.Close(withTimeout(t))
	rows, err := conn.Query(withTimeout(t), sql)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		values, err := row.Values()
		return fmt.Sprint(values), err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func rowsOfSQLite(t *testing.T, path, sql string) (list []string) {
	t.Helper()
	rows, err := openSQLite(t, path).QueryContext(withTimeout(t), sql)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	values, pointers := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		pointers[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(pointers...); err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprint(values))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

// firstDifference returns the first rows that differ, or two empty ones.
func firstDifference(a, b []string) (inA, inB string) {
	for i := range max(len(a), len(b)) {
		if i >= len(a) {
			return "", b[i]
		}
		if i >= len(b) || a[i] != b[i] {
			return a[i], strings.Join(b[min(i, len(b)):min(i+1, len(b))], "")
		}
	}
	return "", ""
}
