package storetest

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ideaegg/latchkey/internal/auth"
)

// testModel makes calls in any order and expects of each what a model in memory says.
func testModel(t *testing.T, db Database) {
	f := newFixture(t, db)
	rapid.Check(t, func(rt *rapid.T) {
		m := newModel(rt, f)
		rt.Repeat(map[string]func(*rapid.T){
			"CreateUser":          m.createUser,
			"UpgradeGuest":        m.upgradeGuest,
			"CreateSession":       m.createSession,
			"TouchSessions":       m.touchSessions,
			"RevokeSession":       m.revokeSession,
			"RevokeOtherSessions": m.revokeOtherSessions,
			"ChangePassword":      m.changePassword,
			"UpdateProfile":       m.updateProfile,
			"SetStatus":           m.setStatus,
			"DeleteUser":          m.deleteUser,
			"CleanUp":             m.cleanUp,
		})
		m.compare(rt)
	})
}

// model is what a store should hold, kept in the simplest way. It knows few names, so that they meet often.
type model struct {
	f         fixture
	usernames []string
	emails    []*auth.Email // nil: generated
	passwords []auth.PasswordHash

	users    map[auth.UserID]*modelUser
	sessions map[auth.SessionID]auth.Session
}

type modelUser struct {
	auth.User
	password   auth.PasswordHash
	emailKey   string
	signedInAt time.Time
	deletedAt  time.Time
}

func newModel(rt *rapid.T, f fixture) *model {
	m := &model{
		f:         f,
		emails:    []*auth.Email{nil, f.email(), f.email(), f.email()},
		passwords: []auth.PasswordHash{"", f.password(), f.password()},
		users:     make(map[auth.UserID]*modelUser),
		sessions:  make(map[auth.SessionID]auth.Session),
	}
	for range 4 {
		m.usernames = append(m.usernames, f.username())
	}
	m.createUser(rt) // so that there is somebody to do something with
	return m
}

// The draws.

func (m *model) username(rt *rapid.T) string {
	return rapid.SampledFrom(m.usernames).Draw(rt, "username")
}

func (m *model) email(rt *rapid.T) *auth.Email { return rapid.SampledFrom(m.emails).Draw(rt, "email") }

func (m *model) password(rt *rapid.T) auth.PasswordHash {
	return m.passwords[rapid.IntRange(0, len(m.passwords)-1).Draw(rt, "password")]
}

// newPassword is one that a user can change to.
func (m *model) newPassword(rt *rapid.T) auth.PasswordHash {
	return m.passwords[rapid.IntRange(1, len(m.passwords)-1).Draw(rt, "new password")]
}

// now is some minute of an hour.
func (m *model) now(rt *rapid.T) time.Time {
	return noon.Add(time.Duration(rapid.IntRange(0, 60).Draw(rt, "minute")) * time.Minute)
}

// user is somebody who is, was, or never was.
func (m *model) user(rt *rapid.T) auth.UserID {
	ids := slices.Sorted(maps.Keys(m.users))
	return rapid.SampledFrom(append(ids, nobody)).Draw(rt, "user")
}

// session is one that is there, or never was.
func (m *model) session(rt *rapid.T) auth.SessionID {
	ids := slices.Sorted(maps.Keys(m.sessions))
	return rapid.SampledFrom(append(ids, nobodys)).Draw(rt, "session")
}

// newSession begins at now and ends within the hour after. Now and then it has the id of another one.
func (m *model) newSession(rt *rapid.T, now time.Time) auth.Session {
	s := m.f.session(now)
	s.ExpiresAt = now.Add(time.Duration(rapid.IntRange(1, 60).Draw(rt, "life")) * time.Minute)
	if taken := m.session(rt); taken != nobodys && rapid.IntRange(0, 9).Draw(rt, "collision") == 0 {
		s.ID = taken
	}
	return s
}

// The calls. Each first works out what is to happen, then lets the store do it.

// taken says what keeps user from having these.
func (m *model) taken(self auth.UserID, username string, email *auth.Email, session auth.SessionID) error {
	var taken auth.TakenError
	for id, u := range m.users {
		taken.Username = taken.Username || id != self && u.Username == username
		taken.Email = taken.Email || id != self && email != nil && u.emailKey == email.Key
	}
	if taken != (auth.TakenError{}) {
		return &taken
	}
	if s, ok := m.sessions[session]; ok && s.UserID != self {
		return auth.ErrSessionIDTaken
	}
	return nil
}

