package auth

import (
	"context"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/go-login/auth/internal/passhash"
)

// TurnsTaken returns the number of counters for which a request has the turn or waits
// for it.
func (c *Core) TurnsTaken() int { return c.turns.Len() }

// OwnHashing gives a Manager a hashing budget of its own, so that parallel tests do not
// wait for each other. On a slow machine no hash times out in its queue. If cheap is
// set, new hashes use CheapHashParams, which New would refuse. See testapp.New.
func (c *Core) OwnHashing(cheap bool) {
	c.OwnBudget()
	c.hasher.Budget.MaxWait, c.turns.MaxWait = 10*time.Minute, 10*time.Minute
	if cheap {
		c.hasher.UseParams(CheapHashParams())
	}
}

// CheapHashParams are the parameters of most tests: a hash takes a fraction of a
// millisecond.
func CheapHashParams() argon2id.Params {
	return argon2id.Params{Memory: 256, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32}
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
