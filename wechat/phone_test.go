package wechat_test

import (
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/wechattest"
	"github.com/ideaegg/latchkey/wechat"
)

func TestPhoneNumber(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	abroad := w.AddPerson(wechattest.Person{CountryCode: "852", PhoneNumber: "51234567"})
	tests := []struct {
		name   string
		person wechattest.Person
		mode   wechattest.Mode
		want   wechat.PhoneNumber
		e164   string
	}{
		{"in China", w.person, "", wechat.PhoneNumber{CountryCode: "86", PureNumber: "13800138000"}, "+8613800138000"},
		{"abroad", abroad, "", wechat.PhoneNumber{CountryCode: "852", PureNumber: "51234567"}, "+85251234567"},
		{"country code as a number", w.person, wechattest.NumberCountry, wechat.PhoneNumber{CountryCode: "86", PureNumber: "13800138000"}, "+8613800138000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.mode != "" {
				w.FailTimes(wechattest.PathPhone, tt.mode, 1)
			}
			id := wechat.OpenID(w.OpenID(w.mini, tt.person))
			got, err := w.client.PhoneNumber(t.Context(), appOf(w.mini), id, wechat.Code(w.PhoneCode(w.mini, tt.person)))
			if err != nil || got != tt.want || got.E164() != tt.e164 {
				t.Errorf("got %+v, %s, %v, want %+v, %s", got, got.E164(), err, tt.want, tt.e164)
			}
		})
	}
}

func TestPhoneCodeOfAnotherPersonIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.AddPerson(wechattest.Person{PhoneNumber: "13900139000"})
	code := wechat.Code(w.PhoneCode(w.mini, w.person))
	_, err := w.client.PhoneNumber(t.Context(), appOf(w.mini), wechat.OpenID(w.OpenID(w.mini, other)), code)
	wantClass(t, err, wechat.ErrInvalidCode)

	// It is still the other's.
	if _, err := w.client.PhoneNumber(t.Context(), appOf(w.mini), wechat.OpenID(w.OpenID(w.mini, w.person)), code); err != nil {
		t.Errorf("got %v, want the number", err)
	}
}

func TestPhoneCodeRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	second := w.AddApp(wechattest.App{Kind: wechattest.MiniProgram})
	id := wechat.OpenID(w.OpenID(w.mini, w.person))
	exchange := func(app wechattest.App, id wechat.OpenID, code string) error {
		_, err := w.client.PhoneNumber(t.Context(), appOf(app), id, wechat.Code(code))
		return err
	}
	used := w.PhoneCode(w.mini, w.person)
	if err := exchange(w.mini, id, used); err != nil {
		t.Fatal(err)
	}
	wantClass(t, exchange(w.mini, id, used), wechat.ErrInvalidCode)
	wantClass(t, exchange(w.mini, id, w.Code(w.mini, w.person)), wechat.ErrInvalidCode)
	wantClass(t, exchange(w.mini, id, w.PhoneCode(second, w.person)), wechat.ErrInvalidCode)
	before := len(w.Requests())
	wantClass(t, exchange(w.mini, "", w.PhoneCode(w.mini, w.person)), wechat.ErrInvalidCode)
	wantClass(t, exchange(w.mini, id, ""), wechat.ErrInvalidCode)
	wantClass(t, exchange(w.website, id, "x"), wechat.ErrMisconfigured)
	if n := len(w.Requests()) - before; n != 0 {
		t.Errorf("got %d requests for what cannot succeed, want none", n)
	}
	expired := w.PhoneCode(w.mini, w.person)
	w.Advance(5*time.Minute + time.Second)
	wantClass(t, exchange(w.mini, id, expired), wechat.ErrInvalidCode)
}

// TestWatermarkMustBeFresh moves this machine's clock, which WeChat's need not agree with.
func TestWatermarkMustBeFresh(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		ahead time.Duration // of this machine's clock
		class error
	}{
		{"a clock that is right", 0, nil},
		{"four minutes old", 4 * time.Minute, nil},
		{"older than five minutes", 5*time.Minute + 2*time.Second, wechat.ErrInvalidCode},
		{"a little in the future", -50 * time.Second, nil},
		{"far in the future", -70 * time.Second, wechat.ErrBadAnswer},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.client = newClient(t, wechat.Config{BaseURL: w.URL, Now: func() time.Time { return w.Now().Add(tt.ahead) }})
			err := w.calls()[wechattest.PathPhone](t)
			if tt.class == nil {
				if err != nil {
					t.Errorf("got %v, want the number", err)
				}
				return
			}
			wantClass(t, err, tt.class)
		})
	}
}
