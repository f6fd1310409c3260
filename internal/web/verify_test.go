package web_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/apitest"
)

// wantVerified checks for the answer to a good token.
func wantVerified(t *testing.T, a apitest.Answer, id int64, username string, guest bool) {
	t.Helper()
	want(t, a, http.StatusOK)
	if len(a.Body) > 0 {
		t.Errorf("got the body %q, want none", a.Body)
	}
	for name, want := range map[string]string{
		"Latchkey-User-Id": strconv.FormatInt(id, 10), "Latchkey-Username": username, "Latchkey-Guest": strconv.FormatBool(guest),
		"Content-Type": "",
	} {
		if got := strings.Join(a.Header.Values(name), ", "); got != want {
			t.Errorf("got %s %q, want %q", name, got, want)
		}
	}
}

// wantAnonymous checks that an answer says nothing about anybody.
func wantAnonymous(t *testing.T, a apitest.Answer) {
	t.Helper()
	for name := range a.Header {
		if strings.HasPrefix(name, "Latchkey-") {
			t.Errorf("got %s in an answer of %d", name, a.Status)
		}
	}
}

func TestVerifyTellsWhoseTokenItIs(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		john, guest := signUp(t, s, "john_smith"), signUpGuest(t, s)
		for range 3 { // from the database, then from memory
			wantVerified(t, s.Get("/verify", apitest.Bearing(john.Token())), john.ID(), "john_smith", false)
			wantVerified(t, s.Get("/verify", "Authorization: Bearer "+john.Token()), john.ID(), "john_smith", false)
			wantVerified(t, s.Do(http.MethodHead, "/verify", nil, apitest.Bearing(john.Token())), john.ID(), "john_smith", false)
			wantVerified(t, s.Get("/verify", apitest.Bearing(guest.Token())), guest.ID(), guest.Text("username"), true)
		}

		s.Remember(guest.Token())
		jane := signUp(t, s, "jane", apitest.Bearing(guest.Token()))
		wantVerified(t, s.Get("/verify", apitest.Bearing(jane.Token())), guest.ID(), "jane", false)
	})
}

func TestVerifyRefusesEveryOtherToken(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{})
	token, other := signUp(t, s, "john_smith").Token(), signUpGuest(t, s).Token()
	ended := signIn(t, s, "john_smith")
	s.Remember(ended)
	want(t, s.Post("/sign_out", nil, apitest.Bearing(ended)), http.StatusNoContent)

	for name, headers := range map[string][]string{
		"none":      nil,
		"malformed": {"Authorization: Bearer x"},
		"empty":     {"Authorization: Bearer"},
		"truncated": {apitest.Bearing(token[:len(token)-1])},
		"ended":     {apitest.Bearing(ended)},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/verify", "/verify/", "/verify/user"} {
				a := s.For(t).Get(path, headers...)
				wantUnauthorized(t, a)
				wantAnonymous(t, a)
			}
		})
	}
	for name, headers := range map[string][]string{
		"in the URL":    {"Cookie: private_token=" + token},
		"another's too": {"Authorization: Basic " + token},
	} {
		t.Run(name, func(t *testing.T) {
			wantUnauthorized(t, s.For(t).Get("/verify?private_token="+token, headers...))
		})
	}
	conflict := s.Get("/verify", apitest.Bearing(token), "Authorization: Bearer "+other)
	wantProblem(t, conflict, http.StatusBadRequest, latchkey.CodeTokenConflict, "token invalid")
	wantAnonymous(t, conflict)
}

// Envoy sends the method of the request that it asks about, and its path behind the configured one.
func TestVerifyAnswersWhateverAProxySends(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{BasePath: "/api/v2"})
	john := signUp(t, s, "john_smith")
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "X"} {
		for _, path := range []string{
			"/verify", "/verify/", "/verify/orders", "/verify/orders/1/../../x", "/verify//", "/verify/sign_out?q=1", "/verify/%2e%2e/%ff",
			"/verify/verify/user",
		} {
			wantVerified(t, s.Do(method, path, nil, apitest.Bearing(john.Token())), john.ID(), "john_smith", false)
			if a := s.Do(method, path, nil); a.Status != http.StatusUnauthorized {
				t.Errorf("%s %s: got %d without a token, want 401", method, path, a.Status)
			}
		}
	}
	wantAlive(t, s, john.Token()) // none of it was a sign-out
	for _, path := range []string{"/verifyx", "/Verify", "/verify_email/x"} {
		wantProblem(t, s.Get(path, apitest.Bearing(john.Token())), http.StatusNotFound, latchkey.CodeNotFound, "path invalid")
	}
}

// A proxy may announce its client's body and keep it. The answer does not wait for it, good or bad.
func TestVerifyDoesNotWaitForABody(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{})
	token := signUp(t, s, "john_smith").Token()
	for name, test := range map[string]struct {
		headers string
		status  int
	}{
		"good":    {"Private-Token: " + token + "\r\nContent-Length: 1000\r\n", http.StatusOK},
		"bad":     {"Private-Token: x\r\nContent-Length: 1000\r\n", http.StatusUnauthorized},
		"chunked": {"Private-Token: " + token + "\r\nTransfer-Encoding: chunked\r\n", http.StatusOK},
		"asked":   {"Private-Token: " + token + "\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n", http.StatusOK},
		"huge":    {"Private-Token: " + token + "\r\nContent-Length: 100000000000\r\nContent-Type: text/plain\r\n", http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.Origin, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			begun := time.Now()
			if _, err := fmt.Fprintf(conn, "POST /verify/upload HTTP/1.1\r\nHost: x\r\n%s\r\n", test.headers); err != nil {
				t.Fatal(err)
			}
			a, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = a.Body.Close() }()
			if a.StatusCode != test.status || !a.Close {
				t.Errorf("got %d, closing: %v; want %d and a connection that is closed", a.StatusCode, a.Close, test.status)
			}
			if took := time.Since(begun); took > 10*time.Second { // the service reads for 20 s
				t.Errorf("the answer took %v: it waited for the body", took)
			}
		})
	}
}

// What is kept of a user is kept until something about them changes, whichever session changes it.
func TestAnswerThatIsKeptChangesWithTheUser(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		token := signUp(t, s, "john_smith").Token()
		other := signIn(t, s, "john_smith")
		s.Remember(token)
		s.Remember(other)
		for _, name := range []string{"John", "约翰", "John Smith"} {
			want(t, s.Put("/user", object{"fullname": name}, apitest.Bearing(other)), http.StatusOK)
			for range 3 { // from the database, then from memory
				for _, token := range []string{token, other} {
					a := wantAlive(t, s, token)
					if got := a.Text("fullname"); got != name {
						t.Errorf("got %q, want %q", got, name)
					}
					if got, want := a.Header.Get("Content-Length"), strconv.Itoa(len(a.Body)); got != want {
						t.Errorf("got Content-Length %s, want %s", got, want)
					}
				}
			}
		}
	})
}
