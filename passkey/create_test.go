package passkey_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/passkey"
	"github.com/go-login/auth/passkey/passkeytest"
)

// P1: a new passkey is listed with its name, and the owner gets a mail.
func TestAddAPasskey(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.Verified(t, "susan")
	c, phone := s.Client(t), s.phone()
	phone.AAGUID = [16]byte{0xba, 0xda, 0x55, 0x66, 0xa7, 0xaa, 0x40, 0x1f, 0xbd, 0x96, 0x45, 0x61, 0x9a, 0x55, 0x12, 0x0d}
	phone.Eligible, phone.BackedUp = true, true
	c.Login("susan")
	s.add(t, c, phone)
	list := s.list(t, "susan")
	if len(list) != 1 {
		t.Fatalf("%d passkeys", len(list))
	}
	p := list[0]
	if p.Name != "1Password" || !p.Created.Equal(s.Clock.Now()) || !p.LastUsed.IsZero() || !p.Synced || p.Suspended || p.OtherSite || p.ID == "" {
		t.Errorf("%+v", p)
	}
	has, err := s.passkeys.Enrolled(t.Context(), u.ID)
	if !has || err != nil {
		t.Errorf("enrolled: %v, %v", has, err)
	}
	mails := s.mails.Take()
	if len(mails) != 1 || mails[0].To != "susan@app.example" || mails[0].Factor != name {
		t.Errorf("mails %+v", mails)
	}
	// The second one says "Passkey": nothing is known of its authenticator.
	s.Clock.Advance(time.Minute)
	s.add(t, c, s.phone())
	if list = s.list(t, "susan"); len(list) != 2 || list[1].Name != "Passkey" || list[1].Synced {
		t.Errorf("%+v", list)
	}
}

// The browser is asked for a passkey that it finds without a username, with a PIN or a
// finger, and for no proof of its maker. All passkeys of an account have one user handle,
// which is random.
func TestOptionsOfANewPasskey(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c, phone := s.enroll(t, "susan")
	p := s.begin(t, c)
	o := optionsOf(t, p)
	if p.Field != "passkey" || p.Script != "/passkey.js" || o.Kind != "create" {
		t.Errorf("%+v", p)
	}
	k := o.PublicKey
	if k.RP.ID != "app.example" || k.RP.Name != "app.example" || k.User.Name != "susan" || k.User.DisplayName != "susan" ||
		k.AuthenticatorSelection.ResidentKey != "required" || k.AuthenticatorSelection.UserVerification != "required" ||
		k.Attestation != "none" || k.Extensions["credProps"] != true || k.Timeout != 600_000 || len(k.Challenge) != 43 || len(k.User.ID) != 86 {
		t.Errorf("%+v", k)
	}
	var algorithms []int
	for _, p := range k.PubKeyCredParams {
		algorithms = append(algorithms, p.Alg)
	}
	if !slices.Equal(algorithms, []int{-7, -8, -257}) {
		t.Errorf("algorithms %v", algorithms)
	}
	if len(k.ExcludeCredentials) != 1 || k.ExcludeCredentials[0].ID != s.known(t, s.find(t, "susan")).CredentialIDs[0] {
		t.Errorf("excluded %v", k.ExcludeCredentials)
	}
	// P2: the same authenticator refuses, and the page says so.
	if _, err := phone.Answer(p); !errors.Is(err, passkeytest.ErrExcluded) {
		t.Errorf("the same authenticator again: %v", err)
	}
	// The page can be reloaded.
	again := optionsOf(t, s.begin(t, c))
	if again.PublicKey.Challenge != k.Challenge || again.PublicKey.User.ID != k.User.ID {
		t.Error("after a reload, the challenge or the user handle is another one")
	}
	other := s.Client(t)
	s.Verified(t, "david")
	other.Login("david")
	if o := optionsOf(t, s.begin(t, other)); o.PublicKey.User.ID == k.User.ID || o.PublicKey.Challenge == k.Challenge {
		t.Error("two accounts have the same user handle or challenge")
	}
}

