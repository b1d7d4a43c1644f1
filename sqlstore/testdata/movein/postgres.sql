ALTER TABLE users
	ADD COLUMN username_key   TEXT COLLATE "C",
	ADD COLUMN email_key      TEXT COLLATE "C",
	ADD COLUMN email_verified BOOLEAN NOT NULL DEFAULT false,
	ADD COLUMN disabled       BOOLEAN NOT NULL DEFAULT false,
	ADD COLUMN roles          TEXT    NOT NULL DEFAULT '',
	ADD COLUMN stamp          TEXT    NOT NULL DEFAULT '',
	ADD COLUMN version        BIGINT  NOT NULL DEFAULT 1,
	ALTER COLUMN password_hash TYPE TEXT;
