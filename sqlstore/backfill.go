package sqlstore

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-login/auth"
)

// A UsersTable names the columns of a users table that the application had before: the old
// ones, and those that a login needs in addition. docs/moving-in.md says how to add them.
// UsernameKey, EmailKey and Stamp are written, so each must be a column of its own.
type UsersTable struct {
	Table string // its name, such as "users"
	ID    string // the primary key

	// Username and Email are the columns with the names as users wrote them. UsernameKey and
	// EmailKey get their canonical forms, and should have unique indexes. If the table has
	// only one of the two, leave the other pair empty.
	Username, UsernameKey string
	Email, EmailKey       string

	// Stamp gets a random text where it is empty or NULL.
	Stamp string

	// Batch is how many rows are read at a time: 1 to 100,000. The default is 500.
	Batch int

	// DryRun writes nothing. Changed of the result is how many rows would be written, and
	// Problems are those that would be left. It keeps the keys of all rows in memory: some
	// 100 bytes for each row.
	DryRun bool

	// Progress, if set, is called after each batch. Rows begins again at 0 if the table is
	// read once more.
	Progress func(Backfill)
}

// A Backfill says what BackfillUsers has done.
type Backfill struct {
	Rows    int // that were read
	Changed int // that were written

	// Problems are the names without a key. The other columns of such a row are filled. If a
	// user has no key at all, they cannot log in until you correct the name. If the table was
	// read more than once, they are those of the last time that did not fail.
	Problems []BackfillProblem
}

// A BackfillProblem is a name that gets no key.
type BackfillProblem struct {
	ID   string // of the row
	Name string // the username or the address

	// Err is ErrInvalidUsername or ErrInvalidEmail of package auth for a name that has no
	// canonical form, such as one with a space, and ErrUsernameTaken or ErrEmailTaken if
	// another row has the same name, perhaps in other letters.
	Err error
}

// BackfillUsers fills the columns UsernameKey, EmailKey and Stamp of a users table that the
// application had before. Call it after the columns were added, while the old application
// still runs, and once more when it has stopped: each call also corrects the keys of names
// that have changed since. It never changes a Stamp that is there, nor any other column.
//
// It reads the table in the order of ID, 500 rows at a time (UsersTable.Batch), and writes only
// rows that need it, each in a statement of its own. So it locks no table, and you may stop it
// and call it again. Of two users with the same name, the first one gets the key.
func BackfillUsers(ctx context.Context, db *sql.DB, dialect Dialect, table UsersTable) (Backfill, error) {
	g, err := dialect.grammar()
	if err != nil {
		return Backfill{}, err
	}
	if err := table.check(); err != nil {
		return Backfill{}, err
	}
	table.Batch = cmp.Or(table.Batch, backfillBatch)
	b := backfiller{db: db, grammar: g, table: table, claimed: map[string]string{}}
	for range backfillPasses {
		before := b.done
		b.done.Rows, b.done.Problems = 0, nil
		if err := b.pass(ctx); err != nil {
			if before.Rows > 0 {
				b.done.Problems = before.Problems
			}
			return b.done, err
		}
		if table.DryRun || b.done.Changed == before.Changed || !b.done.taken() {
			break
		}
		// A row may want a key that a row after it has given up in this pass.
	}
	return b.done, nil
}

// pass goes through all rows once.
func (b *backfiller) pass(ctx context.Context) error {
	var last any
	for {
		batch, err := b.read(ctx, last)
		if err != nil {
			return fmt.Errorf("sqlstore: BackfillUsers: reading %s: %w", b.table.Table, err)
		}
		for _, row := range batch {
			if err := b.fill(ctx, row); err != nil {
				return fmt.Errorf("sqlstore: BackfillUsers: row %s: %w", row.name(), err)
			}
			last = row.id
		}
		if b.table.Progress != nil {
			b.table.Progress(b.done)
		}
		if len(batch) < b.table.Batch {
			return nil
		}
	}
}

