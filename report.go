package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
)

// levelOf returns the level at which an event is logged.
func levelOf(e Event) slog.Level {
	switch {
	case e.Kind == EventFactorSuspended: // an attacker may have copied a secret of the user
		return slog.LevelWarn
	case e.Err == nil, e.Kind == EventAccessDenied && errors.Is(e.Err, ErrNotLoggedIn):
		// Every visitor who follows a link to a guarded page causes an EventAccessDenied.
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

// event sends an event to the log and to Config.OnEvent.
func (c *Core) event(ctx context.Context, e Event) {
	level := levelOf(e)
	if c.cfg.OnEvent == nil && !c.cfg.Logger.Enabled(ctx, level) {
		return
	}
	e.Time = c.cfg.Now()
	if refused, ok := errors.AsType[*PasswordError](e.Err); ok { // leave out the error of Password.Check: it may contain the password
		e.Err = &PasswordError{Reason: refused.Reason, Min: refused.Min}
	}
	if s := c.clientOf(ctx); s != nil {
		e.Address, e.UserAgent = s.address(), s.agent()
		s.nameActor(&e)
	}
	if e.Reason == "" {
		e.Reason = reasonOf(ctx)
	}
	attrs := make([]slog.Attr, 0, 9)
	attrs = append(attrs, slog.String("event", string(e.Kind)))
	for _, a := range []slog.Attr{
		slog.String("user", e.UserID), slog.String("actor", e.ActorID), slog.String("reason", e.Reason),
		slog.String("roles", e.Roles), slog.String("address", e.Address),
		slog.String("agent", e.UserAgent), slog.String("method", e.Method),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	if e.Err != nil {
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

// nameActor sets the administrator of an event in an impersonation.
func (s *state) nameActor(e *Event) {
	if acted := s.acted.Load(); acted != nil && e.UserID != acted.userID {
		e.ActorID = acted.userID
	}
}

// note keeps an event for emit.
func (s *state) note(e Event) {
	s.nameActor(&e) // the impersonation may be over when the event is sent
	s.noting.Lock()
	defer s.noting.Unlock()
	s.noted = append(s.noted, e)
	s.some.Store(true)
}

// emit sends the events that were noted. The caller holds no lock.
func (s *state) emit() {
	if !s.some.Load() {
		return
	}
	s.noting.Lock()
	events := s.noted
	s.noted = nil
	s.noting.Unlock()
	for _, e := range events {
		s.core.event(&s.ctx, e)
	}
}

// meet notes a failure that a method returns to the application. The request is then
// answered with it, even if the handler ignores the error: see responseWriter.start.
func (s *state) meet(err error) {
	if errors.Is(err, ErrNotLoggedIn) { // the common case; this avoids the allocation of errors.As
		return
	}
	if f := (failure{}); !errors.As(err, &f) || statusOf(err) < http.StatusInternalServerError {
		return
	}
	s.noting.Lock()
	defer s.noting.Unlock()
	if s.met == nil {
		s.met = err
		s.some.Store(true)
	}
}

// hasMet returns the first failure that meet noted, or nil.
func (s *state) hasMet() error {
	if !s.some.Load() {
		return nil
	}
	s.noting.Lock()
	defer s.noting.Unlock()
	return s.met
}

// met calls meet with the error that a method is about to return.
func (c *Core) met(ctx context.Context, err *error) {
	if *err == nil {
		return
	}
	if s := c.requestOf(ctx); s != nil {
		s.meet(*err)
	}
}
