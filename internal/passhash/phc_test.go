package passhash_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/internal/passhash"
)

const (
	salt16 = "AAECAwQFBgcICQoLDA0ODw"
	key32  = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
	good   = "$argon2id$v=19$m=19456,t=2,p=1$" + salt16 + "$" + key32
)

func TestParsePHC(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("A", 86) // 64 bytes
	for _, tt := range []struct {
		name string
		in   string
		want passhash.Params // zero: malformed
	}{
		{"today's parameters are read", good, passhash.Params{MemoryKiB: 19456, Passes: 2, Lanes: 1}},
		{"the least parameters are read", strings.Replace(good, "m=19456,t=2", "m=8,t=1", 1), passhash.Params{MemoryKiB: 8, Passes: 1, Lanes: 1}},
		{"the most memory is read", strings.Replace(good, "m=19456,t=2", "m=262144,t=4", 1), passhash.Params{MemoryKiB: 262144, Passes: 4, Lanes: 1}},
		{"the most lanes and passes are read", strings.Replace(good, "t=2,p=1", "t=16,p=16", 1), passhash.Params{MemoryKiB: 19456, Passes: 16, Lanes: 16}},
		{"the longest salt and key are read", "$argon2id$v=19$m=19456,t=2,p=1$" + long + "$" + long, passhash.Params{MemoryKiB: 19456, Passes: 2, Lanes: 1}},

		{"nothing is malformed", "", passhash.Params{}},
		{"bcrypt is malformed", "$2b$12$eImiTXuWVxfM37uY4JANjQ==", passhash.Params{}},
		{"argon2i is malformed", strings.Replace(good, "argon2id", "argon2i", 1), passhash.Params{}},
		{"an older version is malformed", strings.Replace(good, "v=19", "v=16", 1), passhash.Params{}},
		{"a missing version is malformed", strings.Replace(good, "v=19$", "", 1), passhash.Params{}},
		{"a missing field is malformed", strings.TrimSuffix(good, "$"+key32), passhash.Params{}},
		{"a further field is malformed", good + "$", passhash.Params{}},
		{"a line break at the end is malformed", good + "\n", passhash.Params{}},
		{"a line break in the salt is malformed", strings.Replace(good, "$AAEC", "$AA\nEC", 1), passhash.Params{}},
		{"a space in front is malformed", " " + good, passhash.Params{}},
		{"gigabytes of memory are malformed", strings.Replace(good, "m=19456", "m=4194304", 1), passhash.Params{}},
		{"one KiB too many is malformed", strings.Replace(good, "m=19456", "m=262145", 1), passhash.Params{}},
		{"too little memory is malformed", strings.Replace(good, "m=19456", "m=7", 1), passhash.Params{}},
		{"too little memory for the lanes is malformed", strings.Replace(good, "m=19456,t=2,p=1", "m=31,t=2,p=4", 1), passhash.Params{}},
		{"too much memory times passes is malformed", strings.Replace(good, "m=19456,t=2", "m=262144,t=5", 1), passhash.Params{}},
		{"no pass is malformed", strings.Replace(good, "t=2", "t=0", 1), passhash.Params{}},
		{"too many passes are malformed", strings.Replace(good, "t=2", "t=17", 1), passhash.Params{}},
		{"no lane is malformed", strings.Replace(good, "p=1", "p=0", 1), passhash.Params{}},
		{"too many lanes are malformed", strings.Replace(good, "p=1", "p=17", 1), passhash.Params{}},
		{"lanes that wrap around to one are malformed", strings.Replace(good, "p=1", "p=257", 1), passhash.Params{}},
		{"memory that wraps around is malformed", strings.Replace(good, "m=19456", "m=4294986752", 1), passhash.Params{}},
		{"a number beyond 64 bits is malformed", strings.Replace(good, "m=19456", "m=99999999999999999999", 1), passhash.Params{}},
		{"a negative number is malformed", strings.Replace(good, "t=2", "t=-2", 1), passhash.Params{}},
		{"a plus sign is malformed", strings.Replace(good, "t=2", "t=+2", 1), passhash.Params{}},
		{"a leading zero is malformed", strings.Replace(good, "t=2", "t=02", 1), passhash.Params{}},
		{"another order is malformed", strings.Replace(good, "m=19456,t=2", "t=2,m=19456", 1), passhash.Params{}},
		{"a parameter twice is malformed", strings.Replace(good, "t=2", "t=2,t=2", 1), passhash.Params{}},
		{"an unknown parameter is malformed", strings.Replace(good, "p=1", "p=1,keyid=AA", 1), passhash.Params{}},
		{"a missing parameter is malformed", strings.Replace(good, ",p=1", "", 1), passhash.Params{}},
		{"an empty salt is malformed", strings.Replace(good, salt16, "", 1), passhash.Params{}},
		{"a salt of 7 bytes is malformed", strings.Replace(good, salt16, "AAECAwQFBg", 1), passhash.Params{}},
		{"a salt of 65 bytes is malformed", strings.Replace(good, salt16, long+"A", 1), passhash.Params{}},
		{"a key of 15 bytes is malformed", strings.Replace(good, key32, "AAECAwQFBgcICQoLDA0O", 1), passhash.Params{}},
		{"a key of 65 bytes is malformed", strings.Replace(good, key32, long+"A", 1), passhash.Params{}},
		{"padding is malformed", strings.Replace(good, salt16, salt16+"==", 1), passhash.Params{}},
		{"stray low bits are malformed", strings.Replace(good, salt16, salt16[:21]+"x", 1), passhash.Params{}},
		{"URL base64 is malformed", strings.Replace(good, "$AAEC", "$-_EC", 1), passhash.Params{}},
		{"a megabyte is malformed", good + strings.Repeat("A", 1<<20), passhash.Params{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := passhash.ParsePHC(passhash.PasswordHash(tt.in))
			if tt.want == (passhash.Params{}) {
				if !errors.Is(err, passhash.ErrMalformed) {
					t.Errorf("got %v, %v, want ErrMalformed", got, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.Params); diff != "" {
				t.Error(diff)
			}
			if again := string(passhash.FormatPHC(got)); again != tt.in {
				t.Errorf("written again: got %q, want %q", again, tt.in)
			}
		})
	}
}

func FuzzParsePHC(f *testing.F) {
	f.Add(good)
	f.Add("$argon2id$v=19$m=8,t=1,p=1$AAECAwQFBgc$AAECAwQFBgcICQoLDA0ODw")
	f.Fuzz(func(t *testing.T, in string) {
		h, err := passhash.ParsePHC(passhash.PasswordHash(in))
		if err != nil {
			if !errors.Is(err, passhash.ErrMalformed) {
				t.Errorf("got %v, want ErrMalformed", err)
			}
			return
		}
		if got := string(passhash.FormatPHC(h)); got != in {
			t.Errorf("written again: got %q, want %q", got, in)
		}
		if m, p := h.Params.MemoryKiB, h.Params.Passes; m > 262144 || p > 16 || m*p > 1<<20 || h.Params.Lanes > 16 {
			t.Errorf("costs beyond the limits: %+v", h.Params)
		}
	})
}

func FuzzParseRequest(f *testing.F) {
	h := passhash.PHC{Params: passhash.Params{MemoryKiB: 8, Passes: 1, Lanes: 1}, Salt: make([]byte, 8), Key: make([]byte, 16)}
	f.Add(passhash.RequestFrame(7, h, "secret")[4:])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		if again, ok := passhash.ReparseRequest(body); ok && !bytes.Equal(again, body) {
			t.Errorf("written again: got %x, want %x", again, body)
		}
	})
}