// taken reports whether a row got no key because another row has it.
func (b *Backfill) taken() bool {
	return slices.ContainsFunc(b.Problems, func(p BackfillProblem) bool {
		return errors.Is(p.Err, auth.ErrUsernameTaken) || errors.Is(p.Err, auth.ErrEmailTaken)
	})
}

const (
	backfillBatch  = 500
	backfillPasses = 3
)

// check returns an error if a name is missing, or would need quotes in a statement.
func (t *UsersTable) check() error {
	plain := func(name string) bool {
		return strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
	}
	for _, c := range []struct {
		field, name string
		may         bool
	}{
		{"Table", strings.Replace(t.Table, ".", "", 1), t.Table == ""},
		{"ID", t.ID, false}, {"Stamp", t.Stamp, false},
		{"Username", t.Username, t.UsernameKey == ""}, {"UsernameKey", t.UsernameKey, t.Username == ""},
		{"Email", t.Email, t.EmailKey == ""}, {"EmailKey", t.EmailKey, t.Email == ""},
	} {
		if c.field == "Table" && c.may || c.name == "" && !c.may || !plain(c.name) {
			return fmt.Errorf("sqlstore: BackfillUsers: UsersTable.%s is %.100q; use a name of letters, digits and _", c.field, c.name)
		}
	}
	if t.Batch < 0 || t.Batch > 100_000 {
		return fmt.Errorf("sqlstore: BackfillUsers: UsersTable.Batch is %d; use 1 to 100,000, or 0 for %d", t.Batch, backfillBatch)
	}
	all := []string{t.ID, t.Username, t.UsernameKey, t.Email, t.EmailKey, t.Stamp}
	for _, c := range []struct{ field, name string }{{"UsernameKey", t.UsernameKey}, {"EmailKey", t.EmailKey}, {"Stamp", t.Stamp}} {
		others := slices.DeleteFunc(slices.Clone(all), func(name string) bool { return !strings.EqualFold(name, c.name) })
		if c.name != "" && len(others) > 1 {
			return fmt.Errorf("sqlstore: BackfillUsers: UsersTable.%s is %q, which is also another field's column; it is written, so use a column of its own", c.field, c.name)
		}
	}
	if t.Username == "" && t.Email == "" {
		return errors.New("sqlstore: BackfillUsers: UsersTable has neither Username nor Email; users log in with one of them")
	}
	return nil
}

type backfiller struct {
	db      *sql.DB
	grammar grammar
	table   UsersTable
	done    Backfill

	claimed map[string]string // in a dry run: which row would get a key, by column and key
}

// A backfillRow is a row as it was read.
type backfillRow struct {
	id                    any // of the driver's type, so that it can be compared
	username, email       sql.NullString
	usernameKey, emailKey sql.NullString
	stamp                 sql.NullString
}

func (r *backfillRow) name() string {
	if b, ok := r.id.([]byte); ok {
		return string(b)
	}
	return fmt.Sprint(r.id)
}

// read returns the rows after last.
func (b *backfiller) read(ctx context.Context, last any) (batch []backfillRow, err error) {
	t, none := &b.table, "NULL"
	columns := []string{t.ID, cmp.Or(t.Username, none), cmp.Or(t.UsernameKey, none), cmp.Or(t.Email, none), cmp.Or(t.EmailKey, none), t.Stamp}
	query, args := "SELECT "+strings.Join(columns, ", ")+" FROM "+t.Table, []any{}
	if last != nil {
		query, args = query+" WHERE "+t.ID+" > ?", append(args, last)
	}
	query += fmt.Sprintf(" ORDER BY %s LIMIT %d", t.ID, b.table.Batch)
	rows, err := b.db.QueryContext(ctx, b.grammar.statement(query, ""), args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var r backfillRow
		if err := rows.Scan(&r.id, &r.username, &r.usernameKey, &r.email, &r.emailKey, &r.stamp); err != nil {
			return nil, err
		}
		batch = append(batch, r)
	}
	return batch, rows.Err()
}

