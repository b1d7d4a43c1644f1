package sqlstore_test

import (
	"os"
	"testing"
	"time"

	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/sqlstore"
)

func TestRaces(t *testing.T) { each(t, testRaces) }

func testRaces(t *testing.T, e engine) {
	rounds, waiting := 20, 8 // for engines that wait for a disk
	if os.Getenv("GOLOGIN_SLOW") != "" {
		rounds, waiting = 100, 25
	}
	if e.dialect != sqlstore.SQLite {
		rounds = waiting
	}
	testapp.Races(t, rounds, func(t *testing.T, clock func() time.Time) testapp.Store {
		return sqlstore.New[testapp.User](e.newDB(t), e.dialect, sqlstore.WithClock(clock))
	})
}

func TestRememberedRaces(t *testing.T) {
	each(t, func(t *testing.T, e engine) {
		testapp.RememberedRaces(t, 2, func(t *testing.T, clock func() time.Time) testapp.Store {
			return sqlstore.New[testapp.User](e.newDB(t), e.dialect, sqlstore.WithClock(clock))
		})
	})
}
