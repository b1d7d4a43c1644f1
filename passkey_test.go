package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// passkeys is a PasskeyFactor. An answer names the passkey, and the prompt that it is for.
type passkeys struct {
	mu      sync.Mutex
	kept    map[string][]auth.Passkey // by user ID
	owner   map[string]string         // of each passkey that ever was: the user's ID
	asked   int
	failure error
	private string // if set, what Ask returns
	adding  func() // runs in save, before the passkey is kept
	after   func() // runs in save, after it
	removal func() // runs before a passkey is removed
	feature *auth.Feature

	identified func() // runs at the end of Identify and VerifyOne
}

func newPasskeys() *passkeys {
	return &passkeys{kept: map[string][]auth.Passkey{}, owner: map[string]string{}}
}

func (*passkeys) Name() string { return "passkey" }

func (f *passkeys) Bind(feature *auth.Feature) error {
	f.feature = feature
	return nil
}

func (f *passkeys) Enrolled(ctx context.Context, userID string) (bool, error) {
	all, err := f.Passkeys(ctx, userID)
	return len(all) > 0, err
}

func (f *passkeys) Prompt(context.Context, auth.User) (auth.Prompt, []byte, error) {
	return auth.Prompt{Field: "passkey", Script: "/passkey.js"}, []byte("second"), f.failure
}

func (f *passkeys) Verify(ctx context.Context, user auth.User, private []byte, answer url.Values) error {
	_, err := f.VerifyOne(ctx, user, private, answer)
	return err
}

func (f *passkeys) VerifyOne(_ context.Context, user auth.User, private []byte, answer url.Values) (string, error) {
	defer func() {
		if f.identified != nil {
			f.identified()
		}
	}()
	f.mu.Lock()
	defer f.mu.Unlock()
	id := answer.Get("passkey")
	switch {
	case string(private) != "second":
		return "", auth.ErrWrongFactor
	case f.owner[id] == "":
		return "", auth.ErrUnknownPasskey
	case f.owner[id] != user.AuthAccount().ID:
		return "", auth.ErrWrongFactor
	}
	return id, f.failure
}

func (f *passkeys) Begin(context.Context, auth.User) (auth.Setup, error) {
	return auth.Setup{Prompt: auth.Prompt{Field: "passkey", Script: "/passkey.js", Data: "create"}}, f.failure
}

func (f *passkeys) Finish(ctx context.Context, user auth.User, answer url.Values) (func(context.Context) error, error) {
	_, save, err := f.Add(ctx, user, answer)
	return save, err
}

func (f *passkeys) Add(_ context.Context, user auth.User, answer url.Values) (auth.Passkey, func(context.Context) error, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id, userID := answer.Get("passkey"), user.AuthAccount().ID
	if id == "" || f.owner[id] != "" {
		return auth.Passkey{}, nil, auth.ErrWrongFactor
	}
	p := auth.Passkey{ID: id, Name: "the name of " + id}
	return p, func(context.Context) error {
		if f.adding != nil {
			f.adding()
		}
		f.mu.Lock()
		f.kept[userID], f.owner[id] = append(f.kept[userID], p), userID
		f.mu.Unlock()
		if f.after != nil {
			f.after()
		}
		return f.failure
	}, nil
}

func (f *passkeys) Ask(_ context.Context, user auth.User) (auth.Prompt, []byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	private := fmt.Sprint("prompt ", f.asked)
	if f.private != "" {
		private = f.private
	}
	return auth.Prompt{Field: "passkey", Script: "/passkey.js", Data: private}, []byte(private), f.failure
}

func (f *passkeys) Identify(_ context.Context, asked [][]byte, answer url.Values) (string, string, error) {
	defer func() {
		if f.identified != nil {
			f.identified()
		}
	}()
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.failure != nil:
		return "", "", f.failure
	case !slices.ContainsFunc(asked, func(private []byte) bool { return string(private) == answer.Get("prompt") }):
		return "", "", auth.ErrWrongFactor
	case f.owner[answer.Get("passkey")] == "":
		return "", "", auth.ErrUnknownPasskey
	}
	return f.owner[answer.Get("passkey")], answer.Get("passkey"), nil
}

func (f *passkeys) Passkeys(_ context.Context, userID string) ([]auth.Passkey, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.kept[userID]), f.failure
}

func (f *passkeys) Rename(_ context.Context, userID, id, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, p := range f.kept[userID] {
		if p.ID == id {
			f.kept[userID][i].Name = name
			return f.failure
		}
	}
	return auth.ErrNoFactor
}

