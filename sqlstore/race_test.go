package sqlstore_test

import (
	"testing"
	"time"

	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/sqlstore"
)

func TestRaces(t *testing.T) { each(t, testRaces) }

func testRaces(t *testing.T, e engine) {
	all := 100
	if e.dialect != sqlstore.SQLite {
		all = 25 // these engines wait for a disk
	}
	testapp.Races(t, testapp.Rounds(t, 4, all), func(t *testing.T, clock func() time.Time) testapp.Store {
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

func TestFactorRaces(t *testing.T) {
	each(t, func(t *testing.T, e engine) {
		testapp.FactorRaces(t, testapp.Rounds(t, 1, 3), func(t *testing.T, clock func() time.Time) testapp.Store {
			return sqlstore.New[testapp.User](e.newDB(t), e.dialect, sqlstore.WithClock(clock))
		})
	})
}

func TestAdminRaces(t *testing.T) {
	each(t, func(t *testing.T, e engine) {
		testapp.AdminRaces(t, testapp.Rounds(t, 2, 10), func(t *testing.T, clock func() time.Time) testapp.Store {
			return sqlstore.New[testapp.User](e.newDB(t), e.dialect, sqlstore.WithClock(clock))
		})
	})
}
