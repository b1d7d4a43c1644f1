package sqlstore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-login/auth"
)

// Store is a table of users and a table of records: an [auth.UserStore] of *T,
// and an [auth.RecordStore].
//
// The account is kept in columns. The exported other fields of T are kept as
// JSON, in one column. Unexported fields are not kept. If a type has its own
// MarshalJSON and UnmarshalJSON (or MarshalText and UnmarshalText), the store
// relies on them. If JSON would lose or change a field without an error, New
// returns an error that names the field:
//
//   - a field with the tag json:"-"
//   - fields with the same JSON name, by their tags or because two embedded
//     structs have them: encoding/json drops one, or all
//   - any and other interfaces, in which an int64 becomes a float64 and a
//     []byte a text: use a concrete type, or json.RawMessage
//   - an embedded type with MarshalJSON, such as time.Time: its method then
//     encodes the whole struct, and the other fields are lost
//   - a type with MarshalJSON alone or with UnmarshalJSON alone
//   - a struct without exported fields (sync.Mutex, url.Userinfo), a channel, a
//     function, a complex number, map keys that JSON cannot write and read
//     back, and an embedded pointer to an unexported type
//   - a second [auth.Account]
//
// To exempt a field that need not be saved, tag it sqlstore:"-":
//
//	Session *Upstream `json:"-" sqlstore:"-"`
//
// Some values come back in another form with the same meaning: a time.Time
// without its monotonic reading and the name of its zone, an empty slice or map
// with omitempty as nil, two pointers to one value as pointers to two values.
// CreateUser and UpdateProfile return an error for a text that is not UTF-8,
// NaN, a pointer cycle, and an [auth.Secret] that is not empty, which JSON
// cannot read back.
type Store[T any, P interface {
	*T
	auth.User
}] struct {
	*Records
}

// New returns a store of users of type *T. T must hold its account by value,
// best by embedding it:
//
//	type User struct {
//		auth.Account
//		Name string
//	}
//
//	store := sqlstore.New[User](db, sqlstore.SQLite)
//
// New does not touch the database. If T or the options are wrong, [auth.New]
// and every method of the store return the error.
func New[T any, P interface {
	*T
	auth.User
}](db *sql.DB, dialect Dialect, options ...Option) *Store[T, P] {
	d := open(db, dialect, options)
	user := P(new(T))
	if account := user.AuthAccount(); d.err == nil {
		if account == nil || account != user.AuthAccount() {
			d.err = fmt.Errorf("sqlstore: %T must hold its account by value; embed auth.Account in it", *user)
		} else {
			d.err = checkFields(reflect.TypeFor[T](), int(reflect.ValueOf(account).Pointer()-reflect.ValueOf(user).Pointer()))
		}
	}
	return &Store[T, P]{Records: &Records{db: d}}
}

// WithTx returns the store with its statements in a transaction of the
// application. Use it to write rows of your own together with a user: see the
// package documentation. It does not commit or roll back. After an error that
// auth.UserStore does not name, roll back.
//
// Use it in your own CreateUser, UpdateProfile or DeleteUser; do not pass it to
// auth.New. Use the returned store in one goroutine only. While the transaction
// is open, do not call Register or other methods of a Manager: these use other
// connections.
func (s *Store[T, P]) WithTx(tx *sql.Tx) *Store[T, P] {
	return &Store[T, P]{Records: &Records{db: s.db.inTx(tx)}}
}

// LoadUser implements [auth.UserLoader].
func (s *Store[T, P]) LoadUser(ctx context.Context, id string) (P, error) {
	return s.find(ctx, selectUser+`WHERE id = ?`, id)
}

// FindUser implements [auth.UserStore].
func (s *Store[T, P]) FindUser(ctx context.Context, key string) (P, error) {
	if strings.Contains(key, "@") {
		return s.find(ctx, selectUser+`WHERE email_key = ?`, key)
	}
	return s.find(ctx, selectUser+`WHERE username_key = ?`, key)
}

const selectUser = `
	SELECT id, username, email, email_verified, password_hash, stamp, disabled, roles, version, profile
	FROM {prefix}users `

