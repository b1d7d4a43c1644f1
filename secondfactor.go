package auth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"
)

// A Pending login is one where the user has shown the first factor and owes a second
// one. It gives no access by itself.
//
// Missing is empty if the user's factors are no longer in Config.Factors, and the user has
// no recovery codes. The login cannot go on then. Tell the user to ask you for help: you add
// the factor to the configuration, or call ResetFactors.
type Pending struct {
	User    User
	Methods []string  // what the user has shown so far
	Missing []string  // the names of factors; the user must show one of them. May be empty: see above
	Confirm bool      // true if it confirms an existing login (ConfirmLogin)
	Expires time.Time // 5 minutes after the first factor was shown
}

// Pending returns this browser's login that waits for a second factor. The page that
// asks for the factor calls it. It returns ErrNoPending if no login waits; the user
// must then begin again.
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
	switch {
	case err == nil: // the user has removed the factors; the Stamp should have changed
		err = ErrNoPending
	case errors.Is(err, ErrFactorRequired):
		err = nil
	}
	return p, missing, err
}

// PromptFactor returns what one of Pending's Missing factors asks for. The page calls
// it each time it is shown, for one factor. What an earlier call asked for is then
// void. PromptFactor returns ErrNoPending if no login waits or the factor is not
// Missing, or a failure.
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
			return Prompt{}, broken(fmt.Sprintf("auth: Prompt of factor %s returned %d private bytes; at most %d are kept", factor, len(private), maxPrivate))
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
// factors. If the answer is right, it does what LoginUser, or ConfirmLogin, would have
// done. answer is the form of the page. The errors are:
//
//   - ErrWrongFactor: the answer is wrong, and the user may try again. It is
//     ErrUnknownPasskey if the site does not have the passkey.
//   - ErrLocked: there were too many wrong answers at this account, and this one was
//     not looked at (see Feature.Count). While answers are refused, both errors are
//     a WaitError, which says how long.
//   - ErrNoPending: no login waits, it has had five answers, or the passkey or the identity
//     that was shown has just been removed.
//   - ErrFactorRequired: the user owes another factor.
//   - The errors of LoginUser.
func (c *Core) ContinueLogin(ctx context.Context, factor string, answer url.Values) (failing error) {
	defer c.met(ctx, &failing)
	if err := c.notActing(ctx); err != nil { // before a code is used up
		return err
	}
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
	passkey, err := c.tryFactor(ctx, c.factor(factor), p.user, private, answer)
	if err != nil {
		if errors.Is(err, ErrLoginRefused) {
			s.note(Event{Kind: EventLoginFailed, UserID: p.record.UserID, Method: factor, Err: err})
		}
		return err
	}
	if recovery, ok := c.factor(factor).(RecoveryFactor); ok {
		c.tellUsed(ctx, recovery, p.user)
	}
	s.op.Lock()
	taken := s.takePending(ctx, p)
	s.op.Unlock()
	if taken != nil {
		return taken
	}
	a := attempt{
		user: p.user, methods: p.methods.add(factor, c.cfg.Now()), remember: p.remember, stale: p.stale,
		passkey: passkey, identity: p.identity,
	}
	if p.loginID != "" {
		err = s.confirm(ctx, &a)
	} else {
		err = s.enter(&a)
	}
	if errors.Is(err, ErrIdentityNotFound) || errors.Is(err, ErrUnknownPasskey) { // removed just now
		err = fmt.Errorf("%w: %w", ErrNoPending, err)
	}
	return err
}

// tellUsed tells the owner that a recovery code was used, and how many are left. The code is
// used up, whatever has become of the login.
func (c *Core) tellUsed(ctx context.Context, f RecoveryFactor, user User) {
	left, err := f.Left(ctx, idOf(user))
	if err != nil {
		c.event(ctx, Event{Kind: EventMailFailed, UserID: idOf(user), Err: factorFailed(f, err)})
		return
	}
	c.event(ctx, Event{Kind: EventRecoveryCodeUsed, UserID: idOf(user), Method: f.Name()})
	c.tell(ctx, Mail{Kind: MailRecoveryCodeUsed, To: user.AuthAccount().Email, User: user, Factor: f.Name(), Left: left})
}

// countTry counts an answer to the pending login, before the factor looks at it.
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

// tryFactor counts an attempt and lets the factor check the answer. It returns the ID of the
// passkey, if the factor is one, and nil, ErrWrongFactor, ErrUnknownPasskey, or an error of
// Feature.Count.
func (c *Core) tryFactor(ctx context.Context, f Factor, user User, private []byte, answer url.Values) (passkey string, failing error) {
	ctx, end := c.cfg.Trace.begin(ctx, "factor", f.Name())
	failing = errPanicked
	defer func() { end(failing) }()
	wrong := ErrWrongFactor
	verify := func() (err error) {
		if p, ok := f.(PasskeyFactor); ok {
			passkey, err = p.VerifyOne(ctx, user, private, answer)
			return err
		}
		return f.Verify(ctx, user, private, answer)
	}
	check := func() (bool, error) {
		switch err := verify(); {
		case errors.Is(err, ErrUnknownPasskey):
			wrong = ErrUnknownPasskey
			return false, nil
		case errors.Is(err, ErrWrongFactor):
			return false, nil
		case err != nil:
			return false, factorFailed(f, err)
		}
		return true, nil
	}
	var right bool
	var wait time.Duration
	var err error
	if guessable(f) {
		right, wait, err = c.factors[f.Name()].count(ctx, idOf(user), check)
	} else {
		right, err = c.countAddress(ctx, check)
	}
	if err == nil && !right {
		err = waiting(wrong, wait)
	}
	return passkey, err
}

// countAddress is Feature.Count for secrets that cannot be guessed: wrong ones count for the
// client's address only.
func (c *Core) countAddress(ctx context.Context, check func() (bool, error)) (bool, error) {
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
