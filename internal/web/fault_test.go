package web_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/apitest"
	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/passhash"
)

// faultyStore fails while it has a fault.
type faultyStore struct {
	auth.Store
	fault atomic.Pointer[func() error]
}

func (f *faultyStore) over(store auth.Store) auth.Store {
	f.Store = store
	return f
}

func (f *faultyStore) fail(with func() error) { f.fault.Store(&with) }

func (f *faultyStore) err() error {
	if fault := f.fault.Load(); fault != nil {
		return (*fault)()
	}
	return nil
}

func (f *faultyStore) CreateUser(ctx context.Context, n auth.NewUser) (auth.User, error) {
	if err := f.err(); err != nil {
		return auth.User{}, err
	}
	return f.Store.CreateUser(ctx, n)
}

func (f *faultyStore) FindLogin(ctx context.Context, l auth.Login) (auth.User, auth.PasswordHash, error) {
	if err := f.err(); err != nil {
		return auth.User{}, "", err
	}
	return f.Store.FindLogin(ctx, l)
}

func (f *faultyStore) FindIdentity(ctx context.Context, i auth.Identity) (auth.User, error) {
	if err := f.err(); err != nil {
		return auth.User{}, err
	}
	return f.Store.FindIdentity(ctx, i)
}

func (f *faultyStore) FindSession(ctx context.Context, id auth.SessionID) (auth.Session, auth.User, error) {
	if err := f.err(); err != nil {
		return auth.Session{}, auth.User{}, err
	}
	return f.Store.FindSession(ctx, id)
}

func (f *faultyStore) QueueMail(ctx context.Context, m auth.OutboxMessage) (auth.MessageID, error) {
	if err := f.err(); err != nil {
		return 0, err
	}
	return f.Store.QueueMail(ctx, m)
}

func (f *faultyStore) Ping(ctx context.Context) error {
	if err := f.err(); err != nil {
		return err
	}
	return f.Store.Ping(ctx)
}

// failAll makes one request of each kind.
func failAll(s *apitest.Server, token string) map[string]apitest.Answer {
	return map[string]apitest.Answer{
		"sign-up":       s.Post("/sign_up", signUpBody("new_name")),
		"sign-in":       s.Post("/sign_in", object{"login": "john_smith", "password": password}),
		"WeChat":        s.Post("/sign_in_with/wechat", object{"uid": "new_uid"}),
		"guest":         s.Post("/sign_up_temporarily", nil),
		"reset request": s.Post("/reset_password", object{"email": "john_smith@example.com"}),
		"user":          s.Get("/user", apitest.Bearing(token)),
		"readiness":     s.Get("/readyz"),
	}
}

func TestUnavailableDatabaseIsToldAsSuch(t *testing.T) {
	t.Parallel()
	var store faultyStore
	s := apitest.OnSQLite(t, apitest.Options{Dev: true, Faulty: true, Store: store.over})
	token := signUp(t, s, "john_smith").Token()
	store.fail(func() error { return fmt.Errorf("dial tcp 10.0.0.1:5432: %w", auth.ErrUnavailable) })
	for name, a := range failAll(s, token) {
		t.Run(name, func(t *testing.T) {
			wantProblem(t, a, http.StatusServiceUnavailable, latchkey.CodeUnavailable)
			if got := a.Header.Get("Retry-After"); got != "1" {
				t.Errorf("got Retry-After %q, want 1", got)
			}
			if strings.Contains(string(a.Body), "5432") {
				t.Errorf("the answer tells of the inside: %s", a.Body)
			}
		})
	}
	want(t, s.Get("/healthz"), http.StatusOK)
	wantUnauthorized(t, s.Get("/user", "PRIVATE-TOKEN: malformed")) // needs no database

	store.fault.Store(nil)
	wantAlive(t, s, token)
	want(t, s.Get("/readyz"), http.StatusOK)
	signUp(t, s, "new_name")
}

func TestUnforeseenErrorTellsNothingOfTheInside(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func() error{
		"an error": func() error { return errors.New(`pq: relation "users" at /srv/latchkey/store.go:12 secret-detail`) },
		"a panic":  func() error { panic("secret-detail in " + `goroutine 1 [running]: /srv/latchkey/store.go:12`) },
		"a fault of the program": func() error {
			var list []error
			return list[len("secret-detail")]
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var store faultyStore
			s := apitest.OnSQLite(t, apitest.Options{Dev: true, Faulty: true, Store: store.over})
			token := signUp(t, s, "john_smith").Token()
			store.fail(fault)
			for name, a := range failAll(s, token) {
				wantProblem(t, a, http.StatusInternalServerError, latchkey.CodeInternal)
				if got, want := a.Text("message"), "Something went wrong on our side."; got != want {
					t.Errorf("%s: got message %q, want %q", name, got, want)
				}
				for _, inside := range []string{"secret-detail", "goroutine", ".go", "/srv", "users", "index out of range"} {
					if strings.Contains(string(a.Body), inside) || strings.Contains(fmt.Sprint(a.Header), inside) {
						t.Errorf("%s: the answer tells %q: %s", name, inside, a.Body)
					}
				}
				if !strings.Contains(s.Log(), a.Header.Get("X-Request-Id")) {
					t.Errorf("%s: the log does not name the request", name)
				}
			}
			store.fault.Store(nil)
			wantAlive(t, s, token)
			signIn(t, s, "john_smith")
		})
	}
}

func TestTooManyHashesAreRefusedWithAWait(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{Faulty: true, Hash: passhash.Config{
		Workers: 1, QueueLength: 1, MaxWait: 1, Params: passhash.Params{MemoryKiB: 4096, Passes: 16, Lanes: 1},
	}})
	answers := atOnce(12, func(int) apitest.Answer {
		return s.Post("/sign_in", object{"login": "nobody", "password": password}, "Accept-Language: zh")
	})
	refused := withStatus(answers, http.StatusServiceUnavailable)
	if len(refused) == 0 {
		t.Fatal("got no refusal")
	}
	for _, a := range refused {
		wantProblem(t, a, http.StatusServiceUnavailable, latchkey.CodeOverloaded)
		if seconds, err := strconv.Atoi(a.Header.Get("Retry-After")); err != nil || seconds < 1 {
			t.Errorf("got Retry-After %q, want whole seconds", a.Header.Get("Retry-After"))
		}
	}
	for _, a := range answers {
		if a.Status != http.StatusServiceUnavailable && a.Status != http.StatusUnauthorized {
			t.Errorf("got %d %s", a.Status, a.Body)
		}
	}
}
