package web_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/apitest"
)

// object is a JSON object that a test sends.
type object = apitest.Members

// password is that of everybody who has one in these tests.
const password = "correct horse 9"

// memberNames are those of the answers, in their order.
var (
	signedInMembers = []string{"id", "username", "email", "fullname", "private_token", "created_at"}
	wechatMembers   = append(signedInMembers[:6:6], "avatar", "phone_number")
	userMembers     = []string{"id", "username", "email", "fullname", "avatar", "phone_number", "created_at", "guest", "email_verified"}
	sessionMembers  = []string{"id", "created_at", "last_used_at", "expires_at", "ip", "user_agent", "current"}
)

// signUpBody is that of a new user with this name.
func signUpBody(name string) object {
	return object{"username": name, "email": name + "@example.com", "password": password, "password_confirmation": password}
}

// signUp makes a user and returns the answer.
func signUp(t *testing.T, s *apitest.Server, name string, headers ...string) apitest.Answer {
	t.Helper()
	a := s.For(t).Post("/sign_up", signUpBody(name), headers...)
	want(t, a, http.StatusOK)
	return a
}

// signIn makes a session of a user and returns its token.
func signIn(t *testing.T, s *apitest.Server, login string, headers ...string) string {
	t.Helper()
	a := s.For(t).Post("/sign_in", object{"login": login, "password": password}, headers...)
	want(t, a, http.StatusOK)
	return a.Token()
}

// signUpGuest makes a guest and returns the answer.
func signUpGuest(t *testing.T, s *apitest.Server) apitest.Answer {
	t.Helper()
	a := s.For(t).Post("/sign_up_temporarily", nil)
	want(t, a, http.StatusOK)
	return a
}

// signInWithWeChat signs an openid in and returns the answer.
func signInWithWeChat(t *testing.T, s *apitest.Server, uid string, headers ...string) apitest.Answer {
	t.Helper()
	a := s.For(t).Post("/sign_in_with/wechat", object{"uid": uid}, headers...)
	want(t, a, http.StatusOK)
	return a
}

// want checks the status.
func want(t *testing.T, a apitest.Answer, status int) {
	t.Helper()
	if a.Status != status {
		t.Errorf("got %d %s, want %d", a.Status, a.Body, status)
	}
}

// wantMembers checks the names of the answer's members and their order.
func wantMembers(t *testing.T, a apitest.Answer, names []string) {
	t.Helper()
	if diff := cmp.Diff(names, a.Names); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
}

// wantProblem checks status and code of a problem, and the field and code of each of its errors.
func wantProblem(t *testing.T, a apitest.Answer, status int, code latchkey.Code, faults ...string) {
	t.Helper()
	if got := a.Problem(); a.Status != status || got.Code != code {
		t.Errorf("got %d %s, want %d %s", a.Status, a.Body, status, code)
	}
	if diff := cmp.Diff(faults, a.Faults()); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

// wantInvalid checks for a 422 with these faults.
func wantInvalid(t *testing.T, a apitest.Answer, faults ...string) {
	t.Helper()
	wantProblem(t, a, http.StatusUnprocessableEntity, latchkey.CodeValidationFailed, faults...)
}

// wantUnauthorized checks for the one answer to every token that is not good.
func wantUnauthorized(t *testing.T, a apitest.Answer) {
	t.Helper()
	wantProblem(t, a, http.StatusUnauthorized, latchkey.CodeUnauthorized, "token invalid")
	if got := a.Header.Get("WWW-Authenticate"); got != "Bearer" {
		t.Errorf("got WWW-Authenticate %q, want Bearer", got)
	}
	if got := a.Text("message"); got != "401 Unauthorized" {
		t.Errorf("got message %q, want 401 Unauthorized", got)
	}
}

// wantAlive checks that a token still opens GET /user, and returns the user.
func wantAlive(t *testing.T, s *apitest.Server, token string) apitest.Answer {
	t.Helper()
	a := s.For(t).Get("/user", apitest.Bearing(token))
	want(t, a, http.StatusOK)
	return a
}

// wantDead checks that a token opens nothing any more.
func wantDead(t *testing.T, s *apitest.Server, token string) {
	t.Helper()
	wantUnauthorized(t, s.For(t).Get("/user", apitest.Bearing(token)))
}

// atOnce runs n requests at the same time and returns the answers.
func atOnce(n int, request func(i int) apitest.Answer) []apitest.Answer {
	answers := make([]apitest.Answer, n)
	start := make(chan struct{})
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() {
			<-start
			answers[i] = request(i)
		})
	}
	close(start)
	running.Wait()
	return answers
}

// withStatus returns the answers with this status.
func withStatus(answers []apitest.Answer, status int) []apitest.Answer {
	var found []apitest.Answer
	for _, a := range answers {
		if a.Status == status {
			found = append(found, a)
		}
	}
	return found
}

// withoutRequestID returns a problem with an empty request id, for comparing.
func withoutRequestID(t *testing.T, a apitest.Answer) latchkey.Problem {
	t.Helper()
	p := a.Problem()
	p.RequestID = ""
	return p
}
