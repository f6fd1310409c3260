package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

// testRaces lets two nodes on one database do things at once. Every race is decided by the database: whatever its
// order, what comes out is what one of the callers alone would have got.
func testRaces(t *testing.T, db Database) {
	f := newFixture(t, db)
	nodes := nodes{f, f.on(open(t, db))}
	testRacingSignUps(t, nodes)
	testRacingGuests(t, nodes)
	testRacingPasswords(t, nodes)
	testRacingTokens(t, nodes)
	testRacingSessions(t, nodes)
	testRacingWorkers(t, nodes)
}

// nodes are stores on one database.
type nodes []fixture

// of is the node that the i-th of some concurrent callers talks to.
func (n nodes) of(i int) fixture { return n[i%len(n)] }

// expectOneWinner fails the test unless one of the errors is nil and the others are lost. It returns the winner.
func expectOneWinner(t *testing.T, errs []error, lost error) int {
	t.Helper()
	winner := -1
	for i, err := range errs {
		switch {
		case err != nil:
			expectError(t, fmt.Sprintf("caller %d", i), err, lost)
		case winner >= 0:
			t.Errorf("callers %d and %d both won", winner, i)
		default:
			winner = i
		}
	}
	if winner < 0 {
		t.Fatal("nobody won")
	}
	return winner
}

func testRacingSignUps(t *testing.T, nodes nodes) {
	f := nodes[0]
	sameName, sameEmail, sameIdentity := f.username(), f.email(), f.identities()
	for _, tt := range []struct {
		name   string
		change func(n *auth.NewUser)
		lost   error
	}{
		{"one username", func(n *auth.NewUser) { n.Username = sameName }, &auth.TakenError{Username: true}},
		{
			"one address in many spellings",
			func(n *auth.NewUser) {
				local, _, _ := strings.Cut(n.Email.Address, "@")
				n.Email = &auth.Email{Address: local + "+" + sameEmail.Address, Key: sameEmail.Key}
			},
			&auth.TakenError{Email: true},
		},
		{"one openid", func(n *auth.NewUser) { n.Identities = sameIdentity }, auth.ErrIdentityTaken},
	} {
		t.Run("of many sign-ups with "+tt.name+" exactly one succeeds", func(t *testing.T) {
			t.Parallel()
			users := make([]auth.NewUser, 50)
			for i := range users {
				users[i] = f.newUser()
				tt.change(&users[i])
			}
			errs := inParallel(len(users), func(i int) error {
				_, err := nodes.of(i).CreateUser(t.Context(), users[i])
				return err
			})
			winner := expectOneWinner(t, errs, tt.lost)
			for i, n := range users {
				if i == winner {
					continue
				}
				f.expectNoSession(t, n.Session.ID)
				if n.Username != sameName {
					f.expectFree(t, n.Username, nil, nil)
				}
				if n.Email.Key != sameEmail.Key {
					f.expectFree(t, "", n.Email, nil)
				}
			}
		})
	}

	t.Run("of many upgrades of one guest exactly one succeeds", func(t *testing.T) {
		t.Parallel()
		guest := f.create(t, f.newGuest())
		ups := make([]auth.GuestUpgrade, 20)
		for i := range ups {
			ups[i] = auth.GuestUpgrade{
				UserID: guest.ID, Username: f.username(), Email: f.email(), PasswordHash: f.password(), Now: noon, Session: f.session(noon),
			}
		}
		errs := inParallel(len(ups), func(i int) error {
			_, err := nodes.of(i).UpgradeGuest(t.Context(), ups[i])
			return err
		})
		winner := expectOneWinner(t, errs, auth.ErrChanged)
		f.expectSessions(t, guest.ID, ups[winner].Session.ID)
		got := f.stateOf(t, guest.ID)
		expectPassword(t, got.Password, ups[winner].PasswordHash)
		if got.User.Username != ups[winner].Username || got.User.Email != ups[winner].Email.Address {
			t.Errorf("got user %+v, want that of upgrade %d", got.User, winner)
		}
		for i, up := range ups {
			if i != winner {
				f.expectFree(t, up.Username, up.Email, nil)
				f.expectNoSession(t, up.Session.ID)
			}
		}
	})

	t.Run("of many guests who want one username exactly one gets it", func(t *testing.T) {
		t.Parallel()
		before := make([]state, 10)
		for i := range before {
			before[i] = f.stateOf(t, f.create(t, f.newGuest()).ID)
		}
		name := f.username()
		errs := inParallel(len(before), func(i int) error {
			_, err := nodes.of(i).UpgradeGuest(t.Context(), auth.GuestUpgrade{
				UserID: before[i].User.ID, Username: name, Email: f.email(), Now: noon, Session: f.session(noon),
			})
			return err
		})
		winner := expectOneWinner(t, errs, &auth.TakenError{Username: true})
		for i, s := range before {
			if i != winner {
				f.expectState(t, s)
			}
		}
	})
}

