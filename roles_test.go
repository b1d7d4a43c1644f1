package auth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// withRoles has three roles: of an administrator, an editor, and one without permissions.
func withRoles(c *auth.Config) {
	c.Roles = auth.RoleConfig{
		Permissions: []string{"posts.read", "posts.edit", "users.edit"},
		Grants: map[string][]string{
			"admin": {"posts.read", "posts.edit", "users.edit"}, "editor": {"posts.read", "posts.edit"}, "guest": nil,
		},
	}
	c.Credentials = []auth.Credential{auth.Bearer()}
}

// sourceRoles are the roles of withRoles in a RoleSource that can fail and counts its calls.
type sourceRoles struct {
	mu     sync.Mutex
	fails  error
	grants map[string][]string
	asked  []string
}

func newSourceRoles() *sourceRoles {
	var c auth.Config
	withRoles(&c)
	return &sourceRoles{grants: c.Roles.Grants}
}

func (s *sourceRoles) RolePermissions(_ context.Context, role string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, role)
	granted, ok := s.grants[role]
	switch {
	case s.fails != nil:
		return nil, s.fails
	case !ok:
		return nil, fmt.Errorf("roles: %w", auth.ErrUnknownRole)
	}
	return granted, nil
}

func (s *sourceRoles) set(fails error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails, s.asked = fails, nil
}

func (s *sourceRoles) configure(c *auth.Config) {
	withRoles(c)
	c.Roles.Grants, c.Roles.Source = nil, s
}

// withRole creates a user with these roles.
func withRole(t *testing.T, app *testapp.App, name string, roles ...string) *testapp.User {
	t.Helper()
	app.Create(t, name, false)
	u, err := app.Store.FindUser(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return setRoles(t, app, u, roles...)
}

// setRoles changes roles as an application does by SQL: nothing but the column and Version.
func setRoles(t *testing.T, app *testapp.App, u *testapp.User, roles ...string) *testapp.User {
	t.Helper()
	a := stored(t, app, u.ID).Clone()
	a.Roles = roles
	if err := app.Store.UpdateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	return stored(t, app, u.ID)
}

// editorPage is a page for which "posts.edit" is needed.
func editorPage(app *testapp.App, path string) {
	app.Mux.Handle(path, app.Require(auth.Can("posts.edit"))(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "the editor")
	})))
}

// R6: New refuses a mistake in the settings, and names it.
func TestRolesConfig(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 65)
	grants := func(roles map[string][]string) auth.RoleConfig {
		return auth.RoleConfig{Permissions: []string{"posts.edit"}, Grants: roles}
	}
	for what, c := range map[string]struct {
		roles auth.RoleConfig
		want  string // in the error; "" for none
	}{
		"none":                        {auth.RoleConfig{}, ""},
		"good":                        {auth.RoleConfig{Permissions: []string{"posts.edit"}, Grants: map[string][]string{"admin": {"posts.edit"}}, Admin: "admin"}, ""},
		"roles without permissions":   {auth.RoleConfig{Grants: map[string][]string{"admin": nil}, Admin: "admin"}, ""},
		"longest name":                {grants(map[string][]string{long[:64]: nil}), ""},
		"source":                      {auth.RoleConfig{Permissions: []string{"posts.edit"}, Source: newSourceRoles(), Admin: "admin"}, ""},
		"undeclared permission":       {grants(map[string][]string{"editor": {"posts.edti"}}), `Grants["editor"] has the permission "posts.edti"`},
		"permission twice in a role":  {grants(map[string][]string{"editor": {"posts.edit", "posts.edit"}}), `Grants["editor"] has "posts.edit" twice`},
		"permission twice":            {auth.RoleConfig{Permissions: []string{"a", "b", "a"}, Grants: map[string][]string{"r": nil}}, `Permissions has "a" twice`},
		"empty permission":            {auth.RoleConfig{Permissions: []string{""}, Grants: map[string][]string{"r": nil}}, `Permissions[0] is ""`},
		"space in a permission":       {auth.RoleConfig{Permissions: []string{"a", "posts edit"}, Grants: map[string][]string{"r": nil}}, `Permissions[1] is "posts edit"`},
		"star":                        {auth.RoleConfig{Permissions: []string{"*"}, Grants: map[string][]string{"r": nil}}, `Permissions[0] is "*"`},
		"permission too long":         {auth.RoleConfig{Permissions: []string{long}, Grants: map[string][]string{"r": nil}}, "Permissions[0]"},
		"role too long":               {grants(map[string][]string{long: nil}), "Grants has the role"},
		"empty role":                  {grants(map[string][]string{"": nil}), `Grants has the role ""`},
		"Cyrillic role":               {grants(map[string][]string{"аdmin": nil}), `Grants has the role "аdmin"`},
		"unknown admin":               {auth.RoleConfig{Grants: map[string][]string{"editor": nil}, Admin: "admin"}, `Admin is "admin"`},
		"admin alone":                 {auth.RoleConfig{Admin: "admin"}, `Admin is "admin"`},
		"malformed admin of a source": {auth.RoleConfig{Source: newSourceRoles(), Admin: "the admin"}, `Admin is "the admin"`},
		"grants and source":           {auth.RoleConfig{Permissions: []string{"posts.edit"}, Grants: map[string][]string{"r": nil}, Source: newSourceRoles()}, "Grants and a Source"},
		"nil source":                  {auth.RoleConfig{Source: (*sourceRoles)(nil)}, "Source is a nil pointer"},
		"permissions without effect":  {auth.RoleConfig{Permissions: []string{"posts.edit"}}, "Permissions has no effect"},
	} {
		cfg := goodConfig()
		cfg.Roles = c.roles
		_, err := auth.New[*testapp.User](memstore.New[testapp.User](), cfg)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", what, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), "Config.Roles") || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %s", what, err, c.want)
		}
	}
	cfg := goodConfig()
	withRoles(&cfg)
	if _, err := auth.New[*testapp.User](partialStore{testapp.NewSpy(testapp.NewClock()), []auth.AccountField{auth.FieldRoles}}, cfg); err == nil || !strings.Contains(err.Error(), "Config.Roles needs Account.Roles") {
		t.Errorf("a store without roles: %v", err)
	}
	cfg.Roles.Admin, cfg.Records = "admin", memstore.NewRecords()
	if _, err := auth.NewWithLoader[*testapp.User](memstore.New[testapp.User](), cfg); !errors.Is(err, auth.ErrNoUserStore) {
		t.Errorf("Admin with a loader: %v", err)
	}
}

