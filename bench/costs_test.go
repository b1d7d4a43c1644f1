package bench_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/sqlstore"
)

// TestCosts counts what requests ask of a store, and compares that with the
// table in docs/scaling.md. With -v it prints the counts:
//
//	go test -run Costs -v
//
// The log bytes of PostgreSQL and MariaDB are not compared, because other
// processes write to these logs, too.
func TestCosts(t *testing.T) {
	document, err := os.ReadFile(filepath.Join("..", "docs", "scaling.md"))
	check(t, err)
	for _, e := range engines() {
		if e.name == "Memory" {
			continue
		}
		t.Run(e.name, func(t *testing.T) {
			w, c := &wire{}, newClock()
			s := e.open(t, c, w)
			asked := &calls{UserStore: s.UserStore, RecordStore: s.records}
			s.UserStore, s.records = asked, asked
			a := newApp(t, s, c)
			a.fill(t, 500)
			for i, r := range append(requests(), pathRequests(newPathApp(t, s, c))...) {
				got := a.cost(t, r, i, asked, w)
				t.Logf("| %s | %d | %d | %s |", r.name, got.reads, got.writes, got.cell())
				if want, ok := documented(string(document), r.name, e.name); !ok || !got.near(want) {
					t.Errorf("%s: counted %v, docs/scaling.md has %v", r.name, got.numbers(), want)
				}
			}
		})
	}
}

// BenchmarkPassword measures a login with a password. Nearly all of its time is
// Argon2id.
func BenchmarkPassword(b *testing.B) {
	c := newClock()
	a := newApp(b, openMemory(b, c, nil), c)
	a.fill(b, 1)
	for b.Loop() {
		a.do(b, http.MethodPost, "/password?name="+username(0))
	}
}

// A request is a request of a logged-in user whose cost is counted.
type request struct {
	name    string
	ahead   time.Duration                                     // how far to advance the clock
	prepare func(tb testing.TB, a *app, i int) []*http.Cookie // not counted; if nil, the session cookie is used
	do      func(tb testing.TB, a *app, i int, c []*http.Cookie)
}

func requests() []request {
	nothing := func(testing.TB, *app, int) []*http.Cookie { return nil }
	get := func(url string) func(testing.TB, *app, int, []*http.Cookie) {
		return func(tb testing.TB, a *app, i int, c []*http.Cookie) { a.do(tb, http.MethodGet, url, c...) }
	}
	post := func(path string) func(testing.TB, *app, int, []*http.Cookie) {
		return func(tb testing.TB, a *app, i int, c []*http.Cookie) {
			a.do(tb, http.MethodPost, path+"?name="+url.QueryEscape(username(i)), c...)
		}
	}
	return []request{
		{name: "a page, no cookie", prepare: nothing, do: get("/public")},
		{name: "a page that asks for no user", do: get("/public")},
		{name: "a page that asks for the user", do: get("/")},
		{name: "the same, a minute later", ahead: 2 * time.Minute, do: get("/")},
		{name: "login with a password", prepare: nothing, do: post("/password")},
		{name: "LoginUser alone", prepare: nothing, do: post("/login")},
		{name: "a page, only remembered", prepare: func(tb testing.TB, a *app, i int) []*http.Cookie {
			cookies := a.do(tb, http.MethodPost, "/login?remember=1&name="+username(i)).Cookies()
			return slices.DeleteFunc(cookies, func(c *http.Cookie) bool { return c.Name == a.cookie })
		}, do: get("/")},
		{name: "logout", do: post("/logout")},
		{name: "Logins", do: func(tb testing.TB, a *app, i int, _ []*http.Cookie) { wantLogins(tb, a, i, 1) }},
		{name: "LogoutEverywhere", do: func(tb testing.TB, a *app, i int, _ []*http.Cookie) {
			check(tb, a.LogoutEverywhere(tb.Context(), &User{Account: auth.Account{ID: userID(i)}}))
		}},
	}
}

// A cost is the cost of one request: calls of the store, round trips and bytes.
type cost struct {
	reads, writes         int64
	trips, sent, received int64 // zero if there is no server
	logged                int64
}

// cost makes a request several times, and returns the median of each count.
func (a *app) cost(tb testing.TB, r request, turn int, asked *calls, w *wire) cost {
	tb.Helper()
	const times, warm = 24, 8
	var all [6][]int64
	for j := range times {
		i := turn*times + j
		cookies := []*http.Cookie{a.session(i)}
		if r.prepare != nil {
			cookies = r.prepare(tb, a, i)
		}
		if a.dialect == sqlstore.SQLite {
			exec(tb, a.db, `PRAGMA wal_checkpoint(TRUNCATE)`)
		}
		logged := func() int64 {
			if a.logged == nil {
				return 0
			}
			return a.logged(tb)
		}
		before := logged()
		a.clock.add(r.ahead)
		asked.reads.Store(0)
		asked.writes.Store(0)
		w.read()
		r.do(tb, a, i, cookies)
		trips, sent, received := w.read()
		a.clock.add(-r.ahead)
		if j >= warm { // by then the statements are prepared
			for k, n := range []int64{asked.reads.Load(), asked.writes.Load(), trips, sent, received, logged() - before} {
				all[k] = append(all[k], n)
			}
		}
	}
	var medians [6]int64
	for k, counts := range all {
		slices.Sort(counts)
		medians[k] = counts[len(counts)/2]
	}
	return cost{medians[0], medians[1], medians[2], medians[3], medians[4], medians[5]}
}

