package main_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/sqlstore"
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