func (f *passkeys) RemoveOne(_ context.Context, userID, id string) error {
	if f.removal != nil {
		f.removal()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept[userID] = slices.DeleteFunc(f.kept[userID], func(p auth.Passkey) bool { return p.ID == id })
	return f.failure
}

func (f *passkeys) Remove(_ context.Context, userID string) error {
	if f.removal != nil {
		f.removal()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.kept, userID)
	return f.failure
}

func (f *passkeys) Known(_ context.Context, user auth.User) (any, error) {
	all, err := f.Passkeys(context.Background(), user.AuthAccount().ID)
	return fmt.Sprint(len(all), " passkeys of ", user.AuthAccount().Username), err
}

func (*passkeys) Script() (string, []byte) { return "/passkey.js", []byte("// nothing") }

// give has a user keep these passkeys.
func (f *passkeys) give(userID string, ids ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		f.kept[userID], f.owner[id] = append(f.kept[userID], auth.Passkey{ID: id, Name: id}), userID
	}
}

// A passkeyApp is an application in which users log in by passkeys.
type passkeyApp struct {
	*mailApp
	store *testapp.Spy
	keys  *passkeys
	spare *spares
	code  *codes
	susan *testapp.User
	own   *testapp.Client // susan's, logged in by her password
}

func newPasskeyApp(t *testing.T, change ...func(*auth.Config)) *passkeyApp {
	t.Helper()
	a := &passkeyApp{keys: newPasskeys(), spare: newSpares(), code: newCodes()}
	a.mailApp = &mailApp{box: &testapp.Outbox{}}
	a.App, a.store = newApp(t, func(c *auth.Config) {
		c.Mailer, c.Factors = a.box, []auth.Factor{a.keys, a.code, a.spare}
		for _, change := range change {
			change(c)
		}
	})
	a.susan = member(t, a.App, "susan", testapp.Password, verified)
	a.own = a.Client(t)
	a.own.Login("susan")
	a.Mux.Handle("GET /second", a.Require(auth.SecondFactor())(http.HandlerFunc(hello)))
	a.box.Take()
	a.Events()
	return a
}

// act runs a function in a request of the browser.
func (a *passkeyApp) act(c *testapp.Client, f func(ctx context.Context) error) (err error) {
	a.In(c, func(ctx context.Context) { err = f(ctx) })
	return err
}

func (a *passkeyApp) add(c *testapp.Client, id string) error {
	return a.act(c, func(ctx context.Context) error { return a.EnrollFactor(ctx, "passkey", url.Values{"passkey": {id}}) })
}

// prompt asks the browser for a passkey, and returns what the answer must name.
func (a *passkeyApp) prompt(t *testing.T, c *testapp.Client) string {
	t.Helper()
	var p auth.Prompt
	if err := a.act(c, func(ctx context.Context) (err error) { p, err = a.PromptPasskey(ctx); return err }); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(p.Data)
}

func (a *passkeyApp) enter(c *testapp.Client, prompt, id string, options ...auth.LoginOption) error {
	return a.act(c, func(ctx context.Context) error {
		_, err := a.LoginByPasskey(ctx, url.Values{"passkey": {id}, "prompt": {prompt}}, options...)
		return err
	})
}

// A passkey is a whole login: it stands for the password and the second factor.
func TestLoginByPasskey(t *testing.T) {
	t.Parallel()
	a := newPasskeyApp(t)
	a.keys.give(a.susan.ID, "key")
	c := a.Client(t)
	if err := a.enter(c, a.prompt(t, c), "key", auth.Remember(true)); err != nil || c.Who() != "susan" {
		t.Fatalf("%v, %q", err, c.Who())
	}
	for _, path := range []string{"/second", "/fresh5"} {
		if r := c.Get(path); r.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, r.Status)
		}
	}
	all := logins(t, a.App, a.susan.ID)
	if i := slices.IndexFunc(all, func(l auth.Login) bool { return slices.Equal(l.Methods, []string{"passkey"}) }); i < 0 || !all[i].Remembered {
		t.Errorf("the logins are %+v", all)
	}
	if e := a.Events(); !slices.ContainsFunc(e, func(e auth.Event) bool {
		return e.Kind == auth.EventLoginSucceeded && e.UserID == a.susan.ID && e.Method == "passkey"
	}) {
		t.Errorf("the events are %v", e)
	}
}

