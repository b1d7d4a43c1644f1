package auth

import (
	"time"

	"github.com/go-login/auth/internal/passhash"
)

// TurnsTaken returns for how many counters somebody has a turn, or waits for one.
func (c *Core) TurnsTaken() int {
	c.turns.mu.Lock()
	defer c.turns.mu.Unlock()
	return len(c.turns.taken)
}

// OwnHashing gives a Manager a budget of its own, so that tests that run at the same
// time do not wait for each other. Nobody is sent away because the machine is slow.
// See testapp.New.
func (c *Core) OwnHashing() {
	c.OwnBudget()
	c.hasher.lanes.MaxWait, c.turns.maxWait = 10*time.Minute, 10*time.Minute
}

// OwnBudget gives a Manager a budget of its own, with the limits of the process's.
func (c *Core) OwnBudget() { c.hasher.lanes = passhash.New(c.hasher.budget) }

// Hashing returns the budget that a Manager hashes under.
func (c *Core) Hashing() *passhash.Budget { return c.hasher.lanes }

// CookieOf is cookieOf.
var CookieOf = cookieOf
