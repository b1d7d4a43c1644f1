package bench_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/oauth"
)

// TestProviderRaces lets logins by a provider cross on every store, in two processes that share
// it. It is here because this module has all stores.
func TestProviderRaces(t *testing.T) {
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			r := newProviderRace(t, e)
			for i := range testapp.Rounds(t, 1, 10) {
				t.Run(fmt.Sprint("one state ", i), r.oneState)
				t.Run(fmt.Sprint("first logins ", i), r.firstLogins)
				t.Run(fmt.Sprint("one subject for many accounts ", i), r.oneSubject)
				t.Run(fmt.Sprint("two identities are removed ", i), r.removeIdentities)
				t.Run(fmt.Sprint("password and identity are removed ", i), r.removePasswordAndIdentity)
			}
		})
	}
}

type providerRace struct {
	provider *authtest.Provider
	store    *countingStore
	cores    [2]*auth.Core
	handlers [2]http.Handler
	both     http.Handler // serves each request in another process than the last
	names    atomic.Int32
	meeting  atomic.Pointer[meeting]
}

// A meeting lets the first sign-up of each process wait for that of the other.
type meeting struct {
	once [2]sync.Once
	both sync.WaitGroup
}

func (m *meeting) join(process int) {
	if m != nil {
		m.once[process].Do(func() { m.both.Done(); m.both.Wait() })
	}
}

// A countingStore counts the users that it creates.
type countingStore struct {
	*store
	created atomic.Int32
}

func (s *countingStore) CreateUser(ctx context.Context, a auth.Account, form url.Values) (*User, error) {
	u, err := s.store.CreateUser(ctx, a, form)
	if err == nil {
		s.created.Add(1)
	}
	return u, err
}

func newProviderRace(t *testing.T, e engine) *providerRace {
	r := &providerRace{provider: authtest.NewProvider(t, authtest.ProviderConfig{}), store: &countingStore{store: e.open(t, newClock(), nil)}}
	for i := range r.cores {
		manager, err := auth.New[*User](r.store, auth.Config{
			BaseURL: "https://app.example", Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")}, Records: r.store.records,
			Logger: slog.New(slog.DiscardHandler), Now: time.Now, Limits: auth.Limits{Guesses: -1, Registrations: -1},
			Password: auth.PasswordConfig{HashParams: authtest.HashParams()},
		})
		check(t, err)
		handler, err := oauth.New(manager.Core, oauth.Provider{
			Name: "work", Issuer: r.provider.Issuer, ClientID: r.provider.ClientID, ClientSecret: auth.NewSecret(r.provider.ClientSecret),
			SignUp: true,
			Registration: func(context.Context, oauth.Profile) (auth.Registration, error) {
				r.meeting.Load().join(i)
				return auth.Registration{Username: r.name()}, nil // always another
			},
		})
		check(t, err)
		mux := http.NewServeMux()
		handler.Mount(mux)
		mux.HandleFunc("GET /who", func(w http.ResponseWriter, req *http.Request) {
			if u, err := manager.User(req.Context()); err == nil {
				_, _ = io.WriteString(w, u.ID)
			}
		})
		mux.HandleFunc("POST /login", func(w http.ResponseWriter, req *http.Request) {
			u, err := r.store.LoadUser(req.Context(), req.FormValue("id"))
			if err == nil {
				err = manager.LoginUser(req.Context(), u)
			}
			if err != nil {
				manager.Error(w, req, err)
			}
		})
		mux.HandleFunc("POST /remove", func(w http.ResponseWriter, req *http.Request) {
			var err error
			if id := req.FormValue("id"); id == "" {
				err = manager.RemovePassword(req.Context())
			} else {
				err = manager.RemoveIdentity(req.Context(), id)
			}
			if err != nil {
				manager.Error(w, req, err)
			}
		})
		r.cores[i], r.handlers[i] = manager.Core, manager.LoadAndSave(mux)
	}
	var n atomic.Int32
	r.both = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { r.handlers[n.Add(1)%2].ServeHTTP(w, req) })
	return r
}

func (r *providerRace) name() string { return fmt.Sprint("susan", r.names.Add(1)) }

// account makes a user, perhaps with a password.
func (r *providerRace) account(t *testing.T, password string) *User {
	t.Helper()
	a := auth.Account{Username: r.name(), Version: 1, PasswordHash: auth.NewSecret(password)}
	a.Stamp = auth.NewSecret("the stamp of " + a.Username)
	u, err := r.store.CreateUser(t.Context(), a, nil)
	check(t, err)
	return u
}

// browser is a browser that is logged in as this user, or as nobody.
func (r *providerRace) browser(t *testing.T, u *User) *authtest.Client {
	t.Helper()
	c := authtest.NewClient(t, r.cores[0], r.both)
	if u != nil {
		wantStatus(t, c.Post("/login", url.Values{"id": {u.ID}}), http.StatusOK)
	}
	return c
}

// visit goes to the provider as this subject there, up to the way back.
func (r *providerRace) visit(t *testing.T, c *authtest.Client, subject, purpose string) *http.Request {
	t.Helper()
	r.provider.Consent(authtest.ProviderUser{Subject: subject})
	return r.provider.Visit(c.Post("/oauth/work", url.Values{"purpose": {purpose}}))
}

