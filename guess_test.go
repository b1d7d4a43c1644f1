package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// An attacker must not disable a password for good if no mail can tell the owner how to
// get back in.
func TestPasswordNotDisabledWithoutMail(t *testing.T) {
	t.Parallel()
	box := &testapp.Outbox{}
	for name, c := range map[string]struct {
		configure func(*auth.Config)
		account   func(*auth.Account)
	}{
		"no mailer":  {noLimits, func(*auth.Account) {}},
		"no address": {func(c *auth.Config) { noLimits(c); c.Mailer = box }, func(a *auth.Account) { a.Email = "" }},
	} {
		app, _ := newApp(t, c.configure)
		u := member(t, app, "susan", testapp.Password, c.account)
		v := app.Visitor(t.Context(), "192.0.2.1")
		for range 130 {
			if status := v.Login("susan", "a wrong password"); status != http.StatusUnauthorized {
				t.Fatal(status)
			}
			app.Clock.Advance(time.Hour)
		}
		events := app.Events()
		if n := lookedAt(t, events); n != 130 || countOf(events, auth.EventPasswordDisabled) > 0 || len(box.Take()) > 0 {
			t.Errorf("%s: %d looked at, %v", name, n, kinds(events))
		}
		v.Login("susan", "a wrong password")
		app.Clock.Advance(time.Hour - time.Second)
		if opens(t, app, u.ID, testapp.Password) || v.Login("susan", testapp.Password) != http.StatusUnauthorized {
			t.Errorf("%s: looked at before the hour is over", name)
		}
		app.Clock.Advance(time.Second)
		if status := v.Login("susan", testapp.Password); status != http.StatusOK {
			t.Errorf("%s: an hour later: %d", name, status)
		}
	}

	// With a mailer, the password is disabled. Unlock enables it again, as a reset
	// does.
	m := newMailApp(t, noLimits)
	u := member(t, m.App, "susan", testapp.Password)
	v := m.Visitor(t.Context(), "192.0.2.1")
	for range 100 {
		v.Login("susan", "a wrong password")
		m.Clock.Advance(time.Hour)
	}
	m.Clock.Advance(1000 * time.Hour)
	if status := v.Login("susan", testapp.Password); status != http.StatusUnauthorized {
		t.Errorf("after a hundred: %d", status)
	}
	if err := m.Unlock(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	if status := v.Login("susan", testapp.Password); status != http.StatusOK {
		t.Errorf("after Unlock: %d", status)
	}
}

// After five wrong passwords in a row, one more password is checked after each wait.
// The wait starts at 30 seconds and doubles up to an hour. Attempts during a wait
// neither count nor make it longer. The answer, the number of hashes and the store's
// calls do not tell whether the account exists.
func TestLockSchedule(t *testing.T) {
	t.Parallel()
	type step struct {
		advance time.Duration
		looked  bool
	}
	script := []step{{0, true}, {0, true}, {0, true}, {0, true}, {0, true}, {0, false}}
	for _, wait := range []time.Duration{30, 60, 120, 240, 480, 960, 1920, 3600, 3600} {
		wait *= time.Second
		script = append(script, step{0, false}, step{wait / 2, false}, step{wait/2 - time.Millisecond, false}, step{time.Millisecond, true})
	}
	type result struct {
		told   string
		calls  []string
		hashes uint64
	}
	var results [2][]result
	for i, login := range []string{"susan", "ghost"} {
		app, store := newApp(t, nil)
		app.Create(t, "susan", true)
		v := app.Visitor(t.Context(), "192.0.2.1")
		for n, s := range script {
			app.Clock.Advance(s.advance)
			app.Events()
			store.Reset()
			before := app.PasswordHashes()
			w := v.Post("/login", "login", login, "password", "a wrong password")
			results[i] = append(results[i], result{told(t, w), store.Calls(), app.PasswordHashes() - before})
			if got := lookedAt(t, app.Events()); (got == 1) != s.looked {
				t.Fatalf("%s: step %d (%+v): %d looked at", login, n, s, got)
			}
		}
	}
	for n, known := range results[0] {
		unknown := results[1][n]
		if known.told != results[0][0].told || unknown.told != known.told {
			t.Errorf("step %d: %s, and without an account %s", n, known.told, unknown.told)
		}
		if known.hashes != 1 || unknown.hashes != 1 {
			t.Errorf("step %d: %d hashes, and without an account %d", n, known.hashes, unknown.hashes)
		}
		if !slices.Equal(known.calls, unknown.calls) {
			t.Errorf("step %d: %v, and without an account %v", n, known.calls, unknown.calls)
		}
	}
	if !strings.HasPrefix(results[0][0].told, "401") || strings.Contains(results[0][0].told, "Retry-After") {
		t.Error(results[0][0].told)
	}
}

// While an account is locked, the right password is refused like a wrong one, with one
// hash. Afterwards it is accepted, and the count starts again.
func TestLockedRefusesTheRightPassword(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	app.Create(t, "susan", true)
	v := app.Visitor(t.Context(), "192.0.2.1")
	attempt := func(login, password string) (string, []string, uint64) {
		t.Helper()
		store.Reset()
		before := app.PasswordHashes()
		w := v.Post("/login", "login", login, "password", password)
		return told(t, w), store.Calls(), app.PasswordHashes() - before
	}
	unlocked, _, _ := attempt("susan", "a wrong password")
	for range 4 {
		v.Login("susan", "a wrong password")
	}
	for range 5 {
		v.Login("ghost", "a wrong password")
	}
	wrong, wrongCalls, wrongHashes := attempt("susan", "a wrong password")
	right, rightCalls, rightHashes := attempt("susan", testapp.Password)
	ghost, ghostCalls, ghostHashes := attempt("ghost", testapp.Password)
	if right != wrong || ghost != wrong || wrong != unlocked {
		t.Errorf("unlocked %s, locked: wrong %s, right %s, without an account %s", unlocked, wrong, right, ghost)
	}
	if !slices.Equal(rightCalls, wrongCalls) || !slices.Equal(ghostCalls, wrongCalls) {
		t.Errorf("wrong %v, right %v, without an account %v", wrongCalls, rightCalls, ghostCalls)
	}
	if wrongHashes != 1 || rightHashes != 1 || ghostHashes != 1 {
		t.Errorf("hashes: wrong %d, right %d, without an account %d", wrongHashes, rightHashes, ghostHashes)
	}
	if len(v.Cookies) > 0 {
		t.Errorf("cookies %v", v.Cookies)
	}

	app.Clock.Advance(30*time.Second - time.Millisecond)
	if status := v.Login("susan", testapp.Password); status != http.StatusUnauthorized {
		t.Errorf("just before the wait is over: %d", status)
	}
	app.Clock.Advance(time.Millisecond)
	// From here on each login comes from another browser, because the first browser is
	// known now.
	if status := app.Visitor(t.Context(), "192.0.2.1").Login("susan", testapp.Password); status != http.StatusOK {
		t.Fatalf("after the wait: %d", status)
	}
	for range 4 {
		v.Login("susan", "a wrong password")
	}
	if status := app.Visitor(t.Context(), "192.0.2.1").Login("susan", testapp.Password); status != http.StatusOK {
		t.Errorf("after four wrong ones: %d", status)
	}
	lock(t, v, "susan")
	app.Clock.Advance(30 * time.Second) // less than a minute
	if status := app.Visitor(t.Context(), "192.0.2.1").Login("susan", testapp.Password); status != http.StatusOK {
		t.Errorf("after another wait: %d", status)
	}
}

// When the wait is over, one password is checked, however many arrive at once.
func TestOneGuessAfterTheWait(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	app.Create(t, "susan", true)
	lock(t, app.Visitor(t.Context(), "192.0.2.1"), "susan")
	for _, wait := range []time.Duration{30 * time.Second, 60 * time.Second} {
		app.Clock.Advance(wait)
		app.Events()
		var wg sync.WaitGroup
		for i := range 10 {
			v := app.Visitor(t.Context(), fmt.Sprint("192.0.2.", i))
			wg.Go(func() { v.Login("susan", "a wrong password") })
		}
		wg.Wait()
		events := app.Events()
		if n := lookedAt(t, events); n != 1 || countOf(events, auth.EventPasswordLocked) != 1 {
			t.Errorf("after %v: %d looked at, %v", wait, n, kinds(events))
		}
	}
	app.Clock.Advance(119 * time.Second)
	if status := app.Visitor(t.Context(), "192.0.2.1").Login("susan", testapp.Password); status != http.StatusUnauthorized {
		t.Errorf("before the third wait is over: %d", status)
	}
	app.Clock.Advance(time.Second)
	if status := app.Visitor(t.Context(), "192.0.2.1").Login("susan", testapp.Password); status != http.StatusOK {
		t.Errorf("after it: %d", status)
	}
}

// Of 200 guesses at the same moment, five are checked: in one process and in several,
// for accounts that exist and for those that do not. The account's stored hash is
// unusable, which causes an event of its own at each check.
func TestGuessesAtTheSameMoment(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 3} {
		for _, login := range []string{"susan", "ghost"} {
			t.Run(fmt.Sprintf("%d processes, %s", n, login), func(t *testing.T) {
				t.Parallel()
				apps, store := processes(t, n, noLimits)
				member(t, apps[0], "susan", "", func(a *auth.Account) { a.PasswordHash = auth.NewSecret("unusable") })
				store.Hook(nil, func(call string) error {
					if call == "GetRecord" { // another request reads the same count
						for range 20 {
							runtime.Gosched()
						}
					}
					return nil
				})
				statuses := make([]int, 200)
				var wg sync.WaitGroup
				for i := range statuses {
					v := apps[i%n].Visitor(t.Context(), fmt.Sprint("192.0.2.", i))
					wg.Go(func() { statuses[i] = v.Login(login, "a wrong password") })
				}
				wg.Wait()
				looked, opened, locked := 0, 0, 0
				for _, app := range apps {
					events := app.Events()
					looked += lookedAt(t, events)
					opened += countOf(events, auth.EventHashUnusable)
					locked += countOf(events, auth.EventPasswordLocked)
				}
				// If the hashing queue was full, the attempt is taken off the count
				// again.
				if looked > 5 || opened > 5 || locked > 1 || looked == 0 {
					t.Errorf("%d looked at, %d opened, %d times locked", looked, opened, locked)
				}
				if login == "susan" && opened != looked {
					t.Errorf("%d looked at, %d opened", looked, opened)
				}
				for i, status := range statuses {
					if status != http.StatusUnauthorized && status != http.StatusServiceUnavailable {
						t.Errorf("guess %d: %d", i, status)
					}
				}
			})
		}
	}
}

