package ui

import (
	"io"
	"strconv"
	"time"

	"github.com/ideaegg/latchkey"
)

// LinkKind says what a mailed link is for.
type LinkKind string

// The kinds of links.
const (
	LinkReset  LinkKind = "reset"
	LinkVerify LinkKind = "verify"
	LinkSignUp LinkKind = "sign_up"
	LinkUndo   LinkKind = "undo"
)

// DeadLink says that a mailed link is of no use, and how to get another one. It is the same for every link that cannot
// be used, whatever the reason.
type DeadLink struct {
	Page
	Kind LinkKind
	// Taken says that the link is good, but its address belongs to somebody else by now.
	Taken bool
}

// Title is the page's title.
func (v DeadLink) Title() (string, error) { return v.title("dead.title", nil) }

// ForReset says whether a new link can be asked for right here.
func (v DeadLink) ForReset() bool { return v.Kind == LinkReset }

// Reason says why the link is of no use.
func (v DeadLink) Reason() (string, error) {
	if v.Taken {
		return v.T("dead.taken")
	}
	return v.T("dead." + string(v.Kind) + ".reason")
}

// Remedy says how to get another link.
func (v DeadLink) Remedy() (string, error) { return v.T("dead." + string(v.Kind) + ".remedy") }

// EmailField asks for the address that a new link goes to.
func (v DeadLink) EmailField() (field, error) { return v.emailInput("", nil) }

// Render writes the page.
func (v DeadLink) Render(w io.Writer) error { return render(w, "dead_link", v) }

// Trouble says that a request could not be answered.
type Trouble struct {
	Page
	Code       latchkey.Code
	RetryAfter time.Duration // 0: not known
	RequestID  string        // for whoever looks into the log
}

// known returns the code that the catalog has texts for.
func (v Trouble) known() latchkey.Code {
	switch v.Code {
	case latchkey.CodeNotFound, latchkey.CodeMethodNotAllowed, latchkey.CodeForbidden, latchkey.CodeTooLarge,
		latchkey.CodeUnsupportedMediaType, latchkey.CodeInvalidRequest, latchkey.CodeRateLimited,
		latchkey.CodeOverloaded, latchkey.CodeUnavailable:
		return v.Code
	}
	return latchkey.CodeInternal
}

// Title is the page's title.
func (v Trouble) Title() (string, error) { return v.title("trouble."+string(v.known())+".title", nil) }

// Heading is what happened.
func (v Trouble) Heading() (string, error) { return v.T("trouble." + string(v.known()) + ".title") }

// Text is what it means and what to do.
func (v Trouble) Text() (string, error) { return v.T("trouble." + string(v.known()) + ".text") }

// Lost says whether whoever came here was looking for a page, and might find it from the first one.
func (v Trouble) Lost() bool {
	return v.Code == latchkey.CodeNotFound || v.Code == latchkey.CodeMethodNotAllowed
}

// Wait says when to come back, or nothing when that is at once or not known.
func (v Trouble) Wait() (string, error) {
	switch {
	case v.RetryAfter < 5*time.Second:
		return "", nil
	case v.RetryAfter <= 90*time.Second:
		return v.T("trouble.wait_seconds", "seconds", roundUp(v.RetryAfter, time.Second))
	default:
		return v.T("trouble.wait_minutes", "minutes", roundUp(v.RetryAfter, time.Minute))
	}
}

func roundUp(d, unit time.Duration) string { return strconv.Itoa(int((d + unit - 1) / unit)) }

// Render writes the page.
func (v Trouble) Render(w io.Writer) error { return render(w, "trouble", v) }
