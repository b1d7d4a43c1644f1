package auth_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// Neither the store, nor the log, nor the events contain the token.
func TestAPITokenIsNotStored(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, withBearer)
	u := app.Create(t, "susan", false)
	token, described := issue(t, app, u, "*")
	if len(token) != len("goauth_")+43 || !strings.HasPrefix(token, "goauth_") {
		t.Errorf("the token is %d bytes long", len(token))
	}
	for range 2 {
		if r := app.Client(t).Do("GET", "/who", nil, bearerHeader(token)); r.Text != "susan" {
			t.Fatalf("%s %q", r.Status, r.Text)
		}
		app.Clock.Advance(2 * time.Hour)
	}
	app.Client(t).Do("GET", "/who", nil, bearerHeader(token[:len(token)-1]+"_"))
	all := fmt.Sprintf("%+v %+v", app.Events(), described) + app.Logs()
	kept := store.Given("InsertRecord", "UpdateRecord")
	for _, r := range kept {
		all += fmt.Sprintf("%s %s %s %s ", r.Kind, r.Key, r.UserID, r.Data)
	}
	encoded, err := json.Marshal(described)
	if err != nil {
		t.Fatal(err)
	}
	all += string(encoded)
	if len(kept) < 3 {
		t.Errorf("%d records were stored", len(kept))
	}
	for n := 8; n+12 <= len(token); n++ {
		if strings.Contains(all, token[n:n+12]) {
			t.Fatalf("the token's bytes from %d are somewhere", n)
		}
	}
	// Neither the record's key nor the token's ID works as a token.
	for _, guess := range []string{described.ID, "goauth_" + described.ID} {
		if r := app.Client(t).Do("GET", "/who", nil, bearerHeader(guess)); r.Text != "nobody" {
			t.Errorf("%q", r.Text)
		}
	}
	other, _ := issue(t, app, u, "*")
	if other == token {
		t.Error("two tokens are the same")
	}
}

