package auth

// isReset is false: Plan 9 has no number for a connection that was dropped.
func isReset(error) bool { return false }
