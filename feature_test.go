package auth_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// featureCore makes a Core on a store, as another process would have one.
func featureCore(t *testing.T, store testapp.Store, clock *testapp.Clock, configure func(*auth.Config)) *auth.Core {
	t.Helper()
	cfg := goodConfig()
	cfg.Now = clock.Now
	if configure != nil {
		configure(&cfg)
	}
	m, err := auth.New(store, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m.Core
}

func claim(t *testing.T, c *auth.Core, name string) *auth.Feature {
	t.Helper()
	f, err := c.Feature(name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func newFeature(t *testing.T, name string) (*auth.Feature, *testapp.User, *testapp.Clock) {
	t.Helper()
	clock := testapp.NewClock()
	store := memstore.New[testapp.User](memstore.WithClock(clock.Now))
	return claim(t, featureCore(t, store, clock, nil), name), account(t, store, "susan"), clock
}

// account makes a user without a password.
func account(t *testing.T, store testapp.Store, name string) *testapp.User {
	t.Helper()
	u, err := store.CreateUser(t.Context(), auth.Account{Username: name, Stamp: auth.NewSecret("stamp of " + name), Version: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// A name is given out once per Core, and only if it is valid.
func TestFeatureNames(t *testing.T) {
	t.Parallel()
	clock := testapp.NewClock()
	store := memstore.New[testapp.User]()
	c := featureCore(t, store, clock, nil)
	for _, name := range []string{"totp", "TOTP", "oauth:google", "my.app-2", strings.Repeat("a", 32), "."} {
		claim(t, c, name)
		if _, err := c.Feature(name); err == nil {
			t.Errorf("%s is claimed twice", name)
		}
		claim(t, featureCore(t, store, clock, nil), name) // another process
	}
	for _, name := range []string{"", strings.Repeat("a", 33), "a/b", "a b", "a_b", "ä", "a~b", "@a", "a\x00",
		"session", "visitor", "rotated", "pending", "remember", "remember-ended", "api-token", "attempts", "rate", "used", "form",
		"email-undo", "reserved", "feature", "feature-attempts", "trusted", "enrolled"} {
		if f, err := c.Feature(name); err == nil || f != nil {
			t.Errorf("%q is a name", name)
		}
	}
	if _, err := (*auth.Core)(nil).Feature("totp"); err == nil {
		t.Error("a nil Core")
	}
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := c.Feature("at-once"); err == nil {
				won.Add(1)
			}
		})
	}
	if wg.Wait(); won.Load() != 1 {
		t.Errorf("%d have claimed a name at once", won.Load())
	}
}

// keysOf lists a user's records as key=data.
func keysOf(t *testing.T, f *auth.Feature, userID string) string {
	t.Helper()
	records, err := f.List(t.Context(), userID)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, r := range records {
		keys = append(keys, r.Key+"="+string(r.Data))
	}
	slices.Sort(keys)
	return strings.Join(keys, " ")
}

// Features store records. No feature sees another's records.
func TestFeatureRecords(t *testing.T) {
	t.Parallel()
	clock := testapp.NewClock()
	store := memstore.New[testapp.User](memstore.WithClock(clock.Now))
	susan, mike := account(t, store, "susan").ID, account(t, store, "mike").ID
	core := featureCore(t, store, clock, nil)
	named := featureCore(t, store, clock, func(cfg *auth.Config) { cfg.Name = "staff" })
	all := map[string]*auth.Feature{
		"a": claim(t, core, "a"), "ab": claim(t, core, "ab"), "a-b": claim(t, core, "a-b"), "a.": claim(t, core, "a."), "A": claim(t, core, "A"),
		"staff's a": claim(t, named, "a"),
	}
	long := strings.Repeat("k", 160)
	for name, f := range all {
		for _, r := range []auth.Record{
			{Key: "1", UserID: susan}, {Key: "/2", UserID: susan}, {Key: long, UserID: mike}, {Key: "b/1"},
			{Kind: "session", Key: "3", UserID: susan, Version: 7, Expires: clock.Now().Add(time.Hour)},
		} {
			r.Data = []byte(name + r.Key)
			if err := f.Insert(t.Context(), r); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if err := f.Insert(t.Context(), r); !errors.Is(err, auth.ErrRecordExists) {
				t.Errorf("%s: a second time: %v", name, err)
			}
		}
	}
	check := func(what string, left func(name string) string) {
		t.Helper()
		for name, f := range all {
			if got, want := keysOf(t, f, susan), left(name); got != want {
				t.Errorf("%s: %s has %q, want %q", what, name, got, want)
			}
			if got := keysOf(t, f, mike); got != long+"="+name+long {
				t.Errorf("%s: %s has %q of mike's", what, name, got)
			}
			if r, err := f.Get(t.Context(), "b/1"); err != nil || string(r.Data) != name+"b/1" || r.UserID != "" || r.Key != "b/1" {
				t.Errorf("%s: %s: %+v, %v", what, name, r, err)
			}
		}
	}
	three := func(name string) string { return fmt.Sprintf("/2=%s/2 1=%s1 3=%s3", name, name, name) }
	check("at first", three)
	if r, err := all["a"].Get(t.Context(), "3"); err != nil || !r.Expires.Equal(clock.Now().Add(time.Hour)) {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := all["a"].Take(t.Context(), "1"); err != nil || string(r.Data) != "a1" || r.Key != "1" || r.UserID != susan {
		t.Errorf("%+v, %v", r, err)
	}
	if err := all["ab"].Delete(t.Context(), susan, "3"); err != nil {
		t.Error(err)
	}
	clock.Advance(time.Minute)
	check("after Take and Delete", func(name string) string {
		switch name {
		case "a":
			return "/2=a/2 3=a3"
		case "ab":
			return "3=ab3"
		}
		return three(name)
	})
	// Keys that no record has.
	a := all["a"]
	for _, key := range []string{"1", "none", "", long + "k", "../ab/3"} {
		_, got := a.Get(t.Context(), key)
		_, taken := a.Take(t.Context(), key)
		changed := a.Change(t.Context(), key, func(*auth.Record) error { t.Error("it is there"); return nil })
		for i, err := range []error{got, taken, changed} {
			if !errors.Is(err, auth.ErrRecordNotFound) {
				t.Errorf("call %d with %q: %v", i, key, err)
			}
		}
	}
	for _, key := range []string{"", long + "k"} {
		if err := a.Insert(t.Context(), auth.Record{Key: key}); !errors.Is(err, auth.ErrInvalidRecord) {
			t.Errorf("Insert of %q: %v", key, err)
		}
	}
	// The library's own kinds of records do not contain them.
	for _, kind := range []string{"session", "api-token", "remember"} {
		if list, err := store.ListRecords(t.Context(), kind, susan); err != nil || len(list) != 0 {
			t.Errorf("%s: %v, %v", kind, list, err)
		}
	}
	if _, err := a.List(t.Context(), ""); err == nil {
		t.Error("everybody's records are listed")
	}
	if err := a.Delete(t.Context(), ""); err == nil {
		t.Error("everybody's records are deleted")
	}
}

// Accounts that do not exist, or are disabled, get no records.
func TestFeatureInsertNeedsAnAccount(t *testing.T) {
	t.Parallel()
	clock := testapp.NewClock()
	store := memstore.New[testapp.User](memstore.WithClock(clock.Now))
	f := claim(t, featureCore(t, store, clock, nil), "a")
	u := account(t, store, "susan")
	disabled := u.Clone()
	disabled.Disabled = true
	if err := store.UpdateAccount(t.Context(), disabled); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]error{"nobody": auth.ErrUserNotFound, u.ID: auth.ErrDisabled} {
		for range 2 {
			if err := f.Insert(t.Context(), auth.Record{Key: "k", UserID: id}); !errors.Is(err, want) {
				t.Errorf("%q: %v, want %v", id, err, want)
			}
			if _, err := f.Get(t.Context(), "k"); !errors.Is(err, auth.ErrRecordNotFound) || keysOf(t, f, id) != "" {
				t.Errorf("%q has a record: %v", id, err)
			}
		}
	}
}

// If many changes happen at the same time, none is lost.
func TestFeatureChange(t *testing.T) {
	t.Parallel()
	f, u, clock := newFeature(t, "a")
	if err := f.Insert(t.Context(), auth.Record{Key: "k", UserID: u.ID, Data: make([]byte, 8)}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			err := f.Change(t.Context(), "k", func(r *auth.Record) error {
				r.Data = binary.BigEndian.AppendUint64(nil, 1+binary.BigEndian.Uint64(r.Data))
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	r, err := f.Get(t.Context(), "k")
	if err != nil || binary.BigEndian.Uint64(r.Data) != 20 {
		t.Errorf("%v, %v", r.Data, err)
	}
	// If the function returns an error, nothing changes. Kind, key, user and version of
	// a record cannot be changed.
	if err := f.Change(t.Context(), "k", func(r *auth.Record) error { r.Data = nil; return errStore }); !errors.Is(err, errStore) {
		t.Error(err)
	}
	until := clock.Now().Add(time.Hour)
	err = f.Change(t.Context(), "k", func(r *auth.Record) error {
		*r = auth.Record{Kind: "session", Key: "other", UserID: "other", Data: append(r.Data, 1), Version: 3, Expires: until}
		return nil
	})
	if r, got := f.Get(t.Context(), "k"); err != nil || got != nil || r.Key != "k" || r.UserID != u.ID || len(r.Data) != 9 || !r.Expires.Equal(until) {
		t.Errorf("%+v, %v, %v", r, err, got)
	}
	// If other changes always come first, Change gives up.
	tries := 0
	err = f.Change(t.Context(), "k", func(r *auth.Record) error {
		tries++
		return f.Change(t.Context(), "k", func(*auth.Record) error { return nil })
	})
	if !errors.Is(err, auth.ErrConflict) || tries != 200 {
		t.Errorf("%v after %d tries", err, tries)
	}
	// A record that is deleted meanwhile is not inserted again.
	err = f.Change(t.Context(), "k", func(*auth.Record) error {
		_, err := f.Take(t.Context(), "k")
		return err
	})
	if _, got := f.Get(t.Context(), "k"); !errors.Is(err, auth.ErrRecordNotFound) || !errors.Is(got, auth.ErrRecordNotFound) {
		t.Errorf("%v, %v", err, got)
	}
}

// Only the feature that sealed a text can open it, until it expires.
func TestFeatureSeal(t *testing.T) {
	t.Parallel()
	const older, newer = "Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq", "x0PmvQ7rE2oYt9Jd4sKhUc6bGzL1wNfA"
	clock := testapp.NewClock()
	store := memstore.New[testapp.User]()
	core := func(name string, secrets ...string) *auth.Core {
		return featureCore(t, store, clock, func(cfg *auth.Config) {
			cfg.Name, cfg.Secrets = name, nil
			for _, s := range secrets {
				cfg.Secrets = append(cfg.Secrets, []byte(s))
			}
		})
	}
	c := core("", older)
	f := claim(t, c, "a")
	until := clock.Now().Add(time.Minute)
	text := f.Seal([]byte("data"), until)
	opens := func(f *auth.Feature, text string) bool {
		data, ok := f.Open(text)
		if ok && string(data) != "data" {
			t.Errorf("it has %q in it", data)
		}
		return ok
	}
	for name, test := range map[string]struct {
		f    *auth.Feature
		want bool
	}{
		"itself":                {f, true},
		"another process":       {claim(t, core("", older), "a"), true},
		"after a rotation":      {claim(t, core("", newer, older), "a"), true},
		"without the secret":    {claim(t, core("", newer), "a"), false},
		"another feature":       {claim(t, c, "b"), false},
		"in other letters":      {claim(t, c, "A"), false},
		"under another Name":    {claim(t, core("staff", older), "a"), false},
		"a name with a purpose": {claim(t, c, "reset"), false},
	} {
		if opens(test.f, text) != test.want {
			t.Errorf("%s: %v", name, !test.want)
		}
	}
	for i := range len(text) {
		if changed := text[:i] + string(text[i]^1) + text[i+1:]; opens(f, changed) {
			t.Errorf("changed at %d", i)
		}
	}
	if opens(f, "") || opens(f, text+"A") || strings.Contains(text, "data") {
		t.Error(text)
	}
	clock.Advance(time.Minute - time.Millisecond)
	if !opens(f, text) {
		t.Error("it has expired too early")
	}
	clock.Advance(time.Millisecond)
	if opens(f, text) || opens(f, f.Seal([]byte("data"), time.Time{})) {
		t.Error("it has not expired")
	}
}

// Cookies of features have the application's attributes, and names of their own.
func TestFeatureCookie(t *testing.T) {
	t.Parallel()
	c := featureCore(t, memstore.New[testapp.User](), testapp.NewClock(), nil)
	names := map[string]bool{}
	for _, name := range []string{"a", "a-b", "a.b", "a:b", "a:", "oauth:google"} {
		f := claim(t, c, name)
		for _, part := range []string{"b", "c", "b-c", "flash"} {
			cookie := f.Cookie(part)
			want := c.Cookie("")
			if cookie.Secure != want.Secure || !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Domain != "" {
				t.Errorf("%+v", cookie)
			}
			if err := cookie.Valid(); err != nil || !strings.HasPrefix(cookie.Name, "__Host-session-") || names[cookie.Name] || cookie.Name == c.Cookie(part).Name {
				t.Errorf("%q: %v", cookie.Name, err)
			}
			names[cookie.Name] = true
		}
	}
}

// An event gets its time and its client.
func TestFeatureEvent(t *testing.T) {
	t.Parallel()
	clock := testapp.NewClock()
	app := testapp.New(t, memstore.New[testapp.User](), clock, nil)
	f := claim(t, app.Core, "totp")
	app.Mux.HandleFunc("/event", func(_ http.ResponseWriter, r *http.Request) {
		f.Event(r.Context(), auth.Event{Kind: "totp-enrolled", UserID: "7", Method: "totp", Err: errStore, Address: "forged"})
	})
	app.Client(t).Do("GET", "/event", nil, http.Header{"User-Agent": {"a browser"}})
	want := auth.Event{Time: clock.Now(), Kind: "totp-enrolled", UserID: "7", Address: "127.0.0.1", UserAgent: "a browser", Method: "totp", Err: errStore}
	if e := app.Events(); len(e) != 1 || e[0] != want {
		t.Errorf("%+v", e)
	}
	if !f.Now().Equal(clock.Now()) {
		t.Error(f.Now())
	}
}

// A secretApp has two features. Their secret is "right".
type secretApp struct {
	*testapp.App
	f, other *auth.Feature
	looked   atomic.Int32
}

func newSecretApp(t *testing.T, configure func(*auth.Config)) *secretApp {
	t.Helper()
	clock := testapp.NewClock()
	app := testapp.New(t, memstore.New[testapp.User](memstore.WithClock(clock.Now)), clock, configure)
	return &secretApp{App: app, f: claim(t, app.Core, "totp"), other: claim(t, app.Core, "recovery")}
}

func (a *secretApp) try(t *testing.T, f *auth.Feature, id, secret string) string {
	t.Helper()
	looked := false
	ok, err := f.Count(t.Context(), id, func() (bool, error) {
		looked = true
		a.looked.Add(1)
		return secret == "right", nil
	})
	switch {
	case errors.Is(err, auth.ErrLocked) && !ok && !looked:
		return "locked"
	case err != nil || !looked:
		t.Errorf("%v, %v, looked %v", ok, err, looked)
	case ok:
		return "right"
	}
	return "wrong"
}

// Attempts are counted separately for each account and feature.
func TestFeatureCount(t *testing.T) {
	t.Parallel()
	a := newSecretApp(t, nil)
	susan, mike := a.Create(t, "susan", false).ID, a.Create(t, "mike", false).ID
	want := func(f *auth.Feature, id, secret, want string) {
		t.Helper()
		if got := a.try(t, f, id, secret); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	for range 3 { // the right secret deletes the count of wrong ones
		for range 4 {
			want(a.f, susan, "no", "wrong")
		}
		want(a.f, susan, "right", "right")
	}
	if e := a.Events(); len(e) != 0 {
		t.Errorf("%+v", e)
	}
	for range 5 {
		want(a.f, susan, "no", "wrong")
	}
	if e := a.Events(); len(e) != 1 || e[0].Kind != auth.EventSecretLocked || e[0].UserID != susan || e[0].Method != "totp" || !errors.Is(e[0].Err, auth.ErrLocked) {
		t.Errorf("%+v", e)
	}
	want(a.f, susan, "right", "locked")
	want(a.f, mike, "right", "right")
	want(a.other, susan, "right", "right") // the count of the first feature is not affected
	want(a.f, susan, "right", "locked")
	a.Clock.Advance(29 * time.Second)
	want(a.f, susan, "right", "locked")
	a.Clock.Advance(time.Second)
	want(a.f, susan, "no", "wrong")
	a.Clock.Advance(59 * time.Second)
	want(a.f, susan, "right", "locked")
	a.Clock.Advance(time.Second)
	want(a.f, susan, "right", "right")
	for range 5 {
		want(a.f, susan, "no", "wrong")
	}
	want(a.f, susan, "right", "locked")
	if err := a.Unlock(t.Context(), susan); err != nil {
		t.Fatal(err)
	}
	want(a.f, susan, "right", "right")
	if _, err := a.f.Count(t.Context(), "", func() (bool, error) { return true, nil }); !errors.Is(err, auth.ErrUserNotFound) {
		t.Errorf("without a user: %v", err)
	}
}

// After a hundred wrong attempts no secret is checked, however long the user waits,
// until an administrator calls Unlock. A new password changes nothing.
func TestFeatureCountDisables(t *testing.T) {
	t.Parallel()
	a := newSecretApp(t, func(cfg *auth.Config) { cfg.Password.HashParams = hashParams(7168, 5, 1, 16, 32) })
	u := a.Create(t, "susan", false)
	for i := range 100 {
		if got := a.try(t, a.f, u.ID, "no"); got != "wrong" {
			t.Fatalf("attempt %d: %s", i, got)
		}
		a.Clock.Advance(time.Hour)
	}
	if e := a.Events(); len(e) != 96 || e[95].Kind != auth.EventSecretDisabled || e[94].Kind != auth.EventSecretLocked {
		t.Errorf("%d events: %+v", len(e), e)
	}
	a.Clock.Advance(400 * 24 * time.Hour)
	if err := a.SetPassword(t.Context(), u, "another password of hers"); err != nil {
		t.Fatal(err)
	}
	if got := a.try(t, a.f, u.ID, "right"); got != "locked" {
		t.Error(got)
	}
	if err := a.Unlock(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	if got := a.try(t, a.f, u.ID, "right"); got != "right" {
		t.Error(got)
	}
}

// If many attempts come at the same time, in one process or several, no more are
// checked than if they came one by one. If all are right, all succeed.
func TestFeatureCountAtOnce(t *testing.T) {
	t.Parallel()
	a := newSecretApp(t, nil)
	second := featureCore(t, a.Store, a.Clock, nil)
	features := []*auth.Feature{a.f, claim(t, second, "totp")}
	id := a.Create(t, "susan", false).ID
	var right atomic.Int32
	run := func(secret string) {
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				if a.try(t, features[i%2], id, secret) == "right" {
					right.Add(1)
				}
			})
		}
		wg.Wait()
	}
	run("no")
	if n := a.looked.Load(); n != 5 {
		t.Errorf("%d were looked at", n)
	}
	if err := a.Unlock(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if a.try(t, a.f, id, "right") == "right" {
				right.Add(1)
			}
		})
	}
	if wg.Wait(); right.Load() != 50 {
		t.Errorf("%d were right", right.Load())
	}
}

// If the function returns an error, the attempt does not count. If it panics, it does.
func TestFeatureCountSettlesOnce(t *testing.T) {
	t.Parallel()
	a := newSecretApp(t, nil)
	id := a.Create(t, "susan", false).ID
	for range 20 {
		ok, err := a.f.Count(t.Context(), id, func() (bool, error) { return true, errStore })
		if ok || !errors.Is(err, errStore) {
			t.Fatalf("%v, %v", ok, err)
		}
	}
	for range 5 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic is gone")
				}
			}()
			_, _ = a.f.Count(t.Context(), id, func() (bool, error) { panic("a check") })
		}()
	}
	if got := a.try(t, a.f, id, "right"); got != "locked" {
		t.Error(got)
	}
}

