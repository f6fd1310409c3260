package web_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/internal/apitest"
	"github.com/ideaegg/latchkey/internal/auth"
)

// verified is a strict service.
var verified = apitest.Options{VerifyFirst: true}

// askSignUp signs up at a strict service and returns the mail that comes of it.
func askSignUp(t *testing.T, s *apitest.Server, username string) apitest.Mail {
	t.Helper()
	body := signUpBody(username)
	want(t, s.Post("/sign_up", body), http.StatusAccepted)
	address, _ := body["email"].(string)
	return s.Mail(address)
}

// settled is a user of a strict service.
func settled(t *testing.T, s *apitest.Server, username string) apitest.Answer {
	t.Helper()
	a := s.Post("/sign_up/confirm", object{"token": askSignUp(t, s, username).Token, "password": password})
	want(t, a, http.StatusOK)
	return a
}

func TestStrictSignUpTellsNothing(t *testing.T) {
	t.Parallel()
	apitest.Each(t, verified, func(t *testing.T, s *apitest.Server) {
		settled(t, s, "known_user")
		var first apitest.Answer
		for _, test := range []struct{ name, username, email string }{
			{"free", "free_user", "free_user@example.com"},
			{"a taken name", "known_user", "free_user_2@example.com"},
			{"a taken address", "free_user_3", "KNOWN_USER@example.com"},
			{"both taken", "Known_User", "known_user@example.com"},
			{"pending already", "free_user", "free_user@example.com"},
		} {
			a := s.Post("/sign_up", object{"username": test.username, "email": test.email, "password": password, "password_confirmation": password})
			want(t, a, http.StatusAccepted)
			a.Header.Del("X-Request-Id")
			a.Header.Del("Date")
			if first.Status == 0 {
				first = a
			}
			if diff := cmp.Diff(first.Header, a.Header); diff != "" || !bytes.Equal(first.Body, a.Body) || len(a.Body) != 0 {
				t.Errorf("%s: got another answer (-first +got):\n%s%s", test.name, diff, a.Body)
			}
		}
		want(t, s.Post("/sign_in", object{"login": "free_user", "password": password}), http.StatusUnauthorized)
		// What can be judged without looking is refused, taken or not.
		body := signUpBody("known_user")
		body["password_confirmation"] = "another one"
		wantInvalid(t, s.Post("/sign_up", body), "password_confirmation mismatch")
		body = signUpBody("admin")
		wantInvalid(t, s.Post("/sign_up", body), "username reserved")
	})
}

// TestStrictSignUpLooksNothingUp: what is not asked cannot take longer for one than for another. Each costs one hash.
func TestStrictSignUpLooksNothingUp(t *testing.T) {
	t.Parallel()
	faulty := new(faultyStore)
	o := verified
	o.Store, o.Faulty = faulty.over, true
	s := apitest.OnSQLite(t, o)
	settled(t, s, "known_user")
	faulty.fail(func() error { return errors.New("somebody looked") })
	for _, username := range []string{"known_user", "free_user"} {
		before := s.Hasher.Stats().Hashes
		want(t, s.Post("/sign_up", signUpBody(username)), http.StatusAccepted)
		if got := s.Hasher.Stats().Hashes - before; got != 1 { // the mail is not written while the store fails
			t.Errorf("%s: got %d hashes, want 1", username, got)
		}
	}
}

func TestStrictSignUpIsConfirmedByLinkOrCode(t *testing.T) {
	t.Parallel()
	apitest.Each(t, verified, func(t *testing.T, s *apitest.Server) {
		for _, way := range []string{"link", "code"} {
			username := way + "_user"
			address := username + "@example.com"
			m := askSignUp(t, s, username)
			if !strings.Contains(m.Link, "/account/confirm_sign_up?token=") || m.Code == "" {
				t.Fatalf("got the link %q and the code %q", m.Link, m.Code)
			}
			proof := object{"token": m.Token, "password": password}
			if way == "code" {
				proof = object{"email": strings.ToUpper(address), "code": m.Code, "password": password}
			}
			a := s.Post("/sign_up/confirm", proof)
			want(t, a, http.StatusOK)
			wantMembers(t, a, signedInMembers)
			if a.Text("username") != username || a.Text("email") != address || a.Text("fullname") != username {
				t.Errorf("got %s", a.Body)
			}
			if user := wantAlive(t, s, a.Token()); user.Object["email_verified"] != true || user.Object["guest"] != false {
				t.Errorf("got %s, want a full user with a verified address", user.Body)
			}
			want(t, s.Post("/sign_in", object{"login": username, "password": password}), http.StatusOK)
			wantInvalid(t, s.Post("/sign_up/confirm", object{"token": m.Token, "password": password}), "token invalid")
			wantInvalid(t, s.Post("/sign_up/confirm", object{"email": address, "code": m.Code, "password": password}), "code invalid")
		}
		wantInvalid(t, s.Post("/sign_up/confirm", object{}), "token required", "password required")
		wantInvalid(t, s.Post("/sign_up/confirm", object{"email": "a@example.com", "password": password}), "code required")
		wantInvalid(t, s.Post("/sign_up/confirm", object{"code": "12345678", "username": "root"}), "email required", "password required", "username reserved")
	})
}

