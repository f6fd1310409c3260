package ui

import "io"

// BadSignIn says that a sign-in through another service cannot begin, or cannot go on.
type BadSignIn struct {
	Page
	// Over says that it began: it took too long, was finished already, or began in another browser.
	Over bool
	// Faults are what is wrong with what the app asked for, for those who write it.
	Faults []string
}

// Title is the page's title.
func (v BadSignIn) Title() (string, error) {
	if v.Over {
		return v.title("sign_in_over.title", nil)
	}
	return v.title("bad_sign_in.title", nil)
}

// Render writes the page.
func (v BadSignIn) Render(w io.Writer) error { return render(w, "bad_sign_in", v) }