func TestAPITokenScopes(t *testing.T) {
	t.Parallel()
	app := tokenApp(t, nil)
	u := member(t, app, "susan", "")
	tokens := map[string]string{}
	for name, scopes := range map[string][]string{
		"read": {"read"}, "both": {"write", "read"}, "all": {"*"}, "all and one": {"other", "*"}, "other": {"READ", "rea", "readx", "read/write", "**"},
	} {
		tokens[name], _ = issue(t, app, u, scopes...)
	}
	for path, may := range map[string][]string{
		"/read":       {"read", "both", "all", "all and one"},
		"/write":      {"both", "all", "all and one"},
		"/all":        {"all", "all and one"},
		"/none":       {"all", "all and one"},
		"/guarded":    {"all", "all and one"},
		"/read/login": {"read", "both", "all", "all and one"},
		"/login/read": {"all", "all and one"},
		"/read/write": {"both", "all", "all and one"},
	} {
		for name, token := range tokens {
			app.Events()
			want := http.StatusForbidden
			if slices.Contains(may, name) {
				want = http.StatusOK
			}
			if got := status(t, app, path, token); got != want {
				t.Errorf("%s with %s: %d", path, name, got)
			}
			events := app.Events()
			if want == http.StatusForbidden && (len(events) != 1 || events[0].Kind != auth.EventAccessDenied || !errors.Is(events[0].Err, auth.ErrOutOfScope) || events[0].UserID != u.ID) {
				t.Errorf("%s with %s: events %+v", path, name, events)
			}
		}
		c := app.Client(t)
		if r := c.Get(path); r.StatusCode != http.StatusUnauthorized && !strings.HasPrefix(path, "/guarded") && !strings.HasPrefix(path, "/login") {
			t.Errorf("%s for a program without credentials: %s", path, r.Status)
		}
		if r := c.Do("GET", path, nil, http.Header{"Accept": {"text/html"}}); r.StatusCode != http.StatusSeeOther {
			t.Errorf("%s for a browser without a login: %s", path, r.Status)
		}
		app.Enter(t, c, u)
		if r := c.Get(path); r.Text != "susan" {
			t.Errorf("%s with a session: %s", path, r.Status)
		}
		// If a request has a session and a token, only the token counts.
		if r := c.Do("GET", path, nil, bearerHeader(tokens["other"])); r.StatusCode != http.StatusForbidden {
			t.Errorf("%s with a session and a token: %s", path, r.Status)
		}
	}
	// A token is never fresh: the answer is 401, without a redirect.
	for _, path := range []string{"/fresh", "/read/fresh"} {
		if got := status(t, app, path, tokens["all"]); got != http.StatusUnauthorized {
			t.Errorf("%s: %d", path, got)
		}
	}
	// Outside RequireScope, a request with a token with scopes is anonymous.
	app.Act(app.Client(t), bearerHeader(tokens["read"]), func(_ http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		if _, ok := app.CurrentUser(ctx); ok {
			t.Error("CurrentUser")
		}
		_, err1 := app.User(ctx)
		_, err2 := app.CurrentLogin(ctx)
		for i, err := range []error{err1, err2, app.Check(ctx, auth.Fresh(0)), app.ConfirmLogin(ctx)} {
			if !errors.Is(err, auth.ErrOutOfScope) || errors.Is(err, auth.ErrNotLoggedIn) {
				t.Errorf("call %d: %v", i, err)
			}
		}
		watched, cancel := app.WhileLoggedIn(ctx)
		defer cancel()
		if !errors.Is(context.Cause(watched), auth.ErrOutOfScope) {
			t.Errorf("WhileLoggedIn: %v", context.Cause(watched))
		}
		// A login in the request lifts the limits. After a logout the request is
		// anonymous.
		if err := app.LoginUser(ctx, u); err != nil {
			t.Error(err)
		}
		if _, err := app.User(ctx); err != nil {
			t.Errorf("after a login: %v", err)
		}
	})
	if r := app.Client(t).Do("GET", "/who", nil, bearerHeader(tokens["read"])); r.StatusCode != http.StatusForbidden {
		t.Errorf("/who: %s %q", r.Status, r.Text)
	}
	// RequireScope guards HEAD as well.
	if r := app.Client(t).Do("HEAD", "/write", nil, bearerHeader(tokens["read"])); r.StatusCode != http.StatusForbidden {
		t.Errorf("HEAD: %s", r.Status)
	}
}

// A refused scope stays closed for the rest of the request. An accepted scope opens no
// other one.
func TestAPITokenScopesDoNotLeak(t *testing.T) {
	t.Parallel()
	app := tokenApp(t, nil)
	u := member(t, app, "susan", "")
	token, _ := issue(t, app, u, "read")
	app.Act(app.Client(t), bearerHeader(token), func(_ http.ResponseWriter, r *http.Request) {
		ran := false
		app.RequireScope("write")(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran = true })).ServeHTTP(httptest.NewRecorder(), r)
		if _, err := app.User(r.Context()); ran || !errors.Is(err, auth.ErrOutOfScope) {
			t.Errorf("after a refusal: ran=%v, %v", ran, err)
		}
		app.RequireScope("read")(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			app.RequireScope("write")(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran = true })).ServeHTTP(httptest.NewRecorder(), r)
		})).ServeHTTP(httptest.NewRecorder(), r)
		if ran {
			t.Error("read let write through")
		}
	})
}

func TestAPITokenExpires(t *testing.T) {
	t.Parallel()
	app := tokenApp(t, nil)
	u := member(t, app, "susan", "")
	end := app.Clock.Now().Add(48*time.Hour + 500*time.Millisecond)
	secret, token, err := app.NewAPIToken(t.Context(), u, auth.APIToken{Name: "n", Scopes: []string{"*"}, Expires: end})
	if err != nil || !token.Expires.Equal(end) {
		t.Fatal(err)
	}
	app.Clock.Advance(end.Sub(app.Clock.Now()) - time.Millisecond)
	if got := status(t, app, "/guarded", secret.Reveal()); got != http.StatusOK {
		t.Errorf("before the end: %d", got)
	}
	if tokens, err := app.APITokens(t.Context(), u.ID); err != nil || len(tokens) != 1 || !tokens[0].Expires.Equal(end) {
		t.Errorf("before the end: %+v, %v", tokens, err)
	}
	app.Clock.Advance(time.Millisecond)
	if got := status(t, app, "/guarded", secret.Reveal()); got != http.StatusUnauthorized {
		t.Errorf("at the end: %d", got)
	}
	if tokens, err := app.APITokens(t.Context(), u.ID); err != nil || len(tokens) != 0 {
		t.Errorf("at the end: %+v, %v", tokens, err)
	}
	if err := app.RevokeAPIToken(t.Context(), u.ID, token.ID); !errors.Is(err, auth.ErrAPITokenNotFound) {
		t.Errorf("at the end: %v", err)
	}
}

