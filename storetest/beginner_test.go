package storetest_test

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/storetest"
)

// A store that looks a name up and then inserts it fails the right subtest, and
// the failure says what to do.
func TestBeginner(t *testing.T) {
	output := runBroken(t, "^TestBrokenUsers$", beginners, "CreateUser/of 50 racers with one username, one wins")
	_, after, _ := strings.Cut(output, "CreateUser of one username, in several spellings, by 50 racers\n")
	message, _, _ := strings.Cut(after, "===")
	for _, part := range []string{
		" of 50 succeeded\n", "want: 1, and \"auth: the username is taken\" for the others\n",
		"fix:  do not look the name up and then insert", "UNIQUE index on the canonical name", "one Mutex around both",
	} {
		if !strings.Contains(message, part) {
			t.Errorf("the message does not say %q:\n%s", part, message)
		}
	}
}

// A store on SQLite that is opened without a timeout is told how to open it.
func TestBusySQLite(t *testing.T) {
	output := runBroken(t, "^TestBrokenRecords$", "returns an error when the database is busy", "InsertRecord/of 50 racers with different keys, all win")
	if !strings.Contains(output, "fix:  SQLite is busy: open it with busy_timeout") {
		t.Errorf("the message does not say it:\n%s", output)
	}
}

const beginners = "is a map with a lock around each access, and looks names up before it inserts"

// beginner is a store by somebody who did not think of races: a map with a lock
// around each access. CreateUser and UpdateAccount are wrong: between free and
// the write, another goroutine may get the same answer from free.
type beginner struct {
	mu    sync.Mutex
	users map[string]storetest.User // by ID
	last  int
}

func (b *beginner) stand(s *users) {
	b.users = map[string]storetest.User{}
	s.load, s.find, s.create, s.update, s.remove = b.LoadUser, b.FindUser, b.CreateUser, b.UpdateAccount, b.DeleteUser
}

func (b *beginner) LoadUser(ctx context.Context, id string) (*storetest.User, error) {
	return b.first(ctx, func(u storetest.User) bool { return u.ID == id })
}

func (b *beginner) FindUser(ctx context.Context, key string) (*storetest.User, error) {
	return b.first(ctx, func(u storetest.User) bool {
		username, _ := auth.UsernameKey(u.Username)
		email, _ := auth.EmailKey(u.Email)
		return key != "" && (key == username || key == email)
	})
}

func (b *beginner) first(ctx context.Context, is func(storetest.User) bool) (*storetest.User, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, u := range b.users {
		if is(u) {
			u.Account = u.Clone()
			return &u, nil
		}
	}
	return nil, auth.ErrUserNotFound
}

// free checks that no other user has the account's names.
func (b *beginner) free(ctx context.Context, a auth.Account) error {
	for _, name := range []struct {
		typed     string
		canonical func(string) (string, error)
		taken     error
	}{{a.Username, auth.UsernameKey, auth.ErrUsernameTaken}, {a.Email, auth.EmailKey, auth.ErrEmailTaken}} {
		if name.typed == "" {
			continue
		}
		key, err := name.canonical(name.typed)
		if err != nil {
			return err
		}
		if u, err := b.FindUser(ctx, key); err == nil && u.ID != a.ID {
			return name.taken
		}
	}
	return ctx.Err()
}

func (b *beginner) CreateUser(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
	if form == nil {
		form = url.Values{}
	}
	var user storetest.User
	if err := user.ReadForm(form); err != nil {
		return nil, err
	}
	if err := b.free(ctx, a); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.ID == "" {
		b.last++
		a.ID = strconv.Itoa(b.last)
	}
	if _, used := b.users[a.ID]; used {
		return nil, errors.New("the ID is in use")
	}
	user.Account = a.Clone()
	b.users[a.ID] = user
	user.Account = a.Clone()
	return &user, nil
}

func (b *beginner) UpdateAccount(ctx context.Context, a auth.Account) error {
	if err := b.free(ctx, a); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	user, ok := b.users[a.ID]
	switch {
	case !ok:
		return auth.ErrUserNotFound
	case user.Version != a.Version:
		return auth.ErrConflict
	}
	a.Version++
	user.Account = a.Clone()
	b.users[a.ID] = user
	return nil
}

func (b *beginner) DeleteUser(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.users[id]; !ok {
		return auth.ErrUserNotFound
	}
	delete(b.users, id)
	return nil
}
