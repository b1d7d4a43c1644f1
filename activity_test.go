package auth_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// activityApp counts every request as activity except /poll, which answers when the
// login ends.
func activityApp(t *testing.T, configure func(*auth.Config)) *testapp.App {
	t.Helper()
	app, _ := newApp(t, func(c *auth.Config) {
		c.Session.IdleTimeout = 10 * time.Minute
		c.Session.NoActivity = func(r *http.Request) bool { return r.URL.Path == "/poll" }
		if configure != nil {
			configure(c)
		}
	})
	app.Mux.HandleFunc("GET /poll", func(w http.ResponseWriter, r *http.Request) {
		l, err := app.CurrentLogin(r.Context())
		if err != nil {
			app.Error(w, r, err)
			return
		}
		_, _ = io.WriteString(w, l.IdleExpires.Sub(app.Clock.Now()).String())
	})
	return app
}

// A page that polls learns how long its login still lasts, and does not prolong it.
func TestNoActivity(t *testing.T) {
	t.Parallel()
	app := activityApp(t, nil)
	app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	for left := 9 * time.Minute; left > 0; left -= time.Minute {
		app.Clock.Advance(time.Minute)
		if r := c.Get("/poll"); r.Text != left.String() {
			t.Fatalf("%v before the end the poll says %s %q", left, r.Status, r.Text)
		}
	}
	app.Clock.Advance(time.Minute)
	if r := c.Get("/poll"); r.StatusCode != http.StatusSeeOther || c.Who() != "nobody" {
		t.Errorf("polls have kept the login alive: %s, %q", r.Status, c.Who())
	}
}

// Any other request prolongs the login as usual.
func TestActivity(t *testing.T) {
	t.Parallel()
	app := activityApp(t, func(c *auth.Config) { c.Session.Lifetime = 30 * time.Minute })
	app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	for gone := 5 * time.Minute; gone < 30*time.Minute; gone += 5 * time.Minute {
		app.Clock.Advance(5 * time.Minute)
		if c.Who() != "susan" {
			t.Fatal("the login has ended")
		}
		if got, want := c.Get("/poll").Text, min(10*time.Minute, 30*time.Minute-gone); got != want.String() {
			t.Errorf("after %v the login lasts %s more, want %v", gone, got, want)
		}
	}
}

// The login is good until the end that CurrentLogin reports, and not after.
func TestIdleExpires(t *testing.T) {
	t.Parallel()
	for _, before := range []time.Duration{0, 30 * time.Second, time.Minute, 90 * time.Second} {
		app := activityApp(t, nil)
		u := app.Create(t, "susan", false)
		c := app.Client(t)
		c.Login("susan")
		app.Clock.Advance(before)
		c.Who() // touches the session, to the minute
		end := app.LoginOf(t, c).IdleExpires
		if all := logins(t, app, u.ID); len(all) != 1 || !all[0].IdleExpires.Equal(end) || all[0].IdleExpires.After(all[0].Expires) {
			t.Errorf("after %v: CurrentLogin says %v, Logins %+v", before, end, all)
		}
		app.Clock.Advance(end.Sub(app.Clock.Now()) - time.Millisecond)
		if who := c.Clone().Get("/poll").StatusCode; who != http.StatusOK {
			t.Errorf("after %v: just before the end: %d", before, who)
		}
		app.Clock.Advance(time.Millisecond)
		if who := c.Who(); who != "nobody" {
			t.Errorf("after %v: at the end it is %q", before, who)
		}
	}
}

// A remembered login lasts until its device expires, without an idle timeout.
func TestIdleExpiresOfRemembered(t *testing.T) {
	t.Parallel()
	app := activityApp(t, nil)
	u := app.Create(t, "susan", false)
	c := remembered(t, app, "susan")
	l := app.LoginOf(t, c)
	if !l.Remembered || !l.IdleExpires.Equal(l.Expires) || l.IdleExpires.Before(app.Clock.Now().Add(29*24*time.Hour)) {
		t.Errorf("%+v", l)
	}
	if all := logins(t, app, u.ID); len(all) != 1 || !all[0].IdleExpires.Equal(l.IdleExpires) {
		t.Errorf("%+v", all)
	}
	// The session of before the restart ends with the login.
	visitor := app.Client(t)
	visitor.Login("susan")
	tab := visitor.Clone()
	app.In(visitor, func(ctx context.Context) { _ = app.ConfirmLogin(ctx) })
	if a, b := app.LoginOf(t, tab), app.LoginOf(t, visitor); !a.IdleExpires.Equal(b.IdleExpires) {
		t.Errorf("with the old token %v, with the new one %v", a.IdleExpires, b.IdleExpires)
	}
}
