package oauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/oauth"
)

// O21: a user without an account gets one, if the provider may sign up users. Its address counts
// as verified only if the provider says so and is trusted.
func TestSignUp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ says, trust bool }{{true, true}, {true, false}, {false, true}} {
		s := newSite(t, withProvider(func(p *oauth.Provider) { signUp(p); p.TrustEmail = c.trust }))
		s.consent("42", "susan@example.com", c.says)
		b := s.browser()
		s.leads(b.login("next", "/welcome"), "/welcome")
		u := s.found("u42")
		want(t, "verified", u.EmailVerified, c.says && c.trust)
		want(t, "password", u.PasswordHash.IsZero(), true)
		want(t, "unproved", s.identities(u)[0].Unproved, !c.says || !c.trust)
		wantAll(t, "events", s.kinds(), auth.EventAccountRegistered, auth.EventIdentityAdded, auth.EventLoginSucceeded)
		s.leads(s.browser().login(), "/")
		wantAll(t, "events of the second login", s.kinds(), auth.EventLoginSucceeded)
	}
	s := newSite(t)
	s.page(s.browser().login(), http.StatusForbidden, "This account is not connected")
	if s.found("susan@example.com") != nil {
		t.Error("a provider that may not sign up users has made an account")
	}
}

// A registration that the application refuses, or cannot make, leaves nothing.
func TestRegistration(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		r      auth.Registration
		err    error
		status int
	}{
		{auth.Registration{}, oauth.ErrRefused, http.StatusForbidden},
		{auth.Registration{}, errors.New("down"), http.StatusInternalServerError},
		{auth.Registration{Username: "bad name"}, nil, http.StatusForbidden},
		{auth.Registration{Username: "taken"}, nil, http.StatusForbidden},
		{auth.Registration{Username: "good", Email: "not an address"}, nil, http.StatusForbidden},
		{auth.Registration{Username: "good", Form: url.Values{"name": {"refuse"}}}, nil, http.StatusInternalServerError},
		{auth.Registration{Username: "good", Email: "another@example.com", EmailVerified: true}, nil, http.StatusSeeOther},
	} {
		s := newSite(t, withProvider(func(p *oauth.Provider) {
			trusted(p)
			p.Registration = func(context.Context, oauth.Profile) (auth.Registration, error) { return c.r, c.err }
		}))
		s.account("taken", true, false)
		want(t, c.r.Username, s.browser().login().StatusCode, c.status)
		u := s.found("good")
		want(t, "there is an account", u != nil, c.status == http.StatusSeeOther)
		if u != nil && u.EmailVerified {
			t.Error("an address that the provider has not verified counts as verified")
		}
	}
}

// O21: of twenty first logins of one user, all get into one account.
func TestParallelFirstLogins(t *testing.T) {
	t.Parallel()
	s := newSite(t, withProvider(func(p *oauth.Provider) {
		p.SignUp = true
		p.Registration = func(context.Context, oauth.Profile) (auth.Registration, error) {
			return auth.Registration{Username: "u" + time.Now().Format("150405.000000000")[7:]}, nil // always another
		}
	}))
	var visits []*http.Request
	var browsers []*browser
	for range 20 {
		b := s.browser()
		browsers, visits = append(browsers, b), append(visits, s.provider.Visit(b.start()))
	}
	atOnce(20, func(i int) { s.leads(browsers[i].Do(visits[i]), "/") })
	for _, b := range browsers {
		want(t, "who", b.who(), browsers[0].who())
	}
	n := 0
	for _, call := range s.Spy().Calls() {
		if call == "CreateUser" {
			n++
		}
	}
	want(t, "accounts", n, 1)
}

// O21: the same in two processes that share a store. A user who comes too early begins again.
func TestFirstLoginsInTwoProcesses(t *testing.T) {
	t.Parallel()
	clock := testapp.NewClock()
	store := testapp.NewSpy(clock)
	var n atomic.Int32
	anyName := func(p *oauth.Provider) {
		p.SignUp = true
		p.Registration = func(context.Context, oauth.Profile) (auth.Registration, error) {
			return auth.Registration{Username: fmt.Sprint("user", n.Add(1))}, nil
		}
	}
	one := newSite(t, withProvider(anyName), func(c *settings) { c.store, c.clock = store, clock })
	two := newSite(t, withProvider(anyName), func(c *settings) { c.store, c.clock, c.use = store, clock, one.provider })
	sites := []*site{one, two}
	for range 10 {
		subject := time.Now().Format("150405.000000000")[7:]
		one.consent(subject, "", nil)
		var visits []*http.Request
		var browsers []*browser
		for i := range 20 {
			b := sites[i%2].browser()
			browsers, visits = append(browsers, b), append(visits, one.provider.Visit(b.start()))
		}
		var in atomic.Int32
		atOnce(20, func(i int) {
			if r := browsers[i].Do(visits[i]); r.StatusCode == http.StatusSeeOther {
				in.Add(1)
			} else {
				one.page(r, http.StatusBadRequest, "Please begin again")
			}
		})
		if in.Load() == 0 {
			t.Error("nobody got in")
		}
		made := 0
		for _, call := range store.Calls() {
			if call == "CreateUser" {
				made++
			}
		}
		want(t, "accounts", made, 1)
		store.Reset()
	}
}

