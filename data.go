package auth

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"
)

// This file is about the application's data in a session: between the record,
// which has it encoded, and scs, which has it in a map.

// Sessions is Manager.Sessions.
func (c *Core) Sessions() *scs.SessionManager {
	m := *c.scs
	return &m
}

// newSCS returns a session manager whose store is the state in the context, and
// the key under which it looks for its data there.
func newSCS(c *Core) (*scs.SessionManager, any) {
	// Not scs.New, which starts a goroutine that cannot be stopped safely. The
	// manager then has no key of its own in the context, which matters only to
	// managers inside one another.
	m := &scs.SessionManager{
		Lifetime: c.cfg.Lifetime,
		Store:    scsStore{c},
		Codec:    scsCodec{},
		// Only scs's own middleware would set the cookie, or call ErrorFunc.
		Cookie: scs.SessionCookie{
			Name: c.cfg.CookieName + "-unused", Path: "/",
			HttpOnly: true, Secure: c.cookies.secure, SameSite: http.SameSiteLaxMode,
		},
		ErrorFunc: c.Error,
	}
	probe := &keyProbe{Context: context.Background()}
	_, _ = m.Load(probe, "") // an empty token asks no store
	return m, probe.key
}

// A keyProbe learns what key a context is asked for.
type keyProbe struct {
	context.Context
	key any
}

func (p *keyProbe) Value(key any) any {
	p.key = key
	return nil
}

// scs returns scs's own state, and makes it from the record at first use.
func (s *state) scs() any {
	s.values.Lock()
	defer s.values.Unlock()
	if s.scsReady {
		return s.scsData
	}
	s.scsReady = true
	var failed []error
	s.given, failed = decodeValues(s.loaded)
	for _, err := range failed {
		s.note(Event{Kind: EventSessionDamaged, Err: err})
	}
	if len(failed) > 0 { // what could not be read is not ours to change: leave it out of the comparison
		if readable, err := encodeValues(s.given); err == nil {
			s.loaded = string(readable)
		}
	}
	m := *s.core.scs
	m.Store, m.Codec = givenStore{}, givenCodec{s}
	ctx, err := m.Load(context.Background(), "given") // where no other manager has anything
	if err == nil {
		s.scsData = ctx.Value(s.core.scsKey)
	}
	return s.scsData
}

// clearValues forgets the application's data.
func (s *state) clearValues() {
	s.values.Lock()
	s.loaded = ""
	ready := s.scsReady
	s.values.Unlock()
	if ready {
		_ = s.core.scs.Clear(&s.ctx) // returns nil always
	}
}

// save stores what the application changed in its data.
func (s *state) save(ctx context.Context, encoded string) error {
	s.values.Lock()
	loaded := s.loaded
	s.values.Unlock()
	changes := diff(loaded, encoded)
	if len(changes) == 0 {
		return nil
	}
	s.op.Lock()
	defer s.op.Unlock()
	if err := s.write(ctx, changes); err != nil {
		return err
	}
	s.values.Lock()
	s.loaded = encoded
	s.values.Unlock()
	return nil
}

// write makes changes in the session's record, or in a new visitor's. If the
// record is gone, so is what they were for. The caller holds op.
func (s *state) write(ctx context.Context, changes []change) error {
	switch {
	case s.cur == nil && s.grant != nil: // a client that sends a token with each request keeps nothing
		return nil
	case s.replaced:
		return ErrReplaced
	case s.ended:
		return nil
	case s.cur == nil && s.committed:
		return ErrHeaderWritten
	case s.cur == nil:
		now := s.core.cfg.Now()
		return s.replace(header{created: now, seen: now}, apply("", changes), tokenVoid, nil)
	}
	err := s.update(ctx, func(x *session) { x.values = apply(x.values, changes) })
	if err != nil && s.cur == nil && !s.replaced {
		return nil // the session has been ended
	}
	return err
}

