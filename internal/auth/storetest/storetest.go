// Package storetest is what auth.Store promises, as tests that every engine must pass.
package storetest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/mail"
)

// PlaceholderDomain is that of every store under test.
const PlaceholderDomain = "ideaegg.me"

// Store is what an engine is: the storage, the limits and the audit log of package auth, the outbox of package mail, what commands ask
// for, and an end.
type Store interface {
	auth.Store
	auth.Identities
	auth.AppTokenStore
	auth.Handovers
	auth.AuditLog
	auth.Limits
	auth.Codes
	auth.SignUps
	mail.Outbox
	// CountUnusedGuests returns how many guests have no live session and were not seen for so long.
	CountUnusedGuests(context.Context, auth.Pruning) (int64, error)
	// PruneGuests deletes them in batches, of which it tells progress, and returns how many it deleted, also with an error.
	// Whoever comes back meanwhile is left alone.
	PruneGuests(ctx context.Context, p auth.Pruning, progress func(deleted int64)) (int64, error)
	// ListAuditEvents returns the newest events that the filter chooses, oldest first.
	ListAuditEvents(context.Context, auth.AuditFilter) ([]auth.AuditEvent, error)
	// Close ends the store. Every later call returns auth.ErrUnavailable.
	Close() error
}

// Database opens a store on one and the same database, as often as it is called: one node after another that starts
// beside those that are open, or the same one again.
type Database func(t *testing.T) Store

// Run tests the engine that create makes new, empty databases of. It calls create for each group of tests.
func Run(t *testing.T, create func(t *testing.T) Database) {
	groups := []struct {
		name string
		test func(t *testing.T, db Database)
	}{
		{"users", testUsers},
		{"deleted users", testDeletedUsers},
		{"guests", testGuests},
		{"identities", testIdentities},
		{"sessions", testSessions},
		{"passwords", testPasswords},
		{"one-time tokens", testOneTimeTokens},
		{"e-mail addresses", testEmailAddresses},
		{"mail", testMail},
		{"access tokens of apps", testAppTokens},
		{"handovers", testHandovers},
		{"audit events", testAudit},
		{"wrong guesses", testGuesses},
		{"mail limits", testMailLimits},
		{"pending sign-ups", testSignUps},
		{"clean-up", testCleanUp},
		{"clean-up of guests in use", testGuestsInUse},
		{"races", testRaces},
		{"restarts", testRestarts},
		{"any order of calls", testModel},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			g.test(t, create(t))
		})
	}
}

// noon is when the tests happen: long ago, so that what a store dates by a clock of its own is later than all of it.
// It has microseconds, which is what is kept of a time.
var noon = time.Date(2015, time.June, 6, 12, 0, 0, 123456000, time.UTC)

// distant is later than everything else that the tests do, and long ago too.
var distant = noon.AddDate(10, 0, 0)

// fixture is a store with what tests fill it with. What it makes has names and ids that nothing else in its database
// has, so that tests that look at nothing but their own users can share one.
type fixture struct {
	Store

	serial *atomic.Int64
}

func newFixture(t *testing.T, db Database) fixture {
	t.Helper()
	return fixture{Store: open(t, db), serial: new(atomic.Int64)}
}

// open opens a store that is closed when the test ends.
func open(t *testing.T, db Database) Store {
	t.Helper()
	s := db(t)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// on is the fixture with another store on the same database.
func (f fixture) on(s Store) fixture {
	f.Store = s
	return f
}

func (f fixture) next() int64 { return f.serial.Add(1) }

func (f fixture) username() string { return fmt.Sprintf("user%d", f.next()) }

// email returns an address with a key that differs from it.
func (f fixture) email() *auth.Email {
	n := f.next()
	return &auth.Email{Address: fmt.Sprintf("User%d@Example.com", n), Key: fmt.Sprintf("user%d@example.com", n)}
}

func (f fixture) identities() []auth.Identity {
	return []auth.Identity{{Provider: "wechat", AppID: "wx0a", Subject: fmt.Sprintf("oFirst-Openid_%d", f.next())}}
}

// password returns the hash of a password that nobody else has. A store looks at no more than its letters.
func (f fixture) password() auth.PasswordHash {
	return auth.PasswordHash(fmt.Sprintf("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$%022d", f.next()))
}

func (f fixture) hash() auth.TokenHash {
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(f.next())))
}

// session returns a session that begins at now and lasts for a day. Later ones have greater ids.
func (f fixture) session(now time.Time) auth.Session {
	n := f.next()
	return auth.Session{
		ID:         auth.SessionID(1<<45 + n),
		TokenHash:  sha256.Sum256(binary.BigEndian.AppendUint64([]byte("session"), uint64(n))),
		CreatedAt:  now,
		LastUsedAt: now,
		ExpiresAt:  now.Add(24 * time.Hour),
		Origin:     auth.Origin{Address: netip.MustParseAddr("2001:db8::7"), UserAgent: "Ümlaut/1.0 (测试)"},
	}
}

