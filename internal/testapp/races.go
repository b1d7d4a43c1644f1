package testapp

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
)

// Races lets a request of a login run while the login is being ended, for each pair of
// request and ending, this many rounds. Afterwards no cookie, old or new, may be logged
// in, and no answer may be a 5xx. A rotation is listed as an ending, but ends nothing:
// after it, the old cookie belongs to the same login for some seconds, and is dead
// then.
//
// In half of the rounds the request loads its session and then waits in its handler
// until the login has been ended. In the others both run freely.
func Races(t *testing.T, rounds int, open func(t *testing.T, clock func() time.Time) Store) {
	for _, idle := range []time.Duration{-1, time.Hour} {
		t.Run(fmt.Sprintf("idle timeout %v", idle > 0), func(t *testing.T) {
			for _, end := range []string{
				"logout", "revocation", "rotation", "confirmation", "end elsewhere", "logout everywhere", "eviction",
				"rotation and logout", "confirmation and logout with the old cookie",
			} {
				for _, request := range []string{"read", "write", "rotate", "confirm", "login"} {
					t.Run(end+" crosses "+request, func(t *testing.T) {
						t.Parallel()
						clock := NewClock()
						store := open(t, clock.Now)
						app := New(t, store, clock, func(c *auth.Config) {
							c.Session.IdleTimeout = idle
							if end == "eviction" {
								c.Session.Max = 1
							}
						})
						race := newRace(t, app)
						for i := range rounds {
							race.round(t, i, end, request)
						}
					})
				}
			}
		})
	}
}

type race struct {
	app *App

	mu   sync.Mutex
	held map[string]*hold
}

// A hold stops a request in its handler until it is released.
type hold struct{ arrived, release chan struct{} }

func newRace(_ *testing.T, app *App) *race {
	r := &race{app: app, held: map[string]*hold{}}
	sessions := app.SessionData()
	app.Mux.HandleFunc("POST /held/{action}", func(w http.ResponseWriter, req *http.Request) {
		ctx := req.Context()
		if _, err := app.User(ctx); err != nil {
			app.Error(w, req, err)
			return
		}
		_ = sessions.GetString(ctx, "n")
		r.mu.Lock()
		h := r.held[req.PostFormValue("hold")]
		r.mu.Unlock()
		if h != nil {
			close(h.arrived)
			<-h.release
		}
		var err error
		switch req.PathValue("action") {
		case "read":
			_ = sessions.GetString(ctx, "n")
		case "write":
			sessions.Put(ctx, "n", req.PostFormValue("hold"))
		case "rotate":
			err = sessions.RenewToken(ctx)
			sessions.Put(ctx, "n", "rotated")
		case "confirm":
			err = app.ConfirmLogin(ctx)
		case "login":
			var u *User
			if u, err = app.User(ctx); err == nil {
				err = app.LoginUser(ctx, u)
			}
		}
		if err != nil {
			app.Error(w, req, err)
			return
		}
		_, _ = io.WriteString(w, "ok")
	})
	app.Mux.HandleFunc("POST /end/{user}/{login}", func(w http.ResponseWriter, req *http.Request) {
		app.answer(w, req, app.EndLogin(req.Context(), req.PathValue("user"), req.PathValue("login")))
	})
	app.Mux.HandleFunc("POST /confirm", func(w http.ResponseWriter, req *http.Request) {
		app.answer(w, req, app.ConfirmLogin(req.Context()))
	})
	app.Mux.HandleFunc("POST /everywhere/{user}", func(w http.ResponseWriter, req *http.Request) {
		u, err := app.Store.LoadUser(req.Context(), req.PathValue("user"))
		if err == nil {
			err = app.LogoutEverywhere(req.Context(), u)
		}
		app.answer(w, req, err)
	})
	return r
}