// After New, nothing that the application does to its Config, or to the one that it gets
// from the Manager, changes what roles allow.
func TestRolesConfigIsCopied(t *testing.T) {
	t.Parallel()
	var cfg auth.Config
	app, _ := newApp(t, func(c *auth.Config) { withRoles(c); cfg = *c })
	editorPage(app, "/editor")
	c := app.Client(t)
	withRole(t, app, "susan", "guest")
	c.Login("susan")
	for _, roles := range []auth.RoleConfig{cfg.Roles, app.Config().Roles} {
		roles.Grants["guest"] = []string{"posts.edit"}
		roles.Permissions[0] = "posts.edit"
		roles.Grants["editor"][0] = "users.edit"
	}
	if r := c.Get("/editor"); r.StatusCode != http.StatusForbidden {
		t.Error(r.Status)
	}
	if got := app.Config().Roles.Grants["editor"]; !slices.Equal(got, []string{"posts.read", "posts.edit"}) {
		t.Errorf("%q", got)
	}
}

// R1: an anonymous request is sent to the login page, or told 401.
func TestRolesAnonymous(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, withRoles)
	editorPage(app, "/editor")
	for name, want := range map[string]struct {
		header           http.Header
		status           int
		header2, contain string
	}{
		"browser":   {http.Header{"Accept": {"text/html"}}, http.StatusSeeOther, "Location", "/login?next=%2Feditor"},
		"JSON":      {http.Header{"Accept": {"application/json"}}, http.StatusUnauthorized, "", ""},
		"htmx":      {http.Header{"Hx-Request": {"true"}, "Accept": {"text/html"}}, http.StatusUnauthorized, "HX-Redirect", "/login"},
		"WebSocket": {http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}}, http.StatusUnauthorized, "", ""},
	} {
		r := app.Client(t).Do(http.MethodGet, "/editor", nil, want.header)
		if r.StatusCode != want.status || want.header2 != "" && !strings.Contains(r.Header.Get(want.header2), want.contain) {
			t.Errorf("%s: %s %v", name, r.Status, r.Header)
		}
		if want.header2 == "" && r.Header.Get("Location") != "" || strings.Contains(r.Text, "the editor") {
			t.Errorf("%s: %v %q", name, r.Header, r.Text)
		}
	}
}

// R2: without the role or the permission the answer is 403, and the event names what is
// missing.
func TestRolesForbidden(t *testing.T) {
	t.Parallel()
	pageErr := error(nil)
	app, _ := newApp(t, func(c *auth.Config) {
		withRoles(c)
		c.ErrorPage = func(w http.ResponseWriter, _ *http.Request, status int, err error) {
			pageErr = err
			w.WriteHeader(status)
		}
	})
	withRole(t, app, "susan", "guest")
	c := app.Client(t)
	c.Login("susan")
	for want, rule := range map[string]auth.Rule{
		`auth: the user may not do this: needs the permission "posts.edit"`:            auth.Can("posts.edit"),
		`auth: the user may not do this: needs one of the roles ["admin" "editor"]`:    auth.Role("admin", "editor"),
		`auth: the user may not do this: needs a role, and the rule Role() names none`: auth.Role(),
		`auth: the user may not do this: needs the permission "posts.edti"`:            auth.Can("posts.edti"),
		`auth: the user may not do this: needs one of the roles ["gust"]`:              auth.Role("gust"),
		`auth: the user may not do this: needs the permission ""`:                      auth.Can(""),
	} {
		guarded := app.Require(rule)(http.HandlerFunc(hello))
		app.Events()
		r := app.Act(c, http.Header{"Accept": {"text/html"}}, guarded.ServeHTTP)
		if r.StatusCode != http.StatusForbidden || r.Header.Get("Location") != "" || !errors.Is(pageErr, auth.ErrForbidden) {
			t.Errorf("%s: %s", want, r.Status)
		}
		events := app.Events()
		if len(events) != 1 || events[0].Kind != auth.EventAccessDenied || events[0].UserID == "" || events[0].Err.Error() != want {
			t.Errorf("%s: %v", want, events)
		}
	}
}

