package auth

import "github.com/go-login/auth/internal/passhash"

// TurnsTaken returns for how many counters somebody has a turn, or waits for one.
func (c *Core) TurnsTaken() int {
	c.turns.mu.Lock()
	defer c.turns.mu.Unlock()
	return len(c.turns.taken)
}

// OwnHashing gives a Manager a budget of its own, so that tests that run at the same
// time do not wait for each other. See testapp.New.
func (c *Core) OwnHashing() { c.hasher.lanes = passhash.New(c.hasher.budget) }

// Hashing returns the budget that a Manager hashes under.
func (c *Core) Hashing() *passhash.Budget { return c.hasher.lanes }
