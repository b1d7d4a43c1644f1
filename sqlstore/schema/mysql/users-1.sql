-- Accounts and the application's own fields of each user. A _key is the
-- canonical form, NULL where the name is empty, so that it collides with
-- nothing. What is compared is bytes: every collation of text that MySQL and
-- MariaDB both have takes "a" and "a " for the same. roles are a JSON array of
-- texts, or null, profile is a JSON object, created is in microseconds since
-- 1970, UTC.
CREATE TABLE {prefix}users (
	id             VARBINARY(255)  NOT NULL PRIMARY KEY,
	username       TEXT            NOT NULL,
	username_key   VARBINARY(1024) UNIQUE,
	email          TEXT            NOT NULL,
	email_key      VARBINARY(1024) UNIQUE,
	email_verified BOOLEAN         NOT NULL,
	password_hash  TEXT            NOT NULL,
	stamp          TEXT            NOT NULL,
	disabled       BOOLEAN         NOT NULL,
	roles          LONGTEXT        NOT NULL,
	version        BIGINT          NOT NULL,
	profile        LONGTEXT        NOT NULL,
	created        BIGINT          NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
