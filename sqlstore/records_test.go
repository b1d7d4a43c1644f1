package sqlstore_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/sqlstore"
)

// hostile has names that some databases treat as equal, cut or refuse if they
// are stored as text.
var hostile = []string{
	"a", "A", "a ", " a", "ä", "a\u0308", "\x00", "a\x00", "a\x00b", "\xff", "\xfe", "a\xff", "\ufffd",
	"' OR 1=1 --", `"; DROP TABLE auth_records; --`, "%", "_", "*", "?", "$1", "{prefix}", "1", "1.0", "0x61",
	"X'61'", "null", "NULL", "true", strings.Repeat("k", 255), strings.Repeat("\xff", 255),
}

func TestRecordNamesAreBytes(t *testing.T) { each(t, testRecordNamesAreBytes) }

func testRecordNamesAreBytes(t *testing.T, e engine) {
	s := sqlstore.NewRecords(e.newDB(t), e.dialect, sqlstore.WithClock(clock))
	for i, name := range hostile {
		for _, r := range []auth.Record{
			{Kind: name, Key: "key", UserID: "user"},
			{Kind: "kind", Key: name, UserID: "user"},
			{Kind: "kind", Key: fmt.Sprint("by user ", i), UserID: name},
		} {
			check(t, s.InsertRecord(t.Context(), r))
		}
	}
	for _, name := range hostile {
		for _, id := range [][2]string{{name, "key"}, {"kind", name}} {
			r, err := s.GetRecord(t.Context(), id[0], id[1])
			if err != nil || r.Kind != id[0] || r.Key != id[1] || r.UserID != "user" {
				t.Errorf("%q: %+v, %v", id, r, err)
			}
		}
		list, err := s.ListRecords(t.Context(), "kind", name)
		if err != nil || len(list) != 1 || list[0].UserID != name {
			t.Errorf("%q has the records %+v, %v", name, list, err)
		}
	}

	keep := hostile[:len(hostile)/2]
	check(t, s.DeleteRecords(t.Context(), "kind", "user", keep...))
	list, err := s.ListRecords(t.Context(), "kind", "user")
	if err != nil || len(list) != len(keep) {
		t.Errorf("%d records left of %d, %v", len(list), len(keep), err)
	}
	for _, name := range hostile[1:] {
		check(t, s.DeleteRecords(t.Context(), "kind", name))
		if list, err := s.ListRecords(t.Context(), "kind", "a"); err != nil || len(list) != 1 {
			t.Fatalf("deleting the records of %q left %d of a's, %v", name, len(list), err)
		}
	}
}

// All engines refuse the same long names, and accept all shorter ones.
func TestLongNames(t *testing.T) { each(t, testLongNames) }

func testLongNames(t *testing.T, e engine) {
	s := sqlstore.New[User](e.newDB(t), e.dialect, sqlstore.WithClock(clock))
	fits := strings.Repeat("n", 255)
	for _, long := range []string{fits + "n", strings.Repeat("n", 1<<20)} {
		check(t, s.InsertRecord(t.Context(), auth.Record{Kind: fits, Key: fits, UserID: fits}))
		for _, r := range []auth.Record{{Kind: long, Key: fits}, {Kind: fits, Key: long}, {Kind: "kind", Key: "key", UserID: long}} {
			wantFailure(t, "InsertRecord", s.InsertRecord(t.Context(), r))
			_, err := s.GetRecord(t.Context(), r.Kind, r.Key)
			wantError(t, err, auth.ErrRecordNotFound)
			_, err = s.TakeRecord(t.Context(), r.Kind, r.Key)
			wantError(t, err, auth.ErrRecordNotFound)
			wantError(t, s.UpdateRecord(t.Context(), r), auth.ErrRecordNotFound)
		}
		list, err := s.ListRecords(t.Context(), fits, long)
		if err != nil || len(list) != 0 {
			t.Errorf("%d listed, %v", len(list), err)
		}
		check(t, s.DeleteRecords(t.Context(), fits, long))
		check(t, s.DeleteRecords(t.Context(), fits, fits, long))
		_, err = s.GetRecord(t.Context(), fits, fits)
		wantError(t, err, auth.ErrRecordNotFound)

		for _, a := range []auth.Account{
			{ID: long, Username: "eve"},
			{Username: "eve", PasswordHash: auth.NewSecret(strings.Repeat("h", 1<<16))},
			{Username: "eve", Stamp: auth.NewSecret(strings.Repeat("s", 1<<16))},
		} {
			_, err := s.CreateUser(t.Context(), a, nil)
			wantFailure(t, "CreateUser", err)
		}
		_, err = s.LoadUser(t.Context(), long)
		wantError(t, err, auth.ErrUserNotFound)
		roles := []string{long, "é"}
		u, err := s.CreateUser(t.Context(), auth.Account{Roles: roles}, url.Values{"name": {long}})
		check(t, err)
		u, err = s.LoadUser(t.Context(), u.ID)
		if err != nil || u.Name != long || !slices.Equal(u.Roles, roles) {
			t.Errorf("%v", err)
		}
	}
}

