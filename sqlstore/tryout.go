package sqlstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/go-login/auth"
)

// This file lets Migrate write a record and a user, and read them back. A
// driver or a character set that changes values would otherwise show up as
// another fault: the right password is refused, or a login is lost.

// tryOut returns an error that says which value came back changed. Everything
// is rolled back, even if the process dies. The names are random, so any number
// of processes can run it at once.
func (d *database) tryOut(ctx context.Context, parts []string) error {
	for try := 1; ; try++ {
		err := d.tryOnce(ctx, parts)
		switch {
		case err == nil, mayNotWrite(err):
			return nil
		case !again(ctx, try, err):
			return fmt.Errorf("sqlstore: Migrate's test of the database with the driver %T failed: %w", d.pool.Driver(), asFailure(err))
		}
	}
}

func (d *database) tryOnce(ctx context.Context, parts []string) error {
	tx, err := d.pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	records := &Records{db: d.inTx(tx)}
	if err := records.tryOut(ctx); err != nil {
		return err
	}
	if slices.Contains(parts, users) {
		return tryUser(ctx, &Store[triedUser, *triedUser]{Records: records})
	}
	return nil
}

// mayNotWrite reports whether the database says that this connection, or the
// database's user, may only read. SQLSTATE 25006 is a read-only transaction,
// and 42501 and MySQL's 1142 are a missing right. 1290 is a read-only server.
func mayNotWrite(err error) bool {
	var state interface{ SQLState() string }
	if errors.As(err, &state) {
		return state.SQLState() == "25006" || state.SQLState() == "42501"
	}
	for _, text := range []string{"readonly database", "(25006)", "Error 1142 ", "Error 1290 "} {
		if strings.Contains(err.Error(), text) {
			return true
		}
	}
	return false
}

// asFailure hides the errors of package auth that err wraps: the caller of
// Migrate must not take them for an answer of the store.
func asFailure(err error) error {
	for _, answer := range []error{auth.ErrRecordExists, auth.ErrRecordNotFound, auth.ErrConflict,
		auth.ErrUserNotFound, auth.ErrUsernameTaken, auth.ErrEmailTaken} {
		if errors.Is(err, answer) {
			return errors.New(err.Error())
		}
	}
	return err
}

// awkward has text that connections and drivers are known to change: characters
// beyond 16 bits, composed and decomposed ones, and spaces around the text.
const awkward = " \U0001F600 e\u0301 \u00e9 \u65e5\u672c 'a' \"b\" \\ % ? $1 "

