package passkey_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/passkey"
	"github.com/go-login/auth/passkey/passkeytest"
)

// P17: a login with a passkey is whole. It owes no second factor, satisfies RequireFactor,
// and is fresh.
func TestLoginWithAPasskey(t *testing.T) {
	t.Parallel()
	clock := testapp.NewClock()
	s := siteOn(t, testapp.NewSpy(clock), clock, passkey.Config{}, func(cfg *auth.Config) {
		cfg.RequireFactor = func(auth.User) bool { return true }
	})
	_, phone := s.enroll(t, "susan")
	s.Clock.Advance(time.Hour)
	c := s.Client(t)
	must(t, s.login(c, answer(t, phone, s.ask(t, c))))
	if c.Who() != "susan" || c.Get("/guarded").Text != "susan" || !s.IsFresh(t, c) {
		t.Errorf("the request is %s's, fresh %v", c.Who(), s.IsFresh(t, c))
	}
	if methods := s.LoginOf(t, c).Methods; !slices.Contains(methods, name) {
		t.Errorf("methods %v", methods)
	}
	if p := s.list(t, "susan")[0]; !p.LastUsed.Equal(s.Clock.Now()) {
		t.Errorf("last used %v", p.LastUsed)
	}
}

// P14: all visitors are asked the same, and the store has no part in it.
func TestVisitorsCostNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.enroll(t, "susan")
	calls := len(s.Spy().Calls())
	first, seen := options{}, map[string]bool{}
	for i := range testapp.Rounds(t, 1000, 10_000) {
		p, private, err := s.passkeys.Ask(t.Context(), nil)
		must(t, err)
		o := optionsOf(t, p)
		if seen[o.PublicKey.Challenge] || len(o.PublicKey.Challenge) != 43 || len(private) > 64 {
			t.Fatalf("the challenge %s, private %d bytes", o.PublicKey.Challenge, len(private))
		}
		seen[o.PublicKey.Challenge] = true
		o.PublicKey.Challenge = ""
		if i == 0 {
			first = o
		}
		if fmt.Sprint(o) != fmt.Sprint(first) {
			t.Fatalf("%+v and %+v", o, first)
		}
	}
	if now := len(s.Spy().Calls()); now != calls {
		t.Errorf("%d calls of the store", now-calls)
	}
	p, _, err := s.passkeys.Ask(t.Context(), nil)
	must(t, err)
	b, err := json.Marshal(p.Data)
	must(t, err)
	if strings.Contains(string(b), "allowCredentials") || first.PublicKey.UserVerification != "required" || first.PublicKey.RPID != "app.example" || first.PublicKey.Timeout != 300_000 {
		t.Errorf("%s", b)
	}
}

