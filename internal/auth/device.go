package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// A device token says that a user has signed in on this device before. It signs nobody in: wrong passwords from a device
// that shows it are counted for the device, and other people's failures do not count there. It is
//
//	ld1_ + base64url of: 8 bytes user id, 16 bytes that name the device, 32 bytes HMAC-SHA256 over both
//
// under the hash of the user's password. So no secret of the server's is needed, every node reads it, and it dies with the
// password. A dump of the database holds that hash: what it lets one make is five more guesses at a time.
const (
	devicePrefix  = "ld1_"
	deviceIDLen   = 16
	deviceBodyLen = 8 + deviceIDLen
	deviceDomain  = "latchkey device token 1\x00"
)

// DeviceToken is what a device sent as its token, genuine or not. It prints as [redacted].
type DeviceToken string

// Format and MarshalText keep the value out of messages, logs and JSON.
func (DeviceToken) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

func (DeviceToken) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Reveal returns the token for the one answer that hands it to its device.
func (t DeviceToken) Reveal() string { return string(t) }

// deviceID names a device of a user.
type deviceID [deviceIDLen]byte

// device returns the device that the token was made for, if it was made for this user and password. It does the same
// work for a user who does not exist.
func (t DeviceToken) device(user UserID, hash PasswordHash) (id deviceID, ok bool) {
	encoded, hasPrefix := strings.CutPrefix(string(t), devicePrefix)
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	wellFormed := hasPrefix && err == nil && len(raw) == deviceBodyLen+sha256.Size &&
		len(encoded) == base64.RawURLEncoding.EncodedLen(len(raw)) // the decoder passes over line ends
	if !wellFormed {
		raw = make([]byte, deviceBodyLen+sha256.Size)
	}
	copy(id[:], raw[8:])
	genuine := hmac.Equal(raw, sealDevice(user, id, hash))
	return id, genuine && wellFormed && hash != ""
}

// newDeviceToken makes a token for a device.
func newDeviceToken(user UserID, id deviceID, hash PasswordHash) DeviceToken {
	return DeviceToken(devicePrefix + base64.RawURLEncoding.EncodeToString(sealDevice(user, id, hash)))
}

// sealDevice returns what a token is before it is encoded.
func sealDevice(user UserID, id deviceID, hash PasswordHash) []byte {
	body := append(binary.BigEndian.AppendUint64(make([]byte, 0, deviceBodyLen+sha256.Size), uint64(user)), id[:]...)
	mac := hmac.New(sha256.New, []byte(hash))
	_, _ = io.WriteString(mac, deviceDomain)
	_, _ = mac.Write(body)
	return mac.Sum(body)
}

// newDeviceID names a device that has no name yet.
func newDeviceID() (id deviceID) {
	_, _ = rand.Read(id[:])
	return id
}