func TestStrictSignUpExpires(t *testing.T) {
	t.Parallel()
	apitest.Each(t, verified, func(t *testing.T, s *apitest.Server) {
		m := askSignUp(t, s, "slow_user")
		s.Clock.Advance(24 * time.Hour)
		wantInvalid(t, s.Post("/sign_up/confirm", object{"token": m.Token, "password": password}), "token invalid")
		wantInvalid(t, s.Post("/sign_up/confirm", object{"email": "slow_user@example.com", "code": m.Code, "password": password}), "code invalid")
	})
}

func TestStrictSignUpTellsTheOwnerOfTheAddress(t *testing.T) {
	t.Parallel()
	o := verified
	o.Limits = true
	apitest.Each(t, o, func(t *testing.T, s *apitest.Server) {
		settled(t, s, "owner_user")
		count := s.MailCount()
		for i := range auth.MaxSignUpMails + 2 {
			body := signUpBody("somebody_else")
			body["email"] = "Owner_User@example.com"
			want(t, s.Post("/sign_up", body), http.StatusAccepted)
			if i >= auth.MaxSignUpMails {
				continue
			}
			m := s.Mail("owner_user@example.com")
			if !strings.HasSuffix(m.Subject, "already") || m.Code != "" || m.Token != "" || !strings.Contains(m.Text, apitest.PublicURL+"/account/forgot_password\n") {
				t.Errorf("got %q:\n%s", m.Subject, m.Text)
			}
		}
		askSignUp(t, s, "later_user") // its mail comes behind those that were not written
		if got := s.MailCount() - count; got != auth.MaxSignUpMails+1 {
			t.Errorf("got %d mails, want %d to the owner and one to the other", got, auth.MaxSignUpMails)
		}
	})
}

func TestStrictSignUpWithoutLimitsMailsAlways(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, verified)
	for range auth.MaxSignUpMails + 2 {
		askSignUp(t, s, "busy_user")
	}
}

// TestMailboxAloneConfirmsNoStrictSignUp: else whoever signs up with somebody else's address and a password of their own
// would get into the account that the address' owner confirms for them.
func TestMailboxAloneConfirmsNoStrictSignUp(t *testing.T) {
	t.Parallel()
	apitest.Each(t, verified, func(t *testing.T, s *apitest.Server) {
		for _, way := range []string{"link", "code"} {
			m := askSignUp(t, s, way+"_user")
			proof := func(password any) object {
				p := object{"token": m.Token}
				if way == "code" {
					p = object{"email": way + "_user@example.com", "code": m.Code}
				}
				if password != nil {
					p["password"] = password
				}
				return p
			}
			wantInvalid(t, s.Post("/sign_up/confirm", proof(nil)), "password required")
			for range auth.MaxLinkAttempts - 1 {
				wantInvalid(t, s.Post("/sign_up/confirm", proof("another password")), "password invalid")
			}
			want(t, s.Post("/sign_up/confirm", proof(password)), http.StatusOK)

		}
		for way, dead := range map[string]string{"link": "token invalid", "code": "code invalid"} {
			username := "second_" + way
			m := askSignUp(t, s, username)
			proof := object{"token": m.Token, "password": "another password"}
			if way == "code" {
				proof = object{"email": username + "@example.com", "code": m.Code, "password": "another password"}
			}
			for range auth.MaxLinkAttempts {
				wantInvalid(t, s.Post("/sign_up/confirm", proof), "password invalid")
			}
			proof["password"] = password
			wantInvalid(t, s.Post("/sign_up/confirm", proof), dead)
		}
	})
}

func TestStrictSignUpTellsTakenNamesTenTimes(t *testing.T) {
	t.Parallel()
	apitest.Each(t, verified, func(t *testing.T, s *apitest.Server) {
		settled(t, s, "first_come")
		m := askSignUp(t, s, "collector")
		byLink := object{"token": m.Token, "password": password, "username": "first_come"}
		byCode := object{"email": "collector@example.com", "code": m.Code, "password": password, "username": "first_come"}
		for i := range auth.MaxTakenAnswers {
			proof := byLink
			if i%2 == 1 {
				proof = byCode
			}
			wantInvalid(t, s.Post("/sign_up/confirm", proof), "username taken")
		}
		byLink["username"], byCode["username"] = "free_name", "free_name"
		wantInvalid(t, s.Post("/sign_up/confirm", byLink), "token invalid")
		wantInvalid(t, s.Post("/sign_up/confirm", byCode), "code invalid")
	})
}