// active is the user if they may do anything.
func (m *model) active(id auth.UserID) *modelUser {
	if u := m.users[id]; u != nil && u.Status == auth.StatusActive {
		return u
	}
	return nil
}

func (m *model) endSessions(user auth.UserID, except auth.SessionID) {
	maps.DeleteFunc(m.sessions, func(id auth.SessionID, s auth.Session) bool { return s.UserID == user && id != except })
}

func (m *model) begin(user auth.UserID, s auth.Session) {
	s.UserID = user
	m.sessions[s.ID] = s
}

func (u *modelUser) setNames(username string, email *auth.Email) {
	u.Username = username
	u.Email, u.EmailGenerated, u.emailKey = username+"@"+PlaceholderDomain, true, ""
	if email != nil {
		u.Email, u.EmailGenerated, u.emailKey = email.Address, false, email.Key
	}
}

func (m *model) createUser(rt *rapid.T) {
	now := m.now(rt)
	n := auth.NewUser{
		Username: m.username(rt), Email: m.email(rt), PasswordHash: m.password(rt), Guest: rapid.Bool().Draw(rt, "guest"),
		Language: auth.English, Now: now, Session: m.newSession(rt, now),
	}
	n.Fullname = n.Username
	if n.Guest {
		n.Email, n.PasswordHash = nil, ""
	}
	want := m.taken(0, n.Username, n.Email, n.Session.ID)
	user, err := m.f.CreateUser(rt.Context(), n)
	expect(rt, err, want)
	if want != nil {
		return
	}
	if m.users[user.ID] != nil {
		rt.Fatalf("id %d was given out before", user.ID)
	}
	u := &modelUser{
		User:       auth.User{ID: user.ID, Fullname: n.Fullname, Guest: n.Guest, Language: n.Language, CreatedAt: now},
		password:   n.PasswordHash,
		signedInAt: now,
	}
	u.setNames(n.Username, n.Email)
	m.users[user.ID] = u
	m.begin(user.ID, n.Session)
	expectSame(rt, "CreateUser", user, u.User)
}

func (m *model) upgradeGuest(rt *rapid.T) {
	now := m.now(rt)
	up := auth.GuestUpgrade{
		UserID: m.user(rt), Username: m.username(rt), Email: m.email(rt), PasswordHash: m.password(rt), Now: now, Session: m.newSession(rt, now),
	}
	if rapid.Bool().Draw(rt, "keep the username") {
		up.Username = ""
	}
	u := m.active(up.UserID)
	want := error(auth.ErrChanged)
	if u != nil && u.Guest {
		want = m.taken(up.UserID, up.Username, up.Email, up.Session.ID)
	}
	user, err := m.f.UpgradeGuest(rt.Context(), up)
	expect(rt, err, want)
	if want != nil {
		return
	}
	old := u.Username
	if up.Username == "" {
		up.Username = old
	}
	u.setNames(up.Username, up.Email)
	if u.Fullname == old {
		u.Fullname = u.Username
	}
	u.Guest, u.password, u.signedInAt = false, up.PasswordHash, now
	m.endSessions(u.ID, 0)
	m.begin(u.ID, up.Session)
	expectSame(rt, "UpgradeGuest", user, u.User)
}

func (m *model) createSession(rt *rapid.T) {
	now := m.now(rt)
	in := auth.SignIn{UserID: m.user(rt), Session: m.newSession(rt, now)}
	if rapid.Bool().Draw(rt, "with a password") {
		in.Verified = new(m.password(rt))
		if rapid.Bool().Draw(rt, "rehash") {
			in.Rehashed = m.newPassword(rt)
		}
	}
	u := m.active(in.UserID)
	var want error
	_, collides := m.sessions[in.Session.ID]
	switch {
	case u == nil, in.Verified != nil && (u.password == "" || u.password != *in.Verified):
		want = auth.ErrChanged
	case collides:
		want = auth.ErrSessionIDTaken
	}
	user, err := m.f.CreateSession(rt.Context(), in)
	expect(rt, err, want)
	if want != nil {
		return
	}
	if in.Rehashed != "" {
		u.password = in.Rehashed
	}
	u.signedInAt = now
	m.begin(u.ID, in.Session)
	expectSame(rt, "CreateSession", user, u.User)
}

