package sqlstore

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// CleanupEvery calls Cleanup at once, and then once in each interval, until ctx
// is done. An interval of zero means an hour. It logs failures and continues.
// It returns only when ctx is done, so run it in a goroutine:
//
//	go store.CleanupEvery(ctx, time.Hour)
//
// Any number of processes may run it.
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

// WithLogger sets the logger, instead of slog.Default(). The store logs if
// Cleanup is never called, and if CleanupEvery fails.
func WithLogger(logger *slog.Logger) Option {
	return func(d *database) { d.logger = logger }
}

const (
	// firstLook is the time from a store's first record to its first check for
	// old records. A program that cleans up has begun to by then.
	firstLook = time.Hour
	// tooOld is how long after its expiry a record should have been deleted. It
	// leaves room for a job that cleans up once a day.
	tooOld = 48 * time.Hour
)

// A reminder holds the time of the next check for old records, in microseconds
// of the store's clock. Zero means that no record was inserted yet, and less
// means never.
type reminder struct{ next atomic.Int64 }

// remind warns once if records that expired long ago are still there: then no
// process calls Cleanup. It is called when a record is inserted, and checks
// once a day.
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
		return // other calls report a failing database
	}
	s.cleanup.next.Store(-1)
	s.db.logger.LogAttrs(ctx, slog.LevelWarn, "sqlstore: expired records are never deleted, and the table grows: "+
		"start CleanupEvery in a goroutine, or call Cleanup once an hour",
		slog.String("table", s.db.prefix+"records"))
}
