package ui

import "io"

// ConfirmEmail asks for the confirmation of an address.
type ConfirmEmail struct {
	Page
	Address string
	Change  bool // it takes the place of another one
}

// Title is the page's title.
func (v ConfirmEmail) Title() (string, error) {
	if v.Change {
		return v.title("change.title", nil)
	}
	return v.title("verify.title", nil)
}

// Render writes the page.
func (v ConfirmEmail) Render(w io.Writer) error { return render(w, "confirm_email", v) }

// EmailConfirmed says that an address is confirmed.
type EmailConfirmed struct {
	Page
	Change bool // it took the place of another one
}

// Title is the page's title.
func (v EmailConfirmed) Title() (string, error) {
	if v.Change {
		return v.title("email_changed.title", nil)
	}
	return v.title("email_verified.title", nil)
}

// BackFirst says that all that is left is to go back.
func (v EmailConfirmed) BackFirst() bool { return true }

// Render writes the page.
func (v EmailConfirmed) Render(w io.Writer) error { return render(w, "email_confirmed", v) }

// UndoEmailChange asks whether a change of address is to be undone.
type UndoEmailChange struct {
	Page
	Address string // the one that comes back
}

// Title is the page's title.
func (v UndoEmailChange) Title() (string, error) { return v.title("undo.title", nil) }

// Render writes the page.
func (v UndoEmailChange) Render(w io.Writer) error { return render(w, "undo_email_change", v) }

// EmailRestored says that the old address is back.
type EmailRestored struct{ Page }

// Title is the page's title.
func (v EmailRestored) Title() (string, error) { return v.title("restored.title", nil) }

// Render writes the page.
func (v EmailRestored) Render(w io.Writer) error { return render(w, "email_restored", v) }
