package fill_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/bench/fill"
	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/passhash"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

func TestFilledUsersAreLikeAnyOther(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		ctx := t.Context()
		p, err := fill.New(ctx, 1000, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Database(ctx, fill.Config{SQLitePath: cfg.SQLitePath, PostgresURL: cfg.PostgresURL}, func(string, int, int) {}); err != nil {
			t.Fatal(err)
		}
		store, err := sqlstore.Open(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		}()
		hasher, err := passhash.New(passhash.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = hasher.Close() }()
		service, err := auth.New(auth.Config{
			Store: store, Identities: store, Codes: store, SignUps: store, Limits: store, AuditLog: store, Cache: auth.NewSessionCache(), Hasher: hasher, Mailer: noMail{}, Now: time.Now,
			PublicURL: "https://accounts.example.com", PlaceholderDomain: dbtest.PlaceholderDomain, PasswordMinLength: 8,
			SessionIdle: 90 * 24 * time.Hour, GuestIdle: 30 * 24 * time.Hour, AuditKeep: time.Hour,
		})
		if err != nil {
			t.Fatal(err)
		}

		for _, i := range []int{0, 1, 63, 64, 999} {
			current, err := service.Authenticate(ctx, auth.SessionToken(p.Token(i)))
			if err != nil {
				t.Fatalf("token of user %d: %v", i, err)
			}
			if current.User.Username != p.Username(i) || current.User.Email != p.Email(i) || current.User.ID != auth.UserID(i+1) {
				t.Errorf("got %v, want user %d", current.User, i)
			}
		}
		if _, err := service.SignIn(ctx, p.Email(17), fill.Password, auth.Origin{}); err != nil {
			t.Errorf("sign in by address: %v", err)
		}
		if _, err := service.SignIn(ctx, p.Username(18), fill.Password, auth.Origin{}); err != nil {
			t.Errorf("sign in by name: %v", err)
		}
		guest, err := service.SignUpGuest(ctx, auth.Origin{})
		if err != nil {
			t.Fatal(err)
		}
		if guest.User.ID <= 1000 {
			t.Errorf("got id %d for a new user, want one behind those that were filled in", guest.User.ID)
		}
		_, err = service.SignUp(ctx, auth.SignUp{Username: p.Username(5), Email: "other@bench.example", Password: fill.Password, PasswordConfirmation: fill.Password}, nil, auth.Origin{})
		if err == nil {
			t.Error("got a second user of a name, want the unique index to refuse it")
		}
	})
}

// noMail wakes nobody.
type noMail struct{}

func (noMail) Wake() {}

func TestEverybodyIsSomebodyElse(t *testing.T) {
	t.Parallel()
	p, err := fill.New(t.Context(), 50_000, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	names, ids, last := map[string]bool{}, map[auth.SessionID]bool{}, auth.SessionID(0)
	for i := range p.Users {
		names[p.Username(i)] = true
		id, err := auth.SessionToken(p.Token(i)).SessionID()
		if err != nil {
			t.Fatalf("token of user %d: %v", i, err)
		}
		if id <= last {
			t.Fatalf("got session %d behind %d, want ids that grow", id, last)
		}
		ids[id], last = true, id
	}
	if len(names) != p.Users || len(ids) != p.Users {
		t.Errorf("got %d names and %d sessions, want %d", len(names), len(ids), p.Users)
	}
}

func TestPopulationIsLoadedAsItWasSaved(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p, err := fill.New(t.Context(), 3, now)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "users-3.json")
	if err := p.Save(path); err != nil {
		t.Fatal(err)
	}
	got, err := fill.Load(path, now)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p, got); diff != "" {
		t.Errorf("got another population (-want +got):\n%s", diff)
	}
	if _, err := fill.Load(path, now.Add(30*24*time.Hour)); err == nil {
		t.Error("got a population whose sessions end soon, want an error")
	}
}
