package passkey_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/passkey"
	"github.com/go-login/auth/passkey/passkeytest"
)

// P21: names.
func TestRename(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c, _ := s.enroll(t, "susan")
	id := s.list(t, "susan")[0].ID
	for given, kept := range map[string]string{
		"My phone":                        "My phone",
		"  My phone \n":                   "My phone",
		"a\x00b\x1b[31mc\u202ed\u200be":   "ab[31mcde",
		"<script>alert(1)</script>":       "<script>alert(1)</script>", // the page escapes it
		"Ключ 🔑":                          "Ключ 🔑",
		"bad \xff bytes":                  "bad  bytes",
		strings.Repeat("é", 65):           strings.Repeat("é", 64),
		strings.Repeat("é", 63) + " éé":   strings.Repeat("é", 63),
		"":                                "Passkey",
		" \t\u2066\u2069\u00a0":           "Passkey",
		strings.Repeat("long ", 1_000_00): strings.TrimSpace(strings.Repeat("long ", 13)[:64]),
	} {
		must(t, s.Do(c, func(ctx context.Context) error { return s.RenamePasskey(ctx, id, given) }))
		if got := s.list(t, "susan")[0].Name; got != kept {
			t.Errorf("%.80q became %q, want %q", given, got, kept)
		}
	}
}

// P19: another user's passkey is as unknown as one that nobody has.
func TestPasskeysOfOthers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c, _ := s.enroll(t, "susan")
	s.Clock.Advance(time.Second)
	s.add(t, c, s.phone())
	_, other := s.enroll(t, "david")
	david := s.list(t, "david")[0]
	for _, id := range []string{david.ID, "unknown", "", "../" + david.ID, "credential/" + david.ID, strings.Repeat("x", 1000)} {
		want(t, "remove "+id, s.Do(c, func(ctx context.Context) error { return s.RemovePasskey(ctx, id) }), auth.ErrNoFactor)
		want(t, "rename "+id, s.Do(c, func(ctx context.Context) error { return s.RenamePasskey(ctx, id, "Mine") }), auth.ErrNoFactor)
		must(t, s.passkeys.RemoveOne(t.Context(), s.find(t, "susan").ID, id))
	}
	if got := s.list(t, "david"); len(got) != 1 || got[0] != david {
		t.Errorf("%+v", got)
	}
	must(t, s.try(t, other))
}

// P19, P20: the last way in stays, whatever is tried at the same moment.
func TestLastWayIn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c, phone := s.enroll(t, "susan")
	remove := func(c *testapp.Client, id string) error {
		return s.Do(c, func(ctx context.Context) error { return s.RemovePasskey(ctx, id) })
	}
	want(t, "the only one", remove(c, s.list(t, "susan")[0].ID), auth.ErrLastWayIn)
	must(t, s.Do(c, func(ctx context.Context) error { return s.SetPassword(ctx, s.find(t, "susan"), testapp.Password) }))
	must(t, s.try(t, phone))
	c = s.Client(t)
	must(t, s.login(c, answer(t, phone, s.ask(t, c))))
	must(t, s.Do(c, func(ctx context.Context) error { return s.RemovePassword(ctx) }))
	want(t, "without the password", remove(c, s.list(t, "susan")[0].ID), auth.ErrLastWayIn)
	for range testapp.Rounds(t, 3, 20) {
		s.Clock.Advance(time.Second)
		other := s.phone()
		s.add(t, c, other)
		first, second := s.Client(t), s.Client(t)
		must(t, s.login(first, answer(t, phone, s.ask(t, first))))
		must(t, s.login(second, answer(t, other, s.ask(t, second))))
		list := s.list(t, "susan")
		browsers := []*testapp.Client{first, second}
		errs := testapp.AtOnce(2, func(i int) error { return remove(browsers[i], list[i].ID) })
		left := s.list(t, "susan")
		if len(left) != 1 {
			t.Fatalf("%d passkeys are left: %v", len(left), errs)
		}
		if left[0].ID != list[0].ID { // the one that phone has was removed
			phone = other
		}
		c = s.Client(t)
		must(t, s.login(c, answer(t, phone, s.ask(t, c))))
	}
	// A passkey that was copied is no way in.
	s.Clock.Advance(time.Second)
	other := s.phone()
	s.add(t, c, other)
	must(t, s.try(t, other))
	want(t, "a copy", s.try(t, lying(other, func(c *passkeytest.Ceremony) { c.Count = 1 })), auth.ErrWrongFactor)
	want(t, "the last one that works", remove(c, s.list(t, "susan")[0].ID), auth.ErrLastWayIn)
	must(t, remove(c, s.list(t, "susan")[1].ID))
}

