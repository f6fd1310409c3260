package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

// userRow is a row of userColumns.
type userRow struct {
	id                       int64
	username                 string
	email                    *string
	emailVerifiedAt          *int64
	fullname                 string
	avatar, phone            *string
	phoneVerifiedAt          *int64
	passwordHash             *string
	guest, status, createdAt int64
	language                 string
}

func (r *userRow) dest() []any {
	return []any{
		&r.id, &r.username, &r.email, &r.emailVerifiedAt, &r.fullname, &r.avatar, &r.phone, &r.phoneVerifiedAt, &r.passwordHash,
		&r.guest, &r.status, &r.language, &r.createdAt,
	}
}

func (s *Store) user(r userRow) auth.User {
	u := auth.User{
		ID:             auth.UserID(r.id),
		Username:       r.username,
		Email:          text(r.email),
		EmailGenerated: r.email == nil,
		EmailVerified:  r.emailVerifiedAt != nil,
		Fullname:       r.fullname,
		Avatar:         text(r.avatar),
		PhoneNumber:    text(r.phone),

		PhoneNumberVerified: r.phoneVerifiedAt != nil,

		Guest:     r.guest == 1,
		Status:    auth.Status(r.status),
		Language:  auth.Language(r.language),
		CreatedAt: fromMicros(r.createdAt),
	}
	if u.EmailGenerated {
		u.Email = u.Username + "@" + s.placeholder
	}
	return u
}

// queryUser runs a statement that returns userColumns; no row is the error absent.
func (s *Store) queryUser(ctx context.Context, q querier, absent error, sql string, args ...any) (auth.User, auth.PasswordHash, error) {
	var r userRow
	switch err := q.row(ctx, sql, args, r.dest()...); {
	case errors.Is(err, errNoRows):
		return auth.User{}, "", absent
	case err != nil:
		return auth.User{}, "", err
	}
	return s.user(r), auth.PasswordHash(text(r.passwordHash)), nil
}

// findUser is queryUser outside a transaction.
func (s *Store) findUser(ctx context.Context, sql string, args ...any) (user auth.User, hash auth.PasswordHash, err error) {
	err = s.engine.read(ctx, func(ctx context.Context, q querier) error {
		user, hash, err = s.queryUser(ctx, q, auth.ErrNotFound, sql, args...)
		return err
	})
	if err != nil {
		return auth.User{}, "", err
	}
	return user, hash, nil
}

// FindUser implements auth.Store.
func (s *Store) FindUser(ctx context.Context, id auth.UserID) (auth.User, auth.PasswordHash, error) {
	return s.findUser(ctx, selectUserByID, int64(id))
}

// FindLogin implements auth.Store.
func (s *Store) FindLogin(ctx context.Context, login auth.Login) (auth.User, auth.PasswordHash, error) {
	switch {
	case login.EmailKey != "":
		return s.findUser(ctx, selectUserByEmail, login.EmailKey)
	case login.GeneratedFor != "":
		return s.findUser(ctx, selectUserByGeneratedEmail, login.GeneratedFor)
	}
	return s.findUser(ctx, selectUserByUsername, login.Username)
}

// FindIdentity implements auth.Store.
func (s *Store) FindIdentity(ctx context.Context, i auth.Identity) (auth.User, error) {
	user, _, err := s.findUser(ctx, selectUserByIdentity, i.Provider, i.AppID, i.Subject)
	return user, err
}

// CreateUser implements auth.Store.
func (s *Store) CreateUser(ctx context.Context, n auth.NewUser) (auth.User, error) {
	id, err := s.engine.newUserID(ctx)
	if err != nil {
		return auth.User{}, fmt.Errorf("take id for a user: %w", err)
	}
	row := userRow{id: id}
	err = s.engine.write(ctx, func(ctx context.Context, q querier) error { return s.createUser(ctx, q, n, &row) })
	switch {
	case errors.Is(err, errKeyUsed):
		return auth.User{}, s.whoseKey(ctx, n.Key, n.Now)
	case errors.Is(err, errUnique):
		err := s.whatIsTaken(ctx, 0, n.Username, n.Email, n.Identities)
		if errors.Is(err, auth.ErrSessionIDTaken) {
			s.engine.forgetUserIDs() // or the user's id was it: a standby took over that gives out its predecessor's last ids again
		}
		return auth.User{}, err
	case err != nil:
		return auth.User{}, err
	}
	return s.user(row), nil
}

