package main

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
)

// examined runs the program with -doctor in a directory.
func examined(t *testing.T, dir string, args ...string) (out string, err error) {
	t.Helper()
	var stdout strings.Builder
	err = run(t.Context(), append([]string{
		"-doctor", "-db", filepath.Join(dir, "test.db"), "-secret-file", filepath.Join(dir, "test.secret"),
	}, args...), &stdout)
	return stdout.String(), err
}

func TestDoctor(t *testing.T) {
	dir := t.TempDir()
	out, err := examined(t, dir)
	if err != nil || strings.Contains(out, "severe:") || !strings.HasSuffix(out, "No severe findings.\n") {
		t.Errorf("at localhost: %v\n%s", err, out)
	}
	// The mails of a public site are printed.
	out, err = examined(t, dir, "-base-url", "https://app.example")
	if err == nil || !strings.Contains(out, "severe: mailer.prints: ") || !strings.Contains(out, " Fix: ") {
		t.Errorf("at app.example: %v\n%s", err, out)
	}
	out, err = examined(t, dir, "-base-url", "https://app.example", "-smtp", "127.0.0.1:1")
	if err != nil {
		t.Errorf("with mails: %v\n%s", err, out)
	}
	// A warning is no reason to stop.
	db, err := sql.Open("sqlite", filepath.Join(dir, "test.db"))
	check(t, err)
	_, err = db.ExecContext(t.Context(), `INSERT INTO auth_records (kind, record_key, user_id, data, version, expires) VALUES (x'6b', x'6f', x'', x'', 1, 1)`)
	check(t, err)
	check(t, db.Close())
	out, err = examined(t, dir)
	if err != nil || !strings.Contains(out, "warning: store.uncleaned: ") || !strings.Contains(out, "CleanupEvery") {
		t.Errorf("with old records: %v\n%s", err, out)
	}
	// Nobody but the program itself says that it works.
	if strings.Contains(out, "Quickstart is at") {
		t.Errorf("it serves: %s", out)
	}
}
