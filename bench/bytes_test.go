package bench_test

import (
	"net/http"
	"testing"

	"github.com/go-login/auth"
)

// BenchmarkBytes measures the bytes that an account, its session and a
// remembered device take in a store, including their share of indexes and
// half-filled pages:
//
//	go test -run '^$' -bench Bytes -benchtime 1x
func BenchmarkBytes(b *testing.B) {
	for _, e := range engines() {
		b.Run(e.name, func(b *testing.B) {
			for b.Loop() {
				for what, n := range bytesOf(b, e, 5000) {
					b.ReportMetric(float64(n), what)
				}
			}
		})
	}
}

// TestBytes shows that the benchmark works.
func TestBytes(t *testing.T) {
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			for what, n := range bytesOf(t, e, 500) {
				if n < 100 || n > 5000 {
					t.Errorf("%d %s", n, what)
				}
			}
		})
	}
}

// bytesOf creates this many users, each with two logins, one of them
// remembered.
func bytesOf(tb testing.TB, e engine, users int) map[string]int64 {
	tb.Helper()
	s := e.open(tb, newClock(), nil)
	if s.sizes == nil {
		tb.Skip("nobody can say how much it has")
	}
	a := newApp(tb, s, newClock())
	hash := auth.NewSecret(newMembers(tb).load(username(0)).hash)
	taken := func() (all int64) {
		switch e.name {
		case "SQLite":
			exec(tb, s.db, "PRAGMA wal_checkpoint(TRUNCATE)")
		case "MariaDB":
			exec(tb, s.db, "ANALYZE TABLE auth_users, auth_records")
		}
		for _, n := range s.sizes(tb) {
			all += n
		}
		return all
	}
	empty := taken()
	for i := range users {
		_, err := s.CreateUser(tb.Context(), auth.Account{
			ID: userID(i), Username: username(i), Email: username(i) + "@example.com", EmailVerified: true,
			PasswordHash: hash, Stamp: auth.NewSecret(token(i)), Version: 1,
		}, nil)
		check(tb, err)
	}
	accounts := taken()
	login := func(more string) {
		for i := range users {
			a.do(tb, http.MethodPost, "/login?name="+username(i)+more)
		}
	}
	login("")
	sessions := taken()
	login("&remember=1")
	both := taken()
	per := func(n int64) int64 { return n / int64(users) }
	bytes := map[string]int64{"B/session": per(sessions - accounts), "B/device": per(both - sessions - (sessions - accounts))}
	if s.db != nil { // Redis has no accounts
		bytes["B/account"] = per(accounts - empty)
	}
	return bytes
}
