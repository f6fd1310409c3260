package mail

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Dir is a Sender that writes each message to a file of its own, readable by its owner alone.
type Dir struct{ path string }

// NewDir returns a Dir for the folder, which is made if it is missing.
func NewDir(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("mail folder: %w", err)
	}
	return &Dir{path}, nil
}

// Send implements Sender.
func (d *Dir) Send(ctx context.Context, m Message) error {
	_, err := d.Write(ctx, m)
	return err
}

// Write writes the message to <time>-<id>.eml and returns the path. Whoever watches the folder never sees a part of a
// message under that name. Link and text stand in the file as they are.
func (d *Dir) Write(ctx context.Context, m Message) (path string, err error) {
	if _, _, err := m.mailboxes(); err != nil {
		return "", &SendError{Trouble: TroubleNever, Phase: "compose", Reason: err.Error()}
	}
	tmp, err := os.CreateTemp(d.path, ".new-*") // mode 0600
	if err != nil {
		return "", folderError(err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // fails once it is renamed
	if err := errors.Join(m.write(tmp, true), tmp.Sync(), tmp.Close()); err != nil {
		return "", folderError(err)
	}
	path = filepath.Join(d.path, fmt.Sprintf("%s-%d.eml", m.Date.UTC().Format("20060102T150405.000"), m.ID))
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return "", folderError(err)
	}
	return path, nil
}

// Probe implements prober: it writes an empty file and takes it away again.
func (d *Dir) Probe(context.Context) error {
	tmp, err := os.CreateTemp(d.path, ".new-*")
	if err != nil {
		return folderError(err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	if err := tmp.Close(); err != nil {
		return folderError(err)
	}
	return nil
}

// folderError is a trouble of the folder, and so of every message.
func folderError(err error) error {
	reason := err
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		reason = fmt.Errorf("%s: %w", filepath.Dir(at.Path), at.Err)
	}
	return &SendError{Trouble: TroubleUnreachable, Phase: "write", Reason: reason.Error()}
}