// Wrong attempts also count for the client's address, whichever accounts they are for.
func TestFeatureCountLimitsAddresses(t *testing.T) {
	t.Parallel()
	a := newSecretApp(t, func(cfg *auth.Config) { cfg.Limits.Guesses = 3 })
	secret, looked := "right", 0
	a.Mux.HandleFunc("/try", func(w http.ResponseWriter, r *http.Request) {
		_, err := a.f.Count(r.Context(), r.FormValue("id"), func() (bool, error) { looked++; return secret == "right", nil })
		if err != nil {
			a.Error(w, r, err)
		}
	})
	c := a.Client(t)
	for i := range 5 {
		if r := c.Get(fmt.Sprint("/try?id=", i)); r.StatusCode != http.StatusOK {
			t.Fatalf("right, %d: %s", i, r.Status)
		}
	}
	secret = "no"
	for i := range 4 {
		want := map[bool]int{true: http.StatusOK, false: http.StatusTooManyRequests}[i < 3]
		if r := c.Get(fmt.Sprint("/try?id=", i)); r.StatusCode != want {
			t.Errorf("wrong, %d: %s", i, r.Status)
		}
	}
	if looked != 8 {
		t.Errorf("%d were looked at", looked)
	}
}

// A crossingStore calls a function of the test before each call that may change
// something, or that looks whether an account is alive.
type crossingStore struct {
	testapp.Store
	mu     sync.Mutex
	before func(call string)
}

