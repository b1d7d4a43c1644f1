package oauth_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/oauth"
)

// A user who has connected an account logs in by it.
func TestLogin(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u, _ := s.connected("susan", "42")
	b := s.browser()
	s.leads(b.login("next", "/profile?x=1"), "/profile?x=1")
	want(t, "who", b.who(), "susan")
	logins, err := s.Logins(t.Context(), u.ID)
	must(t, err)
	if len(logins) != 2 || !slices.ContainsFunc(logins, func(l auth.Login) bool { return slices.Equal(l.Methods, []string{"oauth:work"}) }) {
		t.Errorf("%+v", logins)
	}
	wantAll(t, "events", s.kinds(), auth.EventLoginSucceeded)
	i := s.identities(u)[0]
	if i.LastUsed.IsZero() || i.Provider != "work" || i.Email != "susan@example.com" || i.Unusable || i.Unproved {
		t.Errorf("%+v", i)
	}
	for _, c := range b.Cookies() {
		if strings.HasSuffix(c.Name, "-provider") && c.Value == "work" {
			return
		}
	}
	t.Error("the browser does not know which provider was used last")
}

// The option remember_me keeps the user logged in.
func TestRememberMe(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.connected("susan", "42")
	for _, remember := range []string{"", "y"} {
		b := s.browser()
		b.login("remember_me", remember)
		b.Restart()
		want(t, "after a restart with "+remember, b.who(), map[string]string{"": "nobody", "y": "susan"}[remember])
	}
}

// O4: an answer needs the browser, the provider and the ten minutes of its visit. No token
// request is made for any other.
func TestForeignAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *settings) {
		other := authtest.NewProvider(t, authtest.ProviderConfig{Now: c.clock.Now})
		c.more = []oauth.Provider{{Name: "other", Issuer: other.Issuer, ClientID: other.ClientID, ClientSecret: auth.NewSecret(other.ClientSecret)}}
	})
	s.connected("susan", "42")
	before := s.tokens()
	for what, change := range map[string]func(b *browser, r *http.Request) (*browser, *http.Request){
		"no state": func(b *browser, r *http.Request) (*browser, *http.Request) { return b, with(t, r, "state", "") },
		"no code":  func(b *browser, r *http.Request) (*browser, *http.Request) { return b, with(t, r, "code", "") },
		"code and error": func(b *browser, r *http.Request) (*browser, *http.Request) {
			return b, with(t, r, "error", "access_denied")
		},
		"another state":     func(b *browser, r *http.Request) (*browser, *http.Request) { return b, with(t, r, "state", "x") },
		"another browser":   func(_ *browser, r *http.Request) (*browser, *http.Request) { return s.browser(), r },
		"its own visit too": func(_ *browser, r *http.Request) (*browser, *http.Request) { b := s.browser(); b.start(); return b, r },
		"10 min and 1 s": func(b *browser, r *http.Request) (*browser, *http.Request) {
			s.Clock.Advance(10*time.Minute + time.Second)
			return b, r
		},
		"another provider": func(b *browser, r *http.Request) (*browser, *http.Request) {
			r = with(t, r, "iss", "")
			r.URL.Path = "/oauth/other/callback"
			return b, r
		},
	} {
		b := s.browser()
		b, r := change(b, s.provider.Visit(b.start()))
		s.page(b.Do(r), http.StatusBadRequest, "Please begin again")
		want(t, what+": who", b.who(), "nobody")
	}
	want(t, "token requests", s.tokens(), before)
}

// O5: of fifty callbacks with one state, one exchanges the code.
func TestParallelCallbacks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.connected("susan", "42")
	before := s.tokens()
	b := s.browser()
	r := s.provider.Visit(b.start("next", "/next"))
	var in atomic.Int32
	atOnce(50, func(int) {
		if b.Do(r).Header.Get("Location") == "/next" {
			in.Add(1)
		}
	})
	want(t, "token requests", s.tokens()-before, 1)
	want(t, "logins", in.Load(), 1)
}

