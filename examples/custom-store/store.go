package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/url"
	"strconv"

	"github.com/go-login/auth"
)

// Member is a row of a table that the application has had all along, with an
// integer key and column names of its own. New in it are the columns of the
// last line.
type Member struct {
	auth.Account
	Plan string
}

const schema = `CREATE TABLE IF NOT EXISTS members (
	number INTEGER PRIMARY KEY AUTOINCREMENT, nick TEXT, mail TEXT, pass TEXT, blocked INTEGER, plan TEXT,
	nick_key TEXT UNIQUE, mail_key TEXT UNIQUE, mail_ok INTEGER, stamp TEXT, roles TEXT, version INTEGER)`

// MemberStore is an auth.UserStore on that table.
type MemberStore struct{ db *sql.DB }

func (s MemberStore) LoadUser(ctx context.Context, id string) (*Member, error) {
	number, err := strconv.ParseInt(id, 10, 64)
	if err != nil || strconv.FormatInt(number, 10) != id {
		return nil, auth.ErrUserNotFound // we never gave it out
	}
	return s.one(ctx, `number = ?1`, number)
}

func (s MemberStore) FindUser(ctx context.Context, key string) (*Member, error) {
	return s.one(ctx, `nick_key = ?1 OR mail_key = ?1`, key)
}

func (s MemberStore) one(ctx context.Context, where string, arg any) (*Member, error) {
	m, roles := &Member{}, ""
	err := s.db.QueryRowContext(ctx, `SELECT number, nick, mail, pass, blocked, plan, mail_ok, stamp, roles, version
		FROM members WHERE `+where, arg).Scan(&m.ID, &m.Username, &m.Email, &m.PasswordHash, &m.Disabled, &m.Plan,
		&m.EmailVerified, &m.Stamp, &roles, &m.Version)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, auth.ErrUserNotFound
	} else if err != nil {
		return nil, err
	}
	return m, json.Unmarshal([]byte(roles), &m.Roles)
}

func (s MemberStore) CreateUser(ctx context.Context, a auth.Account, form url.Values) (*Member, error) {
	if a.ID != "" {
		if _, err := strconv.ParseInt(a.ID, 10, 64); err != nil {
			return nil, err
		}
	}
	res, err := s.write(ctx, a, `INSERT INTO members
		(nick, nick_key, mail, mail_key, pass, blocked, mail_ok, stamp, roles, version, number, plan)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, nullif(?11, ''), ?12)`, form.Get("plan"))
	if err != nil {
		return nil, err
	}
	number, err := res.LastInsertId()
	if err != nil {
		return nil, err
	}
	return s.LoadUser(ctx, strconv.FormatInt(number, 10))
}

func (s MemberStore) UpdateAccount(ctx context.Context, a auth.Account) error {
	res, err := s.write(ctx, a, `UPDATE members SET
		nick = ?1, nick_key = ?2, mail = ?3, mail_key = ?4, pass = ?5, blocked = ?6, mail_ok = ?7, stamp = ?8, roles = ?9,
		version = ?10 + 1 WHERE number = ?11 AND version = ?10`)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	if _, err := s.LoadUser(ctx, a.ID); err != nil {
		return err
	}
	return auth.ErrConflict
}

// write runs a statement on the account's columns, and says which name is taken
// if the database refuses it.
func (s MemberStore) write(ctx context.Context, a auth.Account, statement string, more ...any) (sql.Result, error) {
	nick, err1 := key(a.Username, auth.UsernameKey)
	mail, err2 := key(a.Email, auth.EmailKey)
	roles, err3 := json.Marshal(a.Roles)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	res, err := s.db.ExecContext(ctx, statement, append([]any{a.Username, nick, a.Email, mail,
		a.PasswordHash, a.Disabled, a.EmailVerified, a.Stamp, string(roles), a.Version, a.ID}, more...)...)
	if err == nil {
		return res, nil
	}
	var nicks, mails int
	row := s.db.QueryRowContext(ctx, `SELECT count(nick_key = ?1 OR NULL), count(mail_key = ?2 OR NULL)
		FROM members WHERE CAST(number AS TEXT) <> ?3`, nick, mail, a.ID)
	switch scanErr := row.Scan(&nicks, &mails); {
	case scanErr == nil && nicks > 0:
		return nil, auth.ErrUsernameTaken
	case scanErr == nil && mails > 0:
		return nil, auth.ErrEmailTaken
	}
	return nil, err
}

// key is what a unique column holds: the canonical form, or NULL, which
// collides with nothing.
func key(name string, canonical func(string) (string, error)) (sql.NullString, error) {
	if name == "" {
		return sql.NullString{}, nil
	}
	k, err := canonical(name)
	return sql.NullString{String: k, Valid: true}, err
}
