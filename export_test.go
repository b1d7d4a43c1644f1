package auth

import (
	"context"
	"time"

	"github.com/go-login/auth/internal/passhash"
)

// TurnsTaken returns the number of counters for which a request has the turn or waits
// for it.
func (c *Core) TurnsTaken() int { return c.turns.Len() }

// OwnHashing gives a Manager a hashing budget of its own, so that parallel tests do not
// wait for each other. On a slow machine no hash times out in its queue. See testapp.New.
func (c *Core) OwnHashing() {
	c.OwnBudget()
	c.hasher.Budget.MaxWait, c.turns.MaxWait = 10*time.Minute, 10*time.Minute
}

// OwnBudget gives a Manager a hashing budget of its own, with the limits of the
// process's budget.
func (c *Core) OwnBudget() {
	c.hasher.Budget = passhash.NewBudget(uint32(c.cfg.Password.HashMemory / 1024))
}

// Hashing returns the Manager's hashing budget.
func (c *Core) Hashing() *passhash.Budget { return c.hasher.Budget }

// HoldHashing takes the whole hashing budget, for tests outside the package.
func (c *Core) HoldHashing(ctx context.Context) (release func(), err error) {
	lanes := c.hasher.Budget
	size := lanes.State().Size
	err = lanes.Acquire(ctx, size)
	return func() { lanes.Release(size) }, err
}

// HashesWaiting returns the number of hashes in the queue.
func (c *Core) HashesWaiting() int { return c.hasher.Budget.State().Waiting }

// CookieOf is cookieOf.
var CookieOf = cookieOf

// ClearUnproved is clearUnproved, which LoginByCode and LoginByLink call for an account
// whose address was never verified.
func (c *Core) ClearUnproved(ctx context.Context, user User) error {
	_, _, err := c.clearUnproved(ctx, user)
	return err
}

// ProcessFindings is processFindings.
var ProcessFindings = processFindings

// HashAdvice returns what Doctor says to set after a hash was refused.
func (c *Core) HashAdvice() string { return c.hasher.Advice() }

// IdleFindings is idleFindings.
var IdleFindings = idleFindings

// WatchEvery sets how often WhileLoggedIn loads the user. Call it before the first request.
func (c *Core) WatchEvery(d time.Duration) { c.watchEvery = d }

// Undeclared returns the names in guards and in accounts that Config.Roles does not have, and
// the routes without a rule.
func (c *Core) Undeclared() (guards, users, routes []string) { return c.undeclared.list() }
