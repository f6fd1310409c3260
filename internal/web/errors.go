package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/auth"
)

// The faults that are found before any rule is asked.
var (
	errNoRoute   = errors.New("no such route")
	errMediaType = errors.New("unsupported media type")
	errTooLarge  = errors.New("body is too large")
	errBadJSON   = errors.New("bad JSON")
	// errBadRequest says that the request broke off or is not HTTP as it should be.
	errBadRequest = errors.New("bad request")
)

// methodError says that the path exists, but not for this method.
type methodError struct{ allowed string }

func (e *methodError) Error() string { return "method not allowed" }

// fieldsError is a refused request with the members that are to blame.
type fieldsError struct {
	fields    []latchkey.FieldError // without messages
	wrongType bool
}

func (e *fieldsError) Error() string { return fmt.Sprintf("%d members are wrong", len(e.fields)) }

func badJSON(err error) error { return fmt.Errorf("%w: %w", errBadJSON, err) }

// retrySoon is when to come back after trouble that is over in a moment: a lock, a restart.
const retrySoon = 1 * time.Second

// answer is how an error is told.
type answer struct {
	status     int
	code       latchkey.Code
	fields     []fieldFault
	retryAfter time.Duration        // 0: no header
	limit      *auth.RateLimitError // nil: none was reached
}

// fieldFault is a FieldError whose message is still to be written.
type fieldFault struct {
	field string
	code  latchkey.FieldCode
	limit int
	// message is the key of a message of its own; "": the one that goes with the code.
	message messageKey
	wait    time.Duration // for the message about a limit
}

// answerTo is the one place that knows which error is which status.
func answerTo(err error) answer {
	var (
		validation *auth.ValidationError
		fields     *fieldsError
		method     *methodError
		limited    *auth.RateLimitError
		overloaded *auth.OverloadedError
		busy       *auth.UpstreamBusyError
	)
	one := func(status int, code latchkey.Code, field string, fc latchkey.FieldCode, key messageKey) answer {
		return answer{status: status, code: code, fields: []fieldFault{{field: field, code: fc, message: key}}}
	}
	switch {
	case errors.As(err, &validation):
		a := answer{status: http.StatusUnprocessableEntity, code: latchkey.CodeValidationFailed}
		for _, f := range validation.Fields {
			a.fields = append(a.fields, fieldFault{field: string(f.Field), code: latchkey.FieldCode(f.Code), limit: f.Limit})
		}
		return a
	case errors.As(err, &fields):
		a := answer{status: http.StatusUnprocessableEntity, code: latchkey.CodeValidationFailed}
		for _, f := range fields.fields {
			fault := fieldFault{field: f.Field, code: f.Code}
			if fields.wrongType {
				fault.message = msgNotText
			}
			a.fields = append(a.fields, fault)
		}
		return a
	case errors.Is(err, auth.ErrUnauthorized):
		return one(http.StatusUnauthorized, latchkey.CodeUnauthorized, "token", latchkey.FieldInvalid, msgUnauthorized)
	case errors.Is(err, auth.ErrUnproven):
		return one(http.StatusUnauthorized, latchkey.CodeInvalidCredentials, "code", latchkey.FieldInvalid, msgUnproven)
	case errors.Is(err, auth.ErrInvalidCredentials):
		return one(http.StatusUnauthorized, latchkey.CodeInvalidCredentials, "login", latchkey.FieldInvalid, msgInvalidCredentials)
	case errors.Is(err, errCrossOrigin):
		return one(http.StatusForbidden, latchkey.CodeForbidden, "origin", latchkey.FieldInvalid, msgCrossOrigin)
	case errors.Is(err, auth.ErrForbidden):
		return one(http.StatusForbidden, latchkey.CodeForbidden, "token", latchkey.FieldInvalid, msgForbidden)
	case errors.Is(err, auth.ErrGuest):
		return one(http.StatusForbidden, latchkey.CodeForbidden, "token", latchkey.FieldInvalid, msgGuest)
	case errors.Is(err, auth.ErrBlocked):
		return one(http.StatusForbidden, latchkey.CodeForbidden, "code", latchkey.FieldInvalid, msgBlocked)
	case errors.Is(err, auth.ErrSnapshotUser):
		return one(http.StatusForbidden, latchkey.CodeForbidden, "code", latchkey.FieldInvalid, msgSnapshotUser)
	case errors.Is(err, errNoRoute):
		return one(http.StatusNotFound, latchkey.CodeNotFound, "path", latchkey.FieldInvalid, msgNoRoute)
	case errors.Is(err, auth.ErrNotFound):
		return one(http.StatusNotFound, latchkey.CodeNotFound, "id", latchkey.FieldInvalid, msgNotFound)
	case errors.As(err, &method):
		return one(http.StatusMethodNotAllowed, latchkey.CodeMethodNotAllowed, "method", latchkey.FieldUnsupported, msgMethod)
	case errors.Is(err, auth.ErrIdentityTaken):
		return one(http.StatusConflict, latchkey.CodeConflict, "uid", latchkey.FieldTaken, msgIdentityTaken)
	case errors.Is(err, auth.ErrHasIdentity):
		return one(http.StatusConflict, latchkey.CodeConflict, "app_id", latchkey.FieldTaken, msgHasIdentity)
	case errors.Is(err, auth.ErrLastWayIn):
		return one(http.StatusConflict, latchkey.CodeConflict, "id", latchkey.FieldInvalid, msgLastWayIn)
	case errors.Is(err, auth.ErrKeySpent):
		return one(http.StatusConflict, latchkey.CodeConflict, "idempotency_key", latchkey.FieldTaken, msgKeySpent)
	case errors.Is(err, auth.ErrKeyInvalid):
		return one(http.StatusBadRequest, latchkey.CodeInvalidRequest, "idempotency_key", latchkey.FieldInvalid, msgKeyInvalid)
	case errors.Is(err, errTokenConflict):
		return one(http.StatusBadRequest, latchkey.CodeTokenConflict, "token", latchkey.FieldInvalid, msgTokenConflict)
	case errors.Is(err, errBadJSON):
		return one(http.StatusBadRequest, latchkey.CodeInvalidJSON, "body", latchkey.FieldInvalid, msgBadJSON)
	case errors.Is(err, errBadRequest):
		return one(http.StatusBadRequest, latchkey.CodeInvalidRequest, "body", latchkey.FieldInvalid, msgBadRequest)
	case errors.Is(err, errTooLarge):
		return one(http.StatusRequestEntityTooLarge, latchkey.CodeTooLarge, "body", latchkey.FieldTooLong, msgTooLarge)
	case errors.Is(err, errMediaType):
		return one(http.StatusUnsupportedMediaType, latchkey.CodeUnsupportedMediaType, "body", latchkey.FieldUnsupported, msgMediaType)
	case errors.As(err, &limited):
		wait := max(limited.RetryAfter, time.Second)
		a := one(http.StatusTooManyRequests, latchkey.CodeRateLimited, "", latchkey.FieldInvalid, msgRateLimited)
		a.fields[0].wait, a.retryAfter, a.limit = wait, wait, limited
		return a
	case errors.Is(err, auth.ErrUpstream):
		return answer{status: http.StatusBadGateway, code: latchkey.CodeUpstreamFailed}
	case errors.As(err, &busy):
		return answer{status: http.StatusServiceUnavailable, code: latchkey.CodeUnavailable, retryAfter: max(busy.RetryAfter, retrySoon)}
	case errors.As(err, &overloaded):
		return answer{status: http.StatusServiceUnavailable, code: latchkey.CodeOverloaded, retryAfter: overloaded.RetryAfter}
	case errors.Is(err, auth.ErrUnavailable), errors.Is(err, auth.ErrHashUnavailable),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return answer{status: http.StatusServiceUnavailable, code: latchkey.CodeUnavailable, retryAfter: retrySoon}
	}
	return answer{status: http.StatusInternalServerError, code: latchkey.CodeInternal}
}

