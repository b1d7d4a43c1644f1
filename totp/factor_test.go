package totp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/totp"
)

func TestLoginWithACode(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.Verified(t, "susan")
	s.Verified(t, "david")
	secret, _ := s.enroll(t, "susan")
	c := s.Waiting(t, "susan")
	if who := c.Who(); who != "nobody" {
		t.Errorf("before the code the request is %s's", who)
	}
	if r := c.Get("/guarded"); r.StatusCode != http.StatusSeeOther {
		t.Errorf("a guard lets a pending login through: %s", r.Status)
	}
	must(t, s.Do(c, func(ctx context.Context) error {
		prompt, err := s.PromptFactor(ctx, app)
		if prompt != (auth.Prompt{Field: "code", Autocomplete: "one-time-code", Numeric: true}) {
			t.Errorf("%+v", prompt)
		}
		return err
	}))
	must(t, s.show(c, app, s.next(t, secret)))
	if l := s.LoginOf(t, c); c.Who() != "susan" || !slices.Contains(l.Methods, app) {
		t.Errorf("after the code the request is %s's, by %v", c.Who(), l.Methods)
	}
	david := s.Client(t)
	if david.Login("david"); david.Who() != "david" {
		t.Error("who has no app owes a code")
	}
}

func TestFiftyRequestsOfOneLogin(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.Verified(t, "susan")
	secret, own := s.enroll(t, "susan")
	own.Post("/logout")
	c, code := s.Waiting(t, "susan"), s.next(t, secret)
	errs := testapp.AtOnce(50, func(int) error { return s.show(c.Clone(), app, code) })
	wantOne(t, errs, auth.ErrWrongFactor, auth.ErrNoPending, auth.ErrLocked)
	if logins, err := s.Logins(t.Context(), u.ID); err != nil || len(logins) != 1 {
		t.Errorf("%d logins, %v", len(logins), err)
	}
}

func TestFiftyLoginsWithOneCode(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.Verified(t, "susan")
	secret, own := s.enroll(t, "susan")
	own.Post("/logout")
	clients := make([]*testapp.Client, 50)
	for i := range clients {
		clients[i] = s.Waiting(t, "susan")
	}
	code := s.next(t, secret)
	errs := testapp.AtOnce(len(clients), func(i int) error { return s.show(clients[i], app, code) })
	wantOne(t, errs, auth.ErrWrongFactor, auth.ErrLocked)
	if logins, err := s.Logins(t.Context(), u.ID); err != nil || len(logins) != 1 {
		t.Errorf("%d logins, %v", len(logins), err)
	}
}

// Attempts are counted, so few of the requests above get as far as the code. It works once
// without the count, too, and in several processes.
func TestFiftyTimesOneCodeInTwoProcesses(t *testing.T) {
	t.Parallel()
	clock := testapp.NewClock()
	store := memstore.New[testapp.User](memstore.WithClock(clock.Now))
	a, b := siteOn(t, store, clock, nil), siteOn(t, store, clock, nil)
	u := a.Verified(t, "susan")
	secret, _ := a.enroll(t, "susan")
	for range 20 {
		code := a.next(t, secret)
		wantOne(t, testapp.AtOnce(50, func(i int) error {
			return []*site{a, b}[i%2].totp.Verify(t.Context(), u, nil, answer(code))
		}), auth.ErrWrongFactor)
	}
}

// A code that has refreshed a login does not log in, and the other way round.
func TestCodeIsUsedOnEveryEntrance(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.Verified(t, "susan")
	secret, c := s.enroll(t, "susan")
	code := s.next(t, secret)
	want(t, "ConfirmLogin", s.Confirm(t, c, ""), auth.ErrFactorRequired)
	must(t, s.show(c, app, code))
	want(t, "a login", s.try(t, "susan", app, code), auth.ErrWrongFactor)
	want(t, "ConfirmLogin", s.Confirm(t, c, ""), auth.ErrFactorRequired)
	want(t, "a refresh", s.show(c, app, code), auth.ErrWrongFactor)
	code = s.next(t, secret)
	must(t, s.try(t, "susan", app, code))
	want(t, "a refresh after a login", s.show(c, app, code), auth.ErrWrongFactor)
	s.begin(t, c)
	want(t, "a new app", s.finish(c, code), auth.ErrWrongFactor)
}

func TestCodeOfTheEnrolmentIsUsed(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{-step, 0, step} { // the app's clock may be wrong
		s := newSite(t)
		s.Verified(t, "susan")
		c := s.Client(t)
		c.Login("susan")
		secret := s.begin(t, c).Secret.Reveal()
		code, err := totp.Code(secret, s.Clock.Now().Add(ahead))
		must(t, err)
		must(t, s.finish(c, code))
		for range 3 {
			want(t, "the first login", s.try(t, "susan", app, code), auth.ErrWrongFactor)
			s.Clock.Advance(step)
		}
		must(t, s.try(t, "susan", app, s.code(t, secret)))
	}
}