// A passkey that was removed after its answer was checked logs nobody in.
func TestPasskeyRemovedDuringTheLogin(t *testing.T) {
	t.Parallel()
	a := newPasskeyApp(t)
	a.keys.give(a.susan.ID, "key")
	a.keys.identified = func() {
		a.keys.identified = nil
		must(t, a.remove(a.own, "key"))
	}
	must(t, a.act(a.own, func(ctx context.Context) error { return a.LoginUser(ctx, a.susan, auth.By("passkey")) }))
	c := a.Client(t)
	if err := a.enter(c, a.prompt(t, c), "key"); !errors.Is(err, auth.ErrUnknownPasskey) || c.Who() != "nobody" {
		t.Errorf("%v, %q", err, c.Who())
	}
	if all := logins(t, a.App, a.susan.ID); len(all) != 1 {
		t.Errorf("the logins are %+v", all)
	}
}

// Prompts cost the store nothing, and the browser has the last four of them for five
// minutes.
func TestPasskeyPrompts(t *testing.T) {
	t.Parallel()
	a := newPasskeyApp(t)
	a.keys.give(a.susan.ID, "key")
	c := a.Client(t)
	a.store.Reset()
	var prompts []string
	for range 5 {
		prompts = append(prompts, a.prompt(t, c))
	}
	if calls := a.store.Calls(); len(calls) != 0 {
		t.Errorf("the prompts cost these calls of the store: %v", calls)
	}
	if err := a.enter(c, prompts[0], "key"); !errors.Is(err, auth.ErrWrongFactor) {
		t.Errorf("the first of five prompts: %v", err)
	}
	other := a.Client(t)
	a.prompt(t, other)
	if err := a.enter(other, prompts[1], "key"); !errors.Is(err, auth.ErrWrongFactor) {
		t.Errorf("in another browser: %v", err)
	}
	a.Clock.Advance(5 * time.Minute)
	last := a.prompt(t, c)
	if err := a.enter(c, prompts[4], "key"); !errors.Is(err, auth.ErrWrongFactor) {
		t.Errorf("after five minutes: %v", err)
	}
	if err := a.enter(c, last, "key"); err != nil {
		t.Error(err)
	}
}

// Each of two pages that were open before the login can still log in after the other.
func TestPasskeyPromptsOfTwoPages(t *testing.T) {
	t.Parallel()
	a := newPasskeyApp(t)
	anna := member(t, a.App, "anna", testapp.Password, verified)
	a.keys.give(a.susan.ID, "key")
	a.keys.give(anna.ID, "annas")
	c := a.Client(t)
	one, two := a.prompt(t, c), a.prompt(t, c)
	if err := a.enter(c, two, "key"); err != nil || c.Who() != "susan" {
		t.Errorf("%v, %q", err, c.Who())
	}
	if err := a.enter(c, one, "annas"); err != nil || c.Who() != "anna" {
		t.Errorf("%v, %q", err, c.Who())
	}
}

// Disabled users, and passkeys that are wrong, unknown, or of a deleted user, log nobody in.
func TestPasskeyRefused(t *testing.T) {
	t.Parallel()
	a := newPasskeyApp(t)
	anna := member(t, a.App, "anna", testapp.Password, verified)
	a.keys.give(a.susan.ID, "key")
	a.keys.give(anna.ID, "annas")
	for _, c := range []struct {
		name, key string
		prepare   func()
		want      error
	}{
		{"unknown", "other", func() {}, auth.ErrUnknownPasskey},
		{"disabled", "key", func() { change(t, a.App, a.susan.ID, func(a *auth.Account) { a.Disabled = true }) }, auth.ErrDisabled},
		{"deleted", "annas", func() { deleteUser(t, a.App, anna.ID) }, auth.ErrWrongFactor},
		{"the factor fails", "key", func() { a.keys.failure = errStore }, errStore},
	} {
		browser := a.Client(t)
		prompt := a.prompt(t, browser)
		c.prepare()
		a.Events()
		err := a.enter(browser, prompt, c.key)
		if !errors.Is(err, c.want) || browser.Who() != "nobody" {
			t.Errorf("%s: %v, %q", c.name, err, browser.Who())
		}
		if e := a.Events(); !errors.Is(c.want, errStore) && (len(e) == 0 || e[0].Err == nil) {
			t.Errorf("%s: the events are %v", c.name, e)
		}
	}
}