// cell returns the cost as written in the table.
func (c cost) cell() string {
	if c.reads+c.writes == 0 {
		return "0"
	}
	network := fmt.Sprintf("%d: %d, %d", c.trips, c.sent, c.received)
	switch {
	case c.trips == 0:
		return strconv.FormatInt(c.logged, 10)
	case c.logged == 0:
		return network
	}
	return fmt.Sprintf("%s, %d", network, c.logged)
}

func (c cost) numbers() []int64 { return append([]int64{c.reads, c.writes}, integers(c.cell())...) }

func integers(text string) (all []int64) {
	for _, digits := range regexp.MustCompile(`\d+`).FindAllString(text, -1) {
		n, _ := strconv.ParseInt(digits, 10, 64) // cannot fail: digits are digits
		all = append(all, n)
	}
	return all
}

// near reports whether the counts are the documented ones. Calls and round trips
// must be equal; bytes may differ by a tenth, or by a page of SQLite.
func (c cost) near(want []int64) bool {
	got := c.numbers()
	if len(want) < 2 {
		return false
	}
	for k := range min(len(got), len(want), 5) { // the next one is a server's log
		slack := int64(0)
		switch {
		case k >= 3:
			slack = 20 + want[k]/10
		case k == 2 && c.trips == 0:
			slack = 5*4120 + want[k]/10 // leaves room for pages that split
		}
		if got[k] < want[k]-slack || got[k] > want[k]+slack {
			return false
		}
	}
	return true
}

// documented returns the numbers in a row of the table: reads, writes, and the
// columns of the engine.
func documented(document, name, engine string) (numbers []int64, ok bool) {
	cells := func(line string) []string {
		all := strings.Split(strings.Trim(line, "|"), "|")
		for i := range all {
			all[i] = strings.TrimSpace(all[i])
		}
		return all
	}
	column := -1
	for line := range strings.SplitSeq(document, "\n") {
		switch row := cells(line); {
		case strings.HasPrefix(line, "| request |"):
			column = slices.Index(row, engine)
		case column > 2 && column < len(row) && row[0] == name:
			return integers(strings.Join([]string{row[1], row[2], row[column]}, " ")), true
		}
	}
	return nil, false
}

// calls counts the calls that reach a store.
type calls struct {
	auth.UserStore[*User]
	auth.RecordStore
	reads, writes atomic.Int64
}

func (c *calls) LoadUser(ctx context.Context, id string) (*User, error) {
	c.reads.Add(1)
	return c.UserStore.LoadUser(ctx, id)
}

func (c *calls) FindUser(ctx context.Context, key string) (*User, error) {
	c.reads.Add(1)
	return c.UserStore.FindUser(ctx, key)
}

func (c *calls) CreateUser(ctx context.Context, a auth.Account, form url.Values) (*User, error) {
	c.writes.Add(1)
	return c.UserStore.CreateUser(ctx, a, form)
}

func (c *calls) UpdateAccount(ctx context.Context, a auth.Account) error {
	c.writes.Add(1)
	return c.UserStore.UpdateAccount(ctx, a)
}

func (c *calls) InsertRecord(ctx context.Context, r auth.Record) error {
	c.writes.Add(1)
	return c.RecordStore.InsertRecord(ctx, r)
}

func (c *calls) GetRecord(ctx context.Context, kind, key string) (auth.Record, error) {
	c.reads.Add(1)
	return c.RecordStore.GetRecord(ctx, kind, key)
}

func (c *calls) UpdateRecord(ctx context.Context, r auth.Record) error {
	c.writes.Add(1)
	return c.RecordStore.UpdateRecord(ctx, r)
}

func (c *calls) TakeRecord(ctx context.Context, kind, key string) (auth.Record, error) {
	c.writes.Add(1)
	return c.RecordStore.TakeRecord(ctx, kind, key)
}

func (c *calls) ListRecords(ctx context.Context, kind, userID string) ([]auth.Record, error) {
	c.reads.Add(1)
	return c.RecordStore.ListRecords(ctx, kind, userID)
}

func (c *calls) DeleteRecords(ctx context.Context, kind, userID string, keep ...string) error {
	c.writes.Add(1)
	return c.RecordStore.DeleteRecords(ctx, kind, userID, keep...)
}