func TestNeedsRehash(t *testing.T) {
	t.Parallel()
	current := passhash.Params{MemoryKiB: 64, Passes: 3, Lanes: 2}
	for _, tt := range []struct {
		name string
		hash string
		want bool
	}{
		{"equal costs stay", "m=64,t=3,p=2", false},
		{"higher costs stay", "m=128,t=4,p=4", false},
		{"less memory is raised", "m=63,t=3,p=2", true},
		{"fewer passes are raised", "m=64,t=2,p=2", true},
		{"fewer lanes are raised", "m=64,t=3,p=1", true},
		{"less memory with more passes is raised", "m=32,t=6,p=2", true},
		{"nonsense is replaced", "nonsense", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			hash := passhash.PasswordHash("$argon2id$v=19$" + tt.hash + "$" + salt16 + "$" + key32)
			if got := passhash.NeedsRehash(hash, current); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	short := passhash.PasswordHash("$argon2id$v=19$m=64,t=3,p=2$" + salt16 + "$" + salt16)
	if !passhash.NeedsRehash(short, current) {
		t.Error("a key of 16 bytes stays, want it replaced")
	}
}

func TestPasswordHashIsNeverShown(t *testing.T) {
	t.Parallel()
	type record struct{ Hash passhash.PasswordHash }
	hash := passhash.PasswordHash(good)
	shown := map[string]string{"Sprint": fmt.Sprint(hash), "error": fmt.Errorf("hash %v", hash).Error()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%c", "%f", "%20s", "%.3s"} {
		shown[verb] = fmt.Sprintf(verb, hash)
		shown[verb+" in a struct"] = fmt.Sprintf(verb, record{hash})
		shown[verb+" behind a pointer"] = fmt.Sprintf(verb, &record{hash})
		shown[verb+" in a slice"] = fmt.Sprintf(verb, []passhash.PasswordHash{hash})
		shown[verb+" in a map"] = fmt.Sprintf(verb, map[passhash.PasswordHash]int{hash: 1})
	}
	for name, v := range map[string]any{
		"json": hash, "json in a struct": record{hash}, "json in a map": map[string]passhash.PasswordHash{"hash": hash},
	} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		shown[name] = string(b)
	}
	var text, structured bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).Info("m", "hash", hash, "record", record{hash})
	slog.New(slog.NewJSONHandler(&structured, nil)).Info("m", "hash", hash, "record", record{hash})
	shown["slog text"], shown["slog json"] = text.String(), structured.String()

	for how, s := range shown {
		if !strings.Contains(s, "[redacted]") {
			t.Errorf("%s: got %q, want [redacted] in it", how, s)
		}
		for _, secret := range []string{key32, salt16, "argon2id", fmt.Sprintf("%x", key32)} {
			if strings.Contains(strings.ToLower(s), strings.ToLower(secret)) {
				t.Errorf("%s shows the hash: %q", how, s)
			}
		}
	}
}
