package mail

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	gomail "github.com/wneessen/go-mail"
)

// Sender delivers messages. An error means that the message is to be tried again.
type Sender interface {
	Send(context.Context, Message) error
}

// write writes the message as RFC 5322 text. The body is UTF-8 as it is (8bit), so that people and programs can read
// the file.
func (m Message) write(w io.Writer) error {
	msg := gomail.NewMsg(gomail.WithEncoding(gomail.NoEncoding))
	if err := msg.From(m.From); err != nil {
		return fmt.Errorf("sender: %w", err)
	}
	if err := msg.To(m.To); err != nil {
		return fmt.Errorf("recipient: %w", err)
	}
	msg.Subject(m.Subject)
	msg.SetDateWithValue(m.Date)
	msg.SetMessageID()
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834 §5: no vacation answers
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	if _, err := msg.WriteTo(w); err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	return nil
}

// Dir is a Sender that writes each message to a file of its own, readable by its owner alone.
type Dir struct{ path string }

// NewDir returns a Dir for the folder, which is made if it is missing.
func NewDir(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("mail folder: %w", err)
	}
	return &Dir{path}, nil
}

// Send writes <time>-<id>.eml; whoever watches the folder never sees a part of a message under that name.
func (d *Dir) Send(_ context.Context, m Message) error {
	tmp, err := os.CreateTemp(d.path, ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // fails once it is renamed
	if err := m.write(tmp); err != nil {
		_ = tmp.Close()
		return err
	}
	if err := tmp.Close(); err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	name := fmt.Sprintf("%s-%d.eml", m.Date.UTC().Format("20060102T150405.000"), m.ID)
	if err := os.Rename(tmp.Name(), filepath.Join(d.path, name)); err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	return nil
}

const inboxSize = 200

// Inbox is a Sender that keeps the last 200 messages in memory, for development.
type Inbox struct {
	mu       sync.Mutex
	messages []Message
}

// Send puts the message into the inbox; the oldest goes when it is full.
func (i *Inbox) Send(_ context.Context, m Message) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.messages) == inboxSize {
		i.messages = i.messages[1:]
	}
	i.messages = append(i.messages, m)
	return nil
}

// List returns the messages, newest first.
func (i *Inbox) List() []Message {
	i.mu.Lock()
	defer i.mu.Unlock()
	list := make([]Message, 0, len(i.messages))
	for n := len(i.messages) - 1; n >= 0; n-- {
		list = append(list, i.messages[n])
	}
	return list
}