// R3: if a role is taken away, the next request of each login gets 403, in another process,
// too. A stream there ends when the user is next loaded.
func TestRoleRemoved(t *testing.T) {
	t.Parallel()
	apps, _ := processes(t, 2, withRoles)
	other := apps[1]
	other.WatchEvery(time.Millisecond)
	editorPage(apps[0], "/editor")
	editorPage(other, "/editor")
	u := withRole(t, apps[0], "susan", "guest", "editor")
	browsers := []*testapp.Client{other.Client(t), other.Client(t)}
	for i, c := range browsers {
		apps[i].Client(t)
		c.Login("susan")
		if r := c.Get("/editor"); r.StatusCode != http.StatusOK {
			t.Fatal(r.Status)
		}
	}
	w := newWatcher(t, other)
	stream := w.open(browsers[0], nil)
	setRoles(t, apps[0], u, "guest")
	for _, c := range browsers {
		if r := c.Get("/editor"); r.StatusCode != http.StatusForbidden {
			t.Errorf("after the role is gone: %s", r.Status)
		}
		if who := c.Who(); who != "susan" {
			t.Errorf("the login ended: %s", who)
		}
	}
	finish(t, func() { <-stream.Done() })
	if err := context.Cause(stream); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("the stream ended by %v", err)
	}
}

// WhileLoggedIn loads the user now and then. A new Stamp and Disabled, set by another
// process, end it; an added role and a change of the address do not.
func TestWatchInterval(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*auth.Account)
		want   error
	}{
		"a new Stamp": {func(a *auth.Account) { a.Stamp = auth.NewSecret("another") }, auth.ErrLoggedOut},
		"disabled":    {func(a *auth.Account) { a.Disabled = true }, auth.ErrLoggedOut},
		"role lost":   {func(a *auth.Account) { a.Roles = []string{"guest"} }, auth.ErrForbidden},
		"role added":  {func(a *auth.Account) { a.Roles = []string{"admin", "guest", "editor"} }, nil},
		"renamed":     {func(a *auth.Account) { a.Username = "sue" }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app, store := newApp(t, withRoles)
			app.WatchEvery(time.Millisecond)
			u := withRole(t, app, "susan", "guest", "editor")
			browser := app.Client(t)
			browser.Login("susan")
			w := newWatcher(t, app)
			stream := w.open(browser, nil)
			a := stored(t, app, u.ID).Clone()
			c.change(&a)
			if err := app.Store.UpdateAccount(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			if c.want != nil {
				finish(t, func() { <-stream.Done() })
				if err := context.Cause(stream); !errors.Is(err, c.want) {
					t.Error(err)
				}
				return
			}
			loads := make(chan struct{}) // the user is loaded three more times, and the stream goes on
			store.Hook(func(method string) error {
				if method == "LoadUser" {
					select {
					case loads <- struct{}{}:
					case <-stream.Done():
					}
				}
				return nil
			}, nil)
			finish(t, func() {
				for range 3 {
					select {
					case <-loads:
					case <-stream.Done():
						t.Errorf("the stream ended by %v", context.Cause(stream))
						return
					}
				}
			})
			store.Reset()
		})
	}
}

// R4: a role that is added works with the next request; no new login is needed.
func TestRoleAdded(t *testing.T) {
	t.Parallel()
	apps, _ := processes(t, 2, withRoles)
	editorPage(apps[1], "/editor")
	u := withRole(t, apps[0], "susan", "guest")
	c := apps[1].Client(t)
	c.Login("susan")
	if r := c.Get("/editor"); r.StatusCode != http.StatusForbidden {
		t.Fatal(r.Status)
	}
	setRoles(t, apps[0], u, "guest", "editor")
	if r := c.Get("/editor"); r.StatusCode != http.StatusOK {
		t.Error(r.Status)
	}
}