func TestRecordRoundTrip(t *testing.T) { each(t, testRecordRoundTrip) }

func testRecordRoundTrip(t *testing.T, e engine) {
	s := sqlstore.NewRecords(e.newDB(t), e.dialect, sqlstore.WithClock(clock))
	for i, r := range []auth.Record{
		{},
		{Data: []byte{}},
		{Data: []byte("\x00\xff'"), Version: math.MinInt64},
		{Data: make([]byte, 1<<20), Version: math.MaxInt64 - 1},
		{UserID: "u", Version: -1, Expires: start.Add(time.Microsecond)},
		{Version: 1, Expires: time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)},
		{Expires: start.Add(time.Hour).In(time.FixedZone("", 3600))},
	} {
		r.Kind, r.Key = "kind", strconv.Itoa(i)
		check(t, s.InsertRecord(t.Context(), r))
		for range 2 {
			got, err := s.GetRecord(t.Context(), r.Kind, r.Key)
			check(t, err)
			if string(got.Data) != string(r.Data) || got.Version != r.Version || got.UserID != r.UserID || !got.Expires.Equal(r.Expires) {
				t.Errorf("%d: got %+v, want %+v", i, got, r)
			}
			if z := got.Expires.Location(); z != time.UTC {
				t.Errorf("%d: in the zone %v", i, z)
			}
			check(t, s.UpdateRecord(t.Context(), r))
			r.Version++
		}
	}
}

func TestRecordVersionWraps(t *testing.T) { each(t, testRecordVersionWraps) }

func testRecordVersionWraps(t *testing.T, e engine) {
	s := sqlstore.NewRecords(e.newDB(t), e.dialect)
	r := auth.Record{Kind: "kind", Key: "key", Version: math.MaxInt64}
	check(t, s.InsertRecord(t.Context(), r))
	check(t, s.UpdateRecord(t.Context(), r))
	got, err := s.GetRecord(t.Context(), "kind", "key")
	check(t, err)
	if got.Version != math.MinInt64 {
		t.Errorf("after the largest version comes %d", got.Version)
	}
}

func TestRecordExpiry(t *testing.T) { each(t, testRecordExpiry) }

