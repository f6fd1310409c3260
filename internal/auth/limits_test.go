package auth_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ideaegg/latchkey/internal/auth"
)

func TestWaitsGrowUntilThePasswordIsDisabled(t *testing.T) {
	t.Parallel()
	rule := auth.SignInRule()
	for failures, want := range map[int]time.Duration{
		0: 0, 1: 0, 9: 0, 10: 30 * time.Second, 11: time.Minute, 12: 2 * time.Minute, 16: 32 * time.Minute, 17: time.Hour, 99: time.Hour,
	} {
		if got, forever := rule.Wait(failures); got != want || forever {
			t.Errorf("got %v, forever %v after %d failures, want %v", got, forever, failures, want)
		}
	}
	for _, failures := range []int{100, 101, 1 << 40} {
		if _, forever := rule.Wait(failures); !forever {
			t.Errorf("got a wait that ends after %d failures", failures)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		rule := auth.GuessRule{Free: rapid.IntRange(1, 20).Draw(t, "free")}
		failures := rapid.IntRange(0, 1<<40).Draw(t, "failures")
		shorter, _ := rule.Wait(failures)
		longer, forever := rule.Wait(failures + 1)
		if longer < shorter || longer > time.Hour || forever {
			t.Errorf("got %v, then %v (forever: %v)", shorter, longer, forever)
		}
	})
}

func TestDeviceTokensAreForOneUserAndPassword(t *testing.T) {
	t.Parallel()
	const user, hash = auth.UserID(7), auth.PasswordHash("$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA")
	token := auth.NewDevice(user, hash)
	if !token.IsDeviceOf(user, hash) {
		t.Error("got a token that is not genuine")
	}
	if token.IsDeviceOf(8, hash) || token.IsDeviceOf(user, hash+"x") || token.IsDeviceOf(user, "") {
		t.Error("got a token that is good for another user or password")
	}
	if auth.NewDevice(0, "").IsDeviceOf(0, "") {
		t.Error("got a token that is good for nobody")
	}
	if other := auth.NewDevice(user, hash); other == token {
		t.Error("got one token for two devices")
	}
	for i := range token {
		for _, c := range []byte("A_=\x00") {
			forged := token[:i] + auth.DeviceToken(c) + token[i+1:]
			if forged != token && forged.IsDeviceOf(user, hash) {
				t.Errorf("got a token that is genuine with %q at %d", c, i)
			}
		}
		if token[:i].IsDeviceOf(user, hash) {
			t.Errorf("got a token that is genuine with %d characters", i)
		}
	}
	if (token+"=").IsDeviceOf(user, hash) || (token+"\n").IsDeviceOf(user, hash) || auth.DeviceToken(strings.ToUpper(token.Reveal())).IsDeviceOf(user, hash) {
		t.Error("got a token that is genuine in another spelling")
	}
}

func FuzzDeviceToken(f *testing.F) {
	const user, hash = auth.UserID(7), auth.PasswordHash("hash")
	f.Add("")
	f.Add("new")
	f.Add(auth.NewDevice(user, "another hash").Reveal())
	f.Add(auth.NewDevice(8, hash).Reveal() + "\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		if auth.DeviceToken(s).IsDeviceOf(user, hash) {
			t.Errorf("got %q accepted, which nobody signed", s)
		}
	})
}
