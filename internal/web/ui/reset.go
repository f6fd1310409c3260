package ui

import "io"

// ForgotPassword asks for the address that a link is to be mailed to.
type ForgotPassword struct {
	Page
	Email  string // as it was typed
	Faults []Fault
}

// Title is the page's title.
func (v ForgotPassword) Title() (string, error) { return v.title("forgot.title", v.Faults) }

// EmailField asks for the address.
func (v ForgotPassword) EmailField() (field, error) { return v.emailInput(v.Email, v.Faults) }

// Render writes the page.
func (v ForgotPassword) Render(w io.Writer) error { return render(w, "forgot_password", v) }

// MailSent says that a mail is on its way if there is an account. It is the same for every address.
type MailSent struct{ Page }

// Title is the page's title.
func (v MailSent) Title() (string, error) { return v.title("sent.title", nil) }

// Render writes the page.
func (v MailSent) Render(w io.Writer) error { return render(w, "mail_sent", v) }

// EnterCode sets a new password with the code of the mail, for whoever reads it on another device.
type EnterCode struct {
	Page
	Email  string // as it was typed
	Code   string // as it was typed
	Faults []Fault
}

// Title is the page's title.
func (v EnterCode) Title() (string, error) { return v.title("code.title", v.Faults) }

// Fields are the inputs of the form.
func (v EnterCode) Fields() ([]field, error) {
	email, err := v.emailInput(v.Email, v.Faults)
	if err != nil {
		return nil, err
	}
	email.Autocomplete = "username" // what password managers file the new password under
	code, err := v.input(field{Name: "code", Type: "text", Value: v.Code, Autocomplete: "one-time-code", InputMode: "numeric"},
		"form.code", "form.code_hint", v.Faults)
	if err != nil {
		return nil, err
	}
	passwords, err := v.newPasswordInputs(v.Faults)
	if err != nil {
		return nil, err
	}
	return append([]field{email, code}, passwords...), nil
}

// Render writes the page.
func (v EnterCode) Render(w io.Writer) error { return render(w, "enter_code", v) }

// SetPassword sets a new password with the token of the mail.
type SetPassword struct {
	Page
	Username string
	Faults   []Fault
}

// Title is the page's title.
func (v SetPassword) Title() (string, error) { return v.title("set.title", v.Faults) }

// Fields are the inputs of the form. The username tells people and password managers whose password it is.
func (v SetPassword) Fields() ([]field, error) {
	username, err := v.input(field{Name: "username", Type: "text", Value: v.Username, Autocomplete: "username", ReadOnly: true},
		"form.username", "", nil)
	if err != nil {
		return nil, err
	}
	passwords, err := v.newPasswordInputs(v.Faults)
	if err != nil {
		return nil, err
	}
	return append([]field{username}, passwords...), nil
}

// Render writes the page.
func (v SetPassword) Render(w io.Writer) error { return render(w, "set_password", v) }

// PasswordChanged says that the new password holds.
type PasswordChanged struct{ Page }

// Title is the page's title.
func (v PasswordChanged) Title() (string, error) { return v.title("changed.title", nil) }

// BackFirst says that all that is left is to go back.
func (v PasswordChanged) BackFirst() bool { return true }

// Render writes the page.
func (v PasswordChanged) Render(w io.Writer) error { return render(w, "password_changed", v) }
