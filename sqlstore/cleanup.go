package sqlstore

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// CleanupEvery calls Cleanup at once, and then once in each interval, until ctx is
// done. Zero is an hour. It logs failures and goes on. It does not return before
// ctx is done, so give it a goroutine:
//
//	go store.CleanupEvery(ctx, time.Hour)
//
// Any number of processes may do so.
func (s *Records) CleanupEvery(ctx context.Context, interval time.Duration) {
	if interval <= 0 {
		interval = time.Hour
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if _, err := s.Cleanup(ctx); err != nil && ctx.Err() == nil {
			s.db.logger.LogAttrs(ctx, slog.LevelError, "sqlstore: Cleanup failed", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// WithLogger sets where a store logs that nobody calls Cleanup, and that
// CleanupEvery has failed, in place of slog.Default().
func WithLogger(logger *slog.Logger) Option {
	return func(d *database) { d.logger = logger }
}

const (
	// firstLook is how long after its first record a store looks whether anybody
	// cleans up: a program that does so has begun by then.
	firstLook = time.Hour
	// tooOld is how long ago a record has expired that should have been deleted.
	// A job that cleans up once a day is often enough.
	tooOld = 48 * time.Hour
)

// A reminder knows when the store looks next whether anybody cleans up, in
// microseconds of its clock. Zero is before the first record, and less is never.
type reminder struct{ next atomic.Int64 }

// remind warns once, if records expired long ago and are still there: then nobody
// calls Cleanup, in this process or another. It is called where a record is
// inserted, and looks once a day.
func (s *Records) remind(ctx context.Context) {
	next, now := s.cleanup.next.Load(), s.now()
	switch {
	case next < 0 || now < next:
		return
	case next == 0:
		s.cleanup.next.CompareAndSwap(0, now+firstLook.Microseconds())
		return
	case !s.cleanup.next.CompareAndSwap(next, now+(24*time.Hour).Microseconds()):
		return // another request is looking
	}
	left, err := s.db.exists(ctx, `SELECT 1 FROM {prefix}records WHERE expires <= ? LIMIT 1`, now-tooOld.Microseconds())
	if err != nil || !left {
		return // a failure shows elsewhere
	}
	s.cleanup.next.Store(-1)
	s.db.logger.LogAttrs(ctx, slog.LevelWarn, "sqlstore: expired records are never deleted, and the table grows: "+
		"start a goroutine with CleanupEvery, or call Cleanup once an hour",
		slog.String("table", s.db.prefix+"records"))
}
