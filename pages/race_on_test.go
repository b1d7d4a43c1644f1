//go:build race

package pages_test

// underRace says that the race detector is on. A hash then takes ten times as long, so
// tests of hundreds of hashes in a row run only without it.
const underRace = true
