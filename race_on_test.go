//go:build race

package auth_test

// underRace says that the race detector is on, with which a hash takes ten times as
// long: tests of hundreds of hashes, one after the other, are left to the run
// without it.
const underRace = true
