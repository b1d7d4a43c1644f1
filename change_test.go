package auth_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// An exit is a method that changes a credential, an address or the state of an account,
// together with what the method promises.
type exit struct {
	// prepare runs before anybody logs in. It gets the user and their browser, and
	// returns the change.
	prepare func(t *testing.T, m *mailApp, u *testapp.User, browser *testapp.Client) func(context.Context) error

	configure  func(*auth.Config)  // changes the application's settings; may be nil
	unverified bool                // the user's address is not verified
	last       func(*auth.Account) // the application's change of the account just before
	goesOn     bool                // whether the login that makes the request goes on
	known      bool                // whether the browser is known afterwards
	forgets    bool                // whether the exit deletes the count of wrong passwords
	redeemed   func() string       // the mailed token that was used
	mail       string              // the mail that the owner gets
	done       auth.EventKind
	failed     auth.EventKind // "" for none
	closes     bool           // whether all records of the user are deleted
	deletes    bool           // whether the store can delete users
}

// exits are all exits of the library. TestNoOtherExit fails if one is missing.
func exits() map[string]exit {
	var sent string // the mailed token of this table's one application
	redeemed := func() string { return sent }
	factor, spare := newCodes(), newSpares()
	factors := func(c *auth.Config) { c.Factors = []auth.Factor{factor, spare} }
	keys := newPasskeys()
	passkeys := func(c *auth.Config) { c.Factors = []auth.Factor{keys} }
	addPasskey := func(t *testing.T, m *mailApp, u *testapp.User, browser *testapp.Client) {
		m.In(browser, func(ctx context.Context) {
			if err := m.EnrollFactor(ctx, "passkey", url.Values{"passkey": {"key"}}); err != nil {
				t.Error(err)
			}
		})
		delete(keys.kept, u.ID) // until just before the exit nobody is asked for it
	}
	withPasskey := func(a *auth.Account) { keys.give(a.ID, "key") }
	// enroll sets a factor up in the user's browser. Until just before the exit nobody else
	// is asked for it.
	enroll := func(t *testing.T, m *mailApp, u *testapp.User, browser *testapp.Client) {
		m.In(browser, func(ctx context.Context) {
			if err := m.EnrollFactor(ctx, "code", url.Values{"code": {"setup"}}); err != nil {
				t.Error(err)
			}
		})
		delete(factor.enrolled, u.ID)
	}
	enrolled := func(a *auth.Account) { factor.enrolled[a.ID] = true }
	return map[string]exit{
		"SetPassword": {
			prepare: func(_ *testing.T, m *mailApp, u *testapp.User, _ *testapp.Client) func(context.Context) error {
				return func(ctx context.Context) error { return m.SetPassword(ctx, u, resetTo) }
			},
			goesOn: true, forgets: true, mail: "password-changed to susan@app.example",
			done: auth.EventPasswordSet, failed: auth.EventPasswordSetFailed,
		},
		"ResetPassword": {
			prepare: func(t *testing.T, m *mailApp, u *testapp.User, _ *testapp.Client) func(context.Context) error {
				sent = resetToken(t, m.App, u)
				return func(ctx context.Context) error { _, err := m.ResetPassword(ctx, sent, resetTo); return err }
			},
			known: true, forgets: true, redeemed: redeemed, mail: "password-changed to susan@app.example",
			done: auth.EventResetDone, failed: auth.EventResetFailed,
		},
		"VerifyEmail": {
			unverified: true,
			prepare: func(t *testing.T, m *mailApp, u *testapp.User, _ *testapp.Client) func(context.Context) error {
				sent = m.verifyToken(t, u)
				return func(ctx context.Context) error { _, err := m.VerifyEmail(ctx, sent); return err }
			},
			goesOn: true, forgets: true, redeemed: redeemed, done: auth.EventVerificationDone, failed: auth.EventVerificationFailed,
		},
		"ConfirmEmailChange": {
			prepare: func(t *testing.T, m *mailApp, _ *testapp.User, browser *testapp.Client) func(context.Context) error {
				sent = m.askEmail(t, browser, "new@app.example")
				return func(ctx context.Context) error { _, err := m.ConfirmEmailChange(ctx, sent); return err }
			},
			goesOn: true, redeemed: redeemed, mail: "address-changed to susan@app.example",
			done: auth.EventEmailChangeDone, failed: auth.EventEmailChangeFailed,
		},
		"UndoEmailChange": {
			prepare: func(t *testing.T, m *mailApp, _ *testapp.User, browser *testapp.Client) func(context.Context) error {
				sent = m.changeEmail(t, browser, "new@app.example")
				return func(ctx context.Context) error { _, err := m.UndoEmailChange(ctx, sent); return err }
			},
			forgets: true, redeemed: redeemed, mail: "address-undone to new@app.example",
			done: auth.EventEmailChangeUndone, failed: auth.EventEmailChangeFailed,
		},
		"CloseAccount":                     closing(false),
		"CloseAccount, with a UserDeleter": closing(true),
		"Disable": {
			prepare: func(_ *testing.T, m *mailApp, u *testapp.User, _ *testapp.Client) func(context.Context) error {
				return func(ctx context.Context) error { return m.Disable(ctx, u.ID) }
			},
			done: auth.EventAccountDisabled,
		},
		"Enable": {
			prepare: func(_ *testing.T, m *mailApp, u *testapp.User, _ *testapp.Client) func(context.Context) error {
				return func(ctx context.Context) error { return m.Enable(ctx, u.ID) }
			},
			last: func(a *auth.Account) { a.Disabled = true },
			done: auth.EventAccountEnabled,
		},
		"ForceReset": {
			prepare: func(_ *testing.T, m *mailApp, u *testapp.User, _ *testapp.Client) func(context.Context) error {
				return func(ctx context.Context) error { return m.ForceReset(ctx, u.ID) }
			},
			mail: "reset to susan@app.example", done: auth.EventResetForced,
		},
		"EnrollFactor": {
			configure: factors,
			prepare: func(_ *testing.T, m *mailApp, _ *testapp.User, _ *testapp.Client) func(context.Context) error {
				return func(ctx context.Context) error { return m.EnrollFactor(ctx, "code", url.Values{"code": {"setup"}}) }
			},
			goesOn: true, mail: "factor-added to susan@app.example", done: auth.EventFactorAdded, failed: auth.EventFactorAddFailed,
		},
		"RemoveFactor": {
			configure: factors,
			prepare: func(t *testing.T, m *mailApp, u *testapp.User, browser *testapp.Client) func(context.Context) error {
				enroll(t, m, u, browser)
				return func(ctx context.Context) error { return m.RemoveFactor(ctx, "code") }
			},
			last: enrolled, goesOn: true, mail: "factor-removed to susan@app.example",
			done: auth.EventFactorRemoved, failed: auth.EventFactorRemoveFailed,
		},
		"NewRecoveryCodes": {
			configure: factors,
			prepare: func(t *testing.T, m *mailApp, u *testapp.User, browser *testapp.Client) func(context.Context) error {
				enroll(t, m, u, browser)
				return func(ctx context.Context) error { _, err := m.NewRecoveryCodes(ctx, "spare"); return err }
			},
			last: enrolled, goesOn: true, mail: "recovery-codes to susan@app.example",
			done: auth.EventRecoveryCodesMade, failed: auth.EventRecoveryCodesFailed,
		},
		"ResetFactors": {
			configure: factors,
			prepare: func(_ *testing.T, m *mailApp, u *testapp.User, _ *testapp.Client) func(context.Context) error {
				return func(ctx context.Context) error { return m.ResetFactors(ctx, u.ID) }
			},
			last: enrolled, mail: "factor-removed to susan@app.example",
			done: auth.EventFactorRemoved, failed: auth.EventFactorRemoveFailed,
		},
		"RemovePasskey": {
			configure: passkeys,
			prepare: func(t *testing.T, m *mailApp, u *testapp.User, browser *testapp.Client) func(context.Context) error {
				addPasskey(t, m, u, browser)
				return func(ctx context.Context) error { return m.RemovePasskey(ctx, "key") }
			},
			last: withPasskey, goesOn: true, mail: "passkey-removed to susan@app.example",
			done: auth.EventFactorRemoved, failed: auth.EventFactorRemoveFailed,
		},
		"RemovePassword": {
			configure: passkeys,
			prepare: func(t *testing.T, m *mailApp, u *testapp.User, browser *testapp.Client) func(context.Context) error {
				addPasskey(t, m, u, browser)
				return func(ctx context.Context) error { return m.RemovePassword(ctx) }
			},
			last: withPasskey, goesOn: true, forgets: true, mail: "password-removed to susan@app.example",
			done: auth.EventPasswordRemoved, failed: auth.EventPasswordRemoveFailed,
		},
		"clearUnproved": {
			configure: factors, unverified: true,
			prepare: func(_ *testing.T, m *mailApp, u *testapp.User, _ *testapp.Client) func(context.Context) error {
				return func(ctx context.Context) error { return m.ClearUnproved(ctx, u) }
			},
			last: enrolled, forgets: true, mail: "account-cleared to susan@app.example", done: auth.EventAccountCleared,
		},
		"RemoveIdentity": {
			prepare: func(t *testing.T, m *mailApp, u *testapp.User, _ *testapp.Client) func(context.Context) error {
				ids := provide(t, m.App)
				ids.kept[u.ID] = []auth.Identity{{ID: "one", Provider: "example"}}
				return func(ctx context.Context) error { return m.RemoveIdentity(ctx, "one") }
			},
			goesOn: true, mail: "identity-removed to susan@app.example",
			done: auth.EventIdentityRemoved, failed: auth.EventIdentityRemoveFailed,
		},
		"LogoutEverywhere": {
			prepare: func(_ *testing.T, m *mailApp, u *testapp.User, _ *testapp.Client) func(context.Context) error {
				return func(ctx context.Context) error { return m.LogoutEverywhere(ctx, u) }
			},
			done: auth.EventLoginsEnded,
		},
	}
}

