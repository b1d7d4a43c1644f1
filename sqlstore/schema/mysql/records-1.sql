-- Names are bytes, not text: they are compared byte by byte, and may hold any.
-- user_id comes first in its index, so that it serves the deletion of a user as
-- well. expires is in microseconds since 1970, UTC, NULL for never.
CREATE TABLE {prefix}records (
	kind       VARBINARY(255) NOT NULL,
	record_key VARBINARY(255) NOT NULL,
	user_id    VARBINARY(255) NOT NULL,
	data       LONGBLOB       NOT NULL,
	version    BIGINT         NOT NULL,
	expires    BIGINT,
	PRIMARY KEY (kind, record_key),
	KEY {prefix}records_user (user_id, kind),
	KEY {prefix}records_expires (expires)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;
