package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// stolen is an application in which susan's remember cookie was copied: she has
// used it since, her browser has shown that it has its successor, and old is a
// browser that has the copy.
func stolen(t *testing.T, app *testapp.App) (owner, old *testapp.Client) {
	t.Helper()
	owner = remembered(t, app, "susan")
	owner.Restart()
	old = owner.Clone()
	app.Clock.Advance(2 * time.Minute)
	for range 2 {
		if who := owner.Who(); who != "susan" {
			t.Fatal(who)
		}
	}
	app.Clock.Advance(2 * time.Minute)
	app.Events()
	return owner, old
}

func TestTheftMail(t *testing.T) {
	box := &outbox{}
	app, _ := newApp(t, func(c *auth.Config) { c.Mailer = box })
	u := app.Create(t, "susan", false)
	change(t, app, u.ID, func(a *auth.Account) { a.Email = "Susan@App.example" })
	owner, old := stolen(t, app)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for range 20 {
		c := old.Clone()
		wg.Go(func() {
			<-start
			if who := c.Who(); who != "nobody" {
				t.Errorf("a copy is %q", who)
			}
		})
	}
	close(start)
	wg.Wait()
	gone(t, "theft", owner, old)
	mails := box.take()
	if len(mails) != 1 {
		t.Fatalf("%d mails", len(mails))
	}
	m := mails[0]
	if m.Kind != auth.MailStolen || m.To != "Susan@App.example" || m.User == nil || m.User.AuthAccount().ID != u.ID ||
		!m.Link.IsZero() || m.Lifetime != 0 {
		t.Errorf("mail %+v", m)
	}
	var alarms []auth.Event
	for _, e := range app.Events() {
		if e.Kind == auth.EventRememberStolen {
			alarms = append(alarms, e)
		} else {
			t.Errorf("event %v", e)
		}
	}
	if len(alarms) != 1 || alarms[0].UserID != u.ID || alarms[0].Address != "127.0.0.1" || alarms[0].Method != "remember" || alarms[0].Err == nil {
		t.Fatalf("events %v", alarms)
	}
	text := fmt.Sprintf("%+v %v", alarms[0], alarms[0].Err) + app.Logs() + fmt.Sprintf("%+v", mails)
	for _, cookie := range owner.Issued {
		if strings.Contains(text, cookie.Value) || strings.Contains(text, cookie.Value[:20]) {
			t.Error("a cookie is in the event, the log or the mail")
		}
	}
	m.Failed(errors.New("no such mailbox"))
	if e := app.Events(); len(e) != 1 || e[0].Kind != auth.EventMailFailed || e[0].UserID != u.ID {
		t.Errorf("given up later: %v", e)
	}
	// Each device is a theft of its own.
	_, old = stolen(t, app)
	old.Who()
	if n := len(box.take()); n != 1 {
		t.Errorf("the next theft: %d mails", n)
	}
}

// Nobody is written to where there is nobody to write to; the logins end.
func TestTheftWithoutMail(t *testing.T) {
	for name, with := range map[string]struct {
		mailer  bool
		refuses bool
		change  func(*testing.T, *testapp.App, *testapp.User)
		events  []auth.EventKind
	}{
		"no mailer": {events: []auth.EventKind{auth.EventRememberStolen}},
		"no address": {mailer: true, change: func(t *testing.T, app *testapp.App, u *testapp.User) {
			change(t, app, u.ID, func(a *auth.Account) { a.Email = "" })
		}, events: []auth.EventKind{auth.EventRememberStolen}},
		"deleted": {mailer: true, change: func(t *testing.T, app *testapp.App, u *testapp.User) {
			deleteUser(t, app, u.ID)
		}, events: []auth.EventKind{auth.EventRememberStolen}},
		"disabled": {mailer: true, change: func(t *testing.T, app *testapp.App, u *testapp.User) {
			change(t, app, u.ID, func(a *auth.Account) { a.Disabled = true })
		}, events: []auth.EventKind{auth.EventRememberStolen}},
		"a mailer that refuses": {mailer: true, refuses: true, events: []auth.EventKind{auth.EventRememberStolen, auth.EventMailFailed}},
	} {
		t.Run(name, func(t *testing.T) {
			box := &outbox{}
			app, _ := hookedApp(t, func(c *auth.Config) {
				if with.mailer {
					c.Mailer = box
				}
			})
			u := app.Create(t, "susan", false)
			owner, old := stolen(t, app)
			if with.refuses {
				box.err = errors.New("the queue is full")
			}
			if with.change != nil {
				with.change(t, app, u)
			}
			if r := old.Get("/who"); r.StatusCode != http.StatusOK || r.Text != "nobody" {
				t.Errorf("%s %q", r.Status, r.Text)
			}
			if got := kinds(app.Events()); !slices.Equal(got, with.events) {
				t.Errorf("events %v", got)
			}
			if mails := box.take(); len(mails) > 0 {
				t.Errorf("%d mails", len(mails))
			}
			for _, kind := range []string{"session", "remember"} {
				if r, err := app.Store.ListRecords(t.Context(), kind, u.ID); err != nil || len(r) > 0 {
					t.Errorf("%d records of kind %s, %v", len(r), kind, err)
				}
			}
			gone(t, name, owner, old)
		})
	}
}

