package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestExtract(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		files map[string]string
		want  []string
		fault string
	}{
		{
			name:  "a package",
			files: map[string]string{listName: `["monkey","abc123"]`, licenseName: "MIT\n", "package/src/diceware.json": `["abacus"]`},
			want:  []string{"monkey", "abc123"},
		},
		{name: "no list", files: map[string]string{licenseName: "MIT\n"}, fault: listName + " is absent"},
		{name: "empty list", files: map[string]string{licenseName: "MIT\n", listName: `[]`}, fault: listName + " is absent or empty"},
		{name: "no licence", files: map[string]string{listName: `["monkey"]`}, fault: licenseName + " is absent"},
		{name: "list of other things", files: map[string]string{licenseName: "MIT\n", listName: `[1]`}, fault: "cannot unmarshal"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			list, license, err := extract(tarball(t, tt.files))
			if tt.fault != "" {
				wantFault(t, err, tt.fault)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, list); diff != "" {
				t.Errorf("list (-want +got):\n%s", diff)
			}
			if got := string(license); got != "MIT\n" {
				t.Errorf("got licence %q, want %q", got, "MIT\n")
			}
		})
	}
}

func TestNormalize(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		list  []string
		want  []string
		fault string
	}{
		{name: "the most common first", list: []string{"monkey", "abc123", "!@#"}, want: []string{"!@#", "abc123", "monkey"}},
		{name: "capital letters", list: []string{"Monkey", "monkey", "ABC"}, want: []string{"abc", "monkey"}},
		{name: "the longest", list: []string{strings.Repeat("a", 127)}, want: []string{strings.Repeat("a", 127)}},
		{name: "too long", list: []string{strings.Repeat("a", 128)}, fault: "128 bytes, want 1 to 127"},
		{name: "empty", list: []string{"monkey", ""}, fault: "0 bytes"},
		{name: "another script", list: []string{"пароль"}, fault: "not of printable ASCII"},
		{name: "control character", list: []string{"mon\tkey"}, fault: "not of printable ASCII"},
		{name: "zero byte", list: []string{"mon\x00key"}, fault: "not of printable ASCII"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := normalize(tt.list)
			if tt.fault != "" {
				wantFault(t, err, tt.fault)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	zeros := func(n int) string { return strings.Repeat("\x00", n) }
	long := strings.Repeat("a", 119)
	tests := []struct {
		name    string
		entries []string
		want    string
	}{
		{name: "nothing", want: ""},
		{name: "one entry", entries: []string{"abc"}, want: "\x80abc" + zeros(124)},
		{
			name:    "shared beginnings",
			entries: []string{"abc", "abc123", "abd", "b"},
			want:    "\x80abc\x83123\x82d\x80b" + zeros(128-12),
		},
		{
			name:    "a page filled to its last byte",
			entries: []string{long, long + "bcdefgh"},
			want:    "\x80" + long + "\xf7bcdefgh",
		},
		{
			name:    "an entry that begins the next page and shares nothing there",
			entries: []string{long, long + "bcdefghi"},
			want:    "\x80" + long + zeros(8) + "\x80" + long + "bcdefghi",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, string(encode(tt.entries))); diff != "" {
				t.Errorf("pages (-want +got):\n%s", diff)
			}
		})
	}
}

// TestEncodeLosesNothing decodes what was encoded, for lists of all kinds.
func TestEncodeLosesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		entry := rapid.OneOf(rapid.StringMatching(`[ -~]{1,127}`), rapid.StringMatching(`[ab]{1,8}`))
		want, err := normalize(rapid.SliceOf(entry).Draw(t, "list"))
		if err != nil {
			t.Fatal(err)
		}
		pages := encode(want)
		if len(pages)%pageSize != 0 {
			t.Errorf("got %d bytes, want whole pages of %d", len(pages), pageSize)
		}
		if diff := cmp.Diff(want, append([]string{}, decode(pages)...)); diff != "" {
			t.Errorf("entries (-want +got):\n%s", diff)
		}
	})
}

// TestCommittedListIsWhatEncodeWrites finds a change of the format that the committed file has not followed.
func TestCommittedListIsWhatEncodeWrites(t *testing.T) {
	t.Parallel()
	committed, err := os.ReadFile("../../passlist/passwords.bin")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := normalize(decode(committed))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(encode(entries), committed) {
		t.Error("passwords.bin is stale: write it again")
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var stdout bytes.Buffer
	sample := tarball(t, map[string]string{listName: `["monkey","123456","money","123"]`, licenseName: "MIT\n"})
	if err := write(dir, sample, &stdout); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"passwords.bin": "\x80123\x83456\x80money\x83key" + strings.Repeat("\x00", 128-18),
		"LICENSE":       "MIT\n",
	}
	for name, content := range want {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(content, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got, want := stdout.String(), "4 entries in 128 bytes\n"; got != want {
		t.Errorf("got output %q, want %q", got, want)
	}
}

func TestAnotherTarballIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, "package.tgz")
	other := tarball(t, map[string]string{listName: `["monkey"]`, licenseName: "MIT\n"})
	if err := os.WriteFile(name, other, 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout bytes.Buffer
	wantFault(t, run([]string{name, dir}, &stdout), "is not "+release)

	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 1 || stdout.Len() > 0 {
		t.Errorf("got files %v and output %q, want only the tarball", left, &stdout)
	}
}

func TestArgumentsAreCounted(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"package.tgz"}, {"package.tgz", ".", "more"}} {
		wantFault(t, run(args, &bytes.Buffer{}), "usage: passlistgen")
	}
}

// decode returns the entries of well-formed pages.
func decode(pages []byte) []string {
	var entries []string
	for i, c := range pages {
		switch last := len(entries) - 1; {
		case c >= mark && i%pageSize == 0:
			entries = append(entries, "")
		case c >= mark:
			entries = append(entries, entries[last][:c-mark])
		case c != 0:
			entries[last] += string(rune(c))
		}
	}
	return entries
}

// tarball returns a package as npm packs it.
func tarball(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var packed bytes.Buffer
	zipped := gzip.NewWriter(&packed)
	archive := tar.NewWriter(zipped)
	for name, content := range files {
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

func wantFault(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("got error %v, want one that says %q", err, text)
	}
}
