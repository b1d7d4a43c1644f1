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

// This file has the methods with which the application reads and writes its data in the
// session. At its end are the store and the codec that scs calls. values.go moves the
// data between the session's record and scs.

// SessionData is the application's own data in the session of a request. It has the
// methods of scs.SessionManager; docs/sessions.md says what can be stored. It cannot
// read or change the login. LoadAndSave alone sets the session's cookie and decides
// when the session ends.
//
// Changes are stored before the response's header is written. Later changes are stored
// when the handler returns, if the session has a record. They are lost, and the log
// says so, in three cases: the session has no record yet, so that it is too late to set
// a cookie; the session has ended meanwhile; or it could not be read. To get the error
// at once, call Commit.
//
// SessionData replaces every method of scs.SessionManager by one of its own. The
// embedded SessionManager is for code that takes a *scs.SessionManager. It finds the
// data only in a context that Load has returned; with other contexts its methods panic.
// Its Destroy and its RenewToken log the user out.
type SessionData struct {
	*scs.SessionManager
	core *Core
}

// SessionData returns the application's own data in the session; see the type. The data
// belongs to the session that the cookie names. Call User to learn whether the login is
// still valid. Each call returns a separate value: if you change its fields, neither
// other values nor its own methods change.
func (c *Core) SessionData() *SessionData {
	d := &struct {
		SessionData
		manager scs.SessionManager
	}{manager: *c.scs}
	d.SessionData = SessionData{&d.manager, c}
	return &d.SessionData
}

// data returns the context in which scs finds the request's data. Outside LoadAndSave
// it returns ctx; scs then panics, unless ctx comes from Load.
//
// A store that loads a user may read the data, too. Its context hides the session, so
// data finds the state by clientOf.
func (d *SessionData) data(ctx context.Context) context.Context {
	if s := d.core.clientOf(ctx); s != nil {
		return s.data()
	}
	return ctx
}

// changed notes that the data may have to be stored. Call it after the change. If you
// called it before, a commit in between would clear the note and miss the change.
func (d *SessionData) changed(ctx context.Context) {
	if s := d.core.clientOf(ctx); s != nil {
		s.dirty.Store(true)
	}
}

// session returns the request's state for a method that concerns the session. It also
// notes that the answer depends on the session.
func (d *SessionData) session(ctx context.Context) (*state, error) {
	s := d.core.stateOf(ctx)
	if s == nil {
		return nil, ErrNoSession
	}
	s.data()
	return s, nil
}

// Reading.

// Get returns the value of a key, or nil.
func (d *SessionData) Get(ctx context.Context, key string) any {
	return d.core.scs.Get(d.data(ctx), key)
}

// GetString is Get for a string. It returns "" for everything else.
func (d *SessionData) GetString(ctx context.Context, key string) string {
	return d.core.scs.GetString(d.data(ctx), key)
}

// GetBool is Get for a bool. It returns false for everything else.
func (d *SessionData) GetBool(ctx context.Context, key string) bool {
	return d.core.scs.GetBool(d.data(ctx), key)
}

// GetInt is Get for an int. It returns 0 for everything else.
func (d *SessionData) GetInt(ctx context.Context, key string) int {
	return d.core.scs.GetInt(d.data(ctx), key)
}

// GetInt64 is Get for an int64. It returns 0 for everything else.
func (d *SessionData) GetInt64(ctx context.Context, key string) int64 {
	return d.core.scs.GetInt64(d.data(ctx), key)
}

// GetInt32 is Get for an int32. It returns 0 for everything else.
func (d *SessionData) GetInt32(ctx context.Context, key string) int32 {
	return d.core.scs.GetInt32(d.data(ctx), key)
}

// GetFloat is Get for a float64. It returns 0 for everything else.
func (d *SessionData) GetFloat(ctx context.Context, key string) float64 {
	return d.core.scs.GetFloat(d.data(ctx), key)
}

// GetBytes is Get for a []byte. It returns nil for everything else.
func (d *SessionData) GetBytes(ctx context.Context, key string) []byte {
	return d.core.scs.GetBytes(d.data(ctx), key)
}

// GetTime is Get for a time.Time. It returns the zero time for everything else.
func (d *SessionData) GetTime(ctx context.Context, key string) time.Time {
	return d.core.scs.GetTime(d.data(ctx), key)
}

// Exists reports whether a key has a value.
func (d *SessionData) Exists(ctx context.Context, key string) bool {
	return d.core.scs.Exists(d.data(ctx), key)
}

// Keys returns all keys, sorted.
func (d *SessionData) Keys(ctx context.Context) []string {
	return d.core.scs.Keys(d.data(ctx))
}

// Writing.

// Put stores a value under a key.
func (d *SessionData) Put(ctx context.Context, key string, value any) {
	d.core.scs.Put(d.data(ctx), key, value)
	d.changed(ctx)
}

