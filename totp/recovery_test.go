package totp_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/totp"
)

// generate makes codes without the rest of NewRecoveryCodes.
func (s *site) generate(t testing.TB, u auth.User) []string {
	t.Helper()
	codes, save, err := s.recovery.Generate(t.Context(), u)
	must(t, err)
	must(t, save(t.Context()))
	return codes
}

func TestLoginWithARecoveryCode(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.Verified(t, "susan")
	_, c := s.enroll(t, "susan")
	codes := s.newCodes(t, c)
	if len(codes) != 10 || len(slices.Compact(slices.Sorted(slices.Values(codes)))) != 10 {
		t.Errorf("%d codes", len(codes))
	}
	for _, code := range codes {
		if !regexp.MustCompile(`^[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){5}$`).MatchString(code) {
			t.Errorf("a code of %d characters", len(code))
		}
	}
	s.mails.Take()
	for i, code := range codes {
		c := s.Waiting(t, "susan")
		must(t, s.Do(c, func(ctx context.Context) error {
			pending, err := s.Pending(ctx)
			if !slices.Equal(pending.Missing, []string{app, recovery}) {
				t.Errorf("missing %v", pending.Missing)
			}
			prompt, failed := s.PromptFactor(ctx, recovery)
			if prompt != (auth.Prompt{Field: "code", Autocomplete: "off"}) {
				t.Errorf("%+v", prompt)
			}
			return errors.Join(err, failed)
		}))
		must(t, s.show(c, recovery, code))
		if l := s.LoginOf(t, c); c.Who() != "susan" || !slices.Contains(l.Methods, recovery) {
			t.Errorf("the request is %s's, by %v", c.Who(), l.Methods)
		}
		if left, err := s.recovery.Left(t.Context(), u.ID); left != 9-i || err != nil {
			t.Errorf("%d left, %v", left, err)
		}
		if mails := s.mails.Take(); len(mails) != 1 || mails[0].Kind != auth.MailRecoveryCodeUsed || mails[0].Left != 9-i {
			t.Errorf("mails %+v", mails)
		}
		if i < 9 {
			want(t, "a second time", s.try(t, "susan", recovery, code), auth.ErrWrongFactor)
		}
	}
	// None is left: the factor is none that a login could ask for.
	if has, err := s.recovery.Enrolled(t.Context(), u.ID); has || err != nil {
		t.Errorf("enrolled: %v, %v", has, err)
	}
	want(t, "a code then", s.try(t, "susan", recovery, codes[0]), auth.ErrNoPending)
}

