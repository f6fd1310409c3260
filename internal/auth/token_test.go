package auth_test

import (
	"errors"
	"hash/crc32"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ideaegg/latchkey/internal/auth"
)

const base62Digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// forgeToken puts a token together from its parts, with the right checksum.
func forgeToken(id, secret string) auth.SessionToken {
	body := "lk_" + id + secret
	sum := uint64(crc32.ChecksumIEEE([]byte(body)))
	return auth.SessionToken(body + base62Of(sum, 6))
}

// base62Of is v in base 62, padded to a width.
func base62Of(v uint64, width int) string {
	out := make([]byte, width)
	for i := width - 1; i >= 0; i-- {
		out[i] = base62Digits[v%62]
		v /= 62
	}
	return string(out)
}

var someSecret = strings.Repeat("x", 32)

func TestSessionTokenHasItsForm(t *testing.T) {
	t.Parallel()
	pattern := regexp.MustCompile(`^lk_[0-9A-Za-z]{49}$`)
	rapid.Check(t, func(t *rapid.T) {
		id := auth.SessionID(rapid.Int64Range(1, auth.MaxSessionID).Draw(t, "id"))
		made := auth.NewSessionToken(id)
		if !pattern.MatchString(made.Reveal()) || len(made) != auth.TokenLen {
			t.Fatalf("got %q", made.Reveal())
		}
		if got := made.Reveal()[3:14]; got != base62Of(uint64(id), 11) {
			t.Errorf("got id digits %q, want %q", got, base62Of(uint64(id), 11))
		}
		if want := forgeToken(made.Reveal()[3:14], made.Reveal()[14:46]); made != want {
			t.Errorf("got %q, want the checksum of %q", made.Reveal(), want.Reveal())
		}
		if got, err := made.SessionID(); err != nil || got != id {
			t.Errorf("got %d, %v, want %d", got, err, id)
		}
	})
}

func TestChangedSessionTokenIsRefused(t *testing.T) {
	t.Parallel()
	refused := func(t *rapid.T, changed string) {
		t.Helper()
		if id, err := auth.SessionToken(changed).SessionID(); !errors.Is(err, auth.ErrUnauthorized) || id != 0 {
			t.Errorf("%q: got %d, %v, want ErrUnauthorized", changed, id, err)
		}
	}
	t.Run("by one character", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			genuine := auth.NewSessionToken(auth.SessionID(rapid.Int64Range(1, auth.MaxSessionID).Draw(t, "id"))).Reveal()
			at := rapid.IntRange(0, len(genuine)-1).Draw(t, "at")
			other := rapid.Byte().Filter(func(b byte) bool { return b != genuine[at] }).Draw(t, "other")
			refused(t, genuine[:at]+string([]byte{other})+genuine[at+1:])
		})
	})
	t.Run("by every other character at every place", func(t *testing.T) {
		t.Parallel()
		genuine := auth.NewSessionToken(4711).Reveal()
		for at := range len(genuine) {
			for other := range 256 {
				changed := []byte(genuine)
				changed[at] = byte(other)
				if string(changed) == genuine {
					continue
				}
				if _, err := auth.SessionToken(changed).SessionID(); !errors.Is(err, auth.ErrUnauthorized) {
					t.Errorf("%q: got %v, want ErrUnauthorized", changed, err)
				}
			}
		}
	})
	t.Run("by its length", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			genuine := auth.NewSessionToken(auth.SessionID(rapid.Int64Range(1, auth.MaxSessionID).Draw(t, "id"))).Reveal()
			from := rapid.IntRange(0, len(genuine)).Draw(t, "from")
			to := rapid.IntRange(from, len(genuine)).Draw(t, "to")
			if to-from < len(genuine) {
				refused(t, genuine[from:to])
			}
			if from < to {
				refused(t, genuine[:from]+genuine[to:])
			}
			refused(t, genuine+rapid.StringN(1, -1, 10).Draw(t, "more"))
		})
	})
	t.Run("by two characters that change places", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			genuine := auth.NewSessionToken(auth.SessionID(rapid.Int64Range(1, auth.MaxSessionID).Draw(t, "id"))).Reveal()
			at := rapid.IntRange(0, len(genuine)-2).Draw(t, "at")
			if genuine[at] != genuine[at+1] {
				refused(t, genuine[:at]+genuine[at+1:at+2]+genuine[at:at+1]+genuine[at+2:])
			}
		})
	})
}

// The checksum alone does not make a token: it is there against slips, and the id in it must be one that a node makes.
func TestSessionTokenHoldsAnIDThatCanBe(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		id string
		ok bool
	}{
		"zero":                           {base62Of(0, 11), false},
		"one":                            {base62Of(1, 11), true},
		"the largest":                    {base62Of(1<<53-1, 11), true},
		"one more":                       {base62Of(1<<53, 11), false},
		"the largest int64":              {base62Of(1<<63-1, 11), false},
		"one more than that":             {base62Of(1<<63, 11), false},
		"the largest uint64":             {base62Of(1<<64-1, 11), false},
		"2^64, which overflows to 0":     {"LygHa16AHYG", false},
		"2^64 + 1, which overflows to 1": {"LygHa16AHYH", false},
		"the largest of 11 digits":       {strings.Repeat("z", 11), false},
		"2^64 and 2^53 - 1, which overflows to it": {"LzLXGoK7kCN", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := forgeToken(test.id, someSecret).SessionID(); (err == nil) != test.ok {
				t.Errorf("got %v, want a good id: %v", err, test.ok)
			}
		})
	}
}

