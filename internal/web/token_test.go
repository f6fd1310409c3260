package web_test

import (
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/apitest"
	"github.com/ideaegg/latchkey/internal/auth"
)

func TestTokenGoesInEitherHeader(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{})
	token := signUp(t, s, "john_smith").Token()
	for _, headers := range [][]string{
		{"PRIVATE-TOKEN: " + token},
		{"private-token: " + token},
		{"Authorization: Bearer " + token},
		{"Authorization: bearer " + token},
		{"Authorization: BEARER   " + token},
		{"PRIVATE-TOKEN: " + token, "Authorization: Bearer " + token},
		{"PRIVATE-TOKEN: " + token, "PRIVATE-TOKEN: " + token},
		{"PRIVATE-TOKEN: " + token, "Authorization: Basic dXNlcjpwYXNz"},
	} {
		want(t, s.Get("/user", headers...), http.StatusOK)
	}
}

func TestTwoDifferentTokensAreRefused(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{Dev: true})
	token, other := signUp(t, s, "john_smith").Token(), signUp(t, s, "mary_smith").Token()
	for _, headers := range [][]string{
		{"PRIVATE-TOKEN: " + token, "Authorization: Bearer " + other},
		{"PRIVATE-TOKEN: " + token, "PRIVATE-TOKEN: " + other},
		{"Authorization: Bearer " + token, "Authorization: Bearer " + other},
		{"PRIVATE-TOKEN: " + token, "Authorization: Bearer x"},
		{"PRIVATE-TOKEN: x", "Authorization: Bearer " + token},
		{"PRIVATE-TOKEN: x", "Authorization: Bearer y"},
		{"PRIVATE-TOKEN: " + token, "Authorization: Bearer"},
	} {
		for _, request := range []struct {
			method, path string
			body         any
		}{
			{http.MethodGet, "/user", nil},
			{http.MethodPut, "/user", object{"fullname": "New"}},
			{http.MethodDelete, "/user", object{"current_password": password}},
			{http.MethodPost, "/sign_out", nil},
			{http.MethodPost, "/sign_up", signUpBody("new_name")},
			{http.MethodPost, "/sign_in", object{"login": "john_smith", "password": password}},
			{http.MethodPost, "/sign_in_with/wechat", object{"uid": "new_uid"}},
			{http.MethodPost, "/sign_up_temporarily", nil},
			{http.MethodPost, "/reset_password", object{"email": "john_smith@example.com"}},
			{http.MethodPut, "/reset_password", withNewPassword(object{"token": "x"})},
		} {
			a := s.Do(request.method, request.path, request.body, headers...)
			wantProblem(t, a, http.StatusBadRequest, latchkey.CodeTokenConflict, "token invalid")
		}
	}
	if got := wantAlive(t, s, token).Text("fullname"); got != "john_smith" {
		t.Errorf("got %q: a refused request changed it", got)
	}
	signUp(t, s, "new_name")
	for _, m := range s.Mails("john_smith@example.com") {
		if strings.Contains(m.Link, "reset_password") {
			t.Errorf("got a mail with %s", m.Link)
		}
	}
}

func TestTokenIsReadFromNowhereElse(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{})
	token := signUp(t, s, "john_smith").Token()
	for _, name := range []string{"private_token", "PRIVATE-TOKEN", "access_token", "token", "Authorization", "auth_token"} {
		wantUnauthorized(t, s.Get("/user?"+name+"="+token))
		wantUnauthorized(t, s.Get("/user", "Cookie: "+name+"="+token))
		wantUnauthorized(t, s.Put("/user", object{name: token, "fullname": "New"}))
		wantUnauthorized(t, s.Put("/user", name+"="+token, "Content-Type: application/x-www-form-urlencoded"))
	}
	for _, headers := range [][]string{
		{"Authorization: " + token},
		{"Authorization: Token " + token},
		{"Authorization: Basic " + token},
		{"Authorization: PRIVATE-TOKEN " + token},
		{"X-Private-Token: " + token},
		{"X-Auth-Token: " + token},
		{"Proxy-Authorization: Bearer " + token},
		{"Latchkey-Server-Key: " + token},
		{"Cookie: session=" + token + "; PRIVATE-TOKEN=" + token},
		{"Referer: https://example.com/?private_token=" + token},
	} {
		wantUnauthorized(t, s.Get("/user", headers...))
	}
	wantProblem(t, s.Get("/user/"+token), http.StatusNotFound, latchkey.CodeNotFound, "path invalid")
}