// O6: two tabs can be under way, as two users, and finish in any order. The later one counts.
func TestTwoTabs(t *testing.T) {
	t.Parallel()
	for _, first := range []int{0, 1} {
		s := newSite(t)
		s.connected("susan", "1")
		s.connected("anna", "2")
		b := s.browser()
		var tabs []*http.Request
		for _, subject := range []string{"1", "2"} {
			page := b.start("next", "/"+subject)
			s.consent(subject, "", nil)
			tabs = append(tabs, s.provider.Visit(page))
		}
		names := []string{"susan", "anna"}
		s.leads(b.Do(tabs[first]), []string{"/1", "/2"}[first])
		want(t, "after the first", b.who(), names[first])
		s.leads(b.Do(tabs[1-first]), []string{"/1", "/2"}[1-first])
		want(t, "after the second", b.who(), names[1-first])
	}
}

// O7: a user who loads the callback again, or goes back, is at home, and nothing happens.
func TestReload(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.connected("susan", "42")
	b := s.browser()
	r := s.provider.Visit(b.start("next", "/next"))
	s.leads(b.Do(r), "/next")
	before := s.tokens()
	s.Events()
	s.leads(b.Do(r), "/")
	want(t, "token requests", s.tokens(), before)
	wantAll(t, "events", s.kinds())
	want(t, "who", b.who(), "susan")
	// A browser that is not logged in is told to begin again.
	s.page(s.browser().Do(r), http.StatusBadRequest, `href="/login"`)
}

// O8: the issuer in the answer (RFC 9207).
func TestIssParameter(t *testing.T) {
	t.Parallel()
	for _, announced := range []bool{true, false} {
		s := newSite(t, func(c *settings) {
			c.op.Metadata = map[string]any{"authorization_response_iss_parameter_supported": announced}
		})
		s.connected("susan", "42")
		for _, c := range []struct {
			iss  string
			good bool
		}{{s.provider.Issuer, true}, {s.provider.Issuer + "/", false}, {"https://other.example", false}, {"", !announced}} {
			b := s.browser()
			before := s.tokens()
			r := b.Do(with(t, s.provider.Visit(b.start()), "iss", c.iss))
			if c.good {
				s.leads(r, "/")
				continue
			}
			s.page(r, http.StatusForbidden, "You cannot log in this way")
			want(t, "token requests", s.tokens(), before)
		}
		// An empty iss is a wrong one, and not none.
		b := s.browser()
		r := with(t, s.provider.Visit(b.start()), "iss", "")
		r.URL.RawQuery += "&iss="
		s.page(b.Do(r), http.StatusForbidden, "You cannot log in this way")
	}
}

// O9: a user who cancels gets back, and nothing of what the provider says is shown.
func TestProviderErrors(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const script = "<script>alert(1)</script>"
	for code, page := range map[string]struct {
		status int
		text   string
	}{
		"access_denied":           {http.StatusOK, "You cancelled"},
		"temporarily_unavailable": {http.StatusServiceUnavailable, "cannot be used at the moment"},
		"invalid_scope":           {http.StatusForbidden, "You cannot log in this way"},
		script:                    {http.StatusForbidden, "You cannot log in this way"},
	} {
		b := s.browser()
		s.provider.Deny(code, script)
		visit := s.provider.Visit(b.start("next", "/profile"))
		r := b.Do(visit)
		s.page(r, page.status, page.text)
		s.page(r, page.status, `href="/login?next=%2Fprofile"`)
		if strings.Contains(r.Text, "script") || strings.Contains(s.Logs(), "script") {
			t.Errorf("%q: %s", code, r.Text)
		}
		s.page(b.Do(visit), http.StatusBadRequest, "Please begin again") // it is over
	}
	want(t, "token requests", s.tokens(), 0)
}

