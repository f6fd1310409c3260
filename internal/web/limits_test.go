package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/apitest"
	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/passhash"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

// limited is a service with limits, behind a proxy that tells the clients' addresses.
var limited = apitest.Options{Limits: true, TrustedProxies: loopback}

// from is the header line of a request that comes from an address.
func from(address string) string { return "X-Forwarded-For: " + address }

// somewhere is an address of which nobody else comes.
func somewhere(i int) string { return from(fmt.Sprintf("198.51.%d.%d", 100+i/250, 1+i%250)) }

// guess tries a password from an address of its own, so that no address meets its limit.
func guess(t *testing.T, s *apitest.Server, i int, login, password string, headers ...string) apitest.Answer {
	t.Helper()
	return s.For(t).Post("/sign_in", object{"login": login, "password": password}, append(headers, somewhere(i))...)
}

// wantLimited checks for the answer to who is too early, with a wait of this many seconds.
func wantLimited(t *testing.T, a apitest.Answer, policy string, wait int) {
	t.Helper()
	wantProblem(t, a, http.StatusTooManyRequests, latchkey.CodeRateLimited, " invalid")
	if got := a.Header.Get("Retry-After"); got != strconv.Itoa(wait) {
		t.Errorf("got Retry-After %q, want %d", got, wait)
	}
	if got, want := a.Header.Get("RateLimit"), fmt.Sprintf("%q;r=0;t=%d", policy, wait); got != want {
		t.Errorf("got RateLimit %s, want %s", got, want)
	}
	if got := a.Header.Get("RateLimit-Policy"); !strings.HasPrefix(got, strconv.Quote(policy)+";q=") {
		t.Errorf("got RateLimit-Policy %s, want that of %s", got, policy)
	}
}

// lockOut fails to sign in until a wait begins, which lasts 30 s.
func lockOut(t *testing.T, s *apitest.Server, login string) {
	t.Helper()
	for i := range 10 {
		want(t, guess(t, s, i, login, "a wrong password"), http.StatusUnauthorized)
	}
	wantLimited(t, guess(t, s, 10, login, "a wrong password"), "sign-in", 30)
}

func TestWaitsBetweenGuessesDouble(t *testing.T) {
	t.Parallel()
	apitest.Each(t, limited, func(t *testing.T, s *apitest.Server) {
		signUp(t, s, "john_smith")
		lockOut(t, s, "john_smith")
		for _, wait := range []int{30, 60, 120, 240, 480, 960, 1920, 3600, 3600} {
			wantLimited(t, guess(t, s, 0, "john_smith", password), "sign-in", wait) // the right one, which nobody looks at
			s.Clock.Advance(time.Duration(wait)*time.Second - time.Millisecond)
			wantLimited(t, guess(t, s, 0, "john_smith", password), "sign-in", 1)
			s.Clock.Advance(time.Millisecond)
			want(t, guess(t, s, 0, "john_smith", "a wrong password"), http.StatusUnauthorized)
		}
		s.Clock.Advance(time.Hour)
		want(t, guess(t, s, 0, "john_smith", password), http.StatusOK)
		lockOut(t, s, "john_smith") // all of it was forgotten
	})
}

func TestAllSpellingsShareOneCount(t *testing.T) {
	t.Parallel()
	apitest.Each(t, limited, func(t *testing.T, s *apitest.Server) {
		signUp(t, s, "john_smith")
		spellings := []string{"john_smith", "JOHN_SMITH", "John_Smith", "john_smith@example.com", "John_Smith@EXAMPLE.com"}
		for i := range 10 {
			want(t, guess(t, s, i, spellings[i%len(spellings)], "a wrong password"), http.StatusUnauthorized)
		}
		for i, login := range spellings {
			wantLimited(t, guess(t, s, i, login, password), "sign-in", 30)
		}
		// What can be nobody's name is not John's either: it costs him nothing.
		for i, login := range []string{"ｊｏｈｎ_smith", " john_smith", "john_smith ", "john_smith\u200b"} {
			want(t, guess(t, s, i, login, password), http.StatusUnauthorized)
		}
	})
}

