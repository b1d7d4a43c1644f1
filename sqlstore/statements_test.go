package sqlstore_test

import (
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/sqlstore"
)

// A letterbox keeps the mails that were sent.
type letterbox struct {
	mu    sync.Mutex
	mails []auth.Mail
}

func (l *letterbox) Send(_ context.Context, m auth.Mail) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mails = append(l.mails, m)
	return nil
}

// reservedKey returns the key of the record that reserves an address for an
// account.
func reservedKey(address string) string {
	sum := sha256.Sum256([]byte("email\x00" + address))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Requests of visitors who are not logged in run the same statements whether
// there is an account or not. Otherwise their duration would tell an attacker
// which.
func TestSameStatements(t *testing.T) { each(t, testSameStatements) }

func testSameStatements(t *testing.T, e engine) {
	spy, db := newSpy(t, e)
	store := sqlstore.New[User](db, e.dialect)
	var mu sync.Mutex
	var seen []string
	spy.before = func(query string, _ []driver.NamedValue) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, strings.Fields(query)[0]) // SELECT, INSERT, …
	}
	box, now := &letterbox{}, time.Now()
	m, err := auth.New[*User](store, auth.Config{
		BaseURL: "https://app.example", Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")},
		Mailer: box, RequireVerified: true, HideAccounts: true, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return now },
	})
	check(t, err)
	const password = "correct horse battery"
	hash, err := m.HashPassword(t.Context(), password)
	check(t, err)
	made := 0
	create := func(change func(*auth.Account)) *User {
		made++
		a := auth.Account{
			Username: fmt.Sprint("user", made), Email: fmt.Sprintf("user%d@app.example", made),
			PasswordHash: hash, Stamp: auth.NewSecret("stamp"), Version: 1,
		}
		change(&a)
		u, err := store.CreateUser(t.Context(), a, nil)
		check(t, err)
		return u
	}
	anybody := func(*auth.Account) {}
	verified := func(a *auth.Account) { a.EmailVerified = true }
	disabled := func(a *auth.Account) { a.Disabled = true }
	somebody := func(change func(*auth.Account)) func() string { return func() string { return create(change).Email } }
	nobody := func() string {
		made++
		return fmt.Sprintf("nobody%d@app.example", made)
	}
	kept := func() string { // the reservation for the account that gave the address up
		u := create(verified)
		check(t, store.InsertRecord(t.Context(), auth.Record{
			Kind: "reserved", Key: reservedKey(u.Email), UserID: u.ID, Version: 1, Expires: now.Add(time.Hour),
		}))
		a := u.Clone()
		a.Email = "new-" + a.Email
		check(t, store.UpdateAccount(t.Context(), a))
		return u.Email
	}
	asker := create(verified)
	for name, c := range map[string]struct {
		act  func(address string) error
		want error
		who  map[string]func() string
	}{
		"Register": {func(address string) error {
			made++
			_, err := m.Register(t.Context(), auth.Registration{Username: fmt.Sprint("new", made), Email: address, Password: password})
			return err
		}, auth.ErrCheckMail, map[string]func() string{"free": nobody, "taken": somebody(verified), "not verified": somebody(anybody), "disabled": somebody(disabled), "kept": kept}},
		"Register without a username": {func(address string) error {
			_, err := m.Register(t.Context(), auth.Registration{Email: address, Password: password})
			return err
		}, auth.ErrCheckMail, map[string]func() string{"free": nobody, "taken": somebody(verified), "kept": kept}},
		"SendReset": {func(address string) error { return m.SendReset(t.Context(), address) }, nil,
			map[string]func() string{"nobody": nobody, "somebody": somebody(verified), "not verified": somebody(anybody), "disabled": somebody(disabled)}},
		"SendVerification": {func(address string) error { return m.SendVerification(t.Context(), address) }, nil,
			map[string]func() string{"nobody": nobody, "somebody": somebody(anybody), "verified": somebody(verified), "disabled": somebody(disabled)}},
		"SendEmailChange": {func(address string) error { return m.SendEmailChange(t.Context(), asker, address) }, nil,
			map[string]func() string{"nobody": nobody, "somebody": somebody(verified), "disabled": somebody(disabled), "kept": kept}},
		"Authenticate": {func(address string) error {
			_, err := m.Authenticate(t.Context(), address, "a wrong password")
			return err
		}, auth.ErrInvalidCredentials, map[string]func() string{"nobody": nobody, "somebody": somebody(verified), "not verified": somebody(anybody), "disabled": somebody(disabled)}},
	} {
		var first string
		took := map[string][]string{}
		for who, address := range c.who {
			to := address()
			mu.Lock()
			seen = nil
			mu.Unlock()
			if err := c.act(to); !errors.Is(err, c.want) {
				t.Errorf("%s, %s: %v", name, who, err)
			}
			mu.Lock()
			took[who] = seen
			mu.Unlock()
			first = who
		}
		for who, statements := range took {
			if len(statements) != len(took[first]) || len(statements) == 0 {
				t.Errorf("%s, %s: %d statements %v; %s: %d %v", name, who, len(statements), statements, first, len(took[first]), took[first])
			}
		}
	}
}