func closing(deletes bool) exit {
	return exit{
		prepare: func(t *testing.T, m *mailApp, u *testapp.User, browser *testapp.Client) func(context.Context) error {
			m.changeEmail(t, browser, "new@app.example") // so that there are records of all kinds
			u = stored(t, m.App, u.ID)
			return func(ctx context.Context) error { return m.CloseAccount(ctx, u) }
		},
		forgets: true, mail: "closed to new@app.example", closes: true, deletes: deletes,
		done: auth.EventAccountClosed, failed: auth.EventAccountCloseFailed,
	}
}

// An exitWorld is an application for the test of one exit.
type exitWorld struct {
	*mailApp
	exit
	user          *testapp.User // as stored, just before the change
	own           *testapp.Client
	other, device *testapp.Client
	api           auth.Secret
	reset         string // a link to reset the password
	change        func(context.Context) error
}

func newExitWorld(t *testing.T, name string) *exitWorld {
	t.Helper()
	x := exits()[name]
	w := &exitWorld{exit: x, mailApp: closeApp(t, x.deletes, x.configure)}
	u := member(t, w.App, "susan", testapp.Password, func(a *auth.Account) { a.EmailVerified = !x.unverified })
	w.own = w.Client(t)
	w.own.Login("susan")
	w.change = x.prepare(t, w.mailApp, u, w.own)
	w.other, w.device = w.Client(t), remembered(t, w.App, "susan")
	w.other.Login("susan")
	w.device.Restart()
	u = stored(t, w.App, u.ID)
	w.api, w.reset = newToken(t, w.App, u), resetToken(t, w.App, u)
	if x.last != nil {
		change(t, w.App, u.ID, x.last)
	}
	w.user = stored(t, w.App, u.ID)
	w.box.Take()
	w.Events()
	return w
}

