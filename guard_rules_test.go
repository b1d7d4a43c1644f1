package auth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// A ruleApp has a page /ask, which calls a function of the test.
type ruleApp struct {
	*testapp.App
	act func(w http.ResponseWriter, r *http.Request)
}

func newRuleApp(t *testing.T) *ruleApp {
	t.Helper()
	clock := testapp.NewClock()
	a := &ruleApp{App: testapp.New(t, memstore.New[testapp.User](memstore.WithClock(clock.Now)), clock, func(c *auth.Config) {
		c.Credentials = []auth.Credential{auth.Bearer()}
	})}
	a.Mux.HandleFunc("/ask", func(w http.ResponseWriter, r *http.Request) { a.act(w, r) })
	return a
}

// ask calls do in a request.
func (a *ruleApp) ask(c *testapp.Client, method string, header http.Header, do func(w http.ResponseWriter, r *http.Request)) *testapp.Response {
	a.act = do
	return c.Do(method, "/ask", nil, header)
}

// A requester makes requests, and knows the answer of each rule to them.
type requester struct {
	client *testapp.Client
	header http.Header
	login  error // the error without any rule
	rules  map[string]error
}

// requesters are clients that pass different rules.
func (a *ruleApp) requesters(t *testing.T) map[string]requester {
	t.Helper()
	verified := func(name string) *testapp.User {
		u := a.Create(t, name, false)
		account := u.Clone()
		account.EmailVerified = true
		if err := a.Store.UpdateAccount(t.Context(), account); err != nil {
			t.Fatal(err)
		}
		u, err := a.Store.LoadUser(t.Context(), u.ID)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	susan, mike, ann := verified("susan"), verified("mike"), a.Create(t, "ann", false)
	login := func(u *testapp.User, options ...auth.LoginOption) *testapp.Client {
		c := a.Client(t)
		a.ask(c, http.MethodPost, nil, func(_ http.ResponseWriter, r *http.Request) {
			if err := a.LoginUser(r.Context(), u, options...); err != nil {
				t.Error(err)
			}
		})
		return c
	}
	token := func(u *testapp.User, scopes ...string) http.Header {
		secret, _, err := a.NewAPIToken(t.Context(), u, auth.APIToken{Scopes: scopes, Expires: a.Clock.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		return http.Header{"Authorization": {"Bearer " + secret.Reveal()}}
	}
	rules := func(verified, fresh, scope, where error) map[string]error {
		return map[string]error{"verified": verified, "fresh": fresh, "scope": scope, "where": where}
	}
	nobody, stale, scope, forbidden := auth.ErrNotLoggedIn, auth.ErrNotFresh, auth.ErrOutOfScope, auth.ErrForbidden
	return map[string]requester{
		"nobody":              {a.Client(t), nil, nobody, rules(nobody, nobody, nobody, nobody)},
		"susan, fresh":        {login(susan), nil, nil, rules(nil, nil, nil, nil)},
		"susan, stale":        {login(susan, auth.Stale()), nil, nil, rules(nil, stale, nil, nil)},
		"mike, fresh":         {login(mike), nil, nil, rules(nil, nil, nil, forbidden)},
		"ann, stale":          {login(ann, auth.Stale()), nil, nil, rules(auth.ErrUnverified, stale, nil, forbidden)},
		"susan's token":       {a.Client(t), token(susan, "read"), scope, rules(nil, stale, nil, nil)},
		"susan's other token": {a.Client(t), token(susan, "write"), scope, rules(nil, stale, scope, nil)},
		"mike's full token":   {a.Client(t), token(mike, auth.ScopeAll), nil, rules(nil, stale, nil, forbidden)},
		"ann's token":         {a.Client(t), token(ann, "read"), scope, rules(auth.ErrUnverified, stale, nil, forbidden)},
	}
}

func (a *ruleApp) rules() map[string]auth.Rule {
	return map[string]auth.Rule{
		"verified": auth.Verified(), "fresh": auth.Fresh(10 * time.Minute), "scope": auth.Scope("read"),
		"where": a.Where(func(u *testapp.User) bool { return u.Username == "susan" }),
	}
}

// want returns the answer to a request under these rules: the first error, in the order
// that the documentation of Rule gives.
func (q requester) want(rules []string) error {
	if q.login != nil && (!slices.Contains(rules, "scope") || errors.Is(q.login, auth.ErrNotLoggedIn)) {
		return q.login
	}
	for _, rule := range []string{"verified", "fresh", "scope", "where"} {
		if err := q.rules[rule]; slices.Contains(rules, rule) && err != nil {
			return err
		}
	}
	return nil
}

// permutations returns all selections of the names, in any order.
func permutations(names ...string) [][]string {
	all := [][]string{nil}
	for i, name := range names {
		rest := slices.Concat(names[:i], names[i+1:])
		for _, p := range permutations(rest...) {
			all = append(all, append([]string{name}, p...))
		}
	}
	return all
}

// Rules are checked in a fixed order, however you list them: Check and Require give the
// same answer for all permutations.
func TestRulesAreCheckedInOneOrder(t *testing.T) {
	t.Parallel()
	a := newRuleApp(t)
	requesters, rules := a.requesters(t), a.rules()
	ways := permutations("verified", "fresh", "scope", "where")
	if len(ways) != 65 {
		t.Fatalf("%d ways", len(ways))
	}
	for name, q := range requesters {
		for _, way := range ways {
			var list []auth.Rule
			for _, rule := range way {
				list = append(list, rules[rule])
			}
			want, ran := q.want(way), false
			var checked error
			a.Events()
			a.ask(q.client, http.MethodGet, q.header, func(_ http.ResponseWriter, r *http.Request) {
				a.Require(list...)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran = true })).ServeHTTP(httptest.NewRecorder(), r)
				checked = a.Check(r.Context(), list...)
			})
			events := a.Events()
			switch {
			case !errors.Is(checked, want):
				t.Errorf("%s: Check(%v): %v, want %v", name, way, checked, want)
			case ran != (want == nil):
				t.Errorf("%s: Require(%v): ran %v, want %v", name, way, ran, want)
			case want == nil && len(events) != 0:
				t.Errorf("%s: %v: events %v", name, way, events)
			case want != nil && (len(events) != 1 || events[0].Kind != auth.EventAccessDenied || !errors.Is(events[0].Err, want)):
				t.Errorf("%s: %v: events %v", name, way, events)
			}
		}
	}
}

