package wechat

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"
)

const (
	phonePath = "/wxa/business/getuserphonenumber"

	// maxPhoneAge is how long a phone code lives (获取手机号). Its time begins when the person taps the button, and so
	// does the watermark's.
	maxPhoneAge = 5 * time.Minute

	// maxClockSkew is how far WeChat's clock may be ahead of ours.
	maxClockSkew = time.Minute
)

// PhoneNumber is a number that WeChat has verified by a short message, though not necessarily today.
type PhoneNumber struct {
	CountryCode string // 1 to 4 digits, the first not 0: "86"
	PureNumber  string // 3 to 15 digits, without the country code
}

// E164 returns the number in the international form, such as "+8613800138000".
func (p PhoneNumber) E164() string { return "+" + p.CountryCode + p.PureNumber }

// PhoneNumber exchanges a phone code of a mini program for the number that the person chose to show: 获取手机号. WeChat
// checks that the code is of the person with this openid, and this method that the answer is for the app and fresh: a
// code that is older than 5 minutes is ErrInvalidCode. A code of wx.login is not a phone code.
//
// The app's access token that this needs comes from Config.AppTokens; if WeChat finds it stale, another one is asked
// for once.
//
// The classes of its errors are ErrInvalidCode, ErrBusy, ErrMisconfigured, ErrStaleAppToken (twice in a row: somebody
// else keeps ending the token), ErrRefused, ErrBadAnswer and ErrUnavailable.
func (c *Client) PhoneNumber(ctx context.Context, app App, openID OpenID, code Code) (PhoneNumber, error) {
	if err := app.check(phonePath); err != nil {
		return PhoneNumber{}, err
	}
	switch {
	case app.Kind != MiniProgram:
		return PhoneNumber{}, &Error{Class: ErrMisconfigured, Call: phonePath, detail: "the app is no mini program"}
	case !isName(string(openID), maxOpenID), !isToken(string(code), maxCode):
		return PhoneNumber{}, &Error{Class: ErrInvalidCode, Call: phonePath, detail: "malformed"}
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	token, err := c.appTokens.AppToken(ctx, app, "")
	if err != nil {
		return PhoneNumber{}, err
	}
	a, err := c.exchangePhoneCode(ctx, token.Token, openID, code)
	if errors.Is(err, ErrStaleAppToken) {
		fresh, fetchErr := c.appTokens.AppToken(ctx, app, token.Token)
		switch {
		case fetchErr != nil:
			return PhoneNumber{}, fetchErr
		case fresh.Token == token.Token: // WeChat gives out what it does not take; asking again would not help
			return PhoneNumber{}, err
		}
		a, err = c.exchangePhoneCode(ctx, fresh.Token, openID, code)
	}
	if err != nil {
		return PhoneNumber{}, err
	}
	return a.phoneNumber(app.ID, c.now())
}

func (c *Client) exchangePhoneCode(ctx context.Context, token AppAccessToken, openID OpenID, code Code) (answer, error) {
	return c.do(ctx, request{
		path: phonePath, by: withAppToken,
		query: url.Values{"access_token": {token.Reveal()}},
		body: struct {
			Code   string `json:"code"`
			OpenID string `json:"openid"`
		}{code.Reveal(), string(openID)},
	})
}

// phoneNumber reads a number from an answer that must be for the app and fresh at now.
func (a answer) phoneNumber(app AppID, now time.Time) (PhoneNumber, error) {
	info, err := a.object("phone_info")
	if err != nil {
		return PhoneNumber{}, err
	}
	mark, err := info.object("watermark")
	if err != nil {
		return PhoneNumber{}, err
	}
	if err := mark.checkWatermark(app, now); err != nil {
		return PhoneNumber{}, err
	}
	var p PhoneNumber
	if p.PureNumber, err = info.text("purePhoneNumber"); err != nil {
		return PhoneNumber{}, err
	}
	if p.CountryCode, err = info.countryCode(); err != nil {
		return PhoneNumber{}, err
	}
	if !isDigits(p.PureNumber, 3, 15) || !isDigits(p.CountryCode, 1, 4) || p.CountryCode[0] == '0' {
		return PhoneNumber{}, badAnswer(a.call, "the number is missing or malformed")
	}
	return p, nil
}

func (a answer) checkWatermark(app AppID, now time.Time) error {
	id, err := a.text("appid")
	if err != nil {
		return err
	}
	if id != string(app) {
		return badAnswer(a.call, "the watermark is of another app")
	}
	seconds, ok, err := a.integer("timestamp")
	switch {
	case err != nil:
		return err
	case !ok, seconds <= 0, seconds > 1<<40: // beyond it, subtracting would overflow
		return badAnswer(a.call, "the watermark's time is missing or out of range")
	}
	switch age := now.Sub(time.Unix(seconds, 0)); {
	case age > maxPhoneAge:
		return &Error{Class: ErrInvalidCode, Call: a.call, detail: fmt.Sprintf("the watermark is %v old", age.Round(time.Second))}
	case age < -maxClockSkew:
		return badAnswer(a.call, fmt.Sprintf("the watermark is %v ahead of this machine's clock", -age.Round(time.Second)))
	}
	return nil
}

// countryCode returns countryCode, of which the page says that it is a string and shows a number.
func (a answer) countryCode() (string, error) {
	if n, ok, err := a.integer("countryCode"); err == nil && ok {
		return strconv.FormatInt(n, 10), nil
	}
	return a.text("countryCode")
}

// isDigits says whether s is between least and most decimal digits.
func isDigits(s string, least, most int) bool {
	if len(s) < least || len(s) > most {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