// now returns the account as stored, or an empty one if it was deleted.
func (w *exitWorld) now(t *testing.T) auth.Account {
	t.Helper()
	u, err := w.Store.LoadUser(t.Context(), w.user.ID)
	if errors.Is(err, auth.ErrUserNotFound) {
		return auth.Account{}
	} else if err != nil {
		t.Fatal(err)
	}
	return u.Account
}

// left counts the user's records of a kind.
func (w *exitWorld) left(t *testing.T, kind string) int {
	t.Helper()
	records, err := w.Store.ListRecords(t.Context(), kind, w.user.ID)
	if err != nil {
		t.Fatal(err)
	}
	return len(records)
}

// wantEnded checks that nothing that opened the account before opens it now, except the
// login that made the request, if goesOn is set.
func (w *exitWorld) wantEnded(t *testing.T, what string) {
	t.Helper()
	if now := w.now(t); now.Stamp.Equal(w.user.Stamp) {
		t.Errorf("%s: the Stamp is the same", what)
	} else if now.Disabled && !w.closes { // enabling the account again must not revive what has ended
		change(t, w.App, w.user.ID, func(a *auth.Account) { a.Disabled = false })
	}
	want := "nobody"
	if w.goesOn {
		want = "susan"
	}
	if who := w.own.Who(); who != want {
		t.Errorf("%s: the user of the login that made the change is %q, want %q", what, who, want)
	}
	if other, device, api := w.other.Who(), w.device.Who(), bearer(w.App, t, w.api); other != "nobody" || device != "nobody" || api != "nobody" {
		t.Errorf("%s: another login is %q, a device %q, an API token %q", what, other, device, api)
	}
	if usable(t, w.App, w.reset) {
		t.Errorf("%s: a link that resets the password is good", what)
	}
}