// People type codes in many ways.
func TestSpellingsOfARecoveryCode(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.Verified(t, "susan")
	replace := func(pairs ...string) func(string) string { return strings.NewReplacer(pairs...).Replace }
	spellings := map[string]func(string) string{
		"as shown":            func(code string) string { return code },
		"in lower case":       strings.ToLower,
		"without hyphens":     replace("-", ""),
		"with spaces":         replace("-", " "),
		"with NBSP":           replace("-", "\u00a0"),
		"pasted with its end": func(code string) string { return " " + code + "\r\n" },
		"O for 0":             replace("0", "O"),
		"o for 0":             replace("0", "o"),
		"I for 1":             replace("1", "I"),
		"i for 1":             replace("1", "i"),
		"L for 1":             replace("1", "L"),
		"l for 1":             replace("1", "l"),
	}
	for name, spell := range spellings {
		for {
			code := s.generate(t, u)[4]
			typed := spell(code)
			if typed == code && name != "as shown" { // there is no such character in it
				continue
			}
			if err := s.recovery.Verify(t.Context(), u, nil, answer(typed)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			want(t, name+", a second time", s.recovery.Verify(t.Context(), u, nil, answer(code)), auth.ErrWrongFactor)
			break
		}
	}
	code := s.generate(t, u)[0]
	s.Spy().Reset()
	for _, typed := range []string{"", code[1:], code + "0", strings.Replace(code, code[:1], "U", 1), strings.Replace(code, code[:1], "é", 1), code + strings.Repeat(" ", 1<<20), code + "\x00"} {
		want(t, fmt.Sprintf("%.40q", typed), s.recovery.Verify(t.Context(), u, nil, answer(typed)), auth.ErrWrongFactor)
	}
	want(t, "two codes", s.recovery.Verify(t.Context(), u, nil, map[string][]string{"code": {code, code}}), auth.ErrWrongFactor)
	if calls := s.Spy().Calls(); len(calls) != 0 {
		t.Errorf("the store was asked about what is no code: %v", calls)
	}
	must(t, s.recovery.Verify(t.Context(), u, nil, answer(code)))
}

func TestFiftyTimesOneRecoveryCode(t *testing.T) {
	t.Parallel()
	t.Run("in fifty logins", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		u := s.Verified(t, "susan")
		_, c := s.enroll(t, "susan")
		codes := s.newCodes(t, c)
		c.Post("/logout")
		clients := make([]*testapp.Client, 50)
		for i := range clients {
			clients[i] = s.Waiting(t, "susan")
		}
		wantOne(t, testapp.AtOnce(len(clients), func(i int) error { return s.show(clients[i], recovery, codes[0]) }), auth.ErrWrongFactor)
		if logins, err := s.Logins(t.Context(), u.ID); err != nil || len(logins) != 1 {
			t.Errorf("%d logins, %v", len(logins), err)
		}
		if left, err := s.recovery.Left(t.Context(), u.ID); left != 9 || err != nil {
			t.Errorf("%d left, %v", left, err)
		}
	})
	t.Run("in two processes", func(t *testing.T) {
		t.Parallel()
		clock := testapp.NewClock()
		store := memstore.New[testapp.User](memstore.WithClock(clock.Now))
		a, b := siteOn(t, store, clock, nil), siteOn(t, store, clock, nil)
		u := a.Verified(t, "susan")
		once, err := a.recovery.OneTimeCode(t.Context(), u.ID)
		must(t, err)
		for _, code := range append(a.generate(t, u), once.Reveal()) {
			wantOne(t, testapp.AtOnce(50, func(i int) error {
				return []*site{a, b}[i%2].recovery.Verify(t.Context(), u, nil, answer(code))
			}), auth.ErrWrongFactor)
		}
	})
	t.Run("and all ten at once", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		u := s.Verified(t, "susan")
		codes := s.generate(t, u)
		for i, err := range testapp.AtOnce(len(codes), func(i int) error { return s.recovery.Verify(t.Context(), u, nil, answer(codes[i])) }) {
			if err != nil {
				t.Errorf("code %d: %v", i, err)
			}
		}
		if left, err := s.recovery.Left(t.Context(), u.ID); left != 0 || err != nil {
			t.Errorf("%d left, %v", left, err)
		}
	})
}

// Another user's code is wrong, also if the record of it is copied. It counts for the
// client's address, and not for the account.
func TestRecoveryCodeOfAnotherUser(t *testing.T) {
	t.Parallel()
	clock := testapp.NewClock()
	s := siteOn(t, testapp.NewSpy(clock), clock, func(cfg *auth.Config) { cfg.Limits.Guesses = 20 })
	susan, david := s.Verified(t, "susan"), s.Verified(t, "david")
	_, c := s.enroll(t, "susan")
	mine, theirs := s.newCodes(t, c), s.generate(t, david)
	for i := range 10 {
		want(t, fmt.Sprint("david's code ", i), s.try(t, "susan", recovery, theirs[i]), auth.ErrWrongFactor)
	}
	must(t, s.try(t, "susan", recovery, mine[0])) // the account is not locked
	if left, err := s.recovery.Left(t.Context(), david.ID); left != 10 || err != nil {
		t.Errorf("david has %d left, %v", left, err)
	}
	for i := range 10 {
		want(t, fmt.Sprint("david's code ", i), s.try(t, "susan", recovery, theirs[i]), auth.ErrWrongFactor)
	}
	var limited *auth.RateLimitError
	if err := s.try(t, "susan", recovery, mine[1]); !errors.As(err, &limited) {
		t.Errorf("after 20 wrong codes from an address: %v", err)
	}
	s.overwrite(t, susan.ID, "recovery-code/codes/", s.FeatureRecord(t, david.ID, "recovery-code/codes/").Data)
	want(t, "a code of a copied record", s.recovery.Verify(t.Context(), susan, nil, answer(theirs[0])), auth.ErrWrongFactor)
}