// fail answers with the problem document for the error, or, where people look, with a page.
func (c *call) fail(err error) {
	c.drain()
	a := c.report(err)
	if c.isHosted() {
		c.trouble(a)
		return
	}
	c.problem(a)
}

// report returns how the error is told, and sets the headers that go with it. What the client is not told stays in the log.
func (c *call) report(err error) answer {
	a := answerTo(err)
	h := c.w.Header()
	if a.status >= http.StatusInternalServerError {
		level := slog.LevelError
		if a.status == http.StatusServiceUnavailable {
			level = slog.LevelWarn
		}
		c.server.cfg.Logger.Log(context.Background(), level, "request failed", "request_id", c.id(), "error", err)
	}
	if a.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer") // RFC 9110 §11.6.1
	}
	var method *methodError
	if errors.As(err, &method) {
		h.Set("Allow", method.allowed)
	}
	if a.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(wholeSeconds(a.retryAfter)))
	}
	if a.limit != nil {
		setLimitHeaders(h, a)
	}
	return a
}

// setLimitHeaders says which limit was reached, in the fields of draft-ietf-httpapi-ratelimit-headers-09.
func setLimitHeaders(h http.Header, a answer) {
	policy := fmt.Sprintf("%q;q=%d", a.limit.Policy, a.limit.Quota)
	if a.limit.Window > 0 {
		policy += fmt.Sprintf(";w=%d", wholeSeconds(a.limit.Window))
	}
	h.Set("RateLimit-Policy", policy)
	h.Set("RateLimit", fmt.Sprintf("%q;r=0;t=%d", a.limit.Policy, wholeSeconds(a.retryAfter)))
}

// wholeSeconds rounds up: whoever comes back after so many does not come too early.
func wholeSeconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// problem writes a problem document (RFC 9457).
func (c *call) problem(a answer) {
	language := c.language()
	p := latchkey.Problem{
		Type:      "about:blank",
		Title:     statusTitle(a.status),
		Status:    a.status,
		Code:      a.code,
		RequestID: c.id(),
		Errors:    make([]latchkey.FieldError, 0, len(a.fields)),
	}
	messages := make([]string, 0, len(a.fields))
	for _, f := range a.fields {
		m := f.text(language)
		p.Errors = append(p.Errors, latchkey.FieldError{Field: f.field, Code: f.code, Message: m})
		messages = append(messages, m)
	}
	if p.Message = strings.Join(messages, " "); p.Message == "" {
		p.Message = codeMessage(language, a.code)
	}
	b, err := json.Marshal(p)
	if err != nil { // plain strings and numbers: cannot be
		b = []byte(`{}`)
	}
	h := c.w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Language", string(language))
	c.w.WriteHeader(a.status)
	_, _ = c.w.Write(b)
}

// statusTitle is the status' phrase of RFC 9110 §15; net/http still has the older ones of two.
func statusTitle(status int) string {
	switch status {
	case http.StatusUnprocessableEntity:
		return "Unprocessable Content"
	case http.StatusRequestEntityTooLarge:
		return "Content Too Large"
	}
	return http.StatusText(status)
}