func testRacingGuests(t *testing.T, nodes nodes) {
	f := nodes[0]
	t.Run("of many sign-ups with one key exactly one makes a guest, and all get a session", func(t *testing.T) {
		t.Parallel()
		key := f.guestKey()
		guests := make([]auth.NewUser, 20)
		sessions := make([]auth.SessionID, len(guests))
		for i := range guests {
			guests[i] = f.newGuest()
			guests[i].Key = key
		}
		ids := make([]auth.UserID, len(guests))
		expectNoErrors(t, inParallel(len(guests), func(i int) error {
			user, err := nodes.of(i).CreateUser(t.Context(), guests[i])
			if used, ok := errors.AsType[*auth.GuestKeyUsedError](err); ok {
				guests[i].Session = f.session(noon)
				user, err = nodes.of(i).CreateSession(t.Context(), auth.SignIn{
					UserID: used.UserID, Session: guests[i].Session, GuestOnly: true,
				})
			}
			ids[i], sessions[i] = user.ID, guests[i].Session.ID
			return err
		}))
		made := 0
		for i, n := range guests {
			if ids[i] != ids[0] {
				t.Errorf("callers 0 and %d got guests %d and %d, want one", i, ids[0], ids[i])
			}
			if user, _, err := f.FindLogin(t.Context(), auth.Login{Username: n.Username}); err == nil && user.ID == ids[0] {
				made++
				continue
			}
			f.expectFree(t, n.Username, nil, nil)
		}
		if made != 1 {
			t.Errorf("got %d guests, want 1", made)
		}
		slices.Sort(sessions)
		slices.Reverse(sessions)
		f.expectSessions(t, ids[0], sessions...)
	})

	upgrade := func(guest auth.UserID) auth.GuestUpgrade {
		return auth.GuestUpgrade{
			UserID: guest, Username: f.username(), Email: f.email(), Identities: f.identities(), Now: noon, Session: f.session(noon),
		}
	}
	expectNothingOf := func(t *testing.T, up auth.GuestUpgrade) {
		t.Helper()
		f.expectFree(t, up.Username, up.Email, up.Identities)
		f.expectNoSession(t, up.Session.ID)
	}

	t.Run("a guest who is upgraded and deleted at once is gone, and nothing of the upgrade is left", func(t *testing.T) {
		t.Parallel()
		for range rounds {
			guest := f.create(t, f.newGuest())
			up := upgrade(guest.ID)
			errs := inParallel(2, func(i int) error {
				if i == 0 {
					_, err := nodes.of(0).UpgradeGuest(t.Context(), up)
					return err
				}
				return nodes.of(1).DeleteUser(t.Context(), guest.ID, "", noon) // who has no password after the upgrade either
			})
			if errs[1] != nil || errs[0] != nil && !errors.Is(errs[0], auth.ErrChanged) {
				t.Errorf("got %v and %v, want the deletion to succeed", errs[0], errs[1])
			}
			expectNothingOf(t, up)
			f.expectSessions(t, guest.ID)
		}
	})

	t.Run("a retry never signs in to whom the guest was upgraded", func(t *testing.T) {
		t.Parallel()
		for range rounds {
			guest := f.create(t, f.newGuest())
			up, s := upgrade(guest.ID), f.session(noon)
			errs := inParallel(2, func(i int) error {
				if i == 0 {
					_, err := nodes.of(0).UpgradeGuest(t.Context(), up)
					return err
				}
				_, err := nodes.of(1).CreateSession(t.Context(), auth.SignIn{UserID: guest.ID, Session: s, GuestOnly: true})
				return err
			})
			if errs[0] != nil || errs[1] != nil && !errors.Is(errs[1], auth.ErrChanged) {
				t.Errorf("got %v and %v, want the upgrade to succeed", errs[0], errs[1])
			}
			f.expectSessions(t, guest.ID, up.Session.ID)
		}
	})

	// cleaners are all that deletes unused guests, as if the guests had been made long ago. One at a time: each would
	// delete the guests of the other.
	long := noon.AddDate(-15, 0, 0) // no other test's
	cleaners := map[string]func(f fixture) error{
		"the clean-up": func(f fixture) error {
			_, err := f.CleanUp(t.Context(), auth.Due{Now: long.AddDate(0, 6, 0), GuestsBefore: long.AddDate(0, 5, 0)}, 7)
			return err
		},
		"pruning": func(f fixture) error {
			_, err := f.PruneGuests(t.Context(), auth.Pruning{Before: long.AddDate(0, 5, 0), LiveAt: long.AddDate(0, 6, 0)}, func(int64) {})
			return err
		},
	}
	for name, clean := range cleaners {
		t.Run("whoever signs a guest in or upgrades one during "+name+" has all of it or nothing", func(t *testing.T) {
			for range rounds {
				guests := make([]auth.UserID, 12)
				ups, sessions := make([]auth.GuestUpgrade, len(guests)), make([]auth.Session, len(guests))
				for i := range guests {
					n := f.newGuest()
					n.Now, n.Session = long, f.session(long)
					guests[i] = f.create(t, n).ID
					must(t, "RevokeSession", f.RevokeSession(t.Context(), guests[i], n.Session.ID))
					ups[i], sessions[i] = upgrade(guests[i]), f.session(noon)
				}
				errs := inParallel(len(guests)+2, func(i int) error {
					if i >= len(guests) {
						return clean(nodes.of(i))
					}
					if i%2 == 0 {
						_, err := nodes.of(i).UpgradeGuest(t.Context(), ups[i])
						return err
					}
					_, err := nodes.of(i).CreateSession(t.Context(), auth.SignIn{UserID: guests[i], Session: sessions[i], GuestOnly: true})
					return err
				})
				expectNoErrors(t, errs[len(guests):])
				for i, id := range guests {
					begun := sessions[i].ID
					if i%2 == 0 {
						begun = ups[i].Session.ID
					}
					if errs[i] == nil {
						f.expectSessions(t, id, begun)
						continue
					}
					expectError(t, "the guest", errs[i], auth.ErrChanged)
					_, _, err := f.FindUser(t.Context(), id)
					expectError(t, "FindUser", err, auth.ErrNotFound)
					f.expectNoSession(t, begun)
					expectNothingOf(t, ups[i])
				}
			}
		})
	}

	t.Run("a session that is used while the clean-up finds it expired stays, or goes with its guest", func(t *testing.T) {
		t.Parallel()
		at := noon.AddDate(-17, 0, 0) // no other test's
		for range rounds {
			n := f.newGuest()
			n.Now, n.Session = at, f.session(at)
			n.Session.ExpiresAt = at.Add(time.Hour)
			guest := f.create(t, n)
			used := auth.SessionUse{ID: n.Session.ID, UsedAt: at.Add(time.Hour), ExpiresAt: distant}
			expectNoErrors(t, inParallel(2, func(i int) error {
				if i == 0 {
					return nodes.of(0).TouchSessions(t.Context(), []auth.SessionUse{used})
				}
				_, err := nodes.of(1).CleanUp(t.Context(), auth.Due{Now: at.Add(time.Hour), GuestsBefore: at}, 7)
				return err
			}))
			_, _, err := f.FindUser(t.Context(), guest.ID)
			if err == nil {
				f.expectSessions(t, guest.ID, n.Session.ID)
				must(t, "RevokeSession", f.RevokeSession(t.Context(), guest.ID, n.Session.ID))
				continue
			}
			expectError(t, "FindUser", err, auth.ErrNotFound)
			f.expectNoSession(t, n.Session.ID)
		}
	})
}

