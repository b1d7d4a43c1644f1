package auth

// TurnsTaken returns for how many counters somebody has a turn, or waits for one.
func (c *Core) TurnsTaken() int {
	c.turns.mu.Lock()
	defer c.turns.mu.Unlock()
	return len(c.turns.taken)
}