func TestAPITokensListAndRevoke(t *testing.T) {
	t.Parallel()
	app := tokenApp(t, nil)
	susan, mike := member(t, app, "susan", ""), member(t, app, "mike", "")
	var secrets []string
	var ids []string
	for i := range 3 {
		secret, token, err := app.NewAPIToken(t.Context(), susan, auth.APIToken{
			ID: "not mine", Name: fmt.Sprintf("näme <%d>", i), Scopes: []string{"read", "write"},
			Created: time.Unix(1, 0), Used: time.Unix(1, 0), Expires: app.Clock.Now().Add(time.Hour),
		})
		if err != nil || token.ID == "not mine" || !token.Created.Equal(app.Clock.Now()) || !token.Used.IsZero() {
			t.Fatalf("%+v, %v", token, err)
		}
		secrets, ids = append(secrets, secret.Reveal()), append(ids, token.ID)
		app.Clock.Advance(time.Second)
	}
	other, others := issue(t, app, mike, "*")
	events := app.Events()
	if len(events) != 4 || events[0].Kind != auth.EventAPITokenIssued || events[0].UserID != susan.ID {
		t.Errorf("events %+v", events)
	}
	list, err := app.APITokens(t.Context(), susan.ID)
	if err != nil || len(list) != 3 {
		t.Fatalf("%+v, %v", list, err)
	}
	for i, token := range list { // the newest first
		if token.ID != ids[2-i] || token.Name != fmt.Sprintf("näme <%d>", 2-i) || !slices.Equal(token.Scopes, []string{"read", "write"}) || !token.Used.IsZero() {
			t.Errorf("%d: %+v", i, token)
		}
	}
	// Another user's token, in either direction, and IDs that no token has.
	for _, wrong := range []struct{ user, id string }{
		{mike.ID, ids[0]}, {susan.ID, others.ID}, {susan.ID, ""}, {susan.ID, "x"}, {susan.ID, secrets[0]}, {"unknown", ids[0]}, {susan.ID, ids[0] + " "},
	} {
		if err := app.RevokeAPIToken(t.Context(), wrong.user, wrong.id); !errors.Is(err, auth.ErrAPITokenNotFound) {
			t.Errorf("%q of %q: %v", wrong.id, wrong.user, err)
		}
	}
	if err := app.RevokeAPIToken(t.Context(), "", ids[0]); err == nil {
		t.Error("a token was revoked without a user")
	}
	for i, token := range append(secrets, other) {
		if got := status(t, app, "/read", token); got != http.StatusOK {
			t.Errorf("token %d: %d", i, got)
		}
	}
	app.Events()
	if err := app.RevokeAPIToken(t.Context(), susan.ID, ids[1]); err != nil {
		t.Error(err)
	}
	if events := app.Events(); len(events) != 1 || events[0].Kind != auth.EventAPITokenRevoked || events[0].UserID != susan.ID {
		t.Errorf("events %+v", events)
	}
	if err := app.RevokeAPIToken(t.Context(), susan.ID, ids[1]); !errors.Is(err, auth.ErrAPITokenNotFound) {
		t.Errorf("twice: %v", err)
	}
	for i, token := range secrets {
		want := http.StatusOK
		if i == 1 {
			want = http.StatusUnauthorized
		}
		if got := status(t, app, "/read", token); got != want {
			t.Errorf("token %d: %d", i, got)
		}
	}
	if _, err := app.APITokens(t.Context(), "unknown"); !errors.Is(err, auth.ErrUserNotFound) {
		t.Errorf("of an unknown user: %v", err)
	}
	w := httptest.NewRecorder()
	app.Error(w, httptest.NewRequestWithContext(t.Context(), "POST", "/", nil), auth.ErrAPITokenNotFound)
	if w.Code != http.StatusNotFound {
		t.Errorf("ErrAPITokenNotFound is answered %d", w.Code)
	}
}

