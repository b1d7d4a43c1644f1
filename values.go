package auth

import (
	"context"
	"errors"
	"log/slog"

	"github.com/go-login/auth/internal/wire"
)

// This file moves the application's data from the session's record to scs and back. In
// the record the values are encoded; scs has them in a map. When the application first
// asks for a value, data decodes them all. At the end of the request, saveValues lets scs
// encode its map, save finds the values that changed, and write changes them in the
// record.

func (c *dataContext) Value(key any) any {
	if v := c.scs.Value(key); v != nil {
		return v
	}
	return c.Context.Value(key)
}

// data returns the request's context in which scs finds its values. The first call
// decodes them. If the session could not be read, the answer becomes an error, because
// the getters that call data cannot return one.
func (s *state) data() *dataContext {
	s.settle(true)
	if s.failed != nil {
		s.meet(s.failed)
	}
	s.valuing.Lock()
	defer s.valuing.Unlock()
	if s.given.scs != nil {
		return &s.given
	}
	// The context is empty, so that scs finds no data of another manager in it.
	empty, _ := s.core.scs.Load(context.Background(), scsToken)
	var unread []wire.Change
	for _, err := range wire.DecodeValues(s.loaded, func(key string, value any) { s.core.scs.Put(empty, key, value) }) {
		s.note(Event{Kind: EventSessionDamaged, Err: err})
		if damaged := (*wire.ValueError)(nil); errors.As(err, &damaged) {
			unread = append(unread, wire.Change{Key: damaged.Key})
		}
	}
	if len(unread) > 0 { // leave these values out of the comparison, so that the record keeps them
		s.loaded = wire.Apply(s.loaded, unread)
	}
	s.given = dataContext{&s.ctx, empty}
	return &s.given
}

// scsToken is the token of every request's session as scs knows it. scs's store finds a
// session without values for it. Without a token, scs would make a random one for each
// session that it stores.
const scsToken = "the session of the request"

// hasData reports whether the application has asked for its data.
func (s *state) hasData() bool {
	s.valuing.Lock()
	defer s.valuing.Unlock()
	return s.given.scs != nil
}

// mayHaveChanged reports whether the application may have changed its data since the
// last call.
func (s *state) mayHaveChanged() bool {
	return s.dirty.Swap(false) || s.lent.Load()
}

// saveLate stores changes that the application made after the header was written.
func (s *state) saveLate() {
	if !s.writer.started || s.writer.failed != nil || !s.mayHaveChanged() {
		return
	}
	if err := s.saveAll(); err != nil {
		s.core.cfg.Logger.LogAttrs(&s.ctx, slog.LevelError, "auth: session data that was written after the response's header is lost; write it before, or log in first",
			slog.String("path", cut(s.request.URL.Path, 200)), slog.Any("error", err))
	}
	s.emit()
}

// saveAll is saveValues for the end of a request. It goes on if the client goes away.
func (s *state) saveAll() error {
	ctx, cancel := detach(s.data())
	defer cancel()
	return s.saveValues(ctx)
}

// saveValues lets scs encode the values that it finds in the context. scs passes them
// to save, by way of its store.
func (s *state) saveValues(ctx context.Context) error {
	_, _, err := s.core.scs.Commit(ctx)
	return err
}

// save stores what the application has changed. scs holds its lock.
func (s *state) save(ctx context.Context, encoded string) error {
	s.valuing.Lock()
	loaded := s.loaded
	s.valuing.Unlock()
	changes := wire.Diff(loaded, encoded)
	if len(changes) == 0 {
		return nil
	}
	s.op.Lock()
	defer s.op.Unlock()
	if err := s.write(ctx, changes); err != nil {
		return err
	}
	s.valuing.Lock()
	s.loaded = encoded
	s.valuing.Unlock()
	return nil
}

// write makes changes in the session's record, or in a new visitor's record. If another
// request has removed the record, the changes are dropped. The caller holds op.
func (s *state) write(ctx context.Context, changes []wire.Change) error {
	switch {
	case s.cur == nil && s.own: // a request with credentials of its own has no session
		return nil
	case s.replaced:
		return ErrReplaced
	case s.failed != nil:
		return s.failed
	case s.ended && s.committed:
		return ErrLoggedOut
	case s.ended:
		return nil
	case s.cur == nil && s.committed:
		return ErrHeaderWritten
	case s.cur == nil:
		now := s.core.cfg.Now()
		return s.replace(header{created: now, seen: now}, wire.Apply("", changes), tokenVoid, nil)
	}
	err := s.update(ctx, func(x *session) { x.values = wire.Apply(x.values, changes) })
	if err != nil && s.cur == nil && !s.replaced && !s.committed {
		return nil // the session has been ended
	}
	return err
}

// clearValues forgets the application's data.
func (s *state) clearValues() {
	s.valuing.Lock()
	s.loaded = ""
	asked := s.given.scs != nil
	s.valuing.Unlock()
	if asked {
		_ = s.core.scs.Clear(&s.given) // always returns nil
	}
}
