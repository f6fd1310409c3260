package web_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/apitest"
)

const (
	introspectKey = "Latchkey-Server-Key: first-server-key"
	asForm        = "Content-Type: application/x-www-form-urlencoded"
)

func introspectOptions() apitest.Options {
	return apitest.Options{ServerKeys: []string{"first-server-key", "second-server-key"}}
}

// bothWays asks about a token by form and by JSON.
func bothWays(s *apitest.Server, token string) map[string]apitest.Answer {
	return map[string]apitest.Answer{
		"form": s.Post("/introspect", url.Values{"token": {token}, "token_type_hint": {"access_token"}}.Encode(), introspectKey, asForm),
		"JSON": s.Post("/introspect", object{"token": token, "token_type_hint": "access_token"}, introspectKey),
	}
}

func TestIntrospectionTellsATrustedBackendWhoseTokenItIs(t *testing.T) {
	t.Parallel()
	apitest.Each(t, introspectOptions(), func(t *testing.T, s *apitest.Server) {
		begun := s.Clock.Now()
		john, guest := signUp(t, s, "john_smith"), signUpGuest(t, s)
		s.Clock.Advance(2 * time.Hour)
		used := s.Clock.Now()
		for _, who := range []struct {
			token string
			want  latchkey.Introspection
		}{
			{john.Token(), latchkey.Introspection{
				Active: true, Subject: strconv.FormatInt(john.ID(), 10), Username: "john_smith", TokenType: "Bearer",
				IssuedAt: begun.Unix(), ExpiresAt: used.Add(apitest.SessionIdle).Unix(),
			}},
			{guest.Token(), latchkey.Introspection{
				Active: true, Subject: strconv.FormatInt(guest.ID(), 10), Username: guest.Text("username"), Guest: true, TokenType: "Bearer",
				IssuedAt: begun.Unix(), ExpiresAt: used.Add(apitest.GuestIdle).Unix(),
			}},
		} {
			for range 2 { // from the database, then from memory
				for how, a := range bothWays(s, who.token) {
					want(t, a, http.StatusOK)
					var got latchkey.Introspection
					if err := json.Unmarshal(a.Body, &got); err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(who.want, got); diff != "" {
						t.Errorf("by %s (-want +got):\n%s", how, diff)
					}
				}
			}
		}
	})
}

// RFC 7662 §2.2: nothing is said about a token that is not good, not even why.
func TestIntrospectionSaysNothingAboutOtherTokens(t *testing.T) {
	t.Parallel()
	apitest.Each(t, introspectOptions(), func(t *testing.T, s *apitest.Server) {
		expired := signUp(t, s, "jane").Token()
		s.Clock.Advance(apitest.SessionIdle + time.Second)
		token := signUp(t, s, "john_smith").Token()
		ended := signIn(t, s, "john_smith")
		s.Remember(ended)
		want(t, s.Post("/sign_out", nil, apitest.Bearing(ended)), http.StatusNoContent)
		for name, other := range map[string]string{
			"expired":           expired,
			"ended":             ended,
			"truncated":         token[:len(token)-1],
			"longer":            token + "0",
			"with a space":      " " + token,
			"of another secret": ended[:14] + token[14:],
			"a server key":      "first-server-key",
			"no token at all":   "{}",
			"not ASCII":         "令牌",
			"long":              strings.Repeat("a", 8000),
		} {
			for how, a := range bothWays(s, other) {
				want(t, a, http.StatusOK)
				if string(a.Body) != `{"active":false}` {
					t.Errorf("%s, by %s: got %s", name, how, a.Body)
				}
			}
		}
		wantAlive(t, s, token)
	})
}

func TestIntrospectionNeedsAServerKey(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, introspectOptions())
	without := apitest.OnSQLite(t, apitest.Options{})
	token := signUp(t, s, "john_smith").Token()
	for name, headers := range map[string][]string{
		"nothing":          nil,
		"a wrong key":      {"Latchkey-Server-Key: wrong-server-key"},
		"an empty key":     {"Latchkey-Server-Key: "},
		"two keys":         {introspectKey, "Latchkey-Server-Key: second-server-key"},
		"the token itself": {apitest.Bearing(token)},
		"a key as a token": {"Authorization: Bearer first-server-key"},
	} {
		t.Run(name, func(t *testing.T) {
			wantUnauthorized(t, s.For(t).Post("/introspect", object{"token": token, "server_key": "first-server-key"}, headers...))
			wantUnauthorized(t, s.For(t).Post("/introspect?token="+token+"&Latchkey-Server-Key=first-server-key", nil, headers...))
			wantUnauthorized(t, s.For(t).Liberal().Post("/introspect", "{", headers...)) // the key comes first
		})
	}
	wantUnauthorized(t, without.Post("/introspect", object{"token": token}, introspectKey))
	want(t, s.Post("/introspect", object{"token": token}, "Latchkey-Server-Key: second-server-key"), http.StatusOK)
}

func TestIntrospectionOfNothing(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, introspectOptions())
	token := signUp(t, s, "john_smith").Token()
	post := func(body any, headers ...string) apitest.Answer {
		return s.Liberal().Post("/introspect?token="+token, body, append(headers, introspectKey)...)
	}
	for _, body := range []string{"", "token=", "TOKEN=" + token, "token_type_hint=access_token"} {
		wantInvalid(t, post(body, asForm), "token required")
	}
	for _, body := range []any{object{}, object{"token": nil}, object{"token": ""}} {
		wantInvalid(t, post(body), "token required")
	}
	wantInvalid(t, post(object{"token": 1}), "token invalid")
	for _, body := range []string{"token=" + token + "&token=" + token, "token=%ff", "token=%zz"} {
		if a := post(body, asForm); a.Status != http.StatusBadRequest {
			t.Errorf("%s: got %d, want 400", body, a.Status)
		}
	}
	if a := post("{"); a.Status != http.StatusBadRequest {
		t.Errorf("got %d for broken JSON, want 400", a.Status)
	}
	for _, media := range []string{"Content-Type: text/plain", "Content-Type: multipart/form-data; boundary=x", asForm + "; charset=gbk"} {
		if a := post("token="+token, media); a.Status != http.StatusUnsupportedMediaType {
			t.Errorf("%s: got %d, want 415", media, a.Status)
		}
	}
	if a := post("token="+strings.Repeat("a", 16<<10), asForm); a.Status != http.StatusRequestEntityTooLarge {
		t.Errorf("got %d for a large body, want 413", a.Status)
	}
	if a := s.Liberal().Get("/introspect?token="+token, introspectKey); a.Status != http.StatusMethodNotAllowed {
		t.Errorf("got %d for GET, want 405: a token does not belong into a URL", a.Status)
	}
}

// Wrong keys are counted against their address, as wrong passwords are.
func TestGuessingServerKeysMeetsTheLimit(t *testing.T) {
	t.Parallel()
	o := introspectOptions()
	o.Limits = true
	s := apitest.OnSQLite(t, o)
	token := signUp(t, s, "john_smith").Token()
	for n := range 40 {
		a := s.Post("/introspect", object{"token": token}, "Latchkey-Server-Key: wrong-server-key")
		if a.Status == http.StatusTooManyRequests {
			if n < 10 {
				t.Errorf("refused after %d", n)
			}
			return
		}
		wantUnauthorized(t, a)
	}
	t.Error("40 wrong keys met no limit")
}