// Every change of a credential ends all earlier tokens.
func TestAPITokenEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*testing.T, *testapp.App, *testapp.User){
		"a change of password outside": func(t *testing.T, app *testapp.App, u *testapp.User) {
			if err := app.SetPassword(t.Context(), u, "another good password"); err != nil {
				t.Fatal(err)
			}
		},
		"a change of password in a session": func(t *testing.T, app *testapp.App, u *testapp.User) {
			c := app.Client(t)
			app.Enter(t, c, u)
			if r := c.Post("/password", "password", "another good password"); r.StatusCode != http.StatusOK {
				t.Fatal(r.Status)
			}
		},
		"a reset": func(t *testing.T, app *testapp.App, u *testapp.User) {
			token, err := app.ResetToken(t.Context(), u)
			if err == nil {
				_, err = app.ResetPassword(t.Context(), token, "another good password")
			}
			if err != nil {
				t.Fatal(err)
			}
		},
		"LogoutEverywhere": func(t *testing.T, app *testapp.App, u *testapp.User) {
			if err := app.LogoutEverywhere(t.Context(), u); err != nil {
				t.Fatal(err)
			}
		},
		"a change of password whose cleaning up fails": func(t *testing.T, app *testapp.App, u *testapp.User) {
			app.Spy().Hook(func(call string) error {
				if call == "DeleteRecords" {
					return errStore
				}
				return nil
			}, nil)
			defer app.Spy().Reset()
			if err := app.SetPassword(t.Context(), u, "another good password"); err != nil {
				t.Fatal(err)
			}
		},
		"the application's own new stamp": func(t *testing.T, app *testapp.App, u *testapp.User) {
			change(t, app, u.ID, func(a *auth.Account) { a.Stamp = auth.NewSecret("new") })
		},
		"disabled": func(t *testing.T, app *testapp.App, u *testapp.User) {
			change(t, app, u.ID, func(a *auth.Account) { a.Disabled = true })
		},
		"deleted": func(t *testing.T, app *testapp.App, u *testapp.User) { deleteUser(t, app, u.ID) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := tokenApp(t, nil)
			u := member(t, app, "susan", "")
			mike := member(t, app, "mike", "")
			var tokens []string
			for _, scope := range []string{"*", "read"} {
				token, _ := issue(t, app, u, scope)
				tokens = append(tokens, token)
			}
			others, _ := issue(t, app, mike, "*")
			end(t, app, stored(t, app, u.ID))
			for _, token := range tokens {
				for _, path := range []string{"/guarded", "/read"} {
					if got := status(t, app, path, token); got != http.StatusUnauthorized {
						t.Errorf("%s: %d", path, got)
					}
				}
			}
			if got := status(t, app, "/guarded", others); got != http.StatusOK {
				t.Errorf("another user's: %d", got)
			}
			list, err := app.APITokens(t.Context(), u.ID)
			if name == "disabled" || name == "deleted" {
				return
			}
			if err != nil || len(list) > 0 {
				t.Errorf("listed: %+v, %v", list, err)
			}
			again, _ := issue(t, app, stored(t, app, u.ID), "*")
			if got := status(t, app, "/guarded", again); got != http.StatusOK {
				t.Errorf("one made afterwards: %d", got)
			}
		})
	}
}

