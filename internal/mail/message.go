package mail

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/mail"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/ideaegg/latchkey/internal/auth"
)

// Message is a letter in words, for one recipient. It prints as its id alone: it holds what opens an account.
type Message struct {
	ID       auth.MessageID
	From     string // RFC 5322 mailbox
	To       string // address
	Subject  string
	Text     string
	HTML     string // the same as Text; empty: Text alone
	Language auth.Language
	Link     string           // the one in Text and HTML; empty if there is none
	Code     auth.OneTimeCode // likewise
	Date     time.Time
}

// Format keeps the content out of messages and logs.
func (m Message) Format(s fmt.State, _ rune) { _, _ = fmt.Fprintf(s, "message %d", m.ID) }

// mailboxes returns sender and recipient. The recipient is one plain address, and nothing that only contains one:
// whatever else stands in To would become a header or another recipient.
func (m Message) mailboxes() (from, to *mail.Address, err error) {
	if from, err = mail.ParseAddress(m.From); err != nil {
		return nil, nil, errors.New("the sender is no mailbox")
	}
	to, err = mail.ParseAddress(m.To)
	if err != nil || to.Address != m.To || !isASCII(m.To) || !isASCII(from.Address) { // RFC 6531 reaches few servers
		return nil, nil, errors.New("the recipient is no plain address")
	}
	return from, to, nil
}

// write writes the message as RFC 5322 text with CRLF at the ends of lines. Its parts are UTF-8 as they are (8bit) if
// eightBit says that the way can take that or if they are ASCII, so that people and programs can read them, else
// quoted-printable.
func (m Message) write(w io.Writer, eightBit bool) error {
	from, to, err := m.mailboxes()
	if err != nil {
		return err
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(from)
	msg.ToMailAddress(to)
	msg.SetGenHeaderPreformatted(gomail.HeaderSubject, encodeHeader(m.Subject))
	msg.SetDateWithValue(m.Date)
	// A new one for every attempt: the link of an earlier one is dead, and readers hide what has the same id.
	msg.SetMessageIDWithValue(rand.Text() + from.Address[strings.LastIndexByte(from.Address, '@'):])
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834 §5: no vacation answers
	msg.SetGenHeader("X-Auto-Response-Suppress", "All")  // the same for Exchange, [MS-OXCMAIL] §2.1.3.2.21
	if m.Language != "" {
		msg.SetGenHeader("Content-Language", string(m.Language))
	}
	msg.SetBodyString(gomail.TypeTextPlain, crlf(m.Text), gomail.WithPartEncoding(encodingOf(m.Text, eightBit)))
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, crlf(m.HTML), gomail.WithPartEncoding(encodingOf(m.HTML, eightBit)))
	}
	if _, err := msg.WriteTo(w); err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	return nil
}

// encodeHeader encodes what is not ASCII (RFC 2047), a word a line. The module's own folding leaves the first line empty,
// which is allowed, and not understood everywhere.
func encodeHeader(text string) string {
	return strings.ReplaceAll(mime.QEncoding.Encode("UTF-8", text), "?= =?", "?=\r\n =?")
}

// longestLine is how long a line may be to be sent as it is: RFC 5322 §2.1.1 has 998 bytes.
const longestLine = 990

func encodingOf(body string, eightBit bool) gomail.Encoding {
	for line := range strings.Lines(body) {
		if len(line) > longestLine {
			return gomail.EncodingQP
		}
	}
	if eightBit || isASCII(body) { // ASCII that is called 8bit passes where 8 bits do not
		return gomail.NoEncoding
	}
	return gomail.EncodingQP
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func isASCII[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// encode returns what write writes.
func (m Message) encode(eightBit bool) ([]byte, error) {
	var b bytes.Buffer
	err := m.write(&b, eightBit)
	return b.Bytes(), err
}