// newUser is a full user with a password and an address.
func (f fixture) newUser() auth.NewUser {
	name := f.username()
	return auth.NewUser{
		Username:     name,
		Email:        f.email(),
		Profile:      auth.Profile{Fullname: name},
		PasswordHash: f.password(),
		Language:     auth.English,
		Now:          noon,
		Session:      f.session(noon),
	}
}

// newGuest is a user with nothing but a session.
func (f fixture) newGuest() auth.NewUser {
	name := f.username()
	return auth.NewUser{
		Username: name,
		Profile:  auth.Profile{Fullname: name},
		Guest:    true,
		Language: auth.English,
		Now:      noon,
		Session:  f.session(noon),
	}
}

// guestKey returns a key that nobody else has. It expires a day after noon.
func (f fixture) guestKey() *auth.GuestKey {
	return &auth.GuestKey{Hash: f.hash(), ExpiresAt: noon.Add(24 * time.Hour)}
}

// token is a one-time token of the user, issued at noon for half an hour, for a message of its own, which waits for its
// time beyond everything that tests do.
func (f fixture) token(t *testing.T, user auth.UserID, email *auth.Email) auth.OneTimeToken {
	t.Helper()
	m := f.message(auth.MailResetPassword, 0, fmt.Sprintf("carrier%d", f.next()))
	m.QueuedAt, m.NotAfter = distant.AddDate(10, 0, 0), distant.AddDate(20, 0, 0)
	id, err := f.QueueMail(t.Context(), m)
	must(t, "QueueMail", err)
	token := f.unsent(user, email)
	token.MessageID = id
	return token
}

// unsent is a token without a message.
func (f fixture) unsent(user auth.UserID, email *auth.Email) auth.OneTimeToken {
	return auth.OneTimeToken{
		UserID:    user,
		Purpose:   auth.PurposeResetPassword,
		Address:   email.Address,
		EmailKey:  email.Key,
		TokenHash: f.hash(),
		CodeHash:  f.hash(),
		IssuedAt:  noon,
		ExpiresAt: noon.Add(30 * time.Minute),
	}
}

// message is a message to the user that is due at noon.
func (f fixture) message(kind auth.MailKind, user auth.UserID, recipient string) auth.OutboxMessage {
	return auth.OutboxMessage{
		Kind:      kind,
		UserID:    user,
		Recipient: recipient,
		Origin: auth.Origin{
			Address:   netip.MustParseAddr("192.0.2.9"),
			UserAgent: "Ümlaut/1.0 (测试)",
			Language:  auth.SimplifiedChinese,
		},
		QueuedAt: noon,
		NotAfter: noon.Add(30 * time.Minute),
	}
}

// create creates the user.
func (f fixture) create(t *testing.T, n auth.NewUser) auth.User {
	t.Helper()
	user, err := f.CreateUser(t.Context(), n)
	must(t, "CreateUser", err)
	return user
}

// signIn creates a session of the user, without a password, and returns it as the store has it.
func (f fixture) signIn(t *testing.T, user auth.UserID, now time.Time) auth.Session {
	t.Helper()
	s := f.session(now)
	_, err := f.CreateSession(t.Context(), auth.SignIn{UserID: user, Session: s})
	must(t, "CreateSession", err)
	s.UserID = user
	return s
}

// issue issues the token and returns it as the store has it.
func (f fixture) issue(t *testing.T, issued auth.OneTimeToken) auth.OneTimeToken {
	t.Helper()
	must(t, "IssueOneTimeToken", f.IssueOneTimeToken(t.Context(), issued))
	found, _, err := f.FindOneTimeToken(t.Context(), issued.Purpose, issued.TokenHash, issued.IssuedAt)
	must(t, "FindOneTimeToken", err)
	issued.ID = found.ID
	if diff := cmp.Diff(issued, found, exactly...); diff != "" {
		t.Errorf("the token that was issued (-want +got):\n%s", diff)
	}
	return found
}

// state is all that a store tells of one user.
type state struct {
	User     auth.User
	Password auth.PasswordHash
	Sessions []auth.Session
}

// stateOf returns what the store tells of the user, with those sessions that live at noon or later.
func (f fixture) stateOf(t *testing.T, id auth.UserID) state {
	t.Helper()
	user, password, err := f.FindUser(t.Context(), id)
	must(t, "FindUser", err)
	sessions, err := f.ListSessions(t.Context(), id, noon)
	must(t, "ListSessions", err)
	return state{user, password, sessions}
}

// expectState fails the test unless the user is what they were.
func (f fixture) expectState(t *testing.T, want state) {
	t.Helper()
	if diff := cmp.Diff(want, f.stateOf(t, want.User.ID), exactly...); diff != "" {
		t.Errorf("the user is not what they were (-want +got):\n%s", diff)
	}
}

// expectSessions fails the test unless these are the user's sessions that live at noon or later, newest first.
func (f fixture) expectSessions(t *testing.T, user auth.UserID, want ...auth.SessionID) {
	t.Helper()
	list, err := f.ListSessions(t.Context(), user, noon)
	must(t, "ListSessions", err)
	if diff := cmp.Diff(want, sessionIDs(list), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("sessions of user %d (-want +got):\n%s", user, diff)
	}
}

