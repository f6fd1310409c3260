package web_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/apitest"
	"github.com/ideaegg/latchkey/internal/auth"
)

// verifyByCode confirms an address with the code of a mail.
func verifyByCode(s *apitest.Server, token, code string) apitest.Answer {
	return s.Post("/user/email/verify", object{"code": code}, apitest.Bearing(token))
}

// askChange asks for another address and returns the mail that goes there.
func askChange(t *testing.T, s *apitest.Server, token, address string) apitest.Mail {
	t.Helper()
	a := s.Put("/user/email", object{"email": address, "current_password": password}, apitest.Bearing(token))
	want(t, a, http.StatusAccepted)
	if len(a.Body) != 0 {
		t.Errorf("got the body %q", a.Body)
	}
	return s.Mail(address)
}

func TestAddressIsVerifiedByTheCodeThatWasMailedToIt(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		token := signUp(t, s, "verena").Token()
		if wantAlive(t, s, token).Object["email_verified"] != false {
			t.Error("the address is verified before anybody proved it")
		}
		first := s.Mail("verena@example.com")
		want(t, s.Post("/user/email/verification", nil, apitest.Bearing(token)), http.StatusAccepted)
		second := s.Mail("verena@example.com")
		if first.Code == second.Code || first.Token == second.Token {
			t.Error("the second mail carries the proof of the first")
		}
		a := verifyByCode(s, token, first.Code) // both are good until one is used
		want(t, a, http.StatusOK)
		if a.Object["email_verified"] != true || a.Text("email") != "verena@example.com" {
			t.Errorf("got %s", a.Body)
		}
		wantInvalid(t, verifyByCode(s, token, second.Code), "code invalid")

		count := s.MailCount()
		want(t, s.Post("/user/email/verification", nil, apitest.Bearing(token)), http.StatusAccepted)
		if s.MailCount() != count {
			t.Error("a verified address got a mail to verify it")
		}
	})
}

// impatient ends the context of whoever confirms an address once that is done, as a client does that goes away. The
// context holds the function that ends it.
type impatient struct{ auth.Store }

func (i impatient) ConfirmEmail(ctx context.Context, c auth.EmailConfirmation) (auth.User, error) {
	if end, ok := ctx.Value(impatient{}).(context.CancelFunc); ok {
		defer end()
	}
	return i.Store.ConfirmEmail(ctx, c)
}

func TestAddressThatIsVerifiedIsNeverToldAsAFailure(t *testing.T) {
	t.Parallel()
	options := apitest.Options{Store: func(s auth.Store) auth.Store { return impatient{s} }}
	apitest.Each(t, options, func(t *testing.T, s *apitest.Server) {
		token := signUp(t, s, "hasty").Token()
		m := s.Mail("hasty@example.com")
		ctx, end := context.WithCancel(t.Context())
		ctx = context.WithValue(ctx, impatient{}, end)
		current, err := s.Service.Authenticate(ctx, auth.SessionToken(token))
		if err != nil {
			t.Fatal(err)
		}
		user, err := s.Service.VerifyEmailByCode(ctx, *current, m.Code, auth.Origin{})
		if err != nil || !user.EmailVerified || user.Username != "hasty" || ctx.Err() == nil {
			t.Errorf("got %+v, %v", user, err)
		}
	})
}

func TestCodeOfAnAddressIsGoodForItsUserAlone(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		token, stranger := signUp(t, s, "owner_of_mail").Token(), signUp(t, s, "stranger").Token()
		m := s.Mail("owner_of_mail@example.com")
		wantInvalid(t, verifyByCode(s, stranger, m.Code), "code invalid")
		wantInvalid(t, s.Post("/user/email/verify", object{}, apitest.Bearing(token)), "code required")
		for range auth.MaxCodeAttempts {
			wantInvalid(t, verifyByCode(s, token, "00000000"), "code invalid")
		}
		wantInvalid(t, verifyByCode(s, token, m.Code), "code invalid") // five wrong ones killed it
		verified, err := s.Service.VerifyEmail(t.Context(), m.Token, auth.Origin{})
		if err != nil || verified.Change || verified.Address != "owner_of_mail@example.com" { // but not the link
			t.Errorf("got %+v, %v", verified, err)
		}
		reset := s.Mail("owner_of_mail@example.com")
		wantInvalid(t, resetBy(t, s, object{"token": reset.Token}), "token invalid") // it proves an address, not a reset
	})
}

