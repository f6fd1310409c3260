//go:build linux

package nodetest_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/mail"
	"github.com/ideaegg/latchkey/internal/passhash"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

// storeConfig is what a stack needs of a database of PostgreSQL.
func storeConfig(url string) sqlstore.Config { return sqlstore.Config{PostgresURL: url} }

// stack is a store and a service in the tests' own process. Its hashes cost next to nothing, and the nodes take them.
type stack struct {
	store   *sqlstore.Store
	service *auth.Service
}

func newStack(t *testing.T, cfg sqlstore.Config) *stack {
	t.Helper()
	cache := auth.NewSessionCache()
	cfg.Cache, cfg.PlaceholderDomain, cfg.Logger = cache, dbtest.PlaceholderDomain, slog.New(slog.DiscardHandler)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	store, err := sqlstore.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	hasher, err := passhash.New(passhash.Config{Params: passhash.Params{MemoryKiB: 8, Passes: 1, Lanes: 1}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hasher.Close() })
	service, err := auth.New(auth.Config{
		Store: store, Identities: store, Codes: store, SignUps: store, Limits: store, AuditLog: store, Cache: cache, Hasher: hasher, Mailer: mail.NewWaker(), Logger: cfg.Logger, Now: cfg.Now,
		PublicURL: "https://accounts.example.com", PlaceholderDomain: dbtest.PlaceholderDomain, PasswordMinLength: 8,
		SessionIdle: 90 * 24 * time.Hour, GuestIdle: 30 * 24 * time.Hour, AuditKeep: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &stack{store, service}
}

// signUp signs a user up as newUser says, and returns the token.
func (s *stack) signUp(ctx context.Context, name string) (string, error) {
	in := newUser(name)
	signedIn, err := s.service.SignUp(ctx, auth.SignUp{
		Username: in["username"], Email: in["email"], Password: in["password"], PasswordConfirmation: in["password"],
	}, nil, auth.Origin{Language: auth.English})
	if err != nil {
		return "", fmt.Errorf("sign %s up: %w", name, err)
	}
	return signedIn.Token.Reveal(), nil
}