// tryOut writes records, changes them and reads them.
func (s *Records) tryOut(ctx context.Context) error {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	soon := time.UnixMicro(s.now()).Add(time.Hour).UTC()
	key := rand.Text()
	long := key + strings.Repeat("k", maxName-len(key))
	for _, r := range []auth.Record{
		{Key: key + "a", UserID: "", Data: nil, Version: 1},
		{Key: key + "A", UserID: key, Data: []byte{}, Version: math.MinInt64, Expires: soon.Add(time.Microsecond)},
		{Key: key + "a ", UserID: key + "\x00\xff", Data: every, Version: math.MaxInt64 - 1, Expires: soon},
		{Key: key + "\x00\xff" + awkward, UserID: key + awkward, Data: []byte(awkward), Version: -1},
		{Key: long, UserID: long, Data: bytes.Repeat(every, 256), Version: 0, Expires: soon},
	} {
		r.Kind = "sqlstore-test"
		if err := s.tryRecord(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

func (s *Records) tryRecord(ctx context.Context, r auth.Record) error {
	what := fmt.Sprintf("a record with the key %.60q and %d bytes of data", r.Key, len(r.Data))
	if err := s.InsertRecord(ctx, r); err != nil {
		return fmt.Errorf("inserting %s: %w", what, err)
	}
	read := func(after string) error {
		got, err := s.GetRecord(ctx, r.Kind, r.Key)
		if err != nil {
			return fmt.Errorf("reading %s %s: %w", what, after, err)
		}
		return sameRecord(what+" "+after, got, r)
	}
	if err := read("after inserting it"); err != nil {
		return err
	}
	if r.UserID != "" {
		list, err := s.ListRecords(ctx, r.Kind, r.UserID)
		if err != nil {
			return fmt.Errorf("listing %s: %w", what, err)
		}
		if len(list) != 1 {
			return fmt.Errorf("listing %s by its user: got %d records, want 1", what, len(list))
		}
	}
	r.Data = slices.Concat([]byte{0}, r.Data)
	if err := s.UpdateRecord(ctx, r); err != nil {
		return fmt.Errorf("updating %s: %w", what, err)
	}
	r.Version++
	if err := read("after updating it"); err != nil {
		return err
	}
	r.Data = nil
	if err := s.UpdateRecord(ctx, r); err != nil {
		return fmt.Errorf("updating %s: %w", what, err)
	}
	r.Version++
	got, err := s.TakeRecord(ctx, r.Kind, r.Key)
	if err != nil {
		return fmt.Errorf("taking %s, whose data is empty: %w", what, err)
	}
	if err := sameRecord(what+" after taking it", got, r); err != nil {
		return err
	}
	// It is inserted again, so that the next key can be confused with it.
	if err := s.InsertRecord(ctx, r); err != nil {
		return fmt.Errorf("inserting %s again: %w", what, err)
	}
	return nil
}

// A difference is a field with the value it has and the value it should have.
type difference struct {
	field     string
	got, want any
	same      bool
}

// firstOf returns the first difference as an error.
func firstOf(what string, fields ...difference) error {
	for _, f := range fields {
		if !f.same {
			return fmt.Errorf("%s: %s was written as %.80[4]q, but came back as %.80[3]q", what, f.field,
				fmt.Sprint(f.got), fmt.Sprint(f.want))
		}
	}
	return nil
}

func sameRecord(what string, got, want auth.Record) error {
	return firstOf(what,
		difference{"Key", got.Key, want.Key, got.Key == want.Key},
		difference{"UserID", got.UserID, want.UserID, got.UserID == want.UserID},
		difference{"Data", string(got.Data), string(want.Data), bytes.Equal(got.Data, want.Data)},
		difference{"Version", got.Version, want.Version, got.Version == want.Version},
		difference{"Expires", got.Expires, want.Expires, got.Expires.Equal(want.Expires)})
}

// A triedUser has one field of its own.
type triedUser struct {
	auth.Account
	Text string
}

// tryUser writes a user, changes it and reads it.
func tryUser(ctx context.Context, users *Store[triedUser, *triedUser]) error {
	name := strings.ToLower(rand.Text())
	a := auth.Account{
		ID: "Aa" + rand.Text(), Username: name, Email: name + "@example.com", EmailVerified: true,
		PasswordHash: auth.NewSecret(strings.Repeat("$h", 200)), Stamp: auth.NewSecret(awkward + strings.Repeat("s", 255-len(awkward))),
		Disabled: true, Roles: []string{"admin", "", awkward}, Version: math.MaxInt64 - 2,
	}
	if _, err := users.CreateUser(ctx, a, nil); err != nil {
		return fmt.Errorf("creating a user: %w", err)
	}
	if err := users.UpdateProfile(ctx, &triedUser{a, awkward}); err != nil {
		return fmt.Errorf("updating the profile of a user: %w", err)
	}
	a.Version++
	for what, find := range map[string]func() (*triedUser, error){
		"the user found by its ID":       func() (*triedUser, error) { return users.LoadUser(ctx, a.ID) },
		"the user found by its username": func() (*triedUser, error) { return users.FindUser(ctx, name) },
		"the user found by its address":  func() (*triedUser, error) { return users.FindUser(ctx, a.Email) },
	} {
		got, err := find()
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if err := sameUser(what, got, a); err != nil {
			return err
		}
	}
	for _, other := range []string{strings.ToLower(a.ID), strings.ToUpper(a.ID), a.ID + " "} {
		if _, err := users.LoadUser(ctx, other); !errors.Is(err, auth.ErrUserNotFound) {
			return fmt.Errorf("LoadUser(%[2]q), while only a user with the ID %[1]q exists: got %[3]w, want %[4]w", a.ID, other, err, auth.ErrUserNotFound)
		}
	}
	a.Username, a.Email, a.EmailVerified, a.Disabled, a.Roles = "", "", false, false, nil
	a.PasswordHash, a.Stamp = auth.Secret{}, auth.NewSecret("s")
	if err := users.UpdateAccount(ctx, a); err != nil {
		return fmt.Errorf("updating an account: %w", err)
	}
	a.Version++
	got, err := users.LoadUser(ctx, a.ID)
	if err != nil {
		return fmt.Errorf("the user with empty fields: %w", err)
	}
	return sameUser("the user with empty fields", got, a)
}

func sameUser(what string, got *triedUser, want auth.Account) error {
	hash, stamp := got.PasswordHash.Reveal(), got.Stamp.Reveal()
	wantHash, wantStamp := want.PasswordHash.Reveal(), want.Stamp.Reveal()
	return firstOf(what,
		difference{"ID", got.ID, want.ID, got.ID == want.ID},
		difference{"Username", got.Username, want.Username, got.Username == want.Username},
		difference{"Email", got.Email, want.Email, got.Email == want.Email},
		difference{"EmailVerified", got.EmailVerified, want.EmailVerified, got.EmailVerified == want.EmailVerified},
		difference{"PasswordHash, a text made up by Migrate,", hash, wantHash, hash == wantHash},
		difference{"Stamp, a text made up by Migrate,", stamp, wantStamp, stamp == wantStamp},
		difference{"Disabled", got.Disabled, want.Disabled, got.Disabled == want.Disabled},
		difference{"Roles", got.Roles, want.Roles, slices.Equal(got.Roles, want.Roles)},
		difference{"Version", got.Version, want.Version, got.Version == want.Version},
		difference{"a field of the application's own", got.Text, awkward, got.Text == awkward})
}