// P5: the challenge of a login works once, in one browser, for five minutes.
func TestChallengeOfALogin(t *testing.T) {
	t.Parallel()
	t.Run("once", func(t *testing.T) {
		t.Parallel()
		clock := testapp.NewClock()
		store := testapp.NewSpy(clock)
		s := siteOn(t, store, clock, passkey.Config{}, nil)
		other := siteOn(t, store, clock, passkey.Config{}, nil) // another process
		_, phone := s.enroll(t, "susan")
		c := s.Client(t)
		a := answer(t, phone, s.ask(t, c))
		browsers := make([]*testapp.Client, 50)
		for i := range browsers {
			site := []*site{s, other}[i%2]
			browsers[i] = site.Client(t)
			browsers[i].Cookies = c.Clone().Cookies
		}
		errs := testapp.AtOnce(len(browsers), func(i int) error { return []*site{s, other}[i%2].login(browsers[i], a) })
		if n := right(t, errs, auth.ErrWrongFactor); n != 1 {
			t.Errorf("%d logins with one answer", n)
		}
		want(t, "later", s.login(c, a), auth.ErrWrongFactor)
		// The authenticator counts on: it is no clone.
		must(t, s.try(t, phone))
		if p := s.list(t, "susan")[0]; p.Suspended {
			t.Error("the passkey is suspended")
		}
	})
	t.Run("two answers to one challenge", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		_, phone := s.enroll(t, "susan")
		c := s.Client(t)
		p := s.ask(t, c)
		first, second := answer(t, phone, p), answer(t, phone, p)
		must(t, s.login(c.Clone(), first))
		want(t, "the second", s.login(c, second), auth.ErrWrongFactor)
	})
	t.Run("of another browser", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		_, phone := s.enroll(t, "susan")
		a := answer(t, phone, s.ask(t, s.Client(t)))
		want(t, "no challenge", s.login(s.Client(t), a), auth.ErrWrongFactor)
		other := s.Client(t)
		s.ask(t, other)
		want(t, "another challenge", s.login(other, a), auth.ErrWrongFactor)
	})
	t.Run("five minutes", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		u := s.Verified(t, "susan")
		c, phone := s.Client(t), s.phone()
		c.Login("susan")
		s.add(t, c, phone)
		for after, ok := range map[time.Duration]bool{4*time.Minute + 59*time.Second: true, 5*time.Minute + time.Second: false} {
			c = s.Client(t)
			a := answer(t, phone, s.ask(t, c))
			p, private, err := s.passkeys.Ask(t.Context(), nil)
			must(t, err)
			direct := answer(t, phone, p)
			s.Clock.Advance(after)
			if err := s.login(c, a); (err == nil) != ok {
				t.Errorf("after %v: %v", after, err)
			}
			// The factor looks at the time itself.
			if id, _, err := s.passkeys.Identify(t.Context(), [][]byte{private}, direct); (err == nil && id == u.ID) != ok {
				t.Errorf("after %v: %v", after, err)
			}
		}
	})
	t.Run("after a failure", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		_, phone := s.enroll(t, "susan")
		c := s.Client(t)
		a := answer(t, phone, s.ask(t, c))
		u := s.find(t, "susan")
		account := u.Clone()
		account.Disabled = true
		must(t, s.Store.UpdateAccount(t.Context(), account))
		if err := s.login(c, a); err == nil {
			t.Error("a disabled account logs in")
		}
		account = s.find(t, "susan").Clone()
		account.Disabled = false
		must(t, s.Store.UpdateAccount(t.Context(), account))
		want(t, "the same answer again", s.login(c, a), auth.ErrWrongFactor)
	})
}

// P30: several pages may ask, and the user picks in any of them.
func TestTwoTabs(t *testing.T) {
	t.Parallel()
	for _, order := range [][]int{{0, 1}, {1, 0}} {
		s := newSite(t)
		_, phone := s.enroll(t, "susan")
		c := s.Client(t)
		prompts := []auth.Prompt{s.ask(t, c), s.ask(t, c)}
		for _, i := range order {
			must(t, s.login(s.tab(t, c), answer(t, phone, prompts[i])))
		}
	}
}

// tab returns a browser with the same cookies, and without a login.
func (s *site) tab(t testing.TB, c *testapp.Client) *testapp.Client {
	t.Helper()
	other := s.Client(t)
	for name, value := range c.Cookies {
		if strings.HasSuffix(name, "-passkey") {
			other.Cookies[name] = value
		}
	}
	return other
}

// P6, P7, P8, P9, P10, P12, P13: what an answer may not say.
func TestAnswerIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, phone := s.enroll(t, "susan")
	_, other := s.enroll(t, "david")
	handle := other.Passkeys()[0].Handle
	id := other.Passkeys()[0].ID
	for what, lie := range map[string]func(*passkeytest.Ceremony){
		"another origin":             func(c *passkeytest.Ceremony) { c.Origin = "https://evil.example" },
		"http":                       func(c *passkeytest.Ceremony) { c.Origin = "http://app.example" },
		"a sibling":                  func(c *passkeytest.Ceremony) { c.Origin = "https://other.example" },
		"a subdomain":                func(c *passkeytest.Ceremony) { c.Origin = "https://x.app.example" },
		"another port":               func(c *passkeytest.Ceremony) { c.Origin = "https://app.example:8443" },
		"a path":                     func(c *passkeytest.Ceremony) { c.Origin = "https://app.example/evil" },
		"another site":               func(c *passkeytest.Ceremony) { c.RPID = "evil.example" },
		"the site above":             func(c *passkeytest.Ceremony) { c.RPID = "example" },
		"a frame":                    func(c *passkeytest.Ceremony) { c.CrossOrigin = true },
		"a frame's page":             func(c *passkeytest.Ceremony) { c.TopOrigin = "https://evil.example" },
		"a new passkey":              func(c *passkeytest.Ceremony) { c.Type = "webauthn.create" },
		"another challenge":          func(c *passkeytest.Ceremony) { c.Challenge = []byte("another challenge, of 32 bytes..") },
		"nobody there":               func(c *passkeytest.Ceremony) { c.Present = false },
		"no PIN":                     func(c *passkeytest.Ceremony) { c.Verified = false }, // P7, P8: stored as verified at creation
		"neither":                    func(c *passkeytest.Ceremony) { c.Verified, c.Present = false, false },
		"backed up, and cannot be":   func(c *passkeytest.Ceremony) { c.BackedUp = true },
		"a bogus signature":          func(c *passkeytest.Ceremony) { c.BadSignature = true },
		"another user's handle":      func(c *passkeytest.Ceremony) { c.UserHandle = handle },
		"no handle":                  func(c *passkeytest.Ceremony) { c.UserHandle = nil },
		"another user's passkey":     func(c *passkeytest.Ceremony) { c.CredentialID = id },
		"and with that one's handle": func(c *passkeytest.Ceremony) { c.CredentialID, c.UserHandle = id, handle },
	} {
		started := time.Now()
		want(t, what, s.try(t, lying(phone, lie)), auth.ErrWrongFactor)
		if took := time.Since(started); took > time.Second {
			t.Errorf("%s took %v", what, took)
		}
	}
	must(t, s.try(t, phone)) // nothing of this has suspended the passkey
}

