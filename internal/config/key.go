package config

import (
	"fmt"
	"slices"
	"strings"
)

// maxServerKey is how many characters a server key may have: it travels in a header, and all headers together may have
// 16 KiB.
const maxServerKey = 1024

// ShortServerKey is the length in characters below which a server key might be guessed. Such keys work, since an
// operator may have reasons on a closed network, but the program warns of them.
const ShortServerKey = 16

// parseServerKeys parses keys separated by commas. An entry may be file:PATH, a file with keys separated by commas or
// line breaks. Problems name a key by its place and never show it.
func parseServerKeys(raw string) ([]Secret, error) {
	if raw == "" {
		return nil, nil
	}
	var keys []Secret
	var places []string
	var wrong problems
	add := func(place, key string) {
		if problem := checkServerKey(key); problem != "" {
			wrong = append(wrong, place+" "+problem)
			return
		}
		if i := slices.Index(keys, Secret(key)); i >= 0 {
			wrong = append(wrong, fmt.Sprintf("%s is the same as %s, leave one out", place, places[i]))
			return
		}
		keys, places = append(keys, Secret(key)), append(places, place)
	}
	for i, entry := range strings.Split(raw, ",") {
		entry = strings.Trim(entry, " ")
		path, isFile := strings.CutPrefix(entry, "file:")
		text, err := expand(entry)
		switch {
		case err != nil:
			wrong = append(wrong, err.Error())
		case !isFile:
			add(fmt.Sprintf("key %d", i+1), text)
		default:
			text = strings.ReplaceAll(text, "\r\n", "\n")
			for j, key := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' }) {
				add(fmt.Sprintf("key %d in file %s", j+1, quote(path)), strings.Trim(key, " "))
			}
		}
	}
	return keys, wrong.err()
}

// checkServerKey says what is wrong with a key; empty if nothing is.
func checkServerKey(key string) string {
	switch {
	case key == "":
		return "is empty, leave out the comma or write the key"
	case strings.HasPrefix(key, "file:"):
		return "names another file, write the key itself into the file"
	case !isVisibleASCII(key):
		return fmt.Sprintf("has characters other than printable ASCII without spaces, write 1 to %d of those", maxServerKey)
	case len(key) > maxServerKey:
		return fmt.Sprintf("is too long, write at most %d characters", maxServerKey)
	}
	return ""
}

// isVisibleASCII reports whether s has only ASCII from ! to ~, which is what can stand in a header as it is.
func isVisibleASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < '!' || r > '~' })
}
