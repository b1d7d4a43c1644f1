package auth_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// identities is an auth.Identities. Its provider is "example".
type identities struct {
	mu      sync.Mutex
	kept    map[string][]auth.Identity // by user ID
	failure error
	trust   bool   // Provider.Multifactor
	saving  func() // runs in save, before the identity is kept
	leaving func() // runs in Forget, before the identity is gone
	feature *auth.Feature
}

func (i *identities) Providers() []auth.Provider {
	return []auth.Provider{{Name: "example", Label: "Example", Start: "/oauth/example", Multifactor: i.trust}}
}

func (i *identities) Identities(_ context.Context, userID string) ([]auth.Identity, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.kept[userID]), i.failure
}

func (i *identities) Forget(_ context.Context, userID, id string) error {
	if i.leaving != nil {
		i.leaving()
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.kept[userID] = slices.DeleteFunc(i.kept[userID], func(x auth.Identity) bool { return x.ID == id })
	return i.failure
}

// add has a user connect an identity.
func (i *identities) add(ctx context.Context, u auth.User, id string) error {
	userID := u.AuthAccount().ID
	x := auth.Identity{ID: id, Provider: "example"}
	return i.feature.AddIdentity(ctx, u, x, func(context.Context) error {
		if i.saving != nil {
			i.saving()
		}
		i.mu.Lock()
		defer i.mu.Unlock()
		i.kept[userID] = append(i.kept[userID], x)
		return i.failure
	}, func(ctx context.Context) error { return i.Forget(ctx, userID, id) })
}

// provide gives an application identities.
func provide(t *testing.T, app *testapp.App) *identities {
	t.Helper()
	feature, err := app.Feature("oauth")
	if err != nil {
		t.Fatal(err)
	}
	i := &identities{kept: map[string][]auth.Identity{}, feature: feature}
	must(t, feature.ProvideIdentities(i))
	return i
}

// An identityApp is an application in which users log in at a provider.
type identityApp struct {
	*passkeyApp
	ids *identities
}

func newIdentityApp(t *testing.T, change ...func(*auth.Config)) *identityApp {
	t.Helper()
	a := &identityApp{passkeyApp: newPasskeyApp(t, change...)}
	a.ids = provide(t, a.App)
	return a
}

func (a *identityApp) disconnect(c *testapp.Client, id string) error {
	return a.act(c, func(ctx context.Context) error { return a.RemoveIdentity(ctx, id) })
}

// An identity is added without ending anything, and its removal ends other logins.
func TestAddAndRemoveIdentity(t *testing.T) {
	t.Parallel()
	a := newIdentityApp(t)
	other := a.Client(t)
	other.Login("susan")
	a.Events()
	stamp := stored(t, a.App, a.susan.ID).Stamp
	if err := a.ids.add(t.Context(), a.susan, "one"); err != nil {
		t.Fatal(err)
	}
	a.wantMails(t, "added", "identity-added to susan@app.example")
	if e := a.Events(); len(e) != 1 || e[0].Kind != auth.EventIdentityAdded || e[0].UserID != a.susan.ID || e[0].Method != "example" {
		t.Errorf("the events are %v", e)
	}
	if !stored(t, a.App, a.susan.ID).Stamp.Equal(stamp) || other.Who() != "susan" {
		t.Error("adding an identity has changed the Stamp")
	}
	if all, err := a.Identities(t.Context(), a.susan); err != nil || len(all) != 1 || a.Providers()[0].Name != "example" {
		t.Errorf("%v, %v", all, err)
	}
	for _, id := range []string{"", "two"} {
		if err := a.disconnect(a.own, id); !errors.Is(err, auth.ErrIdentityNotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
	a.Clock.Advance(20 * time.Minute)
	if err := a.disconnect(a.own, "one"); !errors.Is(err, auth.ErrNotFresh) {
		t.Errorf("after 20 minutes: %v", err)
	}
	if err := a.act(a.own, func(ctx context.Context) error { _, err := a.FreshUser(ctx); return err }); !errors.Is(err, auth.ErrNotFresh) {
		t.Errorf("after 20 minutes: %v", err)
	}
	a.own.Login("susan")
	if err := a.disconnect(a.own, "one"); err != nil {
		t.Fatal(err)
	}
	a.wantMails(t, "removed", "identity-removed to susan@app.example")
	if other.Who() != "nobody" || a.own.Who() != "susan" {
		t.Errorf("another login is %q, and the one that asked is %q", other.Who(), a.own.Who())
	}
}

// If a change that ends logins comes first, an identity that is being added is taken back.
func TestIdentityAddedTooLate(t *testing.T) {
	t.Parallel()
	a := newIdentityApp(t)
	a.ids.saving = func() { a.reset(t) }
	if err := a.ids.add(t.Context(), a.susan, "one"); !errors.Is(err, auth.ErrConflict) {
		t.Error(err)
	}
	if all, _ := a.Identities(t.Context(), a.susan); len(all) != 0 {
		t.Errorf("the identities are %v", all)
	}
}

// An attacker logs in by an identity between the moment at which it is stored and the one at which
// it is taken back, because the owner has reset the password. That login ends, too.
func TestLoginByIdentityTakenBack(t *testing.T) {
	t.Parallel()
	a := newIdentityApp(t)
	thief := a.Client(t)
	a.ids.saving = func() {
		a.reset(t)
		a.store.Hook(func(method string) error {
			if method == "LoadUser" {
				a.store.Reset()
				must(t, a.act(thief, func(ctx context.Context) error {
					return a.LoginUser(ctx, stored(t, a.App, a.susan.ID), auth.By("oauth:example"), auth.ByIdentity("one"), auth.Remember(true))
				}))
			}
			return nil
		}, nil)
	}
	if err := a.ids.add(t.Context(), a.susan, "one"); !errors.Is(err, auth.ErrConflict) {
		t.Error(err)
	}
	if who := thief.Who(); who != "nobody" {
		t.Errorf("the login by the identity that was taken back is %q's", who)
	}
	if all := logins(t, a.App, a.susan.ID); len(all) != 0 {
		t.Errorf("the logins are %+v", all)
	}
}

// An identity is removed during a login by it, and the store of the records fails. The sessions are
// in another store, which works. The login does not stay.
func TestLoginThatCannotBeEnded(t *testing.T) {
	t.Parallel()
	var sessions *testapp.Spy
	a := newIdentityApp(t, func(c *auth.Config) {
		sessions = testapp.SpyOn(memstore.New[testapp.User](memstore.WithClock(c.Now)))
		c.SessionStore = sessions
	})
	sessions.Hook(nil, func(method string) error {
		if method == "InsertRecord" {
			a.store.Fail("ListRecords", "TakeRecord", "UpdateRecord")
		}
		return nil
	})
	c := a.Client(t)
	err := a.act(c, func(ctx context.Context) error {
		return a.LoginUser(ctx, a.susan, auth.By("oauth:example"), auth.ByIdentity("gone"))
	})
	a.store.Reset()
	if !errors.Is(err, auth.ErrIdentityNotFound) || !errors.Is(err, testapp.ErrStore) {
		t.Error(err)
	}
	if who := c.Who(); who != "nobody" {
		t.Errorf("the login is %q's", who)
	}
	if all := logins(t, a.App, a.susan.ID); len(all) != 1 {
		t.Errorf("besides susan's own there are: %+v", all)
	}
}

// Identities, passkeys and the password are ways to log in, and the last one stays.
func TestLastIdentityStays(t *testing.T) {
	t.Parallel()
	a := newIdentityApp(t)
	must(t, a.ids.add(t.Context(), a.susan, "one"))
	removePassword := func() error {
		return a.act(a.own, func(ctx context.Context) error { return a.RemovePassword(ctx) })
	}
	a.ids.kept[a.susan.ID][0].Unusable = true
	if err := removePassword(); !errors.Is(err, auth.ErrLastWayIn) {
		t.Errorf("the password, with an identity of a provider that is gone: %v", err)
	}
	a.ids.kept[a.susan.ID][0].Unusable = false
	must(t, removePassword())
	if err := a.disconnect(a.own, "one"); !errors.Is(err, auth.ErrLastWayIn) {
		t.Errorf("the last identity: %v", err)
	}
	must(t, a.add(a.own, "key"))
	must(t, a.disconnect(a.own, "one"))
	if err := a.remove(a.own, "key"); !errors.Is(err, auth.ErrLastWayIn) {
		t.Errorf("the last passkey: %v", err)
	}
	a.ids.failure = errStore
	if err := a.remove(a.own, "key"); !errors.Is(err, errStore) {
		t.Errorf("while the identities cannot be read: %v", err)
	}
}

// A login at a provider that has asked for several factors owes none here.
func TestMultifactor(t *testing.T) {
	t.Parallel()
	a := newIdentityApp(t)
	a.code.enrolled[a.susan.ID] = true
	enter := func(c *testapp.Client, options ...auth.LoginOption) error {
		return a.act(c, func(ctx context.Context) error { return a.LoginUser(ctx, a.susan, options...) })
	}
	c := a.Client(t)
	if err := enter(c, auth.By("oauth:example")); !errors.Is(err, auth.ErrFactorRequired) {
		t.Errorf("without it: %v", err)
	}
	must(t, enter(c, auth.By("oauth:example"), auth.Multifactor()))
	if r := c.Get("/second"); r.StatusCode != http.StatusOK {
		t.Errorf("the rule SecondFactor: %s", r.Status)
	}
	if all := logins(t, a.App, a.susan.ID); !slices.ContainsFunc(all, func(l auth.Login) bool { return slices.Equal(l.Methods, []string{"oauth:example", "mfa"}) }) {
		t.Errorf("%+v", all)
	}
	for _, name := range []string{"mfa", "mfa:example"} {
		if err := enter(c, auth.By(name)); err == nil || !strings.Contains(err.Error(), "mfa") {
			t.Errorf("By(%q): %v", name, err)
		}
	}
	for _, name := range []string{"", "a b", strings.Repeat("a", 61)} {
		if err := enter(c, auth.MultifactorAt(name)); err == nil {
			t.Errorf("MultifactorAt(%q) is accepted", name)
		}
	}
}

// The factors that a user has shown at a provider count as long as the provider is trusted with
// that. Afterwards, neither a login nor a remembered browser has shown a factor.
func TestMultifactorAt(t *testing.T) {
	t.Parallel()
	a := newIdentityApp(t)
	a.code.enrolled[a.susan.ID] = true
	c := a.Client(t)
	enter := func() error {
		return a.act(c, func(ctx context.Context) error {
			return a.LoginUser(ctx, a.susan, auth.By("oauth:example"), auth.MultifactorAt("example"), auth.Remember(true))
		})
	}
	if err := enter(); !errors.Is(err, auth.ErrFactorRequired) {
		t.Errorf("at a provider that is not trusted: %v", err)
	}
	c = a.Client(t)
	a.ids.trust = true
	must(t, enter())
	second := func(what string, want int) {
		t.Helper()
		if r := c.Get("/second"); r.StatusCode != want {
			t.Errorf("%s: %s, want %d", what, r.Status, want)
		}
	}
	second("the rule SecondFactor", http.StatusOK)
	c.Restart()
	second("a remembered browser", http.StatusOK)
	a.ids.trust = false
	second("after the trust", http.StatusSeeOther)
	c.Restart()
	if who := c.Who(); who == "susan" {
		t.Error("a remembered browser logs in without a factor")
	}
	a.ids.trust = true
	second("trusted again", http.StatusOK)
}

// Options of LoginUser that cannot have an effect in ConfirmLogin are errors.
func TestConfirmLoginRefusesOptions(t *testing.T) {
	t.Parallel()
	a := newIdentityApp(t)
	for name, option := range map[string]auth.LoginOption{"Stale": auth.Stale(), "Remember": auth.Remember(true), "RememberFor": auth.RememberFor(time.Hour)} {
		err := a.act(a.own, func(ctx context.Context) error { return a.ConfirmLogin(ctx, option) })
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, a.act(a.own, func(ctx context.Context) error {
		return a.ConfirmLogin(ctx, auth.Remember(false), auth.RememberFor(0), nil)
	}))
}

// ConfirmLogin notes how the user has shown who they are.
func TestConfirmLoginBy(t *testing.T) {
	t.Parallel()
	a := newIdentityApp(t)
	a.Clock.Advance(20 * time.Minute)
	confirm := func(options ...auth.LoginOption) error {
		return a.act(a.own, func(ctx context.Context) error { return a.ConfirmLogin(ctx, options...) })
	}
	if err := confirm(auth.By("remember")); err == nil {
		t.Error(`By("remember") is accepted`)
	}
	must(t, confirm(auth.By("oauth:example")))
	if r := a.own.Get("/fresh5"); r.StatusCode != http.StatusOK {
		t.Error(r.Status)
	}
	if all := logins(t, a.App, a.susan.ID); len(all) != 1 || !slices.Equal(all[0].Methods, []string{"oauth:example"}) {
		t.Errorf("%+v", all)
	}
}

// An address that was proved elsewhere is verified, and nobody is asked to check the mail.
func TestRegisterWithAVerifiedAddress(t *testing.T) {
	t.Parallel()
	box := &testapp.Outbox{}
	app, _ := newApp(t, func(c *auth.Config) { hideAccounts(c); c.Mailer = box })
	r := auth.Registration{Username: "anna", Email: "anna@app.example", NoPassword: true, EmailVerified: true}
	u, err := app.Register(t.Context(), r)
	if err != nil || !u.EmailVerified {
		t.Fatal(u, err)
	}
	if mails := box.Take(); len(mails) != 0 {
		t.Errorf("the mails are %v", mails)
	}
	if _, err := app.Register(t.Context(), auth.Registration{Username: "eve", Email: "anna@app.example", NoPassword: true, EmailVerified: true}); !errors.Is(err, auth.ErrEmailTaken) {
		t.Error(err)
	}
}

// Identities are provided once.
func TestProvideIdentities(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	i := provide(t, app)
	if err := i.feature.ProvideIdentities(i); err == nil {
		t.Error("a second call is accepted")
	}
	plain, _ := newApp(t, nil)
	susan := plain.Create(t, "susan", false)
	feature, err := plain.Feature("oauth")
	must(t, err)
	if err := feature.ProvideIdentities(nil); err == nil {
		t.Error("nil is accepted")
	}
	if all, err := plain.Identities(t.Context(), susan); err != nil || len(all) != 0 || len(plain.Providers()) != 0 {
		t.Errorf("without any: %v, %v", all, err)
	}
}

// A reset deletes the identities that came with a registration whose address nobody had proved:
// they may be an attacker's. If they cannot be deleted, nothing is reset.
func TestResetDeletesUnprovedIdentities(t *testing.T) {
	t.Parallel()
	a := newIdentityApp(t)
	a.ids.kept[a.susan.ID] = []auth.Identity{{ID: "one", Provider: "example", Unproved: true}, {ID: "two", Provider: "example"}}
	token := resetToken(t, a.App, a.susan)
	a.ids.failure = errStore
	if _, err := a.ResetPassword(t.Context(), token, resetTo); !errors.Is(err, errStore) {
		t.Errorf("while the store fails: %v", err)
	}
	a.ids.failure = nil
	a.Events()
	if _, err := a.ResetPassword(t.Context(), token, resetTo); err != nil {
		t.Fatal(err)
	}
	if e := a.Events(); len(e) == 0 || e[0].Kind != auth.EventIdentityRemoved && e[len(e)-2].Kind != auth.EventIdentityRemoved {
		t.Errorf("the events are %v", e)
	}
	if all := a.ids.kept[a.susan.ID]; len(all) != 1 || all[0].ID != "two" {
		t.Errorf("the identities are %v", all)
	}
}

// A feature finds users by ID and by address.
func TestFeatureFindsUsers(t *testing.T) {
	t.Parallel()
	a := newIdentityApp(t)
	f := a.ids.feature
	for _, address := range []string{"susan@app.example", "SUSAN@App.Example"} {
		if u, err := f.UserByEmail(t.Context(), address); err != nil || u.AuthAccount().ID != a.susan.ID {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{"", "susan", "anna@app.example", "@"} {
		if _, err := f.UserByEmail(t.Context(), address); !errors.Is(err, auth.ErrUserNotFound) {
			t.Errorf("%q: %v", address, err)
		}
	}
	if u, err := f.User(t.Context(), a.susan.ID); err != nil || u.AuthAccount().ID != a.susan.ID {
		t.Error(err)
	}
	for _, id := range []string{"", "x"} {
		if _, err := f.User(t.Context(), id); !errors.Is(err, auth.ErrUserNotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// The owner of an address hears of an identity that was refused, three times an hour. For an
// address that nobody has, the store has as much work.
func TestIdentityRefused(t *testing.T) {
	t.Parallel()
	a := newIdentityApp(t)
	refuse := func(address string) []string {
		a.Spy().Reset()
		must(t, a.ids.feature.IdentityRefused(t.Context(), address, "Example"))
		return a.Spy().Calls()
	}
	one, other := refuse("susan@app.example"), refuse("nobody@app.example")
	if !slices.Equal(one, other) {
		t.Errorf("with an account %v, without %v", one, other)
	}
	for range 5 {
		refuse("Susan@App.example")
	}
	const mail = "identity-refused to susan@app.example"
	a.wantMails(t, "in an hour", mail, mail, mail)
	a.Clock.Advance(time.Hour + time.Second)
	must(t, a.Disable(t.Context(), a.susan.ID))
	refuse("susan@app.example")
	a.wantMails(t, "disabled")
}

// An attacker has an identity of the user and a second factor. While the owner removes the
// identity, the attacker logs in by it: the account has its new Stamp, and the identity is still
// there. The login owes the factor, and the attacker shows it after the removal.
func TestIdentityRemovedDuringTheLogin(t *testing.T) {
	t.Parallel()
	a := newIdentityApp(t)
	a.code.enrolled[a.susan.ID] = true
	must(t, a.act(a.own, func(ctx context.Context) error { return a.LoginUser(ctx, a.susan, auth.By("code")) }))
	susan := func() *testapp.User { return stored(t, a.App, a.susan.ID) }
	enter := func(c *testapp.Client, id string) error {
		return a.act(c, func(ctx context.Context) error {
			return a.LoginUser(ctx, susan(), auth.By("oauth:example"), auth.ByIdentity(id))
		})
	}
	show := func(c *testapp.Client) error {
		a.code.give(a.susan.ID, "right")
		return a.act(c, func(ctx context.Context) error {
			_, err := a.PromptFactor(ctx, "code")
			must(t, err)
			return a.ContinueLogin(ctx, "code", url.Values{"code": {"right"}})
		})
	}
	a.ids.kept[a.susan.ID] = []auth.Identity{{ID: "owners", Provider: "example"}, {ID: "stolen", Provider: "example"}}
	attacker, owner := a.Client(t), a.Client(t)
	a.ids.leaving = func() {
		for c, id := range map[*testapp.Client]string{attacker: "stolen", owner: "owners"} {
			if err := enter(c, id); !errors.Is(err, auth.ErrFactorRequired) {
				t.Errorf("%s: %v", id, err)
			}
		}
	}
	must(t, a.disconnect(a.own, "stolen"))
	if err := show(owner); err != nil || owner.Who() != "susan" {
		t.Errorf("the owner: %v, %q", err, owner.Who())
	}
	if err := show(attacker); !errors.Is(err, auth.ErrNoPending) || attacker.Who() != "nobody" {
		t.Errorf("the attacker: %v, %q", err, attacker.Who())
	}
	// Without a second factor.
	a.code.enrolled[a.susan.ID] = false
	if err := enter(attacker, "stolen"); !errors.Is(err, auth.ErrIdentityNotFound) || attacker.Who() != "nobody" {
		t.Errorf("a removed identity: %v, %q", err, attacker.Who())
	}
	// A login that is confirmed by it ends.
	confirm := func(id string) error {
		return a.act(owner, func(ctx context.Context) error {
			return a.ConfirmLogin(ctx, auth.By("oauth:example"), auth.ByIdentity(id))
		})
	}
	if err := confirm("owners"); err != nil || owner.Who() != "susan" {
		t.Errorf("confirmed: %v, %q", err, owner.Who())
	}
	if err := confirm("stolen"); !errors.Is(err, auth.ErrIdentityNotFound) || owner.Who() != "nobody" {
		t.Errorf("confirmed by a removed identity: %v, %q", err, owner.Who())
	}
}