// The right password is refused, too, if five wrong ones of the same moment have been
// checked before it.
func TestRightGuessAmongMany(t *testing.T) {
	t.Parallel()
	apps, _ := processes(t, 2, noLimits)
	apps[0].Create(t, "susan", true)
	lock(t, apps[0].Visitor(t.Context(), "192.0.2.1"), "susan")
	var in atomic.Int32
	var wg sync.WaitGroup
	for i := range 40 {
		v := apps[i%2].Visitor(t.Context(), "192.0.2.1")
		wg.Go(func() {
			if v.Login("susan", testapp.Password) == http.StatusOK {
				in.Add(1)
			}
		})
	}
	wg.Wait()
	if in.Load() > 0 {
		t.Errorf("%d logins while locked", in.Load())
	}
}

// If many browsers of one user log in at the same moment, nothing is counted as a
// guess.
func TestLoginsAtTheSameMoment(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2} {
		t.Run(fmt.Sprint(n, " processes"), func(t *testing.T) {
			t.Parallel()
			apps, _ := processes(t, n, nil)
			apps[0].Create(t, "susan", true)
			for round := range 2 {
				var wg sync.WaitGroup
				for i := range 20 {
					v := apps[i%n].Visitor(t.Context(), "192.0.2.1")
					wg.Go(func() {
						if status := v.Login("susan", testapp.Password); status != http.StatusOK {
							t.Errorf("round %d, login %d: %d", round, i, status)
						}
					})
				}
				wg.Wait()
			}
		})
	}
}

// All names of an account share one counter. If no account exists, each name has its
// own.
func TestOneCounterForAnAccount(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	app.Create(t, "susan", true)
	app.Create(t, "mike", true)
	names := []string{
		"susan", "SUSAN", " susan\t", "\uff53\uff55\uff53\uff41\uff4e", "susan@app.example", "Susan@App.Example", "susan@APP.EXAMPLE ", // "ｓｕｓａｎ"
	}
	for first := range names { // any five of these attempts lock the rest
		v := app.Visitor(t.Context(), "192.0.2.1")
		for i := range 5 {
			v.Login(names[(first+i)%len(names)], "a wrong password")
		}
		app.Events()
		for _, name := range names {
			if status := v.Login(name, testapp.Password); status != http.StatusUnauthorized {
				t.Errorf("%q, after others: %d", name, status)
			}
		}
		if n := lookedAt(t, app.Events()); n != 0 {
			t.Errorf("%d looked at", n)
		}
		app.Clock.Advance(30 * time.Second)
		if status := v.Login(names[first], testapp.Password); status != http.StatusOK {
			t.Errorf("%q, after the wait: %d", names[first], status)
		}
		app.Clock.Advance(time.Hour) // so that the limit of the address does not matter
	}
	if status := app.Visitor(t.Context(), "192.0.2.1").Login("mike", testapp.Password); status != http.StatusOK {
		t.Errorf("another account: %d", status)
	}

	lock(t, app.Visitor(t.Context(), "192.0.2.2"), "ghost")
	for login, want := range map[string]int{
		"ghost": 0, "GHOST ": 0, "\uff47host": 0, "ghost2": 1, "ghost@app.example": 1, "gh ost": 1, "": 1,
	} {
		app.Events()
		app.Visitor(t.Context(), "192.0.2.2").Login(login, "a wrong password")
		if n := lookedAt(t, app.Events()); n != want {
			t.Errorf("%q: %d looked at", login, n)
		}
	}
}

