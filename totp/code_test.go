package totp_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/totp"
)

// vectorSecret is the secret of RFC 6238, appendix B, for SHA-1.
const (
	vectorSecret   = "12345678901234567890"
	base32OfVector = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
)

func TestVectorsOfRFC6238(t *testing.T) {
	t.Parallel()
	for at, want := range map[int64]string{
		59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924", 2000000000: "69279037", 20000000000: "65353130",
	} {
		if got := totp.CodeAt([]byte(vectorSecret), at/30, 8); got != want {
			t.Errorf("at %d: %s, want %s", at, got, want)
		}
		if got, err := totp.Code(base32OfVector, time.Unix(at, 0)); got != want[2:] || err != nil {
			t.Errorf("at %d: Code is %s, %v; want %s", at, got, err, want[2:])
		}
	}
}

func TestCodeReadsASecret(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{"GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ", "gezdgnbvgy3tqojqgezdgnbvgy3tqojq"} {
		if code, err := totp.Code(secret, time.Unix(59, 0)); code != "287082" || err != nil {
			t.Errorf("%q: %q, %v", secret, code, err)
		}
	}
	for _, secret := range []string{"", " ", "0189", "GEZDGNBV=", "ä"} {
		if code, err := totp.Code(secret, time.Unix(59, 0)); err == nil || code != "" || len(secret) > 1 && strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %q, %v", secret, code, err)
		}
	}
}

// What people paste is the code, and has one replay key with it.
func TestSpacesInACodeAreIgnored(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.Verified(t, "susan")
	secret, _ := s.enroll(t, "susan")
	for _, format := range []string{
		"%s%s", "%s %s", "%s-%s", "%s\u00a0%s", "%s%s\n", "\r\n%s%s\r\n", " %s - %s ", "\u00a0-%s%s",
	} {
		code := s.next(t, secret)
		typed := fmt.Sprintf(format, code[:3], code[3:])
		if err := s.totp.Verify(t.Context(), u, nil, answer(typed)); err != nil {
			t.Errorf("%q: %v", typed, err)
		}
		want(t, fmt.Sprintf("%q and then without spaces", typed), s.totp.Verify(t.Context(), u, nil, answer(code)), auth.ErrWrongFactor)
	}
}

// An answer other than six ASCII digits is wrong, and the store is not asked.
func TestWhatIsNoCodeIsWrongWithoutWork(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.Verified(t, "susan")
	secret, browser := s.enroll(t, "susan")
	s.begin(t, browser)
	code := s.next(t, secret)
	wide := strings.Map(func(c rune) rune { return c - '0' + '０' }, code)
	arabic := strings.Map(func(c rune) rune { return c - '0' + '٠' }, code)
	answers := []map[string][]string{
		nil, {"code": nil}, {"code": {code, code}}, {"Code": {code}}, {"code": {"", code}},
	}
	for _, text := range []string{
		"", " ", code[:5], code + "0", "0" + code, wide, arabic, code + "\x00", "+" + code[1:], "-" + code[1:], "0x" + code[2:], code[:5] + "x", code[:5] + "é",
		code + strings.Repeat(" ", 1<<20), strings.Repeat(code, 1<<18), code + "\u200b", code[:3] + "." + code[3:], code + "\xff",
	} {
		answers = append(answers, answer(text))
	}
	s.Spy().Reset()
	for i, a := range answers {
		want(t, fmt.Sprint("Verify of answer ", i), s.totp.Verify(t.Context(), u, nil, a), auth.ErrWrongFactor)
		_, err := s.totp.Finish(t.Context(), u, a)
		want(t, fmt.Sprint("Finish of answer ", i), err, auth.ErrWrongFactor)
	}
	if calls := s.Spy().Calls(); len(calls) != 0 {
		t.Errorf("the store was asked: %v", calls)
	}
	must(t, s.totp.Verify(t.Context(), u, nil, answer(code)))
}

// A code of the step before, of this one and of the next is right; others are wrong.
func TestWindow(t *testing.T) {
	t.Parallel()
	for steps, right := range map[time.Duration]bool{-3: false, -2: false, -1: true, 0: true, 1: true, 2: false, 3: false} {
		s := newSite(t)
		u := s.Verified(t, "susan")
		must(t, s.totp.Give(t.Context(), u.ID, []byte(vectorSecret)))
		code, err := totp.Code(base32OfVector, s.Clock.Now().Add(steps*step))
		must(t, err)
		if err := s.totp.Verify(t.Context(), u, nil, answer(code)); (err == nil) != right {
			t.Errorf("%d steps away: %v", steps, err)
		}
	}
}