func TestFiveWrongCodesEndThePendingLogin(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.Verified(t, "susan")
	secret, _ := s.enroll(t, "susan")
	code := s.next(t, secret)
	c := s.Waiting(t, "susan")
	for range 5 {
		want(t, "a wrong code", s.show(c, app, other(code)), auth.ErrWrongFactor)
	}
	s.Clock.Advance(time.Minute)
	want(t, "the right one", s.show(c, app, s.code(t, secret)), auth.ErrNoPending)
	must(t, s.try(t, "susan", app, s.next(t, secret)))
}

// Wrong codes at a refresh and at logins are one count, whatever the browser. While it is
// locked, the right code is refused too, and is not used up.
func TestWrongCodesAreOneCount(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.Verified(t, "susan")
	secret, c := s.enroll(t, "susan")
	code := s.next(t, secret)
	want(t, "ConfirmLogin", s.Confirm(t, c, ""), auth.ErrFactorRequired)
	for range 2 {
		want(t, "at a refresh", s.show(c, app, other(code)), auth.ErrWrongFactor)
	}
	s.begin(t, c)
	want(t, "at an enrolment", s.finish(c, other(code)), auth.ErrWrongFactor)
	for range 2 {
		want(t, "at a login", s.try(t, "susan", app, other(code)), auth.ErrWrongFactor)
	}
	for range 3 {
		want(t, "the right code at a login", s.try(t, "susan", app, code), auth.ErrLocked)
		want(t, "a wrong one", s.try(t, "susan", app, other(code)), auth.ErrLocked)
	}
	s.Clock.Advance(step)
	must(t, s.try(t, "susan", app, code))
}

// After a hundred wrong codes in a row none is looked at. Recovery codes work, and let the
// user, or an administrator, unlock the app.
func TestHundredWrongCodesDisableTheApp(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.Verified(t, "susan")
	secret, c := s.enroll(t, "susan")
	codes := s.newCodes(t, c)
	s.mails.Take()
	for i := range 100 {
		s.Clock.Advance(time.Hour)
		want(t, fmt.Sprint("wrong code ", i+1), s.try(t, "susan", app, other(s.code(t, secret))), auth.ErrWrongFactor)
	}
	s.Clock.Advance(24 * time.Hour)
	want(t, "the right code", s.try(t, "susan", app, s.code(t, secret)), auth.ErrLocked)
	if mails := s.mails.Take(); len(mails) != 1 || mails[0].Kind != auth.MailFactorDisabled || mails[0].Factor != app {
		t.Errorf("mails %+v", mails)
	}
	c = s.Waiting(t, "susan")
	must(t, s.show(c, recovery, codes[0]))
	must(t, s.Do(c, func(ctx context.Context) error { return s.UnlockFactor(ctx, app) }))
	must(t, s.try(t, "susan", app, s.code(t, secret)))
	for range 5 {
		_ = s.try(t, "susan", app, other(s.code(t, secret)))
	}
	must(t, s.Unlock(t.Context(), u.ID))
	must(t, s.try(t, "susan", app, s.next(t, secret)))
}

// If the store fails before the code is compared, the attempt is taken off the count and the
// code works later. If it fails after it has stored the step, the code is used up.
func TestStoreFailsAtACode(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.Verified(t, "susan")
	secret, _ := s.enroll(t, "susan")
	fails := func(method string) func(context.Context, testapp.Call) error {
		return func(_ context.Context, c testapp.Call) error {
			if c.Method == method && c.Kind == "feature" {
				return testapp.ErrStore
			}
			return nil
		}
	}
	code := s.next(t, secret)
	for range 10 {
		c := s.Waiting(t, "susan")
		s.Spy().HookCalls(fails("UpdateRecord"), nil)
		err := s.show(c, app, code)
		s.Spy().Reset()
		want(t, "before the step is stored", err, testapp.ErrStore)
	}
	c := s.Waiting(t, "susan")
	s.Spy().HookCalls(nil, fails("UpdateRecord"))
	err := s.show(c, app, code)
	s.Spy().Reset()
	want(t, "after it is stored", err, testapp.ErrStore)
	if who := c.Who(); who != "nobody" {
		t.Errorf("the request is %s's", who)
	}
	want(t, "the code again", s.try(t, "susan", app, code), auth.ErrWrongFactor)
	must(t, s.try(t, "susan", app, s.next(t, secret)))
}

