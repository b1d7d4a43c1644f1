package sqlstore_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/sqlstore"
)

// A diary is a store with a clock that the test sets, and the store's log.
type diary struct {
	*sqlstore.Records
	now     time.Time
	log     bytes.Buffer
	records int
}

func newDiary(t *testing.T, e engine) *diary {
	d := &diary{now: start}
	d.Records = sqlstore.NewRecords(e.newDB(t), e.dialect, sqlstore.WithClock(func() time.Time { return d.now }),
		sqlstore.WithLogger(slog.New(slog.NewTextHandler(&d.log, nil))))
	return d
}

// insert stores a record that expires after a minute.
func (d *diary) insert(t *testing.T) {
	t.Helper()
	d.records++
	check(t, d.InsertRecord(t.Context(), auth.Record{Kind: "k", Key: fmt.Sprint(d.records), Expires: d.now.Add(time.Minute)}))
}

func (d *diary) warnings() int { return strings.Count(d.log.String(), "CleanupEvery") }

// TestNobodyCleansUp tests an application that never calls Cleanup.
func TestNobodyCleansUp(t *testing.T) { each(t, testNobodyCleansUp) }

func testNobodyCleansUp(t *testing.T, e engine) {
	d := newDiary(t, e)
	for range 48 { // two days, because a job may run once a day
		d.insert(t)
		d.now = d.now.Add(time.Hour)
	}
	if d.log.Len() > 0 {
		t.Errorf("warned too early: %s", &d.log)
	}
	for range 72 {
		d.insert(t)
		d.now = d.now.Add(time.Hour)
	}
	if d.warnings() != 1 || !strings.Contains(d.log.String(), "auth_records") {
		t.Errorf("want one warning, got %q", &d.log)
	}
}

// TestSomebodyCleansUp tests an application that calls Cleanup once a day, in
// another process.
func TestSomebodyCleansUp(t *testing.T) { each(t, testSomebodyCleansUp) }

func testSomebodyCleansUp(t *testing.T, e engine) {
	d := newDiary(t, e)
	for hour := range 120 {
		d.insert(t)
		d.now = d.now.Add(time.Hour)
		if hour%24 == 23 {
			_, err := d.Cleanup(t.Context())
			check(t, err)
		}
	}
	if d.log.Len() > 0 {
		t.Errorf("got %s", &d.log)
	}
}

func TestCleanupEvery(t *testing.T) { each(t, testCleanupEvery) }

func testCleanupEvery(t *testing.T, e engine) {
	db := e.newDB(t)
	check(t, sqlstore.NewRecords(db, e.dialect).InsertRecord(t.Context(), auth.Record{Kind: "k", Key: "old", Expires: start}))
	check(t, sqlstore.NewRecords(db, e.dialect).InsertRecord(t.Context(), auth.Record{Kind: "k", Key: "new", Expires: start.Add(time.Hour)}))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan struct{})
	ticks := make(chan struct{}, 1000)
	records := sqlstore.NewRecords(db, e.dialect, sqlstore.WithClock(func() time.Time {
		select {
		case ticks <- struct{}{}:
		default:
		}
		return start
	}))
	go func() {
		records.CleanupEvery(ctx, time.Millisecond)
		close(done)
	}()
	for range 50 { // it goes on after every failure
		<-ticks
	}
	cancel()
	<-done
	var left int
	check(t, db.QueryRowContext(t.Context(), `SELECT count(*) FROM auth_records WHERE length(kind) = 1`).Scan(&left))
	if left != 1 {
		t.Errorf("%d records are left, want the one that has not expired", left)
	}
}

// A failure is logged and does not end CleanupEvery.
func TestCleanupEveryFails(t *testing.T) {
	e := engines()[0]
	db := e.newDB(t)
	check(t, db.Close())
	log := make(lines, 100)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	records := sqlstore.NewRecords(db, e.dialect, sqlstore.WithLogger(slog.New(slog.NewTextHandler(log, nil))))
	go records.CleanupEvery(ctx, time.Millisecond)
	for range 3 {
		if line := <-log; !strings.Contains(line, "Cleanup failed") {
			t.Errorf("got %s", line)
		}
	}
}

// lines receives the logged lines.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	select {
	case l <- string(p):
	default:
	}
	return len(p), nil
}

// TestCleanupPages counts the pages that SQLite writes when it deletes 500 expired records
// from a small table and from a large one. The difference is the pages of the two indexes
// whose order has nothing to do with the time: by key, and by user. docs/scaling.md has the
// counts of a million records.
func TestCleanupPages(t *testing.T) {
	for _, c := range []struct {
		name        string
		key         string // an SQL expression of i
		index       bool   // there is an index by user
		least, most int    // how many times the pages of the small table the large one needs, in percent
	}{
		{"as it is", `hex(randomblob(21))`, true, 300, 1000},
		{"keys in the order of their creation", `printf('%08d', i) || hex(randomblob(17))`, true, 180, 600},
		{"and no index by user", `printf('%08d', i) || hex(randomblob(17))`, false, 0, 130},
	} {
		t.Run(c.name, func(t *testing.T) {
			pages := map[int]int{}
			for _, live := range []int{1_000, 30_000} {
				db := openSQLite(t, newFile(t))
				db.SetMaxOpenConns(1)
				check(t, sqlstore.Migrate(t.Context(), db, sqlstore.SQLite))
				do := func(statement string, args ...any) {
					t.Helper()
					_, err := db.ExecContext(t.Context(), statement, args...)
					check(t, err)
				}
				do(`PRAGMA wal_autocheckpoint = 0`)
				if !c.index {
					do(`DROP INDEX auth_records_user`)
				}
				do(`INSERT INTO auth_records (kind, record_key, user_id, data, version, expires)
					SELECT x'6b', CAST(`+c.key+` AS BLOB), CAST(hex(randomblob(13)) AS BLOB), randomblob(320), 1, iif(i > ?, ?, ?)
					FROM (WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ? + 500) SELECT i FROM n)`,
					live, start.UnixMicro(), start.Add(time.Hour).UnixMicro(), live)
				logged := func() (n int) {
					t.Helper()
					var busy, moved int
					check(t, db.QueryRowContext(t.Context(), `PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &n, &moved))
					return n
				}
				do(`PRAGMA wal_checkpoint(TRUNCATE)`)
				store := sqlstore.NewRecords(db, sqlstore.SQLite, sqlstore.WithClock(func() time.Time { return start.Add(time.Second) }))
				if n, err := store.Cleanup(t.Context()); n != 500 || err != nil {
					t.Fatalf("%d records, %v", n, err)
				}
				pages[live] = logged()
			}
			small, large := pages[1_000], pages[30_000]
			t.Logf("%d pages of the small table, %d of the large one", small, large)
			if percent := 100 * large / small; percent < c.least || percent > c.most {
				t.Errorf("%d pages of the small table and %d of the large one, want %d to %d %%", small, large, c.least, c.most)
			}
		})
	}
}
