package passkey_test

import (
	"context"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// Whatever call of the store fails, and however: an answer works at most once, the passkey
// stays usable, and nothing is taken for a clone.
func TestStoreFailsAtIdentify(t *testing.T) {
	t.Parallel()
	testapp.AllOrNothing(t, 4, func(t *testing.T, f *testapp.Fault) {
		s := newSite(t)
		_, phone := s.enroll(t, "susan")
		p, private, err := s.passkeys.Ask(t.Context(), nil)
		must(t, err)
		a := answer(t, phone, p)
		identify := func(ctx context.Context) error {
			_, _, err := s.passkeys.Identify(ctx, [][]byte{private}, a)
			return err
		}
		err = f.During(t.Context(), s.Spy(), identify)
		if again := identify(t.Context()); err == nil && again == nil {
			t.Errorf("%s: the answer works twice", f)
		}
		must(t, s.try(t, phone))
		if s.list(t, "susan")[0].Suspended {
			t.Errorf("%s: a false alarm", f)
		}
	})
}

func TestStoreFailsAtVerify(t *testing.T) {
	t.Parallel()
	testapp.AllOrNothing(t, 4, func(t *testing.T, f *testapp.Fault) {
		s := newSite(t)
		_, phone := s.enroll(t, "susan")
		u := s.find(t, "susan")
		p, private, err := s.passkeys.Prompt(t.Context(), u)
		must(t, err)
		a := answer(t, phone, p)
		verify := func(ctx context.Context) error { return s.passkeys.Verify(ctx, u, private, a) }
		err = f.During(t.Context(), s.Spy(), verify)
		if again := verify(t.Context()); err == nil && again == nil {
			t.Errorf("%s: the answer works twice", f)
		}
		must(t, s.try(t, phone))
	})
}

// If a copy is found, the passkey is suspended, or the request has failed. Then the next
// request of the copy finds it.
func TestStoreFailsAtAClone(t *testing.T) {
	t.Parallel()
	testapp.AllOrNothing(t, 1, func(t *testing.T, f *testapp.Fault) {
		s := newSite(t)
		_, phone := s.enroll(t, "susan")
		twin := phone.Clone()
		must(t, s.try(t, phone))
		p, private, err := s.passkeys.Ask(t.Context(), nil)
		must(t, err)
		a := answer(t, twin, p)
		err = f.During(t.Context(), s.Spy(), func(ctx context.Context) error {
			if _, _, err := s.passkeys.Identify(ctx, [][]byte{private}, a); err == nil {
				t.Errorf("%s: the copy is accepted", f)
			}
			return nil
		})
		must(t, err)
		if !s.list(t, "susan")[0].Suspended {
			twin = phone.Clone()
			twin.Lie = staysAt(1)
			want(t, "the copy, again", s.try(t, twin), auth.ErrWrongFactor)
		}
		if !s.list(t, "susan")[0].Suspended {
			t.Errorf("%s: the passkey is not suspended", f)
		}
	})
}

// If EnrollFactor has said that the passkey is added, it works. If it has failed, the
// account has what it had, and another one can be added.
func TestStoreFailsAtEnrolment(t *testing.T) {
	t.Parallel()
	testapp.AllOrNothing(t, 8, func(t *testing.T, f *testapp.Fault) {
		s := newSite(t)
		c, first := s.enroll(t, "susan")
		p, phone := s.begin(t, c), s.phone()
		a := answer(t, phone, p)
		var err error
		s.In(c, func(ctx context.Context) {
			err = f.During(ctx, s.Spy(), func(ctx context.Context) error { return s.EnrollFactor(ctx, name, a) })
		})
		works := s.try(t, phone) == nil
		if n := len(s.list(t, "susan")); err == nil && !works || works != (n == 2) {
			t.Errorf("%s: %d passkeys, the new one works: %v", f, n, works)
		}
		must(t, s.try(t, first))
		c = s.Client(t)
		must(t, s.login(c, answer(t, first, s.ask(t, c))))
		s.add(t, c, s.phone())
	})
}

// A page that failed can be opened again, and shows a challenge that works.
func TestStoreFailsAtBegin(t *testing.T) {
	t.Parallel()
	testapp.AllOrNothing(t, 4, func(t *testing.T, f *testapp.Fault) {
		s := newSite(t)
		u := s.Verified(t, "susan")
		var shown auth.Setup
		err := f.During(t.Context(), s.Spy(), func(ctx context.Context) (err error) {
			shown, err = s.passkeys.Begin(ctx, u)
			return err
		})
		again, failed := s.passkeys.Begin(t.Context(), u)
		must(t, failed)
		if err == nil && optionsOf(t, again.Prompt).PublicKey.Challenge != optionsOf(t, shown.Prompt).PublicKey.Challenge {
			t.Errorf("%s: the challenge that was shown is void", f)
		}
		_, save, err := s.passkeys.Add(t.Context(), u, answer(t, s.phone(), again.Prompt))
		must(t, err)
		must(t, save(t.Context()))
	})
}

// If Remove has succeeded, no passkey is left. If it has failed, it can be called again.
func TestStoreFailsAtRemove(t *testing.T) {
	t.Parallel()
	testapp.AllOrNothing(t, 3, func(t *testing.T, f *testapp.Fault) {
		s := newSite(t)
		c, _ := s.enroll(t, "susan")
		s.add(t, c, s.phone())
		u := s.find(t, "susan")
		remove := func(ctx context.Context) error { return s.passkeys.Remove(ctx, u.ID) }
		err := f.During(t.Context(), s.Spy(), remove)
		if err != nil {
			must(t, remove(t.Context()))
		}
		if n := len(s.list(t, "susan")); n != 0 {
			t.Errorf("%s: %d passkeys are left", f, n)
		}
	})
}