func TestWhatEndsAPendingLogin(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*site, *testapp.User, *testapp.Client) error{
		"a new Stamp": func(s *site, u *testapp.User, _ *testapp.Client) error {
			a := u.Clone()
			a.Stamp = auth.NewSecret("another")
			return s.Store.UpdateAccount(t.Context(), a)
		},
		"the account is disabled": func(s *site, u *testapp.User, _ *testapp.Client) error { return s.Disable(t.Context(), u.ID) },
		"the app is removed": func(s *site, u *testapp.User, _ *testapp.Client) error {
			return s.ResetFactors(t.Context(), u.ID)
		},
		"another user logs in": func(_ *site, _ *testapp.User, c *testapp.Client) error {
			c.Login("david")
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			u := s.Verified(t, "susan")
			s.Verified(t, "david")
			secret, _ := s.enroll(t, "susan")
			c := s.Waiting(t, "susan")
			must(t, end(s, s.Stored(t, u.ID), c))
			want(t, "the code", s.show(c, app, s.next(t, secret)), auth.ErrNoPending)
			if who := c.Who(); who == "susan" {
				t.Errorf("the request is %s's", who)
			}
		})
	}
}

// A new secret is apart from the old one until a code of the new one has come.
func TestReplaceTheApp(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.Verified(t, "susan")
	old, c := s.enroll(t, "susan")
	fresh := s.begin(t, c)
	if fresh.Secret.Reveal() == old {
		t.Fatal("the secret that is set up is shown again")
	}
	if again := s.begin(t, c); !again.Secret.Equal(fresh.Secret) || !again.URL.Equal(fresh.URL) || !again.SVG.Equal(fresh.SVG) {
		t.Error("a reload shows another secret")
	}
	s.Clock.Advance(5 * time.Minute)
	must(t, s.try(t, "susan", app, s.code(t, old)))
	want(t, "the new app too early", s.try(t, "susan", app, s.code(t, fresh.Secret.Reveal())), auth.ErrWrongFactor)
	s.Clock.Advance(step)
	want(t, "the old app's code for the new secret", s.finish(c, s.code(t, old)), auth.ErrWrongFactor)
	must(t, s.finish(c, s.code(t, fresh.Secret.Reveal())))
	s.Clock.Advance(step)
	want(t, "the old app", s.try(t, "susan", app, s.code(t, old)), auth.ErrWrongFactor)
	must(t, s.try(t, "susan", app, s.code(t, fresh.Secret.Reveal())))
	want(t, "a second time", s.finish(c, s.next(t, fresh.Secret.Reveal())), auth.ErrWrongFactor)
	if left := s.FeatureRecords(t, u.ID); len(left) != 1 {
		t.Errorf("%d records are left", len(left))
	}
	s.Clock.Advance(10 * 365 * 24 * time.Hour)
	must(t, s.try(t, "susan", app, s.code(t, fresh.Secret.Reveal())))
	s.Clock.Advance(10 * 365 * 24 * time.Hour)
	must(t, s.try(t, "susan", app, s.code(t, fresh.Secret.Reveal())))
}

func TestSecretThatIsNotConfirmedEnds(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.Verified(t, "susan")
	c := s.Client(t)
	c.Login("susan")
	first := s.begin(t, c).Secret.Reveal()
	s.Clock.Advance(10*time.Minute - time.Second)
	if again := s.begin(t, c).Secret.Reveal(); again != first {
		t.Error("it has ended too early")
	}
	s.Clock.Advance(time.Second)
	if left := s.FeatureRecords(t, u.ID); len(left) != 0 {
		t.Errorf("%d records are left", len(left))
	}
	s.Enter(t, c, u)
	want(t, "after ten minutes", s.finish(c, s.code(t, first)), auth.ErrWrongFactor)
	second := s.begin(t, c).Secret.Reveal()
	if second == first {
		t.Error("it goes on for ever")
	}
	if has, err := s.totp.Enrolled(t.Context(), u.ID); has || err != nil {
		t.Errorf("enrolled: %v, %v", has, err)
	}
	must(t, s.finish(c, s.code(t, second)))
}

// An attacker in a session may have seen a secret that waits. After the owner has changed
// the password, which sets a new Stamp, it is not shown to the owner.
func TestSecretThatWaitsEndsWithTheStamp(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.Verified(t, "susan")
	c := s.Client(t)
	c.Login("susan")
	seen := s.begin(t, c).Secret.Reveal()
	a := u.Clone()
	a.Stamp = auth.NewSecret("another")
	must(t, s.Store.UpdateAccount(t.Context(), a))
	owner := s.Client(t)
	owner.Login("susan")
	want(t, "a code of it", s.finish(owner, s.code(t, seen)), auth.ErrWrongFactor)
	if s.begin(t, owner).Secret.Reveal() == seen {
		t.Error("the owner sets up a secret that an attacker has seen")
	}
}

