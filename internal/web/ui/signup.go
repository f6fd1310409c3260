package ui

import "io"

// ConfirmSignUp asks whoever reads an address whether it was they who signed up with it: then they know the password.
type ConfirmSignUp struct {
	Page
	Address     string
	Username    string
	AnotherName bool // another username may be chosen
	Faults      []Fault
}

// Title is the page's title.
func (v ConfirmSignUp) Title() (string, error) { return v.title("sign_up.title", v.Faults) }

// Fields are the inputs of the form.
func (v ConfirmSignUp) Fields() ([]field, error) {
	password, err := v.input(field{Name: "password", Type: "password", Autocomplete: "current-password"},
		"sign_up.password", "sign_up.password_hint", v.Faults)
	if err != nil || !v.AnotherName {
		return []field{password}, err
	}
	username, err := v.input(field{Name: "username", Type: "text", Value: v.Username, Autocomplete: "username"},
		"form.username", "", v.Faults)
	return []field{username, password}, err
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