func TestTokensOfOneSessionIDDiffer(t *testing.T) {
	t.Parallel()
	seen := make(map[auth.SessionToken]bool)
	for range 1000 {
		seen[auth.NewSessionToken(1)] = true
	}
	if len(seen) != 1000 {
		t.Errorf("got %d tokens, want 1000", len(seen))
	}
}

func TestTokenHashComparesTheWholeToken(t *testing.T) {
	t.Parallel()
	made := auth.NewSessionToken(4711)
	other := forgeToken(made.Reveal()[3:14], strings.Repeat("0", 32))
	if !made.Hash().Equal(made.Hash()) || made.Hash().Equal(other.Hash()) {
		t.Error("two tokens of one session id compare as one")
	}
	if got := len(made.Hash().String()); got != 8 {
		t.Errorf("got %d characters of the hash in print, want 8", got)
	}
}

// Not parallel: AllocsPerRun counts the whole program's.
func TestReadingATokenAllocatesNothing(t *testing.T) {
	good, bad := auth.NewSessionToken(4711), auth.SessionToken("lk_"+strings.Repeat("a", 49))
	if got := testing.AllocsPerRun(100, func() {
		_, _ = good.SessionID()
		_, _ = bad.SessionID()
	}); got != 0 {
		t.Errorf("got %v allocations, want none", got)
	}
}

func FuzzParseToken(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		id, err := auth.SessionToken(text).SessionID()
		if err != nil {
			if !errors.Is(err, auth.ErrUnauthorized) || id != 0 {
				t.Errorf("got %d, %v, want ErrUnauthorized", id, err)
			}
			return
		}
		if len(text) != auth.TokenLen || id < 1 || id > auth.MaxSessionID {
			t.Fatalf("took %q for the token of session %d", text, id)
		}
		if want := forgeToken(base62Of(uint64(id), 11), text[14:46]); auth.SessionToken(text) != want {
			t.Errorf("took %q, whose spelling is %q", text, want.Reveal())
		}
	})
}

func TestSessionIDsGrowAndStayBelow2To53(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 6, 6, 14, 20, 57, 0, time.UTC)
	t.Run("within a millisecond", func(t *testing.T) {
		t.Parallel()
		var ids auth.SessionIDs
		last := auth.SessionID(0)
		for range 20_000 {
			id := ids.Next(start)
			if id <= last {
				t.Fatalf("got %d after %d", id, last)
			}
			last = id
		}
	})
	t.Run("when the clock goes back", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			var ids auth.SessionIDs
			last := auth.SessionID(0)
			for _, ms := range rapid.SliceOfN(rapid.IntRange(-5000, 5000), 2, 50).Draw(t, "clock") {
				id := ids.Next(start.Add(time.Duration(ms) * time.Millisecond))
				if id <= last || id > auth.MaxSessionID {
					t.Fatalf("got %d after %d", id, last)
				}
				last = id
			}
		})
	})
	t.Run("at once", func(t *testing.T) {
		t.Parallel()
		var ids auth.SessionIDs
		var seen sync.Map
		var running sync.WaitGroup
		for range 8 {
			running.Go(func() {
				for range 1000 {
					if _, twice := seen.LoadOrStore(ids.Next(start), true); twice {
						t.Error("got an id twice")
					}
				}
			})
		}
		running.Wait()
	})
	t.Run("with time", func(t *testing.T) {
		t.Parallel()
		var earlier, later auth.SessionIDs // two nodes
		if a, b := earlier.Next(start), later.Next(start.Add(2*time.Millisecond)); a >= b {
			t.Errorf("got %d on one node and %d on another 2 ms later", a, b)
		}
	})
	t.Run("until 2094", func(t *testing.T) {
		t.Parallel()
		var ids auth.SessionIDs
		if got := ids.Next(time.Date(2094, 1, 1, 0, 0, 0, 0, time.UTC)); got > auth.MaxSessionID {
			t.Errorf("got %d, want at most %d", got, int64(auth.MaxSessionID))
		}
		if got := ids.Next(time.Date(2025, 1, 1, 0, 0, 0, int(time.Millisecond), time.UTC)); got < 1 {
			t.Errorf("got %d, want a positive id", got)
		}
	})
}

func TestSecretsHaveTheirForm(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		make    func() string
		pattern string
	}{
		"link token": {func() string { return auth.NewOneTimeSecret().Reveal() }, `^[0-9A-Za-z]{32}$`},
		"code":       {func() string { return auth.NewOneTimeCode().Reveal() }, `^[0-9]{8}$`},
		"name":       {auth.NewGeneratedName, `^[0-9a-f]{8}$`},
		"base 62":    {func() string { return auth.RandomBase62(100) }, `^[0-9A-Za-z]{100}$`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pattern := regexp.MustCompile(test.pattern)
			seen := make(map[string]bool)
			for range 500 {
				s := test.make()
				if !pattern.MatchString(s) {
					t.Fatalf("got %q, want %s", s, test.pattern)
				}
				seen[s] = true
			}
			if len(seen) < 499 { // two codes of 10^8 may meet
				t.Errorf("got %d different ones of 500", len(seen))
			}
		})
	}
}

// Each of the 62 digits is as likely as the others: modulo 256 the first eight would come more often.
func TestRandomDigitsAreEvenlySpread(t *testing.T) {
	t.Parallel()
	const n = 62 * 4000
	count := make(map[rune]int)
	for _, r := range auth.RandomBase62(n) {
		count[r]++
	}
	if len(count) != 62 {
		t.Fatalf("got %d digits, want 62", len(count))
	}
	for r, c := range count {
		if c < 3600 || c > 4400 { // more than six standard deviations from 4000; modulo bias would be 4840
			t.Errorf("got %c %d times of %d, want about 4000", r, c, n)
		}
	}
}