// The shorthands equal the rules that they stand for.
func TestRuleShorthands(t *testing.T) {
	t.Parallel()
	a := newRuleApp(t)
	for name, q := range a.requesters(t) {
		for rule, short := range map[string]struct {
			guard func(http.Handler) http.Handler
			check func(context.Context) error
		}{
			"":         {a.RequireLogin, func(ctx context.Context) error { return a.Check(ctx) }},
			"verified": {a.RequireVerified, func(ctx context.Context) error { return a.Check(ctx, auth.Verified()) }},
			"fresh":    {a.RequireFresh(10 * time.Minute), func(ctx context.Context) error { return a.Check(ctx, auth.Fresh(10*time.Minute)) }},
			"scope":    {a.RequireScope("read"), func(ctx context.Context) error { return a.Check(ctx, auth.Scope("read")) }},
		} {
			want, ran := q.want([]string{rule}), false
			a.ask(q.client, http.MethodGet, q.header, func(_ http.ResponseWriter, r *http.Request) {
				short.guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran = true })).ServeHTTP(httptest.NewRecorder(), r)
				if err := short.check(r.Context()); !errors.Is(err, want) {
					t.Errorf("%s: %q: %v, want %v", name, rule, err, want)
				}
			})
			if ran != (want == nil) {
				t.Errorf("%s: %q ran %v, want %v", name, rule, ran, want)
			}
		}
	}
}

// Each rule, with a browser, with a program, and with any method.
func TestRuleAnswers(t *testing.T) {
	t.Parallel()
	a := newRuleApp(t)
	requesters, rules := a.requesters(t), a.rules()
	for rule, answers := range map[string]map[string]string{
		"verified": {"nobody": "303 /login, 401", "ann, stale": "303 /verify-email, 403"},
		"fresh":    {"nobody": "303 /login, 401", "susan, stale": "303 /refresh, 401", "mike's full token": "401 , 401"},
		"scope":    {"nobody": "303 /login, 401", "susan's other token": "403 , 403"},
		"where":    {"nobody": "303 /login, 401", "mike, fresh": "403 , 403", "mike's full token": "403 , 403"},
	} {
		guarded := a.Require(rules[rule])(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "secret") }))
		for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST"} {
			answer := func(q requester, accept string) *testapp.Response {
				header := http.Header{"Accept": {accept}}
				if q.header != nil {
					header["Authorization"] = q.header["Authorization"]
				}
				return a.ask(q.client, method, header, guarded.ServeHTTP)
			}
			for name, want := range answers {
				html, api := answer(requesters[name], "text/html"), answer(requesters[name], "application/json")
				location, _, _ := strings.Cut(html.Header.Get("Location"), "?")
				if got := fmt.Sprintf("%d %s, %d", html.StatusCode, location, api.StatusCode); got != want || api.Header.Get("Location") != "" {
					t.Errorf("%s: %s by %s: %s, want %s", rule, method, name, got, want)
				}
				if strings.Contains(html.Text+api.Text, "secret") {
					t.Errorf("%s: %s by %s ran the handler", rule, method, name)
				}
			}
			if r := answer(requesters["susan, fresh"], "text/html"); r.StatusCode != http.StatusOK || method != "HEAD" && r.Text != "secret" {
				t.Errorf("%s: %s by susan: %s %q", rule, method, r.Status, r.Text)
			}
		}
	}
}