// A store that fails at any step of a theft's end: the same cookie, sent again,
// ends everything, and its owner is told.
func TestTheftStoreFails(t *testing.T) {
	for _, after := range []bool{false, true} {
		for k := 1; ; k++ {
			box := &outbox{}
			app, spy := newApp(t, func(c *auth.Config) { c.Mailer = box })
			app.Create(t, "susan", false)
			elsewhere := app.Client(t)
			elsewhere.Login("susan")
			owner, old := stolen(t, app)
			spy.reset(k, after)
			r := old.Get("/who")
			calls := spy.Calls()
			spy.reset(0, false)
			switch {
			case r.StatusCode >= 500 && len(r.Header["Set-Cookie"]) > 0, r.StatusCode < 500 && r.Text != "nobody":
				t.Errorf("call %d (%v): %s %q", k, calls, r.Status, r.Text)
			}
			if who := old.Who(); who != "nobody" {
				t.Errorf("call %d (%v): again, and %q", k, calls, who)
			}
			gone(t, fmt.Sprintf("call %d (%v), after=%v", k, calls, after), owner, old)
			thefts := 0
			var failed bool
			for _, e := range app.Events() {
				switch e.Kind {
				case auth.EventRememberStolen:
					thefts++
				case auth.EventMailFailed:
					failed = true
				}
			}
			// An alarm that was noted, and the store's answer lost, is not raised again.
			unknown := after && calls[len(calls)-1] == "update" && thefts == 0
			if n := len(box.take()); !unknown && (thefts != 1 || n != 1 && !failed) {
				t.Errorf("call %d (%v), after=%v: %d events and %d mails", k, calls, after, thefts, n)
			}
			if who := elsewhere.Who(); who != "susan" {
				t.Errorf("call %d: another login is %q", k, who)
			}
			if len(calls) < k {
				if k < 4 {
					t.Errorf("only %v", calls)
				}
				break
			}
		}
	}
}

// A login that is made with the newest cookie while the theft is being ended, at any
// of its steps, does not outlive it, also if the store fails afterwards.
func TestTheftCrossesResume(t *testing.T) {
	for _, fails := range []bool{false, true} {
		for k := 1; ; k++ {
			app, store := hookedApp(t, nil)
			u := app.Create(t, "susan", false)
			owner, old := stolen(t, app)
			newest := owner.Clone() // of the thief and the owner
			newest.Restart()
			calls, crossed, failing := 0, false, false
			store.hook(func(call string) error {
				if calls++; calls == k && !crossed {
					crossed = true
					defer func() { failing = fails }()
					if who := newest.Who(); who != "susan" && who != "nobody" {
						t.Errorf("the newest cookie is %q", who)
					}
					return nil
				}
				if failing && call == "ListRecords" {
					return errors.New("the store is down")
				}
				return nil
			}, nil)
			r := old.Get("/who")
			store.hook(nil, nil)
			for range 2 { // what comes later with the same cookies finds the theft, or nothing
				old.Clone().Who()
			}
			what := fmt.Sprintf("step %d, fails %v, answered %s", k, fails, r.Status)
			gone(t, what, owner, old, newest)
			if left, err := store.ListRecords(t.Context(), "session", u.ID); err != nil || len(left) > 0 {
				t.Errorf("%s: %d sessions are left", what, len(left))
			}
			if !crossed {
				if k < 8 {
					t.Errorf("a theft has %d steps", k)
				}
				break
			}
		}
	}
}