// Remove deletes a value.
func (d *SessionData) Remove(ctx context.Context, key string) {
	if data := d.data(ctx); d.core.scs.Exists(data, key) {
		d.core.scs.Remove(data, key)
		d.changed(ctx)
	}
}

// Clear deletes all values. The session goes on.
func (d *SessionData) Clear(ctx context.Context) error {
	defer d.changed(ctx)
	return d.core.scs.Clear(d.data(ctx))
}

// Pop returns a value and deletes it.
func (d *SessionData) Pop(ctx context.Context, key string) any {
	data := d.data(ctx)
	if !d.core.scs.Exists(data, key) { // nothing changes, so nothing has to be stored
		return nil
	}
	defer d.changed(ctx)
	return d.core.scs.Pop(data, key)
}

// PopString is Pop for a string. It returns "" for everything else.
func (d *SessionData) PopString(ctx context.Context, key string) string {
	v, _ := d.Pop(ctx, key).(string)
	return v
}

// PopBool is Pop for a bool. It returns false for everything else.
func (d *SessionData) PopBool(ctx context.Context, key string) bool {
	v, _ := d.Pop(ctx, key).(bool)
	return v
}

// PopInt is Pop for an int. It returns 0 for everything else.
func (d *SessionData) PopInt(ctx context.Context, key string) int {
	v, _ := d.Pop(ctx, key).(int)
	return v
}

// PopFloat is Pop for a float64. It returns 0 for everything else.
func (d *SessionData) PopFloat(ctx context.Context, key string) float64 {
	v, _ := d.Pop(ctx, key).(float64)
	return v
}

// PopBytes is Pop for a []byte. It returns nil for everything else.
func (d *SessionData) PopBytes(ctx context.Context, key string) []byte {
	v, _ := d.Pop(ctx, key).([]byte)
	return v
}

// PopTime is Pop for a time.Time. It returns the zero time for everything else.
func (d *SessionData) PopTime(ctx context.Context, key string) time.Time {
	v, _ := d.Pop(ctx, key).(time.Time)
	return v
}

// RememberMe stores a value that has no effect on the session's cookie. To keep a user
// logged in after the browser closes, use the login option Remember.
func (d *SessionData) RememberMe(ctx context.Context, remember bool) {
	d.core.scs.RememberMe(d.data(ctx), remember)
	d.changed(ctx)
}

// The session.

// Commit stores the changes now, before the header is written. It returns what Token
// returns, and when the session ends. It returns ErrNoSession outside LoadAndSave.
// After the header, it returns ErrHeaderWritten if the session has no record yet,
// because it is too late to set a cookie, and ErrLoggedOut if the session has been
// ended.
func (d *SessionData) Commit(ctx context.Context) (token string, expires time.Time, err error) {
	s, err := d.session(ctx)
	if err != nil {
		return "", time.Time{}, err
	}
	if err := s.saveValues(&dataContext{ctx, s.data().scs}); err != nil {
		return "", time.Time{}, err
	}
	return d.Token(ctx), d.Deadline(ctx), nil
}

