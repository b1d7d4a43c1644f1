package testapp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/totp"
)

// FactorRaces lets requests with second factors cross, in two processes that share a store:
// one code, one recovery code, two enrolments, two sets of recovery codes, a removal beside
// logins, and the code and the link of one mail. Of requests that bring the same code, one
// succeeds.
func FactorRaces(t *testing.T, rounds int, open func(t *testing.T, clock func() time.Time) Store) {
	for name, race := range map[string]func(*factorRace, *testing.T){
		"one code on one pending login":         (*factorRace).onePending,
		"one code on many pending logins":       (*factorRace).manyPending,
		"one recovery code on many pending":     (*factorRace).recovery,
		"two enrolments":                        (*factorRace).enrolments,
		"two sets of recovery codes":            (*factorRace).codeSets,
		"a removal while others bring the code": (*factorRace).removal,
		"the code and the link of one mail":     (*factorRace).mail,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := NewClock()
			store := open(t, clock.Now)
			r := &factorRace{clock: clock, store: store}
			for range 2 {
				r.apps = append(r.apps, New(t, store, clock, func(c *auth.Config) {
					c.Factors = []auth.Factor{totp.New(), totp.RecoveryCodes()}
					c.Limits.Guesses = -1
				}))
			}
			for i := range rounds {
				r.user = r.apps[0].Create(t, fmt.Sprint("susan", i), false)
				race(r, t)
				clock.Advance(time.Hour)
			}
		})
	}
}

type factorRace struct {
	clock *Clock
	apps  []*App // two processes
	store Store
	user  *User
}

const racers = 20 // requests at the same moment

// login returns a browser in which the user is logged in, and has no factor yet.
func (r *factorRace) login(t *testing.T, i int) (*App, *Client) {
	t.Helper()
	app := r.apps[i%len(r.apps)]
	c := app.Client(t)
	c.Login(r.user.Username)
	return app, c
}

// enroll sets up the app, and makes recovery codes.
func (r *factorRace) enroll(t *testing.T) (secret string, codes []string, app *App, c *Client) {
	t.Helper()
	app, c = r.login(t, 0)
	app.In(c, func(ctx context.Context) {
		setup, err := app.BeginFactor(ctx, "totp")
		if err == nil {
			secret = setup.Secret.Reveal()
			err = app.EnrollFactor(ctx, "totp", r.code(t, secret))
		}
		if err == nil {
			codes, err = app.NewRecoveryCodes(ctx, "recovery-code")
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	r.clock.Advance(time.Minute) // the code is used
	return secret, codes, app, c
}

func (r *factorRace) code(t *testing.T, secret string) url.Values {
	t.Helper()
	code, err := totp.Code(secret, r.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	return url.Values{"code": {code}}
}

// pending returns a browser whose login waits for a factor.
func (r *factorRace) pending(t *testing.T, i int) (*App, *Client) {
	t.Helper()
	app := r.apps[i%len(r.apps)]
	c := app.Client(t)
	if got := c.Post("/enter", "login", r.user.Username); got.StatusCode != http.StatusSeeOther {
		t.Fatalf("the login owes no factor: %s", got.Status)
	}
	return app, c
}

// race runs requests at the same moment and returns how many succeeded. The others must be
// refused, and no store may have failed.
func (r *factorRace) race(t *testing.T, n int, request func(i int) error) (won int) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			err := request(i)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won++
			case errors.Is(err, auth.ErrLoginRefused), errors.Is(err, auth.ErrNotLoggedIn), errors.Is(err, auth.ErrConflict),
				errors.Is(err, auth.ErrNoFactor), errors.Is(err, auth.ErrNotFresh), errors.Is(err, auth.ErrBusy), errors.Is(err, auth.ErrInvalidToken):
			default:
				t.Errorf("a request failed: %v", err)
			}
		})
	}
	wg.Wait()
	return won
}

func (r *factorRace) onePending(t *testing.T) {
	secret, _, _, _ := r.enroll(t)
	app, c := r.pending(t, 0)
	cookies := c.Cookies
	answer := r.code(t, secret)
	if won := r.race(t, racers, func(int) (err error) {
		browser := app.Client(t)
		browser.Cookies = map[string]string{}
		for name, value := range cookies {
			browser.Cookies[name] = value
		}
		app.In(browser, func(ctx context.Context) { err = app.ContinueLogin(ctx, "totp", answer) })
		return err
	}); won != 1 {
		t.Errorf("%d requests of one pending login succeeded with one code", won)
	}
}

