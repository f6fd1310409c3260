package wechat

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The classes of errors. Every error of a Client's method is an *Error, and errors.Is finds its class; but for what an
// AppTokenSource returns that is not one.
var (
	// ErrInvalidCode reports a code that WeChat does not accept: wrong, used, expired, of another app or of another
	// person. The device has to get a new one.
	ErrInvalidCode = errors.New("invalid code")

	// ErrInvalidToken reports a person's access token that is wrong, expired or of another person.
	ErrInvalidToken = errors.New("invalid access token or openid")

	// ErrBlocked reports a person whom WeChat holds to be so risky that it does not let them sign in.
	ErrBlocked = errors.New("person is blocked by WeChat")

	// ErrSnapshotUser reports a made-up person: WeChat showed a snapshot of the page (快照页) instead of asking, and
	// the openid and unionid are good for nothing. The person has to tap 使用完整服务.
	ErrSnapshotUser = errors.New("snapshot user")

	// ErrBusy reports that WeChat has too much to do, or that a quota is used up; Error.RetryAfter says when to come
	// back.
	ErrBusy = errors.New("WeChat is busy or a quota is used up")

	// ErrMisconfigured reports what only the app's operator can put right: a wrong id or secret, an address that is not
	// on the app's list, a frozen secret or account, a missing permission.
	ErrMisconfigured = errors.New("app is misconfigured")

	// ErrStaleAppToken reports an app's access token that is no longer valid. A new one puts it right, and what the call
	// was about has not been used up. It is also ErrMisconfigured, for those who cannot fetch one.
	ErrStaleAppToken = fmt.Errorf("%w: its access token is stale", ErrMisconfigured)

	// ErrRefused reports that WeChat refused for a reason that this package does not know: see Error.Code.
	ErrRefused = errors.New("refused by WeChat")

	// ErrBadAnswer reports an answer that makes no sense.
	ErrBadAnswer = errors.New("bad answer from WeChat")

	// ErrUnavailable reports that WeChat could not be reached, or did not answer in time. With a context that ended,
	// the error is also context.Canceled or context.DeadlineExceeded. Whether a code was used up is unknown.
	ErrUnavailable = errors.New("WeChat is unavailable")
)

// Error is what a call to WeChat ended in. It holds nothing of the request but the call's path, and nothing of the
// answer but numbers and WeChat's id of the request.
type Error struct {
	Class      error         // one of the classes above
	Call       string        // the path, such as "/sns/jscode2session"
	Code       int           // WeChat's errcode; 0 if WeChat did not name one
	RequestID  string        // WeChat's id of the request (rid), which its support asks for; may be empty
	RetryAfter time.Duration // with ErrBusy: 1 s to 10 min

	detail string // for the operator; never from outside, but for an IP address
	cause  error  // context.Canceled, context.DeadlineExceeded or nil
}

// Error says what happened, for a log. It is one line and holds no secret.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("wechat: " + e.Call + ": ")
	b.WriteString(e.Class.Error())
	if e.detail != "" {
		b.WriteString(": " + e.detail)
	}
	if e.Code != 0 {
		b.WriteString(" (errcode " + strconv.Itoa(e.Code))
		if e.RequestID != "" {
			b.WriteString(", rid " + e.RequestID)
		}
		b.WriteString(")")
	}
	return b.String()
}

// Unwrap returns the class and, where there is one, the error of the context that ended.
func (e *Error) Unwrap() []error {
	if e.cause == nil {
		return []error{e.Class}
	}
	return []error{e.Class, e.cause}
}

// A credential is what a call proves its right with. It decides what some errcodes mean.
type credential int

const (
	withSecret    credential = iota // the app's secret
	withUserToken                   // a person's access token
	withAppToken                    // the app's access token
)

const (
	retryBusy   = time.Second      // errcode -1 is a hiccup
	retryMinute = time.Minute      // the quota is per minute: "must slower, retry next minute"
	retryDay    = 10 * time.Minute // the quota is per day, but the operator can reset it at any time
)

// classify returns the class of an errcode other than 0, and with ErrBusy when to come back. The text beside the code
// (errmsg) is no help: it changes, and ends in the id of the request.
//
// The codes are those of 全局返回码 and of the calls' own pages; 40243 is of 服务端 API 调用说明, which also has 61004 where
// WeChat sends 40164. 40163 is on no call's page, but what /sns/jscode2session answers to a used code all the same.
func classify(code int, by credential) (retryAfter time.Duration, class error) {
	switch code {
	case -1: // system error
		return retryBusy, ErrBusy
	case 45011: // per minute; at /sns/jscode2session 100 for each person
		return retryMinute, ErrBusy
	case 45009: // per day
		return retryDay, ErrBusy

	case 40029, // wrong, of another app, used long ago or expired
		40163, // used
		41008, // missing
		42003: // expired
		return 0, ErrInvalidCode

	case 40226: // high risk
		return 0, ErrBlocked

	case 40001, // the secret, or the token, is wrong; a token may just not be the latest
		40014, // the token is wrong
		42001, // the token has expired
		42007: // the person has changed the password, which ends the tokens
		switch by {
		case withUserToken:
			return 0, ErrInvalidToken
		case withAppToken:
			return 0, ErrStaleAppToken
		}
		return 0, ErrMisconfigured

	case 40003, // the openid is wrong, or of another app, or not the one of the token or code
		41009: // the openid is missing
		switch by {
		case withUserToken:
			return 0, ErrInvalidToken
		case withAppToken:
			return 0, ErrInvalidCode
		}
		return 0, ErrRefused

	case 40013, // the app's id
		40125,        // its secret
		40164, 61004, // our address is not on its list
		40243,        // its secret is frozen
		41002, 41004, // id or secret are missing
		48001, 48004, // it may not make this call
		50002, 50004, 50007: // its account is limited, punished or frozen
		return 0, ErrMisconfigured
	}
	return 0, ErrRefused
}
