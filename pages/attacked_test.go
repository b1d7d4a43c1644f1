package pages_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
)

// TestLimitsTellNothing: who registers with somebody's address does not see by
// their own limits whether that has made an account, nor who guesses the password
// of a disabled one that it is right.
func TestLimitsTellNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *auth.Config, _ *pages.Config) { c.RequireVerified, c.Limits.Guesses = true, 10 })
	s.create("known", verified)
	s.create("off", disabled, verified)
	try := func(login, password string) (statuses []int) {
		s.advance(2 * time.Hour)
		c := s.client()
		for range 12 {
			statuses = append(statuses, c.post("/login", "login", login, "password", password).status)
		}
		return statuses
	}
	var want []int
	for _, who := range []string{"known", "free"} {
		wantRedirect(t, s.client().post("/register", "username", "x"+who, "email", who+"@example.com", "password", other, "confirm_password", other), "/login")
		got := try(who+"@example.com", other)
		if want == nil {
			want = got
		}
		if !slices.Equal(got, want) || got[9] != 422 || got[10] != 429 {
			t.Errorf("%s: %v, want %v", who, got, want)
		}
	}
	for _, password := range []string{good, other} {
		if got := try("off", password); !slices.Equal(got, want) {
			t.Errorf("disabled, %s: %v, want %v", password, got, want)
		}
	}
}

// TestStrangersMailbox: whoever registers with somebody's address cannot have it
// mailed without end.
func TestStrangersMailbox(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.client()
	login := func(name string) {
		wantRedirect(t, c.post("/register", "username", name, "email", "victim@example.com", "password", good, "confirm_password", good), "/login")
		wantRedirect(t, c.post("/login", "login", name, "password", good), "/")
	}
	login("mallory")
	passwords := [2]string{good, other}
	for i := range 6 {
		now, next := passwords[i%2], passwords[1-i%2]
		wantRedirect(t, c.post("/account/password", "current_password", now, "password", next, "confirm_password", next), "/account")
	}
	for i := range 4 {
		wantRedirect(t, c.post("/account/close", "current_password", good, "confirm", "y"), "/")
		login(fmt.Sprint("mallory", i))
	}
	got := map[auth.MailKind]int{}
	for _, m := range s.mails {
		got[m.Kind]++
	}
	if len(got) != 2 || got[auth.MailPasswordChanged] != 3 || got[auth.MailClosed] != 3 {
		t.Errorf("%v", got)
	}
}

// A countingChecker counts what it is asked.
type countingChecker struct{ asked atomic.Int64 }

func (b *countingChecker) Breached(context.Context, string) (bool, error) {
	b.asked.Add(1)
	return false, nil
}

// TestBreachFlood: an address has the breach service asked no more often than it
// may register.
func TestBreachFlood(t *testing.T) {
	t.Parallel()
	b := &countingChecker{}
	s := newSite(t, func(c *auth.Config, _ *pages.Config) { c.Breaches, c.Limits.Registrations = b, 5 })
	statuses := map[int]int{}
	for i := range 30 {
		r := s.client().post("/register", "username", "u", "email", "u", "password", fmt.Sprint("quite a sentence ", i), "confirm_password", "")
		statuses[r.status]++
	}
	if b.asked.Load() != 5 || statuses[422] != 5 || statuses[429] != 25 {
		t.Errorf("asked %d times, answers %v", b.asked.Load(), statuses)
	}
}

// TestCloseLeavesNothing: no record has a closed account's ID.
func TestCloseLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.user("susan", good)
	id := s.account("susan").ID
	s.client().post("/login", "login", "susan", "password", "wrong wrong")
	if records, err := s.store.ListRecords(t.Context(), "attempts", id); err != nil || len(records) != 1 {
		t.Fatal(records, err)
	}
	wantRedirect(t, c.post("/account/close", "current_password", good, "confirm", "y"), "/")
	for _, kind := range []string{"attempts", "rate", "session", "remember", "reserved", "email-undo", "api-token", "rotated"} {
		if records, err := s.store.ListRecords(t.Context(), kind, id); err != nil || len(records) > 0 {
			t.Errorf("%s: %d are left, %v", kind, len(records), err)
		}
	}
}
