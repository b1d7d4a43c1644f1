//go:build race

package main

// underRace says that the race detector is on: the program is built with it, too.
const underRace = true