// The hundredth wrong password in a row disables the password, until the user has a new
// one. Existing logins go on.
func TestPasswordDisabled(t *testing.T) {
	t.Parallel()
	for name, enable := range map[string]func(*testing.T, *testapp.App, *testapp.User, *testapp.Client, *testapp.Outbox){
		"a reset by mail": func(t *testing.T, app *testapp.App, u *testapp.User, _ *testapp.Client, box *testapp.Outbox) {
			if err := app.SendReset(t.Context(), u.Email); err != nil {
				t.Fatal(err)
			}
			mails := box.Take()
			if len(mails) != 1 || mails[0].Kind != auth.MailReset {
				t.Fatalf("%d mails", len(mails))
			}
			_, token, _ := strings.Cut(mails[0].Link.Reveal(), "?token=")
			if _, err := app.ResetPassword(t.Context(), token, "another good password"); err != nil {
				t.Fatal(err)
			}
		},
		"the owner": func(t *testing.T, _ *testapp.App, _ *testapp.User, owner *testapp.Client, _ *testapp.Outbox) {
			if r := owner.Post("/password", "password", "another good password"); r.StatusCode != http.StatusOK {
				t.Fatal(r.Status)
			}
		},
		"the application": func(t *testing.T, app *testapp.App, u *testapp.User, _ *testapp.Client, _ *testapp.Outbox) {
			if err := app.SetPassword(t.Context(), stored(t, app, u.ID), "another good password"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			box := &testapp.Outbox{}
			app, _ := newApp(t, func(c *auth.Config) {
				noLimits(c)
				c.Mailer, c.Session.Lifetime, c.Session.IdleTimeout, c.Session.RememberFor = box, 2*365*24*time.Hour, -1, 400*24*time.Hour
				c.Credentials = []auth.Credential{auth.Bearer()}
			})
			u := member(t, app, "susan", testapp.Password)
			owner, device := app.Client(t), app.Client(t)
			owner.Login("susan")
			if r := device.Post("/enter", "login", "susan", "remember", "y"); r.StatusCode != http.StatusOK {
				t.Fatal(r.Status)
			}
			device.Restart()
			token := bearerFor(t, app, u)
			box.Take() // drops the mail with the token
			stamp := stored(t, app, u.ID).Stamp

			v := app.Visitor(t.Context(), "192.0.2.1")
			var first string
			for i := range 100 {
				w := v.Post("/login", "login", "susan", "password", "a wrong password")
				if first == "" {
					first = told(t, w)
				}
				if got := told(t, w); got != first {
					t.Fatalf("guess %d: %s, want %s", i+1, got, first)
				}
				if i == 98 {
					events := app.Events()
					if n := lookedAt(t, events); n != 99 || countOf(events, auth.EventPasswordDisabled) != 0 || len(box.Take()) > 0 {
						t.Fatalf("%d looked at, events %v", n, kinds(events))
					}
				}
				app.Clock.Advance(time.Hour)
			}
			events := app.Events()
			mails := box.Take()
			if lookedAt(t, events) != 1 || countOf(events, auth.EventPasswordDisabled) != 1 || countOf(events, auth.EventPasswordLocked) != 0 {
				t.Errorf("events %v", kinds(events))
			}
			if len(mails) != 1 || mails[0].Kind != auth.MailPasswordDisabled || mails[0].To != u.Email || !mails[0].Link.IsZero() ||
				mails[0].User.AuthAccount().ID != u.ID {
				t.Errorf("mails %+v", mails)
			}
			for _, wait := range []time.Duration{0, time.Hour, 24 * time.Hour, 31 * 24 * time.Hour, 300 * 24 * time.Hour} {
				app.Clock.Advance(wait)
				if got := told(t, v.Post("/login", "login", "susan", "password", testapp.Password)); got != first {
					t.Errorf("the right password, %v later: %s", wait, got)
				}
			}
			if events := app.Events(); lookedAt(t, events) != 0 || countOf(events, auth.EventPasswordDisabled) != 0 || len(box.Take()) > 0 {
				t.Errorf("afterwards: %v", kinds(events))
			}

			if !stored(t, app, u.ID).Stamp.Equal(stamp) {
				t.Error("the Stamp is another")
			}
			if who := owner.Who(); who != "susan" {
				t.Errorf("a login from before is %q", who)
			}
			if who := device.Who(); who != "susan" {
				t.Errorf("a remembered device is %q", who)
			}
			if r := app.Client(t).Do("GET", "/who", nil, bearerHeader(token)); r.Text != "susan" {
				t.Errorf("an API token is %q", r.Text)
			}

			enable(t, app, u, owner, box)
			if status := app.Visitor(t.Context(), "192.0.2.1").Login("susan", "another good password"); status != http.StatusOK {
				t.Errorf("the new password: %d", status)
			}
			lock(t, v, "susan") // the count has started at zero
			app.Clock.Advance(30 * time.Second)
			if status := app.Visitor(t.Context(), "192.0.2.1").Login("susan", "another good password"); status != http.StatusOK {
				t.Errorf("the new password, after a wait: %d", status)
			}
			records, err := app.Store.ListRecords(t.Context(), "attempts", u.ID)
			if err != nil || len(records) > 0 {
				t.Errorf("%d counters are left, %v", len(records), err)
			}
		})
	}
}