func (m *model) touchSessions(rt *rapid.T) {
	used := m.now(rt)
	use := auth.SessionUse{ID: m.session(rt), UsedAt: used, ExpiresAt: used.Add(time.Hour)}
	expect(rt, m.f.TouchSessions(rt.Context(), []auth.SessionUse{use}), nil)
	if s, ok := m.sessions[use.ID]; ok && used.After(s.LastUsedAt) {
		s.LastUsedAt, s.ExpiresAt = use.UsedAt, use.ExpiresAt
		m.sessions[use.ID] = s
	}
}

func (m *model) revokeSession(rt *rapid.T) {
	user, id := m.user(rt), m.session(rt)
	want := error(auth.ErrNotFound)
	if s, ok := m.sessions[id]; ok && s.UserID == user {
		m.noteGuestSeen(user)
		want = nil
		delete(m.sessions, id)
	}
	expect(rt, m.f.RevokeSession(rt.Context(), user, id), want)
}

func (m *model) revokeOtherSessions(rt *rapid.T) {
	user, keep := m.user(rt), m.session(rt)
	m.noteGuestSeen(user)
	m.endSessions(user, keep)
	expect(rt, m.f.RevokeOtherSessions(rt.Context(), user, keep), nil)
}

func (m *model) changePassword(rt *rapid.T) {
	now := m.now(rt)
	c := auth.PasswordChange{
		UserID: m.user(rt), Verified: m.password(rt), New: m.newPassword(rt), Now: now, Session: m.newSession(rt, now),
	}
	u := m.active(c.UserID)
	want := error(auth.ErrChanged)
	if u != nil && !u.Guest && u.password == c.Verified {
		want = m.taken(c.UserID, "", nil, c.Session.ID)
	}
	user, err := m.f.ChangePassword(rt.Context(), c)
	expect(rt, err, want)
	if want != nil {
		return
	}
	u.password, u.signedInAt = c.New, now
	m.endSessions(u.ID, 0)
	m.begin(u.ID, c.Session)
	expectSame(rt, "ChangePassword", user, u.User)
}

func (m *model) updateProfile(rt *rapid.T) {
	id := m.user(rt)
	text := rapid.Ptr(rapid.SampledFrom([]string{"", "a", "ß", "王"}), true)
	change := auth.ProfileChange{
		Fullname: rapid.Ptr(rapid.SampledFrom([]string{"Zoë", "王小明"}), true).Draw(rt, "fullname"),
		Avatar:   text.Draw(rt, "avatar"), PhoneNumber: text.Draw(rt, "phone number"),
	}
	user, err := m.f.UpdateProfile(rt.Context(), id, change)
	u := m.active(id)
	if u == nil {
		expect(rt, err, auth.ErrNotFound)
		return
	}
	expect(rt, err, nil)
	for _, c := range []struct{ to, from *string }{
		{&u.Fullname, change.Fullname}, {&u.Avatar, change.Avatar}, {&u.PhoneNumber, change.PhoneNumber},
	} {
		if c.from != nil {
			*c.to = *c.from
		}
	}
	expectSame(rt, "UpdateProfile", user, u.User)
}

func (m *model) setStatus(rt *rapid.T) {
	id := m.user(rt)
	status := rapid.SampledFrom([]auth.Status{auth.StatusActive, auth.StatusDisabled}).Draw(rt, "status")
	err := m.f.SetStatus(rt.Context(), id, status)
	u := m.users[id]
	if u == nil || u.Status == auth.StatusDeleted {
		expect(rt, err, auth.ErrNotFound)
		return
	}
	expect(rt, err, nil)
	u.Status = status
}

func (m *model) deleteUser(rt *rapid.T) {
	id, verified, now := m.user(rt), m.password(rt), m.now(rt)
	err := m.f.DeleteUser(rt.Context(), id, verified, now)
	u := m.active(id)
	if u == nil || u.password != verified {
		expect(rt, err, auth.ErrChanged)
		return
	}
	expect(rt, err, nil)
	*u = modelUser{User: auth.User{ID: id, Username: u.Username, Status: auth.StatusDeleted}, deletedAt: now}
	m.endSessions(id, 0)
}

