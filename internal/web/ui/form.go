package ui

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/ideaegg/latchkey"
)

// Fault is what is wrong with a form that was sent, in the page's language.
type Fault struct {
	Field string // the name of the input; empty when it is none of them
	Text  string
}

// Fault returns what is wrong with an input, in the words of a form; other is what to say if the catalog has none.
func (p Page) Fault(field string, code latchkey.FieldCode, limit int, other string) Fault {
	text, err := p.T("fault."+field+"."+string(code), "limit", strconv.Itoa(limit))
	if err != nil {
		text = other
	}
	return Fault{Field: field, Text: text}
}

// field is one labelled input.
type field struct {
	Name         string
	Type         string
	Label        string
	Hint         string
	Value        string
	Autocomplete string // HTML §4.10.18.7
	InputMode    string
	Fault        string
	ReadOnly     bool
}

// DescribedBy names the elements that explain the input.
func (f field) DescribedBy() string {
	var ids []string
	if f.Hint != "" {
		ids = append(ids, f.Name+"-hint")
	}
	if f.Fault != "" {
		ids = append(ids, f.Name+"-fault")
	}
	return strings.Join(ids, " ")
}

// input completes a field with its texts and its first fault. A hint that is "" is none.
func (p Page) input(f field, label, hint string, faults []Fault) (field, error) {
	f.Value = strings.Map(visible, f.Value)
	var err error
	if f.Label, err = p.T(label); err != nil {
		return field{}, err
	}
	if hint != "" {
		if f.Hint, err = p.T(hint, "least", strconv.Itoa(p.PasswordMinLength)); err != nil {
			return field{}, err
		}
	}
	for _, fault := range faults {
		if fault.Field == f.Name {
			f.Fault = fault.Text
			break
		}
	}
	return f, nil
}

// visible drops what cannot be seen in an input, or makes the rest look different from what it is.
func visible(r rune) rune {
	if unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
		return -1
	}
	return r
}

// emailInput asks for an address.
func (p Page) emailInput(value string, faults []Fault) (field, error) {
	f := field{Name: "email", Type: "email", Value: value, Autocomplete: "email", InputMode: "email"}
	return p.input(f, "form.email", "", faults)
}

// newPasswordInputs ask for a new password, twice. What was typed is never sent back.
func (p Page) newPasswordInputs(faults []Fault) ([]field, error) {
	password, err := p.input(field{Name: "password", Type: "password", Autocomplete: "new-password"},
		"form.password", "form.password_rules", faults)
	if err != nil {
		return nil, err
	}
	again, err := p.input(field{Name: "password_confirmation", Type: "password", Autocomplete: "new-password"},
		"form.password_confirmation", "", faults)
	if err != nil {
		return nil, err
	}
	return []field{password, again}, nil
}
