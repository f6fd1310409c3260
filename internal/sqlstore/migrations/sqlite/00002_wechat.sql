-- +goose Up

-- The access tokens of WeChat apps, which all nodes share. What is lost here is fetched again.
CREATE TABLE wechat_app_tokens (
    app_id      TEXT    PRIMARY KEY NOT NULL,
    sealed      BLOB   ,          -- AES-256-GCM under a key that is not in the database; NULL: none was fetched so far
    expires_at  INTEGER NOT NULL, -- of the token
    generation  INTEGER NOT NULL, -- counts the tokens that were stored
    lease_until INTEGER NOT NULL  -- who has the lease fetches the next one until then; 0: nobody
) STRICT;

-- People who proved themselves in a browser, for the minute until their app signs them in.
CREATE TABLE handovers (
    code_hash      BLOB  PRIMARY KEY NOT NULL, -- SHA-256
    app_id         TEXT    NOT NULL,
    openid         TEXT    NOT NULL,
    unionid        TEXT,                     -- NULL: WeChat told none
    code_challenge TEXT,                     -- RFC 7636, S256; NULL: none
    expires_at     INTEGER NOT NULL
) STRICT;
CREATE INDEX handovers_expiry ON handovers (expires_at);