func TestBeginAtOnceShowsOneSecret(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.Verified(t, "susan")
	secrets := make([]string, 50)
	for _, err := range testapp.AtOnce(len(secrets), func(i int) error {
		setup, err := s.totp.Begin(t.Context(), u)
		secrets[i] = setup.Secret.Reveal()
		return err
	}) {
		must(t, err)
	}
	if slices.Sort(secrets); secrets[0] != secrets[49] {
		t.Error("two secrets were shown, of which one will not work")
	}
}

// Of two EnrollFactor with the same code, one goes through; and save does not rely on it.
func TestFinishTwice(t *testing.T) {
	t.Parallel()
	t.Run("in two requests", func(t *testing.T) {
		s := newSite(t)
		s.Verified(t, "susan")
		c, other := s.Client(t), s.Client(t)
		c.Login("susan")
		other.Login("susan")
		secret := s.begin(t, c).Secret.Reveal()
		code := s.code(t, secret)
		errs := testapp.AtOnce(2, func(i int) error { return s.finish([]*testapp.Client{c, other}[i], code) })
		wantOne(t, errs, auth.ErrConflict, auth.ErrNotLoggedIn, auth.ErrWrongFactor, auth.ErrReplaced, auth.ErrNotFresh)
		want(t, "a login", s.try(t, "susan", app, code), auth.ErrWrongFactor)
		must(t, s.try(t, "susan", app, s.next(t, secret)))
	})
	t.Run("and save twice", func(t *testing.T) {
		s := newSite(t)
		u := s.Verified(t, "susan")
		setup, err := s.totp.Begin(t.Context(), u)
		must(t, err)
		secret := setup.Secret.Reveal()
		first := s.code(t, secret)
		saveFirst, err := s.totp.Finish(t.Context(), u, answer(first))
		must(t, err)
		later := s.next(t, secret)
		saveLater, err := s.totp.Finish(t.Context(), u, answer(later))
		must(t, err)
		must(t, saveLater(t.Context()))
		must(t, saveFirst(t.Context()))
		for _, code := range []string{first, later} {
			want(t, "a code that was used", s.totp.Verify(t.Context(), u, nil, answer(code)), auth.ErrWrongFactor)
		}
	})
	t.Run("with two secrets", func(t *testing.T) {
		s := newSite(t)
		u := s.Verified(t, "susan")
		setup, err := s.totp.Begin(t.Context(), u)
		must(t, err)
		save, err := s.totp.Finish(t.Context(), u, answer(s.code(t, setup.Secret.Reveal())))
		must(t, err)
		must(t, s.totp.Give(t.Context(), u.ID, []byte(vectorSecret)))
		want(t, "save", save(t.Context()), auth.ErrConflict)
		must(t, s.totp.Verify(t.Context(), u, nil, answer(s.code(t, base32OfVector))))
	})
	t.Run("after another app was replaced", func(t *testing.T) {
		s := newSite(t)
		u := s.Verified(t, "susan")
		must(t, s.totp.Give(t.Context(), u.ID, []byte(vectorSecret)))
		finish := func(u *testapp.User) (secret string, save func(context.Context) error) {
			setup, err := s.totp.Begin(t.Context(), u)
			must(t, err)
			secret = setup.Secret.Reveal()
			save, err = s.totp.Finish(t.Context(), u, answer(s.code(t, secret)))
			must(t, err)
			return secret, save
		}
		_, saveFirst := finish(u)
		later := &testapp.User{Account: u.Clone()}
		later.Stamp = auth.NewSecret("another")
		secret, saveLater := finish(later)
		must(t, saveLater(t.Context()))
		want(t, "save", saveFirst(t.Context()), auth.ErrConflict)
		must(t, s.totp.Verify(t.Context(), u, nil, answer(s.next(t, secret))))
	})
	t.Run("over a record that cannot be opened", func(t *testing.T) {
		for data, conflict := range map[string]error{"damaged": nil, "damaged otherwise": auth.ErrConflict} {
			s := newSite(t)
			u := s.Verified(t, "susan")
			must(t, s.totp.Give(t.Context(), u.ID, []byte(vectorSecret)))
			s.overwrite(t, u.ID, "totp/secret/", []byte("damaged"))
			setup, err := s.totp.Begin(t.Context(), u)
			must(t, err)
			save, err := s.totp.Finish(t.Context(), u, answer(s.code(t, setup.Secret.Reveal())))
			must(t, err)
			s.overwrite(t, u.ID, "totp/secret/", []byte(data))
			want(t, "save over a record that is "+data, save(t.Context()), conflict)
		}
	})
	t.Run("while the app is removed", func(t *testing.T) {
		s := newSite(t)
		u := s.Verified(t, "susan")
		must(t, s.totp.Give(t.Context(), u.ID, []byte(vectorSecret)))
		setup, err := s.totp.Begin(t.Context(), u)
		must(t, err)
		save, err := s.totp.Finish(t.Context(), u, answer(s.code(t, setup.Secret.Reveal())))
		must(t, err)
		must(t, s.totp.Remove(t.Context(), u.ID))
		want(t, "save", save(t.Context()), auth.ErrConflict)
		if has, err := s.totp.Enrolled(t.Context(), u.ID); has || err != nil {
			t.Errorf("enrolled: %v, %v", has, err)
		}
	})
}