// O21: a first login that comes while another process creates the account begins again.
func TestFirstLoginCrossesSignUp(t *testing.T) {
	t.Parallel()
	clock := testapp.NewClock()
	store := testapp.NewSpy(clock)
	one := newSite(t, withProvider(signUp), func(c *settings) { c.store, c.clock = store, clock })
	two := newSite(t, func(c *settings) {
		c.store, c.clock, c.use = store, clock, one.provider
		c.provider = func(p *oauth.Provider) {
			p.SignUp = true
			p.Registration = func(context.Context, oauth.Profile) (auth.Registration, error) {
				return auth.Registration{Username: "another"}, nil
			}
		}
	})
	one.consent("42", "", nil)
	first, second := one.browser(), two.browser()
	visits := []*http.Request{one.provider.Visit(first.start()), one.provider.Visit(second.start())}
	store.HookCalls(func(_ context.Context, c testapp.Call) error {
		if c.Method == "CreateUser" {
			store.Reset()
			two.page(second.Do(visits[1]), http.StatusBadRequest, "Please begin again")
		}
		return nil
	}, nil)
	one.leads(first.Do(visits[0]), "/")
	if one.found("another") != nil {
		t.Error("there are two accounts")
	}
	one.leads(second.login(), "/")
	want(t, "the second", second.who(), "u42")
}

// O23: an account whose address is verified here and at a trusted provider is connected. Its
// logins go on, and its owner gets a mail.
func TestLinkByAddress(t *testing.T) {
	t.Parallel()
	s := newSite(t, withProvider(func(p *oauth.Provider) { p.TrustEmail = true }))
	u := s.account("susan", true, true)
	other := s.browser()
	other.Login(u)
	s.Events()
	s.consent("42", "Susan@EXAMPLE.com", true)
	b := s.browser()
	s.leads(b.login(), "/")
	want(t, "who", b.who(), "susan")
	want(t, "the other login", other.who(), "susan")
	wantAll(t, "mails", s.mailKinds(), "identity-added to susan@example.com")
	wantAll(t, "events", s.kinds(), auth.EventIdentityAdded, auth.EventLoginSucceeded)
	want(t, "unproved", s.identities(u)[0].Unproved, false)

	// From now on the subject counts, whatever the address.
	s.consent("42", "else@example.com", false)
	b = s.browser()
	s.leads(b.login(), "/")
	want(t, "who", b.who(), "susan")
	want(t, "the address there", s.identities(u)[0].Email, "else@example.com")
	s.consent("43", "susan@example.com", true) // another account there that got the address
	b = s.browser()
	s.leads(b.login(), "/")
	want(t, "identities", len(s.identities(u)), 2)
}

// O22, O23, and the attacks of a provider that does not verify: an account is connected by its
// address only if all three say that the address is the user's. Otherwise everybody gets the same
// page, and the owner a mail.
func TestNotLinkedByAddress(t *testing.T) {
	t.Parallel()
	var pages []string
	for what, c := range map[string]struct {
		trust    bool
		says     any
		verified bool
		exists   bool
	}{
		"not trusted":              {false, true, true, true},
		"not verified there":       {true, false, true, true},
		"verified there, as text":  {true, "true", true, true},
		"nothing said there":       {true, nil, true, true},
		"not verified here":        {true, true, false, true},
		"no account":               {true, true, false, false},
		"no account, not verified": {true, false, false, false},
	} {
		s := newSite(t, withProvider(func(p *oauth.Provider) { p.TrustEmail = c.trust }))
		if c.exists {
			s.account("victim", c.verified, true)
		}
		s.consent("666", "victim@example.com", c.says)
		b := s.browser()
		r := b.login()
		s.page(r, http.StatusForbidden, "This account is not connected")
		pages = append(pages, r.Text)
		want(t, what+": who", b.who(), "nobody")
		mails := []string{"identity-refused to victim@example.com"}
		if !c.exists {
			mails = nil
		}
		wantAll(t, what+": mails", s.mailKinds(), mails...)
		wantAll(t, what+": events", s.kinds(), oauth.EventNotConnected)
		for range 5 {
			s.browser().login()
		}
		want(t, what+": mails in an hour", len(s.mailKinds()), 2*len(mails))
	}
	if len(slices.Compact(pages)) != 1 {
		t.Errorf("the pages differ: %q", slices.Compact(pages))
	}
}

// With HideAccounts, a login with an address that is not proved does not tell whether the
// address has an account.
func TestHideAccounts(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *settings) {
		c.provider = trusted
		c.auth = func(c *auth.Config) { c.HideAccounts, c.RequireVerified = true, true }
	})
	s.account("victim", true, true)
	for _, email := range []string{"victim@example.com", "nobody@example.com"} {
		s.consent("1"+email, email, false)
		s.page(s.browser().login(), http.StatusForbidden, "This account is not connected")
	}
	s.consent("2", "new@example.com", true)
	b := s.browser()
	s.leads(b.login(), "/")
	want(t, "with a proved address", b.who(), "u2")
}