// New codes replace the old ones before they are shown. Of two sets that are made at once,
// one is valid, and it was shown.
func TestNewRecoveryCodes(t *testing.T) {
	t.Parallel()
	t.Run("replace the old ones", func(t *testing.T) {
		s := newSite(t)
		u := s.Verified(t, "susan")
		_, c := s.enroll(t, "susan")
		old := s.newCodes(t, c)
		must(t, s.try(t, "susan", recovery, old[0]))
		fresh := s.newCodes(t, c)
		for _, code := range old {
			want(t, "an old code", s.recovery.Verify(t.Context(), u, nil, answer(code)), auth.ErrWrongFactor)
		}
		for _, code := range fresh {
			must(t, s.recovery.Verify(t.Context(), u, nil, answer(code)))
		}
	})
	t.Run("in two requests", func(t *testing.T) {
		for range 20 {
			s := newSite(t)
			u := s.Verified(t, "susan")
			_, c := s.enroll(t, "susan")
			s.newCodes(t, c)
			shown := make([][]string, 2)
			errs := testapp.AtOnce(2, func(i int) error {
				return s.Do(c.Clone(), func(ctx context.Context) (err error) {
					shown[i], err = s.NewRecoveryCodes(ctx, recovery)
					return err
				})
			})
			valid := 0
			for i, codes := range shown {
				if errs[i] != nil {
					if len(codes) > 0 {
						t.Error("codes are shown with an error")
					}
					continue
				}
				for _, code := range codes {
					if s.recovery.Verify(t.Context(), u, nil, answer(code)) == nil {
						valid++
					}
				}
			}
			if valid != 10 {
				t.Errorf("of the sets that were shown %d codes are valid: %v", valid, errs)
			}
		}
	})
	t.Run("and save of two sets", func(t *testing.T) {
		for _, before := range []int{0, 1} {
			s := newSite(t)
			u := s.Verified(t, "susan")
			for range before {
				s.generate(t, u)
			}
			first, saveFirst, err := s.recovery.Generate(t.Context(), u)
			must(t, err)
			second, saveSecond, err := s.recovery.Generate(t.Context(), u)
			must(t, err)
			must(t, saveFirst(t.Context()))
			must(t, s.recovery.Verify(t.Context(), u, nil, answer(first[0])))
			want(t, "the second", saveSecond(t.Context()), auth.ErrConflict)
			must(t, saveFirst(t.Context())) // again, which changes nothing
			for i, code := range first {
				if err := s.recovery.Verify(t.Context(), u, nil, answer(code)); (err == nil) != (i > 0) {
					t.Errorf("code %d: %v", i, err)
				}
			}
			want(t, "a code of the second", s.recovery.Verify(t.Context(), u, nil, answer(second[0])), auth.ErrWrongFactor)
		}
	})
	t.Run("while an old one is used", func(t *testing.T) {
		s := newSite(t)
		u := s.Verified(t, "susan")
		old := s.generate(t, u)
		fresh, save, err := s.recovery.Generate(t.Context(), u)
		must(t, err)
		must(t, s.recovery.Verify(t.Context(), u, nil, answer(old[0])))
		must(t, save(t.Context()))
		want(t, "an old code", s.recovery.Verify(t.Context(), u, nil, answer(old[1])), auth.ErrWrongFactor)
		must(t, s.recovery.Verify(t.Context(), u, nil, answer(fresh[1])))
	})
	t.Run("while they are removed", func(t *testing.T) {
		s := newSite(t)
		u := s.Verified(t, "susan")
		s.generate(t, u)
		_, save, err := s.recovery.Generate(t.Context(), u)
		must(t, err)
		must(t, s.recovery.Remove(t.Context(), u.ID))
		want(t, "save", save(t.Context()), auth.ErrConflict)
	})
}

// Codes in a record that cannot be read are wrong, and new ones replace them.
func TestDamagedRecoveryCodes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.Verified(t, "susan")
	codes := s.generate(t, u)
	good := s.FeatureRecord(t, u.ID, "recovery-code/codes/").Data
	for _, data := range [][]byte{nil, {1}, {2}, good[:len(good)-1], append(slices.Clone(good), 0), append(slices.Clone(good), good[17:49]...), append([]byte{2}, good[1:]...)} {
		s.overwrite(t, u.ID, "recovery-code/codes/", data)
		has, err := s.recovery.Enrolled(t.Context(), u.ID)
		left, failed := s.recovery.Left(t.Context(), u.ID)
		if has || left != 0 || err != nil || failed != nil {
			t.Errorf("%d bytes: enrolled %v, %d left, %v, %v", len(data), has, left, err, failed)
		}
		want(t, "a code", s.recovery.Verify(t.Context(), u, nil, answer(codes[0])), auth.ErrWrongFactor)
	}
	codes = s.generate(t, u)
	must(t, s.recovery.Verify(t.Context(), u, nil, answer(codes[0])))
}

