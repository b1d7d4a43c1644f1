package oauth_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/oauth"
)

func keeps(p *oauth.Provider) {
	trusted(p)
	p.KeepTokens, p.Scopes = true, []string{"openid", "email", "offline_access"}
}

// O30: tokens are kept only if the application says so, encrypted, and are renewed once, however
// many requests need them at the same moment.
func TestKeepTokens(t *testing.T) {
	t.Parallel()
	s := newSite(t, withProvider(keeps))
	s.leads(s.browser().login(), "/")
	u := s.found("u42")
	id := s.identities(u)[0].ID
	first, err := s.handler.Token(t.Context(), u.ID, id)
	must(t, err)
	for _, r := range s.Spy().Given("InsertRecord", "UpdateRecord") {
		if strings.Contains(string(r.Data), first.Reveal()) {
			t.Error("the token is in a record")
		}
	}
	s.Clock.Advance(58 * time.Minute)
	again, err := s.handler.Token(t.Context(), u.ID, id)
	must(t, err)
	want(t, "within the hour", again.Equal(first), true)
	s.Clock.Advance(time.Minute + time.Second) // less than a minute is left
	before := s.tokens()
	renewed := make([]auth.Secret, 20)
	atOnce(len(renewed), func(i int) {
		token, err := s.handler.Token(t.Context(), u.ID, id)
		if err != nil {
			t.Error(err)
		}
		renewed[i] = token
	})
	want(t, "renewals", s.tokens()-before, 1)
	for _, token := range renewed {
		if !token.Equal(renewed[0]) || token.Equal(first) || token.IsZero() {
			t.Error("not all got the new token")
		}
	}
	for what, c := range map[string][2]string{"another user": {"x", id}, "another identity": {u.ID, "x"}, "nobody": {"", id}} {
		if _, err := s.handler.Token(t.Context(), c[0], c[1]); !errors.Is(err, oauth.ErrNoTokens) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// If the tokens of a user who has disconnected an identity are left, the next user of the
// identity does not write into that user's record.
func TestTokensLeftByAnotherUser(t *testing.T) {
	t.Parallel()
	s := newSite(t, withProvider(keeps))
	s.leads(s.browser().login(), "/")
	u := s.found("u42")
	id := s.identities(u)[0].ID
	left, err := s.Store.TakeRecord(t.Context(), "feature", "oauth/tokens/"+id)
	must(t, err)
	left.UserID = "another"
	must(t, s.Store.InsertRecord(t.Context(), left))
	s.leads(s.browser().login(), "/")
	if _, err := s.handler.Token(t.Context(), "another", id); !errors.Is(err, oauth.ErrNoTokens) {
		t.Errorf("the other user gets %v", err)
	}
	_, err = s.handler.Token(t.Context(), u.ID, id)
	must(t, err)
}

// While a process renews a token, another one does not: the refresh token works once.
func TestRenewalInTwoProcesses(t *testing.T) {
	t.Parallel()
	one := newSite(t, withProvider(keeps))
	two := newSite(t, withProvider(keeps), func(c *settings) { c.store, c.clock, c.use = one.Store, one.Clock, one.provider })
	one.leads(one.browser().login(), "/")
	u := one.found("u42")
	id := one.identities(u)[0].ID
	for range 10 {
		one.Clock.Advance(2 * time.Hour)
		before := one.tokens()
		atOnce(10, func(i int) {
			token, err := []*site{one, two}[i%2].handler.Token(t.Context(), u.ID, id)
			if err != nil && !errors.Is(err, auth.ErrConflict) || err == nil && token.IsZero() {
				t.Error(err)
			}
		})
		want(t, "renewals", one.tokens()-before, 1)
	}
}

// If the provider does not renew a token any more, it is gone. If it does not answer, it stays.
func TestRenewalFails(t *testing.T) {
	t.Parallel()
	s := newSite(t, withProvider(keeps))
	s.leads(s.browser().login(), "/")
	u := s.found("u42")
	id := s.identities(u)[0].ID
	s.Clock.Advance(2 * time.Hour)
	s.provider.Misbehave(authtest.Down(authtest.Token))
	if _, err := s.handler.Token(t.Context(), u.ID, id); err == nil || errors.Is(err, oauth.ErrNoTokens) {
		t.Errorf("while it is down: %v", err)
	}
	s.provider.Misbehave()
	old := s.tokensRecord(u.ID)
	_, err := s.handler.Token(t.Context(), u.ID, id)
	must(t, err)
	// A backup comes back, with a refresh token that has been used.
	r := s.tokensRecord(u.ID)
	r.Data = old.Data
	must(t, s.Store.UpdateRecord(t.Context(), r))
	s.Clock.Advance(2 * time.Hour)
	before := s.tokens()
	for range 2 {
		if _, err := s.handler.Token(t.Context(), u.ID, id); !errors.Is(err, oauth.ErrNoTokens) {
			t.Errorf("a used refresh token: %v", err)
		}
	}
	want(t, "token requests", s.tokens()-before, 1)
	s.leads(s.browser().login(), "/")
	_, err = s.handler.Token(t.Context(), u.ID, id)
	must(t, err)
}

// tokensRecord returns the record with a user's tokens.
func (s *site) tokensRecord(userID string) auth.Record {
	s.t.Helper()
	records, err := s.Store.ListRecords(s.t.Context(), "feature", userID)
	must(s.t, err)
	for _, r := range records {
		if strings.Contains(r.Key, "tokens/") {
			return r
		}
	}
	s.t.Fatal("there are no tokens")
	return auth.Record{}
}

// O30: tokens are revoked when the identity is disconnected. If the provider is down, they are only
// deleted.
func TestTokensAreRevoked(t *testing.T) {
	t.Parallel()
	for _, down := range []bool{false, true} {
		s := newSite(t, withProvider(keeps), func(c *settings) {
			if down {
				c.op.Metadata = map[string]any{"revocation_endpoint": "http://127.0.0.1:1/"}
			}
		})
		s.leads(s.browser().login(), "/")
		u := s.found("u42")
		id := s.identities(u)[0].ID
		s.Events()
		must(t, s.handler.Forget(t.Context(), u.ID, id))
		if down {
			wantAll(t, "events", s.kinds(), oauth.EventUnavailable)
		} else if all := s.provider.Requests(authtest.Revocation); len(all) != 1 || all[0].Refused != "" || all[0].Form.Get("token") == "" {
			t.Errorf("the revocations are %+v", all)
		}
		if _, err := s.handler.Token(t.Context(), u.ID, id); !errors.Is(err, oauth.ErrNoTokens) {
			t.Error(err)
		}
	}
}

// Tokens that somebody has put into the record of another identity are no tokens.
func TestTokensOfAnotherIdentity(t *testing.T) {
	t.Parallel()
	s := newSite(t, withProvider(keeps))
	s.leads(s.browser().login(), "/")
	s.consent("43", "anna@example.com", true)
	s.leads(s.browser().login(), "/")
	susan, anna := s.found("u42"), s.found("u43")
	r := s.tokensRecord(susan.ID)
	r.Data = s.tokensRecord(anna.ID).Data
	must(t, s.Store.UpdateRecord(t.Context(), r))
	if _, err := s.handler.Token(t.Context(), susan.ID, s.identities(susan)[0].ID); !errors.Is(err, oauth.ErrNoTokens) {
		t.Error(err)
	}
}

// An identity that is disconnected while its token is renewed leaves no tokens.
func TestRenewalCrossesForget(t *testing.T) {
	t.Parallel()
	for k := 1; ; k++ {
		s := newSite(t, withProvider(keeps))
		s.leads(s.browser().login(), "/")
		u := s.found("u42")
		id := s.identities(u)[0].ID
		s.Clock.Advance(2 * time.Hour)
		reached := s.Spy().At(k, func() { must(t, s.handler.Forget(t.Context(), u.ID, id)) })
		_, _ = s.handler.Token(t.Context(), u.ID, id)
		s.Spy().Reset()
		if !reached() {
			if k < 6 {
				t.Errorf("a renewal makes %d calls", k)
			}
			return
		}
		records, err := s.Store.ListRecords(t.Context(), "feature", u.ID)
		must(t, err)
		if len(records) > 0 {
			t.Errorf("call %d: records are left: %q", k, records[0].Key)
		}
	}
}