func TestStrictSignUpEndsWhenSomebodyElseProvesTheAddress(t *testing.T) {
	t.Parallel()
	apitest.Each(t, verified, func(t *testing.T, s *apitest.Server) {
		m := askSignUp(t, s, "late_user")
		token := settled(t, s, "mover").Token()
		want(t, s.Put("/user/email", object{"email": "late_user@example.com", "current_password": password}, apitest.Bearing(token)), http.StatusAccepted)
		moved := s.Mail("late_user@example.com")
		want(t, s.Post("/user/email/verify", object{"code": moved.Code}, apitest.Bearing(token)), http.StatusOK)
		wantInvalid(t, s.Post("/sign_up/confirm", object{"token": m.Token, "password": password, "username": "mover"}), "token invalid")
	})
}

func TestConfirmedSignUpGivesADeviceToken(t *testing.T) {
	t.Parallel()
	o := verified
	o.Limits = true
	apitest.Each(t, o, func(t *testing.T, s *apitest.Server) {
		const header = "Latchkey-Device"
		m := askSignUp(t, s, "device_user")
		a := s.Post("/sign_up/confirm", object{"token": m.Token, "password": password}, header+": new")
		want(t, a, http.StatusOK)
		device := a.Header.Get(header)
		if !strings.HasPrefix(device, "ld1_") {
			t.Fatalf("got the device token %q", device)
		}
		lockOut(t, s, "device_user")
		want(t, guess(t, s, 0, "device_user", password, header+": "+device), http.StatusOK)
	})
}

func TestStrictSignUpTellsATakenNameAtTheEnd(t *testing.T) {
	t.Parallel()
	apitest.Each(t, verified, func(t *testing.T, s *apitest.Server) {
		settled(t, s, "first_come")
		body := signUpBody("first_come")
		body["email"], body["password"], body["password_confirmation"] = "late@example.com", "horse_battery", "horse_battery"
		want(t, s.Post("/sign_up", body), http.StatusAccepted)
		m := s.Mail("late@example.com")
		proof := object{"email": "late@example.com", "code": m.Code, "password": "horse_battery"}
		for range auth.MaxCodeAttempts + 1 { // costs no attempt
			wantInvalid(t, s.Post("/sign_up/confirm", proof), "username taken")
		}
		proof["username"] = "Horse_Battery" // a name like any other, were it not the password
		wantInvalid(t, s.Post("/sign_up/confirm", proof), "password too_common")
		proof["username"] = "Late_Comer"
		a := s.Post("/sign_up/confirm", proof)
		want(t, a, http.StatusOK)
		if a.Text("username") != "late_comer" || a.Text("fullname") != "late_comer" {
			t.Errorf("got %s", a.Body)
		}
	})
}

func TestFiveWrongCodesKillAStrictSignUpsCodes(t *testing.T) {
	t.Parallel()
	apitest.Each(t, verified, func(t *testing.T, s *apitest.Server) {
		m := askSignUp(t, s, "guessed_user")
		address := "guessed_user@example.com"
		for range auth.MaxCodeAttempts {
			wantInvalid(t, s.Post("/sign_up/confirm", object{"email": address, "code": "00000000", "password": password}), "code invalid")
		}
		wantInvalid(t, s.Post("/sign_up/confirm", object{"email": address, "code": m.Code, "password": password}), "code invalid")
		want(t, s.Post("/sign_up/confirm", object{"token": m.Token, "password": password}), http.StatusOK)
	})
}

func TestGuestConfirmsAStrictSignUpAndKeepsTheID(t *testing.T) {
	t.Parallel()
	apitest.Each(t, verified, func(t *testing.T, s *apitest.Server) {
		guest := signUpGuest(t, s)
		want(t, s.Post("/sign_up", signUpBody("former_guest"), apitest.Bearing(guest.Token())), http.StatusAccepted)
		wantAlive(t, s, guest.Token())
		m := s.Mail("former_guest@example.com")
		a := s.Post("/sign_up/confirm", object{"token": m.Token, "password": password}, apitest.Bearing(guest.Token()))
		want(t, a, http.StatusOK)
		if a.ID() != guest.ID() || a.Text("username") != "former_guest" {
			t.Errorf("got %s, want the guest's id %d", a.Body, guest.ID())
		}
		wantDead(t, s, guest.Token())
		wantAlive(t, s, a.Token())
	})
}