// P13: users without a passkey get the same answer, whatever is wrong.
func TestWrongAnswersAreAnsweredAlike(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, phone := s.enroll(t, "susan")
	_, other := s.enroll(t, "david")
	bodies := map[string]string{}
	for what, a := range map[string]*passkeytest.Authenticator{
		"another user's handle": lying(phone, func(c *passkeytest.Ceremony) { c.UserHandle = other.Passkeys()[0].Handle }),
		"no handle":             lying(phone, func(c *passkeytest.Ceremony) { c.UserHandle = nil }),
		"a bogus signature":     lying(phone, func(c *passkeytest.Ceremony) { c.BadSignature = true }),
		"an unknown passkey":    lying(phone, func(c *passkeytest.Ceremony) { c.CredentialID = []byte("unknown") }),
	} {
		c := s.Client(t)
		r := c.Post("/passkey", "passkey", answer(t, a, s.ask(t, c)).Get("passkey"))
		bodies[fmt.Sprint(r.StatusCode, r.Header.Get("Location"), r.Text, r.Header["Set-Cookie"] != nil)] += what + " "
	}
	if len(bodies) != 1 {
		t.Errorf("%q", bodies)
	}
}

// P22: a passkey is called unknown only if the store has no record of it. A browser that is
// told so deletes it for good.
func TestUnknownPasskey(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c, phone := s.enroll(t, "susan")
	for what, lie := range map[string]func(*passkeytest.Ceremony){
		"a bogus signature": func(c *passkeytest.Ceremony) { c.BadSignature = true },
		"no handle":         func(c *passkeytest.Ceremony) { c.UserHandle = nil },
	} {
		if err := s.try(t, lying(phone, lie)); errors.Is(err, auth.ErrUnknownPasskey) {
			t.Errorf("%s: unknown", what)
		}
	}
	visitor := s.Client(t)
	a := answer(t, phone, s.ask(t, visitor))
	s.Spy().Fail("GetRecord")
	_, _, err := s.passkeys.Identify(t.Context(), nil, a)
	s.Spy().Reset()
	if errors.Is(err, auth.ErrUnknownPasskey) {
		t.Error("the store fails: unknown")
	}
	s.Clock.Advance(time.Second)
	s.add(t, c, s.phone())
	must(t, s.Do(c, func(ctx context.Context) error { return s.RemovePasskey(ctx, s.list(t, "susan")[0].ID) }))
	want(t, "after it was removed", s.try(t, phone), auth.ErrUnknownPasskey)
	// A passkey that waits in another tab is not unknown because its challenge is too old.
	_, unknown := passkeytest.New("https://app.example"), auth.ErrUnknownPasskey
	s.Clock.Advance(6 * time.Minute)
	if err := s.login(visitor, a); errors.Is(err, unknown) {
		t.Error("the challenge has expired: unknown")
	}
}