// destroy ends the session, and the login if it is one. scs holds its lock.
func (s *state) destroy() error {
	s.op.Lock()
	defer s.op.Unlock()
	if err := s.end(); err != nil {
		return err
	}
	if s.cur != nil { // a visitor's
		ctx, cancel := detach(&s.inner)
		defer cancel()
		if err := take(ctx, s.core.sessions, kindVisitor, s.cur.key); err != nil {
			return err
		}
		s.cur = nil
		s.deleteCookie(s.core.cookies.visitor)
	}
	s.values.Lock()
	s.loaded = ""
	s.values.Unlock()
	if s.committed {
		return ErrHeaderWritten
	}
	return nil
}

// scsStore is scs's store: the session of the context, and no other. So there
// is nothing to merge in and nothing to iterate over.
type scsStore struct{ core *Core }

func (scsStore) Delete(string) error                    { return ErrNoSession }
func (scsStore) Find(string) ([]byte, bool, error)      { return nil, false, ErrNoSession }
func (scsStore) Commit(string, []byte, time.Time) error { return ErrNoSession }
func (scsStore) All() (map[string][]byte, error)        { return map[string][]byte{}, nil }

func (t scsStore) FindCtx(ctx context.Context, _ string) ([]byte, bool, error) {
	if t.core.stateOf(ctx) == nil {
		return nil, false, ErrNoSession
	}
	return nil, false, nil
}

func (t scsStore) CommitCtx(ctx context.Context, _ string, encoded []byte, _ time.Time) error {
	s := t.core.stateOf(ctx)
	if s == nil {
		return ErrNoSession
	}
	return s.save(t.core.inner(ctx), string(encoded))
}

// DeleteCtx is called by RenewToken, which is a rotation, and by Destroy, which
// is a logout. scs holds its lock.
func (t scsStore) DeleteCtx(ctx context.Context, _ string) error {
	s := t.core.stateOf(ctx)
	if s == nil || s.given == nil { // scs's data is of another manager, inside this one
		return ErrNoSession
	}
	if !renewing() {
		return s.destroy()
	}
	if err := s.rotate(); !errors.Is(err, ErrLoggedOut) {
		return err
	}
	return nil // the request goes on, as nobody's
}

// renewing reports whether it is RenewToken that calls DeleteCtx. scs says
// nothing of it, and what it does to its data afterwards cannot be told from
// what Clear and Commit do; the stack says it. Were scs's names to change, every
// RenewToken would be a logout.
func renewing() bool {
	var callers [8]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers[:])]) // above DeleteCtx
	for {
		frame, more := frames.Next()
		switch name := frame.Function[strings.LastIndexByte(frame.Function, '/')+1:]; {
		case strings.HasSuffix(name, ".(*SessionManager).RenewToken"):
			return true
		case strings.HasSuffix(name, ".(*SessionManager).Destroy"), !more:
			return false
		}
	}
}

// scsCodec encodes the application's values. Nothing is ever decoded through
// it: scs's store finds nothing.
type scsCodec struct{}

func (scsCodec) Encode(_ time.Time, values map[string]any) ([]byte, error) {
	return encodeValues(values)
}

func (scsCodec) Decode([]byte) (time.Time, map[string]any, error) {
	return time.Time{}, map[string]any{}, nil
}

// givenStore and givenCodec hand scs a request's values.
type givenStore struct{}

func (givenStore) Delete(string) error                    { return nil }
func (givenStore) Find(string) ([]byte, bool, error)      { return nil, true, nil }
func (givenStore) Commit(string, []byte, time.Time) error { return nil }

type givenCodec struct{ state *state }

func (givenCodec) Encode(time.Time, map[string]any) ([]byte, error) { return nil, nil }

func (g givenCodec) Decode([]byte) (time.Time, map[string]any, error) {
	deadline := g.state.core.cfg.Now().Add(g.state.core.cfg.Lifetime)
	return deadline, g.state.given, nil
}