// P3, P31: one passkey is never two accounts', also if both add it at the same moment.
func TestPasskeyOfAnotherAccount(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, phone := s.enroll(t, "susan")
	s.Verified(t, "david")
	c := s.Client(t)
	c.Login("david")
	id := phone.Passkeys()[0].ID
	same := lying(s.phone(), func(c *passkeytest.Ceremony) { c.CredentialID = id })
	s.Events()
	want(t, "the passkey of another account", s.finish(c, answer(t, same, s.begin(t, c))), auth.ErrWrongFactor)
	if s.CountEvents(passkey.EventTaken) != 1 {
		t.Error("there is no event")
	}
	if n := len(s.list(t, "david")); n != 0 {
		t.Errorf("david has %d passkeys", n)
	}
	must(t, s.try(t, phone))
}

// Both accounts have passed every check before either passkey is stored.
func TestOnePasskeyIsStoredOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	same := lying(s.phone(), func(c *passkeytest.Ceremony) { c.CredentialID = []byte("an ID") })
	var saves []func(context.Context) error
	for _, name := range []string{"susan", "david"} {
		u := s.Verified(t, name)
		setup, err := s.passkeys.Begin(t.Context(), u)
		must(t, err)
		_, save, err := s.passkeys.Add(t.Context(), u, answer(t, same, setup.Prompt))
		must(t, err)
		saves = append(saves, save)
	}
	must(t, saves[0](t.Context()))
	s.Events()
	want(t, "the second", saves[1](t.Context()), auth.ErrWrongFactor)
	if s.CountEvents(passkey.EventTaken) != 1 || len(s.list(t, "susan")) != 1 || len(s.list(t, "david")) != 0 {
		t.Error("the second account has it, or there is no event")
	}
}

func TestOnePasskeyForTwoAccountsAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const users = 8
	var browsers []*testapp.Client
	var answers []url.Values
	id := []byte("the ID that all of them have .....")
	for i := range users {
		who := string(rune('a'+i)) + "nna"
		s.Verified(t, who)
		c := s.Client(t)
		c.Login(who)
		browsers = append(browsers, c)
		answers = append(answers, answer(t, lying(s.phone(), func(c *passkeytest.Ceremony) { c.CredentialID = id }), s.begin(t, c)))
	}
	errs := testapp.AtOnce(users, func(i int) error { return s.finish(browsers[i], answers[i]) })
	if n := right(t, errs, auth.ErrWrongFactor); n != 1 {
		t.Errorf("%d accounts have it", n)
	}
	have := 0
	for i := range users {
		have += len(s.list(t, string(rune('a'+i))+"nna"))
	}
	if have != 1 {
		t.Errorf("%d records", have)
	}
}

// P4: who may not, and how.
func TestWhoMayAddAPasskey(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.Verified(t, "susan")
	c, phone := s.Client(t), s.phone()
	want(t, "a visitor", s.finish(c, url.Values{}), auth.ErrNotLoggedIn)
	c.Login("susan")
	p := s.begin(t, c)
	s.Clock.Advance(10*time.Minute + time.Second)
	want(t, "a login that is not fresh", s.finish(c, answer(t, phone, p)), auth.ErrNotFresh)
	s.Create(t, "david", false)
	c = s.Client(t)
	c.Login("david")
	want(t, "an address that is not verified", s.Do(c, func(ctx context.Context) error {
		_, err := s.BeginFactor(ctx, name)
		return err
	}), auth.ErrUnverified)
	c = s.Client(t)
	c.Login("susan")
	s.add(t, c, phone)
	want(t, "a login that owes the passkey", s.finish(s.Waiting(t, "susan"), url.Values{}), auth.ErrNotLoggedIn)
	if n := len(s.list(t, "susan")); n != 1 {
		t.Errorf("%d passkeys", n)
	}
}

