package totp_test

import (
	"context"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// Whatever call of the store fails, and however: a code works at most once, and if Verify
// has not said that it was right, another one works later.
func TestStoreFailsAtVerify(t *testing.T) {
	t.Parallel()
	testapp.AllOrNothing(t, 2, func(t *testing.T, f *testapp.Fault) {
		s := newSite(t)
		u := s.Verified(t, "susan")
		must(t, s.totp.Give(t.Context(), u.ID, []byte(vectorSecret)))
		code := s.code(t, base32OfVector)
		err := f.During(t.Context(), s.Spy(), func(ctx context.Context) error {
			return s.totp.Verify(ctx, u, nil, answer(code))
		})
		if again := s.totp.Verify(t.Context(), u, nil, answer(code)); err == nil && again == nil {
			t.Errorf("%s: the code works twice", f)
		}
		must(t, s.totp.Verify(t.Context(), u, nil, answer(s.next(t, base32OfVector))))
	})
}

// If EnrollFactor has said that the app is set up, it is. If it has failed, the app is what
// it was, or the new one: never none, and never one that no code opens.
func TestStoreFailsAtEnrolment(t *testing.T) {
	t.Parallel()
	for _, replaces := range []bool{false, true} {
		t.Run(map[bool]string{false: "of the first app", true: "of another app"}[replaces], func(t *testing.T) {
			t.Parallel()
			testapp.AllOrNothing(t, 8, func(t *testing.T, f *testapp.Fault) {
				s := newSite(t)
				u := s.Verified(t, "susan")
				var old string
				c := s.Client(t)
				if replaces {
					old, c = s.enroll(t, "susan")
				} else {
					c.Login("susan")
				}
				secret := s.begin(t, c).Secret.Reveal()
				if replaces {
					s.apart(t, old, secret)
				}
				code := s.next(t, secret)
				var err error
				s.In(c, func(ctx context.Context) {
					err = f.During(ctx, s.Spy(), func(ctx context.Context) error { return s.EnrollFactor(ctx, app, answer(code)) })
				})
				works := func(secret string) bool {
					s.Clock.Advance(step)
					return secret != "" && s.totp.Verify(t.Context(), u, nil, answer(s.code(t, secret))) == nil
				}
				if s.totp.Verify(t.Context(), u, nil, answer(code)) == nil {
					t.Errorf("%s: the code of the enrolment works", f)
				}
				has, failed := s.totp.Enrolled(t.Context(), u.ID)
				must(t, failed)
				wasOld, isNew := works(old), works(secret)
				if has != (wasOld || isNew) || wasOld && isNew || err == nil && !isNew || replaces && !has {
					t.Errorf("%s: enrolled %v, the old app works %v, the new one %v", f, has, wasOld, isNew)
				}
			})
		})
	}
}

// A setup that failed can be begun again.
func TestStoreFailsAtBegin(t *testing.T) {
	t.Parallel()
	testapp.AllOrNothing(t, 2, func(t *testing.T, f *testapp.Fault) {
		s := newSite(t)
		u := s.Verified(t, "susan")
		var shown auth.Setup
		err := f.During(t.Context(), s.Spy(), func(ctx context.Context) (err error) {
			shown, err = s.totp.Begin(ctx, u)
			return err
		})
		again, failed := s.totp.Begin(t.Context(), u)
		must(t, failed)
		if err == nil && !again.Secret.Equal(shown.Secret) {
			t.Errorf("%s: the secret that was shown is void", f)
		}
		_, err = s.totp.Finish(t.Context(), u, answer(s.code(t, again.Secret.Reveal())))
		must(t, err)
	})
}

// A recovery code works at most once.
func TestStoreFailsAtARecoveryCode(t *testing.T) {
	t.Parallel()
	testapp.AllOrNothing(t, 2, func(t *testing.T, f *testapp.Fault) {
		s := newSite(t)
		u := s.Verified(t, "susan")
		codes := s.generate(t, u)
		err := f.During(t.Context(), s.Spy(), func(ctx context.Context) error {
			return s.recovery.Verify(ctx, u, nil, answer(codes[0]))
		})
		if again := s.recovery.Verify(t.Context(), u, nil, answer(codes[0])); err == nil && again == nil {
			t.Errorf("%s: the code works twice", f)
		}
		must(t, s.recovery.Verify(t.Context(), u, nil, answer(codes[1])))
	})
}

// Either the old codes are valid, or all of the new ones.
func TestStoreFailsAtNewRecoveryCodes(t *testing.T) {
	t.Parallel()
	testapp.AllOrNothing(t, 2, func(t *testing.T, f *testapp.Fault) {
		s := newSite(t)
		u := s.Verified(t, "susan")
		old := s.generate(t, u)
		fresh, save, err := s.recovery.Generate(t.Context(), u)
		must(t, err)
		err = f.During(t.Context(), s.Spy(), save)
		isOld := s.recovery.Verify(t.Context(), u, nil, answer(old[0])) == nil
		isNew := s.recovery.Verify(t.Context(), u, nil, answer(fresh[0])) == nil
		if isOld == isNew || err == nil && !isNew {
			t.Errorf("%s: the old codes are valid: %v, the new ones: %v", f, isOld, isNew)
		}
		if left, err := s.recovery.Left(t.Context(), u.ID); left != 9 || err != nil {
			t.Errorf("%s: %d left, %v", f, left, err)
		}
	})
}

// A one-time code that an administrator was given is valid. After a failure, another one can
// be made.
func TestStoreFailsAtAOneTimeCode(t *testing.T) {
	t.Parallel()
	testapp.AllOrNothing(t, 2, func(t *testing.T, f *testapp.Fault) {
		s := newSite(t)
		u := s.Verified(t, "susan")
		var code auth.Secret
		err := f.During(t.Context(), s.Spy(), func(ctx context.Context) (err error) {
			code, err = s.recovery.OneTimeCode(ctx, u.ID)
			return err
		})
		if err == nil {
			must(t, s.recovery.Verify(t.Context(), u, nil, answer(code.Reveal())))
		} else if !code.IsZero() {
			t.Errorf("%s: there is a code", f)
		}
		code, err = s.recovery.OneTimeCode(t.Context(), u.ID)
		must(t, err)
		must(t, s.recovery.Verify(t.Context(), u, nil, answer(code.Reveal())))
	})
}

// If Remove has succeeded, nothing is left. If it has failed, it can be called again.
func TestStoreFailsAtRemove(t *testing.T) {
	t.Parallel()
	testapp.AllOrNothing(t, 5, func(t *testing.T, f *testapp.Fault) {
		s := newSite(t)
		u := s.Verified(t, "susan")
		must(t, s.totp.Give(t.Context(), u.ID, []byte(vectorSecret)))
		_, err := s.totp.Begin(t.Context(), u)
		must(t, err)
		s.generate(t, u)
		remove := func(ctx context.Context) error {
			if err := s.totp.Remove(ctx, u.ID); err != nil {
				return err
			}
			return s.recovery.Remove(ctx, u.ID)
		}
		if err = f.During(t.Context(), s.Spy(), remove); err != nil {
			err = remove(t.Context())
		}
		must(t, err)
		if left := s.FeatureRecords(t, u.ID); len(left) != 0 {
			t.Errorf("%s: %d records are left", f, len(left))
		}
	})
}
