-- What a login needs beyond the old columns. migrate.go fills the keys and the
-- stamps, because SQL does not know which names are the same.
ALTER TABLE users ADD COLUMN username_key   TEXT;
ALTER TABLE users ADD COLUMN email_key      TEXT;
ALTER TABLE users ADD COLUMN email_verified INTEGER NOT NULL DEFAULT 0; -- 1 if the old application verified addresses
ALTER TABLE users ADD COLUMN disabled       INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN stamp          TEXT    NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN version        INTEGER NOT NULL DEFAULT 1;

CREATE UNIQUE INDEX users_username_key ON users (username_key);
CREATE UNIQUE INDEX users_email_key    ON users (email_key);
DROP INDEX users_username; -- users_username_key takes its place

PRAGMA user_version = 2;