// A client cannot learn from the answer why its token is refused, nor whether there ever was such a one.
func TestRefusedTokensAreAlike(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		expired := signUpGuest(t, s).Token()
		s.Clock.Advance(30 * day)
		alive := signUp(t, s, "john_smith").Token()
		revoked := signIn(t, s, "john_smith")
		want(t, s.Post("/sign_out", nil, apitest.Bearing(revoked)), http.StatusNoContent)
		deleted := signUp(t, s, "deleted_user").Token()
		want(t, s.Delete("/user", object{"current_password": password}, apitest.Bearing(deleted)), http.StatusNoContent)
		disabled := signUp(t, s, "disabled_user")
		if err := s.Store.SetStatus(t.Context(), auth.UserID(disabled.ID()), auth.StatusDisabled); err != nil {
			t.Fatal(err)
		}

		s.Remember(alive) // a forgery of it meets what is remembered
		missing := s.Get("/user")
		wantUnauthorized(t, missing)
		for name, token := range map[string]string{
			"malformed":               "x",
			"of the first service":    "focmQrCFdk9DJHx9KvdL",
			"of the right length":     "lk_" + strings.Repeat("a", 49),
			"of zeros":                "lk_" + strings.Repeat("0", 49),
			"with the largest id":     "lk_" + strings.Repeat("z", 49),
			"very long":               alive + strings.Repeat("a", 5000),
			"with spaces":             alive[:20] + " " + alive[20:],
			"without its prefix":      alive[3:],
			"in upper case":           strings.ToUpper(alive),
			"twice with a comma":      alive + "," + alive,
			"quoted":                  `"` + alive + `"`,
			"in another alphabet":     "lk_" + strings.Repeat("a", 46) + "名",
			"unknown":                 forgeToken(alive, "another session", func(id string) string { return "00" + id[2:9] + "Zz" }),
			"with a session's id":     forgeToken(alive, "its secret is not known", func(id string) string { return id }),
			"of nobody's id":          forgeToken(alive, "", func(string) string { return "00000000001" }),
			"of the id 0":             forgeToken(alive, "", func(string) string { return "00000000000" }),
			"of an id beyond 2^53":    forgeToken(alive, "", func(string) string { return "000gzzzzzzz" }),
			"of an id beyond 64 bits": forgeToken(alive, "", func(string) string { return "zzzzzzzzzzz" }),
			"expired":                 expired,
			"revoked":                 revoked,
			"of a deleted user":       deleted,
			"of a disabled user":      disabled.Token(),
		} {
			t.Run(name, func(t *testing.T) {
				s := s.For(t)
				for _, header := range []string{"PRIVATE-TOKEN: ", "Authorization: Bearer "} {
					a := s.Get("/user", header+token)
					wantUnauthorized(t, a)
					if diff := cmp.Diff(withoutRequestID(t, missing), withoutRequestID(t, a)); diff != "" {
						t.Errorf("differs from the answer without a token:\n%s", diff)
					}
				}
			})
		}
		wantAlive(t, s, alive)
	})
}

// forgeToken makes a token of the right form and checksum with another secret.
func forgeToken(genuine, secret string, id func(string) string) string {
	body := "lk_" + id(genuine[3:14]) + (strings.Map(func(r rune) rune {
		if r == ' ' {
			return -1
		}
		return r
	}, secret) + strings.Repeat("0", 32))[:32]
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	check := make([]byte, 6)
	sum := crc32.ChecksumIEEE([]byte(body))
	for i := len(check) - 1; i >= 0; i-- {
		check[i] = digits[sum%62]
		sum /= 62
	}
	return body + string(check)
}

func TestForgedTokenIsWellFormed(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{})
	token := signUp(t, s, "john_smith").Token()
	if got := forgeToken(token, token[14:46], func(id string) string { return id }); got != token {
		t.Errorf("got %q, want the genuine one: the forgeries of these tests would fall for their checksums alone", got)
	}
}

func TestChangedOrShortenedTokenIsRefused(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{})
	token := signUp(t, s, "john_smith").Token()
	random := rand.New(rand.NewPCG(1, 2))
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-."
	for i := range len(token) {
		changed := []byte(token)
		for changed[i] == token[i] {
			changed[i] = alphabet[random.IntN(len(alphabet))]
		}
		wantDead(t, s, string(changed))
		wantDead(t, s, token[i+1:]) // the last of them is empty
		if i > 0 {
			wantDead(t, s, token[:i])
			wantDead(t, s, token[:i]+token[i+1:])
		}
	}
	wantDead(t, s, token+"0")
	wantDead(t, s, "0"+token)
	wantAlive(t, s, token)
}

func TestTokensAreDistinctAndOfOneForm(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{})
	answers := atOnce(64, func(int) apitest.Answer { return s.Post("/sign_up_temporarily", nil) })
	seen, secrets := make(map[string]bool), make(map[string]bool)
	for _, a := range answers {
		want(t, a, http.StatusOK)
		seen[a.Token()] = true
		secrets[fmt.Sprintf("%.32s", a.Token()[14:])] = true
	}
	if len(seen) != 64 || len(secrets) != 64 {
		t.Errorf("got %d tokens with %d secrets, want 64", len(seen), len(secrets))
	}
}
