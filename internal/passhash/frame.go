package passhash

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
)

// The conversation of parent and helper: frames of a 32-bit big-endian length and as many bytes. The helper
// says greeting once; then every request (id, costs, salt, secret) gets one answer (id, key) in any order. There
// are no error frames: either side ends the conversation at the first thing that it does not understand.
const (
	greeting = "latchkey-hash/1"

	// maxSecret leaves room above the 1,024 bytes of the longest password that the callers let through.
	maxSecret = 1280

	requestHead = 8 + 4 + 4 + 1 + 1 + 1
	maxRequest  = requestHead + maxSalt + maxSecret
	maxAnswer   = 8 + maxKey
)

var errFrame = errors.New("passhash: bad frame")

// appendGreeting appends the frame that a helper begins with to b.
func appendGreeting(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(greeting)))
	return append(b, greeting...)
}

// appendFrame appends a whole frame with the request to b.
func (r request) appendFrame(b []byte, id uint64) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(requestHead+len(r.salt)+len(r.secret)))
	b = binary.BigEndian.AppendUint64(b, id)
	b = binary.BigEndian.AppendUint32(b, r.params.MemoryKiB)
	b = binary.BigEndian.AppendUint32(b, r.params.Passes)
	b = append(b, r.params.Lanes, byte(r.keySize), byte(len(r.salt)))
	b = append(b, r.salt...)
	return append(b, r.secret...)
}

// parseRequest reads the body of a request frame; the request refers to body. The helper checks the same limits as
// the parent, so that a parent gone wrong cannot make it allocate without bounds either.
func parseRequest(body []byte) (id uint64, r request, err error) {
	if len(body) < requestHead {
		return 0, request{}, errFrame
	}
	id = binary.BigEndian.Uint64(body)
	r.params = Params{
		MemoryKiB: binary.BigEndian.Uint32(body[8:]),
		Passes:    binary.BigEndian.Uint32(body[12:]),
		Lanes:     body[16],
	}
	r.keySize = int(body[17])
	saltSize := int(body[18])
	rest := body[requestHead:]
	if saltSize < minSalt || saltSize > maxSalt || saltSize > len(rest) {
		return 0, request{}, errFrame
	}
	r.salt, r.secret = rest[:saltSize:saltSize], rest[saltSize:]
	if r.params.fault() != "" || r.keySize < minKey || r.keySize > maxKey || len(r.secret) > maxSecret {
		return 0, request{}, errFrame
	}
	return id, r, nil
}

// appendAnswer appends a whole frame with the answer to request id to b.
func appendAnswer(b []byte, id uint64, key []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(8+len(key)))
	b = binary.BigEndian.AppendUint64(b, id)
	return append(b, key...)
}

// parseAnswer reads the body of an answer frame; the key refers to body.
func parseAnswer(body []byte) (id uint64, key []byte, err error) {
	if len(body) < 8+minKey || len(body) > maxAnswer {
		return 0, nil, errFrame
	}
	return binary.BigEndian.Uint64(body), body[8:], nil
}

// readFrame returns the body of the next frame in memory of its own. It returns io.EOF when the stream ends between
// two frames, and errFrame for a body of more than limit bytes, before it allocates anything.
func readFrame(r *bufio.Reader, limit int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > uint32(limit) {
		return nil, errFrame
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return body, nil
}