// What a client sends besides the code changes nothing.
func TestOtherFieldsAreIgnored(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u, david := s.Verified(t, "susan"), s.Verified(t, "david")
	c := s.Client(t)
	c.Login("susan")
	secret := s.begin(t, c).Secret.Reveal()
	const mine = base32OfVector
	with := func(code string) url.Values {
		return url.Values{"code": {code}, "secret": {mine}, "user_id": {david.ID}, "user": {"david"}, "step": {"0"}, "digits": {"1"}}
	}
	enroll := func(code string) error {
		return s.Do(c, func(ctx context.Context) error { return s.EnrollFactor(ctx, app, with(code)) })
	}
	want(t, "a code of a secret that the client brings", enroll(s.code(t, mine)), auth.ErrWrongFactor)
	must(t, enroll(s.code(t, secret)))
	if len(s.FeatureRecords(t, david.ID)) != 0 {
		t.Error("david has records")
	}
	want(t, "the same at a login", s.totp.Verify(t.Context(), u, nil, with(s.code(t, mine))), auth.ErrWrongFactor)
	must(t, s.totp.Verify(t.Context(), u, nil, with(s.next(t, secret))))
}

// Nobody who reads the store, the log or the events learns a secret or a code.
func TestNothingIsStoredInTheClear(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.Verified(t, "susan")
	c := s.Client(t)
	c.Login("susan")
	setup := s.begin(t, c)
	s.Spy().Reset()
	waits := s.FeatureRecords(t, u.ID)
	code := s.code(t, setup.Secret.Reveal())
	must(t, s.finish(c, code))
	codes := s.newCodes(t, c)
	once, err := s.recovery.OneTimeCode(t.Context(), u.ID)
	must(t, err)
	used := s.next(t, setup.Secret.Reveal())
	must(t, s.try(t, "susan", app, used))
	_ = s.try(t, "susan", app, used)
	must(t, s.try(t, "susan", recovery, codes[3]))
	_ = s.try(t, "susan", recovery, codes[3])

	secret := strings.ReplaceAll(setup.Secret.Reveal(), " ", "")
	hidden := map[string]string{"the secret": secret, "its groups": setup.Secret.Reveal(), "a code": code, "a used code": used, "a one-time code": once.Reveal()}
	raw, err := rawSecret(secret)
	must(t, err)
	hidden["the secret's bytes"] = string(raw)
	for i, code := range codes {
		hidden[fmt.Sprint("recovery code ", i)] = code
		hidden[fmt.Sprint("the characters of code ", i)] = strings.ReplaceAll(code, "-", "")
	}
	var dump bytes.Buffer
	for _, r := range slices.Concat(waits, s.FeatureRecords(t, u.ID), s.Spy().Given("InsertRecord", "UpdateRecord")) {
		if !strings.HasPrefix(r.Key, "totp/") && !strings.HasPrefix(r.Key, "recovery-code/") {
			continue
		}
		// A six-digit number may be part of a key or a sealed text by chance, but there is
		// nothing but hashes and sealed texts.
		if strings.HasPrefix(r.Key, "totp/") && bytes.ContainsFunc(r.Data, func(c rune) bool { return !isBase64URL(c) }) {
			t.Errorf("%s is not a sealed text: %q", r.Key, r.Data)
		}
		_, _ = fmt.Fprintf(&dump, "%s %s %s\n", r.Key, r.UserID, r.Data)
	}
	if dump.Len() < 1000 {
		t.Fatalf("the dump has %d bytes", dump.Len())
	}
	logged := s.Logs() + fmt.Sprintf("%+v", s.Events())
	for what, text := range hidden {
		if strings.Contains(dump.String(), text) && len(text) > 6 {
			t.Errorf("%s is in the store", what)
		}
		if strings.Contains(logged, text) {
			t.Errorf("%s is in the log or in an event", what)
		}
	}
	if printed := fmt.Sprintf("%+v %#v", setup, once); strings.Contains(printed, secret[:4]) || strings.Contains(printed, "svg") {
		t.Error("a Setup prints its secret")
	}
}

