package mail

import (
	"io"
	"io/fs"

	"github.com/ideaegg/latchkey/internal/auth"
)

// What tests look at one by one, and the program does only as a whole.
var (
	DeviceName = deviceName
	OneLine    = oneLine
)

// Templates put letters into words.
type Templates struct{ *templates }

// NewTemplates returns what New makes of AppName and Overrides.
func NewTemplates(appName string, overrides fs.FS) (Templates, error) {
	t, err := newTemplates(appName, overrides)
	return Templates{t}, err
}

// Render puts a letter into words.
func (t Templates) Render(l auth.Letter) (Message, error) { return t.render(l) }

// WriteMessage writes a message as it is sent.
func WriteMessage(w io.Writer, m Message, eightBit bool) error { return m.write(w, eightBit) }

// Clean returns a server's words as they are logged.
func Clean(cfg SMTPConfig, m Message, words string) string { return newCleaner(cfg, m).line(words) }
