package main

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/go-login/auth"
)

// A User is a row of the application's table.
type User struct {
	auth.Account
	Created string // the column created_at
}

// userStore is an auth.UserStore on that table.
type userStore struct{ db *sql.DB }

func (s userStore) LoadUser(ctx context.Context, id string) (*User, error) {
	return s.one(ctx, `id = ?1 AND CAST(id AS TEXT) = ?1`, id) // does not find 1 for "01"
}

func (s userStore) FindUser(ctx context.Context, key string) (*User, error) {
	return s.one(ctx, `username_key = ?1 OR email_key = ?1`, key)
}

func (s userStore) one(ctx context.Context, where, arg string) (*User, error) {
	u, role := &User{}, ""
	err := s.db.QueryRowContext(ctx, `SELECT id, username, email, email_verified, password_hash, stamp, disabled, role, version, created_at
		FROM users WHERE `+where, arg).Scan(&u.ID, &u.Username, &u.Email, &u.EmailVerified, &u.PasswordHash, &u.Stamp,
		&u.Disabled, &role, &u.Version, &u.Created)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, auth.ErrUserNotFound
	}
	if err == nil {
		u.Roles, err = rolesOf(role)
	}
	return u, err
}

func (s userStore) CreateUser(ctx context.Context, a auth.Account, _ url.Values) (*User, error) {
	id, err := s.write(ctx, a, a, `INSERT INTO users
		(username, username_key, email, email_key, email_verified, password_hash, stamp, disabled, role, version, id)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, nullif(?11, ''))`)
	if err != nil {
		return nil, err
	}
	return s.LoadUser(ctx, id)
}

func (s userStore) UpdateAccount(ctx context.Context, a auth.Account) error {
	old, err := s.LoadUser(ctx, a.ID)
	if err != nil {
		return err
	}
	changed := a // a name that stays is not checked, and keeps its key
	if a.Username == old.Username {
		changed.Username = ""
	}
	if a.Email == old.Email {
		changed.Email = ""
	}
	_, err = s.write(ctx, a, changed, `UPDATE users SET
		username = ?1, username_key = iif(username = ?1, username_key, ?2), email = ?3, email_key = iif(email = ?3, email_key, ?4),
		email_verified = ?5, password_hash = ?6, stamp = ?7, disabled = ?8, role = ?9, version = ?10 + 1
		WHERE id = ?11 AND version = ?10`)
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	_, err = s.LoadUser(ctx, a.ID)
	return cmp.Or(err, auth.ErrConflict)
}

// write runs a statement on the account's columns, with the keys of the names in
// named, and returns the row's id.
func (s userStore) write(ctx context.Context, a, named auth.Account, statement string) (id string, err error) {
	username, email, err := auth.AccountKeys(named)
	if err != nil {
		return "", err
	}
	role, err := roleColumn(a.Roles)
	if err != nil {
		return "", err
	}
	err = s.db.QueryRowContext(ctx, statement+` RETURNING id`, a.Username, username, a.Email, email, a.EmailVerified,
		a.PasswordHash, a.Stamp, a.Disabled, role, a.Version, a.ID).Scan(&id)
	return id, taken(err)
}

// taken returns ErrUsernameTaken or ErrEmailTaken if err says so, and otherwise
// err.
func taken(err error) error {
	switch {
	case err != nil && strings.Contains(err.Error(), "users.username_key"):
		return auth.ErrUsernameTaken
	case err != nil && strings.Contains(err.Error(), "users.email_key"):
		return auth.ErrEmailTaken
	}
	return err
}

// roleColumn returns what the column role has for these roles. One role is as it
// was in the old application, such as admin. No role is empty, and several are a
// JSON array.
func roleColumn(roles []string) (string, error) {
	if len(roles) == 0 {
		return "", nil
	}
	if len(roles) == 1 && roles[0] != "" && roles[0][0] != '[' {
		return roles[0], nil
	}
	if !utf8.ValidString(strings.Join(roles, " ")) { // JSON would change it
		return "", errors.New("stockroom: a role must be valid UTF-8")
	}
	column, err := json.Marshal(roles)
	return string(column), err
}

// rolesOf is the reverse of roleColumn.
func rolesOf(column string) (roles []string, err error) {
	if column == "" {
		return nil, nil
	}
	if column[0] != '[' {
		return []string{column}, nil
	}
	err = json.Unmarshal([]byte(column), &roles)
	return roles, err
}
