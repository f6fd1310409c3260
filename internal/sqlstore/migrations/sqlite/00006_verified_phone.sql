-- +goose Up

-- When somebody other than the person vouched for the number; NULL: the person wrote it.
ALTER TABLE users ADD COLUMN phone_number_verified_at INTEGER;

-- A user has one subject in each app and in each group of apps.
CREATE UNIQUE INDEX identities_user_app ON identities (user_id, provider, app_id);
DROP INDEX identities_user;
