-- Which version of each part of the schema this database has. A negative one
-- is a version that somebody has begun to make.
CREATE TABLE IF NOT EXISTS {prefix}schema (
	part    VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
	version INT NOT NULL
) ENGINE = InnoDB;

INSERT IGNORE INTO {prefix}schema (part, version) VALUES ('records', 0), ('users', 0);
