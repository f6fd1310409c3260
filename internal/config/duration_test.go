package config_test

import (
	"testing"
	"time"

	"github.com/ideaegg/latchkey/internal/config"
)

func TestLifetimes(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	tests := []struct {
		name, value string
		want        time.Duration
		fault       string
	}{
		{name: "days", value: "90d", want: 90 * day},
		{name: "hours", value: "12h", want: 12 * time.Hour},
		{name: "days and hours", value: "1d12h30m", want: 36*time.Hour + 30*time.Minute},
		{name: "a minute", value: "1m", want: time.Minute},
		{name: "ten years", value: "3650d", want: 3650 * day},
		{name: "less than a minute", value: "59s", fault: "write 1m to 3650d"},
		{name: "more than ten years", value: "3650d1s", fault: "write 1m to 3650d"},
		{name: "empty", value: "", fault: "is not a duration"},
		{name: "no unit", value: "90", fault: "is not a duration"},
		{name: "no number", value: "d", fault: "is not a duration"},
		{name: "fraction of a day", value: "1.5d", fault: "is not a duration"},
		{name: "negative days", value: "-1d", fault: "is not a duration"},
		{name: "negative hours", value: "-1h", fault: "is not a duration"},
		{name: "negative part", value: "1d-1h", fault: "is not a duration"},
		{name: "days last", value: "1h1d", fault: "is not a duration"},
		{name: "too many days for the type", value: "106752d", fault: "is not a duration"},
		{name: "space", value: "90 d", fault: "is not a duration"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, flag := range []string{"session-idle", "guest-idle", "session-max-age"} {
				s, err := serve(t, nil, "--dev", "--"+flag+"="+tt.value)
				if tt.fault != "" {
					wantFault(t, err, flag, tt.fault)
					continue
				}
				if err != nil {
					t.Errorf("got error %v, want none", err)
				}
				got := map[string]time.Duration{"session-idle": s.SessionIdle, "guest-idle": s.GuestIdle, "session-max-age": s.SessionMaxAge}[flag]
				if got != tt.want {
					t.Errorf("got --%s %v, want %v", flag, got, tt.want)
				}
			}
		})
	}
}

func TestOnlySessionMaxAgeMayBeZero(t *testing.T) {
	t.Parallel()
	if got := mustServe(t, "--dev", "--session-max-age=0d").SessionMaxAge; got != 0 {
		t.Errorf("got %v, want 0", got)
	}
	for _, flag := range []string{"session-idle", "guest-idle", "audit-keep"} {
		_, err := serve(t, nil, "--dev", "--"+flag+"=0")
		wantFault(t, err, flag, "out of bounds")
	}
}

// FuzzParseDuration checks that a duration is never negative and is read back as the same one.
func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"90d", "1d12h", "12h", "0", "1d1ns", "100000d2540400h", "1.5h", "-1h", "d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		d, err := config.ParseDuration(raw)
		if err != nil {
			return
		}
		if d < 0 {
			t.Errorf("got %v for %q, want nothing negative", d, raw)
		}
		again, err := config.ParseDuration(d.String())
		if err != nil || again != d {
			t.Errorf("got %v and error %v for %q, want %v", again, err, d.String(), d)
		}
	})
}
