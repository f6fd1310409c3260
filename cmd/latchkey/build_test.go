package main_test

import (
	"context"
	"debug/buildinfo"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/dbtest"
)

// TestStrippedProgramServes builds the program as it is given to people, without cgo and symbols.
func TestStrippedProgramServes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "latchkey")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute) // without a cache everything is compiled
	defer cancel()
	build := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}

	info, err := buildinfo.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, module := range info.Deps {
		if module.Path == "github.com/google/go-cmp" || module.Path == "github.com/rogpeppe/go-internal" {
			t.Errorf("got %s in the program, want what is for tests only there", module.Path)
		}
	}
	stat, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if most := int64(32_000_000); stat.Size() > most {
		t.Errorf("got %d bytes, want at most %d", stat.Size(), most)
	}

	cfg := dbtest.SQLite(t)
	p := start(t, launch{path: path, args: []string{"serve", "--dev", "--listen=127.0.0.1:0", database(cfg)}})
	in := newUser("stripped")
	first := p.signedIn(t, "/sign_up", in)
	second := p.signedIn(t, "/sign_in", members{"login": in["email"], "password": in["password"]})
	if first.ID != second.ID || first.PrivateToken == second.PrivateToken {
		t.Errorf("got user %d and then %d, want the same with another token", first.ID, second.ID)
	}
	p.call(t, http.StatusOK, http.MethodGet, "/readyz", nil)
	wrong, err := p.do(http.MethodPost, "/sign_in", members{"login": in["email"], "password": "wrong"})
	if err != nil {
		t.Fatal(err)
	}
	if problem := decode[latchkey.Problem](t, wrong); problem.Code != latchkey.CodeInvalidCredentials {
		t.Errorf("got code %q for a wrong password, want %q", problem.Code, latchkey.CodeInvalidCredentials)
	}
	if code, _ := p.terminate(); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
}