// rounds is how often a race of two is run, since nobody knows which of them comes first.
const rounds = 10

func testRacingPasswords(t *testing.T, nodes nodes) {
	f := nodes[0]
	for _, tt := range []struct {
		name string
		// end replaces the password or the user, and returns the session that is left, 0 for none.
		end func(t *testing.T, n auth.NewUser, user auth.UserID, token auth.OneTimeToken) (auth.SessionID, error)
	}{
		{"a change of the password", func(t *testing.T, n auth.NewUser, user auth.UserID, _ auth.OneTimeToken) (auth.SessionID, error) {
			s := f.session(noon)
			_, err := f.ChangePassword(t.Context(), auth.PasswordChange{
				UserID: user, Verified: n.PasswordHash, New: f.password(), Now: noon, Session: s,
			})
			return s.ID, err
		}},
		{"a reset", func(t *testing.T, _ auth.NewUser, _ auth.UserID, token auth.OneTimeToken) (auth.SessionID, error) {
			return 0, f.ResetPassword(t.Context(), auth.PasswordReset{Token: token, Password: f.password(), Now: noon})
		}},
		{"the deletion of the user", func(t *testing.T, n auth.NewUser, user auth.UserID, _ auth.OneTimeToken) (auth.SessionID, error) {
			return 0, f.DeleteUser(t.Context(), user, n.PasswordHash, noon)
		}},
	} {
		t.Run("a sign-in with the old password never survives "+tt.name, func(t *testing.T) {
			t.Parallel()
			for range rounds {
				n := f.newUser()
				user := f.create(t, n)
				token := f.issue(t, f.token(t, user.ID, n.Email))
				var left auth.SessionID
				attempts := make([]auth.Session, 9)
				for i := range attempts {
					attempts[i] = f.session(noon)
				}
				errs := inParallel(len(attempts), func(i int) (err error) {
					if i == len(attempts)/2 {
						left, err = tt.end(t, n, user.ID, token)
						return err
					}
					_, err = nodes.of(i).CreateSession(t.Context(), auth.SignIn{
						UserID: user.ID, Session: attempts[i], Verified: &n.PasswordHash,
					})
					return err
				})
				for i, err := range errs {
					if err != nil && (i == len(attempts)/2 || !errors.Is(err, auth.ErrChanged)) {
						t.Errorf("caller %d: %v", i, err)
					}
				}
				want := []auth.SessionID{left}
				if left == 0 {
					want = nil
				}
				f.expectSessions(t, user.ID, want...)
			}
		})
	}

	t.Run("of many changes of one password exactly one succeeds", func(t *testing.T) {
		t.Parallel()
		n := f.newUser()
		user := f.create(t, n)
		changes := make([]auth.PasswordChange, 20)
		for i := range changes {
			changes[i] = auth.PasswordChange{UserID: user.ID, Verified: n.PasswordHash, New: f.password(), Now: noon, Session: f.session(noon)}
		}
		errs := inParallel(len(changes), func(i int) error {
			_, err := nodes.of(i).ChangePassword(t.Context(), changes[i])
			return err
		})
		winner := expectOneWinner(t, errs, auth.ErrChanged)
		f.expectSessions(t, user.ID, changes[winner].Session.ID)
		expectPassword(t, f.stateOf(t, user.ID).Password, changes[winner].New)
	})

	t.Run("of a change and a reset of one password exactly one succeeds", func(t *testing.T) {
		t.Parallel()
		for range rounds {
			n := f.newUser()
			user := f.create(t, n)
			token := f.issue(t, f.token(t, user.ID, n.Email))
			change := auth.PasswordChange{UserID: user.ID, Verified: n.PasswordHash, New: f.password(), Now: noon, Session: f.session(noon)}
			reset := auth.PasswordReset{Token: token, Password: f.password(), Now: noon}
			errs := inParallel(2, func(i int) error {
				if i == 0 {
					_, err := nodes.of(0).ChangePassword(t.Context(), change)
					return err
				}
				return nodes.of(1).ResetPassword(t.Context(), reset)
			})
			got := f.stateOf(t, user.ID).Password
			switch {
			case errs[0] == nil && errors.Is(errs[1], auth.ErrTokenInvalid):
				expectPassword(t, got, change.New)
				f.expectSessions(t, user.ID, change.Session.ID)
			case errs[1] == nil && errors.Is(errs[0], auth.ErrChanged):
				expectPassword(t, got, reset.Password)
				f.expectSessions(t, user.ID)
			default:
				t.Errorf("got %v and %v, want one winner", errs[0], errs[1])
			}
		}
	})

	t.Run("of many deletions of one user exactly one succeeds", func(t *testing.T) {
		t.Parallel()
		n := f.newUser()
		user := f.create(t, n)
		errs := inParallel(10, func(i int) error {
			return nodes.of(i).DeleteUser(t.Context(), user.ID, n.PasswordHash, noon)
		})
		expectOneWinner(t, errs, auth.ErrChanged)
	})
}