func isBase64URL(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// The first factor ends what was there before, and the owner gets a mail.
func TestFirstAppEndsOtherLogins(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.Verified(t, "susan")
	other, device := s.Client(t), s.Client(t)
	other.Login("susan")
	s.Enter(t, device, u, auth.Remember(true))
	_, c := s.enroll(t, "susan")
	if device.Restart(); other.Who() != "nobody" || device.Who() != "nobody" || c.Who() != "susan" {
		t.Errorf("the other login is %s's, the device %s's, the own login %s's", other.Who(), device.Who(), c.Who())
	}
	if mails := s.mails.Take(); len(mails) != 1 || mails[0].Kind != auth.MailFactorAdded || mails[0].Factor != app {
		t.Errorf("mails %+v", mails)
	}
	if l := s.LoginOf(t, c); !slices.Contains(l.Methods, app) {
		t.Errorf("the login has shown %v", l.Methods)
	}
}

func TestRemoveTheApp(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.Verified(t, "susan")
	_, c := s.enroll(t, "susan")
	s.begin(t, c)
	s.newCodes(t, c)
	must(t, s.Do(c, func(ctx context.Context) error { return s.RemoveFactor(ctx, app) }))
	if left := s.FeatureRecords(t, u.ID); len(left) != 0 {
		t.Errorf("%d records are left", len(left))
	}
	again := s.Client(t)
	if again.Login("susan"); again.Who() != "susan" {
		t.Error("a login owes a factor")
	}
	must(t, s.totp.Remove(t.Context(), u.ID))
	must(t, s.recovery.Remove(t.Context(), u.ID))
}

// If Config.Secrets are rotated, the next code that is right moves the secret on.
func TestRotatedSecrets(t *testing.T) {
	t.Parallel()
	clock := testapp.NewClock()
	store := memstore.New[testapp.User](memstore.WithClock(clock.Now))
	with := func(secrets ...string) *site {
		return siteOn(t, store, clock, func(cfg *auth.Config) {
			cfg.Secrets = nil
			for _, secret := range secrets {
				cfg.Secrets = append(cfg.Secrets, []byte(secret))
			}
		})
	}
	before := with(secretOfOld)
	u := before.Verified(t, "susan")
	secret, _ := before.enroll(t, "susan")
	want(t, "before the rotation", with(secretOfNew).totp.Verify(t.Context(), u, nil, answer(before.next(t, secret))), auth.ErrWrongFactor)
	between := with(secretOfNew, secretOfOld)
	want(t, "a wrong code", between.totp.Verify(t.Context(), u, nil, answer(other(before.code(t, secret)))), auth.ErrWrongFactor)
	must(t, between.totp.Verify(t.Context(), u, nil, answer(before.code(t, secret))))
	after := with(secretOfNew)
	must(t, after.totp.Verify(t.Context(), u, nil, answer(before.next(t, secret))))
	want(t, "the old key alone", before.totp.Verify(t.Context(), u, nil, answer(before.next(t, secret))), auth.ErrWrongFactor)
}

// A record that cannot be opened locks the app, and never opens the account. Recovery codes
// and an administrator's code work, and the app can be set up again.
func TestRecordThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, s *site, u *testapp.User) *site{
		"its key is gone": func(t *testing.T, s *site, _ *testapp.User) *site {
			return siteOn(t, s.Store, s.Clock, func(cfg *auth.Config) { cfg.Secrets = [][]byte{[]byte(secretOfNone)} })
		},
		"it is damaged": func(t *testing.T, s *site, u *testapp.User) *site {
			data := bytes.Clone(s.FeatureRecord(t, u.ID, "totp/secret/").Data)
			data[len(data)/2] ^= 1
			s.overwrite(t, u.ID, "totp/secret/", data)
			return s
		},
		"it is empty": func(t *testing.T, s *site, u *testapp.User) *site {
			s.overwrite(t, u.ID, "totp/secret/", nil)
			return s
		},
		"it is another user's": func(t *testing.T, s *site, u *testapp.User) *site {
			attacker := s.Verified(t, "attacker")
			must(t, s.totp.Give(t.Context(), attacker.ID, []byte(vectorSecret)))
			s.overwrite(t, u.ID, "totp/secret/", s.FeatureRecord(t, attacker.ID, "totp/secret/").Data)
			return s
		},
		"it is a secret that waits": func(t *testing.T, s *site, u *testapp.User) *site {
			_, err := s.totp.Begin(t.Context(), s.Stored(t, u.ID))
			must(t, err)
			s.overwrite(t, u.ID, "totp/secret/", s.FeatureRecord(t, u.ID, "totp/pending/").Data)
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			u := s.Verified(t, "susan")
			secret, c := s.enroll(t, "susan")
			codes := s.newCodes(t, c)
			s = spoil(t, s, u)
			s.Events()
			if has, err := s.totp.Enrolled(t.Context(), u.ID); !has || err != nil {
				t.Errorf("enrolled: %v, %v", has, err)
			}
			for _, secret := range []string{secret, base32OfVector} {
				want(t, "a code", s.try(t, "susan", app, s.next(t, secret)), auth.ErrWrongFactor)
				if n := s.CountEvents(totp.EventUnusable); n != 1 {
					t.Errorf("%d events", n)
				}
			}
			once, err := s.recovery.OneTimeCode(t.Context(), u.ID)
			must(t, err)
			must(t, s.try(t, "susan", recovery, once.Reveal()))
			c = s.Waiting(t, "susan")
			must(t, s.show(c, recovery, codes[0]))
			fresh := s.begin(t, c).Secret.Reveal()
			must(t, s.finish(c, s.code(t, fresh)))
			must(t, s.try(t, "susan", app, s.next(t, fresh)))
			if n := s.CountEvents(totp.EventUnusable); n != 0 {
				t.Errorf("%d events of a record that can be opened", n)
			}
		})
	}
}