// thefts returns how many of the events tell of a stolen cookie.
func thefts(events []auth.Event) (n int) {
	for _, e := range events {
		if e.Kind == auth.EventRememberStolen {
			n++
		}
	}
	return n
}

// endings are the ways in which a thief who has the owner's cookie, and a session
// made from it, can end what shows it.
var endings = map[string]func(t *testing.T, i *insider, thief *testapp.Client, u *testapp.User){
	"logout": func(_ *testing.T, _ *insider, thief *testapp.Client, _ *testapp.User) { thief.Post("/logout") },
	"logout by the remember cookie alone": func(_ *testing.T, _ *insider, thief *testapp.Client, _ *testapp.User) {
		thief.Who()
		thief.Restart()
		thief.Post("/logout")
	},
	"scs's Destroy":        func(_ *testing.T, _ *insider, thief *testapp.Client, _ *testapp.User) { thief.Post("/destroy") },
	"a login as another":   func(_ *testing.T, _ *insider, thief *testapp.Client, _ *testapp.User) { thief.Login("mallory") },
	"a login as the owner": func(_ *testing.T, _ *insider, thief *testapp.Client, _ *testapp.User) { thief.Login("susan") },
	"EndLogin": func(t *testing.T, i *insider, _ *testapp.Client, u *testapp.User) {
		for _, l := range logins(t, i.App, u.ID) {
			if err := i.EndLogin(t.Context(), u.ID, l.ID); err != nil {
				t.Error(err)
			}
		}
	},
	"EndOtherLogins": func(t *testing.T, i *insider, _ *testapp.Client, _ *testapp.User) {
		other := i.Client(t)
		other.Login("susan")
		i.in(other, func(ctx context.Context) {
			if err := i.EndOtherLogins(ctx); err != nil {
				t.Error(err)
			}
		})
	},
	"LogoutEverywhere": func(t *testing.T, i *insider, _ *testapp.Client, u *testapp.User) {
		if err := i.LogoutEverywhere(t.Context(), u); err != nil {
			t.Error(err)
		}
	},
	"SetPassword": func(t *testing.T, i *insider, thief *testapp.Client, u *testapp.User) {
		i.in(thief, func(ctx context.Context) {
			if err := i.SetPassword(ctx, u, "another good password"); err != nil {
				t.Error(err)
			}
		})
	},
	"ResetPassword": func(t *testing.T, i *insider, _ *testapp.Client, u *testapp.User) {
		token, err := i.ResetToken(t.Context(), u)
		if err == nil {
			_, err = i.ResetPassword(t.Context(), token, "another good password")
		}
		if err != nil {
			t.Error(err)
		}
	},
	"Disable and Enable": func(t *testing.T, i *insider, _ *testapp.Client, u *testapp.User) {
		if err := errors.Join(i.Disable(t.Context(), u.ID), i.Enable(t.Context(), u.ID)); err != nil {
			t.Error(err)
		}
	},
	"a Stamp that the application changes itself": func(t *testing.T, i *insider, _ *testapp.Client, u *testapp.User) {
		a := u.Clone()
		a.Stamp = auth.NewSecret("another stamp")
		if err := i.Store.UpdateAccount(t.Context(), a); err != nil {
			t.Error(err)
		}
	},
	"MaxSessions": func(t *testing.T, i *insider, _ *testapp.Client, _ *testapp.User) {
		for range 3 {
			i.Clock.Advance(time.Minute)
			i.Client(t).Login("susan")
		}
	},
}