// Nobody learns from waits whether a login exists: all answers are the same to the byte, but for the request's id.
func TestUnknownLoginsMeetTheSameWaits(t *testing.T) {
	t.Parallel()
	apitest.Each(t, limited, func(t *testing.T, s *apitest.Server) {
		signUp(t, s, "john_smith")
		logins := []string{"john_smith", "nobody_here", "nobody@example.com", "NOT A NAME", "ffffffff@ideaegg.me"}
		signUpGuest(t, s)
		told := make([][]string, len(logins))
		for step := range 100 + 12 {
			for i, login := range logins {
				a := guess(t, s, i, login, "a wrong password")
				if step%3 == 0 { // another spelling
					a = guess(t, s, i, strings.ToUpper(login), "a wrong password")
				}
				id := a.Header.Get("X-Request-Id")
				told[i] = append(told[i], fmt.Sprint(a.Status, strings.ReplaceAll(string(a.Body), id, ""),
					a.Header.Values("Retry-After"), a.Header.Values("RateLimit"), a.Header.Values("RateLimit-Policy")))
			}
			if step > 20 {
				s.Clock.Advance(time.Hour)
			}
		}
		for i := range logins {
			if diff := cmp.Diff(told[0], told[i]); diff != "" {
				t.Errorf("a user and %s (-user +%s):\n%s", logins[i], logins[i], diff)
			}
		}
		s.CleanUp()
		for _, login := range logins {
			wantLimited(t, guess(t, s, 0, login, password), "sign-in", 3600)
		}
	})
}

func TestParallelGuessesSpendNoMoreThanASeries(t *testing.T) {
	t.Parallel()
	faulty := limited
	faulty.Faulty = true // a database that is busy with something else may be too slow for some: nothing is told then either
	apitest.Each(t, faulty, func(t *testing.T, s *apitest.Server) {
		signUp(t, s, "john_smith")
		answers := atOnce(200, func(i int) apitest.Answer { return guess(t, s, i, "john_smith", "a wrong password") })
		verified := len(withStatus(answers, http.StatusUnauthorized))
		refused := len(withStatus(answers, http.StatusTooManyRequests))
		slow := len(withStatus(answers, http.StatusServiceUnavailable))
		if verified > 10 || verified+refused+slow != 200 || slow == 0 && verified != 10 {
			t.Errorf("got %d guesses verified, %d refused, %d not done, want 10 verified", verified, refused, slow)
		}
		for range 20 {
			a := guess(t, s, 0, "john_smith", "a wrong password")
			if a.Status == http.StatusTooManyRequests {
				wantLimited(t, a, "sign-in", 30)
				break
			}
			verified++
		}
		if verified > 10 {
			t.Errorf("got %d guesses verified before the wait, want 10", verified)
		}
	})
}

func TestManySignInsAtOnceAllSucceed(t *testing.T) {
	t.Parallel()
	apitest.Each(t, limited, func(t *testing.T, s *apitest.Server) {
		signUp(t, s, "john_smith")
		for i := range 9 {
			want(t, guess(t, s, i, "john_smith", "a wrong password"), http.StatusUnauthorized)
		}
		for _, a := range atOnce(30, func(int) apitest.Answer { return guess(t, s, 0, "john_smith", password) }) {
			want(t, a, http.StatusOK)
		}
	})
}

// Of sign-ins at the moment when the parameters of hashes have risen, each stores a new hash, and none fails for it.
func TestSignInsAtOnceSurviveARehash(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, db sqlstore.Config) {
		before := apitest.Start(t, db, limited)
		token := signUp(t, before, "john_smith").Token()
		raised := limited
		raised.Faulty = true // a busy machine may be too slow for some; what matters is that none is told a wrong password
		raised.Clock = before.Clock
		raised.Hash.Params = passhash.Params{MemoryKiB: 16, Passes: 1, Lanes: 1}
		s := apitest.Start(t, db, raised)
		answers := atOnce(20, func(int) apitest.Answer { return guess(t, s, 0, "john_smith", password) })
		if ok, slow := len(withStatus(answers, 200)), len(withStatus(answers, 503)); ok == 0 || ok+slow != 20 {
			t.Errorf("got %d sign-ins, %d not done, want all of 20", ok, slow)
		}
		raised.Hash.Params.MemoryKiB = 24
		s = apitest.Start(t, db, raised)
		answers = atOnce(10, func(i int) apitest.Answer {
			if i == 0 {
				return s.Put("/user/password", object{"current_password": password, "password": newPassword, "password_confirmation": newPassword}, apitest.Bearing(token))
			}
			return guess(t, s, 0, "john_smith", password)
		})
		if got := answers[0].Status; got != http.StatusOK && got != http.StatusServiceUnavailable {
			t.Errorf("got %d %s for a change of the password beside sign-ins, want 200", got, answers[0].Body)
		}
	})
}

