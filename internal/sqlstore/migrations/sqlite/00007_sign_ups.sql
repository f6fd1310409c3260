-- +goose Up

-- A message says itself whether it is to prove the user's address or another one.
UPDATE outbox SET kind = 'change_email'
    WHERE kind = 'verify_email' AND NOT EXISTS
        (SELECT 1 FROM users WHERE users.id = outbox.user_id AND users.email_key = lower(outbox.recipient));

-- What somebody gave to sign up while nobody has proved the address. It is deleted when it expires.
CREATE TABLE sign_ups (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id    INTEGER NOT NULL, -- the outbox message that belongs to it, which may be gone
    username      TEXT    NOT NULL, -- lower case; held for nobody
    email         TEXT    NOT NULL,
    email_key     TEXT    NOT NULL, -- lower case
    password_hash TEXT    NOT NULL, -- PHC string
    language      TEXT    NOT NULL,
    token_hash    BLOB,           -- SHA-256; NULL: no mail with a token was written
    code_hash     BLOB,           -- argon2id
    code_attempts INTEGER NOT NULL,
    mailed_at     INTEGER,          -- when the last mail to the address was written, with or without a token
    expires_at    INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX sign_ups_message ON sign_ups (message_id);
CREATE UNIQUE INDEX sign_ups_hash ON sign_ups (token_hash) WHERE token_hash IS NOT NULL;
CREATE INDEX sign_ups_email ON sign_ups (email_key);
CREATE INDEX sign_ups_expiry ON sign_ups (expires_at);