// If an account is disabled, even its right password counts as a wrong one. The
// hundredth attempt disables the password. The owner gets a mail about that, and can
// get back in with it.
func TestRightPasswordOfDisabledAccountCounts(t *testing.T) {
	t.Parallel()
	box := &testapp.Outbox{}
	app, _ := newApp(t, func(c *auth.Config) {
		noLimits(c)
		c.Mailer = box
	})
	u := member(t, app, "susan", testapp.Password, func(a *auth.Account) { a.Disabled = true })
	v := app.Visitor(t.Context(), "192.0.2.1")
	for i := range 100 {
		if status := v.Login("susan", testapp.Password); status != http.StatusUnauthorized {
			t.Fatal(status)
		}
		events := app.Events()
		locked, disabled := countOf(events, auth.EventPasswordLocked), countOf(events, auth.EventPasswordDisabled)
		if (locked == 1) != (i >= 4 && i < 99) || (disabled == 1) != (i == 99) {
			t.Errorf("attempt %d: %v", i+1, kinds(events))
		}
		app.Clock.Advance(time.Hour)
	}
	if mails := box.Take(); len(mails) != 1 || mails[0].Kind != auth.MailPasswordDisabled {
		t.Errorf("mails %+v", mails)
	}
	change(t, app, u.ID, func(a *auth.Account) { a.Disabled = false })
	if _, err := app.ResetPassword(t.Context(), resetToken(t, app, stored(t, app, u.ID)), "another good password"); err != nil {
		t.Fatal(err)
	}
	if status := v.Login("susan", "another good password"); status != http.StatusOK {
		t.Errorf("after a reset: %d", status)
	}
}

// A user who tries to log in before verifying their address collects refused attempts.
// Verifying the address deletes them.
func TestVerifyForgivesEarlierGuesses(t *testing.T) {
	t.Parallel()
	box := &testapp.Outbox{}
	app, _ := newApp(t, func(c *auth.Config) { c.Mailer, c.RequireVerified = box, true })
	app.Create(t, "susan", true)
	if err := app.SendVerification(t.Context(), "susan@app.example"); err != nil {
		t.Fatal(err)
	}
	v := app.Visitor(t.Context(), "192.0.2.1")
	for i := range 10 {
		if status := v.Login("susan", testapp.Password); status == http.StatusOK || i >= 5 && status != http.StatusUnauthorized {
			t.Fatal(status)
		}
	}
	_, token, _ := strings.Cut(box.Take()[0].Link.Reveal(), "token=")
	if _, err := app.VerifyEmail(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if status := v.Login("susan", testapp.Password); status != http.StatusOK {
		t.Errorf("%d", status)
	}
}

// A new password starts a new count, even if the store fails to delete the old count.
func TestNewPasswordBeginsANewCount(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	u := app.Create(t, "susan", true)
	lock(t, app.Visitor(t.Context(), "192.0.2.1"), "susan")
	store.Hook(func(call string) error {
		if call == "DeleteRecords" {
			return errStore
		}
		return nil
	}, nil)
	if err := app.SetPassword(t.Context(), stored(t, app, u.ID), "another good password"); err != nil {
		t.Fatal(err)
	}
	store.Reset()
	if status := app.Visitor(t.Context(), "192.0.2.1").Login("susan", "another good password"); status != http.StatusOK {
		t.Errorf("the new password: %d", status)
	}
}

// Even after a hundred guesses, an existing and a missing account answer alike.
func TestDisabledTellsNothing(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, func(c *auth.Config) { noLimits(c); c.Mailer = &testapp.Outbox{} })
	member(t, app, "susan", testapp.Password)
	v := app.Visitor(t.Context(), "192.0.2.1")
	for range 100 {
		v.Login("susan", "a wrong password")
		v.Login("ghost", "a wrong password")
		app.Clock.Advance(time.Hour)
	}
	for _, wait := range []time.Duration{0, time.Hour, 24 * time.Hour} {
		app.Clock.Advance(wait)
		var said []string
		for _, login := range []string{"susan", "ghost"} {
			store.Reset()
			before := app.PasswordHashes()
			w := v.Post("/login", "login", login, "password", testapp.Password)
			said = append(said, fmt.Sprint(told(t, w), store.Calls(), app.PasswordHashes()-before))
		}
		if said[0] != said[1] || !strings.HasPrefix(said[0], "401") {
			t.Errorf("after %v: %s, and without an account %s", wait, said[0], said[1])
		}
	}
}

// If the count cannot be read, written or settled, nobody can log in.
func TestCounterFails(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	app.Create(t, "susan", true)
	warm := app.Visitor(t.Context(), "192.0.2.1")
	warm.Login("susan", "a wrong password") // so that counters get updated and not only inserted
	for _, call := range []string{"GetRecord", "UpdateRecord", "TakeRecord", "InsertRecord"} {
		for _, after := range []bool{false, true} { // true: the store makes the change and then fails
			fails := func(c string) error {
				if c == call {
					return errStore
				}
				return nil
			}
			address := "192.0.2.1"
			if call == "InsertRecord" {
				address = "192.0.2.77"
			}
			if after {
				store.Hook(nil, fails)
			} else {
				store.Hook(fails, nil)
			}
			v := app.Visitor(t.Context(), address)
			w := v.Post("/login", "login", "susan", "password", testapp.Password)
			store.Reset()
			if w.Code < 500 || len(v.Cookies) > 0 || len(w.Header()["Set-Cookie"]) > 0 {
				t.Errorf("%s fails: %d, cookies %v", call, w.Code, v.Cookies)
			}
		}
	}
	app.Clock.Advance(time.Hour)
	if status := app.Visitor(t.Context(), "192.0.2.1").Login("susan", testapp.Password); status != http.StatusOK {
		t.Errorf("afterwards: %d", status)
	}

	// Whichever single call fails, the answer is an error or the same as without the
	// failure.
	for _, after := range []bool{false, true} {
		for _, password := range []string{testapp.Password, "a wrong password"} {
			want := map[string]int{testapp.Password: http.StatusOK, "a wrong password": http.StatusUnauthorized}[password]
			testapp.EachCall(t, 4, func(k int) bool {
				app, spy := newApp(t, nil)
				member(t, app, "susan", testapp.Password)
				app.Visitor(t.Context(), "192.0.2.1").Login("susan", "a wrong password")
				v := app.Visitor(t.Context(), "192.0.2.1")
				spy.FailAt(k, after)
				status := v.Login("susan", password)
				calls := spy.Calls()
				spy.Reset()
				if status != want && status < 500 || status >= 500 && len(v.Cookies) > 0 {
					t.Errorf("call %d (%v) fails: %d, cookies %v", k, calls, status, v.Cookies)
				}
				if status := app.Visitor(t.Context(), "192.0.2.1").Login("susan", testapp.Password); status != http.StatusOK {
					t.Errorf("after call %d (%v) had failed: %d", k, calls, status)
				}
				return len(calls) >= k
			})
		}
	}
}