// expectSession fails the test unless the session is exactly this.
func (f fixture) expectSession(t *testing.T, want auth.Session) {
	t.Helper()
	got, user, err := f.FindSession(t.Context(), want.ID)
	must(t, "FindSession", err)
	if diff := cmp.Diff(want, got, exactly...); diff != "" {
		t.Errorf("FindSession (-want +got):\n%s", diff)
	}
	if user.ID != want.UserID {
		t.Errorf("FindSession: got user %d, want %d", user.ID, want.UserID)
	}
}

// expectNoSession fails the test if there is a session with one of these ids.
func (f fixture) expectNoSession(t *testing.T, ids ...auth.SessionID) {
	t.Helper()
	for _, id := range ids {
		_, _, err := f.FindSession(t.Context(), id)
		expectError(t, "FindSession", err, auth.ErrNotFound)
	}
}

// expectToken fails the test unless the token can be used at noon, or cannot.
func (f fixture) expectToken(t *testing.T, token auth.OneTimeToken, want error) {
	t.Helper()
	_, _, err := f.FindOneTimeToken(t.Context(), token.Purpose, token.TokenHash, noon)
	expectError(t, "FindOneTimeToken", err, want)
}

// expectFree fails the test if the username, the address or the identity leads to anybody.
func (f fixture) expectFree(t *testing.T, username string, email *auth.Email, identities []auth.Identity) {
	t.Helper()
	ctx := t.Context()
	if username != "" {
		_, _, err := f.FindLogin(ctx, auth.Login{Username: username})
		expectError(t, "FindLogin by username", err, auth.ErrNotFound)
		_, _, err = f.FindLogin(ctx, auth.Login{GeneratedFor: username})
		expectError(t, "FindLogin by generated address", err, auth.ErrNotFound)
	}
	if email != nil {
		_, _, err := f.FindLogin(ctx, auth.Login{EmailKey: email.Key})
		expectError(t, "FindLogin by address", err, auth.ErrNotFound)
	}
	for _, identity := range identities {
		_, err := f.FindIdentity(ctx, identity)
		expectError(t, "FindIdentity", err, auth.ErrNotFound)
	}
}

// queued returns the messages that wait for one of the recipients, oldest first. Its lease ends at once, so that
// looking changes nothing but the number of attempts.
func (f fixture) queued(t *testing.T, recipients ...string) []auth.OutboxMessage {
	t.Helper()
	list, err := f.LeaseMail(t.Context(), distant, distant, 1_000_000)
	must(t, "LeaseMail", err)
	list = slices.DeleteFunc(list, func(m auth.OutboxMessage) bool { return !slices.Contains(recipients, m.Recipient) })
	slices.SortFunc(list, func(a, b auth.OutboxMessage) int { return int(a.ID - b.ID) })
	return list
}

// expectQueued fails the test unless these messages wait for the recipients, oldest first.
func (f fixture) expectQueued(t *testing.T, recipients []string, want ...auth.OutboxMessage) {
	t.Helper()
	if diff := cmp.Diff(want, f.queued(t, recipients...), sameMessage...); diff != "" {
		t.Errorf("messages to %v (-want +got):\n%s", recipients, diff)
	}
}

// queue puts the message into the outbox.
func (f fixture) queue(t *testing.T, m auth.OutboxMessage) auth.OutboxMessage {
	t.Helper()
	_, err := f.QueueMail(t.Context(), m)
	must(t, "QueueMail", err)
	return m
}

// exactly compares times to the nanosecond and with their zone: what is UTC must come back as UTC.
var exactly = cmp.Options{
	cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) && a.Location() == b.Location() }),
	cmpopts.EquateComparable(netip.Addr{}),
	cmpopts.EquateEmpty(),
}

// sameMessage is exactly, but for what the outbox adds to a message.
var sameMessage = append(cmp.Options{cmpopts.IgnoreFields(auth.OutboxMessage{}, "ID", "Attempts")}, exactly...)

func sessionIDs(list []auth.Session) []auth.SessionID {
	ids := make([]auth.SessionID, len(list))
	for i, s := range list {
		ids[i] = s.ID
	}
	return ids
}

func must(t rapid.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// expectError fails the test unless err is want; a *auth.TakenError must also name the same.
func expectError(t rapid.TB, what string, err, want error) {
	t.Helper()
	wantTaken, ok := errors.AsType[*auth.TakenError](want)
	if !ok {
		if !errors.Is(err, want) {
			t.Errorf("%s: got error %v, want %v", what, err, want)
		}
		return
	}
	taken, ok := errors.AsType[*auth.TakenError](err)
	if !ok || *taken != *wantTaken {
		t.Errorf("%s: got error %v (%+v), want %+v", what, err, taken, wantTaken)
	}
}

// inParallel calls f with 0 to n-1 at once and returns the errors.
func inParallel(n int, f func(i int) error) []error {
	errs := make([]error, n)
	var group sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		group.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	group.Wait()
	return errs
}