// After a code, one of an earlier step is refused though it is in the window.
func TestOlderCodeIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.Verified(t, "susan")
	must(t, s.totp.Give(t.Context(), u.ID, []byte(vectorSecret)))
	secret := base32OfVector
	old := s.code(t, secret)
	must(t, s.totp.Verify(t.Context(), u, nil, answer(s.next(t, secret))))
	want(t, "the step before", s.totp.Verify(t.Context(), u, nil, answer(old)), auth.ErrWrongFactor)
}

// A code does not come back, at whatever time within or after its window it is sent again.
func TestCodeStaysUsed(t *testing.T) {
	t.Parallel()
	for _, first := range []time.Duration{-step, 0, step - time.Second, step} {
		s := newSite(t)
		u := s.Verified(t, "susan")
		must(t, s.totp.Give(t.Context(), u.ID, []byte(vectorSecret)))
		code := s.code(t, base32OfVector)
		s.Clock.Advance(first)
		must(t, s.totp.Verify(t.Context(), u, nil, answer(code)))
		for _, wait := range []time.Duration{0, time.Second, 31 * time.Second, 61 * time.Second} {
			s.Clock.Advance(wait)
			want(t, fmt.Sprint(first, " and ", wait, " later"), s.totp.Verify(t.Context(), u, nil, answer(code)), auth.ErrWrongFactor)
		}
	}
}

// Two steps in a row may have the same digits, as these of the RFC's secret have. The code
// counts as the newest step that it can be, so it works once for each.
func TestSameDigitsInTwoSteps(t *testing.T) {
	t.Parallel()
	const twin, code = 62_075_368, "235522"
	if a, b := totp.CodeAt([]byte(vectorSecret), twin, 6), totp.CodeAt([]byte(vectorSecret), twin+1, 6); a != code || b != code {
		t.Fatalf("%s, %s", a, b)
	}
	newAt := func(at int64) (*site, *testapp.User) {
		s := newSite(t)
		u := s.Verified(t, "susan")
		must(t, s.totp.Give(t.Context(), u.ID, []byte(vectorSecret)))
		s.Clock.Advance(time.Unix(at*30, 0).Sub(s.Clock.Now()))
		return s, u
	}
	t.Run("the first is used", func(t *testing.T) {
		s, u := newAt(twin - 1)
		must(t, s.totp.Verify(t.Context(), u, nil, answer(code)))
		s.Clock.Advance(step)
		must(t, s.totp.Verify(t.Context(), u, nil, answer(code)))
		for range 4 {
			want(t, "a third time", s.totp.Verify(t.Context(), u, nil, answer(code)), auth.ErrWrongFactor)
			s.Clock.Advance(step)
		}
	})
	t.Run("both are in the window", func(t *testing.T) {
		s, u := newAt(twin)
		must(t, s.totp.Verify(t.Context(), u, nil, answer(code)))
		for range 4 {
			want(t, "a second time", s.totp.Verify(t.Context(), u, nil, answer(code)), auth.ErrWrongFactor)
			s.Clock.Advance(step)
		}
	})
}

// FuzzCode: what is taken for a code is six digits, or 24 characters of the alphabet, and
// nothing but separators was left out.
func FuzzCode(f *testing.F) {
	for _, seed := range []string{"123456", "123 456\n", "12-34-56", "１２３４５６", "0000-0000-0000-0000-0000-0000", "oooo iiii llll zzzz yyyy 9999", "\xff", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		bare := strings.NewReplacer(" ", "", "-", "", "\u00a0", "", "\r", "", "\n", "").Replace(text)
		if code, ok := totp.SixDigits([]string{text}); ok && (len(code) != 6 || strings.Trim(code, "0123456789") != "" || code != bare || len(text) > 128) {
			t.Errorf("%q is taken for %q", text, code)
		}
		code, ok := totp.Canonical([]string{text})
		if !ok {
			return
		}
		if len(code) != 24 || len(bare) != 24 || strings.Trim(code, "0123456789ABCDEFGHJKMNPQRSTVWXYZ") != "" {
			t.Errorf("%q is taken for %q", text, code)
		}
		if again, ok := totp.Canonical([]string{code}); !ok || again != code {
			t.Errorf("%q is %q at first and %q then", text, code, again)
		}
	})
}

// FuzzRecord: whatever is in a record, it is read or refused.
func FuzzRecord(f *testing.F) {
	for _, seed := range [][]byte{nil, {1}, totp.AnEntry(), totp.AnEntry()[:20], totp.SomeCodes(), totp.SomeCodes()[:17], totp.SomeCodes()[:50], append(totp.AnEntry(), 0)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if ok, same := totp.EntryAgain(data); ok && !same {
			t.Errorf("the entry %x changes", data)
		}
		if ok, same := totp.CodesAgain(data); ok && !same {
			t.Errorf("the codes %x change", data)
		}
	})
}
