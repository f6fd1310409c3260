package main_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/sqlstore"
	"github.com/ideaegg/latchkey/internal/wechattest"
)

// TestDisabledUserIsOutAtOnce disables a user with one program while another one serves.
func TestDisabledUserIsOutAtOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		p := develop(t, cfg)
		in := newUser("john_smith")
		user := p.signedIn(t, "/sign_up", in)
		p.user(t, user.PrivateToken) // the program may remember it now
		other := p.guest(t)
		signIn := members{"login": in["username"], "password": in["password"]}

		for _, login := range []string{"John_Smith@Example.com", "JOHN_SMITH"} {
			manage(t, cfg, "disable", login, fmt.Sprintf("disabled user %d (john_smith)\n", user.ID))
			// The program learns of it within 250 ms; the rest is for a busy machine.
			took := eventually(t, "the token is refused", func() bool {
				return p.status(t, http.MethodGet, "/user", bearer(user.PrivateToken)) == http.StatusUnauthorized
			})
			if took > 2*time.Second {
				t.Errorf("got the token refused after %v, want it at once", took)
			}
			p.call(t, http.StatusUnauthorized, http.MethodPost, "/sign_in", signIn)
			p.user(t, other.PrivateToken)

			manage(t, cfg, "enable", login, fmt.Sprintf("enabled user %d (john_smith)\n", user.ID))
			user = p.signedIn(t, "/sign_in", signIn)
			p.user(t, user.PrivateToken)
		}
		manage(t, cfg, "disable", other.Username, fmt.Sprintf("disabled user %d (%s)\n", other.ID, other.Username))
		eventually(t, "the guest's token is refused", func() bool {
			return p.status(t, http.MethodGet, "/user", bearer(other.PrivateToken)) == http.StatusUnauthorized
		})

		p.terminate()
		next := develop(t, cfg)
		next.user(t, user.PrivateToken)
		next.call(t, http.StatusUnauthorized, http.MethodGet, "/user", nil, bearer(other.PrivateToken))
	})
}

// TestMergedUsersAreOne merges two users of one person while a program serves.
func TestMergedUsersAreOne(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		weChat := wechattest.NewServer(t, wechattest.Config{})
		mini := weChat.AddApp(wechattest.App{Kind: wechattest.MiniProgram, Group: "one"})
		mobile := weChat.AddApp(wechattest.App{Kind: wechattest.Mobile, Group: "one"})
		wei := weChat.AddPerson(wechattest.Person{})
		var apps []string
		for _, app := range weChat.Apps() {
			apps = append(apps, fmt.Sprintf(`{"app_id":%q,"secret":%q,"kind":%q,"group":"one"}`, app.ID, app.Secret, app.Kind))
		}
		p := produce(t, cfg, "--wechat-api="+weChat.URL, "--wechat-apps=["+strings.Join(apps, ",")+"]")
		signIn := func(app wechattest.App) latchkey.SignedIn {
			t.Helper()
			return p.signedIn(t, "/sign_in_with/wechat", members{"app_id": app.ID, "code": weChat.Code(app, wei)})
		}
		weChat.BindGroup(mini, "")
		from := signIn(mini)
		into := signIn(mobile)
		weChat.BindGroup(mini, "one")
		if again := signIn(mini); again.ID != from.ID {
			t.Fatalf("got user %d, want %d as before", again.ID, from.ID)
		}

		ids := []string{fmt.Sprintf("id:%d", from.ID), fmt.Sprintf("id:%d", into.ID)} // what the log and the audit event say
		stdout, stderr, code := run(t, launch{args: append([]string{"user", "merge", database(cfg)}, ids...)})
		want := fmt.Sprintf("merged user %d (%s) into user %d (%s)\n", from.ID, from.Username, into.ID, into.Username)
		if code != 0 || stdout != want || stderr != "" {
			t.Fatalf("got exit code %d, output %q and %q, want 0, %q and nothing", code, stdout, stderr, want)
		}
		for _, app := range []wechattest.App{mini, mobile} {
			if got := signIn(app); got.ID != into.ID {
				t.Errorf("%s: got user %d, want %d", app.Kind, got.ID, into.ID)
			}
		}
		eventually(t, "the old token is refused", func() bool {
			return p.status(t, http.MethodGet, "/user", bearer(from.PrivateToken)) == http.StatusUnauthorized
		})
		p.user(t, into.PrivateToken)
		p.terminate()
		kinds := kindsOf(auditEvents(t, cfg))
		for _, want := range []string{"identity_conflict refused", "users_merged ok"} {
			if !slices.Contains(kinds, want) {
				t.Errorf("got events %q, want %q among them", kinds, want)
			}
		}

		for name, args := range map[string][]string{
			"the same user":       {into.Username, strings.ToUpper(into.Username)},
			"somebody who is not": {from.Username, into.Username},
		} {
			if _, stderr, code := run(t, launch{args: append([]string{"user", "merge", database(cfg)}, args...)}); code == 0 || stderr == "" {
				t.Errorf("%s: got exit code %d and %q, want a refusal", name, code, stderr)
			}
		}
	})
}

// TestUnlockedUserMayTryAgain ends a wait with one program while another one serves.
func TestUnlockedUserMayTryAgain(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		p := develop(t, cfg)
		in := newUser("john_smith")
		user := p.signedIn(t, "/sign_up", in)
		for range 10 {
			p.call(t, http.StatusUnauthorized, http.MethodPost, "/sign_in", members{"login": in["username"], "password": "a wrong password"})
		}
		signIn := members{"login": in["username"], "password": in["password"]}
		limited := p.call(t, http.StatusTooManyRequests, http.MethodPost, "/sign_in", signIn)
		if limited.header.Get("Retry-After") == "" {
			t.Error("got no Retry-After")
		}
		manage(t, cfg, "unlock", in["email"], fmt.Sprintf("unlocked user %d (john_smith)\n", user.ID))
		p.signedIn(t, "/sign_in", signIn)
	})
}

// TestEveryUserCanBeNamed: also one whose name was reserved after they had it, and one whose name is a number.
func TestEveryUserCanBeNamed(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		p := develop(t, cfg)
		number := p.signedIn(t, "/sign_up", newUser("17"))
		in := newUser("early_bird")
		early := p.signedIn(t, "/sign_up", in)
		if err := queryRow(t, cfg, "UPDATE users SET username = 'support' WHERE username = 'early_bird' RETURNING 1", new(int)); err != nil {
			t.Fatal(err)
		}
		p.call(t, http.StatusOK, http.MethodPost, "/sign_in", members{"login": "Support", "password": in["password"]})
		for _, login := range []string{"support", fmt.Sprintf("id:%d", early.ID)} {
			manage(t, cfg, "disable", login, fmt.Sprintf("disabled user %d (support)\n", early.ID))
			manage(t, cfg, "enable", login, fmt.Sprintf("enabled user %d (support)\n", early.ID))
		}
		manage(t, cfg, "disable", "17", fmt.Sprintf("disabled user %d (17)\n", number.ID))
	})
}

// manage runs `latchkey user` beside a program that serves.
func manage(t *testing.T, cfg sqlstore.Config, command, login, want string) {
	t.Helper()
	stdout, stderr, code := run(t, launch{args: []string{"user", command, login, database(cfg)}})
	if code != 0 || stdout != want || stderr != "" {
		t.Fatalf("got exit code %d, output %q and %q, want 0, %q and nothing", code, stdout, stderr, want)
	}
}
