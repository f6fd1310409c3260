package ui

import "io"

// ConfirmSignUp asks whoever reads an address whether they wanted to sign up with it.
type ConfirmSignUp struct {
	Page
	Address  string
	Username string
	Faults   []Fault // about the username; then another one is asked for
}

// Title is the page's title.
func (v ConfirmSignUp) Title() (string, error) { return v.title("sign_up.title", v.Faults) }

// Fields are the inputs of the form: none unless the username has a fault.
func (v ConfirmSignUp) Fields() ([]field, error) {
	if len(v.Faults) == 0 {
		return nil, nil
	}
	username, err := v.input(field{Name: "username", Type: "text", Value: v.Username, Autocomplete: "username"},
		"form.username", "", v.Faults)
	return []field{username}, err
}

// Render writes the page.
func (v ConfirmSignUp) Render(w io.Writer) error { return render(w, "confirm_sign_up", v) }

// SignedUp says that there is an account now.
type SignedUp struct{ Page }

// Title is the page's title.
func (v SignedUp) Title() (string, error) { return v.title("signed_up.title", nil) }

// BackFirst says that all that is left is to go back.
func (v SignedUp) BackFirst() bool { return true }

// Render writes the page.
func (v SignedUp) Render(w io.Writer) error { return render(w, "signed_up", v) }
