package web

import (
	"golang.org/x/text/language"

	"github.com/ideaegg/latchkey/internal/auth"
)

var languages = language.NewMatcher([]language.Tag{language.English, language.SimplifiedChinese})

const maxAcceptLanguage = 512 // bytes; browsers send under 100

// negotiate returns the language that an Accept-Language header asks for (RFC 9110 §12.5.4), English if it asks for
// none of ours or is no such header.
func negotiate(header string) auth.Language {
	if header == "" || len(header) > maxAcceptLanguage {
		return auth.English
	}
	tags, _, err := language.ParseAcceptLanguage(header)
	if err != nil {
		return auth.English
	}
	if _, index, _ := languages.Match(tags...); index == 1 {
		return auth.SimplifiedChinese
	}
	return auth.English
}