// Recovery codes need no key: they work when Config.Secrets are lost.
func TestRecoveryCodesNeedNoSecrets(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.Verified(t, "susan")
	codes := s.generate(t, u)
	once, err := s.recovery.OneTimeCode(t.Context(), u.ID)
	must(t, err)
	s = siteOn(t, s.Store, s.Clock, func(cfg *auth.Config) { cfg.Secrets = [][]byte{[]byte(secretOfNone)} })
	must(t, s.recovery.Verify(t.Context(), u, nil, answer(codes[0])))
	must(t, s.recovery.Verify(t.Context(), u, nil, answer(once.Reveal())))
}

// An administrator's code lets a user in who has lost everything, once and for ten minutes.
// The app stays.
func TestOneTimeCode(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.Verified(t, "susan")
	david := s.Verified(t, "david")
	secret, _ := s.enroll(t, "susan")
	issue := func() string {
		code, err := s.recovery.OneTimeCode(t.Context(), u.ID)
		must(t, err)
		if has, err := s.recovery.Enrolled(t.Context(), u.ID); !has || err != nil {
			t.Errorf("enrolled: %v, %v", has, err)
		}
		if left, err := s.recovery.Left(t.Context(), u.ID); left != 0 || err != nil {
			t.Errorf("%d left, %v", left, err)
		}
		return code.Reveal()
	}
	s.Events()
	s.mails.Take()
	code := issue()
	if mails := s.mails.Take(); len(mails) != 1 || mails[0].Kind != auth.MailOneTimeCode || mails[0].To != "susan@app.example" || mails[0].Factor != recovery || !mails[0].Code.IsZero() {
		t.Errorf("mails %+v", mails)
	}
	for _, e := range s.Events() {
		if e.Kind != totp.EventOneTimeCode || e.UserID != u.ID {
			t.Errorf("event %+v", e)
		}
	}
	if fmt.Sprint(auth.NewSecret(code)) == code {
		t.Error("the code prints itself")
	}
	want(t, "for another user", s.recovery.Verify(t.Context(), david, nil, answer(code)), auth.ErrWrongFactor)
	must(t, s.try(t, "susan", recovery, code))
	want(t, "a second time", s.recovery.Verify(t.Context(), u, nil, answer(code)), auth.ErrWrongFactor)
	if has, err := s.recovery.Enrolled(t.Context(), u.ID); has || err != nil {
		t.Errorf("enrolled after its use: %v, %v", has, err)
	}

	old, fresh := issue(), issue()
	want(t, "one that was replaced", s.recovery.Verify(t.Context(), u, nil, answer(old)), auth.ErrWrongFactor)
	s.Clock.Advance(10*time.Minute - time.Second)
	must(t, s.recovery.Verify(t.Context(), u, nil, answer(fresh)))

	code = issue()
	s.Clock.Advance(10 * time.Minute)
	want(t, "after ten minutes", s.recovery.Verify(t.Context(), u, nil, answer(code)), auth.ErrWrongFactor)
	if has, err := s.recovery.Enrolled(t.Context(), u.ID); has || err != nil {
		t.Errorf("enrolled after its end: %v, %v", has, err)
	}
	must(t, s.try(t, "susan", app, s.code(t, secret)))

	codes := s.generate(t, u)
	code, err := "", error(nil)
	once, err := s.recovery.OneTimeCode(t.Context(), u.ID)
	must(t, err)
	code = once.Reveal()
	must(t, s.recovery.Verify(t.Context(), u, nil, answer(codes[0])))
	must(t, s.recovery.Verify(t.Context(), u, nil, answer(code)))
	must(t, s.recovery.Verify(t.Context(), u, nil, answer(codes[1])))

	must(t, s.Disable(t.Context(), u.ID))
	_, err = s.recovery.OneTimeCode(t.Context(), u.ID)
	want(t, "of an account that is disabled", err, auth.ErrDisabled)
}

func TestOneTimeCodesAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.Verified(t, "susan")
	codes := make([]string, 8)
	errs := testapp.AtOnce(len(codes), func(i int) error {
		code, err := s.recovery.OneTimeCode(t.Context(), u.ID)
		codes[i] = code.Reveal()
		return err
	})
	valid := 0
	for i, err := range errs {
		if err == nil && s.recovery.Verify(t.Context(), u, nil, answer(codes[i])) == nil {
			valid++
		}
	}
	if valid != 1 {
		t.Errorf("%d of the codes are valid: %v", valid, errs)
	}
}
