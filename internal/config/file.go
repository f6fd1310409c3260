package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// maxFileSize bounds the config file and every file:PATH, in bytes: many times what any setting needs, and little enough
// that a wrong path (a database, a device) is noticed at once.
const maxFileSize = 64 << 10

// loadFile reads a config file and returns the raw values by flag name and every problem that it finds. If it cannot be
// read, or is no JSON object, none of it is used. The result is incomplete then, and when a value has the wrong type.
func loadFile(path string, keys map[string]string) (values map[string]string, found problems, incomplete bool) {
	text, err := readFile(path)
	if err != nil {
		return nil, problems{err.Error()}, true
	}
	file := quote(path)
	syntax := func(err error) (map[string]string, problems, bool) {
		return nil, problems{fmt.Sprintf("file %s is not valid JSON (%s), correct it", file, position(text, err))}, true
	}

	// Duplicate names are allowed here so that each of them can be named below.
	dec := jsontext.NewDecoder(strings.NewReader(text), jsontext.AllowDuplicateNames(true))
	if dec.PeekKind() != '{' {
		if _, err := dec.ReadValue(); err != nil {
			return syntax(err)
		}
		return nil, problems{fmt.Sprintf("file %s does not hold a JSON object, write {\"public-url\": \"https://…\"}", file)}, true
	}
	if _, err := dec.ReadToken(); err != nil {
		return syntax(err)
	}
	values = make(map[string]string)
	seen := make(map[string]bool)
	for dec.PeekKind() != '}' {
		token, err := dec.ReadToken()
		if err != nil {
			return syntax(err)
		}
		name := token.String() // before the next read, which invalidates the token
		value, err := dec.ReadValue()
		if err != nil {
			return syntax(err)
		}
		flag := strings.ReplaceAll(name, "_", "-")
		kind, known := keys[flag]
		if !known {
			found = append(found, fmt.Sprintf("file %s has the unknown key %s, remove it or take a name from latchkey serve --help", file, quote(name)))
			continue
		}
		if seen[flag] {
			found = append(found, fmt.Sprintf("file %s has the key %s twice, keep one", file, quote(flag)))
			continue
		}
		seen[flag] = true
		raw, problem := fileValue(value, kind)
		if problem != "" {
			found = append(found, fmt.Sprintf("file %s has %s for the key %s, write %s", file, problem, quote(name), kindAdvice(kind)))
			incomplete = true
			continue
		}
		values[flag] = raw
	}
	if _, err := dec.ReadToken(); err != nil {
		return syntax(err)
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, problems{fmt.Sprintf("file %s goes on after its JSON object, remove the rest", file)}, true
	}
	return values, found, incomplete
}

// fileValue turns a JSON value into what the flag would have been given, or says what kind of value it must not be.
func fileValue(value jsontext.Value, kind string) (raw, problem string) {
	switch value.Kind() {
	case '"':
		return unquote(value), ""
	case '0', 't', 'f':
		return string(value), ""
	case 'n':
		return "", "null"
	case '{':
		return "", "an object"
	}
	switch kind {
	case "json":
		return string(value), ""
	case "list":
		items, ok := stringList(value)
		if !ok {
			return "", "a list with something else than strings without commas"
		}
		return strings.Join(items, ","), ""
	}
	return "", "a list"
}

func kindAdvice(kind string) string {
	switch kind {
	case "json":
		return "a list or a string"
	case "list":
		return "a string or a list of strings"
	}
	return "a string"
}

// stringList returns the strings of a JSON list. It reports false if an element is no string or contains a comma, which
// would split it in two.
func stringList(list jsontext.Value) (items []string, ok bool) {
	dec := jsontext.NewDecoder(strings.NewReader(string(list)), jsontext.AllowDuplicateNames(true))
	if _, err := dec.ReadToken(); err != nil {
		return nil, false
	}
	for dec.PeekKind() != ']' {
		value, err := dec.ReadValue()
		if err != nil || value.Kind() != '"' {
			return nil, false
		}
		item := unquote(value)
		if strings.Contains(item, ",") {
			return nil, false
		}
		items = append(items, item)
	}
	return items, true
}

// unquote returns the text of a JSON string that a decoder has accepted.
func unquote(value jsontext.Value) string {
	b, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return "" // not reached: the decoder has checked the string
	}
	return string(b)
}

// position says where a JSON syntax error is. The error's own text is not used, since it may quote a secret.
func position(text string, err error) string {
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok && syntax.ByteOffset < int64(len(text)) {
		before := text[:syntax.ByteOffset]
		return fmt.Sprintf("line %d, byte %d of the line", strings.Count(before, "\n")+1, len(before)-strings.LastIndex(before, "\n"))
	}
	return "it ends too early"
}

// expand returns raw, or what the file holds if raw is file:PATH, without the line breaks at its end.
// The result may be a secret; the error names the path and never the content.
func expand(raw string) (string, error) {
	path, ok := strings.CutPrefix(raw, "file:")
	if !ok {
		return raw, nil
	}
	if path == "" {
		return "", errors.New("file: without a path, write file:PATH")
	}
	text, err := readFile(path)
	if err != nil {
		return "", err
	}
	text = strings.TrimRight(text, "\r\n")
	if text == "" {
		return "", fmt.Errorf("file %s is empty, write the setting into it", quote(path))
	}
	return text, nil
}

// readFile returns the content of a file of at most maxFileSize bytes. The error is one line that names the path.
func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("cannot open file %s (%w), correct the path or its permissions", quote(path), reason(err))
	}
	defer func() { _ = f.Close() }() // only read from
	b, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return "", fmt.Errorf("cannot read file %s (%w), name a readable file", quote(path), reason(err))
	}
	if len(b) > maxFileSize {
		return "", fmt.Errorf("file %s is larger than %d KiB, name another one", quote(path), maxFileSize>>10)
	}
	return string(b), nil
}

// reason takes the path out of a file error: the caller names it, quoted.
func reason(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}
