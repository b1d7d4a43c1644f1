package memstore

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/go-login/auth"
)

type user struct {
	auth.Account
	Name string
}

func (u *user) ReadForm(form url.Values) error {
	switch {
	case form == nil:
		return errors.New("ReadForm got nil")
	case form.Get("name") == "refused":
		return errRefused
	}
	u.Name = form.Get("name")
	u.Roles = []string{"admin"} // must have no effect
	return nil
}

var errRefused = errors.New("refused")

var (
	_ auth.UserStore[*user] = New[user]()
	_ auth.RecordStore      = New[user]()
	_ auth.RecordStore      = NewRecords()
)

func create(t *testing.T, s *Store[user, *user], username string, form url.Values) *user {
	t.Helper()
	u, err := s.CreateUser(t.Context(), auth.Account{Username: username}, form)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestCreateUserReadsTheForm(t *testing.T) {
	s := New[user]()
	u := create(t, s, "gopher", url.Values{"name": {"Renée"}})
	if u.Name != "Renée" || len(u.Roles) != 0 {
		t.Errorf("CreateUser returned Name %q, Roles %q; want Renée and none", u.Name, u.Roles)
	}
	u, err := s.LoadUser(t.Context(), u.ID)
	if err != nil || u.Name != "Renée" || len(u.Roles) != 0 {
		t.Errorf("LoadUser returned %+v, %v; want Renée without roles", u, err)
	}
	create(t, s, "nil-form", nil)

	_, err = s.CreateUser(t.Context(), auth.Account{Username: "other"}, url.Values{"name": {"refused"}})
	if !errors.Is(err, errRefused) {
		t.Errorf("CreateUser returned %v, want the error of ReadForm", err)
	}
	if _, err := s.FindUser(t.Context(), "other"); !errors.Is(err, auth.ErrUserNotFound) {
		t.Errorf("FindUser returned %v after ReadForm refused, want ErrUserNotFound", err)
	}
}

func TestUpdateProfile(t *testing.T) {
	s := New[user]()
	u := create(t, s, "gopher", url.Values{"name": {"old"}})

	u.Name, u.Disabled = "new", true
	if err := s.UpdateProfile(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	got, err := s.LoadUser(t.Context(), u.ID)
	if err != nil || got.Name != "new" || got.Disabled || got.Version != u.Version+1 {
		t.Errorf("after UpdateProfile there is %+v, %v; want the new name, the old account and the next Version", got, err)
	}
	if found, err := s.FindUser(t.Context(), "gopher"); err != nil || found.Name != "new" {
		t.Errorf("FindUser returns %+v, %v after UpdateProfile", found, err)
	}

	u.Name = "stale"
	if err := s.UpdateProfile(t.Context(), u); !errors.Is(err, auth.ErrConflict) {
		t.Errorf("UpdateProfile with a stale Version returned %v, want ErrConflict", err)
	}
	if got, _ := s.LoadUser(t.Context(), u.ID); got.Name != "new" {
		t.Errorf("UpdateProfile with a stale Version changed the name to %q", got.Name)
	}

	got.Name = "changed by the caller"
	if again, _ := s.LoadUser(t.Context(), u.ID); again.Name != "new" {
		t.Errorf("writing to a loaded user changed the store")
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.UpdateProfile(ctx, got); !errors.Is(err, context.Canceled) {
		t.Errorf("UpdateProfile with a cancelled context returned %v", err)
	}
	got.ID = "unknown"
	if err := s.UpdateProfile(t.Context(), got); !errors.Is(err, auth.ErrUserNotFound) {
		t.Errorf("UpdateProfile of an unknown ID returned %v, want ErrUserNotFound", err)
	}
}

// The store cannot keep a user whose account is not part of the user. It must
// return an error instead of losing the account.
type (
	nowhere  struct{}
	made     struct{ id string }
	pointing struct{ account *auth.Account }
)

func (*nowhere) AuthAccount() *auth.Account    { return nil }
func (m *made) AuthAccount() *auth.Account     { return &auth.Account{ID: m.id} }
func (p *pointing) AuthAccount() *auth.Account { return p.account }

func (p *pointing) ReadForm(url.Values) error {
	p.account = new(auth.Account)
	return nil
}

func TestAccountOutsideTheUser(t *testing.T) {
	a := auth.Account{Username: "gopher"}
	if _, err := New[nowhere]().CreateUser(t.Context(), a, nil); err == nil {
		t.Error("CreateUser succeeded for a user without an account")
	}
	if _, err := New[made]().CreateUser(t.Context(), a, nil); err == nil {
		t.Error("CreateUser succeeded for a user that makes a new account at each call")
	}
	if _, err := New[pointing]().CreateUser(t.Context(), a, nil); err == nil {
		t.Error("CreateUser succeeded for a user that shares its account")
	}
}

// The conformance suite checks that expired records cannot be read. This test
// checks that they also leave the memory.
func TestExpiredRecordsLeaveMemory(t *testing.T) {
	now := time.Unix(1e9, 0)
	s := NewRecords(WithClock(func() time.Time { return now }))
	insert := func(i int) {
		r := auth.Record{Kind: "session", Key: fmt.Sprint(i), UserID: fmt.Sprint(i % 7), Expires: now.Add(time.Minute)}
		if err := s.InsertRecord(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10_000 { // at any time only 60 of them have not expired
		insert(i)
		now = now.Add(time.Second)
		if n := len(s.entries); n > 64 {
			t.Fatalf("%d records in memory after %d inserts, want about 60", n, i)
		}
	}

	for i := range 1000 { // a burst of records that all expire at once
		insert(-1 - i)
	}
	now = now.Add(time.Hour)
	for i := range 1000 {
		insert(20_000 + i)
	}
	if n := len(s.entries); n != 1000 {
		t.Errorf("%d records in memory, want the 1000 that have not expired", n)
	}

	if err := s.DeleteRecords(t.Context(), "session", "3"); err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		if _, err := s.TakeRecord(t.Context(), "session", fmt.Sprint(20_000+i)); err != nil && (20_000+i)%7 != 3 {
			t.Fatal(err)
		}
	}
	if len(s.entries) != 0 || len(s.owned) != 0 || len(s.expiring) != 0 {
		t.Errorf("%d records, %d lists and %d in the queue after all were taken, want none", len(s.entries), len(s.owned), len(s.expiring))
	}
}

func TestUpdatedRecordsKeepTheirTurn(t *testing.T) {
	now := time.Unix(1e9, 0)
	s := NewRecords(WithClock(func() time.Time { return now }))
	record := func(i int, expires time.Time) auth.Record {
		return auth.Record{Kind: "session", Key: fmt.Sprint(i), Expires: expires}
	}
	for i := range 100 {
		if err := s.InsertRecord(t.Context(), record(i, now.Add(time.Duration(i+1)*time.Minute))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 { // reverses the order; every third never expires
		expires := now.Add(time.Duration(100-i) * time.Minute)
		if i%3 == 0 {
			expires = time.Time{}
		}
		if err := s.UpdateRecord(t.Context(), record(i, expires)); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(50 * time.Minute)
	for i := range 100 {
		if err := s.InsertRecord(t.Context(), record(1000+i, time.Time{})); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		_, err := s.GetRecord(t.Context(), "session", fmt.Sprint(i))
		if want := i%3 == 0 || 100-i > 50; (err == nil) != want {
			t.Errorf("record %d: GetRecord returned %v; want it there: %t", i, err, want)
		}
	}
	if n, want := len(s.expiring), 33; n != want {
		t.Errorf("%d records in the queue, want %d", n, want)
	}
}

// A guarded page makes one LoadUser and one GetRecord.
func TestAllocations(t *testing.T) {
	s := New[user]()
	u := create(t, s, "gopher", nil)
	r := auth.Record{Kind: "session", Key: "key", UserID: u.ID, Data: make([]byte, 100), Expires: time.Now().Add(time.Hour)}
	if err := s.InsertRecord(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for name, f := range map[string]func() error{
		"LoadUser":  func() error { _, err := s.LoadUser(ctx, u.ID); return err },
		"FindUser":  func() error { _, err := s.FindUser(ctx, "gopher"); return err },
		"GetRecord": func() error { _, err := s.GetRecord(ctx, "session", "key"); return err },
	} {
		if n := testing.AllocsPerRun(100, func() {
			if err := f(); err != nil {
				t.Error(err)
			}
		}); n > 1 {
			t.Errorf("%s allocates %v times, want once, for the copy", name, n)
		}
	}
}

func BenchmarkLoadUser(b *testing.B) {
	s := New[user]()
	u, err := s.CreateUser(b.Context(), auth.Account{Username: "gopher"}, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.LoadUser(context.Background(), u.ID); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGetRecord(b *testing.B) {
	s := NewRecords()
	r := auth.Record{Kind: "session", Key: "key", UserID: "1", Data: make([]byte, 100), Expires: time.Now().Add(time.Hour)}
	if err := s.InsertRecord(b.Context(), r); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.GetRecord(context.Background(), "session", "key"); err != nil {
			b.Fatal(err)
		}
	}
}

// IDs of deleted users do not stay, although nobody lists the users.
func TestDeletedUsersLeaveNothing(t *testing.T) {
	t.Parallel()
	store := New[auth.Account]()
	for i := range 1000 {
		u, err := store.CreateUser(t.Context(), auth.Account{}, nil)
		if err == nil && i != 500 {
			err = store.DeleteUser(t.Context(), u.ID)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := len(store.order) + len(store.fresh); n > 200 {
		t.Errorf("the store keeps the IDs of %d users, and has one", n)
	}
	if all, err := store.ListUsers(t.Context(), "", 10); err != nil || len(all) != 1 {
		t.Errorf("%v, %v", all, err)
	}
}
