package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/go-login/auth/internal/keyring"
	"github.com/go-login/auth/internal/wire"
)

// This file is about the application's data in a session: between the record,
// which has it encoded, and scs, which has it in a map.

// SessionData is the application's own data in the session of a request. It has the
// methods of scs.SessionManager; docs/sessions.md says what can be stored. It cannot
// reach the login, and the session's cookie and its end are LoadAndSave's business.
//
// Changes are stored before the response's header is written. Those that are made later
// are stored when the handler returns, if the session has a record. If it has none yet, it
// is too late to set a cookie; if it has ended meanwhile, or could not be read, there is
// none any more. Then they are lost, and the log says so. Commit returns the error at once.
//
// SetDeadline and RememberMe have no effect on the session. What the embedded
// SessionManager does if it is called itself is not promised.
type SessionData struct {
	*scs.SessionManager
	core *Core
}

// errData is wrapped by what scs can do with a session and this package cannot.
var errData = fmt.Errorf("auth: session data: %w", errors.ErrUnsupported)

// SessionData returns the application's own data in the session: see SessionData. It is
// the data of the session's cookie; whether the login is still good is for User to say.
// Where the LoadAndSave of two managers are one inside the other, the data is the inner
// one's. Each call returns a value of its own, whose fields have no effect on others.
func (c *Core) SessionData() *SessionData {
	d := &struct {
		SessionData
		manager scs.SessionManager
	}{manager: *c.scs}
	d.SessionData = SessionData{&d.manager, c}
	return &d.SessionData
}

// dataState returns the state of a request, unless the data in ctx is that of another
// manager, inside this one.
func (c *Core) dataState(ctx context.Context) (*state, error) {
	s := c.stateOf(ctx)
	if s == nil || ctx.Value(c.scsKey) != s.scs() {
		return nil, ErrNoSession
	}
	return s, nil
}

// changed notes that the data may have to be stored once more.
func (d *SessionData) changed(ctx context.Context) {
	if s := d.core.stateOf(ctx); s != nil {
		s.dirty.Store(true)
	}
}

// RenewToken gives the session a new token, and leaves its data and its end. For some
// seconds the old token is good for requests that are under way. If another request has
// just renewed the token, nothing happens. It returns ErrNoSession outside LoadAndSave,
// ErrHeaderWritten if it is too late to set the cookie, and ErrReplaced.
func (d *SessionData) RenewToken(ctx context.Context) (failing error) {
	defer d.core.met(ctx, &failing)
	s, err := d.core.dataState(ctx)
	if err != nil {
		return err
	}
	defer s.emit()
	err = s.rotate()
	if errors.Is(err, ErrLoggedOut) && !errors.Is(err, ErrReplaced) {
		return nil // the request goes on without a login
	}
	return err
}

// Destroy deletes the session's data, and logs the user out. It returns ErrNoSession
// outside LoadAndSave, and ErrHeaderWritten if that was too late to delete the cookie.
func (d *SessionData) Destroy(ctx context.Context) error {
	return d.SessionManager.Destroy(ctx)
}

// Commit stores what was changed, without waiting for the header. It returns what Token
// returns, and when the session ends. ErrHeaderWritten says that there is no session yet,
// and that it is too late for its cookie; ErrLoggedOut, after the header, that the session
// has been ended.
func (d *SessionData) Commit(ctx context.Context) (token string, expires time.Time, err error) {
	if _, _, err := d.SessionManager.Commit(ctx); err != nil {
		return "", time.Time{}, err
	}
	return d.Token(ctx), d.Deadline(ctx), nil
}

// Token returns a name of the session, for a log or as a key: it is another one for each
// session and after each new token, and opens nothing. It is empty for a session that is
// not stored.
func (d *SessionData) Token(ctx context.Context) string {
	s, err := d.core.dataState(ctx)
	if err != nil {
		return ""
	}
	s.op.Lock()
	defer s.op.Unlock()
	if s.cur == nil {
		return ""
	}
	return keyring.TokenKey("session data " + s.cur.key)
}

// Deadline returns when the session ends if no other request is made. For one that is not
// stored it is when it would end.
func (d *SessionData) Deadline(ctx context.Context) time.Time {
	now := d.core.cfg.Now()
	h := header{created: now, seen: now}
	if s, err := d.core.dataState(ctx); err == nil {
		s.op.Lock()
		defer s.op.Unlock()
		if s.cur != nil {
			h = s.cur.header
		}
	}
	return d.core.expires(&h)
}

// Iterate returns an error that wraps errors.ErrUnsupported: nobody sees the data of
// all sessions.
func (d *SessionData) Iterate(context.Context, func(context.Context) error) error { return errData }

// MergeSession returns an error that wraps errors.ErrUnsupported: a request has the data
// of its own session only. LoginUser keeps what a visitor has.
func (d *SessionData) MergeSession(context.Context, string) error { return errData }