func TestHundredFailuresDisableThePasswordUntilAReset(t *testing.T) {
	t.Parallel()
	apitest.Each(t, limited, func(t *testing.T, s *apitest.Server) {
		token := signUp(t, s, "john_smith").Token()
		for i := range 100 {
			want(t, guess(t, s, i, "john_smith", "a wrong password"), http.StatusUnauthorized)
			s.Clock.Advance(time.Hour)
		}
		s.Clock.Advance(30 * 24 * time.Hour)
		s.CleanUp()
		wantLimited(t, guess(t, s, 0, "john_smith", password), "sign-in", 3600)

		// The session goes on, and so does the reset.
		wantAlive(t, s, token)
		m := askReset(t, s, "john_smith@example.com")
		want(t, resetBy(t, s, object{"token": m.Token}), http.StatusNoContent)
		want(t, guess(t, s, 0, "john_smith", newPassword), http.StatusOK)
	})
}

func TestOwnerIsNotLockedOutByOthers(t *testing.T) {
	t.Parallel()
	apitest.Each(t, limited, func(t *testing.T, s *apitest.Server) {
		token := signUp(t, s, "john_smith").Token()
		lockOut(t, s, "john_smith")
		wantAlive(t, s, token)
		want(t, s.Put("/user/password", object{
			"current_password": password, "password": newPassword, "password_confirmation": newPassword,
		}, apitest.Bearing(token)), http.StatusOK)
		want(t, guess(t, s, 0, "john_smith", newPassword), http.StatusOK) // a new password is a new start

		lockOut(t, s, "john_smith")
		m := askReset(t, s, "john_smith@example.com")
		want(t, s.Put("/reset_password", object{
			"email": "john_smith@example.com", "code": m.Code, "password": password, "password_confirmation": password,
		}), http.StatusNoContent)
		want(t, guess(t, s, 0, "john_smith", password), http.StatusOK)
	})
}

func TestKnownDeviceHasALaneOfItsOwn(t *testing.T) {
	t.Parallel()
	apitest.Each(t, limited, func(t *testing.T, s *apitest.Server) {
		const header = "Latchkey-Device"
		device := func(a apitest.Answer) string {
			t.Helper()
			want(t, a, http.StatusOK)
			token := a.Header.Get(header)
			if !strings.HasPrefix(token, "ld1_") {
				t.Fatalf("got the device token %q", token)
			}
			return header + ": " + token
		}
		if got := signUp(t, s, "without").Header.Values(header); len(got) > 0 {
			t.Errorf("got %q for a client that did not ask", got)
		}
		first := device(signUp(t, s, "john_smith", header+": new"))
		second := device(guess(t, s, 0, "john_smith", password, header+": new"))
		foreign := device(guess(t, s, 0, "without", password, header+": ???"))
		if first == second {
			t.Error("two devices have one token")
		}
		if got := device(guess(t, s, 0, "john_smith", password, first)); got != first {
			t.Error("the device got another token, and with it another count")
		}

		lockOut(t, s, "john_smith")
		changed := first[:len(first)-3] + "A" + first[len(first)-2:]
		if changed == first {
			changed = first[:len(first)-3] + "B" + first[len(first)-2:]
		}
		for name, bad := range map[string]string{
			"none": "X: y", "new": header + ": new", "another user's": foreign, "cut": first[:len(first)-1],
			"changed": changed, "longer": first + "A", "empty": header + ": ld1_",
		} {
			a := guess(t, s, 0, "john_smith", password, bad)
			if a.Status != http.StatusTooManyRequests {
				t.Errorf("%s: got %d, want 429", name, a.Status)
			}
		}
		device(guess(t, s, 0, "john_smith", password, first))

		// Five failures are free there; then it waits, and the other device does not.
		for i := range 5 {
			want(t, guess(t, s, i, "john_smith", "a wrong password", first), http.StatusUnauthorized)
		}
		wantLimited(t, guess(t, s, 0, "john_smith", password, first), "sign-in-device", 30)
		device(guess(t, s, 0, "john_smith", password, second))
		wantLimited(t, guess(t, s, 0, "john_smith", password), "sign-in", 30) // still: a device clears its own count
		s.Clock.Advance(30 * time.Second)
		device(guess(t, s, 0, "john_smith", password, first))

		// It dies with the password.
		m := askReset(t, s, "john_smith@example.com")
		want(t, resetBy(t, s, object{"token": m.Token}), http.StatusNoContent)
		for i := range 10 {
			want(t, guess(t, s, i, "john_smith", "a wrong password", first), http.StatusUnauthorized)
		}
		wantLimited(t, guess(t, s, 0, "john_smith", newPassword, first), "sign-in", 30)
	})
}