// find returns the user that a query by one name returns.
func (s *Store[T, P]) find(ctx context.Context, query, name string) (P, error) {
	if !isText(name) {
		return nil, auth.ErrUserNotFound
	}
	found, err := s.query(ctx, query, name)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, auth.ErrUserNotFound
	}
	return found[0], nil
}

// query returns the users that a query returns.
func (s *Store[T, P]) query(ctx context.Context, query string, args ...any) ([]P, error) {
	found, err := collect(ctx, s.db, func(rows *sql.Rows) (P, error) {
		var a auth.Account
		var roles, profile []byte
		err := rows.Scan(&a.ID, &a.Username, &a.Email, &a.EmailVerified, &a.PasswordHash,
			&a.Stamp, &a.Disabled, &roles, &a.Version, &profile)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(roles, &a.Roles); err != nil {
			return nil, fmt.Errorf("roles of user %s: %w", a.ID, err)
		}
		return s.decode(a, profile)
	}, query, args...)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: reading a user: %w", err)
	}
	return found, nil
}

// ListUsers implements [auth.UserLister]. The database orders the IDs.
func (s *Store[T, P]) ListUsers(ctx context.Context, after string, limit int) ([]P, error) {
	if !isText(after) {
		return nil, nil
	}
	return s.query(ctx, selectUser+`WHERE id > ? ORDER BY id LIMIT ?`, after, limit)
}