// Registration may write the proved address in another way. If it returns another address, no
// account is created: Register would hide it, and nobody could log in to it.
func TestHideAccountsRegistration(t *testing.T) {
	t.Parallel()
	for email, status := range map[string]int{"new@example.com": http.StatusSeeOther, "another@example.com": http.StatusForbidden} {
		s := newSite(t, func(c *settings) {
			c.provider = func(p *oauth.Provider) {
				trusted(p)
				p.Registration = func(context.Context, oauth.Profile) (auth.Registration, error) {
					return auth.Registration{Username: "new", Email: email}, nil
				}
			}
			c.auth = func(c *auth.Config) { c.HideAccounts, c.RequireVerified = true, true }
		})
		s.consent("2", "New@Example.com", true)
		want(t, email, s.browser().login().StatusCode, status)
		want(t, email+": there is an account", s.found("new") != nil, status == http.StatusSeeOther)
	}
}

// The first attack on accounts that do not exist yet (classic-federated merge), and the second
// (unexpired session): an attacker registers the victim's address. The victim comes by a provider.
// They do not meet in one account until the victim has proved the mailbox; then nothing of the attacker's is left.
func TestPreHijackClassicMergeAndSession(t *testing.T) {
	t.Parallel()
	s := newSite(t, withProvider(trusted))
	attacker := s.browser()
	u, err := s.Register(t.Context(), auth.Registration{Username: "victim", Email: "victim@example.com", Password: testapp.Password})
	must(t, err)
	attacker.Login(u, auth.Remember(true))
	s.mails.Take()

	s.consent("42", "victim@example.com", true)
	victim := s.browser()
	s.page(victim.login(), http.StatusForbidden, "This account is not connected")
	wantAll(t, "mails", s.mailKinds(), "identity-refused to victim@example.com")
	want(t, "identities", len(s.identities(u)), 0)
	s.reset(u)
	want(t, "the attacker", attacker.who(), "nobody")
	s.leads(victim.login(), "/") // the address is verified now
	want(t, "the victim", victim.who(), "victim")
	if r := attacker.Post("/login", url.Values{"login": {"victim"}, "password": {testapp.Password}}); r.StatusCode == http.StatusOK {
		t.Error("the attacker's password is good")
	}
	attacker.Restart()
	want(t, "the attacker's remembered device", attacker.who(), "nobody")
}

// reset resets the password of a user, by the mail.
func (s *site) reset(u *testapp.User) {
	s.t.Helper()
	s.mails.Take()
	must(s.t, s.SendReset(s.t.Context(), u.Email))
	_, err := s.ResetPassword(s.t.Context(), s.token(auth.MailReset), "a new and good passphrase")
	must(s.t, err)
}

// token returns the token in the link of the newest mail.
func (s *site) token(kind auth.MailKind) string {
	s.t.Helper()
	mails := s.mails.Take()
	if len(mails) == 0 || mails[len(mails)-1].Kind != kind {
		s.t.Fatalf("the mails are %v, want %s", mails, kind)
	}
	u, err := url.Parse(mails[len(mails)-1].Link.Reveal())
	must(s.t, err)
	return u.Query().Get("token")
}

// The third (trojan identifier) and the fourth (unexpired change of the address): an attacker signs
// up at a provider that lets them claim the victim's address, and asks for a change of
// the address. When the victim resets the password, the identity and the change are gone.
func TestPreHijackTrojanIdentity(t *testing.T) {
	t.Parallel()
	for _, verifies := range []bool{false, true} {
		s := newSite(t, withProvider(signUp))
		s.consent("666", "victim@example.com", true)
		attacker := s.browser()
		s.leads(attacker.login(), "/")
		u := s.found("u666")
		must(t, attacker.in(func(ctx context.Context) error { return s.SendEmailChange(ctx, u, "attacker@example.com") }))
		change := s.token(auth.MailNewAddress)
		if r := attacker.start("purpose", "link"); !strings.HasPrefix(r.Header.Get("Location"), "/verify-email") {
			t.Errorf("another identity: %s to %q", r.Status, r.Header.Get("Location"))
		}
		if verifies { // the victim opens the link, and so proves the mailbox
			must(t, s.SendVerification(t.Context(), u.Email))
			_, err := s.VerifyEmail(t.Context(), s.token(auth.MailVerify))
			must(t, err)
			s.browser().login() // the attacker uses the identity again
		}
		s.reset(u)
		want(t, "the attacker's login", attacker.who(), "nobody")
		want(t, "identities", len(s.identities(u)), 0)
		b := s.browser()
		want(t, "the attacker by the provider", b.login().StatusCode, http.StatusForbidden)
		want(t, "the attacker by the provider", b.who(), "nobody")
		must(t, b.in(func(ctx context.Context) error {
			if _, err := s.ConfirmEmailChange(ctx, change); !errors.Is(err, auth.ErrInvalidToken) {
				t.Errorf("the change of the address: %v", err)
			}
			return nil
		}))
	}
}

// The same, if the victim proves the mailbox by a login by mail.
func TestPreHijackTrojanIdentityAndMailLogin(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *settings) {
		c.provider = signUp
		c.auth = func(c *auth.Config) { c.EmailLogin = true }
	})
	s.consent("666", "victim@example.com", true)
	attacker := s.browser()
	s.leads(attacker.login(), "/")
	u := s.found("u666")
	victim := s.browser()
	must(t, victim.in(func(ctx context.Context) error { return s.SendLoginCode(ctx, u.Email, auth.Next{}) }))
	token := s.token(auth.MailLoginCode)
	must(t, victim.in(func(ctx context.Context) error {
		_, err := s.LoginByLink(ctx, token)
		return err
	}))
	want(t, "the victim", victim.who(), "u666")
	want(t, "the attacker's login", attacker.who(), "nobody")
	want(t, "identities", len(s.identities(u)), 0)
	want(t, "the attacker by the provider", attacker.login().StatusCode, http.StatusForbidden)
}