func TestAddressChangesOnceTheNewOneIsConfirmed(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		token := signUp(t, s, "mover").Token()
		m := askChange(t, s, token, "Mover@Example.org")
		if got := wantAlive(t, s, token).Text("email"); got != "mover@example.com" {
			t.Errorf("got the address %s before it was confirmed", got)
		}
		want(t, s.Post("/sign_in", object{"login": "mover@example.org", "password": password}), http.StatusUnauthorized)

		a := verifyByCode(s, token, m.Code)
		want(t, a, http.StatusOK)
		if a.Text("email") != "Mover@Example.org" || a.Object["email_verified"] != true {
			t.Errorf("got %s", a.Body)
		}
		wantAlive(t, s, token)
		want(t, s.Post("/sign_in", object{"login": "mover@example.org", "password": password}), http.StatusOK)
		want(t, s.Post("/sign_in", object{"login": "mover@example.com", "password": password}), http.StatusUnauthorized)

		notice := s.Mail("mover@example.com")
		if !strings.Contains(notice.Link, "/account/undo_email_change?token=") || notice.Code != "" {
			t.Fatalf("the old address got %q with link %s", notice.Subject, notice.Link)
		}
		wantInvalid(t, s.Post("/sign_up", object{
			"username": "thief", "email": "mover@example.com", "password": password, "password_confirmation": password,
		}), "email taken") // it may still be taken back

		s.Clock.Advance(auth.UndoTTL - time.Second)
		address, err := s.Service.UndoEmailChange(t.Context(), notice.Token, auth.Origin{})
		if err != nil || address != "mover@example.com" {
			t.Fatalf("undo: got %s, %v", address, err)
		}
		wantDead(t, s, token)
		want(t, s.Post("/sign_in", object{"login": "mover@example.com", "password": password}), http.StatusOK)
	})
}

func TestTwoChangesOfAddressCannotConfirmTheWrongOne(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		token := signUp(t, s, "undecided").Token()
		first := askChange(t, s, token, "first@example.org")
		second := askChange(t, s, token, "second@example.org")
		wantInvalid(t, verifyByCode(s, token, first.Code), "code invalid")
		if _, err := s.Service.VerifyEmail(t.Context(), first.Token, auth.Origin{}); err == nil {
			t.Error("the link of the first change works after the second was asked for")
		}
		verified, err := s.Service.VerifyEmail(t.Context(), second.Token, auth.Origin{})
		if err != nil || verified.Address != "second@example.org" || !verified.Change {
			t.Errorf("got %+v, %v", verified, err)
		}
		if got := wantAlive(t, s, token).Text("email"); got != "second@example.org" {
			t.Errorf("got the address %s", got)
		}
	})
}

func TestChangeOfAddressEndsResetsOfTheOldOne(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		token := signUp(t, s, "robbed").Token()
		reset := askReset(t, s, "robbed@example.com")
		m := askChange(t, s, token, "safe@example.org")
		want(t, verifyByCode(s, token, m.Code), http.StatusOK)
		wantInvalid(t, resetBy(t, s, object{"token": reset.Token}), "token invalid")
		wantInvalid(t, resetBy(t, s, object{"email": "robbed@example.com", "code": reset.Code}), "code invalid")
	})
}

func TestChangeOfAddressIsRefused(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{BelieveBareUID: true}, func(t *testing.T, s *apitest.Server) {
		token := signUp(t, s, "keeper").Token()
		signUp(t, s, "neighbour")
		for _, tt := range []struct {
			name   string
			body   object
			faults []string
		}{
			{"without an address", object{"current_password": password}, []string{"email required"}},
			{"to what is no address", object{"email": "a@b@c", "current_password": password}, []string{"email invalid"}},
			{"to a generated one", object{"email": "x@ideaegg.me", "current_password": password}, []string{"email reserved"}},
			{"to somebody else's", object{"email": "NEIGHBOUR@example.com", "current_password": password}, []string{"email taken"}},
			{"to one's own", object{"email": "keeper@example.com", "current_password": password}, []string{"email taken"}},
			{"without the password", object{"email": "k@example.org"}, []string{"current_password required"}},
			{"with a wrong password", object{"email": "k@example.org", "current_password": "wrong-one"}, []string{"current_password invalid"}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				count := s.MailCount()
				wantInvalid(t, s.For(t).Put("/user/email", tt.body, apitest.Bearing(token)), tt.faults...)
				if s.MailCount() != count {
					t.Error("a mail was sent")
				}
			})
		}

		guest := s.Post("/sign_up_temporarily", nil).Token()
		want(t, s.Put("/user/email", object{"email": "g@example.org"}, apitest.Bearing(guest)), http.StatusForbidden)
		wantInvalid(t, s.Post("/user/email/verification", nil, apitest.Bearing(guest)), "email invalid")

		wechat := s.Post("/sign_in_with/wechat", object{"uid": "no_password"}).Token()
		want(t, s.Put("/user/email", object{"email": "w@example.org"}, apitest.Bearing(wechat)), http.StatusAccepted)
		s.Clock.Advance(10*time.Minute + time.Second)
		want(t, s.Put("/user/email", object{"email": "w2@example.org"}, apitest.Bearing(wechat)), http.StatusForbidden)
	})
}

func TestAddressThatWasTakenMeanwhileIsNotConfirmed(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{}, func(t *testing.T, s *apitest.Server) {
		token := signUp(t, s, "slow").Token()
		m := askChange(t, s, token, "quick@example.com")
		signUp(t, s, "quick")
		wantInvalid(t, verifyByCode(s, token, m.Code), "email taken")
		if got := wantAlive(t, s, token).Text("email"); got != "slow@example.com" {
			t.Errorf("got the address %s", got)
		}
	})
}

func TestMailToVerifySpeaksTheLanguageOfTheSignUp(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{})
	a := s.Post("/sign_up", object{
		"username": "xiaoming", "email": "xiaoming@example.com", "password": password, "password_confirmation": password,
	}, "Accept-Language: zh-CN")
	want(t, a, http.StatusOK)
	if m := s.Mail("xiaoming@example.com"); !strings.Contains(m.Text, "验证码") {
		t.Errorf("got %q", m.Text)
	}
}
