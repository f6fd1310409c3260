package main_test

import (
	"io"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ideaegg/latchkey/internal/dbtest"
)

// TestCopyShowsItsProgressOnATerminal runs the copy with its messages on a terminal, and its result in a pipe.
func TestCopyShowsItsProgressOnATerminal(t *testing.T) {
	t.Parallel()
	to := dbtest.Postgres(t)
	from := dbtest.SQLite(t)
	p := develop(t, from)
	p.guest(t)
	p.terminate()

	keyboard, screen := openTerminal(t)
	cmd := launch{args: []string{"copy", "--from=sqlite:" + from.SQLitePath, "--to=" + to.PostgresURL}}.command(t)
	stdout := newOutput()
	cmd.Stdout, cmd.Stderr = stdout, screen
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	shown := make(chan string)
	go func() {
		b, _ := io.ReadAll(keyboard) // ends with an error once nobody has the terminal open
		shown <- string(b)
	}()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	screen.Close()
	text := <-shown
	if bar := regexp.MustCompile(`\rusers +\[#+\] 1/1\x1b\[K\r`); !bar.MatchString(text) {
		t.Errorf("got %q on the terminal, want a bar that ends with 1/1 users", text)
	}
	if want := regexp.MustCompile(`(?m)^ +users +1 +1$`); !want.MatchString(stdout.String()) {
		t.Errorf("got output %q, want the number of users", stdout)
	}
}

// openTerminal returns both sides of a new terminal (pts(4)).
func openTerminal(t *testing.T) (keyboard, screen *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keyboard.Close() })
	fd := int(keyboard.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	screen, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = screen.Close() })
	return keyboard, screen
}
