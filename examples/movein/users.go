package movein

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"net/url"
	"strings"

	"github.com/go-login/auth"
)

// A User is a row of the table that the application had before.
type User struct {
	auth.Account
	Name string
}

// Users is the auth.UserStore on that table. Its users log in with their addresses.
type Users struct{ db *sql.DB }

var _ auth.UserStore[*User] = Users{} // the compiler names a method that is missing

// OmittedFields names the fields of auth.Account that the table has no column for.
func (u Users) OmittedFields() []auth.AccountField {
	return []auth.AccountField{auth.FieldUsername, auth.FieldRoles}
}

// LoadUser finds a user by the ID, which is an integer in the table.
func (u Users) LoadUser(ctx context.Context, id string) (*User, error) {
	return u.one(ctx, `id = ?1 AND CAST(id AS TEXT) = ?1`, id) // does not find 1 for "01" or " 1"
}

// FindUser finds a user by the canonical address.
func (u Users) FindUser(ctx context.Context, key string) (*User, error) {
	return u.one(ctx, `email_key = ?1`, key)
}

func (u Users) one(ctx context.Context, where, arg string) (*User, error) {
	user := &User{}
	err := u.db.QueryRowContext(ctx, `SELECT id, email, confirmed, password, stamp, disabled, version, name FROM users WHERE `+where, arg).
		Scan(&user.ID, &user.Email, &user.EmailVerified, &user.PasswordHash, &user.Stamp, &user.Disabled, &user.Version, &user.Name)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, auth.ErrUserNotFound
	}
	return user, err
}

// CreateUser saves a new user. form is the form of the registration.
func (u Users) CreateUser(ctx context.Context, a auth.Account, form url.Values) (*User, error) {
	id, err := u.write(ctx, a, a.Email, `INSERT INTO users (email, email_key, confirmed, password, stamp, disabled, version, id, name)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, nullif(?8, ''), ?9)`, form.Get("name"))
	if err != nil {
		return nil, err
	}
	return u.LoadUser(ctx, id)
}

// UpdateAccount writes the account's columns if nobody has changed them since a was read.
func (u Users) UpdateAccount(ctx context.Context, a auth.Account) error {
	old, err := u.LoadUser(ctx, a.ID)
	if err != nil {
		return err
	}
	address := a.Email
	if address == old.Email {
		address = "" // not checked: it may be older than the rules for addresses
	}
	_, err = u.write(ctx, a, address, `UPDATE users SET email = ?1, email_key = iif(email = ?1, email_key, ?2), confirmed = ?3,
		password = ?4, stamp = ?5, disabled = ?6, version = ?7 + 1 WHERE id = ?8 AND version = ?7`)
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	_, err = u.LoadUser(ctx, a.ID)
	return cmp.Or(err, auth.ErrConflict)
}

// write runs a statement on the account's columns, and returns the ID. address is the one whose
// key is stored.
func (u Users) write(ctx context.Context, a auth.Account, address, statement string, more ...any) (id string, err error) {
	_, key, err := auth.AccountKeys(auth.Account{Email: address})
	if err != nil {
		return "", err
	}
	values := []any{a.Email, key, a.EmailVerified, a.PasswordHash, a.Stamp, a.Disabled, a.Version, a.ID}
	err = u.db.QueryRowContext(ctx, statement+` RETURNING id`, append(values, more...)...).Scan(&id)
	if err != nil && strings.Contains(err.Error(), "users.email_key") {
		err = auth.ErrEmailTaken
	}
	return id, err
}

// SaveProfile is what an ORM may do: it writes the application's columns, by name.
func (u Users) SaveProfile(ctx context.Context, user *User) error {
	_, err := u.db.ExecContext(ctx, `UPDATE users SET name = ? WHERE id = ?`, user.Name, user.ID)
	return err
}

// SaveRow is what an ORM must not do: it writes the whole row as it was read, perhaps before the
// user changed the password.
func (u Users) SaveRow(ctx context.Context, user *User) error {
	_, err := u.db.ExecContext(ctx, `UPDATE users SET name = ?, email = ?, password = ?, stamp = ?, version = ? WHERE id = ?`,
		user.Name, user.Email, user.PasswordHash, user.Stamp, user.Version, user.ID)
	return err
}