// createUser inserts a user and what belongs to them. The row's id is that of newUserID; the rest is filled in when something
// behind it was waited for, or the transaction has been committed.
func (s *Store) createUser(ctx context.Context, q querier, n auth.NewUser, row *userRow) error {
	address, key := emailParams(n.Email)
	insert := statement{doing: "insert user", sql: insertUser, dest: row.dest(), check: orElse(errUnique), args: []any{
		n.Username, address, key, n.Fullname,
		nullable(n.Avatar), nullable(n.PhoneNumber), nullable(n.PasswordHash), flag(n.Guest), string(n.Language), micros(n.Now),
		verifiedAt(n.Profile, n.Now), idOrNull(auth.UserID(row.id)),
	}}
	if n.Guest {
		insert.sql, insert.check = insertGuest, nil
	}
	if err := q.later(ctx, insert); err != nil {
		return err
	}
	user := auth.UserID(row.id)
	if err := s.addWaysIn(ctx, q, user, n.Identities, n.Session, n.Now); err != nil {
		return err
	}
	if err := s.useGuestKey(ctx, q, n.Key, user, n.Now); err != nil {
		return err
	}
	return s.welcome(ctx, q, user, n.Email, n.Mail, n.Now)
}

// UpgradeGuest implements auth.Store.
func (s *Store) UpgradeGuest(ctx context.Context, g auth.GuestUpgrade) (auth.User, error) {
	var row userRow
	err := s.change(ctx, g.UserID, func(ctx context.Context, q querier) error { return s.upgradeGuest(ctx, q, g, &row) })
	switch {
	case errors.Is(err, errUnique):
		return auth.User{}, s.whatIsTaken(ctx, g.UserID, g.Username, g.Email, g.Identities)
	case err != nil:
		return auth.User{}, err
	}
	return s.user(row), nil
}

// upgradeGuest fills row as createUser does.
func (s *Store) upgradeGuest(ctx context.Context, q querier, g auth.GuestUpgrade, row *userRow) error {
	address, key := emailParams(g.Email)
	if err := q.later(ctx, statement{
		doing: "lock guest", sql: lockGuest, args: []any{int64(g.UserID)}, check: orElse(auth.ErrChanged),
	}); err != nil {
		return err
	}
	if err := s.lookTaken(ctx, q, g.UserID, g.Username, text(key)); err != nil {
		return err
	}
	if err := q.later(ctx, statement{
		doing: "update guest", sql: updateGuestToUser, dest: row.dest(), check: orElse(auth.ErrChanged), args: []any{
			int64(g.UserID), nullable(g.Username), address, key,
			nullable(g.Fullname), nullable(g.Avatar), nullable(g.PhoneNumber), nullable(g.PasswordHash), micros(g.Now),
			verifiedAt(g.Profile, g.Now),
		},
	}); err != nil {
		return err
	}
	if err := endSessions(ctx, q, g.UserID); err != nil {
		return err
	}
	if err := s.addWaysIn(ctx, q, g.UserID, g.Identities, g.Session, g.Now); err != nil {
		return err
	}
	return s.welcome(ctx, q, g.UserID, g.Email, g.Mail, g.Now)
}

// lookTaken returns errUnique if the name or the address, where one is given, is another user's. It decides nothing: that is
// the unique index's, under a race. But PostgreSQL writes what an index refuses into its log, name and address included,
// and an UPDATE has no ON CONFLICT: so what is known to be refused is not tried.
func (s *Store) lookTaken(ctx context.Context, q querier, self auth.UserID, username, emailKey string) error {
	names, addresses, err := s.countTaken(ctx, q, self, username, emailKey)
	if err == nil && names+addresses > 0 {
		return errUnique
	}
	return err
}

// countTaken returns how many other users have the name and the address; "" is nobody's.
func (s *Store) countTaken(ctx context.Context, q querier, self auth.UserID, username, emailKey string) (names, addresses int64, err error) {
	if err := q.later(ctx, statement{
		doing: "look for username", sql: selectUsernameTaken, args: []any{username, int64(self)}, dest: []any{&names},
	}); err != nil {
		return 0, 0, err
	}
	if err := q.row(ctx, selectEmailTaken, []any{emailKey, int64(self)}, &addresses); err != nil {
		return 0, 0, fmt.Errorf("look for address: %w", err)
	}
	return names, addresses, nil
}

// welcome makes sure that a new address is nobody else's to take back, and queues the mail that goes to it.
func (s *Store) welcome(ctx context.Context, q querier, user auth.UserID, email *auth.Email, mail *auth.OutboxMessage, now time.Time) error {
	if email == nil {
		return nil
	}
	if err := s.refuseHeld(ctx, q, email.Key, user, now); err != nil {
		return err
	}
	if mail == nil {
		return nil
	}
	m := *mail
	m.UserID = user
	return s.insertMessage(ctx, q, &m)
}

func emailParams(e *auth.Email) (address, key *string) {
	if e == nil {
		return nil, nil
	}
	return &e.Address, &e.Key
}

// verifiedAt is when the profile's phone number was verified, nil if it was not.
func verifiedAt(p auth.Profile, now time.Time) *int64 {
	if !p.PhoneNumberVerified {
		return nil
	}
	return new(micros(now))
}

// addWaysIn adds the identities, if any, and the first session of a user; the zero Session is none.
func (s *Store) addWaysIn(ctx context.Context, q querier, user auth.UserID, identities []auth.Identity, session auth.Session, now time.Time) error {
	for _, identity := range identities {
		if err := q.later(ctx, statement{
			doing: "insert identity", sql: insertIdentity,
			args:  []any{int64(user), identity.Provider, identity.AppID, identity.Subject, micros(now)},
			check: orElse(errUnique),
		}); err != nil {
			return err
		}
	}
	if session.ID == 0 {
		return nil
	}
	return s.insertSession(ctx, q, user, session)
}

