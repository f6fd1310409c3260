-- +goose Up

-- Wrong guesses in a row, of one secret each.
CREATE TABLE guess_failures (
    lane       BYTEA  NOT NULL PRIMARY KEY, -- SHA-256 of what is guessed at: a user, a login that nobody has, a device
    failures   INTEGER NOT NULL,
    wait_until BIGINT,                      -- NULL: until the password is replaced
    updated_at BIGINT NOT NULL
);
CREATE INDEX guess_failures_updated ON guess_failures (updated_at) WHERE wait_until IS NOT NULL;

-- Mails that anybody may ask for, by kind and address.
CREATE TABLE mail_requests (
    address BYTEA  NOT NULL PRIMARY KEY, -- SHA-256
    full_at BIGINT NOT NULL              -- when none of the address's allowance is used up any more
);
CREATE INDEX mail_requests_full ON mail_requests (full_at);