// The fifth (a provider that does not verify): an attacker has an account there with the victim's
// address. Whatever that provider says about the address, the attacker does not get into an
// account that the victim has here, or makes here; and the victim, who comes by a provider that is
// trusted, does not get into what the attacker has made here.
func TestPreHijackNonVerifyingProvider(t *testing.T) {
	t.Parallel()
	for _, says := range []any{true, false, "true", nil} {
		var trusted *authtest.Provider
		s := newSite(t, func(c *settings) {
			c.provider = signUp // with TrustEmail not set
			c.clock = testapp.NewClock()
			trusted = authtest.NewProvider(t, authtest.ProviderConfig{Now: c.clock.Now})
			c.more = []oauth.Provider{{
				Name: "trusted", Issuer: trusted.Issuer, ClientID: trusted.ClientID, ClientSecret: auth.NewSecret(trusted.ClientSecret),
				TrustEmail: true, SignUp: true, Registration: register,
			}}
		})
		// The victim is here already.
		victim := s.account("susan", true, true)
		s.consent("666", "susan@example.com", says)
		attacker := s.browser()
		s.page(attacker.login(), http.StatusForbidden, "This account is not connected")
		want(t, "the attacker", attacker.who(), "nobody")
		want(t, "identities of the victim", len(s.identities(victim)), 0)
		wantAll(t, "mails", s.mailKinds(), "identity-refused to susan@example.com")

		// The attacker is here first.
		s.consent("667", "olaf@example.com", says)
		s.leads(attacker.login(), "/")
		made := s.found("u667")
		want(t, "the attacker's account", attacker.who(), "u667")
		want(t, "verified", made.EmailVerified, false)
		owner := s.browser()
		trusted.Consent(authtest.ProviderUser{Subject: "1", Email: "olaf@example.com", EmailVerified: true})
		visit := func() *authtest.Response { return owner.Do(trusted.Visit(owner.Post("/oauth/trusted", nil))) }
		s.page(visit(), http.StatusForbidden, "This account is not connected")
		want(t, "the owner of the address", owner.who(), "nobody")
		want(t, "identities of the attacker's account", len(s.identities(made)), 1)
		s.reset(made) // the owner proves the mailbox, and so takes the account over
		s.leads(visit(), "/")
		want(t, "the owner of the address", owner.who(), "u667")
		want(t, "the attacker", attacker.who(), "nobody")
		want(t, "the attacker by the provider", attacker.login().StatusCode, http.StatusForbidden)
		want(t, "the attacker", attacker.who(), "nobody")
		if all := s.identities(made); len(all) != 1 || all[0].Provider != "trusted" {
			t.Errorf("%+v", all)
		}
	}
}

// A login by an identity that a reset deletes at the same moment is no login.
func TestTrojanIdentityCrossesReset(t *testing.T) {
	t.Parallel()
	for k := 1; ; k++ {
		s := newSite(t, withProvider(signUp))
		s.consent("666", "victim@example.com", true)
		s.leads(s.browser().login(), "/")
		u := s.found("u666")
		must(t, s.SendReset(t.Context(), u.Email))
		token := s.token(auth.MailReset)
		attacker := s.browser()
		visit := s.provider.Visit(attacker.start())
		reached := s.Spy().At(k, func() {
			_, err := s.ResetPassword(t.Context(), token, "a new and good passphrase")
			must(t, err)
		})
		attacker.Do(visit)
		s.Spy().Reset()
		if !reached() {
			if k < 9 {
				t.Errorf("a login makes %d calls", k)
			}
			return
		}
		want(t, "the attacker", attacker.who(), "nobody")
	}
}

// A user whose address the owner has proved keeps an identity that was connected afterwards.
func TestResetKeepsProvedIdentities(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u, _ := s.connected("susan", "42")
	s.reset(u)
	b := s.browser()
	s.leads(b.login(), "/")
	want(t, "who", b.who(), "susan")
}

// If the identities cannot be deleted, the password is not reset, and the link works again.
func TestResetStoreFails(t *testing.T) {
	t.Parallel()
	s := newSite(t, withProvider(signUp))
	s.consent("666", "victim@example.com", true)
	s.leads(s.browser().login(), "/")
	u := s.found("u666")
	must(t, s.SendReset(t.Context(), u.Email))
	token := s.token(auth.MailReset)
	s.Spy().HookCalls(func(_ context.Context, c testapp.Call) error {
		if c.Method == "TakeRecord" && c.Kind == "feature" {
			return testapp.ErrStore
		}
		return nil
	}, nil)
	if _, err := s.ResetPassword(t.Context(), token, "a new and good passphrase"); !errors.Is(err, testapp.ErrStore) {
		t.Error(err)
	}
	s.Spy().Reset()
	want(t, "the password", s.user(u.ID).PasswordHash.IsZero(), true)
	_, err := s.ResetPassword(t.Context(), token, "a new and good passphrase")
	must(t, err)
	want(t, "identities", len(s.identities(u)), 0)
}

