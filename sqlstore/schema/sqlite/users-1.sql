-- Accounts and the application's own fields of each user. A _key is the
-- canonical form, NULL where the name is empty, so that it collides with
-- nothing.
CREATE TABLE {prefix}users (
	id             TEXT    NOT NULL PRIMARY KEY,
	username       TEXT    NOT NULL,
	username_key   TEXT    UNIQUE,
	email          TEXT    NOT NULL,
	email_key      TEXT    UNIQUE,
	email_verified INTEGER NOT NULL,
	password_hash  TEXT    NOT NULL,
	stamp          TEXT    NOT NULL,
	disabled       INTEGER NOT NULL,
	roles          TEXT    NOT NULL, -- a JSON array of texts, or null
	version        INTEGER NOT NULL,
	profile        TEXT    NOT NULL, -- a JSON object
	created        INTEGER NOT NULL  -- microseconds since 1970, UTC
) STRICT;
