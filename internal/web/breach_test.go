package web_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/apitest"
	"github.com/ideaegg/latchkey/internal/auth"
)

// breached is a password that every check but that of breaches lets pass.
const breached = "stolen elsewhere"

// breachList knows one password, or nothing when it does not answer, and writes down what it was asked.
type breachList struct {
	mu    sync.Mutex
	down  bool
	asked []string
}

func (l *breachList) IsBreached(_ context.Context, password string) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = append(l.asked, password)
	if l.down {
		return false, errors.New("nobody answers")
	}
	return password == breached, nil
}

func (l *breachList) set(down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = down
}

func (l *breachList) has(password string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Contains(l.asked, password)
}

func TestBreachedPasswordsAreRefusedWhereverOneIsSet(t *testing.T) {
	t.Parallel()
	list := new(breachList)
	s := apitest.OnSQLite(t, apitest.Options{Breaches: list})
	token := signUp(t, s, "careful").Token()
	body := signUpBody("careless")
	body["password"], body["password_confirmation"] = breached, breached
	wantInvalid(t, s.Post("/sign_up", body), "password too_common")
	wantInvalid(t, s.Put("/user/password", object{
		"current_password": password, "password": breached, "password_confirmation": breached,
	}, apitest.Bearing(token)), "password too_common")
	m := askReset(t, s, "careful@example.com")
	for range auth.MaxCodeAttempts + 1 { // costs no attempt
		wantInvalid(t, s.Put("/reset_password", object{
			"email": "careful@example.com", "code": m.Code, "password": breached, "password_confirmation": breached,
		}), "password too_common")
	}
	wantInvalid(t, s.Put("/reset_password", object{"token": m.Token, "password": breached, "password_confirmation": breached}), "password too_common")
	want(t, resetBy(t, s, object{"email": "careful@example.com", "code": m.Code}), http.StatusNoContent)

	// Nobody is asked about a password that is refused anyway, nor when somebody signs in.
	body["password"], body["password_confirmation"] = "careless", "careless"
	wantInvalid(t, s.Post("/sign_up", body), "password too_common")
	want(t, s.Post("/sign_in", object{"login": "careful", "password": "never set"}), http.StatusUnauthorized)
	for _, p := range []string{"careless", "never set"} {
		if list.has(p) {
			t.Errorf("the list was asked about %q", p)
		}
	}
}

func TestPasswordsAreAcceptedWhenTheListDoesNotAnswer(t *testing.T) {
	t.Parallel()
	list := new(breachList)
	list.set(true)
	s := apitest.OnSQLite(t, apitest.Options{Breaches: list})
	for i, username := range []string{"first_user", "second_user", "third_user"} {
		if i == 2 {
			s.Clock.Advance(time.Minute)
		}
		body := signUpBody(username)
		body["password"], body["password_confirmation"] = breached, breached
		want(t, s.Post("/sign_up", body), http.StatusOK)
	}
	if !list.has(breached) {
		t.Error("the list was not asked")
	}
	if got := s.Logged("new passwords are accepted unchecked"); got != 2 {
		t.Errorf("got %d warnings in a minute and a bit, want 2", got)
	}
}
