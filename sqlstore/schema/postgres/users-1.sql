-- Accounts and the application's own fields of each user. A _key is the
-- canonical form, NULL where the name is empty, so that it collides with
-- nothing. Keys are compared byte by byte, whatever the database's collation.
CREATE TABLE {prefix}users (
	id             TEXT    COLLATE "C" NOT NULL PRIMARY KEY,
	username       TEXT    NOT NULL,
	username_key   TEXT    COLLATE "C" UNIQUE,
	email          TEXT    NOT NULL,
	email_key      TEXT    COLLATE "C" UNIQUE,
	email_verified BOOLEAN NOT NULL,
	password_hash  TEXT    NOT NULL,
	stamp          TEXT    NOT NULL,
	disabled       BOOLEAN NOT NULL,
	roles          TEXT    NOT NULL, -- a JSON array of texts, or null
	version        BIGINT  NOT NULL,
	profile        TEXT    NOT NULL, -- a JSON object (JSONB cannot keep every text)
	created        BIGINT  NOT NULL  -- microseconds since 1970, UTC
);
