package main_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/bench/report"
)

// build builds the benchmark and returns a function that runs it.
func build(t *testing.T) func(args ...string) (stdout, stderr string, err error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bench")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return func(args ...string) (string, string, error) {
		cmd := exec.CommandContext(ctx, path, args...)
		var out, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &stderr
		err := cmd.Run()
		return out.String(), stderr.String(), err
	}
}

func TestProgram(t *testing.T) {
	t.Parallel()
	bench := build(t)

	t.Run("what cannot be meant is refused", func(t *testing.T) {
		t.Parallel()
		for _, args := range []string{"-rounds 0", "-duration -1s", "-only (", "-users 10000", "old.json", "-compare a.json b.json c.json", "-compare no-such.json", "-database mysql://"} {
			if _, stderr, err := bench(strings.Fields(args)...); err == nil || !strings.Contains(stderr, "bench: ") {
				t.Errorf("%s: got %v and %q, want a message", args, err, stderr)
			}
		}
	})

	t.Run("two reports are compared without measuring", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		write := func(name string, ratio float64) string {
			f, err := os.Create(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			r := report.Report{Rows: []report.Row{{Name: "user", Ratio: report.Of(ratio), Goal: &report.Goal{AtLeast: .85}}}}
			if err := r.WriteJSON(f); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			return f.Name()
		}
		got, stderr, err := bench("-compare", write("old.json", .9), write("new.json", .6))
		if err != nil {
			t.Fatalf("got %v, want exit code 0 though something is worse: %s", err, stderr)
		}
		if want := "WORSE   user: 0.60, was 0.90; the goal is NOT met any more"; !strings.Contains(got, want) {
			t.Errorf("got %q, want it to say %q", got, want)
		}
	})

	t.Run("JSON on stdout leaves the table to stderr", func(t *testing.T) {
		t.Parallel()
		stdout, stderr, err := bench("-quick", "-only", "^(idle|size)$", "-json", "-")
		if err != nil {
			t.Fatalf("%v: %s", err, stderr)
		}
		var r report.Report
		if err := json.Unmarshal([]byte(stdout), &r); err != nil {
			t.Fatalf("%v in %q", err, stdout)
		}
		var names []string
		for _, row := range r.Rows {
			names = append(names, row.Name)
			if row.Ours == nil && row.Note == "" || row.Ours != nil && row.Ours.Median <= 0 {
				t.Errorf("%s: got %v, want a figure", row.Name, row.Ours)
			}
		}
		if got, want := strings.Join(names, " "), "idle size"; got != want {
			t.Errorf("got rows %s, want %s", got, want)
		}
		if !strings.Contains(stderr, "stripped binary") {
			t.Errorf("got %q on stderr, want the table there when the JSON is on stdout", stderr)
		}
	})
}
