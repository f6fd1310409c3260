//go:build unix

package sqlstore_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

// TestFullDisk runs itself in a process that may not write large files. That process must live, read, say that it
// cannot write, keep what it has acknowledged, and write again as soon as it can.
func TestFullDisk(t *testing.T) {
	const path = "LATCHKEY_TEST_FILL"
	if child := os.Getenv(path); child != "" {
		cfg := dbtest.SQLite(t)
		cfg.SQLitePath = child
		fillDisk(t, cfg)
		return
	}
	t.Parallel()
	cfg := dbtest.SQLite(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), path+"="+cfg.SQLitePath)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	store := open(t, cfg)
	acknowledged := 0
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		if name, ok := strings.CutPrefix(lines.Text(), "acknowledged "); ok {
			acknowledged++
			if !exists(t, store, name) {
				t.Errorf("%s was acknowledged and is not there", name)
			}
		}
	}
	if acknowledged < 3 {
		t.Errorf("only %d users were acknowledged\n%s", acknowledged, out)
	}
}

func fillDisk(t *testing.T, cfg sqlstore.Config) {
	store := open(t, cfg)
	// limit sets how many bytes a file may have. What is longer already can be read, and overwritten below the limit.
	limit := func(bytes uint64) {
		t.Helper()
		var l syscall.Rlimit
		must(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &l))
		l.Cur = min(bytes, l.Max)
		must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l))
	}
	create := func(name string) error {
		n := newUser(name)
		n.Avatar = strings.Repeat("a", 2048)
		_, err := store.CreateUser(context.Background(), n)
		if err == nil {
			fmt.Println("acknowledged", name)
		}
		return err
	}

	must(t, create("before"))
	if !exists(t, store, "before") {
		t.Fatal("the first user cannot be found")
	}
	limit(1 << 19)
	full := -1
	for i := range 10_000 {
		if err := create(fmt.Sprintf("user%d", i)); err != nil {
			expectUnavailable(t, err)
			full = i
			break
		}
	}
	if full < 1 {
		t.Fatal("the disk did not become full")
	}
	limit(1 << 12) // where it failed before, SQLite may have found room by moving the log into the database
	for i := range 20 {
		expectUnavailable(t, create(fmt.Sprintf("lost%d", i)))
	}
	expectUnavailable(t, store.SetStatus(context.Background(), 1, auth.StatusDisabled))
	for i := range full {
		if !exists(t, store, fmt.Sprintf("user%d", i)) {
			t.Errorf("user%d cannot be found while the disk is full", i)
		}
	}

	limit(1 << 62)
	must(t, create("after"))
	for i := range 20 {
		if exists(t, store, fmt.Sprintf("lost%d", i)) {
			t.Errorf("lost%d was told that it failed, and was written all the same", i)
		}
	}
}
