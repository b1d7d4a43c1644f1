package main

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/storetest"
)

func TestUserStore(t *testing.T) {
	storetest.TestUserStore(t, func(t *testing.T, _ func() time.Time) auth.UserStore[*User] {
		db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "stockroom.db")+
			"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(0)&_txlock=immediate")
		check(t, err)
		t.Cleanup(func() { _ = db.Close() })
		check(t, migrateUsers(t.Context(), db))
		return userStore{db}
	})
}

// TestRoleColumn: the column of a user with one role is as the old application wrote
// it.
func TestRoleColumn(t *testing.T) {
	for _, c := range []struct {
		column string
		roles  []string
	}{
		{"", nil},
		{"admin", []string{"admin"}},
		{`["admin","editor"]`, []string{"admin", "editor"}},
		{`["[odd]"]`, []string{"[odd]"}},
	} {
		if got, err := roleColumn(c.roles); err != nil || got != c.column {
			t.Errorf("the column of %q is %q, %v; want %q", c.roles, got, err, c.column)
		}
	}
}