// P11: a passkey that was copied is suspended when the second copy is used. The owner gets
// one mail.
func TestClone(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		count uint32 // of the clone
		next  uint32 // of the original, afterwards
	}{
		"an older counter": {1, 8},
		"the same counter": {6, 8},
		"no counter":       {0, 8},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			c, phone := s.enroll(t, "susan")
			s.Clock.Advance(time.Second)
			s.add(t, c, s.phone()) // another passkey, which stays
			at := func(n uint32) *passkeytest.Authenticator {
				return lying(phone, func(c *passkeytest.Ceremony) { c.Count = n })
			}
			must(t, s.try(t, at(6)))
			s.Events()
			s.mails.Take()
			want(t, what, s.try(t, at(test.count)), auth.ErrWrongFactor)
			if n := s.CountEvents(auth.EventFactorSuspended); n != 1 {
				t.Errorf("%d events", n)
			}
			mails := s.mails.Take()
			if len(mails) != 1 || mails[0].Kind != auth.MailFactorSuspended || mails[0].To != "susan@app.example" {
				t.Errorf("mails %+v", mails)
			}
			want(t, "the original, which nobody can tell from the copy", s.try(t, at(test.next)), auth.ErrWrongFactor)
			if n := s.CountEvents(auth.EventFactorSuspended) + len(s.mails.Take()); n != 0 {
				t.Errorf("%d more events and mails", n)
			}
			list := s.list(t, "susan")
			if !list[0].Suspended || list[1].Suspended {
				t.Errorf("%+v", list)
			}
			// The second factor is still asked for, and the passkey is not offered.
			if has, err := s.passkeys.Enrolled(t.Context(), s.find(t, "susan").ID); !has || err != nil {
				t.Errorf("enrolled %v, %v", has, err)
			}
			waits := s.Waiting(t, "susan")
			if allowed := optionsOf(t, s.second(t, waits)).PublicKey.AllowCredentials; len(allowed) != 1 {
				t.Errorf("%d passkeys are offered", len(allowed))
			}
		})
	}
}

// P11: authenticators that share a passkey among devices do not count.
func TestNoCounter(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.Verified(t, "susan")
	c, phone := s.Client(t), s.phone()
	phone.NoCount = true
	c.Login("susan")
	s.add(t, c, phone)
	for range 3 {
		must(t, s.try(t, phone))
	}
}

// P11: two logins that overtake each other are no clone.
func TestCountersOvertakeEachOther(t *testing.T) {
	t.Parallel()
	t.Run("at the same moment", func(t *testing.T) {
		t.Parallel()
		for range testapp.Rounds(t, 20, 200) {
			s := newSite(t)
			_, phone := s.enroll(t, "susan")
			const n = 8
			var browsers []*testapp.Client
			for range n {
				browsers = append(browsers, s.Client(t))
			}
			answers := make([]func() error, n)
			for i, c := range browsers {
				a := answer(t, phone, s.ask(t, c)) // counters 2, 3, …
				answers[i] = func() error { return s.login(c, a) }
			}
			errs := testapp.AtOnce(n, func(i int) error { return answers[i]() })
			if right(t, errs, auth.ErrWrongFactor) == 0 || errs[n-1] != nil {
				t.Errorf("the highest counter: %v", errs[n-1])
			}
			if s.CountEvents(auth.EventFactorSuspended) != 0 || s.list(t, "susan")[0].Suspended {
				t.Fatal("a false alarm")
			}
		}
	})
	t.Run("the request with the lower one was on its way", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		_, phone := s.enroll(t, "susan")
		first, second := s.Client(t), s.Client(t)
		six, seven := answer(t, phone, s.ask(t, first)), answer(t, phone, s.ask(t, second))
		var inside error
		once := false
		s.Spy().HookCalls(func(_ context.Context, call testapp.Call) error {
			if call.Method == "UpdateRecord" && !once && strings.Contains(call.Record.Key, "credential/") {
				once = true
				inside = s.login(second, seven)
			}
			return nil
		}, nil)
		want(t, "the lower one", s.login(first, six), auth.ErrWrongFactor)
		s.Spy().Reset()
		if !once || inside != nil {
			t.Errorf("the higher one: %v %v", once, inside)
		}
		if s.list(t, "susan")[0].Suspended {
			t.Error("a false alarm")
		}
		must(t, s.try(t, phone))
	})
	t.Run("likewise, and the clock of its process is ahead", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		_, phone := s.enroll(t, "susan")
		ahead := testapp.NewClock()
		ahead.Advance(time.Minute)
		other := siteOn(t, s.Store, ahead, passkey.Config{}, nil)
		first, second := other.Client(t), s.Client(t)
		six, seven := answer(t, phone, other.ask(t, first)), answer(t, phone, s.ask(t, second))
		once := false
		s.Spy().HookCalls(func(_ context.Context, call testapp.Call) error {
			if call.Method == "UpdateRecord" && !once && strings.Contains(call.Record.Key, "credential/") {
				once = true
				return s.login(second, seven)
			}
			return nil
		}, nil)
		want(t, "the lower one", other.login(first, six), auth.ErrWrongFactor)
		s.Spy().Reset()
		if !once || s.list(t, "susan")[0].Suspended {
			t.Error("a false alarm")
		}
	})
	t.Run("the same one twice is a copy, whenever it was asked for", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		_, phone := s.enroll(t, "susan")
		twin := phone.Clone()
		first, second := s.Client(t), s.Client(t)
		six := answer(t, twin, s.ask(t, first))
		s.Clock.Advance(time.Second)
		must(t, s.login(second, answer(t, phone, s.ask(t, second))))
		want(t, "the copy", s.login(first, six), auth.ErrWrongFactor)
		if !s.list(t, "susan")[0].Suspended {
			t.Error("there is no alarm")
		}
	})
	t.Run("the page with the lower one was asked first", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		_, phone := s.enroll(t, "susan")
		first, second := s.Client(t), s.Client(t)
		six := answer(t, phone, s.ask(t, first))
		s.Clock.Advance(time.Second)
		must(t, s.login(second, answer(t, phone, s.ask(t, second))))
		want(t, "the lower one", s.login(first, six), auth.ErrWrongFactor)
		if s.list(t, "susan")[0].Suspended {
			t.Error("a false alarm")
		}
		// A copy that tries the same again is found out.
		s.Clock.Advance(time.Second)
		copied := lying(phone, func(c *passkeytest.Ceremony) { c.Count = 1 })
		want(t, "a copy", s.try(t, copied), auth.ErrWrongFactor)
		if !s.list(t, "susan")[0].Suspended {
			t.Error("there is no alarm")
		}
	})
}