func TestOfStrictConfirmationsAtOnceOneWins(t *testing.T) {
	t.Parallel()
	apitest.Each(t, verified, func(t *testing.T, s *apitest.Server) {
		m := askSignUp(t, s, "raced_user")
		statuses := make([]int, 8)
		var group sync.WaitGroup
		for i := range statuses {
			group.Go(func() {
				statuses[i] = s.Post("/sign_up/confirm", object{"token": m.Token, "password": password}).Status
			})
		}
		group.Wait()
		won := 0
		for _, status := range statuses {
			switch status {
			case http.StatusOK:
				won++
			case http.StatusUnprocessableEntity:
			default:
				t.Errorf("got status %d", status)
			}
		}
		if won != 1 {
			t.Errorf("got %v, want one winner", statuses)
		}
	})
}

// TestStrictChangeOfAddressTellsNothing: it would answer what sign-up does not.
func TestStrictChangeOfAddressTellsNothing(t *testing.T) {
	t.Parallel()
	apitest.Each(t, verified, func(t *testing.T, s *apitest.Server) {
		settled(t, s, "known_user")
		token := settled(t, s, "curious_user").Token()
		count := s.MailCount()
		a := s.Put("/user/email", object{"email": "known_user@example.com", "current_password": password}, apitest.Bearing(token))
		want(t, a, http.StatusAccepted)
		askSignUp(t, s, "later_user")
		if got := s.MailCount() - count; got != 1 {
			t.Errorf("got %d mails, want none but that of the next sign-up", got)
		}
	})
}

func TestOpenSignUpHasNothingToConfirm(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		signUp(t, s, "open_user")
		m := s.Mail("open_user@example.com")
		wantInvalid(t, s.Post("/sign_up/confirm", object{"token": m.Token, "password": password}), "token invalid")
		wantInvalid(t, s.Post("/sign_up/confirm", object{"email": "open_user@example.com", "code": m.Code, "password": password}), "code invalid")
	})
}

func TestStrictSignUpPage(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, verified)
	settled(t, s, "first_come")
	body := signUpBody("first_come")
	body["email"] = "page@example.com"
	want(t, s.Post("/sign_up", body), http.StatusAccepted)
	m := s.Mail("page@example.com")
	page := func(method, form string) (int, string, http.Header) {
		t.Helper()
		path := "/account/confirm_sign_up"
		if method == http.MethodGet {
			path, form = path+"?"+form, ""
		}
		r, err := http.NewRequestWithContext(t.Context(), method, s.Origin+path, strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		b, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(b), answer.Header
	}
	has := func(method, form string, status int, texts ...string) {
		t.Helper()
		got, html, _ := page(method, form)
		if got != status {
			t.Errorf("%s: got status %d, want %d", method, got, status)
		}
		for _, text := range texts {
			if !strings.Contains(html, text) {
				t.Errorf("got no %q in the page:\n%s", text, html)
			}
		}
	}
	for range 3 { // looking uses nothing up
		has(http.MethodGet, "token="+m.Token, http.StatusOK, "page@example.com", "first_come", "<button")
	}
	form := "token=" + m.Token + "&password=" + password
	has(http.MethodPost, "token="+m.Token, http.StatusUnprocessableEntity, "Enter the password that you chose", `name="password"`)
	has(http.MethodPost, form+"x", http.StatusUnprocessableEntity, "This is not the password", `name="password"`)
	has(http.MethodPost, form, http.StatusUnprocessableEntity, "This username is taken by now", `name="username"`, `name="password"`)
	has(http.MethodPost, form+"x&username=second", http.StatusUnprocessableEntity, "This is not the password", `value="second"`)
	has(http.MethodPost, "token="+m.Token+"&password=Second_Come&username=second_come", http.StatusUnprocessableEntity, "Choose a username that is not your password")
	has(http.MethodPost, form+"&username=a", http.StatusUnprocessableEntity, `name="username"`, `value="a"`)
	has(http.MethodGet, "token=x", http.StatusUnprocessableEntity, "This link does not work any more", "sign up once more")

	status, _, header := page(http.MethodPost, form+"&username=second_come")
	if status != http.StatusSeeOther || !strings.HasSuffix(header.Get("Location"), "signed_up") {
		t.Errorf("got status %d to %q", status, header.Get("Location"))
	}
	has(http.MethodPost, form, http.StatusUnprocessableEntity, "This link does not work any more")
	a := s.Post("/sign_in", object{"login": "second_come", "password": password})
	want(t, a, http.StatusOK)
	if user := wantAlive(t, s, a.Token()); user.Object["email_verified"] != true {
		t.Errorf("got %s, want a verified address", user.Body)
	}
	if sessions := s.Get("/user/sessions", apitest.Bearing(a.Token())); len(sessions.List) != 1 {
		t.Errorf("got %s, want no session but that of the sign-in", sessions.Body)
	}
}