func testRacingTokens(t *testing.T, nodes nodes) {
	f := nodes[0]
	t.Run("of many resets with one token exactly one succeeds", func(t *testing.T) {
		t.Parallel()
		n := f.newUser()
		user := f.create(t, n)
		token := f.issue(t, f.token(t, user.ID, n.Email))
		passwords := make([]auth.PasswordHash, 50)
		for i := range passwords {
			passwords[i] = f.password()
		}
		errs := inParallel(len(passwords), func(i int) error {
			return nodes.of(i).ResetPassword(t.Context(), auth.PasswordReset{Token: token, Password: passwords[i], Now: noon})
		})
		winner := expectOneWinner(t, errs, auth.ErrTokenInvalid)
		expectPassword(t, f.stateOf(t, user.ID).Password, passwords[winner])
	})

	t.Run("of many resets with all the tokens of a user exactly one succeeds", func(t *testing.T) {
		t.Parallel()
		for range rounds {
			n := f.newUser()
			user := f.create(t, n)
			tokens := make([]auth.OneTimeToken, auth.MaxOutstanding)
			for i := range tokens {
				tokens[i] = f.issue(t, f.token(t, user.ID, n.Email))
			}
			errs := inParallel(2*len(tokens), func(i int) error {
				return nodes.of(i).ResetPassword(t.Context(), auth.PasswordReset{
					Token: tokens[i%len(tokens)], Password: f.password(), Now: noon,
				})
			})
			expectOneWinner(t, errs, auth.ErrTokenInvalid)
		}
	})

	t.Run("a code is compared so many times and no more, however many try at once", func(t *testing.T) {
		t.Parallel()
		n := f.newUser()
		user := f.create(t, n)
		want := make(map[auth.OneTimeTokenID]int)
		for range auth.MaxOutstanding {
			want[f.issue(t, f.token(t, user.ID, n.Email)).ID] = auth.MaxCodeAttempts
		}
		lists := make([][]auth.OneTimeToken, 40)
		errs := inParallel(len(lists), func(i int) (err error) {
			lists[i], err = nodes.of(i).AttemptOneTimeCode(t.Context(), user.ID, reset, noon)
			return err
		})
		expectNoErrors(t, errs)
		for _, list := range lists {
			for _, token := range list {
				want[token.ID]--
			}
		}
		for id, left := range want {
			if left != 0 {
				t.Errorf("token %d was compared %d times, want %d", id, auth.MaxCodeAttempts-left, auth.MaxCodeAttempts)
			}
		}
	})

	t.Run("no more tokens are outstanding than may be, however many are issued at once", func(t *testing.T) {
		t.Parallel()
		n := f.newUser()
		user := f.create(t, n)
		tokens := make([]auth.OneTimeToken, 20)
		for i := range tokens {
			tokens[i] = f.token(t, user.ID, n.Email)
		}
		expectNoErrors(t, inParallel(len(tokens), func(i int) error {
			return nodes.of(i).IssueOneTimeToken(t.Context(), tokens[i])
		}))
		live := 0
		for _, token := range tokens {
			if _, _, err := f.FindOneTimeToken(t.Context(), token.Purpose, token.TokenHash, noon); err == nil {
				live++
			}
		}
		if live != auth.MaxOutstanding {
			t.Errorf("got %d outstanding tokens, want %d", live, auth.MaxOutstanding)
		}
	})

	t.Run("a message that two workers send has one token", func(t *testing.T) {
		t.Parallel()
		n := f.newUser()
		user := f.create(t, n)
		tokens := make([]auth.OneTimeToken, 8)
		for i := range tokens {
			tokens[i] = f.token(t, user.ID, n.Email)
			tokens[i].MessageID = tokens[0].MessageID
		}
		expectNoErrors(t, inParallel(len(tokens), func(i int) error {
			return nodes.of(i).IssueOneTimeToken(t.Context(), tokens[i])
		}))
		live, err := f.AttemptOneTimeCode(t.Context(), user.ID, reset, noon)
		must(t, "AttemptOneTimeCode", err)
		if len(live) != 1 {
			t.Errorf("got %d live tokens, want 1", len(live))
		}
	})

	t.Run("no token of a user survives the deletion of the user", func(t *testing.T) {
		t.Parallel()
		for range rounds {
			n := f.newUser()
			user := f.create(t, n)
			tokens := make([]auth.OneTimeToken, 4)
			for i := range tokens {
				tokens[i] = f.token(t, user.ID, n.Email)
			}
			errs := inParallel(len(tokens)+1, func(i int) error {
				if i == len(tokens) {
					return nodes.of(i).DeleteUser(t.Context(), user.ID, n.PasswordHash, noon)
				}
				err := nodes.of(i).IssueOneTimeToken(t.Context(), tokens[i])
				if errors.Is(err, auth.ErrChanged) {
					return nil
				}
				return err
			})
			expectNoErrors(t, errs)
			live, err := f.AttemptOneTimeCode(t.Context(), user.ID, reset, noon)
			must(t, "AttemptOneTimeCode", err)
			if len(live) > 0 {
				t.Errorf("got %d tokens of a deleted user", len(live))
			}
		}
	})

	t.Run("no mail that is being written when a reset succeeds, or another address is asked for, carries a live token", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		for range rounds {
			n := f.newUser()
			user := f.create(t, n)
			used := f.issue(t, f.token(t, user.ID, n.Email))
			written := f.unsent(user.ID, n.Email)
			var err error
			written.MessageID, err = f.QueueMail(ctx, f.message(auth.MailResetPassword, 0, n.Email.Key))
			must(t, "QueueMail", err)
			change := f.unsent(user.ID, f.email())
			change.Purpose = auth.PurposeChangeEmail
			change.MessageID, err = f.QueueMail(ctx, f.message(auth.MailChangeEmail, user.ID, change.Address))
			must(t, "QueueMail", err)
			errs := inParallel(4, func(i int) error {
				switch i {
				case 0:
					return nodes.of(i).IssueOneTimeToken(ctx, written)
				case 1:
					return nodes.of(i).IssueOneTimeToken(ctx, change)
				case 2:
					return nodes.of(i).RequestEmailChange(ctx, f.message(auth.MailChangeEmail, user.ID, f.email().Address))
				}
				return nodes.of(i).ResetPassword(ctx, auth.PasswordReset{Token: used, Password: f.password(), Now: noon})
			})
			for _, err := range errs[:2] {
				if err != nil {
					expectError(t, "IssueOneTimeToken", err, auth.ErrChanged)
				}
			}
			expectNoErrors(t, errs[2:])
			f.expectToken(t, written, auth.ErrTokenInvalid)
			f.expectToken(t, change, auth.ErrTokenInvalid)
		}
	})

	t.Run("guesses do not keep a reset from succeeding", func(t *testing.T) {
		t.Parallel()
		for range rounds {
			n := f.newUser()
			user := f.create(t, n)
			var token auth.OneTimeToken
			for range auth.MaxOutstanding {
				token = f.issue(t, f.token(t, user.ID, n.Email))
			}
			expectNoErrors(t, inParallel(6, func(i int) error {
				if i == 3 {
					return nodes.of(i).ResetPassword(t.Context(), auth.PasswordReset{Token: token, Password: f.password(), Now: noon})
				}
				_, err := nodes.of(i).AttemptOneTimeCode(t.Context(), user.ID, reset, noon)
				return err
			}))
		}
	})
}

