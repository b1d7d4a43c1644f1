package sqlstore_test

import (
	"testing"
	"time"

	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/sqlstore"
)

func TestRaces(t *testing.T) {
	testapp.Races(t, func(t *testing.T, clock func() time.Time) testapp.Store {
		return sqlstore.New[testapp.User](newDB(t), sqlstore.SQLite, sqlstore.WithClock(clock))
	})
}
