package storetest

import "testing"

func (s recordSuite) copies(t *testing.T) {
	const mend = "never write to Data that was returned: keep new Data in new memory, or return a copy"

	s.run(t, "what GetRecord and ListRecords returned stays as it is", func(t *recordTest) {
		r := t.record("key")
		t.insert(r)
		got, err := t.store.GetRecord(t.Context(), t.kind, "key")
		works(t.TB, "GetRecord", err)
		list, err := t.store.ListRecords(t.Context(), t.kind, "user")
		works(t.TB, "ListRecords", err)
		changed := r
		changed.Data = []byte("DATA OF KEY")
		for _, change := range []func() error{
			func() error { return t.store.UpdateRecord(t.Context(), changed) },
			func() error {
				_, err := t.store.TakeRecord(t.Context(), t.kind, "key")
				return err
			},
			func() error { return t.store.InsertRecord(t.Context(), changed) },
		} {
			works(t.TB, "a change of the record", change())
			for _, read := range append(list, got) {
				if string(read.Data) != "data of key" {
					fail(t.TB, "after a change of the record: Data that was returned before", string(read.Data), "data of key", mend)
				}
			}
		}
	})
	s.run(t, "the list that ListRecords returned may be changed", func(t *recordTest) {
		t.insert(t.record("key"))
		list, err := t.store.ListRecords(t.Context(), t.kind, "user")
		works(t.TB, "ListRecords", err)
		for i := range list {
			list[i].Key = "#"
		}
		t.holds("after the test wrote to the returned list", t.record("key"), "return a new list in each call")
		t.lists("after the test wrote to the returned list", "user", "return a new list in each call", t.record("key"))
	})
}