// P22, P27: what the browser is told. The user handle stays, so that it forgets the passkeys
// that were removed.
func TestKnown(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.Verified(t, "susan")
	if k := s.known(t, u); k != nil {
		t.Errorf("a user without passkeys: %+v", k)
	}
	c, phone := s.Client(t), s.phone()
	c.Login("susan")
	s.add(t, c, phone)
	s.Clock.Advance(time.Second)
	s.add(t, c, s.phone())
	k := s.known(t, s.find(t, "susan"))
	if k.RPID != "app.example" || k.Name != "susan" || k.DisplayName != "susan" || len(k.CredentialIDs) != 2 ||
		string(decode(k.UserID)) != string(phone.Passkeys()[0].Handle) || string(decode(k.CredentialIDs[0])) != string(phone.Passkeys()[0].ID) {
		t.Errorf("%+v", k)
	}
	must(t, s.Do(c, func(ctx context.Context) error { return s.RemovePasskey(ctx, s.list(t, "susan")[0].ID) }))
	if left := s.known(t, s.find(t, "susan")); len(left.CredentialIDs) != 1 || left.CredentialIDs[0] != k.CredentialIDs[1] {
		t.Errorf("%+v", left)
	}
	must(t, s.passkeys.Remove(t.Context(), u.ID))
	left := s.known(t, s.find(t, "susan"))
	if left == nil || left.CredentialIDs == nil || len(left.CredentialIDs) != 0 || left.UserID != k.UserID {
		t.Errorf("after all were removed: %+v", left)
	}
	// A passkey whose record is damaged is there, and the browser must not forget it.
	s.add(t, s.fresh(t, "susan"), s.phone())
	r := s.FeatureRecord(t, u.ID, "passkey/credential/")
	r.Data = []byte("damaged")
	must(t, s.Store.UpdateRecord(t.Context(), r))
	if k := s.known(t, s.find(t, "susan")); k != nil {
		t.Errorf("with a damaged record: %+v", k)
	}
}

// fresh returns a new browser that is logged in without a passkey.
func (s *site) fresh(t testing.TB, name string) *testapp.Client {
	t.Helper()
	c := s.Client(t)
	c.Login(name)
	return c
}

// P27: after the account is closed, nothing is left.
func TestCloseAccount(t *testing.T) {
	t.Parallel()
	clock := testapp.NewClock()
	s := siteOn(t, testapp.DeletingSpy{Spy: testapp.NewSpy(clock)}, clock, passkey.Config{}, nil)
	c, phone := s.enroll(t, "susan")
	s.begin(t, c)
	u := s.find(t, "susan")
	if n := len(s.FeatureRecords(t, u.ID)); n != 3 { // the passkey, the user handle, and a challenge
		t.Errorf("%d records", n)
	}
	must(t, s.Do(c, func(ctx context.Context) error { return s.CloseAccount(ctx, u) }))
	if n := len(s.FeatureRecords(t, u.ID)); n != 0 {
		t.Errorf("%d records are left", n)
	}
	want(t, "the passkey", s.try(t, phone), auth.ErrUnknownPasskey)
}

