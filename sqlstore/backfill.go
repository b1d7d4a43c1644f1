package sqlstore

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-login/auth"
)

// A UsersTable names the columns of a users table that the application had before: the old
// ones, and those that a login needs in addition. docs/moving-in.md says how to add them.
// UsernameKey, EmailKey and Stamp are written, so each must be a column of its own.
//
// Names are quoted in statements. So PostgreSQL takes them to the letter: "Users" is the table
// of CREATE TABLE "Users", and not that of CREATE TABLE Users, which is "users".
type UsersTable struct {
	Table string // its name, such as "users", or "app.users" with its schema
	ID    string // the primary key; NULL in it is an error

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

	// Problems are the names without a key. The other columns of such a row are filled, unless
	// the database did not change the row, which is a problem of its own. If a
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
	// another row has the same name, perhaps in other letters. Any other error says why the row
	// is not filled.
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
	table.quote(g)
	b := backfiller{db: db, grammar: g, table: table, claimed: map[string]string{}}
	if err := b.missingIDs(ctx); err != nil {
		return Backfill{}, err
	}
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

// missingIDs returns an error if a row has no ID: such a row cannot be written.
func (b *backfiller) missingIDs(ctx context.Context) error {
	n := 0
	query := "SELECT COUNT(*) FROM " + b.table.Table + " WHERE " + b.table.ID + " IS NULL"
	if err := b.db.QueryRowContext(ctx, query).Scan(&n); err != nil {
		return fmt.Errorf("sqlstore: BackfillUsers: reading %s: %w", b.table.Table, err)
	}
	if n > 0 {
		return fmt.Errorf("sqlstore: BackfillUsers: %d rows of %s have NULL as %s; give them an ID, or delete them", n, b.table.Table, b.table.ID)
	}
	return nil
}

// pass goes through all rows once.
func (b *backfiller) pass(ctx context.Context) error {
	var last any
	for {
		batch, err := b.after(ctx, last)
		if err != nil {
			return fmt.Errorf("sqlstore: BackfillUsers: reading %s: %w", b.table.Table, err)
		}
		for _, row := range batch {
			b.done.Rows++
			if err := b.fill(ctx, row); err != nil {
				return fmt.Errorf("sqlstore: BackfillUsers: row %q: %w", row.name(), err)
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
	backfillTries  = 3
)

// check returns an error if a name is missing, or has other characters than letters, digits
// and _, or if a column would overwrite another one.
func (t *UsersTable) check() error {
	plain := func(name string) bool {
		return strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
	}
	schema, table, found := strings.Cut(t.Table, ".")
	if !found {
		schema, table = "", t.Table
	}
	for _, c := range []struct {
		field, name string
		may         bool
	}{
		{"Table", table, false}, {"Table", schema, !found}, {"ID", t.ID, false}, {"Stamp", t.Stamp, false},
		{"Username", t.Username, t.UsernameKey == ""}, {"UsernameKey", t.UsernameKey, t.Username == ""},
		{"Email", t.Email, t.EmailKey == ""}, {"EmailKey", t.EmailKey, t.Email == ""},
	} {
		if c.name == "" && !c.may || !plain(c.name) {
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

// quote puts the names in quotes. SQLite takes an unknown name in double quotes for a text, so
// it gets the quotes of MySQL, which it knows, too.
func (t *UsersTable) quote(g grammar) {
	mark := "`"
	if g.numbered {
		mark = `"`
	}
	t.Table = strings.ReplaceAll(t.Table, ".", mark+"."+mark)
	for _, name := range []*string{&t.Table, &t.ID, &t.Username, &t.UsernameKey, &t.Email, &t.EmailKey, &t.Stamp} {
		if *name != "" {
			*name = mark + *name + mark
		}
	}
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
	username, email       backfillName
	usernameKey, emailKey sql.NullString
	stamp                 sql.NullString
}

// A backfillName is a username or an address. The column may have another type: SQLite keeps
// numbers in a column that is declared as STRING, and BLOBs in any column.
type backfillName struct {
	sql.NullString
	raw any // as the driver returned it, so that it can be compared
}

// Scan implements sql.Scanner.
func (n *backfillName) Scan(value any) error {
	if b, ok := value.([]byte); ok {
		value = bytes.Clone(b)
	}
	n.raw = value
	return n.NullString.Scan(value)
}

// same reports whether two readings of a row found the same.
func (r *backfillRow) same(other backfillRow) bool {
	return r.username.NullString == other.username.NullString && r.email.NullString == other.email.NullString &&
		r.usernameKey == other.usernameKey && r.emailKey == other.emailKey && r.stamp == other.stamp
}

func (r *backfillRow) name() string {
	if b, ok := r.id.([]byte); ok {
		return string(b)
	}
	return fmt.Sprint(r.id)
}

// after returns the rows after last, or the first ones.
func (b *backfiller) after(ctx context.Context, last any) ([]backfillRow, error) {
	end := fmt.Sprintf(" ORDER BY %s LIMIT %d", b.table.ID, b.table.Batch)
	if last == nil {
		return b.read(ctx, " WHERE "+b.table.ID+" IS NOT NULL"+end)
	}
	return b.read(ctx, " WHERE "+b.table.ID+" > ?"+end, b.argument(last))
}

// read returns the rows of a query that ends in this way.
func (b *backfiller) read(ctx context.Context, end string, args ...any) (batch []backfillRow, err error) {
	t, none := &b.table, "NULL"
	columns := []string{t.ID, cmp.Or(t.Username, none), cmp.Or(t.UsernameKey, none), cmp.Or(t.Email, none), cmp.Or(t.EmailKey, none), t.Stamp}
	query := "SELECT " + strings.Join(columns, ", ") + " FROM " + t.Table + end
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

// argument returns a value that was read as one to compare with. The driver of MySQL returns
// texts as []byte. If it writes parameters into statements (interpolateParams), it takes a
// []byte for binary, which a column in another character set than the connection's never equals.
func (b *backfiller) argument(value any) any {
	if text, ok := value.([]byte); ok && b.grammar.mysql && utf8.Valid(text) {
		return string(text)
	}
	return value
}

// fill writes the keys and the stamp of a row, if they are not right. If the row has changed
// since it was read, it is read again. A row that cannot be written is a problem.
func (b *backfiller) fill(ctx context.Context, r backfillRow) error {
	problems := len(b.done.Problems)
	for range backfillTries {
		b.done.Problems = b.done.Problems[:problems]
		finished, err := b.try(ctx, r)
		if err != nil || finished {
			return err
		}
		again, err := b.read(ctx, " WHERE "+b.table.ID+" = ?", b.argument(r.id))
		if err != nil {
			return err
		}
		if len(again) == 0 { // it was deleted
			b.done.Problems = b.done.Problems[:problems]
			return nil
		}
		if r.same(again[0]) {
			break
		}
		r = again[0]
	}
	name := cmp.Or(r.username.String, r.email.String)
	b.done.Problems = append(b.done.Problems[:problems], BackfillProblem{r.name(), name, errNotWritten})
	return nil
}

// errNotWritten is the error of a row whose UPDATE succeeds, and changes nothing.
var errNotWritten = errors.New("sqlstore: the database did not change the row; look for a trigger, a policy, or a column of another type")

// try writes a row, if it is not right. finished is false if the database has changed no row.
func (b *backfiller) try(ctx context.Context, r backfillRow) (finished bool, err error) {
	t := &b.table
	username := keyedName{column: t.Username, keyColumn: t.UsernameKey, name: r.username, taken: auth.ErrUsernameTaken}
	username.key, _, username.wrong = auth.AccountKeys(auth.Account{Username: r.username.String})
	email := keyedName{column: t.Email, keyColumn: t.EmailKey, name: r.email, taken: auth.ErrEmailTaken}
	_, email.key, email.wrong = auth.AccountKeys(auth.Account{Email: r.email.String})
	names := []*keyedName{&username, &email}
	for _, n := range names {
		if err := b.free(ctx, r, n); err != nil {
			return false, err
		}
	}
	if isKey(r.usernameKey, username.key) && isKey(r.emailKey, email.key) && r.stamp.String != "" {
		return true, nil
	}
	if t.DryRun {
		b.done.Changed++
		return true, nil
	}
	same := " IS " // which compares NULL, too
	switch {
	case b.grammar.mysql:
		same = " <=> "
	case b.grammar.numbered:
		same = " IS NOT DISTINCT FROM "
	}
	set, where := "UPDATE "+t.Table+" SET "+t.Stamp+" = COALESCE(NULLIF("+t.Stamp+", ''), ?)", " WHERE "+t.ID+" = ?"
	values, compared := []any{rand.Text()}, []any{b.argument(r.id)}
	for _, n := range names {
		if n.column != "" {
			set, values = set+", "+n.keyColumn+" = ?", append(values, n.key)
			where, compared = where+" AND "+n.column+same+"?", append(compared, b.argument(n.name.raw))
		}
	}
	result, err := b.db.ExecContext(ctx, b.grammar.statement(set+where, ""), append(values, compared...)...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	b.done.Changed += int(n)
	return n > 0, err
}

// A keyedName is a username or an address of a row, and the key that it should have.
type keyedName struct {
	column, keyColumn string // column is "" if the table has no such names
	name              backfillName
	key               *string // nil if there is none, or if there can be none
	wrong             error   // why the name has no key
	taken             error   // for a key that another row has
}

// free notes why a name can have no key, and then removes the key from it: the name is not
// valid, or another row has the key.
func (b *backfiller) free(ctx context.Context, r backfillRow, n *keyedName) error {
	if n.column == "" || n.wrong == nil && n.key == nil {
		n.key = nil
		return nil
	}
	problem := n.wrong
	if problem == nil {
		owner, found, err := b.owner(ctx, r, n)
		if err != nil {
			return err
		}
		if found {
			problem = fmt.Errorf("%w: row %q has it", n.taken, owner)
		}
	}
	if problem != nil {
		n.key = nil
		b.done.Problems = append(b.done.Problems, BackfillProblem{r.name(), n.name.String, problem})
		return nil
	}
	if b.table.DryRun {
		b.claimed[n.keyColumn+" "+*n.key] = r.name()
	}
	return nil
}

// owner returns the ID of another row that has the key of a name, if there is one.
func (b *backfiller) owner(ctx context.Context, r backfillRow, n *keyedName) (id string, found bool, err error) {
	if id, found := b.claimed[n.keyColumn+" "+*n.key]; found {
		return id, true, nil
	}
	var other backfillRow
	var name sql.NullString
	query := "SELECT " + b.table.ID + ", " + n.column + " FROM " + b.table.Table + " WHERE " + n.keyColumn + " = ? AND " + b.table.ID + " <> ?"
	err = b.db.QueryRowContext(ctx, b.grammar.statement(query, ""), *n.key, b.argument(r.id)).Scan(&other.id, &name)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return "", false, nil
	case err != nil:
		return "", false, err
	case b.table.DryRun && !isKeyOf(*n.key, name.String): // that row would give it up
		return "", false, nil
	}
	return other.name(), true, nil
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
