package bench_test

import (
	"net/http"
	"testing"
)

// BenchmarkStore measures a page that asks who is logged in, on every available
// engine. Besides the time it reports the round trips, reads and writes of one
// request.
func BenchmarkStore(b *testing.B) {
	for _, e := range engines() {
		b.Run(e.name, func(b *testing.B) {
			w, asked, do := prepareStore(b, e)
			b.ReportAllocs()
			var n int64
			for b.Loop() {
				if err := do(); err != nil {
					b.Fatal(err)
				}
				n++
			}
			trips, _, _ := w.read()
			b.ReportMetric(float64(trips)/float64(n), "trips/op")
			b.ReportMetric(float64(asked.reads.Load())/float64(n), "reads/op")
			b.ReportMetric(float64(asked.writes.Load())/float64(n), "writes/op")
		})
	}
}

// TestStore checks that the measured request works.
func TestStore(t *testing.T) {
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			_, asked, do := prepareStore(t, e)
			for range 3 {
				check(t, do())
			}
			if reads, writes := asked.reads.Load(), asked.writes.Load(); reads != 6 || writes != 0 {
				t.Errorf("%d reads and %d writes of three requests, want the session, the user, and nothing", reads, writes)
			}
		})
	}
}

// prepareStore makes an application on an engine and a request to it. The
// request has been made once before counting starts.
func prepareStore(tb testing.TB, e engine) (*wire, *calls, func() error) {
	tb.Helper()
	w, c := &wire{}, newClock()
	s := e.open(tb, c, w)
	asked := &calls{UserStore: s.UserStore, RecordStore: s.records}
	s.UserStore, s.records = asked, asked
	a := newApp(tb, s, c)
	a.fill(tb, memberCount)
	r := newRequest(tb, 0, "", a.session(0))
	r.URL.Path = "/"
	x := newExchange(tb, a.handler, r)
	if x.status != http.StatusOK || x.body != userID(0) {
		tb.Fatalf("the page says %d %q", x.status, x.body)
	}
	w.read()
	asked.reads.Store(0)
	asked.writes.Store(0)
	return w, asked, x.again
}