func TestChangedPasswordBringsANewDeviceToken(t *testing.T) {
	t.Parallel()
	apitest.Each(t, limited, func(t *testing.T, s *apitest.Server) {
		const header = "Latchkey-Device"
		a := signUp(t, s, "john_smith", header+": new")
		first := auth.DeviceToken(a.Header.Get(header))
		change := func(token, from, to string, device auth.DeviceToken) auth.SignedIn {
			t.Helper()
			current, err := s.Service.Authenticate(t.Context(), auth.SessionToken(token))
			if err != nil {
				t.Fatal(err)
			}
			in := auth.NewPassword{Current: from, Password: to, PasswordConfirmation: to}
			changed, err := s.Service.ChangePassword(t.Context(), *current, in, auth.Origin{Language: auth.English, Device: device})
			if err != nil {
				t.Fatal(err)
			}
			return changed
		}
		second := change(a.Token(), password, newPassword, first)
		if second.Device == "" || second.Device == first {
			t.Fatalf("got the device token %q, want a new one", second.Device.Reveal())
		}
		third := change(second.Token.Reveal(), newPassword, password, "new")
		if without := change(third.Token.Reveal(), password, newPassword, ""); without.Device != "" {
			t.Error("got a device token for a client that did not ask")
		}
		fourth := change(guess(t, s, 0, "john_smith", newPassword).Token(), newPassword, password, third.Device)
		lockOut(t, s, "john_smith")
		want(t, guess(t, s, 0, "john_smith", password, header+": "+fourth.Device.Reveal()), http.StatusOK)
		for _, dead := range []auth.DeviceToken{first, second.Device, third.Device} {
			if a := guess(t, s, 0, "john_smith", password, header+": "+dead.Reveal()); a.Status != http.StatusTooManyRequests {
				t.Errorf("got %d with the token of an earlier password, want 429", a.Status)
			}
		}
	})
}

// Whoever stole a session can guess the password no more often than anybody else, and keeps nobody from signing in.
func TestGuessingTheCurrentPasswordIsCounted(t *testing.T) {
	t.Parallel()
	apitest.Each(t, limited, func(t *testing.T, s *apitest.Server) {
		token := apitest.Bearing(signUp(t, s, "john_smith").Token())
		tries := []func(current string) apitest.Answer{
			func(current string) apitest.Answer {
				return s.Put("/user/password", object{"current_password": current, "password": newPassword, "password_confirmation": newPassword}, token)
			},
			func(current string) apitest.Answer {
				return s.Put("/user/email", object{"current_password": current, "email": "new@example.com"}, token)
			},
			func(current string) apitest.Answer {
				return s.Delete("/user", object{"current_password": current}, token)
			},
		}
		for i := range 10 {
			wantInvalid(t, tries[i%3]("a wrong password"), "current_password invalid")
		}
		for _, try := range tries {
			wantLimited(t, try(password), "current-password", 30)
		}
		want(t, guess(t, s, 0, "john_smith", password), http.StatusOK)
		for _, try := range tries {
			wantLimited(t, try(password), "current-password", 30)
		}
		s.Clock.Advance(30 * time.Second)
		want(t, tries[1](password), http.StatusAccepted)
		wantInvalid(t, tries[1]("a wrong password"), "current_password invalid")
		want(t, tries[2](password), http.StatusNoContent)
	})
}

func TestNodesShareTheCountAndRestartsKeepIt(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, db sqlstore.Config) {
		first := apitest.Start(t, db, limited)
		signUp(t, first, "john_smith")
		other := limited
		other.Clock = first.Clock
		second := apitest.Start(t, db, other)
		for i := range 10 {
			want(t, guess(t, []*apitest.Server{first, second}[i%2], i, "john_smith", "a wrong password"), http.StatusUnauthorized)
		}
		for _, node := range []*apitest.Server{first, second, apitest.Start(t, db, other)} {
			wantLimited(t, guess(t, node, 0, "john_smith", password), "sign-in", 30)
		}
	})
}