// Wrong answers count for the client's address, and prompts do not.
func TestWrongPasskeysAreLimited(t *testing.T) {
	t.Parallel()
	a := newPasskeyApp(t, func(c *auth.Config) { c.Limits.Guesses = 3 })
	a.keys.give(a.susan.ID, "key")
	c := a.Client(t)
	for range 20 {
		a.prompt(t, c)
	}
	prompt := a.prompt(t, c)
	for range 10 { // right ones cost nothing
		if err := a.enter(c, prompt, "key"); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 4 {
		err := a.enter(c, prompt, "other")
		if limited := errors.Is(err, auth.ErrRateLimited); err == nil || limited != (i == 3) {
			t.Errorf("wrong answer %d: %v", i+1, err)
		}
	}
}

// A login is confirmed by a passkey of its user, and by no other one.
func TestConfirmByPasskey(t *testing.T) {
	t.Parallel()
	a := newPasskeyApp(t)
	anna := member(t, a.App, "anna", testapp.Password, verified)
	a.keys.give(anna.ID, "annas")
	confirm := func(prompt, id string) error {
		return a.act(a.own, func(ctx context.Context) error {
			return a.ConfirmByPasskey(ctx, url.Values{"passkey": {id}, "prompt": {prompt}})
		})
	}
	a.keys.give(a.susan.ID, "key")
	anonymous := a.Client(t)
	forLogin := a.prompt(t, anonymous)
	a.Clock.Advance(20 * time.Minute)
	if r := a.own.Get("/fresh5"); r.StatusCode == http.StatusOK {
		t.Fatal("the login is fresh")
	}
	prompt := a.prompt(t, a.own)
	for what, err := range map[string]error{
		"another user's passkey":       confirm(prompt, "annas"),
		"the prompt of a login page":   confirm(forLogin, "key"),
		"a prompt of ConfirmByPasskey": a.enter(a.own, prompt, "key"),
	} {
		if !errors.Is(err, auth.ErrWrongFactor) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if r := a.own.Get("/fresh5"); r.StatusCode == http.StatusOK {
		t.Error("a refused passkey has made the login fresh")
	}
	if err := confirm(prompt, "key"); err != nil {
		t.Error(err)
	}
	for _, path := range []string{"/second", "/fresh5"} {
		if r := a.own.Get(path); r.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, r.Status)
		}
	}
	if err := a.act(a.Client(t), func(ctx context.Context) error { return a.ConfirmByPasskey(ctx, nil) }); !errors.Is(err, auth.ErrNotLoggedIn) {
		t.Errorf("without a login: %v", err)
	}
}

// The first passkey ends other logins. A further one does not, and keeps the Stamp.
func TestAddPasskeys(t *testing.T) {
	t.Parallel()
	a := newPasskeyApp(t)
	other := a.Client(t)
	other.Login("susan")
	a.Events()
	if err := a.add(a.own, "one"); err != nil {
		t.Fatal(err)
	}
	if a.own.Who() != "susan" || other.Who() != "nobody" {
		t.Errorf("after the first passkey this login is %q, and another one %q", a.own.Who(), other.Who())
	}
	a.wantMails(t, "the first passkey", "passkey-added to susan@app.example")
	stamp := stored(t, a.App, a.susan.ID).Stamp
	if err := a.enter(other, a.prompt(t, other), "one"); err != nil {
		t.Fatal(err)
	}
	a.Events()
	if err := a.add(a.own, "two"); err != nil {
		t.Fatal(err)
	}
	a.wantMails(t, "the second passkey", "passkey-added to susan@app.example")
	if e := a.Events(); len(e) != 1 || e[0].Kind != auth.EventFactorAdded || e[0].Method != "passkey" {
		t.Errorf("the events are %v", e)
	}
	if !stored(t, a.App, a.susan.ID).Stamp.Equal(stamp) || other.Who() != "susan" {
		t.Error("a further passkey has changed the Stamp")
	}
	all, err := a.Passkeys(t.Context(), a.susan)
	if err != nil || len(all) != 2 {
		t.Errorf("%v, %v", all, err)
	}
	if err := a.add(a.own, "two"); !errors.Is(err, auth.ErrWrongFactor) {
		t.Errorf("the same passkey again: %v", err)
	}
	if err := a.add(a.Client(t), "three"); !errors.Is(err, auth.ErrNotLoggedIn) {
		t.Errorf("without a login: %v", err)
	}
	a.Clock.Advance(20 * time.Minute)
	if err := a.add(a.own, "three"); !errors.Is(err, auth.ErrNotFresh) {
		t.Errorf("after 20 minutes: %v", err)
	}
}

