package wechat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
)

// maxAnswer is far more than WeChat has to say: the longest answer is a profile of about 1 KiB.
const maxAnswer = 64 << 10

// errNoResponse is for a RoundTripper that breaks its promise.
var errNoResponse = errors.New("neither response nor error")

// A request is one call to WeChat's API.
type request struct {
	path  string
	by    credential
	query url.Values // escaped here: a value cannot add a parameter
	body  any        // sent with POST, as JSON; nil means GET
}

// do sends the request and returns the answer of WeChat, which names no error. Every error is an *Error.
func (c *Client) do(ctx context.Context, r request) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := c.newRequest(ctx, r)
	if err != nil {
		return answer{}, err
	}
	resp, err := c.transport.RoundTrip(req)
	switch {
	case err != nil:
		return answer{}, transportError(r.path, err)
	case resp == nil || resp.Body == nil:
		return answer{}, transportError(r.path, errNoResponse)
	}
	defer resp.Body.Close()
	// WeChat answers 200 whatever it thinks of the request; anything else is somebody in between.
	if resp.StatusCode != http.StatusOK {
		return answer{}, badAnswer(r.path, "HTTP status is not 200")
	}
	// The type is not looked at: /sns answers are text/plain.
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return answer{}, transportError(r.path, err)
	case len(body) > maxAnswer:
		return answer{}, badAnswer(r.path, "too long")
	}
	return parseAnswer(r, body)
}

// newRequest makes the HTTP request. The query is set last, so that no error can hold it.
func (c *Client) newRequest(ctx context.Context, r request) (*http.Request, error) {
	method, body := http.MethodGet, io.Reader(nil)
	if r.body != nil {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		// 全局返回码 40033: characters must not be written as \uxxxx, which is what escaping for HTML does.
		enc.SetEscapeHTML(false)
		if err := enc.Encode(r.body); err != nil {
			return nil, &Error{Class: ErrRefused, Call: r.path, detail: "request cannot be encoded"}
		}
		method, body = http.MethodPost, &b
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base.JoinPath(r.path).String(), body)
	if err != nil {
		return nil, transportError(r.path, err)
	}
	req.URL.RawQuery = r.query.Encode()
	req.Header.Set("Accept", "application/json")
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

func badAnswer(call, detail string) *Error {
	return &Error{Class: ErrBadAnswer, Call: call, detail: detail}
}
