package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/ideaegg/latchkey"
)

// api is a client of a program.
type api struct {
	base   string // http://HOST:PORT and, if there is one, the base path
	client *http.Client
}

func newAPI(t *testing.T, base string) api { return api{base: base, client: newHTTPClient(t)} }

// members is a JSON object of a request.
type members map[string]string

// answer is what the program answered.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request, with a JSON body unless that is nil, and header lines of the form "Name: value".
func (a api) do(method, path string, body members, header ...string) (answer, error) {
	var reader io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		reader = bytes.NewReader(b)
		header = append(header, "Content-Type: application/json")
	}
	return a.send(method, path, reader, header...)
}

func (a api) send(method, path string, body io.Reader, header ...string) (answer, error) {
	r, err := http.NewRequestWithContext(context.Background(), method, a.base+path, body) // the client has a timeout
	if err != nil {
		return answer{}, err
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	resp, err := a.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: b}, nil
}

// call is do for the test's own goroutine; the status must be the wanted one.
func (a api) call(t *testing.T, want int, method, path string, body members, header ...string) answer {
	t.Helper()
	got, err := a.do(method, path, body, header...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if got.status != want {
		t.Fatalf("%s %s: got %d %s, want %d", method, path, got.status, got.body, want)
	}
	return got
}

// signedIn is call for what signs somebody in.
func (a api) signedIn(t *testing.T, path string, body members, header ...string) latchkey.SignedIn {
	t.Helper()
	return decode[latchkey.SignedIn](t, a.call(t, http.StatusOK, http.MethodPost, path, body, header...))
}

func (a api) guest(t *testing.T) latchkey.SignedIn {
	t.Helper()
	return a.signedIn(t, "/sign_up_temporarily", nil)
}

// user returns the user that a token belongs to.
func (a api) user(t *testing.T, token string) latchkey.User {
	t.Helper()
	return decode[latchkey.User](t, a.call(t, http.StatusOK, http.MethodGet, "/user", nil, bearer(token)))
}

// status returns the status of an answer, for the test's own goroutine.
func (a api) status(t *testing.T, method, path string, header ...string) int {
	t.Helper()
	got, err := a.do(method, path, nil, header...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return got.status
}

func bearer(token string) string { return "Authorization: Bearer " + token }

// newUser is a sign-up that is accepted, with a password that nobody else has.
func newUser(name string) members {
	password := "pass of " + name
	return members{"username": name, "email": name + "@example.com", "password": password, "password_confirmation": password}
}

func decode[T any](t *testing.T, a answer) T {
	t.Helper()
	v, err := parse[T](a)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// parse is decode for any goroutine.
func parse[T any](a answer) (v T, err error) {
	if err := json.Unmarshal(a.body, &v); err != nil {
		return v, fmt.Errorf("decode %d %s: %w", a.status, a.body, err)
	}
	return v, nil
}

// wantUnavailable checks an answer that says to come back.
func wantUnavailable(t *testing.T, got answer, code latchkey.Code) {
	t.Helper()
	if got.status != http.StatusServiceUnavailable {
		t.Fatalf("got %d %s, want 503", got.status, got.body)
	}
	if problem := decode[latchkey.Problem](t, got); problem.Code != code {
		t.Errorf("got code %q, want %q", problem.Code, code)
	}
	if after := got.header.Get("Retry-After"); !isSeconds(after) {
		t.Errorf("got Retry-After %q, want seconds", after)
	}
}

// isSeconds says whether s is a Retry-After of at least one second.
func isSeconds(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == "" && strings.Trim(s, "0") != ""
}
