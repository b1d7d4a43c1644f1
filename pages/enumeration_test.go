package pages_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/pages"
)

// A crowd has accounts in every possible state.
type crowd struct {
	t       *testing.T
	app     authtest.App
	store   *memstore.Store[User, *User]
	manager *auth.Manager[*User]
	clock   *authtest.Clock
	mailbox *authtest.Mailbox
	n       int
	locked  map[string]string // names of accounts that it takes long to make
}

func newCrowd(t *testing.T, requireVerified bool) *crowd {
	t.Helper()
	c := &crowd{t: t, clock: authtest.NewClock(time.Time{}), mailbox: &authtest.Mailbox{}, locked: map[string]string{}}
	c.store = memstore.New[User](memstore.WithClock(c.clock.Now))
	manager, err := auth.New(c.store, auth.Config{
		BaseURL: "https://app.example", Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")},
		Mailer: c.mailbox, Now: c.clock.Now, Logger: slog.New(slog.DiscardHandler),
		RequireVerified: requireVerified, HideAccounts: requireVerified, Password: auth.PasswordConfig{HashParams: authtest.HashParams()},
		Limits:     auth.Limits{Guesses: -1, Mails: -1, Registrations: -1},
		EmailLogin: true,
	})
	check(t, err)
	p, err := pages.New(manager.Core, pages.Config{})
	check(t, err)
	provide(t, manager.Core)
	mux := http.NewServeMux()
	mux.Handle("/", p)
	c.app = authtest.App{Core: manager.Core, Handler: manager.LoadAndSave(mux), Mailbox: c.mailbox}
	c.manager = manager
	return c
}

// states returns the states of accounts. Every account that has a password has the
// password good. Without GOLOGIN_SLOW no password is disabled, because that takes a
// hundred hashes.
func (c *crowd) states() []string {
	states := []string{"unknown", "known", "unverified", "disabled", "without a password", "unusable hash", "locked", "password disabled"}
	return states[:testapp.Rounds(c.t, len(states)-1, len(states))]
}

// name returns the name of an account in this state. No other probe has used the
// account, unless that makes no difference. All names have the same length.
func (c *crowd) name(state string) string {
	if name, ok := c.locked[state]; ok {
		return name
	}
	c.n++
	name := fmt.Sprintf("user%04d", c.n)
	a := auth.Account{
		Username: name, Email: name + "@example.com", EmailVerified: true,
		PasswordHash: hashOfGood(), Stamp: auth.NewSecret("stamp of " + name), Version: 1,
	}
	failures := 0
	switch state {
	case "unknown":
		return name
	case "unverified":
		a.EmailVerified = false
	case "disabled":
		a.Disabled = true
	case "without a password":
		a.PasswordHash = auth.Secret{}
	case "unusable hash":
		a.PasswordHash = auth.NewSecret("$argon2id$v=19$m=4294967295,t=0,p=0$AAAA$AAAA")
	case "locked":
		failures = 5
	case "password disabled":
		failures = 100
	}
	_, err := c.store.CreateUser(c.t.Context(), a, nil)
	check(c.t, err)
	for i := range failures {
		if i >= 5 {
			c.clock.Advance(time.Hour)
		}
		if _, err := c.manager.Authenticate(c.t.Context(), name, "wrong"); err == nil {
			c.t.Fatal("a wrong password")
		}
	}
	if failures > 0 {
		c.locked[state] = name
	}
	return name
}

// TestNobodyLearnsWhoHasAnAccount: for every pair of states of an account, the pages
// answer the same to a client that does not know the password. If a state refuses the
// right password, that answer is compared, too. Without GOLOGIN_SLOW only the pairs with
// the first state are compared.
func TestNobodyLearnsWhoHasAnAccount(t *testing.T) {
	t.Parallel()
	nobodyLearns(t, func(b *authtest.Client, page string, form url.Values) { b.Post(page, form) })
}

