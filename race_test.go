package auth_test

import (
	"testing"
	"time"

	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

func TestRaces(t *testing.T) {
	testapp.Races(t, testapp.Rounds(t, 10, 100), func(_ *testing.T, clock func() time.Time) testapp.Store {
		return memstore.New[testapp.User](memstore.WithClock(clock))
	})
}

func TestRememberedRaces(t *testing.T) {
	testapp.RememberedRaces(t, testapp.Rounds(t, 2, 10), func(_ *testing.T, clock func() time.Time) testapp.Store {
		return memstore.New[testapp.User](memstore.WithClock(clock))
	})
}

func TestFactorRaces(t *testing.T) {
	testapp.FactorRaces(t, testapp.Rounds(t, 2, 20), func(_ *testing.T, clock func() time.Time) testapp.Store {
		return memstore.New[testapp.User](memstore.WithClock(clock))
	})
}
