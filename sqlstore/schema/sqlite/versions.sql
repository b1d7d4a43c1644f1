-- Which version of each part of the schema this database has.
CREATE TABLE IF NOT EXISTS {prefix}schema (
	part    TEXT    NOT NULL PRIMARY KEY,
	version INTEGER NOT NULL
) STRICT;