// P28: passkeys of an earlier RPID are listed as such, are not offered and do not work, and
// Check says so.
func TestOtherSite(t *testing.T) {
	t.Parallel()
	clock := testapp.NewClock()
	store := testapp.NewSpy(clock)
	s := siteOn(t, store, clock, passkey.Config{}, nil)
	must(t, s.passkeys.Check(t.Context()))
	_, phone := s.enroll(t, "susan")
	must(t, s.passkeys.Check(t.Context()))
	finding := func(s *site) (auth.Finding, bool) {
		found := s.Doctor(t.Context())
		i := slices.IndexFunc(found, func(f auth.Finding) bool { return f.Code == passkey.FindingOtherSite })
		if i < 0 {
			return auth.Finding{}, false
		}
		return found[i], true
	}
	if f, ok := finding(s); ok {
		t.Errorf("Doctor: %v", f)
	}
	moved := siteOn(t, store, clock, passkey.Config{}, func(cfg *auth.Config) { cfg.BaseURL = "https://new.example" })
	if err := moved.passkeys.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "app.example") || !strings.Contains(err.Error(), "new.example") {
		t.Errorf("Check: %v", err)
	}
	if f, ok := finding(moved); !ok || f.Severity != auth.SeverityWarning || !strings.Contains(f.Text, "app.example") || f.Fix == "" {
		t.Errorf("Doctor: %v", f)
	}
	if p := moved.list(t, "susan")[0]; !p.OtherSite {
		t.Errorf("%+v", p)
	}
	// It cannot be used, even if the browser says what it should.
	c := moved.Client(t)
	p := moved.ask(t, c)
	old := lying(phone, func(c *passkeytest.Ceremony) { c.Origin, c.RPID = "https://new.example", "new.example" })
	challenge := optionsOf(t, p).PublicKey.Challenge
	inner := old.Lie
	old.Lie = func(c *passkeytest.Ceremony) { inner(c); c.Challenge = decode(challenge) }
	visitor := s.Client(t)
	want(t, "the old passkey", moved.login(c, answer(t, old, s.ask(t, visitor))), auth.ErrWrongFactor)
	if why := moved.why(); !strings.Contains(why, "earlier host") {
		t.Errorf("refused because %q", why)
	}
	// The second factor is asked for as before: a setting must not take it away.
	waits := moved.Waiting(t, "susan")
	o := optionsOf(t, moved.second(t, waits))
	if len(o.PublicKey.AllowCredentials) != 1 || string(decode(o.PublicKey.AllowCredentials[0].ID)) == string(phone.Passkeys()[0].ID) {
		t.Errorf("offered %v", o.PublicKey.AllowCredentials)
	}
	// The user adds a new one; the browser is told of that one only, and both are listed.
	setup, err := moved.passkeys.Begin(t.Context(), moved.find(t, "susan"))
	must(t, err)
	_, save, err := moved.passkeys.Add(t.Context(), moved.find(t, "susan"), answer(t, moved.phone(), setup.Prompt))
	must(t, err)
	must(t, save(t.Context()))
	if k := moved.known(t, moved.find(t, "susan")); len(k.CredentialIDs) != 1 || k.RPID != "new.example" {
		t.Errorf("%+v", k)
	}
	if list := moved.list(t, "susan"); len(list) != 2 {
		t.Errorf("%+v", list)
	}
	if s.passkeys.Check(t.Context()) == nil || moved.passkeys.Check(t.Context()) == nil {
		t.Error("Check has forgotten a site")
	}
}