// P5: the challenge of a new passkey works once, for ten minutes, for one account and its
// Stamp, and not at a login.
func TestChallengeOfANewPasskey(t *testing.T) {
	t.Parallel()
	t.Run("once", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		s.Verified(t, "susan")
		c := s.Client(t)
		c.Login("susan")
		s.add(t, c, s.phone()) // from now on the Stamp stays
		p := s.begin(t, c)
		const n = 50
		answers := make([]url.Values, n)
		for i := range answers {
			answers[i] = answer(t, s.phone(), p)
		}
		errs := testapp.AtOnce(n, func(i int) error { return s.finish(c, answers[i]) })
		if won := right(t, errs, auth.ErrWrongFactor); won != 1 {
			t.Errorf("%d of %d answers to one challenge were accepted", won, n)
		}
		if got := len(s.list(t, "susan")); got != 2 {
			t.Errorf("%d passkeys", got)
		}
	})
	t.Run("ten minutes", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		u := s.Verified(t, "susan")
		c := s.Client(t)
		c.Login("susan")
		old := s.begin(t, c)
		s.Clock.Advance(10*time.Minute + time.Second)
		_, _, err := s.passkeys.Add(t.Context(), u, answer(t, s.phone(), old))
		want(t, "after ten minutes", err, auth.ErrWrongFactor)
	})
	t.Run("of another account", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		s.Verified(t, "susan")
		david := s.Verified(t, "david")
		c := s.Client(t)
		c.Login("susan")
		a := answer(t, s.phone(), s.begin(t, c))
		_, err := s.passkeys.Begin(t.Context(), david)
		must(t, err)
		_, _, err = s.passkeys.Add(t.Context(), david, a)
		want(t, "another account", err, auth.ErrWrongFactor)
	})
	t.Run("moved to another account", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		susan, david := s.Verified(t, "susan"), s.Verified(t, "david")
		a := david.Clone()
		a.Stamp = susan.Stamp
		must(t, s.Store.UpdateAccount(t.Context(), a))
		david = s.find(t, "david")
		setup, err := s.passkeys.Begin(t.Context(), susan)
		must(t, err)
		_, err = s.passkeys.Begin(t.Context(), david)
		must(t, err)
		r := s.FeatureRecord(t, david.ID, "passkey/pending/")
		r.Data = s.FeatureRecord(t, susan.ID, "passkey/pending/").Data
		must(t, s.Store.UpdateRecord(t.Context(), r))
		_, _, err = s.passkeys.Add(t.Context(), david, answer(t, s.phone(), setup.Prompt))
		want(t, "a record that was moved", err, auth.ErrWrongFactor)
	})
	t.Run("of another Stamp", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		u := s.Verified(t, "susan")
		setup, err := s.passkeys.Begin(t.Context(), u)
		must(t, err)
		a := u.Clone()
		a.Stamp = auth.NewSecret("another Stamp")
		must(t, s.Store.UpdateAccount(t.Context(), a))
		u = s.Stored(t, u.ID)
		_, _, err = s.passkeys.Add(t.Context(), u, answer(t, s.phone(), setup.Prompt))
		want(t, "another Stamp", err, auth.ErrWrongFactor)
		again, err := s.passkeys.Begin(t.Context(), u)
		must(t, err)
		if optionsOf(t, again.Prompt).PublicKey.Challenge == optionsOf(t, setup.Prompt).PublicKey.Challenge {
			t.Error("the challenge stays when the Stamp changes")
		}
	})
	t.Run("at a login, and the other way round", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		c, phone := s.enroll(t, "susan")
		created := optionsOf(t, s.begin(t, c)).PublicKey.Challenge
		visitor := s.Client(t)
		asked := optionsOf(t, s.ask(t, visitor)).PublicKey.Challenge
		swap := func(challenge string) func(*passkeytest.Ceremony) {
			return func(c *passkeytest.Ceremony) { c.Challenge = decode(challenge) }
		}
		want(t, "the challenge of a new passkey at a login", s.login(visitor, answer(t, lying(phone, swap(created)), s.ask(t, visitor))), auth.ErrWrongFactor)
		want(t, "the challenge of a login for a new passkey", s.finish(c, answer(t, lying(s.phone(), swap(asked)), s.begin(t, c))), auth.ErrWrongFactor)
	})
}

