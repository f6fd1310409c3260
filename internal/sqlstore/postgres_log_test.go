package sqlstore_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/dbtest"
)

// TestTakenNamesAreNoErrorsOfTheDatabase: a server writes the errors that it answers with into its log, and with a unique
// index's the name, address or openid that it refused.
func TestTakenNamesAreNoErrorsOfTheDatabase(t *testing.T) {
	t.Parallel()
	cfg := dbtest.Postgres(t)
	heard := new(overheard)
	cfg.PostgresURL = listenIn(t, cfg.PostgresURL, heard)
	store := open(t, cfg)
	ctx := context.Background()
	first, second, guest := newUser("first"), newUser("second"), newGuest()
	first.Identities = []auth.Identity{{Provider: "wechat", AppID: "wx0a", Subject: "openid"}}
	created, err := store.CreateUser(ctx, first)
	must(t, err)
	other, err := store.CreateUser(ctx, second)
	must(t, err)
	visitor, err := store.CreateUser(ctx, guest)
	must(t, err)

	for name, change := range map[string]func(*auth.NewUser){
		"username": func(n *auth.NewUser) { n.Username = first.Username },
		"address":  func(n *auth.NewUser) { n.Email = first.Email },
		"identity": func(n *auth.NewUser) { n.Identities = first.Identities },
	} {
		n := newUser("taker_of_" + name)
		change(&n)
		if _, err := store.CreateUser(ctx, n); err == nil {
			t.Errorf("CreateUser with a taken %s succeeded", name)
		}
		if _, err := store.UpgradeGuest(ctx, auth.GuestUpgrade{
			UserID: visitor.ID, Username: n.Username, Email: n.Email, Identities: n.Identities, Now: noon, Session: n.Session,
		}); err == nil {
			t.Errorf("UpgradeGuest with a taken %s succeeded", name)
		}
	}
	change := auth.OneTimeToken{
		UserID: other.ID, Purpose: auth.PurposeChangeEmail, Address: first.Email.Address, EmailKey: first.Email.Key,
		IssuedAt: noon, ExpiresAt: noon.Add(time.Hour),
	}
	if _, err := store.ConfirmEmail(ctx, auth.EmailConfirmation{Token: change, Old: second.Email.Address, Now: noon}); err == nil {
		t.Error("ConfirmEmail with a taken address succeeded")
	}
	change.Purpose = auth.PurposeUndoEmailChange
	if err := store.UndoEmailChange(ctx, change, noon); err == nil {
		t.Error("UndoEmailChange with a taken address succeeded")
	}
	if created.ID == 0 || !heard.contains("openid") && !heard.contains(first.Username) {
		t.Fatal("nothing was overheard: the test proves nothing")
	}
	if heard.contains("C23505") { // unique_violation, in an ErrorResponse
		t.Error("an index refused a row where the statement should not have tried")
	}
}

// overheard is what a server said.
type overheard struct {
	mu   sync.Mutex
	said bytes.Buffer
}

func (h *overheard) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.said.Write(b)
}

func (h *overheard) contains(s string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return bytes.Contains(h.said.Bytes(), []byte(s))
}

// listenIn returns the URL of a listener that leads to the server and writes down what it says.
func listenIn(t *testing.T, serverURL string, to io.Writer) string {
	t.Helper()
	u, err := url.Parse(serverURL)
	must(t, err)
	server := u.Host
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			upstream, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", server)
			if err != nil {
				_ = client.Close()
				return
			}
			go func() {
				_, _ = io.Copy(upstream, client)
				_ = upstream.Close()
			}()
			go func() {
				_, _ = io.Copy(client, io.TeeReader(upstream, to))
				_ = client.Close()
			}()
		}
	}()
	u.Host = listener.Addr().String()
	query := u.Query()
	query.Set("sslmode", "disable")
	u.RawQuery = query.Encode()
	return u.String()
}