// O10: parameters come once, and by the method that the provider uses.
func TestAnswerTwice(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.connected("susan", "42")
	before := s.tokens()
	for _, name := range []string{"code", "state", "iss"} {
		b := s.browser()
		r := s.provider.Visit(b.start())
		r.URL.RawQuery += "&" + name + "=" + url.QueryEscape(r.URL.Query().Get(name))
		s.page(b.Do(r), http.StatusBadRequest, "Please begin again")
	}
	b := s.browser()
	r := s.provider.Visit(b.start())
	r.URL.RawQuery += "&x=%zz"
	s.page(b.Do(r), http.StatusBadRequest, "Please begin again")
	post := httptest.NewRequest(http.MethodPost, "/oauth/work/callback?"+s.provider.Visit(b.start()).URL.RawQuery, nil)
	want(t, "POST", b.Do(post).StatusCode, http.StatusMethodNotAllowed)
	want(t, "token requests", s.tokens(), before)
	want(t, "who", b.who(), "nobody")
}

// A HEAD request uses up nothing.
func TestHeadOfCallback(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.connected("susan", "42")
	b := s.browser()
	r := s.provider.Visit(b.start())
	head := r.Clone(t.Context())
	head.Method = http.MethodHead
	want(t, "HEAD", b.Do(head).StatusCode, http.StatusMethodNotAllowed)
	s.leads(b.Do(r), "/")
}

// O16: a code is exchanged once, in the announced way; a failure is not tried again.
func TestTokenEndpointFails(t *testing.T) {
	t.Parallel()
	for _, style := range []string{"client_secret_basic", "client_secret_post"} {
		s := newSite(t, func(c *settings) {
			c.op.Metadata = map[string]any{"token_endpoint_auth_methods_supported": []string{style}}
		})
		s.connected("susan", "42")
		before := s.tokens()
		s.provider.Misbehave(authtest.TokenFailsOnce)
		b := s.browser()
		visit := s.provider.Visit(b.start())
		s.page(b.Do(visit), http.StatusServiceUnavailable, "cannot be used at the moment")
		want(t, "token requests", s.tokens()-before, 1)
		s.page(b.Do(visit), http.StatusBadRequest, "Please begin again")
		s.leads(b.login(), "/")
	}
}

// If the provider announces nothing, the secret goes in the header; AuthStyle replaces that.
func TestAuthStyle(t *testing.T) {
	t.Parallel()
	for _, style := range []oauth.AuthStyle{"", oauth.AuthPost} {
		s := newSite(t, func(c *settings) {
			c.op.Metadata = map[string]any{"token_endpoint_auth_methods_supported": nil}
			c.provider = func(p *oauth.Provider) { p.AuthStyle = style; signUp(p) }
		})
		r := s.browser().login()
		requests := s.provider.Requests(authtest.Token)
		if len(requests) != 1 {
			t.Fatalf("%d token requests", len(requests))
		}
		want(t, "the secret is in the form", requests[0].Form.Has("client_secret"), style == oauth.AuthPost)
		want(t, "right", r.StatusCode == http.StatusSeeOther, style == "")
	}
}

// O29: no next leads to another site, at the start or in the end.
func TestHostileNext(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.connected("susan", "42")
	for _, next := range []string{
		"//evil.example", "https://evil.example", `/\evil.example`, "/\t/evil.example", "javascript:alert(1)", "evil.example", "/ok\r\nX: y", `\\evil.example`,
		"https:evil.example", "///evil.example", "/%zz",
	} {
		s.leads(s.browser().login("next", next), "/")
	}
	s.leads(s.browser().login("next", "/a?b=//evil.example"), "/a?b=//evil.example")
}

// O29 and O27: the next is kept in a cookie where the configuration says so.
func TestNextInCookie(t *testing.T) {
	t.Parallel()
	s := newSite(t, withAuth(func(c *auth.Config) { c.URLs.NextInCookie = true }))
	s.connected("susan", "42")
	b := s.browser()
	s.leads(b.Get("/guarded"), "/login")
	s.leads(b.login(), "/guarded")
}