// P6, P7, P9, P10, P12: what a new passkey may not say.
func TestNewPasskeyIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.Verified(t, "susan")
	c := s.Client(t)
	c.Login("susan")
	p := s.begin(t, c)
	for what, lie := range map[string]func(*passkeytest.Ceremony){
		"another origin":       func(c *passkeytest.Ceremony) { c.Origin = "https://evil.example" },
		"http":                 func(c *passkeytest.Ceremony) { c.Origin = "http://app.example" },
		"a sibling":            func(c *passkeytest.Ceremony) { c.Origin = "https://other.example" },
		"a subdomain":          func(c *passkeytest.Ceremony) { c.Origin = "https://x.app.example" },
		"another port":         func(c *passkeytest.Ceremony) { c.Origin = "https://app.example:8443" },
		"a path":               func(c *passkeytest.Ceremony) { c.Origin = "https://app.example/evil" },
		"capitals":             func(c *passkeytest.Ceremony) { c.Origin = "https://APP.example" },
		"no origin":            func(c *passkeytest.Ceremony) { c.Origin = "" },
		"another site":         func(c *passkeytest.Ceremony) { c.RPID = "evil.example" },
		"a frame":              func(c *passkeytest.Ceremony) { c.CrossOrigin = true },
		"a frame's page":       func(c *passkeytest.Ceremony) { c.TopOrigin = "https://evil.example" },
		"a frame of our own":   func(c *passkeytest.Ceremony) { c.CrossOrigin, c.TopOrigin = true, "https://app.example" },
		"a login":              func(c *passkeytest.Ceremony) { c.Type = "webauthn.get" },
		"another challenge":    func(c *passkeytest.Ceremony) { c.Challenge = []byte("another challenge, of 32 bytes...") },
		"no challenge":         func(c *passkeytest.Ceremony) { c.Challenge = nil },
		"nobody there":         func(c *passkeytest.Ceremony) { c.Present = false },
		"no PIN":               func(c *passkeytest.Ceremony) { c.Verified = false },
		"backed up, cannot be": func(c *passkeytest.Ceremony) { c.BackedUp = true },
		"no ID":                func(c *passkeytest.Ceremony) { c.CredentialID = nil },
		"a long ID":            func(c *passkeytest.Ceremony) { c.CredentialID = make([]byte, 1024) },
		"no key":               func(c *passkeytest.Ceremony) { c.Key = nil },
		"ES256K":               func(c *passkeytest.Ceremony) { c.Key[4] = 0x2e },
		"an empty map":         func(c *passkeytest.Ceremony) { c.Attestation = []byte{0xa0} },
		"no CBOR":              func(c *passkeytest.Ceremony) { c.Attestation = []byte("hello") },
	} {
		started := time.Now()
		want(t, what, s.finish(c, answer(t, lying(s.phone(), lie), p)), auth.ErrWrongFactor)
		if took := time.Since(started); took > time.Second {
			t.Errorf("%s took %v", what, took)
		}
	}
	if n := len(s.list(t, "susan")); n != 0 {
		t.Errorf("%d passkeys", n)
	}
	must(t, s.finish(c, answer(t, s.phone(), p))) // after all failures, the challenge still waits
}

// P10: keys. Those that were asked for work at a login; weak ones and others are refused.
func TestKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for what, test := range map[string]struct {
		key func() (crypto.Signer, error)
		ok  bool
	}{
		"P-256":    {func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }, true},
		"Ed25519":  {func() (crypto.Signer, error) { _, key, err := ed25519.GenerateKey(rand.Reader); return key, err }, true},
		"RSA-2048": {func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) }, true},
		"RSA-1024": {func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 1024) }, false}, //nolint:gosec // it is to be refused
		"P-384":    {func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) }, false},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			who := strings.ToLower(strings.ReplaceAll(what, "-", ""))
			s.Verified(t, who)
			c, phone := s.Client(t), s.phone()
			phone.NewKey = test.key
			c.Login(who)
			a := answer(t, phone, s.begin(t, c))
			if !test.ok {
				want(t, what, s.finish(c, a), auth.ErrWrongFactor)
				return
			}
			must(t, s.finish(c, a))
			must(t, s.try(t, phone))
		})
	}
}

