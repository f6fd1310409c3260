// Command passlistgen writes the list of common passwords that package passlist embeds, and its licence.
//
// It needs a package from the npm registry, so it is run by hand and its result is committed. From the module's root:
//
//	npm pack @zxcvbn-ts/language-common@4.1.3
//	go run ./internal/tools/passlistgen zxcvbn-ts-language-common-4.1.3.tgz internal/passlist
//
// The tarball is read as npm delivers it; nothing has to be unpacked. It must have the checksum below. For another
// version, change release and integrity (npm view @zxcvbn-ts/language-common@VERSION dist.integrity), the two
// lines above, and the version and the number of entries in package passlist and its tests.
//
// The same tarball always gives the same files.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	release   = "@zxcvbn-ts/language-common@4.1.3"
	integrity = "sha512-g2bg4skmlJG9aJqC/nWziZzgYpSe/f3rKeGobrkdFiOrfZVFqqzUgC6BUQWuX54Sua9j0Jxxt+1bf4f/Mal1Kg=="
)

// Where the package keeps the list, a JSON array of strings with the most common first, and its licence.
// (dist/ has the same list compressed, for browsers.)
const (
	listName    = "package/src/passwords.json"
	licenseName = "package/LICENSE.txt"
)

// The format of the list, which package passlist reads and describes. Said here again, because that package cannot
// be compiled before the file exists; a test holds the two together.
const (
	pageSize = 128
	mark     = 0x80
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "passlistgen:", err)
		os.Exit(1)
	}
}

// run writes passwords.bin and LICENSE into the folder args[1] from the tarball args[0].
func run(args []string, stdout io.Writer) error {
	if len(args) != 2 {
		return errors.New("usage: passlistgen TARBALL FOLDER")
	}
	tarball, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	if err := verify(tarball); err != nil {
		return fmt.Errorf("%s is not %s: %w", args[0], release, err)
	}
	return write(args[1], tarball, stdout)
}

// write writes the two files into the folder, and says to stdout what they came to.
func write(folder string, tarball []byte, stdout io.Writer) error {
	list, license, err := extract(tarball)
	if err != nil {
		return fmt.Errorf("read the tarball: %w", err)
	}
	entries, err := normalize(list)
	if err != nil {
		return fmt.Errorf("%s: %w", listName, err)
	}
	pages := encode(entries)
	if err := os.WriteFile(filepath.Join(folder, "passwords.bin"), pages, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "LICENSE"), license, 0o644); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%d entries in %d bytes\n", len(entries), len(pages))
	return nil
}

// verify compares the tarball with its checksum in npm's form.
func verify(tarball []byte) error {
	sum := sha512.Sum512(tarball)
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum[:]); got != integrity {
		return fmt.Errorf("got checksum %s, want %s", got, integrity)
	}
	return nil
}

// extract returns the list and the text of the licence from an npm tarball.
func extract(tarball []byte) (list []string, license []byte, err error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(tarball))
	if err != nil {
		return nil, nil, err
	}
	for files := tar.NewReader(unzipped); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, nil, err
		}
		switch header.Name {
		case listName:
			if err := json.NewDecoder(files).Decode(&list); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", listName, err)
			}
		case licenseName:
			if license, err = io.ReadAll(files); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", licenseName, err)
			}
		}
	}
	switch {
	case len(list) == 0:
		return nil, nil, fmt.Errorf("%s is absent or empty", listName)
	case len(license) == 0:
		return nil, nil, fmt.Errorf("%s is absent or empty", licenseName)
	}
	return list, license, nil
}

// normalize returns the list in small letters, sorted by bytes, each entry once. It refuses what the format or the
// look-up cannot express: an entry that is empty, too long for a page, or not of printable ASCII (another would have
// to be in NFKC, and its capital letters would count).
func normalize(list []string) ([]string, error) {
	entries := make([]string, 0, len(list))
	for _, entry := range list {
		if entry == "" || len(entry) > pageSize-1 {
			return nil, fmt.Errorf("entry %q has %d bytes, want 1 to %d", entry, len(entry), pageSize-1)
		}
		if strings.ContainsFunc(entry, func(r rune) bool { return r < ' ' || r > '~' }) {
			return nil, fmt.Errorf("entry %q is not of printable ASCII", entry)
		}
		entries = append(entries, strings.ToLower(entry))
	}
	slices.Sort(entries)
	return slices.Compact(entries), nil
}

// encode lays normalized entries into pages.
func encode(entries []string) []byte {
	var pages, page []byte
	previous := ""
	for _, entry := range entries {
		shared := commonPrefix(previous, entry)
		if len(page)+1+len(entry)-shared > pageSize {
			pages = append(pages, padded(page)...)
			page, shared = page[:0], 0
		}
		page = append(page, mark+byte(shared))
		page = append(page, entry[shared:]...)
		previous = entry
	}
	return append(pages, padded(page)...)
}

// padded returns a page at its full size; no page at all stays none.
func padded(page []byte) []byte {
	if len(page) == 0 {
		return nil
	}
	return append(page, make([]byte, pageSize-len(page))...)
}

func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
