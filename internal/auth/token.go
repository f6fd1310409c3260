package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"sync"
	"time"
)

// A session token is
//
//	lk_ + 11 base62 of the session's id + 32 base62 of secret + 6 base62 of the CRC-32 (IEEE) of all before
//
// so that a mistyped or truncated one is refused without asking the database, and a genuine one is found by its
// primary key. The secret has 190 random bits; the database keeps the SHA-256 of the whole token.
const (
	tokenPrefix   = "lk_"
	tokenIDLen    = 11
	tokenSecret   = 32
	tokenCheckLen = 6
	// TokenLen is the length of every session token in bytes.
	TokenLen = len(tokenPrefix) + tokenIDLen + tokenSecret + tokenCheckLen
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// redacted is what every secret type prints.
const redacted = "[redacted]"

// SessionToken is the secret that a signed-in device holds. It prints as [redacted].
type SessionToken string

// Format and MarshalText keep the value out of messages, logs and JSON.
func (SessionToken) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

func (SessionToken) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Reveal returns the token for the one answer that hands it to its owner.
func (t SessionToken) Reveal() string { return string(t) }

// Hash returns what the database keeps of the token.
func (t SessionToken) Hash() TokenHash {
	if len(t) != TokenLen {
		return sha256.Sum256([]byte(t))
	}
	var b [TokenLen]byte // on the stack, where a slice of this length would not be
	copy(b[:], t)
	return sha256.Sum256(b[:])
}

// SessionID returns the id inside the token. It returns ErrUnauthorized if the length, the alphabet or the checksum is
// wrong, or the id out of range; that costs no allocation and touches nothing else.
func (t SessionToken) SessionID() (SessionID, error) {
	id, err := t.claimedID()
	if err != nil {
		return 0, err
	}
	const checkBegin = TokenLen - tokenCheckLen
	var want uint64
	crc := ^uint32(0) // CRC-32 by hand: hash/crc32 would want the string copied to a slice
	for i := range TokenLen {
		c := t[i]
		if i < checkBegin {
			crc = crc32.IEEETable[byte(crc)^c] ^ crc>>8
		}
		if i < len(tokenPrefix) {
			continue
		}
		digit := base62Digits[c]
		if digit == notBase62 {
			return 0, ErrUnauthorized
		}
		if i >= checkBegin {
			want = want*62 + uint64(digit)
		}
	}
	if want != uint64(^crc) {
		return 0, ErrUnauthorized
	}
	return id, nil
}

// claimedID is SessionID without a look at what stands behind the id. It is for looking a session up whose hash is compared
// then: that of a token with a wrong checksum is another one.
func (t SessionToken) claimedID() (SessionID, error) {
	if len(t) != TokenLen || t[:len(tokenPrefix)] != tokenPrefix {
		return 0, ErrUnauthorized
	}
	var id uint64
	for i := range tokenIDLen {
		digit := base62Digits[t[len(tokenPrefix)+i]]
		if digit == notBase62 || id > (1<<64-62)/62 { // 11 digits can pass 2^64
			return 0, ErrUnauthorized
		}
		id = id*62 + uint64(digit)
	}
	if id == 0 || id > maxSessionID {
		return 0, ErrUnauthorized
	}
	return SessionID(id), nil
}

// base62Digits is the value of each byte as a digit.
var base62Digits = func() (digits [256]uint8) {
	for c := range digits {
		digits[c] = notBase62
	}
	for digit, c := range []byte(base62) {
		digits[c] = uint8(digit)
	}
	return digits
}()

const notBase62 = 0xff

func isBase62(c byte) bool { return base62Digits[c] != notBase62 }

// newSessionToken makes the token of the session with this id.
func newSessionToken(id SessionID) SessionToken {
	var b strings.Builder
	b.Grow(TokenLen)
	b.WriteString(tokenPrefix)
	writeBase62(&b, uint64(id), tokenIDLen)
	b.WriteString(randomBase62(tokenSecret))
	writeBase62(&b, uint64(crc32.ChecksumIEEE([]byte(b.String()))), tokenCheckLen)
	return SessionToken(b.String())
}

func writeBase62(b *strings.Builder, v uint64, width int) {
	digits := make([]byte, width)
	for i := width - 1; i >= 0; i-- {
		digits[i] = base62[v%62]
		v /= 62
	}
	b.Write(digits)
}

// randomBase62 returns n characters, each one of 62 with equal probability (5.95 bits).
func randomBase62(n int) string {
	out := make([]byte, 0, n)
	var pool [64]byte
	for {
		_, _ = rand.Read(pool[:]) // never fails: it ends the program instead
		for _, c := range pool {
			if c >= 248 { // 4*62: beyond it the remainder would favour the first digits
				continue
			}
			out = append(out, base62[c%62])
			if len(out) == n {
				return string(out)
			}
		}
	}
}

// TokenHash is the SHA-256 of a session token or of a one-time token: what the database keeps of it.
type TokenHash [sha256.Size]byte

// Equal compares in constant time.
func (h TokenHash) Equal(other TokenHash) bool {
	return subtle.ConstantTimeCompare(h[:], other[:]) == 1
}

// String returns the first 8 hex digits, enough to tell tokens apart in a log.
func (h TokenHash) String() string { return hex.EncodeToString(h[:4]) }

// OneTimeSecret is the token of a mailed link: 32 base62 characters, 190 random bits. It prints as [redacted].
type OneTimeSecret string

// Format and MarshalText keep the value out of messages, logs and JSON.
func (OneTimeSecret) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

func (OneTimeSecret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Reveal returns the secret for the message that carries it.
func (t OneTimeSecret) Reveal() string { return string(t) }

// Hash returns what the database keeps of the secret.
func (t OneTimeSecret) Hash() TokenHash { return sha256.Sum256([]byte(t)) }

func newOneTimeSecret() OneTimeSecret { return OneTimeSecret(randomBase62(32)) }

// codeDigits is the length of every OneTimeCode.
const codeDigits = 8

// OneTimeCode is the 8-digit code that a mail carries beside its link. It prints as [redacted].
type OneTimeCode string

// Format and MarshalText keep the value out of messages, logs and JSON.
func (OneTimeCode) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

func (OneTimeCode) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Reveal returns the code for the message that carries it.
func (c OneTimeCode) Reveal() string { return string(c) }

// WeChatCode is what WeChat gave to an app on a device to prove the person there. It prints as [redacted].
type WeChatCode string

// Format and MarshalText keep the value out of messages, logs and JSON.
func (WeChatCode) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

func (WeChatCode) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Reveal returns the code for WeChat.
func (c WeChatCode) Reveal() string { return string(c) }

// WeChatAccessToken is a person's access token in one app. It prints as [redacted].
type WeChatAccessToken string

// Format and MarshalText keep the value out of messages, logs and JSON.
func (WeChatAccessToken) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

func (WeChatAccessToken) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Reveal returns the token for WeChat.
func (t WeChatAccessToken) Reveal() string { return string(t) }

func newOneTimeCode() OneTimeCode {
	var b [8]byte
	for {
		_, _ = rand.Read(b[:])
		n := uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])
		if n < 42*100_000_000 { // the largest multiple below 2^32: no code is likelier than another
			return OneTimeCode(fmt.Sprintf("%0*d", codeDigits, n%100_000_000))
		}
	}
}

// newGeneratedName returns 8 random hex digits, the username of a guest.
func newGeneratedName() string {
	var b [4]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// SessionID names a session. It is below 2^53, so that JavaScript reads it exactly, and grows with time, so that new
// rows go to the end of their table.
type SessionID int64

const (
	maxSessionID  = 1<<53 - 1
	sessionIDBits = 12 // random bits below the millisecond; the upper 41 last until 2094
)

var sessionIDEpoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()

// sessionIDs makes ids that never repeat on this node; two nodes meet in one with a chance of 1 in 4,096 per
// millisecond in which both make one, which the primary key notices (ErrSessionIDTaken).
type sessionIDs struct {
	mu   sync.Mutex
	last int64
}

func (s *sessionIDs) next(now time.Time) SessionID {
	var b [2]byte
	_, _ = rand.Read(b[:])
	id := (now.UnixMilli()-sessionIDEpoch)<<sessionIDBits | int64(b[0])<<4 | int64(b[1])>>4
	s.mu.Lock()
	defer s.mu.Unlock()
	if id <= s.last {
		id = s.last + 1
	}
	s.last = id
	return SessionID(id)
}