// CreateUser implements [auth.UserStore]. If the account has no ID, it gets a
// random text of 130 bits. If another user has the ID, CreateUser returns the
// database's error. The returned user has been encoded and decoded, and equals
// what LoadUser returns.
func (s *Store[T, P]) CreateUser(ctx context.Context, a auth.Account, form url.Values) (P, error) {
	if s.db.err != nil {
		return nil, s.db.err
	}
	if a.ID == "" {
		a.ID = rand.Text()
	}
	row, err := rowOf(a)
	if err != nil {
		return nil, err
	}
	if !isText(a.ID) {
		return nil, errNoText
	}
	if len(a.ID) > maxName {
		return nil, errTooLong
	}
	user := P(new(T))
	*user.AuthAccount() = a.Clone()
	if reader, ok := any(user).(auth.FormReader); ok {
		if form == nil {
			form = url.Values{}
		}
		if err := reader.ReadForm(form); err != nil {
			return nil, err
		}
	}
	profile, err := s.encode(user)
	if err != nil {
		return nil, err
	}
	user, err = s.decode(a.Clone(), []byte(profile)) // drops changes that ReadForm made to the account
	if err != nil {
		return nil, err
	}
	_, err = s.db.execOrUndo(ctx, `
		INSERT INTO {prefix}users (id, version, profile, created, username, username_key, email, email_key,
			email_verified, password_hash, stamp, disabled, roles)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		append([]any{a.ID, a.Version, profile, s.now()}, row.values()...)...)
	// taken is called even if the INSERT succeeded: otherwise the duration of a
	// registration would tell whether a name is taken.
	failure := s.taken(ctx, row, a.ID, err)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: creating a user: %w", failure)
	}
	return user, nil
}

// IgnoresForm implements [auth.FormIgnorer]: CreateUser ignores its form if P is not an
// [auth.FormReader].
func (s *Store[T, P]) IgnoresForm() bool {
	_, reads := any(P(nil)).(auth.FormReader)
	return !reads
}

// UpdateAccount implements [auth.UserStore].
func (s *Store[T, P]) UpdateAccount(ctx context.Context, a auth.Account) error {
	if !isText(a.ID) {
		return auth.ErrUserNotFound
	}
	row, err := rowOf(a)
	if errors.Is(err, auth.ErrInvalidUsername) || errors.Is(err, auth.ErrInvalidEmail) {
		row, err = s.unchangedNames(ctx, a, err)
	}
	if err != nil {
		return err
	}
	n, err := s.db.execOrUndo(ctx, `
		UPDATE {prefix}users SET version = ?, username = ?, username_key = ?, email = ?, email_key = ?,
			email_verified = ?, password_hash = ?, stamp = ?, disabled = ?, roles = ?
		WHERE id = ? AND version = ?`,
		slices.Concat([]any{a.Version + 1}, row.values(), []any{a.ID, a.Version})...)
	if err != nil {
		return fmt.Errorf("sqlstore: updating an account: %w", s.taken(ctx, row, a.ID, err))
	}
	return s.unlessChanged(ctx, n, a.ID)
}

// unchangedNames is rowOf for an account with an invalid name. A name that the
// account already has in the table keeps its key, because it may be older than
// the rules for names. The update that follows compares the Version, so no
// other change can come in between.
func (s *Store[T, P]) unchangedNames(ctx context.Context, a auth.Account, invalid error) (row, error) {
	if s.db.err != nil {
		return row{}, s.db.err
	}
	stored, err := collect(ctx, s.db, func(rows *sql.Rows) (r row, err error) {
		err = rows.Scan(&r.account.Username, &r.usernameKey, &r.account.Email, &r.emailKey)
		return r, err
	}, `SELECT username, username_key, email, email_key FROM {prefix}users WHERE id = ?`, a.ID)
	switch {
	case err != nil:
		return row{}, fmt.Errorf("sqlstore: reading a user: %w", err)
	case len(stored) == 0:
		return row{}, invalid
	}
	changed, was := a, stored[0]
	if changed.Username == was.account.Username {
		changed.Username = ""
	}
	if changed.Email == was.account.Email {
		changed.Email = ""
	}
	r, err := rowOf(changed)
	if err != nil {
		return row{}, err
	}
	r.account = a
	if changed.Username != a.Username {
		r.usernameKey = was.usernameKey
	}
	if changed.Email != a.Email {
		r.emailKey = was.emailKey
	}
	return r, nil
}

// UpdateProfile saves the fields of T other than the account, and increments
// the stored Version. If the stored Version is not that of user's account, it
// changes nothing and returns ErrConflict: load the user, make the change again
// and retry. For an unknown ID it returns ErrUserNotFound. It does not write to
// user, whose Version is out of date afterwards. It ignores changes of the
// account; use UpdateAccount for those.
func (s *Store[T, P]) UpdateProfile(ctx context.Context, user P) error {
	if s.db.err != nil {
		return s.db.err
	}
	profile, err := s.encode(user)
	if err != nil {
		return err
	}
	a := *user.AuthAccount()
	if !isText(a.ID) {
		return auth.ErrUserNotFound
	}
	if _, err := s.decode(a, []byte(profile)); err != nil {
		return err
	}
	n, err := s.db.exec(ctx, `
		UPDATE {prefix}users SET profile = ?, version = ? WHERE id = ? AND version = ?`,
		profile, a.Version+1, a.ID, a.Version)
	if err != nil {
		return fmt.Errorf("sqlstore: updating a user: %w", err)
	}
	return s.unlessChanged(ctx, n, a.ID)
}

// DeleteUser implements [auth.UserDeleter].
func (s *Store[T, P]) DeleteUser(ctx context.Context, id string) error {
	if !isText(id) {
		return auth.ErrUserNotFound
	}
	n, err := s.db.exec(ctx, `DELETE FROM {prefix}users WHERE id = ?`, id)
	switch {
	case err != nil:
		return fmt.Errorf("sqlstore: deleting a user: %w", err)
	case n == 0:
		return auth.ErrUserNotFound
	}
	return nil
}

// unlessChanged returns the error of a conditional update that changed n rows.
func (s *Store[T, P]) unlessChanged(ctx context.Context, n int64, id string) error {
	if n > 0 {
		return nil
	}
	found, err := s.db.exists(ctx, `SELECT 1 FROM {prefix}users WHERE id = ?`, id)
	if err != nil {
		return fmt.Errorf("sqlstore: reading a user: %w", err)
	}
	if found {
		return auth.ErrConflict
	}
	return auth.ErrUserNotFound
}

// taken returns ErrUsernameTaken or ErrEmailTaken if a statement failed because
// another user than self has a name of this row. Asking who has the name works
// without the error codes of drivers. If the other user gave the name up in
// between, taken returns failure unchanged. It also does so if self has the
// name: if the connection was lost, the statement may have succeeded.
func (s *Store[T, P]) taken(ctx context.Context, r row, self string, failure error) error {
	open, shut := "", ""
	if s.db.tx != nil && s.db.grammar.mysql {
		open, shut = "(", " LOCK IN SHARE MODE)" // otherwise a transaction sees the rows as they were when it began
	}
	names, err := collect(ctx, s.db, func(rows *sql.Rows) (name int, err error) {
		err = rows.Scan(&name)
		return name, err
	},
		open+`SELECT 1 FROM {prefix}users WHERE username_key = ? AND id <> ?`+shut+
			` UNION ALL `+open+`SELECT 2 FROM {prefix}users WHERE email_key = ? AND id <> ?`+shut,
		r.usernameKey, self, r.emailKey, self)
	switch {
	case err != nil:
		return failure
	case slices.Contains(names, 1):
		return auth.ErrUsernameTaken
	case slices.Contains(names, 2):
		return auth.ErrEmailTaken
	}
	return failure
}

// encode returns the fields of user other than the account, as JSON.
func (s *Store[T, P]) encode(user P) (string, error) {
	own := *user
	account := P(&own).AuthAccount()
	if account == user.AuthAccount() {
		return "", fmt.Errorf("sqlstore: %T must hold its account by value; embed auth.Account in it", own)
	}
	*account = auth.Account{}
	text, err := json.Marshal(P(&own))
	if err != nil {
		return "", fmt.Errorf("sqlstore: encoding a user's fields: %w", err)
	}
	if !utf8.Valid(text) { // a json.RawMessage, or a MarshalJSON, may yield anything
		return "", errNoText
	}
	if err := checkText(reflect.ValueOf(&own).Elem(), reflect.TypeFor[T]().String()); err != nil {
		return "", err
	}
	return string(text), nil
}

// decode makes a user from an account and the result of encode.
func (s *Store[T, P]) decode(a auth.Account, profile []byte) (P, error) {
	user := P(new(T))
	if err := json.Unmarshal(profile, user); err != nil {
		return nil, fmt.Errorf("sqlstore: decoding the fields of user %s: %w", a.ID, err)
	}
	*user.AuthAccount() = a
	return user, nil
}

// A row is an account as stored in the table.
type row struct {
	account               auth.Account
	usernameKey, emailKey *string
	roles                 string
}

// maxText is the length of MySQL's TEXT columns in bytes. Names are shorter
// (see auth.UsernameKey).
const maxText = 1<<16 - 1

var errFieldTooLong = errors.New("sqlstore: PasswordHash or Stamp has more than 65535 bytes")

// rowOf returns errors of AccountKeys unchanged.
func rowOf(a auth.Account) (r row, err error) {
	r.account = a
	if r.usernameKey, r.emailKey, err = auth.AccountKeys(a); err != nil {
		return row{}, err
	}
	if !isText(a.PasswordHash.Reveal() + a.Stamp.Reveal() + strings.Join(a.Roles, " ")) {
		return row{}, errNoText
	}
	if len(a.PasswordHash.Reveal()) > maxText || len(a.Stamp.Reveal()) > maxText {
		return row{}, errFieldTooLong
	}
	roles, err := json.Marshal(a.Roles)
	r.roles = string(roles)
	return r, err
}

// values returns the columns that may change: username, username_key, email,
// email_key, email_verified, password_hash, stamp, disabled and roles.
func (r row) values() []any {
	a := r.account
	return []any{a.Username, r.usernameKey, a.Email, r.emailKey,
		a.EmailVerified, a.PasswordHash, a.Stamp, a.Disabled, r.roles}
}

var errNoText = errors.New("sqlstore: a text field of the user contains invalid UTF-8 or a NUL byte")

// isText reports whether every database accepts s as text: PostgreSQL refuses
// NUL bytes and invalid UTF-8.
func isText(s string) bool {
	return utf8.ValidString(s) && !strings.Contains(s, "\x00")
}