func TestWithoutLimitsNobodyWaits(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		token := apitest.Bearing(signUp(t, s, "john_smith").Token())
		for range 40 {
			want(t, s.Post("/sign_in", object{"login": "john_smith", "password": "wrong password"}), http.StatusUnauthorized)
			wantInvalid(t, s.Delete("/user", object{"current_password": "wrong password"}, token), "current_password invalid")
			want(t, s.Post("/reset_password", object{"email": "john_smith@example.com"}), http.StatusNoContent)
			signUpGuest(t, s)
		}
		signIn(t, s, "john_smith")
		if got := s.MailCount(); got != 41 {
			t.Errorf("got %d mails, want that of the sign-up and 40", got)
		}
		for range 5 { // the attempts of a code are not among what is off
			want(t, s.Post("/user/email/verify", object{"code": "00000000"}, token), http.StatusUnprocessableEntity)
		}
		code := s.Mails("john_smith@example.com")[40].Code
		wantInvalid(t, s.Post("/user/email/verify", object{"code": code}, token), "code invalid")
	})
}

func TestAddressLimits(t *testing.T) {
	t.Parallel()
	wrong := object{"login": "nobody", "password": "a wrong password"}
	n := 0
	next := func() string {
		n++
		return fmt.Sprintf("user_%d", n)
	}
	for _, test := range []struct {
		name, policy string
		allowed      int
		every        time.Duration // one more
		request      func(s *apitest.Server, header string) apitest.Answer
		status       int
	}{
		{
			"wrong passwords", "sign-in-address", 30, 2 * time.Second,
			func(s *apitest.Server, header string) apitest.Answer {
				wrong["login"] = next()
				return s.Post("/sign_in", wrong, header)
			}, 401,
		},
		{
			"wrong links", "sign-in-address", 30, 2 * time.Second,
			func(s *apitest.Server, header string) apitest.Answer {
				return s.Put("/reset_password", object{"token": "x", "password": newPassword, "password_confirmation": newPassword}, header)
			}, 422,
		},
		{
			"wrong codes", "sign-in-address", 30, 2 * time.Second,
			func(s *apitest.Server, header string) apitest.Answer {
				return s.Put("/reset_password", object{"email": "a@example.com", "code": "12345678", "password": newPassword, "password_confirmation": newPassword}, header)
			}, 422,
		},
		{
			"sign-ups", "sign-up-address", 20, 3 * time.Minute,
			func(s *apitest.Server, header string) apitest.Answer {
				return s.Post("/sign_up", signUpBody(next()), header)
			}, 200,
		},
		{
			"sign-ups with names that are taken", "sign-up-address", 20, 3 * time.Minute,
			func(s *apitest.Server, header string) apitest.Answer {
				return s.Post("/sign_up", signUpBody("known"), header)
			}, 422,
		},
		{
			"guests", "guest-address", 30, 2 * time.Minute,
			func(s *apitest.Server, header string) apitest.Answer {
				return s.Post("/sign_up_temporarily", nil, header)
			}, 200,
		},
		{
			"resets", "reset-address", 10, 6 * time.Minute,
			func(s *apitest.Server, header string) apitest.Answer {
				return s.Post("/reset_password", object{"email": next() + "@example.com"}, header)
			}, 204,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := apitest.OnSQLite(t, limited)
			signUp(t, s, "known", from("203.0.113.99"))
			// One /64 is one client, and 192.0.2.1 is one more.
			for _, addresses := range [][]string{{"192.0.2.1"}, {"2001:db8:0:1::1", "2001:db8:0:1:ffff::", "[2001:db8:0:1::2]:4711"}} {
				header := func(i int) string { return from(addresses[i%len(addresses)]) }
				for i := range test.allowed {
					want(t, test.request(s.For(t), header(i)), test.status)
				}
				wait := int(test.every / time.Second)
				wantLimited(t, test.request(s.For(t), header(0)), test.policy, wait)
				wantLimited(t, test.request(s.For(t), header(1)), test.policy, wait)
				// Forged hops in front change nothing.
				wantLimited(t, test.request(s.For(t), from("198.51.100.7, "+addresses[0])), test.policy, wait)
				s.Clock.Advance(test.every)
				want(t, test.request(s.For(t), header(2)), test.status)
				wantLimited(t, test.request(s.For(t), header(3)), test.policy, wait)
			}
			want(t, test.request(s.For(t), from("192.0.2.2")), test.status)
			want(t, test.request(s.For(t), from("2001:db8:0:2::1")), test.status)
		})
	}
}

