package storetest

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/internal/auth"
)

// nobody is the id of no user.
const nobody auth.UserID = 1 << 50

func testUsers(t *testing.T, db Database) {
	f := newFixture(t, db)

	t.Run("a new user is what was asked for, by every way to find them", func(t *testing.T) {
		t.Parallel()
		n := f.newUser()
		n.Fullname = "王小明 🧑‍🚀 Zoë"
		n.Avatar = "https://example.com/头像.png?a=1&b='2'"
		n.PhoneNumber = "+86 138-0013-8000"
		n.Language = auth.SimplifiedChinese
		n.Identities = f.identities()
		n.Now = noon.Add(999 * time.Nanosecond) // what is below a microsecond is cut off
		user := f.create(t, n)

		want := auth.User{
			ID:          user.ID,
			Username:    n.Username,
			Email:       n.Email.Address,
			Fullname:    n.Fullname,
			Avatar:      n.Avatar,
			PhoneNumber: n.PhoneNumber,
			Status:      auth.StatusActive,
			Language:    auth.SimplifiedChinese,
			CreatedAt:   noon,
		}
		if user.ID <= 0 {
			t.Errorf("got id %d, want a positive one", user.ID)
		}
		expectUser(t, "CreateUser", user, want)

		ctx := t.Context()
		found, password, err := f.FindUser(ctx, user.ID)
		must(t, "FindUser", err)
		expectUser(t, "FindUser", found, want)
		expectPassword(t, password, n.PasswordHash)

		for _, login := range []auth.Login{{Username: n.Username}, {EmailKey: n.Email.Key}} {
			found, password, err := f.FindLogin(ctx, login)
			must(t, "FindLogin", err)
			expectUser(t, "FindLogin", found, want)
			expectPassword(t, password, n.PasswordHash)
		}

		found, err = f.FindIdentity(ctx, n.Identities[0])
		must(t, "FindIdentity", err)
		expectUser(t, "FindIdentity", found, want)

		session, found, err := f.FindSession(ctx, n.Session.ID)
		must(t, "FindSession", err)
		expectUser(t, "FindSession", found, want)
		n.Session.UserID = user.ID
		if diff := cmp.Diff(n.Session, session, exactly...); diff != "" {
			t.Errorf("the first session (-want +got):\n%s", diff)
		}
	})

	t.Run("what was not given is absent", func(t *testing.T) {
		t.Parallel()
		n := f.newGuest()
		n.Session.Origin = auth.Origin{}
		guest := f.create(t, n)
		expectUser(t, "CreateUser", guest, auth.User{
			ID:             guest.ID,
			Username:       n.Username,
			Email:          n.Username + "@" + PlaceholderDomain,
			EmailGenerated: true,
			Fullname:       n.Username,
			Guest:          true,
			Language:       auth.English,
			CreatedAt:      noon,
		})
		found, password, err := f.FindUser(t.Context(), guest.ID)
		must(t, "FindUser", err)
		expectUser(t, "FindUser", found, guest)
		expectPassword(t, password, "")
		n.Session.UserID = guest.ID
		f.expectSession(t, n.Session)
	})

	t.Run("a generated address leads to the user that it was generated for, and is no other address", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n := f.newGuest()
		guest := f.create(t, n)
		found, _, err := f.FindLogin(ctx, auth.Login{GeneratedFor: n.Username})
		must(t, "FindLogin", err)
		expectUser(t, "FindLogin", found, guest)
		_, _, err = f.FindLogin(ctx, auth.Login{EmailKey: guest.Email})
		expectError(t, "FindLogin by the text of the generated address", err, auth.ErrNotFound)

		n = f.newUser()
		f.create(t, n)
		_, _, err = f.FindLogin(ctx, auth.Login{GeneratedFor: n.Username})
		expectError(t, "FindLogin by the generated address of a user who has a real one", err, auth.ErrNotFound)
	})

	t.Run("the address of a session comes back as it was", func(t *testing.T) {
		t.Parallel()
		user := f.create(t, f.newUser())
		for _, address := range []string{"192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "fe80::1%eth0"} {
			s := f.session(noon)
			s.Origin.Address = netip.MustParseAddr(address)
			_, err := f.CreateSession(t.Context(), auth.SignIn{UserID: user.ID, Session: s})
			must(t, "CreateSession", err)
			s.UserID = user.ID
			f.expectSession(t, s)
		}
	})

	t.Run("nobody is found by what nobody has", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n := f.newUser()
		n.Identities = f.identities()
		user := f.create(t, n)
		_, _, err := f.FindUser(ctx, nobody)
		expectError(t, "FindUser", err, auth.ErrNotFound)
		f.expectNoSession(t, n.Session.ID+1<<40)
		f.expectFree(t, f.username(), f.email(), f.identities())

		for _, login := range []auth.Login{
			{}, {Username: n.Email.Key}, {EmailKey: n.Username}, {EmailKey: n.Email.Address}, {Username: n.Username + " "},
		} {
			_, _, err := f.FindLogin(ctx, login)
			expectError(t, "FindLogin", err, auth.ErrNotFound)
		}
		for _, change := range []func(*auth.Identity){
			func(i *auth.Identity) { i.Provider = "oidc" },
			func(i *auth.Identity) { i.AppID = "" },
			func(i *auth.Identity) { i.Subject += "x" },
		} {
			other := n.Identities[0]
			change(&other)
			f.expectFree(t, "", nil, []auth.Identity{other})
		}
		expectUser(t, "the user beside", f.stateOf(t, user.ID).User, user)
	})

	testTaken(t, f)
	testProfiles(t, f)
	testStatus(t, f)
}

