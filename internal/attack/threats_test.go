package attack_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestThreatsNameWhatExists holds docs/threats.md to the tests that there are: each line names one at least, and all that
// are named exist.
func TestThreatsNameWhatExists(t *testing.T) {
	t.Parallel()
	const root = "../.."
	known := make(map[string]bool)
	for _, f := range families() {
		for _, c := range f.attacks {
			known[f.name+"/"+c.name] = true
		}
	}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range function.FindAllStringSubmatch(string(text), -1) {
			known[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "threats.md"))
	if err != nil {
		t.Fatal(err)
	}
	quoted := regexp.MustCompile("`([^`]+)`")
	threats := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, " | ")
		if len(cells) != 4 || strings.HasPrefix(line, "| threat |") {
			continue
		}
		threats++
		names := quoted.FindAllStringSubmatch(cells[2], -1)
		if len(names) == 0 {
			t.Errorf("got no test in %q, want one", line)
		}
		for _, m := range names {
			if !known[m[1]] {
				t.Errorf("got %q for %q, want a test or a case that exists", m[1], cells[0])
			}
		}
		if strings.TrimRight(cells[3], " |\n") == "" {
			t.Errorf("got nothing that %q answers", cells[0])
		}
	}
	if threats < 40 {
		t.Errorf("got %d threats, want all that were there", threats)
	}
}
