package sqlstore

import (
	"embed"
	"fmt"
	"strconv"
	"strings"
)

// A Dialect says which database is behind the *sql.DB.
type Dialect string

// SQLite is SQLite 3.37 or newer, with any driver.
const SQLite Dialect = "sqlite"

// schemas has a directory for each dialect; see migrate.go.
//
//go:embed schema
var schemas embed.FS

// A grammar is what differs between dialects. The statements in this package
// are written in the common ground of SQLite and PostgreSQL; a dialect that
// lacks something of it (MySQL: RETURNING, and ON CONFLICT … WHERE) gets a
// field here for what to do instead.
//
// No dialect needs to know the error codes of its drivers: which name is taken
// is found out by asking who has it, see Store.taken.
type grammar struct {
	schema   string // directory with the schema
	numbered bool   // parameters are $1, $2 … in place of ?
}

func (d Dialect) grammar() (grammar, error) {
	if d == SQLite {
		return grammar{schema: "schema/sqlite"}, nil
	}
	return grammar{}, fmt.Errorf("sqlstore: unknown dialect %q", string(d))
}

// statement fills in the prefix of the tables, and numbers the parameters where
// the dialect has them numbered. Our queries have a ? for nothing else.
func (g grammar) statement(query, prefix string) string {
	query = strings.ReplaceAll(query, "{prefix}", prefix)
	if !g.numbered {
		return query
	}
	var b strings.Builder
	for n := 1; ; n++ {
		before, after, found := strings.Cut(query, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString("$" + strconv.Itoa(n))
		query = after
	}
}