func testRacingSessions(t *testing.T, nodes nodes) {
	f := nodes[0]
	t.Run("beyond the most that a user may have, the oldest sessions go, however many begin at once", func(t *testing.T) {
		t.Parallel()
		user := f.create(t, f.newUser())
		sessions := make([]auth.Session, auth.MaxSessions+30)
		var want []auth.SessionID
		for i := range sessions {
			sessions[i] = f.session(noon)
			want = append(want, sessions[i].ID)
		}
		expectNoErrors(t, inParallel(len(sessions), func(i int) error {
			_, err := nodes.of(i).CreateSession(t.Context(), auth.SignIn{UserID: user.ID, Session: sessions[i]})
			return err
		}))
		slices.Reverse(want)
		f.expectSessions(t, user.ID, want[:auth.MaxSessions]...)
	})

	t.Run("of many sessions with one id exactly one begins", func(t *testing.T) {
		t.Parallel()
		user := f.create(t, f.newUser())
		s := f.session(noon)
		errs := inParallel(10, func(i int) error {
			_, err := nodes.of(i).CreateSession(t.Context(), auth.SignIn{UserID: user.ID, Session: s})
			return err
		})
		expectOneWinner(t, errs, auth.ErrSessionIDTaken)
	})

	t.Run("of many revocations of one session exactly one finds it", func(t *testing.T) {
		t.Parallel()
		n := f.newUser()
		user := f.create(t, n)
		errs := inParallel(10, func(i int) error {
			return nodes.of(i).RevokeSession(t.Context(), user.ID, n.Session.ID)
		})
		expectOneWinner(t, errs, auth.ErrNotFound)
	})

	t.Run("nodes that write down uses of the same sessions in any order do not hinder each other", func(t *testing.T) {
		t.Parallel()
		user := f.create(t, f.newUser())
		ids := make([]auth.SessionID, 50)
		for i := range ids {
			ids[i] = f.signIn(t, user.ID, noon).ID
		}
		for round := range rounds {
			used := noon.Add(time.Duration(round+1) * time.Minute)
			expectNoErrors(t, inParallel(4, func(i int) error {
				uses := make([]auth.SessionUse, len(ids))
				for j, id := range ids {
					uses[j] = auth.SessionUse{ID: id, UsedAt: used.Add(time.Duration(i) * time.Microsecond), ExpiresAt: used.Add(time.Hour)}
				}
				if i%2 == 1 {
					slices.Reverse(uses)
				}
				return nodes.of(i).TouchSessions(t.Context(), uses)
			}))
		}
	})
}