// The same holds for an account that has no Stamp yet, such as one inserted by hand.
func TestAPITokenOfAccountWithoutStamp(t *testing.T) {
	t.Parallel()
	app := tokenApp(t, nil)
	u := member(t, app, "susan", "", func(a *auth.Account) { a.Stamp = auth.Secret{} })
	token, _ := issue(t, app, u, "*")
	if got := status(t, app, "/guarded", token); got != http.StatusOK {
		t.Errorf("at first: %d", got)
	}
	if err := app.LogoutEverywhere(t.Context(), stored(t, app, u.ID)); err != nil {
		t.Fatal(err)
	}
	if got := status(t, app, "/guarded", token); got != http.StatusUnauthorized {
		t.Errorf("after LogoutEverywhere: %d", got)
	}
}

// The last use is written at most once an hour.
func TestAPITokenUsed(t *testing.T) {
	t.Parallel()
	app := tokenApp(t, nil)
	u := member(t, app, "susan", "")
	token, _ := issue(t, app, u, "read")
	start := app.Clock.Now()
	for _, step := range []struct {
		at   time.Duration
		used time.Duration
	}{
		{0, 0}, {time.Minute, 0}, {time.Hour - time.Millisecond, 0}, {time.Hour, time.Hour}, {time.Hour, time.Hour},
		{90 * time.Minute, time.Hour}, {5 * time.Hour, 5 * time.Hour}, {4 * time.Hour, 5 * time.Hour}, // the clock was put back
	} {
		before, err := app.APITokens(t.Context(), u.ID)
		if err != nil {
			t.Fatal(err)
		}
		app.Clock.Advance(start.Add(step.at).Sub(app.Clock.Now()))
		app.Spy().Reset()
		if got := status(t, app, "/read", token); got != http.StatusOK {
			t.Fatal(got)
		}
		list, err := app.APITokens(t.Context(), u.ID)
		if err != nil || len(list) != 1 || !list[0].Used.Equal(start.Add(step.used)) || !list[0].Expires.Equal(start.Add(24*time.Hour)) {
			t.Errorf("at %v: %+v, %v", step.at, list, err)
		}
		if changed := !before[0].Used.Equal(list[0].Used); changed != (app.Spy().Writes() > 0) {
			t.Errorf("at %v: calls %v", step.at, app.Spy().Calls())
		}
	}
	// A wrong token is not marked as used.
	app.Spy().Reset()
	status(t, app, "/read", "goauth_"+strings.Repeat("A", 43))
	if app.Spy().Writes() > 0 {
		t.Errorf("calls %v", app.Spy().Calls())
	}
	// If another request writes the last use at the same moment, the token works. If
	// the store fails, the answer is 503. If the token was revoked meanwhile, the
	// answer is 401.
	for name, test := range map[string]struct {
		err    error
		status int
	}{
		"conflict": {auth.ErrConflict, http.StatusOK},
		"failure":  {errStore, http.StatusServiceUnavailable},
		"revoked":  {auth.ErrRecordNotFound, http.StatusUnauthorized},
	} {
		app.Clock.Advance(2 * time.Hour)
		app.Spy().Hook(on("UpdateRecord", func() error { return test.err }), nil)
		if got := status(t, app, "/read", token); got != test.status {
			t.Errorf("%s: %d", name, got)
		}
	}
	for _, verb := range []string{"GetRecord", "LoadUser"} {
		app.Spy().Hook(on(verb, func() error { return errStore }), nil)
		if got := status(t, app, "/read", token); got != http.StatusServiceUnavailable {
			t.Errorf("%s fails: %d", verb, got)
		}
	}
}

