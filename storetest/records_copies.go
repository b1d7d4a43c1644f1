package storetest

import (
	"testing"
)

func (s recordSuite) copies(t *testing.T) {
	const mend = "copy Data on its way in and on its way out"
	scribble := func(data []byte) {
		for i := range data {
			data[i] = '#'
		}
	}

	s.run(t, "what InsertRecord was given may be changed", func(t *recordTest) {
		r := t.record("key")
		t.insert(r)
		scribble(r.Data)
		t.holds("after writing to the Data that was given", t.record("key"), mend)
	})
	s.run(t, "what UpdateRecord was given may be changed", func(t *recordTest) {
		r := t.record("key")
		t.insert(r)
		r.Data = []byte("new")
		works(t.TB, "UpdateRecord", t.store.UpdateRecord(t.Context(), r))
		scribble(r.Data)
		r.Data, r.Version = []byte("new"), r.Version+1
		t.holds("after writing to the Data that was given", r, mend)
	})
	s.run(t, "what GetRecord returned may be changed", func(t *recordTest) {
		t.insert(t.record("key"))
		r, err := t.store.GetRecord(t.Context(), t.kind, "key")
		works(t.TB, "GetRecord", err)
		scribble(r.Data)
		t.holds("after writing to the Data that was returned", t.record("key"), mend)
	})
	s.run(t, "what ListRecords returned may be changed", func(t *recordTest) {
		t.insert(t.record("key"))
		list, err := t.store.ListRecords(t.Context(), t.kind, "user")
		works(t.TB, "ListRecords", err)
		for i := range list {
			scribble(list[i].Data)
			list[i].Key = "#"
		}
		t.holds("after writing to the Data that was returned", t.record("key"), mend)
		t.lists("after writing to the list that was returned", "user", mend, t.record("key"))
	})
}