// If something that ends logins comes first, a passkey that is being added is taken back.
func TestPasskeyAddedTooLate(t *testing.T) {
	t.Parallel()
	for name, during := range map[string]func(a *passkeyApp){
		"before it is stored": func(a *passkeyApp) { a.keys.adding = func() { a.reset(t) } },
		"after it is stored":  func(a *passkeyApp) { a.keys.after = func() { a.reset(t) } },
		"disabled": func(a *passkeyApp) {
			a.keys.after = func() { change(t, a.App, a.susan.ID, func(a *auth.Account) { a.Disabled = true }) }
		},
	} {
		a := newPasskeyApp(t)
		if err := a.add(a.own, "one"); err != nil {
			t.Fatal(err)
		}
		during(a)
		if err := a.add(a.own, "two"); !errors.Is(err, auth.ErrConflict) && !errors.Is(err, auth.ErrDisabled) {
			t.Errorf("%s: %v", name, err)
		}
		a.keys.adding, a.keys.after = nil, nil
		if all, err := a.keys.Passkeys(t.Context(), a.susan.ID); err != nil || slices.ContainsFunc(all, func(p auth.Passkey) bool { return p.ID == "two" }) {
			t.Errorf("%s: the passkeys are %v, %v", name, all, err)
		}
	}
}

// reset has the owner reset the password.
func (a *passkeyApp) reset(t *testing.T) {
	t.Helper()
	if _, err := a.ResetPassword(t.Context(), resetToken(t, a.App, stored(t, a.App, a.susan.ID)), resetTo); err != nil {
		t.Error(err)
	}
}

func (a *passkeyApp) remove(c *testapp.Client, id string) error {
	return a.act(c, func(ctx context.Context) error { return a.RemovePasskey(ctx, id) })
}

func TestRemovePasskey(t *testing.T) {
	t.Parallel()
	a := newPasskeyApp(t)
	for _, id := range []string{"one", "two"} {
		if err := a.add(a.own, id); err != nil {
			t.Fatal(err)
		}
	}
	err := a.act(a.own, func(ctx context.Context) error { _, err := a.NewRecoveryCodes(ctx, "spare"); return err })
	if err != nil {
		t.Fatal(err)
	}
	anna := member(t, a.App, "anna", testapp.Password, verified)
	a.keys.give(anna.ID, "annas")
	for _, id := range []string{"annas", "unknown", ""} {
		if err := a.remove(a.own, id); !errors.Is(err, auth.ErrNoFactor) {
			t.Errorf("passkey %q: %v", id, err)
		}
		if err := a.act(a.own, func(ctx context.Context) error { return a.RenamePasskey(ctx, id, "mine") }); !errors.Is(err, auth.ErrNoFactor) {
			t.Errorf("a name for %q: %v", id, err)
		}
	}
	if err := a.act(a.own, func(ctx context.Context) error { return a.RenamePasskey(ctx, "two", "my phone") }); err != nil {
		t.Error(err)
	}
	other := a.Client(t)
	if err := a.enter(other, a.prompt(t, other), "one"); err != nil {
		t.Fatal(err)
	}
	a.box.Take()
	if err := a.remove(a.own, "one"); err != nil {
		t.Fatal(err)
	}
	a.wantMails(t, "a passkey is removed", "passkey-removed to susan@app.example")
	if a.own.Who() != "susan" || other.Who() != "nobody" {
		t.Errorf("this login is %q, and one by the removed passkey %q", a.own.Who(), other.Who())
	}
	if all, _ := a.Passkeys(t.Context(), a.susan); len(all) != 1 || all[0].Name != "my phone" {
		t.Errorf("the passkeys are %v", all)
	}
	if left, _ := a.spare.Left(t.Context(), a.susan.ID); left == 0 {
		t.Error("the recovery codes are gone while a passkey is left")
	}
	if err := a.remove(a.own, "two"); err != nil { // the password is left
		t.Fatal(err)
	}
	if left, _ := a.spare.Left(t.Context(), a.susan.ID); left != 0 {
		t.Error("recovery codes are left without a factor")
	}
	c := a.Client(t)
	if c.Login("susan"); c.Who() != "susan" {
		t.Error("the password alone does not log in after the last passkey was removed")
	}
}

// An attacker has the passkey, and logs in by it while its owner removes it: after the account
// has got a new Stamp, and before the passkey is gone. That login ends, too.
func TestLoginWhileThePasskeyIsRemoved(t *testing.T) {
	t.Parallel()
	for what, remove := range map[string]func(a *passkeyApp) error{
		"one of two": func(a *passkeyApp) error {
			a.keys.give(a.susan.ID, "other")
			return a.remove(a.own, "stolen")
		},
		"the last one": func(a *passkeyApp) error { return a.remove(a.own, "stolen") },
		"the factor": func(a *passkeyApp) error {
			return a.act(a.own, func(ctx context.Context) error { return a.RemoveFactor(ctx, "passkey") })
		},
		"by an administrator": func(a *passkeyApp) error { return a.ResetFactors(context.Background(), a.susan.ID) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			a := newPasskeyApp(t)
			if err := a.add(a.own, "stolen"); err != nil {
				t.Fatal(err)
			}
			attacker := a.Client(t)
			prompt := a.prompt(t, attacker)
			a.keys.removal = sync.OnceFunc(func() {
				if err := a.enter(attacker, prompt, "stolen", auth.Remember(true)); err != nil {
					t.Error(err)
				}
			})
			if err := remove(a); err != nil {
				t.Fatal(err)
			}
			if who := attacker.Who(); who != "nobody" {
				t.Errorf("the attacker is %q", who)
			}
			if who := a.own.Who(); who != "susan" && what != "by an administrator" {
				t.Errorf("the login that removed the passkey is %q", who)
			}
		})
	}
}

