// Package fill makes databases with many users in a short time, as they would have become by themselves, and knows the
// tokens and passwords of all of them.
package fill

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"
	"time"

	"github.com/ideaegg/latchkey/internal/passhash"
)

// Password is everybody's.
const Password = "correct horse battery"

const (
	// spread is the time over which the users came, so that the ids of their sessions lie as far apart as real ones.
	spread = 60 * 24 * time.Hour
	// sessionLasts is how long a session lasts unused, the program's default.
	sessionLasts = 90 * 24 * time.Hour
	// usable is how old a population can be at most: well before the first session ends.
	usable = 20 * 24 * time.Hour
)

// A Population is some number of users, each with a session. What is known of user i, from 0, follows from it.
type Population struct {
	Users    int       `json:"users"`
	FilledAt time.Time `json:"filled_at"`
	Hash     string    `json:"password_hash"`
}

// New returns a population that has been there at the given time; the password is hashed once for all.
func New(ctx context.Context, users int, now time.Time) (Population, error) {
	hasher, err := passhash.New(passhash.Config{})
	if err != nil {
		return Population{}, fmt.Errorf("fill: %w", err)
	}
	defer func() { _ = hasher.Close() }()
	hash, err := hasher.Hash(ctx, "", Password)
	if err != nil {
		return Population{}, fmt.Errorf("fill: hash the password: %w", err)
	}
	return Population{Users: users, FilledAt: now.UTC().Truncate(time.Millisecond), Hash: string(hash)}, nil
}

// Username is spread over the alphabet, as names are: users who come one after the other are not neighbours in the index.
func (Population) Username(i int) string {
	return fmt.Sprintf("u%08x", uint32(i)*0x9e3779b1) // odd, so that it is another one for each of 2^32
}

// Email is the user's address, in lower case.
func (p Population) Email(i int) string { return p.Username(i) + "@bench.example" }

// Token is that of the user's session.
func (p Population) Token(i int) string {
	b := appendBase62([]byte("lk_"), uint64(p.sessionID(i)), 11)
	secret := sha256.Sum256(fmt.Appendf(nil, "%d/%d", p.FilledAt.UnixMilli(), i))
	for part := range 4 {
		b = appendBase62(b, binary.BigEndian.Uint64(secret[8*part:])%(62*62*62*62*62*62*62*62), 8)
	}
	return string(appendBase62(b, uint64(crc32.ChecksumIEEE(b)), 6))
}

// created is when the user came.
func (p Population) created(i int) time.Time {
	share := float64(i) / float64(p.Users)
	return p.FilledAt.Add(-spread).Add(time.Duration(share * float64(spread))).Truncate(time.Millisecond)
}

// sessionID has milliseconds since 2025 above twelve bits that tell those of one millisecond apart.
func (p Population) sessionID(i int) int64 {
	epoch := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	return p.created(i).Sub(epoch).Milliseconds()<<12 | int64(i&0xfff)
}

func appendBase62(b []byte, v uint64, width int) []byte {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	var reversed [16]byte
	for i := range width {
		reversed[width-1-i] = digits[v%62]
		v /= 62
	}
	return append(b, reversed[:width]...)
}

// table is how the rows of one table are made.
type table struct {
	name    string
	columns []string
	row     func(i int, values []any) []any // appends
}

func (p Population) tables() []table {
	return []table{
		{
			name: "users",
			columns: []string{
				"id", "username", "email", "email_key", "email_verified_at", "fullname", "password_hash",
				"guest", "status", "language", "created_at", "signed_in_at",
			},
			row: func(i int, values []any) []any {
				name, email, at := p.Username(i), p.Email(i), p.created(i).UnixMicro()
				return append(values, int64(i)+1, name, email, email, at, name, p.Hash, int64(0), int64(0), "en", at, at)
			},
		},
		{
			name:    "sessions",
			columns: []string{"id", "user_id", "token_hash", "created_at", "last_used_at", "expires_at", "ip", "user_agent"},
			row: func(i int, values []any) []any {
				at := p.created(i)
				hash := sha256.Sum256([]byte(p.Token(i)))
				return append(values, p.sessionID(i), int64(i)+1, hash[:], at.UnixMicro(), at.UnixMicro(),
					at.Add(sessionLasts).UnixMicro(), fmt.Sprintf("203.0.%d.%d", i>>8&0xff, i&0xff), userAgent)
			},
		},
	}
}

const userAgent = "Bench/1.0 (Linux; Android 16; Pixel 9) Mobile"

// Save writes p to a file, to be read again with Load.
func (p Population) Save(path string) error {
	b, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	return os.WriteFile(path, b, 0o600)
}

// Load reads what Save wrote. A population whose sessions would soon end is refused.
func Load(path string, now time.Time) (Population, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Population{}, err
	}
	var p Population
	if err := json.Unmarshal(b, &p); err != nil {
		return Population{}, fmt.Errorf("%s: %w", path, err)
	}
	if now.Sub(p.FilledAt) > usable {
		return Population{}, fmt.Errorf("%s: filled %s, its sessions end soon: delete the folder's files and fill anew", path, p.FilledAt.Format(time.DateOnly))
	}
	return p, nil
}