// If a client hangs up while its password is hashed, the attempt counts. If it hangs up
// before, it does not. In neither case do other clients have to wait.
func TestHangUpDuringGuess(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, func(c *auth.Config) { c.Limits.Guesses = 6 })
	app.Create(t, "susan", true)
	abort := func(password string, when func(cancel func())) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		v := app.Visitor(t.Context(), "192.0.2.1")
		v.Ctx = ctx
		done := make(chan struct{})
		go func() {
			defer close(done)
			v.Login("susan", password)
		}()
		when(cancel)
		<-done
	}
	for range 20 { // counted, but not hashed yet
		before := app.PasswordHashes()
		abort("a wrong password", func(cancel func()) {
			counted := make(chan struct{})
			var once sync.Once
			store.Hook(nil, func(call string) error {
				if call == "InsertRecord" || call == "UpdateRecord" {
					cancel()
					once.Do(func() { close(counted) })
				}
				return nil
			})
			<-counted
		})
		store.Reset()
		if n := app.PasswordHashes() - before; n != 0 {
			t.Fatalf("%d hashes", n)
		}
	}
	app.Events()
	for range 4 {
		abort("a wrong password", func(cancel func()) {
			for before := app.PasswordHashes(); app.PasswordHashes() == before; {
				runtime.Gosched()
			}
			cancel()
		})
	}
	if n := lookedAt(t, app.Events()); n != 4 {
		t.Errorf("%d looked at", n)
	}
	abort("a wrong password", func(cancel func()) {
		for before := app.PasswordHashes(); app.PasswordHashes() == before; {
			runtime.Gosched()
		}
		cancel()
	})
	if events := app.Events(); countOf(events, auth.EventPasswordLocked) != 1 {
		t.Errorf("the fifth: %v", kinds(events))
	}
	if status := app.Visitor(t.Context(), "192.0.2.1").Login("susan", testapp.Password); status != http.StatusUnauthorized {
		t.Errorf("locked: %d", status)
	}
	if status := app.Visitor(t.Context(), "192.0.2.1").Login("susan", testapp.Password); status != http.StatusTooManyRequests {
		t.Errorf("the seventh from this address: %d", status)
	}
	app.Clock.Advance(time.Hour)
	if status := app.Visitor(t.Context(), "192.0.2.1").Login("susan", testapp.Password); status != http.StatusOK {
		t.Errorf("after the wait: %d", status)
	}
	if n := app.TurnsTaken(); n != 0 {
		t.Errorf("%d turns are taken", n)
	}
}

// After the wait one password may be checked. If its client hangs up before the check,
// the next attempt may be checked instead.
func TestHangUpAfterTheWait(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	app.Create(t, "susan", true)
	lock(t, app.Visitor(t.Context(), "192.0.2.1"), "susan")
	app.Clock.Advance(30 * time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	store.Hook(nil, func(call string) error {
		if call == "UpdateRecord" {
			cancel()
		}
		return nil
	})
	v := app.Visitor(t.Context(), "192.0.2.1")
	v.Ctx = ctx
	app.Events()
	v.Login("susan", "a wrong password")
	store.Reset()
	if n := lookedAt(t, dropCancelled(app.Events())); n != 0 {
		t.Errorf("%d looked at", n)
	}
	if status := app.Visitor(t.Context(), "192.0.2.1").Login("susan", testapp.Password); status != http.StatusOK {
		t.Errorf("the next one: %d", status)
	}
}

// dropCancelled leaves out the events about clients that hung up.
func dropCancelled(events []auth.Event) []auth.Event {
	return slices.DeleteFunc(events, func(e auth.Event) bool { return errors.Is(e.Err, context.Canceled) })
}

// If a client hangs up while it waits for its turn, its attempt does not count, and
// nobody waits for it.
func TestHangUpWhileWaiting(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, func(c *auth.Config) { c.Limits.Guesses = 3 })
	app.Create(t, "susan", true)
	counting, resume := make(chan struct{}), make(chan struct{})
	store.Hook(on("InsertRecord", func() error { // by the first request, which has the turn of its address
		close(counting)
		<-resume
		return nil
	}), nil)
	var wg sync.WaitGroup
	wg.Go(func() { app.Visitor(t.Context(), "192.0.2.1").Login("susan", "a wrong password") })
	<-counting
	ctx, cancel := context.WithCancel(t.Context())
	for range 20 {
		v := app.Visitor(t.Context(), "192.0.2.1")
		v.Ctx = ctx
		wg.Go(func() {
			if status := v.Login("susan", testapp.Password); status != http.StatusServiceUnavailable {
				t.Errorf("a client that hung up: %d", status)
			}
		})
	}
	cancel()
	close(resume)
	wg.Wait()
	for i := range 2 {
		if status := app.Visitor(t.Context(), "192.0.2.1").Login("susan", "a wrong password"); status != http.StatusUnauthorized {
			t.Errorf("guess %d: %d", i+2, status)
		}
	}
	if status := app.Visitor(t.Context(), "192.0.2.1").Login("susan", "a wrong password"); status != http.StatusTooManyRequests {
		t.Errorf("the fourth guess: %d", status)
	}
	if n := app.TurnsTaken(); n != 0 {
		t.Errorf("%d turns are taken", n)
	}
}

// If the hashing queue is full, no password is checked and nothing counts: for accounts
// that exist and for those that do not.
func TestBusyIsNotCounted(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) { c.Limits.Guesses = 5 })
	app.Create(t, "susan", true)
	empty := fillQueue(t, app)
	busy := map[string]string{}
	for range 10 {
		for _, login := range []string{"susan", "ghost"} {
			w := app.Visitor(t.Context(), "192.0.2.1").Post("/login", "login", login, "password", "a wrong password")
			if busy[login] = told(t, w); w.Code != http.StatusServiceUnavailable {
				t.Errorf("%s: %d", login, w.Code)
			}
		}
	}
	if busy["susan"] != busy["ghost"] {
		t.Errorf("%s, and without an account %s", busy["susan"], busy["ghost"])
	}
	empty()
	for i := range 4 {
		if status := app.Visitor(t.Context(), "192.0.2.1").Login("susan", "a wrong password"); status != http.StatusUnauthorized {
			t.Errorf("guess %d: %d", i+1, status)
		}
	}
	if status := app.Visitor(t.Context(), "192.0.2.1").Login("susan", testapp.Password); status != http.StatusOK {
		t.Errorf("the right one: %d", status)
	}
	if n := app.TurnsTaken(); n != 0 {
		t.Errorf("%d turns are taken", n)
	}
}