// Settings.
func TestBind(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		base   string
		config passkey.Config
		fault  string // in the error; empty: none
	}{
		"nothing":              {"https://app.example", passkey.Config{}, ""},
		"a port":               {"https://app.example:8443", passkey.Config{}, ""},
		"localhost":            {"http://localhost:8080", passkey.Config{}, ""},
		"an address":           {"http://127.0.0.1:8080", passkey.Config{}, "auth.Config.BaseURL"},
		"an IPv6 address":      {"http://[::1]:8080", passkey.Config{}, "auth.Config.BaseURL"},
		"an address, with TLS": {"https://192.0.2.1", passkey.Config{}, "auth.Config.BaseURL"},
		"the domain above":     {"https://www.app.example", passkey.Config{RPID: "app.example"}, ""},
		"a domain below":       {"https://app.example", passkey.Config{RPID: "www.app.example"}, "Config.RPID"},
		"another domain":       {"https://app.example", passkey.Config{RPID: "pp.example"}, "Config.RPID"},
		"everybody's":          {"https://app.co.uk", passkey.Config{RPID: "co.uk"}, "Config.RPID"},
		"everybody's, private": {"https://app.github.io", passkey.Config{RPID: "github.io"}, "Config.RPID"},
		"a URL":                {"https://app.example", passkey.Config{RPID: "https://app.example"}, "Config.RPID"},
		"capitals":             {"https://app.example", passkey.Config{RPID: "App.example"}, "Config.RPID"},
		"origins":              {"https://app.example", passkey.Config{Origins: []string{"https://app.example", "https://app.test"}}, ""},
		"without its own":      {"https://app.example", passkey.Config{Origins: []string{"https://www.app.example"}}, "Config.Origins"},
		"a path":               {"https://app.example", passkey.Config{Origins: []string{"https://app.example", "https://b.example/"}}, "Config.Origins[1]"},
		"a default port":       {"https://app.example", passkey.Config{Origins: []string{"https://app.example", "https://b.example:443"}}, "Config.Origins[1]"},
		"http":                 {"https://app.example", passkey.Config{Origins: []string{"https://app.example", "http://b.example"}}, "Config.Origins[1]"},
		"no host":              {"https://app.example", passkey.Config{Origins: []string{"https://app.example", "https://"}}, "Config.Origins[1]"},
		"five names":           {"https://a.com", passkey.Config{Origins: []string{"https://a.com", "https://a.de", "https://www.a.co.uk", "https://b.com", "https://c.com", "https://d.com", "https://e.com"}}, ""},
		"six names":            {"https://a.com", passkey.Config{Origins: []string{"https://a.com", "https://b.com", "https://c.com", "https://d.com", "https://e.com", "https://f.com"}}, "Config.Origins"},
		"a name":               {"https://app.example", passkey.Config{SiteName: "Example & Söhne"}, ""},
		"a long name":          {"https://app.example", passkey.Config{SiteName: strings.Repeat("x", 65)}, "Config.SiteName"},
		"a name of blanks":     {"https://app.example", passkey.Config{SiteName: " "}, "Config.SiteName"},
		"a control character":  {"https://app.example", passkey.Config{SiteName: "a\nb"}, "Config.SiteName"},
		"a script":             {"https://app.example", passkey.Config{ScriptPath: "/static/passkey.js"}, ""},
		"another site's":       {"https://app.example", passkey.Config{ScriptPath: "//evil.example/x.js"}, "Config.ScriptPath"},
		"no slash":             {"https://app.example", passkey.Config{ScriptPath: "passkey.js"}, "Config.ScriptPath"},
		"dots":                 {"https://app.example", passkey.Config{ScriptPath: "/../x.js"}, "Config.ScriptPath"},
		"a query":              {"https://app.example", passkey.Config{ScriptPath: "/x.js?y"}, "Config.ScriptPath"},
		"the root":             {"https://app.example", passkey.Config{ScriptPath: "/"}, "Config.ScriptPath"},
	} {
		_, err := auth.New[*testapp.User](testapp.NewSpy(testapp.NewClock()), auth.Config{
			BaseURL: test.base, Secrets: [][]byte{[]byte(secretOfOld)}, Factors: []auth.Factor{passkey.New(test.config)},
		})
		switch {
		case test.fault == "" && err != nil:
			t.Errorf("%s: %v", what, err)
		case test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)):
			t.Errorf("%s: %v, want one about %s", what, err, test.fault)
		}
	}
	f := passkey.New(passkey.Config{})
	for i := range 2 {
		_, err := auth.New[*testapp.User](testapp.NewSpy(testapp.NewClock()), auth.Config{
			BaseURL: "https://app.example", Secrets: [][]byte{[]byte(secretOfOld)}, Factors: []auth.Factor{f},
		})
		if (err != nil) != (i == 1) {
			t.Errorf("Manager %d: %v", i, err)
		}
	}
}

