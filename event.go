package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// An EventKind says what happened.
type EventKind string

// The kinds of events. All that tell of something that went wrong have an Err.
const (
	EventLogin           EventKind = "login"            // somebody logged in
	EventLoginFailed     EventKind = "login-failed"     // Authenticate said no, or could not say
	EventLoginRefused    EventKind = "login-refused"    // a gate refused, or the login could not be stored
	EventLogout          EventKind = "logout"           // a user ended a login
	EventSessionEnded    EventKind = "session-ended"    // a login was found void; Err says why
	EventSessionDamaged  EventKind = "session-damaged"  // a session's record, or a value in it, cannot be read
	EventRotated         EventKind = "token-rotated"    // a session got a new token
	EventRememberStolen  EventKind = "remember-stolen"  // a remember cookie was used again: the device's logins were ended
	EventRegistered      EventKind = "registered"       // an account was created
	EventRegisterFailed  EventKind = "register-failed"  // Register refused, or failed
	EventPasswordChanged EventKind = "password-changed" // SetPassword set one
	EventPasswordFailed  EventKind = "password-failed"  // a password could not be set
	EventCheckFailed     EventKind = "check-failed"     // CheckPassword was given a wrong one
	EventHashUpgraded    EventKind = "hash-upgraded"    // a hash with older parameters was replaced at login
	EventHashUnusable    EventKind = "hash-unusable"    // a stored hash is malformed or beyond the limits
	EventResetIssued     EventKind = "reset-issued"     // a reset token was made
	EventResetRefused    EventKind = "reset-refused"    // a reset was asked for where there is none to give
	EventResetDone       EventKind = "reset-done"       // a password was set by a reset token
	EventResetFailed     EventKind = "reset-failed"     // ResetPassword refused, or failed
	EventMailFailed      EventKind = "mail-failed"      // the Mailer did not take a mail, or could not send it
	EventCrossOrigin     EventKind = "cross-origin"     // a cross-origin request was refused
	EventStoreFailed     EventKind = "store-failed"     // cleaning up after a change failed; it was safe without
)

// An Event is something that a security log should have. The library puts no
// password, token or cookie into it, nor what users typed; Err may have what the
// application's own functions say (a store, a ReadForm).
type Event struct {
	Time      time.Time
	Kind      EventKind
	UserID    string // of the account it is about, if there is one
	Address   string // the client's IP address, if a request is at work
	UserAgent string // what the client says that it is, at most 256 bytes
	Method    string // how the user authenticated: "password" (by Authenticate, in this request), "remember", or "" if the application knows
	Err       error  // why, for what failed
}

// event tells the log and Config.OnEvent.
func (c *Core) event(ctx context.Context, e Event) {
	e.Time = c.cfg.Now()
	var refused *PasswordError
	if errors.As(e.Err, &refused) { // without what PasswordCheck says: it has seen the password
		e.Err = &PasswordError{Reason: refused.Reason, Min: refused.Min}
	}
	if s := c.stateOf(ctx); s != nil {
		e.Address, e.UserAgent = s.address(), s.agent()
	}
	attrs := make([]slog.Attr, 0, 6)
	attrs = append(attrs, slog.String("event", string(e.Kind)))
	for _, a := range []slog.Attr{
		slog.String("user", e.UserID), slog.String("address", e.Address),
		slog.String("agent", e.UserAgent), slog.String("method", e.Method),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	level := slog.LevelInfo
	if e.Err != nil {
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("error", e.Err.Error()))
	}
	c.cfg.Logger.LogAttrs(ctx, level, "auth", attrs...)
	if c.cfg.OnEvent == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			c.cfg.Logger.ErrorContext(ctx, "auth: OnEvent panicked", slog.String("event", string(e.Kind)), slog.String("panic", fmt.Sprint(p)))
		}
	}()
	c.cfg.OnEvent(ctx, e)
}
