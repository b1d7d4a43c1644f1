-- Which version of each part of the schema this database has.
CREATE TABLE IF NOT EXISTS {prefix}schema (
	part    TEXT    NOT NULL PRIMARY KEY,
	version INTEGER NOT NULL
) STRICT;

INSERT INTO {prefix}schema (part, version) VALUES ('records', 0), ('users', 0) ON CONFLICT (part) DO NOTHING;