// link connects a subject to a user, and returns a browser that has logged in by it.
func (r *providerRace) link(t *testing.T, u *User, subject string) *authtest.Client {
	t.Helper()
	c := r.browser(t, u)
	wantStatus(t, c.Do(r.visit(t, c, subject, "link")), http.StatusSeeOther)
	c = r.browser(t, nil)
	wantStatus(t, c.Do(r.visit(t, c, subject, "login")), http.StatusSeeOther)
	return c
}

func (r *providerRace) identities(t *testing.T, u *User) []auth.Identity {
	t.Helper()
	u, err := r.store.LoadUser(t.Context(), u.ID)
	check(t, err)
	all, err := r.cores[0].Identities(t.Context(), u)
	check(t, err)
	return all
}

func wantStatus(t *testing.T, r *authtest.Response, want int) {
	t.Helper()
	if r.StatusCode != want {
		t.Fatalf("%s, want %d: %s", r.Status, want, r.Text)
	}
}

// together runs requests at the same moment, and returns how many of the answers have this
// status. The others must be refusals.
func together(t *testing.T, n, status int, request func(i int) *authtest.Response) (count int) {
	t.Helper()
	answers := make([]*authtest.Response, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { answers[i] = request(i) })
	}
	wg.Wait()
	for _, a := range answers {
		if a.StatusCode == status {
			count++
		} else if a.StatusCode < 300 || a.StatusCode > 499 {
			t.Errorf("%s: %s", a.Status, a.Text)
		}
	}
	return count
}

// oneState: one code is exchanged once.
func (r *providerRace) oneState(t *testing.T) {
	c := r.browser(t, nil)
	before := len(r.provider.Requests(authtest.Token))
	back := r.visit(t, c, t.Name(), "login")
	in := together(t, 50, http.StatusSeeOther, func(int) *authtest.Response { return c.Do(back.Clone(t.Context())) })
	if n := len(r.provider.Requests(authtest.Token)) - before; n != 1 || in == 0 {
		t.Errorf("%d token requests, and %d answers lead on", n, in)
	}
	if c.Get("/who").Text == "" {
		t.Error("nobody is logged in")
	}
}

// firstLogins: a user who comes for the first time in many browsers at once gets one account.
func (r *providerRace) firstLogins(t *testing.T) {
	var browsers []*authtest.Client
	var visits []*http.Request
	for range 20 {
		c := r.browser(t, nil)
		browsers, visits = append(browsers, c), append(visits, r.visit(t, c, t.Name(), "login"))
	}
	before, both := r.store.created.Load(), &meeting{}
	both.both.Add(2)
	r.meeting.Store(both)
	defer r.meeting.Store(nil)
	if in := together(t, 20, http.StatusSeeOther, func(i int) *authtest.Response { return browsers[i].Do(visits[i]) }); in == 0 {
		t.Error("nobody gets in")
	}
	if n := r.store.created.Load() - before; n != 1 {
		t.Errorf("%d accounts", n)
	}
	who := map[string]bool{}
	for _, c := range browsers {
		if id := c.Get("/who").Text; id != "" {
			who[id] = true
		}
	}
	if len(who) != 1 {
		t.Errorf("the browsers are logged in as %d users", len(who))
	}
}

// oneSubject: a subject that many users connect at once belongs to one of them.
func (r *providerRace) oneSubject(t *testing.T) {
	const n = 8
	var users []*User
	var browsers []*authtest.Client
	var visits []*http.Request
	for range n {
		u := r.account(t, "")
		c := r.browser(t, u)
		users, browsers, visits = append(users, u), append(browsers, c), append(visits, r.visit(t, c, t.Name(), "link"))
	}
	if won := together(t, n, http.StatusSeeOther, func(i int) *authtest.Response { return browsers[i].Do(visits[i]) }); won != 1 {
		t.Errorf("%d users have connected one subject", won)
	}
	owners := 0
	for _, u := range users {
		owners += len(r.identities(t, u))
	}
	if owners != 1 {
		t.Errorf("%d identities", owners)
	}
}

// removeIdentities: of the last two ways to log in, which are identities, one stays.
func (r *providerRace) removeIdentities(t *testing.T) {
	u := r.account(t, "")
	var browsers [2]*authtest.Client
	for i := range browsers {
		browsers[i] = r.link(t, u, fmt.Sprint(t.Name(), i))
	}
	all := r.identities(t, u)
	won := together(t, 2, http.StatusOK, func(i int) *authtest.Response {
		return browsers[i].Post("/remove", url.Values{"id": {all[i].ID}})
	})
	if left := len(r.identities(t, u)); left != 1 || won != 1 {
		t.Errorf("%d removals, and %d identities are left", won, left)
	}
}

// removePasswordAndIdentity: of the last two ways to log in, a password and an identity, one
// stays.
func (r *providerRace) removePasswordAndIdentity(t *testing.T) {
	u := r.account(t, strings.Repeat("h", 20))
	browsers := [2]*authtest.Client{r.link(t, u, t.Name()), r.browser(t, u)}
	ids := [2]string{r.identities(t, u)[0].ID, ""}
	won := together(t, 2, http.StatusOK, func(i int) *authtest.Response {
		return browsers[i].Post("/remove", url.Values{"id": {ids[i]}})
	})
	left := len(r.identities(t, u))
	u, err := r.store.LoadUser(t.Context(), u.ID)
	check(t, err)
	if !u.PasswordHash.IsZero() {
		left++
	}
	if left != 1 || won != 1 {
		t.Errorf("%d removals, and %d ways to log in are left", won, left)
	}
}
