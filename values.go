package auth

import (
	"context"
	"errors"
	"log/slog"

	"github.com/go-login/auth/internal/wire"
)

func (c *dataContext) Value(key any) any {
	if v := c.scs.Value(key); v != nil {
		return v
	}
	return c.Context.Value(key)
}

// data returns the request's context in which scs finds its values. The first call
// decodes them. If the session could not be read, the answer becomes an error: the
// caller's getters cannot return one.
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
	// Load begins with an empty context, in which scs finds no data of another manager.
	empty, _ := s.core.scs.Load(context.Background(), scsToken)
	var unread []wire.Change
	for _, err := range wire.DecodeValues(s.loaded, func(key string, value any) { s.core.scs.Put(empty, key, value) }) {
		s.note(Event{Kind: EventSessionDamaged, Err: err})
		if damaged := (*wire.ValueError)(nil); errors.As(err, &damaged) {
			unread = append(unread, wire.Change{Key: damaged.Key})
		}
	}
	if len(unread) > 0 { // it is not ours to change: leave it out of the comparison
		s.loaded = wire.Apply(s.loaded, unread)
	}
	s.given = dataContext{&s.ctx, empty}
	return &s.given
}

// scsToken is the token of each request's session as scs knows it. scs's store finds a
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

// saveLate stores what the application has changed in its data since the header was
// written.
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

// saveAll is saveValues for the end of a request: it goes on if the client goes away.
func (s *state) saveAll() error {
	ctx, cancel := detach(s.data())
	defer cancel()
	return s.saveValues(ctx)
}

// saveValues has scs encode the values that it finds in the context. scs passes them to
// save, by way of its store.
func (s *state) saveValues(ctx context.Context) error {
	_, _, err := s.core.scs.Commit(ctx)
	return err
}

// save stores what the application changed in its data. scs holds its lock.
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

// write makes changes in the session's record, or in a new visitor's. If the
// record is gone, so is what they were for. The caller holds op.
func (s *state) write(ctx context.Context, changes []wire.Change) error {
	switch {
	case s.cur == nil && s.own: // a client that sends its credentials with each request keeps nothing
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
		_ = s.core.scs.Clear(&s.given) // returns nil always
	}
}
