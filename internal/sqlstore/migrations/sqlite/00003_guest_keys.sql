-- +goose Up

-- Which guest a client's Idempotency-Key has made, so that a retry does not make another one.
CREATE TABLE guest_keys (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    key_hash   BLOB    NOT NULL, -- SHA-256
    user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX guest_keys_hash ON guest_keys (key_hash);
CREATE INDEX guest_keys_user ON guest_keys (user_id);
CREATE INDEX guest_keys_expiry ON guest_keys (expires_at);
