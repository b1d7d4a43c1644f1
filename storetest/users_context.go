package storetest

import (
	"fmt"
	"testing"
)

func (s userSuite[U]) context(t *testing.T) {
	for _, d := range userDeeds[U]() {
		s.run(t, "cancelled or expired, "+d.name+" does nothing", func(t *userTest[U]) {
			for _, ending := range endings() {
				testDead(d.make(t, t.store, "mike-"+ending.name), ending)
			}
		})
		s.run(t, "ended during the call, "+d.name+" has happened or has not", func(t *userTest[U]) {
			testBroken(t, func(i int) deed { return d.make(t, t.store, fmt.Sprint("mike-", i)) })
		})
	}
}
