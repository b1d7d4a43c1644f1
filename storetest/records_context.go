package storetest

import (
	"fmt"
	"testing"
)

func (s recordSuite) context(t *testing.T) {
	for _, d := range recordDeeds() {
		s.run(t, "cancelled or expired, "+d.name+" does nothing", func(t *recordTest) {
			for _, ending := range endings() {
				testDead(d.make(t, t.store, "key "+ending.name), ending)
			}
		})
		s.run(t, "ended during the call, "+d.name+" has happened or has not", func(t *recordTest) {
			testBroken(t, func(i int) deed { return d.make(t, t.store, fmt.Sprint("key ", i)) })
		})
	}
}
