package storetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-login/auth"
)

func (s recordSuite) keys(t *testing.T) {
	const mend = "compare keys byte by byte: make the column a BLOB, BYTEA or VARBINARY, not a text with a collation"
	k := strings.Repeat("k", 199)
	long := class{"200 bytes", []string{k, k + "k", k + "l", strings.Repeat("\x00", 200), strings.Repeat("\xff", 200)}}
	for _, class := range append(classes(), long) {
		keys := class.texts
		s.run(t, "tell apart "+class.name, func(t *recordTest) {
			for i, key := range keys {
				r := t.record(key)
				if err := t.store.InsertRecord(t.Context(), r); err != nil {
					fail(t.TB, fmt.Sprintf("InsertRecord of the key %s while there are %q", brief(key), keys[:i]), err, "no error", mend)
					return
				}
			}
			var rest []auth.Record
			for _, key := range keys[1:] {
				rest = append(rest, t.record(key))
			}
			for _, key := range keys {
				t.holds("among other keys", t.record(key), mend)
			}
			if t.Failed() {
				return
			}
			_, err := t.store.TakeRecord(t.Context(), t.kind, keys[0])
			works(t.TB, "TakeRecord of the key "+brief(keys[0]), err)
			t.lists("after TakeRecord of the key "+brief(keys[0]), "user", mend, rest...)
			works(t.TB, "DeleteRecords, keeping one", t.store.DeleteRecords(t.Context(), t.kind, "user", keys[1]))
			t.lists("after DeleteRecords, keeping "+brief(keys[1]), "user", mend, rest[0])
		})
	}
}

func (s recordSuite) kinds(t *testing.T) {
	const mend = "compare kinds byte by byte, and keep the kind and the key of a record apart"
	for _, class := range classes() {
		texts := class.texts
		s.run(t, "tell apart "+class.name, func(t *recordTest) {
			base := t.kind
			for i, text := range texts {
				r := t.record("key")
				r.Kind = base + text
				r.Data = []byte(text)
				if err := t.store.InsertRecord(t.Context(), r); err != nil {
					fail(t.TB, fmt.Sprintf("InsertRecord of the kind %q while there are %q", base+text, texts[:i]), err, "no error", mend)
					return
				}
			}
			for _, text := range texts {
				r := t.record("key")
				r.Kind = base + text
				r.Data = []byte(text)
				t.holds("among other kinds", r, mend)
				t.kind = r.Kind
				t.lists("among other kinds", "user", mend, r)
			}
		})
	}
	s.run(t, "may be one blank, or one NUL", func(t *recordTest) {
		key := t.kind
		for _, kind := range []string{" ", "\x00", "\xff"} {
			t.kind = kind
			r := t.owned(key, key)
			t.insert(r)
			t.stands("in the kind "+brief(kind), r, true, mend+"; only the empty kind is invalid")
			_, err := t.store.TakeRecord(t.Context(), kind, key)
			works(t.TB, "TakeRecord in the kind "+brief(kind), err)
		}
	})
	s.run(t, "are kept apart from keys", func(t *recordTest) {
		for i, glue := range []string{"", ":", "/", "-", "\x00", "|", "."} {
			r := t.record("a" + glue + "b")
			r.Kind = t.kind + fmt.Sprint(i)
			t.insert(r)
			r.Kind, r.Key = r.Kind+glue+"a", "b"
			t.gone(fmt.Sprintf("after InsertRecord of a key with %q in it", glue), r, mend)
			r.Data = []byte("other")
			t.insert(r)
			t.holds("after InsertRecord of its neighbour", r, mend)
		}
	})
}