// testTaken is about names that somebody has.
func testTaken(t *testing.T, f fixture) {
	owner, ownerOfEmail := f.newUser(), f.newUser()
	owner.Identities = f.identities()
	owned := f.stateOf(t, f.create(t, owner).ID)
	f.create(t, ownerOfEmail)
	f.create(t, f.newGuest())

	for _, tt := range []struct {
		name   string
		change func(*auth.NewUser)
		want   error
	}{
		{"a username", func(n *auth.NewUser) { n.Username = owner.Username }, &auth.TakenError{Username: true}},
		{"an address", func(n *auth.NewUser) { n.Email = owner.Email }, &auth.TakenError{Email: true}},
		{
			"an address that is written in another way",
			func(n *auth.NewUser) { n.Email = &auth.Email{Address: "USER@example.com", Key: owner.Email.Key} },
			&auth.TakenError{Email: true},
		},
		{
			"username and address",
			func(n *auth.NewUser) { n.Username, n.Email = owner.Username, owner.Email },
			&auth.TakenError{Username: true, Email: true},
		},
		{
			"a username of one user and the address of another",
			func(n *auth.NewUser) { n.Username, n.Email = owner.Username, ownerOfEmail.Email },
			&auth.TakenError{Username: true, Email: true},
		},
		{
			"the username, for a guest",
			func(n *auth.NewUser) { n.Username, n.Email, n.Guest = owner.Username, nil, true },
			&auth.TakenError{Username: true},
		},
		{"an identity", func(n *auth.NewUser) { n.Identities = owner.Identities }, auth.ErrIdentityTaken},
		{"a session's id", func(n *auth.NewUser) { n.Session.ID = owner.Session.ID }, auth.ErrSessionIDTaken},
		{
			"a session's id, with an identity that is free",
			func(n *auth.NewUser) { n.Session.ID, n.Identities = owner.Session.ID, f.identities() },
			auth.ErrSessionIDTaken,
		},
	} {
		t.Run(tt.name+" that is taken creates nothing", func(t *testing.T) {
			t.Parallel()
			n := f.newUser()
			n.Identities = f.identities()
			wanted := n
			tt.change(&n)
			_, err := f.CreateUser(t.Context(), n)
			expectError(t, "CreateUser", err, tt.want)

			f.expectFree(t, wanted.Username, wanted.Email, wanted.Identities)
			if !slices.Equal(n.Identities, owner.Identities) {
				f.expectFree(t, "", nil, n.Identities)
			}
			f.expectNoSession(t, wanted.Session.ID)
			f.expectState(t, owned)
			f.create(t, wanted) // what was free stays free
		})
	}

	t.Run("one subject is several identities at several apps and providers", func(t *testing.T) {
		t.Parallel()
		n := f.newUser()
		n.Identities = f.identities()
		first := f.create(t, n)
		for _, identity := range []auth.Identity{
			{Provider: n.Identities[0].Provider, AppID: "wx0b", Subject: n.Identities[0].Subject},
			{Provider: "oidc", AppID: n.Identities[0].AppID, Subject: n.Identities[0].Subject},
			{Provider: n.Identities[0].Provider, AppID: "", Subject: n.Identities[0].Subject},
		} {
			other := f.newUser()
			other.Identities = []auth.Identity{identity}
			if user := f.create(t, other); user.ID == first.ID {
				t.Errorf("%+v led to the user of %+v", identity, n.Identities[0])
			}
		}
	})

	t.Run("users without an address are many", func(t *testing.T) {
		t.Parallel()
		for range 3 {
			n := f.newUser()
			n.Email = nil
			f.create(t, n)
		}
	})
}

