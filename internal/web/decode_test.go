package web_test

import (
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf8"

	"github.com/ideaegg/latchkey/internal/web"
)

func FuzzDecodeObject(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := web.DecodeObject(body, "login", "password")
		if err != nil {
			if !errors.Is(err, web.ErrBadJSON) && !json.Valid(body) {
				t.Errorf("got %v for what is no JSON", err)
			}
			return
		}
		if !utf8.Valid(body) {
			t.Error("took what is no UTF-8")
		}
		var want map[string]any
		if err := json.Unmarshal(body, &want); err != nil {
			// encoding/json has bounds for numbers; otherwise both agree on what JSON is.
			if !json.Valid(body) {
				t.Errorf("took what is no JSON: %v", err)
			}
			return
		}
		for _, name := range []string{"login", "password"} {
			value, given := want[name]
			text, _ := value.(string)
			if read, ok := got[name]; ok != given || read != text {
				t.Errorf("%s: got %q, given: %v, want %q, given: %v", name, read, ok, text, given)
			}
		}
	})
}