// R5: a role in the store that Config.Roles does not have gives nothing, and is logged once.
func TestUnknownRoleInStore(t *testing.T) {
	t.Parallel()
	for name, configure := range map[string]func(*auth.Config){"Grants": withRoles, "Source": newSourceRoles().configure} {
		app, _ := newApp(t, configure)
		editorPage(app, "/editor")
		app.Mux.Handle("/super", app.Require(auth.Role("super"))(http.HandlerFunc(hello)))
		hostile := "a\nb" + strings.Repeat("x", 500)
		u := withRole(t, app, "susan", "super", hostile, "")
		c := app.Client(t)
		c.Login("susan")
		for range 3 {
			for _, path := range []string{"/editor", "/super"} {
				if r := c.Get(path); r.StatusCode != http.StatusForbidden {
					t.Errorf("%s: %s: %s", name, path, r.Status)
				}
			}
		}
		if n := strings.Count(app.Logs(), "a user has a role that is not in Config.Roles"); n != 3 {
			t.Errorf("%s: %d lines for 3 roles:\n%s", name, n, app.Logs())
		}
		if strings.Contains(app.Logs(), strings.Repeat("x", 101)) {
			t.Errorf("%s: a long name is logged", name)
		}
		var many []string
		for i := range 300 {
			many = append(many, fmt.Sprintf("role-%d", i))
		}
		setRoles(t, app, u, append(many, "editor")...)
		if r := c.Get("/editor"); r.StatusCode != http.StatusOK {
			t.Errorf("%s: a known role after unknown ones: %s", name, r.Status)
		}
		if n := strings.Count(app.Logs(), "a user has a role that is not in Config.Roles"); n > 100 {
			t.Errorf("%s: %d lines", name, n)
		}
	}
}

// A guard with a name that is not declared refuses everybody, and is logged once, when it
// is made. The lists of such names are kept for a check at the start.
func TestUndeclaredNamesInGuards(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, withRoles)
	for range 2 {
		app.Mux.Handle(fmt.Sprintf("/%p", new(int)), app.Require(auth.Can("posts.edti"), auth.Role("admin", "edtior"))(http.HandlerFunc(hello)))
	}
	guards, _, _ := app.Undeclared()
	if !slices.Equal(guards, []string{`permission "posts.edti"`, `role "edtior"`}) {
		t.Errorf("%q", guards)
	}
	if n := strings.Count(app.Logs(), "a guard needs a role or permission that is not in Config.Roles"); n != 2 {
		t.Errorf("%d lines:\n%s", n, app.Logs())
	}
	withRole(t, app, "susan", "posts.edti", "edtior", "admin")
	c := app.Client(t)
	c.Login("susan")
	for name, want := range map[string]bool{"posts.edti": false, "posts.edit": true, "": false, "POSTS.EDIT": false} {
		app.In(c, func(ctx context.Context) {
			if got := app.Can(ctx, name); got != want {
				t.Errorf("Can(%q): %v", name, got)
			}
		})
	}
	for name, want := range map[string]bool{"edtior": false, "admin": true, "editor": false, "Admin": false} {
		app.In(c, func(ctx context.Context) {
			if got := app.HasRole(ctx, name); got != want {
				t.Errorf("HasRole(%q): %v", name, got)
			}
		})
	}
	plain, _ := newApp(t, nil) // without Config.Roles no role is declared
	withRole(t, plain, "susan", "admin")
	c = plain.Client(t)
	c.Login("susan")
	plain.In(c, func(ctx context.Context) {
		if plain.HasRole(ctx, "admin") || plain.Can(ctx, "posts.edit") {
			t.Error("without Config.Roles a role is held")
		}
	})
}

// R7: a guard without a role denies, and does not panic. A guard without a rule lets any
// user in, and nobody else.
func TestEmptyRules(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, withRoles)
	withRole(t, app, "susan", "admin", "")
	c := app.Client(t)
	c.Login("susan")
	for _, rule := range []auth.Rule{auth.Role(), auth.Role(""), auth.Role([]string(nil)...), auth.Can("")} {
		if r := app.Act(c, nil, app.Require(rule)(http.HandlerFunc(hello)).ServeHTTP); r.StatusCode != http.StatusForbidden {
			t.Error(r.Status)
		}
	}
	if r := app.Act(c, nil, app.Require(auth.Rule{})(http.HandlerFunc(hello)).ServeHTTP); r.StatusCode != http.StatusInternalServerError {
		t.Error(r.Status)
	}
	for _, guard := range []func(http.Handler) http.Handler{app.Require(), app.Require(auth.LoggedIn())} {
		if r := app.Act(app.Client(t), http.Header{"Accept": {"application/json"}}, guard(http.HandlerFunc(hello)).ServeHTTP); r.StatusCode != http.StatusUnauthorized {
			t.Error(r.Status)
		}
		if r := app.Act(c, nil, guard(http.HandlerFunc(hello)).ServeHTTP); r.StatusCode != http.StatusOK {
			t.Error(r.Status)
		}
	}
}

