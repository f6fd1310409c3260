package sqlstore_test

import (
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

// TestEveryAttemptAtACodeCommitsOneWrite: a transaction that wrote waits for the disk, one that wrote nothing does not, and
// how long that takes can be seen from outside. So an attempt writes whether there is a code to count it against or not.
func TestEveryAttemptAtACodeCommitsOneWrite(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		ctx := t.Context()
		store := open(t, cfg)
		user, _ := newMember(t, store)
		without, _ := newMember(t, store)
		message, err := store.QueueMail(ctx, *letter(auth.MailResetPassword, user.Email))
		must(t, err)
		token := auth.OneTimeToken{
			MessageID: message, UserID: user.ID, Purpose: auth.PurposeResetPassword, Address: user.Email, EmailKey: user.Email,
			IssuedAt: noon, ExpiresAt: noon.Add(time.Hour),
		}
		must(t, store.IssueOneTimeToken(ctx, token))
		address := auth.Email{Address: "pending@example.com", Key: "pending@example.com"}
		must(t, store.RequestSignUp(ctx, auth.PendingSignUp{
			Username: "pending", Email: address, PasswordHash: "$", Language: auth.English, ExpiresAt: noon.Add(time.Hour),
		}, *letter(auth.MailConfirmSignUp, address.Address)))
		batch, err := store.LeaseMail(ctx, noon, noon.Add(time.Hour), 10)
		must(t, err)
		for _, m := range batch {
			if m.Kind == auth.MailConfirmSignUp {
				_, err = store.MailSignUp(ctx, m.ID, auth.TokenHash{1}, [32]byte{2}, auth.MaxSignUpMails, noon)
				must(t, err)
			}
		}

		code := func(user auth.UserID) func() (int, error) {
			return func() (int, error) {
				live, err := store.AttemptOneTimeCode(ctx, user, [2]auth.Purpose{auth.PurposeResetPassword, auth.PurposeResetPassword}, noon)
				return len(live), err
			}
		}
		signUp := func(key string) func() (int, error) {
			return func() (int, error) {
				live, err := store.AttemptSignUpCode(ctx, key, noon)
				return len(live), err
			}
		}
		writes := writeCounter(t, cfg)
		for _, tt := range []struct {
			name    string
			attempt func() (live int, err error)
			live    int
		}{
			{"a user with a code", code(user.ID), 1},
			{"a user without a code", code(without.ID), 0},
			{"nobody", code(0), 0},
			{"a pending sign-up", signUp(address.Key), 1},
			{"an address that nobody signed up with", signUp("nobody@example.com"), 0},
		} {
			for i := range auth.MaxCodeAttempts + 1 { // with the last one the code is dead
				before := writes()
				live, err := tt.attempt()
				must(t, err)
				if want := tt.live; i < auth.MaxCodeAttempts && live != want || i == auth.MaxCodeAttempts && live != 0 {
					t.Errorf("%s, attempt %d: got %d codes to compare", tt.name, i+1, live)
				}
				if got := writes() - before; got != 1 {
					t.Errorf("%s, attempt %d: got %d transactions that wrote, want 1", tt.name, i+1, got)
				}
			}
		}
	})
}

// writeCounter returns what counts the committed transactions that wrote to the database. SQLite says so itself, to
// other connections (PRAGMA data_version). PostgreSQL gives numbers to transactions of all databases; those that left rows
// here are told apart by theirs.
func writeCounter(t *testing.T, cfg sqlstore.Config) func() int64 {
	t.Helper()
	query := "PRAGMA data_version"
	if cfg.PostgresURL != "" {
		query = "SELECT COUNT(DISTINCT xmin::text) FROM invalidations"
	}
	db := raw(t, cfg)
	conn, err := db.Conn(t.Context())
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return func() (n int64) {
		must(t, conn.QueryRowContext(t.Context(), query).Scan(&n))
		return n
	}
}