// O24: a user connects an account at the provider from a fresh login.
func TestLink(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	susan := s.account("susan", true, false)
	b := s.browser()
	b.Login(susan)
	s.Events()
	s.leads(b.login("purpose", "link"), "/account/identities")
	wantAll(t, "mails", s.mailKinds(), "identity-added to susan@example.com")
	wantAll(t, "events", s.kinds(), auth.EventIdentityAdded)
	s.leads(b.login("purpose", "link", "next", "/x"), "/x") // again: nothing happens
	want(t, "identities", len(s.identities(susan)), 1)

	// Another user cannot have it, and does not learn whose it is.
	anna := s.account("anna", true, false)
	other := s.browser()
	other.Login(anna)
	r := other.login("purpose", "link")
	s.page(r, http.StatusForbidden, "cannot be used for this")
	if strings.Contains(r.Text, "susan") {
		t.Error(r.Text)
	}
	want(t, "identities", len(s.identities(anna)), 0)
}

// O24: what one user has begun, another one does not finish, and a login that has become stale
// or whose credentials have changed does not either.
func TestLinkOfAnotherUser(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(s *site, b *browser){
		"another user": func(s *site, b *browser) { b.Login(s.account("anna", true, false)) },
		"logged out":   func(_ *site, b *browser) { b.Post("/logout", nil) },
		"ten minutes": func(s *site, b *browser) {
			s.Clock.Advance(9 * time.Minute)
			b.Login(s.found("susan"), auth.Stale())
		},
		"a new stamp": func(s *site, b *browser) {
			must(s.t, s.LogoutEverywhere(s.t.Context(), s.found("susan")))
			b.Login(s.found("susan"))
		},
	} {
		for _, purpose := range []string{"link", "confirm"} {
			if purpose == "confirm" && what == "ten minutes" {
				continue
			}
			s := newSite(t)
			var b *browser
			if purpose == "confirm" {
				_, b = s.connected("susan", "42")
			} else {
				b = s.browser()
				b.Login(s.account("susan", true, false))
			}
			visit := s.provider.Visit(b.start("purpose", purpose))
			change(s, b)
			r := b.Do(visit)
			if r.StatusCode != http.StatusForbidden && r.StatusCode != http.StatusBadRequest {
				t.Errorf("%s, %s: %s %s", purpose, what, r.Status, r.Header.Get("Location"))
			}
			for _, name := range []string{"susan", "anna"} {
				if u := s.found(name); u != nil && len(s.identities(u)) > 0 && purpose == "link" {
					t.Errorf("%s, %s: %s has an identity", purpose, what, name)
				}
			}
		}
	}
}

// Two users who connect one account at the provider at the same moment: one has it.
func TestParallelLinks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var visits []*http.Request
	var browsers []*browser
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		u := s.account("user"+name, true, false)
		b := s.browser()
		b.Login(u)
		browsers, visits = append(browsers, b), append(visits, s.provider.Visit(b.start("purpose", "link")))
	}
	var in atomic.Int32
	atOnce(len(visits), func(i int) {
		if browsers[i].Do(visits[i]).StatusCode == http.StatusSeeOther {
			in.Add(1)
		}
	})
	want(t, "connected", in.Load(), 1)
	n := 0
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		n += len(s.identities(s.found("user" + name)))
	}
	want(t, "identities", n, 1)
}

// O25: a user disconnects an account at the provider: logins that came from it end, and it lets
// nobody in. The last way to log in stays.
func TestUnlink(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u, b := s.connected("susan", "1")
	s.Clock.Advance(time.Second)
	s.consent("2", "", nil)
	s.leads(b.login("purpose", "link"), "/account/identities")
	from := s.browser()
	s.leads(from.login(), "/")
	remove := func(b *browser, id string) error {
		return b.in(func(ctx context.Context) error { return s.RemoveIdentity(ctx, id) })
	}
	all := s.identities(u)
	must(t, remove(b, all[1].ID))
	want(t, "the login that came from it", from.who(), "nobody")
	want(t, "the one that asked", b.who(), "susan")
	s.page(s.browser().login(), http.StatusForbidden, "not connected")
	if err := remove(b, all[0].ID); !errors.Is(err, auth.ErrLastWayIn) {
		t.Errorf("the last one: %v", err)
	}
	stranger := s.browser()
	stranger.Login(s.account("anna", true, true))
	if err := remove(stranger, all[0].ID); !errors.Is(err, auth.ErrIdentityNotFound) {
		t.Errorf("another user's: %v", err)
	}
	must(t, s.handler.Forget(t.Context(), s.found("anna").ID, all[0].ID))
	want(t, "left", len(s.identities(u)), 1)
}

// O25: a login by an identity that is disconnected at the same moment is no login.
func TestLoginCrossesUnlink(t *testing.T) {
	t.Parallel()
	for k := 1; ; k++ {
		s := newSite(t)
		u, b := s.connected("susan", "1")
		s.Clock.Advance(time.Second)
		s.consent("2", "", nil)
		s.leads(b.login("purpose", "link"), "/account/identities")
		id := s.identities(u)[1].ID
		attacker := s.browser()
		visit := s.provider.Visit(attacker.start("remember_me", "y"))
		reached := s.Spy().At(k, func() { attacker.Do(visit) })
		must(t, b.in(func(ctx context.Context) error { return s.RemoveIdentity(ctx, id) }))
		s.Spy().Reset()
		if !reached() {
			if k < 9 {
				t.Errorf("a removal makes %d calls", k)
			}
			return
		}
		want(t, "the other login", attacker.who(), "nobody")
		attacker.Restart()
		want(t, "the other login, remembered", attacker.who(), "nobody")
		want(t, "the one that asked", b.who(), "susan")
	}
}

