package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"net/url"
	"strings"

	"github.com/go-login/auth"
)

// Member is a row of a table that the application had before, with an integer
// key and its own column names (see oldTable).
type Member struct {
	auth.Account
	Plan string
}

// MemberStore is an auth.UserStore on that table.
type MemberStore struct{ db *sql.DB }

var _ auth.UserStore[*Member] = MemberStore{} // the compiler names a method that is missing

// OmittedFields says that the table has no column for roles.
func (s MemberStore) OmittedFields() []auth.AccountField {
	return []auth.AccountField{auth.FieldRoles}
}

func (s MemberStore) LoadUser(ctx context.Context, id string) (*Member, error) {
	return s.one(ctx, `number = ?1 AND CAST(number AS TEXT) = ?1`, id) // uses the primary key, and does not find 1 for "1.0" or " 1"
}

func (s MemberStore) FindUser(ctx context.Context, key string) (*Member, error) {
	return s.one(ctx, `nick_key = ?1 OR mail_key = ?1`, key)
}

func (s MemberStore) one(ctx context.Context, where, arg string) (*Member, error) {
	m := &Member{}
	err := s.db.QueryRowContext(ctx, `SELECT number, nick, mail, pass, blocked, plan, mail_ok, stamp, version
		FROM members WHERE `+where, arg).Scan(&m.ID, &m.Username, &m.Email, &m.PasswordHash, &m.Disabled, &m.Plan,
		&m.EmailVerified, &m.Stamp, &m.Version)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, auth.ErrUserNotFound
	}
	return m, err
}

func (s MemberStore) CreateUser(ctx context.Context, a auth.Account, form url.Values) (*Member, error) {
	id, err := s.write(ctx, a, a, `INSERT INTO members
		(nick, nick_key, mail, mail_key, pass, blocked, mail_ok, stamp, version, number, plan)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, nullif(?10, ''), ?11)`, form.Get("plan"))
	if err != nil {
		return nil, err
	}
	return s.LoadUser(ctx, id)
}

func (s MemberStore) UpdateAccount(ctx context.Context, a auth.Account) error {
	old, err := s.LoadUser(ctx, a.ID)
	if err != nil {
		return err
	}
	checked := a // an unchanged name is not checked: it may be older than the rules for names
	if a.Username == old.Username {
		checked.Username = ""
	}
	if a.Email == old.Email {
		checked.Email = ""
	}
	_, err = s.write(ctx, a, checked, `UPDATE members SET nick = ?1, nick_key = iif(nick = ?1, nick_key, ?2),
		mail = ?3, mail_key = iif(mail = ?3, mail_key, ?4), pass = ?5, blocked = ?6, mail_ok = ?7, stamp = ?8, version = ?9 + 1 WHERE number = ?10 AND version = ?9`)
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	_, err = s.LoadUser(ctx, a.ID)
	return cmp.Or(err, auth.ErrConflict)
}

// write runs a statement on the account's columns, with the canonical names of
// checked, and returns the number of the row.
func (s MemberStore) write(ctx context.Context, a, checked auth.Account, statement string, more ...any) (id string, err error) {
	nick, mail, err := auth.AccountKeys(checked)
	if err != nil {
		return "", err
	}
	err = s.db.QueryRowContext(ctx, statement+` RETURNING number`, append([]any{a.Username, nick, a.Email, mail,
		a.PasswordHash, a.Disabled, a.EmailVerified, a.Stamp, a.Version, a.ID}, more...)...).Scan(&id)
	switch {
	case err != nil && strings.Contains(err.Error(), "members.nick_key"):
		err = auth.ErrUsernameTaken
	case err != nil && strings.Contains(err.Error(), "members.mail_key"):
		err = auth.ErrEmailTaken
	}
	return id, err
}