// An attacker has the password and the passkey as second factor. The owner removes the passkey:
// the account has its new Stamp, and the attacker's answer is checked then. The login ends, also
// if it is stored after the removal has ended all others.
func TestSecondFactorWhileThePasskeyIsRemoved(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"stolen", "owners"} {
		a := newPasskeyApp(t)
		a.keys.give(a.susan.ID, "stolen", "owners")
		must(t, a.act(a.own, func(ctx context.Context) error { return a.LoginUser(ctx, a.susan, auth.By("passkey")) }))
		c := a.Client(t)
		checked, removed, answered := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		a.keys.identified = sync.OnceFunc(func() {
			close(checked)
			<-removed
		})
		a.keys.removal = sync.OnceFunc(func() {
			c.Post("/login", "login", "susan", "password", testapp.Password)
			must(t, a.act(c, func(ctx context.Context) error { _, err := a.PromptFactor(ctx, "passkey"); return err }))
			go func() {
				answered <- a.act(c, func(ctx context.Context) error {
					return a.ContinueLogin(ctx, "passkey", url.Values{"passkey": {id}})
				})
			}()
			<-checked
		})
		finish(t, func() {
			must(t, a.remove(a.own, "stolen"))
			close(removed)
			err, who := <-answered, c.Who()
			if id == "stolen" && (!errors.Is(err, auth.ErrNoPending) || who != "nobody") || id == "owners" && (err != nil || who != "susan") {
				t.Errorf("with the passkey %q: %v, %q", id, err, who)
			}
		})
	}
}

// The last way to log in stays, and a passkey that does not work is none.
func TestLastWayInStays(t *testing.T) {
	t.Parallel()
	a := newPasskeyApp(t)
	removePassword := func() error {
		return a.act(a.own, func(ctx context.Context) error { return a.RemovePassword(ctx) })
	}
	if err := removePassword(); !errors.Is(err, auth.ErrLastWayIn) {
		t.Errorf("the password, without a passkey: %v", err)
	}
	for _, id := range []string{"one", "two"} {
		if err := a.add(a.own, id); err != nil {
			t.Fatal(err)
		}
	}
	a.box.Take()
	if err := removePassword(); err != nil || !stored(t, a.App, a.susan.ID).PasswordHash.IsZero() || a.own.Who() != "susan" {
		t.Errorf("the password, with passkeys: %v, %q", err, a.own.Who())
	}
	a.wantMails(t, "the password is removed", "password-removed to susan@app.example")
	suspend := func(id string, suspended bool) {
		for i, p := range a.keys.kept[a.susan.ID] {
			if p.ID == id {
				a.keys.kept[a.susan.ID][i].Suspended = suspended
			}
		}
	}
	suspend("two", true)
	if err := a.remove(a.own, "one"); !errors.Is(err, auth.ErrLastWayIn) {
		t.Errorf("the last passkey that works: %v", err)
	}
	suspend("two", false)
	if err := a.remove(a.own, "one"); err != nil {
		t.Error(err)
	}
	if err := a.remove(a.own, "two"); !errors.Is(err, auth.ErrLastWayIn) {
		t.Errorf("the last passkey: %v", err)
	}
	if err := a.act(a.own, func(ctx context.Context) error { return a.RemoveFactor(ctx, "passkey") }); !errors.Is(err, auth.ErrLastWayIn) {
		t.Errorf("all passkeys: %v", err)
	}
	if err := a.act(a.own, func(ctx context.Context) error { return a.SetPassword(ctx, stored(t, a.App, a.susan.ID), resetTo) }); err != nil {
		t.Error(err)
	}
	if err := a.remove(a.own, "two"); err != nil {
		t.Errorf("the last passkey, with a password: %v", err)
	}
}