// whatIsTaken finds out after a unique index refused a row which of the names it was. The session's id is left when
// it was none of them; a name that became free meanwhile looks like that too, and another try is right for both.
func (s *Store) whatIsTaken(ctx context.Context, self auth.UserID, username string, email *auth.Email, identities []auth.Identity) error {
	for _, identity := range identities {
		_, err := s.FindIdentity(ctx, identity)
		switch {
		case err == nil:
			return auth.ErrIdentityTaken
		case !errors.Is(err, auth.ErrNotFound):
			return err
		}
	}
	_, key := emailParams(email)
	var names, addresses int64
	err := s.engine.read(ctx, func(ctx context.Context, q querier) (err error) {
		names, addresses, err = s.countTaken(ctx, q, self, username, text(key))
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("find what is taken: %w", err)
	case names == 0 && addresses == 0:
		return auth.ErrSessionIDTaken
	}
	return &auth.TakenError{Username: names > 0, Email: addresses > 0}
}

// UpdateProfile implements auth.Store.
func (s *Store) UpdateProfile(ctx context.Context, id auth.UserID, c auth.ProfileChange) (auth.User, error) {
	var user auth.User
	err := s.change(ctx, id, func(ctx context.Context, q querier) (err error) {
		user, _, err = s.queryUser(ctx, q, auth.ErrNotFound, updateUserProfile, int64(id), c.Fullname,
			flag(c.Avatar != nil), nullable(text(c.Avatar)), flag(c.PhoneNumber != nil), nullable(text(c.PhoneNumber)))
		return err
	})
	return user, err
}

// ChangePassword implements auth.Store.
func (s *Store) ChangePassword(ctx context.Context, c auth.PasswordChange) (auth.User, error) {
	var user auth.User
	err := s.change(ctx, c.UserID, func(ctx context.Context, q querier) (err error) {
		user, _, err = s.queryUser(ctx, q, auth.ErrChanged, updateUserPassword,
			int64(c.UserID), nullable(c.Verified), string(c.New), micros(c.Now))
		if err != nil {
			return fmt.Errorf("update password: %w", err)
		}
		if c.Current != 0 {
			if err := mustLive(ctx, q, user.ID, c.Current); err != nil {
				return err
			}
		}
		if err := s.endResets(ctx, q, user.ID, user.Email); err != nil {
			return err
		}
		if err := unlock(ctx, q, user.ID); err != nil {
			return err
		}
		if err := endSessions(ctx, q, user.ID); err != nil {
			return err
		}
		if err := s.insertSession(ctx, q, user.ID, c.Session); err != nil {
			return err
		}
		return s.insertMessage(ctx, q, c.Notice)
	})
	if errors.Is(err, errUnique) {
		return auth.User{}, auth.ErrSessionIDTaken
	}
	return user, err
}

// DeleteUser implements auth.Store.
func (s *Store) DeleteUser(ctx context.Context, id auth.UserID, verified auth.PasswordHash, now time.Time) error {
	return s.change(ctx, id, func(ctx context.Context, q querier) error {
		user, _, err := s.queryUser(ctx, q, auth.ErrChanged, lockUserWithPassword, int64(id), nullable(verified))
		if err != nil {
			return fmt.Errorf("lock user: %w", err)
		}
		return s.eraseUser(ctx, q, user, now)
	})
}

// eraseUser leaves nothing of a user but the username, for as long as that is held.
func (s *Store) eraseUser(ctx context.Context, q querier, user auth.User, now time.Time) error {
	if err := s.endResets(ctx, q, user.ID, user.Email); err != nil {
		return err
	}
	if err := q.later(ctx, statement{doing: "delete sign-ups", sql: deleteSignUpsTo, args: []any{strings.ToLower(user.Email)}}); err != nil {
		return err
	}
	if err := q.later(ctx, statement{doing: "update user", sql: updateUserDeleted, args: []any{int64(user.ID), micros(now)}}); err != nil {
		return err
	}
	for _, sql := range []string{deleteSessionsOfUser, deleteIdentitiesOfUser, deleteOneTimeTokensOfUser, deleteMessagesOfUser} {
		if err := q.later(ctx, statement{doing: "delete what belongs to the user", sql: sql, args: []any{int64(user.ID)}}); err != nil {
			return err
		}
	}
	return unlock(ctx, q, user.ID)
}

// SetStatus implements auth.Store.
func (s *Store) SetStatus(ctx context.Context, id auth.UserID, status auth.Status) error {
	return s.change(ctx, id, func(ctx context.Context, q querier) error {
		n, err := q.exec(ctx, updateUserStatus, int64(id), int64(status))
		if err == nil && n == 0 {
			return auth.ErrNotFound
		}
		return err
	})
}
