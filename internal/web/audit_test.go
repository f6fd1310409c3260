package web_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ideaegg/latchkey/internal/apitest"
	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/dbtest"
)

// tester is the user agent of every request here.
const tester = "User-Agent: Tester/1.0"

// auditLog reads what is new in the log of a server.
type auditLog struct {
	s    *apitest.Server
	last int64
}

// all returns every event, oldest first.
func (l *auditLog) all(t *testing.T) []auth.AuditEvent {
	t.Helper()
	l.s.Settle()
	list, err := l.s.Store.ListAuditEvents(t.Context(), auth.AuditFilter{Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// news returns the events since the last call.
func (l *auditLog) news(t *testing.T) []auth.AuditEvent {
	t.Helper()
	var list []auth.AuditEvent
	last := l.last
	for _, e := range l.all(t) {
		if e.ID > l.last {
			list, last = append(list, e), max(last, e.ID)
		}
	}
	l.last = last
	return list
}

// by is an event of a request of these tests.
func by(kind auth.AuditKind, user int64, proof auth.AuditProof) auth.AuditEvent {
	return auth.AuditEvent{
		Kind: kind, Outcome: auth.AuditOK, UserID: auth.UserID(user), Proof: proof,
		Origin: auth.Origin{Address: netip.MustParseAddr("127.0.0.1"), UserAgent: "Tester/1.0"},
	}
}

func refused(kind auth.AuditKind, reason auth.AuditReason, user int64, proof auth.AuditProof) auth.AuditEvent {
	e := by(kind, user, proof)
	e.Outcome, e.Reason = auth.AuditRefused, reason
	return e
}

// began adds the session that a token is of, and the token's fingerprint.
func began(e auth.AuditEvent, token string) auth.AuditEvent {
	e.Session = sessionOf(token)
	return shown(e, token)
}

// shown adds the fingerprint of a token.
func shown(e auth.AuditEvent, token string) auth.AuditEvent {
	sum := sha256.Sum256([]byte(token))
	e.Token = hex.EncodeToString(sum[:])[:8]
	return e
}

func sessionOf(token string) auth.SessionID {
	id, _ := auth.SessionToken(token).SessionID()
	return id
}

// TestEachFactIsOneAuditEvent does one thing after another and looks at what each of them left.
func TestEachFactIsOneAuditEvent(t *testing.T) {
	t.Parallel()
	apitest.Each(t, apitest.Options{Dev: true, ServerKeys: []string{"0123456789abcdef"}}, func(t *testing.T, s *apitest.Server) {
		log := auditLog{s: s}
		expect := func(what string, want ...auth.AuditEvent) {
			t.Helper()
			got := log.news(t)
			ignored := cmpopts.IgnoreFields(auth.AuditEvent{}, "ID", "At", "Login")
			if diff := cmp.Diff(want, got, ignored, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
			for _, e := range got {
				if !e.At.Equal(s.Clock.Now()) {
					t.Errorf("%s: got the time %v, want that of the request", what, e.At)
				}
			}
			s.Clock.Advance(time.Second)
		}
		post := func(status int, path string, body any, headers ...string) apitest.Answer {
			t.Helper()
			a := s.Post(path, body, append(headers, tester)...)
			want(t, a, status)
			return a
		}
		a := post(http.StatusOK, "/sign_up", signUpBody("john_smith"))
		john, token := a.ID(), a.Token()
		expect("sign-up", began(by(auth.AuditSignUp, john, auth.ProofPassword), token))
		post(http.StatusUnprocessableEntity, "/sign_up", signUpBody("john_smith"))
		expect("a taken name is no fact of security")

		second := post(http.StatusOK, "/sign_in", object{"login": "JOHN_smith", "password": password}).Token()
		expect("sign-in", began(by(auth.AuditSignIn, john, auth.ProofPassword), second))
		post(http.StatusUnauthorized, "/sign_in", object{"login": "john_smith", "password": "a wrong one"})
		expect("wrong password", refused(auth.AuditSignIn, auth.ReasonWrongPassword, john, auth.ProofPassword))
		post(http.StatusUnauthorized, "/sign_in", object{"login": "nobody", "password": "a wrong one"})
		expect("unknown login", refused(auth.AuditSignIn, auth.ReasonUnknownLogin, 0, auth.ProofPassword))
		post(http.StatusUnauthorized, "/sign_in", object{"login": "no login at all", "password": "a wrong one"})
		expect("impossible login", refused(auth.AuditSignIn, auth.ReasonUnknownLogin, 0, auth.ProofPassword))

		a = post(http.StatusOK, "/sign_up_temporarily", nil)
		guest, guestToken := a.ID(), a.Token()
		post(http.StatusUnauthorized, "/sign_in", object{"login": a.Text("username"), "password": "a wrong one"})
		expect("no password", refused(auth.AuditSignIn, auth.ReasonNoPassword, guest, auth.ProofPassword))

		wechat := post(http.StatusOK, "/sign_in_with/wechat", object{"uid": "openid_1"})
		expect("first sign-in with WeChat", began(by(auth.AuditSignUp, wechat.ID(), auth.ProofBareUID), wechat.Token()))
		again := post(http.StatusOK, "/sign_in_with/wechat", object{"uid": "openid_1"}, "Latchkey-Server-Key: 0123456789abcdef")
		expect("sign-in with WeChat", began(by(auth.AuditSignIn, wechat.ID(), auth.ProofServerKey), again.Token()))
		post(http.StatusConflict, "/sign_in_with/wechat", object{"uid": "openid_1"}, apitest.Bearing(guestToken))
		expect("identity of another user", refused(auth.AuditIdentityConflict, auth.ReasonTaken, guest, auth.ProofBareUID))

		a = post(http.StatusOK, "/sign_up", signUpBody("former_guest"), apitest.Bearing(guestToken))
		expect("upgrade", began(by(auth.AuditGuestUpgraded, guest, auth.ProofGuest), a.Token()))
		other := post(http.StatusOK, "/sign_up_temporarily", nil)
		a = post(http.StatusOK, "/sign_in_with/wechat", object{"uid": "openid_2"}, apitest.Bearing(other.Token()))
		expect("upgrade with WeChat", began(by(auth.AuditGuestUpgraded, other.ID(), auth.ProofBareUID), a.Token()))

		// Sessions.
		third := post(http.StatusOK, "/sign_in", object{"login": "john_smith", "password": password}).Token()
		expect("sign-in", began(by(auth.AuditSignIn, john, auth.ProofPassword), third))
		revoked := shown(by(auth.AuditSessionRevoked, john, auth.ProofSession), token)
		revoked.Session = sessionOf(third)
		path := fmt.Sprintf("/user/sessions/%d", revoked.Session)
		want(t, s.Delete(path, nil, apitest.Bearing(token), tester), http.StatusNoContent)
		expect("end a session", revoked)
		want(t, s.Delete(path, nil, apitest.Bearing(token), tester), http.StatusNotFound)
		expect("end no session")
		post(http.StatusNoContent, "/sign_out", nil, apitest.Bearing(second))
		expect("sign-out", began(by(auth.AuditSignOut, john, auth.ProofSession), second))
		want(t, s.Delete("/user/sessions", nil, apitest.Bearing(token), tester), http.StatusNoContent)
		expect("end other sessions", began(by(auth.AuditSessionsRevoked, john, auth.ProofSession), token))
		want(t, s.Get("/user", apitest.Bearing(second), tester), http.StatusUnauthorized)
		want(t, s.Put("/user", object{"fullname": "John"}, apitest.Bearing(token), tester), http.StatusOK)
		expect("a dead token and a profile are no facts of security")

		// Passwords.
		change := object{"current_password": "a wrong one", "password": newPassword, "password_confirmation": newPassword}
		want(t, s.Put("/user/password", change, apitest.Bearing(token), tester), http.StatusUnprocessableEntity)
		expect("wrong current password", shown(refused(auth.AuditPasswordChanged, auth.ReasonWrongPassword, john, auth.ProofPassword), token))
		change["current_password"] = password
		a = s.Put("/user/password", change, apitest.Bearing(token), tester)
		want(t, a, http.StatusOK)
		token = a.Token()
		expect("change of password", began(by(auth.AuditPasswordChanged, john, auth.ProofPassword), token))

		m := askReset(t, s, "john_smith@example.com", tester)
		expect("request for a reset", by(auth.AuditResetRequested, 0, ""), shown(by(auth.AuditResetMailed, john, ""), m.Token))
		post(http.StatusNoContent, "/reset_password", object{"email": "nobody@example.com"})
		s.MailCount()
		expect("request for nobody's reset", by(auth.AuditResetRequested, 0, ""))
		reset := func(status int, proof object) {
			t.Helper()
			want(t, s.Put("/reset_password", withNewPassword(proof), tester), status)
		}
		reset(http.StatusUnprocessableEntity, object{"token": "no token"})
		expect("unknown link", refused(auth.AuditPasswordReset, auth.ReasonInvalidToken, 0, auth.ProofResetLink))
		reset(http.StatusUnprocessableEntity, object{"email": "john_smith@example.com", "code": "00000000"})
		expect("wrong code", refused(auth.AuditPasswordReset, auth.ReasonWrongCode, john, auth.ProofResetCode))
		reset(http.StatusUnprocessableEntity, object{"email": "nobody@example.com", "code": "00000000"})
		expect("code of nobody", refused(auth.AuditPasswordReset, auth.ReasonWrongCode, 0, auth.ProofResetCode))
		reset(http.StatusNoContent, object{"email": "john_smith@example.com", "code": m.Code})
		expect("reset by code", shown(by(auth.AuditPasswordReset, john, auth.ProofResetCode), m.Token))
		m = askReset(t, s, "john_smith@example.com", tester)
		log.news(t)
		reset(http.StatusNoContent, object{"token": m.Token})
		expect("reset by link", shown(by(auth.AuditPasswordReset, john, auth.ProofResetLink), m.Token))

		// Addresses. A reset has verified john's.
		jane := post(http.StatusOK, "/sign_up", signUpBody("jane"))
		log.news(t)
		post(http.StatusAccepted, "/user/email/verification", nil, apitest.Bearing(jane.Token()))
		expect("request for verification", shown(by(auth.AuditVerifyRequested, jane.ID(), auth.ProofSession), jane.Token()))
		post(http.StatusUnprocessableEntity, "/user/email/verify", object{"code": "00000000"}, apitest.Bearing(jane.Token()))
		expect("wrong code", refused(auth.AuditEmailVerified, auth.ReasonWrongCode, jane.ID(), auth.ProofEmailCode))
		m = s.Mail("jane@example.com")
		post(http.StatusOK, "/user/email/verify", object{"code": m.Code}, apitest.Bearing(jane.Token()))
		expect("verification", shown(by(auth.AuditEmailVerified, jane.ID(), auth.ProofEmailCode), m.Token))

		move := object{"email": "jane@example.org", "current_password": "a wrong one"}
		want(t, s.Put("/user/email", move, apitest.Bearing(jane.Token()), tester), http.StatusUnprocessableEntity)
		expect("wrong password", shown(refused(auth.AuditChangeRequested, auth.ReasonWrongPassword, jane.ID(), auth.ProofPassword), jane.Token()))
		move["current_password"] = password
		want(t, s.Put("/user/email", move, apitest.Bearing(jane.Token()), tester), http.StatusAccepted)
		expect("request for a change", shown(by(auth.AuditChangeRequested, jane.ID(), auth.ProofPassword), jane.Token()))
		m = s.Mail("jane@example.org")
		origin := auth.Origin{Address: netip.MustParseAddr("127.0.0.1"), UserAgent: "Tester/1.0"}
		_, _ = s.Service.VerifyEmail(t.Context(), "no token", origin)
		expect("unknown link", refused(auth.AuditEmailVerified, auth.ReasonInvalidToken, 0, auth.ProofEmailLink))
		if _, err := s.Service.VerifyEmail(t.Context(), m.Token, origin); err != nil {
			t.Error(err)
		}
		expect("change of address", shown(by(auth.AuditEmailChanged, jane.ID(), auth.ProofEmailLink), m.Token))
		m = s.Mail("jane@example.com")
		_, _ = s.Service.UndoEmailChange(t.Context(), "no token", origin)
		expect("unknown undo", refused(auth.AuditEmailUndone, auth.ReasonInvalidToken, 0, auth.ProofUndoLink))
		if _, err := s.Service.UndoEmailChange(t.Context(), m.Token, origin); err != nil {
			t.Error(err)
		}
		expect("undo", shown(by(auth.AuditEmailUndone, jane.ID(), auth.ProofUndoLink), m.Token))
		token = post(http.StatusOK, "/sign_in", object{"login": "jane", "password": password}).Token()
		log.news(t)
		move["email"] = "taken@example.org"
		want(t, s.Put("/user/email", move, apitest.Bearing(token), tester), http.StatusAccepted)
		m = s.Mail("taken@example.org")
		post(http.StatusOK, "/sign_up", object{
			"username": "taker", "email": "taken@example.org", "password": password, "password_confirmation": password,
		})
		log.news(t)
		post(http.StatusUnprocessableEntity, "/user/email/verify", object{"code": m.Code}, apitest.Bearing(token))
		expect("taken meanwhile", shown(refused(auth.AuditEmailChanged, auth.ReasonTaken, jane.ID(), auth.ProofEmailCode), m.Token))

		// Ends.
		want(t, s.Delete("/user", object{"current_password": "a wrong one"}, apitest.Bearing(token), tester), http.StatusUnprocessableEntity)
		expect("wrong password", shown(refused(auth.AuditUserDeleted, auth.ReasonWrongPassword, jane.ID(), auth.ProofPassword), token))
		want(t, s.Delete("/user", object{"current_password": password}, apitest.Bearing(token), tester), http.StatusNoContent)
		expect("deletion", shown(by(auth.AuditUserDeleted, jane.ID(), auth.ProofPassword), token))
		s.Clock.Advance(11 * time.Minute)
		want(t, s.Delete("/user", nil, apitest.Bearing(wechat.Token()), tester), http.StatusForbidden)
		expect("stale session", shown(refused(auth.AuditUserDeleted, auth.ReasonStaleSession, wechat.ID(), auth.ProofSession), wechat.Token()))
		if err := s.Store.SetStatus(t.Context(), auth.UserID(john), auth.StatusDisabled); err != nil {
			t.Fatal(err)
		}
		post(http.StatusUnauthorized, "/sign_in", object{"login": "john_smith", "password": newPassword})
		expect("disabled", refused(auth.AuditSignIn, auth.ReasonDisabled, john, auth.ProofPassword))
		if err := s.Store.SetStatus(t.Context(), auth.UserID(wechat.ID()), auth.StatusDisabled); err != nil {
			t.Fatal(err)
		}
		post(http.StatusUnauthorized, "/sign_in_with/wechat", object{"uid": "openid_1"})
		expect("disabled, WeChat", refused(auth.AuditSignIn, auth.ReasonDisabled, wechat.ID(), auth.ProofBareUID))

		events := log.all(t)
		if len(events) < 40 || len(s.Secrets()) < 20 {
			t.Errorf("got %d events and %d secrets, want more to look for", len(events), len(s.Secrets()))
		}
		testAuditHoldsNothingTyped(t, s, []string{"nobody", "no login at all", "openid", "guest@"}, events)
	})
}

// testAuditHoldsNothingTyped looks for tokens, codes, passwords, names and addresses in everything that is in the log.
func testAuditHoldsNothingTyped(t *testing.T, s *apitest.Server, typed []string, events []auth.AuditEvent) {
	t.Helper()
	text := fmt.Sprintf("%+v", events)
	for _, secret := range append(append(s.Secrets(), typed...), "john", "jane", "example") {
		if strings.Contains(text, secret) {
			t.Errorf("the audit log holds %q", secret)
		}
	}
}

// TestIdentitiesAreAudited links, signs in with and unlinks a WeChat account.
func TestIdentitiesAreAudited(t *testing.T) {
	t.Parallel()
	eachWithWeChat(t, apitest.Options{}, func(t *testing.T, s *apitest.Server, w *stage) {
		log := auditLog{s: s}
		ignored := cmpopts.IgnoreFields(auth.AuditEvent{}, "ID", "At")
		expect := func(what string, want ...auth.AuditEvent) {
			t.Helper()
			if diff := cmp.Diff(want, log.news(t), ignored, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		john, jane := signUp(t, s, "john_smith"), signUp(t, s, "jane")
		log.news(t)
		link := func(status int, by apitest.Answer, body object) {
			t.Helper()
			want(t, s.Post("/user/identities/wechat", body, apitest.Bearing(by.Token()), tester), status)
		}
		link(http.StatusOK, john, w.body(w.mini, w.wei))
		expect("link", shown(by(auth.AuditIdentityLinked, john.ID(), auth.ProofWeChat), john.Token()))
		link(http.StatusConflict, jane, w.body(w.mini, w.wei))
		expect("link somebody else's", shown(refused(auth.AuditIdentityLinked, auth.ReasonTaken, jane.ID(), auth.ProofWeChat), jane.Token()))
		want(t, s.Post("/sign_in_with/wechat", object{"app_id": w.mini.ID, "code": "no code"}, tester), http.StatusUnauthorized)
		expect("a code that proves nobody", refused(auth.AuditSignIn, auth.ReasonNoProof, 0, auth.ProofWeChat))

		a := s.Post("/sign_in_with/wechat", w.body(w.mobile, w.wei), tester)
		want(t, a, http.StatusOK)
		expect("sign in with another app of the group", by(auth.AuditIdentityLinked, john.ID(), auth.ProofWeChat),
			began(by(auth.AuditSignIn, john.ID(), auth.ProofWeChat), a.Token()))

		path := identityPath(linked(t, s, john.Token())[w.mini.ID])
		want(t, s.Delete(path, object{"current_password": "a wrong one"}, apitest.Bearing(john.Token()), tester), http.StatusUnprocessableEntity)
		expect("unlink with a wrong password",
			shown(refused(auth.AuditIdentityUnlinked, auth.ReasonWrongPassword, john.ID(), auth.ProofPassword), john.Token()))
		want(t, s.Delete(path, object{"current_password": password}, apitest.Bearing(john.Token()), tester), http.StatusNoContent)
		expect("unlink", shown(by(auth.AuditIdentityUnlinked, john.ID(), auth.ProofPassword), john.Token()))
		testAuditHoldsNothingTyped(t, s, nil, log.all(t))
	})
}

func TestBareUIDIsRefusedWithAnAuditEvent(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{})
	log := auditLog{s: s}
	want(t, s.Post("/sign_in_with/wechat", object{"uid": "openid_1"}, tester), http.StatusUnauthorized)
	got := log.news(t)
	if len(got) != 1 || got[0].Reason != auth.ReasonNoProof || got[0].Proof != auth.ProofBareUID {
		t.Errorf("got %+v, want one refusal", got)
	}
}

// An unknown login is told from others without being kept: neither as it is nor as something that can be tried.
func TestUnknownLoginsAreToldApartAndNotKept(t *testing.T) {
	t.Parallel()
	fingerprints := func(s *apitest.Server) []string {
		log := auditLog{s: s}
		var list []string
		for _, login := range []string{"hunter2", "HUNTER2", "other"} {
			want(t, s.Post("/sign_in", object{"login": login, "password": "whatever"}), http.StatusUnauthorized)
			want(t, s.Post("/reset_password", object{"email": login + "@example.com"}), http.StatusNoContent)
		}
		for _, e := range log.news(t) {
			list = append(list, e.Login)
		}
		return list
	}
	db := dbtest.SQLite(t)
	first := fingerprints(apitest.Start(t, db, apitest.Options{}))
	if len(first) != 6 || first[0] != first[2] || first[1] != first[3] || first[0] == first[4] || first[0] == first[1] || len(first[0]) != 8 {
		t.Errorf("got %v, want pairs for two spellings of a name and an address, and others for others", first)
	}
	if second := fingerprints(apitest.OnSQLite(t, apitest.Options{})); second[0] == first[0] {
		t.Error("got the same fingerprint from another start: the key is known")
	}
	for _, plain := range []string{"hunter2", "hunter2@example.com"} {
		if e := shown(auth.AuditEvent{}, plain); e.Token == first[0] || e.Token == first[1] {
			t.Errorf("the fingerprint of %s is a plain hash", plain)
		}
	}
}

// faultyLog refuses to write while it has a fault.
type faultyLog struct {
	auth.AuditLog
	broken atomic.Bool
	writes atomic.Int64
}

func (f *faultyLog) over(log auth.AuditLog) auth.AuditLog {
	f.AuditLog = log
	return f
}

func (f *faultyLog) AppendAuditEvents(ctx context.Context, events []auth.AuditEvent) error {
	f.writes.Add(1)
	if f.broken.Load() {
		return errors.New("no disk space")
	}
	return f.AuditLog.AppendAuditEvents(ctx, events)
}

// What changes who gets into an account is in the log before the answer leaves; nothing waits for the rest.
func TestLastingFactsAreWrittenBeforeTheyAreAcknowledged(t *testing.T) {
	t.Parallel()
	var faulty faultyLog
	s := apitest.OnSQLite(t, apitest.Options{AuditLog: faulty.over})
	token := signUp(t, s, "john_smith").Token()
	signIn(t, s, "john_smith")
	want(t, s.Post("/sign_in", object{"login": "john_smith", "password": "a wrong one"}), http.StatusUnauthorized)
	if n := faulty.writes.Load(); n != 0 {
		t.Errorf("got %d writes for signing up and in, want none in a request", n)
	}
	change := object{"current_password": password, "password": newPassword, "password_confirmation": newPassword}
	want(t, s.Put("/user/password", change, apitest.Bearing(token)), http.StatusOK)
	list, err := s.Store.ListAuditEvents(t.Context(), auth.AuditFilter{Limit: 10})
	if err != nil || len(list) != 1 || list[0].Kind != auth.AuditPasswordChanged {
		t.Errorf("got %+v and error %v, want the change of password alone before the next flush", list, err)
	}
}

func TestAuditLogThatFailsDelaysAndLosesNothing(t *testing.T) {
	t.Parallel()
	var faulty faultyLog
	s := apitest.OnSQLite(t, apitest.Options{AuditLog: faulty.over})
	log := auditLog{s: s}
	faulty.broken.Store(true)
	token := signUp(t, s, "john_smith").Token()
	change := object{"current_password": password, "password": newPassword, "password_confirmation": newPassword}
	want(t, s.Put("/user/password", change, apitest.Bearing(token)), http.StatusOK)
	s.Settle()
	want(t, s.Post("/sign_in", object{"login": "nobody", "password": password}), http.StatusUnauthorized)
	if got := log.news(t); len(got) > 0 {
		t.Fatalf("got %+v from a log that fails", got)
	}
	faulty.broken.Store(false)
	var kinds []auth.AuditKind
	for _, e := range log.news(t) {
		kinds = append(kinds, e.Kind)
	}
	if diff := cmp.Diff([]auth.AuditKind{auth.AuditSignUp, auth.AuditPasswordChanged, auth.AuditSignIn}, kinds); diff != "" {
		t.Errorf("events after the log works again (-want +got):\n%s", diff)
	}
}

// TestAuditEventsAreBounded: while the log cannot be written memory does not fill up, and what is dropped is counted.
func TestAuditEventsAreBounded(t *testing.T) {
	t.Parallel()
	var faulty faultyLog
	s := apitest.OnSQLite(t, apitest.Options{AuditLog: faulty.over})
	faulty.broken.Store(true)
	const flood, bound = 12_000, 10_000
	for range flood {
		s.Service.Audit(t.Context(), auth.AuditEvent{Kind: auth.AuditRateLimited, Outcome: auth.AuditRefused})
	}
	s.Settle()
	faulty.broken.Store(false)
	log := auditLog{s: s}
	got := 0
	for range 10 { // a flush stops after some seconds, which may be too few for a slow machine
		got += len(log.news(t))
	}
	if got != bound {
		t.Errorf("got %d events, want %d", got, bound)
	}
	stats := s.Service.AuditStats()
	of := stats.Events[auth.AuditKindOutcome{Kind: auth.AuditRateLimited, Outcome: auth.AuditRefused}]
	if of != flood || stats.Dropped != flood-bound {
		t.Errorf("got %d counted and %d dropped, want %d and %d", of, stats.Dropped, flood, flood-bound)
	}
}

func TestOldAuditEventsAreDeleted(t *testing.T) {
	t.Parallel()
	s := apitest.OnSQLite(t, apitest.Options{})
	log := auditLog{s: s}
	signUp(t, s, "john_smith")
	s.CleanUp()
	s.Clock.Advance(apitest.AuditKeep)
	signIn(t, s, "john_smith")
	s.CleanUp()
	if got := log.all(t); len(got) != 2 {
		t.Errorf("got %+v, want both of %v", got, apitest.AuditKeep)
	}
	s.Clock.Advance(time.Microsecond)
	s.CleanUp()
	if got := log.all(t); len(got) != 1 || got[0].Kind != auth.AuditSignIn {
		t.Errorf("got %+v, want the sign-in alone", got)
	}
}