// wantErased checks that no record of the user is left.
func (w *exitWorld) wantErased(t *testing.T, what string) {
	t.Helper()
	for _, kind := range []string{"session", "rotated", "remember", "remember-ended", "api-token", "attempts", "email-undo", "reserved", "used", "enrolled"} {
		if got := w.left(t, kind); got != 0 {
			t.Errorf("%s: after the account was closed, %d records of kind %s are left", what, got, kind)
		}
	}
}

// TestExits: every exit takes every step.
func TestExits(t *testing.T) {
	t.Parallel()
	for name := range exits() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newExitWorld(t, name)
			if !w.user.Disabled && opens(t, w.App, w.user.ID, "a wrong password") {
				t.Fatal("the wrong password is the right one")
			}
			wrong := w.left(t, "attempts")
			for _, kind := range []string{"rotated", "email-undo", "reserved", "used"} {
				if w.closes && w.left(t, kind) == 0 {
					t.Errorf("there is no record of kind %s", kind)
				}
			}
			w.Events()
			var watched context.Context
			if !w.user.Disabled {
				w.In(w.other, func(ctx context.Context) {
					var stop context.CancelFunc
					watched, stop = w.WhileLoggedIn(context.WithoutCancel(ctx))
					t.Cleanup(stop)
				})
			}
			var err error
			w.In(w.own, func(ctx context.Context) {
				err = w.change(ctx)
				if u, who := w.User(ctx); w.goesOn != (who == nil) || who == nil && u.Stamp.Equal(w.user.Stamp) {
					t.Errorf("in the same request it is %v, %v", u, who)
				}
			})
			if err != nil {
				t.Fatal(err)
			}

			var mails []string
			if w.mail != "" {
				mails = append(mails, w.mail)
			}
			w.wantMails(t, name, mails...)
			if e := w.Events(); len(e) != 1 || e[0].Kind != w.done || e[0].UserID != w.user.ID || e[0].Err != nil {
				t.Errorf("the events are %v", e)
			}
			if watched != nil && watched.Err() == nil {
				t.Error("what another login watches goes on")
			}
			sessions := map[bool]int{true: 1}[w.goesOn]
			for kind, want := range map[string]int{"session": sessions, "remember": 0, "api-token": 0} {
				if got := w.left(t, kind); got != want {
					t.Errorf("%d records of kind %s, want %d", got, kind, want)
				}
			}
			if w.forgets {
				wrong = 0
			}
			if got := w.left(t, "attempts"); got != wrong {
				t.Errorf("%d counts of wrong passwords, want %d", got, wrong)
			}
			known := slices.ContainsFunc(slices.Collect(maps.Keys(w.own.Cookies)), func(name string) bool { return strings.HasSuffix(name, "-browser") })
			if known != w.known {
				t.Errorf("the browser is known: %v", known)
			}
			if w.redeemed != nil && !used(t, w.App, w.redeemed()) {
				t.Error("the token is not known as one that has worked")
			}
			w.wantEnded(t, name)
			if w.closes {
				w.wantErased(t, name)
			}
		})
	}
}

// TestExitsAllOrNothing: a store fails at each call of an exit, before or after the
// call takes effect, or the client hangs up. The change is then made completely or not
// at all. If it is made, the caller and the owner are told.
func TestExitsAllOrNothing(t *testing.T) {
	t.Parallel()
	for name := range exits() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testapp.AllOrNothing(t, 4, func(t *testing.T, f *testapp.Fault) { tryExit(t, name, f) })
		})
	}
}

