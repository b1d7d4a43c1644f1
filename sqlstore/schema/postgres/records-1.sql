-- Names are bytes, not text: they are compared byte by byte, and may hold any.
-- A page has room for new versions of its rows.
CREATE TABLE {prefix}records (
	kind       BYTEA  NOT NULL,
	record_key BYTEA  NOT NULL,
	user_id    BYTEA  NOT NULL,
	data       BYTEA  NOT NULL,
	version    BIGINT NOT NULL,
	expires    BIGINT,          -- microseconds since 1970, UTC, NULL for never
	PRIMARY KEY (kind, record_key)
) WITH (fillfactor = 80);

-- By user first, so that it serves the deletion of a user as well.
CREATE INDEX {prefix}records_user ON {prefix}records (user_id, kind);

CREATE INDEX {prefix}records_expires ON {prefix}records (expires) WHERE expires IS NOT NULL;
