package testapp

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
)

// RememberedRaces lets each request that can renew a remembered login run while the
// login is being ended, for each way of ending it, this many rounds. Afterwards no
// cookie, old or new, may be logged in, and no answer may be a 5xx. A theft raises one
// alarm, and no other ending raises any.
//
// Without an ending, parallel requests of one browser leave it logged in.
func RememberedRaces(t *testing.T, rounds int, open func(t *testing.T, clock func() time.Time) Store) {
	renewals := []string{"read", "write", "rotate", "confirm", "login", "remember", "resume", "resume-write", "resume-rotate", "resume-remember"}
	for _, end := range []string{
		"none", "logout", "logout, remember cookie", "logout, session", "EndLogin", "EndOtherLogins",
		"LogoutEverywhere", "Session.Max", "SetPassword", "theft",
	} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			clock := NewClock()
			app := New(t, open(t, clock.Now), clock, func(c *auth.Config) { c.Session.Max = 2 })
			r := &rememberedRace{app: app}
			r.routes()
			for _, renewal := range renewals {
				n := rounds
				if end == "SetPassword" {
					n = (rounds + 9) / 10 // each round computes a hash
				}
				for i := range n {
					r.round(t, fmt.Sprintf("%s crosses %s, round %d", end, renewal, i), end, renewal)
				}
			}
		})
	}
}

type rememberedRace struct {
	app   *App
	users int
}

func (r *rememberedRace) routes() {
	app, sessions := r.app, r.app.SessionData()
	app.Mux.HandleFunc("POST /renewal/{what}", func(w http.ResponseWriter, req *http.Request) {
		ctx := req.Context()
		u, err := app.User(ctx)
		if err == nil {
			switch strings.TrimPrefix(req.PathValue("what"), "resume-") {
			case "write":
				sessions.Put(ctx, "n", "written")
			case "rotate":
				err = sessions.RenewToken(ctx)
			case "confirm":
				err = app.ConfirmLogin(ctx)
			case "login":
				err = app.LoginUser(ctx, u)
			case "remember":
				err = app.LoginUser(ctx, u, auth.Remember(true))
			}
		}
		if err != nil {
			app.Error(w, req, err)
			return
		}
		_, _ = io.WriteString(w, "ok")
	})
	app.Mux.HandleFunc("POST /others", func(w http.ResponseWriter, req *http.Request) {
		app.answer(w, req, app.EndOtherLogins(req.Context()))
	})
}

// only returns a browser with the remember cookie alone, or with all other cookies.
func only(c *Client, lasting bool) *Client {
	other := c.Clone()
	maps.DeleteFunc(other.Cookies, func(name, _ string) bool { return strings.HasSuffix(name, "-remember") != lasting })
	return other
}

func (r *rememberedRace) round(t *testing.T, what, end, renewal string) {
	t.Helper()
	app := r.app
	r.users++
	name := fmt.Sprintf("user%d", r.users)
	user := app.Create(t, name, false)
	enter := func() *Client {
		c := app.Client(t)
		if res := c.Post("/enter", "login", name, "remember", "1"); res.StatusCode != http.StatusOK {
			t.Fatalf("%s: login: %s", what, res.Status)
		}
		return c
	}
	browser := enter()
	// The browser has used its first cookie, and shown that it has the second.
	browser.Restart()
	copied := browser.Clone()
	for range 2 {
		if who := browser.Who(); who != name {
			t.Fatalf("%s: %q", what, who)
		}
	}
	other := app.Client(t)
	if end == "EndOtherLogins" {
		other.Login(name)
	}
	logins, err := app.Logins(t.Context(), user.ID)
	if err != nil {
		t.Fatal(err)
	}
	app.Clock.Advance(time.Second)
	app.Events()

	crossing, second, ending := browser.Clone(), browser.Clone(), browser.Clone()
	if strings.HasPrefix(renewal, "resume") {
		crossing.Restart()
		second.Restart()
	}
	var wg sync.WaitGroup
	var answers [2]*Response
	wg.Go(func() { answers[0] = crossing.Post("/renewal/" + renewal) })
	if renewal == "resume" {
		wg.Go(func() { answers[1] = second.Post("/renewal/read") }) // another tab
	}
	status := r.end(t, end, ending, other, copied, user, logins)
	wg.Wait()
	if status >= 300 || answers[0].StatusCode >= 500 || answers[1] != nil && answers[1].StatusCode >= 500 {
		t.Errorf("%s: the ending answered %d, the others %v\n%s", what, status, answers, app.Logs())
	}
	alarms := 0
	for _, e := range app.Events() {
		if e.Kind == auth.EventRememberStolen {
			alarms++
		}
	}
	if want := end == "theft"; (alarms == 1) != want || alarms > 1 {
		t.Errorf("%s: %d alarms", what, alarms)
	}
	if end == "none" {
		maps.Copy(browser.Cookies, crossing.Cookies)
		if who := browser.Who(); who != name {
			t.Errorf("%s: the browser is %q", what, who)
		}
		return
	}
	for _, c := range []*Client{browser, crossing, second, ending} {
		for i, who := range c.Replay() {
			if who != "nobody" {
				t.Errorf("%s: cookie %d (%s) is %q", what, i, c.Issued[i].Name, who)
			}
		}
		if who := c.Clone().Who(); who != "nobody" {
			t.Errorf("%s: the cookies together are %q", what, who)
		}
	}
	if end == "EndOtherLogins" {
		if who := other.Who(); who != name {
			t.Errorf("%s: the login that ended the others is %q", what, who)
		}
	}
}

// end ends the login. It returns the status of the answer, or 200 if it sends no
// request.
func (r *rememberedRace) end(t *testing.T, how string, ending, other, copied *Client, user *User, logins []auth.Login) int {
	t.Helper()
	app, ctx := r.app, t.Context()
	var err error
	switch how {
	case "logout":
		return ending.Post("/logout").StatusCode
	case "logout, remember cookie":
		return only(ending, true).Post("/logout").StatusCode
	case "logout, session":
		return only(ending, false).Post("/logout").StatusCode
	case "EndLogin":
		for _, l := range logins {
			if e := app.EndLogin(ctx, user.ID, l.ID); e != nil && !errors.Is(e, auth.ErrLoginNotFound) {
				err = errors.Join(err, e)
			}
		}
	case "EndOtherLogins":
		return other.Post("/others").StatusCode
	case "LogoutEverywhere":
		err = app.LogoutEverywhere(ctx, user)
	case "Session.Max": // the renewal may be newer than the first of these logins
		for range 3 {
			app.Clock.Advance(time.Minute)
			app.Client(t).Login(user.Username)
		}
	case "SetPassword":
		err = app.SetPassword(ctx, user, "another good password")
	case "theft":
		if who := copied.Who(); who != "nobody" {
			t.Errorf("the copy is %q", who)
		}
	}
	if err != nil {
		t.Error(err)
	}
	return http.StatusOK
}
