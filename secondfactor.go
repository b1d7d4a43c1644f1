package auth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"
)

// A Pending login has shown the first factor and owes another one. Nobody is logged in
// by it.
type Pending struct {
	User    User
	Methods []string  // what has been shown so far
	Missing []string  // the names of the factors of which the user must show one
	Confirm bool      // it confirms a login that exists (ConfirmLogin), and makes none
	Expires time.Time // 5 minutes after the first factor was shown
}

// Pending returns the login of this browser that waits for a second factor, for the
// page that asks for it. It returns ErrNoPending if none waits: the user begins again.
func (c *Core) Pending(ctx context.Context) (_ Pending, failing error) {
	defer c.met(ctx, &failing)
	s := c.stateOf(ctx)
	if s == nil {
		return Pending{}, ErrNoSession
	}
	p, missing, err := c.pendingOf(ctx, s)
	if err != nil {
		return Pending{}, err
	}
	return Pending{
		User: p.user, Methods: p.methods.names(), Missing: missing, Confirm: p.loginID != "", Expires: p.record.Expires,
	}, nil
}

// pendingOf returns the request's pending login, and the factors that it owes.
func (c *Core) pendingOf(ctx context.Context, s *state) (*pending, []string, error) {
	p, err := s.pending(ctx)
	if err != nil {
		return nil, nil, err
	}
	missing, err := c.missingFactors(ctx, &attempt{user: p.user, methods: p.methods})
	if err == nil && len(missing) == 0 { // the user has none any more, which the Stamp would have told
		err = ErrNoPending
	}
	return p, missing, err
}

// PromptFactor returns what one of Pending's Missing factors asks for. The page calls it
// each time it is shown, and once for a factor: what an earlier call has asked for is
// void then. It returns ErrNoPending, also for a factor that is not missing, or a failure.
func (c *Core) PromptFactor(ctx context.Context, factor string) (_ Prompt, failing error) {
	defer c.met(ctx, &failing)
	s := c.stateOf(ctx)
	if s == nil {
		return Prompt{}, ErrNoSession
	}
	for range maxConflicts {
		p, missing, err := c.pendingOf(ctx, s)
		if err != nil {
			return Prompt{}, err
		}
		if !slices.Contains(missing, factor) {
			return Prompt{}, ErrNoPending
		}
		prompt, private, err := c.factor(factor).Prompt(ctx, p.user)
		if err != nil {
			return Prompt{}, factorFailed(c.factor(factor), err)
		}
		if len(private) > maxPrivate {
			return Prompt{}, broken(fmt.Sprintf("auth: factor %s wants to keep %d bytes; at most %d are kept", factor, len(private), maxPrivate))
		}
		if factor == p.factor && string(private) == string(p.private) {
			return prompt, nil
		}
		p.factor, p.private = factor, private
		p.encode()
		switch err := c.sessions.UpdateRecord(ctx, p.record); {
		case err == nil:
			return prompt, nil
		case errors.Is(err, ErrRecordNotFound):
			return Prompt{}, ErrNoPending
		case !errors.Is(err, ErrConflict):
			return Prompt{}, err
		}
	}
	return Prompt{}, ErrConflict
}

// ContinueLogin goes on with the login that waits, by an answer to one of its Missing
// factors: it does what LoginUser, or ConfirmLogin, would have done. answer is the form
// of the page.
//
// It returns ErrWrongFactor for a wrong answer, after which the user may try again;
// ErrLocked after too many at this account, whatever the answer (see Feature.Count);
// ErrNoPending if no login waits, also after five answers; ErrFactorRequired if another
// factor is owed; and the errors of LoginUser.
func (c *Core) ContinueLogin(ctx context.Context, factor string, answer url.Values) (failing error) {
	defer c.met(ctx, &failing)
	s := c.stateOf(ctx)
	if s == nil {
		return ErrNoSession
	}
	defer s.emit()
	p, err := c.countTry(ctx, s, factor)
	if err != nil {
		return err
	}
	var private []byte
	if p.factor == factor {
		private = p.private
	}
	if err := c.tryFactor(ctx, c.factor(factor), p.user, private, answer); err != nil {
		if errors.Is(err, ErrLoginRefused) {
			s.note(Event{Kind: EventLoginFailed, UserID: p.record.UserID, Method: factor, Err: err})
		}
		return err
	}
	s.op.Lock()
	taken := s.takePending(ctx, p)
	s.op.Unlock()
	if taken != nil {
		return taken
	}
	a := attempt{
		user: p.user, methods: p.methods.add(factor, c.cfg.Now()), remember: p.remember, stale: p.stale,
	}
	if p.loginID != "" {
		err = s.confirm(ctx, &a)
	} else {
		err = s.enter(&a)
	}
	if backup, ok := c.factor(factor).(BackupFactor); ok {
		c.tellUsed(ctx, backup, p.user)
	}
	return err
}

// tellUsed tells the owner that a backup code was used, and how many are left. The code is
// used up, whatever has become of the login.
func (c *Core) tellUsed(ctx context.Context, f BackupFactor, user User) {
	left, err := f.Left(ctx, idOf(user))
	if err != nil {
		c.event(ctx, Event{Kind: EventMailFailed, UserID: idOf(user), Err: factorFailed(f, err)})
		return
	}
	c.event(ctx, Event{Kind: EventBackupCodeUsed, UserID: idOf(user), Method: f.Name()})
	c.tell(ctx, Mail{Kind: MailBackupCodeUsed, To: user.AuthAccount().Email, User: user, Factor: f.Name(), Left: left})
}

// countTry counts a try of the pending login, before the answer is looked at.
func (c *Core) countTry(ctx context.Context, s *state, factor string) (*pending, error) {
	for range maxConflicts {
		p, missing, err := c.pendingOf(ctx, s)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(missing, factor) {
			return nil, ErrNoPending
		}
		p.tries++
		p.encode()
		switch err := c.sessions.UpdateRecord(ctx, p.record); {
		case err == nil:
			return p, nil
		case errors.Is(err, ErrRecordNotFound):
			return nil, ErrNoPending
		case !errors.Is(err, ErrConflict):
			return nil, err
		}
	}
	return nil, ErrConflict
}

// tryFactor has a factor look at an answer, after the attempt has been counted. It
// returns nil, ErrWrongFactor, or an error of Feature.Count.
func (c *Core) tryFactor(ctx context.Context, f Factor, user User, private []byte, answer url.Values) error {
	count := c.factors[f.Name()].Count
	if _, ok := f.(BackupFactor); ok {
		count = c.countAddress
	}
	right, err := count(ctx, idOf(user), func() (bool, error) {
		switch err := f.Verify(ctx, user, private, answer); {
		case errors.Is(err, ErrWrongFactor):
			return false, nil
		case err != nil:
			return false, factorFailed(f, err)
		}
		return true, nil
	})
	if err == nil && !right {
		err = ErrWrongFactor
	}
	return err
}

// countAddress is Feature.Count for secrets that cannot be guessed: wrong ones count for the
// client's address only.
func (c *Core) countAddress(ctx context.Context, _ string, check func() (bool, error)) (bool, error) {
	forget, err := c.count(ctx, "guesses", c.cfg.Limits.Guesses)
	if err != nil {
		return false, err
	}
	right, err := check()
	if err != nil || right {
		err = errors.Join(err, forget())
	}
	return right && err == nil, err
}

// factorFailed says which factor has failed.
func factorFailed(f Factor, err error) error {
	return hidden(fmt.Errorf("auth: factor %s: %w", f.Name(), err))
}
