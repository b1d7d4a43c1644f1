package auth

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// breachTimeout is how long a BreachChecker may delay the answer to a form.
const breachTimeout = 2 * time.Second

// isBreached asks Config.Password.Breaches about a password. It asks once in a request: a
// form may call ValidatePassword before Register checks the same password again. If the
// checker fails, isBreached returns false.
func (c *Core) isBreached(ctx context.Context, password, userID string) (bool, error) {
	if c.cfg.Password.Breaches == nil {
		return false, nil
	}
	s, asked := c.requestOf(ctx), NewSecret(password)
	if s != nil {
		s.op.Lock()
		same, breached := s.seldom().breachAsked.Equal(asked), s.seldom().breached
		s.op.Unlock()
		if same {
			return breached, nil
		}
	}
	if err := c.allowBreachCheck(ctx); err != nil {
		return false, err
	}
	breached, err := c.askBreaches(ctx, password)
	if err != nil {
		c.event(ctx, Event{Kind: EventBreachCheckFailed, UserID: userID, Err: err})
	}
	if s != nil {
		s.op.Lock()
		s.seldom().breachAsked, s.seldom().breached = asked, breached
		s.op.Unlock()
	}
	return breached, nil
}

// askBreaches asks Config.Password.Breaches within breachTimeout. If there is an error, it
// returns false. The error's text can be logged: it contains no part of the password.
func (c *Core) askBreaches(ctx context.Context, password string) (breached bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, breachTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			breached, err = false, breachError(fmt.Sprintf("auth: Config.Password.Breaches panicked with a %T", p))
		}
	}()
	breached, err = c.cfg.Password.Breaches.Breached(ctx, password)
	var safe passwordFree
	switch {
	case err == nil:
		return breached, nil
	case errors.As(err, &safe) && safe.PasswordFree():
		return false, safe
	case errors.Is(err, context.DeadlineExceeded):
		return false, context.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return false, context.Canceled
	}
	return false, breachError(fmt.Sprintf("auth: Config.Password.Breaches failed with a %T", err))
}