// Nested guards let the same requests through as one guard with all their rules.
func TestNestedGuards(t *testing.T) {
	t.Parallel()
	a := newRuleApp(t)
	requesters, rules := a.requesters(t), a.rules()
	for name, q := range requesters {
		for _, way := range permutations("verified", "fresh", "scope", "where") {
			if i := slices.Index(way, "scope"); i > 0 && q.login != nil {
				continue // outside RequireScope a request with a limited token is anonymous
			}
			ran := false
			guarded := a.Require()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran = true }))
			for _, rule := range slices.Backward(way) {
				guarded = a.Require(rules[rule])(guarded)
			}
			a.ask(q.client, http.MethodGet, q.header, guarded.ServeHTTP)
			if want := q.want(way); ran != (want == nil) {
				t.Errorf("%s: %v: ran %v, want %v", name, way, ran, want)
			}
		}
	}
}

// The token must have all scopes of several rules. Require opens a scope for its
// handler only; Check opens it for the whole request.
func TestScopeRules(t *testing.T) {
	t.Parallel()
	a := newRuleApp(t)
	u := a.Create(t, "susan", false)
	for _, c := range []struct {
		scopes []string
		want   bool
	}{
		{[]string{"read"}, false}, {[]string{"write"}, false}, {[]string{"write", "read"}, true}, {[]string{auth.ScopeAll}, true},
	} {
		secret, _, err := a.NewAPIToken(t.Context(), u, auth.APIToken{Scopes: c.scopes, Expires: a.Clock.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		header := http.Header{"Authorization": {"Bearer " + secret.Reveal()}}
		full := slices.Contains(c.scopes, auth.ScopeAll)
		for _, rules := range [][]auth.Rule{{auth.Scope("read"), auth.Scope("write")}, {auth.Scope("write"), auth.Scope("read")}} {
			ran := false
			a.ask(a.Client(t), http.MethodGet, header, func(_ http.ResponseWriter, r *http.Request) {
				a.Require(rules...)(http.HandlerFunc(func(_ http.ResponseWriter, inside *http.Request) {
					_, err := a.User(inside.Context())
					_, outside := a.User(r.Context())
					if ran = true; err != nil || (outside == nil) != full {
						t.Errorf("%v: within the guard %v, beside it %v", c.scopes, err, outside)
					}
				})).ServeHTTP(httptest.NewRecorder(), r)
				if err := a.Check(r.Context(), append(rules, a.Where(func(*testapp.User) bool { return false }))...); err == nil {
					t.Error("a false Where rule passes")
				}
				if _, err := a.User(r.Context()); (err == nil) != full {
					t.Errorf("%v: after a Check that failed: %v", c.scopes, err)
				}
				if err := a.Check(r.Context(), rules...); (err == nil) != c.want {
					t.Errorf("%v: Check: %v", c.scopes, err)
				}
				if _, err := a.User(r.Context()); (err == nil) != c.want {
					t.Errorf("%v: after Check: %v", c.scopes, err)
				}
			})
			if ran != c.want {
				t.Errorf("%v: ran %v", c.scopes, ran)
			}
		}
	}
}

// An otherUser is the user type of another Manager.
type otherUser struct{ auth.Account }

// An empty rule, and a rule of another Manager, refuse every request.
func TestInvalidRulesRefuse(t *testing.T) {
	t.Parallel()
	a := newRuleApp(t)
	a.Create(t, "susan", false)
	foreign := auth.Manager[*otherUser]{Core: a.Core}
	c := a.Client(t)
	c.Login("susan")
	for name, rules := range map[string][]auth.Rule{
		"Rule{}":             {auth.Rule{}},
		"Rule{} and another": {auth.Scope("read"), auth.Rule{}},
		"Where(nil)":         {a.Where(nil)},
		"another's Where":    {foreign.Where(func(*otherUser) bool { return true })},
	} {
		r := a.ask(c, http.MethodGet, nil, func(w http.ResponseWriter, r *http.Request) {
			if err := a.Check(r.Context(), rules...); err == nil {
				t.Errorf("%s: Check lets through", name)
			}
			a.Require(rules...)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Errorf("%s: Require lets through", name) })).ServeHTTP(w, r)
		})
		if r.StatusCode != http.StatusInternalServerError {
			t.Errorf("%s: %s", name, r.Status)
		}
	}
	if err := a.Check(t.Context(), auth.Verified()); !errors.Is(err, auth.ErrNoSession) {
		t.Errorf("outside LoadAndSave: %v", err)
	}
}

// Require copies its rules: later changes of the list have no effect.
func TestRequireKeepsItsRules(t *testing.T) {
	t.Parallel()
	a := newRuleApp(t)
	a.Create(t, "susan", false)
	rules := []auth.Rule{auth.Verified()}
	guarded := a.Require(rules...)(http.HandlerFunc(hello))
	rules[0] = auth.Fresh(0)
	c := a.Client(t)
	c.Login("susan")
	if r := a.ask(c, http.MethodGet, http.Header{"Accept": {"application/json"}}, guarded.ServeHTTP); r.StatusCode != http.StatusForbidden {
		t.Errorf("%s", r.Status)
	}
}
