package latchkey_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const modulePath = "github.com/ideaegg/latchkey"

// A placement says what the packages of one folder may import in their non-test files.
//
// All its paths are patterns: "x" is x alone, "x/..." is x and everything below it, "..." is everything.
// Packages of this module are written as folders under its root, which is ".".
type placement struct {
	folder  string
	module  []string // what it may import of this module
	outside []string // what it may import of other modules
	notStd  []string // what it must not import of the standard library

	// harness marks what serves tests, benchmarks and code generation. It may read the
	// environment, and nothing that becomes part of the program may import it.
	harness bool
}

// placements is the map of the module: a new package gets one line here, in the place where its
// responsibility lies. Of several patterns that match a folder, the longest counts.
// docs/ARCHITECTURE.md says why the directions are these.
var placements = []placement{
	// Public: whoever imports these gets the standard library and nothing else.
	{folder: "."},
	{folder: "wechat"},

	// The rules of the business. They know nothing of HTTP, SQL, HTML or the machine;
	// x/text and idna are pure functions (NFKC, IDNA).
	{
		folder:  "internal/auth",
		module:  []string{"internal/passhash"},
		outside: []string{"golang.org/x/text/...", "golang.org/x/net/idna"},
		notStd:  []string{"net/http/...", "database/sql/...", "html/template", "os/..."},
	},

	// Leaves.
	{folder: "internal/passhash", outside: anything},
	{folder: "internal/passlist"},
	{folder: "internal/ratelimit"},
	{folder: "internal/config", outside: anything},

	// Adapters. They meet in cmd/latchkey and nowhere else.
	{folder: "internal/sqlstore/...", module: []string{"internal/auth", "internal/sqlstore/..."}, outside: anything},
	{folder: "internal/mail/...", module: []string{"internal/auth", "internal/mail/..."}, outside: anything},
	{folder: "internal/breach"},
	{folder: "internal/wechatapi", module: []string{"internal/auth", "wechat"}},
	{
		folder:  "internal/web/...",
		module:  []string{".", "internal/auth", "internal/ratelimit", "internal/web/..."},
		outside: anything,
	},

	// The program.
	{folder: "cmd/latchkey", module: anything, outside: anything},

	// Tests, benchmarks and generators.
	{folder: "internal/auth/storetest", module: anything, outside: anything, harness: true},
	{folder: "internal/attack/...", module: anything, outside: anything, harness: true},
	{folder: "internal/wechattest/...", module: anything, outside: anything, harness: true},
	{folder: "internal/nodetest/...", module: anything, outside: anything, harness: true},
	{folder: "internal/dbtest", module: anything, outside: anything, harness: true},
	{folder: "internal/browsertest/...", module: anything, outside: anything, harness: true},
	{folder: "internal/apitest/...", module: anything, outside: anything, harness: true},
	{folder: "internal/browsertest/...", module: anything, outside: anything, harness: true},
	{folder: "internal/tools/...", module: anything, outside: anything, harness: true},
	{folder: "bench/...", module: anything, outside: anything, harness: true},
}

var anything = []string{"..."}

// vagueNames are names that say nothing about what a package is for, and so collect everything.
var vagueNames = []string{"util", "utils", "common", "models", "handlers", "services", "types", "helpers", "misc"}

// TestArchitecture holds the module to the directions of docs/ARCHITECTURE.md.
func TestArchitecture(t *testing.T) {
	t.Parallel()
	packages := listPackages(t)

	t.Run("every package has a place", func(t *testing.T) {
		t.Parallel()
		for _, p := range packages {
			if _, ok := placementOf(p.folder); !ok {
				t.Errorf("%s is not in the table of placements: say where it belongs", p.folder)
			}
		}
	})

	t.Run("imports follow the directions", func(t *testing.T) {
		t.Parallel()
		for _, p := range packages {
			at, ok := placementOf(p.folder)
			if !ok {
				continue
			}
			for _, file := range p.files {
				for _, spec := range file.ast.Imports {
					imported, err := strconv.Unquote(spec.Path.Value)
					if err != nil {
						t.Fatal(err)
					}
					if reason := at.refuses(imported, file.isTest); reason != "" {
						t.Errorf("%s: %s imports %s: %s", file.position(spec.Pos()), p.folder, imported, reason)
					}
				}
			}
		}
	})

	t.Run("only the program reads the environment", func(t *testing.T) {
		t.Parallel()
		for _, p := range packages {
			if at, _ := placementOf(p.folder); at.harness || p.folder == "cmd/latchkey" {
				continue
			}
			for _, file := range p.files {
				if file.isTest {
					continue
				}
				for _, use := range environmentReads(file.ast) {
					t.Errorf("%s: %s reads the environment: take a setting from cmd/latchkey instead", file.position(use.Pos()), p.folder)
				}
			}
		}
	})

	t.Run("no package has a vague name", func(t *testing.T) {
		t.Parallel()
		for _, p := range packages {
			if slices.Contains(vagueNames, p.name) || slices.Contains(vagueNames, path.Base(p.folder)) {
				t.Errorf("%s: package %s: the name does not say what it is for", p.folder, p.name)
			}
		}
	})

	t.Run("no file has an init function", func(t *testing.T) {
		t.Parallel()
		for _, p := range packages {
			for _, file := range p.files {
				if file.isTest {
					continue
				}
				for _, decl := range file.ast.Decls {
					if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
						t.Errorf("%s: func init runs for everyone who imports %s: do it in a constructor", file.position(f.Pos()), p.folder)
					}
				}
			}
		}
	})
}

