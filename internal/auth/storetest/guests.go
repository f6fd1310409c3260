package storetest

import (
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

func testGuests(t *testing.T, db Database) {
	f := newFixture(t, db)

	t.Run("a guest becomes a full user in place", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n := f.newGuest()
		guest := f.create(t, n)
		second := f.signIn(t, guest.ID, noon)
		later := noon.Add(time.Hour)
		up := auth.GuestUpgrade{
			UserID:       guest.ID,
			Username:     f.username(),
			Email:        f.email(),
			Profile:      auth.Profile{Fullname: "王小明", Avatar: "a.png", PhoneNumber: "123"},
			PasswordHash: f.password(),
			Identities:   f.identities(),
			Now:          later,
			Session:      f.session(later),
		}
		user, err := f.UpgradeGuest(ctx, up)
		must(t, "UpgradeGuest", err)

		want := auth.User{
			ID:          guest.ID,
			Username:    up.Username,
			Email:       up.Email.Address,
			Fullname:    "王小明",
			Avatar:      "a.png",
			PhoneNumber: "123",
			Language:    guest.Language,
			CreatedAt:   guest.CreatedAt,
		}
		expectUser(t, "UpgradeGuest", user, want)
		for _, login := range []auth.Login{{Username: up.Username}, {EmailKey: up.Email.Key}} {
			found, password, err := f.FindLogin(ctx, login)
			must(t, "FindLogin", err)
			expectUser(t, "FindLogin", found, want)
			expectPassword(t, password, up.PasswordHash)
		}
		found, err := f.FindIdentity(ctx, up.Identities[0])
		must(t, "FindIdentity", err)
		expectUser(t, "FindIdentity", found, want)

		f.expectNoSession(t, n.Session.ID, second.ID)
		f.expectSessions(t, guest.ID, up.Session.ID)
		up.Session.UserID = guest.ID
		f.expectSession(t, up.Session)
		f.expectFree(t, n.Username, nil, nil)
		n.Session = f.session(noon)
		f.create(t, n) // the generated name is free again

		up.Session, up.Username, up.Email, up.Identities = f.session(later), f.username(), f.email(), f.identities()
		before := f.stateOf(t, guest.ID)
		_, err = f.UpgradeGuest(ctx, up)
		expectError(t, "UpgradeGuest, once more", err, auth.ErrChanged)
		f.expectState(t, before)
		f.expectFree(t, up.Username, up.Email, up.Identities)
	})

	for _, tt := range []struct {
		name  string
		guest auth.Profile // an empty Fullname is the username
		given auth.Profile
		// keepName: the upgrade names no username
		keepName bool
		want     auth.Profile // an empty Fullname is the username after the upgrade
	}{
		{name: "a fullname that was the old username becomes the new one"},
		{name: "a fullname that was the username stays that when the username stays", keepName: true},
		{name: "a fullname of the guest's own stays", guest: auth.Profile{Fullname: "Own"}, want: auth.Profile{Fullname: "Own"}},
		{name: "a given fullname replaces the old username", given: auth.Profile{Fullname: "New"}, want: auth.Profile{Fullname: "New"}},
		{
			name:  "what is given replaces what the guest had",
			guest: auth.Profile{Fullname: "Own", Avatar: "own.png", PhoneNumber: "111"},
			given: auth.Profile{Fullname: "New", Avatar: "new.png", PhoneNumber: "222"},
			want:  auth.Profile{Fullname: "New", Avatar: "new.png", PhoneNumber: "222"},
		},
		{
			name:  "what is not given stays",
			guest: auth.Profile{Fullname: "Own", Avatar: "own.png", PhoneNumber: "111"},
			want:  auth.Profile{Fullname: "Own", Avatar: "own.png", PhoneNumber: "111"},
		},
	} {
		t.Run("of a guest, "+tt.name, func(t *testing.T) {
			t.Parallel()
			n := f.newGuest()
			n.Profile = tt.guest
			if n.Fullname == "" {
				n.Fullname = n.Username
			}
			guest := f.create(t, n)
			up := auth.GuestUpgrade{UserID: guest.ID, Profile: tt.given, Identities: f.identities(), Now: noon, Session: f.session(noon)}
			want := guest
			want.Guest, want.Fullname, want.Avatar, want.PhoneNumber = false, tt.want.Fullname, tt.want.Avatar, tt.want.PhoneNumber
			if !tt.keepName {
				up.Username = f.username()
				want.Username, want.Email = up.Username, up.Username+"@"+PlaceholderDomain
			}
			if want.Fullname == "" {
				want.Fullname = want.Username
			}
			user, err := f.UpgradeGuest(t.Context(), up)
			must(t, "UpgradeGuest", err)
			expectUser(t, "UpgradeGuest", user, want)
			found, password, err := f.FindLogin(t.Context(), auth.Login{GeneratedFor: want.Username})
			must(t, "FindLogin by generated address", err)
			expectUser(t, "FindLogin", found, want)
			expectPassword(t, password, "")
		})
	}

	t.Run("a guest may keep the username that they have", func(t *testing.T) {
		t.Parallel()
		n := f.newGuest()
		guest := f.create(t, n)
		user, err := f.UpgradeGuest(t.Context(), auth.GuestUpgrade{
			UserID: guest.ID, Username: n.Username, Email: f.email(), PasswordHash: f.password(), Now: noon, Session: f.session(noon),
		})
		must(t, "UpgradeGuest", err)
		if user.Username != n.Username {
			t.Errorf("got username %s, want %s", user.Username, n.Username)
		}
	})

	owner := f.newUser()
	owner.Identities = f.identities()
	f.create(t, owner)
	for _, tt := range []struct {
		name   string
		change func(*auth.GuestUpgrade)
		want   error
	}{
		{"a taken username", func(up *auth.GuestUpgrade) { up.Username = owner.Username }, &auth.TakenError{Username: true}},
		{"a taken address", func(up *auth.GuestUpgrade) { up.Email = owner.Email }, &auth.TakenError{Email: true}},
		{
			"a taken username and a taken address",
			func(up *auth.GuestUpgrade) { up.Username, up.Email = owner.Username, owner.Email },
			&auth.TakenError{Username: true, Email: true},
		},
		{"a taken identity", func(up *auth.GuestUpgrade) { up.Identities = owner.Identities }, auth.ErrIdentityTaken},
		{"a taken session id", func(up *auth.GuestUpgrade) { up.Session.ID = owner.Session.ID }, auth.ErrSessionIDTaken},
		{
			"a taken session id and nothing else new",
			func(up *auth.GuestUpgrade) {
				*up = auth.GuestUpgrade{UserID: up.UserID, PasswordHash: up.PasswordHash, Now: noon, Session: owner.Session}
			},
			auth.ErrSessionIDTaken,
		},
	} {
		t.Run(tt.name+" leaves the guest as they were", func(t *testing.T) {
			t.Parallel()
			before := f.stateOf(t, f.create(t, f.newGuest()).ID)
			up := auth.GuestUpgrade{
				UserID: before.User.ID, Username: f.username(), Email: f.email(), PasswordHash: f.password(),
				Identities: f.identities(), Now: noon, Session: f.session(noon),
			}
			wanted := up
			tt.change(&up)
			_, err := f.UpgradeGuest(t.Context(), up)
			expectError(t, "UpgradeGuest", err, tt.want)
			f.expectState(t, before)
			f.expectFree(t, wanted.Username, wanted.Email, wanted.Identities)
			f.expectNoSession(t, wanted.Session.ID)
			_, err = f.UpgradeGuest(t.Context(), wanted)
			must(t, "UpgradeGuest with what is free", err)
		})
	}

	t.Run("only an active guest is upgraded", func(t *testing.T) {
		t.Parallel()
		user, disabled := f.create(t, f.newUser()), f.create(t, f.newGuest())
		must(t, "SetStatus", f.SetStatus(t.Context(), disabled.ID, auth.StatusDisabled))
		for _, id := range []auth.UserID{user.ID, disabled.ID} {
			before := f.stateOf(t, id)
			up := auth.GuestUpgrade{UserID: id, Username: f.username(), Email: f.email(), Now: noon, Session: f.session(noon)}
			_, err := f.UpgradeGuest(t.Context(), up)
			expectError(t, "UpgradeGuest", err, auth.ErrChanged)
			f.expectState(t, before)
			f.expectFree(t, up.Username, up.Email, nil)
			f.expectNoSession(t, up.Session.ID)
		}
		_, err := f.UpgradeGuest(t.Context(), auth.GuestUpgrade{UserID: nobody, Username: f.username(), Now: noon, Session: f.session(noon)})
		expectError(t, "UpgradeGuest of nobody", err, auth.ErrChanged)
	})
}
