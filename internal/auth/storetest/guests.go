package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

func testGuests(t *testing.T, db Database) {
	f := newFixture(t, db)
	testUpgrades(t, f)
	testGuestKeys(t, f)
	testPruning(t, f)
}

func testUpgrades(t *testing.T, f fixture) {
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

// expectKeyOf fails the test unless the error says that the key has made this guest.
func expectKeyOf(t *testing.T, err error, guest auth.UserID) {
	t.Helper()
	if used, ok := errors.AsType[*auth.GuestKeyUsedError](err); !ok || used.UserID != guest {
		t.Errorf("CreateUser: got error %v, want that the key has made user %d", err, guest)
	}
}

func testGuestKeys(t *testing.T, f fixture) {
	// again is another guest that is to be made with the same key at some time.
	again := func(key *auth.GuestKey, at time.Time) auth.NewUser {
		n := f.newGuest()
		n.Key = &auth.GuestKey{Hash: key.Hash, ExpiresAt: at.Add(24 * time.Hour)}
		n.Now, n.Session = at, f.session(at)
		return n
	}

	t.Run("a key makes one guest until it expires, and then another one", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		first := f.newGuest()
		first.Key = f.guestKey()
		guest := f.create(t, first)
		for _, at := range []time.Time{noon, noon.Add(24*time.Hour - time.Microsecond)} {
			n := again(first.Key, at)
			_, err := f.CreateUser(ctx, n)
			expectKeyOf(t, err, guest.ID)
			f.expectFree(t, n.Username, nil, nil)
			f.expectNoSession(t, n.Session.ID)
		}
		f.expectSessions(t, guest.ID, first.Session.ID)

		at := noon.Add(24 * time.Hour)
		second := f.create(t, again(first.Key, at))
		if second.ID == guest.ID {
			t.Error("got the same guest, want another one")
		}
		_, err := f.CreateUser(ctx, again(first.Key, at))
		expectKeyOf(t, err, second.ID)
	})

	t.Run("a guest who could not be made leaves the key unused", func(t *testing.T) {
		t.Parallel()
		taken, n := f.newGuest(), f.newGuest()
		f.create(t, taken)
		n.Key = f.guestKey()
		n.Username = taken.Username
		_, err := f.CreateUser(t.Context(), n)
		expectError(t, "CreateUser", err, &auth.TakenError{Username: true})
		n.Username, n.Session.ID = f.username(), taken.Session.ID
		_, err = f.CreateUser(t.Context(), n)
		expectError(t, "CreateUser", err, auth.ErrSessionIDTaken)
		n.Session = f.session(noon)
		f.create(t, n)
	})

	t.Run("a guest gets further sessions, and nobody who is none any more", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n := f.newGuest()
		guest := f.create(t, n)
		signIn := func() (auth.SessionID, error) {
			s := f.session(noon)
			_, err := f.CreateSession(ctx, auth.SignIn{UserID: guest.ID, Session: s, GuestOnly: true})
			return s.ID, err
		}
		second, err := signIn()
		must(t, "CreateSession", err)
		f.expectSessions(t, guest.ID, second, n.Session.ID)

		must(t, "SetStatus", f.SetStatus(ctx, guest.ID, auth.StatusDisabled))
		_, err = signIn()
		expectError(t, "CreateSession of a disabled guest", err, auth.ErrChanged)
		must(t, "SetStatus", f.SetStatus(ctx, guest.ID, auth.StatusActive))
		up := auth.GuestUpgrade{UserID: guest.ID, Identities: f.identities(), Now: noon, Session: f.session(noon)}
		_, err = f.UpgradeGuest(ctx, up)
		must(t, "UpgradeGuest", err)
		_, err = signIn()
		expectError(t, "CreateSession of a full user", err, auth.ErrChanged)
		f.expectSessions(t, guest.ID, up.Session.ID)
	})

	t.Run("a key goes on leading to a guest who was upgraded or deleted", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		upgraded, deleted := f.newGuest(), f.newGuest()
		upgraded.Key, deleted.Key = f.guestKey(), f.guestKey()
		was, gone := f.create(t, upgraded).ID, f.create(t, deleted).ID
		_, err := f.UpgradeGuest(ctx, auth.GuestUpgrade{UserID: was, Identities: f.identities(), Now: noon, Session: f.session(noon)})
		must(t, "UpgradeGuest", err)
		must(t, "DeleteUser", f.DeleteUser(ctx, gone, "", noon))
		_, err = f.CreateUser(ctx, again(upgraded.Key, noon))
		expectKeyOf(t, err, was)
		_, err = f.CreateUser(ctx, again(deleted.Key, noon))
		expectKeyOf(t, err, gone)
	})
}

// testPruning has a time of its own: who is unused is so for every test.
func testPruning(t *testing.T, f fixture) {
	t.Run("pruning deletes those who were not seen for so long and have no live session, and counting deletes nobody", func(t *testing.T) {
		ctx := t.Context()
		long := noon.AddDate(-30, 0, 0) // no other test's
		p := auth.Pruning{Before: long.Add(time.Hour), LiveAt: long.Add(24 * time.Hour)}
		// create makes one who was seen at a time and has a session until another; zero: none.
		create := func(n auth.NewUser, used, ends time.Time) auth.UserID {
			n.Now = long
			n.Session = f.session(long)
			n.Session.LastUsedAt, n.Session.ExpiresAt = used, ends
			id := f.create(t, n).ID
			if ends.IsZero() {
				must(t, "RevokeSession", f.RevokeSession(ctx, id, n.Session.ID))
			}
			return id
		}
		full := f.newUser()
		full.PasswordHash = ""
		kept := []auth.UserID{
			create(f.newGuest(), long, p.LiveAt.Add(time.Microsecond)),     // live
			create(f.newGuest(), p.Before.Add(time.Microsecond), p.LiveAt), // used since
			create(f.newGuest(), p.Before.Add(time.Microsecond), time.Time{}),
			create(full, long, time.Time{}),
		}
		const unused = 1100 // some pages, the last one not full
		gone := make([]auth.UserID, unused)
		for i := range gone {
			ends := time.Time{}
			if i%3 == 0 {
				ends = p.LiveAt
			}
			gone[i] = create(f.newGuest(), p.Before, ends)
		}

		for range 2 {
			n, err := f.CountUnusedGuests(ctx, p)
			must(t, "CountUnusedGuests", err)
			if n != unused {
				t.Errorf("CountUnusedGuests: got %d, want %d", n, unused)
			}
		}
		var steps []int64
		n, err := f.PruneGuests(ctx, p, func(deleted int64) { steps = append(steps, deleted) })
		must(t, "PruneGuests", err)
		if n != unused || len(steps) < 3 || steps[len(steps)-1] != unused {
			t.Errorf("PruneGuests: got %d after %v, want %d in small batches", n, steps, unused)
		}
		for _, id := range gone {
			_, _, err := f.FindUser(ctx, id)
			expectError(t, "FindUser", err, auth.ErrNotFound)
		}
		for _, id := range kept {
			_, _, err := f.FindUser(ctx, id)
			must(t, "FindUser", err)
		}
		n, err = f.PruneGuests(ctx, p, func(int64) {})
		must(t, "PruneGuests", err)
		if n != 0 {
			t.Errorf("PruneGuests: got %d the second time, want 0", n)
		}
	})
}