// placementOf returns the placement of the longest pattern that matches folder.
func placementOf(folder string) (placement, bool) {
	var found placement
	ok := false
	for _, p := range placements {
		if matches(p.folder, folder) && (!ok || len(p.folder) > len(found.folder)) {
			found, ok = p, true
		}
	}
	return found, ok
}

// refuses returns why a file of the placement must not import the package, or "".
// Tests may import everything but the program.
func (p placement) refuses(imported string, isTest bool) string {
	folder, ours := folderOf(imported)
	if ours && matches("cmd/...", folder) {
		return "nothing imports the program"
	}
	if isTest {
		return ""
	}
	switch {
	case ours && !p.harness && isHarness(folder):
		return "it is for tests and is no part of the program"
	case ours && !matchesAny(p.module, folder):
		return "of this module it may import " + orNothing(p.module)
	case !ours && isStd(imported) && matchesAny(p.notStd, imported):
		return "of the standard library it must not import " + strings.Join(p.notStd, ", ")
	case !ours && !isStd(imported) && !matchesAny(p.outside, imported):
		return "of other modules it may import " + orNothing(p.outside)
	}
	return ""
}

func isHarness(folder string) bool {
	p, _ := placementOf(folder)
	return p.harness
}

// folderOf returns the folder of an import path of this module, and whether it is of this module.
func folderOf(importPath string) (string, bool) {
	if importPath == modulePath {
		return ".", true
	}
	return strings.CutPrefix(importPath, modulePath+"/")
}

// isStd relies on what the go command promises: only paths of the standard library have no dot
// in their first element.
func isStd(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, name) })
}

func matches(pattern, name string) bool {
	if pattern == "..." {
		return true
	}
	if above, ok := strings.CutSuffix(pattern, "/..."); ok {
		return name == above || strings.HasPrefix(name, above+"/")
	}
	return name == pattern
}

func orNothing(patterns []string) string {
	if len(patterns) == 0 {
		return "nothing"
	}
	return strings.Join(patterns, ", ")
}

// environmentReads returns the expressions of file that read the process's environment.
func environmentReads(file *ast.File) []ast.Node {
	names := map[string]bool{} // under which the file knows package os or syscall
	var found []ast.Node
	for _, spec := range file.Imports {
		imported := strings.Trim(spec.Path.Value, `"`)
		if imported != "os" && imported != "syscall" {
			continue
		}
		switch {
		case spec.Name == nil:
			names[imported] = true
		case spec.Name.Name == ".":
			found = append(found, spec) // too well hidden to look for
		default:
			names[spec.Name.Name] = true
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		from, ok := selector.X.(*ast.Ident)
		if !ok || !names[from.Name] {
			return true
		}
		switch selector.Sel.Name {
		case "Getenv", "LookupEnv", "Environ", "ExpandEnv":
			found = append(found, selector)
		}
		return true
	})
	return found
}

type sourcePackage struct {
	folder string // under the module's root, "." for the root itself
	name   string
	files  []sourceFile
}

type sourceFile struct {
	ast    *ast.File
	set    *token.FileSet
	isTest bool
}

func (f sourceFile) position(pos token.Pos) string {
	at := f.set.Position(pos)
	return fmt.Sprintf("%s:%d", at.Filename, at.Line)
}

// listPackages returns the module's packages with all their files, those of other systems too.
// A package that does not compile is listed all the same; the compiler has more to say about it.
func listPackages(t *testing.T) []sourcePackage {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "list", "-e", "-json=Dir,ImportPath,Name,GoFiles,CgoFiles,IgnoredGoFiles,TestGoFiles,XTestGoFiles", "./...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}

	var packages []sourcePackage
	set := token.NewFileSet()
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var listed struct {
			Dir, ImportPath, Name                                        string
			GoFiles, CgoFiles, IgnoredGoFiles, TestGoFiles, XTestGoFiles []string
		}
		if err := decoder.Decode(&listed); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		folder, ours := folderOf(listed.ImportPath)
		if !ours {
			t.Fatalf("go list names %s, which is not of this module", listed.ImportPath)
		}
		p := sourcePackage{folder: folder, name: listed.Name}
		for _, name := range slices.Concat(listed.GoFiles, listed.CgoFiles, listed.IgnoredGoFiles, listed.TestGoFiles, listed.XTestGoFiles) {
			source, err := os.ReadFile(filepath.Join(listed.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			file, err := parser.ParseFile(set, path.Join(folder, name), source, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			p.files = append(p.files, sourceFile{ast: file, set: set, isTest: strings.HasSuffix(name, "_test.go")})
		}
		packages = append(packages, p)
	}
	readFolders(t)
	return packages
}

// readFolders reads every folder of the module. The go command keeps a test's result until
// something that the test itself read has changed, and does not see what go list read:
// without this, a new package would be looked at only when something else changes.
func readFolders(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && name != "." && strings.HasPrefix(entry.Name(), ".") {
			return fs.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