func (s *crossingStore) hook(before func(call string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = before
}

func (s *crossingStore) step(call string) {
	s.mu.Lock()
	before := s.before
	s.mu.Unlock()
	if before != nil {
		before(call)
	}
}

func (s *crossingStore) LoadUser(ctx context.Context, id string) (*testapp.User, error) {
	s.step("LoadUser")
	return s.Store.LoadUser(ctx, id)
}

func (s *crossingStore) UpdateAccount(ctx context.Context, a auth.Account) error {
	s.step("UpdateAccount")
	return s.Store.UpdateAccount(ctx, a)
}

func (s *crossingStore) InsertRecord(ctx context.Context, r auth.Record) error {
	s.step("InsertRecord")
	return s.Store.InsertRecord(ctx, r)
}

func (s *crossingStore) UpdateRecord(ctx context.Context, r auth.Record) error {
	s.step("UpdateRecord")
	return s.Store.UpdateRecord(ctx, r)
}

func (s *crossingStore) DeleteRecords(ctx context.Context, kind, userID string, keep ...string) error {
	s.step("DeleteRecords")
	return s.Store.DeleteRecords(ctx, kind, userID, keep...)
}

// A crossingDeleter can delete users, too.
type crossingDeleter struct{ *crossingStore }

func (s crossingDeleter) DeleteUser(ctx context.Context, id string) error {
	s.step("DeleteUser")
	deleter, ok := s.Store.(auth.UserDeleter)
	if !ok {
		return errors.New("the store deletes no users")
	}
	return deleter.DeleteUser(ctx, id)
}

// A withoutDisabled store leaves out the field Disabled.
type withoutDisabled struct{ crossingDeleter }

func (withoutDisabled) OmittedFields() []auth.AccountField {
	return []auth.AccountField{auth.FieldDisabled}
}

func (s withoutDisabled) UpdateAccount(ctx context.Context, a auth.Account) error {
	a.Disabled = false
	return s.crossingDeleter.UpdateAccount(ctx, a)
}

// crossingStores are the kinds of stores that CloseAccount treats differently.
func crossingStores(clock *testapp.Clock) map[string]func() (testapp.Store, *crossingStore) {
	open := func() *crossingStore {
		return &crossingStore{Store: memstore.New[testapp.User](memstore.WithClock(clock.Now))}
	}
	return map[string]func() (testapp.Store, *crossingStore){
		"deletes users":    func() (testapp.Store, *crossingStore) { s := open(); return crossingDeleter{s}, s },
		"disables users":   func() (testapp.Store, *crossingStore) { s := open(); return s, s },
		"without Disabled": func() (testapp.Store, *crossingStore) { s := open(); return withoutDisabled{crossingDeleter{s}}, s },
	}
}

// CloseAccount deletes the records of all features, even if the process that closes the
// account has no such features. Records of other users stay.
func TestCloseAccountDeletesFeatures(t *testing.T) {
	t.Parallel()
	clock := testapp.NewClock()
	for what, open := range crossingStores(clock) {
		for _, name := range []string{"", "staff"} {
			store, _ := open()
			named := func(cfg *auth.Config) { cfg.Name = name }
			susan, mike := account(t, store, "susan"), account(t, store, "mike")
			loaded := featureCore(t, store, clock, named)
			features := []*auth.Feature{claim(t, loaded, "totp"), claim(t, loaded, "oauth:google")}
			for i, f := range features {
				for _, u := range []*testapp.User{susan, mike} {
					if err := f.Insert(t.Context(), auth.Record{Key: u.ID, UserID: u.ID, Data: []byte{'x'}}); err != nil {
						t.Fatal(err)
					}
				}
				for range i + 1 {
					_, _ = f.Count(t.Context(), susan.ID, func() (bool, error) { return false, nil })
				}
			}
			other := featureCore(t, store, clock, named) // this process has no features
			if err := other.CloseAccount(t.Context(), susan); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			for _, f := range features {
				if got := keysOf(t, f, susan.ID); got != "" {
					t.Errorf("%s: susan has %s", what, got)
				}
				if got := keysOf(t, f, mike.ID); got != mike.ID+"=x" {
					t.Errorf("%s: mike has %q", what, got)
				}
				if err := f.Insert(t.Context(), auth.Record{Key: "late", UserID: susan.ID}); err == nil || keysOf(t, f, susan.ID) != "" {
					t.Errorf("%s: a record of a closed account: %v", what, err)
				}
			}
			prefix := map[bool]string{true: "@staff/"}[name != ""]
			for _, kind := range []string{"feature", "feature-attempts"} {
				if list, err := store.ListRecords(t.Context(), prefix+kind, susan.ID); err != nil || len(list) != 0 {
					t.Errorf("%s: %d records of kind %s, %v", what, len(list), kind, err)
				}
			}
		}
	}
}

// If an Insert and a CloseAccount of the same account cross, no record is left. The
// test runs Insert as a whole at each step of CloseAccount, CloseAccount at each step
// of Insert, and each half of Insert at each step of CloseAccount.
func TestCloseAccountCrossesInsert(t *testing.T) {
	t.Parallel()
	clock := testapp.NewClock()
	for what, open := range crossingStores(clock) {
		for _, way := range []string{"Insert within", "Close within", "halves"} {
			for k := 0; ; k++ {
				store, steps := open()
				u := account(t, store, "susan")
				f := claim(t, featureCore(t, store, clock, nil), "totp")
				closer := featureCore(t, store, clock, nil)
				insert := func() {
					err := f.Insert(context.WithoutCancel(t.Context()), auth.Record{Key: "k", UserID: u.ID})
					if err != nil && !errors.Is(err, auth.ErrDisabled) && !errors.Is(err, auth.ErrUserNotFound) {
						t.Errorf("%s, %s, %d: %v", what, way, k, err)
					}
				}
				end := func() {
					if err := closer.CloseAccount(t.Context(), u); err != nil {
						t.Errorf("%s, %s, %d: %v", what, way, k, err)
					}
				}
				// at calls do before the n-th call of whatever runs next.
				at := func(n int, do func()) {
					var calls atomic.Int32
					steps.hook(func(string) {
						if int(calls.Add(1))-1 == n {
							steps.hook(nil)
							do()
						}
					})
				}
				reached := false
				switch way {
				case "Insert within":
					at(k, func() { reached = true; insert() })
					end()
				case "Close within":
					at(k, func() { reached = true; end() })
					insert()
				case "halves":
					inserted, closed, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
					at(k, func() {
						reached = true
						steps.hook(func(call string) {
							if call == "LoadUser" { // the call is Insert's, because CloseAccount is waiting
								steps.hook(nil)
								close(inserted)
								<-closed
							}
						})
						go func() { defer close(done); insert() }()
						<-inserted
					})
					end()
					close(closed)
					if reached {
						<-done
					}
				}
				if !reached { // there are only k steps
					if k < 2 {
						t.Errorf("%s, %s: only %d steps", what, way, k)
					}
					break
				}
				if got := keysOf(t, f, u.ID); got != "" {
					t.Errorf("%s, %s, %d: susan has %q", what, way, k, got)
				}
			}
		}
	}
}

// Insert takes back its own record only, and not a later one with the same key.
func TestFeatureInsertTakesBackItsOwnRecordOnly(t *testing.T) {
	t.Parallel()
	clock := testapp.NewClock()
	steps := &crossingStore{Store: memstore.New[testapp.User](memstore.WithClock(clock.Now))}
	susan, mike := account(t, steps, "susan"), account(t, steps, "mike")
	f := claim(t, featureCore(t, crossingDeleter{steps}, clock, nil), "totp")
	steps.hook(func(call string) {
		if call != "LoadUser" {
			return
		}
		steps.hook(nil)
		if _, err := f.Take(t.Context(), "k"); err != nil {
			t.Error(err)
		}
		if err := f.Insert(t.Context(), auth.Record{Key: "k", UserID: mike.ID}); err != nil {
			t.Error(err)
		}
		if err := (crossingDeleter{steps}).DeleteUser(t.Context(), susan.ID); err != nil {
			t.Error(err)
		}
	})
	if err := f.Insert(t.Context(), auth.Record{Key: "k", UserID: susan.ID}); !errors.Is(err, auth.ErrUserNotFound) {
		t.Error(err)
	}
	if r, err := f.Get(t.Context(), "k"); err != nil || r.UserID != mike.ID {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestFeatureHost(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{"https://app.example": "app.example", "https://app.example:8443": "app.example", "http://[::1]:8080": "::1"} {
		c := featureCore(t, memstore.New[testapp.User](), testapp.NewClock(), func(cfg *auth.Config) { cfg.BaseURL = base })
		if got := claim(t, c, "a").Host(); got != want {
			t.Errorf("%s: %q", base, got)
		}
	}
}

// TestSuspendedIsAWarning: somebody may have copied a secret of a user, so the log has a warning.
func TestSuspendedIsAWarning(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	feature, err := app.Feature("copied")
	if err != nil {
		t.Fatal(err)
	}
	feature.Suspended(t.Context(), app.Create(t, "susan", false).ID)
	if !strings.Contains(app.Logs(), "level=WARN msg=auth event=factor.suspended") {
		t.Error(app.Logs())
	}
}
