-- Names are bytes, not text: they are compared byte by byte, and may hold any.
CREATE TABLE {prefix}records (
	kind       BLOB    NOT NULL,
	record_key BLOB    NOT NULL,
	user_id    BLOB    NOT NULL,
	data       BLOB    NOT NULL,
	version    INTEGER NOT NULL,
	expires    INTEGER,          -- microseconds since 1970, UTC, NULL for never
	PRIMARY KEY (kind, record_key)
) STRICT;

-- By user first, so that it serves the deletion of a user as well.
CREATE INDEX {prefix}records_user ON {prefix}records (user_id, kind);

CREATE INDEX {prefix}records_expires ON {prefix}records (expires);