// R8: if the store or the RoleSource fails, the answer is 503, whatever the handler says,
// and never a guess.
func TestRolesStoreFails(t *testing.T) {
	t.Parallel()
	source := newSourceRoles()
	app, spy := newApp(t, source.configure)
	editorPage(app, "/editor")
	withRole(t, app, "susan", "guest", "editor")
	c := app.Client(t)
	c.Login("susan")
	asks := app.Page(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, app.Can(r.Context(), "posts.edit"), app.HasRole(r.Context(), "editor"))
	})
	check := func(what string) {
		t.Helper()
		for _, path := range []string{"/editor", asks} {
			if r := c.Get(path); r.StatusCode != http.StatusServiceUnavailable || strings.Contains(r.Text, "the editor") {
				t.Errorf("%s: %s: %s %q", what, path, r.Status, r.Text)
			}
		}
	}
	for _, fails := range []error{errStore, auth.ErrForbidden, auth.ErrNotLoggedIn, context.Canceled, io.EOF} {
		source.set(fails)
		check(fmt.Sprint("the source fails with ", fails))
	}
	source.set(nil)
	spy.Fail("LoadUser")
	check("LoadUser fails")
	spy.Fail("GetRecord")
	check("GetRecord fails")
	spy.Reset()
	if r := c.Get(asks); r.Text != "true true" && r.Text != "truetrue" {
		t.Errorf("afterwards: %q", r.Text)
	}
}

// A RoleSource is asked once for each role in a request, and its answer is not kept for the
// next one.
func TestRoleSourceIsAskedOnce(t *testing.T) {
	t.Parallel()
	source := newSourceRoles()
	app, _ := newApp(t, source.configure)
	withRole(t, app, "susan", "guest", "editor")
	c := app.Client(t)
	c.Login("susan")
	source.set(nil)
	app.In(c, func(ctx context.Context) {
		for range 5 {
			if !app.Can(ctx, "posts.edit") || app.Can(ctx, "users.edit") || !app.HasRole(ctx, "guest") {
				t.Error("wrong answer")
			}
		}
	})
	if !slices.Equal(source.asked, []string{"guest", "editor"}) {
		t.Errorf("asked for %q", source.asked)
	}
	source.mu.Lock()
	source.grants = map[string][]string{"guest": {"posts.edit", "not.declared"}}
	source.mu.Unlock()
	app.In(c, func(ctx context.Context) {
		if !app.Can(ctx, "posts.edit") || app.Can(ctx, "not.declared") || app.HasRole(ctx, "editor") {
			t.Error("wrong answer after the source has changed")
		}
	})
}

// R9: nested guards let the same requests through in any order.
func TestRoleGuardsInAnyOrder(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, withRoles)
	rules := map[string]auth.Rule{
		"role": auth.Role("editor", "admin"), "can": auth.Can("posts.edit"), "fresh": auth.Fresh(0), "verified": auth.Verified(),
		"where": app.Where(func(u *testapp.User) bool { return u.Username != "mike" }),
	}
	holds := map[string]func(rule string) bool{
		"susan": func(rule string) bool { return true },
		"mike":  func(rule string) bool { return rule != "where" },
		"ann":   func(rule string) bool { return rule != "role" && rule != "can" },
		"paul":  func(rule string) bool { return rule != "verified" },
	}
	browsers := map[string]*testapp.Client{}
	for name := range holds {
		u := withRole(t, app, name, map[bool]string{true: "guest", false: "editor"}[name == "ann"])
		a := stored(t, app, u.ID).Clone()
		a.EmailVerified = name != "paul"
		if err := app.Store.UpdateAccount(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		browsers[name] = app.Client(t)
		browsers[name].Login(name)
	}
	for _, way := range permutations("role", "can", "fresh", "verified", "where") {
		var list []auth.Rule
		nested := http.Handler(http.HandlerFunc(hello))
		for _, rule := range way {
			list = append(list, rules[rule])
			nested = app.Require(rules[rule])(nested)
		}
		for name, c := range browsers {
			want := !slices.ContainsFunc(way, func(rule string) bool { return !holds[name](rule) })
			for _, h := range []http.Handler{nested, app.Require(list...)(http.HandlerFunc(hello))} {
				if len(way) == 0 {
					continue
				}
				if r := app.Act(c, nil, h.ServeHTTP); (r.StatusCode == http.StatusOK) != want {
					t.Errorf("%s: %v: %s, want %v", name, way, r.Status, want)
				}
			}
		}
	}
	// A guard outside LoadAndSave refuses.
	w := httptest.NewRecorder()
	app.Require(auth.Role("editor"))(app.LoadAndSave(http.HandlerFunc(hello))).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	if w.Code != http.StatusInternalServerError {
		t.Errorf("outside LoadAndSave: %d", w.Code)
	}
}