// P12: some providers begin to sync passkeys that exist. This is accepted once, and reported.
func TestBackupFlags(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, phone := s.enroll(t, "susan")
	say := func(eligible, backedUp bool) *passkeytest.Authenticator {
		phone.Eligible, phone.BackedUp = eligible, backedUp
		return phone
	}
	want(t, "backed up and not eligible", s.try(t, say(false, true)), auth.ErrWrongFactor)
	must(t, s.try(t, say(false, false)))
	s.Events()
	bogus := lying(say(true, true), func(c *passkeytest.Ceremony) { c.BadSignature = true })
	want(t, "without a signature", s.try(t, bogus), auth.ErrWrongFactor)
	if s.CountEvents(passkey.EventEligible) != 0 || s.list(t, "susan")[0].Synced {
		t.Error("it became eligible before the signature was checked")
	}
	must(t, s.try(t, say(true, true)))
	if n := s.CountEvents(passkey.EventEligible); n != 1 || !s.list(t, "susan")[0].Synced {
		t.Errorf("%d events, synced %v", n, s.list(t, "susan")[0].Synced)
	}
	must(t, s.try(t, say(true, false)))
	if n := s.CountEvents(passkey.EventEligible); n != 0 || s.list(t, "susan")[0].Synced {
		t.Errorf("%d events, synced %v", n, s.list(t, "susan")[0].Synced)
	}
	want(t, "no longer eligible", s.try(t, say(false, false)), auth.ErrWrongFactor)
	must(t, s.try(t, say(true, true)))
}