func TestNewAPITokenRefuses(t *testing.T) {
	t.Parallel()
	app := tokenApp(t, nil)
	u := member(t, app, "susan", "")
	good := auth.APIToken{Name: "n", Scopes: []string{"read"}, Expires: app.Clock.Now().Add(time.Hour)}
	bad := map[string]auth.APIToken{}
	with := func(name string, change func(*auth.APIToken)) {
		token := good
		change(&token)
		bad[name] = token
	}
	with("a name of invalid UTF-8", func(a *auth.APIToken) { a.Name = "\xff" })
	with("a name with a NUL", func(a *auth.APIToken) { a.Name = "a\x00b" })
	with("a name of two lines", func(a *auth.APIToken) { a.Name = "a\nb" })
	with("a long name", func(a *auth.APIToken) { a.Name = strings.Repeat("x", 201) })
	with("nil scopes", func(a *auth.APIToken) { a.Scopes = nil })
	with("no scopes", func(a *auth.APIToken) { a.Scopes = []string{} })
	with("many scopes", func(a *auth.APIToken) { a.Scopes = slices.Repeat([]string{"a"}, 51) })
	for _, scope := range []string{"", " ", "a b", " a", "a ", "a\tb", "a\nb", "a\x00", "a\"", `a\`, "ä", "\x7f", "\xff", "a\u00a0b", "a\u2028", strings.Repeat("a", 101)} {
		with(fmt.Sprintf("scope %q", scope), func(a *auth.APIToken) { a.Scopes = []string{"read", scope} })
	}
	with("no expiry", func(a *auth.APIToken) { a.Expires = time.Time{} })
	with("it ends now", func(a *auth.APIToken) { a.Expires = app.Clock.Now() })
	with("it has ended", func(a *auth.APIToken) { a.Expires = app.Clock.Now().Add(-time.Second) })
	app.Spy().Reset()
	app.Events()
	for name, token := range bad {
		secret, made, err := app.NewAPIToken(t.Context(), u, token)
		if err == nil || !secret.IsZero() || made.ID != "" {
			t.Errorf("%s: %+v, %v", name, made, err)
		}
	}
	if _, _, err := app.NewAPIToken(t.Context(), nil, good); !errors.Is(err, auth.ErrUserNotFound) {
		t.Errorf("without a user: %v", err)
	}
	if _, _, err := app.NewAPIToken(t.Context(), nil, good); !errors.Is(err, auth.ErrUserNotFound) {
		t.Errorf("without a user: %v", err)
	}
	disabled := member(t, app, "dora", "", func(a *auth.Account) { a.Disabled = true })
	if _, _, err := app.NewAPIToken(t.Context(), disabled, good); !errors.Is(err, auth.ErrDisabled) {
		t.Errorf("disabled: %v", err)
	}
	if slices.Contains(app.Spy().Calls(), "InsertRecord") || len(app.Events()) > 0 {
		t.Errorf("something was stored: %v", app.Spy().Calls())
	}
	for name, change := range map[string]func(*auth.APIToken){
		"the longest": func(a *auth.APIToken) {
			a.Name, a.Scopes = strings.Repeat("x", 200), slices.Repeat([]string{strings.Repeat("a", 100)}, 50)
		},
		"all characters": func(a *auth.APIToken) { a.Scopes = []string{"!#$%&'()*+,-./0:;<=>?@A[]^_`a{|}~"} },
		"no name":        func(a *auth.APIToken) { a.Name = "" },
	} {
		token := good
		change(&token)
		_, made, err := app.NewAPIToken(t.Context(), u, token)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		list, err := app.APITokens(t.Context(), u.ID)
		i := slices.IndexFunc(list, func(l auth.APIToken) bool { return l.ID == made.ID })
		if err != nil || i < 0 || list[i].Name != token.Name || !slices.Equal(list[i].Scopes, token.Scopes) {
			t.Errorf("%s: %+v, %v", name, list, err)
		}
	}
	app.Spy().Hook(on("InsertRecord", func() error { return errStore }), nil)
	if secret, _, err := app.NewAPIToken(t.Context(), u, good); !errors.Is(err, errStore) || !secret.IsZero() {
		t.Errorf("a store that fails: %v", err)
	}
}

