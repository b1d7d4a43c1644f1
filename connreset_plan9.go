package auth

// isReset returns false: Plan 9 has no error number for a dropped connection.
func isReset(error) bool { return false }