// An attacker in an account changes its address, and then connects an identity: the mail about
// it goes to the attacker. The owner changes the address back.
func TestUndoForgetsIdentities(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u, b := s.connected("susan", "1")
	s.Clock.Advance(2 * time.Minute)
	s.consent("1", "susan@example.com", true)
	s.leads(b.login(), "/")
	must(t, b.in(func(ctx context.Context) error { return s.SendEmailChange(ctx, u, "attacker@example.com") }))
	change := s.token(auth.MailNewAddress)
	must(t, b.in(func(ctx context.Context) error {
		_, err := s.ConfirmEmailChange(ctx, change)
		return err
	}))
	undo := s.token(auth.MailAddressChanged)
	s.consent("666", "attacker@example.com", true)
	s.leads(b.login("purpose", "link"), "/account/identities")
	wantAll(t, "mails", s.mailKinds(), string(auth.MailIdentityAdded)+" to attacker@example.com")
	_, err := s.UndoEmailChange(t.Context(), undo)
	must(t, err)
	want(t, "the attacker's login", b.who(), "nobody")
	s.page(s.browser().login(), http.StatusForbidden, "not connected")
	s.consent("1", "susan@example.com", true)
	owner := s.browser()
	s.leads(owner.login(), "/")
	want(t, "the owner", owner.who(), "susan")
}

// O25: of two removals at once, one stays.
func TestParallelUnlink(t *testing.T) {
	t.Parallel()
	for range 10 {
		s := newSite(t)
		u, one := s.connected("susan", "1")
		s.consent("2", "", nil)
		s.leads(one.login("purpose", "link"), "/account/identities")
		two := s.browser()
		s.leads(two.login(), "/")
		all := s.identities(u)
		atOnce(2, func(i int) {
			_ = []*browser{one, two}[i].in(func(ctx context.Context) error { return s.RemoveIdentity(ctx, all[i].ID) })
		})
		want(t, "left", len(s.identities(u)), 1)
	}
}

// O26: the verdict is the same as for a password.
func TestGates(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u, _ := s.connected("susan", "42")
	must(t, s.Disable(t.Context(), u.ID))
	s.Events()
	b := s.browser()
	s.page(b.login(), http.StatusForbidden, "You cannot log in this way")
	want(t, "disabled", b.who(), "nobody")
	events := s.Events()
	if len(events) != 1 || events[0].Kind != auth.EventLoginRefused || !errors.Is(events[0].Err, auth.ErrDisabled) || events[0].Method != "oauth:work" {
		t.Errorf("%+v", events)
	}
	must(t, s.Enable(t.Context(), u.ID))
	s.leads(b.login(), "/")

	v := newSite(t, func(c *settings) {
		c.provider = signUp
		c.auth = func(c *auth.Config) { c.RequireVerified = true }
	})
	v.consent("42", "susan@example.com", false)
	b = v.browser()
	r := b.login("next", "/x")
	v.leads(r, "/verify-email?next=%2Fx")
	want(t, "not verified", b.who(), "nobody")
	wantAll(t, "mails", v.mailKinds(), "verify to susan@example.com", "identity-added to susan@example.com")
}

// A disabled account gets no new identity by its address.
func TestDisabledIsNotLinked(t *testing.T) {
	t.Parallel()
	s := newSite(t, withProvider(trusted))
	u := s.account("susan", true, true)
	must(t, s.Disable(t.Context(), u.ID))
	s.page(s.browser().login(), http.StatusForbidden, "You cannot log in this way")
	want(t, "identities", len(s.identities(u)), 0)
}

// O27: a login by a provider owes the second factor, unless the provider's is trusted.
func TestSecondFactor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		trusted []string
		amr     []string
		acr     string
		asked   bool
	}{
		{nil, nil, "", true},
		{nil, []string{"mfa"}, "", true},
		{[]string{"mfa"}, []string{"pwd", "otp"}, "", true},
		{[]string{"mfa"}, []string{"pwd", "mfa"}, "", false},
		{[]string{"urn:gold"}, nil, "urn:gold", false},
	} {
		s := newSite(t, func(cfg *settings) {
			cfg.provider = func(p *oauth.Provider) { p.TrustFactors = c.trusted }
			cfg.auth = withTOTP
		})
		u, b := s.connected("susan", "42")
		secret := b.enroll()
		s.provider.Consent(authtest.ProviderUser{Subject: "42", AMR: c.amr, ACR: c.acr})
		b = s.browser()
		r := b.login("next", "/profile", "remember_me", "y")
		if !c.asked {
			s.leads(r, "/profile")
			logins, err := s.Logins(t.Context(), u.ID)
			must(t, err)
			if !slices.ContainsFunc(logins, func(l auth.Login) bool { return slices.Equal(l.Methods, []string{"oauth:work", "mfa:work"}) }) {
				t.Errorf("%+v", logins)
			}
			continue
		}
		s.leads(r, "/login/verify?next=%2Fprofile")
		want(t, "before the factor", b.who(), "nobody")
		b.show(secret)
		want(t, "after it", b.who(), "susan")
	}
}

