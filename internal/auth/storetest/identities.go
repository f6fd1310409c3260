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
	apps := func(t *testing.T, user auth.UserID) (ids []auth.IdentityID, names []string) {
		t.Helper()
		list, err := f.ListIdentities(t.Context(), user)
		must(t, "ListIdentities", err)
		for _, i := range list {
			if i.Provider != "wechat" || !i.CreatedAt.Equal(noon) {
				t.Errorf("got %+v, want an identity of wechat of noon", i)
			}
			ids, names = append(ids, i.ID), append(names, i.AppID)
		}
		return ids, names
	}

	t.Run("identities are attached once and listed in their order", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n := f.newUser()
		n.Identities = f.identities()
		user := f.create(t, n)
		more := []auth.Identity{at("wx0b", n.Identities[0]), at("group:one", n.Identities[0])}
		for range 2 { // what is theirs already is no fault
			must(t, "AttachIdentities", f.AttachIdentities(ctx, user.ID, append(more, n.Identities...), noon))
		}
		if _, got := apps(t, user.ID); !slices.Equal(got, []string{"wx0a", "wx0b", "group:one"}) {
			t.Errorf("got %v", got)
		}
		for _, i := range more {
			found, err := f.FindIdentity(ctx, i)
			must(t, "FindIdentity", err)
			expectUser(t, "FindIdentity", found, user)
		}
		if ids, _ := apps(t, f.create(t, f.newUser()).ID); len(ids) != 0 {
			t.Errorf("a user without identities has %v", ids)
		}
	})

	t.Run("an identity of another user is refused, and nothing beside it is attached", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n := f.newUser()
		n.Identities = f.identities()
		f.create(t, n)
		other := f.create(t, f.newUser())
		free := at("wx0b", n.Identities[0])
		err := f.AttachIdentities(ctx, other.ID, []auth.Identity{free, n.Identities[0]}, noon)
		expectError(t, "AttachIdentities", err, auth.ErrIdentityTaken)
		f.expectFree(t, "", nil, []auth.Identity{free})
	})

	t.Run("a user has one subject in an app", func(t *testing.T) {
		t.Parallel()
		n := f.newUser()
		n.Identities = f.identities()
		user := f.create(t, n)
		another := f.identities()
		err := f.AttachIdentities(t.Context(), user.ID, another, noon)
		expectError(t, "AttachIdentities", err, auth.ErrHasIdentity)
		f.expectFree(t, "", nil, another)
	})

	t.Run("guests, disabled and deleted users are given nothing", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n := f.newUser()
		disabled, deleted, guest := f.create(t, f.newUser()), f.create(t, n), f.create(t, f.newGuest())
		must(t, "SetStatus", f.SetStatus(ctx, disabled.ID, auth.StatusDisabled))
		must(t, "DeleteUser", f.DeleteUser(ctx, deleted.ID, n.PasswordHash, noon))
		for _, user := range []auth.UserID{disabled.ID, deleted.ID, guest.ID, nobody} {
			identity := f.identities()
			expectError(t, "AttachIdentities", f.AttachIdentities(ctx, user, identity, noon), auth.ErrChanged)
			f.expectFree(t, "", nil, identity)
			expectError(t, "SetVerifiedPhoneNumber", f.SetVerifiedPhoneNumber(ctx, user, "+8613800138000", noon), ifNot(user == guest.ID, auth.ErrChanged))
		}
	})

	t.Run("the last way in stays", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n := f.newUser()
		n.PasswordHash, n.Email, n.Mail = "", nil, nil
		n.Identities = f.identities()
		n.Identities = append(n.Identities, at("wx0b", n.Identities[0]))
		user := f.create(t, n)
		ids, _ := apps(t, user.ID)
		expectError(t, "DetachIdentities of all", f.DetachIdentities(ctx, user.ID, ids), auth.ErrLastWayIn)
		must(t, "DetachIdentities of one", f.DetachIdentities(ctx, user.ID, ids[:1]))
		expectError(t, "DetachIdentities of the last", f.DetachIdentities(ctx, user.ID, ids[1:]), auth.ErrLastWayIn)
		f.expectFree(t, "", nil, n.Identities[:1])
		if _, got := apps(t, user.ID); !slices.Equal(got, []string{"wx0b"}) {
			t.Errorf("got %v left", got)
		}
	})

	t.Run("with a password every identity may go, but nobody else's", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		n, m := f.newUser(), f.newUser()
		n.Identities, m.Identities = f.identities(), f.identities()
		user, other := f.create(t, n), f.create(t, m)
		foreign, _ := apps(t, other.ID)
		must(t, "DetachIdentities", f.DetachIdentities(ctx, user.ID, foreign))
		own, _ := apps(t, user.ID)
		must(t, "DetachIdentities", f.DetachIdentities(ctx, user.ID, own))
		f.expectFree(t, "", nil, n.Identities)
		found, err := f.FindIdentity(ctx, m.Identities[0])
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
		ids, _ := apps(t, user.ID)
		stores := nodes{f, second}
		errs := inParallel(2, func(i int) error {
			return stores.of(i).DetachIdentities(t.Context(), user.ID, ids[i:i+1])
		})
		expectOneWinner(t, errs, auth.ErrLastWayIn)
	})

	t.Run("of many users that one identity is given to, one has it", func(t *testing.T) {
		t.Parallel()
		identity := f.identities()
		stores := nodes{f, second}
		var users []auth.UserID
		for range 8 {
			users = append(users, f.create(t, f.newUser()).ID)
		}
		errs := inParallel(len(users), func(i int) error {
			return stores.of(i).AttachIdentities(t.Context(), users[i], identity, noon)
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
