//go:build !race

package pages_test

const underRace = false