// A user with a password has one passkey that works and one that was copied. Without the first
// one, a login would ask for a passkey that nobody can show.
func TestLastFactorThatWorksStays(t *testing.T) {
	t.Parallel()
	a := newPasskeyApp(t)
	for _, id := range []string{"one", "copied"} {
		if err := a.add(a.own, id); err != nil {
			t.Fatal(err)
		}
	}
	a.keys.kept[a.susan.ID][1].Suspended = true
	if err := a.remove(a.own, "one"); !errors.Is(err, auth.ErrLastWayIn) {
		t.Errorf("the last one that works: %v", err)
	}
	if err := a.act(a.own, func(ctx context.Context) error { _, err := a.NewRecoveryCodes(ctx, "spare"); return err }); err != nil {
		t.Fatal(err)
	}
	if err := a.remove(a.own, "one"); err != nil {
		t.Errorf("with recovery codes: %v", err)
	}
	if err := a.remove(a.own, "copied"); err != nil {
		t.Errorf("the copied one: %v", err)
	}
}

// A user with an app and a passkey that was copied cannot remove the app.
func TestOtherFactorStaysBesideACopiedPasskey(t *testing.T) {
	t.Parallel()
	a := newPasskeyApp(t)
	must(t, a.add(a.own, "copied"))
	must(t, a.act(a.own, func(ctx context.Context) error { return a.EnrollFactor(ctx, "code", setup) }))
	removeCode := func() error {
		return a.act(a.own, func(ctx context.Context) error { return a.RemoveFactor(ctx, "code") })
	}
	a.keys.kept[a.susan.ID][0].Suspended = true
	if err := removeCode(); !errors.Is(err, auth.ErrLastWayIn) {
		t.Errorf("beside a copied passkey: %v", err)
	}
	a.keys.kept[a.susan.ID][0].Suspended = false
	if err := removeCode(); err != nil {
		t.Errorf("beside one that works: %v", err)
	}
}

// Two logins that each remove one of the last two passkeys at the same moment: one stays.
func TestTwoRemovalsOfTheLastWaysIn(t *testing.T) {
	t.Parallel()
	for range testapp.Rounds(t, 20, 100) {
		a := newPasskeyApp(t)
		for _, id := range []string{"one", "two"} {
			if err := a.add(a.own, id); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.act(a.own, func(ctx context.Context) error { return a.RemovePassword(ctx) }); err != nil {
			t.Fatal(err)
		}
		browsers := map[string]*testapp.Client{"one": a.Client(t), "two": a.Client(t)}
		for id, c := range browsers {
			if err := a.enter(c, a.prompt(t, c), id); err != nil {
				t.Fatal(err)
			}
		}
		var running sync.WaitGroup
		var mu sync.Mutex
		removed := 0
		for id, c := range browsers {
			running.Go(func() {
				err := a.remove(c, id)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					removed++
				}
			})
		}
		running.Wait()
		if all, err := a.keys.Passkeys(t.Context(), a.susan.ID); err != nil || len(all) != 1 || removed != 1 {
			t.Errorf("%d removals, and %d passkeys are left, %v", removed, len(all), err)
		}
	}
}

// A user of whom a factor is required cannot remove the last one.
func TestRequiredPasskeyStays(t *testing.T) {
	t.Parallel()
	a := newPasskeyApp(t, func(c *auth.Config) { c.RequireFactor = func(auth.User) bool { return true } })
	if err := a.add(a.own, "one"); err != nil {
		t.Fatal(err)
	}
	if err := a.remove(a.own, "one"); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("the last required factor: %v", err)
	}
}

// A user of whom a factor is required removes both at the same moment, in two browsers. One stays.
func TestTwoRemovalsOfRequiredFactors(t *testing.T) {
	t.Parallel()
	for range testapp.Rounds(t, 20, 100) {
		a := newPasskeyApp(t, func(c *auth.Config) { c.RequireFactor = func(auth.User) bool { return true } })
		must(t, a.add(a.own, "one"))
		must(t, a.act(a.own, func(ctx context.Context) error { return a.EnrollFactor(ctx, "code", setup) }))
		other := a.Client(t)
		must(t, a.enter(other, a.prompt(t, other), "one"))
		var running sync.WaitGroup
		var mu sync.Mutex
		removed := 0
		for _, remove := range []func() error{
			func() error { return a.remove(a.own, "one") },
			func() error {
				return a.act(other, func(ctx context.Context) error { return a.RemoveFactor(ctx, "code") })
			},
		} {
			running.Go(func() {
				if err := remove(); err == nil {
					mu.Lock()
					defer mu.Unlock()
					removed++
				}
			})
		}
		running.Wait()
		states, err := a.FactorsOf(t.Context(), a.susan)
		if err != nil || removed != 1 || states[0].Enrolled == states[1].Enrolled {
			t.Errorf("%d removals, and the factors are %+v, %v", removed, states, err)
		}
	}
}

