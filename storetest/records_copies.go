package storetest

import (
	"testing"

	"github.com/go-login/auth"
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
		works(t.T, "UpdateRecord", t.store.UpdateRecord(t.Context(), r))
		scribble(r.Data)
		r.Data, r.Version = []byte("new"), r.Version+1
		t.holds("after writing to the Data that was given", r, mend)
	})
	s.run(t, "what GetRecord returned may be changed", func(t *recordTest) {
		t.insert(t.record("key"))
		r, err := t.store.GetRecord(t.Context(), t.kind, "key")
		works(t.T, "GetRecord", err)
		scribble(r.Data)
		t.holds("after writing to the Data that was returned", t.record("key"), mend)
	})
	s.run(t, "what ListRecords returned may be changed", func(t *recordTest) {
		t.insert(t.record("key"))
		list, err := t.store.ListRecords(t.Context(), t.kind, "user")
		works(t.T, "ListRecords", err)
		for i := range list {
			scribble(list[i].Data)
			list[i].Key = "#"
		}
		t.holds("after writing to the Data that was returned", t.record("key"), mend)
		t.lists("after writing to the list that was returned", "user", mend, t.record("key"))
	})
}

func (s recordSuite) context(t *testing.T) {
	answers := []error{auth.ErrRecordNotFound, auth.ErrRecordExists, auth.ErrConflict, auth.ErrInvalidRecord}
	const mend = "a call that returns an error has done nothing"

	s.run(t, "cancelled, InsertRecord does nothing", func(t *recordTest) {
		r := t.record("key")
		refusesCancelled(t.T, "InsertRecord", t.store.InsertRecord(cancelled(t.T), r), answers...)
		t.gone("after InsertRecord with a cancelled context", r, mend)
	})
	s.run(t, "cancelled, GetRecord and ListRecords fail", func(t *recordTest) {
		t.insert(t.record("key"))
		_, err := t.store.GetRecord(cancelled(t.T), t.kind, "key")
		refusesCancelled(t.T, "GetRecord", err, answers...)
		_, err = t.store.GetRecord(cancelled(t.T), t.kind, "unknown")
		refusesCancelled(t.T, "GetRecord of an unknown key", err, answers...)
		_, err = t.store.ListRecords(cancelled(t.T), t.kind, "user")
		refusesCancelled(t.T, "ListRecords", err, answers...)
	})
	s.run(t, "cancelled, UpdateRecord does nothing", func(t *recordTest) {
		r := t.record("key")
		t.insert(r)
		changed := r
		changed.Data = []byte("new")
		refusesCancelled(t.T, "UpdateRecord", t.store.UpdateRecord(cancelled(t.T), changed), answers...)
		t.holds("after UpdateRecord with a cancelled context", r, mend)
	})
	s.run(t, "cancelled, TakeRecord does nothing", func(t *recordTest) {
		r := t.record("key")
		t.insert(r)
		_, err := t.store.TakeRecord(cancelled(t.T), r.Kind, r.Key)
		refusesCancelled(t.T, "TakeRecord", err, answers...)
		t.holds("after TakeRecord with a cancelled context", r, mend)
	})
	s.run(t, "cancelled, DeleteRecords does nothing", func(t *recordTest) {
		r := t.record("key")
		t.insert(r)
		refusesCancelled(t.T, "DeleteRecords", t.store.DeleteRecords(cancelled(t.T), r.Kind, r.UserID), answers...)
		t.holds("after DeleteRecords with a cancelled context", r, mend)
	})
}
