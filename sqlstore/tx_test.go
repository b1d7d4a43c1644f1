package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/sqlstore"
)

// A teamStore creates a team together with each user, in one transaction.
type teamStore struct {
	*sqlstore.Store[User, *User]
	db     *sql.DB
	insert string
	fail   error // if not nil, returned instead of inserting the team
}

func (s teamStore) CreateUser(ctx context.Context, a auth.Account, form url.Values) (*User, error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	user, err := s.WithTx(tx).CreateUser(ctx, a, form)
	if err != nil {
		return nil, err
	}
	if s.fail != nil {
		return nil, s.fail
	}
	if _, err := tx.ExecContext(ctx, s.insert, user.ID); err != nil {
		return nil, err
	}
	return user, tx.Commit()
}

func newTeamStore(t *testing.T, e engine, db *sql.DB) teamStore {
	t.Helper()
	_, err := db.ExecContext(t.Context(), `CREATE TABLE teams (owner VARCHAR(255) NOT NULL)`)
	check(t, err)
	insert := `INSERT INTO teams (owner) VALUES (?)`
	if e.dialect == sqlstore.Postgres {
		insert = `INSERT INTO teams (owner) VALUES ($1)`
	}
	return teamStore{sqlstore.New[User](db, e.dialect), db, insert, nil}
}

func (s teamStore) count(t *testing.T, want int) {
	t.Helper()
	for _, query := range []string{`SELECT count(*) FROM teams`, `SELECT count(*) FROM auth_users`} {
		var n int
		check(t, s.db.QueryRowContext(t.Context(), query).Scan(&n))
		if n != want {
			t.Errorf("%s: got %d, want %d", query, n, want)
		}
	}
}

// TestRegisterWithRowsOfTheApplication runs Register and an INSERT of the
// application in one transaction, also with a pool of one connection.
func TestRegisterWithRowsOfTheApplication(t *testing.T) {
	each(t, testRegisterWithRowsOfTheApplication)
}

func testRegisterWithRowsOfTheApplication(t *testing.T, e engine) {
	for _, connections := range []int{1, 5} {
		db := e.newDB(t)
		db.SetMaxOpenConns(connections)
		s := newTeamStore(t, e, db)
		register := func(s teamStore, name string) error {
			m, err := auth.New(s, auth.Config{BaseURL: "https://app.example", Secrets: [][]byte{[]byte("0123456789abcdefghijklmnopqrstuv")}})
			check(t, err)
			_, err = m.Register(t.Context(), auth.Registration{
				Username: name, Email: name + "@example.com", Password: "correct horse battery", Form: url.Values{"name": {"A"}},
			})
			return err
		}
		check(t, register(s, "ada"))
		s.count(t, 1)
		wantError(t, register(s, "ada"), auth.ErrUsernameTaken)
		s.count(t, 1)
		failing := s
		failing.fail = errors.New("no more teams")
		wantFailure(t, "Register", register(failing, "bob"))
		s.count(t, 1)
		check(t, register(s, "bob"))
		s.count(t, 2)
	}
}

// TestWithTx runs every method in a transaction that is rolled back.
func TestWithTx(t *testing.T) { each(t, testWithTx) }

func testWithTx(t *testing.T, e engine) {
	db := e.newDB(t)
	s := sqlstore.New[User](db, e.dialect)
	populate(t, s)
	before := dump(t, e, db)
	tx, err := db.BeginTx(t.Context(), nil)
	check(t, err)
	in := s.WithTx(tx)
	_, err = in.CreateUser(t.Context(), auth.Account{Username: "ADA"}, nil)
	wantError(t, err, auth.ErrUsernameTaken)
	_, err = in.CreateUser(t.Context(), auth.Account{Email: "ada@example.com"}, nil)
	wantError(t, err, auth.ErrEmailTaken)
	for _, c := range calls(in) {
		if c.name == "Cleanup" {
			continue
		}
		if err := c.do(t.Context()); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	check(t, tx.Rollback())
	if after := dump(t, e, db); after != before {
		t.Errorf("got\n%s\nwas\n%s", after, before)
	}
	_, err = in.LoadUser(t.Context(), "1")
	wantFailure(t, "after the transaction", err)
}

// TestWithTxSeesWhatIsTaken has a name that is taken after the transaction
// began.
func TestWithTxSeesWhatIsTaken(t *testing.T) {
	for _, e := range engines()[1:] { // SQLite has one writer at a time
		t.Run(e.name, func(t *testing.T) {
			db := e.newDB(t)
			s := sqlstore.New[User](db, e.dialect)
			tx, err := db.BeginTx(t.Context(), nil)
			check(t, err)
			defer func() { _ = tx.Rollback() }()
			in := s.WithTx(tx)
			_, err = in.LoadUser(t.Context(), "1")
			wantError(t, err, auth.ErrUserNotFound)
			populate(t, s)
			_, err = in.CreateUser(t.Context(), auth.Account{Username: "ada"}, nil)
			wantError(t, err, auth.ErrUsernameTaken)
		})
	}
}