// Mistakes in a form and right passwords use nothing up.
func TestAddressLimitsCountWhatTheyAreAbout(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, limited)
	signUp(t, s, "john_smith")
	for range 40 {
		signIn(t, s, "john_smith")
		wantInvalid(t, s.Post("/sign_up", object{
			"username": "john", "email": "john@", "password": password, "password_confirmation": password,
		}), "email invalid")
		wantInvalid(t, s.Post("/reset_password", object{"email": "john@"}), "email invalid")
		wantInvalid(t, s.Liberal().Post("/sign_in", object{"login": "john_smith"}), "password required")
	}
	signUp(t, s, "jane")
	// A verification code that is wrong counts as a wrong password does.
	token := apitest.Bearing(signIn(t, s, "jane"))
	for range 30 {
		wantInvalid(t, s.Post("/user/email/verify", object{"code": "00000000"}, token), "code invalid")
	}
	wantLimited(t, s.Post("/user/email/verify", object{"code": "00000000"}, token), "sign-in-address", 2)
	wantLimited(t, s.Post("/sign_in", object{"login": "jane", "password": password}), "sign-in-address", 2)
}

func TestParallelSignUpsGetNoMoreThanTheLimit(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, limited)
	answers := atOnce(60, func(i int) apitest.Answer { return s.Post("/sign_up", signUpBody(fmt.Sprintf("user_%d", i))) })
	if got := len(withStatus(answers, http.StatusOK)); got != 20 {
		t.Errorf("got %d users, want 20", got)
	}
}

// An address gets three reset mails an hour, whoever asks, and the answer does not tell.
func TestMailboxIsNotFlooded(t *testing.T) {
	t.Parallel()
	apitest.Each(t, limited, func(t *testing.T, s *apitest.Server) {
		token := apitest.Bearing(signUp(t, s, "john_smith").Token())
		before := s.MailCount()
		for i := range 50 {
			for _, address := range []string{"john_smith@example.com", "nobody@example.com"} {
				if i%2 == 0 {
					address = strings.ToUpper(address)
				}
				a := s.Post("/reset_password", object{"email": address}, somewhere(i))
				want(t, a, http.StatusNoContent)
			}
			want(t, s.Post("/user/email/verification", nil, token, somewhere(i)), http.StatusAccepted)
		}
		if got := s.MailCount() - before; got != 6 {
			t.Errorf("got %d mails, want 3 resets and 3 confirmations", got)
		}
		// The owner has one that works at any time.
		for range 6 {
			s.Clock.Advance(20 * time.Minute)
			want(t, s.Post("/reset_password", object{"email": "john_smith@example.com"}, somewhere(0)), http.StatusNoContent)
		}
		m := s.Mail("john_smith@example.com")
		s.Clock.Advance(19 * time.Minute)
		want(t, resetBy(t, s, object{"token": m.Token}), http.StatusNoContent)
	})
}

func TestLimitsAreToldInBothLanguages(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, limited)
	for range 10 {
		want(t, s.Post("/reset_password", object{"email": "john@example.com"}), http.StatusNoContent)
	}
	for language, text := range map[string]string{"en": "Too many attempts. Try again in 6 minutes.", "zh-CN": "尝试次数过多，请在 6 分钟后重试。"} {
		a := s.Post("/reset_password", object{"email": "john@example.com"}, "Accept-Language: "+language)
		wantLimited(t, a, "reset-address", 360)
		if got := a.Text("message"); got != text {
			t.Errorf("got %q, want %q", got, text)
		}
	}
}

// The hosted forms are no way around the limits.
func TestPagesHaveTheLimitsOfTheAPI(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	for path, test := range map[string]struct {
		form    url.Values
		allowed int
		status  int
	}{
		"/account/forgot_password": {url.Values{"email": {address}}, 10, http.StatusSeeOther},
		"/account/enter_code": {
			url.Values{"email": {address}, "code": {"12345678"}, "password": {newPassword}, "password_confirmation": {newPassword}},
			30, http.StatusUnprocessableEntity,
		},
	} {
		for range test.allowed {
			if got := d.post(path, test.form); got.status != test.status {
				t.Errorf("%s: got status %d, want %d", path, got.status, test.status)
			}
		}
		got := d.post(path, test.form)
		got.has(t, http.StatusTooManyRequests, "Too many attempts")
		if got.header.Get("Retry-After") == "" {
			t.Errorf("%s: got no Retry-After", path)
		}
	}
}