// O28: a login is confirmed at the provider if the user has just shown there who they are, and
// is the same.
func TestConfirm(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, b := s.connected("susan", "42")
	s.connected("anna", "43")
	s.Clock.Advance(20 * time.Minute)
	fresh := func() bool { return b.Get("/fresh5").StatusCode == http.StatusOK }
	want(t, "before", fresh(), false)
	user := authtest.ProviderUser{Subject: "42"}
	for what, change := range map[string]func(*authtest.ProviderUser){
		"an old auth_time":    func(u *authtest.ProviderUser) { u.AuthTime = s.Clock.Now().Add(-2 * time.Minute) },
		"a future auth_time":  func(u *authtest.ProviderUser) { u.AuthTime = s.Clock.Now().Add(2 * time.Minute) },
		"no auth_time":        func(u *authtest.ProviderUser) { u.Claims = map[string]any{"auth_time": nil} },
		"a text as auth_time": func(u *authtest.ProviderUser) { u.Claims = map[string]any{"auth_time": "now"} },
		"another subject":     func(u *authtest.ProviderUser) { u.Subject = "43" },
		"an unknown subject":  func(u *authtest.ProviderUser) { u.Subject = "44" },
	} {
		changed := user
		change(&changed)
		s.provider.Consent(changed)
		s.page(b.login("purpose", "confirm"), http.StatusForbidden, `href="/refresh"`)
		want(t, what, fresh(), false)
	}
	s.provider.Consent(user)
	page := b.start("purpose", "confirm", "next", "/fresh5")
	q := target(t, page).Query()
	want(t, "max_age", q.Get("max_age"), "0")
	want(t, "prompt", q.Get("prompt"), "login")
	s.leads(b.Do(s.provider.Visit(page)), "/fresh5")
	want(t, "after", fresh(), true)
	want(t, "who", b.who(), "susan")
	if q := target(t, b.start()).Query(); q.Has("max_age") || q.Has("prompt") {
		t.Error("a login asks for more than it needs")
	}
}

// O28: a user who has a second factor shows it after the provider, at a confirmation too.
func TestConfirmOwesTheFactor(t *testing.T) {
	t.Parallel()
	s := newSite(t, withAuth(withTOTP))
	_, b := s.connected("susan", "42")
	secret := b.enroll()
	s.Clock.Advance(20 * time.Minute)
	s.leads(b.login("purpose", "confirm", "next", "/fresh5"), "/login/verify?next=%2Ffresh5")
	want(t, "before", b.Get("/fresh5").StatusCode == http.StatusOK, false)
	b.show(secret)
	want(t, "after", b.Get("/fresh5").StatusCode, http.StatusOK)
}

// A provider that does not say when the user has shown who they are confirms nothing.
func TestCannotConfirm(t *testing.T) {
	t.Parallel()
	s := newSite(t, withProvider(func(p *oauth.Provider) { p.CannotConfirm = true }))
	_, b := s.connected("susan", "42")
	s.page(b.start("purpose", "confirm"), http.StatusForbidden, "cannot be used for this")
	want(t, "Confirms", s.Providers()[0].Confirms, false)
	want(t, "Confirms by default", newSite(t).Providers()[0].Confirms, true)
}

// O35: the identities of a provider that is not configured any more are unusable, and do not
// count as a way to log in.
func TestProviderRemoved(t *testing.T) {
	t.Parallel()
	clock := testapp.NewClock()
	store := testapp.NewSpy(clock)
	shared := func(c *settings) { c.store, c.clock = store, clock }
	one := newSite(t, shared)
	u, _ := one.connected("susan", "42")
	two := newSite(t, shared) // with another provider under the same name
	all := two.identities(u)
	if len(all) != 1 || !all[0].Unusable || all[0].Provider != "work" {
		t.Errorf("%+v", all)
	}
	b := two.browser()
	b.Login(u)
	two.consent("42", "", nil)
	two.page(two.browser().login(), http.StatusForbidden, "not connected") // the subject of another issuer
	two.leads(b.login("purpose", "link"), "/account/identities")
	after := two.identities(u)
	live := after[slices.IndexFunc(after, func(i auth.Identity) bool { return !i.Unusable })]
	if err := b.in(func(ctx context.Context) error { return two.RemoveIdentity(ctx, live.ID) }); !errors.Is(err, auth.ErrLastWayIn) {
		t.Errorf("the last live one: %v", err)
	}
	must(t, b.in(func(ctx context.Context) error { return two.RemoveIdentity(ctx, all[0].ID) }))
}

// A new Name or a new client keeps the users' identities.
func TestRenamedProvider(t *testing.T) {
	t.Parallel()
	clock := testapp.NewClock()
	store := testapp.NewSpy(clock)
	one := newSite(t, func(c *settings) { c.store, c.clock = store, clock })
	u, _ := one.connected("susan", "42")
	two := newSite(t, func(c *settings) {
		c.store, c.clock, c.use = store, clock, one.provider
		c.provider = func(p *oauth.Provider) { p.Name = "id" }
	})
	if all := two.identities(u); len(all) != 1 || all[0].Unusable || all[0].Provider != "id" {
		t.Errorf("%+v", all)
	}
	b := two.browser()
	two.consent("42", "", nil)
	two.leads(b.Do(one.provider.Visit(b.Post("/oauth/id", nil))), "/")
	want(t, "who", b.who(), "susan")
}

