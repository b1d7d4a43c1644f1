package storetest

import (
	"testing"
)

func (s recordSuite) copies(t *testing.T) {
	const mend = "copy Data when storing it and when returning it"
	scribble := func(data []byte) {
		for i := range data {
			data[i] = '#'
		}
	}

	s.run(t, "what InsertRecord was given may be changed", func(t *recordTest) {
		r := t.record("key")
		t.insert(r)
		scribble(r.Data)
		t.holds("after the test wrote to the Data it had passed", t.record("key"), mend)
	})
	s.run(t, "what UpdateRecord was given may be changed", func(t *recordTest) {
		r := t.record("key")
		t.insert(r)
		r.Data = []byte("new")
		works(t.TB, "UpdateRecord", t.store.UpdateRecord(t.Context(), r))
		scribble(r.Data)
		r.Data, r.Version = []byte("new"), r.Version+1
		t.holds("after the test wrote to the Data it had passed", r, mend)
	})
	s.run(t, "what GetRecord returned may be changed", func(t *recordTest) {
		t.insert(t.record("key"))
		r, err := t.store.GetRecord(t.Context(), t.kind, "key")
		works(t.TB, "GetRecord", err)
		scribble(r.Data)
		t.holds("after the test wrote to the returned Data", t.record("key"), mend)
	})
	s.run(t, "what ListRecords returned may be changed", func(t *recordTest) {
		t.insert(t.record("key"))
		list, err := t.store.ListRecords(t.Context(), t.kind, "user")
		works(t.TB, "ListRecords", err)
		for i := range list {
			scribble(list[i].Data)
			list[i].Key = "#"
		}
		t.holds("after the test wrote to the returned Data", t.record("key"), mend)
		t.lists("after the test wrote to the returned list", "user", mend, t.record("key"))
	})
}