func testRecordExpiry(t *testing.T, e engine) {
	now := start
	s := sqlstore.NewRecords(e.newDB(t), e.dialect, sqlstore.WithClock(func() time.Time { return now }))
	old := auth.Record{Kind: "kind", Key: "key", UserID: "1", Version: 1, Data: []byte("old"), Expires: start.Add(time.Minute)}
	check(t, s.InsertRecord(t.Context(), old))
	now = start.Add(time.Minute - time.Microsecond)
	wantError(t, s.InsertRecord(t.Context(), old), auth.ErrRecordExists)

	now = start.Add(time.Minute)
	_, err := s.GetRecord(t.Context(), "kind", "key")
	wantError(t, err, auth.ErrRecordNotFound)
	_, err = s.TakeRecord(t.Context(), "kind", "key")
	wantError(t, err, auth.ErrRecordNotFound)
	wantError(t, s.UpdateRecord(t.Context(), old), auth.ErrRecordNotFound)
	if list, err := s.ListRecords(t.Context(), "kind", "1"); err != nil || len(list) != 0 {
		t.Errorf("the list has %d expired records, %v", len(list), err)
	}

	// A record that replaces an expired one has nothing of it.
	check(t, s.InsertRecord(t.Context(), auth.Record{Kind: "kind", Key: "key", UserID: "2", Version: 9}))
	got, err := s.GetRecord(t.Context(), "kind", "key")
	check(t, err)
	got.Data = nil
	if want := (auth.Record{Kind: "kind", Key: "key", UserID: "2", Version: 9}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestCleanup(t *testing.T) { each(t, testCleanup) }

func testCleanup(t *testing.T, e engine) {
	spy, db := newSpy(t, e)
	now := start
	s := sqlstore.NewRecords(db, e.dialect, sqlstore.WithClock(func() time.Time { return now }))
	insert := func(n int, key string, expires time.Time) {
		t.Helper()
		tx, err := db.BeginTx(t.Context(), nil)
		check(t, err)
		for i := range n {
			expiry := any(nil)
			if !expires.IsZero() {
				expiry = expires.UnixMicro()
			}
			insert := `INSERT INTO auth_records VALUES (?, ?, ?, ?, ?, ?)`
			if e.dialect == sqlstore.Postgres {
				insert = `INSERT INTO auth_records VALUES ($1, $2, $3, $4, $5, $6)`
			}
			_, err := tx.ExecContext(t.Context(), insert,
				[]byte("kind"), fmt.Appendf(nil, "%s %d", key, i), []byte("user"), []byte{}, 1, expiry)
			check(t, err)
		}
		check(t, tx.Commit())
	}
	insert(1234, "expires", start.Add(time.Hour))
	insert(10, "later", start.Add(time.Hour+time.Microsecond))
	insert(5, "never", time.Time{})

	batches := 0
	ctx, cancel := context.WithCancel(t.Context())
	stop := func() {}
	spy.after = func(query string) {
		if strings.Contains(query, "LIMIT") {
			batches++
			stop()
		}
	}
	if n, err := s.Cleanup(t.Context()); n != 0 || err != nil {
		t.Fatalf("deleted %d before their time, %v", n, err)
	}

	// Cleanup stops between two batches when ctx is done.
	now = start.Add(time.Hour)
	stop = cancel
	n, err := s.Cleanup(ctx)
	if n != 500 || !errors.Is(err, context.Canceled) {
		t.Fatalf("deleted %d until it was cancelled, %v", n, err)
	}

	// Only one process cleans up at a time. A process that stops gives up its
	// turn, and the turn of a dead process ends.
	batches = 0
	stop = func() {
		if n, err := s.Cleanup(t.Context()); n != 0 || err != nil {
			t.Errorf("a second one deleted %d, %v", n, err)
		}
	}
	n, err = s.Cleanup(t.Context())
	if n != 734 || err != nil || batches != 2 {
		t.Fatalf("deleted %d in %d batches, %v", n, batches, err)
	}
	list, err := s.ListRecords(t.Context(), "kind", "user")
	if err != nil || len(list) != 15 {
		t.Fatalf("%d are left, %v", len(list), err)
	}
	insert(501, "dies", start)
	dying := sql.OpenDB(spy)
	stop = func() { _ = dying.Close() }
	if n, err := sqlstore.NewRecords(dying, e.dialect, sqlstore.WithClock(func() time.Time { return now })).Cleanup(t.Context()); n != 500 || err == nil {
		t.Errorf("who dies has deleted %d, %v", n, err)
	}
	stop = func() {}
	for _, want := range []int64{0, 11} {
		if n, err := s.Cleanup(t.Context()); n != want || err != nil {
			t.Errorf("after a death: deleted %d, want %d, %v", n, want, err)
		}
		now = now.Add(time.Minute)
	}
}

// A rotation inserts the new record of a login and then takes the old one.
// Meanwhile a DeleteRecords waits for another of the user's records: it began
// before the new record was there, and reaches the old one after it is gone.
func TestRotationDoesNotSlipThrough(t *testing.T) {
	for _, of := range []struct {
		engine
		lock, waiting string
	}{
		{
			engine{"PostgreSQL", sqlstore.Postgres, "pgx", newSchema},
			`SELECT 1 FROM auth_records WHERE record_key = 'other' FOR UPDATE`,
			`SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))`,
		},
		{
			engine{"MariaDB", sqlstore.MySQL, "mysql", func(t *testing.T) string { return newDatabase(t, "tx_isolation='READ-COMMITTED'") }},
			`SELECT 1 FROM auth_records WHERE kind = 'session' AND record_key = 'other' FOR UPDATE`,
			`SELECT count(*) FROM information_schema.innodb_lock_waits w JOIN information_schema.innodb_trx b
				ON b.trx_id = w.blocking_trx_id WHERE b.trx_mysql_thread_id = CONNECTION_ID()`,
		},
	} {
		t.Run(of.name, func(t *testing.T) {
			db := of.newDB(t)
			s := sqlstore.NewRecords(db, of.dialect)
			insert := func(key string) {
				t.Helper()
				check(t, s.InsertRecord(t.Context(), auth.Record{Kind: "session", Key: key, UserID: "1"}))
			}
			for _, key := range []string{"other", "p old", "z kept"} {
				insert(key)
			}
			tx, err := db.BeginTx(t.Context(), nil)
			check(t, err)
			defer func() { _ = tx.Rollback() }()
			_, err = tx.ExecContext(t.Context(), of.lock)
			check(t, err)
			deleted := make(chan error, 1)
			go func() { deleted <- s.DeleteRecords(t.Context(), "session", "1", "z kept") }()
			for waiting := 0; waiting == 0; {
				select {
				case err := <-deleted:
					t.Fatalf("the deletion did not wait, %v", err)
				case <-time.After(150 * time.Millisecond): // InnoDB caches the answer for 100 ms after the last query
				}
				check(t, tx.QueryRowContext(t.Context(), of.waiting).Scan(&waiting))
			}
			insert("a new")
			_, err = s.TakeRecord(t.Context(), "session", "p old")
			taken := err == nil
			check(t, tx.Commit())
			check(t, <-deleted)
			list, err := s.ListRecords(t.Context(), "session", "1")
			check(t, err)
			if taken && (len(list) != 1 || list[0].Key != "z kept") {
				t.Errorf("left are %d, %v", len(list), list)
			}
		})
	}
}

// TestAllVerbsAtOnce has racers that use a few records with every verb. No
// racer gets an error because the database was busy.
func TestAllVerbsAtOnce(t *testing.T) { eachSetting(t, testAllVerbsAtOnce) }

func testAllVerbsAtOnce(t *testing.T, e engine) {
	s := sqlstore.NewRecords(e.newDB(t), e.dialect)
	verbs := []func(r auth.Record) error{
		func(r auth.Record) error { return s.InsertRecord(t.Context(), r) },
		func(r auth.Record) error { _, err := s.TakeRecord(t.Context(), r.Kind, r.Key); return err },
		func(r auth.Record) error { return s.DeleteRecords(t.Context(), r.Kind, r.UserID, "1", "x") },
		func(auth.Record) error { _, err := s.Cleanup(t.Context()); return err },
		func(r auth.Record) error { return s.UpdateRecord(t.Context(), r) },
		func(r auth.Record) error { return s.InsertRecord(t.Context(), r) },
	}
	var racers sync.WaitGroup
	for i := range 10 {
		racers.Go(func() {
			for n := range 200 {
				err := verbs[(i+n)%len(verbs)](auth.Record{
					Kind: "kind", Key: strconv.Itoa(n % 7), UserID: strconv.Itoa(n % 3), Version: 1,
					Expires: time.Now().Add(time.Duration(n%5) * 3 * time.Millisecond),
				})
				if err != nil && !errors.Is(err, auth.ErrRecordExists) && !errors.Is(err, auth.ErrRecordNotFound) && !errors.Is(err, auth.ErrConflict) {
					t.Error(err)
				}
			}
		})
	}
	racers.Wait()
}

// An Expires that cannot be kept is refused, and nothing is changed.
func TestFarExpires(t *testing.T) { each(t, testFarExpires) }

func testFarExpires(t *testing.T, e engine) {
	s := sqlstore.NewRecords(e.newDB(t), e.dialect, sqlstore.WithClock(clock))
	r := auth.Record{Kind: "k", Key: "k", UserID: "u", Version: 1, Expires: time.Date(289_999, 1, 1, 0, 0, 0, 0, time.UTC)}
	check(t, s.InsertRecord(t.Context(), r))
	for _, expires := range []time.Time{time.Unix(1<<60, 0), time.Unix(-1<<60, 0), time.Date(300_000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		far := auth.Record{Kind: "k", Key: "far", UserID: "u", Expires: expires}
		wantFailure(t, "InsertRecord", s.InsertRecord(t.Context(), far))
		far.Key, far.Version = "k", 1
		wantFailure(t, "UpdateRecord", s.UpdateRecord(t.Context(), far))
	}
	list, err := s.ListRecords(t.Context(), "k", "u")
	if err != nil || len(list) != 1 || !list[0].Expires.Equal(r.Expires) || list[0].Version != 1 {
		t.Errorf("%+v, %v", list, err)
	}
}

// A connection that changes the bytes it carries leads to an error, not to an
// endless loop.
func TestTakeThroughAnotherCharacterSet(t *testing.T) {
	dsn := newDatabase(t, "")
	e := engines()[2]
	check(t, sqlstore.Migrate(t.Context(), e.connect(t, dsn), e.dialect))
	s := sqlstore.NewRecords(e.connect(t, dsn+"?character_set_client=latin1"), e.dialect)
	check(t, s.InsertRecord(t.Context(), auth.Record{Kind: "k", Key: "k", Data: []byte("\xff\x80")}))
	if _, err := s.TakeRecord(t.Context(), "k", "k"); err != nil {
		wantFailure(t, "TakeRecord", err)
	}
}

// TestCleanupPartitions has records in two partitions of a PostgreSQL table, in
// each of which the same ctid names a row.
func TestCleanupPartitions(t *testing.T) {
	e := engine{dialect: sqlstore.Postgres, driver: "pgx", newDSN: newSchema}
	db := e.newDB(t)
	for _, statement := range []string{
		`ALTER TABLE auth_records RENAME TO one`,
		`CREATE TABLE auth_records (LIKE one, PRIMARY KEY (kind, record_key)) PARTITION BY HASH (kind, record_key)`,
		`CREATE TABLE even PARTITION OF auth_records FOR VALUES WITH (MODULUS 2, REMAINDER 0)`,
		`CREATE TABLE odd PARTITION OF auth_records FOR VALUES WITH (MODULUS 2, REMAINDER 1)`,
	} {
		_, err := db.ExecContext(t.Context(), statement)
		check(t, err)
	}
	s := sqlstore.NewRecords(db, e.dialect, sqlstore.WithClock(clock))
	const n = 100
	live := make([]string, n)
	for i := range live {
		live[i] = rand.Text()
		check(t, s.InsertRecord(t.Context(), auth.Record{Kind: "k", Key: live[i]}))
		check(t, s.InsertRecord(t.Context(), auth.Record{Kind: "k", Key: rand.Text(), Expires: start}))
	}
	if cleaned, err := s.Cleanup(t.Context()); err != nil || cleaned != n {
		t.Errorf("cleaned up %d records, %v", cleaned, err)
	}
	for _, key := range live {
		_, err := s.GetRecord(t.Context(), "k", key)
		check(t, err)
	}
}
