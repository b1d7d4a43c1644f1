//go:build race

package auth_test

// underRace tells that the race detector is on, which allocates memory itself.
const underRace = true
