package passhash

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// ErrMalformed reports a stored hash that this package did not write: another algorithm, another spelling,
// or costs beyond the limits of Params. Such a hash matches no password.
var ErrMalformed = errors.New("passhash: malformed password hash")

// Limits for a hash that comes out of a database. Whoever can write there must not be able to make this
// process allocate gigabytes or compute for minutes, so they lie a small factor above any sensible setting.
const (
	minMemoryKiB = 8
	maxMemoryKiB = 256 << 10
	maxPasses    = 16
	maxLanes     = 16
	maxWork      = 1 << 20 // KiB × passes; about two seconds of one core
	minSalt      = 8
	maxSalt      = 64
	minKey       = 16
	maxKey       = 64
	maxPHC       = 256 // the longest string within the limits above has 221 bytes

	saltSize = 16 // RFC 9106 §3.1: 16 bytes are recommended for password hashing
	keySize  = 32
)

// phcPrefix names the algorithm and the version 1.3 (19 in decimal), the only one of RFC 9106.
const phcPrefix = "$argon2id$v=19$"

// DefaultParams is the first argon2id setting of OWASP's Password Storage Cheat Sheet for a service that
// cannot spare 46 MiB a hash: 19 MiB, two passes, one lane.
var DefaultParams = Params{MemoryKiB: 19456, Passes: 2, Lanes: 1}

// Params are the cost of one argon2id hash (RFC 9106 §3.1: m, t and p).
type Params struct {
	MemoryKiB uint32 // m, 8 to 262,144 and at least 8 for each lane
	Passes    uint32 // t, 1 to 16; MemoryKiB × Passes is at most 1,048,576
	Lanes     uint8  // p, 1 to 16
}

// fault says what is wrong with p, or "".
func (p Params) fault() string {
	switch {
	case p.Lanes < 1 || p.Lanes > maxLanes:
		return "lanes out of range"
	case p.Passes < 1 || p.Passes > maxPasses:
		return "passes out of range"
	case p.MemoryKiB < minMemoryKiB || p.MemoryKiB > maxMemoryKiB:
		return "memory out of range"
	case p.MemoryKiB < 8*uint32(p.Lanes): // RFC 9106 §3.1
		return "less than 8 KiB of memory for a lane"
	case p.MemoryKiB*p.Passes > maxWork:
		return "memory times passes out of range"
	}
	return ""
}

// PasswordHash is a salted password hash in the PHC string format,
//
//	$argon2id$v=19$m=19456,t=2,p=1$<salt>$<key>
//
// with salt and key in unpadded standard base64. It is no password, but whoever has it can guess at leisure, so it
// prints, logs and marshals as "[redacted]". Storage converts explicitly, string(hash), before it hands the value to
// a driver: a driver that looks for fmt.Stringer would store the redacted text.
type PasswordHash string

const redacted = "[redacted]"

// String returns "[redacted]".
func (PasswordHash) String() string { return redacted }

// GoString returns "[redacted]".
func (PasswordHash) GoString() string { return redacted }

// Format writes "[redacted]" for every verb: without it a verb that does not suit a string, such as %d,
// makes fmt print the raw value in its complaint.
func (PasswordHash) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue returns "[redacted]".
func (PasswordHash) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON returns "[redacted]" as a JSON string.
func (PasswordHash) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText returns "[redacted]", for encoders other than JSON's.
func (PasswordHash) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// NeedsRehash reports whether any cost of hash is below that in current, or hash is malformed. A hash that is
// dearer in one respect and equal in the others stays.
func NeedsRehash(hash PasswordHash, current Params) bool {
	h, err := parsePHC(hash)
	if err != nil {
		return true
	}
	return h.params.MemoryKiB < current.MemoryKiB || h.params.Passes < current.Passes ||
		h.params.Lanes < current.Lanes || len(h.key) < keySize
}

// phc is a PasswordHash taken apart.
type phc struct {
	params Params
	salt   []byte
	key    []byte
}

// hash is the inverse of parsePHC.
func (h phc) hash() PasswordHash {
	b := make([]byte, 0, maxPHC)
	b = append(b, phcPrefix+"m="...)
	b = strconv.AppendUint(b, uint64(h.params.MemoryKiB), 10)
	b = append(b, ",t="...)
	b = strconv.AppendUint(b, uint64(h.params.Passes), 10)
	b = append(b, ",p="...)
	b = strconv.AppendUint(b, uint64(h.params.Lanes), 10)
	b = append(b, '$')
	b = base64.RawStdEncoding.AppendEncode(b, h.salt)
	b = append(b, '$')
	b = base64.RawStdEncoding.AppendEncode(b, h.key)
	return PasswordHash(b)
}

// parsePHC takes a hash apart. It accepts exactly the strings that phc.hash can write within the limits, and
// returns ErrMalformed, with a reason that quotes nothing, for all others.
func parsePHC(hash PasswordHash) (phc, error) {
	s := string(hash)
	if len(s) > maxPHC {
		return phc{}, malformed("too long")
	}
	rest, ok := strings.CutPrefix(s, phcPrefix)
	if !ok {
		return phc{}, malformed("not argon2id version 19")
	}
	fields := strings.Split(rest, "$")
	if len(fields) != 3 {
		return phc{}, malformed("not three fields")
	}
	params, err := parseParams(fields[0])
	if err != nil {
		return phc{}, err
	}
	salt, err := base64.RawStdEncoding.DecodeString(fields[1])
	if err != nil || len(salt) < minSalt || len(salt) > maxSalt {
		return phc{}, malformed("salt")
	}
	key, err := base64.RawStdEncoding.DecodeString(fields[2])
	if err != nil || len(key) < minKey || len(key) > maxKey {
		return phc{}, malformed("key")
	}
	h := phc{params: params, salt: salt, key: key}
	// One comparison for everything that strconv and base64 forgive: leading zeros, line breaks, stray low bits.
	if h.hash() != hash {
		return phc{}, malformed("not canonical")
	}
	return h, nil
}

// parseParams reads "m=…,t=…,p=…", in this order and nothing else.
func parseParams(s string) (Params, error) {
	var n [3]uint64
	fields := strings.Split(s, ",")
	if len(fields) != len(n) {
		return Params{}, malformed("not three parameters")
	}
	for i, name := range []string{"m=", "t=", "p="} {
		digits, ok := strings.CutPrefix(fields[i], name)
		if !ok {
			return Params{}, malformed("unknown parameter")
		}
		var err error
		// 18 bits hold the largest limit and one more keeps the products in fault() far from overflow.
		if n[i], err = strconv.ParseUint(digits, 10, 19); err != nil {
			return Params{}, malformed("parameter is no number in range")
		}
	}
	if n[2] > maxLanes {
		return Params{}, malformed("lanes out of range") // before the conversion to eight bits
	}
	p := Params{MemoryKiB: uint32(n[0]), Passes: uint32(n[1]), Lanes: uint8(n[2])}
	if fault := p.fault(); fault != "" {
		return Params{}, malformed(fault)
	}
	return p, nil
}

func malformed(reason string) error { return fmt.Errorf("%w: %s", ErrMalformed, reason) }

// request is one call of argon2id: what the parent asks of the helper.
type request struct {
	params  Params
	keySize int
	salt    []byte
	secret  []byte
}

// key computes the answer. It takes params.MemoryKiB of memory and tens of milliseconds of one core.
func (r request) key() []byte {
	return argon2.IDKey(r.secret, r.salt, r.params.Passes, r.params.MemoryKiB, r.params.Lanes, uint32(r.keySize))
}