func (s recordSuite) userIDs(t *testing.T) {
	const mend = "compare user IDs byte by byte: an ID is opaque, so its column must have no collation"
	for _, class := range classes() {
		ids := class.texts
		s.run(t, "tell apart "+class.name, func(t *recordTest) {
			record := func(i int) auth.Record { return t.owned(fmt.Sprint("key ", i), ids[i]) }
			for i := range ids {
				t.insert(record(i))
			}
			for i, id := range ids {
				t.lists("among other users", id, mend, record(i))
			}
			if t.Failed() {
				return
			}
			works(t.TB, "DeleteRecords of the user "+brief(ids[0]), t.store.DeleteRecords(t.Context(), t.kind, ids[0]))
			t.lists("after DeleteRecords", ids[0], mend)
			for i := 1; i < len(ids); i++ {
				t.holds("after DeleteRecords of the user "+brief(ids[0]), record(i), mend)
			}
		})
	}
}

func (s recordSuite) invalid(t *testing.T) {
	const mend = "return ErrInvalidRecord for an empty kind, key or user ID, before querying: an empty argument is the caller's mistake and must not match every record"
	for _, verb := range []struct {
		name string
		call func(t *recordTest, kind, key string) error
	}{
		{"InsertRecord", func(t *recordTest, kind, key string) error {
			r := t.record(key)
			r.Kind = kind
			return t.store.InsertRecord(t.Context(), r)
		}},
		{"GetRecord", func(t *recordTest, kind, key string) error {
			_, err := t.store.GetRecord(t.Context(), kind, key)
			return err
		}},
		{"UpdateRecord", func(t *recordTest, kind, key string) error {
			r := t.record(key)
			r.Kind = kind
			return t.store.UpdateRecord(t.Context(), r)
		}},
		{"TakeRecord", func(t *recordTest, kind, key string) error {
			_, err := t.store.TakeRecord(t.Context(), kind, key)
			return err
		}},
		{"ListRecords", func(t *recordTest, kind, userID string) error {
			_, err := t.store.ListRecords(t.Context(), kind, userID)
			return err
		}},
		{"DeleteRecords", func(t *recordTest, kind, userID string) error {
			return t.store.DeleteRecords(t.Context(), kind, userID)
		}},
	} {
		s.run(t, verb.name+" with an empty argument", func(t *recordTest) {
			r, nobodys := t.record("key"), t.owned("nobody's", "")
			t.insert(r, nobodys)
			for _, name := range [][2]string{{"", "key"}, {t.kind, ""}, {"", ""}} {
				fails(t.TB, fmt.Sprintf("%s(%q, %q)", verb.name, name[0], name[1]), verb.call(t, name[0], name[1]), auth.ErrInvalidRecord, mend)
			}
			t.holds("after an invalid "+verb.name, r, mend)
			t.holds("after an invalid "+verb.name, nobodys, mend)
		})
	}
}

// A class is a set of texts that careless stores treat as equal.
type class struct {
	name  string
	texts []string
}

func classes() []class {
	return []class{
		{"letter case", []string{"key", "KEY", "Key", "kEy"}},
		{"spaces", []string{"key", "key ", " key", "key  ", "ke y", "key\t", "key\n", " "}},
		{"NUL bytes", []string{"key", "key\x00", "key\x00a", "key\x00b", "\x00key", "\x00", "\x00\x00"}},
		{"invalid UTF-8", []string{"key\xff", "key\xfe", "key\xc3", "key", "key\ufffd", "key?", "\xff", "\xfe", "\xed\xa0\x80"}},
		{"accents", []string{"cafe", "caf\u00e9", "cafe\u0301", "caf\u00e8", "CAF\u00c9"}},
		{"letters that look alike", []string{"ss", "ß", "ẞ", "i", "ı", "İ", "k", "\u212a", "\uff41", "a", "\u0430", "ﬀ", "ff", "\u200bi"}},
		{"numbers", []string{"1", "01", "1.0", "+1", " 1", "1e0", "\uff11", "0x1", "true", "1a"}},
		{"quotes and wildcards", []string{"'", "''", `"`, `\`, `\\`, "`", "%", "_", "*", "?", "[a]", "k%", "k_", "' OR 1=1 --", ";", ":", "NULL", "{}", "$1", "::"}},
		{"letters beyond 16 bits", []string{"𠮷", "𠮸", "😀", "😁", "?", "????"}},
	}
}