// R10: if RequireFactor asks administrators for a second factor, one without it can only
// set one up: by URL, from a remembered browser, as JSON, and with an API token. With a
// factor, a token works.
func TestRoleRequiresFactor(t *testing.T) {
	t.Parallel()
	factor := newCodes()
	app, _ := newApp(t, func(c *auth.Config) {
		withRoles(c)
		c.Factors = []auth.Factor{factor}
		c.RequireFactor = func(user auth.User) bool { return slices.Contains(user.AuthAccount().Roles, "admin") }
	})
	editorPage(app, "/editor")
	susan := withRole(t, app, "susan", "admin")
	withRole(t, app, "mike", "editor")
	browser, remembered, mike := app.Client(t), app.Client(t), app.Client(t)
	browser.Login("susan")
	mike.Login("mike")
	remembered.Post("/enter", "login", "susan", "remember", "y")
	remembered.Restart()
	if r := mike.Get("/editor"); r.StatusCode != http.StatusOK {
		t.Errorf("mike: %s", r.Status)
	}
	for name, c := range map[string]*testapp.Client{"browser": browser, "remembered": remembered} {
		html := c.Do(http.MethodGet, "/editor", nil, http.Header{"Accept": {"text/html"}})
		if html.StatusCode != http.StatusSeeOther || !strings.HasPrefix(html.Header.Get("Location"), "/account/two-factor") {
			t.Errorf("%s: %s %s", name, html.Status, html.Header.Get("Location"))
		}
		if r := c.Do(http.MethodGet, "/editor", nil, http.Header{"Accept": {"application/json"}}); r.StatusCode != http.StatusForbidden {
			t.Errorf("%s, JSON: %s", name, r.Status)
		}
		app.In(c, func(ctx context.Context) {
			if app.Can(ctx, "posts.edit") || app.HasRole(ctx, "admin") {
				t.Errorf("%s: Can says yes", name)
			}
		})
	}
	app.Mux.Handle("/scoped", app.Require(auth.Can("posts.edit"), auth.Scope("posts"))(http.HandlerFunc(hello)))
	for _, has := range []bool{false, true} {
		factor.enrolled[susan.ID] = has
		for path, scope := range map[string]string{"/editor": auth.ScopeAll, "/scoped": "posts"} {
			secret, _, err := app.NewAPIToken(t.Context(), stored(t, app, susan.ID), auth.APIToken{Scopes: []string{scope}, Expires: app.Clock.Now().Add(time.Hour)})
			if err != nil {
				t.Fatal(err)
			}
			r := app.Client(t).Do(http.MethodGet, path, nil, bearerHeader(secret.Reveal()))
			refused := r.StatusCode == http.StatusForbidden &&
				strings.Contains(strings.Join(r.Header["Www-Authenticate"], " "), "insufficient_user_authentication")
			if has == refused || has != (r.StatusCode == http.StatusOK) {
				t.Errorf("%s by a token, with a factor %v: %s %v %s", path, has, r.Status, r.Header, r.Text)
			}
		}
	}
}

// R11: a role does not make a remembered login fresh.
func TestRoleAndFresh(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, withRoles)
	guarded := app.Require(auth.Role("admin"), auth.Fresh(time.Hour))(http.HandlerFunc(hello))
	path := app.Page(guarded.ServeHTTP)
	withRole(t, app, "susan", "admin")
	c := app.Client(t)
	c.Post("/enter", "login", "susan", "remember", "y")
	if r := c.Get(path); r.StatusCode != http.StatusOK {
		t.Fatal(r.Status)
	}
	c.Restart()
	if r := c.Do(http.MethodGet, path, nil, http.Header{"Accept": {"text/html"}}); r.StatusCode != http.StatusSeeOther || !strings.HasPrefix(r.Header.Get("Location"), "/refresh") {
		t.Errorf("%s %s", r.Status, r.Header.Get("Location"))
	}
}

// R12: no spelling of the path, method or header leads past a guard.
func TestRolesPathTricks(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, withRoles)
	routes := app.Routes()
	secret := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Secret", "1")
		_, _ = io.WriteString(w, "secret")
	}
	routes.HandleFunc("/admin", secret, auth.Role("admin"))
	routes.HandleFunc("/admin/", secret, auth.Role("admin"))
	app.Mux.Handle("/admin", routes)
	app.Mux.Handle("/admin/", routes)
	withRole(t, app, "susan", "guest")
	c := app.Client(t)
	c.Login("susan")
	for _, path := range []string{
		"/admin", "/admin/", "//admin", "/./admin", "/%61dmin", "/x/../admin", "/admin/x", "/admin//x", "/admin;x", "/admin%2f", "/admin%2fx",
		"/ADMIN", "/admin?role=admin", "/admin/..%2fadmin", "/%2e/admin", "/admin%00",
	} {
		for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "BREW"} {
			for _, header := range []http.Header{
				nil, {"X-Http-Method-Override": {"GET"}}, {"X-Original-Url": {"/"}}, {"X-Rewrite-Url": {"/"}}, {"X-Forwarded-User": {"admin"}},
			} {
				r := c.Do(method, path, nil, header)
				for range 5 {
					location := r.Header.Get("Location")
					if location == "" {
						break
					}
					r = c.Do(method, location, nil, header)
				}
				if r.Header.Get("X-Secret") != "" || r.StatusCode < 400 {
					t.Errorf("%s %s %v: %s %q", method, path, header, r.Status, r.Text)
				}
			}
		}
	}
	if r := c.Do(http.MethodPost, "/admin", url.Values{"_method": {"GET"}}, nil); r.StatusCode != http.StatusForbidden {
		t.Error(r.Status)
	}
}