// The record of an identity that somebody has changed lets nobody in, and can be removed.
func TestDamagedIdentity(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u, b := s.connected("susan", "42")
	records, err := s.Store.ListRecords(t.Context(), "feature", u.ID)
	must(t, err)
	records[0].Data = []byte("{")
	must(t, s.Store.UpdateRecord(t.Context(), records[0]))
	r := s.browser()
	if got := r.login(); got.StatusCode < 500 || r.who() != "nobody" {
		t.Errorf("%s, %s", got.Status, r.who())
	}
	all := s.identities(u)
	if len(all) != 1 || !all[0].Unusable {
		t.Fatalf("%+v", all)
	}
	must(t, s.SetPassword(t.Context(), u, "a new and good passphrase"))
	b.Login(s.user(u.ID))
	must(t, b.in(func(ctx context.Context) error { return s.RemoveIdentity(ctx, all[0].ID) }))
	want(t, "left", len(s.identities(u)), 0)
}

// A closed account leaves no identity; the user can come again.
func TestClosedAccount(t *testing.T) {
	t.Parallel()
	s := newSite(t, withProvider(trusted))
	s.leads(s.browser().login(), "/")
	u := s.found("u42")
	if err := s.CloseAccount(t.Context(), u); err != nil {
		t.Skip("the store deletes no users:", err)
	}
	want(t, "identities", len(s.identities(u)), 0)
}

// An application deletes a user by itself, and not by CloseAccount. The user's identity is free then:
// the same user of the provider can sign up again, or connect it to another account.
func TestDeletedUser(t *testing.T) {
	t.Parallel()
	s := newSite(t, withProvider(func(p *oauth.Provider) { signUp(p); p.KeepTokens = true }))
	b := s.browser()
	s.leads(b.login(), "/")
	old := s.found("u42")
	id := s.identities(old)[0].ID
	s.delete(old)
	s.Events()
	s.leads(s.browser().login(), "/")
	u := s.found("u42")
	if u == nil || u.ID == old.ID {
		t.Fatalf("the new account is %+v", u)
	}
	if !slices.ContainsFunc(s.Events(), func(e auth.Event) bool {
		return e.Kind == auth.EventIdentityRemoved && e.UserID == old.ID && e.Method == "work"
	}) {
		t.Error("no event says that the identity was removed")
	}
	if _, err := s.handler.Token(t.Context(), u.ID, id); err != nil {
		t.Error("the tokens of the new user: ", err)
	}
	want(t, "the old login", b.who(), "nobody")
	want(t, "identities of the old user", len(s.identities(old)), 0)

	// Another account.
	s.delete(u)
	anna := s.account("anna", true, true)
	b = s.browser()
	b.Login(anna)
	s.leads(b.login("purpose", "link"), "/account/identities")
	want(t, "identities", len(s.identities(anna)), 1)
	s.leads(s.browser().login(), "/")

	// Without a sign-up, the user gets the page for everybody.
	s = newSite(t)
	u, _ = s.connected("susan", "42")
	s.delete(u)
	s.page(s.browser().login(), http.StatusForbidden, "This account is not connected")
}

// delete deletes a user as an application does that knows nothing of this library.
func (s *site) delete(u *testapp.User) {
	s.t.Helper()
	store, ok := s.Spy().Store.(auth.UserDeleter)
	if !ok {
		s.t.Fatal("the store deletes no users")
	}
	must(s.t, store.DeleteUser(s.t.Context(), u.ID))
}

// Two processes find at the same moment that the owner of an identity was deleted. The one that
// comes later must not free what the other's user has got meanwhile.
func TestDeletedUserCrosses(t *testing.T) {
	t.Parallel()
	for k := 1; ; k++ { // the second process waits before its k-th call of the store
		clock := testapp.NewClock()
		store := testapp.NewSpy(clock)
		one := newSite(t, withProvider(signUp), func(c *settings) { c.store, c.clock = store, clock })
		two := newSite(t, withProvider(signUp), func(c *settings) { c.store, c.clock, c.use = store, clock, one.provider })
		one.leads(one.browser().login(), "/")
		old := one.found("u42")
		one.delete(old)
		first, second := one.browser(), two.browser()
		visits := []*http.Request{one.provider.Visit(first.start()), one.provider.Visit(second.start())}
		n, freed := 0, false
		store.HookCalls(func(_ context.Context, c testapp.Call) error {
			if n++; n == k {
				store.Reset()
				one.leads(first.Do(visits[0]), "/")
			} else if freed = c.Method == "UpdateRecord"; freed {
				store.Reset()
			}
			return nil
		}, nil)
		two.leads(second.Do(visits[1]), "/")
		if freed {
			want(t, "calls until the identity is free", k-1, 6)
			return
		}
		u := one.found("u42")
		want(t, "identities", len(one.identities(u)), 1)
		want(t, "the first", first.who(), "u42")
		want(t, "the second", second.who(), "u42")
	}
}