// What is set is used.
func TestSettings(t *testing.T) {
	t.Parallel()
	clock := testapp.NewClock()
	origins := []string{"https://www.app.example", "https://shop.app.example", "https://app.test"}
	s := siteOn(t, testapp.NewSpy(clock), clock, passkey.Config{
		RPID: "app.example", Origins: origins, SiteName: "The App", ScriptPath: "/static/p.js",
	}, func(cfg *auth.Config) { cfg.BaseURL = origins[0] })
	origins[1] = "https://evil.example" // the caller's list is the caller's
	s.Verified(t, "susan")
	c, phone := s.fresh(t, "susan"), passkeytest.New("https://shop.app.example")
	phone.NoCount = true
	p := s.begin(t, c)
	o := optionsOf(t, p)
	if p.Script != "/static/p.js" || o.PublicKey.RP.ID != "app.example" || o.PublicKey.RP.Name != "The App" {
		t.Errorf("%+v", o)
	}
	must(t, s.finish(c, answer(t, phone, p)))
	for origin, ok := range map[string]bool{
		"https://www.app.example": true, "https://shop.app.example": true, "https://app.test": true,
		"https://evil.example": false, "https://app.example": false, "https://a.www.app.example": false,
	} {
		if err := s.try(t, lying(phone, func(c *passkeytest.Ceremony) { c.Origin = origin })); (err == nil) != ok {
			t.Errorf("%s: %v", origin, err)
		}
	}
	path, source := s.passkeys.Script()
	if path != "/static/p.js" || !strings.Contains(string(source), "PublicKeyCredential") {
		t.Errorf("the script: %s, %d bytes", path, len(source))
	}
	w := httptest.NewRecorder()
	s.passkeys.RelatedOrigins().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/.well-known/webauthn", nil))
	if got := strings.TrimSpace(w.Body.String()); w.Header().Get("Content-Type") != "application/json" ||
		got != `{"origins":["https://www.app.example","https://shop.app.example","https://app.test"]}` {
		t.Errorf("%s", got)
	}
}

// Without a Manager, and without a user, each method fails, and none panics.
func TestNobody(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := newSite(t)
	u := s.Verified(t, "susan")
	var absent *testapp.User
	calls := func(f *passkey.Factor, u auth.User, id string) map[string]error {
		errs := map[string]error{}
		_, errs["Enrolled"] = f.Enrolled(ctx, id)
		_, _, errs["Prompt"] = f.Prompt(ctx, u)
		errs["Verify"] = f.Verify(ctx, u, nil, nil)
		_, errs["Begin"] = f.Begin(ctx, u)
		_, errs["Finish"] = f.Finish(ctx, u, nil)
		_, _, errs["Add"] = f.Add(ctx, u, nil)
		errs["Remove"] = f.Remove(ctx, id)
		_, errs["Passkeys"] = f.Passkeys(ctx, id)
		errs["Rename"] = f.Rename(ctx, id, "x", "y")
		errs["RemoveOne"] = f.RemoveOne(ctx, id, "x")
		_, errs["Known"] = f.Known(ctx, u)
		return errs
	}
	for what, errs := range map[string]map[string]error{
		"no Manager": calls(passkey.New(passkey.Config{}), u, u.ID), "no user": calls(s.passkeys, nil, ""), "a nil user": calls(s.passkeys, absent, ""),
	} {
		for method, err := range errs {
			if err == nil || what != "no Manager" && !errors.Is(err, auth.ErrUserNotFound) {
				t.Errorf("%s, %s: %v", what, method, err)
			}
		}
	}
	f := passkey.New(passkey.Config{})
	if _, _, err := f.Ask(ctx, nil); err == nil {
		t.Error("Ask without a Manager")
	}
	if _, _, err := f.Identify(ctx, nil, nil); err == nil || errors.Is(err, auth.ErrWrongFactor) {
		t.Errorf("Identify without a Manager: %v", err)
	}
	if f.Check(ctx) == nil {
		t.Error("Check without a Manager")
	}
	w := httptest.NewRecorder()
	f.RelatedOrigins().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/.well-known/webauthn", nil))
	if w.Code != http.StatusInternalServerError {
		t.Errorf("RelatedOrigins without a Manager: %d", w.Code)
	}
}