// P7, P15: as a second factor, possession is enough. Only a login that waits is asked, and
// only for the passkeys of its account.
func TestSecondFactor(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, phone := s.enroll(t, "susan")
	c2, other := s.enroll(t, "david")
	if err := s.Do(s.Client(t), func(ctx context.Context) error {
		_, err := s.PromptFactor(ctx, name)
		return err
	}); !errors.Is(err, auth.ErrNoPending) {
		t.Errorf("a visitor: %v", err)
	}
	want(t, "david's login, which does not wait", s.Do(c2, func(ctx context.Context) error {
		_, err := s.PromptFactor(ctx, name)
		return err
	}), auth.ErrNoPending)
	c := s.Waiting(t, "susan")
	p := s.second(t, c)
	o := optionsOf(t, p)
	if o.Kind != "get" || o.PublicKey.UserVerification != "discouraged" || len(o.PublicKey.AllowCredentials) != 1 ||
		o.PublicKey.AllowCredentials[0].ID != s.known(t, s.find(t, "susan")).CredentialIDs[0] {
		t.Errorf("%+v", o)
	}
	if _, err := other.Answer(p); !errors.Is(err, passkeytest.ErrNoPasskey) {
		t.Errorf("david's authenticator: %v", err)
	}
	id, handle := other.Passkeys()[0].ID, other.Passkeys()[0].Handle
	for what, lie := range map[string]func(*passkeytest.Ceremony){
		"nobody there":          func(c *passkeytest.Ceremony) { c.Present = false },
		"another user's handle": func(c *passkeytest.Ceremony) { c.UserHandle = handle },
		"another's passkey":     func(c *passkeytest.Ceremony) { c.CredentialID = id },
	} {
		if err := s.show(c, answer(t, lying(phone, lie), p)); !errors.Is(err, auth.ErrWrongFactor) || c.Who() != "nobody" {
			t.Errorf("%s: %v, %s", what, err, c.Who())
		}
	}
	possession := lying(phone, func(c *passkeytest.Ceremony) { c.Verified, c.UserHandle = false, nil })
	a := answer(t, possession, p)
	twin := c.Clone()
	must(t, s.show(c, a))
	if c.Who() != "susan" {
		t.Errorf("the login is %s's", c.Who())
	}
	if err := s.show(twin, a); err == nil {
		t.Error("the answer works twice")
	}
}

// David's own passkey, which is right, does not help with Susan's login.
func TestSecondFactorOfAnotherUser(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.enroll(t, "susan")
	_, other := s.enroll(t, "david")
	c := s.Waiting(t, "susan")
	challenge := optionsOf(t, s.second(t, c)).PublicKey.Challenge
	liar := lying(other, func(c *passkeytest.Ceremony) { c.Challenge = decode(challenge) })
	davids := s.Waiting(t, "david")
	want(t, "david's passkey for susan's challenge", s.show(c, answer(t, liar, s.second(t, davids))), auth.ErrWrongFactor)
	if why := s.why(); !strings.Contains(why, "another user") {
		t.Errorf("refused because %s", why)
	}
	// Nor does what David was asked.
	p, private, err := s.passkeys.Prompt(t.Context(), s.find(t, "david"))
	must(t, err)
	a := answer(t, other, p)
	want(t, "what david was asked", s.passkeys.Verify(t.Context(), s.find(t, "susan"), private, a), auth.ErrWrongFactor)
	must(t, s.passkeys.Verify(t.Context(), s.find(t, "david"), private, a))
}

// One answer to one second factor, in many requests: one login.
func TestFiftyAnswersToASecondFactor(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, phone := s.enroll(t, "susan")
	c := s.Waiting(t, "susan")
	a := answer(t, phone, s.second(t, c))
	prompt, private, err := s.passkeys.Prompt(t.Context(), s.find(t, "susan"))
	must(t, err)
	direct := answer(t, phone, prompt)
	errs := testapp.AtOnce(50, func(int) error {
		return s.passkeys.Verify(t.Context(), s.find(t, "susan"), private, direct)
	})
	if n := right(t, errs, auth.ErrWrongFactor); n != 1 {
		t.Errorf("%d of 50 are right", n)
	}
	want(t, "an answer with an older counter", s.show(c, a), auth.ErrWrongFactor)
}

// P16: what changes between the question and the answer.
func TestAccountChangesMeanwhile(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(*auth.Account){
		"disabled":           func(a *auth.Account) { a.Disabled = true },
		"no longer verified": func(a *auth.Account) { a.EmailVerified = false },
	} {
		clock := testapp.NewClock()
		s := siteOn(t, testapp.NewSpy(clock), clock, passkey.Config{}, func(cfg *auth.Config) { cfg.RequireVerified = true })
		_, phone := s.enroll(t, "susan")
		c := s.Client(t)
		a := answer(t, phone, s.ask(t, c))
		account := s.find(t, "susan").Clone()
		change(&account)
		must(t, s.Store.UpdateAccount(t.Context(), account))
		if err := s.login(c, a); err == nil || c.Who() != "nobody" {
			t.Errorf("%s: %v, %s", what, err, c.Who())
		}
	}
	// As a second factor, the Stamp counts.
	s := newSite(t)
	_, phone := s.enroll(t, "susan")
	c := s.Waiting(t, "susan")
	a := answer(t, phone, s.second(t, c))
	account := s.find(t, "susan").Clone()
	account.Stamp = auth.NewSecret("another")
	must(t, s.Store.UpdateAccount(t.Context(), account))
	if err := s.show(c, a); !errors.Is(err, auth.ErrNoPending) {
		t.Errorf("another Stamp: %v", err)
	}
}