func TestManyUsersOnOnePrivateAddressAreSaidOnce(t *testing.T) {
	t.Parallel()
	const hint = "--trusted-proxies"
	t.Run("without --trusted-proxies", func(t *testing.T) {
		t.Parallel()
		s := apitest.OnSQLite(t, apitest.Options{})
		for i := range 49 {
			signUp(t, s, fmt.Sprintf("user_%d", i))
		}
		signIn(t, s, "user_0")
		s.Clock.Advance(11 * time.Minute)
		signUp(t, s, "user_49")
		if strings.Contains(s.Log(), hint) {
			t.Error("got a hint after too few users within ten minutes")
		}
		for i := range 49 {
			signIn(t, s, fmt.Sprintf("user_%d", i))
		}
		signIn(t, s, "user_0")
		if got := strings.Count(s.Log(), hint); got != 1 {
			t.Errorf("got %d hints, want 1", got)
		}
	})
	for name, o := range map[string]apitest.Options{"with --trusted-proxies": {TrustedProxies: loopback}, "in development": {Dev: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := apitest.OnSQLite(t, o)
			for i := range 51 {
				signUp(t, s, fmt.Sprintf("user_%d", i))
			}
			if strings.Contains(s.Log(), hint) {
				t.Error("got a hint")
			}
		})
	}
}

// Guesses that are under way at once are counted all the same: the next ones wait for so much longer.
func TestBurstsOfGuessesArePaidFor(t *testing.T) {
	t.Parallel()
	faulty := limited
	faulty.Faulty = true
	apitest.Each(t, faulty, func(t *testing.T, s *apitest.Server) {
		answers := atOnce(90, func(i int) apitest.Answer { return guess(t, s, 1, fmt.Sprintf("nobody_%d", i), "a wrong password") })
		wrong := len(withStatus(answers, http.StatusUnauthorized))
		if wrong < 30 {
			t.Fatalf("got %d guesses verified, want at least the 30 that are free", wrong)
		}
		wantLimited(t, guess(t, s, 1, "nobody", "a wrong password"), "sign-in-address", (wrong-30)*2+2)
	})
}

// A signed-in user can neither flood a stranger's mailbox nor ask for ever who has an address.
func TestChangesOfAddressAreLimited(t *testing.T) {
	t.Parallel()
	apitest.Each(t, limited, func(t *testing.T, s *apitest.Server) {
		token := apitest.Bearing(signUp(t, s, "john_smith").Token())
		signUp(t, s, "susan", somewhere(1))
		ask := func(address string, i int) apitest.Answer {
			return s.Put("/user/email", object{"email": address, "current_password": password}, token, somewhere(i))
		}
		for i := range 3 {
			want(t, ask("stranger@example.com", 10+i), http.StatusAccepted)
		}
		if a := ask("Stranger@Example.com", 20); a.Status != http.StatusTooManyRequests || a.Header.Get("Retry-After") != "1200" {
			t.Errorf("got %d with Retry-After %q, want 429 after 20 minutes", a.Status, a.Header.Get("Retry-After"))
		}
		for range 20 {
			wantInvalid(t, ask("susan@example.com", 30), "email taken")
		}
		if a := ask("susan@example.com", 30); a.Status != http.StatusTooManyRequests {
			t.Errorf("got %d, want 429: that answer is worth something", a.Status)
		}
	})
}

// A wait that a username and the generated address of it shared would tell that there is a user.
func TestGeneratedAddressTellsNothingOfItsUser(t *testing.T) {
	t.Parallel()
	apitest.Each(t, limited, func(t *testing.T, s *apitest.Server) {
		known := signUpGuest(t, s).Text("username")
		for i, name := range []string{known, "0badcafe"} {
			for range 10 {
				want(t, guess(t, s, i, name, "a wrong password"), http.StatusUnauthorized)
			}
			want(t, guess(t, s, i, name, "a wrong password"), http.StatusTooManyRequests)
			want(t, guess(t, s, i, name+"@ideaegg.me", "a wrong password"), http.StatusUnauthorized)
		}
	})
}