// RenewToken gives the session a new token. The data and the end of the session stay.
// For 30 seconds the old token is valid for requests that are under way. If another
// request has just renewed the token, nothing happens. RenewToken returns ErrNoSession
// outside LoadAndSave, ErrHeaderWritten if it is too late to set the cookie, and
// ErrReplaced.
func (d *SessionData) RenewToken(ctx context.Context) (failing error) {
	defer d.core.met(ctx, &failing)
	s, err := d.session(ctx)
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

// Destroy deletes the session's data and logs the user out. It returns ErrNoSession
// outside LoadAndSave. After the header it returns ErrHeaderWritten: the session has
// ended, but its cookie could not be deleted.
func (d *SessionData) Destroy(ctx context.Context) error {
	s, err := d.session(ctx)
	if err != nil {
		return err
	}
	return d.core.scs.Destroy(&dataContext{ctx, s.data().scs})
}

// Token returns a name of the session, for a log or as a key. It differs for each
// session and changes with each new token. Nobody can log in with it. It is empty if
// the session is not stored.
func (d *SessionData) Token(ctx context.Context) string {
	s, err := d.session(ctx)
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

// Deadline returns when the session ends if no other request is made. If the session is
// not stored, Deadline returns when a session that begins now would end.
func (d *SessionData) Deadline(ctx context.Context) time.Time {
	now := d.core.cfg.Now()
	h := header{created: now, seen: now}
	if s, err := d.session(ctx); err == nil {
		s.op.Lock()
		defer s.op.Unlock()
		if s.cur != nil {
			h = s.cur.header
		}
	}
	return d.core.expires(&h)
}

// SetDeadline does nothing: Config.Session.Lifetime says when a session ends.
func (d *SessionData) SetDeadline(context.Context, time.Time) {}

// Status returns scs.Modified if there may be changes that are not stored yet. It
// returns scs.Destroyed after Destroy, if nothing has been stored since.
func (d *SessionData) Status(ctx context.Context) scs.Status {
	status := d.core.scs.Status(d.data(ctx))
	if s := d.core.clientOf(ctx); s != nil && status != scs.Destroyed {
		if status = scs.Unmodified; s.dirty.Load() {
			status = scs.Modified
		}
	}
	return status
}

// For scs's own middleware, and for code that takes a *scs.SessionManager.

// Load returns a context in which the embedded SessionManager finds the request's data.
// It is for code that takes a *scs.SessionManager. The token has no effect. Changes
// that such code makes are stored like changes by SessionData's methods. Outside
// LoadAndSave, Load does what it does in scs, and finds no session.
func (d *SessionData) Load(ctx context.Context, token string) (context.Context, error) {
	s := d.core.clientOf(ctx)
	if s == nil {
		return d.core.scs.Load(ctx, token)
	}
	s.lent.Store(true)
	return &dataContext{ctx, s.data().scs}, nil
}

// LoadAndSave is Manager.LoadAndSave.
func (d *SessionData) LoadAndSave(next http.Handler) http.Handler { return d.core.LoadAndSave(next) }

// WriteSessionCookie does nothing: LoadAndSave sets the cookie.
func (d *SessionData) WriteSessionCookie(context.Context, http.ResponseWriter, string, time.Time) {}

// Iterate returns an error that wraps errors.ErrUnsupported. No method returns the data
// of all sessions.
func (d *SessionData) Iterate(context.Context, func(context.Context) error) error { return errData }

// MergeSession returns an error that wraps errors.ErrUnsupported: a request can only
// read its own session. When a visitor logs in, LoginUser keeps the visitor's data.
func (d *SessionData) MergeSession(context.Context, string) error { return errData }

// errData is returned by methods of scs that this package does not support.
var errData = fmt.Errorf("auth: session data: %w", errors.ErrUnsupported)

// newSCS returns the session manager that holds the data of all requests. Its store is
// the session of the request in the context.
func newSCS(c *Core) *scs.SessionManager {
	// scs.New would start a goroutine that cannot be stopped safely.
	return &scs.SessionManager{
		Lifetime: c.cfg.Session.Lifetime,
		Store:    scsStore{c},
		Codec:    scsCodec{},
		// Only scs's own middleware would set the cookie or call ErrorFunc, and the
		// library does not use it.
		Cookie: scs.SessionCookie{
			Name: c.cfg.Session.CookieName + "-unused", Path: "/",
			HttpOnly: true, Secure: c.cookies.secure, SameSite: http.SameSiteLaxMode,
		},
		ErrorFunc: c.Error,
	}
}

// scsStore is scs's store. It reads and writes only the session of the request in the
// context.
type scsStore struct{ core *Core }

// CommitCtx is called by scs's Commit. scs holds its lock.
func (t scsStore) CommitCtx(ctx context.Context, _ string, encoded []byte, _ time.Time) (failing error) {
	defer t.core.met(ctx, &failing)
	s := t.core.stateOf(ctx)
	if s == nil {
		return ErrNoSession
	}
	return s.save(ctx, string(encoded))
}

// DeleteCtx is called by scs's Destroy, which is a logout. scs holds its lock.
func (t scsStore) DeleteCtx(ctx context.Context, _ string) (failing error) {
	defer t.core.met(ctx, &failing)
	s := t.core.stateOf(ctx)
	if s == nil {
		return ErrNoSession
	}
	return s.destroy()
}

// FindCtx is called by scs's Load. It finds a session without values; state.data adds
// them.
func (scsStore) FindCtx(_ context.Context, token string) ([]byte, bool, error) {
	return nil, token == scsToken, nil
}

func (scsStore) Commit(string, []byte, time.Time) error { return ErrNoSession }

func (scsStore) Delete(string) error { return ErrNoSession }

func (scsStore) Find(string) ([]byte, bool, error) { return nil, false, ErrNoSession }

func (scsStore) All() (map[string][]byte, error) { return map[string][]byte{}, nil }

// scsCodec encodes the application's values. Decode returns no values: it is called
// only for the empty session that FindCtx returns.
type scsCodec struct{}

func (scsCodec) Encode(_ time.Time, values map[string]any) ([]byte, error) {
	return wire.EncodeValues(values)
}

func (scsCodec) Decode([]byte) (time.Time, map[string]any, error) {
	return time.Time{}, map[string]any{}, nil
}

// destroy ends the session, and the login if there is one. scs holds its lock.
func (s *state) destroy() error {
	s.op.Lock()
	defer s.op.Unlock()
	if err := s.end(); err != nil {
		return err
	}
	if s.cur != nil { // a visitor's session
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
