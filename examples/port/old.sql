-- The database as the old application left it: this file is no part of a port.
CREATE TABLE users (
	id            INTEGER PRIMARY KEY AUTOINCREMENT,
	username      TEXT NOT NULL,
	email         TEXT NOT NULL DEFAULT '',
	password_hash TEXT NOT NULL, -- of x/crypto/bcrypt
	role          TEXT NOT NULL DEFAULT 'viewer',
	created_at    TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE UNIQUE INDEX users_username ON users (username);

CREATE TABLE items (
	id       INTEGER PRIMARY KEY AUTOINCREMENT,
	name     TEXT NOT NULL,
	quantity INTEGER NOT NULL,
	added_by INTEGER NOT NULL REFERENCES users (id)
);

-- The passwords are "staple battery horse", "summer2019" and "tea with lemon".
INSERT INTO users (username, email, password_hash, role, created_at) VALUES
	('Susan', 'susan@app.example', '$2a$10$sE/OeQUtydo5K1fiGISUmOH7WOO016Pnst5Z1PmL8ptmu5kE61Dje', 'admin', '2019-03-01 09:12:44'),
	('jacob', 'jacob@app.example', '$2a$10$6ZV73qKoBs.7qYVY6.Jryem/EKOm152.d8wAhgDx47vXPKki.K/Bm', 'editor', '2021-07-15 14:00:02'),
	('Mabel Lee', 'mabel@app.example', '$2a$10$sytTt7gMN1vmu9PRS3HC..eeHtjMIyqAmMM2OQtApqTQoXRhNAolu', 'viewer', '2024-11-30 08:30:59');

INSERT INTO items (name, quantity, added_by) VALUES ('Ladder', 2, 1), ('Gloves', 40, 2);

PRAGMA user_version = 1;