// Of a store, the log and the events, an attacker learns no challenge that waits, and nothing
// to log in with.
func TestNothingIsStoredInTheClear(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c, phone := s.enroll(t, "susan")
	visitor, waits := s.Client(t), s.Waiting(t, "susan")
	prompts := []auth.Prompt{s.begin(t, c), s.ask(t, visitor), s.second(t, waits)}
	var secrets []string
	for _, p := range prompts {
		challenge := optionsOf(t, p).PublicKey.Challenge
		secrets = append(secrets, challenge, string(decode(challenge)))
	}
	used := answer(t, phone, prompts[1])
	must(t, s.login(visitor, used))
	bogus := lying(phone, func(c *passkeytest.Ceremony) { c.BadSignature = true })
	want(t, "a bogus signature", s.show(waits, answer(t, bogus, prompts[2])), auth.ErrWrongFactor)
	other := lying(s.phone(), func(c *passkeytest.Ceremony) { c.Verified = false })
	want(t, "no PIN", s.finish(c, answer(t, other, prompts[0])), auth.ErrWrongFactor)
	var dump strings.Builder
	for _, r := range s.Spy().Given("InsertRecord", "UpdateRecord") {
		fmt.Fprintf(&dump, "%s %s %s %s\n", r.Kind, r.Key, r.UserID, r.Data)
	}
	if dump.Len() == 0 {
		t.Fatal("nothing was stored")
	}
	for _, e := range s.Events() {
		fmt.Fprintf(&dump, "%+v\n", e)
	}
	dump.WriteString(s.Logs())
	for i, secret := range secrets {
		if strings.Contains(dump.String(), secret) {
			t.Errorf("challenge %d is there", i)
		}
	}
	if strings.Contains(dump.String(), used.Get("passkey")) {
		t.Error("an answer is there")
	}
}

// Records that somebody has changed let nobody in, and can be removed.
func TestDamagedRecords(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, phone := s.enroll(t, "susan")
	u := s.find(t, "susan")
	r := s.FeatureRecord(t, u.ID, "passkey/credential/")
	for i, data := range [][]byte{nil, {1}, {2}, r.Data[:len(r.Data)-1], append(slices.Clone(r.Data), 0), append([]byte{9}, r.Data[1:]...)} {
		r = s.FeatureRecord(t, u.ID, "passkey/credential/")
		r.Data = data
		must(t, s.Store.UpdateRecord(t.Context(), r))
		s.Events()
		want(t, fmt.Sprint("record ", i), s.try(t, phone), auth.ErrWrongFactor)
		if s.CountEvents(passkey.EventUnusable) != 1 {
			t.Errorf("record %d: there is no event", i)
		}
		if has, err := s.passkeys.Enrolled(t.Context(), u.ID); !has || err != nil {
			t.Errorf("enrolled: %v, %v", has, err)
		}
		s.Waiting(t, "susan")
	}
	list := s.list(t, "susan")
	if len(list) != 1 || !list[0].Suspended {
		t.Fatalf("%+v", list)
	}
	want(t, "rename", s.passkeys.Rename(t.Context(), u.ID, list[0].ID, "x"), auth.ErrNoFactor)
	must(t, s.passkeys.RemoveOne(t.Context(), u.ID, list[0].ID))
	if left := s.list(t, "susan"); len(left) != 0 {
		t.Errorf("%+v", left)
	}
	h := s.FeatureRecord(t, u.ID, "passkey/handle/")
	h.Data = h.Data[:20]
	must(t, s.Store.UpdateRecord(t.Context(), h))
	if _, err := s.passkeys.Begin(t.Context(), u); err == nil || errors.Is(err, auth.ErrWrongFactor) {
		t.Errorf("a damaged user handle: %v", err)
	}
}

// An administrator removes all passkeys.
func TestResetFactors(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, phone := s.enroll(t, "susan")
	must(t, s.ResetFactors(t.Context(), s.find(t, "susan").ID))
	if n := len(s.list(t, "susan")); n != 0 {
		t.Errorf("%d passkeys", n)
	}
	want(t, "the passkey", s.try(t, phone), auth.ErrUnknownPasskey)
	s.fresh(t, "susan")
}