// tryExit makes one call of an exit fail.
func tryExit(t *testing.T, name string, f *testapp.Fault) {
	t.Helper()
	w := newExitWorld(t, name)
	var err error
	w.In(w.own, func(ctx context.Context) { err = f.During(ctx, w.Spy(), w.change) })
	mails, events := labels(w.box.Take()), w.Events()
	now := w.now(t)
	made := !now.Stamp.Equal(w.user.Stamp)
	what := fmt.Sprintf("%s; the mails are %v, the events %v", f, mails, kinds(events))
	if made {
		w.wantEnded(t, what)
	} else {
		same := w.user.Account
		if now.Version != same.Version || now.Email != same.Email || !now.PasswordHash.Equal(same.PasswordHash) ||
			now.Disabled != same.Disabled || now.EmailVerified != same.EmailVerified {
			t.Errorf("%s: only a part of the change was made: %+v", what, now)
		}
		if own, other := w.own.Who(), w.other.Who(); !now.Disabled && (own != "susan" || other != "susan") {
			t.Errorf("%s: the change was not made, and the users of the logins are %q and %q", what, own, other)
		}
	}
	if failed := f.String(); err != nil && f.Mode == testapp.CallFailsAfter && (strings.Contains(failed, "(UpdateAccount)") || strings.Contains(failed, "(DeleteUser)")) {
		t.Errorf("%s: the store has done it, and the caller learns that it failed", what)
	}
	switch {
	case made && err != nil && w.closes && now.ID != "" && now.Email != "":
		// A second call completes it, and only then is the owner told.
		if len(mails) != 0 || countOf(events, w.done) != 0 || countOf(events, w.failed) != 1 {
			t.Error(what)
		}
		u := stored(t, w.App, w.user.ID)
		if err := w.CloseAccount(t.Context(), u); err != nil {
			t.Errorf("%s: once more: %v", what, err)
		}
		w.wantMails(t, what+": once more", w.mail)
		w.wantErased(t, what+": once more")
	case made != (err == nil):
		t.Errorf("%s: made: %v", what, made)
	case !made:
		if len(mails) != 0 || countOf(events, w.done) != 0 || w.failed != "" && countOf(events, w.failed) != 1 {
			t.Error(what)
		}
	case w.mail != "" && !slices.Equal(mails, []string{w.mail}), w.mail == "" && len(mails) != 0,
		countOf(events, w.done) != 1, w.failed != "" && countOf(events, w.failed) != 0:
		t.Error(what)
	}
	if made && err == nil && w.closes {
		w.wantErased(t, what)
	}
}

// TestNoOtherExit: only changeCredential sets a new Stamp, only exits call it, and the
// table of record kinds is complete.
func TestNoOtherExit(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	callers := map[string][]string{} // by the function that they call
	var declared, listed []string    // kinds of records
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || name == "storecalls.go" || name == "users.go" {
			continue // the last two are the store itself
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
				ast.Inspect(f.Body, func(n ast.Node) bool {
					if id, ok := n.(*ast.Ident); ok && f.Name.Name == "recordKinds" && strings.HasPrefix(id.Name, "kind") {
						listed = append(listed, id.Name)
					}
					call, ok := n.(*ast.CallExpr)
					if !ok {
						return true
					}
					if s, ok := call.Fun.(*ast.SelectorExpr); ok {
						callee := s.Sel.Name
						if on, ok := s.X.(*ast.SelectorExpr); ok {
							callee = on.Sel.Name + "." + callee
						}
						callers[callee] = append(callers[callee], f.Name.Name)
					}
					return true
				})
				continue
			}
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.CONST {
				for _, spec := range g.Specs {
					values, ok := spec.(*ast.ValueSpec)
					if !ok {
						continue
					}
					for _, id := range values.Names {
						if strings.HasPrefix(id.Name, "kind") {
							declared = append(declared, id.Name)
						}
					}
				}
			}
		}
	}
	tested := []string{
		"AddIdentity",             // it ends nothing: TestAddAndRemoveIdentity, TestIdentityAddedTooLate
		"SetRoles", "SetUsername", // nor do they: TestRoleAdded, TestSetUsername
		"SetEmail",     // it sends two mails: TestSetEmail
		"verifyProved", // it removes nothing: TestSetEmailAndLoginByMail
	}
	for name := range exits() {
		name, _, _ = strings.Cut(name, ",")
		tested = append(tested, name)
	}
	for callee, want := range map[string][]string{
		"changeCredential": tested,
		"updateAccount":    {"carryOut", "erase"},
		"store.update":     {"checkUpdate", "registerHidden", "restoreHash", "updateAccount", "updateKept", "upgradeHash"},
		"store.remove":     {"erase", "withdraw"},
	} {
		slices.Sort(want)
		got := callers[callee]
		slices.Sort(got)
		if want, got = slices.Compact(want), slices.Compact(got); !slices.Equal(got, want) {
			t.Errorf("%s is called by %v, want %v", callee, got, want)
		}
	}
	slices.Sort(declared)
	slices.Sort(listed)
	if !slices.Equal(declared, listed) || len(declared) < 10 {
		t.Errorf("recordKinds has %v, and the kinds are %v", listed, declared)
	}
}