// At most 64 attempts wait for one account. The others are told to come back later.
// That locks no account, and leaves nothing behind.
func TestAtMost64Wait(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, noLimits)
	app.Create(t, "susan", true)
	app.Create(t, "mike", true)
	counting, resume := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	store.Hook(func(call string) error {
		if call == "InsertRecord" && first.CompareAndSwap(false, true) {
			close(counting)
			<-resume
		}
		return nil
	}, nil)
	var wg sync.WaitGroup
	var in, busy atomic.Int32
	login := func() {
		v := app.Visitor(t.Context(), "192.0.2.1")
		wg.Go(func() {
			switch w := v.Post("/login", "login", "susan", "password", testapp.Password); w.Code {
			case http.StatusOK:
				in.Add(1)
			case http.StatusServiceUnavailable:
				busy.Add(1)
				if w.Header().Get("Retry-After") == "" {
					t.Error("no Retry-After")
				}
			default:
				t.Errorf("%d", w.Code)
			}
		})
	}
	login()
	<-counting
	for range 80 {
		login()
	}
	for busy.Load() < 16 {
		runtime.Gosched()
	}
	if status := app.Visitor(t.Context(), "192.0.2.1").Login("mike", testapp.Password); status != http.StatusOK {
		t.Errorf("another account meanwhile: %d", status)
	}
	close(resume)
	wg.Wait()
	if in.Load() != 65 || busy.Load() != 16 {
		t.Errorf("%d logged in, %d told to come back", in.Load(), busy.Load())
	}
	if n := app.TurnsTaken(); n != 0 {
		t.Errorf("%d turns are taken", n)
	}
}

// If a store panics, no other request has to wait either.
func TestStorePanics(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"GetRecord", "InsertRecord", "UpdateRecord", "TakeRecord"} {
		for _, kind := range []string{"attempts", "rate"} {
			app, store := newApp(t, nil)
			member(t, app, "susan", testapp.Password)
			app.Visitor(t.Context(), "192.0.2.1").Login("susan", "a wrong password")
			if call == "InsertRecord" {
				app.Clock.Advance(31 * 24 * time.Hour)
			}
			store.HookCalls(func(_ context.Context, c testapp.Call) error {
				if c.Method == call && c.Kind == kind {
					panic("the store panics")
				}
				return nil
			}, nil)
			panicked := func() (p any) {
				defer func() { p = recover() }()
				app.Visitor(t.Context(), "192.0.2.1").Login("susan", testapp.Password)
				return nil
			}()
			store.Reset()
			if panicked == nil && (call != "TakeRecord" || kind == "attempts") { // a rate is not always taken
				t.Errorf("%s of %s: no panic", call, kind)
			}
			v := app.Visitor(t.Context(), "192.0.2.1")
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			v.Ctx = ctx
			if status := v.Login("susan", testapp.Password); status != http.StatusOK {
				t.Errorf("%s of %s, afterwards: %d", call, kind, status)
			}
			cancel()
		}
	}
}

// A listener that hears of a locked account may check a password of that account: no
// lock is held meanwhile.
func TestListenerMayCheckPasswords(t *testing.T) {
	t.Parallel()
	var app *testapp.App
	var u *testapp.User
	asked := 0
	app, _ = newApp(t, func(c *auth.Config) {
		c.OnEvent = func(ctx context.Context, e auth.Event) {
			if e.Kind != auth.EventPasswordLocked {
				return
			}
			asked++
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			if ok, err := app.CheckPassword(ctx, u, testapp.Password); ok || err != nil {
				t.Errorf("CheckPassword: %v, %v", ok, err)
			}
		}
	})
	u = app.Create(t, "susan", true)
	lock(t, app.Visitor(t.Context(), "192.0.2.1"), "susan")
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

// If the attacker hangs up, the mail to the owner is still sent. A mail that counts for
// a mailbox's limit is sent even if the client hangs up.
func TestMailAfterHangUp(t *testing.T) {
	t.Parallel()
	box := &testapp.Outbox{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	leaves := auth.EventPasswordDisabled
	app, _ := newApp(t, func(c *auth.Config) {
		noLimits(c)
		c.Mailer = box
		c.OnEvent = func(_ context.Context, e auth.Event) {
			if e.Kind == leaves {
				cancel()
			}
		}
	})
	forgot(app)
	member(t, app, "susan", testapp.Password)
	v := app.Visitor(t.Context(), "192.0.2.1")
	v.Ctx = ctx
	for range 100 {
		v.Login("susan", "a wrong password")
		app.Clock.Advance(time.Hour)
	}
	if mails := box.Take(); ctx.Err() == nil || len(mails) != 1 || mails[0].Kind != auth.MailPasswordDisabled {
		t.Errorf("mails %+v", mails)
	}
	leaves = auth.EventResetIssued
	for range 3 {
		v.Ctx, cancel = context.WithCancel(t.Context())
		v.Post("/forgot", "email", "susan@app.example")
		cancel()
	}
	if mails := box.Take(); len(mails) != 3 {
		t.Errorf("%d mails", len(mails))
	}
}

// Taking an attempt off a count leaves the attempts that another process counts at the
// same moment.
func TestVoidGuessKeepsOtherGuesses(t *testing.T) {
	t.Parallel()
	apps, store := processes(t, 2, func(c *auth.Config) { c.Limits.Guesses = 4 })
	member(t, apps[0], "mallory", testapp.Password)
	// At each call of a successful login, three guesses come from the same address.
	for k, reached := 1, true; reached; k++ {
		address, calls := fmt.Sprint("192.0.2.", k), 0
		reached = false
		store.Hook(func(string) error {
			if calls++; calls == k {
				reached = true
				for i := range 3 {
					apps[1].Visitor(t.Context(), address).Login(fmt.Sprint("ghost", k, i), "a wrong password")
				}
			}
			return nil
		}, nil)
		if status := apps[0].Visitor(t.Context(), address).Login("mallory", testapp.Password); status != http.StatusOK {
			t.Errorf("call %d: Mallory's login: %d", k, status)
		}
		store.Reset()
		v := apps[1].Visitor(t.Context(), address)
		if a, b := v.Login("ghost", "a wrong password"), v.Login("ghost", "a wrong password"); reached && (a != 401 || b != 429) {
			t.Errorf("call %d: after three guesses, the fourth and the fifth: %d, %d", k, a, b)
		}
		apps[0].Clock.Advance(time.Hour)
		if !reached && k < 8 {
			t.Errorf("only %d calls", k)
		}
	}
	// At each call of a login that is cancelled, three guesses at the same account
	// come.
	for k, reached := 1, true; reached; k++ {
		login, calls := fmt.Sprint("susan", k), 0
		member(t, apps[0], login, testapp.Password)
		ctx, cancel := context.WithCancel(t.Context())
		reached = false
		store.Hook(func(string) error {
			if calls++; calls == k {
				reached = true
				cancel()
				for i := range 3 {
					apps[1].Visitor(t.Context(), fmt.Sprint("192.0.2.", i)).Login(login, "a wrong password")
				}
			}
			return nil
		}, nil)
		v := apps[0].Visitor(t.Context(), "198.51.100.1")
		v.Ctx = ctx
		v.Login(login, "a wrong password")
		cancel()
		store.Reset()
		for i := range 2 {
			apps[1].Visitor(t.Context(), fmt.Sprint("192.0.2.", i)).Login(login, "a wrong password")
		}
		if status := apps[0].Visitor(t.Context(), "192.0.2.9").Login(login, testapp.Password); reached && status != http.StatusUnauthorized {
			t.Errorf("call %d: after five guesses: %d", k, status)
		}
		apps[0].Clock.Advance(time.Hour)
	}
}

// If a clock is set back or forward, no account stays locked for ever, and no flood of
// guesses gets through.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	for _, jump := range []time.Duration{-time.Hour, -48 * time.Hour, -10 * 365 * 24 * time.Hour, 10 * 365 * 24 * time.Hour} {
		app, _ := newApp(t, func(c *auth.Config) { c.Limits.Guesses = 20 })
		member(t, app, "susan", testapp.Password)
		v := app.Visitor(t.Context(), "192.0.2.1")
		lock(t, v, "susan")
		app.Clock.Advance(jump)
		app.Events()
		v.Login("susan", "a wrong password")
		v.Login("susan", "a wrong password")
		if n := lookedAt(t, app.Events()); n > 1 && jump < 0 {
			t.Errorf("%v: %d looked at", jump, n)
		}
		app.Clock.Advance(2 * time.Minute)
		if status := app.Visitor(t.Context(), "192.0.2.1").Login("susan", testapp.Password); status != http.StatusOK {
			t.Errorf("%v: %d", jump, status)
		}
		app.Clock.Advance(-jump)
		if status := app.Visitor(t.Context(), "192.0.2.1").Login("susan", testapp.Password); status != http.StatusOK {
			t.Errorf("%v and back: %d", jump, status)
		}
		// Nor is an address blocked for more than the hour.
		for i := range 25 {
			v.Login(fmt.Sprint("ghost", i), "a wrong password")
		}
		if status := v.Login("susan", testapp.Password); status != http.StatusTooManyRequests {
			t.Errorf("%v: %d", jump, status)
		}
		app.Clock.Advance(jump)
		if status := v.Login("susan", testapp.Password); status != http.StatusOK {
			t.Errorf("%v, and the address: %d", jump, status)
		}
	}

	// A clock that differs by less than a minute allows no more guesses.
	app, _ := newApp(t, nil)
	member(t, app, "susan", testapp.Password)
	lock(t, app.Visitor(t.Context(), "192.0.2.1"), "susan")
	app.Clock.Advance(-59 * time.Second)
	if status := app.Visitor(t.Context(), "192.0.2.1").Login("susan", testapp.Password); status != http.StatusUnauthorized {
		t.Errorf("a minute back: %d", status)
	}
}

