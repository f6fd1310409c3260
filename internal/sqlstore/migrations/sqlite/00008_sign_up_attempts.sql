-- +goose Up

ALTER TABLE sign_ups ADD COLUMN link_attempts INTEGER NOT NULL DEFAULT 0; -- at the password, with the token
ALTER TABLE sign_ups ADD COLUMN taken_answers INTEGER NOT NULL DEFAULT 0; -- how often it was told that a name is taken