// P18: the login is confirmed by a passkey, of the same user only.
func TestConfirm(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c, phone := s.enroll(t, "susan")
	_, other := s.enroll(t, "david")
	s.Clock.Advance(20 * time.Minute)
	want(t, "a login that is not fresh", s.Do(c, func(ctx context.Context) error {
		_, err := s.BeginFactor(ctx, name)
		return err
	}), auth.ErrNotFresh)
	confirm := func(phone *passkeytest.Authenticator, p auth.Prompt) error {
		return s.Do(c, func(ctx context.Context) error { return s.ConfirmByPasskey(ctx, answer(t, phone, p)) })
	}
	p := s.ask(t, c)
	o := optionsOf(t, p)
	if o.PublicKey.UserVerification != "required" || len(o.PublicKey.AllowCredentials) != 1 {
		t.Errorf("%+v", o)
	}
	id, handle := other.Passkeys()[0].ID, other.Passkeys()[0].Handle
	want(t, "david's passkey", confirm(lying(phone, func(c *passkeytest.Ceremony) { c.CredentialID, c.UserHandle = id, handle }), p), auth.ErrWrongFactor)
	want(t, "no PIN", confirm(lying(phone, func(c *passkeytest.Ceremony) { c.Verified = false }), p), auth.ErrWrongFactor)
	must(t, confirm(phone, p))
	s.begin(t, c)
	// The answer to a confirmation is no login.
	a := answer(t, phone, s.ask(t, c))
	want(t, "a login", s.login(s.tab(t, c), a), auth.ErrWrongFactor)
}

// P26: wrong answers from one address are limited, and questions are not.
func TestWrongAnswersAreLimited(t *testing.T) {
	t.Parallel()
	clock := testapp.NewClock()
	s := siteOn(t, testapp.NewSpy(clock), clock, passkey.Config{}, func(cfg *auth.Config) { cfg.Limits.Guesses = 0 })
	_, phone := s.enroll(t, "susan")
	c := s.Client(t)
	bogus := lying(phone, func(c *passkeytest.Ceremony) { c.BadSignature = true })
	var err error
	n := 0
	for ; n < 1000 && (err == nil || errors.Is(err, auth.ErrWrongFactor)); n++ {
		err = s.login(c, answer(t, bogus, s.ask(t, c)))
	}
	if !errors.Is(err, auth.ErrRateLimited) || n < 10 {
		t.Errorf("after %d wrong answers: %v", n, err)
	}
	s.ask(t, c)
	if r := c.Get("/who"); r.StatusCode != http.StatusOK {
		t.Error(r.Status)
	}
}

// P29: if Config.Secrets change between the question and the answer, the answer is accepted.
func TestRotatedSecrets(t *testing.T) {
	t.Parallel()
	clock := testapp.NewClock()
	store := testapp.NewSpy(clock)
	open := func(secrets ...string) *site {
		return siteOn(t, store, clock, passkey.Config{}, func(cfg *auth.Config) {
			cfg.Secrets = nil
			for _, secret := range secrets {
				cfg.Secrets = append(cfg.Secrets, []byte(secret))
			}
		})
	}
	before, after, without := open(secretOfOld), open(secretOfNew, secretOfOld), open(secretOfNew)
	c, phone := before.enroll(t, "susan")
	move := func(c *testapp.Client, to *site) *testapp.Client {
		other := to.Client(t)
		other.Cookies = c.Clone().Cookies
		return other
	}
	created := answer(t, before.phone(), before.begin(t, c))
	must(t, after.finish(move(c, after), created))
	visitor, waits := before.Client(t), before.Waiting(t, "susan")
	shown, second := answer(t, phone, before.ask(t, visitor)), answer(t, phone, before.second(t, waits))
	want(t, "without the old secret", without.login(move(visitor, without), shown), auth.ErrWrongFactor)
	must(t, after.login(move(visitor, after), shown))
	must(t, after.show(move(waits, after), second))
	must(t, without.try(t, phone)) // passkeys need no secrets
}