// O32: an answer that comes as a form, from another site, without cookies.
func TestFormPost(t *testing.T) {
	t.Parallel()
	s := newSite(t, withProvider(func(p *oauth.Provider) { signUp(p); p.FormPost = true }))
	s.provider.Consent(authtest.ProviderUser{Subject: "42", Answer: url.Values{"user": {`{"name":{"firstName":"Susan","lastName":"Example"}}`}}})
	b := s.browser()
	visit := s.provider.Visit(b.start())
	want(t, "method", visit.Method, http.MethodPost)
	body := httptest.NewRequest(http.MethodPost, visit.URL.Path, visit.Body)
	body.Header = visit.Header
	page := s.browser().Do(body) // a browser sends no cookie along
	s.page(page, http.StatusOK, "One moment")
	if len(page.Cookies()) > 0 || strings.Contains(page.Text, "code=") {
		t.Errorf("%v %s", page.Cookies(), page.Text)
	}
	goOn := target(t, page).String()
	s.page(s.browser().Get(goOn), http.StatusBadRequest, "Please begin again") // in another browser
	s.leads(b.Get(goOn), "/")
	want(t, "who", b.who(), "u42")

	for _, more := range []string{"&code=x", "&answer=x"} {
		s.page(b.Get(goOn+more), http.StatusBadRequest, "Please begin again")
	}
	// The same answer by GET is refused.
	visit = s.provider.Visit(b.start())
	must(t, visit.ParseForm())
	s.page(b.Get(visit.URL.Path+"?"+visit.PostForm.Encode()), http.StatusBadRequest, "Please begin again")
	// And so are parameters in both, or twice.
	for _, target := range []string{"/oauth/work/callback?code=x", "/oauth/work/callback"} {
		form := url.Values{"state": {"x"}, "code": {"y"}}
		if target == "/oauth/work/callback" {
			form.Add("code", "z")
		}
		r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(form.Encode()))
		r.Header = visit.Header
		s.page(s.browser().Do(r), http.StatusBadRequest, "Please begin again")
	}
}

// O30: the code and the tokens are in no cookie, page, record, event or log.
func TestNoTokenIsKept(t *testing.T) {
	t.Parallel()
	s := newSite(t, withProvider(trusted))
	s.provider.Misbehave(authtest.EmailInUserinfo) // so that a request has the access token
	b := s.browser()
	visit := s.provider.Visit(b.start())
	r := b.Do(visit)
	s.leads(r, "/")
	everything := r.Text + s.Logs()
	for _, c := range b.Cookies() {
		everything += c.Value
	}
	for name, values := range r.Header {
		everything += name + strings.Join(values, " ")
	}
	for _, record := range s.Spy().Given("InsertRecord", "UpdateRecord") {
		everything += record.Key + string(record.Data)
	}
	request := s.provider.Requests(authtest.Token)[0]
	for what, secret := range map[string]string{
		"code": visit.URL.Query().Get("code"), "verifier": request.Form.Get("code_verifier"), "secret": s.provider.ClientSecret,
		"access token": strings.TrimPrefix(s.provider.Requests(authtest.Userinfo)[0].Header.Get("Authorization"), "Bearer "), "an ID token": "eyJ", "subject and issuer": "sub\":", "the issuer's subject": "\"42\"",
	} {
		if strings.Contains(everything, secret) {
			t.Errorf("%s is kept", what)
		}
	}
}

// If the store fails at the k-th call of a callback, nobody is logged in, the answer is a 5xx or
// a page, and a new visit works.
func TestCallbackStoreFails(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		for k := 1; ; k++ {
			s := newSite(t, withProvider(trusted))
			b := s.browser()
			visit := s.provider.Visit(b.start())
			s.Spy().FailAt(k, after)
			r := b.Do(visit)
			made := len(s.Spy().Calls())
			s.Spy().Reset()
			if made < k {
				if k < 10 {
					t.Errorf("a callback makes %d calls of the store", made)
				}
				break
			}
			if r.StatusCode < 500 && r.StatusCode != http.StatusSeeOther {
				t.Errorf("call %d, after %v: %s %s", k, after, r.Status, r.Text)
			}
			if who := b.who(); r.StatusCode >= 500 && who != "nobody" && !after {
				t.Errorf("call %d: %s, and the request is %s's", k, r.Status, who)
			}
			s.Clock.Advance(2 * time.Minute)
			again := s.browser()
			if r := again.login(); r.StatusCode != http.StatusSeeOther || again.who() != "u42" {
				t.Errorf("call %d, after %v: then %s as %s: %s", k, after, r.Status, again.who(), r.Text)
			}
		}
	}
}