// If the caller changes its slices afterwards, the token does not change.
func TestAPITokenSharesNothing(t *testing.T) {
	t.Parallel()
	app := tokenApp(t, nil)
	u := member(t, app, "susan", "")
	scopes := []string{"read"}
	_, made, err := app.NewAPIToken(t.Context(), u, auth.APIToken{Scopes: scopes, Expires: app.Clock.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	scopes[0] = "*"
	if made.Scopes[0] != "read" {
		t.Error("the scopes are the caller's")
	}
}

// If a token is revoked while it is used, it does not work afterwards.
func TestRevokeCrossesUse(t *testing.T) {
	t.Parallel()
	app := tokenApp(t, nil)
	u := member(t, app, "susan", "")
	for i := range 30 {
		token, described := issue(t, app, u, "*")
		if i%2 == 0 { // while it writes its use
			app.Spy().Hook(on("UpdateRecord", func() error {
				return app.RevokeAPIToken(t.Context(), u.ID, described.ID)
			}), nil)
			status(t, app, "/guarded", token)
			app.Spy().Reset()
		} else {
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() { status(t, app, "/guarded", token) })
			}
			if err := app.RevokeAPIToken(t.Context(), u.ID, described.ID); err != nil {
				t.Error(err)
			}
			wg.Wait()
		}
		if got := status(t, app, "/guarded", token); got != http.StatusUnauthorized {
			t.Errorf("round %d: %d", i, got)
		}
	}
}

// A hostileStore returns the same record for every key.
type hostileStore struct {
	testapp.Store
	userID string
	data   []byte
}

func (s *hostileStore) record(kind, key string) auth.Record {
	return auth.Record{Kind: kind, Key: key, UserID: s.userID, Data: bytes.Clone(s.data), Version: 1}
}

func (s *hostileStore) GetRecord(_ context.Context, kind, key string) (auth.Record, error) {
	if kind != "api-token" {
		return auth.Record{}, auth.ErrRecordNotFound
	}
	return s.record(kind, key), nil
}

func (s *hostileStore) ListRecords(_ context.Context, kind, _ string) ([]auth.Record, error) {
	return []auth.Record{s.record(kind, "key")}, nil
}

func (s *hostileStore) UpdateRecord(context.Context, auth.Record) error { return nil }

// tokenData is the data of a token's record, in the library's own encoding.
func tokenData(stamp, name, scopes string, created, used int64) []byte {
	b := []byte{1}
	for _, text := range []string{stamp, name, scopes} {
		b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
	}
	return binary.AppendVarint(binary.AppendVarint(b, created), used)
}

// Whatever a token's record contains, the answer is never a 5xx, and the record opens
// no account with another Stamp.
func FuzzAPITokenRecord(f *testing.F) {
	store := &hostileStore{Store: memstore.New[testapp.User]()}
	cfg := goodConfig()
	cfg.Credentials = []auth.Credential{auth.Bearer()}
	cfg.Now = testapp.NewClock().Now
	m, err := auth.New[*testapp.User](store, cfg)
	if err != nil {
		f.Fatal(err)
	}
	const stamp = "the stamp"
	u, err := store.CreateUser(f.Context(), auth.Account{Username: "susan", Stamp: auth.NewSecret(stamp), Version: 1}, nil)
	if err != nil {
		f.Fatal(err)
	}
	store.userID = u.ID
	h := m.LoadAndSave(m.RequireLogin(http.HandlerFunc(hello)))
	good := tokenData(stamp, "name", "*", 0, 0)
	for _, data := range [][]byte{
		good, nil, {}, {0}, {1}, {2}, good[:len(good)-1], append(bytes.Clone(good), 0),
		tokenData(stamp, "", "read", 0, 0), tokenData(stamp, "", "", 0, 0), tokenData("", "", "*", 0, 0),
		tokenData("other", "\xff\x00", " * ", 1<<62, -1<<63), tokenData(stamp, "", "*", -1<<63, 1<<63-1),
		{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, bytes.Repeat([]byte{0xff}, 100),
	} {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		store.data = data
		w := direct(t, h, "GET", "/", bearerHeader("goauth_"+strings.Repeat("A", 43)))
		switch w.Code {
		case http.StatusUnauthorized:
			if bytes.Equal(data, good) {
				t.Error("a good record is refused")
			}
		case http.StatusOK, http.StatusForbidden: // 403: the token has other scopes
			if !bytes.HasPrefix(data, []byte{1}) || !bytes.Contains(data, []byte(stamp)) {
				t.Errorf("%q is susan", data)
			}
		default:
			t.Errorf("%q: %d", data, w.Code)
		}
		if list, err := m.APITokens(t.Context(), u.ID); err != nil || (len(list) > 0) != (w.Code != http.StatusUnauthorized) {
			t.Errorf("%q: %+v, %v", data, list, err)
		}
	})
}

