package auth

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/go-login/auth/internal/wire"
)

// clearValues forgets the application's data.
func (s *state) clearValues() {
	s.valuing.Lock()
	s.loaded = ""
	ready := s.scsReady
	s.valuing.Unlock()
	if ready {
		_ = s.core.scs.Clear(&s.ctx) // returns nil always
	}
}

// save stores what the application changed in its data.
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

// saveLate stores what the application has changed in its data since the header was
// written.
func (s *state) saveLate() {
	if !s.writer.started || s.writer.failed != nil || !s.dirty.Load() {
		return
	}
	if err := s.saveValues(); err != nil {
		s.core.cfg.Logger.LogAttrs(&s.ctx, slog.LevelError, "auth: session data that was written after the response's header is lost; write it before, or log in first",
			slog.String("path", cut(s.request.URL.Path, 200)), slog.Any("error", err))
	}
	s.emit()
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

// saveValues has scs store the application's values.
func (s *state) saveValues() error {
	ctx, cancel := detach(&s.ctx)
	defer cancel()
	_, _, err := s.core.scs.Commit(ctx)
	return err
}

// scs returns scs's own state, and makes it from the record at first use.
func (s *state) scs() any {
	s.settle(true)
	if s.failed != nil { // scs's getters cannot say so
		s.meet(s.failed)
	}
	s.valuing.Lock()
	defer s.valuing.Unlock()
	if s.scsReady {
		return s.scsData
	}
	s.scsReady = true
	var failed []error
	s.given, failed = wire.DecodeValues(s.loaded)
	var unread []wire.Change
	for _, err := range failed {
		s.note(Event{Kind: EventSessionDamaged, Err: err})
		if damaged := (*wire.ValueError)(nil); errors.As(err, &damaged) {
			unread = append(unread, wire.Change{Key: damaged.Key})
		}
	}
	if len(unread) > 0 { // it is not ours to change: leave it out of the comparison
		s.loaded = wire.Apply(s.loaded, unread)
	}
	m := *s.core.scs
	m.Store, m.Codec = givenStore{}, givenCodec{s}
	ctx, err := m.Load(context.Background(), "given") // where no other manager has anything
	if err == nil {
		s.scsData = ctx.Value(s.core.scsKey)
	}
	return s.scsData
}

// givenStore and givenCodec hand scs a request's values.
type givenStore struct{}

func (givenStore) Delete(string) error { return nil }

func (givenStore) Find(string) ([]byte, bool, error) { return nil, true, nil }

func (givenStore) Commit(string, []byte, time.Time) error { return nil }

type givenCodec struct{ state *state }

func (givenCodec) Encode(time.Time, map[string]any) ([]byte, error) { return nil, nil }

func (g givenCodec) Decode([]byte) (time.Time, map[string]any, error) {
	deadline := g.state.core.cfg.Now().Add(g.state.core.cfg.Lifetime)
	return deadline, g.state.given, nil
}

func (c *requestContext) Value(key any) any {
	switch k := key.(type) {
	case stateKey:
		if k.core == c.state.core {
			return c.state
		}
	case clientKey:
		if k.core == c.state.core {
			return c.state
		}
	}
	if key == c.state.core.scsKey {
		return c.state.scs()
	}
	return c.Context.Value(key)
}
