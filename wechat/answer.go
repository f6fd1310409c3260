package wechat

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"regexp"
	"strconv"
	"time"
	"unicode/utf8"
)

// An answer is a JSON object of WeChat's that names no error. Its methods return a *Error of class ErrBadAnswer for a
// member of a wrong type or form.
type answer struct {
	call    string
	members map[string]json.RawMessage // never null
	code    bool                       // it has errcode 0, where others have none
}

var (
	// WeChat writes "…, rid: 66c69111-4157f271-729ca238" and "… rid: 66c69111-4157f271-729ca238".
	ridPattern = regexp.MustCompile(`\brid: ([0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8})\b`)

	// "invalid ip 192.0.2.7 ipv6 ::ffff:192.0.2.7, not in whitelist" is the only way to learn one's own address.
	ipPattern = regexp.MustCompile(`\binvalid ip ([0-9A-Fa-f.:]{2,45})[ ,]`)
)

// parseAnswer reads what WeChat answered with status 200. An errcode other than 0 decides, whatever else is there;
// success may come with errcode 0 or without one.
func parseAnswer(r request, body []byte) (answer, error) {
	members, err := parseObject(body)
	if err != nil {
		return answer{}, badAnswer(r.path, err.Error())
	}
	a := answer{call: r.path, members: members}
	raw, ok := members["errcode"]
	if !ok {
		return a, nil
	}
	code, err := strconv.Atoi(string(raw))
	switch {
	case err != nil:
		return answer{}, badAnswer(r.path, "errcode is no integer")
	case code == 0:
		a.code = true
		return a, nil
	}
	e := &Error{Call: r.path, Code: code}
	e.RetryAfter, e.Class = classify(code, r.by)
	e.describe(members["errmsg"])
	return answer{}, e
}

// describe takes from an errmsg what helps the operator and can hold nothing else: the id of the request, and our own
// address when it is not on the app's list.
func (e *Error) describe(errmsg json.RawMessage) {
	var text string
	if json.Unmarshal(errmsg, &text) != nil {
		return
	}
	if m := ridPattern.FindStringSubmatch(text); m != nil {
		e.RequestID = m[1]
	}
	if m := ipPattern.FindStringSubmatch(text); m != nil && e.Code == 40164 {
		if addr, err := netip.ParseAddr(m[1]); err == nil {
			e.detail = "address " + addr.String() + " is not on the app's list"
		}
	}
}

// parseObject reads one JSON object and nothing after it. Names are as they are written: encoding/json alone would also
// take OpenID for openid, and the last of two. Members that are null are left out.
func parseObject(body []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(body) {
		return nil, errors.New("not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if start, err := dec.Token(); err != nil || start != json.Delim('{') {
		return nil, errors.New("no JSON object")
	}
	members := make(map[string]json.RawMessage)
	seen := make(map[string]bool)
	for dec.More() {
		token, err := dec.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, errors.New("broken JSON")
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, errors.New("broken JSON")
		}
		if seen[name] {
			return nil, errors.New("a member is there twice")
		}
		seen[name] = true
		if string(value) != "null" {
			members[name] = value
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, errors.New("broken JSON")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON object")
	}
	return members, nil
}

// text returns the string of a member, "" if it is missing.
func (a answer) text(name string) (string, error) {
	raw, ok := a.members[name]
	if !ok {
		return "", nil
	}
	if raw[0] != '"' {
		return "", badAnswer(a.call, name+" is no string")
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", badAnswer(a.call, name+" is no string")
	}
	return s, nil
}

// integer returns the integer of a member, and false if it is missing.
func (a answer) integer(name string) (int64, bool, error) {
	raw, ok := a.members[name]
	if !ok {
		return 0, false, nil
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		return 0, false, badAnswer(a.call, name+" is no integer")
	}
	return n, true, nil
}

// object returns the object of a member.
func (a answer) object(name string) (answer, error) {
	raw, ok := a.members[name]
	if !ok {
		return answer{}, badAnswer(a.call, name+" is missing")
	}
	members, err := parseObject(raw)
	if err != nil {
		return answer{}, badAnswer(a.call, name+": "+err.Error())
	}
	return answer{call: a.call, members: members}, nil
}

// person returns the openid, which must be there, and the unionid, which may be missing or empty.
func (a answer) person() (OpenID, UnionID, error) {
	openID, err := a.text("openid")
	if err != nil {
		return "", "", err
	}
	unionID, err := a.text("unionid")
	switch {
	case err != nil:
		return "", "", err
	case !isName(openID, maxOpenID):
		return "", "", badAnswer(a.call, "openid is missing or malformed")
	case unionID != "" && !isName(unionID, maxOpenID):
		return "", "", badAnswer(a.call, "unionid is malformed")
	}
	return OpenID(openID), UnionID(unionID), nil
}

// token returns a token of at most maxToken characters, "" if it is missing.
func (a answer) token(name string) (string, error) {
	s, err := a.text(name)
	if err == nil && s != "" && !isToken(s, maxToken) {
		return "", badAnswer(a.call, name+" is malformed")
	}
	return s, err
}

// lifetime returns expires_in: more than 0, at most a day, where WeChat says at most 7,200 s.
func (a answer) lifetime() (time.Duration, error) {
	seconds, ok, err := a.integer("expires_in")
	switch {
	case err != nil:
		return 0, err
	case !ok, seconds <= 0, seconds > 24*60*60:
		return 0, badAnswer(a.call, "expires_in is missing or out of range")
	}
	return time.Duration(seconds) * time.Second, nil
}

// isSnapshot says whether the person is a made-up one. WeChat sends is_snapshotuser 1 or nothing (换取用户授权凭证); what
// else may come is taken for a yes, because the harm of a no is an account that many share.
func (a answer) isSnapshot() bool {
	raw, ok := a.members["is_snapshotuser"]
	return ok && string(raw) != "0" && string(raw) != "false"
}
