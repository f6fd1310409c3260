package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"
)

// Logo is the app's logo on the pages.
type Logo struct {
	MediaType string // an image type
	Content   []byte // empty: there is none
}

// asset serves a file that never changes while the program runs. Browsers keep it and ask whether it is still the same,
// so that a new version of the program never meets an old file.
func asset(contentType string, content []byte) func(*call) error {
	sum := sha256.Sum256(content)
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	return func(c *call) error {
		h := c.w.Header()
		h.Set("Content-Type", contentType)
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", tag)
		// Whoever opens it as a page of its own gets nothing to run: an SVG may hold scripts.
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox")
		http.ServeContent(&c.w, c.r, "", time.Time{}, bytes.NewReader(content))
		return nil
	}
}