func testRacingWorkers(t *testing.T, nodes nodes) {
	f := nodes[0]
	t.Run("of concurrent workers each gets other messages", func(t *testing.T) {
		t.Parallel()
		const messages, workers = 120, 8
		to := f.email().Address
		for range messages {
			f.queue(t, f.message(auth.MailResetPassword, 0, to))
		}
		leased := make([][]auth.OutboxMessage, workers)
		expectNoErrors(t, inParallel(workers, func(i int) error {
			for empty := 0; empty < 3; { // one that comes second to all that is due gets nothing, and there may be more
				list, err := nodes.of(i).LeaseMail(t.Context(), noon, distant, 10)
				if err != nil {
					return err
				}
				if len(list) == 0 {
					empty++
				}
				leased[i] = append(leased[i], list...)
			}
			return nil
		}))
		owner := make(map[auth.MessageID]int)
		for i, list := range leased {
			for _, m := range list {
				if other, ok := owner[m.ID]; ok {
					t.Errorf("workers %d and %d both got message %d", other, i, m.ID)
				}
				if m.Attempts != 1 {
					t.Errorf("message %d has %d attempts, want 1", m.ID, m.Attempts)
				}
				if m.Recipient == to { // other tests queue messages meanwhile
					owner[m.ID] = i
				}
			}
		}
		rest, err := f.LeaseMail(t.Context(), noon, distant, messages)
		must(t, "LeaseMail", err)
		rest = slices.DeleteFunc(rest, func(m auth.OutboxMessage) bool { return m.Recipient != to })
		if len(owner)+len(rest) != messages {
			t.Errorf("got %d messages, and %d afterwards, want %d in all", len(owner), len(rest), messages)
		}
	})

	t.Run("nodes that clean up at once delete everything that is due, once", func(t *testing.T) {
		t.Parallel()
		const guests = 60
		long := noon.AddDate(-20, 0, 0) // no other test's
		for range guests {
			n := f.newGuest()
			n.Now, n.Session = long, f.session(long)
			f.create(t, n)
		}
		due := auth.Due{Now: long.AddDate(1, 0, 0), GuestsBefore: long.AddDate(1, 0, 0)}
		counts := make([]int, 4)
		expectNoErrors(t, inParallel(len(counts), func(i int) error {
			for empty := 0; empty < 3; {
				n, err := nodes.of(i).CleanUp(t.Context(), due, 7)
				if err != nil {
					return err
				}
				if n == 0 {
					empty++
				}
				counts[i] += n
			}
			return nil
		}))
		rest, err := f.CleanUp(t.Context(), due, 2*guests)
		must(t, "CleanUp", err)
		for _, n := range counts {
			rest += n
		}
		if rest != 2*guests {
			t.Errorf("CleanUp deleted %d rows, want %d sessions and as many guests", rest, guests)
		}
	})
}

func expectNoErrors(t *testing.T, errs []error) {
	t.Helper()
	for i, err := range errs {
		if err != nil {
			t.Errorf("caller %d: %v", i, err)
		}
	}
}
