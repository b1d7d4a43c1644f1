package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"

	"github.com/go-login/auth"
	"github.com/go-login/auth/sqlstore"
)

var (
	//go:embed old.sql
	oldSchema string
	//go:embed migrate.sql
	newColumns string
)

// migrate brings the database up to date: first the users table, then the
// library's own tables. If a row of the table cannot be migrated, migrate changes
// nothing, and its error names all such rows.
func migrate(ctx context.Context, db *sql.DB) error {
	if err := migrateUsers(ctx, db); err != nil {
		return err
	}
	return sqlstore.MigrateRecords(ctx, db, sqlstore.SQLite)
}

func migrateUsers(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var version int
	if err := tx.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return err
	}
	switch version {
	case 2:
		return nil
	case 0: // a new file; the example begins where the old application ended
		if _, err := tx.ExecContext(ctx, oldSchema); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, newColumns); err != nil {
		return err
	}
	if err := backfill(ctx, tx); err != nil {
		return err
	}
	return tx.Commit()
}

// backfill gives each row the canonical forms of its names, and a random Stamp.
// The old hashes and roles stay as they are.
func backfill(ctx context.Context, tx *sql.Tx) error {
	accounts, err := oldAccounts(ctx, tx)
	if err != nil {
		return err
	}
	var problems []error
	for _, a := range accounts {
		// A name without a canonical form, such as one with a space, gets no key.
		// Its user logs in by the other name.
		username, _, _ := auth.AccountKeys(auth.Account{Username: a.Username})
		_, email, _ := auth.AccountKeys(auth.Account{Email: a.Email})
		if username == nil && email == nil {
			problems = append(problems, fmt.Errorf("user %s: neither the username %q nor the address %q is valid; correct one of them", a.ID, a.Username, a.Email))
			continue
		}
		_, err := tx.ExecContext(ctx, `UPDATE users SET username_key = ?, email_key = ?, stamp = ? WHERE id = ?`,
			username, email, rand.Text(), a.ID)
		switch err = taken(err); {
		case errors.Is(err, auth.ErrUsernameTaken):
			problems = append(problems, fmt.Errorf("user %s: an older user has the username %q, perhaps in other letters; change one of them", a.ID, a.Username))
		case errors.Is(err, auth.ErrEmailTaken):
			problems = append(problems, fmt.Errorf("user %s: an older user has the address %q; change or empty one of them", a.ID, a.Email))
		case err != nil:
			return err
		}
	}
	return errors.Join(problems...)
}

func oldAccounts(ctx context.Context, tx *sql.Tx) (accounts []auth.Account, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT id, username, email FROM users ORDER BY id`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var a auth.Account
		if err := rows.Scan(&a.ID, &a.Username, &a.Email); err != nil {
			return nil, err
		}
		accounts = append(accounts, a)
	}
	return accounts, rows.Err()
}