// A record under the user's key that says it belongs to somebody else is removed, too.
func TestRemoveARecordThatWasMoved(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u, david := s.Verified(t, "susan"), s.Verified(t, "david")
	must(t, s.totp.Give(t.Context(), u.ID, []byte(vectorSecret)))
	r, err := s.Store.TakeRecord(t.Context(), "feature", s.FeatureRecord(t, u.ID, "totp/secret/").Key)
	must(t, err)
	r.UserID = david.ID
	must(t, s.Store.InsertRecord(t.Context(), r))
	must(t, s.totp.Remove(t.Context(), u.ID))
	if has, err := s.totp.Enrolled(t.Context(), u.ID); has || err != nil {
		t.Errorf("enrolled: %v, %v", has, err)
	}
}

// If no code of any user is right, the log says so once, and no code is let through.
func TestServerWithAWrongClock(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{-10 * time.Minute, 10 * time.Minute} {
		s := newSite(t)
		u := s.Verified(t, "susan")
		secret, _ := s.enroll(t, "susan")
		s.Clock.Advance(step)
		s.Events()
		wrong := func(n int) {
			for range n {
				s.Clock.Advance(time.Second)
				code, err := totp.Code(secret, s.Clock.Now().Add(off))
				must(t, err)
				want(t, "a code", s.totp.Verify(t.Context(), u, nil, answer(code)), auth.ErrWrongFactor)
			}
		}
		wrong(19)
		code := s.next(t, secret)
		must(t, s.totp.Verify(t.Context(), u, nil, answer(code)))
		wrong(19)
		want(t, "a used code, which is one of the time", s.totp.Verify(t.Context(), u, nil, answer(code)), auth.ErrWrongFactor)
		wrong(19)
		if n := s.CountEvents(totp.EventAllWrong); n != 0 {
			t.Errorf("%d events though codes were right", n)
		}
		wrong(1)
		if n := s.CountEvents(totp.EventAllWrong); n != 1 {
			t.Errorf("%d events after 20 wrong codes", n)
		}
		wrong(100)
		if n := s.CountEvents(totp.EventAllWrong); n != 0 {
			t.Errorf("%d more events", n)
		}
		s.Clock.Advance(10 * time.Minute)
		wrong(20)
		if n := s.CountEvents(totp.EventAllWrong); n != 1 {
			t.Errorf("%d events of the next ten minutes", n)
		}
		must(t, s.totp.Verify(t.Context(), u, nil, answer(s.next(t, secret))))
		for range 30 { // one in a minute is no sign of anything
			s.Clock.Advance(time.Minute - time.Second)
			wrong(1)
		}
		if n := s.CountEvents(totp.EventAllWrong); n != 0 {
			t.Errorf("%d events of single codes", n)
		}
		if n := strings.Count(s.Logs(), "totp.all-wrong"); n != 2 {
			t.Errorf("%d lines in the log", n)
		}
	}
}

// Without a user there is no factor, and no panic either.
func TestNobody(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for name, user := range map[string]auth.User{"nil": nil, "a nil pointer": (*testapp.User)(nil), "no ID": &testapp.User{}, "no account": noAccount{}} {
		t.Run(name, func(t *testing.T) {
			_, began := s.totp.Begin(t.Context(), user)
			_, finished := s.totp.Finish(t.Context(), user, answer("123456"))
			_, _, generated := s.recovery.Generate(t.Context(), user)
			for i, err := range []error{
				began, finished, generated, s.totp.Verify(t.Context(), user, nil, answer("123456")),
				s.recovery.Verify(t.Context(), user, nil, answer(strings.Repeat("0", 24))),
			} {
				want(t, fmt.Sprint("call ", i), err, auth.ErrUserNotFound)
			}
		})
	}
	_, has := s.totp.Enrolled(t.Context(), "")
	_, hasCodes := s.recovery.Enrolled(t.Context(), "")
	_, left := s.recovery.Left(t.Context(), "")
	_, once := s.recovery.OneTimeCode(t.Context(), "")
	_, unknown := s.recovery.OneTimeCode(t.Context(), "unknown")
	for i, err := range []error{has, hasCodes, left, once, unknown, s.totp.Remove(t.Context(), ""), s.recovery.Remove(t.Context(), "")} {
		want(t, fmt.Sprint("without an ID, call ", i), err, auth.ErrUserNotFound)
	}
	// Somebody who has no app, and an account that is deleted meanwhile.
	u := s.Verified(t, "susan")
	want(t, "Verify", s.totp.Verify(t.Context(), u, nil, answer("123456")), auth.ErrWrongFactor)
	want(t, "Verify", s.recovery.Verify(t.Context(), u, nil, answer(strings.Repeat("0", 24))), auth.ErrWrongFactor)
	_, err := s.totp.Finish(t.Context(), u, answer("123456"))
	want(t, "Finish", err, auth.ErrWrongFactor)
	_, err = s.totp.Begin(t.Context(), &testapp.User{Account: auth.Account{ID: "gone"}})
	want(t, "Begin", err, auth.ErrUserNotFound)
}