// If the clocks of servers differ by up to a minute, no server checks a password before
// the wait is over. Each server does so at most two minutes after.
func TestClocksThatDifferByAMinute(t *testing.T) {
	t.Parallel()
	differences := []time.Duration{time.Minute, -time.Minute, 31 * time.Second, -31 * time.Second}
	waits := []time.Duration{30, 60, 120, 240, 480}
	for _, differ := range differences {
		for _, first := range []int{0, 1} {
			apps, pass := skewed(t, noLimits, differ)
			member(t, apps[0], "susan", testapp.Password)
			visitors := []*testapp.Visitor{apps[0].Visitor(t.Context(), "192.0.2.1"), apps[1].Visitor(t.Context(), "192.0.2.1")}
			lock(t, visitors[first], "susan")
			early := func() (n int) {
				for range 2 {
					for i, v := range visitors {
						apps[i].Events()
						v.Login("susan", "a wrong password")
						n += lookedAt(t, apps[i].Events())
					}
				}
				return n
			}
			for _, wait := range waits {
				wait *= time.Second
				pass(wait - time.Second)
				if n := early(); n != 0 {
					t.Errorf("%v, app %d first: %d looked at %v after a guess that is followed by %v", differ, first, n, wait-time.Second, wait)
				}
				pass(2*time.Minute + time.Second)
				if n := early(); n != 1 {
					t.Errorf("%v, app %d first: %d looked at after %v, want 1", differ, first, n, wait)
				}
			}
		}
	}
}

// However the clocks of servers differ, at most a hundred guesses are checked per
// account. The owner can log in as soon as the wait is over by the clock of the server
// that gets the request.
func TestClocksThatDiffer(t *testing.T) {
	t.Parallel()
	const year = 365 * 24 * time.Hour
	for _, differ := range [][]time.Duration{{2 * time.Minute}, {10 * year}, {3 * time.Hour, -3 * time.Hour, year}} {
		apps, pass := skewed(t, func(c *auth.Config) { noLimits(c); c.Mailer = &testapp.Outbox{} }, differ...)
		u := member(t, apps[0], "susan", testapp.Password)
		looked := 0
		for range 240 / len(apps) {
			for _, app := range apps {
				app.Visitor(t.Context(), "192.0.2.1").Login("susan", "a wrong password")
				looked += lookedAt(t, app.Events())
			}
			pass(20 * time.Minute)
		}
		if looked > 100 {
			t.Errorf("%v: %d looked at", differ, looked)
		}
		for i, app := range apps {
			if err := app.Unlock(t.Context(), u.ID); err != nil {
				t.Fatal(err)
			}
			lock(t, app.Visitor(t.Context(), "192.0.2.1"), "susan")
			apps[0].Visitor(t.Context(), "192.0.2.1").Login("susan", "a wrong password")
			pass(5 * time.Minute)
			if status := apps[0].Visitor(t.Context(), "192.0.2.1").Login("susan", testapp.Password); status != http.StatusOK {
				t.Errorf("%v: locked by app %d, and five minutes later: %d", differ, i, status)
			}
		}
	}
}

// If a password cannot be disabled, an attacker who goes from server to server gets at
// most two guesses an hour, and one more for each clock.
func TestClocksThatDifferWithoutAMail(t *testing.T) {
	t.Parallel()
	apps, pass := skewed(t, noLimits, 3*time.Hour, -3*time.Hour, 24*time.Hour)
	member(t, apps[0], "susan", testapp.Password)
	guess := func() (n int) {
		for i := range 2 * len(apps) {
			app := apps[i%len(apps)]
			app.Visitor(t.Context(), "192.0.2.1").Login("susan", "a wrong password")
			n += lookedAt(t, app.Events())
		}
		return n
	}
	for range 10 {
		guess()
		pass(time.Hour)
	}
	looked := 0
	for range 10 * 6 {
		looked += guess()
		pass(10 * time.Minute)
	}
	if looked > 2*10+len(apps) {
		t.Errorf("%d passwords were checked in ten hours", looked)
	}
	if looked == 0 {
		t.Error("no password was checked in ten hours")
	}
}