// A password login of a user with a passkey owes a factor, and the passkey is one.
func TestPasskeyAsSecondFactor(t *testing.T) {
	t.Parallel()
	a := newPasskeyApp(t, func(c *auth.Config) { c.Limits.Guesses = 200 })
	a.keys.give(a.susan.ID, "key")
	begin := func() *testapp.Client {
		c := a.Client(t)
		if r := c.Post("/login", "login", "susan", "password", testapp.Password); !strings.HasPrefix(r.Header.Get("Location"), "/login/verify") {
			t.Fatalf("the login goes to %q", r.Header.Get("Location"))
		}
		if err := a.act(c, func(ctx context.Context) error { _, err := a.PromptFactor(ctx, "passkey"); return err }); err != nil {
			t.Fatal(err)
		}
		return c
	}
	answer := func(c *testapp.Client, id string) error {
		return a.act(c, func(ctx context.Context) error { return a.ContinueLogin(ctx, "passkey", url.Values{"passkey": {id}}) })
	}
	for range 120 { // nobody can lock the owner out: wrong answers count for the address
		if err := answer(begin(), "wrong"); !errors.Is(err, auth.ErrWrongFactor) {
			t.Fatal(err)
		}
	}
	c := begin()
	if err := answer(c, "key"); err != nil || c.Who() != "susan" {
		t.Errorf("%v, %q", err, c.Who())
	}
}

// A PasskeyFactor that keeps too much is an error, and so are two of them.
func TestPasskeyFactorOutOfBounds(t *testing.T) {
	t.Parallel()
	a := newPasskeyApp(t)
	a.keys.private = strings.Repeat("x", 65)
	if err := a.act(a.Client(t), func(ctx context.Context) error { _, err := a.PromptPasskey(ctx); return err }); err == nil || !strings.Contains(err.Error(), "65 private bytes") {
		t.Error(err)
	}
	cfg := goodConfig()
	cfg.Factors = []auth.Factor{newPasskeys(), secondPasskeys{newPasskeys()}}
	if _, err := auth.New(a.Store, cfg); err == nil || !strings.Contains(err.Error(), "Config.Factors[1] is a second PasskeyFactor") {
		t.Error(err)
	}
}

type secondPasskeys struct{ *passkeys }

func (secondPasskeys) Name() string { return "passkey2" }

// Without a PasskeyFactor, all its methods say so.
func TestNoPasskeyFactor(t *testing.T) {
	t.Parallel()
	a := newEnrollApp(t)
	a.In(a.own, func(ctx context.Context) {
		_, prompt := a.PromptPasskey(ctx)
		_, login := a.LoginByPasskey(ctx, nil)
		_, all := a.Passkeys(ctx, a.susan)
		_, known := a.KnownPasskeys(ctx)
		for i, err := range []error{prompt, login, a.ConfirmByPasskey(ctx, nil), all, known, a.RenamePasskey(ctx, "", ""), a.RemovePasskey(ctx, "")} {
			if !errors.Is(err, auth.ErrNoFactor) {
				t.Errorf("%d: %v", i, err)
			}
		}
	})
	if err := a.do(func(ctx context.Context) error { return a.RemovePassword(ctx) }); !errors.Is(err, auth.ErrLastWayIn) {
		t.Error(err)
	}
}

// If the owner undoes a change of the address, a passkey that an attacker has added since
// then is gone, and the owner's stays.
func TestUndoRemovesPasskeys(t *testing.T) {
	t.Parallel()
	a := newPasskeyApp(t)
	undo := a.changeEmail(t, a.own, "attacker@app.example")
	a.keys.give(a.susan.ID, "owners", "attackers")
	kept := a.keys.kept[a.susan.ID]
	kept[0].Created, kept[1].Created = a.Clock.Now().Add(-time.Hour), a.Clock.Now().Add(time.Second)
	if _, err := a.UndoEmailChange(t.Context(), undo); err != nil {
		t.Fatal(err)
	}
	if all, err := a.Passkeys(t.Context(), a.susan); err != nil || len(all) != 1 || all[0].ID != "owners" {
		t.Errorf("the passkeys are %v, %v", all, err)
	}
	c := a.Client(t)
	if err := a.enter(c, a.prompt(t, c), "attackers"); err == nil || c.Who() != "nobody" {
		t.Errorf("the attacker's passkey: %v, %q", err, c.Who())
	}
}
