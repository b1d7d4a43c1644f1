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