type noAccount struct{}

func (noAccount) AuthAccount() *auth.Account { return nil }

// A long ID is no longer in the keys.
func TestLongIDs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, id := range []string{strings.Repeat("x", 255), strings.Repeat("x", 254) + "y", "a/b", "ä"} {
		u, err := s.Store.CreateUser(t.Context(), auth.Account{ID: id, Stamp: auth.NewSecret("stamp"), Version: 1}, nil)
		must(t, err)
		setup, err := s.totp.Begin(t.Context(), u)
		must(t, err)
		save, err := s.totp.Finish(t.Context(), u, answer(s.code(t, setup.Secret.Reveal())))
		must(t, err)
		must(t, save(t.Context()))
		must(t, s.totp.Verify(t.Context(), u, nil, answer(s.next(t, setup.Secret.Reveal()))))
		codes, save, err := s.recovery.Generate(t.Context(), u)
		must(t, err)
		must(t, save(t.Context()))
		must(t, s.recovery.Verify(t.Context(), u, nil, answer(codes[0])))
	}
}

// A factor belongs to one Manager, and its issuer is a name.
func TestBind(t *testing.T) {
	t.Parallel()
	bind := func(base string, factors ...auth.Factor) error {
		_, err := auth.New(memstore.New[testapp.User](), auth.Config{BaseURL: base, Secrets: [][]byte{[]byte(secretOfOld)}, Factors: factors})
		return err
	}
	for _, name := range []string{"", " ", "a:b", "a\n", " a", strings.Repeat("x", 65), "\xff", "a\x00"} {
		if err := bind("https://app.example", totp.New(totp.Issuer(name))); err == nil || !strings.Contains(err.Error(), "totp.Issuer") {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, base := range []string{"https://app.example:8443", "http://[::1]:8080", "http://localhost"} {
		must(t, bind(base, totp.New()))
	}
	f, r := totp.New(totp.Issuer("Example & Söhne")), totp.RecoveryCodes()
	must(t, bind("https://app.example", f, r))
	for _, factor := range []auth.Factor{f, r} {
		if err := bind("https://app.example", factor); err == nil || !strings.Contains(err.Error(), "another Manager") {
			t.Errorf("%s in two Managers: %v", factor.Name(), err)
		}
	}
	u := &testapp.User{Account: auth.Account{ID: "1"}}
	loose, codes := totp.New(), totp.RecoveryCodes()
	_, enrolled := loose.Enrolled(t.Context(), "1")
	_, began := loose.Begin(t.Context(), u)
	_, left := codes.Left(t.Context(), "1")
	for i, err := range []error{enrolled, began, left, loose.Verify(t.Context(), u, nil, answer("123456"))} {
		if err == nil || errors.Is(err, auth.ErrWrongFactor) || !strings.Contains(err.Error(), "Config.Factors") {
			t.Errorf("call %d of a factor that is not in use: %v", i, err)
		}
	}
}

// other returns a code that is not this one, and unlikely to be one of its neighbours.
func other(code string) string {
	if code[0] == '9' {
		return "0" + code[1:]
	}
	return string(code[0]+1) + code[1:]
}

// A reset by mail sets a new password, and the next login asks for the factor all the same.
// Logins that waited for a factor end.
func TestResetKeepsTheFactor(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.Verified(t, "susan")
	secret, _ := s.enroll(t, "susan")
	c := s.Waiting(t, "susan")
	token, err := s.ResetToken(t.Context(), s.Stored(t, u.ID))
	must(t, err)
	_, err = s.ResetPassword(t.Context(), token, "another good password")
	must(t, err)
	want(t, "the login that waited", s.show(c, app, s.next(t, secret)), auth.ErrNoPending)
	must(t, s.try(t, "susan", app, s.next(t, secret)))
}