// P10: what is no answer is refused quickly, and nothing panics.
func TestWhatIsNoAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c, phone := s.enroll(t, "susan")
	p := s.begin(t, c)
	created := answer(t, s.phone(), p).Get("passkey")
	visitor := s.Client(t)
	shown := answer(t, phone, s.ask(t, visitor)).Get("passkey")
	bomb := func(head string) string { // CBOR
		return strings.Replace(created, `"attestationObject":"`, `"attestationObject":"`+head, 1)
	}
	bad := map[string]url.Values{
		"nothing":                    {},
		"empty":                      {"passkey": {""}},
		"twice":                      {"passkey": {created, created}},
		"twice a get":                {"passkey": {shown, shown}},
		"no JSON":                    {"passkey": {"{"}},
		"an array":                   {"passkey": {"[]"}},
		"null":                       {"passkey": {"null"}},
		"deep":                       {"passkey": {strings.Repeat("[", 9_000)}},
		"65 KiB":                     {"passkey": {strings.Repeat("x", 65<<10)}},
		"a long one":                 {"passkey": {created + strings.Repeat(" ", 32<<10)}},
		"an array of 4 billion":      {"passkey": {bomb("mv____8")}},
		"a map of 2^63":              {"passkey": {bomb("u3________8")}},
		"bytes of 2^63":              {"passkey": {bomb("W3________8")}},
		"arrays in arrays":           {"passkey": {bomb(strings.Repeat("gYGB", 2_000))}},
		"base64 of another alphabet": {"passkey": {strings.ReplaceAll(created, "-", "+")}},
		"another type":               {"passkey": {strings.ReplaceAll(shown, "public-key", "password")}},
		"an ID that is another":      {"passkey": {strings.Replace(shown, `"id":"`, `"id":"AAAA`, 1)}},
		"trailing":                   {"passkey": {shown + "{}"}},
	}
	if bad["base64 of another alphabet"].Get("passkey") == created {
		delete(bad, "base64 of another alphabet") // there was no dash
	}
	for what, form := range bad {
		started := time.Now()
		want(t, what+", for a new passkey", s.finish(c, form), auth.ErrWrongFactor)
		want(t, what+", at a login", s.login(visitor, form), auth.ErrWrongFactor)
		if took := time.Since(started); took > time.Second { // a shared machine; each takes some 100 µs
			t.Errorf("%s took %v", what, took)
		}
	}
	want(t, "a new passkey at a login", s.login(visitor, url.Values{"passkey": {created}}), auth.ErrWrongFactor)
	want(t, "a login for a new passkey", s.finish(c, url.Values{"passkey": {shown}}), auth.ErrWrongFactor)
	must(t, s.finish(c, url.Values{"passkey": {created}}))
	must(t, s.login(visitor, url.Values{"passkey": {shown}}))
}

// Some authenticators say who has made them, although nobody has asked. What they say is
// ignored, also if it is nonsense.
func TestAttestationIsIgnored(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.Verified(t, "susan")
	c := s.fresh(t, "susan")
	for _, format := range []string{"packed", "tpm", "fido-u2f", "apple", "unheard-of", ""} {
		phone := lying(s.phone(), func(c *passkeytest.Ceremony) { c.Format = format })
		s.add(t, c, phone)
	}
	if n := len(s.list(t, "susan")); n != 6 {
		t.Errorf("%d passkeys", n)
	}
}

// An account has 20 passkeys at most, also if several are added at the same moment.
func TestTwentyPasskeys(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c, _ := s.enroll(t, "susan")
	for range 17 {
		s.add(t, c, s.phone())
	}
	// Two have passed all checks, and are stored at the same moment.
	var saves []func(context.Context) error
	u := s.find(t, "susan")
	for range 6 {
		setup, err := s.passkeys.Begin(t.Context(), u)
		must(t, err)
		_, save, err := s.passkeys.Add(t.Context(), u, answer(t, s.phone(), setup.Prompt))
		must(t, err)
		saves = append(saves, save)
	}
	errs := testapp.AtOnce(len(saves), func(i int) error { return saves[i](t.Context()) })
	won := right(t, errs, auth.ErrTooManyPasskeys)
	if n := len(s.list(t, "susan")); n > 20 || n != 18+won {
		t.Errorf("%d passkeys, and %d were added", n, won)
	}
	for len(s.list(t, "susan")) < 20 {
		s.add(t, c, s.phone())
	}
	want(t, "the 21st", s.Do(c, func(ctx context.Context) error {
		_, err := s.BeginFactor(ctx, name)
		return err
	}), auth.ErrTooManyPasskeys)
	must(t, s.passkeys.RemoveOne(t.Context(), u.ID, s.list(t, "susan")[0].ID))
	s.add(t, c, s.phone())
}

func decode(text string) []byte {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return b
}