func (r *race) round(t *testing.T, i int, end, request string) {
	t.Helper()
	name := fmt.Sprintf("user%d", i)
	user := r.app.Create(t, name, false)
	browser := r.app.Client(t)
	browser.Login(name)
	// When the clock moves, requests also write "last seen", which is part of the race.
	if i%4 >= 2 {
		r.app.Clock.Advance(2 * time.Minute)
	}
	crossing, ending, other := browser.Clone(), browser.Clone(), r.app.Client(t)
	logins, err := r.app.Logins(t.Context(), user.ID)
	if err != nil || len(logins) != 1 {
		t.Fatalf("round %d: %d logins, %v", i, len(logins), err)
	}

	var h *hold
	if i%2 == 0 {
		h = &hold{make(chan struct{}), make(chan struct{})}
		r.mu.Lock()
		r.held[name] = h
		r.mu.Unlock()
	}
	var crossed *Response
	var wg sync.WaitGroup
	wg.Go(func() { crossed = crossing.Post("/held/"+request, "hold", name) })
	if h != nil {
		<-h.arrived
	}
	status := 0
	switch end {
	case "logout":
		status = ending.Post("/logout").StatusCode
	case "rotation":
		status = ending.Post("/renew").StatusCode
	case "confirmation":
		status = ending.Post("/confirm").StatusCode
	case "rotation and logout":
		_ = ending.Post("/renew")
		status = ending.Post("/logout").StatusCode
	case "confirmation and logout with the old cookie":
		_ = ending.Clone().Post("/confirm")
		status = ending.Post("/logout").StatusCode
	case "end elsewhere":
		status = other.Post("/end/" + user.ID + "/" + logins[0].ID).StatusCode
	case "logout everywhere":
		status = other.Post("/everywhere/" + user.ID).StatusCode
	case "eviction":
		status = other.Post("/enter", "login", name).StatusCode
	case "revocation":
		u, err := r.app.Store.LoadUser(t.Context(), user.ID)
		if err != nil {
			t.Fatal(err)
		}
		a := u.Clone()
		a.Stamp = auth.NewSecret("another stamp")
		if err := r.app.Store.UpdateAccount(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		if err := r.app.Store.DeleteRecords(t.Context(), "session", user.ID); err != nil {
			t.Fatal(err)
		}
	}
	if h != nil {
		close(h.release)
	}
	wg.Wait()
	if end == "end elsewhere" && status != http.StatusOK {
		t.Errorf("round %d: the login could not be ended: %d", i, status)
	}
	if status >= 500 || crossed.StatusCode >= 500 {
		t.Errorf("round %d: the %s answered %d, the crossing request %d: %s\n%s",
			i, end, status, crossed.StatusCode, crossed.Text, r.app.Logs())
	}

	browser.Issued = append(append(browser.Issued, crossing.Issued...), ending.Issued...)
	rotation := end == "rotation" || end == "confirmation"
	if rotation && request != "login" {
		if status != http.StatusOK || crossed.StatusCode != http.StatusOK {
			t.Errorf("round %d: the %s answered %d, the crossing request %d %s", i, end, status, crossed.StatusCode, crossed.Text)
		}
		if who := browser.Who(); who != name {
			t.Errorf("round %d: just after the %s the old cookie is %s", i, end, who)
		}
		r.app.Clock.Advance(time.Minute)
	}
	alive := 0
	for j, who := range browser.Replay() {
		if who == "nobody" {
			continue
		}
		alive++
		if who != name {
			t.Errorf("round %d: cookie %d is %s's", i, j, who)
		}
		if rotation && j == 0 && request != "login" {
			t.Errorf("round %d: the old cookie is logged in a minute after the %s", i, end)
		}
	}
	// After a rotation one cookie is logged in. The same holds for a login that begins
	// after the rotation, or is over before it. If both happen at the same moment, they
	// end each other.
	switch records, err := r.app.Store.ListRecords(t.Context(), "session", user.ID); {
	case err != nil:
		t.Error(err)
	case end == "eviction" && request == "login": // each login may have ended the other
		if len(records) > 1 || alive > len(records) {
			t.Errorf("round %d: after the eviction %d cookies are logged in, and there are %d records", i, alive, len(records))
		}
	case end == "eviction":
		if who := other.Who(); who != name || alive > 0 || len(records) != 1 {
			t.Errorf("round %d: after the eviction %d cookies are logged in, there are %d records, and who came last is %q", i, alive, len(records), who)
		}
	case !rotation && (alive > 0 || len(records) > 0):
		t.Errorf("round %d: after the %s %d cookies are logged in, and %d records are left", i, end, alive, len(records))
	case rotation && (alive > 1 && request != "login" || len(records) > 1):
		t.Errorf("round %d: after the rotation %d cookies are logged in, and there are %d records", i, alive, len(records))
	case rotation && alive == 0 && request != "login":
		t.Errorf("round %d: the rotation ended the login: %s", i, strings.Join(browser.Replay(), " "))
	}
}
