package latchkey

// Code says what kind of error a Problem is. Codes are stable; messages are for people and may change.
type Code string

// The codes, each with the one HTTP status that it comes with.
const (
	CodeInvalidJSON          Code = "invalid_json"           // 400
	CodeInvalidRequest       Code = "invalid_request"        // 400
	CodeTokenConflict        Code = "token_conflict"         // 400
	CodeInvalidCredentials   Code = "invalid_credentials"    // 401
	CodeUnauthorized         Code = "unauthorized"           // 401
	CodeForbidden            Code = "forbidden"              // 403
	CodeNotFound             Code = "not_found"              // 404
	CodeMethodNotAllowed     Code = "method_not_allowed"     // 405
	CodeConflict             Code = "conflict"               // 409
	CodeTooLarge             Code = "too_large"              // 413
	CodeUnsupportedMediaType Code = "unsupported_media_type" // 415
	CodeValidationFailed     Code = "validation_failed"      // 422
	CodeRateLimited          Code = "rate_limited"           // 429, with Retry-After
	CodeInternal             Code = "internal"               // 500
	CodeUpstreamFailed       Code = "upstream_failed"        // 502
	CodeOverloaded           Code = "overloaded"             // 503, with Retry-After
	CodeUnavailable          Code = "unavailable"            // 503, with Retry-After
)

// FieldCode says what is wrong with one member of a request.
type FieldCode string

// The field codes.
const (
	FieldRequired    FieldCode = "required"
	FieldInvalid     FieldCode = "invalid"
	FieldTooShort    FieldCode = "too_short"
	FieldTooLong     FieldCode = "too_long"
	FieldTaken       FieldCode = "taken"
	FieldMismatch    FieldCode = "mismatch"
	FieldTooCommon   FieldCode = "too_common"
	FieldReserved    FieldCode = "reserved"
	FieldUnsupported FieldCode = "unsupported"
)

// Problem is the body of every error answer, an application/problem+json document (RFC 9457).
// On a 4xx, Errors has at least one element.
type Problem struct {
	Type      string       `json:"type"`
	Title     string       `json:"title"`
	Status    int          `json:"status"`
	Code      Code         `json:"code"`
	Message   string       `json:"message"`
	RequestID string       `json:"request_id"`
	Errors    []FieldError `json:"errors"`
}

// FieldError is what is wrong with one member of a request, in the language that Accept-Language asked for.
type FieldError struct {
	Field   string    `json:"field"`
	Code    FieldCode `json:"code"`
	Message string    `json:"message"`
}

// Error makes a Problem usable as a Go error; the text is Message.
func (p *Problem) Error() string { return p.Message }