func (m *model) cleanUp(rt *rapid.T) {
	due := auth.Due{Now: m.now(rt), GuestsBefore: m.now(rt), DeletedBefore: m.now(rt)}
	_, err := m.f.CleanUp(rt.Context(), due, 1_000_000) // rows of earlier checks go too, so their number says nothing
	expect(rt, err, nil)
	maps.DeleteFunc(m.sessions, func(_ auth.SessionID, s auth.Session) bool {
		expired := !s.ExpiresAt.After(due.Now)
		if u := m.users[s.UserID]; expired && u.Guest && s.LastUsedAt.After(u.signedInAt) {
			u.signedInAt = s.LastUsedAt
		}
		return expired
	})
	signedIn := make(map[auth.UserID]time.Time) // when the guest was seen last, or as if
	for _, s := range m.sessions {
		for _, at := range []time.Time{s.LastUsedAt, s.ExpiresAt.Add(due.GuestsBefore.Sub(due.Now))} {
			if at.After(signedIn[s.UserID]) {
				signedIn[s.UserID] = at
			}
		}
	}
	maps.DeleteFunc(m.users, func(id auth.UserID, u *modelUser) bool {
		isDue := u.Guest && !u.signedInAt.After(due.GuestsBefore)
		if at, ok := signedIn[id]; ok && isDue {
			u.signedInAt, isDue = at, false
		}
		return isDue || u.Status == auth.StatusDeleted && !u.deletedAt.After(due.DeletedBefore)
	})
}

// noteGuestSeen is what the end of a session does to the clean-up of a guest.
func (m *model) noteGuestSeen(user auth.UserID) {
	for _, s := range m.sessions {
		if u := m.users[user]; s.UserID == user && u.Guest && s.LastUsedAt.After(u.signedInAt) {
			u.signedInAt = s.LastUsedAt
		}
	}
}

// compare fails the check unless every look-up finds what the model holds.
func (m *model) compare(rt *rapid.T) {
	for id, u := range m.users {
		user, password, err := m.f.FindUser(rt.Context(), id)
		if u.Status == auth.StatusDeleted {
			expect(rt, err, auth.ErrNotFound)
			continue
		}
		expect(rt, err, nil)
		expectSame(rt, "FindUser", user, u.User)
		if password != u.password {
			rt.Errorf("user %d has another password", id)
		}
		var want []auth.Session
		for _, s := range m.sessions {
			if s.UserID == id && s.ExpiresAt.After(noon) {
				want = append(want, s)
			}
		}
		slices.SortFunc(want, func(a, b auth.Session) int { return int(b.ID - a.ID) })
		list, err := m.f.ListSessions(rt.Context(), id, noon)
		expect(rt, err, nil)
		expectSame(rt, fmt.Sprintf("ListSessions of user %d", id), list, want)
	}
	for id, s := range m.sessions {
		session, user, err := m.f.FindSession(rt.Context(), id)
		expect(rt, err, nil)
		expectSame(rt, "FindSession", session, s)
		expectSame(rt, "FindSession", user, m.users[s.UserID].User)
	}
	for _, name := range m.usernames {
		m.expectLogin(rt, auth.Login{Username: name}, func(u *modelUser) bool { return u.Username == name })
		m.expectLogin(rt, auth.Login{GeneratedFor: name}, func(u *modelUser) bool { return u.Username == name && u.EmailGenerated })
	}
	for _, email := range m.emails[1:] {
		m.expectLogin(rt, auth.Login{EmailKey: email.Key}, func(u *modelUser) bool { return u.emailKey == email.Key })
	}
}

func (m *model) expectLogin(rt *rapid.T, login auth.Login, is func(*modelUser) bool) {
	user, _, err := m.f.FindLogin(rt.Context(), login)
	for _, u := range m.users {
		if u.Status != auth.StatusDeleted && is(u) {
			expect(rt, err, nil)
			expectSame(rt, "FindLogin", user, u.User)
			return
		}
	}
	expect(rt, err, auth.ErrNotFound)
}

func expect(rt *rapid.T, err, want error) {
	rt.Helper()
	expectError(rt, "the store", err, want)
}

func expectSame(rt *rapid.T, what string, got, want any) {
	rt.Helper()
	if diff := cmp.Diff(want, got, exactly...); diff != "" {
		rt.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}
