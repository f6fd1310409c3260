package wechattest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Mode is a way to misbehave; Errcode and Delay make more.
type Mode string

// Modes in which the request is not looked at: a code in it is not used up.
const (
	Empty       Mode = "empty"        // no body
	EmptyObject Mode = "empty-object" // {}
	EmptyArray  Mode = "empty-array"  // []
	Null        Mode = "null"         // null
	HTML        Mode = "html"         // a page, with status 200, as a captive portal gives
	Garbage     Mode = "garbage"      // bytes that are not even text
	Huge        Mode = "huge"         // 5 MB of JSON with a good openid in it
	Status500   Mode = "status-500"   // with a good answer in the body
	Status502   Mode = "status-502"   // with a page of a proxy's
	Redirect    Mode = "redirect"     // 302 to PathElsewhere with the same query
	Hang        Mode = "hang"         // nothing until the client goes away
	Drip        Mode = "drip"         // a space now and then, for ever
	Reset       Mode = "reset"        // the connection, at once
)

// Modes in which the request is served and then the answer changed.
const (
	ResetBody       Mode = "reset-body"         // the connection, in the middle of the body
	Truncated       Mode = "truncated"          // half of the body
	TwoObjects      Mode = "two-objects"        // the body twice
	DoubleMember    Mode = "double-member"      // errcode 0 and openid of somebody else first, then what there was
	WrongCase       Mode = "wrong-case"         // names in capitals
	StringErrcode   Mode = "string-errcode"     // errcode "0"
	ZeroErrcode     Mode = "zero-errcode"       // errcode 0 in an answer that has none: WeChat may do that
	NoErrcode       Mode = "no-errcode"         // none in an answer that has one
	NoOpenID        Mode = "no-openid"          //
	EmptyOpenID     Mode = "empty-openid"       //
	NumberOpenID    Mode = "number-openid"      //
	ArrayOpenID     Mode = "array-openid"       //
	BadOpenID       Mode = "bad-openid"         // a character that is none of an openid's
	LongOpenID      Mode = "long-openid"        // 129 characters
	OtherOpenID     Mode = "other-openid"       // a good one of nobody
	BadUnionID      Mode = "bad-unionid"        // a character that is none of a unionid's
	NumberUnionID   Mode = "number-unionid"     //
	NullUnionID     Mode = "null-unionid"       //
	NoToken         Mode = "no-token"           // no access_token
	NumberToken     Mode = "number-token"       //
	BadLifetime     Mode = "bad-lifetime"       // expires_in -1
	StringLifetime  Mode = "string-lifetime"    // expires_in "7200"
	NoPhoneInfo     Mode = "no-phone-info"      //
	NumberCountry   Mode = "number-country"     // countryCode 86: WeChat's own example has it
	BadPhone        Mode = "bad-phone"          // letters
	OtherWatermark  Mode = "other-watermark"    // of another app
	OldWatermark    Mode = "old-watermark"      // 6 minutes older
	FutureWatermark Mode = "future-watermark"   // 10 minutes newer
	NoWatermark     Mode = "no-watermark"       //
	StringTimestamp Mode = "string-watermark"   // its timestamp as a string
	SnapshotTrue    Mode = "snapshot-user-true" // is_snapshotuser true, which WeChat does not document
)

// PathElsewhere is where Redirect sends to. It answers like an unknown path.
const PathElsewhere = "/elsewhere"

// Errcode returns the mode in which every answer is this errcode.
func Errcode(code int) Mode { return Mode("errcode:" + strconv.Itoa(code)) }

// Delay returns the mode in which every answer comes so much later, and is right.
func Delay(d time.Duration) Mode { return Mode("delay:" + d.String()) }

// hugeAnswer is the size of the answer in mode Huge.
const hugeAnswer = 5 << 20

// dripInterval is between two bytes in mode Drip.
const dripInterval = 10 * time.Millisecond

type failure struct {
	mode Mode
	left int // requests; negative means without end
}

// Fail makes requests to path misbehave until Heal; "" means all calls of the API.
func (w *WeChat) Fail(path string, mode Mode) { w.fail(path, mode, -1) }

// FailTimes makes the next n requests to path misbehave.
func (w *WeChat) FailTimes(path string, mode Mode, n int) { w.fail(path, mode, n) }

func (w *WeChat) fail(path string, mode Mode, n int) {
	if _, err := ParseMode(string(mode)); err != nil {
		panic("wechattest: " + err.Error())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failures[path] = &failure{mode, n}
}

// Heal ends what Fail began for path.
func (w *WeChat) Heal(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.failures, path)
}

