-- +goose Up

-- Wrong guesses in a row, of one secret each.
CREATE TABLE guess_failures (
    lane       BLOB    NOT NULL PRIMARY KEY, -- SHA-256 of what is guessed at: a user, a login that nobody has, a device
    failures   INTEGER NOT NULL,
    wait_until INTEGER,                      -- NULL: until the password is replaced
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX guess_failures_updated ON guess_failures (updated_at) WHERE wait_until IS NOT NULL;

-- Mails that anybody may ask for, by kind and address.
CREATE TABLE mail_requests (
    address BLOB    NOT NULL PRIMARY KEY, -- SHA-256
    full_at INTEGER NOT NULL              -- when none of the address's allowance is used up any more
) STRICT, WITHOUT ROWID;
CREATE INDEX mail_requests_full ON mail_requests (full_at);
