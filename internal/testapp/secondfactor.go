package testapp

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/go-login/auth"
)

// Verified makes a user without a password, whose address is verified.
func (a *App) Verified(tb testing.TB, name string) *User {
	tb.Helper()
	u := a.Create(tb, name, false)
	account := u.Clone()
	account.EmailVerified = true
	if err := a.Store.UpdateAccount(tb.Context(), account); err != nil {
		tb.Fatal(err)
	}
	return a.Stored(tb, u.ID)
}

// Stored returns the user with this ID as they are now.
func (a *App) Stored(tb testing.TB, id string) *User {
	tb.Helper()
	u, err := a.Store.LoadUser(tb.Context(), id)
	if err != nil {
		tb.Fatal(err)
	}
	return u
}

// Do is In for a function that can fail.
func (a *App) Do(c *Client, f func(ctx context.Context) error) error {
	err := errors.New("there was no request")
	a.In(c, func(ctx context.Context) { err = f(ctx) })
	return err
}

// Waiting returns a browser with a login that owes a factor.
func (a *App) Waiting(tb testing.TB, name string) *Client {
	tb.Helper()
	c := a.Client(tb)
	if r := c.Post("/enter", "login", name); r.StatusCode != http.StatusSeeOther || !strings.HasPrefix(r.Header.Get("Location"), "/login/verify") {
		tb.Fatalf("the login of %s owes no factor: %s to %q %s", name, r.Status, r.Header.Get("Location"), r.Text)
	}
	return c
}

// CountEvents returns how many events of a kind there were since the last time, of all kinds.
func (a *App) CountEvents(kind auth.EventKind) (n int) {
	for _, e := range a.Events() {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// FeatureRecords returns all that features have stored of a user.
func (a *App) FeatureRecords(tb testing.TB, userID string) []auth.Record {
	tb.Helper()
	records, err := a.Store.ListRecords(tb.Context(), "feature", userID)
	if err != nil {
		tb.Fatal(err)
	}
	return records
}

// FeatureRecord returns the one of FeatureRecords whose key begins so.
func (a *App) FeatureRecord(tb testing.TB, userID, prefix string) auth.Record {
	tb.Helper()
	for _, r := range a.FeatureRecords(tb, userID) {
		if strings.HasPrefix(r.Key, prefix) {
			return r
		}
	}
	tb.Fatalf("there is no record %s of %s", prefix, userID)
	return auth.Record{}
}

// AtOnce runs f n times at once, and returns the errors.
func AtOnce(n int, f func(i int) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	return errs
}
