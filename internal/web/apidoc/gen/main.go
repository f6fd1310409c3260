// Command gen fetches the pinned release of swagger-ui-dist with the npm client, checks it, and writes the few files
// of it that package apidoc embeds. It runs in the folder of that package: go generate ./internal/web/apidoc
//
// The output is the same for the same release and the same Go version (compress/gzip may change with Go).
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"time"
)

// release names the package and its version; integrity is the checksum that its lock files hold ("sha512-" and the
// base64 of the archive's SHA-512). Change both together.
const (
	release   = "swagger-ui-dist@5.35.0"
	integrity = "sha512-U06rpMtW9V3XPGOBeamTUSr0Z09jMX4IJuANpE/EZbAhw0G8CgwrzU4YmXkn/h0wCDNsXdGarTNNHC3sU8yVUQ=="

	folder       = "swagger-ui"
	fetchTimeout = 2 * time.Minute // the archive has 3.4 MB
	maxFileSize  = 8 << 20         // the largest one that we take has 1.7 MB
)

// wanted are the files that are taken; true means gzipped.
func wanted() map[string]bool {
	return map[string]bool{
		"swagger-ui-bundle.js":             true,
		"swagger-ui.css":                   true,
		"swagger-ui-bundle.js.LICENSE.txt": false,
		"LICENSE":                          false,
		"NOTICE":                           false,
	}
}

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()

	archive, err := fetch(ctx)
	if err != nil {
		return err
	}
	sum := sha512.Sum512(archive)
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum[:]); got != integrity {
		return fmt.Errorf("integrity of %s: got %s, want %s", release, got, integrity)
	}
	files, err := unpack(archive)
	if err != nil {
		return fmt.Errorf("unpack %s: %w", release, err)
	}
	return write(files)
}

// fetch returns the release's archive as the npm client packs it.
func fetch(ctx context.Context) ([]byte, error) {
	dir, err := os.MkdirTemp("", "swagger-ui-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()

	cmd := exec.CommandContext(ctx, "npm", "pack", "--ignore-scripts", "--silent", release)
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("npm pack %s: %w", release, err)
	}
	archives, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil {
		return nil, err
	}
	if len(archives) != 1 {
		return nil, fmt.Errorf("npm pack %s: got %d archives, want 1", release, len(archives))
	}
	return os.ReadFile(archives[0])
}

// unpack returns the wanted files of the archive by name. It returns an error if one is missing or too large.
func unpack(archive []byte) (map[string][]byte, error) {
	zr, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, err
	}
	files := make(map[string][]byte)
	for tr := tar.NewReader(zr); ; {
		header, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		dir, name := path.Split(header.Name)
		if _, ok := wanted()[name]; !ok || dir != "package/" {
			continue
		}
		if header.Size > maxFileSize {
			return nil, fmt.Errorf("%s has %d bytes, more than %d", name, header.Size, maxFileSize)
		}
		if files[name], err = io.ReadAll(tr); err != nil {
			return nil, err
		}
	}
	for name := range wanted() {
		if len(files[name]) == 0 {
			return nil, fmt.Errorf("%s is missing", name)
		}
	}
	return files, nil
}

// write replaces the folder's files.
func write(files map[string][]byte) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for name, content := range files {
		if wanted()[name] {
			var packed bytes.Buffer
			zw, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
			if err != nil {
				return err
			}
			// The header stays empty: a name or a time would make two runs differ.
			if _, err := zw.Write(content); err != nil {
				return err
			}
			if err := zw.Close(); err != nil {
				return err
			}
			name, content = name+".gz", packed.Bytes()
		}
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
