package auth

import (
	"context"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/go-login/auth/internal/passhash"
)

// TurnsTaken returns for how many counters somebody has a turn, or waits for one.
func (c *Core) TurnsTaken() int { return c.turns.Len() }

// OwnHashing gives a Manager a budget of its own, so that tests that run at the same
// time do not wait for each other. Nobody is sent away because the machine is slow.
// If cheap is set, new hashes are CheapHashParams, which New refuses. See testapp.New.
func (c *Core) OwnHashing(cheap bool) {
	c.OwnBudget()
	c.hasher.Budget.MaxWait, c.turns.MaxWait = 10*time.Minute, 10*time.Minute
	if cheap {
		c.hasher.UseParams(CheapHashParams())
	}
}

// CheapHashParams are the parameters of most tests: a hash takes a fraction of a millisecond.
func CheapHashParams() argon2id.Params {
	return argon2id.Params{Memory: 256, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32}
}

// OwnBudget gives a Manager a budget of its own, with the limits of the process's.
func (c *Core) OwnBudget() {
	c.hasher.Budget = passhash.NewBudget(uint32(c.cfg.Password.HashMemory / 1024))
}

// Hashing returns the budget that a Manager hashes under.
func (c *Core) Hashing() *passhash.Budget { return c.hasher.Budget }

// HoldHashing takes all the memory that hashes have, for tests outside.
func (c *Core) HoldHashing(ctx context.Context) (release func(), err error) {
	lanes := c.hasher.Budget
	size := lanes.State().Size
	err = lanes.Acquire(ctx, size)
	return func() { lanes.Release(size) }, err
}

// HashesWaiting is how many hashes are in the queue.
func (c *Core) HashesWaiting() int { return c.hasher.Budget.State().Waiting }

// CookieOf is cookieOf.
var CookieOf = cookieOf