// If the login ends while a request is under way, the request cannot make a token,
// which would outlive the login.
func TestHeldRequestMakesNoToken(t *testing.T) {
	t.Parallel()
	app, u := endedWhileHeld(t, func(ctx context.Context, app *testapp.App, u *testapp.User) {
		_, _, err := app.NewAPIToken(ctx, u, auth.APIToken{Scopes: []string{auth.ScopeAll}, Expires: app.Clock.Now().Add(time.Hour)})
		if !errors.Is(err, auth.ErrLoggedOut) {
			t.Errorf("NewAPIToken: %v", err)
		}
	})
	if tokens, err := app.APITokens(t.Context(), u.ID); err != nil || len(tokens) > 0 {
		t.Errorf("the thief has a token: %v, %v", tokens, err)
	}
}

// RequireScope opens the scope for its handler only, and not for other handlers that
// answer the same request, as in a batch.
func TestScopeEndsWithItsHandler(t *testing.T) {
	t.Parallel()
	app := tokenApp(t, nil)
	u := app.Create(t, "susan", false)
	token, _ := issue(t, app, u, "read")
	app.Mux.HandleFunc("GET /batch", func(_ http.ResponseWriter, r *http.Request) {
		codes := map[string]int{}
		for _, path := range []string{"/guarded", "/read", "/guarded", "/write"} {
			part := r.Clone(r.Context())
			part.URL.Path = path
			w := httptest.NewRecorder()
			app.Mux.ServeHTTP(w, part)
			codes[path] = w.Code
		}
		if codes["/guarded"] != http.StatusForbidden || codes["/read"] != http.StatusOK || codes["/write"] != http.StatusForbidden {
			t.Errorf("%v", codes)
		}
		if _, err := app.User(r.Context()); !errors.Is(err, auth.ErrOutOfScope) {
			t.Errorf("outside: %v", err)
		}
	})
	status(t, app, "/batch", token)
}

// While a handler behind RequireScope runs, other goroutines of the request are refused
// if they did not ask for the scope.
func TestScopeIsNotShared(t *testing.T) {
	t.Parallel()
	app := tokenApp(t, nil)
	u := app.Create(t, "susan", false)
	token, _ := issue(t, app, u, "read")
	app.Mux.HandleFunc("GET /outer", func(w http.ResponseWriter, r *http.Request) {
		app.RequireScope("read")(http.HandlerFunc(func(_ http.ResponseWriter, inner *http.Request) {
			if _, err := app.User(inner.Context()); err != nil {
				t.Errorf("inside: %v", err)
			}
			if _, err := app.User(r.Context()); !errors.Is(err, auth.ErrOutOfScope) {
				t.Errorf("beside: %v", err)
			}
		})).ServeHTTP(w, r)
	})
	if code := status(t, app, "/outer", token); code != http.StatusOK {
		t.Error(code)
	}
}

// A token cannot make a token with more scopes than its own.
func TestTokenMakesNoWiderToken(t *testing.T) {
	t.Parallel()
	app := tokenApp(t, nil)
	u := app.Create(t, "susan", false)
	token, described := issue(t, app, u, "read", "tokens")
	app.Mux.Handle("GET /tokens", app.RequireScope("tokens")(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		u, err := app.User(r.Context())
		if err != nil {
			t.Error(err)
			return
		}
		for name, c := range map[string]struct {
			scopes []string
			ok     bool
		}{
			"all":   {[]string{auth.ScopeAll}, false},
			"wider": {[]string{"read", "write"}, false},
			"same":  {[]string{"read"}, true},
		} {
			_, _, err := app.NewAPIToken(r.Context(), u, auth.APIToken{Scopes: c.scopes, Expires: described.Expires})
			if (err == nil) != c.ok || !c.ok && !errors.Is(err, auth.ErrOutOfScope) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})))
	if code := status(t, app, "/tokens", token); code != http.StatusOK {
		t.Error(code)
	}
}