// CheckPassword, on the page /refresh for example, has the same limits as a login.
func TestCheckPasswordIsCounted(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) { c.Limits.Guesses = 12 })
	u := app.Create(t, "susan", true)
	c := app.Client(t)
	app.Enter(t, c, u)
	check := func(password string) (ok bool, err error) {
		app.Act(c, nil, func(_ http.ResponseWriter, r *http.Request) {
			current, _ := app.CurrentUser(r.Context())
			ok, err = app.CheckPassword(r.Context(), current, password)
		})
		return ok, err
	}
	client := app.Visitor(t.Context(), "127.0.0.1")
	for i := range 5 {
		if i%2 == 0 {
			client.Login("susan@app.example", "a wrong password")
		} else if ok, err := check("a wrong password"); ok || err != nil {
			t.Fatalf("%v, %v", ok, err)
		}
	}
	if events := app.Events(); countOf(events, auth.EventPasswordLocked) != 1 || lookedAt(t, events) != 5 {
		t.Errorf("events %v", kinds(events))
	}
	before := app.PasswordHashes()
	if ok, err := check(testapp.Password); ok || err != nil {
		t.Errorf("the right one while locked: %v, %v", ok, err)
	}
	if n := app.PasswordHashes() - before; n != 1 {
		t.Errorf("%d hashes", n)
	}
	if events := app.Events(); !slices.Equal(kinds(events), []auth.EventKind{auth.EventPasswordCheckFailed}) || !errors.Is(events[0].Err, auth.ErrLocked) {
		t.Errorf("events %v", events)
	}
	if who := c.Who(); who != "susan" {
		t.Errorf("the login is %q", who)
	}
	if status := client.Login("susan", testapp.Password); status != http.StatusUnauthorized {
		t.Errorf("a login while locked: %d", status)
	}
	app.Clock.Advance(30 * time.Second)
	if ok, err := check(testapp.Password); !ok || err != nil {
		t.Errorf("after the wait: %v, %v", ok, err)
	}
	for range 4 {
		if ok, err := check("a wrong password"); ok || err != nil {
			t.Errorf("a wrong one: %v, %v", ok, err)
		}
	}
	if ok, err := check(testapp.Password); !ok || err != nil {
		t.Errorf("from zero: %v, %v", ok, err)
	}
	if _, err := check("a wrong password"); err != nil {
		t.Errorf("the twelfth from here: %v", err)
	}
	var limited *auth.RateLimitError
	if ok, err := check(testapp.Password); ok || !errors.As(err, &limited) {
		t.Errorf("the thirteenth: %v, %v", ok, err)
	}
	// If the store cannot settle the count, CheckPassword does not return true.
	app.Clock.Advance(time.Hour)
	app.Spy().Hook(func(call string) error {
		if call == "TakeRecord" {
			return errStore
		}
		return nil
	}, nil)
	if ok, err := app.CheckPassword(t.Context(), stored(t, app, u.ID), testapp.Password); ok || !errors.Is(err, errStore) {
		t.Errorf("not settled: %v, %v", ok, err)
	}
}

// Guesses by HTTP Basic count with all others, and are refused in the same way.
func TestBasicIsCounted(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) {
		c.Credentials = []auth.Credential{auth.Basic("test")}
		c.Limits.Guesses = 10
	})
	app.Create(t, "susan", true)
	basic := func(login, password string) *httptest.ResponseRecorder {
		return direct(t, app.Server.Config.Handler, "GET", "/guarded", basicHeader(login, password)) // from 192.0.2.1
	}
	form := app.Visitor(t.Context(), "192.0.2.1")
	first := told(t, basic("susan", "a wrong password"))
	if !strings.HasPrefix(first, "401") {
		t.Errorf("a wrong password: %s", first)
	}
	basic("susan@app.example", "a wrong password")
	form.Login("susan", "a wrong password")
	form.Login("susan", "a wrong password")
	basic("SUSAN", "a wrong password")
	before := app.PasswordHashes()
	for login, password := range map[string]string{"susan": testapp.Password, "susan@app.example": "a wrong password", "ghost": testapp.Password} {
		if got := told(t, basic(login, password)); got != first {
			t.Errorf("%s while locked: %s", login, got)
		}
	}
	if n := app.PasswordHashes() - before; n != 3 {
		t.Errorf("%d hashes", n)
	}
	if status := form.Login("susan", testapp.Password); status != http.StatusUnauthorized {
		t.Errorf("the form: %d", status)
	}
	app.Clock.Advance(30 * time.Second)
	if w := basic("susan", testapp.Password); w.Code != http.StatusOK || len(w.Header()["Set-Cookie"]) > 0 {
		t.Errorf("after the wait: %d", w.Code)
	}
	basic("ghost", "a wrong password")
	for _, login := range []string{"susan", "ghost"} {
		w := basic(login, testapp.Password)
		if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "3600" {
			t.Errorf("%s, from an address at its limit: %s", login, told(t, w))
		}
	}
}

// No event, no log line and no record contains what a user typed.
func TestGuessesAreNotLogged(t *testing.T) {
	t.Parallel()
	box := &testapp.Outbox{}
	app, store := newApp(t, func(c *auth.Config) {
		c.Limits, c.Mailer = auth.Limits{Guesses: 40, Mails: 6}, box
		c.Credentials = []auth.Credential{auth.Basic("test")}
	})
	forgot(app)
	member(t, app, "susan", testapp.Password)
	v := app.Visitor(t.Context(), "192.0.2.1")
	for i := range 25 {
		login := []string{"susan", "canary-login", "canary-login@app.example", "canary login"}[i%4]
		w := v.Post("/login", "login", login, "password", fmt.Sprint("canary-password-", i))
		if strings.Contains(told(t, w), "canary") {
			t.Error(told(t, w))
		}
		v.Post("/forgot", "email", "canary-address@app.example")
		direct(t, app.Server.Config.Handler, "GET", "/who", basicHeader("canary-basic", "canary-password"))
	}
	events := app.Events()
	for _, kind := range []auth.EventKind{auth.EventPasswordLocked, auth.EventAddressLimited, auth.EventResetRefused} {
		if countOf(events, kind) == 0 {
			t.Errorf("no event %s", kind)
		}
	}
	for where, text := range map[string]string{"the log": app.Logs(), "the events": fmt.Sprintf("%+v %#v", events, events)} {
		if strings.Contains(text, "canary") || len(text) < 1000 {
			t.Errorf("%s: %s", where, text)
		}
	}
	kept := store.Given("InsertRecord", "UpdateRecord")
	for _, r := range kept {
		if strings.Contains(fmt.Sprintf("%s %s %s", r.Kind, r.Key, r.Data), "canary") || strings.Contains(r.Key, "192.0.2") {
			t.Errorf("a record: %+v", r)
		}
	}
	if len(kept) < 10 {
		t.Errorf("%d records", len(kept))
	}
}