func testProfiles(t *testing.T, f fixture) {
	full := auth.Profile{Fullname: "Old Name", Avatar: "old.png", PhoneNumber: "12345"}
	for _, tt := range []struct {
		name   string
		change auth.ProfileChange
		want   auth.Profile
	}{
		{"nothing changes nothing", auth.ProfileChange{}, full},
		{"a fullname changes the fullname", auth.ProfileChange{Fullname: new("王 🦊")}, auth.Profile{Fullname: "王 🦊", Avatar: "old.png", PhoneNumber: "12345"}},
		{"an avatar changes the avatar", auth.ProfileChange{Avatar: new("new.png")}, auth.Profile{Fullname: "Old Name", Avatar: "new.png", PhoneNumber: "12345"}},
		{"a phone number changes the phone number", auth.ProfileChange{PhoneNumber: new("678")}, auth.Profile{Fullname: "Old Name", Avatar: "old.png", PhoneNumber: "678"}},
		{"an empty avatar clears it", auth.ProfileChange{Avatar: new("")}, auth.Profile{Fullname: "Old Name", PhoneNumber: "12345"}},
		{"an empty phone number clears it", auth.ProfileChange{PhoneNumber: new("")}, auth.Profile{Fullname: "Old Name", Avatar: "old.png"}},
		{
			"everything changes at once",
			auth.ProfileChange{Fullname: new("N"), Avatar: new(""), PhoneNumber: new("9")},
			auth.Profile{Fullname: "N", PhoneNumber: "9"},
		},
	} {
		t.Run("in a profile, "+tt.name, func(t *testing.T) {
			t.Parallel()
			n := f.newUser()
			n.Profile = full
			want := f.stateOf(t, f.create(t, n).ID)
			user, err := f.UpdateProfile(t.Context(), want.User.ID, tt.change)
			must(t, "UpdateProfile", err)
			want.User.Fullname, want.User.Avatar, want.User.PhoneNumber = tt.want.Fullname, tt.want.Avatar, tt.want.PhoneNumber
			expectUser(t, "UpdateProfile", user, want.User)
			f.expectState(t, want)
		})
	}

	t.Run("only an active user has a profile to change", func(t *testing.T) {
		t.Parallel()
		disabled := f.create(t, f.newUser())
		must(t, "SetStatus", f.SetStatus(t.Context(), disabled.ID, auth.StatusDisabled))
		before := f.stateOf(t, disabled.ID)
		for _, id := range []auth.UserID{nobody, disabled.ID} {
			_, err := f.UpdateProfile(t.Context(), id, auth.ProfileChange{Fullname: new("X")})
			expectError(t, "UpdateProfile", err, auth.ErrNotFound)
		}
		f.expectState(t, before)
	})
}

func testStatus(t *testing.T, f fixture) {
	t.Run("a disabled user keeps everything but the way in, and comes back", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n := f.newUser()
		n.Identities = f.identities()
		before := f.stateOf(t, f.create(t, n).ID)
		id := before.User.ID

		disabled := before
		disabled.User.Status = auth.StatusDisabled
		for range 2 {
			must(t, "SetStatus", f.SetStatus(ctx, id, auth.StatusDisabled))
			f.expectState(t, disabled)
		}
		_, user, err := f.FindSession(ctx, n.Session.ID)
		must(t, "FindSession", err)
		expectUser(t, "FindSession", user, disabled.User)
		user, err = f.FindIdentity(ctx, n.Identities[0])
		must(t, "FindIdentity", err)
		expectUser(t, "FindIdentity", user, disabled.User)
		user, _, err = f.FindLogin(ctx, auth.Login{Username: n.Username})
		must(t, "FindLogin", err)
		expectUser(t, "FindLogin", user, disabled.User)

		for _, verified := range []*auth.PasswordHash{nil, &n.PasswordHash} {
			s := f.session(noon)
			_, err := f.CreateSession(ctx, auth.SignIn{UserID: id, Session: s, Verified: verified})
			expectError(t, "CreateSession", err, auth.ErrChanged)
			f.expectNoSession(t, s.ID)
		}

		must(t, "SetStatus", f.SetStatus(ctx, id, auth.StatusActive))
		f.expectState(t, before)
		f.signIn(t, id, noon)
	})

	t.Run("there is no status without a user", func(t *testing.T) {
		t.Parallel()
		for _, status := range []auth.Status{auth.StatusActive, auth.StatusDisabled} {
			expectError(t, "SetStatus", f.SetStatus(t.Context(), nobody, status), auth.ErrNotFound)
		}
	})
}

func expectUser(t *testing.T, what string, got, want auth.User) {
	t.Helper()
	if diff := cmp.Diff(want, got, exactly...); diff != "" {
		t.Errorf("%s: the user (-want +got):\n%s", what, diff)
	}
}

// expectPassword compares the hashes, which print as nothing.
func expectPassword(t *testing.T, got, want auth.PasswordHash) {
	t.Helper()
	if got != want {
		t.Errorf("the password hash is not the expected one (%d bytes, want %d)", len(got), len(want))
	}
}