// Failures returns the modes by path that Fail set and nothing has ended.
func (w *WeChat) Failures() map[string]Mode {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make(map[string]Mode, len(w.failures))
	for path, f := range w.failures {
		all[path] = f.mode
	}
	return all
}

// nextMode returns how the next request to path misbehaves, "" for not at all; the caller holds mu.
func (w *WeChat) nextMode(path string) Mode {
	for _, key := range []string{path, ""} {
		f, ok := w.failures[key]
		if !ok {
			continue
		}
		if f.left > 0 {
			f.left--
			if f.left == 0 {
				delete(w.failures, key)
			}
		}
		return f.mode
	}
	return ""
}

// Modes returns all modes without those of Errcode and Delay.
func Modes() []Mode {
	refusing := []Mode{
		Empty, EmptyObject, EmptyArray, Null, HTML, Garbage, Huge, Status500, Status502, Redirect, Hang, Drip, Reset,
	}
	return slices.Concat(refusing, []Mode{ResetBody}, slices.Sorted(maps.Keys(changes())))
}

// ParseMode returns the mode of a text: one of Modes, "errcode:N" or "delay:DURATION".
func ParseMode(text string) (Mode, error) {
	mode := Mode(text)
	if slices.Contains(Modes(), mode) {
		return mode, nil
	}
	if n, ok := strings.CutPrefix(text, "errcode:"); ok {
		_, err := strconv.Atoi(n)
		return mode, err
	}
	if d, ok := strings.CutPrefix(text, "delay:"); ok {
		_, err := time.ParseDuration(d)
		return mode, err
	}
	return "", errors.New("no such mode: " + text)
}

// changesAnswer says whether the request is served before the mode takes effect.
func (m Mode) changesAnswer() bool {
	_, ok := changes()[m]
	return ok || m == "" || m == ResetBody || strings.HasPrefix(string(m), "delay:")
}

// misbehave answers in a mode that does not look at the request.
func (w *WeChat) misbehave(rw http.ResponseWriter, r *http.Request, mode Mode) {
	header := rw.Header()
	header.Set("Content-Type", "application/json")
	switch mode {
	case Empty:
	case EmptyObject:
		_, _ = rw.Write([]byte("{}"))
	case EmptyArray:
		_, _ = rw.Write([]byte("[]"))
	case Null:
		_, _ = rw.Write([]byte("null"))
	case HTML:
		header.Set("Content-Type", "text/html")
		_, _ = rw.Write([]byte("<!DOCTYPE html><title>Sign in to this network</title>"))
	case Garbage:
		_, _ = rw.Write([]byte{0x1f, 0x8b, 0x00, 0xff, 0xfe, '{', 0x80})
	case Huge:
		_, _ = rw.Write([]byte(`{"openid":"oHuge","padding":"`))
		_, _ = rw.Write(bytes.Repeat([]byte("x"), hugeAnswer))
		_, _ = rw.Write([]byte(`"}`))
	case Status500:
		rw.WriteHeader(http.StatusInternalServerError)
		_, _ = rw.Write([]byte(`{"openid":"oStatus500","errcode":0,"errmsg":"ok"}`))
	case Status502:
		header.Set("Content-Type", "text/html")
		rw.WriteHeader(http.StatusBadGateway)
		_, _ = rw.Write([]byte("<html><h1>502 Bad Gateway</h1></html>"))
	case Redirect:
		header.Set("Location", PathElsewhere+"?"+r.URL.RawQuery)
		rw.WriteHeader(http.StatusFound)
	case Hang:
		w.wait(r, time.Hour)
	case Drip:
		for w.wait(r, dripInterval) {
			if _, err := rw.Write([]byte(" ")); err != nil || http.NewResponseController(rw).Flush() != nil {
				return
			}
		}
	case Reset:
		reset(rw, nil)
	default: // errcode:N, as ParseMode has seen to it
		code, _ := strconv.Atoi(strings.TrimPrefix(string(mode), "errcode:"))
		_, _ = fmt.Fprintf(rw, `{"errcode":%d,"errmsg":"told to fail, %s"}`, code, requestID(w.Now()))
	}
}

// wait waits, and reports false if the client went away or the stand-in is closed.
func (w *WeChat) wait(r *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
	case <-w.closed:
	}
	return false
}

// reset writes raw bytes to the connection and then resets it.
func reset(rw http.ResponseWriter, raw []byte) {
	conn, _, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2: this resets the stream
	}
	defer func() { _ = conn.Close() }()
	_, _ = conn.Write(raw)
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // RST instead of FIN
	}
}

