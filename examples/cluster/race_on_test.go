//go:build race

package main

// underRace says that the race detector is on. The program is then built with
// it, too.
const underRace = true
