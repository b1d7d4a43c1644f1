package main

import (
	"database/sql"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/storetest"
)

func TestMemberStore(t *testing.T) {
	storetest.TestUserStore(t, func(t *testing.T, _ func() time.Time) auth.UserStore[*Member] {
		db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "members.db")+
			"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_txlock=immediate")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		if _, err := db.ExecContext(t.Context(), oldTable+";"+newColumns); err != nil {
			t.Fatal(err)
		}
		return MemberStore{db}
	}, storetest.WithForm(func() url.Values { return url.Values{"plan": {"gold"}} })) // the column plan cannot be empty
}

func TestRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "members.db")
	for range 2 { // the second time the columns and the new user exist
		if err := run(t.Context(), path); err != nil {
			t.Fatal(err)
		}
	}
}
