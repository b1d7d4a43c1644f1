package auth

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

// A oneRecordStore has one record or none. It calls crossed before each write.
type oneRecordStore struct {
	RecordStore
	record  *Record
	writes  []string
	crossed func(try int)
}

func (s *oneRecordStore) GetRecord(context.Context, string, string) (Record, error) {
	if s.record == nil {
		return Record{}, ErrRecordNotFound
	}
	return *s.record, nil
}

func (s *oneRecordStore) write(verb string) {
	s.writes = append(s.writes, verb)
	if s.crossed != nil {
		s.crossed(len(s.writes))
	}
}

func (s *oneRecordStore) InsertRecord(_ context.Context, r Record) error {
	if s.write("insert"); s.record != nil {
		return ErrRecordExists
	}
	s.record = &r
	return nil
}

func (s *oneRecordStore) UpdateRecord(_ context.Context, r Record) error {
	switch s.write("update"); {
	case s.record == nil:
		return ErrRecordNotFound
	case s.record.Version != r.Version:
		return ErrConflict
	}
	r.Version++
	s.record = &r
	return nil
}

// set writes the record as another request would.
func (s *oneRecordStore) set(data string, version int64) {
	s.record = &Record{Kind: "kind", Key: "key", Data: []byte(data), Version: version}
}

// TestChangeRecord: changeRecord changes the record as it is when it is written,
// whatever other requests do meanwhile.
func TestChangeRecord(t *testing.T) {
	t.Parallel()
	no := errors.New("no")
	for name, c := range map[string]struct {
		begin, want string
		crossed     func(s *oneRecordStore, try int)
		refuse, err error
		writes      []string
	}{
		"a record":            {begin: "a", want: "a!", writes: []string{"update"}},
		"no record":           {want: "new!", writes: []string{"insert"}},
		"nothing to change":   {begin: "a", want: "a", refuse: errUnchanged},
		"no record to change": {refuse: errUnchanged},
		"an error":            {begin: "a", want: "a", refuse: no, err: no},
		"a change that is first": {begin: "a", want: "b!", writes: []string{"update", "update"}, crossed: func(s *oneRecordStore, try int) {
			if try == 1 {
				s.set("b", 2)
			}
		}},
		"an end that is first": {begin: "a", want: "new!", writes: []string{"update", "insert"}, crossed: func(s *oneRecordStore, try int) {
			if try == 1 {
				s.record = nil
			}
		}},
		"another that is new": {want: "b!", writes: []string{"insert", "update"}, crossed: func(s *oneRecordStore, try int) {
			if try == 1 {
				s.set("b", 1)
			}
		}},
		"others that are always first": {begin: "a", want: "b", err: ErrConflict, writes: slices.Repeat([]string{"update"}, maxConflicts),
			crossed: func(s *oneRecordStore, try int) { s.set("b", int64(1000+try)) }},
	} {
		s := &oneRecordStore{}
		if c.begin != "" {
			s.set(c.begin, 1)
		}
		if c.crossed != nil {
			s.crossed = func(try int) { c.crossed(s, try) }
		}
		err := changeRecord(t.Context(), s, "kind", "key", func(r *Record, found bool) error {
			if !found {
				if r.Kind != "kind" || r.Key != "key" || len(r.Data) > 0 {
					t.Errorf("%s: a new record is %+v", name, r)
				}
				r.Data = []byte("new")
			}
			r.Data = append(slices.Clone(r.Data), '!')
			return c.refuse
		})
		got := ""
		if s.record != nil {
			got = string(s.record.Data)
		}
		if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) || got != c.want || !slices.Equal(s.writes, c.writes) {
			t.Errorf("%s: %v, %q after %v, want %v, %q after %v", name, err, got, s.writes, c.err, c.want, c.writes)
		}
	}
}

// TestChangeRecordContradicted: a store reports a conflict each time, but always
// returns the same record. It contradicts itself, and the error says so.
func TestChangeRecordContradicted(t *testing.T) {
	t.Parallel()
	s := &oneRecordStore{}
	s.crossed = func(int) { s.record = &Record{Version: 7} }
	get := &neverThere{s}
	err := changeRecord(t.Context(), get, "kind", "key", func(*Record, bool) error { return nil })
	if err == nil || errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "contradicts itself") || len(s.writes) != maxConflicts {
		t.Errorf("%v after %d writes", err, len(s.writes))
	}
}

// A neverThere store finds no record.
type neverThere struct{ *oneRecordStore }

func (*neverThere) GetRecord(context.Context, string, string) (Record, error) {
	return Record{}, ErrRecordNotFound
}