// TestNobodyLearnsByJSON is TestNobodyLearnsWhoHasAnAccount for programs.
func TestNobodyLearnsByJSON(t *testing.T) {
	t.Parallel()
	nobodyLearns(t, func(b *authtest.Client, page string, form url.Values) {
		fields := map[string]any{}
		for name := range form {
			fields[name] = form.Get(name)
			if name == "remember_me" {
				fields[name] = true
			}
		}
		body, err := json.Marshal(fields)
		check(t, err)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://app.example"+page, bytes.NewReader(body))
		r.Header.Set("Accept", "application/json")
		r.Header.Set("Content-Type", "application/json")
		if kind := b.Do(r).Header.Get("Content-Type"); kind != "application/json" && kind != "application/problem+json" {
			t.Errorf("the answer is %s", kind)
		}
	})
}

// nobodyLearns compares all states, with forms that send sends.
func nobodyLearns(t *testing.T, send func(b *authtest.Client, page string, form url.Values)) {
	t.Helper()
	if underRace {
		t.Skip("too many hashes for the race detector")
	}
	c := newCrowd(t, true)
	for _, state := range slices.Backward(c.states()) { // so that the clock stands still from the lock on
		c.name(state)
	}
	login := func(identifier func(name string) string, password string) func(string) authtest.Probe {
		return func(state string) authtest.Probe {
			id := identifier(c.name(state))
			return authtest.Probe{Hide: []string{id}, Do: func(b *authtest.Client) {
				send(b, "/login", url.Values{"login": {id}, "password": {password}, "remember_me": {"y"}})
			}}
		}
	}
	username := func(name string) string { return name }
	address := func(name string) string { return name + "@example.com" }
	// Those in the states mailed get a mail, up to three.
	post := func(page string, fields func(name string) url.Values, mailed ...string) func(string) authtest.Probe {
		had := map[string]int{}
		return func(state string) authtest.Probe {
			name, mails := c.name(state), 0
			if had[name]++; slices.Contains(mailed, state) && had[name] <= 3 {
				mails = 1
			}
			return authtest.Probe{Hide: []string{name}, Mails: mails, Do: func(b *authtest.Client) {
				send(b, page, fields(name))
			}}
		}
	}
	// code asks for a code by mail, and types a wrong one.
	asked := post("/login/code", func(name string) url.Values { return url.Values{"email": {address(name)}} }, "known", "unverified",
		"without a password", "unusable hash", "locked", "password disabled")
	code := func(state string) authtest.Probe {
		probe := asked(state)
		ask := probe.Do
		probe.Do = func(b *authtest.Client) {
			ask(b)
			b.Get("/login/code")
			send(b, "/login/code", url.Values{"code": {"BCDF-GHJK"}})
		}
		return probe
	}
	active := []string{"known", "unverified", "without a password", "unusable hash", "locked", "password disabled"}
	for what, test := range map[string]struct {
		probe func(state string) authtest.Probe
		but   []string // states that are told apart, and may be
	}{
		"a wrong password by username": {probe: login(username, "wrong")},
		"a wrong password by address":  {probe: login(address, "wrong")},
		"the right password": {
			probe: login(address, good),
			but:   []string{"known"},
		},
		"a forgotten password": {probe: post("/forgot-password", func(name string) url.Values {
			return url.Values{"email": {address(name)}}
		}, active...)},
		"a code by mail, and a wrong one": {probe: code},
		"another mail to verify": {probe: post("/verify-email", func(name string) url.Values {
			return url.Values{"email": {address(name)}}
		}, "unverified")},
		"registering": {probe: post("/register", func(name string) url.Values {
			c.n++ // a username is good for one registration
			return url.Values{"username": {fmt.Sprintf("new%04d", c.n)}, "email": {address(name)}, "password": {good}, "confirm_password": {good}}
		}, append(active, "unknown")...)},
	} {
		states := slices.DeleteFunc(c.states(), func(state string) bool { return slices.Contains(test.but, state) })
		for i, a := range states[:testapp.Rounds(t, 1, len(states))] {
			for _, b := range states[i:] {
				t.Run(what+"/"+a+"/"+b, func(t *testing.T) {
					authtest.Indistinguishable(t, c.app, test.probe(a), test.probe(b))
				})
			}
		}
	}
}
