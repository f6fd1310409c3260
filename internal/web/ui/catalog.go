package ui

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/ideaegg/latchkey/internal/auth"
)

// catalog holds the texts of each language by key.
type catalog map[auth.Language]map[string]string

var catalogs = parseCatalogs()

func parseCatalogs() catalog {
	c := make(catalog)
	for _, language := range []auth.Language{auth.English, auth.SimplifiedChinese} {
		b, err := files.ReadFile("catalog/" + string(language) + ".json")
		if err != nil {
			panic(err) // embedded
		}
		var texts map[string]string
		if err := json.Unmarshal(b, &texts); err != nil {
			panic(err)
		}
		c[language] = texts
	}
	return c
}

// text returns the text for the key with its {placeholders} filled in. A key that is missing is an error: half a
// sentence in another language helps nobody, and the tests see it.
func (c catalog) text(language auth.Language, key string, pairs []string) (string, error) {
	text, ok := c[language][key]
	if !ok {
		return "", fmt.Errorf("catalog %q has no text %q", language, key)
	}
	if !strings.Contains(text, "{") {
		return text, nil
	}
	replace := make([]string, len(pairs))
	for i, s := range pairs {
		if i%2 == 0 {
			s = "{" + s + "}"
		}
		replace[i] = s
	}
	return strings.NewReplacer(replace...).Replace(text), nil
}
