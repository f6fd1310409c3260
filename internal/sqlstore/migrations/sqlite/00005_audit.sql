-- +goose Up

-- Facts of security. Rows are added and, when they are old, deleted; none is ever changed. They outlive their users.
CREATE TABLE audit_events (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    outcome    TEXT    NOT NULL,
    reason     TEXT    NOT NULL, -- of a refusal, else empty
    user_id    INTEGER,          -- NULL: nobody, or not known
    other_id   INTEGER,           -- another user that it is about
    proof      TEXT    NOT NULL,
    session_id INTEGER,
    token      TEXT    NOT NULL, -- first 8 hex digits of its SHA-256
    login      TEXT    NOT NULL, -- 8 hex digits under a key that is nowhere
    count      INTEGER NOT NULL,
    ip         TEXT    NOT NULL,
    user_agent TEXT    NOT NULL
) STRICT;
CREATE INDEX audit_events_at ON audit_events (at, id);
CREATE INDEX audit_events_user ON audit_events (user_id, at, id) WHERE user_id IS NOT NULL;