// delay waits for the time of a mode of Delay, and reports false if nobody waits for the answer any more.
func (w *WeChat) delay(r *http.Request, mode Mode) bool {
	text, ok := strings.CutPrefix(string(mode), "delay:")
	if !ok {
		return true
	}
	d, _ := time.ParseDuration(text) // ParseMode has seen to it
	return w.wait(r, d)
}

// members is a JSON object.
type members = map[string]any

// changes returns what the modes that change an answer do to it. The result replaces the body; nil means to encode the
// changed members.
func changes() map[Mode]func(body []byte, m members) []byte {
	set := func(name string, value any) func([]byte, members) []byte {
		return func(_ []byte, m members) []byte {
			if _, ok := m[name]; ok {
				m[name] = value
			}
			return nil
		}
	}
	drop := func(name string) func([]byte, members) []byte {
		return func(_ []byte, m members) []byte {
			delete(m, name)
			return nil
		}
	}
	phone := func(change func(info, mark members)) func([]byte, members) []byte {
		return func(_ []byte, m members) []byte {
			if info, ok := m["phone_info"].(members); ok {
				mark, _ := info["watermark"].(members)
				change(info, mark)
			}
			return nil
		}
	}
	moveWatermark := func(by time.Duration) func([]byte, members) []byte {
		return phone(func(_, mark members) {
			at, _ := mark["timestamp"].(float64)
			mark["timestamp"] = int64(at) + int64(by/time.Second)
		})
	}
	return map[Mode]func(body []byte, m members) []byte{
		Truncated:  func(body []byte, _ members) []byte { return body[:len(body)/2] },
		TwoObjects: func(body []byte, _ members) []byte { return slices.Concat(body, body) },
		DoubleMember: func(body []byte, _ members) []byte {
			return slices.Concat([]byte(`{"errcode":0,"openid":"oSomebodyElse","errcode":0,`), body[1:])
		},
		WrongCase: func(_ []byte, m members) []byte {
			for name, value := range maps.Clone(m) {
				delete(m, name)
				m[strings.ToUpper(name)] = value
			}
			return nil
		},
		StringErrcode: func(_ []byte, m members) []byte { m["errcode"] = "0"; return nil },
		ZeroErrcode: func(_ []byte, m members) []byte {
			if _, ok := m["errcode"]; !ok {
				m["errcode"], m["errmsg"] = 0, "ok"
			}
			return nil
		},
		NoErrcode:       drop("errcode"),
		NoOpenID:        drop("openid"),
		EmptyOpenID:     set("openid", ""),
		NumberOpenID:    set("openid", 42),
		ArrayOpenID:     set("openid", []string{"oArray"}),
		BadOpenID:       set("openid", "o/../x"),
		LongOpenID:      set("openid", strings.Repeat("o", 129)),
		OtherOpenID:     set("openid", "oNobody"),
		BadUnionID:      func(_ []byte, m members) []byte { m["unionid"] = "o x"; return nil },
		NumberUnionID:   func(_ []byte, m members) []byte { m["unionid"] = 42; return nil },
		NullUnionID:     func(_ []byte, m members) []byte { m["unionid"] = nil; return nil },
		NoToken:         drop("access_token"),
		NumberToken:     set("access_token", 42),
		BadLifetime:     set("expires_in", -1),
		StringLifetime:  set("expires_in", "7200"),
		NoPhoneInfo:     drop("phone_info"),
		NumberCountry:   phone(func(info, _ members) { info["countryCode"] = json.Number(fmt.Sprint(info["countryCode"])) }),
		BadPhone:        phone(func(info, _ members) { info["purePhoneNumber"] = "138x" }),
		OtherWatermark:  phone(func(_, mark members) { mark["appid"] = "wxother" }),
		OldWatermark:    moveWatermark(-6 * time.Minute),
		FutureWatermark: moveWatermark(10 * time.Minute),
		NoWatermark:     phone(func(info, _ members) { delete(info, "watermark") }),
		StringTimestamp: phone(func(_, mark members) { mark["timestamp"] = fmt.Sprint(mark["timestamp"]) }),
		SnapshotTrue:    func(_ []byte, m members) []byte { m["is_snapshotuser"] = true; return nil },
	}
}

// change returns the body as the mode has it. Errors stay as they are.
func (m Mode) change(body []byte) []byte {
	change, ok := changes()[m]
	if !ok {
		return body
	}
	var object members
	if err := json.Unmarshal(body, &object); err != nil {
		panic(err) // our own
	}
	if code, ok := object["errcode"].(float64); ok && code != 0 {
		return body
	}
	if changed := change(body, object); changed != nil {
		return changed
	}
	changed, err := json.Marshal(object)
	if err != nil {
		panic(err) // our own
	}
	return changed
}
