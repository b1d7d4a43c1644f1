package sqlstore_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/sqlstore"
)

// newSafeDB is newDB with connections that lose nothing in a power failure.
func (e engine) newSafeDB(t *testing.T) *sql.DB {
	t.Helper()
	db := e.connect(t, strings.ReplaceAll(e.newDSN(t), "synchronous_commit=off", "synchronous_commit=on"))
	check(t, sqlstore.Migrate(t.Context(), db, e.dialect))
	return db
}

func found(t *testing.T, d auth.Diagnoser, public bool) string {
	t.Helper()
	all, err := d.Diagnose(t.Context(), public)
	check(t, err)
	var codes []string
	for _, f := range all {
		if f.Text == "" || f.Fix == "" {
			t.Errorf("%+v says nothing", f)
		}
		codes = append(codes, fmt.Sprintf("%s %s", f.Severity, f.Code))
	}
	return strings.Join(codes, ", ")
}

// wantFound compares what a store finds.
func wantFound(t *testing.T, what string, d auth.Diagnoser, want string) {
	t.Helper()
	if got := found(t, d, true); got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// TestDiagnose goes from an empty database to one that nobody cleans up.
func TestDiagnose(t *testing.T) { each(t, testDiagnose) }

func testDiagnose(t *testing.T, e engine) {
	now := start
	options := []sqlstore.Option{sqlstore.WithClock(func() time.Time { return now })}
	db := e.connect(t, strings.ReplaceAll(e.newDSN(t), "synchronous_commit=off", "synchronous_commit=on"))
	records, store := sqlstore.NewRecords(db, e.dialect, options...), sqlstore.New[User](db, e.dialect, options...)
	wantFound(t, "records without tables", records, "severe store.outdated")
	check(t, sqlstore.MigrateRecords(t.Context(), db, e.dialect))
	wantFound(t, "records", records, "")
	wantFound(t, "a store without its users", store, "severe store.outdated")
	check(t, sqlstore.Migrate(t.Context(), db, e.dialect))
	wantFound(t, "a store", store, "")

	for i := range 3 {
		check(t, records.InsertRecord(t.Context(), auth.Record{Kind: "k", Key: fmt.Sprint(i), Expires: now.Add(time.Minute)}))
	}
	now = now.Add(24 * time.Hour) // a job may clean up once a day
	wantFound(t, "after a day", store, "")
	now = now.Add(25 * time.Hour)
	wantFound(t, "after two days", store, "warning store.uncleaned")
	all, err := records.Diagnose(t.Context(), false)
	check(t, err)
	if len(all) != 1 || !strings.Contains(all[0].Text, "auth_records: 3.") || !strings.Contains(all[0].Fix, "CleanupEvery") {
		t.Errorf("%v", all)
	}
	_, err = records.Cleanup(t.Context())
	check(t, err)
	wantFound(t, "after Cleanup", store, "")

	_, err = db.ExecContext(t.Context(), `UPDATE auth_schema SET version = 1000 WHERE part = 'records'`)
	check(t, err)
	wantFound(t, "tables of a later version", store, "severe store.outdated")

	check(t, db.Close())
	if _, err := store.Diagnose(t.Context(), true); err == nil {
		t.Error("a closed database has no error")
	}
	if _, err := sqlstore.NewRecords(nil, e.dialect).Diagnose(t.Context(), true); err == nil {
		t.Error("wrong options have no error")
	}
}

// Doctor asks the store once, though it serves as all three.
func TestDoctor(t *testing.T) { each(t, testDoctor) }

func testDoctor(t *testing.T, e engine) {
	store := sqlstore.New[User](e.newSafeDB(t), e.dialect)
	check(t, store.InsertRecord(t.Context(), auth.Record{Kind: "k", Key: "old", Expires: start.AddDate(-1, 0, 0)}))
	m, err := auth.New(store, auth.Config{BaseURL: "https://app.example", Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")}})
	check(t, err)
	n := 0
	for _, f := range m.Doctor(t.Context()) {
		switch f.Code {
		case auth.FindingStoreUncleaned:
			n++
		case auth.FindingMailerMissing, auth.FindingMemoryTooLittle, auth.FindingProcessorsFewer:
		default:
			t.Errorf("%v", f)
		}
	}
	if n != 1 {
		t.Errorf("%d findings about old records", n)
	}
}

// Settings with which a power failure undoes the last changes.
func TestDiagnoseDurability(t *testing.T) {
	for _, e := range []engine{
		{"SQLite", sqlstore.SQLite, "sqlite", func(t *testing.T) string { return newFile(t) + "&_pragma=synchronous(NORMAL)" }},
		{"PostgreSQL", sqlstore.Postgres, "pgx", newSchema}, // with synchronous_commit=off
	} {
		t.Run(e.name, func(t *testing.T) {
			wantFound(t, e.name, sqlstore.NewRecords(e.newDB(t), e.dialect), "warning store.not-durable")
		})
	}
}

func TestDiagnoseCharset(t *testing.T) {
	e := engines()[2]
	for _, settings := range []string{"charset=utf8mb3", "character_set_connection=latin1", "charset=latin1"} {
		dsn := newDatabase(t, settings)
		plain, _, _ := strings.Cut(dsn, "?")
		check(t, sqlstore.MigrateRecords(t.Context(), e.connect(t, plain), e.dialect))
		wantFound(t, settings, sqlstore.NewRecords(e.connect(t, dsn), e.dialect), "severe store.charset")
	}
}

func TestDiagnoseSQLite(t *testing.T) {
	// In memory, which is right for tests only.
	db := inMemory(t)
	check(t, sqlstore.MigrateRecords(t.Context(), db, sqlstore.SQLite))
	records := sqlstore.NewRecords(db, sqlstore.SQLite)
	wantFound(t, "in memory", records, "warning store.in-memory")
	if got := found(t, records, false); got != "" {
		t.Errorf("in memory, in development: %q", got)
	}
	// Opened without the parameters, by a program that lets another one call Migrate.
	dsn := newFile(t)
	check(t, sqlstore.MigrateRecords(t.Context(), engines()[0].connect(t, dsn), sqlstore.SQLite))
	file, _, _ := strings.Cut(dsn, "?")
	all, err := sqlstore.NewRecords(engines()[0].connect(t, file), sqlstore.SQLite).Diagnose(t.Context(), true)
	check(t, err)
	if len(all) != 1 || all[0].Code != sqlstore.FindingSQLiteSettings || !strings.Contains(all[0].Fix, "busy_timeout") {
		t.Errorf("%v", all)
	}
}