// fill writes the keys and the stamp of a row, if they are not right. If the row has changed
// since it was read, nothing is written: the next call of BackfillUsers sees it.
func (b *backfiller) fill(ctx context.Context, r backfillRow) error {
	b.done.Rows++
	t := &b.table
	username, _, wrong := auth.AccountKeys(auth.Account{Username: r.username.String})
	username, err := b.free(ctx, r, t.Username, t.UsernameKey, r.username.String, username, wrong, auth.ErrUsernameTaken)
	if err != nil {
		return err
	}
	_, email, wrong := auth.AccountKeys(auth.Account{Email: r.email.String})
	email, err = b.free(ctx, r, t.Email, t.EmailKey, r.email.String, email, wrong, auth.ErrEmailTaken)
	if err != nil {
		return err
	}
	if isKey(r.usernameKey, username) && isKey(r.emailKey, email) && r.stamp.String != "" {
		return nil
	}
	if t.DryRun {
		b.done.Changed++
		return nil
	}
	set, where := "UPDATE "+t.Table+" SET "+t.Stamp+" = COALESCE(NULLIF("+t.Stamp+", ''), ?)", " WHERE "+t.ID+" = ?"
	values, compared := []any{rand.Text()}, []any{r.id}
	for _, c := range []struct {
		column, key string
		name        sql.NullString
		value       *string
	}{{t.Username, t.UsernameKey, r.username, username}, {t.Email, t.EmailKey, r.email, email}} {
		if c.column != "" {
			set, values = set+", "+c.key+" = ?", append(values, c.value)
			where, compared = where+" AND COALESCE("+c.column+", '') = ?", append(compared, c.name.String)
		}
	}
	result, err := b.db.ExecContext(ctx, b.grammar.statement(set+where, ""), append(values, compared...)...)
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	b.done.Changed += int(n)
	return err
}

// free returns the key for a column, or nil if there can be none, which is noted.
func (b *backfiller) free(ctx context.Context, r backfillRow, column, keyColumn, name string, key *string, wrong, taken error) (*string, error) {
	switch {
	case column == "" || wrong == nil && key == nil:
		return nil, nil
	case wrong != nil:
		b.done.Problems = append(b.done.Problems, BackfillProblem{r.name(), name, wrong})
		return nil, nil
	}
	owner, err := b.owner(ctx, r, column, keyColumn, *key)
	switch {
	case err != nil:
		return nil, err
	case owner != "":
		b.done.Problems = append(b.done.Problems, BackfillProblem{r.name(), name, fmt.Errorf("%w: row %s has it", taken, owner)})
		return nil, nil
	}
	if b.table.DryRun {
		b.claimed[keyColumn+" "+*key] = r.name()
	}
	return key, nil
}

// owner returns the ID of another row that has a key, or "".
func (b *backfiller) owner(ctx context.Context, r backfillRow, column, keyColumn, key string) (string, error) {
	if owner := b.claimed[keyColumn+" "+key]; owner != "" {
		return owner, nil
	}
	var other backfillRow
	var name sql.NullString
	query := "SELECT " + b.table.ID + ", " + column + " FROM " + b.table.Table + " WHERE " + keyColumn + " = ? AND " + b.table.ID + " <> ?"
	err := b.db.QueryRowContext(ctx, b.grammar.statement(query, ""), key, r.id).Scan(&other.id, &name)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return "", nil
	case err != nil:
		return "", err
	case b.table.DryRun && !isKeyOf(key, name.String): // that row would give it up
		return "", nil
	}
	return other.name(), nil
}

// isKeyOf reports whether a name, which is a username or an address, has this key.
func isKeyOf(key, name string) bool {
	username, _, _ := auth.AccountKeys(auth.Account{Username: name})
	_, email, _ := auth.AccountKeys(auth.Account{Email: name})
	return username != nil && *username == key || email != nil && *email == key
}

// isKey reports whether a column has this key.
func isKey(column sql.NullString, key *string) bool {
	return column.Valid == (key != nil) && (key == nil || column.String == *key)
}
