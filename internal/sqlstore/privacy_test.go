package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

// TestDeletionRemovesAllPersonalData looks at every text of the database, whatever table it is in.
func TestDeletionRemovesAllPersonalData(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		ctx := context.Background()
		store, db := open(t, cfg), raw(t, cfg)
		n := newUser("somebody")
		n.Email = &auth.Email{Address: "Personal@example.com", Key: "personal@example.com"}
		n.Profile = auth.Profile{Fullname: "personal name", Avatar: "personal.png", PhoneNumber: "personal number"}
		n.PasswordHash = "$personal"
		n.Identities = []auth.Identity{{Provider: "wechat", Subject: "personal openid"}}
		n.Session.Origin = auth.Origin{Address: netip.MustParseAddr("192.0.2.77"), UserAgent: "personal agent"}
		user, err := store.CreateUser(ctx, n)
		must(t, err)
		for _, m := range []auth.OutboxMessage{
			{Kind: auth.MailResetPassword, Recipient: n.Email.Key},
			{Kind: auth.MailPasswordChanged, Recipient: n.Email.Address, UserID: user.ID},
		} {
			m.Origin, m.QueuedAt, m.NotAfter = n.Session.Origin, noon, noon.Add(time.Hour)
			_, err := store.QueueMail(ctx, m)
			must(t, err)
		}
		messages, err := store.LeaseMail(ctx, noon, noon, 10)
		must(t, err)
		for _, m := range messages {
			must(t, store.FailMail(ctx, m.ID, "550 no personal@example.com here"))
		}
		must(t, store.IssueOneTimeToken(ctx, auth.OneTimeToken{
			MessageID: messages[0].ID, UserID: user.ID, Purpose: auth.PurposeResetPassword, Address: n.Email.Address, EmailKey: n.Email.Key,
			IssuedAt: noon, ExpiresAt: noon.Add(time.Hour),
		}))

		texts := []string{"personal", "192.0.2.77"}
		before := whereFound(t, db, cfg, texts...)
		for _, place := range []string{
			"users.email", "users.email_key", "users.fullname", "users.avatar", "users.phone_number", "users.password_hash",
			"identities.subject", "sessions.ip", "sessions.user_agent", "one_time_tokens.address", "one_time_tokens.email_key",
			"outbox.recipient", "outbox.ip", "outbox.user_agent", "outbox.last_error",
		} {
			if !slices.Contains(before, place) {
				t.Errorf("there was no personal data in %s: the test proves nothing of it", place)
			}
		}

		must(t, store.DeleteUser(ctx, user.ID, n.PasswordHash, noon))
		if found := whereFound(t, db, cfg, texts...); len(found) > 0 {
			t.Errorf("after the deletion there is personal data in %v", found)
		}
		if found := whereFound(t, db, cfg, n.Username); !slices.Equal(found, []string{"users.username"}) {
			t.Errorf("the username is in %v, want users.username alone", found)
		}
	})
}

// whereFound returns the columns, as table.column, in which one of the texts stands.
func whereFound(t *testing.T, db *sql.DB, cfg sqlstore.Config, texts ...string) []string {
	t.Helper()
	columns := sqliteSchema
	if cfg.PostgresURL != "" {
		columns = postgresSchema
	}
	var found []string
	for _, c := range columns(t, db).Columns {
		if c.Type != "text" {
			continue
		}
		for _, text := range texts {
			count := fmt.Sprintf("SELECT COUNT(*) FROM %s WHERE LOWER(%s) LIKE '%%%s%%'", c.Table, c.Name, text)
			if n := query(t, db, count, func(n *int) []any { return []any{n} }); n[0] > 0 {
				found = append(found, c.Table+"."+c.Name)
			}
		}
	}
	return found
}

// TestAbsenceIsNull: an empty text in a unique column would be taken by the first who has none.
func TestAbsenceIsNull(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		store := open(t, cfg)
		_, err := store.CreateUser(context.Background(), newGuest())
		must(t, err)
		absent := query(t, raw(t, cfg), `SELECT COUNT(*) FROM users WHERE email IS NULL AND email_key IS NULL AND email_verified_at IS NULL
			AND avatar IS NULL AND phone_number IS NULL AND password_hash IS NULL AND deleted_at IS NULL`,
			func(n *int) []any { return []any{n} })
		if absent[0] != 1 {
			t.Error("something that a guest has not is no NULL")
		}
	})
}
