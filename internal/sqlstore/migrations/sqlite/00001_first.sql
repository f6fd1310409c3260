-- +goose Up

CREATE TABLE users (
    id                INTEGER PRIMARY KEY AUTOINCREMENT, -- never given out again, also after the user is gone
    username          TEXT    NOT NULL,                  -- lower case
    email             TEXT,                              -- NULL: generated, username at the placeholder domain
    email_key         TEXT,                              -- lower case; what addresses are compared by
    email_verified_at INTEGER,
    fullname          TEXT    NOT NULL,
    avatar            TEXT,
    phone_number      TEXT,
    password_hash     TEXT,                              -- PHC string; NULL: no password
    guest             INTEGER NOT NULL,                  -- 0 or 1
    status            INTEGER NOT NULL,                  -- 0 active, 1 disabled, 2 deleted
    language          TEXT    NOT NULL,
    created_at        INTEGER NOT NULL,                  -- all times: unix microseconds
    signed_in_at      INTEGER NOT NULL,
    deleted_at        INTEGER
) STRICT;
CREATE UNIQUE INDEX users_username ON users (username);
CREATE UNIQUE INDEX users_email_key ON users (email_key) WHERE email_key IS NOT NULL;
CREATE INDEX users_guests ON users (signed_in_at) WHERE guest = 1;
CREATE INDEX users_deleted ON users (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE identities (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    provider   TEXT    NOT NULL,
    app_id     TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX identities_subject ON identities (provider, app_id, subject);
CREATE INDEX identities_user ON identities (user_id);

CREATE TABLE sessions (
    id           INTEGER PRIMARY KEY, -- made by the node, grows with time
    user_id      INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash   BLOB    NOT NULL,    -- SHA-256
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    ip           TEXT    NOT NULL,
    user_agent   TEXT    NOT NULL
) STRICT;
CREATE INDEX sessions_user ON sessions (user_id, id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE outbox (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    kind            TEXT    NOT NULL,
    user_id         INTEGER REFERENCES users (id) ON DELETE CASCADE, -- NULL: not known yet
    recipient       TEXT    NOT NULL,
    language        TEXT    NOT NULL,
    ip              TEXT    NOT NULL,
    user_agent      TEXT    NOT NULL,
    queued_at       INTEGER NOT NULL,
    not_after       INTEGER NOT NULL,
    next_attempt_at INTEGER, -- NULL: given up, see last_error
    attempts        INTEGER NOT NULL,
    last_error      TEXT    NOT NULL
) STRICT;
CREATE INDEX outbox_due ON outbox (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX outbox_not_after ON outbox (not_after);
CREATE INDEX outbox_user ON outbox (user_id);
CREATE INDEX outbox_recipient ON outbox (recipient, kind);

CREATE TABLE one_time_tokens (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id    INTEGER NOT NULL, -- the outbox message that carries it, which may be gone
    user_id       INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose       TEXT    NOT NULL,
    address       TEXT    NOT NULL, -- the address that it was issued for
    email_key     TEXT    NOT NULL, -- the same, as addresses are compared
    token_hash    BLOB    NOT NULL, -- SHA-256
    code_hash     BLOB    NOT NULL, -- argon2id; zeros: no code
    code_attempts INTEGER NOT NULL,
    issued_at     INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX one_time_tokens_hash ON one_time_tokens (token_hash);
CREATE UNIQUE INDEX one_time_tokens_message ON one_time_tokens (message_id);
CREATE INDEX one_time_tokens_email ON one_time_tokens (email_key, purpose); -- addresses that are held for an undo
CREATE INDEX one_time_tokens_user ON one_time_tokens (user_id, purpose);
CREATE INDEX one_time_tokens_expiry ON one_time_tokens (expires_at);

-- Changes of users that caches of other nodes must hear of, in the order of their numbers. A few minutes are kept.
CREATE TABLE invalidations (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id    INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX invalidations_created ON invalidations (created_at);