// R13: no form sets roles.
func TestRolesAreNotInForms(t *testing.T) {
	t.Parallel()
	box := &testapp.Outbox{}
	app, _, p, _ := pagesApp(t, func(c *auth.Config) { withRoles(c); c.Mailer = box })
	app.Mux.Handle("/", p)
	c := app.Client(t)
	hostile := []string{
		"role", "admin", "roles", "admin", "Roles", "admin", "Roles[]", "admin", "roles[0]", "admin", "Account.Roles", "admin", "account[roles][]", "admin",
		"email_verified", "1", "EmailVerified", "true", "ID", "1", "id", "1", "password_hash", "x", "Version", "9", "Disabled", "false", "Stamp", "x",
	}
	r := c.Post("/register", append([]string{"username", "eve", "email", "eve@app.example", "password", "correct horse battery", "confirm_password", "correct horse battery", "name", "Eve"}, hostile...)...)
	if r.StatusCode >= 400 {
		t.Fatalf("%s %s", r.Status, r.Text)
	}
	eve, err := app.Store.FindUser(t.Context(), "eve")
	if err != nil {
		t.Fatal(err)
	}
	c.Login("eve")
	before := eve.PasswordHash
	c.Post("/account/password", append([]string{"current_password", "correct horse battery", "password", "another good horse", "confirm_password", "another good horse"}, hostile...)...)
	eve = stored(t, app, eve.ID)
	if eve.PasswordHash.Equal(before) {
		t.Error("the form did not change the password")
	}
	if len(eve.Roles) != 0 || eve.EmailVerified || eve.ID == "1" || eve.Disabled {
		t.Errorf("%+v", eve)
	}
}

// R14: an API token can do what its owner can at that moment, and no more than its scopes.
func TestRolesOfTokens(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, withRoles)
	editorPage(app, "/editor")
	app.Mux.Handle("/scoped", app.Require(auth.Can("posts.edit"), auth.Scope("posts"))(http.HandlerFunc(hello)))
	u := withRole(t, app, "susan", "editor")
	token := func(scopes ...string) http.Header {
		secret, _, err := app.NewAPIToken(t.Context(), stored(t, app, u.ID), auth.APIToken{Scopes: scopes, Expires: app.Clock.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		return http.Header{"Authorization": {"Bearer " + secret.Reveal()}}
	}
	full, posts, other := token(auth.ScopeAll), token("posts"), token("users")
	want := func(when string, want map[string][3]int) {
		t.Helper()
		for path, statuses := range want {
			for i, header := range []http.Header{full, posts, other} {
				if r := app.Client(t).Do(http.MethodGet, path, nil, header); r.StatusCode != statuses[i] {
					t.Errorf("%s: %s, token %d: %s, want %d", when, path, i, r.Status, statuses[i])
				}
			}
		}
	}
	want("editor", map[string][3]int{"/editor": {200, 403, 403}, "/scoped": {200, 200, 403}})
	setRoles(t, app, u, "guest")
	want("guest", map[string][3]int{"/editor": {403, 403, 403}, "/scoped": {403, 403, 403}})
	setRoles(t, app, u, "admin")
	want("admin", map[string][3]int{"/editor": {200, 403, 403}, "/scoped": {200, 200, 403}})
}

// R15: for every pair of roles and rule, the template, Core.Can, Check and the guard give
// the same answer.
func TestRolesInTemplates(t *testing.T) {
	t.Parallel()
	source := newSourceRoles()
	for name, configure := range map[string]func(*auth.Config){"Grants": withRoles, "Source": source.configure} {
		app, _ := newApp(t, configure)
		page := template.Must(template.New("").Parse(
			`{{range .Data.Permissions}}{{$.Can .}} {{end}}{{range .Data.Roles}}{{$.HasRole .}} {{end}}{{$.HasRole "editor" "guest"}} {{$.HasRole}} `))
		permissions := []string{"posts.read", "posts.edit", "users.edit", "no.such", ""}
		roles := []string{"admin", "editor", "guest", "super", ""}
		var rules []auth.Rule
		for _, p := range permissions {
			rules = append(rules, auth.Can(p))
		}
		for _, r := range roles {
			rules = append(rules, auth.Role(r))
		}
		rules = append(rules, auth.Role("editor", "guest"), auth.Role())
		u := withRole(t, app, "susan")
		browser := app.Client(t)
		browser.Login("susan")
		yes := 0
		for set := range 1 << len(roles) {
			var has []string
			for i, role := range roles {
				if set&(1<<i) != 0 {
					has = append(has, role)
				}
			}
			setRoles(t, app, u, has...)
			for who, c := range map[string]*testapp.Client{"susan": browser, "nobody": app.Client(t)} {
				app.Act(c, nil, func(_ http.ResponseWriter, r *http.Request) {
					var b bytes.Buffer
					if err := page.Execute(&b, app.View(r, map[string]any{"Permissions": permissions, "Roles": roles})); err != nil {
						t.Errorf("%s: %v", name, err)
					}
					shown := strings.Fields(b.String())
					if len(shown) != len(rules) {
						t.Fatalf("%q", shown)
					}
					for i, rule := range rules {
						ran := false
						app.Require(rule)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran = true })).ServeHTTP(httptest.NewRecorder(), r)
						checked := app.Check(r.Context(), rule) == nil
						asked := ran
						if i < len(permissions) {
							asked = app.Can(r.Context(), permissions[i])
						}
						if shown[i] != fmt.Sprint(ran) || checked != ran || asked != ran {
							t.Errorf("%s: %s with %q, rule %d: template %s, Check %v, Can %v, guard %v", name, who, has, i, shown[i], checked, asked, ran)
						}
						if ran {
							yes++
						}
					}
				})
			}
		}
		if yes == 0 {
			t.Error("nothing was allowed")
		}
	}
}