// However a thief ends the device after using its cookie, the owner's cookie still
// raises the alarm, once. The thief's newest cookie raises none, and neither opens.
func TestTheftEvidenceStays(t *testing.T) {
	for how, end := range endings {
		t.Run(how, func(t *testing.T) {
			box := &outbox{}
			app, _ := newApp(t, func(c *auth.Config) { c.Mailer, c.MaxSessions = box, 3 })
			i := newInsider(app)
			u := app.Create(t, "susan", false)
			app.Create(t, "mallory", false)
			owner := remembered(t, app, "susan")
			owner.Restart()
			thief := owner.Clone()
			for range 2 {
				if who := thief.Who(); who != "susan" {
					t.Fatal(who)
				}
			}
			newest := thief.Clone()
			newest.Restart()
			end(t, i, thief, u)
			box.take()
			app.Events()
			if who := newest.Who(); who != "nobody" {
				t.Errorf("the newest cookie: %q", who)
			}
			if n := thefts(app.Events()); n > 0 {
				t.Errorf("the newest cookie is %d thefts", n)
			}
			app.Clock.Advance(29 * 24 * time.Hour)
			for range 3 {
				if who := owner.Clone().Who(); who != "nobody" {
					t.Errorf("the owner: %q", who)
				}
			}
			mails := box.take()
			if n := thefts(app.Events()); n != 1 || len(mails) != 1 || mails[0].Kind != auth.MailStolen {
				t.Errorf("%d alarms, mails %v", n, mails)
			}
		})
	}
}

// A device that was never used leaves nothing that lasts, and no tombstone lasts
// longer than the device would have.
func TestTheftEvidenceExpires(t *testing.T) {
	app, _ := newApp(t, nil)
	u := app.Create(t, "susan", false)
	ended := func() int {
		t.Helper()
		records, err := app.Store.ListRecords(t.Context(), "remember-ended", u.ID)
		if err != nil {
			t.Fatal(err)
		}
		return len(records)
	}
	remembered(t, app, "susan").Post("/logout")
	app.Clock.Advance(time.Minute)
	if n := ended(); n > 0 {
		t.Errorf("a cookie that was never used: %d records", n)
	}
	owner, old := stolen(t, app)
	owner.Post("/logout")
	app.Clock.Advance(30*24*time.Hour - 5*time.Minute)
	if n := ended(); n != 1 {
		t.Errorf("%d records", n)
	}
	app.Clock.Advance(5 * time.Minute)
	old.Who()
	if n := thefts(app.Events()); n > 0 || ended() > 0 {
		t.Errorf("after the device's time: %d thefts, %d records", n, ended())
	}
}

// There are a hundred of them at most, and CloseAccount deletes them.
func TestTheftEvidenceIsBounded(t *testing.T) {
	app, _ := newApp(t, nil)
	u := app.Create(t, "susan", false)
	for range 110 {
		c := remembered(t, app, "susan")
		c.Restart()
		c.Who()
		c.Post("/logout")
		app.Clock.Advance(time.Second)
	}
	records, err := app.Store.ListRecords(t.Context(), "remember-ended", u.ID)
	if err != nil || len(records) != 100 {
		t.Errorf("%d records, %v", len(records), err)
	}
	if err := app.CloseAccount(t.Context(), reload(t, app, u.ID)); err != nil {
		t.Fatal(err)
	}
	if records, err := app.Store.ListRecords(t.Context(), "remember-ended", u.ID); err != nil || len(records) > 0 {
		t.Errorf("after CloseAccount %d records, %v", len(records), err)
	}
}

// Requests that were on their way when the owner logged out are no alarm: neither
// with the newest cookie, nor with the one before it, if no request had shown yet
// that the browser has the newest.
func TestTheftNotByLogoutInFlight(t *testing.T) {
	app, _ := newApp(t, nil)
	app.Create(t, "susan", false)
	c := remembered(t, app, "susan")
	c.Restart()
	before := c.Clone()
	c.Who()
	newest := c.Clone()
	newest.Restart()
	if r := before.Clone().Post("/logout"); r.StatusCode != http.StatusOK { // by the cookie before
		t.Fatal(r.Status)
	}
	gone(t, "logout", before, newest, c)
	if n := thefts(app.Events()); n > 0 {
		t.Errorf("%d thefts", n)
	}
}
