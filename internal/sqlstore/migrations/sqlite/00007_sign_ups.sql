-- +goose Up

-- A message says itself whether it is to prove the user's address or another one.
UPDATE outbox SET kind = 'change_email'
    WHERE kind = 'verify_email' AND NOT EXISTS
        (SELECT 1 FROM users WHERE users.id = outbox.user_id AND users.email_key = lower(outbox.recipient));
