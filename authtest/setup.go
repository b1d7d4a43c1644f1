package authtest

import (
	"crypto/rand"
	"log/slog"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/memstore"
)

// A Setup has what the application under test gets in place of its own store and settings.
// Its parts belong together: the store and the settings have the same clock.
type Setup[P auth.User] struct {
	Store   auth.UserStore[P] // a memstore.Store
	Config  auth.Config       // the settings: change them before you pass them on
	Clock   *Clock            // the clock of Store and Config
	Mailbox *Mailbox          // the Mailer of Config
}

// New returns a Setup for your user type:
//
//	test := authtest.New[User](t)
//	manager, err := auth.New(test.Store, test.Config)
//
// BaseURL is https://app.example, and Secrets has a random one. The clock stands still, mails
// are kept in the mailbox, hashes cost almost nothing (HashParams), and the log goes to the
// test's output.
func New[U any, P interface {
	*U
	auth.User
}](t testing.TB) *Setup[P] {
	t.Helper()
	clock, mailbox := NewClock(time.Time{}), &Mailbox{}
	return &Setup[P]{
		Store: memstore.New[U, P](memstore.WithClock(clock.Now)),
		Config: auth.Config{
			BaseURL:  "https://app.example",
			Secrets:  [][]byte{[]byte(rand.Text() + rand.Text())},
			Mailer:   mailbox,
			Now:      clock.Now,
			Logger:   slog.New(slog.NewTextHandler(t.Output(), nil)),
			Password: auth.PasswordConfig{HashParams: HashParams()},
		},
		Clock: clock, Mailbox: mailbox,
	}
}