// If the RoleSource fails, Execute returns the error.
func TestRolesInTemplatesFail(t *testing.T) {
	t.Parallel()
	source := newSourceRoles()
	app, failed := viewApp(t, `{{if .Can "posts.edit"}}yes{{else}}no{{end}}`, source.configure)
	withRole(t, app, "susan", "editor")
	c := app.Client(t)
	c.Login("susan")
	if r := c.Get("/view"); r.Text != "yes" {
		t.Errorf("%s %q", r.Status, r.Text)
	}
	source.set(errStore)
	if r := c.Get("/view"); r.StatusCode != http.StatusServiceUnavailable || len(*failed) != 1 || !errors.Is((*failed)[0], errStore) {
		t.Errorf("%s %q, %v", r.Status, r.Text, *failed)
	}
}

// R16: a route without a rule never runs, and a test helper lists it.
func TestRoutesDenyByDefault(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, withRoles)
	routes := app.Routes()
	for path, rules := range map[string][]auth.Rule{
		"/r/forgotten": nil, "GET /r/forgotten2/{id}": {}, "/r/user": {auth.LoggedIn()}, "/r/editor": {auth.Can("posts.edit")}, "/r/broken": {auth.Rule{}},
	} {
		routes.HandleFunc(path, hello, rules...)
	}
	routes.Public("/r/public", http.HandlerFunc(hello))
	app.Mux.Handle("/r/", routes)
	withRole(t, app, "susan", "guest")
	withRole(t, app, "ann", "admin")
	susan, ann := app.Client(t), app.Client(t)
	susan.Login("susan")
	ann.Login("ann")
	app.Events()
	for path, want := range map[string][3]int{ // nobody, susan, ann
		"/r/forgotten": {403, 403, 403}, "/r/forgotten2/7": {403, 403, 403}, "/r/user": {401, 200, 200}, "/r/editor": {401, 403, 200},
		"/r/broken": {500, 500, 500}, "/r/public": {200, 200, 200}, "/r/none": {404, 404, 404},
	} {
		for i, c := range []*testapp.Client{app.Client(t), susan, ann} {
			r := c.Do(http.MethodGet, path, nil, http.Header{"Accept": {"application/json"}})
			if r.StatusCode != want[i] || (r.Text == "hello") != (want[i] == http.StatusOK) {
				t.Errorf("%s, client %d: %s %q, want %d", path, i, r.Status, r.Text, want[i])
			}
		}
	}
	denied := 0
	for _, e := range app.Events() {
		if e.Kind == auth.EventAccessDenied && errors.Is(e.Err, auth.ErrForbidden) && strings.Contains(e.Err.Error(), "has no rule") {
			denied++
		}
	}
	if denied != 6 {
		t.Errorf("%d events", denied)
	}
	want := []string{"/r/forgotten", "GET /r/forgotten2/{id}"}
	if got := routes.Unguarded(); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Errorf("%q", got)
	}
	if _, _, got := app.Undeclared(); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Errorf("%q", got)
	}
	if n := strings.Count(app.Logs(), "a route has no rule"); n != 2 {
		t.Errorf("%d lines", n)
	}
	fake := &fakeTB{}
	authtest.CheckRoutes(fake, routes, nil)
	if len(fake.errors) != 3 || !strings.Contains(strings.Join(fake.errors, "\n"), `"/r/forgotten" has no rule`) {
		t.Errorf("%q", fake.errors)
	}
	good := app.Routes()
	good.HandleFunc("/", hello, auth.LoggedIn())
	authtest.CheckRoutes(t, good)
}

// A fakeTB collects errors.
type fakeTB struct {
	testing.TB
	errors []string
}

func (f *fakeTB) Helper()           {}
func (f *fakeTB) Error(args ...any) { f.errors = append(f.errors, fmt.Sprint(args...)) }
func (f *fakeTB) Errorf(format string, a ...any) {
	f.errors = append(f.errors, fmt.Sprintf(format, a...))
}