// LoadAndSave is Manager.LoadAndSave.
func (d *SessionData) LoadAndSave(next http.Handler) http.Handler { return d.core.LoadAndSave(next) }

// WriteSessionCookie does nothing: LoadAndSave sets the cookie.
func (d *SessionData) WriteSessionCookie(context.Context, http.ResponseWriter, string, time.Time) {}

// Put stores a value under a key.
func (d *SessionData) Put(ctx context.Context, key string, value any) {
	d.SessionManager.Put(ctx, key, value)
	d.changed(ctx)
}

// Remove deletes a value.
func (d *SessionData) Remove(ctx context.Context, key string) {
	d.SessionManager.Remove(ctx, key)
	d.changed(ctx)
}

// Clear deletes all values, and leaves the session.
func (d *SessionData) Clear(ctx context.Context) error {
	defer d.changed(ctx)
	return d.SessionManager.Clear(ctx)
}

// Pop returns a value and deletes it.
func (d *SessionData) Pop(ctx context.Context, key string) any {
	defer d.changed(ctx)
	return d.SessionManager.Pop(ctx, key)
}

// PopString is Pop for a string. It returns "" for everything else.
func (d *SessionData) PopString(ctx context.Context, key string) string {
	defer d.changed(ctx)
	return d.SessionManager.PopString(ctx, key)
}

// PopBool is Pop for a bool. It returns false for everything else.
func (d *SessionData) PopBool(ctx context.Context, key string) bool {
	defer d.changed(ctx)
	return d.SessionManager.PopBool(ctx, key)
}

// PopInt is Pop for an int. It returns 0 for everything else.
func (d *SessionData) PopInt(ctx context.Context, key string) int {
	defer d.changed(ctx)
	return d.SessionManager.PopInt(ctx, key)
}

// PopFloat is Pop for a float64. It returns 0 for everything else.
func (d *SessionData) PopFloat(ctx context.Context, key string) float64 {
	defer d.changed(ctx)
	return d.SessionManager.PopFloat(ctx, key)
}

// PopBytes is Pop for a []byte. It returns nil for everything else.
func (d *SessionData) PopBytes(ctx context.Context, key string) []byte {
	defer d.changed(ctx)
	return d.SessionManager.PopBytes(ctx, key)
}

// PopTime is Pop for a time.Time. It returns the zero time for everything else.
func (d *SessionData) PopTime(ctx context.Context, key string) time.Time {
	defer d.changed(ctx)
	return d.SessionManager.PopTime(ctx, key)
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

// destroy ends the session, and the login if it is one. scs holds its lock.
func (s *state) destroy() error {
	s.op.Lock()
	defer s.op.Unlock()
	if err := s.end(); err != nil {
		return err
	}
	if s.cur != nil { // a visitor's
		ctx, cancel := detach(&s.ctx)
		defer cancel()
		if err := take(ctx, s.core.sessions, kindVisitor, s.cur.key); err != nil {
			return err
		}
		s.cur = nil
		s.deleteCookie(s.core.cookies.visitor)
	}
	s.valuing.Lock()
	s.loaded = ""
	s.valuing.Unlock()
	if s.committed {
		return ErrHeaderWritten
	}
	return nil
}

// scsStore is scs's store: the session of the context, and no other. So there
// is nothing to merge in and nothing to iterate over.
type scsStore struct{ core *Core }

func (scsStore) Delete(string) error { return ErrNoSession }

func (scsStore) Find(string) ([]byte, bool, error) { return nil, false, ErrNoSession }

func (scsStore) Commit(string, []byte, time.Time) error { return ErrNoSession }

func (scsStore) All() (map[string][]byte, error) { return map[string][]byte{}, nil }

func (t scsStore) FindCtx(ctx context.Context, _ string) ([]byte, bool, error) {
	if t.core.stateOf(ctx) == nil {
		return nil, false, ErrNoSession
	}
	return nil, false, nil
}

func (t scsStore) CommitCtx(ctx context.Context, _ string, encoded []byte, _ time.Time) (failing error) {
	defer t.core.met(ctx, &failing)
	s := t.core.stateOf(ctx)
	if s == nil {
		return ErrNoSession
	}
	return s.save(ctx, string(encoded))
}

// DeleteCtx is called by Destroy, which is a logout. scs holds its lock.
func (t scsStore) DeleteCtx(ctx context.Context, _ string) (failing error) {
	defer t.core.met(ctx, &failing)
	s, err := t.core.dataState(ctx)
	if err != nil {
		return err
	}
	return s.destroy()
}

// scsCodec encodes the application's values. Nothing is ever decoded through
// it: scs's store finds nothing.
type scsCodec struct{}

func (scsCodec) Encode(_ time.Time, values map[string]any) ([]byte, error) {
	return wire.EncodeValues(values)
}

func (scsCodec) Decode([]byte) (time.Time, map[string]any, error) {
	return time.Time{}, map[string]any{}, nil
}
