package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	"github.com/go-login/auth"
)

// Diagnose implements [auth.Diagnoser]. It finds tables that Migrate has not brought to the
// version of this package, expired records that nobody deletes, and settings of a
// connection that change texts or lose the last changes in a power failure. It looks at one
// connection; Migrate looks at more.
func (s *Records) Diagnose(ctx context.Context, public bool) ([]auth.Finding, error) {
	return s.diagnose(ctx, public, records)
}

// Diagnose is that of [Records], and looks at the table of the users, too.
func (s *Store[T, P]) Diagnose(ctx context.Context, public bool) ([]auth.Finding, error) {
	return s.diagnose(ctx, public, users, records)
}

func (s *Records) diagnose(ctx context.Context, public bool, parts ...string) (found []auth.Finding, err error) {
	if s.db.err != nil {
		return nil, s.db.err
	}
	if err := s.db.pool.PingContext(ctx); err != nil {
		return nil, err
	}
	found = s.db.lookAtSchema(ctx, parts)
	if len(found) == 0 {
		old, err := s.lookAtExpired(ctx)
		if err != nil {
			return found, err
		}
		found = append(found, old...)
	}
	settings, err := s.db.lookAtSettings(ctx, public)
	return append(found, settings...), err
}

func (d *database) lookAtSchema(ctx context.Context, parts []string) []auth.Finding {
	for _, part := range parts {
		have, err := d.version(ctx, d.pool, part)
		want := d.latest(part)
		if err == nil && have == want {
			continue
		}
		f := auth.Finding{
			Code: auth.FindingStoreOutdated, Severity: auth.SeveritySevere, Err: err,
			Text: fmt.Sprintf("The table %s%s has version %d, and this program needs %d.", d.prefix, part, have, want),
			Fix:  "Call sqlstore.Migrate at every start, with the same options as New, or MigrateRecords for NewRecords.",
		}
		switch {
		case err != nil:
			f.Text = fmt.Sprintf("The version of the table %s%s cannot be read: there is no table %sschema, or it was changed.", d.prefix, part, d.prefix)
		case have > want:
			f.Fix = "Run a program with a newer version of package sqlstore."
		}
		return []auth.Finding{f}
	}
	return nil
}

// maxCounted is the most expired records that Diagnose counts. More take long.
const maxCounted = 10_000

func (s *Records) lookAtExpired(ctx context.Context) ([]auth.Finding, error) {
	counted, err := collect(ctx, s.db, func(rows *sql.Rows) (n int64, err error) {
		err = rows.Scan(&n)
		return n, err
	}, `SELECT COUNT(*) FROM (SELECT 1 AS one FROM {prefix}records WHERE expires <= ? LIMIT `+strconv.Itoa(maxCounted)+`) AS expired`,
		s.now()-tooOld.Microseconds())
	if err != nil || len(counted) == 0 || counted[0] == 0 {
		return nil, err
	}
	number := strconv.FormatInt(counted[0], 10)
	if counted[0] == maxCounted {
		number += " or more"
	}
	return []auth.Finding{{
		Code: auth.FindingStoreUncleaned, Severity: auth.SeverityWarning,
		Text: fmt.Sprintf("Records that expired more than %.0f hours ago are still in %srecords: %s. Nobody deletes them, and the table grows.", tooOld.Hours(), s.db.prefix, number),
		Fix:  "Start CleanupEvery of the store in a goroutine, or call Cleanup once an hour.",
	}}, nil
}

// lookAtSettings asks the connection for its settings.
func (d *database) lookAtSettings(ctx context.Context, public bool) ([]auth.Finding, error) {
	switch {
	case d.grammar.mysql:
		return d.lookAtMySQL(ctx)
	case d.grammar.numbered:
		return d.lookAtPostgres(ctx)
	}
	return d.lookAtSQLite(ctx, public)
}

// notDurable is the finding about a setting that lets a power failure undo changes.
func notDurable(setting, value, right string) auth.Finding {
	return auth.Finding{
		Code: auth.FindingStoreNotDurable, Severity: auth.SeverityWarning,
		Text: fmt.Sprintf("%s is %s. After a power failure the last changes may be undone: a login that was ended, or a token that was used, is then valid again.", setting, value),
		Fix:  fmt.Sprintf("Set %s to %s.", setting, right),
	}
}

func (d *database) lookAtMySQL(ctx context.Context) (found []auth.Finding, err error) {
	var client, connection, results, flush string
	if err := d.ask(ctx, `SELECT @@character_set_client, @@character_set_connection, @@character_set_results, @@innodb_flush_log_at_trx_commit`,
		&client, &connection, &results, &flush); err != nil {
		return nil, err
	}
	if client != "utf8mb4" || connection != "utf8mb4" || results != "utf8mb4" {
		found = append(found, auth.Finding{
			Code: auth.FindingStoreCharset, Severity: auth.SeveritySevere,
			Text: fmt.Sprintf("The connection's character set is not utf8mb4 (client %s, connection %s, results %s). The server refuses or changes texts, such as names and keys.", client, connection, results),
			Fix:  "Leave the DSN's charset out, which is utf8mb4, and run no SET NAMES.",
		})
	}
	if flush != "1" {
		found = append(found, notDurable("innodb_flush_log_at_trx_commit", flush, "1"))
	}
	return found, nil
}

func (d *database) lookAtPostgres(ctx context.Context) (found []auth.Finding, err error) {
	var commit, fsync string
	if err := d.ask(ctx, `SELECT current_setting('synchronous_commit'), current_setting('fsync')`, &commit, &fsync); err != nil {
		return nil, err
	}
	if commit == "off" {
		found = append(found, notDurable("synchronous_commit", commit, "on"))
	}
	if fsync == "off" {
		found = append(found, notDurable("fsync", fsync, "on"))
	}
	return found, nil
}

func (d *database) lookAtSQLite(ctx context.Context, public bool) (found []auth.Finding, err error) {
	var file string
	var synchronous int
	if err := d.ask(ctx, `SELECT coalesce(file, '') FROM pragma_database_list WHERE name = 'main'`, &file); err != nil {
		return nil, err
	}
	if err := d.ask(ctx, `PRAGMA synchronous`, &synchronous); err != nil {
		return nil, err
	}
	const full = 2
	switch {
	case file == "" && public:
		found = append(found, auth.Finding{
			Code: auth.FindingStoreInMemory, Severity: auth.SeverityWarning,
			Text: "The SQLite database is in memory. All of it is gone when the process ends, and a second process does not see it.",
			Fix:  "Open a database in a file.",
		})
	case file != "" && synchronous < full:
		found = append(found, notDurable("PRAGMA synchronous", strconv.Itoa(synchronous), "FULL (2)"))
	}
	stop := d.checkSQLite(ctx)
	if errors.Is(stop, errSettings) {
		found = append(found, auth.Finding{
			Code: FindingSQLiteSettings, Severity: auth.SeveritySevere, Err: stop,
			Text: "The SQLite database was opened with settings that make requests fail that write at the same time.",
			Fix:  "Open it with " + rightDSN + ".",
		})
		stop = nil
	}
	return found, stop
}

// FindingSQLiteSettings says that an SQLite database was opened with settings that Migrate
// refuses.
const FindingSQLiteSettings auth.FindingCode = "sqlite.settings"

// ask runs a query that returns one row.
func (d *database) ask(ctx context.Context, query string, values ...any) error {
	return d.pool.QueryRowContext(ctx, query).Scan(values...)
}
