package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

func testIdentities(t *testing.T, db Database) {
	f := newFixture(t, db)
	second := f.on(open(t, db))

	at := func(app string, like auth.Identity) auth.Identity {
		return auth.Identity{Provider: like.Provider, AppID: app, Subject: fmt.Sprintf("%s-%d", app, f.next())}
	}
	// link attaches identities for the user of a live session.
	link := func(on fixture, n auth.NewUser, user auth.UserID, add ...auth.Identity) error {
		return on.AttachIdentities(t.Context(), auth.Attachment{UserID: user, Add: add, Now: noon, Session: n.Session.ID})
	}
	// unlink takes the identities of the apps away, where all of these apps are ways in.
	unlink := func(on fixture, n auth.NewUser, user auth.UserID, from ...string) error {
		return on.DetachIdentities(t.Context(), auth.Detachment{
			UserID: user, Session: n.Session.ID, Provider: "wechat", AppIDs: from, WaysIn: []string{"wx0a", "wx0b"},
		})
	}
	apps := func(t *testing.T, user auth.UserID) (names []string) {
		t.Helper()
		list, err := f.ListIdentities(t.Context(), user)
		must(t, "ListIdentities", err)
		for _, i := range list {
			if i.Provider != "wechat" || !i.CreatedAt.Equal(noon) {
				t.Errorf("got %+v, want an identity of wechat of noon", i)
			}
			names = append(names, i.AppID)
		}
		return names
	}

	t.Run("identities are attached once and listed in their order", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n := f.newUser()
		n.Identities = f.identities()
		user := f.create(t, n)
		more := []auth.Identity{at("wx0b", n.Identities[0]), at("group:one", n.Identities[0])}
		for range 2 { // what is theirs already is no fault
			must(t, "AttachIdentities", link(f, n, user.ID, append(more, n.Identities...)...))
		}
		if got := apps(t, user.ID); !slices.Equal(got, []string{"wx0a", "wx0b", "group:one"}) {
			t.Errorf("got %v", got)
		}
		for _, i := range more {
			found, err := f.FindIdentity(ctx, i)
			must(t, "FindIdentity", err)
			expectUser(t, "FindIdentity", found, user)
		}
		if got := apps(t, f.create(t, f.newUser()).ID); len(got) != 0 {
			t.Errorf("a user without identities has %v", got)
		}
	})

	t.Run("an identity of another user is refused, and nothing beside it is attached", func(t *testing.T) {
		t.Parallel()
		n := f.newUser()
		n.Identities = f.identities()
		f.create(t, n)
		m := f.newUser()
		other := f.create(t, m)
		free := at("wx0b", n.Identities[0])
		err := link(f, m, other.ID, free, n.Identities[0])
		expectError(t, "AttachIdentities", err, auth.ErrIdentityTaken)
		f.expectFree(t, "", nil, []auth.Identity{free})
	})

	t.Run("a user has one subject in an app", func(t *testing.T) {
		t.Parallel()
		n := f.newUser()
		n.Identities = f.identities()
		user := f.create(t, n)
		another := f.identities()
		err := link(f, n, user.ID, another...)
		expectError(t, "AttachIdentities", err, auth.ErrHasIdentity)
		f.expectFree(t, "", nil, another)
	})

	t.Run("guests, disabled and deleted users are given nothing", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		off, gone, visitor, absent := f.newUser(), f.newUser(), f.newGuest(), f.newUser()
		disabled, deleted, guest := f.create(t, off), f.create(t, gone), f.create(t, visitor)
		must(t, "SetStatus", f.SetStatus(ctx, disabled.ID, auth.StatusDisabled))
		must(t, "DeleteUser", f.DeleteUser(ctx, deleted.ID, gone.PasswordHash, noon))
		for user, n := range map[auth.UserID]auth.NewUser{disabled.ID: off, deleted.ID: gone, guest.ID: visitor, nobody: absent} {
			identity := f.identities()
			expectError(t, "AttachIdentities", link(f, n, user, identity...), auth.ErrChanged)
			f.expectFree(t, "", nil, identity)
			expectError(t, "SetVerifiedPhoneNumber", f.SetVerifiedPhoneNumber(ctx, user, "+8613800138000", noon), ifNot(user == guest.ID, auth.ErrChanged))
		}
	})

	t.Run("a session that has ended entitles to nothing", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n, m := f.newUser(), f.newUser()
		n.Identities = f.identities()
		user := f.create(t, n)
		f.create(t, m)
		free := at("wx0b", n.Identities[0])
		expectError(t, "AttachIdentities with another's session", link(f, m, user.ID, free), auth.ErrChanged)
		must(t, "RevokeSession", f.RevokeSession(ctx, user.ID, n.Session.ID))
		expectError(t, "AttachIdentities", link(f, n, user.ID, free), auth.ErrChanged)
		expectError(t, "DetachIdentities", unlink(f, n, user.ID, "wx0a"), auth.ErrChanged)
		first := auth.PasswordChange{UserID: user.ID, Verified: n.PasswordHash, Current: n.Session.ID, New: f.password(), Now: noon, Session: f.session(noon)}
		_, err := f.ChangePassword(ctx, first)
		expectError(t, "ChangePassword", err, auth.ErrChanged)
		f.expectFree(t, "", nil, []auth.Identity{free})
		if got := apps(t, user.ID); !slices.Equal(got, []string{"wx0a"}) {
			t.Errorf("got %v, want what there was", got)
		}
	})

	t.Run("an identity that is not the user's any more entitles to nothing", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n := f.newUser()
		n.Identities = f.identities()
		user := f.create(t, n)
		by := func(known auth.Identity, add auth.Identity) error {
			return f.AttachIdentities(ctx, auth.Attachment{UserID: user.ID, Add: []auth.Identity{add}, Now: noon, Known: &known})
		}
		signIn := func(known auth.Identity) error {
			_, err := f.CreateSession(ctx, auth.SignIn{UserID: user.ID, Identity: &known, Session: f.session(noon)})
			return err
		}
		must(t, "AttachIdentities", by(n.Identities[0], at("wx0b", n.Identities[0])))
		must(t, "CreateSession", signIn(n.Identities[0]))
		must(t, "DetachIdentities", unlink(f, n, user.ID, "wx0a"))
		free := at("group:one", n.Identities[0])
		expectError(t, "AttachIdentities", by(n.Identities[0], free), auth.ErrChanged)
		expectError(t, "CreateSession", signIn(n.Identities[0]), auth.ErrChanged)
		f.expectFree(t, "", nil, []auth.Identity{free})
	})

	t.Run("the last way in stays", func(t *testing.T) {
		t.Parallel()
		n := f.newUser()
		n.PasswordHash, n.Email, n.Mail = "", nil, nil
		n.Identities = f.identities()
		n.Identities = append(n.Identities, at("wx0b", n.Identities[0]), at("wx-removed", n.Identities[0]), at("group:removed", n.Identities[0]))
		user := f.create(t, n)
		expectError(t, "DetachIdentities of all", unlink(f, n, user.ID, "wx0a", "wx0b"), auth.ErrLastWayIn)
		must(t, "DetachIdentities of one", unlink(f, n, user.ID, "wx0a"))
		expectError(t, "DetachIdentities of the last that is a way in", unlink(f, n, user.ID, "wx0b"), auth.ErrLastWayIn)
		f.expectFree(t, "", nil, n.Identities[:1])
		if got := apps(t, user.ID); !slices.Equal(got, []string{"wx0b", "wx-removed", "group:removed"}) {
			t.Errorf("got %v left", got)
		}
	})

	t.Run("with a password every identity may go, but nobody else's", func(t *testing.T) {
		t.Parallel()
		n, m := f.newUser(), f.newUser()
		n.Identities, m.Identities = f.identities(), f.identities()
		user, other := f.create(t, n), f.create(t, m)
		must(t, "DetachIdentities", unlink(f, n, user.ID, "wx0a"))
		expectError(t, "DetachIdentities again", unlink(f, n, user.ID, "wx0a"), auth.ErrNotFound)
		f.expectFree(t, "", nil, n.Identities)
		found, err := f.FindIdentity(t.Context(), m.Identities[0])
		must(t, "FindIdentity", err)
		expectUser(t, "the user beside", found, other)
	})

	t.Run("of two requests that each leave one way in, one is refused", func(t *testing.T) {
		t.Parallel()
		n := f.newUser()
		n.PasswordHash, n.Email, n.Mail = "", nil, nil
		n.Identities = f.identities()
		n.Identities = append(n.Identities, at("wx0b", n.Identities[0]))
		user := f.create(t, n)
		stores := nodes{f, second}
		errs := inParallel(2, func(i int) error {
			return unlink(stores.of(i), n, user.ID, []string{"wx0a", "wx0b"}[i])
		})
		expectOneWinner(t, errs, auth.ErrLastWayIn)
	})

	t.Run("of many users that one identity is given to, one has it", func(t *testing.T) {
		t.Parallel()
		identity := f.identities()
		stores := nodes{f, second}
		var asked []auth.NewUser
		var users []auth.UserID
		for i := range 8 {
			asked = append(asked, f.newUser())
			users = append(users, f.create(t, asked[i]).ID)
		}
		errs := inParallel(len(users), func(i int) error {
			return link(stores.of(i), asked[i], users[i], identity...)
		})
		winner := expectOneWinner(t, errs, auth.ErrIdentityTaken)
		found, err := f.FindIdentity(t.Context(), identity[0])
		must(t, "FindIdentity", err)
		if found.ID != users[winner] {
			t.Errorf("it is user %d's, want %d's", found.ID, users[winner])
		}
	})

	t.Run("a merge moves the ways in and deletes the user that they came from", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n, m := f.newUser(), f.newUser()
		n.Identities = f.identities()
		m.Identities = []auth.Identity{at("wx0b", n.Identities[0])}
		from, into := f.create(t, n), f.create(t, m)
		later := noon.Add(time.Minute)
		must(t, "MergeUsers", f.MergeUsers(ctx, from.ID, into.ID, later))
		for _, i := range append(n.Identities, m.Identities...) {
			found, err := f.FindIdentity(ctx, i)
			must(t, "FindIdentity", err)
			expectUser(t, "FindIdentity", found, into)
		}
		f.expectNoSession(t, n.Session.ID)
		_, _, err := f.FindUser(ctx, from.ID)
		expectError(t, "FindUser", err, auth.ErrNotFound)
		_, _, err = f.FindSession(ctx, m.Session.ID)
		must(t, "FindSession of the other", err)
		expectError(t, "MergeUsers again", f.MergeUsers(ctx, from.ID, into.ID, later), auth.ErrChanged)
	})

	t.Run("two users with subjects in one app are not merged, nor a user into a guest", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n, m := f.newUser(), f.newUser()
		n.Identities, m.Identities = f.identities(), f.identities()
		from, into, guest := f.create(t, n), f.create(t, m), f.create(t, f.newGuest())
		before := f.stateOf(t, from.ID)
		expectError(t, "MergeUsers", f.MergeUsers(ctx, from.ID, into.ID, noon), auth.ErrHasIdentity)
		expectError(t, "MergeUsers into a guest", f.MergeUsers(ctx, from.ID, guest.ID, noon), auth.ErrChanged)
		f.expectState(t, before)
		found, err := f.FindIdentity(ctx, n.Identities[0])
		must(t, "FindIdentity", err)
		expectUser(t, "FindIdentity", found, from)
	})

	t.Run("a number that WeChat verified is verified until the user writes another", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n := f.newUser()
		n.PhoneNumber, n.PhoneNumberVerified = "+8613800138001", true
		user := f.create(t, n)
		set := func(number string) auth.User {
			t.Helper()
			user, err := f.UpdateProfile(ctx, user.ID, auth.ProfileChange{PhoneNumber: &number})
			must(t, "UpdateProfile", err)
			return user
		}
		if !user.PhoneNumberVerified || !set("+8613800138001").PhoneNumberVerified {
			t.Error("the number that WeChat verified is not verified")
		}
		if set("+8613800138002").PhoneNumberVerified {
			t.Error("a number that the user wrote is verified")
		}
		must(t, "SetVerifiedPhoneNumber", f.SetVerifiedPhoneNumber(ctx, user.ID, "+8613800138003", noon))
		if got := f.stateOf(t, user.ID).User; got.PhoneNumber != "+8613800138003" || !got.PhoneNumberVerified {
			t.Errorf("got %+v", got)
		}
		if set("").PhoneNumberVerified {
			t.Error("no number is verified")
		}
	})
}

// ifNot returns the error unless the condition holds.
func ifNot(condition bool, err error) error {
	if condition {
		return nil
	}
	return err
}