// mail brings the code of a mail in copies of the browser that asked, and its link in the
// other process.
func (r *factorRace) mail(t *testing.T) {
	box, apps := &Outbox{}, make([]*App, 2)
	for i := range apps {
		apps[i] = New(t, r.store, r.clock, func(c *auth.Config) {
			c.EmailLogin, c.Mailer, c.Limits.Guesses, c.Limits.Mails = true, box, -1, -1
		})
	}
	app := apps[0]
	c := app.Client(t)
	app.In(c, func(ctx context.Context) {
		if err := app.SendLoginCode(ctx, r.user.Email, auth.Next{}); err != nil {
			t.Fatal(err)
		}
	})
	mails := box.Take()
	if len(mails) != 1 {
		t.Fatalf("there are %d mails", len(mails))
	}
	link, err := url.Parse(mails[0].Link.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	code, token, cookies := mails[0].Code.Reveal(), link.Query().Get("token"), c.Cookies
	if won := r.race(t, racers, func(i int) (err error) {
		app := apps[i%2]
		browser := app.Client(t)
		if i%2 == 1 {
			app.In(browser, func(ctx context.Context) { _, err = app.LoginByLink(ctx, token) })
			return err
		}
		browser.Cookies = maps.Clone(cookies)
		app.In(browser, func(ctx context.Context) { _, err = app.LoginByCode(ctx, code) })
		return err
	}); won != 1 {
		t.Errorf("%d requests logged in by one mail", won)
	}
}

func (r *factorRace) manyPending(t *testing.T) {
	secret, _, _, _ := r.enroll(t)
	r.oneOfMany(t, "totp", r.code(t, secret))
}

func (r *factorRace) recovery(t *testing.T) {
	_, codes, _, _ := r.enroll(t)
	r.oneOfMany(t, "recovery-code", url.Values{"code": {codes[3]}})
}

// oneOfMany brings one answer on many pending logins.
func (r *factorRace) oneOfMany(t *testing.T, factor string, answer url.Values) {
	t.Helper()
	apps, clients := make([]*App, racers), make([]*Client, racers)
	for i := range racers {
		apps[i], clients[i] = r.pending(t, i)
	}
	if won := r.race(t, racers, func(i int) (err error) {
		apps[i].In(clients[i], func(ctx context.Context) { err = apps[i].ContinueLogin(ctx, factor, answer) })
		return err
	}); won != 1 {
		t.Errorf("%d logins succeeded with one answer to %s", won, factor)
	}
	in := 0
	for _, c := range clients {
		if c.Who() == r.user.Username {
			in++
		}
	}
	if in != 1 {
		t.Errorf("%d browsers are logged in", in)
	}
}

func (r *factorRace) enrolments(t *testing.T) {
	secrets, apps, clients := make([]string, 2), make([]*App, 2), make([]*Client, 2)
	for i := range 2 {
		apps[i], clients[i] = r.login(t, i)
		apps[i].In(clients[i], func(ctx context.Context) {
			setup, err := apps[i].BeginFactor(ctx, "totp")
			if err != nil {
				t.Error(err)
			}
			secrets[i] = setup.Secret.Reveal()
		})
	}
	if won := r.race(t, 2, func(i int) (err error) {
		apps[i].In(clients[i], func(ctx context.Context) { err = apps[i].EnrollFactor(ctx, "totp", r.code(t, secrets[i])) })
		return err
	}); won != 1 {
		t.Errorf("%d of two enrolments succeeded", won)
	}
	r.clock.Advance(time.Minute)
	app, c := r.pending(t, 0)
	app.In(c, func(ctx context.Context) {
		if err := app.ContinueLogin(ctx, "totp", r.code(t, secrets[0])); err != nil {
			t.Errorf("the app that was set up: %v", err)
		}
	})
}

func (r *factorRace) codeSets(t *testing.T) {
	_, _, app, c := r.enroll(t)
	cookies := c.Cookies
	sets := make([][]string, 2)
	won := r.race(t, 2, func(i int) (err error) {
		browser := app.Client(t)
		browser.Cookies = map[string]string{}
		for name, value := range cookies {
			browser.Cookies[name] = value
		}
		app.In(browser, func(ctx context.Context) { sets[i], err = app.NewRecoveryCodes(ctx, "recovery-code") })
		return err
	})
	if won != 1 {
		t.Errorf("%d of two new sets of codes were shown", won)
	}
	for i, set := range sets {
		if len(set) == 0 {
			continue
		}
		app, c := r.pending(t, i)
		app.In(c, func(ctx context.Context) {
			if err := app.ContinueLogin(ctx, "recovery-code", url.Values{"code": {set[0]}}); err != nil {
				t.Errorf("a code that was shown: %v", err)
			}
		})
	}
}

func (r *factorRace) removal(t *testing.T) {
	secret, _, app, c := r.enroll(t)
	apps, clients := make([]*App, racers), make([]*Client, racers)
	for i := range racers {
		apps[i], clients[i] = r.pending(t, i)
	}
	answer := r.code(t, secret)
	r.race(t, racers+1, func(i int) (err error) {
		if i == racers {
			app.In(c, func(ctx context.Context) { err = app.RemoveFactor(ctx, "totp") })
			return err
		}
		apps[i].In(clients[i], func(ctx context.Context) { err = apps[i].ContinueLogin(ctx, "totp", answer) })
		return err
	})
	for _, c := range clients {
		if c.Who() != "nobody" {
			t.Error("a login with the factor outlives its removal")
		}
	}
	states, err := app.FactorsOf(t.Context(), r.user)
	if err != nil || states[0].Enrolled || states[1].Enrolled {
		t.Errorf("after the removal: %+v, %v", states, err)
	}
}
